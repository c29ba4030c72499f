//! Simple rules that a model has to beat, on the same records and with the same figures.

use rayon::prelude::*;
use rustc_hash::FxHashMap;

use super::data::coding::CodingRecord;
use super::data::fold::FoldRecord;
use super::data::mirtarget::MirtargetRecord;
use super::kmer_regression::KmerRegression;
use super::metrics::{Confusion, compare_pairs, precision_recall_auc, roc_auc};
use super::objective::Report;
use super::objective::fold::report;
use crate::Result;
use crate::decode::base_pairs::{Decoder, PairRules, decode};
use crate::decode::target_site::{SeedType, seed_type};
use crate::homologs::KnownStructures;
use crate::thermodynamics::{Conditions, Duplex, EnergyParameters, Factors, minimum_free_energy, pair_probabilities};

/// Structures of minimum free energy by Turner 2004.
///
/// # Errors
/// Where a sequence does not fit in memory.
pub fn free_energy(records: &[FoldRecord]) -> Result<Report> {
    compared(records, |sequence| {
        Ok(minimum_free_energy(sequence, EnergyParameters::turner2004(), &Conditions::default()))
    })
}

/// Structures of maximum expected accuracy by energies alone: the mean of Turner 2004's and the trained ones' probabilities.
///
/// # Errors
/// Where a sequence does not fit in memory.
pub fn expected_accuracy(records: &[FoldRecord], rules: PairRules) -> Result<Report> {
    compared(records, |sequence| {
        let trained = Factors::trained().ensemble(sequence, &Conditions::default(), None)?;
        let mut probabilities = trained.probabilities()?;
        let mut turner = pair_probabilities(sequence)?;
        let both = probabilities.values_mut().iter_mut().zip(turner.values_mut());
        both.for_each(|(trained, turner)| *trained = (*trained + *turner) / 2.0);
        Ok(decode(Decoder::Mea, sequence, &probabilities, rules))
    })
}

/// The pairs of the best homolog alone, as far as the sequence can form them.
///
/// # Errors
/// As [`free_energy`].
pub fn nearest_homolog(records: &[FoldRecord], known: &KnownStructures) -> Result<Report> {
    compared(records, |sequence| {
        let nearest = known.related(sequence).into_iter().next();
        Ok(nearest.map_or(vec![None; sequence.len()], |homolog| homolog.partners(sequence)))
    })
}

fn compared(records: &[FoldRecord], fold: impl Fn(&[u8]) -> Result<Vec<Option<usize>>> + Sync) -> Result<Report> {
    let compare =
        |FoldRecord { structure, .. }: &FoldRecord| Ok(compare_pairs(&fold(&structure.sequence)?, &structure.partners));
    Ok(report(records, &records.par_iter().map(compare).collect::<Result<Vec<_>>>()?))
}

/// Length of the fragments, as in the model's own evaluation.
const FRAGMENT: usize = 200;

/// Transcripts by the length of their longest open reading frame (AUG to stop, either may be missing at the ends);
/// 200-nt fragments by their longest stop-free stretch; bases by whether they lie in the longest open reading frame.
/// Thresholds are the best ones for these very records, which favours the rule.
pub fn longest_reading_frame(records: &[&CodingRecord]) -> Report {
    let (mut transcripts, mut fragments, mut bases) = (vec![], vec![], Confusion::default());
    let (mut exact, mut annotated) = (0.0, 0.0);
    for record in records {
        let coding = record.messenger;
        let frame = longest_open_reading_frame(&record.sequence);
        transcripts.push((frame.len() as f64, coding));
        fragments.push((longest_stop_free(fragment(&record.sequence)) as f64, coding));
        if let Some(cds) = &record.cds {
            (0..record.sequence.len()).for_each(|i| bases.add(frame.contains(&i), cds.contains(&i)));
            annotated += 1.0;
            exact += f64::from(u8::from(frame == *cds));
        }
    }
    let (transcript, fragment) = (best(&transcripts), best(&fragments));
    Report {
        figures: vec![
            ("accuracy", transcript.accuracy()),
            ("auc", roc_auc(&transcripts)),
            ("f1", transcript.f1()),
            ("fragment_accuracy", fragment.accuracy()),
            ("fragment_auc", roc_auc(&fragments)),
            ("base_f1", bases.f1()),
            ("exact_cds", exact / annotated),
        ],
        ..Report::default()
    }
}

