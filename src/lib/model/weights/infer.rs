//! The configuration of weights that do not say it: every dimension follows from the tensors' shapes.

use std::path::Path;

use candle_core::Tensor;

use super::published_names::encoder_prefix;
use crate::model::config::{EncoderConfig, HeadConfig, ModelConfig, Task};
use crate::model::encoder::RetentionConfig;
use crate::model::heads::coding::PublishedCodingConfig;
use crate::model::ops::rotation::angles;
use crate::model::parameters::Parameters;
use crate::model::retention::kernel::decay;
use crate::{Error, Result};

/// Reads task and dimensions off published names and shapes.
pub(super) fn config(tensors: &Parameters, source: &Path) -> Result<ModelConfig> {
    let classifier = |name: &str| tensors.get(&format!("classifier.{name}"));
    let task = if let Some(out) = classifier("conv_out.weight") {
        match out.rank() {
            4 => Task::Fold,
            3 => Task::Coding,
            rank => {
                let message = format!("tensor classifier.conv_out.weight has {rank} dimensions, not 3 or 4");
                return Err(Error::weights(source, message));
            }
        }
    } else if tensors.keys().any(|name| name.starts_with("classifier.")) {
        Task::Mirtarget
    } else if tensors.keys().any(|name| name.starts_with("ret.")) {
        return Err(Error::weights(source, "tensors ret.* without classifier.*: the head is missing"));
    } else {
        Task::Pretrain
    };
    let prefix = encoder_prefix(task);
    let shape = |name: &str| -> Result<(usize, usize)> {
        let name = format!("{prefix}{name}");
        let tensor = tensors.get(&name).ok_or_else(|| Error::weights(source, format!("tensor {name} is missing")))?;
        tensor.dims2().map_err(|_| {
            Error::weights(
                source,
                format!("tensor {name} has shape {:?} where two dimensions are wanted", tensor.dims()),
            )
        })
    };
    let (vocabulary, width) = shape("embed_tokens.weight")?;
    let k = [1, 3, 5, 7].into_iter().find(|&k| 4usize.pow(k) + 6 == vocabulary).ok_or_else(|| {
        let message = format!(
            "tensor {prefix}embed_tokens.weight has {vocabulary} rows, which is no vocabulary of k-mers (4^k + 6: 10, 70, 1030)"
        );
        Error::weights(source, message)
    })?;
    let layers =
        (0..).take_while(|i| tensors.contains_key(&format!("{prefix}layers.{i}.retention.q_proj.weight"))).count();
    if layers == 0 {
        return Err(Error::weights(source, format!("tensor {prefix}layers.0.retention.q_proj.weight is missing")));
    }
    let (value_width, _) = shape("layers.0.retention.v_proj.weight")?;
    let (ffn_width, _) = shape("layers.0.ffn.fc1.weight")?;
    let heads = match tensors.get(&format!("{prefix}retnet_rel_pos.decay")) {
        Some(decays) => decays.elem_count(),
        None => 4,
    };
    let head = match task {
        Task::Fold | Task::Coding => {
            let blocks = (0..)
                .take_while(|i| tensors.contains_key(&format!("classifier.resnet.blocks.{i}.conv_net.0.weight")))
                .count();
            let width = classifier("linear_in.bias").map_or(0, Tensor::elem_count);
            if width == 0 {
                return Err(Error::weights(source, "tensor classifier.linear_in.bias is missing"));
            }
            match task {
                // The published coding model holds blocks that its forward pass leaves out.
                Task::Coding => HeadConfig::PublishedCoding(PublishedCodingConfig { blocks, width, skip_blocks: true }),
                _ => HeadConfig::published(task).with_sizes(blocks, width),
            }
        }
        _ => HeadConfig::published(task),
    };
    let encoder =
        RetentionConfig { k: k as usize, width, value_width, ffn_width, layers, heads, ..RetentionConfig::default() };
    Ok(ModelConfig::new(encoder, head))
}

/// Takes out the buffers that published files carry beside their weights, after checking that they hold what the model
/// computes anyway.
pub(super) fn drop_constants(config: &ModelConfig, tensors: &mut Parameters, source: &Path) -> Result<()> {
    let prefix = encoder_prefix(config.task());
    let EncoderConfig::Retention(encoder) = &config.encoder else { return Ok(()) };
    let angles: Vec<f32> = angles(encoder.key_width()).iter().flat_map(|&angle| [angle, angle]).collect();
    let decays: Vec<f32> = (0..encoder.heads).map(|head| decay(head).ln() as f32).collect();
    for (name, expected) in [("angle", angles), ("decay", decays)] {
        let name = format!("{prefix}retnet_rel_pos.{name}");
        let Some(tensor) = tensors.remove(&name) else { continue };
        let values = tensor.flatten_all()?.to_vec1::<f32>()?;
        let same = values.len() == expected.len()
            && values.iter().zip(&expected).all(|(a, b)| (a - b).abs() <= 1e-4 * b.abs());
        if !same {
            return Err(Error::weights(source, format!("tensor {name} holds other constants than this model's")));
        }
    }
    Ok(())
}
