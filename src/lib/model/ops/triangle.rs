//! Convolution of 3 x 3, dilated or not, over a triangle of pairs, zeros outside it.
//!
//! The pairs {i < j} of a sequence lie row after row, row j holding (0, j) .. (j-1, j), as in
//! [`crate::decode::pair_map::PairMap`]. The nine neighbours of a group of pairs are copied side by side, so that the
//! convolution of the group is one matrix product.

use std::ops::Range;

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};

use super::contiguous;
#[cfg(any(feature = "cuda", test))]
use super::gathered::Gathered;
use super::gemm::{Matrix, product};
#[cfg(any(feature = "cuda", test))]
use crate::model::cuda::Value;
#[cfg(feature = "cuda")]
use crate::model::cuda::on_gpu;

/// Pairs computed at a time: few enough that their neighbours stay in the second-level cache.
const GROUP: usize = 512;

/// Convolution of the rows `rows` of a triangle. `input` is [pairs, in], one row of numbers for each pair, `weight`
/// [out, in, 3, 3]; gives [pairs, out]. Rows outside `rows` count as zeros.
///
/// # Errors
/// Where the shapes do not fit each other.
pub fn triangle_convolution(input: &Tensor, weight: &Tensor, rows: Range<usize>, dilation: usize) -> Result<Tensor> {
    input.contiguous()?.apply_op2(&weight.contiguous()?, TriangleConvolution { rows, dilation, flipped: false })
}

/// Number of pairs {i < j} with j below `row`.
pub fn pairs_above(row: usize) -> usize {
    row * row.saturating_sub(1) / 2
}

#[derive(Clone)]
struct TriangleConvolution {
    rows: Range<usize>,
    dilation: usize,
    /// The transposed convolution, for the gradient: weights read [in, out], taps in reverse.
    flipped: bool,
}

struct WeightGradient {
    rows: Range<usize>,
    dilation: usize,
}

/// Copies the neighbours of the pairs `pairs` (counted from the first row) to `patches`, nine pairs' channels each.
fn gather(
    input: &[f32],
    rows: &Range<usize>,
    dilation: usize,
    channels: usize,
    (mut j, mut i): (usize, usize),
    count: usize,
    patches: &mut [f32],
) -> (usize, usize) {
    let first = pairs_above(rows.start);
    for patch in patches[..count * 9 * channels].chunks_exact_mut(9 * channels) {
        for (tap, target) in patch.chunks_exact_mut(channels).enumerate() {
            let (down, across) = (tap / 3 * dilation, tap % 3 * dilation);
            // The neighbour is at (j + down - dilation, i + across - dilation).
            let inside = j + down >= dilation + rows.start
                && j + down < dilation + rows.end
                && i + across >= dilation
                && i + across < j + down;
            if inside {
                let source = pairs_above(j + down - dilation) + i + across - dilation - first;
                target.copy_from_slice(&input[source * channels..(source + 1) * channels]);
            } else {
                target.fill(0.0);
            }
        }
        i += 1;
        while i >= j {
            j += 1;
            i = 0;
        }
    }
    (j, i)
}

/// The first pair of the rows from `row` on: row 0 has none.
fn first_pair(row: usize) -> (usize, usize) {
    (row.max(1), 0)
}

/// The convolution as the kernels know it.
#[cfg(any(feature = "cuda", test))]
fn gathered<R>(rows: &Range<usize>, dilation: usize, work: impl FnOnce(&Gathered) -> R) -> R {
    let shape = [rows.start, rows.end, dilation].map(|number| Value::U32(number as u32));
    let positions = pairs_above(rows.end) - pairs_above(rows.start);
    work(&Gathered { kind: "triangle", shape: &shape, positions, taps: 9 })
}

fn check(rows: &Range<usize>, input: &Layout) -> Result<(usize, usize)> {
    let (pairs, channels) = input.shape().dims2()?;
    if pairs_above(rows.end) - pairs_above(rows.start) != pairs {
        candle_core::bail!("triangle: {:?} meets the rows {rows:?}", input.shape());
    }
    Ok((pairs, channels))
}

