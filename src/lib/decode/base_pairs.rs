//! Base pairs from pair probabilities: which pairs may form, and the ways to choose among them.

use crate::thermodynamics::{Conditions, EnergyParameters, minimum_free_energy};

use super::{assignment, expected_accuracy};
use crate::structure::{Candidate, PairMap, is_canonical, is_nucleotide, nested_partners};

/// Which pairs may form.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairRules {
    /// A pair may form when its probability is greater than this.
    pub threshold: f32,
    /// A pair (i, j) may form when |i - j| is greater than this.
    pub min_loop: usize,
    /// Most bases from the first to the last of a pair, both counted.
    pub max_span: usize,
    /// Only AU, GC and GU pairs may form. Without it any two of A, C, G and U may; N pairs with nothing either way.
    pub canonical_only: bool,
    /// What a pair is worth against unpaired bases to the decoder of maximum expected accuracy.
    pub gamma: f32,
}

impl Default for PairRules {
    /// The published rules: probability over 0.5, |i - j| over 3, canonical pairs of any span only.
    fn default() -> Self {
        Self { threshold: 0.5, min_loop: 3, max_span: usize::MAX, canonical_only: true, gamma: GAMMA }
    }
}

/// Which gamma validation found best (`models/fold.md`).
const GAMMA: f32 = 1.0;

/// How a structure is chosen among the pairs that may form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum Decoder {
    /// The greatest expected accuracy without pseudoknots, and the pseudoknotted helices that are likely beside it
    Mea,
    /// The pairs that are more likely than not
    Centroid,
    /// The least free energy by Turner 2004, whatever the probabilities
    Mfe,
    /// The greatest summed probability with at most one partner per base; pseudoknots may form
    Assignment,
    /// The most probable pair first; pseudoknots may form
    Greedy,
    /// The greatest summed probability without pseudoknots
    Nested,
}

impl PairRules {
    /// True where the letters and the distance of bases `i` and `j` let them pair, whatever the probability.
    pub fn allows(&self, sequence: &[u8], i: usize, j: usize) -> bool {
        let (a, b) = (sequence[i], sequence[j]);
        let letters_pair = if self.canonical_only { is_canonical(a, b) } else { is_nucleotide(a) && is_nucleotide(b) };
        letters_pair && i.abs_diff(j) > self.min_loop && i.abs_diff(j) < self.max_span
    }
}

/// The pairs that may form, in the order of (i, j), one by one: what `--pairs` writes.
///
/// # Panics
/// When the map was made for another length than the sequence's.
pub fn candidates<'a>(
    sequence: &'a [u8],
    probabilities: &'a PairMap,
    rules: PairRules,
) -> impl Iterator<Item = Candidate> + 'a {
    assert_eq!(sequence.len(), probabilities.length(), "a pair map for another sequence");
    (0..sequence.len()).flat_map(move |i| {
        let first = i.saturating_add(rules.min_loop).saturating_add(1);
        let end = i.saturating_add(rules.max_span.min(probabilities.span())).min(sequence.len());
        (first..end).filter_map(move |j| {
            if !rules.allows(sequence, i, j) {
                return None;
            }
            let probability = probabilities.get(i, j);
            (probability > rules.threshold).then_some(Candidate { i, j, probability })
        })
    })
}

/// The same pairs in the same order, all at once: read along the rows of the map (as they lie in memory), then put in
/// the order of (i, j) by counting.
pub(super) fn collect_candidates(sequence: &[u8], probabilities: &PairMap, rules: PairRules) -> Vec<Candidate> {
    assert_eq!(sequence.len(), probabilities.length(), "a pair map for another sequence");
    let mut by_row = Vec::new();
    let mut starts = vec![0_usize; sequence.len() + 1];
    for j in 0..sequence.len() {
        for (i, &probability) in (probabilities.first(j)..).zip(probabilities.row(j)) {
            // The probability first: it rules out nearly all pairs.
            if probability > rules.threshold && rules.allows(sequence, i, j) {
                by_row.push(Candidate { i, j, probability });
                starts[i + 1] += 1;
            }
        }
    }
    for i in 0..sequence.len() {
        starts[i + 1] += starts[i];
    }
    let mut ordered = by_row.clone();
    for candidate in by_row {
        ordered[starts[candidate.i]] = candidate;
        starts[candidate.i] += 1;
    }
    ordered
}

/// The 0-based partner of each base: symmetric, at most one partner per base, every pair allowed by `rules`.
///
/// - `Mea` and `Centroid`: see `decode/expected_accuracy.rs`.
/// - `Mfe` looks at the sequence alone: see `thermodynamics/minimum_free_energy.rs`.
/// - `Assignment` maximises the summed probability of the bipartite assignment of rows (bases) to columns (bases), as
///   the published code does with the Kuhn-Munkres algorithm on the whole L x L matrix. See `decode/assignment.rs` for
///   the shortcuts, which leave the optimum unchanged.
/// - `Greedy` takes the most probable pair first, then the next whose two bases are free; ties by (i, j).
/// - `Nested` maximises the summed probability over the sets of pairs that do not cross. See `structure/nested.rs`.
///
/// # Panics
/// When the map was made for another length than the sequence's.
pub fn decode(decoder: Decoder, sequence: &[u8], probabilities: &PairMap, rules: PairRules) -> Vec<Option<usize>> {
    let candidates = || collect_candidates(sequence, probabilities, rules);
    match decoder {
        Decoder::Mea => expected_accuracy::partners(sequence, probabilities, rules),
        Decoder::Centroid => expected_accuracy::centroid(sequence, probabilities, rules),
        Decoder::Mfe => {
            let conditions = Conditions::of_span(rules.max_span);
            minimum_free_energy(sequence, EnergyParameters::turner2004(), &conditions)
        }
        Decoder::Assignment => assignment::partners(sequence.len(), &candidates()),
        Decoder::Greedy => greedy(sequence.len(), candidates()),
        Decoder::Nested => nested_partners(sequence.len(), &candidates()),
    }
}

/// Takes the candidates from the most probable to the least, each whose two bases are still free; ties by (i, j).
pub(super) fn greedy(length: usize, mut candidates: Vec<Candidate>) -> Vec<Option<usize>> {
    candidates.sort_by(|a, b| b.probability.total_cmp(&a.probability).then((a.i, a.j).cmp(&(b.i, b.j))));
    let mut partners = vec![None; length];
    for Candidate { i, j, .. } in candidates {
        if partners[i].is_none() && partners[j].is_none() {
            partners[i] = Some(j);
            partners[j] = Some(i);
        }
    }
    partners
}
