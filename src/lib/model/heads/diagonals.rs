//! A mirtarget head that reads the duplex diagonal by diagonal.
//!
//! On a diagonal of the map of miRNA x site lie the base pairs of one register: miRNA position 1 opposite one base of the
//! site, position 2 opposite its neighbour, and so on. What a diagonal says is a sum over the miRNA's positions, each with
//! a weight of its own for every kind of pair and for mismatches, so that the seed, the bulged middle and the
//! supplementary pairs are told apart; what the encoder says of the site around the seed is added. Residual blocks
//! of convolutions across neighbouring diagonals join helices that a bulge or an interior loop has moved apart. Mean and
//! largest values over all diagonals decide. Of the miRNA the head sees nothing but whom its bases pair with.

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::mirtarget::{Pair, nucleotides, starts};
use super::residual_block::ResidualBlock;
use super::{WithBias, constant, norm};
use crate::model::builder::{Builder, fan_in};
use crate::model::config::default_norm_epsilon;
use crate::model::ops::bias::add_bias_relu;
use crate::model::ops::convolution::convolution_1d;
use crate::model::ops::dropout::{Dropout, dropped};
use crate::model::ops::linear::linear;
use crate::model::ops::rms_norm::rms_norm;
use crate::model::ops::rows::select_rows;
use crate::{Error, Result};

/// Positions of the miRNA, from its 5' end, that the head looks at.
const POSITIONS: usize = 24;

/// What two bases opposite each other may be: one of the six canonical pairs, or a mismatch.
const KINDS: usize = 7;

/// Numbers that describe a diagonal: which kind of pair is at which position of the miRNA.
const DIAGONAL_FEATURES: usize = POSITIONS * KINDS;

/// Neighbouring diagonals that a convolution sees.
const KERNEL: usize = 5;

/// Bases of the site, around the one opposite [`SITE_CENTRE`], that a diagonal sees.
const SITE_KERNEL: usize = 15;

/// The miRNA's position (0-based) opposite which the site is looked at: the middle of the seed.
const SITE_CENTRE: usize = 3;

/// Pairs computed at a time for inference.
const PAIRS: usize = 16;

/// The sizes of the head.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiagonalsConfig {
    /// Residual blocks.
    pub blocks: usize,
    /// Numbers per diagonal.
    pub width: usize,
    /// Networks of this shape that are trained side by side and whose logits are averaged.
    pub members: usize,
    /// The epsilon of every RMSNorm.
    #[serde(default = "default_norm_epsilon")]
    pub norm_epsilon: f64,
}

/// The head's weights.
#[derive(Clone, Debug)]
pub struct DiagonalsHead {
    members: Vec<Member>,
}

/// One of the networks.
#[derive(Clone, Debug)]
struct Member {
    pairing: WithBias,
    site: Tensor,
    blocks: Vec<ResidualBlock>,
    norm: Tensor,
    pair: [WithBias; 2],
    norm_epsilon: f64,
}

/// What the letters of a batch of pairs say, whatever the weights.
struct Layout {
    /// [diagonals, [`DIAGONAL_FEATURES`]].
    pairing: Tensor,
    /// The row of the features of each base of the sites.
    rows: Vec<u32>,
    /// Where each site begins among these, and where the last ends.
    sites: Vec<usize>,
    /// The base of the sites that each diagonal sees in its middle; one more than there are where it lies beyond.
    centres: Vec<u32>,
    /// Where the diagonals of each pair begin, and where the last end.
    diagonals: Vec<usize>,
}

