//! The same records in every appearance give the same output.

use crate::common::input::TRNA;
use crate::common::{Codec, Header, Run, Sample, for_each_format};
use rnaret::sequence::TokenText;

#[test]
fn every_compression_from_files_and_pipes() {
    for_each_format(|tool, format| {
        let plain = Sample::few().for_tool(tool);
        let expected = Run::new(tool, format).stdin(&plain).ok();
        assert!(!expected.is_empty(), "{} {:?} writes nothing", tool.name, format.arguments);
        let folder = tempfile::tempdir().unwrap();
        for codec in Codec::ALL {
            let bytes = codec.compress(&plain);
            // The name tells nothing: content does.
            let path = folder.path().join("input.txt");
            std::fs::write(&path, &bytes).unwrap();
            let what = format!("{} {:?} {codec:?}", tool.name, format.arguments);
            assert!(Run::new(tool, format).arg(&path).ok() == expected, "{what} from a file");
            assert!(Run::new(tool, format).stdin(&bytes).ok() == expected, "{what} from standard input");
            assert!(Run::new(tool, format).arg("-").stdin(&bytes).ok() == expected, "{what} from -");
        }
    });
}

#[test]
fn every_layout_of_sequences() {
    for_each_format(|tool, format| {
        if !tool.takes_sequences() {
            return;
        }
        let sample = Sample::few();
        let expected = Run::new(tool, format).stdin(&sample.fasta(60, "\n")).ok();
        let as_dna = |text: Vec<u8>| -> Vec<u8> {
            let text = String::from_utf8(text).unwrap();
            let line = |line: &str| if line.starts_with('>') { line.to_owned() } else { line.replace('U', "t") };
            text.lines().map(|text| line(text) + "\n").collect::<String>().into_bytes()
        };
        let lower = |text: Vec<u8>| -> Vec<u8> {
            let text = String::from_utf8(text).unwrap();
            let line = |line: &str| if line.starts_with('>') { line.to_owned() } else { line.to_lowercase() };
            text.lines().map(|text| line(text) + "\n").collect::<String>().into_bytes()
        };
        let mut unfinished = sample.fasta(1000, "\n");
        unfinished.pop();
        let mut spaced = b"\n\n".to_vec();
        spaced.extend(sample.fasta(60, "\n\n"));
        let described = String::from_utf8(sample.fasta(60, "\n")).unwrap().replace(">short\n", ">short \n");
        for (what, text) in [
            ("in one line", sample.fasta(1000, "\n")),
            ("in lines of 7", sample.fasta(7, "\n")),
            ("with CRLF", sample.fasta(60, "\r\n")),
            ("as DNA", as_dna(sample.fasta(60, "\n"))),
            ("in lower case", lower(sample.fasta(60, "\n"))),
            ("without a last line end", unfinished),
            ("with blank lines", spaced),
            ("with a space after an id", described.into_bytes()),
            ("as FASTQ", sample.fastq()),
        ] {
            let found = Run::new(tool, format).stdin(&text).ok();
            assert!(found == expected, "{} {:?}: {what}", tool.name, format.arguments);
        }
        let ambiguous = |letters: &str| {
            let sample = Sample::new(&[("x", &format!("{letters}{TRNA}{letters}"))]);
            Run::new(tool, format).stdin(&sample.fasta(60, "\n")).ok()
        };
        assert!(ambiguous("RYSWKMBDHVN") == ambiguous(&"N".repeat(11)), "{} IUPAC letters are N", tool.name);
    });
}

#[test]
fn tokens_give_what_sequences_give() {
    for_each_format(|tool, format| {
        if !tool.takes_tokens() {
            return;
        }
        let sample = Sample::few();
        let from_kmers = Run::new(tool, format).stdin(&sample.tokens_for(tool, TokenText::Kmers)).ok();
        let table = String::from_utf8(sample.tokens_for(tool, TokenText::Kmers)).unwrap().replace('\n', "\r\n");
        let what = format!("{} {:?}", tool.name, format.arguments);
        assert!(Run::new(tool, format).stdin(table.as_bytes()).ok() == from_kmers, "{what}: CRLF");
        if tool.takes_sequences() {
            let from_ids = Run::new(tool, format).stdin(&sample.tokens_for(tool, TokenText::Ids)).ok();
            let from_fasta = Run::new(tool, format).stdin(&sample.fasta(60, "\n")).ok();
            assert!(from_kmers == from_fasta, "{what}: k-mers");
            assert!(from_ids == from_fasta, "{what}: ids");
        }
    });
}

