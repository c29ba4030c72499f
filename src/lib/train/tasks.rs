//! From the files of a task to a run or an evaluation.

mod bases;
mod labelled;
mod sequence;

use std::path::{Path, PathBuf};

use serde_json::json;

use super::baseline;
use super::calibrate;
use super::checkpoint::Checkpoint;
use super::config::{ConfigFile, Inputs, TrainConfig};
use super::data::Records;
use super::data::coding::{self, Augmentation, CodingRecord, CodingRecords, species};
use super::data::fold::{self, FoldRecord};
use super::data::mirtarget::{self, MirtargetRecord, MirtargetRecords};
use super::data::pretrain::{HeldOut, Settings, Stream, spool};
use super::data::split::held_out;
use super::folder::{InputRecord, RunFolder, RunRecord, START};
use super::objective::coding::{Coding, Network};
use super::objective::fold::Fold;
use super::objective::mirtarget::Mirtarget;
use super::objective::pretrain::Pretrain;
use super::objective::{Objective, Report};
use super::random::{Purpose, generator};
use super::run::{Outcome, Passes, Repeated, Run, Streamed, checkpoints};
use super::signals::Interrupt;
use crate::decode::base_pairs::PairRules;
use crate::format::annotation::Annotation;
use crate::homologs::{KnownStructures, Source};
use crate::model::device::Compute;
use crate::model::heads::coding::PublishedCodingConfig;
use crate::model::parameters::LANGUAGE_MODEL;
use crate::model::{HeadConfig, ModelConfig, Parameters, Task, Weights, initialise};
use crate::sequence::{InputFile, ReaderOptions, RecordReader, Tally, Tokenizer, open_text};
use crate::{Error, Result};

/// A training run as the command line asks for it.
pub struct Job {
    /// What to train for.
    pub task: Task,
    /// Training data.
    pub data: Vec<PathBuf>,
    /// Validation data, where it is not held out of the training data.
    pub validation: Option<PathBuf>,
    /// Where the CDS of FASTA records are (coding).
    pub annotation: Option<PathBuf>,
    /// Where records find homologs (fold).
    pub known: Vec<Source>,
    /// Weights to start from.
    pub start: Option<Weights>,
    /// The model to train.
    pub model: ModelConfig,
    /// Hyperparameters.
    pub config: TrainConfig,
    /// Where to train, and in which precision.
    pub compute: Compute,
    /// The run folder.
    pub folder: PathBuf,
    /// Whether a progress bar is unwanted.
    pub quiet: bool,
    /// Counts the records read, those for validation included.
    pub tally: Tally,
}

