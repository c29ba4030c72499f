//! Records for pretraining: sequences, token tables, or token tables that are masked already.
//!
//! From files, the records are copied once to an uncompressed temporary file whose index alone is held in memory, so
//! that a pass may read them in any order. The file has no name: nothing is left of it however the run ends, and no other
//! process can put something in its place. From standard input there is one pass, in windows that are held in memory and shuffled.

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::Records;
use super::split::held_out;
use crate::sequence::{Masked, Masker, Record, RecordReader, Tokenizer};
use crate::{Error, Result};

/// What becomes of a record.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Makes the tokens.
    pub tokenizer: Tokenizer,
    /// Part of the tokens that is masked.
    pub mask_rate: f64,
    /// Longer records give a random window of this many nucleotides.
    pub max_length: usize,
    /// Shorter records are left out.
    pub min_length: usize,
}

/// Records in memory or in a file.
pub struct PretrainRecords {
    settings: Settings,
    store: Store,
}

enum Store {
    Memory(Vec<Vec<u8>>),
    File { file: File, path: String, entries: Vec<Entry> },
}

/// Where a stored record lies.
#[derive(Clone, Copy)]
struct Entry {
    offset: u64,
    bytes: u32,
    tokens: u32,
}

/// Marks a token without label.
const NO_LABEL: u32 = u32::MAX;

/// How a record is stored: a letter that says which of these, the length of the id (two bytes), the id, and then its
/// letters or numbers.
const LETTERS: u8 = b'L';
const TOKENS: u8 = b'T';
const MASKED: u8 = b'M';

fn store_record(record: &Record, tokenizer: &Tokenizer) -> Result<Vec<u8>> {
    let kind = match &record.tokens {
        None => LETTERS,
        Some(tokens) if tokens.labels.is_none() => TOKENS,
        Some(_) => MASKED,
    };
    // Ids serve messages and tables only, so one of absurd length may lose its end.
    let id = &record.id.as_bytes()[..record.id.floor_char_boundary(usize::from(u16::MAX))];
    let mut bytes = vec![kind];
    bytes.extend((id.len() as u16).to_le_bytes());
    bytes.extend(id);
    match &record.tokens {
        None => bytes.extend(&record.sequence),
        Some(tokens) => {
            bytes.extend(record.token_ids(tokenizer)?.iter().flat_map(|id| id.to_le_bytes()));
            let labels = tokens.labels.iter().flatten();
            bytes.extend(labels.flat_map(|label| label.unwrap_or(NO_LABEL).to_le_bytes()));
        }
    }
    Ok(bytes)
}

/// A record as it was stored.
struct Stored<'a> {
    kind: u8,
    id: &'a [u8],
    body: &'a [u8],
    tokens: usize,
}

impl<'a> Stored<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        let (id, body) = bytes[3..].split_at(usize::from(u16::from_le_bytes([bytes[1], bytes[2]])));
        let width = match bytes[0] {
            LETTERS => 1,
            TOKENS => 4,
            _ => 8,
        };
        Self { kind: bytes[0], id, body, tokens: body.len() / width }
    }
}

fn numbers(bytes: &[u8]) -> Vec<u32> {
    bytes.chunks_exact(4).map(|chunk| u32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]])).collect()
}

/// A record whose tokens are partly hidden.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PretrainExample {
    /// The record's id.
    pub id: String,
    /// Its tokens and what stands behind the hidden ones.
    pub masked: Masked,
}

impl Settings {
    /// The example that a stored record gives.
    fn example(&self, bytes: &[u8], random: &mut ChaCha8Rng) -> Result<PretrainExample> {
        let Stored { kind, id, body, tokens: length } = Stored::new(bytes);
        let kept = length.min(self.max_length);
        let start = if length > kept { random.random_range(0..=length - kept) } else { 0 };
        let window = start..start + kept;
        let tokens = match kind {
            LETTERS => self.tokenizer.encode(&body[window.clone()]),
            _ => numbers(&body[4 * window.start..4 * window.end]),
        };
        let masked = if kind == MASKED {
            let labels = numbers(&body[4 * (length + window.start)..4 * (length + window.end)]);
            Masked { tokens, labels: labels.into_iter().map(|label| (label != NO_LABEL).then_some(label)).collect() }
        } else {
            Masker::new(self.tokenizer, self.mask_rate, random.random())?.mask(0, &tokens)
        };
        Ok(PretrainExample { id: String::from_utf8_lossy(id).into_owned(), masked })
    }
}

