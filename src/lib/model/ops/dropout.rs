//! Dropout whose pattern follows from a seed alone, so that a resumed run drops what the unbroken one would have.

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use multiversion::multiversion;

use super::contiguous;
#[cfg(feature = "cuda")]
use crate::model::cuda::on_gpu;
#[cfg(any(feature = "cuda", test))]
use crate::model::cuda::{Input, Machine, Number, blocks, name_of};

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

/// `input` with dropout in training, as it is otherwise.
///
/// # Errors
/// As [`Dropout::apply`].
pub fn dropped(input: Tensor, dropout: &mut Option<&mut Dropout>) -> Result<Tensor> {
    match dropout {
        Some(dropout) => dropout.apply(&input),
        None => Ok(input),
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

impl Drop {
    /// The draw below which a number is dropped, and what the others are multiplied by.
    fn rule(&self) -> (u16, f32) {
        let threshold = ((self.rate as f64 * 65536.0) as u64).min(65535);
        (threshold as u16, 1.0 / (1.0 - threshold as f32 / 65536.0))
    }

    #[cfg(any(feature = "cuda", test))]
    fn run_on<T: Number, M: Machine>(&self, machine: &M, input: Input<T>) -> Result<M::Memory<T>> {
        let (count, (threshold, scale)) = (input.count(), self.rule());
        let out = machine.allocate::<T>(count)?;
        let values = [
            input.into(),
            (count as u64).into(),
            self.seed.into(),
            u32::from(threshold).into(),
            scale.into(),
            machine.lend(&out).into(),
        ];
        // SAFETY: the values are this kernel's; `out` has as many numbers as `input`, which `count` says.
        unsafe { machine.launch("elementwise", &name_of::<T>("dropout"), [blocks(count, 256), 1, 1], 256, &values) }?;
        Ok(out)
    }
}

impl CustomOp1 for Drop {
    fn name(&self) -> &'static str {
        "dropout"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let input = contiguous::<f32>(storage, layout, "dropout")?;
        let (threshold, scale) = self.rule();
        let mut out = vec![0.0; input.len()];
        drop_numbers(self.seed, threshold, scale, input, &mut out);
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, storage: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let out = on_gpu!(storage, |T, gpu| gpu.store(self.run_on(&gpu, gpu.input::<T>(storage, layout, "dropout")?)?));
        Ok((out, layout.shape().clone()))
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
    use crate::model::cuda::emulator::emulated;
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

    /// A GPU drops the very numbers that the CPU drops.
    #[test]
    fn kernels_drop_what_the_cpu_drops() {
        let input: Vec<f32> = (1..3001).map(|i| i as f32).collect();
        for (rate, seed) in [(0.2, 7), (0.5, u64::MAX - 100)] {
            let drop = Drop { rate, seed };
            let (threshold, scale) = drop.rule();
            let mut expected = vec![0f32; input.len()];
            drop_numbers(seed, threshold, scale, &input, &mut expected);
            emulated(|machine| {
                let memory = machine.upload(&input).unwrap();
                assert_eq!(drop.run_on(machine, machine.lend(&memory)).unwrap().numbers(), expected);
                let ones = vec![half::bf16::ONE; input.len()];
                let memory = machine.upload(&ones).unwrap();
                let ours = drop.run_on(machine, machine.lend(&memory)).unwrap();
                for (ours, expected) in ours.numbers().iter().zip(&expected) {
                    assert_eq!(ours.to_f32() != 0.0, *expected != 0.0);
                    assert!(ours.to_f32() == 0.0 || (ours.to_f32() - scale).abs() < 0.01);
                }
            });
        }
    }
}