/// Runs a job, from the start or from its last checkpoint. The folder is another process's, or another run's: nothing in
/// it changes.
///
/// # Errors
/// Where the folder cannot be had or holds another run; those of reading the data and of the run.
pub fn train(job: Job) -> Result<Outcome> {
    match job.task {
        Task::Classify => labelled::train::<sequence::Classify>(job),
        Task::Regress => labelled::train::<sequence::Regress>(job),
        Task::Label => labelled::train::<bases::Label>(job),
        Task::Pretrain => {
            let beginning = Beginning::of(&job)?;
            let settings = pretrain_settings(&job.config, &job.model)?;
            let stdin = job.data == [PathBuf::from("-")];
            let held = HeldOut { seed: job.config.seed, fraction: job.config.validation_fraction };
            let reader = |paths: &[PathBuf]| {
                let inputs: Vec<InputFile> = paths.iter().map(|path| InputFile::from(path.as_path())).collect();
                RecordReader::open(&inputs, ReaderOptions { tally: job.tally.clone(), ..ReaderOptions::default() })
            };
            let nothing = HeldOut { fraction: 0.0, ..held };
            let separate = match &job.validation {
                Some(path) => Some(spool(reader(std::slice::from_ref(path))?, settings, nothing, &job.folder)?.0),
                None => None,
            };
            let (mut training, apart): (Box<dyn Passes<_>>, _) = if stdin {
                let stream = Stream::new(reader(&job.data)?, settings, job.config.shuffle_records);
                (Box::new(Streamed::new(stream)), None)
            } else {
                let held = if separate.is_some() { nothing } else { held };
                let (training, apart) = spool(reader(&job.data)?, settings, held, &job.folder)?;
                (Box::new(Repeated(training)), Some(apart))
            };
            let validation = match separate.or(apart) {
                Some(records) => fixed_examples(&records, &job.config)?,
                None => Vec::new(),
            };
            start(job, beginning, Pretrain, &mut *training, validation)
        }
        Task::Fold => {
            let beginning = Beginning::of(&job)?;
            let usable = |records: Vec<FoldRecord>| {
                let fits = job.config.min_length..=job.config.max_length;
                records.into_iter().filter(|r| fits.contains(&r.structure.sequence.len())).collect::<Vec<_>>()
            };
            let (training, validation) = match &job.validation {
                Some(path) => (fold::read_files(&job.data)?, fold::read_files(std::slice::from_ref(path))?),
                None => part_fold(fold::read_files(&job.data)?, &job.config)?,
            };
            count(&job.tally, training.iter().chain(&validation).map(|record| record.structure.length()));
            let validation = some(usable(validation), &job.config);
            let training = usable(training);
            let objective = fold_objective(&job.config, &job.known)?;
            start(job, beginning, objective, &mut Repeated(training), validation)
        }
        Task::Coding => {
            let beginning = Beginning::of(&job)?;
            let annotation = read_annotation(job.annotation.as_deref())?;
            let annotation = annotation.as_ref();
            let (training, validation) = match &job.validation {
                Some(path) => (
                    coding::read_files(&job.data, annotation)?,
                    coding::read_files(std::slice::from_ref(path), annotation)?,
                ),
                None => part_coding(coding::read_files(&job.data, annotation)?, &job.config)?,
            };
            annotation.map(Annotation::check_used).transpose()?;
            count(&job.tally, training.iter().chain(&validation).map(|record| record.sequence.len()));
            let long_enough = |record: &CodingRecord| record.sequence.len() >= job.config.min_length;
            let augmentation = Augmentation {
                max_length: job.config.max_length,
                fragments: job.config.fragments,
                fragment_length: job.config.fragment_length,
                decoys: job.config.decoys,
                gaps: job.config.gaps,
            };
            let training = training.into_iter().filter(long_enough).collect();
            let training = CodingRecords::new(training, job.config.balance, augmentation);
            let validation = some(validation, &job.config);
            let objective = Coding { record_weight: job.config.record_weight, calibration: None, detailed: false };
            start(job, beginning, objective, &mut Repeated(training), validation)
        }
        Task::Mirtarget => {
            let beginning = Beginning::of(&job)?;
            let (training, validation) = match &job.validation {
                Some(path) => (mirtarget::read_files(&job.data)?, mirtarget::read_files(std::slice::from_ref(path))?),
                None => part_mirtarget(mirtarget::read_files(&job.data)?, &job.config)?,
            };
            count(&job.tally, training.iter().chain(&validation).map(|pair| pair.mirna.len() + pair.target.len()));
            let validation = some(validation, &job.config);
            let training =
                MirtargetRecords { records: training, mask_rate: job.config.mask_rate, trim: job.config.trim };
            start(job, beginning, Mirtarget, &mut Repeated(training), validation)
        }
    }
}

/// An evaluation as the command line asks for it.
pub struct Evaluation<'a> {
    /// The model.
    pub weights: &'a Weights,
    /// Hyperparameters: how data are read and held out.
    pub config: &'a TrainConfig,
    /// Where to compute, and in which precision.
    pub compute: &'a Compute,
    /// Labelled data.
    pub data: &'a [PathBuf],
    /// Where the CDS of FASTA records are (coding).
    pub annotation: Option<&'a Path>,
    /// Where records find homologs (fold).
    pub known: &'a [Source],
    /// Only what a run would hold out.
    pub only_held_out: bool,
    /// Also what simple rules reach.
    pub with_baseline: bool,
    /// What those rules learn from that learn; what is not held out of `data` by default.
    pub baseline_training: &'a [PathBuf],
}

