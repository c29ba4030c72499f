//! Our own files: safetensors, with the configuration and the provenance as JSON in the header's metadata.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;
use serde::{Deserialize, Serialize};

use super::Weights;
use crate::model::parameters::Parameters;
use crate::{Error, Result};

/// The metadata entry that holds [`Header`] as JSON.
const ENTRY: &str = "rnaret";

/// What the header says besides the tensors.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Header {
    pub config: Option<serde_json::Value>,
    #[serde(default)]
    pub provenance: serde_json::Value,
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

pub(super) fn parse(bytes: &[u8], source: &Path) -> Result<(Parameters, Header)> {
    let wrong = |error: safetensors::SafeTensorError| {
        Error::weights(source, format!("neither safetensors nor a PyTorch file: {error}"))
    };
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(wrong)?;
    let file = SafeTensors::deserialize(bytes).map_err(wrong)?;
    let entries = header.metadata().clone().unwrap_or_default();
    // One entry holds all, since the library writes several in no fixed order and the same weights shall give the same
    // bytes.
    let header: Header = match entries.get(ENTRY) {
        None => Header::default(),
        Some(text) => serde_json::from_str(text)
            .map_err(|error| Error::weights(source, format!("metadata entry {ENTRY}: {error}")))?,
    };
    let mut tensors = Parameters::new();
    for (name, view) in file.tensors() {
        let dtype = DType::try_from(view.dtype())
            .map_err(|_| Error::weights(source, format!("tensor {name} has the unknown type {:?}", view.dtype())))?;
        tensors.insert(name, Tensor::from_raw_buffer(view.data(), dtype, view.shape(), &Device::Cpu)?);
    }
    Ok((tensors, header))
}

/// The bytes of a weights file. The same weights give the same bytes.
///
/// # Errors
/// Where a tensor cannot be read.
pub fn write(weights: &Weights, storage: Storage) -> Result<Vec<u8>> {
    let (dtype, stored) = match storage {
        Storage::F32 => (DType::F32, safetensors::Dtype::F32),
        Storage::F16 => (DType::F16, safetensors::Dtype::F16),
    };
    let data = weights
        .parameters
        .iter()
        .map(|(name, tensor)| {
            let tensor = tensor.to_dtype(dtype)?.flatten_all()?;
            let bytes: Vec<u8> = match storage {
                Storage::F32 => tensor.to_vec1::<f32>()?.iter().flat_map(|x| x.to_le_bytes()).collect(),
                Storage::F16 => tensor.to_vec1::<half::f16>()?.iter().flat_map(|x| x.to_le_bytes()).collect(),
            };
            Ok((name.clone(), bytes))
        })
        .collect::<Result<Vec<_>>>()?;
    let defect = |error: safetensors::SafeTensorError| Error::weights(&weights.source, error.to_string());
    let views = data
        .iter()
        .map(|(name, bytes)| {
            let shape = weights.parameters[name].dims().to_vec();
            Ok((name.clone(), TensorView::new(stored, shape, bytes).map_err(defect)?))
        })
        .collect::<Result<Vec<_>>>()?;
    let json = |error: serde_json::Error| Error::weights(&weights.source, error.to_string());
    let config = serde_json::to_value(&weights.config).map_err(json)?;
    let header = Header { config: Some(config), provenance: weights.provenance.clone() };
    let header = serde_json::to_string(&header).map_err(json)?;
    let metadata = HashMap::from([(ENTRY.to_string(), header)]);
    safetensors::serialize(views, Some(metadata)).map_err(defect)
}
