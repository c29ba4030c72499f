//! What a tool does, as a function from records to results: one file for each kind of result.

mod bases;
pub mod coding;
pub mod conditions;
pub mod embed;
pub mod fold;
pub mod mirtarget;
mod sequence;

use crate::model::heads::bases::BasesHead;
use crate::model::heads::general::GeneralHead;
use crate::model::heads::sequence::SequenceHead;
use crate::model::heads::summary::SummaryHead;
use crate::model::{Features, HeadConfig, Model, Task};
use crate::sequence::Record;
use crate::{Error, Result};

/// How predictions are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum PredictionFormat {
    /// A table with a header row
    #[default]
    Tsv,
    /// A value for each nucleotide: bedGraph, 0-based and half-open
    Bedgraph,
    /// JSON Lines: the rows of the table as objects
    #[cfg_attr(feature = "cli", value(alias = "jsonl"))]
    Json,
}

/// What a general head says of records, as text.
pub trait Predict: Sync {
    /// The header row, whose columns are also those of JSON; empty for a bedGraph.
    fn header(&self) -> String;

    /// The rows of each of `records`, from their features. By all threads of the current rayon pool; a record's rows do not
    /// depend on those beside it.
    ///
    /// # Errors
    /// Where a tensor operation fails.
    fn rows(&self, records: &[Record], features: &Features) -> Result<Vec<Vec<u8>>>;
}

/// What the head of `model` says, written as `format`; `column` is the class or value that a bedGraph holds.
///
/// # Errors
/// Where the model's head has a tool of its own, and where the format does not hold what it says.
pub fn predictor(model: &Model, format: PredictionFormat, column: Option<&str>) -> Result<Box<dyn Predict>> {
    let config = &model.weights.config;
    match &config.head {
        HeadConfig::Sequence(_) => {
            Ok(Box::new(sequence::Sequences::new(SequenceHead::new(config, &model.parameters)?, format)?))
        }
        HeadConfig::Summary(_) => {
            Ok(Box::new(sequence::Sequences::new(SummaryHead::new(config, &model.parameters)?, format)?))
        }
        HeadConfig::Bases(_) => {
            Ok(Box::new(bases::Bases::new(BasesHead::new(config, &model.parameters)?, format, column)?))
        }
        other => {
            let tool = match other.task() {
                Task::Pretrain => "rnaret-embed",
                Task::Fold => "rnaret-fold",
                Task::Coding => "rnaret-coding",
                _ => "rnaret-mirtarget",
            };
            let message = format!("a {} model: {tool} runs it", other.task());
            Err(Error::weights(&model.weights.source, message))
        }
    }
}

/// That all `numbers` which a model gave for `record` are finite. Weights that came out of a diverged training, or that
/// overflow for an unusual input, give others, and a table that holds them says nothing.
///
/// # Errors
/// [`Error::NotFinite`] names the record.
pub fn check_finite(record: &str, numbers: &[f32]) -> Result<()> {
    match numbers.iter().all(|number| number.is_finite()) {
        true => Ok(()),
        false => Err(Error::NotFinite { record: record.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_are_not_finite_name_their_record() {
        check_finite("a", &[0.0, -1.0, f32::MAX]).unwrap();
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let error = check_finite("tRNA-Phe", &[0.5, bad]).unwrap_err().to_string();
            assert!(error.contains("record tRNA-Phe") && error.contains("not finite"), "{error}");
        }
    }
}
