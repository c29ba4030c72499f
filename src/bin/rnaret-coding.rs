//! rnaret-coding: transcripts in, CDS windows out.

use std::path::PathBuf;
use std::process::ExitCode;

use rnaret::cli::numbers::{self, Range};
use rnaret::cli::{self, CommonArgs, Files, InputArgs, ModelArgs, Output, OutputArgs, PictureFolder, Tool};
use rnaret::decode::coding::TranscriptLabel;
use rnaret::decode::reading_frame::{reading_frames, refine};
use rnaret::draw::coding::CodingPicture;
use rnaret::format::{bed, gff3, protein, table};
use rnaret::model::heads::coding::CodingHead;
use rnaret::model::{Model, Task};
use rnaret::predict::coding::{CodingPrediction, memory, predict};
use rnaret::sequence::{Accept, Record};
use rnaret::{Error, Result};

/// Find the coding windows of transcripts, and tell mRNA from lncRNA
///
/// Reads FASTA, FASTQ or the TSV of rna-kmerize. Every base gets a probability that it codes. Windows whose mean probability reaches the threshold are merged and
/// written as BED6 on transcript coordinates; the score is 1000 times the mean probability. A transcript without a coding
/// window has no line in the BED file: see --summary. A transcript's coding potential is the probability that it is an
/// mRNA or a part of one; with the published head, it is the mean probability of its best window.
/// With --orf, a window becomes the coding sequence that it stands for, from its start codon to its stop codon.
#[derive(clap::Parser)]
#[command(name = "rnaret-coding", version, after_help = EXAMPLES)]
struct Arguments {
    /// Bases per window
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = numbers::parser::<u32>(Range::AT_LEAST_1))]
    window: u32,

    /// Least mean probability of a coding window, 0 to 1
    #[arg(long, value_name = "P", default_value_t = 0.5, value_parser = numbers::parser::<f64>(Range::FROM_0_TO_1))]
    threshold: f64,

    /// Also write a table with a row per transcript: TSV `id length coding_potential label`
    #[arg(long, value_name = "FILE")]
    summary: Option<PathBuf>,

    /// Also write the probability of every base: bedGraph
    #[arg(long, value_name = "FILE")]
    track: Option<PathBuf>,

    /// Write coding sequences instead of windows: for each window the best open reading frame, from its AUG to its stop
    /// codon (which is part of it), or to an end of the transcript where it is cut there, which is marked
    #[arg(long)]
    orf: bool,

    /// Format of the windows or coding sequences
    #[arg(long, visible_alias = "output-format", value_enum, default_value_t = Format::Bed)]
    #[arg(requires_ifs = [("bed12", "orf"), ("gff3", "orf")])]
    format: Format,

    /// Also write the proteins of the coding sequences: FASTA, without the stop, X for a codon that holds an N
    #[arg(long, value_name = "FILE", requires = "orf")]
    protein: Option<PathBuf>,

    /// Also draw each transcript: FOLDER/ID.coding.svg with its probabilities, windows and reading frames
    #[arg(long, value_name = "FOLDER")]
    svg: Option<PathBuf>,

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
  rnaret-coding --summary summary.tsv --track track.bedgraph -o cds.bed testdata/rnas.fa.gz
  rnaret-coding --orf --format gff3 --protein proteins.fa --svg pictures testdata/rnas.fa.gz";

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// BED6
    Bed,
    /// BED12: the whole transcript, with the coding sequence as its thick part (needs --orf)
    Bed12,
    /// GFF3: mRNA and CDS features (needs --orf)
    Gff3,
}

impl Tool for Arguments {
    fn common(&self) -> &CommonArgs {
        &self.common
    }

    fn declare(&self, files: &mut Files) {
        self.input.declare(files);
        self.model.declare(files);
        self.output.declare(files);
        files.writes([&self.summary, &self.track, &self.protein].into_iter().flatten());
        files.writes_into(&self.svg);
    }
}

#[global_allocator]
static ALLOCATOR: cli::Allocator = cli::Allocator;

fn main() -> ExitCode {
    cli::run(code)
}

