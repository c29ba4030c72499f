//! N is not evidence, and what a model was not trained for is not judged: no answer, or a low one, and one line that says so.

use crate::common::input::TRNA;
use crate::common::{Run, TOOLS, for_each_format};

const LET_7: &str = ">let-7a\nUGAGGUAGUAGGUUGUAUAGUU\n";

fn tool(name: &str, arguments: &[&str]) -> Run {
    let tool = TOOLS.iter().find(|tool| tool.name == name).unwrap();
    Run::bare(tool).args(["-t", "1"]).args(arguments.iter().copied())
}

/// Random letters, the same for the same seed.
fn random(length: usize, mut state: u64) -> String {
    let mut letter = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ['A', 'C', 'G', 'U'][(state >> 62) as usize]
    };
    (0..length).map(|_| letter()).collect()
}

/// The table that a run writes, without its header row, and what it says on standard error.
fn rows(run: Run, input: &str) -> (Vec<Vec<String>>, String) {
    let done = run.stdin(input.as_bytes()).done();
    done.expect_status(0);
    let text = String::from_utf8(done.output.stdout.clone()).unwrap();
    (text.lines().skip(1).map(|line| line.split('\t').map(str::to_owned).collect()).collect(), done.stderr())
}

/// Beta globin of the test data.
fn messenger() -> String {
    let table = String::from_utf8(tool("rna-kmerize", &["-k", "1", "testdata/rnas.fa.gz"]).ok()).unwrap();
    let row = table.lines().find(|line| line.starts_with("HBE1\t")).unwrap();
    row.split('\t').nth(2).unwrap().split(' ').collect()
}

#[test]
fn unknown_letters_are_no_target_site() {
    let folder = tempfile::tempdir().unwrap();
    let mirnas = folder.path().join("mirnas.fa");
    std::fs::write(&mirnas, LET_7).unwrap();
    let scan =
        |candidates| tool("rnaret-mirtarget", &["--candidates", candidates, "--mirna", mirnas.to_str().unwrap()]);
    let known = random(40, 5);
    let input = format!(
        ">known\n{known}\n>four\n{}NNNN\n>five\n{}NNNNN\n>half\n{}{}\n>all\n{}\n>n\nN\n>a\nA\n>g\nGGGGG\n>r20\n{}\n",
        &known[..36],
        &known[..35],
        &known[..20],
        "N".repeat(20),
        "N".repeat(40),
        &known[..20]
    );
    let (found, notes) = rows(scan("all"), &input);
    assert_eq!(found.iter().map(|row| row[1].as_str()).collect::<Vec<_>>(), ["known", "four", "r20"]);
    assert!(notes.contains("3 have no letter but N") || notes.contains("2 have no letter but N"), "{notes}");
    assert!(
        notes.contains("shorter than what the model was trained for") && notes.contains("too many N to be judged"),
        "{notes}"
    );
    // Windows of a long target too, wherever the N are.
    let long = format!(">long\n{}{}{}CUACCUC{}\n", random(100, 6), "N".repeat(300), "N".repeat(50), "N".repeat(30));
    for candidates in ["all", "seed"] {
        for row in rows(scan(candidates), &long).0 {
            assert!(row[3].parse::<usize>().unwrap() <= 104, "{row:?}");
        }
    }
    let bed = scan("all").args(["--format", "bed"]).stdin(input.as_bytes()).ok();
    assert_eq!(String::from_utf8(bed).unwrap().lines().count(), 3);
}

