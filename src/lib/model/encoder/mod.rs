//! Encoders: letters in, features out. One file for each kind; whoever uses one sees [`Encoder`] alone.

pub mod retention;

use candle_core::Tensor;

use super::builder::{Builder, read};
use super::config::{EncoderConfig, ModelConfig};
use super::features::{Features, Input};
use super::ops::dropout::Dropout;
use super::parameters::{LANGUAGE_MODEL, Parameters};
use crate::Result;
use crate::sequence::Tokenizer;

pub use retention::{Retention, RetentionConfig};

/// What every encoder does.
pub trait Encode {
    /// Numbers for each nucleotide (d).
    fn width(&self) -> usize;

    /// From letters to this encoder's tokens: for masking, and for tables of tokens.
    fn tokenizer(&self) -> &Tokenizer;

    /// Features of `inputs` as every head wants them. Differentiable; `dropout` is for training alone. Inputs are all pairs
    /// or all none; pairs have summaries.
    ///
    /// # Errors
    /// Where memory runs out or a tensor operation fails.
    fn forward(&self, inputs: &[Input], dropout: Option<&mut Dropout>) -> Result<Features>;

    /// The same without a gradient, by all threads of the current rayon pool. An input's features are the same to the last
    /// bit whatever stands beside it and however many threads there are.
    ///
    /// # Errors
    /// As [`Encode::forward`].
    fn features(&self, inputs: &[Input]) -> Result<Features>;

    /// A row for each input as a whole, [inputs, width]: that of a `[CLS]` token before its first. Without a gradient.
    ///
    /// # Errors
    /// As [`Encode::forward`].
    fn summaries(&self, inputs: &[Input]) -> Result<Tensor>;

    /// About how many bytes of main memory [`Encode::features`] takes at most for inputs of so many nucleotides together, with
    /// its result, by all threads of the current rayon pool; nothing on a device with memory of its own.
    fn memory(&self, nucleotides: usize) -> u64;

    /// Logits over the vocabulary, [rows, vocabulary], of some of the rows of `features`.
    ///
    /// # Errors
    /// Where the model has lost its language-model head in training for a task, and where a tensor operation fails.
    fn logits(&self, features: &Features, rows: &[u32]) -> Result<Tensor>;
}

/// An encoder of any kind.
#[derive(Clone, Debug)]
pub enum Encoder {
    /// The bidirectional retentive network of RNAret.
    Retention(Retention),
}

impl Encoder {
    /// Picks the encoder's tensors out of `parameters`, which [`super::weights`] has checked.
    ///
    /// # Errors
    /// Where a tensor is missing.
    pub fn new(config: &ModelConfig, parameters: &Parameters) -> Result<Self> {
        let language_model = parameters.keys().any(|name| name.starts_with(LANGUAGE_MODEL));
        Self::build(&config.encoder, language_model, &read(parameters).pp("encoder"))
    }

    /// An encoder of the tensors that `builder` gives; its language-model head only where `language_model`.
    ///
    /// # Errors
    /// Where a tensor is missing.
    pub fn build(config: &EncoderConfig, language_model: bool, builder: &Builder) -> Result<Self> {
        match config {
            EncoderConfig::Retention(config) => Ok(Self::Retention(Retention::build(config, language_model, builder)?)),
        }
    }

    /// The same encoder for inference alone: its weights carry no gradient and lie in memory as products want them.
    ///
    /// # Errors
    /// Where a tensor operation fails.
    pub fn for_inference(self) -> Result<Self> {
        match self {
            Self::Retention(encoder) => Ok(Self::Retention(encoder.for_inference()?)),
        }
    }

    fn encode(&self) -> &dyn Encode {
        match self {
            Self::Retention(encoder) => encoder,
        }
    }
}

impl Encode for Encoder {
    fn width(&self) -> usize {
        self.encode().width()
    }

    fn tokenizer(&self) -> &Tokenizer {
        self.encode().tokenizer()
    }

    fn forward(&self, inputs: &[Input], dropout: Option<&mut Dropout>) -> Result<Features> {
        self.encode().forward(inputs, dropout)
    }

    fn features(&self, inputs: &[Input]) -> Result<Features> {
        self.encode().features(inputs)
    }

    fn summaries(&self, inputs: &[Input]) -> Result<Tensor> {
        self.encode().summaries(inputs)
    }

    fn memory(&self, nucleotides: usize) -> u64 {
        self.encode().memory(nucleotides)
    }

    fn logits(&self, features: &Features, rows: &[u32]) -> Result<Tensor> {
        self.encode().logits(features, rows)
    }
}
