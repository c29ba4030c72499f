//! The residual block of our own heads: x + 1x1(ReLU(convolution(RMSNorm(x)))), whatever the convolution runs over.

use candle_core::Tensor;

use super::{WithBias, norm};
use crate::Result;
use crate::model::builder::Builder;
use crate::model::ops::bias::add_bias_relu;
use crate::model::ops::rms_norm::rms_norm;

/// The weights of one block.
#[derive(Clone, Debug)]
pub struct ResidualBlock {
    norm: Tensor,
    convolution: WithBias,
    pointwise: WithBias,
    /// Distance between the taps of the convolution.
    pub dilation: usize,
    norm_epsilon: f64,
}

impl ResidualBlock {
    /// The `blocks` blocks of a head, with convolutions of `shape` [width, width, kernel ..] and of `dilations`, which are
    /// repeated where there are more blocks.
    ///
    /// # Errors
    /// Where a tensor is missing.
    pub fn all(
        blocks: usize,
        shape: &[usize],
        dilations: &[usize],
        norm_epsilon: f64,
        builder: &Builder,
    ) -> Result<Vec<Self>> {
        (0..blocks)
            .map(|i| {
                let builder = builder.pp("blocks").pp(i);
                Ok(Self {
                    norm: norm(&builder, shape[0])?,
                    convolution: WithBias::build(&builder, "convolution", shape)?,
                    pointwise: WithBias::build(&builder, "pointwise", &shape[..2])?,
                    dilation: dilations[i % dilations.len()],
                    norm_epsilon,
                })
            })
            .collect()
    }

    /// The same without gradients.
    pub fn detached(&self) -> Self {
        Self {
            norm: self.norm.detach(),
            convolution: self.convolution.detached(),
            pointwise: self.pointwise.detached(),
            ..*self
        }
    }

    /// What the block adds to `x` [positions, width]; `convolve` is its convolution, of positions by weights.
    ///
    /// # Errors
    /// Where a tensor operation fails.
    pub fn change(
        &self,
        x: &Tensor,
        convolve: impl FnOnce(&Tensor, &Tensor) -> candle_core::Result<Tensor>,
    ) -> Result<Tensor> {
        let h = convolve(&rms_norm(x, &self.norm, self.norm_epsilon)?, &self.convolution.weight)?;
        self.pointwise.apply(&add_bias_relu(&h, &self.convolution.bias)?)
    }
}
