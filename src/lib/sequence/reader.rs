//! Reading records: from files and standard input, of any format and compression, whole or one shard.

use super::alphabet::{iupac_letters, normalise_into};
use super::fastq::Fastq;
use super::feed::Feed;
use super::record::Record;
use super::shard::Shard;
use super::tally::Tally;
use super::text::{first_letter, open_raw, text};
use super::token_table::TokenTable;
use crate::{Error, Result};
use needletail::parser::{FastaReader, FastxReader};
use std::cmp::Ordering;
use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering as Memory};

/// Bytes that a FASTA parser holds at once; it takes more for longer records.
const BUFFER: usize = 256 * 1024;

/// The log target of messages about records that were set aside: `-q` does not silence them.
pub const SET_ASIDE: &str = "set aside";

/// Where records come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InputFile {
    /// Standard input.
    Stdin,
    /// A file.
    Path(PathBuf),
}

impl InputFile {
    /// The name as messages show it.
    pub fn name(&self) -> String {
        match self {
            InputFile::Stdin => "standard input".to_owned(),
            InputFile::Path(path) => path.display().to_string(),
        }
    }
}

impl From<&Path> for InputFile {
    /// `-` is standard input.
    fn from(path: &Path) -> Self {
        if path == Path::new("-") { InputFile::Stdin } else { InputFile::Path(path.to_owned()) }
    }
}

/// The formats that a tool makes sense of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Accept {
    /// FASTA, FASTQ and token tables.
    #[default]
    Any,
    /// FASTA and FASTQ.
    Sequences,
    /// Token tables without labels.
    Tokens,
}

/// What becomes of a record that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum OnError {
    /// It ends the run.
    #[default]
    Fail,
    /// It is named on standard error, counted, and left out.
    Skip,
}

/// How to read.
#[derive(Clone, Debug, Default)]
pub struct ReaderOptions {
    /// The formats to take.
    pub accept: Accept,
    /// What becomes of bad records.
    pub on_error: OnError,
    /// Which part of the input to deliver; everything by default.
    pub shard: Option<Shard>,
    /// Whether a second record of the same id is an error: where ids key the output. Takes 8 bytes a record.
    pub unique_ids: bool,
    /// Whether records of FASTA may have a line of constraints after the sequence, as RNAfold's option -C reads it.
    pub constraints: bool,
    /// Counts what is delivered and what could not be.
    pub tally: Tally,
}

/// What a parser makes of the next record.
pub(super) enum Step {
    Record,
    Bad(Defect),
    /// The stream cannot be read on, or is not what it should be.
    Failed(Error),
    /// The end of the stream, or of what could be read of it.
    End,
}

/// What is wrong with one record.
#[derive(Debug)]
pub(super) struct Defect {
    pub(super) id: Option<String>,
    /// The place within the record, as in `position 17`.
    pub(super) place: Option<String>,
    pub(super) message: String,
}

/// Records, one after the other, in memory that does not grow with their number.
///
/// After an error nothing follows. A compressed stream that is cut off delivers every whole record first.
pub struct RecordReader {
    options: ReaderOptions,
    waiting: VecDeque<InputFile>,
    current: Option<Source>,
    /// Records met so far in all inputs.
    ordinal: u64,
    /// Nucleotides met so far, for shards.
    nucleotides: u64,
    /// Nucleotides of the whole input, where it is sharded.
    total: u64,
    seen: HashSet<u64, BuildHasherDefault<PassThrough>>,
    set_aside: u64,
    quiet: bool,
    done: bool,
    bytes: Arc<AtomicU64>,
    #[allow(clippy::type_complexity)]
    observer: Option<Box<dyn FnMut(Progress) + Send>>,
}

/// How far a reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes read from the inputs, compressed as they are.
    pub bytes: u64,
    /// Records met.
    pub records: u64,
    /// Nucleotides met.
    pub nucleotides: u64,
}

struct Source {
    file: String,
    /// What FASTA and FASTQ are read from, which keeps a failure of the stream aside.
    feed: Option<Feed>,
    parser: Parser,
    /// Records met in this input.
    records: u64,
}

enum Parser {
    /// The parser, and what it reads from.
    Fasta(FastaReader<Feed>, Feed),
    Fastq(Fastq),
    Tokens(TokenTable),
    /// An input of no bytes.
    Empty,
}

