//! rnaret-fold: records in, secondary structures out.

use std::path::PathBuf;
use std::process::ExitCode;

use rayon::prelude::*;
use rnaret::cli::numbers::{self, Range};
use rnaret::cli::{self, CommonArgs, Files, InputArgs, ModelArgs, Output, OutputArgs, PictureFolder, Tool};
use rnaret::decode::base_pairs::{Decoder, PairRules, candidates, decode};
use rnaret::draw::dot_plot::DotPlot;
use rnaret::draw::structure::StructurePicture;
use rnaret::format::structure::{Energies, StructureFormat};
use rnaret::format::{dot_bracket, table};
use rnaret::homologs::{KnownStructures, Source};
use rnaret::model::heads::fold::{FoldHead, FoldInference};
use rnaret::model::heads::helix_pairs::most_pairs;
use rnaret::model::{Encode, Model, Task};
use rnaret::sequence::{Accept, Record};
use rnaret::structure::Candidate;
use rnaret::structure::PairMap;
use rnaret::structure::Structure;
use rnaret::thermodynamics::{ensemble_energy, structure_energy};
use rnaret::{Error, Result};

/// Predict the secondary structure of RNAs, pseudoknots included
///
/// Reads FASTA, FASTQ or the TSV of rna-kmerize. Every pair of bases gets a probability: the default model's network and
/// energies that were trained on known structures give one each, and what is known about the RNA says how much either
/// counts. A decoder chooses pairs so that each base pairs at most once. Only AU, GC and GU pairs form, and with the
/// default model only such as could stack on another. Any length: memory grows with the square of the length (5,000 nt:
/// 1 GB).
#[derive(clap::Parser)]
#[command(name = "rnaret-fold", version, after_help = EXAMPLES)]
struct Arguments {
    /// Format of the structures: dbn is what ViennaRNA and forna read; ct and bpseq hold pseudoknots of any kind
    #[arg(long, value_enum, default_value_t)]
    format: StructureFormat,

    /// How pairs are chosen [default: mea; assignment for published models]
    #[arg(long, value_enum)]
    decoder: Option<Decoder>,

    /// Pairs more probable than this may form, 0 to 1; with --decoder mea, as part of a pseudoknot
    #[arg(long, value_name = "P", default_value_t = 0.5, value_parser = numbers::parser::<f32>(Range::FROM_0_TO_1))]
    threshold: f32,

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

    /// Bases i and j pair only where |i - j| is greater than this
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = numbers::parser::<usize>(Range::AT_LEAST_0))]
    min_loop: usize,

    /// Also write every pair that may form and is more probable than --min-prob: TSV `id i j probability`, 1-based
    #[arg(long, value_name = "FILE")]
    pairs: Option<PathBuf>,

    /// Known structures among which homologs of each RNA are looked for: built-in (Rfam's families), none, or a file of
    /// structures (dot-bracket, CT, BPSEQ or TSV); may be repeated. What homologs have in common is evidence beside letters
    /// and free energies [default: built-in, for models that read them]
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    known_structures: Vec<Source>,

    /// Also write the known structures that each RNA was compared with: TSV `id homolog identity aligned covered kept`,
    /// the parts of the aligned letters that are equal, of the RNA and of the homolog that are aligned, and of the
    /// homolog's pairs that the RNA can form
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

