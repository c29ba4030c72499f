//! What a model is made of: its encoder and its head, each with its sizes. Stored as JSON in the metadata of its weights.

mod version_1;

use serde::{Deserialize, Serialize};

use super::encoder::{RetentionConfig, TransformerConfig};
use super::heads::bases::BasesConfig;
use super::heads::coding::{FramesConfig, PublishedCodingConfig};
use super::heads::diagonals::DiagonalsConfig;
use super::heads::duplex::DuplexConfig;
use super::heads::helices::HelicesConfig;
use super::heads::outputs::Outputs;
use super::heads::published_fold::PublishedFoldConfig;
use super::heads::sequence::SequenceConfig;
use super::heads::summary::SummaryConfig;
use super::heads::whole_map::WholeMapConfig;
use crate::homologs::Source;
use crate::{Error, Result};

/// The version of the JSON that is written. Version 1 had all sizes side by side and is still read.
const VERSION: u64 = 2;

/// Most layers of an encoder and blocks of a head. With [`LARGEST_WIDTH`] it keeps what a file of weights claims to be
/// from asking for more than any machine has.
pub(super) const MOST_LAYERS: usize = 1_024;
/// Largest width of anything in a model, and most heads.
pub(super) const LARGEST_WIDTH: usize = 65_536;

/// What the head on top of the encoder predicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// Masked k-mers: the encoder's own language-model head.
    Pretrain,
    /// Base pairs of the secondary structure.
    #[cfg_attr(feature = "cli", value(alias = "structure"))]
    Fold,
    /// Coding bases of a transcript.
    Coding,
    /// Whether a miRNA binds a target site.
    Mirtarget,
    /// One of several classes of an RNA.
    #[cfg_attr(feature = "cli", value(alias = "families"))]
    Classify,
    /// Values of an RNA.
    Regress,
    /// Classes or values of nucleotides.
    Label,
}

impl Task {
    /// Every task.
    pub const ALL: [Self; 7] =
        [Self::Pretrain, Self::Fold, Self::Coding, Self::Mirtarget, Self::Classify, Self::Regress, Self::Label];
}

impl std::fmt::Display for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Task::Pretrain => "pretrain",
            Task::Fold => "fold",
            Task::Coding => "coding",
            Task::Mirtarget => "mirtarget",
            Task::Classify => "classify",
            Task::Regress => "regress",
            Task::Label => "label",
        })
    }
}

/// How a head is built, as `--head` says it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
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
    /// Mirtarget: sums over the base pairs on each diagonal of that map, and convolutions across diagonals. Needs no layers
    /// of the encoder.
    Diagonals,
    /// Classify, regress and label: dilated convolutions along the sequence.
    Convolutions,
}

/// The encoder and the head of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "serde_json::Value", into = "Version2")]
pub struct ModelConfig {
    /// What turns letters into features.
    pub encoder: EncoderConfig,
    /// What turns features into predictions.
    pub head: HeadConfig,
}

/// The JSON of a [`ModelConfig`].
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Version2 {
    version: u64,
    encoder: EncoderConfig,
    head: HeadConfig,
}

impl From<ModelConfig> for Version2 {
    fn from(ModelConfig { encoder, head }: ModelConfig) -> Self {
        Self { version: VERSION, encoder, head }
    }
}

impl TryFrom<serde_json::Value> for ModelConfig {
    type Error = String;

    fn try_from(json: serde_json::Value) -> std::result::Result<Self, String> {
        match json.get("version").map(serde_json::Value::as_u64) {
            None => version_1::read(json),
            Some(Some(VERSION)) => {
                let Version2 { encoder, head, .. } = serde_json::from_value(json).map_err(|error| error.to_string())?;
                Ok(Self { encoder, head })
            }
            Some(_) => Err(format!(
                "the configuration has version {}; this program reads versions up to {VERSION}",
                json["version"]
            )),
        }
    }
}

