//! That the estimates of memory are what the work takes: an allocator that counts, and every computation that is estimated.
//!
//! An estimate may be up to four times what is taken, and no less than it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rnaret::cli::DeviceArgs;
use rnaret::model::encoder::transformer::{Activation, NormPlace};
use rnaret::model::heads::fold::FoldHead;
use rnaret::model::heads::mirtarget::Pair;
use rnaret::model::heads::published_fold::PublishedFoldConfig;
use rnaret::model::{
    Encode, Encoder, HeadConfig, Input, Model, ModelConfig, Parameters, RetentionConfig, Task, TransformerConfig,
    initialise, likelihood,
};
use rnaret::predict::{coding, mirtarget};
use rnaret::sequence::Record;
use rnaret::thermodynamics::{self, Conditions, DEFAULT_SPAN, Factors};

/// Counts what is allocated, and how much that was at most.
struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

fn count(size: usize) {
    let held = HELD.fetch_add(size, Ordering::Relaxed) + size;
    MOST.fetch_max(held, Ordering::Relaxed);
}

// SAFETY: all methods are the system allocator's.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promises are those that are asked for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promises are those that are asked for.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promises are those that are asked for.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One test at a time: what another allocates, even while it makes its models, would be counted here.
static MEASURING: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    MEASURING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Smaller amounts are of no interest: tables that are made once count among them.
const SMALL: u64 = 4 << 20;

/// That `work` takes no more than `estimate` says, and `estimate` says no more than four times what it takes, on one thread
/// and on two.
fn hold<R>(what: &str, estimate: impl Fn() -> u64 + Sync, work: impl Fn() -> R + Sync) {
    for threads in [1, 2] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let before = HELD.load(Ordering::Relaxed);
            MOST.store(before, Ordering::Relaxed);
            let result = work();
            let taken = (MOST.load(Ordering::Relaxed) - before) as u64;
            drop(result);
            let estimate = estimate();
            println!("{what}, {threads} threads: {taken} bytes taken, {estimate} estimated");
            assert!(taken <= estimate + SMALL, "{what}, {threads} threads: {taken} bytes taken, {estimate} estimated");
            assert!(
                estimate <= 4 * taken + SMALL,
                "{what}, {threads} threads: {taken} bytes taken, {estimate} estimated"
            );
        });
    }
}

fn random(length: usize) -> Vec<u8> {
    let mut state = length as u64;
    let mut letter = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        b"ACGU"[(state >> 62) as usize]
    };
    (0..length).map(|_| letter()).collect()
}

fn record(sequence: Vec<u8>) -> Record {
    Record { id: "r".into(), sequence, ..Record::default() }
}

#[test]
fn partition_function() {
    let _alone = alone();
    for length in [300, 1500] {
        let sequence = random(length);
        hold(
            &format!("partition function of {length} nt"),
            || thermodynamics::memory(length, DEFAULT_SPAN),
            || Factors::turner2004().ensemble(&sequence, &Conditions::default(), None).unwrap(),
        );
    }
}

#[test]
fn encoder() {
    let _alone = alone();
    for (name, sizes) in [
        ("a small", RetentionConfig { width: 96, value_width: 96, ffn_width: 128, ..RetentionConfig::default() }),
        ("the published", RetentionConfig::default()),
    ] {
        let config = ModelConfig::new(RetentionConfig { layers: 2, ..sizes }, HeadConfig::LanguageModel);
        let encoder = Encoder::new(&config, &initialise(&config, 1).unwrap()).unwrap().for_inference().unwrap();
        for lengths in [vec![150; 40], vec![3000], vec![6000], vec![20_000]] {
            let sequences: Vec<Vec<u8>> = lengths.iter().map(|&length| random(length)).collect();
            let inputs: Vec<Input> = sequences.iter().map(|sequence| Input::Letters(sequence)).collect();
            let nucleotides: usize = lengths.iter().sum();
            hold(
                &format!("{name} encoder of {} records, {} nt", lengths.len(), nucleotides),
                || encoder.memory(nucleotides),
                || encoder.features(&inputs).unwrap(),
            );
        }
    }
}

