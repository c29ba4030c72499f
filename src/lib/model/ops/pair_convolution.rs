//! Convolution of 3 x 3, dilated or not, over some of the pairs of a sequence: the others count as zeros and are not
//! computed (Graham and van der Maaten, arXiv:1706.01307, call it submanifold sparse convolution).

use std::sync::Arc;

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};

use super::contiguous;
#[cfg(any(feature = "cuda", test))]
use super::gathered::Gathered;
use super::listed_products::{add_outer_products, add_products};
use super::pair_list::{Neighbours, TAPS};
use super::taps::{by_channel, by_tap};
#[cfg(any(feature = "cuda", test))]
use crate::model::cuda::Machine;
#[cfg(feature = "cuda")]
use crate::model::cuda::on_gpu;

/// Convolution over pairs with these neighbours. `input` is [pairs, in], one row of numbers for each pair, `weight`
/// [out, in, 3, 3]; gives [pairs, out].
///
/// # Errors
/// Where the shapes do not fit each other.
pub fn pair_convolution(input: &Tensor, weight: &Tensor, neighbours: &Arc<Neighbours>) -> Result<Tensor> {
    let operation = PairConvolution { neighbours: neighbours.clone(), flipped: false };
    input.contiguous()?.apply_op2(&weight.contiguous()?, operation)
}

#[derive(Clone)]
struct PairConvolution {
    neighbours: Arc<Neighbours>,
    /// The transposed convolution, for the gradient: weights read [in, out], taps in reverse.
    flipped: bool,
}

struct WeightGradient {
    neighbours: Arc<Neighbours>,
}

/// The convolution as the kernels know it.
#[cfg(any(feature = "cuda", test))]
fn gathered<M: Machine, R>(machine: &M, neighbours: &Neighbours, work: impl FnOnce(&Gathered) -> R) -> Result<R> {
    let table = machine.upload(&neighbours.table())?;
    let shape = [machine.lend(&table).into()];
    Ok(work(&Gathered { kind: "pair", shape: &shape, positions: neighbours.count(), taps: TAPS }))
}

fn check(neighbours: &Neighbours, input: &Layout) -> Result<usize> {
    let (pairs, channels) = input.shape().dims2()?;
    if pairs != neighbours.count() {
        candle_core::bail!("pairs: {:?} meets {} pairs", input.shape(), neighbours.count());
    }
    Ok(channels)
}

impl PairConvolution {
    /// Channels in and channels out.
    fn dimensions(&self, input: &Layout, weight: &Layout) -> Result<(usize, usize)> {
        let channels = check(&self.neighbours, input)?;
        let (first, second, height, width) = weight.shape().dims4()?;
        let (out_channels, in_channels) = if self.flipped { (second, first) } else { (first, second) };
        if (in_channels, height, width) != (channels, 3, 3) {
            candle_core::bail!("pairs: {:?} meets a kernel of {:?}", input.shape(), weight.shape());
        }
        Ok((channels, out_channels))
    }
}

