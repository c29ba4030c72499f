//! The partition function of all nested structures (McCaskill, Biopolymers 29:1105, 1990) under a parameter set.
//!
//! Inside sums run from short spans to long ones; the probabilities are their derivatives, computed in reverse. Pairs may
//! span up to [`LONGEST_SPAN`] bases, so that time and memory grow linearly with the sequence beyond that. Loops with
//! tables of their own are looked up one by one. All others are products of what their two pairs and what their two sides
//! contribute, so that they are summed along contiguous rows; a multiloop's last helix is summed over one row and one
//! column.

use multiversion::multiversion;

use super::energies::{LONGEST_LOOP, SHORTEST_HAIRPIN, THERMAL_ENERGY, turned};
use super::loops::Bases;
use super::parameters::*;
use crate::structure::PairMap;

/// Most bases from the first to the last of a pair, both counted.
pub const LONGEST_SPAN: usize = 1000;

/// Sums beyond this are too close to the largest number; the scale per base is raised and the computation repeated.
const LARGEST: f64 = 1e280;

/// Sums below this count as zero: dividing by them could overflow.
const SMALLEST: f64 = 1e-280;

/// Probability of every pair {i < j} of a sequence of ACGUN at 37 °C by Turner 2004.
pub fn pair_probabilities(sequence: &[u8]) -> PairMap {
    Factors::turner2004().ensemble(sequence, None).probabilities()
}

/// A parameter set as Boltzmann factors.
#[derive(Clone, Debug)]
pub struct Factors {
    /// Of each parameter.
    of: Vec<f64>,
    /// Of a bulge of so many bases.
    bulge: [f64; LENGTHS],
    /// Of an interior loop with one base on one side and so many, at least 3, on the other.
    one_by: [f64; LENGTHS],
    /// Of the other interior loops that have no table of their own, [5' side][3' side] …
    sides: Box<[[f64; LENGTHS]; LENGTHS]>,
    /// … and the same with the 3' side descending.
    sides_descending: Box<[[f64; LENGTHS]; LENGTHS]>,
}

/// Numbers of a table by the lengths of loops.
const LENGTHS: usize = LONGEST_LOOP + 1;

impl Factors {
    /// Those of a parameter set.
    pub fn new(parameters: &EnergyParameters) -> Self {
        let of: Vec<f64> = parameters.values().iter().map(|energy| (-energy / THERMAL_ENERGY).exp()).collect();
        let side = |five: usize, three: usize| {
            let (shorter, longer) = (five.min(three), five.max(three));
            let unpaired = five + three;
            if unpaired > LONGEST_LOOP || shorter == 0 || longer < 3 {
                return 0.0;
            }
            let small = if longer < 5 { of[INTERIOR_SIDES.place([shorter, longer])] } else { 1.0 };
            small * of[INTERIOR.place([unpaired])] * of[ASYMMETRY.place([longer - shorter])]
        };
        // Those that are looked up one by one are left out.
        let wide = |five: usize, three: usize| match (five.min(three), five.max(three)) {
            (0 | 1, _) | (2, 2 | 3) => 0.0,
            _ => side(five, three),
        };
        Self {
            bulge: std::array::from_fn(|n| if n < 2 { 0.0 } else { of[BULGE.place([n])] }),
            one_by: std::array::from_fn(|n| side(1, n)),
            sides: Box::new(std::array::from_fn(|five| std::array::from_fn(|three| wide(five, three)))),
            sides_descending: Box::new(std::array::from_fn(|five| {
                std::array::from_fn(|place| wide(five, LONGEST_LOOP - place))
            })),
            of,
        }
    }

