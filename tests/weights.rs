//! Weights in and out: every defect is named, nothing but tensors is read, and what is written reads back.

use std::io::Write;
use std::path::Path;

use candle_core::{Device, Tensor};
use rnaret::model::heads::coding::PublishedCodingConfig;
use rnaret::model::weights::{self, Storage};
use rnaret::model::{HeadConfig, HeadKind, ModelConfig, RetentionConfig, Task, Weights, initialise};
use zip::write::SimpleFileOptions;

fn golden(name: &str) -> Weights {
    weights::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/golden").join(name)).unwrap()
}

fn parse(bytes: &[u8]) -> rnaret::Result<Weights> {
    weights::parse(bytes, Path::new("weights"))
}

/// What reading says of weights after a change.
fn defect(mut weights: Weights, change: impl FnOnce(&mut Weights)) -> String {
    change(&mut weights);
    parse(&weights::write(&weights, Storage::F32).unwrap()).expect_err("a defect").to_string()
}

#[test]
fn published_weights_become_our_own_and_stay_the_same() {
    for name in ["k1.pth", "k3.pth", "k5.pth", "k1_fold.pth", "k3_coding.pth", "k5_mirtarget.pth"] {
        let published = golden(name);
        let bytes = weights::write(&published, Storage::F32).unwrap();
        assert_eq!(bytes, weights::write(&published, Storage::F32).unwrap(), "the same weights give the same bytes");
        let own = parse(&bytes).unwrap();
        assert_eq!(own.config, published.config, "{name}");
        assert_eq!(own.parameters.len(), published.parameters.len());
        for (tensor, value) in &published.parameters {
            let numbers = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            assert_eq!(numbers(value), numbers(&own.parameters[tensor]), "{name} {tensor}");
        }
        let half = weights::write(&published, Storage::F16).unwrap();
        assert!(half.len() < bytes.len() * 2 / 3);
        assert_eq!(parse(&half).unwrap().config, published.config);
    }
}

/// Heads that have no published weights.
#[test]
fn own_heads_write_and_read_back() {
    for (task, head) in [
        (Task::Fold, HeadKind::Helices),
        (Task::Coding, HeadKind::Frames),
        (Task::Mirtarget, HeadKind::Duplex),
        (Task::Mirtarget, HeadKind::Diagonals),
    ] {
        let sizes =
            RetentionConfig { width: 16, value_width: 16, ffn_width: 16, layers: 1, heads: 2, ..Default::default() };
        let config = ModelConfig::new(sizes, HeadConfig::new(task, head, 2, 6).unwrap());
        let parameters = initialise(&config, 3).unwrap();
        let weights = Weights { config, parameters, ..golden("k1.pth") };
        let read = parse(&weights::write(&weights, Storage::F32).unwrap()).unwrap();
        assert_eq!(read.config, weights.config);
        assert_eq!(read.parameters.len(), weights.parameters.len());
        for (name, tensor) in &weights.parameters {
            let numbers = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            assert_eq!(numbers(tensor), numbers(&read.parameters[name]), "{task} {name}");
        }
    }
}

#[test]
fn dimensions_follow_from_the_tensors() {
    let config = golden("k3_fold.pth").config;
    let encoder = RetentionConfig {
        k: 3,
        width: 32,
        value_width: 48,
        ffn_width: 40,
        layers: 3,
        heads: 4,
        ..RetentionConfig::default()
    };
    let expected = ModelConfig::new(encoder, HeadConfig::published(Task::Fold).with_sizes(3, 12));
    assert_eq!(config, expected);
    let coding = golden("k1_coding.pth").config.head;
    assert!(matches!(coding, HeadConfig::PublishedCoding(PublishedCodingConfig { skip_blocks: true, .. })));
}

#[test]
fn defects_name_the_tensor() {
    let name = "encoder.layers.1.ffn.fc1.weight";
    let missing = defect(golden("k1_fold.pth"), |weights| {
        weights.parameters.remove(name);
    });
    assert!(missing.contains(name) && missing.contains("missing"), "{missing}");
    let extra = defect(golden("k1_fold.pth"), |weights| {
        let tensor = Tensor::new(&[1f32], &Device::Cpu).unwrap();
        weights.parameters.insert("encoder.layers.0.surplus".into(), tensor);
    });
    assert!(extra.contains("encoder.layers.0.surplus"), "{extra}");
    let misshapen = defect(golden("k1_fold.pth"), |weights| {
        let transposed = weights.parameters[name].t().unwrap().contiguous().unwrap();
        weights.parameters.insert(name.into(), transposed);
    });
    assert!(misshapen.contains(name) && misshapen.contains("[32, 40]"), "{misshapen}");
    let infinite = defect(golden("k1_fold.pth"), |weights| {
        let broken = (&weights.parameters[name] * f64::INFINITY).unwrap();
        weights.parameters.insert(name.into(), broken);
    });
    assert!(infinite.contains(name) && infinite.contains("finite"), "{infinite}");
    let heads = defect(golden("k1.pth"), |weights| {
        weights.config =
            ModelConfig::new(RetentionConfig { heads: 5, ..Default::default() }, HeadConfig::LanguageModel);
    });
    assert!(heads.contains("heads"), "{heads}");
}

