//! RiNALMo (Penić et al., Nat Commun 16:5671, 2025) as its authors publish it.

use std::path::Path;

use super::{Contents, ImportOptions, Imported, Known, Layout, layer, leave_out, letters, whole_map};
use crate::model::config::HeadConfig;
use crate::model::encoder::transformer::Residual;
use crate::model::heads::outputs::Outputs;
use crate::model::heads::summary::SummaryConfig;
use crate::model::heads::whole_map::MapKind;
use crate::model::parameters::Parameters;
use crate::{Error, Result};

/// Attention heads of all published sizes, which no tensor tells.
const HEADS: usize = 20;

/// What the names of the backbone start with: nothing in a pretrained file, this in those that were trained for a task.
const PREFIXES: [&str; 3] = ["", "lm.", "rinalmo."];

/// The model, where the names are RiNALMo's.
pub(super) fn read(contents: &mut Contents, options: ImportOptions, source: &Path) -> Result<Option<Imported>> {
    let names = ["mh_attn.Wqkv.weight", "mh_attn.mh_attn.to_q.weight"];
    let is_there = |prefix: &&str| {
        names.iter().any(|name| contents.tensors.contains_key(&format!("{prefix}transformer.blocks.0.{name}")))
    };
    let Some(prefix) = PREFIXES.into_iter().find(is_there) else { return Ok(None) };
    let mut tensors = std::mem::take(&mut contents.tensors);
    // Queries, keys and values stand one below the other in one matrix, or apart.
    let fused: Vec<String> = tensors.keys().filter(|name| name.ends_with(".mh_attn.Wqkv.weight")).cloned().collect();
    for name in fused {
        let Some(tensor) = tensors.remove(&name) else { continue };
        let rows = tensor.dims().first().copied().unwrap_or(0);
        if tensor.rank() != 2 || !rows.is_multiple_of(3) {
            let message = format!("tensor {name} has shape {:?} where [3 d, d] is wanted", tensor.dims());
            return Err(Error::weights(source, message));
        }
        for (part, letter) in ["q", "k", "v"].into_iter().enumerate() {
            let own = name.replace("mh_attn.Wqkv", &format!("mh_attn.mh_attn.to_{letter}"));
            tensors.insert(own, tensor.narrow(0, part * rows / 3, rows / 3)?);
        }
    }
    // The other build of the attention has one more level of names.
    let outs: Vec<String> =
        tensors.keys().filter(|name| name.ends_with(".mh_attn.mh_attn.out_proj.weight")).cloned().collect();
    for name in outs {
        if let Some(tensor) = tensors.remove(&name) {
            tensors.insert(name.replace(".mh_attn.mh_attn.", ".mh_attn."), tensor);
        }
    }
    leave_out(&mut tensors, |name| name.ends_with(".inv_freq"), source);
    let words = "<cls> <pad> <eos> <unk> <mask> A C G T I R Y K M S W B D H V N -";
    let mut model = Known::new("RiNALMo", letters(words), HEADS);
    model.residual = Residual::Normalised;
    model.token_dropout = true;
    let name = move |own: &str| head_name(own).unwrap_or_else(|| format!("{prefix}{}", published(own)));
    let head = head(&mut tensors, &contents.numbers, &name, source)?;
    Layout { name: Box::new(name), model, head }.import(tensors, options, source).map(Some)
}

/// The head that the file holds.
fn head(
    tensors: &mut Parameters,
    numbers: &[(String, f64)],
    name: &dyn Fn(&str) -> String,
    source: &Path,
) -> Result<HeadConfig> {
    let threshold = numbers.iter().find(|(name, _)| name == "threshold").map_or(0.5, |(_, number)| *number as f32);
    if let Some(head) = whole_map(tensors, MapKind::Rinalmo, threshold, name)? {
        return Ok(head);
    }
    if let (Some(hidden), Some(out)) =
        (tensors.get("pred_head.classifier.0.bias"), tensors.get("pred_head.classifier.2.bias"))
    {
        let (width, logits) = (hidden.elem_count(), out.elem_count());
        let names = match logits {
            1 => vec!["other".to_owned(), "splice_site".to_owned()],
            _ => (0..logits).map(|class| format!("class_{class}")).collect(),
        };
        let outputs = Outputs::Classes { names };
        return Ok(HeadConfig::Summary(SummaryConfig { width, one_logit: logits == 1, outputs }));
    }
    if tensors.contains_key("pred_head.linear_out.weight") {
        log::warn!(
            "{}: the head for ribosome load and the like is not computed; the encoder alone is read",
            source.display()
        );
        leave_out(tensors, |name| name.starts_with("pred_head.") || name.starts_with("scaler."), source);
    }
    Ok(HeadConfig::LanguageModel)
}

/// RiNALMo's name of a tensor of a head of ours.
fn head_name(own: &str) -> Option<String> {
    let rest = own.strip_prefix("head.")?;
    Some(match rest.split_once('.') {
        Some(("hidden", kind)) => format!("pred_head.classifier.0.{kind}"),
        Some(("out", kind)) => format!("pred_head.classifier.2.{kind}"),
        Some(("blocks", place)) => {
            // The convolutions of a block, with norm and ReLU between them.
            let place =
                place.replace("conv1", "conv_net.0").replace("conv2", "conv_net.3").replace("conv3", "conv_net.6");
            format!("pred_head.resnet.blocks.{place}")
        }
        _ => format!("pred_head.{rest}"),
    })
}

/// RiNALMo's name of a tensor of ours.
fn published(own: &str) -> String {
    if let Some((layer, part)) = layer(own) {
        let (part, kind) = part.rsplit_once('.').unwrap_or((part, ""));
        let part = match part {
            "attention.norm" => "attn_layer_norm",
            "attention.query" => "mh_attn.mh_attn.to_q",
            "attention.key" => "mh_attn.mh_attn.to_k",
            "attention.value" => "mh_attn.mh_attn.to_v",
            "attention.out" => "mh_attn.out_proj",
            "ffn.norm" => "out_layer_norm",
            "ffn.fc1" => "transition.0.linear",
            "ffn.gate" => "transition.0.linear_gate",
            "ffn" => "transition.0",
            "ffn.fc2" => "transition.2",
            other => other,
        };
        return format!("transformer.blocks.{layer}.{part}.{kind}");
    }
    match own.strip_prefix("encoder.").unwrap_or(own) {
        "lm.bias" => "lm_mask_head.linear2.bias".into(),
        "lm.projection.weight" => "lm_mask_head.linear2.weight".into(),
        rest => match rest.rsplit_once('.') {
            Some(("norm", kind)) => format!("transformer.final_layer_norm.{kind}"),
            Some(("lm.dense", kind)) => format!("lm_mask_head.linear1.{kind}"),
            Some(("lm.norm", kind)) => format!("lm_mask_head.layer_norm.{kind}"),
            _ => rest.to_owned(),
        },
    }
}
