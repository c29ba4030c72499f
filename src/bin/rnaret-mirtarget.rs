//! rnaret-mirtarget: miRNAs and targets in, scored sites out.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use rayon::ThreadPool;
use rnaret::cli::{self, CommonArgs, DescriptionArgs, Files, InputArgs, ModelArgs, Output, OutputArgs, Tool};
use rnaret::decode::target_site::SITE_LENGTHS;
use rnaret::format::rows::Rows;
use rnaret::format::{bed, site_drawing, table};
use rnaret::memory::{in_halves, require};
use rnaret::model::Task;
use rnaret::model::heads::mirtarget::Pair;
use rnaret::predict::mirtarget::{
    Candidates, MirnaSummary, MirtargetModel, Scan, Site, SitePrediction, Summaries, read_mirnas, site_of_pair,
};
use rnaret::sequence::{Accept, InputFile, Record, SitePairReader, Strand};
use rnaret::{Error, Result};

/// Score the sites of miRNAs in targets
///
/// Reads FASTA or FASTQ. Targets (3'UTRs, transcripts) longer than the model's window of 50 nucleotides are scanned: at the matches of each
/// miRNA's seed, or everywhere. With --pairs every row of a table is scored as it stands. miRNAs and targets are read
/// 5' to 3'.
///
/// Each site comes with its seed match, the free energy of the duplex (through the seed match where there is one) and the
/// percentile of its score among windows of background that the same miRNA was scored on.
///
/// miRNAs have 15 to 30 nucleotides. Sites of fewer than 15, or with more than a tenth N, are not judged: scanning leaves
/// them out, and --pairs gives NA.
#[derive(clap::Parser)]
#[command(name = "rnaret-mirtarget", version, after_help = EXAMPLES)]
#[command(group(clap::ArgGroup::new("what").required(true).args(["mirna", "pairs"])))]
struct Arguments {
    /// The miRNAs to look for, 5' to 3': FASTA
    #[arg(long, value_name = "FASTA")]
    mirna: Option<PathBuf>,

    /// Score these pairs instead: TSV with columns mirna, mirna_seq, target, target_seq (found by name), one row each
    #[arg(long, value_name = "TSV", conflicts_with_all = ["inputs", "candidates", "stride", "min_prob", "strand", "summary"])]
    pairs: Option<PathBuf>,

    /// Where targets are looked at: seed = at matches of positions 2-7 (or more) of the miRNA; all = at every stride
    #[arg(long, value_enum, default_value_t = Places::Seed)]
    candidates: Places,

    /// Bases between windows with --candidates all
    #[arg(long, value_name = "N", default_value = "10", value_parser = cli::numbers::parser::<NonZeroUsize>(cli::numbers::Range::AT_LEAST_1))]
    stride: NonZeroUsize,

    /// Bases per window; the model was trained on 50
    #[arg(long, value_name = "N", default_value = "50", value_parser = cli::numbers::parser::<NonZeroUsize>(cli::numbers::Range::AT_LEAST_1))]
    window: NonZeroUsize,

    /// Which strand of the targets is read
    #[arg(long, value_enum, default_value_t = StrandsRead::Forward)]
    strand: StrandsRead,

    /// Leave out sites that are less probable than this
    #[arg(long, value_name = "P", default_value_t = 0.0, value_parser = cli::numbers::parser::<f32>(cli::numbers::Range::FROM_0_TO_1))]
    min_prob: f32,

    /// Format of the sites
    #[arg(long, value_enum, default_value_t = Format::Tsv)]
    format: Format,

    /// Also write a table with a row for each miRNA and target: TSV `mirna target strand sites best combined expected`, of the
    /// sites that are not left out
    #[arg(long, value_name = "FILE")]
    summary: Option<PathBuf>,

    /// Also draw how each miRNA lies on its sites, in three lines as miRanda does; the TSV gains a column `alignment`
    #[arg(long, value_name = "FILE")]
    alignment: Option<PathBuf>,

    #[command(flatten)]
    input: InputArgs,

    #[command(flatten)]
    output: OutputArgs,

    #[command(flatten)]
    description: DescriptionArgs,

    #[command(flatten)]
    model: ModelArgs,

    #[command(flatten)]
    common: CommonArgs,
}

