//! Which of many sequences share the most words with another.

use crate::sequence::near_duplicates::words;

/// Letters of a word: of 4, 5, 6 and 7, 6 finds the best homologs of bpRNA's records.
const K: usize = 6;

const WORDS: usize = 1 << (2 * K);

/// For every word the sequences that hold it.
#[derive(Clone, Debug)]
pub(super) struct WordIndex {
    /// Where the holders of a word begin in `holders`, and behind the last word its end.
    starts: Vec<u32>,
    holders: Vec<u32>,
    /// What a shared word counts: the square of the logarithm of how rare it is.
    rarity: Vec<f32>,
    /// Length of each sequence as a vector of words.
    lengths: Vec<f32>,
}

impl WordIndex {
    pub(super) fn new<'a>(sequences: impl Iterator<Item = &'a [u8]> + Clone) -> Self {
        let mut starts = vec![0u32; WORDS + 1];
        let mut count = 0;
        let mut distinct = Distinct::new();
        for sequence in sequences.clone() {
            count += 1;
            distinct.of(sequence).for_each(|word| starts[word + 1] += 1);
        }
        // A word that all hold still counts a little.
        let rarity: Vec<f32> =
            starts[1..].iter().map(|&holders| ((count + 1) as f32 / holders.max(1) as f32).ln().powi(2)).collect();
        for word in 1..starts.len() {
            starts[word] += starts[word - 1];
        }
        let mut holders = vec![0u32; starts[starts.len() - 1] as usize];
        let mut next = starts.clone();
        let mut lengths = Vec::with_capacity(count);
        for (index, sequence) in sequences.enumerate() {
            let mut length = 0.0;
            for word in distinct.of(sequence) {
                holders[next[word] as usize] = index as u32;
                next[word] += 1;
                length += rarity[word];
            }
            lengths.push(length.sqrt());
        }
        Self { starts, holders, rarity, lengths }
    }

    /// The sequences that share words with `sequence`, those that share most for their length first, `count` of them
    /// that `wanted` takes.
    pub(super) fn nearest(&self, sequence: &[u8], count: usize, wanted: impl Fn(usize) -> bool) -> Vec<usize> {
        let mut scores = vec![0f32; self.lengths.len()];
        for word in Distinct::new().of(sequence) {
            let holders = self.starts[word] as usize..self.starts[word + 1] as usize;
            for &holder in &self.holders[holders] {
                scores[holder as usize] += self.rarity[word];
            }
        }
        let mut found: Vec<(f32, usize)> = Vec::new();
        for (index, (score, length)) in scores.iter().zip(&self.lengths).enumerate() {
            if *score > 0.0 {
                found.push((score / length, index));
            }
        }
        let order = |a: &(f32, usize), b: &(f32, usize)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
        let mut nearest = Vec::with_capacity(count);
        // Few are looked at, so most need not be put in order.
        let mut rest = found.as_mut_slice();
        while !rest.is_empty() && nearest.len() < count {
            let part = rest.len().min(4 * count);
            rest.select_nth_unstable_by(part - 1, order);
            let (best, others) = rest.split_at_mut(part);
            best.sort_unstable_by(order);
            nearest.extend(
                best.iter().map(|(_, index)| *index).filter(|&index| wanted(index)).take(count - nearest.len()),
            );
            rest = others;
        }
        nearest
    }
}

/// Tells which words of a sequence are not seen for the first time.
struct Distinct {
    /// The number of the last sequence that held a word.
    last: Vec<u32>,
    sequences: u32,
}

impl Distinct {
    fn new() -> Self {
        Self { last: vec![0; WORDS], sequences: 0 }
    }

    /// The distinct words of a sequence in the order of their first places.
    fn of(&mut self, sequence: &[u8]) -> impl Iterator<Item = usize> {
        self.sequences += 1;
        words::<K>(sequence)
            .map(|word| word as usize)
            .filter(|&word| std::mem::replace(&mut self.last[word], self.sequences) != self.sequences)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_share_rare_words_come_first() {
        let sequences: [&[u8]; 5] =
            [b"AAAAAAAAAAGCGCUUCGGG", b"AAAAAAAAAACUCUGAUGAC", b"CUCUGAUGGAAAAAAAAAAA", b"", b"GGGNCCC"];
        let index = WordIndex::new(sequences.iter().copied());
        assert_eq!(index.nearest(b"CUCUGAUGAC", 9, |_| true), [1, 2]);
        assert_eq!(index.nearest(b"CUCUGAUGAC", 1, |_| true), [1]);
        assert_eq!(index.nearest(b"CUCUGAUGAC", 1, |index| index != 1), [2]);
        assert_eq!(index.nearest(b"GGGNCCC", 9, |_| true), Vec::<usize>::new());
        assert_eq!(index.nearest(b"", 9, |_| true), Vec::<usize>::new());
    }
}
