//! The decayed bidirectional sum in linear time, on slices.
//!
//! For one head and one sequence of L tokens it computes, for every row n,
//!
//! ```text
//! sum_n  = sum over m of (q_n . k_m) gamma^|n-m| v_m        (value_width numbers)
//! row_n  = sum over m of (q_n . k_m) gamma^|n-m|            (one number)
//! ```
//!
//! The weight gamma^|n-m| is what a recurrence from the left and one from the right make together. The tokens are cut
//! into chunks. Inside a chunk the product is formed as a small matrix; what lies left and right of the chunk enters
//! through two [`State`]s of key_width x (value_width + 1) numbers, however long the sequence is.
//! The result is that of the L x L form up to rounding, at every length and for every chunk size.

use crate::model::ops::gemm::{Matrix, Real, product};

/// Tokens per chunk of a long sequence. Inside it the cost per token grows with its size; across, with 1 / its size.
pub const CHUNK: usize = 128;

/// Sequences up to this many tokens are one chunk: the quadratic form, which is the faster one here.
pub const QUADRATIC_UP_TO: usize = 256;

/// The chunk size for a sequence of `length` tokens.
pub fn chunk_size(length: usize) -> usize {
    if length <= QUADRATIC_UP_TO { length.max(1) } else { CHUNK }
}

/// The decay gamma_h = 1 - 2^-(5+h) of head h.
pub fn decay(head: usize) -> f64 {
    1.0 - 2f64.powi(-(5 + head as i32))
}

/// What the tokens on one side of a boundary add up to: sum of gamma^distance k v^T and of gamma^distance k, where the
/// token next to the boundary has distance 0.
#[derive(Clone, Debug)]
pub struct State<T> {
    /// key_width x value_width, row after row.
    pub outer: Vec<T>,
    /// key_width.
    pub keys: Vec<T>,
}

impl<T: Real> State<T> {
    /// No tokens on that side.
    pub fn zero(key_width: usize, value_width: usize) -> Self {
        Self { outer: vec![T::zero(); key_width * value_width], keys: vec![T::zero(); key_width] }
    }

    /// Moves the boundary by `tokens` tokens which themselves add up to `passed`: self = gamma^tokens self + passed.
    pub fn advance(&mut self, gamma: f64, tokens: usize, passed: &State<T>) {
        let factor = T::from_f64(gamma.powi(tokens as i32));
        for (own, new) in self.outer.iter_mut().zip(&passed.outer) {
            *own = *own * factor + *new;
        }
        for (own, new) in self.keys.iter_mut().zip(&passed.keys) {
            *own = *own * factor + *new;
        }
    }
}

/// One head's columns of a packed [tokens, heads x width] array.
#[derive(Clone, Copy)]
pub struct HeadRows<'a, T> {
    data: &'a [T],
    /// Distance between rows: heads x width.
    stride: usize,
    first_column: usize,
    width: usize,
}

impl<'a, T: Real> HeadRows<'a, T> {
    /// The columns of `head` in `data`, which holds `heads` heads of equal width side by side, `stride` in all.
    pub fn new(data: &'a [T], stride: usize, heads: usize, head: usize) -> Self {
        let width = stride / heads;
        Self { data, stride, first_column: head * width, width }
    }

    /// Columns of this head.
    pub fn width(&self) -> usize {
        self.width
    }

    fn rows(&self, start: usize, end: usize) -> Matrix<'a, T> {
        if start == end {
            return Matrix::new(&[], 0, self.width, self.stride);
        }
        Matrix::new(&self.data[start * self.stride + self.first_column..], end - start, self.width, self.stride)
    }

    /// The numbers of one row.
    pub fn row(&self, row: usize) -> &'a [T] {
        let start = row * self.stride + self.first_column;
        &self.data[start..start + self.width]
    }
}

/// Powers gamma^0 .. gamma^count, each from the one before: in f64 that is exact to 1e-13 over a thousand of them, and
/// far cheaper than a call each.
fn powers<T: Real>(gamma: f64, count: usize) -> Vec<T> {
    std::iter::successors(Some(1.0), |power| Some(power * gamma)).take(count + 1).map(T::from_f64).collect()
}