impl Layout {
    fn new(features: &Tensor, pairs: &[Pair]) -> Result<Self> {
        let empty = pairs.iter().any(|pair| pair.mirna.is_empty() || pair.site.is_empty());
        let starts = starts(pairs);
        if empty || starts[pairs.len()] != features.dim(0)? {
            return Err(Error::Usage("pairs of a miRNA and a site do not fit their features, or are empty".into()));
        }
        let mut pairing = Vec::new();
        let (mut rows, mut sites) = (Vec::new(), vec![0]);
        let (mut centres, mut diagonals) = (Vec::new(), vec![0]);
        let beyond = pairs.iter().map(|pair| pair.site.len()).sum::<usize>();
        for (pair, &start) in pairs.iter().zip(&starts) {
            let (first, length) = (rows.len(), pair.site.len());
            let row = start + pair.mirna.len();
            rows.extend((row..row + length).map(|row| row as u32));
            sites.push(first + length);
            for diagonal in diagonal_range(pair) {
                pairing_features(pair, diagonal, &mut pairing);
                let centre = base_opposite(diagonal, SITE_CENTRE, length);
                centres.push(centre.map_or(beyond, |base| first + base) as u32);
            }
            diagonals.push(centres.len());
        }
        let pairing = constant(pairing, (centres.len(), DIAGONAL_FEATURES), features)?;
        Ok(Self { pairing, rows, sites, centres, diagonals })
    }
}

impl Member {
    fn build(config: &DiagonalsConfig, d: usize, builder: &Builder) -> Result<Self> {
        let DiagonalsConfig { blocks, width, norm_epsilon, .. } = *config;
        let pair = builder.pp("pair");
        // One kind of pair at each position: as many features are 1 as there are positions.
        let start = fan_in(&[width, POSITIONS]);
        let pairing = builder.pp("pairing");
        let site = [width, d, SITE_KERNEL];
        Ok(Self {
            pairing: WithBias {
                weight: pairing.get_with_hints((width, DIAGONAL_FEATURES), "weight", start)?,
                bias: pairing.get_with_hints(width, "bias", start)?,
            },
            site: builder.pp("site").get_with_hints(&site, "weight", fan_in(&site))?,
            blocks: ResidualBlock::all(blocks, &[width, width, KERNEL], &[1], norm_epsilon, builder)?,
            norm: norm(builder, width)?,
            pair: [WithBias::build(&pair, "0", &[width, 2 * width])?, WithBias::build(&pair, "2", &[2, width])?],
            norm_epsilon,
        })
    }

    /// Logits [pairs, 2].
    fn forward(&self, features: &Tensor, layout: &Layout, mut dropout: Option<&mut Dropout>) -> Result<Tensor> {
        let Layout { pairing, rows, sites, centres, diagonals } = layout;
        let site = convolution_1d(&select_rows(features, rows.clone())?, &self.site, sites, 1)?;
        // A row of zeros for diagonals whose centre lies beyond the site.
        let site = site.pad_with_zeros(0, 0, 1)?;
        let x = (linear(pairing, &self.pairing.weight)? + select_rows(&site, centres.clone())?)?;
        let mut x = add_bias_relu(&x, &self.pairing.bias)?;
        for block in &self.blocks {
            let change = block.change(&x, |x, weight| convolution_1d(x, weight, diagonals, block.dilation))?;
            x = (x + dropped(change, &mut dropout)?)?;
        }
        let x = rms_norm(&x, &self.norm, self.norm_epsilon)?;
        let summaries = diagonals
            .windows(2)
            .map(|bounds| {
                let map = x.narrow(0, bounds[0], bounds[1] - bounds[0])?;
                Ok(Tensor::cat(&[map.mean(0)?, map.max(0)?], 0)?)
            })
            .collect::<Result<Vec<_>>>()?;
        let [first, second] = &self.pair;
        let summaries = dropped(Tensor::stack(&summaries, 0)?, &mut dropout)?;
        let hidden = add_bias_relu(&linear(&summaries, &first.weight)?, &first.bias)?;
        second.apply(&dropped(hidden, &mut dropout)?)
    }
}

impl DiagonalsHead {
    /// A head of the tensors that `builder` gives, for features of `d` numbers.
    ///
    /// # Errors
    /// Where a tensor is missing.
    pub fn build(config: &DiagonalsConfig, d: usize, builder: &Builder) -> Result<Self> {
        let member = |number: usize| Member::build(config, d, &builder.pp("members").pp(number));
        Ok(Self { members: (0..config.members).map(member).collect::<Result<_>>()? })
    }

