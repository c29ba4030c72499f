//! rnaret-coding: transcripts in, CDS windows out.

use std::path::PathBuf;
use std::process::ExitCode;

use rnaret::cli::{self, CommonArgs, InputArgs, ModelArgs, OutputArgs, Tool};
use rnaret::decode::coding::{TranscriptLabel, cds_windows, coding_potential};
use rnaret::format::{bed, table};
use rnaret::model::heads::coding::CodingHead;
use rnaret::model::{Model, Task};
use rnaret::sequence::Accept;
use rnaret::{Error, Result};

/// Find the coding windows of transcripts, and tell mRNA from lncRNA
///
/// Every base gets a probability that it codes. Windows whose mean probability reaches the threshold are merged and
/// written as BED6 on transcript coordinates; the score is 1000 times the mean probability. A transcript without a coding
/// window has no line in the BED file: see --summary. A transcript's coding potential is the probability that it is an
/// mRNA or a part of one; with the published head, it is the mean probability of its best window.
#[derive(clap::Parser)]
#[command(name = "rnaret-coding", version, after_help = EXAMPLES)]
struct Arguments {
    /// Bases per window
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    window: u32,

    /// Least mean probability of a coding window, 0 to 1
    #[arg(long, value_name = "P", default_value_t = 0.5)]
    threshold: f64,

    /// Also write a table with a row per transcript: TSV `id length coding_potential label`
    #[arg(long, value_name = "FILE")]
    summary: Option<PathBuf>,

    /// Also write the probability of every base: bedGraph
    #[arg(long, value_name = "FILE")]
    track: Option<PathBuf>,

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
  rnaret-coding testdata/rnas.fa.gz
  rnaret-coding --summary summary.tsv --track track.bedgraph -o cds.bed testdata/rnas.fa.gz";

impl Tool for Arguments {
    fn common(&self) -> &CommonArgs {
        &self.common
    }
}

fn main() -> ExitCode {
    cli::run(code)
}

fn code(arguments: Arguments) -> Result<()> {
    if !(0.0..=1.0).contains(&arguments.threshold) {
        return Err(Error::Usage(format!("--threshold {} is no number from 0 to 1", arguments.threshold)));
    }
    let mut output = arguments.output.create(&arguments.input)?;
    let mut summary = arguments.input.create_other_output(arguments.summary.as_deref())?;
    let mut track = arguments.input.create_other_output(arguments.track.as_deref())?;
    let records = arguments.input.open(Accept::Any, &arguments.common)?;
    let model = Model::load(arguments.model.model.as_deref(), Task::Coding, arguments.model.device)?;
    let head = CodingHead::new(&model.weights.config, &model.weights.parameters)?;
    let pool = arguments.common.thread_pool()?;
    if let Some(summary) = summary.as_mut().filter(|_| arguments.input.writes_header()) {
        summary.put(format!("{}\n", table::CODING_HEADER).as_bytes())?;
    }
    let window = arguments.window as usize;
    let defect = |error| Error::write("CDS windows", error);
    for batch in cli::batches(records, arguments.model.batch_tokens) {
        let batch = batch?;
        let packed = model.pack(&batch)?;
        let letters: Vec<u8> = batch.iter().flat_map(|record| record.sequence.iter().copied()).collect();
        let found = pool.install(|| head.probabilities(&model.backbone.features(&packed)?, &packed, &letters))?;
        for (index, (record, range)) in batch.iter().zip(packed.ranges()).enumerate() {
            let probabilities = &found.bases[range];
            let mut text = Vec::new();
            let windows = cds_windows(probabilities, window, arguments.threshold);
            bed::write_cds_windows(&mut text, &record.id, &windows).map_err(defect)?;
            output.put(&text)?;
            if let Some(summary) = &mut summary {
                let potential = match &found.transcripts {
                    Some(transcripts) => f64::from(transcripts[index]),
                    None => coding_potential(probabilities, window),
                };
                let label = TranscriptLabel::new(potential, arguments.threshold);
                text.clear();
                table::write_coding(&mut text, &record.id, record.len(), potential, label).map_err(defect)?;
                summary.put(&text)?;
            }
            if let Some(track) = &mut track {
                text.clear();
                bed::write_track(&mut text, &record.id, probabilities).map_err(defect)?;
                track.put(&text)?;
            }
        }
    }
    for other in [summary, track].into_iter().flatten() {
        other.finish()?;
    }
    output.finish()
}
