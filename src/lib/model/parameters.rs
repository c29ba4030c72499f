//! The named tensors of a model: which there are, what shape each has, and how each starts.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::config::{HeadKind, ModelConfig, Task};
use super::heads::duplex::DUPLEX_FEATURES;
use super::heads::frames::{FRAME_FEATURES, TRANSCRIPT_FEATURES};
use super::heads::helices::{VOICES, exchanges};
use super::heads::helix_pairs::pair_features;
use crate::Result;

/// Tensors by name. Names are those of the published weights.
pub type Parameters = BTreeMap<String, Tensor>;

/// How a tensor is drawn before training.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Start {
    /// All ones.
    One,
    /// Normal with this standard deviation.
    Normal(f64),
    /// Uniform up to gain x sqrt(6 / (in + out)).
    Xavier(f64),
    /// Uniform up to 1 / sqrt(in), where `in` counts the kernel too: the usual start of linear layers and convolutions.
    FanIn(usize),
}

/// One tensor that a model must have.
#[derive(Clone, Debug)]
struct Wanted {
    name: String,
    shape: Vec<usize>,
    start: Start,
}

/// What stands before the backbone's names in the weights of a task.
pub fn backbone_prefix(task: Task) -> &'static str {
    match task {
        Task::Pretrain => "",
        Task::Fold | Task::Coding | Task::Mirtarget => "ret.",
    }
}

/// Names and shapes of all tensors of a model, in a fixed order.
pub fn shapes(config: &ModelConfig) -> Vec<(String, Vec<usize>)> {
    wanted(config).into_iter().map(|wanted| (wanted.name, wanted.shape)).collect()
}