    /// Logits [members x pairs, 2] (no target, target), member by member, from the features [nucleotides, d] of pairs end to
    /// end, each the miRNA's and then the site's, and from their letters. Differentiable.
    ///
    /// # Errors
    /// Where letters and features do not fit each other, or a tensor operation fails.
    pub fn forward(&self, features: &Tensor, pairs: &[Pair], mut dropout: Option<&mut Dropout>) -> Result<Tensor> {
        let layout = Layout::new(features, pairs)?;
        let logits = self.members.iter().map(|member| member.forward(features, &layout, dropout.as_deref_mut()));
        Ok(Tensor::cat(&logits.collect::<Result<Vec<_>>>()?, 0)?)
    }

    /// The mean logits of all members, [pairs, 2].
    fn mean_logits(&self, features: &Tensor, pairs: &[Pair]) -> Result<Tensor> {
        let logits = self.forward(features, pairs, None)?;
        Ok(logits.reshape((self.members.len(), pairs.len(), 2))?.mean(0)?)
    }

    /// About how many bytes of main memory [`DiagonalsHead::logits`] takes at most for `pairs`, by all threads of the current
    /// rayon pool; nothing on a device with memory of its own.
    pub fn memory(&self, pairs: &[Pair]) -> u64 {
        let Some(member) = self.members.first().filter(|member| member.norm.device().is_cpu()) else { return 0 };
        let width = member.norm.elem_count();
        // What the blocks hold at once of each register, the patches of their convolution among it; and what the letters say
        // of each cell.
        let numbers = |pair: &Pair| {
            let registers = pair.mirna.len() + pair.site.len();
            (registers * (14 * width + 16 * pair.mirna.len())) as u64
        };
        let mut of_chunks: Vec<u64> = pairs.chunks(PAIRS).map(|chunk| chunk.iter().map(numbers).sum()).collect();
        of_chunks.sort_unstable_by(|a, b| b.cmp(a));
        let at_a_time: u64 = of_chunks.iter().take(rayon::current_num_threads()).sum();
        4 * at_a_time
    }

    /// The logits for inference, `[pairs][2]` end to end, by all threads of the current rayon pool.
    ///
    /// # Errors
    /// As [`DiagonalsHead::forward`].
    pub fn logits(&self, features: &Tensor, pairs: &[Pair]) -> Result<Tensor> {
        let features = features.detach();
        let starts = starts(pairs);
        if !features.device().is_cpu() || starts[pairs.len()] != features.dim(0)? {
            return self.mean_logits(&features, pairs);
        }
        let parts = pairs
            .par_chunks(PAIRS)
            .zip(starts.par_chunks(PAIRS))
            .map(|(pairs, starts)| {
                let length = pairs.iter().map(nucleotides).sum();
                self.mean_logits(&features.narrow(0, starts[0], length)?, pairs)
            })
            .collect::<Result<Vec<_>>>()?;
        match parts.is_empty() {
            true => Ok(Tensor::zeros((0, 2), DType::F32, &Device::Cpu)?),
            false => Ok(Tensor::cat(&parts, 0)?),
        }
    }
}

/// The diagonals on which at least one base of the miRNA has one of the site opposite it: diagonal d has miRNA position i
/// (0-based) opposite the base i + d from the site's 3' end.
fn diagonal_range(pair: &Pair) -> std::ops::Range<isize> {
    1 - pair.mirna.len().min(POSITIONS) as isize..pair.site.len() as isize
}

/// The base of a site of `length` bases, from its 5' end, that is opposite `position` of the miRNA on a diagonal.
fn base_opposite(diagonal: isize, position: usize, length: usize) -> Option<usize> {
    let from_end = usize::try_from(diagonal + position as isize).ok()?;
    (length - 1).checked_sub(from_end)
}

/// Appends the [`DIAGONAL_FEATURES`] of one diagonal: for each position of the miRNA, 1 at the kind of pair that it makes.
/// N and what is opposite nothing are of no kind.
fn pairing_features(pair: &Pair, diagonal: isize, features: &mut Vec<f32>) {
    let start = features.len();
    features.resize(start + DIAGONAL_FEATURES, 0.0);
    for (position, &letter) in pair.mirna.iter().take(POSITIONS).enumerate() {
        if let Some(base) = base_opposite(diagonal, position, pair.site.len())
            && let Some(kind) = kind(letter, pair.site[base])
        {
            features[start + position * KINDS + kind] = 1.0;
        }
    }
}

