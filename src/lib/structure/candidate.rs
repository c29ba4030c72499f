//! A pair of bases and what it is worth to whoever chooses among pairs.

/// A pair of bases that may form, `i` < `j`, both 0-based.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// The 5' base.
    pub i: usize,
    /// The 3' base.
    pub j: usize,
    /// The probability of the pair, or what else it is worth to a decoder.
    pub probability: f32,
}

impl Candidate {
    /// The probability in units of 2^-40: sums of integers do not depend on their order, so that ties are the same
    /// ties on every machine. Exact for every f32 of at least 2^-17; at least 1, so that a pair that may form counts.
    pub(crate) fn weight(&self) -> i64 {
        ((f64::from(self.probability) * (1_u64 << 40) as f64).round() as i64).max(1)
    }
}
