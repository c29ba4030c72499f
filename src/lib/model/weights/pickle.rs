//! PyTorch's `.pth`: a zip archive whose `data.pkl` names the tensors and whose `data/N` hold their numbers.
//!
//! The pickle is parsed, never run. It may hold a dictionary from names to tensors (and the `_metadata` that PyTorch
//! adds); anything else in it is refused.

use std::io::{BufReader, Cursor, Read};
use std::path::Path;

use candle_core::pickle::{Object, Stack};
use candle_core::{DType, Device, Tensor};
use zip::ZipArchive;

use crate::model::parameters::Parameters;
use crate::{Error, Result};

/// Largest number of bytes that one tensor may claim: more than any model of this family, less than a hostile file asks.
const LARGEST_TENSOR: usize = 1 << 32;

pub(super) fn parse(bytes: &[u8], source: &Path) -> Result<Parameters> {
    let wrong = |message: String| Error::weights(source, message);
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|error| wrong(format!("broken archive: {error}")))?;
    let names: Vec<String> = (0..archive.len())
        .map(|i| archive.by_index_raw(i).map(|entry| entry.name().map(|name| name.into_owned()).unwrap_or_default()))
        .collect::<std::result::Result<_, _>>()
        .map_err(|error| wrong(format!("broken archive: {error}")))?;
    let mut pickles = names.iter().filter(|name| name.ends_with("data.pkl"));
    let (Some(pickle), None) = (pickles.next(), pickles.next()) else {
        return Err(wrong("no PyTorch file: its archive should hold one data.pkl".into()));
    };
    let folder = pickle.trim_end_matches("data.pkl").to_string();
    let entry = archive.by_name(pickle).map_err(|error| wrong(format!("broken archive: {error}")))?;
    let mut stack = Stack::empty();
    stack
        .read_loop(&mut BufReader::new(entry))
        .map_err(|error| wrong(format!("its pickle holds what no weights need: {error}")))?;
    let object = stack.finalize().map_err(|error| wrong(format!("its pickle is broken: {error}")))?;
    let Object::Dict(entries) = object else {
        return Err(wrong("its pickle holds no dictionary of tensors; save model.state_dict()".into()));
    };
    let mut tensors = Parameters::new();
    for (name, value) in entries {
        let Object::Unicode(name) = name else {
            return Err(wrong(format!("its pickle has a key that is no name: {name:?}")));
        };
        if name == "_metadata" && matches!(value, Object::Dict(_)) {
            continue;
        }
        let Some(stored) = Stored::from_object(&value) else {
            return Err(wrong(format!(
                "entry {name} of its pickle is no tensor; only weights are read: save model.state_dict()"
            )));
        };
        let entry = archive
            .by_name(&format!("{folder}data/{}", stored.file))
            .map_err(|error| wrong(format!("tensor {name}: {error}")))?;
        let tensor = stored.read(entry).map_err(|message| wrong(format!("tensor {name}: {message}")))?;
        tensors.insert(name, tensor);
    }
    Ok(tensors)
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
        let Object::Reduce { callable, args } = object else { return None };
        let (Object::Class { module_name, class_name }, Object::Tuple(args)) = (&**callable, &**args) else {
            return None;
        };
        match (module_name.as_str(), class_name.as_str(), args.as_slice()) {
            ("torch._utils", "_rebuild_parameter", [tensor, ..]) => Self::from_object(tensor),
            ("torch._utils", "_rebuild_tensor_v2", [Object::PersistentLoad(storage), offset, size, stride, ..]) => {
                let Object::Tuple(storage) = &**storage else { return None };
                let [Object::Unicode(kind), Object::Class { class_name, .. }, Object::Unicode(file), ..] =
                    storage.as_slice()
                else {
                    return None;
                };
                let dtype = match (kind.as_str(), class_name.as_str()) {
                    ("storage", "FloatStorage") => DType::F32,
                    ("storage", "DoubleStorage") => DType::F64,
                    ("storage", "HalfStorage") => DType::F16,
                    ("storage", "BFloat16Storage") => DType::BF16,
                    _ => return None,
                };
                Some(Self {
                    file: file.clone(),
                    dtype,
                    offset: number(offset)?,
                    shape: numbers(size)?,
                    strides: numbers(stride)?,
                })
            }
            _ => None,
        }
    }

    fn read(&self, mut entry: impl Read) -> std::result::Result<Tensor, String> {
        if self.shape.len() != self.strides.len() {
            return Err(format!("shape {:?} and strides {:?} do not fit", self.shape, self.strides));
        }
        // One past the last number that the view reaches.
        let count = self.shape.iter().try_fold(1usize, |count, &size| count.checked_mul(size));
        let reach = self
            .shape
            .iter()
            .zip(&self.strides)
            .try_fold(self.offset, |reach, (&size, &stride)| {
                reach.checked_add(size.saturating_sub(1).checked_mul(stride)?)
            })
            .and_then(|last| last.checked_add(1)?.checked_mul(self.dtype.size_in_bytes()));
        let (Some(count), Some(reach)) = (count, reach) else {
            return Err(format!("shape {:?} is too large", self.shape));
        };
        if reach > LARGEST_TENSOR || count > LARGEST_TENSOR {
            return Err(format!("shape {:?} is too large", self.shape));
        }
        let mut bytes = Vec::new();
        entry.by_ref().take(reach as u64).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        if bytes.len() < reach && count > 0 {
            return Err(format!("{} bytes are stored where {reach} are needed", bytes.len()));
        }
        let stored = bytes.len() / self.dtype.size_in_bytes();
        let flat = Tensor::from_raw_buffer(&bytes, self.dtype, &[stored], &Device::Cpu)
            .and_then(|flat| flat.to_dtype(DType::F32)?.to_vec1::<f32>())
            .map_err(|error| error.to_string())?;
        let values: Vec<f32> = (0..count)
            .map(|index| {
                let mut rest = index;
                let mut position = self.offset;
                for (&size, &stride) in self.shape.iter().zip(&self.strides).rev() {
                    position += rest % size * stride;
                    rest /= size;
                }
                flat[position]
            })
            .collect();
        Tensor::from_vec(values, self.shape.as_slice(), &Device::Cpu).map_err(|error| error.to_string())
    }
}

fn number(object: &Object) -> Option<usize> {
    match object {
        Object::Int(value) => usize::try_from(*value).ok(),
        Object::Long(value) => usize::try_from(*value).ok(),
        _ => None,
    }
}

fn numbers(object: &Object) -> Option<Vec<usize>> {
    match object {
        Object::Tuple(items) => items.iter().map(number).collect(),
        _ => None,
    }
}
