//! Data sets: what a run reads, in what order, and what it keeps apart for validation.

pub mod batches;
pub mod coding;
pub mod fold;
pub mod labelled;
pub mod mirtarget;
pub mod pretrain;
pub mod split;

use rand_chacha::ChaCha8Rng;

use crate::Result;

/// Records that can be fetched one by one and in any order.
pub trait Records: Sync {
    /// What the objective sees of a record in one step: cropped, cut, masked as the random numbers say.
    type Example: Send;

    /// Number of records.
    fn len(&self) -> usize;

    /// True where there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Tokens that record `index` gives at most.
    fn tokens(&self, index: usize) -> usize;

    /// Fetches record `index`. The same random numbers give the same example.
    fn example(&self, index: usize, random: &mut ChaCha8Rng) -> Result<Self::Example>;
}
