//! A fold head that looks at nothing but pairs that could be part of a helix, and sees far at little cost.
//!
//! The pairs are those of [`HelixPairs`], between a fifth and a quarter of all. One starts as the sum of what its two
//! bases say (5' and 3' base projected apart) and of its features: which letters pair, how far apart they are, how long
//! and strong the helix is that could form around them, how likely the pair is by free energy alone, and what known
//! structures of related RNAs say of it. Residual blocks
//! of [RMSNorm, 3x3 convolution, ReLU, 1x1] with dilations 1, 2, 4, 8, 16, 1, 2, 1 let every pair see those up to 35
//! bases off each way; between them every base gathers what its possible pairs say and tells them all, since it will
//! form one of them at most. Pairs below the diagonal mirror those above.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::helix_pairs::{BYTES_PER_PAIR, Facts, HelixPairs, most_pairs, pair_features};
use super::residual_block::ResidualBlock;
use super::{WithBias, constant, norm};
use crate::model::builder::{Builder, fan_in};
use crate::model::config::default_norm_epsilon;
use crate::model::ops::bias::add_bias_relu;
use crate::model::ops::linear::linear;
use crate::model::ops::pair_convolution::pair_convolution;
use crate::model::ops::pair_list::{Neighbours, PairList};
use crate::model::ops::rms_norm::rms_norm;
use crate::model::ops::rows::{select_rows, sum_rows};
use crate::structure::PairMap;
use crate::{Result, memory};

/// Dilation of each block, repeated where there are more blocks.
const DILATIONS: [usize; 8] = [1, 2, 4, 8, 16, 1, 2, 1];

/// Blocks between one exchange of the bases and the next.
const BLOCKS_BETWEEN: usize = 2;

/// Weighted means that a base takes of its pairs.
const VOICES: usize = 4;

/// A pair's weight in a mean is e^x with x between minus this and this.
const LOUDEST: f64 = 5.0;

/// Logit of a pair that is none of the helix pairs.
const IMPOSSIBLE: f32 = -100.0;

/// Pairs computed at a time by one thread, in inference: 16 MB per map of 32 columns. Up to 5,000 nt
/// the rows around a strip, which are computed anew, are few beside its own.
const STRIP: usize = 1 << 17;

/// Numbers per pair and column that a thread holds at most while it computes blocks or exchanges.
const WORKING: u64 = 5;

/// Bytes that the lists of neighbours of a pair take, at two distances.
const NEIGHBOURS: u64 = 2 * 9 * 8;

/// The sizes of the head.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HelicesConfig {
    /// Residual blocks.
    pub blocks: usize,
    /// Numbers per pair.
    pub width: usize,
    /// The epsilon of every RMSNorm.
    #[serde(default = "default_norm_epsilon")]
    pub norm_epsilon: f64,
    /// Whether the head also reads what known structures of related RNAs say.
    #[serde(default, alias = "relatives")]
    pub homologs: bool,
}

/// Number of exchanges in a head of `blocks` blocks.
fn exchanges(blocks: usize) -> usize {
    blocks.saturating_sub(1) / BLOCKS_BETWEEN
}

/// The head's weights.
#[derive(Clone, Debug)]
pub struct HelixHead {
    first: WithBias,
    second: WithBias,
    features: WithBias,
    blocks: Vec<ResidualBlock>,
    exchanges: Vec<Exchange>,
    norm: Tensor,
    out: WithBias,
    norm_epsilon: f64,
    homologs: bool,
}

/// What the bases gather from their pairs and tell them.
#[derive(Clone, Debug)]
struct Exchange {
    norm: Tensor,
    /// How loud each pair is: [voices, width].
    loudness: Tensor,
    values: WithBias,
    state: WithBias,
    first: WithBias,
    second: WithBias,
}