const EXAMPLES: &str = "Examples:
  rnaret-mirtarget --mirna testdata/mirnas.fa --summary summary.tsv -o sites.tsv testdata/rnas.fa.gz
  rnaret-mirtarget --pairs testdata/mirna_pairs.tsv";

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Places {
    /// Windows at seed matches
    Seed,
    /// Windows everywhere
    All,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum StrandsRead {
    /// The sequence as it stands
    Forward,
    /// Its reverse complement
    Reverse,
    /// One after the other
    Both,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// mirna, target, start, end (0-based, half-open), seed_type, probability, seed_start, seed_end, energy (kcal/mol),
    /// percentile, strand
    Tsv,
    /// BED6: target, start, end, miRNA, 1000 x probability, strand
    Bed,
    /// JSON Lines: an object for each site with the columns of tsv
    #[value(alias = "jsonl")]
    Json,
}

impl Tool for Arguments {
    fn common(&self) -> &CommonArgs {
        &self.common
    }

    fn declare(&self, files: &mut Files) {
        match &self.pairs {
            Some(pairs) => files.reads([pairs]),
            None => self.input.declare(files),
        }
        files.reads(&self.mirna);
        self.model.declare(files);
        self.output.declare(files);
        files.writes([&self.summary, &self.alignment].into_iter().flatten());
    }
}

#[global_allocator]
static ALLOCATOR: cli::Allocator = cli::Allocator;

fn main() -> ExitCode {
    cli::run(|arguments: Arguments| match &arguments.pairs {
        Some(pairs) => score_pairs(&arguments, pairs),
        None => scan(&arguments),
    })
}

/// What turns sites into rows, many at a time.
struct Scorer<'a> {
    arguments: &'a Arguments,
    model: MirtargetModel,
    pool: ThreadPool,
    output: Output,
    summary: Option<Output>,
    alignment: Option<Output>,
    summaries: Summaries,
    /// Sites that wait, and whether the model is asked about them.
    sites: Vec<(Site, bool)>,
    tokens: usize,
    /// How tables and objects are written.
    rows: Rows,
}

impl<'a> Scorer<'a> {
    fn new(arguments: &'a Arguments, inputs: &[PathBuf]) -> Result<Self> {
        let mut output = arguments.output.create(inputs)?;
        let mut summary = Output::create_if_named(arguments.summary.as_deref())?;
        let alignment = Output::create_if_named(arguments.alignment.as_deref())?;
        let model = MirtargetModel::new(arguments.model.load(Task::Mirtarget)?)?;
        let more = if alignment.is_some() { format!("\t{}", table::ALIGNMENT_HEADER) } else { String::new() };
        let header = format!("{}{more}", table::TARGET_SITE_HEADER);
        let is_json = arguments.format == Format::Json;
        let rows = Rows::new(&header, is_json, arguments.description.keep_description);
        if arguments.input.writes_header() {
            if arguments.format != Format::Bed {
                output.put(rows.header().as_bytes())?;
            }
            if let Some(summary) = &mut summary {
                summary.put(format!("{}\n", table::TARGET_SUMMARY_HEADER).as_bytes())?;
            }
        }
        let pool = arguments.common.thread_pool()?;
        let (summaries, sites) = (Summaries::default(), Vec::new());
        Ok(Self { arguments, model, pool, output, summary, alignment, summaries, sites, tokens: 0, rows })
    }

    /// Takes a site in, and scores what has come together where that is enough.
    fn add(&mut self, site: Site, judged: bool) -> Result<()> {
        self.tokens += site.pair().input().nucleotides();
        self.sites.push((site, judged));
        if self.tokens >= self.arguments.model.batch_tokens { self.score() } else { Ok(()) }
    }

    fn score(&mut self) -> Result<()> {
        let sites = std::mem::take(&mut self.sites);
        self.tokens = 0;
        let least = self.arguments.min_prob;
        let work = |part: &[(Site, bool)]| {
            let judged: Vec<&Site> = part.iter().filter(|(_, judged)| *judged).map(|(site, _)| site).collect();
            let pairs: Vec<Pair> = judged.iter().map(|site| site.pair()).collect();
            let mut found = self
                .pool
                .install(|| require(self.model.memory(&pairs)).and_then(|()| self.model.judge(&judged, least)))?
                .into_iter();
            Ok(part.iter().map(|(_, judged)| if *judged { found.next() } else { None }).collect::<Vec<_>>())
        };
        let on_error = self.arguments.input.on_error;
        let alone = |(site, _): &(Site, bool), error| cli::set_aside_or_fail(on_error, site.name(), &error);
        let mut judged = Vec::with_capacity(sites.len());
        in_halves(&sites, work, alone, |part, predictions| {
            judged.extend(part.zip(predictions));
            Ok(())
        })?;
        cli::count_windows(judged.len() as u64);
        judged.iter().try_for_each(|(number, prediction)| self.write(&sites[*number].0, prediction.as_ref()))
    }

