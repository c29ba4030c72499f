//! What the reference implementation computes for small models, and what we compute: within 2e-4 of the largest value.

use std::fs::File;
use std::path::{Path, PathBuf};

use candle_core::Tensor;
use rnaret::decode::coding::coding_potential;
use rnaret::model::heads::coding::{CodingHead, PublishedCodingConfig};
use rnaret::model::heads::fold::FoldHead;
use rnaret::model::heads::mirtarget::{MirtargetHead, Pair};
use rnaret::model::heads::published_fold::PublishedFold;
use rnaret::model::retention::scores::LastLayer;
use rnaret::model::{Encode, Encoder, EncoderConfig, HeadConfig, Input, ModelConfig, Weights, weights};
use rnaret::sequence::Tokenizer;
use serde_json::Value;

const TOLERANCE: f32 = 2e-4;

fn golden() -> PathBuf {
    // Another folder of the same layout can be checked: the complete set is larger than what is shipped.
    std::env::var_os("RNARET_GOLDEN")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/golden"), PathBuf::from)
}

fn manifest() -> Vec<Value> {
    serde_json::from_reader(File::open(golden().join("manifest.json")).unwrap()).unwrap()
}

fn read(name: &str) -> Weights {
    weights::read(&golden().join(name)).unwrap()
}

/// One array of an `.npz`, as f32 (or i32) numbers.
fn array(file: &str, name: &str) -> Option<Vec<f32>> {
    let mut archive = zip::ZipArchive::new(File::open(golden().join(file)).unwrap()).unwrap();
    let array = npyz::NpyFile::new(archive.by_name(&format!("{name}.npy")).ok()?).unwrap();
    Some(match array.dtype().descr().as_str() {
        "'<f4'" => array.into_vec::<f32>().unwrap(),
        "'<f8'" => array.into_vec::<f64>().unwrap().into_iter().map(|x| x as f32).collect(),
        "'<i4'" => array.into_vec::<i32>().unwrap().into_iter().map(|x| x as f32).collect(),
        other => panic!("{file} {name}: type {other}"),
    })
}

