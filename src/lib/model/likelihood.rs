//! How well the language model expects a sequence: its pseudo-perplexity.

use candle_core::DType;
use rayon::prelude::*;

use super::encoder::{Encode, Masking};
use super::features::Input;
use super::load::Model;
use crate::Result;

/// Passes over a sequence, each of which masks every so many-th span: the masking rate of pretraining, one in seven.
const PASSES: usize = 7;

/// Tokens whose logits are computed at a time.
const AT_A_TIME: usize = 1024;

/// About how many bytes [`pseudo_perplexity`] takes at most for a sequence of `length` tokens, by all threads of the current
/// rayon pool. Every pass may be in work at once.
pub fn memory(model: &Model, length: usize) -> u64 {
    let passes = PASSES.min(rayon::current_num_threads()) as u64;
    let logits = 4 * 3 * (AT_A_TIME.min(length) * model.weights.config.encoder.vocabulary_size()) as u64;
    passes * (model.encoder.memory(length) + logits + 16 * length as u64)
}

/// exp of the mean over the k-mers of -ln p(token | the sequence with the token's span masked); `None` where there are none.
///
/// As in pretraining, special tokens are not asked for: neither `[FIL]` at the ends nor `[UNK]`. A token that holds an N is not
/// shown either: `[UNK]` hardly occurs in training, and is read as `[MASK]`, which is what an unknown token is to the model.
///
/// Tokens are masked in spans of k, as in pretraining, so that no neighbour gives a k-mer away, and every token once, in
/// seven passes over the sequence. 1 is certainty; guessing among V tokens gives V.
///
/// # Errors
/// Where a tensor operation fails.
pub fn pseudo_perplexity(model: &Model, tokens: &[u32]) -> Result<Option<f64>> {
    let Masking { span, mask, unknown, known: is_known } = model.encoder.masking()?;
    let shown: Vec<u32> = tokens.iter().map(|&token| if Some(token) == unknown { mask } else { token }).collect();
    let is_kmer = |token: &u32| is_known.get(*token as usize).copied().unwrap_or(false);
    let masked = |pass: usize| move |&position: &usize| position / span % PASSES == pass;
    let losses = (0..PASSES)
        .into_par_iter()
        .map(|pass| {
            let hidden: Vec<usize> =
                (0..tokens.len()).filter(masked(pass)).filter(|&position| is_kmer(&shown[position])).collect();
            if hidden.is_empty() {
                return Ok(0.0);
            }
            let mut input = shown.clone();
            hidden.iter().for_each(|&position| input[position] = mask);
            let features = model.encoder.features(&[Input::Tokens(&input)])?;
            let mut loss = 0.0;
            for part in hidden.chunks(AT_A_TIME) {
                let rows: Vec<u32> = part.iter().map(|&position| position as u32).collect();
                let logits = model.encoder.logits(&features, &rows)?.to_dtype(DType::F32)?;
                let logits = logits.to_vec2::<f32>()?;
                for (row, &position) in logits.iter().zip(part) {
                    let largest = row.iter().fold(f64::NEG_INFINITY, |largest, &x| largest.max(x.into()));
                    let total: f64 = row.iter().map(|&x| (f64::from(x) - largest).exp()).sum();
                    loss += largest + total.ln() - f64::from(row[tokens[position] as usize]);
                }
            }
            Ok(loss)
        })
        .collect::<Result<Vec<f64>>>()?;
    let known = shown.iter().filter(|token| is_kmer(token)).count();
    Ok((known > 0).then(|| (losses.iter().sum::<f64>() / known as f64).exp()))
}
