//! Structures in any of our formats, told apart by content.

use std::io::{self, BufRead, Cursor, Read};

use super::{bpseq, connectivity_table, dot_bracket, lines::warn_of_further, structure_table};
use crate::structure::Structure;
use crate::{Error, Result, sequence::other_text};

/// Structures one after another, from any of the formats.
pub type Structures<'a> = Box<dyn Iterator<Item = Result<Structure>> + Send + 'a>;

/// Structures and their families, from any of the formats.
pub type LabelledStructures<'a> = Box<dyn Iterator<Item = Result<(Structure, String)>> + Send + 'a>;

/// The records of dot-bracket, CT, BPSEQ or TSV (with columns for sequence and structure), told apart by the first line
/// that is neither empty nor, where it starts with `#`, anything but `#Name:` before a dot-bracket record. An empty
/// file has no records.
///
/// Of several structures of one RNA, records of the same id and sequence one after another, the first is read, which is
/// the best one where programs write suboptimal structures; a warning counts the others.
///
/// # Errors
/// Where the file cannot be read, or its first lines are none of these formats.
pub fn read<'a>(input: impl BufRead + Send + 'a, file: &str) -> Result<Structures<'a>> {
    Ok(Box::new(read_labelled(input, file)?.map(|record| record.map(|(structure, _)| structure))))
}

/// The same, with the family of each where the file is a table that tells it, otherwise an empty text.
///
/// # Errors
/// As [`read`].
pub fn read_labelled<'a>(mut input: impl BufRead + Send + 'a, file: &str) -> Result<LabelledStructures<'a>> {
    let mut start = Vec::new();
    let mut guess = Guess::None;
    let mut first = true;
    while matches!(guess, Guess::None) {
        let line_start = start.len();
        let bytes =
            input.read_until(b'\n', &mut start).map_err(|source| Error::stream(file, "at its start", source))?;
        if bytes == 0 {
            return Ok(Box::new(std::iter::empty()));
        }
        let line = String::from_utf8_lossy(&start[line_start..]);
        guess = Guess::new(&line, first);
        first &= line.trim_ascii().is_empty();
    }
    let input = io::BufReader::new(Cursor::new(start).chain(input));
    let structures: Structures = match guess {
        Guess::DotBracket => Box::new(dot_bracket::Reader::new(input, file)),
        Guess::Bpseq => Box::new(bpseq::Reader::new(input, file)),
        Guess::ConnectivityTable => Box::new(connectivity_table::Reader::new(input, file)),
        Guess::Table => {
            return Ok(Box::new(FirstOfEach::new(structure_table::Reader::new(input, file)?, file)));
        }
        Guess::Unknown(what) => {
            let found = what.map(|what| format!("this is {what}, ")).unwrap_or_default();
            return Err(Error::Input {
                file: file.to_owned(),
                place: "start of the file".to_owned(),
                message: format!(
                    "{found}neither dot-bracket, CT, BPSEQ nor a TSV with columns for sequence and structure"
                ),
            });
        }
        Guess::None => return Ok(Box::new(std::iter::empty())),
    };
    Ok(Box::new(FirstOfEach::new(structures.map(|record| record.map(|structure| (structure, String::new()))), file)))
}

/// Whether a text that begins with these lines holds structures: dot-bracket, CT or BPSEQ.
pub(crate) fn is_structure(lines: &[String]) -> bool {
    let guesses = lines.iter().enumerate().map(|(place, line)| Guess::new(line, place == 0));
    match guesses.into_iter().find(|guess| !matches!(guess, Guess::None)) {
        Some(Guess::Bpseq | Guess::ConnectivityTable) => true,
        // FASTA begins so too.
        Some(Guess::DotBracket) => lines.iter().skip(2).take(1).any(|line| {
            let structure = line.split_ascii_whitespace().next().unwrap_or_default();
            super::dot_bracket::parse_structure_line(structure.as_bytes()).is_ok() && !structure.is_empty()
        }),
        _ => false,
    }
}

/// Passes over records that have the id and the sequence of the one before them.
struct FirstOfEach<I> {
    records: I,
    file: String,
    last: Option<(String, Vec<u8>)>,
    further: usize,
}

impl<I> FirstOfEach<I> {
    fn new(records: I, file: &str) -> Self {
        Self { records, file: file.to_owned(), last: None, further: 0 }
    }
}

impl<I: Iterator<Item = Result<(Structure, String)>>> Iterator for FirstOfEach<I> {
    type Item = I::Item;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let record = self.records.next();
            match &record {
                Some(Ok((structure, _))) => {
                    if self
                        .last
                        .as_ref()
                        .is_some_and(|(id, sequence)| *id == structure.id && *sequence == structure.sequence)
                    {
                        self.further += 1;
                        continue;
                    }
                    self.last = Some((structure.id.clone(), structure.sequence.clone()));
                }
                Some(Err(_)) => {}
                None => warn_of_further(&self.file, std::mem::take(&mut self.further)),
            }
            return record;
        }
    }
}

/// What a line tells about the format.
enum Guess {
    None,
    DotBracket,
    Bpseq,
    ConnectivityTable,
    Table,
    /// None of these, but perhaps that.
    Unknown(Option<&'static str>),
}

impl Guess {
    /// `first` where nothing but blank lines comes before.
    fn new(line: &str, first: bool) -> Self {
        let line = line.trim_ascii_end().trim_start_matches('\u{feff}');
        if line.starts_with('>') {
            return Self::DotBracket;
        }
        // Comments are read with the lines that follow them.
        if line.is_empty() || (line.starts_with('#') && other_text(line).is_none()) {
            return Self::None;
        }
        if first && line.split(['\t', ',', ';']).any(structure_table::is_structure_column) {
            return Self::Table;
        }
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        match words.as_slice() {
            [position, base, partner] if is_number(position) && is_number(partner) && base.len() == 1 => Self::Bpseq,
            [count, ..] if is_number(count) => Self::ConnectivityTable,
            // bpRNA's dot-bracket: comments, then the sequence.
            [sequence] if !first && sequence.bytes().all(|letter| letter.is_ascii_alphabetic()) => Self::DotBracket,
            // The header lines of the CRW site's BPSEQ.
            [label, ..] if label.ends_with(':') => Self::Bpseq,
            // A table without a column for structures, which it is then asked for.
            _ if first && line.contains('\t') => Self::Table,
            _ => Self::Unknown(other_text(line)),
        }
    }
}

fn is_number(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit())
}
