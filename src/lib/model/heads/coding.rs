//! Which bases of a transcript code: one logit per base.

use candle_core::Tensor;
use rayon::prelude::*;

use super::WithBias;
use crate::Result;
use crate::model::ops::convolution::convolution_1d;
use crate::model::ops::linear::linear_with_bias;
use crate::model::{ModelConfig, Packed, Parameters};

/// Bases of a long transcript computed at a time. Fixed, so that the number of threads does not change the result.
const PIECE: usize = 2048;

/// Linear(d, width), residual blocks of [1, ReLU, 7, ReLU, 1, ReLU], convolution of 3 to one logit.
#[derive(Clone, Debug)]
pub struct CodingHead {
    linear_in: WithBias,
    blocks: Vec<[WithBias; 3]>,
    conv_out: WithBias,
}

impl CodingHead {
    /// Picks the head's tensors out of `parameters`; leaves the blocks out where `config.skip_head_blocks` says so.
    ///
    /// # Errors
    /// Where a tensor is missing.
    pub fn new(config: &ModelConfig, parameters: &Parameters) -> Result<Self> {
        let blocks = if config.skip_head_blocks { 0 } else { config.head_blocks };
        let blocks = (0..blocks)
            .map(|block| {
                let part = |i: usize| WithBias::new(parameters, &format!("resnet.blocks.{block}.conv_net.{i}"));
                Ok([part(0)?, part(2)?, part(4)?])
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            linear_in: WithBias::new(parameters, "linear_in")?,
            blocks,
            conv_out: WithBias::new(parameters, "conv_out")?,
        })
    }

    /// Logits [tokens] from features [tokens, d] of packed sequences. Differentiable.
    ///
    /// # Errors
    /// Where a tensor operation fails.
    pub fn forward(&self, features: &Tensor, offsets: &[usize]) -> Result<Tensor> {
        let mut x = linear_with_bias(features, &self.linear_in.weight, &self.linear_in.bias)?;
        for [first, middle, last] in &self.blocks {
            let h = linear_with_bias(&x, &first.matrix()?, &first.bias)?.relu()?;
            let h = convolution_1d(&h, &middle.weight, offsets)?.broadcast_add(&middle.bias)?.relu()?;
            let h = linear_with_bias(&h, &last.matrix()?, &last.bias)?.relu()?;
            x = (x + h)?;
        }
        Ok(convolution_1d(&x, &self.conv_out.weight, offsets)?.broadcast_add(&self.conv_out.bias)?.squeeze(1)?)
    }

    /// Bases on either side that a logit depends on, beyond the backbone.
    fn reach(&self) -> usize {
        1 + 3 * self.blocks.len()
    }

    /// Probability of every base that it codes, sequences end to end, by all threads of the current rayon pool.
    ///
    /// # Errors
    /// Where a tensor operation fails.
    pub fn probabilities(&self, features: &Tensor, packed: &Packed) -> Result<Vec<f32>> {
        let reach = self.reach();
        let pieces: Vec<(std::ops::Range<usize>, std::ops::Range<usize>)> = packed
            .ranges()
            .flat_map(|range| {
                let (start, end) = (range.start, range.end);
                range.step_by(PIECE).map(move |first| {
                    let last = (first + PIECE).min(end);
                    // What lies within reach is computed too and thrown away, which leaves the rest exact.
                    (first..last, first.saturating_sub(reach).max(start)..(last + reach).min(end))
                })
            })
            .collect();
        let parts = pieces
            .into_par_iter()
            .map(|(wanted, read)| {
                let part = features.narrow(0, read.start, read.len())?.detach();
                let logits = self.forward(&part, &[0, read.len()])?.to_vec1::<f32>()?;
                Ok(logits[wanted.start - read.start..wanted.end - read.start].to_vec())
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(parts.concat().into_iter().map(|logit| (1.0 / (1.0 + (-logit as f64).exp())) as f32).collect())
    }
}
