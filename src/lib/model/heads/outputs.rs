//! What the general heads answer: one of several classes, or values. The names travel with the weights.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The answers of a general head.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Outputs {
    /// One of these classes.
    Classes {
        /// Their names, sorted.
        names: Vec<String>,
    },
    /// These values.
    Values {
        /// Their names.
        names: Vec<String>,
        /// The mean of each over the training data: the head answers in units of the deviation from it.
        means: Vec<f64>,
        /// The standard deviation of each over the training data.
        deviations: Vec<f64>,
    },
}

impl Outputs {
    /// No class or no value yet: what the training data hold takes this place.
    pub fn none(classes: bool) -> Self {
        match classes {
            true => Self::Classes { names: Vec::new() },
            false => Self::Values { names: Vec::new(), means: Vec::new(), deviations: Vec::new() },
        }
    }

    /// The names of the classes or values.
    pub fn names(&self) -> &[String] {
        match self {
            Self::Classes { names } | Self::Values { names, .. } => names,
        }
    }

    /// Numbers that the head gives.
    pub fn count(&self) -> usize {
        self.names().len()
    }

    /// Targets that a record or a nucleotide has: the number of its class, or its values.
    pub fn targets(&self) -> usize {
        match self {
            Self::Classes { .. } => 1,
            Self::Values { names, .. } => names.len(),
        }
    }

    /// What the numbers of a head say: the probabilities of the classes, or the values in the units of the training data.
    pub fn answer(&self, numbers: &[f32]) -> Vec<f32> {
        match self {
            Self::Classes { .. } => {
                let highest = numbers.iter().fold(f32::NEG_INFINITY, |highest, &x| highest.max(x));
                let powers: Vec<f64> = numbers.iter().map(|&x| f64::from(x - highest).exp()).collect();
                let total: f64 = powers.iter().sum();
                powers.into_iter().map(|power| (power / total) as f32).collect()
            }
            Self::Values { means, deviations, .. } => {
                let value = |((&x, mean), deviation): ((&f32, &f64), &f64)| (mean + deviation * f64::from(x)) as f32;
                numbers.iter().zip(means).zip(deviations).map(value).collect()
            }
        }
    }

    /// Checks that there is something to answer, and that every value has its scale.
    ///
    /// # Errors
    /// [`Error::Usage`] says what is wrong.
    pub fn validate(&self) -> Result<()> {
        let wrong = |message: &str| Err(Error::Usage(message.into()));
        match self {
            Self::Classes { names } if names.len() < 2 => wrong("a model needs at least two classes to tell apart"),
            Self::Values { names, means, deviations } => match (names.len(), means.len(), deviations.len()) {
                (0, ..) => wrong("a model needs at least one value to predict"),
                (names, means, deviations) if names != means || names != deviations => {
                    wrong("every value of a model has one mean and one deviation")
                }
                _ if deviations.iter().any(|x| !x.is_finite() || *x <= 0.0) || means.iter().any(|x| !x.is_finite()) => {
                    wrong("the means and deviations of a model's values are finite numbers, deviations above 0")
                }
                _ => Ok(()),
            },
            Self::Classes { .. } => Ok(()),
        }
    }
}

/// The place of the largest number, the first of equal ones.
pub fn largest(numbers: &[f32]) -> usize {
    (0..numbers.len()).fold(0, |best, place| if numbers[place] > numbers[best] { place } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_probabilities_or_values() {
        let classes = Outputs::Classes { names: vec!["a".into(), "b".into(), "c".into()] };
        let answer = classes.answer(&[0.0, 2f32.ln(), f32::NEG_INFINITY]);
        assert!((answer[0] - 1.0 / 3.0).abs() < 1e-6 && (answer[1] - 2.0 / 3.0).abs() < 1e-6 && answer[2] == 0.0);
        assert_eq!(largest(&answer), 1);
        let values = Outputs::Values { names: vec!["x".into()], means: vec![10.0], deviations: vec![2.0] };
        assert_eq!(values.answer(&[-1.5]), [7.0]);
    }

    #[test]
    fn what_cannot_be_answered_is_refused() {
        let values =
            |deviation| Outputs::Values { names: vec!["x".into()], means: vec![0.0], deviations: vec![deviation] };
        assert!(values(1.0).validate().is_ok());
        assert!(values(0.0).validate().is_err() && values(f64::NAN).validate().is_err());
        assert!(Outputs::Classes { names: vec!["only".into()] }.validate().is_err());
    }
}