impl RecordReader {
    /// Opens inputs; none means standard input. Errors where one is missing or, for shards, cannot be read twice.
    ///
    /// For a shard this reads everything once to count the nucleotides, so that a defect anywhere is met by all shards.
    pub fn open(inputs: &[InputFile], options: ReaderOptions) -> Result<Self> {
        let inputs = if inputs.is_empty() { vec![InputFile::Stdin] } else { inputs.to_vec() };
        if inputs.iter().filter(|input| **input == InputFile::Stdin).count() > 1 {
            return Err(Error::Usage("standard input ('-') can be read only once".to_owned()));
        }
        for input in &inputs {
            check_input(input, options.shard)?;
        }
        let mut reader = Self {
            waiting: inputs.iter().cloned().collect(),
            current: None,
            ordinal: 0,
            nucleotides: 0,
            total: 0,
            seen: HashSet::default(),
            set_aside: 0,
            quiet: false,
            done: false,
            bytes: Arc::default(),
            observer: None,
            options,
        };
        if reader.options.shard.is_some() {
            let options = ReaderOptions { shard: None, tally: Tally::default(), ..reader.options.clone() };
            let mut count = Self::open(&inputs, options)?;
            count.quiet = true;
            let mut record = Record::default();
            loop {
                match count.read(&mut record) {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(error) => {
                        // What ends the run here is counted as if it had come later.
                        (0..count.options.tally.rejected()).for_each(|_| reader.options.tally.reject());
                        return Err(error);
                    }
                }
            }
            reader.total = count.nucleotides;
        }
        Ok(reader)
    }

    #[cfg(feature = "train")]
    /// Reads the records of a text that has been opened already ([`super::open_text`]); errors call it as `input`.
    pub(crate) fn of_text(text: Box<dyn BufRead + Send>, input: &InputFile, options: ReaderOptions) -> Result<Self> {
        let mut reader = Self::open(&[], ReaderOptions { shard: None, ..options })?;
        reader.waiting.clear();
        reader.current = Some(Source::of_text(text, input.name(), reader.options.accept, BUFFER)?);
        Ok(reader)
    }

    /// Calls `observer` after every record, with how far the reader is.
    pub fn observe(&mut self, observer: impl FnMut(Progress) + Send + 'static) {
        self.observer = Some(Box::new(observer));
    }

    /// Reads the next record into `record`, whose buffers are used again; false at the end.
    pub fn read(&mut self, record: &mut Record) -> Result<bool> {
        if self.done {
            return Ok(false);
        }
        let outcome = self.advance(record);
        if !matches!(outcome, Ok(true)) {
            self.done = true;
            if self.set_aside > 0 && !self.quiet {
                let plural = if self.set_aside == 1 { "record was" } else { "records were" };
                log::warn!(target: SET_ASIDE, "{} {plural} set aside", self.set_aside);
            }
        }
        outcome
    }

    fn advance(&mut self, record: &mut Record) -> Result<bool> {
        loop {
            let Some(source) = &mut self.current else {
                match self.waiting.pop_front() {
                    Some(input) => self.current = Some(Source::open(&input, &self.options, &self.bytes)?),
                    None => return Ok(false),
                }
                continue;
            };
            record.tokens = None;
            record.constraints = None;
            record.ambiguous = 0;
            record.iupac = None;
            let step = match &mut source.parser {
                Parser::Fasta(parser, feed) => read_fasta(parser, feed, record, self.options.constraints),
                Parser::Fastq(parser) => parser.read(record),
                Parser::Tokens(parser) => parser.read(record),
                Parser::Empty => Step::End,
            };
            let defect = match step {
                Step::End => {
                    if let Some(failure) = source.feed.as_ref().and_then(Feed::take_failure) {
                        return Err(source.failure(failure));
                    }
                    self.current = None;
                    continue;
                }
                Step::Failed(error) => return Err(error),
                Step::Record if self.options.unique_ids && !self.seen.insert(hash(&record.id)) => {
                    let message = "an earlier record has the same id: give each its own".to_owned();
                    Some(Defect { id: Some(record.id.clone()), place: None, message })
                }
                Step::Record => None,
                Step::Bad(defect) => Some(defect),
            };
            record.ordinal = self.ordinal;
            self.ordinal += 1;
            source.records += 1;
            let whose = match self.options.shard {
                Some(shard) => shard.compare(self.nucleotides, self.total),
                None => Ordering::Equal,
            };
            if let Some(defect) = defect {
                let error = source.defect(defect);
                if self.options.on_error == OnError::Fail {
                    self.options.tally.reject();
                    return Err(error);
                }
                if whose.is_eq() {
                    self.options.tally.reject();
                    self.set_aside += 1;
                    if !self.quiet {
                        log::warn!(target: SET_ASIDE, "set aside: {error}");
                    }
                }
                continue;
            }
            self.nucleotides += record.sequence.len() as u64;
            if let Some(observer) = &mut self.observer {
                observer(Progress {
                    bytes: self.bytes.load(Memory::Relaxed),
                    records: self.ordinal,
                    nucleotides: self.nucleotides,
                });
            }
            match whose {
                Ordering::Less => {}
                Ordering::Equal => {
                    self.options.tally.add(1, record.sequence.len() as u64);
                    if let Some(doubt) = record.doubt().filter(|_| !self.quiet) {
                        self.options.tally.doubt(doubt, &record.id);
                    }
                    return Ok(true);
                }
                Ordering::Greater => return Ok(false),
            }
        }
    }
}