impl HelixHead {
    /// A head of the tensors that `builder` gives, for features of `d` numbers.
    ///
    /// # Errors
    /// Where a tensor is missing.
    pub fn build(config: &HelicesConfig, d: usize, builder: &Builder) -> Result<Self> {
        let HelicesConfig { blocks, width, norm_epsilon, homologs } = *config;
        let pair = builder.pp("pair");
        Ok(Self {
            first: WithBias::build(&pair, "first", &[width, d])?,
            second: WithBias::build(&pair, "second", &[width, d])?,
            features: WithBias::build(&pair, "features", &[width, pair_features(homologs)])?,
            blocks: ResidualBlock::all(blocks, &[width, width, 3, 3], &DILATIONS, norm_epsilon, builder)?,
            exchanges: (0..exchanges(blocks))
                .map(|i| Exchange::build(width, &builder.pp("exchanges").pp(i)))
                .collect::<Result<_>>()?,
            norm: norm(builder, width)?,
            out: WithBias::build(builder, "out", &[1, width])?,
            norm_epsilon,
            homologs,
        })
    }

    /// The same head without gradients.
    pub fn detached(&self) -> Self {
        let exchanges = self.exchanges.iter().map(|exchange| Exchange {
            norm: exchange.norm.detach(),
            loudness: exchange.loudness.detach(),
            values: exchange.values.detached(),
            state: exchange.state.detached(),
            first: exchange.first.detached(),
            second: exchange.second.detached(),
        });
        Self {
            first: self.first.detached(),
            second: self.second.detached(),
            features: self.features.detached(),
            blocks: self.blocks.iter().map(ResidualBlock::detached).collect(),
            exchanges: exchanges.collect(),
            norm: self.norm.detach(),
            out: self.out.detached(),
            norm_epsilon: self.norm_epsilon,
            homologs: self.homologs,
        }
    }

    /// Whether the head reads what known structures of related RNAs say.
    pub fn reads_homologs(&self) -> bool {
        self.homologs
    }

    /// The pairs of a sequence with all that the head reads about them; homologs of more than the identity
    /// `most_alike` are passed over.
    pub fn pairs<'a>(&self, sequence: &'a [u8], facts: &'a Facts, most_alike: f32) -> HelixPairs<'a> {
        let pairs = HelixPairs::new(sequence, facts);
        match self.homologs {
            true => pairs.with_homologs(facts.homologs.iter().filter(|homolog| homolog.identity <= most_alike)),
            false => pairs,
        }
    }

    /// Logits of the helix pairs, `[pairs]`, from the features `[L, d]` of a sequence. Differentiable.
    ///
    /// # Errors
    /// Where a tensor operation fails.
    pub fn forward(&self, features: &Tensor, pairs: &HelixPairs) -> Result<Tensor> {
        let list = pairs.list();
        let ends = Ends::new(list, 0..list.length());
        let mut x = self.opening(&self.first.apply(features)?, &self.second.apply(features)?, pairs, &ends)?;
        let mut neighbours = BTreeMap::new();
        for stage in 0..=self.exchanges.len() {
            if let Some(exchange) = stage.checked_sub(1).map(|before| &self.exchanges[before]) {
                let spoken = exchange.speak(&x, self.norm_epsilon)?;
                let (first, second) = exchange.answer(&spoken, &ends, list.length())?;
                x = ends.add(&x, &first, &second)?;
            }
            x = self.blocks(&x, list, &mut neighbours, stage)?;
        }
        self.closing(&x)
    }

    /// The logits for inference, by all threads of the current rayon pool. Pairs that are no helix pairs have one that
    /// stands for a probability of zero.
    ///
    /// # Errors
    /// Where a tensor operation fails.
    pub fn logits(&self, features: &Tensor, sequence: &[u8], facts: &Facts) -> Result<PairMap> {
        let mut map = PairMap::zeros(sequence.len(), facts.conditions.max_span)?;
        map.values_mut().fill(IMPOSSIBLE);
        let pairs = self.pairs(sequence, facts, f32::INFINITY);
        let list = pairs.list();
        if list.count() == 0 {
            return Ok(map);
        }
        // A GPU computes all at once with all it has.
        let logits = match list.count() > STRIP && features.device().is_cpu() {
            true => self.logits_of_strips(&features.detach(), &pairs, STRIP)?,
            false => self.forward(&features.detach(), &pairs)?,
        };
        let logits = logits.to_dtype(DType::F32)?.to_vec1::<f32>()?;
        for ((i, j), logit) in list.iter().zip(logits) {
            if let Some(value) = map.get_mut(i, j) {
                *value = logit;
            }
        }
        Ok(map)
    }

