//! Compressed input: told by its first bytes and decompressed while it is read.

use std::io::{self, BufRead, BufReader, Cursor, Read};

/// Bytes read from a file at once.
const BUFFER: usize = 256 * 1024;

/// How a stream is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Gzip,
    Bgzip,
    Bzip2,
    Xz,
    Zstd,
}

impl Compression {
    pub(super) fn name(self) -> &'static str {
        match self {
            Compression::None => "uncompressed",
            Compression::Gzip => "gzip",
            Compression::Bgzip => "bgzip",
            Compression::Bzip2 => "bzip2",
            Compression::Xz => "xz",
            Compression::Zstd => "zstd",
        }
    }

    /// What the first bytes of a stream tell.
    fn sniff(start: &[u8]) -> Self {
        match start {
            // A gzip member with an extra field that begins with bgzip's own, BC.
            [0x1f, 0x8b, 8, flags, _, _, _, _, _, _, _, _, b'B', b'C', ..] if flags & 4 != 0 => Compression::Bgzip,
            [0x1f, 0x8b, ..] => Compression::Gzip,
            [b'B', b'Z', b'h', ..] => Compression::Bzip2,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Compression::Xz,
            // A frame, or a skippable frame, as parallel compressors put first.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Compression::Zstd,
            _ => Compression::None,
        }
    }
}

/// The decompressed stream and how it was compressed. Files of several members or frames are read to their end.
pub(super) fn decompress(mut input: Box<dyn Read + Send>) -> io::Result<(Box<dyn Read + Send>, Compression)> {
    let mut start = [0; 14];
    let mut length = 0;
    while length < start.len() {
        match input.read(&mut start[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let start = start[..length].to_vec();
    let compression = Compression::sniff(&start);
    let whole = Cursor::new(start).chain(input);
    if compression == Compression::None {
        return Ok((Box::new(whole), compression));
    }
    let whole = BufReader::with_capacity(BUFFER, whole);
    let stream: Box<dyn Read + Send> = match compression {
        Compression::None => Box::new(whole),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(whole)),
        Compression::Bgzip => Box::new(Bgzip::new(whole)),
        Compression::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(whole)),
        Compression::Xz => Box::new(liblzma::bufread::XzDecoder::new_multi_decoder(whole)),
        Compression::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(whole)?),
    };
    Ok((stream, compression))
}

/// The block that ends every bgzip file: without it, whole blocks are missing.
const BGZIP_END: [u8; 28] =
    [0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff, 6, 0, 0x42, 0x43, 2, 0, 0x1b, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// Decompresses bgzip and checks that the last block is there: a file cut between two blocks is sound gzip.
struct Bgzip<R: BufRead>(flate2::bufread::MultiGzDecoder<Tail<R>>);

impl<R: BufRead> Bgzip<R> {
    fn new(inner: R) -> Self {
        Self(flate2::bufread::MultiGzDecoder::new(Tail { inner, last: Vec::new() }))
    }
}

impl<R: BufRead> Read for Bgzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read(buffer)?;
        if read == 0 && !buffer.is_empty() && self.0.get_ref().last != BGZIP_END {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the last block of bgzip is missing"));
        }
        Ok(read)
    }
}

/// Remembers the last bytes that went through.
struct Tail<R> {
    inner: R,
    last: Vec<u8>,
}

impl<R: BufRead> Read for Tail<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let length = available.len().min(buffer.len());
        buffer[..length].copy_from_slice(&available[..length]);
        self.consume(length);
        Ok(length)
    }
}

impl<R: BufRead> BufRead for Tail<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        // The buffer still holds what is about to be consumed; asking for it again reads nothing.
        if let Ok(available) = self.inner.fill_buf() {
            let consumed = &available[..amount.min(available.len())];
            self.last.extend_from_slice(&consumed[consumed.len().saturating_sub(BGZIP_END.len())..]);
            let excess = self.last.len().saturating_sub(BGZIP_END.len());
            self.last.drain(..excess);
        }
        self.inner.consume(amount);
    }
}
