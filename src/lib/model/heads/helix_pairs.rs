//! The pairs of bases that could be part of a helix, and what the letters of the sequence say about each.

use std::ops::Range;

use crate::model::ops::pair_list::PairList;
use crate::thermodynamics::pair_probabilities;

/// Numbers per pair that follow from the letters alone.
pub const PAIR_FEATURES: usize = 17;

/// Bases between the two of a pair, at least.
const LOOP: usize = 3;

/// Pairs counted outward and inward along a helix.
const LONGEST: usize = 12;

/// Hydrogen bonds of a canonical pair, 0 for another.
fn bonds(a: u8, b: u8) -> f32 {
    match (a, b) {
        (b'G', b'C') | (b'C', b'G') => 3.0,
        (b'A', b'U') | (b'U', b'A') => 2.0,
        (b'G', b'U') | (b'U', b'G') => 1.0,
        _ => 0.0,
    }
}

/// True where the bases could pair: AU, GC or GU, and enough bases between them for a loop.
fn could_pair(sequence: &[u8], i: usize, j: usize) -> bool {
    j > i + LOOP && bonds(sequence[i], sequence[j]) > 0.0
}

/// The pairs of a sequence that could be part of a helix: both bases could pair, and so could the two next to them on
/// either the inner or the outer side. In known structures all but 2 to 3 of 100 canonical pairs are stacked on another.
#[derive(Clone, Debug)]
pub struct HelixPairs<'a> {
    sequence: &'a [u8],
    list: PairList,
    /// The probability of each pair by free energy.
    probabilities: Vec<f32>,
    /// How likely each base is in no helix, by free energy.
    alone: Vec<f32>,
}

/// Probabilities closer to 0 or 1 than this look the same.
const SURE: f32 = 1e-6;

/// The logarithm of the odds of [`SURE`].
const SURE_LOG_ODDS: f32 = 13.8;

impl<'a> HelixPairs<'a> {
    /// Those of a sequence of the letters ACGUN.
    pub fn new(sequence: &'a [u8]) -> Self {
        let list = list(sequence);
        let probabilities = probabilities(sequence, &list);
        Self::of_list(sequence, list, probabilities)
    }

    /// The probability of each helix pair by free energy: most of the work of [`HelixPairs::new`], and worth keeping
    /// where the same sequence is folded again and again.
    pub fn probabilities(sequence: &[u8]) -> Vec<f32> {
        probabilities(sequence, &list(sequence))
    }

    /// As [`HelixPairs::new`], with what [`HelixPairs::probabilities`] gave for the sequence.
    ///
    /// # Panics
    /// Where there is not one for each pair.
    pub fn with_probabilities(sequence: &'a [u8], probabilities: Vec<f32>) -> Self {
        Self::of_list(sequence, list(sequence), probabilities)
    }

    fn of_list(sequence: &'a [u8], list: PairList, probabilities: Vec<f32>) -> Self {
        assert_eq!(list.count(), probabilities.len(), "probabilities of another sequence");
        let mut alone = vec![1f32; sequence.len()];
        for ((i, j), probability) in list.iter().zip(&probabilities) {
            alone[i] -= probability;
            alone[j] -= probability;
        }
        Self { sequence, list, probabilities, alone }
    }

    /// The pairs.
    pub fn list(&self) -> &PairList {
        &self.list
    }

    /// [`PAIR_FEATURES`] numbers for every pair of some rows: the six canonical pairs one by one, three of the distance, length and
    /// hydrogen bonds of the uninterrupted helix outward and inward, and by free energy the pair's probability, the
    /// logarithm of its odds, and how likely either base is in no helix.
    pub fn features(&self, rows: Range<usize>) -> Vec<f32> {
        let mut features = Vec::with_capacity(self.list.pairs_of(rows.clone()).len() * PAIR_FEATURES);
        for j in rows {
            for (&i, &probability) in self.list.row(j).iter().zip(&self.probabilities[self.list.range(j)]) {
                let (i, mut row) = (i as usize, [0f32; PAIR_FEATURES]);
                letter_features(self.sequence, i, j, &mut row);
                row[13] = probability;
                row[14] = ((probability + SURE) / (1.0 - probability + SURE)).ln() / SURE_LOG_ODDS;
                row[15] = self.alone[i];
                row[16] = self.alone[j];
                features.extend_from_slice(&row);
            }
        }
        features
    }
}

