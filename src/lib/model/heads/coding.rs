//! Which bases of a transcript code: one logit per base.

use candle_core::{DType, Tensor};
use rayon::prelude::*;

use super::frames::{FRAME_FEATURES, frame_features};
use super::{WithBias, constant, tensor};
use crate::Result;
use crate::model::ops::bias::{add_bias, add_bias_and_cut};
use crate::model::ops::convolution::convolution_1d;
use crate::model::ops::linear::linear;
use crate::model::ops::rms_norm::rms_norm;
use crate::model::{HeadKind, ModelConfig, Packed, Parameters};

/// Bases of a long transcript computed at a time. Fixed, so that the number of threads does not change the result.
const PIECE: usize = 2048;

/// Dilation of each block of the frames head, repeated where there are more: multiples of three keep to the frame.
const DILATIONS: [usize; 4] = [1, 3, 9, 27];

/// A coding head of either kind.
#[derive(Clone, Debug)]
pub struct CodingHead(Kind);

#[derive(Clone, Debug)]
enum Kind {
    /// As published: Linear(d, width), residual blocks of [1, ReLU, 7, ReLU, 1, ReLU], convolution of 3 to one logit.
    Published { linear_in: WithBias, blocks: Vec<[WithBias; 3]>, conv_out: WithBias },
    /// Features of the encoder and of the reading frames, residual blocks of [RMSNorm, dilated 7, ReLU, 1], one logit.
    Frames { features: WithBias, frames: WithBias, blocks: Vec<FramesBlock>, norm: Tensor, out: WithBias, epsilon: f64 },
}

#[derive(Clone, Debug)]
struct FramesBlock {
    norm: Tensor,
    convolution: WithBias,
    pointwise: WithBias,
    dilation: usize,
}

impl CodingHead {
    /// Picks the head's tensors out of `parameters`; leaves the published blocks out where `config.skip_head_blocks`
    /// says so.
    ///
    /// # Errors
    /// Where a tensor is missing.
    pub fn new(config: &ModelConfig, parameters: &Parameters) -> Result<Self> {
        if config.head == HeadKind::Frames {
            let blocks = (0..config.head_blocks)
                .map(|i| {
                    Ok(FramesBlock {
                        norm: tensor(parameters, &format!("classifier.blocks.{i}.norm.weight"))?,
                        convolution: WithBias::new(parameters, &format!("blocks.{i}.convolution"))?,
                        pointwise: WithBias::new(parameters, &format!("blocks.{i}.pointwise"))?,
                        dilation: DILATIONS[i % DILATIONS.len()],
                    })
                })
                .collect::<Result<_>>()?;
            return Ok(Self(Kind::Frames {
                features: WithBias::new(parameters, "features")?,
                frames: WithBias::new(parameters, "frames")?,
                blocks,
                norm: tensor(parameters, "classifier.norm.weight")?,
                out: WithBias::new(parameters, "out")?,
                epsilon: config.norm_epsilon,
            }));
        }
        let blocks = if config.skip_head_blocks { 0 } else { config.head_blocks };
        let blocks = (0..blocks)
            .map(|block| {
                let part = |i: usize| WithBias::new(parameters, &format!("resnet.blocks.{block}.conv_net.{i}"));
                Ok([part(0)?, part(2)?, part(4)?])
            })
            .collect::<Result<_>>()?;
        Ok(Self(Kind::Published {
            linear_in: WithBias::new(parameters, "linear_in")?,
            blocks,
            conv_out: WithBias::new(parameters, "conv_out")?,
        }))
    }

    /// Logits [tokens] from the features [tokens, d] and the letters (ACGUN) of packed sequences. Differentiable.
    ///
    /// # Errors
    /// Where a tensor operation fails.
    pub fn forward(&self, features: &Tensor, offsets: &[usize], letters: &[u8]) -> Result<Tensor> {
        self.logits(features, offsets, &self.frame_features(offsets, letters))
    }

