//! rnaret-fold: records in, secondary structures out.

use std::path::PathBuf;
use std::process::ExitCode;

use rnaret::cli::numbers::{self, Range};
use rnaret::cli::{
    self, CommonArgs, DescriptionArgs, Files, InputArgs, ModelArgs, Output, OutputArgs, PictureFolder, Tool,
};
use rnaret::decode::base_pairs::{Decoder, PairRules, candidates};
use rnaret::draw::dot_plot::DotPlot;
use rnaret::draw::structure::StructurePicture;
use rnaret::format::rows::in_first_line;
use rnaret::format::structure::StructureFormat;
use rnaret::format::{dot_bracket, table};
use rnaret::homologs::{DEFAULT_EVALUE, KnownStructures, Source};
use rnaret::model::Task;
use rnaret::model::heads::fold::{FoldHead, FoldInference};
use rnaret::model::heads::helix_pairs::EnergySet;
use rnaret::predict::conditions::RecordConditions;
use rnaret::predict::fold::{Alternatives, FoldRules, Folded, LONGEST_TRAINED, memory, predict};
use rnaret::sequence::{Doubt, ReaderOptions, Record};
use rnaret::structure::{Candidate, Structure};
use rnaret::thermodynamics::PseudoEnergy;
use rnaret::{Error, Result};

/// Predict the secondary structure of RNAs, pseudoknots included
///
/// Reads FASTA, FASTQ or the TSV of rna-kmerize. Every pair of bases gets a probability: the default model's network and
/// energies that were trained on known structures give one each, and what is known about the RNA says how much either
/// counts. A decoder chooses pairs so that each base pairs at most once. Only AU, GC and GU pairs form, and with the
/// default model only such as could stack on another, of at most --max-span bases from the first to the last, so that time
/// and memory grow linearly with the length beyond that.
#[derive(clap::Parser)]
#[command(name = "rnaret-fold", version, after_help = EXAMPLES)]
struct Arguments {
    /// Format of the structures: dbn is what ViennaRNA and forna read; ct and bpseq hold pseudoknots of any kind
    #[arg(long, value_enum, default_value_t)]
    format: StructureFormat,

    /// How pairs are chosen [default: mea; assignment for published models of RNAret, greedy for others']
    #[arg(long, value_enum)]
    decoder: Option<Decoder>,

    /// Pairs more probable than this may form, 0 to 1; with --decoder mea, as part of a pseudoknot [default: 0.5, or what the
    /// weights of RiNALMo say]
    #[arg(long, value_name = "P", value_parser = numbers::parser::<f32>(Range::FROM_0_TO_1))]
    threshold: Option<f32>,

    /// How much a pair is worth against unpaired bases to --decoder mea: more gives more pairs
    #[arg(long, value_name = "X", default_value_t = PairRules::default().gamma, value_parser = numbers::parser::<f32>(Range::AT_LEAST_0))]
    gamma: f32,

    /// Put the free energy of each structure, kcal/mol, after it as RNAfold does, or into the columns energy,
    /// ensemble_energy and mean_pair_probability of TSV. Turner 2004 at 37 degrees; pairs of pseudoknots do not count
    #[arg(long)]
    energy: bool,

    /// Weight of the network in each pair's probability, 0 to 1, beside energies trained on known structures [default: by
    /// what is known about each RNA]
    #[arg(long, value_name = "P", value_parser = numbers::parser::<f32>(Range::FROM_0_TO_1))]
    network_weight: Option<f32>,

    /// Which energies stand beside the network
    #[arg(long, value_enum, default_value_t)]
    energies: EnergySet,

