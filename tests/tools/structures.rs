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
    assert_eq!(rows[0][5..], ["energy", "ensemble_energy", "mean_pair_probability", "expected_accuracy"]);
    assert_eq!(rows[1][5], "-12.30");
    let ensemble: f64 = rows[1][6].parse().unwrap();
    assert!(ensemble < -12.3 && ensemble > -13.0, "{ensemble}");
    assert!(rows[1][7].parse::<f64>().unwrap() > 0.5);
    assert!(rows[1][8].parse::<f64>().unwrap() > 0.8);
    assert_eq!(rows[2][5..], ["0.00", "0.00", "NA", "1"]);
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

fn written(folder: &std::path::Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn constraints_come_with_the_record_or_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let (sequence, free) = ("GGGCAUCGAAAGAUGCCC", "(((((((....)))))))");
    let plain = written(folder.path(), "plain.fa", &format!(">hairpin\n{sequence}\n>other\n{sequence}\n"));
    let structures = |arguments: &[&str]| {
        let text = fold(arguments);
        text.lines().skip(2).step_by(3).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(structures(&[&plain]), [free, free]);
    let line = "xx................";
    let opened = "..(((((....)))))..";
    let constrained = format!(">hairpin\n{sequence}\n{line}\n>other\n{sequence}\n");
    let own = written(folder.path(), "own.fa", &constrained);
    assert_eq!(structures(&["-C", &own]), [opened, free]);
    let file = written(folder.path(), "constraints.dbn", &format!(">hairpin\n{line}\n"));
    assert_eq!(structures(&["--constraints", &file, &plain]), [opened, free]);
    for decoder in ["mfe", "centroid", "nested", "assignment"] {
        assert_eq!(structures(&["-C", "--decoder", decoder, &own]), [opened, free], "{decoder}");
    }
    // A pair that is named is in the structure where it can be.
    let named = written(folder.path(), "named.fa", &format!(">a\n{sequence}\n.(.............)..\n"));
    assert_eq!(&structures(&["-C", &named])[0][1..2], "(");
    let short = written(folder.path(), "short.dbn", ">hairpin\n...\n");
    let tool = TOOLS.iter().find(|tool| tool.name == "rnaret-fold").unwrap();
    Run::bare(tool).args(["--constraints", &short, &plain]).fails(1, &["record 1 (hairpin)", "3 characters"]);
}

#[test]
fn reactive_bases_pair_less() {
    let folder = tempfile::tempdir().unwrap();
    let input = written(folder.path(), "records.fa", ">hairpin\nGGGCAUCGAAAGAUGCCC\n");
    let pairs = |reactivity: Option<&str>| {
        let table = folder.path().join("pairs.tsv");
        let table = table.to_str().unwrap();
        let mut arguments =
            vec!["--network-weight", "0", "--energies", "turner2004", "--min-prob", "0", "--pairs", table];
        let file;
        if let Some(text) = reactivity {
            file = written(folder.path(), "reactivity.tsv", text);
            arguments.extend(["--reactivity", file.as_str()]);
        }
        arguments.push(&input);
        fold(&arguments);
        let text = std::fs::read_to_string(table).unwrap();
        let row = text.lines().find(|row| row.starts_with("hairpin\t1\t18\t")).unwrap();
        row.split('\t').next_back().unwrap().parse::<f64>().unwrap()
    };
    let plain = pairs(None);
    let reactive = pairs(Some("id\treactivity\nhairpin\t3,3,NA\n"));
    assert!(reactive < plain - 0.05, "{plain} {reactive}");
    assert_eq!(reactive, pairs(Some("1 3\n2 3\n3 NA\n")), "RNAfold's format");
    assert_eq!(plain, pairs(Some("id\treactivity\nanother\t3,3,NA\n")));
}

#[test]
fn samples_and_suboptimal_structures() {
    let folder = tempfile::tempdir().unwrap();
    let input = records(folder.path());
    let text = fold(&["--samples", "50", "--seed", "7", &input]);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2 * (2 + 50));
    assert!(lines[2..52].iter().filter(|line| **line == "(((((((....))))))) (-12.30)").count() > 30, "{text}");
    assert_eq!(text, fold(&["--samples", "50", "--seed", "7", &input]), "the same seed");
    let of_seed = |seed: &str| fold(&["--samples", "5", "--seed", seed, INPUT]);
    assert_ne!(of_seed("7"), of_seed("8"));
    let suboptimal = fold(&["--suboptimal", "5", "--format", "tsv", &input]);
    let rows: Vec<Vec<&str>> = suboptimal.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(rows[0].last(), Some(&"energy"));
    assert_eq!((rows[1][3], rows[1][5]), ("(((((((....)))))))", "-12.30"));
    let energies: Vec<f64> = rows.iter().filter(|row| row[0] == "hairpin").map(|row| row[5].parse().unwrap()).collect();
    assert!(energies.len() > 3 && energies.is_sorted() && energies.last() <= Some(&-7.3), "{energies:?}");
    assert_eq!(rows.iter().filter(|row| row[0] == "open").count(), 1);
}

#[test]
fn pairs_span_no_more_than_they_may() {
    let folder = tempfile::tempdir().unwrap();
    let input = records(folder.path());
    for decoder in ["mea", "mfe", "nested"] {
        let text = fold(&["--max-span", "14", "--decoder", decoder, &input]);
        assert_eq!(text.lines().nth(2), Some("..(((((....))))).."), "{decoder}");
    }
}
