//! Sequences with their secondary structure.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::Records;
use crate::format::structure_reader;
use crate::model::heads::helix_pairs::Facts;
use crate::sequence::{InputFile, near_duplicates, open_text};
use crate::structure::Structure;
use crate::train::config::SplitBy;
use crate::{Error, Result};

/// One structure and the family that it belongs to.
#[derive(Clone, Debug)]
pub struct FoldRecord {
    /// Sequence and pairs.
    pub structure: Structure,
    /// The RNA family, empty where none is given.
    pub family: String,
    /// What a head wants to know about the sequence, from the first time it asks on: for 120 nt 12 KB of pairs and free
    /// energies, and 8 KB of homologs.
    pub facts: Arc<OnceLock<Facts>>,
    /// Homologs of more than this identity are passed over this time.
    pub most_alike: f32,
}

/// How often training shows a record all its homologs …
const WITH_ALL: f64 = 0.4;
/// … and how often none, as if its family were unknown. The rest of the time those are left out whose identity is above
/// a random one.
const WITH_NONE: f64 = 0.3;

impl From<Structure> for FoldRecord {
    fn from(structure: Structure) -> Self {
        Self { structure, family: String::new(), facts: Arc::default(), most_alike: 1.0 }
    }
}

/// Reads structures in any format, with families where a table tells them.
///
/// # Errors
/// Where a file cannot be read, or a record is wrong.
pub fn read_files(paths: &[PathBuf]) -> Result<Vec<FoldRecord>> {
    let mut records = Vec::new();
    for path in paths {
        let input = InputFile::from(path.as_path());
        for record in structure_reader::read_labelled(open_text(&input)?, &input.name())? {
            let (structure, family) = record?;
            records.push(FoldRecord { family, ..structure.into() });
        }
    }
    Ok(records)
}

/// The group of each record that it may not be parted from.
///
/// # Errors
/// Where structures have no such groups, and where a family is missing.
pub fn groups(records: &[FoldRecord], by: SplitBy) -> Result<Vec<Vec<u8>>> {
    let id = |record: &FoldRecord| record.structure.id.clone().into_bytes();
    match by {
        SplitBy::Record => Ok(records.iter().map(id).collect()),
        SplitBy::Family => records
            .iter()
            .map(|record| match record.family.as_str() {
                "" => Err(Error::Failed(format!(
                    "--split-by family: the record {} has no family (a TSV with a family column gives it)",
                    record.structure.id
                ))),
                family => Ok(family.as_bytes().to_vec()),
            })
            .collect(),
        SplitBy::Cluster => {
            let sequences: Vec<&[u8]> = records.iter().map(|record| record.structure.sequence.as_slice()).collect();
            Ok(near_duplicates::clusters(&sequences).into_iter().map(|first| id(&records[first])).collect())
        }
        _ => Err(Error::Usage("--split-by for fold is record, cluster or family".into())),
    }
}

impl Records for Vec<FoldRecord> {
    type Example = FoldRecord;

    fn len(&self) -> usize {
        self.as_slice().len()
    }

    fn tokens(&self, index: usize) -> usize {
        self[index].structure.sequence.len()
    }

    /// The record, with homologs, without, or with distant ones alone, so that a model learns both to trust them and to do
    /// without.
    fn example(&self, index: usize, random: &mut ChaCha8Rng) -> Result<FoldRecord> {
        let most_alike = match random.random::<f64>() {
            draw if draw < WITH_ALL => 1.0,
            draw if draw < WITH_ALL + WITH_NONE => 0.0,
            _ => random.random_range(0.5..1.0),
        };
        Ok(FoldRecord { most_alike, ..self[index].clone() })
    }
}