/// An encoder and its sizes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum EncoderConfig {
    /// The bidirectional retentive network of RNAret.
    Retention(RetentionConfig),
    /// Softmax attention: RiNALMo, RNA-FM, BERT and their kin.
    Transformer(TransformerConfig),
}

impl From<RetentionConfig> for EncoderConfig {
    fn from(config: RetentionConfig) -> Self {
        Self::Retention(config)
    }
}

impl From<TransformerConfig> for EncoderConfig {
    fn from(config: TransformerConfig) -> Self {
        Self::Transformer(config)
    }
}

/// A head and its sizes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum HeadConfig {
    /// None but the encoder's own, which guesses masked tokens.
    LanguageModel,
    /// Fold, as published.
    PublishedFold(PublishedFoldConfig),
    /// Fold: convolutions over the pairs that could be part of a helix.
    Helices(HelicesConfig),
    /// Fold: RiNALMo's, RNA-FM's and ERNIE-RNA's convolutions over the whole map of pairs.
    WholeMap(WholeMapConfig),
    /// Coding, as published.
    PublishedCoding(PublishedCodingConfig),
    /// Coding: convolutions along the transcript, beside its reading frames.
    Frames(FramesConfig),
    /// Mirtarget, as published.
    PublishedMirtarget,
    /// Mirtarget: convolutions over the map of miRNA positions x site positions.
    Duplex(DuplexConfig),
    /// Mirtarget: convolutions across the diagonals of that map.
    Diagonals(DiagonalsConfig),
    /// Classify and regress: one answer for an RNA.
    Sequence(SequenceConfig),
    /// Classify: RiNALMo's, from the token before the sequence.
    Summary(SummaryConfig),
    /// Label: one answer for each nucleotide.
    Bases(BasesConfig),
}

/// The epsilon of every RMSNorm, where nothing else is said.
pub(super) fn default_norm_epsilon() -> f64 {
    1e-6
}

impl EncoderConfig {
    /// Numbers per nucleotide (d).
    pub fn width(&self) -> usize {
        match self {
            Self::Retention(config) => config.width,
            Self::Transformer(config) => config.width,
        }
    }

    /// Nucleotides per token of the k-mer tokenizer, which masking and tables of tokens go by.
    pub fn k(&self) -> usize {
        match self {
            Self::Retention(config) => config.k,
            Self::Transformer(_) => 1,
        }
    }

    /// Tokens in the vocabulary, special ones included.
    pub fn vocabulary_size(&self) -> usize {
        match self {
            Self::Retention(config) => config.vocabulary_size(),
            Self::Transformer(config) => config.vocabulary.words.len(),
        }
    }

    /// Whether there is code for a GPU.
    pub fn runs_on_gpu(&self) -> bool {
        matches!(self, Self::Retention(_))
    }

    fn validate(&self) -> Result<()> {
        match self {
            Self::Retention(config) => config.validate(),
            Self::Transformer(config) => config.validate(),
        }
    }
}

impl std::fmt::Display for EncoderConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Retention(RetentionConfig { k, layers, width, .. }) => {
                write!(f, "retention, k = {k}, {layers} layers of {width}")
            }
            Self::Transformer(TransformerConfig { name, layers, width, heads, .. }) => {
                let name = if name.is_empty() { "Transformer" } else { name };
                write!(f, "{name}, {layers} layers of {width}, {heads} heads")
            }
        }
    }
}

impl HeadConfig {
    /// The published head of a task: 16 blocks and 128 channels for fold and coding. Tasks without a published head have one
    /// of 2 blocks and 64 channels, whose answers the training data tell.
    pub fn published(task: Task) -> Self {
        let (blocks, width) = (16, 128);
        match task {
            Task::Pretrain => Self::LanguageModel,
            Task::Fold => Self::PublishedFold(PublishedFoldConfig { blocks, width }),
            Task::Coding => Self::PublishedCoding(PublishedCodingConfig { blocks, width, skip_blocks: false }),
            Task::Mirtarget => Self::PublishedMirtarget,
            Task::Classify | Task::Regress => Self::Sequence(SequenceConfig {
                blocks: 2,
                width: 64,
                norm_epsilon: default_norm_epsilon(),
                outputs: Outputs::none(task == Task::Classify),
            }),
            Task::Label => Self::Bases(BasesConfig {
                blocks: 2,
                width: 64,
                norm_epsilon: default_norm_epsilon(),
                outputs: Outputs::none(true),
            }),
        }
    }

