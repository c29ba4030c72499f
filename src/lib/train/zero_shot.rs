//! What a language model knows without being trained for a task, by the protocol of a review (Wang et al., arXiv:2505.09087):
//! base pairs in its maps of positions, and families in its embeddings.
//!
//! The review gives no formulas. Ours: a map is made symmetric, the product of its row's and its column's sum over the whole sum is
//! taken off each number (average product correction, Dunn et al. 2008), and pairs above a threshold count, |i - j| > 3. Layer, head
//! and threshold are those of the best mean F1 over the held-out part of the records; the figures are of the others. The overlap of
//! families is the area that two histograms share: cosines of embeddings within a family and between families.

use rand::Rng;
use rayon::prelude::*;

use super::random::{Purpose, generator};
use crate::format::number;
use crate::model::features::Input;
use crate::model::{Encode, Encoder};
use crate::structure::{PairMap, Structure};
use crate::{Error, Result};

/// Bases i and j are asked for where |i - j| is greater than this.
const MIN_LOOP: usize = 3;

/// Thresholds that are tried, in equal steps of their logarithm.
const THRESHOLDS: usize = 200;
const LOWEST: f32 = 1e-5;
const HIGHEST: f32 = 2.0;

/// Most pairs of sequences of either kind.
pub const MOST_PAIRS: usize = 100_000;

/// Bins of the histograms of cosines, from -1 to 1.
const BINS: usize = 100;

/// Threshold number `step`.
fn threshold(step: usize) -> f32 {
    LOWEST * (HIGHEST / LOWEST).powf(step as f32 / (THRESHOLDS - 1) as f32)
}

/// What the maps say of structures.
#[derive(Clone, Debug, PartialEq)]
pub struct StructureKnowledge {
    /// The layer, from 1.
    pub layer: usize,
    /// The head, from 1.
    pub head: usize,
    /// Pairs above this count.
    pub threshold: f32,
    /// Mean F1 over the records that chose these.
    pub validation_f1: f64,
    /// Records that the following are means over.
    pub records: usize,
    /// Mean precision, recall and F1 over the other records.
    pub precision: f64,
    /// Part of the annotated pairs that are found.
    pub recall: f64,
    /// Of both.
    pub f1: f64,
    /// F1 where each base keeps its best pair, taken from the best of all on.
    pub f1_of_partners: f64,
}

impl StructureKnowledge {
    /// The figures, a row each.
    pub fn to_table(&self) -> String {
        let Self { layer, head, threshold, validation_f1, records, precision, recall, f1, f1_of_partners } = self;
        let mut text = format!("figure\tmodel\nlayer\t{layer}\nhead\t{head}\nrecords\t{records}\n");
        for (name, value) in [
            ("threshold", f64::from(*threshold)),
            ("validation_f1", *validation_f1),
            ("precision", *precision),
            ("recall", *recall),
            ("f1", *f1),
            ("f1_one_partner", *f1_of_partners),
        ] {
            text.push_str(&format!("{name}\t{}\n", number::format(value)));
        }
        text
    }
}

/// A map of positions that is symmetric and corrected, of one layer and head.
struct Corrected(PairMap);

impl Corrected {
    /// Of rows of scores [length x length].
    fn new(rows: &[f32], length: usize) -> Result<Self> {
        let mut map = PairMap::zeros(length, usize::MAX)?;
        let at = |i: usize, j: usize| f64::from(rows[i * length + j]) + f64::from(rows[j * length + i]);
        let sums: Vec<f64> = (0..length).map(|i| (0..length).map(|j| at(i, j)).sum()).collect();
        let total: f64 = sums.iter().sum();
        for j in 0..length {
            for (i, target) in map.row_mut(j).iter_mut().enumerate() {
                let product = if total == 0.0 { 0.0 } else { sums[i] * sums[j] / total };
                *target = (at(i, j) - product) as f32;
            }
        }
        Ok(Self(map))
    }

