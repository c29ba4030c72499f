//! Retention as one differentiable operation on packed batches.
//!
//! Its gradient is the same operation. With the denominators taken as constants, as published, and dO' the gradient
//! divided by them:
//!
//! ```text
//! dV = R(q = k, k = q, v = dO')    dQ = R(q = dO', k = v, v = k)    dK = R(q = v, k = dO', v = q)
//! ```
//!
//! where R is the sum without denominators, since gamma^|n-m| is symmetric.

use std::sync::{Arc, OnceLock};

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};

use super::kernel::{HeadRows, Segment, chunk_size, decay, decay_roots, retain};
#[cfg(feature = "cuda")]
use crate::model::cuda::on_gpu;
#[cfg(any(feature = "cuda", test))]
use crate::model::cuda::{Input, Machine, Number, blocks, name_of};
use crate::model::ops::gemm::Real;
use crate::model::ops::{by_type, contiguous, store};

/// The retention of queries, keys and values of all heads.
///
/// `queries` and `keys` are [tokens, heads x key_width], already rotated and scaled, `values` [tokens, heads x
/// value_width]; `offsets` are the boundaries of the packed sequences. Gives [tokens, heads x value_width].
///
/// # Errors
/// Where shapes do not fit each other, or the type is neither f32 nor f64.
pub fn retention(
    queries: &Tensor,
    keys: &Tensor,
    values: &Tensor,
    offsets: &Arc<Vec<usize>>,
    heads: usize,
) -> Result<Tensor> {
    retention_in_chunks(queries, keys, values, offsets, heads, None)
}

/// As [`retention`], with a chunk size of one's own. The result is the same up to rounding.
///
/// # Errors
/// As [`retention`].
pub fn retention_in_chunks(
    queries: &Tensor,
    keys: &Tensor,
    values: &Tensor,
    offsets: &Arc<Vec<usize>>,
    heads: usize,
    chunk: Option<usize>,
) -> Result<Tensor> {
    let op = Retention { packing: Packing::new(offsets.clone()), heads, chunk, denominators: OnceLock::new() };
    queries.contiguous()?.apply_op3(&keys.contiguous()?, &values.contiguous()?, op)
}

/// The normalised operation. Remembers its denominators for the way back.
struct Retention {
    packing: Arc<Packing>,
    heads: usize,
    chunk: Option<usize>,
    denominators: OnceLock<Tensor>,
}

/// The boundaries of packed sequences, and what a device knows of them.
struct Packing {
    offsets: Arc<Vec<usize>>,
    #[cfg(feature = "cuda")]
    chunks: OnceLock<Chunks<crate::model::cuda::Gpu>>,
}

impl Packing {
    fn new(offsets: Arc<Vec<usize>>) -> Arc<Self> {
        Arc::new(Self {
            offsets,
            #[cfg(feature = "cuda")]
            chunks: OnceLock::new(),
        })
    }

    #[cfg(feature = "cuda")]
    fn chunks(&self, gpu: &crate::model::cuda::Gpu) -> Result<&Chunks<crate::model::cuda::Gpu>> {
        match self.chunks.get() {
            Some(chunks) => Ok(chunks),
            None => {
                let chunks = Chunks::new(gpu, &self.offsets)?;
                Ok(self.chunks.get_or_init(|| chunks))
            }
        }
    }
}

/// The bare sum R, which the gradients are made of.
struct Sum {
    packing: Arc<Packing>,
    heads: usize,
    chunk: Option<usize>,
}

/// Shapes and boundaries of one call.
struct Dimensions<'a> {
    offsets: &'a [usize],
    heads: usize,
    chunk: Option<usize>,
    key_stride: usize,
    value_stride: usize,
}

impl<'a> Dimensions<'a> {
    fn new(offsets: &'a [usize], heads: usize, chunk: Option<usize>, layouts: [&Layout; 3]) -> Result<Self> {
        let (tokens, key_stride) = layouts[0].shape().dims2()?;
        let (value_tokens, value_stride) = layouts[2].shape().dims2()?;
        if layouts[1].shape().dims2()? != (tokens, key_stride)
            || value_tokens != tokens
            || offsets.last() != Some(&tokens)
            || key_stride % heads != 0
            || value_stride % heads != 0
        {
            candle_core::bail!(
                "retention: queries {:?}, keys {:?}, values {:?}, {heads} heads and {:?} tokens do not fit each other",
                layouts[0].shape(),
                layouts[1].shape(),
                layouts[2].shape(),
                offsets.last()
            );
        }
        Ok(Self { offsets, heads, chunk, key_stride, value_stride })
    }

