//! Logistic regression on the k-mer frequencies of a sequence: what its composition alone says about its class.
//!
//! The frequencies of all k-mers up to `LONGEST` are brought to mean 0 and variance 1 over the training sequences. The
//! weights minimise the summed log loss plus half their squared length (the intercept goes free), which is scikit-learn's
//! `LogisticRegression` with C = 1 behind its `StandardScaler`. The minimum is unique and Newton's method finds it, so the
//! result depends on nothing but the data.

use rayon::prelude::*;

use crate::{Error, Result};

/// Longest k-mers that are counted.
const LONGEST: usize = 4;

/// Numbers per sequence: 4 + 16 + 64 + 256.
const FEATURES: usize = 340;

/// Most steps of Newton's method; a handful is enough.
const STEPS: usize = 100;

/// The largest component of the gradient, divided by the number of sequences, at which the minimum is reached.
const TOLERANCE: f64 = 1e-12;

/// Sequences whose sums are made at a time. Fixed, so that the number of threads does not change a bit.
const CHUNK: usize = 512;

/// A fitted regression.
#[derive(Clone, Debug)]
pub struct KmerRegression {
    means: Vec<f64>,
    deviations: Vec<f64>,
    /// One for each feature, and the intercept.
    weights: Vec<f64>,
}

/// Frequency of every k-mer of k = 1 to `LONGEST` among those of its length that hold only A, C, G and U; A before C
/// before G before U, short ones first.
pub fn kmer_frequencies(sequence: &[u8]) -> Vec<f64> {
    let mut frequencies = Vec::with_capacity(FEATURES);
    for k in 1..=LONGEST {
        let mut counts = vec![0u32; 4usize.pow(k as u32)];
        for kmer in sequence.windows(k) {
            let number = kmer
                .iter()
                .try_fold(0, |number, letter| Some(4 * number + b"ACGU".iter().position(|base| base == letter)?));
            if let Some(number) = number {
                counts[number] += 1;
            }
        }
        let total = counts.iter().sum::<u32>().max(1);
        frequencies.extend(counts.into_iter().map(|count| f64::from(count) / f64::from(total)));
    }
    frequencies
}

impl KmerRegression {
    /// Fits sequences to their classes.
    ///
    /// # Errors
    /// Where the sequences are not of two classes.
    pub fn fit(labelled: &[(&[u8], bool)]) -> Result<Self> {
        let positives = labelled.iter().filter(|(_, label)| *label).count();
        if positives == 0 || positives == labelled.len() {
            return Err(Error::Failed("a k-mer regression needs training sequences of both classes".into()));
        }
        let count = labelled.len() as f64;
        let (rows, means, deviations) = standardised(labelled.par_iter().map(|(sequence, _)| *sequence));
        let labels: Vec<f64> = labelled.iter().map(|(_, label)| f64::from(u8::from(*label))).collect();
        let mut weights = vec![0.0; FEATURES + 1];
        let mut loss = penalised_loss(&rows, &labels, &weights);
        for _ in 0..STEPS {
            let (gradient, curvature) = derivatives(&rows, &labels, &weights);
            if gradient.iter().all(|slope| slope.abs() <= TOLERANCE * count) {
                break;
            }
            let step = solve(curvature, &gradient);
            // The full step, or where the loss would not fall, half of it, and so on.
            let mut length = 1.0;
            let better = loop {
                let moved: Vec<f64> = weights.iter().zip(&step).map(|(weight, step)| weight - length * step).collect();
                let loss_there = penalised_loss(&rows, &labels, &moved);
                if loss_there < loss {
                    break Some((moved, loss_there));
                }
                length /= 2.0;
                if length < 1e-6 {
                    break None;
                }
            };
            // No lower loss can be told apart in 64 bits: this is the minimum.
            let Some((moved, loss_there)) = better else { break };
            (weights, loss) = (moved, loss_there);
        }
        Ok(Self { means, deviations, weights })
    }

    /// Probability of the positive class.
    pub fn probability(&self, sequence: &[u8]) -> f64 {
        let mut row = kmer_frequencies(sequence);
        scale(&mut row, &self.means, &self.deviations);
        row.push(1.0);
        sigmoid(dot(&row, &self.weights))
    }
}

/// A linear regression on the same frequencies: least squares plus the squared length of the weights (the intercept goes
/// free), which is scikit-learn's `Ridge` with alpha = 1 behind its `StandardScaler`.
#[derive(Clone, Debug)]
pub struct LinearRegression {
    means: Vec<f64>,
    deviations: Vec<f64>,
    /// One for each feature, and the intercept.
    weights: Vec<f64>,
}

