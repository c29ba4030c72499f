//! The retention: equal to the quadratic form at every length, chunk size and packing, and so are its gradients.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor, Var};
use proptest::prelude::*;
use rnaret::format::dot_bracket::parse_structure_line;
use rnaret::homologs::KnownStructures;
use rnaret::model::retention::kernel::{decay, decay_roots, decay_total};
use rnaret::model::retention::operation::{retention, retention_in_chunks};
use rnaret::model::{Encode, Encoder, HeadConfig, HeadKind, Input, ModelConfig, RetentionConfig, Task, initialise};
use rnaret::structure::Structure;

const HEADS: usize = 2;
const KEY_WIDTH: usize = 4;
const VALUE_WIDTH: usize = 3;

fn numbers(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |largest, x| f64::max(largest, x.abs()))
}

fn difference(a: &Tensor, b: &Tensor) -> f64 {
    let (a, b) = (numbers(a), numbers(b));
    assert_eq!(a.len(), b.len());
    let worst = a.iter().zip(&b).fold(0.0, |worst, (a, b)| f64::max(worst, (a - b).abs()));
    worst / largest(&b).max(1e-30)
}

/// Uniform numbers, reproducible.
fn random(shape: (usize, usize), scale: f64, seed: u64) -> Tensor {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let values: Vec<f64> = (0..shape.0 * shape.1)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            ((state >> 11) as f64 / (1u64 << 53) as f64 - 0.5) * 2.0 * scale
        })
        .collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn inputs(tokens: usize, scale: f64, seed: u64) -> [Tensor; 3] {
    [
        random((tokens, HEADS * KEY_WIDTH), scale, seed),
        random((tokens, HEADS * KEY_WIDTH), scale, seed + 1),
        random((tokens, HEADS * VALUE_WIDTH), 1.0, seed + 2),
    ]
}

/// The L x L form as published, of one sequence, in candle's own operations: gradients by its autograd, with the
/// denominators detached.
fn quadratic(queries: &Tensor, keys: &Tensor, values: &Tensor) -> candle_core::Result<Tensor> {
    let length = queries.dim(0)?;
    let mut heads = Vec::new();
    for head in 0..HEADS {
        let gamma = decay(head);
        let q = queries.narrow(1, head * KEY_WIDTH, KEY_WIDTH)?.contiguous()?;
        let k = keys.narrow(1, head * KEY_WIDTH, KEY_WIDTH)?.contiguous()?;
        let v = values.narrow(1, head * VALUE_WIDTH, VALUE_WIDTH)?.contiguous()?;
        let mask: Vec<f64> =
            (0..length * length).map(|i| gamma.powi((i / length).abs_diff(i % length) as i32)).collect();
        let mask = Tensor::from_vec(mask, (length, length), queries.device())?;
        let mask = mask.broadcast_div(&mask.sum_keepdim(1)?.sqrt()?)?.to_dtype(queries.dtype())?;
        let a = (q.matmul(&k.t()?.contiguous()?)? * mask)?;
        let divisor = a.detach().sum_keepdim(1)?.abs()?.clamp(1.0, f64::MAX)?;
        heads.push(a.broadcast_div(&divisor)?.matmul(&v)?);
    }
    Tensor::cat(&heads, 1)
}

/// The quadratic form of every sequence by itself.
fn quadratic_packed(inputs: &[Tensor; 3], offsets: &[usize]) -> Tensor {
    let parts: Vec<Tensor> = offsets
        .windows(2)
        .filter(|bounds| bounds[0] < bounds[1])
        .map(|bounds| {
            let part = |t: &Tensor| t.narrow(0, bounds[0], bounds[1] - bounds[0]).unwrap();
            quadratic(&part(&inputs[0]), &part(&inputs[1]), &part(&inputs[2])).unwrap()
        })
        .collect();
    Tensor::cat(&parts, 0).unwrap()
}

fn offsets(lengths: &[usize]) -> Arc<Vec<usize>> {
    let mut offsets = vec![0];
    offsets.extend(lengths.iter().scan(0, |sum, length| {
        *sum += length;
        Some(*sum)
    }));
    Arc::new(offsets)
}

