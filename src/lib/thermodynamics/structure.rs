//! The loops of one nested structure, and its free energy.

use super::conditions::Conditions;
use super::energies::SHORTEST_HAIRPIN;
use super::loops::Bases;
use super::parameters::*;
use crate::Result;
use crate::structure::{is_canonical, without_pseudoknots};

/// What a structure is made of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StructureLoops {
    /// Places of its parameters in a set, as often as they occur.
    pub parameters: Vec<usize>,
    /// What no parameter says: long loops, kcal/mol.
    pub beyond: f64,
    /// Unpaired bases in the largest bulge or interior loop.
    pub longest_interior: usize,
}

impl StructureLoops {
    /// Those of a structure of a sequence of ACGUN. `None` where a pair is neither AU, GC nor GU, has too few bases between,
    /// or crosses another.
    ///
    /// # Panics
    /// Where there is not one partner per base.
    pub fn new(sequence: &[u8], partners: &[Option<usize>]) -> Option<Self> {
        assert_eq!(sequence.len(), partners.len());
        let bases = Bases::new(sequence);
        let mut loops = Self::default();
        let helices = Helices { partners, next: 0, end: partners.len() }.collect::<Option<Vec<_>>>()?;
        let unpaired = partners.len() - helices.iter().map(|(i, j)| j - i + 1).sum::<usize>();
        loops.parameters.extend(std::iter::repeat_n(EXTERIOR.place([1]), unpaired));
        for &(i, j) in &helices {
            bases.exterior_helix(bases.kind(i, j)?, i, j, |place| loops.parameters.push(place));
        }
        let mut open = helices;
        while let Some((i, j)) = open.pop() {
            if j <= i + SHORTEST_HAIRPIN {
                return None;
            }
            let kind = bases.kind(i, j)?;
            let inner = Helices { partners, next: i + 1, end: j }.collect::<Option<Vec<_>>>()?;
            let parameters = &mut loops.parameters;
            match inner[..] {
                [] => loops.beyond += bases.hairpin(kind, i, j, |place| parameters.push(place)),
                [(k, l)] => {
                    let within = (bases.kind(k, l)?, k, l);
                    loops.beyond += bases.interior((kind, i, j), within, |place| parameters.push(place));
                    loops.longest_interior = loops.longest_interior.max(k - i - 1 + j - l - 1);
                }
                _ => {
                    bases.multiloop(kind, i, j, |place| parameters.push(place));
                    for &(k, l) in &inner {
                        bases.multiloop_helix(bases.kind(k, l)?, k, l, |place| parameters.push(place));
                    }
                    let unpaired = j - i - 1 - inner.iter().map(|(k, l)| l - k + 1).sum::<usize>();
                    parameters.extend(std::iter::repeat_n(MULTILOOP.place([2]), unpaired));
                }
            }
            open.extend(inner);
        }
        Some(loops)
    }

    /// The free energy under a parameter set, kcal/mol.
    pub fn free_energy(&self, parameters: &EnergyParameters) -> f64 {
        parameters.relative_temperature() * self.beyond
            + self.parameters.iter().map(|&place| parameters.values()[place]).sum::<f64>()
    }
}

/// The free energy of a structure of a sequence of ACGUN by Turner 2004, kcal/mol. Only canonical pairs with at least three
/// bases between them count, and of those that cross the most that do not.
pub fn structure_energy(sequence: &[u8], partners: &[Option<usize>]) -> f64 {
    structure_energy_by(EnergyParameters::turner2004(), sequence, partners)
}

/// The same by another parameter set.
pub fn structure_energy_by(parameters: &EnergyParameters, sequence: &[u8], partners: &[Option<usize>]) -> f64 {
    let forms = |i: usize, j: usize| i.abs_diff(j) > SHORTEST_HAIRPIN && is_canonical(sequence[i], sequence[j]);
    let allowed = |(i, partner): (usize, &Option<usize>)| partner.filter(|&j| forms(i, j));
    let partners = without_pseudoknots(&partners.iter().enumerate().map(allowed).collect::<Vec<_>>());
    StructureLoops::new(sequence, &partners).map_or(0.0, |loops| loops.free_energy(parameters))
}

