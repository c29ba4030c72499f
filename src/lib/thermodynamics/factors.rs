//! A parameter set as Boltzmann factors, laid out for the sums of a partition function.

use super::conditions::Conditions;
use super::energies::{LONGEST_LOOP, THERMAL_ENERGY, turned};
use super::loops::beyond;
use super::parameters::*;
use super::partition_function::Ensemble;
use crate::Result;
use crate::structure::PairMap;

/// Numbers of a table by the lengths of loops.
pub(super) const LENGTHS: usize = LONGEST_LOOP + 1;

/// The letters that a base may have beside a pair: the four, an unknown one, and none beyond the ends of the sequence.
const BESIDE: usize = 6;

/// The code of no base.
pub(super) const NO_BASE: u8 = 5;

/// Factors by a pair and the letters beside it: [pair][before or after its 5' base][after or before its 3' base].
#[derive(Clone, Debug)]
pub(super) struct Contexts(Vec<f64>);

impl Contexts {
    fn new(factor: impl Fn(usize, usize, usize) -> f64) -> Self {
        Self(
            (0..6 * BESIDE * BESIDE)
                .map(|at| factor(at / (BESIDE * BESIDE), at / BESIDE % BESIDE, at % BESIDE))
                .collect(),
        )
    }

    #[inline(always)]
    pub fn get(&self, kind: usize, one: u8, other: u8) -> f64 {
        self.0[(kind * BESIDE + usize::from(one)) * BESIDE + usize::from(other)]
    }
}

/// A parameter set as Boltzmann factors.
#[derive(Clone, Debug)]
pub struct Factors {
    /// Of each parameter.
    pub(super) of: Vec<f64>,
    /// What energies are divided by, kcal/mol.
    pub(super) thermal_energy: f64,
    /// Of a bulge of at least two bases.
    pub(super) bulge: [f64; LENGTHS],
    /// Of an interior loop of so many bases, one of them on one side and at least three on the other.
    pub(super) one_by: [f64; LENGTHS],
    /// Of an interior loop of so many bases …
    pub(super) interior: [f64; LENGTHS],
    /// … and of how many more one of its sides has.
    pub(super) asymmetry: [f64; LENGTHS],
    /// Of interior loops of at most four bases on either side, beside those two: 5' side, 3' side, factor.
    pub(super) sides: [(usize, usize, f64); 6],
    /// What a pair contributes to bulges, to loops of 1xn and to the other interior loops, read from within the loop:
    /// [pair][base after its 5' base][base before its 3' base]. Zero where one is missing.
    pub(super) ends: [Contexts; 3],
    /// A helix of a multiloop: [pair][base before][base after].
    pub(super) multiloop_helix: Contexts,
    /// A pair that closes a multiloop: [pair][base after its 5' base][base before its 3' base].
    pub(super) multiloop: Contexts,
    /// A helix outside all pairs: [pair][base before][base after].
    pub(super) exterior_helix: Contexts,
}

impl Factors {
    /// Those of a parameter set at its temperature.
    pub fn new(parameters: &EnergyParameters) -> Self {
        let thermal_energy = parameters.thermal_energy();
        let of: Vec<f64> = parameters.values().iter().map(|energy| (-energy / thermal_energy).exp()).collect();
        let get = |place: usize| of[place];
        let helix_end = |kind: usize| of[HELIX_END.place([kind])];
        let size = |five: usize, three: usize| of[INTERIOR_SIDES.place([five.min(three), five.max(three)])];
        let one_by = |unpaired: usize| match unpaired {
            0..4 => 0.0,
            4 | 5 => of[INTERIOR.place([unpaired])] * of[ASYMMETRY.place([unpaired - 2])] * size(1, unpaired - 1),
            _ => of[INTERIOR.place([unpaired])] * of[ASYMMETRY.place([unpaired - 2])],
        };
        let ends = |factor: &dyn Fn(usize, usize, usize) -> f64| {
            Contexts::new(|kind, after, before| if after < 5 && before < 5 { factor(kind, after, before) } else { 0.0 })
        };
        let beside = |mismatch: &Table<3>, kind: usize, before: usize, after: usize| match (before, after) {
            (5, 5) => 1.0,
            (before, 5) => get(DANGLE_5.place([kind, before])),
            (5, after) => get(DANGLE_3.place([kind, after])),
            (before, after) => get(mismatch.place([kind, before, after])),
        };
        Self {
            thermal_energy,
            bulge: std::array::from_fn(|n| if n < 2 { 0.0 } else { of[BULGE.place([n])] }),
            one_by: std::array::from_fn(one_by),
            interior: std::array::from_fn(|n| of[INTERIOR.place([n])]),
            asymmetry: std::array::from_fn(|n| of[ASYMMETRY.place([n])]),
            sides: [(2, 4), (4, 2), (3, 3), (3, 4), (4, 3), (4, 4)]
                .map(|(five, three)| (five, three, size(five, three))),
            ends: [
                ends(&|kind, _, _| helix_end(kind)),
                ends(&|kind, after, before| get(INTERIOR_MISMATCH_1XN.place([kind, after, before]))),
                ends(&|kind, after, before| get(INTERIOR_MISMATCH.place([kind, after, before]))),
            ],
            multiloop_helix: Contexts::new(|kind, before, after| {
                get(MULTILOOP.place([1])) * helix_end(kind) * beside(&MULTILOOP_MISMATCH, kind, before, after)
            }),
            multiloop: ends(&|kind, after, before| {
                // Seen from within the loop the pair is turned, so that what comes after its 5' base comes after it.
                let kind = turned(kind);
                let closing = get(MULTILOOP.place([0])) * get(MULTILOOP.place([1])) * helix_end(kind);
                closing * beside(&MULTILOOP_MISMATCH, kind, before, after)
            }),
            exterior_helix: Contexts::new(|kind, before, after| {
                get(EXTERIOR.place([0])) * helix_end(kind) * beside(&EXTERIOR_MISMATCH, kind, before, after)
            }),
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

    /// Of what a loop of so many unpaired bases has beyond all tables: entropy, so that the temperature does not matter.
    pub(super) fn beyond(&self, unpaired: usize) -> f64 {
        (-beyond(unpaired) / THERMAL_ENERGY).exp()
    }

    /// All nested structures of a sequence of ACGUN under some conditions. With `bonuses`, each pair's weight is multiplied by
    /// the exponential of its number.
    ///
    /// # Errors
    /// [`crate::Error::OutOfMemory`] where the sums do not fit in memory.
    ///
    /// # Panics
    /// Where the bonuses are for another length.
    pub fn ensemble(&self, sequence: &[u8], conditions: &Conditions, bonuses: Option<&PairMap>) -> Result<Ensemble> {
        Ensemble::new(self, sequence, conditions, bonuses)
    }
}
