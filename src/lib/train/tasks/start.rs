//! From a job to a run: the folder it lives in, what it is compared with there, and the weights that it begins with.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::{Job, TrainingTask};
use crate::homologs::Source;
use crate::model::heads::coding::PublishedCodingConfig;
use crate::model::parameters::LANGUAGE_MODEL;
use crate::model::{HeadConfig, Parameters, initialise};
use crate::train::checkpoint::Checkpoint;
use crate::train::config::ConfigFile;
use crate::train::folder::{InputRecord, RunFolder, RunRecord, START, recorded_settings};
use crate::train::objective::Objective;
use crate::train::run::{Outcome, Passes, Run, checkpoints};
use crate::train::signals::Interrupt;
use crate::{Error, Result};

/// What a run begins with, found and compared with what its folder holds before its records are read or anything is
/// written.
pub(super) struct Beginning {
    folder: RunFolder,
    parameters: Parameters,
    record: RunRecord,
    /// SHA-256 of the data by name, for the weights' provenance.
    checksums: serde_json::Value,
    checkpoint: Option<(PathBuf, Checkpoint)>,
}

impl Beginning {
    /// # Errors
    /// Where the folder is another process's, or another run's: nothing in it changes.
    pub(super) fn of<T: TrainingTask>(job: &Job<T::Settings>) -> Result<Self> {
        let inputs = &job.setup.inputs;
        let files: Vec<(&str, &Path)> = (inputs.data.iter().map(|path| ("training data", path.as_path())))
            .chain(inputs.validation.iter().map(|path| ("validation data", path.as_path())))
            .chain(inputs.annotation.iter().map(|path| ("annotation", path.as_path())))
            .chain(inputs.known_structures.iter().filter_map(Source::file).map(|path| ("known structures", path)))
            .collect();
        // A name that is wrong leaves no folder behind, and a folder that is in use is not found out after hashing the data.
        for (_, path) in files.iter().filter(|(_, path)| *path != Path::new("-")) {
            std::fs::metadata(path).map_err(|source| Error::read(path, source))?;
        }
        let folder = RunFolder::lock(&job.folder)?;
        let mut records =
            files.into_iter().map(|(role, path)| InputRecord::of_file(role, path)).collect::<Result<Vec<_>>>()?;
        let named = records.iter().filter_map(|input| Some((input.name.clone(), input.sha256.clone()?.into())));
        let checksums = serde_json::Value::Object(named.collect());
        if inputs.known_structures.contains(&Source::BuiltIn) {
            records.push(InputRecord {
                role: "known structures".into(),
                name: "built-in".into(),
                sha256: Source::built_in_checksum(),
            });
        }
        if let Some(weights) = &job.start {
            let name = weights.source.file_name().unwrap_or(weights.source.as_os_str()).to_string_lossy().into();
            records.push(InputRecord { role: START.into(), name, sha256: Some(weights.checksum.clone()) });
        }
        let record =
            RunRecord::new(recorded_settings(&job.setup.config, &job.setup.settings)?, &job.setup.model, records)?;
        let checkpoint = checkpoints(&folder, &job.setup.config).newest()?;
        let held = checkpoint.as_ref().map(|(_, checkpoint)| &checkpoint.run);
        folder.compare(&record, &recorded_settings(&T::defaults(), &T::Settings::default())?, held)?;
        Ok(Self { folder, parameters: starting_parameters::<T>(job)?, record, checksums, checkpoint })
    }

    /// Runs the job.
    pub(super) fn run<T: TrainingTask>(
        self,
        job: Job<T::Settings>,
        objective: T::Objective,
        training: &mut dyn Passes<<T::Objective as Objective>::Data>,
        validation: Vec<<T::Objective as Objective>::Example>,
    ) -> Result<Outcome> {
        let Beginning { folder, parameters, record, checksums, checkpoint } = self;
        let provenance = json!({
            "program": concat!("rnaret ", env!("CARGO_PKG_VERSION")),
            "data_sha256": checksums,
            "seed": job.setup.config.seed,
            "started_from_sha256": job.start.as_ref().map(|weights| weights.checksum.clone()),
        });
        let settings = ConfigFile::write::<T>(&job.setup)?;
        folder.write_record(&settings, &record, &provenance)?;
        let count: usize = parameters.values().map(candle_core::Tensor::elem_count).sum();
        log::info!("{} model of {count} numbers; {} validation records", T::TASK, validation.len());
        let run = Run {
            objective,
            config: job.setup.config,
            model: job.setup.model,
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
}

/// The tensor that is wider in fold models that read what homologs say.
const PAIR_FEATURES: &str = "head.pair.features.weight";

/// Fresh parameters, with what the weights to start from have of them.
fn starting_parameters<T: TrainingTask>(job: &Job<T::Settings>) -> Result<Parameters> {
    let mut parameters = initialise(&job.setup.model, job.setup.config.seed)?;
    let Some(start) = &job.start else { return Ok(parameters) };
    let same_task = start.config.task() == T::TASK;
    let skips_blocks =
        matches!(start.config.head, HeadConfig::PublishedCoding(PublishedCodingConfig { skip_blocks: true, .. }));
    for (name, tensor) in &start.parameters {
        // What another task's head knows, and what the model to train has no use for.
        let left_behind = name.starts_with("head.") && !same_task
            || name.starts_with(LANGUAGE_MODEL) && T::TASK != crate::model::Task::Pretrain
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
