//! Compressed input: told by its first bytes and decompressed while it is read, to its end.
//!
//! A file that is cut off, damaged, or followed by something else is an error, which carries [`Damage`].

use std::io::{self, BufRead, BufReader, Cursor, Read};

use flate2::bufread::GzDecoder;

/// Bytes read from a file at once.
const BUFFER: usize = 256 * 1024;

/// How a stream is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    /// Gzip members, those of bgzip among them.
    Gzip,
    Bzip2,
    Xz,
    Zstd,
}

impl Compression {
    pub(super) fn name(self) -> &'static str {
        match self {
            Compression::None => "uncompressed",
            Compression::Gzip => "gzip",
            Compression::Bzip2 => "bzip2",
            Compression::Xz => "xz",
            Compression::Zstd => "zstd",
        }
    }

    /// What the first bytes of a stream tell.
    fn sniff(start: &[u8]) -> Self {
        match start {
            [0x1f, 0x8b, ..] => Compression::Gzip,
            [b'B', b'Z', b'h', ..] => Compression::Bzip2,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Compression::Xz,
            // A frame, or a skippable frame, as parallel compressors put first.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Compression::Zstd,
            _ => Compression::None,
        }
    }
}

/// What is wrong with the data of a stream, apart from anything that the system says: it travels inside an [`io::Error`].
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Damage(pub(crate) String);

impl Damage {
    /// An error of reading that says this.
    pub(crate) fn error(message: impl Into<String>) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, Damage(message.into()))
    }
}

/// Memory that decompressing xz may take: `xz -9` needs a sixteenth of it.
const XZ_MEMORY: u64 = 1 << 30;

/// The decompressed stream. Files of several members or frames are read to their end.
///
/// # Errors
/// Those of the system. What is wrong with compressed data comes as [`Damage`], from here or from the stream.
pub(super) fn decompress(mut input: Box<dyn Read + Send>) -> io::Result<Box<dyn Read + Send>> {
    let mut start = [0; 6];
    let length = read_start(&mut input, &mut start)?;
    let start = start[..length].to_vec();
    let compression = Compression::sniff(&start);
    let whole = Cursor::new(start).chain(input);
    if compression == Compression::None {
        return Ok(Box::new(whole));
    }
    let whole = BufReader::with_capacity(BUFFER, whole);
    let inner: Box<dyn Read + Send> = match compression {
        Compression::None => Box::new(whole),
        Compression::Gzip => Box::new(Gzip::new(whole)),
        Compression::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(whole)),
        Compression::Xz => {
            let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, liblzma::stream::CONCATENATED)?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(whole, stream))
        }
        Compression::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(whole)?),
    };
    Ok(Box::new(Decompressed { inner, compression }))
}

/// Fills `start` from `input`; fewer bytes mean that it ends there.
fn read_start(input: &mut impl Read, start: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < start.len() {
        match input.read(&mut start[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

/// A decompressor whose errors say what is wrong with the file.
struct Decompressed {
    inner: Box<dyn Read + Send>,
    compression: Compression,
}

impl Read for Decompressed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer).map_err(|error| {
            if error.raw_os_error().is_some() || error.kind() == io::ErrorKind::Interrupted {
                return error;
            }
            let what = match error.kind() {
                io::ErrorKind::UnexpectedEof => "end too early: the file is cut off",
                _ => "are damaged",
            };
            let name = self.compression.name();
            Damage::error(format!("the {name} data {what} ({error}); copy or download it again"))
        })
    }
}

/// Decompresses gzip member by member, as gunzip does: plain members and bgzip's blocks in any order, and zeros after the
/// last one, as tapes and some file systems leave them. A file that ends with a bgzip block must end with the empty one
/// that bgzip writes last: cut between two blocks, it is sound gzip otherwise.
struct Gzip<R: BufRead> {
    member: Option<GzDecoder<R>>,
    /// What follows the member that was read last.
    rest: Option<R>,
    /// Bytes that the present member gave.
    bytes: u64,
    /// The last member is a bgzip block with data in it.
    ends_in_block: bool,
}

impl<R: BufRead> Gzip<R> {
    fn new(inner: R) -> Self {
        Self { member: Some(GzDecoder::new(inner)), rest: None, bytes: 0, ends_in_block: false }
    }

    /// Begins the next member; false at the end of the file.
    fn next_member(&mut self) -> io::Result<bool> {
        let Some(mut rest) = self.rest.take() else { return Ok(false) };
        match rest.fill_buf()?.first() {
            Some(0x1f) => {
                self.member = Some(GzDecoder::new(rest));
                self.bytes = 0;
                Ok(true)
            }
            None if self.ends_in_block => {
                Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the last block of bgzip is missing"))
            }
            None => Ok(false),
            Some(_) => loop {
                let padding = rest.fill_buf()?;
                let length = padding.len();
                if length == 0 {
                    return Ok(false);
                }
                if padding.iter().any(|byte| *byte != 0) {
                    let message = "what follows the last member is neither gzip nor padding";
                    return Err(io::Error::new(io::ErrorKind::InvalidData, message));
                }
                rest.consume(length);
            },
        }
    }
}

impl<R: BufRead> Read for Gzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let Some(member) = &mut self.member else {
                if self.next_member()? {
                    continue;
                }
                return Ok(0);
            };
            let read = member.read(buffer)?;
            if read > 0 {
                self.bytes += read as u64;
                return Ok(read);
            }
            let block = member.header().and_then(|header| header.extra()).is_some_and(has_block_size);
            self.ends_in_block = block && self.bytes > 0;
            self.rest = self.member.take().map(GzDecoder::into_inner);
        }
    }
}

/// Whether the extra field of a gzip member holds bgzip's subfield, BC (SAM specification, section 4.1).
fn has_block_size(mut extra: &[u8]) -> bool {
    while let [first, second, low, high, rest @ ..] = extra {
        if [*first, *second] == *b"BC" {
            return true;
        }
        extra = rest.get(usize::from(u16::from_le_bytes([*low, *high]))..).unwrap_or_default();
    }
    false
}
