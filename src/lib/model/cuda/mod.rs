//! Our kernels on NVIDIA GPUs: what launches them, and what it takes to start without CUDA's libraries.
//!
//! The kernels are in `model/kernels`. An operation describes what it launches once, for any [`Machine`]: a GPU (feature
//! `cuda`), or in the tests an emulator that runs the same kernel sources on the CPU.

#[cfg(test)]
pub mod emulator;
#[cfg(feature = "cuda")]
pub mod gpu;
#[cfg(feature = "cuda")]
pub mod libraries;
pub mod machine;

#[cfg(feature = "cuda")]
pub(crate) use gpu::{Gpu, on_gpu};
pub use machine::{Input, Machine, Number, Value, blocks, name_of};

/// Name and PTX of each file in `model/kernels`.
#[cfg(feature = "cuda")]
pub const KERNELS: &[(&str, &str)] = &[
    ("convolution", include_str!(concat!(env!("OUT_DIR"), "/convolution.ptx"))),
    ("elementwise", include_str!(concat!(env!("OUT_DIR"), "/elementwise.ptx"))),
    ("normalisation", include_str!(concat!(env!("OUT_DIR"), "/normalisation.ptx"))),
    ("optimiser", include_str!(concat!(env!("OUT_DIR"), "/optimiser.ptx"))),
    ("retention", include_str!(concat!(env!("OUT_DIR"), "/retention.ptx"))),
    ("rows", include_str!(concat!(env!("OUT_DIR"), "/rows.ptx"))),
];