#[test]
fn pairs_keep_their_rows_where_they_are_not_judged() {
    let known = random(40, 5);
    let (n, long) = ("N".repeat(40), random(856, 7));
    let mirna = "UGAGGUAGUAGGUUGUAUAGUU";
    let unknown_mirna = "N".repeat(22);
    let pairs = [
        (mirna, known.as_str(), true),
        (mirna, &n, false),
        (mirna, "A", false),
        ("A", &known, false),
        (&unknown_mirna, &known, false),
        (&long, &known, false),
        // Judged, with a warning.
        (mirna, &long, true),
    ];
    let folder = tempfile::tempdir().unwrap();
    let table = folder.path().join("pairs.tsv");
    let mut text = "mirna\tmirna_seq\ttarget\ttarget_seq\n".to_owned();
    for (number, (mirna, site, _)) in pairs.iter().enumerate() {
        text.push_str(&format!("m{number}\t{mirna}\tt{number}\t{site}\n"));
    }
    std::fs::write(&table, text).unwrap();
    let (found, notes) = rows(tool("rnaret-mirtarget", &["-v", "--pairs", table.to_str().unwrap()]), "");
    assert_eq!(found.len(), pairs.len());
    for (row, (_, _, judged)) in found.iter().zip(&pairs) {
        assert_eq!(row[5] != "NA", *judged, "{row:?}");
    }
    assert!(notes.contains("2 are longer than what the model was trained for"), "{notes}");
    assert!(notes.contains("m5 in t5 is longer"), "{notes}");
    let bed = tool("rnaret-mirtarget", &["--format", "bed", "--pairs", table.to_str().unwrap()]).ok();
    assert_eq!(String::from_utf8(bed).unwrap().lines().count(), 2);
}

#[test]
fn what_is_no_mirna_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let mirnas = folder.path().join("mirnas.fa");
    let target = format!(">t\n{}\n", random(60, 8));
    for bad in ["ACGU".to_owned(), random(856, 9), random(31, 9), "N".repeat(22), "A".to_owned()] {
        std::fs::write(&mirnas, format!("{LET_7}>odd\n{bad}\n")).unwrap();
        let run = |handling| {
            let mirnas = mirnas.to_str().unwrap();
            tool("rnaret-mirtarget", &["--candidates", "all", "--mirna", mirnas, "--on-error", handling])
        };
        run("fail").stdin(target.as_bytes()).fails(1, &["mirnas.fa: record 2 (odd)", "15 to 30 nucleotides"]);
        let (found, notes) = rows(run("skip"), &target);
        assert!(!found.is_empty() && found.iter().all(|row| row[0] == "let-7a"), "{found:?}");
        assert!(notes.contains("set aside") && notes.contains("odd"), "{notes}");
    }
}

