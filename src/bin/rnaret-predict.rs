//! rnaret-predict: records in, what a model of rnaret-train says about them out.

use std::process::ExitCode;

use rnaret::Result;
use rnaret::cli::{self, CommonArgs, DescriptionArgs, Files, InputArgs, ModelArgs, OutputArgs, Tool};
use rnaret::format::rows::Rows;
use rnaret::model::{Encode, Task};
use rnaret::predict::{PredictionFormat, predictor};
use rnaret::sequence::{Accept, Record};

/// Predict the classes or values that a model was trained for
///
/// Reads FASTA, FASTQ or the TSV of rna-kmerize, and the weights that rnaret-train classify, regress or label left. What is
/// written follows from the weights: for classes TSV `id label p_CLASS ...`, the most probable class and the probability of
/// each; for values TSV `id VALUE ...`, in the units of the training data; for nucleotides a row for
/// each, TSV `id position nucleotide label p_CLASS ...` or `id position nucleotide VALUE ...` (1-based).
#[derive(clap::Parser)]
#[command(name = "rnaret-predict", version, after_help = EXAMPLES)]
#[command(mut_arg("model", |model| model.required(true).help("Weights: the model.safetensors of a run of rnaret-train")))]
struct Arguments {
    /// How predictions are written
    #[arg(long, value_enum, default_value_t)]
    format: PredictionFormat,

    /// The class or value that a bedGraph holds, where there are several
    #[arg(long, value_name = "NAME")]
    column: Option<String>,

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
  rnaret-predict --model testdata/models/classes.safetensors testdata/rnas.fa.gz
  rnaret-predict --model testdata/models/values.safetensors -o values.tsv testdata/rnas.fa.gz";

impl Tool for Arguments {
    fn common(&self) -> &CommonArgs {
        &self.common
    }

    fn declare(&self, files: &mut Files) {
        self.input.declare(files);
        self.model.declare(files);
        self.output.declare(files);
    }
}

#[global_allocator]
static ALLOCATOR: cli::Allocator = cli::Allocator;

fn main() -> ExitCode {
    cli::run(predict)
}

fn predict(arguments: Arguments) -> Result<()> {
    let mut output = arguments.output.create(&arguments.input.inputs)?;
    let records = arguments.input.open(Accept::Any, &arguments.common)?;
    // Any head: the weights say which.
    let model = arguments.model.load_any(Task::Classify)?;
    let predictor = predictor(&model, arguments.format, arguments.column.as_deref())?;
    let pool = arguments.common.thread_pool()?;
    // A bedGraph has no columns of ours.
    let rows = (arguments.format != PredictionFormat::Bedgraph).then(|| {
        let is_json = arguments.format == PredictionFormat::Json;
        Rows::new(&predictor.header(), is_json, arguments.description.keep_description)
    });
    if let Some(rows) = rows.as_ref().filter(|_| arguments.input.writes_header()) {
        output.put(rows.header().as_bytes())?;
    }
    cli::prefetch(cli::batches(records, arguments.model.batch_tokens), |batch| {
        let work =
            |part: &[Record]| pool.install(|| predictor.rows(part, &model.encoder.features(&model.inputs(part)?)?));
        // The heads take little beside the encoder.
        let needed =
            |part: &[Record]| pool.install(|| model.encoder.memory(part.iter().map(Record::len).sum::<usize>()));
        cli::in_memory(&arguments.input, &batch, needed, work, |part, found| {
            part.iter().zip(found).try_for_each(|(record, found)| match &rows {
                Some(rows) => output.put(&rows.of_record(found, &record.description)),
                None => output.put(&found),
            })
        })
    })?;
    output.finish()
}
