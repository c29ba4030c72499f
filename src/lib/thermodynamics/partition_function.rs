//! Base-pair probabilities from the partition function of all nested structures (McCaskill, Biopolymers 29:1105, 1990).
//!
//! Inside sums run from short spans to long ones; the probabilities are their derivatives, computed in reverse. Pairs may
//! span up to [`LONGEST_SPAN`] bases, so that time and memory grow linearly with the sequence beyond that. Inner loops
//! are products of contiguous rows: an interior loop is split into what its two pairs and what its two sides
//! contribute, and a multiloop's last helix is summed over one row and one column.

use multiversion::multiversion;

use super::energies::{ENERGIES, Energies, LONGEST_LOOP, SHORTEST_HAIRPIN, base_code, pair_kind, turned};
use crate::decode::pair_map::PairMap;

/// Most bases from the first to the last of a pair, both counted.
pub const LONGEST_SPAN: usize = 1000;

/// Sums beyond this are too close to the largest number; the scale per base is raised and the computation repeated.
const LARGEST: f64 = 1e280;

/// Sums below this count as zero: dividing by them could overflow.
const SMALLEST: f64 = 1e-280;

/// Probability of every pair {i < j} of a sequence of ACGUN at 37 °C.
pub fn pair_probabilities(sequence: &[u8]) -> PairMap {
    let mut probabilities = PairMap::new(sequence.len());
    if sequence.len() < SHORTEST_HAIRPIN + 2 {
        return probabilities;
    }
    let strong = sequence.iter().filter(|&&letter| letter == b'G' || letter == b'C').count();
    // About the free energy per base of RNAs of this composition, in units of the thermal energy.
    let mut scale = (1.2 * strong as f64 / sequence.len() as f64 - 0.1).max(0.1);
    loop {
        let problem = Problem::new(sequence, scale);
        if let Some(inside) = inside(&problem) {
            let exterior = Exterior::new(&problem, &inside);
            outside(&problem, inside, &exterior, &mut probabilities);
            return probabilities;
        }
        scale += 0.5;
    }
}

/// A sequence and what all sums share.
struct Problem<'a> {
    energies: &'static Energies,
    sequence: &'a [u8],
    bases: Vec<u8>,
    /// Length of the rows and columns kept: the longest span.
    band: usize,
    /// Natural logarithm of what each base divides a sum by.
    scale: f64,
    /// Factor of so many bases.
    scales: Vec<f64>,
    /// [`Energies::sides`] with the scale of the loop and of the outer pair.
    sides: [[f64; LONGEST_LOOP + 1]; LONGEST_LOOP + 1],
}

impl<'a> Problem<'a> {
    fn new(sequence: &'a [u8], scale: f64) -> Self {
        let energies: &Energies = &ENERGIES;
        let band = sequence.len().min(LONGEST_SPAN);
        let scales: Vec<f64> = (0..=band.max(LONGEST_LOOP) + 2).map(|bases| (-scale * bases as f64).exp()).collect();
        let sides = std::array::from_fn(|five| {
            std::array::from_fn(|place| {
                let unpaired = five + LONGEST_LOOP - place;
                if unpaired > LONGEST_LOOP { 0.0 } else { energies.sides[five][place] * scales[unpaired + 2] }
            })
        });
        let bases = sequence.iter().map(|&letter| base_code(letter)).collect();
        Self { energies, sequence, bases, band, scale, scales, sides }
    }

    fn length(&self) -> usize {
        self.sequence.len()
    }

    /// The base at `position`, 4 beyond the ends.
    fn base(&self, position: usize) -> usize {
        self.bases.get(position).map_or(4, |&base| usize::from(base))
    }

    fn kind(&self, i: usize, j: usize) -> Option<usize> {
        if j < i + SHORTEST_HAIRPIN + 1 { None } else { pair_kind(self.bases[i], self.bases[j]) }
    }

    /// Factor of the pair (i, j) as the outer pair of an interior loop of at least 2x2.
    fn outer_end(&self, kind: usize, i: usize, j: usize) -> f64 {
        self.energies.interior_end[kind][self.base(i + 1)][self.base(j - 1)]
    }

