//! Masking for pretraining: spans of k tokens are hidden, and the model is to guess what stood there.
//!
//! Neighbouring k-mers share letters, so a single hidden token could be read off its neighbours. Hence spans of k
//! consecutive tokens: the letter in the middle of a span of k shows in none of the tokens left. Each chosen token
//! then becomes `[MASK]` (80 %), a random k-mer (10 %) or stays (10 %), as in BERT.

use super::tokenizer::{FIRST_KMER, MASK, Tokenizer};
use crate::{Error, Result};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use std::ops::Range;

/// Chooses and hides tokens. What it draws depends on the seed and the ordinal of the record alone.
#[derive(Clone, Copy, Debug)]
pub struct Masker {
    tokenizer: Tokenizer,
    rate: f64,
    seed: u64,
}

/// Tokens after masking; both vectors have one entry per token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Masked {
    /// The ids that the model sees.
    pub tokens: Vec<u32>,
    /// The original id where the token was chosen (also where it was kept), otherwise nothing.
    pub labels: Vec<Option<u32>>,
}

impl Masker {
    /// A masker of the `rate` (0 to 1) of the k-mers of `tokenizer`.
    pub fn new(tokenizer: Tokenizer, rate: f64, seed: u64) -> Result<Self> {
        if !(0.0..=1.0).contains(&rate) {
            return Err(Error::Usage(format!("mask rate {rate}: it must lie between 0 and 1")));
        }
        Ok(Self { tokenizer, rate, seed })
    }

    /// Masks the tokens of the record that is `ordinal`-th in its input.
    ///
    /// Spans of k consecutive k-mers are drawn until at least the rate of all k-mers is chosen: disjoint ones as long
    /// as there is room. Special tokens (`[FIL]`, `[UNK]`, ...) are never chosen and end a span; a span is shorter than
    /// k only where fewer than k k-mers stand between two of them.
    pub fn mask(&self, ordinal: u64, tokens: &[u32]) -> Masked {
        let mut masked = Masked { tokens: tokens.to_vec(), labels: vec![None; tokens.len()] };
        let is_kmer = |id: &u32| *id >= FIRST_KMER;
        let kmers = tokens.iter().filter(|id| is_kmer(id)).count();
        let wanted = self.rate * kmers as f64;
        if kmers == 0 || wanted <= 0.0 {
            return masked;
        }
        let mut random = Stream::new(self.seed, ordinal);

        // (first token, tokens) of the span that begins at each k-mer; near the end of a run it is moved back to fit.
        let mut spans: Vec<(u32, u32)> = Vec::with_capacity(kmers);
        let k = self.tokenizer.k();
        let mut start = 0;
        for run in tokens.chunk_by(|left, right| is_kmer(left) == is_kmer(right)) {
            if is_kmer(&run[0]) {
                let length = k.min(run.len());
                let last = start + run.len() - length;
                spans.extend((start..start + run.len()).map(|first| (first.min(last) as u32, length as u32)));
            }
            start += run.len();
        }

        // First spans that touch no other, in random order; then, at high rates, whatever is left.
        let mut chosen = 0;
        let mut passed = 0;
        for index in 0..spans.len() {
            if chosen as f64 >= wanted {
                break;
            }
            let draw = index + random.below((spans.len() - index) as u32) as usize;
            spans.swap(index, draw);
            let (first, length) = spans[index];
            let span = first as usize..(first + length) as usize;
            if masked.labels[span.clone()].iter().any(Option::is_some) {
                spans[passed] = spans[index];
                passed += 1;
                continue;
            }
            chosen += choose(span, tokens, &mut masked.labels);
        }
        for &(first, length) in &spans[..passed] {
            if chosen as f64 >= wanted {
                break;
            }
            chosen += choose(first as usize..(first + length) as usize, tokens, &mut masked.labels);
        }

        for (token, label) in masked.tokens.iter_mut().zip(&masked.labels) {
            if label.is_some() {
                match random.below(10) {
                    0..=7 => *token = MASK,
                    8 => *token = FIRST_KMER + random.below(self.tokenizer.kmers()),
                    _ => {}
                }
            }
        }
        masked
    }
}

