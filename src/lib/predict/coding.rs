//! Where transcripts code, and whether they are mRNAs, stretch by stretch: see [`crate::decode::stretches`].

use std::ops::Range;

use super::check_finite;
use crate::Result;
use crate::decode::coding::{CdsWindow, cds_windows};
use crate::decode::stretches::{Reading, read};
use crate::model::heads::coding::CodingHead;
use crate::model::{Encode, Model};
use crate::sequence::{Doubt, Record};

/// What the model says of a transcript.
#[derive(Clone, Debug, PartialEq)]
pub struct CodingPrediction {
    /// The stretches that were read.
    pub stretches: Vec<Range<usize>>,
    /// Why the transcript has no label.
    pub doubt: Option<Doubt>,
    /// Probability of each base that it codes. 0 for an N, and for all bases outside the stretches.
    pub probabilities: Vec<f32>,
    /// The coding potential: the greatest of those of the stretches, since a transcript is an mRNA where a part of it is a part
    /// of one. `None` where there are none.
    pub potential: Option<f64>,
}

/// Predictions for `records`, by all threads of the current rayon pool; `window` is the number of bases by which heads
/// that do not judge whole transcripts have them judged.
///
/// # Errors
/// Where the model runs out of memory or gives numbers that are not finite, or a record's tokens are of another k.
pub fn predict(model: &Model, head: &CodingHead, records: &[Record], window: usize) -> Result<Vec<CodingPrediction>> {
    let readings: Vec<Reading> = records.iter().map(|record| read(&record.sequence)).collect();
    let parts: Vec<Vec<Range<usize>>> = readings.iter().map(|reading| reading.stretches.clone()).collect();
    let features = model.encoder.features(&model.inputs_of_parts(records, &parts)?)?;
    let stretches =
        || records.iter().zip(&parts).flat_map(|(record, parts)| parts.iter().map(move |part| (record, part)));
    let letters: Vec<u8> = stretches().flat_map(|(record, part)| &record.sequence[part.clone()]).copied().collect();
    let found = head.probabilities(&features, &letters)?;
    for ((record, _), range) in stretches().zip(features.ranges()) {
        check_finite(&record.id, &found.bases[range])?;
    }
    let mut read_stretches = features.ranges().enumerate();
    let predictions = records.iter().zip(readings).map(|(record, Reading { stretches, doubt })| {
        let mut probabilities = vec![0.0; record.len()];
        let mut potential: Option<f64> = None;
        for (stretch, (index, range)) in stretches.iter().zip(&mut read_stretches) {
            let of_stretch = found.potential(index, range.clone(), window);
            check_finite(&record.id, &[of_stretch as f32])?;
            potential = Some(potential.map_or(of_stretch, |other| other.max(of_stretch)));
            probabilities[stretch.clone()].copy_from_slice(&found.bases[range]);
        }
        // An N never codes.
        let unknown = record.sequence.iter().zip(&mut probabilities).filter(|(letter, _)| **letter == b'N');
        unknown.for_each(|(_, probability)| *probability = 0.0);
        Ok(CodingPrediction { stretches, doubt, probabilities, potential })
    });
    predictions.collect()
}

/// About how many bytes [`predict`] takes at most for `records`.
pub fn memory(model: &Model, head: &CodingHead, records: &[Record]) -> u64 {
    let bases: usize = records.iter().map(Record::len).sum();
    // Tokens, letters, and the probabilities twice.
    model.encoder.memory(bases) + head.memory(bases) + 16 * bases as u64
}

impl CodingPrediction {
    /// The coding windows, which lie within stretches of at least `window` bases: see [`cds_windows`].
    pub fn windows(&self, window: usize, threshold: f64) -> Vec<CdsWindow> {
        let of_stretch = |stretch: &Range<usize>| {
            let start = stretch.start;
            let moved =
                move |found: CdsWindow| CdsWindow { start: start + found.start, end: start + found.end, ..found };
            cds_windows(&self.probabilities[stretch.clone()], window, threshold).into_iter().map(moved)
        };
        self.stretches.iter().filter(|stretch| stretch.len() >= window).flat_map(of_stretch).collect()
    }

    /// The runs of bases for which there is a probability: all of the stretches but N. `sequence` is the transcript.
    pub fn known_bases(&self, sequence: &[u8]) -> Vec<Range<usize>> {
        let mut known = Vec::new();
        for stretch in &self.stretches {
            let mut start = stretch.start;
            for run in sequence[stretch.clone()].chunk_by(|a, b| (*a == b'N') == (*b == b'N')) {
                if run[0] != b'N' {
                    known.push(start..start + run.len());
                }
                start += run.len();
            }
        }
        known
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::DeviceArgs;
    use crate::model::Task;

    fn random(length: usize, mut state: u64) -> Vec<u8> {
        let mut letter = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            b"ACGU"[(state >> 62) as usize]
        };
        (0..length).map(|_| letter()).collect()
    }

    fn record(sequence: Vec<u8>) -> Record {
        Record { id: "r".into(), sequence, ..Record::default() }
    }

    fn with(model: &Model, sequences: &[Vec<u8>]) -> Vec<CodingPrediction> {
        let head = CodingHead::new(&model.weights.config, &model.parameters).unwrap();
        let records: Vec<Record> = sequences.iter().cloned().map(record).collect();
        predict(model, &head, &records, 30).unwrap()
    }

    #[test]
    fn stretches_are_judged_as_transcripts_of_their_own() {
        let model = Model::load(None, Task::Coding, DeviceArgs::CPU).unwrap();
        let (first, second) = (random(400, 1), random(350, 2));
        let gap = |length| [first.clone(), vec![b'N'; length], second.clone()].concat();
        let found = with(&model, &[first.clone(), second.clone(), gap(21), gap(150), gap(3000), vec![b'N'; 700]]);
        let largest = found[0].potential.zip(found[1].potential).map(|(a, b)| a.max(b));
        for (prediction, length) in found[2..5].iter().zip([21, 150, 3000]) {
            assert_eq!(prediction.stretches, [0..400, 400 + length..750 + length]);
            assert_eq!(prediction.potential, largest);
            assert_eq!(prediction.probabilities[..400], found[0].probabilities);
            assert!(prediction.probabilities[400..400 + length].iter().all(|p| *p == 0.0));
            assert_eq!(prediction.probabilities[400 + length..], found[1].probabilities);
            let windows = prediction.windows(30, 0.0);
            assert_eq!(windows.iter().map(|window| window.start..window.end).collect::<Vec<_>>(), prediction.stretches);
        }
        assert_eq!((found[5].potential, found[5].doubt), (None, Some(Doubt::TooUnknown)));
        assert!(found[5].windows(30, 0.0).is_empty() && found[5].known_bases(&[b'N'; 700]).is_empty());
    }

    #[test]
    fn an_unknown_letter_has_no_probability() {
        let model = Model::load(None, Task::Coding, DeviceArgs::CPU).unwrap();
        let mut sequence = random(500, 3);
        sequence[100] = b'N';
        sequence[300..320].fill(b'N');
        let found = &with(&model, &[sequence.clone()])[0];
        assert_eq!(found.known_bases(&sequence), [0..100, 101..300, 320..500]);
        assert!(found.potential.is_some() && found.probabilities[300..320].iter().all(|p| *p == 0.0));
    }
}
