//! How much more often a hexamer (two codons) stands in the frame of a coding sequence than in an untranslated region,
//! the measure of Fickett and Tung (Nucleic Acids Res 20:6441, 1992) that CPAT and others use as well.

use serde::{Deserialize, Serialize};

/// Letters of a hexamer.
const LETTERS: usize = 6;

/// Number of hexamers.
pub const HEXAMERS: usize = 4096;

/// Natural log odds of every hexamer, ACGU in this order as the digits of its number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "Vec<i16>", try_from = "Vec<i16>")]
pub struct Hexamers(Vec<f32>);

/// Log odds are stored as hundredths.
const STORED: f32 = 100.0;

impl From<Hexamers> for Vec<i16> {
    fn from(hexamers: Hexamers) -> Self {
        hexamers.0.into_iter().map(|odds| (odds * STORED).round() as i16).collect()
    }
}

impl TryFrom<Vec<i16>> for Hexamers {
    type Error = String;

    fn try_from(stored: Vec<i16>) -> std::result::Result<Self, String> {
        if stored.len() != HEXAMERS {
            return Err(format!("{} log odds of hexamers where there are {HEXAMERS}", stored.len()));
        }
        Ok(Self(stored.into_iter().map(|odds| f32::from(odds) / STORED).collect()))
    }
}

/// The number of a hexamer; `None` where a letter is N.
fn number(hexamer: &[u8]) -> Option<usize> {
    hexamer.iter().try_fold(0, |number, letter| Some(4 * number + b"ACGU".iter().position(|base| base == letter)?))
}

/// Counts of hexamers in coding sequences, codon by codon, and in untranslated regions, base by base.
#[derive(Clone, Debug)]
pub struct HexamerCounts {
    coding: Vec<u64>,
    untranslated: Vec<u64>,
}

impl Default for HexamerCounts {
    fn default() -> Self {
        Self { coding: vec![0; HEXAMERS], untranslated: vec![0; HEXAMERS] }
    }
}

impl HexamerCounts {
    /// Counts a coding sequence from its first codon to the last before the stop.
    pub fn add_coding(&mut self, codons: &[u8]) {
        let hexamers = codons.windows(LETTERS).step_by(3);
        hexamers.filter_map(number).for_each(|number| self.coding[number] += 1);
    }

    /// Counts an untranslated region.
    pub fn add_untranslated(&mut self, bases: &[u8]) {
        bases.windows(LETTERS).filter_map(number).for_each(|number| self.untranslated[number] += 1);
    }

    /// The log odds, with one more of each hexamer than was counted. A hexamer with a stop codon, which no reading frame
    /// holds, has 0.
    pub fn log_odds(&self) -> Hexamers {
        let stops = [b"UAA", b"UAG", b"UGA"].map(|codon| number(codon).unwrap_or_default());
        let usable = |hexamer: &usize| !stops.contains(&(hexamer / 64)) && !stops.contains(&(hexamer % 64));
        let total =
            |counts: &[u64]| (0..HEXAMERS).filter(usable).map(|hexamer| counts[hexamer] + 1).sum::<u64>() as f64;
        let (coding, untranslated) = (total(&self.coding), total(&self.untranslated));
        let odds = |hexamer: usize| {
            let part = |counts: &[u64], total: f64| (counts[hexamer] + 1) as f64 / total;
            (part(&self.coding, coding) / part(&self.untranslated, untranslated)).ln() as f32
        };
        // As they come back from a file.
        let stored = |odds: f32| (odds * STORED).round() / STORED;
        Hexamers((0..HEXAMERS).map(|hexamer| if usable(&hexamer) { stored(odds(hexamer)) } else { 0.0 }).collect())
    }
}

/// The log odds along a sequence, summed up so that those of any frame and stretch are at hand.
pub struct HexamerSums(Vec<f64>);

impl HexamerSums {
    /// Of a sequence of letters ACGUN; a hexamer with an N counts for nothing.
    pub fn new(hexamers: &Hexamers, sequence: &[u8]) -> Self {
        let mut sums = vec![0.0; sequence.len() + 3];
        for start in 0..sequence.len() {
            let odds = sequence.get(start..start + LETTERS).and_then(number).map_or(0.0, |number| hexamers.0[number]);
            sums[start + 3] = sums[start] + f64::from(odds);
        }
        Self(sums)
    }

    /// The sum over `codons` codons from `first` on in its frame, and how much it is above the mean of the other two
    /// frames.
    pub fn of(&self, first: usize, codons: usize) -> (f64, f64) {
        let steps = codons.saturating_sub(1);
        let frame = |offset: usize| {
            let (start, end) = (first + offset, first + offset + 3 * steps);
            match (self.0.get(start), self.0.get(end)) {
                (Some(before), Some(after)) => after - before,
                _ => 0.0,
            }
        };
        let own = frame(0);
        (own, own - (frame(1) + frame(2)) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odds_are_counted_in_frame() {
        let mut counts = HexamerCounts::default();
        counts.add_coding(&b"GCUGCUGCUGCU".repeat(20));
        counts.add_untranslated(&b"CAUUCGGACUACGUUAGC".repeat(20));
        let hexamers = counts.log_odds();
        let sequence = b"AGCUGCUGCUGCUA";
        let sums = HexamerSums::new(&hexamers, sequence);
        let (own, above) = sums.of(1, 4);
        let odds = f64::from(hexamers.0[number(b"GCUGCU").expect("a hexamer")]);
        assert!(odds > 2.0 && (own - 3.0 * odds).abs() < 1e-9, "{own} of {odds}");
        assert!(above > 1.0, "the other frames have none of the counted hexamers: {above}");
        assert_eq!(hexamers.0[number(b"UAAGCU").expect("a hexamer")], 0.0);
        assert_eq!(HexamerSums::new(&hexamers, b"GCUNCUGCU").of(0, 3).0, 0.0);
        assert_eq!(HexamerSums::new(&hexamers, b"").of(0, 3), (0.0, 0.0));
    }

    #[test]
    fn odds_come_back_from_a_file_as_they_were() {
        let mut counts = HexamerCounts::default();
        counts.add_coding(&b"GCUGAUGCCGGU".repeat(7));
        let hexamers = counts.log_odds();
        let text = serde_json::to_string(&hexamers).expect("JSON");
        assert_eq!(serde_json::from_str::<Hexamers>(&text).expect("the same"), hexamers);
        assert!(serde_json::from_str::<Hexamers>("[1, 2]").expect_err("too few").to_string().contains("4096"));
    }
}
