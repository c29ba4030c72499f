//! What attention attends to, head by head: rows of the map of nucleotides x nucleotides, computed when they are asked for.

use crate::model::maps::PositionMap;
use crate::model::ops::math::exp;
use crate::model::ops::rms_norm::dot;

/// Queries and keys of one layer for one sequence.
pub struct AttentionMap {
    /// [tokens, heads x width], those around the sequence included.
    pub(super) queries: Vec<f32>,
    /// As the queries.
    pub(super) keys: Vec<f32>,
    /// Heads side by side in a row.
    pub(super) heads: usize,
    /// What scores are multiplied by.
    pub(super) scale: f32,
    /// Tokens before the first nucleotide.
    pub(super) before: usize,
    /// Nucleotides.
    pub(super) length: usize,
    /// Numbers in a row of queries or keys.
    pub(super) stride: usize,
}

impl AttentionMap {
    /// Number of heads.
    pub fn heads(&self) -> usize {
        self.heads
    }

    /// What the nucleotide `n` attends to: a share for each nucleotide, by one head. What tokens around the sequence get is left
    /// out, so that the sum may be below 1.
    pub fn of_head(&self, head: usize, n: usize) -> Vec<f32> {
        let tokens = self.keys.len() / self.stride;
        let width = self.stride / self.heads;
        let part = |rows: &[f32], token: usize| {
            let start = token * self.stride + head * width;
            start..(start + width).min(rows.len())
        };
        let query = &self.queries[part(&self.queries, self.before + n)];
        let mut row: Vec<f32> =
            (0..tokens).map(|token| self.scale * dot(query, &self.keys[part(&self.keys, token)])).collect();
        let largest = row.iter().fold(f32::NEG_INFINITY, |largest, &score| largest.max(score));
        row.iter_mut().for_each(|score| *score = exp(*score - largest));
        let total: f64 = row.iter().map(|&share| f64::from(share)).sum();
        row[self.before..self.before + self.length].iter().map(|&share| (f64::from(share) / total) as f32).collect()
    }
}

impl PositionMap for AttentionMap {
    fn first_row(&self) -> Vec<f32> {
        self.row(0)
    }

    fn column_mean(&self) -> Vec<f32> {
        let mut sums = vec![0f64; self.length];
        for n in 0..self.length {
            sums.iter_mut().zip(self.row(n)).for_each(|(sum, share)| *sum += f64::from(share));
        }
        sums.into_iter().map(|sum| (sum / self.length as f64) as f32).collect()
    }

    fn row(&self, n: usize) -> Vec<f32> {
        let mut sums = vec![0f64; self.length];
        for head in 0..self.heads {
            sums.iter_mut().zip(self.of_head(head, n)).for_each(|(sum, share)| *sum += f64::from(share));
        }
        sums.into_iter().map(|sum| (sum / self.heads as f64) as f32).collect()
    }
}