    /// A head for `task` of this kind and these sizes.
    ///
    /// # Errors
    /// Where the task has no head of this kind.
    pub fn new(task: Task, kind: HeadKind, blocks: usize, width: usize) -> Result<Self> {
        let norm_epsilon = default_norm_epsilon();
        Ok(match (task, kind) {
            (Task::Pretrain, HeadKind::Published) => Self::LanguageModel,
            (Task::Mirtarget, HeadKind::Published) => Self::PublishedMirtarget,
            (Task::Fold, HeadKind::Published) => Self::PublishedFold(PublishedFoldConfig { blocks, width }),
            (Task::Coding, HeadKind::Published) => {
                Self::PublishedCoding(PublishedCodingConfig { blocks, width, skip_blocks: false })
            }
            (Task::Fold, HeadKind::Helices) => {
                Self::Helices(HelicesConfig { blocks, width, norm_epsilon, homologs: false })
            }
            (Task::Coding, HeadKind::Frames) => Self::Frames(FramesConfig { blocks, width, norm_epsilon }),
            (Task::Mirtarget, HeadKind::Duplex) => Self::Duplex(DuplexConfig { blocks, width, norm_epsilon }),
            (Task::Mirtarget, HeadKind::Diagonals) => {
                Self::Diagonals(DiagonalsConfig { blocks, width, members: 1, norm_epsilon })
            }
            (Task::Classify | Task::Regress | Task::Label, HeadKind::Convolutions) => {
                Self::published(task).with_sizes(blocks, width)
            }
            (task, kind) => return Err(Error::Usage(format!("a {task} model has no head of the kind {kind:?}"))),
        })
    }

    /// What the head predicts.
    pub fn task(&self) -> Task {
        match self {
            Self::LanguageModel => Task::Pretrain,
            Self::PublishedFold(_) | Self::Helices(_) | Self::WholeMap(_) => Task::Fold,
            Self::PublishedCoding(_) | Self::Frames(_) => Task::Coding,
            Self::PublishedMirtarget | Self::Duplex(_) | Self::Diagonals(_) => Task::Mirtarget,
            Self::Sequence(SequenceConfig { outputs: Outputs::Classes { .. }, .. }) => Task::Classify,
            Self::Sequence(SequenceConfig { outputs: Outputs::Values { .. }, .. }) => Task::Regress,
            Self::Summary(_) => Task::Classify,
            Self::Bases(_) => Task::Label,
        }
    }

    /// How the head is built.
    pub fn kind(&self) -> HeadKind {
        match self {
            Self::LanguageModel
            | Self::PublishedFold(_)
            | Self::WholeMap(_)
            | Self::PublishedCoding(_)
            | Self::PublishedMirtarget
            | Self::Summary(_) => HeadKind::Published,
            Self::Helices(_) => HeadKind::Helices,
            Self::Frames(_) => HeadKind::Frames,
            Self::Duplex(_) => HeadKind::Duplex,
            Self::Diagonals(_) => HeadKind::Diagonals,
            Self::Sequence(_) | Self::Bases(_) => HeadKind::Convolutions,
        }
    }

