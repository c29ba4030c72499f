//! Tensor operations that candle lacks, or does slowly, or whose gradient it drops.
//!
//! Each is a candle custom operation with its own gradient: one file, one operation.

pub mod activation;
pub mod attention;
pub mod bias;
pub mod convolution;
pub mod dropout;
pub mod gates;
#[cfg(any(feature = "cuda", test))]
mod gathered;
pub mod gemm;
pub mod layer_norm;
pub mod linear;
mod listed_products;
pub mod math;
pub mod pair_convolution;
pub mod pair_list;
pub mod recompute;
pub mod rms_norm;
pub mod rotation;
pub mod rows;
mod taps;
#[cfg(test)]
pub mod testing;

use candle_core::{CpuStorage, Layout, Result};

use gemm::Real;

/// Runs a block with `T` standing for the element type of a storage: f32 or f64.
macro_rules! by_type {
    ($type:ident, $storage:expr, $body:block) => {
        match $storage {
            candle_core::CpuStorage::F32(_) => {
                type $type = f32;
                $body
            }
            candle_core::CpuStorage::F64(_) => {
                type $type = f64;
                $body
            }
            _ => candle_core::bail!("only f32 and f64 are computed on the CPU"),
        }
    };
}
pub(crate) use by_type;

/// The elements of a contiguous tensor.
pub(crate) fn contiguous<'a, T: Real>(storage: &'a CpuStorage, layout: &Layout, name: &str) -> Result<&'a [T]> {
    let Some((start, end)) = layout.contiguous_offsets() else {
        candle_core::bail!("{name}: a tensor of shape {:?} is not contiguous", layout.shape());
    };
    Ok(&storage.as_slice::<T>()?[start..end])
}

/// Numbers as a storage of their type.
pub(crate) fn store<T: Real>(values: Vec<T>) -> CpuStorage {
    T::to_cpu_storage_owned(values)
}
