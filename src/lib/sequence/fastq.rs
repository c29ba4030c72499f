//! FASTQ through needletail, which stops at its first error: here the next record is found after one.

use super::feed::Feed;
use super::reader::{Defect, Step};
use super::record::Record;
use needletail::errors::{ParseError, ParseErrorKind};
use needletail::parser::{FastqReader, FastxReader};

/// Bytes that the parser holds at once.
const BUFFER: usize = 256 * 1024;

/// Records of a FASTQ stream (four lines each).
pub(super) struct Fastq {
    feed: Feed,
    parser: FastqReader<Feed>,
    /// Where the parser began in the stream.
    begin: u64,
}

impl Fastq {
    /// A reader of `feed`, which must keep what it delivers.
    pub(super) fn new(feed: Feed) -> Self {
        Self { parser: FastqReader::with_capacity(feed.clone(), BUFFER), feed, begin: 0 }
    }

    /// Reads the next record.
    pub(super) fn read(&mut self, record: &mut Record) -> Step {
        let error = match self.parser.next() {
            None => return Step::End,
            Some(Ok(found)) => {
                self.feed.forget(self.begin + found.position().byte());
                return match record.fill(found.id(), found.raw_seq()) {
                    Ok(()) => Step::Record,
                    Err(defect) => Step::Bad(defect),
                };
            }
            Some(Err(error)) => error,
        };
        if self.feed.failed_after().is_some() {
            return Step::End;
        }
        // needletail counts the failing record's own bytes only once it asks for the one after it.
        let position = self.begin + self.parser.position().byte();
        let defect = self.defect(&error, position);
        let next = self.after(&error.kind, position);
        self.feed.forget(next);
        self.feed.rewind(next);
        self.begin = next;
        self.parser = FastqReader::with_capacity(self.feed.clone(), BUFFER);
        Step::Bad(defect)
    }

    fn defect(&self, error: &ParseError, position: u64) -> Defect {
        let text = self.feed.peek(position, 1024);
        let header = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let id = header.strip_prefix(b"@").and_then(|header| header.split(u8::is_ascii_whitespace).next());
        let id = id.map(|id| String::from_utf8_lossy(id).into_owned()).filter(|id| !id.is_empty());
        let message = match error.kind {
            ParseErrorKind::UnequalLengths => {
                format!("{}: the record is damaged or cut off", error.msg.replacen('S', "s", 1))
            }
            ParseErrorKind::InvalidSeparator => {
                "the third line does not begin with '+': FASTQ records have four lines each".to_owned()
            }
            ParseErrorKind::InvalidStart => "the record does not begin with '@'".to_owned(),
            _ => "the input ends inside this record: it is cut off".to_owned(),
        };
        Defect { id, place: None, message }
    }

    /// Where to go on after a record at `position` that cannot be read.
    fn after(&self, kind: &ParseErrorKind, position: u64) -> u64 {
        let mut wanted = 64 * 1024;
        loop {
            let text = self.feed.peek(position, wanted);
            let ended = text.len() < wanted;
            let starts: Vec<usize> = std::iter::once(0)
                .chain(text.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(index, _)| index + 1))
                .collect();
            // The four lines are there but differ in length: the next record follows them.
            if *kind == ParseErrorKind::UnequalLengths
                && let Some(next) = starts.get(4)
            {
                return position + *next as u64;
            }
            // Otherwise the next four lines that look like a record: a quality line may begin with '@' too.
            let line = |number: usize| {
                let end = starts.get(number + 1).map_or(text.len(), |next| next - 1);
                starts.get(number).and_then(|start| text.get(*start..end)).map(<[u8]>::trim_ascii_end)
            };
            let found = (1..starts.len()).find(|&number| {
                line(number).is_some_and(|header| header.starts_with(b"@"))
                    && line(number + 2).is_some_and(|separator| separator.starts_with(b"+"))
                    && line(number + 1).map(<[u8]>::len) == line(number + 3).map(<[u8]>::len)
                    && (ended || number + 4 < starts.len())
            });
            if let Some(number) = found {
                return position + starts[number] as u64;
            }
            if ended {
                return position + text.len() as u64;
            }
            wanted *= 4;
        }
    }
}
