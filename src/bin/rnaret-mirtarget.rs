//! rnaret-mirtarget: miRNAs and targets in, scored sites out.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;

use rayon::ThreadPool;
use rnaret::cli::{self, CommonArgs, DescriptionArgs, Files, InputArgs, ModelArgs, Output, OutputArgs, Tool};
use rnaret::decode::target_site::{
    MIRNA_LENGTHS, SITE_LENGTHS, SeedIndex, SeedType, doubt, seed_type, seed_window, sliding_windows,
};
use rnaret::format::rows::Rows;
use rnaret::format::{bed, table};
use rnaret::memory::{in_halves, require};
use rnaret::model::heads::mirtarget::{MirtargetHead, Pair};
use rnaret::model::{Model, Task};
use rnaret::predict::target_sites::{memory, predict};
use rnaret::sequence::{
    Accept, Doubt, InputFile, OnError, ReaderOptions, Record, RecordReader, SET_ASIDE, SitePairReader,
};
use rnaret::{Error, Result};

/// Score the sites of miRNAs in targets
///
/// Reads FASTA or FASTQ. Targets (3'UTRs, transcripts) longer than the model's window of 50 nucleotides are scanned: at the matches of each
/// miRNA's seed, or everywhere. With --pairs every row of a table is scored as it stands. miRNAs and targets are read
/// 5' to 3'.
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
    #[arg(long, value_name = "TSV", conflicts_with_all = ["inputs", "candidates", "stride", "min_prob"])]
    pairs: Option<PathBuf>,

    /// Where targets are looked at: seed = at matches of positions 2-7 (or more) of the miRNA; all = at every stride
    #[arg(long, value_enum, default_value_t = Candidates::Seed)]
    candidates: Candidates,

    /// Bases between windows with --candidates all
    #[arg(long, value_name = "N", default_value = "10", value_parser = cli::numbers::parser::<NonZeroUsize>(cli::numbers::Range::AT_LEAST_1))]
    stride: NonZeroUsize,

    /// Bases per window; the model was trained on 50
    #[arg(long, value_name = "N", default_value = "50", value_parser = cli::numbers::parser::<NonZeroUsize>(cli::numbers::Range::AT_LEAST_1))]
    window: NonZeroUsize,

    /// Leave out sites that are less probable than this
    #[arg(long, value_name = "P", default_value_t = 0.0, value_parser = cli::numbers::parser::<f32>(cli::numbers::Range::FROM_0_TO_1))]
    min_prob: f32,

    /// Format of the sites
    #[arg(long, value_enum, default_value_t = Format::Tsv)]
    format: Format,

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
  rnaret-mirtarget --mirna testdata/mirnas.fa testdata/rnas.fa.gz
  rnaret-mirtarget --pairs testdata/mirna_pairs.tsv";

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Candidates {
    /// Windows at seed matches
    Seed,
    /// Windows everywhere
    All,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// mirna, target, start, end (0-based, half-open), seed_type, probability
    Tsv,
    /// BED6: target, start, end, miRNA, 1000 x probability, +
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

/// What a run needs to turn sites into rows.
struct Scorer<'a> {
    arguments: &'a Arguments,
    model: Model,
    head: MirtargetHead,
    pool: ThreadPool,
    output: Output,
    sites: Vec<Site>,
    tokens: usize,
    /// How tables and objects are written.
    rows: Rows,
}

/// A site that waits to be scored: its row without probability, and the two sequences.
struct Site {
    mirna: String,
    mirna_sequence: Vec<u8>,
    target: String,
    site_sequence: Vec<u8>,
    range: Range<usize>,
    seed_type: SeedType,
    /// Whether the model is asked about it.
    judged: bool,
    /// Of the target.
    description: String,
}

impl Site {
    /// What an error calls it.
    fn name(&self) -> String {
        format!("{} in {}, {}-{}", self.mirna, self.target, self.range.start, self.range.end)
    }

