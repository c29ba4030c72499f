//! The figures of several classes, and of values.

use super::roc_auc;

/// Figures of classes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClassScores {
    /// Part that is right.
    pub accuracy: f64,
    /// Mean over the classes of the harmonic mean of precision and recall; of classes that occur, or are predicted.
    pub macro_f1: f64,
    /// Matthews' correlation coefficient of several classes (Gorodkin 2004).
    pub mcc: f64,
    /// Mean over the classes of the area under the curve of that class against the others; of classes that occur.
    pub auc: f64,
}

/// Compares probabilities of classes with the numbers of the true ones.
pub fn compare_classes(answers: &[(&[f32], usize)]) -> ClassScores {
    let classes = answers.iter().map(|(probabilities, _)| probabilities.len()).max().unwrap_or(0);
    let mut table = vec![vec![0f64; classes]; classes];
    for (probabilities, truth) in answers {
        table[*truth][crate::model::heads::outputs::largest(probabilities)] += 1.0;
    }
    let total = answers.len().max(1) as f64;
    let right: f64 = (0..classes).map(|class| table[class][class]).sum();
    let occur = |class: usize| table[class].iter().sum::<f64>();
    let predicted = |class: usize| table.iter().map(|row| row[class]).sum::<f64>();
    let seen: Vec<usize> = (0..classes).filter(|&class| occur(class) + predicted(class) > 0.0).collect();
    let f1 = |&class: &usize| 2.0 * table[class][class] / (occur(class) + predicted(class));
    let agreement = right * total - (0..classes).map(|class| occur(class) * predicted(class)).sum::<f64>();
    let spread = |count: &dyn Fn(usize) -> f64| total * total - (0..classes).map(|c| count(c).powi(2)).sum::<f64>();
    let scale = (spread(&occur) * spread(&predicted)).sqrt();
    let areas: Vec<f64> = (0..classes)
        .map(|class| {
            let scored: Vec<(f64, bool)> =
                answers.iter().map(|(p, truth)| (f64::from(p[class]), *truth == class)).collect();
            roc_auc(&scored)
        })
        .filter(|area| !area.is_nan())
        .collect();
    ClassScores {
        accuracy: right / total,
        macro_f1: mean(&seen.iter().map(f1).collect::<Vec<_>>()),
        mcc: if scale > 0.0 { agreement / scale } else { 0.0 },
        auc: mean(&areas),
    }
}

/// Figures of values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ValueScores {
    /// Root of the mean squared difference.
    pub rmse: f64,
    /// Pearson's correlation.
    pub pearson: f64,
    /// Spearman's rank correlation, ties at their mean rank.
    pub spearman: f64,
    /// Part of the variance that is explained: 1 - squared differences / squared deviations from the mean.
    pub r2: f64,
}

/// Compares predicted values with true ones, given as pairs.
pub fn compare_values(pairs: &[(f64, f64)]) -> ValueScores {
    let (predicted, truth): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    let squares: f64 = pairs.iter().map(|(predicted, truth)| (predicted - truth).powi(2)).sum();
    let centre = mean(&truth);
    let deviations: f64 = truth.iter().map(|value| (value - centre).powi(2)).sum();
    ValueScores {
        rmse: (squares / pairs.len().max(1) as f64).sqrt(),
        pearson: correlation(&predicted, &truth),
        spearman: correlation(&ranks(&predicted), &ranks(&truth)),
        r2: if deviations > 0.0 { 1.0 - squares / deviations } else { f64::NAN },
    }
}

/// The mean; not a number where there is none.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn correlation(one: &[f64], two: &[f64]) -> f64 {
    let (centre, other) = (mean(one), mean(two));
    let products = |a: &[f64], x: f64, b: &[f64], y: f64| a.iter().zip(b).map(|(a, b)| (a - x) * (b - y)).sum::<f64>();
    let scale = (products(one, centre, one, centre) * products(two, other, two, other)).sqrt();
    if scale > 0.0 { products(one, centre, two, other) / scale } else { f64::NAN }
}

/// The rank of each value, equal ones at the mean of their ranks.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    for group in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let rank = start as f64 + (group.len() as f64 + 1.0) / 2.0;
        group.iter().for_each(|&place| ranks[place] = rank);
        start += group.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn close(value: f64, expected: f64) {
        assert!((value - expected).abs() < 1e-6, "{value} instead of {expected}");
    }

    /// scikit-learn: accuracy_score, f1_score(average="macro"), matthews_corrcoef, roc_auc_score(multi_class="ovr").
    #[test]
    fn classes_agree_with_scikit_learn() {
        let probabilities =
            [[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.2, 0.3, 0.5], [0.4, 0.5, 0.1], [0.3, 0.3, 0.4], [0.2, 0.6, 0.2]];
        let truth = [0, 1, 2, 0, 1, 1];
        let answers: Vec<(&[f32], usize)> = probabilities.iter().map(|p| p.as_slice()).zip(truth).collect();
        let scores = compare_classes(&answers);
        close(scores.accuracy, 4.0 / 6.0);
        close(scores.macro_f1, 2.0 / 3.0);
        close(scores.mcc, 0.5);
        close(scores.auc, 17.0 / 18.0);
    }

    #[test]
    fn values_agree_with_scipy() {
        let scores = compare_values(&[(1.0, 2.0), (2.0, 1.0), (3.0, 4.0), (4.0, 4.0)]);
        close(scores.rmse, 0.75f64.sqrt());
        close(scores.pearson, 0.774_596_669);
        close(scores.spearman, 0.737_864_787);
        close(scores.r2, 1.0 - 3.0 / 6.75);
        assert!(compare_values(&[(1.0, 1.0), (1.0, 2.0)]).pearson.is_nan());
    }
}
