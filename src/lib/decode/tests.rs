//! What the base-pair decoders promise, against brute force and against the dense algorithm on the whole matrix.

use pathfinding::{kuhn_munkres::kuhn_munkres, matrix::Matrix};
use proptest::prelude::*;

use super::{
    assignment,
    base_pairs::{Decoder, PairRules, candidates, collect_candidates, decode},
};
use crate::structure::{Candidate, PairMap, is_canonical};

const DECODERS: [Decoder; 3] = [Decoder::Assignment, Decoder::Greedy, Decoder::Nested];

/// A map from its values, row after row (as many as the sequence asks for are taken, again and again from the start).
fn map(length: usize, values: &[f32]) -> PairMap {
    let mut map = PairMap::new(length);
    for (cell, &value) in map.values_mut().iter_mut().zip(values.iter().cycle()) {
        *cell = value;
    }
    map
}

/// A map of zeros with some pairs set.
fn map_of(length: usize, pairs: &[(usize, usize, f32)]) -> PairMap {
    let mut map = PairMap::new(length);
    for &(i, j, probability) in pairs {
        map.row_mut(j)[i] = probability;
    }
    map
}

/// Sequences with the pairs that decide about them: letters, probabilities (spread, few distinct ones that tie, or
/// nearly equal ones), rules.
fn cases(longest: usize) -> impl Strategy<Value = (Vec<u8>, PairMap, PairRules)> {
    let letters = prop_oneof![
        4 => proptest::collection::vec(proptest::sample::select(b"ACGU".to_vec()), 0..longest),
        1 => proptest::collection::vec(proptest::sample::select(b"ACGUN".to_vec()), 0..longest),
        1 => proptest::collection::vec(proptest::sample::select(b"GC".to_vec()), 0..longest),
    ];
    let value = || {
        prop_oneof![
            (0.0_f32..=1.0).boxed(),
            proptest::sample::select(vec![0.0_f32, 0.25, 0.5, 0.75, 1.0]).boxed(),
            (0.49_f32..0.51).boxed(),
        ]
    };
    let rules = (proptest::sample::select(vec![0.0_f32, 0.3, 0.5, 0.9]), 0_usize..6, any::<bool>()).prop_map(
        |(threshold, min_loop, canonical_only)| PairRules {
            threshold,
            min_loop,
            canonical_only,
            ..PairRules::default()
        },
    );
    (letters, rules)
        .prop_flat_map(move |(sequence, rules)| {
            let count = sequence.len() * sequence.len() / 2 + 1;
            let values = prop_oneof![
                proptest::collection::vec(value(), count).boxed(),
                // One in eight pairs is probable: what a trained model gives.
                proptest::collection::vec(prop_oneof![7 => Just(0.0_f32), 1 => 0.0_f32..=1.0], count).boxed(),
            ];
            (Just(sequence), values, Just(rules))
        })
        .prop_map(|(sequence, values, rules)| {
            let map = map(sequence.len(), &values);
            (sequence, map, rules)
        })
}

fn summed_weight(candidates: &[Candidate], partners: &[Option<usize>]) -> i64 {
    candidates.iter().filter(|pair| partners[pair.i] == Some(pair.j)).map(Candidate::weight).sum()
}

/// The optimum of the published algorithm: Kuhn-Munkres on the whole symmetric matrix, 0 where no pair may form.
fn dense_optimum(length: usize, candidates: &[Candidate]) -> i64 {
    if length == 0 {
        return 0;
    }
    let mut weights = Matrix::new(length, length, 0_i64);
    for pair in candidates {
        weights[(pair.i, pair.j)] = pair.weight();
        weights[(pair.j, pair.i)] = pair.weight();
    }
    kuhn_munkres(&weights).0
}

fn assert_rules(decoder: Decoder, sequence: &[u8], map: &PairMap, rules: PairRules, partners: &[Option<usize>]) {
    assert_eq!(partners.len(), sequence.len());
    let mut open = Vec::new();
    for (base, partner) in partners.iter().enumerate() {
        let &Some(partner) = partner else { continue };
        assert_eq!(partners[partner], Some(base), "{decoder:?}: {base} and {partner} do not agree");
        assert!(base.abs_diff(partner) > rules.min_loop);
        assert!(map.get(base, partner) > rules.threshold);
        assert!(sequence[base] != b'N' && sequence[partner] != b'N');
        assert!(!rules.canonical_only || is_canonical(sequence[base], sequence[partner]));
        if decoder == Decoder::Nested {
            if partner > base {
                open.push(partner);
            } else {
                assert_eq!(open.pop(), Some(base), "crossing pairs");
            }
        }
    }
}

