//! Whether a miRNA binds a site.

use candle_core::{DType, Device, Tensor};

use super::diagonals::DiagonalsHead;
use super::duplex::DuplexHead;
use super::{WithBias, other_task};
use crate::Result;
use crate::model::builder::{Builder, read};
use crate::model::ops::dropout::Dropout;
use crate::model::{Features, HeadConfig, Input, ModelConfig, Parameters};

/// A miRNA and a site: letters ACGUN, both read 5' to 3'.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair<'a> {
    /// The miRNA.
    pub mirna: &'a [u8],
    /// The site in its target.
    pub site: &'a [u8],
}

impl<'a> Pair<'a> {
    /// What an encoder reads of the pair.
    pub fn input(&self) -> Input<'a> {
        Input::Pair(self.mirna, self.site)
    }
}

/// Rows of features of a pair.
pub(super) fn nucleotides(pair: &Pair) -> usize {
    pair.mirna.len() + pair.site.len()
}

/// The first row of each pair, and the number of all rows.
pub(super) fn starts(pairs: &[Pair]) -> Vec<usize> {
    let mut starts = vec![0];
    starts.extend(pairs.iter().scan(0, |end, pair| {
        *end += nucleotides(pair);
        Some(*end)
    }));
    starts
}

/// A mirtarget head of any kind.
#[derive(Clone, Debug)]
pub struct MirtargetHead(Kind);

#[derive(Clone, Debug)]
enum Kind {
    /// As published: Linear(d, d), tanh, Linear(d, 2) on the summary of the pair.
    Published { dense: WithBias, out: WithBias },
    /// Convolutions over the map of miRNA x site.
    Duplex(DuplexHead),
    /// Sums along the diagonals of that map, and convolutions across them.
    Diagonals(DiagonalsHead),
}

impl MirtargetHead {
    /// Picks the head's tensors out of `parameters`.
    ///
    /// # Errors
    /// Where a tensor is missing.
    pub fn new(config: &ModelConfig, parameters: &Parameters) -> Result<Self> {
        Self::build(&config.head, config.encoder.width(), &read(parameters).pp("head"))
    }

    /// A head of the tensors that `builder` gives, for features of `d` numbers.
    ///
    /// # Errors
    /// Where a tensor is missing, or the configuration is that of another task.
    pub fn build(config: &HeadConfig, d: usize, builder: &Builder) -> Result<Self> {
        Ok(Self(match config {
            HeadConfig::Duplex(config) => Kind::Duplex(DuplexHead::build(config, d, builder)?),
            HeadConfig::Diagonals(config) => Kind::Diagonals(DiagonalsHead::build(config, d, builder)?),
            HeadConfig::PublishedMirtarget => Kind::Published {
                dense: WithBias::build(builder, "0", &[d, d])?,
                out: WithBias::build(builder, "2", &[2, d])?,
            },
            other => return Err(other_task(other)),
        }))
    }

    /// Logits [members x pairs, 2] (no target, target) from the features of pairs and from their letters: those of all pairs
    /// by the first member of the head, then by the next; most heads have one. Differentiable; `dropout`
    /// is for training alone.
    ///
    /// # Errors
    /// Where letters and features do not fit each other, or a tensor operation fails.
    pub fn forward(&self, features: &Features, pairs: &[Pair], dropout: Option<&mut Dropout>) -> Result<Tensor> {
        match &self.0 {
            Kind::Published { dense, out } => published(dense, out, features.summaries()?),
            Kind::Duplex(head) => head.forward(features.rows(), pairs, dropout),
            Kind::Diagonals(head) => head.forward(features.rows(), pairs, dropout),
        }
    }

    /// About how many bytes of main memory [`MirtargetHead::probabilities`] takes at most for `pairs`, by all threads of the
    /// current rayon pool.
    pub fn memory(&self, pairs: &[Pair]) -> u64 {
        match &self.0 {
            // One row of features a pair.
            Kind::Published { dense, .. } => 4 * 4 * (pairs.len() * dense.bias.elem_count()) as u64,
            Kind::Duplex(head) => head.memory(pairs),
            Kind::Diagonals(head) => head.memory(pairs),
        }
    }

    /// Probability that each pair is a target, by all threads of the current rayon pool; NaN where a logit is not finite.
    ///
    /// # Errors
    /// As [`MirtargetHead::forward`].
    pub fn probabilities(&self, features: &Features, pairs: &[Pair]) -> Result<Vec<f32>> {
        // candle's softmax fails on no rows.
        if features.is_empty() {
            return Ok(Vec::new());
        }
        let logits = self.logits(features, pairs)?;
        let of_classes = candle_nn::ops::softmax_last_dim(&logits)?;
        let mut probabilities = of_classes.narrow(1, 1, 1)?.flatten_all()?.to_vec1::<f32>()?;
        for (probability, logits) in probabilities.iter_mut().zip(logits.to_vec2::<f32>()?) {
            if !logits.iter().all(|logit| logit.is_finite()) {
                *probability = f32::NAN;
            }
        }
        Ok(probabilities)
    }

    /// Natural log odds that each pair is a target, by all threads of the current rayon pool; not finite where a logit is not.
    ///
    /// # Errors
    /// As [`MirtargetHead::forward`].
    pub fn log_odds(&self, features: &Features, pairs: &[Pair]) -> Result<Vec<f32>> {
        if features.is_empty() {
            return Ok(Vec::new());
        }
        let logits = self.logits(features, pairs)?.to_vec2::<f32>()?;
        Ok(logits.into_iter().map(|logits| logits[1] - logits[0]).collect())
    }

    /// Logits for inference on the CPU, [pairs, 2].
    fn logits(&self, features: &Features, pairs: &[Pair]) -> Result<Tensor> {
        let logits = match &self.0 {
            Kind::Published { dense, out } => published(dense, out, features.summaries()?)?,
            Kind::Duplex(head) => head.logits(features.rows(), pairs)?,
            Kind::Diagonals(head) => head.logits(features.rows(), pairs)?,
        };
        Ok(logits.to_dtype(DType::F32)?.to_device(&Device::Cpu)?.contiguous()?)
    }
}

fn published(dense: &WithBias, out: &WithBias, summaries: &Tensor) -> Result<Tensor> {
    out.apply(&dense.apply(summaries)?.tanh()?)
}
