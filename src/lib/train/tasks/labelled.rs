//! Tasks that are told by their data: what they have in common. Each is a file of its own beside this one.

use super::{Beginning, Evaluation, Job, count, some, start};
use crate::model::ModelConfig;
use crate::model::heads::general::GeneralHead;
use crate::model::heads::outputs::Outputs;
use crate::sequence::Tally;
use crate::train::config::TrainConfig;
use crate::train::data::labelled::{LabelledExample, LabelledRow, groups, read};
use crate::train::data::split::held_out;
use crate::train::objective::general::{Answers, General, report};
use crate::train::objective::{Objective, Report};
use crate::train::run::{Outcome, Repeated};
use crate::train::signals::Interrupt;
use crate::{Error, Result};

/// A task whose labels stand in columns of a table.
pub trait LabelledTask {
    /// The head that learns it.
    type Head: GeneralHead;

    /// Names of the column of labels where the user names none, the usual one first.
    const COLUMNS: &'static [&'static str];

    /// The classes or values of the labels in the columns `names`.
    ///
    /// # Errors
    /// Where the labels are of another kind.
    fn outputs(names: Vec<String>, rows: &[LabelledRow]) -> Result<Outputs>;

    /// What simple rules that are fitted to `training` answer about `examples`, by their names.
    ///
    /// # Errors
    /// Where a rule cannot be fitted.
    fn rules(
        outputs: &Outputs,
        training: &[LabelledExample],
        examples: &[LabelledExample],
    ) -> Result<Vec<(&'static str, Vec<Answers>)>>;
}

/// Runs a job of the task.
pub(super) fn train<T: LabelledTask>(mut job: Job) -> Result<Outcome> {
    let (names, rows) = read(&job.data, &columns(&job.config), T::COLUMNS)?;
    // Weights to start from that were trained for the same answers keep them; the data may hold fewer classes.
    let known = job.model.head.outputs().filter(|outputs| outputs.count() > 0).cloned();
    let outputs = match known {
        Some(outputs) => outputs,
        None => T::outputs(names.clone(), &rows)?,
    };
    // What is wrong comes from the data: one class alone, no rows.
    outputs.validate().map_err(|error| {
        let files: Vec<_> = job.data.iter().map(|path| path.display().to_string()).collect();
        Error::Failed(format!("{}: {error}", files.join(", ")))
    })?;
    job.model = ModelConfig { head: job.model.head.with_outputs(outputs.clone()), ..job.model };
    // What the model answers is part of what a run is, so the data are read before the folder is compared.
    let beginning = Beginning::of(&job)?;
    let (training, validation) = match &job.validation {
        Some(path) => (rows, read(std::slice::from_ref(path), &names, T::COLUMNS)?.1),
        None => parts(rows, &job.config)?,
    };
    count(&job.tally, training.iter().chain(&validation).map(|row| row.sequence.len()));
    let training = examples::<T>(&training, &outputs, Some(&job.config))?;
    let validation = some(examples::<T>(&validation, &outputs, None)?, &job.config);
    start(job, beginning, General::<T::Head>::new(outputs), &mut Repeated(training), validation)
}

/// Figures of a model of the task, and where asked for those of simple rules.
pub(super) fn evaluate<T: LabelledTask>(
    evaluation: &Evaluation,
    tally: &Tally,
) -> Result<(Report, Vec<(&'static str, Report)>)> {
    let Evaluation { weights, config, compute, data, .. } = *evaluation;
    let outputs = weights.config.head.outputs().ok_or_else(|| Error::Usage("the model answers nothing".into()))?;
    let columns = match outputs {
        Outputs::Values { names, .. } if config.columns.is_empty() => names.clone(),
        _ => columns(config),
    };
    let (_, mut rows) = read(data, &columns, T::COLUMNS)?;
    count(tally, rows.iter().map(|row| row.sequence.len()));
    let mut training = read(evaluation.baseline_training, &columns, T::COLUMNS)?.1;
    if evaluation.only_held_out {
        let (rest, apart) = parts(rows, config)?;
        rows = apart;
        if training.is_empty() {
            training = rest;
        }
    }
    let records = examples::<T>(&rows, outputs, None)?;
    let objective = General::<T::Head>::new(outputs.clone());
    let figures =
        objective.evaluate(&weights.config, &compute.place(&weights.parameters)?, &records, &Interrupt::default())?;
    let mut rules = Vec::new();
    if evaluation.with_baseline {
        let training = examples::<T>(&training, outputs, None)?;
        if training.is_empty() {
            log::warn!("no simple rules: they learn from --baseline-training, or from what --held-out leaves");
        } else {
            for (name, answers) in T::rules(outputs, &training, &records)? {
                rules.push((name, report(outputs, T::Head::PART, &records, &answers)));
            }
        }
    }
    Ok((figures, rules))
}

/// The columns that the user names.
fn columns(config: &TrainConfig) -> Vec<String> {
    config.columns.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// The rows to train on and those held out.
fn parts(rows: Vec<LabelledRow>, config: &TrainConfig) -> Result<(Vec<LabelledRow>, Vec<LabelledRow>)> {
    if config.validation_fraction == 0.0 {
        return Ok((rows, Vec::new()));
    }
    let groups = groups(&rows, config.split_by)?;
    let (mut training, mut validation) = (Vec::new(), Vec::new());
    for (row, group) in rows.into_iter().zip(groups) {
        match held_out(config.seed, &group, config.validation_fraction) {
            true => validation.push(row),
            false => training.push(row),
        }
    }
    Ok((training, validation))
}

/// The rows of which something is known; for training only those of the lengths that `config` asks for.
fn examples<T: LabelledTask>(
    rows: &[LabelledRow],
    outputs: &Outputs,
    config: Option<&TrainConfig>,
) -> Result<Vec<LabelledExample>> {
    let fits = |row: &&LabelledRow| {
        config.is_none_or(|config| (config.min_length..=config.max_length).contains(&row.sequence.len()))
    };
    let all = rows.iter().filter(fits).map(|row| LabelledExample::new(row, outputs, T::Head::PART));
    let mut examples = all.collect::<Result<Vec<_>>>()?;
    examples.retain(LabelledExample::is_labelled);
    Ok(examples)
}
