//! Which bases of a transcript code: one logit per base; and whether the transcript is an mRNA.

use candle_core::{DType, Tensor};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::frames::{FRAME_FEATURES, TRANSCRIPT_FEATURES, frame_features, transcript_features};
use super::residual_block::ResidualBlock;
use super::{WithBias, constant, norm, other_task};
use crate::Result;
use crate::decode::coding::coding_potential;
use crate::decode::genetic_code::GeneticCode;
use crate::model::builder::{Builder, read};
use crate::model::config::default_norm_epsilon;
use crate::model::ops::bias::{add_bias, add_bias_relu};
use crate::model::ops::convolution::convolution_1d;
use crate::model::ops::linear::linear;
use crate::model::ops::rms_norm::rms_norm;
use crate::model::{Features, HeadConfig, ModelConfig, Parameters};

/// Bases of a long transcript computed at a time. Fixed, so that the number of threads does not change the result.
const PIECE: usize = 2048;

/// Dilation of each block of the frames head, repeated where there are more: multiples of three keep to the frame.
const DILATIONS: [usize; 4] = [1, 3, 9, 27];

/// The sizes of the published head.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishedCodingConfig {
    /// Residual blocks.
    pub blocks: usize,
    /// Channels.
    pub width: usize,
    /// True where the blocks are left out of the forward pass although the weights hold them, which is what the published
    /// code does with its published weights. A model that is trained does not hold blocks that it does not use.
    #[serde(default)]
    pub skip_blocks: bool,
}

/// The sizes of the head that reads the frames.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FramesConfig {
    /// Residual blocks.
    pub blocks: usize,
    /// Channels.
    pub width: usize,
    /// The epsilon of every RMSNorm.
    #[serde(default = "default_norm_epsilon")]
    pub norm_epsilon: f64,
}

/// A coding head of either kind.
#[derive(Clone, Debug)]
pub struct CodingHead(Kind);

#[derive(Clone, Debug)]
enum Kind {
    /// As published: Linear(d, width), residual blocks of [1, ReLU, 7, ReLU, 1, ReLU], convolution of 3 to one logit.
    Published { linear_in: WithBias, blocks: Vec<[WithBias; 3]>, conv_out: WithBias },
    /// Features of the encoder and of the reading frames, residual blocks of [RMSNorm, dilated 7, ReLU, 1], one logit;
    /// mean and largest values of the last block over the transcript, Linear, ReLU, Linear, one logit per transcript.
    Frames(FramesHead),
}

#[derive(Clone, Debug)]
struct FramesHead {
    features: WithBias,
    frames: WithBias,
    blocks: Vec<ResidualBlock>,
    norm: Tensor,
    out: WithBias,
    transcript: [WithBias; 2],
    epsilon: f64,
    code: GeneticCode,
}

/// What the head says of packed sequences, before the sigmoid.
pub struct CodingLogits {
    /// One number per base, `[tokens]`.
    pub bases: Tensor,
    /// One number per sequence, `[sequences]`; the published head has none.
    pub transcripts: Option<Tensor>,
}

/// What the head says of packed sequences.
pub struct CodingProbabilities {
    /// Probability of every base that it codes, sequences end to end.
    pub bases: Vec<f32>,
    /// Probability of every sequence to be an mRNA, or a part of one; the published head does not tell.
    pub transcripts: Option<Vec<f32>>,
}

impl CodingProbabilities {
    /// The coding potential of the sequence `index`, whose bases are `range`: its own probability where the head tells,
    /// else the mean probability of its best window of `window` bases.
    pub fn potential(&self, index: usize, range: std::ops::Range<usize>, window: usize) -> f64 {
        match &self.transcripts {
            Some(transcripts) => f64::from(transcripts[index]),
            None => coding_potential(&self.bases[range], window),
        }
    }
}

impl CodingHead {
    /// Picks the head's tensors out of `parameters`.
    ///
    /// # Errors
    /// Where a tensor is missing.
    pub fn new(config: &ModelConfig, parameters: &Parameters) -> Result<Self> {
        Self::build(&config.head, config.encoder.width(), &read(parameters).pp("head"))
    }

