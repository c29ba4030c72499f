//! miRNA target sites: which windows of a target the model is asked about, how probable it is that a miRNA binds them, and
//! how it would lie there. See [`crate::decode::target_site`] for what is judged.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;
use rustc_hash::FxHashMap;

use super::check_finite;
use crate::decode::target_background::{MirnaBackground, TargetBackground};
use crate::decode::target_site::{
    MIRNA_LENGTHS, SITE_LENGTHS, SeedIndex, SeedMatch, SeedType, best_seed_match, doubt, seed_window, sliding_windows,
};
use crate::decode::target_summary::TargetSummary;
use crate::memory::in_halves;
use crate::model::device::DeviceArgs;
use crate::model::heads::mirtarget::{MirtargetHead, Pair};
use crate::model::{Encode, Encoder, Input, Model, ModelConfig, Parameters, Task};
use crate::sequence::alphabet::reverse_complement;
use crate::sequence::{
    Accept, Doubt, InputFile, OnError, ReaderOptions, Record, RecordReader, SET_ASIDE, SitePair, Strand, Tally,
};
use crate::thermodynamics::BestDuplex;
use crate::{Error, Result};

/// What judges pairs of a miRNA and a site: a network, and what was learned beside it.
///
/// ```
/// use rnaret::{MirtargetModel, Pair};
///
/// # fn main() -> rnaret::Result<()> {
/// let model = MirtargetModel::built_in()?;
/// let pair = Pair { mirna: b"UGAGGUAGUAGGUUGUAUAGUU", site: b"GCAUUACAACAUUAGACUACCUCACAGGAAUACUAUACAACCUACUACCUC" };
/// let found = model.predict(&[pair], |_| "let-7a".into())?;
/// assert!((0.0..=1.0).contains(&found[0].probability));
/// # Ok(())
/// # }
/// ```
pub struct MirtargetModel {
    encoder: Encoder,
    head: MirtargetHead,
    background: Option<TargetBackground>,
    /// What the miRNAs met so far score on the background.
    known: Mutex<FxHashMap<Vec<u8>, Arc<MirnaBackground>>>,
}

/// What the model says of a pair.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Affinity {
    /// Probability that the miRNA binds the site.
    pub probability: f32,
    /// Per cent of the miRNA's background windows that score less; `None` of a model without a background.
    pub percentile: Option<f64>,
}

/// Pairs of background that are scored at a time.
const BACKGROUND_PAIRS: usize = 128;

impl MirtargetModel {
    /// The built-in model, on the CPU.
    ///
    /// # Errors
    /// Where this build has no models inside.
    pub fn built_in() -> Result<Self> {
        Self::new(Model::load(None, Task::Mirtarget, DeviceArgs::CPU)?)
    }

    /// A loaded model.
    ///
    /// # Errors
    /// Where a tensor is missing, or the model is one of another task.
    pub fn new(model: Model) -> Result<Self> {
        let head = MirtargetHead::new(&model.weights.config, &model.parameters)?;
        let background = model.weights.background;
        Ok(Self { encoder: model.encoder, head, background, known: Mutex::default() })
    }

    /// The model that has these parameters.
    ///
    /// # Errors
    /// As [`MirtargetModel::new`].
    pub fn of_parameters(
        config: &ModelConfig,
        parameters: &Parameters,
        background: Option<TargetBackground>,
    ) -> Result<Self> {
        let encoder = Encoder::new(config, parameters)?.for_inference()?;
        Ok(Self { encoder, head: MirtargetHead::new(config, parameters)?, background, known: Mutex::default() })
    }

    /// About how many bytes [`MirtargetModel::predict`] takes at most for `pairs`.
    pub fn memory(&self, pairs: &[Pair]) -> u64 {
        // With the special tokens that an encoder may put between.
        let tokens = pairs.iter().map(|pair| pair.input().nucleotides() + 2).sum();
        self.encoder.memory(tokens) + self.head.memory(pairs) + 8 * tokens as u64
    }

