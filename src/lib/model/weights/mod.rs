//! Weights in and out: our safetensors and the published PyTorch files, checked tensor by tensor.

mod bytes;
mod import;
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

use super::config::{EncoderConfig, HeadConfig, ModelConfig, Task};
use super::heads::outputs::Outputs;
use super::parameters::{LANGUAGE_MODEL, Parameters, shapes};
use crate::decode::coding_calibration::CodingCalibration;
use crate::decode::target_background::TargetBackground;
use crate::{Error, Result};

use bytes::Bytes;
use import::{Contents, Imported};

pub use import::ImportOptions;
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

/// Reads weights from `path`: safetensors of our own, a PyTorch file with the published names of RNAret (a bare backbone, or
/// `ret.*` and `classifier.*`) or of another language model, or a folder with `config.json`, `vocab.txt` and weights, as
/// multimolecule and Hugging Face publish them. What a file is shows in its first bytes and in the names of its tensors.
///
/// # Errors
/// Where the file cannot be read, holds anything but tensors, or where a tensor is missing, extra, misshapen or not
/// finite: the error names it.
pub fn read(path: &Path) -> Result<Weights> {
    read_with(path, ImportOptions::default())
}

/// As [`read`], with what the weights do not say themselves.
///
/// # Errors
/// As [`read`].
pub fn read_with(path: &Path, options: ImportOptions) -> Result<Weights> {
    if !path.is_dir() {
        return parse_bytes(&Bytes::open(path)?, options, path);
    }
    let file = import::weights_file(path)?;
    let bytes = Bytes::open(&file)?;
    let (contents, header) = contents(&bytes, &file)?;
    if header.config.is_some() {
        return Err(Error::weights(&file, "a file of this program: give it without its folder"));
    }
    imported(import::folder(path, contents, options)?, &bytes, path)
}

/// As [`read`], from bytes; `source` names them in errors.
///
/// # Errors
/// As [`read`].
pub fn parse(bytes: &[u8], source: &Path) -> Result<Weights> {
    parse_bytes(&Bytes::Lent(bytes), ImportOptions::default(), source)
}

/// What a file of weights of any kind holds.
fn contents(file: &Bytes, source: &Path) -> Result<(Contents, safetensor::Header)> {
    let bytes = file.get();
    if bytes.starts_with(b"PK\x03\x04") {
        Ok((read_pickle(file, source)?, safetensor::Header::default()))
    } else if bytes.starts_with(b"\x80\x02") {
        Err(Error::weights(
            source,
            "this is PyTorch's old format without a zip container; load it in PyTorch and torch.save it again",
        ))
    } else {
        let (tensors, header) = safetensor::parse(file, source)?;
        Ok((Contents { tensors, ..Contents::default() }, header))
    }
}

fn parse_bytes(file: &Bytes, options: ImportOptions, source: &Path) -> Result<Weights> {
    let (mut contents, header) = contents(file, source)?;
    if header.config.is_none()
        && let Some(found) = import::recognise(&mut contents, options, source)?
    {
        return imported(found, file, source);
    }
    if let Some((name, _)) = contents.numbers.first() {
        return Err(Error::weights(source, format!("entry {name} of its pickle is no tensor, and has no place here")));
    }
    let mut tensors = contents.tensors;
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
    check(&config, source)?;
    if names == Names::Published {
        infer::drop_constants(&config, &mut tensors, source)?;
    }
    // A published encoder may come without the head that guesses tokens.
    let must_guess = config.head == HeadConfig::LanguageModel && matches!(config.encoder, EncoderConfig::Retention(_));
    let language_model =
        names == Names::Published || must_guess || tensors.keys().any(|name| name.starts_with(LANGUAGE_MODEL));
    let task = config.task();
    let name = |own: &str| match names {
        Names::Own => own.to_owned(),
        Names::Published => published_names::published(own, task),
    };
    let parameters = take(&config, language_model, tensors, name, source)?;
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
fn read_pickle(_: &Bytes, source: &Path) -> Result<Contents> {
    Err(Error::weights(source, "this program was built without PyTorch's files (Cargo feature pth)"))
}

/// The weights of a model that others published.
fn imported(found: Imported, file: &Bytes, source: &Path) -> Result<Weights> {
    let Imported { config, tensors, name, language_model } = found;
    check(&config, source)?;
    let parameters = take(&config, language_model, tensors, name, source)?;
    let (provenance, checksum) = (serde_json::Value::Null, file.checksum());
    Ok(Weights { config, parameters, provenance, calibration: None, background: None, source: source.into(), checksum })
}

/// That the parts of a configuration fit each other.
fn check(config: &ModelConfig, source: &Path) -> Result<()> {
    let valid = config.validate().and_then(|()| config.head.outputs().map_or(Ok(()), Outputs::validate));
    valid.map_err(|error| Error::weights(source, error.to_string()))
}

/// How a file names its tensors.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Names {
    /// As this library does.
    Own,
    /// As the published files do.
    Published,
}

/// The parameters of a model of this configuration out of `tensors`, which must be exactly those; `name` is what a tensor of
/// ours is called there.
fn take(
    config: &ModelConfig,
    language_model: bool,
    mut tensors: Parameters,
    name: impl Fn(&str) -> String,
    source: &Path,
) -> Result<Parameters> {
    let mut parameters = Parameters::new();
    for (own, shape) in shapes(config, language_model)? {
        let name = name(&own);
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
