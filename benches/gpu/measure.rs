//! What benches/gpu/run.py runs: whether a GPU computes what the CPU computes, and how fast. One process per figure.
//!
//! ```sh
//! cargo bench --features cuda --bench gpu -- cuda:0 f32 check
//! cargo bench --features cuda --bench gpu -- cuda:0 bf16 pretrain 2000 16
//! ```
//!
//! prints TSV `what size precision seconds tokens_per_second flop_per_second`: the median of several runs, each waited for.
//! FLOP are those of the products with the weights alone: 2 per weight and token forward, 6 with the gradient. With
//! `tiny` at the end everything is small, so that the benchmark itself can be tried on the CPU.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use candle_core::{DType, Device, Tensor, Var};
use rnaret::cli::{DeviceArgs, Precision};
use rnaret::decode::base_pairs::PairRules;
use rnaret::model::device::{Compute, Purpose, select};
use rnaret::model::heads::fold::FoldHead;
use rnaret::model::heads::helix_pairs::{Facts, HelixPairs};
use rnaret::model::ops::dropout::Dropout;
use rnaret::model::retention::operation::retention;
use rnaret::model::{
    Encode, Encoder, EncoderConfig, HeadConfig, HeadKind, Input, ModelConfig, Parameters, RetentionConfig, Task,
    initialise,
};
use rnaret::sequence::Tokenizer;
use rnaret::sequence::masking::Masked;
use rnaret::structure::Structure;
use rnaret::thermodynamics::Conditions;
use rnaret::train::data::coding::CodingRecord;
use rnaret::train::data::fold::FoldRecord;
use rnaret::train::data::mirtarget::MirtargetRecord;
use rnaret::train::data::pretrain::PretrainExample;
use rnaret::train::gradients::{Contribution, StepSum};
use rnaret::train::objective::Objective;
use rnaret::train::objective::coding::Coding;
use rnaret::train::objective::fold::Fold;
use rnaret::train::objective::mirtarget::Mirtarget;
use rnaret::train::objective::pretrain::Pretrain;
use rnaret::train::optimiser::{AdamW, AdamWSettings};

/// How far a tensor may be from the CPU's, relative to its length, in f32 and in bf16.
const TOLERANCES: (f64, f64) = (1e-3, 3e-2);

/// The same for gradients: a ReLU close to zero passes in one precision and not in the other.
const GRADIENT_TOLERANCES: (f64, f64) = (1e-3, 0.3);

const SETTINGS: AdamWSettings =
    AdamWSettings { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.01, clip_norm: 1.0, ema_decay: 0.0 };

fn sequence(length: usize, seed: usize) -> Vec<u8> {
    let mut state = seed as u64 + 1;
    let mut letter = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        b"ACGU"[(state >> 60) as usize % 4]
    };
    (0..length).map(|_| letter()).collect()
}

fn example(length: usize, seed: usize) -> PretrainExample {
    let tokens = Tokenizer::new(1).unwrap().encode(&sequence(length, seed));
    let labels = tokens.iter().enumerate().map(|(i, token)| (i % 7 == seed % 7).then_some(*token)).collect();
    PretrainExample { id: format!("r{seed}"), masked: Masked { tokens, labels } }
}

fn variables(parameters: &Parameters, device: &Device) -> BTreeMap<String, Var> {
    let variable = |tensor: &Tensor| Var::from_tensor(&tensor.to_device(device).unwrap()).unwrap();
    parameters.iter().map(|(name, tensor)| (name.clone(), variable(tensor))).collect()
}

/// The gradient of `examples`, as training computes it.
fn gradient<O: Objective>(
    objective: &O,
    config: &ModelConfig,
    compute: &Compute,
    variables: &BTreeMap<String, Var>,
    examples: &[&O::Example],
) -> Contribution {
    let parameters: Parameters = variables
        .iter()
        .map(|(name, variable)| (name.clone(), variable.as_tensor().to_dtype(compute.precision).unwrap()))
        .collect();
    let loss = objective.loss(config, &parameters, examples, &mut Dropout::new(0.1, 5)).unwrap();
    let store = loss.surrogate.backward().unwrap();
    let list: Vec<Var> = variables.values().cloned().collect();
    Contribution::new(loss.loss, loss.weight, loss.tokens, &list, store)
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    tensor
        .to_dtype(DType::F32)
        .unwrap()
        .flatten_all()
        .unwrap()
        .to_vec1::<f32>()
        .unwrap()
        .iter()
        .map(|x| f64::from(*x))
        .collect()
}

