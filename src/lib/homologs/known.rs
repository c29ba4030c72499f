//! The known structures, and the search for those related to a sequence.

use std::io::BufRead;
use std::sync::Arc;

use super::alignment::{MATCH, align};
use super::significance::{self, DEFAULT_EVALUE};
use super::source::Source;
use super::words::WordIndex;
use crate::format::structure_reader;
use crate::sequence::near_duplicates::near_identical;
use crate::structure::Structure;
use crate::structure::is_canonical;
use crate::{Error, Result};

/// Known structures that are aligned with a sequence: those that share most words. Twice as many changed nothing.
const ALIGNED: usize = 32;

/// Homologs that are kept of those.
const KEPT: usize = 16;

/// What a homolog none of whose pairs could form counts by its alignment alone, beside one all of whose pairs could.
const ALIGNMENT_ALONE: f32 = 0.3;

/// RNAs whose structure is known. A clone shares them.
#[derive(Clone, Debug)]
pub struct KnownStructures {
    structures: Arc<Vec<Arc<Known>>>,
    index: Arc<WordIndex>,
    without_copies: bool,
    most_expected: f64,
    /// Bases of all of them.
    bases: usize,
}

/// One of them, in the least space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) id: String,
    pub(super) sequence: Vec<u8>,
    /// The pairs (i, j), i < j.
    pub(super) pairs: Vec<(u32, u32)>,
}

impl From<Structure> for Known {
    fn from(structure: Structure) -> Self {
        let pairs = structure.pairs().map(|(i, j)| (i as u32, j as u32)).collect();
        Self { id: structure.id, sequence: structure.sequence, pairs }
    }
}

impl KnownStructures {
    /// These structures.
    pub fn new(structures: impl IntoIterator<Item = Structure>) -> Self {
        Self::of(structures.into_iter().map(|structure| Known::from(structure).into()).collect())
    }

    fn of(structures: Vec<Arc<Known>>) -> Self {
        let index = WordIndex::new(structures.iter().map(|structure| structure.sequence.as_slice()));
        let bases = structures.iter().map(|structure| structure.sequence.len()).sum();
        let (structures, index) = (structures.into(), index.into());
        Self { structures, index, without_copies: false, most_expected: DEFAULT_EVALUE, bases }
    }

    /// Those of some sources together; `None` where there are none.
    ///
    /// # Errors
    /// Where a file cannot be read or holds no structure, where this build has none inside, and where none and others are
    /// asked for.
    pub fn load(sources: &[Source]) -> Result<Option<Self>> {
        let mut structures = Vec::new();
        for source in sources {
            match source.open()? {
                Some((text, name)) => structures.extend(Self::parse(text, &name)?),
                None if sources.len() > 1 => {
                    return Err(Error::Usage("--known-structures none goes with no others".into()));
                }
                None => {}
            }
        }
        Ok((!structures.is_empty()).then(|| Self::of(structures)))
    }

    fn parse(text: impl BufRead + Send, name: &str) -> Result<Vec<Arc<Known>>> {
        let structures = structure_reader::read(text, name)?
            .map(|structure| structure.map(|structure| Known::from(structure).into()))
            .collect::<Result<Vec<_>>>()?;
        if structures.is_empty() {
            return Err(Error::Input {
                file: name.to_owned(),
                place: "at its end".to_owned(),
                message: "there are no known structures in it".to_owned(),
            });
        }
        Ok(structures)
    }

    /// The same, but near-identical copies of a sequence (more than 0.8 of the 8-letter words of the smaller set shared)
    /// are no homologs of it: what training and evaluation need.
    pub fn without_copies(self) -> Self {
        Self { without_copies: true, ..self }
    }

    /// The same, but what is expected more often than this by chance is no homolog.
    pub fn with_evalue(self, most_expected: f64) -> Self {
        Self { most_expected, ..self }
    }

    /// About how many bytes [`KnownStructures::related`] takes at most for a sequence of `length` bases: a byte for each cell of
    /// an alignment with the longest of them, and where the bases of the homologs lie.
    pub fn memory(&self, length: usize) -> u64 {
        let longest = self.structures.iter().map(|structure| structure.sequence.len()).max().unwrap_or(0);
        (length + 1) as u64 * (longest as u64 + 1 + 8 * ALIGNED as u64) + 4 * self.structures.len() as u64
    }