/// Labels the tokens of a span and returns how many of them had no label before.
fn choose(span: Range<usize>, tokens: &[u32], labels: &mut [Option<u32>]) -> usize {
    let labels = labels[span.clone()].iter_mut();
    labels.zip(&tokens[span]).map(|(label, id)| label.replace(*id).is_none() as usize).sum()
}

/// Random numbers that are the same on every machine and in every version of the random-number crates.
struct Stream(ChaCha8Rng);

impl Stream {
    fn new(seed: u64, ordinal: u64) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        let mut generator = ChaCha8Rng::from_seed(key);
        generator.set_stream(ordinal);
        Self(generator)
    }

    /// A number from 0 to `bound` - 1, each as likely as the other (Lemire's multiply and reject).
    fn below(&mut self, bound: u32) -> u32 {
        let reject_below = bound.wrapping_neg() % bound;
        loop {
            let product = self.0.next_u32() as u64 * bound as u64;
            if product as u32 >= reject_below {
                return (product >> 32) as u32;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sequence::tokenizer::{FIL, UNK};
    use proptest::prelude::*;

    fn masker(k: usize, rate: f64, seed: u64) -> Masker {
        Masker::new(Tokenizer::new(k).unwrap(), rate, seed).unwrap()
    }

    /// A sequence of `length` letters that do not repeat soon, without unknown ones.
    fn sequence(length: usize) -> Vec<u8> {
        let mut random = Stream::new(7, 7);
        (0..length).map(|_| b"ACGU"[random.below(4) as usize]).collect()
    }

    /// Whether `count` of `trials` lies within five standard deviations of what the probability says.
    fn is_plausible(count: usize, trials: usize, probability: f64) -> bool {
        let expected = trials as f64 * probability;
        (count as f64 - expected).abs() <= 5.0 * (expected * (1.0 - probability)).sqrt() + 1.0
    }

    #[test]
    fn eight_in_ten_are_masked_and_one_is_random() {
        for k in [1, 3, 5, 7] {
            let tokens = Tokenizer::new(k).unwrap().encode(&sequence(200_000));
            let masked = masker(k, 0.15, 1).mask(0, &tokens);
            let kmers = tokens.iter().filter(|id| **id >= FIRST_KMER).count();
            let chosen: Vec<usize> = (0..tokens.len()).filter(|place| masked.labels[*place].is_some()).collect();
            assert!(
                chosen.len() as f64 >= 0.15 * kmers as f64 && chosen.len() < (0.15 * kmers as f64) as usize + 1 + k
            );
            let hidden = chosen.iter().filter(|place| masked.tokens[**place] == MASK).count();
            let kept = chosen.iter().filter(|place| masked.tokens[**place] == tokens[**place]).count();
            let random = chosen.len() - hidden - kept;
            // A random k-mer may happen to be the one that stood there.
            let same = 0.1 / 4f64.powi(k as i32);
            assert!(is_plausible(hidden, chosen.len(), 0.8), "k {k}: {hidden} of {} are [MASK]", chosen.len());
            assert!(is_plausible(kept, chosen.len(), 0.1 + same), "k {k}: {kept} of {} are kept", chosen.len());
            assert!(is_plausible(random, chosen.len(), 0.1 - same), "k {k}: {random} of {} are random", chosen.len());
            assert!(masked.tokens.iter().all(|id| *id != UNK && (*id as usize) < 4usize.pow(k as u32) + 6));
        }
    }

    #[test]
    fn every_place_and_every_kmer_is_drawn_alike() {
        // At the ends of a run fewer spans cover a token, elsewhere k of them.
        let tokens = Tokenizer::new(3).unwrap().encode(&sequence(50));
        let mut counts = vec![0; tokens.len()];
        let mut random = [0; 4];
        for ordinal in 0..20_000 {
            let masked = masker(3, 0.1, 5).mask(ordinal, &tokens);
            masked.labels.iter().zip(&mut counts).for_each(|(label, count)| *count += label.is_some() as usize);
            let changed =
                (1..49).find(|place| masked.tokens[*place] != tokens[*place] && masked.tokens[*place] != MASK);
            if let Some(place) = changed {
                random[(masked.tokens[place] - FIRST_KMER) as usize % 4] += 1;
            }
        }
        let middle = &counts[8..42];
        let mean = middle.iter().sum::<usize>() / middle.len();
        assert!(middle.iter().all(|count| count.abs_diff(mean) < mean / 6), "{counts:?}");
        let trials = random.iter().sum();
        assert!(random.iter().all(|count| is_plausible(*count, trials, 0.25)), "{random:?}");
    }

    #[test]
    fn draws_are_the_same_on_every_machine() {
        let tokens = Tokenizer::new(3).unwrap().encode(b"GCGGAUUUAGCUCAGUUGGGAGAGC");
        let masked = masker(3, 0.15, 42).mask(3, &tokens);
        let places: Vec<usize> = (0..tokens.len()).filter(|place| masked.labels[*place].is_some()).collect();
        let there: Vec<u32> = places.iter().map(|place| masked.tokens[*place]).collect();
        assert_eq!((places, there), (EXPECTED_PLACES.to_vec(), EXPECTED_TOKENS.to_vec()));
    }

    const EXPECTED_PLACES: [usize; 6] = [7, 8, 9, 12, 13, 14];
    const EXPECTED_TOKENS: [u32; 6] = [4, 4, 4, 25, 41, 4];

    #[test]
    fn depends_on_seed_and_ordinal() {
        let tokens = Tokenizer::new(3).unwrap().encode(&sequence(300));
        let base = masker(3, 0.15, 1).mask(0, &tokens);
        assert_eq!(masker(3, 0.15, 1).mask(0, &tokens), base);
        assert_ne!(masker(3, 0.15, 2).mask(0, &tokens), base);
        assert_ne!(masker(3, 0.15, 1).mask(1, &tokens), base);
    }

    #[test]
    fn rate_zero_hides_nothing_and_one_everything() {
        let tokens = Tokenizer::new(3).unwrap().encode(b"AUGNGCUAGCAUNAU");
        assert!(masker(3, 0.0, 1).mask(0, &tokens).labels.iter().all(Option::is_none));
        let all = masker(3, 1.0, 1).mask(0, &tokens).labels;
        assert!(tokens.iter().zip(all).all(|(id, label)| label.is_some() == (*id >= FIRST_KMER)));
        assert!(masker(5, 1.0, 1).mask(0, &[FIL, FIL]).labels.iter().all(Option::is_none));
        assert!(masker(5, 1.0, 1).mask(0, &[]).labels.is_empty());
    }

    #[test]
    fn refuses_rates_that_are_none() {
        for rate in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert!(Masker::new(Tokenizer::new(3).unwrap(), rate, 0).is_err());
        }
    }

    proptest! {
        #[test]
        fn spans_are_of_k_tokens_until_the_rate_is_met(
            k in prop::sample::select(vec![1usize, 3, 5, 7]),
            sequence in "[ACGU]{0,30}(N[ACGU]{0,30}){0,4}",
            rate in 0.01f64..1.0,
            seed in any::<u64>(),
            ordinal in any::<u64>(),
        ) {
            let tokens = Tokenizer::new(k).unwrap().encode(sequence.as_bytes());
            let masked = masker(k, rate, seed).mask(ordinal, &tokens);
            let kmers = tokens.iter().filter(|id| **id >= FIRST_KMER).count();
            let chosen = masked.labels.iter().flatten().count();
            prop_assert!(chosen as f64 >= rate * kmers as f64);
            prop_assert!(chosen == 0 || ((chosen - 1) as f64) < rate * kmers as f64 + k as f64 - 1.0);
            for (place, id) in tokens.iter().enumerate() {
                match masked.labels[place] {
                    None => prop_assert_eq!(masked.tokens[place], *id),
                    Some(label) => {
                        prop_assert!(label == *id && label >= FIRST_KMER);
                        prop_assert!(masked.tokens[place] == MASK || masked.tokens[place] >= FIRST_KMER);
                    }
                }
            }
            // Each run of chosen tokens is at least k long, or the whole of a shorter run of k-mers.
            let places: Vec<usize> = (0..tokens.len()).collect();
            for run in places.chunk_by(|left, right| masked.labels[*left].is_some() == masked.labels[*right].is_some()) {
                let (first, last) = (run[0], run[run.len() - 1]);
                if masked.labels[first].is_some() && run.len() < k {
                    prop_assert!(first == 0 || tokens[first - 1] < FIRST_KMER);
                    prop_assert!(last + 1 == tokens.len() || tokens[last + 1] < FIRST_KMER);
                }
            }
        }
    }
}
