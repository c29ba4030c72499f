//! What the documents and the helps tell people to type works, word for word, on the data that come with the tools.
//!
//! Programs of others are stood in for, so that our half of each pipe is tested; `.ci/run` runs the workflow managers.

use crate::common::TOOLS;
use crate::common::run::{PACKAGE, binaries};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// What a document names that is not there, and what of testdata it is. The tables of a user's own are among them.
const INPUTS: [(&str, &str); 6] = [
    ("rnas.fa.gz", "testdata/rnas.fa.gz"),
    ("rnas.fa", "testdata/rnas.fa.gz"),
    ("transcripts.fa.gz", "testdata/rnas.fa.gz"),
    ("utr3.fa.gz", "testdata/rnas.fa.gz"),
    ("mirnas.fa", "testdata/mirnas.fa"),
    ("reads.bam", "testdata/rnas.fa.gz"),
];

/// Programs of others, and what stands in for them.
const PROGRAMS: [(&str, &str); 3] =
    [("samtools", "gzip -dc testdata/rnas.fa.gz"), ("bedtools", "gzip -dc testdata/rnas.fa.gz"), ("RNAeval", "cat")];

/// A folder to type in, as the root of a clone is, with a home of its own.
fn workplace() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::os::unix::fs::symlink(Path::new(PACKAGE).join("testdata"), at("testdata")).unwrap();
    for (name, source) in INPUTS {
        fs::copy(Path::new(PACKAGE).join(source), at(name)).unwrap();
    }
    fs::create_dir(at("home")).unwrap();
    fs::create_dir(at("bin")).unwrap();
    for (name, command) in PROGRAMS {
        let path = at("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\n{command}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    folder
}

/// Types `script` in `folder`; returns what it prints.
fn type_in(folder: &Path, what: &str, script: &str) -> String {
    let path = format!("{}:{}:{}", folder.join("bin").display(), binaries().display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "-c", script]).current_dir(folder);
    command.env("PATH", path).env("HOME", folder.join("home")).env_remove("XDG_DATA_HOME");
    // The one task of a job array.
    for name in ["ID", "MIN", "MAX", "COUNT"] {
        command.env(format!("SLURM_ARRAY_TASK_{name}"), "1");
    }
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}:\n{script}\n{errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// No file that the commands wrote is empty.
fn expect_full_files(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let data = fs::symlink_metadata(&path).unwrap();
        if data.is_dir() {
            expect_full_files(&path);
        } else {
            // The lock of a run folder holds nothing.
            let lock = path.file_name().is_some_and(|name| name == "lock");
            assert!(data.len() > 0 || lock, "{} is empty", path.display());
        }
    }
}

/// The fenced blocks of a language in a document.
fn blocks(document: &str, language: &str) -> Vec<String> {
    let text = fs::read_to_string(Path::new(PACKAGE).join(document)).unwrap();
    let opening = format!("```{language}\n");
    let blocks: Vec<String> =
        text.split(&opening).skip(1).map(|rest| rest.split("```").next().unwrap_or_default().to_owned()).collect();
    assert!(!blocks.is_empty(), "{document} has no blocks of {language}");
    blocks
}

/// The indented lines of a document that are commands, and no synopsis.
fn indented_commands(document: &str) -> Vec<String> {
    let text = fs::read_to_string(Path::new(PACKAGE).join(document)).unwrap();
    let is_command = |line: &&str| {
        let first = line.split_whitespace().next().unwrap_or_default();
        let ours = TOOLS.iter().any(|tool| tool.name == first) || ["mkdir", "cat"].contains(&first);
        // K, MODEL, PAIRS.tsv: something to be put in.
        let placeholder = line.split_whitespace().any(|word| {
            let name = word.split('.').next().unwrap_or_default();
            !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c == '-') && name != "-"
        });
        ours && !placeholder && !line.contains('[')
    };
    text.lines().filter_map(|line| line.strip_prefix("    ")).filter(is_command).map(str::to_owned).collect()
}

#[test]
fn the_readme() {
    let folder = workplace();
    let mut typed = 0;
    for block in blocks("README.md", "bash") {
        // Snakemake, Nextflow and SLURM, which .ci/run has.
        if !block.contains("snakemake") {
            type_in(folder.path(), "README.md", &block);
            typed += 1;
        }
    }
    assert_eq!(typed, 2, "the pipes, and the task of a job array");
    let commands = indented_commands("README.md");
    assert!(commands.len() >= 4, "{commands:?}");
    for command in commands {
        type_in(folder.path(), "README.md", &command);
    }
    expect_full_files(folder.path());
}

#[test]
fn the_page_on_embeddings() {
    let folder = workplace();
    for block in blocks("docs/embeddings.md", "bash") {
        type_in(folder.path(), "docs/embeddings.md", &block);
    }
    expect_full_files(folder.path());
}

#[test]
fn the_examples_of_every_help() {
    for tool in &TOOLS {
        let folder = workplace();
        let help = type_in(folder.path(), tool.name, &format!("{} --help", tool.name));
        let (_, examples) = help.split_once("Examples:\n").unwrap_or_else(|| panic!("{}: no examples", tool.name));
        let examples: Vec<&str> = examples.lines().filter_map(|line| line.strip_prefix("  ")).collect();
        assert!(examples.len() >= 2, "{}: {examples:?}", tool.name);
        for example in examples {
            assert!(example.contains(tool.name), "{}: {example}", tool.name);
            type_in(folder.path(), tool.name, example);
        }
        expect_full_files(folder.path());
    }
}
