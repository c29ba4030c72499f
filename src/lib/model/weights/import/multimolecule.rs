//! Folders of the project multimolecule (`multimolecule/NAME` on Hugging Face), and of Hugging Face's BERT: `config.json`,
//! `vocab.txt` and the weights.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Contents, ImportOptions, Imported, Known, Layout, batch_norm, layer, leave_out, rows_from, whole_map};
use crate::model::config::HeadConfig;
use crate::model::encoder::transformer::{Activation, NormPlace, PositionKind, Residual};
use crate::model::heads::whole_map::MapKind;
use crate::model::parameters::Parameters;
use crate::sequence::{Unit, VocabularyConfig};
use crate::{Error, Result};

/// Files that may hold the weights of a folder, the first that is there.
const WEIGHTS: [&str; 3] = ["model.safetensors", "pytorch_model.safetensors", "pytorch_model.bin"];

/// The file of a folder that holds the weights.
///
/// # Errors
/// Where there is none.
pub fn weights_file(folder: &Path) -> Result<PathBuf> {
    let there = WEIGHTS.iter().map(|name| folder.join(name)).find(|path| path.is_file());
    there.ok_or_else(|| Error::weights(folder, format!("a folder without {}", WEIGHTS.join(" or "))))
}

/// The model in `folder`, with what its file of weights holds.
///
/// # Errors
/// Where one of its files is missing or broken, or where the model is none that is known.
pub fn folder(folder: &Path, mut contents: Contents, options: ImportOptions) -> Result<Imported> {
    let json = |name: &str| -> Result<Value> {
        let path = folder.join(name);
        let text = std::fs::read_to_string(&path).map_err(|error| Error::read(&path, error))?;
        serde_json::from_str(&text).map_err(|error| Error::weights(&path, error.to_string()))
    };
    let config = json("config.json")?;
    let tokens = folder.join("vocab.txt");
    let words = std::fs::read_to_string(&tokens).map_err(|error| Error::read(&tokens, error))?;
    let words: Vec<String> = words.lines().map(|line| line.trim().to_owned()).collect();
    let tokenizer = json("tokenizer_config.json").unwrap_or_default();
    let Some(kind) = config["model_type"].as_str() else {
        return Err(Error::weights(folder, "config.json: model_type is missing"));
    };
    let vocabulary = vocabulary(words, &config, &tokenizer);
    let heads = config["num_attention_heads"].as_u64().unwrap_or(0) as usize;
    let activation = |name: &Value| match name.as_str() {
        None | Some("gelu") => Ok(Activation::Gelu),
        Some("relu") => Ok(Activation::Relu),
        Some(other) => Err(Error::weights(folder, format!("the activation {other} is not known"))),
    };
    let mut model = Known::new("", vocabulary, heads);
    model.activation = activation(&config["hidden_act"])?;
    model.norm_epsilon = config["layer_norm_eps"].as_f64().unwrap_or(1e-12);
    model.guess_epsilon = config["lm_head"]["layer_norm_eps"].as_f64().unwrap_or(1e-12);
    model.guess_activation = activation(&config["lm_head"]["transform_act"])?;
    model.token_dropout = config["token_dropout"].as_bool().unwrap_or(false);
    // The first row of the table of positions that a token has.
    let mut first = 0;
    model.name = match kind {
        "rinalmo" => {
            model.residual = Residual::Normalised;
            model.token_dropout = config["token_dropout"].as_bool().unwrap_or(true);
            "RiNALMo"
        }
        "rnafm" => {
            first = 2;
            if model.vocabulary.unit == Unit::Codon { "mRNA-FM" } else { "RNA-FM" }
        }
        "utrlm" => {
            model.token_dropout = config["token_dropout"].as_bool().unwrap_or(true);
            "UTR-LM"
        }
        "ernierna" => {
            (model.norm, model.positions) = (NormPlace::After, PositionKind::Sinusoidal { first: 2 });
            model.pair_bias = Some(config["pairwise_alpha"].as_f64().unwrap_or(0.8));
            "ERNIE-RNA"
        }
        "splicebert" | "utrbert" | "rnabert" | "rnaernie" | "bert" => {
            model.norm = NormPlace::After;
            match kind {
                "splicebert" => "SpliceBERT",
                "utrbert" => "3UTRBERT",
                "rnabert" => "RNABERT",
                "rnaernie" => "RNAErnie",
                _ => "BERT",
            }
        }
        other => {
            let message = format!(
                "models of the type {other} are not read; known are rinalmo, rnafm, utrlm, ernierna, splicebert, utrbert, \
                 rnabert, rnaernie and bert"
            );
            return Err(Error::weights(folder, message));
        }
    };
    let tensors = &mut contents.tensors;
    rename_bert(tensors);
    rename_old(tensors);
    let prefix = ["model.".to_owned(), format!("{kind}."), String::new()]
        .into_iter()
        .find(|prefix| tensors.contains_key(&format!("{prefix}embeddings.word_embeddings.weight")))
        .ok_or_else(|| Error::weights(folder, "tensor model.embeddings.word_embeddings.weight is missing"))?;
    merge_token_type(tensors, &prefix)?;
    rows_from(tensors, &format!("{prefix}embeddings.position_embeddings.weight"), first, folder)?;
    let after = model.norm == NormPlace::After;
    let swiglu = tensors.contains_key(&format!("{prefix}encoder.layer.0.intermediate.linear_gate.weight"));
    let map = match kind {
        "rinalmo" => Some(MapKind::Rinalmo),
        "rnafm" => Some(MapKind::RnaFm),
        "ernierna" => Some(MapKind::ErnieRna),
        _ => None,
    };
    // Older releases have a level of names less.
    let layers = if tensors.keys().any(|name| name.starts_with("ss_head.convnet.layers.")) { "layers." } else { "" };
    let name = move |own: &str| match (own.strip_prefix("head."), map) {
        (Some(rest), Some(map)) => head_name(rest, map, layers),
        _ => published(own, &prefix, after, swiglu),
    };
    let head = match map {
        Some(map) => whole_map(tensors, map, 0.5, &name)?,
        None => None,
    };
    let has_structure_head = head.is_some();
    let unused = |name: &str| {
        ["inv_freq", "._float_tensor"].iter().any(|end| name.ends_with(end))
            || name.contains("pooler.")
            || name.starts_with("cls.seq_relationship.")
            // The same as lm_head.bias.
            || name == "lm_head.decoder.bias"
            || (!has_structure_head && name.starts_with("ss_head."))
            || ["sa_head.", "contact_head.", "structure_head.", "mfe_head.", "sequence_head.", "token_head."]
                .iter()
                .any(|head| name.starts_with(head))
    };
    leave_out(tensors, unused, folder);
    if config["tie_word_embeddings"].as_bool() == Some(true) {
        tensors.remove("lm_head.decoder.weight");
    }
    let head = head.unwrap_or(HeadConfig::LanguageModel);
    Layout { name: Box::new(name), model, head }.import(contents.tensors, options, folder)
}

