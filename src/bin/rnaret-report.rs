//! rnaret-report: what the other tools wrote in, one web page out.

use std::path::PathBuf;
use std::process::ExitCode;

use rnaret::Result;
use rnaret::cli::{self, CommonArgs, Files, OutputArgs, Tool};
use rnaret::report::{self, Results};

/// Make one web page of what the other tools wrote
///
/// Reads the results of a pipeline, or of single runs: structures (TSV, dot-bracket, CT, BPSEQ) and tables of pairs and
/// homologs of rnaret-fold; summary, BED and track of rnaret-coding; sites of rnaret-mirtarget; embeddings and
/// likelihoods of rnaret-embed; classes of rnaret-predict; and the tables of --stats. The page holds a table to sort and filter, the structure, coding track and target
/// sites of each record, a map of the embeddings, distributions, and what the runs and their models were. It needs neither
/// a network nor a server: open the file in a browser.
#[derive(clap::Parser)]
#[command(name = "rnaret-report", version, after_help = EXAMPLES)]
struct Arguments {
    /// Results: files, told by content, or folders of them; `-` is standard input. A file called SAMPLE.structures.tsv (or .pairs, .homologs,
    /// .potential, .cds, .track, .sites, .embeddings, .likelihood, .predictions) belongs to that sample
    #[arg(required = true, value_name = "RESULTS", value_hint = clap::ValueHint::AnyPath)]
    results: Vec<PathBuf>,

    /// Title of the page
    #[arg(long, value_name = "TEXT", default_value = "RNA report")]
    title: String,

    #[command(flatten)]
    output: OutputArgs,

    #[command(flatten)]
    common: CommonArgs,
}

const EXAMPLES: &str = "Examples:
  rnaret-fold --format tsv testdata/rnas.fa.gz | rnaret-report -o report.html -
  rnaret-embed -o embeddings.tsv testdata/rnas.fa.gz && rnaret-report embeddings.tsv -o map.html";

impl Tool for Arguments {
    fn common(&self) -> &CommonArgs {
        &self.common
    }

    fn declare(&self, files: &mut Files) {
        // A folder that cannot be read is an error of the run, which says so.
        files.reads(report::files(&self.results).unwrap_or_else(|_| self.results.clone()));
        self.output.declare(files);
    }
}

#[global_allocator]
static ALLOCATOR: cli::Allocator = cli::Allocator;

fn main() -> ExitCode {
    cli::run(make_report)
}

fn make_report(arguments: Arguments) -> Result<()> {
    let mut output = arguments.output.create(&arguments.results)?;
    let results = Results::read(&arguments.results)?;
    let pool = arguments.common.thread_pool()?;
    output.put(pool.install(|| report::page(&results, &arguments.title))?.as_bytes())?;
    output.finish()
}
