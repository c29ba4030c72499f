//! The sums over bulges and interior loops of all sizes, for all pairs of a row at once.
//!
//! But for the smallest loops, a loop's factor is a product of what its two pairs contribute, of its number of unpaired
//! bases and of how many more one side has (Lyngsø, Zuker and Pedersen, Bioinformatics 15:440, 1999). A loop with a base
//! more on both sides has the same asymmetry, so that the sum over the loops of n bases that (i, j) closes follows from that
//! of n - 2 bases of (i + 1, j - 1) and the two loops with the least on one side: thirty steps instead of some five
//! hundred. All values lie by the span of their pairs and are computed along the row.

use super::super::energies::LONGEST_LOOP;
use super::problem::Problem;

/// Pairs that are computed together.
const BLOCK: usize = 8;

/// Rows of pairs that another may still read: a power of two, since rows follow each other round.
const ROWS: usize = LONGEST_LOOP + 2;

/// Zeros before the first span of a row, and after the last.
const MARGIN: usize = LONGEST_LOOP + 2 + BLOCK;

/// Kinds of loops: bulges, those of 1xn, and the others.
const KINDS: usize = 3;

/// The sums of a row, and what the rows before it leave.
pub struct LoopSums {
    stride: usize,
    /// What the pairs of the last [`ROWS`] rows contribute to each kind of loops.
    ends: [Vec<f64>; KINDS],
    /// The sums over the loops of n bases, at least two on either side, without what depends on n alone; of this row and
    /// of the one before.
    wide: Vec<f64>,
    wide_before: Vec<f64>,
    /// The sums of the row over each kind of loops.
    sums: [Vec<f64>; KINDS],
}

#[inline(always)]
fn block(values: &[f64], at: usize) -> &[f64; BLOCK] {
    match values[at..].first_chunk() {
        Some(block) => block,
        None => unreachable!("rows have margins"),
    }
}

/// sums += factor (one + other).
#[inline(always)]
fn add(sums: &mut [f64; BLOCK], factor: f64, one: &[f64; BLOCK], other: &[f64; BLOCK]) {
    for lane in 0..BLOCK {
        sums[lane] += factor * (one[lane] + other[lane]);
    }
}

impl LoopSums {
    /// For rows of `band` spans.
    pub fn new(band: usize) -> Self {
        let stride = band + 2 * MARGIN;
        Self {
            stride,
            ends: std::array::from_fn(|_| vec![0.0; ROWS * stride]),
            wide: vec![0.0; (LONGEST_LOOP + 1) * stride],
            wide_before: vec![0.0; (LONGEST_LOOP + 1) * stride],
            sums: std::array::from_fn(|_| vec![0.0; stride]),
        }
    }

    /// Begins row `i` of `spans` places. Rows come one after the other: from the last where pairs are the outer ones of the
    /// loops that are summed, from the first where they are the inner ones (`OUTWARD`).
    #[inline(always)]
    pub fn begin<const OUTWARD: bool>(&mut self, i: usize, spans: usize, problem: &Problem) {
        let Self { stride, ends, wide, wide_before, sums } = self;
        let stride = *stride;
        std::mem::swap(wide, wide_before);
        let row = |away: usize| {
            let row = if OUTWARD { i.wrapping_sub(away) } else { i + away };
            row % ROWS * stride + MARGIN
        };
        // Where the other pair of a loop of n bases lies in a row.
        let shift = |at: usize, n: usize| if OUTWARD { at + 2 + n } else { at - 2 - n };
        let [bulges, one_bys, wides] = ends;
        for first in (0..spans).step_by(BLOCK) {
            let (mut bulge, mut one_by, mut other) = ([0.0; BLOCK], [0.0; BLOCK], [0.0; BLOCK]);
            for n in 2..=LONGEST_LOOP {
                let part =
                    |values: &'_ [f64], away: usize| -> [f64; BLOCK] { *block(values, shift(row(away) + first, n)) };
                add(&mut bulge, problem.bulge[n], &part(bulges, 1), &part(bulges, n + 1));
                if n < 4 {
                    continue;
                }
                add(&mut one_by, problem.one_by[n], &part(one_bys, 2), &part(one_bys, n));
                let here = n * stride + MARGIN + first;
                let mut sums = *block(wide_before, shift(here - 2 * stride, 0));
                let asymmetry = problem.factors.asymmetry[n - 4];
                match n {
                    // Two bases on both sides.
                    4 => add(&mut sums, asymmetry, &part(wides, 3), &[0.0; BLOCK]),
                    _ => add(&mut sums, asymmetry, &part(wides, 3), &part(wides, n - 1)),
                }
                wide[here..here + BLOCK].copy_from_slice(&sums);
                if n > 5 {
                    add(&mut other, problem.interior[n], &sums, &[0.0; BLOCK]);
                }
            }
            for (five, three, factor) in problem.sides {
                add(&mut other, factor, block(wides, shift(row(five + 1) + first, five + three)), &[0.0; BLOCK]);
            }
            for (sums, values) in sums.iter_mut().zip([bulge, one_by, other]) {
                sums[first..first + BLOCK].copy_from_slice(&values);
            }
        }
        // What the next row reads beyond the last span.
        let end = MARGIN + spans.next_multiple_of(BLOCK);
        for n in 4..=LONGEST_LOOP {
            wide[n * stride + end..n * stride + end + BLOCK].fill(0.0);
        }
        let start = i % ROWS * stride;
        ends.iter_mut().for_each(|rows| rows[start..start + stride].fill(0.0));
    }

    /// The sum over the loops of a pair of the row, from what it contributes to each kind.
    #[inline(always)]
    pub fn sum(&self, span: usize, ends: [f64; KINDS]) -> f64 {
        let [bulge, one_by, wide] = &self.sums;
        bulge[span] * ends[0] + one_by[span] * ends[1] + wide[span] * ends[2]
    }

    /// Keeps a pair of row `i`, its value and what it contributes to each kind of loops, for the rows to come.
    #[inline(always)]
    pub fn keep(&mut self, i: usize, span: usize, value: f64, ends: [f64; KINDS]) {
        let place = i % ROWS * self.stride + MARGIN + span;
        for (rows, end) in self.ends.iter_mut().zip(ends) {
            rows[place] = value * end;
        }
    }
}
