//! `--stats`: one row per run, whatever came of it, in a table that many runs share.

use crate::common::run::{PACKAGE, binaries};
use crate::common::{Run, Sample, TOOLS, Tool, for_each_format};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

const COLUMNS: [&str; 16] = [
    "run",
    "tool",
    "version",
    "command",
    "started",
    "records",
    "nucleotides",
    "rejected",
    "seconds",
    "peak_memory",
    "device",
    "model",
    "model_sha256",
    "threads",
    "status",
    "warnings",
];

type Row = BTreeMap<&'static str, String>;

/// The rows of a table, which has one header row and no cell too many.
fn rows(path: &Path) -> Vec<Row> {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.ends_with('\n'), "{text}");
    let mut lines = text.lines();
    assert_eq!(lines.next().unwrap(), COLUMNS.join("\t"));
    let row = |line: &str| {
        let cells: Vec<&str> = line.split('\t').collect();
        assert_eq!(cells.len(), COLUMNS.len(), "{line}");
        COLUMNS.into_iter().zip(cells.into_iter().map(str::to_owned)).collect()
    };
    lines.map(row).collect()
}

fn only_row(path: &Path) -> Row {
    let mut rows = rows(path);
    assert_eq!(rows.len(), 1);
    rows.remove(0)
}

fn number(row: &Row, column: &str) -> f64 {
    row[column].parse().unwrap_or_else(|_| panic!("{column}: {}", row[column]))
}

fn model_tool(name: &str) -> &'static Tool {
    TOOLS.iter().find(|tool| tool.name == name).unwrap()
}

#[test]
fn a_row_tells_about_the_run() {
    for_each_format(|tool, format| {
        let folder = tempfile::tempdir().unwrap();
        let (stats, out) = (folder.path().join("stats.tsv"), folder.path().join("some.out"));
        let input = Sample::few().for_tool(tool);
        let plain = Run::new(tool, format).stdin(&input).ok();
        Run::new(tool, format).arg("--stats").arg(&stats).arg("-o").arg(&out).stdin(&input).ok();
        assert!(fs::read(&out).unwrap() == plain, "{} --stats changes the output", tool.name);
        let row = only_row(&stats);
        let what = format!("{} {:?}: {row:?}", tool.name, format.arguments);
        assert_eq!((row["run"].as_str(), row["tool"].as_str()), ("some.out", tool.name), "{what}");
        assert_eq!(row["version"], env!("CARGO_PKG_VERSION"), "{what}");
        assert!(row["command"].starts_with(&format!("{} ", tool.name)), "{what}");
        assert!(row["command"].contains(" --stats ") && row["command"].ends_with("some.out"), "{what}");
        assert!(row["started"].len() == 20 && row["started"].ends_with('Z'), "{what}");
        let nucleotides: usize = Sample::few().0.iter().map(|(_, sequence)| sequence.len()).sum();
        assert_eq!((row["records"].as_str(), number(&row, "nucleotides")), ("5", nucleotides as f64), "{what}");
        assert_eq!(
            (row["rejected"].as_str(), row["status"].as_str(), row["threads"].as_str()),
            ("0", "0", "1"),
            "{what}"
        );
        assert!(number(&row, "seconds") > 0.0 && number(&row, "peak_memory") > 1e6, "{what}");
        if tool.has_model {
            let is_named = row["model"].starts_with("built-in ") || row["command"].contains(&row["model"]);
            assert!(is_named && row["model_sha256"].len() == 64, "{what}");
        } else {
            assert_eq!((row["model"].as_str(), row["model_sha256"].as_str()), ("NA", "NA"), "{what}");
        }
    });
}

