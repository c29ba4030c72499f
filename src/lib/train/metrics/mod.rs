//! The figures by which a model is judged: classification and base pairs.

mod classification;
mod structure;

pub use classification::{Confusion, precision_recall_auc, roc_auc};
pub use structure::{PairScores, compare_pairs};
