//! rnaret-coding: transcripts in, coding sequences and windows out.

use std::path::PathBuf;
use std::process::ExitCode;

use rnaret::cli::numbers::{self, Range};
use rnaret::cli::{
    self, CommonArgs, DescriptionArgs, Files, InputArgs, ModelArgs, Output, OutputArgs, PictureFolder, Tool,
};
use rnaret::decode::genetic_code::GeneticCode;
use rnaret::draw::coding::CodingPicture;
use rnaret::format::rows::Rows;
use rnaret::format::{bed, gff3, protein, table};
use rnaret::model::Task;
use rnaret::predict::coding::{CodingModel, CodingPrediction, CodingRules, StrandChoice};
use rnaret::sequence::{Accept, Record};
use rnaret::{Error, Result};

/// Find the coding sequences of transcripts, and tell mRNA from lncRNA
///
/// Reads FASTA, FASTQ or the TSV of rna-kmerize. With --orf, writes the coding sequence of each transcript that is called
/// an mRNA or a part of one, from its start codon to its stop codon, or to an end of the transcript where it is cut.
/// Without, writes coding windows: every base gets a probability that it codes, and windows whose mean probability reaches
/// the threshold are merged. Both are BED6 on transcript coordinates; the score is 1000 times the mean probability.
/// --summary has a row for every transcript: its coding potential, which is the probability that it is an
/// mRNA or a part of one, its label, and its open reading frame.
#[derive(clap::Parser)]
#[command(name = "rnaret-coding", version, after_help = EXAMPLES)]
struct Arguments {
    /// Write coding sequences instead of windows, stop codon included; what is missing where a transcript is cut is marked
    #[arg(long)]
    orf: bool,

    /// Also write a table with a row per transcript: TSV `id length coding_potential label state strand orf_start orf_end
    /// orf_length orf_coverage`
    #[arg(long, value_name = "FILE")]
    summary: Option<PathBuf>,

    /// Also write the proteins of the coding sequences: FASTA, without the stop, X for a codon that holds an N
    #[arg(long, value_name = "FILE", requires = "orf")]
    protein: Option<PathBuf>,

    /// Format of the coding sequences or windows
    #[arg(long, visible_alias = "output-format", value_enum, default_value_t = Format::Bed)]
    #[arg(requires_ifs = [("bed12", "orf"), ("gff3", "orf")])]
    format: Format,

    /// Write all open reading frames of every transcript, the one that most probably codes first, whatever its label
    #[arg(long, requires = "orf")]
    all_orfs: bool,

    /// Bases of the shortest open reading frame, the stop codon included
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = numbers::parser::<u32>(Range::AT_LEAST_1))]
    min_orf: u32,

    /// Which strand is read; `both` takes the one with the greater coding potential
    #[arg(long, value_enum, default_value_t = StrandChoice::Forward)]
    strand: StrandChoice,

    /// Genetic code, by NCBI's numbers
    #[arg(long, value_name = "N", default_value_t = 1)]
    genetic_code: u8,

    /// Begin coding sequences with any start codon of the genetic code, not with AUG alone
    #[arg(long)]
    alternative_starts: bool,

    /// Least coding potential of an mRNA, and least mean probability of a coding window, 0 to 1
    #[arg(long, value_name = "P", default_value_t = 0.5, value_parser = numbers::parser::<f64>(Range::FROM_0_TO_1))]
    threshold: f64,

    /// Bases per window
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = numbers::parser::<u32>(Range::AT_LEAST_1))]
    window: u32,

    /// Also write the probability of every base: bedGraph
    #[arg(long, value_name = "FILE")]
    track: Option<PathBuf>,

    /// Also draw each transcript: FOLDER/ID.coding.svg with its probabilities, windows and reading frames
    #[arg(long, value_name = "FOLDER")]
    svg: Option<PathBuf>,

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
  rnaret-coding --orf --summary summary.tsv --protein proteins.fa -o cds.bed testdata/rnas.fa.gz
  rnaret-coding --orf --strand both --format gff3 -o cds.gff3 --svg pictures testdata/rnas.fa.gz";

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// BED6
    Bed,
    /// BED12: the whole transcript, with the coding sequence as its thick part (needs --orf)
    Bed12,
    /// GFF3: mRNA and CDS features (needs --orf)
    Gff3,
    /// JSON Lines: an object for every transcript with the columns of --summary
    #[value(alias = "jsonl")]
    Json,
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
    let rules = CodingRules {
        window: arguments.window as usize,
        threshold: arguments.threshold,
        code: GeneticCode::ncbi(arguments.genetic_code, arguments.alternative_starts)?,
        min_length: arguments.min_orf as usize,
        strand: arguments.strand,
    };
    let mut outputs = Outputs::create(&arguments, rules)?;
    // Ids key the features of GFF3 and the names of pictures and proteins.
    let ids_are_keys = arguments.format == Format::Gff3 || arguments.svg.is_some() || arguments.protein.is_some();
    let records = match ids_are_keys {
        true => arguments.input.open_unique(Accept::Any, &arguments.common)?,
        false => arguments.input.open(Accept::Any, &arguments.common)?,
    };
    let model = CodingModel::new(arguments.model.load(Task::Coding)?, rules.code)?;
    let pool = arguments.common.thread_pool()?;
    outputs.write_headers()?;
    cli::prefetch(cli::batches(records, arguments.model.batch_tokens), |batch| {
        let work = |part: &[Record]| pool.install(|| model.predict(part, &rules));
        let needed = |part: &[Record]| pool.install(|| model.memory(part));
        cli::in_memory(&arguments.input, &batch, needed, work, |part, predictions| {
            part.iter().zip(predictions).try_for_each(|(record, prediction)| outputs.write(record, &prediction))
        })
    })?;
    outputs.finish()
}