    /// The best significant homologs of a sequence of the letters ACGUN, at most 16, the best first.
    pub fn related(&self, sequence: &[u8]) -> Vec<Homolog> {
        let wanted =
            |index: usize| !(self.without_copies && near_identical(sequence, &self.structures[index].sequence));
        let nearest = self.index.nearest(sequence, ALIGNED, wanted);
        let mut found: Vec<Homolog> = nearest
            .into_iter()
            .map(|index| Homolog::new(sequence, self.structures[index].clone(), self.bases))
            .collect();
        found.retain(|homolog| homolog.evalue <= self.most_expected);
        // Equal ones stay in the order of their words.
        found.sort_by(|a, b| b.merit.total_cmp(&a.merit));
        found.truncate(KEPT);
        found
    }
}

/// A known structure aligned with a sequence.
#[derive(Clone, Debug, PartialEq)]
pub struct Homolog {
    pub(super) known: Arc<Known>,
    /// For each base of the sequence the one of the homolog that it is aligned with, or [`NOTHING`].
    pub(super) places: Vec<u32>,
    /// Part of the aligned bases whose letters are equal.
    pub identity: f32,
    /// Part of the sequence that is aligned with it.
    pub aligned: f32,
    /// Part of it that is aligned with the sequence.
    pub covered: f32,
    /// Part of its pairs that the sequence could form too.
    pub kept: f32,
    /// What the best homologs are chosen by: how well it is aligned, for what could be reached, times how well its pairs
    /// are kept. Below zero for a bad one.
    pub merit: f32,
    /// How many of the known structures are expected to be as well aligned with the sequence by chance.
    pub evalue: f64,
}

/// Stands for no base.
pub(super) const NOTHING: u32 = u32::MAX;

impl Homolog {
    /// The alignment with one of known structures of `bases` bases.
    pub(super) fn new(sequence: &[u8], known: Arc<Known>, bases: usize) -> Self {
        let alignment = align(sequence, &known.sequence);
        let (mut aligned, mut equal) = (0, 0);
        for (letter, place) in sequence.iter().zip(&alignment.places) {
            if *place != NOTHING {
                aligned += 1;
                equal += usize::from(*letter == known.sequence[*place as usize]);
            }
        }
        let part = |of: usize, all: usize| of as f32 / all.max(1) as f32;
        let reachable = MATCH * sequence.len().min(known.sequence.len()).max(1) as i32;
        let mut homolog = Self {
            identity: part(equal, aligned),
            aligned: part(aligned, sequence.len()),
            covered: part(aligned, known.sequence.len()),
            kept: 0.0,
            merit: 0.0,
            evalue: significance::evalue(sequence, &known, &alignment.places, bases),
            places: alignment.places,
            known,
        };
        let kept = homolog.partners(sequence).iter().flatten().count() / 2;
        homolog.kept = part(kept, homolog.known.pairs.len());
        homolog.merit = alignment.score as f32 / reachable as f32 * (ALIGNMENT_ALONE + homolog.kept);
        homolog
    }

    /// The id of the known structure.
    pub fn id(&self) -> &str {
        &self.known.id
    }

    /// How alike the two are: identity, the aligned parts of the sequence and of the homolog, the part of its pairs that is kept.
    pub fn alike(&self) -> [f32; 4] {
        [self.identity, self.aligned, self.covered, self.kept]
    }

    /// The partner of each base of the sequence that it was aligned with, by its pairs that the sequence can form.
    pub fn partners(&self, sequence: &[u8]) -> Vec<Option<usize>> {
        let partner = |base| match base {
            Base::Paired(partner) => Some(partner),
            Base::Unaligned | Base::Unpaired | Base::PairLost => None,
        };
        self.bases(sequence).into_iter().map(partner).collect()
    }

    /// What the homolog says of each base of that sequence.
    pub(super) fn bases(&self, sequence: &[u8]) -> Vec<Base> {
        let mut base_at = vec![None; self.known.sequence.len()];
        let mut bases = vec![Base::Unaligned; sequence.len()];
        for (i, place) in self.places.iter().enumerate().filter(|(_, place)| **place != NOTHING) {
            base_at[*place as usize] = Some(i);
            bases[i] = Base::Unpaired;
        }
        for &(a, b) in &self.known.pairs {
            match (base_at[a as usize], base_at[b as usize]) {
                (Some(i), Some(j)) if is_canonical(sequence[i], sequence[j]) => {
                    bases[i] = Base::Paired(j);
                    bases[j] = Base::Paired(i);
                }
                ends => [ends.0, ends.1].into_iter().flatten().for_each(|i| bases[i] = Base::PairLost),
            }
        }
        bases
    }
}