fn fold(arguments: Arguments) -> Result<()> {
    let mut output = arguments.output.create(&arguments.input.inputs)?;
    let mut pairs = Output::create_if_named(arguments.pairs.as_deref())?;
    let mut homologs = Output::create_if_named(arguments.homologs.as_deref())?;
    let [drawings, dot_plots] =
        [&arguments.svg, &arguments.dot_plot].map(|folder| folder.as_deref().map(PictureFolder::create).transpose());
    let (drawings, dot_plots) = (drawings?, dot_plots?);
    // Pictures are named after ids.
    let records = match drawings.is_some() || dot_plots.is_some() {
        true => arguments.input.open_unique(Accept::Any, &arguments.common)?,
        false => arguments.input.open(Accept::Any, &arguments.common)?,
    };
    let model = Model::load(arguments.model.model.as_deref(), Task::Fold, arguments.model.device)?;
    let known = KnownStructures::load(&model.weights.config.known_structures(&arguments.known_structures)?)?;
    let head = FoldHead::new(&model.weights.config, &model.parameters)?.for_inference(known)?;
    let head = head.with_network_weight(arguments.network_weight);
    let pool = arguments.common.thread_pool()?;
    if arguments.input.writes_header() {
        let mut header = Vec::new();
        arguments.format.write_header(&mut header, arguments.energy).map_err(|error| output.error(error))?;
        output.put(&header)?;
        if let Some(pairs) = &mut pairs {
            pairs.put(format!("{}\n", table::PAIR_HEADER).as_bytes())?;
        }
        if let Some(homologs) = &mut homologs {
            homologs.put(format!("{}\n", table::HOMOLOG_HEADER).as_bytes())?;
        }
    }
    cli::prefetch(cli::batches(records, arguments.model.batch_tokens), |batch| {
        let work = |part: &[Record]| pool.install(|| fold_batch(&arguments, &model, &head, part));
        let needed = |part: &[Record]| pool.install(|| memory(&arguments, &model, &head, part));
        cli::in_memory(&arguments.input, &batch, needed, work, |part, folded| {
            for (record, folded) in part.iter().zip(folded) {
                output.put(&folded.structure)?;
                if let Some(pairs) = &mut pairs {
                    pairs.put(&folded.pairs)?;
                }
                if let Some(homologs) = &mut homologs {
                    homologs.put(&folded.homologs)?;
                }
                for (folder, kind, picture) in
                    [(&drawings, "structure", &folded.drawing), (&dot_plots, "pairs", &folded.dot_plot)]
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
struct Folded {
    structure: Vec<u8>,
    /// Rows of the pair table.
    pairs: Vec<u8>,
    /// Rows of the table of homologs.
    homologs: Vec<u8>,
    drawing: String,
    dot_plot: String,
}

/// About how many bytes [`fold_batch`] takes at most.
fn memory(arguments: &Arguments, model: &Model, head: &FoldInference, batch: &[Record]) -> u64 {
    let of_record = |record: &Record| {
        // Where nearly all pairs are wanted, so are their rows, the decoder's lists of them, and the nested decoder's table.
        let (length, pairs) = (record.len() as u64, most_pairs(&record.sequence));
        let all_rows = arguments.pairs.is_some() && arguments.min_prob < 1e-3;
        let rows = if all_rows { 2 * (40 + record.id.len() as u64) } else { 0 };
        let (lists, table) = if arguments.threshold < 1e-3 { (96, 8 * length * length) } else { (0, 0) };
        let table = if arguments.decoder == Some(Decoder::Nested) { table } else { 0 };
        head.memory(&record.sequence) + pairs * (rows + lists) + table
    };
    // A thread that waits for others begins another record meanwhile, so that any number may be in work; but for one thread.
    let of_records = batch.iter().map(of_record);
    let heads = if rayon::current_num_threads() == 1 { of_records.max().unwrap_or(0) } else { of_records.sum() };
    model.encoder.memory(batch.iter().map(Record::len).sum()) + heads
}

/// What is written about every record.
fn fold_batch(arguments: &Arguments, model: &Model, head: &FoldInference, batch: &[Record]) -> Result<Vec<Folded>> {
    let decoder = arguments.decoder.unwrap_or_else(|| head.default_decoder());
    let features = model.encoder.features(&model.inputs(batch)?)?;
    batch
        .par_iter()
        .enumerate()
        .map(|(index, record)| {
            let facts = head.facts(&record.sequence)?;
            let features = features.of(index)?;
            let probabilities = head.probabilities(&features, &record.sequence, &facts)?;
            let probabilities = probabilities.ok_or_else(|| Error::NotFinite { record: record.id.clone() })?;
            let ensemble = || facts.ensemble_energy.unwrap_or_else(|| ensemble_energy(&record.sequence));
            let ensemble = if arguments.energy { ensemble() } else { 0.0 };
            let mut folded = describe(arguments, record, &probabilities, ensemble, decoder)?;
            if arguments.homologs.is_some() {
                for homolog in &facts.homologs {
                    table::write_homolog(&mut folded.homologs, &record.id, homolog.id(), homolog.alike())
                        .map_err(|error| Error::write("homologs", error))?;
                }
            }
            Ok(folded)
        })
        .collect()
}

/// What is written about a record with these pair probabilities and this free energy of its ensemble.
fn describe(
    arguments: &Arguments,
    record: &Record,
    probabilities: &PairMap,
    ensemble_energy: f64,
    decoder: Decoder,
) -> Result<Folded> {
    let Record { id, sequence, .. } = record;
    let rules = PairRules {
        threshold: arguments.threshold,
        min_loop: arguments.min_loop,
        gamma: arguments.gamma,
        ..PairRules::default()
    };
    let mut structure = Structure {
        id: id.clone(),
        sequence: sequence.clone(),
        partners: decode(decoder, sequence, probabilities, rules),
    };
    if matches!(arguments.format, StructureFormat::Dbn | StructureFormat::Tsv) {
        let left_out = dot_bracket::drop_excess_levels(&mut structure.partners);
        if left_out > 0 {
            log::warn!(
                "{id}: {left_out} pairs cross more others than there are kinds of brackets and are left out; \
                 --format ct or bpseq holds them"
            );
        }
    }
    let partners = &structure.partners;
    let defect = |error| Error::write("structure", error);
    let mut folded = Folded::default();
    let energies = arguments.energy.then(|| Energies {
        structure: structure_energy(sequence, partners),
        ensemble: ensemble_energy,
        mean_pair_probability: mean_pair_probability(partners, probabilities),
    });
    arguments.format.write(&mut folded.structure, &structure, energies.as_ref()).map_err(defect)?;
    let rules = PairRules { threshold: arguments.min_prob, ..rules };
    if arguments.pairs.is_some() {
        for pair in candidates(sequence, probabilities, rules) {
            table::write_pair(&mut folded.pairs, id, &pair).map_err(defect)?;
        }
    }
    if arguments.svg.is_some() {
        let of_base = |(i, partner): (usize, &Option<usize>)| partner.map_or(0.0, |j| probabilities.get(i, j));
        let of_pairs: Vec<f32> = partners.iter().enumerate().map(of_base).collect();
        folded.drawing = StructurePicture { id, sequence, partners, probabilities: &of_pairs }.draw();
    }
    if arguments.dot_plot.is_some() {
        let shown: Vec<Candidate> = candidates(sequence, probabilities, rules).collect();
        let least = arguments.min_prob;
        folded.dot_plot = DotPlot { id, sequence, probabilities: &shown, partners, least }.draw();
    }
    Ok(folded)
}

/// How probable the pairs of a structure are on average; `None` where there are none.
fn mean_pair_probability(partners: &[Option<usize>], probabilities: &PairMap) -> Option<f64> {
    let pairs = partners.iter().enumerate().filter_map(|(i, partner)| partner.filter(|&j| j > i).map(|j| (i, j)));
    let (sum, count) =
        pairs.fold((0.0, 0.0), |(sum, count), (i, j)| (sum + f64::from(probabilities.get(i, j)), count + 1.0));
    (count > 0.0).then_some(sum / count)
}
