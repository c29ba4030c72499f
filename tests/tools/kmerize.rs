//! rna-kmerize, to the letter.

use crate::common::{Run, TOOLS};

fn kmerize(arguments: &[&str], input: &str) -> String {
    String::from_utf8(Run::bare(&TOOLS[0]).args(arguments).stdin(input.as_bytes()).ok()).unwrap()
}

#[test]
fn tokens_as_kmers_and_ids() {
    assert_eq!(
        kmerize(&["-k", "3"], ">a x\nAUGGCU\n>b\nacgtnacg\n>c\nAU\n"),
        "id\tlength\ttokens\n\
         a\t6\t[FIL] AUG UGG GGC GCU [FIL]\n\
         b\t8\t[FIL] ACG CGU [UNK] [UNK] [UNK] ACG [FIL]\n\
         c\t2\t[FIL] [FIL]\n"
    );
    assert_eq!(kmerize(&["-k", "3", "--ids"], ">a\nAUGGCU\n"), "id\tlength\ttokens\na\t6\t1 13 37 68 63 1\n");
    assert_eq!(kmerize(&["-k", "1", "--ids"], ">a\nAUGGCUN\n"), "id\tlength\ttokens\na\t7\t6 7 9 9 8 7 2\n");
    assert_eq!(kmerize(&["-k", "5", "--ids"], ">a\nAUGGCU\n"), "id\tlength\ttokens\na\t6\t1 1 132 511 1 1\n");
    assert_eq!(
        kmerize(&["-k", "7"], ">a\nAUGGCUAA\n"),
        "id\tlength\ttokens\na\t8\t[FIL] [FIL] [FIL] AUGGCUA UGGCUAA [FIL] [FIL] [FIL]\n"
    );
}

#[test]
fn cuts_and_windows() {
    assert_eq!(
        kmerize(&["-k", "1", "--max-len", "4"], ">a\nAUGGCU\n>b\nAC\n"),
        "id\tlength\ttokens\na\t4\tA U G G\nb\t2\tA C\n"
    );
    assert_eq!(
        kmerize(&["-k", "1", "--window", "4", "--overlap", "1"], ">a\nAUGGCUACG\n>b\nAC\n>c\nACGU\n"),
        "id\tlength\ttokens\na:0-4\t4\tA U G G\na:3-7\t4\tG C U A\na:6-9\t3\tA C G\nb:0-2\t2\tA C\nc:0-4\t4\tA C G U\n"
    );
    // Each window has ends of its own.
    assert_eq!(
        kmerize(&["-k", "3", "--window", "4"], ">a\nAUGGCU\n"),
        "id\tlength\ttokens\na:0-4\t4\t[FIL] AUG UGG [FIL]\na:4-6\t2\t[FIL] [FIL]\n"
    );
}

#[test]
fn the_vocabulary() {
    let json: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(&kmerize(&["-k", "3", "--vocab"], "")).unwrap();
    assert_eq!(json.len(), 70);
    for (text, id) in [("[PAD]", 0), ("[FIL]", 1), ("[UNK]", 2), ("[SEQ]", 3), ("[CLS]", 3), ("[MASK]", 4)] {
        assert_eq!(json[text], id);
    }
    for (text, id) in [("AAA", 6), ("AAU", 7), ("AAC", 8), ("AAG", 9), ("AUG", 13), ("GGG", 69)] {
        assert_eq!(json[text], id);
    }
}

#[test]
fn arguments_that_make_no_sense() {
    for arguments in [
        &["-k", "2"][..],
        &["-k", "9"],
        &["-k", "x"],
        &[],
        &["-k", "3", "--window", "4", "--overlap", "4"],
        &["-k", "3", "--overlap", "4"],
        &["-k", "3", "--window", "0"],
        &["-k", "3", "--max-len", "0"],
        &["-k", "3", "--max-len", "5", "--window", "4"],
        &["-k", "3", "--vocab", "x.fa"],
    ] {
        Run::bare(&TOOLS[0]).args(arguments.iter().copied()).fails(2, &[]);
    }
}

/// The small tools must not carry the tensor library: at most 4 MB each.
#[test]
fn the_small_tools_are_small() {
    for tool in &TOOLS[..2] {
        let size = std::fs::metadata(crate::common::run::binaries().join(tool.name)).unwrap().len();
        // A test build is not stripped, but release is the only profile that is measured.
        if !cfg!(debug_assertions) {
            assert!(size <= 4_000_000, "{}: {size} bytes", tool.name);
        }
    }
}