    /// Factor of the pair (i, j) as the inner pair of an interior loop of at least 2x2.
    fn inner_end(&self, kind: usize, i: usize, j: usize) -> f64 {
        self.energies.interior_end[turned(kind)][self.base(j + 1)][self.base(i.wrapping_sub(1))]
    }

    /// Factor of the helix (i, j) in a multiloop.
    fn multiloop_helix(&self, kind: usize, i: usize, j: usize) -> f64 {
        self.energies.multiloop_helix[kind][self.base(i.wrapping_sub(1))][self.base(j + 1)]
    }

    /// Factor of the multiloop that (i, j) closes, its two bases' scale included.
    fn multiloop_closing(&self, kind: usize, i: usize, j: usize) -> f64 {
        let helix = self.energies.multiloop_helix[turned(kind)][self.base(j - 1)][self.base(i + 1)];
        helix * self.energies.multiloop * self.scales[2]
    }

    /// Factor of the helix (i, j) outside all pairs.
    fn exterior_helix(&self, kind: usize, i: usize, j: usize) -> f64 {
        self.energies.exterior_helix[kind][self.base(i.wrapping_sub(1))][self.base(j + 1)]
    }

    /// Factor of the loop between an outer pair and the pair (`five`, `three`) bases inside it, where that depends on
    /// both: stacks, bulges of one base and loops of 1x1. `inner` is the kind of the inner pair.
    fn small_loop(&self, outer: usize, i: usize, j: usize, inner: usize, five: usize, three: usize) -> f64 {
        let stack = self.energies.stack[outer][turned(inner)];
        self.scales[five + three + 2]
            * match (five, three) {
                (0, 0) => stack,
                (0, 1) | (1, 0) => stack * self.energies.small_bulge,
                _ => {
                    let weak = usize::from(outer > 1) + usize::from(inner > 1);
                    let both_guanine = self.base(i + 1) == 2 && self.base(j - 1) == 2;
                    self.energies.one_by_one[weak][usize::from(both_guanine)]
                }
            }
    }
}

/// The loops that depend on both pairs: unpaired bases on the 5' and on the 3' side.
const SMALL_LOOPS: [(usize, usize); 4] = [(0, 0), (0, 1), (1, 0), (1, 1)];

/// Sums over the structures within i..=j, at row i and place j - i (`row`), or at column j and place i - j + band - 1
/// (`column`), each divided by the scale of its bases.
struct Inside {
    /// (i, j) paired, times its factor as the end of a helix (rows).
    paired: Vec<f64>,
    /// (i, j) paired, times its factor as the inner pair of an interior loop (rows).
    interior: Vec<f64>,
    /// At least one helix of a multiloop (rows).
    multiloop: Vec<f64>,
    /// One helix of a multiloop, from i on (columns).
    one_helix: Vec<f64>,
}

