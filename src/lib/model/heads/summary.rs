//! A class of an RNA from the row of the token before it: RiNALMo's splice sites and ncRNA families. Linear, gelu, Linear.

use candle_core::{DType, Tensor};
use serde::{Deserialize, Serialize};

use super::general::{GeneralHead, Part};
use super::outputs::Outputs;
use super::{WithBias, other_task};
use crate::Result;
use crate::model::Features;
use crate::model::builder::Builder;
use crate::model::config::HeadConfig;
use crate::model::ops::activation::gelu_exact;
use crate::model::ops::dropout::{Dropout, dropped};

/// The sizes of the head and its answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SummaryConfig {
    /// Hidden units.
    pub width: usize,
    /// Whether two classes share one logit: that of the second, where the first has 0.
    pub one_logit: bool,
    /// What is answered.
    pub outputs: Outputs,
}

/// The head's weights.
#[derive(Clone, Debug)]
pub struct SummaryHead {
    hidden: WithBias,
    out: WithBias,
    config: SummaryConfig,
}

impl GeneralHead for SummaryHead {
    const PART: Part = Part::Sequence;

    fn build(config: &HeadConfig, d: usize, builder: &Builder) -> Result<Self> {
        let HeadConfig::Summary(config) = config else { return Err(other_task(config)) };
        let logits = if config.one_logit { 1 } else { config.outputs.count() };
        Ok(Self {
            hidden: WithBias::build(builder, "hidden", &[config.width, d])?,
            out: WithBias::build(builder, "out", &[logits, config.width])?,
            config: config.clone(),
        })
    }

    fn outputs(&self) -> &Outputs {
        &self.config.outputs
    }

    fn forward(&self, features: &Features, mut dropout: Option<&mut Dropout>) -> Result<Tensor> {
        let hidden = gelu_exact(&self.hidden.apply(features.summaries()?)?)?;
        let logits = self.out.apply(&dropped(hidden, &mut dropout)?)?;
        match self.config.one_logit {
            true => Ok(Tensor::cat(&[logits.zeros_like()?, logits], 1)?),
            false => Ok(logits),
        }
    }

    fn answers(&self, features: &Features) -> Result<Vec<Vec<Vec<f32>>>> {
        let numbers = self.forward(features, None)?.detach().to_dtype(DType::F32)?.to_vec2::<f32>()?;
        Ok(numbers.iter().map(|numbers| vec![self.config.outputs.answer(numbers)]).collect())
    }
}
