//! The published fold head.
//!
//! It concatenates the features of both bases, projects them, and runs residual blocks of convolutions
//! over the L x L map. Two facts make that cheap here. The projection of a concatenation is a sum of two projections, so
//! the L x L x 2d array never exists. And only the lower triangle is read, so little else is computed: for inference the
//! map streams through all blocks row by row, each block holding three rows, and every row ends where nothing below
//! the diagonal depends on it any more. Memory grows with L, not with L x L x channels, and the result is the whole
//! map's, not an approximation by tiles.

use std::sync::Arc;

use candle_core::{DType, Tensor};
use multiversion::multiversion;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::WithBias;
use crate::Result;
use crate::model::builder::Builder;
use crate::model::ops::bias::add_bias_relu as add_bias_relu_op;
use crate::model::ops::convolution::convolution_2d;
use crate::model::ops::gemm::{Matrix, product};
use crate::model::ops::linear::{linear, linear_with_bias};
use crate::model::ops::recompute::{Part, recomputed};
use crate::structure::{PairMap, pairs_above};

/// The sizes of the head.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishedFoldConfig {
    /// Residual blocks.
    pub blocks: usize,
    /// Channels.
    pub width: usize,
}

/// Linear(2d, width), residual blocks of [1x1, ReLU, 3x3, ReLU, 1x1, ReLU], convolution of 3x3 to one logit.
#[derive(Clone, Debug)]
pub struct PublishedFold {
    linear_in: WithBias,
    blocks: Vec<[WithBias; 3]>,
    conv_out: WithBias,
}

impl PublishedFold {
    /// A head of the tensors that `builder` gives, for features of `d` numbers.
    ///
    /// # Errors
    /// Where a tensor is missing.
    pub fn build(config: &PublishedFoldConfig, d: usize, builder: &Builder) -> Result<Self> {
        let PublishedFoldConfig { blocks, width } = *config;
        let blocks = (0..blocks)
            .map(|block| {
                let builder = builder.pp("resnet.blocks").pp(block).pp("conv_net");
                let part = |name: &str, size| WithBias::build(&builder, name, &[width, width, size, size]);
                Ok([part("0", 1)?, part("2", 3)?, part("4", 1)?])
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            linear_in: WithBias::build(builder, "linear_in", &[width, 2 * d])?,
            blocks,
            conv_out: WithBias::build(builder, "conv_out", &[1, width, 3, 3])?,
        })
    }

    /// The projections of the row's base and of the column's base, each [L, width]; the bias is in the first.
    fn projections(&self, features: &Tensor) -> Result<(Tensor, Tensor)> {
        let d = features.dim(1)?;
        let weight = &self.linear_in.weight;
        let row = linear_with_bias(features, &weight.narrow(1, 0, d)?, &self.linear_in.bias)?;
        let column = linear(features, &weight.narrow(1, d, d)?)?;
        Ok((row, column))
    }

    /// Logits of the whole map, [L, L], from the features [L, d] of one sequence. The pair {i < j} is at row j, column
    /// i. Differentiable; holds the map before each block, so it is for training and for checks. What is within a block
    /// is computed again for the gradient.
    ///
    /// # Errors
    /// Where a tensor operation fails.
    pub fn map(&self, features: &Tensor) -> Result<Tensor> {
        let length = features.dim(0)?;
        let (row, column) = self.projections(features)?;
        Ok(self.part(&row, &column)?.reshape((length, length))?)
    }

