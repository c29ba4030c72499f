//! Weights in and out: our safetensors and the published PyTorch files, checked tensor by tensor.

mod infer;
mod pickle;
mod safetensor;

use std::path::{Path, PathBuf};

use candle_core::{DType, Tensor};
use sha2::{Digest, Sha256};

use super::config::ModelConfig;
use super::parameters::{Parameters, shapes};
use crate::{Error, Result};

pub use safetensor::{Storage, write};

/// A model's tensors with what they are.
#[derive(Clone, Debug)]
pub struct Weights {
    /// Every dimension, and the task.
    pub config: ModelConfig,
    /// f32 tensors on the CPU, exactly those that the configuration asks for.
    pub parameters: Parameters,
    /// Where the weights come from, as free-form JSON: data, command, seed, steps.
    pub provenance: serde_json::Value,
    /// The file, or the name of the embedded model.
    pub source: PathBuf,
    /// SHA-256 of the file's bytes.
    pub checksum: String,
}

/// Reads weights from `path`: safetensors of our own, or a PyTorch file with the published names (a bare backbone, or
/// `ret.*` and `classifier.*`). Which of the two it is shows in its first bytes.
///
/// # Errors
/// Where the file cannot be read, holds anything but tensors, or where a tensor is missing, extra, misshapen or not
/// finite: the error names it.
pub fn read(path: &Path) -> Result<Weights> {
    let bytes = std::fs::read(path).map_err(|source| Error::read(path, source))?;
    parse(&bytes, path)
}

/// As [`read`], from bytes; `source` names them in errors.
///
/// # Errors
/// As [`read`].
pub fn parse(bytes: &[u8], source: &Path) -> Result<Weights> {
    let (tensors, header) = if bytes.starts_with(b"PK\x03\x04") {
        (pickle::parse(bytes, source)?, safetensor::Header::default())
    } else if bytes.starts_with(b"\x80\x02") {
        return Err(Error::weights(
            source,
            "this is PyTorch's old format without a zip container; load it in PyTorch and torch.save it again",
        ));
    } else {
        safetensor::parse(bytes, source)?
    };
    let mut tensors: Parameters =
        tensors.into_iter().map(|(name, tensor)| Ok((name, tensor.to_dtype(DType::F32)?))).collect::<Result<_>>()?;
    let provenance = header.provenance;
    let config = match header.config {
        Some(config) => config,
        None => infer::config(&tensors, source)?,
    };
    config.validate().map_err(|error| Error::weights(source, error.to_string()))?;
    infer::drop_constants(&config, &mut tensors, source)?;
    check(&config, &tensors, source)?;
    let checksum = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Weights { config, parameters: tensors, provenance, source: source.into(), checksum })
}

/// That `tensors` are exactly the ones a model of this configuration has.
fn check(config: &ModelConfig, tensors: &Parameters, source: &Path) -> Result<()> {
    let wanted = shapes(config);
    for (name, shape) in &wanted {
        let Some(tensor) = tensors.get(name) else {
            return Err(Error::weights(source, format!("tensor {name} {shape:?} is missing")));
        };
        if tensor.dims() != shape.as_slice() {
            return Err(Error::weights(
                source,
                format!("tensor {name} has shape {:?} where {shape:?} is wanted", tensor.dims()),
            ));
        }
        if !all_finite(tensor)? {
            return Err(Error::weights(source, format!("tensor {name} holds numbers that are not finite")));
        }
    }
    for name in tensors.keys() {
        if !wanted.iter().any(|(known, _)| known == name) {
            return Err(Error::weights(source, format!("tensor {name} has no place in a {} model", config.task)));
        }
    }
    Ok(())
}

fn all_finite(tensor: &Tensor) -> Result<bool> {
    Ok(tensor.flatten_all()?.to_vec1::<f32>()?.iter().all(|x| x.is_finite()))
}
