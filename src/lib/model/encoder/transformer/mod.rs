//! Transformers: encoders with softmax attention, of the shapes that published RNA language models have.
//!
//! One definition of a layer serves training and inference. Long sequences are inferred in blocks of tokens, by all threads:
//! each block meets the rest of its sequence only in the attention, block by block, so that memory grows with the length alone.

mod config;
mod layer;
mod layout;
mod map;
mod pair_bias;
mod subwords;

use std::sync::Arc;

use candle_core::{Device, Tensor};
use rayon::prelude::*;

use super::{Encode, Masking, with_rows};
use crate::model::builder::{Builder, ZEROS, normal};
use crate::model::features::{Features, Input};
use crate::model::ops::activation::gelu_exact;
use crate::model::ops::attention::{KeyBlock, attend, attention};
use crate::model::ops::bias::add_bias;
use crate::model::ops::dropout::{Dropout, dropped};
use crate::model::ops::linear::{arranged, linear};
use crate::model::ops::rotation::Positions;
use crate::model::ops::rows::select_rows;
use crate::model::packed::Packed;
use crate::sequence::{Tokenizer, Unit, Vocabulary, VocabularyConfig};
use crate::{Error, Result, memory};

pub use config::{Activation, GuessConfig, NormPlace, PositionKind, Residual, TransformerConfig};
use layer::{Dense, Layer, Norm, Projected};
use layout::{Layout, TokenRows};
pub use map::AttentionMap;
use pair_bias::{Carried, PairBias};
pub use subwords::{Subwords, SubwordsConfig};

/// Tokens of a long sequence computed at a time. It follows from the length alone, so that the number of threads does not change
/// the result.
fn block_size(length: usize) -> usize {
    if length < 2048 { 128 } else { 256 }
}

/// Sequences up to this many tokens are computed whole.
const WHOLE_UP_TO: usize = 192;

/// Short sequences are computed together up to about this many tokens, so that the weights are read once for all.
const PACK: usize = 512;

/// The encoder's weights.
#[derive(Clone, Debug)]
pub struct Transformer {
    config: TransformerConfig,
    vocabulary: Vocabulary,
    /// Where the words are those of our own letters: what tables of tokens hold.
    kmers: Option<Tokenizer>,
    embedding: Tensor,
    /// The table of learned positions.
    positions: Option<Tensor>,
    embedding_norm: Option<Norm>,
    subwords: Option<Subwords>,
    pair_bias: Option<PairBias>,
    layers: Vec<Layer>,
    norm: Option<Norm>,
    guess: Option<Guess>,
}

/// The head that guesses masked tokens.
#[derive(Clone, Debug)]
struct Guess {
    dense: Dense,
    norm: Norm,
    /// [vocabulary, d]; `None` where it is the embedding.
    projection: Option<Tensor>,
    bias: Tensor,
}

/// Tokens with what is known of their places.
struct Placed<'a> {
    tokens: &'a [u32],
    /// Positions in their sequences.
    places: Vec<u32>,
    /// What embeddings are multiplied by, where they are.
    factors: Option<Vec<f32>>,
    rotary: Option<Arc<Positions>>,
}

