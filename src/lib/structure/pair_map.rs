//! One number per pair of bases, stored as the strict lower triangle or a band of it.

use crate::{Result, memory};

/// A value for each pair {i < j} of a sequence, or for those that span no more than so many bases: row j holds the values of
/// the pairs ([`first(j)`](PairMap::first), j) .. (j-1, j).
#[derive(Clone, Debug, PartialEq)]
pub struct PairMap {
    length: usize,
    /// Most values of a row.
    reach: usize,
    values: Vec<f32>,
}

/// Number of pairs {i < j} with j below `row`.
pub fn pairs_above(row: usize) -> usize {
    row * row.saturating_sub(1) / 2
}

impl PairMap {
    /// A map of zeros for a sequence of `length` bases: length (length - 1) / 2 values.
    pub fn new(length: usize) -> Self {
        Self { length, reach: length, values: vec![0.0; pairs_above(length)] }
    }

    /// A map of zeros for sequences of any length, with the pairs of at most `span` bases from the first to the last, both
    /// counted; the value of the others is 0.
    ///
    /// # Errors
    /// [`crate::Error::OutOfMemory`] where the values do not fit in memory.
    pub fn zeros(length: usize, span: usize) -> Result<Self> {
        let reach = length.min(span.saturating_sub(1));
        Ok(Self { length, reach, values: memory::zeros(Self::count(length, span))? })
    }

    /// Values of a map for a sequence of `length` bases with pairs of at most `span` bases.
    pub fn count(length: usize, span: usize) -> usize {
        let reach = length.min(span.saturating_sub(1));
        pairs_above(length.min(reach + 1)) + length.saturating_sub(reach + 1) * reach
    }

    /// Most bases from the first to the last of a pair that the map has a value for.
    pub fn span(&self) -> usize {
        self.reach + 1
    }

    /// The first base of the pairs of row `j`.
    pub fn first(&self, j: usize) -> usize {
        j.saturating_sub(self.reach)
    }

    /// Where row `j` is.
    fn place(&self, j: usize) -> std::ops::Range<usize> {
        let start = Self::count(j, self.reach + 1);
        start..start + j.min(self.reach)
    }

    /// Number of bases.
    pub fn length(&self) -> usize {
        self.length
    }

    /// The values of the pairs (first(j), j) .. (j-1, j).
    pub fn row(&self, j: usize) -> &[f32] {
        &self.values[self.place(j)]
    }

    /// The values of the pairs (first(j), j) .. (j-1, j), to be written.
    pub fn row_mut(&mut self, j: usize) -> &mut [f32] {
        let place = self.place(j);
        &mut self.values[place]
    }

    /// The value of the pair i < j, to be written; `None` where it spans too much.
    pub fn get_mut(&mut self, i: usize, j: usize) -> Option<&mut f32> {
        let place = i.checked_sub(self.first(j))?;
        self.row_mut(j).get_mut(place)
    }

    /// The value of the pair {i, j}, in either order; 0 for i = j, and where it spans too much.
    pub fn get(&self, i: usize, j: usize) -> f32 {
        let (i, j) = (i.min(j), i.max(j));
        let value = i.checked_sub(self.first(j)).and_then(|place| self.row(j).get(place));
        value.copied().unwrap_or(0.0)
    }

    /// All values, row after row.
    pub fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_band_holds_what_the_triangle_holds_within_it() {
        for length in [0, 1, 2, 7, 12] {
            for span in [0, 1, 2, 5, 7, 12, 20, usize::MAX] {
                let mut map = PairMap::zeros(length, span).expect("memory");
                assert_eq!(map.values_mut().len(), PairMap::count(length, span));
                for j in 0..length {
                    for i in 0..j {
                        if let Some(value) = map.get_mut(i, j) {
                            *value = (i * 100 + j) as f32;
                        }
                    }
                }
                for j in 0..length {
                    assert_eq!(map.row(j).len(), j - map.first(j));
                    for i in 0..j {
                        let expected = if j - i < span { (i * 100 + j) as f32 } else { 0.0 };
                        assert_eq!((map.get(i, j), map.get(j, i)), (expected, expected), "{length} {span}: {i} {j}");
                    }
                    assert_eq!(map.get(j, j), 0.0);
                }
            }
        }
    }
}
