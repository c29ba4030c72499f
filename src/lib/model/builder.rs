//! Where a model's tensors come from: candle-nn's `VarBuilder` with back ends of our own.
//!
//! An encoder or a head asks for each of its tensors in one place, by name, shape and start. What it is given depends on
//! the back end: [`declare`] lists what is asked for, [`draw`] draws new tensors, and [`read`] hands out weights that are
//! there. So the list of a model's tensors, the start of its training and its loading cannot contradict each other.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{DType, Device, Result, Shape, Tensor};
use candle_nn::Init;
use candle_nn::var_builder::SimpleBackend;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

use super::parameters::Parameters;

/// Hands out a model's tensors by name. `pp` ("push prefix") gives the builder of a part.
pub type Builder<'a> = candle_nn::VarBuilder<'a>;

/// The start of a norm's weight: all ones.
pub const ONES: Init = Init::Const(1.0);

/// The start of a bias: all zeros.
pub const ZEROS: Init = Init::Const(0.0);

/// Normal with this standard deviation.
pub fn normal(deviation: f64) -> Init {
    Init::Randn { mean: 0.0, stdev: deviation }
}

/// Uniform up to gain x sqrt(6 / (in + out)) (Glorot and Bengio 2010), for a weight [out, in].
pub fn xavier(shape: (usize, usize), gain: f64) -> Init {
    let bound = gain * (6.0 / (shape.0 + shape.1) as f64).sqrt();
    Init::Uniform { lo: -bound, up: bound }
}

/// Uniform up to 1 / sqrt(in), where `in` counts the kernel too: the usual start of linear layers and convolutions, for a
/// weight [out, in, kernel ..] and for its bias.
pub fn fan_in(shape: &[usize]) -> Init {
    let bound = 1.0 / (shape[1..].iter().product::<usize>() as f64).sqrt();
    Init::Uniform { lo: -bound, up: bound }
}

/// Hands out the tensors of `parameters`, each as it is.
pub fn read(parameters: &Parameters) -> Builder<'_> {
    Builder::from_backend(Box::new(Stored(parameters)), DType::F32, Device::Cpu)
}

/// The tensors that `build` asks its builder for: names and shapes, without numbers.
///
/// # Errors
/// Those of `build`.
pub fn declare(build: impl FnOnce(&Builder) -> crate::Result<()>) -> crate::Result<BTreeMap<String, Vec<usize>>> {
    // A tensor of the right shape whose numbers are all the same place in memory.
    let tensors = record(build, |shape, _, _| Tensor::zeros((), DType::F32, &Device::Cpu)?.broadcast_as(shape))?;
    Ok(tensors.into_iter().map(|(name, tensor)| (name, tensor.dims().to_vec())).collect())
}

/// The tensors that `build` asks its builder for, drawn as their starts say, on the CPU.
///
/// The numbers of a tensor depend on the seed and on its name alone, so that a tensor more or less changes no other. They
/// are the same on every platform.
///
/// # Errors
/// Those of `build`.
pub fn draw(seed: u64, build: impl FnOnce(&Builder) -> crate::Result<()>) -> crate::Result<Parameters> {
    record(build, move |shape, name, start| {
        let hash = Sha256::new().chain_update(seed.to_le_bytes()).chain_update(name);
        let mut random = ChaCha8Rng::from_seed(hash.finalize().into());
        let count = shape.elem_count();
        let values = match start {
            Init::Const(value) => vec![value as f32; count],
            Init::Uniform { lo, up } => (0..count).map(|_| random.random_range(lo..up) as f32).collect(),
            Init::Randn { mean, stdev } => normals(&mut random, count, mean, stdev),
            Init::Kaiming { .. } => candle_core::bail!("{name}: this start is written as one of the functions above"),
        };
        Tensor::from_vec(values, shape, &Device::Cpu)
    })
}