impl Transformer {
    /// An encoder of the tensors that `builder` gives; its language-model head only where `language_model`.
    ///
    /// # Errors
    /// Where a tensor is missing, and where the vocabulary is none.
    pub fn build(config: &TransformerConfig, language_model: bool, builder: &Builder) -> Result<Self> {
        let (d, vocabulary) = (config.width, Vocabulary::new(&config.vocabulary)?);
        let matrix = |builder: &Builder, name: &str, rows: usize| -> Result<Tensor> {
            Ok(builder.pp(name).get_with_hints((rows, d), "weight", normal(0.02))?)
        };
        let guess = match language_model {
            true => {
                let builder = builder.pp("lm");
                Some(Guess {
                    dense: Dense::build(&builder, "dense", (d, d), true)?,
                    norm: Norm::build(&builder, "norm", d)?,
                    projection: match config.guess.tied {
                        true => None,
                        false => Some(matrix(&builder, "projection", vocabulary.len())?),
                    },
                    bias: builder.get_with_hints(vocabulary.len(), "bias", ZEROS)?,
                })
            }
            false => None,
        };
        let norm = |wanted, name| if wanted { Norm::build(builder, name, d).map(Some) } else { Ok(None) };
        Ok(Self {
            config: config.clone(),
            kmers: match config.vocabulary == VocabularyConfig::letters() {
                true => Some(Tokenizer::new(1)?),
                false => None,
            },
            embedding: matrix(builder, "embedding", vocabulary.len())?,
            positions: match config.positions {
                PositionKind::Learned { count } => Some(matrix(builder, "positions", count)?),
                PositionKind::Rotary { .. } | PositionKind::Sinusoidal { .. } => None,
            },
            embedding_norm: norm(config.embedding_norm, "embedding_norm")?,
            subwords: match &config.subwords {
                Some(subwords) => Some(Subwords::build(subwords, d, &builder.pp("subwords"))?),
                None => None,
            },
            pair_bias: match config.pair_bias {
                Some(wobble) => Some(PairBias::build(config.heads, wobble, &vocabulary, &builder.pp("pair_bias"))?),
                None => None,
            },
            layers: (0..config.layers)
                .map(|layer| Layer::build(config, &builder.pp("layers").pp(layer)))
                .collect::<Result<_>>()?,
            norm: norm(config.final_norm, "norm")?,
            guess,
            vocabulary,
        })
    }

    /// The same encoder for inference alone: its weights carry no gradient and lie in memory as products want them.
    ///
    /// # Errors
    /// Where a tensor operation fails.
    pub fn for_inference(self) -> Result<Self> {
        // One layer after the other, so that no second copy of all weights exists where nobody else keeps the first.
        let layers = self.layers.into_iter().map(Layer::for_inference).collect::<Result<_>>()?;
        let guess = match self.guess {
            Some(Guess { dense, norm, projection, bias }) => Some(Guess {
                dense: dense.arranged()?,
                norm: norm.detached(),
                projection: projection.as_ref().map(arranged).transpose()?,
                bias: bias.detach(),
            }),
            None => None,
        };
        Ok(Self {
            config: self.config,
            vocabulary: self.vocabulary,
            kmers: self.kmers,
            embedding: self.embedding.detach(),
            positions: self.positions.map(|table| table.detach()),
            embedding_norm: self.embedding_norm.map(|norm| norm.detached()),
            subwords: self.subwords.map(Subwords::for_inference).transpose()?,
            pair_bias: self.pair_bias.map(PairBias::for_inference).transpose()?,
            layers,
            norm: self.norm.map(|norm| norm.detached()),
            guess,
        })
    }

    /// The sizes.
    pub fn config(&self) -> &TransformerConfig {
        &self.config
    }

    /// What the products of queries and keys are multiplied by.
    fn head_scale(&self) -> f64 {
        (self.config.head_width() as f64).powf(-0.5)
    }

    /// What attention multiplies scores by: those that are carried from layer to layer are scaled already.
    fn scale(&self) -> f64 {
        if self.pair_bias.is_some() { 1.0 } else { self.head_scale() }
    }

    /// What the embeddings of a sequence of these tokens are multiplied by.
    fn factor(&self, tokens: &[u32]) -> f32 {
        let masked = tokens.iter().filter(|token| Some(**token) == self.vocabulary.mask()).count();
        (0.88 / (1.0 - masked as f64 / tokens.len() as f64)) as f32
    }

