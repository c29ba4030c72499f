//! rnaret-fold: records in, secondary structures out.

use std::path::PathBuf;
use std::process::ExitCode;

use rayon::prelude::*;
use rnaret::cli::{self, CommonArgs, InputArgs, ModelArgs, OutputArgs, Tool};
use rnaret::decode::base_pairs::{Decoder, PairRules, candidates, decode};
use rnaret::format::structure::{Structure, StructureFormat};
use rnaret::format::{dot_bracket, table};
use rnaret::model::heads::fold::{FoldHead, FoldInference};
use rnaret::model::{Model, Task};
use rnaret::sequence::{Accept, Record};
use rnaret::{Error, Result};

/// Predict the secondary structure of RNAs, pseudoknots included
///
/// Every pair of bases gets a probability; a decoder chooses among those over the threshold so that each base pairs at
/// most once. Only AU, GC and GU pairs form. Any length: memory grows with the square of the length only by the
/// probabilities themselves (5,000 nt: 50 MB).
#[derive(clap::Parser)]
#[command(name = "rnaret-fold", version, after_help = EXAMPLES)]
struct Arguments {
    /// Format of the structures: dbn is what ViennaRNA and forna read; ct and bpseq hold pseudoknots of any kind
    #[arg(long, value_enum, default_value_t)]
    format: StructureFormat,

    /// How pairs are chosen
    #[arg(long, value_enum, default_value_t)]
    decoder: Decoder,

    /// Pairs more probable than this may form, 0 to 1
    #[arg(long, value_name = "P", default_value_t = 0.5, value_parser = parse_probability)]
    threshold: f32,

    /// Bases i and j pair only where |i - j| is greater than this
    #[arg(long, value_name = "N", default_value_t = 3)]
    min_loop: usize,

    /// Also write every pair that may form and is more probable than --min-prob: TSV `id i j probability`, 1-based
    #[arg(long, value_name = "FILE")]
    pairs: Option<PathBuf>,

    /// Least probability in the --pairs table
    #[arg(long, value_name = "P", default_value_t = 0.01, value_parser = parse_probability)]
    min_prob: f32,

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
  rnaret-fold --format ct --pairs pairs.tsv -o structures.ct testdata/rnas.fa.gz";

impl Tool for Arguments {
    fn common(&self) -> &CommonArgs {
        &self.common
    }
}

fn parse_probability(text: &str) -> std::result::Result<f32, String> {
    text.parse().ok().filter(|p| (0.0..=1.0).contains(p)).ok_or_else(|| "give a number from 0 to 1".to_owned())
}

fn main() -> ExitCode {
    cli::run(fold)
}

fn fold(arguments: Arguments) -> Result<()> {
    let mut output = arguments.output.create(&arguments.input)?;
    let mut pairs = arguments.input.create_other_output(arguments.pairs.as_deref())?;
    let records = arguments.input.open(Accept::Any, &arguments.common)?;
    let model = Model::load(arguments.model.model.as_deref(), Task::Fold, arguments.model.device)?;
    let head = FoldHead::new(&model.weights.config, &model.parameters)?.for_inference()?;
    let pool = arguments.common.thread_pool()?;
    if arguments.input.writes_header() {
        let mut header = Vec::new();
        arguments.format.write_header(&mut header).map_err(|error| output.error(error))?;
        output.put(&header)?;
        if let Some(pairs) = &mut pairs {
            pairs.put(format!("{}\n", table::PAIR_HEADER).as_bytes())?;
        }
    }
    cli::ahead(cli::batches(records, arguments.model.batch_tokens), |batch| {
        let work = |part: &[Record]| pool.install(|| fold_batch(&arguments, &model, &head, part));
        cli::in_memory(&arguments.input, &batch, work, |_, texts| {
            for (structure, listed) in texts {
                output.put(&structure)?;
                if let Some(pairs) = &mut pairs {
                    pairs.put(&listed)?;
                }
            }
            Ok(())
        })
    })?;
    if let Some(pairs) = pairs {
        pairs.finish()?;
    }
    output.finish()
}

/// The structure and the rows of the pair table of every record.
fn fold_batch(
    arguments: &Arguments,
    model: &Model,
    head: &FoldInference,
    batch: &[Record],
) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let packed = model.pack(batch)?;
    let features = model.backbone.features(&packed)?;
    batch
        .par_iter()
        .zip(packed.ranges().collect::<Vec<_>>())
        .map(|(record, range)| {
            let probabilities = head.probabilities(&features.narrow(0, range.start, range.len())?, &record.sequence)?;
            let rules =
                PairRules { threshold: arguments.threshold, min_loop: arguments.min_loop, ..PairRules::default() };
            let mut structure = Structure {
                id: record.id.clone(),
                sequence: record.sequence.clone(),
                partners: decode(arguments.decoder, &record.sequence, &probabilities, rules),
            };
            if matches!(arguments.format, StructureFormat::Dbn | StructureFormat::Tsv) {
                let left_out = dot_bracket::drop_excess_levels(&mut structure.partners);
                if left_out > 0 {
                    log::warn!(
                        "{}: {left_out} pairs cross more others than there are kinds of brackets and are left out; \
                         --format ct or bpseq holds them",
                        record.id
                    );
                }
            }
            let defect = |error| Error::write("structure", error);
            let (mut text, mut listed) = (Vec::new(), Vec::new());
            arguments.format.write(&mut text, &structure).map_err(defect)?;
            if arguments.pairs.is_some() {
                let rules = PairRules { threshold: arguments.min_prob, ..rules };
                for pair in candidates(&record.sequence, &probabilities, rules) {
                    table::write_pair(&mut listed, &record.id, &pair).map_err(defect)?;
                }
            }
            Ok((text, listed))
        })
        .collect()
}