fn numbers(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

#[track_caller]
fn close(ours: &[f32], reference: &[f32], what: &str) {
    assert_eq!(ours.len(), reference.len(), "{what}");
    let largest = reference.iter().fold(0f32, |largest, x| largest.max(x.abs()));
    let difference = ours.iter().zip(reference).fold(0f32, |worst, (a, b)| worst.max((a - b).abs()));
    assert!(difference <= TOLERANCE * largest, "{what}: differs by {difference} where the largest value is {largest}");
}

fn normalised(sequence: &str) -> Vec<u8> {
    sequence
        .to_ascii_uppercase()
        .replace('T', "U")
        .bytes()
        .map(|letter| if b"ACGU".contains(&letter) { letter } else { b'N' })
        .collect()
}

/// The encoder of `weights`, for inference.
fn encoder(weights: &Weights) -> Encoder {
    Encoder::new(&weights.config, &weights.parameters).unwrap().for_inference().unwrap()
}

fn entries(list: &Value) -> impl Iterator<Item = (&str, &str)> {
    list.as_array().into_iter().flatten().map(|e| (e["seq"].as_str().unwrap(), e["file"].as_str().unwrap()))
}

#[test]
fn encoders() {
    let mut checked = 0;
    for model in manifest() {
        let Some(file) = model["weights"].as_str() else { continue };
        let k = model["k"].as_u64().unwrap() as usize;
        let weights = read(file);
        assert_eq!(weights.config.encoder.k(), k);
        let training = Encoder::new(&weights.config, &weights.parameters).unwrap();
        let inference = training.clone().for_inference().unwrap();
        let Encoder::Retention(retention) = &inference else { panic!("no retention") };
        for (sequence, file) in entries(&model["backbone"]) {
            let letters = normalised(sequence);
            let inputs = [Input::Letters(&letters)];
            let ids = Tokenizer::new(k).unwrap().encode(&letters);
            let tokens: Vec<f32> = ids.iter().map(|&id| id as f32).collect();
            assert_eq!(tokens, array(file, "tokens").unwrap(), "{file} tokens");
            let features = inference.features(&inputs).unwrap();
            let reference = array(file, "features").unwrap();
            close(&numbers(features.rows()), &reference, &format!("{file} features"));
            let forward = training.forward(&inputs, None).unwrap();
            close(&numbers(forward.rows()), &reference, &format!("{file} forward"));
            let hidden = retention.hidden(&ids, 1).unwrap();
            close(&numbers(&hidden), &array(file, "hidden_layer1").unwrap(), &format!("{file} first layer"));
            let rows: Vec<u32> = (0..letters.len() as u32).collect();
            let logits = inference.logits(&features, &rows).unwrap();
            close(&numbers(&logits), &array(file, "logits").unwrap(), &format!("{file} logits"));

            let (queries, keys) = retention.last_queries_and_keys(&ids).unwrap();
            let (queries, keys) = (numbers(&queries), numbers(&keys));
            let EncoderConfig::Retention(config) = &weights.config.encoder else { panic!("no retention") };
            let last = LastLayer { queries: &queries, keys: &keys, heads: config.heads, width: config.width };
            let first_row = array(file, "retention_mean_over_heads_first_row").unwrap();
            close(&last.first_row(), &first_row, &format!("{file} first row"));
            let column_mean = array(file, "retention_mean_over_heads_column_mean").unwrap();
            close(&last.column_mean(), &column_mean, &format!("{file} column mean"));
            if let Some(map) = array(file, "retention_last_layer") {
                let length = tokens.len();
                let mean: Vec<f32> = (0..length * length)
                    .map(|i| (0..config.heads).map(|h| map[h * length * length + i]).sum::<f32>() / config.heads as f32)
                    .collect();
                let ours: Vec<f32> = (0..length).flat_map(|n| last.row(n)).collect();
                close(&ours, &mean, &format!("{file} map"));
            }
            checked += 1;
        }
    }
    assert!(checked >= 9, "only {checked} vectors found");
}

fn published_fold(weights: &Weights) -> PublishedFold {
    match FoldHead::new(&weights.config, &weights.parameters).unwrap() {
        FoldHead::Published(head) => head,
        FoldHead::Helices(_) | FoldHead::WholeMap(_) => panic!("{:?}", weights.config),
    }
}

#[test]
fn fold() {
    let mut checked = 0;
    for model in manifest() {
        let k = model["k"].as_u64().unwrap() as usize;
        let list = &model["heads"]["fold"];
        if list.as_array().is_none_or(Vec::is_empty) {
            continue;
        }
        let weights = read(&format!("k{k}_fold.pth"));
        let encoder = encoder(&weights);
        let head = published_fold(&weights);
        let inference = head.for_inference().unwrap();
        for (sequence, file) in entries(list) {
            let features = encoder.features(&[Input::Letters(&normalised(sequence))]).unwrap();
            let features = features.rows();
            let reference = array(file, "pair_logits").unwrap();
            close(&numbers(&head.map(features).unwrap()), &reference, &format!("{file} whole map"));
            let map = inference.logits(features).unwrap();
            let length = map.length();
            let lower = |j: usize| reference[j * length..j * length + j].to_vec();
            let ours: Vec<f32> = (0..length).flat_map(|j| map.row(j).to_vec()).collect();
            close(&ours, &(0..length).flat_map(lower).collect::<Vec<_>>(), &format!("{file} lower triangle"));
            checked += 1;
        }
    }
    assert!(checked >= 7, "only {checked} vectors found");
}

#[test]
fn coding() {
    let mut checked = 0;
    for model in manifest() {
        let k = model["k"].as_u64().unwrap() as usize;
        let list = &model["heads"]["coding"];
        if list.as_array().is_none_or(Vec::is_empty) {
            continue;
        }
        let weights = read(&format!("k{k}_coding.pth"));
        let HeadConfig::PublishedCoding(sizes) = &weights.config.head else { panic!("{:?}", weights.config) };
        assert!(sizes.skip_blocks, "published weights skip the blocks");
        let encoder = encoder(&weights);
        for (sequence, file) in entries(list) {
            let letters = normalised(sequence);
            let features = encoder.features(&[Input::Letters(&letters)]).unwrap();
            for (skip, name, potential) in [
                (true, "cds_logits_blocks_skipped", "coding_potential_blocks_skipped"),
                (false, "cds_logits", "coding_potential"),
            ] {
                let head = PublishedCodingConfig { skip_blocks: skip, ..sizes.clone() };
                let config = ModelConfig { head: HeadConfig::PublishedCoding(head), ..weights.config.clone() };
                let head = CodingHead::new(&config, &weights.parameters).unwrap();
                let reference = array(file, name).unwrap();
                let logits = head.forward(&features, &letters).unwrap();
                close(&numbers(&logits.bases), &reference, &format!("{file} {name}"));
                let probabilities: Vec<f32> = reference.iter().map(|x| 1.0 / (1.0 + (-x).exp())).collect();
                let ours = head.probabilities(&features, &letters).unwrap().bases;
                close(&ours, &probabilities, &format!("{file} {name}"));
                close(&[coding_potential(&ours, 30) as f32], &array(file, potential).unwrap(), potential);
            }
            checked += 1;
        }
    }
    assert!(checked >= 8, "only {checked} vectors found");
}

#[test]
fn mirtarget() {
    let mut checked = 0;
    for model in manifest() {
        let k = model["k"].as_u64().unwrap() as usize;
        let list = &model["heads"]["mirtarget"];
        if list.as_array().is_none_or(Vec::is_empty) {
            continue;
        }
        let weights = read(&format!("k{k}_mirtarget.pth"));
        let encoder = encoder(&weights);
        let head = MirtargetHead::new(&weights.config, &weights.parameters).unwrap();
        for pair in list.as_array().unwrap() {
            let text = |name: &str| normalised(pair[name].as_str().unwrap());
            let (mirna, site) = (text("mirna"), text("target"));
            let pairs = [Pair { mirna: &mirna, site: &site }];
            let features = encoder.features(&[pairs[0].input()]).unwrap();
            // [CLS] miRNA [SEQ] site, of which the features are those of the nucleotides.
            let tokens: Vec<u32> = serde_json::from_value(pair["tokens"].clone()).unwrap();
            let all = numbers(encoder.features(&[Input::Tokens(&tokens)]).unwrap().rows());
            let (width, middle) = (encoder.width(), 1 + mirna.len());
            let expected = [&all[width..middle * width], &all[(middle + 1) * width..]].concat();
            assert_eq!(numbers(features.rows()), expected);
            let logits: Vec<f32> = serde_json::from_value(pair["logits"].clone()).unwrap();
            close(&numbers(&head.forward(&features, &pairs, None).unwrap()), &logits, "logits");
            let probability = pair["probability"].as_f64().unwrap() as f32;
            close(&head.probabilities(&features, &pairs).unwrap(), &[probability], "probability");
            checked += 1;
        }
    }
    assert!(checked >= 6, "only {checked} pairs found");
}
