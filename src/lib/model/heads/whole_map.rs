//! The structure heads of RiNALMo, RNA-FM and ERNIE-RNA: residual convolutions over the whole map of pairs, as published.
//!
//! RiNALMo's blocks normalise over the whole map (InstanceNorm), so that every pair depends on every other: the map is held
//! whole, and memory grows with the square of the length times the channels.

use candle_core::{DType, Tensor};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::WithBias;
use crate::Result;
use crate::model::builder::{Builder, ONES, ZEROS, fan_in};
use crate::model::ops::convolution::convolution_2d;
use crate::model::ops::linear::linear;
use crate::structure::{PairMap, is_canonical};

/// Whose head it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MapKind {
    /// RiNALMo: blocks of [1x1, 3x3, 1x1] convolutions, each followed by a norm over the whole map and ReLU.
    Rinalmo,
    /// RNA-FM: blocks of two 3x3 convolutions, dilated ones among them, after a norm by stored statistics.
    RnaFm,
    /// ERNIE-RNA: the same blocks on the scores of one attention head, and pairs made consistent by 100 steps of optimisation.
    ErnieRna,
}

/// The sizes of the head.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WholeMapConfig {
    /// Whose it is.
    pub model: MapKind,
    /// Residual blocks.
    pub blocks: usize,
    /// Channels.
    pub width: usize,
    /// Numbers of a base that pairs are made of: fewer than the encoder gives in RNA-FM, otherwise 0.
    #[serde(default)]
    pub reduced: usize,
    /// Pairs more probable than this form, where nothing else is asked for.
    pub threshold: f32,
}

/// The head's weights.
#[derive(Clone, Debug)]
pub struct WholeMap {
    config: WholeMapConfig,
    reduction: Option<WithBias>,
    entry: Entry,
    blocks: Vec<Block>,
    out: WithBias,
}

/// From what the encoder gives to the channels of the map.
#[derive(Clone, Debug)]
enum Entry {
    /// A linear map of the features of both bases.
    Features(WithBias),
    /// Two convolutions of the map of scores, which is one channel itself.
    Scores([WithBias; 2]),
}

#[derive(Clone, Debug)]
enum Block {
    /// Three convolutions without bias.
    Instance([Tensor; 3]),
    /// A norm by mean and variance with weight and bias, and two convolutions without bias.
    Batch { norm: [Tensor; 4], convolutions: [Tensor; 2] },
}

/// The epsilon of every norm.
const EPSILON: f64 = 1e-5;

impl WholeMapConfig {
    /// Channels of the first convolution of scores.
    fn narrow(&self) -> usize {
        (self.width as f64).sqrt().round() as usize
    }
}

impl WholeMap {
    /// A head of the tensors that `builder` gives, for features of `d` numbers.
    ///
    /// # Errors
    /// Where a tensor is missing.
    pub fn build(config: &WholeMapConfig, d: usize, builder: &Builder) -> Result<Self> {
        let WholeMapConfig { model, blocks, width, reduced, .. } = *config;
        let plain = |builder: &Builder, name: &str, size: usize| -> Result<Tensor> {
            let shape = [width, width, size, size];
            Ok(builder.pp(name).get_with_hints(&shape[..], "weight", fan_in(&shape))?)
        };
        let block = |builder: Builder| match model {
            MapKind::Rinalmo => Ok(Block::Instance([
                plain(&builder, "conv1", 1)?,
                plain(&builder, "conv2", 3)?,
                plain(&builder, "conv3", 1)?,
            ])),
            MapKind::RnaFm | MapKind::ErnieRna => {
                let norm = builder.pp("norm");
                Ok(Block::Batch {
                    norm: [
                        norm.get_with_hints(width, "mean", ZEROS)?,
                        norm.get_with_hints(width, "variance", ONES)?,
                        norm.get_with_hints(width, "weight", ONES)?,
                        norm.get_with_hints(width, "bias", ZEROS)?,
                    ],
                    convolutions: [plain(&builder, "conv1", 3)?, plain(&builder, "conv2", 3)?],
                })
            }
        };
        let of_base = if model == MapKind::RnaFm { reduced } else { d };
        let narrow = config.narrow();
        Ok(Self {
            config: config.clone(),
            reduction: match model {
                MapKind::RnaFm => Some(WithBias::build(builder, "reduction", &[reduced, d])?),
                MapKind::Rinalmo | MapKind::ErnieRna => None,
            },
            entry: match model {
                MapKind::ErnieRna => Entry::Scores([
                    WithBias::build(builder, "conv1", &[narrow, 1, 7, 7])?,
                    WithBias::build(builder, "conv2", &[width - 1, narrow, 7, 7])?,
                ]),
                MapKind::Rinalmo | MapKind::RnaFm => {
                    Entry::Features(WithBias::build(builder, "linear_in", &[width, 2 * of_base])?)
                }
            },
            blocks: (0..blocks).map(|index| block(builder.pp("blocks").pp(index))).collect::<Result<_>>()?,
            out: WithBias::build(builder, "conv_out", &[1, width, 3, 3])?,
        })
    }

