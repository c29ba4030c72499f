//! Tables in: tab-separated text with a header row, whose columns are found by name, for every tool that reads one.
//!
//! The crate csv cuts the rows, without quotes: a `"` is a letter like any other. Two kinds of defect are kept apart. A
//! row that is wrong by itself ([`Table::fields`], [`Table::error`]) may be set aside; what is wrong with the file
//! (cut off, damaged, not UTF-8, without the columns that are needed) ends the run, whatever is asked for bad rows.

use std::io::{self, Read};

use csv::StringRecord;

use crate::sequence::other_text;
use crate::{Error, Result};

/// Bytes read at once.
const BUFFER: usize = 64 * 1024;

/// Reads the rows of a table one after the other. Blank lines, and rows of nothing but tabs, are passed over.
pub struct Table<R> {
    /// Reads the text with a line end after it, so that every row ends with one and lines can be counted.
    reader: csv::Reader<io::Chain<R, &'static [u8]>>,
    file: String,
    header: String,
    names: Vec<String>,
    row: StringRecord,
    /// Rows read so far, with the header row.
    rows: u64,
}

impl<R: Read> Table<R> {
    /// Reads the header row of a text with the line ends that [`crate::sequence::open_text`] gives. `file` is the name for
    /// messages. `None` where the input is empty.
    ///
    /// # Errors
    /// Where the input cannot be read, or is not UTF-8.
    pub fn open(input: R, file: &str) -> Result<Option<Self>> {
        let reader = csv::ReaderBuilder::new()
            .delimiter(b'\t')
            .quoting(false)
            .flexible(true)
            .has_headers(false)
            .buffer_capacity(BUFFER)
            .from_reader(input.chain(&b"\n"[..]));
        let (names, row) = (Vec::new(), StringRecord::new());
        let mut table = Self { reader, file: file.to_owned(), header: String::new(), names, row, rows: 0 };
        if !table.advance()? {
            return Ok(None);
        }
        table.header = table.row.iter().collect::<Vec<_>>().join("\t").trim_start_matches('\u{feff}').to_owned();
        table.names = table.header.split('\t').map(|name| name.trim().to_ascii_lowercase()).collect();
        Ok(Some(table))
    }

    /// The names of the columns, in lower case.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The header row as it stands.
    pub fn header(&self) -> &str {
        &self.header
    }

    /// The number of the column with one of these names.
    pub fn optional(&self, names: &[&str]) -> Option<usize> {
        names.iter().find_map(|name| self.names.iter().position(|column| column == name))
    }

    /// The number of the column with one of these names.
    ///
    /// # Errors
    /// Where there is none, with a guess at what the file is instead, and where there are two.
    pub fn column(&self, names: &[&str]) -> Result<usize> {
        let refuse = |message| Error::Input { file: self.file.clone(), place: "header row".into(), message };
        let Some(column) = self.optional(names) else {
            let found = format!("a column {} is needed; found are: {}", names.join(" or "), self.names.join(", "));
            return Err(refuse(match self.mistaken(names) {
                Some(what) => format!("{what} ({found})"),
                None => found,
            }));
        };
        match self.names.iter().filter(|name| **name == self.names[column]).count() {
            1 => Ok(column),
            _ => Err(refuse(format!("two columns are called {}: rename one", self.names[column]))),
        }
    }

    /// What the file probably is where a column with one of these names is missing, and what to do.
    fn mistaken(&self, names: &[&str]) -> Option<String> {
        if let Some(what) = other_text(&self.header) {
            return Some(format!("this is {what}, and a table with tabs between its columns is wanted"));
        }
        let bare = |name: &str| name.trim().trim_matches('"').to_ascii_lowercase();
        let separators = [(',', "commas"), (';', "semicolons"), (' ', "blanks"), ('|', "bars")];
        for (separator, called) in separators {
            if self.names.len() == 1 && self.header.split(separator).any(|name| names.contains(&bare(name).as_str())) {
                return Some(format!("its columns are parted by {called}: save it with tabs between them (TSV)"));
            }
        }
        let quoted = self.names.iter().any(|name| name.starts_with('"') && names.contains(&bare(name).as_str()));
        quoted.then(|| "its names stand in quotes: save it without (in R, quote = FALSE)".to_owned())
    }

    /// Goes to the next row; false at the end.
    ///
    /// # Errors
    /// What is wrong with the file: it cannot be read on, is cut off or damaged, or is not UTF-8.
    pub fn advance(&mut self) -> Result<bool> {
        loop {
            match self.reader.read_record(&mut self.row) {
                Ok(true) if self.row.iter().all(|field| field.trim_ascii().is_empty()) => {}
                Ok(found) => {
                    self.rows += u64::from(found);
                    return Ok(found);
                }
                Err(error) => return Err(self.failure(error)),
            }
        }
    }

