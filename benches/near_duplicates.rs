//! How long it takes to cluster near-identical sequences: families of copies of one RNA, more and less alike, and strangers.
//! Run with `cargo bench --bench near_duplicates` (one thread); `-- COUNT` clusters another number than 30,000.

use std::time::Instant;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rnaret::sequence::near_duplicates::clusters;

fn main() {
    let count = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(30_000);
    println!("sequences\tlength\tchanged letters\tclusters\tseconds");
    for length in [120, 400, 1_500] {
        for changed in [0.0, 0.01, 0.03, 0.1, 1.0] {
            let mut random = ChaCha8Rng::seed_from_u64(1);
            let ancestor: Vec<u8> = (0..length).map(|_| b"ACGU"[random.random_range(0..4)]).collect();
            let mut copy = || -> Vec<u8> {
                let letter = |&letter: &u8| match random.random_bool(changed) {
                    true => b"ACGU"[random.random_range(0..4)],
                    false => letter,
                };
                let mut copy: Vec<u8> = ancestor.iter().map(letter).collect();
                // No two are exact copies of each other.
                copy.extend((0..9).map(|_| b"ACGU"[random.random_range(0..4)]));
                copy
            };
            let sequences: Vec<Vec<u8>> = (0..count).map(|_| copy()).collect();
            let sequences: Vec<&[u8]> = sequences.iter().map(Vec::as_slice).collect();
            let start = Instant::now();
            let found: std::collections::BTreeSet<usize> = clusters(&sequences).into_iter().collect();
            let seconds = start.elapsed().as_secs_f64();
            println!("{count}\t{length}\t{changed}\t{}\t{seconds:.1}", found.len());
        }
    }
}
