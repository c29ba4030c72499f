//! Vectors of RNAs: what the encoder makes of them, what its last layer retains, and how well it expects them.
//!
//! ```
//! use rnaret::{Embedder, Pool, Record};
//!
//! # fn main() -> rnaret::Result<()> {
//! let embedder = Embedder::built_in()?;
//! let records = [Record::new("hairpin", "GGGGAAAACCCC")?, Record::new("poly-U", "UUUUUUUU")?];
//! let vectors = embedder.embed(&records, Pool::Mean)?;
//! assert_eq!((vectors.len(), vectors[0].len()), (2, embedder.width()));
//! # Ok(())
//! # }
//! ```

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;

use super::check_finite;
use crate::model::device::DeviceArgs;
use crate::model::maps::{PositionMap, RetentionMap};
use crate::model::{Encode, Encoder, EncoderConfig, Model, Task, likelihood};
use crate::sequence::Record;
use crate::{Error, Result};

/// How a record's vectors become its result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum Pool {
    /// Mean over the nucleotides
    #[default]
    Mean,
    /// The `[CLS]` token, put before the first nucleotide
    Cls,
    /// One vector per nucleotide
    None,
}

/// Embeds RNAs with the encoder of a model, whatever its head.
pub struct Embedder {
    model: Model,
}

impl Embedder {
    /// With the encoder of `model`.
    pub fn new(model: Model) -> Self {
        Self { model }
    }

    /// With the built-in encoder, on the CPU.
    ///
    /// # Errors
    /// Where this build has no models inside.
    pub fn built_in() -> Result<Self> {
        Ok(Self::new(Model::load(None, Task::Pretrain, DeviceArgs::CPU)?))
    }

    /// With the encoder of the weights in the file `path`, on the CPU.
    ///
    /// # Errors
    /// Where the file is no model.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Ok(Self::new(Model::load_any(Some(path.as_ref()), Task::Pretrain, DeviceArgs::CPU)?))
    }

    /// Numbers in a vector (d).
    pub fn width(&self) -> usize {
        self.model.encoder.width()
    }

    /// The vectors of each record: d numbers, or with [`Pool::None`] length x d, a row for each nucleotide. By all threads of
    /// the current rayon pool; a record's numbers are the same whatever stands beside it.
    ///
    /// # Errors
    /// Where memory runs out, a record came from a table of tokens of another k, or a number is not finite.
    pub fn embed(&self, records: &[Record], pool: Pool) -> Result<Vec<Vec<f32>>> {
        let vectors = self.vectors(records, pool)?;
        records.iter().zip(&vectors).try_for_each(|(record, vector)| check_finite(&record.id, vector))?;
        Ok(vectors)
    }

    fn vectors(&self, records: &[Record], pool: Pool) -> Result<Vec<Vec<f32>>> {
        let inputs = self.model.inputs(records)?;
        if pool == Pool::Cls {
            let summaries = self.model.encoder.summaries(&inputs)?.to_device(&Device::Cpu)?.to_dtype(DType::F32)?;
            return Ok(summaries.to_vec2()?);
        }
        let features = self.model.encoder.features(&inputs)?;
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

    /// About how many bytes [`Embedder::embed`] takes at most, with what is written of the result.
    pub fn memory(&self, records: &[Record]) -> u64 {
        let tokens: usize = records.iter().map(|record| record.len() + 1).sum();
        // The features, and the numbers of each record twice: as they are taken out, and as they are written.
        self.model.encoder.memory(tokens) + 3 * 4 * (tokens * self.width()) as u64
    }

    /// What the last layer retains of each position for each other one (RNAret, Figure 3).
    ///
    /// # Errors
    /// As [`Embedder::embed`], and where the model has attention in its place.
    pub fn retention(&self, record: &Record) -> Result<Box<dyn PositionMap>> {
        let (Encoder::Retention(encoder), EncoderConfig::Retention(config)) =
            (&self.model.encoder, &self.model.weights.config.encoder)
        else {
            return Err(Error::Failed("this model has attention: use --attention".into()));
        };
        let (queries, keys) = encoder.last_queries_and_keys(&self.model.encoder.tokens_of(record)?)?;
        let (queries, keys) = (numbers(&queries)?, numbers(&keys)?);
        check_finite(&record.id, &queries)?;
        check_finite(&record.id, &keys)?;
        Ok(Box::new(RetentionMap { queries, keys, heads: config.heads, width: config.width }))
    }

    /// What the last layer of a Transformer attends to, mean over the heads.
    ///
    /// # Errors
    /// As [`Embedder::embed`], and where the model has retention in its place, or words of several nucleotides.
    pub fn attention(&self, record: &Record) -> Result<Box<dyn PositionMap>> {
        let Encoder::Transformer(encoder) = &self.model.encoder else {
            return Err(Error::Failed("this model has retention: use --retention".into()));
        };
        encoder.masking()?;
        let mut maps = encoder.attention_maps(&self.model.encoder.tokens_of(record)?, encoder.config().layers - 1)?;
        match maps.pop() {
            Some(map) => Ok(Box::new(map)),
            None => Err(Error::Failed("a model without layers attends to nothing".into())),
        }
    }

    /// About how many bytes [`Embedder::retention`] takes at most, with the scores of a row.
    pub fn memory_of_retention(&self, record: &Record) -> u64 {
        // Queries and keys as tensors and as numbers, and the sums of one head.
        self.model.encoder.memory(record.len()) + 4 * 6 * (record.len() * self.width()) as u64
    }

    /// How well the language model expects a record, every token masked once: 1 is certainty. `None` where no token is
    /// known.
    ///
    /// # Errors
    /// As [`Embedder::embed`]; where the model has lost its language-model head in training for a task.
    pub fn pseudo_perplexity(&self, record: &Record) -> Result<Option<f64>> {
        let tokens = self.model.encoder.tokens_of(record)?;
        let perplexity = likelihood::pseudo_perplexity(&self.model, &tokens)?;
        check_finite(&record.id, &[perplexity.unwrap_or_default() as f32])?;
        Ok(perplexity)
    }

    /// About how many bytes [`Embedder::pseudo_perplexity`] takes at most.
    pub fn memory_of_pseudo_perplexity(&self, record: &Record) -> u64 {
        likelihood::memory(&self.model, record.len())
    }
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