/// Length of the difference beside the length of what is expected.
fn error(ours: &Tensor, expected: &Tensor) -> f64 {
    let (ours, expected) = (numbers(ours), numbers(expected));
    assert_eq!(ours.len(), expected.len());
    let length = |squares: f64| squares.sqrt();
    let difference = length(ours.iter().zip(&expected).map(|(a, b)| (a - b) * (a - b)).sum());
    let error = difference / length(expected.iter().map(|x| x * x).sum()).max(1e-20);
    if error.is_nan() { f64::INFINITY } else { error }
}

/// Prints how far something is from the CPU; false where that is too far.
fn report(what: &str, compute: &Compute, error: f64) -> bool {
    let tolerances = if what.contains("gradients") { GRADIENT_TOLERANCES } else { TOLERANCES };
    let (name, tolerance) = match compute.precision {
        DType::F32 => ("f32", tolerances.0),
        _ => ("bf16", tolerances.1),
    };
    let good = error <= tolerance;
    println!("{what}\t{name}\t{error:.2e}\t{}", if good { "ok" } else { "WRONG" });
    good
}

/// Loss, gradients and one step of the optimiser, beside the CPU's.
fn compare<O: Objective>(
    name: &str,
    objective: O,
    config: &ModelConfig,
    compute: &Compute,
    examples: &[O::Example],
) -> bool {
    let examples: Vec<&O::Example> = examples.iter().collect();
    let start = initialise(config, 7).unwrap();
    let mut steps = Vec::new();
    for compute in [&Compute::CPU, compute] {
        let all = variables(&start, &compute.device);
        let contribution = gradient(&objective, config, compute, &all, &examples);
        let (loss, kept) = (contribution.loss, contribution.gradients.clone());
        let mut sum = StepSum::new(all.len());
        sum.add(0, vec![contribution]).unwrap();
        let mut optimiser = AdamW::new(all, SETTINGS).unwrap();
        let norm = optimiser.step(&sum, 1e-3).unwrap();
        steps.push((loss, kept, norm, optimiser.weights()));
    }
    let (cpu, device) = (&steps[0], &steps[1]);
    let mut good = report(&format!("{name} loss"), compute, (cpu.0 - device.0).abs() / cpu.0.abs());
    let mut worst = (0.0, "");
    for ((variable, expected), ours) in start.keys().zip(&cpu.1).zip(&device.1) {
        let (Some(expected), Some(ours)) = (expected, ours) else {
            println!("{name} {variable}\t\t\tNO GRADIENT");
            good = false;
            continue;
        };
        let error = error(ours, expected);
        if error > worst.0 {
            worst = (error, variable);
        }
    }
    good &= report(&format!("{name} gradients, at most that of {}", worst.1), compute, worst.0);
    good &= report(&format!("{name} norm of the gradient"), compute, (cpu.2 - device.2).abs() / cpu.2);
    let moved = start.keys().map(|name| error(&device.3[name], &cpu.3[name])).fold(0.0, f64::max);
    good & report(&format!("{name} weights after a step"), compute, moved)
}

