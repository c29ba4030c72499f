//! How much memory the partition function takes.

use super::partition_function::LONGEST_SPAN;
use crate::structure::pairs_above;

/// Arrays of a number of 64 bits for each base and span that are held at once: four of inside sums, one of derivatives.
const ARRAYS: u64 = 5;

/// Numbers of 64 bits for each base, and rows of them for as many spans, that are held besides.
const ROWS: u64 = 128;

/// About how many bytes [`super::pair_probabilities`] takes at most for a sequence of `length` bases, with the map that it
/// returns.
pub fn memory(length: usize) -> u64 {
    let band = length.min(LONGEST_SPAN) as u64;
    4 * pairs_above(length) as u64 + 8 * ARRAYS * length as u64 * band + 8 * ROWS * (length as u64).max(band)
}
