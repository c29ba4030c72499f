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
/// are passed over. Compressed or not, as everywhere. After an error nothing follows.
pub struct SitePairReader {
    inputs: std::vec::IntoIter<InputFile>,
    current: Option<Open>,
    options: ReaderOptions,
    /// Rows met so far.
    ordinal: u64,
    /// Rows of all inputs, where they are sharded.
    total: u64,
    set_aside: u64,
    done: bool,
}

struct Open {
    table: Table<Box<dyn BufRead + Send>>,
    /// mirna, mirna_seq, target, target_seq.
    columns: [usize; 4],
}

/// A row: a pair, or what is wrong with this row alone.
type Row = std::result::Result<SitePair, Error>;

impl SitePairReader {
    /// Opens tables that are read one after another. For a shard all rows are counted first, so files are needed. Of the
    /// options, formats and ids do not matter here.
    ///
    /// # Errors
    /// Where an input is missing, cannot be read twice though it must, or lacks a column; for a shard also where one is cut
    /// off or damaged anywhere, so that every shard says so.
    pub fn open(inputs: Vec<InputFile>, options: ReaderOptions) -> Result<Self> {
        let reader = |inputs: Vec<InputFile>, options| Self {
            inputs: inputs.into_iter(),
            current: None,
            options,
            ordinal: 0,
            total: 0,
            set_aside: 0,
            done: false,
        };
        let mut total = 0;
        if options.shard.is_some() {
            if inputs.contains(&InputFile::Stdin) {
                let message = "--shard reads its input twice, which standard input does not allow: give files instead";
                return Err(Error::Usage(message.into()));
            }
            let mut counting = reader(inputs.clone(), ReaderOptions::default());
            // A defect that ends the run must end it in every shard.
            while let Some(row) = counting.next_row()? {
                if let Err(error) = row
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

    /// The next row of all inputs; the outer error is one of a file.
    fn next_row(&mut self) -> Result<Option<Row>> {
        loop {
            let Some(open) = &mut self.current else {
                let Some(input) = self.inputs.next() else { return Ok(None) };
                self.current = Open::new(&input)?;
                continue;
            };
            match open.next()? {
                Some(row) => return Ok(Some(row)),
                None => self.current = None,
            }
        }
    }

    /// The next pair of this shard.
    fn read(&mut self) -> Result<Option<SitePair>> {
        while let Some(row) = self.next_row()? {
            let before = self.ordinal;
            self.ordinal += 1;
            if self.options.shard.is_some_and(|shard| shard.compare(before, self.total).is_ne()) {
                continue;
            }
            match row {
                Ok(pair) => {
                    let nucleotides = pair.mirna_sequence.len() + pair.target_sequence.len();
                    self.options.tally.add(1, nucleotides as u64);
                    return Ok(Some(pair));
                }
                Err(error) => {
                    self.options.tally.reject();
                    if self.options.on_error == OnError::Fail {
                        return Err(error);
                    }
                    self.set_aside += 1;
                    log::warn!(target: SET_ASIDE, "set aside: {error}");
                }
            }
        }
        Ok(None)
    }
}

impl Iterator for SitePairReader {
    type Item = Result<SitePair>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let pair = self.read().transpose();
        self.done = !matches!(pair, Some(Ok(_)));
        if self.done && self.set_aside > 0 {
            let plural = if self.set_aside == 1 { "row was" } else { "rows were" };
            log::warn!(target: SET_ASIDE, "{} {plural} set aside", self.set_aside);
        }
        pair
    }
}

impl Open {
    /// Opens a table; `None` where it is empty.
    fn new(input: &InputFile) -> Result<Option<Self>> {
        let Some(table) = Table::open(open_text(input)?, &input.name())? else { return Ok(None) };
        let columns = [
            table.column(&["mirna", "mirna_name"])?,
            table.column(&["mirna_seq"])?,
            table.column(&["target", "target_id"])?,
            table.column(&["target_seq"])?,
        ];
        Ok(Some(Self { table, columns }))
    }

    /// The next row; the outer error is one of the file.
    fn next(&mut self) -> Result<Option<Row>> {
        if !self.table.advance()? {
            return Ok(None);
        }
        Ok(Some(self.pair().map_err(|message| self.table.error(message))))
    }

    fn pair(&self) -> std::result::Result<SitePair, String> {
        let row = self.table.fields()?;
        let [mirna, mirna_sequence, target, target_sequence] = self.columns;
        let mut pair = SitePair { mirna: row[mirna].into(), target: row[target].into(), ..SitePair::default() };
        for (name, text, sequence) in [
            ("mirna_seq", &row[mirna_sequence], &mut pair.mirna_sequence),
            ("target_seq", &row[target_sequence], &mut pair.target_sequence),
        ] {
            normalise_into(text.as_bytes(), sequence)
                .map_err(|bad| format!("{name}: position {}: {bad}", bad.position))?;
            if sequence.is_empty() {
                return Err(format!("{name} is empty"));
            }
        }
        Ok(pair)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sequence::Shard;

    const HEADER: &str = "mirna\tmirna_seq\ttarget\ttarget_seq\n";

    /// The names of the miRNAs that a table gives, and how it ends.
    fn read(bytes: &[u8], shard: Option<Shard>) -> (Vec<String>, Option<String>) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("pairs.tsv");
        std::fs::write(&path, bytes).expect("a file");
        let options = ReaderOptions { on_error: OnError::Skip, shard, ..ReaderOptions::default() };
        let reader = match SitePairReader::open(vec![InputFile::Path(path)], options) {
            Ok(reader) => reader,
            Err(error) => return (Vec::new(), Some(error.to_string())),
        };
        let mut names = Vec::new();
        for pair in reader.take(1000) {
            match pair {
                Ok(pair) => names.push(pair.mirna),
                Err(error) => return (names, Some(error.to_string())),
            }
        }
        (names, None)
    }

    #[test]
    fn bad_rows_are_set_aside_and_errors_of_the_file_are_not() {
        let rows = "a\tAC\tt\tGU\nb\tAC\tt\nc\tA-\tt\tG\nd\t\tt\tG\ne\tA\tt\tG\n";
        assert_eq!(read(format!("{HEADER}{rows}").as_bytes(), None), (vec!["a".into(), "e".into()], None));
        let halves = [1, 2].map(|part| read(format!("{HEADER}{rows}").as_bytes(), Shard::new(part, 2)));
        assert_eq!(halves, [(vec!["a".into()], None), (vec!["e".into()], None)]);
        for (text, expected) in [
            (format!("{}{rows}", HEADER.replace('\t', ",")), "parted by commas"),
            (format!("{}{rows}", HEADER.replace("mirna_seq", "sequence")), "a column mirna_seq is needed"),
            (">a\nACGU\n".to_owned(), "this is FASTA"),
        ] {
            for shard in [None, Shard::new(1, 2)] {
                let (names, error) = read(text.as_bytes(), shard);
                assert!(names.is_empty() && error.as_ref().is_some_and(|error| error.contains(expected)), "{error:?}");
            }
        }
        let wide: Vec<u8> = HEADER.encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert!(read(&wide, None).1.is_some_and(|error| error.contains("UTF-16")));
    }

    #[test]
    fn a_cut_table_ends_every_shard() {
        use std::io::Write;
        let mut text = HEADER.to_owned();
        (0..2000).for_each(|row| text.push_str(&format!("m{row}\tACGU\tt{}\tGGCC\n", row * 7919 % 1009)));
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        writer.write_all(text.as_bytes()).expect("bytes");
        let bytes = writer.finish().expect("bytes");
        for shard in [None, Shard::new(1, 2), Shard::new(2, 2)] {
            let (_, error) = read(&bytes[..bytes.len() / 2], shard);
            assert!(error.as_ref().is_some_and(|error| error.contains("cut off")), "{error:?}");
        }
    }
}
