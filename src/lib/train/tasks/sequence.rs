//! Classes and values of RNAs: `rnaret-train classify` and `rnaret-train regress`.

use super::labelled::{LabelKind, Labelled};
use crate::Result;
use crate::model::Task;
use crate::model::heads::general::Part;
use crate::model::heads::outputs::Outputs;
use crate::model::heads::sequence::SequenceHead;
use crate::train::data::labelled::{LabelledExample, LabelledRow, outputs};
use crate::train::kmer_rules::{five_neighbours, regression};
use crate::train::objective::general::Answers;

/// One of several classes for an RNA.
pub type ClassifyTask = Labelled<Classes>;

/// One or several values for an RNA.
pub type RegressTask = Labelled<Values>;

/// What [`ClassifyTask`] learns.
pub enum Classes {}

/// What [`RegressTask`] learns.
pub enum Values {}

impl LabelKind for Classes {
    const TASK: Task = Task::Classify;
    type Head = SequenceHead;
    const COLUMNS: &'static [&'static str] = &["label", "class"];

    fn outputs(names: Vec<String>, rows: &[LabelledRow]) -> Result<Outputs> {
        outputs(names, rows, Part::Sequence, false)
    }

    fn rules(
        outputs: &Outputs,
        training: &[LabelledExample],
        examples: &[LabelledExample],
    ) -> Result<Vec<(&'static str, Vec<Answers>)>> {
        rules(outputs, training, examples)
    }
}

impl LabelKind for Values {
    const TASK: Task = Task::Regress;
    type Head = SequenceHead;
    const COLUMNS: &'static [&'static str] = &["value"];

    fn outputs(names: Vec<String>, rows: &[LabelledRow]) -> Result<Outputs> {
        outputs(names, rows, Part::Sequence, true)
    }

    fn rules(
        outputs: &Outputs,
        training: &[LabelledExample],
        examples: &[LabelledExample],
    ) -> Result<Vec<(&'static str, Vec<Answers>)>> {
        rules(outputs, training, examples)
    }
}

/// A regression on the k-mers of a sequence, and its five nearest neighbours by their 3-mers.
fn rules(
    outputs: &Outputs,
    training: &[LabelledExample],
    examples: &[LabelledExample],
) -> Result<Vec<(&'static str, Vec<Answers>)>> {
    Ok(vec![
        ("kmer_regression", regression(outputs, training, examples)?),
        ("five_neighbours", five_neighbours(outputs, training, examples)),
    ])
}
