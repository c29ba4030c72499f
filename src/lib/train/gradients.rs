//! The gradient of one step: the micro-batches' gradients, summed in a fixed order.

use std::collections::BTreeMap;

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::backprop::GradStore;
use candle_core::{CpuStorage, InplaceOp2, Layout, Tensor, Var};

use crate::Result;
#[cfg(feature = "cuda")]
use crate::model::cuda::Gpu;
#[cfg(any(feature = "cuda", test))]
use crate::model::cuda::{Input, Machine, blocks};

/// What one micro-batch gives: its loss, the weight of it, and a gradient for each variable that it reached.
pub struct Contribution {
    /// Sum of the loss over the micro-batch (not a mean: the step divides by the weight of all its micro-batches).
    pub loss: f64,
    /// What the loss is a sum over: masked tokens, bases, records.
    pub weight: f64,
    /// Tokens that went through the model.
    pub tokens: u64,
    /// The gradient of `loss` for each variable, in the variables' order; `None` where none arrived.
    pub gradients: Vec<Option<Tensor>>,
}

impl Contribution {
    /// Takes the gradients of `variables` out of what a backward pass left.
    pub fn new(loss: f64, weight: f64, tokens: u64, variables: &[Var], mut store: GradStore) -> Self {
        let gradients = variables.iter().map(|variable| store.remove(variable)).collect();
        Self { loss, weight, tokens, gradients }
    }
}

/// The sum over a step. Contributions may arrive in any order; they are added in the order of their number, because
/// adding floating-point numbers in another order gives another result.
pub struct StepSum {
    totals: Vec<Option<Tensor>>,
    waiting: BTreeMap<usize, Vec<Contribution>>,
    next: usize,
    loss: f64,
    weight: f64,
    tokens: u64,
}

impl StepSum {
    /// An empty sum over `variables` variables.
    pub fn new(variables: usize) -> Self {
        Self { totals: vec![None; variables], waiting: BTreeMap::new(), next: 0, loss: 0.0, weight: 0.0, tokens: 0 }
    }

    /// Adds the contributions of micro-batch `number` (0, 1, 2 …; several where it did not fit in memory at once), now or
    /// when those before it have come.
    pub fn add(&mut self, number: usize, contributions: Vec<Contribution>) -> Result<()> {
        self.waiting.insert(number, contributions);
        while let Some(contributions) = self.waiting.remove(&self.next) {
            self.next += 1;
            contributions.into_iter().try_for_each(|contribution| self.add_next(contribution))?;
        }
        Ok(())
    }

    fn add_next(&mut self, contribution: Contribution) -> Result<()> {
        self.loss += contribution.loss;
        self.weight += contribution.weight;
        self.tokens += contribution.tokens;
        for (total, gradient) in self.totals.iter_mut().zip(contribution.gradients) {
            let Some(gradient) = gradient else { continue };
            match total {
                Some(total) => add_in_place(total, &gradient)?,
                // A copy of our own: the gradient's memory may be shared with other tensors of the backward pass.
                None => *total = Some(gradient.force_contiguous()?.detach()),
            }
        }
        Ok(())
    }

    /// Sum of the losses of the micro-batches added so far.
    pub fn loss(&self) -> f64 {
        self.loss
    }

    /// Sum of the weights.
    pub fn weight(&self) -> f64 {
        self.weight
    }

    /// Sum of the tokens.
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// The summed gradient of each variable, contiguous; `None` where no micro-batch reached it.
    pub fn totals(&self) -> &[Option<Tensor>] {
        &self.totals
    }
}

/// total += gradient.
fn add_in_place(total: &mut Tensor, gradient: &Tensor) -> Result<()> {
    Ok(total.inplace_op2(&gradient.contiguous()?, &Blend { keep: 1.0, add: 1.0, scale: 1.0, squared: false })?)
}

/// old = keep x old + add x (scale x new), or with the square of what is in parentheses.
#[derive(Clone, Copy)]
pub(super) struct Blend {
    pub keep: f32,
    pub add: f32,
    pub scale: f32,
    pub squared: bool,
}

#[cfg(any(feature = "cuda", test))]
impl Blend {
    fn run_on<M: Machine>(&self, machine: &M, old: Input<f32>, new: Input<f32>) -> candle_core::Result<()> {
        let values = [
            old.into(),
            new.into(),
            (old.count() as u64).into(),
            self.scale.into(),
            self.keep.into(),
            self.add.into(),
            self.squared.into(),
        ];
        // SAFETY: the values are this kernel's; `old` and `new` are as long as each other, which `count` says; `old` is borrowed mutably by the operation.
        unsafe { machine.launch("optimiser", "blend", [blocks(old.count(), 256), 1, 1], 256, &values) }
    }
}

