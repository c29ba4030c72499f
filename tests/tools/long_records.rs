//! One record far longer than the others: it fills batches and shards alone, and comes out the same whatever these are.

use crate::common::{Format, Run, Sample, TRNA, Tool, for_each_format};
use std::fs;
use std::path::Path;

/// The output of a run, and what it wrote besides.
fn outputs(tool: &Tool, format: &Format, input: &Path, arguments: &[&str]) -> Vec<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let mut run = Run::bare(tool).args(format.arguments).arg(input).args(arguments.iter().copied());
    for (flag, _) in format.besides {
        run = run.arg(*flag).arg(folder.path().join(flag));
    }
    let mut found = vec![run.ok()];
    found.extend(format.besides.iter().map(|(flag, _)| fs::read(folder.path().join(flag)).unwrap()));
    found
}

#[test]
fn threads_batches_and_shards_change_nothing() {
    let mut long: String = Sample::many(30).0.into_iter().map(|(_, sequence)| sequence).collect();
    long.truncate(2_500);
    assert_eq!(long.len(), 2_500);
    for_each_format(|tool, format| {
        // What takes long are the probabilities of pairs, which all formats and decoders start from.
        if tool.name == "rnaret-fold" && !std::ptr::eq(format, &tool.formats[0]) {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let input = folder.path().join("input");
        let sample = Sample::few().with("giant", &long).with("after", TRNA);
        fs::write(&input, sample.for_tool(tool)).unwrap();
        let whole = outputs(tool, format, &input, &["-t", "1"]);
        let batches: &[&str] = if tool.has_model { &["--device", "cpu", "--batch-tokens", "100"] } else { &[] };
        let other = outputs(tool, format, &input, &[&["-t", "3"], batches].concat());
        assert!(other == whole, "{} {:?} {batches:?}", tool.name, format.arguments);
        if !format.shards {
            return;
        }
        let parts = ["1/2", "2/2"].map(|part| outputs(tool, format, &input, &["-t", "2", "--shard", part]));
        for (place, whole) in whole.iter().enumerate() {
            let joined = [parts[0][place].as_slice(), &parts[1][place]].concat();
            assert!(joined == *whole, "{} {:?} output {place}", tool.name, format.arguments);
        }
    });
}
