//! What a run is made of: settings, sizes and inputs, by published values, then the file of `--config`, then the flags.

use std::path::{Path, PathBuf};

use clap::builder::ValueParser;
use serde::{Deserialize, Serialize};

use super::schedule::Schedule;
use super::settings::{Value, settings, to_table};
use super::tasks::{Setup, TrainingTask};
use crate::cli::numbers::{self, Range};
use crate::homologs::Source;
use crate::model::heads::coding::PublishedCodingConfig;
use crate::model::{EncoderConfig, HeadConfig, HeadKind, ModelConfig, RetentionConfig, Task, TransformerConfig};
use crate::{Error, Result};

/// Which records may not be torn apart when a part of the data is held out for validation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum SplitBy {
    /// Each record stands for itself.
    Record,
    /// Near-identical sequences stay together (more than 0.8 of the 8-mers of the smaller one shared).
    Cluster,
    /// Records of the same family stay together (fold).
    Family,
    /// Transcripts of the same locus or gene stay together (coding).
    Locus,
    /// Repeats of the same miRNA and target stay together (mirtarget).
    Pair,
    /// All pairs of a miRNA stay together (mirtarget).
    Mirna,
}

impl Value for SplitBy {
    fn parser(_: Range) -> ValueParser {
        clap::builder::EnumValueParser::<Self>::new().into()
    }
}

settings! {
    /// The settings that all tasks have. Their defaults are those of pretraining; a task says what it has other values for.
    pub struct TrainConfig, flags TrainFlags under "Training" {
        /// Seed of everything random.
        seed: u64 = 0, in AT_LEAST_0;
        /// Update steps after which the run ends; 0: --epochs ends it.
        steps: u64 = 0, in AT_LEAST_0;
        /// Passes over the data after which the run ends, where --steps is 0. Standard input is one pass.
        epochs: u64 = 1, in AT_LEAST_0;
        /// Most records in the batch of one step.
        batch_records: usize = 256, in AT_LEAST_1;
        /// Most tokens in the batch of one step (a longer record makes a batch of its own).
        batch_tokens: usize = 32_768, in AT_LEAST_1;
        /// Most tokens that one thread works on at a time: a batch is cut into such parts, whose gradients are summed.
        micro_tokens: usize = 4_096, in AT_LEAST_1;
        /// Longest record in nucleotides: longer ones are cropped at random (pretrain, coding) or left out.
        max_length: usize = 1_024, in AT_LEAST_1;
        /// Shortest record in nucleotides: shorter ones are left out.
        min_length: usize = 10, in AT_LEAST_0;
        /// Peak learning rate.
        learning_rate: f64 = 1e-4, in AT_LEAST_0;
        /// Learning rate at the end of each cosine cycle.
        min_learning_rate: f64 = 1e-5, in AT_LEAST_0;
        /// Steps of one cosine cycle; the rate then restarts at its peak.
        cycle_steps: u64 = 50_000, in AT_LEAST_1;
        /// Steps of linear warm-up before the first cycle.
        warmup_steps: u64 = 0, in AT_LEAST_0;
        /// Decoupled weight decay of AdamW (not on norms, biases and embeddings).
        weight_decay: f64 = 0.01, in AT_LEAST_0;
        /// Decay of AdamW's first moment.
        beta1: f64 = 0.9, in BELOW_1;
        /// Decay of AdamW's second moment.
        beta2: f64 = 0.999, in BELOW_1;
        /// Epsilon of AdamW.
        epsilon: f64 = 1e-8, in AT_LEAST_0;
        /// Largest global norm of the gradient; 0 for no clipping.
        clip_norm: f64 = 1.0, in AT_LEAST_0;
        /// Dropout during training.
        dropout: f64 = 0.2, in BELOW_1;
        /// Whether the encoder stays as it is, so that the head alone is trained.
        freeze: bool = false, in AT_LEAST_0;
        /// Decay of the moving average of the weights that is kept as the result; 0 for none.
        ema_decay: f64 = 0.0, in BELOW_1;
        /// Part of the groups that is held out for validation; 0 for none.
        validation_fraction: f64 = 0.05, in BELOW_1;
        /// What may not be torn apart between training and validation.
        split_by: SplitBy = SplitBy::Record, in AT_LEAST_0;
        /// Validate every so many steps; 0: at the end only.
        validate_every: u64 = 1_000, in AT_LEAST_0;
        /// Most records that a validation reads; 0 for all.
        validation_records: usize = 2_000, in AT_LEAST_0;
        /// Stop after so many validations without improvement; 0: never.
        patience: u64 = 0, in AT_LEAST_0;
        /// Write a checkpoint every so many steps.
        checkpoint_every: u64 = 500, in AT_LEAST_1;
        /// Number of checkpoints kept.
        checkpoints_kept: usize = 2, in AT_LEAST_1;
        /// Write a row of metrics.tsv every so many steps.
        log_every: u64 = 10, in AT_LEAST_1;
    }
}

