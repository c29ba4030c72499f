//! Connectivity table (CT), as mfold and RNAstructure write it: a header `N id`, then one line per base,
//! `i base i-1 i+1 j i` with positions from 1, 0 for an unpaired base's partner, and 0 for what follows the last base.
//!
//! Records may follow one another. Every set of pairs can be written, pseudoknots included.

use std::io::{self, BufRead, Write};

use super::{bpseq::PartnerTable, lines::Lines, title::record_id};
use crate::Result;
use crate::structure::Structure;

/// Writes one record.
///
/// # Errors
/// Those of the output.
pub fn write(output: &mut impl Write, structure: &Structure) -> io::Result<()> {
    let length = structure.length();
    writeln!(output, "{length} {}", structure.id)?;
    for (index, (&base, partner)) in structure.sequence.iter().zip(&structure.partners).enumerate() {
        let position = index + 1;
        let next = if position == length { 0 } else { position + 1 };
        let partner = partner.map_or(0, |partner| partner + 1);
        writeln!(output, "{position} {} {index} {next} {partner} {position}", char::from(base))?;
    }
    Ok(())
}

/// Reads records one by one, with any blanks between columns. The header may hold energies (`ENERGY = -3.4`,
/// `dG = -3.4 [initially -4.1]`, `Energy: -3.4`) before the id; a record without an id is named after the file. Lines that
/// start with `#` are passed over. Of the neighbours (third and fourth column) only a 0 between two bases matters: the
/// nick between two strands, which is an error. The last column says what the first one says.
pub struct Reader<R> {
    lines: Lines<R>,
    finished: bool,
}

impl<R: BufRead> Reader<R> {
    /// A reader of `input`, which errors call `file`.
    pub fn new(input: R, file: impl Into<String>) -> Self {
        Self { lines: Lines::new(input, file), finished: false }
    }

    /// Goes to the next line that says something.
    fn advance(lines: &mut Lines<R>) -> Result<bool> {
        while lines.advance()? {
            if !lines.text().is_empty() && !lines.text().starts_with('#') {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn read(&mut self) -> Result<Option<Structure>> {
        let lines = &mut self.lines;
        if !Self::advance(lines)? {
            return Ok(None);
        }
        lines.records += 1;
        let header = lines.text().trim_ascii();
        let (count, title) = header.split_once(|letter: char| letter.is_ascii_whitespace()).unwrap_or((header, ""));
        let id = match record_id(title) {
            "" => lines.fallback_id(),
            id => id.to_owned(),
        };
        let length: usize =
            count.parse().map_err(|_| lines.error(&id, "expected a header: the number of bases and an id"))?;
        if length == 0 {
            return Err(lines.error(&id, "the record has no bases"));
        }
        let mut table = PartnerTable::default();
        for present in 0..length {
            if !Self::advance(lines)? {
                return Err(lines.error(&id, format!("the file ends after {present} of {length} bases")));
            }
            let words: Vec<&str> = lines.text().split_ascii_whitespace().collect();
            let &[position, base, previous, next, partner, ..] = words.as_slice() else {
                return Err(lines.error(&id, "expected `position base previous next partner position`"));
            };
            let position: usize =
                position.parse().map_err(|_| lines.error(&id, format!("`{position}` is no position")))?;
            let nick = match (previous, next) {
                ("0", _) if present > 0 => Some(present),
                (_, "0") if present + 1 < length => Some(present + 1),
                _ => None,
            };
            if let Some(before) = nick {
                let after = before + 1;
                return Err(lines.error(
                    &id,
                    format!("a nick between bases {before} and {after}: two strands where one RNA a record is wanted"),
                ));
            }
            table.push(position, base, partner).map_err(|message| lines.error(&id, message))?;
        }
        let partners = table.partners().map_err(|message| lines.error(&id, message))?;
        Ok(Some(Structure { id, sequence: table.sequence, partners }))
    }
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Result<Structure>;

    /// The next record; nothing after an error.
    fn next(&mut self) -> Option<Self::Item> {
        if self.finished {
            return None;
        }
        let record = self.read().transpose();
        self.finished = !matches!(record, Some(Ok(_)));
        record
    }
}
