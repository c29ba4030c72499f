//! Text in: what every reader of every format reads from.
//!
//! An input is opened, decompressed, and its line ends become LF, whether they were CRLF or CR alone; a byte order mark
//! goes. What is no text of ours (UTF-16, a workbook, an archive) is refused at the start by its name. A file that is cut
//! off or damaged is an [`Error::Input`] that says so, never an end of the file.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};

use super::compression::{Damage, decompress};
use super::reader::InputFile;
use crate::{Error, Result};

/// Bytes read at once.
const BUFFER: usize = 256 * 1024;

/// Bytes at the start of a stream that tell what it is.
const START: usize = 16;

/// Opens an input as text: plain, gzip, bgzip, bzip2, xz or zstd, told apart by its first bytes.
///
/// # Errors
/// Where it cannot be read, or is no text. Reading from it fails where it turns out to be cut off or damaged; such an
/// error goes through [`Error::stream`].
pub fn open_text(input: &InputFile) -> Result<Box<dyn BufRead + Send>> {
    let raw = open_raw(input)?;
    Ok(Box::new(BufReader::with_capacity(BUFFER, text(raw, &input.name())?)))
}

/// The bytes of an input as they are.
pub(super) fn open_raw(input: &InputFile) -> Result<Box<dyn Read + Send>> {
    Ok(match input {
        InputFile::Stdin => Box::new(io::stdin()),
        InputFile::Path(path) => Box::new(File::open(path).map_err(|error| Error::read(path, error))?),
    })
}

/// The text of a file inside the program, which errors call `name`.
///
/// # Errors
/// Where it is not whole.
pub(crate) fn decompressed(bytes: &'static [u8], name: &str) -> Result<Box<dyn BufRead + Send>> {
    Ok(Box::new(BufReader::with_capacity(BUFFER, text(Box::new(bytes), name)?)))
}

/// The text of a stream of bytes, which errors call `name`.
///
/// # Errors
/// Where it cannot be read, or is no text.
pub(super) fn text(raw: Box<dyn Read + Send>, name: &str) -> Result<Box<dyn Read + Send>> {
    let fail = |error| Error::stream(name, "start of the file", error);
    let mut stream = decompress(raw).map_err(fail)?;
    let (start, failure) = start_of(&mut stream);
    if let Some(error) = failure {
        if start.is_empty() {
            return Err(fail(error));
        }
        // What came before the failure is given first.
        stream = Box::new(Failing(Some(error)));
    }
    let start = start.as_slice();
    if let Some(message) = not_text(start) {
        return Err(fail(Damage::error(message)));
    }
    let start = start.strip_prefix("\u{feff}".as_bytes()).unwrap_or(start).to_vec();
    Ok(Box::new(LineEnds { inner: Cursor::new(start).chain(stream), after_return: false }))
}

/// The first bytes of a stream, and what went wrong before there were enough of them.
fn start_of(stream: &mut impl Read) -> (Vec<u8>, Option<io::Error>) {
    let mut start = Vec::with_capacity(START);
    let mut byte = [0];
    while start.len() < START {
        match stream.read(&mut byte) {
            Ok(0) => break,
            Ok(_) => start.push(byte[0]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (start, Some(error)),
        }
    }
    (start, None)
}

/// A stream that has failed: it says so once.
struct Failing(Option<io::Error>);

impl Read for Failing {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}

/// What the first bytes of a stream are where they are no text of ours, and what to do.
fn not_text(start: &[u8]) -> Option<&'static str> {
    const UTF_16: &str = "this is UTF-16 text: save it as UTF-8 (iconv -f UTF-16 -t UTF-8)";
    Some(match start {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] | [0, 0, 0, 1..=0x7f, ..] | [1..=0x7f, 0, 0, 0, ..] => {
            "this is UTF-32 text: save it as UTF-8 (iconv -f UTF-32 -t UTF-8)"
        }
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, 1..=0x7f, 0, ..] | [1..=0x7f, 0, 1..=0x7f, 0, ..] => UTF_16,
        [b'P', b'K', 3 | 5 | 7, 4 | 6 | 8, ..] => {
            "this is a ZIP archive or a workbook (XLSX): unpack it, or save the sheet as tab-separated text"
        }
        [0xd0, 0xcf, 0x11, 0xe0, ..] => "this is a workbook (XLS): save the sheet as tab-separated text",
        [b'%', b'P', b'D', b'F', ..] => "this is a PDF: text is wanted",
        [b'P', b'A', b'R', b'1', ..] => "this is Parquet: text is wanted",
        [0x89, b'H', b'D', b'F', ..] => "this is HDF5: text is wanted",
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => "this is an array of NumPy: text is wanted",
        [b'B', b'A', b'M', 1, ..] => "this is BAM: make FASTA of it (samtools fasta)",
        [b'C', b'R', b'A', b'M', ..] => "this is CRAM: make FASTA of it (samtools fasta)",
        [0x1f, 0x9d, ..] => "this was compressed by compress (.Z): decompress it first",
        [b'7', b'z', 0xbc, 0xaf, ..] => "this is a 7z archive: unpack it first",
        [b'L', b'Z', b'I', b'P', ..] => "this was compressed by lzip: decompress it first",
        [0x04, 0x22, 0x4d, 0x18, ..] => "this was compressed by lz4: decompress it first",
        [b'R', b'a', b'r', b'!', ..] => "this is a RAR archive: unpack it first",
        [b'<', b'!' | b'?' | b'h' | b'H', ..] => "this is a web page or XML: the download may have failed",
        _ => return None,
    })
}

