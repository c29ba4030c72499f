//! Masked language modelling: `rnaret-train pretrain`.

use std::path::{Path, PathBuf};

use super::records::evenly;
use super::{Evaluation, Job, LoadRecords, Rules, Setup, TrainingRecords, TrainingTask};
use crate::model::{EncoderConfig, Task, Weights};
use crate::sequence::{InputFile, ReaderOptions, RecordReader, Tally, Tokenizer, VocabularyConfig};
use crate::train::config::TrainConfig;
use crate::train::data::Records;
use crate::train::data::pretrain::{HeldOut, PretrainExample, Settings, Stream, spool};
use crate::train::objective::pretrain::Pretrain;
use crate::train::random::{Purpose, generator};
use crate::train::run::{Passes, Repeated, Streamed};
use crate::train::settings::settings;
use crate::{Error, Result};

settings! {
    /// Settings of `pretrain` alone.
    pub struct PretrainSettings, flags PretrainFlags under "Training for pretrain" {
        /// Part of the tokens that is masked.
        mask_rate: f64 = 0.15, in FROM_0_TO_1;
        /// Records held in memory for shuffling when training from standard input.
        shuffle_records: usize = 16_384, in AT_LEAST_1;
    }
}

/// The hidden tokens of a sequence.
pub struct PretrainTask;

impl TrainingTask for PretrainTask {
    const TASK: Task = Task::Pretrain;
    type Settings = PretrainSettings;
    type Arguments = PretrainFlags;
    type Objective = Pretrain;

    fn defaults() -> TrainConfig {
        TrainConfig::default()
    }

    fn new(_: &mut Setup<PretrainSettings>) -> Result<Self> {
        Ok(Self)
    }

    fn objective(&self, _: &Setup<PretrainSettings>, _: Option<&Weights>) -> Result<Pretrain> {
        Ok(Pretrain)
    }
}

impl LoadRecords for PretrainTask {
    /// Files are copied to a temporary file, so that they may be larger than the memory; standard input is read as the run
    /// goes on, and is one pass.
    fn for_training(&mut self, job: &Job<PretrainSettings>) -> Result<TrainingRecords<Pretrain>> {
        let Setup { inputs, config, settings, .. } = &job.setup;
        let reading = reading(&job.setup)?;
        let held = HeldOut { seed: config.seed, fraction: config.validation_fraction };
        let nothing = HeldOut { fraction: 0.0, ..held };
        let separate = match &inputs.validation {
            Some(path) => {
                let reader = open(std::slice::from_ref(path), &job.tally)?;
                Some(spool(reader, reading, nothing, &job.folder)?.0)
            }
            None => None,
        };
        let reader = open(&inputs.data, &job.tally)?;
        let (training, apart): (Box<dyn Passes<_>>, _) = if inputs.data == [Path::new("-")] {
            (Box::new(Streamed::new(Stream::new(reader, reading, settings.shuffle_records))), None)
        } else {
            let held = if separate.is_some() { nothing } else { held };
            let (training, apart) = spool(reader, reading, held, &job.folder)?;
            (Box::new(Repeated(training)), Some(apart))
        };
        let validation = separate.or(apart).map_or(Ok(Vec::new()), |records| fixed_examples(&records, config))?;
        Ok((training, validation))
    }

    fn for_evaluation(
        &mut self,
        setup: &Setup<PretrainSettings>,
        evaluation: &Evaluation,
        _: &Pretrain,
    ) -> Result<(Vec<PretrainExample>, Rules)> {
        let fraction = if evaluation.only_held_out { setup.config.validation_fraction } else { 0.0 };
        let held = HeldOut { seed: setup.config.seed, fraction };
        let reader = open(&setup.inputs.data, &evaluation.tally)?;
        let (all, apart) = spool(reader, reading(setup)?, held, &std::env::temp_dir())?;
        let records = if evaluation.only_held_out { apart } else { all };
        Ok((fixed_examples(&records, &setup.config)?, Rules::new()))
    }
}

fn open(paths: &[PathBuf], tally: &Tally) -> Result<RecordReader> {
    let inputs: Vec<InputFile> = paths.iter().map(|path| InputFile::from(path.as_path())).collect();
    RecordReader::open(&inputs, ReaderOptions { tally: tally.clone(), ..ReaderOptions::default() })
}

fn reading(setup: &Setup<PretrainSettings>) -> Result<Settings> {
    let TrainConfig { max_length, min_length, .. } = setup.config;
    if let EncoderConfig::Transformer(encoder) = &setup.model.encoder
        && encoder.vocabulary != VocabularyConfig::letters()
    {
        return Err(Error::Usage(
            "a published language model is not pretrained further: train it for a task, or begin one with --encoder"
                .into(),
        ));
    }
    let tokenizer = Tokenizer::new(setup.model.encoder.k())?;
    Ok(Settings { tokenizer, mask_rate: setup.settings.mask_rate, max_length, min_length })
}

/// Examples whose random part is the same in every validation.
fn fixed_examples<D: Records>(records: &D, config: &TrainConfig) -> Result<Vec<D::Example>> {
    evenly((0..records.len()).collect(), config)
        .into_iter()
        .map(|index| records.example(index, &mut generator(config.seed, Purpose::Validation, &[index as u64])))
        .collect()
}