#[inline(always)]
fn dot(a: &[f64], b: &[f64]) -> f64 {
    const LANES: usize = 16;
    let mut sums = [0f64; LANES];
    let (a_blocks, b_blocks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let mut rest = 0.0;
    for (x, y) in a_blocks.remainder().iter().zip(b_blocks.remainder()) {
        rest += x * y;
    }
    for (x, y) in a_blocks.zip(b_blocks) {
        for lane in 0..LANES {
            sums[lane] += x[lane] * y[lane];
        }
    }
    rest + sums.iter().sum::<f64>()
}

/// target += factor * source.
#[inline(always)]
fn add_scaled(target: &mut [f64], factor: f64, source: &[f64]) {
    for (x, y) in target.iter_mut().zip(source) {
        *x += factor * y;
    }
}

/// The sums, or nothing where one grows too large for the scale.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn inside(problem: &Problem) -> Option<Inside> {
    let (length, band) = (problem.length(), problem.band);
    let zeros = || vec![0f64; length * band];
    let mut sums = Inside { paired: zeros(), interior: zeros(), multiloop: zeros(), one_helix: zeros() };
    // Sums over at least two helices of a multiloop, for this row and the one after it.
    let (mut two_helices, mut two_helices_after) = (vec![0f64; length], vec![0f64; length]);
    // Sums over one helix with unpaired bases on both sides, of the row after this one.
    let mut any_place = vec![0f64; length];
    let unpaired = problem.scales[1];
    for i in (0..length).rev() {
        std::mem::swap(&mut two_helices, &mut two_helices_after);
        let end = (i + band).min(length);
        let mut one_helix = 0.0;
        for j in i..end {
            if let Some(kind) = problem.kind(i, j) {
                let mut paired = problem.energies.hairpin(kind, &problem.sequence[i..=j]) * problem.scales[j - i + 1];
                paired += interior_loops(problem, &sums, kind, i, j);
                paired += two_helices_after[j - 1] * problem.multiloop_closing(kind, i, j);
                if paired > LARGEST {
                    return None;
                }
                let place = i * band + j - i;
                sums.paired[place] = paired * problem.energies.helix_end[kind];
                sums.interior[place] = paired * problem.inner_end(kind, i, j);
                one_helix = one_helix * unpaired + paired * problem.multiloop_helix(kind, i, j);
            } else {
                one_helix *= unpaired;
            }
            sums.one_helix[j * band + i + band - 1 - j] = one_helix;
            // The last helix starts at u: at least one before it within i..u, one within u..=j.
            let first = i + SHORTEST_HAIRPIN + 2;
            let two = if j > first + SHORTEST_HAIRPIN {
                let last = j - SHORTEST_HAIRPIN - 1;
                let before = &sums.multiloop[i * band + first - 1 - i..i * band + last - i];
                let column = j * band + band - 1 - j;
                dot(before, &sums.one_helix[column + first..=column + last])
            } else {
                0.0
            };
            two_helices[j] = two;
            any_place[j] = any_place[j] * unpaired + one_helix;
            let multiloop = two + any_place[j];
            if multiloop > LARGEST {
                return None;
            }
            sums.multiloop[i * band + j - i] = multiloop;
        }
    }
    Some(sums)
}

/// Sum over the bulges and interior loops that (i, j) closes.
#[inline(always)]
fn interior_loops(problem: &Problem, sums: &Inside, kind: usize, i: usize, j: usize) -> f64 {
    let band = problem.band;
    let inner_span = SHORTEST_HAIRPIN + 2;
    let mut small = 0.0;
    for (five, three) in SMALL_LOOPS {
        let (k, l) = (i + 1 + five, j - 1 - three);
        if l < k + inner_span - 1 {
            continue;
        }
        if let Some(inner) = problem.kind(k, l) {
            let paired = sums.paired[k * band + l - k] / problem.energies.helix_end[inner];
            small += paired * problem.small_loop(kind, i, j, inner, five, three);
        }
    }
    let (mut narrow, mut wide) = (0.0, 0.0);
    for five in 0..=LONGEST_LOOP {
        let k = i + 1 + five;
        if j < k + inner_span {
            break;
        }
        let longest = (LONGEST_LOOP - five).min(j - k - inner_span);
        let row = k * band + j - 1 - k;
        let sides = &problem.sides[five];
        // A side of fewer than two bases: bulges and 1 x n; else the rule for interior loops.
        let to = if five < 2 { longest } else { longest.min(1) };
        narrow += dot(&sums.paired[row - to..=row], &sides[LONGEST_LOOP - to..]);
        if five >= 2 && longest >= 2 {
            wide += dot(&sums.interior[row - longest..row - 1], &sides[LONGEST_LOOP - longest..LONGEST_LOOP - 1]);
        }
    }
    small + narrow * problem.energies.helix_end[kind] + wide * problem.outer_end(kind, i, j)
}

/// Logarithms of the sums over the structures of a prefix and of a suffix.
struct Exterior {
    /// Of the bases before each position.
    prefix: Vec<f64>,
    /// Of the bases from each position on.
    suffix: Vec<f64>,
}

