//! Sequences of different lengths end to end, with their boundaries: a batch without padding.

/// Tokens of several sequences, packed end to end. Nothing ever crosses a boundary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    tokens: Vec<u32>,
    offsets: Vec<usize>,
}

impl Default for Packed {
    fn default() -> Self {
        Self { tokens: Vec::new(), offsets: vec![0] }
    }
}

impl Packed {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one sequence of token ids.
    pub fn push(&mut self, tokens: &[u32]) {
        self.tokens.extend_from_slice(tokens);
        self.offsets.push(self.tokens.len());
    }

    /// All token ids, end to end.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// Where each sequence starts, and at the end the total: `sequences() + 1` numbers.
    pub fn offsets(&self) -> &[usize] {
        &self.offsets
    }

    /// Number of sequences.
    pub fn sequences(&self) -> usize {
        self.offsets.len() - 1
    }

    /// The token range of sequence `index`.
    pub fn range(&self, index: usize) -> std::ops::Range<usize> {
        self.offsets[index]..self.offsets[index + 1]
    }
}

impl<S: AsRef<[u32]>> FromIterator<S> for Packed {
    fn from_iter<I: IntoIterator<Item = S>>(sequences: I) -> Self {
        let mut packed = Self::new();
        sequences.into_iter().for_each(|tokens| packed.push(tokens.as_ref()));
        packed
    }
}
