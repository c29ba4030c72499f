//! How likely the bases of two strands pair in the duplex that they form together: a partition function over all
//! antiparallel duplexes of stacks, bulges and interior loops.
//!
//! Loops of more than [`LONGEST_GAP`] unpaired bases are left out, dangling ends and mismatches too, and every interior
//! loop but the 1 x 1 takes the rule for loops of any size: enough to rank the pairs of a miRNA and its site.

use std::sync::LazyLock;

use super::energies::{ENERGIES, LONGEST_LOOP, base_code, pair_kind, turned};

/// Stands for letters that do not pair.
const NO_PAIR: usize = 6;

/// Most unpaired bases, both strands together, between two pairs that follow each other.
pub(super) const LONGEST_GAP: usize = 6;

/// What the energies say of every pair (i, j) of base i of the first and base j of the second strand, both counted from
/// their 5' ends; [first, second], the second strand running fastest. Zero where the letters do not pair.
#[derive(Clone, Debug)]
pub struct Duplex {
    /// Logarithm of the sum over what may pair on the 5' side of i in the first strand, with the pair itself.
    pub toward_five_prime: Vec<f32>,
    /// The same for the 3' side of i.
    pub toward_three_prime: Vec<f32>,
    /// Probability of the pair where the strands form a duplex at all.
    pub probability: Vec<f32>,
    /// Logarithm of the sum over all duplexes, the strands apart counting as 1.
    pub logarithm: f32,
}

/// Boltzmann factor of the loop of `five` and `three` unpaired bases between two pairs, the inner one read from its 3'
/// base; `guanines`: whether the two bases of a 1 x 1 are both G.
pub(super) fn loop_factor(outer: usize, inner: usize, five: usize, three: usize, guanines: bool) -> f64 {
    let energies = &*ENERGIES;
    match (five, three) {
        (0, 0) => energies.stack[outer][inner],
        (0, 1) | (1, 0) => energies.stack[outer][inner] * energies.small_bulge,
        (1, 1) => energies.one_by_one[usize::from(outer > 1) + usize::from(inner > 1)][usize::from(guanines)],
        _ => energies.sides[five][LONGEST_LOOP - three] * energies.helix_end[outer] * energies.helix_end[inner],
    }
}

/// Boltzmann factor of a helix that ends in this pair.
pub(super) fn helix_end(kind: usize) -> f64 {
    ENERGIES.helix_end[kind]
}

/// [`loop_factor`] of every loop, laid out for sums over neighbours: by the unpaired bases of the first and of the second
/// strand, by the pair in question, and by its neighbour, where [`NO_PAIR`] has a factor of 0.
struct Loops {
    /// The neighbour lies on the 5' side in the first strand.
    before: [[[[f64; 8]; 6]; LONGEST_GAP + 1]; LONGEST_GAP + 1],
    /// The neighbour lies on the 3' side in the first strand.
    after: [[[[f64; 8]; 6]; LONGEST_GAP + 1]; LONGEST_GAP + 1],
}

static LOOPS: LazyLock<Loops> = LazyLock::new(|| {
    let mut loops = Loops {
        before: [[[[0.0; 8]; 6]; LONGEST_GAP + 1]; LONGEST_GAP + 1],
        after: [[[[0.0; 8]; 6]; LONGEST_GAP + 1]; LONGEST_GAP + 1],
    };
    for five in 0..=LONGEST_GAP {
        for three in 0..=LONGEST_GAP - five {
            for outer in 0..6 {
                for inner in 0..6 {
                    let factor = loop_factor(outer, turned(inner), five, three, false);
                    loops.before[five][three][inner][outer] = factor;
                    loops.after[five][three][outer][inner] = factor;
                }
            }
        }
    }
    loops
});

