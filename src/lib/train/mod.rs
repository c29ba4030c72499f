//! Training: data sets, objectives, schedule, loop, checkpoints, metrics.
//!
//! Everything random is drawn from a generator that is derived from the seed and from what it is for (see [`random`]),
//! never from a generator that lives on between steps. So a run that was killed and resumed, and a run on another
//! number of threads, gives the same weights to the last bit on the CPU.

pub mod baseline;
pub mod calibrate;
pub mod checkpoint;
pub mod choice_regression;
pub mod config;
pub mod context_rules;
pub mod data;
pub mod energies;
pub mod folder;
pub mod gradients;
pub mod kmer_regression;
pub mod kmer_rules;
pub mod metrics;
pub mod metrics_table;
pub mod objective;
pub mod optimiser;
pub mod progress;
pub mod random;
pub mod run;
pub mod schedule;
pub mod settings;
pub mod signals;
pub mod target_background;
pub mod tasks;
pub mod zero_shot;