/// What the rows `start..end` add up to, seen from a boundary at their right end (`from_right_end`) or their left end.
pub fn summarise<T: Real>(
    keys: HeadRows<T>,
    values: HeadRows<T>,
    start: usize,
    end: usize,
    gamma: f64,
    from_right_end: bool,
) -> State<T> {
    let (key_width, value_width, rows) = (keys.width, values.width, end - start);
    let power = powers::<T>(gamma, rows);
    let mut weighted = vec![T::zero(); rows * key_width];
    let mut state = State::zero(key_width, value_width);
    for (i, target) in weighted.chunks_exact_mut(key_width).enumerate() {
        let factor = power[if from_right_end { rows - 1 - i } else { i }];
        for ((new, sum), &key) in target.iter_mut().zip(state.keys.iter_mut()).zip(keys.row(start + i)) {
            *new = key * factor;
            *sum += *new;
        }
    }
    let weighted = Matrix::new(&weighted, rows, key_width, key_width).transposed();
    product(weighted, values.rows(start, end), &mut state.outer, value_width, false);
    state
}

/// Queries, keys and values of one head for a run of tokens, with what lies outside the run.
pub struct Segment<'a, T> {
    /// Queries (or what stands in their place in a gradient).
    pub queries: HeadRows<'a, T>,
    /// Keys, as wide as the queries.
    pub keys: HeadRows<'a, T>,
    /// Values.
    pub values: HeadRows<'a, T>,
    /// First row of the run in the arrays.
    pub start: usize,
    /// One past its last row.
    pub end: usize,
    /// The sum over the tokens left of the run, if there are any.
    pub left: Option<&'a State<T>>,
    /// The sum over the tokens right of the run, if there are any.
    pub right: Option<&'a State<T>>,
}

/// Writes the unnormalised sums of every row of `segment` to `out`, whose rows are `out_stride` apart and whose first
/// row is the segment's first, and the row sums to `row_sums` (one per token).
pub fn retain<T: Real>(
    segment: &Segment<T>,
    gamma: f64,
    chunk: usize,
    out: &mut [T],
    out_stride: usize,
    row_sums: &mut [T],
) {
    let Segment { queries, keys, values, start, end, .. } = *segment;
    let (key_width, value_width) = (queries.width, values.width);
    let chunk = chunk.max(1);
    let bounds: Vec<usize> = (start..end).step_by(chunk).chain([end]).collect();
    let chunks = bounds.len() - 1;

    // Right to left: for every chunk, what lies right of it.
    let mut from_right: Vec<Option<State<T>>> = vec![None; chunks];
    if chunks > 0 {
        from_right[chunks - 1] = segment.right.cloned();
        for c in (1..chunks).rev() {
            let passed = summarise(keys, values, bounds[c], bounds[c + 1], gamma, false);
            from_right[c - 1] = Some(advanced(from_right[c].as_ref(), gamma, bounds[c + 1] - bounds[c], passed));
        }
    }

    // gamma^|d| for d = -(chunk-1) .. chunk-1: row i of a chunk multiplies by the slice that starts at chunk-1-i.
    let longest = chunk.min(end - start);
    let power = powers::<T>(gamma, longest);
    let two_sided: Vec<T> = power[1..longest.max(1)].iter().rev().chain(&power[..longest.max(1)]).copied().collect();
    let mut weights = vec![T::zero(); longest * longest];
    let mut scaled = vec![T::zero(); longest * key_width];

    // Left to right: the chunk itself, then both sides.
    let mut from_left: Option<State<T>> = segment.left.cloned();
    for c in 0..chunks {
        let (first, last) = (bounds[c], bounds[c + 1]);
        let rows = last - first;
        let target = &mut out[(first - start) * out_stride..];
        let sums = &mut row_sums[first - start..last - start];
        let weights = &mut weights[..rows * rows];
        product(queries.rows(first, last), keys.rows(first, last).transposed(), weights, rows, false);
        for (i, (row, sum)) in weights.chunks_exact_mut(rows).zip(sums.iter_mut()).enumerate() {
            *sum = decay_row(row, &two_sided[longest - 1 - i..]);
        }
        product(Matrix::new(weights, rows, rows, rows), values.rows(first, last), target, out_stride, false);

        for (state, is_left) in [(from_left.as_ref(), true), (from_right[c].as_ref(), false)] {
            let Some(state) = state else { continue };
            let scaled = &mut scaled[..rows * key_width];
            for (i, (scaled, sum)) in scaled.chunks_exact_mut(key_width).zip(sums.iter_mut()).enumerate() {
                // The token next to the boundary has distance 0 in the state and 1 from the row beside it.
                let factor = power[if is_left { i + 1 } else { rows - i }];
                let mut row_sum = T::zero();
                for ((new, &query), &key) in scaled.iter_mut().zip(queries.row(first + i)).zip(&state.keys) {
                    *new = query * factor;
                    row_sum += *new * key;
                }
                *sum += row_sum;
            }
            product(
                Matrix::new(scaled, rows, key_width, key_width),
                Matrix::new(&state.outer, key_width, value_width, value_width),
                target,
                out_stride,
                true,
            );
        }
        if c + 1 < chunks {
            let passed = summarise(keys, values, first, last, gamma, true);
            from_left = Some(advanced(from_left.as_ref(), gamma, rows, passed));
        }
    }
}