    fn failure(&self, error: csv::Error) -> Error {
        let line = self.reader.position().line();
        match error.into_kind() {
            csv::ErrorKind::Io(error) => {
                let place = match self.rows {
                    0 => "in its header row".to_owned(),
                    1 => "in its first record".to_owned(),
                    rows => format!("after record {}", rows - 1),
                };
                Error::stream(&self.file, place, error)
            }
            csv::ErrorKind::Utf8 { err, .. } => Error::Input {
                file: self.file.clone(),
                place: format!("line {}, column {}", line - 1, err.field() + 1),
                message: "this is not UTF-8: save the file as UTF-8 (iconv -f LATIN1 -t UTF-8)".to_owned(),
            },
            other => Error::Input {
                file: self.file.clone(),
                place: format!("line {line}"),
                message: format!("this is no row of a table: {other:?}"),
            },
        }
    }

    /// The present row, however many columns it has.
    pub fn row(&self) -> &StringRecord {
        &self.row
    }

    /// The present row, with as many columns as the header row has; otherwise what is wrong with it.
    pub fn fields(&self) -> std::result::Result<&StringRecord, String> {
        match (self.row.len(), self.names.len()) {
            (found, wanted) if found == wanted => Ok(&self.row),
            (found, wanted) => Err(format!("{found} columns where the header row has {wanted}")),
        }
    }

    /// The next row, or `None` at the end, where a bad row is an error like any other.
    ///
    /// # Errors
    /// What is wrong with the file or the row.
    pub fn next_row(&mut self) -> Result<Option<Vec<&str>>> {
        if !self.advance()? {
            return Ok(None);
        }
        match self.fields() {
            Ok(row) => Ok(Some(row.iter().collect())),
            Err(message) => Err(self.error(message)),
        }
    }

    /// The line of the present row, from 1.
    pub fn line(&self) -> u64 {
        self.reader.position().line() - 1
    }

    /// An error at the row that was read last.
    pub fn error(&self, message: impl Into<String>) -> Error {
        let id = self.row.get(0).unwrap_or_default();
        Error::Input { file: self.file.clone(), place: format!("line {} ({id})", self.line()), message: message.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(text: &str) -> Table<&[u8]> {
        Table::open(text.as_bytes(), "x.tsv").expect("text").expect("a header row")
    }

    #[test]
    fn columns_are_found_by_name_and_errors_name_the_line() {
        let mut table = open("\n\nid\tSeq\tlabel\r\na\tACGU\t1\r\n\nb\tAC\n");
        assert_eq!(table.column(&["sequence", "seq"]).expect("there is one"), 1);
        assert!(table.column(&["structure"]).expect_err("none").to_string().contains("structure"));
        assert_eq!(table.next_row().expect("a row"), Some(vec!["a", "ACGU", "1"]));
        let error = table.next_row().expect_err("a short row").to_string();
        assert!(error.contains("line 6 (b)") && error.contains("2 columns"), "{error}");
        assert!(Table::open(&b""[..], "empty").expect("no error").is_none());
        assert!(Table::open(&b"\n\t\n \n"[..], "blank").expect("no error").is_none());
    }

    #[test]
    fn quotes_are_letters_and_rows_of_tabs_are_blank() {
        let mut table = open("id\tseq\n\"a\tAC\n\t\n\"b\"\t\"G\"\n  \n");
        let mut rows = Vec::new();
        while let Some(row) = table.next_row().expect("a row") {
            rows.push(row.join("|"));
        }
        assert_eq!(rows, ["\"a|AC", "\"b\"|\"G\""]);
    }

    #[test]
    fn a_bad_row_is_no_error_of_the_file() {
        let mut table = open("id\tseq\na\nb\tC\nc\tG\tx\nd\tU");
        let mut good = Vec::new();
        let mut bad = Vec::new();
        while table.advance().expect("the file is sound") {
            match table.fields() {
                Ok(row) => good.push(row[0].to_owned()),
                Err(message) => bad.push(table.error(message).to_string()),
            }
        }
        assert_eq!(good, ["b", "d"]);
        assert!(bad[0].contains("line 2 (a): 1 columns") && bad[1].contains("line 4 (c): 3 columns"), "{bad:?}");
    }

    #[test]
    fn what_the_file_is_instead_is_said() {
        for (text, expected) in [
            ("id,seq\na,AC\n", "parted by commas"),
            ("id;seq\na;AC\n", "parted by semicolons"),
            ("id seq\na AC\n", "parted by blanks"),
            ("\"id\",\"seq\"\n", "parted by commas"),
            ("\"id\"\t\"seq\"\n", "in quotes"),
            (">a\nACGU\n", "this is FASTA"),
            ("@a\nACGU\n+\nIIII\n", "this is FASTQ"),
            ("name\tfamily\n", "a column seq is needed; found are: name, family"),
            ("seq\tseq\n", "two columns are called seq"),
        ] {
            let error = open(text).column(&["seq"]).expect_err(text).to_string();
            assert!(error.contains(expected) && error.contains("x.tsv: header row"), "{error}");
        }
        let mut latin = Table::open(&b"id\tseq\na\tAC\nb\xb5\tG\n"[..], "x.tsv").expect("text").expect("a header row");
        assert!(latin.advance().expect("a row"));
        let error = latin.advance().expect_err("Latin 1").to_string();
        assert!(error.contains("line 3, column 1") && error.contains("not UTF-8"), "{error}");
    }
}
