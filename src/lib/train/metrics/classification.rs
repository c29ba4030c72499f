//! Two classes: areas under the curves, and the figures of a confusion table.

/// Counts of a decision against the truth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Confusion {
    /// Positive and called positive.
    pub true_positives: u64,
    /// Negative and called positive.
    pub false_positives: u64,
    /// Negative and called negative.
    pub true_negatives: u64,
    /// Positive and called negative.
    pub false_negatives: u64,
}

/// a / b, and 0 where b is 0 (scikit-learn's convention).
fn ratio(a: f64, b: f64) -> f64 {
    if b == 0.0 { 0.0 } else { a / b }
}

impl Confusion {
    /// Adds one decision.
    pub fn add(&mut self, called: bool, truth: bool) {
        match (called, truth) {
            (true, true) => self.true_positives += 1,
            (true, false) => self.false_positives += 1,
            (false, false) => self.true_negatives += 1,
            (false, true) => self.false_negatives += 1,
        }
    }

    /// The table of scores that are called positive above `threshold` or at it.
    pub fn of_scores(scored: &[(f64, bool)], threshold: f64) -> Self {
        let mut confusion = Self::default();
        scored.iter().for_each(|&(score, truth)| confusion.add(score >= threshold, truth));
        confusion
    }

    fn counts(&self) -> [f64; 4] {
        [self.true_positives, self.false_positives, self.true_negatives, self.false_negatives].map(|count| count as f64)
    }

    /// Part of the decisions that are right.
    pub fn accuracy(&self) -> f64 {
        let [tp, fp, tn, fn_] = self.counts();
        ratio(tp + tn, tp + fp + tn + fn_)
    }

    /// Part of the called ones that are positive (PPV).
    pub fn precision(&self) -> f64 {
        let [tp, fp, ..] = self.counts();
        ratio(tp, tp + fp)
    }

    /// Part of the positive ones that are called (sensitivity).
    pub fn recall(&self) -> f64 {
        let [tp, _, _, fn_] = self.counts();
        ratio(tp, tp + fn_)
    }

    /// Part of the negative ones that are not called.
    pub fn specificity(&self) -> f64 {
        let [_, fp, tn, _] = self.counts();
        ratio(tn, tn + fp)
    }

    /// Harmonic mean of precision and recall.
    pub fn f1(&self) -> f64 {
        let [tp, fp, _, fn_] = self.counts();
        ratio(2.0 * tp, 2.0 * tp + fp + fn_)
    }

    /// Matthews' correlation coefficient.
    pub fn mcc(&self) -> f64 {
        let [tp, fp, tn, fn_] = self.counts();
        ratio(tp * tn - fp * fn_, ((tp + fp) * (tp + fn_) * (tn + fp) * (tn + fn_)).sqrt())
    }
}

/// Area under the receiver operating characteristic: the chance that a positive scores above a negative, ties counting
/// half. Not a number where one class is empty.
pub fn roc_auc(scored: &[(f64, bool)]) -> f64 {
    let (mut positives, mut negatives, mut wins) = (0.0, 0.0, 0.0);
    for_tied_groups(scored, |positive, negative| {
        // From the highest score down: each positive before wins against each negative of this group.
        wins += negative * (positives + positive / 2.0);
        positives += positive;
        negatives += negative;
    });
    if positives == 0.0 || negatives == 0.0 { f64::NAN } else { wins / (positives * negatives) }
}

/// Area under the precision-recall curve as a sum of steps (scikit-learn's `average_precision_score`). Not a number
/// where there is no positive.
pub fn precision_recall_auc(scored: &[(f64, bool)]) -> f64 {
    let total = scored.iter().filter(|(_, truth)| *truth).count() as f64;
    let (mut positives, mut called, mut area) = (0.0, 0.0, 0.0);
    for_tied_groups(scored, |positive, negative| {
        positives += positive;
        called += positive + negative;
        area += positive / total * (positives / called);
    });
    if total == 0.0 { f64::NAN } else { area }
}

/// Calls `visit` with the numbers of positives and negatives of each distinct score, the highest score first.
fn for_tied_groups(scored: &[(f64, bool)], mut visit: impl FnMut(f64, f64)) {
    let mut sorted = scored.to_vec();
    sorted.sort_unstable_by(|one, two| two.0.total_cmp(&one.0));
    for group in sorted.chunk_by(|one, two| one.0 == two.0) {
        let positives = group.iter().filter(|(_, truth)| *truth).count();
        visit(positives as f64, (group.len() - positives) as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scores with ties, inside and across the classes.
    const SCORED: [(f64, bool); 14] = [
        (0.91, true),
        (0.85, true),
        (0.85, false),
        (0.7, true),
        (0.66, false),
        (0.66, true),
        (0.66, true),
        (0.5, false),
        (0.41, true),
        (0.4, false),
        (0.4, false),
        (0.33, true),
        (0.1, false),
        (0.02, false),
    ];

    #[track_caller]
    fn close(value: f64, expected: f64) {
        assert!((value - expected).abs() < 1e-12, "{value} instead of {expected}");
    }

    #[test]
    fn areas_agree_with_scikit_learn() {
        close(roc_auc(&SCORED), 0.744_897_959_183_673_5);
        close(precision_recall_auc(&SCORED), 0.727_891_156_462_585);
        assert!(roc_auc(&[(0.5, true)]).is_nan());
        assert!(precision_recall_auc(&[(0.5, false)]).is_nan());
    }

    #[test]
    fn decisions_agree_with_scikit_learn() {
        let confusion = Confusion::of_scores(&SCORED, 0.5);
        assert_eq!(
            confusion,
            Confusion { true_positives: 5, false_positives: 3, true_negatives: 4, false_negatives: 2 }
        );
        close(confusion.accuracy(), 0.642_857_142_857_142_9);
        close(confusion.precision(), 0.625);
        close(confusion.recall(), 0.714_285_714_285_714_3);
        close(confusion.f1(), 0.666_666_666_666_666_6);
        close(confusion.mcc(), 0.288_675_134_594_812_87);
        close(confusion.specificity(), 4.0 / 7.0);
        assert_eq!(Confusion::default().f1(), 0.0);
    }
}