    /// The pairs that are asked for, with their scores.
    fn pairs(&self) -> impl Iterator<Item = (usize, usize, f32)> + '_ {
        (0..self.0.length()).flat_map(move |j| {
            let reach = j.saturating_sub(MIN_LOOP);
            self.0.row(j)[..reach].iter().enumerate().map(move |(i, &score)| (i, j, score))
        })
    }
}

/// The maps of every layer and head for one sequence, layer by layer.
fn maps(encoder: &Encoder, sequence: &[u8]) -> Result<Vec<Corrected>> {
    let length = sequence.len();
    let tokens = encoder.token_ids(sequence)?;
    let Encoder::Transformer(encoder) = encoder else {
        return Err(Error::Failed("only maps of attention are read: give a Transformer".into()));
    };
    encoder.masking()?;
    let layers = encoder.attention_maps(&tokens, 0)?;
    let all = layers.iter().flat_map(|layer| (0..layer.heads()).map(move |head| (layer, head)));
    all.map(|(layer, head)| {
        let rows: Vec<f32> = (0..length).flat_map(|n| layer.of_head(head, n)).collect();
        Corrected::new(&rows, length)
    })
    .collect()
}

fn f1(right: f64, predicted: f64, annotated: f64) -> f64 {
    if predicted + annotated == 0.0 { 0.0 } else { 2.0 * right / (predicted + annotated) }
}

/// Annotated pairs that are asked for.
fn annotated(structure: &Structure) -> usize {
    let partners = structure.partners.iter().enumerate();
    partners.filter(|(i, partner)| partner.is_some_and(|j| j > i + MIN_LOOP)).count()
}

/// F1 at every threshold.
fn curve(map: &Corrected, structure: &Structure) -> Vec<f64> {
    let (mut all, mut right) = (vec![0u32; THRESHOLDS], vec![0u32; THRESHOLDS]);
    let scale = (THRESHOLDS - 1) as f32 / (HIGHEST / LOWEST).ln();
    for (i, j, score) in map.pairs() {
        if score <= LOWEST {
            continue;
        }
        // The highest threshold below the score; the logarithm may round it over one.
        let mut step = (((score / LOWEST).ln() * scale) as usize).min(THRESHOLDS - 1);
        while step > 0 && score <= threshold(step) {
            step -= 1;
        }
        all[step] += 1;
        right[step] += u32::from(structure.partners[j] == Some(i));
    }
    let (annotated, mut predicted, mut found) = (annotated(structure) as f64, 0.0, 0.0);
    let mut curve = vec![0.0; THRESHOLDS];
    for step in (0..THRESHOLDS).rev() {
        predicted += f64::from(all[step]);
        found += f64::from(right[step]);
        curve[step] = f1(found, predicted, annotated);
    }
    curve
}

