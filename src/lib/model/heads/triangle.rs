//! A fold head that sees far at little cost: dilated convolutions over the triangle of pairs {i < j}.
//!
//! A pair starts as the sum of what its two bases say (5' and 3' base projected apart), and of [`PairFeatures`]: which
//! letters pair, how far apart they are, how long and strong the helix is that could form around them, and how likely
//! the pair is by free energy alone ([`crate::thermodynamics`]). Residual blocks of [RMSNorm, 3x3 convolution, ReLU, 1x1] with dilations 1, 2, 4, 8, 16, 1, 2, 1 let every pair see 35 bases
//! each way. Pairs below the diagonal mirror those above, so the triangle is all there is.

use std::ops::Range;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use rayon::prelude::*;

use super::{WithBias, tensor};
use crate::Result;
use crate::decode::pair_map::PairMap;
use crate::model::ops::bias::add_bias_and_cut;
use crate::model::ops::linear::linear_with_bias;
use crate::model::ops::recompute::{Part, recomputed};
use crate::model::ops::rms_norm::rms_norm;
use crate::model::ops::triangle::{pairs_above, triangle_convolution};
use crate::model::{ModelConfig, Parameters};
use crate::thermodynamics::pair_probabilities;

/// Numbers per pair that follow from the letters alone.
pub const PAIR_FEATURES: usize = 17;

/// Dilation of each block, repeated where there are more blocks.
const DILATIONS: [usize; 8] = [1, 2, 4, 8, 16, 1, 2, 1];

/// Pairs computed at a time for inference, about: 64 MB per map of 64 channels.
const STRIP: usize = 1 << 18;

/// Values of a map up to which training keeps everything within a block: 16 MB.
const KEPT: usize = 1 << 22;

/// The head's weights.
#[derive(Clone, Debug)]
pub struct TriangleHead {
    first: WithBias,
    second: WithBias,
    features: WithBias,
    blocks: Vec<Block>,
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

impl TriangleHead {
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
        Ok(Self {
            first: WithBias::new(parameters, "pair.first")?,
            second: WithBias::new(parameters, "pair.second")?,
            features: WithBias::new(parameters, "pair.features")?,
            blocks,
            norm: tensor(parameters, "classifier.norm.weight")?,
            out: WithBias::new(parameters, "out")?,
            norm_epsilon: config.norm_epsilon,
        })
    }

    /// The same head without gradients.
    pub fn detached(&self) -> Self {
        let with_bias = |x: &WithBias| WithBias { weight: x.weight.detach(), bias: x.bias.detach() };
        let blocks = self
            .blocks
            .iter()
            .map(|block| Block {
                norm: block.norm.detach(),
                convolution: with_bias(&block.convolution),
                pointwise: with_bias(&block.pointwise),
                dilation: block.dilation,
            })
            .collect();
        Self {
            first: with_bias(&self.first),
            second: with_bias(&self.second),
            features: with_bias(&self.features),
            blocks,
            norm: self.norm.detach(),
            out: with_bias(&self.out),
            norm_epsilon: self.norm_epsilon,
        }
    }

    /// Logits of all pairs {i < j}, [L (L - 1) / 2], row j holding (0, j) .. (j-1, j), from the features [L, d] and
    /// letters of one sequence. Differentiable.
    ///
    /// # Errors
    /// Where a tensor operation fails.
    pub fn forward(&self, features: &Tensor, sequence: &[u8]) -> Result<Tensor> {
        let first = self.first.apply(features)?;
        let second = self.second.apply(features)?;
        self.rows(&first, &second, &PairFeatures::new(sequence), 0..sequence.len())
    }