/// The name of a tensor of a structure head; `rest` is ours without `head.`.
fn head_name(rest: &str, map: MapKind, layers: &str) -> String {
    let (part, kind) = rest.split_once('.').unwrap_or((rest, ""));
    match (part, map) {
        ("conv_out", MapKind::ErnieRna) => format!("ss_head.convnet.projection.{kind}"),
        ("blocks", MapKind::ErnieRna) => format!("ss_head.convnet.blocks.{}", batch_norm(kind, "norm")),
        ("conv_out", _) => format!("ss_head.prediction.{kind}"),
        ("linear_in", _) => format!("ss_head.projection.{kind}"),
        ("blocks", _) => format!("ss_head.convnet.{layers}{}", batch_norm(kind, "bn1")),
        _ => format!("ss_head.{rest}"),
    }
}

/// What the words are made of: as the configuration says, or as long as they are.
fn vocabulary(words: Vec<String>, config: &Value, tokenizer: &Value) -> VocabularyConfig {
    let longest = words
        .iter()
        .filter(|word| word.bytes().all(|letter| b"ACGTUN".contains(&letter)))
        .map(String::len)
        .max()
        .unwrap_or(1);
    let says = |name: &str| [config, tokenizer].iter().any(|json| json[name].as_bool() == Some(true));
    let unit = match longest {
        1 => Unit::Letter,
        3 if says("codon") => Unit::Codon,
        k => Unit::Kmer(k),
    };
    VocabularyConfig { unit, words, unknown: unit != Unit::Letter }
}

