//! What can be trained: a file for each task, which says what its data are, which settings it has of its own, and what its
//! model is compared with; and one function each that trains and that evaluates, whatever the task.
//!
//! A task implements [`TrainingTask`], and [`LoadRecords`] or, where its records fit in memory, `records::InMemory`.
//! Tasks whose labels stand in the columns of a table are `labelled::Labelled`.

mod bases;
mod coding;
mod fold;
mod labelled;
mod mirtarget;
mod pretrain;
mod records;
mod sequence;
mod start;

use std::path::PathBuf;

use super::config::{ConfigFile, Inputs, Sizes, TrainConfig, TrainFlags};
use super::objective::{Objective, Report};
use super::run::{Outcome, Passes};
use super::settings::{self, Settings};
use super::signals::Interrupt;
use crate::homologs::Source;
use crate::model::device::Compute;
use crate::model::{ModelConfig, Task, Weights, open_weights};
use crate::sequence::Tally;
use crate::{Error, Result};

pub use bases::LabelTask;
pub use coding::{CodingTask, calibrate};
pub use fold::FoldTask;
pub use mirtarget::{MirtargetTask, calibrate_targets};
pub use pretrain::PretrainTask;
pub use sequence::{ClassifyTask, RegressTask};

/// What there is to know about a task before its data are read.
pub trait TrainingTask: Sized {
    /// Which one: its name is that of its subcommand, and of the table of its settings in `--config`.
    const TASK: Task;

    /// The settings that this task alone has.
    type Settings: Settings;

    /// The flags that this task alone has.
    type Arguments: OwnArguments;

    /// What its training minimises.
    type Objective: Objective;

    /// The settings that all tasks have, with the published values for this one (RNAret, Methods), and sensible ones where
    /// the paper gives none.
    fn defaults() -> TrainConfig;

    /// The task as `setup` asks for it. What data say about the model, such as its classes, is put into `setup.model`.
    ///
    /// # Errors
    /// Where a file that is needed for this cannot be read.
    fn new(setup: &mut Setup<Self::Settings>) -> Result<Self>;

    /// What is minimised; in an evaluation of `weights`, with what they hold beside the network.
    ///
    /// # Errors
    /// Where something that it needs cannot be read.
    fn objective(&self, setup: &Setup<Self::Settings>, weights: Option<&Weights>) -> Result<Self::Objective>;
}

/// How a task comes by its records. A record that is wrong is an error that names it, and ends the run: without it, it
/// would be another run.
pub trait LoadRecords: TrainingTask {
    /// What a run trains on, pass by pass, and what validates it.
    ///
    /// # Errors
    /// Where a record is wrong.
    fn for_training(&mut self, job: &Job<Self::Settings>) -> Result<TrainingRecords<Self::Objective>>;

    /// What a model is evaluated on, and where asked for the figures of simple rules on the same records.
    ///
    /// # Errors
    /// Where a record is wrong.
    fn for_evaluation(
        &mut self,
        setup: &Setup<Self::Settings>,
        evaluation: &Evaluation,
        objective: &Self::Objective,
    ) -> Result<(Vec<Example<Self::Objective>>, Rules)>;
}

/// An example of an objective.
pub type Example<O> = <O as Objective>::Example;

/// What a run trains on, pass by pass, and what validates it.
pub type TrainingRecords<O> = (Box<dyn Passes<<O as Objective>::Data>>, Vec<Example<O>>);

