//! Which bases pair: one logit per pair of bases {i < j}.

use candle_core::Tensor;
use multiversion::multiversion;

use super::helices::HelixHead;
use super::helix_pairs::{EnergySet, Facts, Wanted, could_pair};
use super::mixture::network_weight;
use super::other_task;
use super::published_fold::{PublishedFold, PublishedFoldInference};
use super::whole_map::{WholeMap, optimise};
use crate::Result;
use crate::decode::base_pairs::{Decoder, PairRules};
use crate::homologs::KnownStructures;
use crate::model::builder::{Builder, read};
use crate::model::ops::math::sigmoid;
use crate::model::ops::rows::select_rows;
use crate::model::{Features, HeadConfig, ModelConfig, Parameters};
use crate::structure::PairMap;
use crate::thermodynamics::{Conditions, DEFAULT_SPAN};

/// A fold head of either kind.
#[derive(Clone, Debug)]
pub enum FoldHead {
    /// As published.
    Published(PublishedFold),
    /// Dilated convolutions over the pairs that could be part of a helix.
    Helices(HelixHead),
    /// Convolutions over the whole map, as other language models have them.
    WholeMap(WholeMap),
}

impl FoldHead {
    /// Picks the head's tensors out of `parameters`.
    ///
    /// # Errors
    /// Where a tensor is missing.
    pub fn new(config: &ModelConfig, parameters: &Parameters) -> Result<Self> {
        Self::build(&config.head, config.encoder.width(), &read(parameters).pp("head"))
    }

    /// A head of the tensors that `builder` gives, for features of `width` numbers.
    ///
    /// # Errors
    /// Where a tensor is missing, or the configuration is that of another task.
    pub fn build(config: &HeadConfig, width: usize, builder: &Builder) -> Result<Self> {
        Ok(match config {
            HeadConfig::Helices(config) => Self::Helices(HelixHead::build(config, width, builder)?),
            HeadConfig::PublishedFold(config) => Self::Published(PublishedFold::build(config, width, builder)?),
            HeadConfig::WholeMap(config) => Self::WholeMap(WholeMap::build(config, width, builder)?),
            other => return Err(other_task(other)),
        })
    }

    /// What the head reads of input `index`.
    ///
    /// # Errors
    /// Where there is no such input, or the encoder does not give what the head reads.
    pub fn input(&self, features: &Features, index: usize) -> Result<Tensor> {
        match self {
            Self::WholeMap(head) if head.reads_scores() => features.scores_of(index),
            _ => features.of(index),
        }
    }

    /// What the head wants to know about a sequence, which [`FoldHead::forward`] is given. Homologs are looked for among
    /// `known` where it reads them.
    ///
    /// # Errors
    /// As [`Facts::new`].
    pub fn facts(&self, sequence: &[u8], known: Option<&KnownStructures>) -> Result<Facts> {
        match self {
            Self::Helices(head) => Facts::new(sequence, known.filter(|_| head.reads_homologs()), Conditions::default()),
            Self::Published(_) | Self::WholeMap(_) => Ok(Facts::default()),
        }
    }

