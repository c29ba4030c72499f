//! The heads on top of an encoder: features in, predictions out.

pub mod bases;
pub mod coding;
pub mod diagonals;
pub mod duplex;
pub mod fold;
pub mod frames;
pub mod general;
pub mod helices;
pub mod helix_pairs;
pub mod mirtarget;
mod mixture;
pub mod outputs;
pub mod published_fold;
mod residual_block;
pub mod sequence;
pub mod summary;
mod trunk;
pub mod whole_map;

use candle_core::Tensor;

use super::builder::{Builder, ONES, fan_in};
use super::config::HeadConfig;
use super::ops::linear::linear_with_bias;
use crate::{Error, Result};

/// Asks `builder` for every tensor of a head for features of `width` numbers.
///
/// # Errors
/// Where a tensor is missing.
pub fn declare(config: &HeadConfig, width: usize, builder: &Builder) -> Result<()> {
    match config {
        HeadConfig::LanguageModel => {}
        HeadConfig::PublishedFold(_) | HeadConfig::Helices(_) | HeadConfig::WholeMap(_) => {
            drop(fold::FoldHead::build(config, width, builder)?)
        }
        HeadConfig::PublishedCoding(_) | HeadConfig::Frames(_) => {
            drop(coding::CodingHead::build(config, width, builder)?);
        }
        HeadConfig::Summary(_) => {
            drop(<summary::SummaryHead as general::GeneralHead>::build(config, width, builder)?);
        }
        HeadConfig::Bases(_) => drop(<bases::BasesHead as general::GeneralHead>::build(config, width, builder)?),
        HeadConfig::Sequence(_) => {
            drop(<sequence::SequenceHead as general::GeneralHead>::build(config, width, builder)?)
        }
        HeadConfig::PublishedMirtarget | HeadConfig::Duplex(_) | HeadConfig::Diagonals(_) => {
            drop(mirtarget::MirtargetHead::build(config, width, builder)?);
        }
    }
    Ok(())
}

/// What is said where a model is asked for the head of another task.
fn other_task(config: &HeadConfig) -> Error {
    Error::Failed(format!("this is a {} model: its head predicts something else", config.task()))
}

/// The weight of a norm over `width` numbers.
fn norm(builder: &Builder, width: usize) -> Result<Tensor> {
    Ok(builder.pp("norm").get_with_hints(width, "weight", ONES)?)
}

/// A weight and its bias.
#[derive(Clone, Debug)]
struct WithBias {
    weight: Tensor,
    bias: Tensor,
}

impl WithBias {
    /// The linear layer or convolution `name`, with a weight of `shape` [out, in, kernel ..].
    fn build(builder: &Builder, name: &str, shape: &[usize]) -> Result<Self> {
        let builder = builder.pp(name);
        Ok(Self {
            weight: builder.get_with_hints(shape, "weight", fan_in(shape))?,
            bias: builder.get_with_hints(shape[0], "bias", fan_in(shape))?,
        })
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