fn code(arguments: Arguments) -> Result<()> {
    let mut outputs = Outputs::create(&arguments)?;
    // Ids key the features of GFF3 and the names of pictures and proteins.
    let ids_are_keys = arguments.format == Format::Gff3 || arguments.svg.is_some() || arguments.protein.is_some();
    let records = match ids_are_keys {
        true => arguments.input.open_unique(Accept::Any, &arguments.common)?,
        false => arguments.input.open(Accept::Any, &arguments.common)?,
    };
    let model = Model::load(arguments.model.model.as_deref(), Task::Coding, arguments.model.device)?;
    let head = CodingHead::new(&model.weights.config, &model.parameters)?;
    let pool = arguments.common.thread_pool()?;
    outputs.write_headers()?;
    cli::ahead(cli::batches(records, arguments.model.batch_tokens), |batch| {
        let work = |part: &[Record]| pool.install(|| predict(&model, &head, part, arguments.window as usize));
        let needed = |part: &[Record]| pool.install(|| memory(&model, &head, part));
        cli::in_memory(&arguments.input, &batch, needed, work, |part, predictions| {
            part.iter().zip(predictions).try_for_each(|(record, prediction)| outputs.write(record, &prediction))
        })
    })?;
    outputs.finish()
}

/// Everything that a run writes.
struct Outputs<'a> {
    arguments: &'a Arguments,
    regions: Output,
    summary: Option<Output>,
    track: Option<Output>,
    protein: Option<Output>,
    pictures: Option<PictureFolder>,
}

impl<'a> Outputs<'a> {
    fn create(arguments: &'a Arguments) -> Result<Self> {
        let regions = arguments.output.create(&arguments.input.inputs)?;
        let other = |path: &Option<PathBuf>| Output::create_if_named(path.as_deref());
        Ok(Self {
            arguments,
            regions,
            summary: other(&arguments.summary)?,
            track: other(&arguments.track)?,
            protein: other(&arguments.protein)?,
            pictures: arguments.svg.as_deref().map(PictureFolder::create).transpose()?,
        })
    }

    fn write_headers(&mut self) -> Result<()> {
        if !self.arguments.input.writes_header() {
            return Ok(());
        }
        if self.arguments.format == Format::Gff3 {
            self.regions.put(format!("{}\n", gff3::HEADER).as_bytes())?;
        }
        match &mut self.summary {
            Some(summary) => summary.put(format!("{}\n", table::CODING_HEADER).as_bytes()),
            None => Ok(()),
        }
    }

    /// Writes what the model says of a record.
    fn write(&mut self, record: &Record, prediction: &CodingPrediction) -> Result<()> {
        let Arguments { threshold, format, .. } = *self.arguments;
        let (id, length, window) = (record.id.as_str(), record.len(), self.arguments.window as usize);
        let defect = |error| Error::write("coding regions", error);
        let probabilities = prediction.probabilities.as_slice();
        if let Some(doubt) = prediction.doubt {
            cli::tally().doubt(doubt, id);
        }
        let windows = prediction.windows(window, threshold);
        let frames = match self.arguments.orf || self.pictures.is_some() {
            true => refine(&record.sequence, probabilities, &windows, window),
            false => Vec::new(),
        };
        let mut text = Vec::new();
        match format {
            Format::Bed if !self.arguments.orf => bed::write_cds_windows(&mut text, id, &windows),
            Format::Bed => bed::write_reading_frames(&mut text, id, &frames),
            Format::Bed12 => bed::write_thick_reading_frames(&mut text, id, length, &frames),
            Format::Gff3 => gff3::write_transcript(&mut text, id, length, &frames),
        }
        .map_err(defect)?;
        self.regions.put(&text)?;
        if let Some(summary) = &mut self.summary {
            let potential = prediction.potential;
            let label = potential.filter(|_| prediction.doubt.is_none());
            let label = label.map(|potential| TranscriptLabel::new(potential, threshold));
            text.clear();
            table::write_coding(&mut text, id, length, potential, label).map_err(defect)?;
            summary.put(&text)?;
        }
        if let Some(track) = &mut self.track {
            text.clear();
            for known in prediction.known_bases(&record.sequence) {
                bed::write_track(&mut text, id, known.start, &probabilities[known]).map_err(defect)?;
            }
            track.put(&text)?;
        }
        if let Some(protein) = &mut self.protein {
            text.clear();
            protein::write(&mut text, id, &record.sequence, &frames).map_err(defect)?;
            protein.put(&text)?;
        }
        if let Some(pictures) = &self.pictures {
            let all = reading_frames(&record.sequence, probabilities, window);
            let sequence = &record.sequence;
            let picture = CodingPicture {
                id,
                sequence,
                probabilities,
                threshold,
                windows: &windows,
                frames: &all,
                chosen: &frames,
            };
            pictures.write(id, "coding", &picture.draw())?;
        }
        Ok(())
    }

    fn finish(self) -> Result<()> {
        for other in [self.summary, self.track, self.protein].into_iter().flatten() {
            other.finish()?;
        }
        self.regions.finish()
    }
}
