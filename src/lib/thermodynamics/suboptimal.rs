//! All structures whose free energy is near the least (Wuchty et al., Biopolymers 49:145, 1999).

use super::conditions::Conditions;
use super::energies::{LONGEST_LOOP, SHORTEST_HAIRPIN};
use super::minimum_free_energy::{IMPOSSIBLE, Tables, hundredths};
use super::parameters::*;

/// A part of a structure that is still to be chosen.
#[derive(Clone, Copy)]
enum Part {
    /// The bases before a position.
    Exterior(usize),
    /// What is between the bases of a pair.
    Pair(usize, usize),
    /// At least one helix of a multiloop within i..=j.
    Multiloop(usize, usize),
    /// A helix of a multiloop that begins at i and ends up to j.
    Helix(usize, usize),
}

/// What was chosen, and what it costs at least, in hundredths of kcal/mol.
#[derive(Clone)]
struct Choice {
    pairs: Vec<(usize, usize)>,
    open: Vec<Part>,
    least: i32,
}

/// The structures of a sequence of ACGUN whose free energy is at most `range` kcal/mol above the least, that of least first, with
/// their free energies in kcal/mol; at most `most` of them, in which case those of least energy may not be among them.
pub fn suboptimal(
    sequence: &[u8],
    parameters: &EnergyParameters,
    conditions: &Conditions,
    range: f64,
    most: usize,
) -> Vec<(Vec<Option<usize>>, f64)> {
    let open = vec![None; sequence.len()];
    if sequence.len() < SHORTEST_HAIRPIN + 2 {
        return vec![(open, 0.0)];
    }
    let tables = Tables::new(sequence, parameters, conditions);
    let exterior = tables.exterior();
    let least = exterior[sequence.len()];
    let limit = least.saturating_add(hundredths(range));
    let mut choices = vec![Choice { pairs: Vec::new(), open: vec![Part::Exterior(sequence.len())], least }];
    let mut found = Vec::new();
    while let Some(mut choice) = choices.pop() {
        let Some(part) = choice.open.pop() else {
            let mut partners = open.clone();
            for &(i, j) in &choice.pairs {
                (partners[i], partners[j]) = (Some(j), Some(i));
            }
            found.push((partners, choice.least));
            if found.len() == most {
                break;
            }
            continue;
        };
        let rest = choice.least - tables.least(&exterior, part);
        let mut add = |cost: i32, pair: Option<(usize, usize)>, parts: &[Part]| {
            let least = parts
                .iter()
                .fold(rest.saturating_add(cost), |sum, &part| sum.saturating_add(tables.least(&exterior, part)));
            if least <= limit {
                let mut next = choice.clone();
                next.least = least;
                next.pairs.extend(pair);
                next.open.extend_from_slice(parts);
                choices.push(next);
            }
        };
        tables.alternatives(part, &mut add);
    }
    found.sort_by(|a, b| a.1.cmp(&b.1).then_with(|| a.0.cmp(&b.0)));
    found.into_iter().map(|(partners, energy)| (partners, f64::from(energy) / 100.0)).collect()
}

