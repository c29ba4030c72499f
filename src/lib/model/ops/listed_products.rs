//! Products of listed rows with a matrix, added to other listed rows; and the sum of their outer products.
//!
//! This is all that a convolution over scattered positions needs: for each tap one list of who has whom as a neighbour.
//! A few rows at a time are held in registers while their products are added up, so that neither patches nor results are
//! copied. What is added to a row, and in what order, follows from the lists alone.

use pulp::{Simd, WithSimd};

/// Rows whose sums are held in registers at a time, in two vectors each.
const ROWS: usize = 8;

/// Numbers of a row that are worked on in one go.
const STEP: usize = 8;

/// For each (to, from) of the list: row `to` of `out` [.., out_width] += row `from` of `input` [.., width] times
/// `weight` [width, out_width].
pub fn add_products(
    list: &[(u32, u32)],
    input: &[f32],
    weight: &[f32],
    (width, out_width): (usize, usize),
    out: &mut [f32],
) {
    pulp::Arch::new().dispatch(Products { list, input, weight, width, out_width, out });
}

/// For each (to, from) of the list: `sums` [width, out_width] += the outer product of row `from` of `input` [.., width]
/// and row `to` of `slopes` [.., out_width].
pub fn add_outer_products(
    list: &[(u32, u32)],
    input: &[f32],
    slopes: &[f32],
    (width, out_width): (usize, usize),
    sums: &mut [f32],
) {
    pulp::Arch::new().dispatch(OuterProducts { list, input, slopes, width, out_width, sums });
}

struct Products<'a> {
    list: &'a [(u32, u32)],
    input: &'a [f32],
    weight: &'a [f32],
    width: usize,
    out_width: usize,
    out: &'a mut [f32],
}

impl WithSimd for Products<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let columns = 2 * S::F32_LANES;
        let whole = self.out_width / columns * columns;
        for column in (0..whole).step_by(columns) {
            let (many, rest) = self.list.as_chunks::<ROWS>();
            let (some, rest) = rest.as_chunks::<{ ROWS / 2 }>();
            many.iter().for_each(|rows| self.add(simd, rows, column));
            some.iter().for_each(|rows| self.add(simd, rows, column));
            rest.iter().for_each(|row| self.add(simd, &[*row], column));
        }
        for &(to, from) in self.list {
            let row = &self.input[from as usize * self.width..][..self.width];
            for column in whole..self.out_width {
                let sum = &mut self.out[to as usize * self.out_width + column];
                for (c, x) in row.iter().enumerate() {
                    *sum += x * self.weight[c * self.out_width + column];
                }
            }
        }
    }
}

/// Two vectors of a row.
#[inline(always)]
fn load<S: Simd>(numbers: &[f32]) -> [S::f32s; 2] {
    let vectors = S::as_simd_f32s(&numbers[..2 * S::F32_LANES]).0;
    [vectors[0], vectors[1]]
}

#[inline(always)]
fn store<S: Simd>(numbers: &mut [f32], vectors: [S::f32s; 2]) {
    let target = S::as_mut_simd_f32s(&mut numbers[..2 * S::F32_LANES]).0;
    target[0] = vectors[0];
    target[1] = vectors[1];
}

impl Products<'_> {
    /// The columns from `column` on, as many as two vectors hold, of some rows of the list.
    #[inline(always)]
    fn add<S: Simd, const N: usize>(&mut self, simd: S, rows: &[(u32, u32); N], column: usize) {
        let place = |to: u32| to as usize * self.out_width + column;
        let mut sums = rows.map(|(to, _)| load::<S>(&self.out[place(to)..]));
        let sources = rows.map(|(_, from)| self.input[from as usize * self.width..][..self.width].as_chunks::<STEP>());
        let steps = self.width / STEP;
        for step in 0..steps {
            let numbers: [&[f32; STEP]; N] = std::array::from_fn(|row| &sources[row].0[step]);
            let weights = &self.weight[step * STEP * self.out_width..];
            for c in 0..STEP {
                let weight = load::<S>(&weights[c * self.out_width + column..]);
                for row in 0..N {
                    let x = simd.splat_f32s(numbers[row][c]);
                    sums[row][0] = simd.mul_add_e_f32s(x, weight[0], sums[row][0]);
                    sums[row][1] = simd.mul_add_e_f32s(x, weight[1], sums[row][1]);
                }
            }
        }
        for c in 0..self.width % STEP {
            let weight = load::<S>(&self.weight[(steps * STEP + c) * self.out_width + column..]);
            for row in 0..N {
                let x = simd.splat_f32s(sources[row].1[c]);
                sums[row][0] = simd.mul_add_e_f32s(x, weight[0], sums[row][0]);
                sums[row][1] = simd.mul_add_e_f32s(x, weight[1], sums[row][1]);
            }
        }
        for ((to, _), sum) in rows.iter().zip(sums) {
            let place = *to as usize * self.out_width + column;
            store::<S>(&mut self.out[place..], sum);
        }
    }
}

