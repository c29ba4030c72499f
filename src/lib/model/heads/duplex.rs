//! A mirtarget head that looks at the duplex: residual convolutions over the map of miRNA positions x site positions.
//!
//! A cell of the map starts as the sum of what its two bases say (miRNA and site projected apart) and of
//! `DUPLEX_FEATURES` numbers that follow from the letters: which pair they make, how long the helix around it is, how likely
//! the pair is by free energy, and how far it lies from the ends. Residual blocks of [RMSNorm, 3x3 convolution, ReLU, 1x1]
//! follow. Mean and largest values of the map, and the mean features of either sequence, decide.

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::mirtarget::{Pair, nucleotides, starts};
use super::residual_block::ResidualBlock;
use super::{WithBias, constant, norm};
use crate::model::builder::Builder;
use crate::model::config::default_norm_epsilon;
use crate::model::ops::bias::add_bias_relu;
use crate::model::ops::convolution::convolution_of_maps;
use crate::model::ops::dropout::{Dropout, dropped};
use crate::model::ops::linear::linear;
use crate::model::ops::rms_norm::rms_norm;
use crate::model::ops::rows::select_rows;
use crate::thermodynamics::Duplex;
use crate::{Error, Result};

/// Numbers per cell that follow from the letters alone.
const DUPLEX_FEATURES: usize = 19;

/// Pairs computed at a time for inference: few enough that their maps stay in the second-level cache.
const PAIRS: usize = 8;

/// The sizes of the head.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DuplexConfig {
    /// Residual blocks.
    pub blocks: usize,
    /// Numbers per cell of the map.
    pub width: usize,
    /// The epsilon of every RMSNorm.
    #[serde(default = "default_norm_epsilon")]
    pub norm_epsilon: f64,
}

/// The head's weights.
#[derive(Clone, Debug)]
pub struct DuplexHead {
    mirna: WithBias,
    site: WithBias,
    features: WithBias,
    blocks: Vec<ResidualBlock>,
    norm: Tensor,
    pair: [WithBias; 2],
    norm_epsilon: f64,
}

impl DuplexHead {
    /// A head of the tensors that `builder` gives, for features of `d` numbers.
    ///
    /// # Errors
    /// Where a tensor is missing.
    pub fn build(config: &DuplexConfig, d: usize, builder: &Builder) -> Result<Self> {
        let DuplexConfig { blocks, width, norm_epsilon } = *config;
        let (cells, pair) = (builder.pp("cells"), builder.pp("pair"));
        Ok(Self {
            mirna: WithBias::build(&cells, "mirna", &[width, d])?,
            site: WithBias::build(&cells, "site", &[width, d])?,
            features: WithBias::build(&cells, "features", &[width, DUPLEX_FEATURES])?,
            blocks: ResidualBlock::all(blocks, &[width, width, 3, 3], &[1], norm_epsilon, builder)?,
            norm: norm(builder, width)?,
            pair: [WithBias::build(&pair, "0", &[d, 2 * width + 2 * d])?, WithBias::build(&pair, "2", &[2, d])?],
            norm_epsilon,
        })
    }

    /// Logits [pairs, 2] (no target, target) from the features [nucleotides, d] of pairs end to end, each the miRNA's and
    /// then the site's, and from their letters. Differentiable.
    ///
    /// # Errors
    /// Where letters and features do not fit each other, or a tensor operation fails.
    pub fn forward(&self, features: &Tensor, pairs: &[Pair], mut dropout: Option<&mut Dropout>) -> Result<Tensor> {
        let empty = pairs.iter().any(|pair| pair.mirna.is_empty() || pair.site.is_empty());
        let starts = starts(pairs);
        if empty || starts[pairs.len()] != features.dim(0)? {
            return Err(Error::Failed("pairs of a miRNA and a site do not fit their features, or are empty".into()));
        }
        let maps: Vec<(usize, usize)> = pairs.iter().map(|pair| (pair.mirna.len(), pair.site.len())).collect();
        let cells: usize = maps.iter().map(|(height, width)| height * width).sum();
        let (mut of_mirnas, mut of_sites) = (Vec::with_capacity(cells), Vec::with_capacity(cells));
        let mut numbers = Vec::with_capacity(cells * DUPLEX_FEATURES);
        for (pair, &mirna) in pairs.iter().zip(&starts) {
            let site = mirna + pair.mirna.len();
            for i in 0..pair.mirna.len() {
                of_mirnas.extend(std::iter::repeat_n((mirna + i) as u32, pair.site.len()));
                of_sites.extend((site..site + pair.site.len()).map(|row| row as u32));
            }
            duplex_features(pair, &mut numbers);
        }
        let numbers = constant(numbers, (cells, DUPLEX_FEATURES), features)?;
        let mut x = self.features.apply(&numbers)?;
        x = (x + select_rows(&self.mirna.apply(features)?, of_mirnas)?)?;
        x = (x + select_rows(&self.site.apply(features)?, of_sites)?)?;
        for block in &self.blocks {
            let change = block.change(&x, |x, weight| convolution_of_maps(x, weight, maps.clone(), block.dilation))?;
            x = (x + dropped(change, &mut dropout)?)?;
        }
        let x = rms_norm(&x, &self.norm, self.norm_epsilon)?;
        let mut start_of_map = 0;
        let summaries = pairs
            .iter()
            .zip(&starts)
            .zip(&maps)
            .map(|((pair, &start), (height, width))| {
                let map = x.narrow(0, start_of_map, height * width)?;
                start_of_map += height * width;
                let mirna = features.narrow(0, start, pair.mirna.len())?.mean(0)?;
                let site = features.narrow(0, start + pair.mirna.len(), pair.site.len())?.mean(0)?;
                Ok(Tensor::cat(&[map.mean(0)?, map.max(0)?, mirna, site], 0)?)
            })
            .collect::<Result<Vec<_>>>()?;
        let [first, second] = &self.pair;
        let summaries = dropped(Tensor::stack(&summaries, 0)?, &mut dropout)?;
        let hidden = add_bias_relu(&linear(&summaries, &first.weight)?, &first.bias)?;
        second.apply(&dropped(hidden, &mut dropout)?)
    }

