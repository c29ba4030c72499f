//! `rnaret-fold --known-structures` and `rnaret-train condense`: what known structures of related RNAs do.

use std::fs;
use std::path::Path;

use crate::common::{Run, TOOLS};

const INPUT: &str = "testdata/rnas.fa.gz";

fn tool(name: &str, arguments: &[&str]) -> Run {
    let tool = TOOLS.iter().find(|tool| tool.name == name).unwrap();
    Run::bare(tool).args(arguments.iter().copied())
}

fn fold(arguments: &[&str]) -> Run {
    tool("rnaret-fold", arguments)
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// A record to learn from.
const HOMOLOG: &str = ">homolog\nGGCACCUAGCGAUACGGCUUAGCCAUGGAACUCGAAAGAGUUUAUCGGAUGUACGAGGUGCU\n\
     ((((((........((((.......................))).......)....))))))\n";

#[test]
fn homologs_are_named_and_none_means_none() {
    let folder = tempfile::tempdir().unwrap();
    let table = folder.path().join("homologs.tsv");
    let table = table.to_str().unwrap();
    let with = fold(&["--homologs", table, INPUT]).ok();
    let rows = fs::read_to_string(table).unwrap();
    let rows: Vec<Vec<&str>> = rows.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(rows[0], ["id", "homolog", "identity", "aligned", "covered", "kept", "evalue"]);
    // Rfam's families of what is in testdata.
    for (id, family) in [("tRNA-Phe", "RF00005|"), ("5S_rRNA", "RF00001|"), ("hammerhead", "RF00008|")] {
        let best = rows.iter().find(|row| row[0] == id).unwrap();
        assert!(best[1].starts_with(family), "{best:?}");
    }
    for row in &rows[1..] {
        match row[1] {
            "NA" => assert!(row[2..].iter().all(|part| *part == "NA"), "{row:?}"),
            _ => assert!(row[2..].iter().all(|part| (0.0..=1.0).contains(&part.parse::<f64>().unwrap())), "{row:?}"),
        }
    }
    let without = fold(&["--known-structures", "none", "--homologs", table, INPUT]).ok();
    let nothing = fs::read_to_string(table).unwrap();
    assert_eq!(nothing.matches("\tNA\tNA\tNA\tNA\tNA\tNA\n").count(), 6, "{nothing}");
    assert_ne!(with, without);
    // The homologs of a record do not depend on the others, nor do shards and threads show.
    let parts: Vec<u8> =
        ["1/2", "2/2"].iter().flat_map(|part| fold(&["-t", "1", "--shard", part, INPUT]).ok()).collect();
    assert_eq!(parts, with);
}

/// Of what nature has not made nothing is known: at most one in a hundred shuffled sequences has a homolog that is expected
/// less than once in a hundred by chance.
#[test]
fn shuffled_sequences_have_no_significant_homologs() {
    let mut state = 1_u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let sequence = "GCGGAUUUAGCUCAGUUGGGAGAGCGCCAGACUGAAGAUCUGGAGGUCCUGUGUUCGAUCCACAGAAUUCGCACCA";
    let shuffled: String = (0..200)
        .map(|number| {
            let mut letters: Vec<char> = sequence.chars().collect();
            (1..letters.len()).rev().for_each(|last| letters.swap(last, random(last + 1)));
            format!(">{number}\n{}\n", letters.into_iter().collect::<String>())
        })
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let input = write(folder.path(), "shuffled.fa", &shuffled);
    let table = folder.path().join("homologs.tsv");
    let run = fold(&["--evalue", "0.01", "--homologs", table.to_str().unwrap(), &input]);
    let done = run.done();
    done.expect_status(0);
    let rows = fs::read_to_string(table).unwrap();
    let none = rows.matches("\tNA\tNA\tNA\tNA\tNA\tNA\n").count();
    assert!(none >= 198, "{rows}");
    assert!(
        done.stderr().contains(&format!("of 200 records, {none} have no significant homolog")),
        "{}",
        done.stderr()
    );
}

#[test]
fn known_structures_come_in_any_format() {
    let folder = tempfile::tempdir().unwrap();
    let known = fold(&["--known-structures", "none", INPUT]).ok();
    let ids = |text: &[u8]| String::from_utf8_lossy(text).lines().filter(|line| line.starts_with('>')).count();
    assert_eq!(ids(&known), 6);
    let mut answers = Vec::new();
    for format in ["dbn", "ct", "bpseq", "tsv"] {
        let path = folder.path().join(format!("known.{format}.gz"));
        fold(&["--known-structures", "none", "--format", format, "-o", path.to_str().unwrap(), INPUT]).ok();
        let table = folder.path().join("homologs.tsv");
        let structures =
            fold(&["--known-structures", path.to_str().unwrap(), "--homologs", table.to_str().unwrap(), INPUT]).ok();
        answers.push((structures, fs::read_to_string(table).unwrap()));
    }
    // BPSEQ may hold no ids, and what is said by them is the same.
    assert!(answers.iter().all(|(structures, _)| *structures == answers[0].0));
    // Files are put together, in the order in which they are given.
    let path = folder.path().join("known.dbn.gz");
    let both = ["--known-structures", "built-in", "--known-structures", path.to_str().unwrap()];
    let table = folder.path().join("homologs.tsv");
    fold(&[&both[..], &["--homologs", table.to_str().unwrap(), INPUT]].concat()).ok();
    let table = fs::read_to_string(&table).unwrap();
    assert!(table.contains("\nGAS5\tGAS5\t1\t1\t1\t1\t") && table.contains("\ntRNA-Phe\tRF00005|"), "{table}");
    let best = answers[0].1.lines().find(|line| line.starts_with("GAS5\t")).unwrap();
    assert!(best.starts_with("GAS5\tGAS5\t1\t1\t1\t1\t"), "{best}");
}

#[test]
fn what_cannot_be_used_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let broken = write(folder.path(), "broken.dbn", ">one\nGGGAAACCC\n(((...)))\n>two\nGGGAAACCC\n(((...))\n");
    let empty = write(folder.path(), "empty.dbn", "");
    fold(&["--known-structures", &broken, INPUT]).fails(1, &["broken.dbn", "two"]);
    fold(&["--known-structures", &empty, INPUT]).fails(1, &["empty.dbn", "no known structures"]);
    fold(&["--known-structures", "no/such/file", INPUT]).fails(1, &["no/such/file"]);
    fold(&["--model", "testdata/golden/k1_fold.pth", "--known-structures", &broken, INPUT])
        .fails(2, &["--known-structures", "trained without"]);
    fold(&["--known-structures", "none", "--known-structures", "built-in", INPUT]).fails(2, &["none"]);
    // Models that do not read them need none.
    fold(&["--model", "testdata/golden/k1_fold.pth", "testdata/golden/none.fa"]).fails(1, &["none.fa"]);
}

