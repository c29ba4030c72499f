//! Where transcripts code, and whether they are mRNAs, stretch by stretch: see [`crate::decode::stretches`]. The tool and
//! the evaluation of coding models both go through [`CodingModel::predict`].

use std::ops::Range;

use super::check_finite;
use crate::Result;
use crate::decode::coding::{CdsWindow, TranscriptLabel, cds_windows};
use crate::decode::coding_calibration::CodingCalibration;
use crate::decode::genetic_code::GeneticCode;
use crate::decode::reading_frame::{ReadingFrame, reading_frames, refine};
use crate::decode::stretches::{LEAST_LENGTH, Reading, read};
use crate::model::device::DeviceArgs;
use crate::model::heads::coding::CodingHead;
use crate::model::{Encode, Encoder, Input, Model, ModelConfig, Parameters, Task};
use crate::sequence::alphabet::reverse_complement;
use crate::sequence::{Doubt, Record, Strand};

/// Which strand of a transcript is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum StrandChoice {
    /// The sequence as it stands
    #[default]
    Forward,
    /// Its reverse complement
    Reverse,
    /// That of the two with the greater coding potential
    Both,
}

/// How transcripts are judged.
#[derive(Clone, Copy, Debug)]
pub struct CodingRules {
    /// Bases per window.
    pub window: usize,
    /// Least mean probability of a coding window, and least potential of an mRNA.
    pub threshold: f64,
    /// Start and stop codons.
    pub code: GeneticCode,
    /// Bases of the shortest coding sequence, the stop codon included.
    pub min_length: usize,
    /// Which strand is read.
    pub strand: StrandChoice,
}

impl Default for CodingRules {
    /// Those of `rnaret-coding` without options.
    fn default() -> Self {
        let (code, strand) = (GeneticCode::default(), StrandChoice::Forward);
        Self { window: 30, threshold: 0.5, code, min_length: 6, strand }
    }
}

/// What the model says of one strand of a transcript. All positions are on that strand.
#[derive(Clone, Debug, PartialEq)]
pub struct CodingPrediction {
    /// The strand.
    pub strand: Strand,
    /// Its sequence.
    pub sequence: Vec<u8>,
    /// The stretches that were read.
    pub stretches: Vec<Range<usize>>,
    /// Why the transcript has no label.
    pub doubt: Option<Doubt>,
    /// Probability of each base that it codes. 0 for an N, and for all bases outside the stretches.
    pub probabilities: Vec<f32>,
    /// The coding potential: the probability to be an mRNA or a part of one, or with a model that does not tell the mean
    /// probability of the best window. The greatest of those of the stretches, since a transcript is an mRNA where a part of
    /// it is a part of one, with its odds divided by the number of stretches, since each had a chance. `None` where there are
    /// none.
    pub potential: Option<f64>,
    /// The windows whose mean probability reaches the threshold, within stretches of at least a window: see
    /// [`cds_windows`].
    pub windows: Vec<CdsWindow>,
    /// The open reading frames that are long enough, the one that most probably codes first; of the stretch with the greatest
    /// potential before those of others.
    pub frames: Vec<ReadingFrame>,
    /// The coding sequences among them: of a calibrated model the first of each stretch that is an mRNA or a part of one; of
    /// others those that stand for the windows.
    pub coding_sequences: Vec<ReadingFrame>,
}

impl CodingPrediction {
    /// mRNA or lncRNA; nothing where [`CodingPrediction::doubt`] says why not.
    pub fn label(&self, threshold: f64) -> Option<TranscriptLabel> {
        self.known_potential().map(|potential| TranscriptLabel::new(potential, threshold))
    }

    /// The potential of a transcript that has a label. That of shorter ones says little: the network was not trained on them.
    pub fn known_potential(&self) -> Option<f64> {
        self.potential.filter(|_| self.doubt.is_none())
    }
}

/// What judges transcripts: a network, and what was learned beside it.
///
/// ```
/// use rnaret::{CodingModel, Record};
///
/// # fn main() -> rnaret::Result<()> {
/// let model = CodingModel::built_in()?;
/// let found = model.predict(&[Record::new("transcript", "ACGU".repeat(75))?], &Default::default())?;
/// assert_eq!(found[0].probabilities.len(), 300);
/// # Ok(())
/// # }
/// ```
pub struct CodingModel {
    encoder: Encoder,
    head: CodingHead,
    calibration: Option<CodingCalibration>,
}

