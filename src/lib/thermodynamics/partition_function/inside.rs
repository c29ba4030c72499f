//! Sums over the structures within every interval, from short ones to long ones.

use multiversion::multiversion;

use super::super::energies::SHORTEST_HAIRPIN;
use super::loop_sums::LoopSums;
use super::problem::Problem;
use super::{LARGEST, SMALL_LOOPS};
use crate::{Result, memory};

/// Zeros before the first span of a row.
pub const MARGIN: usize = LANES;

/// Numbers that are multiplied at once: enough to fill the registers.
const LANES: usize = 16;

/// Span of the shortest pair.
const SHORTEST: usize = SHORTEST_HAIRPIN + 1;

/// Numbers from the start of one row to that of the next, for `band` spans. An odd number of cache lines: rows at a power of
/// two would share few of the places in the cache.
pub fn stride(band: usize) -> usize {
    const LINE: usize = 8;
    (band + MARGIN).div_ceil(LINE) / 2 * 2 * LINE + LINE
}

/// Sums over the structures within i..=j, each divided by the scale of its bases: at row i and span j - i ([`Inside::row`]),
/// or at column j and the span from the longest to the shortest ([`Inside::column`]).
pub struct Inside {
    stride: usize,
    band: usize,
    /// (i, j) paired (rows).
    pub paired: Vec<f64>,
    /// At least one helix of a multiloop (rows).
    pub multiloop: Vec<f64>,
    /// One helix of a multiloop, from i on (columns).
    pub one_helix: Vec<f64>,
}

impl Inside {
    /// Where (i, i + span) lies in a row.
    #[inline(always)]
    pub fn row(&self, i: usize, span: usize) -> usize {
        i * self.stride + MARGIN + span
    }

    /// Where (j - span, j) lies in a column.
    #[inline(always)]
    pub fn column(&self, j: usize, span: usize) -> usize {
        j * self.stride + MARGIN + self.band - 1 - span
    }
}

#[inline(always)]
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0f64; LANES];
    for (x, y) in a.chunks_exact(LANES).zip(b.chunks_exact(LANES)) {
        for lane in 0..LANES {
            sums[lane] += x[lane] * y[lane];
        }
    }
    sums.iter().sum::<f64>()
}

/// The sums, or nothing where one grows too large for the scale.
///
/// # Errors
/// [`crate::Error::OutOfMemory`] where they do not fit.
pub fn inside(problem: &Problem) -> Result<Option<Inside>> {
    let stride = stride(problem.band);
    let zeros = || memory::zeros(problem.length() * stride);
    let mut sums = Inside { stride, band: problem.band, paired: zeros()?, multiloop: zeros()?, one_helix: zeros()? };
    Ok(fill(problem, &mut sums).then_some(sums))
}

/// False where a sum grows too large.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn fill(problem: &Problem, sums: &mut Inside) -> bool {
    let length = problem.length();
    let unpaired = problem.unpaired;
    let mut loops = LoopSums::new(problem.band);
    let mut partners = Vec::new();
    // The sums over one helix of a multiloop that begins with a pair of this row, by its span.
    let mut helices = vec![0f64; problem.band];
    // Sums over at least two helices of a multiloop, for this row and the one after it.
    let (mut two_helices, mut two_helices_after) = (vec![0f64; length], vec![0f64; length]);
    // Sums over one helix with unpaired bases on both sides, of the row after this one.
    let mut any_place = vec![0f64; length];
    for i in (0..length).rev() {
        std::mem::swap(&mut two_helices, &mut two_helices_after);
        let spans = problem.spans(i);
        loops.begin::<false>(i, spans, problem);
        helices[..spans].fill(0.0);
        problem.partners(i, &mut partners);
        for &(j, kind) in &partners {
            let span = j - i;
            let mut paired = problem.hairpin(kind, i, j);
            paired += small_loops(problem, sums, kind, i, j);
            paired += loops.sum(span, problem.outer_ends(kind, i, j));
            paired += two_helices_after[j - 1] * problem.multiloop_closing(kind, i, j);
            paired *= problem.pair(i, j);
            if paired > LARGEST {
                return false;
            }
            let place = sums.row(i, span);
            sums.paired[place] = paired;
            loops.keep(i, span, paired, problem.inner_ends(kind, i, j));
            helices[span] = paired * problem.multiloop_helix(kind, i, j);
        }
        let mut one_helix = 0.0;
        for (span, helix) in helices[..spans].iter().enumerate() {
            let j = i + span;
            one_helix = one_helix * unpaired + helix;
            let column = sums.column(j, span);
            sums.one_helix[column] = one_helix;
            any_place[j] = any_place[j] * unpaired + one_helix;
            // The last helix starts at u: at least one before it within i..u, one within u..=j.
            let two = match span.checked_sub(2 * SHORTEST) {
                Some(count @ 1..) => {
                    // There are zeros below the shortest spans, so that the number of terms may be rounded up.
                    let terms = count.next_multiple_of(LANES);
                    let before = sums.row(i, SHORTEST) + count - terms;
                    let last = sums.column(j, span - SHORTEST - 1) + count - terms;
                    dot(&sums.multiloop[before..before + terms], &sums.one_helix[last..last + terms])
                }
                _ => 0.0,
            };
            two_helices[j] = two;
            let multiloop = two + any_place[j];
            if multiloop > LARGEST {
                return false;
            }
            let place = sums.row(i, span);
            sums.multiloop[place] = multiloop;
        }
    }
    true
}

/// Sum over the loops that (i, j) closes and that are looked up one by one.
#[inline(always)]
fn small_loops(problem: &Problem, sums: &Inside, kind: usize, i: usize, j: usize) -> f64 {
    let mut sum = 0.0;
    for (five, three) in SMALL_LOOPS {
        let (k, l) = (i + 1 + five, j - 1 - three);
        // Below the shortest spans there are zeros.
        let paired = sums.paired[sums.row(k, 0) + l - k];
        if paired > 0.0 {
            sum += paired * problem.interior((kind, i, j), (problem.kind(k, l), k, l));
        }
    }
    sum
}
