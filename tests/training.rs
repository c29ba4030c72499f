//! rnaret-train as a user runs it: killed, interrupted, on other threads, from a stream, for every task.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const TINY: [&str; 10] = ["--layers", "2", "--embed-dim", "16", "--value-dim", "16", "--ffn-dim", "16", "--heads", "2"];

/// All tasks that models are trained for.
const TASKS: [&str; 7] = ["pretrain", "fold", "coding", "mirtarget", "classify", "regress", "label"];

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
        "classify" => {
            rows += "id\tseq\tlabel\n";
            for i in 0..80 {
                let unit = ["GGCC", "AAUU", "GAGA"][i % 3].repeat(4 + i % 5);
                rows += &format!("r{i}\t{unit}{}\tclass {}\n", sequence(&mut random, 4), i % 3);
            }
            arguments.extend(["--head-blocks", "2", "--head-width", "8"]);
            "data.tsv"
        }
        "regress" => {
            rows += "id\tseq\tshare\tletters\n";
            for i in 0..80 {
                let sequence = ["GGCC", "AAUU"][i % 2].repeat(4 + i % 5);
                rows += &format!("r{i}\t{sequence}\t{}\t{}\n", 1 - i % 2, sequence.len());
            }
            arguments.extend(["--head-blocks", "1", "--head-width", "8", "--columns", "share,letters"]);
            "data.tsv"
        }
        "label" => {
            rows += "id\tseq\tlabels\n";
            for i in 0..60 {
                let sequence = sequence(&mut random, 20 + i % 9);
                let labels: String =
                    sequence.chars().map(|letter| if "GC".contains(letter) { 's' } else { 'w' }).collect();
                rows += &format!("r{i}\t{sequence}\t{labels}\n");
            }
            arguments.extend(["--head-blocks", "1", "--head-width", "8"]);
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
    for task in TASKS {
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
    for task in TASKS {
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
    for task in TASKS {
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
    for task in ["pretrain", "fold", "coding", "mirtarget"] {
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

/// Structures by free energy alone, and those of the best homolog where homologs are looked for.
#[test]
fn rules_for_structures_stand_beside_the_model() {
    let known = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/structures/known.dbn");
    let evaluate =
        |arguments: &[&str]| run(&[&["evaluate", "--task", "fold", "--baseline", known], arguments].concat());
    let figures = evaluate(&[]);
    assert!(figures.starts_with("figure\tmodel\tfree_energy\tenergies\tnearest_homolog\nf1\t"), "{figures}");
    let f1: Vec<f64> = figures.lines().nth(1).map_or(vec![], |row| row.split('\t').flat_map(str::parse).collect());
    // Of RNAs with many homologs the best one tells most, though copies are passed over.
    assert!(f1.len() == 4 && f1.iter().all(|f1| (0.3..=1.0).contains(f1)), "{figures}");
    let without = evaluate(&["--known-structures", "none"]);
    assert!(without.starts_with("figure\tmodel\tfree_energy\tenergies\nf1\t"), "{without}");
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

/// Every file of a folder and its bytes.
fn contents(folder: &Path) -> std::collections::BTreeMap<PathBuf, Vec<u8>> {
    let mut found = std::collections::BTreeMap::new();
    for entry in fs::read_dir(folder).expect("a listing") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => found.extend(contents(&path)),
            false => {
                let bytes = fs::read(&path).expect("its bytes");
                found.insert(path, bytes);
            }
        }
    }
    found
}

/// What a command that fails says, with the status that it exits with.
#[track_caller]
fn refused(arguments: &[&str], status: i32) -> String {
    let output = trainer(arguments).output().expect("it starts");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(status), "{arguments:?}: {text}");
    assert_eq!(text.trim_end().lines().count(), 1, "one line says what: {text}");
    text
}

/// Replaces the value of an argument.
fn set<'a>(arguments: &mut [&'a str], name: &str, value: &'a str) {
    let place = arguments.iter().position(|argument| *argument == name).expect("it is there");
    arguments[place + 1] = value;
}

/// Settings, data and first weights decide what a run is; each is named, and the folder stays as it was.
#[test]
fn another_run_leaves_the_folder_as_it_was() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (data, own) = toy_data("mirtarget", folder.path());
    let (run_folder, start) = (folder.path().join("run"), folder.path().join("start"));
    run(&arguments("mirtarget", &data, &start, &own, "5", "1"));
    let weights = start.join("model.safetensors");
    let mut command = arguments("mirtarget", &data, &run_folder, &own, "5", "1");
    command.extend(["--model", text(&weights)]);
    run(&command);
    let before = contents(&run_folder);

    let other_data = folder.path().join("other.tsv");
    let rows = fs::read_to_string(&data).expect("the data");
    fs::write(&other_data, rows.replacen("GGGGCCCCGG", "GGGGCCCCGA", 1)).expect("other data");
    let mut rate = command.clone();
    set(&mut rate, "--learning-rate", "0.02");
    let mut width = command.clone();
    set(&mut width, "--head-width", "9");
    let mut letters = command.clone();
    letters[4] = text(&other_data);
    let mut fresh = command.clone();
    fresh.truncate(fresh.len() - 2);
    let mut held_out = command.clone();
    held_out.extend(["--validation", text(&data)]);
    for (other, names) in [
        (rate, &["--learning-rate is 0.01 there and 0.02 here"][..]),
        (width, &["the model's head.width is 8 there and 9 here"]),
        (letters, &["training data: data.tsv (SHA-256 ", " there and other.tsv (SHA-256 "]),
        (fresh, &["weights to start from: model.safetensors (SHA-256 ", "and none here"]),
        (held_out, &["validation data: none there and data.tsv (SHA-256 "]),
    ] {
        let message = refused(&other, 2);
        names.iter().for_each(|name| assert!(message.contains(name), "{message}"));
        assert!(contents(&run_folder) == before, "the folder has changed: {message}");
    }
    // Elsewhere, the same data are the same.
    let moved = folder.path().join("moved.tsv");
    fs::copy(&data, &moved).expect("a copy");
    command[4] = text(&moved);
    run(&command);
    assert_eq!(model(&run_folder), before[&run_folder.join("model.safetensors")]);
}

