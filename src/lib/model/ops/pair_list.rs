//! Some of the pairs {i < j} of a sequence, in the order of (j, i), and which of them are neighbours.

use std::ops::Range;

use crate::{Error, Result};

/// Most pairs of a list: their numbers have 32 bits, of which the largest stands for none.
const MOST_PAIRS: usize = u32::MAX as usize;

/// Some pairs {i < j} of a sequence of bases.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PairList {
    /// The pairs of base j are those from `starts[j]` to `starts[j + 1]`.
    starts: Vec<u32>,
    /// The 5' base of each pair, ascending for one j.
    firsts: Vec<u32>,
}

impl PairList {
    /// The pairs of a sequence of `length` bases, of at most `span` bases from the first to the last, for which
    /// `wanted(i, j)`, i < j.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] where they are more than 32 bits can number.
    pub fn new(length: usize, span: usize, wanted: impl Fn(usize, usize) -> bool) -> Result<Self> {
        Self::of_at_most(MOST_PAIRS, length, span, wanted)
    }

    fn of_at_most(most: usize, length: usize, span: usize, wanted: impl Fn(usize, usize) -> bool) -> Result<Self> {
        let mut list = Self { starts: vec![0], firsts: Vec::new() };
        for j in 0..length {
            list.firsts.extend(((j + 1).saturating_sub(span)..j).filter(|&i| wanted(i, j)).map(|i| i as u32));
            if list.firsts.len() > most {
                let message = format!("its bases could pair in more ways than can be numbered ({most})");
                return Err(Error::OutOfMemory(message));
            }
            list.starts.push(list.firsts.len() as u32);
        }
        Ok(list)
    }

    /// Number of bases.
    pub fn length(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// Number of pairs.
    pub fn count(&self) -> usize {
        self.firsts.len()
    }

    /// The numbers of the pairs of base `j` with bases before it.
    pub fn range(&self, j: usize) -> Range<usize> {
        self.starts[j] as usize..self.starts[j + 1] as usize
    }

    /// The 5' bases that base `j` is paired with, ascending.
    pub fn row(&self, j: usize) -> &[u32] {
        &self.firsts[self.range(j)]
    }

    /// The numbers of the pairs of the bases `rows` with bases before them.
    pub fn pairs_of(&self, rows: Range<usize>) -> Range<usize> {
        self.starts[rows.start] as usize..self.starts[rows.end] as usize
    }

    /// The pairs of the bases `rows` alone.
    pub fn only(&self, rows: Range<usize>) -> Self {
        let pairs = self.pairs_of(rows);
        let starts =
            self.starts.iter().map(|&start| start.clamp(pairs.start as u32, pairs.end as u32) - pairs.start as u32);
        Self { starts: starts.collect(), firsts: self.firsts[pairs].to_vec() }
    }

    /// The pairs (i, j).
    pub fn iter(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        (0..self.length()).flat_map(|j| self.row(j).iter().map(move |&i| (i as usize, j)))
    }
}

/// Taps of a 3 x 3 convolution.
pub const TAPS: usize = 9;

/// A group holds whole rows, and at least this many pairs where there are as many: few enough that their numbers stay
/// in the second-level cache, enough to fill the registers tap by tap.
const GROUP: usize = 512;

/// The pairs of a group and the neighbours that they have.
#[derive(Clone, Debug)]
pub struct Group {
    /// The group's pairs.
    pub pairs: Range<usize>,
    /// For each tap, the pairs that have a neighbour there, counted from the group's first, and that neighbour.
    pub taps: [Vec<(u32, u32)>; TAPS],
}

/// Which pairs of a list are neighbours at some distance: tap 3 (dj + 1) + (di + 1) of the pair (i, j) is the pair
/// (i + di x distance, j + dj x distance). If q is tap t of p, then p is tap 8 - t of q.
#[derive(Clone, Debug)]
pub struct Neighbours {
    groups: Vec<Group>,
    pairs: usize,
}

impl Neighbours {
    /// Those of `list` at `distance`.
    pub fn new(list: &PairList, distance: usize) -> Self {
        const NONE: u32 = u32::MAX;
        let length = list.length();
        // The pairs of one row by their 5' base, with room for the neighbours beyond either end.
        let mut places = vec![NONE; length + 2 * distance];
        let mut groups = Vec::new();
        let (mut start, mut row) = (0, 0);
        while row < length {
            let mut end = row + 1;
            while end < length && list.range(end).start - start < GROUP {
                end += 1;
            }
            let mut group = Group { pairs: start..list.range(end - 1).end, taps: Default::default() };
            for j in row..end {
                for down in 0..3 {
                    let Some(beside) = (j + down * distance).checked_sub(distance).filter(|&row| row < length) else {
                        continue;
                    };
                    for place in list.range(beside) {
                        places[list.firsts[place] as usize + distance] = place as u32;
                    }
                    for across in 0..3 {
                        let tap = &mut group.taps[3 * down + across];
                        for pair in list.range(j) {
                            let neighbour = places[list.firsts[pair] as usize + across * distance];
                            if neighbour != NONE {
                                tap.push(((pair - start) as u32, neighbour));
                            }
                        }
                    }
                    for place in list.range(beside) {
                        places[list.firsts[place] as usize + distance] = NONE;
                    }
                }
            }
            start = group.pairs.end;
            row = end;
            groups.push(group);
        }
        Self { groups, pairs: list.count() }
    }

