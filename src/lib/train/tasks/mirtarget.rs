//! miRNA target sites: `rnaret-train mirtarget`, and the background of its models.

use std::path::{Path, PathBuf};

use super::records::{InMemory, count};
use super::{Rules, Setup, TrainingTask, held_out_settings};
use crate::Result;
use crate::model::{Task, Weights};
use crate::predict::mirtarget::MirtargetModel;
use crate::sequence::{InputFile, ReaderOptions, RecordReader, Tally};
use crate::train::config::{SplitBy, TrainConfig};
use crate::train::data::mirtarget::{self, MirtargetRecord, MirtargetRecords};
use crate::train::objective::mirtarget::Mirtarget;
use crate::train::settings::settings;
use crate::train::{baseline, target_background};

settings! {
    /// Settings of `mirtarget` alone.
    pub struct MirtargetSettings, flags MirtargetFlags under "Training for mirtarget" {
        /// Part of the letters that is replaced by N in training.
        mask_rate: f64 = 0.0, in FROM_0_TO_1;
        /// Most bases that a site loses at either end in training; those below 30 bases stay whole.
        trim: usize = 0, in AT_LEAST_0;
    }
}

/// Whether a miRNA binds a site.
pub struct MirtargetTask;

impl TrainingTask for MirtargetTask {
    const TASK: Task = Task::Mirtarget;
    type Settings = MirtargetSettings;
    type Arguments = MirtargetFlags;
    type Objective = Mirtarget;

    fn defaults() -> TrainConfig {
        TrainConfig {
            epochs: 20,
            batch_records: 64,
            min_length: 6,
            learning_rate: 1e-5,
            min_learning_rate: 1e-6,
            split_by: SplitBy::Pair,
            validation_records: 0,
            ..TrainConfig::default()
        }
    }

    fn new(_: &mut Setup<MirtargetSettings>) -> Result<Self> {
        Ok(Self)
    }

    fn objective(&self, _: &Setup<MirtargetSettings>, weights: Option<&Weights>) -> Result<Mirtarget> {
        Ok(Mirtarget { background: weights.and_then(|weights| weights.background.clone()) })
    }
}

impl InMemory for MirtargetTask {
    type Record = MirtargetRecord;

    fn read(&mut self, files: &[PathBuf]) -> Result<Vec<MirtargetRecord>> {
        mirtarget::read_files(files)
    }

    fn length(pair: &MirtargetRecord) -> usize {
        pair.mirna.len() + pair.target.len()
    }

    fn groups(records: &[MirtargetRecord], by: SplitBy) -> Result<Vec<Vec<u8>>> {
        records.iter().map(|record| mirtarget::group(record, by)).collect()
    }

    fn training(&self, records: Vec<MirtargetRecord>, setup: &Setup<MirtargetSettings>) -> Result<MirtargetRecords> {
        let MirtargetSettings { mask_rate, trim } = setup.settings;
        Ok(MirtargetRecords { records, mask_rate, trim })
    }

    fn examples(&self, records: Vec<MirtargetRecord>) -> Result<Vec<MirtargetRecord>> {
        Ok(records)
    }

    fn rules(&self, _: &Mirtarget, training: Vec<MirtargetRecord>, examples: &[MirtargetRecord]) -> Result<Rules> {
        Ok(vec![
            ("mirna_identity", baseline::mirna_identity(&training, examples)),
            ("seed_match", baseline::seed_match(examples)),
            ("duplex_energy", baseline::duplex_energy(examples)),
        ])
    }
}

/// Gives a mirtarget model its background: windows of shuffled `targets` (FASTA), and the level at which the miRNAs of the
/// pairs in `data` take as few of them for sites as they should.
///
/// # Errors
/// Those of reading the data and of tensor operations; where there is too little to learn from.
pub fn calibrate_targets(
    mut weights: Weights,
    data: &[PathBuf],
    targets: &Path,
    flags: &toml::Table,
    tally: &Tally,
) -> Result<Weights> {
    let (config, _) = held_out_settings::<MirtargetTask>(flags)?;
    let records = MirtargetTask.read(data)?;
    count(tally, records.iter().map(MirtargetTask::length));
    let reader = RecordReader::open(&[InputFile::from(targets)], ReaderOptions::default())?;
    let targets = reader.map(|record| Ok(record?.sequence)).collect::<Result<Vec<Vec<u8>>>>()?;
    let windows = target_background::windows(&targets, config.seed)?;
    let model = |background| MirtargetModel::of_parameters(&weights.config, &weights.parameters, Some(background));
    weights.background = Some(target_background::calibrate(windows, model, &records)?);
    Ok(weights)
}
