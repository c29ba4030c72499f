//! Every hyperparameter of a run: published defaults, then the file of `--config`, then the flags.

use std::path::{Path, PathBuf};

use clap::builder::ValueParser;
use serde::{Deserialize, Serialize};

use super::schedule::Schedule;
use crate::cli::numbers::{self, Range};
use crate::homologs::Source;
use crate::model::heads::coding::PublishedCodingConfig;
use crate::model::{EncoderConfig, HeadConfig, HeadKind, ModelConfig, RetentionConfig, Task};
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

/// The type of a hyperparameter: what its flag takes. The range of each is [`TrainConfig::validate`]'s.
trait Setting {
    fn parser() -> ValueParser;
}

impl Setting for u64 {
    fn parser() -> ValueParser {
        ValueParser::new(numbers::parser::<u64>(Range::AT_LEAST_0))
    }
}

impl Setting for usize {
    fn parser() -> ValueParser {
        ValueParser::new(numbers::parser::<usize>(Range::AT_LEAST_0))
    }
}

impl Setting for f64 {
    fn parser() -> ValueParser {
        ValueParser::new(numbers::parser::<f64>(Range::AT_LEAST_0))
    }
}

impl Setting for bool {
    fn parser() -> ValueParser {
        ValueParser::bool()
    }
}

impl Setting for String {
    fn parser() -> ValueParser {
        ValueParser::string()
    }
}

impl Setting for SplitBy {
    fn parser() -> ValueParser {
        clap::builder::EnumValueParser::<Self>::new().into()
    }
}

