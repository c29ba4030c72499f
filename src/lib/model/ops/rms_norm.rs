//! Root-mean-square normalisation of rows, with a learned weight.

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};
use multiversion::multiversion;

use super::contiguous;

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
}

fn check(input: &Layout, weight: &Layout) -> Result<()> {
    let (_, width) = input.shape().dims2()?;
    if weight.shape().dims1()? != width || width == 0 {
        candle_core::bail!("rms-norm: rows of {width} meet a weight of {:?}", weight.shape());
    }
    Ok(())
}
