//! The figures by which a model is judged: classification and base pairs.

mod answers;
mod classification;
mod structure;

pub use answers::{ClassScores, ValueScores, compare_classes, compare_values, mean};
pub use classification::{Confusion, precision_recall_auc, roc_auc};
pub use structure::{PairScores, compare_pairs};