struct OuterProducts<'a> {
    list: &'a [(u32, u32)],
    input: &'a [f32],
    slopes: &'a [f32],
    width: usize,
    out_width: usize,
    sums: &'a mut [f32],
}

impl WithSimd for OuterProducts<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let columns = 2 * S::F32_LANES;
        let (whole, whole_rows) = (self.out_width / columns * columns, self.width / STEP * STEP);
        for row in (0..whole_rows).step_by(STEP) {
            for column in (0..whole).step_by(columns) {
                self.add(simd, row, column);
            }
        }
        for &(to, from) in self.list {
            let slopes = &self.slopes[to as usize * self.out_width..][..self.out_width];
            for row in 0..self.width {
                let x = self.input[from as usize * self.width + row];
                let first = if row < whole_rows { whole } else { 0 };
                let sums = &mut self.sums[row * self.out_width..][..self.out_width];
                for (sum, slope) in sums[first..].iter_mut().zip(&slopes[first..]) {
                    *sum += x * slope;
                }
            }
        }
    }
}

impl OuterProducts<'_> {
    /// [`STEP`] rows and two vectors of columns of the sums.
    #[inline(always)]
    fn add<S: Simd>(&mut self, simd: S, first: usize, column: usize) {
        let place = |row: usize| (first + row) * self.out_width + column;
        let mut sums: [[S::f32s; 2]; STEP] = std::array::from_fn(|row| load::<S>(&self.sums[place(row)..]));
        for &(to, from) in self.list {
            let slopes = load::<S>(&self.slopes[to as usize * self.out_width + column..]);
            let numbers = &self.input[from as usize * self.width + first..][..STEP];
            for row in 0..STEP {
                let x = simd.splat_f32s(numbers[row]);
                sums[row][0] = simd.mul_add_e_f32s(x, slopes[0], sums[row][0]);
                sums[row][1] = simd.mul_add_e_f32s(x, slopes[1], sums[row][1]);
            }
        }
        for (row, sum) in sums.into_iter().enumerate() {
            let place = (first + row) * self.out_width + column;
            store::<S>(&mut self.sums[place..], sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ops::testing::numbers;

    #[test]
    fn products_are_those_of_plain_sums() {
        for (width, out_width) in [(32, 32), (64, 96), (5, 7), (33, 40), (1, 1)] {
            let rows = 50;
            let list: Vec<(u32, u32)> = (0..45).map(|n| (n * 7 % 50, n * 11 % 50)).collect();
            let draw = |count, seed| numbers(count, seed, 1.0).iter().map(|x| *x as f32).collect::<Vec<f32>>();
            let (input, weight) = (draw(rows * width, 1), draw(width * out_width, 2));
            let start = draw(rows * out_width, 3);
            let mut out = start.clone();
            add_products(&list, &input, &weight, (width, out_width), &mut out);
            let mut sums = draw(width * out_width, 4);
            let mut expected_sums: Vec<f64> = sums.iter().map(|x| f64::from(*x)).collect();
            add_outer_products(&list, &input, &start, (width, out_width), &mut sums);
            let mut expected: Vec<f64> = start.iter().map(|x| f64::from(*x)).collect();
            for (to, from) in list.iter().map(|(to, from)| (*to as usize, *from as usize)) {
                for c in 0..width {
                    for o in 0..out_width {
                        let x = f64::from(input[from * width + c]);
                        expected[to * out_width + o] += x * f64::from(weight[c * out_width + o]);
                        expected_sums[c * out_width + o] += x * f64::from(start[to * out_width + o]);
                    }
                }
            }
            let close = |ours: &[f32], expected: &[f64]| {
                ours.iter().zip(expected).for_each(|(a, b)| assert!((f64::from(*a) - b).abs() < 1e-4));
            };
            close(&out, &expected);
            close(&sums, &expected_sums);
        }
    }
}
