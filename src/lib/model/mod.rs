//! The bidirectional retentive encoder and its heads: the model library, for the CPU and the GPU.

pub mod builder;
pub mod cards;
pub mod config;
#[cfg(any(feature = "cuda", test))]
pub(crate) mod cuda;
mod default_models;
pub mod device;
pub mod encoder;
pub mod features;
pub mod heads;
pub mod likelihood;
mod load;
pub mod maps;
pub mod ops;
mod packed;
pub mod parameters;
pub mod retention;
pub mod weights;

pub use config::{EncoderConfig, HeadConfig, HeadKind, ModelConfig, Task};
pub use default_models::{load as default_model, open as open_weights};
pub use encoder::{Encode, Encoder, RetentionConfig, TransformerConfig};
pub use features::{Features, Input};
pub use load::Model;
pub use parameters::{Parameters, initialise};
pub use weights::Weights;
