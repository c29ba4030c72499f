//! How likely a known structure is among all structures of its sequence, and what would make it more likely.
//!
//! The logarithm of its probability grows with a parameter of the set as the parameter is expected to occur more often among
//! all structures than it occurs in the known one: the inside and outside sums say how often that is.

use super::conditions::Conditions;
use super::energies::{LONGEST_LOOP, SHORTEST_HAIRPIN, THERMAL_ENERGY};
use super::factors::Factors;
use super::parameters::*;
use super::partition_function::{Ensemble, Problem};
use super::structure::StructureLoops;
use crate::structure::PairMap;

/// The conditional likelihood of a structure and its gradient.
#[derive(Clone, Debug)]
pub struct Likelihood {
    /// Minus the natural logarithm of the structure's probability.
    pub loss: f64,
    /// Derivative of the loss with respect to each parameter of the set, 1/(kcal/mol).
    pub gradient: Vec<f64>,
}

/// Pairs less probable than this do not count.
const NEGLIGIBLE: f64 = 1e-6;

impl Likelihood {
    /// Of a nested structure of a sequence of ACGUN under a parameter set. `None` where it does not fit in memory, or is
    /// none that the model has: see [`StructureLoops::new`], and no interior loop has more than `LONGEST_LOOP` unpaired bases.
    pub fn new(
        sequence: &[u8],
        partners: &[Option<usize>],
        parameters: &EnergyParameters,
        factors: &Factors,
        bonuses: Option<&PairMap>,
    ) -> Option<Self> {
        let structure = StructureLoops::new(sequence, partners)?;
        if structure.longest_interior > LONGEST_LOOP {
            return None;
        }
        let ensemble = factors.ensemble(sequence, &Conditions::any_span(), bonuses).ok()?;
        let bonus: f64 = bonuses.map_or(0.0, |bonuses| {
            let pairs = partners.iter().enumerate().filter_map(|(i, partner)| Some((i, (*partner)?)));
            pairs.filter(|(i, j)| i < j).map(|(i, j)| f64::from(bonuses.get(i, j))).sum()
        });
        let loss = ensemble.logarithm() + structure.free_energy(parameters) / THERMAL_ENERGY - bonus;
        let mut gradient = expected_counts(&ensemble, sequence, factors, bonuses);
        gradient.iter_mut().for_each(|count| *count = -*count);
        structure.parameters.iter().for_each(|&place| gradient[place] += 1.0);
        gradient.iter_mut().for_each(|count| *count /= THERMAL_ENERGY);
        Some(Self { loss, gradient })
    }
}

/// How far a structure of the ensemble is expected to agree with a known one, and the gradient.
///
/// The derivative of an expected number of pairs with respect to a parameter is their covariance with how often it occurs,
/// and so the derivative of that count with respect to a bonus for those pairs: a difference of two ensembles.
#[derive(Clone, Debug)]
pub struct Agreement {
    /// 1 - F1 with the expected numbers of true and of all pairs in the place of numbers.
    pub loss: f64,
    /// Derivative of the loss with respect to each parameter of the set, 1/(kcal/mol).
    pub gradient: Vec<f64>,
}

impl Agreement {
    /// Half the difference between the bonuses of a pair that is worth most.
    const STEP: f32 = 0.02;

