//! How much memory the partition function takes.

use super::partition_function::stride;

/// Arrays of a number of 64 bits for each base and span that are held at once: four of inside sums, one of derivatives.
const ARRAYS: u64 = 5;

/// Numbers of 64 bits for each base, and rows of them for as many spans, that are held besides.
const ROWS: u64 = 192;

/// About how many bytes the sums over all structures of a sequence of `length` bases take at most, with pairs of at most `span`
/// bases from the first to the last.
pub fn memory(length: usize, span: usize) -> u64 {
    let row = stride(length.min(span)) as u64;
    8 * ARRAYS * length as u64 * row + 8 * ROWS * (length as u64).max(row)
}
