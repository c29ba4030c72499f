//! What is read is never lost, and what is written is whole or not there: for every option of every tool that names a file.

use crate::common::TOOLS;
use crate::common::commands::{COMMANDS, Command, Content, Listed, Scene, listed};
use crate::common::input::Codec;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Seek, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Outputs under these names, one for each option of a command that names a file.
fn outputs(command: &Command, path: impl Fn(&str) -> PathBuf) -> Vec<(&'static str, PathBuf)> {
    command.writes.iter().map(|option| (*option, path(option))).collect()
}

/// What a run wrote that does not depend on when it ran.
fn contents(outputs: &[(&str, PathBuf)]) -> Vec<Vec<u8>> {
    let tables = outputs.iter().filter(|(option, _)| *option != "--stats");
    tables.map(|(_, path)| fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))).collect()
}

#[test]
fn every_path_is_in_the_table() {
    let numbers_and_words = ["N", "P", "K", "M", "S", "R", "X", "TEXT", "I/N|auto", "WHAT", "NAME", "auto|cpu|cuda["];
    for tool in &TOOLS {
        let options = listed(tool.name);
        assert!(options.iter().any(|option| option.is_path), "{}: {options:?}", tool.name);
        let subcommands: BTreeSet<&str> = options.iter().map(|option| option.subcommand.as_str()).collect();
        for option in options.iter().filter(|option| !option.option.is_empty()) {
            let known = option.is_path || option.is_listed || numbers_and_words.contains(&option.value.as_str());
            assert!(known, "{} {option:?}: a path needs its hint (ValueHint), a number its value name", tool.name);
        }
        for subcommand in subcommands {
            // Before its subcommand rnaret-train takes what all of them take.
            let rows: Vec<&Command> = COMMANDS
                .iter()
                .filter(|command| command.tool == tool.name)
                .filter(|command| command.subcommand().is_empty() || command.takes_the_options_of(subcommand))
                .collect();
            let is_path = |option: &&Listed| option.is_path && option.subcommand == subcommand;
            let paths: BTreeSet<&str> = options
                .iter()
                .filter(is_path)
                .map(|option| option.option.as_str())
                .filter(|option| !option.starts_with('-') || option.starts_with("--"))
                .collect();
            // A calibration needs more records than a scene has: tests/tools/calibration.rs runs it.
            if rows.is_empty() && (paths == BTreeSet::from(["--stats"]) || subcommand == "calibrate") {
                continue;
            }
            let known: BTreeSet<&str> = rows
                .iter()
                .flat_map(|row| {
                    let reads = row.reads.iter().map(|read| read.option);
                    reads.chain(row.writes.iter().copied()).chain(row.folders.iter().copied())
                })
                .collect();
            assert!(paths.is_subset(&known), "{} {subcommand}: {paths:?}, in the table {known:?}", tool.name);
            let options = options.iter().filter(|option| option.subcommand == subcommand);
            let all: BTreeSet<&str> = options.map(|option| option.option.as_str()).collect();
            assert!(known.is_subset(&all), "{} {subcommand}: {all:?}, in the table {known:?}", tool.name);
        }
    }
}

/// Under its name, another name, and behind links.
#[test]
fn an_output_is_never_an_input() {
    for command in &COMMANDS {
        let scene = Scene::new(command);
        for (place, read) in command.reads.iter().enumerate() {
            let input = scene.input(place);
            let (soft, hard) = (scene.path("input-soft"), scene.path("input-hard"));
            symlink(&input, &soft).unwrap();
            fs::hard_link(&input, &hard).unwrap();
            for option in command.writes {
                for path in [&input, &soft, &hard] {
                    let what = format!("{} {} as {option}", command.name(), read.option);
                    scene.run(&[(option, path.clone())]).fails(2, &["is an input too", option_name(path)]);
                    assert!(fs::read(&input).unwrap() == read.content.bytes(), "{what}");
                    assert_eq!(scene.new_names(), [""; 0], "{what}");
                }
            }
            if command.streams() {
                // `>> input`: whatever is written goes behind what is there.
                let appending = File::options().append(true).open(&input).unwrap();
                scene.run(&[]).stdout(appending).fails(2, &["is an input too"]);
                assert!(fs::read(&input).unwrap() == read.content.bytes(), "{}", command.name());
            }
            for path in [soft, hard] {
                fs::remove_file(path).unwrap();
            }
        }
        if let Some(place) = command.by_standard_input() {
            let run = scene.run_from(place, "-", &outputs(command, |_| scene.input(place))[..1]);
            run.stdin_from(File::open(scene.input(place)).unwrap()).fails(2, &["is an input too"]);
        }
    }
}

