//! Seconds and memory of the model at its published size, with random weights: one process per figure.
//!
//! ```sh
//! cargo bench --bench speed -- backbone 512 2048 8192 65536
//! cargo bench --bench speed -- fold 400
//! cargo bench --bench speed -- mirtarget 64
//! cargo bench --bench speed -- ensemble 300
//! cargo bench --bench speed -- rinalmo-micro 512 4096 16384      one layer of RiNALMo's size, also rinalmo-giga
//! ```
//!
//! prints TSV `what size seconds peak_rss_bytes`, the median of several runs; the size is a length in nucleotides, or for
//! `mirtarget` the number of pairs in a batch. `benches/compare.py` sets these beside a PyTorch counterpart.

use std::time::Instant;

use rnaret::model::encoder::transformer::Residual;
use rnaret::model::heads::fold::FoldHead;
use rnaret::model::heads::mirtarget::{MirtargetHead, Pair};
use rnaret::model::{Encode, Encoder, HeadConfig, Input, ModelConfig, Task, TransformerConfig, initialise};
use rnaret::thermodynamics::{Conditions, Factors};

fn sequence(length: usize, seed: usize) -> Vec<u8> {
    (0..length).map(|i| b"ACGU"[(i * i * 31 + i * 7 + seed * 13 + i / 3) % 4]).collect()
}

/// A sequence that folds as one would: without repeats.
fn random(length: usize) -> Vec<u8> {
    let mut state = length as u64;
    let mut letter = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        b"ACGU"[(state >> 62) as usize]
    };
    (0..length).map(|_| letter()).collect()
}

fn median(mut work: impl FnMut()) -> f64 {
    work();
    let mut seconds = Vec::new();
    while seconds.len() < 3 || (seconds.iter().sum::<f64>() < 2.0 && seconds.len() < 50) {
        let start = Instant::now();
        work();
        seconds.push(start.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

fn peak_rss() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// One layer of RiNALMo's shape and this width.
fn one_layer(width: usize) -> ModelConfig {
    let config = TransformerConfig { residual: Residual::Normalised, ..TransformerConfig::new(width, 1, 20) };
    ModelConfig::new(config, HeadConfig::LanguageModel)
}

fn measure(what: &str, size: usize) -> f64 {
    let task = match what {
        "fold" => Task::Fold,
        "mirtarget" => Task::Mirtarget,
        _ => Task::Pretrain,
    };
    let config = match what {
        "rinalmo-micro" => one_layer(480),
        "rinalmo-giga" => one_layer(1280),
        _ => ModelConfig::published(task, 1),
    };
    let parameters = initialise(&config, 1).unwrap();
    let encoder = Encoder::new(&config, &parameters).unwrap().for_inference().unwrap();
    match what {
        "backbone" | "rinalmo-micro" | "rinalmo-giga" => {
            let letters = sequence(size, 1);
            median(|| {
                encoder.features(&[Input::Letters(&letters)]).unwrap();
            })
        }
        "fold" => {
            let letters = sequence(size, 1);
            let head = FoldHead::new(&config, &parameters).unwrap().for_inference(None).unwrap();
            let features = encoder.features(&[Input::Letters(&letters)]).unwrap();
            median(|| {
                head.logits(features.rows(), &letters, &head.facts(&letters, Conditions::default()).unwrap()).unwrap();
            })
        }
        "mirtarget" => {
            let head = MirtargetHead::new(&config, &parameters).unwrap();
            let sequences: Vec<_> = (0..size).map(|i| (sequence(22, i), sequence(40, i + 1))).collect();
            let pairs: Vec<Pair> = sequences.iter().map(|(mirna, site)| Pair { mirna, site }).collect();
            let inputs: Vec<Input> = pairs.iter().map(Pair::input).collect();
            median(|| {
                head.probabilities(&encoder.features(&inputs).unwrap(), &pairs).unwrap();
            })
        }
        "ensemble" => {
            let letters = random(size);
            median(|| {
                Factors::turner2004().ensemble(&letters, &Conditions::default(), None).unwrap();
            })
        }
        other => panic!("{other} is none of backbone, fold, mirtarget, ensemble, rinalmo-micro, rinalmo-giga"),
    }
}

fn main() {
    // Cargo adds a flag of its own.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.as_slice() {
        [] => {}
        [what, size] => {
            let threads = std::env::var("RAYON_NUM_THREADS").ok().and_then(|threads| threads.parse().ok());
            rnaret::cli::keep_tensors_on_their_thread();
            let threads = threads.unwrap_or_else(rnaret::cli::default_threads);
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let seconds = pool.install(|| measure(what, size.parse().unwrap()));
            println!("{what}\t{size}\t{seconds:.6}\t{}", peak_rss());
        }
        [what, sizes @ ..] => {
            for size in sizes {
                // A process of its own for each, so that each has its own peak of memory.
                let program = std::env::current_exe().unwrap();
                assert!(std::process::Command::new(program).args([what, size]).status().unwrap().success());
            }
        }
    }
}
