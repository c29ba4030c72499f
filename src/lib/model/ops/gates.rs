//! The two gates of a layer, each fused with what it multiplies.

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};
use multiversion::multiversion;

use super::contiguous;
use super::math::{gelu, gelu_slope, sigmoid};
use super::rms_norm::{dot, inverse_norm};
#[cfg(feature = "cuda")]
use crate::model::cuda::on_gpu;
#[cfg(any(feature = "cuda", test))]
use crate::model::cuda::{Input, Machine, Number, Value, blocks, name_of};

/// gelu(input) x gate, elementwise, with the exact (erf) gelu.
///
/// # Errors
/// Where the shapes differ.
pub fn gelu_gate(input: &Tensor, gate: &Tensor) -> Result<Tensor> {
    input.contiguous()?.apply_op2(&gate.contiguous()?, Gate { kind: Kind::Gelu })
}

/// silu(gate) x head-wise RMSNorm (no weight) of the retention's output: both [tokens, heads x value_width].
///
/// # Errors
/// Where the shapes differ.
pub fn retention_gate(retained: &Tensor, gate: &Tensor, heads: usize, epsilon: f64) -> Result<Tensor> {
    let kind = Kind::Retention { heads, epsilon: epsilon as f32 };
    retained.contiguous()?.apply_op2(&gate.contiguous()?, Gate { kind })
}

#[derive(Clone, Copy)]
enum Kind {
    Gelu,
    Retention { heads: usize, epsilon: f32 },
}

struct Gate {
    kind: Kind,
}

