//! Weights of language models that others published, in the layouts in which they did.
//!
//! A layout says how each of our tensors is called there ([`Layout::name`]), and what of the model no tensor's shape tells. The
//! rest of the configuration follows from which tensors there are. Which model a file holds is told by its `config.json`, or by
//! names of tensors that it alone has; nothing is guessed beyond.

mod fairseq;
mod multimolecule;
mod rinalmo;

use std::path::Path;

use candle_core::Tensor;

use crate::model::config::{HeadConfig, ModelConfig};
use crate::model::encoder::TransformerConfig;
use crate::model::encoder::transformer::{Activation, GuessConfig, NormPlace, PositionKind, Residual};
use crate::model::heads::whole_map::{MapKind, WholeMapConfig};
use crate::model::parameters::Parameters;
use crate::sequence::VocabularyConfig;
use crate::{Error, Result};

pub(super) use multimolecule::{folder, weights_file};

/// What a user says about weights that do not say it themselves.
#[derive(Clone, Copy, Debug, Default)]
pub struct ImportOptions {
    /// Attention heads.
    pub heads: Option<usize>,
}

/// Tensors, and what a file says beside them.
#[derive(Default)]
pub(super) struct Contents {
    pub tensors: Parameters,
    /// Numbers that stand among the tensors, by name.
    pub numbers: Vec<(String, f64)>,
    /// Attention heads, where the arguments of the training are stored and tell them.
    pub heads: Option<usize>,
}

/// A model in its file's names.
pub(super) struct Imported {
    pub config: ModelConfig,
    /// The tensors, those without a place in the model left out.
    pub tensors: Parameters,
    /// The file's name of a tensor of ours.
    pub name: Box<dyn Fn(&str) -> String>,
    /// Whether the file has the language-model head.
    pub language_model: bool,
}

/// How a published model differs from others, and how its tensors are called.
struct Layout {
    name: Box<dyn Fn(&str) -> String>,
    /// What is known of the model; sizes and presences are read off the tensors.
    model: Known,
    /// Its head.
    head: HeadConfig,
}

/// What no tensor tells.
struct Known {
    name: &'static str,
    vocabulary: VocabularyConfig,
    heads: usize,
    norm: NormPlace,
    norm_epsilon: f64,
    residual: Residual,
    /// Where there is no table of positions.
    positions: PositionKind,
    /// Where there is no gate.
    activation: Activation,
    token_dropout: bool,
    pair_bias: Option<f64>,
    guess_epsilon: f64,
    guess_activation: Activation,
}

impl Known {
    /// A pre-norm model with exact gelu and rotary positions.
    fn new(name: &'static str, vocabulary: VocabularyConfig, heads: usize) -> Self {
        Self {
            name,
            vocabulary,
            heads,
            norm: NormPlace::Before,
            norm_epsilon: 1e-5,
            residual: Residual::Stream,
            positions: PositionKind::Rotary { base: 10_000.0 },
            activation: Activation::Gelu,
            token_dropout: false,
            pair_bias: None,
            guess_epsilon: 1e-5,
            guess_activation: Activation::Gelu,
        }
    }
}

/// The model in a file without a `config.json`, where it is one that is known by the names of its tensors.
///
/// # Errors
/// Where a tensor that tells a size is missing or misshapen.
pub(super) fn recognise(contents: &mut Contents, options: ImportOptions, source: &Path) -> Result<Option<Imported>> {
    for read in [rinalmo::read, fairseq::read] {
        if let Some(imported) = read(contents, options, source)? {
            return Ok(Some(imported));
        }
    }
    Ok(None)
}