/// The greatest sum over all sets of pairs with at most one partner per base, nested where asked for.
fn brute_force(candidates: &[Candidate], taken: &mut Vec<Candidate>, nested: bool) -> i64 {
    let Some((first, rest)) = candidates.split_first() else { return 0 };
    let without = brute_force(rest, taken, nested);
    let compatible = taken.iter().all(|pair| {
        let shares = [pair.i, pair.j].iter().any(|&base| base == first.i || base == first.j);
        let crosses = pair.i < first.i && first.i < pair.j && pair.j < first.j;
        !(shares || nested && crosses)
    });
    if !compatible {
        return without;
    }
    taken.push(*first);
    let with = first.weight() + brute_force(rest, taken, nested);
    taken.pop();
    without.max(with)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_decoder_keeps_the_rules((sequence, map, rules) in cases(40)) {
        for decoder in DECODERS {
            let partners = decode(decoder, &sequence, &map, rules);
            assert_rules(decoder, &sequence, &map, rules, &partners);
            prop_assert_eq!(partners, decode(decoder, &sequence, &map, rules));
        }
    }

    #[test]
    fn the_two_ways_to_list_candidates_agree((sequence, map, rules) in cases(40)) {
        let listed: Vec<Candidate> = candidates(&sequence, &map, rules).collect();
        prop_assert_eq!(&listed, &collect_candidates(&sequence, &map, rules));
        prop_assert!(listed.windows(2).all(|pair| (pair[0].i, pair[0].j) < (pair[1].i, pair[1].j)));
        let all = (0..sequence.len()).flat_map(|j| (0..j).map(move |i| (i, j)));
        let expected = all.filter(|&(i, j)| map.get(i, j) > rules.threshold && rules.allows(&sequence, i, j));
        prop_assert_eq!(listed.len(), expected.count());
    }

    #[test]
    fn the_assignment_reaches_the_optimum_of_the_whole_matrix((sequence, map, rules) in cases(60)) {
        let candidates = collect_candidates(&sequence, &map, rules);
        let chosen = assignment::assign(sequence.len(), &candidates);
        let sum: i64 = chosen.iter().map(|&index| candidates[index].weight()).sum();
        prop_assert_eq!(sum, dense_optimum(sequence.len(), &candidates));
        if rules.canonical_only {
            // The two roles of a base agree, so that nothing is lost when they are put together.
            let partners = decode(Decoder::Assignment, &sequence, &map, rules);
            prop_assert_eq!(2 * summed_weight(&candidates, &partners), sum);
        }
    }

    #[test]
    fn greedy_takes_the_most_probable_pair_that_is_left((sequence, map, rules) in cases(30)) {
        let mut left: Vec<Candidate> = candidates(&sequence, &map, rules).collect();
        let mut expected = vec![None; sequence.len()];
        // The first of the most probable ones in the order of (i, j).
        while let Some(best) = left.iter().copied().reduce(|a, b| if b.probability > a.probability { b } else { a }) {
            expected[best.i] = Some(best.j);
            expected[best.j] = Some(best.i);
            left.retain(|pair| ![best.i, best.j].iter().any(|&base| base == pair.i || base == pair.j));
        }
        prop_assert_eq!(decode(Decoder::Greedy, &sequence, &map, rules), expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn small_structures_are_the_best_there_are((sequence, map, rules) in cases(11)) {
        let candidates = collect_candidates(&sequence, &map, rules);
        prop_assume!(candidates.len() <= 20);
        let nested = decode(Decoder::Nested, &sequence, &map, rules);
        prop_assert_eq!(summed_weight(&candidates, &nested), brute_force(&candidates, &mut Vec::new(), true));
        if rules.canonical_only {
            let assigned = decode(Decoder::Assignment, &sequence, &map, rules);
            prop_assert_eq!(summed_weight(&candidates, &assigned), brute_force(&candidates, &mut Vec::new(), false));
        }
    }

    #[test]
    fn nested_reaches_the_sum_of_the_plain_recursion((sequence, map, rules) in cases(45)) {
        let candidates = collect_candidates(&sequence, &map, rules);
        let n = sequence.len();
        // best[i][j]: the best sum over the bases i..j.
        let mut best = vec![vec![0_i64; n + 1]; n + 2];
        for i in (0..n).rev() {
            for j in i + 1..=n {
                let mut sum = best[i + 1][j];
                for pair in candidates.iter().filter(|pair| pair.i == i && pair.j < j) {
                    sum = sum.max(pair.weight() + best[i + 1][pair.j] + best[pair.j + 1][j]);
                }
                best[i][j] = sum;
            }
        }
        let partners = decode(Decoder::Nested, &sequence, &map, rules);
        prop_assert_eq!(summed_weight(&candidates, &partners), best[0][n]);
    }
}

/// Pseudo-random numbers in [0, 1).
fn random(seed: u64) -> impl FnMut() -> f32 {
    let mut state = seed;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 24) as f32
    }
}