    fn pair(&self) -> Pair<'_> {
        Pair { mirna: &self.mirna_sequence, site: &self.site_sequence }
    }
}

impl<'a> Scorer<'a> {
    fn new(arguments: &'a Arguments, inputs: &[PathBuf]) -> Result<Self> {
        let mut output = arguments.output.create(inputs)?;
        let model = arguments.model.load(Task::Mirtarget)?;
        let head = MirtargetHead::new(&model.weights.config, &model.parameters)?;
        let is_json = arguments.format == Format::Json;
        let rows = Rows::new(table::TARGET_SITE_HEADER, is_json, arguments.description.keep_description);
        if arguments.format != Format::Bed && arguments.input.writes_header() {
            output.put(rows.header().as_bytes())?;
        }
        let pool = arguments.common.thread_pool()?;
        Ok(Self { arguments, model, head, pool, output, sites: Vec::new(), tokens: 0, rows })
    }

    /// Takes a site in, and scores what has come together where that is enough.
    fn add(&mut self, site: Site) -> Result<()> {
        self.tokens += site.pair().input().nucleotides();
        self.sites.push(site);
        if self.tokens >= self.arguments.model.batch_tokens { self.score() } else { Ok(()) }
    }

    fn score(&mut self) -> Result<()> {
        let sites = std::mem::take(&mut self.sites);
        self.tokens = 0;
        let work = |part: &[Site]| {
            let judged: Vec<&Site> = part.iter().filter(|site| site.judged).collect();
            let pairs: Vec<Pair> = judged.iter().map(|site| site.pair()).collect();
            let name = |index: usize| judged[index].name();
            let found = self.pool.install(|| {
                require(memory(&self.model, &self.head, &pairs))?;
                predict(&self.model, &self.head, &pairs, name)
            });
            let mut found = found?.into_iter();
            Ok(part.iter().map(|site| if site.judged { found.next() } else { None }).collect::<Vec<_>>())
        };
        let alone = |site: &Site, error| cli::set_aside_or_fail(self.arguments.input.on_error, site.name(), &error);
        let (output, rows) = (&mut self.output, &self.rows);
        let fail = |error| Error::write("target sites", error);
        in_halves(&sites, work, alone, |part, probabilities| {
            let mut text = Vec::new();
            for (site, probability) in sites[part].iter().zip(probabilities) {
                if self.arguments.pairs.is_none() && probability.is_some_and(|p| p < self.arguments.min_prob) {
                    continue;
                }
                let Site { mirna, target, range, seed_type, .. } = site;
                let range = range.clone();
                match self.arguments.format {
                    Format::Tsv | Format::Json => {
                        let mut row = Vec::new();
                        let written = table::write_target_site(&mut row, mirna, target, range, *seed_type, probability);
                        text.extend(rows.of_record(row, &site.description));
                        written
                    }
                    // BED has no word for a score that there is none of.
                    Format::Bed => probability.map_or(Ok(()), |probability| {
                        bed::write_target_site(&mut text, target, range, mirna, probability)
                    }),
                }
                .map_err(fail)?;
            }
            output.put(&text)
        })
    }

    fn finish(mut self) -> Result<()> {
        self.score()?;
        self.output.finish()
    }
}

