//! The bias of ERNIE-RNA (Yin et al., Nat Commun 16:10076, 2025): attention is drawn to bases that could pair, and what a layer
//! attended to is added to the scores of the next.
//!
//! The scores of layer l are B + the sum over the layers up to l of q k / sqrt(d), where B depends on the letters of both tokens.
//! So the queries of layer l are those of all layers before, side by side, and so are the keys; and B is the product of one row
//! of a table for the letter of the query with a one at the letter of the key. No map of tokens x tokens is kept.

use candle_core::Tensor;

use super::layer::Dense;
use crate::Result;
use crate::model::builder::Builder;
use crate::model::ops::activation::gelu_exact;
use crate::model::ops::rows::select_rows;
use crate::sequence::Vocabulary;

/// A, C, G, U, and everything else.
const CLASSES: usize = 5;

/// The network that turns the strength of a pair into a bias for each head.
#[derive(Clone, Debug)]
pub(super) struct PairBias {
    hidden: Dense,
    out: Dense,
    /// The strength of each pair of letters, [classes x classes, 1].
    strengths: Vec<f32>,
    /// The class of each token.
    classes: Vec<u32>,
    heads: usize,
}

/// Queries and keys of all layers so far, [tokens, heads, width] each; queries are scaled.
#[derive(Clone)]
pub(super) struct Carried {
    pub queries: Tensor,
    pub keys: Tensor,
}

impl PairBias {
    pub fn build(heads: usize, wobble: f64, vocabulary: &Vocabulary, builder: &Builder) -> Result<Self> {
        let letters = *b"ACGU";
        let mut classes = vec![letters.len() as u32; vocabulary.len()];
        for (class, letter) in letters.into_iter().enumerate() {
            if let Some(id) = vocabulary.letter(letter) {
                classes[id as usize] = class as u32;
            }
        }
        let strength = |one: usize, two: usize| match (letters.get(one), letters.get(two)) {
            (Some(b'A'), Some(b'U')) | (Some(b'U'), Some(b'A')) => 2.0,
            (Some(b'C'), Some(b'G')) | (Some(b'G'), Some(b'C')) => 3.0,
            (Some(b'G'), Some(b'U')) | (Some(b'U'), Some(b'G')) => wobble as f32,
            _ => 0.0,
        };
        let strengths = (0..CLASSES * CLASSES).map(|pair| strength(pair / CLASSES, pair % CLASSES)).collect();
        Ok(Self {
            hidden: Dense::build(builder, "dense1", ((heads / 2).max(1), 1), true)?,
            out: Dense::build(builder, "dense2", (heads, (heads / 2).max(1)), true)?,
            strengths,
            classes,
            heads,
        })
    }

    pub fn for_inference(self) -> Result<Self> {
        let Self { hidden, out, strengths, classes, heads } = self;
        Ok(Self { hidden: hidden.arranged()?, out: out.arranged()?, strengths, classes, heads })
    }

    /// The bias as queries and keys.
    pub fn start(&self, tokens: &[u32]) -> Result<Carried> {
        let device = self.hidden.device();
        let strengths = Tensor::from_slice(&self.strengths, (CLASSES * CLASSES, 1), device)?;
        // [query, key, head] to [query, head x key].
        let table = self.out.apply(&gelu_exact(&self.hidden.apply(&strengths)?)?)?;
        let table = table.reshape((CLASSES, CLASSES, self.heads))?.transpose(1, 2)?.flatten_from(1)?;
        let classes: Vec<u32> = tokens.iter().map(|&token| self.classes[token as usize]).collect();
        let shape = (tokens.len(), self.heads, CLASSES);
        let queries = select_rows(&table, classes.clone())?.reshape(shape)?;
        let one = |&class: &u32| (0..CLASSES as u32).map(move |other| if other == class { 1f32 } else { 0.0 });
        let keys = Tensor::from_vec(classes.iter().flat_map(one).collect(), (tokens.len(), 1, CLASSES), device)?;
        Ok(Carried { queries, keys: keys.broadcast_as(shape)?.contiguous()? })
    }
}

impl Carried {
    /// These and the queries and keys of one more layer, [tokens, heads x width].
    pub fn with(&self, queries: &Tensor, keys: &Tensor, scale: f64) -> Result<Self> {
        let (tokens, heads, _) = self.queries.dims3()?;
        let shape = (tokens, heads, queries.dim(1)? / heads);
        Ok(Self {
            queries: Tensor::cat(&[&self.queries, &(queries.reshape(shape)? * scale)?], 2)?,
            keys: Tensor::cat(&[&self.keys, &keys.reshape(shape)?], 2)?,
        })
    }

    /// Queries and keys of one head side by side, [tokens, 2 width]: their products are its scores.
    pub fn of_head(&self, head: usize) -> Result<Tensor> {
        let part = |x: &Tensor| x.narrow(1, head, 1)?.squeeze(1);
        Ok(Tensor::cat(&[part(&self.queries)?, part(&self.keys)?], 1)?)
    }

    /// The same without a gradient.
    pub fn detached(&self) -> Self {
        Self { queries: self.queries.detach(), keys: self.keys.detach() }
    }
}