/// Everything that a run writes.
struct Outputs<'a> {
    arguments: &'a Arguments,
    rules: CodingRules,
    regions: Output,
    summary: Option<Output>,
    track: Option<Output>,
    protein: Option<Output>,
    pictures: Option<PictureFolder>,
    /// How the summary is written, and the objects of --format json.
    rows: Rows,
    objects: Rows,
}

impl<'a> Outputs<'a> {
    fn create(arguments: &'a Arguments, rules: CodingRules) -> Result<Self> {
        let regions = arguments.output.create(&arguments.input.inputs)?;
        let other = |path: &Option<PathBuf>| Output::create_if_named(path.as_deref());
        Ok(Self {
            arguments,
            rules,
            regions,
            summary: other(&arguments.summary)?,
            track: other(&arguments.track)?,
            protein: other(&arguments.protein)?,
            pictures: arguments.svg.as_deref().map(PictureFolder::create).transpose()?,
            rows: Rows::new(table::CODING_HEADER, false, arguments.description.keep_description),
            objects: Rows::new(table::CODING_HEADER, true, arguments.description.keep_description),
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
            Some(summary) => summary.put(self.rows.header().as_bytes()),
            None => Ok(()),
        }
    }

    /// Writes what the model says of a record.
    fn write(&mut self, record: &Record, prediction: &CodingPrediction) -> Result<()> {
        let Arguments { format, orf, all_orfs, .. } = *self.arguments;
        let CodingRules { threshold, code, .. } = self.rules;
        let (id, length, strand) = (record.id.as_str(), record.len(), prediction.strand);
        let defect = |error| Error::write("coding regions", error);
        let frames = if all_orfs { &prediction.frames } else { &prediction.coding_sequences };
        if let Some(doubt) = prediction.doubt {
            cli::tally().doubt(doubt, id);
        }
        let mut text = Vec::new();
        match format {
            Format::Json => table::write_coding(&mut text, id, length, threshold, prediction),
            Format::Bed if !orf => bed::write_cds_windows(&mut text, id, length, &prediction.windows, strand),
            Format::Bed => bed::write_reading_frames(&mut text, id, length, frames, strand),
            Format::Bed12 => bed::write_thick_reading_frames(&mut text, id, length, frames, strand),
            Format::Gff3 => gff3::write_transcript(&mut text, id, length, frames, strand),
        }
        .map_err(defect)?;
        if format == Format::Json {
            text = self.objects.of_record(text, &record.description);
        }
        self.regions.put(&text)?;
        if let Some(summary) = &mut self.summary {
            let mut row = Vec::new();
            table::write_coding(&mut row, id, length, threshold, prediction).map_err(defect)?;
            summary.put(&self.rows.of_record(row, &record.description))?;
        }
        if let Some(track) = &mut self.track {
            text.clear();
            for (first, probabilities) in prediction.track() {
                bed::write_track(&mut text, id, first, &probabilities).map_err(defect)?;
            }
            track.put(&text)?;
        }
        if let Some(protein) = &mut self.protein {
            text.clear();
            let description = if self.arguments.description.keep_description { &record.description } else { "" };
            protein::write(&mut text, id, description, &prediction.sequence, frames, strand, code).map_err(defect)?;
            protein.put(&text)?;
        }
        if let Some(pictures) = &self.pictures {
            let picture = CodingPicture {
                id,
                sequence: &prediction.sequence,
                code,
                probabilities: &prediction.probabilities,
                threshold,
                windows: &prediction.windows,
                frames: &prediction.frames,
                chosen: frames,
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
