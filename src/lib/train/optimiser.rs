//! AdamW with decoupled weight decay (Loshchilov and Hutter 2019) over named variables, with a state that can be saved.
//!
//! PyTorch's AdamW, which the published training uses, decays every tensor. Here norms, biases and embeddings are not
//! decayed, as is now usual: their scale is what they express. A variable that gets no gradient is an error, since
//! candle drops gradients silently at operations that have none.

use std::cell::RefCell;
use std::collections::BTreeMap;

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, Device, InplaceOp2, InplaceOp3, Layout, Shape, Storage, Tensor, Var};

use super::gradients::{Blend, StepSum, contiguous};
#[cfg(feature = "cuda")]
use crate::model::cuda::Gpu;
#[cfg(any(feature = "cuda", test))]
use crate::model::cuda::{Input, Machine, blocks};
use crate::{Error, Result};

/// The constants of AdamW.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamWSettings {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Decoupled weight decay, multiplied by the learning rate.
    pub weight_decay: f64,
    /// Largest global norm of the gradient; 0 for no clipping.
    pub clip_norm: f64,
    /// Decay of the moving average of the weights; 0 for none.
    pub ema_decay: f64,
}

/// One variable and what the optimiser remembers of it.
struct Slot {
    name: String,
    variable: Var,
    decays: bool,
    memory: Memory,
}

/// The moments, and the exponential moving average of the weights where one is kept.
enum Memory {
    /// Beside weights in the memory of the host: updated in one pass.
    Host { first: Vec<f32>, second: Vec<f32>, average: Option<Vec<f32>> },
    /// On the device of the weights: updated there.
    Device { first: Tensor, second: Tensor, average: Option<Tensor> },
}

/// The optimiser: it owns the moments and updates the variables in place.
pub struct AdamW {
    settings: AdamWSettings,
    slots: Vec<Slot>,
    variables: Vec<Var>,
    steps: u64,
}

/// Name prefixes of the tensors of [`AdamW::state`].
const FIRST_MOMENT: &str = "first_moment/";
const SECOND_MOMENT: &str = "second_moment/";
const AVERAGE: &str = "average/";

impl AdamW {
    /// An optimiser with moments of zero for the named variables, which it takes in the order of their names.
    pub fn new(variables: BTreeMap<String, Var>, settings: AdamWSettings) -> Result<Self> {
        let mut slots = Vec::with_capacity(variables.len());
        for (name, variable) in variables {
            let zeros = variable.zeros_like()?;
            let average = if settings.ema_decay > 0.0 { Some(variable.as_detached_tensor()) } else { None };
            slots.push(Slot {
                decays: variable.rank() >= 2 && !name.contains("embed"),
                memory: Memory::new(&zeros, &zeros, average.as_ref())?,
                name,
                variable,
            });
        }
        let variables = slots.iter().map(|slot| slot.variable.clone()).collect();
        Ok(Self { settings, slots, variables, steps: 0 })
    }

    /// The variables, in the order in which gradients are expected.
    pub fn variables(&self) -> &[Var] {
        &self.variables
    }

    /// Number of updates made so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// One update with the gradient `sum` / its weight. Returns the norm of that gradient before clipping.
    ///
    /// # Errors
    /// Where a variable got no gradient: the message names it. A norm that is not finite is returned, not applied.
    pub fn step(&mut self, sum: &StepSum, learning_rate: f64) -> Result<f64> {
        let mut gradients = Vec::with_capacity(self.slots.len());
        for (slot, total) in self.slots.iter().zip(sum.totals()) {
            let Some(total) = total else {
                return Err(Error::Failed(format!("the variable {} got no gradient: it cannot be trained", slot.name)));
            };
            gradients.push(total);
        }
        let weight = sum.weight();
        let norm = sum_of_squares(&gradients)?.sqrt() / weight;
        if !norm.is_finite() {
            return Ok(norm);
        }
        let clip = self.settings.clip_norm;
        let scale = if clip > 0.0 && norm > clip { clip / norm } else { 1.0 } / weight;

        self.steps += 1;
        let AdamWSettings { beta1, beta2, epsilon, weight_decay, ema_decay, .. } = self.settings;
        let correction1 = 1.0 - beta1.powf(self.steps as f64);
        let correction2 = 1.0 - beta2.powf(self.steps as f64);
        for (slot, gradient) in self.slots.iter_mut().zip(gradients) {
            let rule = Rule {
                scale: scale as f32,
                beta1: beta1 as f32,
                new1: (1.0 - beta1) as f32,
                beta2: beta2 as f32,
                new2: (1.0 - beta2) as f32,
                step: (learning_rate / correction1) as f32,
                root_correction: (1.0 / correction2.sqrt()) as f32,
                epsilon: epsilon as f32,
                keep: if slot.decays { (1.0 - learning_rate * weight_decay) as f32 } else { 1.0 },
            };
            slot.update(gradient, rule, ema_decay as f32)?;
        }
        Ok(norm)
    }