    /// Those of Turner 2004.
    pub fn turner2004() -> &'static Self {
        static FACTORS: std::sync::LazyLock<Factors> =
            std::sync::LazyLock::new(|| Factors::new(EnergyParameters::turner2004()));
        &FACTORS
    }

    /// Those of the set that the fold model folds with.
    pub fn trained() -> &'static Self {
        static FACTORS: std::sync::LazyLock<Factors> =
            std::sync::LazyLock::new(|| Factors::new(EnergyParameters::trained()));
        &FACTORS
    }

    /// All nested structures of a sequence of ACGUN. With `bonuses`, each pair's weight is multiplied by the exponential of
    /// its number.
    ///
    /// # Panics
    /// Where the bonuses are for another length.
    pub fn ensemble(&self, sequence: &[u8], bonuses: Option<&PairMap>) -> Ensemble {
        assert!(bonuses.is_none_or(|bonuses| bonuses.length() == sequence.len()), "bonuses for another sequence");
        let strong = sequence.iter().filter(|&&letter| letter == b'G' || letter == b'C').count();
        // About the free energy per base of RNAs of this composition, in units of the thermal energy.
        let mut scale = (1.2 * strong as f64 / sequence.len().max(1) as f64 - 0.1).max(0.1);
        let factors = bonuses.map(|bonuses| {
            let mut factors = bonuses.clone();
            factors.values_mut().iter_mut().for_each(|bonus| *bonus = bonus.exp());
            factors
        });
        loop {
            let problem = Problem::new(self, sequence, factors.as_ref(), scale);
            if let Some(inside) = inside(&problem) {
                let exterior = Exterior::new(&problem, &inside);
                let derivatives = outside(&problem, &inside, &exterior);
                let band = problem.band;
                return Ensemble { length: sequence.len(), band, scale, paired: inside.paired, derivatives, exterior };
            }
            scale += 0.5;
        }
    }
}

/// The sums over all structures of a sequence.
#[derive(Clone, Debug)]
pub struct Ensemble {
    length: usize,
    band: usize,
    scale: f64,
    /// Over the structures between a pair's bases, (i, j) at row i and place j - i.
    paired: Vec<f64>,
    /// How the logarithm of the whole sum changes with each of those.
    derivatives: Vec<f64>,
    exterior: Exterior,
}

impl Ensemble {
    /// The natural logarithm of the whole sum: the free energy of the ensemble over minus the thermal energy.
    pub fn logarithm(&self) -> f64 {
        self.exterior.suffix[0]
    }

    /// The free energy of the ensemble, kcal/mol.
    pub fn free_energy(&self) -> f64 {
        -THERMAL_ENERGY * self.logarithm()
    }

    /// The scale of the sums.
    pub(super) fn scale(&self) -> f64 {
        self.scale
    }

    /// The sum over the structures between the bases of a pair, scaled.
    pub(super) fn paired(&self, i: usize, j: usize) -> f64 {
        if j - i < self.band { self.paired[i * self.band + j - i] } else { 0.0 }
    }

    /// How the logarithm of the whole sum changes with it.
    pub(super) fn derivative(&self, i: usize, j: usize) -> f64 {
        if j - i < self.band { self.derivatives[i * self.band + j - i] } else { 0.0 }
    }

    /// Probability that a pair lies in no other, over the factor of its helix.
    pub(super) fn outermost(&self, i: usize, j: usize) -> f64 {
        self.paired(i, j) * self.exterior.around(i, j, self.scale)
    }

    /// How many bases are expected to be unpaired outside all pairs.
    pub(super) fn exterior_unpaired(&self, factors: &Factors) -> f64 {
        let Exterior { prefix, suffix } = &self.exterior;
        let factor = factors.of[EXTERIOR.place([1])];
        let total = suffix[0];
        prefix.iter().zip(&suffix[1..]).map(|(before, after)| (before + after - total).exp() * factor).sum()
    }

    /// Probability of the pair i < j.
    pub fn probability(&self, i: usize, j: usize) -> f64 {
        if j - i >= self.band {
            return 0.0;
        }
        let place = i * self.band + j - i;
        (self.paired[place] * self.derivatives[place]).min(1.0)
    }

    /// Probabilities of all pairs.
    pub fn probabilities(&self) -> PairMap {
        let mut map = PairMap::new(self.length);
        for j in 0..self.length {
            let first = (j + 1).saturating_sub(self.band);
            let row = map.row_mut(j);
            for (i, value) in row.iter_mut().enumerate().skip(first) {
                *value = self.probability(i, j) as f32;
            }
        }
        map
    }
}