    /// Bases i and j pair only where |i - j| is greater than this
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = numbers::parser::<usize>(Range::AT_LEAST_0))]
    min_loop: usize,

    /// Most bases from the first to the last of a pair, both counted: what the model can judge is no longer. Time and memory
    /// grow with it [default: 600; any for published models]
    #[arg(long, value_name = "N", value_parser = numbers::parser::<usize>(Range::AT_LEAST_1))]
    max_span: Option<usize>,

    /// Temperature of the energies, degrees Celsius. The network knows 37 alone
    #[arg(long, value_name = "X", default_value_t = 37.0, allow_negative_numbers = true, value_parser = numbers::parser::<f64>(Range::CELSIUS))]
    temperature: f64,

    /// Records have a line of constraints after the sequence, as RNAfold -C reads it, one character a base: `.` anything, `x`
    /// unpaired, `<` paired with a base after it, `>` before it, `(` and `)` with each other, `|` paired. What conflicts
    /// cannot form
    #[arg(short = 'C', long)]
    constrained: bool,

    /// Constraints of records by their ids: `>id`, the sequence (or not) and a line as for --constrained
    #[arg(long, value_name = "FILE")]
    constraints: Option<PathBuf>,

    /// Reactivities from probing (SHAPE, DMS): TSV `id reactivity` with numbers or NA between commas, TSV `id position
    /// reactivity`, or for a single record the file that RNAfold --shape reads. They count as free energies of stacked pairs
    #[arg(long, value_name = "FILE")]
    reactivity: Option<PathBuf>,

    /// A base of reactivity r adds slope ln(r + 1) + intercept to each stack that it is part of, kcal/mol
    #[arg(long, value_name = "X", default_value_t = PseudoEnergy::default().slope, allow_negative_numbers = true, value_parser = numbers::parser::<f64>(Range::ENERGY))]
    reactivity_slope: f64,

    /// See --reactivity-slope
    #[arg(long, value_name = "X", default_value_t = PseudoEnergy::default().intercept, allow_negative_numbers = true, value_parser = numbers::parser::<f64>(Range::ENERGY))]
    reactivity_intercept: f64,

    /// Write so many structures of each record, each drawn as often as it is probable by Turner 2004, with their free
    /// energies
    #[arg(long, value_name = "N", conflicts_with = "suboptimal")]
    samples: Option<usize>,

    /// Seed of --samples
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

    /// Write all structures of each record whose free energy by Turner 2004 is so many kcal/mol above the least, or less
    #[arg(long, value_name = "X", value_parser = numbers::parser::<f64>(Range::AT_LEAST_0))]
    suboptimal: Option<f64>,

    /// Also write every pair that may form and is more probable than --min-prob: TSV `id i j probability`, 1-based
    #[arg(long, value_name = "FILE")]
    pairs: Option<PathBuf>,

    /// Known structures among which homologs of each RNA are looked for: built-in (Rfam's families), none, or a file of
    /// structures (dot-bracket, CT, BPSEQ or TSV); may be repeated. What homologs have in common is evidence beside letters
    /// and free energies [default: built-in, for models that read them]
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    known_structures: Vec<Source>,

    /// A known structure is a homolog where no more than so many are expected to be as well aligned by chance
    #[arg(long, value_name = "X", default_value_t = DEFAULT_EVALUE, value_parser = numbers::parser::<f64>(Range::AT_LEAST_0))]
    evalue: f64,

    /// Also write the homologs that each RNA was compared with: TSV `id homolog identity aligned covered kept evalue`, the
    /// parts of the aligned letters that are equal, of the RNA and of the homolog that are aligned, and of the homolog's
    /// pairs that the RNA can form, and how many such alignments are expected by chance; `NA` where there is none
    #[arg(long, value_name = "FILE")]
    homologs: Option<PathBuf>,

    /// Least probability in the --pairs table and in --dot-plot
    #[arg(long, value_name = "P", default_value_t = 0.01, value_parser = numbers::parser::<f32>(Range::FROM_0_TO_1))]
    min_prob: f32,

    /// Also draw each structure: FOLDER/ID.structure.svg with a planar drawing and an arc diagram
    #[arg(long, value_name = "FOLDER")]
    svg: Option<PathBuf>,

    /// Also draw each matrix of pair probabilities, with the decoded structure below its diagonal: FOLDER/ID.pairs.svg
    #[arg(long, value_name = "FOLDER")]
    dot_plot: Option<PathBuf>,

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
  rnaret-fold testdata/rnas.fa.gz | head -3
  rnaret-fold --format ct --pairs pairs.tsv --svg pictures -o structures.ct testdata/rnas.fa.gz";

impl Tool for Arguments {
    fn common(&self) -> &CommonArgs {
        &self.common
    }

