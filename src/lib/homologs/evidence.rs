//! What the homologs of a sequence say together, as numbers.

use rustc_hash::FxHashMap;

use super::known::{Base, Homolog, NOTHING};
use crate::structure::is_canonical;

/// Numbers per pair of bases.
pub const HOMOLOG_FEATURES: usize = 17;

/// A homolog whose merit is below the best one's by this has a voice smaller by the factor e, where the best shall
/// prevail …
const SHARP: f32 = 0.1;
/// … and where many shall vote.
const BROAD: f32 = 0.4;

/// The votes of homologs about the pairs of a sequence.
#[derive(Clone, Debug)]
pub struct Evidence<'a> {
    sequence: &'a [u8],
    /// What is said of the pairs (i, j), i < j, that any homolog has.
    pairs: FxHashMap<(u32, u32), Vote>,
    /// Part of the sharp voices by which a base is paired with any other, and by which it is unpaired.
    paired: Vec<f32>,
    unpaired: Vec<f32>,
    /// Of each homolog its broad voice, and the letter that is aligned with each base, 0 for none.
    letters: Vec<(f32, Vec<u8>)>,
    /// Identity, parts aligned, part of the pairs kept, of the best; and 1. Zero without homologs.
    best: [f32; 5],
}

/// How much of the voices has a pair.
#[derive(Clone, Copy, Debug, Default)]
struct Vote {
    sharp: f32,
    broad: f32,
    /// 1 where the best homolog has it.
    best: f32,
}

