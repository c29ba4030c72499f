//! Dot-bracket: three lines per record (`>id`, sequence, structure), as ViennaRNA and forna read it.
//!
//! Unpaired bases are `.`. Pairs are taken in the order of their 5' bases, and each gets the first kind of brackets in
//! which it crosses no pair: `()`, `[]`, `{}`, `<>`, then `Aa` to `Zz` (the opening letter is the upper-case one). The
//! same structure always gives the same text. Thirty kinds are enough for everything natural; a structure that needs
//! more is an error here and can be written as CT or BPSEQ.

use std::io::{self, BufRead, Write};

use super::{
    lines::Lines,
    structure::{Structure, pairs, rna_letter},
};
use crate::Result;

/// The opening brackets in the order of use.
const OPENING: &[u8; 30] = b"([{<ABCDEFGHIJKLMNOPQRSTUVWXYZ";
/// The closing brackets in the same order.
const CLOSING: &[u8; 30] = b")]}>abcdefghijklmnopqrstuvwxyz";
/// Unpaired bases: the dot, and what alignments and other programs write.
const UNPAIRED: &[u8] = b".-_:,~";

/// The kind of brackets (from 0) of each pair of `partners`, in the order of [`pairs`]: first fit in the order of the
/// 5' bases. The kinds count beyond those that dot-bracket has.
pub fn bracket_kinds(partners: &[Option<usize>]) -> Vec<usize> {
    // For each kind the 3' bases of its open pairs, the innermost last: pairs of one kind are nested, so that the
    // innermost closes first, and a new pair crosses one of them exactly where it reaches beyond the innermost.
    let mut open: Vec<Vec<usize>> = Vec::new();
    pairs(partners)
        .map(|(i, j)| {
            let fits = open.iter_mut().position(|ends| {
                while ends.last().is_some_and(|&end| end < i) {
                    ends.pop();
                }
                ends.last().is_none_or(|&end| j < end)
            });
            let kind = fits.unwrap_or_else(|| {
                open.push(Vec::new());
                open.len() - 1
            });
            open[kind].push(j);
            kind
        })
        .collect()
}

/// Takes out the pairs that need more kinds of brackets than there are; returns how many. What no plausible RNA has, the
/// guesses of a poor model may.
pub fn drop_excess_levels(partners: &mut [Option<usize>]) -> usize {
    let kinds = bracket_kinds(partners);
    let pairs: Vec<_> = super::structure::pairs(partners).collect();
    let mut dropped = 0;
    for ((i, j), _) in pairs.into_iter().zip(kinds).filter(|&(_, kind)| kind >= OPENING.len()) {
        (partners[i], partners[j]) = (None, None);
        dropped += 1;
    }
    dropped
}