    /// About how many bytes of main memory [`DuplexHead::logits`] takes at most for `pairs`, by all threads of the current
    /// rayon pool; nothing on a device with memory of its own.
    pub fn memory(&self, pairs: &[Pair]) -> u64 {
        if !self.norm.device().is_cpu() {
            return 0;
        }
        let cells = |pair: &Pair| (pair.mirna.len() * pair.site.len()) as u64;
        let mut of_chunks: Vec<u64> = pairs.chunks(PAIRS).map(|chunk| chunk.iter().map(cells).sum()).collect();
        of_chunks.sort_unstable_by(|a, b| b.cmp(a));
        let at_a_time: u64 = of_chunks.iter().take(rayon::current_num_threads()).sum();
        // What a block holds at once, the patches of its convolution among it; and the sums and kinds of the duplexes.
        4 * at_a_time * (14 * self.norm.elem_count() as u64 + 3 * DUPLEX_FEATURES as u64)
    }

    /// The logits for inference, `[pairs][2]` end to end, by all threads of the current rayon pool.
    ///
    /// # Errors
    /// As [`DuplexHead::forward`].
    pub fn logits(&self, features: &Tensor, pairs: &[Pair]) -> Result<Tensor> {
        let features = features.detach();
        let starts = starts(pairs);
        if !features.device().is_cpu() || starts[pairs.len()] != features.dim(0)? {
            return self.forward(&features, pairs, None);
        }
        let parts = pairs
            .par_chunks(PAIRS)
            .zip(starts.par_chunks(PAIRS))
            .map(|(pairs, starts)| {
                let length = pairs.iter().map(nucleotides).sum();
                self.forward(&features.narrow(0, starts[0], length)?, pairs, None)
            })
            .collect::<Result<Vec<_>>>()?;
        match parts.is_empty() {
            true => Ok(Tensor::zeros((0, 2), DType::F32, &Device::Cpu)?),
            false => Ok(Tensor::cat(&parts, 0)?),
        }
    }
}

/// Probabilities closer to 0 or 1 than this look the same.
const SURE: f32 = 1e-6;

/// The logarithm of the odds of [`SURE`].
const SURE_LOG_ODDS: f32 = 13.8;

/// Appends [`DUPLEX_FEATURES`] numbers for every cell: the six canonical pairs one by one; of a canonical pair the length
/// of the uninterrupted helix on either side, the logarithms of the sums over the duplexes on either side, its
/// probability by free energy and the logarithm of its odds; how well the two sequences pair as a whole; whether the cell
/// is at the miRNA's first position, in the seed (2-8) or where supplementary pairing is common (13-16); and how far it
/// is from the 5' end of the miRNA and from both ends of the site.
fn duplex_features(pair: &Pair, features: &mut Vec<f32>) {
    let (mirna, site) = (pair.mirna, pair.site);
    let (height, width) = (mirna.len(), site.len());
    let duplex = Duplex::new(mirna, site);
    let kinds: Vec<Option<usize>> = mirna.iter().flat_map(|&a| site.iter().map(move |&b| kind(a, b))).collect();
    let pairs = |i: usize, j: usize| kinds[i * width + j].is_some();
    // Pairs that follow each other without a gap, ending at each cell.
    let (mut before, mut after) = (vec![0f32; height * width], vec![0f32; height * width]);
    for i in 1..height {
        for j in (0..width.saturating_sub(1)).filter(|&j| pairs(i - 1, j + 1)) {
            before[i * width + j] = before[(i - 1) * width + j + 1] + 1.0;
        }
    }
    for i in (0..height.saturating_sub(1)).rev() {
        for j in (1..width).filter(|&j| pairs(i + 1, j - 1)) {
            after[i * width + j] = after[(i + 1) * width + j - 1] + 1.0;
        }
    }
    let flag = |set: bool| if set { 1.0 } else { 0.0 };
    for i in 0..height {
        for j in 0..width {
            let cell = i * width + j;
            let mut row = [0f32; DUPLEX_FEATURES];
            if let Some(kind) = kinds[cell] {
                let probability = duplex.probability[cell];
                row[kind] = 1.0;
                row[6] = before[cell] / 6.0;
                row[7] = after[cell] / 6.0;
                row[8] = duplex.toward_five_prime[cell] / 20.0;
                row[9] = duplex.toward_three_prime[cell] / 20.0;
                row[10] = probability;
                row[11] = ((probability + SURE) / (1.0 - probability + SURE)).ln() / SURE_LOG_ODDS;
            }
            row[12] = duplex.logarithm / 20.0;
            row[13] = flag(i == 0);
            row[14] = flag((1..8).contains(&i));
            row[15] = flag((12..16).contains(&i));
            row[16] = i as f32 / 25.0;
            row[17] = j as f32 / 40.0;
            row[18] = (width - 1 - j) as f32 / 40.0;
            features.extend_from_slice(&row);
        }
    }
}