fn option_name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

#[test]
fn two_outputs_are_never_one_file() {
    for command in &COMMANDS {
        let scene = Scene::new(command);
        fs::create_dir(scene.path("input-folder")).unwrap();
        symlink("input-folder", scene.path("input-linked")).unwrap();
        symlink("input-folder/x", scene.path("input-dangling")).unwrap();
        let spellings = ["input-folder/x", "input-folder/../input-folder/./x", "input-linked/x", "input-dangling"];
        for (place, one) in command.writes.iter().enumerate() {
            for other in &command.writes[place + 1..] {
                for spelling in spellings {
                    let what = format!("{} {one} {other} {spelling}", command.name());
                    let outputs = [(*one, scene.path(spellings[0])), (*other, scene.path(spelling))];
                    scene.run(&outputs).fails(2, &["two outputs have the name", "x"]);
                    assert!(!scene.path("input-folder/x").exists(), "{what}");
                }
                if *other != "--stats" {
                    for name in ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"] {
                        let outputs = [(*one, "-".into()), (*other, name.into())];
                        let null = File::options().write(true).open("/dev/null").unwrap();
                        scene.run(&outputs).stdout(null).fails(2, &["standard output"]);
                    }
                }
            }
            // The file that standard output goes to.
            if command.streams() && *one != "--output" {
                let file = File::create(scene.path("input-out")).unwrap();
                scene.run(&[(*one, scene.path("input-out"))]).stdout(file).fails(2, &["two outputs"]);
                scene.run(&[(*one, "/dev/stdout".into())]).fails(2, &["standard output"]);
            }
        }
    }
}

#[test]
fn training_writes_over_nothing_that_it_reads() {
    for command in COMMANDS.iter().filter(|command| command.folders.contains(&"--run")) {
        let scene = Scene::new(command);
        let run = scene.path("input-run");
        fs::create_dir_all(run.join("checkpoints")).unwrap();
        for place in 0..command.reads.len() {
            for name in ["model.safetensors", "best.safetensors", "metrics.tsv", "checkpoints/mine"] {
                let path = run.join(name);
                fs::copy(scene.input(place), &path).unwrap();
                scene.run_from(place, &path, &[("--run", run.clone())]).fails(2, &["is an input too"]);
                assert!(fs::read(&path).unwrap() == command.reads[place].content.bytes(), "{}", command.name());
                fs::remove_file(path).unwrap();
            }
        }
        let stats = run.join("metrics.tsv");
        scene.run(&[("--run", run), ("--stats", stats)]).fails(2, &["two outputs"]);
    }
}

