//! Structures of maximum expected accuracy, and centroids.
//!
//! A pair (i, j) is worth 2 gamma P(i, j), an unpaired base the probability of being unpaired (Do et al., Bioinformatics
//! 22:e90, 2006). The nested structure worth most comes first. Then pseudoknots: helices between bases that were left
//! unpaired, as far as they are likely enough to be true.

use super::base_pairs::{PairRules, collect_candidates};
use crate::structure::{Candidate, PairMap, nested_partners};

/// Fewest pairs of a helix that makes a pseudoknot.
const PSEUDOKNOT_HELIX: usize = 3;

/// Bases on one side that may be skipped between two pairs of such a helix.
const SKIPPED: usize = 1;

/// Pairs less probable than this change nothing.
const LEAST: f32 = 1e-4;

/// Pairs worth more than the two bases are unpaired; their weight is the difference.
fn worthwhile(candidates: &[Candidate], unpaired: &[f32], gamma: f32) -> Vec<Candidate> {
    let gain = |pair: &Candidate| 2.0 * gamma * pair.probability - unpaired[pair.i] - unpaired[pair.j];
    let worth = candidates.iter().map(|pair| Candidate { probability: gain(pair), ..*pair });
    worth.filter(|pair| pair.probability > 0.0).collect()
}

/// The partners of the bases in the structure of maximum expected accuracy by the rules' gamma. The pairs of pseudoknots are
/// more probable than the rules' threshold; for the others the threshold counts for nothing.
pub(super) fn partners(sequence: &[u8], probabilities: &PairMap, rules: PairRules) -> Vec<Option<usize>> {
    let candidates = collect_candidates(sequence, probabilities, PairRules { threshold: LEAST, ..rules });
    let mut unpaired = vec![1f32; sequence.len()];
    for pair in &candidates {
        unpaired[pair.i] -= pair.probability;
        unpaired[pair.j] -= pair.probability;
    }
    unpaired.iter_mut().for_each(|probability| *probability = probability.max(0.0));
    let mut partners = nested_partners(sequence.len(), &worthwhile(&candidates, &unpaired, rules.gamma));
    let free: Vec<Candidate> = candidates
        .into_iter()
        .filter(|pair| pair.probability > rules.threshold && partners[pair.i].is_none() && partners[pair.j].is_none())
        .collect();
    for (i, j) in long_helices(&nested_partners(sequence.len(), &free)) {
        partners[i] = Some(j);
        partners[j] = Some(i);
    }
    partners
}

/// The pairs that are in helices of at least [`PSEUDOKNOT_HELIX`].
fn long_helices(partners: &[Option<usize>]) -> Vec<(usize, usize)> {
    let pairs = partners.iter().enumerate().filter_map(|(i, partner)| partner.filter(|&j| j > i).map(|j| (i, j)));
    let mut kept = Vec::new();
    let mut helix: Vec<(usize, usize)> = Vec::new();
    for (i, j) in pairs {
        let goes_on =
            helix.last().is_some_and(|&(before, after)| j < after && i - before - 1 + (after - j - 1) <= SKIPPED);
        if !goes_on {
            if helix.len() >= PSEUDOKNOT_HELIX {
                kept.append(&mut helix);
            }
            helix.clear();
        }
        helix.push((i, j));
    }
    if helix.len() >= PSEUDOKNOT_HELIX {
        kept.append(&mut helix);
    }
    kept
}

