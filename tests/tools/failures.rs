//! What is wrong is named, once, with the right exit status, and nothing is lost before it.

use crate::common::input::TRNA;
use crate::common::{Codec, Run, Sample, Tool, for_each_format};

/// Rows that cannot be read, as the last record of the input, and what the message says.
fn bad_records(tool: &Tool) -> Vec<(&'static str, Vec<&'static str>)> {
    if tool.takes_sequences() {
        vec![
            (">bad x\nACGU\nAC-GU\n", vec!["record 6 (bad), position 7", "'-'"]),
            (">bad\nACGU*\n", vec!["record 6 (bad), position 5", "'*'"]),
            (">bad\nACGEU\n", vec!["record 6 (bad), position 4", "'E'"]),
            (">bad\nAC GU\n", vec!["record 6 (bad), position 3", "space"]),
            (">bad\n", vec!["record 6 (bad)", "empty"]),
            (">bad", vec!["record 6 (bad)", "empty"]),
            (">\nACGU\n", vec!["record 6", "id"]),
        ]
    } else {
        vec![
            ("bad\t3\t[FIL] AUX [FIL]\n", vec!["record 6 (bad), token 2", "AUX"]),
            ("bad\t4\t[FIL] AUG [FIL]\n", vec!["record 6 (bad)", "length"]),
            ("bad\t0\t\n", vec!["record 6 (bad)", "empty"]),
            ("bad\t3\n", vec!["record 6 (bad)", "columns"]),
            ("bad\t1\tA\n", vec!["record 6 (bad)", "k = 1"]),
        ]
    }
}

#[test]
fn bad_records_are_named_and_can_be_set_aside() {
    for_each_format(|tool, format| {
        let good = Sample::few().for_tool(tool);
        let expected = Run::new(tool, format).stdin(&good).ok();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.input");
        for (row, message) in bad_records(tool) {
            let what = format!("{} {:?} {row:?}", tool.name, format.arguments);
            std::fs::write(&path, [good.as_slice(), row.as_bytes()].concat()).unwrap();
            let failed = Run::new(tool, format).arg(&path).done();
            failed.expect_status(1);
            let errors = failed.stderr();
            let lines: Vec<&str> = errors.lines().filter(|line| line.contains(": error: ")).collect();
            assert!(lines.len() == 1 && lines[0].starts_with(tool.name), "{what}: {errors}");
            for text in message.iter().chain(&["some.input"]) {
                assert!(lines[0].contains(text), "{what}: '{text}' is not in {errors}");
            }
            if format.shards {
                assert!(failed.output.stdout == expected, "{what}: records before the bad one are missing");
            }
            let skipped = Run::new(tool, format).args(["--on-error", "skip", "-q"]).arg(&path).done();
            skipped.expect_status(0);
            let warnings = skipped.stderr();
            for text in message.iter().chain(&["some.input", "1 record was set aside"]) {
                assert!(warnings.contains(text), "{what}: '{text}' is not in {warnings}");
            }
            assert!(skipped.output.stdout == expected, "{what}: the other records changed");
        }
    });
}

#[test]
fn a_cut_fastq() {
    for_each_format(|tool, format| {
        if !tool.takes_sequences() {
            return;
        }
        let whole = Sample::few().fastq();
        for missing in [3, 10] {
            let cut = &whole[..whole.len() - missing];
            Run::new(tool, format).stdin(cut).fails(1, &["standard input", "record 5 (five)"]);
        }
    });
}

/// Also with --on-error skip: what is missing may be any number of records.
#[test]
fn cut_streams_fail_after_everything_readable() {
    for_each_format(|tool, format| {
        let sample = Sample::many(30);
        let plain = sample.for_tool(tool);
        let whole = Run::new(tool, format).stdin(&plain).ok();
        for codec in [Codec::Gzip, Codec::Bgzip, Codec::Bzip2, Codec::Xz, Codec::Zstd] {
            let bytes = codec.compress(&plain);
            let cut = &bytes[..bytes.len() - 12];
            for handling in ["fail", "skip"] {
                let run = Run::new(tool, format).args(["--on-error", handling]);
                let found = run.stdin(cut).fails(1, &["standard input", "cut off"]);
                if format.shards {
                    assert!(whole.starts_with(&found), "{} {codec:?}", tool.name);
                }
            }
        }
        // Gzip gives what it has. The last FASTA record may lack its end; a row of a table that has its line end does not.
        let bytes = Codec::Gzip.compress(&plain);
        let place = if tool.takes_sequences() { "after record 29" } else { "after record 30" };
        let found = Run::new(tool, format).stdin(&bytes[..bytes.len() - 8]).fails(1, &[place]);
        if format.shows_ids && format.shards {
            assert!(String::from_utf8_lossy(&found).contains("r28"), "{}", tool.name);
        }
    });
}

#[test]
fn the_same_id_twice() {
    for_each_format(|tool, format| {
        let twice = Sample::few().with("short", TRNA).for_tool(tool);
        let run = Run::new(tool, format).stdin(&twice);
        if format.unique_ids {
            run.fails(1, &["record 6 (short)", "same id"]);
            let kept = Run::new(tool, format).args(["--on-error", "skip"]).stdin(&twice).ok();
            assert!(kept == Run::new(tool, format).stdin(&Sample::few().for_tool(tool)).ok(), "{}", tool.name);
        } else {
            run.ok();
        }
    });
}

#[test]
fn inputs_that_are_not_there_or_make_no_sense() {
    for_each_format(|tool, format| {
        Run::new(tool, format).arg("no-such-file.fa").fails(1, &["no-such-file.fa: cannot read"]);
        Run::new(tool, format).arg("testdata").fails(1, &["testdata: cannot read"]);
        Run::new(tool, format).stdin(b"just some text\n").fails(1, &["standard input: line 1", "neither FASTA"]);
        if !tool.takes_sequences() {
            Run::new(tool, format).stdin(b">a\nACGU\n").fails(1, &["FASTA", "rna-kmerize"]);
            Run::new(tool, format).stdin(b"@a\nACGU\n+\nIIII\n").fails(1, &["FASTQ", "rna-kmerize"]);
        }
        if !tool.takes_tokens() {
            Run::new(tool, format).stdin(b"id\tlength\ttokens\na\t1\tA\n").fails(1, &["tokens already"]);
        }
    });
}
