//! A fold head that looks at nothing but pairs that could be part of a helix, and sees far at little cost.
//!
//! The pairs are those of [`HelixPairs`], between a fifth and a quarter of all. One starts as the sum of what its two
//! bases say (5' and 3' base projected apart) and of its features: which letters pair, how far apart they are, how long
//! and strong the helix is that could form around them, and how likely the pair is by free energy alone. Residual blocks
//! of [RMSNorm, 3x3 convolution, ReLU, 1x1] with dilations 1, 2, 4, 8, 16, 1, 2, 1 let every pair see those up to 35
//! bases off each way; between them every base gathers what its possible pairs say and tells them all, since it will
//! form one of them at most. Pairs below the diagonal mirror those above.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{DType, Tensor};

use super::helix_pairs::{HelixPairs, PAIR_FEATURES};
use super::{WithBias, constant, tensor};
use crate::Result;
use crate::decode::pair_map::PairMap;
use crate::model::ops::bias::add_bias_and_cut;
use crate::model::ops::linear::linear;
use crate::model::ops::pair_convolution::pair_convolution;
use crate::model::ops::pair_list::Neighbours;
use crate::model::ops::rms_norm::rms_norm;
use crate::model::ops::rows::{select_rows, sum_rows};
use crate::model::{ModelConfig, Parameters};

/// Dilation of each block, repeated where there are more blocks.
const DILATIONS: [usize; 8] = [1, 2, 4, 8, 16, 1, 2, 1];

/// Blocks between one exchange of the bases and the next.
const BLOCKS_BETWEEN: usize = 2;

/// Weighted means that a base takes of its pairs.
pub const VOICES: usize = 4;

/// A pair's weight in a mean is e^x with x between minus this and this.
const LOUDEST: f64 = 5.0;

/// Logit of a pair that is none of the helix pairs.
const IMPOSSIBLE: f32 = -100.0;

/// Number of exchanges in a head of `blocks` blocks.
pub fn exchanges(blocks: usize) -> usize {
    blocks.saturating_sub(1) / BLOCKS_BETWEEN
}

/// The head's weights.
#[derive(Clone, Debug)]
pub struct HelixHead {
    first: WithBias,
    second: WithBias,
    features: WithBias,
    blocks: Vec<Block>,
    exchanges: Vec<Exchange>,
    norm: Tensor,
    out: WithBias,
    norm_epsilon: f64,
}

#[derive(Clone, Debug)]
struct Block {
    norm: Tensor,
    convolution: WithBias,
    pointwise: WithBias,
    dilation: usize,
}

/// What the bases gather from their pairs and tell them.
#[derive(Clone, Debug)]
struct Exchange {
    norm: Tensor,
    /// How loud each pair is: [voices, width].
    loudness: Tensor,
    values: WithBias,
    state: WithBias,
    first: WithBias,
    second: WithBias,
}

impl HelixHead {
    /// Picks the head's tensors out of `parameters`.
    ///
    /// # Errors
    /// Where a tensor is missing.
    pub fn new(config: &ModelConfig, parameters: &Parameters) -> Result<Self> {
        let blocks = (0..config.head_blocks)
            .map(|i| {
                Ok(Block {
                    norm: tensor(parameters, &format!("classifier.blocks.{i}.norm.weight"))?,
                    convolution: WithBias::new(parameters, &format!("blocks.{i}.convolution"))?,
                    pointwise: WithBias::new(parameters, &format!("blocks.{i}.pointwise"))?,
                    dilation: DILATIONS[i % DILATIONS.len()],
                })
            })
            .collect::<Result<_>>()?;
        let exchanges = (0..exchanges(config.head_blocks))
            .map(|i| {
                let with_bias = |part: &str| WithBias::new(parameters, &format!("exchanges.{i}.{part}"));
                Ok(Exchange {
                    norm: tensor(parameters, &format!("classifier.exchanges.{i}.norm.weight"))?,
                    loudness: tensor(parameters, &format!("classifier.exchanges.{i}.loudness.weight"))?,
                    values: with_bias("values")?,
                    state: with_bias("state")?,
                    first: with_bias("first")?,
                    second: with_bias("second")?,
                })
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            first: WithBias::new(parameters, "pair.first")?,
            second: WithBias::new(parameters, "pair.second")?,
            features: WithBias::new(parameters, "pair.features")?,
            blocks,
            exchanges,
            norm: tensor(parameters, "classifier.norm.weight")?,
            out: WithBias::new(parameters, "out")?,
            norm_epsilon: config.norm_epsilon,
        })
    }

