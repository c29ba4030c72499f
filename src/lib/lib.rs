//! rnaret: an RNA language model as small Unix tools.
//!
//! One library, one folder per room:
//!
//! - [`sequence`]: records in, the alphabet, the k-mer tokenizer, masking;
//! - [`structure`]: secondary structures, pair maps, and which letters pair;
//! - [`mod@format`]: what goes out and comes back: dot-bracket, CT, BPSEQ, BED, TSV, embeddings;
//! - [`homologs`]: known structures of related RNAs, and what they say about a sequence;
//! - [`memory`]: what the process may take, and work that is cut where it does not fit;
//! - [`model`]: the bidirectional retentive encoder and its heads;
//! - [`predict`]: what a tool does, as a function from records to results;
//! - [`decode`]: from logits to biology: base pairs, coding regions, target sites;
//! - [`draw`]: pictures of results as SVG;
//! - [`report`]: one web page of what the tools wrote;
//! - [`train`]: data sets, objectives, schedule, loop, checkpoints, metrics;
//! - [`cli`]: what all command-line tools share.
#![deny(unsafe_op_in_unsafe_fn)]
#![warn(missing_docs)]

#[cfg(feature = "cli")]
pub mod cli;
pub mod decode;
pub mod draw;
mod error;
pub mod format;
pub mod homologs;
pub mod memory;
pub mod model;
pub mod predict;
pub mod report;
pub mod sequence;
pub mod structure;
pub mod thermodynamics;
#[cfg(feature = "train")]
pub mod train;

pub use error::{Error, Result};
pub use model::heads::mirtarget::Pair;
pub use model::{Model, Task};
pub use predict::coding::CodingModel;
pub use predict::embed::{Embedder, Pool};
pub use predict::fold::FoldModel;
pub use predict::mirtarget::MirtargetModel;
pub use sequence::Record;
pub use structure::Structure;