impl LinearRegression {
    /// Fits sequences to their values.
    ///
    /// # Errors
    /// Where there are no sequences.
    pub fn fit(labelled: &[(&[u8], f64)]) -> Result<Self> {
        if labelled.is_empty() {
            return Err(Error::Failed("a k-mer regression needs training sequences".into()));
        }
        let (rows, means, deviations) = standardised(labelled.par_iter().map(|(sequence, _)| *sequence));
        let mut products: Vec<Vec<f64>> = (0..=FEATURES).map(|i| vec![0.0; i + 1]).collect();
        products.par_iter_mut().enumerate().for_each(|(i, products)| {
            for row in &rows {
                products.iter_mut().zip(row).for_each(|(sum, y)| *sum += row[i] * y);
            }
            if i < FEATURES {
                products[i] += 1.0;
            }
        });
        let right = |i: usize| rows.iter().zip(labelled).map(|(row, (_, value))| row[i] * value).sum();
        let right: Vec<f64> = (0..=FEATURES).map(right).collect();
        Ok(Self { means, deviations, weights: solve(products, &right) })
    }

    /// The value of a sequence.
    pub fn value(&self, sequence: &[u8]) -> f64 {
        let mut row = kmer_frequencies(sequence);
        scale(&mut row, &self.means, &self.deviations);
        row.push(1.0);
        dot(&row, &self.weights)
    }
}

/// The frequencies of all sequences, each brought to mean 0 and variance 1, and a column of ones; their means and deviations.
fn standardised<'a>(sequences: impl IndexedParallelIterator<Item = &'a [u8]>) -> (Vec<Vec<f64>>, Vec<f64>, Vec<f64>) {
    let mut rows: Vec<Vec<f64>> = sequences.map(kmer_frequencies).collect();
    let count = rows.len() as f64;
    let mean = |column: usize| rows.iter().map(|row| row[column]).sum::<f64>() / count;
    let means: Vec<f64> = (0..FEATURES).into_par_iter().map(mean).collect();
    let deviation = |column: usize| {
        let variance = rows.iter().map(|row| (row[column] - means[column]).powi(2)).sum::<f64>() / count;
        // A k-mer that never varies says nothing.
        if variance > 0.0 { variance.sqrt() } else { 1.0 }
    };
    let deviations: Vec<f64> = (0..FEATURES).into_par_iter().map(deviation).collect();
    rows.par_iter_mut().for_each(|row| {
        scale(row, &means, &deviations);
        row.push(1.0);
    });
    (rows, means, deviations)
}

