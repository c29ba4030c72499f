//! The nested structure of minimum free energy (Zuker and Stiegler, NAR 9:133, 1981).

use super::conditions::Conditions;
use super::energies::{LONGEST_LOOP, SHORTEST_HAIRPIN};
use super::loops::Bases;
use super::parameters::*;

/// Stands for what cannot be; sums of some of them do not overflow.
pub(super) const IMPOSSIBLE: i32 = i32::MAX / 8;

/// Partners of the bases of a sequence of ACGUN in a structure of minimum free energy; among equal ones a fixed choice.
/// Energies are counted in hundredths of kcal/mol.
pub fn minimum_free_energy(
    sequence: &[u8],
    parameters: &EnergyParameters,
    conditions: &Conditions,
) -> Vec<Option<usize>> {
    if sequence.len() < SHORTEST_HAIRPIN + 2 {
        return vec![None; sequence.len()];
    }
    let tables = Tables::new(sequence, parameters, conditions);
    tables.trace(&tables.exterior())
}

/// The least energies within i..=j, at row i and place j - i.
pub(super) struct Tables<'a> {
    pub(super) bases: Bases<'a>,
    pub(super) energies: Vec<i32>,
    conditions: &'a Conditions,
    relative_temperature: f64,
    pub(super) band: usize,
    /// (i, j) paired.
    pub(super) paired: Vec<i32>,
    /// At least one helix of a multiloop.
    pub(super) multiloop: Vec<i32>,
    /// One helix of a multiloop, which begins at i.
    pub(super) one_helix: Vec<i32>,
}

impl<'a> Tables<'a> {
    pub(super) fn new(sequence: &'a [u8], parameters: &EnergyParameters, conditions: &'a Conditions) -> Self {
        let (length, band) = (sequence.len(), sequence.len().min(conditions.max_span).max(SHORTEST_HAIRPIN + 2));
        let impossible = || vec![IMPOSSIBLE; length * band];
        let mut tables = Self {
            bases: Bases::new(sequence),
            conditions,
            energies: parameters.values().iter().map(|energy| hundredths(*energy)).collect(),
            relative_temperature: parameters.relative_temperature(),
            band,
            paired: impossible(),
            multiloop: impossible(),
            one_helix: impossible(),
        };
        let unpaired = tables.energies[MULTILOOP.place([2])];
        for i in (0..length).rev() {
            for j in i + SHORTEST_HAIRPIN + 1..(i + band).min(length) {
                let place = i * band + j - i;
                let mut one_helix = tables.one_helix[place - 1] + unpaired;
                if let Some(kind) = tables.bases.kind(i, j).filter(|_| conditions.allow(i, j)) {
                    let inside = tables.hairpin(kind, i, j).min(tables.interior(kind, i, j).0);
                    let paired = inside.min(tables.closed(kind, i, j).0);
                    tables.paired[place] = paired;
                    one_helix = one_helix.min(paired + tables.multiloop_helix(kind, i, j));
                }
                tables.one_helix[place] = one_helix.min(IMPOSSIBLE);
                let after = tables.get(&tables.multiloop, i + 1, j) + unpaired;
                let two = tables.two_helices(i, j).0;
                tables.multiloop[place] = one_helix.min(after).min(two).min(IMPOSSIBLE);
            }
        }
        tables
    }

    pub(super) fn get(&self, table: &[i32], i: usize, j: usize) -> i32 {
        if j > i && j - i < self.band { table[i * self.band + j - i] } else { IMPOSSIBLE }
    }

    pub(super) fn hairpin(&self, kind: usize, i: usize, j: usize) -> i32 {
        let mut sum = 0;
        let beyond = self.bases.hairpin(kind, i, j, |place| sum += self.energies[place]);
        sum + hundredths(self.relative_temperature * beyond)
    }

