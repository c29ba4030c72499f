//! How probable it is that miRNAs bind sites: see [`crate::decode::target_site`] for what is judged.

use super::check_finite;
use crate::Result;
use crate::model::heads::mirtarget::{MirtargetHead, Pair};
use crate::model::{Encode, Input, Model};

/// About how many bytes [`predict`] takes at most for `pairs`.
pub fn memory(model: &Model, head: &MirtargetHead, pairs: &[Pair]) -> u64 {
    // With the special tokens that an encoder may put between.
    let tokens = pairs.iter().map(|pair| pair.input().nucleotides() + 2).sum();
    model.encoder.memory(tokens) + head.memory(pairs) + 8 * tokens as u64
}

/// The probability of each pair to be a miRNA and its target site, by all threads of the current rayon pool. `name` says
/// what an error calls a pair.
///
/// # Errors
/// Where the model runs out of memory or gives numbers that are not finite.
pub fn predict(
    model: &Model,
    head: &MirtargetHead,
    pairs: &[Pair],
    name: impl Fn(usize) -> String,
) -> Result<Vec<f32>> {
    let inputs: Vec<Input> = pairs.iter().map(Pair::input).collect();
    let probabilities = head.probabilities(&model.encoder.features(&inputs)?, pairs)?;
    for (index, probability) in probabilities.iter().enumerate() {
        if !probability.is_finite() {
            check_finite(&name(index), &[*probability])?;
        }
    }
    Ok(probabilities)
}
