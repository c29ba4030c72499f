//! Parameter sets of the nearest-neighbour model: the free energy of every loop as a sum of numbers from named tables.
//!
//! All numbers of a set are one vector, so that a gradient, counts and corrections have the same layout. Pairs are
//! numbered as [`pair_kind`](super::energies::pair_kind) numbers them, bases as [`base_code`](super::energies::base_code).

use std::sync::LazyLock;

use super::energies::{LONGEST_LOOP, THERMAL_ENERGY};
use crate::{Error, Result};

/// Growth of a loop's free energy with the logarithm of its length beyond [`LONGEST_LOOP`], kcal/mol.
pub const GROWTH: f64 = 1.078_56;

/// Numbers of a table by the lengths of loops.
const LENGTHS: usize = LONGEST_LOOP + 1;

/// One table of a parameter set.
#[derive(Clone, Copy, Debug)]
pub struct Table<const N: usize> {
    name: &'static str,
    shape: [usize; N],
    start: usize,
}

impl<const N: usize> Table<N> {
    const fn at(start: usize, name: &'static str, shape: [usize; N]) -> Self {
        Self { name, shape, start }
    }

    /// Where the next table starts.
    const fn end(&self) -> usize {
        let (mut size, mut axis) = (1, 0);
        while axis < N {
            size *= self.shape[axis];
            axis += 1;
        }
        self.start + size
    }

    /// Where a number of the table lies in the vector of the set.
    #[inline(always)]
    pub fn place(&self, indices: [usize; N]) -> usize {
        let mut place = 0;
        for (index, size) in indices.into_iter().zip(self.shape) {
            debug_assert!(index < size);
            place = place * size + index;
        }
        self.start + place
    }
}

/// Two stacked pairs: [outer][inner, read from its 3' base].
pub const STACK: Table<2> = Table::at(0, "stack", [6, 6]);
/// The base of a bulge of one: [base].
pub const BULGED_BASE: Table<1> = Table::at(STACK.end(), "bulged_base", [5]);
/// First mismatch of a hairpin loop: [pair][base after its 5' base][base before its 3' base].
pub const HAIRPIN_MISMATCH: Table<3> = Table::at(BULGED_BASE.end(), "hairpin_mismatch", [6, 5, 5]);
/// A pair that closes an interior loop, read from within: [pair][base after its 5' base][base before its 3' base].
pub const INTERIOR_MISMATCH: Table<3> = Table::at(HAIRPIN_MISMATCH.end(), "interior_mismatch", [6, 5, 5]);
/// The same for interior loops one of whose sides is a single base, and the other at least three.
pub const INTERIOR_MISMATCH_1XN: Table<3> = Table::at(INTERIOR_MISMATCH.end(), "interior_mismatch_1xn", [6, 5, 5]);
/// The same for interior loops of 2x3.
pub const INTERIOR_MISMATCH_2X3: Table<3> = Table::at(INTERIOR_MISMATCH_1XN.end(), "interior_mismatch_2x3", [6, 5, 5]);
/// The bases beside a helix in a multiloop: [pair][base before its 5' base][base after its 3' base].
pub const MULTILOOP_MISMATCH: Table<3> = Table::at(INTERIOR_MISMATCH_2X3.end(), "multiloop_mismatch", [6, 5, 5]);
/// The same outside all pairs.
pub const EXTERIOR_MISMATCH: Table<3> = Table::at(MULTILOOP_MISMATCH.end(), "exterior_mismatch", [6, 5, 5]);
/// The base before a helix that ends the sequence on the other side: [pair][base].
pub const DANGLE_5: Table<2> = Table::at(EXTERIOR_MISMATCH.end(), "dangle_5", [6, 5]);
/// The base after a helix that begins the sequence: [pair][base].
pub const DANGLE_3: Table<2> = Table::at(DANGLE_5.end(), "dangle_3", [6, 5]);
/// Interior loops of 1x1: [outer][inner, read from its 3' base][5' side][3' side].
pub const INTERIOR_1X1: Table<4> = Table::at(DANGLE_3.end(), "interior_1x1", [6, 6, 5, 5]);
/// Interior loops of 1x2: [pair with the single base after it][other pair, read from within][single base]
/// [base before the second pair's partner of the two][the other of the two].
pub const INTERIOR_1X2: Table<5> = Table::at(INTERIOR_1X1.end(), "interior_1x2", [6, 6, 5, 5, 5]);
/// Interior loops of 2x2 of known bases: [outer][inner, read from its 3' base][5' side, first][5' side, second]
/// [3' side, first][3' side, second].
pub const INTERIOR_2X2: Table<6> = Table::at(INTERIOR_1X2.end(), "interior_2x2", [6, 6, 4, 4, 4, 4]);
/// A hairpin loop of so many bases.
pub const HAIRPIN: Table<1> = Table::at(INTERIOR_2X2.end(), "hairpin", [LENGTHS]);
/// A bulge of so many bases.
pub const BULGE: Table<1> = Table::at(HAIRPIN.end(), "bulge", [LENGTHS]);
/// An interior loop of so many bases that has no table of its own.
pub const INTERIOR: Table<1> = Table::at(BULGE.end(), "interior", [LENGTHS]);
/// How many bases the sides of such a loop differ by.
pub const ASYMMETRY: Table<1> = Table::at(INTERIOR.end(), "asymmetry", [LENGTHS]);
/// An interior loop whose sides have so many bases, [shorter][longer], beside all else.
pub const INTERIOR_SIDES: Table<2> = Table::at(ASYMMETRY.end(), "interior_sides", [5, 5]);
/// A helix that ends in this pair where no mismatch table says so: [pair].
pub const HELIX_END: Table<1> = Table::at(INTERIOR_SIDES.end(), "helix_end", [6]);
/// A multiloop, each of its helices, each of its unpaired bases.
pub const MULTILOOP: Table<1> = Table::at(HELIX_END.end(), "multiloop", [3]);
/// Each helix outside all pairs, each unpaired base there.
pub const EXTERIOR: Table<1> = Table::at(MULTILOOP.end(), "exterior", [2]);
/// Hairpin loops that are listed one by one: [`SPECIAL_HAIRPINS`].
pub const SPECIAL_HAIRPIN: Table<1> = Table::at(EXTERIOR.end(), "special_hairpins", [SPECIAL_HAIRPINS.len()]);

