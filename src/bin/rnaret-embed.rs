//! rnaret-embed: records in, embeddings, retention scores or likelihoods out.

use std::path::PathBuf;
use std::process::ExitCode;

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;
use rnaret::cli::{self, CommonArgs, Files, InputArgs, ModelArgs, Output, OutputArgs, PictureFolder, Tool};
use rnaret::draw::heat_map::HeatMap;
use rnaret::format::embedding::{Embedding, EmbeddingFormat, EmbeddingOptions, EmbeddingShape, EmbeddingWriter};
use rnaret::format::number;
use rnaret::format::table::MISSING;
use rnaret::model::retention::scores::LastLayer;
use rnaret::model::{Encode, Encoder, EncoderConfig, Model, Task, likelihood};
use rnaret::predict::check_finite;
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

    /// Also draw each map of --retention map: FOLDER/ID.retention.svg
    #[arg(long, value_name = "FOLDER", requires = "retention")]
    svg: Option<PathBuf>,

    /// Write each record's pseudo-perplexity instead, every token masked once: TSV `id length pseudo_perplexity`
    #[arg(long, conflicts_with_all = ["pool", "format"])]
    likelihood: bool,

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
  rnaret-embed testdata/rnas.fa.gz | cut -f 1-5
  rnaret-embed --pool none --format safetensors -o embeddings.safetensors testdata/rnas.fa.gz";

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Pool {
    /// Mean over the nucleotides
    Mean,
    /// The `[CLS]` token, put before the first nucleotide
    Cls,
    /// One vector per nucleotide
    None,
}

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
    /// The table of ids beside arrays that hold none.
    fn id_table(&self) -> Option<PathBuf> {
        let embeds = self.retention.is_none() && !self.likelihood;
        let path = self.output.file().filter(|_| embeds && self.format.needs_id_table())?;
        let mut name = path.as_os_str().to_owned();
        name.push(".ids.tsv");
        Some(name.into())
    }
}

#[global_allocator]
static ALLOCATOR: cli::Allocator = cli::Allocator;

fn main() -> ExitCode {
    cli::run(|arguments: Arguments| {
        if arguments.svg.is_some() && arguments.retention != Some(Retention::Map) {
            return Err(Error::Usage("--svg draws the maps of --retention map".into()));
        }
        // What every kind of output needs, in the order in which mistakes are cheapest to find.
        let output = arguments.output.create(&arguments.input.inputs)?;
        let by_id = arguments.pool == Pool::None && arguments.format == EmbeddingFormat::Safetensors;
        let by_id = by_id && arguments.retention.is_none() && !arguments.likelihood;
        let records = match by_id || arguments.svg.is_some() {
            true => arguments.input.open_unique(Accept::Any, &arguments.common)?,
            false => arguments.input.open(Accept::Any, &arguments.common)?,
        };
        let model = Model::load_any(arguments.model.model.as_deref(), Task::Pretrain, arguments.model.device)?;
        if let Some(kind) = arguments.retention {
            write_retention(&arguments, &model, records, output, kind)
        } else if arguments.likelihood {
            write_likelihoods(&arguments, &model, records, output)
        } else {
            write_embeddings(&arguments, &model, records, output)
        }
    })
}

