//! From letters to the tokens of a Transformer, and from rows of tokens to rows of nucleotides.

use candle_core::Tensor;

use crate::model::features::{Features, Input};
use crate::model::ops::rows::{select_rows, sum_rows};
use crate::model::packed::Packed;
use crate::sequence::{NoWord, Unit, Vocabulary};
use crate::{Error, Result};

/// The tokens of a batch, those around sequences included, and where nucleotides find their rows.
pub(super) struct Layout {
    pub packed: Packed,
    /// Where the nucleotides of each input start among all.
    offsets: Vec<usize>,
    rows: Rows,
    summaries: bool,
}

/// What a Transformer gives for each token.
pub(super) struct TokenRows {
    /// [tokens, d].
    pub features: Tensor,
    /// Queries and keys of the head whose scores are read, [tokens, 2 w].
    pub scores: Option<Tensor>,
}

impl TokenRows {
    /// The rows of several batches, end to end.
    pub fn joined(parts: Vec<Self>) -> Result<Self> {
        let features: Vec<&Tensor> = parts.iter().map(|part| &part.features).collect();
        let scores: Option<Vec<&Tensor>> = parts.iter().map(|part| part.scores.as_ref()).collect();
        Ok(Self {
            features: Tensor::cat(&features, 0)?,
            scores: scores.map(|scores| Tensor::cat(&scores, 0)).transpose()?,
        })
    }

    /// The same without a gradient.
    pub fn detached(self) -> Self {
        Self { features: self.features.detach(), scores: self.scores.map(|scores| scores.detach()) }
    }
}

/// The rows of tokens that nucleotides have.
enum Rows {
    /// One for each nucleotide.
    One(Vec<u32>),
    /// Several, whose mean is taken: token and nucleotide of each, in order of the nucleotides.
    Mean { tokens: Vec<u32>, nucleotides: Vec<u32>, shares: Vec<f32> },
}

impl Layout {
    /// # Errors
    /// Where an input has letters without a word.
    pub fn new(vocabulary: &Vocabulary, inputs: &[Input]) -> Result<Self> {
        let mut packed = Packed::new();
        let (mut rows, mut offsets) = (Rows::new(vocabulary.unit()), vec![0]);
        let mut tokens = Vec::new();
        for input in inputs {
            let first = packed.tokens().len() as u32;
            tokens.clear();
            tokens.extend(vocabulary.before());
            let mut nucleotides = 0;
            let parts: [Option<&[u8]>; 2] = match input {
                Input::Letters(letters) => [Some(letters), None],
                Input::Pair(one, two) => [Some(one), Some(two)],
                Input::Tokens(ids) => {
                    if vocabulary.unit() != Unit::Letter {
                        return Err(Error::Failed("only tokens of single nucleotides are read as they are".into()));
                    }
                    let start = first + tokens.len() as u32;
                    tokens.extend_from_slice(ids);
                    rows.add(vocabulary.unit(), start, ids.len(), offsets[offsets.len() - 1]);
                    nucleotides += ids.len();
                    [None, None]
                }
            };
            for (number, letters) in parts.iter().flatten().enumerate() {
                if number > 0 {
                    tokens.extend(vocabulary.after().or(vocabulary.before()));
                }
                let start = first + tokens.len() as u32;
                let refused = |why: NoWord| Error::Failed(why.to_string());
                vocabulary.encode_into(letters, &mut tokens).map_err(refused)?;
                rows.add(vocabulary.unit(), start, letters.len(), offsets[offsets.len() - 1] + nucleotides);
                nucleotides += letters.len();
            }
            tokens.extend(vocabulary.after());
            packed.push(&tokens);
            offsets.push(offsets[offsets.len() - 1] + nucleotides);
        }
        Ok(Self { packed, offsets, rows, summaries: vocabulary.before().is_some() })
    }

    /// Features of nucleotides out of those of tokens.
    pub fn features(&self, tokens: &TokenRows) -> Result<Features> {
        let summaries = if self.summaries { Some(self.summaries(&tokens.features)?) } else { None };
        let scores = tokens.scores.as_ref().map(|scores| self.of_nucleotides(scores)).transpose()?;
        let rows = self.of_nucleotides(&tokens.features)?;
        Ok(Features::new(rows, self.offsets.clone(), summaries).with_scores(scores))
    }

    /// Rows of nucleotides out of those of tokens.
    fn of_nucleotides(&self, tokens: &Tensor) -> Result<Tensor> {
        Ok(match &self.rows {
            Rows::One(rows) => select_rows(tokens, rows.clone())?,
            Rows::Mean { tokens: from, nucleotides, shares } => {
                let picked = select_rows(tokens, from.clone())?;
                let sums = sum_rows(&picked, nucleotides.clone(), shares.len())?;
                let shares = Tensor::from_slice(shares, (shares.len(), 1), tokens.device())?;
                sums.broadcast_mul(&shares)?
            }
        })
    }

    /// The row of the first token of each input, which stands before its sequence.
    pub fn summaries(&self, tokens: &Tensor) -> Result<Tensor> {
        let starts = &self.packed.offsets()[..self.packed.sequences()];
        Ok(select_rows(tokens, starts.iter().map(|&start| start as u32).collect::<Vec<_>>())?)
    }
}

impl Rows {
    fn new(unit: Unit) -> Self {
        match unit {
            Unit::Letter | Unit::Codon => Self::One(Vec::new()),
            Unit::Kmer(_) => Self::Mean { tokens: Vec::new(), nucleotides: Vec::new(), shares: Vec::new() },
        }
    }

    /// Adds `count` nucleotides, whose words begin at token `start`; `place` is that of the first nucleotide among all.
    fn add(&mut self, unit: Unit, start: u32, count: usize, place: usize) {
        match (self, unit) {
            (Self::One(rows), Unit::Codon) => rows.extend((0..count).map(|index| start + index as u32 / 3)),
            (Self::One(rows), _) => rows.extend(start..start + count as u32),
            (Self::Mean { tokens, nucleotides, shares }, unit) => {
                // The k-mers that cover a nucleotide.
                let k = if let Unit::Kmer(k) = unit { k } else { 1 };
                for index in 0..count {
                    let covering = (index + 1).saturating_sub(k)..(index + 1).min(count + 1 - k);
                    shares.push(1.0 / covering.len() as f32);
                    for word in covering {
                        tokens.push(start + word as u32);
                        nucleotides.push((place + index) as u32);
                    }
                }
            }
        }
    }
}
