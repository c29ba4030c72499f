//! One layer: attention and a feed-forward network, each with its norm.

use std::sync::Arc;

use candle_core::{Device, Tensor};

use super::config::{Activation, NormPlace, Residual, TransformerConfig};
use crate::Result;
use crate::model::builder::{Builder, ONES, ZEROS, normal};
use crate::model::ops::activation::{gelu_exact, swiglu};
use crate::model::ops::bias::{add_bias, add_bias_relu};
use crate::model::ops::dropout::{Dropout, dropped};
use crate::model::ops::layer_norm::layer_norm;
use crate::model::ops::linear::{arranged, linear};
use crate::model::ops::rotation::{Positions, rotate};

/// Weight and bias of a layer norm.
#[derive(Clone, Debug)]
pub(super) struct Norm {
    weight: Tensor,
    bias: Tensor,
}

impl Norm {
    pub fn build(builder: &Builder, name: &str, width: usize) -> Result<Self> {
        let builder = builder.pp(name);
        Ok(Self {
            weight: builder.get_with_hints(width, "weight", ONES)?,
            bias: builder.get_with_hints(width, "bias", ZEROS)?,
        })
    }

    pub fn apply(&self, x: &Tensor, epsilon: f64) -> Result<Tensor> {
        Ok(layer_norm(x, &self.weight, &self.bias, epsilon)?)
    }

    /// The same of each head by itself: `x` [tokens, heads x width].
    fn apply_to_heads(&self, x: &Tensor, epsilon: f64) -> Result<Tensor> {
        let (tokens, stride) = x.dims2()?;
        let width = self.weight.dim(0)?;
        Ok(self.apply(&x.reshape((tokens * stride / width, width))?, epsilon)?.reshape((tokens, stride))?)
    }

    pub fn detached(&self) -> Self {
        Self { weight: self.weight.detach(), bias: self.bias.detach() }
    }
}

/// A matrix [out, in], with a bias [out] or without.
#[derive(Clone, Debug)]
pub(super) struct Dense {
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Dense {
    /// Starts as BERT and its kin do: normal with a deviation of 0.02, and zero biases.
    pub fn build(builder: &Builder, name: &str, shape: (usize, usize), bias: bool) -> Result<Self> {
        let builder = builder.pp(name);
        Ok(Self {
            weight: builder.get_with_hints(shape, "weight", normal(0.02))?,
            bias: if bias { Some(builder.get_with_hints(shape.0, "bias", ZEROS)?) } else { None },
        })
    }

    pub fn apply(&self, x: &Tensor) -> Result<Tensor> {
        let product = linear(x, &self.weight)?;
        Ok(match &self.bias {
            Some(bias) => add_bias(&product, bias)?,
            None => product,
        })
    }

    pub fn device(&self) -> &Device {
        self.weight.device()
    }

    /// ReLU of the same.
    pub fn apply_relu(&self, x: &Tensor) -> Result<Tensor> {
        let product = linear(x, &self.weight)?;
        Ok(match &self.bias {
            Some(bias) => add_bias_relu(&product, bias)?,
            None => product.relu()?,
        })
    }

    /// For inference alone.
    pub fn arranged(self) -> Result<Self> {
        Ok(Self { weight: arranged(&self.weight)?, bias: self.bias.map(|bias| bias.detach()) })
    }
}

/// The weights of one layer.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    attention_norm: Norm,
    query: Dense,
    key: Dense,
    value: Dense,
    out: Dense,
    /// Of queries and of keys, head by head.
    head_norms: Option<[Norm; 2]>,
    ffn_norm: Norm,
    fc1: Dense,
    /// The gate of SwiGLU and its beta.
    gate: Option<(Dense, Tensor)>,
    fc2: Dense,
}

/// What a layer's attention works on.
pub(super) struct Projected {
    /// What the result is added to.
    pub base: Tensor,
    pub queries: Tensor,
    pub keys: Tensor,
    pub values: Tensor,
}

