//! Adding a bias to every row, with or without ReLU after it, in one pass each way.
//!
//! candle's own gradient of a broadcast addition and of ReLU goes over the memory a dozen times.

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor};
use multiversion::multiversion;

use super::{by_type, contiguous};
#[cfg(feature = "cuda")]
use crate::model::cuda::on_gpu;
#[cfg(any(feature = "cuda", test))]
use crate::model::cuda::{Input, Machine, Number, blocks, name_of};

/// `input` [rows, width] plus `bias` `[width]`.
///
/// # Errors
/// Where the shapes do not fit each other.
pub fn add_bias(input: &Tensor, bias: &Tensor) -> Result<Tensor> {
    input.contiguous()?.apply_op2(bias, AddBias { relu: false })
}

/// ReLU(`input` [rows, width] plus `bias` `[width]`).
///
/// # Errors
/// Where the shapes do not fit each other.
pub fn add_bias_relu(input: &Tensor, bias: &Tensor) -> Result<Tensor> {
    input.contiguous()?.apply_op2(bias, AddBias { relu: true })
}

struct AddBias {
    /// Whether what is below zero becomes zero.
    relu: bool,
}

/// The gradient where the result is above zero.
struct Passed;

/// The sum of the rows.
struct RowSum;

impl CustomOp2 for AddBias {
    fn name(&self) -> &'static str {
        "add-bias"
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<(CpuStorage, Shape)> {
        let width = l1.shape().dims2()?.1;
        if l2.shape().dims1()? != width {
            candle_core::bail!("bias: {:?} meets a bias of {:?}", l1.shape(), l2.shape());
        }
        let storage = by_type!(T, s1, {
            let input = contiguous::<T>(s1, l1, "add-bias")?;
            let bias = contiguous::<T>(s2, l2, "add-bias")?;
            let mut out = Vec::with_capacity(input.len());
            let zero = <T as num_traits::Zero>::zero();
            for row in input.chunks_exact(width) {
                let sums = row.iter().zip(bias).map(|(x, bias)| *x + *bias);
                if self.relu {
                    out.extend(sums.map(|sum| if sum > zero { sum } else { zero }));
                } else {
                    out.extend(sums);
                }
            }
            <T as candle_core::WithDType>::to_cpu_storage_owned(out)
        });
        Ok((storage, l1.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, s1: &CudaStorage, l1: &Layout, s2: &CudaStorage, l2: &Layout) -> Result<(CudaStorage, Shape)> {
        if l2.shape().dims1()? != l1.shape().dims2()?.1 {
            candle_core::bail!("bias: {:?} meets a bias of {:?}", l1.shape(), l2.shape());
        }
        let out = on_gpu!(s1, |T, gpu| {
            let input = gpu.input::<T>(s1, l1, "add-bias")?;
            gpu.store(add_bias_on(&gpu, input, gpu.input(s2, l2, "add-bias")?, self.relu)?)
        });
        Ok((out, l1.shape().clone()))
    }

    fn bwd(
        &self,
        _input: &Tensor,
        _bias: &Tensor,
        result: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let mut gradient = gradient.contiguous()?;
        if self.relu {
            gradient = gradient.apply_op2_no_bwd(result, &Passed)?;
        }
        let to_bias = gradient.apply_op1_no_bwd(&RowSum)?;
        Ok((Some(gradient), Some(to_bias)))
    }
}

impl CustomOp2 for Passed {
    fn name(&self) -> &'static str {
        "relu-gradient"
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<(CpuStorage, Shape)> {
        let storage = by_type!(T, s1, {
            let gradient = contiguous::<T>(s1, l1, "relu-gradient")?;
            let result = contiguous::<T>(s2, l2, "relu-gradient")?;
            let zero = <T as num_traits::Zero>::zero();
            let passed = gradient.iter().zip(result).map(|(g, y)| if *y > zero { *g } else { zero });
            <T as candle_core::WithDType>::to_cpu_storage_owned(passed.collect())
        });
        Ok((storage, l1.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, s1: &CudaStorage, l1: &Layout, s2: &CudaStorage, l2: &Layout) -> Result<(CudaStorage, Shape)> {
        let out = on_gpu!(s1, |T, gpu| {
            let gradient = gpu.input::<T>(s1, l1, "relu-gradient")?;
            gpu.store(passed_on(&gpu, gradient, gpu.input(s2, l2, "relu-gradient")?)?)
        });
        Ok((out, l1.shape().clone()))
    }
}

impl CustomOp1 for RowSum {
    fn name(&self) -> &'static str {
        "row-sum"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let width = layout.shape().dims2()?.1;
        let storage = match storage {
            CpuStorage::F32(_) => CpuStorage::F32(sum_rows_f32(contiguous::<f32>(storage, layout, "row-sum")?, width)),
            _ => {
                let mut sums = vec![0f64; width];
                for row in contiguous::<f64>(storage, layout, "row-sum")?.chunks_exact(width) {
                    sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
                }
                CpuStorage::F64(sums)
            }
        };
        Ok((storage, Shape::from(width)))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, storage: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let width = layout.shape().dims2()?.1;
        let out = on_gpu!(storage, |T, gpu| {
            gpu.store(row_sum_on(&gpu, gpu.input::<T>(storage, layout, "row-sum")?, width)?)
        });
        Ok((out, Shape::from(width)))
    }
}

#[cfg(any(feature = "cuda", test))]
fn add_bias_on<T: Number, M: Machine>(
    machine: &M,
    input: Input<T>,
    bias: Input<T>,
    relu: bool,
) -> Result<M::Memory<T>> {
    let count = input.count();
    let out = machine.allocate::<T>(count)?;
    let values = [
        input.into(),
        bias.into(),
        (count as u64).into(),
        (bias.count() as u32).into(),
        relu.into(),
        machine.lend(&out).into(),
    ];
    // SAFETY: the values are this kernel's; `out` has a number for each of the `count` of `input`, and `bias` repeats over them.
    unsafe { machine.launch("elementwise", &name_of::<T>("add_bias"), [blocks(count, 256), 1, 1], 256, &values) }?;
    Ok(out)
}

#[cfg(any(feature = "cuda", test))]
fn passed_on<T: Number, M: Machine>(machine: &M, gradient: Input<T>, result: Input<T>) -> Result<M::Memory<T>> {
    let count = gradient.count();
    let out = machine.allocate::<T>(count)?;
    let values = [gradient.into(), result.into(), (count as u64).into(), machine.lend(&out).into()];
    // SAFETY: the values are this kernel's; all three have `count` numbers.
    unsafe { machine.launch("elementwise", &name_of::<T>("relu_gradient"), [blocks(count, 256), 1, 1], 256, &values) }?;
    Ok(out)
}

/// Sums over slabs of rows, then over slabs.
#[cfg(any(feature = "cuda", test))]
fn row_sum_on<T: Number, M: Machine>(machine: &M, input: Input<T>, width: usize) -> Result<M::Memory<T>> {
    /// Rows of one partial sum.
    const SLAB: usize = 256;
    let rows = input.count() / width;
    // A launch has at most 65,535 blocks in this direction.
    let slab = SLAB.max(rows.div_ceil(32_768));
    let slabs = blocks(rows, slab);
    let parts = machine.allocate::<f32>(slabs * width)?;
    let values =
        [input.into(), (rows as u32).into(), (width as u32).into(), (slab as u32).into(), machine.lend(&parts).into()];
    // SAFETY: the values are this kernel's; `parts` has `width` numbers for each of the slabs that the grid counts.
    unsafe { machine.launch("rows", &name_of::<T>("row_sum"), [blocks(width, 32), slabs, 1], 256, &values) }?;
    sum_slabs_on(machine, machine.lend(&parts), slabs, width)
}

/// The sum of `slabs` rows of `count` numbers.
#[cfg(any(feature = "cuda", test))]
pub(super) fn sum_slabs_on<T: Number, M: Machine>(
    machine: &M,
    parts: Input<f32>,
    slabs: usize,
    count: usize,
) -> Result<M::Memory<T>> {
    let out = machine.allocate::<T>(count)?;
    let values = [parts.into(), (slabs as u32).into(), (count as u32).into(), machine.lend(&out).into()];
    // SAFETY: the values are this kernel's; `parts` holds `slabs` rows of `count` numbers, `out` one.
    unsafe { machine.launch("rows", &name_of::<T>("sum_slabs"), [blocks(count, 256), 1, 1], 256, &values) }?;
    Ok(out)
}

/// Rows are added up in groups first, so that a long sum loses no digits.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn sum_rows_f32(values: &[f32], width: usize) -> Vec<f32> {
    let mut sums = vec![0f32; width];
    let mut group = vec![0f32; width];
    for rows in values.chunks(256 * width) {
        group.fill(0.0);
        for row in rows.chunks_exact(width) {
            for (sum, value) in group.iter_mut().zip(row) {
                *sum += value;
            }
        }
        for (sum, value) in sums.iter_mut().zip(&group) {
            *sum += value;
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::cuda::emulator::emulated;
    use crate::model::ops::testing::{Rounded, close, numbers, rounded};
    use candle_core::{Device, Var};

    fn values(tensor: &Tensor) -> Vec<f64> {
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn results_and_gradients_are_those_of_candle() {
        let input: Vec<f64> = (0..15).map(|i| (i as f64 * 1.7).sin()).collect();
        let input = Var::from_vec(input, (5, 3), &Device::Cpu).unwrap();
        let bias = Var::from_vec(vec![0.2f64, -0.3, 0.0], 3, &Device::Cpu).unwrap();
        let outer = Tensor::arange(0f64, 15.0, &Device::Cpu).unwrap().reshape((5, 3)).unwrap();
        for relu in [false, true] {
            let own = if relu { add_bias_relu(&input, &bias) } else { add_bias(&input, &bias) }.unwrap();
            let candle = input.broadcast_add(&bias).unwrap();
            let candle = if relu { candle.relu().unwrap() } else { candle };
            assert_eq!(values(&own), values(&candle));
            let gradients = |y: &Tensor| (y * &outer).unwrap().sum_all().unwrap().backward().unwrap();
            let (own, candle) = (gradients(&own), gradients(&candle));
            for variable in [&input, &bias] {
                let pairs = values(own.get(variable).unwrap()).into_iter().zip(values(candle.get(variable).unwrap()));
                pairs.for_each(|(one, other)| assert!((one - other).abs() < 1e-12));
            }
        }
    }

    /// The kernels give what the CPU gives.
    fn kernels<T: Rounded>(tolerance: f64) {
        let (rows, width) = (700, 37);
        let (input, bias) = (rounded::<T>(&numbers(rows * width, 1, 1.0)), rounded::<T>(&numbers(width, 2, 1.0)));
        let exact = |numbers: &[T]| numbers.iter().map(|x| x.exact()).collect::<Vec<f64>>();
        let plain: Vec<f64> = exact(&input).iter().enumerate().map(|(i, x)| x + bias[i % width].exact()).collect();
        let rectified: Vec<f64> = plain.iter().map(|x| x.max(0.0)).collect();
        let passed: Vec<f64> =
            exact(&input).iter().zip(&rectified).map(|(x, y)| if *y > 0.0 { *x } else { 0.0 }).collect();
        let mut sums = vec![0f64; width];
        exact(&input).iter().enumerate().for_each(|(i, x)| sums[i % width] += x);
        emulated(|machine| {
            let memory = [machine.upload(&input).unwrap(), machine.upload(&bias).unwrap()];
            let [input, bias] = [0, 1].map(|i| machine.lend(&memory[i]));
            close(&exact(add_bias_on(machine, input, bias, false).unwrap().numbers()), &plain, tolerance);
            let result = add_bias_on(machine, input, bias, true).unwrap();
            close(&exact(result.numbers()), &rectified, tolerance);
            close(&exact(passed_on(machine, input, machine.lend(&result)).unwrap().numbers()), &passed, tolerance);
            close(&exact(row_sum_on(machine, input, width).unwrap().numbers()), &sums, tolerance);
        });
    }

    #[test]
    fn kernels_give_what_the_cpu_gives() {
        kernels::<f32>(1e-6);
        kernels::<half::bf16>(4e-3);
    }
}