impl Iterator for RecordReader {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Result<Record>> {
        let mut record = Record::default();
        match self.read(&mut record) {
            Ok(true) => Some(Ok(record)),
            Ok(false) => None,
            Err(error) => Some(Err(error)),
        }
    }
}

/// Finds out before any work whether an input is there and can be sharded.
fn check_input(input: &InputFile, shard: Option<Shard>) -> Result<()> {
    let refuse = |name: &str| {
        Err(Error::Usage(format!("--shard reads its input twice, which {name} does not allow: give files instead")))
    };
    match input {
        InputFile::Stdin if shard.is_some() => refuse("standard input"),
        InputFile::Stdin => Ok(()),
        InputFile::Path(path) => {
            let data = std::fs::metadata(path).map_err(|error| Error::read(path, error))?;
            if data.is_dir() {
                return Err(Error::read(path, io::ErrorKind::IsADirectory.into()));
            }
            if shard.is_some() && !data.is_file() {
                return refuse(&input.name());
            }
            Ok(())
        }
    }
}

/// Reads the next record. needletail is fed two line ends after the last byte, so that a header without a sequence is an
/// empty record there too, instead of an error that does not say whose.
fn read_fasta(parser: &mut FastaReader<Feed>, feed: &Feed, record: &mut Record, constraints: bool) -> Step {
    match parser.next() {
        Some(Ok(found)) => {
            let end = found.position().byte() + found.all().len() as u64;
            // The last record before a failure of the stream may be cut off.
            if feed.failed_after().is_some_and(|delivered| end + 1 >= delivered) {
                return Step::End;
            }
            let raw = found.raw_seq();
            let (letters, line) = raw.split_at(if constraints { constraints_after(raw) } else { raw.len() });
            let line: Vec<u8> = line.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
            if !line.is_empty() {
                record.constraints = Some(line);
            }
            match record.fill(found.id(), letters) {
                Ok(()) => Step::Record,
                Err(defect) => Step::Bad(defect),
            }
        }
        // Past the first byte, needletail finds fault only with a header at the very end: see above.
        Some(Err(_)) | None => Step::End,
    }
}

/// Where the lines of constraints begin among the lines of a record: there are as many characters of them as letters before.
fn constraints_after(lines: &[u8]) -> usize {
    let is_constraint = |byte: &u8| b".|x<>()".contains(byte) || byte.is_ascii_whitespace();
    let count = |part: &[u8]| part.iter().filter(|byte| !byte.is_ascii_whitespace()).count();
    let starts = memchr::memchr_iter(b'\n', lines).map(|end| end + 1);
    let fits = |&start: &usize| {
        let (letters, line) = lines.split_at(start);
        count(letters) == count(line) && line.iter().all(is_constraint)
    };
    starts.into_iter().find(fits).unwrap_or(lines.len())
}

/// Bytes to read at once: of a small file a part, so that the bytes read tell how far a slow run is.
fn buffer_for(input: &InputFile) -> usize {
    let size = match input {
        InputFile::Stdin => None,
        InputFile::Path(path) => std::fs::metadata(path).ok().filter(|data| data.is_file()).map(|data| data.len()),
    };
    size.map_or(BUFFER, |size| ((size / 128) as usize).next_power_of_two().clamp(8 * 1024, BUFFER))
}

impl Source {
    fn open(input: &InputFile, options: &ReaderOptions, bytes: &Arc<AtomicU64>) -> Result<Self> {
        let file = input.name();
        let raw = Box::new(Counted { inner: open_raw(input)?, bytes: bytes.clone() });
        let stream = text(raw, &file)?;
        let buffer = buffer_for(input);
        Self::of_text(Box::new(BufReader::with_capacity(buffer, stream)), file, options.accept, buffer)
    }

    /// Finds out what a text holds.
    fn of_text(mut stream: Box<dyn BufRead + Send>, file: String, accept: Accept, buffer: usize) -> Result<Self> {
        let start = first_letter(&mut stream).map_err(|error| Error::stream(&file, "at its start", error))?;
        let Some(start) = start else {
            return Ok(Self { file, feed: None, parser: Parser::Empty, records: 0 });
        };
        let refuse = |message: String| Error::Input { file: file.clone(), place: "line 1".to_owned(), message };
        let (feed, parser) = match start {
            b'>' | b'@' if accept == Accept::Tokens => {
                let format = if start == b'>' { "FASTA" } else { "FASTQ" };
                return Err(refuse(format!("this is {format}, but tokens are wanted: make them with rna-kmerize")));
            }
            b'>' => {
                let feed = Feed::new(stream, b"\n\n");
                (Some(feed.clone()), Parser::Fasta(FastaReader::with_capacity(feed.clone(), buffer), feed))
            }
            b'@' => {
                let feed = Feed::keeping(stream);
                (Some(feed.clone()), Parser::Fastq(Fastq::new(feed)))
            }
            _ => {
                let table = TokenTable::open(stream, &file)?;
                match accept {
                    Accept::Sequences => {
                        return Err(refuse(
                            "these are tokens already, but sequences are wanted: FASTA or FASTQ".to_owned(),
                        ));
                    }
                    Accept::Tokens if table.has_labels() => {
                        return Err(refuse("this table has labels: it is masked already".to_owned()));
                    }
                    _ => (None, Parser::Tokens(table)),
                }
            }
        };
        Ok(Self { file, feed, parser, records: 0 })
    }

