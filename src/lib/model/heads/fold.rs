//! Which bases pair: one logit per pair of bases {i < j}.

use candle_core::Tensor;
use multiversion::multiversion;

use super::published_fold::{PublishedFold, PublishedFoldInference};
use super::triangle::TriangleHead;
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
    /// Dilated convolutions over the triangle of pairs.
    Triangle(TriangleHead),
}

impl FoldHead {
    /// Picks the head's tensors out of `parameters`.
    ///
    /// # Errors
    /// Where a tensor is missing.
    pub fn new(config: &ModelConfig, parameters: &Parameters) -> Result<Self> {
        Ok(match config.head {
            HeadKind::Triangle => Self::Triangle(TriangleHead::new(config, parameters)?),
            HeadKind::Published | HeadKind::Frames | HeadKind::Duplex => {
                Self::Published(PublishedFold::new(config, parameters)?)
            }
        })
    }

    /// Logits of all pairs {i < j}, [L (L - 1) / 2], row j holding (0, j) .. (j-1, j), from the features [L, d] and the
    /// letters (ACGUN) of one sequence. Differentiable.
    ///
    /// # Errors
    /// Where a tensor operation fails.
    pub fn forward(&self, features: &Tensor, sequence: &[u8]) -> Result<Tensor> {
        match self {
            Self::Triangle(head) => head.forward(features, sequence),
            Self::Published(head) => {
                let length = sequence.len() as u32;
                let places: Vec<u32> = (0..length).flat_map(|j| (0..j).map(move |i| j * length + i)).collect();
                let map = head.map(features)?.reshape(((), 1))?;
                Ok(select_rows(&map, places)?.squeeze(1)?)
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
            Self::Triangle(head) => FoldInference::Triangle(head.detached()),
        })
    }
}

/// A fold head, ready to fold.
#[derive(Clone, Debug)]
pub enum FoldInference {
    /// As published.
    Published(PublishedFoldInference),
    /// Dilated convolutions over the triangle of pairs.
    Triangle(TriangleHead),
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
            Self::Triangle(head) => head.logits(features, sequence),
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
