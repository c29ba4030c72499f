//! Layer normalisation of rows, with a learned weight and bias (Ba et al., arXiv:1607.06450). On the CPU.

use candle_core::{CpuStorage, CustomOp3, Device, Layout, Result, Shape, Tensor};
use multiversion::multiversion;

use super::contiguous;

/// y = (x - mean(x)) / sqrt(variance(x) + epsilon) * weight + bias, over the last dimension of `input` [rows, d]. The variance
/// is that of the d numbers, not an estimate for more of them.
///
/// # Errors
/// Where the shapes do not fit each other, and on a GPU.
pub fn layer_norm(input: &Tensor, weight: &Tensor, bias: &Tensor, epsilon: f64) -> Result<Tensor> {
    let (width, rest) = (weight.dims1()?, input.dims2()?.1);
    if width != rest || bias.dims1()? != width {
        candle_core::bail!(
            "layer-norm: {:?} meets a weight of {width} and a bias of {:?}",
            input.shape(),
            bias.shape()
        );
    }
    input.contiguous()?.apply_op3(&weight.contiguous()?, &bias.contiguous()?, LayerNorm { epsilon: epsilon as f32 })
}

/// The sum of a row in sixteen running sums: the order is fixed, and vector registers hold it.
#[inline(always)]
fn sum(row: &[f32], term: impl Fn(f32) -> f32) -> f32 {
    let mut sums = [0f32; 16];
    let (blocks, rest) = row.as_chunks::<16>();
    for block in blocks {
        for lane in 0..16 {
            sums[lane] += term(block[lane]);
        }
    }
    rest.iter().fold(sums.iter().sum(), |total, &x| total + term(x))
}

/// Mean of a row, and 1 / sqrt(variance + epsilon).
#[inline(always)]
fn moments(row: &[f32], epsilon: f32) -> (f32, f32) {
    let count = row.len() as f32;
    let mean = sum(row, |x| x) / count;
    let variance = sum(row, |x| (x - mean) * (x - mean)) / count;
    (mean, 1.0 / (variance + epsilon).sqrt())
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn forward(input: &[f32], weight: &[f32], bias: &[f32], epsilon: f32, out: &mut [f32]) {
    let width = weight.len();
    for (row, out) in input.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
        let (mean, factor) = moments(row, epsilon);
        for (((out, &x), &w), &b) in out.iter_mut().zip(row).zip(weight).zip(bias) {
            *out = (x - mean) * factor * w + b;
        }
    }
}