    fn declare(&self, files: &mut Files) {
        self.input.declare(files);
        files.reads(self.known_structures.iter().filter_map(Source::file));
        files.reads([&self.constraints, &self.reactivity].into_iter().flatten().map(PathBuf::as_path));
        self.model.declare(files);
        self.output.declare(files);
        files.writes([&self.pairs, &self.homologs].into_iter().flatten());
        files.writes_into([&self.svg, &self.dot_plot].into_iter().flatten());
    }
}

#[global_allocator]
static ALLOCATOR: cli::Allocator = cli::Allocator;

fn main() -> ExitCode {
    cli::run(fold)
}

fn fold(mut arguments: Arguments) -> Result<()> {
    let mut output = arguments.output.create(&arguments.input.inputs)?;
    let mut pairs = Output::create_if_named(arguments.pairs.as_deref())?;
    let mut homologs = Output::create_if_named(arguments.homologs.as_deref())?;
    let [drawings, dot_plots] =
        [&arguments.svg, &arguments.dot_plot].map(|folder| folder.as_deref().map(PictureFolder::create).transpose());
    let (drawings, dot_plots) = (drawings?, dot_plots?);
    // Pictures are named after ids.
    let records = arguments.input.open_with(
        ReaderOptions {
            unique_ids: drawings.is_some() || dot_plots.is_some(),
            constraints: arguments.constrained,
            ..arguments.input.reader_options()
        },
        &arguments.common,
    )?;
    let model = arguments.model.load(Task::Fold)?;
    let sources = model.weights.config.known_structures(&arguments.known_structures)?;
    let mut batches = cli::batches(records, arguments.model.batch_tokens);
    let first = batches.next();
    // Nothing is loaded for nothing.
    let known = if first.is_some() { KnownStructures::load(&sources)? } else { None };
    let known = known.map(|known| known.with_evalue(arguments.evalue));
    let searched = known.is_some();
    let head = FoldHead::new(&model.weights.config, &model.parameters)?.for_inference(known)?;
    let head = head.with_energies(arguments.network_weight, arguments.energies);
    arguments.threshold.get_or_insert(head.default_threshold());
    let conditions = arguments.conditions(&head)?;
    let rules = arguments.rules();
    let pool = arguments.common.thread_pool()?;
    let rows =
        arguments.format.rows(rules.alternatives.is_some(), arguments.energy, arguments.description.keep_description);
    if arguments.input.writes_header() {
        if let Some(rows) = &rows {
            output.put(rows.header().as_bytes())?;
        }
        if let Some(pairs) = &mut pairs {
            pairs.put(format!("{}\n", table::PAIR_HEADER).as_bytes())?;
        }
        if let Some(homologs) = &mut homologs {
            homologs.put(format!("{}\n", table::HOMOLOG_HEADER).as_bytes())?;
        }
    }
    cli::prefetch(first.into_iter().chain(batches), |batch| {
        let work = |part: &[Record]| {
            let conditions = |record: &Record| conditions.of(record);
            pool.install(|| predict(&model, &head, part, &rules, conditions, |_, folded| arguments.text(folded)))
        };
        // Where nearly all pairs are wanted, so are their rows.
        let all_rows = arguments.pairs.is_some() && arguments.min_prob < 1e-3;
        let row = |record: &Record| if all_rows { 2 * (40 + record.id.len() as u64) } else { 0 };
        let needed = |part: &[Record]| pool.install(|| memory(&model, &head, part, &rules, conditions.span(), row));
        cli::in_memory(&arguments.input, &batch, needed, work, |part, texts| {
            for (record, text) in part.iter().zip(texts) {
                if searched && !text.has_homologs {
                    cli::tally().doubt(Doubt::NoHomolog, &record.id);
                }
                if searched && record.len() > LONGEST_TRAINED {
                    cli::tally().doubt(Doubt::TooLong, &record.id);
                }
                output.put(&match &rows {
                    Some(rows) => rows.of_record(text.structure, &record.description),
                    None if arguments.description.keep_description => {
                        in_first_line(text.structure, &record.description)
                    }
                    None => text.structure,
                })?;
                if let Some(pairs) = &mut pairs {
                    pairs.put(&text.pairs)?;
                }
                if let Some(homologs) = &mut homologs {
                    homologs.put(&text.homologs)?;
                }
                for (folder, kind, picture) in
                    [(&drawings, "structure", &text.drawing), (&dot_plots, "pairs", &text.dot_plot)]
                {
                    if let Some(folder) = folder {
                        folder.write(&record.id, kind, picture)?;
                    }
                }
            }
            Ok(())
        })
    })?;
    for other in [pairs, homologs].into_iter().flatten() {
        other.finish()?;
    }
    output.finish()
}

