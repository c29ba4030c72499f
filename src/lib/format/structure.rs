//! A secondary structure: who pairs with whom.

/// A nucleotide sequence and the pairing partner of each of its bases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Structure {
    /// The record's id, without description.
    pub id: String,
    /// Upper-case RNA letters (ACGUN).
    pub sequence: Vec<u8>,
    /// 0-based partner of each base; symmetric, at most one partner per base. Same length as `sequence`.
    pub partners: Vec<Option<usize>>,
}