fn scale(row: &mut [f64], means: &[f64], deviations: &[f64]) {
    row.iter_mut().zip(means).zip(deviations).for_each(|((x, mean), deviation)| *x = (*x - mean) / deviation);
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// The log loss of all rows and half the squared length of the weights but the intercept.
fn penalised_loss(rows: &[Vec<f64>], labels: &[f64], weights: &[f64]) -> f64 {
    let of_rows: f64 = rows
        .iter()
        .zip(labels)
        .map(|(row, label)| {
            let logit = dot(row, weights);
            logit.max(0.0) + (-logit.abs()).exp().ln_1p() - label * logit
        })
        .sum();
    of_rows + dot(&weights[..FEATURES], &weights[..FEATURES]) / 2.0
}

/// Gradient and second derivatives (lower triangle, row by row) of the loss.
fn derivatives(rows: &[Vec<f64>], labels: &[f64], weights: &[f64]) -> (Vec<f64>, Vec<Vec<f64>>) {
    let width = weights.len();
    let zeros = || (vec![0.0; width], (0..width).map(|i| vec![0.0; i + 1]).collect::<Vec<_>>());
    let parts: Vec<(Vec<f64>, Vec<Vec<f64>>)> = rows
        .par_chunks(CHUNK)
        .zip(labels.par_chunks(CHUNK))
        .map(|(rows, labels)| {
            let (mut gradient, mut curvature) = zeros();
            for (row, label) in rows.iter().zip(labels) {
                let probability = sigmoid(dot(row, weights));
                let (slope, bend) = (probability - label, probability * (1.0 - probability));
                for (i, x) in row.iter().enumerate() {
                    gradient[i] += slope * x;
                    let factor = bend * x;
                    curvature[i].iter_mut().zip(row).for_each(|(sum, y)| *sum += factor * y);
                }
            }
            (gradient, curvature)
        })
        .collect();
    let (mut gradient, mut curvature) = zeros();
    for (of_part, bends) in &parts {
        gradient.iter_mut().zip(of_part).for_each(|(sum, x)| *sum += x);
        for (row, bends) in curvature.iter_mut().zip(bends) {
            row.iter_mut().zip(bends).for_each(|(sum, x)| *sum += x);
        }
    }
    for i in 0..FEATURES {
        gradient[i] += weights[i];
        curvature[i][i] += 1.0;
    }
    (gradient, curvature)
}

/// The solution of a symmetric positive definite system, given its lower triangle: Cholesky.
fn solve(mut matrix: Vec<Vec<f64>>, right: &[f64]) -> Vec<f64> {
    for i in 0..matrix.len() {
        let (above, rest) = matrix.split_at_mut(i);
        let row = &mut rest[0];
        for j in 0..i {
            row[j] = (row[j] - dot(&row[..j], &above[j][..j])) / above[j][j];
        }
        row[i] = (row[i] - dot(&row[..i], &row[..i])).sqrt();
    }
    let mut solution = right.to_vec();
    for i in 0..matrix.len() {
        solution[i] = (solution[i] - dot(&matrix[i][..i], &solution[..i])) / matrix[i][i];
    }
    for i in (0..matrix.len()).rev() {
        solution[i] /= matrix[i][i];
        let value = solution[i];
        solution[..i].iter_mut().zip(&matrix[i]).for_each(|(x, factor)| *x -= value * factor);
    }
    solution
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::sequence::{InputFile, ReaderOptions, RecordReader};

    #[test]
    fn frequencies_are_of_the_kmers_without_n() {
        let frequencies = kmer_frequencies(b"ACGNAC");
        assert_eq!(frequencies.len(), FEATURES);
        assert_eq!(frequencies[..4], [0.4, 0.4, 0.2, 0.0]);
        // AC, CG, AC among the 16 pairs of letters.
        assert_eq!((frequencies[4 + 1], frequencies[4 + 6]), (2.0 / 3.0, 1.0 / 3.0));
        assert_eq!(frequencies[20 + 6], 1.0);
        assert!(frequencies[84..].iter().all(|&x| x == 0.0));
        assert!(kmer_frequencies(b"").iter().all(|&x| x == 0.0));
    }

    #[test]
    fn a_regression_agrees_with_scikit_learn() {
        // What each column is, and how it was computed, stands in testdata/README.md.
        let table = include_str!("../../../testdata/kmer_regression.tsv");
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/rna_classes.fa.gz");
        let input = InputFile::from(std::path::Path::new(file));
        let reader = RecordReader::open(std::slice::from_ref(&input), ReaderOptions::default()).expect("test data");
        let sequences: HashMap<String, Vec<u8>> =
            reader.map(|record| record.map(|record| (record.id, record.sequence)).expect("a record")).collect();
        let rows: Vec<(&[u8], bool, bool, f64)> = table
            .lines()
            .skip(1)
            .map(|line| {
                let fields: Vec<&str> = line.split('\t').collect();
                let sequence = sequences[fields[0]].as_slice();
                (sequence, fields[1] == "1", fields[2] == "1", fields[3].parse().expect("a number"))
            })
            .collect();
        let training: Vec<(&[u8], bool)> = rows.iter().filter(|row| row.2).map(|row| (row.0, row.1)).collect();
        assert_eq!((training.len(), rows.len()), (40, 60));
        let fitted = KmerRegression::fit(&training).expect("two classes");
        for (sequence, _, _, expected) in rows {
            let probability = fitted.probability(sequence);
            assert!((probability - expected).abs() < 1e-6, "{probability} instead of {expected}");
        }
    }

    #[test]
    fn a_line_through_values_is_found() {
        let sequences: Vec<Vec<u8>> = (0..30).map(|i| [vec![b'G'; i], vec![b'A'; 30 - i]].concat()).collect();
        let labelled: Vec<(&[u8], f64)> =
            sequences.iter().enumerate().map(|(i, sequence)| (sequence.as_slice(), 10.0 + 0.1 * i as f64)).collect();
        let fitted = LinearRegression::fit(&labelled).expect("sequences");
        for (sequence, value) in labelled {
            assert!((fitted.value(sequence) - value).abs() < 0.1, "{value}");
        }
        assert!(LinearRegression::fit(&[]).is_err());
    }

    #[test]
    fn one_class_cannot_be_fitted() {
        assert!(KmerRegression::fit(&[]).is_err());
        assert!(KmerRegression::fit(&[(b"ACGU", true), (b"AAAA", true)]).is_err());
    }
}