/// What the network alone says of a sequence.
pub struct NetworkWord {
    /// Probability of each base to code.
    pub bases: Vec<f32>,
    /// Probability of the whole to be an mRNA or a part of one, or the mean probability of the best window.
    pub potential: f64,
}

impl CodingModel {
    /// The built-in model, with the standard genetic code, on the CPU.
    ///
    /// # Errors
    /// Where this build has no models inside.
    pub fn built_in() -> Result<Self> {
        Self::new(Model::load(None, Task::Coding, DeviceArgs::CPU)?, GeneticCode::default())
    }

    /// A loaded model that reads stop codons of `code`.
    ///
    /// # Errors
    /// Where a tensor is missing, or the model is one of another task.
    pub fn new(model: Model, code: GeneticCode) -> Result<Self> {
        let head = CodingHead::new(&model.weights.config, &model.parameters)?.with_code(code);
        Ok(Self { encoder: model.encoder, head, calibration: model.weights.calibration })
    }

    /// The model that has these parameters.
    ///
    /// # Errors
    /// As [`CodingModel::new`].
    pub fn of_parameters(
        config: &ModelConfig,
        parameters: &Parameters,
        calibration: Option<CodingCalibration>,
    ) -> Result<Self> {
        let encoder = Encoder::new(config, parameters)?.for_inference()?;
        Ok(Self { encoder, head: CodingHead::new(config, parameters)?, calibration })
    }

    /// Predictions for `records`, by all threads of the current rayon pool.
    ///
    /// # Errors
    /// Where the model runs out of memory or gives numbers that are not finite, or a record's tokens are of another k.
    pub fn predict(&self, records: &[Record], rules: &CodingRules) -> Result<Vec<CodingPrediction>> {
        let forward = || self.of_strand(records, rules, Strand::Forward);
        let reverse = || {
            let turned: Vec<Record> = records.iter().map(turned).collect();
            self.of_strand(&turned, rules, Strand::Reverse)
        };
        match rules.strand {
            StrandChoice::Forward => forward(),
            StrandChoice::Reverse => reverse(),
            StrandChoice::Both => {
                let better = |(forward, reverse): (CodingPrediction, CodingPrediction)| {
                    if reverse.potential > forward.potential { reverse } else { forward }
                };
                Ok(forward()?.into_iter().zip(reverse()?).map(better).collect())
            }
        }
    }

    /// What the network alone says of `sequence`, which `name` names in errors.
    ///
    /// # Errors
    /// As [`CodingModel::predict`].
    pub fn network(&self, name: &str, sequence: &[u8]) -> Result<NetworkWord> {
        let found = self.head.probabilities(&self.encoder.features(&[Input::Letters(sequence)])?, sequence)?;
        check_finite(name, &found.bases)?;
        let potential = found.potential(0, 0..sequence.len(), CodingRules::default().window);
        check_finite(name, &[potential as f32])?;
        Ok(NetworkWord { bases: found.bases, potential })
    }

    fn of_strand(&self, records: &[Record], rules: &CodingRules, strand: Strand) -> Result<Vec<CodingPrediction>> {
        let readings: Vec<Reading> = records.iter().map(|record| read(&record.sequence)).collect();
        let parts: Vec<Vec<Range<usize>>> = readings.iter().map(|reading| reading.stretches.clone()).collect();
        let features = self.encoder.features(&self.encoder.inputs_of_parts(records, &parts)?)?;
        let stretches =
            || records.iter().zip(&parts).flat_map(|(record, parts)| parts.iter().map(move |part| (record, part)));
        let letters: Vec<u8> = stretches().flat_map(|(record, part)| &record.sequence[part.clone()]).copied().collect();
        let found = self.head.probabilities(&features, &letters)?;
        for ((record, _), range) in stretches().zip(features.ranges()) {
            check_finite(&record.id, &found.bases[range])?;
        }
        let mut read_stretches = features.ranges().enumerate();
        let predictions = records.iter().zip(readings).map(|(record, reading)| {
            let mut judged = Vec::new();
            for (stretch, (index, range)) in reading.stretches.iter().zip(&mut read_stretches) {
                let potential = found.potential(index, range.clone(), rules.window);
                check_finite(&record.id, &[potential as f32])?;
                let sequence = &record.sequence[stretch.clone()];
                judged.push(self.judge(rules, sequence, &found.bases[range], potential, reading.stretches.len()));
            }
            Ok(put_together(record, reading, judged, strand))
        });
        predictions.collect()
    }