/// Hugging Face's own BERT: names of a level of their own.
fn rename_bert(tensors: &mut Parameters) {
    let names: Vec<String> = tensors
        .keys()
        .filter(|name| name.starts_with("bert.") || name.starts_with("cls.predictions."))
        .cloned()
        .collect();
    for name in names {
        let new = name.replace("LayerNorm.", "layer_norm.").replace("layer_norm.gamma", "layer_norm.weight");
        let new = new.replace("layer_norm.beta", "layer_norm.bias").replace("cls.predictions.", "lm_head.");
        if let Some(tensor) = tensors.remove(&name) {
            tensors.insert(new, tensor);
        }
    }
}

/// Names of older releases.
fn rename_old(tensors: &mut Parameters) {
    let names: Vec<String> = tensors
        .keys()
        .filter(|name| name.starts_with("pretrain.predictions.") || name.contains("encoder.emb_layer_norm_after."))
        .cloned()
        .collect();
    for name in names {
        let new = name
            .replace("pretrain.predictions.", "lm_head.")
            .replace("encoder.emb_layer_norm_after.", "encoder.layer_norm.");
        if let Some(tensor) = tensors.remove(&name) {
            tensors.insert(new, tensor);
        }
    }
}

/// All tokens are of the first type, whose row is added to every position's. Without a table of positions it is not used.
fn merge_token_type(tensors: &mut Parameters, prefix: &str) -> Result<()> {
    let types = tensors.remove(&format!("{prefix}embeddings.token_type_embeddings.weight"));
    let positions = tensors.get_mut(&format!("{prefix}embeddings.position_embeddings.weight"));
    if let (Some(types), Some(positions)) = (types, positions) {
        *positions = positions.broadcast_add(&types.narrow(0, 0, 1)?)?;
    }
    Ok(())
}

/// The name of a tensor of ours. `after`: norms stand after sums; `swiglu`: the feed-forward network has a gate.
fn published(own: &str, prefix: &str, after: bool, swiglu: bool) -> String {
    if let Some((layer, part)) = layer(own) {
        let (part, kind) = part.rsplit_once('.').unwrap_or((part, ""));
        let part = match (part, kind) {
            ("attention.norm", _) if after => "attention.output.layer_norm",
            ("attention.norm", _) => "attention.layer_norm",
            ("attention.query", _) => "attention.self.query",
            ("attention.key", _) => "attention.self.key",
            ("attention.value", _) => "attention.self.value",
            ("attention.out", _) => "attention.output.dense",
            ("ffn.norm", _) if after => "output.layer_norm",
            ("ffn.norm", _) => "layer_norm",
            ("ffn.fc1", _) if swiglu => "intermediate.linear",
            ("ffn.fc1", _) => "intermediate.dense",
            ("ffn.gate", _) => "intermediate.linear_gate",
            ("ffn.fc2", _) => "output.dense",
            ("ffn", "beta") => return format!("{prefix}encoder.layer.{layer}.intermediate.bias"),
            (other, _) => other,
        };
        return format!("{prefix}encoder.layer.{layer}.{part}.{kind}");
    }
    match own.strip_prefix("encoder.").unwrap_or(own) {
        "embedding.weight" => format!("{prefix}embeddings.word_embeddings.weight"),
        "positions.weight" => format!("{prefix}embeddings.position_embeddings.weight"),
        "lm.bias" => "lm_head.bias".into(),
        rest => match rest.rsplit_once('.') {
            Some(("embedding_norm", kind)) => format!("{prefix}embeddings.layer_norm.{kind}"),
            Some(("norm", kind)) => format!("{prefix}encoder.layer_norm.{kind}"),
            Some(("pair_bias.dense1", kind)) => format!("{prefix}pairwise_bias_proj.dense1.{kind}"),
            Some(("pair_bias.dense2", kind)) => format!("{prefix}pairwise_bias_proj.dense2.{kind}"),
            Some(("lm.dense", kind)) => format!("lm_head.transform.dense.{kind}"),
            Some(("lm.norm", kind)) => format!("lm_head.transform.layer_norm.{kind}"),
            Some(("lm.projection", kind)) => format!("lm_head.decoder.{kind}"),
            _ => format!("{prefix}{rest}"),
        },
    }
}
