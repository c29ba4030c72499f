//! rnaret-train as a user runs it: killed, interrupted, on other threads, from a stream, for every task.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const TINY: [&str; 10] = ["--layers", "2", "--embed-dim", "16", "--value-dim", "16", "--ffn-dim", "16", "--heads", "2"];

fn trainer(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rnaret-train"));
    command.args(arguments);
    command
}

#[track_caller]
fn run(arguments: &[&str]) -> String {
    let output = trainer(arguments).output().expect("the program starts");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {text}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("the path is UTF-8")
}

/// Random letters, then what is put in their place.
fn sequence(random: &mut ChaCha8Rng, length: usize) -> String {
    (0..length).map(|_| char::from(b"ACGU"[random.random_range(0..4)])).collect()
}

/// Data of a task that a small model learns quickly, and the arguments that its training needs beside it.
fn toy_data(task: &str, folder: &Path) -> (PathBuf, Vec<&'static str>) {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut rows = String::new();
    let mut arguments = vec!["--validation-fraction", "0.2", "--split-by", "record"];
    let name = match task {
        "pretrain" => {
            for i in 0..60 {
                let unit = sequence(&mut random, 1) + "GCU";
                rows += &format!(">r{i}\n{}\n", unit.repeat(10));
            }
            "data.fa"
        }
        "fold" => {
            rows += "id\tfamily\tseq\tdotbracket\n";
            for i in 0..24 {
                let length = 4 + i % 4;
                let stem = "G".repeat(length);
                let loops = "A".repeat(4);
                let other = "C".repeat(length);
                rows += &format!("r{i}\tf\t{stem}{loops}{other}\t{}....{}\n", "(".repeat(length), ")".repeat(length));
            }
            arguments.extend(["--head", "helices", "--head-blocks", "3", "--head-width", "8"]);
            "data.tsv"
        }
        "coding" => {
            rows += "id\tcds_start0\tcds_end\tseq\n";
            for i in 0..40 {
                let before = sequence(&mut random, 30);
                let (start, end, middle) =
                    if i % 2 == 0 { (30, 90, "GCC".repeat(20)) } else { (-1, -1, "UAA".repeat(20)) };
                rows += &format!("r{i}\t{start}\t{end}\t{before}{middle}\n");
            }
            arguments.extend(["--head", "frames", "--head-blocks", "2", "--head-width", "8"]);
            "data.tsv"
        }
        "mirtarget" => {
            rows += "id\tmirna\tmirna_seq\ttarget\ttarget_seq\tlabel\n";
            for i in 0..80 {
                let target = if i % 2 == 0 { "GGGGCCCCGG" } else { "AAUUAAUUAA" };
                rows += &format!("r{i}\tm\t{}\tt\t{target}\t{}\n", sequence(&mut random, 20), 1 - i % 2);
            }
            arguments.extend(["--head", "duplex", "--head-blocks", "2", "--head-width", "8"]);
            arguments.extend(["--mask-rate", "0.05", "--trim", "1"]);
            "data.tsv"
        }
        other => panic!("no such task: {other}"),
    };
    let path = folder.join(name);
    fs::write(&path, rows).expect("data are written");
    (path, arguments)
}

/// A run of `steps` steps in the folder `name`.
fn arguments<'a>(
    task: &'a str,
    data: &'a Path,
    folder: &'a Path,
    own: &[&'a str],
    steps: &'a str,
    threads: &'a str,
) -> Vec<&'a str> {
    let mut all = vec!["-q", "-t", threads, task, text(data), "--run", text(folder), "--steps", steps, "--epochs", "0"];
    all.extend(TINY);
    all.extend(own);
    all.extend(["--batch-records", "8", "--micro-tokens", "60", "--learning-rate", "0.01", "--log-every", "5"]);
    all.extend(["--validate-every", "10", "--checkpoint-every", "5", "--cycle-steps", "1000", "--dropout", "0.1"]);
    all
}

fn model(folder: &Path) -> Vec<u8> {
    fs::read(folder.join("model.safetensors")).expect("the run left its weights")
}