/// A run that is finished, by its steps, its passes or since validation no longer improves, stays as it is.
#[test]
fn a_finished_run_changes_no_more() {
    for task in ["pretrain", "fold", "coding", "mirtarget"] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (data, own) = toy_data(task, folder.path());
        // Nothing improves at this rate, so the second validation is the last.
        let early =
            ["--patience", "1", "--validate-every", "5", "--learning-rate", "1e-30", "--min-learning-rate", "0"];
        let passes = ["--steps", "0", "--epochs", "2", "--validate-every", "1000"];
        let without = ["--steps", "5", "--validation-fraction", "0"];
        for (name, more) in [("early", &early[..]), ("passes", &passes), ("without", &without)] {
            let run_folder = folder.path().join(name);
            let mut command = arguments(task, &data, &run_folder, &own, "60", "1");
            for pair in more.chunks(2) {
                match command.contains(&pair[0]) {
                    true => set(&mut command, pair[0], pair[1]),
                    false => command.extend(pair),
                }
            }
            run(&command);
            if name == "early" {
                assert_eq!(metrics(&run_folder).last().expect("a row")[0], "10", "{task}");
            }
            let before = contents(&run_folder);
            assert!(before.contains_key(&run_folder.join("model.safetensors")));
            let quiet = command.iter().position(|argument| *argument == "-q").expect("it is there");
            command.remove(quiet);
            let output = trainer(&command).output().expect("it starts");
            assert!(output.status.success());
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(said.contains("this run is finished"), "{task} {name}: {said}");
            let after = contents(&run_folder);
            let changed: Vec<_> = after.iter().filter(|(path, bytes)| before.get(*path) != Some(bytes)).collect();
            assert!(changed.is_empty() && after.len() == before.len(), "{task} {name}: {:?}", changed[0].0);
        }
    }
}

/// Two processes in one folder would write each other's checkpoints. The lock ends with the process, however it ends.
#[test]
fn a_run_folder_is_for_one_process() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (data, own) = toy_data("mirtarget", folder.path());
    let run_folder = folder.path().join("run");
    let command = arguments("mirtarget", &data, &run_folder, &own, "1000000", "1");
    let mut first = trainer(&command).spawn().expect("it starts");
    wait_for_rows(&mut first, &run_folder, 2);
    let message = refused(&command, 1);
    assert!(message.contains("another process is training in this folder"), "{message}");
    first.kill().expect("it can be killed");
    first.wait().expect("it ends");
    let end = metrics(&run_folder).last().expect("a row")[0].parse::<u64>().expect("a step") + 10;
    run(&arguments("mirtarget", &data, &run_folder, &own, &end.to_string(), "1"));
}

