//! What a miRNA scores where it does not bind, and what its other scores are worth beside that.
//!
//! A network that judges pairs gives some miRNAs larger scores than others whatever the target, for the letters that they are
//! made of. A model that was calibrated for it (`rnaret-train calibrate`) therefore holds windows of background, pieces of
//! shuffled 3'UTRs, and scores every miRNA on them first. From each of the miRNA's scores is taken the mean of the largest of
//! these, so that a window where it does not bind is as seldom taken for a site whichever the miRNA is.

use serde::{Deserialize, Serialize};

use super::target_site::best_seed_match;

/// The part of the windows whose scores are the largest ones.
const LARGEST_PART: f64 = 0.08;

/// Windows in which miRNAs do not bind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetBackground {
    /// The windows, 5' to 3', letters ACGU.
    pub windows: Vec<String>,
    /// The log odds that belong to a score as large as the mean of a miRNA's largest on the background.
    pub level: f64,
}

impl TargetBackground {
    /// The windows without a match of positions 2-7 or 3-8 of `mirna`.
    pub fn windows_for<'a>(&'a self, mirna: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let windows = self.windows.iter().map(String::as_bytes);
        windows.filter(|window| best_seed_match(mirna, window, 0..window.len()).is_none())
    }

    /// Whether the windows can be scored.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn validate(&self) -> std::result::Result<(), String> {
        let is_rna = |window: &String| !window.is_empty() && window.bytes().all(|letter| b"ACGU".contains(&letter));
        match self.level.is_finite() && self.windows.iter().all(is_rna) {
            true => Ok(()),
            false => Err("the background windows hold other letters than ACGU, or their level is not finite".into()),
        }
    }
}

/// What one miRNA scores on the background.
#[derive(Clone, Debug)]
pub struct MirnaBackground {
    /// In ascending order.
    scores: Vec<f32>,
    largest: f64,
}

impl MirnaBackground {
    /// From the miRNA's scores (log odds of the network) on its windows, in any order.
    pub fn new(mut scores: Vec<f32>) -> Self {
        scores.sort_by(f32::total_cmp);
        let count = ((scores.len() as f64 * LARGEST_PART).ceil() as usize).max(1);
        let largest = &scores[scores.len().saturating_sub(count)..];
        let sum: f64 = largest.iter().map(|&score| f64::from(score)).sum();
        Self { largest: sum / largest.len().max(1) as f64, scores }
    }

    /// `score` beside the miRNA's largest scores on the background.
    pub fn above(&self, score: f32) -> f64 {
        f64::from(score) - self.largest
    }

    /// Per cent of the windows of background that score less than `score`.
    pub fn percentile(&self, score: f32) -> f64 {
        100.0 * self.scores.partition_point(|&other| other < score) as f64 / self.scores.len().max(1) as f64
    }

    /// The scores, in ascending order.
    pub fn scores(&self) -> &[f32] {
        &self.scores
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_placed_among_those_of_the_background() {
        // The largest eight are 92 to 99, 95.5 on average.
        let background = MirnaBackground::new((0..100).rev().map(|score| score as f32).collect());
        assert_eq!(background.above(95.5), 0.0);
        assert_eq!(
            (background.percentile(-1.0), background.percentile(50.0), background.percentile(1e3)),
            (0.0, 50.0, 100.0)
        );
        // Another miRNA whose scores are all larger by ten.
        let other = MirnaBackground::new((10..110).map(|score| score as f32).collect());
        assert_eq!(other.above(60.0), background.above(50.0));
        let none = MirnaBackground::new(Vec::new());
        assert_eq!((none.above(1.0), none.percentile(1.0)), (1.0, 0.0));
    }

    #[test]
    fn windows_with_a_seed_match_are_left_out() {
        let windows = ["GGGGCUACCUCAGGGG", "GGGGGGGGGGGGGGGG", "GGCUACCUGGGGGGGG"].map(String::from).to_vec();
        let background = TargetBackground { windows, level: 0.0 };
        let left: Vec<&[u8]> = background.windows_for(b"UGAGGUAGUAGGUUGUAUAGUU").collect();
        assert_eq!(left, [b"GGGGGGGGGGGGGGGG"]);
        assert_eq!(background.validate(), Ok(()));
        assert!(TargetBackground { windows: vec!["ACGT".into()], level: 0.0 }.validate().is_err());
    }
}