fn score_pairs(arguments: &Arguments, pairs: &PathBuf) -> Result<()> {
    let inputs = vec![InputFile::from(pairs.as_path())];
    let rows = SitePairReader::open(inputs, arguments.input.reader_options())?;
    let mut scorer = Scorer::new(arguments, std::slice::from_ref(pairs))?;
    for pair in rows {
        // What came before a broken row is not lost.
        let pair = pair.or_else(|error| scorer.score().and(Err(error)))?;
        let range = 0..pair.target_sequence.len();
        let seed_type = seed_type(&pair.mirna_sequence, &pair.target_sequence, range.clone());
        let of_mirna = doubt(&pair.mirna_sequence, MIRNA_LENGTHS);
        let of_site = doubt(&pair.target_sequence, SITE_LENGTHS);
        if let Some(doubt) = of_mirna.or(of_site) {
            cli::tally().doubt(doubt, format_args!("{} in {}", pair.mirna, pair.target));
        }
        scorer.add(Site {
            // A long site is judged, with a warning; a long miRNA is none.
            judged: of_mirna.is_none() && of_site.is_none_or(|doubt| doubt == Doubt::TooLong),
            mirna: pair.mirna,
            mirna_sequence: pair.mirna_sequence,
            target: pair.target,
            site_sequence: pair.target_sequence,
            range,
            seed_type,
            description: String::new(),
        })?;
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
    let options = ReaderOptions { accept: Accept::Sequences, ..ReaderOptions::default() };
    let mirnas = RecordReader::open(std::slice::from_ref(&mirna_file), options)?.collect::<Result<Vec<Record>>>()?;
    let mirnas = only_mirnas(mirnas, &mirna_file, arguments.input.on_error)?;
    if mirnas.is_empty() {
        log::warn!("{} holds no miRNA", mirna_file.name());
    }
    let mut scorer = Scorer::new(arguments, &arguments.input.inputs)?;
    let index = SeedIndex::new(mirnas.iter().map(|mirna| mirna.sequence.as_slice()), SeedType::SixMer);
    let window = arguments.window.get();
    let keep = arguments.description.keep_description;
    let mut target = Record::default();
    loop {
        // What came before a broken record is not lost.
        let found = targets.read(&mut target).or_else(|error| scorer.score().and(Err(error)))?;
        if !found {
            break;
        }
        let mut left_out = None;
        let mut add = |mirna: &Record, range: Range<usize>, seed_type: SeedType| {
            match doubt(&target.sequence[range.clone()], SITE_LENGTHS) {
                None | Some(Doubt::TooLong) => {}
                some => {
                    left_out = some;
                    return Ok(());
                }
            }
            scorer.add(Site {
                judged: true,
                mirna: mirna.id.clone(),
                mirna_sequence: mirna.sequence.clone(),
                target: target.id.clone(),
                site_sequence: target.sequence[range.clone()].to_vec(),
                range,
                seed_type,
                description: if keep { target.description.clone() } else { String::new() },
            })
        };
        match arguments.candidates {
            Candidates::Seed => {
                for (number, found) in index.matches(&target.sequence) {
                    add(&mirnas[number], seed_window(&found, target.len(), window), found.seed_type)?;
                }
            }
            Candidates::All => {
                for range in sliding_windows(target.len(), window, arguments.stride) {
                    for mirna in &mirnas {
                        let kind = seed_type(&mirna.sequence, &target.sequence, range.clone());
                        add(mirna, range.clone(), kind)?;
                    }
                }
            }
        }
        if let Some(doubt) = left_out {
            cli::tally().doubt(doubt, &target.id);
        }
    }
    scorer.finish()
}

/// The records that can be miRNAs. Another ends the run, or is set aside where the user wants that.
fn only_mirnas(records: Vec<Record>, file: &InputFile, on_error: OnError) -> Result<Vec<Record>> {
    let mut mirnas = Vec::with_capacity(records.len());
    for record in records {
        if doubt(&record.sequence, MIRNA_LENGTHS).is_none() {
            mirnas.push(record);
            continue;
        }
        let error = Error::Input {
            file: file.name(),
            place: format!("record {} ({})", record.ordinal + 1, record.id),
            message: format!(
                "this is no miRNA: miRNAs have {} to {} nucleotides, at most a tenth of them N; it has {}, {} of them N",
                MIRNA_LENGTHS.start(),
                MIRNA_LENGTHS.end(),
                record.len(),
                record.sequence.iter().filter(|letter| **letter == b'N').count()
            ),
        };
        cli::tally().reject();
        if on_error == OnError::Fail {
            return Err(error);
        }
        log::warn!(target: SET_ASIDE, "set aside: {error}");
    }
    Ok(mirnas)
}