    /// The error of a stream that broke off after the records met so far.
    fn failure(&self, error: io::Error) -> Error {
        let place = match self.records {
            0 => "in its first record".to_owned(),
            records => format!("after record {records}"),
        };
        Error::stream(&self.file, place, error)
    }

    /// The error of the record just met.
    fn defect(&self, defect: Defect) -> Error {
        let mut place = format!("record {}", self.records);
        if let Some(id) = defect.id {
            place.push_str(&format!(" ({id})"));
        }
        if let Some(within) = defect.place {
            place.push_str(&format!(", {within}"));
        }
        Error::Input { file: self.file.clone(), place, message: defect.message }
    }
}

/// Counts the bytes that go through.
struct Counted {
    inner: Box<dyn Read + Send>,
    bytes: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.bytes.fetch_add(length as u64, Memory::Relaxed);
        Ok(length)
    }
}

impl Record {
    /// Sets id and description from a header without its first character.
    pub(super) fn name(&mut self, header: &[u8]) -> std::result::Result<(), Defect> {
        let end = header.iter().position(u8::is_ascii_whitespace).unwrap_or(header.len());
        let (id, description) = header.split_at(end);
        self.id.clear();
        match std::str::from_utf8(id) {
            Ok("") => {
                let message = "the record has no id: put one right after its first character".to_owned();
                return Err(Defect { id: None, place: None, message });
            }
            Ok(id) => self.id.push_str(id),
            Err(_) => {
                let id = Some(String::from_utf8_lossy(id).into_owned());
                return Err(Defect { id, place: None, message: "the id is not UTF-8: rename it".to_owned() });
            }
        }
        self.description.clear();
        self.description.push_str(&String::from_utf8_lossy(description.trim_ascii()));
        Ok(())
    }

    /// Sets name and sequence from a header without its first character and letters with line ends.
    pub(super) fn fill(&mut self, header: &[u8], letters: &[u8]) -> std::result::Result<(), Defect> {
        self.name(header)?;
        self.ambiguous = normalise_into(letters, &mut self.sequence).map_err(|bad| Defect {
            id: Some(self.id.clone()),
            place: Some(format!("position {}", bad.position)),
            message: bad.to_string(),
        })?;
        self.iupac = (self.ambiguous > 0).then(|| iupac_letters(letters));
        if self.sequence.is_empty() {
            let message = "empty record: a header without a sequence".to_owned();
            return Err(Defect { id: Some(self.id.clone()), place: None, message });
        }
        Ok(())
    }
}

/// A number that is the same on every run: 64 bits, so that two ids of ten million share one with odds of 3 in a million.
fn hash(id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}

/// The hasher of numbers that are hashes.
#[derive(Default)]
struct PassThrough(u64);

impl Hasher for PassThrough {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Codec {
        None,
        Gzip,
        Bgzip,
        Bzip2,
        Xz,
        Zstd,
    }

    const CODECS: [Codec; 6] = [Codec::None, Codec::Gzip, Codec::Bgzip, Codec::Bzip2, Codec::Xz, Codec::Zstd];

    fn compress(text: &[u8], compression: Codec) -> Vec<u8> {
        match compression {
            Codec::None => text.to_vec(),
            Codec::Gzip => {
                let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
                writer.write_all(text).unwrap();
                writer.finish().unwrap()
            }
            Codec::Bgzip => {
                let mut writer = noodles::bgzf::io::Writer::new(Vec::new());
                writer.write_all(text).unwrap();
                writer.finish().unwrap()
            }
            Codec::Bzip2 => {
                let mut writer = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
                writer.write_all(text).unwrap();
                writer.finish().unwrap()
            }
            Codec::Xz => {
                let mut writer = liblzma::write::XzEncoder::new(Vec::new(), 1);
                writer.write_all(text).unwrap();
                writer.finish().unwrap()
            }
            Codec::Zstd => {
                let mut writer = zstd::stream::Encoder::new(Vec::new(), 1).unwrap();
                // As the zstd program does.
                writer.include_checksum(true).unwrap();
                writer.write_all(text).unwrap();
                writer.finish().unwrap()
            }
        }
    }

