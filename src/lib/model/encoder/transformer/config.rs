//! The sizes of a Transformer, and what published ones do differently from each other.

use serde::{Deserialize, Serialize};

use super::subwords::SubwordsConfig;
use crate::model::config::{LARGEST_WIDTH, MOST_LAYERS};
use crate::sequence::{Unit, Vocabulary, VocabularyConfig};
use crate::{Error, Result};

/// Where the norms of a layer stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NormPlace {
    /// Before attention and before the feed-forward network; what they give is added to the stream.
    Before,
    /// After each sum.
    After,
}

/// What the result of attention is added to, where norms stand before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Residual {
    /// The stream as it is.
    Stream,
    /// What the norm made of it (RiNALMo).
    Normalised,
}

/// How a token knows where it is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PositionKind {
    /// Queries and keys turn by their position: halves of a head, with angles of this base.
    Rotary {
        /// What the angles are powers of.
        base: f64,
    },
    /// A learned row is added to each token's embedding.
    Learned {
        /// Rows: most tokens of a sequence, those around it included.
        count: usize,
    },
    /// Sines and cosines are added (Vaswani et al., arXiv:1706.03762), counted from `first`.
    Sinusoidal {
        /// The position of the first token.
        first: usize,
    },
}

/// What stands between the two matrices of a feed-forward network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// The exact gelu.
    Gelu,
    /// Nothing below zero.
    Relu,
    /// u sigmoid(beta u) g with a second first matrix for g, and a learned beta.
    Swiglu,
}

/// The head that guesses masked tokens: Linear, activation, norm, Linear.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuessConfig {
    /// The epsilon of its norm.
    pub norm_epsilon: f64,
    /// Its activation: gelu or ReLU.
    pub activation: Activation,
    /// Whether its last matrix is that of the embedding.
    pub tied: bool,
}

/// The sizes of the encoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransformerConfig {
    /// The published model of this shape, as in `RiNALMo`; empty for others.
    #[serde(default)]
    pub name: String,
    /// What is read.
    pub vocabulary: VocabularyConfig,
    /// Width of the residual stream (d).
    pub width: usize,
    /// Width of the feed-forward network.
    pub ffn_width: usize,
    /// Number of layers.
    pub layers: usize,
    /// Number of attention heads; divides `width`.
    pub heads: usize,
    /// Where norms stand.
    pub norm: NormPlace,
    /// The epsilon of every norm of the encoder.
    pub norm_epsilon: f64,
    /// Whether a norm follows the embedding.
    pub embedding_norm: bool,
    /// Whether a norm follows the last layer.
    pub final_norm: bool,
    /// Whether queries, keys, values and the result of attention have biases.
    pub attention_bias: bool,
    /// Whether queries and keys are normalised, head by head, before they turn.
    pub query_key_norm: bool,
    /// What attention is added to.
    pub residual: Residual,
    /// How positions are told.
    pub positions: PositionKind,
    /// Of the feed-forward network.
    pub activation: Activation,
    /// Whether embeddings are scaled by 0.88 / (1 - masked part), and masked tokens are zero, as in ESM-2: a model that was
    /// trained with 15 % of its tokens masked, 80 % of which were shown as such, then meets the same sums without.
    pub token_dropout: bool,
    /// Blocks of nucleotides between embedding and layers (ChaRNABERT), where there are such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subwords: Option<SubwordsConfig>,
    /// The strength of a G-U pair in the bias of pairs that is carried from layer to layer (ERNIE-RNA), where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pair_bias: Option<f64>,
    /// The attention head whose scores of the last layer a structure head reads, counted from 0; with [`Self::pair_bias`] alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scores_of_head: Option<usize>,
    /// The language-model head.
    pub guess: GuessConfig,
}

