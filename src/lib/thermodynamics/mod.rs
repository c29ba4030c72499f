//! The nearest-neighbour model: parameter sets, free energies of structures, and how likely each base pair is by energy
//! alone.
//!
//! The fold head reads these probabilities beside the encoder's features, so that it need not learn from structures what
//! was measured in solution, and has something to stand on for families it has never seen; a second set of energies, trained
//! on known structures, gives its own beside the network's. The mirtarget head reads those of
//! the duplex of a miRNA and its site.

mod best_duplex;
mod conditions;
mod constraints;
mod corrections;
mod duplex;
mod energies;
mod factors;
mod likelihood;
mod loops;
mod memory;
mod minimum_free_energy;
mod parameters;
mod partition_function;
mod reactivity;
mod structure;
mod suboptimal;

pub use best_duplex::BestDuplex;
pub use conditions::{Conditions, DEFAULT_SPAN, EnergyModels};
pub use constraints::Constraints;
pub use corrections::{Correction, Corrections};
pub use duplex::Duplex;
pub use factors::Factors;
pub use likelihood::{Agreement, Likelihood};
pub use memory::memory;
pub use minimum_free_energy::minimum_free_energy;
pub use parameters::EnergyParameters;
pub use partition_function::{Ensemble, Sampler, pair_probabilities};
pub use reactivity::PseudoEnergy;
pub use structure::{StructureLoops, ensemble_energy, structure_energy, structure_energy_by};
pub use suboptimal::suboptimal;