/// What a homolog says of a base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Base {
    /// Nothing: it is aligned with no base of the homolog.
    Unaligned,
    /// It is in no pair.
    Unpaired,
    /// It is paired with this base, by a pair that could form.
    Paired(usize),
    /// It is paired with one that is not there, or could not form the pair.
    PairLost,
}

/// Structures of which no two have near-identical sequences: of each such group the first.
pub fn representatives(structures: Vec<Structure>) -> Vec<Structure> {
    let sequences: Vec<&[u8]> = structures.iter().map(|structure| structure.sequence.as_slice()).collect();
    let clusters = crate::sequence::near_duplicates::clusters(&sequences);
    let firsts = clusters.into_iter().enumerate().map(|(index, first)| index == first);
    structures
        .into_iter()
        .zip(firsts.collect::<Vec<_>>())
        .filter(|(_, is_first)| *is_first)
        .map(|(one, _)| one)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::dot_bracket::parse_structure_line;

    fn structure(id: &str, sequence: &str, brackets: &str) -> Structure {
        let partners = parse_structure_line(brackets.as_bytes()).expect("brackets");
        Structure { id: id.into(), sequence: sequence.into(), partners }
    }

    const HAIRPIN: (&str, &str) = ("AAGGCAGCUCUUCGGAGCUGCCAA", "..((((((((....))))))))..");

    fn known() -> KnownStructures {
        KnownStructures::new(vec![
            structure("other", "CAUACUAUCAUCAUCUACUUACAUU", "........................."),
            structure("hairpin", HAIRPIN.0, HAIRPIN.1),
        ])
    }

    #[test]
    fn a_homolog_tells_the_pairs_that_the_sequence_can_form_too() {
        // Two letters more before the hairpin, one pair changed to another, one pair lost.
        let sequence = b"UUAAGGCAGCACUUCGGUGCUGACAA";
        let related = known().related(sequence);
        let homolog = &related[0];
        assert_eq!(homolog.id(), "hairpin");
        assert_eq!(homolog.kept, 7.0 / 8.0);
        assert_eq!(homolog.covered, 1.0);
        assert_eq!(homolog.aligned, 24.0 / 26.0);
        assert_eq!(homolog.identity, 21.0 / 24.0);
        let bases = homolog.bases(sequence);
        let text: String = bases
            .iter()
            .map(|base| match base {
                Base::Unaligned => '-',
                Base::Unpaired => '.',
                Base::Paired(_) => '|',
                Base::PairLost => 'x',
            })
            .collect();
        assert_eq!(text, "--..|x||||||....||||||x|..");
        assert_eq!(bases[4], Base::Paired(23));
        let paired = homolog.partners(sequence).into_iter().map(|partner| if partner.is_some() { '|' } else { '.' });
        assert_eq!(paired.collect::<String>(), text.replace(['-', 'x'], "."));
    }

    #[test]
    fn copies_are_left_out_where_asked() {
        let with = known().related(HAIRPIN.0.as_bytes());
        assert_eq!((with[0].id(), with[0].identity, with[0].kept), ("hairpin", 1.0, 1.0));
        assert!(known().without_copies().related(HAIRPIN.0.as_bytes()).iter().all(|homolog| homolog.id() != "hairpin"));
        assert_eq!(known().related(b""), []);
        assert_eq!(known().related(b"NNNNNNNNNN"), []);
    }

    #[test]
    fn representatives_are_the_first_of_their_kind() {
        let all = vec![
            structure("a", HAIRPIN.0, HAIRPIN.1),
            structure("b", "CAUACUAUCAUCAUCUACUUACAUU", "........................."),
            structure("c", HAIRPIN.0, HAIRPIN.1),
        ];
        let ids: Vec<String> = representatives(all).into_iter().map(|structure| structure.id).collect();
        assert_eq!(ids, ["a", "b"]);
    }
}