    /// Logits of the map of some rows' and some columns' projections, [rows x columns, 1], where what lies beside them
    /// counts as zeros.
    fn part(&self, row: &Tensor, column: &Tensor) -> Result<Tensor> {
        let ((rows, width), columns) = (row.dims2()?, column.dim(0)?);
        let mut x = row.unsqueeze(1)?.broadcast_add(&column.unsqueeze(0)?)?.reshape((rows * columns, width))?;
        let block: Part = Arc::new(move |x, weights| {
            let [first, first_bias, middle, middle_bias, last, last_bias] = weights else {
                candle_core::bail!("a block with other weights")
            };
            let h = add_bias_relu_op(&linear(x, first)?, first_bias)?;
            let h = add_bias_relu_op(&convolution_2d(&h, middle, rows, columns, 1)?, middle_bias)?;
            let h = add_bias_relu_op(&linear(&h, last)?, last_bias)?;
            x + h
        });
        for [first, middle, last] in &self.blocks {
            let (first_matrix, last_matrix) = (first.matrix()?, last.matrix()?);
            let weights = [&first_matrix, &first.bias, &middle.weight, &middle.bias, &last_matrix, &last.bias];
            // What nobody asks a gradient of need not be ready to be computed again.
            x = match x.track_op() {
                true => recomputed(&x, &weights, block.clone())?,
                false => block(&x, &weights.map(Tensor::clone))?,
            };
        }
        Ok(convolution_2d(&x, &self.conv_out.weight, rows, columns, 1)?.broadcast_add(&self.conv_out.bias)?)
    }

    /// Logits of all pairs {i < j} on a GPU: strips of rows, each with as many rows and columns around what is wanted as
    /// that depends on.
    fn strips(&self, features: &Tensor) -> Result<PairMap> {
        /// Pairs of a strip, about: 256 MB per map of 128 channels in f32.
        const STRIP: usize = 1 << 19;
        let length = features.dim(0)?;
        let (row, column) = self.projections(features)?;
        let reach = self.blocks.len() + 1;
        let mut map = PairMap::zeros(length, length)?;
        let mut rest = map.values_mut();
        let mut start = 0;
        while start < length {
            let end = (start + (STRIP / length).max(reach)).min(length);
            let (first, last) = (start.saturating_sub(reach), (end + reach).min(length));
            // What is wanted lies below the diagonal, in the columns before the last of these rows.
            let logits = self.part(&row.narrow(0, first, last - first)?, &column.narrow(0, 0, last)?)?;
            let logits = logits.reshape((last - first, last))?.narrow(0, start - first, end - start)?;
            for (j, logits) in (start..end).zip(logits.to_dtype(DType::F32)?.to_vec2::<f32>()?) {
                let (target, after) = std::mem::take(&mut rest).split_at_mut(j);
                target.copy_from_slice(&logits[..j]);
                rest = after;
            }
            start = end;
        }
        Ok(map)
    }

    /// The head with its weights laid out for [`PublishedFoldInference::logits`].
    ///
    /// # Errors
    /// Where a tensor operation fails.
    pub fn for_inference(&self) -> Result<PublishedFoldInference> {
        let numbers =
            |tensor: &Tensor| -> Result<Vec<f32>> { Ok(tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?) };
        // [out, in, row, column] -> [row][column][in][out]
        let taps = |tensor: &Tensor| -> Result<Vec<f32>> { numbers(&tensor.permute((2, 3, 1, 0))?.contiguous()?) };
        let blocks = self
            .blocks
            .iter()
            .map(|[first, middle, last]| {
                Ok(Block {
                    first: numbers(&first.matrix()?.t()?.contiguous()?)?,
                    first_bias: numbers(&first.bias)?,
                    middle: taps(&middle.weight)?,
                    middle_bias: numbers(&middle.bias)?,
                    last: numbers(&last.matrix()?.t()?.contiguous()?)?,
                    last_bias: numbers(&last.bias)?,
                })
            })
            .collect::<Result<_>>()?;
        Ok(PublishedFoldInference {
            head: self.clone(),
            width: self.linear_in.bias.dim(0)?,
            blocks,
            out: taps(&self.conv_out.weight)?,
            out_bias: numbers(&self.conv_out.bias)?[0],
        })
    }
}

/// Weights of one residual block, each [in][out] so that products need not rearrange them.
#[derive(Clone, Debug)]
struct Block {
    first: Vec<f32>,
    first_bias: Vec<f32>,
    /// [row][column][in][out]: a row of the kernel is one matrix of 3 x in rows.
    middle: Vec<f32>,
    middle_bias: Vec<f32>,
    last: Vec<f32>,
    last_bias: Vec<f32>,
}

/// The head, ready to fold.
#[derive(Clone, Debug)]
pub struct PublishedFoldInference {
    head: PublishedFold,
    width: usize,
    blocks: Vec<Block>,
    out: Vec<f32>,
    out_bias: f32,
}

