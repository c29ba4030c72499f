//! The outputs of the shards, joined in order, are the output of the whole.

use crate::common::{Codec, Format, Run, Sample, Tool, for_each_format};
use std::fs;
use std::path::Path;

/// The output of one shard, and what it wrote besides.
fn shard(tool: &Tool, format: &Format, shard: &str, input: &Path) -> Vec<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let mut run = Run::new(tool, format).arg(input).args(["--shard", shard]);
    for (flag, _) in format.besides {
        run = run.arg(*flag).arg(folder.path().join(flag));
    }
    let mut found = vec![run.ok()];
    found.extend(format.besides.iter().map(|(flag, _)| fs::read(folder.path().join(flag)).unwrap()));
    found
}

#[test]
fn joined_they_equal_the_whole() {
    for_each_format(|tool, format| {
        if !format.shards {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("input");
        for sample in [Sample::few(), Sample::many(20), Sample::new(&[("one", "ACGUACGU")]), Sample::new(&[])] {
            fs::write(&path, Codec::Gzip.compress(&sample.for_tool(tool))).unwrap();
            let whole = shard(tool, format, "1/1", &path);
            assert!(Run::new(tool, format).arg(&path).ok() == whole[0], "{} 1/1", tool.name);
            for count in [2, 3, 8] {
                let parts: Vec<_> =
                    (1..=count).map(|part| shard(tool, format, &format!("{part}/{count}"), &path)).collect();
                for (place, whole) in whole.iter().enumerate() {
                    let joined: Vec<u8> = parts.iter().flat_map(|part| part[place].clone()).collect();
                    assert!(joined == *whole, "{} {:?} {count} shards, output {place}", tool.name, format.arguments);
                }
            }
        }
    });
}

#[test]
fn shards_are_balanced_by_nucleotides() {
    for_each_format(|tool, format| {
        // Of the columns `id length`.
        if tool.has_model || !format.shards {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("input");
        fs::write(&path, Sample::many(300).for_tool(tool)).unwrap();
        let rows: Vec<usize> = (1..=4)
            .map(|part| {
                shard(tool, format, &format!("{part}/4"), &path)[0].iter().filter(|byte| **byte == b'\n').count()
            })
            .collect();
        let mean = rows.iter().sum::<usize>() / 4;
        assert!(rows.iter().all(|count| count.abs_diff(mean) <= mean / 10), "{} {rows:?}", tool.name);
    });
}

#[test]
fn array_jobs_are_recognised() {
    for_each_format(|tool, format| {
        if !format.shards {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("input");
        fs::write(&path, Sample::few().for_tool(tool)).unwrap();
        let expected = &shard(tool, format, "2/3", &path)[0];
        for variables in [
            "SLURM_ARRAY_TASK_ID=1 SLURM_ARRAY_TASK_MIN=0 SLURM_ARRAY_TASK_MAX=2 SLURM_ARRAY_TASK_COUNT=3",
            "SGE_TASK_ID=3 SGE_TASK_FIRST=1 SGE_TASK_LAST=5 SGE_TASK_STEPSIZE=2",
            "PBS_ARRAY_INDEX=2 PBS_ARRAY_COUNT=3",
            "LSB_JOBINDEX=2 LSB_JOBINDEX_END=3",
        ] {
            let mut run = Run::new(tool, format).arg(&path).args(["--shard", "auto"]);
            for (name, value) in variables.split(' ').filter_map(|variable| variable.split_once('=')) {
                run = run.env(name, value);
            }
            assert!(run.ok() == *expected, "{} {variables}", tool.name);
        }
    });
}

#[test]
fn what_cannot_be_read_twice_is_refused() {
    for_each_format(|tool, format| {
        let input = Sample::few().for_tool(tool);
        Run::new(tool, format).args(["--shard", "1/2"]).stdin(&input).fails(2, &["--shard", "standard input"]);
        Run::new(tool, format).args(["--shard", "1/2", "-"]).stdin(&input).fails(2, &["--shard", "standard input"]);
        Run::new(tool, format)
            .args(["--shard", "1/2", "/dev/stdin"])
            .stdin(&input)
            .fails(2, &["--shard", "/dev/stdin"]);
    });
}

/// A defect anywhere is met by every shard, and set aside by the one whose it is.
#[test]
fn all_shards_meet_the_same_errors() {
    for_each_format(|tool, format| {
        if !format.shards {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("input");
        let mut input = Sample::few().for_tool(tool);
        input.extend_from_slice(if tool.takes_sequences() { b">bad\n-\n" } else { b"bad\t1\t-\n" });
        fs::write(&path, &input).unwrap();
        let mut joined = Vec::new();
        let mut named = 0;
        for part in ["1/3", "2/3", "3/3"] {
            Run::new(tool, format).arg(&path).args(["--shard", part]).fails(1, &["record 6 (bad)"]);
            let skipped = Run::new(tool, format).arg(&path).args(["--shard", part, "--on-error", "skip"]).done();
            skipped.expect_status(0);
            named += skipped.stderr().contains("record 6 (bad)") as usize;
            joined.extend(skipped.output.stdout);
        }
        assert_eq!(named, 1, "{}: one shard names the record", tool.name);
        assert!(joined == Run::new(tool, format).arg(&path).args(["--on-error", "skip"]).ok(), "{}", tool.name);
    });
}
