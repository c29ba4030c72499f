//! Adding a bias to every row, with or without ReLU after it, in one pass each way.
//!
//! candle's own gradient of a broadcast addition and of ReLU goes over the memory a dozen times.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor};
use multiversion::multiversion;

use super::{by_type, contiguous};

/// `input` [rows, width] plus `bias` [width].
///
/// # Errors
/// Where the shapes do not fit each other.
pub fn add_bias(input: &Tensor, bias: &Tensor) -> Result<Tensor> {
    input.contiguous()?.apply_op2(bias, AddBias { cut: false })
}

/// ReLU(`input` [rows, width] plus `bias` [width]).
///
/// # Errors
/// Where the shapes do not fit each other.
pub fn add_bias_and_cut(input: &Tensor, bias: &Tensor) -> Result<Tensor> {
    input.contiguous()?.apply_op2(bias, AddBias { cut: true })
}

struct AddBias {
    /// Whether what is below zero becomes zero.
    cut: bool,
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
                if self.cut {
                    out.extend(sums.map(|sum| if sum > zero { sum } else { zero }));
                } else {
                    out.extend(sums);
                }
            }
            <T as candle_core::WithDType>::to_cpu_storage_owned(out)
        });
        Ok((storage, l1.shape().clone()))
    }

    fn bwd(
        &self,
        _input: &Tensor,
        _bias: &Tensor,
        result: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let mut gradient = gradient.contiguous()?;
        if self.cut {
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
        for cut in [false, true] {
            let own = if cut { add_bias_and_cut(&input, &bias) } else { add_bias(&input, &bias) }.unwrap();
            let candle = input.broadcast_add(&bias).unwrap();
            let candle = if cut { candle.relu().unwrap() } else { candle };
            assert_eq!(values(&own), values(&candle));
            let gradients = |y: &Tensor| (y * &outer).unwrap().sum_all().unwrap().backward().unwrap();
            let (own, candle) = (gradients(&own), gradients(&candle));
            for variable in [&input, &bias] {
                let pairs = values(own.get(variable).unwrap()).into_iter().zip(values(candle.get(variable).unwrap()));
                pairs.for_each(|(one, other)| assert!((one - other).abs() < 1e-12));
            }
        }
    }
}
