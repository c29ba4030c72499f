//! rnaret-mirtarget: miRNAs and targets in, scored sites out.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;

use rayon::ThreadPool;
use rnaret::cli::{self, CommonArgs, Files, InputArgs, ModelArgs, Output, OutputArgs, Tool};
use rnaret::decode::target_site::{SeedIndex, SeedType, seed_type, seed_window, sliding_windows};
use rnaret::format::{bed, table};
use rnaret::model::heads::mirtarget::{MirtargetHead, Pair};
use rnaret::model::memory::in_halves;
use rnaret::model::{Encode, Input, Model, Task};
use rnaret::sequence::{Accept, InputFile, ReaderOptions, Record, RecordReader, SitePairReader};
use rnaret::{Error, Result};

/// Score the sites of miRNAs in targets
///
/// Reads FASTA or FASTQ. Targets (3'UTRs, transcripts) longer than the model's window of 50 nucleotides are scanned: at the matches of each
/// miRNA's seed, or everywhere. With --pairs every row of a table is scored as it stands. miRNAs and targets are read
/// 5' to 3'.
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
}

/// A site that waits to be scored: its row without probability, and the two sequences.
struct Site {
    mirna: String,
    mirna_sequence: Vec<u8>,
    target: String,
    site_sequence: Vec<u8>,
    range: Range<usize>,
    seed_type: SeedType,
}

impl Site {
    fn pair(&self) -> Pair<'_> {
        Pair { mirna: &self.mirna_sequence, site: &self.site_sequence }
    }
}

impl<'a> Scorer<'a> {
    fn new(arguments: &'a Arguments, inputs: &[PathBuf]) -> Result<Self> {
        let mut output = arguments.output.create(inputs)?;
        let model = Model::load(arguments.model.model.as_deref(), Task::Mirtarget, arguments.model.device)?;
        let head = MirtargetHead::new(&model.weights.config, &model.parameters)?;
        if arguments.format == Format::Tsv && arguments.input.writes_header() {
            output.put(format!("{}\n", table::TARGET_SITE_HEADER).as_bytes())?;
        }
        let pool = arguments.common.thread_pool()?;
        Ok(Self { arguments, model, head, pool, output, sites: Vec::new(), tokens: 0 })
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
            let pairs: Vec<Pair> = part.iter().map(Site::pair).collect();
            let inputs: Vec<Input> = pairs.iter().map(Pair::input).collect();
            self.pool.install(|| self.head.probabilities(&self.model.encoder.features(&inputs)?, &pairs))
        };
        let alone = |site: &Site, error| {
            let name = format!("{} in {}, {}-{}", site.mirna, site.target, site.range.start, site.range.end);
            cli::set_aside_or_fail(self.arguments.input.on_error, name, &error)
        };
        let output = &mut self.output;
        let fail = |error| Error::write("target sites", error);
        in_halves(&sites, work, alone, |part, probabilities| {
            let mut text = Vec::new();
            for (site, probability) in sites[part].iter().zip(probabilities) {
                if self.arguments.pairs.is_none() && probability < self.arguments.min_prob {
                    continue;
                }
                let Site { mirna, target, range, seed_type, .. } = site;
                let range = range.clone();
                match self.arguments.format {
                    Format::Tsv => table::write_target_site(&mut text, mirna, target, range, *seed_type, probability),
                    Format::Bed => bed::write_target_site(&mut text, target, range, mirna, probability),
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
        scorer.add(Site {
            mirna: pair.mirna,
            mirna_sequence: pair.mirna_sequence,
            target: pair.target,
            site_sequence: pair.target_sequence,
            range,
            seed_type,
        })?;
    }
    scorer.finish()
}

fn scan(arguments: &Arguments) -> Result<()> {
    let mirna_file = arguments.mirna.as_deref().map(InputFile::from);
    let mirna_file = mirna_file.ok_or_else(|| Error::Usage("give --mirna or --pairs".into()))?;
    let mut targets = arguments.input.open(Accept::Sequences, &arguments.common)?;
    let options = ReaderOptions { accept: Accept::Sequences, ..ReaderOptions::default() };
    let mirnas = RecordReader::open(std::slice::from_ref(&mirna_file), options)?.collect::<Result<Vec<Record>>>()?;
    if mirnas.is_empty() {
        log::warn!("{} holds no miRNA", mirna_file.name());
    }
    let mut scorer = Scorer::new(arguments, &arguments.input.inputs)?;
    let index = SeedIndex::new(mirnas.iter().map(|mirna| mirna.sequence.as_slice()), SeedType::SixMer);
    let window = arguments.window.get();
    let mut target = Record::default();
    loop {
        // What came before a broken record is not lost.
        let found = targets.read(&mut target).or_else(|error| scorer.score().and(Err(error)))?;
        if !found {
            break;
        }
        let mut add = |mirna: &Record, range: Range<usize>, seed_type: SeedType| {
            scorer.add(Site {
                mirna: mirna.id.clone(),
                mirna_sequence: mirna.sequence.clone(),
                target: target.id.clone(),
                site_sequence: target.sequence[range.clone()].to_vec(),
                range,
                seed_type,
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
    }
    scorer.finish()
}