/// A sequence and what all sums share.
pub(super) struct Problem<'a> {
    factors: &'a Factors,
    bases: Bases<'a>,
    /// Factor of each pair, if any.
    pairs: Option<&'a PairMap>,
    /// Length of the rows and columns kept: the longest span.
    band: usize,
    /// Natural logarithm of what each base divides a sum by.
    scale: f64,
    /// Factor of so many bases.
    scales: Vec<f64>,
    /// [`Factors::bulge`], [`Factors::one_by`] and [`Factors::sides`] with the scale of the loop and of the outer pair.
    bulge: [f64; LENGTHS],
    bulge_descending: [f64; LENGTHS],
    one_by: [f64; LENGTHS],
    one_by_descending: [f64; LENGTHS],
    sides: Box<[[f64; LENGTHS]; LENGTHS]>,
    sides_descending: Box<[[f64; LENGTHS]; LENGTHS]>,
    /// Of an unpaired base in a multiloop, scaled.
    unpaired: f64,
}

impl<'a> Problem<'a> {
    pub(super) fn new(factors: &'a Factors, sequence: &'a [u8], pairs: Option<&'a PairMap>, scale: f64) -> Self {
        let band = sequence.len().min(LONGEST_SPAN);
        let scales: Vec<f64> =
            (0..=band.max(2 * LONGEST_LOOP) + 2).map(|bases| (-scale * bases as f64).exp()).collect();
        let bulge: [f64; LENGTHS] = std::array::from_fn(|n| factors.bulge[n] * scales[n + 2]);
        let one_by: [f64; LENGTHS] = std::array::from_fn(|n| factors.one_by[n] * scales[n + 3]);
        let descending = |values: &[f64; LENGTHS]| std::array::from_fn(|place| values[LONGEST_LOOP - place]);
        let mut sides = factors.sides.clone();
        let mut sides_descending = factors.sides_descending.clone();
        for (five, (rising, falling)) in sides.iter_mut().zip(sides_descending.iter_mut()).enumerate() {
            for three in 0..LENGTHS {
                rising[three] *= scales[five + three + 2];
                falling[LONGEST_LOOP - three] *= scales[five + three + 2];
            }
        }
        Self {
            bases: Bases::new(sequence),
            pairs,
            band,
            scale,
            bulge_descending: descending(&bulge),
            bulge,
            one_by_descending: descending(&one_by),
            one_by,
            sides,
            sides_descending,
            unpaired: scales[1] * factors.of[MULTILOOP.place([2])],
            scales,
            factors,
        }
    }

    pub(super) fn bases(&self) -> &Bases<'a> {
        &self.bases
    }

    fn length(&self) -> usize {
        self.bases.length()
    }

    fn kind(&self, i: usize, j: usize) -> Option<usize> {
        if j < i + SHORTEST_HAIRPIN + 1 { None } else { self.bases.kind(i, j) }
    }

    /// What its bonus multiplies a pair by.
    pub(super) fn pair(&self, i: usize, j: usize) -> f64 {
        self.pairs.map_or(1.0, |pairs| f64::from(pairs.row(j)[i]))
    }

    pub(super) fn hairpin(&self, kind: usize, i: usize, j: usize) -> f64 {
        let mut factor = self.scales[j - i + 1];
        let beyond = self.bases.hairpin(kind, i, j, |place| factor *= self.factors.of[place]);
        if beyond > 0.0 { factor * (-beyond / THERMAL_ENERGY).exp() } else { factor }
    }

    /// The loop between two pairs, of at most [`LONGEST_LOOP`] unpaired bases.
    #[inline(always)]
    pub(super) fn interior(&self, outer: (usize, usize, usize), inner: (usize, usize, usize)) -> f64 {
        let mut factor = self.scales[inner.1 - outer.1 + outer.2 - inner.2];
        self.bases.interior(outer, inner, |place| factor *= self.factors.of[place]);
        factor
    }

    /// What a pair contributes to bulges, to loops of 1xn and to the other interior loops: as the outer pair.
    fn outer_ends(&self, kind: usize, i: usize, j: usize) -> [f64; 3] {
        self.ends(kind, self.bases.code(i + 1), self.bases.code(j - 1))
    }

    /// As the inner pair. Zero at the ends of the sequence, where no pair can be inner.
    fn inner_ends(&self, kind: usize, i: usize, j: usize) -> [f64; 3] {
        match i > 0 && j + 1 < self.length() {
            true => self.ends(turned(kind), self.bases.code(j + 1), self.bases.code(i - 1)),
            false => [0.0; 3],
        }
    }

    fn ends(&self, kind: usize, after: usize, before: usize) -> [f64; 3] {
        let place = [kind, after, before];
        [HELIX_END.place([kind]), INTERIOR_MISMATCH_1XN.place(place), INTERIOR_MISMATCH.place(place)]
            .map(|place| self.factors.of[place])
    }

    /// Factor of the helix (i, j) in a multiloop.
    fn multiloop_helix(&self, kind: usize, i: usize, j: usize) -> f64 {
        let mut factor = 1.0;
        self.bases.multiloop_helix(kind, i, j, |place| factor *= self.factors.of[place]);
        factor
    }

    /// Factor of the multiloop that (i, j) closes, its two bases' scale included.
    fn multiloop_closing(&self, kind: usize, i: usize, j: usize) -> f64 {
        let mut factor = self.scales[2];
        self.bases.multiloop(kind, i, j, |place| factor *= self.factors.of[place]);
        factor
    }

    /// Factor of the helix (i, j) outside all pairs.
    pub(super) fn exterior_helix(&self, kind: usize, i: usize, j: usize) -> f64 {
        let mut factor = 1.0;
        self.bases.exterior_helix(kind, i, j, |place| factor *= self.factors.of[place]);
        factor
    }
}