    /// What the head is.
    pub fn config(&self) -> &WholeMapConfig {
        &self.config
    }

    /// Whether the head reads the scores of attention instead of features.
    pub fn reads_scores(&self) -> bool {
        matches!(self.entry, Entry::Scores(_))
    }

    /// Logits of the whole map, [L x L, 1], of which the pair {i < j} is at row i, column j, from the features [L, d] of one
    /// sequence, or from the queries and keys [L, 2 w] whose products the scores are. Differentiable.
    ///
    /// # Errors
    /// Where a tensor operation fails.
    pub fn map(&self, features: &Tensor) -> Result<Tensor> {
        let length = features.dim(0)?;
        let convolved = |x: &Tensor, layer: &WithBias| -> Result<Tensor> {
            Ok(convolution_2d(x, &layer.weight, length, length, 1)?.broadcast_add(&layer.bias)?)
        };
        let mut x = match &self.entry {
            Entry::Features(linear_in) => {
                let features = match &self.reduction {
                    Some(reduction) => reduction.apply(features)?,
                    None => features.clone(),
                };
                // The linear map of two rows side by side is the sum of two linear maps.
                let d = features.dim(1)?;
                let row = linear(&features, &linear_in.weight.narrow(1, 0, d)?)?;
                let column = linear(&features, &linear_in.weight.narrow(1, d, d)?)?;
                let row = row.broadcast_add(&linear_in.bias)?;
                row.unsqueeze(1)?.broadcast_add(&column.unsqueeze(0)?)?.flatten_to(1)?
            }
            Entry::Scores([first, second]) => {
                let width = features.dim(1)? / 2;
                let (queries, keys) = (features.narrow(1, 0, width)?, features.narrow(1, width, width)?);
                let scores = linear(&queries, &keys.contiguous()?)?.reshape((length * length, 1))?;
                let y = convolved(&convolved(&scores, first)?.relu()?, second)?;
                Tensor::cat(&[&y, &scores], 1)?
            }
        };
        for (index, block) in self.blocks.iter().enumerate() {
            let mut h = x.clone();
            match block {
                Block::Instance(convolutions) => {
                    for weight in convolutions {
                        h = instance_norm(&convolution_2d(&h, weight, length, length, 1)?)?.relu()?;
                    }
                }
                Block::Batch { norm: [mean, variance, weight, bias], convolutions: [first, second] } => {
                    let factor = (weight / (variance + EPSILON)?.sqrt()?)?;
                    let shift = (bias - (mean * &factor)?)?;
                    h = h.broadcast_mul(&factor)?.broadcast_add(&shift)?.relu()?;
                    h = convolution_2d(&h, first, length, length, 1)?.relu()?;
                    h = convolution_2d(&h, second, length, length, 1 << (index % 3))?;
                }
            }
            x = (x + h)?;
        }
        convolved(&x, &self.out)
    }

    /// About how many bytes [`WholeMap::logits`] takes at most for `length` bases.
    pub fn memory(&self, length: usize) -> u64 {
        // The map as it enters a block, and two or three steps within it, one with a border.
        20 * (length as u64 + 4) * (length as u64 + 4) * self.config.width as u64
    }

