//! Base pairs: predicted against annotated.

use std::collections::HashSet;

use super::Confusion;

/// How a predicted structure compares with an annotated one.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PairScores {
    /// Annotated pairs.
    pub annotated: usize,
    /// Predicted pairs.
    pub predicted: usize,
    /// Part of the predicted pairs that are annotated.
    pub precision: f64,
    /// Part of the annotated pairs that are predicted.
    pub recall: f64,
    /// Harmonic mean of the two.
    pub f1: f64,
    /// Precision where a pair also counts if one of its two bases is off by one position.
    pub slack_precision: f64,
    /// Recall with the same slack.
    pub slack_recall: f64,
    /// Harmonic mean of the two.
    pub slack_f1: f64,
    /// Interaction network fidelity: the geometric mean of precision and recall (Parisien et al. 2009).
    pub fidelity: f64,
    /// Matthews' correlation coefficient over all pairs of positions.
    pub mcc: f64,
}

/// Compares two lists of partners (0-based, symmetric) of the same sequence.
///
/// Where neither structure has a pair, they agree: precision, recall and the figures made of them are 1. Where only one
/// of them has pairs, they are 0.
pub fn compare_pairs(predicted: &[Option<usize>], annotated: &[Option<usize>]) -> PairScores {
    let predicted_pairs = pairs(predicted);
    let annotated_pairs = pairs(annotated);
    let length = annotated.len() as u64;
    let mut scores =
        PairScores { annotated: annotated_pairs.len(), predicted: predicted_pairs.len(), ..Default::default() };
    if predicted_pairs.is_empty() && annotated_pairs.is_empty() {
        return PairScores {
            precision: 1.0,
            recall: 1.0,
            f1: 1.0,
            slack_precision: 1.0,
            slack_recall: 1.0,
            slack_f1: 1.0,
            fidelity: 1.0,
            mcc: 1.0,
            ..scores
        };
    }
    let exact = predicted_pairs.intersection(&annotated_pairs).count() as u64;
    let confusion = Confusion {
        true_positives: exact,
        false_positives: predicted_pairs.len() as u64 - exact,
        false_negatives: annotated_pairs.len() as u64 - exact,
        true_negatives: (length * length.saturating_sub(1) / 2)
            .saturating_sub((predicted_pairs.len() + annotated_pairs.len()) as u64 - exact),
    };
    scores.precision = confusion.precision();
    scores.recall = confusion.recall();
    scores.f1 = confusion.f1();
    scores.fidelity = (scores.precision * scores.recall).sqrt();
    scores.mcc = confusion.mcc();
    let near = |pairs: &HashSet<(usize, usize)>, others: &HashSet<(usize, usize)>| {
        let found = pairs.iter().filter(|&&(i, j)| {
            [(i, j), (i.wrapping_sub(1), j), (i + 1, j), (i, j.wrapping_sub(1)), (i, j + 1)]
                .iter()
                .any(|pair| others.contains(pair))
        });
        if pairs.is_empty() { 0.0 } else { found.count() as f64 / pairs.len() as f64 }
    };
    scores.slack_precision = near(&predicted_pairs, &annotated_pairs);
    scores.slack_recall = near(&annotated_pairs, &predicted_pairs);
    let sum = scores.slack_precision + scores.slack_recall;
    scores.slack_f1 = if sum == 0.0 { 0.0 } else { 2.0 * scores.slack_precision * scores.slack_recall / sum };
    scores
}

fn pairs(partners: &[Option<usize>]) -> HashSet<(usize, usize)> {
    partners.iter().enumerate().filter_map(|(i, partner)| partner.filter(|j| *j > i).map(|j| (i, j))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partners(length: usize, pairs: &[(usize, usize)]) -> Vec<Option<usize>> {
        let mut partners = vec![None; length];
        for &(i, j) in pairs {
            partners[i] = Some(j);
            partners[j] = Some(i);
        }
        partners
    }

    #[test]
    fn shared_shifted_and_missed_pairs_are_told_apart() {
        // Exact: (0, 19), (1, 18). Off by one: (3, 16) for (3, 15). Off by two positions: (5, 14) for (6, 13). Missed:
        // (8, 12).
        let annotated = partners(20, &[(0, 19), (1, 18), (3, 15), (6, 13), (8, 12)]);
        let predicted = partners(20, &[(0, 19), (1, 18), (3, 16), (5, 14)]);
        let scores = compare_pairs(&predicted, &annotated);
        assert_eq!((scores.predicted, scores.annotated), (4, 5));
        assert_eq!((scores.precision, scores.recall), (0.5, 0.4));
        assert!((scores.f1 - 4.0 / 9.0).abs() < 1e-12);
        assert_eq!((scores.slack_precision, scores.slack_recall), (0.75, 0.6));
        assert!((scores.slack_f1 - 2.0 / 3.0).abs() < 1e-12);
        assert!((scores.fidelity - 0.2f64.sqrt()).abs() < 1e-12);
        // sklearn.metrics.matthews_corrcoef over the 190 pairs of positions.
        assert!((scores.mcc - 0.433_955_469_613_729_1).abs() < 1e-12, "{}", scores.mcc);
    }

    #[test]
    fn empty_structures() {
        let (none, some) = (partners(9, &[]), partners(9, &[(0, 8)]));
        assert_eq!(compare_pairs(&none, &none).f1, 1.0);
        assert_eq!(compare_pairs(&none, &some).f1, 0.0);
        assert_eq!(compare_pairs(&some, &none).f1, 0.0);
        assert_eq!(compare_pairs(&some, &some).fidelity, 1.0);
    }
}
