//! What a coding model knows beside its network: which open reading frame of a transcript codes, whether the transcript
//! is an mRNA, and from both the probability of each base.
//!
//! The network judges bases and transcripts by all that it sees, but not in which frame they code. The codons do: the
//! hexamers of an open reading frame, its length, its start and stop codon and the letters around the start, and where a
//! reading frame could have begun before the transcript, the codons before its first start codon: whether they look like
//! coding ones, and like those that follow. All this and the network's word are weighed against each other by two regressions, which `rnaret-train calibrate` fits to transcripts
//! that the network was not trained on:
//!
//! - a conditional logit over the open reading frames: the probability of each to be the coding sequence, if there is one;
//! - a logistic regression over transcripts, whole and cut: the probability to be an mRNA, or a part of one.
//!
//! The log odds of a base are a weighted mean of the network's and of those that the reading frames give.

use serde::{Deserialize, Serialize};

use super::genetic_code::GeneticCode;
use super::hexamers::{HexamerSums, Hexamers};
use super::reading_frame::{OpenFrame, ReadingFrame, Sums, open_frames};

/// Numbers that an open reading frame is judged by.
pub const FRAME_FEATURES: usize = 17;

/// Numbers that a transcript is judged by, the constant included.
pub const TRANSCRIPT_FEATURES: usize = 22;

/// Letters that count before a start codon, and as many after it.
pub const CONTEXT_SIDE: usize = 12;

/// Letters around a start codon that count.
pub const CONTEXT: usize = 2 * CONTEXT_SIDE;

/// Codons after a start codon that those before it are compared with.
const CODONS_COMPARED: usize = 400;

/// What the reading frames weigh in the log odds of a base; the network has the rest.
const FRAMES_WEIGHT: f64 = 0.7;

/// Log odds of probabilities are kept within this, where they come from the network.
const LARGEST_LOG_ODDS: f64 = 7.0;

/// As well for transcripts.
const LARGEST_TRANSCRIPT_LOG_ODDS: f64 = 12.0;

/// Natural log odds that a start codon other than AUG begins a coding sequence, beside one that does.
const ALTERNATIVE_START: f64 = -2.3;

/// What was learned from transcripts besides the network's weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CodingCalibration {
    /// Log odds of hexamers in coding frames.
    pub hexamers: Hexamers,
    /// Log odds of the letters A, C, G, U at each place around a start codon, beside an AUG within a coding sequence,
    /// [[`CONTEXT`], 4].
    pub start_context: Vec<[f32; 4]>,
    /// What each number of an open reading frame weighs, [[`FRAME_FEATURES`]].
    pub frame_weights: Vec<f64>,
    /// What each number of a transcript weighs, [[`TRANSCRIPT_FEATURES`]].
    pub transcript_weights: Vec<f64>,
}

/// An open reading frame and how probable it is the coding sequence, if the transcript has one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct JudgedFrame {
    /// Where it is.
    pub frame: OpenFrame,
    /// The probability; over all open reading frames of a transcript they sum to 1.
    pub probability: f64,
}

/// What a transcript is judged to be.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// Probability to be an mRNA, or a part of one.
    pub potential: f64,
    /// Probability of each base to code.
    pub bases: Vec<f32>,
    /// All open reading frames, the most probable first.
    pub frames: Vec<JudgedFrame>,
}

impl Judgement {
    /// The reading frames of at least `min_length` bases, the most probable first, with the mean probability of their bases.
    pub fn reading_frames(&self, min_length: usize) -> Vec<ReadingFrame> {
        let sums = Sums::new(&self.bases);
        let long_enough = self.frames.iter().filter(|judged| judged.frame.length() >= min_length);
        let mean = |frame: OpenFrame| sums.of(frame.start, frame.end) / frame.length() as f64;
        long_enough.map(|judged| judged.frame.with_probability(mean(judged.frame))).collect()
    }
}

