//! The two strands of a sequence, and where a place on either lies.

/// A strand of a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strand {
    /// The sequence as it stands.
    Forward,
    /// Its reverse complement.
    Reverse,
}

impl Strand {
    /// `+` or `-`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Forward => "+",
            Self::Reverse => "-",
        }
    }

    /// Where the range `start..end` of a strand of `length` bases lies on the forward strand.
    pub fn on_forward(self, start: usize, end: usize, length: usize) -> (usize, usize) {
        match self {
            Self::Forward => (start, end),
            Self::Reverse => (length - end, length - start),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_from_the_other_end() {
        assert_eq!(Strand::Forward.on_forward(2, 5, 20), (2, 5));
        assert_eq!(Strand::Reverse.on_forward(2, 5, 20), (15, 18));
    }
}
