//! Masked language modelling: guess the hidden tokens.

use candle_core::DType;
use rayon::prelude::*;

use super::losses::cross_entropy;
use super::{Loss, Objective, Report, named, nucleotides, surrogate};
use crate::Result;
use crate::model::ops::dropout::Dropout;
use crate::model::{Encode, Encoder, Input, ModelConfig, Parameters};
use crate::predict::check_finite;
use crate::train::data::pretrain::{PretrainExample, PretrainRecords};
use crate::train::signals::Interrupt;

/// Cross entropy of the hidden tokens.
pub struct Pretrain;

/// What the encoder reads of examples, the rows of their hidden tokens, and what stands behind those.
fn hidden<'a>(examples: &[&'a PretrainExample]) -> (Vec<Input<'a>>, Vec<u32>, Vec<u32>) {
    let inputs = examples.iter().map(|example| Input::Tokens(&example.masked.tokens)).collect();
    let labels = examples.iter().flat_map(|example| &example.masked.labels).enumerate();
    let (rows, labels) = labels.filter_map(|(row, label)| label.map(|label| (row as u32, label))).unzip();
    (inputs, rows, labels)
}

impl Objective for Pretrain {
    type Example = PretrainExample;
    type Data = PretrainRecords;

    fn loss(
        &self,
        config: &ModelConfig,
        parameters: &Parameters,
        examples: &[&PretrainExample],
        dropout: &mut Dropout,
    ) -> Result<Loss> {
        let encoder = Encoder::new(config, parameters)?;
        let (inputs, rows, labels) = hidden(examples);
        let features = encoder.forward(&inputs, Some(dropout))?;
        let logits = encoder.logits(&features, &rows)?.to_dtype(DType::F32)?;
        let values = logits.flatten_all()?.to_vec1::<f32>()?;
        let classes = config.encoder.vocabulary_size();
        let mut gradient = vec![0f32; values.len()];
        let mut loss = 0.0;
        for ((row, gradient), &label) in
            values.chunks_exact(classes).zip(gradient.chunks_exact_mut(classes)).zip(&labels)
        {
            loss += f64::from(cross_entropy(row, label as usize, 1.0, gradient).0);
        }
        Ok(Loss {
            surrogate: surrogate(&logits, gradient)?,
            loss,
            weight: labels.len() as f64,
            tokens: nucleotides(&inputs),
        })
    }

    fn evaluate(
        &self,
        config: &ModelConfig,
        parameters: &Parameters,
        examples: &[PretrainExample],
        interrupt: &Interrupt,
    ) -> Result<Report> {
        let encoder = Encoder::new(config, parameters)?.for_inference()?;
        let results = examples
            .par_iter()
            .map(|example| {
                interrupt.check()?;
                let (inputs, rows, labels) = hidden(&[example]);
                if rows.is_empty() {
                    return Ok((0.0, 0, 0));
                }
                let features = named(&example.id, encoder.features(&inputs))?;
                let logits = encoder.logits(&features, &rows)?.to_dtype(DType::F32)?;
                let logits = logits.to_vec2::<f32>()?;
                let mut gradient = vec![0f32; config.encoder.vocabulary_size()];
                let (mut loss, mut right) = (0.0, 0);
                for (row, &label) in logits.iter().zip(&labels) {
                    let (one, guess) = cross_entropy(row, label as usize, 1.0, &mut gradient);
                    loss += f64::from(one);
                    right += usize::from(guess == label as usize);
                }
                check_finite(&example.id, &[loss as f32])?;
                Ok((loss, right, labels.len()))
            })
            .collect::<Result<Vec<(f64, usize, usize)>>>()?;
        let masked = results.iter().map(|result| result.2).sum::<usize>().max(1) as f64;
        let loss = results.iter().map(|result| result.0).sum::<f64>() / masked;
        let right = results.iter().map(|result| result.1).sum::<usize>() as f64;
        let rows = examples.iter().zip(&results).map(|(example, (loss, right, masked))| {
            let count = (*masked).max(1) as f64;
            format!("{}\t{masked}\t{:.6}\t{:.6}", example.id, loss / count, *right as f64 / count)
        });
        Ok(Report {
            groups: Vec::new(),
            figures: vec![("loss", loss), ("accuracy", right / masked), ("perplexity", loss.exp())],
            header: "id\tmasked\tloss\taccuracy",
            rows: rows.collect(),
        })
    }

    fn figures(&self) -> &'static [&'static str] {
        &["loss", "accuracy", "perplexity"]
    }

    fn smaller_is_better(&self) -> bool {
        true
    }
}
