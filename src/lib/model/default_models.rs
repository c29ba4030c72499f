//! The models that a tool runs where no `--model` is given: they travel inside the binaries.
//!
//! `models/` in the repository holds them with a card for each: data, training, figures, limits.

use std::path::Path;

use super::config::Task;
use super::weights::{self, Weights};
use crate::Result;

/// The default model for a task.
///
/// # Errors
/// Where this build has no models inside (feature `embedded-models` off).
#[cfg(feature = "embedded-models")]
pub fn load(task: Task) -> Result<Weights> {
    let (name, bytes): (&str, &[u8]) = match task {
        Task::Pretrain => ("built-in pretrain model", include_bytes!("../../../models/pretrain.safetensors")),
        Task::Fold => ("built-in fold model", include_bytes!("../../../models/fold.safetensors")),
        Task::Coding => ("built-in coding model", include_bytes!("../../../models/coding.safetensors")),
        Task::Mirtarget => ("built-in mirtarget model", include_bytes!("../../../models/mirtarget.safetensors")),
    };
    weights::parse(bytes, Path::new(name))
}

/// The default model for a task, of which this build has none.
///
/// # Errors
/// Always.
#[cfg(not(feature = "embedded-models"))]
pub fn load(task: Task) -> Result<Weights> {
    Err(crate::Error::Usage(format!("this program was built without models: give a {task} model with --model")))
}
