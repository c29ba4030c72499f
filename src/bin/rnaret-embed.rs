//! rnaret-embed: records in, embeddings, retention scores or likelihoods out.

use std::path::PathBuf;
use std::process::ExitCode;

use rnaret::cli::{
    self, CommonArgs, DescriptionArgs, Files, InputArgs, ModelArgs, Output, OutputArgs, PictureFolder, Tool,
};
use rnaret::draw::heat_map::HeatMap;
use rnaret::format::embedding::{Embedding, EmbeddingFormat, EmbeddingOptions, EmbeddingShape, EmbeddingWriter};
use rnaret::format::number;
use rnaret::format::table::MISSING;
use rnaret::model::Task;
use rnaret::predict::check_finite;
use rnaret::predict::embed::{Embedder, Pool};
use rnaret::sequence::{Accept, Record, RecordReader};
use rnaret::{Error, Result};

/// Turn RNAs into vectors: what the language model makes of them
///
/// Reads FASTA, FASTQ or the TSV of rna-kmerize. One vector per record (the mean over its nucleotides, or the `[CLS]` token's), or one per nucleotide: exactly as many as
/// the record has, without special tokens. The numbers are the features that all rnaret heads read: the last layer's
/// output before the final norm.
#[derive(clap::Parser)]
#[command(name = "rnaret-embed", version, after_help = EXAMPLES)]
struct Arguments {
    /// One vector per record (mean, cls) or per nucleotide (none)
    #[arg(long, value_enum, default_value_t = Pool::Mean)]
    pool: Pool,

    /// How vectors are written. npy: an array (N, d) and the ids in OUTPUT.ids.tsv; with --pool none an array (L, d) per
    /// record, one after another
    #[arg(long, value_enum, default_value_t)]
    format: EmbeddingFormat,

    /// Write the last layer's retention scores instead: TSV `id position nucleotide score`, 1-based; the map has a row
    /// per pair of positions, with a column `other_position` before the score
    #[arg(long, value_enum, value_name = "KIND", conflicts_with_all = ["pool", "format", "likelihood"])]
    retention: Option<Retention>,

    /// The same of a Transformer: the mean over the heads of what the last layer attends to
    #[arg(long, value_enum, value_name = "KIND", conflicts_with_all = ["pool", "format", "likelihood", "retention"])]
    attention: Option<Retention>,

    /// Also draw each map of --retention map or --attention map: FOLDER/ID.retention.svg or FOLDER/ID.attention.svg
    #[arg(long, value_name = "FOLDER")]
    svg: Option<PathBuf>,

    /// Write each record's pseudo-perplexity instead, every token masked once: TSV `id length pseudo_perplexity`
    #[arg(long, conflicts_with_all = ["pool", "format"])]
    likelihood: bool,

    #[command(flatten)]
    input: InputArgs,

    /// The ids of an npy array that goes to standard output: TSV `id length`; beside a file they are in OUTPUT.ids.tsv
    #[arg(long, value_name = "FILE", conflicts_with_all = ["retention", "likelihood"])]
    ids: Option<PathBuf>,

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
  rnaret-embed testdata/rnas.fa.gz | cut -f 1-5
  rnaret-embed --pool none --format safetensors -o embeddings.safetensors testdata/rnas.fa.gz";

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Retention {
    /// The first position's row
    FirstRow,
    /// The mean of each position's column
    ColumnMean,
    /// Every row: time and output grow with the square of the length
    Map,
}

impl Tool for Arguments {
    fn common(&self) -> &CommonArgs {
        &self.common
    }

    fn declare(&self, files: &mut Files) {
        self.input.declare(files);
        self.model.declare(files);
        self.output.declare(files);
        files.writes(self.id_table());
        files.writes_into(&self.svg);
    }
}

impl Arguments {
    /// What is written of retention or attention, where it is.
    fn map(&self) -> Option<Retention> {
        self.retention.or(self.attention)
    }

