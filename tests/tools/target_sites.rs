//! `rnaret-mirtarget`: what goes with a site, both strands, summaries and drawings, and the background that models are
//! calibrated on.

use crate::common::{Run, TOOLS};
use std::fs;
use std::path::Path;

const LET_7: &str = ">let-7a\nUGAGGUAGUAGGUUGUAUAGUU\n>miR-16\nUAGCAGCACGUAAAUAUUGGCG\n";

fn tool(name: &str) -> Run {
    Run::bare(TOOLS.iter().find(|tool| tool.name == name).unwrap()).args(["-q", "-t", "1"])
}

fn lines(text: impl AsRef<[u8]>) -> Vec<Vec<String>> {
    let text = String::from_utf8(text.as_ref().to_vec()).unwrap();
    text.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}

/// A target with sites of both miRNAs, and its reverse complement.
fn targets() -> [String; 2] {
    let target = format!(
        "{}AACUAUACAAGGCUACCUCA{}CGCCAAUAUUUACGUGCUGCUA{}CUACCUC{}",
        "GACUGC".repeat(9),
        "GACUGC".repeat(8),
        "GAUUGC".repeat(9),
        "GACUGU".repeat(7)
    );
    let complement = |letter| match letter {
        'A' => 'U',
        'C' => 'G',
        'G' => 'C',
        _ => 'A',
    };
    let turned = target.chars().rev().map(complement).collect();
    [target, turned]
}

fn scan(folder: &Path, target: &str, arguments: &[&str]) -> Vec<Vec<String>> {
    let mirnas = folder.join("mirnas.fa");
    fs::write(&mirnas, LET_7).unwrap();
    let run = tool("rnaret-mirtarget").args(arguments.iter().copied()).arg("--mirna").arg(&mirnas);
    lines(run.stdin(format!(">t\n{target}\n").as_bytes()).ok())
}

#[test]
fn a_site_comes_with_its_seed_energy_percentile_and_strand() {
    let folder = tempfile::tempdir().unwrap();
    let [target, turned] = targets();
    let rows = scan(folder.path(), &target, &[]);
    let header = "mirna target start end seed_type probability seed_start seed_end energy percentile strand";
    assert_eq!(rows[0].join(" "), header);
    let seeds: Vec<(&str, &str, &str)> = rows[1..]
        .iter()
        .map(|row| {
            let place = |column: usize| row[column].parse::<usize>().unwrap();
            (row[0].as_str(), row[4].as_str(), &target[place(6)..place(7)])
        })
        .collect();
    let expected = [("let-7a", "8mer", "CUACCUCA"), ("miR-16", "8mer", "UGCUGCUA"), ("let-7a", "7mer-m8", "CUACCUC")];
    assert_eq!(seeds, expected);
    for row in &rows[1..] {
        let number = |column: usize| row[column].parse::<f64>().unwrap();
        assert!((0.0..=1.0).contains(&number(5)) && (0.0..=100.0).contains(&number(9)), "{row:?}");
        assert!(number(2) <= number(6) && number(7) <= number(3) && number(8) < -5.0, "{row:?}");
        assert_eq!(row[10], "+");
    }
    // The complementary site is the most stable by far, and more probable than nearly all of the background.
    let number = |row: usize, column: usize| rows[row][column].parse::<f64>().unwrap();
    assert!(number(2, 8) < -35.0 && number(2, 9) > 95.0 && number(2, 5) > 0.8, "{:?}", rows[2]);
    // On the other strand the same is found, at the places where it lies.
    let other = scan(folder.path(), &turned, &["--strand", "both"]);
    assert_eq!(other.len(), rows.len());
    for (row, other) in rows[1..].iter().zip(&other[1..]) {
        let turn = |column: usize| (target.len() - row[column].parse::<usize>().unwrap()).to_string();
        let [start, end, seed_start, seed_end] = [turn(3), turn(2), turn(7), turn(6)];
        let expected = [&row[0], &row[1], &start, &end, &row[4], &row[5], &seed_start, &seed_end, &row[8], &row[9]];
        assert!(expected.iter().copied().eq(&other[..10]), "{row:?} {other:?}");
        assert_eq!(other[10], "-");
    }
    assert_eq!(scan(folder.path(), &turned, &["--strand", "reverse"]), other);
    let bed = scan(folder.path(), &turned, &["--strand", "reverse", "--format", "bed"]);
    assert!(bed.len() == 3 && bed.iter().zip(&other[1..]).all(|(bed, row)| bed[1..3] == row[2..4] && bed[5] == "-"));
}

#[test]
fn two_seeds_in_a_short_target_give_rows_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let rows = scan(folder.path(), "GGCUACCUCAGGAAACCCUACCUCGG", &[]);
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[1][2..4], rows[2][2..4]);
    assert_ne!(rows[1], rows[2]);
    assert_ne!((&rows[1][6], &rows[1][8]), (&rows[2][6], &rows[2][8]));
}