    #[cfg(feature = "cuda")]
    fn call(&self, normalise: bool) -> Call {
        Call {
            tokens: self.offsets[self.offsets.len() - 1],
            heads: self.heads,
            key_width: self.key_stride / self.heads,
            value_width: self.value_stride / self.heads,
            normalise,
        }
    }

    /// The sums of all rows, [tokens, value_stride], and the row sums, [heads, tokens].
    fn sums<T: Real>(&self, queries: &[T], keys: &[T], values: &[T]) -> (Vec<T>, Vec<T>) {
        let tokens = self.offsets[self.offsets.len() - 1];
        let mut out = vec![T::zero(); tokens * self.value_stride];
        let mut row_sums = vec![T::zero(); tokens * self.heads];
        let value_width = self.value_stride / self.heads;
        for head in 0..self.heads {
            for bounds in self.offsets.windows(2) {
                let (start, end) = (bounds[0], bounds[1]);
                let segment = Segment {
                    queries: HeadRows::new(queries, self.key_stride, self.heads, head),
                    keys: HeadRows::new(keys, self.key_stride, self.heads, head),
                    values: HeadRows::new(values, self.value_stride, self.heads, head),
                    start,
                    end,
                    left: None,
                    right: None,
                };
                if start == end {
                    continue;
                }
                retain(
                    &segment,
                    decay(head),
                    self.chunk.unwrap_or(chunk_size(end - start)),
                    &mut out[start * self.value_stride + head * value_width..],
                    self.value_stride,
                    &mut row_sums[head * tokens + start..head * tokens + end],
                );
            }
        }
        (out, row_sums)
    }
}

/// Turns row sums [heads, tokens] into denominators of the same shape.
fn denominators<T: Real>(row_sums: &mut [T], offsets: &[usize], heads: usize) {
    let tokens = offsets[offsets.len() - 1];
    for head in 0..heads {
        let gamma = decay(head);
        for bounds in offsets.windows(2) {
            let (start, end) = (bounds[0], bounds[1]);
            let roots = decay_roots(gamma, 0, end - start, end - start);
            for (sum, root) in row_sums[head * tokens + start..head * tokens + end].iter_mut().zip(roots) {
                *sum = num_traits::Float::max(T::from_f64(root), sum.abs());
            }
        }
    }
}

/// Divides [tokens, heads x width] by [heads, tokens].
fn divide<T: Real>(values: &mut [T], denominators: &[T], heads: usize) {
    let tokens = denominators.len() / heads;
    if tokens == 0 {
        return;
    }
    let width = values.len() / denominators.len();
    for (n, row) in values.chunks_exact_mut(heads * width).enumerate() {
        for (head, part) in row.chunks_exact_mut(width).enumerate() {
            let factor = T::one() / denominators[head * tokens + n];
            part.iter_mut().for_each(|value| *value *= factor);
        }
    }
}

/// Tokens that the kernels take at a time.
#[cfg(any(feature = "cuda", test))]
const CHUNK: usize = 64;

/// Where the chunks of packed sequences lie, in the memory of a machine.
#[cfg(any(feature = "cuda", test))]
struct Chunks<M: Machine> {
    /// First token, tokens, tokens of the sequence before it, length of the sequence: four numbers for each chunk.
    table: M::Memory<u32>,
    /// The first chunk of each sequence, and at the end the number of chunks.
    sequences: M::Memory<u32>,
    chunks: usize,
    sequence_count: usize,
    /// Whether there is a sequence of several chunks.
    several: bool,
}

