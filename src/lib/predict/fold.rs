//! Secondary structures of records: how probable each pair is, and the structure that follows.

use candle_core::Tensor;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::decode::base_pairs::{Decoder, PairRules, decode};
use crate::format::structure::Energies;
use crate::homologs::{Homolog, KnownStructures, Source};
use crate::model::device::DeviceArgs;
use crate::model::heads::fold::{FoldHead, FoldInference};
use crate::model::heads::helix_pairs::{Facts, most_pairs};
use crate::model::{Encode, Model, Task};
use crate::sequence::Record;
use crate::structure::{PairMap, Structure, pairs};
use crate::thermodynamics::{
    Conditions, Sampler, ensemble_energy, minimum_free_energy, structure_energy_by, suboptimal,
};
use crate::{Error, Result};

/// Bases of the longest sequences that the default model was trained on.
pub const LONGEST_TRAINED: usize = 400;

/// Structures that are wanted in the place of the one that is chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Alternatives {
    /// So many, drawn from the ensemble by Turner 2004 with a seed.
    Samples {
        /// How many.
        count: usize,
        /// The same seed draws the same structures for the same record in the same place of the input.
        seed: u64,
    },
    /// All whose free energy by Turner 2004 is so many kcal/mol above the least, or less.
    Suboptimal(f64),
}

/// Most suboptimal structures of a record.
const MOST_SUBOPTIMAL: usize = 1_000_000;

/// How structures are chosen, and what is said of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct FoldRules {
    /// How pairs are chosen; by default as the head's own [`FoldInference::default_decoder`].
    pub decoder: Option<Decoder>,
    /// Which pairs may form.
    pub pairs: PairRules,
    /// Whether free energies are computed.
    pub energies: bool,
    /// Other structures.
    pub alternatives: Option<Alternatives>,
}

/// A record's structure and what it rests on.
#[derive(Clone, Debug)]
pub struct Folded {
    /// The structure.
    pub structure: Structure,
    /// How probable each pair is.
    pub probabilities: PairMap,
    /// Its free energies, where they were asked for.
    pub energies: Option<Energies>,
    /// The other structures that were asked for, with their free energies, kcal/mol: samples in the order in which they were drawn,
    /// suboptimal ones that of least energy first.
    pub alternatives: Vec<(Vec<Option<usize>>, f64)>,
    /// The known structures that were heard, the best first.
    pub homologs: Vec<Homolog>,
}

/// A model that folds, and the known structures among which it looks for homologs.
///
/// ```
/// use rnaret::{FoldModel, Record};
///
/// # fn main() -> rnaret::Result<()> {
/// let model = FoldModel::built_in()?;
/// let folded = model.predict(&[Record::new("hairpin", "GGGGCCAAAAGGCCCC")?], &Default::default())?;
/// assert_eq!(folded[0].structure.length(), 16);
/// # Ok(())
/// # }
/// ```
pub struct FoldModel {
    model: Model,
    head: FoldInference,
}

impl FoldModel {
    /// The built-in model, with the built-in known structures, on the CPU.
    ///
    /// # Errors
    /// Where this build has no models inside.
    pub fn built_in() -> Result<Self> {
        let known = KnownStructures::load(&[Source::BuiltIn])?;
        Self::new(Model::load(None, Task::Fold, DeviceArgs::CPU)?, known)
    }

    /// A loaded model, which looks for homologs among `known` where it reads them.
    ///
    /// # Errors
    /// Where a tensor is missing, or the model is one of another task.
    pub fn new(model: Model, known: Option<KnownStructures>) -> Result<Self> {
        let head = FoldHead::new(&model.weights.config, &model.parameters)?.for_inference(known)?;
        Ok(Self { model, head })
    }

    /// Folds `records`, by all threads of the current rayon pool.
    ///
    /// # Errors
    /// Where the model runs out of memory or gives numbers that are not finite.
    pub fn predict(&self, records: &[Record], rules: &FoldRules) -> Result<Vec<Folded>> {
        let conditions = |_: &Record| Ok(Conditions::of_span(self.head.default_span()));
        predict(&self.model, &self.head, records, rules, conditions, |_, folded| Ok(folded))
    }
}

/// Folds `records`, each under the conditions that `conditions` gives for it, and gives what `take` makes of each, by all threads
/// of the current rayon pool.
///
/// # Errors
/// Where the model runs out of memory or gives numbers that are not finite, and those of `conditions` and `take`.
pub fn predict<R: Send>(
    model: &Model,
    head: &FoldInference,
    records: &[Record],
    rules: &FoldRules,
    conditions: impl Fn(&Record) -> Result<Conditions> + Sync,
    take: impl Fn(&Record, Folded) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let features = model.encoder.features(&model.inputs(records)?)?;
    let fold_record = |(index, record): (usize, &Record)| {
        let facts = head.facts(&record.sequence, conditions(record)?)?;
        let folded = fold(head, &head.input(&features, index)?, &record.id, &record.sequence, &facts, rules)?;
        let alternatives = match rules.alternatives {
            Some(wanted) => alternatives(record, &facts.conditions, wanted)?,
            None => Vec::new(),
        };
        take(record, Folded { alternatives, homologs: facts.homologs, ..folded })
    };
    records.par_iter().enumerate().map(fold_record).collect()
}

