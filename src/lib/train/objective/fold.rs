//! Secondary structure: which pairs of bases form?

use std::sync::OnceLock;

use candle_core::DType;
use rayon::prelude::*;

use super::losses::binary_cross_entropy;
use super::{Loss, Objective, Report, named, nucleotides, surrogate};
use crate::Result;
use crate::decode::base_pairs::PairRules;
use crate::homologs::KnownStructures;
use crate::model::heads::fold::FoldHead;
use crate::model::heads::helix_pairs::Facts;
use crate::model::ops::dropout::Dropout;
use crate::model::{Encode, Encoder, Input, ModelConfig, Parameters};
use crate::predict::fold::{FoldRules, fold};
use crate::structure::Structure;
use crate::thermodynamics::Conditions;
use crate::train::data::fold::FoldRecord;
use crate::train::metrics::{PairScores, compare_pairs};
use crate::train::signals::Interrupt;

/// Binary cross entropy over the pairs that may form, the annotated ones weighted more. A record counts by the mean over
/// its bases (not its pairs), so that long ones do not drown the others.
pub struct Fold {
    /// How much more an annotated pair counts.
    pub positive_weight: f64,
    /// Which pairs may form.
    pub rules: PairRules,
    /// Structures among which records look for homologs that are no copies of theirs.
    pub known: Option<KnownStructures>,
}

impl Fold {
    /// Loss of one sequence and its gradient with respect to the logits of `pairs`.
    fn pairs_loss(&self, structure: &Structure, pairs: &[(usize, usize)], logits: &[f32]) -> (f64, Vec<f32>) {
        let scale = 1.0 / structure.sequence.len() as f32;
        let mut loss = 0.0;
        let gradient = pairs.iter().zip(logits).map(|(&(i, j), &logit)| {
            if !self.rules.allows(&structure.sequence, i, j) {
                return 0.0;
            }
            let paired = structure.partners[j] == Some(i);
            let weight = if paired { self.positive_weight as f32 } else { 1.0 } * scale;
            let (one, slope) = binary_cross_entropy(logit, f32::from(u8::from(paired)));
            loss += f64::from(weight * one);
            weight * slope
        });
        let gradient = gradient.collect();
        (loss, gradient)
    }
}

impl Objective for Fold {
    type Example = FoldRecord;
    type Data = Vec<FoldRecord>;

    fn loss(
        &self,
        config: &ModelConfig,
        parameters: &Parameters,
        examples: &[&FoldRecord],
        dropout: &mut Dropout,
    ) -> Result<Loss> {
        let inputs: Vec<Input> = examples.iter().map(|record| Input::Letters(&record.structure.sequence)).collect();
        let features = Encoder::new(config, parameters)?.forward(&inputs, Some(dropout))?;
        let head = FoldHead::new(config, parameters)?;
        let mut total = None;
        let mut loss = 0.0;
        for (index, record) in examples.iter().enumerate() {
            let (structure, features) = (&record.structure, head.input(&features, index)?);
            let facts = kept(&record.facts, || head.facts(&structure.sequence, self.known.as_ref()))?;
            let Some(found) = head.forward(&features, &structure.sequence, facts, record.most_alike)? else { continue };
            let logits = found.logits.to_dtype(DType::F32)?;
            let (one, gradient) = self.pairs_loss(structure, &found.pairs, &logits.to_vec1::<f32>()?);
            loss += one;
            let part = surrogate(&logits, gradient)?;
            total = Some(match total {
                None => part,
                Some(total) => (total + part)?,
            });
        }
        let surrogate = match total {
            Some(total) => total,
            // No two bases of any record could pair: nothing to learn.
            None => surrogate(features.rows(), vec![0.0; features.rows().elem_count()])?,
        };
        Ok(Loss { surrogate, loss, weight: examples.len() as f64, tokens: nucleotides(&inputs) })
    }

