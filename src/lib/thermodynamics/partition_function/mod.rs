//! The partition function of all nested structures (McCaskill, Biopolymers 29:1105, 1990) under a parameter set.
//!
//! Inside sums run from short spans to long ones; the probabilities are their derivatives, computed in reverse. Every array
//! is a band of the longest span that a pair may have, so that time and memory grow linearly with the sequence beyond that.
//! The smallest loops have tables of their own and are looked up one by one. All others are summed along contiguous rows
//! ([`loop_sums`]); a multiloop's last helix is summed over one row and one column.

mod exterior;
mod inside;
mod loop_sums;
mod outside;
mod problem;
mod sampling;

use super::conditions::Conditions;
use super::factors::Factors;
use crate::Result;
use crate::structure::PairMap;
use exterior::Exterior;
pub(super) use inside::stride;
use inside::{MARGIN, inside};
use outside::outside;
pub(super) use problem::Problem;
pub use sampling::Sampler;

/// Sums beyond this are too close to the largest number; the scale per base is raised and the computation repeated.
const LARGEST: f64 = 1e250;

/// Sums below this count as zero: dividing by them could overflow.
const SMALLEST: f64 = 1e-250;

/// The loops that are looked up one by one: unpaired bases on the 5' and on the 3' side.
const SMALL_LOOPS: [(usize, usize); 9] = [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2), (2, 1), (2, 2), (2, 3), (3, 2)];

/// Probability of every pair {i < j} of a sequence of ACGUN at 37 °C by Turner 2004.
///
/// # Errors
/// [`crate::Error::OutOfMemory`] where the sums do not fit in memory.
pub fn pair_probabilities(sequence: &[u8]) -> Result<PairMap> {
    Factors::turner2004().ensemble(sequence, &Conditions::default(), None)?.probabilities()
}

/// About the free energy per base of RNAs of this composition, in units of the thermal energy.
fn first_scale(sequence: &[u8]) -> f64 {
    let strong = sequence.iter().filter(|&&letter| letter == b'G' || letter == b'C').count();
    (1.2 * strong as f64 / sequence.len().max(1) as f64 - 0.1).max(0.1)
}

/// The sums over all structures of a sequence.
#[derive(Clone, Debug)]
pub struct Ensemble {
    length: usize,
    band: usize,
    thermal_energy: f64,
    scale: f64,
    /// Over the structures between a pair's bases, (i, j) at row i and span j - i.
    paired: Vec<f64>,
    /// How the logarithm of the whole sum changes with each of those.
    derivatives: Vec<f64>,
    exterior: Exterior,
}

impl Ensemble {
    pub(super) fn new(
        factors: &Factors,
        sequence: &[u8],
        conditions: &Conditions,
        bonuses: Option<&PairMap>,
    ) -> Result<Self> {
        assert!(bonuses.is_none_or(|bonuses| bonuses.length() == sequence.len()), "bonuses for another sequence");
        let mut scale = first_scale(sequence);
        let bonuses = bonuses.map(|bonuses| {
            let mut factors = bonuses.clone();
            factors.values_mut().iter_mut().for_each(|bonus| *bonus = bonus.exp());
            factors
        });
        loop {
            let problem = Problem::new(factors, sequence, conditions, bonuses.as_ref(), scale);
            if let Some(inside) = inside(&problem)? {
                let mut exterior = Exterior::new(&problem, &inside);
                let derivatives = outside(&problem, &inside, &mut exterior)?;
                return Ok(Self {
                    length: sequence.len(),
                    band: problem.band,
                    thermal_energy: factors.thermal_energy,
                    scale,
                    paired: inside.paired,
                    derivatives,
                    exterior,
                });
            }
            scale += 0.5;
        }
    }

    /// The natural logarithm of the whole sum: the free energy of the ensemble over minus the thermal energy.
    pub fn logarithm(&self) -> f64 {
        self.exterior.logarithm()
    }

    /// The free energy of the ensemble, kcal/mol.
    pub fn free_energy(&self) -> f64 {
        -self.thermal_energy * self.logarithm()
    }

