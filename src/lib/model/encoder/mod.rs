//! Encoders: letters in, features out. One file for each kind; whoever uses one sees [`Encoder`] alone.

pub mod retention;
pub mod transformer;

use candle_core::{Storage, Tensor};

use super::builder::{Builder, read};
use super::config::{EncoderConfig, ModelConfig};
use super::features::{Features, Input};
use super::ops::contiguous;
use super::ops::dropout::Dropout;
use super::parameters::{LANGUAGE_MODEL, Parameters};
use crate::sequence::Tokenizer;
use crate::{Error, Result};

pub use retention::{Retention, RetentionConfig};
pub use transformer::{Transformer, TransformerConfig};

/// What every encoder does.
pub trait Encode {
    /// Numbers for each nucleotide (d).
    fn width(&self) -> usize;

    /// From letters to k-mers, where they are this encoder's tokens: what tables of tokens hold.
    fn kmers(&self) -> Option<&Tokenizer>;

    /// The tokens of a sequence, without those around it.
    ///
    /// # Errors
    /// Where the encoder knows none for a letter.
    fn token_ids(&self, letters: &[u8]) -> Result<Vec<u32>>;

    /// How tokens are hidden, so that the language-model head guesses them.
    ///
    /// # Errors
    /// Where a token is not that of one nucleotide.
    fn masking(&self) -> Result<Masking>;

    /// Why this encoder cannot read `input`, where it cannot: letters that it has no token for, or too many of them.
    fn refusal(&self, input: &Input) -> Option<String>;

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

/// How tokens are hidden so that a model guesses them.
#[derive(Clone, Debug)]
pub struct Masking {
    /// Tokens that are hidden together, since each tells its neighbours.
    pub span: usize,
    /// What stands for a hidden token.
    pub mask: u32,
    /// A token of nothing that is known, where it hardly occurs in training: it is shown as hidden.
    pub unknown: Option<u32>,
    /// Of each token, whether it stands for known nucleotides, which can be asked for.
    pub known: Vec<bool>,
}

fn no_language_model() -> Error {
    Error::Failed(
        "this model was trained for a task and guesses no tokens: give a pretrained model with --model".into(),
    )
}

/// An encoder of any kind.
#[derive(Clone, Debug)]
pub enum Encoder {
    /// The bidirectional retentive network of RNAret.
    Retention(Retention),
    /// Softmax attention.
    Transformer(Box<Transformer>),
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
            EncoderConfig::Transformer(config) => {
                Ok(Self::Transformer(Box::new(Transformer::build(config, language_model, builder)?)))
            }
        }
    }

    /// The same encoder for inference alone: its weights carry no gradient and lie in memory as products want them.
    ///
    /// # Errors
    /// Where a tensor operation fails.
    pub fn for_inference(self) -> Result<Self> {
        match self {
            Self::Retention(encoder) => Ok(Self::Retention(encoder.for_inference()?)),
            Self::Transformer(encoder) => Ok(Self::Transformer(Box::new(encoder.for_inference()?))),
        }
    }

    fn encode(&self) -> &dyn Encode {
        match self {
            Self::Retention(encoder) => encoder,
            Self::Transformer(encoder) => encoder.as_ref(),
        }
    }
}

impl Encode for Encoder {
    fn width(&self) -> usize {
        self.encode().width()
    }

    fn kmers(&self) -> Option<&Tokenizer> {
        self.encode().kmers()
    }

    fn token_ids(&self, letters: &[u8]) -> Result<Vec<u32>> {
        self.encode().token_ids(letters)
    }

    fn masking(&self) -> Result<Masking> {
        self.encode().masking()
    }

    fn refusal(&self, input: &Input) -> Option<String> {
        self.encode().refusal(input)
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

/// A piece of work for one call: some short sequences, or one long one.
enum Piece {
    Together(usize, usize),
    Long(usize),
}

/// Cuts a batch into pieces: sequences of more than `whole_up_to` tokens alone, others together up to about `pack` tokens.
/// Whatever they are, a sequence's result is the same.
fn pieces(offsets: &[usize], whole_up_to: usize, pack: usize) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut first = 0;
    let sequences = offsets.len() - 1;
    for i in 0..sequences {
        let length = offsets[i + 1] - offsets[i];
        if length > whole_up_to {
            if first < i {
                pieces.push(Piece::Together(first, i));
            }
            pieces.push(Piece::Long(i));
            first = i + 1;
        } else if offsets[i + 1] - offsets[first] >= pack {
            pieces.push(Piece::Together(first, i + 1));
            first = i + 1;
        }
    }
    if first < sequences {
        pieces.push(Piece::Together(first, sequences));
    }
    pieces
}

/// Lends the numbers of a contiguous tensor in main memory.
fn with_rows<R>(tensor: &Tensor, work: impl FnOnce(&[f32]) -> Result<R>) -> Result<R> {
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => work(contiguous::<f32>(storage, layout, "block")?),
        _ => Err(candle_core::Error::Msg("blocks are computed on the CPU only".into()).into()),
    }
}
