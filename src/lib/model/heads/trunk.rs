//! What the general heads have in common: a projection of the features and residual convolutions along the sequence.

use candle_core::Tensor;

use super::residual_block::ResidualBlock;
use super::{WithBias, norm};
use crate::Result;
use crate::model::Features;
use crate::model::builder::Builder;
use crate::model::ops::convolution::convolution_1d;
use crate::model::ops::dropout::{Dropout, dropped};
use crate::model::ops::rms_norm::rms_norm;

/// Distance between the taps of each block's convolution, repeated where there are more blocks.
const DILATIONS: [usize; 4] = [1, 3, 9, 27];

/// The weights: RMSNorm and Linear(d, width), residual blocks of [RMSNorm, dilated convolution of 7, ReLU, 1x1], RMSNorm.
#[derive(Clone, Debug)]
pub struct Trunk {
    input_norm: Tensor,
    input: WithBias,
    blocks: Vec<ResidualBlock>,
    norm: Tensor,
    epsilon: f64,
}

impl Trunk {
    /// A trunk of the tensors that `builder` gives, for features of `d` numbers.
    ///
    /// # Errors
    /// Where a tensor is missing.
    pub fn build(blocks: usize, width: usize, epsilon: f64, d: usize, builder: &Builder) -> Result<Self> {
        Ok(Self {
            input_norm: norm(&builder.pp("input"), d)?,
            input: WithBias::build(builder, "input", &[width, d])?,
            blocks: ResidualBlock::all(blocks, &[width, width, 7], &DILATIONS, epsilon, builder)?,
            norm: norm(builder, width)?,
            epsilon,
        })
    }

    /// What becomes of every nucleotide, [nucleotides, width]. Differentiable; `dropout` is for training alone.
    ///
    /// # Errors
    /// Where a tensor operation fails.
    pub fn forward(&self, features: &Features, dropout: &mut Option<&mut Dropout>) -> Result<Tensor> {
        let mut x = self.input.apply(&rms_norm(features.rows(), &self.input_norm, self.epsilon)?)?;
        for block in &self.blocks {
            let offsets = features.offsets();
            let change = block.change(&x, |x, weight| convolution_1d(x, weight, offsets, block.dilation))?;
            x = (x + dropped(change, dropout)?)?;
        }
        Ok(rms_norm(&x, &self.norm, self.epsilon)?)
    }
}