    /// The best stack, bulge or interior loop that (i, j) closes, and the pair inside it.
    fn interior(&self, kind: usize, i: usize, j: usize) -> (i32, usize, usize) {
        let mut best = (IMPOSSIBLE, 0, 0);
        for five in 0..=LONGEST_LOOP {
            let k = i + 1 + five;
            for three in 0..=LONGEST_LOOP - five {
                let Some(l) = j.checked_sub(1 + three).filter(|l| *l > k + SHORTEST_HAIRPIN) else { break };
                let paired = self.get(&self.paired, k, l);
                if paired < IMPOSSIBLE
                    && let Some(inner) = self.bases.kind(k, l)
                {
                    let sum = paired + self.of_interior((kind, i, j), (inner, k, l));
                    if sum < best.0 {
                        best = (sum, k, l);
                    }
                }
            }
        }
        best
    }

    /// The stack, bulge or interior loop between two pairs.
    pub(super) fn of_interior(&self, outer: (usize, usize, usize), inner: (usize, usize, usize)) -> i32 {
        let (_, i, j) = outer;
        let mut sum = match inner.1 == i + 1 && inner.2 + 1 == j {
            true => hundredths(self.conditions.of_stack(i, j)),
            false => 0,
        };
        self.bases.interior(outer, inner, |place| sum += self.energies[place]);
        sum
    }

    /// The best multiloop that (i, j) closes, and where its last helix begins.
    fn closed(&self, kind: usize, i: usize, j: usize) -> (i32, usize) {
        let (mut sum, last) = self.two_helices(i + 1, j - 1);
        self.bases.multiloop(kind, i, j, |place| sum += self.energies[place]);
        (sum.min(IMPOSSIBLE), last)
    }

    /// At least two helices of a multiloop within i..=j, and where the last begins.
    fn two_helices(&self, i: usize, j: usize) -> (i32, usize) {
        let first = i + SHORTEST_HAIRPIN + 2;
        let sums = (first..j.saturating_sub(SHORTEST_HAIRPIN))
            .map(|last| (self.get(&self.multiloop, i, last - 1) + self.get(&self.one_helix, last, j), last));
        sums.min().unwrap_or((IMPOSSIBLE, 0))
    }

    pub(super) fn multiloop_helix(&self, kind: usize, i: usize, j: usize) -> i32 {
        let mut sum = 0;
        self.bases.multiloop_helix(kind, i, j, |place| sum += self.energies[place]);
        sum
    }

    /// The least energy of the bases before each position.
    pub(super) fn exterior(&self) -> Vec<i32> {
        let mut least = vec![0; self.bases.length() + 1];
        for j in 0..self.bases.length() {
            least[j + 1] = self.last_helix(&least, j).map_or(i32::MAX, |(sum, _)| sum);
            least[j + 1] = least[j + 1].min(least[j] + self.energies[EXTERIOR.place([1])]);
        }
        least
    }

    /// The best structure of the bases up to j whose last pair is (i, j), and i.
    fn last_helix(&self, least: &[i32], j: usize) -> Option<(i32, usize)> {
        let first = (j + 1).saturating_sub(self.band);
        let sums = (first..j.saturating_sub(SHORTEST_HAIRPIN)).filter_map(|i| {
            let paired = self.get(&self.paired, i, j);
            let kind = self.bases.kind(i, j).filter(|_| paired < IMPOSSIBLE)?;
            let mut sum = least[i] + paired;
            self.bases.exterior_helix(kind, i, j, |place| sum += self.energies[place]);
            Some((sum, i))
        });
        sums.min()
    }

