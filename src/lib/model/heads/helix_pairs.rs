//! The pairs of bases that could be part of a helix, and what the letters of the sequence, the free energies and related
//! RNAs say about each.

use std::ops::Range;
use std::sync::OnceLock;

use crate::Result;
use crate::homologs::{Evidence, HOMOLOG_FEATURES, Homolog, KnownStructures};
use crate::model::ops::pair_list::PairList;
use crate::thermodynamics::{self, Conditions, Ensemble, Factors};

/// Numbers per pair that follow from the letters alone.
const LETTER_FEATURES: usize = 17;

/// Numbers per pair, with or without what related RNAs say.
pub const fn pair_features(with_homologs: bool) -> usize {
    LETTER_FEATURES + if with_homologs { HOMOLOG_FEATURES } else { 0 }
}

/// Bases between the two of a pair, at least.
const LOOP: usize = 3;

/// Pairs counted outward and inward along a helix.
const LONGEST: usize = 12;

/// Hydrogen bonds of a canonical pair, 0 for another.
fn bonds(a: u8, b: u8) -> f32 {
    match (a, b) {
        (b'G', b'C') | (b'C', b'G') => 3.0,
        (b'A', b'U') | (b'U', b'A') => 2.0,
        (b'G', b'U') | (b'U', b'G') => 1.0,
        _ => 0.0,
    }
}

/// True where the bases could pair: AU, GC or GU, and enough bases between them for a loop.
pub fn could_pair(sequence: &[u8], i: usize, j: usize) -> bool {
    j > i + LOOP && bonds(sequence[i], sequence[j]) > 0.0
}

/// The pairs of a sequence that could be part of a helix: both bases could pair, and so could the two next to them on
/// either the inner or the outer side. In known structures all but 2 to 3 of 100 canonical pairs are stacked on another.
#[derive(Clone, Debug)]
pub struct HelixPairs<'a> {
    sequence: &'a [u8],
    list: &'a PairList,
    /// The probability of each pair by free energy.
    probabilities: &'a [f32],
    /// How likely each base is in no helix, by free energy.
    alone: Vec<f32>,
    /// What related RNAs say, where the head reads it.
    evidence: Option<Evidence<'a>>,
}

/// What is looked up about a sequence before it is folded: most of the work besides the network, and worth keeping where the
/// same sequence is folded again and again.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// What beside its letters decides how it folds.
    pub conditions: Conditions,
    /// The helix pairs that they allow.
    pub pairs: PairList,
    /// The probability of each helix pair by free energy, Turner 2004.
    pub free_energy: Vec<f32>,
    /// The same by the trained energies, where somebody asked for it: training does not.
    trained: OnceLock<Vec<f32>>,
    /// The free energy of the ensemble by Turner 2004, kcal/mol, where it was computed.
    pub ensemble_energy: Option<f64>,
    /// Whether homologs were looked for.
    pub searched: bool,
    /// Known structures of related RNAs, the best first.
    pub homologs: Vec<Homolog>,
}

/// What is looked up beside what every head reads.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    /// What the trained energies say.
    pub trained: bool,
    /// Pairs that could be part of no helix.
    pub lonely_pairs: bool,
}

/// Which energies give the probabilities that stand beside the network's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum EnergySet {
    /// Turner 2004
    Turner2004,
    /// Turner 2004 as known structures correct it
    Trained,
    /// The mean of what both say: they err apart, and together are better than either
    #[default]
    Both,
}

impl Facts {
    /// Those of a sequence of the letters ACGUN under some conditions, with homologs among `known`.
    ///
    /// # Errors
    /// [`crate::Error::OutOfMemory`] where there are more helix pairs than can be numbered, or the energies do not fit in
    /// memory.
    pub fn new(sequence: &[u8], known: Option<&KnownStructures>, conditions: Conditions) -> Result<Self> {
        Self::looked_up(sequence, known, conditions, Wanted::default())
    }

    /// Nothing but the conditions: for heads that read no more.
    pub fn unknown(conditions: Conditions) -> Self {
        Self { conditions, ..Self::default() }
    }