    /// Tokens of packed sequences, the first of which begins at `first`; `factors` has a number for each sequence.
    fn place<'a>(&self, tokens: &'a [u32], offsets: &[usize], first: usize, factors: &[f32]) -> Placed<'a> {
        let lengths = || offsets.windows(2).map(|pair| pair[1] - pair[0]);
        let places = lengths().flat_map(|length| (first..first + length).map(|place| place as u32)).collect();
        let factors = self.config.token_dropout.then(|| {
            let of_sequences = lengths().zip(factors).flat_map(|(length, &factor)| std::iter::repeat_n(factor, length));
            let is_mask = |token: &u32| Some(*token) == self.vocabulary.mask();
            of_sequences.zip(tokens).map(|(factor, token)| if is_mask(token) { 0.0 } else { factor }).collect()
        });
        let rotary = match self.config.positions {
            PositionKind::Rotary { base } => {
                Some(Arc::new(Positions::halves(self.config.head_width(), base, offsets, first)))
            }
            PositionKind::Learned { .. } | PositionKind::Sinusoidal { .. } => None,
        };
        Placed { tokens, places, factors, rotary }
    }

    fn embed(&self, placed: &Placed) -> Result<Tensor> {
        let mut x = select_rows(&self.embedding, placed.tokens.to_vec())?;
        if let Some(factors) = &placed.factors {
            x = x.broadcast_mul(&Tensor::from_slice(factors, (factors.len(), 1), x.device())?)?;
        }
        x = match (self.config.positions, &self.positions) {
            (PositionKind::Sinusoidal { first }, _) => {
                (&x + waves(&placed.places, first, self.config.width, x.device())?)?
            }
            (_, Some(table)) => (&x + select_rows(table, placed.places.clone())?)?,
            (_, None) => x,
        };
        match &self.embedding_norm {
            Some(norm) => norm.apply(&x, self.config.norm_epsilon),
            None => Ok(x),
        }
    }

    /// What enters the first layer, of packed sequences that are whole.
    fn enter(&self, placed: &Placed, offsets: &[usize]) -> Result<Tensor> {
        let x = self.embed(placed)?;
        match &self.subwords {
            Some(subwords) => subwords.forward(&x, offsets),
            None => Ok(x),
        }
    }

    /// The last norm, where there is one.
    fn end(&self, x: Tensor) -> Result<Tensor> {
        match &self.norm {
            Some(norm) => norm.apply(&x, self.config.norm_epsilon),
            None => Ok(x),
        }
    }

    /// The scores that a structure head reads, where there is one.
    fn scores(&self, carried: Option<&Carried>) -> Result<Option<Tensor>> {
        match (self.config.scores_of_head, carried) {
            (Some(head), Some(carried)) => carried.of_head(head).map(Some),
            _ => Ok(None),
        }
    }

    /// Features of every token: after the last norm. Differentiable.
    fn forward_tokens(&self, packed: &Packed, mut dropout: Option<&mut Dropout>) -> Result<TokenRows> {
        memory::admit(packed.tokens().len())?;
        let offsets = Arc::new(packed.offsets().to_vec());
        let factors: Vec<f32> =
            (0..packed.sequences()).map(|index| self.factor(&packed.tokens()[packed.range(index)])).collect();
        let placed = self.place(packed.tokens(), &offsets, 0, &factors);
        let mut carried = self.pair_bias.as_ref().map(|bias| bias.start(placed.tokens)).transpose()?;
        let mut x = dropped(self.enter(&placed, &offsets)?, &mut dropout)?;
        for layer in &self.layers {
            let Projected { base, queries, keys, values } = self.project(layer, &x, &placed, &mut carried)?;
            let attended = attention(&queries, &keys, &values, &offsets, self.config.heads, self.scale())?;
            x = layer.finish(&self.config, &base, &attended, &mut dropout)?;
        }
        Ok(TokenRows { features: self.end(x)?, scores: self.scores(carried.as_ref())? })
    }

    /// What a layer's attention works on; with a bias of pairs, that of all layers so far.
    fn project(&self, layer: &Layer, x: &Tensor, placed: &Placed, carried: &mut Option<Carried>) -> Result<Projected> {
        let mut projected = layer.project(&self.config, x, placed.rotary.as_ref())?;
        if let Some(so_far) = carried {
            *so_far = so_far.with(&projected.queries, &projected.keys, self.head_scale())?;
            (projected.queries, projected.keys) = (so_far.queries.flatten_from(1)?, so_far.keys.flatten_from(1)?);
        }
        Ok(projected)
    }

    /// The attention of all layers from number `first` on, counted from 0, for one sequence of tokens without those around it.
    ///
    /// # Errors
    /// Where a tensor operation fails.
    pub fn attention_maps(&self, tokens: &[u32], first: usize) -> Result<Vec<AttentionMap>> {
        let layout = Layout::new(&self.vocabulary, &[Input::Tokens(tokens)])?;
        let offsets = Arc::new(layout.packed.offsets().to_vec());
        let all = layout.packed.tokens();
        let placed = self.place(all, &offsets, 0, &[self.factor(all)]);
        let mut carried = self.pair_bias.as_ref().map(|bias| bias.start(all)).transpose()?;
        let (mut x, mut maps) = (self.enter(&placed, &offsets)?.detach(), Vec::new());
        for (number, layer) in self.layers.iter().enumerate() {
            let Projected { base, queries, keys, values } = self.project(layer, &x, &placed, &mut carried)?;
            if number >= first {
                maps.push(AttentionMap {
                    queries: queries.flatten_all()?.to_vec1()?,
                    keys: keys.flatten_all()?.to_vec1()?,
                    heads: self.config.heads,
                    scale: self.scale() as f32,
                    before: usize::from(self.vocabulary.before().is_some()),
                    length: tokens.len(),
                    stride: queries.dim(1)?,
                });
            }
            if number + 1 < self.layers.len() {
                let attended = attention(&queries, &keys, &values, &offsets, self.config.heads, self.scale())?;
                x = layer.finish(&self.config, &base, &attended, &mut None)?.detach();
            }
        }
        Ok(maps)
    }

    /// The same without a gradient, by all threads of the current rayon pool.
    fn infer(&self, packed: &Packed) -> Result<TokenRows> {
        if packed.tokens().is_empty() {
            let features = Tensor::zeros((0, self.config.width), self.embedding.dtype(), self.embedding.device())?;
            return Ok(TokenRows { features, scores: None });
        }
        memory::admit(packed.tokens().len())?;
        let parts = super::pieces(packed.offsets(), WHOLE_UP_TO, PACK)
            .into_par_iter()
            .map(|piece| match piece {
                super::Piece::Together(first, last) => {
                    let packed: Packed = (first..last).map(|i| &packed.tokens()[packed.range(i)]).collect();
                    Ok(self.forward_tokens(&packed, None)?.detached())
                }
                super::Piece::Long(index) => self.long(&packed.tokens()[packed.range(index)]),
            })
            .collect::<Result<Vec<_>>>()?;
        TokenRows::joined(parts)
    }

    /// One long sequence, block by block.
    fn long(&self, tokens: &[u32]) -> Result<TokenRows> {
        let size = block_size(tokens.len());
        let factor = self.factor(tokens);
        let placed: Vec<Placed> = tokens
            .chunks(size)
            .enumerate()
            .map(|(i, block)| self.place(block, &[0, block.len()], i * size, &[factor]))
            .collect();
        let mut x = match self.subwords {
            None => placed.par_iter().map(|block| Ok(self.embed(block)?.detach())).collect::<Result<Vec<_>>>()?,
            // Positions look at those beside them.
            Some(_) => {
                let whole = self.place(tokens, &[0, tokens.len()], 0, &[factor]);
                let whole = self.enter(&whole, &[0, tokens.len()])?.detach();
                let parts = placed.iter().enumerate();
                let part = |(i, block): (usize, &Placed)| whole.narrow(0, i * size, block.tokens.len())?.contiguous();
                parts.map(part).collect::<candle_core::Result<Vec<_>>>()?
            }
        };
        let mut carried = match &self.pair_bias {
            Some(bias) => {
                placed.par_iter().map(|block| Ok(Some(bias.start(block.tokens)?.detached()))).collect::<Result<_>>()?
            }
            None => vec![None; placed.len()],
        };
        for layer in &self.layers {
            x = self.long_layer(layer, x, &placed, &mut carried)?;
        }
        let parts = x
            .into_par_iter()
            .zip(&carried)
            .map(|(x, carried)| {
                Ok(TokenRows { features: self.end(x)?, scores: self.scores(carried.as_ref())? }.detached())
            })
            .collect::<Result<Vec<_>>>()?;
        TokenRows::joined(parts)
    }

    /// One layer of a long sequence. Blocks are given up as they are used.
    fn long_layer(
        &self,
        layer: &Layer,
        x: Vec<Tensor>,
        placed: &[Placed],
        carried: &mut [Option<Carried>],
    ) -> Result<Vec<Tensor>> {
        let heads = self.config.heads;
        let scale = self.scale() as f32;
        let parts = x
            .into_par_iter()
            .zip(placed)
            .zip(carried.par_iter_mut())
            .map(|((x, placed), carried)| {
                let Projected { base, queries, keys, values } = self.project(layer, &x, placed, carried)?;
                *carried = carried.as_ref().map(Carried::detached);
                let values = values.flatten_all()?.to_vec1::<f32>()?;
                let tokens = placed.tokens.len();
                let block = with_rows(&keys, |keys| Ok(KeyBlock::new(keys, values, tokens, heads)))?;
                Ok((base.detach(), queries.detach(), block))
            })
            .collect::<Result<Vec<_>>>()?;
        let mut blocks = Vec::with_capacity(parts.len());
        let rows: Vec<(Tensor, Tensor)> = parts
            .into_iter()
            .map(|(base, queries, block)| {
                blocks.push(block);
                (base, queries)
            })
            .collect();
        rows.into_par_iter()
            .map(|(base, queries)| {
                let (tokens, width) = base.dims2()?;
                let (attended, _) = with_rows(&queries, |queries| Ok(attend(queries, tokens, &blocks, scale)))?;
                let attended = Tensor::from_vec(attended, (tokens, width), &Device::Cpu)?;
                Ok(layer.finish(&self.config, &base, &attended, &mut None)?.detach())
            })
            .collect()
    }
}

