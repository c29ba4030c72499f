//! Exact softmax attention of packed sequences, in memory that grows with their length alone. On the CPU.
//!
//! Queries meet the keys block by block. Of each row a running maximum and a running sum are kept, and what was added up under
//! an older maximum is scaled down when a larger one is found (Milakov and Gimelshein, arXiv:1805.02867; in blocks, Dao et al.,
//! arXiv:2205.14135): no matrix of queries x keys ever exists. Blocks begin where their sequence begins, and a row's sums run
//! over them in order, so that a row's result depends on its sequence alone.
//!
//! A bias b(i, j) that is a product of what is known of either token needs no code here: queries and keys are made wider by it.

use std::sync::{Arc, OnceLock};

use candle_core::{CpuStorage, CustomOp3, Device, Layout, Result, Shape, Tensor};
use multiversion::multiversion;

use super::contiguous;
use super::gemm::{Matrix, product};
use super::math::exp;

/// Keys that a block of queries meets at a time in training, and queries in a block.
const BLOCK: usize = 128;

/// softmax(scale x queries keys^T) values, head by head, within each sequence.
///
/// `queries` and `keys` are [tokens, heads x key_width], `values` [tokens, heads x value_width]; `offsets` are the boundaries of
/// the packed sequences. Gives [tokens, heads x value_width]. Differentiable.
///
/// # Errors
/// Where shapes do not fit each other, and on a GPU.
pub fn attention(
    queries: &Tensor,
    keys: &Tensor,
    values: &Tensor,
    offsets: &Arc<Vec<usize>>,
    heads: usize,
    scale: f64,
) -> Result<Tensor> {
    let (tokens, key_stride) = queries.dims2()?;
    let (value_tokens, value_stride) = values.dims2()?;
    if keys.dims2()? != (tokens, key_stride)
        || value_tokens != tokens
        || offsets.last() != Some(&tokens)
        || key_stride % heads != 0
        || value_stride % heads != 0
    {
        candle_core::bail!(
            "attention: queries {:?}, keys {:?}, values {:?}, {heads} heads and {:?} tokens do not fit each other",
            queries.shape(),
            keys.shape(),
            values.shape(),
            offsets.last()
        );
    }
    let op = Attention { offsets: offsets.clone(), heads, scale: scale as f32, log_sums: OnceLock::new() };
    queries.contiguous()?.apply_op3(&keys.contiguous()?, &values.contiguous()?, op)
}

/// The columns of one head in rows of all heads.
#[derive(Clone, Copy)]
struct Columns<'a> {
    rows: &'a [f32],
    stride: usize,
    first: usize,
    width: usize,
}

impl<'a> Columns<'a> {
    /// Of rows of `heads` heads of one width, those of head `head`.
    fn new(rows: &'a [f32], stride: usize, heads: usize, head: usize) -> Self {
        let width = stride / heads;
        Self { rows, stride, first: head * width, width }
    }

    /// Rows `start` up to `end` as a matrix.
    fn matrix(&self, start: usize, end: usize) -> Matrix<'a, f32> {
        let data = &self.rows[start * self.stride + self.first..];
        Matrix::new(data, end - start, self.width, self.stride)
    }
}

/// Keys and values of some tokens that follow each other, as queries meet them.
pub struct KeyBlock {
    tokens: usize,
    heads: usize,
    /// [heads, key_width, tokens]: as products want them.
    keys: Vec<f32>,
    /// [tokens, heads x value_width].
    values: Vec<f32>,
}

impl KeyBlock {
    /// Of rows [tokens, heads x key_width] and [tokens, heads x value_width].
    pub fn new(keys: &[f32], values: Vec<f32>, tokens: usize, heads: usize) -> Self {
        let stride = keys.len().checked_div(tokens).unwrap_or(0);
        let mut turned = vec![0f32; keys.len()];
        for (token, row) in keys.chunks_exact(stride.max(1)).enumerate() {
            for (column, &key) in row.iter().enumerate() {
                turned[column * tokens + token] = key;
            }
        }
        Self { tokens, heads, keys: turned, values }
    }

