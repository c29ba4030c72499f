//! What the sites of one miRNA in one target say together.

use std::ops::Range;

/// Sites of a miRNA in a target.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TargetSummary {
    /// Sites that do not overlap.
    pub sites: usize,
    /// Probability of the most probable one.
    pub best: f64,
    /// Probability that at least one binds, taken as independent: 1 - (1 - p) (1 - p) ...
    pub combined: f64,
    /// Sites that bind on average: the sum of the probabilities.
    pub expected: f64,
}

impl TargetSummary {
    /// Of windows in the target and their probabilities. Where windows overlap, the most probable one counts, so that one
    /// site is not taken for several.
    pub fn new(windows: &[(Range<usize>, f32)]) -> Self {
        let mut order: Vec<&(Range<usize>, f32)> = windows.iter().collect();
        order.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.start.cmp(&b.0.start)));
        let mut taken: Vec<&Range<usize>> = Vec::new();
        let mut summary = Self::default();
        let mut none_binds = 1.0;
        for (window, probability) in order {
            if taken.iter().any(|other| window.start < other.end && other.start < window.end) {
                continue;
            }
            taken.push(window);
            let probability = f64::from(*probability);
            summary.sites += 1;
            summary.best = summary.best.max(probability);
            summary.expected += probability;
            none_binds *= 1.0 - probability;
        }
        Self { combined: 1.0 - none_binds, ..summary }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sites_that_overlap_count_once() {
        let summary = TargetSummary::new(&[(0..50, 0.5), (10..60, 0.75), (100..150, 0.5), (150..200, 0.0)]);
        assert_eq!(summary, TargetSummary { sites: 3, best: 0.75, combined: 0.875, expected: 1.25 });
        assert_eq!(TargetSummary::new(&[]), TargetSummary::default());
        // Two seed matches in one window of a short target.
        assert_eq!(TargetSummary::new(&[(0..30, 0.5), (0..30, 0.5)]).expected, 0.5);
    }
}
