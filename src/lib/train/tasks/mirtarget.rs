//! miRNA target sites: `rnaret-train mirtarget`.

use std::path::PathBuf;

use super::records::InMemory;
use super::{Rules, Setup, TrainingTask};
use crate::Result;
use crate::model::{Task, Weights};
use crate::train::baseline;
use crate::train::config::{SplitBy, TrainConfig};
use crate::train::data::mirtarget::{self, MirtargetRecord, MirtargetRecords};
use crate::train::objective::mirtarget::Mirtarget;
use crate::train::settings::settings;

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

    fn objective(&self, _: &Setup<MirtargetSettings>, _: Option<&Weights>) -> Result<Mirtarget> {
        Ok(Mirtarget)
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
