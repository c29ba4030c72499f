//! The retentive encoder: embedding, layers of retention and gated feed-forward networks, final norm, output projection.
//!
//! One definition of a layer serves training and inference. Long sequences are inferred in blocks of tokens: each block
//! meets the rest of its sequence only in the retention, through states of fixed size, so that memory per token stays
//! constant and all cores work on one sequence.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp3, Device, Layout, Shape, Tensor};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Encode, Masking, Piece, no_language_model, pieces, with_rows};
use crate::model::builder::{Builder, ONES, fan_in, normal, xavier};
use crate::model::config::{LARGEST_WIDTH, MOST_LAYERS, default_norm_epsilon};
use crate::model::features::{Features, Input};
use crate::model::ops::contiguous;
use crate::model::ops::dropout::{Dropout, dropped};
use crate::model::ops::gates::{gelu_gate, retention_gate};
use crate::model::ops::linear::{arranged, linear};
use crate::model::ops::rms_norm::rms_norm;
use crate::model::ops::rotation::{Positions, rotate};
use crate::model::ops::rows::select_rows;
use crate::model::packed::Packed;
use crate::model::retention::kernel::{HeadRows, Segment, State, chunk_size, decay, decay_roots, retain, summarise};
use crate::model::retention::operation::retention;
use crate::sequence::Tokenizer;
use crate::sequence::tokenizer::{CLS, FIRST_KMER, MASK, SEQ, UNK};
use crate::{Error, Result, memory};

/// Tokens of a long sequence computed at a time. It follows from the length alone, so that the number of threads does
/// not change the result: small blocks keep all cores busy with a sequence of a few hundred tokens, larger ones keep
/// the states between blocks few where there are many.
fn block_size(length: usize) -> usize {
    if length < 4096 { 256 } else { 1024 }
}

/// Sequences up to this many tokens are computed whole.
const WHOLE_UP_TO: usize = 384;

/// Short sequences are computed together up to about this many tokens, so that the weights are read once for all.
const PACK: usize = 512;

/// The sizes of the encoder. The default is the published one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetentionConfig {
    /// Nucleotides per token; odd, 1 to 7.
    pub k: usize,
    /// Width of the residual stream (d).
    pub width: usize,
    /// Width of all heads' values together.
    pub value_width: usize,
    /// Width of the feed-forward network.
    pub ffn_width: usize,
    /// Number of layers; 0: the embedding of the tokens alone.
    pub layers: usize,
    /// Number of retention heads; divides `width` (by an even key width) and `value_width`.
    pub heads: usize,
    /// The epsilon of every RMSNorm.
    #[serde(default = "default_norm_epsilon")]
    pub norm_epsilon: f64,
}

impl Default for RetentionConfig {
    fn default() -> Self {
        Self {
            k: 1,
            width: 384,
            value_width: 512,
            ffn_width: 512,
            layers: 8,
            heads: 4,
            norm_epsilon: default_norm_epsilon(),
        }
    }
}

impl RetentionConfig {
    /// Width of one head's queries and keys.
    pub fn key_width(&self) -> usize {
        self.width / self.heads
    }

    /// Tokens in the vocabulary: 4^k k-mers and six special ones.
    pub fn vocabulary_size(&self) -> usize {
        4usize.pow(self.k as u32) + 6
    }

