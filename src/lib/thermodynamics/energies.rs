//! Free energies of the loops of a secondary structure at 37 °C: the nearest-neighbour parameters of Turner 2004
//! (Mathews et al., PNAS 101:7287, 2004; Turner and Mathews, NAR 38:D280, 2010), as Boltzmann factors.
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
pub fn pair_kind(five_prime: u8, three_prime: u8) -> Option<usize> {
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

/// First mismatch of a hairpin loop: [pair][base after its 5' base][base before its 3' base], ACGU and other.
#[rustfmt::skip]
const HAIRPIN_MISMATCH: [[[i32; 5]; 5]; 6] = [
    [[-150, -150, -140, -150, -140], [-100, -110, -100,  -80,  -80], [-230, -150, -240, -150, -150], [-100, -140, -100, -210, -100], [-100, -110, -100,  -80,  -80]],
    [[-110, -150, -130, -150, -110], [-110,  -70, -110,  -50,  -50], [-250, -150, -220, -150, -150], [-110, -100, -110, -160, -100], [-110,  -70, -110,  -50,  -50]],
    [[  20,  -50,  -30,  -50,   20], [ -10,  -20,  -10,  -20,  -10], [-100,  -50, -110,  -50,  -50], [ -10,  -30,  -10, -100,  -10], [  20,  -20,  -10,  -20,   20]],
    [[ -50,  -30,  -60,  -30,  -30], [ -20,  -10,  -20,    0,    0], [ -90,  -30, -110,  -30,  -30], [ -20,  -10,  -20,  -90,  -10], [ -20,  -10,  -20,    0,    0]],
    [[ -30,  -50,  -30,  -50,  -30], [ -10,  -20,  -10,  -20,  -10], [-120,  -50, -110,  -50,  -50], [ -10,  -30,  -10, -120,  -10], [ -10,  -20,  -10,  -20,  -10]],
    [[ -50,  -30,  -50,  -30,  -30], [ -20,  -10,  -20,    0,    0], [-150,  -30, -150,  -30,  -30], [ -20,  -10,  -20,  -90,  -10], [ -20,  -10,  -20,    0,    0]],
];

/// The base before the 5' base of a pair that stacks on it: [pair][base].
#[rustfmt::skip]
const DANGLE_FIVE_PRIME: [[i32; 5]; 6] = [
    [ -50,  -30,  -20,  -10,  -10],
    [ -20,  -30,    0,    0,    0],
    [ -30,  -30,  -40,  -20,  -20],
    [ -30,  -10,  -20,  -20,  -10],
    [ -30,  -30,  -40,  -20,  -20],
    [ -30,  -10,  -20,  -20,  -10],
];

/// The base after the 3' base of a pair that stacks on it: [pair][base].
#[rustfmt::skip]
const DANGLE_THREE_PRIME: [[i32; 5]; 6] = [
    [-110,  -40, -130,  -60,  -40],
    [-170,  -80, -170, -120,  -80],
    [ -70,  -10,  -70,  -10,  -10],
    [ -80,  -50,  -80,  -60,  -50],
    [ -70,  -10,  -70,  -10,  -10],
    [ -80,  -50,  -80,  -60,  -50],
];

/// Opening of a hairpin loop, by its unpaired bases.
#[rustfmt::skip]
const HAIRPIN: [i32; LONGEST_LOOP + 1] = [
    0, 0, 0, 540, 560, 570, 540, 600, 550, 640, 650, 660, 670, 680, 690, 690, 700, 710, 710, 720, 720, 730, 730, 740, 740, 750, 750, 750, 760, 760, 770,
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

/// Hairpin loops, closing pair included, whose energy is not the sum of its parts.
#[rustfmt::skip]
const SPECIAL_HAIRPINS: [(&[u8], i32); 22] = [
    (b"CAACG", 680), (b"GUUAC", 690), (b"CAACGG", 550), (b"CCAAGG", 330),
    (b"CCACGG", 370), (b"CCCAGG", 340), (b"CCGAGG", 350), (b"CCGCGG", 360),
    (b"CCUAGG", 370), (b"CCUCGG", 250), (b"CUAAGG", 360), (b"CUACGG", 280),
    (b"CUCAGG", 370), (b"CUCCGG", 270), (b"CUGCGG", 280), (b"CUUAGG", 350),
    (b"CUUCGG", 370), (b"CUUUGG", 370), (b"ACAGUACU", 280), (b"ACAGUGAU", 360),
    (b"ACAGUGCU", 290), (b"ACAGUGUU", 180),
];

/// A helix that ends in another pair than CG or GC.
const WEAK_END: i32 = 50;

/// An interior loop closed by another pair than CG or GC.
const WEAK_INTERIOR: i32 = 70;

/// Each base by which the sides of an interior loop differ, and the most that this costs.
const ASYMMETRY: (i32, i32) = (60, 300);

/// A multiloop, and each helix in it.
const MULTILOOP: (i32, i32) = (930, -90);

/// Growth of the hairpins' opening beyond the table, times the logarithm of the relative length.
const GROWTH: f64 = 107.856;

fn boltzmann(energy: i32) -> f64 {
    (-f64::from(energy) / 100.0 / THERMAL_ENERGY).exp()
}

fn is_weak(kind: usize) -> bool {
    kind > 1
}

/// Mismatch inside an interior loop that stabilises it: [base after the 5' base][base before the 3' base] of its pair.
fn interior_mismatch(after: usize, before: usize) -> i32 {
    match (after, before) {
        (0, 2) => -80,
        (2, 0) | (2, 2) => -100,
        (3, 3) => -60,
        _ => 0,
    }
}

/// Boltzmann factors of every loop; rows of pairs by [`pair_kind`], bases by [`base_code`].
pub struct Energies {
    /// Two stacked pairs: [outer][inner, read from its 3' base].
    pub stack: [[f64; 6]; 6],
    /// The part of a bulge or an interior loop that its two sides make: [unpaired 5'][unpaired 3'], laid out with the 3'
    /// side descending from 30 to 0. Zero for stacks, bulges of one and loops of 1x1, which depend on the pairs.
    pub sides: [[f64; LONGEST_LOOP + 1]; LONGEST_LOOP + 1],
    /// A pair that closes an interior loop of at least 2x2: [pair][base after its 5' base][base before its 3' base].
    pub interior_end: [[[f64; 5]; 5]; 6],
    /// A pair at the end of a helix.
    pub helix_end: [f64; 6],
    /// A bulge of one base beside the stack of its pairs.
    pub small_bulge: f64,
    /// A loop of 1x1: [pairs other than CG and GC][whether the mismatch is GG].
    pub one_by_one: [[f64; 2]; 3],
    /// A helix in the exterior loop: [pair][base before][base after].
    pub exterior_helix: [[[f64; 5]; 5]; 6],
    /// A helix in a multiloop.
    pub multiloop_helix: [[[f64; 5]; 5]; 6],
    /// A multiloop.
    pub multiloop: f64,
    hairpin_mismatch: [[[f64; 5]; 5]; 6],
}

/// The parameters above as Boltzmann factors.
pub static ENERGIES: LazyLock<Energies> = LazyLock::new(Energies::new);

impl Energies {
    fn new() -> Self {
        let by_mismatch = |energy: &dyn Fn(usize, usize, usize) -> i32| {
            std::array::from_fn(|kind| {
                std::array::from_fn(|first| std::array::from_fn(|second| boltzmann(energy(kind, first, second))))
            })
        };
        let weak_end = |kind: usize| if is_weak(kind) { WEAK_END } else { 0 };
        let helix = |kind: usize, before: usize, after: usize| {
            weak_end(kind) + DANGLE_FIVE_PRIME[kind][before] + DANGLE_THREE_PRIME[kind][after]
        };
        Self {
            stack: STACK.map(|row| row.map(boltzmann)),
            sides: std::array::from_fn(|five| std::array::from_fn(|place| sides(five, LONGEST_LOOP - place))),
            interior_end: by_mismatch(&|kind, after, before| {
                interior_mismatch(after, before) + if is_weak(kind) { WEAK_INTERIOR } else { 0 }
            }),
            helix_end: std::array::from_fn(|kind| boltzmann(weak_end(kind))),
            small_bulge: boltzmann(BULGE[1]),
            one_by_one: [[60, -160], [120, -140], [190, -30]].map(|row| row.map(boltzmann)),
            exterior_helix: by_mismatch(&helix),
            multiloop_helix: by_mismatch(&|kind, before, after| helix(kind, before, after) + MULTILOOP.1),
            multiloop: boltzmann(MULTILOOP.0),
            hairpin_mismatch: by_mismatch(&|kind, after, before| HAIRPIN_MISMATCH[kind][after][before]),
        }
    }

    /// A hairpin loop closed by the pair of `kind` of the first and the last letter of `letters` (ACGUN), at least
    /// [`SHORTEST_HAIRPIN`] between them.
    pub fn hairpin(&self, kind: usize, letters: &[u8]) -> f64 {
        let unpaired = letters.len() - 2;
        if let Some((_, energy)) = SPECIAL_HAIRPINS.iter().find(|(special, _)| *special == letters) {
            return boltzmann(*energy);
        }
        let open = if unpaired <= LONGEST_LOOP {
            boltzmann(HAIRPIN[unpaired])
        } else {
            let growth = GROWTH * (unpaired as f64 / LONGEST_LOOP as f64).ln();
            boltzmann(HAIRPIN[LONGEST_LOOP]) * (-growth / 100.0 / THERMAL_ENERGY).exp()
        };
        if unpaired == SHORTEST_HAIRPIN {
            return open * self.helix_end[kind];
        }
        let (after, before) = (base_code(letters[1]), base_code(letters[letters.len() - 2]));
        open * self.hairpin_mismatch[kind][usize::from(after)][usize::from(before)]
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
