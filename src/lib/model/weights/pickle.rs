//! PyTorch's `.pth`: a zip archive whose `data.pkl` names the tensors and whose `data/N` hold their numbers.
//!
//! The pickle is parsed, never run. It may hold a dictionary from names to tensors and numbers (and the `_metadata` that PyTorch
//! adds), or one that has such a dictionary as its entry `model`, beside the arguments of a training; anything else is refused.

use std::io::{Cursor, Read};
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use zip::ZipArchive;
use zip::read::{ArchiveOffset, Config};

use super::bytes::Bytes;
use super::import::Contents;
use super::numbers::floats;
use super::unpickle::{self, Object};
use crate::{Error, Result};

/// Largest pickle in bytes: it names the tensors, and holds none of their numbers.
const LARGEST_PICKLE: u64 = 1 << 24;

/// How many bytes the tensors, and the pickle, may take in memory for each byte of the archive. PyTorch stores numbers as
/// they are, so that two are enough (16 bits become 32); a file that claims more is compressed, which weights hardly are,
/// or repeats its numbers.
const GROWTH: u64 = 16;

pub(super) fn parse(file: &Bytes, source: &Path) -> Result<Contents> {
    let bytes = file.get();
    let wrong = |message: String| Error::weights(source, message);
    let broken = |error: zip::result::ZipError| wrong(format!("broken archive: {error}"));
    // PyTorch's archives begin where the file begins. Looking for another beginning goes wrong where the first entry of the
    // directory is as long as what PyTorch writes behind the last, as it is in `RNA-FM-ResNet_PDB-All.pth`.
    let config = Config { archive_offset: ArchiveOffset::Known(0) };
    let mut archive = ZipArchive::with_config(config, Cursor::new(bytes)).map_err(broken)?;
    let names: Vec<String> = (0..archive.len())
        .map(|i| archive.by_index_raw(i).map(|entry| entry.name().map(|name| name.into_owned()).unwrap_or_default()))
        .collect::<std::result::Result<_, _>>()
        .map_err(broken)?;
    let mut pickles = names.iter().filter(|name| name.ends_with("data.pkl"));
    let (Some(pickle), None) = (pickles.next(), pickles.next()) else {
        return Err(wrong("no PyTorch file: its archive should hold one data.pkl".into()));
    };
    let folder = pickle.trim_end_matches("data.pkl").to_string();
    let mut budget = GROWTH * bytes.len() as u64;
    let object = {
        let most = budget.min(LARGEST_PICKLE);
        let mut pickled = Vec::new();
        let entry = archive.by_name(pickle).map_err(broken)?;
        entry.take(most + 1).read_to_end(&mut pickled).map_err(|error| wrong(format!("broken archive: {error}")))?;
        if pickled.len() as u64 > most {
            return Err(wrong(format!("its pickle is larger than {most} bytes, which is more than weights need")));
        }
        unpickle::read(&pickled)
            .map_err(|message| wrong(format!("its pickle holds what no weights need: {message}")))?
    };
    let Object::Dict(entries) = &object.object else {
        return Err(wrong("its pickle holds no dictionary of tensors; save model.state_dict()".into()));
    };
    let mut contents = Contents::default();
    let entry = |wanted: &str| {
        let found = entries.iter().find(|(name, _)| matches!(&name.object, Object::Text(name) if name == wanted));
        found.map(|(_, value)| &value.object)
    };
    let entries = match entry("model") {
        Some(Object::Dict(inner)) => {
            contents.heads = entry("args").and_then(heads);
            inner
        }
        _ => entries,
    };
    for (name, value) in entries {
        let Object::Text(name) = &name.object else {
            return Err(wrong("its pickle has a key that is no name".into()));
        };
        if name == "_metadata" && matches!(value.object, Object::Dict(_)) {
            continue;
        }
        // A counter that PyTorch keeps beside weights.
        if name.ends_with("num_batches_tracked") {
            continue;
        }
        if let Object::Float(number) = &value.object {
            contents.numbers.push((name.clone(), *number));
            continue;
        }
        let Some(stored) = Stored::from_object(&value.object) else {
            return Err(wrong(format!(
                "entry {name} of its pickle is no tensor; only weights are read: save model.state_dict()"
            )));
        };
        let entry = archive
            .by_name(&format!("{folder}data/{}", stored.file))
            .map_err(|error| wrong(format!("tensor {name}: {error}")))?;
        let tensor = stored.read(entry, &mut budget).map_err(|message| wrong(format!("tensor {name}: {message}")))?;
        contents.tensors.insert(name.clone(), tensor);
        file.release(bytes);
    }
    Ok(contents)
}

/// The number of attention heads among the arguments of a training: the attributes of a namespace.
fn heads(arguments: &Object) -> Option<usize> {
    let Object::Call(_, state) = arguments else { return None };
    let Object::Dict(attributes) = &state.object else { return None };
    let names = ["attention_heads", "encoder_attention_heads"];
    attributes.iter().find_map(|(name, value)| match &name.object {
        Object::Text(name) if names.contains(&name.as_str()) => number(&value.object),
        _ => None,
    })
}