/// Sines and cosines of positions counted from `first`, [tokens, width]: sin(p w_j), then cos(p w_j), with w_j = 10000^-(j / (n -
/// 1)) for j below n, half the width.
fn waves(places: &[u32], first: usize, width: usize, device: &Device) -> Result<Tensor> {
    let half = width / 2;
    let rates: Vec<f64> = (0..half).map(|j| (-(j as f64) * 10_000f64.ln() / (half.max(2) - 1) as f64).exp()).collect();
    let mut rows = vec![0f32; places.len() * width];
    for (row, &place) in rows.chunks_exact_mut(width).zip(places) {
        for (j, rate) in rates.iter().enumerate() {
            let (sine, cosine) = ((first + place as usize) as f64 * rate).sin_cos();
            (row[j], row[half + j]) = (sine as f32, cosine as f32);
        }
    }
    Ok(Tensor::from_vec(rows, (places.len(), width), device)?)
}

impl Encode for Transformer {
    fn width(&self) -> usize {
        self.config.width
    }

    fn kmers(&self) -> Option<&Tokenizer> {
        self.kmers.as_ref()
    }

    fn token_ids(&self, letters: &[u8]) -> Result<Vec<u32>> {
        let mut ids = Vec::new();
        self.vocabulary.encode_into(letters, &mut ids).map_err(|why| Error::Failed(why.to_string()))?;
        Ok(ids)
    }

