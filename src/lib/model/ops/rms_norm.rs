//! Root-mean-square normalisation of rows, with a learned weight.

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};
use multiversion::multiversion;

#[cfg(any(feature = "cuda", test))]
use super::bias::sum_slabs_on;
use super::contiguous;
#[cfg(feature = "cuda")]
use crate::model::cuda::on_gpu;
#[cfg(any(feature = "cuda", test))]
use crate::model::cuda::{Input, Machine, Number, blocks, name_of};

/// y = x / sqrt(mean(x^2) + epsilon) * weight, over the last dimension of `input` [rows, d].
///
/// # Errors
/// Where the shapes do not fit each other.
pub fn rms_norm(input: &Tensor, weight: &Tensor, epsilon: f64) -> Result<Tensor> {
    input.contiguous()?.apply_op2(&weight.contiguous()?, RmsNorm { epsilon: epsilon as f32 })
}

/// Sum of squares in sixteen running sums: the order is fixed, and vector registers hold it.
#[inline(always)]
pub(crate) fn dot(left: &[f32], right: &[f32]) -> f32 {
    let mut sums = [0f32; 16];
    let (left_blocks, left_rest) = left.as_chunks::<16>();
    let (right_blocks, right_rest) = right.as_chunks::<16>();
    for (a, b) in left_blocks.iter().zip(right_blocks) {
        for lane in 0..16 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let mut total: f32 = sums.iter().sum();
    for (a, b) in left_rest.iter().zip(right_rest) {
        total += a * b;
    }
    total
}

/// 1 / sqrt(mean(row^2) + epsilon).
#[inline(always)]
pub(super) fn inverse_norm(row: &[f32], epsilon: f32) -> f32 {
    1.0 / (dot(row, row) / row.len() as f32 + epsilon).sqrt()
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn forward(input: &[f32], weight: &[f32], epsilon: f32, out: &mut [f32]) {
    let width = weight.len();
    for (row, out) in input.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
        let factor = inverse_norm(row, epsilon);
        for ((out, &x), &w) in out.iter_mut().zip(row).zip(weight) {
            *out = x * factor * w;
        }
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn backward_input(input: &[f32], weight: &[f32], gradient: &[f32], epsilon: f32, out: &mut [f32]) {
    let width = weight.len();
    let mut weighted = vec![0f32; width];
    for ((row, gradient), out) in
        input.chunks_exact(width).zip(gradient.chunks_exact(width)).zip(out.chunks_exact_mut(width))
    {
        let factor = inverse_norm(row, epsilon);
        for ((target, &g), &w) in weighted.iter_mut().zip(gradient).zip(weight) {
            *target = g * w;
        }
        let pull = dot(&weighted, row) * factor * factor * factor / width as f32;
        for ((out, &g), &x) in out.iter_mut().zip(&weighted).zip(row) {
            *out = g * factor - x * pull;
        }
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn backward_weight(input: &[f32], width: usize, gradient: &[f32], epsilon: f32, out: &mut [f32]) {
    for (row, gradient) in input.chunks_exact(width).zip(gradient.chunks_exact(width)) {
        let factor = inverse_norm(row, epsilon);
        for ((out, &g), &x) in out.iter_mut().zip(gradient).zip(row) {
            *out += g * x * factor;
        }
    }
}

struct RmsNorm {
    epsilon: f32,
}

impl CustomOp2 for RmsNorm {
    fn name(&self) -> &'static str {
        "rms-norm"
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<(CpuStorage, Shape)> {
        check(l1, l2)?;
        let input = contiguous::<f32>(s1, l1, "rms-norm")?;
        let mut out = vec![0f32; input.len()];
        forward(input, contiguous(s2, l2, "rms-norm")?, self.epsilon, &mut out);
        Ok((CpuStorage::F32(out), l1.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, s1: &CudaStorage, l1: &Layout, s2: &CudaStorage, l2: &Layout) -> Result<(CudaStorage, Shape)> {
        check(l1, l2)?;
        let out = on_gpu!(s1, |T, gpu| {
            let input = gpu.input::<T>(s1, l1, "rms-norm")?;
            gpu.store(norm_on(&gpu, input, gpu.input(s2, l2, "rms-norm")?, self.epsilon)?)
        });
        Ok((out, l1.shape().clone()))
    }

    fn bwd(
        &self,
        input: &Tensor,
        weight: &Tensor,
        _result: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let gradient = gradient.contiguous()?;
        let apply = |to_weight| {
            input.apply_op3_no_bwd(weight, &gradient, &RmsNormGradient { epsilon: self.epsilon, to_weight })
        };
        Ok((Some(apply(false)?), Some(apply(true)?)))
    }
}

struct RmsNormGradient {
    epsilon: f32,
    to_weight: bool,
}

impl CustomOp3 for RmsNormGradient {
    fn name(&self) -> &'static str {
        "rms-norm-gradient"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let input = contiguous::<f32>(s1, l1, "rms-norm")?;
        let weight = contiguous::<f32>(s2, l2, "rms-norm")?;
        let gradient = contiguous::<f32>(s3, l3, "rms-norm")?;
        if self.to_weight {
            let mut out = vec![0f32; weight.len()];
            backward_weight(input, weight.len(), gradient, self.epsilon, &mut out);
            Ok((CpuStorage::F32(out), l2.shape().clone()))
        } else {
            let mut out = vec![0f32; input.len()];
            backward_input(input, weight, gradient, self.epsilon, &mut out);
            Ok((CpuStorage::F32(out), l1.shape().clone()))
        }
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        s1: &CudaStorage,
        l1: &Layout,
        s2: &CudaStorage,
        l2: &Layout,
        s3: &CudaStorage,
        l3: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let out = on_gpu!(s1, |T, gpu| {
            let (input, weight) = (gpu.input::<T>(s1, l1, "rms-norm")?, gpu.input(s2, l2, "rms-norm")?);
            let gradient = gpu.input(s3, l3, "rms-norm")?;
            gpu.store(match self.to_weight {
                true => weight_gradient_on(&gpu, input, weight.count(), gradient, self.epsilon)?,
                false => input_gradient_on(&gpu, input, weight, gradient, self.epsilon)?,
            })
        });
        Ok((out, if self.to_weight { l2.shape().clone() } else { l1.shape().clone() }))
    }
}

/// Rows of one partial sum of the weight's gradient.
#[cfg(any(feature = "cuda", test))]
const SLAB: usize = 256;

/// The norm of rows, by the kernel `rms_norm`.
#[cfg(any(feature = "cuda", test))]
fn norm_on<T: Number, M: Machine>(
    machine: &M,
    input: Input<T>,
    weight: Input<T>,
    epsilon: f32,
) -> Result<M::Memory<T>> {
    let (rows, width) = (input.count() / weight.count(), weight.count());
    let out = machine.allocate::<T>(input.count())?;
    let values = [
        input.into(),
        weight.into(),
        (rows as u32).into(),
        (width as u32).into(),
        epsilon.into(),
        machine.lend(&out).into(),
    ];
    // SAFETY: the values are this kernel's; `out` is as long as `input`: `rows` rows of `width`.
    unsafe { machine.launch("normalisation", &name_of::<T>("rms_norm"), [blocks(rows, 8), 1, 1], 256, &values) }?;
    Ok(out)
}

/// The gradient of the input.
#[cfg(any(feature = "cuda", test))]
fn input_gradient_on<T: Number, M: Machine>(
    machine: &M,
    input: Input<T>,
    weight: Input<T>,
    gradient: Input<T>,
    epsilon: f32,
) -> Result<M::Memory<T>> {
    let (rows, width) = (input.count() / weight.count(), weight.count());
    let out = machine.allocate::<T>(input.count())?;
    let values = [
        input.into(),
        weight.into(),
        gradient.into(),
        (rows as u32).into(),
        (width as u32).into(),
        epsilon.into(),
        machine.lend(&out).into(),
    ];
    // SAFETY: the values are this kernel's; `out` is as long as `input`: `rows` rows of `width`.
    unsafe {
        machine.launch("normalisation", &name_of::<T>("rms_norm_gradient"), [blocks(rows, 8), 1, 1], 256, &values)
    }?;
    Ok(out)
}

/// The gradient of the weight: sums over slabs of rows, then over slabs.
#[cfg(any(feature = "cuda", test))]
fn weight_gradient_on<T: Number, M: Machine>(
    machine: &M,
    input: Input<T>,
    width: usize,
    gradient: Input<T>,
    epsilon: f32,
) -> Result<M::Memory<T>> {
    let rows = input.count() / width;
    let factors = machine.allocate::<f32>(rows)?;
    let values =
        [input.into(), (rows as u32).into(), (width as u32).into(), epsilon.into(), machine.lend(&factors).into()];
    // SAFETY: the values are this kernel's; `factors` has a number for each row of `input`.
    unsafe { machine.launch("normalisation", &name_of::<T>("rms_factors"), [blocks(rows, 8), 1, 1], 256, &values) }?;
    // A launch has at most 65,535 blocks in this direction.
    let slab = SLAB.max(rows.div_ceil(32_768));
    let slabs = blocks(rows, slab);
    let parts = machine.allocate::<f32>(slabs * width)?;
    let values = [
        input.into(),
        gradient.into(),
        machine.lend(&factors).into(),
        (rows as u32).into(),
        (width as u32).into(),
        (slab as u32).into(),
        machine.lend(&parts).into(),
    ];
    let grid = [blocks(width, 32), slabs, 1];
    // SAFETY: the values are this kernel's; `parts` has `width` numbers for each of the slabs that the grid counts.
    unsafe { machine.launch("normalisation", &name_of::<T>("rms_norm_weight_gradient"), grid, 256, &values) }?;
    sum_slabs_on(machine, machine.lend(&parts), slabs, width)
}

fn check(input: &Layout, weight: &Layout) -> Result<()> {
    let (_, width) = input.shape().dims2()?;
    if weight.shape().dims1()? != width || width == 0 {
        candle_core::bail!("rms-norm: rows of {width} meet a weight of {:?}", weight.shape());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::cuda::emulator::emulated;
    use crate::model::ops::testing::{Rounded, close, numbers, rounded};

    /// The kernels give what the CPU gives.
    fn kernels<T: Rounded>(tolerance: f64) {
        let (rows, width, epsilon) = (601, 45, 1e-6);
        let exact = |numbers: Vec<T>| numbers.into_iter().map(|x| x.exact() as f32).collect::<Vec<f32>>();
        let draw = |count, seed| rounded::<T>(&numbers(count, seed, 1.0));
        let (input, weight, slope) = (draw(rows * width, 1), draw(width, 2), draw(rows * width, 3));
        let [x, w, g] = [&input, &weight, &slope].map(|numbers| exact(numbers.clone()));
        let mut expected = [vec![0f32; rows * width], vec![0f32; rows * width], vec![0f32; width]];
        forward(&x, &w, epsilon, &mut expected[0]);
        backward_input(&x, &w, &g, epsilon, &mut expected[1]);
        backward_weight(&x, width, &g, epsilon, &mut expected[2]);
        emulated(|machine| {
            let memory = [&input, &weight, &slope].map(|numbers| machine.upload(numbers).unwrap());
            let [input, weight, slope] = [0, 1, 2].map(|i| machine.lend(&memory[i]));
            let ours = [
                norm_on(machine, input, weight, epsilon),
                input_gradient_on(machine, input, weight, slope, epsilon),
                weight_gradient_on(machine, input, width, slope, epsilon),
            ];
            for (ours, expected) in ours.iter().zip(&expected) {
                let ours: Vec<f64> = ours.as_ref().unwrap().numbers().iter().map(|x| x.exact()).collect();
                close(&ours, &expected.iter().map(|x| f64::from(*x)).collect::<Vec<_>>(), tolerance);
            }
        });
    }

    #[test]
    fn kernels_give_what_the_cpu_gives() {
        kernels::<f32>(2e-6);
        kernels::<half::bf16>(4e-3);
    }
}
