//! RNAs whose structure is known, and what they tell about an RNA that is related to one of them.
//!
//! Members of an RNA family fold alike although their letters differ: what keeps the structure is kept. For a sequence to
//! fold, the most similar of the [`KnownStructures`] are found by shared words, aligned, and their pairs
//! carried over; a [`Homolog`] is the result. [`Evidence`] puts them together as numbers that a fold head reads beside
//! the letters and the free energies, and learns how far to trust.

mod alignment;
mod evidence;
mod known;
mod significance;
mod source;
mod words;

pub use evidence::{Evidence, HOMOLOG_FEATURES};
pub use known::{Homolog, KnownStructures, representatives};
pub use significance::DEFAULT_EVALUE;
pub use source::Source;
