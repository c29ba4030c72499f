//! Gradient-based subword tokenization (Tay et al., arXiv:2106.12672), in front of the layers, without downsampling: as many rows
//! leave as enter, as in ChaRNABERT.
//!
//! Each position sees its neighbours through blocks of several sizes and offsets: the mean over the block that it lies in is a
//! candidate, a learned score weighs the candidates, and positions whose weights are alike agree on them (a softmax attention of
//! the weights to themselves, which is computed in memory that grows with the length alone).

use std::sync::Arc;

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::layer::Dense;
use crate::model::builder::{Builder, ZEROS, fan_in};
use crate::model::ops::attention::attention;
use crate::{Error, Result};

/// Largest block. With more, the padding to a common multiple of all sizes would outgrow the sequences.
const LARGEST: usize = 8;

/// The blocks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubwordsConfig {
    /// Size of each kind of block, and how far its grid is shifted.
    pub blocks: Vec<(usize, usize)>,
    /// Whether positions agree on their weights.
    pub consensus: bool,
}

impl SubwordsConfig {
    /// Blocks of 1 to `largest` nucleotides, each with every offset.
    pub fn up_to(largest: usize) -> Self {
        let blocks = (1..=largest).flat_map(|size| (0..size).map(move |offset| (size, offset))).collect();
        Self { blocks, consensus: true }
    }

    /// The largest block, which is the kernel of the convolution too.
    fn largest(&self) -> usize {
        self.blocks.iter().map(|block| block.0).max().unwrap_or(1)
    }

    /// Checks that the blocks are some.
    ///
    /// # Errors
    /// [`Error::Usage`] names what does not fit.
    pub fn validate(&self) -> Result<()> {
        if self.blocks.is_empty() || self.blocks.len() > LARGEST * LARGEST {
            return Err(Error::Usage(format!("{} kinds of blocks are not read", self.blocks.len())));
        }
        match self.blocks.iter().find(|(size, offset)| !(1..=LARGEST).contains(size) || offset >= size) {
            Some((size, offset)) => Err(Error::Usage(format!(
                "blocks of {size} shifted by {offset}: sizes are from 1 to {LARGEST}, offsets below them"
            ))),
            None => Ok(()),
        }
    }
}

/// The weights.
#[derive(Clone, Debug)]
pub struct Subwords {
    config: SubwordsConfig,
    /// Of each channel by itself, [d, 1, kernel]: over a position and those after it.
    convolution: Tensor,
    convolution_bias: Tensor,
    mix: Dense,
    score: Dense,
}

impl Subwords {
    /// The blocks of the tensors that `builder` gives, for rows of `width` numbers.
    ///
    /// # Errors
    /// Where a tensor is missing.
    pub fn build(config: &SubwordsConfig, width: usize, builder: &Builder) -> Result<Self> {
        let shape = [width, 1, config.largest()];
        let convolution = builder.pp("convolution");
        Ok(Self {
            convolution: convolution.get_with_hints(&shape[..], "weight", fan_in(&shape))?,
            convolution_bias: convolution.get_with_hints(width, "bias", ZEROS)?,
            mix: Dense::build(builder, "mix", (width, width), true)?,
            score: Dense::build(builder, "score", (1, width), true)?,
            config: config.clone(),
        })
    }

    /// For inference alone.
    pub(super) fn for_inference(self) -> Result<Self> {
        let Self { config, convolution, convolution_bias, mix, score } = self;
        let (convolution, convolution_bias) = (convolution.detach(), convolution_bias.detach());
        Ok(Self { config, convolution, convolution_bias, mix: mix.arranged()?, score: score.arranged()? })
    }

    /// Rows [tokens, d] out of embeddings [tokens, d] of packed sequences.
    ///
    /// # Errors
    /// Where a tensor operation fails.
    pub fn forward(&self, x: &Tensor, offsets: &[usize]) -> Result<Tensor> {
        let parts = offsets
            .windows(2)
            .filter(|bounds| bounds[0] < bounds[1])
            .map(|bounds| self.sequence(&x.narrow(0, bounds[0], bounds[1] - bounds[0])?))
            .collect::<Result<Vec<_>>>()?;
        Ok(if parts.is_empty() { x.clone() } else { Tensor::cat(&parts, 0)? })
    }

    fn sequence(&self, x: &Tensor) -> Result<Tensor> {
        let (length, width) = x.dims2()?;
        let kernel = self.config.largest();
        let padded = x.pad_with_zeros(0, 0, kernel - 1)?;
        let mut convolved = Tensor::zeros_like(x)?;
        for tap in 0..kernel {
            let weight = self.convolution.narrow(2, tap, 1)?.reshape((1, width))?;
            convolved = (convolved + padded.narrow(0, tap, length)?.broadcast_mul(&weight)?)?;
        }
        let x = self.mix.apply(&convolved.broadcast_add(&self.convolution_bias)?)?;
        // Whole blocks of every size; the zeros behind the end take part, as published.
        let whole =
            length.next_multiple_of(self.config.blocks.iter().fold(1, |common, block| least_common(common, block.0)));
        let x = x.pad_with_zeros(0, 0, whole - length)?;
        let candidates =
            self.config.blocks.iter().map(|&(size, offset)| means(&x, size, offset)).collect::<Result<Vec<_>>>()?;
        let scores = candidates.iter().map(|candidate| self.score.apply(candidate)).collect::<Result<Vec<_>>>()?;
        let mut weights = candle_nn::ops::softmax(&Tensor::cat(&scores, 1)?, 1)?;
        if self.config.consensus {
            weights = attention(&weights, &weights, &weights, &Arc::new(vec![0, whole]), 1, 1.0)?;
        }
        let mut sum = Tensor::zeros((length, width), x.dtype(), x.device())?;
        for (kind, candidate) in candidates.iter().enumerate() {
            let weight = weights.narrow(0, 0, length)?.narrow(1, kind, 1)?;
            sum = (sum + candidate.narrow(0, 0, length)?.broadcast_mul(&weight)?)?;
        }
        Ok(sum)
    }
}

/// The mean over the block that each position lies in, of a grid of blocks of `size` that begins `offset` after a block's start.
fn means(x: &Tensor, size: usize, offset: usize) -> Result<Tensor> {
    if size == 1 {
        return Ok(x.clone());
    }
    let (length, width) = x.dims2()?;
    let before = if offset > 0 { size - offset } else { 0 };
    let x = if offset > 0 { x.pad_with_zeros(0, before, offset)? } else { x.clone() };
    let rows = x.dim(0)?;
    let means = x.reshape((rows / size, size, width))?.mean_keepdim(1)?;
    Ok(means.broadcast_as((rows / size, size, width))?.reshape((rows, width))?.narrow(0, before, length)?)
}

fn least_common(one: usize, two: usize) -> usize {
    let (mut a, mut b) = (one, two);
    while b > 0 {
        (a, b) = (b, a % b);
    }
    one / a * two
}
