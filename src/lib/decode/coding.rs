//! Coding potential, CDS windows and the mRNA/lncRNA label from the probability of each base to be coding.

/// A stretch of a transcript that looks coding: half-open and 0-based.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CdsWindow {
    /// First base.
    pub start: usize,
    /// One past the last base.
    pub end: usize,
    /// Mean probability over the bases `start..end`.
    pub mean_probability: f64,
}

/// What a transcript is called after its coding potential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TranscriptLabel {
    /// Coding.
    MessengerRna,
    /// Not coding.
    LongNonCodingRna,
}

impl TranscriptLabel {
    /// Coding where the potential is at least the threshold.
    pub fn new(coding_potential: f64, threshold: f64) -> Self {
        if coding_potential >= threshold { Self::MessengerRna } else { Self::LongNonCodingRna }
    }

    /// `mRNA` or `lncRNA`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MessengerRna => "mRNA",
            Self::LongNonCodingRna => "lncRNA",
        }
    }
}

impl std::fmt::Display for TranscriptLabel {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The running sums of the probabilities: `sums[i]` is that of the first i bases.
struct PrefixSums(Vec<f64>);

impl PrefixSums {
    fn new(probabilities: &[f32]) -> Self {
        let mut sum = 0.0;
        let sums = std::iter::once(0.0).chain(probabilities.iter().map(|&probability| {
            sum += f64::from(probability);
            sum
        }));
        Self(sums.collect())
    }

    fn mean(&self, start: usize, end: usize) -> f64 {
        (self.0[end] - self.0[start]) / (end - start) as f64
    }

    /// The start, end and mean of all windows of `window` bases; one window of everything when there are fewer bases.
    fn sliding(&self, window: usize) -> impl Iterator<Item = CdsWindow> + '_ {
        let length = self.0.len() - 1;
        let window = window.clamp(1, length.max(1));
        (0..(length + 1).saturating_sub(window)).map(move |start| {
            let end = start + window;
            CdsWindow { start, end, mean_probability: self.mean(start, end) }
        })
    }
}

/// The coding potential of a transcript: the greatest mean probability over all windows of `window` bases, or over the
/// whole transcript where it is shorter. 0 for no bases.
pub fn coding_potential(probabilities: &[f32], window: usize) -> f64 {
    PrefixSums::new(probabilities).sliding(window).map(|window| window.mean_probability).fold(0.0, f64::max)
}

/// The windows of `window` bases (the whole transcript where it is shorter) whose mean probability is at least
/// `threshold`, merged where they overlap or touch, in order. The score of a merged window is the mean probability
/// over all its bases.
pub fn cds_windows(probabilities: &[f32], window: usize, threshold: f64) -> Vec<CdsWindow> {
    let sums = PrefixSums::new(probabilities);
    let mut merged: Vec<CdsWindow> = Vec::new();
    for coding in sums.sliding(window).filter(|window| window.mean_probability >= threshold) {
        match merged.last_mut() {
            Some(last) if coding.start <= last.end => last.end = coding.end,
            _ => merged.push(coding),
        }
    }
    for window in &mut merged {
        window.mean_probability = sums.mean(window.start, window.end);
    }
    merged
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition, word for word.
    fn means(probabilities: &[f32], window: usize) -> Vec<f64> {
        let window = window.min(probabilities.len());
        probabilities.windows(window).map(|w| w.iter().map(|&p| f64::from(p)).sum::<f64>() / window as f64).collect()
    }

    #[test]
    fn a_transcript_shorter_than_the_window_is_one_window() {
        let probabilities = [0.5, 1.0, 0.75];
        assert_eq!(coding_potential(&probabilities, 30), 0.75);
        assert_eq!(cds_windows(&probabilities, 30, 0.75), [CdsWindow { start: 0, end: 3, mean_probability: 0.75 }]);
        assert!(cds_windows(&probabilities, 30, 0.76).is_empty());
    }

    #[test]
    fn no_bases_have_no_windows_and_no_potential() {
        assert_eq!(coding_potential(&[], 30), 0.0);
        assert!(cds_windows(&[], 30, 0.0).is_empty());
    }

    #[test]
    fn windows_that_touch_are_merged_and_scored_over_all_their_bases() {
        // Windows of two bases: [0, 2) and [2, 4) pass and touch, [1, 3) does not pass; [6, 8) stands apart.
        let probabilities = [1.0, 0.5, 0.5, 1.0, 0.0, 0.0, 0.75, 0.75];
        let windows = cds_windows(&probabilities, 2, 0.75);
        assert_eq!(
            windows,
            [
                CdsWindow { start: 0, end: 4, mean_probability: 0.75 },
                CdsWindow { start: 6, end: 8, mean_probability: 0.75 }
            ]
        );
    }

    #[test]
    fn the_label_is_coding_at_the_threshold() {
        assert_eq!(TranscriptLabel::new(0.5, 0.5).to_string(), "mRNA");
        assert_eq!(TranscriptLabel::new(0.499, 0.5).to_string(), "lncRNA");
    }

    proptest! {
        #[test]
        fn windows_and_potential_follow_their_definition(
            probabilities in proptest::collection::vec(0.0_f32..=1.0, 1..200),
            window in 1_usize..60,
            threshold in 0.0_f64..1.0,
        ) {
            let means = means(&probabilities, window);
            // Away from the threshold by more than the rounding of the sums.
            prop_assume!(means.iter().all(|mean| (mean - threshold).abs() > 1e-9));
            let best = means.iter().copied().fold(0.0, f64::max);
            prop_assert!((coding_potential(&probabilities, window) - best).abs() < 1e-12);

            let mut covered = vec![false; probabilities.len()];
            let width = window.min(probabilities.len());
            for (start, mean) in means.iter().enumerate() {
                if *mean >= threshold {
                    covered[start..start + width].fill(true);
                }
            }
            let windows = cds_windows(&probabilities, window, threshold);
            let mut found = vec![false; probabilities.len()];
            for cds in &windows {
                found[cds.start..cds.end].fill(true);
                let bases = &probabilities[cds.start..cds.end];
                let mean = bases.iter().map(|&p| f64::from(p)).sum::<f64>() / bases.len() as f64;
                prop_assert!((cds.mean_probability - mean).abs() < 1e-12);
            }
            prop_assert_eq!(found, covered);
            prop_assert!(windows.windows(2).all(|pair| pair[0].end < pair[1].start));
        }
    }
}
