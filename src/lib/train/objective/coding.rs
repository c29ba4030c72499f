//! Coding bases, and through them coding transcripts.

use candle_core::DType;
use rayon::prelude::*;

use super::losses::{binary_cross_entropy, sigmoid};
use super::{Loss, Objective, Report, named, nucleotides, surrogate};
use crate::Result;
use crate::model::heads::coding::CodingHead;
use crate::model::ops::dropout::Dropout;
use crate::model::{Encode, Encoder, Input, ModelConfig, Parameters};
use crate::predict::check_finite;
use crate::train::data::coding::{CodingRecord, CodingRecords};
use crate::train::metrics::{Confusion, roc_auc};
use crate::train::signals::Interrupt;

/// Bases per window of the coding potential.
const WINDOW: usize = 30;

/// Length of the fragments of the second accuracy.
const FRAGMENT: usize = 200;

/// Binary cross entropy of every base, a record counting by the mean over its bases; and, with a weight of its own, of
/// what a transcript is judged by: its own probability, or the coding potential (the best window's mean probability)
/// where the head has none.
pub struct Coding {
    /// Weight of the loss of whole transcripts.
    pub record_weight: f64,
}

/// Loss of the bases of one transcript and its gradient with respect to the logits [length].
fn bases_loss(record: &CodingRecord, logits: &[f32]) -> (f64, Vec<f32>) {
    let scale = 1.0 / logits.len() as f32;
    let mut loss = 0.0;
    let gradient = logits
        .iter()
        .enumerate()
        .map(|(position, &logit)| {
            let codes = record.cds.as_ref().is_some_and(|cds| cds.contains(&position));
            let (one, slope) = binary_cross_entropy(logit, f32::from(u8::from(codes)));
            loss += f64::from(one * scale);
            slope * scale
        })
        .collect();
    (loss, gradient)
}

/// Loss of the coding potential of one transcript, times `weight`; adds its gradient to that of the logits [length].
fn potential_loss(record: &CodingRecord, logits: &[f32], weight: f64, gradient: &mut [f32]) -> f64 {
    let length = logits.len();
    // A fragment with a sliver of CDS is neither: only its bases count.
    let coding_bases = record.cds.as_ref().map_or(0, |cds| cds.len());
    if weight == 0.0 || (coding_bases > 0 && coding_bases < WINDOW) {
        return 0.0;
    }
    let probabilities: Vec<f32> = logits.iter().map(|&logit| sigmoid(logit)).collect();
    let window = WINDOW.min(length);
    let mut sum: f64 = probabilities[..window].iter().map(|&p| f64::from(p)).sum();
    let (mut best, mut start) = (sum, 0);
    for end in window..length {
        sum += f64::from(probabilities[end]) - f64::from(probabilities[end - window]);
        if sum > best {
            (best, start) = (sum, end + 1 - window);
        }
    }
    let mean = (best / window as f64).clamp(1e-6, 1.0 - 1e-6);
    let (one, slope) = match coding_bases > 0 {
        true => (-mean.ln(), -1.0 / mean),
        false => (-(1.0 - mean).ln(), 1.0 / (1.0 - mean)),
    };
    for position in start..start + window {
        let p = f64::from(probabilities[position]);
        gradient[position] += (weight * slope * p * (1.0 - p) / window as f64) as f32;
    }
    weight * one
}

impl Objective for Coding {
    type Example = CodingRecord;
    type Data = CodingRecords;

