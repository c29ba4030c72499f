//! Outputs: whole or not there, compressed by name, the same whatever the threads.

use crate::common::run::PACKAGE;
use crate::common::{Run, Sample, TOOLS, for_each_format};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The names in a folder, hidden ones included.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// What a gzip file of any number of members holds.
fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut text).unwrap();
    text
}

/// The block that ends a bgzip file.
const BGZIP_END: &[u8] = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0BC\x02\0\x1b\0\x03\0\0\0\0\0\0\0\0\0";

#[test]
fn a_file_holds_what_standard_output_gets() {
    for_each_format(|tool, format| {
        let folder = tempfile::tempdir().unwrap();
        let input = Sample::many(60).for_tool(tool);
        let expected = Run::new(tool, format).stdin(&input).ok();
        let (plain, packed) = (folder.path().join("out"), folder.path().join("out.gz"));
        fs::write(&plain, "old").unwrap();
        assert_eq!(Run::new(tool, format).arg("-o").arg(&plain).stdin(&input).ok(), b"", "{}", tool.name);
        assert!(fs::read(&plain).unwrap() == expected, "{} {:?}", tool.name, format.arguments);
        Run::new(tool, format).arg("-o").arg(&packed).stdin(&input).ok();
        let bytes = fs::read(&packed).unwrap();
        assert!(gunzip(&bytes) == expected, "{} {:?}", tool.name, format.arguments);
        // Valid for `bgzip -t`: blocks, each of which says how long it is, and the last of them empty.
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            assert_eq!(&rest[12..14], b"BC", "{}", tool.name);
            let size = u16::from_le_bytes([rest[16], rest[17]]) as usize + 1;
            gunzip(&rest[..size]);
            rest = &rest[size..];
        }
        assert!(bytes.ends_with(BGZIP_END), "{}", tool.name);
        let mut files: Vec<String> = ["out", "out.gz"].map(str::to_owned).to_vec();
        for ending in format.companions {
            files.extend(["out", "out.gz"].map(|name| format!("{name}{ending}")));
        }
        files.sort();
        assert_eq!(names(folder.path()), files, "{} {:?}", tool.name, format.arguments);
        // `-` and the name of standard output are no names of files, nor what further files are named after.
        for name in ["-", "/dev/stdout"] {
            assert!(Run::new(tool, format).args(["-o", name]).stdin(&input).ok() == expected, "{} {name}", tool.name);
            let stray = format.companions.iter().map(|ending| Path::new(PACKAGE).join(format!("{name}{ending}")));
            for path in stray.chain([Path::new(PACKAGE).join("-")]) {
                assert!(fs::remove_file(&path).is_err(), "{} -o {name} wrote {}", tool.name, path.display());
            }
        }
    });
}

#[test]
fn threads_and_batches_change_nothing() {
    for_each_format(|tool, format| {
        let folder = tempfile::tempdir().unwrap();
        let count = if tool.has_model { 60 } else { 3000 };
        let input = Sample::many(count).with("tail", "ACGU").for_tool(tool);
        let run = |threads: &str, batch: Option<&str>| {
            let mut run = Run::bare(tool).args(format.arguments).args(["-t", threads]).stdin(&input);
            for (flag, _) in format.besides {
                run = run.arg(*flag).arg(folder.path().join(format!("beside{flag}")));
            }
            if let Some(batch) = batch {
                run = run.args(["--device", "cpu", "--batch-tokens", batch]);
            }
            let mut found = run.ok();
            for (flag, _) in format.besides {
                found.extend(fs::read(folder.path().join(format!("beside{flag}"))).unwrap());
            }
            found
        };
        let expected = run("1", None);
        for threads in ["2", "5"] {
            assert!(run(threads, None) == expected, "{} {:?} -t {threads}", tool.name, format.arguments);
        }
        if tool.has_model {
            for batch in ["1", "200", "1000000"] {
                assert!(run("2", Some(batch)) == expected, "{} {:?} {batch}", tool.name, format.arguments);
            }
        }
    });
}

/// A device whose memory runs out in mid-run, as the limit on what is computed at once feigns it.
#[test]
fn memory_that_runs_out_changes_nothing() {
    let tools = TOOLS.iter().filter(|tool| tool.ready && tool.has_model);
    for (tool, format) in tools.flat_map(|tool| tool.formats.iter().map(move |format| (tool, format))) {
        let input = Sample::many(20).for_tool(tool);
        let run = |limit: &str| Run::new(tool, format).env("RNARET_MEMORY_TOKENS", limit).stdin(&input);
        let expected = Run::new(tool, format).stdin(&input).ok();
        // Every record fits alone, and few fit together: they are of 90 to 112 nucleotides, with a miRNA before them
        // where there is one.
        for limit in ["150", "500"] {
            assert!(run(limit).ok() == expected, "{} {:?} {limit}", tool.name, format.arguments);
        }
    }
}