/// Base pairs in the maps of `encoder`: layer, head and threshold are chosen by `validation`, the figures are of `test`.
///
/// # Errors
/// Where there are no records to choose by or to test on, and where the model cannot read one.
pub fn structures(encoder: &Encoder, validation: &[Structure], test: &[Structure]) -> Result<StructureKnowledge> {
    if validation.is_empty() || test.is_empty() {
        let message = "zero-shot: records are needed to choose by and others to test on: see --validation-fraction";
        return Err(Error::Usage(message.into()));
    }
    let curves = validation
        .par_iter()
        .map(|structure| {
            let maps = maps(encoder, &structure.sequence)?;
            Ok(maps.iter().map(|map| curve(map, structure)).collect::<Vec<_>>())
        })
        .collect::<Result<Vec<_>>>()?;
    let count = curves[0].len();
    let mean =
        |map: usize, step: usize| curves.iter().map(|curves| curves[map][step]).sum::<f64>() / curves.len() as f64;
    let (mut best, mut chosen) = (f64::NEG_INFINITY, (0, 0));
    for (map, step) in (0..count).flat_map(|map| (0..THRESHOLDS).map(move |step| (map, step))) {
        let value = mean(map, step);
        if value > best {
            (best, chosen) = (value, (map, step));
        }
    }
    let (map, step) = chosen;
    let figures = test
        .par_iter()
        .map(|structure| {
            let maps = maps(encoder, &structure.sequence)?;
            let mut pairs: Vec<_> = maps[map].pairs().filter(|pair| pair.2 > threshold(step)).collect();
            let annotated = annotated(structure) as f64;
            let is_right = |&(i, j, _): &(usize, usize, f32)| structure.partners[j] == Some(i);
            let (predicted, right) = (pairs.len() as f64, pairs.iter().filter(|pair| is_right(pair)).count() as f64);
            pairs.sort_by(|a, b| b.2.total_cmp(&a.2).then((a.0, a.1).cmp(&(b.0, b.1))));
            let mut free = vec![true; structure.sequence.len()];
            pairs.retain(|&(i, j, _)| {
                let kept = free[i] && free[j];
                (free[i], free[j]) = (free[i] && !kept, free[j] && !kept);
                kept
            });
            let kept = pairs.iter().filter(|pair| is_right(pair)).count() as f64;
            let part = |right: f64, of: f64| if of > 0.0 { right / of } else { 0.0 };
            Ok([
                part(right, predicted),
                part(right, annotated),
                f1(right, predicted, annotated),
                f1(kept, pairs.len() as f64, annotated),
            ])
        })
        .collect::<Result<Vec<[f64; 4]>>>()?;
    let mean = |place: usize| figures.iter().map(|figures| figures[place]).sum::<f64>() / figures.len() as f64;
    let heads = match encoder {
        Encoder::Transformer(encoder) => encoder.config().heads,
        Encoder::Retention(_) => 1,
    };
    Ok(StructureKnowledge {
        layer: map / heads + 1,
        head: map % heads + 1,
        threshold: threshold(step),
        validation_f1: best,
        records: test.len(),
        precision: mean(0),
        recall: mean(1),
        f1: mean(2),
        f1_of_partners: mean(3),
    })
}

/// What embeddings say of families.
#[derive(Clone, Debug, PartialEq)]
pub struct FamilyKnowledge {
    /// Pairs of sequences of one family, and as many of different ones.
    pub pairs: usize,
    /// The area that the histograms of their cosines share: 0 where families are parted, 1 where they are not.
    pub overlap: f64,
    /// The mean cosine within families, and between them.
    pub within: f64,
    /// Between families.
    pub between: f64,
}

impl FamilyKnowledge {
    /// The figures, a row each.
    pub fn to_table(&self) -> String {
        let mut text = format!("figure\tmodel\npairs\t{}\n", self.pairs);
        for (name, value) in
            [("overlap", self.overlap), ("cosine_within", self.within), ("cosine_between", self.between)]
        {
            text.push_str(&format!("{name}\t{}\n", number::format(value)));
        }
        text
    }
}

/// How far the embeddings of families overlap: the mean over nucleotides, brought to `dimension` numbers by its lowest
/// frequencies, so that models of any width are compared; up to [`MOST_PAIRS`] pairs of each kind, drawn from `seed`.
///
/// # Errors
/// Where no family has two sequences, or there is but one; and where the model cannot read a sequence.
pub fn families(
    encoder: &Encoder,
    records: &[(Vec<u8>, String)],
    dimension: usize,
    seed: u64,
) -> Result<FamilyKnowledge> {
    let vectors = records
        .par_iter()
        .map(|(sequence, _)| {
            let rows = encoder.features(&[Input::Letters(sequence)])?;
            let mean = rows.rows().mean(0)?.to_dtype(candle_core::DType::F64)?.to_vec1::<f64>()?;
            let vector = resample(&mean, dimension);
            let norm = vector.iter().map(|x| x * x).sum::<f64>().sqrt().max(1e-300);
            Ok(vector.into_iter().map(|x| x / norm).collect::<Vec<f64>>())
        })
        .collect::<Result<Vec<_>>>()?;
    let mut same: Vec<(usize, usize)> = Vec::new();
    for i in 0..records.len() {
        same.extend((0..i).filter(|&j| records[i].1 == records[j].1).map(|j| (j, i)));
    }
    let mut random = generator(seed, Purpose::Split, &[]);
    while same.len() > MOST_PAIRS {
        same.swap_remove(random.random_range(0..same.len()));
    }
    if same.is_empty() || records.iter().all(|record| record.1 == records[0].1) {
        return Err(Error::Usage("zero-shot: several sequences of several families are needed".into()));
    }
    let mut different = Vec::new();
    while different.len() < same.len() {
        let (i, j) = (random.random_range(0..records.len()), random.random_range(0..records.len()));
        if records[i].1 != records[j].1 {
            different.push((i, j));
        }
    }
    let cosine = |&(i, j): &(usize, usize)| vectors[i].iter().zip(&vectors[j]).map(|(a, b)| a * b).sum::<f64>();
    let histogram = |pairs: &[(usize, usize)]| {
        let mut shares = vec![0.0; BINS];
        for pair in pairs {
            let bin = ((cosine(pair) + 1.0) / 2.0 * BINS as f64) as usize;
            shares[bin.min(BINS - 1)] += 1.0 / pairs.len() as f64;
        }
        shares
    };
    let mean = |pairs: &[(usize, usize)]| pairs.iter().map(cosine).sum::<f64>() / pairs.len() as f64;
    let shared = histogram(&same).iter().zip(histogram(&different)).map(|(a, b)| a.min(b)).sum();
    Ok(FamilyKnowledge { pairs: same.len(), overlap: shared, within: mean(&same), between: mean(&different) })
}