    /// The scale of the sums.
    pub(super) fn scale(&self) -> f64 {
        self.scale
    }

    /// Where the pair i < j is, if it is within the band.
    fn place(&self, i: usize, j: usize) -> Option<usize> {
        (j - i < self.band).then(|| i * stride(self.band) + MARGIN + j - i)
    }

    /// The sum over the structures between the bases of a pair, scaled.
    pub(super) fn paired(&self, i: usize, j: usize) -> f64 {
        self.place(i, j).map_or(0.0, |place| self.paired[place])
    }

    /// How the logarithm of the whole sum changes with it.
    pub(super) fn derivative(&self, i: usize, j: usize) -> f64 {
        self.place(i, j).map_or(0.0, |place| self.derivatives[place])
    }

    /// Probability that a pair lies in no other, over the factor of its helix.
    pub(super) fn outermost(&self, i: usize, j: usize) -> f64 {
        self.paired(i, j) * self.exterior.around(i, j)
    }

    /// How many bases are expected to be unpaired outside all pairs.
    pub(super) fn exterior_unpaired(&self) -> f64 {
        self.exterior.unpaired()
    }

    /// Probability of the pair i < j.
    pub fn probability(&self, i: usize, j: usize) -> f64 {
        self.place(i, j).map_or(0.0, |place| (self.paired[place] * self.derivatives[place]).min(1.0))
    }

    /// Probabilities of all pairs within the longest span.
    ///
    /// # Errors
    /// [`crate::Error::OutOfMemory`] where they do not fit in memory.
    pub fn probabilities(&self) -> Result<PairMap> {
        let mut map = PairMap::zeros(self.length, self.band)?;
        for j in 0..self.length {
            let first = map.first(j);
            for (i, value) in (first..).zip(map.row_mut(j)) {
                *value = self.probability(i, j) as f32;
            }
        }
        Ok(map)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::conditions::DEFAULT_SPAN;
    use super::super::constraints::Constraints;
    use super::super::energies::{SHORTEST_HAIRPIN, THERMAL_ENERGY};
    use super::super::loops::Bases;
    use super::super::parameters::EnergyParameters;
    use super::super::reactivity::PseudoEnergy;
    use super::super::structure::StructureLoops;
    use super::*;

    /// The partners of every structure whose remaining bases lie in the half-open intervals `open`, by trying them all: the
    /// first base of an interval unpaired, then paired with each of the others.
    fn structures(
        bases: &Bases,
        mut open: Vec<(usize, usize)>,
        partners: &mut Vec<Option<usize>>,
        seen: &mut impl FnMut(&[Option<usize>]),
    ) {
        while open.last().is_some_and(|(start, end)| start >= end) {
            open.pop();
        }
        let Some((start, end)) = open.pop() else {
            seen(partners);
            return;
        };
        let mut rest = open.clone();
        rest.push((start + 1, end));
        structures(bases, rest, partners, seen);
        for partner in start + SHORTEST_HAIRPIN + 1..end {
            if bases.kind(start, partner).is_some() {
                let mut rest = open.clone();
                rest.extend([(partner + 1, end), (start + 1, partner)]);
                (partners[start], partners[partner]) = (Some(partner), Some(start));
                structures(bases, rest, partners, seen);
                (partners[start], partners[partner]) = (None, None);
            }
        }
    }

    /// The free energy of the ensemble and the probabilities of pairs, structure by structure.
    fn enumerated(sequence: &[u8], parameters: &EnergyParameters, bonuses: Option<&PairMap>) -> (f64, PairMap) {
        let (mut total, mut sums) = (0.0, vec![0.0; sequence.len() * sequence.len()]);
        let bases = Bases::new(sequence);
        structures(&bases, vec![(0, sequence.len())], &mut vec![None; sequence.len()], &mut |partners| {
            let loops = StructureLoops::new(sequence, partners).expect("a nested structure");
            let pairs: Vec<_> = partners.iter().enumerate().filter_map(|(i, j)| Some((i, (*j)?))).collect();
            let bonus: f64 =
                pairs.iter().map(|&(i, j)| bonuses.map_or(0.0, |bonuses| f64::from(bonuses.get(i, j)))).sum();
            let weight = (bonus / 2.0 - loops.free_energy(parameters) / THERMAL_ENERGY).exp();
            total += weight;
            pairs.into_iter().filter(|(i, j)| i < j).for_each(|(i, j)| sums[j * sequence.len() + i] += weight);
        });
        let mut map = PairMap::new(sequence.len());
        for j in 0..sequence.len() {
            let row = map.row_mut(j).iter_mut().enumerate();
            row.for_each(|(i, value)| *value = (sums[j * sequence.len() + i] / total) as f32);
        }
        (-THERMAL_ENERGY * total.ln(), map)
    }

    fn check(sequence: &[u8], parameters: &EnergyParameters, bonuses: Option<&PairMap>) {
        let ensemble = Factors::new(parameters).ensemble(sequence, &Conditions::any_span(), bonuses).expect("memory");
        let (energy, expected) = enumerated(sequence, parameters, bonuses);
        assert!((ensemble.free_energy() - energy).abs() < 1e-6, "{} {energy}", ensemble.free_energy());
        for j in 0..sequence.len() {
            for i in 0..j {
                let (ours, other) = (ensemble.probability(i, j), expected.get(i, j));
                assert!((ours - f64::from(other)).abs() < 1e-5, "{i} {j}: {ours} {other}");
            }
        }
    }

    fn letters(longest: usize) -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(prop::sample::select(b"ACGUGCGCN".to_vec()), 0..longest)
    }