    /// Checks that the sizes fit each other.
    ///
    /// # Errors
    /// [`Error::Usage`] names the size that does not fit.
    pub fn validate(&self) -> Result<()> {
        let wrong = |message: String| Err(Error::Usage(message));
        if self.k.is_multiple_of(2) || self.k > 7 {
            return wrong(format!("k = {} is not an odd number from 1 to 7", self.k));
        }
        for (name, value) in [
            ("width", self.width),
            ("value_width", self.value_width),
            ("ffn_width", self.ffn_width),
            ("heads", self.heads),
        ] {
            if !(1..=LARGEST_WIDTH).contains(&value) {
                return wrong(format!("{name} = {value} is not from 1 to {LARGEST_WIDTH}"));
            }
        }
        // A head may read the letters alone.
        if self.layers > MOST_LAYERS {
            return wrong(format!("layers = {} is not from 0 to {MOST_LAYERS}", self.layers));
        }
        if self.heads > MOST_HEADS {
            return wrong(format!(
                "heads = {}: there are at most {MOST_HEADS}, since the decay of the next, 1 - 2^-(5 + head), is 1 in 32 bits",
                self.heads
            ));
        }
        if !self.width.is_multiple_of(2 * self.heads) || self.key_width() < 4 {
            return wrong(format!(
                "width {} does not split into {} heads of an even width of at least 4",
                self.width, self.heads
            ));
        }
        if !self.value_width.is_multiple_of(self.heads) {
            return wrong(format!("value_width {} does not split into {} heads", self.value_width, self.heads));
        }
        Ok(())
    }
}

/// Most retention heads: the decay of head 20, 1 - 2^-25, rounds to 1 in 32 bits, so that the sums of its retention and their
/// normalisation would no longer be what they are for the others.
pub const MOST_HEADS: usize = 20;

/// The encoder's weights.
#[derive(Clone, Debug)]
pub struct Retention {
    config: RetentionConfig,
    tokenizer: Tokenizer,
    embedding: Tensor,
    layers: Vec<Layer>,
    language_model: Option<LanguageModel>,
}

/// The head that guesses masked tokens: a norm [d], and a projection [vocabulary, d].
#[derive(Clone, Debug)]
struct LanguageModel {
    norm: Tensor,
    projection: Tensor,
}

/// The weights of one layer, each [out, in] or [d].
#[derive(Clone, Debug)]
struct Layer {
    retention_norm: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    gate: Tensor,
    out: Tensor,
    ffn_norm: Tensor,
    fc1: Tensor,
    ffn_gate: Tensor,
    fc2: Tensor,
}

/// What a layer needs to know about the tokens besides their values.
struct Batch {
    offsets: Arc<Vec<usize>>,
    positions: Arc<Positions>,
}

impl Retention {
    /// An encoder of the tensors that `builder` gives; its language-model head only where `language_model`.
    ///
    /// # Errors
    /// Where a tensor is missing.
    pub fn build(config: &RetentionConfig, language_model: bool, builder: &Builder) -> Result<Self> {
        let (d, vocabulary) = (config.width, config.vocabulary_size());
        let matrix = |builder: &Builder, name: &str, out: usize, start| -> Result<Tensor> {
            Ok(builder.pp(name).get_with_hints((vocabulary, out), "weight", start)?)
        };
        let language_model = match language_model {
            true => {
                let builder = builder.pp("lm");
                Some(LanguageModel {
                    norm: norm(&builder, "norm", d)?,
                    projection: matrix(&builder, "projection", d, normal((d as f64).powf(-0.5)))?,
                })
            }
            false => None,
        };
        Ok(Self {
            config: config.clone(),
            tokenizer: Tokenizer::new(config.k)?,
            embedding: matrix(builder, "embedding", d, normal(1.0))?,
            layers: (0..config.layers)
                .map(|layer| Layer::build(config, &builder.pp("layers").pp(layer)))
                .collect::<Result<_>>()?,
            language_model,
        })
    }

    /// The same encoder for inference alone: its weights carry no gradient and lie in memory as products want them.
    ///
    /// # Errors
    /// Where a tensor operation fails.
    pub fn for_inference(self) -> Result<Self> {
        // One tensor after the other, so that no second copy of all of them exists where nobody else keeps the first.
        let arranged = |tensor: Tensor| arranged(&tensor);
        let layers = self
            .layers
            .into_iter()
            .map(|layer| {
                Ok(Layer {
                    retention_norm: layer.retention_norm.detach(),
                    query: arranged(layer.query)?,
                    key: arranged(layer.key)?,
                    value: arranged(layer.value)?,
                    gate: arranged(layer.gate)?,
                    out: arranged(layer.out)?,
                    ffn_norm: layer.ffn_norm.detach(),
                    fc1: arranged(layer.fc1)?,
                    ffn_gate: arranged(layer.ffn_gate)?,
                    fc2: arranged(layer.fc2)?,
                })
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            config: self.config,
            tokenizer: self.tokenizer,
            embedding: self.embedding.detach(),
            layers,
            language_model: match self.language_model {
                Some(LanguageModel { norm, projection }) => {
                    Some(LanguageModel { norm: norm.detach(), projection: arranged(projection)? })
                }
                None => None,
            },
        })
    }