/// The partners of the bases in the centroid: all pairs more probable than one half, as far as no base has two.
pub(super) fn centroid(sequence: &[u8], probabilities: &PairMap, rules: PairRules) -> Vec<Option<usize>> {
    let candidates = collect_candidates(sequence, probabilities, PairRules { threshold: 0.5, ..rules });
    super::base_pairs::greedy(sequence.len(), candidates)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(length: usize, pairs: &[(usize, usize, f32)]) -> PairMap {
        let mut map = PairMap::new(length);
        for &(i, j, probability) in pairs {
            *map.get_mut(i, j).expect("a pair") = probability;
        }
        map
    }

    fn pairs(partners: &[Option<usize>]) -> Vec<(usize, usize)> {
        partners.iter().enumerate().filter_map(|(i, j)| j.filter(|&j| j > i).map(|j| (i, j))).collect()
    }

    /// The nested structure worth most, by trying all sets of pairs.
    #[test]
    fn the_accuracy_expected_is_the_greatest() {
        let sequence = b"GGGCACCAGUCCC";
        let all = [(0, 12, 0.3), (0, 6, 0.25), (1, 11, 0.35), (2, 10, 0.3), (2, 5, 0.4), (1, 5, 0.2), (8, 12, 0.1)];
        let rules = PairRules { min_loop: 2, ..PairRules::default() };
        let all: Vec<_> = all.into_iter().filter(|&(i, j, _)| rules.allows(sequence, i, j)).collect();
        let map = map(sequence.len(), &all);
        for gamma in [0.5, 1.0, 2.0, 6.0] {
            let unpaired =
                |base| 1.0 - all.iter().filter(|(i, j, _)| *i == base || *j == base).map(|pair| pair.2).sum::<f32>();
            let worth = |chosen: &[(usize, usize)]| -> f32 {
                let paired = |base| chosen.iter().any(|&(i, j)| i == base || j == base);
                let pairs: f32 = chosen.iter().map(|&(i, j)| 2.0 * gamma * map.get(i, j)).sum();
                pairs + (0..sequence.len()).filter(|&base| !paired(base)).map(unpaired).sum::<f32>()
            };
            let best = (0..1_u32 << all.len())
                .map(|set| {
                    let of_set = all.iter().enumerate().filter(|(at, _)| set >> at & 1 == 1);
                    of_set.map(|(_, &(i, j, _))| (i, j)).collect::<Vec<_>>()
                })
                .filter(|chosen| {
                    chosen.iter().enumerate().all(|(at, a)| {
                        let apart = |b: &(usize, usize)| {
                            a.0 < b.0 && b.1 < a.1 || b.0 < a.0 && a.1 < b.1 || a.1 < b.0 || b.1 < a.0
                        };
                        chosen[at + 1..].iter().all(apart)
                    })
                })
                .map(|chosen| worth(&chosen))
                .fold(f32::MIN, f32::max);
            let found = pairs(&partners(sequence, &map, PairRules { gamma, ..rules }));
            assert!((worth(&found) - best).abs() < 1e-5, "gamma {gamma}: {} {best}", worth(&found));
        }
    }

    #[test]
    fn pseudoknots_are_helices_that_are_likely() {
        //                0....5....0....5....0
        let sequence = b"GGGGAAGGGAACCCCAACCC";
        let nested = [(0, 14), (1, 13), (2, 12), (3, 11)];
        let crossing = [(6, 19), (7, 18), (8, 17)];
        let with = |probability: f32, number: usize| {
            let mut all: Vec<_> = nested.iter().map(|&(i, j)| (i, j, 0.9)).collect();
            all.extend(crossing.iter().take(number).map(|&(i, j)| (i, j, probability)));
            pairs(&partners(sequence, &map(sequence.len(), &all), PairRules::default()))
        };
        assert_eq!(with(0.8, 3).len(), 7);
        assert_eq!(with(0.45, 3), nested, "not likely enough");
        assert_eq!(with(0.8, 2), nested, "two pairs are no helix");
    }

    #[test]
    fn the_centroid_holds_what_is_more_likely_than_not() {
        let sequence = b"GGGAAAACCC";
        let map = map(10, &[(0, 9, 0.6), (1, 8, 0.5), (2, 7, 0.51)]);
        assert_eq!(pairs(&centroid(sequence, &map, PairRules::default())), [(0, 9), (2, 7)]);
    }
}