    /// Logits of all pairs {i < j}; of ERNIE-RNA the sums of both orders.
    ///
    /// # Errors
    /// Where a tensor operation fails.
    pub fn logits(&self, features: &Tensor) -> Result<PairMap> {
        let length = features.dim(0)?;
        let logits = self.map(&features.detach())?.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
        let mut map = PairMap::zeros(length, usize::MAX)?;
        for j in 0..length {
            for (i, target) in map.row_mut(j).iter_mut().enumerate() {
                let other = if self.reads_scores() { logits[j * length + i] } else { 0.0 };
                *target = logits[i * length + j] + other;
            }
        }
        Ok(map)
    }
}

/// Each channel of [positions, channels] without its mean and divided by its deviation.
fn instance_norm(x: &Tensor) -> Result<Tensor> {
    let centred = x.broadcast_sub(&x.mean_keepdim(0)?)?;
    let variance = centred.sqr()?.mean_keepdim(0)?;
    Ok(centred.broadcast_div(&(variance + EPSILON)?.sqrt()?)?)
}

/// What ERNIE-RNA makes of its logits (as E2Efold, Chen et al., arXiv:2002.05810): 100 steps of an optimisation that pulls each
/// base towards one partner. Turns symmetric logits into probabilities, in place.
pub(super) fn optimise(map: &mut PairMap, sequence: &[u8]) {
    let length = map.length();
    let logistic = |x: f32| 1.0 / (1.0 + (-x).exp());
    let steep = |x: f32| logistic(2.0 * x);
    // The diagonal counts as everything else, but no base pairs with itself.
    let mut utility = vec![0f32; length * length];
    for i in 0..length {
        for j in 0..length {
            let logit = map.get(i, j);
            utility[i * length + j] = if i == j { 0.0 } else { steep(logit - 1.5) * logit };
        }
    }
    let allowed: Vec<bool> =
        (0..length * length).map(|place| is_canonical(sequence[place / length], sequence[place % length])).collect();
    let mut a: Vec<f32> = (0..length * length)
        .map(|place| {
            let (i, j) = (place / length, place % length);
            let logit = map.get(i, j);
            let u = if i == j { 0.0 } else { steep(logit - 1.5) * logit };
            logistic(u) * steep(u - 1.5)
        })
        .collect();
    // The contact map of a: symmetric, and only of pairs that may form.
    let contacts = |a: &[f32], i: usize, j: usize| {
        if !allowed[i * length + j] {
            return 0.0;
        }
        let (one, two) = (a[i * length + j], a[j * length + i]);
        (one * one + two * two) / 2.0
    };
    let excess = |a: &[f32]| -> Vec<f32> {
        (0..length).into_par_iter().map(|i| (0..length).map(|j| contacts(a, i, j)).sum::<f32>() - 1.0).collect()
    };
    let mut multipliers: Vec<f32> = excess(&a).into_iter().map(|x| x.max(0.0)).collect();
    let (mut step, mut rate) = (0.01f32, 0.1f32);
    for _ in 0..100 {
        let pulls: Vec<f32> = multipliers.iter().zip(excess(&a)).map(|(m, excess)| m * steep(excess)).collect();
        let older = &a;
        a = (0..length * length)
            .into_par_iter()
            .map(|place| {
                let (i, j) = (place / length, place % length);
                let mut value = older[place];
                if allowed[place] {
                    let slope = pulls[i] - utility[place] / 2.0 + pulls[j] - utility[j * length + i] / 2.0;
                    value -= step * value * slope;
                }
                (value.abs() - 1.6 * step).max(0.0)
            })
            .collect();
        step *= 0.99;
        for (multiplier, excess) in multipliers.iter_mut().zip(excess(&a)) {
            *multiplier += rate * excess.max(0.0);
        }
        rate *= 0.99;
    }
    for j in 0..length {
        for i in 0..j {
            map.row_mut(j)[i] = contacts(&a, i, j).clamp(0.0, 1.0);
        }
    }
}