/// Which of the six canonical pairs two letters make.
fn kind(a: u8, b: u8) -> Option<usize> {
    [b"AU", b"UA", b"GC", b"CG", b"GU", b"UG"].iter().position(|pair| **pair == [a, b])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::builder::draw;

    #[test]
    fn features_tell_pairs_helices_and_places() {
        // UGAGG of the miRNA pairs with the end of the site.
        let pair = Pair { mirna: b"UGAGGN", site: b"ACCUCA" };
        let mut features = Vec::new();
        duplex_features(&pair, &mut features);
        assert_eq!(features.len(), 36 * DUPLEX_FEATURES);
        let at = |i: usize, j: usize| &features[(i * 6 + j) * DUPLEX_FEATURES..][..DUPLEX_FEATURES];
        // Position 1, U, on the last A: the helix goes on for four pairs.
        assert_eq!(at(0, 5)[..8], [0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 4.0 / 6.0]);
        assert_eq!(at(4, 1)[..8], [0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 4.0 / 6.0, 0.0]);
        assert!(at(2, 3)[10] > 0.9 && at(2, 3)[11] > 0.0);
        // No pair: nothing but places and the whole.
        assert!(at(5, 0)[..12].iter().all(|&x| x == 0.0));
        assert!(at(5, 0)[12] > 0.0);
        assert_eq!(at(5, 0)[13..], [0.0, 1.0, 0.0, 0.2, 0.0, 0.125]);
        assert_eq!(at(0, 5)[13..], [1.0, 0.0, 0.0, 0.0, 0.125, 0.0]);
    }
    fn head(width: usize) -> (DuplexHead, usize) {
        let config = DuplexConfig { blocks: 2, width: 6, norm_epsilon: 1e-6 };
        let mut head = None;
        draw(5, |builder| {
            head = Some(DuplexHead::build(&config, width, builder)?);
            Ok(())
        })
        .unwrap();
        (head.unwrap(), width)
    }

    /// Features of pairs, each the same whatever stands beside it.
    fn features(pairs: &[Pair], width: usize) -> Tensor {
        let of_pair = |pair| (0..nucleotides(pair) * width).map(|i| ((i as f32) * 0.37).sin());
        let values: Vec<f32> = pairs.iter().flat_map(of_pair).collect();
        let rows = values.len() / width;
        Tensor::from_vec(values, (rows, width), &Device::Cpu).unwrap()
    }

    #[test]
    fn a_pair_gets_the_same_logits_in_any_batch() {
        let (head, width) = head(16);
        let letters = b"GAUUACAGGCUAACGUGCAUUUGCANGUCCAGUAACGGAUCCUUAGGCAUCGAUGGCAUCAAGGCUAACG";
        let pairs: Vec<Pair> = (0..21)
            .map(|i| Pair { mirna: &letters[i..i + 18 + i % 5], site: &letters[i..i + 7 + 2 * (i % 17)] })
            .collect();
        let together = features(&pairs, width);
        let logits = head.logits(&together, &pairs).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(logits.len(), pairs.len());
        for (pair, expected) in pairs.iter().zip(&logits) {
            let own = head.logits(&features(&[*pair], width), &[*pair]).unwrap().to_vec2::<f32>().unwrap();
            assert_eq!(&own[0], expected);
        }
        let whole = head.forward(&together, &pairs, None).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(whole, logits);
        assert_eq!(head.logits(&features(&[], width), &[]).unwrap().dims(), [0, 2]);
    }

    #[test]
    fn letters_that_do_not_fit_the_features_are_refused() {
        let (head, width) = head(16);
        let pair = Pair { mirna: b"GGA", site: b"UCC" };
        let features = features(&[pair], width);
        for wrong in [vec![], vec![pair, pair], vec![Pair { mirna: b"GG", ..pair }], vec![Pair { mirna: b"", ..pair }]]
        {
            assert!(head.forward(&features, &wrong, None).is_err());
        }
        assert!(head.logits(&features, &[pair, pair]).is_err());
    }
}
