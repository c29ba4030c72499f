//! Conditional logit: which of several options is the chosen one, by numbers that describe each (McFadden, 1974). With two
//! options, one of which is described by zeros, it is logistic regression.
//!
//! The weights minimise the mean negative log likelihood plus a small multiple of their squared length. The minimum is
//! unique and Newton's method finds it, so the result depends on nothing but the data.

use rayon::prelude::*;

/// One choice.
#[derive(Clone, Debug)]
pub struct Choice {
    /// The numbers of each option, all of one length.
    pub options: Vec<Vec<f64>>,
    /// Which option is the chosen one.
    pub chosen: usize,
    /// How much the choice counts.
    pub weight: f64,
}

/// Multiple of the squared length of the weights.
const RIDGE: f64 = 1e-4;

/// Most steps of Newton's method; a handful is enough.
const STEPS: usize = 100;

/// The largest component of the gradient at which the minimum is reached.
const TOLERANCE: f64 = 1e-9;

/// Choices whose sums are made at a time. Fixed, so that the number of threads does not change a bit.
const CHUNK: usize = 128;

/// Loss, gradient and Hessian (row by row) of some choices.
struct Sums {
    loss: f64,
    gradient: Vec<f64>,
    hessian: Vec<f64>,
}

impl Sums {
    fn new(width: usize) -> Self {
        Self { loss: 0.0, gradient: vec![0.0; width], hessian: vec![0.0; width * width] }
    }

    fn add(&mut self, choice: &Choice, weights: &[f64]) {
        let width = weights.len();
        let scores: Vec<f64> = choice.options.iter().map(|option| dot(option, weights)).collect();
        let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let exponentials: Vec<f64> = scores.iter().map(|score| (score - largest).exp()).collect();
        let sum: f64 = exponentials.iter().sum();
        self.loss -= choice.weight * (scores[choice.chosen] - largest - sum.ln());
        let mut mean = vec![0.0; width];
        for (option, exponential) in choice.options.iter().zip(&exponentials) {
            let probability = exponential / sum;
            // Options that cannot be the chosen one change nothing.
            if probability < 1e-12 {
                continue;
            }
            for (i, &one) in option.iter().enumerate().filter(|(_, one)| **one != 0.0) {
                mean[i] += probability * one;
                let row = &mut self.hessian[i * width..][..width];
                row.iter_mut().zip(option).for_each(|(h, other)| *h += choice.weight * probability * one * other);
            }
        }
        for i in 0..width {
            self.gradient[i] += choice.weight * (mean[i] - choice.options[choice.chosen][i]);
            for j in 0..width {
                self.hessian[i * width + j] -= choice.weight * mean[i] * mean[j];
            }
        }
    }

    fn merge(mut self, other: Self) -> Self {
        self.loss += other.loss;
        self.gradient.iter_mut().zip(other.gradient).for_each(|(a, b)| *a += b);
        self.hessian.iter_mut().zip(other.hessian).for_each(|(a, b)| *a += b);
        self
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The mean over all choices at these weights, the ridge included.
fn sums(choices: &[Choice], weights: &[f64]) -> Sums {
    let width = weights.len();
    let parts: Vec<Sums> = choices
        .par_chunks(CHUNK)
        .map(|chunk| {
            let mut sums = Sums::new(width);
            chunk.iter().for_each(|choice| sums.add(choice, weights));
            sums
        })
        .collect();
    let mut all = parts.into_iter().fold(Sums::new(width), Sums::merge);
    let total: f64 = choices.iter().map(|choice| choice.weight).sum();
    all.loss /= total;
    all.gradient.iter_mut().for_each(|g| *g /= total);
    all.hessian.iter_mut().for_each(|h| *h /= total);
    all.loss += RIDGE * dot(weights, weights);
    for (i, weight) in weights.iter().enumerate() {
        all.gradient[i] += 2.0 * RIDGE * weight;
        all.hessian[i * width + i] += 2.0 * RIDGE;
    }
    all
}

/// The weights, `width` numbers, under which the choices are the most probable.
pub fn fit(choices: &[Choice], width: usize) -> Vec<f64> {
    let mut weights = vec![0.0; width];
    if choices.is_empty() {
        return weights;
    }
    let mut now = sums(choices, &weights);
    for _ in 0..STEPS {
        if now.gradient.iter().all(|g| g.abs() < TOLERANCE) {
            break;
        }
        let step = solve(now.hessian.clone(), &now.gradient);
        // A whole step may go too far where the start is far away.
        let mut part = 1.0;
        loop {
            let next: Vec<f64> = weights.iter().zip(&step).map(|(weight, step)| weight - part * step).collect();
            let there = sums(choices, &next);
            if there.loss <= now.loss {
                (weights, now) = (next, there);
                break;
            }
            part /= 2.0;
            if part < 1e-10 {
                return weights;
            }
        }
    }
    weights
}

/// Solves a symmetric positive definite system by Cholesky's decomposition.
fn solve(mut matrix: Vec<f64>, right: &[f64]) -> Vec<f64> {
    let n = right.len();
    for column in 0..n {
        for row in column..n {
            let done: f64 = (0..column).map(|k| matrix[row * n + k] * matrix[column * n + k]).sum();
            let left = matrix[row * n + column] - done;
            matrix[row * n + column] =
                if row == column { left.max(1e-12).sqrt() } else { left / matrix[column * n + column] };
        }
    }
    let mut solution = right.to_vec();
    for row in 0..n {
        let done: f64 = (0..row).map(|k| matrix[row * n + k] * solution[k]).sum();
        solution[row] = (solution[row] - done) / matrix[row * n + row];
    }
    for row in (0..n).rev() {
        let done: f64 = (row + 1..n).map(|k| matrix[k * n + row] * solution[k]).sum();
        solution[row] = (solution[row] - done) / matrix[row * n + row];
    }
    solution
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(options: &[&[f64]], chosen: usize) -> Choice {
        Choice { options: options.iter().map(|option| option.to_vec()).collect(), chosen, weight: 1.0 }
    }

    #[test]
    fn a_coin_has_the_log_odds_of_its_counts() {
        // Three of four times the option described by 1.
        let choices: Vec<Choice> = (0..400).map(|i| choice(&[&[1.0], &[0.0]], usize::from(i % 4 == 0))).collect();
        let weights = fit(&choices, 1);
        assert!((weights[0] - 3f64.ln()).abs() < 2e-3, "{weights:?}");
        let heavy: Vec<Choice> =
            choices.into_iter().map(|one| Choice { weight: if one.chosen == 1 { 3.0 } else { 1.0 }, ..one }).collect();
        assert!(fit(&heavy, 1)[0].abs() < 1e-6);
    }

    #[test]
    fn the_gradient_vanishes_at_the_minimum() {
        let number = |i: usize, j: usize| ((i * 37 + j * 101) % 23) as f64 / 10.0 - 1.0;
        let choices: Vec<Choice> = (0..200)
            .map(|i| {
                let options: Vec<Vec<f64>> =
                    (0..2 + i % 4).map(|o| (0..3).map(|j| number(i + 7 * o, j)).collect()).collect();
                Choice { chosen: i % options.len(), options, weight: 0.5 + (i % 3) as f64 }
            })
            .collect();
        let weights = fit(&choices, 3);
        assert!(sums(&choices, &weights).gradient.iter().all(|g| g.abs() < 1e-8));
        assert_eq!(fit(&[], 2), [0.0, 0.0]);
    }
}