    /// Everything that the next step depends on beside the weights: moments and the moving average, by name.
    pub fn state(&self) -> Result<BTreeMap<String, Tensor>> {
        let mut state = BTreeMap::new();
        for slot in &self.slots {
            let shape = slot.variable.shape();
            let (first, second, average) = slot.memory.tensors(shape)?;
            state.insert(format!("{FIRST_MOMENT}{}", slot.name), first);
            state.insert(format!("{SECOND_MOMENT}{}", slot.name), second);
            if let Some(average) = average {
                state.insert(format!("{AVERAGE}{}", slot.name), average);
            }
        }
        Ok(state)
    }

    /// Puts back what [`AdamW::state`] gave after `steps` updates.
    ///
    /// # Errors
    /// Where a tensor is missing or has another shape: the message names it.
    pub fn restore(&mut self, steps: u64, state: &BTreeMap<String, Tensor>) -> Result<()> {
        for slot in &mut self.slots {
            let read = |prefix: &str| -> Result<Tensor> {
                let name = format!("{prefix}{}", slot.name);
                match state.get(&name) {
                    Some(tensor) if tensor.shape() == slot.variable.shape() => {
                        Ok(tensor.to_device(slot.variable.device())?)
                    }
                    Some(tensor) => Err(Error::Failed(format!(
                        "the checkpoint's {name} has the shape {:?}, the model's is {:?}",
                        tensor.dims(),
                        slot.variable.dims()
                    ))),
                    None => Err(Error::Failed(format!("the checkpoint lacks {name}"))),
                }
            };
            let average = if self.settings.ema_decay > 0.0 { Some(read(AVERAGE)?) } else { None };
            slot.memory = Memory::new(&read(FIRST_MOMENT)?, &read(SECOND_MOMENT)?, average.as_ref())?;
        }
        self.steps = steps;
        Ok(())
    }

    /// The weights that count as the result, by name: the moving average where one is kept, otherwise the weights.
    pub fn result(&self) -> Result<BTreeMap<String, Tensor>> {
        let mut result = self.weights();
        for slot in &self.slots {
            if let (_, _, Some(average)) = slot.memory.tensors(slot.variable.shape())? {
                result.insert(slot.name.clone(), average);
            }
        }
        Ok(result)
    }

    /// The weights as they are, by name.
    pub fn weights(&self) -> BTreeMap<String, Tensor> {
        self.slots.iter().map(|slot| (slot.name.clone(), slot.variable.as_detached_tensor())).collect()
    }
}

/// The scalars of one element-wise update.
#[derive(Clone, Copy)]
struct Rule {
    /// What the summed gradient is multiplied by: 1 / weight, and the clipping.
    scale: f32,
    beta1: f32,
    /// 1 - beta1, which would lose digits if made of the rounded beta1; so for beta2.
    new1: f32,
    beta2: f32,
    new2: f32,
    /// Learning rate over the bias correction of the first moment.
    step: f32,
    /// One over the root of the bias correction of the second moment.
    root_correction: f32,
    epsilon: f32,
    /// What weight decay leaves of a weight.
    keep: f32,
}

impl Memory {
    fn new(first: &Tensor, second: &Tensor, average: Option<&Tensor>) -> Result<Self> {
        let host = |tensor: &Tensor| tensor.flatten_all()?.to_vec1::<f32>();
        Ok(match first.device() {
            Device::Cpu => {
                Memory::Host { first: host(first)?, second: host(second)?, average: average.map(host).transpose()? }
            }
            _ => Memory::Device {
                first: first.copy()?,
                second: second.copy()?,
                average: average.map(Tensor::copy).transpose()?,
            },
        })
    }

