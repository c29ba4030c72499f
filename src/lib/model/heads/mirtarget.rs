//! Whether a miRNA binds a site: [CLS] miRNA [SEQ] target, read off the first token.

use candle_core::{DType, Device, Tensor};

use super::WithBias;
use crate::Result;
use crate::model::ops::linear::linear_with_bias;
use crate::model::ops::rows::select_rows;
use crate::model::{Packed, Parameters};
use crate::sequence::Tokenizer;
use crate::sequence::tokenizer::SEQ;

/// Linear(d, d), tanh, Linear(d, 2) on the features of the first token.
#[derive(Clone, Debug)]
pub struct MirtargetHead {
    dense: WithBias,
    out: WithBias,
}

/// Tokens of one pair: [CLS], the miRNA's tokens, [SEQ], the target's tokens. Both are read 5' to 3'; each has its own
/// [FIL] ends. [CLS] and [SEQ] share an id.
pub fn pair_tokens(tokenizer: &Tokenizer, mirna: &[u8], target: &[u8]) -> Vec<u32> {
    let mut tokens = vec![SEQ];
    tokens.extend(tokenizer.encode(mirna));
    tokens.push(SEQ);
    tokens.extend(tokenizer.encode(target));
    tokens
}

impl MirtargetHead {
    /// Picks the head's tensors out of `parameters`.
    ///
    /// # Errors
    /// Where a tensor is missing.
    pub fn new(parameters: &Parameters) -> Result<Self> {
        Ok(Self { dense: WithBias::new(parameters, "0")?, out: WithBias::new(parameters, "2")? })
    }

    /// Logits [sequences, 2] (no target, target) from the features [tokens, d] of packed pairs. Differentiable.
    ///
    /// # Errors
    /// Where a tensor operation fails.
    pub fn forward(&self, features: &Tensor, packed: &Packed) -> Result<Tensor> {
        let starts: Vec<u32> = packed.offsets()[..packed.sequences()].iter().map(|&start| start as u32).collect();
        let first = select_rows(features, starts)?;
        let hidden = linear_with_bias(&first, &self.dense.weight, &self.dense.bias)?.tanh()?;
        Ok(linear_with_bias(&hidden, &self.out.weight, &self.out.bias)?)
    }

    /// Probability that each pair is a target.
    ///
    /// # Errors
    /// Where a tensor operation fails.
    pub fn probabilities(&self, features: &Tensor, packed: &Packed) -> Result<Vec<f32>> {
        // candle's softmax fails on no rows.
        if packed.sequences() == 0 {
            return Ok(Vec::new());
        }
        let logits = self.forward(features, packed)?.to_dtype(DType::F32)?.to_device(&Device::Cpu)?;
        let of_classes = candle_nn::ops::softmax_last_dim(&logits.contiguous()?)?;
        Ok(of_classes.narrow(1, 1, 1)?.flatten_all()?.to_vec1::<f32>()?)
    }
}