    /// The same with all that is `wanted`, side by side by the threads of the current rayon pool.
    ///
    /// # Errors
    /// As [`Facts::new`].
    pub fn looked_up(
        sequence: &[u8],
        known: Option<&KnownStructures>,
        conditions: Conditions,
        Wanted { trained, lonely_pairs }: Wanted,
    ) -> Result<Self> {
        let pairs = list(sequence, &conditions, lonely_pairs)?;
        let energies = |factors: &Factors| -> Result<(Vec<f32>, f64)> {
            let ensemble = factors.ensemble(sequence, &conditions, None)?;
            Ok((probabilities(&pairs, &ensemble), ensemble.free_energy()))
        };
        let both = || {
            rayon::join(
                || energies(&conditions.models.turner2004_factors),
                || trained.then(|| energies(&conditions.models.trained_factors)).transpose(),
            )
        };
        let homologs = || known.map_or(Vec::new(), |known| known.related(sequence));
        let ((turner, trained), homologs) = rayon::join(both, homologs);
        let (free_energy, ensemble_energy) = turner?;
        let trained = trained?.map_or(OnceLock::new(), |(trained, _)| OnceLock::from(trained));
        let (ensemble_energy, searched) = (Some(ensemble_energy), known.is_some());
        Ok(Self { conditions, free_energy, trained, ensemble_energy, searched, homologs, pairs })
    }

    /// About how many bytes [`Facts::looked_up`] takes at most, with its result and pairs of at most `span` bases, by all
    /// threads of the current rayon pool.
    pub fn memory(sequence: &[u8], known: Option<&KnownStructures>, span: usize) -> u64 {
        let sets = rayon::current_num_threads().min(2) as u64;
        let homologs = known.map_or(0, |known| known.memory(sequence.len()));
        sets * thermodynamics::memory(sequence.len(), span) + homologs + BYTES_PER_PAIR * most_pairs(sequence, span)
    }

    /// The probability of each of the pairs of `sequence`, which these are the facts about, by energy.
    ///
    /// # Errors
    /// [`crate::Error::OutOfMemory`] where the energies do not fit in memory.
    pub fn by_energy(&self, sequence: &[u8], set: EnergySet) -> Result<impl Iterator<Item = f32> + '_> {
        let trained = match self.trained.get() {
            _ if set == EnergySet::Turner2004 => &self.free_energy,
            Some(trained) => trained,
            None => {
                let ensemble = self.conditions.models.trained_factors.ensemble(sequence, &self.conditions, None)?;
                self.trained.get_or_init(|| probabilities(&self.pairs, &ensemble))
            }
        };
        let turner = if set == EnergySet::Trained { trained } else { &self.free_energy };
        Ok(turner.iter().zip(trained).map(|(turner, trained)| (turner + trained) / 2.0))
    }
}

/// The probability of each of `pairs` in an ensemble.
fn probabilities(pairs: &PairList, ensemble: &Ensemble) -> Vec<f32> {
    pairs.iter().map(|(i, j)| ensemble.probability(i, j) as f32).collect()
}

/// Probabilities closer to 0 or 1 than this look the same.
const SURE: f32 = 1e-6;

/// The logarithm of the odds of [`SURE`].
const SURE_LOG_ODDS: f32 = 13.8;

impl<'a> HelixPairs<'a> {
    /// Those of a sequence of the letters ACGUN, with the facts about it.
    ///
    /// # Panics
    /// Where the facts are about another sequence.
    pub fn new(sequence: &'a [u8], facts: &'a Facts) -> Self {
        let list = &facts.pairs;
        assert_eq!(list.length(), sequence.len(), "facts about another sequence");
        let mut alone = vec![1f32; sequence.len()];
        for ((i, j), probability) in list.iter().zip(&facts.free_energy) {
            alone[i] -= probability;
            alone[j] -= probability;
        }
        Self { sequence, list, probabilities: &facts.free_energy, alone, evidence: None }
    }

