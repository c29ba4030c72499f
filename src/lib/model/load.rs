//! From `--model` and `--device` to a model ready to run.

use std::ops::Range;
use std::path::Path;

use candle_core::Device;

use super::config::Task;
use super::default_models;
use super::device::{self, DeviceArgs, Purpose};
use super::encoder::{Encode, Encoder};
use super::features::Input;
use super::parameters::Parameters;
use super::weights::Weights;
use crate::sequence::Record;
use crate::{Error, Result};

/// Weights and encoder of one model.
pub struct Model {
    /// What the weights are. Their tensors are in `parameters` and in `encoder`.
    pub weights: Weights,
    /// The head's tensors, where and in the precision in which the model runs.
    pub parameters: Parameters,
    /// The encoder, for inference.
    pub encoder: Encoder,
    /// Where it runs.
    pub device: Device,
}

impl Model {
    /// Loads the model in the file `path`, or the built-in one for `task`.
    ///
    /// # Errors
    /// Where the file is no model, or one for another task; where the device cannot be had.
    pub fn load(path: Option<&Path>, task: Task, device: DeviceArgs) -> Result<Self> {
        let model = Self::load_any(path, task, device)?;
        model.weights.check_task(task)?;
        Ok(model)
    }

    /// As [`Model::load`], where any model will do since only its encoder is used.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn load_any(path: Option<&Path>, task: Task, device: DeviceArgs) -> Result<Self> {
        let mut compute = device::select(device, Purpose::Inference)?;
        let mut weights = match path {
            Some(path) => default_models::open(path)?,
            None => default_models::load(task)?,
        };
        if !weights.config.encoder.runs_on_gpu() {
            compute = compute.on_cpu(device)?;
        }
        // The encoder's tensors are held by the encoder alone, which arranges them anew one by one.
        let mut parameters = compute.place(&std::mem::take(&mut weights.parameters))?;
        let own: Parameters = parameters.extract_if(.., |name, _| name.starts_with("encoder.")).collect();
        let encoder = Encoder::new(&weights.config, &own)?;
        drop(own);
        let encoder = encoder.for_inference()?;
        log::debug!("model {}: {}, sha256 {}", weights.source.display(), weights.config.encoder, weights.checksum);
        Ok(Self { weights, parameters, encoder, device: compute.device })
    }

    /// As [`Encoder::inputs`].
    ///
    /// # Errors
    /// As [`Encoder::inputs`].
    pub fn inputs<'a>(&self, records: &'a [Record]) -> Result<Vec<Input<'a>>> {
        self.encoder.inputs(records)
    }
}

impl Encoder {
    /// What the encoder reads of some parts of each record, one input for each. A part is read as if there were nothing around
    /// it.
    ///
    /// # Errors
    /// As [`Encoder::inputs`].
    pub fn inputs_of_parts<'a>(&self, records: &'a [Record], parts: &[Vec<Range<usize>>]) -> Result<Vec<Input<'a>>> {
        let mut inputs = Vec::new();
        for ((record, whole), parts) in records.iter().zip(self.inputs(records)?).zip(parts) {
            inputs.extend(parts.iter().map(|part| match part.len() == record.len() {
                true => whole,
                false => Input::Letters(&record.letters()[part.clone()]),
            }));
        }
        Ok(inputs)
    }

    /// What the encoder reads of records: their letters, or the tokens of those that came from a table of tokens.
    ///
    /// # Errors
    /// Where a record came from a table of tokens of another k, and where the encoder cannot read one: it is too long or holds
    /// letters that the model does not know.
    pub fn inputs<'a>(&self, records: &'a [Record]) -> Result<Vec<Input<'a>>> {
        let input = |record: &'a Record| {
            let input = match self.table_tokens(record)? {
                Some(tokens) => Input::Tokens(tokens),
                None => Input::Letters(record.letters()),
            };
            self.check(record, &input)?;
            Ok(input)
        };
        records.iter().map(input).collect()
    }

    /// The tokens of a record, without those around it.
    ///
    /// # Errors
    /// As [`Encoder::inputs`].
    pub fn tokens_of(&self, record: &Record) -> Result<Vec<u32>> {
        match self.table_tokens(record)? {
            Some(tokens) => Ok(tokens.to_vec()),
            None => {
                self.check(record, &Input::Letters(record.letters()))?;
                Encode::token_ids(self, record.letters())
            }
        }
    }

    fn check(&self, record: &Record, input: &Input) -> Result<()> {
        match self.refusal(input) {
            Some(message) => Err(Error::Unsuited { record: record.id.clone(), message }),
            None => Ok(()),
        }
    }

    fn table_tokens<'a>(&self, record: &'a Record) -> Result<Option<&'a [u32]>> {
        match self.kmers() {
            Some(tokenizer) => record.table_tokens(tokenizer),
            None if record.tokens.is_some() => {
                let message = "this model has words of its own: give FASTA or FASTQ, not a table of k-mers".into();
                Err(Error::Unsuited { record: record.id.clone(), message })
            }
            None => Ok(None),
        }
    }
}
