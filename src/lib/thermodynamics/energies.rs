//! Letters and pairs as numbers, and the energies by which a duplex is judged: stacks, bulges and interior loops of Turner
//! 2004 (Mathews et al., PNAS 101:7287, 2004; Turner and Mathews, NAR 38:D280, 2010), as Boltzmann factors.
//!
//! Interior loops of 1x2, 2x2 and 2x3 follow the rules for loops of any size instead of tables of their own.

use std::sync::LazyLock;

/// Thermal energy at 37 °C, kcal/mol.
pub const THERMAL_ENERGY: f64 = 0.616_320_775;

/// Most unpaired bases of a bulge or an interior loop.
pub const LONGEST_LOOP: usize = 30;

/// Fewest unpaired bases of a hairpin loop.
pub const SHORTEST_HAIRPIN: usize = 3;

/// A, C, G, U as 0 to 3, any other letter as 4.
pub fn base_code(letter: u8) -> u8 {
    match letter {
        b'A' => 0,
        b'C' => 1,
        b'G' => 2,
        b'U' => 3,
        _ => 4,
    }
}

/// Which of the six pairs CG, GC, GU, UG, AU, UA two bases make.
pub const fn pair_kind(five_prime: u8, three_prime: u8) -> Option<usize> {
    match (five_prime, three_prime) {
        (1, 2) => Some(0),
        (2, 1) => Some(1),
        (2, 3) => Some(2),
        (3, 2) => Some(3),
        (0, 3) => Some(4),
        (3, 0) => Some(5),
        _ => None,
    }
}

/// The kind of the same pair read from its other base.
pub fn turned(kind: usize) -> usize {
    kind ^ 1
}

// All energies in hundredths of kcal/mol; rows by the kind of the pair as in `pair_kind`.

/// A pair and the next one inwards, read from its 3' base.
#[rustfmt::skip]
const STACK: [[i32; 6]; 6] = [
    [-240, -330, -210, -140, -210, -210],
    [-330, -340, -250, -150, -220, -240],
    [-210, -250,  130,  -50, -140, -130],
    [-140, -150,  -50,   30,  -60, -100],
    [-210, -220, -140,  -60, -110,  -90],
    [-210, -240, -130, -100,  -90, -130],
];

/// Opening of a bulge, by its unpaired bases.
#[rustfmt::skip]
const BULGE: [i32; LONGEST_LOOP + 1] = [
    0, 380, 280, 320, 360, 400, 440, 460, 470, 480, 490, 500, 510, 520, 530, 540, 540, 550, 550, 560, 570, 570, 580, 580, 580, 590, 590, 600, 600, 600, 610,
];

/// Opening of an interior loop, by its unpaired bases.
#[rustfmt::skip]
const INTERIOR: [i32; LONGEST_LOOP + 1] = [
    0, 0, 100, 100, 110, 200, 200, 210, 230, 240, 250, 260, 270, 280, 290, 290, 300, 310, 310, 320, 330, 330, 340, 340, 350, 350, 350, 360, 360, 370, 370,
];

/// A helix that ends in another pair than CG or GC.
const WEAK_END: i32 = 50;

/// Each base by which the sides of an interior loop differ, and the most that this costs.
const ASYMMETRY: (i32, i32) = (60, 300);

fn boltzmann(energy: i32) -> f64 {
    (-f64::from(energy) / 100.0 / THERMAL_ENERGY).exp()
}

fn is_weak(kind: usize) -> bool {
    kind > 1
}

/// Boltzmann factors of the loops of a duplex; rows of pairs by [`pair_kind`], bases by [`base_code`].
pub struct Energies {
    /// Two stacked pairs: [outer][inner, read from its 3' base].
    pub stack: [[f64; 6]; 6],
    /// The part of a bulge or an interior loop that its two sides make: [unpaired 5'][unpaired 3'], laid out with the 3'
    /// side descending from 30 to 0. Zero for stacks, bulges of one and loops of 1x1, which depend on the pairs.
    pub sides: [[f64; LONGEST_LOOP + 1]; LONGEST_LOOP + 1],
    /// A pair at the end of a helix.
    pub helix_end: [f64; 6],
    /// A bulge of one base beside the stack of its pairs.
    pub small_bulge: f64,
    /// A loop of 1x1: [pairs other than CG and GC][whether the mismatch is GG].
    pub one_by_one: [[f64; 2]; 3],
}

/// The parameters above as Boltzmann factors.
pub static ENERGIES: LazyLock<Energies> = LazyLock::new(Energies::new);

impl Energies {
    fn new() -> Self {
        let weak_end = |kind: usize| if is_weak(kind) { WEAK_END } else { 0 };
        Self {
            stack: STACK.map(|row| row.map(boltzmann)),
            sides: std::array::from_fn(|five| std::array::from_fn(|place| sides(five, LONGEST_LOOP - place))),
            helix_end: std::array::from_fn(|kind| boltzmann(weak_end(kind))),
            small_bulge: boltzmann(BULGE[1]),
            one_by_one: [[60, -160], [120, -140], [190, -30]].map(|row| row.map(boltzmann)),
        }
    }
}

/// See [`Energies::sides`].
fn sides(five: usize, three: usize) -> f64 {
    let unpaired = five + three;
    if !(2..=LONGEST_LOOP).contains(&unpaired) || (five == 1 && three == 1) {
        return 0.0;
    }
    if five == 0 || three == 0 {
        return boltzmann(BULGE[unpaired]);
    }
    if unpaired == 3 {
        // 1x2, between pairs of CG.
        return boltzmann(230);
    }
    boltzmann(INTERIOR[unpaired] + (ASYMMETRY.0 * five.abs_diff(three) as i32).min(ASYMMETRY.1))
}