    /// A head of the tensors that `builder` gives, for features of `d` numbers.
    ///
    /// # Errors
    /// Where a tensor is missing, or the configuration is that of another task.
    pub fn build(config: &HeadConfig, d: usize, builder: &Builder) -> Result<Self> {
        Ok(Self(match config {
            HeadConfig::Frames(config) => Kind::Frames(FramesHead::build(config, d, builder)?),
            HeadConfig::PublishedCoding(PublishedCodingConfig { blocks, width, skip_blocks }) => {
                let all = (0..*blocks)
                    .map(|block| {
                        let builder = builder.pp("resnet.blocks").pp(block).pp("conv_net");
                        let part = |name: &str, size| WithBias::build(&builder, name, &[*width, *width, size]);
                        Ok([part("0", 1)?, part("2", 7)?, part("4", 1)?])
                    })
                    .collect::<Result<Vec<_>>>()?;
                Kind::Published {
                    linear_in: WithBias::build(builder, "linear_in", &[*width, d])?,
                    blocks: if *skip_blocks { Vec::new() } else { all },
                    conv_out: WithBias::build(builder, "conv_out", &[1, *width, 3])?,
                }
            }
            other => return Err(other_task(other)),
        }))
    }

    /// The same head for transcripts of another genetic code, whose stops it is told; the published head knows of none.
    pub fn with_code(mut self, code: GeneticCode) -> Self {
        if let Kind::Frames(head) = &mut self.0 {
            head.code = code;
        }
        self
    }

    /// Logits from the features and the letters (ACGUN) of sequences, end to end. Differentiable.
    ///
    /// # Errors
    /// Where a tensor operation fails.
    pub fn forward(&self, features: &Features, letters: &[u8]) -> Result<CodingLogits> {
        let (features, offsets) = (features.rows(), features.offsets());
        match &self.0 {
            Kind::Published { linear_in, blocks, conv_out } => {
                let bases = published(linear_in, blocks, conv_out, features, offsets)?;
                Ok(CodingLogits { bases, transcripts: None })
            }
            Kind::Frames(head) => {
                let hidden = head.hidden(features, offsets, &of_all_frames(offsets, letters, head.code))?;
                let summaries = offsets
                    .windows(2)
                    .map(|bounds| {
                        let part = hidden.narrow(0, bounds[0], bounds[1] - bounds[0])?;
                        let sequence = &letters[bounds[0]..bounds[1]];
                        head.summary(&part.mean(0)?, &part.max(0)?, sequence)
                    })
                    .collect::<Result<Vec<_>>>()?;
                let transcripts = head.transcripts(&Tensor::stack(&summaries, 0)?)?;
                Ok(CodingLogits { bases: head.bases(&hidden)?, transcripts: Some(transcripts) })
            }
        }
    }

    /// About how many bytes of main memory [`CodingHead::probabilities`] takes at most for `tokens` bases, with its result, by
    /// all threads of the current rayon pool; nothing on a device with memory of its own.
    pub fn memory(&self, tokens: usize) -> u64 {
        let (tensor, blocks) = match &self.0 {
            Kind::Published { linear_in, blocks, .. } => (&linear_in.bias, blocks.len()),
            Kind::Frames(head) => (&head.features.bias, head.blocks.len()),
        };
        if !tensor.device().is_cpu() {
            return 0;
        }
        let of_base = FRAME_FEATURES + 6;
        // A piece with what is read around it, and all that its blocks hold at once: the patches of a convolution are the most.
        let of_piece = (PIECE.min(tokens) + 2 * self.reach()) * tensor.elem_count() * if blocks == 0 { 6 } else { 14 };
        let pieces = tokens.div_ceil(PIECE).min(rayon::current_num_threads());
        4 * (tokens * of_base + pieces * of_piece) as u64
    }

    /// Bases on either side that a logit depends on, beyond the encoder.
    fn reach(&self) -> usize {
        match &self.0 {
            Kind::Published { blocks, .. } => 1 + 3 * blocks.len(),
            Kind::Frames(head) => head.blocks.iter().map(|block| 3 * block.dilation).sum(),
        }
    }

