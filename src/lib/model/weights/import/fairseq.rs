//! Models in the layout of fairseq and ESM: RNA-FM and mRNA-FM (Chen et al., arXiv:2204.00300), UTR-LM (Chu et al., Nat Mach
//! Intell 6:449, 2024), ERNIE-RNA (Yin et al., Nat Commun 16:10076, 2025).

use std::path::Path;

use super::{
    Contents, ImportOptions, Imported, Known, Layout, batch_norm, layer, leave_out, letters, rows_from, whole_map,
    zero_row,
};
use crate::model::config::HeadConfig;
use crate::model::encoder::transformer::{NormPlace, PositionKind};
use crate::model::heads::whole_map::MapKind;
use crate::sequence::{Unit, VocabularyConfig};
use crate::{Error, Result};

/// Levels of names that stand before those of the backbone, any run of them.
const PREFIXES: [&str; 6] = ["module.", "encoder.", "sentence_encoder.", "backbone.", "model.", "decoder."];

const RNA_FM: &str = "<cls> <pad> <eos> <unk> A C G U R Y K M S W B D H V N - <null> <null> <null> <null> <mask>";
const UTR_LM: &str = "<pad> <eos> <unk> A G C U <cls> <mask> <sep>";
const ERNIE_RNA: &str = "<cls> <pad> <eos> <unk> G A U C N Y R S K W M D H V B X I <null> <null> <null> <mask>";

/// The codons of mRNA-FM in the order of their ids.
const CODONS: &str = "GAG AAG GAA CUG CAG GAU AAA GUG GAC AUG GCC AAC GCU AAU AUC UUC GGA AUU GGC UUU CCA AGC GCA UCU CUC \
                      ACC CAA CCU UCC ACA UUG GUU CUU UAC ACU CCC UCA GUC GGU CAC AGU UAU AGA CAU GGG UGG UGC AGG UGU AUA \
                      CGC UUA GCG CGG CCG GUA CUA ACG UCG CGA CGU UGA UAA UAG";

/// The model, where the names are these.
pub(super) fn read(contents: &mut Contents, options: ImportOptions, source: &Path) -> Result<Option<Imported>> {
    let Some(prefix) = contents.tensors.keys().find_map(|name| name.strip_suffix("embed_tokens.weight")) else {
        return Ok(None);
    };
    let mut rest = prefix;
    while let Some(shorter) = PREFIXES.iter().find_map(|level| rest.strip_prefix(level)) {
        rest = shorter;
    }
    let prefix = prefix.to_owned();
    if !rest.is_empty() || !contents.tensors.contains_key(&format!("{prefix}layers.0.self_attn.q_proj.weight")) {
        return Ok(None);
    }
    let mut tensors = std::mem::take(&mut contents.tensors);
    let pairs = tensors.keys().any(|name| name.contains("twod_proj."));
    let name = {
        let prefix = prefix.clone();
        move |own: &str| match own.strip_prefix("head.") {
            Some(rest) => head_name(rest),
            None if pairs => ernie_name(&prefix, own),
            None => format!("{prefix}{}", published(own)),
        }
    };
    let embedding = name("encoder.embedding.weight");
    let words = tensors.get(&embedding).and_then(|table| table.dims().first().copied()).unwrap_or(0);
    let has_positions = tensors.contains_key(&format!("{prefix}embed_positions.weight"));
    let model = match (pairs, has_positions, words) {
        (true, false, 25) => {
            let mut model = Known::new("ERNIE-RNA", letters(ERNIE_RNA), 12);
            (model.norm, model.positions) = (NormPlace::After, PositionKind::Sinusoidal { first: 2 });
            model.pair_bias = Some(0.8);
            model
        }
        (false, true, 25) => Known::new("RNA-FM", letters(RNA_FM), 20),
        (false, true, 73) => {
            let words = format!("<cls> <pad> <eos> <unk> {CODONS} <null> <null> <null> <null> <mask>");
            let words = words.split_whitespace().map(str::to_owned).collect();
            Known::new("mRNA-FM", VocabularyConfig { unit: Unit::Codon, words, unknown: true }, 20)
        }
        (false, false, 10) => {
            let mut model = Known::new("UTR-LM", letters(UTR_LM), 16);
            model.token_dropout = true;
            model
        }
        _ => {
            let message = format!(
                "the names are those of RNA-FM, mRNA-FM, UTR-LM or ERNIE-RNA, but a vocabulary of {words} words, with{} a table \
                 of positions, is none of theirs",
                if has_positions { "" } else { "out" }
            );
            return Err(Error::weights(source, message));
        }
    };
    // The first two rows are for padding; and no gradient ever reached the mask, whose row the published loader sets to zero.
    rows_from(&mut tensors, &format!("{prefix}embed_positions.weight"), 2, source)?;
    let mask = model.vocabulary.words.iter().position(|word| word == "<mask>");
    if let (true, Some(table), Some(mask)) = (has_positions, tensors.get_mut(&embedding), mask) {
        *table = zero_row(table, mask)?;
    }
    let other = |name: &str| {
        let rest = name.strip_prefix(prefix.as_str()).unwrap_or(name);
        rest == "lm_head.weight"
            || rest.starts_with("contact_head.")
            || rest.starts_with("segment_embeddings.")
            || name.ends_with("._float_tensor")
            || name.ends_with(".inv_freq")
            || ["structure_linear", "supervised_linear", "lm_output_learned_weight"]
                .iter()
                .any(|part| name.contains(part))
            || name == "encoder.version"
    };
    leave_out(&mut tensors, other, source);
    let options = ImportOptions { heads: options.heads.or(contents.heads) };
    let head = whole_map(&mut tensors, MapKind::RnaFm, 0.5, &name)?.unwrap_or(HeadConfig::LanguageModel);
    Layout { name: Box::new(name), model, head }.import(tensors, options, source).map(Some)
}