/// metrics.tsv without the speed, which differs between equal runs.
fn metrics(folder: &Path) -> Vec<Vec<String>> {
    let text = fs::read_to_string(folder.join("metrics.tsv")).expect("the run left its metrics");
    text.lines()
        .map(|line| line.split('\t').enumerate().filter(|(i, _)| *i != 7).map(|(_, field)| field.to_string()).collect())
        .collect()
}

#[test]
fn every_tasks_loss_falls_and_its_figures_are_those_of_evaluate() {
    for task in ["pretrain", "fold", "coding", "mirtarget"] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (data, own) = toy_data(task, folder.path());
        let run_folder = folder.path().join("run");
        // A variable without a gradient would end the run with an error.
        run(&arguments(task, &data, &run_folder, &own, "60", "2"));
        let rows = metrics(&run_folder);
        let loss = |row: &Vec<String>| row[4].parse::<f64>().expect("a number");
        let (first, last) = (loss(&rows[1]), loss(&rows[rows.len() - 1]));
        assert!(last < 0.8 * first, "{task}: the loss went from {first} to {last}");

        let weights = run_folder.join("model.safetensors");
        let records = folder.path().join("records.tsv");
        let mut evaluate = vec!["-q", "evaluate", "--task", task, text(&data), "--model", text(&weights)];
        evaluate.extend(["--held-out", "--validation-fraction", "0.2", "--split-by", "record"]);
        evaluate.extend(["--per-record", text(&records)]);
        let figures = run(&evaluate);
        let decisive = &rows[0][7];
        let line = figures.lines().find(|line| line.starts_with(&format!("{decisive}\t")));
        let value: f64 = line.expect("the figure is printed")[decisive.len() + 1..].parse().expect("a number");
        let seen = rows[1..].iter().filter_map(|row| row[7].parse::<f64>().ok());
        assert!(
            seen.clone().any(|figure| (figure - value).abs() < 1e-4),
            "{task}: evaluate says {decisive} {value}, the run's validations {:?}",
            seen.collect::<Vec<_>>()
        );
        assert!(fs::read_to_string(&records).expect("a table").lines().count() > 2);
    }
}

#[test]
fn threads_do_not_change_a_bit() {
    for task in ["pretrain", "fold", "coding", "mirtarget"] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (data, own) = toy_data(task, folder.path());
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        run(&arguments(task, &data, &one, &own, "12", "1"));
        run(&arguments(task, &data, &two, &own, "12", "2"));
        assert!(model(&one) == model(&two), "{task}: one thread and two give other weights");
        assert_eq!(metrics(&one), metrics(&two));
    }
}

/// Without dropout, the halves of a micro-batch that does not fit give the gradient of the whole, up to rounding.
#[test]
fn memory_that_runs_out_halves_the_micro_batch() {
    for task in ["pretrain", "fold", "coding", "mirtarget"] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (data, own) = toy_data(task, folder.path());
        let last_loss = |name: &str, limit: Option<&str>| {
            let run_folder = folder.path().join(name);
            let mut arguments = arguments(task, &data, &run_folder, &own, "10", "2");
            let dropout = arguments.iter().position(|argument| *argument == "--dropout").expect("it is there");
            arguments[dropout + 1] = "0";
            let micro = arguments.iter().position(|argument| *argument == "--micro-tokens").expect("it is there");
            arguments[micro + 1] = "1000";
            let mut command = trainer(&arguments);
            if let Some(limit) = limit {
                command.env("RNARET_MEMORY_TOKENS", limit);
            }
            let output = command.output().expect("it starts");
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            if !output.status.success() {
                return Err(text);
            }
            let rows = metrics(&run_folder);
            Ok(rows[rows.len() - 1][4].parse::<f64>().expect("a number"))
        };
        let whole = last_loss("whole", None).expect("it fits");
        let halves = last_loss("halves", Some("100")).expect("the halves fit");
        assert!((whole - halves).abs() < 1e-3 * whole, "{task}: {whole} {halves}");
        let error = last_loss("none", Some("5")).expect_err("nothing fits");
        assert!(error.contains("record ") && error.contains("does not fit in memory alone"), "{error}");
    }
}

