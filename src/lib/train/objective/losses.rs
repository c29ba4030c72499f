//! Losses on plain numbers, each with its gradient: summed, not averaged, and computed in one pass.

/// 1 / (1 + e^-x).
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// ln(1 + e^x) without overflow.
fn softplus(x: f32) -> f32 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// Binary cross entropy of one logit against a label in [0, 1], and its derivative.
pub fn binary_cross_entropy(logit: f32, label: f32) -> (f32, f32) {
    (softplus(logit) - label * logit, sigmoid(logit) - label)
}

/// Cross entropy of a row of logits against the class `target`. `gradient`, as long as the row, gets `scale` times the
/// derivative. Returns the loss and the class with the highest logit.
pub fn cross_entropy(logits: &[f32], target: usize, scale: f32, gradient: &mut [f32]) -> (f32, usize) {
    let mut best = 0;
    for (class, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = class;
        }
    }
    let highest = logits[best];
    let mut sum = 0.0;
    for (gradient, logit) in gradient.iter_mut().zip(logits) {
        *gradient = (logit - highest).exp();
        sum += *gradient;
    }
    gradient.iter_mut().for_each(|gradient| *gradient *= scale / sum);
    gradient[target] -= scale;
    (sum.ln() + highest - logits[target], best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binary_cross_entropy_and_its_slope() {
        // torch.nn.functional.binary_cross_entropy_with_logits
        for (logit, label, expected) in
            [(0.0, 1.0, std::f32::consts::LN_2), (2.0, 1.0, 0.126_928), (-3.0, 1.0, 3.048_587_3), (50.0, 0.0, 50.0)]
        {
            let (loss, slope) = binary_cross_entropy(logit, label);
            assert!((loss - expected).abs() < 1e-6 * expected.max(1.0), "{loss}");
            let step = 1e-2;
            let measured = (binary_cross_entropy(logit + step, label).0 - binary_cross_entropy(logit - step, label).0)
                / (2.0 * step);
            assert!((slope - measured).abs() < 1e-3);
        }
    }

    #[test]
    fn cross_entropy_and_its_slope() {
        let logits = [1.0, -0.5, 2.5, 0.0];
        let mut gradient = [0.0; 4];
        let (loss, best) = cross_entropy(&logits, 0, 1.0, &mut gradient);
        // torch.nn.functional.cross_entropy
        assert!((loss - 1.803_810_1).abs() < 1e-5, "{loss}");
        assert_eq!(best, 2);
        for class in 0..4 {
            let shifted = |step: f32| {
                let mut moved = logits;
                moved[class] += step;
                cross_entropy(&moved, 0, 1.0, &mut [0.0; 4]).0
            };
            let measured = (shifted(1e-2) - shifted(-1e-2)) / 2e-2;
            assert!((gradient[class] - measured).abs() < 1e-3);
        }
        let mut doubled = [0.0; 4];
        cross_entropy(&logits, 0, 2.0, &mut doubled);
        assert!(doubled.iter().zip(gradient).all(|(two, one)| (two - 2.0 * one).abs() < 1e-6));
    }
}
