//! miRNA target prediction: does the miRNA bind the site?

use candle_core::DType;
use rayon::prelude::*;

use super::losses::cross_entropy;
use super::{Loss, Objective, Report, named, nucleotides, surrogate};
use crate::Result;
use crate::decode::target_background::TargetBackground;
use crate::memory::in_halves;
use crate::model::heads::mirtarget::{MirtargetHead, Pair};
use crate::model::ops::dropout::Dropout;
use crate::model::{Encode, Encoder, Input, ModelConfig, Parameters};
use crate::predict::mirtarget::MirtargetModel;
use crate::train::data::mirtarget::{MirtargetRecord, MirtargetRecords};
use crate::train::metrics::{Confusion, precision_recall_auc, roc_auc};
use crate::train::signals::Interrupt;

/// Cross entropy of the two classes.
#[derive(Clone, Debug, Default)]
pub struct Mirtarget {
    /// What the model knows beside its network; training is without.
    pub background: Option<TargetBackground>,
}

fn pairs<'a>(examples: impl IntoIterator<Item = &'a MirtargetRecord>) -> Vec<Pair<'a>> {
    examples.into_iter().map(|record| Pair { mirna: &record.mirna, site: &record.target }).collect()
}

impl Objective for Mirtarget {
    type Example = MirtargetRecord;
    type Data = MirtargetRecords;

    fn loss(
        &self,
        config: &ModelConfig,
        parameters: &Parameters,
        examples: &[&MirtargetRecord],
        dropout: &mut Dropout,
    ) -> Result<Loss> {
        let pairs = pairs(examples.iter().copied());
        let inputs: Vec<Input> = pairs.iter().map(Pair::input).collect();
        let features = Encoder::new(config, parameters)?.forward(&inputs, Some(&mut *dropout))?;
        let head = MirtargetHead::new(config, parameters)?;
        let logits = head.forward(&features, &pairs, Some(dropout))?.to_dtype(DType::F32)?;
        let rows = logits.to_vec2::<f32>()?;
        // Every member of the head learns on its own.
        let mut gradient = vec![0f32; 2 * rows.len()];
        let mut loss = 0.0;
        for ((row, gradient), pair) in rows.iter().zip(gradient.chunks_exact_mut(2)).zip(examples.iter().cycle()) {
            loss += f64::from(cross_entropy(row, usize::from(pair.label), 1.0, gradient).0);
        }
        Ok(Loss {
            surrogate: surrogate(&logits, gradient)?,
            loss,
            weight: rows.len() as f64,
            tokens: nucleotides(&inputs),
        })
    }

    fn evaluate(
        &self,
        config: &ModelConfig,
        parameters: &Parameters,
        examples: &[MirtargetRecord],
        interrupt: &Interrupt,
    ) -> Result<Report> {
        let model = MirtargetModel::of_parameters(config, parameters, self.background.clone())?;
        let probabilities = examples
            .par_chunks(64)
            .map(|chunk| {
                let work = |part: &[MirtargetRecord]| {
                    interrupt.check()?;
                    let found = model.predict(&pairs(part), |index| part[index].id.clone())?;
                    Ok(found.iter().map(|affinity| affinity.probability).collect::<Vec<f32>>())
                };
                let mut probabilities = Vec::with_capacity(chunk.len());
                let alone = |pair: &MirtargetRecord, error| named(&pair.id, Err(error));
                in_halves(chunk, work, alone, |_, part| {
                    probabilities.extend(part);
                    Ok(())
                })?;
                Ok(probabilities)
            })
            .collect::<Result<Vec<_>>>()?
            .concat();
        let scored: Vec<(f64, bool)> =
            probabilities.iter().zip(examples).map(|(&p, pair)| (f64::from(p), pair.label)).collect();
        let confusion = Confusion::of_scores(&scored, 0.5);
        let rows = examples.iter().zip(&probabilities).map(|(pair, probability)| {
            format!("{}\t{}\t{}\t{probability:.6}", pair.id, pair.mirna_name, u8::from(pair.label))
        });
        Ok(Report {
            groups: Vec::new(),
            figures: vec![
                ("average_precision", precision_recall_auc(&scored)),
                ("f1", confusion.f1()),
                ("accuracy", confusion.accuracy()),
                ("precision", confusion.precision()),
                ("recall", confusion.recall()),
                ("auc", roc_auc(&scored)),
            ],
            header: "id\tmirna\tlabel\tprobability",
            rows: rows.collect(),
        })
    }

    fn figures(&self) -> &'static [&'static str] {
        &["average_precision", "f1", "accuracy", "precision", "recall", "auc"]
    }
}