    /// The groups, which hold all pairs in order.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// Number of pairs.
    pub fn count(&self) -> usize {
        self.pairs
    }

    /// The neighbours of every pair, tap by tap; u32::MAX where there is none: how the kernels read them.
    #[cfg(any(feature = "cuda", test))]
    pub fn table(&self) -> Vec<u32> {
        let mut table = vec![u32::MAX; self.pairs * TAPS];
        for group in &self.groups {
            for (tap, list) in group.taps.iter().enumerate() {
                for &(pair, neighbour) in list {
                    table[(group.pairs.start + pair as usize) * TAPS + tap] = neighbour;
                }
            }
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn more_pairs_than_can_be_numbered_are_refused() {
        let list = |most| PairList::of_at_most(most, 10, 10, |_, _| true);
        assert_eq!(list(45).unwrap().count(), 45);
        assert!(list(44).unwrap_err().to_string().contains("more ways than can be numbered (44)"));
    }

    proptest! {
        /// The neighbours are those that looking up every pair finds.
        #[test]
        fn neighbours_are_found(length in 0usize..90, distance in 1usize..20, modulus in 1usize..9) {
            let list = PairList::new(length, length, |i, j| (i * 7 + j * 5) % modulus == 0).unwrap();
            let pairs: Vec<(usize, usize)> = list.iter().collect();
            prop_assert_eq!(pairs.len(), list.count());
            let numbers: std::collections::HashMap<_, _> = pairs.iter().enumerate().map(|(n, pair)| (*pair, n)).collect();
            let neighbours = Neighbours::new(&list, distance);
            let table = neighbours.table();
            for (number, (i, j)) in pairs.iter().enumerate() {
                for tap in 0..TAPS {
                    let shifted = |x: usize, by: usize| (x + by * distance).checked_sub(distance);
                    let beside = shifted(*i, tap % 3).zip(shifted(*j, tap / 3));
                    let expected = beside.and_then(|pair| numbers.get(&pair)).map_or(u32::MAX, |n| *n as u32);
                    prop_assert_eq!(table[number * TAPS + tap], expected);
                }
            }
            let mut next = 0;
            for group in neighbours.groups() {
                prop_assert_eq!(group.pairs.start, next);
                next = group.pairs.end;
            }
            prop_assert_eq!(next, list.count());
        }
    }
}