    /// The transposed keys of a head, [key_width, tokens].
    fn keys(&self, head: usize) -> Matrix<'_, f32> {
        let width = self.keys.len() / (self.heads * self.tokens);
        let part = &self.keys[head * width * self.tokens..(head + 1) * width * self.tokens];
        Matrix::new(part, width, self.tokens, self.tokens)
    }

    fn values(&self, head: usize) -> Columns<'_> {
        Columns::new(&self.values, self.values.len() / self.tokens, self.heads, head)
    }
}

/// What attends to all `blocks` of a sequence: some of its queries, [tokens, heads x key_width]. Gives [tokens, heads x
/// value_width], and the logarithm of the sum of exponentials of each head and token, [heads, tokens].
pub fn attend(queries: &[f32], tokens: usize, blocks: &[KeyBlock], scale: f32) -> (Vec<f32>, Vec<f32>) {
    let Some(first) = blocks.first() else { return (Vec::new(), Vec::new()) };
    let heads = first.heads;
    let (key_stride, value_stride) = (queries.len() / tokens, first.values.len() / first.tokens);
    let width = value_stride / heads;
    let widest = blocks.iter().map(|block| block.tokens).max().unwrap_or(0);
    let mut scores = vec![0f32; tokens * widest];
    let mut sums = vec![0f32; tokens * width];
    let mut out = vec![0f32; tokens * value_stride];
    let mut log_sums = Vec::with_capacity(heads * tokens);
    for head in 0..heads {
        let queries = Columns::new(queries, key_stride, heads, head).matrix(0, tokens);
        let mut running = vec![Running { largest: f32::NEG_INFINITY, total: 0.0 }; tokens];
        sums.fill(0.0);
        for block in blocks {
            let scores = &mut scores[..tokens * block.tokens];
            product(queries, block.keys(head), scores, block.tokens, false);
            weigh(scores, block.tokens, scale, &mut running, &mut sums, width);
            let weights = Matrix::new(scores, tokens, block.tokens, block.tokens);
            product(weights, block.values(head).matrix(0, block.tokens), &mut sums, width, true);
        }
        for (token, (row, state)) in sums.chunks_exact(width).zip(&running).enumerate() {
            let factor = 1.0 / state.total;
            let target = &mut out[token * value_stride + head * width..][..width];
            target.iter_mut().zip(row).for_each(|(out, sum)| *out = sum * factor);
            log_sums.push(state.largest + state.total.ln());
        }
    }
    (out, log_sums)
}

/// What is known of a row after some blocks of keys.
#[derive(Clone, Copy)]
struct Running {
    /// The largest score.
    largest: f32,
    /// The sum of exp(score - largest).
    total: f32,
}

/// Turns the scores [rows, keys] of a block into weights, exp(scale x score - largest so far), and scales down what was summed
/// before, `sums` [rows, width].
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn weigh(scores: &mut [f32], keys: usize, scale: f32, running: &mut [Running], sums: &mut [f32], width: usize) {
    for ((row, state), sums) in scores.chunks_exact_mut(keys).zip(running).zip(sums.chunks_exact_mut(width)) {
        let mut lanes = [f32::NEG_INFINITY; 16];
        let (parts, rest) = row.as_chunks_mut::<16>();
        for part in parts.iter_mut() {
            for lane in 0..16 {
                part[lane] *= scale;
                lanes[lane] = if part[lane] > lanes[lane] { part[lane] } else { lanes[lane] };
            }
        }
        let mut largest = lanes.iter().fold(state.largest, |largest, &x| if x > largest { x } else { largest });
        for score in rest.iter_mut() {
            *score *= scale;
            largest = if *score > largest { *score } else { largest };
        }
        let mut totals = [0f32; 16];
        for part in parts.iter_mut() {
            for lane in 0..16 {
                part[lane] = exp(part[lane] - largest);
                totals[lane] += part[lane];
            }
        }
        let mut total: f32 = totals.iter().sum();
        for score in rest.iter_mut() {
            *score = exp(*score - largest);
            total += *score;
        }
        if largest > state.largest {
            let older = exp(state.largest - largest);
            state.total *= older;
            sums.iter_mut().for_each(|sum| *sum *= older);
            state.largest = largest;
        }
        state.total += total;
    }
}

