//! Stored numbers as f32.

use candle_core::DType;

/// The types in which weights are stored.
const STORED: [DType; 4] = [DType::F16, DType::BF16, DType::F32, DType::F64];

/// Whether numbers of this type are read.
pub(super) fn is_read(dtype: DType) -> bool {
    STORED.contains(&dtype)
}

/// Little-endian numbers of a type that [`is_read`], wherever they lie in memory: the one copy that is made of them.
pub(super) fn floats(bytes: &[u8], dtype: DType) -> Vec<f32> {
    match dtype {
        DType::F16 => bytes.as_chunks().0.iter().map(|&b| half::f16::from_le_bytes(b).to_f32()).collect(),
        DType::BF16 => bytes.as_chunks().0.iter().map(|&b| half::bf16::from_le_bytes(b).to_f32()).collect(),
        DType::F64 => bytes.as_chunks().0.iter().map(|&b| f64::from_le_bytes(b) as f32).collect(),
        _ => bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect(),
    }
}
