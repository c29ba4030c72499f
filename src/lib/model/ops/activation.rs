//! Activations of feed-forward networks: the exact (erf) gelu, and the gate of SwiGLU with its learned slope. On the CPU.

use candle_core::{CpuStorage, CustomOp1, CustomOp3, Device, Layout, Result, Shape, Tensor};
use multiversion::multiversion;

use super::contiguous;
use super::math::{gelu, gelu_slope, sigmoid};

/// x Phi(x), elementwise.
///
/// # Errors
/// On a GPU.
pub fn gelu_exact(input: &Tensor) -> Result<Tensor> {
    input.contiguous()?.apply_op1(Gelu)
}

/// u sigmoid(beta u) g, elementwise, for `input` u and `gate` g of one shape and a number `beta` `[1]` (Shazeer,
/// arXiv:2002.05202).
///
/// # Errors
/// Where the shapes do not fit each other, and on a GPU.
pub fn swiglu(input: &Tensor, gate: &Tensor, beta: &Tensor) -> Result<Tensor> {
    if input.shape() != gate.shape() || beta.elem_count() != 1 {
        candle_core::bail!("swiglu: {:?}, {:?} and {:?} do not fit", input.shape(), gate.shape(), beta.shape());
    }
    input.contiguous()?.apply_op3(&gate.contiguous()?, &beta.contiguous()?, SwiGlu)
}

struct Gelu;

struct SwiGlu;

#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn gelu_forward(input: &[f32], out: &mut [f32]) {
    for (out, &x) in out.iter_mut().zip(input) {
        *out = gelu(x);
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn gelu_backward(input: &[f32], gradient: &[f32], out: &mut [f32]) {
    for ((out, &x), &d) in out.iter_mut().zip(input).zip(gradient) {
        *out = d * gelu_slope(x);
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn swiglu_forward(input: &[f32], gate: &[f32], beta: f32, out: &mut [f32]) {
    for ((out, &u), &g) in out.iter_mut().zip(input).zip(gate) {
        *out = u * sigmoid(beta * u) * g;
    }
}

/// Writes the gradients of input and gate, and what each number adds to that of beta.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn swiglu_backward(
    input: &[f32],
    gate: &[f32],
    beta: f32,
    gradient: &[f32],
    to_input: &mut [f32],
    to_gate: &mut [f32],
    to_beta: &mut [f32],
) {
    for i in 0..input.len() {
        let (u, g, d) = (input[i], gate[i], gradient[i]);
        let s = sigmoid(beta * u);
        let slope = s * (1.0 - s);
        to_input[i] = d * g * (s + beta * u * slope);
        to_gate[i] = d * u * s;
        to_beta[i] = d * g * u * u * slope;
    }
}

impl CustomOp1 for Gelu {
    fn name(&self) -> &'static str {
        "gelu"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let input = contiguous::<f32>(storage, layout, "gelu")?;
        let mut out = vec![0f32; input.len()];
        gelu_forward(input, &mut out);
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }

    fn bwd(&self, input: &Tensor, _result: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let flat = |tensor: &Tensor| tensor.flatten_all()?.to_vec1::<f32>();
        let (input_values, gradient) = (flat(input)?, flat(gradient)?);
        let mut out = vec![0f32; input_values.len()];
        gelu_backward(&input_values, &gradient, &mut out);
        Ok(Some(Tensor::from_vec(out, input.shape(), &Device::Cpu)?))
    }
}

impl CustomOp3 for SwiGlu {
    fn name(&self) -> &'static str {
        "swiglu"
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
        let input = contiguous::<f32>(s1, l1, "swiglu")?;
        let gate = contiguous::<f32>(s2, l2, "swiglu")?;
        let mut out = vec![0f32; input.len()];
        swiglu_forward(input, gate, contiguous::<f32>(s3, l3, "swiglu")?[0], &mut out);
        Ok((CpuStorage::F32(out), l1.shape().clone()))
    }

    fn bwd(
        &self,
        input: &Tensor,
        gate: &Tensor,
        beta: &Tensor,
        _result: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let flat = |tensor: &Tensor| tensor.flatten_all()?.to_vec1::<f32>();
        let (u, g, slope, d) = (flat(input)?, flat(gate)?, flat(beta)?[0], flat(gradient)?);
        let [mut to_input, mut to_gate, mut to_beta] = [0; 3].map(|_| vec![0f32; u.len()]);
        swiglu_backward(&u, &g, slope, &d, &mut to_input, &mut to_gate, &mut to_beta);
        let total = to_beta.iter().map(|&x| f64::from(x)).sum::<f64>() as f32;
        let tensor = |values| Tensor::from_vec(values, input.shape(), &Device::Cpu).map(Some);
        Ok((tensor(to_input)?, tensor(to_gate)?, Some(Tensor::full(total, beta.shape(), &Device::Cpu)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ops::testing::{close, numbers};
    use candle_core::Var;

    fn variable(count: usize, seed: u64) -> Result<Var> {
        Var::from_vec(numbers(count, seed, 2.0).into_iter().map(|x| x as f32).collect(), (1, count), &Device::Cpu)
    }

    #[track_caller]
    fn same(own: &Tensor, candle: &Tensor, variables: &[&Var], tolerance: f64) -> Result<()> {
        let values = |tensor: &Tensor| -> Result<Vec<f64>> {
            Ok(tensor.flatten_all()?.to_vec1::<f32>()?.into_iter().map(f64::from).collect())
        };
        close(&values(own)?, &values(candle)?, tolerance);
        let outer = variable(own.elem_count(), 9)?.reshape(own.shape())?.detach();
        let (own, candle) = ((own * &outer)?.sum_all()?.backward()?, (candle * &outer)?.sum_all()?.backward()?);
        for variable in variables {
            let of = |store: &candle_core::backprop::GradStore| values(store.get(variable).expect("a gradient"));
            close(&of(&own)?, &of(&candle)?, 10.0 * tolerance);
        }
        Ok(())
    }

    #[test]
    fn results_and_gradients_are_those_of_candle() -> Result<()> {
        let (input, gate) = (variable(300, 1)?, variable(300, 2)?);
        same(&gelu_exact(&input)?, &input.gelu_erf()?, &[&input], 2e-6)?;
        let beta = Var::from_vec(vec![1.3f32], 1, &Device::Cpu)?;
        // sigmoid, whose gradient candle has, out of its tanh.
        let half = (input.broadcast_mul(&beta)? * 0.5)?;
        let sigmoid = ((half.tanh()? + 1.0)? * 0.5)?;
        same(
            &swiglu(&input, &gate, &beta)?,
            &((input.as_tensor() * sigmoid)? * gate.as_tensor())?,
            &[&input, &gate, &beta],
            2e-6,
        )
    }
}