    /// First moment, second moment and average in the shape of the weights.
    fn tensors(&self, shape: &Shape) -> Result<(Tensor, Tensor, Option<Tensor>)> {
        Ok(match self {
            Memory::Host { first, second, average } => {
                let tensor = |values: &Vec<f32>| Tensor::from_slice(values, shape, &Device::Cpu);
                (tensor(first)?, tensor(second)?, average.as_ref().map(tensor).transpose()?)
            }
            Memory::Device { first, second, average } => (first.clone(), second.clone(), average.clone()),
        })
    }
}

impl Slot {
    fn update(&mut self, gradient: &Tensor, rule: Rule, ema_decay: f32) -> Result<()> {
        match &mut self.memory {
            Memory::Host { first, second, average } => {
                let average = average.as_mut().map(Vec::as_mut_slice);
                let update = FusedUpdate { rule, ema_decay, memory: RefCell::new((first, second, average)) };
                self.variable.inplace_op2(gradient, &update)?;
            }
            Memory::Device { first, second, average } => {
                let scale = rule.scale;
                let gradient = gradient.contiguous()?;
                first.inplace_op2(&gradient, &Blend { keep: rule.beta1, add: rule.new1, scale, squared: false })?;
                second.inplace_op2(&gradient, &Blend { keep: rule.beta2, add: rule.new2, scale, squared: true })?;
                self.variable.inplace_op3(first, second, &AdamStep(rule))?;
                if let Some(average) = average {
                    let blend = Blend { keep: ema_decay, add: 1.0 - ema_decay, scale: 1.0, squared: false };
                    average.inplace_op2(&self.variable, &blend)?;
                }
            }
        }
        Ok(())
    }
}

/// First moment, second moment, and the moving average if there is one.
type Moments<'a> = (&'a mut Vec<f32>, &'a mut Vec<f32>, Option<&'a mut [f32]>);

/// The update of one tensor on the CPU, in one pass over weights, gradient and memory.
struct FusedUpdate<'a> {
    rule: Rule,
    ema_decay: f32,
    memory: RefCell<Moments<'a>>,
}

impl InplaceOp2 for FusedUpdate<'_> {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn cpu_fwd(
        &self,
        weights: &mut CpuStorage,
        weights_layout: &Layout,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
    ) -> candle_core::Result<()> {
        let (CpuStorage::F32(weights), CpuStorage::F32(gradient)) = (weights, gradient) else {
            candle_core::bail!("AdamW updates f32 weights");
        };
        let weights = &mut weights[contiguous(weights_layout)?];
        let mut memory = self.memory.borrow_mut();
        let (first, second, average) = &mut *memory;
        update_elements(self.rule, weights, &gradient[contiguous(gradient_layout)?], first, second);
        if let Some(average) = average {
            blend_elements(self.ema_decay, average, weights);
        }
        Ok(())
    }
}

// Wider vector units change the speed of these loops and no bit of their result: each element stands alone, and
// Rust never fuses a multiplication with an addition by itself.

#[multiversion::multiversion(targets("x86_64+avx512f+avx512vl+avx2", "x86_64+avx2", "aarch64+neon"))]
fn update_elements(rule: Rule, weights: &mut [f32], gradient: &[f32], first: &mut [f32], second: &mut [f32]) {
    let elements = weights.iter_mut().zip(gradient).zip(first.iter_mut().zip(second.iter_mut()));
    for ((weight, gradient), (first, second)) in elements {
        let gradient = gradient * rule.scale;
        *first = rule.beta1 * *first + rule.new1 * gradient;
        *second = rule.beta2 * *second + rule.new2 * gradient * gradient;
        let root = second.sqrt() * rule.root_correction + rule.epsilon;
        *weight = *weight * rule.keep - rule.step * *first / root;
    }
}

#[multiversion::multiversion(targets("x86_64+avx512f+avx512vl+avx2", "x86_64+avx2", "aarch64+neon"))]
fn blend_elements(keep: f32, average: &mut [f32], weights: &[f32]) {
    for (average, weight) in average.iter_mut().zip(weights) {
        *average = keep * *average + (1.0 - keep) * weight;
    }
}