    /// Judges one of `stretches` stretches of a transcript, given what the network says of it.
    fn judge(
        &self,
        rules: &CodingRules,
        sequence: &[u8],
        network: &[f32],
        potential: f64,
        stretches: usize,
    ) -> JudgedStretch {
        let CodingRules { window, threshold, code, min_length, .. } = *rules;
        let long_enough = |frames: Vec<ReadingFrame>| -> Vec<ReadingFrame> {
            frames.into_iter().filter(|frame| frame.end - frame.start >= min_length).collect()
        };
        // An N never codes.
        let without_unknown = |probabilities: &[f32]| -> Vec<f32> {
            let known = |(letter, probability): (&u8, &f32)| if *letter == b'N' { 0.0 } else { *probability };
            sequence.iter().zip(probabilities).map(known).collect()
        };
        let windows_of = |probabilities: &[f32]| match sequence.len() >= window {
            true => cds_windows(probabilities, window, threshold),
            false => Vec::new(),
        };
        match &self.calibration {
            Some(calibration) => {
                let judged = calibration.judge(sequence, network, potential, code);
                let potential = among(judged.potential, stretches);
                let frames = judged.reading_frames(min_length);
                let probabilities = without_unknown(&judged.bases);
                // Shorter ones than the model was trained with look coding as a whole sooner than in their bases.
                let sure = |frame: &&ReadingFrame| {
                    let is_long = sequence.len() >= LEAST_LENGTH;
                    potential >= threshold && (is_long || frame.mean_probability >= threshold)
                };
                let coding_sequences = frames.iter().take(1).filter(sure).copied().collect();
                let windows = windows_of(&probabilities);
                JudgedStretch { potential, probabilities, windows, frames, coding_sequences }
            }
            None => {
                let probabilities = without_unknown(network);
                let mut frames = long_enough(reading_frames(sequence, &probabilities, window, code));
                let expected = |frame: &ReadingFrame| frame.mean_probability * (frame.end - frame.start) as f64;
                frames.sort_by(|a, b| expected(b).total_cmp(&expected(a)));
                let windows = windows_of(&probabilities);
                let coding_sequences = long_enough(refine(sequence, &probabilities, &windows, window, code));
                let potential = among(potential, stretches);
                JudgedStretch { potential, probabilities, windows, frames, coding_sequences }
            }
        }
    }

    /// About how many bytes [`CodingModel::predict`] takes at most for `records`.
    pub fn memory(&self, records: &[Record]) -> u64 {
        let bases: usize = records.iter().map(Record::len).sum();
        let longest = records.iter().map(Record::len).max().unwrap_or(0);
        // The encoder is done before the head begins. Tokens, letters, the probabilities and their sums; for one record at
        // a time the hexamers of three frames, and the open reading frames with what speaks for them: one in some twenty
        // bases.
        let features = 4 * (bases * self.encoder.width()) as u64;
        let network = self.encoder.memory(bases).max(features + self.head.memory(bases));
        network + (96 * bases + 384 * longest) as u64
    }
}

/// The other strand of a record. Tokens that were given are of the forward strand, so that they are made anew.
fn turned(record: &Record) -> Record {
    let iupac = record.iupac.as_deref().map(reverse_complement);
    Record { sequence: reverse_complement(&record.sequence), iupac, tokens: None, ..record.clone() }
}

/// What is said of one stretch; positions are within it.
struct JudgedStretch {
    potential: f64,
    probabilities: Vec<f32>,
    windows: Vec<CdsWindow>,
    frames: Vec<ReadingFrame>,
    coding_sequences: Vec<ReadingFrame>,
}

/// The potential of a stretch that is the greatest of `stretches` of its transcript: its odds divided by their number. The
/// greatest of several draws is larger than one draw, so that without this a gap would make an mRNA of some sequences that
/// are none, by giving each of its sides a chance.
fn among(potential: f64, stretches: usize) -> f64 {
    let stretches = stretches as f64;
    potential / (stretches - (stretches - 1.0) * potential)
}

