//! How likely each base pair is by free energy alone: the nearest-neighbour model and its partition function.
//!
//! The fold head reads these probabilities beside the encoder's features, so that it need not learn from structures what
//! was measured in solution, and has something to stand on for families it has never seen. The mirtarget head reads those of
//! the duplex of a miRNA and its site.

mod best_duplex;
mod duplex;
mod energies;
mod memory;
mod partition_function;

pub use best_duplex::BestDuplex;
pub use duplex::Duplex;
pub use memory::memory;
pub use partition_function::{LONGEST_SPAN, pair_probabilities};