impl TrainConfig {
    /// The learning-rate schedule.
    pub fn schedule(&self) -> Schedule {
        Schedule {
            peak: self.learning_rate,
            minimum: self.min_learning_rate.min(self.learning_rate),
            warmup_steps: self.warmup_steps,
            cycle_steps: self.cycle_steps,
        }
    }

    /// Checks what no value alone can tell.
    ///
    /// # Errors
    /// [`Error::Usage`] where values contradict each other.
    pub fn check_together(&self) -> Result<()> {
        if self.steps == 0 && self.epochs == 0 {
            return Err(Error::Usage("--steps 0 with --epochs 0 would never end: give one of them".into()));
        }
        if self.min_length > self.max_length {
            let (least, most) = (self.min_length, self.max_length);
            return Err(Error::Usage(format!("--min-length {least} is above --max-length {most}")));
        }
        Ok(())
    }
}

/// The settings that an evaluation has: how data are read and held out. Whatever the task, they are as in its training
/// where they are not given.
#[derive(Clone, Debug, Default, clap::Args, Serialize)]
#[serde(rename_all = "kebab-case")]
#[command(next_help_heading = "Records")]
pub struct HeldOutFlags {
    /// Seed of the run whose held-out records are meant.
    #[arg(long, value_name = "X", value_parser = u64::parser(Range::AT_LEAST_0))]
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,

    /// Part of the groups that is held out.
    #[arg(long, value_name = "X", value_parser = f64::parser(Range::BELOW_1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    validation_fraction: Option<f64>,

    /// What is not torn apart between training and validation.
    #[arg(long, value_name = "X", value_enum)]
    #[serde(skip_serializing_if = "Option::is_none")]
    split_by: Option<SplitBy>,

    /// Most records that are read (pretrain); 0 for all.
    #[arg(long, value_name = "X", value_parser = usize::parser(Range::AT_LEAST_0))]
    #[serde(skip_serializing_if = "Option::is_none")]
    validation_records: Option<usize>,

    /// Longest window in nucleotides: longer records are cropped (pretrain).
    #[arg(long, value_name = "X", value_parser = usize::parser(Range::AT_LEAST_1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_length: Option<usize>,

    /// Shortest record in nucleotides: shorter ones are left out (pretrain).
    #[arg(long, value_name = "X", value_parser = usize::parser(Range::AT_LEAST_0))]
    #[serde(skip_serializing_if = "Option::is_none")]
    min_length: Option<usize>,

    /// Part of the tokens that is masked (pretrain).
    #[arg(long, value_name = "X", value_parser = f64::parser(Range::FROM_0_TO_1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    mask_rate: Option<f64>,

    /// Fewest unpaired bases in a hairpin loop (fold).
    #[arg(long, value_name = "X", value_parser = usize::parser(Range::AT_LEAST_0))]
    #[serde(skip_serializing_if = "Option::is_none")]
    min_loop: Option<usize>,

    /// Columns of the table that hold the labels, parted by commas (classify, regress, label).
    #[arg(long, value_name = "X")]
    #[serde(skip_serializing_if = "Option::is_none")]
    columns: Option<String>,
}

impl HeldOutFlags {
    /// The seed, and the part of the records that choices are made by.
    pub fn seed_and_fraction(&self) -> (u64, f64) {
        (self.seed.unwrap_or(0), self.validation_fraction.unwrap_or(0.2))
    }
}

/// Kinds of encoders, as `--encoder` says them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum EncoderKind {
    /// The bidirectional retentive network of RNAret
    #[default]
    Retention,
    /// Softmax attention with rotary positions, as in RiNALMo
    Transformer,
    /// The same behind learned blocks of nucleotides, as in ChaRNABERT
    Characters,
}

