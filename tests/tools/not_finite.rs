//! A model that gives numbers which are none: an error that names the record, and never a table of NaN.

use std::path::Path;

use candle_core::{DType, Tensor};
use rnaret::model::weights::{Storage, write};
use rnaret::model::{Task, default_model};

use crate::common::input::TRNA;
use crate::common::{Run, TOOLS};

/// The built-in model of a task with tensors so large that sums of their products overflow, as a file.
fn overflowing(task: Task, folder: &Path) -> String {
    let mut weights = default_model(task).unwrap();
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
    let path = folder.join(format!("{task}.safetensors"));
    std::fs::write(&path, write(&weights, Storage::F32).unwrap()).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn every_tool_names_the_record() {
    let folder = tempfile::tempdir().unwrap();
    // Not the target model, whose numbers saturate and stay finite whatever its weights.
    let [pretrain, fold, coding] =
        [Task::Pretrain, Task::Fold, Task::Coding].map(|task| overflowing(task, folder.path()));
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
    ] {
        let tool = TOOLS.iter().find(|known| known.name == tool).unwrap();
        let run = Run::bare(tool).args(["--model", model]).args(arguments.iter().copied());
        let written = run.stdin(input.as_bytes()).fails(1, &["first-record", "not finite"]);
        let text = String::from_utf8_lossy(&written).to_lowercase();
        assert!(!text.contains("nan") && !text.contains("inf"), "{} {arguments:?}: {text}", tool.name);
    }
}
