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
    let (stream, _) = decompress(raw).map_err(fail)?;
    Ok(Box::new(BufReader::with_capacity(256 * 1024, stream)))
}
