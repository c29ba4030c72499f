//! Heads for tasks that are told by their data alone: classes or values, of sequences or of nucleotides.

use candle_core::{DType, Tensor};
use rayon::prelude::*;

use super::outputs::Outputs;
use crate::Result;
use crate::model::builder::{Builder, read};
use crate::model::config::HeadConfig;
use crate::model::ops::dropout::Dropout;
use crate::model::{Features, ModelConfig, Parameters};

/// What a general head answers for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// For each sequence as a whole.
    Sequence,
    /// For each of its nucleotides.
    Nucleotide,
}

/// A head whose answers are [`Outputs`].
pub trait GeneralHead: Sized + Send + Sync {
    /// What is answered for.
    const PART: Part;

    /// A head of the tensors that `builder` gives, for features of `d` numbers.
    ///
    /// # Errors
    /// Where a tensor is missing, or the configuration is that of another head.
    fn build(config: &HeadConfig, d: usize, builder: &Builder) -> Result<Self>;

    /// What is answered.
    fn outputs(&self) -> &Outputs;

    /// The numbers of each part, [parts, outputs], of all sequences end to end. Differentiable; `dropout` is for training
    /// alone.
    ///
    /// # Errors
    /// Where a tensor operation fails.
    fn forward(&self, features: &Features, dropout: Option<&mut Dropout>) -> Result<Tensor>;

    /// Picks the head's tensors out of `parameters`.
    ///
    /// # Errors
    /// Where a tensor is missing, or the configuration is that of another head.
    fn new(config: &ModelConfig, parameters: &Parameters) -> Result<Self> {
        Self::build(&config.head, config.encoder.width(), &read(parameters).pp("head"))
    }

    /// What is answered about each sequence: for each of its parts the probabilities of the classes or the values. By all
    /// threads of the current rayon pool; a sequence's answers do not depend on those beside it.
    ///
    /// # Errors
    /// Where a tensor operation fails.
    fn answers(&self, features: &Features) -> Result<Vec<Vec<Vec<f32>>>> {
        let answers = |index: usize| -> Result<Vec<Vec<f32>>> {
            let rows = features.of(index)?.detach();
            let length = rows.dim(0)?;
            let numbers = self.forward(&Features::new(rows, vec![0, length], None), None)?.to_dtype(DType::F32)?;
            Ok(numbers.to_vec2::<f32>()?.iter().map(|numbers| self.outputs().answer(numbers)).collect())
        };
        match features.rows().device().is_cpu() {
            true => (0..features.len()).into_par_iter().map(answers).collect(),
            false => (0..features.len()).map(answers).collect(),
        }
    }
}
