//! How many megabytes of input rna-kmerize and rna-mask read in a second, on one thread.
//!
//! ```sh
//! cargo bench --bench throughput
//! ```
//!
//! prints TSV `tool arguments input megabytes seconds megabytes_per_second`: the median of five runs of the binary from a
//! file to a pipe that is read and thrown away. What bounds both is the work per letter and per token (arithmetic), not
//! the memory: the output, up to seven times the input, goes through a buffer that stays in the cache.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// Letters of input.
const NUCLEOTIDES: usize = 100_000_000;

/// FASTA records of `length` random letters.
fn fasta(length: usize, line: usize) -> Vec<u8> {
    let mut state = 1u64;
    let mut text = Vec::with_capacity(NUCLEOTIDES + NUCLEOTIDES / 10);
    for number in 0..NUCLEOTIDES / length {
        text.extend_from_slice(format!(">record{number}\n").as_bytes());
        for place in 0..length {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            text.push(b"ACGU"[(state >> 62) as usize]);
            if (place + 1) % line == 0 || place + 1 == length {
                text.push(b'\n');
            }
        }
    }
    text
}

/// Runs a tool and throws away what it writes; the bytes it wrote.
fn run(program: &str, arguments: &[&str], input: &Path) -> u64 {
    let mut child = Command::new(program)
        .args(arguments)
        .args(["-t", "1", "-q"])
        .arg(input)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the tool starts");
    let mut output = child.stdout.take().expect("a pipe");
    let mut buffer = vec![0; 1 << 20];
    let mut written = 0;
    loop {
        match output.read(&mut buffer).expect("output") {
            0 => break,
            length => written += length as u64,
        }
    }
    assert!(child.wait().expect("an end").success());
    written
}

fn measure(program: &str, arguments: &[&str], input: &Path, what: &str) {
    let mut seconds: Vec<f64> = (0..5)
        .map(|_| {
            let start = Instant::now();
            run(program, arguments, input);
            start.elapsed().as_secs_f64()
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    let megabytes = std::fs::metadata(input).expect("input").len() as f64 / 1e6;
    let name = Path::new(program).file_name().unwrap_or_default().to_string_lossy();
    let arguments = arguments.join(" ");
    println!("{name}\t{arguments}\t{what}\t{megabytes:.0}\t{:.3}\t{:.0}", seconds[2], megabytes / seconds[2]);
}

fn main() {
    let (kmerize, mask) = (env!("CARGO_BIN_EXE_rna-kmerize"), env!("CARGO_BIN_EXE_rna-mask"));
    let folder = tempfile::tempdir().expect("a temporary folder");
    println!("tool\targuments\tinput\tmegabytes\tseconds\tmegabytes_per_second");
    for (what, length, line) in [("1000 nt in lines of 60", 1000, 60), ("100 nt in one line", 100, 100)] {
        let input = folder.path().join("input.fa");
        std::fs::write(&input, fasta(length, line)).expect("input");
        for k in ["1", "3", "5", "7"] {
            measure(kmerize, &["-k", k], &input, what);
            measure(kmerize, &["-k", k, "--ids"], &input, what);
        }
    }
    let short = folder.path().join("short.fa");
    let mut file = std::fs::File::create(&short).expect("input");
    file.write_all(&fasta(1000, 60)[..NUCLEOTIDES / 5]).expect("input");
    for k in ["1", "3", "5"] {
        for form in [&[][..], &["--ids"]] {
            let tokens = folder.path().join("tokens.tsv");
            let arguments = [&["-k", k, "-o", tokens.to_str().expect("a path")], form].concat();
            run(kmerize, &arguments, &short);
            measure(mask, &[], &tokens, &format!("tokens of k = {k} {}", form.join("")));
        }
    }
}
