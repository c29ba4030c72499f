//! Weights in and out: our safetensors and the published PyTorch files, checked tensor by tensor.

mod bytes;
mod infer;
mod numbers;
#[cfg(feature = "pth")]
mod pickle;
mod published_names;
mod safetensor;
#[cfg(feature = "pth")]
mod unpickle;

use std::path::{Path, PathBuf};

use candle_core::{CpuStorage, Storage as TensorStorage, Tensor};

use super::config::{HeadConfig, ModelConfig, Task};
use super::heads::outputs::Outputs;
use super::parameters::{LANGUAGE_MODEL, Parameters, shapes};
use crate::decode::coding_calibration::CodingCalibration;
use crate::decode::target_background::TargetBackground;
use crate::{Error, Result};

use bytes::Bytes;
pub use published_names::published as published_name;
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
    /// What a coding model knows beside its network, where it was calibrated.
    pub calibration: Option<CodingCalibration>,
    /// What the scores of a mirtarget model are compared with, where it was calibrated.
    pub background: Option<TargetBackground>,
    /// The file, or the name of the embedded model.
    pub source: PathBuf,
    /// SHA-256 of the file's bytes.
    pub checksum: String,
}

impl Weights {
    /// Refuses weights that were trained for another task.
    ///
    /// # Errors
    /// [`Error::Weights`] names both tasks.
    pub fn check_task(&self, task: Task) -> Result<()> {
        let holds = self.config.task();
        match holds == task {
            true => Ok(()),
            false => Err(Error::weights(&self.source, format!("holds a {holds} model where a {task} model is needed"))),
        }
    }

    /// The mean of these weights and others of a model of the same shape, which was trained further or apart from it.
    ///
    /// # Errors
    /// Where the model is of another shape.
    pub fn mean_with(mut self, other: &Self) -> Result<Self> {
        if other.config != self.config {
            return Err(Error::weights(&other.source, "not a model of the same shape"));
        }
        for (name, tensor) in &mut self.parameters {
            *tensor = ((&*tensor + &other.parameters[name])? / 2.0)?;
        }
        let provenance = serde_json::json!({ "mean_of_sha256": [self.checksum, other.checksum] });
        Ok(Self { provenance, calibration: None, background: None, ..self })
    }
}

/// Reads weights from `path`: safetensors of our own, or a PyTorch file with the published names (a bare backbone, or
/// `ret.*` and `classifier.*`). Which of the two it is shows in its first bytes.
///
/// # Errors
/// Where the file cannot be read, holds anything but tensors, or where a tensor is missing, extra, misshapen or not
/// finite: the error names it.
pub fn read(path: &Path) -> Result<Weights> {
    parse_bytes(&Bytes::open(path)?, path)
}

/// As [`read`], from bytes; `source` names them in errors.
///
/// # Errors
/// As [`read`].
pub fn parse(bytes: &[u8], source: &Path) -> Result<Weights> {
    parse_bytes(&Bytes::Lent(bytes), source)
}

fn parse_bytes(file: &Bytes, source: &Path) -> Result<Weights> {
    let bytes = file.get();
    let (mut tensors, header) = if bytes.starts_with(b"PK\x03\x04") {
        (read_pickle(file, source)?, safetensor::Header::default())
    } else if bytes.starts_with(b"\x80\x02") {
        return Err(Error::weights(
            source,
            "this is PyTorch's old format without a zip container; load it in PyTorch and torch.save it again",
        ));
    } else {
        safetensor::parse(file, source)?
    };
    let (config, names) = match header.config {
        Some(json) => {
            // Our own files had the published names before their configuration had a version.
            let names = if json.get("version").is_some() { Names::Own } else { Names::Published };
            let config: ModelConfig = serde_json::from_value(json)
                .map_err(|error| Error::weights(source, format!("the configuration: {error}")))?;
            (config, names)
        }
        None => (infer::config(&tensors, source)?, Names::Published),
    };
    let valid = config.validate().and_then(|()| config.head.outputs().map_or(Ok(()), Outputs::validate));
    valid.map_err(|error| Error::weights(source, error.to_string()))?;
    if names == Names::Published {
        infer::drop_constants(&config, &mut tensors, source)?;
    }
    let parameters = take(&config, tensors, names, source)?;
    let (provenance, calibration, background) = (header.provenance, header.calibration, header.background);
    let learned_beside = [
        calibration.as_ref().map_or(Ok(()), CodingCalibration::validate),
        background.as_ref().map_or(Ok(()), TargetBackground::validate),
    ];
    for valid in learned_beside {
        valid.map_err(|message| Error::weights(source, message))?;
    }
    let checksum = file.checksum();
    Ok(Weights { config, parameters, provenance, calibration, background, source: source.into(), checksum })
}

#[cfg(feature = "pth")]
use pickle::parse as read_pickle;

#[cfg(not(feature = "pth"))]
fn read_pickle(_: &Bytes, source: &Path) -> Result<Parameters> {
    Err(Error::weights(source, "this program was built without PyTorch's files (Cargo feature pth)"))
}

/// How a file names its tensors.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Names {
    /// As this library does.
    Own,
    /// As the published files do.
    Published,
}

/// The parameters of a model of this configuration out of `tensors`, which must be exactly those.
fn take(config: &ModelConfig, mut tensors: Parameters, names: Names, source: &Path) -> Result<Parameters> {
    let language_model = names == Names::Published
        || config.head == HeadConfig::LanguageModel
        || tensors.keys().any(|name| name.starts_with(LANGUAGE_MODEL));
    let mut parameters = Parameters::new();
    for (own, shape) in shapes(config, language_model)? {
        let name = match names {
            Names::Own => own.clone(),
            Names::Published => published_names::published(&own, config.task()),
        };
        let Some(tensor) = tensors.remove(&name) else {
            return Err(Error::weights(source, format!("tensor {name} {shape:?} is missing")));
        };
        if tensor.dims() != shape.as_slice() {
            return Err(Error::weights(
                source,
                format!("tensor {name} has shape {:?} where {shape:?} is wanted", tensor.dims()),
            ));
        }
        if !all_finite(&tensor)? {
            return Err(Error::weights(source, format!("tensor {name} holds numbers that are not finite")));
        }
        parameters.insert(own, tensor);
    }
    match tensors.keys().next() {
        Some(name) => Err(Error::weights(source, format!("tensor {name} has no place in a {} model", config.task()))),
        None => Ok(parameters),
    }
}

fn all_finite(tensor: &Tensor) -> Result<bool> {
    let (storage, layout) = tensor.storage_and_layout();
    match (&*storage, layout.contiguous_offsets()) {
        (TensorStorage::Cpu(CpuStorage::F32(values)), Some((start, end))) => {
            Ok(values[start..end].iter().all(|x| x.is_finite()))
        }
        _ => Ok(tensor.flatten_all()?.to_vec1::<f32>()?.iter().all(|x| x.is_finite())),
    }
}