    fn masking(&self) -> Result<Masking> {
        let (Unit::Letter, Some(mask)) = (self.vocabulary.unit(), self.vocabulary.mask()) else {
            return Err(Error::Failed("this model has no masked token for a single nucleotide".into()));
        };
        let mut known = vec![false; self.vocabulary.len()];
        for letter in *b"ACGU" {
            if let Some(id) = self.vocabulary.letter(letter) {
                known[id as usize] = true;
            }
        }
        let unknown = self.kmers.is_some().then_some(crate::sequence::tokenizer::UNK);
        Ok(Masking { span: 1, mask, unknown, known })
    }

    fn refusal(&self, input: &Input) -> Option<String> {
        let mut ids = Vec::new();
        let parts: [&[u8]; 2] = match input {
            Input::Letters(letters) => [letters, &[]],
            Input::Pair(one, two) => [one, two],
            Input::Tokens(tokens) => {
                ids.extend_from_slice(tokens);
                [&[], &[]]
            }
        };
        for letters in parts.iter().filter(|letters| !letters.is_empty()) {
            if let Err(why) = self.vocabulary.encode_into(letters, &mut ids) {
                return Some(why.to_string());
            }
        }
        let longest = self.config.longest()?;
        (input.nucleotides() > longest).then(|| {
            format!(
                "{} nt are more than the {longest} that this model has positions for: cut it into windows",
                input.nucleotides()
            )
        })
    }

