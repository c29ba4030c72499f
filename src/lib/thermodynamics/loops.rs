//! Which parameters a loop's free energy is the sum of.
//!
//! One description serves the free energy of a structure, the Boltzmann factors of a partition function and the counts
//! that training compares.

use super::energies::{LONGEST_LOOP, base_code, pair_kind, turned};
use super::parameters::*;

/// No base: beyond the ends of the sequence.
const NOTHING: usize = usize::MAX;

/// The letters of a sequence as numbers.
#[derive(Clone, Debug)]
pub struct Bases<'a> {
    letters: &'a [u8],
    codes: Vec<u8>,
}

/// Called with the place of each parameter that a loop is made of.
pub trait Visit: FnMut(usize) {}
impl<F: FnMut(usize)> Visit for F {}

impl<'a> Bases<'a> {
    /// Those of a sequence of the letters ACGUN.
    pub fn new(letters: &'a [u8]) -> Self {
        Self { letters, codes: letters.iter().map(|&letter| base_code(letter)).collect() }
    }

    /// Number of bases.
    pub fn length(&self) -> usize {
        self.letters.len()
    }

    /// The base at `position`, which is in the sequence.
    #[inline(always)]
    pub fn code(&self, position: usize) -> usize {
        usize::from(self.codes[position])
    }

    /// The base at `position`, [`NOTHING`] beyond the ends.
    #[inline(always)]
    fn base(&self, position: usize) -> usize {
        self.codes.get(position).map_or(NOTHING, |&base| usize::from(base))
    }

    /// Which pair the bases i < j make.
    #[inline(always)]
    pub fn kind(&self, i: usize, j: usize) -> Option<usize> {
        pair_kind(self.codes[i], self.codes[j])
    }

    /// The number of the hairpin loop that (i, j) closes among those that are listed one by one.
    pub fn special_hairpin(&self, i: usize, j: usize) -> Option<usize> {
        let letters = &self.letters[i..=j];
        match letters.len() {
            5 | 6 | 8 => SPECIAL_HAIRPINS.iter().position(|special| *special == letters),
            _ => None,
        }
    }

    /// The hairpin loop that the pair (i, j) of `kind` closes. Returns what no parameter says.
    pub fn hairpin(&self, kind: usize, i: usize, j: usize, mut visit: impl Visit) -> f64 {
        let unpaired = j - i - 1;
        if let Some(special) = self.special_hairpin(i, j) {
            visit(SPECIAL_HAIRPIN.place([special]));
            return 0.0;
        }
        visit(HAIRPIN.place([unpaired.min(LONGEST_LOOP)]));
        if unpaired == 3 {
            visit(HELIX_END.place([kind]));
        } else {
            visit(HAIRPIN_MISMATCH.place([kind, self.code(i + 1), self.code(j - 1)]));
        }
        beyond(unpaired)
    }