#[test]
fn unknown_letters_do_not_code() {
    let folder = tempfile::tempdir().unwrap();
    let [summary, track, protein] =
        ["summary.tsv", "track.bedgraph", "protein.fa"].map(|name| folder.path().join(name));
    let run = |input: &str| {
        let run = tool("rnaret-coding", &["--orf"]);
        let outputs = [("--summary", &summary), ("--track", &track), ("--protein", &protein)];
        let run = outputs.into_iter().fold(run, |run, (flag, path)| run.arg(flag).arg(path));
        let bed = String::from_utf8(run.stdin(input.as_bytes()).ok()).unwrap();
        let [summary, track, protein] = [&summary, &track, &protein].map(|path| std::fs::read_to_string(path).unwrap());
        let labels: Vec<(f64, String)> = summary
            .lines()
            .skip(1)
            .map(|line| {
                let cells: Vec<&str> = line.split('\t').collect();
                (cells[2].parse().unwrap_or(f64::NAN), cells[3].to_owned())
            })
            .collect();
        (bed, labels, track, protein)
    };
    // Nothing to read.
    for unknown in ["N".repeat(200), "N".repeat(30), format!("{TRNA}{}{TRNA}", "N".repeat(100))] {
        let (bed, labels, track, protein) = run(&format!(">n\n{unknown}\n"));
        assert_eq!(bed + &track + &protein, "", "{unknown}");
        assert!(labels[0].0.is_nan() && labels[0].1 == "NA", "{unknown}: {labels:?}");
    }
    // Too little for a label.
    let (bed, labels, ..) = run(&format!(">c\nC\n>t\n{TRNA}\n"));
    assert!(labels.iter().all(|(potential, label)| potential.is_nan() && label == "NA"), "{labels:?}");
    assert!(!bed.contains("c\t"), "{bed}");
    // A gap makes no mRNA of a random sequence, and takes none from an mRNA.
    let random = random(800, 11);
    let messenger = messenger();
    let with = |sequence: &str, run: usize| {
        let middle = sequence.len() / 2;
        format!(">r\n{}{}{}\n", &sequence[..middle], "N".repeat(run), &sequence[middle..])
    };
    for length in [0, 1, 10, 20, 21, 150, 300, 3000] {
        let (bed, labels, ..) = run(&with(&random, length));
        assert_eq!(labels[0].1, "lncRNA", "{length}: {labels:?}");
        assert_eq!(bed, "", "{length}");
        let (_, labels, track, protein) = run(&with(&messenger, length));
        assert_eq!(labels[0].1, "mRNA", "{length}: {labels:?}");
        assert!(!protein.contains("XX"), "{length}: {protein}");
        let known: usize = track
            .lines()
            .map(|line| {
                let cells: Vec<&str> = line.split('\t').collect();
                cells[2].parse::<usize>().unwrap() - cells[1].parse::<usize>().unwrap()
            })
            .sum();
        assert_eq!(known, messenger.len(), "{length}: N has no probability");
    }
    // Too few to be a gap: the coding sequence runs through codons that nobody knows.
    let (start, end) = (messenger.len() / 2, messenger.len() / 2 + 9);
    let (bed, labels, _, protein) =
        run(&format!(">r\n{}{}{}\n", &messenger[..start], "N".repeat(9), &messenger[end..]));
    assert_eq!(labels[0].1, "mRNA");
    assert!(bed.starts_with("r\t253\t697\tr.cds1\t") && protein.contains("XX"), "{bed} {protein}");
    // Windows do not run through a gap either, at whatever threshold.
    let input = with(&random, 50);
    let windows = String::from_utf8(tool("rnaret-coding", &["--threshold", "0"]).stdin(input.as_bytes()).ok()).unwrap();
    let ranges: Vec<String> =
        windows.lines().map(|line| line.split('\t').skip(1).take(2).collect::<Vec<_>>().join("-")).collect();
    assert_eq!(ranges, ["0-400", "450-850"]);
}

#[test]
fn short_transcripts_have_no_label_and_one_line_says_so() {
    let long = random(200, 12);
    let input = format!(">short\n{}\n>long\n{long}\n>one\nC\n", &long[..199]);
    let run = |arguments: &[&str]| {
        let done =
            tool("rnaret-coding", arguments).args(["-o", "/dev/null", "--summary", "-"]).stdin(input.as_bytes()).done();
        done.expect_status(0);
        (String::from_utf8(done.output.stdout.clone()).unwrap(), done.stderr())
    };
    let (summary, notes) = run(&[]);
    let lines: Vec<&str> = summary.lines().collect();
    assert!(lines[1].starts_with("short\t199\tNA\tNA\t"), "{summary}");
    assert!(lines[3].starts_with("one\t1\tNA\tNA\tnone\t"), "{summary}");
    assert!(
        lines[2].starts_with("long\t200\t0.")
            && lines[2].split('\t').nth(3).is_some_and(|label| label.ends_with("RNA")),
        "{summary}"
    );
    let warnings: Vec<&str> = notes.lines().filter(|line| line.contains("warning")).collect();
    assert!(
        warnings.len() == 1 && warnings[0].contains("of 3 records, 2 are shorter than what the model was trained for"),
        "{notes}"
    );
    assert!(run(&["-v"]).1.contains("short is shorter than what the model was trained for"));
    assert_eq!(run(&["-q"]).1, "");
}

