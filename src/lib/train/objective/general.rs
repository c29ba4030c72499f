//! Classes or values, whatever they are about: of sequences or of nucleotides.

use std::marker::PhantomData;

use candle_core::DType;
use rayon::prelude::*;

use super::losses::cross_entropy;
use super::{Loss, Objective, Report, named, nucleotides, surrogate};
use crate::Result;
use crate::format::number;
use crate::model::heads::general::{GeneralHead, Part};
use crate::model::heads::outputs::{Outputs, largest};
use crate::model::ops::dropout::Dropout;
use crate::model::{Encode, Encoder, Input, ModelConfig, Parameters};
use crate::train::data::labelled::LabelledExample;
use crate::train::metrics::{compare_classes, compare_values, mean};
use crate::train::signals::Interrupt;

/// What a model or a rule answers about one record: for each of its parts the probabilities of the classes, or the values.
pub type Answers = Vec<Vec<f32>>;

/// Cross entropy of classes, or the squared error of values in units of their standard deviation; the mean over all parts
/// whose label is known.
pub struct General<H> {
    outputs: Outputs,
    head: PhantomData<fn() -> H>,
}

impl<H: GeneralHead> General<H> {
    /// For a head of these outputs.
    pub fn new(outputs: Outputs) -> Self {
        Self { outputs, head: PhantomData }
    }
}

/// The loss of one part, whether it counts, and the gradient with respect to its numbers.
fn part_loss(outputs: &Outputs, numbers: &[f32], targets: &[f32], gradient: &mut [f32]) -> (f64, bool) {
    match outputs {
        Outputs::Classes { .. } if targets[0].is_nan() => (0.0, false),
        Outputs::Classes { .. } => (f64::from(cross_entropy(numbers, targets[0] as usize, 1.0, gradient).0), true),
        Outputs::Values { means, deviations, .. } => {
            let scale = 1.0 / targets.len() as f32;
            let mut loss = 0.0;
            for (column, &target) in targets.iter().enumerate().filter(|(_, target)| !target.is_nan()) {
                let wanted = ((f64::from(target) - means[column]) / deviations[column]) as f32;
                let difference = numbers[column] - wanted;
                loss += f64::from(scale * difference * difference);
                gradient[column] = 2.0 * scale * difference;
            }
            (loss, targets.iter().any(|target| !target.is_nan()))
        }
    }
}

impl<H: GeneralHead> Objective for General<H> {
    type Example = LabelledExample;
    type Data = Vec<LabelledExample>;

    fn loss(
        &self,
        config: &ModelConfig,
        parameters: &Parameters,
        examples: &[&LabelledExample],
        dropout: &mut Dropout,
    ) -> Result<Loss> {
        let inputs: Vec<Input> = examples.iter().map(|example| Input::Letters(&example.sequence)).collect();
        let features = Encoder::new(config, parameters)?.forward(&inputs, Some(&mut *dropout))?;
        let logits = H::new(config, parameters)?.forward(&features, Some(dropout))?.to_dtype(DType::F32)?;
        let targets: Vec<f32> = examples.iter().flat_map(|example| example.targets.iter().copied()).collect();
        let (width, count) = (self.outputs.targets(), self.outputs.count());
        let numbers = logits.flatten_all()?.to_vec1::<f32>()?;
        let mut gradient = vec![0f32; numbers.len()];
        let (mut loss, mut weight) = (0.0, 0.0);
        for ((numbers, targets), gradient) in
            numbers.chunks_exact(count).zip(targets.chunks_exact(width)).zip(gradient.chunks_exact_mut(count))
        {
            let (one, counts) = part_loss(&self.outputs, numbers, targets, gradient);
            loss += one;
            weight += f64::from(u8::from(counts));
        }
        Ok(Loss { surrogate: surrogate(&logits, gradient)?, loss, weight, tokens: nucleotides(&inputs) })
    }

    fn evaluate(
        &self,
        config: &ModelConfig,
        parameters: &Parameters,
        examples: &[LabelledExample],
        interrupt: &Interrupt,
    ) -> Result<Report> {
        let encoder = Encoder::new(config, parameters)?.for_inference()?;
        let head = H::new(config, parameters)?;
        let answers = examples
            .par_iter()
            .map(|example| {
                interrupt.check()?;
                let work = || head.answers(&encoder.features(&[Input::Letters(&example.sequence)])?);
                Ok(named(&example.id, work())?.remove(0))
            })
            .collect::<Result<Vec<Answers>>>()?;
        Ok(report(&self.outputs, H::PART, examples, &answers))
    }

    fn figures(&self) -> &'static [&'static str] {
        match self.outputs {
            Outputs::Classes { .. } => &["accuracy", "macro_f1", "mcc", "auc"],
            Outputs::Values { .. } => &["mcrmse", "rmse", "pearson", "spearman", "r2"],
        }
    }

    fn smaller_is_better(&self) -> bool {
        matches!(self.outputs, Outputs::Values { .. })
    }
}