impl Duplex {
    /// Of two strands that both read 5'->3', letters ACGUN.
    pub fn new(first: &[u8], second: &[u8]) -> Self {
        let (height, width) = (first.len(), second.len());
        let codes: Vec<u8> = second.iter().map(|&letter| base_code(letter)).collect();
        let mut kinds = Vec::with_capacity(height * width);
        for &letter in first {
            let code = base_code(letter);
            kinds.extend(codes.iter().map(|&other| pair_kind(code, other).unwrap_or(NO_PAIR)));
        }
        let (ends, loops) = (&ENERGIES.helix_end, &*LOOPS);
        // What a 1 x 1 of two G has more than another.
        let guanines = |i: usize, j: usize, outer: usize, inner: usize| {
            let both = first[i] == b'G' && second[j] == b'G';
            let factor = |both| loop_factor(outer, turned(inner), 1, 1, both);
            if both && outer != NO_PAIR && inner != NO_PAIR { factor(true) - factor(false) } else { 0.0 }
        };
        let mut five = vec![0f64; height * width];
        let mut three = vec![0f64; height * width];
        for i in 0..height {
            for j in (0..width).filter(|j| kinds[i * width + j] != NO_PAIR) {
                let kind = kinds[i * width + j];
                let mut sum = ends[kind];
                if i > 0 && j + 1 < width {
                    for gap in 0..=LONGEST_GAP.min(i - 1) {
                        let start = (i - 1 - gap) * width + j + 1;
                        let cells = start..start + (LONGEST_GAP - gap).min(width - 2 - j) + 1;
                        for (cell, factors) in cells.zip(&loops.before[gap]) {
                            sum += five[cell] * factors[kind][kinds[cell]];
                        }
                    }
                    if i > 1 && j + 2 < width {
                        let cell = (i - 2) * width + j + 2;
                        sum += five[cell] * guanines(i - 1, j + 1, kinds[cell], kind);
                    }
                }
                five[i * width + j] = sum;
            }
        }
        for i in (0..height).rev() {
            for j in (0..width).filter(|j| kinds[i * width + j] != NO_PAIR) {
                let kind = kinds[i * width + j];
                let mut sum = ends[kind];
                if i + 1 < height && j > 0 {
                    for gap in 0..=LONGEST_GAP.min(height - 2 - i) {
                        let last = (i + 1 + gap) * width + j - 1;
                        let cells = (last - (LONGEST_GAP - gap).min(j - 1)..=last).rev();
                        for (cell, factors) in cells.zip(&loops.after[gap]) {
                            sum += three[cell] * factors[kind][kinds[cell]];
                        }
                    }
                    if i + 2 < height && j > 1 {
                        let cell = (i + 2) * width + j - 2;
                        sum += three[cell] * guanines(i + 1, j - 1, kind, kinds[cell]);
                    }
                }
                three[i * width + j] = sum;
            }
        }
        let paired = kinds.iter().zip(&five).filter(|(kind, _)| **kind != NO_PAIR);
        let all: f64 = paired.map(|(kind, sum)| sum * ends[*kind]).sum();
        let logarithms = |sums: &[f64]| -> Vec<f32> {
            sums.iter().map(|&sum| if sum > 0.0 { sum.ln() as f32 } else { 0.0 }).collect()
        };
        Self {
            toward_five_prime: logarithms(&five),
            toward_three_prime: logarithms(&three),
            probability: five.iter().zip(&three).map(|(five, three)| (five * three / all.max(1e-300)) as f32).collect(),
            logarithm: all.ln_1p() as f32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every duplex of two strands by enumeration: chains of pairs, each further in than the last.
    fn enumerated(first: &[u8], second: &[u8]) -> (f64, Vec<f64>) {
        struct Walk<'a> {
            first: &'a [u8],
            second: &'a [u8],
            chain: Vec<(usize, usize)>,
            total: f64,
            paired: Vec<f64>,
        }
        impl Walk<'_> {
            fn kind(&self, i: usize, j: usize) -> Option<usize> {
                pair_kind(base_code(self.first[i]), base_code(self.second[j]))
            }

            fn go_on(&mut self, i: usize, j: usize, weight: f64) {
                let kind = self.kind(i, j).expect("a pair");
                self.chain.push((i, j));
                let ended = weight * ENERGIES.helix_end[kind];
                self.total += ended;
                for (i, j) in self.chain.clone() {
                    self.paired[i * self.second.len() + j] += ended;
                }
                for k in i + 1..self.first.len() {
                    for l in 0..j {
                        let (five, three) = (k - i - 1, j - l - 1);
                        if five + three <= LONGEST_GAP
                            && let Some(inner) = self.kind(k, l)
                        {
                            let guanines = self.first[i + 1] == b'G' && self.second[j - 1] == b'G';
                            self.go_on(k, l, weight * loop_factor(kind, turned(inner), five, three, guanines));
                        }
                    }
                }
                self.chain.pop();
            }
        }
        let paired = vec![0.0; first.len() * second.len()];
        let mut walk = Walk { first, second, chain: Vec::new(), total: 0.0, paired };
        for i in 0..first.len() {
            for j in 0..second.len() {
                if let Some(kind) = walk.kind(i, j) {
                    walk.go_on(i, j, ENERGIES.helix_end[kind]);
                }
            }
        }
        let total = walk.total;
        (total, walk.paired.iter().map(|sum| sum / total).collect())
    }

    #[test]
    fn sums_are_those_of_all_duplexes_one_by_one() {
        for (first, second) in [("GAGGUAGN", "CUAACCUGC"), ("A", "U"), ("GGGGCCCC", "GGCGCUUC"), ("ACGUACGUA", "UGU")] {
            let (total, paired) = enumerated(first.as_bytes(), second.as_bytes());
            let duplex = Duplex::new(first.as_bytes(), second.as_bytes());
            assert!((f64::from(duplex.logarithm) - total.ln_1p()).abs() < 1e-5, "{first} {second}");
            for (ours, expected) in duplex.probability.iter().zip(paired) {
                assert!((f64::from(*ours) - expected).abs() < 1e-5, "{first} {second}: {ours} {expected}");
            }
        }
    }

    #[test]
    fn a_helix_of_let_7_and_its_site() {
        // The last seven bases of the site pair with positions 2-8.
        let (mirna, site) = (b"UGAGGUAGUAGGUUGUAUAGUU", b"GGGAAACUACCUCA");
        let duplex = Duplex::new(mirna, site);
        for position in 1..8 {
            let j = site.len() - 1 - position;
            assert!(duplex.probability[position * site.len() + j] > 0.9, "{position}");
        }
        let unpaired = Duplex::new(b"AAAAA", b"AAAAAA");
        assert_eq!(unpaired.logarithm, 0.0);
        assert!(unpaired.probability.iter().all(|&p| p == 0.0));
        assert_eq!(Duplex::new(b"", b"ACGU").logarithm, 0.0);
    }
}