#[cfg(any(feature = "cuda", test))]
impl<M: Machine> Chunks<M> {
    fn new(machine: &M, offsets: &[usize]) -> Result<Self> {
        let (mut table, mut sequences) = (Vec::new(), vec![0]);
        for bounds in offsets.windows(2).filter(|bounds| bounds[0] < bounds[1]) {
            let length = bounds[1] - bounds[0];
            for before in (0..length).step_by(CHUNK) {
                let rows = CHUNK.min(length - before);
                table.extend([bounds[0] + before, rows, before, length].map(|number| number as u32));
            }
            sequences.push((table.len() / 4) as u32);
        }
        Ok(Self {
            table: machine.upload(&table)?,
            sequences: machine.upload(&sequences)?,
            chunks: table.len() / 4,
            sequence_count: sequences.len() - 1,
            several: sequences.windows(2).any(|pair| pair[1] - pair[0] > 1),
        })
    }
}

/// One call of the kernels in `retention.cu`.
#[cfg(any(feature = "cuda", test))]
struct Call {
    tokens: usize,
    heads: usize,
    key_width: usize,
    value_width: usize,
    /// Whether the sums are divided by max(sqrt(Z), |row sum|).
    normalise: bool,
}

#[cfg(any(feature = "cuda", test))]
impl Call {
    /// The sums [tokens, heads x value_width], divided or not, and where they are what they are divided by [heads,
    /// tokens].
    fn run<T: Number, M: Machine>(
        &self,
        machine: &M,
        chunks: &Chunks<M>,
        queries: Input<T>,
        keys: Input<T>,
        values: Input<T>,
    ) -> Result<(M::Memory<T>, M::Memory<f32>)> {
        let Self { tokens, heads, key_width, value_width, normalise } = *self;
        let out = machine.allocate::<T>(tokens * heads * value_width)?;
        let denominators = machine.allocate::<f32>(if normalise { tokens * heads } else { 0 })?;
        if chunks.chunks == 0 {
            return Ok((out, denominators));
        }
        // Where every sequence is one chunk, nothing lies beside it.
        let held = if chunks.several { 2 * heads * chunks.chunks } else { 0 };
        let states = machine.allocate::<f32>(held * key_width * value_width)?;
        let key_states = machine.allocate::<f32>(held * key_width)?;
        let (table, widths) = (machine.lend(&chunks.table), [key_width as u32, value_width as u32]);
        let value_tiles = blocks(value_width, 64);
        if chunks.several {
            // SAFETY: the values are this kernel's; both lists of states have a state for each chunk, head and direction.
            unsafe {
                machine.launch(
                    "retention",
                    &name_of::<T>("retention_states"),
                    [chunks.chunks, blocks(key_width, 64) * value_tiles, heads],
                    256,
                    &[
                        keys.into(),
                        values.into(),
                        table.into(),
                        widths[0].into(),
                        widths[1].into(),
                        machine.lend(&states).into(),
                        machine.lend(&key_states).into(),
                    ],
                )
            }?;
            // SAFETY: the values are this kernel's; both lists of states have a state for each chunk, head and direction; the sequences index chunks.
            unsafe {
                machine.launch(
                    "retention",
                    "retention_scan",
                    [chunks.sequence_count, blocks(key_width * (value_width + 1), 256), 2 * heads],
                    256,
                    &[
                        machine.lend(&chunks.sequences).into(),
                        table.into(),
                        (chunks.chunks as u32).into(),
                        (heads as u32).into(),
                        widths[0].into(),
                        widths[1].into(),
                        machine.lend(&states).into(),
                        machine.lend(&key_states).into(),
                    ],
                )
            }?;
        }
        // SAFETY: the values are this kernel's; `out` is as long as `values`, `denominators` has one for each token and head.
        unsafe {
            machine.launch(
                "retention",
                &name_of::<T>("retention_output"),
                [chunks.chunks, value_tiles, heads],
                256,
                &[
                    queries.into(),
                    keys.into(),
                    values.into(),
                    table.into(),
                    (tokens as u32).into(),
                    widths[0].into(),
                    widths[1].into(),
                    machine.lend(&states).into(),
                    machine.lend(&key_states).into(),
                    normalise.into(),
                    machine.lend(&out).into(),
                    machine.lend(&denominators).into(),
                ],
            )
        }?;
        Ok((out, denominators))
    }
}

