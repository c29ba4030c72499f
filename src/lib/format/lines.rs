//! The lines of a text file, numbered, and errors that say where.

use std::io::{self, BufRead};

use crate::sequence::Damage;
use crate::{Error, Result};

/// Reads lines one by one into one buffer and knows the file, the line and the record that it is at.
pub(super) struct Lines<R> {
    input: R,
    file: String,
    buffer: String,
    /// 1-based number of the line in `buffer`; 0 before the first.
    number: usize,
    /// The line in `buffer` is to be given again.
    again: bool,
    /// Number of records begun.
    pub(super) records: usize,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(input: R, file: impl Into<String>) -> Self {
        Self { input, file: file.into(), buffer: String::new(), number: 0, again: false, records: 0 }
    }

    /// Goes to the next line; false at the end of the file.
    pub(super) fn advance(&mut self) -> Result<bool> {
        if !std::mem::take(&mut self.again) {
            self.buffer.clear();
            match self.input.read_line(&mut self.buffer) {
                Ok(0) => return Ok(false),
                Ok(_) => self.number += 1,
                Err(error)
                    if error.kind() == io::ErrorKind::InvalidData
                        && error.get_ref().is_none_or(|error| !error.is::<Damage>()) =>
                {
                    self.number += 1;
                    let message = "this is not UTF-8: save the file as UTF-8 (iconv -f LATIN1 -t UTF-8)";
                    return Err(self.error("", message));
                }
                Err(error) => return Err(Error::stream(&self.file, format!("after line {}", self.number), error)),
            }
        }
        Ok(true)
    }

    /// The present line without its end (LF or CRLF), trailing blanks and a byte-order mark.
    pub(super) fn text(&self) -> &str {
        let line = self.buffer.trim_ascii_end();
        if self.number == 1 { line.trim_start_matches('\u{feff}') } else { line }
    }

    /// Makes the next call of [`Self::advance`] stay at the present line.
    pub(super) fn put_back(&mut self) {
        self.again = true;
    }

    /// The present line without its end.
    pub(super) fn line(&self) -> &str {
        let line = self.buffer.strip_suffix('\n').unwrap_or(&self.buffer);
        let line = line.strip_suffix('\r').unwrap_or(line);
        if self.number == 1 { line.trim_start_matches('\u{feff}') } else { line }
    }

    /// The number of the present line, from 1.
    pub(super) fn number(&self) -> usize {
        self.number
    }

    /// The name of the present record where it has none: see [`fallback_id`].
    pub(super) fn fallback_id(&self) -> String {
        fallback_id(&self.file, self.records)
    }

    /// Warns of structures that were passed over, since an earlier one of the same RNA was read.
    pub(super) fn report_further(&self, count: usize) {
        warn_of_further(&self.file, count);
    }

    /// An error at the present line of the record `id` (empty where it is not known yet).
    pub(super) fn error(&self, id: &str, message: impl Into<String>) -> Error {
        self.error_at(self.number, id, message)
    }

    /// An error at the line `number` of the record `id`; at the present line for number 0.
    pub(super) fn error_at(&self, number: usize, id: &str, message: impl Into<String>) -> Error {
        let record = if id.is_empty() { String::new() } else { format!("record {} ({id}), ", self.records) };
        let number = if number == 0 { self.number } else { number };
        Error::Input { file: self.file.clone(), place: format!("{record}line {number}"), message: message.into() }
    }
}

/// The name for the record `number` (from 1) of a file where it has none: the file's, without folders and endings, and the
/// record's number where it is not the first.
pub(super) fn fallback_id(file: &str, number: usize) -> String {
    let name = file.rsplit(['/', '\\']).next().unwrap_or_default();
    let stem = name.split('.').next().unwrap_or_default().replace(char::is_whitespace, "_");
    let stem = if stem.is_empty() || stem == "-" || name == "standard input" { "record" } else { &stem };
    match number {
        0 | 1 => stem.to_owned(),
        number => format!("{stem}_{number}"),
    }
}

/// Warns of structures of `file` that were passed over, since an earlier one of the same RNA was read.
pub(super) fn warn_of_further(file: &str, count: usize) {
    if count > 0 {
        log::warn!("{file}: {count} further structures of the same RNAs were passed over; the first of each is read");
    }
}