impl Records for PretrainRecords {
    type Example = PretrainExample;

    fn len(&self) -> usize {
        match &self.store {
            Store::Memory(records) => records.len(),
            Store::File { entries, .. } => entries.len(),
        }
    }

    fn tokens(&self, index: usize) -> usize {
        let tokens = match &self.store {
            Store::Memory(records) => Stored::new(&records[index]).tokens,
            Store::File { entries, .. } => entries[index].tokens as usize,
        };
        tokens.min(self.settings.max_length)
    }

    fn example(&self, index: usize, random: &mut ChaCha8Rng) -> Result<PretrainExample> {
        let bytes = match &self.store {
            Store::Memory(records) => Cow::Borrowed(records[index].as_slice()),
            Store::File { file, path, entries } => {
                let entry = entries[index];
                let mut bytes = vec![0; entry.bytes as usize];
                file.read_exact_at(&mut bytes, entry.offset).map_err(|source| Error::read(path, source))?;
                Cow::Owned(bytes)
            }
        };
        self.settings.example(&bytes, random)
    }
}

/// What is held out of the records of the input files.
#[derive(Clone, Copy, Debug)]
pub struct HeldOut {
    /// Seed of the run.
    pub seed: u64,
    /// Part of the records, chosen by their ids.
    pub fraction: f64,
}

/// Copies all records to a temporary file in `folder` and parts them into those to train on and those held out.
///
/// # Errors
/// Where a record cannot be read, or the file cannot be written.
pub fn spool(
    mut reader: RecordReader,
    settings: Settings,
    held: HeldOut,
    folder: &Path,
) -> Result<(PretrainRecords, PretrainRecords)> {
    let name = format!("temporary file in {}", folder.display());
    let unwritable = |source| Error::write(&name, source);
    let file = tempfile::tempfile_in(folder).map_err(unwritable)?;
    let mut writer = BufWriter::with_capacity(1 << 20, &file);
    let (mut training, mut validation) = (Vec::new(), Vec::new());
    let mut offset = 0;
    let mut record = Record::default();
    while reader.read(&mut record)? {
        if record.len() < settings.min_length {
            continue;
        }
        let bytes = store_record(&record, &settings.tokenizer)?;
        writer.write_all(&bytes).map_err(unwritable)?;
        let entry = Entry { offset, bytes: bytes.len() as u32, tokens: record.len() as u32 };
        offset += bytes.len() as u64;
        let part =
            if held_out(held.seed, record.id.as_bytes(), held.fraction) { &mut validation } else { &mut training };
        part.push(entry);
    }
    writer.flush().map_err(unwritable)?;
    drop(writer);
    let second = file.try_clone().map_err(unwritable)?;
    let records =
        |file, entries| PretrainRecords { settings, store: Store::File { file, path: name.clone(), entries } };
    Ok((records(file, training), records(second, validation)))
}

/// Standard input, in windows of records that are held in memory.
pub struct Stream {
    reader: RecordReader,
    settings: Settings,
    window: usize,
}

impl Stream {
    /// A stream in windows of `window` records.
    pub fn new(reader: RecordReader, settings: Settings, window: usize) -> Self {
        Self { reader, settings, window }
    }

