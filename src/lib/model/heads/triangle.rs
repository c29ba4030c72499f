//! A fold head that sees far at little cost: dilated convolutions over the triangle of pairs {i < j}.
//!
//! A pair starts as the sum of what its two bases say (5' and 3' base projected apart), and of [`pair_features`]: which
//! letters pair, how far apart they are, and how long and strong the helix is that could form around them. Residual
//! blocks of [RMSNorm, 3x3 convolution, ReLU, 1x1] with dilations 1, 2, 4, 8, 16, 1, 2, 1 let every pair see 35 bases
//! each way. Pairs below the diagonal mirror those above, so the triangle is all there is.

use std::ops::Range;

use candle_core::{DType, Tensor};
use rayon::prelude::*;

use super::{WithBias, constant, tensor};
use crate::Result;
use crate::decode::pair_map::PairMap;
use crate::model::ops::bias::add_bias_and_cut;
use crate::model::ops::rms_norm::rms_norm;
use crate::model::ops::rows::select_rows;
use crate::model::ops::triangle::{pairs_above, triangle_convolution};
use crate::model::{ModelConfig, Parameters};

/// Numbers per pair that follow from the letters alone.
pub const PAIR_FEATURES: usize = 13;

/// Dilation of each block, repeated where there are more blocks.
const DILATIONS: [usize; 8] = [1, 2, 4, 8, 16, 1, 2, 1];

/// Pairs computed at a time for inference, about: 64 MB per map of 64 channels.
const STRIP: usize = 1 << 18;

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
        self.rows(&first, &second, sequence, 0..sequence.len())
    }

    /// Logits of the pairs of some rows, where the rows beside them count as zeros.
    fn rows(&self, first: &Tensor, second: &Tensor, sequence: &[u8], rows: Range<usize>) -> Result<Tensor> {
        let pairs = pairs_above(rows.end) - pairs_above(rows.start);
        let of_pairs = |side: fn(usize, usize) -> usize| -> Vec<u32> {
            rows.clone().flat_map(|j| (0..j).map(move |i| side(i, j) as u32)).collect()
        };
        let features = pair_features(sequence, rows.clone());
        let mut x = self.features.apply(&constant(features, (pairs, PAIR_FEATURES), first)?)?;
        x = (x + select_rows(first, of_pairs(|i, _| i))?)?;
        x = (x + select_rows(second, of_pairs(|_, j| j))?)?;
        for block in &self.blocks {
            let h = rms_norm(&x, &block.norm, self.norm_epsilon)?;
            let h = triangle_convolution(&h, &block.convolution.weight, rows.clone(), block.dilation)?;
            let h = add_bias_and_cut(&h, &block.convolution.bias)?;
            x = (x + block.pointwise.apply(&h)?)?;
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
        let reach: usize = self.blocks.iter().map(|block| block.dilation).sum();
        // Strips follow from the length alone, so that the number of threads does not change the result.
        let mut bounds = vec![0];
        while bounds[bounds.len() - 1] < length {
            let start = bounds[bounds.len() - 1];
            let end = (start + 1..=length).find(|&end| pairs_above(end) - pairs_above(start) >= STRIP);
            bounds.push(end.unwrap_or(length));
        }
        let strips: Vec<Range<usize>> = bounds.windows(2).map(|pair| pair[0]..pair[1]).collect();
        let compute = |strip: Range<usize>| -> Result<Vec<f32>> {
            let around = strip.start.saturating_sub(reach)..(strip.end + reach).min(length);
            let logits = self.rows(&first, &second, sequence, around.clone())?;
            let skip = pairs_above(strip.start) - pairs_above(around.start);
            let count = pairs_above(strip.end) - pairs_above(strip.start);
            Ok(logits.narrow(0, skip, count)?.to_dtype(DType::F32)?.to_vec1::<f32>()?)
        };
        // A GPU computes one strip with all it has.
        let parts = match features.device().is_cpu() {
            true => strips.into_par_iter().map(compute).collect::<Result<Vec<_>>>()?,
            false => strips.into_iter().map(compute).collect::<Result<Vec<_>>>()?,
        };
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

/// [`PAIR_FEATURES`] numbers for every pair {i < j} of the rows: the six canonical pairs one by one, three of the
/// distance, and length and hydrogen bonds of the uninterrupted helix outward and inward of a canonical pair.
fn pair_features(sequence: &[u8], rows: Range<usize>) -> Vec<f32> {
    let mut features = Vec::with_capacity((pairs_above(rows.end) - pairs_above(rows.start)) * PAIR_FEATURES);
    for j in rows {
        for i in 0..j {
            let mut row = [0f32; PAIR_FEATURES];
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
            features.extend_from_slice(&row);
        }
    }
    features
}
