//! Lines of constraints for records: dot-bracket files whose structures have the characters of
//! [`Constraints`](crate::thermodynamics::Constraints).

use std::io::BufRead;

use rustc_hash::FxHashMap;

use super::{lines::Lines, title::record_id};
use crate::Result;

/// The characters of a constraint.
fn is_constraint(line: &str) -> bool {
    !line.is_empty() && line.bytes().all(|character| b".|x<>()".contains(&character))
}

/// The lines of constraints of a file by id: `>id`, the sequence (which may be left out, or wrapped) and a line with a character
/// for each base.
///
/// # Errors
/// Where the file cannot be read, a record has no constraints, or an id comes twice.
pub fn read(input: impl BufRead, file: &str) -> Result<FxHashMap<String, Vec<u8>>> {
    let mut lines = Lines::new(input, file);
    let mut all = FxHashMap::default();
    let mut record: Option<(String, Vec<u8>, usize)> = None;
    let finish = |record: Option<(String, Vec<u8>, usize)>, all: &mut FxHashMap<_, _>, lines: &Lines<_>| match record {
        None => Ok(()),
        Some((id, constraint, _)) if constraint.is_empty() => Err(lines.error(&id, "no line of constraints")),
        Some((id, constraint, _)) => match all.insert(id.clone(), constraint) {
            None => Ok(()),
            Some(_) => Err(lines.error(&id, "constraints a second time")),
        },
    };
    while lines.advance()? {
        let line = lines.text().split_ascii_whitespace().next().unwrap_or_default().to_owned();
        // A line that begins with `>` may also be constraints: those of a sequence of this length.
        let belongs = |record: &Option<(String, Vec<u8>, usize)>| {
            record
                .as_ref()
                .is_some_and(|(_, constraint, bases)| constraint.is_empty() && (*bases == 0 || line.len() == *bases))
        };
        if is_constraint(&line) && (!line.starts_with('>') || belongs(&record)) {
            match &mut record {
                Some((_, constraint, _)) => constraint.extend_from_slice(line.as_bytes()),
                None => return Err(lines.error("", "expected a header line that starts with `>`")),
            }
        } else if let Some(title) = lines.text().strip_prefix('>') {
            let id = record_id(title).to_owned();
            finish(record.take(), &mut all, &lines)?;
            lines.records += 1;
            record = Some((if id.is_empty() { lines.fallback_id() } else { id }, Vec::new(), 0));
        } else if line.bytes().all(|letter| letter.is_ascii_alphabetic()) {
            if let Some((_, _, bases)) = &mut record {
                *bases += line.len();
            }
        } else if !line.starts_with('#') {
            return Err(lines.error("", "neither a sequence nor constraints (. | x < > ( ))"));
        }
    }
    finish(record, &mut all, &lines)?;
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_found_by_id() {
        let text = ">a some words\nGGGAAACCC\n(((...)))\n>b\nGGG\nAAA\n>..|xx\n\n>c\n<.>\n>d\n>..<\n";
        let all = read(text.as_bytes(), "file").expect("constraints");
        let mut found: Vec<(&str, &[u8])> = all.iter().map(|(id, line)| (id.as_str(), line.as_slice())).collect();
        found.sort();
        assert_eq!(found, [("a", b"(((...)))".as_slice()), ("b", b">..|xx"), ("c", b"<.>"), ("d", b">..<")]);
        for (text, message) in [
            (">a\nGGG\n", "no line of constraints"),
            (">a\n...\n>a\n...\n", "second time"),
            ("...\n", "header"),
            (">a\n.-.\n", "neither"),
        ] {
            let error = read(text.as_bytes(), "file").expect_err("a defect").to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}