impl EncoderKind {
    fn of(config: &EncoderConfig) -> Self {
        match config {
            EncoderConfig::Retention(_) => Self::Retention,
            EncoderConfig::Transformer(TransformerConfig { subwords: Some(_), .. }) => Self::Characters,
            EncoderConfig::Transformer(_) => Self::Transformer,
        }
    }
}

impl std::fmt::Display for EncoderKind {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Self::Retention => "retention",
            Self::Transformer => "transformer",
            Self::Characters => "characters",
        })
    }
}

/// The sizes of a model, as flags and as the table `[model]` of `--config FILE`. What is not given is as published, or
/// as in the weights that training starts from.
#[derive(Clone, Debug, Default, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Sizes {
    /// Kind of the encoder, where training starts from no weights: retention, as in RNAret; a transformer of RiNALMo's shape
    /// (rotary positions, SwiGLU), which reads single nucleotides; or characters, the same behind learned blocks of
    /// nucleotides, as in ChaRNABERT.
    #[arg(long, value_enum, value_name = "KIND", help_heading = "Model")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoder: Option<EncoderKind>,
    /// Nucleotides per token: 1, 3, 5 or 7.
    #[arg(short, long, value_name = "N", help_heading = "Model", value_parser = numbers::parser::<usize>(Range::AT_LEAST_1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub k: Option<usize>,
    /// Layers of the encoder.
    #[arg(long, value_name = "N", help_heading = "Model", value_parser = numbers::parser::<usize>(Range::AT_LEAST_1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layers: Option<usize>,
    /// Width of the encoder.
    #[arg(long, value_name = "N", help_heading = "Model", value_parser = numbers::parser::<usize>(Range::AT_LEAST_1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embed_dim: Option<usize>,
    /// Width of all retention heads' values together.
    #[arg(long, value_name = "N", help_heading = "Model", value_parser = numbers::parser::<usize>(Range::AT_LEAST_1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value_dim: Option<usize>,
    /// Width of the feed-forward networks.
    #[arg(long, value_name = "N", help_heading = "Model", value_parser = numbers::parser::<usize>(Range::AT_LEAST_1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ffn_dim: Option<usize>,
    /// Heads of retention or attention.
    #[arg(long, value_name = "N", help_heading = "Model", value_parser = numbers::parser::<usize>(Range::AT_LEAST_1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heads: Option<usize>,
    /// Kind of the head (published; fold: helices; coding: frames; mirtarget: diagonals or duplex; classify, regress and
    /// label: convolutions).
    #[arg(long, value_enum, help_heading = "Model")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<HeadKind>,
    /// Residual blocks of the head.
    #[arg(long, value_name = "N", help_heading = "Model", value_parser = numbers::parser::<usize>(Range::AT_LEAST_0))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head_blocks: Option<usize>,
    /// Channels of the head.
    #[arg(long, value_name = "N", help_heading = "Model", value_parser = numbers::parser::<usize>(Range::AT_LEAST_0))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head_width: Option<usize>,
    /// Networks that the head diagonals is made of: they are trained side by side, and their logits are averaged.
    #[arg(long, value_name = "N", help_heading = "Model")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head_members: Option<usize>,
}

impl Sizes {
    /// These sizes, and those of `other` where nothing is said here.
    pub fn or(self, other: Self) -> Self {
        Self {
            encoder: self.encoder.or(other.encoder),
            k: self.k.or(other.k),
            layers: self.layers.or(other.layers),
            embed_dim: self.embed_dim.or(other.embed_dim),
            value_dim: self.value_dim.or(other.value_dim),
            ffn_dim: self.ffn_dim.or(other.ffn_dim),
            heads: self.heads.or(other.heads),
            head: self.head.or(other.head),
            head_blocks: self.head_blocks.or(other.head_blocks),
            head_width: self.head_width.or(other.head_width),
            head_members: self.head_members.or(other.head_members),
        }
    }