/// The numbers of a transcript and its open reading frames before they are weighed: what calibration is fitted to.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// All open reading frames.
    pub frames: Vec<OpenFrame>,
    /// The numbers of each.
    pub features: Vec<[f64; FRAME_FEATURES]>,
    sequence_length: usize,
    network_log_odds: f64,
    /// Of each frame: summed log odds of hexamers, and how much above those of the other frames.
    hexamers: Vec<(f64, f64)>,
    /// Of each frame: log odds added for its start codon.
    start_odds: Vec<f64>,
}

impl Evidence {
    /// Collects what speaks for each open reading frame of `sequence`. `probabilities` of the bases and `potential` of the
    /// transcript are the network's.
    pub fn new(
        hexamers: &Hexamers,
        start_context: &[[f32; 4]],
        sequence: &[u8],
        probabilities: &[f32],
        potential: f64,
        code: GeneticCode,
    ) -> Self {
        let base_odds: Vec<f32> =
            probabilities.iter().map(|&p| log_odds(f64::from(p), LARGEST_LOG_ODDS) as f32).collect();
        let network = Sums::new(&base_odds);
        let hexamer_sums = HexamerSums::new(hexamers, sequence);
        let mut starts_before = vec![0.0; sequence.len() + 1];
        for position in 0..sequence.len() {
            let is_start = sequence[position..].starts_with(b"AUG");
            starts_before[position + 1] = starts_before[position] + f64::from(u8::from(is_start));
        }
        let frames = open_frames(sequence, code);
        let hexamers =
            frames.iter().map(|frame| hexamer_sums.of(frame.start + frame.phase, frame.codons())).collect::<Vec<_>>();
        let one = |yes: bool| f64::from(u8::from(yes));
        let features = frames.iter().zip(&hexamers).map(|(frame, (own, above))| {
            let OpenFrame { start, end, phase, has_start, has_stop, later_start } = *frame;
            let mut features = [0.0; FRAME_FEATURES];
            features[..7].copy_from_slice(&[
                network.of(start, end) / 100.0,
                own / 20.0,
                above / 20.0,
                (1.0 + frame.codons() as f64).ln(),
                one(has_start && has_stop),
                one(has_start && !has_stop),
                one(!has_start && has_stop),
            ]);
            if has_start {
                features[7] = context_odds(start_context, sequence, start);
            }
            // What lies before the first start codon of a reading frame that may begin there or before the transcript.
            if let Some(before) = later_start {
                let bases = (before - start) as f64;
                let (own, above) = hexamer_sums.of(start + phase, (before - start - phase) / 3);
                let starts = starts_before[before] - starts_before[start];
                let after = (before + 60).min(sequence.len());
                let mean = |from: usize, to: usize| network.of(from, to) / (to - from).max(1) as f64;
                let likeness = likeness(&sequence[start + phase..before], &sequence[before..end]);
                features[8..].copy_from_slice(&[
                    1.0,
                    own.clamp(-12.0, 12.0) / 5.0,
                    above.clamp(-12.0, 12.0) / 5.0,
                    (1.0 + bases / 3.0).ln(),
                    starts.min(3.0),
                    starts / (1.0 + bases / 30.0),
                    context_odds(start_context, sequence, before),
                    mean(start, before) - mean(before, after),
                    likeness.clamp(-15.0, 15.0) / 5.0,
                ]);
            }
            features
        });
        let features = features.collect();
        let start_odds = frames
            .iter()
            .map(|frame| match frame.has_start && !sequence[frame.start..].starts_with(b"AUG") {
                true => ALTERNATIVE_START,
                false => 0.0,
            })
            .collect();
        let network_log_odds = log_odds(potential, LARGEST_TRANSCRIPT_LOG_ODDS);
        Self { frames, features, sequence_length: sequence.len(), network_log_odds, hexamers, start_odds }
    }

    /// The probability of each open reading frame to be the coding sequence, if there is one.
    pub fn frame_probabilities(&self, weights: &[f64]) -> Vec<f64> {
        let scores: Vec<f64> =
            self.features.iter().zip(&self.start_odds).map(|(features, odds)| dot(features, weights) + odds).collect();
        let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mut probabilities: Vec<f64> = scores.iter().map(|score| (score - largest).exp()).collect();
        let sum: f64 = probabilities.iter().sum();
        probabilities.iter_mut().for_each(|probability| *probability /= sum);
        probabilities
    }

