//! Coding bases, and through them coding transcripts.

use std::ops::Range;

use candle_core::DType;
use rayon::prelude::*;

use super::losses::{binary_cross_entropy, sigmoid};
use super::{Loss, Objective, Report, named, nucleotides, surrogate};
use crate::Result;
use crate::decode::coding_calibration::CodingCalibration;
use crate::model::heads::coding::CodingHead;
use crate::model::ops::dropout::Dropout;
use crate::model::{Encode, Encoder, Input, ModelConfig, Parameters};
use crate::predict::coding::{CodingModel, CodingPrediction, CodingRules};
use crate::sequence::Record;
use crate::train::data::coding::{CodingRecord, CodingRecords, species};
use crate::train::metrics::{Confusion, roc_auc};
use crate::train::random::{Purpose, generator};
use crate::train::signals::Interrupt;

/// Bases per window of the coding potential.
const WINDOW: usize = 30;

/// Length of the fragments of the second accuracy.
pub const FRAGMENT: usize = 200;

/// Shortest CDS that is cut in the middle to see whether its rest is found.
const SHORTEST_TO_CUT: usize = 300;

/// Binary cross entropy of every base, a record counting by the mean over its bases; and, with a weight of its own, of
/// what a transcript is judged by: its own probability, or the coding potential (the best window's mean probability)
/// where the head has none.
pub struct Coding {
    /// Weight of the loss of whole transcripts.
    pub record_weight: f64,
    /// What the model knows beside its network; training is without.
    pub calibration: Option<CodingCalibration>,
    /// Whether an evaluation also cuts transcripts and judges sequences that code for nothing.
    pub detailed: bool,
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
    let coding_bases = match record.bases_known {
        true => record.cds.as_ref().map_or(0, |cds| cds.len()),
        false => length,
    };
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
            let (one, mut part) = match record.bases_known {
                true => bases_loss(record, logits_of_record),
                false => (0.0, vec![0.0; logits_of_record.len()]),
            };
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
        let model = CodingModel::of_parameters(config, parameters, self.calibration.clone())?;
        let results = examples
            .par_iter()
            .map(|record| {
                interrupt.check()?;
                named(&record.id, self.judge_all(&model, record))
            })
            .collect::<Result<Vec<Judged>>>()?;
        let all: Vec<(&CodingRecord, &Judged)> = examples.iter().zip(&results).collect();
        let groups = match self.detailed {
            true => species(examples)
                .into_iter()
                .map(|(name, _)| {
                    let of: Vec<_> = all.iter().filter(|(record, _)| record.species == name).copied().collect();
                    (name, self.report(&of).figures)
                })
                .collect(),
            false => Vec::new(),
        };
        Ok(Report { groups, ..self.report(&all) })
    }

    fn figures(&self) -> &'static [&'static str] {
        FIGURES
    }
}

/// What is reported of every validation.
const FIGURES: &[&str] = &["accuracy", "auc", "f1", "fragment_accuracy", "fragment_auc", "base_auc", "base_f1"];

/// The middle [`FRAGMENT`] bases of a transcript: any fixed place is as good as a random one.
pub fn middle(length: usize) -> Range<usize> {
    let start = length.saturating_sub(FRAGMENT) / 2;
    start..(start + FRAGMENT).min(length)
}

/// What is judged of one transcript.
struct Judged {
    /// Potential, 0 where nothing of it is read.
    potential: f64,
    /// Probability of each base.
    bases: Vec<f32>,
    fragment: f64,
    /// Whether the coding sequence that is found is the annotated one: whole, and cut in the middle of its CDS at the 5'
    /// and at the 3' end.
    exact: [Option<bool>; 3],
    /// Potential of its other strand, of itself backwards, and of a random order of its dinucleotides.
    decoys: Vec<f64>,
}

/// What the tool says of a transcript without options.
fn judge(model: &CodingModel, record: &CodingRecord) -> Result<CodingPrediction> {
    let record = Record { id: record.id.clone(), sequence: record.sequence.clone(), ..Record::default() };
    Ok(model.predict(&[record], &CodingRules::default())?.swap_remove(0))
}