    /// The dimensions of a model for `task`: these, then those of the encoder in `start`, then the published ones.
    ///
    /// # Errors
    /// Where a size differs from that of the encoder that training starts from, and where sizes do not fit each other.
    pub fn model(&self, task: Task, start: Option<&ModelConfig>) -> Result<ModelConfig> {
        let base = match start {
            Some(start) if start.task() == task => start.clone(),
            Some(start) => ModelConfig { encoder: start.encoder.clone(), head: HeadConfig::published(task) },
            None => {
                let width = self.embed_dim.unwrap_or(384);
                let head = HeadConfig::published(task);
                match self.encoder.unwrap_or_default() {
                    EncoderKind::Retention => ModelConfig::published(task, 1),
                    EncoderKind::Transformer => ModelConfig::new(TransformerConfig::new(width, 8, 12), head),
                    EncoderKind::Characters => ModelConfig::new(TransformerConfig::characters(width, 8, 12), head),
                }
            }
        };
        let kind = EncoderKind::of(&base.encoder);
        if self.encoder.is_some_and(|wanted| wanted != kind) {
            return Err(Error::Usage(format!("--encoder: --model holds a {kind} encoder; leave it out")));
        }
        if kind != EncoderKind::Retention && (self.k.is_some_and(|k| k != 1) || self.value_dim.is_some()) {
            return Err(Error::Usage("-k and --value-dim are for --encoder retention".into()));
        }
        let encoder = match &base.encoder {
            EncoderConfig::Retention(from) => EncoderConfig::Retention(RetentionConfig {
                k: self.k.unwrap_or(from.k),
                layers: self.layers.unwrap_or(from.layers),
                width: self.embed_dim.unwrap_or(from.width),
                value_width: self.value_dim.unwrap_or(from.value_width),
                ffn_width: self.ffn_dim.unwrap_or(from.ffn_width),
                heads: self.heads.unwrap_or(from.heads),
                norm_epsilon: from.norm_epsilon,
            }),
            EncoderConfig::Transformer(from) => EncoderConfig::Transformer(TransformerConfig {
                layers: self.layers.unwrap_or(from.layers),
                width: self.embed_dim.unwrap_or(from.width),
                ffn_width: self.ffn_dim.unwrap_or(from.ffn_width),
                heads: self.heads.unwrap_or(from.heads),
                ..from.clone()
            }),
        };
        if start.is_some() && encoder != base.encoder {
            return Err(Error::Usage(
                "k, layers, widths and heads come from --model: leave out the flags that say otherwise".into(),
            ));
        }
        let (blocks, width) = base.head.sizes();
        let (blocks, width) = (self.head_blocks.unwrap_or(blocks), self.head_width.unwrap_or(width));
        let head = match self.head {
            Some(kind) if kind != base.head.kind() => HeadConfig::new(task, kind, blocks, width)?,
            _ => base.head.with_sizes(blocks, width),
        };
        let head = match self.head_members {
            Some(members) => head.with_members(members)?,
            None => head,
        };
        // What the forward pass does not use is not trained and not kept.
        let head = match head {
            HeadConfig::PublishedCoding(PublishedCodingConfig { skip_blocks: true, width, .. }) => {
                HeadConfig::PublishedCoding(PublishedCodingConfig { blocks: 0, width, skip_blocks: false })
            }
            head => head,
        };
        let model = ModelConfig { encoder, head };
        model.validate()?;
        Ok(model)
    }
}

/// The files that a run reads, as the table `[inputs]` of `--config FILE`. Names of files are absolute, so that the
/// configuration means the same wherever it is used.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Inputs {
    /// Training data.
    pub data: Vec<PathBuf>,
    /// Validation data, where it is not held out of the training data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<PathBuf>,
    /// Where the CDS of FASTA records are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub annotation: Option<PathBuf>,
    /// Where records find homologs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub known_structures: Vec<Source>,
    /// Weights to start from: a file or the name of a built-in model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<PathBuf>,
}

impl Inputs {
    /// These, and what `other` says where nothing is said here.
    pub fn or(self, other: Self) -> Self {
        Self {
            data: if self.data.is_empty() { other.data } else { self.data },
            validation: self.validation.or(other.validation),
            annotation: self.annotation.or(other.annotation),
            known_structures: match self.known_structures.is_empty() {
                true => other.known_structures,
                false => self.known_structures,
            },
            model: self.model.or(other.model),
        }
    }