#[test]
fn bf16_and_cuda_are_refused_where_they_cannot_be_had() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (data, own) = toy_data("mirtarget", folder.path());
    let run_folder = folder.path().join("run");
    let mut refused = vec![(["--precision", "bf16"], "bf16")];
    if cfg!(not(feature = "cuda")) {
        refused.push((["--device", "cuda:1"], "built for the CPU alone"));
    }
    for (asked, message) in refused {
        let mut arguments = arguments("mirtarget", &data, &run_folder, &own, "2", "1");
        arguments.extend(asked);
        let output = trainer(&arguments).output().expect("it starts");
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&output.stderr).contains(message));
    }
}

#[test]
fn a_run_killed_again_and_again_ends_as_one_that_never_was() {
    for task in ["pretrain", "coding", "mirtarget"] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (data, own) = toy_data(task, folder.path());
        let (whole, killed) = (folder.path().join("whole"), folder.path().join("killed"));
        let own = [&own[..], &["--ema-decay", "0.9"]].concat();
        let began = Instant::now();
        run(&arguments(task, &data, &whole, &own, "60", "1"));
        let duration = began.elapsed();
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let mut kills = 0;
        for attempt in 0..40 {
            let mut child = trainer(&arguments(task, &data, &killed, &own, "60", "1")).spawn().expect("it starts");
            // Somewhere in the run, or in what of it is left; the last attempts are let through.
            let part = if attempt < 30 { random.random_range(0.05..0.9) } else { 100.0 };
            let deadline = Instant::now() + duration.mul_f64(part);
            let status = loop {
                if let Some(status) = child.try_wait().expect("it can be waited for") {
                    break Some(status);
                }
                if Instant::now() >= deadline {
                    child.kill().expect("it can be killed");
                    child.wait().expect("it can be waited for");
                    kills += 1;
                    break None;
                }
                std::thread::sleep(Duration::from_millis(1));
            };
            if let Some(status) = status {
                assert!(status.success());
                break;
            }
        }
        assert!(kills > 0, "the run was never killed");
        assert!(model(&whole) == model(&killed), "{task}: other weights after {kills} kills");
        assert_eq!(metrics(&whole), metrics(&killed));
        assert!(
            !fs::read_dir(&killed)
                .expect("a listing")
                .any(|entry| { entry.expect("an entry").file_name().to_string_lossy().contains("records") })
        );
    }
}

#[test]
fn a_signal_writes_a_checkpoint_and_exits_with_3() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (data, own) = toy_data("mirtarget", folder.path());
    for signal in ["TERM", "USR1"] {
        let run_folder = folder.path().join(signal);
        let mut arguments = arguments("mirtarget", &data, &run_folder, &own, "1000000", "1");
        let every = arguments.iter().position(|argument| *argument == "--checkpoint-every").expect("it is there");
        arguments[every + 1] = "1000000";
        let mut child = trainer(&arguments).spawn().expect("it starts");
        let table = run_folder.join("metrics.tsv");
        while !fs::read_to_string(&table).is_ok_and(|text| text.lines().count() > 2) {
            assert!(child.try_wait().expect("it can be waited for").is_none(), "the run ended too soon");
            std::thread::sleep(Duration::from_millis(5));
        }
        let id = child.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &id]).status().expect("kill starts").success());
        assert_eq!(child.wait().expect("it ends").code(), Some(3));
        assert_eq!(fs::read_dir(run_folder.join("checkpoints")).expect("a listing").count(), 1);
        assert!(!run_folder.join("model.safetensors").exists(), "an interrupted run has no result yet");
    }
}

#[test]
fn a_stream_is_one_pass() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (data, _) = toy_data("pretrain", folder.path());
    let run_folder = folder.path().join("run");
    let mut arguments = vec!["pretrain", "-", "--run", text(&run_folder), "-q", "-t", "2"];
    arguments.extend(TINY);
    arguments.extend(["--batch-records", "8", "--shuffle-records", "25", "--log-every", "1"]);
    let mut child = trainer(&arguments).stdin(Stdio::piped()).spawn().expect("it starts");
    child.stdin.take().expect("a pipe").write_all(&fs::read(&data).expect("data")).expect("data are taken");
    assert!(child.wait().expect("it ends").success());
    let rows = metrics(&run_folder);
    // 60 records in windows of 25, 25 and 10, in batches of 8: 4 + 4 + 2 steps.
    assert_eq!(rows[rows.len() - 1][..3], ["10", "3", "60"]);
}