/// The step of the weights, given both moments, where they are tensors.
struct AdamStep(Rule);

#[cfg(any(feature = "cuda", test))]
impl AdamStep {
    fn run_on<M: Machine>(
        &self,
        machine: &M,
        weights: Input<f32>,
        first: Input<f32>,
        second: Input<f32>,
    ) -> candle_core::Result<()> {
        let count = weights.count();
        let values = [
            weights.into(),
            first.into(),
            second.into(),
            (count as u64).into(),
            self.0.step.into(),
            self.0.root_correction.into(),
            self.0.epsilon.into(),
            self.0.keep.into(),
        ];
        // SAFETY: the values are this kernel's; all three are as long as `count` says; `weights` is borrowed mutably by the operation.
        unsafe { machine.launch("optimiser", "adam_step", [blocks(count, 256), 1, 1], 256, &values) }
    }
}

impl InplaceOp3 for AdamStep {
    fn name(&self) -> &'static str {
        "adamw-step"
    }

    fn cpu_fwd(
        &self,
        weights: &mut CpuStorage,
        weights_layout: &Layout,
        first: &CpuStorage,
        first_layout: &Layout,
        second: &CpuStorage,
        second_layout: &Layout,
    ) -> candle_core::Result<()> {
        let (CpuStorage::F32(weights), CpuStorage::F32(first), CpuStorage::F32(second)) = (weights, first, second)
        else {
            candle_core::bail!("AdamW updates f32 weights");
        };
        let moments = first[contiguous(first_layout)?].iter().zip(&second[contiguous(second_layout)?]);
        for (weight, (first, second)) in weights[contiguous(weights_layout)?].iter_mut().zip(moments) {
            let root = second.sqrt() * self.0.root_correction + self.0.epsilon;
            *weight = *weight * self.0.keep - self.0.step * first / root;
        }
        Ok(())
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        weights: &mut CudaStorage,
        weights_layout: &Layout,
        first: &CudaStorage,
        first_layout: &Layout,
        second: &CudaStorage,
        second_layout: &Layout,
    ) -> candle_core::Result<()> {
        let gpu = Gpu::of(weights);
        let weights = gpu.input(weights, weights_layout, "adamw")?;
        let (first, second) = (gpu.input(first, first_layout, "adamw")?, gpu.input(second, second_layout, "adamw")?);
        self.run_on(&gpu, weights, first, second)
    }
}

/// Sum of the squares of all gradients in f64: on the CPU in sixteen interleaved sums whatever the width of the vector
/// unit, on a GPU with one wait for all of them together.
fn sum_of_squares(gradients: &[&Tensor]) -> Result<f64> {
    #[cfg(feature = "cuda")]
    if let Some(Device::Cuda(device)) = gradients.first().map(|gradient| gradient.device()) {
        return Ok(squares_on_gpu(device, gradients)?);
    }
    let mut sum = 0.0;
    for gradient in gradients {
        let (storage, layout) = gradient.storage_and_layout();
        let Storage::Cpu(CpuStorage::F32(values)) = &*storage else {
            return Err(candle_core::Error::Msg("gradients are f32".into()).into());
        };
        sum += squares_of_elements(&values[contiguous(layout)?]);
    }
    Ok(sum)
}

#[cfg(feature = "cuda")]
fn squares_on_gpu(device: &candle_core::CudaDevice, gradients: &[&Tensor]) -> candle_core::Result<f64> {
    let gpu = Gpu::new(device);
    let sums = gpu.allocate::<f64>(gradients.len())?;
    for (place, gradient) in gradients.iter().enumerate() {
        let (storage, layout) = gradient.storage_and_layout();
        let Storage::Cuda(storage) = &*storage else { candle_core::bail!("gradients are on one device") };
        squares_on(&gpu, gpu.input(storage, layout, "gradient")?, gpu.lend(&sums).at(place))?;
    }
    Ok(device.clone_dtoh(&sums)?.iter().sum())
}

#[cfg(any(feature = "cuda", test))]
fn squares_on<M: Machine>(machine: &M, gradient: Input<f32>, out: Input<f64>) -> candle_core::Result<()> {
    let values = [gradient.into(), (gradient.count() as u64).into(), out.into()];
    // SAFETY: the values are this kernel's; `gradient` is as long as its count says; `out` is one number.
    unsafe { machine.launch("optimiser", "sum_of_squares", [1, 1, 1], 256, &values) }
}