    /// Residual blocks and channels, where the head has such; else zeros.
    pub fn sizes(&self) -> (usize, usize) {
        match self {
            Self::LanguageModel | Self::PublishedMirtarget => (0, 0),
            Self::Summary(SummaryConfig { width, .. }) => (0, *width),
            Self::PublishedFold(PublishedFoldConfig { blocks, width })
            | Self::WholeMap(WholeMapConfig { blocks, width, .. })
            | Self::Helices(HelicesConfig { blocks, width, .. })
            | Self::PublishedCoding(PublishedCodingConfig { blocks, width, .. })
            | Self::Frames(FramesConfig { blocks, width, .. })
            | Self::Duplex(DuplexConfig { blocks, width, .. })
            | Self::Diagonals(DiagonalsConfig { blocks, width, .. })
            | Self::Sequence(SequenceConfig { blocks, width, .. })
            | Self::Bases(BasesConfig { blocks, width, .. }) => (*blocks, *width),
        }
    }

    /// The same head with other residual blocks and channels.
    pub fn with_sizes(mut self, new_blocks: usize, new_width: usize) -> Self {
        match &mut self {
            Self::LanguageModel | Self::PublishedMirtarget => {}
            Self::Summary(SummaryConfig { width, .. }) => *width = new_width,
            Self::PublishedFold(PublishedFoldConfig { blocks, width })
            | Self::WholeMap(WholeMapConfig { blocks, width, .. })
            | Self::Helices(HelicesConfig { blocks, width, .. })
            | Self::PublishedCoding(PublishedCodingConfig { blocks, width, .. })
            | Self::Frames(FramesConfig { blocks, width, .. })
            | Self::Duplex(DuplexConfig { blocks, width, .. })
            | Self::Diagonals(DiagonalsConfig { blocks, width, .. })
            | Self::Sequence(SequenceConfig { blocks, width, .. })
            | Self::Bases(BasesConfig { blocks, width, .. }) => (*blocks, *width) = (new_blocks, new_width),
        }
        self
    }

    /// What a general head answers; `None` for the others.
    pub fn outputs(&self) -> Option<&Outputs> {
        match self {
            Self::Sequence(SequenceConfig { outputs, .. })
            | Self::Summary(SummaryConfig { outputs, .. })
            | Self::Bases(BasesConfig { outputs, .. }) => Some(outputs),
            _ => None,
        }
    }

    /// The same head with other answers, where it is a general one.
    pub fn with_outputs(mut self, answers: Outputs) -> Self {
        if let Self::Sequence(SequenceConfig { outputs, .. })
        | Self::Summary(SummaryConfig { outputs, .. })
        | Self::Bases(BasesConfig { outputs, .. }) = &mut self
        {
            *outputs = answers;
        }
        self
    }

    /// The same head as so many networks of the same shape, whose logits are averaged.
    ///
    /// # Errors
    /// Where the head has no such networks.
    pub fn with_members(mut self, count: usize) -> Result<Self> {
        match &mut self {
            Self::Diagonals(DiagonalsConfig { members, .. }) if count > 0 => *members = count,
            _ if count == 1 => {}
            _ => return Err(Error::Usage(format!("--head-members {count}: only the head diagonals has members"))),
        }
        Ok(self)
    }

    /// Whether the head reads what known structures of related RNAs say.
    pub fn reads_homologs(&self) -> bool {
        matches!(self, Self::Helices(HelicesConfig { homologs: true, .. }))
    }

    /// The same head, reading what known structures of related RNAs say or not.
    ///
    /// # Errors
    /// Where it should and cannot.
    pub fn with_homologs(mut self, reads: bool) -> Result<Self> {
        match &mut self {
            Self::Helices(HelicesConfig { homologs, .. }) => *homologs = reads,
            _ if reads => {
                return Err(Error::Usage("known structures are for fold models with the head helices".into()));
            }
            _ => {}
        }
        Ok(self)
    }
}

impl ModelConfig {
    /// A model of this encoder and this head.
    pub fn new(encoder: impl Into<EncoderConfig>, head: HeadConfig) -> Self {
        Self { encoder: encoder.into(), head }
    }

    /// The published sizes for a task (RNAret, Methods: about 12 million parameters).
    pub fn published(task: Task, k: usize) -> Self {
        Self::new(RetentionConfig { k, ..RetentionConfig::default() }, HeadConfig::published(task))
    }