    /// Logits of the pairs of some rows, where the rows beside them count as zeros.
    fn rows(&self, first: &Tensor, second: &Tensor, features: &PairFeatures, rows: Range<usize>) -> Result<Tensor> {
        let pairs = pairs_above(rows.end) - pairs_above(rows.start);
        let device = first.device();
        let of_pairs = |side: fn(usize, usize) -> usize| -> Result<Tensor> {
            let ids: Vec<u32> = rows.clone().flat_map(|j| (0..j).map(move |i| side(i, j) as u32)).collect();
            Ok(Tensor::new(ids, device)?)
        };
        let mut x = self.features.apply(&Tensor::from_vec(
            features.rows(rows.clone()),
            (pairs, PAIR_FEATURES),
            &Device::Cpu,
        )?)?;
        x = (x + first.index_select(&of_pairs(|i, _| i)?, 0)?)?;
        x = (x + second.index_select(&of_pairs(|_, j| j)?, 0)?)?;
        for block in &self.blocks {
            let (rows, dilation, epsilon) = (rows.clone(), block.dilation, self.norm_epsilon);
            let part: Part = Arc::new(move |x, weights| {
                let [norm, convolution, bias, pointwise, pointwise_bias] = weights else {
                    candle_core::bail!("a block with other weights")
                };
                let h = rms_norm(x, norm, epsilon)?;
                let h = triangle_convolution(&h, convolution, rows.clone(), dilation)?;
                let h = add_bias_and_cut(&h, bias)?;
                x + linear_with_bias(&h, pointwise, pointwise_bias)?
            });
            let Block { norm, convolution, pointwise, .. } = block;
            let weights = [norm, &convolution.weight, &convolution.bias, &pointwise.weight, &pointwise.bias];
            let values = pairs * x.dim(1)?;
            // Long sequences keep only what is between the blocks.
            x = if x.track_op() && values > KEPT {
                recomputed(&x, &weights, part)?
            } else {
                part(&x, &weights.map(Tensor::clone))?
            };
        }
        Ok(self.out.apply(&rms_norm(&x, &self.norm, self.norm_epsilon)?)?.squeeze(1)?)
    }

    /// The logits for inference: strip by strip, each with as many rows around it as it depends on, which leaves the
    /// result exact and bounds the memory.
    ///
    /// # Errors
    /// Where a tensor operation fails.
    pub fn logits(&self, features: &Tensor, sequence: &[u8]) -> Result<PairMap> {
        let length = sequence.len();
        let mut map = PairMap::new(length);
        if length < 2 {
            return Ok(map);
        }
        let features = features.detach();
        let (first, second) = (self.first.apply(&features)?, self.second.apply(&features)?);
        let features = PairFeatures::new(sequence);
        let reach: usize = self.blocks.iter().map(|block| block.dilation).sum();
        // Strips follow from the length alone, so that the number of threads does not change the result.
        let mut bounds = vec![0];
        while bounds[bounds.len() - 1] < length {
            let start = bounds[bounds.len() - 1];
            let end = (start + 1..=length).find(|&end| pairs_above(end) - pairs_above(start) >= STRIP);
            bounds.push(end.unwrap_or(length));
        }
        let strips: Vec<Range<usize>> = bounds.windows(2).map(|pair| pair[0]..pair[1]).collect();
        let parts = strips
            .into_par_iter()
            .map(|strip| {
                let around = strip.start.saturating_sub(reach)..(strip.end + reach).min(length);
                let logits = self.rows(&first, &second, &features, around.clone())?;
                let skip = pairs_above(strip.start) - pairs_above(around.start);
                let count = pairs_above(strip.end) - pairs_above(strip.start);
                Ok(logits.narrow(0, skip, count)?.to_vec1::<f32>()?)
            })
            .collect::<Result<Vec<_>>>()?;
        let mut rest = map.values_mut();
        for part in parts {
            let (target, after) = rest.split_at_mut(part.len());
            target.copy_from_slice(&part);
            rest = after;
        }
        Ok(map)
    }
}

/// Pairs counted outward and inward along a helix.
const LONGEST: usize = 12;