    /// What a reader of files with these contents delivers, and how it ends.
    fn read(contents: &[&[u8]], options: ReaderOptions) -> (Vec<Record>, Option<String>) {
        let folder = tempfile::tempdir().unwrap();
        let mut inputs = Vec::new();
        for (number, content) in contents.iter().enumerate() {
            let path = folder.path().join(format!("file{number}"));
            std::fs::write(&path, content).unwrap();
            inputs.push(InputFile::Path(path));
        }
        let mut records = Vec::new();
        let reader = match RecordReader::open(&inputs, options) {
            Ok(reader) => reader,
            Err(error) => return (records, Some(error.to_string())),
        };
        for record in reader {
            match record {
                Ok(record) => records.push(record),
                Err(error) => return (records, Some(error.to_string())),
            }
        }
        (records, None)
    }

    fn read_all(content: &[u8]) -> Vec<Record> {
        let (records, error) = read(&[content], ReaderOptions::default());
        assert_eq!(error, None);
        records
    }

    fn error_of(content: &[u8]) -> String {
        read(&[content], ReaderOptions::default()).1.expect("an error")
    }

    fn skipping() -> ReaderOptions {
        ReaderOptions { on_error: OnError::Skip, ..ReaderOptions::default() }
    }

    fn ids(records: &[Record]) -> Vec<&str> {
        records.iter().map(|record| record.id.as_str()).collect()
    }

    #[test]
    fn fasta_and_fastq_of_every_appearance() {
        for text in [
            "\u{feff}>a the first\nACGT\nacgu\n>b\nNRY\n",
            "\n\n>a the first\r\nACGT\r\nacgu\r\n>b\r\nNRY\r\n",
            ">a   the first  \nACGTacgu\n\n>b\n\nNRY",
            "@a\tthe first\nACGTacgu\n+\n@@@@++++\n@b\nNRY\n+b\n+@I\n",
            "@a the first\r\nACGTacgu\r\n+\r\nIIIIIIII\r\n@b\r\nNRY\r\n+\r\nIII",
            "@a the first\nACGTacgu\n+\nIIIIIIII\n@b\nNRY\n+\nIII\n\n\n",
        ] {
            let records = read_all(text.as_bytes());
            assert_eq!(ids(&records), ["a", "b"], "{text:?}");
            assert_eq!(records[0].description, "the first");
            assert_eq!(records[0].sequence, b"ACGUACGU");
            assert_eq!((records[1].description.as_str(), records[1].ordinal), ("", 1));
            assert_eq!(records[1].sequence, b"NNN");
            assert_eq!(records[1].tokens, None);
        }
        let odd = read_all(b">sp|Q1/2.3;x=1,y\xc2\xb5 z\nA\n>1\nC");
        assert_eq!(ids(&odd), ["sp|Q1/2.3;x=1,y\u{b5}", "1"]);
    }

    #[test]
    fn nothing_is_no_error() {
        for codec in CODECS {
            for text in ["", "\n", "\r\n\n", "id\tlength\ttokens\n"] {
                assert_eq!(read_all(&compress(text.as_bytes(), codec)), [], "{text:?} {codec:?}");
            }
        }
        let (records, error) = read(&[b"", b">a\nA", b"", b">b\nC\n"], ReaderOptions::default());
        assert_eq!((ids(&records), error), (vec!["a", "b"], None));
        assert_eq!((records[0].ordinal, records[1].ordinal), (0, 1));
    }

    #[test]
    fn bad_records_are_named() {
        for (text, expected) in [
            (">a\nA\n>b x\nACGT\nAC-G\n", "record 2 (b), position 7: '-' is an alignment gap"),
            (">a\nAC GU\n", "record 1 (a), position 3: white space"),
            (">a\nACGU*\n", "record 1 (a), position 5: '*'"),
            (">a\nA1\n", "record 1 (a), position 2: '1'"),
            (">a\n>b\nA\n", "record 1 (a): empty record"),
            (">a\nA\n>b", "record 2 (b): empty record"),
            (">a\nA\n>b\n", "record 2 (b): empty record"),
            (">a\nA\n>b\n\n\n", "record 2 (b): empty record"),
            (">", "record 1: the record has no id"),
            ("> a\nA\n", "record 1: the record has no id"),
            ("@a\nACGU\n+\nIII\n", "record 1 (a): sequence length is 4 but quality length is 3"),
            ("@a\nA\n+\nI\n@b x\nACGU\n+\nI", "record 2 (b): sequence length is 4 but quality length is 1"),
            ("@a\nA\n+\nI\n@b\nACGU\n", "record 2 (b): the input ends inside this record"),
            ("@a\nA\n+\nI\n@b", "record 2 (b): the input ends inside this record"),
            ("@a\nACGU\nACGU\n+\nIIII\nIIII\n", "record 1 (a): the third line does not begin with '+'"),
            ("@a\nA\n+\nI\nACGU\n+\nIIII\nx\n", "record 2: the record does not begin with '@'"),
            ("@a\n\n+\n\n", "record 1 (a): empty record"),
            ("@a\nAXC\n+\nIII\n", "record 1 (a), position 2: 'X'"),
            ("@", "record 1: the input ends"),
            ("ACGU\n", "line 1: begins with 'ACGU': neither FASTA"),
            ("x", "line 1: begins with 'x': neither FASTA"),
            ("id\tlength\ttokens\na\t2\tA\n", "record 1 (a): the length is given as '2'"),
        ] {
            let error = error_of(text.as_bytes());
            assert!(error.contains(&format!("file0: {expected}")), "{text:?}: {error}");
        }
        assert!(error_of(b">\xff\xfe\nACGU\n").contains("the id is not UTF-8"));
    }