    /// All of them that are files, or may be.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let Self { data, validation, annotation, known_structures, model } = self;
        let others = [validation, annotation, model].into_iter().flatten();
        data.iter().chain(others).map(PathBuf::as_path).chain(known_structures.iter().filter_map(Source::file))
    }

    /// Those that count where `flags` are given too.
    pub fn beside(self, flags: &Self) -> Self {
        Self {
            data: if flags.data.is_empty() { self.data } else { Vec::new() },
            validation: self.validation.filter(|_| flags.validation.is_none()),
            annotation: self.annotation.filter(|_| flags.annotation.is_none()),
            known_structures: if flags.known_structures.is_empty() { self.known_structures } else { Vec::new() },
            model: self.model.filter(|_| flags.model.is_none()),
        }
    }

    fn absolute(self) -> Self {
        // Standard input and the names of built-in models are no files.
        let absolute = |path: PathBuf| match path.exists() {
            true => std::path::absolute(&path).unwrap_or(path),
            false => path,
        };
        let source = |source| match source {
            Source::File(path) => Source::File(absolute(path)),
            other => other,
        };
        Self {
            data: self.data.into_iter().map(absolute).collect(),
            validation: self.validation.map(absolute),
            annotation: self.annotation.map(absolute),
            known_structures: self.known_structures.into_iter().map(source).collect(),
            model: self.model.map(absolute),
        }
    }
}

/// The TOML file of `--config`: settings, sizes and inputs, or some of them. A run's `config.toml` has all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConfigFile {
    /// The keys outside tables are settings that all tasks have, and a table of a task's name has those of the task.
    pub settings: toml::Table,
    /// The table `[model]`.
    pub sizes: Sizes,
    /// The table `[inputs]`.
    pub inputs: Inputs,
}

/// The settings of single tasks, which earlier versions wrote outside tables, those of all tasks whatever the run's.
pub(super) const ONCE_COMMON: [&str; 12] = [
    "balance",
    "columns",
    "decoys",
    "fragment-length",
    "fragments",
    "gaps",
    "mask-rate",
    "min-loop",
    "positive-weight",
    "record-weight",
    "shuffle-records",
    "trim",
];

impl ConfigFile {
    /// Reads a file.
    ///
    /// # Errors
    /// Where the file cannot be read, or sizes or inputs have a key that is none.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|source| Error::read(path, source))?;
        let wrong = |error: toml::de::Error| Error::Input {
            file: path.display().to_string(),
            place: match error.span() {
                Some(span) => format!("line {}", text[..span.start.min(text.len())].matches('\n').count() + 1),
                None => "settings".to_owned(),
            },
            message: error.message().trim().to_owned(),
        };
        let mut table: toml::Table = toml::from_str(&text).map_err(wrong)?;
        let mut take = |name: &str| {
            toml::Value::Table(match table.remove(name) {
                Some(toml::Value::Table(table)) => table,
                Some(other) => toml::Table::from_iter([(name.to_string(), other)]),
                None => toml::Table::new(),
            })
        };
        let (sizes, inputs) = (take("model"), take("inputs"));
        Ok(Self { sizes: sizes.try_into().map_err(wrong)?, inputs: inputs.try_into().map_err(wrong)?, settings: table })
    }

    /// The settings that all tasks have, and those of one. The tables of other tasks are passed over, so that one file may
    /// serve several.
    ///
    /// # Errors
    /// Where the name of a task is no table.
    pub fn settings_of<T: TrainingTask>(&self) -> Result<(toml::Table, toml::Table)> {
        let mut common = self.settings.clone();
        let mut own = toml::Table::new();
        for task in Task::ALL {
            match common.remove(&task.to_string()) {
                Some(toml::Value::Table(table)) if task == T::TASK => own = table,
                Some(toml::Value::Table(_)) | None => {}
                Some(_) => return Err(Error::Usage(format!("{task} is a table of settings: [{task}]"))),
            }
        }
        let known = to_table(&T::Settings::default())?;
        for key in ONCE_COMMON {
            if let Some(value) = common.remove(key)
                && known.contains_key(key)
            {
                own.entry(key).or_insert(value);
            }
        }
        Ok((common, own))
    }

    /// The text of a run's `config.toml`, which [`ConfigFile::read`] reads.
    ///
    /// # Errors
    /// Where a value has no place in TOML.
    pub fn write<T: TrainingTask>(setup: &Setup<T::Settings>) -> Result<String> {
        let Setup { inputs, config, settings, model } = setup;
        let (blocks, width) = model.head.sizes();
        let encoder = match &model.encoder {
            EncoderConfig::Retention(encoder) => Sizes {
                k: Some(encoder.k),
                layers: Some(encoder.layers),
                embed_dim: Some(encoder.width),
                value_dim: Some(encoder.value_width),
                ffn_dim: Some(encoder.ffn_width),
                heads: Some(encoder.heads),
                ..Sizes::default()
            },
            EncoderConfig::Transformer(encoder) => Sizes {
                layers: Some(encoder.layers),
                embed_dim: Some(encoder.width),
                ffn_dim: Some(encoder.ffn_width),
                heads: Some(encoder.heads),
                ..Sizes::default()
            },
        };
        let sizes = Sizes {
            encoder: Some(EncoderKind::of(&model.encoder)),
            head: Some(model.head.kind()),
            head_blocks: Some(blocks),
            head_width: Some(width),
            head_members: match &model.head {
                HeadConfig::Diagonals(config) => Some(config.members),
                _ => None,
            },
            ..encoder
        };
        let own = match to_toml(settings)? {
            text if text.is_empty() => text,
            text => format!("\n[{}]\n{text}", T::TASK),
        };
        let (config, sizes, inputs) = (to_toml(config)?, to_toml(&sizes)?, to_toml(&inputs.clone().absolute())?);
        Ok(format!("{config}{own}\n[model]\n{sizes}\n[inputs]\n{inputs}"))
    }
}