#[test]
fn the_config_of_a_run_repeats_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (data, own) = toy_data("fold", folder.path());
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    run(&arguments("fold", &data, &first, &own, "5", "1"));
    let config = first.join("config.toml");
    run(&["-q", "fold", text(&data), "--config", text(&config), "--run", text(&second)]);
    assert!(model(&first) == model(&second));
}

#[test]
fn other_settings_do_not_continue_a_run() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (data, own) = toy_data("mirtarget", folder.path());
    let run_folder = folder.path().join("run");
    run(&arguments("mirtarget", &data, &run_folder, &own, "5", "1"));
    // Longer is the same run; another learning rate is not.
    run(&arguments("mirtarget", &data, &run_folder, &own, "10", "1"));
    assert_eq!(metrics(&run_folder).last().expect("a row")[0], "10");
    let mut other = arguments("mirtarget", &data, &run_folder, &own, "15", "1");
    let rate = other.iter().position(|argument| *argument == "--learning-rate").expect("it is there");
    other[rate + 1] = "0.02";
    let output = trainer(&other).output().expect("it starts");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("other settings"));
}

#[test]
fn a_loss_that_is_not_finite_names_the_step_and_the_checkpoint() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (data, own) = toy_data("mirtarget", folder.path());
    let run_folder = folder.path().join("run");
    let mut wild = arguments("mirtarget", &data, &run_folder, &own, "200", "1");
    let rate = wild.iter().position(|argument| *argument == "--learning-rate").expect("it is there");
    wild[rate + 1] = "1e30";
    let output = trainer(&wild).output().expect("it starts");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(text.contains("not finite at step"), "{text}");
}

/// Structures by free energy alone, and those of the best relative where relatives are looked for.
#[test]
fn rules_for_structures_stand_beside_the_model() {
    let known = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/structures/known.dbn");
    let evaluate =
        |arguments: &[&str]| run(&[&["evaluate", "--task", "fold", "--baseline", known], arguments].concat());
    let figures = evaluate(&[]);
    assert!(figures.starts_with("figure\tmodel\tfree_energy\tnearest_relative\nf1\t"), "{figures}");
    let f1: Vec<f64> = figures.lines().nth(1).map_or(vec![], |row| row.split('\t').flat_map(str::parse).collect());
    // Of RNAs with many relatives the best one tells most, though copies are not heard.
    assert!(f1.len() == 3 && f1.iter().all(|f1| (0.3..=1.0).contains(f1)), "{figures}");
    let without = evaluate(&["--known-structures", "none"]);
    assert!(without.starts_with("figure\tmodel\tfree_energy\nf1\t"), "{without}");
}

/// Simple rules stand beside the model; what learns, learns from what is not evaluated.
#[test]
fn baselines_have_a_column_each() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (data, _) = toy_data("coding", folder.path());
    let evaluate = |arguments: &[&str]| {
        let all = [&["evaluate", "--task", "coding", text(&data), "--baseline"], arguments].concat();
        let output = trainer(&all).output().expect("it starts");
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{errors}");
        (String::from_utf8_lossy(&output.stdout).into_owned(), errors)
    };
    let (alone, warned) = evaluate(&[]);
    assert!(alone.starts_with("figure\tmodel\tlongest_orf\naccuracy\t"), "{alone}");
    assert!(warned.contains("--baseline-training"), "{warned}");
    // Transcripts of GCC repeats and of UAA repeats are told apart by their letters.
    let held_out = ["--held-out", "--validation-fraction", "0.3", "--split-by", "record"];
    for arguments in [&held_out[..], &["--baseline-training", text(&data)]] {
        let (figures, warned) = evaluate(arguments);
        assert!(figures.starts_with("figure\tmodel\tlongest_orf\tkmer_regression\n"), "{figures}");
        assert!(!warned.contains("--baseline-training"), "{warned}");
        let auc = figures.lines().find(|line| line.starts_with("auc\t")).expect("a figure");
        assert_eq!(auc.split('\t').nth(3), Some("1"), "{figures}");
        assert!(figures.lines().any(|line| line.starts_with("base_f1\t") && line.ends_with("\tNA")), "{figures}");
    }
}
