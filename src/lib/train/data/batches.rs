//! From records to batches: the seeded order of a pass, batches by token budget, micro-batches of like lengths.

use rand::seq::SliceRandom;

use crate::train::random::{Purpose, generator};

/// How much a batch and a micro-batch hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchSize {
    /// Most records in a batch.
    pub records: usize,
    /// Most tokens in a batch; a longer record makes a batch of its own.
    pub tokens: usize,
    /// Most tokens in a micro-batch; a longer record makes one of its own.
    pub micro_tokens: usize,
}

/// The batches of one pass over the data, which depend on the seed and the number of the pass alone.
#[derive(Clone, Debug)]
pub struct Pass {
    order: Vec<u32>,
    /// Where in `order` each batch ends.
    ends: Vec<usize>,
}

impl Pass {
    /// Shuffles `records` records of `tokens(index)` tokens and cuts them into batches.
    pub fn new(records: usize, tokens: impl Fn(usize) -> usize, size: BatchSize, seed: u64, number: u64) -> Self {
        let mut order: Vec<u32> = (0..records as u32).collect();
        order.shuffle(&mut generator(seed, Purpose::Order, &[number]));
        Self::in_order(order, tokens, size)
    }

    /// Cuts records in the given order into batches.
    pub fn in_order(order: Vec<u32>, tokens: impl Fn(usize) -> usize, size: BatchSize) -> Self {
        let mut ends = Vec::new();
        let (mut in_batch, mut batch_tokens) = (0, 0);
        for (place, &index) in order.iter().enumerate() {
            let count = tokens(index as usize);
            if in_batch > 0 && (in_batch == size.records || batch_tokens + count > size.tokens) {
                ends.push(place);
                (in_batch, batch_tokens) = (0, 0);
            }
            in_batch += 1;
            batch_tokens += count;
        }
        if in_batch > 0 {
            ends.push(order.len());
        }
        Self { order, ends }
    }

    /// Number of batches.
    pub fn batches(&self) -> usize {
        self.ends.len()
    }

    /// The records of batch `number`.
    pub fn batch(&self, number: usize) -> &[u32] {
        let start = if number == 0 { 0 } else { self.ends[number - 1] };
        &self.order[start..self.ends[number]]
    }
}

/// Cuts a batch into micro-batches of at most `micro_tokens` tokens, balanced in tokens, the costliest first so that
/// threads finish together. They do not depend on the number of threads.
///
/// Lengths are bucketed here, inside the batch: a batch remains a random sample, and its micro-batches hold records of
/// like cost only as far as balance demands. Nothing is padded, so nothing more is to be gained.
pub fn micro_batches(batch: &[u32], tokens: impl Fn(usize) -> usize, micro_tokens: usize) -> Vec<Vec<u32>> {
    let mut sorted: Vec<(usize, u32)> = batch.iter().map(|&index| (tokens(index as usize), index)).collect();
    // Ties keep the order of the batch.
    sorted.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    let total: usize = sorted.iter().map(|(count, _)| count).sum();
    // An even number of parts, so that two threads have the same to do.
    let parts = total.div_ceil(micro_tokens).next_multiple_of(2).min(batch.len()).max(1);
    let mut micro_batches: Vec<(usize, Vec<u32>)> = vec![(0, Vec::new()); parts];
    for (count, index) in sorted {
        // The longest record left goes where there is least; of equals, to the first.
        let mut lightest = 0;
        for part in 1..parts {
            if micro_batches[part].0 < micro_batches[lightest].0 {
                lightest = part;
            }
        }
        micro_batches[lightest].0 += count;
        micro_batches[lightest].1.push(index);
    }
    micro_batches.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    micro_batches.into_iter().map(|(_, records)| records).filter(|records| !records.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: BatchSize = BatchSize { records: 8, tokens: 100, micro_tokens: 40 };

    fn length(index: usize) -> usize {
        1 + index * 37 % 60
    }

    #[test]
    fn a_pass_holds_every_record_once_within_the_budget() {
        let pass = Pass::new(100, length, SIZE, 3, 0);
        let mut seen: Vec<u32> = Vec::new();
        for number in 0..pass.batches() {
            let batch = pass.batch(number);
            assert!(batch.len() <= SIZE.records);
            assert!(batch.iter().map(|&index| length(index as usize)).sum::<usize>() <= SIZE.tokens);
            seen.extend(batch);
        }
        assert_ne!(seen, (0..100).collect::<Vec<_>>(), "the order is shuffled");
        let again = Pass::new(100, length, SIZE, 3, 0);
        assert_eq!((again.order, again.ends), (seen.clone(), pass.ends), "and depends on seed and pass alone");
        assert_ne!(Pass::new(100, length, SIZE, 3, 1).order, seen);
        assert_ne!(Pass::new(100, length, SIZE, 4, 0).order, seen);
        seen.sort();
        assert_eq!(seen, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn a_record_beyond_the_budget_makes_a_batch_of_its_own() {
        let pass = Pass::in_order(vec![0, 1, 2], |index| [10, 500, 10][index], SIZE);
        assert_eq!((0..3).map(|number| pass.batch(number)).collect::<Vec<_>>(), [[0], [1], [2]]);
        assert_eq!(Pass::in_order(Vec::new(), length, SIZE).batches(), 0);
    }

    #[test]
    fn micro_batches_are_balanced_and_complete() {
        let batch: Vec<u32> = (0..40).collect();
        let parts = micro_batches(&batch, length, 200);
        let sums: Vec<usize> =
            parts.iter().map(|part| part.iter().map(|&index| length(index as usize)).sum()).collect();
        assert!(parts.len().is_multiple_of(2));
        assert!(sums.iter().max().unwrap() - sums.iter().min().unwrap() <= 10, "{sums:?}");
        assert!(sums.is_sorted_by(|one, two| one >= two));
        let mut all: Vec<u32> = parts.concat();
        all.sort();
        assert_eq!(all, batch);
        assert_eq!(micro_batches(&[5], length, 1), [[5]]);
    }
}