    /// Probabilities of the bases and of the transcripts, by all threads of the current rayon pool; NaN where a logit is not
    /// finite.
    ///
    /// # Errors
    /// Where a tensor operation fails.
    pub fn probabilities(&self, features: &Features, letters: &[u8]) -> Result<CodingProbabilities> {
        if !features.rows().device().is_cpu() {
            // A GPU computes all pieces at once.
            let logits = self.forward(&features.clone().detached(), letters)?;
            let probabilities = |logits: &Tensor| -> Result<Vec<f32>> {
                Ok(logits.to_dtype(DType::F32)?.to_vec1()?.into_iter().map(sigmoid).collect())
            };
            let transcripts = logits.transcripts.as_ref().map(probabilities).transpose()?;
            return Ok(CodingProbabilities { bases: probabilities(&logits.bases)?, transcripts });
        }
        let reach = self.reach();
        let pieces: Vec<Piece> = features
            .ranges()
            .enumerate()
            .flat_map(|(sequence, range)| {
                let (start, end) = (range.start, range.end);
                range.step_by(PIECE).map(move |first| {
                    let last = (first + PIECE).min(end);
                    // What lies within reach is computed too and thrown away, which leaves the rest exact.
                    let read = first.saturating_sub(reach).max(start)..(last + reach).min(end);
                    Piece { sequence, wanted: first - read.start..last - read.start, read }
                })
            })
            .collect();
        let frame_features = match &self.0 {
            Kind::Published { .. } => Vec::new(),
            Kind::Frames(head) => of_all_frames(features.offsets(), letters, head.code),
        };
        let parts = pieces
            .par_iter()
            .map(|Piece { wanted, read, .. }| {
                let part = features.rows().narrow(0, read.start, read.len())?.detach();
                let offsets = [0, read.len()];
                match &self.0 {
                    Kind::Published { linear_in, blocks, conv_out } => {
                        let logits = published(linear_in, blocks, conv_out, &part, &offsets)?;
                        Ok((logits.narrow(0, wanted.start, wanted.len())?.to_vec1::<f32>()?, None))
                    }
                    Kind::Frames(head) => {
                        let frames = &frame_features[read.start * FRAME_FEATURES..read.end * FRAME_FEATURES];
                        let hidden = head.hidden(&part, &offsets, frames)?.narrow(0, wanted.start, wanted.len())?;
                        let summary = (hidden.sum(0)?, hidden.max(0)?);
                        Ok((head.bases(&hidden)?.to_vec1::<f32>()?, Some(summary)))
                    }
                }
            })
            .collect::<Result<Vec<_>>>()?;
        let transcripts = match &self.0 {
            Kind::Published { .. } => None,
            Kind::Frames(head) => {
                let summaries = features.ranges().enumerate().map(|(sequence, range)| -> Result<Option<f32>> {
                    let mut whole: Option<(Tensor, Tensor)> = None;
                    for ((_, summary), piece) in parts.iter().zip(&pieces) {
                        if let (true, Some((sum, largest))) = (piece.sequence == sequence, summary) {
                            whole = Some(match whole {
                                None => (sum.clone(), largest.clone()),
                                Some((sums, most)) => ((sums + sum)?, most.maximum(largest)?),
                            });
                        }
                    }
                    let Some((sum, largest)) = whole else { return Ok(None) };
                    let mean = (sum / range.len() as f64)?;
                    let logit = head.transcripts(&head.summary(&mean, &largest, &letters[range])?.unsqueeze(0)?)?;
                    Ok(Some(sigmoid(logit.to_vec1::<f32>()?[0])))
                });
                // A transcript without bases codes for nothing.
                Some(summaries.map(|one| Ok(one?.unwrap_or(0.0))).collect::<Result<Vec<f32>>>()?)
            }
        };
        let bases = parts.into_iter().flat_map(|(logits, _)| logits).map(sigmoid).collect();
        Ok(CodingProbabilities { bases, transcripts })
    }
}

