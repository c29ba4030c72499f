//! One record: what every tool works on.

use super::alphabet::normalise_into;
use super::tally::Doubt;
use super::tokenizer::Tokenizer;
use crate::{Error, Result};
use std::borrow::Cow;

/// A sequence with its name, from FASTA, FASTQ or a token table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// 0-based place in the whole input: over all files, before sharding, records that were set aside included.
    pub ordinal: u64,
    /// The header up to the first white space; never empty.
    pub id: String,
    /// The rest of the header, without the white space between; often empty.
    pub description: String,
    /// Upper-case RNA letters (ACGUN); never empty. From a token table: what the k-mers tell, N where they do not.
    pub sequence: Vec<u8>,
    /// Letters of the input that are IUPAC codes for several bases, and N in the sequence; those that were N not counted.
    pub ambiguous: usize,
    /// A line of constraints after the sequence, where the reader was asked for it and there is one: a character for each base.
    pub constraints: Option<Vec<u8>>,
    /// The letters with their IUPAC codes, where the sequence has N for some of them.
    pub iupac: Option<Vec<u8>>,
    /// The tokens where the input was a token table (masked ones stay masked).
    pub tokens: Option<Tokens>,
}

/// The tokens of a record as a token table gave them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// The length of the k-mers; `None` where the record is shorter than k, so that nothing tells.
    pub k: Option<usize>,
    /// One id per nucleotide.
    pub ids: Vec<u32>,
    /// How the table wrote them.
    pub text: TokenText,
    /// The original ids where they were masked, if the table has a column `labels`; one entry per nucleotide.
    pub labels: Option<Vec<Option<u32>>>,
}

/// How a token table writes its tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenText {
    /// K-mers in RNA letters and names in brackets.
    Kmers,
    /// Numbers.
    Ids,
}

/// A record looks like a protein where more than one letter in so many is an IUPAC code for several bases.
const AMBIGUOUS_IN_PROTEINS: usize = 3;

impl Record {
    /// A record of these letters: T is U, lower case is upper case, IUPAC letters for several bases are N.
    ///
    /// # Errors
    /// [`Error::Input`] names the record and the position of a letter that is no nucleotide; or where there is none.
    ///
    /// ```
    /// use rnaret::Record;
    ///
    /// assert_eq!(Record::new("a", "acgt")?.sequence, b"ACGU");
    /// assert!(Record::new("b", "AC*U").unwrap_err().to_string().contains("position 3"));
    /// # Ok::<(), rnaret::Error>(())
    /// ```
    pub fn new(id: impl Into<String>, letters: impl AsRef<[u8]>) -> Result<Self> {
        let id = id.into();
        let wrong = |place: String, message: String| Error::Input { file: format!("record {id}"), place, message };
        let mut sequence = Vec::new();
        let ambiguous = normalise_into(letters.as_ref(), &mut sequence)
            .map_err(|bad| wrong(format!("position {}", bad.position), bad.to_string()))?;
        match sequence.is_empty() {
            true => Err(wrong("sequence".into(), "it has no letters".into())),
            false => Ok(Self { id, sequence, ambiguous, ..Self::default() }),
        }
    }

    /// Why results for this record deserve doubt, whatever the tool.
    pub fn doubt(&self) -> Option<Doubt> {
        if AMBIGUOUS_IN_PROTEINS * self.ambiguous > self.len() {
            return Some(Doubt::LikeProtein);
        }
        self.sequence.iter().all(|&letter| letter == b'N').then_some(Doubt::NoKnownLetter)
    }

    /// Upper-case RNA letters with the IUPAC codes of the input: what encoders read, each as far as it knows them.
    pub fn letters(&self) -> &[u8] {
        self.iupac.as_deref().unwrap_or(&self.sequence)
    }

    /// The number of nucleotides, which is the number of tokens.
    pub fn len(&self) -> usize {
        self.sequence.len()
    }

    /// True for a record without nucleotides, which [`super::RecordReader`] never delivers.
    pub fn is_empty(&self) -> bool {
        self.sequence.is_empty()
    }

    /// The ids for a model that works with `tokenizer`: those of the token table where the record came from one,
    /// otherwise the sequence's own. Errors where the table was made with another k.
    pub fn token_ids(&self, tokenizer: &Tokenizer) -> Result<Cow<'_, [u32]>> {
        Ok(match self.table_tokens(tokenizer)? {
            Some(ids) => Cow::Borrowed(ids),
            None => Cow::Owned(tokenizer.encode(&self.sequence)),
        })
    }

    /// The ids of the token table, where the record came from one. Errors where that was made with another k than that of
    /// `tokenizer`.
    pub fn table_tokens(&self, tokenizer: &Tokenizer) -> Result<Option<&[u32]>> {
        match &self.tokens {
            None => Ok(None),
            Some(Tokens { k: Some(k), .. }) if *k != tokenizer.k() => Err(Error::Input {
                file: "token table".to_owned(),
                place: format!("record {} ({})", self.ordinal + 1, self.id),
                message: format!(
                    "made with k = {k}, but the model works with k = {0}: use rna-kmerize -k {0}",
                    tokenizer.k()
                ),
            }),
            Some(tokens) => Ok(Some(&tokens.ids)),
        }
    }
}