impl Layer {
    pub fn build(config: &TransformerConfig, builder: &Builder) -> Result<Self> {
        let (d, inner, bias) = (config.width, config.ffn_width, config.attention_bias);
        let (attention, ffn) = (builder.pp("attention"), builder.pp("ffn"));
        Ok(Self {
            attention_norm: Norm::build(&attention, "norm", d)?,
            query: Dense::build(&attention, "query", (d, d), bias)?,
            key: Dense::build(&attention, "key", (d, d), bias)?,
            value: Dense::build(&attention, "value", (d, d), bias)?,
            out: Dense::build(&attention, "out", (d, d), bias)?,
            head_norms: match config.query_key_norm {
                true => Some([
                    Norm::build(&attention, "query_norm", config.head_width())?,
                    Norm::build(&attention, "key_norm", config.head_width())?,
                ]),
                false => None,
            },
            ffn_norm: Norm::build(&ffn, "norm", d)?,
            fc1: Dense::build(&ffn, "fc1", (inner, d), true)?,
            gate: match config.activation {
                Activation::Swiglu => {
                    Some((Dense::build(&ffn, "gate", (inner, d), true)?, ffn.get_with_hints(1, "beta", ONES)?))
                }
                Activation::Gelu | Activation::Relu => None,
            },
            fc2: Dense::build(&ffn, "fc2", (d, inner), true)?,
        })
    }

    pub fn for_inference(self) -> Result<Self> {
        Ok(Self {
            attention_norm: self.attention_norm.detached(),
            query: self.query.arranged()?,
            key: self.key.arranged()?,
            value: self.value.arranged()?,
            out: self.out.arranged()?,
            head_norms: self.head_norms.map(|norms| norms.map(|norm| norm.detached())),
            ffn_norm: self.ffn_norm.detached(),
            fc1: self.fc1.arranged()?,
            gate: match self.gate {
                Some((gate, beta)) => Some((gate.arranged()?, beta.detach())),
                None => None,
            },
            fc2: self.fc2.arranged()?,
        })
    }

    /// Queries, keys and values of the stream `x` [tokens, d], turned where the model turns them.
    pub fn project(
        &self,
        config: &TransformerConfig,
        x: &Tensor,
        positions: Option<&Arc<Positions>>,
    ) -> Result<Projected> {
        let h = match config.norm {
            NormPlace::Before => self.attention_norm.apply(x, config.norm_epsilon)?,
            NormPlace::After => x.clone(),
        };
        let (mut queries, mut keys) = (self.query.apply(&h)?, self.key.apply(&h)?);
        if let Some([of_queries, of_keys]) = &self.head_norms {
            queries = of_queries.apply_to_heads(&queries, config.norm_epsilon)?;
            keys = of_keys.apply_to_heads(&keys, config.norm_epsilon)?;
        }
        if let Some(positions) = positions {
            queries = rotate(&queries, positions, 1.0)?;
            keys = rotate(&keys, positions, 1.0)?;
        }
        let values = self.value.apply(&h)?;
        let base = if config.residual == Residual::Normalised { h } else { x.clone() };
        Ok(Projected { base, queries, keys, values })
    }

    /// The stream after the layer, from what attention gave: everything that looks at one token at a time.
    pub fn finish(
        &self,
        config: &TransformerConfig,
        base: &Tensor,
        attended: &Tensor,
        dropout: &mut Option<&mut Dropout>,
    ) -> Result<Tensor> {
        let epsilon = config.norm_epsilon;
        let sum = (base + dropped(self.out.apply(attended)?, dropout)?)?;
        let (x, h) = match config.norm {
            NormPlace::Before => {
                let h = self.ffn_norm.apply(&sum, epsilon)?;
                (sum, h)
            }
            NormPlace::After => {
                let x = self.attention_norm.apply(&sum, epsilon)?;
                (x.clone(), x)
            }
        };
        let inner = match (&self.gate, config.activation) {
            (Some((gate, beta)), _) => swiglu(&self.fc1.apply(&h)?, &gate.apply(&h)?, beta)?,
            (None, Activation::Relu) => self.fc1.apply_relu(&h)?,
            (None, _) => gelu_exact(&self.fc1.apply(&h)?)?,
        };
        let sum = (x + dropped(self.fc2.apply(&inner)?, dropout)?)?;
        match config.norm {
            NormPlace::Before => Ok(sum),
            NormPlace::After => self.ffn_norm.apply(&sum, epsilon),
        }
    }
}