    fn loss(
        &self,
        config: &ModelConfig,
        parameters: &Parameters,
        examples: &[&CodingRecord],
        dropout: &mut Dropout,
    ) -> Result<Loss> {
        let inputs: Vec<Input> = examples.iter().map(|record| Input::Letters(&record.sequence)).collect();
        let letters: Vec<u8> = examples.iter().flat_map(|record| record.sequence.iter().copied()).collect();
        let features = Encoder::new(config, parameters)?.forward(&inputs, Some(dropout))?;
        let logits = CodingHead::new(config, parameters)?.forward(&features, &letters)?;
        let bases = logits.bases.to_dtype(DType::F32)?;
        let values = bases.to_vec1::<f32>()?;
        let mut gradient = Vec::with_capacity(values.len());
        let mut loss = 0.0;
        for (record, range) in examples.iter().zip(features.ranges()) {
            let logits_of_record = &values[range];
            let (one, mut part) = bases_loss(record, logits_of_record);
            loss += one;
            if logits.transcripts.is_none() {
                loss += potential_loss(record, logits_of_record, self.record_weight, &mut part);
            }
            gradient.extend(part);
        }
        let mut whole = surrogate(&bases, gradient)?;
        if let Some(transcripts) = &logits.transcripts {
            let transcripts = &transcripts.to_dtype(DType::F32)?;
            let mut gradient = Vec::with_capacity(examples.len());
            for (record, logit) in examples.iter().zip(transcripts.to_vec1::<f32>()?) {
                let (one, slope) = binary_cross_entropy(logit, f32::from(u8::from(record.messenger)));
                loss += self.record_weight * f64::from(one);
                gradient.push(self.record_weight as f32 * slope);
            }
            whole = (whole + surrogate(transcripts, gradient)?)?;
        }
        Ok(Loss { surrogate: whole, loss, weight: examples.len() as f64, tokens: nucleotides(&inputs) })
    }

    fn evaluate(
        &self,
        config: &ModelConfig,
        parameters: &Parameters,
        examples: &[CodingRecord],
        interrupt: &Interrupt,
    ) -> Result<Report> {
        let encoder = Encoder::new(config, parameters)?.for_inference()?;
        let head = CodingHead::new(config, parameters)?;
        let probabilities = |record: &CodingRecord| -> Result<(Vec<f32>, f64)> {
            let features = encoder.features(&[Input::Letters(&record.sequence)])?;
            let found = head.probabilities(&features, &record.sequence)?;
            check_finite(&record.id, &found.bases)?;
            let potential = found.potential(0, 0..found.bases.len(), WINDOW);
            check_finite(&record.id, &[potential as f32])?;
            Ok((found.bases, potential))
        };
        let results = examples
            .par_iter()
            .map(|record| {
                interrupt.check()?;
                let whole = named(&record.id, probabilities(record))?;
                // The middle of the transcript: any fixed place is as good as a random one.
                let start = record.sequence.len().saturating_sub(FRAGMENT) / 2;
                let end = (start + FRAGMENT).min(record.sequence.len());
                let fragment = probabilities(&record.part(start..end))?;
                Ok((whole, fragment.1))
            })
            .collect::<Result<Vec<((Vec<f32>, f64), f64)>>>()?;
        let (mut transcripts, mut fragments, mut bases, mut rows) = (vec![], vec![], vec![], vec![]);
        for (record, ((whole, potential), fragment)) in examples.iter().zip(&results) {
            transcripts.push((*potential, record.messenger));
            fragments.push((*fragment, record.messenger));
            if let Some(cds) = &record.cds {
                bases.extend(whole.iter().enumerate().map(|(i, &p)| (f64::from(p), cds.contains(&i))));
            }
            rows.push(format!(
                "{}\t{}\t{}\t{potential:.6}\t{fragment:.6}",
                record.id,
                record.sequence.len(),
                u8::from(record.messenger)
            ));
        }
        let accuracy = |scored: &[(f64, bool)]| Confusion::of_scores(scored, 0.5);
        Ok(Report {
            figures: vec![
                ("accuracy", accuracy(&transcripts).accuracy()),
                ("auc", roc_auc(&transcripts)),
                ("f1", accuracy(&transcripts).f1()),
                ("fragment_accuracy", accuracy(&fragments).accuracy()),
                ("fragment_auc", roc_auc(&fragments)),
                ("base_auc", roc_auc(&bases)),
                ("base_f1", accuracy(&bases).f1()),
            ],
            header: "id\tlength\tcoding\tcoding_potential\tfragment_potential",
            rows,
        })
    }

    fn figures(&self) -> &'static [&'static str] {
        &["accuracy", "auc", "f1", "fragment_accuracy", "fragment_auc", "base_auc", "base_f1"]
    }
}