impl PublishedFoldInference {
    /// About how many bytes of main memory [`PublishedFoldInference::logits`] takes at most for a sequence of `length` bases,
    /// by all threads of the current rayon pool: the map, the projections, and for each thread the rows that it streams.
    pub fn memory(&self, length: usize) -> u64 {
        let threads = rayon::current_num_threads().min(length / 64).max(1);
        let row = 4 * (length + 2) as u64 * self.width as u64;
        let rows_of_thread = 5 * (self.blocks.len() as u64 + 1) + 4;
        4 * pairs_above(length) as u64 + 4 * row + rows_of_thread * row * threads as u64
    }

    /// Logits of all pairs {i < j} of one sequence from its features [L, d].
    ///
    /// The rows are shared out among the threads of the current rayon pool; how many there are does not change a bit.
    ///
    /// # Errors
    /// Where a tensor operation fails.
    pub fn logits(&self, features: &Tensor) -> Result<PairMap> {
        if !features.device().is_cpu() {
            return self.head.strips(&features.detach());
        }
        let (row, column) = self.head.projections(&features.detach())?;
        let (row, column) = (row.flatten_all()?.to_vec1::<f32>()?, column.flatten_all()?.to_vec1::<f32>()?);
        let length = features.dim(0)?;
        let mut map = PairMap::zeros(length, length)?;
        // Ranges of rows of about the same area below the diagonal; short ones are not worth their halo.
        let threads = rayon::current_num_threads().min(length / 64).max(1);
        let mut bounds: Vec<usize> =
            (0..=threads).map(|i| (length as f64 * (i as f64 / threads as f64).sqrt()).round() as usize).collect();
        bounds[threads] = length;
        let mut rest = map.values_mut();
        let mut parts = Vec::new();
        for pair in bounds.windows(2) {
            let size = pairs_above(pair[1]) - pairs_above(pair[0]);
            let (part, after) = std::mem::take(&mut rest).split_at_mut(size);
            rest = after;
            parts.push((pair[0], pair[1], part));
        }
        parts.into_par_iter().for_each(|(first, last, out)| {
            Rows::new(self, length, first, last, out).run(&row, &column);
        });
        Ok(map)
    }
}

/// The logits of the rows `first..last`, computed by streaming the rows they depend on through the blocks.
struct Rows<'a> {
    head: &'a PublishedFoldInference,
    length: usize,
    first: usize,
    last: usize,
    out: &'a mut [f32],
    /// One entry per block, and one for the last convolution.
    stages: Vec<Stage>,
    scratch: Vec<f32>,
}

/// The last three rows that a convolution reads, with a column of zeros on either side, and for the residual sum the
/// last rows that entered the block. Row r is at r modulo 3 (or 2).
struct Stage {
    rows: [Vec<f32>; 3],
    entered: [Vec<f32>; 2],
}

impl<'a> Rows<'a> {
    fn new(head: &'a PublishedFoldInference, length: usize, first: usize, last: usize, out: &'a mut [f32]) -> Self {
        let (channels, padded) = (head.width, (length + 2) * head.width);
        let stages = (0..=head.blocks.len())
            .map(|stage| Stage {
                rows: std::array::from_fn(|_| vec![0.0; padded]),
                // The last convolution adds nothing to its result.
                entered: std::array::from_fn(|_| {
                    if stage < head.blocks.len() { vec![0.0; length * channels] } else { Vec::new() }
                }),
            })
            .collect();
        Self { head, length, first, last, out, stages, scratch: vec![0.0; length * channels] }
    }

    /// Convolutions between what enters `stage` and the logits.
    fn convolutions_after(&self, stage: usize) -> usize {
        self.head.blocks.len() + 1 - stage
    }

    /// Columns of row `row`, as it enters `stage`, that a logit below the diagonal depends on.
    fn columns(&self, row: usize, stage: usize) -> usize {
        self.length.min(row + 2 * self.convolutions_after(stage))
    }

