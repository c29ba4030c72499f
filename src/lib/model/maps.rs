//! Maps of positions x positions that encoders compute on the way: retention scores and attention, the mean over heads.

use super::retention::scores::LastLayer;

/// A number for each pair of positions, computed when it is asked for.
pub trait PositionMap: Send + Sync {
    /// The first position's row.
    fn first_row(&self) -> Vec<f32>;

    /// The mean of each position's column.
    fn column_mean(&self) -> Vec<f32>;

    /// Row `n`.
    fn row(&self, n: usize) -> Vec<f32>;
}

/// The retention scores of the last layer.
pub struct RetentionMap {
    /// Rotated queries, [length, width].
    pub queries: Vec<f32>,
    /// Rotated, scaled keys, [length, width].
    pub keys: Vec<f32>,
    /// Heads side by side in a row.
    pub heads: usize,
    /// Numbers in a row.
    pub width: usize,
}

impl RetentionMap {
    fn layer(&self) -> LastLayer<'_> {
        LastLayer { queries: &self.queries, keys: &self.keys, heads: self.heads, width: self.width }
    }
}

impl PositionMap for RetentionMap {
    fn first_row(&self) -> Vec<f32> {
        self.layer().first_row()
    }

    fn column_mean(&self) -> Vec<f32> {
        self.layer().column_mean()
    }

    fn row(&self, n: usize) -> Vec<f32> {
        self.layer().row(n)
    }
}