/// Figures of a model on labelled data, and where asked for those of simple rules on the same records, by name. `tally`
/// counts the records read.
///
/// # Errors
/// Those of reading the data and of tensor operations.
pub fn evaluate(evaluation: &Evaluation, tally: &Tally) -> Result<(Report, Vec<(&'static str, Report)>)> {
    let Evaluation { weights, config, compute, data, annotation, known, .. } = *evaluation;
    let Evaluation { only_held_out, with_baseline, baseline_training, .. } = *evaluation;
    let (model, parameters) = (&weights.config, &compute.place(&weights.parameters)?);
    let never = Interrupt::default();
    Ok(match model.task() {
        Task::Pretrain => {
            let inputs: Vec<InputFile> = data.iter().map(|path| InputFile::from(path.as_path())).collect();
            let reader =
                RecordReader::open(&inputs, ReaderOptions { tally: tally.clone(), ..ReaderOptions::default() })?;
            let fraction = if only_held_out { config.validation_fraction } else { 0.0 };
            let held = HeldOut { seed: config.seed, fraction };
            let folder = std::env::temp_dir();
            let (all, apart) = spool(reader, pretrain_settings(config, model)?, held, &folder)?;
            let records = if only_held_out { apart } else { all };
            (Pretrain.evaluate(model, parameters, &fixed_examples(&records, config)?, &never)?, Vec::new())
        }
        Task::Fold => {
            let mut records = fold::read_files(data)?;
            count(tally, records.iter().map(|record| record.structure.length()));
            if only_held_out {
                records = part_fold(records, config)?.1;
            }
            let objective = fold_objective(config, known)?;
            let mut rules = Vec::new();
            if with_baseline {
                rules.push(("free_energy", baseline::free_energy(&records)));
                rules.push(("energies", baseline::expected_accuracy(&records, objective.rules)));
                if let Some(known) = &objective.known {
                    rules.push(("nearest_homolog", baseline::nearest_homolog(&records, known)));
                }
            }
            (objective.evaluate(model, parameters, &records, &never)?, rules)
        }
        Task::Coding => {
            let annotation = read_annotation(annotation)?;
            let mut records = coding::read_files(data, annotation.as_ref())?;
            count(tally, records.iter().map(|record| record.sequence.len()));
            let mut training = coding::read_files(baseline_training, annotation.as_ref())?;
            annotation.as_ref().map(Annotation::check_used).transpose()?;
            if only_held_out {
                let (rest, held_out) = part_coding(records, config)?;
                records = held_out;
                if training.is_empty() {
                    training = rest;
                }
            }
            let calibration = weights.calibration.clone();
            let objective = Coding { record_weight: config.record_weight, calibration, detailed: true };
            let mut rules = Vec::new();
            if with_baseline {
                let of_species = |species: &[&CodingRecord]| baseline::longest_reading_frame(species).figures;
                let all: Vec<&CodingRecord> = records.iter().collect();
                let groups = species(&records).into_iter().map(|(name, of)| (name, of_species(&of))).collect();
                rules.push(("longest_orf", Report { groups, ..baseline::longest_reading_frame(&all) }));
                if training.is_empty() {
                    log::warn!(
                        "no k-mer regression: it learns from --baseline-training, or from what --held-out leaves"
                    );
                } else {
                    rules.push(("kmer_regression", baseline::kmer_regression(&training, &records)?));
                }
            }
            (objective.evaluate(model, parameters, &records, &never)?, rules)
        }
        Task::Mirtarget => {
            let mut records = mirtarget::read_files(data)?;
            count(tally, records.iter().map(|pair| pair.mirna.len() + pair.target.len()));
            let mut training = mirtarget::read_files(baseline_training)?;
            if only_held_out {
                let (rest, held_out) = part_mirtarget(records, config)?;
                records = held_out;
                if training.is_empty() {
                    training = rest;
                }
            }
            let mut rules = Vec::new();
            if with_baseline {
                rules.push(("mirna_identity", baseline::mirna_identity(&training, &records)));
                rules.push(("seed_match", baseline::seed_match(&records)));
                rules.push(("duplex_energy", baseline::duplex_energy(&records)));
            }
            (Mirtarget.evaluate(model, parameters, &records, &never)?, rules)
        }
        Task::Classify => labelled::evaluate::<sequence::Classify>(evaluation, tally)?,
        Task::Regress => labelled::evaluate::<sequence::Regress>(evaluation, tally)?,
        Task::Label => labelled::evaluate::<bases::Label>(evaluation, tally)?,
    })
}

/// Fits what a coding model knows beside its network: to half of the transcripts that a run with this seed,
/// `validation_fraction` and `split_by` would hold out, so that the other half (those of half the fraction) can tell
/// what it is worth; and to the CDS of those that it would train on.
///
/// # Errors
/// Those of reading the data and of tensor operations; where there is too little to learn from.
pub fn calibrate(
    mut weights: Weights,
    data: &[PathBuf],
    annotation: Option<&Path>,
    config: &TrainConfig,
    tally: &Tally,
) -> Result<Weights> {
    let annotation = read_annotation(annotation)?;
    let records = coding::read_files(data, annotation.as_ref())?;
    annotation.as_ref().map(Annotation::check_used).transpose()?;
    count(tally, records.iter().map(|record| record.sequence.len()));
    let (training, held_out) = part_coding(records, config)?;
    let half = TrainConfig { validation_fraction: config.validation_fraction / 2.0, ..config.clone() };
    let (to_fit, _) = part_coding(held_out, &half)?;
    let network = Network::new(&weights.config, &weights.parameters)?;
    weights.calibration = Some(calibrate::calibrate(&network, &training, &to_fit, config.seed)?);
    Ok(weights)
}

/// Counts records of these lengths.
fn count(tally: &Tally, lengths: impl Iterator<Item = usize>) {
    lengths.for_each(|length| tally.add(1, length as u64));
}

/// What a run begins with, found and compared with what its folder holds before any data are read or anything is written.
struct Beginning {
    folder: RunFolder,
    parameters: Parameters,
    record: RunRecord,
    /// SHA-256 of the data by name, for the weights' provenance.
    checksums: serde_json::Value,
    checkpoint: Option<(PathBuf, Checkpoint)>,
}

impl Beginning {
    fn of(job: &Job) -> Result<Self> {
        let files: Vec<(&str, &Path)> = (job.data.iter().map(|path| ("training data", path.as_path())))
            .chain(job.validation.iter().map(|path| ("validation data", path.as_path())))
            .chain(job.annotation.iter().map(|path| ("annotation", path.as_path())))
            .chain(job.known.iter().filter_map(Source::file).map(|path| ("known structures", path)))
            .collect();
        // A name that is wrong leaves no folder behind, and a folder that is in use is not found out after hashing the data.
        for (_, path) in files.iter().filter(|(_, path)| *path != Path::new("-")) {
            std::fs::metadata(path).map_err(|source| Error::read(path, source))?;
        }
        let folder = RunFolder::lock(&job.folder)?;
        let mut inputs =
            files.into_iter().map(|(role, path)| InputRecord::of_file(role, path)).collect::<Result<Vec<_>>>()?;
        let named = inputs.iter().filter_map(|input| Some((input.name.clone(), input.sha256.clone()?.into())));
        let checksums = serde_json::Value::Object(named.collect());
        if job.known.contains(&Source::BuiltIn) {
            inputs.push(InputRecord {
                role: "known structures".into(),
                name: "built-in".into(),
                sha256: Source::built_in_checksum(),
            });
        }
        if let Some(weights) = &job.start {
            let name = weights.source.file_name().unwrap_or(weights.source.as_os_str()).to_string_lossy().into();
            inputs.push(InputRecord { role: START.into(), name, sha256: Some(weights.checksum.clone()) });
        }
        let record = RunRecord::new(&job.config, &job.model, inputs)?;
        let checkpoint = checkpoints(&folder, &job.config).newest()?;
        let held = checkpoint.as_ref().map(|(_, checkpoint)| &checkpoint.run);
        folder.compare(&record, &TrainConfig::published(job.task), held)?;
        Ok(Self { folder, parameters: starting_parameters(job)?, record, checksums, checkpoint })
    }
}

fn start<O: Objective>(
    job: Job,
    beginning: Beginning,
    objective: O,
    training: &mut dyn Passes<O::Data>,
    validation: Vec<O::Example>,
) -> Result<Outcome> {
    let Beginning { folder, parameters, record, checksums, checkpoint } = beginning;
    let provenance = json!({
        "program": concat!("rnaret ", env!("CARGO_PKG_VERSION")),
        "data_sha256": checksums,
        "seed": job.config.seed,
        "started_from_sha256": job.start.as_ref().map(|weights| weights.checksum.clone()),
    });
    let inputs = Inputs {
        data: job.data,
        validation: job.validation,
        annotation: job.annotation,
        known_structures: job.known,
        model: job.start.as_ref().map(|weights| weights.source.clone()),
    };
    let settings = ConfigFile::write(&job.config, &job.model, inputs)?;
    folder.write_record(&settings, &record, &provenance)?;
    let count: usize = parameters.values().map(candle_core::Tensor::elem_count).sum();
    log::info!("{} model of {count} numbers; {} validation records", job.task, validation.len());
    let run = Run {
        objective,
        config: job.config,
        model: job.model,
        compute: job.compute,
        start: parameters,
        validation,
        folder,
        record: record.to_json()?,
        checkpoint,
        provenance,
        interrupt: Interrupt::on_signals()?,
        quiet: job.quiet,
    };
    run.run(training)
}

/// The tensor that is wider in fold models that read what homologs say.
const PAIR_FEATURES: &str = "head.pair.features.weight";

/// Fresh parameters, with what the weights to start from have of them.
fn starting_parameters(job: &Job) -> Result<Parameters> {
    let mut parameters = initialise(&job.model, job.config.seed)?;
    let Some(start) = &job.start else { return Ok(parameters) };
    let same_task = start.config.task() == job.task;
    let skips_blocks =
        matches!(start.config.head, HeadConfig::PublishedCoding(PublishedCodingConfig { skip_blocks: true, .. }));
    for (name, tensor) in &start.parameters {
        // What another task's head knows, and what the model to train has no use for.
        let left_behind = name.starts_with("head.") && !same_task
            || name.starts_with(LANGUAGE_MODEL) && job.task != Task::Pretrain
            || name.starts_with("head.resnet.") && skips_blocks;
        if left_behind {
            continue;
        }
        match parameters.get_mut(name) {
            Some(target) if target.shape() == tensor.shape() => *target = tensor.clone(),
            // A fold model learns to read what homologs say; at first it is as it was without.
            Some(target) if name == PAIR_FEATURES && target.dims()[0] == tensor.dims()[0] => {
                let more = target.dim(1)?.saturating_sub(tensor.dim(1)?);
                *target = tensor.pad_with_zeros(1, 0, more)?;
            }
            _ => {
                let message = format!("tensor {name} {:?} does not fit the model to train", tensor.dims());
                return Err(Error::weights(&start.source, message));
            }
        }
    }
    Ok(parameters)
}

fn pretrain_settings(config: &TrainConfig, model: &ModelConfig) -> Result<Settings> {
    let TrainConfig { mask_rate, max_length, min_length, .. } = *config;
    Ok(Settings { tokenizer: Tokenizer::new(model.encoder.k())?, mask_rate, max_length, min_length })
}

/// Near-identical copies of a record are no evidence about it, since those of what users fold are seldom known.
fn fold_objective(config: &TrainConfig, known: &[Source]) -> Result<Fold> {
    let rules = PairRules { min_loop: config.min_loop, ..PairRules::default() };
    let known = KnownStructures::load(known)?.map(KnownStructures::without_copies);
    Ok(Fold { positive_weight: config.positive_weight, rules, known })
}

/// At most `validation_records` records, evenly spread.
fn some<R>(records: Vec<R>, config: &TrainConfig) -> Vec<R> {
    let most = if config.validation_records == 0 { records.len() } else { config.validation_records };
    let total = records.len().max(1);
    records
        .into_iter()
        .enumerate()
        .filter(|(index, _)| total <= most || (index * most) / total != ((index + 1) * most) / total)
        .map(|(_, record)| record)
        .collect()
}

/// Examples whose random part is the same in every validation.
fn fixed_examples<D: Records>(records: &D, config: &TrainConfig) -> Result<Vec<D::Example>> {
    some((0..records.len()).collect(), config)
        .into_iter()
        .map(|index| records.example(index, &mut generator(config.seed, Purpose::Validation, &[index as u64])))
        .collect()
}

fn part_fold(records: Vec<FoldRecord>, config: &TrainConfig) -> Result<(Vec<FoldRecord>, Vec<FoldRecord>)> {
    if config.validation_fraction == 0.0 {
        return Ok((records, Vec::new()));
    }
    let groups = fold::groups(&records, config.split_by)?;
    let (mut training, mut validation) = (Vec::new(), Vec::new());
    for (record, group) in records.into_iter().zip(groups) {
        match held_out(config.seed, &group, config.validation_fraction) {
            true => validation.push(record),
            false => training.push(record),
        }
    }
    Ok((training, validation))
}

fn part<R>(records: Vec<R>, config: &TrainConfig, group: impl Fn(&R) -> Result<Vec<u8>>) -> Result<(Vec<R>, Vec<R>)> {
    let (mut training, mut validation) = (Vec::new(), Vec::new());
    for record in records {
        match held_out(config.seed, &group(&record)?, config.validation_fraction) {
            true => validation.push(record),
            false => training.push(record),
        }
    }
    Ok((training, validation))
}

fn part_coding(records: Vec<CodingRecord>, config: &TrainConfig) -> Result<(Vec<CodingRecord>, Vec<CodingRecord>)> {
    part(records, config, |record| coding::group(record, config.split_by))
}

fn part_mirtarget(
    records: Vec<MirtargetRecord>,
    config: &TrainConfig,
) -> Result<(Vec<MirtargetRecord>, Vec<MirtargetRecord>)> {
    part(records, config, |record| mirtarget::group(record, config.split_by))
}

/// Where the CDS of FASTA records are.
fn read_annotation(path: Option<&Path>) -> Result<Option<Annotation>> {
    path.map(|path| {
        let input = InputFile::from(path);
        Annotation::read(open_text(&input)?, &input.name())
    })
    .transpose()
}