/// Hydrogen bonds of a canonical pair, 0 for another.
fn bonds(a: u8, b: u8) -> f32 {
    match (a, b) {
        (b'G', b'C') | (b'C', b'G') => 3.0,
        (b'A', b'U') | (b'U', b'A') => 2.0,
        (b'G', b'U') | (b'U', b'G') => 1.0,
        _ => 0.0,
    }
}

/// What the letters of a sequence say about its pairs.
struct PairFeatures<'a> {
    sequence: &'a [u8],
    /// Probability of each pair by free energy.
    probabilities: PairMap,
    /// Probability of each base to be unpaired by free energy.
    unpaired: Vec<f32>,
}

/// Probabilities closer to 0 or 1 than this look the same.
const SURE: f32 = 1e-6;

/// The logarithm of the odds of [`SURE`].
const SURE_LOG_ODDS: f32 = 13.8;

impl<'a> PairFeatures<'a> {
    fn new(sequence: &'a [u8]) -> Self {
        let probabilities = pair_probabilities(sequence);
        let mut unpaired = vec![1f32; sequence.len()];
        for j in 0..sequence.len() {
            for (i, probability) in probabilities.row(j).iter().enumerate() {
                unpaired[i] -= probability;
                unpaired[j] -= probability;
            }
        }
        Self { sequence, probabilities, unpaired }
    }

    /// [`PAIR_FEATURES`] numbers for every pair {i < j} of the rows: the six canonical pairs one by one, three of the
    /// distance, length and hydrogen bonds of the uninterrupted helix outward and inward of a canonical pair, and by
    /// free energy the pair's probability, the logarithm of its odds, and how likely either base is unpaired.
    fn rows(&self, rows: Range<usize>) -> Vec<f32> {
        let mut features = Vec::with_capacity((pairs_above(rows.end) - pairs_above(rows.start)) * PAIR_FEATURES);
        for j in rows {
            for (i, &probability) in self.probabilities.row(j).iter().enumerate() {
                let mut row = [0f32; PAIR_FEATURES];
                letter_features(self.sequence, i, j, &mut row);
                row[13] = probability;
                row[14] = ((probability + SURE) / (1.0 - probability + SURE)).ln() / SURE_LOG_ODDS;
                row[15] = self.unpaired[i];
                row[16] = self.unpaired[j];
                features.extend_from_slice(&row);
            }
        }
        features
    }
}

/// The first 13 features, of the letters themselves.
fn letter_features(sequence: &[u8], i: usize, j: usize, row: &mut [f32; PAIR_FEATURES]) {
    let (a, b) = (sequence[i], sequence[j]);
    let kind = match (a, b) {
        (b'A', b'U') => Some(0),
        (b'U', b'A') => Some(1),
        (b'G', b'C') => Some(2),
        (b'C', b'G') => Some(3),
        (b'G', b'U') => Some(4),
        (b'U', b'G') => Some(5),
        _ => None,
    };
    let distance = j - i;
    row[6] = (distance as f32).ln() / 6.0;
    row[7] = if distance > 3 { 1.0 } else { 0.0 };
    row[8] = 4.0 / (distance as f32).max(4.0);
    if let Some(kind) = kind {
        row[kind] = 1.0;
        let (mut outward, mut outward_bonds) = (0, 0.0);
        while outward < LONGEST && i > outward && j + outward + 1 < sequence.len() {
            let bonds = bonds(sequence[i - outward - 1], sequence[j + outward + 1]);
            if bonds == 0.0 {
                break;
            }
            outward += 1;
            outward_bonds += bonds;
        }
        let (mut inward, mut inward_bonds) = (0, 0.0);
        while inward < LONGEST && j - inward - 1 > i + inward + 1 + 3 {
            let bonds = bonds(sequence[i + inward + 1], sequence[j - inward - 1]);
            if bonds == 0.0 {
                break;
            }
            inward += 1;
            inward_bonds += bonds;
        }
        row[9] = outward as f32 / 6.0;
        row[10] = inward as f32 / 6.0;
        row[11] = outward_bonds / 15.0;
        row[12] = inward_bonds / 15.0;
    }
}