    /// What the head needs to know of the letters: nothing, or [tokens, [`FRAME_FEATURES`]].
    fn frame_features(&self, offsets: &[usize], letters: &[u8]) -> Vec<f32> {
        match &self.0 {
            Kind::Published { .. } => Vec::new(),
            Kind::Frames { .. } => {
                offsets.windows(2).flat_map(|bounds| frame_features(&letters[bounds[0]..bounds[1]])).collect()
            }
        }
    }

    fn logits(&self, features: &Tensor, offsets: &[usize], frame_features: &[f32]) -> Result<Tensor> {
        match &self.0 {
            Kind::Published { linear_in, blocks, conv_out } => {
                let mut x = linear_in.apply(features)?;
                for [first, middle, last] in blocks {
                    let h = add_bias_and_cut(&linear(&x, &first.matrix()?)?, &first.bias)?;
                    let h = add_bias_and_cut(&convolution_1d(&h, &middle.weight, offsets, 1)?, &middle.bias)?;
                    let h = add_bias_and_cut(&linear(&h, &last.matrix()?)?, &last.bias)?;
                    x = (x + h)?;
                }
                Ok(add_bias(&convolution_1d(&x, &conv_out.weight, offsets, 1)?, &conv_out.bias)?.squeeze(1)?)
            }
            Kind::Frames { features: from_features, frames, blocks, norm, out, epsilon } => {
                let tokens = features.dim(0)?;
                let letters = constant(frame_features.to_vec(), (tokens, FRAME_FEATURES), features)?;
                let mut x = (from_features.apply(features)? + frames.apply(&letters)?)?;
                for block in blocks {
                    let h = rms_norm(&x, &block.norm, *epsilon)?;
                    let h = convolution_1d(&h, &block.convolution.weight, offsets, block.dilation)?;
                    let h = add_bias_and_cut(&h, &block.convolution.bias)?;
                    x = (x + block.pointwise.apply(&h)?)?;
                }
                Ok(out.apply(&rms_norm(&x, norm, *epsilon)?)?.squeeze(1)?)
            }
        }
    }

    /// Bases on either side that a logit depends on, beyond the backbone.
    fn reach(&self) -> usize {
        match &self.0 {
            Kind::Published { blocks, .. } => 1 + 3 * blocks.len(),
            Kind::Frames { blocks, .. } => blocks.iter().map(|block| 3 * block.dilation).sum(),
        }
    }

    /// Probability of every base that it codes, sequences end to end, by all threads of the current rayon pool.
    ///
    /// # Errors
    /// Where a tensor operation fails.
    pub fn probabilities(&self, features: &Tensor, packed: &Packed, letters: &[u8]) -> Result<Vec<f32>> {
        let frame_features = self.frame_features(packed.offsets(), letters);
        let probability = |logit: f32| (1.0 / (1.0 + (-logit as f64).exp())) as f32;
        if !features.device().is_cpu() {
            // A GPU computes all pieces at once.
            let logits = self.logits(&features.detach(), packed.offsets(), &frame_features)?;
            return Ok(logits.to_dtype(DType::F32)?.to_vec1()?.into_iter().map(probability).collect());
        }
        let per_base = if frame_features.is_empty() { 0 } else { FRAME_FEATURES };
        let reach = self.reach();
        let pieces: Vec<(std::ops::Range<usize>, std::ops::Range<usize>)> = packed
            .ranges()
            .flat_map(|range| {
                let (start, end) = (range.start, range.end);
                range.step_by(PIECE).map(move |first| {
                    let last = (first + PIECE).min(end);
                    // What lies within reach is computed too and thrown away, which leaves the rest exact.
                    (first..last, first.saturating_sub(reach).max(start)..(last + reach).min(end))
                })
            })
            .collect();
        let parts = pieces
            .into_par_iter()
            .map(|(wanted, read)| {
                let part = features.narrow(0, read.start, read.len())?.detach();
                let frames = &frame_features[read.start * per_base..read.end * per_base];
                let logits = self.logits(&part, &[0, read.len()], frames)?.to_vec1::<f32>()?;
                Ok(logits[wanted.start - read.start..wanted.end - read.start].to_vec())
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(parts.concat().into_iter().map(probability).collect())
    }
}
