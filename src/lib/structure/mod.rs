//! Secondary structures: which base pairs with which. The ground on which readers and writers, folding, homology, decoding
//! and drawing stand; it needs none of them.
//!
//! ```
//! use rnaret::format::dot_bracket::parse_structure_line;
//! use rnaret::structure::{pairs, without_pseudoknots};
//!
//! let pseudoknot = parse_structure_line(b"((..[[..))..]]").unwrap();
//! assert_eq!(pairs(&pseudoknot).collect::<Vec<_>>(), [(0, 9), (1, 8), (4, 13), (5, 12)]);
//! assert_eq!(pairs(&without_pseudoknots(&pseudoknot)).count(), 2);
//! ```

mod candidate;
mod nested;
mod pair_map;
mod pairing;

pub use candidate::Candidate;
pub(crate) use nested::partners as nested_partners;
pub use nested::without_pseudoknots;
pub use pair_map::{PairMap, pairs_above};
pub use pairing::is_canonical;
pub(crate) use pairing::is_nucleotide;

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

impl Structure {
    /// Number of bases.
    pub fn length(&self) -> usize {
        self.sequence.len()
    }

    /// The pairs (i, j), i < j, 0-based, in the order of i.
    pub fn pairs(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        pairs(&self.partners)
    }

    /// Whether no two pairs cross.
    pub fn is_nested(&self) -> bool {
        let mut open = Vec::new();
        self.partners.iter().enumerate().all(|(base, partner)| match partner {
            Some(partner) if *partner > base => {
                open.push(*partner);
                true
            }
            Some(_) => open.pop() == Some(base),
            None => true,
        })
    }
}

/// The pairs (i, j), i < j, 0-based, in the order of i.
pub fn pairs(partners: &[Option<usize>]) -> impl Iterator<Item = (usize, usize)> + '_ {
    partners.iter().enumerate().filter_map(|(i, partner)| partner.filter(|&j| j > i).map(|j| (i, j)))
}