#[test]
fn several_inputs_are_one() {
    for_each_format(|tool, format| {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let sample = Sample::few();
        let first = Sample(sample.0[..2].to_vec());
        std::fs::write(path("first"), Codec::Zstd.compress(&first.for_tool(tool))).unwrap();
        std::fs::write(path("empty"), b"").unwrap();
        let rest = Sample(sample.0[2..].to_vec()).for_tool(tool);
        let joined = Run::new(tool, format).args([path("first"), path("empty"), "-".into()]).stdin(&rest).ok();
        let whole = Run::new(tool, format).stdin(&sample.for_tool(tool)).ok();
        assert!(joined == whole, "{} {:?}", tool.name, format.arguments);
    });
}

#[test]
fn empty_input_gives_the_header_alone() {
    for_each_format(|tool, format| {
        for codec in Codec::ALL {
            let what = format!("{} {:?} {codec:?}", tool.name, format.arguments);
            let found = Run::new(tool, format).stdin(&codec.compress(b"")).ok();
            match format.header {
                Header::None => assert_eq!(found, b"", "{what}"),
                Header::Exactly(header) => assert_eq!(String::from_utf8(found).unwrap(), header, "{what}"),
                Header::Begins(start) => {
                    let found = String::from_utf8(found).unwrap();
                    assert!(found.starts_with(start) && found.lines().count() == 1, "{what}: {found:?}");
                }
                Header::Binary => {}
            }
        }
    });
}

#[test]
fn headers_and_ids() {
    for_each_format(|tool, format| {
        let sample = Sample::new(&[
            ("sp|Q1/2.3;x", TRNA),
            ("NM_1.1", TRNA),
            ("NM_1.2", TRNA),
            ("a:b-c", "GGGAAAUCCC"),
            ("\u{b5}RNA", "GGGAAAUCCC"),
            ("[x]{y}(z)", "GGGAAAUCCC"),
        ]);
        let found = Run::new(tool, format).stdin(&sample.for_tool(tool)).ok();
        let text = String::from_utf8_lossy(&found);
        match format.header {
            Header::Exactly(header) | Header::Begins(header) => assert!(text.starts_with(header), "{}", tool.name),
            Header::None | Header::Binary => {}
        }
        if format.shows_ids {
            for (id, _) in &sample.0 {
                assert!(text.contains(id.as_str()), "{} {:?}: {id}", tool.name, format.arguments);
            }
        }
        if tool.takes_sequences() && format.shows_ids {
            let described = Run::new(tool, format).stdin(b">name and more words\nGGGAAAUCCC\n").ok();
            assert!(String::from_utf8_lossy(&described).contains("name"), "{}", tool.name);
        }
    });
}

/// One nucleotide, fewer than k, all unknown: no record is too small to be answered.
#[test]
fn the_smallest_records() {
    for_each_format(|tool, format| {
        for sequence in ["A", "GC", "N", "NNNNNNNN", "ACGUA"] {
            let sample = Sample::new(&[("tiny", sequence)]);
            let found = Run::new(tool, format).stdin(&sample.for_tool(tool)).ok();
            if format.shows_ids {
                assert!(String::from_utf8_lossy(&found).contains("tiny"), "{} {sequence}", tool.name);
            }
            // Alone or between others, its rows are the same.
            if tool.takes_sequences() && format.shows_ids && format.shards {
                let among = Sample::few().with("tiny", sequence).with("last", TRNA);
                let among = Run::new(tool, format).stdin(&among.for_tool(tool)).ok();
                let rows = |text: &[u8]| -> Vec<String> {
                    let text = String::from_utf8_lossy(text).into_owned();
                    text.lines().filter(|line| line.contains("tiny")).map(str::to_owned).collect()
                };
                assert_eq!(rows(&found), rows(&among), "{} {:?} {sequence}", tool.name, format.arguments);
            }
        }
    });
}
