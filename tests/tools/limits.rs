//! Memory that does not suffice, under a real limit: the record is named, the others are computed where that is wanted, and
//! nothing is left behind.
#![cfg(target_os = "linux")]

use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::common::input::TRNA;
use crate::common::run::{PACKAGE, binaries};

/// Runs a tool with so many kilobytes of address space.
fn limited(kilobytes: usize, tool: &str, arguments: &[&str]) -> Output {
    Command::new("sh")
        .args(["-c", r#"ulimit -v "$0"; exec "$@""#, &kilobytes.to_string()])
        .arg(binaries().join(tool))
        .args(["-t", "1"])
        .args(arguments)
        .current_dir(PACKAGE)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Names of the files in a folder.
fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn random(length: usize) -> String {
    let mut state = length as u64;
    let mut letter = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ['A', 'C', 'G', 'U'][(state >> 62) as usize]
    };
    (0..length).map(|_| letter()).collect()
}

/// What does not fit in how many kilobytes: tool, arguments, kilobytes, and the length of the record that is too long.
const CASES: [(&str, &[&str], usize, usize); 8] = [
    ("rnaret-fold", &["--known-structures", "none"], 400_000, 16_000),
    ("rnaret-fold", &[], 400_000, 50_000),
    ("rnaret-coding", &["--summary", "SUMMARY"], 300_000, 1_000_000),
    ("rnaret-embed", &["--pool", "none"], 300_000, 1_000_000),
    ("rnaret-embed", &["--pool", "none", "--format", "safetensors"], 300_000, 1_000_000),
    ("rnaret-embed", &["--retention", "column-mean"], 300_000, 1_000_000),
    ("rnaret-embed", &["--likelihood"], 300_000, 1_000_000),
    ("rna-kmerize", &["-k", "7"], 100_000, 10_000_000),
];

#[test]
fn a_record_that_does_not_fit_is_named_and_the_others_are_computed() {
    for (tool, arguments, kilobytes, length) in CASES {
        let folder = tempfile::tempdir().unwrap();
        let [input, short, output, summary] =
            ["in.fa", "short.fa", "out", "summary"].map(|name| folder.path().join(name).to_str().unwrap().to_owned());
        let others = [format!(">first\n{TRNA}\n"), format!(">last\n{}\n", random(300))];
        std::fs::write(&short, others.concat()).unwrap();
        std::fs::write(
            &input,
            [&others[0], &format!(">toolong\n{}\n", random(length)), &others[1]].map(String::as_str).concat(),
        )
        .unwrap();
        let arguments: Vec<&str> =
            arguments.iter().map(|&argument| if argument == "SUMMARY" { summary.as_str() } else { argument }).collect();
        let what = format!("{tool} {arguments:?}");
        let run = |more: &[&str]| limited(kilobytes, tool, &[&arguments[..], &["-o", &output], more].concat());
        let expected = run(&[&short]);
        assert_eq!(expected.status.code(), Some(0), "{what}: {}", text(&expected.stderr));
        let expected = std::fs::read(&output).unwrap();
        std::fs::remove_file(&output).unwrap();
        let _ = std::fs::remove_file(&summary);
        let failed = run(&[&input]);
        let errors = text(&failed.stderr);
        assert_eq!(failed.status.code(), Some(1), "{what}: {errors}");
        let lines: Vec<&str> = errors.lines().filter(|line| line.contains("error: ")).collect();
        assert!(lines.len() == 1 && lines[0].contains("record toolong"), "{what}: {errors}");
        assert!(!errors.contains("panicked") && !errors.contains("backtrace"), "{what}: {errors}");
        assert_eq!(files(folder.path()), ["in.fa", "short.fa"], "{what}: nothing is left behind");
        let skipped = run(&["--on-error", "skip", &input]);
        let errors = text(&skipped.stderr);
        assert_eq!(skipped.status.code(), Some(0), "{what}: {errors}");
        assert!(errors.contains("set aside") && errors.contains("toolong"), "{what}: {errors}");
        assert!(std::fs::read(&output).unwrap() == expected, "{what}: the other records are as they are without it");
    }
}

/// Targets are scanned window by window: their length takes little.
#[test]
fn long_targets_and_maps_take_little() {
    let folder = tempfile::tempdir().unwrap();
    let [input, output] = ["in.fa", "out"].map(|name| folder.path().join(name).to_str().unwrap().to_owned());
    std::fs::write(&input, format!(">a\n{}\n", random(200_000))).unwrap();
    let done = limited(300_000, "rnaret-mirtarget", &["--mirna", "testdata/mirnas.fa", "-o", &output, &input]);
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    std::fs::write(&input, format!(">a\n{}\n", random(1000))).unwrap();
    let done = limited(200_000, "rnaret-embed", &["--retention", "map", "-o", &output, &input]);
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
}

/// Whatever the limit: a result, or one line and exit status 1, and never a signal or a file left behind.
#[test]
fn no_limit_ends_a_tool_by_a_signal() {
    let folder = tempfile::tempdir().unwrap();
    let [input, output] = ["in.fa", "out"].map(|name| folder.path().join(name).to_str().unwrap().to_owned());
    std::fs::write(&input, format!(">a\n{}\n>b\n{}\n>c\n{TRNA}\n", random(900), random(3000))).unwrap();
    for (tool, arguments) in [
        ("rnaret-fold", &["--pairs", "PAIRS"][..]),
        ("rnaret-coding", &[]),
        ("rnaret-embed", &["--pool", "none"]),
        ("rnaret-embed", &["--likelihood"]),
        ("rnaret-mirtarget", &["--mirna", "testdata/mirnas.fa", "--candidates", "all"]),
        ("rna-kmerize", &["-k", "5"]),
    ] {
        let pairs = folder.path().join("pairs").to_str().unwrap().to_owned();
        let arguments: Vec<&str> =
            arguments.iter().map(|&argument| if argument == "PAIRS" { pairs.as_str() } else { argument }).collect();
        for kilobytes in [20_000, 40_000, 70_000, 100_000, 130_000, 180_000, 250_000] {
            let done = limited(kilobytes, tool, &[&arguments[..], &["-o", &output, &input]].concat());
            let errors = text(&done.stderr);
            // Below some size the loader cannot start the program: the shell's affair.
            if done.status.code() == Some(127) || errors.contains("error while loading") {
                continue;
            }
            let what = format!("{tool} {arguments:?} in {kilobytes} kB: {:?}: {errors}", done.status);
            assert!(matches!(done.status.code(), Some(0 | 1)), "{what}");
            if done.status.code() == Some(1) {
                assert_eq!(errors.lines().filter(|line| line.contains("error: ")).count(), 1, "{what}");
                assert!(!errors.contains("panicked"), "{what}");
                assert_eq!(files(folder.path()), ["in.fa"], "{what}");
            }
            for name in [&output, &pairs] {
                let _ = std::fs::remove_file(name);
            }
        }
    }
}