    /// With any structure of a sequence of ACGUN; `None` where it has no pairs or does not fit in memory.
    pub fn new(sequence: &[u8], partners: &[Option<usize>], factors: &Factors) -> Option<Self> {
        let known = partners.iter().enumerate().filter(|(i, partner)| partner.is_some_and(|j| j > *i)).count() as f64;
        if known == 0.0 {
            return None;
        }
        let probabilities = factors.ensemble(sequence, &Conditions::any_span(), None).ok()?.probabilities().ok()?;
        let (mut hits, mut all) = (0.0, known);
        for (j, partner) in partners.iter().enumerate() {
            for (i, &probability) in (probabilities.first(j)..).zip(probabilities.row(j)) {
                all += f64::from(probability);
                if *partner == Some(i) {
                    hits += f64::from(probability);
                }
            }
        }
        // What one more of a true pair, and of any, adds to the F1.
        let (of_hits, of_all) = (2.0 / all, -2.0 * hits / (all * all));
        let mut bonuses = PairMap::new(sequence.len());
        let bonus = |hit: bool, sign: f32| {
            let worth = (of_all + if hit { of_hits } else { 0.0 }) / of_hits;
            sign * Self::STEP * worth as f32
        };
        let mut counts = |sign: f32| {
            for (j, partner) in partners.iter().enumerate() {
                let row = bonuses.row_mut(j).iter_mut().enumerate();
                row.for_each(|(i, value)| *value = bonus(*partner == Some(i), sign));
            }
            let ensemble = factors.ensemble(sequence, &Conditions::any_span(), Some(&bonuses)).ok()?;
            Some(expected_counts(&ensemble, sequence, factors, Some(&bonuses)))
        };
        let (more, less) = (counts(1.0)?, counts(-1.0)?);
        let scale = of_hits / f64::from(2.0 * Self::STEP) / THERMAL_ENERGY;
        let gradient = more.iter().zip(&less).map(|(more, less)| scale * (more - less)).collect();
        Some(Self { loss: 1.0 - 2.0 * hits / all, gradient })
    }
}

/// How often each parameter is expected to occur in a structure of the ensemble.
pub fn expected_counts(ensemble: &Ensemble, sequence: &[u8], factors: &Factors, bonuses: Option<&PairMap>) -> Vec<f64> {
    let mut counts = vec![0.0; PARAMETERS];
    let length = sequence.len();
    let pairs = bonuses.map(|bonuses| {
        let mut pairs = bonuses.clone();
        pairs.values_mut().iter_mut().for_each(|bonus| *bonus = bonus.exp());
        pairs
    });
    let conditions = Conditions::any_span();
    let problem = Problem::new(factors, sequence, &conditions, pairs.as_ref(), ensemble.scale());
    let bases = problem.bases();
    // What is left of each pair's probability when the loops inside, or those around it, are taken off.
    let mut outer = vec![0.0; length * length];
    let mut listed = Vec::new();
    let mut unpaired = length as f64;
    for i in 0..length {
        for j in i + SHORTEST_HAIRPIN + 1..length {
            let probability = ensemble.probability(i, j);
            if probability > NEGLIGIBLE {
                outer[i * length + j] = probability;
                unpaired -= 2.0 * probability;
                listed.push((i, j, probability));
            }
        }
    }
    for &(i, j, probability) in &listed {
        let Some(kind) = bases.kind(i, j) else { continue };
        let mut inner = probability;
        let within = ensemble.derivative(i, j) * problem.pair(i, j);
        let hairpin = within * problem.hairpin(kind, i, j);
        bases.hairpin(kind, i, j, |place| counts[place] += hairpin);
        inner -= hairpin;
        unpaired -= hairpin * (j - i - 1) as f64;
        for five in 0..=LONGEST_LOOP {
            let k = i + 1 + five;
            for three in 0..=LONGEST_LOOP - five {
                let Some(l) = j.checked_sub(1 + three).filter(|l| *l > k + SHORTEST_HAIRPIN) else { break };
                if outer[k * length + l] == 0.0 && ensemble.probability(k, l) <= NEGLIGIBLE {
                    continue;
                }
                let Some(other) = bases.kind(k, l) else { continue };
                let part = within * problem.interior((kind, i, j), (other, k, l)) * ensemble.paired(k, l);
                if part > 0.0 {
                    bases.interior((kind, i, j), (other, k, l), |place| counts[place] += part);
                    inner -= part;
                    outer[k * length + l] -= part;
                    unpaired -= part * (five + three) as f64;
                }
            }
        }
        let inner = inner.max(0.0);
        bases.multiloop(kind, i, j, |place| counts[place] += inner);
    }
    for &(i, j, _) in &listed {
        let Some(kind) = bases.kind(i, j) else { continue };
        let outermost = ensemble.outermost(i, j) * problem.exterior_helix(kind, i, j);
        bases.exterior_helix(kind, i, j, |place| counts[place] += outermost);
        let in_multiloop = (outer[i * length + j] - outermost).max(0.0);
        bases.multiloop_helix(kind, i, j, |place| counts[place] += in_multiloop);
    }
    let exterior = ensemble.exterior_unpaired();
    counts[EXTERIOR.place([1])] = exterior;
    counts[MULTILOOP.place([2])] = (unpaired - exterior).max(0.0);
    counts
}

