//! Files as other programs write them, and files that are not what is wanted: read to the same answer, or refused by
//! name, by the tools that read tables, annotations and structures.

use std::path::{Path, PathBuf};

use crate::common::{Codec, Run, TOOLS};

/// A folder of inputs.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

fn tool(name: &str) -> Run {
    Run::bare(TOOLS.iter().find(|tool| tool.name == name).unwrap())
}

fn train(arguments: &[&str]) -> Run {
    tool("rnaret-train").args(arguments.iter().copied())
}

const MRNA: &str = "GGAUCACAGUCUACACUGCUCACUCCAACCCCGGCCCCUGAGUCCGAGGAGAGGGUGCUUAUGAUCCUGGCUGGCGCUAUCACCGAGGCUCCUGAGACCGAGUCCGCUGUGGCU\
                    AUCCUGUCCAAGGAAAAGGUGACCCCUACCCCUGGCGUGGAAUCCAUCACCGGCGCUGAGGAAAAGACCCCUUCCACCCUGACCGGCAUCCCUGAAGGCGACACCGGCCUGGAA\
                    GACCUGAUCAUCGGCGUGCUGAUCGCUGAAUCCCCUGAGGCUAAGAUCUCCACCGGCGUGGACGAGCUGGCUGACGCUGUGACCAAGCUGAUCUCCCUGGACGAGGAACUGGAG\
                    ACCCUGGCUGAGGGCUAACUCUUGUGGUUCAUCUGCACGGAGAGGGUGGGCACGGGUGGGGGUGCUGGCCCGUGAUCUGGACCUCCCAUCCACAGCUCAUUGUACCGA";

/// What `evaluate` says of a transcript called `id`, whose CDS is bases 61 to 360, with this annotation.
fn evaluated(folder: &Folder, id: &str, annotation: &Path) -> Run {
    let fasta = folder.write("transcript.fa", format!(">{id}\n{MRNA}\n"));
    train(&["evaluate", "--task", "coding", "-t", "1", "--annotation"]).arg(annotation).arg(fasta)
}

#[test]
fn every_annotation_gives_the_same_figures() {
    let folder = Folder::new();
    let bed = folder.write("t.bed", "t1\t60\t360\tx\t0\t+\n");
    let expected = evaluated(&folder, "t1", &bed).ok();
    assert!(String::from_utf8_lossy(&expected).contains("base_auc\t1"), "{}", String::from_utf8_lossy(&expected));
    let gff = |id: &str| format!("##gff-version 3\n{id}\tx\tCDS\t61\t360\t.\t+\t0\tID=c;Parent={id}\n");
    for (name, id, text) in [
        ("t.bed12", "t1", "t1\t0\t450\tx\t983\t+\t60\t360\t0\t1\t450,\t0,\n".to_owned()),
        ("bom.bed", "t1", "\u{feff}t1\t60\t360\tx\t0\t+\r\n\r\n".to_owned()),
        ("track.bed", "track7", "track name=x\ntrack7\t60\t360\tx\t0\t+\n".to_owned()),
        ("old.bed", "t1", "t1\t60\t360\tx\t0\t+\r".to_owned()),
        ("t.gff3", "t1", gff("t1")),
        ("gencode.gff3", "ENST1.2|ENSG1.1|X|", gff("ENST1.2|ENSG1.1|X|")),
        ("first.gff3", "ENST1.2|ENSG1.1|X|", gff("ENST1.2")),
        ("odd.gff3", "t(1)=a,b", gff("t%281%29%3Da%2Cb")),
        ("two.gff3", "t1", format!("{}t1\tx\tCDS\t391\t450\t.\t+\t0\tID=d;Parent=p2\n", gff("t1"))),
        ("t.gtf", "t1", "t1\tx\tCDS\t61\t357\t.\t+\t0\ttranscript_id \"t1\";\nt1\tx\tstop_codon\t358\t360\t.\t+\t0\ttranscript_id \"t1\";\n".into()),
    ] {
        let path = folder.write(name, &text);
        assert!(evaluated(&folder, id, &path).ok() == expected, "{name}");
        let compressed = folder.write("compressed", Codec::Bgzip.compress(text.as_bytes()));
        assert!(evaluated(&folder, id, &compressed).ok() == expected, "{name}, compressed");
    }
}