/// What two bases opposite each other are; nothing where one is unknown.
fn kind(mirna: u8, site: u8) -> Option<usize> {
    if mirna == b'N' || site == b'N' {
        return None;
    }
    let canonical = [b"AU", b"UA", b"GC", b"CG", b"GU", b"UG"].iter().position(|pair| **pair == [mirna, site]);
    Some(canonical.unwrap_or(KINDS - 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::builder::{draw, read};

    fn head(width: usize) -> DiagonalsHead {
        let config = DiagonalsConfig { blocks: 2, width: 6, members: 2, norm_epsilon: 1e-6 };
        let build = |builder: &Builder| DiagonalsHead::build(&config, width, builder);
        build(&read(&draw(5, |builder| build(builder).map(drop)).unwrap())).unwrap()
    }

    /// Features of pairs, each the same whatever stands beside it.
    fn features(pairs: &[Pair], width: usize) -> Tensor {
        let rows: Vec<usize> = pairs.iter().map(nucleotides).collect();
        let values: Vec<f32> =
            rows.iter().flat_map(|rows| (0..rows * width).map(|i| ((i as f32) * 0.37).sin())).collect();
        Tensor::from_vec(values, (rows.iter().sum::<usize>(), width), &Device::Cpu).unwrap()
    }

    #[test]
    fn a_diagonal_holds_the_pairs_of_one_register() {
        // Positions 2 to 5 of the miRNA pair with bases 1 to 4 of the site; position 1 is opposite its last A.
        let pair = Pair { mirna: b"UGAGGN", site: b"GCCUCA" };
        assert_eq!(diagonal_range(&pair), -5..6);
        let mut features = Vec::new();
        pairing_features(&pair, 0, &mut features);
        let kinds: Vec<Option<usize>> =
            features.chunks(KINDS).map(|kinds| kinds.iter().position(|&kind| kind == 1.0)).collect();
        assert_eq!(kinds[..7], [Some(1), Some(2), Some(0), Some(2), Some(2), None, None]);
        assert_eq!(features.iter().sum::<f32>(), 5.0);
        // One base on, U meets C and G meets U.
        features.clear();
        pairing_features(&pair, 1, &mut features);
        assert_eq!(features.iter().sum::<f32>(), 5.0);
        assert_eq!((features[KINDS - 1], features[KINDS + 4]), (1.0, 1.0));
        assert_eq!([-4, 0, 5].map(|diagonal| base_opposite(diagonal, SITE_CENTRE, 6)), [None, Some(2), None]);
    }

    #[test]
    fn a_pair_gets_the_same_logits_in_any_batch() {
        let (head, width) = (head(16), 16);
        let letters = b"GAUUACAGGCUAACGUGCAUUUGCANGUCCAGUAACGGAUCCUUAGGCAUCGAUGGCAUCAAGGCUAACG";
        let pairs: Vec<Pair> = (0..31)
            .map(|i| Pair { mirna: &letters[i..i + 18 + i % 9], site: &letters[i..i + 7 + 2 * (i % 17)] })
            .collect();
        let logits = head.logits(&features(&pairs, width), &pairs).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(logits.len(), pairs.len());
        for (pair, expected) in pairs.iter().zip(&logits) {
            let own = head.logits(&features(&[*pair], width), &[*pair]).unwrap().to_vec2::<f32>().unwrap();
            assert_eq!(&own[0], expected);
        }
        assert_eq!(head.logits(&features(&[], width), &[]).unwrap().dims(), [0, 2]);
    }

    #[test]
    fn letters_that_do_not_fit_the_features_are_refused() {
        let (head, width) = (head(16), 16);
        let pair = Pair { mirna: b"GGA", site: b"UCC" };
        let features = features(&[pair], width);
        for wrong in [vec![], vec![pair, pair], vec![Pair { mirna: b"GG", ..pair }], vec![Pair { mirna: b"", ..pair }]]
        {
            assert!(head.forward(&features, &wrong, None).is_err());
        }
        assert!(head.logits(&features, &[pair, pair]).is_err());
    }
}