#[cfg(test)]
mod tests {
    use super::super::corrections::Corrections;
    use super::*;
    use crate::format::dot_bracket::parse_structure_line;

    const SEQUENCE: &[u8] = b"GGGAAAUCCGAGGCAAGCCAACUUCGGUUGCCCAAGGUACCAGUUUCUGGUAACGAAUCCC";
    const STRUCTURE: &[u8] = b"(((....((((((........))))))...)))....((((((...)))))).........";

    /// Both gradients are those of finite differences.
    #[test]
    fn gradients_are_differences() {
        let corrections = Corrections::get();
        let partners = parse_structure_line(STRUCTURE).expect("brackets");
        let values: Vec<f64> = (0..corrections.list().len()).map(|at| (at * 37 % 11) as f64 * 0.03 - 0.15).collect();
        let mut bonuses = PairMap::new(SEQUENCE.len());
        bonuses.values_mut().iter_mut().enumerate().for_each(|(at, value)| *value = (at * 29 % 13) as f32 * 0.05 - 0.3);
        let likelihood = |values: &[f64]| {
            let parameters = corrections.apply(values);
            let factors = Factors::new(&parameters);
            let found = Likelihood::new(SEQUENCE, &partners, &parameters, &factors, Some(&bonuses)).expect("nested");
            (found.loss, corrections.gradient(&found.gradient))
        };
        let agreement = |values: &[f64]| {
            let factors = Factors::new(&corrections.apply(values));
            let found = Agreement::new(SEQUENCE, &partners, &factors).expect("pairs");
            (found.loss, corrections.gradient(&found.gradient))
        };
        type WithGradient<'a> = &'a dyn Fn(&[f64]) -> (f64, Vec<f64>);
        let check = |name: &str, of: WithGradient, bound: f64| {
            let (_, gradient) = of(&values);
            // Every fifth, and those that all loops of a kind share.
            for at in (0..values.len()).filter(|at| at % 5 == 0 || (455..475).contains(at)) {
                let moved = |step: f64| {
                    let mut values = values.clone();
                    values[at] += step;
                    of(&values).0
                };
                let difference = (moved(1e-3) - moved(-1e-3)) / 2e-3;
                let what = &corrections.list()[at].name;
                assert!((difference - gradient[at]).abs() < bound, "{name}, {what}: {difference} {}", gradient[at]);
            }
        };
        check("likelihood", &likelihood, 1e-3);
        check("agreement", &agreement, 4e-3);
    }

    #[test]
    fn structures_that_the_model_does_not_have() {
        let parameters = EnergyParameters::turner2004();
        let factors = Factors::turner2004();
        let of = |sequence: &[u8], brackets: &[u8]| {
            let partners = parse_structure_line(brackets).expect("brackets");
            Likelihood::new(sequence, &partners, parameters, factors, None).map(|found| found.loss)
        };
        assert_eq!(of(b"GAAAAG", b"(....)"), None, "no canonical pair");
        assert_eq!(of(b"GGAAACC", b"(((.)))"), None, "no room");
        assert_eq!(of(b"GGGAAAACCCAACCC", b"((([...)))....]"), None, "crossing");
        let long = [b"GA".as_slice(), &[b'A'; 31], b"GAAAC", b"C"].concat();
        let brackets = [b"(.".as_slice(), &[b'.'; 31], b"(...)", b")"].concat();
        assert_eq!(of(&long, &brackets), None, "an interior loop beyond all tables");
        let open = of(b"AAAAAAAA", b"........").expect("open");
        assert!(open.abs() < 1e-9, "the only structure");
    }
}
