//! Learning the parameters of the nearest-neighbour model from known structures.
//!
//! The few hundred [`Corrections`] of Turner 2004 are fitted so that the known structures become likely among all nested
//! structures of their sequences, and then so that these structures agree with what the model expects: first by the mean
//! conditional log-likelihood, which knows the way from anywhere but minds outliers, then by the expected F1. A normal prior
//! holds each correction to zero; Adam's steps are in units of its deviations.

use rand::seq::SliceRandom;
use rayon::prelude::*;

use super::data::fold::FoldRecord;
use super::random::{Purpose, generator};
use crate::cli::numbers::{self, Range};
use crate::decode::base_pairs::PairRules;
use crate::structure::without_pseudoknots;
use crate::thermodynamics::{Agreement, Corrections, EnergyParameters, Factors, Likelihood};
use crate::{Error, Result};

/// How the parameters are fitted.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct EnergyFit {
    /// Times that every structure is seen to learn by likelihood
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = numbers::parser::<usize>(Range::AT_LEAST_0))]
    pub likelihood_epochs: usize,

    /// Times that every structure is seen after that to learn by expected F1
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = numbers::parser::<usize>(Range::AT_LEAST_0))]
    pub agreement_epochs: usize,

    /// Structures a step
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = numbers::parser::<usize>(Range::AT_LEAST_1))]
    pub batch_records: usize,

    /// Size of the first steps, in standard deviations of the prior; it falls to nothing
    #[arg(long, value_name = "X", default_value_t = 0.05, value_parser = numbers::parser::<f64>(Range::AT_LEAST_0))]
    pub learning_rate: f64,

    /// Weight of the prior that holds the parameters to Turner 2004, against the mean of the structures (by expected F1 a
    /// quarter of it)
    #[arg(long, value_name = "X", default_value_t = 4e-3, value_parser = numbers::parser::<f64>(Range::AT_LEAST_0))]
    pub prior: f64,

    /// Structures of longer sequences are left out
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = numbers::parser::<usize>(Range::AT_LEAST_1))]
    pub max_length: usize,

    /// Seed of the order of the structures
    #[arg(long, value_name = "S", default_value_t = 0, value_parser = numbers::parser::<u64>(Range::AT_LEAST_0))]
    pub seed: u64,
}

/// A structure to learn from: its nested canonical pairs.
struct Example<'a> {
    sequence: &'a [u8],
    partners: Vec<Option<usize>>,
}

/// What the model can say of a record: the most pairs that are canonical, far enough apart and do not cross. `None` where
/// none is left, or where a letter is unknown.
fn example(record: &FoldRecord, longest: usize) -> Option<Example<'_>> {
    let structure = &record.structure;
    let sequence = structure.sequence.as_slice();
    if sequence.len() > longest || sequence.contains(&b'N') {
        return None;
    }
    let rules = PairRules::default();
    let allowed = |(i, partner): (usize, &Option<usize>)| partner.filter(|&j| rules.allows(sequence, i, j));
    let partners: Vec<_> = structure.partners.iter().enumerate().map(allowed).collect();
    let partners = without_pseudoknots(&partners);
    partners.iter().any(Option::is_some).then_some(Example { sequence, partners })
}

/// What is learned by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Minus the logarithm of the structure's probability, nats.
    Likelihood,
    /// 1 - expected F1.
    Agreement,
}

/// Part of the prior's weight where the measure is below one.
const AGREEMENT_PRIOR: f64 = 0.25;