#[test]
fn a_model_learns_to_read_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let known = write(folder.path(), "known.dbn", &HOMOLOG.repeat(2));
    tool("rnaret-train", &["condense", &known, "-o", &path("condensed.dbn")]).ok();
    assert_eq!(fs::read_to_string(path("condensed.dbn")).unwrap(), HOMOLOG);
    // What is read is not written over.
    tool("rnaret-train", &["condense", &known, "-o", &known]).fails(2, &["known.dbn"]);
    assert_eq!(fs::read_to_string(&known).unwrap(), HOMOLOG.repeat(2));
    let size = ["--layers", "1", "--embed-dim", "16", "--value-dim", "16", "--ffn-dim", "16", "--heads", "2"];
    let head = ["--head", "helices", "--head-width", "8", "--head-blocks", "2", "--validation-fraction", "0"];
    let steps = ["--steps", "3", "--epochs", "100", "--warmup-steps", "1"];
    let train = |run: &str, more: &[&str]| {
        let arguments = ["fold", "--run", run, &known].into_iter().chain(steps).chain(more.iter().copied());
        tool("rnaret-train", &arguments.collect::<Vec<_>>())
    };
    let plain: Vec<&str> = size.iter().chain(&head).copied().collect();
    train(&path("plain"), &plain).ok();
    let weights = |run: &str| path(&format!("{run}/model.safetensors"));
    // From a model that does not read them to one that does …
    train(&path("reads"), &["--model", &weights("plain"), "--known-structures", &path("condensed.dbn")]).ok();
    let config = fs::read_to_string(path("reads/inputs.json")).unwrap();
    assert!(config.contains("\"homologs\": true") && config.contains("condensed.dbn"), "{config}");
    fold(&["--model", &weights("reads"), "--known-structures", &known, INPUT]).ok();
    // … and not for heads that cannot.
    train(&path("no"), &["--head", "published", "--known-structures", &known]).fails(2, &["helices"]);
}