/// A vector of `dimension` numbers with the lowest frequencies of `values` (Fourier resampling).
fn resample(values: &[f64], dimension: usize) -> Vec<f64> {
    let count = values.len();
    if count == dimension {
        return values.to_vec();
    }
    let frequencies = count.min(dimension) / 2;
    let turn = |place: usize, frequency: usize, of: usize| {
        (std::f64::consts::TAU * (place * frequency % of) as f64 / of as f64).sin_cos()
    };
    let spectrum: Vec<(f64, f64)> = (0..=frequencies)
        .map(|frequency| {
            values.iter().enumerate().fold((0.0, 0.0), |(real, imaginary), (place, x)| {
                let (sine, cosine) = turn(place, frequency, count);
                (real + x * cosine, imaginary - x * sine)
            })
        })
        .collect();
    (0..dimension)
        .map(|place| {
            let wave = |frequency: usize| {
                let (sine, cosine) = turn(place, frequency, dimension);
                let (real, imaginary) = spectrum[frequency];
                // The highest frequency of an even number of values stands for itself and its mirror image.
                let twice = if frequency == 0 || 2 * frequency == count.min(dimension) { 1.0 } else { 2.0 };
                twice * (real * cosine - imaginary * sine)
            };
            (0..=frequencies).map(wave).sum::<f64>() / count as f64
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_waves_survive_resampling() {
        let wave = |count: usize| -> Vec<f64> {
            (0..count).map(|i| 1.0 + (std::f64::consts::TAU * 3.0 * i as f64 / count as f64).cos()).collect()
        };
        for (from, to) in [(640, 128), (768, 128), (32, 128), (128, 128)] {
            let error =
                resample(&wave(from), to).iter().zip(wave(to)).fold(0f64, |most, (a, b)| most.max((a - b).abs()));
            assert!(error < 1e-9, "{from} to {to}: {error}");
        }
    }

    /// A map that holds the pairs, and no more, has an F1 of 1 between its numbers.
    #[test]
    fn pairs_are_found_where_they_are() {
        let partners = crate::format::dot_bracket::parse_structure_line(b"((((...))))....").unwrap_or_default();
        let structure = Structure { id: "r".into(), sequence: vec![b'A'; 15], partners };
        let mut rows = vec![1e-3f32; 15 * 15];
        for (i, partner) in structure.partners.iter().enumerate() {
            if let Some(j) = partner {
                rows[i * 15 + j] = 0.4;
            }
        }
        let map = Corrected::new(&rows, 15).unwrap();
        let curve = curve(&map, &structure);
        assert!(curve.iter().any(|f1| (f1 - 1.0).abs() < 1e-12), "{curve:?}");
        assert_eq!(annotated(&structure), 4);
        assert_eq!(curve[THRESHOLDS - 1], 0.0);
    }
}