    /// The next window; `None` at the end of the stream.
    ///
    /// # Errors
    /// Where a record cannot be read.
    pub fn next_window(&mut self) -> Result<Option<PretrainRecords>> {
        let mut records = Vec::new();
        let mut record = Record::default();
        while records.len() < self.window && self.reader.read(&mut record)? {
            if record.len() >= self.settings.min_length {
                records.push(store_record(&record, &self.settings.tokenizer)?);
            }
        }
        Ok((!records.is_empty()).then_some(PretrainRecords { settings: self.settings, store: Store::Memory(records) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    use crate::sequence::{InputFile, ReaderOptions};
    use crate::train::random::{Purpose, generator};

    fn settings(k: usize) -> Settings {
        let tokenizer = Tokenizer::new(k).expect("a valid k");
        Settings { tokenizer, mask_rate: 0.15, max_length: 50, min_length: 5 }
    }

    fn reader(folder: &Path, text: &str) -> RecordReader {
        let path = folder.join("input");
        fs::write(&path, text).expect("a file");
        RecordReader::open(&[InputFile::Path(path)], ReaderOptions::default()).expect("a reader")
    }

    const NONE: HeldOut = HeldOut { seed: 0, fraction: 0.0 };

    #[test]
    fn files_are_spooled_cropped_and_masked_and_leave_nothing_behind() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let long = "ACGU".repeat(100);
        let text = format!(">a\nACGUACGUACGU\nACGUACGU\n>short\nACG\n>long\n{long}\n");
        let (records, validation) =
            spool(reader(folder.path(), &text), settings(1), NONE, folder.path()).expect("spooled");
        assert_eq!(fs::read_dir(folder.path()).expect("a listing").count(), 1, "only the input is left");
        assert_eq!((records.len(), validation.len()), (2, 0));
        assert_eq!((records.tokens(0), records.tokens(1)), (20, 50));
        let example =
            |index, draw| records.example(index, &mut generator(1, Purpose::Record, &[draw])).expect("an example");
        assert_eq!(example(1, 0), example(1, 0));
        assert_ne!(example(1, 0), example(1, 1), "each draw masks anew");
        for draw in 0..20 {
            let masked = example(0, draw).masked;
            assert_eq!(masked.labels.iter().flatten().count(), 3, "15 % of 20 tokens");
            for (index, label) in masked.labels.iter().enumerate() {
                let original = label.unwrap_or(masked.tokens[index]);
                assert_eq!(original, [6, 8, 9, 7][index % 4]);
            }
        }
    }

    #[test]
    fn a_masked_table_keeps_its_own_labels() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let text = "id\tlength\ttokens\tlabels\na\t6\tA [MASK] G U A C\t. C . . . .\n";
        let (records, _) = spool(reader(folder.path(), text), settings(1), NONE, folder.path()).expect("spooled");
        let PretrainExample { id, masked } =
            records.example(0, &mut generator(1, Purpose::Record, &[])).expect("an example");
        assert_eq!(id, "a");
        assert_eq!(masked.tokens, [6, 4, 9, 7, 6, 8]);
        assert_eq!(masked.labels, [None, Some(8), None, None, None, None]);
    }

    #[test]
    fn held_out_records_are_in_no_pass() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let text: String = (0..200).map(|i| format!(">r{i}\nACGUACGU\n")).collect();
        let held = HeldOut { seed: 3, fraction: 0.25 };
        let (records, validation) =
            spool(reader(folder.path(), &text), settings(1), held, folder.path()).expect("spooled");
        assert_eq!(records.len() + validation.len(), 200);
        assert!((30..70).contains(&validation.len()));
    }

    #[test]
    fn a_stream_comes_in_windows() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let text: String = (0..25).map(|i| format!(">r{i}\n{}\n", "ACGUA".repeat(1 + i))).collect();
        let mut stream = Stream::new(reader(folder.path(), &text), settings(5), 10);
        let mut sizes = Vec::new();
        while let Some(window) = stream.next_window().expect("a window") {
            sizes.push(window.len());
            assert_eq!(
                window.example(0, &mut generator(1, Purpose::Record, &[])).expect("one").masked.tokens.len(),
                window.tokens(0)
            );
        }
        assert_eq!(sizes, [10, 10, 5]);
    }
}