    /// What the model says of each pair, by all threads of the current rayon pool. `name` says what an error calls a pair.
    ///
    /// # Errors
    /// Where the model runs out of memory or gives numbers that are not finite.
    pub fn predict(&self, pairs: &[Pair], name: impl Fn(usize) -> String) -> Result<Vec<Affinity>> {
        let inputs: Vec<Input> = pairs.iter().map(Pair::input).collect();
        let features = self.encoder.features(&inputs)?;
        let Some(background) = &self.background else {
            let probabilities = self.head.probabilities(&features, pairs)?;
            let affinity = |(index, &probability): (usize, &f32)| {
                named_finite(&name, index, probability)?;
                Ok(Affinity { probability, percentile: None })
            };
            return probabilities.iter().enumerate().map(affinity).collect();
        };
        let scores = self.head.log_odds(&features, pairs)?;
        let affinity = |(index, (pair, &score)): (usize, (&Pair, &f32))| {
            named_finite(&name, index, score)?;
            let of_mirna = self.background_of(pair.mirna)?;
            let log_odds = of_mirna.above(score) + background.level;
            let probability = (1.0 / (1.0 + (-log_odds).exp())) as f32;
            Ok(Affinity { probability, percentile: Some(of_mirna.percentile(score)) })
        };
        pairs.iter().zip(&scores).enumerate().map(affinity).collect()
    }

    /// The network's scores of one miRNA on the background, computed when they are first asked for; none of a model
    /// without a background.
    ///
    /// # Errors
    /// As [`MirtargetModel::predict`].
    pub fn background_of(&self, mirna: &[u8]) -> Result<Arc<MirnaBackground>> {
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known().get(mirna) {
            return Ok(found.clone());
        }
        let windows = self.background.iter().flat_map(|background| background.windows_for(mirna));
        let pairs: Vec<Pair> = windows.map(|site| Pair { mirna, site }).collect();
        let mut scores = Vec::with_capacity(pairs.len());
        for pairs in pairs.chunks(BACKGROUND_PAIRS) {
            let score = |pairs: &[Pair]| {
                let inputs: Vec<Input> = pairs.iter().map(Pair::input).collect();
                self.head.log_odds(&self.encoder.features(&inputs)?, pairs)
            };
            in_halves(
                pairs,
                score,
                |_, error| Err(error),
                |_, of_part| {
                    scores.extend(of_part);
                    Ok(())
                },
            )?;
        }
        check_finite("of the background of a miRNA", &scores)?;
        let found = Arc::new(MirnaBackground::new(scores));
        known().insert(mirna.to_vec(), found.clone());
        Ok(found)
    }

    /// What is said of each site; how the miRNA lies there only where it is at least as probable as `least`.
    ///
    /// # Errors
    /// As [`MirtargetModel::predict`].
    pub fn judge(&self, sites: &[&Site], least: f32) -> Result<Vec<SitePrediction>> {
        let pairs: Vec<Pair> = sites.iter().map(|site| site.pair()).collect();
        let affinities = self.predict(&pairs, |index| sites[index].name())?;
        let judged = sites.par_iter().zip(affinities).map(|(site, affinity)| {
            let duplex = if affinity.probability >= least { site.duplex() } else { None };
            SitePrediction { affinity, duplex }
        });
        Ok(judged.collect())
    }
}

fn named_finite(name: &impl Fn(usize) -> String, index: usize, number: f32) -> Result<()> {
    if number.is_finite() { Ok(()) } else { check_finite(&name(index), &[number]) }
}

/// One strand of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetStrand {
    /// The target's name.
    pub id: String,
    /// What stands after its name.
    pub description: String,
    /// Which strand.
    pub strand: Strand,
    /// The letters of the strand, 5' to 3'.
    pub sequence: Vec<u8>,
}

/// A window of a target that a miRNA may bind.
#[derive(Clone, Debug)]
pub struct Site {
    /// The miRNA.
    pub mirna: Arc<Record>,
    /// The strand that the window lies on.
    pub target: Arc<TargetStrand>,
    /// The window, on that strand.
    pub window: Range<usize>,
    /// The seed match that it is about, or the best in it; positions are on the strand.
    pub seed: Option<SeedMatch>,
}

impl Site {
    /// What an error calls it.
    pub fn name(&self) -> String {
        let Range { start, end } = self.on_forward(&self.window);
        format!("{} in {}, {start}-{end}", self.mirna.id, self.target.id)
    }

    /// The miRNA and the letters of the window.
    pub fn pair(&self) -> Pair<'_> {
        Pair { mirna: &self.mirna.sequence, site: &self.target.sequence[self.window.clone()] }
    }

    /// The type of the seed match.
    pub fn seed_type(&self) -> SeedType {
        self.seed.map_or(SeedType::None, |seed| seed.seed_type)
    }

    /// Where a range of the strand lies on the forward strand.
    pub fn on_forward(&self, range: &Range<usize>) -> Range<usize> {
        let (start, end) = self.target.strand.on_forward(range.start, range.end, self.target.sequence.len());
        start..end
    }

    /// The duplex of least free energy in the window: of those through the seed match, where there is one.
    fn duplex(&self) -> Option<BestDuplex> {
        let Pair { mirna, site } = self.pair();
        // All types of seed match pair position 7.
        let through = self.seed.and_then(|seed| Some((6, seed.anchor.checked_sub(self.window.start)?)));
        BestDuplex::new(mirna, site, through)
    }
}