    /// The numbers that the transcript is judged by, given the most probable of its open reading frames.
    pub fn transcript_features(&self, best: Option<usize>) -> [f64; TRANSCRIPT_FEATURES] {
        let ln = |bases: usize| (1.0 + bases as f64 / 3.0).ln();
        let longest = |wanted: &dyn Fn(&OpenFrame) -> bool| {
            self.frames.iter().filter(|frame| wanted(frame)).map(OpenFrame::length).max().unwrap_or(0)
        };
        let complete = longest(&|frame| frame.has_start && frame.has_stop);
        let length = self.sequence_length.max(1);
        let z = self.network_log_odds;
        let mut features = [0.0; TRANSCRIPT_FEATURES];
        features[..6].copy_from_slice(&[
            1.0,
            z / 5.0,
            ln(complete),
            ln(longest(&|frame| frame.has_start)),
            ln(longest(&|_| true)),
            (length as f64).ln(),
        ]);
        features[6] = complete as f64 / length as f64;
        if let Some(best) = best {
            let frame = self.frames[best];
            let (own, above) = self.hexamers[best];
            let codons = frame.codons().max(1) as f64;
            let one = |yes: bool| f64::from(u8::from(yes));
            let complete = one(frame.has_start && frame.has_stop);
            let open = one(!frame.has_start && !frame.has_stop);
            let ln = (1.0 + codons).ln();
            features[7..].copy_from_slice(&[
                own / 50.0,
                own / codons,
                above / 50.0,
                above / codons,
                own.min(30.0) / 10.0,
                above.min(30.0) / 10.0,
                ln,
                above / codons * ln,
                3.0 * codons / length as f64,
                one(frame.has_start),
                one(frame.has_stop),
                complete,
                open,
                complete * z / 5.0,
                open * z / 5.0,
            ]);
        }
        features
    }
}

impl CodingCalibration {
    /// Judges a transcript, given the network's probabilities of its bases and of the whole.
    pub fn judge(&self, sequence: &[u8], probabilities: &[f32], potential: f64, code: GeneticCode) -> Judgement {
        let evidence = Evidence::new(&self.hexamers, &self.start_context, sequence, probabilities, potential, code);
        let of_frames = evidence.frame_probabilities(&self.frame_weights);
        let best = of_frames.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map(|(index, _)| index);
        let potential = sigmoid(dot(&evidence.transcript_features(best), &self.transcript_weights));
        // Where probabilities begin and end along the transcript.
        let mut steps = vec![0.0; sequence.len() + 1];
        for (frame, probability) in evidence.frames.iter().zip(&of_frames) {
            steps[frame.start] += probability;
            steps[frame.end] -= probability;
        }
        let mut in_frames: f64 = 0.0;
        let bases = probabilities.iter().zip(&steps).map(|(&network, step)| {
            in_frames += step;
            let frames = log_odds(potential * in_frames.clamp(0.0, 1.0), 9.2);
            let network = log_odds(f64::from(network), LARGEST_LOG_ODDS);
            sigmoid(FRAMES_WEIGHT * frames + (1.0 - FRAMES_WEIGHT) * network) as f32
        });
        let bases = bases.collect();
        let judged = evidence.frames.iter().zip(of_frames);
        let mut frames: Vec<JudgedFrame> =
            judged.map(|(&frame, probability)| JudgedFrame { frame, probability }).collect();
        // The sort is stable: of equals the first in order of frame and position.
        frames.sort_by(|a, b| b.probability.total_cmp(&a.probability));
        Judgement { potential, bases, frames }
    }

    /// Whether all parts have the size that they must have.
    ///
    /// # Errors
    /// Which part does not.
    pub fn validate(&self) -> std::result::Result<(), String> {
        for (name, found, wanted) in [
            ("start_context", self.start_context.len(), CONTEXT),
            ("frame_weights", self.frame_weights.len(), FRAME_FEATURES),
            ("transcript_weights", self.transcript_weights.len(), TRANSCRIPT_FEATURES),
        ] {
            if found != wanted {
                return Err(format!("the calibration has {found} {name} where there are {wanted}"));
            }
        }
        let numbers = self.frame_weights.iter().chain(&self.transcript_weights);
        let all_finite = numbers.copied().chain(self.start_context.iter().flatten().map(|&odds| f64::from(odds)));
        match all_finite.into_iter().all(f64::is_finite) {
            true => Ok(()),
            false => Err("the calibration holds numbers that are not finite".into()),
        }
    }
}

