//! Clusters of near-identical sequences, so that a copy of a training record is never validated on.

use std::collections::HashMap;

/// Words that are compared.
const K: usize = 8;
/// Two sequences are near-identical above this part of shared distinct words, of the smaller set of the two …
const CONTAINMENT: f64 = 0.8;
/// … if the shorter is at least this part of the longer.
const LENGTH_RATIO: f64 = 0.5;

/// The cluster of each sequence, named by the index of its first member: near-identical sequences, and all that are
/// linked through others, are in one cluster. A sequence shorter than a word is near-identical to its exact copies.
pub fn clusters(sequences: &[&[u8]]) -> Vec<usize> {
    let words: Vec<Vec<u32>> = sequences.iter().map(|sequence| distinct_words(sequence)).collect();
    let mut with_word: HashMap<u32, Vec<u32>> = HashMap::new();
    let mut parents: Vec<usize> = (0..sequences.len()).collect();
    let mut exact: HashMap<&[u8], usize> = HashMap::new();
    let mut shared = vec![0u32; sequences.len()];
    let mut touched: Vec<u32> = Vec::new();
    for (index, words_here) in words.iter().enumerate() {
        let first = *exact.entry(sequences[index]).or_insert(index);
        if first != index {
            // An exact copy of an earlier sequence has nothing new to say.
            join(&mut parents, first, index);
            continue;
        }
        for word in words_here {
            let earlier = with_word.entry(*word).or_default();
            for &other in earlier.iter() {
                if shared[other as usize] == 0 {
                    touched.push(other);
                }
                shared[other as usize] += 1;
            }
            earlier.push(index as u32);
        }
        for other in touched.drain(..) {
            let other = other as usize;
            let smaller = words_here.len().min(words[other].len());
            let (one, two) = (sequences[index].len(), sequences[other].len());
            if f64::from(std::mem::take(&mut shared[other])) > CONTAINMENT * smaller as f64
                && one.min(two) as f64 >= LENGTH_RATIO * one.max(two) as f64
            {
                join(&mut parents, other, index);
            }
        }
    }
    (0..sequences.len()).map(|index| root(&mut parents, index)).collect()
}

fn root(parents: &mut [usize], mut index: usize) -> usize {
    while parents[index] != index {
        parents[index] = parents[parents[index]];
        index = parents[index];
    }
    index
}

/// The smaller root wins, so that a cluster is named by its first member.
fn join(parents: &mut [usize], one: usize, two: usize) {
    let (one, two) = (root(parents, one), root(parents, two));
    parents[one.max(two)] = one.min(two);
}

/// The distinct words of a sequence in two bits per letter; words with an unknown letter are left out.
fn distinct_words(sequence: &[u8]) -> Vec<u32> {
    let mut words = Vec::with_capacity(sequence.len().saturating_sub(K - 1));
    let (mut word, mut known) = (0u32, 0);
    for letter in sequence {
        let code = match letter {
            b'A' => 0,
            b'C' => 1,
            b'G' => 2,
            b'U' => 3,
            _ => {
                known = 0;
                continue;
            }
        };
        word = (word << 2 | code) & ((1 << (2 * K)) - 1);
        known += 1;
        if known >= K {
            words.push(word);
        }
    }
    words.sort_unstable();
    words.dedup();
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;

    #[test]
    fn copies_with_a_few_changes_are_found_and_strangers_are_not() {
        let mut random = crate::train::random::generator(1, crate::train::random::Purpose::Split, &[]);
        let mut draw = |length: usize| -> Vec<u8> { (0..length).map(|_| b"ACGU"[random.random_range(0..4)]).collect() };
        let (one, other) = (draw(120), draw(120));
        let mut changed = one.clone();
        changed[60] = if changed[60] == b'A' { b'C' } else { b'A' };
        let part = one[10..100].to_vec();
        let fragment = one[10..60].to_vec();
        let sequences: Vec<&[u8]> = vec![&one, &other, &changed, &part, &fragment, &other, b"ACG", b"ACG", b"ACU"];
        assert_eq!(clusters(&sequences), [0, 1, 0, 0, 0, 1, 6, 6, 8]);
    }

    #[test]
    fn a_short_part_of_a_long_sequence_is_no_copy() {
        let mut random = crate::train::random::generator(2, crate::train::random::Purpose::Split, &[]);
        let long: Vec<u8> = (0..200).map(|_| b"ACGU"[random.random_range(0..4)]).collect();
        assert_eq!(clusters(&[&long, &long[..90]]), [0, 1]);
    }
}
