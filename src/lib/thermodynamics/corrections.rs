//! A few hundred numbers that correct a whole parameter set: what there are data enough to learn.
//!
//! The tables of the nearest-neighbour model have thousands of numbers. A correction is added to all those that have
//! something in common: the two stacked pairs, a loop's length beyond some number, the letters of a mismatch whatever the
//! pair. The features are those of CONTRAfold (Do et al., Bioinformatics 22:e90, 2006), laid over the tables of Turner 2004;
//! the first scales these as a whole.

use std::sync::LazyLock;

use super::energies::{LONGEST_LOOP, turned};
use super::parameters::*;

/// One correction: what it is about, and how far it is expected to stray from zero.
#[derive(Clone, Debug)]
pub struct Correction {
    /// What it is about.
    pub name: String,
    /// Standard deviation of the normal distribution that it is held to, kcal/mol.
    pub deviation: f64,
}

/// The corrections and the parameters that each is added to.
#[derive(Debug, Default)]
pub struct Corrections {
    all: Vec<Correction>,
    /// Parameter, correction, and what the correction is multiplied by.
    ties: Vec<(usize, usize, f64)>,
}

/// Letters of the six pairs.
const PAIRS: [&str; 6] = ["CG", "GC", "GU", "UG", "AU", "UA"];

/// Letters of the bases.
const BASES: [&str; 4] = ["A", "C", "G", "U"];

