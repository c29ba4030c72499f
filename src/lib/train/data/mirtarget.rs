//! Pairs of a miRNA and a target site, with the label whether one binds the other.

use std::io::BufRead;

use rand_chacha::ChaCha8Rng;

use super::Records;
use crate::format::named_columns::Table;
use crate::sequence::normalise;
use crate::train::config::SplitBy;
use crate::{Error, Result};

/// One pair. Both sequences read 5'->3' and hold ACGUN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirtargetRecord {
    /// The id of the pair, or its names joined by a colon.
    pub id: String,
    /// Name of the miRNA.
    pub mirna_name: String,
    /// The miRNA.
    pub mirna: Vec<u8>,
    /// The target site.
    pub target: Vec<u8>,
    /// Whether the miRNA binds the site.
    pub label: bool,
}

/// Reads the pairs of a TSV: `mirna_name` or `mirna`, `mirna_seq`, `target_id` or `target`, `target_seq`, `label`
/// (1 or 0), and perhaps `id`.
pub fn read(reader: impl BufRead, file: &str) -> Result<Vec<MirtargetRecord>> {
    let Some(mut table) = Table::open(reader, file)? else { return Ok(Vec::new()) };
    let id = table.optional(&["id"]);
    let mirna_name = table.column(&["mirna_name", "mirna"])?;
    let mirna = table.column(&["mirna_seq"])?;
    let target_name = table.column(&["target_id", "target"])?;
    let target = table.column(&["target_seq"])?;
    let label = table.column(&["label"])?;
    let mut records = Vec::new();
    while let Some(row) = table.next_row()? {
        let parsed = (|| {
            Ok(MirtargetRecord {
                id: id.map_or_else(|| format!("{}:{}", row[mirna_name], row[target_name]), |id| row[id].to_string()),
                mirna_name: row[mirna_name].to_string(),
                mirna: normalise(row[mirna].as_bytes())
                    .map_err(|bad| format!("mirna_seq: position {}: {bad}", bad.position))?,
                target: normalise(row[target].as_bytes())
                    .map_err(|bad| format!("target_seq: position {}: {bad}", bad.position))?,
                label: match row[label] {
                    "1" => true,
                    "0" => false,
                    other => return Err(format!("the label {other:?} is neither 1 nor 0")),
                },
            })
        })();
        let record = parsed.map_err(|message: String| table.error(message))?;
        if record.mirna.is_empty() || record.target.is_empty() {
            return Err(table.error("an empty sequence"));
        }
        records.push(record);
    }
    Ok(records)
}

/// The name of the group that a record may not be parted from.
///
/// # Errors
/// Where pairs have no such groups.
pub fn group(record: &MirtargetRecord, by: SplitBy) -> Result<Vec<u8>> {
    match by {
        SplitBy::Record => Ok(record.id.clone().into_bytes()),
        // The sequences, not the names: they are what the model sees.
        SplitBy::Pair => Ok([record.mirna.as_slice(), b"&", record.target.as_slice()].concat()),
        SplitBy::Mirna => Ok(record.mirna.clone()),
        SplitBy::Cluster | SplitBy::Family | SplitBy::Locus => {
            Err(Error::Usage("--split-by for mirtarget is record, pair or mirna".into()))
        }
    }
}

impl Records for Vec<MirtargetRecord> {
    type Example = MirtargetRecord;

    fn len(&self) -> usize {
        self.as_slice().len()
    }

    /// miRNA and target, and the special token before each.
    fn tokens(&self, index: usize) -> usize {
        self[index].mirna.len() + self[index].target.len() + 2
    }

    fn example(&self, index: usize, _random: &mut ChaCha8Rng) -> Result<MirtargetRecord> {
        Ok(self[index].clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAIRS: &str = "id\tmirna_name\tmirna_seq\ttarget_id\ttarget_seq\tlabel\n\
                         p1\tlet-7\tugaggtag\tENSG1\tACGTNN\t1\np2\tmiR-1\tUGGAAUGU\tENSG2\tACGU\t0\n";

    #[test]
    fn pairs_are_read_and_normalised() {
        let records = read(PAIRS.as_bytes(), "pairs.tsv").expect("valid pairs");
        assert_eq!(records.len(), 2);
        assert_eq!(records[0].mirna, b"UGAGGUAG");
        assert_eq!(records[0].target, b"ACGUNN");
        assert_eq!((records[0].label, records[1].label), (true, false));
        assert_eq!(records.tokens(0), 16);
        let plain = PAIRS.replace("id\tmirna_name", "x\tmirna");
        assert_eq!(read(plain.as_bytes(), "pairs.tsv").expect("valid pairs")[0].id, "let-7:ENSG1");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (from, to, message) in [
            ("\t1\n", "\tyes\n", "\"yes\""),
            ("ugaggtag", "ugag-tag", "position 5"),
            ("\tlabel", "\tclass", "a column label"),
        ] {
            let error = read(PAIRS.replace(from, to).as_bytes(), "pairs.tsv").expect_err("an error").to_string();
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn groups_are_those_asked_for() {
        let records = read(PAIRS.as_bytes(), "pairs.tsv").expect("valid pairs");
        assert_eq!(group(&records[0], SplitBy::Mirna).expect("a group"), b"UGAGGUAG");
        assert_eq!(group(&records[0], SplitBy::Pair).expect("a group"), b"UGAGGUAG&ACGUNN");
        assert!(group(&records[0], SplitBy::Family).is_err());
    }
}