/// Fits the parameters to the structures of `records`; after each pass `seen` is told its measure, its number and the
/// mean loss. The threads of the current rayon pool share the work; how many there are does not
/// change the result.
///
/// # Errors
/// Where no record can be learned from.
pub fn fit(
    records: &[FoldRecord],
    options: &EnergyFit,
    mut seen: impl FnMut(Measure, usize, f64),
) -> Result<EnergyParameters> {
    let mut examples: Vec<Example> = records.iter().filter_map(|record| example(record, options.max_length)).collect();
    if examples.is_empty() {
        return Err(Error::Failed(format!(
            "no structure to learn from: canonical pairs, letters ACGU, at most {} nt",
            options.max_length
        )));
    }
    let corrections = Corrections::get();
    let mut values = vec![0.0; corrections.list().len()];
    let batch = options.batch_records.clamp(1, examples.len());
    let epochs = options.likelihood_epochs + options.agreement_epochs;
    let mut adam = Adam::new(values.len(), options.likelihood_epochs * examples.len().div_ceil(batch));
    for epoch in 0..epochs {
        let measure = if epoch < options.likelihood_epochs { Measure::Likelihood } else { Measure::Agreement };
        if epoch == options.likelihood_epochs {
            adam = Adam::new(values.len(), options.agreement_epochs * examples.len().div_ceil(batch));
        }
        let prior = options.prior * if measure == Measure::Agreement { AGREEMENT_PRIOR } else { 1.0 };
        examples.shuffle(&mut generator(options.seed, Purpose::Order, &[epoch as u64]));
        let (mut loss, mut count) = (0.0, 0.0);
        for part in examples.chunks(batch) {
            let parameters = corrections.apply(&values);
            let factors = Factors::new(&parameters);
            let measured = |Example { sequence, partners }: &Example| {
                let (loss, gradient) = match measure {
                    Measure::Likelihood => {
                        let found = Likelihood::new(sequence, partners, &parameters, &factors, None)?;
                        (found.loss, found.gradient)
                    }
                    Measure::Agreement => {
                        let found = Agreement::new(sequence, partners, &factors)?;
                        (found.loss, found.gradient)
                    }
                };
                Some((loss, corrections.gradient(&gradient)))
            };
            // In the order of the records, so that the sums do not depend on the threads.
            let all: Vec<(f64, Vec<f64>)> = part.par_iter().filter_map(measured).collect();
            let weight = 1.0 / all.len().max(1) as f64;
            let mut gradient = vec![0.0; values.len()];
            for (one, slope) in &all {
                loss += one;
                count += 1.0;
                gradient.iter_mut().zip(slope).for_each(|(sum, slope)| *sum += weight * slope);
            }
            for ((slope, value), correction) in gradient.iter_mut().zip(&values).zip(corrections.list()) {
                // In units of the deviation.
                let deviation = correction.deviation;
                *slope = *slope * deviation + prior * value / deviation;
            }
            let rate = options.learning_rate * adam.share();
            for ((value, step), correction) in values.iter_mut().zip(adam.steps(&gradient)).zip(corrections.list()) {
                *value -= rate * correction.deviation * step;
            }
        }
        seen(measure, epoch + 1, loss / f64::max(count, 1.0));
    }
    Ok(corrections.apply(&values))
}

/// Adam's running means of the gradient and of its square.
struct Adam {
    step: i32,
    steps: usize,
    means: Vec<f64>,
    squares: Vec<f64>,
}

impl Adam {
    const MEAN: f64 = 0.9;
    const SQUARE: f64 = 0.98;
    const WARMUP: f64 = 20.0;

    /// For so many numbers, and so many steps in all.
    fn new(numbers: usize, steps: usize) -> Self {
        Self { step: 0, steps, means: vec![0.0; numbers], squares: vec![0.0; numbers] }
    }

    /// The part of the learning rate that the next step has: a short rise, then a straight fall to zero.
    fn share(&self) -> f64 {
        let step = f64::from(self.step) + 1.0;
        (step / Self::WARMUP).min(1.0) * (1.0 - step / (self.steps as f64 + 1.0))
    }

    fn steps(&mut self, gradient: &[f64]) -> Vec<f64> {
        self.step += 1;
        let (mean_bias, square_bias) = (1.0 - Self::MEAN.powi(self.step), 1.0 - Self::SQUARE.powi(self.step));
        let running = self.means.iter_mut().zip(&mut self.squares);
        let steps = running.zip(gradient).map(|((mean, square), slope)| {
            *mean = Self::MEAN * *mean + (1.0 - Self::MEAN) * slope;
            *square = Self::SQUARE * *square + (1.0 - Self::SQUARE) * slope * slope;
            *mean / mean_bias / ((*square / square_bias).sqrt() + 1e-8)
        });
        steps.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::dot_bracket::parse_structure_line;
    use crate::structure::Structure;

    fn record(sequence: &str, brackets: &str) -> FoldRecord {
        let partners = parse_structure_line(brackets.as_bytes()).expect("brackets");
        Structure { id: "one".into(), sequence: sequence.into(), partners }.into()
    }

    /// Structures become likelier, on any number of threads alike.
    #[test]
    fn known_structures_become_likelier() {
        let records = [
            record("GGCGAAAAGCCAAGGGAAAUCC", "(((....)))..(((...)))."),
            record("GGGAAAUCCAGCGGCAAGCCGCA", "..........((((....))))."),
            record("AAAAAAAAA", "........."),
        ];
        let options = EnergyFit {
            likelihood_epochs: 20,
            agreement_epochs: 10,
            batch_records: 2,
            learning_rate: 0.05,
            prior: 1e-3,
            max_length: 100,
            seed: 1,
        };
        let fitted = |threads| {
            let mut losses = Vec::new();
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            let fitted = pool.install(|| fit(&records, &options, |measure, _, loss| losses.push((measure, loss))));
            (fitted.expect("a fit"), losses)
        };
        let (one, losses) = fitted(1);
        assert_eq!(losses.len(), 30);
        assert!(losses[19].1 < losses[0].1 - 0.5, "{losses:?}");
        assert_eq!((losses[19].0, losses[20].0), (Measure::Likelihood, Measure::Agreement));
        assert!(losses[29].1 < losses[20].1, "{losses:?}");
        assert_eq!(one, fitted(3).0);
        assert!(fit(&records[2..], &options, |_, _, _| {}).is_err());
    }
}
