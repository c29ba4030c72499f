//! Which bases pair: one logit per pair of bases {i < j}.

use std::sync::OnceLock;

use candle_core::Tensor;
use multiversion::multiversion;

use super::helices::HelixHead;
use super::helix_pairs::HelixPairs;
use super::published_fold::{PublishedFold, PublishedFoldInference};
use crate::Result;
use crate::decode::pair_map::PairMap;
use crate::model::ops::math::sigmoid;
use crate::model::ops::rows::select_rows;
use crate::model::{HeadKind, ModelConfig, Parameters};

/// A fold head of either kind.
#[derive(Clone, Debug)]
pub enum FoldHead {
    /// As published.
    Published(PublishedFold),
    /// Dilated convolutions over the pairs that could be part of a helix.
    Helices(HelixHead),
}

impl FoldHead {
    /// Picks the head's tensors out of `parameters`.
    ///
    /// # Errors
    /// Where a tensor is missing.
    pub fn new(config: &ModelConfig, parameters: &Parameters) -> Result<Self> {
        Ok(match config.head {
            HeadKind::Helices => Self::Helices(HelixHead::new(config, parameters)?),
            HeadKind::Published | HeadKind::Frames | HeadKind::Duplex => {
                Self::Published(PublishedFold::new(config, parameters)?)
            }
        })
    }

    /// Logits of the pairs that may form, from the features [L, d] and the letters (ACGUN) of one sequence.
    /// Differentiable. `None` where no two bases could pair. What takes long and follows from the letters alone is kept in `kept` and found there again.
    ///
    /// # Errors
    /// Where a tensor operation fails.
    pub fn forward(&self, features: &Tensor, sequence: &[u8], kept: &OnceLock<Vec<f32>>) -> Result<Option<PairLogits>> {
        match self {
            Self::Helices(head) => {
                let probabilities = kept.get_or_init(|| HelixPairs::probabilities(sequence));
                let pairs = HelixPairs::with_probabilities(sequence, probabilities.clone());
                if pairs.list().count() == 0 {
                    return Ok(None);
                }
                Ok(Some(PairLogits { logits: head.forward(features, &pairs)?, pairs: pairs.list().iter().collect() }))
            }
            Self::Published(head) => {
                let length = sequence.len();
                if length < 2 {
                    return Ok(None);
                }
                let pairs: Vec<(usize, usize)> = (0..length).flat_map(|j| (0..j).map(move |i| (i, j))).collect();
                let places: Vec<u32> = pairs.iter().map(|(i, j)| (j * length + i) as u32).collect();
                let map = head.map(features)?.reshape(((), 1))?;
                Ok(Some(PairLogits { logits: select_rows(&map, places)?.squeeze(1)?, pairs }))
            }
        }
    }

    /// The head with its weights laid out for folding.
    ///
    /// # Errors
    /// Where a tensor operation fails.
    pub fn for_inference(&self) -> Result<FoldInference> {
        Ok(match self {
            Self::Published(head) => FoldInference::Published(head.for_inference()?),
            Self::Helices(head) => FoldInference::Helices(head.detached()),
        })
    }
}

/// What a head says of some pairs of a sequence; the others cannot form.
pub struct PairLogits {
    /// One logit per pair, [pairs].
    pub logits: Tensor,
    /// The pairs (i, j), i < j.
    pub pairs: Vec<(usize, usize)>,
}

/// A fold head, ready to fold.
#[derive(Clone, Debug)]
pub enum FoldInference {
    /// As published.
    Published(PublishedFoldInference),
    /// Dilated convolutions over the pairs that could be part of a helix.
    Helices(HelixHead),
}

impl FoldInference {
    /// Logits of all pairs {i < j} from the features [L, d] and the letters of one sequence, by all threads of the
    /// current rayon pool; how many there are does not change a bit.
    ///
    /// # Errors
    /// Where a tensor operation fails.
    pub fn logits(&self, features: &Tensor, sequence: &[u8]) -> Result<PairMap> {
        match self {
            Self::Published(head) => head.logits(features),
            Self::Helices(head) => head.logits(features, sequence),
        }
    }

    /// As [`FoldInference::logits`], as probabilities.
    ///
    /// # Errors
    /// As [`FoldInference::logits`].
    pub fn probabilities(&self, features: &Tensor, sequence: &[u8]) -> Result<PairMap> {
        let mut map = self.logits(features, sequence)?;
        sigmoids(map.values_mut());
        Ok(map)
    }
}

/// Turns logits into probabilities.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn sigmoids(values: &mut [f32]) {
    values.iter_mut().for_each(|value| *value = sigmoid(*value));
}
