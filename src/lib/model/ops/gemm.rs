//! Matrix products on slices, with strides: one thread, and a row's result never depends on how many rows there are.
//!
//! candle's own `matmul` chooses its thread count on every call and splits the inner dimension by a rule that looks at
//! the number of rows. Here the inner dimension is cut at fixed places and single rows take the same road as many, so
//! that a sequence gives the same bytes whatever it is batched with; the parallelism is above, over blocks of tokens.

use candle_core::WithDType;

/// The floating-point types that the kernels take: `f32` for work, `f64` for checks of the gradients.
pub trait Real: WithDType + num_traits::Float + std::iter::Sum {}
impl Real for f32 {}
impl Real for f64 {}

/// A read-only matrix inside a slice: element (row, column) is at `row * row_stride + column * column_stride`.
#[derive(Clone, Copy)]
pub struct Matrix<'a, T> {
    data: &'a [T],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a, T> Matrix<'a, T> {
    /// A matrix whose rows are `row_stride` apart and may overlap.
    ///
    /// # Panics
    /// Where the last element would lie outside `data`.
    pub fn new(data: &'a [T], rows: usize, columns: usize, row_stride: usize) -> Self {
        let matrix = Self { data, rows, columns, row_stride, column_stride: 1 };
        assert!(matrix.fits(), "matrix of {rows} x {columns} does not fit its slice");
        matrix
    }

    /// The same elements with rows and columns exchanged.
    pub fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    /// Whether the last element lies in the slice.
    fn fits(&self) -> bool {
        let Self { data, rows, columns, row_stride, column_stride } = *self;
        rows == 0
            || columns == 0
            || last(rows, row_stride, columns, column_stride).is_some_and(|last| last < data.len())
    }
}

/// Where the last element of a matrix lies that has any; `None` where that is no number.
fn last(rows: usize, row_stride: usize, columns: usize, column_stride: usize) -> Option<usize> {
    (rows - 1).checked_mul(row_stride)?.checked_add((columns - 1).checked_mul(column_stride)?)
}

/// Longest inner dimension given to one product: what the library never splits by itself.
const INNER: usize = 512;

/// Results of up to this many numbers are computed by other kernels of the library, as are single rows and columns.
const SMALL: usize = 16 * 16;

/// `out = left * right`, or `out += left * right` where `accumulate`; rows of `out` are `out_stride` apart.
///
/// # Panics
/// Where the shapes do not fit each other or `out`.
pub fn product<T: Real>(left: Matrix<T>, right: Matrix<T>, out: &mut [T], out_stride: usize, accumulate: bool) {
    let (rows, inner, columns) = (left.rows, left.columns, right.columns);
    assert_eq!(inner, right.rows, "inner dimensions of a product");
    if rows == 0 || columns == 0 {
        return;
    }
    let fits = last(rows, out_stride, columns, 1).is_some_and(|last| last < out.len());
    assert!(fits, "product does not fit its output");
    if inner == 0 {
        if !accumulate {
            for row in 0..rows {
                out[row * out_stride..row * out_stride + columns].fill(T::zero());
            }
        }
        return;
    }
    if rows == 1 || columns == 1 || rows * columns <= SMALL {
        return small_product(left, right, out, out_stride, accumulate);
    }
    let mut start = 0;
    while start < inner {
        let length = INNER.min(inner - start);
        // SAFETY: `Matrix::new` proved that the last element of either operand lies in its slice, and `start + length
        // <= inner`; the assertion above proves the same of `out`, which no operand aliases since it is borrowed
        // mutably. Strides are in elements, as the library wants them.
        unsafe {
            gemm::gemm(
                rows,
                columns,
                length,
                out.as_mut_ptr(),
                1,
                out_stride as isize,
                accumulate || start > 0,
                left.data.as_ptr().add(start * left.column_stride),
                left.column_stride as isize,
                left.row_stride as isize,
                right.data.as_ptr().add(start * right.row_stride),
                right.column_stride as isize,
                right.row_stride as isize,
                T::one(),
                T::one(),
                false,
                false,
                false,
                gemm::Parallelism::None,
            );
        }
        start += length;
    }
}

/// A product that the library would compute by another kernel, with another order of additions: made larger by rows of
/// zeros, and by a second column like the first, until the general kernel computes it.
fn small_product<T: Real>(left: Matrix<T>, right: Matrix<T>, out: &mut [T], out_stride: usize, accumulate: bool) {
    let (rows, inner, columns) = (left.rows, left.columns, right.columns);
    let right = match columns {
        1 => Matrix { columns: 2, column_stride: 0, ..right },
        _ => right,
    };
    let padded_rows = rows.max(SMALL / right.columns + 1).max(2);
    let mut padded = vec![T::zero(); padded_rows * inner];
    for row in 0..rows {
        for column in 0..inner {
            padded[row * inner + column] = left.data[row * left.row_stride + column * left.column_stride];
        }
    }
    let mut wide = vec![T::zero(); padded_rows * right.columns];
    product(Matrix::new(&padded, padded_rows, inner, inner), right, &mut wide, right.columns, false);
    for row in 0..rows {
        for column in 0..columns {
            let value = wide[row * right.columns + column];
            let target = &mut out[row * out_stride + column];
            *target = if accumulate { *target + value } else { value };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize, seed: u32) -> Vec<f32> {
        let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(12345);
        (0..count)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 8) as f32 / (1 << 23) as f32 - 1.0
            })
            .collect()
    }

    /// A row's product is the same, bit for bit, alone and among any number of others.
    #[test]
    fn rows_do_not_depend_on_their_neighbours() {
        for (inner, columns) in [(8, 12), (33, 17), (384, 384), (512, 384), (640, 128), (1100, 96), (384, 1), (2, 5)] {
            let rows = 150;
            let (left, right) = (numbers(rows * inner, 1), numbers(inner * columns, 2));
            // Weights are stored [out, in]: the right-hand side is a transposed view.
            let weights = Matrix::new(&right, columns, inner, inner).transposed();
            let mut whole = vec![0.0; rows * columns];
            product(Matrix::new(&left, rows, inner, inner), weights, &mut whole, columns, false);
            for (start, count) in [(0, 1), (7, 1), (3, 2), (10, 16), (20, 63), (1, 65), (49, 101), (149, 1)] {
                let mut part = vec![0.0; count * columns];
                let some = &left[start * inner..(start + count) * inner];
                product(Matrix::new(some, count, inner, inner), weights, &mut part, columns, false);
                let expected = &whole[start * columns..(start + count) * columns];
                assert_eq!(part, expected, "{count} rows from {start} of {inner} x {columns}");
            }
        }
    }

    #[test]
    fn agrees_with_plain_sums() {
        for (rows, inner, columns) in [(1, 1, 1), (3, 5, 1), (1, 7, 4), (5, 1030, 6), (4, 0, 3)] {
            let (left, right) = (numbers(rows * inner, 3), numbers(inner * columns, 4));
            let mut out = vec![1.0f32; rows * columns];
            product(
                Matrix::new(&left, rows, inner, inner),
                Matrix::new(&right, inner, columns, columns),
                &mut out,
                columns,
                true,
            );
            for row in 0..rows {
                for column in 0..columns {
                    let sum: f64 =
                        (0..inner).map(|i| left[row * inner + i] as f64 * right[i * columns + column] as f64).sum();
                    assert!((out[row * columns + column] as f64 - sum - 1.0).abs() < 1e-4);
                }
            }
        }
    }
}
