//! The lines of a text file, numbered, and errors that say where.

use std::io::BufRead;

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
            let bytes = self.input.read_line(&mut self.buffer).map_err(|source| Error::read(&self.file, source))?;
            if bytes == 0 {
                return Ok(false);
            }
            self.number += 1;
        }
        Ok(true)
    }

    /// The present line without its end (LF or CRLF), trailing blanks and a byte-order mark.
    pub(super) fn text(&self) -> &str {
        let line = self.buffer.trim_end();
        if self.number == 1 { line.trim_start_matches('\u{feff}') } else { line }
    }

    /// Makes the next call of [`Self::advance`] stay at the present line.
    pub(super) fn put_back(&mut self) {
        self.again = true;
    }

    /// The name for a record that has none: the file's, without folders and endings, and the record's number where it
    /// is not the first.
    pub(super) fn fallback_id(&self) -> String {
        let name = self.file.rsplit(['/', '\\']).next().unwrap_or_default();
        let stem = name.split('.').next().unwrap_or_default().replace(char::is_whitespace, "_");
        let stem = if stem.is_empty() || stem == "-" || name == "standard input" { "record" } else { &stem };
        match self.records {
            0 | 1 => stem.to_owned(),
            number => format!("{stem}_{number}"),
        }
    }

    /// An error at the present line of the record `id` (empty where it is not known yet).
    pub(super) fn error(&self, id: &str, message: impl Into<String>) -> Error {
        let record = if id.is_empty() { String::new() } else { format!("record {} ({id}), ", self.records) };
        Error::Input {
            file: self.file.clone(),
            place: format!("{record}line {}", self.number),
            message: message.into(),
        }
    }
}