/// Where a tensor's numbers are and how they lie.
struct Stored {
    file: String,
    dtype: DType,
    /// First number, in numbers.
    offset: usize,
    shape: Vec<usize>,
    strides: Vec<usize>,
}

impl Stored {
    /// Reads `_rebuild_tensor_v2((storage), offset, size, stride, ...)`, or `_rebuild_parameter` around it.
    fn from_object(object: &Object) -> Option<Self> {
        let Object::Call(callable, arguments) = object else { return None };
        let (Object::Global(module, function), Object::Tuple(arguments)) = (&callable.object, &arguments.object) else {
            return None;
        };
        match (module.as_str(), function.as_str(), arguments.as_slice()) {
            ("torch._utils", "_rebuild_parameter", [tensor, ..]) => Self::from_object(&tensor.object),
            ("torch._utils", "_rebuild_tensor_v2", [storage, offset, size, stride, ..]) => {
                let Object::Persistent(storage) = &storage.object else { return None };
                let Object::Tuple(storage) = &storage.object else { return None };
                let [kind, class, file, ..] = storage.as_slice() else { return None };
                let (Object::Text(kind), Object::Global(_, class), Object::Text(file)) =
                    (&kind.object, &class.object, &file.object)
                else {
                    return None;
                };
                let dtype = match (kind.as_str(), class.as_str()) {
                    ("storage", "FloatStorage") => DType::F32,
                    ("storage", "DoubleStorage") => DType::F64,
                    ("storage", "HalfStorage") => DType::F16,
                    ("storage", "BFloat16Storage") => DType::BF16,
                    _ => return None,
                };
                Some(Self {
                    file: file.clone(),
                    dtype,
                    offset: number(&offset.object)?,
                    shape: numbers(&size.object)?,
                    strides: numbers(&stride.object)?,
                })
            }
            _ => None,
        }
    }

    /// The numbers out of the stored bytes; takes what they need in memory out of `budget`, in bytes.
    fn read(&self, mut entry: impl Read, budget: &mut u64) -> std::result::Result<Tensor, String> {
        if self.shape.len() != self.strides.len() {
            return Err(format!("shape {:?} and strides {:?} do not fit", self.shape, self.strides));
        }
        let width = self.dtype.size_in_bytes();
        let too_large = || format!("shape {:?} asks for more memory than such a small file can hold", self.shape);
        // Numbers in the tensor; in storage, from the first one of the view to one past the last.
        let count = self.shape.iter().try_fold(1usize, |count, &size| count.checked_mul(size)).ok_or_else(too_large)?;
        let reach = match count {
            0 => 0,
            _ => self
                .shape
                .iter()
                .zip(&self.strides)
                .try_fold(1usize, |reach, (&size, &stride)| reach.checked_add((size - 1).checked_mul(stride)?))
                .ok_or_else(too_large)?,
        };
        let memory = |numbers: usize, width: usize| numbers.checked_mul(width).map(|bytes| bytes as u64);
        let (first, stored) = (memory(self.offset, width).ok_or_else(too_large)?, memory(reach, width));
        let stored = stored.filter(|stored| stored <= budget).ok_or_else(too_large)?;
        let needed = memory(count, size_of::<f32>()).ok_or_else(too_large)?;
        *budget = budget.checked_sub(needed).ok_or_else(too_large)?;
        let unreadable = |error: std::io::Error| error.to_string();
        std::io::copy(&mut entry.by_ref().take(first), &mut std::io::sink()).map_err(unreadable)?;
        let mut bytes = Vec::new();
        entry.by_ref().take(stored).read_to_end(&mut bytes).map_err(unreadable)?;
        // The archive's checksum is compared at the end of a file, which these bytes mostly reach.
        let _ = entry.read(&mut [0]).map_err(unreadable)?;
        if (bytes.len() as u64) < stored {
            return Err(format!("{} bytes are stored where {stored} are needed", bytes.len()));
        }
        let flat = floats(&bytes, self.dtype);
        drop(bytes);
        let contiguous = self
            .shape
            .iter()
            .rev()
            .zip(self.strides.iter().rev())
            .try_fold(1, |width, (&size, &stride)| (size == 1 || stride == width).then_some(width * size));
        let values: Vec<f32> = match contiguous {
            Some(_) => flat,
            None => (0..count)
                .map(|index| {
                    let (mut rest, mut position) = (index, 0);
                    for (&size, &stride) in self.shape.iter().zip(&self.strides).rev() {
                        position += rest % size * stride;
                        rest /= size;
                    }
                    flat[position]
                })
                .collect(),
        };
        Tensor::from_vec(values, self.shape.as_slice(), &Device::Cpu).map_err(|error| error.to_string())
    }
}

fn number(object: &Object) -> Option<usize> {
    match object {
        Object::Int(value) => usize::try_from(*value).ok(),
        _ => None,
    }
}

fn numbers(object: &Object) -> Option<Vec<usize>> {
    match object {
        Object::Tuple(items) => items.iter().map(|item| number(&item.object)).collect(),
        _ => None,
    }
}