    fn evaluate(
        &self,
        config: &ModelConfig,
        parameters: &Parameters,
        examples: &[FoldRecord],
        interrupt: &Interrupt,
    ) -> Result<Report> {
        let encoder = Encoder::new(config, parameters)?.for_inference()?;
        let head = FoldHead::new(config, parameters)?.for_inference(self.known.clone())?;
        let rules = FoldRules { pairs: self.rules, ..FoldRules::default() };
        let scores = examples
            .par_iter()
            .map(|FoldRecord { structure, facts, .. }| {
                interrupt.check()?;
                let sequence = structure.sequence.as_slice();
                let facts = kept(facts, || head.facts(sequence, Conditions::default()));
                let facts = named(&structure.id, facts)?;
                let work = || {
                    let features = encoder.features(&[Input::Letters(sequence)])?;
                    fold(&head, &head.input(&features, 0)?, &structure.id, sequence, facts, &rules)
                };
                let predicted = named(&structure.id, work())?;
                Ok(compare_pairs(&predicted.structure.partners, &structure.partners))
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(report(examples, &scores))
    }

    fn figures(&self) -> &'static [&'static str] {
        &["f1", "precision", "recall", "f1_one_off", "fidelity"]
    }
}

/// What `cell` holds; computed where it holds nothing yet.
fn kept(cell: &OnceLock<Facts>, compute: impl FnOnce() -> Result<Facts>) -> Result<&Facts> {
    match cell.get() {
        Some(facts) => Ok(facts),
        None => {
            let facts = compute()?;
            Ok(cell.get_or_init(|| facts))
        }
    }
}

/// The figures of structures that were compared with those of `examples`, one for each.
pub(in crate::train) fn report(examples: &[FoldRecord], scores: &[PairScores]) -> Report {
    let mean = |figure: fn(&PairScores) -> f64| scores.iter().map(figure).sum::<f64>() / scores.len().max(1) as f64;
    let rows = examples.iter().zip(scores).map(|(FoldRecord { structure, .. }, s)| {
        format!(
            "{}\t{}\t{}\t{}\t{:.6}\t{:.6}\t{:.6}\t{:.6}\t{:.6}",
            structure.id,
            structure.sequence.len(),
            s.annotated,
            s.predicted,
            s.precision,
            s.recall,
            s.f1,
            s.slack_f1,
            s.fidelity
        )
    });
    Report {
        groups: Vec::new(),
        figures: vec![
            ("f1", mean(|s| s.f1)),
            ("precision", mean(|s| s.precision)),
            ("recall", mean(|s| s.recall)),
            ("f1_one_off", mean(|s| s.slack_f1)),
            ("fidelity", mean(|s| s.fidelity)),
        ],
        header: "id\tlength\tannotated\tpredicted\tprecision\trecall\tf1\tf1_one_off\tfidelity",
        rows: rows.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{HeadConfig, HeadKind, RetentionConfig, Task, initialise};

    fn record(sequence: &[u8], partners: Vec<Option<usize>>) -> FoldRecord {
        Structure { id: "one".into(), sequence: sequence.to_vec(), partners }.into()
    }

    /// Records whose bases cannot pair cost nothing, alone or beside others, and are folded into no pairs.
    #[test]
    fn records_without_possible_pairs_do_no_harm() {
        let objective = Fold { positive_weight: 3.0, rules: PairRules::default(), known: None };
        for head in [HeadKind::Published, HeadKind::Helices] {
            let none = record(b"AAAAAAAAA", vec![None; 9]);
            let hairpin = record(b"GGGAAACC", vec![None, Some(7), Some(6), None, None, None, Some(2), Some(1)]);
            let sizes = RetentionConfig { width: 16, value_width: 16, ffn_width: 16, layers: 1, ..Default::default() };
            let config = ModelConfig::new(sizes, HeadConfig::new(Task::Fold, head, 3, 8).unwrap());
            let parameters = initialise(&config, 1).unwrap();
            let loss = |examples: &[&FoldRecord]| {
                let loss = objective.loss(&config, &parameters, examples, &mut Dropout::new(0.0, 0)).unwrap();
                assert!(loss.surrogate.to_scalar::<f32>().unwrap().is_finite());
                loss.loss
            };
            assert_eq!(loss(&[&none]), 0.0, "{head:?}");
            assert!(loss(&[&hairpin]) > 0.0, "{head:?}");
            assert_eq!(loss(&[&none, &hairpin]), loss(&[&hairpin]), "{head:?}");
            let report = objective
                .evaluate(&config, &parameters, &[none.clone(), hairpin.clone()], &Interrupt::default())
                .unwrap();
            assert_eq!(report.rows.len(), 2, "{head:?}");
            // What the free energies gave is kept for the next time.
            let kept = hairpin.facts.get().map(|facts| facts.free_energy.len());
            assert_eq!(kept, Some(if head == HeadKind::Helices { 4 } else { 0 }), "{head:?}");
        }
    }
}
