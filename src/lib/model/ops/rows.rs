//! Rows of a matrix by their numbers: embeddings, chosen tokens, the bases of pairs. And the other way: rows added up
//! by their numbers.
//!
//! candle's own gradient of a selection adds row after row on a GPU, one thread for each column; here the rows that were
//! picked from one are listed first, and added up by as many blocks as there are rows.

use std::sync::Arc;

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

use super::{by_type, contiguous, store};
#[cfg(feature = "cuda")]
use crate::model::cuda::on_gpu;
#[cfg(any(feature = "cuda", test))]
use crate::model::cuda::{Input, Machine, Number, blocks, name_of};

/// The rows `ids` of `input` [rows, width]: [ids, width].
///
/// # Errors
/// Where there is no such row.
pub fn select_rows(input: &Tensor, ids: impl Into<Arc<[u32]>>) -> Result<Tensor> {
    let (ids, rows) = (ids.into(), input.dim(0)?);
    if let Some(wrong) = ids.iter().find(|id| **id as usize >= rows) {
        candle_core::bail!("rows: {wrong} is none of {rows}");
    }
    input.contiguous()?.apply_op1(Selection { ids, rows })
}

/// The rows of `input` [ids, width] added up by their numbers: row r of the result [rows, width] is the sum of those
/// whose id is r.
///
/// # Errors
/// Where there is not one id below `rows` for each row of the input.
pub fn sum_rows(input: &Tensor, ids: impl Into<Arc<[u32]>>, rows: usize) -> Result<Tensor> {
    let ids = ids.into();
    if ids.len() != input.dim(0)? || ids.iter().any(|id| *id as usize >= rows) {
        candle_core::bail!("rows: {} ids below {rows} for {:?}", ids.len(), input.shape());
    }
    input.contiguous()?.apply_op1(RowSums(Selection { ids, rows }))
}

#[derive(Clone)]
struct Selection {
    ids: Arc<[u32]>,
    /// Rows of the input.
    rows: usize,
}

/// What [`sum_rows`] computes, and the gradient of a selection: each is the other's.
struct RowSums(Selection);

impl Selection {
    /// The places of the ids, those of row 0 first, and where those of each row begin: counting sort.
    #[cfg(any(feature = "cuda", test))]
    fn places(&self) -> (Vec<u32>, Vec<u32>) {
        let mut starts = vec![0u32; self.rows + 1];
        self.ids.iter().for_each(|id| starts[*id as usize + 1] += 1);
        for row in 0..self.rows {
            starts[row + 1] += starts[row];
        }
        let (mut next, mut order) = (starts.clone(), vec![0u32; self.ids.len()]);
        for (place, id) in self.ids.iter().enumerate() {
            let target = &mut next[*id as usize];
            order[*target as usize] = place as u32;
            *target += 1;
        }
        (order, starts)
    }

    #[cfg(any(feature = "cuda", test))]
    fn run_on<T: Number, M: Machine>(&self, machine: &M, input: Input<T>, width: usize) -> Result<M::Memory<T>> {
        let count = self.ids.len() * width;
        let (ids, out) = (machine.upload(&self.ids)?, machine.allocate::<T>(count)?);
        let values = [
            input.into(),
            machine.lend(&ids).into(),
            (count as u64).into(),
            (width as u32).into(),
            machine.lend(&out).into(),
        ];
        // SAFETY: the values are this kernel's; `out` has `width` numbers for each row selected; the rows lie in `input`.
        unsafe { machine.launch("rows", &name_of::<T>("select_rows"), [blocks(count, 256), 1, 1], 256, &values) }?;
        Ok(out)
    }

    #[cfg(any(feature = "cuda", test))]
    fn gradient_on<T: Number, M: Machine>(
        &self,
        machine: &M,
        gradient: Input<T>,
        width: usize,
    ) -> Result<M::Memory<T>> {
        let (order, starts) = self.places();
        let (order, starts) = (machine.upload(&order)?, machine.upload(&starts)?);
        let out = machine.allocate::<T>(self.rows * width)?;
        let values = [
            gradient.into(),
            machine.lend(&order).into(),
            machine.lend(&starts).into(),
            (width as u32).into(),
            machine.lend(&out).into(),
        ];
        let grid = [self.rows.max(1), blocks(width, 32), 1];
        // SAFETY: the values are this kernel's; `out` has `width` numbers for each row that was there; the rows lie in it.
        unsafe { machine.launch("rows", &name_of::<T>("select_rows_gradient"), grid, 256, &values) }?;
        Ok(out)
    }
}