/// The first byte that is no white space, which stays in the stream; what comes before it is taken.
pub(crate) fn first_letter(text: &mut impl BufRead) -> io::Result<Option<u8>> {
    loop {
        let bytes = match text.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            bytes => bytes?,
        };
        if bytes.is_empty() {
            return Ok(None);
        }
        let blank = bytes.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let letter = bytes.get(blank).copied();
        text.consume(blank);
        if letter.is_some() {
            return Ok(letter);
        }
    }
}

/// What kind of text begins with this line, where it is one that users give by mistake: for messages that say so.
pub(crate) fn other_text(line: &str) -> Option<&'static str> {
    let begins = |start: &str| line.starts_with(start);
    Some(match line {
        _ if begins(">") => "FASTA",
        _ if begins("@HD\t") || begins("@SQ\t") => "SAM",
        _ if begins("@") => "FASTQ",
        _ if begins("# STOCKHOLM") => "an alignment in Stockholm format",
        _ if begins("CLUSTAL") => "an alignment in Clustal format",
        _ if begins("LOCUS ") => "GenBank",
        _ if begins("ID   ") => "EMBL",
        _ if begins("##gff-version") => "GFF",
        _ if begins("##fileformat=VCF") => "VCF",
        _ if begins("{") || begins("[{") => "JSON",
        _ => return None,
    })
}

/// Makes LF of CRLF and of CR alone.
struct LineEnds<R> {
    inner: R,
    /// The last byte was a CR, and a LF stands for it already.
    after_return: bool,
}

impl<R: Read> Read for LineEnds<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let length = self.inner.read(buffer)?;
            let bytes = &mut buffer[..length];
            if !self.after_return && memchr::memchr(b'\r', bytes).is_none() {
                return Ok(length);
            }
            let mut kept = 0;
            let mut after_return = self.after_return;
            for place in 0..length {
                let byte = bytes[place];
                if !(byte == b'\n' && after_return) {
                    bytes[kept] = if byte == b'\r' { b'\n' } else { byte };
                    kept += 1;
                }
                after_return = byte == b'\r';
            }
            self.after_return = after_return && length > 0;
            // Nothing is kept of the second half of a CRLF, which is no end of the stream.
            if kept > 0 || length == 0 {
                return Ok(kept);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(bytes: &'static [u8]) -> Result<String> {
        let mut whole = String::new();
        decompressed(bytes, "x")?.read_to_string(&mut whole).map_err(|error| Error::read("x", error))?;
        Ok(whole)
    }

    #[test]
    fn line_ends_of_every_system_are_one() {
        for text in ["a\nb\n\nc\n", "a\r\nb\r\n\r\nc\r\n", "a\rb\r\rc\r", "\u{feff}a\nb\r\n\rc\r"] {
            assert_eq!(read(text.as_bytes()).expect("text"), "a\nb\n\nc\n", "{text:?}");
        }
        assert_eq!(read(b"").expect("nothing"), "");
        assert_eq!(read("\u{feff}".as_bytes()).expect("nothing"), "");
    }

    #[test]
    fn what_is_no_text_is_named() {
        for (bytes, name) in [
            (&b"\xff\xfei\0d\0"[..], "UTF-16"),
            (b"\xfe\xff\0i\0d", "UTF-16"),
            (b"i\0d\0\t\0", "UTF-16"),
            (b"\0>\0a\0", "UTF-16"),
            (b"\xff\xfe\0\0i\0\0\0", "UTF-32"),
            (b"PK\x03\x04\x14", "workbook"),
            (b"\xd0\xcf\x11\xe0", "XLS"),
            (b"<!DOCTYPE html>", "web page"),
            (b"\x1f\x9d\x90", "compress"),
        ] {
            let error = read(bytes).expect_err(name).to_string();
            assert!(error.starts_with("x: start of the file: ") && error.contains(name), "{error}");
        }
    }

    proptest! {
        /// However the bytes come in, line ends become the same.
        #[test]
        fn line_ends_do_not_depend_on_how_much_is_read(text in "[ab\r\n]{0,40}", sizes in prop::collection::vec(1usize..5, 1..9)) {
            let mut reader = LineEnds { inner: text.as_bytes(), after_return: false };
            let mut whole = Vec::new();
            for size in sizes.iter().cycle() {
                let mut part = vec![0; *size];
                match reader.read(&mut part).expect("bytes") {
                    0 => break,
                    length => whole.extend(&part[..length]),
                }
            }
            prop_assert_eq!(String::from_utf8_lossy(&whole), text.replace("\r\n", "\n").replace('\r', "\n"));
        }
    }
}
