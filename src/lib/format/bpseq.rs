//! BPSEQ: one line per base, `position base partner` with positions from 1 and 0 for an unpaired base.
//!
//! The format has no place for an id; a comment line `#id` before the first base holds it, which also tells
//! concatenated records apart. Every set of pairs can be written, pseudoknots included.

use std::io::{self, BufRead, Write};

use super::lines::Lines;
use crate::Result;
use crate::sequence::alphabet::rna_letter;
use crate::structure::Structure;

/// Writes one record.
///
/// # Errors
/// Those of the output.
pub fn write(output: &mut impl Write, structure: &Structure) -> io::Result<()> {
    writeln!(output, "#{}", structure.id)?;
    for (position, (&base, partner)) in structure.sequence.iter().zip(&structure.partners).enumerate() {
        writeln!(output, "{} {} {}", position + 1, char::from(base), partner.map_or(0, |partner| partner + 1))?;
    }
    Ok(())
}

/// Reads records one by one. A record ends where positions start again at 1, at a comment that follows bases, or at the
/// end. Lines before a record's bases that do not start with a number are its header (`#` or not); the first of them
/// that tells an id gives it: its first word, or the one after `Name:` (bpRNA), `Filename:` (CRW) or `File` (RNA
/// STRAND). A record without any is named after the file.
pub struct Reader<R> {
    lines: Lines<R>,
    finished: bool,
}

impl<R: BufRead> Reader<R> {
    /// A reader of `input`, which errors call `file`.
    pub fn new(input: R, file: impl Into<String>) -> Self {
        Self { lines: Lines::new(input, file), finished: false }
    }

    fn read(&mut self) -> Result<Option<Structure>> {
        let lines = &mut self.lines;
        lines.records += 1;
        let mut id = String::new();
        let mut table = PartnerTable::default();
        while lines.advance()? {
            let line = lines.text();
            if line.is_empty() {
                continue;
            }
            let mut words = line.split_ascii_whitespace();
            let position = words.next().unwrap_or_default().parse::<usize>().ok();
            let Some(position) = position else {
                if !table.sequence.is_empty() {
                    if line.starts_with('#') {
                        lines.put_back();
                        break;
                    }
                    return Err(lines.error(&id, "expected `position base partner`"));
                }
                if id.is_empty() {
                    id = header_id(line).to_owned();
                }
                continue;
            };
            if position == 1 && !table.sequence.is_empty() {
                lines.put_back();
                break;
            }
            if id.is_empty() {
                id = lines.fallback_id();
            }
            let (Some(base), Some(partner), None) = (words.next(), words.next(), words.next()) else {
                return Err(lines.error(&id, "expected `position base partner`"));
            };
            table.push(position, base, partner).map_err(|message| lines.error(&id, message))?;
        }
        if table.sequence.is_empty() {
            // Comments after the last record are no record.
            return Ok(None);
        }
        let partners = table.partners().map_err(|message| lines.error(&id, message))?;
        Ok(Some(Structure { id, sequence: table.sequence, partners }))
    }
}

/// What stands before ids in headers: bpRNA writes `#Name:`, the CRW site `Filename:`, RNA STRAND `# File`.
const LABELS: [&str; 5] = ["name:", "filename:", "file:", "file", "id:"];

/// The first word of a header line, less `#` and a label; nothing where the line tells something else about the record.
fn header_id(line: &str) -> &str {
    let line = line.strip_prefix('#').unwrap_or(line);
    let mut words = line.split_ascii_whitespace();
    let first = words.next().unwrap_or_default();
    match words.next() {
        Some(id) if LABELS.contains(&first.to_ascii_lowercase().as_str()) => id,
        // `Organism: …`, `Accession Number: …`, `Citation and related information available at …`.
        Some(second) if first.ends_with(':') || second.ends_with(':') || first == "Citation" => "",
        None if LABELS.contains(&first.to_ascii_lowercase().as_str()) && first.ends_with(':') => "",
        _ => first,
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

/// The bases and partners of a record that is written base by base, checked as they come.
#[derive(Default)]
pub(super) struct PartnerTable {
    pub(super) sequence: Vec<u8>,
    /// 1-based; 0 for none.
    partners: Vec<usize>,
}

impl PartnerTable {
    /// Adds a base; the error says what is wrong with it.
    pub(super) fn push(&mut self, position: usize, base: &str, partner: &str) -> std::result::Result<(), String> {
        let expected = self.sequence.len() + 1;
        if position != expected {
            return Err(format!("position {position} where {expected} was expected"));
        }
        let letter = match base.as_bytes() {
            &[letter] => rna_letter(letter),
            _ => None,
        };
        self.sequence.push(letter.ok_or_else(|| match base {
            "I" | "i" => {
                format!("position {position}: `{base}` links two strands (RNAstructure): one RNA a record is wanted")
            }
            _ => format!("position {position}: `{base}` is no nucleotide"),
        })?);
        let partner = partner
            .parse()
            .map_err(|_| format!("position {position}: partner `{partner}` is no position (0 for none)"))?;
        if partner == position {
            return Err(format!("position {position} is paired with itself"));
        }
        self.partners.push(partner);
        Ok(())
    }

    /// The 0-based partners, where every pair is there from both its sides.
    pub(super) fn partners(&self) -> std::result::Result<Vec<Option<usize>>, String> {
        for (index, &partner) in self.partners.iter().enumerate().filter(|&(_, &partner)| partner != 0) {
            let position = index + 1;
            match self.partners.get(partner - 1) {
                Some(&back) if back == position => {}
                Some(&back) => {
                    return Err(format!("position {position} is paired with {partner}, which is paired with {back}"));
                }
                None => {
                    let length = self.partners.len();
                    return Err(format!("position {position} is paired with {partner}, and there are {length} bases"));
                }
            }
        }
        Ok(self.partners.iter().map(|&partner| partner.checked_sub(1)).collect())
    }
}