impl CustomOp1 for Selection {
    fn name(&self) -> &'static str {
        "select-rows"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let width = layout.shape().dims2()?.1;
        let out = by_type!(T, storage, {
            let input = contiguous::<T>(storage, layout, "select-rows")?;
            let mut out = Vec::with_capacity(self.ids.len() * width);
            self.ids.iter().for_each(|id| out.extend_from_slice(&input[*id as usize * width..][..width]));
            store(out)
        });
        Ok((out, (self.ids.len(), width).into()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, storage: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let width = layout.shape().dims2()?.1;
        let out = on_gpu!(storage, |T, gpu| {
            gpu.store(self.run_on(&gpu, gpu.input::<T>(storage, layout, "select-rows")?, width)?)
        });
        Ok((out, (self.ids.len(), width).into()))
    }

    fn bwd(&self, _input: &Tensor, _result: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(gradient.contiguous()?.apply_op1_no_bwd(&RowSums(self.clone()))?))
    }
}

impl CustomOp1 for RowSums {
    fn name(&self) -> &'static str {
        "row-sums"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let width = layout.shape().dims2()?.1;
        let out = by_type!(T, storage, {
            let gradient = contiguous::<T>(storage, layout, "select-rows")?;
            let mut sums = vec![<T as num_traits::Zero>::zero(); self.0.rows * width];
            for (id, row) in self.0.ids.iter().zip(gradient.chunks_exact(width.max(1))) {
                let target = &mut sums[*id as usize * width..][..width];
                target.iter_mut().zip(row).for_each(|(sum, value)| *sum += *value);
            }
            store(sums)
        });
        Ok((out, (self.0.rows, width).into()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, storage: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let width = layout.shape().dims2()?.1;
        let out = on_gpu!(storage, |T, gpu| {
            gpu.store(self.0.gradient_on(&gpu, gpu.input::<T>(storage, layout, "select-rows")?, width)?)
        });
        Ok((out, (self.0.rows, width).into()))
    }

    fn bwd(&self, _input: &Tensor, _result: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(gradient.contiguous()?.apply_op1_no_bwd(&self.0)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::cuda::emulator::emulated;
    use crate::model::ops::testing::{Rounded, close, numbers, rounded};
    use candle_core::{Device, Var};

    /// The operation on the CPU is candle's, and the kernels give the same.
    fn kernels<T: Rounded>(tolerance: f64) {
        let (rows, width) = (11, 37);
        // Row 4 is never picked, row 0 often.
        let ids: Vec<u32> =
            (0..300).map(|i| [0, 3, 10, (i * 7 % 11), 0][i as usize % 5]).map(|id| id - u32::from(id == 4)).collect();
        let (input, slope) =
            (rounded::<T>(&numbers(rows * width, 1, 1.0)), rounded::<T>(&numbers(ids.len() * width, 2, 1.0)));
        let exact = |numbers: &[T]| numbers.iter().map(|x| x.exact()).collect::<Vec<f64>>();
        let variable = Var::from_vec(exact(&input), (rows, width), &Device::Cpu).unwrap();
        let outer = Tensor::from_vec(exact(&slope), (ids.len(), width), &Device::Cpu).unwrap();
        let both = |result: Tensor| -> [Vec<f64>; 2] {
            let gradients = (&result * &outer).unwrap().sum_all().unwrap().backward().unwrap();
            [&result, gradients.get(&variable).unwrap()].map(|t| t.flatten_all().unwrap().to_vec1().unwrap())
        };
        let places = Tensor::new(ids.clone(), &Device::Cpu).unwrap();
        let expected = both(variable.index_select(&places, 0).unwrap());
        let selection = || Selection { ids: ids.clone().into(), rows };
        let own = both(select_rows(&variable, ids.clone()).unwrap());
        (0..2).for_each(|i| close(&own[i], &expected[i], 1e-12));
        // The sums of rows are a selection's gradient, and a selection is theirs.
        let summed = Var::from_vec(exact(&slope), (ids.len(), width), &Device::Cpu).unwrap();
        let sums = sum_rows(&summed, ids.clone(), rows).unwrap();
        let gradients = (&sums * variable.as_tensor()).unwrap().sum_all().unwrap().backward().unwrap();
        let values = |t: &Tensor| -> Vec<f64> { t.flatten_all().unwrap().to_vec1().unwrap() };
        close(&values(&sums), &expected[1], 1e-12);
        close(&values(gradients.get(&summed).unwrap()), &expected[0], 1e-12);
        emulated(|machine| {
            let memory = [machine.upload(&input).unwrap(), machine.upload(&slope).unwrap()];
            let ours = [
                selection().run_on(machine, machine.lend(&memory[0]), width).unwrap(),
                selection().gradient_on(machine, machine.lend(&memory[1]), width).unwrap(),
            ];
            (0..2).for_each(|i| close(&exact(ours[i].numbers()), &expected[i], tolerance));
        });
    }

    #[test]
    fn kernels_give_what_the_cpu_gives() {
        kernels::<f32>(1e-6);
        kernels::<half::bf16>(4e-3);
    }
}