fn wanted(config: &ModelConfig) -> Vec<Wanted> {
    let mut list = Vec::new();
    let prefix = backbone_prefix(config.task);
    let mut add =
        |name: String, shape: &[usize], start: Start| list.push(Wanted { name, shape: shape.to_vec(), start });
    let (d, value, ffn, vocabulary) = (config.embed_dim, config.value_dim, config.ffn_dim, config.vocabulary_size());
    // The published start: queries, keys, values and gates small, so that a layer begins close to the identity.
    let small = Start::Xavier(2f64.powf(-2.5));
    add(format!("{prefix}embed_tokens.weight"), &[vocabulary, d], Start::Normal(1.0));
    add(format!("{prefix}output_projection.weight"), &[vocabulary, d], Start::Normal((d as f64).powf(-0.5)));
    for layer in 0..config.layers {
        let layer = format!("{prefix}layers.{layer}");
        add(format!("{layer}.retention.q_proj.weight"), &[d, d], small);
        add(format!("{layer}.retention.k_proj.weight"), &[d, d], small);
        add(format!("{layer}.retention.v_proj.weight"), &[value, d], small);
        add(format!("{layer}.retention.g_proj.weight"), &[value, d], small);
        add(format!("{layer}.retention.out_proj.weight"), &[d, value], Start::Xavier(1.0));
        add(format!("{layer}.retention_layer_norm.weight"), &[d], Start::One);
        add(format!("{layer}.ffn.fc1.weight"), &[ffn, d], Start::FanIn(d));
        add(format!("{layer}.ffn.fc2.weight"), &[d, ffn], Start::FanIn(ffn));
        add(format!("{layer}.ffn.gate.weight"), &[ffn, d], Start::FanIn(d));
        add(format!("{layer}.final_layer_norm.weight"), &[d], Start::One);
    }
    add(format!("{prefix}layer_norm.weight"), &[d], Start::One);
    let mut add_with_bias = |name: &str, shape: &[usize]| {
        let fan_in = shape[1..].iter().product();
        add(format!("classifier.{name}.weight"), shape, Start::FanIn(fan_in));
        add(format!("classifier.{name}.bias"), &shape[..1], Start::FanIn(fan_in));
    };
    let width = config.head_width;
    match config.task {
        Task::Pretrain => {}
        Task::Fold if config.head == HeadKind::Helices => {
            add_with_bias("pair.features", &[width, pair_features(config.relatives)]);
            add_with_bias("pair.first", &[width, d]);
            add_with_bias("pair.second", &[width, d]);
            for block in 0..config.head_blocks {
                add_with_bias(&format!("blocks.{block}.convolution"), &[width, width, 3, 3]);
                add_with_bias(&format!("blocks.{block}.pointwise"), &[width, width]);
            }
            for exchange in 0..exchanges(config.head_blocks) {
                add_with_bias(&format!("exchanges.{exchange}.values"), &[width, width]);
                add_with_bias(&format!("exchanges.{exchange}.state"), &[width, width + VOICES]);
                add_with_bias(&format!("exchanges.{exchange}.first"), &[width, width]);
                add_with_bias(&format!("exchanges.{exchange}.second"), &[width, width]);
            }
            add_with_bias("out", &[1, width]);
        }
        Task::Coding if config.head == HeadKind::Frames => {
            add_with_bias("frames", &[width, FRAME_FEATURES]);
            add_with_bias("features", &[width, d]);
            for block in 0..config.head_blocks {
                add_with_bias(&format!("blocks.{block}.convolution"), &[width, width, 7]);
                add_with_bias(&format!("blocks.{block}.pointwise"), &[width, width]);
            }
            add_with_bias("transcript.0", &[width, 2 * width + TRANSCRIPT_FEATURES]);
            add_with_bias("transcript.2", &[1, width]);
            add_with_bias("out", &[1, width]);
        }
        Task::Fold => {
            add_with_bias("linear_in", &[width, 2 * d]);
            for block in 0..config.head_blocks {
                add_with_bias(&format!("resnet.blocks.{block}.conv_net.0"), &[width, width, 1, 1]);
                add_with_bias(&format!("resnet.blocks.{block}.conv_net.2"), &[width, width, 3, 3]);
                add_with_bias(&format!("resnet.blocks.{block}.conv_net.4"), &[width, width, 1, 1]);
            }
            add_with_bias("conv_out", &[1, width, 3, 3]);
        }
        Task::Coding => {
            add_with_bias("linear_in", &[width, d]);
            for block in 0..config.head_blocks {
                add_with_bias(&format!("resnet.blocks.{block}.conv_net.0"), &[width, width, 1]);
                add_with_bias(&format!("resnet.blocks.{block}.conv_net.2"), &[width, width, 7]);
                add_with_bias(&format!("resnet.blocks.{block}.conv_net.4"), &[width, width, 1]);
            }
            add_with_bias("conv_out", &[1, width, 3]);
        }
        Task::Mirtarget if config.head == HeadKind::Duplex => {
            add_with_bias("cells.features", &[width, DUPLEX_FEATURES]);
            add_with_bias("cells.mirna", &[width, d]);
            add_with_bias("cells.site", &[width, d]);
            for block in 0..config.head_blocks {
                add_with_bias(&format!("blocks.{block}.convolution"), &[width, width, 3, 3]);
                add_with_bias(&format!("blocks.{block}.pointwise"), &[width, width]);
            }
            add_with_bias("pair.0", &[d, 2 * width + 2 * d]);
            add_with_bias("pair.2", &[2, d]);
        }
        Task::Mirtarget => {
            add_with_bias("0", &[d, d]);
            add_with_bias("2", &[2, d]);
        }
    }
    if config.head != HeadKind::Published {
        for block in 0..config.head_blocks {
            add(format!("classifier.blocks.{block}.norm.weight"), &[width], Start::One);
        }
        add("classifier.norm.weight".into(), &[width], Start::One);
    }
    if config.head == HeadKind::Helices {
        for exchange in 0..exchanges(config.head_blocks) {
            add(format!("classifier.exchanges.{exchange}.norm.weight"), &[width], Start::One);
            add(format!("classifier.exchanges.{exchange}.loudness.weight"), &[VOICES, width], Start::FanIn(width));
        }
    }
    list
}

/// Parameters as training starts from them: drawn from `seed`, the same on every platform.
///
/// # Errors
/// Where the configuration does not hold together.
pub fn initialise(config: &ModelConfig, seed: u64) -> Result<Parameters> {
    config.validate()?;
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut parameters = Parameters::new();
    for Wanted { name, shape, start } in wanted(config) {
        let count = shape.iter().product::<usize>();
        let mut uniform =
            |bound: f64| (0..count).map(|_| random.random_range(-bound..bound) as f32).collect::<Vec<_>>();
        let values = match start {
            Start::One => vec![1.0; count],
            Start::Xavier(gain) => uniform(gain * (6.0 / (shape[0] + shape[1]) as f64).sqrt()),
            Start::FanIn(fan_in) => uniform(1.0 / (fan_in as f64).sqrt()),
            Start::Normal(deviation) => normal(&mut random, count, deviation),
        };
        parameters.insert(name, Tensor::from_vec(values, shape, &Device::Cpu)?);
    }
    Ok(parameters)
}

/// Normal numbers by the Box-Muller transform.
fn normal(random: &mut ChaCha8Rng, count: usize, deviation: f64) -> Vec<f32> {
    let mut values = Vec::with_capacity(count + 1);
    while values.len() < count {
        let radius = (-2.0 * (1.0 - random.random::<f64>()).ln()).sqrt() * deviation;
        let (sine, cosine) = (std::f64::consts::TAU * random.random::<f64>()).sin_cos();
        values.push((radius * cosine) as f32);
        values.push((radius * sine) as f32);
    }
    values.truncate(count);
    values
}
