//! What a model is made of: sizes, k, task, head. Stored as JSON in the metadata of its weights.

use serde::{Deserialize, Serialize};

use crate::relatives::Source;
use crate::{Error, Result};

/// What the head on top of the backbone predicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// Masked k-mers: the output projection of the backbone itself.
    Pretrain,
    /// Base pairs of the secondary structure.
    Fold,
    /// Coding bases of a transcript.
    Coding,
    /// Whether a miRNA binds a target site.
    Mirtarget,
}

impl std::fmt::Display for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Task::Pretrain => "pretrain",
            Task::Fold => "fold",
            Task::Coding => "coding",
            Task::Mirtarget => "mirtarget",
        })
    }
}

/// How a head is built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum HeadKind {
    /// As published: residual blocks of [1x1, k, 1x1] convolutions with ReLU.
    #[default]
    Published,
    /// Fold: dilated convolutions over the pairs that could be part of a helix, which also see what pair the letters make,
    /// how long the helix around it could be, and its probability by free energy.
    Helices,
    /// Coding: dilated convolutions along the transcript, which also see its reading frames.
    Frames,
    /// Mirtarget: convolutions over the map of miRNA positions x site positions, which also see what pair the letters
    /// make and how likely it is by free energy.
    Duplex,
}

/// Every dimension of a model. The default is the published one (RNAret, Methods: about 12 million parameters).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// What the head predicts.
    pub task: Task,
    /// Nucleotides per token; odd, 1 to 7.
    pub k: usize,
    /// Width of the residual stream (d).
    pub embed_dim: usize,
    /// Width of all heads' values together.
    pub value_dim: usize,
    /// Width of the feed-forward network.
    pub ffn_dim: usize,
    /// Number of layers.
    pub layers: usize,
    /// Number of retention heads; divides `embed_dim` (by an even key width) and `value_dim`.
    pub heads: usize,
    /// The epsilon of every RMSNorm.
    #[serde(default = "default_norm_epsilon")]
    pub norm_epsilon: f64,
    /// How the head is built.
    #[serde(default)]
    pub head: HeadKind,
    /// Residual blocks of the head; the published mirtarget head has none.
    #[serde(default)]
    pub head_blocks: usize,
    /// Channels of the head; the published mirtarget head has none.
    #[serde(default)]
    pub head_width: usize,
    /// True where the coding head's blocks are left out of the forward pass although the weights hold them, which is
    /// what the published code does with its published weights.
    #[serde(default)]
    pub skip_head_blocks: bool,
    /// True where the fold head `helices` also reads what known structures of related RNAs say.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub relatives: bool,
}

fn default_norm_epsilon() -> f64 {
    1e-6
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self {
            task: Task::Pretrain,
            k: 1,
            embed_dim: 384,
            value_dim: 512,
            ffn_dim: 512,
            layers: 8,
            heads: 4,
            norm_epsilon: default_norm_epsilon(),
            head: HeadKind::Published,
            head_blocks: 0,
            head_width: 0,
            skip_head_blocks: false,
            relatives: false,
        }
    }
}

impl ModelConfig {
    /// The published sizes for a task: a head of 16 blocks and 128 channels for fold and coding.
    pub fn published(task: Task, k: usize) -> Self {
        let (head_blocks, head_width) = match task {
            Task::Fold | Task::Coding => (16, 128),
            Task::Pretrain | Task::Mirtarget => (0, 0),
        };
        Self { task, k, head_blocks, head_width, ..Self::default() }
    }

    /// Width of one head's queries and keys.
    pub fn key_width(&self) -> usize {
        self.embed_dim / self.heads
    }

    /// Width of one head's values.
    pub fn value_width(&self) -> usize {
        self.value_dim / self.heads
    }

    /// Tokens in the vocabulary: 4^k k-mers and six special ones.
    pub fn vocabulary_size(&self) -> usize {
        4usize.pow(self.k as u32) + 6
    }

    /// Where a model looks for known structures if `wanted` is what the user wants, if anything.
    ///
    /// # Errors
    /// Where the user wants some and the model does not read them.
    pub fn known_structures(&self, wanted: &[Source]) -> Result<Vec<Source>> {
        if !self.relatives && wanted.iter().any(|source| *source != Source::None) {
            return Err(Error::Usage(
                "--known-structures: this model was trained without; leave it out, or give a model that reads them"
                    .into(),
            ));
        }
        Ok(if wanted.is_empty() && self.relatives { vec![Source::BuiltIn] } else { wanted.to_vec() })
    }

    /// Checks that the dimensions fit each other.
    ///
    /// # Errors
    /// [`Error::Usage`] names the field that does not fit.
    pub fn validate(&self) -> Result<()> {
        let wrong = |message: String| Err(Error::Usage(message));
        if self.k.is_multiple_of(2) || self.k > 7 {
            return wrong(format!("k = {} is not an odd number from 1 to 7", self.k));
        }
        for (name, value) in [
            ("embed_dim", self.embed_dim),
            ("value_dim", self.value_dim),
            ("ffn_dim", self.ffn_dim),
            ("layers", self.layers),
            ("heads", self.heads),
        ] {
            if value == 0 {
                return wrong(format!("{name} must be at least 1"));
            }
        }
        if !self.embed_dim.is_multiple_of(2 * self.heads) || self.key_width() < 4 {
            return wrong(format!(
                "embed_dim {} does not split into {} heads of an even width of at least 4",
                self.embed_dim, self.heads
            ));
        }
        if !self.value_dim.is_multiple_of(self.heads) {
            return wrong(format!("value_dim {} does not split into {} heads", self.value_dim, self.heads));
        }
        let needs_width = matches!(self.task, Task::Fold | Task::Coding) || self.head == HeadKind::Duplex;
        if needs_width && self.head_width == 0 {
            return wrong(format!("a {} head needs head_width of at least 1", self.task));
        }
        if self.relatives && self.head != HeadKind::Helices {
            return wrong("known structures are for fold models with the head helices".into());
        }
        match (self.head, self.task) {
            (HeadKind::Published, _)
            | (HeadKind::Helices, Task::Fold)
            | (HeadKind::Frames, Task::Coding)
            | (HeadKind::Duplex, Task::Mirtarget) => {}
            (head, task) => return wrong(format!("a {task} model has no head of the kind {head:?}")),
        }
        Ok(())
    }
}