/// Input [tokens, heads x width] over denominators [heads, tokens].
#[cfg(any(feature = "cuda", test))]
fn divide_on<T: Number, M: Machine>(
    machine: &M,
    input: Input<T>,
    denominators: Input<f32>,
    heads: usize,
) -> Result<M::Memory<T>> {
    let (count, rows) = (input.count(), denominators.count());
    let out = machine.allocate::<T>(count)?;
    let values = [
        input.into(),
        denominators.into(),
        (count as u64).into(),
        ((rows / heads) as u32).into(),
        (heads as u32).into(),
        ((count / rows.max(1)) as u32).into(),
        machine.lend(&out).into(),
    ];
    // SAFETY: the values are this kernel's; `out` is as long as `input`, with one of `denominators` for each row and head.
    unsafe { machine.launch("retention", &name_of::<T>("divide_rows"), [blocks(count, 256), 1, 1], 256, &values) }?;
    Ok(out)
}

impl CustomOp3 for Retention {
    fn name(&self) -> &'static str {
        "retention"
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
        fn run<T: Real>(op: &Retention, q: &[T], k: &[T], v: &[T], layouts: [&Layout; 3]) -> Result<CpuStorage> {
            let dimensions = Dimensions::new(&op.packing.offsets, op.heads, op.chunk, layouts)?;
            let (mut out, mut sums) = dimensions.sums(q, k, v);
            denominators(&mut sums, &op.packing.offsets, op.heads);
            divide(&mut out, &sums, op.heads);
            let tokens = sums.len() / op.heads;
            let kept = Tensor::from_vec(sums, (op.heads, tokens), &candle_core::Device::Cpu)?;
            // A second forward pass of the same operation would give the same denominators.
            let _ = op.denominators.set(kept);
            Ok(store(out))
        }
        let out = by_type!(T, s1, {
            run::<T>(
                self,
                contiguous::<T>(s1, l1, "retention")?,
                contiguous::<T>(s2, l2, "retention")?,
                contiguous::<T>(s3, l3, "retention")?,
                [l1, l2, l3],
            )?
        });
        Ok((out, l3.shape().clone()))
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
        let call = Dimensions::new(&self.packing.offsets, self.heads, self.chunk, [l1, l2, l3])?.call(true);
        let (out, kept) = on_gpu!(s1, |T, gpu| {
            let (queries, keys) = (gpu.input::<T>(s1, l1, "retention")?, gpu.input(s2, l2, "retention")?);
            let values = gpu.input(s3, l3, "retention")?;
            let (out, denominators) = call.run(&gpu, self.packing.chunks(&gpu)?, queries, keys, values)?;
            (gpu.store(out), gpu.store(denominators))
        });
        let none = candle_core::op::BackpropOp::none();
        let kept = Tensor::from_storage(candle_core::Storage::Cuda(kept), (self.heads, call.tokens), none, false);
        // A second forward pass of the same operation would give the same denominators.
        let _ = self.denominators.set(kept);
        Ok((out, l3.shape().clone()))
    }

    fn bwd(
        &self,
        queries: &Tensor,
        keys: &Tensor,
        values: &Tensor,
        _result: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let Some(denominators) = self.denominators.get() else {
            candle_core::bail!("retention: the gradient was asked for before the value");
        };
        let gradient = gradient.contiguous()?.apply_op2_no_bwd(denominators, &Divide { heads: self.heads })?;
        let sum = || Sum { packing: self.packing.clone(), heads: self.heads, chunk: self.chunk };
        let apply = |q: &Tensor, k: &Tensor, v: &Tensor| q.apply_op3_no_bwd(k, v, &sum());
        Ok((
            Some(apply(&gradient, values, keys)?),
            Some(apply(values, &gradient, queries)?),
            Some(apply(keys, queries, &gradient)?),
        ))
    }
}

impl CustomOp3 for Sum {
    fn name(&self) -> &'static str {
        "retention-sum"
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
        let dimensions = Dimensions::new(&self.packing.offsets, self.heads, self.chunk, [l1, l2, l3])?;
        let out = by_type!(T, s1, {
            let (out, _) = dimensions.sums::<T>(
                contiguous(s1, l1, "retention-sum")?,
                contiguous(s2, l2, "retention-sum")?,
                contiguous(s3, l3, "retention-sum")?,
            );
            store(out)
        });
        Ok((out, l3.shape().clone()))
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
        let call = Dimensions::new(&self.packing.offsets, self.heads, self.chunk, [l1, l2, l3])?.call(false);
        let out = on_gpu!(s1, |T, gpu| {
            let (queries, keys) = (gpu.input::<T>(s1, l1, "retention-sum")?, gpu.input(s2, l2, "retention-sum")?);
            let values = gpu.input(s3, l3, "retention-sum")?;
            gpu.store(call.run(&gpu, self.packing.chunks(&gpu)?, queries, keys, values)?.0)
        });
        Ok((out, l3.shape().clone()))
    }
}

