//! Titles of structures: the id among what programs write beside it in the headers of CT and dot-bracket.

/// The names of energies in titles: mfold and UNAFold write `dG`, RNAstructure `ENERGY`, others `Energy:`.
const ENERGIES: [&str; 6] = ["energy", "dg", "dh", "ds", "mfe", "free energy"];

/// The id in a title: its first word after energies (`dG = -5.3`, `ENERGY = -5.3`, `Energy: -5.3 kcal/mol`) and mfold's
/// `[initially -6.1]`; empty where there is none. A single word is the id, whatever it looks like.
pub(super) fn record_id(title: &str) -> &str {
    let mut rest = title.trim_ascii();
    if rest.contains(|letter: char| letter.is_ascii_whitespace()) {
        while let Some(after) = after_energy(rest).or_else(|| after_remark(rest)) {
            rest = after.trim_ascii_start();
        }
    }
    rest.split_ascii_whitespace().next().unwrap_or_default()
}

/// What follows an energy at the start of a title.
fn after_energy(title: &str) -> Option<&str> {
    let (name, rest) = title.split_once(['=', ':'])?;
    if !ENERGIES.contains(&name.trim_ascii().to_ascii_lowercase().as_str()) {
        return None;
    }
    let rest = rest.trim_ascii_start();
    let (value, after) = rest.split_once(|letter: char| letter.is_ascii_whitespace()).unwrap_or((rest, ""));
    if value.parse::<f64>().is_err() {
        return Some(rest);
    }
    let after = after.trim_ascii_start();
    Some(after.strip_prefix("kcal/mol").unwrap_or(after))
}

/// What follows `[initially …]` at the start of a title.
fn after_remark(title: &str) -> Option<&str> {
    let remark = title.strip_prefix('[')?;
    remark.trim_ascii_start().get(..9).filter(|word| word.eq_ignore_ascii_case("initially"))?;
    Some(remark.split_once(']').map_or("", |(_, after)| after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_found_behind_energies() {
        for (title, id) in [
            ("hp1", "hp1"),
            ("hp1 and more", "hp1"),
            ("  dG = -5.3 [initially -6.1] hp1", "hp1"),
            ("dG =  -20.53  [initially  -23.10]  tRNA Phe", "tRNA"),
            ("dG = -22.9\tdH = -200.1\thp1", "hp1"),
            ("ENERGY = -5.3  hp1", "hp1"),
            ("ENERGY=-5.3 hp1", "hp1"),
            ("Energy: -3.4 hp1", "hp1"),
            ("Energy = -3.4 kcal/mol hp1", "hp1"),
            ("ENERGY = hp1", "hp1"),
            ("ENERGY", "ENERGY"),
            ("dG=-5.3", "dG=-5.3"),
            ("[initially", "[initially"),
            ("ENERGY = -3.4", ""),
            ("dG = -3.4 [initially -3.5] ", ""),
            ("dG-binding protein = x", "dG-binding"),
            ("x\u{a0}y z", "x\u{a0}y"),
            ("", ""),
        ] {
            assert_eq!(record_id(title), id, "{title:?}");
        }
    }
}
