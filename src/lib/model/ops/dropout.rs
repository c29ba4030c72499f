//! Dropout whose pattern follows from a seed alone, so that a resumed run drops what the unbroken one would have.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

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
        let threshold = (self.rate as f64 * 65536.0) as u64;
        let scale = 1.0 / (1.0 - threshold as f32 / 65536.0);
        // One draw of 64 bits serves four numbers.
        let mut out = Vec::with_capacity(input.len());
        for (index, group) in input.chunks(4).enumerate() {
            let draw = mix(self.seed.wrapping_add(index as u64));
            for (lane, &x) in group.iter().enumerate() {
                let kept = (draw >> (16 * lane)) & 0xffff >= threshold;
                out.push(if kept { x * scale } else { 0.0 });
            }
        }
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }

    fn bwd(&self, _input: &Tensor, _result: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(gradient.contiguous()?.apply_op1_no_bwd(self)?))
    }
}
