//! How well the language model expects a sequence: its pseudo-perplexity.

use candle_core::DType;
use rayon::prelude::*;

use super::encoder::Encode;
use super::features::Input;
use super::load::Model;
use crate::Result;
use crate::sequence::tokenizer::MASK;

/// Passes over a sequence, each of which masks every so many-th span: the masking rate of pretraining, one in seven.
const PASSES: usize = 7;

/// exp of the mean over all tokens of -ln p(token | the sequence with the token's span masked).
///
/// Tokens are masked in spans of k, as in pretraining, so that no neighbour gives a k-mer away, and every token once, in
/// seven passes over the sequence. 1 is certainty; guessing among V tokens gives V.
///
/// # Errors
/// Where a tensor operation fails.
pub fn pseudo_perplexity(model: &Model, tokens: &[u32]) -> Result<f64> {
    let span = model.encoder.tokenizer().k();
    let masked = |pass: usize| move |&position: &usize| position / span % PASSES == pass;
    let losses = (0..PASSES)
        .into_par_iter()
        .map(|pass| {
            let hidden: Vec<usize> = (0..tokens.len()).filter(masked(pass)).collect();
            if hidden.is_empty() {
                return Ok(0.0);
            }
            let mut input = tokens.to_vec();
            hidden.iter().for_each(|&position| input[position] = MASK);
            let features = model.encoder.features(&[Input::Tokens(&input)])?;
            let mut loss = 0.0;
            for part in hidden.chunks(1024) {
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
    Ok((losses.iter().sum::<f64>() / tokens.len().max(1) as f64).exp())
}