#[multiversion::multiversion(targets("x86_64+avx512f+avx512vl+avx2", "x86_64+avx2", "aarch64+neon"))]
fn squares_of_elements(values: &[f32]) -> f64 {
    let mut sums = [0f64; 16];
    let (chunks, rest) = values.as_chunks::<16>();
    for chunk in chunks {
        for (sum, value) in sums.iter_mut().zip(chunk) {
            *sum += f64::from(*value) * f64::from(*value);
        }
    }
    for (sum, value) in sums.iter_mut().zip(rest) {
        *sum += f64::from(*value) * f64::from(*value);
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::gradients::Contribution;

    const SETTINGS: AdamWSettings =
        AdamWSettings { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.01, clip_norm: 0.0, ema_decay: 0.0 };

    fn variables() -> BTreeMap<String, Var> {
        let tensor = |values: &[f32]| Tensor::new(values, &Device::Cpu).expect("a tensor");
        let weight = tensor(&[0.5, -0.25, 1.0, 2.0]).reshape((2, 2)).expect("a matrix");
        let norm = tensor(&[1.0, 1.5]);
        [("layer.weight", weight), ("norm.weight", norm)]
            .map(|(name, tensor)| (name.to_string(), Var::from_tensor(&tensor).expect("a variable")))
            .into()
    }

    /// The gradients of step `step` for the two variables, as a sum of weight 2.
    fn gradients(step: u32) -> StepSum {
        let device = Device::Cpu;
        let factor = 2.0 * step as f32;
        let weight = Tensor::new(&[[0.1 * factor, -0.2 * factor], [0.3 * factor, 0.0]], &device).expect("a matrix");
        let norm = Tensor::new(&[0.05 * factor, -0.5 * factor], &device).expect("a vector");
        let mut sum = StepSum::new(2);
        let gradients = vec![Some(weight), Some(norm)];
        sum.add(0, vec![Contribution { loss: 1.0, weight: 2.0, tokens: 1, gradients }]).expect("an addition");
        sum
    }

    fn values(optimiser: &AdamW) -> Vec<f32> {
        optimiser.variables().iter().flat_map(|v| v.flatten_all().unwrap().to_vec1::<f32>().unwrap()).collect()
    }

    #[test]
    fn three_steps_agree_with_pytorch() {
        let mut optimiser = AdamW::new(variables(), SETTINGS).expect("an optimiser");
        for step in 1..=3 {
            optimiser.step(&gradients(step), 0.1).expect("a step");
        }
        // torch.optim.AdamW(lr=0.1, weight_decay=0.01 for the matrix, 0 for the vector), the gradients above.
        let expected = [0.206_479_64, 0.042_771_157, 0.704_981_15, 1.994_006_2, 0.707_681_7, 1.792_318_3];
        for (value, expected) in values(&optimiser).iter().zip(expected) {
            assert!((value - expected).abs() < 2e-6, "{value} instead of {expected}");
        }
    }

    #[test]
    fn tensor_operations_and_the_fused_pass_agree() {
        let settings = AdamWSettings { ema_decay: 0.9, clip_norm: 0.3, ..SETTINGS };
        let mut fused = AdamW::new(variables(), settings).expect("an optimiser");
        let mut plain = AdamW::new(variables(), settings).expect("an optimiser");
        for slot in &mut plain.slots {
            let (first, second, average) = slot.memory.tensors(slot.variable.shape()).expect("tensors");
            slot.memory = Memory::Device { first, second, average };
        }
        for step in 1..=3 {
            fused.step(&gradients(step), 0.1).expect("a step");
            plain.step(&gradients(step), 0.1).expect("a step");
        }
        for (one, other) in [(fused.weights(), plain.weights()), (fused.result().unwrap(), plain.result().unwrap())] {
            for (name, tensor) in one {
                let difference = (tensor - &other[&name]).unwrap().abs().unwrap().max_all().unwrap();
                assert!(difference.to_scalar::<f32>().unwrap() < 1e-6, "{name}");
            }
        }
    }

    #[test]
    fn clipping_scales_the_whole_gradient() {
        let settings = AdamWSettings { clip_norm: 0.1, ..SETTINGS };
        let mut optimiser = AdamW::new(variables(), settings).expect("an optimiser");
        let norm = optimiser.step(&gradients(1), 0.1).expect("a step");
        let expected = (0.01f64 + 0.04 + 0.09 + 0.0025 + 0.25).sqrt();
        assert!((norm - expected).abs() < 1e-7);
        let Memory::Host { first, .. } = &optimiser.slots[0].memory else { panic!("the weights are on the CPU") };
        assert!((f64::from(first[0]) - 0.1 * 0.1 * 0.1 / expected).abs() < 1e-8);
    }

    #[test]
    fn a_saved_state_continues_with_the_same_bits() {
        let settings = AdamWSettings { ema_decay: 0.99, ..SETTINGS };
        let mut whole = AdamW::new(variables(), settings).expect("an optimiser");
        for step in 1..=4 {
            whole.step(&gradients(step), 0.1).expect("a step");
        }
        let mut first = AdamW::new(variables(), settings).expect("an optimiser");
        for step in 1..=2 {
            first.step(&gradients(step), 0.1).expect("a step");
        }
        let state = first.state().expect("a state");
        let weights: BTreeMap<_, _> =
            first.weights().into_iter().map(|(name, tensor)| (name, Var::from_tensor(&tensor).unwrap())).collect();
        let mut second = AdamW::new(weights, settings).expect("an optimiser");
        second.restore(first.steps(), &state).expect("a restored state");
        for step in 3..=4 {
            second.step(&gradients(step), 0.1).expect("a step");
        }
        assert_eq!(values(&whole), values(&second));
        for (name, tensor) in whole.result().expect("a result") {
            let other = &second.result().expect("a result")[&name];
            assert_eq!(
                tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap(),
                other.flatten_all().unwrap().to_vec1::<f32>().unwrap()
            );
        }
    }

    #[test]
    fn a_variable_without_gradient_is_named() {
        let mut optimiser = AdamW::new(variables(), SETTINGS).expect("an optimiser");
        let gradient = Tensor::zeros((2, 2), candle_core::DType::F32, &Device::Cpu).expect("a tensor");
        let mut sum = StepSum::new(2);
        sum.add(0, vec![Contribution { loss: 0.0, weight: 1.0, tokens: 1, gradients: vec![Some(gradient), None] }])
            .expect("an addition");
        let error = optimiser.step(&sum, 0.1).expect_err("a gradient is missing");
        assert!(error.to_string().contains("norm.weight"), "{error}");
    }

    #[test]
    fn kernels_step_as_the_cpu() {
        use crate::model::cuda::emulator::emulated;
        let numbers = |offset: f32| (0..600).map(|i| (i as f32 * 0.37 + offset).sin()).collect::<Vec<f32>>();
        let (weights, first) = (numbers(0.0), numbers(1.0));
        let second: Vec<f32> = numbers(2.0).iter().map(|x| x * x).collect();
        let rule = Rule {
            scale: 1.0,
            beta1: 0.9,
            new1: 0.1,
            beta2: 0.99,
            new2: 0.01,
            step: 0.02,
            root_correction: 1.3,
            epsilon: 1e-3,
            keep: 0.99,
        };
        let tensor = |values: &[f32]| Tensor::new(values, &Device::Cpu).expect("a tensor");
        let expected = tensor(&weights);
        expected.inplace_op3(&tensor(&first), &tensor(&second), &AdamStep(rule)).expect("a step");
        let squares = sum_of_squares(&[&tensor(&weights)]).expect("a sum");
        emulated(|machine| {
            let memory = [&weights, &first, &second].map(|numbers| machine.upload(numbers).expect("memory"));
            let [weights, first, second] = [0, 1, 2].map(|i| machine.lend(&memory[i]));
            let sums = machine.allocate::<f64>(2).expect("memory");
            squares_on(machine, weights, machine.lend(&sums).at(1)).expect("a launch");
            let sum = sums.numbers()[1];
            assert!((sum - squares).abs() < 1e-9 * squares);
            AdamStep(rule).run_on(machine, weights, first, second).expect("a launch");
            for (ours, expected) in memory[0].numbers().iter().zip(expected.to_vec1::<f32>().expect("values")) {
                assert!((ours - expected).abs() < 1e-6);
            }
        });
    }
}