/// What is said of a site.
#[derive(Clone, Debug, PartialEq)]
pub struct SitePrediction {
    /// How probable it is.
    pub affinity: Affinity,
    /// How the miRNA lies there; bases of the site are counted from the window's start.
    pub duplex: Option<BestDuplex>,
}

/// Where targets are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Candidates {
    /// Around matches of positions 2-7 of the miRNA.
    Seeds,
    /// Everywhere, in steps of so many bases.
    Every(NonZeroUsize),
}

/// Reads miRNAs. A record that cannot be one ends the run, or is set aside and counted.
///
/// # Errors
/// Those of reading the file; a record that is no miRNA.
pub fn read_mirnas(file: &InputFile, on_error: OnError, tally: &Tally) -> Result<Vec<Record>> {
    let options = ReaderOptions { accept: Accept::Sequences, ..ReaderOptions::default() };
    let mut mirnas = Vec::new();
    for record in RecordReader::open(std::slice::from_ref(file), options)? {
        let record = record?;
        if doubt(&record.sequence, MIRNA_LENGTHS).is_none() {
            mirnas.push(record);
            continue;
        }
        let error = Error::Input {
            file: file.name(),
            place: format!("record {} ({})", record.ordinal + 1, record.id),
            message: format!(
                "this is no miRNA: miRNAs have {} to {} nucleotides, at most a tenth of them N; it has {}, {} of them N",
                MIRNA_LENGTHS.start(),
                MIRNA_LENGTHS.end(),
                record.len(),
                record.sequence.iter().filter(|letter| **letter == b'N').count()
            ),
        };
        tally.reject();
        if on_error == OnError::Fail {
            return Err(error);
        }
        log::warn!(target: SET_ASIDE, "set aside: {error}");
    }
    if mirnas.is_empty() {
        log::warn!("{} holds no miRNA", file.name());
    }
    Ok(mirnas)
}

/// A search for sites of some miRNAs in targets.
pub struct Scan {
    mirnas: Vec<Arc<Record>>,
    index: SeedIndex,
    candidates: Candidates,
    window: usize,
    strands: Vec<Strand>,
}

impl Scan {
    /// Of these miRNAs, in windows of `window` bases on these strands.
    pub fn new(mirnas: Vec<Record>, candidates: Candidates, window: usize, strands: &[Strand]) -> Self {
        let index = SeedIndex::new(mirnas.iter().map(|mirna| mirna.sequence.as_slice()), SeedType::SixMer);
        let mirnas = mirnas.into_iter().map(Arc::new).collect();
        Self { mirnas, index, candidates, window, strands: strands.to_vec() }
    }

    /// Pairs that the model is asked about for each base of the targets, where it is asked everywhere.
    pub fn pairs_per_base(&self) -> Option<f64> {
        match self.candidates {
            Candidates::Seeds => None,
            Candidates::Every(stride) => Some((self.mirnas.len() * self.strands.len()) as f64 / stride.get() as f64),
        }
    }

    /// Gives `visit` every site of `target` that can be judged, one strand after the other, by position and then by miRNA.
    /// Says why windows were left out, where some were.
    ///
    /// # Errors
    /// The first of `visit`.
    pub fn sites(&self, target: &Record, mut visit: impl FnMut(Site) -> Result<()>) -> Result<Option<Doubt>> {
        let mut left_out = None;
        for &strand in &self.strands {
            let sequence = match strand {
                Strand::Forward => target.sequence.clone(),
                Strand::Reverse => reverse_complement(&target.sequence),
            };
            let target = Arc::new(TargetStrand {
                id: target.id.clone(),
                description: target.description.clone(),
                strand,
                sequence,
            });
            let letters = &target.sequence;
            let mut give = |mirna: &Arc<Record>, window: Range<usize>, seed: Option<SeedMatch>| match doubt(
                &letters[window.clone()],
                SITE_LENGTHS,
            ) {
                None | Some(Doubt::TooLong) => {
                    visit(Site { mirna: mirna.clone(), target: target.clone(), window, seed })
                }
                some => {
                    left_out = some;
                    Ok(())
                }
            };
            match self.candidates {
                Candidates::Seeds => {
                    for (number, found) in self.index.matches(letters) {
                        give(&self.mirnas[number], seed_window(&found, letters.len(), self.window), Some(found))?;
                    }
                }
                Candidates::Every(stride) => {
                    for window in sliding_windows(letters.len(), self.window, stride) {
                        for mirna in &self.mirnas {
                            give(mirna, window.clone(), best_seed_match(&mirna.sequence, letters, window.clone()))?;
                        }
                    }
                }
            }
        }
        Ok(left_out)
    }
}