impl TriangleConvolution {
    /// Pairs, channels in and channels out.
    fn dimensions(&self, input: &Layout, weight: &Layout) -> Result<(usize, usize, usize)> {
        let (pairs, channels) = check(&self.rows, input)?;
        let (first, second, height, width) = weight.shape().dims4()?;
        let (out_channels, in_channels) = if self.flipped { (second, first) } else { (first, second) };
        if (in_channels, height, width) != (channels, 3, 3) {
            candle_core::bail!("triangle: {:?} meets a kernel of {:?}", input.shape(), weight.shape());
        }
        Ok((pairs, channels, out_channels))
    }
}

impl CustomOp2 for TriangleConvolution {
    fn name(&self) -> &'static str {
        "triangle-convolution"
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<(CpuStorage, Shape)> {
        let (pairs, channels, out_channels) = self.dimensions(l1, l2)?;
        let input = contiguous::<f32>(s1, l1, "triangle")?;
        let weight = contiguous::<f32>(s2, l2, "triangle")?;
        // [tap][in][out]
        let mut arranged = vec![0f32; weight.len()];
        for tap in 0..9 {
            for c in 0..channels {
                for o in 0..out_channels {
                    let source = if self.flipped {
                        (c * out_channels + o) * 9 + (8 - tap)
                    } else {
                        (o * channels + c) * 9 + tap
                    };
                    arranged[(tap * channels + c) * out_channels + o] = weight[source];
                }
            }
        }
        let mut out = vec![0f32; pairs * out_channels];
        let mut patches = vec![0f32; GROUP.min(pairs) * 9 * channels];
        let mut place = first_pair(self.rows.start);
        for target in out.chunks_mut(GROUP * out_channels) {
            let count = target.len() / out_channels;
            place = gather(input, &self.rows, self.dilation, channels, place, count, &mut patches);
            product(
                Matrix::new(&patches, count, 9 * channels, 9 * channels),
                Matrix::new(&arranged, 9 * channels, out_channels, out_channels),
                target,
                out_channels,
                false,
            );
        }
        Ok((CpuStorage::F32(out), (pairs, out_channels).into()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, s1: &CudaStorage, l1: &Layout, s2: &CudaStorage, l2: &Layout) -> Result<(CudaStorage, Shape)> {
        let (pairs, channels, out_channels) = self.dimensions(l1, l2)?;
        let out = on_gpu!(s1, |T, gpu| {
            let (input, weight) = (gpu.input::<T>(s1, l1, "triangle")?, gpu.input(s2, l2, "triangle")?);
            gpu.store(gathered(&self.rows, self.dilation, |convolution| {
                convolution.run_on(&gpu, input, weight, channels, out_channels, self.flipped)
            })?)
        });
        Ok((out, (pairs, out_channels).into()))
    }

    fn bwd(
        &self,
        input: &Tensor,
        weight: &Tensor,
        _result: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let gradient = gradient.contiguous()?;
        let to_input = gradient.apply_op2_no_bwd(weight, &Self { flipped: true, ..self.clone() })?;
        let op = WeightGradient { rows: self.rows.clone(), dilation: self.dilation };
        Ok((Some(to_input), Some(input.apply_op2_no_bwd(&gradient, &op)?)))
    }
}

impl CustomOp2 for WeightGradient {
    fn name(&self) -> &'static str {
        "triangle-convolution-weight-gradient"
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<(CpuStorage, Shape)> {
        let (pairs, channels) = check(&self.rows, l1)?;
        let (_, out_channels) = check(&self.rows, l2)?;
        let input = contiguous::<f32>(s1, l1, "triangle")?;
        let gradient = contiguous::<f32>(s2, l2, "triangle")?;
        // [tap][in][out]
        let mut sums = vec![0f32; 9 * channels * out_channels];
        let mut patches = vec![0f32; GROUP.min(pairs) * 9 * channels];
        let mut place = first_pair(self.rows.start);
        for part in gradient.chunks(GROUP * out_channels) {
            let count = part.len() / out_channels;
            place = gather(input, &self.rows, self.dilation, channels, place, count, &mut patches);
            product(
                Matrix::new(&patches, count, 9 * channels, 9 * channels).transposed(),
                Matrix::new(part, count, out_channels, out_channels),
                &mut sums,
                out_channels,
                true,
            );
        }
        let mut out = vec![0f32; sums.len()];
        for tap in 0..9 {
            for c in 0..channels {
                for o in 0..out_channels {
                    out[(o * channels + c) * 9 + tap] = sums[(tap * channels + c) * out_channels + o];
                }
            }
        }
        Ok((CpuStorage::F32(out), Shape::from((out_channels, channels, 3, 3))))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, s1: &CudaStorage, l1: &Layout, s2: &CudaStorage, l2: &Layout) -> Result<(CudaStorage, Shape)> {
        let (channels, out_channels) = (check(&self.rows, l1)?.1, check(&self.rows, l2)?.1);
        let out = on_gpu!(s1, |T, gpu| {
            let (input, gradient) = (gpu.input::<T>(s1, l1, "triangle")?, gpu.input(s2, l2, "triangle")?);
            gpu.store(gathered(&self.rows, self.dilation, |convolution| {
                convolution.weight_gradient_on(&gpu, input, gradient, channels, out_channels)
            })?)
        });
        Ok((out, Shape::from((out_channels, channels, 3, 3))))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;
    use crate::model::ops::convolution::convolution_2d;

    /// The triangle as part of a whole map of zeros gives the same, and so do the gradients.
    #[test]
    fn equals_a_masked_map() {
        let (length, channels, out_channels) = (13, 5, 4);
        let pairs = pairs_above(length);
        let numbers = |count: usize, seed: f32| -> Vec<f32> {
            (0..count).map(|n| ((n as f32 * 1.7 + seed) * 12.9898).sin()).collect()
        };
        // Rows of an identity matrix move pairs to their place in the map.
        let places: Vec<u32> = (0..length as u32).flat_map(|j| (0..j).map(move |i| j * length as u32 + i)).collect();
        let places = Tensor::new(places, &Device::Cpu).unwrap();
        for dilation in [1, 2, 4] {
            let input = Tensor::from_vec(numbers(pairs * channels, 0.3), (pairs, channels), &Device::Cpu).unwrap();
            let weight = Tensor::from_vec(
                numbers(out_channels * channels * 9, 0.7),
                (out_channels, channels, 3, 3),
                &Device::Cpu,
            )
            .unwrap();
            let (input, weight) = (Var::from_tensor(&input).unwrap(), Var::from_tensor(&weight).unwrap());
            let mask =
                Tensor::from_vec(numbers(pairs * out_channels, 0.1), (pairs, out_channels), &Device::Cpu).unwrap();
            let ours = triangle_convolution(&input, &weight, 0..length, dilation).unwrap();
            let map = Tensor::zeros((length * length, channels), candle_core::DType::F32, &Device::Cpu).unwrap();
            let map = map.index_add(&places, &input, 0).unwrap();
            let reference = convolution_2d(&map, &weight, length, length, dilation).unwrap();
            let reference = reference.index_select(&places, 0).unwrap();
            let close = |a: &Tensor, b: &Tensor| {
                let difference = (a - b).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap();
                assert!(difference.to_scalar::<f32>().unwrap() < 1e-4);
            };
            close(&ours, &reference);
            let ours = (ours * &mask).unwrap().sum_all().unwrap().backward().unwrap();
            let reference = (reference * &mask).unwrap().sum_all().unwrap().backward().unwrap();
            close(ours.get(&input).unwrap(), reference.get(&input).unwrap());
            close(ours.get(&weight).unwrap(), reference.get(&weight).unwrap());
        }
    }

    #[test]
    fn kernels_give_what_the_cpu_gives() {
        use crate::model::ops::gathered::testing::agree;
        for (rows, dilation, channels, out_channels) in [(0..23, 1, 5, 4), (7..20, 4, 40, 70), (0..30, 2, 6, 3)] {
            let pairs = pairs_above(rows.end) - pairs_above(rows.start);
            let operation = |x: &Tensor, w: &Tensor| triangle_convolution(x, w, rows.clone(), dilation).unwrap();
            let sizes = (pairs, channels, out_channels);
            agree::<f32>(|_, work| gathered(&rows, dilation, work), operation, sizes, &[3, 3], 3e-6);
            agree::<half::bf16>(|_, work| gathered(&rows, dilation, work), operation, sizes, &[3, 3], 5e-3);
        }
    }
}