    /// Logits of the helix pairs, [pairs], from the features [L, d] of a sequence. Differentiable.
    ///
    /// # Errors
    /// Where a tensor operation fails.
    pub fn forward(&self, features: &Tensor, pairs: &HelixPairs) -> Result<Tensor> {
        self.run(features, pairs, false)
    }

    /// The logits for inference, by all threads of the current rayon pool. Pairs that are no helix pairs have one that
    /// stands for a probability of zero.
    ///
    /// # Errors
    /// Where a tensor operation fails.
    pub fn logits(&self, features: &Tensor, sequence: &[u8]) -> Result<PairMap> {
        let mut map = PairMap::new(sequence.len());
        map.values_mut().fill(IMPOSSIBLE);
        let pairs = HelixPairs::new(sequence);
        if pairs.list().count() > 0 {
            let logits = self.run(&features.detach(), &pairs, true)?.to_dtype(DType::F32)?.to_vec1::<f32>()?;
            for ((i, j), logit) in pairs.list().iter().zip(logits) {
                map.row_mut(j)[i] = logit;
            }
        }
        Ok(map)
    }

    fn run(&self, features: &Tensor, pairs: &HelixPairs, threads: bool) -> Result<Tensor> {
        let list = pairs.list();
        let (firsts, seconds): (Arc<[u32]>, Arc<[u32]>) = (list.firsts().into(), list.seconds().into());
        let letters = constant(pairs.features(), (list.count(), PAIR_FEATURES), features)?;
        let mut x = self.features.apply(&letters)?;
        x = (x + select_rows(&self.first.apply(features)?, firsts.clone())?)?;
        x = (x + select_rows(&self.second.apply(features)?, seconds.clone())?)?;
        let mut neighbours: BTreeMap<usize, Arc<Neighbours>> = BTreeMap::new();
        for (number, block) in self.blocks.iter().enumerate() {
            if number > 0 && number % BLOCKS_BETWEEN == 0 {
                let exchange = &self.exchanges[number / BLOCKS_BETWEEN - 1];
                x = exchange.apply(&x, &firsts, &seconds, list.length(), self.norm_epsilon)?;
            }
            let new = || Arc::new(Neighbours::new(list, block.dilation));
            let neighbours = neighbours.entry(block.dilation).or_insert_with(new);
            let h = rms_norm(&x, &block.norm, self.norm_epsilon)?;
            let h = pair_convolution(&h, &block.convolution.weight, neighbours, threads)?;
            let h = add_bias_and_cut(&h, &block.convolution.bias)?;
            x = (x + block.pointwise.apply(&h)?)?;
        }
        Ok(self.out.apply(&rms_norm(&x, &self.norm, self.norm_epsilon)?)?.squeeze(1)?)
    }
}

impl Exchange {
    /// `x` [pairs, width] plus what the two bases of each pair tell it, of `length` bases in all.
    fn apply(
        &self,
        x: &Tensor,
        firsts: &Arc<[u32]>,
        seconds: &Arc<[u32]>,
        length: usize,
        epsilon: f64,
    ) -> Result<Tensor> {
        let width = x.dim(1)?;
        let h = rms_norm(x, &self.norm, epsilon)?;
        let loudness = ((linear(&h, &self.loudness)? / LOUDEST)?.tanh()? * LOUDEST)?.exp()?;
        // Voice v speaks for the columns c with c % voices = v.
        let of_columns: Vec<f32> =
            (0..width * VOICES).map(|at| f32::from(u8::from(at / VOICES % VOICES == at % VOICES))).collect();
        let of_columns = constant(of_columns, (width, VOICES), x)?;
        let weighted = (self.values.apply(&h)? * linear(&loudness, &of_columns)?)?;
        let gathered = |values: &Tensor| -> Result<Tensor> {
            Ok((sum_rows(values, firsts.clone(), length)? + sum_rows(values, seconds.clone(), length)?)?)
        };
        // A base without pairs divides zeros by a little more than zero.
        let total = (gathered(&loudness)? + 1e-3)?;
        let mean = (gathered(&weighted)? / linear(&total, &of_columns)?)?;
        let state = linear(&Tensor::cat(&[&mean, &total.log()?], 1)?, &self.state.weight)?;
        let state = add_bias_and_cut(&state, &self.state.bias)?;
        let x = (x + select_rows(&self.first.apply(&state)?, firsts.clone())?)?;
        Ok((x + select_rows(&self.second.apply(&state)?, seconds.clone())?)?)
    }
}