#[test]
fn annotations_that_fit_nothing_are_refused() {
    let folder = Folder::new();
    for (text, expected) in [
        ("other\t60\t360\tx\t0\t+\n", "no record is called `other`"),
        ("", "there is no CDS in it"),
        ("t1\t60\t360\tx\t0\t-\n", "own strand"),
        ("t1\t60\t3600\tx\t0\t+\n", "450 nt"),
        (">t1\nACGU\n", "this is FASTA"),
        ("\u{fffe}", "no row of BED"),
    ] {
        let path = folder.write("wrong", text);
        evaluated(&folder, "t1", &path).fails(1, &[expected]);
    }
    let cut = Codec::Gzip.compress(&b"t1\t60\t360\tx\t0\t+\n".repeat(50));
    let path = folder.write("cut.gz", &cut[..cut.len() - 9]);
    evaluated(&folder, "t1", &path).fails(1, &["cut.gz", "cut off"]);
    let path = folder.write("some.bed", "t1\t60\t360\nother\t1\t9\nother\t20\t29\n");
    let done = evaluated(&folder, "t1", &path).done();
    done.expect_status(0);
    assert!(done.stderr().contains("2 of 3 rows belong to no record"), "{}", done.stderr());
}

/// Every table that a tool reads, sound, and the same as what it is not.
#[test]
fn tables_of_every_appearance() {
    let pairs = "mirna\tmirna_seq\ttarget\ttarget_seq\tlabel\nm\tUGAGGUAGUAGGUUGUAUAGUU\tt\tGGGGGGCCCCAAAACUAUACAACCUACUACCUCAGGGGGG\t1\n\
                 m\tUGAGGUAGUAGGUUGUAUAGUU\tu\tGGGGGGCCCCAAAACUAUACAACCUACUAGGGGGGGGGGG\t0\n";
    let coding = format!("id\tseq\tcds_start0\tcds_end\nt1\t{MRNA}\t60\t360\nt2\t{}\t-1\t-1\n", &MRNA[..200]);
    let structures = "id\tseq\tdotbracket\na\tGGGGAAAACCCC\t((((....))))\nb\tGCGGAAAACCGC\t((((....))))\n";
    let folder = Folder::new();
    let runs: [(&str, &str, &[&str]); 4] = [
        ("rnaret-mirtarget", pairs, &["-t", "1", "--pairs"]),
        ("rnaret-train", pairs, &["evaluate", "--task", "mirtarget", "-t", "1"]),
        ("rnaret-train", &coding, &["evaluate", "--task", "coding", "-t", "1"]),
        ("rnaret-train", structures, &["condense"]),
    ];
    for (name, text, arguments) in runs {
        let run = |bytes: &[u8]| tool(name).args(arguments.iter().copied()).arg(folder.write("table", bytes));
        let expected = run(text.as_bytes()).ok();
        assert!(!expected.is_empty());
        for other in [
            format!("\u{feff}{text}"),
            text.replace('\n', "\r\n"),
            text.replace('\n', "\r"),
            format!("\n{}\n\n", text.replace('\n', "\n\n")),
            format!("{text}\t\t\n"),
            text.trim_end().to_owned(),
        ] {
            assert!(run(other.as_bytes()).ok() == expected, "{name} {arguments:?}: {other:?}");
        }
        let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let latin = [text.as_bytes(), b"\xb5\tA\tA\tA\tA\n"].concat();
        let rows = text.find('\n').unwrap() + 1;
        let cut = Codec::Gzip.compress(format!("{}{}", &text[..rows], text[rows..].repeat(30)).as_bytes());
        for (bytes, message) in [
            (text.replace('\t', ",").into_bytes(), "parted by commas"),
            (text.replace('\t', ";").into_bytes(), "parted by semicolons"),
            (wide, "UTF-16"),
            (latin, "not UTF-8"),
            (cut[..cut.len() / 2].to_vec(), "cut off"),
            (b"PK\x03\x04\x14\0\x06\0".to_vec(), "workbook"),
            (b"a\tb\n1\t2\n".to_vec(), "is needed"),
        ] {
            run(&bytes).fails(1, &["table", message]);
            if name == "rnaret-mirtarget" {
                run(&bytes).args(["--on-error", "skip"]).fails(1, &["table", message]);
                run(&bytes).args(["--on-error", "skip", "--shard", "1/2"]).fails(1, &["table", message]);
            }
        }
    }
    // A row that is wrong by itself may be set aside.
    let path = folder.write("rows", format!("{pairs}short\n{}", &pairs[pairs.find('\n').unwrap() + 1..]));
    let done = tool("rnaret-mirtarget").args(["--on-error", "skip", "--pairs"]).arg(path).done();
    done.expect_status(0);
    let errors = done.stderr();
    assert!(errors.contains("line 4 (short): 1 columns") && errors.contains("1 row was set aside"), "{errors}");
    assert_eq!(String::from_utf8_lossy(&done.output.stdout).lines().count(), 5);
}