/// Normal numbers by the Box-Muller transform.
fn normals(random: &mut ChaCha8Rng, count: usize, mean: f64, deviation: f64) -> Vec<f32> {
    let mut values = Vec::with_capacity(count + 1);
    while values.len() < count {
        let radius = (-2.0 * (1.0 - random.random::<f64>()).ln()).sqrt() * deviation;
        let (sine, cosine) = (std::f64::consts::TAU * random.random::<f64>()).sin_cos();
        values.push((mean + radius * cosine) as f32);
        values.push((mean + radius * sine) as f32);
    }
    values.truncate(count);
    values
}

/// Collects what `make` gives for every tensor that `build` asks for.
fn record(
    build: impl FnOnce(&Builder) -> crate::Result<()>,
    make: impl Fn(Shape, &str, Init) -> Result<Tensor> + Send + Sync,
) -> crate::Result<Parameters> {
    let made = Arc::new(Mutex::new(Parameters::new()));
    let recorder = Recorder { make, made: made.clone() };
    build(&Builder::from_backend(Box::new(recorder), DType::F32, Device::Cpu))?;
    let mut made = made.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(std::mem::take(&mut *made))
}

/// Tensors that are there.
struct Stored<'a>(&'a Parameters);

impl SimpleBackend for Stored<'_> {
    fn get(&self, shape: Shape, name: &str, _: Init, dtype: DType, device: &Device) -> Result<Tensor> {
        let tensor = self.get_unchecked(name, dtype, device)?;
        if *tensor.shape() != shape {
            candle_core::bail!("tensor {name} has shape {:?} where {shape:?} is wanted", tensor.shape());
        }
        Ok(tensor)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> Result<Tensor> {
        match self.0.get(name) {
            Some(tensor) => Ok(tensor.clone()),
            None => candle_core::bail!("tensor {name} is missing"),
        }
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}

/// Makes each tensor when it is asked for, and keeps a list.
struct Recorder<M> {
    make: M,
    made: Arc<Mutex<Parameters>>,
}

impl<M: Fn(Shape, &str, Init) -> Result<Tensor> + Send + Sync> SimpleBackend for Recorder<M> {
    fn get(&self, shape: Shape, name: &str, start: Init, _: DType, _: &Device) -> Result<Tensor> {
        let tensor = (self.make)(shape, name, start)?;
        let before = self.made.lock().unwrap_or_else(PoisonError::into_inner).insert(name.into(), tensor.clone());
        match before {
            Some(_) => candle_core::bail!("tensor {name} is asked for twice"),
            None => Ok(tensor),
        }
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> Result<Tensor> {
        candle_core::bail!("tensor {name} is asked for without its shape")
    }

    fn contains_tensor(&self, _: &str) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(builder: &Builder) -> crate::Result<()> {
        builder.get_with_hints((2, 3), "a.weight", fan_in(&[2, 3]))?;
        builder.pp("b").get_with_hints(4, "weight", normal(1.0))?;
        Ok(())
    }

    #[test]
    fn what_is_declared_is_what_is_drawn_and_read() {
        let declared = declare(pair).unwrap();
        assert_eq!(declared, BTreeMap::from([("a.weight".into(), vec![2, 3]), ("b.weight".into(), vec![4])]));
        let drawn = draw(1, pair).unwrap();
        assert_eq!(drawn.keys().collect::<Vec<_>>(), declared.keys().collect::<Vec<_>>());
        pair(&read(&drawn)).unwrap();
        let mut fewer = drawn.clone();
        fewer.remove("b.weight");
        assert!(pair(&read(&fewer)).unwrap_err().to_string().contains("b.weight is missing"));
        fewer.insert("b.weight".into(), drawn["a.weight"].clone());
        assert!(pair(&read(&fewer)).unwrap_err().to_string().contains("b.weight has shape"));
    }

    #[test]
    fn a_tensor_does_not_depend_on_the_others() {
        let only = draw(1, |builder| Ok(builder.pp("b").get_with_hints(4, "weight", normal(1.0)).map(drop)?)).unwrap();
        let numbers = |parameters: &Parameters| parameters["b.weight"].to_vec1::<f32>().unwrap();
        assert_eq!(numbers(&only), numbers(&draw(1, pair).unwrap()));
        assert_ne!(numbers(&only), numbers(&draw(2, pair).unwrap()));
    }
}