/// The loops that are looked up one by one: unpaired bases on the 5' and on the 3' side.
const SMALL_LOOPS: [(usize, usize); 9] = [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2), (2, 1), (2, 2), (2, 3), (3, 2)];

/// Rows of pairs that another may still read.
const ROWS: usize = LONGEST_LOOP + 2;

/// What the pairs of the last [`ROWS`] rows contribute to bulges, to loops of 1xn and to other interior loops.
struct Ends {
    band: usize,
    bulge: Vec<f64>,
    one_by: Vec<f64>,
    wide: Vec<f64>,
}

impl Ends {
    fn new(band: usize) -> Self {
        let zeros = || vec![0f64; ROWS * band];
        Self { band, bulge: zeros(), one_by: zeros(), wide: zeros() }
    }

    fn clear(&mut self, i: usize) {
        let start = i % ROWS * self.band;
        for rows in [&mut self.bulge, &mut self.one_by, &mut self.wide] {
            rows[start..start + self.band].fill(0.0);
        }
    }

    fn keep(&mut self, i: usize, j: usize, value: f64, [bulge, one_by, wide]: [f64; 3]) {
        let place = i % ROWS * self.band + j - i;
        self.bulge[place] = value * bulge;
        self.one_by[place] = value * one_by;
        self.wide[place] = value * wide;
    }

    /// Where row i starts.
    fn row(&self, i: usize) -> usize {
        i % ROWS * self.band
    }
}

