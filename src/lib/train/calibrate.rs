//! Fits the calibration of a coding model ([`crate::decode::coding_calibration`]) to transcripts that its network was not
//! trained on.

use rand::Rng;
use rayon::prelude::*;

use super::choice_regression::{Choice, fit};
use super::data::coding::CodingRecord;
use super::objective::coding::{FRAGMENT, middle};
use super::random::{Purpose, generator};
use crate::decode::coding_calibration::{
    CONTEXT, CodingCalibration, Evidence, FRAME_FEATURES, TRANSCRIPT_FEATURES, context_positions,
};
use crate::decode::genetic_code::GeneticCode;
use crate::decode::hexamers::HexamerCounts;
use crate::predict::coding::CodingModel;
use crate::{Error, Result};

/// How much whole transcripts count beside one kind of their parts, for the choice of the reading frame and for the label.
/// The first says how much whole transcripts may lose for those whose 5' end is cut, as `models/coding.md` tells.
const WHOLE_FRAME: f64 = 8.0;
const WHOLE_LABEL: f64 = 2.0;

/// How much a sequence made of an mRNA that codes for nothing counts.
const DECOY: f64 = 0.3;

/// Fits a calibration: hexamers and start codons of `training`, the weights of `held_out` transcripts, each whole, in its
/// middle 200 bases, as a random fragment, cut within the CDS at either end, and mRNAs also as decoys. Where a species has
/// more mRNAs than lncRNAs, its mRNAs count less.
///
/// # Errors
/// Where there are no transcripts with a CDS to learn from, or not both labels; where the network fails.
pub fn calibrate(
    model: &CodingModel,
    training: &[CodingRecord],
    held_out: &[CodingRecord],
    seed: u64,
) -> Result<CodingCalibration> {
    let code = GeneticCode::default();
    let mut hexamers = HexamerCounts::default();
    // Around start codons, and around the other AUG of coding sequences.
    let (mut starts, mut others) = (LetterCounts::default(), LetterCounts::default());
    for record in training {
        let Some(cds) = &record.cds else { continue };
        let sequence = &record.sequence;
        // Neither start nor stop codon.
        if let Some(codons) = sequence.get(cds.start + 3..cds.end.saturating_sub(3)) {
            hexamers.add_coding(codons);
        }
        hexamers.add_untranslated(&sequence[..cds.start]);
        starts.add(sequence, cds.start);
        let codons = (cds.start + 3..cds.end).step_by(3);
        codons.filter(|&start| sequence[start..].starts_with(b"AUG")).for_each(|start| others.add(sequence, start));
    }
    if !training.iter().any(|record| record.cds.is_some()) || !held_out.iter().any(|record| record.cds.is_some()) {
        return Err(Error::Usage(
            "calibration needs transcripts with a CDS, both to train on and held out: see --validation-fraction".into(),
        ));
    }
    let hexamers = hexamers.log_odds();
    let start_context = starts.log_odds(&others);

    let cases: Vec<Case> =
        held_out.par_iter().enumerate().flat_map_iter(|(index, record)| cases(record, seed, index)).collect();
    let evidence = cases
        .par_iter()
        .map(|case| {
            let sequence = &case.record.sequence;
            let found = model.network(&case.record.id, sequence)?;
            Ok(Evidence::new(&hexamers, &start_context, sequence, &found.bases, found.potential, code))
        })
        .collect::<Result<Vec<Evidence>>>()?;

    let choices: Vec<Choice> = cases
        .iter()
        .zip(&evidence)
        .filter(|(case, _)| case.frame_weight > 0.0)
        .filter_map(|(case, evidence)| {
            let cds = case.record.cds.as_ref()?;
            // A CDS that begins with the sequence begins there only where it is not cut.
            let is_cds = |frame: &crate::decode::reading_frame::OpenFrame| {
                frame.start == cds.start && frame.end == cds.end && frame.has_start != case.cut_within
            };
            let chosen = evidence.frames.iter().position(is_cds)?;
            let options = evidence.features.iter().map(|features| features.to_vec()).collect();
            Some(Choice { options, chosen, weight: case.frame_weight })
        })
        .collect();
    let frame_weights = fit(&choices, FRAME_FEATURES);

    let of_label = |messenger: bool, species: &str| {
        held_out.iter().filter(|record| record.messenger == messenger && record.species == species).count()
    };
    let labels: Vec<Choice> = cases
        .iter()
        .zip(&evidence)
        .filter(|(case, _)| case.label_weight > 0.0)
        .map(|(case, evidence)| {
            let of_frames = evidence.frame_probabilities(&frame_weights);
            let best = of_frames.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map(|(index, _)| index);
            let features = evidence.transcript_features(best).to_vec();
            let species = &case.record.species;
            let (others, messengers) = (of_label(false, species), of_label(true, species));
            let fewer = match case.record.messenger && messengers > others {
                true => others as f64 / messengers as f64,
                false => 1.0,
            };
            let chosen = usize::from(!case.record.messenger);
            let weight = case.label_weight * fewer;
            Choice { options: vec![features, vec![0.0; TRANSCRIPT_FEATURES]], chosen, weight }
        })
        .filter(|choice| choice.weight > 0.0)
        .collect();
    if labels.iter().all(|choice| choice.chosen == 0) || labels.iter().all(|choice| choice.chosen == 1) {
        return Err(Error::Usage("calibration needs both mRNAs and lncRNAs among the transcripts held out".into()));
    }
    let transcript_weights = fit(&labels, TRANSCRIPT_FEATURES);
    log::info!("calibrated on {} sequences made of {} transcripts", cases.len(), held_out.len());
    Ok(CodingCalibration { hexamers, start_context, frame_weights, transcript_weights })
}

