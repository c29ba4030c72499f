//! rna-kmerize: FASTA or FASTQ in, one row of k-mer tokens per record out.

use rnaret::cli::numbers::{self, Range};
use rnaret::cli::{self, CommonArgs, Files, InputArgs, OutputArgs, Tool};
use rnaret::sequence::{Accept, Record, TokenText, TokenWriter, Tokenizer, windows};
use rnaret::{Error, Result};
use std::num::NonZeroUsize;
use std::process::ExitCode;

/// Nucleotides handled at once: enough to make hand-over between threads cheap, little enough to stay in the cache.
const BATCH: usize = 64 * 1024;

/// Cut RNA sequences into overlapping k-mers, one token per nucleotide
///
/// Reads FASTA or FASTQ. Writes a TSV with the columns id, length and tokens. A nucleotide's token is the k-mer centred on it: a k-mer in RNA
/// letters, `[UNK]` where a letter is not known, or `[FIL]` at the (k-1)/2 positions at either end. T is read as U, lower
/// case as upper case, IUPAC ambiguity letters as N. Nothing is cut unless asked.
#[derive(clap::Parser)]
#[command(name = "rna-kmerize", version, after_help = EXAMPLES)]
struct Arguments {
    /// Length of the k-mers: 1, 3, 5 or 7
    #[arg(short, value_name = "K", value_parser = numbers::parser::<usize>(Range::AT_LEAST_1))]
    k: usize,

    /// Write the numbers of the tokens instead of their letters
    #[arg(long)]
    ids: bool,

    /// Cut records after N nucleotides
    #[arg(long, value_name = "N", conflicts_with = "window")]
    #[arg(value_parser = numbers::parser::<NonZeroUsize>(Range::AT_LEAST_1))]
    max_len: Option<NonZeroUsize>,

    /// Split records into windows of N nucleotides, named id:start-end (0-based, half-open)
    #[arg(long, value_name = "N", value_parser = numbers::parser::<NonZeroUsize>(Range::AT_LEAST_1))]
    window: Option<NonZeroUsize>,

    /// Nucleotides that a window shares with the one before
    #[arg(long, value_name = "M", default_value_t = 0, requires = "window")]
    #[arg(value_parser = numbers::parser::<usize>(Range::AT_LEAST_0))]
    overlap: usize,

    /// Print the vocabulary as JSON (token to id) instead of reading anything
    #[arg(long, conflicts_with_all = ["ids", "max_len", "window", "overlap", "inputs"])]
    vocab: bool,

    #[command(flatten)]
    input: InputArgs,

    #[command(flatten)]
    output: OutputArgs,

    #[command(flatten)]
    common: CommonArgs,
}

const EXAMPLES: &str = "Examples:
  rna-kmerize -k 3 testdata/rnas.fa.gz | head -3
  rna-kmerize -k 5 --ids --window 512 --overlap 64 testdata/rnas.fa.gz -o tokens.tsv.gz";

impl Tool for Arguments {
    fn common(&self) -> &CommonArgs {
        &self.common
    }

    fn declare(&self, files: &mut Files) {
        self.input.declare(files);
        self.output.declare(files);
    }
}

#[global_allocator]
static ALLOCATOR: cli::Allocator = cli::Allocator;

fn main() -> ExitCode {
    cli::run(kmerize)
}

fn kmerize(arguments: Arguments) -> Result<()> {
    let tokenizer = Tokenizer::new(arguments.k)?;
    if let Some(window) = arguments.window.filter(|window| arguments.overlap >= window.get()) {
        return Err(Error::Usage(format!("--overlap must be less than --window {window}")));
    }
    let mut output = arguments.output.create(&arguments.input.inputs)?;
    if arguments.vocab {
        output.put(tokenizer.vocabulary_json().as_bytes())?;
        return output.finish();
    }
    let records = arguments.input.open(Accept::Sequences, &arguments.common)?;
    if arguments.input.writes_header() {
        output.put(b"id\tlength\ttokens\n")?;
    }
    let form = if arguments.ids { TokenText::Ids } else { TokenText::Kmers };
    let writer = TokenWriter::new(tokenizer, form);
    let rows = |batch: Vec<Record>| {
        let most_bytes = |record: &Record| arguments.most_bytes(record);
        let write = |record: &Record, rows: &mut Vec<u8>| arguments.write_rows(&writer, record, rows);
        cli::rows_in_memory(&arguments.input, &batch, most_bytes, write)
    };
    let threads = arguments.common.threads();
    cli::ordered_map(threads, cli::batches(records, BATCH), rows, |all| {
        all.iter().try_for_each(|rows| output.put(rows))
    })?;
    output.finish()
}

impl Arguments {
    /// The most bytes that the rows of a record take.
    fn most_bytes(&self, record: &Record) -> usize {
        // A k-mer in letters, a name in brackets or a number, and a space.
        let of_token = self.k.max(6) + 1;
        match self.window {
            None => record.id.len() + 24 + of_token * record.len(),
            Some(size) => {
                let step = size.get() - self.overlap;
                let windows = record.len() / step + 1;
                windows * (record.id.len() + 64 + of_token * size.get().min(record.len()))
            }
        }
    }

    /// The rows of a record: one, or one per window.
    fn write_rows(&self, writer: &TokenWriter, record: &Record, rows: &mut Vec<u8>) {
        let mut row = |name: &str, sequence: &[u8]| {
            rows.extend_from_slice(format!("{name}\t{}\t", sequence.len()).as_bytes());
            writer.write_sequence(sequence, rows);
            rows.push(b'\n');
        };
        match self.window {
            None => {
                let length = self.max_len.map_or(record.len(), |most| record.len().min(most.get()));
                row(&record.id, &record.sequence[..length]);
            }
            Some(size) => {
                for part in windows(record.len(), size.get(), self.overlap) {
                    row(&format!("{}:{}-{}", record.id, part.start, part.end), &record.sequence[part]);
                }
            }
        }
    }
}