/// The positions of the letters that count around the start codon at `start`, in order; those outside are `None`.
pub fn context_positions(length: usize, start: usize) -> impl Iterator<Item = Option<usize>> {
    let before = (1..=CONTEXT_SIDE).rev().map(move |distance| start.checked_sub(distance));
    let after = (start + 3..start + 3 + CONTEXT_SIDE).map(Some);
    before.chain(after).map(move |position| position.filter(|&position| position < length))
}

/// The number of a letter among ACGU; `None` for N.
fn letter_number(letter: u8) -> Option<usize> {
    b"ACGU".iter().position(|known| *known == letter)
}

/// Natural log odds that the codons of `before` are of the same coding sequence as those of `after`: how much more likely
/// their letters are by the frequencies which letters have at the three places of the codons of `after`, than in the other
/// two frames on average. Codon usage differs between genes and species, and is the same within one.
fn likeness(before: &[u8], after: &[u8]) -> f64 {
    // Two of each, as if there were a few codons more.
    let mut counts = [[2.0f64; 4]; 3];
    for codon in after.chunks_exact(3).take(CODONS_COMPARED) {
        for (counts, &letter) in counts.iter_mut().zip(codon) {
            letter_number(letter).into_iter().for_each(|letter| counts[letter] += 1.0);
        }
    }
    let logarithms = counts.map(|counts| counts.map(|count| (count / counts.iter().sum::<f64>()).ln()));
    let in_frame = |shift: usize| -> f64 {
        let places = before.iter().enumerate().map(|(position, &letter)| (logarithms[(position + shift) % 3], letter));
        places.filter_map(|(logarithms, letter)| Some(logarithms[letter_number(letter)?])).sum()
    };
    in_frame(0) - (in_frame(1) + in_frame(2)) / 2.0
}

/// Summed log odds of the letters around the start codon at `start`.
fn context_odds(context: &[[f32; 4]], sequence: &[u8], start: usize) -> f64 {
    let odds = context
        .iter()
        .zip(context_positions(sequence.len(), start))
        .filter_map(|(odds, position)| Some(f64::from(odds[letter_number(sequence[position?])?])));
    odds.sum()
}

fn dot(features: &[f64], weights: &[f64]) -> f64 {
    features.iter().zip(weights).map(|(feature, weight)| feature * weight).sum()
}

/// ln(p / (1 - p)), at most `largest` from 0.
fn log_odds(probability: f64, largest: f64) -> f64 {
    (probability / (1.0 - probability)).ln().clamp(-largest, largest)
}

