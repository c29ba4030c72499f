//! `rnaret-fold`: decoders, free energies, and how much the network counts.

use crate::common::{Run, TOOLS};

const INPUT: &str = "testdata/rnas.fa.gz";

fn fold(arguments: &[&str]) -> String {
    let tool = TOOLS.iter().find(|tool| tool.name == "rnaret-fold").unwrap();
    String::from_utf8(Run::bare(tool).args(arguments.iter().copied()).ok()).unwrap()
}

/// A hairpin and a sequence without any pair.
const RECORDS: &str = ">hairpin\nGGGCAUCGAAAGAUGCCC\n>open\nAAAAAAAAAAAA\n";

fn records(folder: &std::path::Path) -> String {
    let path = folder.join("records.fa");
    std::fs::write(&path, RECORDS).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn energies_stand_where_rnafold_writes_them() {
    let folder = tempfile::tempdir().unwrap();
    let input = records(folder.path());
    let text = fold(&["--energy", "--decoder", "mfe", &input]);
    let lines: Vec<&str> = text.lines().collect();
    // As RNAfold 2.7 has it.
    assert_eq!(lines[2], "(((((((....))))))) (-12.30)");
    assert_eq!(lines[5], "............ (  0.00)");
    let table = fold(&["--energy", "--decoder", "mfe", "--format", "tsv", &input]);
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(rows[0][5..], ["energy", "ensemble_energy", "mean_pair_probability"]);
    assert_eq!(rows[1][5], "-12.30");
    let ensemble: f64 = rows[1][6].parse().unwrap();
    assert!(ensemble < -12.3 && ensemble > -13.0, "{ensemble}");
    assert!(rows[1][7].parse::<f64>().unwrap() > 0.5);
    assert_eq!(rows[2][5..], ["0.00", "0.00", "NA"]);
    assert!(!fold(&["--format", "tsv", &input]).contains("energy"), "only where asked for");
}

#[test]
fn decoders_and_the_weight_of_the_network() {
    let folder = tempfile::tempdir().unwrap();
    let input = records(folder.path());
    for decoder in ["mea", "mfe", "centroid", "assignment", "greedy", "nested"] {
        let text = fold(&["--decoder", decoder, &input]);
        assert_eq!(text.lines().nth(2), Some("(((((((....)))))))"), "{decoder}");
    }
    assert_eq!(fold(&[INPUT]), fold(&["--decoder", "mea", INPUT]), "the default");
    let pairs = |gamma: &str| fold(&["--gamma", gamma, INPUT]).matches('(').count();
    assert!(pairs("0.2") < pairs("1") && pairs("1") < pairs("30"), "a greater gamma gives more pairs");
    let by = |weight: &str| fold(&["--network-weight", weight, "--known-structures", "none", INPUT]);
    assert_ne!(by("0"), by("1"));
    assert_eq!(by("0.8"), fold(&["--known-structures", "none", INPUT]), "where homologs were not looked for");
}

/// What a network makes of sequences that are none of nature's must not be a pseudoknot.
#[test]
fn random_sequences_rarely_get_pseudoknots() {
    let mut state = 1_u64;
    let mut letter = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b"ACGU"[(state >> 33) as usize % 4])
    };
    let records: String =
        (0..20).map(|n| format!(">{n}\n{}\n", (0..300).map(|_| letter()).collect::<String>())).collect();
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("random.fa");
    std::fs::write(&input, records).unwrap();
    let text = fold(&[input.to_str().unwrap()]);
    let knotted = text.lines().filter(|line| line.contains('[')).count();
    assert!(knotted <= 2, "{knotted} of 20");
}
