//! Pairs of a miRNA and a target site, from a table with named columns.

use std::io::BufRead;

use super::alphabet::normalise_into;
use super::reader::{InputFile, OnError, ReaderOptions, SET_ASIDE};
use super::text::open_text;
use crate::format::named_columns::Table;
use crate::{Error, Result};

/// One pair. Both sequences read 5' to 3' and hold ACGUN.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SitePair {
    /// Name of the miRNA.
    pub mirna: String,
    /// The miRNA.
    pub mirna_sequence: Vec<u8>,
    /// Name of the target.
    pub target: String,
    /// The target site.
    pub target_sequence: Vec<u8>,
}

/// Reads the rows of a TSV: `mirna` or `mirna_name`, `mirna_seq`, `target` or `target_id`, `target_seq`; other columns
/// are passed over. Compressed or not, as everywhere.
pub struct SitePairReader {
    inputs: std::vec::IntoIter<InputFile>,
    current: Option<Open>,
    options: ReaderOptions,
    ordinal: u64,
    total: u64,
}

struct Open {
    table: Table<Box<dyn BufRead + Send>>,
    /// mirna, mirna_seq, target, target_seq.
    columns: [usize; 4],
}

impl SitePairReader {
    /// Opens tables that are read one after another. For a shard all rows are counted first, so files are needed. Of the
    /// options, formats and ids do not matter here.
    ///
    /// # Errors
    /// Where an input is missing, cannot be read twice though it must, or lacks a column.
    pub fn open(inputs: Vec<InputFile>, options: ReaderOptions) -> Result<Self> {
        let reader = |inputs: Vec<InputFile>, options| Self {
            inputs: inputs.into_iter(),
            current: None,
            options,
            ordinal: 0,
            total: 0,
        };
        let mut total = 0;
        if options.shard.is_some() {
            if inputs.contains(&InputFile::Stdin) {
                let message = "--shard reads its input twice, which standard input does not allow: give files instead";
                return Err(Error::Usage(message.into()));
            }
            let mut counting = reader(inputs.clone(), ReaderOptions::default());
            // A defect that ends the run must end it in every shard.
            while let Some(pair) = counting.next_row() {
                if let Err(error) = pair
                    && options.on_error == OnError::Fail
                {
                    options.tally.reject();
                    return Err(error);
                }
                total += 1;
            }
        }
        Ok(Self { total, ..reader(inputs, options) })
    }

    fn next_row(&mut self) -> Option<Result<SitePair>> {
        loop {
            if self.current.is_none() {
                match open(&self.inputs.next()?) {
                    Ok(opened) => self.current = opened,
                    Err(error) => return Some(Err(error)),
                }
            }
            let Some(open) = &mut self.current else { continue };
            match open.next() {
                Some(pair) => return Some(pair),
                None => self.current = None,
            }
        }
    }
}

impl Iterator for SitePairReader {
    type Item = Result<SitePair>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let before = self.ordinal;
            let pair = self.next_row()?;
            self.ordinal += 1;
            if self.options.shard.is_some_and(|shard| shard.compare(before, self.total).is_ne()) {
                continue;
            }
            match pair {
                // A damaged stream goes on nowhere; a bad row may be set aside.
                Err(error @ Error::Input { .. }) => {
                    self.options.tally.reject();
                    if self.options.on_error == OnError::Fail {
                        return Some(Err(error));
                    }
                    log::warn!(target: SET_ASIDE, "set aside: {error}");
                }
                Ok(pair) => {
                    let nucleotides = pair.mirna_sequence.len() + pair.target_sequence.len();
                    self.options.tally.add(1, nucleotides as u64);
                    return Some(Ok(pair));
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

fn open(input: &InputFile) -> Result<Option<Open>> {
    let Some(table) = Table::open(open_text(input)?, &input.name())? else { return Ok(None) };
    let columns = [
        table.column(&["mirna", "mirna_name"])?,
        table.column(&["mirna_seq"])?,
        table.column(&["target", "target_id"])?,
        table.column(&["target_seq"])?,
    ];
    Ok(Some(Open { table, columns }))
}

impl Open {
    fn next(&mut self) -> Option<Result<SitePair>> {
        let [mirna, mirna_sequence, target, target_sequence] = self.columns;
        let mut pair = SitePair::default();
        let mut wrong = None;
        match self.table.next_row() {
            Err(error) => return Some(Err(error)),
            Ok(None) => return None,
            Ok(Some(row)) => {
                pair.mirna = row[mirna].to_owned();
                pair.target = row[target].to_owned();
                for (name, text, sequence) in [
                    ("mirna_seq", row[mirna_sequence], &mut pair.mirna_sequence),
                    ("target_seq", row[target_sequence], &mut pair.target_sequence),
                ] {
                    if let Err(bad) = normalise_into(text.as_bytes(), sequence) {
                        wrong = Some(format!("{name}: position {}: {bad}", bad.position));
                    } else if sequence.is_empty() {
                        wrong = Some(format!("{name} is empty"));
                    }
                }
            }
        }
        Some(match wrong {
            Some(message) => Err(self.table.error(message)),
            None => Ok(pair),
        })
    }
}