fn sigmoid(log_odds: f64) -> f64 {
    1.0 / (1.0 + (-log_odds).exp())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::decode::hexamers::HexamerCounts;

    /// A calibration that likes GCU codons and long reading frames.
    fn calibration() -> CodingCalibration {
        let mut counts = HexamerCounts::default();
        counts.add_coding(&b"GCU".repeat(500));
        counts.add_untranslated(&b"CAUUCGGACUACGUUAGCAUGGCU".repeat(40));
        let mut frame_weights = vec![0.0; FRAME_FEATURES];
        (frame_weights[1], frame_weights[3], frame_weights[9]) = (2.0, 2.0, 2.0);
        let mut transcript_weights = vec![0.0; TRANSCRIPT_FEATURES];
        (transcript_weights[1], transcript_weights[8]) = (1.0, 1.0);
        let start_context = vec![[0.0; 4]; CONTEXT];
        CodingCalibration { hexamers: counts.log_odds(), start_context, frame_weights, transcript_weights }
    }

    fn judge(sequence: &[u8]) -> Judgement {
        calibration().judge(sequence, &vec![0.5; sequence.len()], 0.5, GeneticCode::default())
    }

    #[test]
    fn the_frame_of_the_codons_wins() {
        let sequence = [&b"CUAACCCAUG"[..], &b"GCU".repeat(30), b"UAACUAACUAACC"].concat();
        let judged = judge(&sequence);
        let best = judged.reading_frames(0)[0];
        assert_eq!((best.start, best.end, best.state()), (7, 103, "complete"));
        assert!(judged.bases[50] > 0.5 && judged.bases[2] < 0.2 && judged.bases[110] < 0.2);
        // The other two frames are open from the first base on, and longer.
        assert!(judged.reading_frames(97).iter().all(|frame| frame.end - frame.start >= 97 && frame.start != 7));
        assert!(judged.reading_frames(sequence.len() + 1).is_empty());
        // The same cut before its start codon and after its last.
        for (part, state) in [(13..110, "5_prime_cut"), (0..90, "3_prime_cut"), (13..90, "both_cut")] {
            let found = judge(&sequence[part.clone()]).reading_frames(0)[0];
            assert_eq!(found.state(), state, "{part:?}");
        }
    }

    #[test]
    fn a_start_that_lies_within_coding_codons_is_none() {
        // Coding codons, AUG, coding codons and a stop: the sequence begins within the coding sequence.
        let sequence = [&b"GCU".repeat(20)[..], b"AUG", &b"GCU".repeat(20), b"UAACC"].concat();
        assert_eq!(judge(&sequence).reading_frames(0)[0].state(), "5_prime_cut");
    }

    #[test]
    fn codons_are_like_those_of_their_own_frame() {
        let coding = b"GCUGAAGCCGAU".repeat(10);
        assert!(likeness(&b"GCUGAU".repeat(4), &coding) > 5.0);
        assert!(likeness(&b"CUGAUG".repeat(4), &coding) < 0.0);
        assert_eq!((likeness(b"", &coding), likeness(b"NNN", &coding)), (0.0, 0.0));
        assert!(likeness(b"GCU", b"").abs() < 1e-9);
        assert_eq!(context_positions(100, 20).count(), CONTEXT);
        let expected: Vec<Option<usize>> = (0..2).map(Some).chain((5..9).map(Some)).collect();
        assert_eq!(context_positions(9, 2).flatten().map(Some).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn nothing_is_judged_too() {
        let judged = judge(b"");
        assert!(judged.frames.is_empty() && judged.bases.is_empty() && judged.potential.is_finite());
        assert!(judge(b"AU").frames.is_empty());
    }

    #[test]
    fn a_calibration_of_another_size_is_refused() {
        assert_eq!(calibration().validate(), Ok(()));
        let short = CodingCalibration { frame_weights: vec![0.0; 3], ..calibration() };
        assert!(short.validate().expect_err("too short").contains("3 frame_weights where there are 17"));
        let infinite = CodingCalibration { frame_weights: vec![f64::NAN; FRAME_FEATURES], ..calibration() };
        assert!(infinite.validate().is_err());
        let text = serde_json::to_string(&calibration()).expect("JSON");
        assert_eq!(serde_json::from_str::<CodingCalibration>(&text).expect("the same"), calibration());
    }

    proptest! {
        #[test]
        fn what_is_judged_is_probable(
            letters in proptest::collection::vec(proptest::sample::select(b"ACGUN".to_vec()), 0..120),
            seed in proptest::collection::vec(0.0_f32..=1.0, 120),
            potential in 0.0_f64..=1.0,
        ) {
            let probabilities = &seed[..letters.len()];
            let judged = calibration().judge(&letters, probabilities, potential, GeneticCode::default());
            prop_assert!((0.0..=1.0).contains(&judged.potential));
            prop_assert_eq!(judged.bases.len(), letters.len());
            prop_assert!(judged.bases.iter().all(|base| (0.0..=1.0).contains(base)));
            let sum: f64 = judged.frames.iter().map(|judged| judged.probability).sum();
            prop_assert!(judged.frames.is_empty() || (sum - 1.0).abs() < 1e-9);
            prop_assert!(judged.frames.windows(2).all(|pair| pair[0].probability >= pair[1].probability));
        }
    }
}
