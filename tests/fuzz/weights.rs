//! Weights: PyTorch's archives, whose pickles are programs, and safetensors.

use super::damage::{changes, damaged};
use super::harness;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use rnaret::model::weights::{self, Storage};
use std::io::Write;
use std::path::Path;
use zip::write::SimpleFileOptions;

/// The published weights that the tests have, small as they are.
fn golden() -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/golden/k1.pth");
    std::fs::read(path).expect("the weights are there")
}

/// Weights are read, or refused by an error that names the file.
fn check(bytes: &[u8]) -> Result<(), TestCaseError> {
    match weights::parse(bytes, Path::new("fuzz.in")) {
        Ok(_) => Ok(()),
        Err(error) if error.to_string().starts_with("fuzz.in: ") => Ok(()),
        Err(error) => Err(TestCaseError::fail(format!("this error does not name the file: {error}"))),
    }
}

/// An archive as PyTorch writes it: a pickle, and a file of numbers.
fn archive(pickle: &[u8], numbers: &[u8], deflated: bool) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let mut zip = zip::ZipWriter::new(&mut bytes);
    let method = if deflated { zip::CompressionMethod::Deflated } else { zip::CompressionMethod::Stored };
    let options = SimpleFileOptions::default().compression_method(method);
    for (name, content) in [("model/data.pkl", pickle), ("model/data/0", numbers)] {
        zip.start_file(name, options).and_then(|()| Ok(zip.write_all(content)?)).expect("memory takes it");
    }
    zip.finish().expect("memory takes it");
    bytes.into_inner()
}

/// Operations with arguments, of which weights need these, and some that they do not.
const OPERATIONS: &[&[u8]] = &[
    b"(",
    b")",
    b"}",
    b"]",
    b"N",
    b".",
    b"t",
    b"s",
    b"u",
    b"b",
    b"R",
    b"Q",
    b"a",
    b"e",
    b"\x85",
    b"\x86",
    b"\x87",
    b"\x88",
    b"\x89",
    b"\x81",
    b"q\x00",
    b"q\x01",
    b"q\x02",
    b"h\x00",
    b"h\x01",
    b"h\x02",
    b"r\xff\xff\xff\xff",
    b"j\xff\xff\xff\xff",
    b"K\x00",
    b"K\x03",
    b"K\xff",
    b"M\xff\xff",
    b"J\xff\xff\xff\xff",
    b"J\xff\xff\xff\x7f",
    b"\x8a\x00",
    b"\x8a\x01\xff",
    b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f",
    b"\x8a\xff",
    b"G\x00\x00\x00\x00\x00\x00\x00\x00",
    b"X\x00\x00\x00\x00",
    b"X\x01\x00\x00\x00w",
    b"X\xff\xff\xff\xff",
    b"X\x07\x00\x00\x00storage",
    b"X\x01\x00\x00\x000",
    b"X\x09\x00\x00\x00_metadata",
    b"ccollections\nOrderedDict\n",
    b"ctorch._utils\n_rebuild_tensor_v2\n",
    b"ctorch._utils\n_rebuild_parameter\n",
    b"ctorch\nFloatStorage\n",
    b"ctorch\nHalfStorage\n",
    b"cos\nsystem\n",
    b"\x80\x02",
    b"\x95",
];

/// A tensor of any shape, strides and offset, as operations.
fn tensor(sizes: Vec<(u32, u32)>, offset: u32, kind: &str) -> Vec<u8> {
    let number = |number: u32| [b"J".as_slice(), &number.to_le_bytes()].concat();
    let tuple =
        |numbers: Vec<u32>| [b"(".to_vec(), numbers.into_iter().flat_map(number).collect(), b"t".to_vec()].concat();
    let (shape, strides) = sizes.into_iter().unzip();
    [
        b"\x80\x02}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\n".to_vec(),
        format!("{kind}Storage\n").into_bytes(),
        b"X\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x01tQ".to_vec(),
        number(offset),
        tuple(shape),
        tuple(strides),
        b"\x89}tRs.".to_vec(),
    ]
    .concat()
}

/// Small numbers mostly, and some at the ends of what there is.
fn sizes() -> impl Strategy<Value = u32> {
    prop_oneof![4 => 0_u32..6, 1 => prop::sample::select(vec![1 << 10, 1 << 20, 1 << 30, i32::MAX as u32])]
}