/// The potential of a transcript; what cannot be read is not called mRNA.
fn potential(model: &CodingModel, record: &CodingRecord) -> Result<f64> {
    Ok(judge(model, record)?.potential.unwrap_or(0.0))
}

/// Whether the coding sequence that is found is the annotated one, where there is one.
fn is_exact(record: &CodingRecord, found: &CodingPrediction) -> Option<bool> {
    let cds = record.cds.clone()?;
    Some(found.coding_sequences.first().is_some_and(|frame| (frame.start..frame.end) == cds))
}

impl Coding {
    fn judge_all(&self, model: &CodingModel, record: &CodingRecord) -> Result<Judged> {
        let whole = judge(model, record)?;
        let length = record.sequence.len();
        let mut judged = Judged {
            potential: whole.potential.unwrap_or(0.0),
            exact: [is_exact(record, &whole), None, None],
            bases: whole.probabilities,
            fragment: potential(model, &record.part(middle(length)))?,
            decoys: Vec::new(),
        };
        if !self.detailed {
            return Ok(judged);
        }
        if let Some(cds) = record.cds.as_ref().filter(|cds| cds.len() >= SHORTEST_TO_CUT) {
            let middle = (cds.start + cds.end) / 2;
            for (place, range) in [(1, middle..length), (2, 0..middle)] {
                let part = record.part(range);
                judged.exact[place] = is_exact(&part, &judge(model, &part)?);
            }
        }
        if record.messenger {
            let mut random = generator(0, Purpose::Validation, &[length as u64]);
            for decoy in record.decoys(&mut random) {
                judged.decoys.push(potential(model, &decoy)?);
            }
        }
        Ok(judged)
    }

    fn report(&self, judged: &[(&CodingRecord, &Judged)]) -> Report {
        let (mut transcripts, mut fragments, mut bases, mut rows) = (vec![], vec![], vec![], vec![]);
        for (record, Judged { potential, bases: found, fragment, .. }) in judged {
            transcripts.push((*potential, record.messenger));
            fragments.push((*fragment, record.messenger));
            if let Some(cds) = &record.cds {
                bases.extend(found.iter().enumerate().map(|(i, &p)| (f64::from(p), cds.contains(&i))));
            }
            rows.push(format!(
                "{}\t{}\t{}\t{potential:.6}\t{fragment:.6}",
                record.id,
                record.sequence.len(),
                u8::from(record.messenger)
            ));
        }
        let accuracy = |scored: &[(f64, bool)]| Confusion::of_scores(scored, 0.5);
        let values = [
            accuracy(&transcripts).accuracy(),
            roc_auc(&transcripts),
            accuracy(&transcripts).f1(),
            accuracy(&fragments).accuracy(),
            roc_auc(&fragments),
            roc_auc(&bases),
            accuracy(&bases).f1(),
        ];
        let mut figures: Vec<(&'static str, f64)> = FIGURES.iter().copied().zip(values).collect();
        if self.detailed {
            let mean = |values: &mut dyn Iterator<Item = f64>| {
                let (count, sum) = values.fold((0.0, 0.0), |(count, sum), value| (count + 1.0, sum + value));
                sum / count
            };
            for (place, name) in [(0, "exact_cds"), (1, "exact_cds_5_prime_cut"), (2, "exact_cds_3_prime_cut")] {
                let exact = judged.iter().filter_map(|(_, judged)| judged.exact[place]);
                figures.push((name, mean(&mut exact.map(|exact| f64::from(u8::from(exact))))));
            }
            for (place, name) in
                [(0, "antisense_called_mrna"), (1, "backwards_called_mrna"), (2, "shuffled_called_mrna")]
            {
                let called = judged.iter().filter_map(|(_, judged)| judged.decoys.get(place));
                figures.push((name, mean(&mut called.map(|&potential| f64::from(u8::from(potential >= 0.5))))));
            }
        }
        Report {
            figures,
            header: "id\tlength\tcoding\tcoding_potential\tfragment_potential",
            rows,
            ..Report::default()
        }
    }
}
