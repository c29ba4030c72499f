//! Tasks whose records are read into memory, all at once.

use std::path::PathBuf;

use super::{Evaluation, Example, Job, LoadRecords, Rules, Setup, TrainingRecords, TrainingTask};
use crate::Result;
use crate::sequence::Tally;
use crate::train::config::{SplitBy, TrainConfig};
use crate::train::data::split::held_out;
use crate::train::objective::Objective;
use crate::train::run::Repeated;

/// What such a task does with its files and records.
pub trait InMemory: TrainingTask {
    /// A record as it stands in a file.
    type Record;

    /// Reads the records of files.
    ///
    /// # Errors
    /// Where a file cannot be read, or a record is wrong.
    fn read(&mut self, files: &[PathBuf]) -> Result<Vec<Self::Record>>;

    /// Called when all files are read.
    ///
    /// # Errors
    /// Where something that should have been used was not.
    fn all_read(&self) -> Result<()> {
        Ok(())
    }

    /// Nucleotides of a record.
    fn length(record: &Self::Record) -> usize;

    /// The name of each record's group: what is held out, is held out in whole groups.
    ///
    /// # Errors
    /// Where the records have no such groups.
    fn groups(records: &[Self::Record], by: SplitBy) -> Result<Vec<Vec<u8>>>;

    /// Whether a run may validate on a record.
    fn validates(_record: &Self::Record, _config: &TrainConfig) -> bool {
        true
    }

    /// What is trained on.
    ///
    /// # Errors
    /// Where a label is wrong.
    fn training(
        &self,
        records: Vec<Self::Record>,
        setup: &Setup<Self::Settings>,
    ) -> Result<<Self::Objective as Objective>::Data>;

    /// What a model is validated or evaluated on.
    ///
    /// # Errors
    /// Where a label is wrong.
    fn examples(&self, records: Vec<Self::Record>) -> Result<Vec<Example<Self::Objective>>>;

    /// What simple rules reach on `examples`, those that learn after `training`, which may be empty.
    ///
    /// # Errors
    /// Where a rule cannot be fitted.
    fn rules(
        &self,
        objective: &Self::Objective,
        training: Vec<Self::Record>,
        examples: &[Example<Self::Objective>],
    ) -> Result<Rules>;
}

impl<T: InMemory> LoadRecords for T
where
    <T::Objective as Objective>::Data: 'static,
{
    fn for_training(&mut self, job: &Job<T::Settings>) -> Result<TrainingRecords<T::Objective>> {
        let Setup { inputs, config, .. } = &job.setup;
        let records = self.read(&inputs.data)?;
        let (training, mut validation) = match &inputs.validation {
            Some(path) => (records, self.read(std::slice::from_ref(path))?),
            None => part::<T>(records, config)?,
        };
        self.all_read()?;
        count(&job.tally, training.iter().chain(&validation).map(T::length));
        validation.retain(|record| T::validates(record, config));
        let validation = evenly(self.examples(validation)?, config);
        Ok((Box::new(Repeated(self.training(training, &job.setup)?)), validation))
    }

    fn for_evaluation(
        &mut self,
        setup: &Setup<T::Settings>,
        evaluation: &Evaluation,
        objective: &T::Objective,
    ) -> Result<(Vec<Example<T::Objective>>, Rules)> {
        let mut records = self.read(&setup.inputs.data)?;
        count(&evaluation.tally, records.iter().map(T::length));
        let mut training = self.read(evaluation.baseline_training)?;
        self.all_read()?;
        if evaluation.only_held_out {
            let (rest, held_out) = part::<T>(records, &setup.config)?;
            records = held_out;
            if training.is_empty() {
                training = rest;
            }
        }
        let examples = self.examples(records)?;
        let rules = match evaluation.with_baseline {
            true => self.rules(objective, training, &examples)?,
            false => Rules::new(),
        };
        Ok((examples, rules))
    }
}

/// Counts records of these lengths.
pub(super) fn count(tally: &Tally, lengths: impl Iterator<Item = usize>) {
    lengths.for_each(|length| tally.add(1, length as u64));
}

/// Records to train on, and records held out.
pub(super) type Parts<R> = (Vec<R>, Vec<R>);

/// Parts records by whole groups.
///
/// # Errors
/// Where the records have no such groups.
pub(super) fn part<T: InMemory>(records: Vec<T::Record>, config: &TrainConfig) -> Result<Parts<T::Record>> {
    if config.validation_fraction == 0.0 {
        return Ok((records, Vec::new()));
    }
    let groups = T::groups(&records, config.split_by)?;
    let (mut training, mut validation) = (Vec::new(), Vec::new());
    for (record, group) in records.into_iter().zip(groups) {
        match held_out(config.seed, &group, config.validation_fraction) {
            true => validation.push(record),
            false => training.push(record),
        }
    }
    Ok((training, validation))
}

/// At most `validation-records` of them, evenly spread.
pub(super) fn evenly<R>(records: Vec<R>, config: &TrainConfig) -> Vec<R> {
    let most = if config.validation_records == 0 { records.len() } else { config.validation_records };
    let total = records.len().max(1);
    records
        .into_iter()
        .enumerate()
        .filter(|(index, _)| total <= most || (index * most) / total != ((index + 1) * most) / total)
        .map(|(_, record)| record)
        .collect()
}
