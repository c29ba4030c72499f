//! The heads on top of the backbone: one file per task.

pub mod coding;
pub mod fold;
pub mod mirtarget;

use candle_core::Tensor;

use super::parameters::Parameters;
use crate::{Error, Result};

/// A weight and its bias.
#[derive(Clone, Debug)]
struct WithBias {
    weight: Tensor,
    bias: Tensor,
}

impl WithBias {
    fn new(parameters: &Parameters, name: &str) -> Result<Self> {
        let get = |part: &str| {
            let name = format!("classifier.{name}.{part}");
            parameters.get(&name).cloned().ok_or_else(|| Error::weights("model", format!("tensor {name} is missing")))
        };
        Ok(Self { weight: get("weight")?, bias: get("bias")? })
    }

    /// The weight of a 1x1 convolution as a matrix [out, in].
    fn matrix(&self) -> Result<Tensor> {
        let (out, channels) = (self.weight.dim(0)?, self.weight.dim(1)?);
        Ok(self.weight.reshape((out, channels))?)
    }
}