/// The figures of answers about `examples`, of a model or of a rule, as far as labels are known. Of several values,
/// correlations and r2 are means over them, mcrmse is the mean of each value's rmse, and rmse is over all of them.
pub fn report(outputs: &Outputs, part: Part, examples: &[LabelledExample], answers: &[Answers]) -> Report {
    let width = outputs.targets();
    let parts = || examples.iter().zip(answers).flat_map(|(one, rows)| one.targets.chunks_exact(width).zip(rows));
    match outputs {
        Outputs::Classes { names } => {
            let known: Vec<(&[f32], usize)> = parts()
                .filter(|(targets, _)| !targets[0].is_nan())
                .map(|(targets, row)| (row.as_slice(), targets[0] as usize))
                .collect();
            let scores = compare_classes(&known);
            let rows = examples.iter().zip(answers).map(|(example, rows)| class_row(names, part, example, rows));
            Report {
                groups: Vec::new(),
                figures: vec![
                    ("accuracy", scores.accuracy),
                    ("macro_f1", scores.macro_f1),
                    ("mcc", scores.mcc),
                    ("auc", scores.auc),
                ],
                header: match part {
                    Part::Sequence => "id\tlabel\tpredicted\tprobability",
                    Part::Nucleotide => "id\tlabelled\taccuracy",
                },
                rows: rows.collect(),
            }
        }
        Outputs::Values { names, .. } => {
            let pairs = |column: usize| -> Vec<(f64, f64)> {
                parts()
                    .filter(|(targets, _)| !targets[column].is_nan())
                    .map(|(targets, row)| (f64::from(row[column]), f64::from(targets[column])))
                    .collect()
            };
            let columns: Vec<Vec<(f64, f64)>> = (0..width).map(pairs).collect();
            let scores: Vec<_> = columns.iter().map(|pairs| compare_values(pairs)).collect();
            let over_columns = |figure: fn(&crate::train::metrics::ValueScores) -> f64| {
                mean(&scores.iter().map(figure).collect::<Vec<_>>())
            };
            let rows = examples.iter().zip(answers).flat_map(|(example, rows)| value_rows(names, part, example, rows));
            Report {
                groups: Vec::new(),
                figures: vec![
                    ("mcrmse", over_columns(|scores| scores.rmse)),
                    ("rmse", compare_values(&columns.concat()).rmse),
                    ("pearson", over_columns(|scores| scores.pearson)),
                    ("spearman", over_columns(|scores| scores.spearman)),
                    ("r2", over_columns(|scores| scores.r2)),
                ],
                header: match part {
                    Part::Sequence => "id\tname\tvalue\tpredicted",
                    Part::Nucleotide => "id\tname\tlabelled\trmse",
                },
                rows: rows.collect(),
            }
        }
    }
}

fn class_row(names: &[String], part: Part, example: &LabelledExample, rows: &Answers) -> String {
    let known = |(target, row): (&f32, &Vec<f32>)| (!target.is_nan()).then(|| largest(row) == *target as usize);
    match part {
        Part::Sequence => {
            let truth = names.get(example.targets[0] as usize).filter(|_| example.is_labelled());
            let best = largest(&rows[0]);
            let probability = number::format(rows[0][best]);
            format!("{}\t{}\t{}\t{probability}", example.id, truth.map_or("NA", String::as_str), names[best])
        }
        Part::Nucleotide => {
            let right: Vec<bool> = example.targets.iter().zip(rows).filter_map(known).collect();
            let accuracy = right.iter().filter(|right| **right).count() as f64 / right.len() as f64;
            format!("{}\t{}\t{}", example.id, right.len(), number::format(accuracy))
        }
    }
}

fn value_rows(names: &[String], part: Part, example: &LabelledExample, rows: &Answers) -> Vec<String> {
    let row = |(column, name): (usize, &String)| {
        let targets = example.targets.iter().skip(column).step_by(names.len());
        let mut pairs = targets.zip(rows).map(|(&target, row)| (f64::from(row[column]), f64::from(target)));
        match part {
            Part::Sequence => {
                let (predicted, value) = pairs.next_back().unwrap_or((f64::NAN, f64::NAN));
                format!("{}\t{name}\t{}\t{}", example.id, number::format(value), number::format(predicted))
            }
            Part::Nucleotide => {
                let known: Vec<(f64, f64)> = pairs.filter(|(_, target)| !target.is_nan()).collect();
                let rmse = number::format(compare_values(&known).rmse);
                format!("{}\t{name}\t{}\t{rmse}", example.id, known.len())
            }
        }
    };
    names.iter().enumerate().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_labels_count_for_nothing() {
        let values =
            Outputs::Values { names: vec!["a".into(), "b".into()], means: vec![1.0, 0.0], deviations: vec![2.0, 1.0] };
        let mut gradient = [0.0; 2];
        let (loss, counts) = part_loss(&values, &[0.5, 9.0], &[3.0, f32::NAN], &mut gradient);
        assert_eq!((loss, counts, gradient), (0.125, true, [-0.5, 0.0]));
        let mut untouched = [0.0; 2];
        assert_eq!(part_loss(&values, &[0.5, 9.0], &[f32::NAN; 2], &mut untouched), (0.0, false));
        let classes = Outputs::Classes { names: vec!["a".into(), "b".into()] };
        assert_eq!(part_loss(&classes, &[0.5, 9.0], &[f32::NAN], &mut untouched), (0.0, false));
        assert_eq!(untouched, [0.0; 2]);
    }

    #[test]
    fn figures_of_nucleotides_are_over_all_records() {
        let classes = Outputs::Classes { names: vec!["a".into(), "b".into()] };
        let example =
            |targets: &[f32]| LabelledExample { id: "x".into(), sequence: b"AC".to_vec(), targets: targets.into() };
        let examples = [example(&[0.0, 1.0]), example(&[f32::NAN, 1.0])];
        let answers = [vec![vec![0.9, 0.1], vec![0.8, 0.2]], vec![vec![0.1, 0.9], vec![0.4, 0.6]]];
        let report = report(&classes, Part::Nucleotide, &examples, &answers);
        assert_eq!(report.figures[0], ("accuracy", 2.0 / 3.0));
        assert_eq!(report.rows, ["x\t2\t0.5", "x\t1\t1"]);
    }
}