/// Everything that a device computes, beside the CPU.
fn check(compute: &Compute, tiny: bool) -> bool {
    let mut good = true;
    let size = |task, head| {
        let sizes = RetentionConfig { width: 48, value_width: 64, ffn_width: 40, layers: 2, ..Default::default() };
        ModelConfig::new(sizes, HeadConfig::new(task, head, 3, 24).unwrap())
    };
    let published = HeadKind::Published;
    let lengths: &[usize] = if tiny { &[30, 70] } else { &[1, 63, 64, 65, 300, 1000] };
    let texts: Vec<PretrainExample> =
        lengths.iter().enumerate().map(|(i, length)| example((*length).max(8), i)).collect();
    good &= compare("pretrain", Pretrain, &size(Task::Pretrain, published), compute, &texts);
    let hairpin = |length: usize, seed| {
        let mut letters = sequence(length, seed);
        let mut partners = vec![None; length];
        for i in 0..length / 3 {
            let j = length - 1 - i;
            (letters[i], letters[j]) = (b'G', b'C');
            (partners[i], partners[j]) = (Some(j), Some(i));
        }
        Structure { id: format!("s{seed}"), sequence: letters, partners }
    };
    let structures: Vec<FoldRecord> = (0..2).map(|i| hairpin(if tiny { 14 } else { 60 + 37 * i }, i).into()).collect();
    for (head, name) in [(published, "fold (published head)"), (HeadKind::Helices, "fold (helices head)")] {
        let objective = Fold { positive_weight: 10.0, rules: PairRules::default(), known: None };
        good &= compare(name, objective, &size(Task::Fold, head), compute, &structures);
    }
    let transcript = |i: usize| {
        let letters = sequence(if tiny { 60 } else { 200 + 150 * i }, i);
        CodingRecord {
            id: format!("t{i}"),
            locus: String::new(),
            sequence: letters,
            cds: (i > 0).then_some(9..42),
            messenger: i > 0,
            bases_known: true,
            species: String::new(),
        }
    };
    let transcripts: Vec<CodingRecord> = (0..3).map(transcript).collect();
    for (head, name) in [(published, "coding (published head)"), (HeadKind::Frames, "coding (frames head)")] {
        let objective = Coding { record_weight: 1.0, calibration: None, detailed: false };
        good &= compare(name, objective, &size(Task::Coding, head), compute, &transcripts);
    }
    let pair = |i: usize| MirtargetRecord {
        id: format!("p{i}"),
        mirna_name: "m".into(),
        mirna: sequence(22, i),
        target: sequence(40, 100 + i),
        label: i.is_multiple_of(2),
    };
    let pairs: Vec<MirtargetRecord> = (0..6).map(pair).collect();
    good &= compare("mirtarget", Mirtarget::default(), &size(Task::Mirtarget, published), compute, &pairs);

    // The published size, short and long, and both fold heads' maps.
    let config = if tiny { size(Task::Fold, published) } else { ModelConfig::published(Task::Fold, 1) };
    for head in [published, HeadKind::Helices] {
        let (blocks, width) = config.head.sizes();
        let head_config = HeadConfig::new(Task::Fold, head, blocks, width).unwrap();
        let config = ModelConfig { head: head_config, ..config.clone() };
        let start = initialise(&config, 3).unwrap();
        let lengths: &[usize] = if tiny { &[40] } else { &[64, 700, 5000] };
        for &length in lengths {
            let letters = sequence(length, length);
            let both: Vec<(Tensor, Option<Tensor>)> = [&Compute::CPU, compute]
                .into_iter()
                .map(|compute| {
                    let parameters = compute.place(&start).unwrap();
                    let features = Encoder::new(&config, &parameters)
                        .unwrap()
                        .for_inference()
                        .unwrap()
                        .features(&[Input::Letters(&letters)])
                        .unwrap();
                    let map = (length <= 700).then(|| {
                        let head = FoldHead::new(&config, &parameters).unwrap().for_inference(None).unwrap();
                        let map = head
                            .logits(features.rows(), &letters, &head.facts(&letters, Conditions::default()).unwrap())
                            .unwrap();
                        let rows: Vec<f32> = (0..length).flat_map(|j| map.row(j).to_vec()).collect();
                        Tensor::new(rows, &Device::Cpu).unwrap()
                    });
                    (features.rows().clone(), map)
                })
                .collect();
            if head == published {
                good &= report(&format!("features of {length} nt"), compute, error(&both[1].0, &both[0].0));
            }
            if let (Some(expected), Some(ours)) = (&both[0].1, &both[1].1) {
                good &= report(&format!("fold map of {length} nt, {head:?} head"), compute, error(ours, expected));
            }
        }
    }
    good
}

