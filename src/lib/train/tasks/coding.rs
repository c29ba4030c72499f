//! Coding regions: `rnaret-train coding`, and the calibration of its models.

use std::path::{Path, PathBuf};

use super::records::{InMemory, count, part};
use super::{OwnArguments, Rules, Setup, TrainingTask, held_out_settings};
use crate::Result;
use crate::format::annotation::Annotation;
use crate::model::{Task, Weights};
use crate::predict::coding::CodingModel;
use crate::sequence::{InputFile, Tally, open_text};
use crate::train::config::{Inputs, SplitBy, TrainConfig};
use crate::train::data::coding::{self, Augmentation, CodingRecord, CodingRecords, species};
use crate::train::objective::Report;
use crate::train::objective::coding::Coding;
use crate::train::settings::{self, settings};
use crate::train::{baseline, calibrate as calibration};

settings! {
    /// Settings of `coding` alone.
    pub struct CodingSettings, flags CodingFlags under "Training for coding" {
        /// Part of the transcripts that is replaced by a random fragment, cut at the 5' end, the 3' end or both.
        fragments: f64 = 0.0, in FROM_0_TO_1;
        /// Length of the shortest fragment in nucleotides.
        fragment_length: usize = 200, in AT_LEAST_1;
        /// Part of the mRNAs that is replaced by a sequence which codes for nothing: the other strand, the sequence
        /// backwards, or a random order of its dinucleotides.
        decoys: f64 = 0.0, in FROM_0_TO_1;
        /// Part of the letters that is replaced by runs of N in training.
        gaps: f64 = 0.0, in FROM_0_TO_1;
        /// Whether the transcripts of the rarer label of each species come as often as those of the other.
        balance: bool = false, in AT_LEAST_0;
        /// Weight of the loss of whole records beside the loss of bases.
        record_weight: f64 = 0.0, in AT_LEAST_0;
    }
}

/// Flags of `coding` alone.
#[derive(clap::Args)]
pub struct CodingArguments {
    /// BED, GFF3 or GTF (transcript coordinates) that says where the CDS of each FASTA record is
    #[arg(long, value_name = "FILE", help_heading = "Input")]
    annotation: Option<PathBuf>,

    #[command(flatten)]
    settings: CodingFlags,
}

impl OwnArguments for CodingArguments {
    fn settings(&self) -> Result<toml::Table> {
        settings::to_table(&self.settings)
    }

    fn inputs(&self) -> Inputs {
        Inputs { annotation: self.annotation.clone(), ..Inputs::default() }
    }
}

/// Which bases of a transcript code, and whether it is an mRNA.
pub struct CodingTask {
    annotation: Option<Annotation>,
}

impl TrainingTask for CodingTask {
    const TASK: Task = Task::Coding;
    type Settings = CodingSettings;
    type Arguments = CodingArguments;
    type Objective = Coding;

    fn defaults() -> TrainConfig {
        TrainConfig {
            epochs: 10,
            batch_records: 16,
            max_length: 3_000,
            min_length: 30,
            learning_rate: 5e-5,
            min_learning_rate: 5e-6,
            split_by: SplitBy::Locus,
            ..TrainConfig::default()
        }
    }

    fn new(setup: &mut Setup<CodingSettings>) -> Result<Self> {
        Self::annotated(setup.inputs.annotation.as_deref())
    }

    fn objective(&self, setup: &Setup<CodingSettings>, weights: Option<&Weights>) -> Result<Coding> {
        Ok(Coding {
            record_weight: setup.settings.record_weight,
            calibration: weights.and_then(|weights| weights.calibration.clone()),
            detailed: weights.is_some(),
        })
    }
}

impl CodingTask {
    /// With an annotation that says where the CDS of FASTA records are.
    fn annotated(path: Option<&Path>) -> Result<Self> {
        let read = |path| {
            let input = InputFile::from(path);
            Annotation::read(open_text(&input)?, &input.name())
        };
        Ok(Self { annotation: path.map(read).transpose()? })
    }
}

impl InMemory for CodingTask {
    type Record = CodingRecord;

    fn read(&mut self, files: &[PathBuf]) -> Result<Vec<CodingRecord>> {
        coding::read_files(files, self.annotation.as_ref())
    }

    fn all_read(&self) -> Result<()> {
        self.annotation.as_ref().map_or(Ok(()), Annotation::check_used)
    }

    fn length(record: &CodingRecord) -> usize {
        record.sequence.len()
    }

    fn groups(records: &[CodingRecord], by: SplitBy) -> Result<Vec<Vec<u8>>> {
        records.iter().map(|record| coding::group(record, by)).collect()
    }

    fn training(&self, mut records: Vec<CodingRecord>, setup: &Setup<CodingSettings>) -> Result<CodingRecords> {
        let CodingSettings { fragments, fragment_length, decoys, gaps, balance, .. } = setup.settings;
        records.retain(|record| record.sequence.len() >= setup.config.min_length);
        let max_length = setup.config.max_length;
        let augmentation = Augmentation { max_length, fragments, fragment_length, decoys, gaps };
        Ok(CodingRecords::new(records, balance, augmentation))
    }

    fn examples(&self, records: Vec<CodingRecord>) -> Result<Vec<CodingRecord>> {
        Ok(records)
    }

    fn rules(&self, _: &Coding, training: Vec<CodingRecord>, examples: &[CodingRecord]) -> Result<Rules> {
        let of_species = |species: &[&CodingRecord]| baseline::longest_reading_frame(species).figures;
        let all: Vec<&CodingRecord> = examples.iter().collect();
        let groups = species(examples).into_iter().map(|(name, of)| (name, of_species(&of))).collect();
        let mut rules = vec![("longest_orf", Report { groups, ..baseline::longest_reading_frame(&all) })];
        if training.is_empty() {
            log::warn!("no k-mer regression: it learns from --baseline-training, or from what --held-out leaves");
        } else {
            rules.push(("kmer_regression", baseline::kmer_regression(&training, examples)?));
        }
        Ok(rules)
    }
}

/// Fits what a coding model knows beside its network: to half of the transcripts that a run with these settings (`seed`,
/// `validation-fraction`, `split-by`) would hold out, so that the other half (those of half the fraction) can tell what it
/// is worth; and to the CDS of those that it would train on.
///
/// # Errors
/// Those of reading the data and of tensor operations; where there is too little to learn from.
pub fn calibrate(
    mut weights: Weights,
    data: &[PathBuf],
    annotation: Option<&Path>,
    flags: &toml::Table,
    tally: &Tally,
) -> Result<Weights> {
    let (config, _) = held_out_settings::<CodingTask>(flags)?;
    let mut task = CodingTask::annotated(annotation)?;
    let records = task.read(data)?;
    task.all_read()?;
    count(tally, records.iter().map(CodingTask::length));
    let (training, held_out) = part::<CodingTask>(records, &config)?;
    let half = TrainConfig { validation_fraction: config.validation_fraction / 2.0, ..config.clone() };
    let (to_fit, _) = part::<CodingTask>(held_out, &half)?;
    let model = CodingModel::of_parameters(&weights.config, &weights.parameters, None)?;
    weights.calibration = Some(calibration::calibrate(&model, &training, &to_fit, config.seed)?);
    Ok(weights)
}
