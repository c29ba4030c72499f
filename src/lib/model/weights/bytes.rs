//! The bytes of a weights file: mapped into memory, not copied, where it is a regular file.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use memmap2::{Mmap, UncheckedAdvice};
use sha2::{Digest, Sha256};

use crate::{Error, Result};

/// Bytes that are hashed at a time.
const STRIDE: usize = 1 << 24;

/// The bytes of a file, and the way to say which of them are no longer needed.
pub(super) enum Bytes<'a> {
    /// Bytes that are in memory anyway.
    Lent(&'a [u8]),
    /// What came out of a pipe.
    Read(Vec<u8>),
    /// A file's pages, read when they are touched.
    Mapped(Mmap),
}

impl Bytes<'static> {
    /// The bytes of the file at `path`.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let unreadable = |source| Error::read(path, source);
        let mut file = File::open(path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        // An empty file cannot be mapped, and files of /proc say that they are empty.
        if !metadata.is_file() || metadata.len() == 0 {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).map_err(unreadable)?;
            return Ok(Self::Read(bytes));
        }
        // SAFETY: the mapping is read-only and this process writes to no file that it maps: the tools refuse an output
        // that is also an input, and put whole files in the place of old ones by renaming, which leaves the mapped file as
        // it is. What cannot be ruled out is another program that changes or shortens the file during the second that
        // it is mapped. The bytes are treated as what a stranger wrote: they are copied into numbers by bounds-checked
        // slices, nothing is transmuted, and no decision rests on reading a byte twice, so other bytes give other numbers
        // or an error; reading past a new end ends the process (SIGBUS).
        let map = unsafe { Mmap::map(&file) }.map_err(unreadable)?;
        Ok(Self::Mapped(map))
    }
}

impl Bytes<'_> {
    pub(super) fn get(&self) -> &[u8] {
        match self {
            Self::Lent(bytes) => bytes,
            Self::Read(bytes) => bytes,
            Self::Mapped(map) => map,
        }
    }

    /// Says that `part` of the bytes is no longer needed: its pages need not stay in memory. It can still be read.
    pub(super) fn release(&self, part: &[u8]) {
        let Self::Mapped(map) = self else { return };
        let (start, first) = (part.as_ptr().addr(), map.as_ptr().addr());
        let offset = start.wrapping_sub(first);
        if offset >= map.len() || part.is_empty() {
            return;
        }
        let length = part.len().min(map.len() - offset);
        // SAFETY: the mapping is shared, read-only and backed by the file, so that pages dropped are read from it again
        // when they are touched: no memory that a reference points to changes. The range lies in the mapping.
        let advised = unsafe { map.unchecked_advise_range(UncheckedAdvice::DontNeed, offset, length) };
        if let Err(error) = advised {
            log::debug!("pages of the weights stay in memory: {error}");
        }
    }

    /// SHA-256 of all bytes, as hexadecimal digits.
    pub(super) fn checksum(&self) -> String {
        let mut hash = Sha256::new();
        for part in self.get().chunks(STRIDE) {
            hash.update(part);
            self.release(part);
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapped_bytes_are_the_files_before_and_after_they_are_released() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("file");
        let content: Vec<u8> = (0..100_000u32).flat_map(u32::to_le_bytes).collect();
        std::fs::write(&path, &content).expect("a file");
        let bytes = Bytes::open(&path).expect("it is mapped");
        assert!(matches!(bytes, Bytes::Mapped(_)));
        assert_eq!(bytes.checksum(), Bytes::Lent(&content).checksum());
        bytes.release(&bytes.get()[5000..90_000]);
        bytes.release(&content);
        assert!(bytes.get() == content);
        std::fs::write(&path, "").expect("a file");
        assert_eq!(Bytes::open(&path).expect("it is empty").get(), b"");
        assert!(Bytes::open(&folder.path().join("missing")).is_err());
    }
}
