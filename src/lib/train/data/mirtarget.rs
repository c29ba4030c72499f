//! Pairs of a miRNA and a target site, with the label whether one binds the other.

use std::io::Read;
use std::path::PathBuf;

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::Records;
use crate::format::named_columns::Table;
use crate::sequence::{InputFile, normalise, open_text};
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

/// Reads the pairs of tables.
///
/// # Errors
/// Where a file cannot be read, or a row is wrong.
pub fn read_files(paths: &[PathBuf]) -> Result<Vec<MirtargetRecord>> {
    let mut records = Vec::new();
    for path in paths {
        let input = InputFile::from(path.as_path());
        records.extend(read(open_text(&input)?, &input.name())?);
    }
    Ok(records)
}

/// Reads the pairs of a TSV: `mirna_name` or `mirna`, `mirna_seq`, `target_id` or `target`, `target_seq`, `label`
/// (1 or 0), and perhaps `id`.
pub fn read(reader: impl Read, file: &str) -> Result<Vec<MirtargetRecord>> {
    let Some(mut table) = Table::open(reader, file)? else { return Ok(Vec::new()) };
    let id = table.optional(&["id"]);
    let mirna_name = table.column(&["mirna_name", "mirna"])?;
    let mirna = table.column(&["mirna_seq"])?;
    let target_name = table.column(&["target_id", "target"])?;
    let target = table.column(&["target_seq"])?;
    let label = table.column(&["label"])?;
    let mut records = Vec::new();
    while table.advance()? {
        let parsed = (|| {
            let row = table.fields()?;
            Ok(MirtargetRecord {
                id: id.map_or_else(|| format!("{}:{}", &row[mirna_name], &row[target_name]), |id| row[id].to_string()),
                mirna_name: row[mirna_name].to_string(),
                mirna: normalise(row[mirna].as_bytes())
                    .map_err(|bad| format!("mirna_seq: position {}: {bad}", bad.position))?,
                target: normalise(row[target].as_bytes())
                    .map_err(|bad| format!("target_seq: position {}: {bad}", bad.position))?,
                label: match row[label].trim_ascii() {
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

/// The training data: every pair of every epoch is changed a little, so that a model does not learn pairs by heart.
pub struct MirtargetRecords {
    /// The pairs.
    pub records: Vec<MirtargetRecord>,
    /// Part of the letters that is replaced by N.
    pub mask_rate: f64,
    /// Most bases that a site loses at either end.
    pub trim: usize,
}

/// Sites are not trimmed below this length.
const SHORTEST_TRIMMED: usize = 30;

impl Records for MirtargetRecords {
    type Example = MirtargetRecord;

    fn len(&self) -> usize {
        self.records.len()
    }

    /// miRNA and target, and the special token before each.
    fn tokens(&self, index: usize) -> usize {
        self.records[index].mirna.len() + self.records[index].target.len() + 2
    }

    fn example(&self, index: usize, random: &mut ChaCha8Rng) -> Result<MirtargetRecord> {
        let mut record = self.records[index].clone();
        if self.trim > 0 && record.target.len() >= SHORTEST_TRIMMED + 2 * self.trim {
            let end = record.target.len() - random.random_range(0..=self.trim);
            record.target.truncate(end);
            record.target.drain(..random.random_range(0..=self.trim));
        }
        if self.mask_rate > 0.0 {
            for letter in record.mirna.iter_mut().chain(&mut record.target) {
                if random.random_bool(self.mask_rate) {
                    *letter = b'N';
                }
            }
        }
        Ok(record)
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
        let records = MirtargetRecords { records, mask_rate: 0.0, trim: 0 };
        assert_eq!(records.tokens(0), 16);
        let plain = PAIRS.replace("id\tmirna_name", "x\tmirna");
        assert_eq!(read(plain.as_bytes(), "pairs.tsv").expect("valid pairs")[0].id, "let-7:ENSG1");
    }

    #[test]
    fn training_sees_pairs_with_masked_letters_and_trimmed_sites() {
        use rand::SeedableRng;
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let mut record = read(PAIRS.as_bytes(), "pairs.tsv").expect("valid pairs").remove(0);
        record.target = [b"GGG".as_slice(), &[b'A'; 34], b"CCC"].concat();
        let changed = MirtargetRecords { records: vec![record.clone()], mask_rate: 0.1, trim: 3 };
        let examples: Vec<MirtargetRecord> =
            (0..300).map(|_| changed.example(0, &mut random).expect("an example")).collect();
        let (mut letters, mut masked) = (0, 0);
        for example in &examples {
            assert!((34..=40).contains(&example.target.len()));
            letters += example.mirna.len() + example.target.len();
            masked += example.mirna.iter().chain(&example.target).filter(|letter| **letter == b'N').count();
        }
        assert!((0.08..0.12).contains(&(masked as f64 / letters as f64)), "{masked} of {letters}");
        assert!(examples.iter().any(|example| !example.target.contains(&b'G')));
        assert!(examples.iter().any(|example| !example.target.contains(&b'C')));
        let as_is = MirtargetRecords { mask_rate: 0.0, trim: 0, ..changed };
        assert_eq!(as_is.example(0, &mut random).expect("an example"), record);
        // A site that would become short stays whole.
        let short = MirtargetRecords { trim: 6, ..as_is };
        assert_eq!(short.example(0, &mut random).expect("an example"), record);
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
