//! What lies outside all pairs.
//!
//! The sums over the structures of suffixes grow beyond what a number can hold, so they are kept as logarithms. What lies
//! before a pair is then a probability: that no pair reaches over a position, which is passed on from the first to the last.

use super::inside::Inside;
use super::problem::Problem;

/// The exponential of a larger number may be too large.
const LARGEST_EXPONENT: f64 = 600.0;

/// What lies outside all pairs.
#[derive(Clone, Debug)]
pub struct Exterior {
    scale: f64,
    /// Logarithm of the sum over the structures of the bases from each position on.
    suffix: Vec<f64>,
    /// Probability that no pair reaches over the border before each position, as far as [`Exterior::pass_on`] was called.
    open: Vec<f64>,
    /// Logarithm of the factor of an unpaired base, not scaled.
    unpaired: f64,
}

impl Exterior {
    /// The sums of suffixes.
    pub fn new(problem: &Problem, inside: &Inside) -> Self {
        let (length, scale) = (problem.length(), problem.scale);
        let unpaired = problem.exterior_unpaired.ln() + scale;
        let mut suffix = vec![0.0; length + 1];
        let mut partners = Vec::new();
        for i in (0..length).rev() {
            problem.partners(i, &mut partners);
            let base = suffix[i + 1] + unpaired;
            let terms = partners.iter().map(|&(j, kind)| {
                let helix = inside.paired[inside.row(i, j - i)] * problem.exterior_helix(kind, i, j);
                (helix, suffix[j + 1] - base + scale * (j - i + 1) as f64)
            });
            let sum = 1.0 + terms.clone().map(|(helix, exponent)| helix * exponent.exp()).sum::<f64>();
            let logarithm = match sum.is_finite() {
                true => sum.ln(),
                // Too large as numbers: as logarithms.
                false => terms.filter(|(helix, _)| *helix > 0.0).fold(0.0, |sum: f64, (helix, exponent)| {
                    let term = helix.ln() + exponent;
                    sum.max(term) + (-(sum - term).abs()).exp().ln_1p()
                }),
            };
            suffix[i] = base + logarithm;
        }
        let mut open = vec![0.0; length + 1];
        open[0] = 1.0;
        Self { scale, suffix, open, unpaired }
    }

    /// The natural logarithm of the sum over all structures.
    pub fn logarithm(&self) -> f64 {
        self.suffix[0]
    }

    /// Passes on over base i as an unpaired one. Bases come in their order, each with its pairs.
    pub fn pass_on(&mut self, i: usize) {
        self.open[i + 1] += self.alone(i);
    }

    /// The probability that base i is unpaired and outside all pairs.
    fn alone(&self, i: usize) -> f64 {
        self.open[i] * (self.unpaired + self.suffix[i + 1] - self.suffix[i]).exp()
    }

    /// Passes on over the pair (i, j), of which `paired` is the sum over the structures between its bases and `helix` the factor
    /// of the helix that it begins. Returns how the logarithm of the sum over all structures changes with `paired` for those
    /// in which the pair is in no other.
    pub fn pass_on_over(&mut self, (i, j): (usize, usize), paired: f64, helix: f64) -> f64 {
        let derivative = self.around(i, j) * helix;
        self.open[j + 1] += derivative * paired;
        derivative
    }

    /// The same derivative beside the factor of the helix.
    pub fn around(&self, i: usize, j: usize) -> f64 {
        let exponent = self.suffix[j + 1] - self.suffix[i] + self.scale * (j - i + 1) as f64;
        match exponent < LARGEST_EXPONENT {
            true => self.open[i] * exponent.exp(),
            false => (self.open[i].ln() + exponent).min(LARGEST_EXPONENT).exp(),
        }
    }

    /// How much of the sum over the structures from base i on is that over those after base j, with i and j paired, for each unit
    /// of the sum over that pair's helix.
    pub fn goes_on(&self, i: usize, j: usize) -> f64 {
        (self.suffix[j + 1] - self.suffix[i] + self.scale * (j - i + 1) as f64).min(LARGEST_EXPONENT).exp()
    }

    /// How many bases are expected to be unpaired outside all pairs.
    pub fn unpaired(&self) -> f64 {
        (0..self.suffix.len() - 1).map(|i| self.alone(i)).sum()
    }
}
