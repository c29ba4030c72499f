//! What the two convolutions launch on a device: `kernels/convolution.cu`.

use candle_core::Result;

use crate::model::cuda::{Input, Machine, Number, Value, blocks, name_of};

/// Blocks that a launch for the gradient of the weights should have, so that every part of a GPU has some.
const BLOCKS: usize = 512;

/// A convolution over positions that `shape` tells apart.
pub(super) struct Gathered<'a> {
    /// `pair` or `map`: which of the kernels.
    pub kind: &'static str,
    /// The parameters by which the kernels find neighbours.
    pub shape: &'a [Value],
    /// Positions, in all.
    pub positions: usize,
    /// Numbers of the kernel per pair of channels.
    pub taps: usize,
}

impl Gathered<'_> {
    /// [positions, out] from `input` [positions, in] and `weight` [out, in, taps], or [in, out, taps] with the taps in
    /// reverse where `flipped`.
    pub fn run_on<T: Number, M: Machine>(
        &self,
        machine: &M,
        input: Input<T>,
        weight: Input<T>,
        channels: usize,
        out_channels: usize,
        flipped: bool,
    ) -> Result<M::Memory<T>> {
        let count = weight.count();
        let arranged = machine.allocate::<T>(count)?;
        let values = [
            weight.into(),
            (self.taps as u32).into(),
            (channels as u32).into(),
            (out_channels as u32).into(),
            flipped.into(),
            machine.lend(&arranged).into(),
        ];
        // SAFETY: the values are this kernel's; `arranged` has a number for each weight, which `count` says.
        unsafe {
            machine.launch("convolution", &name_of::<T>("arrange_weights"), [blocks(count, 256), 1, 1], 256, &values)
        }?;
        let out = machine.allocate::<T>(self.positions * out_channels)?;
        let mut values = self.shape.to_vec();
        values.extend([
            Value::from(input),
            machine.lend(&arranged).into(),
            (self.positions as u32).into(),
            (channels as u32).into(),
            (out_channels as u32).into(),
            machine.lend(&out).into(),
        ]);
        let grid = [blocks(self.positions, 64), blocks(out_channels, 64), 1];
        // SAFETY: the values are this kernel's; `out` has `out_channels` numbers for each position; the neighbours index positions of `input`.
        unsafe {
            machine.launch("convolution", &name_of::<T>(&format!("{}_convolution", self.kind)), grid, 256, &values)
        }?;
        Ok(out)
    }

    /// The gradient of the weights, [out, in, taps]: parts of the positions one beside the other, then added up in order.
    pub fn weight_gradient_on<T: Number, M: Machine>(
        &self,
        machine: &M,
        input: Input<T>,
        gradient: Input<T>,
        channels: usize,
        out_channels: usize,
    ) -> Result<M::Memory<T>> {
        let inner = self.taps * channels;
        let tiles = [blocks(inner, 64), blocks(out_channels, 64)];
        // Parts follow from the sizes alone, so that the sum has one order. Whole steps of 32 positions.
        let parts = BLOCKS.div_ceil(tiles[0] * tiles[1]);
        let part = self.positions.div_ceil(parts).next_multiple_of(32).max(256);
        let parts = blocks(self.positions, part);
        let sums = machine.allocate::<f32>(parts * inner * out_channels)?;
        let mut values = self.shape.to_vec();
        values.extend([
            Value::from(input),
            gradient.into(),
            (self.positions as u32).into(),
            (part as u32).into(),
            (channels as u32).into(),
            (out_channels as u32).into(),
            machine.lend(&sums).into(),
        ]);
        let name = name_of::<T>(&format!("{}_weight_gradient", self.kind));
        // SAFETY: the values are this kernel's; `sums` has a tile for each part that the grid counts.
        unsafe { machine.launch("convolution", &name, [tiles[0], tiles[1], parts], 256, &values) }?;
        let count = inner * out_channels;
        let out = machine.allocate::<T>(count)?;
        let values = [
            machine.lend(&sums).into(),
            (parts as u32).into(),
            (self.taps as u32).into(),
            (channels as u32).into(),
            (out_channels as u32).into(),
            machine.lend(&out).into(),
        ];
        // SAFETY: the values are this kernel's; `sums` holds the parts just written, `out` one number for each weight.
        unsafe {
            machine.launch(
                "convolution",
                &name_of::<T>("weight_gradient_sum"),
                [blocks(count, 256), 1, 1],
                256,
                &values,
            )
        }?;
        Ok(out)
    }
}

#[cfg(test)]
pub(super) mod testing {
    use super::*;
    use crate::model::cuda::emulator::emulated;
    use crate::model::ops::testing::{Rounded, close, numbers, rounded};
    use candle_core::{Device, Tensor, Var};

    /// That the kernels give what `operation` (of input and weight) gives on the CPU, and its gradients. `shaped` hands
    /// over the convolution as the kernels know it.
    pub fn agree<T: Rounded>(
        shaped: impl Fn(&crate::model::cuda::emulator::Emulator, &dyn Fn(&Gathered)),
        operation: impl Fn(&Tensor, &Tensor) -> Tensor,
        (positions, channels, out_channels): (usize, usize, usize),
        kernel: &[usize],
        tolerance: f64,
    ) {
        let taps: usize = kernel.iter().product();
        let draw = |count, seed| rounded::<T>(&numbers(count, seed, 1.0));
        let (input, weight) = (draw(positions * channels, 1), draw(out_channels * channels * taps, 2));
        let slope = draw(positions * out_channels, 3);
        let exact = |numbers: &[T]| numbers.iter().map(|x| x.exact() as f32).collect::<Vec<f32>>();
        let weight_shape: Vec<usize> = [out_channels, channels].iter().chain(kernel).copied().collect();
        let variable = |numbers: &[T], shape: &[usize]| {
            Var::from_tensor(&Tensor::from_vec(exact(numbers), shape, &Device::Cpu).unwrap()).unwrap()
        };
        let (x, w) = (variable(&input, &[positions, channels]), variable(&weight, &weight_shape));
        let result = operation(&x, &w);
        let outer = Tensor::from_vec(exact(&slope), (positions, out_channels), &Device::Cpu).unwrap();
        let gradients = (&result * outer).unwrap().sum_all().unwrap().backward().unwrap();
        let plain = |tensor: &Tensor| -> Vec<f64> {
            tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap().into_iter().map(f64::from).collect()
        };
        let expected = [plain(&result), plain(gradients.get(&x).unwrap()), plain(gradients.get(&w).unwrap())];
        emulated(|machine| {
            shaped(machine, &|gathered| {
                let memory = [&input, &weight, &slope].map(|numbers| machine.upload(numbers).unwrap());
                let [input, weight, slope] = [0, 1, 2].map(|i| machine.lend(&memory[i]));
                let ours = [
                    gathered.run_on(machine, input, weight, channels, out_channels, false),
                    gathered.run_on(machine, slope, weight, out_channels, channels, true),
                    gathered.weight_gradient_on(machine, input, slope, channels, out_channels),
                ];
                for (ours, expected) in ours.iter().zip(&expected) {
                    let ours: Vec<f64> = ours.as_ref().unwrap().numbers().iter().map(|x| x.exact()).collect();
                    close(&ours, expected, tolerance);
                }
            });
        });
    }
}