fn median(device: &Device, mut work: impl FnMut()) -> f64 {
    work();
    device.synchronize().unwrap();
    let mut seconds = Vec::new();
    while seconds.len() < 3 || (seconds.iter().sum::<f64>() < 3.0 && seconds.len() < 30) {
        let start = Instant::now();
        work();
        device.synchronize().unwrap();
        seconds.push(start.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

/// Weights that every token is multiplied with.
fn weights_per_token(config: &ModelConfig) -> f64 {
    let EncoderConfig::Retention(RetentionConfig { width: d, value_width: v, ffn_width: f, layers, .. }) =
        config.encoder
    else {
        panic!("a retention encoder")
    };
    (layers * (2 * d * d + 3 * d * v + 3 * d * f)) as f64
}

fn row(what: &str, size: &str, compute: &Compute, seconds: f64, tokens: f64, flop: f64) {
    let precision = if compute.precision == DType::F32 { "f32" } else { "bf16" };
    println!("{what}\t{size}\t{precision}\t{seconds:.6}\t{:.6e}\t{:.6e}", tokens / seconds, flop / seconds);
}

fn measure(what: &str, sizes: &[usize], compute: &Compute, tiny: bool) {
    let task = if what.starts_with("fold") { Task::Fold } else { Task::Pretrain };
    let mut config = ModelConfig::published(task, 1);
    if tiny {
        let sizes = RetentionConfig { width: 32, value_width: 32, ffn_width: 32, layers: 2, ..Default::default() };
        let (blocks, width) = config.head.sizes();
        config = ModelConfig::new(sizes, config.head.with_sizes(blocks.min(2), width));
    }
    let (length, count) = (sizes[0], sizes.get(1).copied().unwrap_or(1));
    let tokens = (length * count) as f64;
    let device = &compute.device;
    let sequences: Vec<Vec<u8>> = (0..count).map(|i| sequence(length, i)).collect();
    let inputs: Vec<Input> = sequences.iter().map(|letters| Input::Letters(letters)).collect();
    match what {
        // One update: forward, backward, AdamW.
        "pretrain" => {
            let variables = variables(&initialise(&config, 1).unwrap(), device);
            let mut optimiser = AdamW::new(variables.clone(), SETTINGS).unwrap();
            let examples: Vec<PretrainExample> = (0..count).map(|i| example(length, i)).collect();
            let examples: Vec<&PretrainExample> = examples.iter().collect();
            let seconds = median(device, || {
                let contribution = gradient(&Pretrain, &config, compute, &variables, &examples);
                let mut sum = StepSum::new(variables.len());
                sum.add(0, vec![contribution]).unwrap();
                optimiser.step(&sum, 1e-4).unwrap();
            });
            row(
                what,
                &format!("{count}x{length}"),
                compute,
                seconds,
                tokens,
                6.0 * weights_per_token(&config) * tokens,
            );
        }
        "embed" => {
            let parameters = compute.place(&initialise(&config, 1).unwrap()).unwrap();
            let encoder = Encoder::new(&config, &parameters).unwrap().for_inference().unwrap();
            let seconds = median(device, || {
                encoder.features(&inputs).unwrap();
            });
            row(
                what,
                &format!("{count}x{length}"),
                compute,
                seconds,
                tokens,
                2.0 * weights_per_token(&config) * tokens,
            );
        }
        "fold-published" | "fold-helices" => {
            if what == "fold-helices" {
                config.head = HeadConfig::new(Task::Fold, HeadKind::Helices, 8, 64).unwrap();
            }
            let parameters = compute.place(&initialise(&config, 1).unwrap()).unwrap();
            let encoder = Encoder::new(&config, &parameters).unwrap().for_inference().unwrap();
            let head = FoldHead::new(&config, &parameters).unwrap().for_inference(None).unwrap();
            let letters = sequence(length, 0);
            let seconds = median(device, || {
                head.logits(
                    encoder.features(&inputs).unwrap().rows(),
                    &letters,
                    &head.facts(&letters, Conditions::default()).unwrap(),
                )
                .unwrap();
            });
            // 9 + 2 (published) or 9 + 1 taps per channel and pair; the map of the published head is whole.
            let (taps, pairs) = match what == "fold-helices" {
                true => (
                    10,
                    HelixPairs::new(&letters, &Facts::new(&letters, None, Conditions::default()).unwrap())
                        .list()
                        .count(),
                ),
                false => (11, length * length),
            };
            let (blocks, width) = config.head.sizes();
            row(
                what,
                &length.to_string(),
                compute,
                seconds,
                tokens,
                2.0 * (taps * width * width * pairs * blocks) as f64,
            );
        }
        // The retention alone, 4 heads of 96 and 128: ours, and the L x L form in candle's own operations.
        "retention" | "retention-quadratic" => {
            let draw = |width: usize| {
                Tensor::randn(0f32, 1.0, (length * count, width), device).unwrap().to_dtype(compute.precision).unwrap()
            };
            let (q, k, v) = (draw(384), draw(384), draw(512));
            let offsets = Arc::new((0..=count).map(|i| i * length).collect::<Vec<_>>());
            let seconds = median(device, || {
                if what == "retention" {
                    retention(&q, &k, &v, &offsets, 4).unwrap();
                } else {
                    quadratic(&q, &k, &v, length, count).unwrap();
                }
            });
            row(what, &format!("{count}x{length}"), compute, seconds, tokens, 0.0);
        }
        // The ceiling: one large product.
        "matmul" => {
            let draw =
                || Tensor::randn(0f32, 1.0, (length, length), device).unwrap().to_dtype(compute.precision).unwrap();
            let (a, b) = (draw(), draw());
            let seconds = median(device, || {
                for _ in 0..10 {
                    a.matmul(&b).unwrap();
                }
            });
            row(what, &length.to_string(), compute, seconds / 10.0, 0.0, 2.0 * (length as f64).powi(3));
        }
        other => panic!("{other} is no measurement"),
    }
}

/// The retention by L x L matrices, [sequences, heads, L, L] at a time.
fn quadratic(q: &Tensor, k: &Tensor, v: &Tensor, length: usize, count: usize) -> candle_core::Result<Tensor> {
    let split = |x: &Tensor| x.reshape((count, length, 4, ()))?.transpose(1, 2)?.contiguous();
    let (q, k, v) = (split(q)?, split(k)?, split(v)?);
    let positions = Tensor::arange(0f32, length as f32, q.device())?;
    let apart = positions.unsqueeze(1)?.broadcast_sub(&positions.unsqueeze(0)?)?.abs()?;
    let logarithms: Vec<f32> = (0..4).map(|head| (1.0 - 2f32.powi(-5 - head)).ln()).collect();
    let logarithms = Tensor::new(logarithms, q.device())?.reshape((4, 1, 1))?;
    let decay = apart.unsqueeze(0)?.broadcast_mul(&logarithms)?.exp()?;
    let decay = decay.broadcast_div(&decay.sum_keepdim(2)?.sqrt()?)?.to_dtype(q.dtype())?;
    let a = q.matmul(&k.transpose(2, 3)?.contiguous()?)?.broadcast_mul(&decay)?;
    let sums = a.sum_keepdim(3)?.abs()?.maximum(1.0)?;
    a.broadcast_div(&sums)?.matmul(&v)
}

fn main() {
    // Cargo adds a flag of its own.
    let mut arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let tiny = arguments.last().is_some_and(|last| last == "tiny");
    if tiny {
        arguments.pop();
    }
    let [device, precision, what, sizes @ ..] = arguments.as_slice() else { return };
    rnaret::cli::keep_tensors_on_their_thread();
    let precision = if precision == "bf16" { Precision::Bf16 } else { Precision::F32 };
    let asked = DeviceArgs { device: device.parse().expect("a device"), precision: Some(precision) };
    let compute = select(asked, Purpose::Inference).unwrap_or_else(|error| {
        eprintln!("{error}");
        std::process::exit(1)
    });
    let pool = rayon::ThreadPoolBuilder::new().num_threads(rnaret::cli::default_threads()).build().unwrap();
    pool.install(|| {
        if what == "check" {
            println!("what\tprecision\trelative_difference\tverdict");
            if !check(&compute, tiny) {
                std::process::exit(1);
            }
        } else {
            let sizes: Vec<usize> = sizes.iter().map(|size| size.parse().expect("a size")).collect();
            measure(what, &sizes, &compute, tiny);
        }
    });
}
