//! How many known structures are expected to be as well aligned with a sequence by chance.
//!
//! The score of the best stretch of an alignment has the distribution of Karlin and Altschul (PNAS 87:2264, 1990) with a rate
//! that follows from the letters of both sequences. To it comes what the pairs say: where letters of a pair are others than in
//! the known structure, chance seldom leaves a pair and descent often does. Both are logarithms of how much likelier the
//! alignment is by descent, so that the number expected by chance falls with the exponential of their sum. Gaps make the rate
//! smaller than theory has it; how much was found by aligning shuffled sequences (`models/known-structures.md`).

use super::alignment::{EXTEND, MATCH, MISMATCH, OPEN};
use super::known::{Known, NOTHING};
use crate::structure::is_canonical;

/// A homolog of more is none, where nothing else is asked for.
pub const DEFAULT_EVALUE: f64 = 0.1;

/// By how much gaps make the rate smaller.
const GAPPED: f64 = 0.85;

/// The constant before the product of the lengths.
const K: f64 = 0.3;

/// By chance and by descent: how often a pair one, or both, of whose letters are others can form. By chance a sixth to four
/// ninths of the other letters do, whatever the pair.
const ONE_CHANGED: (f64, f64) = (0.2, 0.45);
const BOTH_CHANGED: (f64, f64) = (0.42, 0.85);

/// How often each of ACGU is among the known letters.
fn composition(sequence: &[u8]) -> [f64; 4] {
    let mut counts = [1f64; 4];
    for letter in sequence {
        if let Some(place) = b"ACGU".iter().position(|known| known == letter) {
            counts[place] += 1.0;
        }
    }
    let all: f64 = counts.iter().sum();
    counts.map(|count| count / all)
}

/// The rate at which scores of stretches without gaps become rare: the solution of `equal` e^(MATCH x) + (1 - `equal`)
/// e^(MISMATCH x) = 1, where `equal` is how often letters are equal by chance. 0 where the score grows by chance.
fn rate(equal: f64) -> f64 {
    let excess = |x: f64| equal * (f64::from(MATCH) * x).exp() + (1.0 - equal) * (f64::from(MISMATCH) * x).exp() - 1.0;
    if equal * f64::from(MATCH) + (1.0 - equal) * f64::from(MISMATCH) >= 0.0 {
        return 0.0;
    }
    // Negative between 0 and the solution.
    let (mut low, mut high) = (1e-6, 1.0);
    for _ in 0..50 {
        let middle = (low + high) / 2.0;
        if excess(middle) < 0.0 { low = middle } else { high = middle }
    }
    low
}

/// The score of the best stretch of an alignment.
fn best_stretch(sequence: &[u8], known: &[u8], places: &[u32]) -> i32 {
    let gap = |length: usize| if length == 0 { 0 } else { OPEN + EXTEND * (length as i32 - 1) };
    let (mut best, mut here) = (0, 0);
    let mut last: Option<(usize, usize)> = None;
    for (i, place) in places.iter().enumerate().filter(|(_, place)| **place != NOTHING) {
        let place = *place as usize;
        if let Some((before, place_before)) = last {
            here = (here + gap(i - before - 1) + gap(place - place_before - 1)).max(0);
        }
        let equal = sequence[i] == known[place] && sequence[i] != b'N';
        here = (here + if equal { MATCH } else { MISMATCH }).max(0);
        best = best.max(here);
        last = Some((i, place));
    }
    best
}

/// What the pairs of a known structure say whose letters are others in an aligned sequence, in nats.
fn of_pairs(sequence: &[u8], known: &Known, places: &[u32]) -> f64 {
    let mut base_at = vec![None; known.sequence.len()];
    for (i, place) in places.iter().enumerate().filter(|(_, place)| **place != NOTHING) {
        base_at[*place as usize] = Some(i);
    }
    let of_pair = |&(a, b): &(u32, u32)| {
        let (a, b) = (a as usize, b as usize);
        let (Some(i), Some(j)) = (base_at[a], base_at[b]) else { return 0.0 };
        let changed = [(i, a), (j, b)].iter().filter(|(i, a)| sequence[*i] != known.sequence[*a]).count();
        let (chance, descent) = match changed {
            0 => return 0.0,
            1 => ONE_CHANGED,
            _ => BOTH_CHANGED,
        };
        match is_canonical(sequence[i], sequence[j]) {
            true => (descent / chance).ln(),
            false => ((1.0 - descent) / (1.0 - chance)).ln(),
        }
    };
    known
        .pairs
        .iter()
        .filter(|(a, b)| is_canonical(known.sequence[*a as usize], known.sequence[*b as usize]))
        .map(of_pair)
        .sum()
}

/// How many alignments at least as good as this one are expected by chance among known structures of `bases` bases.
pub(super) fn evalue(sequence: &[u8], known: &Known, places: &[u32], bases: usize) -> f64 {
    let equal: f64 = composition(sequence).iter().zip(composition(&known.sequence)).map(|(a, b)| a * b).sum();
    let score = f64::from(best_stretch(sequence, &known.sequence, places)) * rate(equal) * GAPPED;
    K * sequence.len() as f64 * bases as f64 * (-score - of_pairs(sequence, known, places)).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_solve_the_equation() {
        let x = rate(0.25);
        assert!((0.25 * (4.0 * x).exp() + 0.75 * (-3.0 * x).exp() - 1.0).abs() < 1e-9 && x > 0.2);
        assert!(rate(0.3) < x, "more letters are equal by chance");
        assert_eq!(rate(0.5), 0.0);
    }

    #[test]
    fn stretches_and_pairs_count() {
        let places: Vec<u32> = (0..8).collect();
        assert_eq!(best_stretch(b"ACGUACGU", b"ACGUACGU", &places), 8 * MATCH);
        assert_eq!(best_stretch(b"ACGUNNNN", b"ACGUACGU", &places), 4 * MATCH);
        let with_gap = [0, 1, 2, 3, 6, 7, 8, 9];
        assert_eq!(best_stretch(b"ACGUACGU", b"ACGUCCACGU", &with_gap), 8 * MATCH + OPEN + EXTEND);
        let known = Known { id: "known".into(), sequence: b"GAAAC".to_vec(), pairs: vec![(0, 4)] };
        let pairs = |sequence: &[u8]| of_pairs(sequence, &known, &[0, 1, 2, 3, 4]);
        assert_eq!(pairs(b"GAAAC"), 0.0);
        assert!(pairs(b"AAAAU") > 0.0 && pairs(b"GAAAU") > 0.0);
        assert!(pairs(b"AAAAA") < 0.0 && pairs(b"GAAAG") < 0.0);
    }

    #[test]
    fn fewer_are_expected_of_better_alignments_and_in_smaller_sets() {
        let sequence = b"AAGGCAGCUCUUCGGAGCUGCCAA";
        let known = Known { id: "known".into(), sequence: sequence.to_vec(), pairs: Vec::new() };
        let places: Vec<u32> = (0..24).collect();
        let whole = evalue(sequence, &known, &places, 1000);
        assert!(whole < 1e-3, "{whole}");
        assert!(evalue(sequence, &known, &places[..12], 1000) > whole);
        assert!((evalue(sequence, &known, &places, 2000) / whole - 2.0).abs() < 1e-9);
    }
}