#[test]
fn a_record_that_does_not_fit_in_memory_alone_is_named() {
    for (tool, format) in TOOLS
        .iter()
        .filter(|tool| tool.ready && tool.has_model && tool.name != "rnaret-mirtarget")
        .flat_map(|tool| tool.formats.iter().map(move |format| (tool, format)))
    {
        let few = Sample::few();
        let without = Sample(few.0.iter().filter(|(id, _)| id != "long").cloned().collect());
        let expected = Run::new(tool, format).stdin(&without.for_tool(tool)).ok();
        let run = || {
            let run = Run::new(tool, format).stdin(&few.for_tool(tool));
            run.env("RNARET_MEMORY_TOKENS", "120").args(["--on-error", "fail"])
        };
        let message = ["record long (152 nt) does not fit in memory alone"];
        let before = run().fails(1, &message);
        if format.shards {
            assert!(!before.is_empty() && expected.starts_with(&before), "{} {:?}", tool.name, format.arguments);
        }
        let skip = Run::new(tool, format).stdin(&few.for_tool(tool)).env("RNARET_MEMORY_TOKENS", "120");
        let skip = skip.args(["--on-error", "skip", "-q"]).done();
        skip.expect_status(0);
        assert!(skip.stderr().contains(message[0]), "{}", skip.stderr());
        assert!(skip.output.stdout == expected, "{} {:?}", tool.name, format.arguments);
    }
}

#[test]
fn a_quiet_run_says_nothing() {
    for_each_format(|tool, format| {
        let done = Run::new(tool, format).arg("-q").stdin(&Sample::few().for_tool(tool)).done();
        done.expect_status(0);
        assert_eq!(done.stderr(), "", "{} {:?}", tool.name, format.arguments);
    });
}

#[test]
fn outputs_that_cannot_be_written() {
    for_each_format(|tool, format| {
        let folder = tempfile::tempdir().unwrap();
        let input = Sample::few().for_tool(tool);
        let missing = folder.path().join("no/such/out.tsv");
        Run::new(tool, format).arg("-o").arg(&missing).stdin(&input).fails(1, &["no/such/out.tsv", "does not exist"]);
        Run::new(tool, format).arg("-o").arg(folder.path()).stdin(&input).fails(1, &["cannot write"]);
        for (flag, _) in format.besides {
            Run::new(tool, format)
                .arg(*flag)
                .arg(&missing)
                .stdin(&input)
                .fails(1, &["no/such/out.tsv", "does not exist"]);
            Run::new(tool, format).args([*flag, "/dev/full"]).stdin(&input).fails(1, &["/dev/full", "No space left"]);
        }
        Run::new(tool, format).args(["-o", "/dev/full"]).stdin(&input).fails(1, &["/dev/full", "No space left"]);
        let full = File::options().write(true).open("/dev/full").unwrap();
        Run::new(tool, format).stdout(full).stdin(&input).fails(1, &["standard output", "No space left"]);
        assert_eq!(names(folder.path()), [""; 0]);
    });
}

#[test]
fn an_input_is_never_overwritten() {
    for_each_format(|tool, format| {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("x"), folder.path().join("link"));
        let input = Sample::few().for_tool(tool);
        fs::write(&path, &input).unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        for output in [&path, &link] {
            Run::new(tool, format).arg(&path).arg("-o").arg(output).fails(2, &["is an input too"]);
        }
        assert!(fs::read(&path).unwrap() == input);
    });
}

#[test]
fn a_failed_run_leaves_no_file_and_the_old_one_alone() {
    for_each_format(|tool, format| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.tsv");
        fs::write(&path, "old").unwrap();
        let mut input = Sample::few().for_tool(tool);
        input.extend_from_slice(if tool.takes_sequences() { b">bad\n-\n" } else { b"bad\t1\t-\n" });
        let mut run = Run::new(tool, format).arg("-o").arg(&path).stdin(&input);
        for (flag, _) in format.besides {
            run = run.arg(*flag).arg(folder.path().join(format!("beside{flag}")));
        }
        run.fails(1, &["bad"]);
        assert_eq!(fs::read(&path).unwrap(), b"old", "{}", tool.name);
        assert_eq!(names(folder.path()), ["out.tsv"], "{}", tool.name);
    });
}

