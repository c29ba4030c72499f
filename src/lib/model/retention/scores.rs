//! The paper's retention scores: how much of each position the last layer retains (RNAret, Figure 3).
//!
//! With a_nm as in [`super`] and the rows divided by max(1, |row sum|), averaged over the heads: the first row, the mean
//! of each column, or the whole map. The first two are vectors and cost time linear in the length.

use super::kernel::{HeadRows, decay, denominator};

/// Queries and keys of the last layer for one sequence of `length` tokens, each [length, width].
pub struct LastLayer<'a> {
    /// Rotated queries.
    pub queries: &'a [f32],
    /// Rotated, scaled keys.
    pub keys: &'a [f32],
    /// Heads side by side in a row.
    pub heads: usize,
    /// Numbers in a row.
    pub width: usize,
}

impl LastLayer<'_> {
    fn length(&self) -> usize {
        self.queries.len() / self.width.max(1)
    }

    fn head(&self, head: usize) -> (HeadRows<'_, f32>, HeadRows<'_, f32>) {
        (
            HeadRows::new(self.queries, self.width, self.heads, head),
            HeadRows::new(self.keys, self.width, self.heads, head),
        )
    }

    /// What every row of one head is divided by, in linear time.
    fn denominators(&self, head: usize) -> Vec<f64> {
        let (queries, keys) = self.head(head);
        let (gamma, length) = (decay(head), self.length());
        let sums = decayed_sums(length, keys.width(), gamma, |m| keys.row(m), |_| 1.0);
        (0..length).map(|n| denominator(gamma, n, length, dot(queries.row(n), &sums[n]))).collect()
    }

    /// Score of each position in the first row.
    pub fn first_row(&self) -> Vec<f32> {
        let length = self.length();
        let mut scores = vec![0f64; length];
        for head in 0..self.heads {
            let (queries, keys) = self.head(head);
            let gamma = decay(head);
            let query: Vec<f64> = if length > 0 { queries.row(0).iter().map(|&x| x as f64).collect() } else { vec![] };
            let row: Vec<f64> = (0..length).map(|m| dot(keys.row(m), &query) * gamma.powi(m as i32)).collect();
            if length > 0 {
                let divisor = denominator(gamma, 0, length, row.iter().sum::<f64>());
                scores.iter_mut().zip(&row).for_each(|(score, a)| *score += a / divisor);
            }
        }
        self.mean_over_heads(scores)
    }

    /// Mean of each position's column.
    pub fn column_mean(&self) -> Vec<f32> {
        let length = self.length();
        let mut scores = vec![0f64; length];
        for head in 0..self.heads {
            let (queries, keys) = self.head(head);
            let denominators = self.denominators(head);
            let sums =
                decayed_sums(length, queries.width(), decay(head), |n| queries.row(n), |n| 1.0 / denominators[n]);
            for (m, score) in scores.iter_mut().enumerate() {
                *score += dot(keys.row(m), &sums[m]) / length as f64;
            }
        }
        self.mean_over_heads(scores)
    }

    /// Row `n` of the map.
    pub fn row(&self, n: usize) -> Vec<f32> {
        let length = self.length();
        let mut scores = vec![0f64; length];
        for head in 0..self.heads {
            let (queries, keys) = self.head(head);
            let gamma = decay(head);
            let query: Vec<f64> = queries.row(n).iter().map(|&x| x as f64).collect();
            let row: Vec<f64> =
                (0..length).map(|m| dot(keys.row(m), &query) * gamma.powi(n.abs_diff(m) as i32)).collect();
            let divisor = denominator(gamma, n, length, row.iter().sum::<f64>());
            scores.iter_mut().zip(&row).for_each(|(score, a)| *score += a / divisor);
        }
        self.mean_over_heads(scores)
    }

    fn mean_over_heads(&self, scores: Vec<f64>) -> Vec<f32> {
        scores.into_iter().map(|score| (score / self.heads as f64) as f32).collect()
    }
}

fn dot(row: &[f32], vector: &[f64]) -> f64 {
    row.iter().zip(vector).map(|(&a, &b)| a as f64 * b).sum()
}

/// For every n, the sum over m of gamma^|n-m| weight(m) row(m).
fn decayed_sums<'a>(
    length: usize,
    width: usize,
    gamma: f64,
    row: impl Fn(usize) -> &'a [f32],
    weight: impl Fn(usize) -> f64,
) -> Vec<Vec<f64>> {
    let mut sums = vec![vec![0f64; width]; length];
    let mut state = vec![0f64; width];
    for (n, sums) in sums.iter_mut().enumerate() {
        for ((state, &x), sum) in state.iter_mut().zip(row(n)).zip(sums) {
            *state = *state * gamma + weight(n) * x as f64;
            *sum = *state;
        }
    }
    state.fill(0.0);
    for (n, sums) in sums.iter_mut().enumerate().rev() {
        for ((state, &x), sum) in state.iter_mut().zip(row(n)).zip(sums) {
            *sum += *state * gamma;
            *state = *state * gamma + weight(n) * x as f64;
        }
    }
    sums
}