/// A pair of a table as a site; what speaks against judging it, and whether it is judged all the same: a long site is, with
/// a warning, and a long miRNA is none.
pub fn site_of_pair(pair: SitePair) -> (Site, Option<Doubt>, bool) {
    let SitePair { mirna, mirna_sequence, target, target_sequence } = pair;
    let window = 0..target_sequence.len();
    let seed = best_seed_match(&mirna_sequence, &target_sequence, window.clone());
    let of_mirna = doubt(&mirna_sequence, MIRNA_LENGTHS);
    let of_site = doubt(&target_sequence, SITE_LENGTHS);
    let is_judged = of_mirna.is_none() && of_site.is_none_or(|doubt| doubt == Doubt::TooLong);
    let target =
        TargetStrand { id: target, description: String::new(), strand: Strand::Forward, sequence: target_sequence };
    let mirna = Record { id: mirna, sequence: mirna_sequence, ..Record::default() };
    let site = Site { mirna: Arc::new(mirna), target: Arc::new(target), window, seed };
    (site, of_mirna.or(of_site), is_judged)
}

/// Windows with the probability of each.
type JudgedWindows = Vec<(Range<usize>, f32)>;

/// Gathers the sites of one strand of a target after the other, and sums up those of each miRNA.
#[derive(Default)]
pub struct Summaries {
    target: Option<Arc<TargetStrand>>,
    /// By the miRNA's place in its file.
    windows: FxHashMap<u64, (Arc<Record>, JudgedWindows)>,
}

/// The sum of a miRNA's sites on one strand of a target.
#[derive(Clone, Debug, PartialEq)]
pub struct MirnaSummary {
    /// The miRNA's name.
    pub mirna: String,
    /// The target and the strand.
    pub target: Arc<TargetStrand>,
    /// What its sites say together.
    pub summary: TargetSummary,
}

impl Summaries {
    /// Takes the next site in. Where it is the first of a strand, gives the summaries of the strand before.
    pub fn add(&mut self, site: &Site, probability: f32) -> Vec<MirnaSummary> {
        let is_same = self.target.as_ref().is_some_and(|target| Arc::ptr_eq(target, &site.target));
        let done = if is_same { Vec::new() } else { self.finish() };
        self.target = Some(site.target.clone());
        let entry = self.windows.entry(site.mirna.ordinal).or_insert_with(|| (site.mirna.clone(), Vec::new()));
        entry.1.push((site.window.clone(), probability));
        done
    }

