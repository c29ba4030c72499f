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

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};

use super::kernel::{HeadRows, Segment, chunk_size, decay, decay_roots, retain};
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
    let op = Retention { offsets: offsets.clone(), heads, chunk, denominators: OnceLock::new() };
    queries.contiguous()?.apply_op3(&keys.contiguous()?, &values.contiguous()?, op)
}

/// The normalised operation. Remembers its denominators for the way back.
struct Retention {
    offsets: Arc<Vec<usize>>,
    heads: usize,
    chunk: Option<usize>,
    denominators: OnceLock<Tensor>,
}

/// The bare sum R, which the gradients are made of.
struct Sum {
    offsets: Arc<Vec<usize>>,
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
            let dimensions = Dimensions::new(&op.offsets, op.heads, op.chunk, layouts)?;
            let (mut out, mut sums) = dimensions.sums(q, k, v);
            denominators(&mut sums, &op.offsets, op.heads);
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
        let (tokens, value_stride) = gradient.dims2()?;
        // [heads, tokens] -> [tokens, heads, 1]
        let gradient = gradient
            .reshape((tokens, self.heads, value_stride / self.heads))?
            .broadcast_div(&denominators.t()?.unsqueeze(2)?)?
            .reshape((tokens, value_stride))?;
        let sum = || Sum { offsets: self.offsets.clone(), heads: self.heads, chunk: self.chunk };
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
        let dimensions = Dimensions::new(&self.offsets, self.heads, self.chunk, [l1, l2, l3])?;
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
}
