//! The heads on top of the backbone: one file per task.

pub mod coding;
pub mod duplex;
pub mod fold;
pub mod frames;
pub mod helices;
pub mod helix_pairs;
pub mod mirtarget;
pub mod published_fold;
mod residual_block;

use candle_core::Tensor;

use super::ops::linear::linear_with_bias;
use super::parameters::Parameters;
use crate::{Error, Result};

fn tensor(parameters: &Parameters, name: &str) -> Result<Tensor> {
    parameters.get(name).cloned().ok_or_else(|| Error::weights("model", format!("tensor {name} is missing")))
}

/// A weight and its bias.
#[derive(Clone, Debug)]
struct WithBias {
    weight: Tensor,
    bias: Tensor,
}

impl WithBias {
    fn new(parameters: &Parameters, name: &str) -> Result<Self> {
        let get = |part: &str| tensor(parameters, &format!("classifier.{name}.{part}"));
        Ok(Self { weight: get("weight")?, bias: get("bias")? })
    }

    /// The same without gradients.
    fn detached(&self) -> Self {
        Self { weight: self.weight.detach(), bias: self.bias.detach() }
    }

    /// x W^T + b.
    fn apply(&self, x: &Tensor) -> Result<Tensor> {
        Ok(linear_with_bias(x, &self.weight, &self.bias)?)
    }

    /// The weight of a 1x1 convolution as a matrix [out, in].
    fn matrix(&self) -> Result<Tensor> {
        let (out, channels) = (self.weight.dim(0)?, self.weight.dim(1)?);
        Ok(self.weight.reshape((out, channels))?)
    }
}

/// Numbers computed on the CPU, [rows, width], where and in the precision in which `like` is.
fn constant(values: Vec<f32>, shape: (usize, usize), like: &Tensor) -> Result<Tensor> {
    Ok(Tensor::from_vec(values, shape, like.device())?.to_dtype(like.dtype())?)
}