    /// What the head predicts.
    pub fn task(&self) -> Task {
        self.head.task()
    }

    /// Where a model looks for known structures if `wanted` is what the user wants, if anything.
    ///
    /// # Errors
    /// Where the user wants some and the model does not read them.
    pub fn known_structures(&self, wanted: &[Source]) -> Result<Vec<Source>> {
        let reads = self.head.reads_homologs();
        if !reads && wanted.iter().any(|source| *source != Source::None) {
            return Err(Error::Usage(
                "--known-structures: this model was trained without; leave it out, or give a model that reads them"
                    .into(),
            ));
        }
        Ok(if wanted.is_empty() && reads { vec![Source::BuiltIn] } else { wanted.to_vec() })
    }

    /// Checks that the dimensions fit each other.
    ///
    /// # Errors
    /// [`Error::Usage`] names the field that does not fit.
    pub fn validate(&self) -> Result<()> {
        self.encoder.validate()?;
        let has_channels = !matches!(self.head, HeadConfig::LanguageModel | HeadConfig::PublishedMirtarget);
        if has_channels && self.head.sizes().1 == 0 {
            return Err(Error::Usage(format!("a {} head needs a width of at least 1", self.task())));
        }
        let (blocks, width) = self.head.sizes();
        let members = match &self.head {
            HeadConfig::Diagonals(config) => config.members,
            _ => 1,
        };
        if members == 0 {
            return Err(Error::Usage("a head needs at least one member".into()));
        }
        let blocks = blocks.max(1).saturating_mul(members);
        if blocks > MOST_LAYERS || width > LARGEST_WIDTH {
            return Err(Error::Usage(format!(
                "a head of {blocks} blocks and a width of {width} is larger than {MOST_LAYERS} and {LARGEST_WIDTH}"
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::encoder::retention::MOST_HEADS;
    use crate::model::retention::kernel::decay;

    #[test]
    fn there_are_no_more_heads_than_decays() {
        let of = |heads| {
            EncoderConfig::Retention(RetentionConfig {
                width: 8 * heads,
                value_width: 8 * heads,
                heads,
                ..RetentionConfig::default()
            })
        };
        of(MOST_HEADS).validate().unwrap();
        let error = of(MOST_HEADS + 1).validate().unwrap_err().to_string();
        assert!(error.contains("heads = 21") && error.contains("at most 20"), "{error}");
        assert!((decay(MOST_HEADS - 1) as f32) < 1.0 && decay(MOST_HEADS) as f32 == 1.0);
    }

    #[test]
    fn a_configuration_is_read_back_whatever_its_head() {
        use clap::ValueEnum;
        let kinds = HeadKind::value_variants();
        for task in Task::ALL {
            for head in kinds.iter().filter_map(|kind| HeadConfig::new(task, *kind, 3, 24).ok()) {
                let config = ModelConfig { head, ..ModelConfig::published(task, 3) };
                let json = serde_json::to_value(&config).unwrap();
                assert_eq!(json["version"], 2);
                assert_eq!(serde_json::from_value::<ModelConfig>(json).unwrap(), config);
                assert_eq!(config.task(), task);
            }
        }
    }

    #[test]
    fn what_is_not_known_is_refused() {
        let good = serde_json::to_value(ModelConfig::published(Task::Fold, 1)).unwrap();
        let wrong = |change: fn(&mut serde_json::Value)| {
            let mut json = good.clone();
            change(&mut json);
            serde_json::from_value::<ModelConfig>(json).unwrap_err().to_string()
        };
        assert!(wrong(|json| json["version"] = 3.into()).contains("version 3"));
        assert!(wrong(|json| json["encoder"]["kind"] = "convolution".into()).contains("convolution"));
        assert!(wrong(|json| json["encoder"]["depth"] = 3.into()).contains("depth"));
        assert!(wrong(|json| json["head"]["depth"] = 3.into()).contains("depth"));
        assert!(wrong(|json| json["tail"] = 3.into()).contains("tail"));
    }
}