    /// About how many bytes of main memory [`HelixHead::logits`] takes at most for a sequence, by all threads of the current
    /// rayon pool, with the facts about it and pairs of at most `span` bases: the map of logits, twice the numbers of all pairs, and what each thread works on.
    pub fn memory(&self, sequence: &[u8], span: usize) -> u64 {
        let (pairs, width) = (most_pairs(sequence, span), self.first.bias.elem_count() as u64);
        let map = 4 * PairMap::count(sequence.len(), span) as u64;
        // Blocks are computed with some rows around the strip; a strip ends with its last row.
        let strip = STRIP as u64 + STRIP as u64 / 4 + 40 * sequence.len().min(span) as u64 / 4;
        let strips = pairs.div_ceil(STRIP as u64).min(rayon::current_num_threads() as u64);
        let at_a_time = pairs.min(strip * strips);
        let of_pair = 4 * (WORKING * width + pair_features(self.homologs) as u64) + NEIGHBOURS;
        map + BYTES_PER_PAIR * pairs + 2 * 4 * (width + VOICES as u64) * pairs + of_pair * at_a_time
    }

    /// As [`HelixHead::forward`], some rows at a time, each time with as many rows around them as they depend on until
    /// the next exchange: two numbers per pair and column are held at most, and every bit is the same.
    fn logits_of_strips(&self, features: &Tensor, pairs: &HelixPairs, strip: usize) -> Result<Tensor> {
        let list = pairs.list();
        let strips = Strips::new(list, strip);
        let (first, second) = (self.first.apply(features)?, self.second.apply(features)?);
        let mut x = strips.each(0, |rows| self.opening(&first, &second, pairs, &Ends::new(list, rows)))?;
        for stage in 0..=self.exchanges.len() {
            if let Some(exchange) = stage.checked_sub(1).map(|before| &self.exchanges[before]) {
                let spoken = strips.each(0, |rows| exchange.speak(&strips.part(&x, rows)?, self.norm_epsilon))?;
                let (first, second) = exchange.answer(&spoken, &Ends::new(list, 0..list.length()), list.length())?;
                drop(spoken);
                x = strips.each(0, |rows| {
                    let part = strips.part(&x, rows.clone())?;
                    Ends::new(list, rows).add(&part, &first, &second)
                })?;
            }
            let reach = self.blocks_of(stage).iter().map(|block| block.dilation).sum();
            x = strips.each(reach, |rows| {
                self.blocks(&strips.part(&x, rows.clone())?, &list.only(rows), &mut BTreeMap::new(), stage)
            })?;
        }
        Ok(strips.each(0, |rows| Ok(self.closing(&strips.part(&x, rows)?)?.unsqueeze(1)?))?.squeeze(1)?)
    }

    /// What the pairs are before the first block, [pairs, width], from what the bases say as 5' and as 3' base.
    fn opening(&self, first: &Tensor, second: &Tensor, pairs: &HelixPairs, ends: &Ends) -> Result<Tensor> {
        let letters = constant(pairs.features(ends.rows.clone()), (ends.firsts.len(), pairs.width()), first)?;
        ends.add(&self.features.apply(&letters)?, first, second)
    }

    /// The blocks between an exchange and the next.
    fn blocks_of(&self, stage: usize) -> &[ResidualBlock] {
        let end = if stage == self.exchanges.len() { self.blocks.len() } else { (stage + 1) * BLOCKS_BETWEEN };
        &self.blocks[stage * BLOCKS_BETWEEN..end]
    }

    fn blocks(
        &self,
        x: &Tensor,
        list: &PairList,
        neighbours: &mut BTreeMap<usize, Arc<Neighbours>>,
        stage: usize,
    ) -> Result<Tensor> {
        let mut x = x.clone();
        for block in self.blocks_of(stage) {
            let new = || Arc::new(Neighbours::new(list, block.dilation));
            let neighbours = neighbours.entry(block.dilation).or_insert_with(new);
            x = (&x + block.change(&x, |x, weight| pair_convolution(x, weight, neighbours))?)?;
        }
        Ok(x)
    }