    /// Logits of the pairs that may form, from the features [L, d] and the letters (ACGUN) of one sequence and the facts
    /// about it. Differentiable. `None` where no two bases could pair. Homologs of more than the identity `most_alike` are
    /// passed over.
    ///
    /// # Errors
    /// Where a tensor operation fails.
    pub fn forward(
        &self,
        features: &Tensor,
        sequence: &[u8],
        facts: &Facts,
        most_alike: f32,
    ) -> Result<Option<PairLogits>> {
        match self {
            Self::Helices(head) => {
                let pairs = head.pairs(sequence, facts, most_alike);
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
            Self::WholeMap(head) => {
                let length = sequence.len();
                if length < 2 {
                    return Ok(None);
                }
                let pairs: Vec<(usize, usize)> = (0..length).flat_map(|j| (0..j).map(move |i| (i, j))).collect();
                let map = head.map(features)?;
                let at = |place: fn(usize, (usize, usize)) -> usize| {
                    let places: Vec<u32> = pairs.iter().map(|pair| place(length, *pair) as u32).collect();
                    select_rows(&map, places)?.squeeze(1)
                };
                let mut logits = at(|length, (i, j)| i * length + j)?;
                if head.reads_scores() {
                    logits = (logits + at(|length, (i, j)| j * length + i)?)?;
                }
                Ok(Some(PairLogits { logits, pairs }))
            }
        }
    }

    /// The head with its weights laid out for folding, and with the structures among which it looks for homologs.
    ///
    /// # Errors
    /// Where a tensor operation fails.
    pub fn for_inference(&self, known: Option<KnownStructures>) -> Result<FoldInference> {
        Ok(match self {
            Self::Published(head) => FoldInference::Published(head.for_inference()?),
            Self::WholeMap(head) => FoldInference::WholeMap(head.clone()),
            Self::Helices(head) => FoldInference::Helices {
                head: head.detached(),
                known: known.filter(|_| head.reads_homologs()),
                network_weight: None,
                energies: EnergySet::default(),
            },
        })
    }
}

/// What a head says of some pairs of a sequence; the others cannot form.
pub struct PairLogits {
    /// One logit per pair, `[pairs]`.
    pub logits: Tensor,
    /// The pairs (i, j), i < j.
    pub pairs: Vec<(usize, usize)>,
}

/// A fold head, ready to fold.
#[derive(Clone, Debug)]
pub enum FoldInference {
    /// As published.
    Published(PublishedFoldInference),
    /// Convolutions over the whole map, as other language models have them.
    WholeMap(WholeMap),
    /// Dilated convolutions over the pairs that could be part of a helix.
    Helices {
        /// The network.
        head: HelixHead,
        /// Where it looks for homologs.
        known: Option<KnownStructures>,
        /// The weight of the network beside the trained energies; by default what is known about the RNA says it.
        network_weight: Option<f32>,
        /// Which energies these are.
        energies: EnergySet,
    },
}

impl FoldInference {
    /// The same with this weight of the network, 0 to 1, beside these energies, whatever is known about the RNA. Heads without
    /// energies have no other.
    pub fn with_energies(self, network_weight: Option<f32>, energies: EnergySet) -> Self {
        match self {
            Self::Helices { head, known, .. } => Self::Helices { head, known, network_weight, energies },
            published => published,
        }
    }

    /// How structures are chosen among its pairs where nothing else is asked for: as published, or by expected accuracy where
    /// its probabilities are those of an ensemble.
    pub fn default_decoder(&self) -> Decoder {
        match self {
            Self::Published(_) => Decoder::Assignment,
            Self::WholeMap(_) => Decoder::Greedy,
            Self::Helices { .. } => Decoder::Mea,
        }
    }

    /// Pairs more probable than this may form where nothing else is asked for.
    pub fn default_threshold(&self) -> f32 {
        match self {
            Self::WholeMap(head) => head.config().threshold,
            Self::Published(_) | Self::Helices { .. } => PairRules::default().threshold,
        }
    }

    /// What the head reads of input `index`.
    ///
    /// # Errors
    /// Where there is no such input, or the encoder does not give what the head reads.
    pub fn input(&self, features: &Features, index: usize) -> Result<Tensor> {
        match self {
            Self::WholeMap(head) if head.reads_scores() => features.scores_of(index),
            _ => features.of(index),
        }
    }

    /// Most bases from the first to the last of a pair where nothing else is asked for: any as published.
    pub fn default_span(&self) -> usize {
        match self {
            Self::Published(_) | Self::WholeMap(_) => usize::MAX,
            Self::Helices { .. } => DEFAULT_SPAN,
        }
    }