impl CustomOp2 for PairConvolution {
    fn name(&self) -> &'static str {
        "pair-convolution"
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<(CpuStorage, Shape)> {
        let (channels, out_channels) = self.dimensions(l1, l2)?;
        let input = contiguous::<f32>(s1, l1, "pairs")?;
        let weight = contiguous::<f32>(s2, l2, "pairs")?;
        let arranged = by_tap(weight, TAPS, channels, out_channels, self.flipped);
        let mut out = vec![0f32; self.neighbours.count() * out_channels];
        for group in self.neighbours.groups() {
            let out = &mut out[group.pairs.start * out_channels..group.pairs.end * out_channels];
            for (list, weight) in group.taps.iter().zip(arranged.chunks_exact(channels * out_channels)) {
                add_products(list, input, weight, (channels, out_channels), out);
            }
        }
        Ok((CpuStorage::F32(out), (self.neighbours.count(), out_channels).into()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, s1: &CudaStorage, l1: &Layout, s2: &CudaStorage, l2: &Layout) -> Result<(CudaStorage, Shape)> {
        let (channels, out_channels) = self.dimensions(l1, l2)?;
        let out = on_gpu!(s1, |T, gpu| {
            let (input, weight) = (gpu.input::<T>(s1, l1, "pairs")?, gpu.input(s2, l2, "pairs")?);
            gpu.store(gathered(&gpu, &self.neighbours, |convolution| {
                convolution.run_on(&gpu, input, weight, channels, out_channels, self.flipped)
            })??)
        });
        Ok((out, (self.neighbours.count(), out_channels).into()))
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
        let op = WeightGradient { neighbours: self.neighbours.clone() };
        Ok((Some(to_input), Some(input.apply_op2_no_bwd(&gradient, &op)?)))
    }
}

impl CustomOp2 for WeightGradient {
    fn name(&self) -> &'static str {
        "pair-convolution-weight-gradient"
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<(CpuStorage, Shape)> {
        let (channels, out_channels) = (check(&self.neighbours, l1)?, check(&self.neighbours, l2)?);
        let input = contiguous::<f32>(s1, l1, "pairs")?;
        let gradient = contiguous::<f32>(s2, l2, "pairs")?;
        // [tap][in][out]
        let mut sums = vec![0f32; TAPS * channels * out_channels];
        for group in self.neighbours.groups() {
            let slopes = &gradient[group.pairs.start * out_channels..group.pairs.end * out_channels];
            for (list, sums) in group.taps.iter().zip(sums.chunks_exact_mut(channels * out_channels)) {
                add_outer_products(list, input, slopes, (channels, out_channels), sums);
            }
        }
        let out = by_channel(&sums, TAPS, channels, out_channels);
        Ok((CpuStorage::F32(out), Shape::from((out_channels, channels, 3, 3))))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, s1: &CudaStorage, l1: &Layout, s2: &CudaStorage, l2: &Layout) -> Result<(CudaStorage, Shape)> {
        let (channels, out_channels) = (check(&self.neighbours, l1)?, check(&self.neighbours, l2)?);
        let out = on_gpu!(s1, |T, gpu| {
            let (input, gradient) = (gpu.input::<T>(s1, l1, "pairs")?, gpu.input(s2, l2, "pairs")?);
            gpu.store(gathered(&gpu, &self.neighbours, |convolution| {
                convolution.weight_gradient_on(&gpu, input, gradient, channels, out_channels)
            })??)
        });
        Ok((out, Shape::from((out_channels, channels, 3, 3))))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;
    use crate::model::ops::convolution::convolution_2d;
    use crate::model::ops::pair_list::PairList;

    /// The pairs as part of a whole map of zeros give the same, and so do the gradients.
    #[test]
    fn equals_a_masked_map() {
        let (length, channels, out_channels) = (60, 33, 34);
        let list = PairList::new(length, length, |i, j| (i * 5 + j * 3) % 4 < 2).unwrap();
        let pairs = list.count();
        let numbers = |count: usize, seed: f32| -> Vec<f32> {
            (0..count).map(|n| ((n as f32 * 1.7 + seed) * 12.9898).sin()).collect()
        };
        // Rows of an identity matrix move pairs to their place in the map.
        let places: Vec<u32> = list.iter().map(|(i, j)| (j * length + i) as u32).collect();
        let places = Tensor::new(places, &Device::Cpu).unwrap();
        for dilation in [1, 2, 4] {
            let neighbours = Arc::new(Neighbours::new(&list, dilation));
            let input = Tensor::from_vec(numbers(pairs * channels, 0.3), (pairs, channels), &Device::Cpu).unwrap();
            let shape = (out_channels, channels, 3, 3);
            let weight = Tensor::from_vec(numbers(out_channels * channels * 9, 0.7), shape, &Device::Cpu).unwrap();
            let (input, weight) = (Var::from_tensor(&input).unwrap(), Var::from_tensor(&weight).unwrap());
            let mask =
                Tensor::from_vec(numbers(pairs * out_channels, 0.1), (pairs, out_channels), &Device::Cpu).unwrap();
            let ours = pair_convolution(&input, &weight, &neighbours).unwrap();
            let map = Tensor::zeros((length * length, channels), candle_core::DType::F32, &Device::Cpu).unwrap();
            let map = map.index_add(&places, &input, 0).unwrap();
            let reference = convolution_2d(&map, &weight, length, length, dilation).unwrap();
            let reference = reference.index_select(&places, 0).unwrap();
            let close = |a: &Tensor, b: &Tensor| {
                let largest = |x: Tensor| x.abs().unwrap().flatten_all().unwrap().max(0).unwrap();
                let difference = largest((a - b).unwrap()).to_scalar::<f32>().unwrap();
                assert!(difference < 1e-5 * largest(b.clone()).to_scalar::<f32>().unwrap(), "{difference}");
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
        for (dilation, channels, out_channels) in [(1, 5, 4), (4, 40, 70), (2, 6, 3)] {
            let list = PairList::new(30, 30, |i, j| (i * 5 + j * 3) % 4 < 3).unwrap();
            let neighbours = Arc::new(Neighbours::new(&list, dilation));
            let operation = |x: &Tensor, w: &Tensor| pair_convolution(x, w, &neighbours).unwrap();
            let sizes = (list.count(), channels, out_channels);
            agree::<f32>(|m, work| gathered(m, &neighbours, work).unwrap(), operation, sizes, &[3, 3], 3e-6);
            agree::<half::bf16>(|m, work| gathered(m, &neighbours, work).unwrap(), operation, sizes, &[3, 3], 5e-3);
        }
    }
}