/// The free energy of all nested structures of a sequence of ACGUN together under some conditions by Turner 2004, kcal/mol.
///
/// # Errors
/// [`crate::Error::OutOfMemory`] where the sums do not fit in memory.
pub fn ensemble_energy(sequence: &[u8], conditions: &Conditions) -> Result<f64> {
    Ok(conditions.models.turner2004_factors.ensemble(sequence, conditions, None)?.free_energy())
}

/// The pairs within `next..end` that lie in no other pair within it. `None` for one that reaches out.
struct Helices<'a> {
    partners: &'a [Option<usize>],
    next: usize,
    end: usize,
}

impl Iterator for Helices<'_> {
    type Item = Option<(usize, usize)>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.next < self.end {
            let i = self.next;
            self.next += 1;
            if let Some(j) = self.partners[i] {
                if j <= i || j >= self.end {
                    return Some(None);
                }
                self.next = j + 1;
                return Some(Some((i, j)));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::dot_bracket::parse_structure_line;

    /// What ViennaRNA 2.8 gives, dangles on both sides, for 120 random sequences and 120 members of Rfam's families.
    #[test]
    fn free_energies_are_those_of_viennarna() {
        let rows = include_str!("../../../testdata/structures/energies.tsv").lines().skip(1);
        let mut number = 0;
        for row in rows {
            let mut columns = row.split('\t');
            let mut next = || columns.next().expect("three columns");
            let (sequence, brackets, energy) = (next(), next(), next());
            let partners = parse_structure_line(brackets.as_bytes()).expect("brackets");
            let ours = structure_energy(sequence.as_bytes(), &partners);
            let expected: f64 = energy.parse().expect("a number");
            assert!((ours - expected).abs() < 1e-6, "{sequence} {brackets}: {ours} {expected}");
            number += 1;
        }
        assert_eq!(number, 240);
    }

    /// What ViennaRNA 2.8 gives at other temperatures: the structure of least energy, its energy and the ensemble's.
    #[test]
    fn temperatures_have_the_effects_of_viennarna() {
        use super::super::conditions::EnergyModels;
        use super::super::minimum_free_energy;
        for row in include_str!("../../../testdata/structures/temperatures.tsv").lines().skip(1) {
            let columns: Vec<&str> = row.split('\t').collect();
            let [sequence, celsius, brackets, energy, ensemble] = columns[..] else { panic!("five columns") };
            let number = |text: &str| text.parse::<f64>().expect("a number");
            let conditions = Conditions { models: EnergyModels::at(number(celsius)), ..Conditions::any_span() };
            let parameters = &conditions.models.turner2004;
            let partners = parse_structure_line(brackets.as_bytes()).expect("brackets");
            let ours = structure_energy_by(parameters, sequence.as_bytes(), &partners);
            assert!((ours - number(energy)).abs() < 0.011, "{row}: {ours}");
            let least = minimum_free_energy(sequence.as_bytes(), parameters, &conditions);
            let least = structure_energy_by(parameters, sequence.as_bytes(), &least);
            assert!((least - number(energy)).abs() < 0.011, "{row}: {least}");
            let all = ensemble_energy(sequence.as_bytes(), &conditions).expect("memory");
            assert!((all - number(ensemble)).abs() < 0.02, "{row}: {all}");
        }
    }

    #[test]
    fn pairs_that_the_model_does_not_have_do_not_count() {
        let energy = |sequence: &[u8], brackets: &[u8]| {
            structure_energy(sequence, &parse_structure_line(brackets).expect("brackets"))
        };
        let hairpin = energy(b"GGGAAAACCCAAAAAA", b"(((....)))......");
        assert!(hairpin < 0.0);
        assert_eq!(energy(b"GGGAAAACCCAAAAAA", b"(((.[..)))....]."), hairpin, "the shorter of two that cross");
        assert_eq!(energy(b"GGGAAAACCCAAAAAA", b"(((....)))(....)"), hairpin, "no canonical pair");
        assert_eq!(energy(b"", b""), 0.0);
    }
}
