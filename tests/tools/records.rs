//! What users ask for beside the result: descriptions, JSON Lines, the model's card and a line about it, and what the
//! environment sets.

use crate::common::run::PACKAGE;
use crate::common::{Run, TOOLS, Tool};
use serde_json::Value;

const FASTA: &[u8] = b">r1 gene=ABC type:tRNA\tyeast\nGCGGAUUUAGCUCAGUUGGGAGAGCGCCAGACUGAAGAUCUGGAGGUCCUGUGUUCGAUCCACAGAAUUCGCACCA\n>r2\nGGGGAAAACCCC\n";

fn tool(name: &str) -> &'static Tool {
    TOOLS.iter().find(|tool| tool.name == name).unwrap()
}

fn text(run: Run) -> String {
    String::from_utf8(run.stdin(FASTA).ok()).unwrap()
}

fn bare(name: &str, arguments: &[&str]) -> Run {
    Run::bare(tool(name)).args(arguments).arg("-q")
}

#[test]
fn descriptions_survive() {
    let tab = bare("rnaret-fold", &["--format", "tsv", "--keep-description"]);
    let table = text(tab);
    let rows: Vec<&str> = table.lines().collect();
    assert!(rows[0].ends_with("\tpairs\tdescription"), "{table}");
    assert!(rows[1].ends_with("\tgene=ABC type:tRNA yeast") && rows[2].ends_with('\t'), "{table}");
    for (format, first) in [("dbn", ">r1 gene=ABC type:tRNA yeast"), ("ct", "76 r1 gene=ABC type:tRNA yeast")] {
        let kept = text(bare("rnaret-fold", &["--format", format, "--keep-description"]));
        assert_eq!(kept.lines().next().unwrap(), first);
        // Nothing else changes.
        let plain = text(bare("rnaret-fold", &["--format", format]));
        assert_eq!(kept.replace(" gene=ABC type:tRNA yeast", ""), plain);
    }
    for (name, arguments) in [
        ("rnaret-embed", &["--keep-description"][..]),
        ("rnaret-predict", &["--keep-description", "--model", "testdata/models/classes.safetensors"]),
    ] {
        let table = text(bare(name, arguments));
        assert!(table.lines().next().unwrap().ends_with("\tdescription"), "{name}: {table}");
        assert!(table.lines().nth(1).unwrap().ends_with("\tgene=ABC type:tRNA yeast"), "{name}: {table}");
    }
}

#[test]
fn objects_say_what_rows_say() {
    let classes = ["--model", "testdata/models/classes.safetensors"];
    for (name, arguments) in [
        ("rnaret-fold", &["--energy"][..]),
        ("rnaret-embed", &[]),
        ("rnaret-embed", &["--pool", "none"]),
        ("rnaret-predict", &classes),
        ("rnaret-mirtarget", &["--mirna", "testdata/mirnas.fa"]),
    ] {
        let table = text(bare(name, arguments).args(["--format", "tsv"]));
        let objects = text(bare(name, arguments).args(["--format", "json"]));
        let mut rows = table.lines();
        let header: Vec<&str> = rows.next().unwrap().split('\t').collect();
        assert_eq!(rows.clone().count(), objects.lines().count(), "{name}");
        for (row, object) in rows.zip(objects.lines()) {
            let object: Value =
                serde_json::from_str(object).unwrap_or_else(|error| panic!("{name}: {error}: {object}"));
            for (place, (column, cell)) in header.iter().zip(row.split('\t')).enumerate() {
                let value = match column.strip_prefix("p_") {
                    Some(class) => &object["probabilities"][class],
                    None if column.starts_with('e') && column[1..].parse::<usize>().is_ok() => {
                        &object["vector"][column[1..].parse::<usize>().unwrap()]
                    }
                    None => &object[*column],
                };
                let agrees = match value {
                    Value::String(text) => text == cell,
                    Value::Number(number) => number.as_f64() == cell.parse().ok(),
                    other => other.is_null() && cell == "NA",
                };
                assert!(agrees, "{name}, column {place} {column}: {value} is not {cell}");
            }
        }
    }
}

#[test]
fn a_line_names_the_model_and_its_card_is_printed() {
    let errors = Run::bare(tool("rnaret-fold")).stdin(FASTA).done().stderr();
    assert!(errors.contains("built-in fold model, trained on ") && errors.contains("--model-card"), "{errors}");
    assert_eq!(bare("rnaret-fold", &[]).stdin(FASTA).done().stderr(), "");

    let card = std::fs::read(std::path::Path::new(PACKAGE).join("models/fold.md")).unwrap();
    assert!(Run::bare(tool("rnaret-fold")).arg("--model-card").ok() == card);
    let other = std::fs::read(std::path::Path::new(PACKAGE).join("models/pretrain-k5.md")).unwrap();
    assert!(Run::bare(tool("rnaret-embed")).args(["--model", "pretrain-k5", "--model-card"]).ok() == other);
    Run::bare(tool("rnaret-fold")).args(["--model", "x.pth", "--model-card"]).fails(2, &["x.pth is no built-in model"]);
}

#[test]
fn the_environment_sets_what_options_do_not() {
    let given = text(bare("rnaret-embed", &["--model", "pretrain-k5"]));
    assert!(given == text(bare("rnaret-embed", &[]).env("RNARET_MODEL", "pretrain-k5")));
    assert!(given != text(bare("rnaret-embed", &["--model", "pretrain"]).env("RNARET_MODEL", "pretrain-k5")));
    Run::bare(tool("rna-kmerize")).args(["-k", "3"]).env("RNARET_THREADS", "0").stdin(FASTA).fails(2, &["--threads"]);
}

#[test]
fn other_files_given_as_sequences_are_named() {
    let dot_bracket = b">a\nGGGGAAAACCCC\n((((....))))\n";
    Run::bare(tool("rnaret-coding")).stdin(dot_bracket).fails(1, &["record 1 (a), position 13", "dot-bracket"]);
    assert_eq!(
        bare("rnaret-fold", &["--format", "vienna"]).stdin(FASTA).ok(),
        bare("rnaret-fold", &["--format", "dbn"]).stdin(FASTA).ok()
    );
}

#[test]
fn npy_keeps_its_ids() {
    let folder = tempfile::tempdir().unwrap();
    let ids = folder.path().join("ids.tsv");
    bare("rnaret-embed", &["--format", "npy"]).arg("--ids").arg(&ids).stdin(FASTA).ok();
    assert_eq!(std::fs::read_to_string(&ids).unwrap(), "id\tlength\nr1\t76\nr2\t12\n");
    Run::bare(tool("rnaret-embed")).arg("--ids").arg(&ids).stdin(FASTA).fails(2, &["--format npy"]);
    let errors = Run::bare(tool("rnaret-embed")).args(["--format", "npy"]).stdin(FASTA).done().stderr();
    assert!(errors.contains("--ids FILE"), "{errors}");
}