impl InplaceOp2 for Blend {
    fn name(&self) -> &'static str {
        "blend"
    }

    fn cpu_fwd(
        &self,
        old: &mut CpuStorage,
        old_layout: &Layout,
        new: &CpuStorage,
        new_layout: &Layout,
    ) -> candle_core::Result<()> {
        let (CpuStorage::F32(old), CpuStorage::F32(new)) = (old, new) else {
            candle_core::bail!("gradients and moments are f32");
        };
        for (old, new) in old[contiguous(old_layout)?].iter_mut().zip(&new[contiguous(new_layout)?]) {
            let new = new * self.scale;
            *old = self.keep * *old + self.add * if self.squared { new * new } else { new };
        }
        Ok(())
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        old: &mut CudaStorage,
        old_layout: &Layout,
        new: &CudaStorage,
        new_layout: &Layout,
    ) -> candle_core::Result<()> {
        let gpu = Gpu::of(old);
        self.run_on(&gpu, gpu.input(old, old_layout, "blend")?, gpu.input(new, new_layout, "blend")?)
    }
}

/// The elements that a contiguous layout covers.
pub(super) fn contiguous(layout: &Layout) -> candle_core::Result<std::ops::Range<usize>> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(start..end),
        None => candle_core::bail!("a contiguous tensor is needed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    fn contribution(values: &[f32]) -> Contribution {
        let gradient = Tensor::new(values, &Device::Cpu).expect("a tensor");
        Contribution { loss: 1.0, weight: 2.0, tokens: 3, gradients: vec![Some(gradient), None] }
    }

    fn sum(order: &[usize]) -> Vec<f32> {
        // Values whose sum depends on the order of addition.
        let values = [[1e8f32, 1.0], [3.3333333, 1e-8], [-1e8, 7.7777777], [0.1, -7.7]];
        let mut sum = StepSum::new(2);
        for &number in order {
            sum.add(number, vec![contribution(&values[number])]).expect("an addition");
        }
        assert_eq!((sum.loss(), sum.weight(), sum.tokens()), (4.0, 8.0, 12));
        assert!(sum.totals()[1].is_none());
        sum.totals()[0].as_ref().expect("a gradient").to_vec1().expect("its values")
    }

    #[test]
    fn the_order_of_arrival_does_not_matter() {
        let expected = sum(&[0, 1, 2, 3]);
        for order in [[3, 2, 1, 0], [1, 0, 3, 2], [2, 3, 0, 1]] {
            assert_eq!(sum(&order), expected);
        }
    }

    #[test]
    fn the_backward_pass_memory_is_not_written() {
        let shared = Tensor::new(&[1f32, 2.0], &Device::Cpu).expect("a tensor");
        let mut sum = StepSum::new(1);
        for number in 0..2 {
            let gradients = vec![Some(shared.clone())];
            sum.add(number, vec![Contribution { loss: 0.0, weight: 1.0, tokens: 1, gradients }]).expect("an addition");
        }
        assert_eq!(shared.to_vec1::<f32>().expect("values"), [1.0, 2.0]);
        assert_eq!(sum.totals()[0].as_ref().expect("a sum").to_vec1::<f32>().expect("values"), [2.0, 4.0]);
    }

    #[test]
    fn the_kernel_blends_as_the_cpu() {
        use crate::model::cuda::emulator::emulated;
        let (old, new): (Vec<f32>, Vec<f32>) = (0..700).map(|i| (i as f32 * 0.3, 1.0 - i as f32 * 0.01)).unzip();
        for squared in [false, true] {
            let blend = Blend { keep: 0.9, add: 0.3, scale: 0.5, squared };
            let expected = Tensor::new(&old[..], &Device::Cpu).expect("a tensor");
            expected.inplace_op2(&Tensor::new(&new[..], &Device::Cpu).expect("a tensor"), &blend).expect("a blend");
            emulated(|machine| {
                let memory = [machine.upload(&old).expect("memory"), machine.upload(&new).expect("memory")];
                blend.run_on(machine, machine.lend(&memory[0]), machine.lend(&memory[1])).expect("a launch");
                assert_eq!(memory[0].numbers(), expected.to_vec1::<f32>().expect("values"));
            });
        }
    }
}
