//! metrics.tsv: how a run went, one row every few steps, in a form that R and pandas read.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use super::checkpoint::write_atomically;
use crate::format::number;
use crate::{Error, Result};

/// Columns that every run has; those of the task's validation follow.
const COLUMNS: [&str; 8] =
    ["step", "epoch", "records", "tokens", "loss", "learning_rate", "gradient_norm", "tokens_per_second"];

/// One row, without the validation columns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// Updates made.
    pub step: u64,
    /// Pass over the data, from 1.
    pub epoch: u64,
    /// Records used since the start of the run.
    pub records: u64,
    /// Tokens used since the start of the run.
    pub tokens: u64,
    /// Mean training loss since the row before.
    pub loss: f64,
    /// Learning rate of the last step.
    pub learning_rate: f64,
    /// Norm of the last step's gradient before clipping.
    pub gradient_norm: f64,
    /// Tokens per second of training (validation not counted) since the row before.
    pub tokens_per_second: f64,
}

/// The open table.
pub struct MetricsTable {
    path: PathBuf,
    file: File,
    validation_columns: usize,
    rows: u64,
}

impl MetricsTable {
    /// Opens the table of a run that stands at `step` and had written `rows` rows by then: those that a killed run left
    /// after them and that will be made again are removed, and so is a last row that was cut short. Where `rows` is not
    /// known, all rows up to that step stay.
    ///
    /// # Errors
    /// Where the table cannot be read or written.
    pub fn open(path: &Path, validation_columns: &[&str], step: u64, rows: Option<u64>) -> Result<Self> {
        let header = [&COLUMNS[..], validation_columns].concat().join("\t");
        let mut kept = header.clone() + "\n";
        let (mut count, most) = (0, rows.unwrap_or(u64::MAX));
        match File::open(path) {
            Ok(file) => {
                let mut reader = BufReader::new(file);
                let mut line = String::new();
                while reader.read_line(&mut line).map_err(|source| Error::read(path, source))? > 0 {
                    let row_step = line.split('\t').next().and_then(|field| field.parse::<u64>().ok());
                    if line.ends_with('\n') && row_step.is_some_and(|row_step| row_step <= step) && count < most {
                        kept.push_str(&line);
                        count += 1;
                    }
                    line.clear();
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(source) => return Err(Error::read(path, source)),
        }
        if fs::read(path).ok().as_deref() != Some(kept.as_bytes()) {
            write_atomically(path, |file| file.write_all(kept.as_bytes()))?;
        }
        let file = OpenOptions::new().append(true).open(path).map_err(|source| Error::write(path, source))?;
        Ok(Self { path: path.to_owned(), file, validation_columns: validation_columns.len(), rows: count })
    }

    /// How many rows there are below the header.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Appends a row; without a validation its columns hold NA.
    pub fn append(&mut self, row: &Row, validation: Option<&[f64]>) -> Result<()> {
        let mut line = format!("{}\t{}\t{}\t{}", row.step, row.epoch, row.records, row.tokens);
        for value in [row.loss, row.learning_rate, row.gradient_norm, row.tokens_per_second] {
            line.push('\t');
            line.push_str(&cell(value));
        }
        for column in 0..self.validation_columns {
            line.push('\t');
            line.push_str(&validation.and_then(|values| values.get(column)).map_or("NA".into(), |value| cell(*value)));
        }
        line.push('\n');
        self.rows += 1;
        self.file.write_all(line.as_bytes()).map_err(|source| Error::write(&self.path, source))
    }
}

/// A number as in every table, but NA where there is none (not a number), as R and pandas read it.
fn cell(value: f64) -> String {
    if value.is_nan() { "NA".into() } else { number::format(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(step: u64) -> Row {
        Row {
            step,
            epoch: 1,
            records: 2 * step,
            tokens: 100 * step,
            loss: 1.0 / step as f64,
            learning_rate: 1e-4,
            gradient_norm: 0.5,
            tokens_per_second: 1234.5678,
        }
    }

    #[test]
    fn rows_past_the_resumed_step_are_made_again_once() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("metrics.tsv");
        let mut table = MetricsTable::open(&path, &["accuracy"], 0, None).expect("a table");
        for step in [10, 20, 30] {
            table.append(&row(step), (step == 20).then_some(&[0.75])).expect("a row");
        }
        let whole = fs::read_to_string(&path).expect("its text");
        assert_eq!(
            whole.lines().nth(2),
            Some("20\t1\t40\t2000\t0.05\t0.0001\t0.5\t1234.57\t0.75"),
            "six significant digits, no more"
        );
        // A run killed in the middle of a row after step 20 was saved.
        fs::write(&path, format!("{whole}40\t1\t8")).expect("a broken row");
        let mut table = MetricsTable::open(&path, &["accuracy"], 20, None).expect("a table");
        assert_eq!(table.rows(), 2);
        table.append(&row(30), None).expect("a row");
        assert_eq!(fs::read_to_string(&path).expect("its text"), whole);
        // Killed after the last validation, whose row has the same step as the one before, and before its checkpoint.
        table.append(&row(30), Some(&[0.5])).expect("a row");
        let table = MetricsTable::open(&path, &["accuracy"], 30, Some(3)).expect("a table");
        assert_eq!((table.rows(), fs::read_to_string(&path).expect("its text")), (3, whole));
    }

    #[test]
    fn what_is_no_number_is_missing() {
        assert_eq!(cell(f64::NAN), "NA");
        assert_eq!(cell(1.234567e-9), "1.23457e-09");
    }
}