#[test]
fn structures_of_other_programs_are_condensed_under_their_ids() {
    let folder = Folder::new();
    let rows =
        "1 G 0 2 8 1\n2 C 1 3 7 2\n3 A 2 4 0 3\n4 A 3 5 0 4\n5 A 4 6 0 5\n6 A 5 7 0 6\n7 G 6 8 2 7\n8 C 7 0 1 8\n";
    for (text, ids) in [
        (format!("8 dG = -5.3 [initially -6.1] hp1\n{rows}"), ">hp1\n"),
        (">ENERGY = -5.3  hp1\nGGGGAAAACCCC\n((((....))))\n".to_owned(), ">hp1\n"),
        (">a\nGGGGCCCC\nAAAAaaaa\n".to_owned(), ">a\nGGGGCCCC\n(((())))\n"),
    ] {
        let found = train(&["condense"]).arg(folder.write("known", &text)).ok();
        assert!(String::from_utf8_lossy(&found).starts_with(ids), "{text:?}: {}", String::from_utf8_lossy(&found));
    }
    let nick = rows.replace("4 A 3 5 0 4\n5 A 4 6", "4 A 3 0 0 4\n5 A 0 6");
    train(&["condense"])
        .arg(folder.write("nick.ct", format!("8 x\n{nick}")))
        .fails(1, &["nick.ct", "nick between bases 4 and 5"]);
    train(&["condense"]).arg(folder.write("plain.fa", ">x\nACGU\n")).fails(1, &["plain.fa", "dot-bracket is missing"]);
}

#[test]
fn members_and_line_ends_lose_no_records() {
    let folder = Folder::new();
    let kmerize = |bytes: &[u8]| tool("rna-kmerize").args(["-k", "1"]).arg(folder.write("x.fa.gz", bytes));
    let (first, second) = (&b">a\nACGU\n"[..], &b">b\nGGCC\n"[..]);
    let expected = kmerize(&[first, second].concat()).ok();
    for (a, b) in [(Codec::Bgzip, Codec::Gzip), (Codec::Gzip, Codec::Bgzip)] {
        let joined = [a.compress(first), b.compress(second)].concat();
        assert!(kmerize(&joined).ok() == expected);
        assert!(kmerize(&[joined.clone(), vec![0; 1024]].concat()).ok() == expected);
        kmerize(&[joined, b"more".to_vec()].concat()).fails(1, &["neither gzip nor padding"]);
    }
    let found = kmerize(b">a x\rACGU\nACGU\n").ok();
    assert!(String::from_utf8_lossy(&found).contains("a\t8\tA C G U A C G U"));
}
