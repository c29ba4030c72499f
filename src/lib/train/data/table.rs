//! TSV input with a header row: columns are found by name.

use std::io::BufRead;

use crate::{Error, Result};

/// Reads the rows of a TSV one after the other.
pub struct Table<R> {
    reader: R,
    file: String,
    line: u64,
    names: Vec<String>,
    row: String,
}

impl<R: BufRead> Table<R> {
    /// Reads the header row. `file` is the name for messages. `None` where the input is empty.
    pub fn open(mut reader: R, file: &str) -> Result<Option<Self>> {
        let mut row = String::new();
        read_line(&mut reader, &mut row, file, 1)?;
        if row.is_empty() {
            return Ok(None);
        }
        let names = row.split('\t').map(|name| name.trim().to_ascii_lowercase()).collect();
        Ok(Some(Self { reader, file: file.to_string(), line: 1, names, row }))
    }

    /// The number of the column with one of these names.
    pub fn optional(&self, names: &[&str]) -> Option<usize> {
        names.iter().find_map(|name| self.names.iter().position(|column| column == name))
    }

    /// The number of the column with one of these names; an error where there is none.
    pub fn column(&self, names: &[&str]) -> Result<usize> {
        self.optional(names).ok_or_else(|| Error::Input {
            file: self.file.clone(),
            place: "header row".into(),
            message: format!("a column {} is needed; found are: {}", names.join(" or "), self.names.join(", ")),
        })
    }

    /// The fields of the next row, or `None` at the end. Empty lines are passed over.
    pub fn next_row(&mut self) -> Result<Option<Vec<&str>>> {
        loop {
            self.line += 1;
            if !read_line(&mut self.reader, &mut self.row, &self.file, self.line)? {
                return Ok(None);
            }
            if !self.row.is_empty() {
                break;
            }
        }
        let fields: Vec<&str> = self.row.split('\t').collect();
        if fields.len() != self.names.len() {
            return Err(Error::Input {
                file: self.file.clone(),
                place: format!("line {}", self.line),
                message: format!("{} columns where the header row has {}", fields.len(), self.names.len()),
            });
        }
        Ok(Some(fields))
    }

    /// An error at the row that was read last.
    pub fn error(&self, message: impl Into<String>) -> Error {
        let id = self.row.split('\t').next().unwrap_or_default();
        Error::Input { file: self.file.clone(), place: format!("line {} ({id})", self.line), message: message.into() }
    }
}

/// Reads a line without its end; false at the end of the input.
fn read_line(reader: &mut impl BufRead, line: &mut String, file: &str, number: u64) -> Result<bool> {
    line.clear();
    let count = reader.read_line(line).map_err(|source| match source.kind() {
        std::io::ErrorKind::InvalidData => {
            Error::Input { file: file.to_string(), place: format!("line {number}"), message: "not UTF-8 text".into() }
        }
        _ => Error::Read { file: file.to_string(), source },
    })?;
    line.truncate(line.trim_end_matches(['\n', '\r']).len());
    Ok(count > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_found_by_name_and_errors_name_the_line() {
        let text = "id\tSeq\tlabel\r\na\tACGU\t1\r\n\nb\tAC\n";
        let mut table = Table::open(text.as_bytes(), "x.tsv").expect("text").expect("a header");
        assert_eq!(table.column(&["sequence", "seq"]).expect("there is one"), 1);
        assert!(table.column(&["structure"]).expect_err("none").to_string().contains("structure"));
        assert_eq!(table.next_row().expect("a row"), Some(vec!["a", "ACGU", "1"]));
        let error = table.next_row().expect_err("a short row").to_string();
        assert!(error.contains("line 4") && error.contains("2 columns"), "{error}");
        assert!(Table::open(&b""[..], "empty").expect("no error").is_none());
    }
}