/// The operation. Remembers the logarithms of its sums for the way back, [heads, tokens] of each sequence in turn.
struct Attention {
    offsets: Arc<Vec<usize>>,
    heads: usize,
    scale: f32,
    log_sums: OnceLock<Vec<f32>>,
}

impl Attention {
    /// The sequences: token ranges that are not empty.
    fn sequences(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.offsets.windows(2).map(|pair| (pair[0], pair[1])).filter(|(start, end)| start < end)
    }
}

impl CustomOp3 for Attention {
    fn name(&self) -> &'static str {
        "attention"
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
        let queries = contiguous::<f32>(s1, l1, "attention")?;
        let keys = contiguous::<f32>(s2, l2, "attention")?;
        let values = contiguous::<f32>(s3, l3, "attention")?;
        let (key_stride, value_stride) = (l1.shape().dims2()?.1, l3.shape().dims2()?.1);
        let mut out = Vec::with_capacity(values.len());
        let mut log_sums = Vec::with_capacity(self.heads * l1.shape().dims2()?.0);
        for (start, end) in self.sequences() {
            let parts = || (start..end).step_by(BLOCK).map(|first| first..(first + BLOCK).min(end));
            let blocks: Vec<KeyBlock> = parts()
                .map(|part| {
                    let keys = &keys[part.start * key_stride..part.end * key_stride];
                    let values = values[part.start * value_stride..part.end * value_stride].to_vec();
                    KeyBlock::new(keys, values, part.len(), self.heads)
                })
                .collect();
            let first = log_sums.len();
            log_sums.resize(first + self.heads * (end - start), 0.0);
            for part in parts() {
                let queries = &queries[part.start * key_stride..part.end * key_stride];
                let (rows, sums) = attend(queries, part.len(), &blocks, self.scale);
                out.extend_from_slice(&rows);
                for (head, sums) in sums.chunks_exact(part.len()).enumerate() {
                    log_sums[first + head * (end - start) + part.start - start..][..part.len()].copy_from_slice(sums);
                }
            }
        }
        let _ = self.log_sums.set(log_sums);
        Ok((CpuStorage::F32(out), l3.shape().clone()))
    }

    /// With P the weights and dP = dO V^T: dV = P^T dO, dS = P (dP - rowsum(dO O)), dQ = scale dS K, dK = scale dS^T Q. The
    /// weights are computed again, block by block.
    fn bwd(
        &self,
        queries: &Tensor,
        keys: &Tensor,
        values: &Tensor,
        result: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let Some(log_sums) = self.log_sums.get() else { candle_core::bail!("attention: no forward pass") };
        let flat = |tensor: &Tensor| tensor.flatten_all()?.to_vec1::<f32>();
        let (q, k, v) = (flat(queries)?, flat(keys)?, flat(values)?);
        let (o, d) = (flat(result)?, flat(gradient)?);
        let (key_stride, value_stride) = (queries.dim(1)?, values.dim(1)?);
        let (mut to_q, mut to_k, mut to_v) = (vec![0f32; q.len()], vec![0f32; k.len()], vec![0f32; v.len()]);
        let (mut weights, mut slopes) = (vec![0f32; BLOCK * BLOCK], vec![0f32; BLOCK * BLOCK]);
        let mut first = 0;
        for (start, end) in self.sequences() {
            for head in 0..self.heads {
                let of_keys = |rows| Columns::new(rows, key_stride, self.heads, head);
                let of_values = |rows| Columns::new(rows, value_stride, self.heads, head);
                let (q, k, v) = (of_keys(&q), of_keys(&k), of_values(&v));
                let (o, d) = (of_values(&o), of_values(&d));
                for i in (start..end).step_by(BLOCK) {
                    let rows = BLOCK.min(end - i);
                    let log_sums = &log_sums[first + head * (end - start) + i - start..][..rows];
                    // rowsum(dO O)
                    let shifts: Vec<f32> = (i..i + rows)
                        .map(|row| {
                            let part = |x: Columns<'_>| row * x.stride + x.first..row * x.stride + x.first + x.width;
                            d.rows[part(d)].iter().zip(&o.rows[part(o)]).map(|(d, o)| d * o).sum()
                        })
                        .collect();
                    for j in (start..end).step_by(BLOCK) {
                        let columns = BLOCK.min(end - j);
                        let (weights, slopes) = (&mut weights[..rows * columns], &mut slopes[..rows * columns]);
                        product(q.matrix(i, i + rows), k.matrix(j, j + columns).transposed(), weights, columns, false);
                        product(d.matrix(i, i + rows), v.matrix(j, j + columns).transposed(), slopes, columns, false);
                        differentiate(weights, slopes, columns, self.scale, log_sums, &shifts);
                        let weights = Matrix::new(weights, rows, columns, columns);
                        let slopes = Matrix::new(slopes, rows, columns, columns);
                        let key_place = |token: usize| token * key_stride + k.first;
                        let to_v = &mut to_v[j * value_stride + v.first..];
                        product(weights.transposed(), d.matrix(i, i + rows), to_v, value_stride, true);
                        product(slopes, k.matrix(j, j + columns), &mut to_q[key_place(i)..], key_stride, true);
                        product(
                            slopes.transposed(),
                            q.matrix(i, i + rows),
                            &mut to_k[key_place(j)..],
                            key_stride,
                            true,
                        );
                    }
                }
            }
            first += self.heads * (end - start);
        }
        let tensor = |rows, like: &Tensor| Tensor::from_vec(rows, like.shape(), &Device::Cpu).map(Some);
        Ok((tensor(to_q, queries)?, tensor(to_k, keys)?, tensor(to_v, values)?))
    }
}