/// Bases of one sequence that are computed together.
struct Piece {
    /// Which sequence.
    sequence: usize,
    /// The bases that are read, among all.
    read: std::ops::Range<usize>,
    /// The bases whose results are kept, among those that are read.
    wanted: std::ops::Range<usize>,
}

/// NaN where the logit is not finite: an infinite one says no more than that.
fn sigmoid(logit: f32) -> f32 {
    if !logit.is_finite() {
        return f32::NAN;
    }
    (1.0 / (1.0 + (-f64::from(logit)).exp())) as f32
}

/// [`frame_features`] of packed sequences, [tokens, [`FRAME_FEATURES`]].
fn of_all_frames(offsets: &[usize], letters: &[u8], code: GeneticCode) -> Vec<f32> {
    offsets.windows(2).flat_map(|bounds| frame_features(&letters[bounds[0]..bounds[1]], code)).collect()
}

fn published(
    linear_in: &WithBias,
    blocks: &[[WithBias; 3]],
    conv_out: &WithBias,
    features: &Tensor,
    offsets: &[usize],
) -> Result<Tensor> {
    let mut x = linear_in.apply(features)?;
    for [first, middle, last] in blocks {
        let h = add_bias_relu(&linear(&x, &first.matrix()?)?, &first.bias)?;
        let h = add_bias_relu(&convolution_1d(&h, &middle.weight, offsets, 1)?, &middle.bias)?;
        let h = add_bias_relu(&linear(&h, &last.matrix()?)?, &last.bias)?;
        x = (x + h)?;
    }
    Ok(add_bias(&convolution_1d(&x, &conv_out.weight, offsets, 1)?, &conv_out.bias)?.squeeze(1)?)
}

impl FramesHead {
    fn build(config: &FramesConfig, d: usize, builder: &Builder) -> Result<Self> {
        let FramesConfig { blocks, width, norm_epsilon } = *config;
        let transcript = builder.pp("transcript");
        Ok(Self {
            features: WithBias::build(builder, "features", &[width, d])?,
            frames: WithBias::build(builder, "frames", &[width, FRAME_FEATURES])?,
            blocks: ResidualBlock::all(blocks, &[width, width, 7], &DILATIONS, norm_epsilon, builder)?,
            norm: norm(builder, width)?,
            out: WithBias::build(builder, "out", &[1, width])?,
            transcript: [
                WithBias::build(&transcript, "0", &[width, 2 * width + TRANSCRIPT_FEATURES])?,
                WithBias::build(&transcript, "2", &[1, width])?,
            ],
            epsilon: norm_epsilon,
            code: GeneticCode::default(),
        })
    }

    /// What the blocks make of every base, [tokens, width].
    fn hidden(&self, features: &Tensor, offsets: &[usize], frame_features: &[f32]) -> Result<Tensor> {
        let tokens = features.dim(0)?;
        let letters = constant(frame_features.to_vec(), (tokens, FRAME_FEATURES), features)?;
        let mut x = (self.features.apply(features)? + self.frames.apply(&letters)?)?;
        for block in &self.blocks {
            x = (&x + block.change(&x, |x, weight| convolution_1d(x, weight, offsets, block.dilation))?)?;
        }
        Ok(rms_norm(&x, &self.norm, self.epsilon)?)
    }

    fn bases(&self, hidden: &Tensor) -> Result<Tensor> {
        Ok(self.out.apply(hidden)?.squeeze(1)?)
    }

    /// What the logit of a transcript depends on, [2 width + 3].
    fn summary(&self, mean: &Tensor, largest: &Tensor, sequence: &[u8]) -> Result<Tensor> {
        let of_sequence =
            Tensor::new(&transcript_features(sequence, self.code), mean.device())?.to_dtype(mean.dtype())?;
        Ok(Tensor::cat(&[mean, largest, &of_sequence], 0)?)
    }

    fn transcripts(&self, summaries: &Tensor) -> Result<Tensor> {
        let [first, second] = &self.transcript;
        let hidden = add_bias_relu(&linear(summaries, &first.weight)?, &first.bias)?;
        Ok(second.apply(&hidden)?.squeeze(1)?)
    }
}
