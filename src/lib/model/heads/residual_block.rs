//! The residual block of our own heads: x + 1x1(ReLU(convolution(RMSNorm(x)))), whatever the convolution runs over.

use candle_core::Tensor;

use super::{WithBias, tensor};
use crate::Result;
use crate::model::ops::bias::add_bias_and_cut;
use crate::model::ops::rms_norm::rms_norm;
use crate::model::{ModelConfig, Parameters};

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
    /// Picks the tensors of a head's blocks out of `parameters`; `dilations` are repeated where there are more blocks.
    ///
    /// # Errors
    /// Where a tensor is missing.
    pub fn all(config: &ModelConfig, parameters: &Parameters, dilations: &[usize]) -> Result<Vec<Self>> {
        (0..config.head_blocks)
            .map(|i| {
                Ok(Self {
                    norm: tensor(parameters, &format!("classifier.blocks.{i}.norm.weight"))?,
                    convolution: WithBias::new(parameters, &format!("blocks.{i}.convolution"))?,
                    pointwise: WithBias::new(parameters, &format!("blocks.{i}.pointwise"))?,
                    dilation: dilations[i % dilations.len()],
                    norm_epsilon: config.norm_epsilon,
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
        self.pointwise.apply(&add_bias_and_cut(&h, &self.convolution.bias)?)
    }
}
