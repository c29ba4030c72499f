//! `rnaret-coding --orf`: coding sequences in BED, BED12, GFF3 and as proteins tell the same story, and other people's
//! parsers read it.

use crate::common::{Run, TOOLS};
use noodles::gff;
use noodles::gff::feature::record::{Phase, Strand};
use std::fs;

const INPUT: &str = "testdata/rnas.fa.gz";

fn coding(arguments: &[&str]) -> Run {
    let tool = TOOLS.iter().find(|tool| tool.name == "rnaret-coding").unwrap();
    Run::bare(tool).args(["--orf"]).args(arguments.iter().copied())
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

/// A coding transcript under a name that needs escapes, and the middle of its coding sequence.
fn whole_and_part() -> Vec<u8> {
    let tool = TOOLS.iter().find(|tool| tool.name == "rna-kmerize").unwrap();
    let table = text(Run::bare(tool).args(["-k", "1", INPUT]).ok());
    let row = table.lines().find(|line| line.starts_with("HBE1\t")).unwrap();
    let sequence: String = row.split('\t').nth(2).unwrap().split(' ').collect();
    format!(">whole;a=b,c%\n{sequence}\n>part\n{}\n", &sequence[317..617]).into_bytes()
}

#[test]
fn the_coding_sequence_of_beta_globin() {
    let bed = text(coding(&[INPUT]).ok());
    let line: Vec<&str> = bed.lines().find(|line| line.starts_with("HBE1\t")).unwrap().split('\t').collect();
    assert_eq!((line[1], line[2], line[3], line[5]), ("253", "697", "HBE1.cds1", "+"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("proteins.fa");
    coding(&["--protein", path.to_str().unwrap(), INPUT]).ok();
    let proteins = fs::read_to_string(&path).unwrap();
    let (header, protein) = proteins.split_once('\n').unwrap();
    assert_eq!(header, ">HBE1.cds1 HBE1:253-697 length=147 type=complete");
    let protein: String = protein.lines().take_while(|line| !line.starts_with('>')).collect();
    // Human haemoglobin subunit epsilon, UniProt P02100.
    assert!(protein.starts_with("MVHFTAEEKAAVTSLWSKMNVEEAGGEALGRLLVVYPWTQRFFDSFGNLSSPSAILGNPKVKAHGKKVL"), "{protein}");
    assert!(protein.ends_with("VSAVAIALAHKYH") && protein.len() == 147);
}

#[test]
fn all_formats_tell_the_same() {
    let input = whole_and_part();
    let bed = text(coding(&[]).stdin(&input).ok());
    let bed12 = text(coding(&["--output-format", "bed12"]).stdin(&input).ok());
    let gff3 = text(coding(&["--format", "gff3"]).stdin(&input).ok());
    assert!(bed.lines().count() >= 2);
    let lengths = [("whole;a=b,c%", 816), ("part", 300)];
    let mut records = gff::io::Reader::new(gff3.as_bytes());
    let records: Vec<gff::feature::RecordBuf> = records.record_bufs().map(|record| record.unwrap()).collect();
    let coding: Vec<_> = records.iter().filter(|record| record.ty() == "CDS").collect();
    assert_eq!((bed.lines().count(), bed12.lines().count()), (coding.len(), coding.len()));
    for ((bed, bed12), record) in bed.lines().zip(bed12.lines()).zip(&coding) {
        let (bed, bed12): (Vec<&str>, Vec<&str>) = (bed.split('\t').collect(), bed12.split('\t').collect());
        let length = lengths.iter().find(|(id, _)| *id == bed[0]).unwrap().1.to_string();
        assert_eq!(bed12[..3], [bed[0], "0", &length]);
        assert_eq!(bed12[3..6], bed[3..6]);
        assert_eq!(bed12[6..9], [bed[1], bed[2], "0"]);
        assert_eq!(bed12[9..], ["1", &format!("{length},"), "0,"]);
        let (start, end): (usize, usize) = (bed[1].parse().unwrap(), bed[2].parse().unwrap());
        assert_eq!(record.reference_sequence_name(), bed[0], "the sequence name comes back as it was");
        assert_eq!((usize::from(record.start()) - 1, usize::from(record.end())), (start, end));
        assert_eq!((record.source().to_string(), record.strand()), ("rnaret".to_owned(), Strand::Forward));
        let mean = f64::from(record.score().unwrap());
        assert_eq!((mean * 1000.0).round().to_string(), bed[4]);
        let attribute = |tag: &[u8]| record.attributes().get(tag).map(|value| format!("{value:?}"));
        assert!(attribute(b"Parent").unwrap().contains(bed[0]) && attribute(b"ID").unwrap().contains(".cds"));
        let complete = !bed[3].contains("partial") && !bed[3].contains("internal");
        assert_eq!(attribute(b"partial").is_none(), complete);
    }
    let parents = records.iter().filter(|record| record.ty() == "mRNA").count();
    assert!(parents >= 1 && gff3.matches("###\n").count() == parents);
    assert!(gff3.contains("whole%3Ba%3Db%2Cc%25\trnaret\tmRNA\t1\t816\t.\t+\t.\tID=whole%3Ba%3Db%2Cc%25;"), "{gff3}");
    assert!(gff3.starts_with("##gff-version 3.1.26\n##sequence-region whole%3Ba%3Db%2Cc%25 1 816\n"), "{gff3}");
}

#[test]
fn cut_ends_are_marked() {
    // No AUG anywhere, and stops all along in two of the frames; the third begins after two bases and ends in a codon.
    let input = format!(">cut\nGG{}C\n", "CUAACUGAC".repeat(20));
    let gff3 = text(coding(&["--threshold", "0", "--format", "gff3"]).stdin(input.as_bytes()).ok());
    let line = gff3.lines().find(|line| line.starts_with("cut\trnaret\tCDS")).unwrap();
    let cells: Vec<&str> = line.split('\t').collect();
    assert_eq!((cells[3], cells[4], cells[7]), ("1", "183", "2"), "{line}");
    assert_eq!(cells[8], "ID=cut.cds1;Parent=cut;partial=true;start_range=.,1;end_range=183,.");
    let mut records = gff::io::Reader::new(gff3.as_bytes());
    let record = records.record_bufs().map(|record| record.unwrap()).last().unwrap();
    assert_eq!(record.phase(), Some(Phase::Two));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.fa");
    let bed = text(coding(&["--threshold", "0", "--protein", path.to_str().unwrap()]).stdin(input.as_bytes()).ok());
    assert!(bed.starts_with("cut\t0\t183\tcut.cds1:internal\t"), "{bed}");
    let proteins = fs::read_to_string(&path).unwrap();
    let (header, protein) = proteins.split_once('\n').unwrap();
    assert_eq!(header, ">cut.cds1 cut:0-183 length=60 type=internal");
    assert_eq!(protein.lines().collect::<String>(), "LTD".repeat(20));
}

#[test]
fn shards_share_one_header() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("in.fa");
    fs::write(&path, whole_and_part()).unwrap();
    let whole = coding(&["--format", "gff3"]).arg(&path).ok();
    let parts = ["1/2", "2/2"].map(|shard| coding(&["--format", "gff3", "--shard", shard]).arg(&path).ok());
    assert_eq!(text(parts.concat()), text(whole));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let tool = TOOLS.iter().find(|tool| tool.name == "rnaret-coding").unwrap();
    for format in ["bed12", "gff3"] {
        Run::bare(tool).args(["--format", format, INPUT]).fails(2, &["--orf"]);
    }
    Run::bare(tool).args(["--protein", "x.fa", INPUT]).fails(2, &["--orf"]);
    let twice = b">a\nACGU\n>a\nACGU\n";
    coding(&["--format", "gff3"]).stdin(twice).fails(1, &["same id"]);
    coding(&[]).stdin(twice).ok();
    // Nothing to write about the shortest of transcripts.
    for sequence in ["A", "AU", "AUG", "NNNNNN"] {
        let found = text(coding(&["--threshold", "0"]).stdin(format!(">a\n{sequence}\n").as_bytes()).ok());
        assert!(found.lines().count() <= 1, "{sequence}: {found}");
    }
}

fn reverse_complement(sequence: &str) -> String {
    let complement = |letter| match letter {
        'A' => 'U',
        'C' => 'G',
        'G' => 'C',
        'U' => 'A',
        other => other,
    };
    sequence.chars().rev().map(complement).collect()
}

/// The first sequence of [`whole_and_part`].
fn whole() -> String {
    text(whole_and_part()).lines().nth(1).unwrap().to_owned()
}

#[test]
fn the_other_strand_is_read_where_asked() {
    let sequence = whole();
    let other = format!(">t\n{}\n", reverse_complement(&sequence));
    let forward = text(coding(&[]).stdin(format!(">t\n{sequence}\n").as_bytes()).ok());
    for strand in ["reverse", "both"] {
        let found = text(coding(&["--strand", strand]).stdin(other.as_bytes()).ok());
        let (one, two): (Vec<&str>, Vec<&str>) =
            (forward.trim().split('\t').collect(), found.trim().split('\t').collect());
        let (start, end): (usize, usize) = (one[1].parse().unwrap(), one[2].parse().unwrap());
        assert_eq!(two[1], (sequence.len() - end).to_string(), "{strand}: {found}");
        assert_eq!(two[2], (sequence.len() - start).to_string());
        assert_eq!((two[3], two[4], two[5]), (one[3], one[4], "-"));
    }
    let both = text(coding(&["--strand", "both"]).stdin(format!(">t\n{sequence}\n").as_bytes()).ok());
    assert_eq!(both, forward);
    // Cut ends of the reverse strand are the other way round, and proteins the same.
    let cut = format!(">t\n{}\n", reverse_complement(&sequence[317..]));
    let gff3 = text(coding(&["--strand", "reverse", "--format", "gff3"]).stdin(cut.as_bytes()).ok());
    let line = gff3.lines().find(|line| line.contains("\tCDS\t")).unwrap();
    let end = sequence.len() - 317;
    assert!(line.contains("\t-\t") && line.ends_with(&format!("partial=true;end_range={end},.")), "{line}");
    let folder = tempfile::tempdir().unwrap();
    let proteins = ["forward", "reverse"].map(|strand| {
        let path = folder.path().join(strand);
        let input = if strand == "forward" { format!(">t\n{sequence}\n") } else { other.clone() };
        coding(&["--strand", strand, "--protein", path.to_str().unwrap()]).stdin(input.as_bytes()).ok();
        fs::read_to_string(path).unwrap().lines().skip(1).collect::<String>()
    });
    assert!(proteins[0] == proteins[1] && proteins[0].starts_with("MVHFTAEEKAAVTSLWSKMNVEEAGGEALGRLLVVYPWTQRFFDSFG"));
}

#[test]
fn genetic_codes_and_start_codons() {
    let sequence =
        format!("GCC{}GUGGCU{}UGAGCU{}UAAGCC", "CUAACUGAC".repeat(10), "GCUGAAGCUCUU".repeat(20), "GCUGAA".repeat(20));
    let input = format!(">t\n{sequence}\n");
    let longest = |arguments: &[&str]| {
        let rows = text(
            coding(&["--all-orfs", "--threshold", "0"]).args(arguments.iter().copied()).stdin(input.as_bytes()).ok(),
        );
        let range = |row: &str| -> (usize, usize) {
            let cells: Vec<&str> = row.split('\t').collect();
            (cells[1].parse().unwrap(), cells[2].parse().unwrap())
        };
        rows.lines().map(range).collect::<Vec<_>>()
    };
    // UGA is a stop of the standard code, and tryptophan in mycoplasmas.
    assert!(longest(&[]).iter().any(|(_, end)| *end == 342), "{:?}", longest(&[]));
    let others = longest(&["--genetic-code", "4"]);
    assert!(others.iter().any(|(_, end)| *end == 468) && others.iter().all(|(_, end)| *end != 342), "{others:?}");
    assert!(longest(&["--genetic-code", "11"]).iter().all(|(start, _)| *start != 93));
    assert!(longest(&["--genetic-code", "11", "--alternative-starts"]).contains(&(93, 342)));
    coding(&["--genetic-code", "8"]).stdin(input.as_bytes()).fails(2, &["--genetic-code 8", "NCBI"]);
}

#[test]
fn all_reading_frames_are_ranked_and_short_ones_left_out() {
    let input = format!(">t\n{}\n", whole());
    let best = text(coding(&[]).stdin(input.as_bytes()).ok());
    let all = text(coding(&["--all-orfs"]).stdin(input.as_bytes()).ok());
    assert!(all.lines().count() > 5 && all.starts_with(&best), "{all}");
    let long = text(coding(&["--all-orfs", "--min-orf", "200"]).stdin(input.as_bytes()).ok());
    let length = |row: &str| -> usize {
        let cells: Vec<&str> = row.split('\t').collect();
        cells[2].parse::<usize>().unwrap() - cells[1].parse::<usize>().unwrap()
    };
    let expected = all.lines().filter(|row| length(row) >= 200).count();
    assert_eq!(long.lines().count(), expected);
    assert!(long.lines().all(|row| length(row) >= 200));
    let tool = TOOLS.iter().find(|tool| tool.name == "rnaret-coding").unwrap();
    Run::bare(tool).args(["--all-orfs", INPUT]).fails(2, &["--orf"]);
}

#[test]
fn the_summary_says_what_of_the_coding_sequence_is_there() {
    let sequence = whole();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("summary.tsv");
    // The coding sequence is 253..697 of 816.
    let input = [("whole", 0..816), ("start", 0..600), ("end", 320..816), ("middle", 300..600)]
        .map(|(id, range)| format!(">{id}\n{}\n", &sequence[range]))
        .concat();
    let bed = text(coding(&["--threshold", "0", "--summary", path.to_str().unwrap()]).stdin(input.as_bytes()).ok());
    let summary = fs::read_to_string(path).unwrap();
    let rows: Vec<Vec<&str>> = summary.lines().skip(1).map(|row| row.split('\t').collect()).collect();
    let states: Vec<&str> = rows.iter().map(|row| row[4]).collect();
    assert_eq!(states, ["complete", "3_prime_cut", "5_prime_cut", "both_cut"]);
    assert_eq!(rows[0][5..9], ["+", "253", "697", "444"]);
    for (row, line) in rows.iter().zip(bed.lines()) {
        let cells: Vec<&str> = line.split('\t').collect();
        assert_eq!((row[6], row[7]), (cells[1], cells[2]));
        let (length, of): (f64, f64) = (row[8].parse().unwrap(), row[1].parse().unwrap());
        assert!((row[9].parse::<f64>().unwrap() - length / of).abs() < 1e-5);
    }
}
