//! Dropout whose pattern follows from a seed alone, so that a resumed run drops what the unbroken one would have.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use multiversion::multiversion;

use super::contiguous;

/// Where a forward pass gets its dropout from: a rate, and a seed that no two layers and no two steps share.
#[derive(Clone, Debug)]
pub struct Dropout {
    rate: f32,
    seed: u64,
    calls: u64,
}

impl Dropout {
    /// Dropout of this rate; 0 drops nothing.
    pub fn new(rate: f64, seed: u64) -> Self {
        Self { rate: rate as f32, seed, calls: 0 }
    }

    /// Zeroes each number with the rate's probability and scales the others by 1 / (1 - rate).
    ///
    /// # Errors
    /// Where the tensor is not f32.
    pub fn apply(&mut self, input: &Tensor) -> Result<Tensor> {
        if self.rate <= 0.0 {
            return Ok(input.clone());
        }
        self.calls += 1;
        let seed = mix(self.seed ^ mix(self.calls));
        input.contiguous()?.apply_op1(Drop { rate: self.rate, seed })
    }
}

/// The finaliser of SplitMix64: every bit of the input moves every bit of the output.
#[inline(always)]
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[derive(Clone, Copy)]
struct Drop {
    rate: f32,
    seed: u64,
}

impl CustomOp1 for Drop {
    fn name(&self) -> &'static str {
        "dropout"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let input = contiguous::<f32>(storage, layout, "dropout")?;
        let threshold = ((self.rate as f64 * 65536.0) as u64).min(65535);
        let scale = 1.0 / (1.0 - threshold as f32 / 65536.0);
        let mut out = vec![0.0; input.len()];
        drop_numbers(self.seed, threshold as u16, scale, input, &mut out);
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }

    fn bwd(&self, _input: &Tensor, _result: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(gradient.contiguous()?.apply_op1_no_bwd(self)?))
    }
}

/// Numbers dropped at a time, by eight draws.
const GROUP: usize = 32;

/// One draw of 64 bits serves four numbers: 16 bits each, the lowest first.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512bw+avx512vl+avx2", "x86_64+avx2", "aarch64+neon"))]
fn drop_numbers(seed: u64, threshold: u16, scale: f32, input: &[f32], out: &mut [f32]) {
    for (group, (input, out)) in input.chunks(GROUP).zip(out.chunks_mut(GROUP)).enumerate() {
        let mut draws = [0u64; GROUP / 4];
        for (lane, draw) in draws.iter_mut().enumerate() {
            *draw = mix(seed.wrapping_add((group * (GROUP / 4) + lane) as u64)).to_le();
        }
        let parts: [u16; GROUP] = bytemuck::cast(draws);
        for ((x, y), part) in input.iter().zip(out).zip(parts) {
            *y = if u16::from_le(part) >= threshold { x * scale } else { 0.0 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};

    #[test]
    fn the_rate_is_dropped_the_rest_scaled_and_the_gradient_follows() {
        let ones = Var::ones(10_001, candle_core::DType::F32, &Device::Cpu).unwrap();
        let dropped = Dropout::new(0.2, 7).apply(&ones).unwrap();
        let values = dropped.to_vec1::<f32>().unwrap();
        let kept = values.iter().filter(|value| **value != 0.0).count();
        assert!((7_800..8_200).contains(&kept), "{kept} of 10,001 are kept");
        assert!(values.iter().all(|value| *value == 0.0 || (value - 1.25).abs() < 1e-4));
        let gradient = dropped.sum_all().unwrap().backward().unwrap();
        assert_eq!(gradient.get(&ones).unwrap().to_vec1::<f32>().unwrap(), values);
        // The draws one by one, as they are defined: runs that are resumed depend on them.
        let seed = mix(7 ^ mix(1));
        for (index, value) in values.iter().enumerate() {
            let draw = mix(seed.wrapping_add(index as u64 / 4));
            assert_eq!(*value != 0.0, (draw >> (16 * (index % 4))) & 0xffff >= 13107);
        }
        let mut again = Dropout::new(0.2, 7);
        assert_eq!(again.apply(&ones).unwrap().to_vec1::<f32>().unwrap(), values);
        assert_ne!(again.apply(&ones).unwrap().to_vec1::<f32>().unwrap(), values, "each call draws anew");
    }
}
