//! rna-mask: token table in, token table with hidden tokens and their labels out.

use rnaret::Result;
use rnaret::cli::numbers::{self, Range};
use rnaret::cli::{self, CommonArgs, Files, InputArgs, OutputArgs, Tool};
use rnaret::sequence::{Accept, Masker, Record, TokenText, TokenWriter, Tokenizer};
use std::io::Write;
use std::process::ExitCode;

/// Tokens handled at once.
const BATCH: usize = 64 * 1024;

/// Hide tokens for pretraining, as the model is to guess them
///
/// Reads the TSV of rna-kmerize (k-mers or ids) and writes it with a column labels. Spans of k tokens are drawn until
/// the mask rate is met; of the tokens drawn, 80 % become `[MASK]`, 10 % a random k-mer, and 10 % stay. The label of a
/// drawn token is what stood there, that of any other is a point. What is drawn for a record depends on the seed and the
/// record's number in the input alone.
#[derive(clap::Parser)]
#[command(name = "rna-mask", version, after_help = EXAMPLES)]
struct Arguments {
    /// Another seed draws other tokens
    #[arg(long, value_name = "S", default_value_t = 0, value_parser = numbers::parser::<u64>(Range::AT_LEAST_0))]
    seed: u64,

    /// Share of the k-mers to draw, 0 to 1
    #[arg(long, value_name = "R", default_value_t = 0.15, value_parser = numbers::parser::<f64>(Range::FROM_0_TO_1))]
    mask_rate: f64,

    #[command(flatten)]
    input: InputArgs,

    #[command(flatten)]
    output: OutputArgs,

    #[command(flatten)]
    common: CommonArgs,
}

const EXAMPLES: &str = "Examples:
  rna-kmerize -k 3 testdata/rnas.fa.gz | rna-mask --seed 1 | head -2
  rna-kmerize -k 1 --ids testdata/rnas.fa.gz | rna-mask --mask-rate 0.3 -o masked.tsv.gz";

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
    cli::run(mask)
}

fn mask(arguments: Arguments) -> Result<()> {
    let maskers = Maskers::new(arguments.mask_rate, arguments.seed)?;
    let mut output = arguments.output.create(&arguments.input.inputs)?;
    let records = arguments.input.open(Accept::Tokens, &arguments.common)?;
    if arguments.input.writes_header() {
        output.put(b"id\tlength\ttokens\tlabels\n")?;
    }
    let rows = |batch: Vec<Record>| {
        // Two columns of names or numbers of up to seven letters, with spaces between.
        let most_bytes = |record: &Record| record.id.len() + 24 + 16 * record.len();
        let write = |record: &Record, rows: &mut Vec<u8>| maskers.write_row(record, rows);
        cli::rows_in_memory(&arguments.input, &batch, most_bytes, write)
    };
    let threads = arguments.common.threads();
    cli::ordered_map(threads, cli::batches(records, BATCH), rows, |all: Vec<Vec<u8>>| {
        all.iter().try_for_each(|rows| output.put(rows))
    })?;
    output.finish()
}

/// What masks and writes tokens, for each k and each way to write them: the table tells both.
struct Maskers(Vec<(Masker, TokenWriter, TokenWriter)>);

impl Maskers {
    fn new(rate: f64, seed: u64) -> Result<Self> {
        let for_k = |k| {
            let tokenizer = Tokenizer::new(k)?;
            let writer = |form| TokenWriter::new(tokenizer, form);
            Ok((Masker::new(tokenizer, rate, seed)?, writer(TokenText::Kmers), writer(TokenText::Ids)))
        };
        [1, 3, 5, 7].into_iter().map(for_k).collect::<Result<_>>().map(Self)
    }

    fn write_row(&self, record: &Record, rows: &mut Vec<u8>) {
        let Some(tokens) = &record.tokens else { return };
        // A record shorter than k holds nothing but [FIL]: any k masks it alike.
        let place = tokens.k.map_or(0, |k| (k - 1) / 2);
        let (masker, kmers, ids) = &self.0[place];
        let writer = if tokens.text == TokenText::Ids { ids } else { kmers };
        let masked = masker.mask(record.ordinal, &tokens.ids);
        // Writing to memory does not fail.
        let _ = write!(rows, "{}\t{}\t", record.id, record.len());
        writer.write_ids(&masked.tokens, rows);
        rows.push(b'\t');
        writer.write_labels(&masked.labels, rows);
        rows.push(b'\n');
    }
}
