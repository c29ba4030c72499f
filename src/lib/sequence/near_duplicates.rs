//! Which sequences are nearly identical: copies of a training record are not validated on, and are no evidence about it.
//!
//! Two sequences are near-identical where more than 0.8 of the distinct words of 8 letters of the one that has fewer are in
//! the other too, and the shorter is at least half as long as the longer; exact copies always are. Clusters are the
//! connected components of this relation.
//!
//! All pairs of similar length are compared, exactly, 512 at a time: sequences stand in blocks of that many, and for each
//! word a block has a line of bits that say which of its sequences have the word. The lines of a sequence's words, added up
//! bit by bit (carry-save addition: digit d of all 512 sums is one line), give the words that it shares with each. So the
//! time grows with the square of the number of sequences however alike they are, at about 0.01 ns for each word and pair.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Words that are compared.
const K: usize = 8;
/// Two sequences are near-identical above this part of shared distinct words, of the smaller set of the two …
const CONTAINMENT: f64 = 0.8;
/// … if the shorter is at least this part of the longer.
const LENGTH_RATIO: f64 = 0.5;

/// The cluster of each sequence, named by the index of its first member: near-identical sequences, and all that are
/// linked through others, are in one cluster. A sequence shorter than a word is near-identical to its exact copies. How far
/// it is goes to the log where it takes long.
pub fn clusters(sequences: &[&[u8]]) -> Vec<usize> {
    let mut parents: Vec<usize> = (0..sequences.len()).collect();
    let mut exact: HashMap<&[u8], usize> = HashMap::new();
    let mut order = Vec::new();
    for (index, sequence) in sequences.iter().enumerate() {
        let first = *exact.entry(sequence).or_insert(index);
        join(&mut parents, first, index);
        // An exact copy of an earlier sequence has nothing new to say.
        if first == index {
            order.push(index);
        }
    }
    drop(exact);
    // Blocks of like lengths: those of too different ones need not be compared.
    order.sort_by_key(|&index| (sequences[index].len(), index));
    let words: Vec<Vec<u16>> = order.iter().map(|&index| distinct_words(sequences[index])).collect();
    let length = |place: usize| sequences[order[place]].len();
    let mut block = Block::new();
    let mut shown = Instant::now();
    for start in (0..order.len()).step_by(BLOCK) {
        let end = order.len().min(start + BLOCK);
        block.fill(&words[start..end]);
        // Beyond these, all are more than twice as long as the longest of the block.
        let longest = length(end - 1);
        let last = end + order[end..].partition_point(|&index| lengths_are_near(sequences[index].len(), longest));
        for (place, words) in words.iter().enumerate().take(last).skip(start) {
            for lane in block.near(words) {
                let (one, other) = (start + lane, place);
                if lengths_are_near(length(one), length(other)) {
                    join(&mut parents, order[one], order[other]);
                }
            }
        }
        if shown.elapsed() > INTERVAL {
            shown = Instant::now();
            log::info!("{end} of {} different sequences are compared with all longer ones", order.len());
        }
    }
    (0..sequences.len()).map(|index| root(&mut parents, index)).collect()
}

/// How often to say how far the comparison is.
const INTERVAL: Duration = Duration::from_secs(10);

/// Numbers of 64 bits in a line.
const LANES: usize = 8;
/// Sequences in a block: one a bit.
const BLOCK: usize = 64 * LANES;
/// Different words of [`K`] letters.
const WORDS: usize = 1 << (2 * K);
/// Digits that the number of shared words may have.
const DIGITS: usize = 2 * K + 1;

/// A bit for each sequence of a block.
type Line = [u64; LANES];
/// A number for each sequence of a block: a line for each binary digit, the lowest first.
type Numbers = [Line; DIGITS];

/// Sequences by their words.
struct Block {
    /// For each word, which of the sequences have it.
    holders: Box<[Line]>,
    /// Which words any of the sequences has: a bit for each word.
    held: Box<[u64]>,
    /// How many words each sequence must share with one that has more.
    needed: Numbers,
    /// The least of these.
    least: usize,
}

impl Block {
    fn new() -> Self {
        let holders = vec![[0; LANES]; WORDS].into_boxed_slice();
        Self { holders, held: vec![0; WORDS / 64].into_boxed_slice(), needed: [[0; LANES]; DIGITS], least: 0 }
    }