    /// Whether arrays are written, which have no place for ids.
    fn has_no_ids(&self) -> bool {
        self.map().is_none() && !self.likelihood && self.format.needs_id_table()
    }

    /// The table of ids beside arrays that hold none.
    fn id_table(&self) -> Option<PathBuf> {
        if self.ids.is_some() {
            return self.ids.clone();
        }
        let path = self.output.file().filter(|_| self.has_no_ids())?;
        let mut name = path.as_os_str().to_owned();
        name.push(".ids.tsv");
        Some(name.into())
    }
}

#[global_allocator]
static ALLOCATOR: cli::Allocator = cli::Allocator;

fn main() -> ExitCode {
    cli::run(|arguments: Arguments| {
        if arguments.svg.is_some() && arguments.map() != Some(Retention::Map) {
            return Err(Error::Usage("--svg draws the maps of --retention map and --attention map".into()));
        }
        if arguments.ids.is_some() && !arguments.has_no_ids() {
            return Err(Error::Usage("--ids goes with --format npy: the other formats hold the ids".into()));
        }
        if arguments.has_no_ids() && arguments.id_table().is_none() {
            log::warn!("npy has no place for ids: --ids FILE keeps them");
        }
        // What every kind of output needs, in the order in which mistakes are cheapest to find.
        let output = arguments.output.create(&arguments.input.inputs)?;
        let by_id = arguments.pool == Pool::None && arguments.format == EmbeddingFormat::Safetensors;
        let by_id = by_id && arguments.map().is_none() && !arguments.likelihood;
        let records = match by_id || arguments.svg.is_some() {
            true => arguments.input.open_unique(Accept::Any, &arguments.common)?,
            false => arguments.input.open(Accept::Any, &arguments.common)?,
        };
        let embedder = Embedder::new(arguments.model.load_any(Task::Pretrain)?);
        if let Some(kind) = arguments.map() {
            write_maps(&arguments, &embedder, records, output, kind)
        } else if arguments.likelihood {
            write_likelihoods(&arguments, &embedder, records, output)
        } else {
            write_embeddings(&arguments, &embedder, records, output)
        }
    })
}

fn write_embeddings(arguments: &Arguments, embedder: &Embedder, records: RecordReader, output: Output) -> Result<()> {
    let shape = if arguments.pool == Pool::None { EmbeddingShape::PerBase } else { EmbeddingShape::Pooled };
    let path = arguments.output.file();
    let ids = Output::create_if_named(arguments.id_table().as_deref())?;
    let options = EmbeddingOptions {
        format: arguments.format,
        shape,
        dimension: embedder.width(),
        // Only what `cat` puts together leaves its header to the first shard.
        header: arguments.input.writes_header() || !arguments.format.concatenates(shape),
        keep_description: arguments.description.keep_description,
        temporary_folder: path.and_then(|path| path.parent()).map(PathBuf::from),
    };
    let pool = arguments.common.thread_pool()?;
    let named = arguments.output.output.as_deref().filter(|path| path.as_os_str() != "-");
    let name = named.map_or("standard output".into(), |path| path.display().to_string());
    let fail = |error| Error::write(&name, error);
    let mut writer = EmbeddingWriter::new(output, &options, ids).map_err(fail)?;
    cli::prefetch(cli::batches(records, arguments.model.batch_tokens), |batch| {
        let work = |part: &[Record]| pool.install(|| embedder.embed(part, arguments.pool));
        let needed = |part: &[Record]| pool.install(|| embedder.memory(part));
        cli::in_memory(&arguments.input, &batch, needed, work, |part, vectors| {
            for (record, values) in part.iter().zip(vectors) {
                writer
                    .write(Embedding {
                        id: &record.id,
                        description: &record.description,
                        sequence: &record.sequence,
                        values: &values,
                    })
                    .map_err(fail)?;
            }
            Ok(())
        })
    })?;
    let (output, ids) = writer.finish().map_err(fail)?;
    if let Some(ids) = ids {
        ids.finish()?;
    }
    output.finish()
}

fn write_maps(
    arguments: &Arguments,
    embedder: &Embedder,
    records: RecordReader,
    mut output: Output,
    kind: Retention,
) -> Result<()> {
    if arguments.input.writes_header() {
        let other = if kind == Retention::Map { "other_position\t" } else { "" };
        output.put(format!("id\tposition\tnucleotide\t{other}score\n").as_bytes())?;
    }
    let (name, title) = match arguments.attention {
        Some(_) => ("attention", "Attention"),
        None => ("retention", "Retention scores"),
    };
    let pictures = arguments.svg.as_deref().map(PictureFolder::create).transpose()?;
    let pool = arguments.common.thread_pool()?;
    for record in records {
        let record = record?;
        let work = |part: &[Record]| {
            pool.install(|| match arguments.attention {
                Some(_) => embedder.attention(&part[0]),
                None => embedder.retention(&part[0]),
            })
        };
        let needed = |part: &[Record]| pool.install(|| embedder.memory_of_retention(&part[0]));
        let mut found = None;
        cli::in_memory(&arguments.input, std::slice::from_ref(&record), needed, work, |_, scores| {
            found = Some(scores);
            Ok(())
        })?;
        let Some(last) = found else { continue };
        let row = |position: usize, other: Option<usize>, score: f32, text: &mut Vec<u8>| {
            let nucleotide = char::from(record.sequence[position]);
            text.extend_from_slice(format!("{}\t{}\t{nucleotide}\t", record.id, position + 1).as_bytes());
            if let Some(other) = other {
                text.extend_from_slice(format!("{}\t", other + 1).as_bytes());
            }
            number::append(text, score);
            text.push(b'\n');
        };
        let scores = match kind {
            Retention::FirstRow => last.first_row(),
            Retention::ColumnMean => last.column_mean(),
            Retention::Map => Vec::new(),
        };
        check_finite(&record.id, &scores)?;
        let mut text = Vec::new();
        scores.into_iter().enumerate().for_each(|(position, score)| row(position, None, score, &mut text));
        output.put(&text)?;
        if kind == Retention::Map {
            let mut picture = pictures.is_some().then(|| HeatMap::new(record.len()));
            // Row by row: the map of a long sequence does not fit in memory.
            for position in 0..record.len() {
                text.clear();
                let scores = last.row(position);
                check_finite(&record.id, &scores)?;
                if let Some(picture) = &mut picture {
                    picture.add_row(position, &scores);
                }
                for (other, score) in scores.into_iter().enumerate() {
                    row(position, Some(other), score, &mut text);
                }
                output.put(&text)?;
            }
            if let (Some(folder), Some(picture)) = (&pictures, picture) {
                let (rows, columns) = ("position (query)", "other position (key)");
                folder.write(&record.id, name, &picture.draw(&record.id, title, rows, columns))?;
            }
        }
    }
    output.finish()
}

fn write_likelihoods(
    arguments: &Arguments,
    embedder: &Embedder,
    records: RecordReader,
    mut output: Output,
) -> Result<()> {
    if arguments.input.writes_header() {
        output.put(b"id\tlength\tpseudo_perplexity\n")?;
    }
    let pool = arguments.common.thread_pool()?;
    for record in records {
        let record = record?;
        let work = |part: &[Record]| pool.install(|| embedder.pseudo_perplexity(&part[0]));
        let needed = |part: &[Record]| pool.install(|| embedder.memory_of_pseudo_perplexity(&part[0]));
        cli::in_memory(&arguments.input, std::slice::from_ref(&record), needed, work, |_, perplexity| {
            let mut text = format!("{}\t{}\t", record.id, record.len()).into_bytes();
            match perplexity {
                Some(perplexity) => number::append(&mut text, perplexity),
                None => text.extend_from_slice(MISSING.as_bytes()),
            }
            text.push(b'\n');
            output.put(&text)
        })?;
    }
    output.finish()
}
