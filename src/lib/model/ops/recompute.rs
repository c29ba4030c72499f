//! A part of a model whose intermediate results are not kept for the backward pass, but computed again in it.
//!
//! That is gradient checkpointing (Chen et al., arXiv:1604.06174): a residual block then costs the memory of its input
//! instead of that of every step within it, and a third more time.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp2, Device, Layout, Result, Shape, Tensor, Var};

/// What is computed: from the input and the part's weights, a tensor.
pub type Part = Arc<dyn Fn(&Tensor, &[Tensor]) -> Result<Tensor> + Send + Sync>;

/// `part` of `input` and `weights`, all f32, with gradients for both. `part` must give the same whenever it is called
/// with the same.
///
/// # Errors
/// Where `part` fails.
pub fn recomputed(input: &Tensor, weights: &[&Tensor], part: Part) -> Result<Tensor> {
    let shapes = weights.iter().map(|weight| weight.shape().clone()).collect();
    let flat = weights.iter().map(|weight| weight.flatten_all()).collect::<Result<Vec<_>>>()?;
    input.contiguous()?.apply_op2(&Tensor::cat(&flat, 0)?, Recomputed { shapes, part })
}

struct Recomputed {
    /// Shapes of the weights, which lie end to end in the second argument.
    shapes: Vec<Shape>,
    part: Part,
}

impl Recomputed {
    fn run(&self, input: &Tensor, flat: &Tensor) -> Result<Tensor> {
        let mut start = 0;
        let weights = self
            .shapes
            .iter()
            .map(|shape| {
                let count = shape.elem_count();
                start += count;
                flat.narrow(0, start - count, count)?.reshape(shape)
            })
            .collect::<Result<Vec<_>>>()?;
        (self.part)(input, &weights)
    }
}

impl CustomOp2 for Recomputed {
    fn name(&self) -> &'static str {
        "recomputed"
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<(CpuStorage, Shape)> {
        let tensor = |storage: &CpuStorage, layout: &Layout| -> Result<Tensor> {
            let values = super::contiguous::<f32>(storage, layout, self.name())?;
            Tensor::from_slice(values, layout.shape(), &Device::Cpu)
        };
        let result = self.run(&tensor(s1, l1)?, &tensor(s2, l2)?)?;
        Ok((super::store(result.flatten_all()?.to_vec1::<f32>()?), result.shape().clone()))
    }

    fn bwd(
        &self,
        input: &Tensor,
        flat: &Tensor,
        _result: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (input, flat) = (Var::from_tensor(&input.detach())?, Var::from_tensor(&flat.detach())?);
        let result = self.run(input.as_tensor(), flat.as_tensor())?;
        let mut gradients = (result * gradient.detach())?.sum_all()?.backward()?;
        Ok((gradients.remove(&input), gradients.remove(&flat)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_and_gradients_are_those_of_the_part_itself() -> Result<()> {
        let part: Part = Arc::new(|x, weights| (x.matmul(&weights[0])?.relu()? + x)?.broadcast_mul(&weights[1]));
        let numbers = |count: usize| (0..count).map(|i| (i as f32 * 1.7).sin()).collect::<Vec<_>>();
        let input = Var::from_vec(numbers(12), (4, 3), &Device::Cpu)?;
        let weights = [
            Var::from_vec(numbers(9), (3, 3), &Device::Cpu)?,
            Var::from_vec(vec![0.5f32, -2.0, 3.0], 3, &Device::Cpu)?,
        ];
        let tensors: Vec<Tensor> = weights.iter().map(|weight| weight.as_tensor().clone()).collect();
        let plain = part(&input, &tensors)?;
        let again = recomputed(&input, &tensors.iter().collect::<Vec<_>>(), part)?;
        assert_eq!(plain.to_vec2::<f32>()?, again.to_vec2::<f32>()?);
        let (plain, again) = (plain.sqr()?.sum_all()?.backward()?, again.sqr()?.sum_all()?.backward()?);
        for variable in [&input, &weights[0], &weights[1]] {
            let of = |store: &candle_core::backprop::GradStore| -> Result<Vec<f32>> {
                store.get(variable).expect("a gradient").flatten_all()?.to_vec1::<f32>()
            };
            assert_eq!(of(&plain)?, of(&again)?);
        }
        Ok(())
    }
}