/// Waits until metrics.tsv of a running process has so many rows.
#[track_caller]
fn wait_for_rows(child: &mut std::process::Child, folder: &Path, rows: usize) {
    let table = folder.join("metrics.tsv");
    while !fs::read_to_string(&table).is_ok_and(|text| text.lines().count() > rows) {
        assert!(child.try_wait().expect("it can be waited for").is_none(), "the run ended too soon");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A validation takes long: a signal ends it within it, and the resumed run does it anew.
#[test]
fn a_signal_during_a_validation_is_heard_and_costs_nothing() {
    for task in ["pretrain", "fold", "coding", "mirtarget"] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (data, own) = toy_data(task, folder.path());
        let held_out = folder.path().join("held-out").with_extension(data.extension().expect("an extension"));
        let rows = fs::read_to_string(&data).expect("the data");
        let (first, rest) = match rows.starts_with('>') {
            true => ("", rows.as_str()),
            false => rows.split_at(rows.find('\n').expect("a line") + 1),
        };
        // So many that the validation takes nearly all the time.
        let copies: String = (0..if task == "mirtarget" { 120 } else { 15 })
            .map(|copy| {
                let renamed: Vec<String> = rest
                    .lines()
                    .map(|line| match line.strip_prefix('>').or(line.strip_prefix('r')) {
                        Some(name) if line.starts_with('>') => format!(">{copy}.{name}\n"),
                        Some(name) => format!("r{copy}.{name}\n"),
                        None => format!("{line}\n"),
                    })
                    .collect();
                renamed.concat()
            })
            .collect();
        fs::write(&held_out, first.to_string() + &copies).expect("data are written");
        let (whole, stopped) = (folder.path().join("whole"), folder.path().join("stopped"));
        let command = |run_folder| {
            let mut command = arguments(task, &data, run_folder, &own, "8", "1");
            set(&mut command, "--validate-every", "3");
            set(&mut command, "--checkpoint-every", "1000");
            command.extend(["--validation", text(&held_out), "--validation-records", "0"]);
            command
        };
        let began = Instant::now();
        run(&command(&whole));
        let duration = began.elapsed();
        let mut heard = 0;
        let mut random = ChaCha8Rng::seed_from_u64(3);
        for _ in 0..40 {
            let mut child = trainer(&command(&stopped)).spawn().expect("it starts");
            // At first past the start, and later too, so that the run ends at last.
            std::thread::sleep(duration.mul_f64(random.random_range(0.2..0.6 + 0.2 * f64::from(heard))));
            let id = child.id().to_string();
            let signal = if heard % 2 == 0 { "TERM" } else { "USR1" };
            let _ = Command::new("kill").args(["-s", signal, &id]).stderr(Stdio::null()).status();
            match child.wait().expect("it ends").code() {
                Some(0) => break,
                Some(3) => heard += 1,
                // Before the run listened.
                None => {}
                other => panic!("{task}: status {other:?}"),
            }
        }
        run(&command(&stopped));
        assert!(heard > 0, "{task}: the run was never stopped");
        assert!(model(&whole) == model(&stopped), "{task}: other weights after {heard} signals");
        assert_eq!(metrics(&whole), metrics(&stopped), "{task}");
    }
}

/// config.toml has all that a run needs: its data, the weights it started from, its known structures.
#[test]
fn the_config_of_a_run_repeats_its_inputs() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (data, own) = toy_data("fold", folder.path());
    let (start, first, second) =
        (folder.path().join("start"), folder.path().join("first"), folder.path().join("second"));
    run(&arguments("fold", &data, &start, &own, "5", "1"));
    let known = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/structures/known.dbn");
    let weights = start.join("model.safetensors");
    let mut command = arguments("fold", &data, &first, &own, "5", "1");
    command.extend(["--model", text(&weights), "--known-structures", known, "--validation", text(&data)]);
    run(&command);
    let config = first.join("config.toml");
    run(&["-q", "fold", "--config", text(&config), "--run", text(&second)]);
    assert!(model(&first) == model(&second));
    let settings = |folder: &Path| fs::read_to_string(folder.join("config.toml")).expect("settings");
    assert_eq!(settings(&first), settings(&second));
    let none = folder.path().join("none.toml");
    fs::write(&none, "steps = 1\n").expect("a file");
    let message = refused(&["fold", "--config", text(&none), "--run", text(&second)], 2);
    assert!(message.contains("no training data"), "{message}");
}

