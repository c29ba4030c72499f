//! A model that gives numbers which are none: an error that names the record, and never a table of NaN.

use std::path::Path;

use candle_core::{DType, Tensor};
use rnaret::model::weights::{Storage, read, write};
use rnaret::model::{Task, Weights, default_model};

use crate::common::input::TRNA;
use crate::common::{Run, TOOLS};

/// A model with tensors so large that sums of their products overflow, as a file.
fn overflowing(mut weights: Weights, folder: &Path) -> String {
    // Not those of the embedding: a norm makes zeros of numbers whose squares overflow.
    for (_, tensor) in weights.parameters.iter_mut().filter(|(name, _)| !name.contains("embed")) {
        let large: Vec<f32> = tensor
            .to_dtype(DType::F32)
            .and_then(|tensor| tensor.flatten_all()?.to_vec1::<f32>())
            .unwrap()
            .iter()
            .map(|x| (x * 1e30).clamp(-3e38, 3e38))
            .collect();
        *tensor = Tensor::from_vec(large, tensor.shape(), tensor.device()).unwrap();
    }
    let path = folder.join(format!("{}.safetensors", weights.config.task()));
    std::fs::write(&path, write(&weights, Storage::F32).unwrap()).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn every_tool_names_the_record() {
    let folder = tempfile::tempdir().unwrap();
    let [pretrain, fold, coding] =
        [Task::Pretrain, Task::Fold, Task::Coding].map(|task| overflowing(default_model(task).unwrap(), folder.path()));
    // The built-in model has no encoder, and its head's numbers saturate.
    let published = read(Path::new("testdata/golden/k1_mirtarget.pth")).unwrap();
    let mirtarget = overflowing(published, folder.path());
    let input = format!(">first-record\n{}\n", TRNA.repeat(4));
    for (tool, model, arguments) in [
        ("rnaret-embed", &pretrain, &[][..]),
        ("rnaret-embed", &pretrain, &["--pool", "cls"]),
        ("rnaret-embed", &pretrain, &["--pool", "none", "--format", "safetensors"]),
        ("rnaret-embed", &pretrain, &["--retention", "first-row"]),
        ("rnaret-embed", &pretrain, &["--retention", "column-mean"]),
        ("rnaret-embed", &pretrain, &["--retention", "map"]),
        ("rnaret-embed", &pretrain, &["--likelihood"]),
        ("rnaret-fold", &fold, &[]),
        ("rnaret-coding", &coding, &["--summary", "/dev/null"]),
        ("rnaret-mirtarget", &mirtarget, &["--mirna", "testdata/mirnas.fa", "--candidates", "all"]),
    ] {
        let tool = TOOLS.iter().find(|known| known.name == tool).unwrap();
        let run = Run::bare(tool).args(["--model", model]).args(arguments.iter().copied());
        let written = run.stdin(input.as_bytes()).fails(1, &["first-record", "not finite"]);
        let text = String::from_utf8_lossy(&written).to_lowercase();
        assert!(!text.contains("nan") && !text.contains("inf"), "{} {arguments:?}: {text}", tool.name);
    }
    let tool = TOOLS.iter().find(|known| known.name == "rnaret-mirtarget").unwrap();
    let run = Run::bare(tool).args(["--model", &mirtarget, "--pairs", "testdata/mirna_pairs.tsv"]);
    run.fails(1, &["hsa-let-7a-5p in ENSG00000184012", "not finite"]);
    let tool = TOOLS.iter().find(|known| known.name == "rnaret-train").unwrap();
    let run = Run::bare(tool).args(["evaluate", "--task", "mirtarget", "--model", &mirtarget]);
    run.arg("testdata/mirna_pairs.tsv").fails(1, &["not finite"]);
}