impl Exterior {
    fn new(problem: &Problem, inside: &Inside) -> Self {
        let (length, band) = (problem.length(), problem.band);
        // Logarithm of the sum with (i, j) paired outside all other pairs.
        let helix = |i: usize, j: usize| {
            let kind = problem.kind(i, j)?;
            let paired = inside.paired[i * band + j - i];
            let factor = problem.exterior_helix(kind, i, j) / problem.energies.helix_end[kind];
            (paired > SMALLEST).then(|| (paired * factor).ln() + problem.scale * (j - i + 1) as f64)
        };
        // A running logarithm of a sum of exponentials.
        let add = |sum: f64, term: f64| {
            let (large, small) = if sum > term { (sum, term) } else { (term, sum) };
            large + (small - large).exp().ln_1p()
        };
        let mut prefix = vec![0f64; length + 1];
        for j in 0..length {
            let mut sum = prefix[j];
            let first = (j + 1).saturating_sub(band);
            for (i, before) in prefix[..j].iter().enumerate().skip(first) {
                if let Some(term) = helix(i, j) {
                    sum = add(sum, before + term);
                }
            }
            prefix[j + 1] = sum;
        }
        let mut suffix = vec![0f64; length + 1];
        for i in (0..length).rev() {
            let mut sum = suffix[i + 1];
            for j in i + 1..(i + band).min(length) {
                if let Some(term) = helix(i, j) {
                    sum = add(sum, term + suffix[j + 1]);
                }
            }
            suffix[i] = sum;
        }
        Self { prefix, suffix }
    }
}

/// Rows of the derivatives of pairs that an inner pair may still read.
const ROWS: usize = LONGEST_LOOP + 2;

/// Fills `probabilities`: how the logarithm of the whole sum changes with each pair's sum, times that sum.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn outside(problem: &Problem, inside: Inside, exterior: &Exterior, probabilities: &mut PairMap) {
    let (length, band) = (problem.length(), problem.band);
    let total = exterior.suffix[0];
    let unpaired = problem.scales[1];
    let mut one_helix = vec![0f64; length * band];
    let mut any_place = vec![0f64; length];
    let mut multiloop = vec![0f64; length];
    let (mut two_helices, mut two_helices_after) = (vec![0f64; length], vec![0f64; length]);
    // Derivatives of the last rows' pairs, as they are and times their factors as outer pairs of interior loops.
    let mut outer =
        Outer { band, rows: vec![0.0; ROWS * band], narrow: vec![0.0; ROWS * band], wide: vec![0.0; ROWS * band] };
    for i in 0..length {
        std::mem::swap(&mut two_helices, &mut two_helices_after);
        two_helices_after.fill(0.0);
        let end = (i + band).min(length);
        multiloop[i..end].fill(0.0);
        outer.clear(i);
        let mut from_longer = 0.0;
        for j in (i..end).rev() {
            let two = two_helices[j] + multiloop[j];
            any_place[j] = any_place[j] * unpaired + multiloop[j];
            let first = i + SHORTEST_HAIRPIN + 2;
            if two > 0.0 && j > first + SHORTEST_HAIRPIN {
                let last = j - SHORTEST_HAIRPIN - 1;
                let column = j * band + band - 1 - j;
                add_scaled(&mut multiloop[first - 1..last], two, &inside.one_helix[column + first..=column + last]);
                let before = &inside.multiloop[i * band + first - 1 - i..i * band + last - i];
                add_scaled(&mut one_helix[column + first..=column + last], two, before);
            }
            let helix = one_helix[j * band + i + band - 1 - j] + any_place[j] + from_longer;
            from_longer = helix * unpaired;
            let Some(kind) = problem.kind(i, j) else { continue };
            let paired = inside.paired[i * band + j - i] / problem.energies.helix_end[kind];
            if paired <= SMALLEST {
                continue;
            }
            let outermost = exterior.prefix[i] + exterior.suffix[j + 1] - total + problem.scale * (j - i + 1) as f64;
            let derivative = outermost.exp() * problem.exterior_helix(kind, i, j)
                + helix * problem.multiloop_helix(kind, i, j)
                + outer.enclosing(problem, kind, i, j);
            probabilities.row_mut(j)[i] = (derivative * paired).min(1.0) as f32;
            outer.keep(problem, kind, i, j, derivative);
            two_helices_after[j - 1] = derivative * problem.multiloop_closing(kind, i, j);
        }
    }
}

/// Derivatives of the pairs of the last [`ROWS`] rows.
struct Outer {
    band: usize,
    rows: Vec<f64>,
    narrow: Vec<f64>,
    wide: Vec<f64>,
}

impl Outer {
    fn clear(&mut self, i: usize) {
        let start = i % ROWS * self.band;
        for rows in [&mut self.rows, &mut self.narrow, &mut self.wide] {
            rows[start..start + self.band].fill(0.0);
        }
    }