/// What a settings file names is read, and so is nothing that the run may write over.
#[test]
fn the_inputs_of_a_settings_file_are_no_outputs() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (data, _) = toy_data("classify", folder.path());
    let run_folder = folder.path().join("run");
    fs::create_dir(&run_folder).expect("a folder");
    let precious = run_folder.join("best.safetensors");
    fs::write(&precious, "precious").expect("a file");
    let config = folder.path().join("settings.toml");
    for inputs in [
        format!("data = [{:?}, {:?}]", text(&data), text(&precious)),
        format!("data = [{:?}]\nvalidation = {:?}", text(&data), text(&precious)),
        format!("data = [{:?}]\nmodel = {:?}", text(&data), text(&precious)),
    ] {
        fs::write(&config, format!("steps = 1\n[inputs]\n{inputs}\n")).expect("a file");
        let message = refused(&["classify", "--config", text(&config), "--run", text(&run_folder)], 2);
        assert!(message.contains("best.safetensors is an input too"), "{message}");
    }
    // Flags go before the file: its data are not read then.
    let own = format!("steps = 1\n[inputs]\ndata = [\"-\", {:?}]\n", text(&precious));
    fs::write(&config, own).expect("a file");
    let output = trainer(&["-q", "classify", text(&data), "--config", text(&config), "--run", text(&run_folder)])
        .args(TINY)
        .output()
        .expect("the program starts");
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!message.contains("is an input too"), "{message}");
}

/// Training has no --on-error: a run on fewer records would be another run.
#[test]
fn a_bad_record_ends_training_and_is_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run_folder = folder.path().join("run");
    for (task, name, rows, wanted) in [
        ("pretrain", "bad.fa", ">good\nACGUACGUACGU\n>broken\nACGU*ACGUACGU\n", ["bad.fa", "broken", "5"]),
        ("fold", "bad.dbn", ">good\nGGGAAACCC\n(((...)))\n>broken\nGGGAAACCC\n(((...)).\n", ["bad.dbn", "broken", "1"]),
        (
            "classify",
            "bad.tsv",
            "id\tseq\tlabel\ngood\tACGU\ta\nbroken\tAC!U\tb\n",
            ["bad.tsv", "broken", "position 3"],
        ),
    ] {
        let data = folder.path().join(name);
        fs::write(&data, rows).expect("a file");
        let message = refused(&[task, text(&data), "--run", text(&run_folder)], 1);
        assert!(wanted.iter().all(|part| message.contains(part)), "{task}: {message}");
    }
}

/// A subcommand shows and takes the settings of its task alone, with the defaults of the task.
#[test]
fn each_task_has_its_own_settings() {
    let help = |arguments: &[&str]| {
        let text = run(&[arguments, &["--help"]].concat());
        text.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
    };
    for (task, shown, hidden) in [
        (
            "pretrain",
            ["--mask-rate <X> Part of the tokens that is masked [default: 0.15]", "--shuffle-records"],
            "--trim",
        ),
        (
            "fold",
            ["--positive-weight <X> Weight of paired bases in the loss [default: 10.0]", "--known-structures"],
            "--trim",
        ),
        ("coding", ["--fragment-length", "[default: 200]"], "--known-structures"),
        (
            "mirtarget",
            ["--trim", "Part of the letters that is replaced by N in training [default: 0.0]"],
            "--annotation",
        ),
        ("classify", ["--columns", "Peak learning rate [default: 0.0005]"], "--mask-rate"),
        ("evaluate", ["--held-out", "--min-loop"], "--learning-rate"),
        ("calibrate", ["--split-by", "--annotation"], "--steps"),
    ] {
        let text = help(&[task]);
        assert!(shown.iter().all(|part| text.contains(part)), "{task}: {text}");
        assert!(!text.contains(hidden), "{task}: {hidden}");
    }
    for (arguments, flag) in [
        (["fold", "x", "--run", "y", "--trim", "1"], "--trim"),
        (["fold", "x", "--run", "y", "--on-error", "skip"], "--on-error"),
        (["evaluate", "x", "--task", "fold", "--learning-rate", "1"], "--learning-rate"),
    ] {
        let output = trainer(&arguments).output().expect("it starts");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && text.contains(&format!("unexpected argument '{flag}'")), "{text}");
    }
    let message = refused(&["evaluate", "--task", "mirtarget", "--min-loop", "3", "data"], 2);
    assert!(message.contains("--min-loop: mirtarget has no such setting"), "{message}");
}

/// Replaces what a checkpoint says beside its tensors.
fn rewrite_checkpoint(path: &Path, change: impl FnOnce(&mut serde_json::Value)) {
    let bytes = fs::read(path).expect("a checkpoint");
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).expect("its header");
    let file = safetensors::SafeTensors::deserialize(&bytes).expect("its tensors");
    let mut metadata = header.metadata().clone().expect("metadata");
    let entry = metadata.get_mut("rnaret-checkpoint").expect("the entry");
    let mut json: serde_json::Value = serde_json::from_str(entry).expect("JSON");
    change(&mut json);
    *entry = json.to_string();
    fs::write(path, safetensors::serialize(file.iter(), Some(metadata)).expect("a file")).expect("written");
}