#[test]
fn transformers() {
    let _alone = alone();
    let plain = TransformerConfig { layers: 2, ..TransformerConfig::new(320, 2, 20) };
    let biased = TransformerConfig {
        layers: 4,
        norm: NormPlace::After,
        activation: Activation::Gelu,
        attention_bias: true,
        pair_bias: Some(0.8),
        ..TransformerConfig::new(96, 4, 4)
    };
    for (name, config) in [("a plain", plain), ("a biased", biased)] {
        let config = ModelConfig::new(config, HeadConfig::LanguageModel);
        let encoder = Encoder::new(&config, &initialise(&config, 1).unwrap()).unwrap().for_inference().unwrap();
        for lengths in [vec![150; 40], vec![3000], vec![8000]] {
            // Short records carry less from layer to layer than one of their total length, which the estimate is of.
            if name == "a biased" && lengths.len() > 1 {
                continue;
            }
            let sequences: Vec<Vec<u8>> = lengths.iter().map(|&length| random(length)).collect();
            let inputs: Vec<Input> = sequences.iter().map(|sequence| Input::Letters(sequence)).collect();
            let nucleotides: usize = lengths.iter().sum();
            hold(
                &format!("{name} Transformer of {} records, {} nt", lengths.len(), nucleotides),
                || encoder.memory(nucleotides),
                || encoder.features(&inputs).unwrap(),
            );
        }
    }
}

/// What a fold model takes for sequences of these lengths, one by one.
fn folding(name: &str, model: &ModelConfig, encoder: &Encoder, parameters: &Parameters, lengths: &[usize]) {
    let head = FoldHead::new(model, parameters).unwrap().for_inference(None).unwrap();
    // What is made once for all records, such as the tables of energies.
    let first = random(30);
    let features = encoder.features(&[Input::Letters(&first)]).unwrap();
    head.probabilities(features.rows(), &first, &head.facts(&first, Conditions::default()).unwrap()).unwrap();
    for &length in lengths {
        let sequence = random(length);
        let features = encoder.features(&[Input::Letters(&sequence)]).unwrap();
        hold(
            &format!("{name} fold head of {length} nt"),
            || head.memory(&sequence, DEFAULT_SPAN),
            || {
                head.probabilities(features.rows(), &sequence, &head.facts(&sequence, Conditions::default()).unwrap())
                    .unwrap()
            },
        );
    }
}

#[test]
fn fold_heads() {
    let _alone = alone();
    let model = Model::load(None, Task::Fold, DeviceArgs::CPU).unwrap();
    folding("the built-in", &model.weights.config, &model.encoder, &model.parameters, &[200, 800, 2500]);
    let head = HeadConfig::PublishedFold(PublishedFoldConfig { blocks: 2, width: 128 });
    let config = ModelConfig::new(RetentionConfig { layers: 1, ..RetentionConfig::default() }, head);
    let parameters = initialise(&config, 1).unwrap();
    let encoder = Encoder::new(&config, &parameters).unwrap().for_inference().unwrap();
    folding("a published", &config, &encoder, &parameters, &[300, 1200]);
}

#[test]
fn coding_heads() {
    let _alone = alone();
    let rules = coding::CodingRules::default();
    let model = Model::load(None, Task::Coding, DeviceArgs::CPU).unwrap();
    let model = coding::CodingModel::new(model, rules.code).unwrap();
    for lengths in [vec![1000; 16], vec![20_000]] {
        let records: Vec<Record> = lengths.iter().map(|&length| record(random(length))).collect();
        hold(
            &format!("coding regions of {lengths:?}"),
            || model.memory(&records),
            || model.predict(&records, &rules).unwrap(),
        );
    }
}

#[test]
fn target_heads() {
    let _alone = alone();
    let model = Model::load(None, Task::Mirtarget, DeviceArgs::CPU).unwrap();
    let model = mirtarget::MirtargetModel::new(model).unwrap();
    let letters = random(2000);
    let part = |range: Range<usize>| &letters[range];
    for (count, site) in [(250, 40), (20, 900)] {
        let pairs: Vec<Pair> = (0..count)
            .map(|number| Pair { mirna: part(number..number + 22), site: part(number..number + site) })
            .collect();
        hold(
            &format!("{count} sites of {site} nt"),
            || model.memory(&pairs),
            || model.predict(&pairs, |_| String::new()).unwrap(),
        );
    }
}

#[test]
fn likelihoods() {
    let _alone = alone();
    for name in ["pretrain", "pretrain-k5"] {
        let model = Model::load_any(Some(name.as_ref()), Task::Pretrain, DeviceArgs::CPU).unwrap();
        let tokens = model.encoder.token_ids(&random(6000)).unwrap();
        hold(
            &format!("likelihood by {name}"),
            || likelihood::memory(&model, tokens.len()),
            || likelihood::pseudo_perplexity(&model, &tokens).unwrap(),
        );
    }
}