    fn keep(&mut self, problem: &Problem, kind: usize, i: usize, j: usize, derivative: f64) {
        let place = i % ROWS * self.band + j - i;
        self.rows[place] = derivative;
        self.narrow[place] = derivative * problem.energies.helix_end[kind];
        self.wide[place] = derivative * problem.outer_end(kind, i, j);
    }

    /// Derivative of (k, l) through the pairs that close a bulge or an interior loop around it.
    #[inline(always)]
    fn enclosing(&self, problem: &Problem, kind: usize, k: usize, l: usize) -> f64 {
        let mut small = 0.0;
        for (five, three) in SMALL_LOOPS {
            let (Some(i), j) = (k.checked_sub(1 + five), l + 1 + three) else { continue };
            if j >= problem.length() || j - i >= self.band {
                continue;
            }
            let derivative = self.rows[i % ROWS * self.band + j - i];
            if derivative > 0.0
                && let Some(outer) = problem.kind(i, j)
            {
                small += derivative * problem.small_loop(outer, i, j, kind, five, three);
            }
        }
        let (mut narrow, mut wide) = (0.0, 0.0);
        for five in 0..=LONGEST_LOOP.min(k.wrapping_sub(1)) {
            let Some(i) = k.checked_sub(1 + five) else { break };
            let end = problem.length().min(i + self.band);
            if l + 1 >= end {
                break;
            }
            let longest = (LONGEST_LOOP - five).min(end - l - 2);
            let row = i % ROWS * self.band + l + 1 - i;
            let sides = &problem.sides[five];
            let to = if five < 2 { longest } else { longest.min(1) };
            narrow += reversed_dot(&self.narrow[row..=row + to], &sides[LONGEST_LOOP - to..]);
            if five >= 2 && longest >= 2 {
                let sides = &sides[LONGEST_LOOP - longest..LONGEST_LOOP - 1];
                wide += reversed_dot(&self.wide[row + 2..=row + longest], sides);
            }
        }
        small + narrow * problem.energies.helix_end[kind] + wide * problem.inner_end(kind, k, l)
    }
}