impl TransformerConfig {
    /// The shape of RiNALMo with our own words: norms first, rotary positions, SwiGLU of 8/3 width. The stream itself is what
    /// attention is added to.
    pub fn new(width: usize, layers: usize, heads: usize) -> Self {
        Self {
            name: String::new(),
            vocabulary: VocabularyConfig::letters(),
            width,
            ffn_width: 8 * width / 3,
            layers,
            heads,
            norm: NormPlace::Before,
            norm_epsilon: 1e-5,
            embedding_norm: false,
            final_norm: true,
            attention_bias: false,
            query_key_norm: false,
            residual: Residual::Stream,
            positions: PositionKind::Rotary { base: 10_000.0 },
            activation: Activation::Swiglu,
            token_dropout: true,
            subwords: None,
            pair_bias: None,
            scores_of_head: None,
            guess: GuessConfig { norm_epsilon: 1e-5, activation: Activation::Gelu, tied: false },
        }
    }

    /// The shape of ChaRNABERT (Morales-Pastor et al., arXiv:2411.11808) with our own words: blocks of up to four nucleotides in
    /// front of a Transformer whose queries and keys are normalised.
    pub fn characters(width: usize, layers: usize, heads: usize) -> Self {
        Self {
            query_key_norm: true,
            token_dropout: false,
            subwords: Some(SubwordsConfig::up_to(4)),
            ..Self::new(width, layers, heads)
        }
    }

    /// Width of one head.
    pub fn head_width(&self) -> usize {
        self.width / self.heads
    }

    /// Most nucleotides of a sequence; `None` where any number is read.
    pub fn longest(&self) -> Option<usize> {
        let PositionKind::Learned { count } = self.positions else { return None };
        let around = Vocabulary::new(&self.vocabulary)
            .map_or(0, |words| usize::from(words.before().is_some()) + usize::from(words.after().is_some()));
        let words = count.saturating_sub(around);
        Some(match self.vocabulary.unit {
            Unit::Letter => words,
            Unit::Kmer(k) => words + k - 1,
            Unit::Codon => 3 * words,
        })
    }

    /// Checks that the sizes fit each other.
    ///
    /// # Errors
    /// [`Error::Usage`] names what does not fit.
    pub fn validate(&self) -> Result<()> {
        let wrong = |message: String| Err(Error::Usage(message));
        for (name, value) in [("width", self.width), ("ffn_width", self.ffn_width), ("heads", self.heads)] {
            if !(1..=LARGEST_WIDTH).contains(&value) {
                return wrong(format!("{name} = {value} is not from 1 to {LARGEST_WIDTH}"));
            }
        }
        if !(1..=MOST_LAYERS).contains(&self.layers) {
            return wrong(format!("layers = {} is not from 1 to {MOST_LAYERS}", self.layers));
        }
        if !self.width.is_multiple_of(self.heads) || (self.rotates() && self.head_width() < 2) {
            return wrong(format!(
                "width {} does not split into {} heads; a file that does not tell its number of heads is read with \
                 `rnaret-train import --heads N`",
                self.width, self.heads
            ));
        }
        if let PositionKind::Learned { count } = self.positions
            && !(1..=1 << 24).contains(&count)
        {
            return wrong(format!("a table of {count} positions is not read"));
        }
        if let Some(head) = self.scores_of_head
            && (head >= self.heads || self.pair_bias.is_none())
        {
            return wrong(format!("there are no scores of head {head}"));
        }
        if self.guess.activation == Activation::Swiglu {
            return wrong("the language-model head has gelu or relu".into());
        }
        if let Some(subwords) = &self.subwords {
            subwords.validate()?;
        }
        if self.vocabulary.words.len() > 1 << 20 {
            return wrong(format!("{} words are too many", self.vocabulary.words.len()));
        }
        Vocabulary::new(&self.vocabulary).map(drop)
    }

    /// Whether queries and keys turn.
    pub(super) fn rotates(&self) -> bool {
        matches!(self.positions, PositionKind::Rotary { .. })
    }
}
