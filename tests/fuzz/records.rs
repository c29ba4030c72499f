//! FASTA, FASTQ and token tables through the reader of records.

use super::damage::{Change, Codec, changes, codecs, damaged};
use super::{file, harness, names_its_place};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use rnaret::sequence::{
    InputFile, OnError, ReaderOptions, Record, RecordReader, Shard, TokenText, TokenWriter, Tokenizer, normalise,
};
use rnaret::{Error, Result};

/// The records of a file, and how it ends.
fn read(input: &InputFile, on_error: OnError, shard: Option<Shard>) -> (Vec<Record>, Option<Error>) {
    let options = ReaderOptions { on_error, shard, ..ReaderOptions::default() };
    let reader = match RecordReader::open(std::slice::from_ref(input), options) {
        Ok(reader) => reader,
        Err(error) => return (Vec::new(), Some(error)),
    };
    let mut records = Vec::new();
    for record in reader {
        match record {
            Ok(record) => records.push(record),
            Err(error) => return (records, Some(error)),
        }
        assert!(records.len() < 10_000, "the records have no end");
    }
    (records, None)
}

/// What holds for every file, whatever is in it.
fn check(bytes: &[u8], codec: Codec, cut: &[Change]) -> std::result::Result<Vec<Record>, TestCaseError> {
    let folder = tempfile::tempdir().expect("a folder");
    let input = file(folder.path(), &damaged(codec.compress(bytes), cut));
    let (strict, error) = read(&input, OnError::Fail, None);
    if let Some(error) = &error {
        names_its_place(error)?;
    }
    let (lenient, failure) = read(&input, OnError::Skip, None);
    prop_assert!(lenient.len() >= strict.len() && lenient[..strict.len()] == strict[..]);
    if error.is_none() {
        prop_assert!(failure.is_none() && lenient.len() == strict.len());
    }
    if let Some(error) = &failure {
        names_its_place(error)?;
    }
    for record in &lenient {
        prop_assert!(!record.sequence.is_empty() && record.sequence.iter().all(|letter| b"ACGUN".contains(letter)));
        prop_assert!(!record.id.is_empty() && !record.id.contains(|letter: char| letter.is_ascii_whitespace()));
        if let Some(tokens) = &record.tokens {
            prop_assert_eq!(tokens.ids.len(), record.sequence.len());
        }
    }
    // Shards share the records out, or all refuse the file.
    let shards: Vec<_> = (1..=3).map(|number| read(&input, OnError::Skip, Shard::new(number, 3))).collect();
    match failure {
        None => {
            prop_assert!(shards.iter().all(|(_, error)| error.is_none()));
            let joined: Vec<Record> = shards.into_iter().flat_map(|(records, _)| records).collect();
            prop_assert!(joined == lenient);
        }
        Some(_) => prop_assert!(shards.iter().all(|(records, error)| records.is_empty() && error.is_some())),
    }
    Ok(strict)
}

/// Ids and sequences.
fn sequences() -> impl Strategy<Value = Vec<(String, String)>> {
    prop::collection::vec(("[!-~\u{b5}]{1,12}", "[ACGTUNacgtunRYSWKMBDHV]{1,120}"), 0..8)
}

fn expect_all(found: &[Record], records: &[(String, String)]) -> std::result::Result<(), TestCaseError> {
    prop_assert_eq!(found.len(), records.len());
    for (found, (id, sequence)) in found.iter().zip(records) {
        prop_assert_eq!(&found.id, id);
        prop_assert!(normalise(sequence.as_bytes()).is_ok_and(|sequence| sequence == found.sequence));
    }
    Ok(())
}

const WORDS: &[&str] = &[
    "\n", "\r", "\r\n", ">", "@", "+", "\n>", "\n@", "\n+\n", "N", "-", " ", "\t", "\0", "\n\n", ">x", "ACGU", "*",
    "&", ";",
];

#[test]
fn fasta_and_fastq() {
    let inputs = (sequences(), any::<bool>(), 1_usize..80, changes(WORDS), codecs(), changes(&["\0", "BC"]));
    harness::run("FASTA and FASTQ", inputs, |(records, fastq, width, changes, codec, cut)| {
        let mut text = String::new();
        for (id, sequence) in &records {
            if fastq {
                text.push_str(&format!("@{id} x\n{sequence}\n+\n{}\n", "@".repeat(sequence.len())));
                continue;
            }
            text.push_str(&format!(">{id} x\n"));
            for line in sequence.as_bytes().chunks(width) {
                text.push_str(&format!("{}\n", String::from_utf8_lossy(line)));
            }
        }
        let compressed = codec != Codec::Plain;
        let found = check(&damaged(text.into_bytes(), &changes), codec, if compressed { &cut } else { &[] })?;
        if changes.is_empty() && (cut.is_empty() || !compressed) {
            expect_all(&found, &records)?;
        }
        Ok(())
    });
}

#[test]
fn token_tables() {
    const TOKENS: &[&str] = &[
        "\t", "\n", " ", "[FIL]", "[UNK]", "[MASK]", "[PAD]", "AUG", "A", "1", "4", "70", "99999", "labels", ".", "\r",
        "\"", ",", "id",
    ];
    let k = prop::sample::select(vec![1_usize, 3, 5]);
    let inputs = (sequences(), k, any::<bool>(), changes(TOKENS), codecs());
    harness::run("token tables", inputs, |(records, k, ids, changes, codec)| {
        let table = token_table(&records, k, ids).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let found = check(&damaged(table, &changes), codec, &[])?;
        if changes.is_empty() {
            prop_assert_eq!(found.len(), records.len());
            for (found, (id, sequence)) in found.iter().zip(&records) {
                prop_assert_eq!((&found.id, found.sequence.len()), (id, sequence.len()));
            }
        }
        Ok(())
    });
}

fn token_table(records: &[(String, String)], k: usize, ids: bool) -> Result<Vec<u8>> {
    let writer = TokenWriter::new(Tokenizer::new(k)?, if ids { TokenText::Ids } else { TokenText::Kmers });
    let mut table = b"id\tlength\ttokens\n".to_vec();
    for (id, sequence) in records {
        table.extend(format!("{id}\t{}\t", sequence.len()).bytes());
        writer.write_sequence(&normalise(sequence.as_bytes()).unwrap_or_default(), &mut table);
        table.push(b'\n');
    }
    Ok(table)
}
