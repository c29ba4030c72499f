//! One answer for an RNA as a whole: a class, or values.
//!
//! The mean and the largest values of the trunk over the nucleotides decide: Linear, ReLU, Linear.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::general::{GeneralHead, Part};
use super::outputs::Outputs;
use super::trunk::Trunk;
use super::{WithBias, other_task};
use crate::Result;
use crate::model::Features;
use crate::model::builder::Builder;
use crate::model::config::{HeadConfig, default_norm_epsilon};
use crate::model::ops::bias::add_bias_relu;
use crate::model::ops::dropout::{Dropout, dropped};
use crate::model::ops::linear::linear;

/// The sizes of the head and its answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SequenceConfig {
    /// Residual blocks.
    pub blocks: usize,
    /// Channels.
    pub width: usize,
    /// The epsilon of every RMSNorm.
    #[serde(default = "default_norm_epsilon")]
    pub norm_epsilon: f64,
    /// What is answered.
    pub outputs: Outputs,
}

/// The head's weights.
#[derive(Clone, Debug)]
pub struct SequenceHead {
    trunk: Trunk,
    hidden: WithBias,
    out: WithBias,
    outputs: Outputs,
}

impl GeneralHead for SequenceHead {
    const PART: Part = Part::Sequence;

    fn build(config: &HeadConfig, d: usize, builder: &Builder) -> Result<Self> {
        let HeadConfig::Sequence(SequenceConfig { blocks, width, norm_epsilon, outputs }) = config else {
            return Err(other_task(config));
        };
        Ok(Self {
            trunk: Trunk::build(*blocks, *width, *norm_epsilon, d, builder)?,
            hidden: WithBias::build(builder, "hidden", &[*width, 2 * width])?,
            out: WithBias::build(builder, "out", &[outputs.count(), *width])?,
            outputs: outputs.clone(),
        })
    }

    fn outputs(&self) -> &Outputs {
        &self.outputs
    }

    /// A row for each sequence.
    fn forward(&self, features: &Features, mut dropout: Option<&mut Dropout>) -> Result<Tensor> {
        let x = self.trunk.forward(features, &mut dropout)?;
        let pooled = features
            .ranges()
            .map(|range| {
                let rows = x.narrow(0, range.start, range.len())?;
                Ok(Tensor::cat(&[rows.mean(0)?, rows.max(0)?], 0)?)
            })
            .collect::<Result<Vec<_>>>()?;
        let pooled = dropped(Tensor::stack(&pooled, 0)?, &mut dropout)?;
        let hidden = add_bias_relu(&linear(&pooled, &self.hidden.weight)?, &self.hidden.bias)?;
        self.out.apply(&dropped(hidden, &mut dropout)?)
    }
}