#[test]
fn failed_runs_have_their_row() {
    for_each_format(|tool, format| {
        let folder = tempfile::tempdir().unwrap();
        let stats = folder.path().join("stats.tsv");
        let mut input = Sample::few().for_tool(tool);
        input.extend_from_slice(if tool.takes_sequences() { b">bad\n-\n" } else { b"bad\t1\t-\n" });
        let run = || Run::new(tool, format).arg("--stats").arg(&stats);
        run().stdin(&input).fails(1, &["bad"]);
        run().args(["--on-error", "skip", "-q"]).stdin(&input).ok();
        run().arg("no-such-file").fails(1, &["no-such-file"]);
        run().args(["-", "-"]).fails(2, &["standard input"]);
        let rows = rows(&stats);
        let figures = |column: &str| rows.iter().map(|row| row[column].as_str()).collect::<Vec<_>>();
        assert_eq!(figures("status"), ["1", "0", "1", "2"], "{}", tool.name);
        assert_eq!(figures("rejected"), ["1", "1", "0", "0"], "{}", tool.name);
        assert_eq!(figures("records"), ["5", "5", "0", "0"], "{}", tool.name);
    });
}

#[test]
fn records_that_memory_refuses_are_rejected() {
    for_each_format(|tool, format| {
        // It holds sites in memory, not records.
        if !tool.has_model || tool.name == "rnaret-mirtarget" {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let stats = folder.path().join("stats.tsv");
        let run = |on_error: &str| {
            let run = Run::new(tool, format).arg("--stats").arg(&stats).args(["--on-error", on_error, "-q"]);
            run.env("RNARET_MEMORY_TOKENS", "120").stdin(&Sample::few().for_tool(tool))
        };
        run("skip").ok();
        run("fail").fails(1, &["record long"]);
        let rows = rows(&stats);
        assert_eq!(rows.len(), 2);
        for (row, status) in rows.iter().zip(["0", "1"]) {
            let what = format!("{} {:?}: {row:?}", tool.name, format.arguments);
            assert_eq!((row["rejected"].as_str(), row["status"].as_str()), ("1", status), "{what}");
        }
        assert_eq!(rows[0]["records"], "5", "{} {:?}", tool.name, format.arguments);
    });
}

#[test]
fn shards_count_their_own_records() {
    for_each_format(|tool, format| {
        let folder = tempfile::tempdir().unwrap();
        let (stats, input) = (folder.path().join("stats.tsv"), folder.path().join("in"));
        fs::write(&input, Sample::many(30).for_tool(tool)).unwrap();
        for shard in ["1/3", "2/3", "3/3"] {
            Run::new(tool, format).arg("--stats").arg(&stats).args(["--shard", shard]).arg(&input).ok();
        }
        let rows = rows(&stats);
        assert_eq!(rows.iter().map(|row| number(row, "records")).sum::<f64>(), 30.0, "{}", tool.name);
        assert_eq!(rows.iter().map(|row| row["run"].as_str()).collect::<Vec<_>>(), ["in 1/3", "in 2/3", "in 3/3"]);
    });
}

/// As the tasks of an array job do.
#[test]
fn runs_at_the_same_time_share_a_table() {
    let folder = tempfile::tempdir().unwrap();
    let stats = folder.path().join("stats.tsv");
    let start = || {
        Command::new(binaries().join("rna-kmerize"))
            .args(["-k", "3", "testdata/rnas.fa.gz", "--stats"])
            .arg(&stats)
            .current_dir(PACKAGE)
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    };
    let running: Vec<_> = (0..24).map(|_| start()).collect();
    for mut child in running {
        assert!(child.wait().unwrap().success());
    }
    let rows = rows(&stats);
    assert_eq!(rows.len(), 24);
    assert!(rows.iter().all(|row| row["records"] == "6" && row["run"] == "rnas.fa.gz"));
}

#[test]
fn other_tables_are_left_alone() {
    let (tool, folder) = (model_tool("rna-kmerize"), tempfile::tempdir().unwrap());
    let format = &tool.formats[0];
    let path = folder.path().join("x.tsv");
    let input = Sample::few().for_tool(tool);
    let run = || Run::new(tool, format).stdin(&input).arg("--stats");
    fs::write(&path, "id\tlength\n").unwrap();
    run().arg(&path).fails(1, &["x.tsv", "header row", "another name"]);
    assert_eq!(fs::read(&path).unwrap(), b"id\tlength\n");
    run().arg(folder.path().join("no/such/x.tsv")).fails(1, &["no/such/x.tsv", "does not exist"]);
    run().arg("-").fails(2, &["--stats"]);
    fs::remove_file(&path).unwrap();
    run().arg(&path).arg("-o").arg(&path).fails(2, &["two outputs have the name"]);
    // A row that cannot be written at the end.
    run().arg("/dev/full").fails(1, &["/dev/full", "No space left"]);
}

#[test]
fn cells_are_one_line_and_can_be_pasted_into_a_shell() {
    let (tool, folder) = (model_tool("rna-kmerize"), tempfile::tempdir().unwrap());
    let (stats, input) = (folder.path().join("stats.tsv"), folder.path().join("a b\tc\nd's.fa"));
    fs::write(&input, ">a\nACGU\n").unwrap();
    Run::new(tool, &tool.formats[0]).arg("--stats").arg(&stats).arg(&input).ok();
    let row = only_row(&stats);
    assert_eq!(row["run"], "a b\\tc\\nd's.fa");
    fs::rename(&input, folder.path().join("plain 'name'.fa")).unwrap();
    fs::remove_file(&stats).unwrap();
    Run::new(tool, &tool.formats[0]).arg("--stats").arg(&stats).arg(folder.path().join("plain 'name'.fa")).ok();
    let command = only_row(&stats)["command"].clone();
    let path = format!("{}:{}", binaries().display(), std::env::var("PATH").unwrap());
    assert!(
        Command::new("bash").args(["-c", &command]).env("PATH", path).stdout(Stdio::null()).status().unwrap().success()
    );
    assert_eq!(rows(&stats).len(), 2);
}

#[test]
fn a_signal_is_a_status_too() {
    let (tool, folder) = (model_tool("rna-kmerize"), tempfile::tempdir().unwrap());
    let stats = folder.path().join("stats.tsv");
    let mut child = Run::with_default_signals(tool, &tool.formats[0]).arg("--stats").arg(&stats).spawn();
    // The table is made before the first record is read, and signals are watched for by then.
    while !stats.exists() {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    std::thread::sleep(std::time::Duration::from_millis(20));
    // Held, so that the input does not end.
    let stdin = child.stdin.take();
    assert!(Command::new("kill").args(["-s", "TERM", &child.id().to_string()]).status().unwrap().success());
    assert!(!child.wait().unwrap().success());
    drop(stdin);
    assert_eq!(only_row(&stats)["status"], "143");
}

#[test]
fn training_evaluating_and_importing() {
    let folder = tempfile::tempdir().unwrap();
    let (stats, run, model) =
        (folder.path().join("stats.tsv"), folder.path().join("run"), folder.path().join("m.safetensors"));
    let tool = model_tool("rnaret-train");
    let start = |command: &[&str]| Run::bare(tool).args(command.iter().copied()).arg("--stats").arg(&stats);
    start(&["import", "testdata/golden/k1_fold.pth"]).arg("-o").arg(&model).ok();
    start(&["mirtarget", "testdata/mirna_pairs.tsv", "--layers", "1", "--steps", "1", "-q"])
        .arg("--run")
        .arg(&run)
        .ok();
    start(&["evaluate", "--task", "mirtarget", "testdata/mirna_pairs.tsv"]).ok();
    let rows = rows(&stats);
    let figures = |column: &str| rows.iter().map(|row| row[column].as_str()).collect::<Vec<_>>();
    assert_eq!(figures("run"), ["m.safetensors", "run", "mirna_pairs.tsv"]);
    assert_eq!(figures("status"), ["0", "0", "0"]);
    assert_eq!(figures("records"), ["0", "16", "16"]);
    assert_eq!(rows[2]["model"], "built-in mirtarget model");
    assert!(number(&rows[1], "nucleotides") > 16.0 * 40.0);
}