    fn closing(&self, x: &Tensor) -> Result<Tensor> {
        Ok(self.out.apply(&rms_norm(x, &self.norm, self.norm_epsilon)?)?.squeeze(1)?)
    }
}

impl Exchange {
    fn build(width: usize, builder: &Builder) -> Result<Self> {
        let loudness = [VOICES, width];
        Ok(Self {
            norm: norm(builder, width)?,
            loudness: builder.pp("loudness").get_with_hints(&loudness, "weight", fan_in(&loudness))?,
            values: WithBias::build(builder, "values", &[width, width])?,
            state: WithBias::build(builder, "state", &[width, width + VOICES])?,
            first: WithBias::build(builder, "first", &[width, width])?,
            second: WithBias::build(builder, "second", &[width, width])?,
        })
    }

    /// What the pairs `x` [pairs, width] say: [pairs, width + voices], weighted values and their weights.
    fn speak(&self, x: &Tensor, epsilon: f64) -> Result<Tensor> {
        let h = rms_norm(x, &self.norm, epsilon)?;
        let loudness = ((linear(&h, &self.loudness)? / LOUDEST)?.tanh()? * LOUDEST)?.exp()?;
        let weighted = (self.values.apply(&h)? * linear(&loudness, &self.of_columns(x)?)?)?;
        Ok(Tensor::cat(&[weighted, loudness], 1)?)
    }

    /// What each of `length` bases tells the pairs in which it is the 5' base, and those in which it is the 3' base:
    /// [length, width] both.
    fn answer(&self, spoken: &Tensor, ends: &Ends, length: usize) -> Result<(Tensor, Tensor)> {
        let width = spoken.dim(1)? - VOICES;
        let sums = (sum_rows(spoken, ends.firsts.clone(), length)? + sum_rows(spoken, ends.seconds.clone(), length)?)?;
        // A base without pairs divides zeros by a little more than zero.
        let total = (sums.narrow(1, width, VOICES)? + 1e-3)?.contiguous()?;
        let mean = (sums.narrow(1, 0, width)? / linear(&total, &self.of_columns(spoken)?)?)?;
        let state = linear(&Tensor::cat(&[&mean, &total.log()?], 1)?, &self.state.weight)?;
        let state = add_bias_relu(&state, &self.state.bias)?;
        Ok((self.first.apply(&state)?, self.second.apply(&state)?))
    }

    /// [width, voices]: 1 where a voice speaks for a column. Voice v speaks for the columns c with c % voices = v.
    fn of_columns(&self, like: &Tensor) -> Result<Tensor> {
        let width = self.loudness.dim(1)?;
        let ones = (0..width * VOICES).map(|at| f32::from(u8::from(at / VOICES % VOICES == at % VOICES)));
        constant(ones.collect(), (width, VOICES), like)
    }
}

/// The two bases of each of the pairs of some rows.
struct Ends {
    rows: Range<usize>,
    firsts: Arc<[u32]>,
    seconds: Arc<[u32]>,
}

impl Ends {
    fn new(list: &PairList, rows: Range<usize>) -> Self {
        let firsts = rows.clone().flat_map(|j| list.row(j)).copied().collect();
        let seconds = rows.clone().flat_map(|j| std::iter::repeat_n(j as u32, list.row(j).len())).collect();
        Self { rows, firsts, seconds }
    }

    /// `x` [pairs, width] plus the row of `first` [L, width] of each 5' base and that of `second` of each 3' base.
    fn add(&self, x: &Tensor, first: &Tensor, second: &Tensor) -> Result<Tensor> {
        let x = (x + select_rows(first, self.firsts.clone())?)?;
        Ok((x + select_rows(second, self.seconds.clone())?)?)
    }
}

/// A list of pairs cut into groups of rows.
struct Strips<'a> {
    list: &'a PairList,
    strips: Vec<Range<usize>>,
}