/// Scores become weights, and the gradients of weights those of unscaled scores.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn differentiate(
    weights: &mut [f32],
    slopes: &mut [f32],
    columns: usize,
    scale: f32,
    log_sums: &[f32],
    shifts: &[f32],
) {
    for (((weights, slopes), &log_sum), &shift) in
        weights.chunks_exact_mut(columns).zip(slopes.chunks_exact_mut(columns)).zip(log_sums).zip(shifts)
    {
        for (weight, slope) in weights.iter_mut().zip(slopes) {
            *weight = exp(scale * *weight - log_sum);
            *slope = scale * *weight * (*slope - shift);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ops::testing::{close, numbers};
    use candle_core::{D, Var};

    fn variable(rows: usize, width: usize, seed: u64) -> Var {
        let drawn = numbers(rows * width, seed, 2.0).into_iter().map(|x| x as f32).collect();
        Var::from_vec(drawn, (rows, width), &Device::Cpu).unwrap()
    }

    fn values(tensor: &Tensor) -> Vec<f64> {
        tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap().into_iter().map(f64::from).collect()
    }

    /// The same with the whole matrix, out of candle's own operations.
    fn by_candle(q: &Tensor, k: &Tensor, v: &Tensor, offsets: &[usize], heads: usize, scale: f64) -> Result<Tensor> {
        let mut rows = Vec::new();
        for bounds in offsets.windows(2).filter(|bounds| bounds[0] < bounds[1]) {
            let part = |x: &Tensor| -> Result<Tensor> {
                let (length, width) = (bounds[1] - bounds[0], x.dim(1)? / heads);
                x.narrow(0, bounds[0], length)?.reshape((length, heads, width))?.transpose(0, 1)?.contiguous()
            };
            let scores = (part(q)?.matmul(&part(k)?.t()?.contiguous()?)? * scale)?;
            let scores = scores.broadcast_sub(&scores.max_keepdim(D::Minus1)?.detach())?.exp()?;
            let weights = scores.broadcast_div(&scores.sum_keepdim(D::Minus1)?)?;
            rows.push(weights.matmul(&part(v)?)?.transpose(0, 1)?.flatten_from(1)?);
        }
        Tensor::cat(&rows, 0)
    }

    #[test]
    fn results_and_gradients_are_those_of_the_whole_matrix() -> Result<()> {
        for (heads, key_width, value_width, offsets) in [
            (1, 1, 1, vec![0, 1]),
            (2, 5, 3, vec![0, 7, 7, 8]),
            (3, 8, 8, vec![0, 300]),
            (2, 24, 16, vec![0, 128, 130, 430]),
        ] {
            let tokens = offsets[offsets.len() - 1];
            let (q, k) = (variable(tokens, heads * key_width, 1), variable(tokens, heads * key_width, 2));
            let v = variable(tokens, heads * value_width, 3);
            let outer = variable(tokens, heads * value_width, 4).detach();
            let scale = (key_width as f64).powf(-0.5);
            let own = attention(&q, &k, &v, &Arc::new(offsets.clone()), heads, scale)?;
            let candle = by_candle(&q, &k, &v, &offsets, heads, scale)?;
            close(&values(&own), &values(&candle), 5e-6);
            let (own, candle) = ((own * &outer)?.sum_all()?.backward()?, (candle * &outer)?.sum_all()?.backward()?);
            for variable in [&q, &k, &v] {
                let of = |store: &candle_core::backprop::GradStore| values(store.get(variable).expect("a gradient"));
                // A single key leaves nothing to choose, so that its gradient is rounding.
                let scale = of(&candle).iter().fold(0f64, |largest, x| largest.max(x.abs()));
                if scale > 1e-5 {
                    close(&of(&own), &of(&candle), 2e-5);
                } else {
                    assert!(of(&own).iter().all(|x| x.abs() < 1e-5));
                }
            }
        }
        Ok(())
    }

    /// Large scores, equal ones and very different ones: nothing overflows.
    #[test]
    fn scores_of_any_size_are_weighed() -> Result<()> {
        let tokens = 200;
        let offsets = Arc::new(vec![0, tokens]);
        let v = variable(tokens, 4, 1);
        for size in [0.0, 1.0, 1e4] {
            let q = (variable(tokens, 4, 2).as_tensor() * size)?;
            let own = attention(&q, &q, &v, &offsets, 1, 1.0)?;
            close(&values(&own), &values(&by_candle(&q, &q, &v, &offsets, 1, 1.0)?), 1e-5);
        }
        Ok(())
    }

    /// A sequence gives the same bits whatever stands beside it.
    #[test]
    fn sequences_do_not_depend_on_each_other() -> Result<()> {
        let offsets = [0, 1, 150, 160, 417];
        let [q, k, v] = [1, 2, 3].map(|seed| variable(417, 12, seed));
        let whole = attention(&q, &k, &v, &Arc::new(offsets.to_vec()), 2, 0.4)?;
        for bounds in offsets.windows(2) {
            let length = bounds[1] - bounds[0];
            let part = |x: &Tensor| x.narrow(0, bounds[0], length);
            let alone = attention(&part(&q)?, &part(&k)?, &part(&v)?, &Arc::new(vec![0, length]), 2, 0.4)?;
            assert_eq!(alone.to_vec2::<f32>()?, part(&whole)?.to_vec2::<f32>()?);
        }
        Ok(())
    }
}