/// Transcripts, and apart from them 200-nt fragments, by the k-mers they hold: logistic regressions fitted to `training`.
///
/// # Errors
/// Where `training` is not of both classes.
pub fn kmer_regression(training: &[CodingRecord], records: &[CodingRecord]) -> Result<Report> {
    let scored = |part: fn(&[u8]) -> &[u8]| -> Result<Vec<(f64, bool)>> {
        let labelled: Vec<(&[u8], bool)> =
            training.iter().map(|record| (part(&record.sequence), record.messenger)).collect();
        let fitted = KmerRegression::fit(&labelled)?;
        Ok(records.par_iter().map(|record| (fitted.probability(part(&record.sequence)), record.messenger)).collect())
    };
    let (transcripts, fragments) = (scored(|sequence| sequence)?, scored(fragment)?);
    let (transcript, fragment) = (Confusion::of_scores(&transcripts, 0.5), Confusion::of_scores(&fragments, 0.5));
    Ok(Report {
        figures: vec![
            ("accuracy", transcript.accuracy()),
            ("auc", roc_auc(&transcripts)),
            ("f1", transcript.f1()),
            ("fragment_accuracy", fragment.accuracy()),
            ("fragment_auc", roc_auc(&fragments)),
        ],
        ..Report::default()
    })
}

/// The middle of a transcript, as in the model's own evaluation.
fn fragment(sequence: &[u8]) -> &[u8] {
    let start = sequence.len().saturating_sub(FRAGMENT) / 2;
    &sequence[start..(start + FRAGMENT).min(sequence.len())]
}

/// Pairs by whether the target matches positions 2-7 of the miRNA.
pub fn seed_match(records: &[MirtargetRecord]) -> Report {
    let matches =
        |pair: &MirtargetRecord| seed_type(&pair.mirna, &pair.target, 0..pair.target.len()) <= SeedType::SixMer;
    let scored: Vec<(f64, bool)> =
        records.iter().map(|pair| (f64::from(u8::from(matches(pair))), pair.label)).collect();
    of_pairs(&scored, Confusion::of_scores(&scored, 0.5))
}

/// Pairs by the free energy of the duplex that the two sequences form. The threshold is the best one for these very
/// records, which favours the rule.
pub fn duplex_energy(records: &[MirtargetRecord]) -> Report {
    let score = |pair: &MirtargetRecord| (f64::from(Duplex::new(&pair.mirna, &pair.target).logarithm), pair.label);
    let scored: Vec<(f64, bool)> = records.par_iter().map(score).collect();
    of_pairs(&scored, best(&scored))
}

/// Parts of the records that take turns in [`mirna_identity`].
const FOLDS: usize = 10;

/// Pairs by their miRNA alone, whatever the target: by the part of positive pairs that it has in `training`, or where that
/// is empty in nine tenths of the records themselves, for each tenth. What this rule reaches, a model may reach without
/// looking at the target.
pub fn mirna_identity(training: &[MirtargetRecord], records: &[MirtargetRecord]) -> Report {
    let mut scored = Vec::with_capacity(records.len());
    for fold in 0..if training.is_empty() { FOLDS } else { 1 } {
        let mut counts: FxHashMap<&[u8], (f64, f64)> = FxHashMap::default();
        let others = records.iter().enumerate().filter(|(i, _)| i % FOLDS != fold).map(|(_, pair)| pair);
        let known: Vec<&MirtargetRecord> =
            if training.is_empty() { others.collect() } else { training.iter().collect() };
        for pair in known {
            let (positive, all) = counts.entry(&pair.mirna).or_default();
            *positive += f64::from(u8::from(pair.label));
            *all += 1.0;
        }
        let asked = records.iter().enumerate().filter(|(i, _)| !training.is_empty() || i % FOLDS == fold);
        scored.extend(asked.map(|(_, pair)| {
            let (positive, all) = counts.get(pair.mirna.as_slice()).copied().unwrap_or_default();
            // A miRNA that is not known is as often positive as not.
            ((positive + 0.5) / (all + 1.0), pair.label)
        }));
    }
    of_pairs(&scored, Confusion::of_scores(&scored, 0.5))
}

