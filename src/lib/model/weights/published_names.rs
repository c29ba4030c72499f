//! The names of the published weights, which our own files of version 1 and checkpoints of that time share.

use crate::model::config::Task;

/// What stands before the encoder's names in the published weights of a task.
pub(super) fn encoder_prefix(task: Task) -> &'static str {
    match task {
        Task::Pretrain => "",
        _ => "ret.",
    }
}

/// The published name of the tensor that is `own` here, in a model for `task`.
pub fn published(own: &str, task: Task) -> String {
    let prefix = encoder_prefix(task);
    if let Some(rest) = own.strip_prefix("head.") {
        return format!("classifier.{rest}");
    }
    let rest = own.strip_prefix("encoder.").unwrap_or(own);
    let Some((layer, part)) = rest.strip_prefix("layers.").and_then(|rest| rest.split_once('.')) else {
        let name = match rest {
            "embedding.weight" => "embed_tokens.weight",
            "lm.norm.weight" => "layer_norm.weight",
            "lm.projection.weight" => "output_projection.weight",
            other => other,
        };
        return format!("{prefix}{name}");
    };
    let part = match part {
        "retention.norm.weight" => "retention_layer_norm.weight",
        "retention.query.weight" => "retention.q_proj.weight",
        "retention.key.weight" => "retention.k_proj.weight",
        "retention.value.weight" => "retention.v_proj.weight",
        "retention.gate.weight" => "retention.g_proj.weight",
        "retention.out.weight" => "retention.out_proj.weight",
        "ffn.norm.weight" => "final_layer_norm.weight",
        other => other,
    };
    format!("{prefix}layers.{layer}.{part}")
}
