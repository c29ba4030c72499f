//! Convolutions that keep the size, on channels-last arrays, as a few matrix products and no copies of patches.
//!
//! With the channels of neighbouring positions next to each other in memory, the patch of kernel x channels numbers
//! around a position is a plain slice, and the patches of all positions are a matrix whose rows overlap.

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};

use super::contiguous;
#[cfg(any(feature = "cuda", test))]
use super::gathered::Gathered;
use super::gemm::{Matrix, product};
use super::taps::{by_channel, by_tap};
#[cfg(feature = "cuda")]
use crate::model::cuda::on_gpu;
#[cfg(any(feature = "cuda", test))]
use crate::model::cuda::{Machine, Value};

/// Convolution along each sequence of a packed batch, zeros beyond its ends.
///
/// `input` is [tokens, in], `weight` [out, in, kernel] with an odd kernel; gives [tokens, out].
///
/// # Errors
/// Where the shapes do not fit each other.
pub fn convolution_1d(input: &Tensor, weight: &Tensor, offsets: &[usize], dilation: usize) -> Result<Tensor> {
    let maps = offsets.windows(2).map(|bounds| (1, bounds[1] - bounds[0])).collect();
    input.contiguous()?.apply_op2(&weight.unsqueeze(2)?.contiguous()?, Convolution { maps, dilation, flipped: false })
}

/// Convolution of one map, zeros beyond its borders.
///
/// `input` is [height x width, in], `weight` [out, in, kernel, kernel] with an odd kernel; gives [height x width, out].
///
/// # Errors
/// Where the shapes do not fit each other.
pub fn convolution_2d(input: &Tensor, weight: &Tensor, height: usize, width: usize, dilation: usize) -> Result<Tensor> {
    convolution_of_maps(input, weight, vec![(height, width)], dilation)
}

/// As [`convolution_2d`], of several maps (height, width) laid end to end.
///
/// # Errors
/// Where the shapes do not fit each other.
pub fn convolution_of_maps(
    input: &Tensor,
    weight: &Tensor,
    maps: Vec<(usize, usize)>,
    dilation: usize,
) -> Result<Tensor> {
    input.contiguous()?.apply_op2(&weight.contiguous()?, Convolution { maps, dilation, flipped: false })
}

/// Convolution of maps [height, width] laid end to end; the kernel is [rows, columns] with 1 or an odd number of rows.
#[derive(Clone)]
struct Convolution {
    maps: Vec<(usize, usize)>,
    dilation: usize,
    /// The transposed convolution, for the gradient: weights read [in, out], taps in reverse.
    flipped: bool,
}

/// The gradient of the weights.
struct WeightGradient {
    maps: Vec<(usize, usize)>,
    dilation: usize,
    kernel: (usize, usize),
}

/// A map with a border of zeros, as rows of `padded_width` positions, with slack behind the last.
struct Padded {
    data: Vec<f32>,
    width: usize,
}

impl Padded {
    fn new(map: &[f32], (height, width): (usize, usize), channels: usize, border: (usize, usize)) -> Self {
        let padded_width = width + 2 * border.1;
        let positions = (height + 2 * border.0) * padded_width + 2 * border.1;
        let mut data = vec![0f32; positions * channels];
        for row in 0..height {
            let target = ((row + border.0) * padded_width + border.1) * channels;
            data[target..target + width * channels]
                .copy_from_slice(&map[row * width * channels..(row + 1) * width * channels]);
        }
        Self { data, width: padded_width }
    }
}

/// Rows of a map computed at a time: few enough that the output of one group stays in the second-level cache.
fn rows_at_a_time(padded_width: usize, channels: usize) -> usize {
    (65_536 / (padded_width * channels).max(1)).max(1)
}

/// The convolution as the kernels know it.
#[cfg(any(feature = "cuda", test))]
fn gathered<M: Machine, R>(
    machine: &M,
    maps: &[(usize, usize)],
    (kernel_rows, kernel_columns): (usize, usize),
    dilation: usize,
    work: impl FnOnce(&Gathered) -> R,
) -> Result<R> {
    let mut table = Vec::with_capacity(3 * maps.len());
    let mut start = 0;
    // A map without positions is none.
    for &(height, width) in maps.iter().filter(|(height, width)| height * width > 0) {
        table.extend([start, height, width].map(|number| number as u32));
        start += height * width;
    }
    let memory = machine.upload(&table)?;
    let numbers = [table.len() / 3, kernel_rows, kernel_columns, dilation].map(|number| Value::U32(number as u32));
    let mut shape = vec![Value::from(machine.lend(&memory))];
    shape.extend(numbers);
    Ok(work(&Gathered { kind: "map", shape: &shape, positions: start, taps: kernel_rows * kernel_columns }))
}