    /// Makes this the block of sequences with these words.
    fn fill(&mut self, sequences: &[Vec<u16>]) {
        self.holders.fill([0; LANES]);
        self.held.fill(0);
        // More than there are words, for the bits that stand for no sequence.
        self.needed = [[!0; LANES]; DIGITS];
        self.least = usize::MAX;
        for (sequence, words) in sequences.iter().enumerate() {
            let (lane, bit) = (sequence / 64, 1 << (sequence % 64));
            for &word in words {
                self.holders[usize::from(word)][lane] |= bit;
                self.held[usize::from(word) / 64] |= 1 << (word % 64);
            }
            let needed = needed(words.len());
            self.least = self.least.min(needed);
            for (digit, line) in self.needed.iter_mut().enumerate() {
                line[lane] &= if needed >> digit & 1 == 1 { !0 } else { !bit };
            }
        }
    }

    /// The sequences of the block that share enough words with one that has these words.
    fn near(&self, words: &[u16]) -> impl Iterator<Item = usize> {
        let own = needed(words.len());
        let held = |&&word: &&u16| self.held[usize::from(word) / 64] >> (word % 64) & 1 == 1;
        // Those that all sequences of the block together have may be too few.
        let hits = match words.iter().filter(held).count() < own.min(self.least) {
            true => [0; LANES],
            false => enough(&self.holders, words, &self.needed, own),
        };
        hits.into_iter().enumerate().flat_map(|(lane, mut bits)| {
            std::iter::from_fn(move || {
                let bit = (bits != 0).then(|| bits.trailing_zeros() as usize)?;
                bits &= bits - 1;
                Some(64 * lane + bit)
            })
        })
    }
}

/// Which sequences have at least as many of the words as `needed` says of each, or as `own` does.
#[multiversion::multiversion(targets("x86_64+avx512f+avx512vl+avx2", "x86_64+avx2", "aarch64+neon"))]
fn enough(holders: &[Line], words: &[u16], needed: &Numbers, own: usize) -> Line {
    /// The digits of the sum of three bits.
    #[inline(always)]
    fn add(one: u64, two: u64, three: u64) -> (u64, u64) {
        let either = one ^ two;
        (either ^ three, one & two | either & three)
    }
    /// Adds a line to numbers.
    #[inline(always)]
    fn ripple(numbers: &mut [Line], mut carry: Line) {
        for line in numbers {
            for (digit, carry) in line.iter_mut().zip(&mut carry) {
                (*digit, *carry) = (*digit ^ *carry, *digit & *carry);
            }
        }
    }
    let mut shared: Numbers = [[0; LANES]; DIGITS];
    // Sums have no more digits than the number of words.
    let digits = (usize::BITS - words.len().leading_zeros()) as usize;
    let (groups, rest) = words.as_chunks::<8>();
    for group in groups {
        let lines = group.map(|word| &holders[usize::from(word)]);
        let mut eights = [0; LANES];
        for (lane, carry) in eights.iter_mut().enumerate() {
            let line = |number: usize| lines[number][lane];
            let (ones, two) = add(shared[0][lane], line(0), line(1));
            let (ones, other_two) = add(ones, line(2), line(3));
            let (twos, four) = add(shared[1][lane], two, other_two);
            let (ones, two) = add(ones, line(4), line(5));
            let (ones, other_two) = add(ones, line(6), line(7));
            let (twos, other_four) = add(twos, two, other_two);
            let (fours, eight) = add(shared[2][lane], four, other_four);
            (shared[0][lane], shared[1][lane], shared[2][lane], *carry) = (ones, twos, fours, eight);
        }
        ripple(&mut shared[3..digits.max(3)], eights);
    }
    for &word in rest {
        ripple(&mut shared[..digits], holders[usize::from(word)]);
    }
    let mut hits = [0; LANES];
    for (lane, hit) in hits.iter_mut().enumerate() {
        // Compared from the lowest digit on: a higher one overrules those below.
        let (mut their, mut our) = (!0, !0);
        for (digit, (shared, needed)) in shared.iter().zip(needed).enumerate() {
            let (shared, needed) = (shared[lane], needed[lane]);
            let own = if own >> digit & 1 == 1 { !0 } else { 0 };
            their = shared & !needed | !(shared ^ needed) & their;
            our = shared & !own | !(shared ^ own) & our;
        }
        *hit = their | our;
    }
    hits
}

/// How many words a sequence that has so many must share with one that has no fewer.
fn needed(words: usize) -> usize {
    (CONTAINMENT * words as f64) as usize + 1
}