/// What the stretches of a record say of the whole.
fn put_together(record: &Record, reading: Reading, judged: Vec<JudgedStretch>, strand: Strand) -> CodingPrediction {
    let Reading { stretches, doubt } = reading;
    let mut probabilities = vec![0.0; record.len()];
    let (mut windows, mut ranked) = (Vec::new(), Vec::new());
    for (stretch, judged) in stretches.iter().zip(judged) {
        let start = stretch.start;
        probabilities[stretch.clone()].copy_from_slice(&judged.probabilities);
        let moved = |found: CdsWindow| CdsWindow { start: start + found.start, end: start + found.end, ..found };
        windows.extend(judged.windows.into_iter().map(moved));
        let moved = |frames: Vec<ReadingFrame>| -> Vec<ReadingFrame> {
            frames.into_iter().map(|frame| frame.moved_by(start)).collect()
        };
        ranked.push((judged.potential, moved(judged.frames), moved(judged.coding_sequences)));
    }
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    CodingPrediction {
        strand,
        sequence: record.sequence.clone(),
        stretches,
        doubt,
        probabilities,
        potential: ranked.first().map(|best| best.0),
        windows,
        frames: ranked.iter().flat_map(|stretch| stretch.1.iter().copied()).collect(),
        coding_sequences: ranked.iter().flat_map(|stretch| stretch.2.iter().copied()).collect(),
    }
}

impl CodingPrediction {
    /// The probabilities along the forward strand: the first base of each run of bases that have one, and those of the run.
    pub fn track(&self) -> Vec<(usize, Vec<f32>)> {
        let run = |bases: Range<usize>| {
            let (first, _) = self.strand.on_forward(bases.start, bases.end, self.probabilities.len());
            let mut probabilities = self.probabilities[bases].to_vec();
            if self.strand == Strand::Reverse {
                probabilities.reverse();
            }
            (first, probabilities)
        };
        let mut runs: Vec<_> = self.known_bases().into_iter().map(run).collect();
        runs.sort_unstable_by_key(|(first, _)| *first);
        runs
    }

    /// The runs of bases for which there is a probability: all of the stretches but N.
    fn known_bases(&self) -> Vec<Range<usize>> {
        let mut known = Vec::new();
        for stretch in &self.stretches {
            let mut start = stretch.start;
            for run in self.sequence[stretch.clone()].chunk_by(|a, b| (*a == b'N') == (*b == b'N')) {
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

    fn with(sequences: &[Vec<u8>]) -> Vec<CodingPrediction> {
        let model = Model::load(None, Task::Coding, DeviceArgs::CPU).unwrap();
        let records: Vec<Record> = sequences.iter().cloned().map(record).collect();
        let rules = CodingRules { threshold: 0.0, ..CodingRules::default() };
        CodingModel::new(model, rules.code).unwrap().predict(&records, &rules).unwrap()
    }

    #[test]
    fn stretches_are_judged_as_transcripts_of_their_own() {
        let (first, second) = (random(400, 1), random(350, 2));
        let gap = |length| [first.clone(), vec![b'N'; length], second.clone()].concat();
        let found = with(&[first.clone(), second.clone(), gap(10), gap(150), gap(3000), vec![b'N'; 700]]);
        let largest = found[0].potential.zip(found[1].potential).map(|(a, b)| among(a.max(b), 2));
        for (prediction, length) in found[2..5].iter().zip([10, 150, 3000]) {
            assert_eq!(prediction.stretches, [0..400, 400 + length..750 + length]);
            assert_eq!(prediction.potential, largest);
            assert_eq!(prediction.probabilities[..400], found[0].probabilities);
            assert!(prediction.probabilities[400..400 + length].iter().all(|p| *p == 0.0));
            assert_eq!(prediction.probabilities[400 + length..], found[1].probabilities);
            let windows = &prediction.windows;
            assert_eq!(windows.iter().map(|window| window.start..window.end).collect::<Vec<_>>(), prediction.stretches);
        }
        assert_eq!((found[5].potential, found[5].doubt), (None, Some(Doubt::TooUnknown)));
        assert!(found[5].windows.is_empty() && found[5].known_bases().is_empty());
    }

    #[test]
    fn an_unknown_letter_has_no_probability() {
        let mut sequence = random(500, 3);
        sequence[100] = b'N';
        sequence[300..309].fill(b'N');
        let found = &with(&[sequence])[0];
        assert_eq!(found.known_bases(), [0..100, 101..300, 309..500]);
        assert!(found.potential.is_some() && found.probabilities[300..309].iter().all(|p| *p == 0.0));
    }
}
