//! A sequence, its conditions and the scaled factors that all sums share.

use super::super::conditions::Conditions;
use super::super::energies::{LONGEST_LOOP, SHORTEST_HAIRPIN, pair_kind, turned};
use super::super::factors::{Factors, LENGTHS, NO_BASE};
use super::super::loops::Bases;
use super::super::parameters::*;
use crate::structure::PairMap;

/// A base j that base i may pair with, and which pair they make.
pub type Partner = (usize, usize);

/// Stands for no pair.
const NO_PAIR: u8 = 6;

/// Which pair two bases make, by their codes.
const KINDS: [[u8; 5]; 5] = {
    let mut kinds = [[NO_PAIR; 5]; 5];
    let (mut five, mut three) = (0, 0);
    while five < 5 {
        while three < 5 {
            if let Some(kind) = pair_kind(five as u8, three as u8) {
                kinds[five][three] = kind as u8;
            }
            three += 1;
        }
        (five, three) = (five + 1, 0);
    }
    kinds
};

/// A sequence and what all sums share.
pub struct Problem<'a> {
    pub factors: &'a Factors,
    conditions: &'a Conditions,
    bases: Bases<'a>,
    /// The codes of the bases, with [`NO_BASE`] before the first and after the last.
    codes: Vec<u8>,
    /// Factor of each pair, if any.
    pairs: Option<&'a PairMap>,
    /// What each base multiplies two stacked pairs by, if anything.
    stacking: Option<Vec<f64>>,
    /// Places of a row: the longest span.
    pub band: usize,
    /// Natural logarithm of what each base divides a sum by.
    pub scale: f64,
    /// Factor of so many bases.
    scales: Vec<f64>,
    /// Of a hairpin loop of so many bases, with the scale of the loop and of its pair.
    hairpins: Vec<f64>,
    /// [`Factors::bulge`] and so on with the scale of the loop and of the outer pair.
    pub bulge: [f64; LENGTHS],
    pub one_by: [f64; LENGTHS],
    pub interior: [f64; LENGTHS],
    /// What [`Factors::sides`] add to loops of these sides: 5' side, 3' side, factor.
    pub sides: [(usize, usize, f64); 6],
    /// Of an unpaired base in a multiloop, and outside all pairs, scaled.
    pub unpaired: f64,
    pub exterior_unpaired: f64,
}

impl<'a> Problem<'a> {
    pub fn new(
        factors: &'a Factors,
        sequence: &'a [u8],
        conditions: &'a Conditions,
        pairs: Option<&'a PairMap>,
        scale: f64,
    ) -> Self {
        let band = sequence.len().min(conditions.max_span).max(1);
        let scales: Vec<f64> =
            (0..=band.max(2 * LONGEST_LOOP) + 2).map(|bases| (-scale * bases as f64).exp()).collect();
        let of_hairpin = |unpaired: usize| match unpaired {
            0..SHORTEST_HAIRPIN => 0.0,
            _ => {
                let length = factors.of[HAIRPIN.place([unpaired.min(LONGEST_LOOP)])];
                length * factors.beyond(unpaired) * scales[unpaired + 2]
            }
        };
        let scaled = |values: &[f64; LENGTHS]| std::array::from_fn(|n| values[n] * scales[n + 2]);
        let interior: [f64; LENGTHS] = scaled(&factors.interior);
        let codes = sequence.iter().map(|&letter| super::super::energies::base_code(letter));
        Self {
            bases: Bases::new(sequence),
            codes: std::iter::once(NO_BASE).chain(codes).chain([NO_BASE]).collect(),
            stacking: conditions
                .stacking
                .as_ref()
                .map(|stacking| stacking.iter().map(|energy| (-energy / factors.thermal_energy).exp()).collect()),
            conditions,
            pairs,
            band,
            scale,
            hairpins: (0..band).map(of_hairpin).collect(),
            bulge: scaled(&factors.bulge),
            one_by: scaled(&factors.one_by),
            sides: factors.sides.map(|(five, three, factor)| {
                let plain = interior[five + three] * factors.asymmetry[five.abs_diff(three)];
                (five, three, plain * (factor - 1.0))
            }),
            interior,
            unpaired: scales[1] * factors.of[MULTILOOP.place([2])],
            exterior_unpaired: scales[1] * factors.of[EXTERIOR.place([1])],
            scales,
            factors,
        }
    }

