//! Tables of pairs, and those to train on.

use super::damage::{changes, codecs, damaged};
use super::{file, harness, names_its_place};
use proptest::prelude::*;
use rnaret::sequence::{InputFile, OnError, ReaderOptions, Shard, SitePair, SitePairReader};
use rnaret::train::data::{coding, mirtarget};
use rnaret::{Error, Result};

const WORDS: &[&str] = &[
    "\t",
    "\n",
    "\r",
    "\"",
    ",",
    ";",
    "|",
    " ",
    "N",
    "-",
    "1",
    "0",
    "-1",
    "NA",
    "mirna_seq",
    "label",
    "seq",
    "id\t",
    "\t\t",
    "\0",
    "&",
];

fn read(input: &InputFile, on_error: OnError, shard: Option<Shard>) -> (Vec<SitePair>, Option<Error>) {
    let options = ReaderOptions { on_error, shard, ..ReaderOptions::default() };
    let reader = match SitePairReader::open(vec![input.clone()], options) {
        Ok(reader) => reader,
        Err(error) => return (Vec::new(), Some(error)),
    };
    let mut pairs = Vec::new();
    for pair in reader {
        match pair {
            Ok(pair) => pairs.push(pair),
            Err(error) => return (pairs, Some(error)),
        }
        assert!(pairs.len() < 10_000, "the pairs have no end");
    }
    (pairs, None)
}

#[test]
fn pairs() {
    let row = ("[!-~]{1,8}", "[ACGUN]{1,24}", "[!-~]{1,8}", "[ACGUN]{1,60}");
    let inputs = (prop::collection::vec(row, 0..8), changes(WORDS), codecs(), changes(&["\0"]), any::<bool>());
    harness::run("tables of pairs", inputs, |(rows, changes, codec, cut, whole)| {
        let mut text = "mirna\tmirna_seq\ttarget\ttarget_seq\n".to_owned();
        rows.iter().for_each(|(a, b, c, d)| text.push_str(&format!("{a}\t{b}\t{c}\t{d}\n")));
        let cut = if whole { Vec::new() } else { cut };
        let bytes = damaged(codec.compress(&damaged(text.into_bytes(), &changes)), &cut);
        let folder = tempfile::tempdir().expect("a folder");
        let input = file(folder.path(), &bytes);
        let (strict, error) = read(&input, OnError::Fail, None);
        let (lenient, failure) = read(&input, OnError::Skip, None);
        error.iter().chain(&failure).try_for_each(names_its_place)?;
        prop_assert!(lenient.len() >= strict.len() && lenient[..strict.len()] == strict[..]);
        let shards: Vec<_> = (1..=3).map(|number| read(&input, OnError::Skip, Shard::new(number, 3))).collect();
        if failure.is_some() {
            prop_assert!(shards.iter().all(|(pairs, error)| pairs.is_empty() && error.is_some()));
        } else {
            let joined: Vec<SitePair> = shards.into_iter().flat_map(|(pairs, _)| pairs).collect();
            prop_assert!(joined == lenient);
        }
        if changes.is_empty() && cut.is_empty() {
            prop_assert!(error.is_none());
            let found: Vec<_> =
                strict.iter().map(|pair| (pair.mirna.as_str(), pair.target_sequence.as_slice())).collect();
            let expected: Vec<_> =
                rows.iter().map(|(mirna, _, _, target)| (mirna.as_str(), target.as_bytes())).collect();
            prop_assert_eq!(found, expected);
        }
        Ok(())
    });
}

#[test]
fn training() {
    let row = ("[!-~]{1,8}", "[ACGUN]{12,60}", 0_usize..4, 1_usize..9);
    let inputs = (prop::collection::vec(row, 0..8), any::<bool>(), changes(WORDS), codecs());
    harness::run("tables to train on", inputs, |(rows, of_coding, changes, codec)| {
        let header =
            if of_coding { "id\tseq\tcds_start0\tcds_end\n" } else { "mirna\tmirna_seq\ttarget\ttarget_seq\tlabel\n" };
        let mut text = header.to_owned();
        for (id, sequence, start, length) in &rows {
            text.push_str(&match of_coding {
                true => format!("{id}\t{sequence}\t{start}\t{}\n", start + length),
                false => format!("{id}\t{sequence}\t{id}\t{sequence}\t{}\n", start % 2),
            });
        }
        let folder = tempfile::tempdir().expect("a folder");
        let InputFile::Path(path) = file(folder.path(), &codec.compress(&damaged(text.into_bytes(), &changes))) else {
            return Ok(());
        };
        let count: Result<usize> = match of_coding {
            true => coding::read_files(&[path], None).map(|records| records.len()),
            false => mirtarget::read_files(&[path]).map(|records| records.len()),
        };
        match count {
            Err(error) => names_its_place(&error)?,
            Ok(count) if changes.is_empty() => prop_assert_eq!(count, rows.len()),
            Ok(_) => {}
        }
        prop_assert!(!changes.is_empty() || folder.path().exists());
        Ok(())
    });
}
