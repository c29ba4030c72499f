//! Simple rules for classes and values: what the k-mers of a sequence alone say.

use rayon::prelude::*;

use super::data::labelled::LabelledExample;
use super::kmer_regression::{KmerRegression, LinearRegression};
use super::objective::general::Answers;
use crate::Result;
use crate::model::heads::outputs::Outputs;

/// Neighbours that are asked.
const NEIGHBOURS: usize = 5;

/// Classes by logistic regressions, one for each class against the others; values by linear ones. Both on the frequencies
/// of k-mers.
///
/// # Errors
/// Where a class or a value has no training sequences.
pub fn regression(
    outputs: &Outputs,
    training: &[LabelledExample],
    examples: &[LabelledExample],
) -> Result<Vec<Answers>> {
    match outputs {
        Outputs::Classes { names } => {
            let fitted = (0..names.len())
                .map(|class| {
                    let labelled: Vec<(&[u8], bool)> = training
                        .iter()
                        .map(|example| (example.sequence.as_slice(), example.targets[0] == class as f32))
                        .collect();
                    // A class that is not in the training data is never predicted.
                    let has_both = labelled.iter().any(|(_, label)| *label);
                    has_both.then(|| KmerRegression::fit(&labelled)).transpose()
                })
                .collect::<Result<Vec<_>>>()?;
            let answer = |example: &LabelledExample| {
                let of_class = |fitted: &Option<KmerRegression>| {
                    fitted.as_ref().map_or(0.0, |fitted| fitted.probability(&example.sequence))
                };
                let probabilities: Vec<f64> = fitted.iter().map(of_class).collect();
                let total: f64 = probabilities.iter().sum::<f64>().max(f64::MIN_POSITIVE);
                vec![probabilities.into_iter().map(|p| (p / total) as f32).collect()]
            };
            Ok(examples.par_iter().map(answer).collect())
        }
        Outputs::Values { names, .. } => {
            let fitted = (0..names.len())
                .map(|column| {
                    let labelled: Vec<(&[u8], f64)> = training
                        .iter()
                        .filter(|example| !example.targets[column].is_nan())
                        .map(|example| (example.sequence.as_slice(), f64::from(example.targets[column])))
                        .collect();
                    LinearRegression::fit(&labelled)
                })
                .collect::<Result<Vec<_>>>()?;
            let answer = |example: &LabelledExample| {
                vec![fitted.iter().map(|fitted| fitted.value(&example.sequence) as f32).collect()]
            };
            Ok(examples.par_iter().map(answer).collect())
        }
    }
}

/// What the five training sequences with the most similar numbers of 3-mers are: their classes' shares, or the means of
/// their values. Of equally similar ones the first count.
pub fn five_neighbours(outputs: &Outputs, training: &[LabelledExample], examples: &[LabelledExample]) -> Vec<Answers> {
    let known: Vec<([f32; 64], &[f32])> =
        training.iter().map(|example| (trimers(&example.sequence), example.targets.as_slice())).collect();
    let answer = |example: &LabelledExample| {
        let own = trimers(&example.sequence);
        let distance = |other: &[f32; 64]| own.iter().zip(other).map(|(a, b)| (a - b) * (a - b)).sum::<f32>();
        let mut nearest: Vec<(f32, usize)> =
            known.iter().enumerate().map(|(index, (other, _))| (distance(other), index)).collect();
        nearest.sort_by(|one, two| one.0.total_cmp(&two.0).then(one.1.cmp(&two.1)));
        let targets: Vec<&[f32]> = nearest.iter().take(NEIGHBOURS).map(|(_, index)| known[*index].1).collect();
        vec![match outputs {
            Outputs::Classes { names } => {
                let share = |class| targets.iter().filter(|target| target[0] == class as f32).count();
                (0..names.len()).map(|class| share(class) as f32 / targets.len() as f32).collect()
            }
            Outputs::Values { names, means, .. } => (0..names.len())
                .map(|column| {
                    let values: Vec<f32> = targets.iter().map(|t| t[column]).filter(|value| !value.is_nan()).collect();
                    match values.len() {
                        0 => means[column] as f32,
                        count => values.iter().sum::<f32>() / count as f32,
                    }
                })
                .collect(),
        }]
    };
    examples.par_iter().map(answer).collect()
}

/// How often each 3-mer of A, C, G and U occurs.
fn trimers(sequence: &[u8]) -> [f32; 64] {
    let mut counts = [0.0; 64];
    let number = |letter: &u8| b"ACGU".iter().position(|base| base == letter);
    for window in sequence.windows(3) {
        if let (Some(a), Some(b), Some(c)) = (number(&window[0]), number(&window[1]), number(&window[2])) {
            counts[16 * a + 4 * b + c] += 1.0;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(sequence: &str, targets: &[f32]) -> LabelledExample {
        LabelledExample { id: "x".into(), sequence: sequence.bytes().collect(), targets: targets.to_vec() }
    }

    #[test]
    fn like_goes_to_like() {
        let training: Vec<LabelledExample> = (0..12)
            .map(|i| match i % 2 {
                0 => example(&"GCC".repeat(5 + i), &[0.0]),
                _ => example(&"UAA".repeat(5 + i), &[1.0]),
            })
            .collect();
        let asked = [example(&"GCC".repeat(9), &[f32::NAN]), example(&"UAA".repeat(9), &[f32::NAN])];
        let classes = Outputs::Classes { names: vec!["gc".into(), "au".into()] };
        for answers in [regression(&classes, &training, &asked).unwrap(), five_neighbours(&classes, &training, &asked)]
        {
            assert!(answers[0][0][0] > 0.9 && answers[1][0][1] > 0.9, "{answers:?}");
        }
        let values = Outputs::Values { names: vec!["x".into()], means: vec![0.5], deviations: vec![0.5] };
        for answers in [regression(&values, &training, &asked).unwrap(), five_neighbours(&values, &training, &asked)] {
            assert!(answers[0][0][0] < 0.1 && answers[1][0][0] > 0.9, "{answers:?}");
        }
    }
}