/// Numbers of a set.
pub const PARAMETERS: usize = SPECIAL_HAIRPIN.end();

/// Hairpin loops, closing pair included, whose free energy is not the sum of its parts.
pub const SPECIAL_HAIRPINS: [&[u8]; 22] = [
    b"CAACG",
    b"GUUAC",
    b"CAACGG",
    b"CCAAGG",
    b"CCACGG",
    b"CCCAGG",
    b"CCGAGG",
    b"CCGCGG",
    b"CCUAGG",
    b"CCUCGG",
    b"CUAAGG",
    b"CUACGG",
    b"CUCAGG",
    b"CUCCGG",
    b"CUGCGG",
    b"CUUAGG",
    b"CUUCGG",
    b"CUUUGG",
    b"ACAGUACU",
    b"ACAGUGAU",
    b"ACAGUGCU",
    b"ACAGUGUU",
];

/// Names, sizes and starts of the tables, in the order of the vector.
fn tables() -> [(&'static str, usize, usize); 22] {
    fn of<const N: usize>(table: &Table<N>) -> (&'static str, usize, usize) {
        (table.name, table.start, table.end() - table.start)
    }
    [
        of(&STACK),
        of(&BULGED_BASE),
        of(&HAIRPIN_MISMATCH),
        of(&INTERIOR_MISMATCH),
        of(&INTERIOR_MISMATCH_1XN),
        of(&INTERIOR_MISMATCH_2X3),
        of(&MULTILOOP_MISMATCH),
        of(&EXTERIOR_MISMATCH),
        of(&DANGLE_5),
        of(&DANGLE_3),
        of(&INTERIOR_1X1),
        of(&INTERIOR_1X2),
        of(&INTERIOR_2X2),
        of(&HAIRPIN),
        of(&BULGE),
        of(&INTERIOR),
        of(&ASYMMETRY),
        of(&INTERIOR_SIDES),
        of(&HELIX_END),
        of(&MULTILOOP),
        of(&EXTERIOR),
        of(&SPECIAL_HAIRPIN),
    ]
}

/// A parameter set: `PARAMETERS` free energies in kcal/mol at some temperature.
#[derive(Clone, Debug, PartialEq)]
pub struct EnergyParameters {
    values: Vec<f64>,
    /// The temperature over that at which the energies were measured, both in kelvin.
    relative_temperature: f64,
}

/// The temperature at which free energies were measured, 37 degrees Celsius in kelvin.
const MEASURED_AT: f64 = 310.15;

/// 0 degrees Celsius in kelvin.
const ZERO_CELSIUS: f64 = 273.15;

/// Most that a difference between the sides of an interior loop costs, kcal/mol, at every temperature.
const MOST_ASYMMETRY: f64 = 3.0;

/// The texts of the built-in sets.
const TURNER_2004: &str = include_str!("turner2004.energies");
const ENTHALPIES: &str = include_str!("turner2004.enthalpies");
const TRAINED: &str = include_str!("../../../models/fold.energies");

/// Numbers in a row of the text of a table.
fn columns(size: usize) -> usize {
    [31, 25, 16, 6, 5].into_iter().find(|columns| size.is_multiple_of(*columns)).unwrap_or(size)
}

/// A number with at most four digits after the point.
fn short(value: f64) -> String {
    let text = format!("{value:.4}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".into() } else { text.into() }
}

impl EnergyParameters {
    /// A set of these values.
    ///
    /// # Panics
    /// Where there are not `PARAMETERS`.
    pub fn new(values: Vec<f64>) -> Self {
        assert_eq!(values.len(), PARAMETERS);
        Self { values, relative_temperature: 1.0 }
    }

    /// Turner 2004.
    pub fn turner2004() -> &'static Self {
        static SET: LazyLock<EnergyParameters> =
            LazyLock::new(|| EnergyParameters::parse(TURNER_2004, "turner2004.energies").expect("the built-in file"));
        &SET
    }

    /// The set that the fold model folds with: Turner 2004 as known structures correct it (`models/fold.md`).
    pub fn trained() -> &'static Self {
        static SET: LazyLock<EnergyParameters> =
            LazyLock::new(|| EnergyParameters::parse(TRAINED, "fold.energies").expect("the built-in file"));
        &SET
    }

    /// The same set at another temperature than 37 degrees, in degrees Celsius: by the enthalpies of Turner 2004, G(T) = H - (H -
    /// G(37)) T / T(37). What a set has beside Turner 2004 counts as entropy. Mismatches in multiloops and outside all loops
    /// never cost, as in ViennaRNA.
    ///
    /// # Panics
    /// Where the set is not one of 37 degrees.
    pub fn at(&self, celsius: f64) -> Self {
        assert_eq!(self.relative_temperature, 1.0, "a set that is of another temperature already");
        static ENTHALPY: LazyLock<EnergyParameters> =
            LazyLock::new(|| EnergyParameters::parse(ENTHALPIES, "turner2004.enthalpies").expect("the built-in file"));
        let relative = (celsius + ZERO_CELSIUS) / MEASURED_AT;
        let turner = Self::turner2004();
        let never_cost = [
            MULTILOOP_MISMATCH.start..MULTILOOP_MISMATCH.end(),
            EXTERIOR_MISMATCH.start..EXTERIOR_MISMATCH.end(),
            DANGLE_5.start..DANGLE_5.end(),
            DANGLE_3.start..DANGLE_3.end(),
        ];
        let of = |place: usize| {
            let (energy, enthalpy) = (turner.values[place], ENTHALPY.values[place]);
            let at = |energy: f64| enthalpy - (enthalpy - energy) * relative;
            let by_turner = if never_cost.iter().any(|table| table.contains(&place)) {
                at(energy).min(0.0)
            } else if (ASYMMETRY.start..ASYMMETRY.end()).contains(&place) {
                let bases = (place - ASYMMETRY.start) as f64;
                at(bases * turner.values[ASYMMETRY.place([1])]).min(MOST_ASYMMETRY)
            } else {
                at(energy)
            };
            by_turner + (self.values[place] - energy) * relative
        };
        Self { values: (0..PARAMETERS).map(of).collect(), relative_temperature: relative }
    }

    /// Turner 2004 at some temperature in whole hundredths of kcal/mol, cut off, as ViennaRNA has free energies of structures.
    pub fn in_hundredths(&self) -> Self {
        let cut = |energy: &f64| (100.0 * energy + 1e-6 * energy.signum()).trunc() / 100.0;
        let mut values: Vec<f64> = self.values.iter().map(cut).collect();
        let of_base = values[ASYMMETRY.place([1])];
        for bases in 0..LENGTHS {
            values[ASYMMETRY.place([bases])] = (bases as f64 * of_base).min(MOST_ASYMMETRY);
        }
        Self { values, ..self.clone() }
    }

    /// The temperature over 37 degrees Celsius, both in kelvin.
    pub fn relative_temperature(&self) -> f64 {
        self.relative_temperature
    }

    /// What energies are divided by, kcal/mol.
    pub fn thermal_energy(&self) -> f64 {
        THERMAL_ENERGY * self.relative_temperature
    }

    /// The text of a parameter file that holds the set, four digits after the point.
    pub fn to_text(&self) -> String {
        let mut text =
            String::from("# Free energies of the loops of RNA secondary structures at 37 degrees Celsius, kcal/mol.\n");
        for (name, start, size) in tables() {
            text.push_str(&format!("\n[{name}]\n"));
            let columns = if name == SPECIAL_HAIRPIN.name { 1 } else { columns(size) };
            for (row, values) in self.values[start..start + size].chunks(columns).enumerate() {
                let special = SPECIAL_HAIRPINS.get(row).filter(|_| name == SPECIAL_HAIRPIN.name);
                let numbers: Vec<String> = match special {
                    Some(letters) => vec![format!("{} {}", String::from_utf8_lossy(letters), short(values[0]))],
                    None => values.iter().map(|value| short(*value)).collect(),
                };
                text.push_str(&numbers.join(" "));
                text.push('\n');
            }
        }
        text
    }

    /// The values, table after table.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// Reads the text of a parameter file (`docs/formats.md`).
    ///
    /// # Errors
    /// Where a table is unknown, missing, given twice or of another size, and where something is no number.
    pub fn parse(text: &str, file: &str) -> Result<Self> {
        let tables = tables();
        let mut values = vec![f64::NAN; PARAMETERS];
        let mut current: Option<(&str, usize, usize)> = None;
        let mut filled = 0;
        let mut complete = 0;
        let finish = |current: Option<(&str, usize, usize)>, filled: usize| match current {
            Some((name, _, size)) if filled != size => {
                Err(Error::Usage(format!("{file}: [{name}] has {filled} numbers instead of {size}")))
            }
            _ => Ok(usize::from(current.is_some())),
        };
        for (number, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            let defect = |message: String| Error::Usage(format!("{file}: line {}: {message}", number + 1));
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                complete += finish(current, filled)?;
                let table = tables.iter().find(|table| table.0 == name);
                current = Some(*table.ok_or_else(|| defect(format!("there is no table [{name}]")))?);
                filled = 0;
                if current.is_some_and(|(_, start, _)| !values[start].is_nan()) {
                    return Err(defect(format!("[{name}] a second time")));
                }
                continue;
            }
            let place = filled;
            let mut put = |value: &str| {
                let value: f64 = value
                    .parse()
                    .ok()
                    .filter(|value: &f64| value.is_finite())
                    .ok_or_else(|| defect(format!("{value:?} is no free energy")))?;
                let (name, start, size) = current.ok_or_else(|| defect("a number before the first table".into()))?;
                if filled == size {
                    return Err(defect(format!("[{name}] has more than {size} numbers")));
                }
                values[start + filled] = value;
                filled += 1;
                Ok(())
            };
            let mut words = line.split_whitespace();
            if current.is_some_and(|(name, ..)| name == SPECIAL_HAIRPIN.name) {
                let Some(letters) = words.next() else { continue };
                if SPECIAL_HAIRPINS.get(place).is_none_or(|special| *special != letters.as_bytes()) {
                    return Err(defect(format!("{letters} is not the hairpin whose turn it is")));
                }
            }
            words.try_for_each(&mut put)?;
        }
        complete += finish(current, filled)?;
        if complete != tables.len() {
            let missing: Vec<&str> =
                tables.iter().filter(|(_, start, _)| values[*start].is_nan()).map(|(name, ..)| *name).collect();
            return Err(Error::Usage(format!("{file}: without the tables {}", missing.join(", "))));
        }
        Ok(Self::new(values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_read_as_it_was_written() {
        let set = EnergyParameters::turner2004();
        assert_eq!(EnergyParameters::parse(&set.to_text(), "text").expect("our own"), *set);
        assert_eq!(set.values()[STACK.place([0, 0])], -2.4);
        assert_eq!(set.values()[SPECIAL_HAIRPIN.place([21])], 1.8);
    }

    #[test]
    fn defects_are_named() {
        let text = EnergyParameters::turner2004().to_text();
        let defect = |text: &str| EnergyParameters::parse(text, "file").expect_err("a defect").to_string();
        for (bad, message) in [
            (text.replace("[bulge]", "[bulges]"), "there is no table [bulges]"),
            (text.replace("[stack]\n-2.4 ", "[stack]\n"), "[stack] has 35 numbers instead of 36"),
            (text.replace("[stack]\n-2.4 ", "[stack]\n-2.4 x "), "\"x\" is no free energy"),
            (text.replace("[stack]\n-2.4 ", "[stack]\n-2.4 inf "), "\"inf\" is no free energy"),
            (text.replace("CAACGG ", "CAACGA "), "CAACGA is not the hairpin whose turn it is"),
            (format!("{text}[bulge]\n"), "[bulge] a second time"),
            (format!("1\n{text}"), "before the first table"),
            (text.split("[multiloop]").next().unwrap_or_default().to_owned(), "without the tables multiloop"),
        ] {
            let found = defect(&bad);
            assert!(found.contains(message), "{found}");
        }
    }
}