impl Convolution {
    fn dimensions(&self, input: &Layout, weight: &Layout) -> Result<(usize, usize, usize, usize)> {
        let (tokens, channels) = input.shape().dims2()?;
        let (first, second, kernel_rows, kernel_columns) = weight.shape().dims4()?;
        let (out, channels_in) = if self.flipped { (second, first) } else { (first, second) };
        let positions: usize = self.maps.iter().map(|(height, width)| height * width).sum();
        if channels != channels_in || positions != tokens || kernel_rows % 2 == 0 || kernel_columns % 2 == 0 {
            candle_core::bail!(
                "convolution: {:?} on {positions} positions meets a kernel of {:?}",
                input.shape(),
                weight.shape()
            );
        }
        Ok((channels, out, kernel_rows, kernel_columns))
    }
}

impl CustomOp2 for Convolution {
    fn name(&self) -> &'static str {
        "convolution"
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<(CpuStorage, Shape)> {
        let (channels, out_channels, kernel_rows, kernel_columns) = self.dimensions(l1, l2)?;
        let input = contiguous::<f32>(s1, l1, "convolution")?;
        let weight = contiguous::<f32>(s2, l2, "convolution")?;
        // [kernel row][kernel column][in][out]: the taps of a kernel row make one matrix.
        let taps = kernel_rows * kernel_columns;
        let arranged = by_tap(weight, taps, channels, out_channels, self.flipped);
        let border = (kernel_rows / 2 * self.dilation, kernel_columns / 2 * self.dilation);
        let positions: usize = self.maps.iter().map(|(height, width)| height * width).sum();
        let mut out = vec![0f32; positions * out_channels];
        let mut start = 0;
        for &(height, width) in &self.maps {
            let end = start + height * width;
            let padded = Padded::new(&input[start * channels..end * channels], (height, width), channels, border);
            let group = rows_at_a_time(padded.width, out_channels);
            let mut wide = vec![0f32; group.min(height.max(1)) * padded.width * out_channels];
            for first in (0..height).step_by(group) {
                let rows = group.min(height - first);
                let count = rows * padded.width;
                let mut accumulate = false;
                let mut add = |position: usize, taps: usize, tap: usize| {
                    let patches = Matrix::new(&padded.data[position * channels..], count, taps * channels, channels);
                    let weights = &arranged[tap * channels * out_channels..(tap + taps) * channels * out_channels];
                    let weights = Matrix::new(weights, taps * channels, out_channels, out_channels);
                    product(patches, weights, &mut wide, out_channels, accumulate);
                    accumulate = true;
                };
                for row in 0..kernel_rows {
                    let position = (first + row * self.dilation) * padded.width;
                    if self.dilation == 1 {
                        add(position, kernel_columns, row * kernel_columns);
                    } else {
                        for column in 0..kernel_columns {
                            add(position + column * self.dilation, 1, row * kernel_columns + column);
                        }
                    }
                }
                for row in 0..rows {
                    let source = row * padded.width * out_channels;
                    let target = (start + (first + row) * width) * out_channels;
                    out[target..target + width * out_channels]
                        .copy_from_slice(&wide[source..source + width * out_channels]);
                }
            }
            start = end;
        }
        Ok((CpuStorage::F32(out), (positions, out_channels).into()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, s1: &CudaStorage, l1: &Layout, s2: &CudaStorage, l2: &Layout) -> Result<(CudaStorage, Shape)> {
        let (channels, out_channels, kernel_rows, kernel_columns) = self.dimensions(l1, l2)?;
        let out = on_gpu!(s1, |T, gpu| {
            let (input, weight) = (gpu.input::<T>(s1, l1, "convolution")?, gpu.input(s2, l2, "convolution")?);
            gpu.store(gathered(&gpu, &self.maps, (kernel_rows, kernel_columns), self.dilation, |convolution| {
                convolution.run_on(&gpu, input, weight, channels, out_channels, self.flipped)
            })??)
        });
        Ok((out, (l1.shape().dims2()?.0, out_channels).into()))
    }

    fn bwd(
        &self,
        input: &Tensor,
        weight: &Tensor,
        _result: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let gradient = gradient.contiguous()?;
        let (_, _, kernel_rows, kernel_columns) = weight.dims4()?;
        let to_input = gradient.apply_op2_no_bwd(weight, &Convolution { flipped: true, ..self.clone() })?;
        let op =
            WeightGradient { maps: self.maps.clone(), dilation: self.dilation, kernel: (kernel_rows, kernel_columns) };
        let to_weight = input.apply_op2_no_bwd(&gradient, &op)?;
        Ok((Some(to_input), Some(to_weight)))
    }
}

impl CustomOp2 for WeightGradient {
    fn name(&self) -> &'static str {
        "convolution-weight-gradient"
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<(CpuStorage, Shape)> {
        let (_, channels) = l1.shape().dims2()?;
        let (_, out_channels) = l2.shape().dims2()?;
        let input = contiguous::<f32>(s1, l1, "convolution")?;
        let gradient = contiguous::<f32>(s2, l2, "convolution")?;
        let (kernel_rows, kernel_columns) = self.kernel;
        let taps = kernel_rows * kernel_columns;
        let border = (kernel_rows / 2 * self.dilation, kernel_columns / 2 * self.dilation);
        // [tap][in][out], summed over positions; the borders of the gradient are zero, so whole padded rows go in.
        let mut sums = vec![0f32; taps * channels * out_channels];
        let mut start = 0;
        for &(height, width) in &self.maps {
            let end = start + height * width;
            let padded = Padded::new(&input[start * channels..end * channels], (height, width), channels, border);
            let mut wide = vec![0f32; height * padded.width * out_channels];
            for row in 0..height {
                let (source, target) = ((start + row * width) * out_channels, row * padded.width * out_channels);
                wide[target..target + width * out_channels]
                    .copy_from_slice(&gradient[source..source + width * out_channels]);
            }
            let count = height * padded.width;
            for tap in 0..taps {
                let (row, column) = (tap / kernel_columns, tap % kernel_columns);
                let position = row * self.dilation * padded.width + column * self.dilation;
                let shifted = Matrix::new(&padded.data[position * channels..], count, channels, channels);
                product(
                    shifted.transposed(),
                    Matrix::new(&wide, count, out_channels, out_channels),
                    &mut sums[tap * channels * out_channels..],
                    out_channels,
                    true,
                );
            }
            start = end;
        }
        let out = by_channel(&sums, taps, channels, out_channels);
        Ok((CpuStorage::F32(out), Shape::from((out_channels, channels, kernel_rows, kernel_columns))))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, s1: &CudaStorage, l1: &Layout, s2: &CudaStorage, l2: &Layout) -> Result<(CudaStorage, Shape)> {
        let (channels, out_channels) = (l1.shape().dims2()?.1, l2.shape().dims2()?.1);
        let out = on_gpu!(s1, |T, gpu| {
            let (input, gradient) = (gpu.input::<T>(s1, l1, "convolution")?, gpu.input(s2, l2, "convolution")?);
            gpu.store(gathered(&gpu, &self.maps, self.kernel, self.dilation, |convolution| {
                convolution.weight_gradient_on(&gpu, input, gradient, channels, out_channels)
            })??)
        });
        Ok((out, Shape::from((out_channels, channels, self.kernel.0, self.kernel.1))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ops::gathered::testing::agree;

    #[test]
    fn kernels_give_what_the_cpu_gives() {
        let maps = [(9, 14), (1, 1), (4, 3)];
        let map = |x: &Tensor, w: &Tensor| convolution_of_maps(x, w, maps.to_vec(), 2).unwrap();
        let positions: usize = maps.iter().map(|(height, width)| height * width).sum();
        let (sizes, kernel) = ((positions, 7, 5), (3, 3));
        agree::<f32>(|m, work| gathered(m, &maps, kernel, 2, work).unwrap(), map, sizes, &[3, 3], 3e-6);
        agree::<half::bf16>(|m, work| gathered(m, &maps, kernel, 2, work).unwrap(), map, sizes, &[3, 3], 5e-3);
        let offsets = [0, 40, 40, 41, 150];
        let maps: Vec<(usize, usize)> = offsets.windows(2).map(|pair| (1, pair[1] - pair[0])).collect();
        for (dilation, channels, out_channels) in [(1, 5, 66), (3, 34, 8)] {
            let line = |x: &Tensor, w: &Tensor| convolution_1d(x, w, &offsets, dilation).unwrap();
            let (sizes, kernel) = ((150, channels, out_channels), (1, 7));
            agree::<f32>(|m, work| gathered(m, &maps, kernel, dilation, work).unwrap(), line, sizes, &[7], 3e-6);
        }
    }
}