fn to_toml(value: &impl Serialize) -> Result<String> {
    toml::to_string(value).map_err(|error| Error::Failed(format!("the configuration cannot be written: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::settings::{Settings, resolve};
    use crate::train::tasks::{CodingTask, FoldTask, MirtargetTask, PretrainTask};

    /// The settings of a task by a file alone.
    fn by_file<T: TrainingTask>(file: &ConfigFile) -> (TrainConfig, T::Settings) {
        let (common, own) = file.settings_of::<T>().expect("tables");
        let config = resolve(&T::defaults(), &[&common]).expect("valid settings");
        (config, resolve(&T::Settings::default(), &[&own]).expect("valid settings"))
    }

    #[test]
    fn flags_override_the_file_and_the_file_the_published_values() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("run.toml");
        let text = "learning-rate = 0.5\nsteps = 7\nsplit-by = \"family\"\n[fold]\nmin-loop = 4\n[model]\nlayers = 3\n";
        std::fs::write(&path, text).expect("a file is written");
        let flags = to_table(&TrainFlags { steps: Some(9), ..Default::default() }).expect("a table");
        let file = ConfigFile::read(&path).expect("a valid file");
        assert_eq!(file.sizes, Sizes { layers: Some(3), ..Default::default() });
        let (common, own) = file.settings_of::<FoldTask>().expect("tables");
        let config = resolve(&FoldTask::defaults(), &[&common, &flags]).expect("a valid configuration");
        let expected = TrainConfig { learning_rate: 0.5, steps: 9, split_by: SplitBy::Family, ..FoldTask::defaults() };
        assert_eq!(config, expected);
        let settings = resolve(&Default::default(), &[&own]).expect("valid settings");

        let model = file.sizes.model(Task::Fold, None).expect("a valid model");
        let inputs = Inputs {
            data: vec![path.clone(), "-".into()],
            known_structures: vec![Source::BuiltIn, Source::File(path.clone())],
            model: Some("pretrain-k5".into()),
            ..Default::default()
        };
        let setup = Setup { inputs, config, settings, model };
        let text = ConfigFile::write::<FoldTask>(&setup).expect("TOML");
        std::fs::write(&path, text).expect("a file is written");
        let file = ConfigFile::read(&path).expect("it is read");
        assert_eq!(file.inputs, setup.inputs);
        assert_eq!(by_file::<FoldTask>(&file), (setup.config.clone(), setup.settings));
        let (config, _) = by_file::<CodingTask>(&file);
        assert_eq!(config, setup.config, "config.toml holds every value, so the task's defaults do not matter");
        assert_eq!(file.sizes.model(Task::Fold, None).expect("a valid model"), setup.model);
    }

    /// Once all settings of all tasks stood outside tables.
    #[test]
    fn settings_of_earlier_versions_find_their_place() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("config.toml");
        let mut text = "seed = 3\nmask-rate = 0.25\ntrim = 4\npositive-weight = 2.5\nmin-loop = 3\nfragments = 0.5\n"
            .to_owned()
            + "fragment-length = 100\ndecoys = 0.0\ngaps = 0.0\nbalance = true\nrecord-weight = 1.0\ncolumns = \"\"\n"
            + "shuffle-records = 7\n";
        std::fs::write(&path, &text).expect("a file is written");
        let file = ConfigFile::read(&path).expect("it is read");
        let (config, fold) = by_file::<FoldTask>(&file);
        assert_eq!((config.seed, fold.positive_weight), (3, 2.5));
        let (_, pretrain) = by_file::<PretrainTask>(&file);
        assert_eq!((pretrain.mask_rate, pretrain.shuffle_records), (0.25, 7));
        let (_, mirtarget) = by_file::<MirtargetTask>(&file);
        assert_eq!((mirtarget.mask_rate, mirtarget.trim), (0.25, 4));
        let (_, coding) = by_file::<CodingTask>(&file);
        assert!(coding.balance && coding.fragments == 0.5 && coding.fragment_length == 100);
        // The table of the task has the last word.
        text += "[mirtarget]\ntrim = 5\n";
        std::fs::write(&path, &text).expect("a file is written");
        assert_eq!(by_file::<MirtargetTask>(&ConfigFile::read(&path).expect("it is read")).1.trim, 5);
    }

    #[test]
    fn an_unknown_key_and_a_value_out_of_range_are_named() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("run.toml");
        let error = |text: &str| {
            std::fs::write(&path, text).expect("a file is written");
            let read = ConfigFile::read(&path).and_then(|file| {
                let (common, own) = file.settings_of::<FoldTask>()?;
                let config: TrainConfig = resolve(&FoldTask::defaults(), &[&common])?;
                config.check_together()?;
                resolve(&<FoldTask as TrainingTask>::Settings::default(), &[&own])
            });
            read.expect_err("a mistake").to_string()
        };
        for (text, key) in [
            ("learning_rte = 0.5\n", "learning_rte"),
            ("[model]\nlayer = 3\n", "layer"),
            ("model = 3\n", "model"),
            ("[fold]\ntrim = 3\n", "trim"),
            ("[folt]\nmin-loop = 3\n", "folt"),
            ("fold = 3\n", "fold"),
            ("dropout = 1.0\n", "--dropout"),
            ("batch-records = 0\n", "--batch-records"),
            ("[fold]\npositive-weight = -1.0\n", "--positive-weight"),
            ("min-length = 700\n", "--min-length 700"),
            ("epochs = 0\n", "--epochs 0"),
        ] {
            let error = error(text);
            assert!(error.contains(key), "{error}");
        }
        TrainConfig::default().check().expect("the defaults are within their ranges");
    }

    #[test]
    fn the_encoder_of_the_starting_weights_rules() {
        let encoder = RetentionConfig { layers: 2, width: 64, k: 3, ..RetentionConfig::default() };
        let start = ModelConfig::new(encoder, HeadConfig::LanguageModel);
        let model = Sizes::default().model(Task::Fold, Some(&start)).expect("a valid model");
        assert_eq!((model.encoder, model.head.sizes().0), (start.encoder.clone(), 16));
        let other = Sizes { layers: Some(3), ..Default::default() };
        assert!(other.model(Task::Fold, Some(&start)).is_err());
        let head = Sizes { head: Some(HeadKind::Helices), head_width: Some(24), ..Default::default() };
        let model = head.model(Task::Fold, Some(&start)).expect("a valid model");
        assert_eq!((model.head.kind(), model.head.sizes()), (HeadKind::Helices, (16, 24)));
    }

    #[test]
    fn published_values_are_the_papers() {
        let pretrain = PretrainTask::defaults();
        assert_eq!((pretrain.learning_rate, pretrain.min_learning_rate, pretrain.cycle_steps), (1e-4, 1e-5, 50_000));
        let masked = <PretrainTask as TrainingTask>::Settings::default().mask_rate;
        assert_eq!((pretrain.dropout, masked), (0.2, 0.15));
        let positive = <FoldTask as TrainingTask>::Settings::default().positive_weight;
        assert_eq!((FoldTask::defaults().learning_rate, positive), (1e-5, 10.0));
        assert_eq!(CodingTask::defaults().learning_rate, 5e-5);
        assert_eq!(MirtargetTask::defaults().learning_rate, 1e-5);
    }
}