fn probabilities(sequence: &[u8], list: &PairList) -> Vec<f32> {
    let map = pair_probabilities(sequence);
    list.iter().map(|(i, j)| map.row(j)[i]).collect()
}

fn list(sequence: &[u8]) -> PairList {
    PairList::new(sequence.len(), |i, j| {
        could_pair(sequence, i, j)
            && (could_pair(sequence, i + 1, j - 1)
                || (i > 0 && j + 1 < sequence.len() && could_pair(sequence, i - 1, j + 1)))
    })
}

/// The first 13 features, of the letters themselves.
fn letter_features(sequence: &[u8], i: usize, j: usize, row: &mut [f32; PAIR_FEATURES]) {
    let (a, b) = (sequence[i], sequence[j]);
    let kind = match (a, b) {
        (b'A', b'U') => Some(0),
        (b'U', b'A') => Some(1),
        (b'G', b'C') => Some(2),
        (b'C', b'G') => Some(3),
        (b'G', b'U') => Some(4),
        (b'U', b'G') => Some(5),
        _ => None,
    };
    let distance = j - i;
    row[6] = (distance as f32).ln() / 6.0;
    row[7] = if distance > 3 { 1.0 } else { 0.0 };
    row[8] = 4.0 / (distance as f32).max(4.0);
    if let Some(kind) = kind {
        row[kind] = 1.0;
        let (mut outward, mut outward_bonds) = (0, 0.0);
        while outward < LONGEST && i > outward && j + outward + 1 < sequence.len() {
            let bonds = bonds(sequence[i - outward - 1], sequence[j + outward + 1]);
            if bonds == 0.0 {
                break;
            }
            outward += 1;
            outward_bonds += bonds;
        }
        let (mut inward, mut inward_bonds) = (0, 0.0);
        while inward < LONGEST && j - inward - 1 > i + inward + 1 + 3 {
            let bonds = bonds(sequence[i + inward + 1], sequence[j - inward - 1]);
            if bonds == 0.0 {
                break;
            }
            inward += 1;
            inward_bonds += bonds;
        }
        row[9] = outward as f32 / 6.0;
        row[10] = inward as f32 / 6.0;
        row[11] = outward_bonds / 15.0;
        row[12] = inward_bonds / 15.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_those_that_could_stack() {
        // G0-C7 and G1-C6 stack, G1-C7 and G2-C6 too; G0-C6 and G2-C7 have nothing beside them.
        let pairs = HelixPairs::new(b"GGGAAACC");
        assert_eq!(pairs.list().iter().collect::<Vec<_>>(), [(1, 6), (2, 6), (0, 7), (1, 7)]);
        assert_eq!(HelixPairs::new(b"").list().count(), 0);
        assert_eq!(HelixPairs::new(b"GNNNNNC").list().count(), 0);
    }

    #[test]
    fn features_say_what_the_letters_say() {
        let sequence = b"GGGAAACC";
        let pairs = HelixPairs::new(sequence);
        let features = pairs.features(0..8);
        assert_eq!(features.len(), 4 * PAIR_FEATURES);
        for (row, (i, j)) in features.chunks_exact(PAIR_FEATURES).zip(pairs.list().iter()) {
            assert_eq!(row[..6], [0.0, 0.0, 1.0, 0.0, 0.0, 0.0], "a GC pair");
            assert_eq!(row[6], ((j - i) as f32).ln() / 6.0);
            let outer = [(1, 6), (2, 6)].contains(&(i, j));
            assert_eq!((row[9] > 0.0, row[10] > 0.0), (outer, !outer), "{i} {j}");
            assert!((0.0..=1.0).contains(&row[13]) && row[14] <= 1.0 && row[15] <= 1.0 && row[16] <= 1.0);
        }
        // What was kept gives the same.
        let kept = HelixPairs::with_probabilities(sequence, HelixPairs::probabilities(sequence));
        assert_eq!(kept.features(0..7), features[..2 * PAIR_FEATURES]);
        assert_eq!(kept.features(7..8), features[2 * PAIR_FEATURES..]);
    }
}
