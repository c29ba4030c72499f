//! Records, written in every appearance that a tool may meet.

use super::tools::Tool;
use rnaret::sequence::{TokenText, TokenWriter, Tokenizer, normalise};
use std::io::Write;

/// How input is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    Plain,
    Gzip,
    Bgzip,
    Bzip2,
    Xz,
    Zstd,
}

impl Codec {
    pub const ALL: [Codec; 6] = [Codec::Plain, Codec::Gzip, Codec::Bgzip, Codec::Bzip2, Codec::Xz, Codec::Zstd];

    pub fn compress(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Codec::Plain => bytes.to_vec(),
            Codec::Gzip => {
                let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
                writer.write_all(bytes).unwrap();
                writer.finish().unwrap()
            }
            Codec::Bgzip => {
                let mut writer = noodles::bgzf::io::Writer::new(Vec::new());
                writer.write_all(bytes).unwrap();
                writer.finish().unwrap()
            }
            Codec::Bzip2 => {
                let mut writer = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
                writer.write_all(bytes).unwrap();
                writer.finish().unwrap()
            }
            Codec::Xz => {
                let mut writer = liblzma::write::XzEncoder::new(Vec::new(), 1);
                writer.write_all(bytes).unwrap();
                writer.finish().unwrap()
            }
            Codec::Zstd => zstd::stream::encode_all(bytes, 1).unwrap(),
        }
    }
}

/// Named sequences.
#[derive(Clone, Debug)]
pub struct Sample(pub Vec<(String, String)>);

/// Yeast tRNA-Phe.
pub const TRNA: &str = "GCGGAUUUAGCUCAGUUGGGAGAGCGCCAGACUGAAGAUCUGGAGGUCCUGUGUUCGAUCCACAGAAUUCGCACCA";

impl Sample {
    pub fn new(records: &[(&str, &str)]) -> Self {
        Self(records.iter().map(|(id, sequence)| (id.to_string(), sequence.to_string())).collect())
    }

    /// A few records of different lengths, without unknown letters.
    pub fn few() -> Self {
        let long = format!("{TRNA}{}", TRNA.chars().rev().collect::<String>());
        Self::new(&[
            ("tRNA-Phe", TRNA),
            ("short", "GGGAAAUCCC"),
            ("long", &long),
            ("hammerhead", "CAUAAGUCUGGGCUAAGCCCACUGAUGAGUCGCUGAAAUGCGACGAAACUUAUG"),
            ("five", "GGACC"),
        ])
    }

    /// `count` records of some 100 letters each, all different.
    pub fn many(count: usize) -> Self {
        let mut state = 1u64;
        let mut letter = move || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            b"ACGU"[(state >> 60) as usize % 4] as char
        };
        let record = |number: usize| (format!("r{number}"), (0..90 + number % 23).map(|_| letter()).collect());
        Self((0..count).map(record).collect())
    }

    pub fn with(mut self, id: &str, sequence: &str) -> Self {
        self.0.push((id.to_owned(), sequence.to_owned()));
        self
    }

    /// FASTA with lines of `width` letters that end in `end`.
    pub fn fasta(&self, width: usize, end: &str) -> Vec<u8> {
        let mut text = String::new();
        for (id, sequence) in &self.0 {
            text.push_str(&format!(">{id}{end}"));
            for line in sequence.as_bytes().chunks(width) {
                text.push_str(&format!("{}{end}", std::str::from_utf8(line).unwrap()));
            }
        }
        text.into_bytes()
    }

    pub fn fastq(&self) -> Vec<u8> {
        let record =
            |(id, sequence): &(String, String)| format!("@{id}\n{sequence}\n+\n{}\n", "@".repeat(sequence.len()));
        self.0.iter().map(record).collect::<String>().into_bytes()
    }

    /// The token table of rna-kmerize.
    pub fn tokens(&self, k: usize, form: TokenText) -> Vec<u8> {
        let writer = TokenWriter::new(Tokenizer::new(k).unwrap(), form);
        let mut table = b"id\tlength\ttokens\n".to_vec();
        for (id, sequence) in &self.0 {
            let sequence = normalise(sequence.as_bytes()).unwrap();
            table.extend_from_slice(format!("{id}\t{}\t", sequence.len()).as_bytes());
            writer.write_sequence(&sequence, &mut table);
            table.push(b'\n');
        }
        table
    }

    /// What the tool reads by default: FASTA, or the token table where it takes nothing else.
    pub fn for_tool(&self, tool: &Tool) -> Vec<u8> {
        if tool.takes_sequences() { self.fasta(60, "\n") } else { self.tokens(tool.k, TokenText::Kmers) }
    }

    /// The token table that a tool takes.
    pub fn tokens_for(&self, tool: &Tool, form: TokenText) -> Vec<u8> {
        self.tokens(tool.k, form)
    }
}
