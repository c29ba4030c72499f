//! How fast embeddings are written in each format, and numbers as text against the standard library's exact
//! conversion. Run with `cargo bench --bench format`. One thread; output goes nowhere, but safetensors waits in the
//! temporary folder. NumPy per base is left out: it only copies.

use std::{hint::black_box, io, time::Instant};

use rnaret::format::{
    embedding::{Embedding, EmbeddingFormat, EmbeddingOptions, EmbeddingShape, EmbeddingWriter},
    number,
};

const DIMENSION: usize = 384;
const LENGTH: usize = 500;
const RECORDS: usize = 40;

fn main() {
    let mut state = 1_u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    let values: Vec<f32> = (0..LENGTH * DIMENSION).map(|_| random()).collect();
    let sequence = vec![b'A'; LENGTH];

    let start = Instant::now();
    let mut text = Vec::new();
    for _ in 0..RECORDS {
        text.clear();
        values.iter().for_each(|&value| number::append(&mut text, value));
        black_box(&text);
    }
    let ours = start.elapsed().as_secs_f64();
    let start = Instant::now();
    for _ in 0..RECORDS {
        values.iter().for_each(|value| drop(black_box(format!("{value:.5e}"))));
    }
    let standard = start.elapsed().as_secs_f64();
    let numbers = (RECORDS * values.len()) as f64;
    println!(
        "numbers as text: {:.1} ns each; standard library {:.1} ns",
        ours / numbers * 1e9,
        standard / numbers * 1e9
    );

    println!("format\tmillion numbers per second, per base");
    for format in [EmbeddingFormat::Tsv, EmbeddingFormat::Safetensors, EmbeddingFormat::Parquet] {
        let options = EmbeddingOptions {
            format,
            shape: EmbeddingShape::PerBase,
            dimension: DIMENSION,
            header: true,
            keep_description: false,
            temporary_folder: None,
        };
        let start = Instant::now();
        let result = (|| {
            let mut writer = EmbeddingWriter::new(io::sink(), &options, None)?;
            for number in 0..RECORDS {
                writer.write(Embedding {
                    id: &format!("record{number}"),
                    description: "",
                    sequence: &sequence,
                    values: &values,
                })?;
            }
            writer.finish()
        })();
        match result {
            Ok(_) => println!("{format:?}\t{:.1}", numbers / start.elapsed().as_secs_f64() / 1e6),
            Err(error) => println!("{format:?}\t{error}"),
        }
    }
}