    /// Features of every token, special ones included, [tokens, d]: the last layer's output before the final norm.
    fn forward_tokens(&self, packed: &Packed, mut dropout: Option<&mut Dropout>) -> Result<Tensor> {
        memory::admit(packed.tokens().len())?;
        let batch = self.batch(packed.offsets(), 0);
        let mut x = dropped(self.embed(packed.tokens())?, &mut dropout)?;
        for layer in &self.layers {
            x = layer.forward(&self.config, &x, &batch, &mut dropout)?;
        }
        Ok(x)
    }

    /// The output of the first `layers` layers, without a gradient.
    fn infer(&self, packed: &Packed, layers: usize) -> Result<Tensor> {
        if packed.tokens().is_empty() {
            return Ok(Tensor::zeros((0, self.config.width), self.embedding.dtype(), self.embedding.device())?);
        }
        if !matches!(self.embedding.device(), Device::Cpu) {
            return Ok(self.truncated(layers).forward_tokens(packed, None)?.detach());
        }
        memory::admit(packed.tokens().len())?;
        let parts = pieces(packed.offsets(), WHOLE_UP_TO, PACK)
            .into_par_iter()
            .map(|piece| match piece {
                Piece::Together(first, last) => {
                    let packed: Packed = (first..last).map(|i| &packed.tokens()[packed.range(i)]).collect();
                    self.together(&packed, layers)
                }
                Piece::Long(index) => self.long(&packed.tokens()[packed.range(index)], layers),
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(if parts.len() == 1 { parts[0].clone() } else { Tensor::cat(&parts, 0)? })
    }

    /// Output of the first `layers` layers for one sequence of tokens, [tokens, d].
    ///
    /// # Errors
    /// Where a tensor operation fails.
    pub fn hidden(&self, tokens: &[u32], layers: usize) -> Result<Tensor> {
        self.infer(&[tokens].into_iter().collect(), layers.min(self.layers.len()))
    }

    /// Queries and keys of the last layer for one sequence, each [tokens, d], rotated, keys scaled.
    ///
    /// # Errors
    /// Where a tensor operation fails.
    pub fn last_queries_and_keys(&self, tokens: &[u32]) -> Result<(Tensor, Tensor)> {
        let x = self.hidden(tokens, self.layers.len() - 1)?;
        let last = &self.layers[self.layers.len() - 1];
        let batch = self.batch(&[0, tokens.len()], 0);
        let h = rms_norm(&x, &last.retention_norm, self.config.norm_epsilon)?;
        Ok((last.queries(&h, &batch)?, last.keys(&self.config, &h, &batch)?))
    }

    fn truncated(&self, layers: usize) -> Self {
        Self { layers: self.layers[..layers].to_vec(), ..self.clone() }
    }

    fn embed(&self, tokens: &[u32]) -> Result<Tensor> {
        Ok(select_rows(&self.embedding, tokens.to_vec())?)
    }

    fn batch(&self, offsets: &[usize], first_position: usize) -> Batch {
        Batch {
            offsets: Arc::new(offsets.to_vec()),
            positions: Arc::new(Positions::new(self.config.key_width(), offsets, first_position)),
        }
    }

    /// Several short sequences at once.
    fn together(&self, packed: &Packed, layers: usize) -> Result<Tensor> {
        let batch = self.batch(packed.offsets(), 0);
        let mut x = self.embed(packed.tokens())?.detach();
        for layer in &self.layers[..layers] {
            x = layer.forward(&self.config, &x, &batch, &mut None)?.detach();
        }
        Ok(x)
    }

    /// One long sequence, block by block.
    fn long(&self, tokens: &[u32], layers: usize) -> Result<Tensor> {
        let size = block_size(tokens.len());
        let blocks: Vec<(usize, &[u32])> =
            tokens.chunks(size).enumerate().map(|(i, block)| (i * size, block)).collect();
        let batches: Vec<Batch> =
            blocks.par_iter().map(|&(start, block)| self.batch(&[0, block.len()], start)).collect();
        let mut x =
            blocks.par_iter().map(|(_, block)| Ok(self.embed(block)?.detach())).collect::<Result<Vec<Tensor>>>()?;
        for layer in &self.layers[..layers] {
            let config = &self.config;
            let parts = x
                .par_iter()
                .zip(&batches)
                .map(|(x, batch)| layer.keys_and_values(config, x, batch))
                .collect::<Result<Vec<_>>>()?;
            let sides = sides(&parts);
            // Blocks are given up as they are used: at no time is there a second copy of the whole sequence.
            x = x
                .into_par_iter()
                .zip(&batches)
                .zip(parts.into_par_iter().zip(sides))
                .enumerate()
                .map(|(i, ((x, batch), (part, sides)))| {
                    let place = Place { start: blocks[i].0, length: tokens.len(), sides };
                    Ok(layer.forward_block(config, &x, batch, &part, place)?.detach())
                })
                .collect::<Result<Vec<_>>>()?;
        }
        Ok(Tensor::cat(&x, 0)?)
    }
}

impl Encode for Retention {
    fn width(&self) -> usize {
        self.config.width
    }

    fn kmers(&self) -> Option<&Tokenizer> {
        Some(&self.tokenizer)
    }

    fn token_ids(&self, letters: &[u8]) -> Result<Vec<u32>> {
        Ok(self.tokenizer.encode(letters))
    }

    fn masking(&self) -> Result<Masking> {
        let known = (0..self.tokenizer.vocabulary_size() as u32).map(|id| id >= FIRST_KMER).collect();
        Ok(Masking { span: self.config.k, mask: MASK, unknown: Some(UNK), known })
    }

    fn refusal(&self, _input: &Input) -> Option<String> {
        None
    }

    fn forward(&self, inputs: &[Input], dropout: Option<&mut Dropout>) -> Result<Features> {
        let layout = self.layout(inputs)?;
        let rows = self.forward_tokens(&layout.packed, dropout)?;
        layout.features(rows)
    }

    /// Memory grows by a fixed amount per token.
    fn features(&self, inputs: &[Input]) -> Result<Features> {
        let layout = self.layout(inputs)?;
        let rows = self.infer(&layout.packed, self.layers.len())?;
        layout.features(rows)
    }

    fn summaries(&self, inputs: &[Input]) -> Result<Tensor> {
        if inputs.iter().any(|input| matches!(input, Input::Pair(..))) {
            return Ok(self.features(inputs)?.summaries()?.clone());
        }
        let mut packed = Packed::new();
        let mut tokens = Vec::new();
        for input in inputs {
            tokens.clear();
            tokens.push(CLS);
            self.tokens_of(input, &mut tokens);
            packed.push(&tokens);
        }
        Ok(select_rows(&self.infer(&packed, self.layers.len())?, starts(&packed))?)
    }

    fn memory(&self, nucleotides: usize) -> u64 {
        if !self.embedding.device().is_cpu() {
            return 0;
        }
        let RetentionConfig { width, value_width, ffn_width, heads, .. } = self.config;
        // What enters a layer and what leaves it, keys and values; and what a block's tokens add up to: once as the block
        // leaves it and once as it is met, from either side.
        let states = 4 * width * (value_width / heads + 1);
        let kept = 3 * width + value_width + states.div_ceil(block_size(nucleotides));
        let working = 6 * width + 4 * value_width + 4 * ffn_width;
        let at_a_time = nucleotides.min(rayon::current_num_threads() * block_size(nucleotides).max(PACK + WHOLE_UP_TO));
        4 * (nucleotides as u64 * kept as u64 + at_a_time as u64 * working as u64)
    }

    fn logits(&self, features: &Features, rows: &[u32]) -> Result<Tensor> {
        let Some(LanguageModel { norm, projection }) = &self.language_model else {
            return Err(no_language_model());
        };
        let rows = select_rows(features.rows(), rows.to_vec())?;
        Ok(linear(&rms_norm(&rows, norm, self.config.norm_epsilon)?, projection)?)
    }
}

/// The first row of each sequence.
fn starts(packed: &Packed) -> Vec<u32> {
    packed.offsets()[..packed.sequences()].iter().map(|&start| start as u32).collect()
}

/// The tokens of a batch, and which of them are nucleotides.
struct TokenLayout {
    packed: Packed,
    /// Where inputs are pairs, the rows of nucleotides, and where those of each input start among them.
    pairs: Option<(Vec<u32>, Vec<usize>)>,
}

impl TokenLayout {
    /// Features of nucleotides out of those of tokens, [tokens, d].
    fn features(&self, rows: Tensor) -> Result<Features> {
        Ok(match &self.pairs {
            None => Features::new(rows, self.packed.offsets().to_vec(), None),
            Some((nucleotides, offsets)) => {
                let summaries = select_rows(&rows, starts(&self.packed))?;
                Features::new(select_rows(&rows, nucleotides.clone())?, offsets.clone(), Some(summaries))
            }
        })
    }
}

impl Retention {
    /// Appends the tokens of an input. A pair is [CLS], the first sequence, [SEQ], the second one, each sequence with its own
    /// [FIL] ends; [CLS] and [SEQ] share an id.
    fn tokens_of(&self, input: &Input, tokens: &mut Vec<u32>) {
        match input {
            Input::Letters(letters) => self.tokenizer.encode_into(letters, tokens),
            Input::Tokens(ids) => tokens.extend_from_slice(ids),
            Input::Pair(first, second) => {
                tokens.push(CLS);
                self.tokenizer.encode_into(first, tokens);
                tokens.push(SEQ);
                self.tokenizer.encode_into(second, tokens);
            }
        }
    }

    fn layout(&self, inputs: &[Input]) -> Result<TokenLayout> {
        let mut packed = Packed::new();
        let mut tokens = Vec::new();
        let (mut nucleotides, mut offsets) = (Vec::new(), vec![0]);
        let mut pairs = 0;
        for input in inputs {
            if let Input::Pair(first, second) = input {
                let start = packed.tokens().len() as u32 + 1;
                let middle = start + first.len() as u32;
                nucleotides.extend(start..middle);
                nucleotides.extend(middle + 1..middle + 1 + second.len() as u32);
                offsets.push(nucleotides.len());
                pairs += 1;
            }
            tokens.clear();
            self.tokens_of(input, &mut tokens);
            packed.push(&tokens);
        }
        match pairs {
            0 => Ok(TokenLayout { packed, pairs: None }),
            all if all == inputs.len() => Ok(TokenLayout { packed, pairs: Some((nucleotides, offsets)) }),
            _ => Err(Error::Failed("pairs and single sequences do not go into one batch".into())),
        }
    }
}

/// Keys and values of one block, and what they add up to on either side, head by head.
struct Part {
    keys: Tensor,
    values: Tensor,
    tokens: usize,
    seen_from_right: Vec<State<f32>>,
    seen_from_left: Vec<State<f32>>,
}

/// What lies left and right of a block, head by head; `None` at the ends of the sequence.
#[derive(Clone, Default)]
struct Sides {
    left: Option<Vec<State<f32>>>,
    right: Option<Vec<State<f32>>>,
}

/// Where a block lies in its sequence.
struct Place {
    start: usize,
    length: usize,
    sides: Sides,
}

/// Runs over the blocks of a sequence in both directions, adding up what each leaves behind.
fn sides(parts: &[Part]) -> Vec<Sides> {
    let mut sides = vec![Sides::default(); parts.len()];
    let mut pass = |order: &mut dyn Iterator<Item = usize>, from_left: bool| {
        let mut state: Option<Vec<State<f32>>> = None;
        for i in order {
            let passed = if from_left { &parts[i].seen_from_right } else { &parts[i].seen_from_left };
            let target = if from_left { &mut sides[i].left } else { &mut sides[i].right };
            *target = state.clone();
            match &mut state {
                None => state = Some(passed.clone()),
                Some(states) => {
                    for (head, (state, passed)) in states.iter_mut().zip(passed).enumerate() {
                        state.advance(decay(head), parts[i].tokens, passed);
                    }
                }
            }
        }
    };
    pass(&mut (0..parts.len()), true);
    pass(&mut (0..parts.len()).rev(), false);
    sides
}

/// The weight of a norm over `width` numbers.
fn norm(builder: &Builder, name: &str, width: usize) -> Result<Tensor> {
    Ok(builder.pp(name).get_with_hints(width, "weight", ONES)?)
}

impl Layer {
    /// A layer of the tensors that `builder` gives.
    fn build(config: &RetentionConfig, builder: &Builder) -> Result<Self> {
        let RetentionConfig { width: d, value_width: value, ffn_width: inner, .. } = *config;
        let (retention, ffn) = (builder.pp("retention"), builder.pp("ffn"));
        let matrix = |builder: &Builder, name: &str, shape: (usize, usize), start| -> Result<Tensor> {
            Ok(builder.pp(name).get_with_hints(shape, "weight", start)?)
        };
        // The published start: queries, keys, values and gates small, so that a layer begins close to the identity.
        let small = |name: &str, out: usize| matrix(&retention, name, (out, d), xavier((out, d), 2f64.powf(-2.5)));
        Ok(Self {
            retention_norm: norm(&retention, "norm", d)?,
            query: small("query", d)?,
            key: small("key", d)?,
            value: small("value", value)?,
            gate: small("gate", value)?,
            out: matrix(&retention, "out", (d, value), xavier((d, value), 1.0))?,
            ffn_norm: norm(&ffn, "norm", d)?,
            fc1: matrix(&ffn, "fc1", (inner, d), fan_in(&[inner, d]))?,
            ffn_gate: matrix(&ffn, "gate", (inner, d), fan_in(&[inner, d]))?,
            fc2: matrix(&ffn, "fc2", (d, inner), fan_in(&[d, inner]))?,
        })
    }

    fn queries(&self, h: &Tensor, batch: &Batch) -> Result<Tensor> {
        Ok(rotate(&linear(h, &self.query)?, &batch.positions, 1.0)?)
    }

    fn keys(&self, config: &RetentionConfig, h: &Tensor, batch: &Batch) -> Result<Tensor> {
        let scale = (config.key_width() as f64).powf(-0.5);
        Ok(rotate(&linear(h, &self.key)?, &batch.positions, scale)?)
    }

    fn forward(
        &self,
        config: &RetentionConfig,
        x: &Tensor,
        batch: &Batch,
        dropout: &mut Option<&mut Dropout>,
    ) -> Result<Tensor> {
        let h = rms_norm(x, &self.retention_norm, config.norm_epsilon)?;
        let queries = self.queries(&h, batch)?;
        let keys = self.keys(config, &h, batch)?;
        let values = linear(&h, &self.value)?;
        let retained = retention(&queries, &keys, &values, &batch.offsets, config.heads)?;
        self.after_retention(config, x, &h, &retained, dropout)
    }

    /// Gate, projection and feed-forward network: everything that looks at one token at a time.
    fn after_retention(
        &self,
        config: &RetentionConfig,
        x: &Tensor,
        h: &Tensor,
        retained: &Tensor,
        dropout: &mut Option<&mut Dropout>,
    ) -> Result<Tensor> {
        let gated = retention_gate(retained, &linear(h, &self.gate)?, config.heads, config.norm_epsilon)?;
        let x = (x + dropped(linear(&gated, &self.out)?, dropout)?)?;
        let h = rms_norm(&x, &self.ffn_norm, config.norm_epsilon)?;
        let inner = gelu_gate(&linear(&h, &self.fc1)?, &linear(&h, &self.ffn_gate)?)?;
        let out = linear(&inner, &self.fc2)?;
        Ok((x + dropped(out, dropout)?)?)
    }

    fn keys_and_values(&self, config: &RetentionConfig, x: &Tensor, batch: &Batch) -> Result<Part> {
        let h = rms_norm(x, &self.retention_norm, config.norm_epsilon)?;
        let keys = self.keys(config, &h, batch)?.detach();
        let values = linear(&h, &self.value)?.detach();
        let tokens = x.dim(0)?;
        let (mut seen_from_right, mut seen_from_left) = (Vec::new(), Vec::new());
        with_rows(&keys, |keys| {
            with_rows(&values, |values| {
                for head in 0..config.heads {
                    let keys = HeadRows::new(keys, config.width, config.heads, head);
                    let values = HeadRows::new(values, config.value_width, config.heads, head);
                    seen_from_right.push(summarise(keys, values, 0, tokens, decay(head), true));
                    seen_from_left.push(summarise(keys, values, 0, tokens, decay(head), false));
                }
                Ok(())
            })
        })?;
        Ok(Part { keys, values, tokens, seen_from_right, seen_from_left })
    }

    fn forward_block(
        &self,
        config: &RetentionConfig,
        x: &Tensor,
        batch: &Batch,
        part: &Part,
        place: Place,
    ) -> Result<Tensor> {
        let h = rms_norm(x, &self.retention_norm, config.norm_epsilon)?;
        let queries = self.queries(&h, batch)?;
        let op = BlockRetention { heads: config.heads, place };
        let retained = queries.apply_op3_no_bwd(&part.keys, &part.values, &op)?;
        self.after_retention(config, x, &h, &retained, &mut None)
    }
}

/// Retention of one block, given what lies beside it. Inference only.
struct BlockRetention {
    heads: usize,
    place: Place,
}

impl CustomOp3 for BlockRetention {
    fn name(&self) -> &'static str {
        "block-retention"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let (tokens, key_stride) = l1.shape().dims2()?;
        let (_, value_stride) = l3.shape().dims2()?;
        let queries = contiguous::<f32>(s1, l1, "block-retention")?;
        let keys = contiguous::<f32>(s2, l2, "block-retention")?;
        let values = contiguous::<f32>(s3, l3, "block-retention")?;
        let width = value_stride / self.heads;
        let mut out = vec![0f32; tokens * value_stride];
        let mut row_sums = vec![0f32; tokens];
        let Place { start, length, sides } = &self.place;
        for head in 0..self.heads {
            let gamma = decay(head);
            let segment = Segment {
                queries: HeadRows::new(queries, key_stride, self.heads, head),
                keys: HeadRows::new(keys, key_stride, self.heads, head),
                values: HeadRows::new(values, value_stride, self.heads, head),
                start: 0,
                end: tokens,
                left: sides.left.as_ref().map(|states| &states[head]),
                right: sides.right.as_ref().map(|states| &states[head]),
            };
            let columns = &mut out[head * width..];
            retain(&segment, gamma, chunk_size(tokens), columns, value_stride, &mut row_sums);
            let roots = decay_roots(gamma, *start, tokens, *length);
            for (n, (&sum, root)) in row_sums.iter().zip(roots).enumerate() {
                let factor = 1.0 / (root as f32).max(sum.abs());
                columns[n * value_stride..n * value_stride + width].iter_mut().for_each(|value| *value *= factor);
            }
        }
        Ok((CpuStorage::F32(out), l3.shape().clone()))
    }
}
