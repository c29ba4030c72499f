//! Damage: what happens to files on their way, applied to sound ones.

use proptest::prelude::*;
use proptest::sample::Index;
use std::io::Write;

/// One change of a file.
#[derive(Clone, Debug)]
pub enum Change {
    /// One byte becomes another.
    Byte(Index, u8),
    /// Bytes from one place to another go.
    Remove(Index, Index),
    /// Text is put in: words that mean something in the format.
    Insert(Index, String),
    /// A line is repeated, goes, or changes places with another.
    RepeatLine(Index),
    RemoveLine(Index),
    SwapLines(Index, Index),
    /// All line ends change, to CRLF or CR.
    LineEnds(bool),
    /// Tabs become another letter.
    Tabs(u8),
    /// The file becomes UTF-16, or gets a byte order mark.
    Wide,
    Mark,
    /// The rest is cut off.
    Cut(Index),
    /// Something follows the end.
    Append(Vec<u8>),
}

/// At most a few changes, with words out of `words`; often none.
pub fn changes(words: &'static [&'static str]) -> impl Strategy<Value = Vec<Change>> {
    let index = any::<Index>;
    let word = prop_oneof![
        4 => prop::sample::select(words.to_vec()).prop_map(str::to_owned),
        1 => "[\\t\\n\\r >@#.()\\[\\]0-9A-Za-z=;:,|\"%&+-]{0,4}",
    ];
    let change = prop_oneof![
        3 => (index(), any::<u8>()).prop_map(|(at, byte)| Change::Byte(at, byte)),
        2 => (index(), index()).prop_map(|(from, to)| Change::Remove(from, to)),
        4 => (index(), word).prop_map(|(at, word)| Change::Insert(at, word)),
        1 => index().prop_map(Change::RepeatLine),
        1 => index().prop_map(Change::RemoveLine),
        1 => (index(), index()).prop_map(|(a, b)| Change::SwapLines(a, b)),
        1 => any::<bool>().prop_map(Change::LineEnds),
        1 => prop::sample::select(b", ;|".to_vec()).prop_map(Change::Tabs),
        1 => Just(Change::Wide),
        1 => Just(Change::Mark),
        1 => index().prop_map(Change::Cut),
        1 => prop::collection::vec(any::<u8>(), 1..5).prop_map(Change::Append),
    ];
    prop_oneof![1 => Just(Vec::new()), 5 => prop::collection::vec(change, 1..5)]
}

/// The bytes after the changes.
pub fn damaged(mut bytes: Vec<u8>, changes: &[Change]) -> Vec<u8> {
    for change in changes {
        let length = bytes.len();
        let place = |index: &Index| index.index(length + 1);
        match change {
            Change::Byte(at, byte) if length > 0 => bytes[at.index(length)] = *byte,
            Change::Byte(..) => {}
            Change::Remove(from, to) => {
                let (from, to) = (place(from), place(to));
                bytes.drain(from.min(to)..from.max(to).min(from.min(to) + 200));
            }
            Change::Insert(at, word) => {
                let at = place(at);
                bytes.splice(at..at, word.bytes());
            }
            Change::RepeatLine(_) | Change::RemoveLine(_) | Change::SwapLines(..) => {
                let mut lines: Vec<Vec<u8>> =
                    bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
                if lines.is_empty() {
                    continue;
                }
                let count = lines.len();
                match change {
                    Change::RepeatLine(at) => lines.insert(at.index(count), lines[at.index(count)].clone()),
                    Change::RemoveLine(at) => drop(lines.remove(at.index(count))),
                    Change::SwapLines(a, b) => lines.swap(a.index(count), b.index(count)),
                    _ => {}
                }
                bytes = lines.concat();
            }
            Change::LineEnds(windows) => {
                let end: &[u8] = if *windows { b"\r\n" } else { b"\r" };
                bytes = bytes.split(|byte| *byte == b'\n').collect::<Vec<_>>().join(end);
            }
            Change::Tabs(letter) => bytes.iter_mut().filter(|byte| **byte == b'\t').for_each(|byte| *byte = *letter),
            Change::Wide => bytes = [vec![0xff, 0xfe], bytes.iter().flat_map(|byte| [*byte, 0]).collect()].concat(),
            Change::Mark => bytes.splice(0..0, *b"\xef\xbb\xbf").for_each(drop),
            Change::Cut(at) => bytes.truncate(place(at)),
            Change::Append(more) => bytes.extend(more),
        }
    }
    bytes
}

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Codec {
    Plain,
    Gzip,
    Bgzip,
    Bzip2,
    Xz,
    Zstd,
}

pub fn codecs() -> impl Strategy<Value = Codec> {
    use Codec::*;
    prop::sample::select(vec![Plain, Plain, Plain, Gzip, Bgzip, Bzip2, Xz, Zstd])
}

impl Codec {
    pub fn compress(self, bytes: &[u8]) -> Vec<u8> {
        let whole = "a vector takes everything";
        match self {
            Codec::Plain => bytes.to_vec(),
            Codec::Gzip => {
                let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                writer.write_all(bytes).expect(whole);
                writer.finish().expect(whole)
            }
            Codec::Bgzip => {
                let mut writer = noodles::bgzf::io::Writer::new(Vec::new());
                writer.write_all(bytes).expect(whole);
                writer.finish().expect(whole)
            }
            Codec::Bzip2 => {
                let mut writer = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
                writer.write_all(bytes).expect(whole);
                writer.finish().expect(whole)
            }
            Codec::Xz => {
                let mut writer = liblzma::write::XzEncoder::new(Vec::new(), 0);
                writer.write_all(bytes).expect(whole);
                writer.finish().expect(whole)
            }
            Codec::Zstd => zstd::stream::encode_all(bytes, 1).expect(whole),
        }
    }
}
