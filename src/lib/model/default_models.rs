//! The models that a tool runs where no `--model` is given.

use std::path::PathBuf;

use super::config::{ModelConfig, Task};
use super::parameters::initialise;
use super::weights::Weights;
use crate::Result;

/// The seed of the untrained weights.
const SEED: u64 = 20260;

/// The default model for a task. Untrained so far, which it says on standard error.
///
/// # Errors
/// Where a tensor operation fails.
pub fn load(task: Task) -> Result<Weights> {
    log::warn!("the built-in {task} model is untrained: its output shows the format and means nothing; give --model");
    let (head_blocks, head_width) = match task {
        Task::Fold | Task::Coding => (2, 16),
        Task::Pretrain | Task::Mirtarget => (0, 0),
    };
    let config = ModelConfig {
        task,
        embed_dim: 64,
        value_dim: 64,
        ffn_dim: 64,
        layers: 2,
        head_blocks,
        head_width,
        ..ModelConfig::default()
    };
    Ok(Weights {
        parameters: initialise(&config, SEED)?,
        config,
        provenance: serde_json::json!({ "untrained": true, "seed": SEED }),
        source: PathBuf::from(format!("built-in {task} model")),
        checksum: "untrained".into(),
    })
}