    fn write(&mut self, site: &Site, prediction: Option<&SitePrediction>) -> Result<()> {
        let fail = |error| Error::write("target sites", error);
        let probability = prediction.map(|prediction| prediction.affinity.probability);
        if self.arguments.pairs.is_none() && probability.is_some_and(|p| p < self.arguments.min_prob) {
            return Ok(());
        }
        let mut text = Vec::new();
        match self.arguments.format {
            Format::Tsv | Format::Json => {
                let mut row = Vec::new();
                let written = table::write_target_site(&mut row, site, prediction, self.alignment.is_some());
                text = self.rows.of_record(row, &site.target.description);
                written
            }
            // BED has no word for a score that there is none of.
            Format::Bed => {
                probability.map_or(Ok(()), |probability| bed::write_target_site(&mut text, site, probability))
            }
        }
        .map_err(fail)?;
        self.output.put(&text)?;
        if let (Some(output), Some(prediction)) = (&mut self.alignment, prediction) {
            text.clear();
            site_drawing::write(&mut text, site, prediction).map_err(fail)?;
            output.put(&text)?;
        }
        if let (Some(_), Some(probability)) = (&self.summary, probability) {
            let done = self.summaries.add(site, probability);
            self.write_summaries(&done)?;
        }
        Ok(())
    }

    fn write_summaries(&mut self, rows: &[MirnaSummary]) -> Result<()> {
        let Some(output) = &mut self.summary else { return Ok(()) };
        let mut text = Vec::new();
        for row in rows {
            table::write_target_summary(&mut text, row).map_err(|error| Error::write("summary", error))?;
        }
        output.put(&text)
    }

    fn finish(mut self) -> Result<()> {
        self.score()?;
        let rest = self.summaries.finish();
        self.write_summaries(&rest)?;
        for other in [self.summary, self.alignment].into_iter().flatten() {
            other.finish()?;
        }
        self.output.finish()
    }
}

fn score_pairs(arguments: &Arguments, pairs: &Path) -> Result<()> {
    let rows = SitePairReader::open(vec![InputFile::from(pairs)], arguments.input.reader_options())?;
    let mut scorer = Scorer::new(arguments, &[pairs.to_owned()])?;
    for pair in rows {
        // What came before a broken row is not lost.
        let pair = pair.or_else(|error| scorer.score().and(Err(error)))?;
        let (site, doubt, judged) = site_of_pair(pair);
        if let Some(doubt) = doubt {
            cli::tally().doubt(doubt, format_args!("{} in {}", site.mirna.id, site.target.id));
        }
        scorer.add(site, judged)?;
    }
    scorer.finish()
}

fn scan(arguments: &Arguments) -> Result<()> {
    if arguments.window.get() < *SITE_LENGTHS.start() {
        let message =
            format!("--window {}: sites have at least {} nucleotides", arguments.window, SITE_LENGTHS.start());
        return Err(Error::Usage(message));
    }
    let mirna_file = arguments.mirna.as_deref().map(InputFile::from);
    let mirna_file = mirna_file.ok_or_else(|| Error::Usage("give --mirna or --pairs".into()))?;
    let mut targets = arguments.input.open(Accept::Sequences, &arguments.common)?;
    let mirnas = read_mirnas(&mirna_file, arguments.input.on_error, &cli::tally())?;
    let mut scorer = Scorer::new(arguments, &arguments.input.inputs)?;
    let strands: &[Strand] = match arguments.strand {
        StrandsRead::Forward => &[Strand::Forward],
        StrandsRead::Reverse => &[Strand::Reverse],
        StrandsRead::Both => &[Strand::Forward, Strand::Reverse],
    };
    let candidates = match arguments.candidates {
        Places::Seed => Candidates::Seeds,
        Places::All => Candidates::Every(arguments.stride),
    };
    let first = mirnas.first().map(|mirna| mirna.sequence.clone());
    let scan = Scan::new(mirnas, candidates, arguments.window.get(), strands);
    if let (Some(pairs), Some(first)) = (scan.pairs_per_base(), first) {
        say_cost(1000.0 * pairs, &first, &scorer)?;
    }
    let mut target = Record::default();
    loop {
        // What came before a broken record is not lost.
        let found = targets.read(&mut target).or_else(|error| scorer.score().and(Err(error)))?;
        if !found {
            break;
        }
        if let Some(doubt) = scan.sites(&target, |site| scorer.add(site, true))? {
            cli::tally().doubt(doubt, &target.id);
        }
    }
    scorer.finish()
}

/// Says what `pairs` pairs, those of 1,000 bases of targets, will cost, by what the background of the first miRNA does.
fn say_cost(pairs: f64, mirna: &[u8], scorer: &Scorer) -> Result<()> {
    let begin = Instant::now();
    let windows = scorer.pool.install(|| scorer.model.background_of(mirna))?.scores().len();
    let time = match windows {
        0 => String::new(),
        windows => format!(", about {:.2} s", begin.elapsed().as_secs_f64() * pairs / windows as f64),
    };
    log::info!("--candidates all: {pairs:.0} windows for every 1,000 nt of targets{time}");
    Ok(())
}
