//! `--svg` and `--dot-plot`: one well-formed file per record, under a safe name, the same every time.

use crate::common::input::TRNA;
use crate::common::{Run, Sample, TOOLS, Tool};
use std::fs;
use std::path::Path;

/// The tool, its arguments, the flag that draws, and the end of the files' names.
const PICTURES: [(&str, &[&str], &str, &str); 4] = [
    ("rnaret-fold", &[], "--svg", ".structure.svg"),
    ("rnaret-fold", &["--decoder", "nested"], "--dot-plot", ".pairs.svg"),
    ("rnaret-embed", &["--retention", "map"], "--svg", ".retention.svg"),
    ("rnaret-coding", &["--orf"], "--svg", ".coding.svg"),
];

fn tool(name: &str) -> &'static Tool {
    TOOLS.iter().find(|tool| tool.name == name).unwrap()
}

/// The files of a folder by name, in order.
fn files(folder: &Path) -> Vec<(String, String)> {
    let mut files: Vec<(String, String)> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap()))
        .collect();
    files.sort();
    files
}

#[test]
fn a_picture_for_each_record() {
    for (name, arguments, flag, ending) in PICTURES {
        let folder = tempfile::tempdir().unwrap();
        let sample = Sample::few().with("one", "A");
        let input = sample.fasta(60, "\n");
        let run =
            |threads: &str| Run::bare(tool(name)).args(arguments.iter().copied()).args(["-t", threads]).stdin(&input);
        let plain = run("1").ok();
        // The folder is made, with those above it.
        let (first, second) = (folder.path().join("a/b"), folder.path().join("c"));
        assert!(run("1").arg(flag).arg(&first).ok() == plain, "{name} {flag} changes the output");
        run("3").arg(flag).arg(&second).ok();
        let found = files(&first);
        assert!(found == files(&second), "{name} {flag}: pictures depend on the number of threads");
        let mut expected: Vec<String> = sample.0.iter().map(|(id, _)| format!("{id}{ending}")).collect();
        expected.sort();
        assert_eq!(found.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>(), expected, "{name} {flag}");
        for (file, text) in &found {
            let document = roxmltree::Document::parse(text).unwrap_or_else(|error| panic!("{file}: {error}"));
            let root = document.root_element();
            assert_eq!((root.tag_name().name(), root.attribute("role")), ("svg", Some("img")), "{file}");
            let labels: Vec<&str> = root.attribute("aria-labelledby").unwrap().split(' ').collect();
            for (label, element) in labels.iter().zip(["title", "desc"]) {
                let node = root.children().find(|node| node.attribute("id") == Some(label)).unwrap();
                assert!(node.tag_name().name() == element && !node.text().unwrap().is_empty(), "{file}");
            }
            assert!(root.children().any(|node| node.text() == Some(file.strip_suffix(ending).unwrap())), "{file}");
            for node in document.descendants() {
                for attribute in node.attributes() {
                    let value = attribute.value();
                    assert!(!value.contains("NaN") && !value.contains("inf"), "{file}: {attribute:?}");
                }
            }
        }
    }
}

#[test]
fn names_are_safe_and_differ() {
    for (name, arguments, flag, ending) in PICTURES {
        let folder = tempfile::tempdir().unwrap();
        let ids = ["../up", "a/b", "a|b", "a_b", "-q", ".hidden", "<&\"'>", "\u{b5}RNA", "CON", &"x".repeat(300)];
        let sample = Sample(ids.iter().map(|id| (id.to_string(), "GGGAAAUCCC".to_owned())).collect());
        let run = Run::bare(tool(name)).args(arguments.iter().copied()).arg(flag).arg(folder.path());
        run.stdin(&sample.fasta(60, "\n")).ok();
        let found = files(folder.path());
        assert_eq!(found.len(), ids.len(), "{name} {flag}");
        for (file, text) in &found {
            assert!(file.ends_with(ending) && !file.starts_with(['.', '-']) && file.len() < 200, "{file}");
            assert!(file.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)), "{file}");
            roxmltree::Document::parse(text).unwrap_or_else(|error| panic!("{file}: {error}"));
        }
        let titles: String = found.iter().map(|(_, text)| text.as_str()).collect();
        assert!(titles.contains("&lt;&amp;&quot;&#39;&gt;"), "{name} {flag}: an id is not escaped");
    }
}

#[test]
fn what_cannot_be_drawn_is_said() {
    for (name, arguments, flag, _) in PICTURES {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let run = || Run::bare(tool(name)).args(arguments.iter().copied()).arg(flag);
        run().arg(&file).stdin(b">a\nACGU\n").fails(1, &["file", "cannot write"]);
        // Files are named after ids.
        let twice = Sample::new(&[("a", TRNA), ("a", TRNA)]).fasta(60, "\n");
        run().arg(folder.path().join("x")).stdin(&twice).fails(1, &["same id"]);
    }
    let embed = tool("rnaret-embed");
    Run::bare(embed).args(["--svg", "x"]).fails(2, &["--retention"]);
    Run::bare(embed).args(["--retention", "first-row", "--svg", "x"]).fails(2, &["--retention map"]);
}