/// Sums over the structures within i..=j, at row i and place j - i (`row`), or at column j and place i - j + band - 1
/// (`column`), each divided by the scale of its bases.
struct Inside {
    /// (i, j) paired (rows).
    paired: Vec<f64>,
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
    let mut sums = Inside { paired: zeros(), multiloop: zeros(), one_helix: zeros() };
    let mut ends = Ends::new(band);
    // Sums over at least two helices of a multiloop, for this row and the one after it.
    let (mut two_helices, mut two_helices_after) = (vec![0f64; length], vec![0f64; length]);
    // Sums over one helix with unpaired bases on both sides, of the row after this one.
    let mut any_place = vec![0f64; length];
    let unpaired = problem.unpaired;
    for i in (0..length).rev() {
        std::mem::swap(&mut two_helices, &mut two_helices_after);
        ends.clear(i);
        let end = (i + band).min(length);
        let mut one_helix = 0.0;
        for j in i..end {
            if let Some(kind) = problem.kind(i, j) {
                let mut paired = problem.hairpin(kind, i, j);
                paired += interior_loops(problem, &sums, &ends, kind, i, j);
                paired += two_helices_after[j - 1] * problem.multiloop_closing(kind, i, j);
                paired *= problem.pair(i, j);
                if paired > LARGEST {
                    return None;
                }
                sums.paired[i * band + j - i] = paired;
                ends.keep(i, j, paired, problem.inner_ends(kind, i, j));
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

/// Sum over the stacks, bulges and interior loops that (i, j) closes.
#[inline(always)]
fn interior_loops(problem: &Problem, sums: &Inside, ends: &Ends, kind: usize, i: usize, j: usize) -> f64 {
    let band = problem.band;
    let inner_span = SHORTEST_HAIRPIN + 2;
    let mut small = 0.0;
    for (five, three) in SMALL_LOOPS {
        let (k, l) = (i + 1 + five, j.wrapping_sub(1 + three));
        if j < k + three + inner_span {
            continue;
        }
        let paired = sums.paired[k * band + l - k];
        if paired > 0.0
            && let Some(inner) = problem.kind(k, l)
        {
            small += paired * problem.interior((kind, i, j), (inner, k, l));
        }
    }
    let (mut bulges, mut one_by, mut wide) = (0.0, 0.0, 0.0);
    for five in 0..=LONGEST_LOOP {
        let k = i + 1 + five;
        if j < k + inner_span {
            break;
        }
        let longest = (LONGEST_LOOP - five).min(j - k - inner_span);
        // The place of a 3' side of zero.
        let row = ends.row(k) + j - 1 - k;
        let part = |values: &[f64], factors: &[f64; LENGTHS]| {
            dot(&values[row - longest..=row], &factors[LONGEST_LOOP - longest..])
        };
        match five {
            0 => bulges += part(&ends.bulge, &problem.bulge_descending),
            1 => one_by += part(&ends.one_by, &problem.one_by_descending),
            _ => wide += part(&ends.wide, &problem.sides_descending[five]),
        }
        if five > 1 {
            bulges += ends.bulge[row] * problem.bulge[five];
        }
        if five > 2 && longest > 0 {
            one_by += ends.one_by[row - 1] * problem.one_by[five];
        }
    }
    let outer = problem.outer_ends(kind, i, j);
    small + bulges * outer[0] + one_by * outer[1] + wide * outer[2]
}

/// Logarithms of the sums over the structures of a prefix and of a suffix.
#[derive(Clone, Debug)]
struct Exterior {
    /// Of the bases before each position.
    prefix: Vec<f64>,
    /// Of the bases from each position on.
    suffix: Vec<f64>,
}

impl Exterior {
    fn new(problem: &Problem, inside: &Inside) -> Self {
        let (length, band) = (problem.length(), problem.band);
        let unpaired = problem.factors.of[EXTERIOR.place([1])].ln();
        // Logarithm of the sum with (i, j) paired outside all other pairs.
        let helix = |i: usize, j: usize| {
            let paired = inside.paired[i * band + j - i];
            if paired <= SMALLEST {
                return None;
            }
            let factor = problem.exterior_helix(problem.kind(i, j)?, i, j);
            Some((paired * factor).ln() + problem.scale * (j - i + 1) as f64)
        };
        // A running logarithm of a sum of exponentials.
        let add = |sum: f64, term: f64| {
            let (large, small) = if sum > term { (sum, term) } else { (term, sum) };
            large + (small - large).exp().ln_1p()
        };
        let mut prefix = vec![0f64; length + 1];
        for j in 0..length {
            let mut sum = prefix[j] + unpaired;
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
            let mut sum = suffix[i + 1] + unpaired;
            for j in i + 1..(i + band).min(length) {
                if let Some(term) = helix(i, j) {
                    sum = add(sum, term + suffix[j + 1]);
                }
            }
            suffix[i] = sum;
        }
        Self { prefix, suffix }
    }

    /// The factor of (i, j) being paired outside all other pairs, beside the sum between them and that of its helix.
    fn around(&self, i: usize, j: usize, scale: f64) -> f64 {
        (self.prefix[i] + self.suffix[j + 1] - self.suffix[0] + scale * (j - i + 1) as f64).exp()
    }
}

/// How the logarithm of the whole sum changes with each pair's sum, (i, j) at row i and place j - i.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn outside(problem: &Problem, inside: &Inside, exterior: &Exterior) -> Vec<f64> {
    let (length, band) = (problem.length(), problem.band);
    let unpaired = problem.unpaired;
    let mut derivatives = vec![0f64; length * band];
    let mut one_helix = vec![0f64; length * band];
    let mut any_place = vec![0f64; length];
    let mut multiloop = vec![0f64; length];
    let (mut two_helices, mut two_helices_after) = (vec![0f64; length], vec![0f64; length]);
    let mut ends = Ends::new(band);
    for i in 0..length {
        std::mem::swap(&mut two_helices, &mut two_helices_after);
        two_helices_after.fill(0.0);
        let end = (i + band).min(length);
        multiloop[i..end].fill(0.0);
        ends.clear(i);
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
            let place = i * band + j - i;
            if inside.paired[place] <= SMALLEST {
                continue;
            }
            let Some(kind) = problem.kind(i, j) else { continue };
            let derivative = exterior.around(i, j, problem.scale) * problem.exterior_helix(kind, i, j)
                + helix * problem.multiloop_helix(kind, i, j)
                + enclosing_loops(problem, &derivatives, &ends, kind, i, j);
            derivatives[place] = derivative;
            // What lies inside is multiplied by the pair's bonus too.
            let within = derivative * problem.pair(i, j);
            ends.keep(i, j, within, problem.outer_ends(kind, i, j));
            two_helices_after[j - 1] = within * problem.multiloop_closing(kind, i, j);
        }
    }
    derivatives
}

/// Derivative of (k, l) through the pairs that close a stack, a bulge or an interior loop around it.
#[inline(always)]
fn enclosing_loops(problem: &Problem, derivatives: &[f64], ends: &Ends, kind: usize, k: usize, l: usize) -> f64 {
    let band = problem.band;
    let mut small = 0.0;
    for (five, three) in SMALL_LOOPS {
        let (Some(i), j) = (k.checked_sub(1 + five), l + 1 + three) else { continue };
        if j >= problem.length() || j - i >= band {
            continue;
        }
        let derivative = derivatives[i * band + j - i];
        if derivative > 0.0
            && let Some(outer) = problem.kind(i, j)
        {
            small += derivative * problem.pair(i, j) * problem.interior((outer, i, j), (kind, k, l));
        }
    }
    let (mut bulges, mut one_by, mut wide) = (0.0, 0.0, 0.0);
    for five in 0..=LONGEST_LOOP {
        let Some(i) = k.checked_sub(1 + five) else { break };
        let end = problem.length().min(i + band);
        if l + 1 >= end {
            break;
        }
        let longest = (LONGEST_LOOP - five).min(end - l - 2);
        let row = ends.row(i) + l + 1 - i;
        let part = |values: &[f64], factors: &[f64; LENGTHS]| dot(&values[row..=row + longest], &factors[..=longest]);
        match five {
            0 => bulges += part(&ends.bulge, &problem.bulge),
            1 => one_by += part(&ends.one_by, &problem.one_by),
            _ => wide += part(&ends.wide, &problem.sides[five]),
        }
        if five > 1 {
            bulges += ends.bulge[row] * problem.bulge[five];
        }
        if five > 2 && longest > 0 {
            one_by += ends.one_by[row + 1] * problem.one_by[five];
        }
    }
    let inner = problem.inner_ends(kind, k, l);
    small + bulges * inner[0] + one_by * inner[1] + wide * inner[2]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
        let ensemble = Factors::new(parameters).ensemble(sequence, bonuses);
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
            let map = pair_probabilities(&sequence);
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
        let half = LONGEST_SPAN / 2;
        let sequence: Vec<u8> = [vec![b'G'; half + 300], vec![b'C'; half + 300]].concat();
        let map = pair_probabilities(&sequence);
        let sum: f32 = (0..sequence.len()).map(|j| map.row(j).iter().sum::<f32>()).sum();
        assert!(sum.is_finite() && sum > half as f32 - 10.0, "{sum}");
    }
}
