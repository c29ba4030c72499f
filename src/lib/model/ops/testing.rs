//! What the tests of the kernels share: numbers, rounding, comparison.

use crate::model::cuda::Number;

/// A type of the kernels' storage, beside f64.
pub trait Rounded: Number {
    /// The nearest number of this type.
    fn round(x: f64) -> Self;

    /// This number, without loss.
    fn exact(self) -> f64;
}

impl Rounded for f32 {
    fn round(x: f64) -> Self {
        x as f32
    }

    fn exact(self) -> f64 {
        self.into()
    }
}

impl Rounded for half::bf16 {
    fn round(x: f64) -> Self {
        half::bf16::from_f64(x)
    }

    fn exact(self) -> f64 {
        self.to_f64()
    }
}

/// `count` numbers between -`scale` and `scale`, the same for the same seed.
pub fn numbers(count: usize, seed: u64, scale: f64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let draw = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        ((state >> 11) as f64 / (1u64 << 53) as f64 - 0.5) * 2.0 * scale
    };
    (0..count).map(draw).collect()
}

/// The numbers as the kernels store them.
pub fn rounded<T: Rounded>(numbers: &[f64]) -> Vec<T> {
    numbers.iter().map(|x| T::round(*x)).collect()
}

/// That both are equal up to `tolerance` of the largest number.
#[track_caller]
pub fn close(ours: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(ours.len(), expected.len());
    let largest = expected.iter().fold(1e-30, |largest, x| f64::max(largest, x.abs()));
    for (place, (ours, expected)) in ours.iter().zip(expected).enumerate() {
        let error = (ours - expected).abs() / largest;
        // Not a comparison that NaN would pass.
        assert!(error <= tolerance, "number {place}: {ours} where {expected} is expected: {error}");
    }
}