#[test]
fn two_outputs_of_one_name_are_refused() {
    for_each_format(|tool, format| {
        for (flag, _) in format.besides {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("out");
            let run = Run::new(tool, format).arg("-o").arg(&path).arg(*flag).arg(&path);
            run.stdin(&Sample::few().for_tool(tool)).fails(2, &["two outputs have the name"]);
            assert_eq!(names(folder.path()), [""; 0]);
        }
    });
}

/// A link is written through, a named pipe is written as it stands.
#[test]
fn links_and_pipes() {
    for_each_format(|tool, format| {
        let folder = tempfile::tempdir().unwrap();
        let input = Sample::few().for_tool(tool);
        let expected = Run::new(tool, format).stdin(&input).ok();
        let (target, link, pipe) =
            (folder.path().join("target"), folder.path().join("link"), folder.path().join("pipe"));
        fs::write(&target, "old").unwrap();
        std::os::unix::fs::symlink("target", &link).unwrap();
        Run::new(tool, format).arg("-o").arg(&link).stdin(&input).ok();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink() && fs::read(&target).unwrap() == expected);
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let reader = {
            let pipe = pipe.clone();
            std::thread::spawn(move || fs::read(pipe).unwrap())
        };
        Run::new(tool, format).arg("-o").arg(&pipe).stdin(&input).ok();
        assert!(reader.join().unwrap() == expected, "{}", tool.name);
        if format.companions.is_empty() {
            assert_eq!(names(folder.path()), ["link", "pipe", "target"]);
        }
    });
}

/// `| head -1`: the reader goes away, which is no failure.
#[test]
fn a_closed_pipe_ends_quietly() {
    for_each_format(|tool, format| {
        let count = if tool.has_model { 300 } else { 20_000 };
        let mut child = Run::new(tool, format).arg("-q").spawn();
        let mut stdin = child.stdin.take().unwrap();
        let input = Sample::many(count).for_tool(tool);
        let feeder = std::thread::spawn(move || {
            let _ = stdin.write_all(&input);
        });
        let mut first = [0; 1];
        child.stdout.take().unwrap().read_exact(&mut first).unwrap();
        // The pipe is closed here: nobody holds its reading end.
        let done = child.wait_with_output().unwrap();
        feeder.join().unwrap();
        assert_eq!(done.status.code(), Some(0), "{} {:?}", tool.name, format.arguments);
        assert_eq!(String::from_utf8_lossy(&done.stderr), "", "{} {:?}", tool.name, format.arguments);
    });
}

/// Waits until something holds.
fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(60), "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_killed_run_leaves_no_file() {
    for_each_format(|tool, format| {
        for (signal, number) in [("TERM", 15), ("INT", 2), ("HUP", 1)] {
            let folder = tempfile::tempdir().unwrap();
            let mut run = Run::with_default_signals(tool, format).arg("-o").arg(folder.path().join("out.tsv"));
            for (flag, _) in format.besides {
                run = run.arg(*flag).arg(folder.path().join(format!("beside{flag}")));
            }
            let mut child = run.spawn();
            let mut stdin = child.stdin.take().unwrap();
            stdin.write_all(&Sample::few().for_tool(tool)).unwrap();
            // In mid-run: the output is begun and more input is expected.
            wait_for("the temporary files", || {
                names(folder.path()).len() == 1 + format.besides.len() + format.companions.len()
            });
            std::thread::sleep(Duration::from_millis(20));
            let pid = child.id().to_string();
            assert!(Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success());
            let status = child.wait().unwrap();
            assert_eq!(status.signal(), Some(number), "{} {signal}", tool.name);
            assert_eq!(names(folder.path()), [""; 0], "{} {signal}", tool.name);
            drop(stdin);
        }
    });
}

/// Under nohup a hang-up does not end the run.
#[test]
fn nohup_is_honoured() {
    for_each_format(|tool, format| {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out.tsv");
        let program = crate::common::run::binaries().join(tool.name);
        let mut child = Command::new("bash")
            .args(["-c", "trap '' HUP; exec \"$@\"", "bash"])
            .arg(program)
            .args(format.arguments)
            .arg("-o")
            .arg(&out)
            .current_dir(PACKAGE)
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(&Sample::few().for_tool(tool)).unwrap();
        wait_for("the temporary file", || names(folder.path()).len() == 1 + format.companions.len());
        std::thread::sleep(Duration::from_millis(20));
        assert!(Command::new("kill").args(["-s", "HUP", &child.id().to_string()]).status().unwrap().success());
        std::thread::sleep(Duration::from_millis(20));
        drop(stdin);
        assert!(child.wait().unwrap().success(), "{}", tool.name);
        assert!(out.exists());
    });
}