fn write_embeddings(arguments: &Arguments, model: &Model, records: RecordReader, output: Output) -> Result<()> {
    let shape = if arguments.pool == Pool::None { EmbeddingShape::PerBase } else { EmbeddingShape::Pooled };
    let path = arguments.output.file();
    let ids = Output::create_if_named(arguments.id_table().as_deref())?;
    let options = EmbeddingOptions {
        format: arguments.format,
        shape,
        dimension: model.encoder.width(),
        // Only what `cat` puts together leaves its header to the first shard.
        header: arguments.input.writes_header() || !arguments.format.concatenates(shape),
        temporary_folder: path.and_then(|path| path.parent()).map(PathBuf::from),
    };
    let pool = arguments.common.thread_pool()?;
    let named = arguments.output.output.as_deref().filter(|path| path.as_os_str() != "-");
    let name = named.map_or("standard output".into(), |path| path.display().to_string());
    let fail = |error| Error::write(&name, error);
    let mut writer = EmbeddingWriter::new(output, &options, ids).map_err(fail)?;
    cli::prefetch(cli::batches(records, arguments.model.batch_tokens), |batch| {
        let work = |part: &[Record]| pool.install(|| embed(arguments.pool, model, part));
        let needed = |part: &[Record]| {
            let tokens: usize = part.iter().map(|record| record.len() + 1).sum();
            // The features, and the numbers of each record twice: as they are taken out, and as they are written.
            pool.install(|| model.encoder.memory(tokens)) + 3 * 4 * (tokens * model.encoder.width()) as u64
        };
        cli::in_memory(&arguments.input, &batch, needed, work, |part, vectors| {
            for (record, values) in part.iter().zip(vectors) {
                check_finite(&record.id, &values)?;
                writer
                    .write(Embedding { id: &record.id, sequence: &record.sequence, values: &values })
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

/// The numbers of each record: d, or length x d.
fn embed(pool: Pool, model: &Model, batch: &[Record]) -> Result<Vec<Vec<f32>>> {
    let inputs = model.inputs(batch)?;
    if pool == Pool::Cls {
        let summaries = model.encoder.summaries(&inputs)?.to_device(&Device::Cpu)?.to_dtype(DType::F32)?;
        return Ok(summaries.to_vec2()?);
    }
    let features = model.encoder.features(&inputs)?;
    // In main memory at once, not record by record.
    let rows = features.rows().to_device(&Device::Cpu)?;
    features
        .ranges()
        .collect::<Vec<_>>()
        .into_par_iter()
        .map(|range| {
            let rows = rows.narrow(0, range.start, range.len())?;
            if pool == Pool::Mean { mean(&rows) } else { numbers(&rows) }
        })
        .collect()
}

/// A tensor's numbers, whatever it was computed with.
fn numbers(tensor: &Tensor) -> Result<Vec<f32>> {
    Ok(tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?)
}

/// The mean of the rows, summed in f64 from the first to the last.
fn mean(rows: &Tensor) -> Result<Vec<f32>> {
    let (length, width) = rows.dims2()?;
    let values = numbers(rows)?;
    let mut sums = vec![0f64; width];
    for row in values.chunks_exact(width) {
        sums.iter_mut().zip(row).for_each(|(sum, &value)| *sum += f64::from(value));
    }
    Ok(sums.into_iter().map(|sum| (sum / length as f64) as f32).collect())
}

fn write_retention(
    arguments: &Arguments,
    model: &Model,
    records: RecordReader,
    mut output: Output,
    kind: Retention,
) -> Result<()> {
    if arguments.input.writes_header() {
        let other = if kind == Retention::Map { "other_position\t" } else { "" };
        output.put(format!("id\tposition\tnucleotide\t{other}score\n").as_bytes())?;
    }
    let pictures = arguments.svg.as_deref().map(PictureFolder::create).transpose()?;
    let pool = arguments.common.thread_pool()?;
    let (Encoder::Retention(encoder), EncoderConfig::Retention(config)) =
        (&model.encoder, &model.weights.config.encoder);
    for record in records {
        let record = record?;
        let work =
            |part: &[Record]| pool.install(|| encoder.last_queries_and_keys(&part[0].token_ids(encoder.tokenizer())?));
        let mut found = None;
        let needed = |part: &[Record]| {
            // Queries and keys as tensors and as numbers, and the sums of one head.
            let of_scores = 4 * 6 * (part[0].len() * model.encoder.width()) as u64;
            pool.install(|| model.encoder.memory(part[0].len())) + of_scores
        };
        cli::in_memory(&arguments.input, std::slice::from_ref(&record), needed, work, |_, both| {
            found = Some(both);
            Ok(())
        })?;
        let Some((queries, keys)) = found else { continue };
        let (queries, keys) = (numbers(&queries)?, numbers(&keys)?);
        let last = LastLayer { queries: &queries, keys: &keys, heads: config.heads, width: config.width };
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
        check_finite(&record.id, &queries)?;
        check_finite(&record.id, &keys)?;
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
                folder.write(&record.id, "retention", &picture.draw(&record.id, "Retention scores", rows, columns))?;
            }
        }
    }
    output.finish()
}

fn write_likelihoods(arguments: &Arguments, model: &Model, records: RecordReader, mut output: Output) -> Result<()> {
    if arguments.input.writes_header() {
        output.put(b"id\tlength\tpseudo_perplexity\n")?;
    }
    let pool = arguments.common.thread_pool()?;
    for record in records {
        let record = record?;
        let work = |part: &[Record]| {
            pool.install(|| likelihood::pseudo_perplexity(model, &part[0].token_ids(model.encoder.tokenizer())?))
        };
        let needed = |part: &[Record]| pool.install(|| likelihood::memory(model, part[0].len()));
        cli::in_memory(&arguments.input, std::slice::from_ref(&record), needed, work, |_, perplexity| {
            let mut text = format!("{}\t{}\t", record.id, record.len()).into_bytes();
            match perplexity {
                Some(perplexity) => {
                    check_finite(&record.id, &[perplexity as f32])?;
                    number::append(&mut text, perplexity);
                }
                None => text.extend_from_slice(MISSING.as_bytes()),
            }
            text.push(b'\n');
            output.put(&text)
        })?;
    }
    output.finish()
}