/// RNA-FM's name of a tensor of its structure head; `rest` is ours without `head.`.
fn head_name(rest: &str) -> String {
    let rest = match rest.split_once('.') {
        Some(("reduction", kind)) => format!("pre_reduction.{kind}"),
        Some(("linear_in", kind)) => format!("proj.first.0.{kind}"),
        Some(("conv_out", kind)) => format!("proj.final.{kind}"),
        Some(("blocks", place)) => format!("proj.resnet.{}", batch_norm(place, "bn1")),
        _ => rest.to_owned(),
    };
    format!("downstream_modules.pc-resnet_1_sym_first:r-ss.{rest}")
}

/// The name of a tensor of ours, without what stands before it.
fn published(own: &str) -> String {
    if let Some((layer, part)) = layer(own) {
        let (part, kind) = part.rsplit_once('.').unwrap_or((part, ""));
        let part = match part {
            "attention.norm" => "self_attn_layer_norm",
            "attention.query" => "self_attn.q_proj",
            "attention.key" => "self_attn.k_proj",
            "attention.value" => "self_attn.v_proj",
            "attention.out" => "self_attn.out_proj",
            "ffn.norm" => "final_layer_norm",
            "ffn.fc1" => "fc1",
            "ffn.fc2" => "fc2",
            other => other,
        };
        return format!("layers.{layer}.{part}.{kind}");
    }
    match own.strip_prefix("encoder.").unwrap_or(own) {
        "embedding.weight" => "embed_tokens.weight".into(),
        "positions.weight" => "embed_positions.weight".into(),
        "lm.bias" => "lm_head.bias".into(),
        rest => match rest.rsplit_once('.') {
            Some(("embedding_norm", kind)) => format!("emb_layer_norm_before.{kind}"),
            Some(("norm", kind)) => format!("emb_layer_norm_after.{kind}"),
            Some(("lm.dense", kind)) => format!("lm_head.dense.{kind}"),
            Some(("lm.norm", kind)) => format!("lm_head.layer_norm.{kind}"),
            _ => rest.to_owned(),
        },
    }
}

/// The same for ERNIE-RNA, whose further parts lie one level above its sentence encoder.
fn ernie_name(prefix: &str, own: &str) -> String {
    let above = prefix.strip_suffix("sentence_encoder.").unwrap_or(prefix);
    match own.strip_prefix("encoder.").unwrap_or(own) {
        "lm.bias" => format!("{above}lm_output_learned_bias"),
        rest => match rest.rsplit_once('.') {
            Some(("embedding_norm", kind)) => format!("{prefix}emb_layer_norm.{kind}"),
            Some(("pair_bias.dense1", kind)) => format!("{above}twod_proj.linear1.{kind}"),
            Some(("pair_bias.dense2", kind)) => format!("{above}twod_proj.linear2.{kind}"),
            Some(("lm.dense", kind)) => format!("{above}lm_head_transform_weight.{kind}"),
            Some(("lm.norm", kind)) => format!("{above}layer_norm.{kind}"),
            _ => format!("{prefix}{}", published(own)),
        },
    }
}
