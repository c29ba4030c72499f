//! Our own files: safetensors, with the configuration and the provenance as JSON in the header's metadata.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use safetensors::SafeTensors;
use serde::{Deserialize, Serialize};

use super::Weights;
use super::bytes::Bytes;
use super::numbers::{floats, is_read};
use crate::decode::coding_calibration::CodingCalibration;
use crate::decode::target_background::TargetBackground;
use crate::model::parameters::Parameters;
use crate::{Error, Result};

/// The metadata entry that holds [`Header`] as JSON.
const ENTRY: &str = "rnaret";

/// Largest header in bytes: ten thousands of tensors, and what the metadata say of their origin.
const LARGEST_HEADER: u64 = 1 << 24;

/// What the names of whole numbers end with that no model computes with: batches seen in training, and 0, 1, 2 ...
const COUNTERS: [&str; 2] = ["num_batches_tracked", "position_ids"];

/// What the header says besides the tensors.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Header {
    pub config: Option<serde_json::Value>,
    #[serde(default)]
    pub provenance: serde_json::Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<CodingCalibration>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub background: Option<TargetBackground>,
}

/// How numbers are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Storage {
    /// 32 bits: what was computed.
    #[default]
    F32,
    /// 16 bits: half the size, about three significant digits.
    F16,
}

pub(super) fn parse(file: &Bytes, source: &Path) -> Result<(Parameters, Header)> {
    let bytes = file.get();
    let length = bytes.first_chunk().map(|first| u64::from_le_bytes(*first));
    if let Some(length) = length.filter(|length| (LARGEST_HEADER..=bytes.len() as u64).contains(length)) {
        let message = format!("its header of {length} bytes is larger than {LARGEST_HEADER}");
        return Err(Error::weights(source, message));
    }
    let wrong = |error: safetensors::SafeTensorError| {
        Error::weights(source, format!("neither safetensors nor a PyTorch file: {error}"))
    };
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(wrong)?;
    let views = SafeTensors::deserialize(bytes).map_err(wrong)?;
    let entries = header.metadata().clone().unwrap_or_default();
    // One entry holds all, since the library writes several in no fixed order and the same weights shall give the same
    // bytes.
    let header: Header = match entries.get(ENTRY) {
        None => Header::default(),
        Some(text) => serde_json::from_str(text)
            .map_err(|error| Error::weights(source, format!("metadata entry {ENTRY}: {error}")))?,
    };
    let mut tensors = Parameters::new();
    for (name, view) in views.iter() {
        // Counters that PyTorch keeps beside weights.
        if COUNTERS.iter().any(|end| name.ends_with(end)) {
            continue;
        }
        let dtype = DType::try_from(view.dtype()).ok().filter(|&dtype| is_read(dtype)).ok_or_else(|| {
            let message = format!("tensor {name} has the type {:?}; numbers are F16, BF16, F32 or F64", view.dtype());
            Error::weights(source, message)
        })?;
        let values = floats(view.data(), dtype);
        tensors.insert(name.to_string(), Tensor::from_vec(values, view.shape(), &Device::Cpu)?);
        file.release(view.data());
    }
    Ok((tensors, header))
}

/// The bytes of a weights file. The same weights give the same bytes.
///
/// # Errors
/// Where a tensor cannot be read.
pub fn write(weights: &Weights, storage: Storage) -> Result<Vec<u8>> {
    let defect = |error: safetensors::SafeTensorError| Error::weights(&weights.source, error.to_string());
    let views = weights
        .parameters
        .iter()
        .map(|(name, tensor)| {
            let flat = tensor.to_device(&Device::Cpu)?.to_dtype(DType::F32)?.flatten_all()?;
            Ok((name, Stored { tensor: flat, shape: tensor.dims(), storage }))
        })
        .collect::<Result<Vec<_>>>()?;
    let json = |error: serde_json::Error| Error::weights(&weights.source, error.to_string());
    let config = serde_json::to_value(&weights.config).map_err(json)?;
    let Weights { provenance, calibration, background, .. } = weights.clone();
    let header = Header { config: Some(config), provenance, calibration, background };
    let header = serde_json::to_string(&header).map_err(json)?;
    let metadata = HashMap::from([(ENTRY.to_string(), header)]);
    safetensors::serialize(views, Some(metadata)).map_err(defect)
}

/// A tensor whose bytes are made when they are written, so that a second copy of all tensors never exists.
struct Stored<'a> {
    tensor: Tensor,
    shape: &'a [usize],
    storage: Storage,
}

impl safetensors::View for Stored<'_> {
    fn dtype(&self) -> safetensors::Dtype {
        match self.storage {
            Storage::F32 => safetensors::Dtype::F32,
            Storage::F16 => safetensors::Dtype::F16,
        }
    }

    fn shape(&self) -> &[usize] {
        self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        // Numbers of f32 on the CPU, for which this does not fail.
        let values = self.tensor.to_vec1::<f32>().unwrap_or_default();
        Cow::Owned(match self.storage {
            Storage::F32 => values.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Storage::F16 => values.iter().flat_map(|x| half::f16::from_f32(*x).to_le_bytes()).collect(),
        })
    }

    fn data_len(&self) -> usize {
        let width = match self.storage {
            Storage::F32 => size_of::<f32>(),
            Storage::F16 => size_of::<half::f16>(),
        };
        self.tensor.elem_count() * width
    }
}