    fn run(&mut self, row: &[f32], column: &[f32]) {
        if self.first >= self.last {
            return;
        }
        let channels = self.head.width;
        let halo = self.convolutions_after(0);
        let mut entering = vec![0f32; self.length * channels];
        for r in self.first.saturating_sub(halo)..(self.last + halo).min(self.length) {
            let own = &row[r * channels..(r + 1) * channels];
            let columns = self.columns(r, 0);
            for (out, other) in
                entering[..columns * channels].chunks_exact_mut(channels).zip(column.chunks_exact(channels))
            {
                for ((out, a), b) in out.iter_mut().zip(own).zip(other) {
                    *out = a + b;
                }
            }
            self.enter(0, r, &entering[..columns * channels]);
        }
    }

    /// Row `r` enters `stage`: whatever the stage can now finish goes on to the next one.
    fn enter(&mut self, stage: usize, r: usize, row: &[f32]) {
        let channels = self.head.width;
        let slot = &mut self.stages[stage];
        let target = &mut slot.rows[r % 3][channels..channels + row.len()];
        match self.head.blocks.get(stage) {
            Some(block) => {
                slot.entered[r % 2][..row.len()].copy_from_slice(row);
                pointwise(row, &block.first, &block.first_bias, target);
            }
            None => target.copy_from_slice(row),
        }
        // What leaves the stage is needed from this row on.
        let from = self.first.saturating_sub(self.convolutions_after(stage) - 1);
        if r > from {
            self.leave(stage, r - 1);
        }
        if r + 1 == self.length {
            self.leave(stage, r);
        }
    }

    /// The convolution of `stage` around row `r`, whose neighbours have entered.
    fn leave(&mut self, stage: usize, r: usize) {
        let channels = self.head.width;
        let neighbours: Vec<(usize, usize)> =
            (0..3).filter(|&k| r + k >= 1 && r + k - 1 < self.length).map(|k| (k, (r + k - 1) % 3)).collect();
        let Some(block) = self.head.blocks.get(stage) else {
            if r < self.first || r >= self.last {
                return;
            }
            let start = pairs_above(r) - pairs_above(self.first);
            let logits = &mut self.out[start..start + r];
            logits.fill(self.head.out_bias);
            for (k, slot) in neighbours {
                let taps = &self.head.out[3 * k * channels..3 * (k + 1) * channels];
                add_dots(&self.stages[stage].rows[slot], taps, channels, logits);
            }
            return;
        };
        let columns = self.columns(r, stage + 1);
        let mut middle = std::mem::take(&mut self.scratch);
        let convolved = &mut middle[..columns * channels];
        for (index, &(k, slot)) in neighbours.iter().enumerate() {
            let patches = Matrix::new(&self.stages[stage].rows[slot], columns, 3 * channels, channels);
            let taps = &block.middle[3 * k * channels * channels..3 * (k + 1) * channels * channels];
            let taps = Matrix::new(taps, 3 * channels, channels, channels);
            product(patches, taps, convolved, channels, index > 0);
        }
        add_bias_relu(convolved, &block.middle_bias);
        let mut left = vec![0f32; columns * channels];
        pointwise(convolved, &block.last, &block.last_bias, &mut left);
        for (out, x) in left.iter_mut().zip(&self.stages[stage].entered[r % 2]) {
            *out += x;
        }
        self.scratch = middle;
        self.enter(stage + 1, r, &left);
    }
}

/// ReLU(rows x weight + bias) for a weight [in][out].
fn pointwise(rows: &[f32], weight: &[f32], bias: &[f32], out: &mut [f32]) {
    let channels = bias.len();
    let inner = weight.len() / channels;
    let rows = Matrix::new(rows, rows.len() / inner, inner, inner);
    product(rows, Matrix::new(weight, inner, channels, channels), out, channels, false);
    add_bias_relu(out, bias);
}

/// ReLU(values + bias), row by row.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn add_bias_relu(values: &mut [f32], bias: &[f32]) {
    for row in values.chunks_exact_mut(bias.len()) {
        for (value, bias) in row.iter_mut().zip(bias) {
            *value = (*value + bias).max(0.0);
        }
    }
}

/// Adds to each logit the product of its patch of 3 x channels numbers and `taps`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn add_dots(row: &[f32], taps: &[f32], channels: usize, logits: &mut [f32]) {
    for (i, logit) in logits.iter_mut().enumerate() {
        *logit += crate::model::ops::rms_norm::dot(&row[i * channels..i * channels + taps.len()], taps);
    }
}