/// How often each letter stands at each place around some codons, and once more.
struct LetterCounts([[f64; 4]; CONTEXT]);

impl Default for LetterCounts {
    fn default() -> Self {
        Self([[1.0; 4]; CONTEXT])
    }
}

impl LetterCounts {
    /// Counts the letters around the codon at `start`.
    fn add(&mut self, sequence: &[u8], start: usize) {
        for (counts, position) in self.0.iter_mut().zip(context_positions(sequence.len(), start)) {
            let letter = position.and_then(|position| b"ACGU".iter().position(|known| *known == sequence[position]));
            letter.into_iter().for_each(|letter| counts[letter] += 1.0);
        }
    }

    fn log_odds(&self, others: &Self) -> Vec<[f32; 4]> {
        let part = |counts: &[f64; 4], letter: usize| counts[letter] / counts.iter().sum::<f64>();
        let odds = |(own, others): (&[f64; 4], &[f64; 4])| {
            std::array::from_fn(|letter| (part(own, letter) / part(others, letter)).ln() as f32)
        };
        self.0.iter().zip(&others.0).map(odds).collect()
    }
}

/// A sequence to fit to.
struct Case {
    record: CodingRecord,
    /// Whether its 5' end is cut within the CDS.
    cut_within: bool,
    frame_weight: f64,
    label_weight: f64,
}

/// What is made of one transcript.
fn cases(record: &CodingRecord, seed: u64, index: usize) -> Vec<Case> {
    let mut random = generator(seed, Purpose::Validation, &[index as u64]);
    let length = record.sequence.len();
    let case = |range: std::ops::Range<usize>, frame_weight: f64, label_weight: f64| Case {
        cut_within: record.cds.as_ref().is_some_and(|cds| cds.start < range.start),
        record: record.part(range),
        frame_weight,
        label_weight,
    };
    let mut cases = vec![case(0..length, WHOLE_FRAME, WHOLE_LABEL), case(middle(length), 0.5, 1.0)];
    if length > FRAGMENT {
        let ratio = length as f64 / FRAGMENT as f64;
        let size = (FRAGMENT as f64 * ratio.powf(random.random::<f64>())) as usize;
        let start = random.random_range(0..=length - size);
        cases.push(case(start..start + size, 0.5, 1.0));
    }
    if let Some(cds) = record.cds.as_ref().filter(|cds| cds.len() >= 300) {
        cases.push(case(random.random_range(cds.start + 30..cds.end - 150)..length, 1.0, 0.5));
        cases.push(case(0..random.random_range(cds.start + 150..cds.end - 30), 1.0, 0.5));
    }
    if record.messenger {
        let record = record.decoy(&mut random);
        cases.push(Case { record, cut_within: false, frame_weight: 0.0, label_weight: DECOY });
    }
    cases
}