    /// Any parameters: what cancels in Turner's does not in these.
    fn scrambled(seed: u64) -> EnergyParameters {
        let values = EnergyParameters::turner2004().values().iter().enumerate().map(|(place, value)| {
            let noise = (place as u64 + 1).wrapping_mul(seed.wrapping_mul(2).wrapping_add(0x9E37_79B9_7F4A_7C15)) >> 40;
            0.2 * value + noise as f64 / f64::from(1 << 24) - 0.5
        });
        EnergyParameters::new(values.collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

        #[test]
        fn sums_are_those_of_all_structures(sequence in letters(19), seed: u64, bonus in -2f32..2.0) {
            check(&sequence, EnergyParameters::turner2004(), None);
            let mut bonuses = PairMap::new(sequence.len());
            bonuses.values_mut().iter_mut().enumerate().for_each(|(at, value)| *value = bonus * (at % 3) as f32);
            check(&sequence, &scrambled(seed), Some(&bonuses));
        }

        #[test]
        fn no_base_pairs_more_than_once(sequence in letters(400)) {
            let map = pair_probabilities(&sequence).expect("memory");
            for i in 0..sequence.len() {
                let sum: f32 = (0..sequence.len()).map(|j| map.get(i, j)).sum();
                prop_assert!((0.0..=1.0 + 1e-4).contains(&sum), "{i}: {sum}");
            }
        }
    }

    #[test]
    fn loops_of_every_kind_count() {
        // Three short helices around a loop, so that the closing pair only forms with a multiloop; and interior loops of
        // many sizes.
        let sequences: [&[u8]; 5] = [
            b"GGGCGCAAAGCGCGCAAAGCGCCC",
            b"GAAAAGAAACAAAC",
            b"GAGAAGAAACAAAAAC",
            b"GAAAGACAAAGAAC",
            b"GCAAAAGAGAAACAAAGC",
        ];
        for sequence in sequences {
            check(sequence, EnergyParameters::turner2004(), None);
            check(sequence, &scrambled(7), None);
        }
    }

    #[test]
    fn the_strongest_helix_that_there_is_does_not_overflow() {
        let half = DEFAULT_SPAN / 2;
        let sequence: Vec<u8> = [vec![b'G'; half + 300], vec![b'C'; half + 300]].concat();
        let map = pair_probabilities(&sequence).expect("memory");
        let sum: f32 = (0..sequence.len()).map(|j| map.row(j).iter().sum::<f32>()).sum();
        assert!(sum.is_finite() && sum > half as f32 - 10.0, "{sum}");
    }

    /// What ViennaRNA 2.8 gives for sequences with constraints and reactivities: see testdata/README.md.
    #[test]
    fn constraints_and_reactivities_have_the_effects_of_viennarna() {
        let rows = include_str!("../../../../testdata/structures/constrained.tsv").lines().skip(1);
        for row in rows {
            let columns: Vec<&str> = row.split('\t').collect();
            let [sequence, constraints, reactivities, probabilities] = columns[..] else { panic!("four columns") };
            let constraints = Constraints::parse(constraints.as_bytes()).expect("constraints");
            let energy = |word: &str| PseudoEnergy::default().of(word.parse().unwrap_or(f64::NAN));
            let stacking =
                (reactivities != "NA").then(|| reactivities.split(',').map(energy).collect::<Vec<_>>().into());
            let conditions = Conditions { constraints: Some(constraints.into()), stacking, ..Conditions::any_span() };
            let factors = Factors::turner2004();
            let mut ours = factors
                .ensemble(sequence.as_bytes(), &conditions, None)
                .and_then(|ensemble| ensemble.probabilities())
                .expect("memory");
            for pair in probabilities.split(' ').filter(|pair| *pair != "NA") {
                let (pair, expected) = pair.split_once(':').expect("a probability");
                let (i, j) = pair.split_once('-').expect("a pair");
                let place = |text: &str| text.parse::<usize>().expect("a position") - 1;
                let expected: f32 = expected.parse().expect("a number");
                let found = ours.get_mut(place(i), place(j)).expect("within the map");
                assert!((*found - expected).abs() < 0.02, "{sequence} {pair}: {found} {expected}");
                *found = 0.0;
            }
            assert!(ours.values_mut().iter().all(|rest| *rest < 0.03), "{sequence}");
        }
    }

    /// Samples have the frequencies that the probabilities say, and the free energies of the structures found are the ensemble's.
    #[test]
    fn samples_are_as_frequent_as_they_are_probable() {
        use rand::SeedableRng;
        let sequence = b"GGGAAAUCCGAGGCAAGCCAACUUCGGUUGCCCAAGGUACCAGUUUCUGGUAACGAAUCCC";
        let (conditions, count) = (Conditions::any_span(), 4000);
        let factors = Factors::turner2004();
        let sampler = Sampler::new(factors, sequence, &conditions).expect("memory");
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        let mut seen = PairMap::new(sequence.len());
        for _ in 0..count {
            let partners = sampler.draw(&mut random);
            assert!(StructureLoops::new(sequence, &partners).is_some());
            for (i, j) in crate::structure::pairs(&partners) {
                *seen.get_mut(i, j).expect("a pair") += 1.0 / count as f32;
            }
        }
        let expected = factors.ensemble(sequence, &conditions, None).and_then(|ensemble| ensemble.probabilities());
        let expected = expected.expect("memory");
        for j in 0..sequence.len() {
            for i in 0..j {
                let (seen, expected) = (seen.get(i, j), expected.get(i, j));
                // Four standard deviations, and a little for the rarest.
                let bound = 4.0 * (expected * (1.0 - expected) / count as f32).sqrt() + 2e-3;
                assert!((seen - expected).abs() < bound, "{i} {j}: {seen} {expected}");
            }
        }
    }

    /// Pairs that span more do not exist; those within are as probable as in a whole table without the others.
    #[test]
    fn the_longest_span_is_a_band() {
        let sequence = b"GGGAAAUCCGAGGCAAGCCAACUUCGGUUGCCCAAGGUACCAGUUUCUGGUAACGAAUCCC";
        let of_span =
            |span: usize| Factors::turner2004().ensemble(sequence, &Conditions::of_span(span), None).expect("memory");
        let (short, whole) = (of_span(30), of_span(sequence.len()));
        assert!(short.free_energy() > whole.free_energy());
        let band = short.probabilities().expect("memory");
        for j in 0..sequence.len() {
            for i in 0..j {
                assert_eq!(short.probability(i, j) == 0.0, j - i >= 30 || whole.probability(i, j) == 0.0, "{i} {j}");
                assert_eq!(band.get(i, j), short.probability(i, j) as f32);
            }
        }
    }
}