#[test]
fn likelihood_leaves_unknown_letters_out() {
    let sequence = format!("{TRNA}{}", random(124, 13));
    let with = |count: usize| {
        let letters = sequence.chars().enumerate();
        letters.map(|(i, letter)| if i % 10 == 5 && i / 10 < count { 'N' } else { letter }).collect::<String>()
    };
    for model in ["pretrain", "pretrain-k5"] {
        let input = format!(">0\n{}\n>1\n{}\n>20\n{}\n>all\n{}\n", with(0), with(1), with(20), "N".repeat(200));
        let (found, notes) = rows(tool("rnaret-embed", &["--likelihood", "--model", model]), &input);
        let value = |row: usize| found[row][2].parse::<f64>().unwrap();
        assert!((value(1) / value(0) - 1.0).abs() < 0.2, "{model}: {found:?}");
        // With half of the 5-mers unknown little tells the others, but guessing is the worst that there is.
        let most = if model == "pretrain" { 1.2 * value(0) } else { 1024.0 };
        assert!(value(2) < most, "{model}: {found:?}");
        assert_eq!(found[3][2], "NA");
        assert!(notes.contains("1 has no letter but N"), "{notes}");
    }
}

#[test]
fn unknown_letters_do_not_pair_and_have_no_homologs() {
    let folder = tempfile::tempdir().unwrap();
    let [pairs, homologs] = ["pairs.tsv", "homologs.tsv"].map(|name| folder.path().join(name));
    let run = |sequence: &str| {
        let run = tool("rnaret-fold", &["--min-prob", "0"]).arg("--pairs").arg(&pairs).arg("--homologs").arg(&homologs);
        let structure = String::from_utf8(run.stdin(format!(">r\n{sequence}\n").as_bytes()).ok()).unwrap();
        let rows = |path| std::fs::read_to_string(path).unwrap().lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
        // A record without a homolog has a row of NA.
        let found = rows(&homologs).into_iter().filter(|row| row.split('\t').nth(1) != Some("NA")).collect::<Vec<_>>();
        (structure.lines().nth(2).unwrap().to_owned(), rows(&pairs), found)
    };
    let (structure, pairs, homologs) = run(&"N".repeat(300));
    assert_eq!((structure, pairs.len(), homologs.len()), (".".repeat(300), 0, 0));
    // The same RNA is found within unknown letters, which pair with nothing.
    let (alone, _, known) = run(TRNA);
    let (structure, pairs, homologs) = run(&format!("{}{TRNA}{}", "N".repeat(150), "N".repeat(90)));
    // The encoder reads the unknown letters beside the RNA, which moves a pair or two.
    let same = structure[150..].bytes().zip(alone.bytes()).filter(|(within, alone)| within == alone).count();
    assert!(same + 6 >= TRNA.len(), "{structure} {alone}");
    assert!(structure.bytes().enumerate().all(|(i, c)| c == b'.' || (150..150 + TRNA.len()).contains(&i)));
    for row in pairs {
        let places: Vec<usize> = row.split('\t').skip(1).take(2).map(|cell| cell.parse().unwrap()).collect();
        assert!(places.iter().all(|place| (151..=150 + TRNA.len()).contains(place)), "{row}");
    }
    assert_eq!(known.is_empty(), homologs.is_empty());
}

#[test]
fn proteins_are_noticed_and_no_letter_at_all_is_too() {
    for_each_format(|tool, format| {
        if !tool.takes_sequences() {
            return;
        }
        let input = format!(">protein\nMKVSARDGHTWYKRSDVAGH\n>unknown\n{}\n>fine\n{TRNA}\n", "N".repeat(20));
        let done = Run::new(tool, format).stdin(input.as_bytes()).done();
        done.expect_status(0);
        let notes = done.stderr();
        assert!(
            notes.contains("of 3 records, 1 has no letter but N, 1 looks like a protein"),
            "{}: {notes}",
            tool.name
        );
        let numbers = String::from_utf8_lossy(&done.output.stdout).to_lowercase();
        assert!(!numbers.contains("\tnan") && !numbers.contains("\tinf"), "{}", tool.name);
    });
}