    /// What the head wants to know about a sequence that folds under some conditions.
    ///
    /// # Errors
    /// As [`Facts::new`].
    pub fn facts(&self, sequence: &[u8], conditions: Conditions) -> Result<Facts> {
        match self {
            Self::Helices { known, network_weight, energies, .. } => {
                // The network reads no other pairs than those that could be part of a helix.
                let lonely_pairs = *network_weight == Some(0.0);
                let trained = *network_weight != Some(1.0) && *energies != EnergySet::Turner2004;
                Facts::looked_up(sequence, known.as_ref(), conditions, Wanted { trained, lonely_pairs })
            }
            Self::Published(_) | Self::WholeMap(_) => Ok(Facts::unknown(conditions)),
        }
    }

    /// About how many bytes of main memory the facts about a sequence and its probabilities take at most, by all threads of the
    /// current rayon pool, with pairs of at most `span` bases.
    pub fn memory(&self, sequence: &[u8], span: usize) -> u64 {
        match self {
            Self::Published(head) => head.memory(sequence.len()),
            Self::WholeMap(head) => head.memory(sequence.len()),
            Self::Helices { head, known, .. } => {
                Facts::memory(sequence, known.as_ref(), span).max(head.memory(sequence, span))
            }
        }
    }

    /// Logits of all pairs {i < j} from the features [L, d], the letters of one sequence and the facts about it, by all
    /// threads of the current rayon pool; how many there are does not change a bit.
    ///
    /// # Errors
    /// Where a tensor operation fails.
    pub fn logits(&self, features: &Tensor, sequence: &[u8], facts: &Facts) -> Result<PairMap> {
        match self {
            Self::Published(head) => head.logits(features),
            Self::WholeMap(head) => head.logits(features),
            Self::Helices { head, .. } => head.logits(features, sequence, facts),
        }
    }

    /// Probabilities of all pairs {i < j}: the network's, for helices in a weighted mean with those of the energies; `None`
    /// where a logit is not finite. Pairs that the conditions do not allow have none.
    ///
    /// # Errors
    /// As [`FoldInference::logits`].
    pub fn probabilities(&self, features: &Tensor, sequence: &[u8], facts: &Facts) -> Result<Option<PairMap>> {
        let (head, weight, energies) = match self {
            Self::Helices { head, network_weight, energies, .. } => (head, network_weight, *energies),
            Self::Published(_) | Self::WholeMap(_) => {
                let mut map = self.logits(features, sequence, facts)?;
                let finite = match self {
                    Self::WholeMap(head) if head.reads_scores() => {
                        let finite = map.values_mut().iter().all(|logit| logit.is_finite());
                        if finite {
                            optimise(&mut map, sequence);
                        }
                        finite
                    }
                    _ => sigmoids(map.values_mut()),
                };
                for j in 0..map.length() {
                    for (i, probability) in map.row_mut(j).iter_mut().enumerate() {
                        if !facts.conditions.allow(i, j) {
                            *probability = 0.0;
                        }
                    }
                }
                return Ok(finite.then_some(map));
            }
        };
        let network = weight.unwrap_or_else(|| network_weight(facts));
        // What counts for nothing is not computed.
        let mut map = match network > 0.0 {
            true => head.logits(features, sequence, facts)?,
            false => PairMap::zeros(sequence.len(), facts.conditions.max_span)?,
        };
        let finite = network == 0.0 || sigmoids(map.values_mut());
        // The network believes what is known beforehand.
        for (i, j) in facts.conditions.constraints.iter().flat_map(|constraints| constraints.pairs()) {
            if let Some(probability) = map.get_mut(i, j).filter(|_| could_pair(sequence, i, j)) {
                *probability = 1.0;
            }
        }
        if network < 1.0 {
            for ((i, j), energy) in facts.pairs.iter().zip(facts.by_energy(sequence, energies)?) {
                if let Some(probability) = map.get_mut(i, j) {
                    *probability = network * *probability + (1.0 - network) * energy;
                }
            }
        }
        Ok(finite.then_some(map))
    }
}

/// Turns logits into probabilities; false where one is not finite.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn sigmoids(values: &mut [f32]) -> bool {
    let mut finite = true;
    for value in values {
        finite &= value.is_finite();
        *value = sigmoid(*value);
    }
    finite
}
