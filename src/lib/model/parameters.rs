//! The named tensors of a model: which there are, and how each starts.

use std::collections::BTreeMap;

use candle_core::Tensor;

use super::builder::{self, Builder};
use super::config::{HeadConfig, ModelConfig};
use super::encoder::Encoder;
use super::heads;
use crate::Result;

/// Tensors by name: `encoder.*`, `encoder.lm.*` of the encoder's language-model head, and `head.*`.
pub type Parameters = BTreeMap<String, Tensor>;

/// What the names of the encoder's language-model head start with. Models with a head of their own may lack it.
pub const LANGUAGE_MODEL: &str = "encoder.lm.";

/// Names and shapes of all tensors of a model; those of the encoder's language-model head only where `language_model`.
///
/// # Errors
/// Where the configuration does not hold together.
pub fn shapes(config: &ModelConfig, language_model: bool) -> Result<BTreeMap<String, Vec<usize>>> {
    builder::declare(|builder| build(config, language_model, builder))
}

/// Parameters as training starts from them: drawn from `seed`. A model with a head of its own is trained without the
/// encoder's language-model head.
///
/// # Errors
/// Where the configuration does not hold together.
pub fn initialise(config: &ModelConfig, seed: u64) -> Result<Parameters> {
    config.validate()?;
    builder::draw(seed, |builder| build(config, config.head == HeadConfig::LanguageModel, builder))
}

/// Asks `builder` for every tensor of a model.
fn build(config: &ModelConfig, language_model: bool, builder: &Builder) -> Result<()> {
    Encoder::build(&config.encoder, language_model, &builder.pp("encoder"))?;
    heads::declare(&config.head, config.encoder.width(), &builder.pp("head"))
}