    /// The same with what `homologs`, the best first, say.
    pub fn with_homologs<'r>(self, homologs: impl Iterator<Item = &'r Homolog> + Clone) -> Self {
        let evidence = Evidence::new(homologs, self.sequence);
        Self { evidence: Some(evidence), ..self }
    }

    /// The pairs.
    pub fn list(&self) -> &PairList {
        self.list
    }

    /// [`pair_features`] of every pair.
    pub fn width(&self) -> usize {
        pair_features(self.evidence.is_some())
    }

    /// [`HelixPairs::width`] numbers for every pair of some rows: the six canonical pairs one by one, three of the
    /// distance, length and hydrogen bonds of the uninterrupted helix outward and inward; by free energy the pair's
    /// probability, the logarithm of its odds, and how likely either base is in no helix; and what homologs say.
    pub fn features(&self, rows: Range<usize>) -> Vec<f32> {
        let width = self.width();
        let mut features = vec![0f32; self.list.pairs_of(rows.clone()).len() * width];
        let mut next = features.chunks_exact_mut(width);
        for j in rows {
            let pairs = self.list.row(j).iter().zip(&self.probabilities[self.list.range(j)]);
            for ((&i, &probability), row) in pairs.zip(&mut next) {
                let i = i as usize;
                letter_features(self.sequence, i, j, row);
                row[13] = probability;
                row[14] = ((probability + SURE) / (1.0 - probability + SURE)).ln() / SURE_LOG_ODDS;
                row[15] = self.alone[i];
                row[16] = self.alone[j];
                if let Some(evidence) = &self.evidence {
                    evidence.features(i, j, &mut row[LETTER_FEATURES..]);
                }
            }
        }
        features
    }
}

/// Bytes that the facts about one pair take: its 5' base and its probability; the list grows by doubling.
pub const BYTES_PER_PAIR: u64 = 16;

/// A number of helix pairs of at most `span` bases that a sequence does not exceed: that of all canonical pairs, which are some
/// half more.
pub fn most_pairs(sequence: &[u8], span: usize) -> u64 {
    // The letters of the bases that may pair with the one after them.
    let mut before = [0u64; 256];
    let mut pairs = 0;
    for (j, &letter) in sequence.iter().enumerate() {
        if let Some(left) = j.checked_sub(span) {
            before[usize::from(sequence[left])] -= 1;
        }
        let with: &[u8] = match letter {
            b'A' => b"U",
            b'C' => b"G",
            b'G' => b"CU",
            b'U' => b"AG",
            _ => b"",
        };
        pairs += with.iter().map(|&other| before[usize::from(other)]).sum::<u64>();
        before[usize::from(letter)] += 1;
    }
    pairs
}

fn is_helix_pair(sequence: &[u8], i: usize, j: usize) -> bool {
    could_pair(sequence, i, j)
        && (could_pair(sequence, i + 1, j - 1)
            || (i > 0 && j + 1 < sequence.len() && could_pair(sequence, i - 1, j + 1)))
}

/// The helix pairs, or with `lonely` all that the letters allow.
fn list(sequence: &[u8], conditions: &Conditions, lonely: bool) -> Result<PairList> {
    // A pair that is named by constraints counts wherever it is.
    let named = |i, j| conditions.constraints.as_ref().is_some_and(|constraints| constraints.names(i, j));
    let wanted = |i, j| match lonely {
        true => could_pair(sequence, i, j),
        false => is_helix_pair(sequence, i, j) || named(i, j) && could_pair(sequence, i, j),
    };
    PairList::new(sequence.len(), conditions.max_span, |i, j| wanted(i, j) && conditions.allow(i, j))
}