impl Corrections {
    /// All of them.
    pub fn get() -> &'static Self {
        static ALL: LazyLock<Corrections> = LazyLock::new(Corrections::new);
        &ALL
    }

    /// The corrections in their order.
    pub fn list(&self) -> &[Correction] {
        &self.all
    }

    /// Turner 2004 with these values of the corrections, kcal/mol (the first without unit).
    ///
    /// # Panics
    /// Where there are not as many as corrections.
    pub fn apply(&self, values: &[f64]) -> EnergyParameters {
        assert_eq!(values.len(), self.all.len());
        let mut parameters = EnergyParameters::turner2004().values().to_vec();
        for &(place, correction, factor) in &self.ties {
            parameters[place] += values[correction] * factor;
        }
        EnergyParameters::new(parameters)
    }

    /// The gradient with respect to the corrections from that with respect to the parameters.
    pub fn gradient(&self, parameters: &[f64]) -> Vec<f64> {
        let mut gradient = vec![0.0; self.all.len()];
        for &(place, correction, factor) in &self.ties {
            gradient[correction] += parameters[place] * factor;
        }
        gradient
    }

    fn add(&mut self, deviation: f64, name: String, places: impl IntoIterator<Item = usize>) {
        let correction = self.all.len();
        self.all.push(Correction { name, deviation });
        self.ties.extend(places.into_iter().map(|place| (place, correction, 1.0)));
    }

    /// One correction for each length from `first` on, of all loops at least as long.
    fn at_least(&mut self, name: &str, table: &Table<1>, first: usize) {
        for least in first..=LONGEST_LOOP {
            let deviation = if least == first { 0.5 } else { 0.2 };
            self.add(
                deviation,
                format!("{name} of at least {least}"),
                (least..=LONGEST_LOOP).map(|n| table.place([n])),
            );
        }
    }

    /// Corrections of the pair, of the two letters and of both together, in tables of mismatches.
    fn mismatches(&mut self, name: &str, tables: &[Table<3>]) {
        let place = |kind, a, b| tables.iter().map(move |table| table.place([kind, a, b]));
        for (kind, pair) in PAIRS.iter().enumerate() {
            let all = (0..25).flat_map(|letters| place(kind, letters / 5, letters % 5));
            self.add(0.5, format!("{name} closed by {pair}"), all);
        }
        for (a, b, letters) in letters() {
            self.add(0.5, format!("{name} mismatch {letters}"), (0..6).flat_map(|kind| place(kind, a, b)));
        }
        for (kind, pair) in PAIRS.iter().enumerate() {
            for (a, b, letters) in letters() {
                self.add(0.2, format!("{name} mismatch {letters} at {pair}"), place(kind, a, b));
            }
        }
    }

    fn new() -> Self {
        let mut all = Self::default();
        all.all.push(Correction { name: "scale".into(), deviation: 0.3 });
        let turner = EnergyParameters::turner2004().values();
        all.ties.extend(turner.iter().enumerate().map(|(place, value)| (place, 0, *value)));
        for (one, outer) in PAIRS.iter().enumerate() {
            for other in one..6 {
                let places = [STACK.place([one, other]), STACK.place([other, one])];
                let distinct = if one == other { 1 } else { 2 };
                let name = format!("stack {outer} on {}", PAIRS[turned(other)]);
                all.add(0.5, name, places.into_iter().take(distinct));
            }
        }
        for (base, letter) in BASES.iter().enumerate() {
            all.add(0.5, format!("bulge of one {letter}"), [BULGED_BASE.place([base])]);
        }
        all.at_least("hairpin", &HAIRPIN, 3);
        all.at_least("bulge", &BULGE, 1);
        all.at_least("interior loop", &INTERIOR, 4);
        all.at_least("asymmetry", &ASYMMETRY, 1);
        for shorter in 1..5 {
            for longer in shorter..5 {
                let name = format!("interior loop of {shorter}x{longer}");
                all.add(0.5, name, [INTERIOR_SIDES.place([shorter, longer])]);
            }
        }
        all.mismatches("hairpin", &[HAIRPIN_MISMATCH]);
        all.mismatches("interior loop", &[INTERIOR_MISMATCH, INTERIOR_MISMATCH_2X3]);
        for (kind, pair) in PAIRS.iter().enumerate() {
            let places = (0..25).map(|letters| INTERIOR_MISMATCH_1XN.place([kind, letters / 5, letters % 5]));
            all.add(0.5, format!("interior loop of 1xn closed by {pair}"), places);
        }
        all.small_loops();
        for (kind, pair) in PAIRS.iter().enumerate() {
            all.add(0.5, format!("helix that ends in {pair}"), [HELIX_END.place([kind])]);
        }
        for (place, name) in ["multiloop", "multiloop's helix", "multiloop's unpaired base"].into_iter().enumerate() {
            all.add(if place == 0 { 2.0 } else { 0.5 }, name.into(), [MULTILOOP.place([place])]);
        }
        for (place, name) in ["exterior helix", "exterior unpaired base"].into_iter().enumerate() {
            all.add(0.5, name.into(), [EXTERIOR.place([place])]);
        }
        for (kind, pair) in PAIRS.iter().enumerate() {
            let places = (0..25).map(|letters| MULTILOOP_MISMATCH.place([kind, letters / 5, letters % 5]));
            all.add(0.5, format!("multiloop's helix that begins with {pair}"), places);
            for (base, letter) in BASES.iter().enumerate() {
                let mismatches = [MULTILOOP_MISMATCH, EXTERIOR_MISMATCH];
                let before =
                    mismatches.iter().flat_map(|table| (0..5).map(move |after| table.place([kind, base, after])));
                all.add(0.3, format!("{letter} before {pair}"), before.chain([DANGLE_5.place([kind, base])]));
                let after =
                    mismatches.iter().flat_map(|table| (0..5).map(move |before| table.place([kind, before, base])));
                all.add(0.3, format!("{letter} after {pair}"), after.chain([DANGLE_3.place([kind, base])]));
            }
        }
        for (special, letters) in SPECIAL_HAIRPINS.iter().enumerate() {
            let name = format!("hairpin {}", String::from_utf8_lossy(letters));
            all.add(0.5, name, [SPECIAL_HAIRPIN.place([special])]);
        }
        all
    }

    /// The interior loops with tables of their own: their pairs, and the letters at either pair. A place comes twice where
    /// both pairs, or both mismatches, are the same.
    fn small_loops(&mut self) {
        let mut closed: [[Vec<usize>; 6]; 3] = Default::default();
        let mut letters_of: [[Vec<usize>; 16]; 3] = Default::default();
        let mut tie = |size: usize, place: usize, kinds: [usize; 2], mismatches: [(usize, usize); 2]| {
            kinds.into_iter().for_each(|kind| closed[size][kind].push(place));
            for (a, b) in mismatches.into_iter().filter(|&(a, b)| a < 4 && b < 4) {
                letters_of[size][a * 4 + b].push(place);
            }
        };
        for kinds in 0..36 {
            let (one, other) = (kinds / 6, kinds % 6);
            for letters in 0..125 {
                let (a, b, c) = (letters / 25, letters / 5 % 5, letters % 5);
                if c == 0 {
                    tie(0, INTERIOR_1X1.place([one, other, a, b]), [one, other], [(a, b), (b, a)]);
                }
                tie(1, INTERIOR_1X2.place([one, other, a, b, c]), [one, other], [(a, c), (b, a)]);
            }
            for letters in 0..256 {
                let (a, b, c, d) = (letters / 64, letters / 16 % 4, letters / 4 % 4, letters % 4);
                tie(2, INTERIOR_2X2.place([one, other, a, b, c, d]), [one, other], [(a, d), (c, b)]);
            }
        }
        for (size, (closed, letters_of)) in ["1x1", "1x2", "2x2"].iter().zip(closed.into_iter().zip(letters_of)) {
            for (places, pair) in closed.into_iter().zip(PAIRS) {
                self.add(0.5, format!("interior loop of {size} closed by {pair}"), places);
            }
            for (places, (_, _, letters)) in letters_of.into_iter().zip(letters()) {
                self.add(0.5, format!("interior loop of {size} mismatch {letters}"), places);
            }
        }
    }
}

/// Codes and letters of every two bases.
fn letters() -> impl Iterator<Item = (usize, usize, String)> {
    (0..16).map(|both| (both / 4, both % 4, format!("{}{}", BASES[both / 4], BASES[both % 4])))
}
