//! Which sequences are nearly identical: copies of a training record are not validated on, and are no evidence about it.

use std::collections::HashMap;

/// Words that are compared.
const K: usize = 8;
/// Two sequences are near-identical above this part of shared distinct words, of the smaller set of the two …
const CONTAINMENT: f64 = 0.8;
/// … if the shorter is at least this part of the longer.
const LENGTH_RATIO: f64 = 0.5;

/// The cluster of each sequence, named by the index of its first member: near-identical sequences, and all that are
/// linked through others, are in one cluster. A sequence shorter than a word is near-identical to its exact copies.
pub(crate) fn clusters(sequences: &[&[u8]]) -> Vec<usize> {
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
            let lengths = (sequences[index].len(), sequences[other].len());
            let counts = (words_here.len(), words[other].len());
            if are_near(lengths, counts, std::mem::take(&mut shared[other]) as usize) {
                join(&mut parents, other, index);
            }
        }
    }
    (0..sequences.len()).map(|index| root(&mut parents, index)).collect()
}

/// Whether two sequences are near-identical, as [`clusters`] has it but for links through others.
pub(crate) fn near_identical(one: &[u8], two: &[u8]) -> bool {
    let (words, others) = (distinct_words(one), distinct_words(two));
    let shared = words.iter().filter(|word| others.binary_search(word).is_ok()).count();
    one == two || are_near((one.len(), two.len()), (words.len(), others.len()), shared)
}

/// Whether sequences of these lengths and with these numbers of words are near-identical if they share so many.
fn are_near(lengths: (usize, usize), words: (usize, usize), shared: usize) -> bool {
    shared as f64 > CONTAINMENT * words.0.min(words.1) as f64
        && lengths.0.min(lengths.1) as f64 >= LENGTH_RATIO * lengths.0.max(lengths.1) as f64
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

/// The distinct words of a sequence in ascending order.
fn distinct_words(sequence: &[u8]) -> Vec<u32> {
    let mut found: Vec<u32> = words::<K>(sequence).collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// The words of N letters of a sequence in their order, two bits a letter; those with an unknown letter are left out.
pub(crate) fn words<const N: usize>(sequence: &[u8]) -> impl Iterator<Item = u32> {
    let (mut word, mut known) = (0u32, 0);
    sequence.iter().filter_map(move |letter| {
        let code = match letter {
            b'A' => 0,
            b'C' => 1,
            b'G' => 2,
            b'U' => 3,
            _ => {
                known = 0;
                return None;
            }
        };
        word = (word << 2 | code) & ((1 << (2 * N)) - 1);
        known += 1;
        (known >= N).then_some(word)
    })
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
        for (index, others) in [(0, vec![0, 2, 3]), (3, vec![0, 2, 3, 4]), (6, vec![6, 7])] {
            let near = |other: &usize| near_identical(sequences[index], sequences[*other]);
            assert_eq!((0..9).filter(near).collect::<Vec<_>>(), others);
        }
    }

    #[test]
    fn a_short_part_of_a_long_sequence_is_no_copy() {
        let mut random = crate::train::random::generator(2, crate::train::random::Purpose::Split, &[]);
        let long: Vec<u8> = (0..200).map(|_| b"ACGU"[random.random_range(0..4)]).collect();
        assert_eq!(clusters(&[&long, &long[..90]]), [0, 1]);
    }
}