/// With y the normalised row and g the gradient times the weight: (g - mean(g) - y mean(g y)) / sqrt(variance + epsilon).
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn backward_input(input: &[f32], weight: &[f32], gradient: &[f32], epsilon: f32, out: &mut [f32]) {
    let width = weight.len();
    let (mut weighted, mut products) = (vec![0f32; width], vec![0f32; width]);
    for ((row, gradient), out) in
        input.chunks_exact(width).zip(gradient.chunks_exact(width)).zip(out.chunks_exact_mut(width))
    {
        let (mean, factor) = moments(row, epsilon);
        for i in 0..width {
            weighted[i] = gradient[i] * weight[i];
            products[i] = weighted[i] * (row[i] - mean) * factor;
        }
        let (shift, pull) = (sum(&weighted, |x| x) / width as f32, sum(&products, |x| x) / width as f32);
        for ((out, &g), &x) in out.iter_mut().zip(&weighted).zip(row) {
            *out = (g - shift - (x - mean) * factor * pull) * factor;
        }
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn backward_parameters(input: &[f32], gradient: &[f32], epsilon: f32, to_weight: &mut [f32], to_bias: &mut [f32]) {
    let width = to_weight.len();
    for (row, gradient) in input.chunks_exact(width).zip(gradient.chunks_exact(width)) {
        let (mean, factor) = moments(row, epsilon);
        for (((w, b), &g), &x) in to_weight.iter_mut().zip(to_bias.iter_mut()).zip(gradient).zip(row) {
            *w += g * (x - mean) * factor;
            *b += g;
        }
    }
}

struct LayerNorm {
    epsilon: f32,
}

impl CustomOp3 for LayerNorm {
    fn name(&self) -> &'static str {
        "layer-norm"
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
        let input = contiguous::<f32>(s1, l1, "layer-norm")?;
        let mut out = vec![0f32; input.len()];
        let (weight, bias) = (contiguous(s2, l2, "layer-norm")?, contiguous(s3, l3, "layer-norm")?);
        forward(input, weight, bias, self.epsilon, &mut out);
        Ok((CpuStorage::F32(out), l1.shape().clone()))
    }

    fn bwd(
        &self,
        input: &Tensor,
        weight: &Tensor,
        _bias: &Tensor,
        _result: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let flat = |tensor: &Tensor| tensor.flatten_all()?.to_vec1::<f32>();
        let (rows, scale, slope) = (flat(input)?, flat(weight)?, flat(&gradient.contiguous()?)?);
        let mut to_input = vec![0f32; rows.len()];
        backward_input(&rows, &scale, &slope, self.epsilon, &mut to_input);
        let (mut to_weight, mut to_bias) = (vec![0f32; scale.len()], vec![0f32; scale.len()]);
        backward_parameters(&rows, &slope, self.epsilon, &mut to_weight, &mut to_bias);
        let tensor = |values, shape: &Shape| Tensor::from_vec(values, shape, &Device::Cpu).map(Some);
        Ok((tensor(to_input, input.shape())?, tensor(to_weight, weight.shape())?, tensor(to_bias, weight.shape())?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ops::testing::{close, numbers};
    use candle_core::{D, Var};

    /// The same out of candle's own operations.
    fn by_candle(x: &Tensor, weight: &Tensor, bias: &Tensor, epsilon: f64) -> Result<Tensor> {
        let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
        let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
        centred.broadcast_div(&(variance + epsilon)?.sqrt()?)?.broadcast_mul(weight)?.broadcast_add(bias)
    }

    #[test]
    fn results_and_gradients_are_those_of_candle() -> Result<()> {
        for (rows, width) in [(7, 5), (3, 64), (1, 37)] {
            let drawn = |count, seed| numbers(count, seed, 2.0).into_iter().map(|x| x as f32).collect::<Vec<_>>();
            let input = Var::from_vec(drawn(rows * width, 1), (rows, width), &Device::Cpu)?;
            let weight = Var::from_vec(drawn(width, 2), width, &Device::Cpu)?;
            let bias = Var::from_vec(drawn(width, 3), width, &Device::Cpu)?;
            let outer = Tensor::from_vec(drawn(rows * width, 4), (rows, width), &Device::Cpu)?;
            let (own, candle) = (layer_norm(&input, &weight, &bias, 1e-5)?, by_candle(&input, &weight, &bias, 1e-5)?);
            let values = |tensor: &Tensor| -> Result<Vec<f64>> {
                Ok(tensor.flatten_all()?.to_vec1::<f32>()?.into_iter().map(f64::from).collect())
            };
            close(&values(&own)?, &values(&candle)?, 2e-6);
            let (own, candle) = ((own * &outer)?.sum_all()?.backward()?, (candle * &outer)?.sum_all()?.backward()?);
            for variable in [&input, &weight, &bias] {
                close(
                    &values(own.get(variable).expect("a gradient"))?,
                    &values(candle.get(variable).expect("a gradient"))?,
                    1e-5,
                );
            }
        }
        Ok(())
    }

    #[test]
    fn shapes_that_do_not_fit_are_refused() -> Result<()> {
        let of = |shape: &[usize]| Tensor::zeros(shape, candle_core::DType::F32, &Device::Cpu);
        assert!(layer_norm(&of(&[3, 4])?, &of(&[5])?, &of(&[5])?, 1e-5).is_err());
        assert!(layer_norm(&of(&[3, 4])?, &of(&[4])?, &of(&[5])?, 1e-5).is_err());
        Ok(())
    }
}