#[test]
fn summaries_and_drawings_are_about_the_sites_that_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let [summary, drawn] = ["summary.tsv", "sites.txt"].map(|name| folder.path().join(name));
    let outputs = ["--summary", summary.to_str().unwrap(), "--alignment", drawn.to_str().unwrap()];
    let [target, _] = targets();
    let rows = scan(folder.path(), &target, &outputs);
    assert_eq!(rows[0].last().unwrap(), "alignment");
    let found = lines(fs::read(&summary).unwrap());
    assert_eq!(found[0].join(" "), "mirna target strand sites best combined expected");
    let of = |mirna: &str| -> Vec<f64> {
        rows.iter().filter(|row| row[0] == mirna).map(|row| row[5].parse().unwrap()).collect()
    };
    for row in &found[1..] {
        let probabilities = of(&row[0]);
        let number = |column: usize| row[column].parse::<f64>().unwrap();
        let none: f64 = probabilities.iter().map(|p| 1.0 - p).product();
        assert_eq!((row[2].as_str(), number(3) as usize), ("+", probabilities.len()));
        let best = probabilities.iter().copied().fold(0.0, f64::max);
        for (column, expected) in [(4, best), (5, 1.0 - none), (6, probabilities.iter().sum())] {
            assert!((number(column) - expected).abs() < 1e-4, "{row:?} {expected}");
        }
    }
    assert_eq!(found.iter().map(|row| row[0].as_str()).collect::<Vec<_>>(), ["mirna", "let-7a", "miR-16"]);
    let text = fs::read_to_string(&drawn).unwrap();
    let blocks: Vec<&str> = text.split_terminator("\n\n").collect();
    assert_eq!(blocks.len(), rows.len() - 1);
    for (block, row) in blocks.iter().zip(&rows[1..]) {
        let [name, mirna, bars, site] = block.lines().collect::<Vec<_>>().try_into().unwrap();
        assert!(name.starts_with(&format!(">{} t:{}-{}(+) {}", row[0], row[2], row[3], row[4])), "{name}");
        let parts: Vec<&str> = row.last().unwrap().split('/').collect();
        assert!(mirna == format!("miRNA   3' {} 5'", parts[0]) && site == format!("target  5' {} 3'", parts[2]));
        assert_eq!(bars.trim(), parts[1].replace('.', " ").trim());
    }
    // With sites left out, of those alone.
    let rows = scan(folder.path(), &target, &[&outputs[..], &["--min-prob", "0.8"]].concat());
    let kept: f64 = lines(fs::read(&summary).unwrap())[1..].iter().map(|row| row[3].parse::<f64>().unwrap()).sum();
    assert_eq!(kept as usize, rows.len() - 1);
    assert_eq!(fs::read_to_string(&drawn).unwrap().matches('>').count(), rows.len() - 1);
    tool("rnaret-mirtarget")
        .args(["--pairs", "testdata/mirna_pairs.tsv", "--summary", "x.tsv"])
        .fails(2, &["--summary"]);
}

#[test]
fn scanning_everywhere_says_first_what_it_costs() {
    let folder = tempfile::tempdir().unwrap();
    let mirnas = folder.path().join("mirnas.fa");
    fs::write(&mirnas, LET_7).unwrap();
    let run = Run::bare(TOOLS.iter().find(|tool| tool.name == "rnaret-mirtarget").unwrap());
    let run = run.args(["--candidates", "all", "--strand", "both"]).arg("--mirna").arg(&mirnas);
    let done = run.stdin(format!(">t\n{}\n", targets()[0]).as_bytes()).done();
    done.expect_status(0);
    assert!(done.stderr().contains("400 windows for every 1,000 nt of targets, about "), "{}", done.stderr());
}

#[test]
fn a_background_is_made_stored_and_used() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (pairs, targets) = ("testdata/mirna_pairs.tsv", "testdata/rnas.fa.gz");
    let network = "testdata/golden/k1_mirtarget.pth";
    let model = place("model.safetensors");
    let fit = ["calibrate", pairs, "--background", targets, "--model", network, "-o"];
    tool("rnaret-train").args(fit).arg(&model).ok();
    let again = place("again.safetensors");
    tool("rnaret-train").args(fit).args([&again, "-t", "2"]).ok();
    assert!(fs::read(&model).unwrap() == fs::read(&again).unwrap());
    let score = |model: &str| lines(tool("rnaret-mirtarget").args(["--model", model, "--pairs", pairs]).ok());
    let (before, after) = (score(network), score(&model));
    assert!(before[1..].iter().all(|row| row[9] == "NA") && after[1..].iter().all(|row| row[9] != "NA"));
    assert!(before[1..].iter().zip(&after[1..]).any(|(before, after)| before[5] != after[5]));
    // What evaluates it sees what the tool writes.
    let rows = place("rows.tsv");
    let evaluate = ["evaluate", "--task", "mirtarget", pairs, "--model", &model, "--per-record", &rows];
    tool("rnaret-train").args(evaluate).ok();
    for (row, after) in lines(fs::read(&rows).unwrap()).iter().zip(&after).skip(1) {
        let [told, written] = [&row[3], &after[5]].map(|number| number.parse::<f64>().unwrap());
        assert!((told - written).abs() < 1e-5, "{row:?} {after:?}");
    }
    let refused = |arguments: &[&str], words: &[&str]| {
        let run = tool("rnaret-train").args(["calibrate", pairs, "-o", &again, "--model"]);
        run.args(arguments.iter().copied()).fails(2, words);
    };
    refused(&[network], &["--background"]);
    refused(&[network, "--background", targets, "--annotation", pairs], &["--annotation"]);
    refused(&["testdata/golden/k1_coding.pth", "--background", targets], &["--background", "mirtarget"]);
}
