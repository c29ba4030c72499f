//! One answer for each nucleotide: a class, or values.

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
use crate::model::ops::dropout::{Dropout, dropped};

/// The sizes of the head and its answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BasesConfig {
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
pub struct BasesHead {
    trunk: Trunk,
    out: WithBias,
    outputs: Outputs,
}

impl GeneralHead for BasesHead {
    const PART: Part = Part::Nucleotide;

    fn build(config: &HeadConfig, d: usize, builder: &Builder) -> Result<Self> {
        let HeadConfig::Bases(BasesConfig { blocks, width, norm_epsilon, outputs }) = config else {
            return Err(other_task(config));
        };
        Ok(Self {
            trunk: Trunk::build(*blocks, *width, *norm_epsilon, d, builder)?,
            out: WithBias::build(builder, "out", &[outputs.count(), *width])?,
            outputs: outputs.clone(),
        })
    }

    fn outputs(&self) -> &Outputs {
        &self.outputs
    }

    /// A row for each nucleotide.
    fn forward(&self, features: &Features, mut dropout: Option<&mut Dropout>) -> Result<Tensor> {
        let x = self.trunk.forward(features, &mut dropout)?;
        self.out.apply(&dropped(x, &mut dropout)?)
    }
}
