//! Simple rules for nucleotides: what others in the same surroundings are.

use rayon::prelude::*;

use super::data::labelled::LabelledExample;
use super::objective::general::Answers;
use crate::Result;
use crate::decode::base_pairs::{Decoder, PairRules, decode};
use crate::model::heads::outputs::Outputs;
use crate::thermodynamics::pair_probabilities;

/// What the nucleotides of the training data with the same letter and the same neighbours are on average.
///
/// # Errors
/// As [`by_pairing`].
pub fn by_neighbours(
    outputs: &Outputs,
    training: &[LabelledExample],
    examples: &[LabelledExample],
) -> Result<Vec<Answers>> {
    let contexts = |sequence: &[u8]| -> Result<Vec<usize>> {
        let at = |place: Option<usize>| place.and_then(|place| sequence.get(place)).map_or(4, |letter| number(*letter));
        Ok((0..sequence.len()).map(|i| 25 * at(i.checked_sub(1)) + 5 * at(Some(i)) + at(Some(i + 1))).collect())
    };
    by_context(outputs, training, examples, 125, contexts)
}

/// What the nucleotides of the training data with the same letter are on average that are paired, or that are not, in the
/// best structure without pseudoknots by free energy.
///
/// # Errors
/// Where a sequence does not fit in memory.
pub fn by_pairing(
    outputs: &Outputs,
    training: &[LabelledExample],
    examples: &[LabelledExample],
) -> Result<Vec<Answers>> {
    let contexts = |sequence: &[u8]| -> Result<Vec<usize>> {
        let probabilities = pair_probabilities(sequence)?;
        let partners = decode(Decoder::Nested, sequence, &probabilities, PairRules::default());
        let bases = sequence.iter().zip(partners);
        Ok(bases.map(|(letter, partner)| 2 * number(*letter) + usize::from(partner.is_some())).collect())
    };
    by_context(outputs, training, examples, 10, contexts)
}

/// A number from 0 to 4 for a letter.
fn number(letter: u8) -> usize {
    b"ACGU".iter().position(|base| *base == letter).unwrap_or(4)
}

/// The shares of the classes or the means of the values of each of `count` contexts; those of all where there are none.
fn by_context(
    outputs: &Outputs,
    training: &[LabelledExample],
    examples: &[LabelledExample],
    count: usize,
    contexts: impl Fn(&[u8]) -> Result<Vec<usize>> + Sync,
) -> Result<Vec<Answers>> {
    let columns = outputs.count();
    // Sum and number of each column in each context; the last context is all of them.
    let mut sums = vec![vec![(0f64, 0f64); columns]; count + 1];
    let of_training: Vec<Vec<usize>> =
        training.par_iter().map(|example| contexts(&example.sequence)).collect::<Result<_>>()?;
    for (example, contexts) in training.iter().zip(&of_training) {
        for (targets, &context) in example.targets.chunks_exact(outputs.targets()).zip(contexts) {
            for place in [context, count] {
                for (column, (sum, number)) in sums[place].iter_mut().enumerate() {
                    let target = match outputs {
                        Outputs::Classes { .. } if targets[0].is_nan() => continue,
                        Outputs::Classes { .. } => f64::from(u8::from(targets[0] == column as f32)),
                        Outputs::Values { .. } if targets[column].is_nan() => continue,
                        Outputs::Values { .. } => f64::from(targets[column]),
                    };
                    *sum += target;
                    *number += 1.0;
                }
            }
        }
    }
    let means: Vec<Vec<f32>> = sums
        .iter()
        .map(|columns| {
            let mean = |(column, (sum, number)): (usize, &(f64, f64))| match *number > 0.0 {
                true => (sum / number) as f32,
                false => (sums[count][column].0 / sums[count][column].1.max(1.0)) as f32,
            };
            columns.iter().enumerate().map(mean).collect()
        })
        .collect();
    let answer = |example: &LabelledExample| {
        Ok(contexts(&example.sequence)?.into_iter().map(|context| means[context].clone()).collect())
    };
    examples.par_iter().map(answer).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(sequence: &str, targets: &[f32]) -> LabelledExample {
        LabelledExample { id: "x".into(), sequence: sequence.bytes().collect(), targets: targets.to_vec() }
    }

    #[test]
    fn the_same_context_gets_the_mean() {
        let values = Outputs::Values { names: vec!["v".into()], means: vec![0.0], deviations: vec![1.0] };
        let training = [example("ACA", &[1.0, 2.0, 4.0]), example("ACA", &[f32::NAN, 6.0, 4.0])];
        let answers = by_neighbours(&values, &training, &[example("ACAG", &[f32::NAN; 4])]);
        // The last letters stand where none stood: the mean of all.
        assert_eq!(answers.expect("short sequences")[0], [vec![1.0], vec![4.0], vec![3.4], vec![3.4]]);
    }

    #[test]
    fn paired_nucleotides_are_told_from_unpaired_ones() {
        let classes = Outputs::Classes { names: vec!["loop".into(), "stem".into()] };
        let hairpin = "GGGGGGAAAACCCCCC";
        let targets: Vec<f32> = hairpin.bytes().map(|letter| if letter == b'A' { 0.0 } else { 1.0 }).collect();
        let answers = by_pairing(&classes, &[example(hairpin, &targets)], &[example(hairpin, &targets)]);
        let answers = answers.expect("a short sequence");
        assert_eq!((&answers[0][0], &answers[0][7]), (&vec![0.0, 1.0], &vec![1.0, 0.0]));
    }
}