/// What is written about a record; empty where it is not asked for.
#[derive(Default)]
struct Text {
    has_homologs: bool,
    structure: Vec<u8>,
    /// Rows of the pair table.
    pairs: Vec<u8>,
    /// Rows of the table of homologs.
    homologs: Vec<u8>,
    drawing: String,
    dot_plot: String,
}

impl Arguments {
    fn rules(&self) -> FoldRules {
        let usual = PairRules::default();
        let threshold = self.threshold.unwrap_or(usual.threshold);
        let pairs = PairRules { threshold, min_loop: self.min_loop, gamma: self.gamma, ..usual };
        let samples = self.samples.map(|count| Alternatives::Samples { count, seed: self.seed });
        let alternatives = samples.or(self.suboptimal.map(Alternatives::Suboptimal));
        FoldRules { decoder: self.decoder, pairs, energies: self.energy, alternatives }
    }

    fn conditions(&self, head: &FoldInference) -> Result<RecordConditions> {
        let mut conditions = RecordConditions::new(self.max_span.unwrap_or_else(|| head.default_span()));
        if self.temperature != 37.0 {
            conditions = conditions.at(self.temperature);
        }
        if let Some(path) = &self.constraints {
            conditions = conditions.with_constraints(path)?;
        }
        if let Some(path) = &self.reactivity {
            let energy = PseudoEnergy { slope: self.reactivity_slope, intercept: self.reactivity_intercept };
            conditions = conditions.with_reactivities(path, energy)?;
        }
        Ok(conditions)
    }

    /// What is written about a record.
    fn text(&self, folded: Folded) -> Result<Text> {
        let Folded { mut structure, probabilities, energies, alternatives, homologs } = folded;
        if matches!(self.format, StructureFormat::Dbn | StructureFormat::Tsv | StructureFormat::Json) {
            let left_out = dot_bracket::drop_excess_levels(&mut structure.partners);
            if left_out > 0 {
                log::warn!(
                    "{}: {left_out} pairs cross more others than there are kinds of brackets and are left out; \
                     --format ct or bpseq holds them",
                    structure.id
                );
            }
        }
        let mut text = Text { has_homologs: !homologs.is_empty(), ..Text::default() };
        let defect = |error| Error::write("structure", error);
        match self.rules().alternatives {
            None => self.format.write(&mut text.structure, &structure, energies.as_ref()),
            Some(_) => self.format.write_several(&mut text.structure, &structure, &alternatives),
        }
        .map_err(defect)?;
        let Structure { id, sequence, partners } = &structure;
        let rules = PairRules { threshold: self.min_prob, ..self.rules().pairs };
        let likely = || candidates(sequence, &probabilities, rules);
        if self.pairs.is_some() {
            likely().try_for_each(|pair| table::write_pair(&mut text.pairs, id, &pair)).map_err(defect)?;
        }
        if self.homologs.is_some() {
            if homologs.is_empty() {
                table::write_no_homolog(&mut text.homologs, id).map_err(defect)?;
            }
            for homolog in &homologs {
                table::write_homolog(&mut text.homologs, id, homolog.id(), homolog.alike(), homolog.evalue)
                    .map_err(defect)?;
            }
        }
        if self.svg.is_some() {
            let of_base = |(i, partner): (usize, &Option<usize>)| partner.map_or(0.0, |j| probabilities.get(i, j));
            let of_pairs: Vec<f32> = partners.iter().enumerate().map(of_base).collect();
            text.drawing = StructurePicture { id, sequence, partners, probabilities: &of_pairs }.draw();
        }
        if self.dot_plot.is_some() {
            let shown: Vec<Candidate> = likely().collect();
            text.dot_plot = DotPlot { id, sequence, probabilities: &shown, partners, least: self.min_prob }.draw();
        }
        Ok(text)
    }
}