    /// The stack, bulge or interior loop between the pair (i, j) and the pair (k, l) inside it. Returns what no parameter
    /// says.
    #[inline]
    pub fn interior(
        &self,
        (kind, i, j): (usize, usize, usize),
        (inner, k, l): (usize, usize, usize),
        mut visit: impl Visit,
    ) -> f64 {
        let inner = turned(inner);
        let (five, three) = (k - i - 1, j - l - 1);
        let (shorter, longer) = (five.min(three), five.max(three));
        let unpaired = five + three;
        if longer == 0 {
            visit(STACK.place([kind, inner]));
            return 0.0;
        }
        if shorter == 0 {
            visit(BULGE.place([unpaired.min(LONGEST_LOOP)]));
            if unpaired == 1 {
                visit(STACK.place([kind, inner]));
                visit(BULGED_BASE.place([self.code(if five == 1 { i + 1 } else { j - 1 })]));
            } else {
                visit(HELIX_END.place([kind]));
                visit(HELIX_END.place([inner]));
            }
            return beyond(unpaired);
        }
        if longer < 5 {
            visit(INTERIOR_SIDES.place([shorter, longer]));
        }
        // The bases beside the outer pair and, read from the inner pair's 3' base, beside the inner one.
        let (after, before) = (self.code(i + 1), self.code(j - 1));
        let (inner_after, inner_before) = (self.code(l + 1), self.code(k - 1));
        match (shorter, longer) {
            (1, 1) => visit(INTERIOR_1X1.place([kind, inner, after, before])),
            (1, 2) if five == 1 => visit(INTERIOR_1X2.place([kind, inner, after, inner_after, before])),
            (1, 2) => visit(INTERIOR_1X2.place([inner, kind, inner_after, after, inner_before])),
            (2, 2) => two_by_two(kind, inner, [after, inner_before, inner_after, before], visit),
            _ => {
                let table = match (shorter, longer) {
                    (1, _) => INTERIOR_MISMATCH_1XN,
                    (2, 3) => INTERIOR_MISMATCH_2X3,
                    _ => INTERIOR_MISMATCH,
                };
                visit(INTERIOR.place([unpaired.min(LONGEST_LOOP)]));
                visit(ASYMMETRY.place([(longer - shorter).min(LONGEST_LOOP)]));
                visit(table.place([kind, after, before]));
                visit(table.place([inner, inner_after, inner_before]));
                return beyond(unpaired);
            }
        }
        0.0
    }

    /// The helix that the pair (i, j) of `kind` begins in a multiloop around it.
    pub fn multiloop_helix(&self, kind: usize, i: usize, j: usize, mut visit: impl Visit) {
        visit(MULTILOOP.place([1]));
        visit(HELIX_END.place([kind]));
        beside(&MULTILOOP_MISMATCH, kind, self.base(i.wrapping_sub(1)), self.base(j + 1), visit);
    }

    /// The multiloop that the pair (i, j) of `kind` closes, its other helices and unpaired bases left out.
    pub fn multiloop(&self, kind: usize, i: usize, j: usize, mut visit: impl Visit) {
        let kind = turned(kind);
        visit(MULTILOOP.place([0]));
        visit(MULTILOOP.place([1]));
        visit(HELIX_END.place([kind]));
        beside(&MULTILOOP_MISMATCH, kind, self.base(j - 1), self.base(i + 1), visit);
    }

    /// The helix that the pair (i, j) of `kind` begins outside all pairs.
    pub fn exterior_helix(&self, kind: usize, i: usize, j: usize, mut visit: impl Visit) {
        visit(EXTERIOR.place([0]));
        visit(HELIX_END.place([kind]));
        beside(&EXTERIOR_MISMATCH, kind, self.base(i.wrapping_sub(1)), self.base(j + 1), visit);
    }
}

/// What a loop of more than [`LONGEST_LOOP`] unpaired bases has beyond one of as many, kcal/mol, in whole hundredths as
/// ViennaRNA has it.
pub fn beyond(unpaired: usize) -> f64 {
    match unpaired > LONGEST_LOOP {
        true => (100.0 * GROWTH * (unpaired as f64 / LONGEST_LOOP as f64).ln()).trunc() / 100.0,
        false => 0.0,
    }
}

/// The bases before and after a helix.
fn beside(mismatch: &Table<3>, kind: usize, before: usize, after: usize, mut visit: impl Visit) {
    match (before, after) {
        (NOTHING, NOTHING) => {}
        (before, NOTHING) => visit(DANGLE_5.place([kind, before])),
        (NOTHING, after) => visit(DANGLE_3.place([kind, after])),
        (before, after) => visit(mismatch.place([kind, before, after])),
    }
}

/// A 2x2 loop. An unknown base counts as a mismatch of A with A would: the table has none.
fn two_by_two(kind: usize, inner: usize, [first, second, third, fourth]: [usize; 4], mut visit: impl Visit) {
    let known = |base: usize| if base < 4 { base } else { 0 };
    visit(INTERIOR_2X2.place([kind, inner, known(first), known(second), known(third), known(fourth)]));
}
