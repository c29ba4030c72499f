//! Text of any compression, for tables that are no sequence files.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};

use super::compression::decompress;
use super::reader::InputFile;
use crate::{Error, Result};

/// Opens an input and decompresses it: plain, gzip, bgzip, bzip2, xz or zstd, told apart by its first bytes.
///
/// # Errors
/// Where it cannot be read.
pub fn open_text(input: &InputFile) -> Result<Box<dyn BufRead + Send>> {
    let fail = |error| Error::read(input.name(), error);
    let raw: Box<dyn Read + Send> = match input {
        InputFile::Stdin => Box::new(io::stdin()),
        InputFile::Path(path) => Box::new(File::open(path).map_err(fail)?),
    };
    text(raw, &input.name())
}

/// The text of a file inside the program, which errors call `name`.
///
/// # Errors
/// Where it is not whole.
pub(crate) fn decompressed(bytes: &'static [u8], name: &str) -> Result<Box<dyn BufRead + Send>> {
    text(Box::new(bytes), name)
}

fn text(raw: Box<dyn Read + Send>, name: &str) -> Result<Box<dyn BufRead + Send>> {
    let (stream, _) = decompress(raw).map_err(|error| Error::read(name, error))?;
    Ok(Box::new(BufReader::with_capacity(256 * 1024, stream)))
}