/// Declares the hyperparameters once: the resolved struct, the optional flags, and how the flags override it.
macro_rules! hyperparameters {
    ($($(#[$doc:meta])* $name:ident: $type:ty,)*) => {
        /// The resolved hyperparameters of one run. The run folder keeps them in `config.toml`.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case", deny_unknown_fields)]
        pub struct TrainConfig {
            $($(#[$doc])* pub $name: $type,)*
        }

        /// The same hyperparameters as flags and as the keys of `--config FILE` (TOML); what is not given keeps its
        /// default.
        #[derive(Clone, Debug, Default, PartialEq, clap::Args, Deserialize)]
        #[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
        pub struct Hyperparameters {
            $(
                $(#[$doc])*
                #[arg(long, value_name = "X", help_heading = "Hyperparameters", value_parser = <$type>::parser())]
                pub $name: Option<$type>,
            )*
        }

        impl Hyperparameters {
            /// Replaces in `config` what is given here.
            fn apply(&self, config: &mut TrainConfig) {
                $(if let Some(value) = &self.$name { config.$name = value.clone(); })*
            }
        }
    };
}

hyperparameters! {
    /// Seed of everything random.
    seed: u64,
    /// Update steps after which the run ends; 0: --epochs ends it.
    steps: u64,
    /// Passes over the data after which the run ends, where --steps is 0. Standard input is one pass.
    epochs: u64,
    /// Most records in the batch of one step.
    batch_records: usize,
    /// Most tokens in the batch of one step (a longer record makes a batch of its own).
    batch_tokens: usize,
    /// Most tokens that one thread works on at a time: a batch is cut into such parts, whose gradients are summed.
    micro_tokens: usize,
    /// Longest record in nucleotides: longer ones are cropped at random (pretrain, coding) or left out (fold).
    max_length: usize,
    /// Shortest record in nucleotides: shorter ones are left out.
    min_length: usize,
    /// Peak learning rate.
    learning_rate: f64,
    /// Learning rate at the end of each cosine cycle.
    min_learning_rate: f64,
    /// Steps of one cosine cycle; the rate then restarts at its peak.
    cycle_steps: u64,
    /// Steps of linear warm-up before the first cycle.
    warmup_steps: u64,
    /// Decoupled weight decay of AdamW (not on norms, biases and embeddings).
    weight_decay: f64,
    /// Decay of AdamW's first moment.
    beta1: f64,
    /// Decay of AdamW's second moment.
    beta2: f64,
    /// Epsilon of AdamW.
    epsilon: f64,
    /// Largest global norm of the gradient; 0 for no clipping.
    clip_norm: f64,
    /// Dropout during training.
    dropout: f64,
    /// Decay of the moving average of the weights that is kept as the result; 0 for none.
    ema_decay: f64,
    /// Part of the tokens that is masked (pretrain), or of the letters that is replaced by N in training (mirtarget).
    mask_rate: f64,
    /// Most bases that a site loses at either end in training; those below 30 bases stay whole (mirtarget).
    trim: usize,
    /// Weight of paired bases in the loss (fold).
    positive_weight: f64,
    /// Fewest unpaired bases in a hairpin loop, as in rnaret-fold (fold).
    min_loop: usize,
    /// Part of the transcripts that is replaced by a random fragment, cut at the 5' end, the 3' end or both (coding).
    fragments: f64,
    /// Length of the shortest fragment in nucleotides (coding).
    fragment_length: usize,
    /// Part of the mRNAs that is replaced by a sequence which codes for nothing: the other strand, the sequence
    /// backwards, or a random order of its dinucleotides (coding).
    decoys: f64,
    /// Part of the letters that is replaced by runs of N in training (coding).
    gaps: f64,
    /// Whether the transcripts of the rarer label of each species come as often as those of the other (coding).
    balance: bool,
    /// Weight of the loss of whole records beside the loss of bases (coding).
    record_weight: f64,
    /// Columns of the table that hold the labels, parted by commas; by default label or class (classify), value (regress),
    /// labels (label).
    columns: String,
    /// Part of the groups that is held out for validation; 0 for none.
    validation_fraction: f64,
    /// What may not be torn apart between training and validation.
    split_by: SplitBy,
    /// Validate every so many steps; 0: at the end only.
    validate_every: u64,
    /// Most records that a validation reads; 0 for all.
    validation_records: usize,
    /// Stop after so many validations without improvement; 0: never.
    patience: u64,
    /// Write a checkpoint every so many steps.
    checkpoint_every: u64,
    /// Number of checkpoints kept.
    checkpoints_kept: usize,
    /// Write a row of metrics.tsv every so many steps.
    log_every: u64,
    /// Records held in memory for shuffling when training from standard input.
    shuffle_records: usize,
}

impl TrainConfig {
    /// The published values for a task (RNAret, Methods), and sensible ones where the paper gives none.
    pub fn published(task: Task) -> Self {
        let common = Self {
            seed: 0,
            steps: 0,
            epochs: 1,
            batch_records: 256,
            batch_tokens: 32_768,
            micro_tokens: 4_096,
            max_length: 1_024,
            min_length: 10,
            learning_rate: 1e-4,
            min_learning_rate: 1e-5,
            cycle_steps: 50_000,
            warmup_steps: 0,
            weight_decay: 0.01,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            clip_norm: 1.0,
            dropout: 0.2,
            ema_decay: 0.0,
            mask_rate: 0.15,
            trim: 0,
            positive_weight: 10.0,
            min_loop: 3,
            fragments: 0.0,
            fragment_length: 200,
            decoys: 0.0,
            gaps: 0.0,
            balance: false,
            record_weight: 0.0,
            columns: String::new(),
            validation_fraction: 0.05,
            split_by: SplitBy::Record,
            validate_every: 1_000,
            validation_records: 2_000,
            patience: 0,
            checkpoint_every: 500,
            checkpoints_kept: 2,
            log_every: 10,
            shuffle_records: 16_384,
        };
        match task {
            Task::Pretrain => common,
            Task::Fold => Self {
                epochs: 20,
                batch_records: 4,
                micro_tokens: 1,
                max_length: 600,
                learning_rate: 1e-5,
                min_learning_rate: 1e-6,
                split_by: SplitBy::Cluster,
                validation_records: 0,
                ..common
            },
            Task::Coding => Self {
                epochs: 10,
                batch_records: 16,
                max_length: 3_000,
                min_length: 30,
                learning_rate: 5e-5,
                min_learning_rate: 5e-6,
                split_by: SplitBy::Locus,
                ..common
            },
            Task::Classify | Task::Regress | Task::Label => Self {
                epochs: 20,
                batch_records: 32,
                max_length: 3_000,
                learning_rate: 5e-4,
                min_learning_rate: 5e-5,
                dropout: 0.1,
                split_by: SplitBy::Cluster,
                validation_records: 0,
                ..common
            },
            Task::Mirtarget => Self {
                epochs: 20,
                batch_records: 64,
                min_length: 6,
                mask_rate: 0.0,
                learning_rate: 1e-5,
                min_learning_rate: 1e-6,
                split_by: SplitBy::Pair,
                validation_records: 0,
                ..common
            },
        }
    }

    /// The published values of the task, overridden by those of a file and then by flags.
    ///
    /// # Errors
    /// Where values contradict each other.
    pub fn resolve(task: Task, file: &Hyperparameters, flags: &Hyperparameters) -> Result<Self> {
        let mut config = Self::published(task);
        file.apply(&mut config);
        flags.apply(&mut config);
        config.validate()?;
        Ok(config)
    }

    /// All values as TOML.
    ///
    /// # Errors
    /// Where a value has no place in TOML.
    pub fn to_toml(&self) -> Result<String> {
        to_toml(self)
    }

    /// The learning-rate schedule.
    pub fn schedule(&self) -> Schedule {
        Schedule {
            peak: self.learning_rate,
            minimum: self.min_learning_rate.min(self.learning_rate),
            warmup_steps: self.warmup_steps,
            cycle_steps: self.cycle_steps,
        }
    }

    fn validate(&self) -> Result<()> {
        let wrong = |message: String| Err(Error::Usage(message));
        let below_1 = [
            ("dropout", self.dropout),
            ("ema-decay", self.ema_decay),
            ("validation-fraction", self.validation_fraction),
            ("beta1", self.beta1),
            ("beta2", self.beta2),
        ];
        let shares = [
            ("mask-rate", self.mask_rate),
            ("fragments", self.fragments),
            ("decoys", self.decoys),
            ("gaps", self.gaps),
        ];
        let at_least_0 = [
            ("learning-rate", self.learning_rate),
            ("min-learning-rate", self.min_learning_rate),
            ("weight-decay", self.weight_decay),
            ("clip-norm", self.clip_norm),
            ("positive-weight", self.positive_weight),
            ("record-weight", self.record_weight),
            ("epsilon", self.epsilon),
        ];
        let sizes = [
            ("batch-records", self.batch_records as f64),
            ("batch-tokens", self.batch_tokens as f64),
            ("micro-tokens", self.micro_tokens as f64),
            ("max-length", self.max_length as f64),
            ("cycle-steps", self.cycle_steps as f64),
            ("checkpoint-every", self.checkpoint_every as f64),
            ("checkpoints-kept", self.checkpoints_kept as f64),
            ("log-every", self.log_every as f64),
            ("fragment-length", self.fragment_length as f64),
            ("shuffle-records", self.shuffle_records as f64),
        ];
        for (range, settings) in [
            (Range::BELOW_1, &below_1[..]),
            (Range::FROM_0_TO_1, &shares[..]),
            (Range::AT_LEAST_0, &at_least_0[..]),
            (Range::AT_LEAST_1, &sizes[..]),
        ] {
            for &(name, value) in settings {
                if !range.contains(value) {
                    return wrong(format!("--{name} {value}: give a number {range}"));
                }
            }
        }
        if self.steps == 0 && self.epochs == 0 {
            return wrong("--steps 0 with --epochs 0 would never end: give one of them".into());
        }
        if self.min_length > self.max_length {
            return wrong(format!("--min-length {} is above --max-length {}", self.min_length, self.max_length));
        }
        Ok(())
    }
}

/// The sizes of a model, as flags and as the table `[model]` of `--config FILE`. What is not given is as published, or
/// as in the weights that training starts from.
#[derive(Clone, Debug, Default, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Sizes {
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
    /// Retention heads.
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
            None => ModelConfig::published(task, 1),
        };
        let EncoderConfig::Retention(from) = &base.encoder;
        let encoder = EncoderConfig::Retention(RetentionConfig {
            k: self.k.unwrap_or(from.k),
            layers: self.layers.unwrap_or(from.layers),
            width: self.embed_dim.unwrap_or(from.width),
            value_width: self.value_dim.unwrap_or(from.value_width),
            ffn_width: self.ffn_dim.unwrap_or(from.ffn_width),
            heads: self.heads.unwrap_or(from.heads),
            norm_epsilon: from.norm_epsilon,
        });
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

/// The TOML file of `--config`: hyperparameters, sizes and inputs, or some of them. A run's `config.toml` has all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConfigFile {
    /// The keys outside tables.
    pub hyperparameters: Hyperparameters,
    /// The table `[model]`.
    pub sizes: Sizes,
    /// The table `[inputs]`.
    pub inputs: Inputs,
}

impl ConfigFile {
    /// Reads a file.
    ///
    /// # Errors
    /// Where the file cannot be read, or holds a key that is none.
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
        Ok(Self {
            sizes: sizes.try_into().map_err(wrong)?,
            inputs: inputs.try_into().map_err(wrong)?,
            hyperparameters: table.try_into().map_err(wrong)?,
        })
    }

    /// The text of a run's `config.toml`, which [`ConfigFile::read`] reads.
    ///
    /// # Errors
    /// Where a value has no place in TOML.
    pub fn write(config: &TrainConfig, model: &ModelConfig, inputs: Inputs) -> Result<String> {
        let EncoderConfig::Retention(encoder) = &model.encoder;
        let (blocks, width) = model.head.sizes();
        let sizes = Sizes {
            k: Some(encoder.k),
            layers: Some(encoder.layers),
            embed_dim: Some(encoder.width),
            value_dim: Some(encoder.value_width),
            ffn_dim: Some(encoder.ffn_width),
            heads: Some(encoder.heads),
            head: Some(model.head.kind()),
            head_blocks: Some(blocks),
            head_width: Some(width),
            head_members: match &model.head {
                HeadConfig::Diagonals(config) => Some(config.members),
                _ => None,
            },
        };
        let (config, sizes, inputs) = (to_toml(config)?, to_toml(&sizes)?, to_toml(&inputs.absolute())?);
        Ok(format!("{config}\n[model]\n{sizes}\n[inputs]\n{inputs}"))
    }
}

fn to_toml(value: &impl Serialize) -> Result<String> {
    toml::to_string(value).map_err(|error| Error::Failed(format!("the configuration cannot be written: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_override_the_file_and_the_file_the_published_values() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("run.toml");
        std::fs::write(&path, "learning-rate = 0.5\nsteps = 7\nsplit-by = \"family\"\n[model]\nlayers = 3\n")
            .expect("a file is written");
        let flags = Hyperparameters { steps: Some(9), ..Default::default() };
        let ConfigFile { hyperparameters: file, sizes, .. } = ConfigFile::read(&path).expect("a valid file");
        assert_eq!(sizes, Sizes { layers: Some(3), ..Default::default() });
        let config = TrainConfig::resolve(Task::Fold, &file, &flags).expect("a valid configuration");
        let expected = TrainConfig {
            learning_rate: 0.5,
            steps: 9,
            split_by: SplitBy::Family,
            ..TrainConfig::published(Task::Fold)
        };
        assert_eq!(config, expected);

        let model = sizes.model(Task::Fold, None).expect("a valid model");
        let data = Inputs {
            data: vec![path.clone(), "-".into()],
            known_structures: vec![Source::BuiltIn, Source::File(path.clone())],
            model: Some("pretrain-k5".into()),
            ..Default::default()
        };
        let text = ConfigFile::write(&config, &model, data.clone()).expect("TOML");
        std::fs::write(&path, text).expect("a file is written");
        let ConfigFile { hyperparameters: file, sizes, inputs } = ConfigFile::read(&path).expect("it is read");
        assert_eq!(inputs, data);
        let read = TrainConfig::resolve(Task::Coding, &file, &Hyperparameters::default()).expect("it is valid");
        assert_eq!(read, config, "config.toml holds every value, so the task's defaults do not matter");
        assert_eq!(sizes.model(Task::Fold, None).expect("a valid model"), model);
    }

    #[test]
    fn an_unknown_key_and_a_value_out_of_range_are_named() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("run.toml");
        for (text, key) in
            [("learning_rte = 0.5\n", "learning_rte"), ("[model]\nlayer = 3\n", "layer"), ("model = 3\n", "model")]
        {
            std::fs::write(&path, text).expect("a file is written");
            let error = ConfigFile::read(&path).expect_err("a typo");
            assert!(error.to_string().contains(key), "{error}");
        }
        let none = Hyperparameters::default();
        let flags = Hyperparameters { dropout: Some(1.0), ..Default::default() };
        let error = TrainConfig::resolve(Task::Fold, &none, &flags).expect_err("dropout of everything");
        assert!(error.to_string().contains("--dropout"), "{error}");
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
        let pretrain = TrainConfig::published(Task::Pretrain);
        assert_eq!((pretrain.learning_rate, pretrain.min_learning_rate, pretrain.cycle_steps), (1e-4, 1e-5, 50_000));
        assert_eq!((pretrain.dropout, pretrain.mask_rate), (0.2, 0.15));
        let fold = TrainConfig::published(Task::Fold);
        assert_eq!((fold.learning_rate, fold.positive_weight), (1e-5, 10.0));
        assert_eq!(TrainConfig::published(Task::Coding).learning_rate, 5e-5);
        assert_eq!(TrainConfig::published(Task::Mirtarget).learning_rate, 1e-5);
    }
}