    #[test]
    fn skipping_sets_bad_records_aside_and_keeps_the_rest() {
        for (text, kept) in [
            (">a\nA\n>b\nA-\n>c\nC\n>d\n>e\nG\n>f", "a:0 c:2 e:4"),
            ("@a\nA\n+\nI\n@b\nACG\n+\nI\n@c\nC\n+\nI\n", "a:0 c:2"),
            ("@a\nA\n+\nI\n@b\nACG\nACG\n+\n@II\nIII\n@c\nC\n+\nI\n@d\nG\n+\nI", "a:0 c:2 d:3"),
            ("@a\nA\n+\nI\n\n@c\nC\n+\nI\n", "a:0 c:2"),
            ("@a\nA\n+\nI\n@b\nACGU\n+\nII", "a:0"),
            ("@a\nACGU\n", ""),
            ("id\tlength\ttokens\na\t1\tA\nb\t2\tA\nc\t1\tG\n", "a:0 c:2"),
        ] {
            let (records, error) = read(&[text.as_bytes()], skipping());
            let found: Vec<String> = records.iter().map(|record| format!("{}:{}", record.id, record.ordinal)).collect();
            assert_eq!((found.join(" ").as_str(), error), (kept, None), "{text:?}");
        }
    }

    #[test]
    fn a_fastq_of_many_blocks_goes_on_after_every_bad_record() {
        let mut text = String::new();
        for number in 0..20_000 {
            let quality = if number % 1000 == 500 { "II" } else { "@III" };
            text.push_str(&format!("@r{number}\n{}\n+\n{quality}\n", ["ACGU", "GGCC"][number % 2]));
        }
        let (records, error) = read(&[text.as_bytes()], skipping());
        assert_eq!((records.len(), error), (20_000 - 20, None));
        assert!(records.iter().all(|record| record.id == format!("r{}", record.ordinal)));
        assert_eq!(records[19_979].sequence, b"GGCC");
    }

    #[test]
    fn the_same_id_twice() {
        let text = b">a\nA\n>b\nC\n>a x\nG\n";
        assert_eq!(ids(&read_all(text)), ["a", "b", "a"]);
        let unique = ReaderOptions { unique_ids: true, ..ReaderOptions::default() };
        let (records, error) = read(&[text], unique.clone());
        assert_eq!(ids(&records), ["a", "b"]);
        assert!(error.unwrap().contains("record 3 (a): an earlier record has the same id"));
        let (records, _) = read(&[text], ReaderOptions { on_error: OnError::Skip, ..unique.clone() });
        assert_eq!(ids(&records), ["a", "b"]);
        // Also from one file to the next.
        assert!(read(&[b">a\nA\n", b">a\nA\n"], unique).1.is_some());
    }

    #[test]
    fn formats_that_make_no_sense_are_refused() {
        let accepting = |accept| ReaderOptions { accept, ..ReaderOptions::default() };
        let table = b"id\tlength\ttokens\na\t1\tA\n";
        let labelled = b"id\tlength\ttokens\tlabels\na\t1\tA\t.\n";
        assert!(read(&[table], accepting(Accept::Sequences)).1.unwrap().contains("tokens already"));
        assert!(read(&[b">a\nA\n"], accepting(Accept::Tokens)).1.unwrap().contains("rna-kmerize"));
        assert!(read(&[b"@a\nA\n+\nI\n"], accepting(Accept::Tokens)).1.unwrap().contains("rna-kmerize"));
        assert!(read(&[labelled], accepting(Accept::Tokens)).1.unwrap().contains("masked already"));
        assert_eq!(read(&[table, labelled], accepting(Accept::Any)).0.len(), 2);
    }

