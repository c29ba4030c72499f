//! Memory does not grow with the number of records.

use crate::common::input::TRNA;
use crate::common::{Run, Sample, TOOLS, Tool};
use std::fs::File;
use std::io::Write;

/// The most memory that a process has held so far, in bytes (Linux).
fn peak_memory(process: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

/// Streams `bytes` of input through a tool and compares the memory after a quarter with that at the end.
fn stream(tool: &Tool, bytes: usize) {
    let format = &tool.formats[0];
    let null = File::options().write(true).open("/dev/null").unwrap();
    let mut child = Run::bare(tool).args(format.arguments).args(["-t", "2", "-q"]).stdout(null).spawn();
    let mut stdin = child.stdin.take().unwrap();
    // A million bytes of records at a time, the header row of a table only once.
    let block = Sample::new(&[("r", TRNA)]).for_tool(tool);
    let header = block.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let (header, row) = if tool.takes_sequences() { (&[][..], &block[..]) } else { block.split_at(header) };
    let million = row.repeat((1 << 20).min(bytes / 16) / row.len() + 1);
    stdin.write_all(header).unwrap();
    let mut written = 0;
    let mut after_a_quarter = 0;
    while written < bytes {
        stdin.write_all(&million).unwrap();
        written += million.len();
        if after_a_quarter == 0 && written >= bytes / 4 {
            after_a_quarter = peak_memory(child.id());
        }
    }
    // The process still waits for input: all of it but what the pipe holds has been read.
    let at_the_end = peak_memory(child.id());
    drop(stdin);
    assert!(child.wait().unwrap().success(), "{}", tool.name);
    // Short inputs fit into the pipe: then the tool may not even have started.
    let loaded = if tool.has_model { 80 << 20 } else { 24 << 20 };
    // How much is on its way through the tool varies, by much less than what it would hold if it kept what it reads: three
    // quarters of the bytes.
    let most = after_a_quarter.max(loaded) + (8 << 20).max(bytes * 3 / 8);
    assert!(at_the_end <= most, "{}: {after_a_quarter} bytes grew to {at_the_end}", tool.name);
    if !tool.has_model {
        assert!(at_the_end <= 64 << 20, "{}: {at_the_end} bytes", tool.name);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_stream_takes_constant_memory() {
    for tool in TOOLS.iter().filter(|tool| tool.ready && !tool.formats.is_empty()) {
        stream(tool, tool.stream_bytes);
    }
}

/// The same with a gigabyte: `cargo test --release --test tools -- --ignored gigabyte`.
#[test]
#[ignore = "takes half a minute: run it by name"]
#[cfg(target_os = "linux")]
fn a_gigabyte_takes_constant_memory() {
    for tool in TOOLS.iter().filter(|tool| tool.ready && !tool.formats.is_empty() && !tool.has_model) {
        stream(tool, 1 << 30);
    }
}