impl<'a> Strips<'a> {
    /// Strips of `pairs` pairs or a little more. They follow from the list alone, so that the number of threads does not
    /// change the result.
    fn new(list: &'a PairList, pairs: usize) -> Self {
        let mut strips: Vec<Range<usize>> = Vec::new();
        let mut start = 0;
        while start < list.length() {
            let full = |&end: &usize| list.pairs_of(start..end).len() >= pairs;
            let end = (start + 1..=list.length()).find(full).unwrap_or(list.length());
            strips.push(start..end);
            start = end;
        }
        Self { list, strips }
    }

    /// The pairs of some rows.
    fn part(&self, x: &Tensor, rows: Range<usize>) -> Result<Tensor> {
        let pairs = self.list.pairs_of(rows);
        Ok(x.narrow(0, pairs.start, pairs.len())?)
    }

    /// What `work` gives for the rows of every strip, [pairs, width], when it is asked for up to `reach` rows around it
    /// too.
    fn each(&self, reach: usize, work: impl Fn(Range<usize>) -> Result<Tensor> + Sync) -> Result<Tensor> {
        let compute = |strip: &Range<usize>| -> Result<Tensor> {
            let around = strip.start.saturating_sub(reach)..(strip.end + reach).min(self.list.length());
            let (inside, all) = (self.list.pairs_of(strip.clone()), self.list.pairs_of(around.clone()));
            Ok(work(around)?.narrow(0, inside.start - all.start, inside.len())?)
        };
        // The first strip tells how wide the result is.
        let first = compute(&self.strips[0])?;
        let width = first.dim(1)?;
        let mut values = memory::zeros(self.list.count() * width)?;
        let (mut rest, mut parts) = (values.as_mut_slice(), Vec::new());
        for strip in &self.strips {
            let (part, after) = rest.split_at_mut(self.list.pairs_of(strip.clone()).len() * width);
            // The last rows may be without pairs.
            if !part.is_empty() {
                parts.push((strip, part));
            }
            rest = after;
        }
        let copy = |tensor: &Tensor, part: &mut [f32]| -> Result<()> {
            part.copy_from_slice(&tensor.flatten_all()?.to_vec1::<f32>()?);
            Ok(())
        };
        let mut parts = parts.into_iter();
        parts.next().map_or(Ok(()), |(_, part)| copy(&first, part))?;
        drop(first);
        parts.collect::<Vec<_>>().into_par_iter().try_for_each(|(strip, part)| copy(&compute(strip)?, part))?;
        Ok(Tensor::from_vec(values, (self.list.count(), width), &Device::Cpu)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::builder::draw;
    use crate::model::ops::testing::numbers;
    use crate::thermodynamics::Conditions;

    /// Strips give what the whole gives, to the last bit.
    #[test]
    fn strips_do_not_show() {
        let config = HelicesConfig { blocks: 8, width: 32, norm_epsilon: 1e-6, homologs: false };
        let mut head = None;
        draw(3, |builder| {
            head = Some(HelixHead::build(&config, 16, builder)?);
            Ok(())
        })
        .unwrap();
        let head = head.unwrap();
        let sequence: Vec<u8> =
            numbers(300, 5, 2.0).iter().map(|x| b"ACGU"[(x + 2.0) as usize % 4]).chain([b'A'; 20]).collect();
        let features = numbers(320 * 16, 6, 1.0).iter().map(|x| *x as f32).collect();
        let features = Tensor::from_vec(features, (320, 16), &Device::Cpu).unwrap();
        let facts = Facts::new(&sequence, None, Conditions::default()).unwrap();
        let pairs = head.pairs(&sequence, &facts, 1.0);
        assert!(pairs.list().count() > 5000, "too short to be cut");
        let whole = head.forward(&features, &pairs).unwrap().to_vec1::<f32>().unwrap();
        for strip in [100, 3000] {
            let strips = head.logits_of_strips(&features, &pairs, strip).unwrap();
            assert_eq!(whole, strips.to_vec1::<f32>().unwrap(), "strips of {strip}");
        }
        let map = head.logits(&features, &sequence, &facts).unwrap();
        assert!(pairs.list().iter().zip(&whole).all(|((i, j), logit)| map.get(i, j) == *logit));
    }
}