#[test]
fn closed_form_of_the_decay_total() {
    for head in 0..4 {
        for length in [1usize, 2, 7, 300] {
            for n in 0..length {
                let sum: f64 = (0..length).map(|m| decay(head).powi(n.abs_diff(m) as i32)).sum();
                assert!((decay_total(decay(head), n, length) - sum).abs() < 1e-9 * sum);
                let root = decay_roots(decay(head), n, 1, length)[0];
                assert!((root - sum.sqrt()).abs() < 1e-9 * sum);
                assert!((decay_roots(decay(head), 0, length, length)[n] - sum.sqrt()).abs() < 1e-9 * sum);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Any length, any chunk size: the quadratic form.
    #[test]
    fn any_length_and_chunk(length in 1usize..700, chunk in 1usize..400, scale in 0.1f64..6.0, seed in 0u64..1000) {
        let [q, k, v] = inputs(length, scale, seed);
        let ours = retention_in_chunks(&q, &k, &v, &offsets(&[length]), HEADS, Some(chunk)).unwrap();
        prop_assert!(difference(&ours, &quadratic(&q, &k, &v).unwrap()) < 1e-12);
    }

    /// Any packing: every sequence as if it were alone, to the last bit.
    #[test]
    fn any_packing(lengths in prop::collection::vec(0usize..300, 1..8), seed in 0u64..1000) {
        let offsets = offsets(&lengths);
        let tokens = offsets[lengths.len()];
        prop_assume!(tokens > 0);
        let inputs = inputs(tokens, 1.0, seed).map(|t| t.to_dtype(DType::F32).unwrap());
        let packed = retention(&inputs[0], &inputs[1], &inputs[2], &offsets, HEADS).unwrap();
        for bounds in offsets.windows(2).filter(|bounds| bounds[0] < bounds[1]) {
            let length = bounds[1] - bounds[0];
            let part = |t: &Tensor| t.narrow(0, bounds[0], length).unwrap();
            let one = Arc::new(vec![0, length]);
            let alone = retention(&part(&inputs[0]), &part(&inputs[1]), &part(&inputs[2]), &one, HEADS).unwrap();
            prop_assert_eq!(numbers(&part(&packed)), numbers(&alone));
        }
    }

    /// The encoder gives a sequence the same bits alone, packed, and in whatever order; long ones in blocks too.
    #[test]
    fn features_do_not_depend_on_the_batch(lengths in prop::collection::vec(1usize..700, 1..6), seed in 0u64..100) {
        let sizes =
            RetentionConfig { k: 3, width: 16, value_width: 24, ffn_width: 20, layers: 2, heads: 2, ..Default::default() };
        let config = ModelConfig::new(sizes, HeadConfig::LanguageModel);
        let encoder = Encoder::new(&config, &initialise(&config, seed).unwrap()).unwrap().for_inference().unwrap();
        let sequences: Vec<Vec<u32>> = lengths
            .iter()
            .enumerate()
            .map(|(i, &length)| (0..length).map(|n| ((n * 31 + i * 17 + n * n) % 70) as u32).collect())
            .collect();
        let inputs: Vec<Input> = sequences.iter().map(|sequence| Input::Tokens(sequence)).collect();
        let together = encoder.features(&inputs).unwrap();
        let reversed: Vec<Input> = inputs.iter().rev().copied().collect();
        let turned = encoder.features(&reversed).unwrap();
        let single_thread = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        for (i, input) in inputs.iter().enumerate() {
            let alone = single_thread.install(|| encoder.features(&[*input]).unwrap());
            prop_assert_eq!(numbers(&together.of(i).unwrap()), numbers(alone.rows()));
            prop_assert_eq!(numbers(&turned.of(inputs.len() - 1 - i).unwrap()), numbers(alone.rows()));
            // The differentiable pass, which has no blocks, agrees up to rounding.
            let forward = encoder.forward(&[*input], None).unwrap();
            prop_assert!(difference(alone.rows(), forward.rows()) < 2e-5);
        }
    }
}

/// Long sequences in f32, as they are computed in practice.
#[test]
fn long_sequences() {
    for length in [1, 255, 256, 257, 384, 385, 1000, 2049, 3000] {
        let [q, k, v] = inputs(length, 2.0, length as u64);
        let exact = quadratic(&q, &k, &v).unwrap();
        let [q, k, v] = [q, k, v].map(|t| t.to_dtype(DType::F32).unwrap());
        let ours = retention(&q, &k, &v, &offsets(&[length]), HEADS).unwrap();
        let error = difference(&ours, &exact);
        assert!(error < 5e-6, "{length}: {error}");
    }
}

/// The gradients equal those of the quadratic form by candle's autograd.
#[test]
fn gradients_of_the_quadratic_form() {
    for (lengths, chunk) in [(vec![37], 8), (vec![5, 64, 0, 1, 33], 16), (vec![300], 128)] {
        let offsets = offsets(&lengths);
        let tokens = *offsets.last().unwrap();
        let inputs = inputs(tokens, 3.0, 5);
        let weight = random((tokens, HEADS * VALUE_WIDTH), 1.0, 11);
        let variables: Vec<Var> = inputs.iter().map(|t| Var::from_tensor(t).unwrap()).collect();
        let [q, k, v] = [0, 1, 2].map(|i| variables[i].as_tensor().clone());
        let ours = retention_in_chunks(&q, &k, &v, &offsets, HEADS, Some(chunk)).unwrap();
        let ours = (ours * &weight).unwrap().sum_all().unwrap().backward().unwrap();
        let reference = quadratic_packed(&[q, k, v], &offsets);
        let reference = (reference * &weight).unwrap().sum_all().unwrap().backward().unwrap();
        for (variable, name) in variables.iter().zip(["queries", "keys", "values"]) {
            let error = difference(ours.get(variable).unwrap(), reference.get(variable).unwrap());
            assert!(error < 1e-11, "{name}: {error}");
        }
    }
}

/// The gradients equal finite differences, where the denominators do not move: rows whose sums are small, so that the
/// denominator is the constant sqrt(Z).
#[test]
fn gradients_by_finite_differences() {
    let offsets = offsets(&[9, 14]);
    let inputs = inputs(23, 0.3, 3);
    let weight = random((23, HEADS * VALUE_WIDTH), 1.0, 4);
    let loss = |inputs: &[Tensor; 3]| -> f64 {
        let out = retention_in_chunks(&inputs[0], &inputs[1], &inputs[2], &offsets, HEADS, Some(4)).unwrap();
        (out * &weight).unwrap().sum_all().unwrap().to_scalar().unwrap()
    };
    let variables: Vec<Var> = inputs.iter().map(|t| Var::from_tensor(t).unwrap()).collect();
    let [q, k, v] = [0, 1, 2].map(|i| variables[i].as_tensor().clone());
    let out = retention_in_chunks(&q, &k, &v, &offsets, HEADS, Some(4)).unwrap();
    let gradients = (out * &weight).unwrap().sum_all().unwrap().backward().unwrap();
    for (which, variable) in variables.iter().enumerate() {
        let gradient = numbers(gradients.get(variable).unwrap());
        let base = numbers(&inputs[which]);
        for index in (0..base.len()).step_by(3) {
            let step = 1e-5;
            let mut ends = [1.0, -1.0].map(|sign| {
                let mut moved = base.clone();
                moved[index] += sign * step;
                let mut inputs = inputs.clone();
                inputs[which] = Tensor::from_vec(moved, inputs[which].shape(), &Device::Cpu).unwrap();
                loss(&inputs)
            });
            ends[0] -= ends[1];
            let slope = ends[0] / (2.0 * step);
            let error = (slope - gradient[index]).abs();
            assert!(error < 1e-6 * (1.0 + slope.abs()), "input {which}, number {index}: {slope} {}", gradient[index]);
        }
    }
}

/// Every weight of every task's model gets a gradient, and it is that of finite differences of the loss.
#[test]
fn every_weight_has_a_gradient() {
    use rnaret::model::heads::{
        bases::BasesHead,
        coding::CodingHead,
        fold::FoldHead,
        general::GeneralHead,
        mirtarget::{MirtargetHead, Pair},
        outputs::Outputs,
        sequence::SequenceHead,
    };
    for (task, head) in [
        (Task::Pretrain, HeadKind::Published),
        (Task::Fold, HeadKind::Published),
        (Task::Fold, HeadKind::Helices),
        (Task::Coding, HeadKind::Published),
        (Task::Coding, HeadKind::Frames),
        (Task::Mirtarget, HeadKind::Published),
        (Task::Mirtarget, HeadKind::Duplex),
        (Task::Classify, HeadKind::Convolutions),
        (Task::Regress, HeadKind::Convolutions),
        (Task::Label, HeadKind::Convolutions),
    ] {
        let letters = b"GGGAAACCCAUGG";
        let sizes =
            RetentionConfig { width: 16, value_width: 12, ffn_width: 10, layers: 2, heads: 2, ..Default::default() };
        let homologs = head == HeadKind::Helices;
        let names = vec!["a".to_string(), "b".to_string()];
        let outputs = match task {
            Task::Regress => Outputs::Values { names, means: vec![0.0; 2], deviations: vec![1.0; 2] },
            _ => Outputs::Classes { names },
        };
        let head = HeadConfig::new(task, head, 3, 6).unwrap().with_homologs(homologs).unwrap().with_outputs(outputs);
        let config = ModelConfig::new(sizes, head);
        let known = Structure {
            id: "homolog".into(),
            sequence: b"AGGGAAACCC".to_vec(),
            partners: parse_structure_line(b".(((...)))").unwrap(),
        };
        // Any likeness will do.
        let known = KnownStructures::new([known]).with_evalue(f64::INFINITY);
        let parameters = initialise(&config, 7).unwrap();
        let pairs = [Pair { mirna: b"GGA", site: b"UCC" }, Pair { mirna: b"U", site: b"AG" }];
        let inputs = match task {
            Task::Mirtarget => vec![pairs[0].input(), pairs[1].input()],
            _ => vec![Input::Tokens(&[6, 7, 8, 9, 9, 1, 6, 8]), Input::Tokens(&[7, 7, 9, 6, 3])],
        };
        let logits = |parameters: &rnaret::model::Parameters| -> Tensor {
            let encoder = Encoder::new(&config, parameters).unwrap();
            let features = encoder.forward(&inputs, None).unwrap();
            match task {
                Task::Pretrain => encoder.logits(&features, &(0..13).collect::<Vec<_>>()).unwrap(),
                Task::Fold => {
                    let head = FoldHead::new(&config, parameters).unwrap();
                    let (features, letters) = (features.of(0).unwrap(), &letters[..8]);
                    let facts = head.facts(letters, Some(&known)).unwrap();
                    assert_eq!(facts.homologs.len(), usize::from(homologs));
                    head.forward(&features, letters, &facts, 1.0).unwrap().unwrap().logits
                }
                Task::Coding => {
                    let head = CodingHead::new(&config, parameters).unwrap();
                    let logits = head.forward(&features, letters).unwrap();
                    match &logits.transcripts {
                        None => logits.bases,
                        Some(transcripts) => Tensor::cat(&[&logits.bases, transcripts], 0).unwrap(),
                    }
                }
                Task::Mirtarget => {
                    let head = MirtargetHead::new(&config, parameters).unwrap();
                    head.forward(&features, &pairs, None).unwrap()
                }
                Task::Classify | Task::Regress => {
                    SequenceHead::new(&config, parameters).unwrap().forward(&features, None).unwrap()
                }
                Task::Label => BasesHead::new(&config, parameters).unwrap().forward(&features, None).unwrap(),
            }
        };
        // The loss is a sum of logits with weights of either sign.
        let weight = |count: usize| (0..count).map(|index| (0.7 * index as f64).sin());
        let loss = |parameters: &rnaret::model::Parameters| -> Tensor {
            let logits = logits(parameters);
            let weight = weight(logits.elem_count()).map(|weight| weight as f32);
            let weight = Tensor::from_iter(weight, &Device::Cpu).unwrap().reshape(logits.shape()).unwrap();
            (logits * weight).unwrap().sum_all().unwrap()
        };
        let variables: std::collections::BTreeMap<String, Var> =
            parameters.iter().map(|(name, tensor)| (name.clone(), Var::from_tensor(tensor).unwrap())).collect();
        let tracked = variables.iter().map(|(name, var)| (name.clone(), var.as_tensor().clone())).collect();
        let gradients = loss(&tracked).backward().unwrap();
        for (name, variable) in &variables {
            let gradient = numbers(gradients.get(variable).unwrap_or_else(|| panic!("{task}: {name} has no gradient")));
            // The slope along the gradient itself is its squared length.
            let length = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
            let direction = gradients.get(variable).unwrap();
            assert!(length > 0.0, "{task} {name}: the gradient is zero");
            let moved = |step: f64| -> Vec<f64> {
                let mut parameters = parameters.clone();
                let shifted = (&parameters[name] + (direction * step).unwrap()).unwrap();
                parameters.insert(name.clone(), shifted);
                numbers(&logits(&parameters))
            };
            // Differences of logits, summed in f64: the loss itself has too few digits for the small slopes.
            let slope = |part: f64| -> f64 {
                let step = part / length * largest(&numbers(variable)).min(1.0);
                let (up, down) = (moved(step), moved(-step));
                let differences = up.iter().zip(&down).map(|(up, down)| up - down);
                differences.zip(weight(up.len())).map(|(d, weight)| d * weight).sum::<f64>() / (2.0 * step)
            };
            // A kink of a ReLU within a long step bends it, rounding a short one.
            let slopes = [2e-3, 5e-4, 1e-4, 2e-5].map(slope);
            let off = |slope: &f64| (slope - length * length).abs();
            // Queries and keys also move the denominators, which the published gradient holds constant.
            let loose =
                name.contains("query") || name.contains("key") || name.contains("layers.0") || name.contains("embed");
            let allowed = if loose { 0.25 } else { 0.05 };
            assert!(
                slopes.iter().map(off).fold(f64::INFINITY, f64::min) <= allowed * length * length,
                "{task} {name}: slopes {slopes:?}, squared gradient {}",
                length * length
            );
        }
    }
}