/// The state beyond `tokens` tokens that add up to `passed`.
fn advanced<T: Real>(before: Option<&State<T>>, gamma: f64, tokens: usize, passed: State<T>) -> State<T> {
    match before {
        None => passed,
        Some(before) => {
            let mut state = before.clone();
            state.advance(gamma, tokens, &passed);
            state
        }
    }
}

/// Multiplies a row of products by its decays and returns the sum.
#[inline]
fn decay_row<T: Real>(row: &mut [T], decays: &[T]) -> T {
    // Eight running sums let the compiler use vector registers; their order is fixed, so the sum is too.
    let mut sums = [T::zero(); 8];
    let length = row.len();
    let decays = &decays[..length];
    let (blocks, rest) = row.as_chunks_mut::<8>();
    let (decay_blocks, decay_rest) = decays.as_chunks::<8>();
    for (values, decays) in blocks.iter_mut().zip(decay_blocks) {
        for lane in 0..8 {
            values[lane] *= decays[lane];
            sums[lane] += values[lane];
        }
    }
    let mut total = sums.iter().copied().sum::<T>();
    for (value, &decay) in rest.iter_mut().zip(decay_rest) {
        *value *= decay;
        total += *value;
    }
    total
}

/// Z_n = sum over m of gamma^|n-m| for row `n` of a sequence of `length` tokens, in closed form.
pub fn decay_total(gamma: f64, n: usize, length: usize) -> f64 {
    let side = |tokens: usize| (1.0 - gamma.powi(tokens as i32)) / (1.0 - gamma);
    side(n + 1) + side(length - n) - 1.0
}

/// sqrt(Z_n) of the rows `start..start + count` of a sequence of `length` tokens, without a power for each.
pub fn decay_roots(gamma: f64, start: usize, count: usize, length: usize) -> Vec<f64> {
    let left = std::iter::successors(Some(gamma.powi(start as i32 + 1)), |power| Some(power * gamma));
    // From the far end, since towards it the powers may vanish.
    let last = length - start - count + 1;
    let right = std::iter::successors(Some(gamma.powi(last as i32)), |power| Some(power * gamma));
    let mut roots: Vec<f64> = right.take(count).collect();
    roots.reverse();
    for (root, left) in roots.iter_mut().zip(left) {
        *root = ((1.0 - left + 1.0 - *root) / (1.0 - gamma) - 1.0).sqrt();
    }
    roots
}

/// The number by which the sums of row `n` are divided: max(sqrt(Z_n), |row sum|), which is sqrt(Z_n) times the
/// published max(1, |normalised row sum|).
pub fn denominator<T: Real>(gamma: f64, n: usize, length: usize, row_sum: T) -> T {
    num_traits::Float::max(T::from_f64(decay_total(gamma, n, length).sqrt()), row_sum.abs())
}
