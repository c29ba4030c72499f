//! What goes into an encoder, and what comes out: letters in, a row of numbers for each nucleotide out.

use std::ops::Range;

use candle_core::Tensor;

use crate::{Error, Result};

/// What an encoder reads of one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input<'a> {
    /// A sequence of the letters ACGUN.
    Letters(&'a [u8]),
    /// Tokens of the encoder's own tokenizer, one for each nucleotide: of a table of tokens, or with some masked.
    Tokens(&'a [u32]),
    /// Two sequences of the letters ACGUN that are read as one input: a miRNA and a site.
    Pair(&'a [u8], &'a [u8]),
}

impl Input<'_> {
    /// Number of nucleotides: of rows that come out.
    pub fn nucleotides(&self) -> usize {
        match self {
            Self::Letters(letters) => letters.len(),
            Self::Tokens(tokens) => tokens.len(),
            Self::Pair(first, second) => first.len() + second.len(),
        }
    }
}

/// Features of several inputs, end to end: a row for each nucleotide and for nothing else. Of a pair, the rows of the first
/// sequence come before those of the second. Special tokens have no rows.
#[derive(Clone, Debug)]
pub struct Features {
    rows: Tensor,
    offsets: Vec<usize>,
    summaries: Option<Tensor>,
    scores: Option<Tensor>,
}

impl Features {
    /// Features of inputs that start at `offsets`, which end with the total.
    pub fn new(rows: Tensor, offsets: Vec<usize>, summaries: Option<Tensor>) -> Self {
        Self { rows, offsets, summaries, scores: None }
    }

    /// The same with queries and keys whose products are the scores of one attention head, [nucleotides, 2 w].
    pub fn with_scores(self, scores: Option<Tensor>) -> Self {
        Self { scores, ..self }
    }

    /// All rows, [nucleotides, width].
    pub fn rows(&self) -> &Tensor {
        &self.rows
    }

    /// Where the rows of each input start, and at the end their number: one more than there are inputs.
    pub fn offsets(&self) -> &[usize] {
        &self.offsets
    }

    /// Number of inputs.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// True where there is no input.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rows of each input among all, in order.
    pub fn ranges(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.offsets.windows(2).map(|pair| pair[0]..pair[1])
    }

    /// The rows of input `index`, [nucleotides, width].
    ///
    /// # Errors
    /// Where there is no such input.
    pub fn of(&self, index: usize) -> Result<Tensor> {
        self.part(&self.rows, index)
    }

    /// Queries and keys of input `index` whose products are the scores of one attention head, [nucleotides, 2 w].
    ///
    /// # Errors
    /// Where the encoder gives none, and where there is no such input.
    pub fn scores_of(&self, index: usize) -> Result<Tensor> {
        let scores = self.scores.as_ref();
        self.part(scores.ok_or_else(|| Error::Failed("these features have no attention scores".into()))?, index)
    }

    fn part(&self, rows: &Tensor, index: usize) -> Result<Tensor> {
        match self.offsets.get(index..index + 2) {
            Some(&[start, end]) => Ok(rows.narrow(0, start, end - start)?),
            _ => Err(Error::Failed(format!("features of {} inputs, not of number {}", self.len(), index + 1))),
        }
    }

    /// A row for each input as a whole, [inputs, width]: the `[CLS]` token's, where the encoder put one.
    ///
    /// # Errors
    /// Where it put none.
    pub fn summaries(&self) -> Result<&Tensor> {
        self.summaries.as_ref().ok_or_else(|| Error::Failed("these features have no [CLS] token".into()))
    }

    /// The same without gradients.
    pub fn detached(self) -> Self {
        let detached = |tensor: Option<Tensor>| tensor.map(|tensor| tensor.detach());
        Self {
            rows: self.rows.detach(),
            offsets: self.offsets,
            summaries: detached(self.summaries),
            scores: detached(self.scores),
        }
    }
}