    /// The summaries of the last strand, in the order of the miRNAs' file.
    pub fn finish(&mut self) -> Vec<MirnaSummary> {
        let Some(target) = self.target.take() else { return Vec::new() };
        let mut windows: Vec<_> = self.windows.drain().collect();
        windows.sort_unstable_by_key(|(ordinal, _)| *ordinal);
        let summary = |(_, (mirna, windows)): (u64, (Arc<Record>, JudgedWindows))| MirnaSummary {
            mirna: mirna.id.clone(),
            target: target.clone(),
            summary: TargetSummary::new(&windows),
        };
        windows.into_iter().map(summary).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::DeviceArgs;

    const LET_7A: &[u8] = b"UGAGGUAGUAGGUUGUAUAGUU";

    fn record(id: &str, ordinal: u64, sequence: &[u8]) -> Record {
        Record { id: id.into(), ordinal, sequence: sequence.to_vec(), ..Record::default() }
    }

    fn sites(target: &[u8], candidates: Candidates, strands: &[Strand]) -> Vec<Site> {
        let scan = Scan::new(vec![record("let-7a", 0, LET_7A)], candidates, 50, strands);
        let mut found = Vec::new();
        scan.sites(&record("t", 0, target), |site| {
            found.push(site);
            Ok(())
        })
        .unwrap();
        found
    }

    fn model() -> MirtargetModel {
        MirtargetModel::new(Model::load(None, Task::Mirtarget, DeviceArgs::CPU).unwrap()).unwrap()
    }

    #[test]
    fn the_other_strand_is_the_reverse_complement_and_places_are_on_the_forward_one() {
        let target = [&b"GACGCA".repeat(10)[..], b"CUACCUCA", &b"GACGCA".repeat(8)].concat();
        let forward = sites(&target, Candidates::Seeds, &[Strand::Forward]);
        let turned = sites(&reverse_complement(&target), Candidates::Seeds, &[Strand::Forward, Strand::Reverse]);
        assert_eq!((forward.len(), turned.len()), (1, 1));
        assert_eq!(forward[0].pair(), turned[0].pair());
        let (seed, other) = (forward[0].seed.unwrap().range(), turned[0].seed.unwrap().range());
        assert_eq!((seed.clone(), turned[0].on_forward(&other)), (60..68, target.len() - 68..target.len() - 60));
        assert_eq!(forward[0].on_forward(&seed), seed);
    }

    #[test]
    fn two_seeds_in_a_short_target_are_two_sites_with_duplexes_of_their_own() {
        let target = b"GGCUACCUCAGGAAACCCUACCUCGG";
        let found = sites(target, Candidates::Seeds, &[Strand::Forward]);
        assert_eq!(found.iter().map(|site| site.window.clone()).collect::<Vec<_>>(), [0..26, 0..26]);
        let judged = model().judge(&found.iter().collect::<Vec<_>>(), 0.0).unwrap();
        for (site, prediction) in found.iter().zip(&judged) {
            let through = (6, site.seed.unwrap().anchor);
            assert!(prediction.duplex.as_ref().unwrap().pairs.contains(&through));
        }
        assert_eq!(judged[0].affinity, judged[1].affinity);
        assert_ne!(judged[0].duplex, judged[1].duplex);
        // What is less probable than asked for has no duplex.
        assert!(model().judge(&[&found[0]], 1.1).unwrap()[0].duplex.is_none());
    }

    #[test]
    fn a_pair_gets_the_same_answer_in_any_company() {
        let model = model();
        let letters = b"GAUUACAGGCUAACGUGCAUUUGCACGUCCAGUAACGGAUCCUUAGGCAUCGAUGGCAUCAAGGCUAACG";
        let pairs: Vec<Pair> =
            (0..12).map(|i| Pair { mirna: &letters[i % 3..i % 3 + 20], site: &letters[i..i + 50] }).collect();
        let together = model.predict(&pairs, |_| String::new()).unwrap();
        for (pair, expected) in pairs.iter().zip(&together) {
            assert_eq!(model.predict(&[*pair], |_| String::new()).unwrap()[0], *expected);
        }
    }

    #[test]
    fn windows_of_background_are_as_seldom_sites_whichever_the_mirna_is() {
        let model = model();
        let background = model.background.clone().expect("the default model is calibrated");
        for mirna in [LET_7A, b"UAGCAGCACGUAAAUAUUGGCG", b"CGCAUCCCCUAGGGCAUUGGUGU"] {
            let pairs: Vec<Pair> = background.windows_for(mirna).map(|site| Pair { mirna, site }).collect();
            let found = model.predict(&pairs, |_| String::new()).unwrap();
            let taken = found.iter().filter(|affinity| affinity.probability > 0.5).count();
            let part = taken as f64 / found.len() as f64;
            assert!((0.02..0.06).contains(&part), "{part}");
            let mean: f64 = found.iter().filter_map(|affinity| affinity.percentile).sum::<f64>() / found.len() as f64;
            assert!((49.0..51.0).contains(&mean), "{mean}");
        }
    }

    #[test]
    fn summaries_come_target_by_target_in_the_order_of_the_mirnas() {
        let mirnas = vec![record("b", 0, LET_7A), record("a", 1, LET_7A)];
        let scan = Scan::new(mirnas, Candidates::Seeds, 50, &[Strand::Forward]);
        let target = [b"CUACCUC".to_vec(), b"G".repeat(120), b"CUACCUC".to_vec()].concat();
        let mut summaries = Summaries::default();
        let mut rows = Vec::new();
        for id in ["t1", "t2"] {
            scan.sites(&record(id, 0, &target), |site| {
                rows.extend(summaries.add(&site, 0.5));
                Ok(())
            })
            .unwrap();
        }
        assert_eq!(rows.len(), 2);
        rows.extend(summaries.finish());
        let told: Vec<(&str, &str)> = rows.iter().map(|row| (row.mirna.as_str(), row.target.id.as_str())).collect();
        assert_eq!(told, [("b", "t1"), ("a", "t1"), ("b", "t2"), ("a", "t2")]);
        assert!(rows.iter().all(|row| row.summary.sites == 2 && row.summary.combined == 0.75));
        assert!(summaries.finish().is_empty());
    }
}