impl Tables<'_> {
    fn least(&self, exterior: &[i32], part: Part) -> i32 {
        match part {
            Part::Exterior(end) => exterior[end],
            Part::Pair(i, j) => self.get(&self.paired, i, j),
            Part::Multiloop(i, j) => self.get(&self.multiloop, i, j),
            Part::Helix(i, j) => self.get(&self.one_helix, i, j),
        }
    }

    /// Every way to go on with a part, exactly once: what it costs, the pair that it adds and the parts that it leaves.
    fn alternatives(&self, part: Part, add: &mut impl FnMut(i32, Option<(usize, usize)>, &[Part])) {
        let of_multiloop = self.energies[MULTILOOP.place([2])];
        match part {
            Part::Exterior(0) => add(0, None, &[]),
            Part::Exterior(end) => {
                let j = end - 1;
                add(self.energies[EXTERIOR.place([1])], None, &[Part::Exterior(j)]);
                for i in end.saturating_sub(self.band)..j.saturating_sub(SHORTEST_HAIRPIN) {
                    if self.get(&self.paired, i, j) < IMPOSSIBLE
                        && let Some(kind) = self.bases.kind(i, j)
                    {
                        let mut cost = 0;
                        self.bases.exterior_helix(kind, i, j, |place| cost += self.energies[place]);
                        add(cost, None, &[Part::Exterior(i), Part::Pair(i, j)]);
                    }
                }
            }
            Part::Pair(i, j) => {
                let Some(kind) = self.bases.kind(i, j) else { return };
                add(self.hairpin(kind, i, j), Some((i, j)), &[]);
                for five in 0..=LONGEST_LOOP {
                    let k = i + 1 + five;
                    for three in 0..=LONGEST_LOOP - five {
                        let Some(l) = j.checked_sub(1 + three).filter(|l| *l > k + SHORTEST_HAIRPIN) else { break };
                        if self.get(&self.paired, k, l) < IMPOSSIBLE
                            && let Some(inner) = self.bases.kind(k, l)
                        {
                            let cost = self.of_interior((kind, i, j), (inner, k, l));
                            add(cost, Some((i, j)), &[Part::Pair(k, l)]);
                        }
                    }
                }
                let mut cost = 0;
                self.bases.multiloop(kind, i, j, |place| cost += self.energies[place]);
                let (from, to) = (i + 1, j - 1);
                for last in from + SHORTEST_HAIRPIN + 2..to.saturating_sub(SHORTEST_HAIRPIN) {
                    add(cost, Some((i, j)), &[Part::Multiloop(from, last - 1), Part::Helix(last, to)]);
                }
            }
            Part::Multiloop(i, j) => {
                for last in i..j.saturating_sub(SHORTEST_HAIRPIN) {
                    add(of_multiloop * (last - i) as i32, None, &[Part::Helix(last, j)]);
                    if last > i {
                        add(0, None, &[Part::Multiloop(i, last - 1), Part::Helix(last, j)]);
                    }
                }
            }
            Part::Helix(i, j) => {
                for end in i + SHORTEST_HAIRPIN + 1..=j {
                    if self.get(&self.paired, i, end) < IMPOSSIBLE
                        && let Some(kind) = self.bases.kind(i, end)
                    {
                        let cost = self.multiloop_helix(kind, i, end) + of_multiloop * (j - end) as i32;
                        add(cost, None, &[Part::Pair(i, end)]);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::structure::{StructureLoops, structure_energy};
    use super::*;

    /// Every structure near the least, once: those of a short sequence by trying all sets of pairs.
    #[test]
    fn all_structures_near_the_least_are_found_once() {
        let sequence = b"GGGCGCAAAGCGCGCAAAGCGCCC";
        let parameters = EnergyParameters::turner2004();
        let found = suboptimal(sequence, parameters, &Conditions::default(), 4.0, usize::MAX);
        let least = found[0].1;
        assert!(found.is_sorted_by(|a, b| a.1 <= b.1) && found.last().is_some_and(|last| last.1 <= least + 4.0));
        for (partners, energy) in &found {
            assert!((structure_energy(sequence, partners) - energy).abs() < 0.006);
        }
        let mut distinct: Vec<_> = found.iter().map(|(partners, _)| partners).collect();
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), found.len());
        let mut number = 0;
        fn all(
            sequence: &[u8],
            base: usize,
            partners: &mut Vec<Option<usize>>,
            seen: &mut impl FnMut(&[Option<usize>]),
        ) {
            if base == sequence.len() {
                return seen(partners);
            }
            all(sequence, base + 1, partners, seen);
            if partners[base].is_none() {
                for other in base + 1 + SHORTEST_HAIRPIN..sequence.len() {
                    if partners[other].is_none() && crate::structure::is_canonical(sequence[base], sequence[other]) {
                        (partners[base], partners[other]) = (Some(other), Some(base));
                        if (base + 1..other).all(|i| partners[i].is_none_or(|j| j > base && j < other)) {
                            all(sequence, base + 1, partners, seen);
                        }
                        (partners[base], partners[other]) = (None, None);
                    }
                }
            }
        }
        all(sequence, 0, &mut vec![None; sequence.len()], &mut |partners| {
            if let Some(loops) = StructureLoops::new(sequence, partners)
                && loops.free_energy(parameters) <= least + 4.0 + 1e-6
            {
                number += 1;
            }
        });
        assert_eq!(number, found.len());
        assert_eq!(suboptimal(b"AAAAAA", parameters, &Conditions::default(), 1.0, 10), [(vec![None; 6], 0.0)]);
    }
}
