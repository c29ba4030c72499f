//! Classes and values of nucleotides: `rnaret-train label`.

use super::labelled::{LabelKind, Labelled};
use crate::Result;
use crate::model::Task;
use crate::model::heads::bases::BasesHead;
use crate::model::heads::general::Part;
use crate::model::heads::outputs::Outputs;
use crate::train::context_rules::{by_neighbours, by_pairing};
use crate::train::data::labelled::{LabelledExample, LabelledRow, are_numbers, outputs};
use crate::train::objective::general::Answers;

/// A class, or one or several values, for each nucleotide.
pub type LabelTask = Labelled<OfBases>;

/// What [`LabelTask`] labels.
pub enum OfBases {}

impl LabelKind for OfBases {
    const TASK: Task = Task::Label;
    type Head = BasesHead;
    const COLUMNS: &'static [&'static str] = &["labels"];

    /// Values where all labels are lists of numbers, else classes.
    fn outputs(names: Vec<String>, rows: &[LabelledRow]) -> Result<Outputs> {
        outputs(names, rows, Part::Nucleotide, are_numbers(rows))
    }

    fn rules(
        outputs: &Outputs,
        training: &[LabelledExample],
        examples: &[LabelledExample],
    ) -> Result<Vec<(&'static str, Vec<Answers>)>> {
        Ok(vec![
            ("trimer", by_neighbours(outputs, training, examples)?),
            ("pairing", by_pairing(outputs, training, examples)?),
        ])
    }
}