/// [tokens, heads x width] over denominators [heads, tokens].
struct Divide {
    heads: usize,
}

impl CustomOp2 for Divide {
    fn name(&self) -> &'static str {
        "retention-division"
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<(CpuStorage, Shape)> {
        let out = by_type!(T, s1, {
            let mut out = contiguous::<T>(s1, l1, "retention-division")?.to_vec();
            divide(&mut out, contiguous(s2, l2, "retention-division")?, self.heads);
            store(out)
        });
        Ok((out, l1.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, s1: &CudaStorage, l1: &Layout, s2: &CudaStorage, l2: &Layout) -> Result<(CudaStorage, Shape)> {
        let out = on_gpu!(s1, |T, gpu| {
            let input = gpu.input::<T>(s1, l1, "retention-division")?;
            gpu.store(divide_on(&gpu, input, gpu.input(s2, l2, "retention-division")?, self.heads)?)
        });
        Ok((out, l1.shape().clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::cuda::emulator::{Emulator, emulated_in_orders};
    use crate::model::ops::testing::{Rounded, close, numbers, rounded};
    use candle_core::{DType, Device};

    /// Lengths of packed sequences, heads, widths of a head's keys and values: more and less than a tile each way.
    const CASES: [(&[usize], usize, usize, usize); 4] = [
        (&[150, 1, 64, 65, 0, 200, 3], 2, 20, 24),
        (&[40, 64], 1, 72, 40),
        (&[129, 30], 3, 33, 70),
        (&[140], 1, 96, 128),
    ];

    struct Case {
        offsets: Vec<usize>,
        heads: usize,
        widths: (usize, usize),
        inputs: [Vec<f64>; 3],
    }

    impl Case {
        fn new((lengths, heads, key_width, value_width): (&[usize], usize, usize, usize)) -> Self {
            let mut offsets = vec![0];
            lengths.iter().for_each(|length| offsets.push(offsets[offsets.len() - 1] + length));
            let tokens = offsets[lengths.len()];
            // Large enough that some rows are divided by their sum and others by sqrt(Z).
            let inputs = [
                numbers(tokens * heads * key_width, 1, 1.5),
                numbers(tokens * heads * key_width, 2, 1.0),
                numbers(tokens * heads * value_width, 3, 1.0),
            ];
            Self { offsets, heads, widths: (key_width, value_width), inputs }
        }

        fn tokens(&self) -> usize {
            self.offsets[self.offsets.len() - 1]
        }

        /// The inputs as tensors in f64, rounded to the type of the kernels.
        fn tensors<T: Rounded>(&self) -> [Tensor; 3] {
            std::array::from_fn(|i| {
                let width = self.heads * if i == 2 { self.widths.1 } else { self.widths.0 };
                let values = self.inputs[i].iter().map(|x| T::round(*x).exact()).collect::<Vec<f64>>();
                Tensor::from_vec(values, (self.tokens(), width), &Device::Cpu).unwrap()
            })
        }

        fn run<T: Rounded>(
            &self,
            machine: &Emulator,
            [queries, keys, values]: [&[f64]; 3],
            widths: (usize, usize),
            normalise: bool,
        ) -> (Vec<f64>, Vec<f64>) {
            let memory = [queries, keys, values].map(|numbers| machine.upload(&rounded::<T>(numbers)).unwrap());
            let call = Call {
                tokens: self.tokens(),
                heads: self.heads,
                key_width: widths.0,
                value_width: widths.1,
                normalise,
            };
            let chunks = Chunks::new(machine, &self.offsets).unwrap();
            let [queries, keys, values] = [0, 1, 2].map(|i| machine.lend(&memory[i]));
            let (out, denominators) = call.run(machine, &chunks, queries, keys, values).unwrap();
            let denominators = denominators.numbers().iter().map(|x| f64::from(*x)).collect();
            (out.numbers().iter().map(|x| x.exact()).collect(), denominators)
        }
    }

    fn values(tensor: &Tensor) -> Vec<f64> {
        tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
    }

    /// The kernels give what the CPU gives in f64.
    fn forward<T: Rounded>(orders: &[bool], tolerance: f64) {
        emulated_in_orders(orders, |machine| {
            for case in CASES.map(Case::new) {
                let inputs = case.tensors::<T>();
                let offsets = Arc::new(case.offsets.clone());
                let expected = retention(&inputs[0], &inputs[1], &inputs[2], &offsets, case.heads).unwrap();
                let borrowed = [0, 1, 2].map(|i| &case.inputs[i][..]);
                let (ours, denominators) = case.run::<T>(machine, borrowed, case.widths, true);
                close(&ours, &values(&expected), tolerance);
                let dimensions = Dimensions {
                    offsets: &case.offsets,
                    heads: case.heads,
                    chunk: None,
                    key_stride: case.heads * case.widths.0,
                    value_stride: case.heads * case.widths.1,
                };
                let [queries, keys, inputs] = inputs.map(|tensor| values(&tensor));
                let (_, mut sums) = dimensions.sums(&queries, &keys, &inputs);
                let by_root = sums.clone();
                super::denominators(&mut sums, &case.offsets, case.heads);
                let changed = sums.iter().zip(&by_root).filter(|(own, sum)| **own != sum.abs()).count();
                assert!(changed > 0 && changed < sums.len(), "both kinds of denominators occur");
                close(&denominators, &sums, tolerance.min(2e-3));
            }
        });
    }

    #[test]
    fn kernels_give_what_the_cpu_gives_in_f32() {
        forward::<f32>(&[false, true], 2e-6);
    }

    #[test]
    fn kernels_give_what_the_cpu_gives_in_bf16() {
        forward::<half::bf16>(&[false], 1.2e-2);
    }

    /// The three calls of the way back give the gradients of the CPU in f64.
    fn backward<T: Rounded>(orders: &[bool], tolerance: f64) {
        emulated_in_orders(orders, |machine| {
            for case in CASES.map(Case::new) {
                let variables = case.tensors::<T>().map(|tensor| candle_core::Var::from_tensor(&tensor).unwrap());
                let offsets = Arc::new(case.offsets.clone());
                let out = retention(&variables[0], &variables[1], &variables[2], &offsets, case.heads).unwrap();
                let outer = numbers(out.elem_count(), 4, 1.0);
                let outer: Vec<f64> = outer.iter().map(|x| T::round(*x).exact()).collect();
                let slope = Tensor::from_vec(outer.clone(), out.shape(), &Device::Cpu).unwrap();
                let gradients = (out * slope).unwrap().sum_all().unwrap().backward().unwrap();

                let [queries, keys, inputs] = [0, 1, 2].map(|i| &case.inputs[i][..]);
                let (_, denominators) = case.run::<T>(machine, [queries, keys, inputs], case.widths, true);
                let divisors: Vec<f32> = denominators.iter().map(|x| *x as f32).collect();
                let (memory, divisors) =
                    (machine.upload(&rounded::<T>(&outer)).unwrap(), machine.upload(&divisors).unwrap());
                let divided = divide_on(machine, machine.lend(&memory), machine.lend(&divisors), case.heads).unwrap();
                let divided: Vec<f64> = divided.numbers().iter().map(|x| x.exact()).collect();
                let (narrow, wide) = (case.widths, (case.widths.1, case.widths.0));
                for (variable, arguments, widths) in [
                    (0, [&divided[..], inputs, keys], wide),
                    (1, [inputs, &divided, queries], wide),
                    (2, [keys, queries, &divided], narrow),
                ] {
                    let (ours, _) = case.run::<T>(machine, arguments, widths, false);
                    close(&ours, &values(gradients.get(&variables[variable]).unwrap()), tolerance);
                }
            }
        });
    }

    #[test]
    fn kernels_give_the_gradients_of_the_cpu_in_f32() {
        backward::<f32>(&[false], 3e-6);
    }

    #[test]
    fn kernels_give_the_gradients_of_the_cpu_in_bf16() {
        backward::<half::bf16>(&[true], 2e-2);
    }
}