impl<'a> Evidence<'a> {
    /// What `homologs`, the best first, say about a sequence.
    pub fn new<'r>(homologs: impl Iterator<Item = &'r Homolog> + Clone, sequence: &'a [u8]) -> Self {
        let (mut paired, mut unpaired) = (vec![0f32; sequence.len()], vec![0f32; sequence.len()]);
        let mut pairs = FxHashMap::<_, Vote>::default();
        let mut letters = Vec::new();
        let first = homologs.clone().next();
        let best = first.map_or([0.0; 5], |best| [best.identity, best.aligned, best.covered, best.kept, 1.0]);
        let most = first.map_or(0.0, |best| best.merit);
        let voice = |homolog: &Homolog, fall: f32| ((homolog.merit - most) / fall).exp();
        let all = |fall: f32| homologs.clone().map(|homolog| voice(homolog, fall)).sum::<f32>();
        let (all_sharp, all_broad) = (all(SHARP), all(BROAD));
        for (rank, homolog) in homologs.enumerate() {
            let (sharp, broad) = (voice(homolog, SHARP) / all_sharp, voice(homolog, BROAD) / all_broad);
            for (i, base) in homolog.bases(sequence).into_iter().enumerate() {
                match base {
                    Base::Unaligned => {}
                    Base::Unpaired => unpaired[i] += sharp,
                    Base::PairLost => paired[i] += sharp,
                    Base::Paired(j) => {
                        paired[i] += sharp;
                        if i < j {
                            let vote = pairs.entry((i as u32, j as u32)).or_default();
                            vote.sharp += sharp;
                            vote.broad += broad;
                            vote.best = if rank == 0 { 1.0 } else { vote.best };
                        }
                    }
                }
            }
            let letter = |place: &u32| if *place == NOTHING { 0 } else { homolog.known.sequence[*place as usize] };
            letters.push((broad, homolog.places.iter().map(letter).collect()));
        }
        Self { sequence, pairs, paired, unpaired, letters, best }
    }

    /// Writes the [`HOMOLOG_FEATURES`] numbers of the pair (i, j), i < j: the part of the sharp and of the broad voices
    /// that has it; whether the best homolog has, by itself and times its identity; by how many of the sharp voices either
    /// base is paired otherwise, and by how many it is unpaired; what the best homolog is like, the same for all pairs; and
    /// by how many of the broad voices the letters aligned with the two could pair, could not, and could although one of
    /// them, or both, are others.
    ///
    /// # Panics
    /// Where `row` has another length.
    pub fn features(&self, i: usize, j: usize, row: &mut [f32]) {
        let vote = self.pairs.get(&(i as u32, j as u32)).copied().unwrap_or_default();
        let (mut could, mut could_not, mut one_changed, mut both_changed) = (0.0, 0.0, 0.0, 0.0);
        for (voice, letters) in &self.letters {
            let (a, b) = (letters[i], letters[j]);
            if is_canonical(a, b) {
                could += voice;
                match (a == self.sequence[i], b == self.sequence[j]) {
                    (false, false) => both_changed += voice,
                    (true, true) => {}
                    _ => one_changed += voice,
                }
            } else if a != 0 && b != 0 {
                could_not += voice;
            }
        }
        row.copy_from_slice(&[
            vote.sharp,
            vote.broad,
            vote.best,
            vote.best * self.best[0],
            self.paired[i] - vote.sharp,
            self.paired[j] - vote.sharp,
            self.unpaired[i],
            self.unpaired[j],
            self.best[0],
            self.best[1],
            self.best[2],
            self.best[3],
            self.best[4],
            could,
            could_not,
            one_changed,
            both_changed,
        ]);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::homologs::known::Known;

    /// A homolog of the same length whose bases are all aligned.
    fn homolog(sequence: &str, pairs: &[(u32, u32)], merit: f32) -> Homolog {
        let known = Known { id: "known".into(), sequence: sequence.into(), pairs: pairs.to_vec() };
        let places = (0..sequence.len() as u32).collect();
        Homolog {
            known: Arc::new(known),
            places,
            identity: 0.75,
            aligned: 0.5,
            covered: 1.0,
            kept: 0.25,
            merit,
            evalue: 0.0,
        }
    }

    #[test]
    fn votes_are_weighed_by_merit() {
        let sequence = b"GGAAACCA";
        let best = homolog("GGAAACCA", &[(0, 6), (1, 5)], 0.9);
        let mut other = homolog("GAAAAUCA", &[(0, 5), (2, 7)], 0.8);
        other.places[3] = NOTHING;
        let evidence = Evidence::new([&best, &other].into_iter(), sequence);
        let parts = |fall: f32| {
            let less = (-0.1 / fall).exp();
            (1.0 / (1.0 + less), less / (1.0 + less))
        };
        let ((more, less), (broad_more, broad_less)) = (parts(SHARP), parts(BROAD));
        let mut row = [0f32; HOMOLOG_FEATURES];
        let mut check = |i, j, votes: [f32; 8], letters: [f32; 4]| {
            evidence.features(i, j, &mut row);
            let expected: Vec<f32> = votes.into_iter().chain([0.75, 0.5, 1.0, 0.25, 1.0]).chain(letters).collect();
            assert!(row.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-6), "{i} {j} {row:?} {expected:?}");
        };
        // The best has it. The other pairs 0 otherwise and 6 not; its letters could pair too.
        check(0, 6, [more, broad_more, 1.0, 0.75, less, 0.0, 0.0, less], [1.0, 0.0, 0.0, 0.0]);
        // In the other AU stands for GC, and 5 is paired otherwise.
        check(1, 5, [more, broad_more, 1.0, 0.75, 0.0, less, less, 0.0], [1.0, 0.0, 0.0, broad_less]);
        // The other alone has it, with a U for the C.
        check(0, 5, [less, broad_less, 0.0, 0.0, more, more, 0.0, 0.0], [1.0, 0.0, broad_less, 0.0]);
        // A pair that the sequence cannot form is none, but the bases are said to be paired. What could pair in neither.
        check(2, 7, [0.0, 0.0, 0.0, 0.0, less, less, more, more], [0.0, 1.0, 0.0, 0.0]);
        // Not aligned is not unpaired.
        check(3, 7, [0.0, 0.0, 0.0, 0.0, 0.0, less, more, more], [0.0, broad_more, 0.0, 0.0]);
    }

    #[test]
    fn no_homologs_say_nothing() {
        let mut row = [1f32; HOMOLOG_FEATURES];
        Evidence::new(std::iter::empty(), b"GAAAC").features(0, 4, &mut row);
        assert_eq!(row, [0.0; HOMOLOG_FEATURES]);
    }
}