fn of_pairs(scored: &[(f64, bool)], confusion: Confusion) -> Report {
    Report {
        figures: vec![
            ("average_precision", precision_recall_auc(scored)),
            ("f1", confusion.f1()),
            ("accuracy", confusion.accuracy()),
            ("precision", confusion.precision()),
            ("recall", confusion.recall()),
            ("auc", roc_auc(scored)),
        ],
        ..Report::default()
    }
}

/// The confusion table of the threshold with the best accuracy.
fn best(scored: &[(f64, bool)]) -> Confusion {
    let mut thresholds: Vec<f64> = scored.iter().map(|&(score, _)| score).collect();
    thresholds.sort_by(f64::total_cmp);
    thresholds.dedup();
    // A few hundred thresholds are as good as all of them.
    let step = (thresholds.len() / 500).max(1);
    let tables = thresholds.iter().step_by(step).map(|&threshold| Confusion::of_scores(scored, threshold));
    tables.max_by(|a, b| a.accuracy().total_cmp(&b.accuracy())).unwrap_or_default()
}

/// The codons of a frame from `start` on.
fn codons(sequence: &[u8], frame: usize) -> impl Iterator<Item = (usize, &[u8])> {
    (frame..).step_by(3).map_while(|start| Some((start, sequence.get(start..start + 3)?)))
}

fn is_stop(codon: &[u8]) -> bool {
    matches!(codon, b"UAA" | b"UAG" | b"UGA")
}

/// From the first AUG of a stop-free stretch to its stop codon or the end of the transcript.
fn longest_open_reading_frame(sequence: &[u8]) -> std::ops::Range<usize> {
    let mut longest = 0..0;
    for frame in 0..3 {
        let mut start = None;
        for (position, codon) in codons(sequence, frame) {
            if codon == b"AUG" {
                start.get_or_insert(position);
            }
            if let Some(first) = start.filter(|first| position + 3 - first > longest.len()) {
                longest = first..position + 3;
            }
            if is_stop(codon) {
                start = None;
            }
        }
    }
    longest
}

/// Bases of the longest run of codons without a stop, in any frame.
fn longest_stop_free(sequence: &[u8]) -> usize {
    let mut longest = 0;
    for frame in 0..3 {
        let mut run = 0;
        for (_, codon) in codons(sequence, frame) {
            run = if is_stop(codon) { 0 } else { run + 3 };
            longest = longest.max(run);
        }
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirna_that_is_always_positive_is_found_out() {
        let pair = |mirna: &[u8], label| MirtargetRecord {
            id: String::new(),
            mirna_name: String::new(),
            mirna: mirna.to_vec(),
            target: b"ACGU".to_vec(),
            label,
        };
        let records: Vec<_> = (0..60)
            .map(|i| if i % 3 == 0 { pair(b"UGAGG", true) } else { pair(b"ACCCG", i % 7 == 0 && i % 2 == 0) })
            .collect();
        let figure = |report: &Report, name: &str| {
            report.figures.iter().find(|(figure, _)| *figure == name).map(|(_, value)| *value).expect("the figure")
        };
        let within = mirna_identity(&[], &records);
        assert!(figure(&within, "auc") > 0.85 && figure(&within, "precision") == 1.0);
        // Of other miRNAs it knows nothing.
        let other = mirna_identity(&[pair(b"GGGGG", true)], &records);
        assert_eq!(figure(&other, "auc"), 0.5);
    }

    #[test]
    fn reading_frames() {
        assert_eq!(longest_open_reading_frame(b"CCAUGGCUGCUUAACC"), 2..14);
        assert_eq!(longest_open_reading_frame(b"GGAUGAAA"), 2..8);
        assert_eq!(longest_open_reading_frame(b"GGG"), 0..0);
        assert_eq!(longest_stop_free(b"UAAGCUGCUUAA"), 9);
        assert_eq!(longest_stop_free(b"UA"), 0);
    }
}
