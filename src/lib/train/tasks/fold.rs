//! Secondary structures: `rnaret-train fold`.

use std::path::PathBuf;

use super::records::InMemory;
use super::{OwnArguments, Rules, Setup, TrainingTask};
use crate::Result;
use crate::decode::base_pairs::PairRules;
use crate::homologs::{KnownStructures, Source};
use crate::model::{Task, Weights};
use crate::train::baseline;
use crate::train::config::{Inputs, SplitBy, TrainConfig};
use crate::train::data::fold::{self, FoldRecord};
use crate::train::objective::fold::Fold;
use crate::train::settings::{self, settings};

settings! {
    /// Settings of `fold` alone.
    pub struct FoldSettings, flags FoldFlags under "Training for fold" {
        /// Weight of paired bases in the loss.
        positive_weight: f64 = 10.0, in AT_LEAST_0;
        /// Fewest unpaired bases in a hairpin loop, as in rnaret-fold.
        min_loop: usize = 3, in AT_LEAST_0;
    }
}

/// Flags of `fold` alone.
#[derive(clap::Args)]
pub struct FoldArguments {
    /// Known structures among which the model looks for homologs of a record that are no copies of it: built-in, none, or a
    /// file of structures in any format that is read; may be repeated. By default as the model to start from had it
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath, help_heading = "Input")]
    known_structures: Vec<Source>,

    #[command(flatten)]
    settings: FoldFlags,
}

impl OwnArguments for FoldArguments {
    fn settings(&self) -> Result<toml::Table> {
        settings::to_table(&self.settings)
    }

    fn inputs(&self) -> Inputs {
        Inputs { known_structures: self.known_structures.clone(), ..Inputs::default() }
    }
}

/// Which bases pair.
pub struct FoldTask;

impl TrainingTask for FoldTask {
    const TASK: Task = Task::Fold;
    type Settings = FoldSettings;
    type Arguments = FoldArguments;
    type Objective = Fold;

    fn defaults() -> TrainConfig {
        TrainConfig {
            epochs: 20,
            batch_records: 4,
            micro_tokens: 1,
            max_length: 600,
            learning_rate: 1e-5,
            min_learning_rate: 1e-6,
            split_by: SplitBy::Cluster,
            validation_records: 0,
            ..TrainConfig::default()
        }
    }

    fn new(_: &mut Setup<FoldSettings>) -> Result<Self> {
        Ok(Self)
    }

    /// Near-identical copies of a record are no evidence about it, since those of what users fold are seldom known.
    fn objective(&self, setup: &Setup<FoldSettings>, _: Option<&Weights>) -> Result<Fold> {
        let FoldSettings { positive_weight, min_loop } = setup.settings;
        let known = KnownStructures::load(&setup.inputs.known_structures)?.map(KnownStructures::without_copies);
        Ok(Fold { positive_weight, rules: PairRules { min_loop, ..PairRules::default() }, known })
    }
}

impl InMemory for FoldTask {
    type Record = FoldRecord;

    fn read(&mut self, files: &[PathBuf]) -> Result<Vec<FoldRecord>> {
        fold::read_files(files)
    }

    fn length(record: &FoldRecord) -> usize {
        record.structure.length()
    }

    fn groups(records: &[FoldRecord], by: SplitBy) -> Result<Vec<Vec<u8>>> {
        fold::groups(records, by)
    }

    fn validates(record: &FoldRecord, config: &TrainConfig) -> bool {
        (config.min_length..=config.max_length).contains(&record.structure.length())
    }

    fn training(&self, mut records: Vec<FoldRecord>, setup: &Setup<FoldSettings>) -> Result<Vec<FoldRecord>> {
        records.retain(|record| Self::validates(record, &setup.config));
        Ok(records)
    }

    fn examples(&self, records: Vec<FoldRecord>) -> Result<Vec<FoldRecord>> {
        Ok(records)
    }

    fn rules(&self, objective: &Fold, _: Vec<FoldRecord>, examples: &[FoldRecord]) -> Result<Rules> {
        let mut rules = vec![
            ("free_energy", baseline::free_energy(examples)?),
            ("energies", baseline::expected_accuracy(examples, objective.rules)?),
        ];
        if let Some(known) = &objective.known {
            rules.push(("nearest_homolog", baseline::nearest_homolog(examples, known)?));
        }
        Ok(rules)
    }
}