/// The structure line, one character per base.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`], naming the record, where more kinds of brackets are needed than there are.
pub fn structure_line(id: &str, partners: &[Option<usize>]) -> io::Result<Vec<u8>> {
    let mut line = vec![b'.'; partners.len()];
    let kinds = bracket_kinds(partners);
    if let Some(needed) = kinds.iter().max().map(|&kind| kind + 1).filter(|&needed| needed > OPENING.len()) {
        let message = format!(
            "record {id}: its crossing pairs need {needed} kinds of brackets and dot-bracket has {}; write CT or BPSEQ",
            OPENING.len()
        );
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    for ((i, j), kind) in pairs(partners).zip(kinds) {
        line[i] = OPENING[kind];
        line[j] = CLOSING[kind];
    }
    Ok(line)
}

/// The partner of each base of a structure line. Any mixture of brackets is read, not only what [`structure_line`]
/// writes.
///
/// # Errors
/// Where a bracket has no partner or a character is none of the format's: its 0-based position and what is wrong.
pub fn parse_structure_line(line: &[u8]) -> std::result::Result<Vec<Option<usize>>, (usize, String)> {
    let mut partners = vec![None; line.len()];
    let mut open: [Vec<usize>; OPENING.len()] = std::array::from_fn(|_| Vec::new());
    for (position, &character) in line.iter().enumerate() {
        if UNPAIRED.contains(&character) {
            continue;
        }
        if let Some(kind) = OPENING.iter().position(|&opening| opening == character) {
            open[kind].push(position);
        } else if let Some(kind) = CLOSING.iter().position(|&closing| closing == character) {
            let opening = open[kind].pop().ok_or_else(|| {
                (
                    position,
                    format!("`{}` closes nothing: `{}` is missing", char::from(character), char::from(OPENING[kind])),
                )
            })?;
            partners[opening] = Some(position);
            partners[position] = Some(opening);
        } else {
            return Err((position, format!("`{}` is no dot-bracket character", character.escape_ascii())));
        }
    }
    let unclosed = open.iter().enumerate().filter_map(|(kind, open)| Some((*open.last()?, kind))).min();
    match unclosed {
        Some((position, kind)) => Err((position, format!("`{}` is never closed", char::from(OPENING[kind])))),
        None => Ok(partners),
    }
}

/// Writes one record of three lines.
///
/// # Errors
/// Those of the output, and [`io::ErrorKind::InvalidInput`] where there are not enough kinds of brackets.
pub fn write(output: &mut impl Write, structure: &Structure) -> io::Result<()> {
    let line = structure_line(&structure.id, &structure.partners)?;
    writeln!(output, ">{}", structure.id)?;
    output.write_all(&structure.sequence)?;
    output.write_all(b"\n")?;
    output.write_all(&line)?;
    output.write_all(b"\n")
}

/// Reads records one by one: `>id` and anything after a blank, the sequence (T is U, lower case is upper case, IUPAC
/// letters are N), the structure. Sequence and structure may be wrapped. After the structure, what follows a blank is
/// passed over: an energy such as `(-3.40)`. Blank lines between records and lines that start with `#` are passed
/// over, except that `#Name:` (bpRNA) starts a record as `>` does.
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
        let id = loop {
            if !lines.advance()? {
                return Ok(None);
            }
            let line = lines.text();
            if let Some(header) = header(line) {
                let id = header.split_whitespace().next().unwrap_or_default().to_owned();
                lines.records += 1;
                break if id.is_empty() { lines.fallback_id() } else { id };
            }
            if !line.is_empty() && !line.starts_with('#') {
                return Err(lines.error("", "expected a header line that starts with `>`"));
            }
        };
        let mut sequence = Vec::new();
        let mut structure = Vec::new();
        while lines.advance()? {
            let line = lines.text();
            if header(line).is_some() {
                lines.put_back();
                break;
            }
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let line = line.as_bytes();
            if structure.is_empty() && line.iter().all(u8::is_ascii_alphabetic) {
                for (position, &letter) in line.iter().enumerate() {
                    let letter = rna_letter(letter).ok_or_else(|| {
                        let message = format!("position {}: `{}` is no nucleotide", position + 1, char::from(letter));
                        lines.error(&id, message)
                    })?;
                    sequence.push(letter);
                }
                continue;
            }
            if sequence.is_empty() {
                return Err(lines.error(&id, "expected the sequence"));
            }
            let word = line.split(u8::is_ascii_whitespace).next().unwrap_or_default();
            structure.extend_from_slice(word);
            if structure.len() > sequence.len() {
                return Err(lines.error(&id, mismatch(&structure, &sequence)));
            }
        }
        if sequence.is_empty() {
            return Err(lines.error(&id, "the record has no sequence"));
        }
        if structure.len() != sequence.len() {
            return Err(lines.error(&id, mismatch(&structure, &sequence)));
        }
        let partners = parse_structure_line(&structure)
            .map_err(|(position, message)| lines.error(&id, format!("position {}: {message}", position + 1)))?;
        Ok(Some(Structure { id, sequence, partners }))
    }
}

fn mismatch(structure: &[u8], sequence: &[u8]) -> String {
    format!("the structure has {} characters and the sequence {} bases", structure.len(), sequence.len())
}

fn header(line: &str) -> Option<&str> {
    line.strip_prefix('>').or_else(|| line.strip_prefix("#Name:"))
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