/// Files of any name and in any folder appear when they are whole, and keep what the user gave them.
#[test]
fn files_appear_under_any_name() {
    let memory = tempfile::tempdir_in("/dev/shm").ok();
    for command in &COMMANDS {
        let scene = Scene::new(command);
        let plain = outputs(command, |option| scene.path(option));
        scene.run(&plain).ok();
        let expected = contents(&plain);
        for (option, path) in &plain {
            assert!(fs::metadata(path).unwrap().len() > 0, "{} {option} is empty", command.name());
        }
        let again = || {
            let _ = fs::remove_dir_all(scene.path("needed"));
        };
        // The longest names, and again over them: the second run stands in place of the first.
        let long = outputs(command, |option| scene.path(&format!("{option:x<255}")));
        for _ in 0..2 {
            again();
            scene.run(&long).ok();
            assert!(contents(&long) == expected, "{}", command.name());
        }
        if let Some(memory) = &memory {
            let shared = outputs(command, |option| memory.path().join(option));
            for _ in 0..2 {
                again();
                scene.run(&shared).ok();
                assert!(contents(&shared) == expected, "{} in /dev/shm", command.name());
            }
            shared.iter().for_each(|(_, path)| fs::remove_file(path).unwrap());
        }
        // A link stays one, and what it names is made.
        let targets = outputs(command, |option| scene.path(&format!("target{option}")));
        let links = outputs(command, |option| scene.path(&format!("link{option}")));
        for ((option, _), (_, link)) in targets.iter().zip(&links) {
            symlink(format!("target{option}"), link).unwrap();
        }
        for _ in 0..2 {
            again();
            scene.run(&links).ok();
            assert!(contents(&targets) == expected, "{} through links", command.name());
            assert!(links.iter().all(|(_, link)| fs::symlink_metadata(link).unwrap().is_symlink()));
        }
        // A file keeps its mode.
        for (_, path) in &targets {
            fs::set_permissions(path, fs::Permissions::from_mode(0o640)).unwrap();
        }
        again();
        scene.run(&targets).ok();
        assert!(targets.iter().all(|(_, path)| fs::metadata(path).unwrap().mode() & 0o7777 == 0o640));
        assert!(scene.new_names().iter().all(|name| !name.ends_with(".tmp")), "{:?}", scene.new_names());
    }
}

/// `3>>app` and `-o /dev/fd/3`: what is there stays, and what is written comes after it.
#[test]
fn descriptors_are_written_where_they_stand() {
    for command in &COMMANDS {
        for option in command.writes {
            let scene = Scene::new(command);
            let plain = scene.path("plain");
            scene.run(&[(option, plain.clone())]).ok();
            let expected = fs::read(&plain).unwrap();
            for appends in [true, false] {
                let _ = fs::remove_dir_all(scene.path("needed"));
                let path = scene.path("input-app");
                fs::write(&path, "KEEP\n").unwrap();
                let mut file = File::options().append(appends).write(true).open(&path).unwrap();
                file.seek(std::io::SeekFrom::End(0)).unwrap();
                // A table of `--stats` begins with its own header.
                if *option == "--stats" {
                    scene.run(&[(option, "/dev/fd/3".into())]).with_descriptor_3(file).fails(1, &["header"]);
                    assert_eq!(fs::read(&path).unwrap(), b"KEEP\n");
                    continue;
                }
                scene.run(&[(option, "/dev/fd/3".into())]).with_descriptor_3(file).ok();
                let found = fs::read(&path).unwrap();
                assert!(found == [b"KEEP\n", &expected[..]].concat(), "{} {option} {appends}", command.name());
            }
            if *option != "--stats" {
                let run = scene.run(&[(option, "/dev/fd/77".into())]);
                run.fails(1, &["/dev/fd/77", "cannot write"]);
            }
        }
    }
}