struct GateGradient {
    kind: Kind,
    to_gate: bool,
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn gelu_forward(input: &[f32], gate: &[f32], out: &mut [f32]) {
    for ((out, &x), &g) in out.iter_mut().zip(input).zip(gate) {
        *out = gelu(x) * g;
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn gelu_backward_input(input: &[f32], gate: &[f32], gradient: &[f32], out: &mut [f32]) {
    for (((out, &x), &g), &d) in out.iter_mut().zip(input).zip(gate).zip(gradient) {
        *out = d * g * gelu_slope(x);
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn gelu_backward_gate(input: &[f32], gradient: &[f32], out: &mut [f32]) {
    for ((out, &x), &d) in out.iter_mut().zip(input).zip(gradient) {
        *out = d * gelu(x);
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn retention_forward(input: &[f32], gate: &[f32], width: usize, epsilon: f32, out: &mut [f32]) {
    for ((row, gate), out) in input.chunks_exact(width).zip(gate.chunks_exact(width)).zip(out.chunks_exact_mut(width)) {
        let factor = inverse_norm(row, epsilon);
        for ((out, &x), &g) in out.iter_mut().zip(row).zip(gate) {
            *out = x * factor * (g * sigmoid(g));
        }
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn retention_backward_input(
    input: &[f32],
    gate: &[f32],
    gradient: &[f32],
    width: usize,
    epsilon: f32,
    out: &mut [f32],
) {
    let mut gated = vec![0f32; width];
    for (((row, gate), gradient), out) in input
        .chunks_exact(width)
        .zip(gate.chunks_exact(width))
        .zip(gradient.chunks_exact(width))
        .zip(out.chunks_exact_mut(width))
    {
        let factor = inverse_norm(row, epsilon);
        for ((target, &d), &g) in gated.iter_mut().zip(gradient).zip(gate) {
            *target = d * (g * sigmoid(g));
        }
        let pull = dot(&gated, row) * factor * factor * factor / width as f32;
        for ((out, &d), &x) in out.iter_mut().zip(&gated).zip(row) {
            *out = d * factor - x * pull;
        }
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn retention_backward_gate(input: &[f32], gate: &[f32], gradient: &[f32], width: usize, epsilon: f32, out: &mut [f32]) {
    for (((row, gate), gradient), out) in input
        .chunks_exact(width)
        .zip(gate.chunks_exact(width))
        .zip(gradient.chunks_exact(width))
        .zip(out.chunks_exact_mut(width))
    {
        let factor = inverse_norm(row, epsilon);
        for (((out, &d), &x), &g) in out.iter_mut().zip(gradient).zip(row).zip(gate) {
            let s = sigmoid(g);
            *out = d * x * factor * (s + g * s * (1.0 - s));
        }
    }
}

#[cfg(any(feature = "cuda", test))]
impl Kind {
    /// The gate of `inputs` (input, gate), or one of its two gradients (input, gate, gradient).
    fn run_on<T: Number, M: Machine>(
        self,
        machine: &M,
        inputs: &[Input<T>],
        width: usize,
        to_gate: Option<bool>,
    ) -> Result<M::Memory<T>> {
        let count = inputs[0].count();
        let out = machine.allocate::<T>(count)?;
        let mut values: Vec<Value> = inputs.iter().map(|input| (*input).into()).collect();
        let suffix = if to_gate.is_some() { "gate_gradient" } else { "gate" };
        let (file, name, grid) = match self {
            Kind::Gelu => {
                values.push((count as u64).into());
                ("elementwise", format!("gelu_{suffix}"), blocks(count, 256))
            }
            Kind::Retention { epsilon, .. } => {
                let rows = count / width;
                values.extend([Value::from(rows as u32), (width as u32).into(), epsilon.into()]);
                ("normalisation", format!("retention_{suffix}"), blocks(rows, 8))
            }
        };
        values.extend(to_gate.map(Value::from));
        values.push(machine.lend(&out).into());
        // SAFETY: the values are this kernel's; every list of numbers is as long as `count` or the rows and width among the values say.
        unsafe { machine.launch(file, &name_of::<T>(&name), [grid, 1, 1], 256, &values) }?;
        Ok(out)
    }
}

/// Width of one head's values, or of the row where there are no heads.
fn width(kind: Kind, layout: &Layout) -> Result<usize> {
    let (_, columns) = layout.shape().dims2()?;
    match kind {
        Kind::Gelu => Ok(columns),
        Kind::Retention { heads, .. } if columns % heads == 0 => Ok(columns / heads),
        Kind::Retention { heads, .. } => candle_core::bail!("gate: {columns} values do not split into {heads} heads"),
    }
}

impl CustomOp2 for Gate {
    fn name(&self) -> &'static str {
        "gate"
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<(CpuStorage, Shape)> {
        if l1.shape() != l2.shape() {
            candle_core::bail!("gate: {:?} meets {:?}", l1.shape(), l2.shape());
        }
        let width = width(self.kind, l1)?;
        let input = contiguous::<f32>(s1, l1, "gate")?;
        let gate = contiguous::<f32>(s2, l2, "gate")?;
        let mut out = vec![0f32; input.len()];
        match self.kind {
            Kind::Gelu => gelu_forward(input, gate, &mut out),
            Kind::Retention { epsilon, .. } => retention_forward(input, gate, width, epsilon, &mut out),
        }
        Ok((CpuStorage::F32(out), l1.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, s1: &CudaStorage, l1: &Layout, s2: &CudaStorage, l2: &Layout) -> Result<(CudaStorage, Shape)> {
        if l1.shape() != l2.shape() {
            candle_core::bail!("gate: {:?} meets {:?}", l1.shape(), l2.shape());
        }
        let width = width(self.kind, l1)?;
        let out = on_gpu!(s1, |T, gpu| {
            let inputs = [gpu.input::<T>(s1, l1, "gate")?, gpu.input(s2, l2, "gate")?];
            gpu.store(self.kind.run_on(&gpu, &inputs, width, None)?)
        });
        Ok((out, l1.shape().clone()))
    }

    fn bwd(
        &self,
        input: &Tensor,
        gate: &Tensor,
        _result: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let gradient = gradient.contiguous()?;
        let apply = |to_gate| input.apply_op3_no_bwd(gate, &gradient, &GateGradient { kind: self.kind, to_gate });
        Ok((Some(apply(false)?), Some(apply(true)?)))
    }
}

impl CustomOp3 for GateGradient {
    fn name(&self) -> &'static str {
        "gate-gradient"
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
        let width = width(self.kind, l1)?;
        let input = contiguous::<f32>(s1, l1, "gate")?;
        let gate = contiguous::<f32>(s2, l2, "gate")?;
        let gradient = contiguous::<f32>(s3, l3, "gate")?;
        let mut out = vec![0f32; input.len()];
        match (self.kind, self.to_gate) {
            (Kind::Gelu, false) => gelu_backward_input(input, gate, gradient, &mut out),
            (Kind::Gelu, true) => gelu_backward_gate(input, gradient, &mut out),
            (Kind::Retention { epsilon, .. }, false) => {
                retention_backward_input(input, gate, gradient, width, epsilon, &mut out)
            }
            (Kind::Retention { epsilon, .. }, true) => {
                retention_backward_gate(input, gate, gradient, width, epsilon, &mut out)
            }
        }
        Ok((CpuStorage::F32(out), l1.shape().clone()))
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
        let width = width(self.kind, l1)?;
        let out = on_gpu!(s1, |T, gpu| {
            let inputs = [gpu.input::<T>(s1, l1, "gate")?, gpu.input(s2, l2, "gate")?, gpu.input(s3, l3, "gate")?];
            gpu.store(self.kind.run_on(&gpu, &inputs, width, Some(self.to_gate))?)
        });
        Ok((out, l1.shape().clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::cuda::emulator::emulated;
    use crate::model::ops::testing::{Rounded, close, numbers, rounded};

    /// The kernels give what the CPU gives.
    fn kernels<T: Rounded>(tolerance: f64) {
        let (rows, width, heads) = (77, 42, 2);
        let kinds = [Kind::Gelu, Kind::Retention { heads, epsilon: 1e-6 }];
        let draw = |seed| rounded::<T>(&numbers(rows * heads * width, seed, 3.0));
        let inputs = [draw(1), draw(2), draw(3)];
        let [x, gate, slope] = [0, 1, 2].map(|i| inputs[i].iter().map(|x| x.exact() as f32).collect::<Vec<f32>>());
        emulated(|machine| {
            let memory = [0, 1, 2].map(|i| machine.upload(&inputs[i]).unwrap());
            let lent = [0, 1, 2].map(|i| machine.lend(&memory[i]));
            for kind in kinds {
                for to_gate in [None, Some(false), Some(true)] {
                    let mut expected = vec![0f32; x.len()];
                    match (kind, to_gate) {
                        (Kind::Gelu, None) => gelu_forward(&x, &gate, &mut expected),
                        (Kind::Gelu, Some(false)) => gelu_backward_input(&x, &gate, &slope, &mut expected),
                        (Kind::Gelu, Some(true)) => gelu_backward_gate(&x, &slope, &mut expected),
                        (Kind::Retention { epsilon, .. }, None) => {
                            retention_forward(&x, &gate, width, epsilon, &mut expected)
                        }
                        (Kind::Retention { epsilon, .. }, Some(false)) => {
                            retention_backward_input(&x, &gate, &slope, width, epsilon, &mut expected)
                        }
                        (Kind::Retention { epsilon, .. }, Some(true)) => {
                            retention_backward_gate(&x, &gate, &slope, width, epsilon, &mut expected)
                        }
                    }
                    let given = if to_gate.is_some() { &lent[..] } else { &lent[..2] };
                    let ours = kind.run_on(machine, given, width, to_gate).unwrap();
                    let ours: Vec<f64> = ours.numbers().iter().map(|x| x.exact()).collect();
                    close(&ours, &expected.iter().map(|x| f64::from(*x)).collect::<Vec<_>>(), tolerance);
                }
            }
        });
    }

    #[test]
    fn kernels_give_what_the_cpu_gives() {
        kernels::<f32>(2e-6);
        kernels::<half::bf16>(4e-3);
    }
}