#[test]
fn large_dense_components_reach_the_optimum_of_the_whole_matrix() {
    // At threshold 0 everything hangs together. Probabilities that are spread, that nearly tie, that tie, and a map of
    // which every row and column prefers the same few partners.
    let kinds: [fn(usize, usize, f32) -> f32; 4] = [
        |_, _, random| random,
        |_, _, random| 0.5 + random * 1e-6,
        |_, _, random| if random < 0.5 { 0.5 } else { 1.0 },
        |i, j, _| 1.0 / (1.0 + (i * j) as f32),
    ];
    for (seed, kind) in kinds.iter().enumerate() {
        for canonical_only in [true, false] {
            let length = if canonical_only { 220 } else { 90 };
            let mut random = random(seed as u64 + 1);
            let sequence: Vec<u8> = (0..length).map(|_| b"ACGU"[(random() * 4.0) as usize]).collect();
            let mut map = PairMap::new(length);
            for j in 0..length {
                for i in 0..j {
                    map.row_mut(j)[i] = kind(i, j, random());
                }
            }
            let rules = PairRules { threshold: 0.0, canonical_only, ..PairRules::default() };
            let candidates = collect_candidates(&sequence, &map, rules);
            let chosen = assignment::assign(length, &candidates);
            let sum: i64 = chosen.iter().map(|&index| candidates[index].weight()).sum();
            assert_eq!(sum, dense_optimum(length, &candidates), "kind {seed}, canonical {canonical_only}");
            assert_rules(Decoder::Assignment, &sequence, &map, rules, &assignment::partners(length, &candidates));
        }
    }
}

#[test]
fn assignment_prefers_two_good_pairs_to_the_best_one() {
    // 0-9 is the best pair, but it stands in the way of 0-8 and 1-9.
    let map = map_of(10, &[(0, 9, 0.9), (0, 8, 0.8), (1, 9, 0.8)]);
    let partners = |decoder| decode(decoder, b"GGAAAAAACC", &map, PairRules::default());
    let mut crossing = vec![None; 10];
    (crossing[0], crossing[8], crossing[1], crossing[9]) = (Some(8), Some(0), Some(9), Some(1));
    assert_eq!(partners(Decoder::Assignment), crossing);
    let mut single = vec![None; 10];
    (single[0], single[9]) = (Some(9), Some(0));
    assert_eq!(partners(Decoder::Greedy), single);
    // Crossing pairs are not for the nested decoder.
    assert_eq!(partners(Decoder::Nested), single);
}

#[test]
fn where_roles_disagree_the_more_probable_pair_stays() {
    // Three bases that all want each other: the assignment goes round in a circle (0.6 + 0.7 + 0.8 is more than twice
    // 0.8), so that every base has two partners.
    let map = map_of(9, &[(0, 4, 0.6), (4, 8, 0.7), (0, 8, 0.8)]);
    let rules = PairRules { canonical_only: false, ..PairRules::default() };
    let partners = decode(Decoder::Assignment, b"AAAAAAAAA", &map, rules);
    let mut expected = vec![None; 9];
    (expected[0], expected[8]) = (Some(8), Some(0));
    assert_eq!(partners, expected);
}

#[test]
fn a_pair_needs_more_than_the_threshold_and_the_loop() {
    let map = map_of(6, &[(0, 4, 0.5), (0, 3, 1.0), (1, 5, 0.500_001)]);
    for decoder in DECODERS {
        let partners = decode(decoder, b"GGAACC", &map, PairRules::default());
        assert_eq!(partners, [None, Some(5), None, None, None, Some(1)], "{decoder:?}");
    }
}

#[test]
fn values_that_are_no_numbers_form_no_pairs() {
    let map = map_of(6, &[(0, 5, f32::NAN)]);
    for decoder in DECODERS {
        assert_eq!(decode(decoder, b"GAAAAC", &map, PairRules::default()), [None; 6]);
    }
}

#[test]
fn very_short_sequences_have_no_pairs() {
    for decoder in DECODERS {
        for sequence in [&b""[..], b"G", b"GC"] {
            let map = map(sequence.len(), &[1.0]);
            assert_eq!(decode(decoder, sequence, &map, PairRules::default()), vec![None; sequence.len()]);
        }
    }
}

#[test]
fn a_helix_of_thousands_of_pairs_needs_no_deep_stack() {
    let length = 5000;
    let sequence: Vec<u8> = (0..length).map(|base| if base < length / 2 { b'G' } else { b'C' }).collect();
    let helix: Vec<_> = (0..length / 2 - 2).map(|i| (i, length - 1 - i, 0.9)).collect();
    let map = map_of(length, &helix);
    for decoder in DECODERS {
        let partners = decode(decoder, &sequence, &map, PairRules::default());
        assert!(helix.iter().all(|&(i, j, _)| partners[i] == Some(j) && partners[j] == Some(i)), "{decoder:?}");
        assert_eq!(partners.iter().flatten().count(), 2 * helix.len());
    }
}