#[test]
fn programs_of_pickles() {
    let operations = prop::collection::vec(prop::sample::select(OPERATIONS.to_vec()), 0..60);
    // The same operations again and again, as objects that double or nest would have it.
    let inputs = (operations, 1_usize..400, any::<bool>());
    harness::run("pickles", inputs, |(operations, times, deflated)| {
        let once = operations.concat();
        let pickle = [b"\x80\x02".as_slice(), &once.repeat(if times < 300 { 1 } else { times }), b"."].concat();
        check(&archive(&pickle, &[0; 24], deflated))
    });
}

#[test]
fn shapes_of_stored_tensors() {
    let kind = prop::sample::select(vec!["Float", "Double", "Half", "BFloat16", "Long"]);
    let inputs =
        (prop::collection::vec((sizes(), sizes()), 0..5), sizes(), kind, prop::collection::vec(any::<u8>(), 0..64));
    harness::run("stored tensors", inputs, |(shape, offset, kind, numbers)| {
        check(&archive(&tensor(shape, offset, kind), &numbers, false))
    });
}

#[test]
fn damaged_archives() {
    let bytes = golden();
    let words = changes(&["PK\x01\x02", "PK\x03\x04", "data.pkl", "\0\0\0\0", "X\x7f\x7f\x7f\x7f"]);
    harness::run("damaged archives", words, |changes| check(&damaged(bytes.clone(), &changes)));
}

#[test]
fn damaged_safetensors() {
    let weights = weights::parse(&golden(), Path::new("golden")).expect("they are sound");
    let bytes = weights::write(&weights, Storage::F16).expect("they are written");
    let words =
        &["\"", "{", "[", "18446744073709551615", "-1", "1e99", "F4", "U8", "BF16", "null", "version", "layers"];
    harness::run("damaged safetensors", changes(words), |changes| check(&damaged(bytes.clone(), &changes)));
}

#[test]
fn headers_of_safetensors() {
    let dtype =
        prop::sample::select(vec!["F32", "F16", "BF16", "F64", "F4", "F8_E4M3", "U8", "I64", "BOOL", "C64", "X"]);
    let tensor = ("[a-z.]{1,3}", dtype, prop::collection::vec(sizes(), 0..4), 0_usize..64, 0_usize..80);
    let field = prop::sample::select(vec!["k", "width", "value_width", "ffn_width", "layers", "heads", "norm_epsilon"]);
    let value = prop::sample::select(vec![
        "0",
        "1",
        "2",
        "4",
        "16",
        "65537",
        "9223372036854775808",
        "1e300",
        "-1",
        "\"x\"",
        "null",
    ]);
    let config = prop::option::of(prop::collection::vec((field, value), 0..4));
    let length = prop_oneof![6 => Just(0_i64), 1 => -9_i64..9, 1 => Just(i64::MAX)];
    let inputs = (prop::collection::vec(tensor, 0..4), config, length);
    harness::run("headers of safetensors", inputs, |(tensors, config, length)| {
        let mut entries: Vec<String> = tensors
            .iter()
            .map(|(name, dtype, shape, start, end)| {
                format!(r#""{name}":{{"dtype":"{dtype}","shape":{shape:?},"data_offsets":[{start},{end}]}}"#)
            })
            .collect();
        if let Some(changed) = config {
            let mut fields = serde_json::json!({
                "kind": "retention", "k": 1, "width": 8, "value_width": 8, "ffn_width": 8, "layers": 1, "heads": 1,
                "norm_epsilon": 1e-6
            });
            for (field, value) in changed {
                fields[field] = serde_json::from_str(value).expect("a value");
            }
            let head = serde_json::json!({ "kind": "language-model" });
            let about = serde_json::json!({ "config": { "version": 2, "encoder": fields, "head": head } });
            entries.push(format!(r#""__metadata__":{{"rnaret":{}}}"#, serde_json::json!(about.to_string())));
        }
        let header = format!("{{{}}}", entries.join(","));
        let claimed = (header.len() as i64).wrapping_add(length) as u64;
        check(&[&claimed.to_le_bytes()[..], header.as_bytes(), &[0; 64]].concat())
    });
}