/// Whether two sequences are near-identical, as [`clusters`] has it but for links through others.
pub(crate) fn near_identical(one: &[u8], two: &[u8]) -> bool {
    let (words, others) = (distinct_words(one), distinct_words(two));
    let shared = words.iter().filter(|word| others.binary_search(word).is_ok()).count();
    let enough = shared >= needed(words.len().min(others.len()));
    one == two || enough && lengths_are_near(one.len(), two.len())
}

fn lengths_are_near(one: usize, two: usize) -> bool {
    one.min(two) as f64 >= LENGTH_RATIO * one.max(two) as f64
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
fn distinct_words(sequence: &[u8]) -> Vec<u16> {
    let mut found: Vec<u16> = words::<K>(sequence).map(|word| word as u16).collect();
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

    /// The definition, pair by pair.
    fn clusters_by_definition(sequences: &[&[u8]]) -> Vec<usize> {
        let mut parents: Vec<usize> = (0..sequences.len()).collect();
        for one in 0..sequences.len() {
            for two in 0..one {
                if near_identical(sequences[one], sequences[two]) {
                    join(&mut parents, two, one);
                }
            }
        }
        (0..sequences.len()).map(|index| root(&mut parents, index)).collect()
    }

    /// Families of changed, cut and joined copies, in which pairs lie on both sides of the threshold.
    fn families(seed: u64, count: usize, lengths: std::ops::Range<usize>) -> Vec<Vec<u8>> {
        let mut random = crate::train::random::generator(seed, crate::train::random::Purpose::Split, &[]);
        let mut sequences: Vec<Vec<u8>> = Vec::new();
        while sequences.len() < count {
            let new = sequences.is_empty() || random.random_bool(0.02);
            let length = random.random_range(lengths.clone());
            let mut sequence: Vec<u8> = match new {
                true => {
                    (0..length).map(|_| b"ACGUN"[random.random_range(0..if length % 7 == 0 { 5 } else { 4 })]).collect()
                }
                false => sequences[random.random_range(0..sequences.len())].clone(),
            };
            for _ in 0..random.random_range(0..4) {
                let place = random.random_range(0..=sequence.len());
                match random.random_range(0..5) {
                    0 => sequence.truncate(place.max(sequence.len() / 2)),
                    1 => sequence.extend_from_within(place..),
                    2 => sequence.insert(place, b'G'),
                    _ if place < sequence.len() => sequence[place] = b"ACGU"[random.random_range(0..4)],
                    _ => {}
                }
            }
            sequence.truncate(lengths.end);
            sequences.push(sequence);
        }
        sequences
    }

    #[test]
    fn clusters_are_those_of_the_definition() {
        // Several blocks, and sequences from shorter than a word to longer than the digits of a byte.
        for (seed, count, lengths) in
            [(1, 1500, 3..40), (2, 1200, 30..90), (3, 300, 5..700), (4, 700, 8..12), (5, 1, 9..10)]
        {
            let sequences = families(seed, count, lengths);
            let sequences: Vec<&[u8]> = sequences.iter().map(Vec::as_slice).collect();
            let found = clusters(&sequences);
            assert_eq!(found, clusters_by_definition(&sequences), "seed {seed}");
            let different: std::collections::BTreeSet<_> = found.iter().collect();
            assert!(count == 1 || different.len() > 5 && different.len() < count / 2, "{} clusters", different.len());
        }
        assert!(clusters(&[]).is_empty());
    }

    proptest::proptest! {
        /// Few letters, so that sequences share words though nothing made them alike.
        #[test]
        fn clusters_of_anything_are_those_of_the_definition(
            sequences in proptest::collection::vec("[AC]{0,24}|[ACGUN]{0,30}|(ACGU){1,8}[ACGU]{0,9}", 0..80)
        ) {
            let sequences: Vec<&[u8]> = sequences.iter().map(|sequence| sequence.as_bytes()).collect();
            proptest::prop_assert_eq!(clusters(&sequences), clusters_by_definition(&sequences));
        }
    }

    #[test]
    fn a_short_part_of_a_long_sequence_is_no_copy() {
        let mut random = crate::train::random::generator(2, crate::train::random::Purpose::Split, &[]);
        let long: Vec<u8> = (0..200).map(|_| b"ACGU"[random.random_range(0..4)]).collect();
        assert_eq!(clusters(&[&long, &long[..90]]), [0, 1]);
    }
}