    /// The partners in a structure that has these least energies.
    fn trace(&self, least: &[i32]) -> Vec<Option<usize>> {
        let mut partners = vec![None; self.bases.length()];
        let mut pairs = Vec::new();
        // Stretches of multiloops with at least one helix.
        let mut stretches: Vec<(usize, usize)> = Vec::new();
        let mut end = self.bases.length();
        while end > 0 {
            let found = self.last_helix(least, end - 1).filter(|(sum, _)| *sum == least[end]);
            match found.filter(|_| least[end] < least[end - 1] + self.energies[EXTERIOR.place([1])]) {
                Some((_, i)) => {
                    pairs.push((i, end - 1));
                    end = i;
                }
                None => end -= 1,
            }
        }
        loop {
            if let Some((i, j)) = pairs.pop() {
                partners[i] = Some(j);
                partners[j] = Some(i);
                let Some(kind) = self.bases.kind(i, j) else { continue };
                let paired = self.get(&self.paired, i, j);
                if paired == self.hairpin(kind, i, j) {
                    continue;
                }
                let (sum, k, l) = self.interior(kind, i, j);
                if paired == sum {
                    pairs.push((k, l));
                    continue;
                }
                let (_, last) = self.closed(kind, i, j);
                stretches.push((i + 1, last - 1));
                pairs.push(self.helix_from(last, j - 1));
            } else if let Some((i, j)) = stretches.pop() {
                let least = self.get(&self.multiloop, i, j);
                if least == self.get(&self.one_helix, i, j) {
                    pairs.push(self.helix_from(i, j));
                } else if let (sum, last) = self.two_helices(i, j)
                    && sum == least
                {
                    stretches.push((i, last - 1));
                    pairs.push(self.helix_from(last, j));
                } else {
                    stretches.push((i + 1, j));
                }
            } else {
                return partners;
            }
        }
    }

    /// The pair with which the best helix that begins at i and ends up to j begins.
    fn helix_from(&self, i: usize, j: usize) -> (usize, usize) {
        let unpaired = self.energies[MULTILOOP.place([2])];
        let mut end = j;
        while end > i + SHORTEST_HAIRPIN + 1
            && self.get(&self.one_helix, i, end) == self.get(&self.one_helix, i, end - 1) + unpaired
        {
            end -= 1;
        }
        (i, end)
    }
}

pub(super) fn hundredths(energy: f64) -> i32 {
    (100.0 * energy).round() as i32
}

#[cfg(test)]
mod tests {
    use super::super::structure::StructureLoops;
    use super::*;

    /// No other structure has less, by trying all of a short sequence.
    #[test]
    fn nothing_is_below_the_minimum() {
        fn all(sequence: &[u8], open: Vec<(usize, usize)>, partners: &mut Vec<Option<usize>>, least: &mut f64) {
            let mut open = open;
            while open.last().is_some_and(|(start, end)| start >= end) {
                open.pop();
            }
            let Some((start, end)) = open.pop() else {
                if let Some(loops) = StructureLoops::new(sequence, partners)
                    && loops.longest_interior <= LONGEST_LOOP
                {
                    *least = least.min(loops.free_energy(EnergyParameters::turner2004()));
                }
                return;
            };
            let mut rest = open.clone();
            rest.push((start + 1, end));
            all(sequence, rest, partners, least);
            for partner in start + SHORTEST_HAIRPIN + 1..end {
                if Bases::new(sequence).kind(start, partner).is_some() {
                    let mut rest = open.clone();
                    rest.extend([(partner + 1, end), (start + 1, partner)]);
                    (partners[start], partners[partner]) = (Some(partner), Some(start));
                    all(sequence, rest, partners, least);
                    (partners[start], partners[partner]) = (None, None);
                }
            }
        }
        for sequence in ["GGGAAAUCC", "GGCGAAAAGCACCGAAAGGU", "GGGCGCAAAGCGCGCAAAGCGCCC", "AAAAA", "GCGCAAUUGGCCANNGC"]
        {
            let sequence = sequence.as_bytes();
            let mut least = f64::INFINITY;
            all(sequence, vec![(0, sequence.len())], &mut vec![None; sequence.len()], &mut least);
            let partners = minimum_free_energy(sequence, EnergyParameters::turner2004(), &Conditions::default());
            let found = StructureLoops::new(sequence, &partners).expect("a nested structure");
            let found = found.free_energy(EnergyParameters::turner2004());
            assert!((found - least).abs() < 1e-6, "{found} {least}");
        }
        let two = minimum_free_energy(b"GC", EnergyParameters::turner2004(), &Conditions::default());
        assert_eq!(two, [None, None]);
    }
}