    #[test]
    fn inputs_that_are_not_there() {
        let missing = RecordReader::open(&[InputFile::Path("/nonexistent/x.fa".into())], ReaderOptions::default());
        assert!(missing.err().unwrap().to_string().contains("/nonexistent/x.fa: cannot read"));
        assert!(RecordReader::open(&[InputFile::Path("/".into())], ReaderOptions::default()).is_err());
        let twice = RecordReader::open(&[InputFile::Stdin, InputFile::Stdin], ReaderOptions::default());
        assert!(matches!(twice.err(), Some(Error::Usage(_))));
        let sharded = ReaderOptions { shard: Shard::new(1, 2), ..ReaderOptions::default() };
        assert!(matches!(RecordReader::open(&[], sharded).err(), Some(Error::Usage(_))));
    }

    /// Cutting a compressed file anywhere is an error, after whole records only; a bgzip file also between blocks.
    #[test]
    fn cut_streams_are_errors_after_whole_records() {
        let mut text = String::new();
        for number in 0..40 {
            text.push_str(&format!(">r{number}\n{}\n", "ACGUU".repeat(1 + number * 7 % 13)));
        }
        for codec in &CODECS[1..] {
            let whole = compress(text.as_bytes(), *codec);
            let expected = read_all(&whole);
            assert_eq!(expected.len(), 40);
            for cut in (14..whole.len()).step_by(7).chain([whole.len() - 1]) {
                for options in [ReaderOptions::default(), skipping()] {
                    let (records, error) = read(&[&whole[..cut]], options);
                    let error = error.unwrap_or_else(|| panic!("{codec:?} cut at {cut} of {}", whole.len()));
                    assert!(error.contains("data end too early") && error.contains("copy or download"), "{error}");
                    assert_eq!(records, expected[..records.len()], "{codec:?} cut at {cut}");
                }
            }
        }
        let mut blocks = compress(text.as_bytes(), Codec::Bgzip);
        blocks.truncate(blocks.len() - 28);
        assert!(error_of(&blocks).contains("the last block of bgzip is missing"));
    }

    #[test]
    fn damaged_data_are_errors() {
        let text: String = (0..500).map(|number| format!(">r{number}\nACGUACGGUA\n")).collect();
        for codec in &CODECS[1..] {
            let mut bytes = compress(text.as_bytes(), *codec);
            let middle = bytes.len() / 2;
            bytes[middle..middle + 8].iter_mut().for_each(|byte| *byte ^= 0x5a);
            assert!(read(&[&bytes], skipping()).1.is_some(), "{codec:?}");
        }
    }

    #[test]
    fn members_of_gzip_and_bgzip_mix_and_zeros_may_follow() {
        let (plain, blocks) = (compress(b">a\nAC\n", Codec::Gzip), compress(b">b\nGU\n", Codec::Bgzip));
        for (bytes, expected) in [
            ([blocks.clone(), plain.clone()].concat(), vec!["b", "a"]),
            ([plain.clone(), blocks.clone()].concat(), vec!["a", "b"]),
            ([plain.clone(), vec![0; 512]].concat(), vec!["a"]),
            ([blocks.clone(), vec![0; 3]].concat(), vec!["b"]),
            // A bgzip file that was cut between two blocks is none to its end when a plain member follows.
            ([blocks[..blocks.len() - 28].to_vec(), plain.clone()].concat(), vec!["b", "a"]),
        ] {
            assert_eq!(ids(&read_all(&bytes)), expected);
        }
        let cut = [plain.clone(), blocks[..blocks.len() - 28].to_vec()].concat();
        assert!(error_of(&cut).contains("the last block of bgzip is missing"));
        for codec in &CODECS[1..] {
            let bytes = [compress(b">a\nAC\n>b\nGU\n", *codec), b"GARBAGE, NO MEMBER".to_vec()].concat();
            let (records, error) = read(&[&bytes], skipping());
            assert_eq!(ids(&records), ["a"], "{codec:?}");
            assert!(error.expect("an error").contains("are damaged"), "{codec:?}");
        }
    }

    #[test]
    fn line_ends_of_old_systems_lose_no_bases() {
        let record = |text: &str| read_all(text.as_bytes()).remove(0);
        assert_eq!(record(">a x\rACGU\nACGU\n").sequence, b"ACGUACGU");
        let old: Vec<Record> = read_all(b">a x\rACGU\rAC\r>b\rGG\r");
        assert_eq!((ids(&old), old[0].sequence.as_slice()), (vec!["a", "b"], &b"ACGUAC"[..]));
        assert_eq!(ids(&read_all(b"@a\rACGU\r+\rIIII\r@b\rA\r+\rI\r")), ["a", "b"]);
        assert_eq!(ids(&read_all(b"id\tlength\ttokens\ra\t1\tA\rb\t1\tG\r")), ["a", "b"]);
    }