/// A zip archive as PyTorch writes it, with this pickle.
fn archive(pickle: &[u8]) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let mut zip = zip::ZipWriter::new(&mut bytes);
    zip.start_file("model/data.pkl", SimpleFileOptions::default()).unwrap();
    zip.write_all(pickle).unwrap();
    zip.finish().unwrap();
    bytes.into_inner()
}

#[test]
fn only_tensors_are_read() {
    // {"epoch": 3}
    let number = parse(&archive(b"\x80\x02}q\x00X\x05\x00\x00\x00epochq\x01K\x03s.")).expect_err("a number");
    assert!(number.to_string().contains("epoch"), "{number}");
    // os.system("true"), which running the pickle would call.
    let call = b"\x80\x02cposix\nsystem\nq\x00X\x04\x00\x00\x00trueq\x01\x85q\x02Rq\x03.";
    assert!(parse(&archive(call)).is_err());
    // {"w": os.system("true")}
    let inside = b"\x80\x02}q\x00X\x01\x00\x00\x00wcposix\nsystem\nq\x01X\x04\x00\x00\x00trueq\x02\x85q\x03Rq\x04s.";
    let inside = parse(&archive(inside)).expect_err("a call").to_string();
    assert!(inside.contains("entry w"), "{inside}");
    // A tensor whose storage is not there, and arguments that are none.
    let tensor = b"\x80\x02}q\x00X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\nq\x01)Rq\x04s.";
    assert!(parse(&archive(tensor)).is_err());
    assert!(parse(&archive(b"")).is_err());
    assert!(parse(b"PK\x03\x04 cut short").is_err());
    assert!(parse(b"\x80\x02}q\x00.").unwrap_err().to_string().contains("old format"));
    assert!(parse(b"not weights at all").is_err());
    assert!(parse(b"").is_err());
}

#[test]
fn cut_files_are_refused() {
    let whole = weights::write(&golden("k1.pth"), Storage::F32).unwrap();
    let published = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/golden/k1.pth")).unwrap();
    for bytes in [whole, published] {
        for part in 1..20 {
            assert!(parse(&bytes[..bytes.len() * part / 20]).is_err(), "{part}/20");
        }
    }
}

/// The start of training: the published distributions.
#[test]
fn parameters_start_as_published() {
    let encoder = RetentionConfig { k: 3, layers: 1, ..Default::default() };
    let config = ModelConfig::new(encoder.clone(), HeadConfig::published(Task::Coding));
    let parameters = initialise(&config, 1).unwrap();
    let numbers = |name: &str| parameters[name].flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let deviation =
        |values: &[f32]| (values.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / values.len() as f64).sqrt();
    let largest = |values: &[f32]| values.iter().fold(0f64, |m, &x| m.max(f64::from(x).abs()));
    for (name, out, gain) in [
        ("retention.query", 384, 2f64.powf(-2.5)),
        ("retention.key", 384, 2f64.powf(-2.5)),
        ("retention.value", 512, 2f64.powf(-2.5)),
        ("retention.gate", 512, 2f64.powf(-2.5)),
        ("retention.out", 512, 1.0),
    ] {
        let values = numbers(&format!("encoder.layers.0.{name}.weight"));
        let bound = gain * (6.0 / f64::from(384 + out)).sqrt();
        assert!(largest(&values) <= bound && largest(&values) > 0.99 * bound, "{name}");
        assert!((deviation(&values) / (bound / 3f64.sqrt()) - 1.0).abs() < 0.01, "{name}");
    }
    let language_model = initialise(&ModelConfig::new(encoder, HeadConfig::LanguageModel), 1).unwrap();
    let projection = language_model["encoder.lm.projection.weight"].flatten_all().unwrap().to_vec1::<f32>().unwrap();
    assert!((deviation(&projection) / 384f64.powf(-0.5) - 1.0).abs() < 0.02);
    assert!(numbers("encoder.layers.0.ffn.norm.weight").iter().all(|&x| x == 1.0));
    assert_eq!(numbers("head.conv_out.bias"), {
        let again = initialise(&config, 1).unwrap();
        again["head.conv_out.bias"].to_vec1::<f32>().unwrap()
    });
    let other = initialise(&config, 2).unwrap();
    assert_ne!(numbers("head.conv_out.bias"), other["head.conv_out.bias"].to_vec1::<f32>().unwrap());
}

