//! Structures in any of our formats, told apart by content.

use std::io::{self, BufRead, Cursor, Read};

use super::{bpseq, connectivity_table, dot_bracket, structure::Structure, table};
use crate::{Error, Result};

/// Structures one after another, from any of the formats.
pub type Structures<'a> = Box<dyn Iterator<Item = Result<Structure>> + Send + 'a>;

/// The records of dot-bracket, CT, BPSEQ or TSV (with columns for sequence and structure), told apart by the first line
/// that is neither empty nor, where it starts with `#`, anything but `#Name:` before a dot-bracket record. An empty
/// file has no records.
///
/// # Errors
/// Where the file cannot be read, or its first lines are none of these formats.
pub fn read<'a>(mut input: impl BufRead + Send + 'a, file: &str) -> Result<Structures<'a>> {
    let mut start = Vec::new();
    let mut guess = Guess::None;
    while matches!(guess, Guess::None) {
        let line_start = start.len();
        let bytes = input.read_until(b'\n', &mut start).map_err(|source| Error::read(file, source))?;
        if bytes == 0 {
            return Ok(Box::new(std::iter::empty()));
        }
        guess = Guess::new(&String::from_utf8_lossy(&start[line_start..]), start[..line_start].is_empty());
    }
    let input = io::BufReader::new(Cursor::new(start).chain(input));
    Ok(match guess {
        Guess::DotBracket => Box::new(dot_bracket::Reader::new(input, file)),
        Guess::Bpseq => Box::new(bpseq::Reader::new(input, file)),
        Guess::ConnectivityTable => Box::new(connectivity_table::Reader::new(input, file)),
        Guess::Table => Box::new(table::StructureReader::new(input, file)?),
        Guess::Unknown | Guess::None => {
            return Err(Error::Input {
                file: file.to_owned(),
                place: "start of the file".to_owned(),
                message: "neither dot-bracket, CT, BPSEQ nor a TSV with columns for sequence and structure".to_owned(),
            });
        }
    })
}

/// What a line tells about the format.
enum Guess {
    None,
    DotBracket,
    Bpseq,
    ConnectivityTable,
    Table,
    Unknown,
}

impl Guess {
    fn new(line: &str, first: bool) -> Self {
        let line = line.trim_end().trim_start_matches('\u{feff}');
        if line.starts_with('>') {
            return Self::DotBracket;
        }
        // Comments are read with the lines that follow them.
        if line.is_empty() || line.starts_with('#') {
            return Self::None;
        }
        if first && line.contains('\t') && line.split('\t').any(table::is_structure_column) {
            return Self::Table;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [position, base, partner] if is_number(position) && is_number(partner) && base.len() == 1 => Self::Bpseq,
            [count, ..] if is_number(count) => Self::ConnectivityTable,
            // bpRNA's dot-bracket: comments, then the sequence.
            [sequence] if !first && sequence.bytes().all(|letter| letter.is_ascii_alphabetic()) => Self::DotBracket,
            // The header lines of the CRW site's BPSEQ.
            [label, ..] if label.ends_with(':') => Self::Bpseq,
            _ => Self::Unknown,
        }
    }
}

fn is_number(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit())
}