/// The figures of simple rules, by their names.
pub type Rules = Vec<(&'static str, Report)>;

/// The flags that one task alone has.
pub trait OwnArguments: clap::Args {
    /// Those that are settings, by their keys.
    ///
    /// # Errors
    /// Where a value has no place in TOML.
    fn settings(&self) -> Result<toml::Table>;

    /// Those that name inputs.
    fn inputs(&self) -> Inputs {
        Inputs::default()
    }
}

/// What training and evaluation have in common; `S` are the settings that the task alone has.
pub struct Setup<S> {
    /// The files that are read. Known structures are those that the model reads: none where it reads none.
    pub inputs: Inputs,
    /// The settings that all tasks have.
    pub config: TrainConfig,
    /// The settings of the task.
    pub settings: S,
    /// The model.
    pub model: ModelConfig,
}

/// A training run.
pub struct Job<S> {
    /// What is trained, on what and how.
    pub setup: Setup<S>,
    /// Weights to start from.
    pub start: Option<Weights>,
    /// Where to train, and in which precision.
    pub compute: Compute,
    /// The run folder.
    pub folder: PathBuf,
    /// Whether a progress bar is unwanted.
    pub quiet: bool,
    /// Counts the records read, those for validation included.
    pub tally: Tally,
}

/// A training run as it is asked for: in a file, and by flags, which go before it.
pub struct Request {
    /// The file of `--config`, or an empty one.
    pub file: ConfigFile,
    /// The flags that name inputs.
    pub inputs: Inputs,
    /// The flags that say how large the model is.
    pub sizes: Sizes,
    /// The flags of the settings that all tasks have.
    pub flags: TrainFlags,
    /// The flags of the settings of the task.
    pub own_flags: toml::Table,
}

impl Request {
    /// What is trained, and the weights to start from: the published values, then the file, then the flags.
    ///
    /// # Errors
    /// Where no data are named, settings or sizes contradict each other, or weights cannot be read.
    pub fn resolve<T: TrainingTask>(self) -> Result<(Setup<T::Settings>, Option<Weights>)> {
        let (common, own) = self.file.settings_of::<T>()?;
        let mut inputs = self.inputs.or(self.file.inputs);
        if inputs.data.is_empty() {
            return Err(Error::Usage("no training data are given, and --config names none".into()));
        }
        let config = settings::resolve(&T::defaults(), &[&common, &settings::to_table(&self.flags)?])?;
        config.check_together()?;
        let settings = settings::resolve(&T::Settings::default(), &[&own, &self.own_flags])?;
        let start = inputs.model.as_deref().map(open_weights).transpose()?;
        let model = self.sizes.or(self.file.sizes).model(T::TASK, start.as_ref().map(|weights| &weights.config))?;
        let model = read_homologs(model, &mut inputs)?;
        inputs.model = start.as_ref().map(|weights| weights.source.clone());
        Ok((Setup { inputs, config, settings, model }, start))
    }
}

/// The model, reading homologs where known structures are wanted, or where it did; `inputs` then name the known structures
/// that it reads.
fn read_homologs(model: ModelConfig, inputs: &mut Inputs) -> Result<ModelConfig> {
    // A model without homologs may learn to read them.
    let wanted = inputs.known_structures.iter().any(|source| *source != Source::None);
    let reads = wanted || model.head.reads_homologs();
    let model = ModelConfig { head: model.head.with_homologs(reads)?, ..model };
    inputs.known_structures = model.known_structures(&inputs.known_structures)?;
    let reads = inputs.known_structures.iter().any(|source| *source != Source::None);
    let model = ModelConfig { head: model.head.with_homologs(reads)?, ..model };
    model.validate()?;
    Ok(model)
}

/// Runs a job, from the start or from its last checkpoint. Where the folder is another process's, or another run's, nothing
/// in it changes.
///
/// # Errors
/// Where the folder cannot be had or holds another run; those of reading the records and of the run.
pub fn train<T: LoadRecords>(mut job: Job<T::Settings>) -> Result<Outcome> {
    let mut task = T::new(&mut job.setup)?;
    let beginning = start::Beginning::of::<T>(&job)?;
    let (mut training, validation) = task.for_training(&job)?;
    let objective = task.objective(&job.setup, None)?;
    beginning.run::<T>(job, objective, &mut *training, validation)
}

/// An evaluation as it is asked for.
pub struct Evaluation<'a> {
    /// The model.
    pub weights: &'a Weights,
    /// Labelled data, and what the task reads beside them.
    pub inputs: Inputs,
    /// How data are read and held out: settings by their keys, of the task and of all tasks.
    pub flags: toml::Table,
    /// Where to compute, and in which precision.
    pub compute: &'a Compute,
    /// Only what a run would hold out.
    pub only_held_out: bool,
    /// Also what simple rules reach.
    pub with_baseline: bool,
    /// What those rules learn from that learn; what is not held out of the data by default.
    pub baseline_training: &'a [PathBuf],
    /// Counts the records read.
    pub tally: Tally,
}

/// Figures of a model on labelled data, and where asked for those of simple rules on the same records, by name.
///
/// # Errors
/// Those of reading the records and of tensor operations.
pub fn evaluate(evaluation: &Evaluation) -> Result<(Report, Rules)> {
    match evaluation.weights.config.task() {
        Task::Pretrain => evaluate_task::<PretrainTask>(evaluation),
        Task::Fold => evaluate_task::<FoldTask>(evaluation),
        Task::Coding => evaluate_task::<CodingTask>(evaluation),
        Task::Mirtarget => evaluate_task::<MirtargetTask>(evaluation),
        Task::Classify => evaluate_task::<ClassifyTask>(evaluation),
        Task::Regress => evaluate_task::<RegressTask>(evaluation),
        Task::Label => evaluate_task::<LabelTask>(evaluation),
    }
}

fn evaluate_task<T: LoadRecords>(evaluation: &Evaluation) -> Result<(Report, Rules)> {
    let weights = evaluation.weights;
    let (config, settings) = held_out_settings::<T>(&evaluation.flags)?;
    let mut inputs = evaluation.inputs.clone();
    inputs.known_structures = weights.config.known_structures(&inputs.known_structures)?;
    let mut setup = Setup { inputs, config, settings, model: weights.config.clone() };
    let mut task = T::new(&mut setup)?;
    let objective = task.objective(&setup, Some(weights))?;
    let (examples, rules) = task.for_evaluation(&setup, evaluation, &objective)?;
    let parameters = evaluation.compute.place(&weights.parameters)?;
    let report = objective.evaluate(&weights.config, &parameters, &examples, &Interrupt::default())?;
    Ok((report, rules))
}

/// The settings of a task where it is not trained, from flags of any task: those that this one does not have are refused.
///
/// # Errors
/// Where a flag is not the task's, or its value is out of range.
fn held_out_settings<T: TrainingTask>(flags: &toml::Table) -> Result<(TrainConfig, T::Settings)> {
    let own = settings::to_table(&T::Settings::default())?;
    let (own, common): (toml::Table, toml::Table) =
        flags.clone().into_iter().partition(|(key, _)| own.contains_key(key));
    let known = settings::to_table(&T::defaults())?;
    if let Some(key) = common.keys().find(|key| !known.contains_key(*key)) {
        return Err(Error::Usage(format!("--{key}: {} has no such setting", T::TASK)));
    }
    let config: TrainConfig = settings::resolve(&T::defaults(), &[&common])?;
    config.check_together()?;
    Ok((config, settings::resolve(&T::Settings::default(), &[&own])?))
}

/// The argument of the subcommand that trains for `T`, with the setting's default in its help.
pub fn with_defaults<T: TrainingTask>(argument: clap::Arg) -> clap::Arg {
    let tables = [settings::to_table(&T::defaults()), settings::to_table(&T::Settings::default())];
    tables.into_iter().flatten().fold(argument, |argument, defaults| settings::with_default(argument, &defaults))
}