    fn forward(&self, inputs: &[Input], dropout: Option<&mut Dropout>) -> Result<Features> {
        let layout = Layout::new(&self.vocabulary, inputs)?;
        layout.features(&self.forward_tokens(&layout.packed, dropout)?)
    }

    fn features(&self, inputs: &[Input]) -> Result<Features> {
        let layout = Layout::new(&self.vocabulary, inputs)?;
        layout.features(&self.infer(&layout.packed)?)
    }

    fn summaries(&self, inputs: &[Input]) -> Result<Tensor> {
        if self.vocabulary.before().is_none() {
            return Err(Error::Failed("this model has no token before a sequence: pool by the mean".into()));
        }
        let layout = Layout::new(&self.vocabulary, inputs)?;
        layout.summaries(&self.infer(&layout.packed)?.features)
    }

    fn memory(&self, nucleotides: usize) -> u64 {
        let TransformerConfig { width, ffn_width, layers, heads, .. } = self.config;
        // What enters a layer, what is added to, queries, and keys and values twice as they are turned; the rows of nucleotides.
        let carried = if self.pair_bias.is_some() { 3 * (layers * width + 5 * heads) } else { 0 };
        let averaged = if let Unit::Kmer(k) = self.vocabulary.unit() { k * width } else { 0 };
        // The candidates of every block.
        let candidates = self.config.subwords.as_ref().map_or(0, |subwords| (subwords.blocks.len() + 6) * width);
        let kept = (5 * width + carried + averaged).max(candidates);
        let working = 7 * width + 4 * ffn_width + 2 * block_size(nucleotides);
        let at_a_time = nucleotides.min(rayon::current_num_threads() * block_size(nucleotides).max(PACK + WHOLE_UP_TO));
        4 * (nucleotides as u64 * kept as u64 + at_a_time as u64 * working as u64)
    }

    fn logits(&self, features: &Features, rows: &[u32]) -> Result<Tensor> {
        let Some(guess) = &self.guess else { return Err(super::no_language_model()) };
        if self.vocabulary.unit() != Unit::Letter {
            return Err(Error::Failed("this model guesses words of several nucleotides, which is not computed".into()));
        }
        let rows = select_rows(features.rows(), rows.to_vec())?;
        let hidden = match self.config.guess.activation {
            Activation::Relu => guess.dense.apply_relu(&rows)?,
            Activation::Gelu | Activation::Swiglu => gelu_exact(&guess.dense.apply(&rows)?)?,
        };
        let hidden = guess.norm.apply(&hidden, self.config.guess.norm_epsilon)?;
        let projection = guess.projection.as_ref().unwrap_or(&self.embedding);
        Ok(add_bias(&linear(&hidden, projection)?, &guess.bias)?)
    }
}
