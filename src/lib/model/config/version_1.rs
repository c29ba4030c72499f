//! Configurations of version 1, in which the sizes of encoder and head stood side by side.

use serde::Deserialize;

use super::{HeadConfig, HeadKind, ModelConfig, Task, default_norm_epsilon};
use crate::model::encoder::RetentionConfig;
use crate::model::heads::coding::{FramesConfig, PublishedCodingConfig};
use crate::model::heads::duplex::DuplexConfig;
use crate::model::heads::helices::HelicesConfig;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Version1 {
    task: Task,
    k: usize,
    embed_dim: usize,
    value_dim: usize,
    ffn_dim: usize,
    layers: usize,
    heads: usize,
    #[serde(default = "default_norm_epsilon")]
    norm_epsilon: f64,
    #[serde(default)]
    head: HeadKind,
    #[serde(default)]
    head_blocks: usize,
    #[serde(default)]
    head_width: usize,
    #[serde(default)]
    skip_head_blocks: bool,
    #[serde(default, rename = "relatives")]
    homologs: bool,
}

pub(super) fn read(json: serde_json::Value) -> Result<ModelConfig, String> {
    let old: Version1 = serde_json::from_value(json).map_err(|error| error.to_string())?;
    let (blocks, width, norm_epsilon) = (old.head_blocks, old.head_width, old.norm_epsilon);
    let head = HeadConfig::new(old.task, old.head, blocks, width).map_err(|error| error.to_string())?;
    let head = match head {
        HeadConfig::Helices(_) => {
            HeadConfig::Helices(HelicesConfig { blocks, width, norm_epsilon, homologs: old.homologs })
        }
        HeadConfig::Frames(_) => HeadConfig::Frames(FramesConfig { blocks, width, norm_epsilon }),
        HeadConfig::Duplex(_) => HeadConfig::Duplex(DuplexConfig { blocks, width, norm_epsilon }),
        HeadConfig::PublishedCoding(_) => {
            HeadConfig::PublishedCoding(PublishedCodingConfig { blocks, width, skip_blocks: old.skip_head_blocks })
        }
        other => other,
    };
    let encoder = RetentionConfig {
        k: old.k,
        width: old.embed_dim,
        value_width: old.value_dim,
        ffn_width: old.ffn_dim,
        layers: old.layers,
        heads: old.heads,
        norm_epsilon,
    };
    Ok(ModelConfig::new(encoder, head))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_finds_its_place() {
        let json = r#"{"task":"fold","k":3,"embed_dim":64,"value_dim":80,"ffn_dim":96,"layers":2,"heads":2,
            "norm_epsilon":1e-5,"head":"helices","head_blocks":4,"head_width":32,"relatives":true}"#;
        let encoder = RetentionConfig {
            k: 3,
            width: 64,
            value_width: 80,
            ffn_width: 96,
            layers: 2,
            heads: 2,
            norm_epsilon: 1e-5,
        };
        let head = HelicesConfig { blocks: 4, width: 32, norm_epsilon: 1e-5, homologs: true };
        let expected = ModelConfig::new(encoder, HeadConfig::Helices(head));
        assert_eq!(serde_json::from_str::<ModelConfig>(json).unwrap(), expected);
        let coding = r#"{"task":"coding","k":1,"embed_dim":64,"value_dim":80,"ffn_dim":96,"layers":2,"heads":2,
            "head_blocks":4,"head_width":32,"skip_head_blocks":true}"#;
        let head = PublishedCodingConfig { blocks: 4, width: 32, skip_blocks: true };
        assert_eq!(serde_json::from_str::<ModelConfig>(coding).unwrap().head, HeadConfig::PublishedCoding(head));
        assert!(serde_json::from_str::<ModelConfig>(r#"{"task":"fold"}"#).is_err());
    }
}