#[test]
fn what_may_not_be_written_is_told() {
    // Root may write everything; the tests of a build machine may run as root.
    let other = (fs::metadata("/proc/self").unwrap().uid() == 0).then_some(65_534);
    for command in &COMMANDS {
        for option in command.writes {
            let scene = Scene::new(command);
            fs::set_permissions(scene.folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
            let path = scene.path("read-only");
            fs::write(&path, "old").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
            let name = format!("{} {option}", command.name());
            scene.run(&[(option, path.clone())]).by_user(other).fails(1, &["read-only", "denied"]);
            assert_eq!((fs::read(&path).unwrap(), scene.new_names().len()), (b"old".to_vec(), 1), "{name}");
            let folder = scene.path("input-folder");
            fs::create_dir(&folder).unwrap();
            fs::set_permissions(&folder, fs::Permissions::from_mode(0o555)).unwrap();
            scene
                .run(&[(option, folder.join("new"))])
                .by_user(other)
                .fails(1, &["new", "directory", "may not be written"]);
            // Full devices, and what is no file.
            scene.run(&[(option, "/dev/full".into())]).fails(1, &["/dev/full", "No space left"]);
            scene.run(&[(option, folder.clone())]).fails(1, &["cannot write", "directory"]);
            scene.run(&[(option, folder.join("no/such"))]).fails(1, &["no/such", "does not exist"]);
            scene.run(&[(option, scene.path(&"x".repeat(256)))]).fails(1, &["cannot write", "too long"]);
        }
        if command.streams() {
            let full = File::options().write(true).open("/dev/full").unwrap();
            Scene::new(command).run(&[]).stdout(full).fails(1, &["standard output", "No space left"]);
        }
    }
}

#[test]
fn a_closed_pipe_is_no_failure() {
    for command in COMMANDS.iter().filter(|command| command.streams()) {
        let scene = Scene::new(command);
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let done = scene.run(&[]).stdout(writer).done();
        done.expect_status(0);
        assert_eq!(done.stderr(), "", "{}", command.name());
    }
}

#[test]
fn inputs_come_compressed_and_by_standard_input() {
    for command in &COMMANDS {
        let scene = Scene::new(command);
        let plain = outputs(command, |option| scene.path(option));
        scene.run(&plain).ok();
        let expected = contents(&plain);
        for (place, read) in command.reads.iter().enumerate() {
            if matches!(read.content, Content::Weights(_) | Content::Settings) {
                continue;
            }
            let packed = Codec::Gzip.compress(&read.content.bytes());
            let path = scene.path("input-packed");
            fs::write(&path, &packed).unwrap();
            let mut ways = vec![path.as_path(), Path::new("-"), Path::new("/dev/stdin")];
            if command.arguments.contains(&"coding") {
                // FASTA and its annotation are opened twice.
                ways.truncate(1);
            }
            for from in ways {
                let _ = fs::remove_dir_all(scene.path("needed"));
                scene.run_from(place, from, &plain).stdin(&packed).ok();
                let what = format!("{} {} from {}", command.name(), read.option, from.display());
                assert!(contents(&plain) == expected, "{what}");
            }
        }
    }
}

#[test]
fn standard_input_is_read_once() {
    for command in &COMMANDS {
        let texts = command.reads.iter().enumerate().filter(|(_, read)| !matches!(read.content, Content::Weights(_)));
        let places: Vec<usize> =
            texts.filter(|(_, read)| read.content != Content::Settings).map(|(place, _)| place).collect();
        for (number, one) in places.iter().enumerate() {
            for other in &places[number + 1..] {
                let scene = Scene::new(command);
                fs::remove_file(scene.input(*one)).unwrap();
                symlink("/dev/stdin", scene.input(*one)).unwrap();
                scene.run_from(*other, "-", &[]).fails(2, &["standard input", "only once"]);
            }
        }
    }
}

#[test]
fn what_is_missing_or_broken_is_named_and_leaves_nothing() {
    for command in &COMMANDS {
        for (place, read) in command.reads.iter().enumerate() {
            let scene = Scene::new(command);
            let what = format!("{} {}", command.name(), read.option);
            let given = outputs(command, |option| scene.path(option));
            let (missing, broken) = (scene.path("input-missing"), scene.path("input-broken"));
            fs::write(&broken, read.content.broken()).unwrap();
            let run = |path: &Path| {
                let done = scene.run_from(place, path, &given).done();
                done.expect_status(1);
                let errors = done.stderr();
                let lines = errors.lines().filter(|line| line.contains(": error: ")).count();
                assert_eq!(lines, 1, "{what}: {errors}");
                assert!(errors.contains(option_name(path)) && !errors.contains("panicked"), "{what}: {errors}");
                // The row of `--stats` says that the run failed.
                assert!(scene.new_names().iter().all(|name| ["--stats", "needed"].contains(&name.as_str())), "{what}");
            };
            run(&missing);
            run(&broken);
            // An empty input is a run of no records, or is told; it is no reason to break.
            let empty = scene.path("input-empty");
            fs::write(&empty, "").unwrap();
            let done = scene.run_from(place, &empty, &given).done();
            let errors = done.stderr();
            assert!(matches!(done.output.status.code(), Some(0 | 1)), "{what}: {errors}");
            assert!(!errors.contains("panicked"), "{what}: {errors}");
        }
    }
}

/// All but training, which writes a checkpoint (tests/training.rs).
#[test]
fn a_run_that_is_told_to_end_leaves_nothing() {
    for command in COMMANDS.iter().filter(|command| !command.folders.contains(&"--run")) {
        let Some(place) = command.by_standard_input() else { continue };
        for (signal, number) in [("TERM", 15), ("INT", 2), ("HUP", 1)] {
            let scene = Scene::new(command);
            let mut files = outputs(command, |option| scene.path(option));
            files.retain(|(option, _)| *option != "--stats");
            let mut child = scene.run_until_killed(place, &files).spawn();
            let mut stdin = child.stdin.take().unwrap();
            // The end is missing: more input is expected.
            let bytes = command.reads[place].content.bytes();
            stdin.write_all(&bytes[..bytes.len() / 2]).unwrap();
            let start = Instant::now();
            while scene.new_names().len() < files.len() {
                let what = format!("{}: {:?}, {:?}", command.name(), scene.new_names(), child.try_wait());
                assert!(start.elapsed() < Duration::from_secs(60), "{what}");
                std::thread::sleep(Duration::from_millis(2));
            }
            assert!(scene.new_names().iter().all(|name| name.ends_with(".tmp")), "{:?}", scene.new_names());
            std::thread::sleep(Duration::from_millis(20));
            let kill = std::process::Command::new("kill").args(["-s", signal, &child.id().to_string()]).status();
            assert!(kill.unwrap().success());
            assert_eq!(child.wait().unwrap().signal(), Some(number), "{} {signal}", command.name());
            assert_eq!(scene.new_names(), [""; 0], "{} {signal}", command.name());
            drop(stdin);
        }
    }
}

/// As in a container, where every run has the same process id: what a killed one left stands in nobody's way, and no
/// link that somebody laid is followed.
#[test]
fn what_killed_runs_left_is_in_nobodys_way() {
    let command = &COMMANDS[0];
    let scene = Scene::new(command);
    let out = ("--output", scene.path("out"));
    let mut child = scene.run_until_killed(0, std::slice::from_ref(&out)).spawn();
    let stdin = child.stdin.take();
    while scene.new_names().is_empty() {
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    drop(stdin);
    let left = scene.new_names();
    assert_eq!(left.len(), 1);
    // Twice in a process namespace of its own, where the system lets us have one.
    let binary = crate::common::run::binaries().join(command.tool);
    for _ in 0..2 {
        let mut alone = std::process::Command::new("unshare");
        alone.args(["--pid", "--fork"]).arg(&binary).args(["-k", "3", "-q", "-t", "1", "-o"]).arg(&out.1);
        let killed = alone.arg(scene.input(0)).stderr(Stdio::null()).status();
        if !killed.is_ok_and(|status| status.success()) {
            scene.run(std::slice::from_ref(&out)).ok();
        }
    }
    assert_eq!(scene.new_names(), [left[0].clone(), "out".into()]);
    assert!(left[0].starts_with(".out.") && left[0].ends_with(".tmp"));
}

/// `rnaret-train evaluate --task pretrain` copies its records to a file in the temporary folder, which has no name that
/// somebody could lay a link under.
#[test]
fn temporary_copies_have_no_names() {
    let command = COMMANDS.iter().find(|command| command.arguments.ends_with(&["--task", "pretrain"])).unwrap();
    let scene = Scene::new(command);
    let temporary = scene.path("input-temporary");
    fs::create_dir(&temporary).unwrap();
    let victim = scene.path("input-victim");
    fs::write(&victim, "KEEP").unwrap();
    symlink(&victim, temporary.join("records.partial")).unwrap();
    scene.run(&[]).env("TMPDIR", temporary.to_str().unwrap()).ok();
    assert_eq!(fs::read(&victim).unwrap(), b"KEEP");
    assert_eq!(fs::read_dir(&temporary).unwrap().count(), 1);
    let missing = scene.path("input-missing");
    scene.run(&[]).env("TMPDIR", missing.to_str().unwrap()).fails(1, &["temporary file", "input-missing"]);
}

/// Options that take numbers refuse what is none or out of range, in words, before anything is read.
#[test]
fn numbers_are_refused_alike() {
    let mut seen = BTreeSet::new();
    for command in COMMANDS.iter().filter(|command| seen.insert((command.tool, command.subcommand()))) {
        let scene = Scene::new(command);
        let options = listed(command.tool);
        let own = options.iter().filter(|option| option.subcommand == command.subcommand() && !option.is_path);
        // What a scene gives already.
        // And the names of columns, which are no number.
        let given = [command.arguments, &["-t", "--threads", "--columns"]].concat();
        let own = own.filter(|option| !given.contains(&option.option.as_str()));
        for option in own.filter(|option| ["N", "P", "K", "M", "S", "R", "X"].contains(&option.value.as_str())) {
            let values: &[&str] = match option.value.as_str() {
                "P" | "R" => &["50", "1.01", "-0.1", "nan", "NaN", "inf", "-inf", "1e999", "", "half"],
                _ => &["nan", "inf", "-1", "1e999", "many"],
            };
            // A temperature in degrees Celsius may be below zero, and so may the energies of a reactivity.
            let signed =
                ["--temperature", "--reactivity-slope", "--reactivity-intercept"].contains(&option.option.as_str());
            for value in values.iter().filter(|value| !(signed && **value == "-1")) {
                let done = scene.run(&[]).arg(format!("{}={value}", option.option).replace("-k=", "-k")).done();
                let errors = done.stderr();
                let what = format!("{} {}={value}: {errors}", command.name(), option.option);
                assert_eq!(done.output.status.code(), Some(2), "{what}");
                assert!(!option.is_listed && errors.contains("give") || errors.contains(value), "{what}");
                assert_eq!(scene.new_names(), [""; 0], "{what}");
            }
        }
    }
}

#[test]
fn ids_and_names_never_command_the_terminal() {
    let escape = "\u{1b}[31m\u{7}\u{9b}\u{202e}";
    for command in &COMMANDS {
        for (place, read) in command.reads.iter().enumerate() {
            let scene = Scene::new(command);
            let path = scene.path(&format!("input-{escape}"));
            let bytes = read.content.broken();
            let text = String::from_utf8(bytes).unwrap().replace("bad", &format!("b{escape}ad"));
            fs::write(&path, text).unwrap();
            for run in [
                scene.run_from(place, &path, &[]),
                scene.run_from(place, &path, &[]).args(["-v", "-v"]),
                scene.run_from(place, scene.path(&format!("input-none{escape}")), &[]),
                scene.run(&[]).arg(format!("--no-such{escape}")),
                scene.run(&[]).args(["--threads", escape]),
            ] {
                let errors = run.done().stderr();
                let harmless = |c: char| c == '\n' || !c.is_control() && c != '\u{202e}';
                assert!(errors.chars().all(harmless), "{} {}: {errors:?}", command.name(), read.option);
            }
        }
    }
}
