//! The table of tools, and what each says of itself.

use crate::common::run::{PACKAGE, binaries};
use crate::common::{Run, Sample, TOOLS};
use std::path::Path;
use std::process::Command;

#[test]
fn every_tool_is_in_the_table() {
    let mut sources: Vec<String> = std::fs::read_dir(Path::new(PACKAGE).join("src/bin"))
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    sources.sort();
    let known = |name: &str| TOOLS.iter().find(|tool| tool.name == name);
    for name in &sources {
        assert!(known(name).is_some(), "src/bin/{name}.rs is not in the table of tests/common/tools.rs");
    }
    for tool in TOOLS.iter().filter(|tool| tool.ready) {
        assert!(sources.iter().any(|name| name == tool.name), "{} is in the table but not in src/bin", tool.name);
    }
}

#[test]
fn the_version_is_one_line() {
    for tool in TOOLS.iter().filter(|tool| tool.ready) {
        let version = String::from_utf8(Run::bare(tool).arg("--version").ok()).unwrap();
        assert_eq!(version, format!("{} {}\n", tool.name, env!("CARGO_PKG_VERSION")));
    }
}

/// The examples of --help run as they stand in a folder that holds testdata.
#[test]
fn two_examples_run_as_they_stand() {
    for tool in TOOLS.iter().filter(|tool| tool.ready) {
        let help = String::from_utf8(Run::bare(tool).arg("--help").ok()).unwrap();
        let (_, examples) = help.split_once("Examples:\n").unwrap_or_else(|| panic!("{}: no examples", tool.name));
        let examples: Vec<&str> = examples.lines().filter(|line| line.contains(tool.name)).collect();
        assert_eq!(examples.len(), 2, "{}: two examples, one line each", tool.name);
        for example in examples {
            let folder = tempfile::tempdir().unwrap();
            std::os::unix::fs::symlink(Path::new(PACKAGE).join("testdata"), folder.path().join("testdata")).unwrap();
            let path = std::env::var("PATH").unwrap();
            let run = Command::new("bash")
                .args(["-o", "pipefail", "-c", example])
                .current_dir(folder.path())
                .env("PATH", format!("{}:{path}", binaries().display()))
                .output()
                .unwrap();
            let errors = String::from_utf8_lossy(&run.stderr);
            assert!(run.status.success(), "{example}: {errors}");
            assert!(!errors.contains("error"), "{example}: {errors}");
            let files = std::fs::read_dir(folder.path()).unwrap().count();
            assert!(!run.stdout.is_empty() || files > 1, "{example}: nothing came out");
        }
    }
}

#[test]
fn completions_and_man_pages() {
    for tool in TOOLS.iter().filter(|tool| tool.ready) {
        for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
            let script = String::from_utf8(Run::bare(tool).args(["--completions", shell]).ok()).unwrap();
            assert!(script.contains(tool.name) && script.contains("threads"), "{} {shell}", tool.name);
        }
        let page = String::from_utf8(Run::bare(tool).arg("--man").ok()).unwrap();
        assert!(page.contains(&format!(".TH {}", tool.name)) && page.contains("Examples"), "{}", tool.name);
        for section in ["SYNOPSIS", "EXIT STATUS", "ENVIRONMENT", "FILES", "SEE ALSO"] {
            assert_eq!(page.matches(&format!(".SH \"{section}\"")).count(), 1, "{} {section}", tool.name);
        }
        let help = String::from_utf8(Run::bare(tool).arg("--help").ok()).unwrap();
        assert!(help.contains("--completions") && help.contains("--man"), "{}", tool.name);
        assert!(
            help.contains("RNARET_THREADS") && page.contains("RNARET\\_THREADS") || page.contains("RNARET_THREADS")
        );
    }
    let train = TOOLS.iter().find(|tool| tool.name == "rnaret-train").unwrap();
    for subcommand in ["pretrain", "fold", "coding", "mirtarget", "classify", "regress", "label", "evaluate", "import"]
    {
        let page = String::from_utf8(Run::bare(train).args(["--man", subcommand]).ok()).unwrap();
        assert!(page.contains(&format!(".TH rnaret-train-{subcommand}")) && page.contains("threads"), "{page}");
    }
    Run::bare(train).args(["--man", "no-such"]).fails(2, &["no-such"]);
}

#[test]
fn wrong_usage_ends_with_2() {
    for tool in TOOLS.iter().filter(|tool| tool.ready) {
        Run::bare(tool).arg("--no-such-flag").fails(2, &["--no-such-flag"]);
        for format in tool.formats.iter().take(1) {
            Run::bare(tool).args(format.arguments).args(["-t", "0"]).fails(2, &["--threads"]);
            Run::bare(tool).args(format.arguments).args(["--on-error", "ignore"]).fails(2, &["--on-error"]);
            for shard in ["0/2", "3/2", "1", "x/y", "auto"] {
                Run::bare(tool).args(format.arguments).args(["--shard", shard]).fails(2, &["--shard"]);
            }
            Run::bare(tool).args(format.arguments).args(["-", "-"]).fails(2, &["standard input"]);
            if tool.has_model {
                Run::bare(tool).args(format.arguments).args(["--device", "gpu"]).fails(2, &["--device"]);
                let input = Sample::few().for_tool(tool);
                let run = |arguments: [&str; 2]| Run::new(tool, format).args(arguments).stdin(&input);
                run(["--precision", "bf16"]).fails(1, &["bf16", "--precision f32"]);
                if cfg!(not(feature = "cuda")) {
                    run(["--device", "cuda"]).fails(1, &["cuda:0", "--features cuda", "--device cpu"]);
                }
                assert!(run(["--device", "auto"]).ok() == run(["--device", "cpu"]).ok());
            }
        }
    }
}
