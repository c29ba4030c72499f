//! Damaged files for every reader: sound documents are written, changed, compressed and cut, and each must be read, or
//! refused by an error that names file and place, without a panic, a hang or much memory. `tests/fuzz.sh` runs each
//! target for two minutes.

mod annotations;
mod damage;
mod harness;
mod records;
mod structures;
mod tables;
mod weights;

use proptest::test_runner::TestCaseError;
use rnaret::Error;
use rnaret::sequence::InputFile;
use std::path::Path;

/// A file with these bytes, in a folder of its own.
fn file(folder: &Path, bytes: &[u8]) -> InputFile {
    let path = folder.join("fuzz.in");
    std::fs::write(&path, bytes).expect("a file can be written");
    InputFile::Path(path)
}

/// An error must name the file and, unless the system refused it, a place.
fn names_its_place(error: &Error) -> Result<(), TestCaseError> {
    let text = error.to_string();
    let named = text.contains("fuzz.in");
    match error {
        Error::Input { place, message, .. } if named && !place.is_empty() && !message.is_empty() => Ok(()),
        Error::Read { .. } if named => Ok(()),
        _ => Err(TestCaseError::fail(format!("this error does not say where it is: {text}"))),
    }
}
