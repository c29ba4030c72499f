//! A folder of pictures, one file per record.

use super::Output;
use crate::{Error, Result};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// Bytes of an id that go into a file name: with the rest, less than any file system allows.
const MOST_BYTES: usize = 120;

/// The folder that pictures are written to.
pub struct PictureFolder(PathBuf);

impl PictureFolder {
    /// Takes the folder, or makes it.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn create(path: &Path) -> Result<Self> {
        std::fs::create_dir_all(path).map_err(|error| Error::write(path, error))?;
        Ok(Self(path.to_owned()))
    }

    /// Writes `FOLDER/ID.KIND.svg`, which appears when it is complete.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write(&self, id: &str, kind: &str, picture: &str) -> Result<()> {
        let path = self.0.join(format!("{}.{kind}.svg", file_stem(id)));
        let mut output = Output::create(Some(&path))?;
        output.put(picture.as_bytes())?;
        output.finish()
    }
}

/// A file name for an id: the id itself where it is one on every system; otherwise what it has of letters, digits, `.`,
/// `_` and `-`, and after it some digits of the id's SHA-256, so that no two ids share a name.
fn file_stem(id: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let safe: String = id.chars().map(|c| if allowed(c) { c } else { '_' }).take(MOST_BYTES).collect();
    // A first point would hide the file, a first hyphen make an option of it.
    let safe = if safe.starts_with(['.', '-']) { format!("_{}", &safe[1..]) } else { safe };
    if safe == id {
        return safe;
    }
    let digest: String = Sha256::digest(id.as_bytes()).iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    format!("{safe}-{digest}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn plain_ids_are_their_own_names() {
        for id in ["NM_005330.3", "tRNA-Phe", "r1", "A"] {
            assert_eq!(file_stem(id), id);
        }
        assert!(file_stem("a/b").starts_with("a_b-"));
        assert_ne!(file_stem("a/b"), file_stem("a|b"));
        assert_ne!(file_stem(".."), "..");
        assert_ne!(file_stem(&"x".repeat(300)), file_stem(&"x".repeat(301)));
    }

    proptest! {
        #[test]
        fn names_are_safe(id in "\\PC{1,200}") {
            let name = file_stem(&id);
            prop_assert!(name.len() <= MOST_BYTES + 13 && !name.starts_with(['.', '-']));
            prop_assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')), "{}", name);
        }
    }
}
