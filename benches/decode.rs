//! How fast structures are decoded, against the dense Kuhn-Munkres algorithm on the whole matrix, and target sites are
//! found. Run with `cargo bench --bench decode`; `-- --long` adds the dense algorithm at 2,000 nt, which takes minutes.
//!
//! One thread. Prints a table; ratios are what counts, times are this machine's.

use std::{hint::black_box, time::Instant};

use pathfinding::{kuhn_munkres::kuhn_munkres, matrix::Matrix};
use rnaret::decode::{
    base_pairs::{Decoder, PairRules, candidates, decode},
    target_site::{SeedIndex, SeedType, best_seed_match},
};
use rnaret::structure::PairMap;

/// Pseudo-random numbers in [0, 1).
struct Random(u64);

impl Random {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1 << 24) as f32
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() * bound as f32) as usize % bound
    }

    fn sequence(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| b"ACGU"[self.below(4)]).collect()
    }
}

/// A sequence that folds and what a trained model says about it: helices of 4 to 12 probable pairs over two thirds of
/// the bases, rivals that are shifted by a base or two, and sparse noise over the threshold; nearly 0 elsewhere.
fn folding(length: usize, random: &mut Random) -> (Vec<u8>, PairMap) {
    let mut sequence = random.sequence(length);
    let mut map = PairMap::new(length);
    for value in map.values_mut() {
        *value = random.next() * 0.05;
    }
    let mut paired = 0;
    while paired < length * 2 / 3 {
        let helix = 4 + random.below(9);
        let i = random.below(length - 30);
        let j = (i + 2 * helix + 4 + random.below(300)).min(length - 3);
        for step in 0..helix {
            let (a, b) = (i + step, j - step);
            if a + 4 > b {
                break;
            }
            (sequence[a], sequence[b]) = [(b'G', b'C'), (b'C', b'G'), (b'A', b'U'), (b'U', b'A')][random.below(4)];
            map.row_mut(b)[a] = 0.7 + random.next() * 0.3;
            if random.next() < 0.3 {
                map.row_mut(b + 1 + random.below(2))[a] = 0.5 + random.next() * 0.3;
            }
            paired += 2;
        }
    }
    for _ in 0..length / 5 {
        let (a, b) = (random.below(length), random.below(length));
        if a < b {
            map.row_mut(b)[a] = 0.5 + random.next() * 0.2;
        }
    }
    (sequence, map)
}

/// What an untrained model says: everything near one half.
fn undecided(length: usize, random: &mut Random) -> (Vec<u8>, PairMap) {
    let sequence = random.sequence(length);
    let mut map = PairMap::new(length);
    for value in map.values_mut() {
        *value = 0.5 + (random.next() - 0.5) * 0.02;
    }
    (sequence, map)
}

/// Makes a sequence of a length and a map for it.
type MakeMap = fn(usize, &mut Random) -> (Vec<u8>, PairMap);

/// Seconds per call, at least half a second of calls.
fn seconds<T>(mut call: impl FnMut() -> T) -> f64 {
    let start = Instant::now();
    let mut calls = 0_u32;
    while calls == 0 || start.elapsed().as_secs_f64() < 0.5 {
        black_box(call());
        calls += 1;
    }
    start.elapsed().as_secs_f64() / f64::from(calls)
}

const SCALE: f64 = (1_u64 << 40) as f64;

/// The published way, with the same integer weights: the whole symmetric matrix.
fn dense(sequence: &[u8], map: &PairMap, rules: PairRules) -> i64 {
    let mut weights = Matrix::new(sequence.len(), sequence.len(), 0_i64);
    for pair in candidates(sequence, map, rules) {
        let weight = (f64::from(pair.probability) * SCALE).round() as i64;
        weights[(pair.i, pair.j)] = weight;
        weights[(pair.j, pair.i)] = weight;
    }
    kuhn_munkres(&weights).0
}

/// Twice the summed weight of a structure: each pair stands in the matrix twice.
fn weight(partners: &[Option<usize>], map: &PairMap) -> i64 {
    let weights = partners.iter().enumerate().filter_map(|(i, j)| Some(f64::from(map.get(i, (*j)?)) * SCALE));
    weights.map(|weight| weight.round() as i64).sum()
}

fn main() {
    let long = std::env::args().any(|argument| argument == "--long");
    let mut random = Random(1);

    println!("## Assignment against dense Kuhn-Munkres (pathfinding), trained-like maps");
    println!("nt\tcandidates\tdense s\tassignment s\tratio\tsame optimum");
    for length in [250, 500, 1000, 2000] {
        if length == 2000 && !long {
            continue;
        }
        let (sequence, map) = folding(length, &mut random);
        let rules = PairRules::default();
        let start = Instant::now();
        let optimum = dense(&sequence, &map, rules);
        let dense_seconds = start.elapsed().as_secs_f64();
        let found = decode(Decoder::Assignment, &sequence, &map, rules);
        let ours = seconds(|| decode(Decoder::Assignment, &sequence, &map, rules));
        let count = candidates(&sequence, &map, rules).count();
        let same = weight(&found, &map) == optimum;
        println!("{length}\t{count}\t{dense_seconds:.4}\t{ours:.6}\t{:.0}\t{same}", dense_seconds / ours);
    }

    println!("\n## All decoders");
    println!("map\tnt\tcandidates\tassignment s\tgreedy s\tnested s");
    let maps: [(&str, MakeMap, f32); 3] =
        [("trained-like", folding, 0.5), ("untrained", undecided, 0.5), ("threshold 0", undecided, 0.0)];
    for (name, make, threshold) in maps {
        for length in [500, 2000, 5000] {
            let (sequence, map) = make(length, &mut random);
            let rules = PairRules { threshold, ..PairRules::default() };
            let times = [Decoder::Assignment, Decoder::Greedy, Decoder::Nested]
                .map(|decoder| seconds(|| decode(decoder, &sequence, &map, rules)));
            let count = candidates(&sequence, &map, rules).count();
            println!("{name}\t{length}\t{count}\t{:.6}\t{:.6}\t{:.6}", times[0], times[1], times[2]);
        }
    }

    println!("\n## Seed matches: 2,600 miRNAs in 1 Mnt of targets");
    let mirnas: Vec<Vec<u8>> = (0..2600).map(|_| random.sequence(22)).collect();
    let targets: Vec<Vec<u8>> = (0..1000).map(|_| random.sequence(1000)).collect();
    let index = SeedIndex::new(mirnas.iter().map(Vec::as_slice), SeedType::SixMer);
    let indexed = seconds(|| targets.iter().map(|target| index.matches(target).count()).sum::<usize>());
    let one_by_one = |count: usize| {
        let start = Instant::now();
        for target in &targets {
            for mirna in &mirnas[..count] {
                black_box(best_seed_match(mirna, target, 0..target.len()));
            }
        }
        start.elapsed().as_secs_f64() * mirnas.len() as f64 / count as f64
    };
    let naive = one_by_one(26);
    let found: usize = targets.iter().map(|target| index.matches(target).count()).sum();
    println!("matches\tindex s\tone miRNA after another s\tratio");
    println!("{found}\t{indexed:.4}\t{naive:.2}\t{:.0}", naive / indexed);
}
