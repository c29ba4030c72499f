//! Where the known structures come from.

use std::convert::Infallible;
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::sequence::{InputFile, decompressed, open_text};
use crate::{Error, Result};

/// Rfam's families, condensed (models/known-structures.md).
#[cfg(feature = "embedded-models")]
const BUILT_IN: Option<&[u8]> = Some(include_bytes!("../../../models/known-structures.dbn.zst"));

#[cfg(not(feature = "embedded-models"))]
const BUILT_IN: Option<&[u8]> = None;

/// Where known structures come from, as a command line says it: `built-in`, `none` or a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Source {
    /// Those inside the program.
    BuiltIn,
    /// No known structures.
    None,
    /// Those of a file.
    File(PathBuf),
}

impl FromStr for Source {
    type Err = Infallible;

    fn from_str(text: &str) -> std::result::Result<Self, Infallible> {
        Ok(match text {
            "built-in" => Self::BuiltIn,
            "none" => Self::None,
            path => Self::File(path.into()),
        })
    }
}

impl From<String> for Source {
    fn from(text: String) -> Self {
        text.parse().unwrap_or(Self::None)
    }
}

impl From<Source> for String {
    fn from(source: Source) -> Self {
        match source {
            Source::BuiltIn => "built-in".into(),
            Source::None => "none".into(),
            Source::File(path) => path.to_string_lossy().into_owned(),
        }
    }
}

impl Source {
    /// The file, where it is one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::BuiltIn | Self::None => None,
        }
    }

    /// SHA-256 of the structures inside the program; `None` where it was built without.
    pub fn built_in_checksum() -> Option<String> {
        BUILT_IN.map(|bytes| Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The text of structures in one of our formats, and what errors call it; `None` for no structures.
    ///
    /// # Errors
    /// Where a file cannot be read, and where no structures are inside this build (feature `embedded-models` off).
    pub(super) fn open(&self) -> Result<Option<(Box<dyn BufRead + Send>, String)>> {
        Ok(Some(match (self, BUILT_IN) {
            (Self::None, _) => return Ok(None),
            (Self::File(path), _) => {
                let input = InputFile::from(path.as_path());
                (open_text(&input)?, input.name())
            }
            (Self::BuiltIn, Some(bytes)) => {
                let name = "built-in known structures";
                (decompressed(bytes, name)?, name.to_owned())
            }
            (Self::BuiltIn, None) => {
                return Err(Error::Usage(
                    "this program was built without known structures: give --known-structures a file, or none".into(),
                ));
            }
        }))
    }
}

#[cfg(all(test, feature = "embedded-models"))]
mod tests {
    use super::*;
    use crate::homologs::{DEFAULT_EVALUE, KnownStructures};

    #[test]
    fn sources_are_told_by_name() {
        let source = |text: &str| text.parse::<Source>().unwrap_or(Source::None);
        assert_eq!(source("none"), Source::None);
        assert_eq!(source("built-in"), Source::BuiltIn);
        assert_eq!(source("./none"), Source::File("./none".into()));
        assert!(KnownStructures::load(&[]).is_ok_and(|known| known.is_none()));
        assert!(KnownStructures::load(&[Source::None]).is_ok_and(|known| known.is_none()));
        for (sources, expected) in [
            (vec![Source::BuiltIn, source("no/such/file")], "no/such/file"),
            (vec![Source::BuiltIn, Source::None], "none goes with no others"),
        ] {
            let error = KnownStructures::load(&sources).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.contains(expected), "{error}");
        }
    }

    /// A transfer RNA of yeast (PDB 1EHZ) finds others.
    #[test]
    fn a_transfer_rna_has_homologs_among_those_inside() -> Result<()> {
        let known = KnownStructures::load(&[Source::BuiltIn])?.unwrap_or_else(|| unreachable!("built-in"));
        let sequence = b"GCGGAUUUAGCUCAGUUGGGAGAGCGCCAGACUGAAGAUCUGGAGGUCCUGUGUUCGAUCCACAGAAUUCGCACCA";
        let related = known.related(sequence);
        assert!((5..=16).contains(&related.len()), "{}", related.len());
        assert!(related.iter().all(|homolog| homolog.evalue <= DEFAULT_EVALUE));
        assert!(related[0].kept > 0.8 && related[0].identity > 0.6, "{:?}", (related[0].kept, related[0].identity));
        assert!(related[0].id().starts_with("RF00005"));
        Ok(())
    }
}