/// The first 13 features, of the letters themselves.
fn letter_features(sequence: &[u8], i: usize, j: usize, row: &mut [f32]) {
    let (a, b) = (sequence[i], sequence[j]);
    let kind = match (a, b) {
        (b'A', b'U') => Some(0),
        (b'U', b'A') => Some(1),
        (b'G', b'C') => Some(2),
        (b'C', b'G') => Some(3),
        (b'G', b'U') => Some(4),
        (b'U', b'G') => Some(5),
        _ => None,
    };
    let distance = j - i;
    row[6] = (distance as f32).ln() / 6.0;
    row[7] = if distance > 3 { 1.0 } else { 0.0 };
    row[8] = 4.0 / (distance as f32).max(4.0);
    if let Some(kind) = kind {
        row[kind] = 1.0;
        let (mut outward, mut outward_bonds) = (0, 0.0);
        while outward < LONGEST && i > outward && j + outward + 1 < sequence.len() {
            let bonds = bonds(sequence[i - outward - 1], sequence[j + outward + 1]);
            if bonds == 0.0 {
                break;
            }
            outward += 1;
            outward_bonds += bonds;
        }
        let (mut inward, mut inward_bonds) = (0, 0.0);
        while inward < LONGEST && j - inward - 1 > i + inward + 1 + 3 {
            let bonds = bonds(sequence[i + inward + 1], sequence[j - inward - 1]);
            if bonds == 0.0 {
                break;
            }
            inward += 1;
            inward_bonds += bonds;
        }
        row[9] = outward as f32 / 6.0;
        row[10] = inward as f32 / 6.0;
        row[11] = outward_bonds / 15.0;
        row[12] = inward_bonds / 15.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::dot_bracket::parse_structure_line;
    use crate::structure::Structure;

    #[test]
    fn pairs_are_those_that_could_stack() {
        // G0-C7 and G1-C6 stack, G1-C7 and G2-C6 too; G0-C6 and G2-C7 have nothing beside them.
        let pairs = |sequence| list(sequence, &Conditions::default(), false).unwrap().iter().collect::<Vec<_>>();
        assert_eq!(pairs(b"GGGAAACC"), [(1, 6), (2, 6), (0, 7), (1, 7)]);
        assert_eq!(pairs(b""), []);
        assert_eq!(pairs(b"GNNNNNC"), []);
    }

    #[test]
    fn features_say_what_the_letters_say() {
        let sequence = b"GGGAAACC";
        let facts = Facts::new(sequence, None, Conditions::default()).unwrap();
        let pairs = HelixPairs::new(sequence, &facts);
        let features = pairs.features(0..8);
        assert_eq!(features.len(), 4 * LETTER_FEATURES);
        for (row, (i, j)) in features.chunks_exact(LETTER_FEATURES).zip(pairs.list().iter()) {
            assert_eq!(row[..6], [0.0, 0.0, 1.0, 0.0, 0.0, 0.0], "a GC pair");
            assert_eq!(row[6], ((j - i) as f32).ln() / 6.0);
            let outer = [(1, 6), (2, 6)].contains(&(i, j));
            assert_eq!((row[9] > 0.0, row[10] > 0.0), (outer, !outer), "{i} {j}");
            assert!((0.0..=1.0).contains(&row[13]) && row[14] <= 1.0 && row[15] <= 1.0 && row[16] <= 1.0);
        }
        // Some rows are part of all.
        assert_eq!(pairs.features(0..7), features[..2 * LETTER_FEATURES]);
        assert_eq!(pairs.features(7..8), features[2 * LETTER_FEATURES..]);
    }

    #[test]
    fn homologs_say_which_bases_pair() {
        let sequence = b"GGGAGCAUGACUCCC";
        let partners = parse_structure_line(b"((((......).)))").expect("brackets");
        let known = Structure { id: "known".into(), sequence: sequence.to_vec(), partners };
        let facts = Facts::new(sequence, Some(&KnownStructures::new([known])), Conditions::default()).unwrap();
        let plain = HelixPairs::new(sequence, &facts);
        let pairs = plain.clone().with_homologs(facts.homologs.iter());
        let (plain, features) = (plain.features(0..15), pairs.features(0..15));
        let width = pair_features(true);
        assert_eq!(pairs.width(), width);
        for ((row, plain), pair) in
            features.chunks_exact(width).zip(plain.chunks_exact(LETTER_FEATURES)).zip(pairs.list().iter())
        {
            assert_eq!(row[..LETTER_FEATURES], *plain);
            let known = [(0, 14), (1, 13), (2, 12)].contains(&pair);
            assert_eq!(row[LETTER_FEATURES], f32::from(u8::from(known)), "{pair:?}");
        }
        // None is another thing than not to ask.
        let alone = HelixPairs::new(sequence, &facts).with_homologs(std::iter::empty());
        assert_eq!(alone.width(), width);
        assert!(alone.features(0..15).chunks_exact(width).all(|row| row[LETTER_FEATURES..].iter().all(|x| *x == 0.0)));
    }
}
