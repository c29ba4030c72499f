//! Random sequences with the dinucleotides of a given one: what is left of a sequence when only its composition is.
//!
//! A sequence is a walk through the letters, and any other walk over the same edges has the same dinucleotides, the same
//! first and the same last letter. One is drawn as Altschul and Erikson (Mol Biol Evol 2:526, 1985) do: for each letter
//! but the last of the sequence an edge that is taken last, such that these edges lead to the last letter from everywhere; the others
//! in random order.

use rand::Rng;
use rand::seq::SliceRandom;

/// A random sequence with the same number of every dinucleotide, and the same first and last letter.
pub fn shuffle_dinucleotides(sequence: &[u8], random: &mut impl Rng) -> Vec<u8> {
    let (Some(&first), Some(&last)) = (sequence.first(), sequence.last()) else { return Vec::new() };
    let mut letters: Vec<u8> = sequence.to_vec();
    letters.sort_unstable();
    letters.dedup();
    let place = |letter: u8| letters.iter().position(|&known| known == letter).unwrap_or_default();
    // Where the walk goes from each letter.
    let mut next: Vec<Vec<u8>> = vec![Vec::new(); letters.len()];
    for pair in sequence.windows(2) {
        next[place(pair[0])].push(pair[1]);
    }
    loop {
        next.iter_mut().for_each(|edges| edges.shuffle(random));
        let leads_to_last = |&letter: &u8| {
            let mut at = letter;
            for _ in 0..letters.len() {
                match next[place(at)].last() {
                    Some(&to) if at != last => at = to,
                    _ => break,
                }
            }
            at == last
        };
        if letters.iter().all(leads_to_last) {
            break;
        }
    }
    let mut used = vec![0; letters.len()];
    let mut shuffled = vec![first];
    let mut at = place(first);
    while let Some(&letter) = next[at].get(used[at]) {
        used[at] += 1;
        shuffled.push(letter);
        at = place(letter);
    }
    shuffled
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn dinucleotides(sequence: &[u8]) -> BTreeMap<&[u8], usize> {
        let mut counts = BTreeMap::new();
        sequence.windows(2).for_each(|pair| *counts.entry(pair).or_default() += 1);
        counts
    }

    #[test]
    fn a_long_sequence_does_not_stay_as_it_is() {
        let sequence = b"GAUUACAGGCAUUCGGACUUAGCCAUAGCGAUUCAGG".repeat(3);
        assert_ne!(shuffle_dinucleotides(&sequence, &mut ChaCha8Rng::seed_from_u64(1)), sequence);
    }

    proptest! {
        #[test]
        fn dinucleotides_and_ends_stay(
            sequence in proptest::collection::vec(proptest::sample::select(b"ACGUN".to_vec()), 0..80),
            seed in any::<u64>(),
        ) {
            let shuffled = shuffle_dinucleotides(&sequence, &mut ChaCha8Rng::seed_from_u64(seed));
            prop_assert_eq!(shuffled.len(), sequence.len());
            prop_assert_eq!(shuffled.first(), sequence.first());
            prop_assert_eq!(shuffled.last(), sequence.last());
            prop_assert_eq!(dinucleotides(&shuffled), dinucleotides(&sequence));
        }
    }
}