    #[test]
    fn an_error_of_the_file_is_no_bad_record() {
        for (text, expected) in [
            (&b"\xff\xfe>\0a\0\n\0A\0"[..], "UTF-16"),
            (b"id\tlength\ttokens\na\t1\tA\nb\xb5\t1\tA\nc\t1\tA\n", "not UTF-8"),
            (b"id,length,tokens\na,1,A\n", "begins with 'id,length"),
            (b"PK\x03\x04\x14\0", "workbook"),
        ] {
            let error = read(&[text], skipping()).1.expect("an error");
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn files_of_several_members_are_read_to_the_end() {
        for codec in CODECS {
            let bytes = [compress(b">a\nAC", codec), compress(b"GU\n>b\nG\n", codec)].concat();
            let records = read_all(&bytes);
            assert_eq!((ids(&records), records[0].sequence.as_slice()), (vec!["a", "b"], &b"ACGU"[..]), "{codec:?}");
        }
    }

    #[test]
    fn records_around_the_size_of_the_buffer() {
        for length in [BUFFER - 8, BUFFER - 5, BUFFER - 4, BUFFER - 3, BUFFER - 2, BUFFER - 1, BUFFER, 3 * BUFFER + 1] {
            let sequence = "ACGU".repeat(length / 4 + 1)[..length].to_owned();
            for text in
                [format!(">a\n{sequence}\n>b\nA\n"), format!(">a\n{sequence}"), format!(">b\nA\n>a\n{sequence}\n")]
            {
                let records = read_all(text.as_bytes());
                let long = records.iter().find(|record| record.id == "a").unwrap();
                assert!(long.sequence == sequence.as_bytes() && records.len() == 1 + text.contains(">b") as usize);
            }
            let text = format!("@a\n{sequence}\n+\n{}\n@b\nA\n+\nI\n", "I".repeat(length));
            let records = read_all(text.as_bytes());
            assert!(records[0].sequence == sequence.as_bytes() && records.len() == 2);
        }
    }

    #[test]
    fn shards_share_out_records_and_their_numbers() {
        let text = ">a\nACGU\n>bad\nA-\n>b\nAC\n>c\nACGUAC\n>d\nA\n>bad\n";
        let shard = |number, count| {
            let options = ReaderOptions { shard: Shard::new(number, count), ..skipping() };
            let (records, error) = read(&[text.as_bytes(), b">e\nACG\n"], options);
            assert_eq!(error, None);
            records.iter().map(|record| format!("{}:{}", record.id, record.ordinal)).collect::<Vec<_>>().join(" ")
        };
        // Begin at 0, 4, 6, 12 and 13 of 16 nucleotides.
        assert_eq!(shard(1, 1), "a:0 b:2 c:3 d:4 e:6");
        assert_eq!([shard(1, 2), shard(2, 2)], ["a:0 b:2 c:3", "d:4 e:6"]);
        assert_eq!([shard(1, 4), shard(2, 4), shard(3, 4), shard(4, 4)], ["a:0", "b:2 c:3", "", "d:4 e:6"]);
        let failing = ReaderOptions { shard: Shard::new(1, 2), ..ReaderOptions::default() };
        let (records, error) = read(&[text.as_bytes()], failing);
        assert!(records.is_empty() && error.unwrap().contains("record 2 (bad)"));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
        #[test]
        fn any_layout_reads_back(
            records in prop::collection::vec(("[!-~]{1,12}", "[ACGTUNacgtunRYSWKMBDHV]{1,400}"), 0..30),
            fastq in any::<bool>(), width in 1usize..90, windows in any::<bool>(), last in any::<bool>(),
            codec in prop::sample::select(CODECS.to_vec()), count in 1u64..5,
        ) {
            let end = if windows { "\r\n" } else { "\n" };
            let mut text = String::new();
            for (id, sequence) in &records {
                if fastq {
                    text.push_str(&format!("@{id}{end}{sequence}{end}+{end}{}{end}", "I".repeat(sequence.len())));
                } else {
                    text.push_str(&format!(">{id} d{end}"));
                    for line in sequence.as_bytes().chunks(width) {
                        text.push_str(&format!("{}{end}", std::str::from_utf8(line).unwrap()));
                    }
                }
            }
            if last {
                text.truncate(text.trim_end().len());
            }
            let bytes = compress(text.as_bytes(), codec);
            let found = read_all(&bytes);
            prop_assert_eq!(found.len(), records.len());
            for (number, (record, (id, sequence))) in found.iter().zip(&records).enumerate() {
                prop_assert_eq!(record.ordinal, number as u64);
                prop_assert_eq!(&record.id, id);
                prop_assert_eq!(&record.sequence, &super::super::normalise(sequence.as_bytes()).unwrap());
            }
            let parts = (1..=count).flat_map(|number| {
                read(&[&bytes], ReaderOptions { shard: Shard::new(number, count), ..ReaderOptions::default() }).0
            });
            prop_assert_eq!(parts.collect::<Vec<_>>(), found);
        }
    }
}