/// The pickle of a state dictionary with one tensor `w` of f32, of this size and stride, in the file `data/0`.
fn one_tensor(size: u32, stride: u8) -> Vec<u8> {
    let text = |text: &str| [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat();
    [
        b"\x80\x02}".to_vec(),
        text("w"),
        b"ctorch._utils\n_rebuild_tensor_v2\n((".to_vec(),
        text("storage"),
        b"ctorch\nFloatStorage\n".to_vec(),
        text("0"),
        text("cpu"),
        b"K\x01tQK\x00(J".to_vec(),
        size.to_le_bytes().to_vec(),
        vec![b't', b'(', b'K', stride],
        b"t\x89}tRs.".to_vec(),
    ]
    .concat()
}

/// An archive as PyTorch's but deflated, of a pickle and the numbers of one tensor.
fn deflated(pickle: &[u8], numbers: &[u8]) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let mut zip = zip::ZipWriter::new(&mut bytes);
    let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    for (name, content) in [("model/data.pkl", pickle), ("model/data/0", numbers)] {
        zip.start_file(name, options).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap();
    bytes.into_inner()
}

/// A safetensors file with this header.
fn with_header(header: &str, numbers: usize) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; 4 * numbers]].concat()
}

/// Small files that claim much: each is refused in one line, by a process that may not take half a gigabyte.
#[test]
fn what_a_file_claims_takes_no_memory() {
    let doubled = [b"\x80\x02K\x01q\x00".as_slice(), &b"h\x00h\x00\x86q\x00".repeat(70), b"."].concat();
    let grown = [b"\x80\x02}q\x00".as_slice(), &b"K\x01K\x01sq\x01".repeat(60), b"."].concat();
    let config = |field: &str| {
        let sizes = r#""task":"pretrain","k":1,"embed_dim":16,"value_dim":16,"ffn_dim":16,"layers":1,"heads":2"#;
        let (name, _) = field.split_once(':').unwrap();
        let kept: Vec<&str> = sizes.split(',').filter(|entry| !entry.starts_with(name)).collect();
        let json = format!(r#"{{"config":{{{},{field}}}}}"#, kept.join(","));
        format!(r#"{{"__metadata__":{{"rnaret":{}}}}}"#, serde_json::Value::String(json))
    };
    let million = vec![b' '; 50 << 20];
    let zeros = vec![0; 100 << 20];
    let wide = r#"{"w":{"dtype":"F4","shape":[8],"data_offsets":[0,4]}}"#;
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes, expected) in [
        ("a text of 4 GB", archive(b"\x80\x02X\xff\xff\xff\xffabc."), "cut short"),
        ("an object doubled 70 times", archive(&doubled), "more than weights need"),
        (
            "a million tuples in each other",
            archive(&[b"\x80\x02)", &*b"\x85".repeat(1 << 20), b"."].concat()),
            "larger",
        ),
        (
            "ten thousand tuples in each other",
            archive(&[b"\x80\x02)", &*b"\x85".repeat(10_000), b"."].concat()),
            "weights need",
        ),
        ("a dictionary that grows while it is kept", archive(&grown), "used elsewhere"),
        ("marks without end", archive(&[&*b"(".repeat(1_000), b"."].concat()), "empty stack"),
        ("a number for a billion", deflated(&one_tensor(1 << 30, 0), &[0; 4]), "small file"),
        ("numbers of 100 MB in 100 kB", deflated(&one_tensor(25 << 20, 1), &zeros), "small file"),
        ("a pickle of 100 MB in 100 kB", deflated(&zeros, &[]), "larger than"),
        ("a header of a terabyte", [&(1u64 << 40).to_le_bytes()[..], b"{}"].concat(), "neither"),
        ("a header of 50 MB", with_header(&String::from_utf8(million).unwrap(), 0), "header"),
        ("a million layers", with_header(&config(r#""layers":1000000000000"#), 0), "layers"),
        ("a width of a million", with_header(&config(r#""embed_dim":1000000"#), 0), "width"),
        ("heads whose double is none", with_header(&config(r#""heads":9223372036854775808"#), 0), "heads"),
        ("numbers of four bits", with_header(wide, 1), "F4"),
    ] {
        let path = folder.path().join("claims.pth");
        std::fs::write(&path, &bytes).unwrap();
        let command = r#"ulimit -v 500000; exec "$0" import "$1" -o "$1.out""#;
        let output = std::process::Command::new("sh")
            .args(["-c", command, env!("CARGO_BIN_EXE_rnaret-train")])
            .arg(&path)
            .output()
            .unwrap();
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{name}: {message}");
        assert!(message.contains(expected) && message.trim_end().lines().count() == 1, "{name}: {message}");
    }
}

/// A view into a larger storage, transposed, and a tensor without numbers.
#[test]
fn tensors_are_views_of_what_is_stored() {
    let numbers: Vec<u8> = (0..12).flat_map(|x| (x as f32).to_le_bytes()).collect();
    let refused = |pickle: &[u8], numbers: &[u8]| parse(&deflated(pickle, numbers)).unwrap_err().to_string();
    // What is read is no model, and the error says which tensor that model lacks: so w was read.
    assert!(refused(&one_tensor(12, 1), &numbers).contains("embed_tokens"));
    assert!(refused(&one_tensor(6, 2), &numbers).contains("embed_tokens"));
    assert!(refused(&one_tensor(0, 1), &numbers).contains("embed_tokens"));
    assert!(refused(&one_tensor(13, 1), &numbers).contains("48 bytes are stored where 52 are needed"));
}