/// Checkpoints of version 1 had no record of the run, fewer positions, and numbers as numbers; inputs.json had less too.
#[test]
fn a_run_folder_of_version_1_goes_on() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (data, own) = toy_data("coding", folder.path());
    let (whole, old) = (folder.path().join("whole"), folder.path().join("old"));
    run(&arguments("coding", &data, &whole, &own, "20", "1"));
    run(&arguments("coding", &data, &old, &own, "10", "1"));
    let checkpoints = old.join("checkpoints");
    for entry in fs::read_dir(&checkpoints).expect("a listing") {
        rewrite_checkpoint(&entry.expect("an entry").path(), |json| {
            json["version"] = 1.into();
            json["run_digest"] = "of version 1".into();
            json.as_object_mut().expect("an object").remove("run");
            let progress = json["progress"].as_object_mut().expect("an object");
            progress.remove("rows");
            progress.remove("gradient_norm");
            let as_number = |value: &mut serde_json::Value| {
                *value = value.as_str().and_then(|text| text.parse::<f64>().ok()).expect("a number").into();
            };
            if let Some(value) = progress["best"].get_mut("value") {
                as_number(value);
            }
            as_number(&mut progress["since_last_row"]["loss"]);
            as_number(&mut progress["since_last_row"]["weight"]);
        });
    }
    let inputs = old.join("inputs.json");
    let json: serde_json::Value = serde_json::from_slice(&fs::read(&inputs).expect("a file")).expect("JSON");
    let kept = serde_json::json!({ "model": json["model"], "provenance": json["provenance"] });
    fs::write(&inputs, kept.to_string()).expect("written");
    let config = old.join("config.toml");
    let text = fs::read_to_string(&config).expect("a file");
    fs::write(&config, text.split("[inputs]").next().expect("a part")).expect("written");

    let mut other = arguments("coding", &data, &old, &own, "20", "1");
    other.extend(["--seed", "3"]);
    assert!(refused(&other, 2).contains("--seed is 0 there and 3 here"));
    run(&arguments("coding", &data, &old, &own, "20", "1"));
    assert!(model(&whole) == model(&old));
    assert_eq!(metrics(&whole), metrics(&old));
}

/// A checkpoint whose tensors are not those of the run is a damaged file, not wrong usage.
#[test]
fn a_checkpoint_without_a_tensor_is_refused_with_status_1() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (data, own) = toy_data("mirtarget", folder.path());
    let run_folder = folder.path().join("run");
    run(&arguments("mirtarget", &data, &run_folder, &own, "5", "1"));
    let path = run_folder.join("checkpoints/step-0000000005.safetensors");
    let bytes = fs::read(&path).expect("a checkpoint");
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).expect("its header");
    let file = safetensors::SafeTensors::deserialize(&bytes).expect("its tensors");
    let mut tensors: Vec<_> = file.iter().collect();
    tensors.sort_by_key(|(name, _)| name.to_string());
    let place = tensors.iter().position(|(name, _)| name.starts_with("weights/")).expect("weights");
    let name = tensors.remove(place).0.to_string();
    // The checksum of what is left, so that the file is whole but for the tensor.
    let mut hash = <sha2::Sha256 as sha2::Digest>::new();
    for (name, view) in &tensors {
        sha2::Digest::update(&mut hash, (name.len() as u64).to_le_bytes());
        sha2::Digest::update(&mut hash, name);
        sha2::Digest::update(&mut hash, view.data());
    }
    let sum: String = sha2::Digest::finalize(hash).iter().map(|byte| format!("{byte:02x}")).collect();
    let mut metadata = header.metadata().clone().expect("metadata");
    let entry = metadata.get_mut("rnaret-checkpoint").expect("the entry");
    let mut json: serde_json::Value = serde_json::from_str(entry).expect("JSON");
    json["sha256"] = sum.into();
    *entry = json.to_string();
    fs::write(&path, safetensors::serialize(tensors, Some(metadata)).expect("a file")).expect("written");
    let before = contents(&run_folder);
    let message = refused(&arguments("mirtarget", &data, &run_folder, &own, "5", "1"), 1);
    assert!(message.contains("lacks") && message.contains(name.trim_start_matches("weights/")), "{message}");
    assert!(contents(&run_folder) == before);
}