impl Layout {
    /// The model out of `tensors`, whose sizes these tell.
    fn import(self, tensors: Parameters, options: ImportOptions, source: &Path) -> Result<Imported> {
        let Self { name, model, head } = self;
        let has = |own: &str| tensors.contains_key(&name(own));
        let shape = |own: &str| -> Result<(usize, usize)> {
            let name = name(own);
            let tensor =
                tensors.get(&name).ok_or_else(|| Error::weights(source, format!("tensor {name} is missing")))?;
            tensor.dims2().map_err(|_| {
                let message = format!("tensor {name} has shape {:?} where two dimensions are wanted", tensor.dims());
                Error::weights(source, message)
            })
        };
        let (_, width) = shape("encoder.embedding.weight")?;
        let layers = (0..).take_while(|layer| has(&format!("encoder.layers.{layer}.attention.out.weight"))).count();
        let swiglu = has("encoder.layers.0.ffn.gate.weight");
        let config = TransformerConfig {
            name: model.name.to_owned(),
            vocabulary: model.vocabulary,
            width,
            ffn_width: shape("encoder.layers.0.ffn.fc1.weight")?.0,
            layers,
            heads: options.heads.unwrap_or(model.heads),
            norm: model.norm,
            norm_epsilon: model.norm_epsilon,
            embedding_norm: has("encoder.embedding_norm.weight"),
            final_norm: has("encoder.norm.weight"),
            attention_bias: has("encoder.layers.0.attention.query.bias"),
            query_key_norm: false,
            residual: model.residual,
            positions: match has("encoder.positions.weight") {
                true => PositionKind::Learned { count: shape("encoder.positions.weight")?.0 },
                false => model.positions,
            },
            activation: if swiglu { Activation::Swiglu } else { model.activation },
            token_dropout: model.token_dropout,
            subwords: None,
            pair_bias: model.pair_bias,
            scores_of_head: matches!(&head, HeadConfig::WholeMap(map) if map.model == MapKind::ErnieRna).then_some(5),
            guess: GuessConfig {
                norm_epsilon: model.guess_epsilon,
                activation: model.guess_activation,
                tied: !has("encoder.lm.projection.weight"),
            },
        };
        let language_model = has("encoder.lm.dense.weight");
        let config = ModelConfig::new(config, head);
        Ok(Imported { config, tensors, name, language_model })
    }
}

/// The structure head whose tensors have these names, where it is there: `name` gives that of a tensor of ours. Convolutions of
/// 1x1 become matrices.
fn whole_map(
    tensors: &mut Parameters,
    model: MapKind,
    threshold: f32,
    name: &dyn Fn(&str) -> String,
) -> Result<Option<HeadConfig>> {
    let Some(out) = tensors.get(&name("head.conv_out.weight")).filter(|out| out.rank() == 4) else { return Ok(None) };
    let width = out.dims()[1];
    for matrix in ["head.linear_in.weight", "head.reduction.weight"] {
        if let Some(tensor) = tensors.get_mut(&name(matrix))
            && let [out, inputs, 1, 1] = *tensor.dims()
        {
            *tensor = tensor.reshape((out, inputs))?;
        }
    }
    let blocks =
        (0..).take_while(|block| tensors.contains_key(&name(&format!("head.blocks.{block}.conv1.weight")))).count();
    let reduced = tensors.get(&name("head.reduction.bias")).map_or(0, Tensor::elem_count);
    Ok(Some(HeadConfig::WholeMap(WholeMapConfig { model, blocks, width, reduced, threshold })))
}

/// PyTorch's names of what belongs to a norm by stored statistics, which is called `norm` there.
fn batch_norm(place: &str, norm: &str) -> String {
    place
        .replace("norm.mean", "norm.running_mean")
        .replace("norm.variance", "norm.running_var")
        .replace("norm.", &format!("{norm}."))
}

/// A vocabulary of single letters.
fn letters(words: &str) -> VocabularyConfig {
    let words = words.split_whitespace().map(str::to_owned).collect();
    VocabularyConfig { unit: crate::sequence::Unit::Letter, words, unknown: false }
}

/// Own name as layer and rest, where it is a layer's: `encoder.layers.I.REST`.
fn layer(own: &str) -> Option<(&str, &str)> {
    own.strip_prefix("encoder.layers.")?.split_once('.')
}

/// Leaves out the tensors that `unused` says have no place here, and says so where they are many enough to matter.
fn leave_out(tensors: &mut Parameters, unused: impl Fn(&str) -> bool, source: &Path) {
    let left: Vec<String> = tensors.extract_if(.., |name, _| unused(name)).map(|(name, _)| name).collect();
    if let Some(first) = left.first() {
        log::debug!("{}: {} tensors are not used, such as {first}", source.display(), left.len());
    }
}

/// Rows `start` and following of a table of positions, whose first ones no token has.
fn rows_from(tensors: &mut Parameters, name: &str, start: usize, source: &Path) -> Result<()> {
    if let Some(table) = tensors.get_mut(name) {
        let rows = table.dims().first().copied().unwrap_or(0);
        if table.rank() != 2 || rows <= start {
            let message = format!("tensor {name} has shape {:?} where a table of positions is wanted", table.dims());
            return Err(Error::weights(source, message));
        }
        *table = table.narrow(0, start, rows - start)?;
    }
    Ok(())
}

/// Sets row `row` of a table to zero.
fn zero_row(table: &Tensor, row: usize) -> Result<Tensor> {
    let (rows, width) = table.dims2()?;
    let mut values = table.flatten_all()?.to_vec1::<f32>()?;
    values[row * width..(row + 1) * width].fill(0.0);
    Ok(Tensor::from_vec(values, (rows, width), table.device())?)
}