#[inline(always)]
fn reversed_dot(a: &[f64], b: &[f64]) -> f64 {
    const LANES: usize = 8;
    let mut sums = [0f64; LANES];
    let (a_blocks, b_blocks) = (a.chunks_exact(LANES), b.rchunks_exact(LANES));
    let mut rest = 0.0;
    for (x, y) in a_blocks.remainder().iter().zip(b_blocks.remainder().iter().rev()) {
        rest += x * y;
    }
    for (x, y) in a_blocks.zip(b_blocks) {
        for lane in 0..LANES {
            sums[lane] += x[lane] * y[LANES - 1 - lane];
        }
    }
    rest + sums.iter().sum::<f64>()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Every structure whose remaining bases lie in the half-open intervals `open`, by trying them all: the first base of an
    /// interval unpaired, then paired with each of the others.
    fn intervals(
        problem: &Problem,
        mut open: Vec<(usize, usize)>,
        pairs: &mut Vec<(usize, usize)>,
        sums: &mut Vec<(f64, Vec<(usize, usize)>)>,
    ) {
        while open.last().is_some_and(|(start, end)| start >= end) {
            open.pop();
        }
        let Some((start, end)) = open.pop() else {
            sums.push((weight(problem, pairs), pairs.clone()));
            return;
        };
        let mut rest = open.clone();
        rest.push((start + 1, end));
        intervals(problem, rest, pairs, sums);
        for partner in start + 1..end {
            if problem.kind(start, partner).is_some() {
                let mut rest = open.clone();
                rest.push((partner + 1, end));
                rest.push((start + 1, partner));
                pairs.push((start, partner));
                intervals(problem, rest, pairs, sums);
                pairs.pop();
            }
        }
    }

    /// The Boltzmann factor of one structure, loop by loop.
    fn weight(problem: &Problem, pairs: &[(usize, usize)]) -> f64 {
        let energies = problem.energies;
        let within = |outer: Option<(usize, usize)>| -> Vec<(usize, usize)> {
            let inside = |a: (usize, usize), b: (usize, usize)| b.0 < a.0 && a.1 < b.1;
            let candidates: Vec<_> =
                pairs.iter().copied().filter(|&pair| outer.is_none_or(|outer| inside(pair, outer))).collect();
            candidates.iter().copied().filter(|&pair| !candidates.iter().any(|&other| inside(pair, other))).collect()
        };
        let kind = |(i, j): (usize, usize)| problem.kind(i, j).expect("only pairs that can form");
        let mut product: f64 = within(None).iter().map(|&(i, j)| problem.exterior_helix(kind((i, j)), i, j)).product();
        for &(i, j) in pairs {
            let outer = kind((i, j));
            product *= match within(Some((i, j)))[..] {
                [] => energies.hairpin(outer, &problem.sequence[i..=j]),
                [(k, l)] => {
                    let (inner, five, three) = (kind((k, l)), k - i - 1, j - 1 - l);
                    if five + three > LONGEST_LOOP {
                        0.0
                    } else if five < 2 && three < 2 {
                        problem.small_loop(outer, i, j, inner, five, three)
                    } else {
                        let sides = energies.sides[five][LONGEST_LOOP - three];
                        if five < 2 || three < 2 {
                            sides * energies.helix_end[outer] * energies.helix_end[inner]
                        } else {
                            sides * problem.outer_end(outer, i, j) * problem.inner_end(inner, k, l)
                        }
                    }
                }
                ref inner => {
                    let helices: f64 =
                        inner.iter().map(|&(k, l)| problem.multiloop_helix(kind((k, l)), k, l)).product();
                    helices * problem.multiloop_closing(outer, i, j)
                }
            };
        }
        product
    }

    fn enumerated(sequence: &[u8]) -> PairMap {
        let problem = Problem::new(sequence, 0.0);
        let mut sums = Vec::new();
        intervals(&problem, vec![(0, sequence.len())], &mut Vec::new(), &mut sums);
        let total: f64 = sums.iter().map(|(weight, _)| weight).sum();
        let mut map = PairMap::new(sequence.len());
        for (weight, pairs) in sums {
            for (i, j) in pairs {
                map.row_mut(j)[i] += (weight / total) as f32;
            }
        }
        map
    }

    fn letters(longest: usize) -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(prop::sample::select(b"ACGUGCGCN".to_vec()), 0..longest)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

        #[test]
        fn probabilities_are_those_of_all_structures(sequence in letters(19)) {
            let computed = pair_probabilities(&sequence);
            if !sequence.is_empty() {
                let expected = enumerated(&sequence);
                for j in 0..sequence.len() {
                    for i in 0..j {
                        prop_assert!((computed.get(i, j) - expected.get(i, j)).abs() < 1e-5, "{i} {j}");
                    }
                }
            }
        }

        #[test]
        fn no_base_pairs_more_than_once(sequence in letters(400)) {
            let map = pair_probabilities(&sequence);
            for i in 0..sequence.len() {
                let sum: f32 = (0..sequence.len()).map(|j| map.get(i, j)).sum();
                prop_assert!((0.0..=1.0 + 1e-4).contains(&sum), "{i}: {sum}");
            }
        }
    }

    #[test]
    fn multiloops_count() {
        // Three short helices around a loop; the closing pair only forms with a multiloop.
        let sequence = b"GGGCGCAAAGCGCGCAAAGCGCCC";
        let (computed, expected) = (pair_probabilities(sequence), enumerated(sequence));
        for j in 0..sequence.len() {
            for i in 0..j {
                assert!((computed.get(i, j) - expected.get(i, j)).abs() < 1e-5, "{i} {j}");
            }
        }
        assert!(computed.get(0, 23) > 0.0);
    }

    #[test]
    fn the_strongest_helix_that_there_is_does_not_overflow() {
        let half = LONGEST_SPAN / 2;
        let sequence: Vec<u8> = [vec![b'G'; half + 300], vec![b'C'; half + 300]].concat();
        let map = pair_probabilities(&sequence);
        let sum: f32 = (0..sequence.len()).map(|j| map.row(j).iter().sum::<f32>()).sum();
        assert!(sum.is_finite() && sum > half as f32 - 10.0, "{sum}");
    }
}
