//! Whether a miRNA binds a site: [CLS] miRNA [SEQ] site.

use candle_core::{DType, Device, Tensor};

use super::duplex::DuplexHead;
use super::{WithBias, other_task};
use crate::Result;
use crate::model::builder::{Builder, read};
use crate::model::ops::dropout::Dropout;
use crate::model::ops::linear::linear_with_bias;
use crate::model::ops::rows::select_rows;
use crate::model::{HeadConfig, ModelConfig, Packed, Parameters};
use crate::sequence::Tokenizer;
use crate::sequence::tokenizer::SEQ;

/// A miRNA and a site: letters ACGUN, both read 5' to 3'.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair<'a> {
    /// The miRNA.
    pub mirna: &'a [u8],
    /// The site in its target.
    pub site: &'a [u8],
}

impl Pair<'_> {
    /// Number of tokens of [`pair_tokens`].
    pub fn tokens(&self) -> usize {
        self.mirna.len() + self.site.len() + 2
    }
}

/// Tokens of one pair: [CLS], the miRNA's tokens, [SEQ], the site's tokens. Each sequence has its own [FIL] ends. [CLS]
/// and [SEQ] share an id.
pub fn pair_tokens(tokenizer: &Tokenizer, pair: &Pair) -> Vec<u32> {
    let mut tokens = Vec::with_capacity(pair.tokens());
    tokens.push(SEQ);
    tokenizer.encode_into(pair.mirna, &mut tokens);
    tokens.push(SEQ);
    tokenizer.encode_into(pair.site, &mut tokens);
    tokens
}

/// A mirtarget head of either kind.
#[derive(Clone, Debug)]
pub struct MirtargetHead(Kind);

#[derive(Clone, Debug)]
enum Kind {
    /// As published: Linear(d, d), tanh, Linear(d, 2) on the features of the first token.
    Published { dense: WithBias, out: WithBias },
    /// Convolutions over the map of miRNA x site.
    Duplex(DuplexHead),
}

impl MirtargetHead {
    /// Picks the head's tensors out of `parameters`.
    ///
    /// # Errors
    /// Where a tensor is missing.
    pub fn new(config: &ModelConfig, parameters: &Parameters) -> Result<Self> {
        Self::build(&config.head, config.encoder.width(), &read(parameters).pp("head"))
    }

    /// A head of the tensors that `builder` gives, for features of `d` numbers.
    ///
    /// # Errors
    /// Where a tensor is missing, or the configuration is that of another task.
    pub fn build(config: &HeadConfig, d: usize, builder: &Builder) -> Result<Self> {
        Ok(Self(match config {
            HeadConfig::Duplex(config) => Kind::Duplex(DuplexHead::build(config, d, builder)?),
            HeadConfig::PublishedMirtarget => Kind::Published {
                dense: WithBias::build(builder, "0", &[d, d])?,
                out: WithBias::build(builder, "2", &[2, d])?,
            },
            other => return Err(other_task(other)),
        }))
    }

    /// Logits [pairs, 2] (no target, target) from the features [tokens, d] of packed pairs and from their letters.
    /// Differentiable; `dropout` is for training alone.
    ///
    /// # Errors
    /// Where letters and tokens do not fit each other, or a tensor operation fails.
    pub fn forward(
        &self,
        features: &Tensor,
        packed: &Packed,
        pairs: &[Pair],
        dropout: Option<&mut Dropout>,
    ) -> Result<Tensor> {
        match &self.0 {
            Kind::Published { dense, out } => published(dense, out, features, packed),
            Kind::Duplex(head) => head.forward(features, packed.offsets(), pairs, dropout),
        }
    }

    /// Probability that each pair is a target, by all threads of the current rayon pool.
    ///
    /// # Errors
    /// As [`MirtargetHead::forward`].
    pub fn probabilities(&self, features: &Tensor, packed: &Packed, pairs: &[Pair]) -> Result<Vec<f32>> {
        // candle's softmax fails on no rows.
        if packed.sequences() == 0 {
            return Ok(Vec::new());
        }
        let logits = match &self.0 {
            Kind::Published { dense, out } => published(dense, out, features, packed)?,
            Kind::Duplex(head) => head.logits(features, packed, pairs)?,
        };
        let logits = logits.to_dtype(DType::F32)?.to_device(&Device::Cpu)?;
        let of_classes = candle_nn::ops::softmax_last_dim(&logits.contiguous()?)?;
        Ok(of_classes.narrow(1, 1, 1)?.flatten_all()?.to_vec1::<f32>()?)
    }
}

fn published(dense: &WithBias, out: &WithBias, features: &Tensor, packed: &Packed) -> Result<Tensor> {
    let starts: Vec<u32> = packed.offsets()[..packed.sequences()].iter().map(|&start| start as u32).collect();
    let first = select_rows(features, starts)?;
    let hidden = linear_with_bias(&first, &dense.weight, &dense.bias)?.tanh()?;
    Ok(linear_with_bias(&hidden, &out.weight, &out.bias)?)
}
