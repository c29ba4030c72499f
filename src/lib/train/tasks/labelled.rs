//! What the tasks have in common whose labels stand in columns of a table.

use std::marker::PhantomData;
use std::path::PathBuf;

use super::records::InMemory;
use super::{Rules, Setup, TrainingTask};
use crate::model::heads::general::GeneralHead;
use crate::model::heads::outputs::Outputs;
use crate::model::{ModelConfig, Task, Weights};
use crate::sequence::InputFile;
use crate::train::config::{SplitBy, TrainConfig};
use crate::train::data::labelled::{self, LabelledExample, LabelledRow};
use crate::train::objective::general::{Answers, General, report};
use crate::train::settings::settings;
use crate::{Error, Result};

settings! {
    /// Settings of the tasks whose labels stand in a table.
    pub struct LabelledSettings, flags LabelledFlags under "Training for labels" {
        /// Columns of the table that hold the labels, parted by commas; by default label or class (classify), value
        /// (regress), labels (label).
        columns: String = String::new(), in AT_LEAST_0;
    }
}

/// One kind of label.
pub trait LabelKind {
    /// Its task.
    const TASK: Task;

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

/// The task of one kind of label.
pub struct Labelled<K> {
    /// The classes or values.
    outputs: Outputs,
    /// The columns that hold them.
    columns: Vec<String>,
    /// The records that were read to find the classes, until they are asked for.
    rows: Option<Vec<LabelledRow>>,
    kind: PhantomData<fn() -> K>,
}

impl<K: LabelKind> TrainingTask for Labelled<K> {
    const TASK: Task = K::TASK;
    type Settings = LabelledSettings;
    type Arguments = LabelledFlags;
    type Objective = General<K::Head>;

    fn defaults() -> TrainConfig {
        TrainConfig {
            epochs: 20,
            batch_records: 32,
            max_length: 3_000,
            learning_rate: 5e-4,
            min_learning_rate: 5e-5,
            dropout: 0.1,
            split_by: SplitBy::Cluster,
            validation_records: 0,
            ..TrainConfig::default()
        }
    }

    /// The model answers what the weights to start from, or to evaluate, answer where they were trained for this; the data
    /// may then hold fewer classes. Otherwise the data say what there is to answer.
    fn new(setup: &mut Setup<LabelledSettings>) -> Result<Self> {
        let named = setup.settings.columns.split(',').map(str::trim).filter(|name| !name.is_empty());
        let mut columns: Vec<String> = named.map(str::to_owned).collect();
        let known = setup.model.head.outputs().filter(|outputs| outputs.count() > 0).cloned();
        if let (Some(Outputs::Values { names, .. }), true) = (&known, columns.is_empty()) {
            columns.clone_from(names);
        }
        let (columns, rows) = labelled::read(&setup.inputs.data, &columns, K::COLUMNS)?;
        let outputs = match known {
            Some(outputs) => outputs,
            None => {
                let outputs = K::outputs(columns.clone(), &rows)?;
                outputs.validate().map_err(|error| Error::Input {
                    file: InputFile::from(setup.inputs.data[0].as_path()).name(),
                    place: format!("column {}", columns.join(", ")),
                    message: error.to_string(),
                })?;
                outputs
            }
        };
        let head = setup.model.head.clone().with_outputs(outputs.clone());
        setup.model = ModelConfig { head, ..setup.model.clone() };
        Ok(Self { outputs, columns, rows: Some(rows), kind: PhantomData })
    }

    fn objective(&self, _: &Setup<LabelledSettings>, _: Option<&Weights>) -> Result<General<K::Head>> {
        Ok(General::new(self.outputs.clone()))
    }
}

impl<K: LabelKind> InMemory for Labelled<K> {
    type Record = LabelledRow;

    fn read(&mut self, files: &[PathBuf]) -> Result<Vec<LabelledRow>> {
        match self.rows.take() {
            Some(rows) => Ok(rows),
            None => Ok(labelled::read(files, &self.columns, K::COLUMNS)?.1),
        }
    }

    fn length(row: &LabelledRow) -> usize {
        row.sequence.len()
    }

    fn groups(rows: &[LabelledRow], by: SplitBy) -> Result<Vec<Vec<u8>>> {
        labelled::groups(rows, by)
    }

    fn training(&self, mut rows: Vec<LabelledRow>, setup: &Setup<LabelledSettings>) -> Result<Vec<LabelledExample>> {
        rows.retain(|row| (setup.config.min_length..=setup.config.max_length).contains(&row.sequence.len()));
        self.examples(rows)
    }

    /// Those of which something is known.
    fn examples(&self, rows: Vec<LabelledRow>) -> Result<Vec<LabelledExample>> {
        let example = |row: &LabelledRow| LabelledExample::new(row, &self.outputs, K::Head::PART);
        let mut examples = rows.iter().map(example).collect::<Result<Vec<_>>>()?;
        examples.retain(LabelledExample::is_labelled);
        Ok(examples)
    }

    fn rules(&self, _: &General<K::Head>, training: Vec<LabelledRow>, examples: &[LabelledExample]) -> Result<Rules> {
        let training = self.examples(training)?;
        if training.is_empty() {
            log::warn!("no simple rules: they learn from --baseline-training, or from what --held-out leaves");
            return Ok(Rules::new());
        }
        let answers = K::rules(&self.outputs, &training, examples)?.into_iter();
        Ok(answers.map(|(name, answers)| (name, report(&self.outputs, K::Head::PART, examples, &answers))).collect())
    }
}