    pub fn bases(&self) -> &Bases<'a> {
        &self.bases
    }

    pub fn length(&self) -> usize {
        self.codes.len() - 2
    }

    /// Places of the row of base i: how many bases, itself included, its pairs may reach.
    pub fn spans(&self, i: usize) -> usize {
        self.band.min(self.length() - i)
    }

    /// The code of the base before `position`, that of `position` and that of the base after it.
    #[inline(always)]
    fn around(&self, position: usize) -> [u8; 3] {
        [self.codes[position], self.codes[position + 1], self.codes[position + 2]]
    }

    /// Which pair i < j make; a meaningless number where they make none.
    #[inline(always)]
    pub fn kind(&self, i: usize, j: usize) -> usize {
        usize::from(KINDS[usize::from(self.codes[i + 1])][usize::from(self.codes[j + 1])])
    }

    /// The bases that base i may pair with, ascending; `list` is used again.
    pub fn partners(&self, i: usize, list: &mut Vec<Partner>) {
        list.clear();
        let first = i + SHORTEST_HAIRPIN + 1;
        let kinds = &KINDS[usize::from(self.codes[i + 1])];
        let last = i + self.spans(i);
        if first >= last {
            return;
        }
        list.resize(last - first, (0, 0));
        let mut count = 0;
        for (j, code) in (first..last).zip(&self.codes[first + 1..]) {
            let kind = kinds[usize::from(*code)];
            list[count] = (j, usize::from(kind));
            count += usize::from(kind != NO_PAIR);
        }
        list.truncate(count);
        if self.conditions.restrict_pairs() {
            list.retain(|&(j, _)| self.conditions.allow(i, j));
        }
    }

    /// What its bonus multiplies a pair by.
    #[inline(always)]
    pub fn pair(&self, i: usize, j: usize) -> f64 {
        self.pairs.map_or(1.0, |pairs| f64::from(pairs.get(i, j)))
    }

    #[inline(always)]
    pub fn hairpin(&self, kind: usize, i: usize, j: usize) -> f64 {
        let unpaired = j - i - 1;
        if matches!(unpaired, 3 | 4 | 6)
            && let Some(special) = self.bases.special_hairpin(i, j)
        {
            return self.factors.of[SPECIAL_HAIRPIN.place([special])] * self.scales[unpaired + 2];
        }
        let end = match unpaired {
            SHORTEST_HAIRPIN => HELIX_END.place([kind]),
            _ => HAIRPIN_MISMATCH.place([kind, usize::from(self.codes[i + 2]), usize::from(self.codes[j])]),
        };
        self.hairpins[unpaired] * self.factors.of[end]
    }

    /// The loop between two pairs, of at most [`LONGEST_LOOP`] unpaired bases.
    #[inline(always)]
    pub fn interior(&self, outer: (usize, usize, usize), inner: (usize, usize, usize)) -> f64 {
        let mut factor = self.scales[inner.1 - outer.1 + outer.2 - inner.2];
        if let Some(stacking) = &self.stacking
            && inner.1 - outer.1 + outer.2 - inner.2 == 2
        {
            factor *= stacking[outer.1] * stacking[inner.1] * stacking[inner.2] * stacking[outer.2];
        }
        self.bases.interior(outer, inner, |place| factor *= self.factors.of[place]);
        factor
    }

    /// What a pair contributes to bulges, to loops of 1xn and to the other interior loops: as the outer pair.
    #[inline(always)]
    pub fn outer_ends(&self, kind: usize, i: usize, j: usize) -> [f64; 3] {
        let ([_, _, after], [before, _, _]) = (self.around(i), self.around(j));
        self.ends(kind, after, before)
    }

    /// As the inner pair. Zero at the ends of the sequence, where no pair can be inner.
    #[inline(always)]
    pub fn inner_ends(&self, kind: usize, i: usize, j: usize) -> [f64; 3] {
        let ([before, _, _], [_, _, after]) = (self.around(i), self.around(j));
        self.ends(turned(kind), after, before)
    }

    #[inline(always)]
    fn ends(&self, kind: usize, after: u8, before: u8) -> [f64; 3] {
        let [bulge, one_by, wide] = &self.factors.ends;
        [bulge.get(kind, after, before), one_by.get(kind, after, before), wide.get(kind, after, before)]
    }

    /// Factor of the helix (i, j) in a multiloop.
    #[inline(always)]
    pub fn multiloop_helix(&self, kind: usize, i: usize, j: usize) -> f64 {
        self.factors.multiloop_helix.get(kind, self.around(i)[0], self.around(j)[2])
    }

    /// Factor of the multiloop that (i, j) closes, its two bases' scale included.
    #[inline(always)]
    pub fn multiloop_closing(&self, kind: usize, i: usize, j: usize) -> f64 {
        self.scales[2] * self.factors.multiloop.get(kind, self.around(i)[2], self.around(j)[0])
    }

    /// Factor of the helix (i, j) outside all pairs.
    #[inline(always)]
    pub fn exterior_helix(&self, kind: usize, i: usize, j: usize) -> f64 {
        self.factors.exterior_helix.get(kind, self.around(i)[0], self.around(j)[2])
    }
}
