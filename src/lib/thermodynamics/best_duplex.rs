//! The duplex of two strands that has the least free energy among those that [`super::Duplex`] sums over.

use super::duplex::{LONGEST_GAP, helix_end, loop_factor};
use super::energies::{THERMAL_ENERGY, base_code, pair_kind, turned};

/// What it costs two strands to meet, kcal/mol (Turner 2004).
const INITIATION: f64 = 4.09;

/// Base pairs of two strands that both read 5'->3'.
#[derive(Clone, Debug, PartialEq)]
pub struct BestDuplex {
    /// Free energy in kcal/mol at 37 °C, the meeting of the strands included.
    pub energy: f32,
    /// Base of the first and base of the second strand, from their 5' ends, in the order of the first.
    pub pairs: Vec<(usize, usize)>,
}

impl BestDuplex {
    /// The best of all duplexes of `first` and `second`, letters ACGUN; of those that hold the base pair `through`, where
    /// one is given. `None` where there is no such duplex.
    pub fn new(first: &[u8], second: &[u8], through: Option<(usize, usize)>) -> Option<Self> {
        let kind = |(i, j): (usize, usize)| pair_kind(base_code(first[i]), base_code(second[j]));
        let (factor, mut pairs) = match through {
            Some((i, j)) => {
                kind((i, j))?;
                let five_prime = Chains::new(&first[..=i], &second[j..]);
                // The other side, seen from the second strand.
                let three_prime = Chains::new(&second[..=j], &first[i..]);
                let mut pairs: Vec<_> = five_prime.back((i, 0)).map(|(k, l)| (k, j + l)).collect();
                pairs.extend(three_prime.back((j, 0)).skip(1).map(|(l, k)| (i + k, l)));
                (five_prime.best(i, 0) * three_prime.best(j, 0), pairs)
            }
            None => {
                let chains = Chains::new(first, second);
                let cells = (0..first.len()).flat_map(|i| (0..second.len()).map(move |j| (i, j)));
                let ended = cells.filter_map(|(i, j)| Some(((i, j), chains.best(i, j) * helix_end(kind((i, j))?))));
                let (last, factor) = ended.max_by(|a, b| a.1.total_cmp(&b.1))?;
                (factor, chains.back(last).collect())
            }
        };
        pairs.sort_unstable();
        Some(Self { energy: (INITIATION - THERMAL_ENERGY * factor.ln()) as f32, pairs })
    }
}

/// For every pair (i, j) the best chain of pairs that ends with it and comes from the 5' side of the first strand.
struct Chains {
    width: usize,
    /// Boltzmann factor, 0 where the letters do not pair.
    factors: Vec<f64>,
    /// The pair before, as a cell.
    before: Vec<Option<usize>>,
}

impl Chains {
    fn new(first: &[u8], second: &[u8]) -> Self {
        let (height, width) = (first.len(), second.len());
        let kinds: Vec<Option<usize>> =
            first.iter().flat_map(|&a| second.iter().map(move |&b| pair_kind(base_code(a), base_code(b)))).collect();
        let mut chains = Self { width, factors: vec![0.0; height * width], before: vec![None; height * width] };
        for i in 0..height {
            for j in (0..width).rev() {
                let Some(inner) = kinds[i * width + j] else { continue };
                let mut best = (helix_end(inner), None);
                for k in i.saturating_sub(1 + LONGEST_GAP)..i {
                    let five = i - k - 1;
                    for l in j + 1..width.min(j + 2 + LONGEST_GAP - five) {
                        let cell = k * width + l;
                        let Some(outer) = kinds[cell] else { continue };
                        let guanines = first[i - 1] == b'G' && second[j + 1] == b'G';
                        let factor =
                            chains.factors[cell] * loop_factor(outer, turned(inner), five, l - j - 1, guanines);
                        if factor > best.0 {
                            best = (factor, Some(cell));
                        }
                    }
                }
                (chains.factors[i * width + j], chains.before[i * width + j]) = best;
            }
        }
        chains
    }

    fn best(&self, i: usize, j: usize) -> f64 {
        self.factors[i * self.width + j]
    }

    /// The pairs of the chain that ends with `last`, from there.
    fn back(&self, (i, j): (usize, usize)) -> impl Iterator<Item = (usize, usize)> + '_ {
        let cells = std::iter::successors(Some(i * self.width + j), |&cell| self.before[cell]);
        cells.map(|cell| (cell / self.width, cell % self.width))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::thermodynamics::Duplex;

    const LET_7A: &[u8] = b"UGAGGUAGUAGGUUGUAUAGUU";

    #[test]
    fn the_seed_of_let_7_pairs_with_its_site() {
        let site = b"GGGAAACUACCUCA";
        let best = BestDuplex::new(LET_7A, site, None).expect("a duplex");
        for position in 0..8 {
            assert!(best.pairs.contains(&(position, site.len() - 1 - position)), "{position}");
        }
        assert!(BestDuplex::new(b"AAAA", b"AAAA", None).is_none());
        assert!(BestDuplex::new(b"", b"", None).is_none());
    }

    /// No duplex weighs more than all together, and without loops to choose from the best is all there is.
    #[test]
    fn the_best_duplex_is_one_of_all() {
        let energy = |factor: f64| (INITIATION - THERMAL_ENERGY * factor.ln()) as f32;
        for (first, second) in [("GAGGUAGN", "CUAACCUGC"), ("GGGGCCCC", "GGCGCUUC"), ("ACGUACGUAAGC", "UGUGGCAACGUA")] {
            let best = BestDuplex::new(first.as_bytes(), second.as_bytes(), None).expect("a duplex");
            let all = Duplex::new(first.as_bytes(), second.as_bytes());
            assert!(best.energy >= energy(f64::from(all.logarithm).exp_m1()), "{first} {second}");
            assert!(best.pairs.is_sorted_by(|a, b| a.0 < b.0 && a.1 > b.1));
        }
        let one = BestDuplex::new(b"A", b"U", None).expect("a duplex");
        let all = Duplex::new(b"A", b"U");
        assert!((one.energy - energy(f64::from(all.logarithm).exp_m1())).abs() < 1e-4);
    }

    #[test]
    fn a_duplex_through_a_pair_holds_it_and_is_the_best_where_that_does() {
        let site = b"CUACCUCAGGGAAACUACCUCA";
        let best = BestDuplex::new(LET_7A, site, None).expect("a duplex");
        for &pair in &best.pairs {
            let through = BestDuplex::new(LET_7A, site, Some(pair)).expect("a duplex");
            assert!((through.energy - best.energy).abs() < 1e-4, "{pair:?}");
        }
        // The other site, through position 2.
        let other = BestDuplex::new(LET_7A, site, Some((1, 6))).expect("a duplex");
        assert!(other.pairs.contains(&(1, 6)) && other.pairs.contains(&(7, 0)));
        assert!(other.energy >= best.energy);
        assert!(BestDuplex::new(LET_7A, site, Some((0, 0))).is_none());
    }
}
