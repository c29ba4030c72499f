//! One number per pair of bases, stored as the strict lower triangle.

use crate::{Result, memory};

/// A value for each pair {i < j} of a sequence: row j holds the values of the pairs (0, j) .. (j-1, j).
#[derive(Clone, Debug, PartialEq)]
pub struct PairMap {
    length: usize,
    values: Vec<f32>,
}

/// Number of pairs {i < j} with j below `row`.
pub fn pairs_above(row: usize) -> usize {
    row * row.saturating_sub(1) / 2
}

impl PairMap {
    /// A map of zeros for a sequence of `length` bases: length (length - 1) / 2 values.
    pub fn new(length: usize) -> Self {
        Self { length, values: vec![0.0; pairs_above(length)] }
    }

    /// As [`PairMap::new`], for sequences of any length.
    ///
    /// # Errors
    /// [`crate::Error::OutOfMemory`] where the values do not fit in memory.
    pub fn zeros(length: usize) -> Result<Self> {
        Ok(Self { length, values: memory::zeros(pairs_above(length))? })
    }

    /// Number of bases.
    pub fn length(&self) -> usize {
        self.length
    }

    /// The values of the pairs (0, j) .. (j-1, j).
    pub fn row(&self, j: usize) -> &[f32] {
        let start = pairs_above(j);
        &self.values[start..start + j]
    }

    /// The values of the pairs (0, j) .. (j-1, j), to be written.
    pub fn row_mut(&mut self, j: usize) -> &mut [f32] {
        let start = pairs_above(j);
        &mut self.values[start..start + j]
    }

    /// The value of the pair {i, j}, in either order; 0 for i = j.
    pub fn get(&self, i: usize, j: usize) -> f32 {
        match i.cmp(&j) {
            std::cmp::Ordering::Less => self.row(j)[i],
            std::cmp::Ordering::Equal => 0.0,
            std::cmp::Ordering::Greater => self.row(i)[j],
        }
    }

    /// All values, row after row.
    pub fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }
}
