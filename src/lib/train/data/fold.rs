//! Sequences with their secondary structure.

use std::io::BufRead;
use std::sync::{Arc, OnceLock};

use rand_chacha::ChaCha8Rng;

use super::Records;
use super::near_duplicates;
use crate::format::dot_bracket::parse_structure_line;
use crate::format::named_columns::Table;
use crate::format::structure::Structure;
use crate::sequence::normalise;
use crate::train::config::SplitBy;
use crate::{Error, Result};

/// One structure and the family that it belongs to.
#[derive(Clone, Debug)]
pub struct FoldRecord {
    /// Sequence and pairs.
    pub structure: Structure,
    /// The RNA family, empty where none is given.
    pub family: String,
    /// What a head needs of the free energies, from the first time it asks on: 4 bytes per pair that could be part of a
    /// helix, 6 KB for 120 nt.
    pub free_energy: Arc<OnceLock<Vec<f32>>>,
}

impl From<Structure> for FoldRecord {
    fn from(structure: Structure) -> Self {
        Self { structure, family: String::new(), free_energy: Arc::default() }
    }
}

/// Reads the rows of a TSV: `id`, `seq` or `sequence`, `dotbracket` or `structure`, and perhaps `family`.
pub fn read_table(reader: impl BufRead, file: &str) -> Result<Vec<FoldRecord>> {
    let Some(mut table) = Table::open(reader, file)? else { return Ok(Vec::new()) };
    let id = table.column(&["id"])?;
    let sequence = table.column(&["seq", "sequence"])?;
    let brackets = table.column(&["dotbracket", "dot_bracket", "structure"])?;
    let family = table.optional(&["family", "class"]);
    let mut records = Vec::new();
    while let Some(row) = table.next_row()? {
        let parsed = (|| {
            let sequence = normalise(row[sequence].as_bytes())
                .map_err(|bad| format!("sequence: position {}: {bad}", bad.position))?;
            let partners = parse_structure_line(row[brackets].as_bytes())
                .map_err(|(position, message)| format!("structure: position {position}: {message}"))?;
            if partners.len() != sequence.len() {
                return Err(format!("a structure of {} for a sequence of {}", partners.len(), sequence.len()));
            }
            Ok(FoldRecord {
                structure: Structure { id: row[id].to_string(), sequence, partners },
                family: family.map_or(String::new(), |column| row[column].to_string()),
                free_energy: Arc::default(),
            })
        })();
        records.push(parsed.map_err(|message: String| table.error(message))?);
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
                "" => Err(Error::Usage(format!(
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

    fn example(&self, index: usize, _random: &mut ChaCha8Rng) -> Result<FoldRecord> {
        Ok(self[index].clone())
    }
}