/// The structure of one sequence, from its features [L, d] and the facts about it. Its homologs stay with the facts.
///
/// # Errors
/// Where a tensor operation fails, or a number is not finite.
pub fn fold(
    head: &FoldInference,
    features: &Tensor,
    id: &str,
    sequence: &[u8],
    facts: &Facts,
    rules: &FoldRules,
) -> Result<Folded> {
    let probabilities = head.probabilities(features, sequence, facts)?;
    let probabilities = probabilities.ok_or_else(|| Error::NotFinite { record: id.to_owned() })?;
    let pair_rules = PairRules { max_span: facts.conditions.max_span, ..rules.pairs };
    let partners = match rules.decoder.unwrap_or_else(|| head.default_decoder()) {
        Decoder::Mfe => minimum_free_energy(sequence, &facts.conditions.models.turner2004, &facts.conditions),
        decoder => decode(decoder, sequence, &probabilities, pair_rules),
    };
    let energies = match rules.energies {
        true => Some(Energies {
            structure: structure_energy_by(&facts.conditions.models.turner2004, sequence, &partners),
            ensemble: match facts.ensemble_energy {
                Some(energy) => energy,
                None => ensemble_energy(sequence, &facts.conditions)?,
            },
            mean_pair_probability: mean_pair_probability(&partners, &probabilities),
            expected_accuracy: expected_accuracy(&partners, &probabilities),
        }),
        false => None,
    };
    let structure = Structure { id: id.to_owned(), sequence: sequence.to_vec(), partners };
    Ok(Folded { structure, probabilities, energies, alternatives: Vec::new(), homologs: Vec::new() })
}

/// The other structures of a record.
fn alternatives(
    record: &Record,
    conditions: &Conditions,
    wanted: Alternatives,
) -> Result<Vec<(Vec<Option<usize>>, f64)>> {
    let sequence = record.sequence.as_slice();
    match wanted {
        Alternatives::Samples { count, seed } => {
            let sampler = Sampler::new(&conditions.models.turner2004_factors, sequence, conditions)?;
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            random.set_stream(record.ordinal);
            let draw = |_| {
                let partners = sampler.draw(&mut random);
                let energy = structure_energy_by(&conditions.models.turner2004, sequence, &partners);
                (partners, energy)
            };
            Ok((0..count).map(draw).collect())
        }
        Alternatives::Suboptimal(range) => {
            let found = suboptimal(sequence, &conditions.models.turner2004, conditions, range, MOST_SUBOPTIMAL);
            if found.len() == MOST_SUBOPTIMAL {
                log::warn!(
                    "{}: more than {MOST_SUBOPTIMAL} structures are within {range} kcal/mol: these are some of them",
                    record.id
                );
            }
            Ok(found)
        }
    }
}

/// The part of the bases that are expected to be as in a structure.
fn expected_accuracy(partners: &[Option<usize>], probabilities: &PairMap) -> f64 {
    let mut unpaired = vec![1f64; partners.len()];
    for j in 0..partners.len() {
        for (i, &probability) in (probabilities.first(j)..).zip(probabilities.row(j)) {
            unpaired[i] -= f64::from(probability);
            unpaired[j] -= f64::from(probability);
        }
    }
    let right = |(base, partner): (usize, &Option<usize>)| match partner {
        Some(partner) => f64::from(probabilities.get(base, *partner)),
        None => unpaired[base].max(0.0),
    };
    partners.iter().enumerate().map(right).sum::<f64>() / partners.len().max(1) as f64
}

/// How probable the pairs of a structure are on average; `None` where there are none.
fn mean_pair_probability(partners: &[Option<usize>], probabilities: &PairMap) -> Option<f64> {
    let of_pairs = pairs(partners).map(|(i, j)| f64::from(probabilities.get(i, j)));
    let (sum, count) = of_pairs.fold((0.0, 0.0), |(sum, count), probability| (sum + probability, count + 1.0));
    (count > 0.0).then_some(sum / count)
}

/// About how many bytes [`predict`] takes at most for `records` with pairs of at most `span` bases; beside them `per_pair` for
/// each pair that may form.
pub fn memory(
    model: &Model,
    head: &FoldInference,
    records: &[Record],
    rules: &FoldRules,
    span: usize,
    per_pair: impl Fn(&Record) -> u64,
) -> u64 {
    let decoder = rules.decoder.unwrap_or_else(|| head.default_decoder());
    let of_record = |record: &Record| {
        let length = record.len() as u64;
        let band = length * length.min(span as u64);
        // Where nearly all pairs are candidates, so are they to the decoder; the nested structure has a table.
        let all = rules.pairs.threshold < 1e-3 || decoder == Decoder::Mea;
        let table = match decoder {
            Decoder::Mea => 8 * band,
            Decoder::Nested if all => 8 * band,
            Decoder::Mfe => 12 * band,
            _ => 0,
        };
        let pairs = most_pairs(&record.sequence, span);
        let candidates = if all { 96 * pairs } else { 0 };
        // Whatever is chosen from is left when the network and the energies are done, but for the map.
        let map = 4 * PairMap::count(record.len(), span) as u64;
        let chosen = map + table + candidates + pairs * per_pair(record);
        head.memory(&record.sequence, span).max(chosen)
    };
    // A thread that waits for others begins another record meanwhile, so that any number may be in work; but for one thread.
    let of_records = records.iter().map(of_record);
    let heads = if rayon::current_num_threads() == 1 { of_records.max().unwrap_or(0) } else { of_records.sum() };
    model.encoder.memory(records.iter().map(Record::len).sum()) + heads
}
