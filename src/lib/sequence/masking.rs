//! Masking for pretraining: spans of k tokens are hidden, and the model is to guess what stood there.
//!
//! Neighbouring k-mers share letters, so a single hidden token could be read off its neighbours. Hence spans of k
//! consecutive tokens: the letter in the middle of a span of k shows in none of the tokens left. Each chosen token
//! then becomes `[MASK]` (80 %), a random k-mer (10 %) or stays (10 %), as in BERT.

use super::tokenizer::{FIRST_KMER, MASK, Tokenizer};
use crate::{Error, Result};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

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
            for place in span {
                masked.labels[place] = Some(tokens[place]);
                chosen += 1;
            }
        }
        for &(first, length) in &spans[..passed] {
            if chosen as f64 >= wanted {
                break;
            }
            for place in first as usize..(first + length) as usize {
                chosen += masked.labels[place].is_none() as usize;
                masked.labels[place] = Some(tokens[place]);
            }
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
