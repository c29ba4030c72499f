//! Where the known structures come from.

use std::convert::Infallible;
use std::path::PathBuf;
use std::str::FromStr;

use super::known::KnownStructures;
use crate::{Error, Result};

/// Rfam's families, condensed (models/known-structures.md).
#[cfg(feature = "embedded-models")]
const BUILT_IN: Option<&[u8]> = Some(include_bytes!("../../../models/known-structures.dbn.zst"));

#[cfg(not(feature = "embedded-models"))]
const BUILT_IN: Option<&[u8]> = None;

/// Where known structures come from, as a command line says it: `built-in`, `none` or a file.
#[derive(Clone, Debug, PartialEq, Eq)]
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

impl Source {
    /// The structures.
    ///
    /// # Errors
    /// Those of reading the file, and where none are inside this build (feature `embedded-models` off).
    pub fn load(&self) -> Result<Option<KnownStructures>> {
        match (self, BUILT_IN) {
            (Self::None, _) => Ok(None),
            (Self::File(path), _) => KnownStructures::read(path).map(Some),
            (Self::BuiltIn, Some(bytes)) => KnownStructures::parse(bytes, "built-in known structures").map(Some),
            (Self::BuiltIn, None) => Err(Error::Usage(
                "this program was built without known structures: give --known-structures a file, or none".into(),
            )),
        }
    }
}

#[cfg(all(test, feature = "embedded-models"))]
mod tests {
    use super::*;

    #[test]
    fn sources_are_told_by_name() -> Result<()> {
        let source = |text: &str| text.parse::<Source>().unwrap_or(Source::None);
        assert_eq!(source("none").load()?.map(|_| ()), None);
        assert_eq!(source("built-in"), Source::BuiltIn);
        assert_eq!(source("./none"), Source::File("./none".into()));
        let error = source("no/such/file").load().err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains("no/such/file"), "{error}");
        Ok(())
    }

    /// A transfer RNA of yeast (PDB 1EHZ) finds others.
    #[test]
    fn a_transfer_rna_has_relatives_among_those_inside() -> Result<()> {
        let known = Source::BuiltIn.load()?.unwrap_or_else(|| unreachable!("built-in"));
        let sequence = b"GCGGAUUUAGCUCAGUUGGGAGAGCGCCAGACUGAAGAUCUGGAGGUCCUGUGUUCGAUCCACAGAAUUCGCACCA";
        let related = known.related(sequence);
        assert_eq!(related.len(), 16);
        assert!(related[0].kept > 0.8 && related[0].identity > 0.6, "{:?}", (related[0].kept, related[0].identity));
        assert!(related[0].id().starts_with("RF00005"));
        Ok(())
    }
}
