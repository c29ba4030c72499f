//! Sequences with labels of the user's own: classes or values, of the sequence or of each of its nucleotides.

use std::collections::BTreeSet;
use std::path::PathBuf;

use rand_chacha::ChaCha8Rng;

use super::Records;
use crate::format::named_columns::Table;
use crate::model::heads::general::Part;
use crate::model::heads::outputs::Outputs;
use crate::sequence::{InputFile, near_duplicates, normalise, open_text};
use crate::train::config::SplitBy;
use crate::{Error, Result};

/// What stands for a value or a class that is not known.
const UNKNOWN: [&str; 2] = ["NA", "?"];

/// A row of a table, its labels as they stand there.
#[derive(Clone, Debug)]
pub struct LabelledRow {
    /// The id.
    pub id: String,
    /// Letters ACGUN.
    pub sequence: Vec<u8>,
    /// The family, where the table has such a column.
    pub family: Option<String>,
    /// The text of each column of labels.
    pub labels: Vec<String>,
    /// Where the row stands, for messages.
    place: (String, String),
}

impl LabelledRow {
    /// An error about the labels of this row.
    fn error(&self, message: String) -> Error {
        let (file, place) = self.place.clone();
        Error::Input { file, place, message }
    }
}

/// Reads the rows of tables: `id`, `seq` or `sequence`, perhaps `family`, and the columns of labels: those named `columns`,
/// or where there are none the first that is found of `usual`. Gives the names of the columns too.
///
/// # Errors
/// Where a file cannot be read, lacks a column, or holds a sequence that is none.
pub fn read(paths: &[PathBuf], columns: &[String], usual: &[&str]) -> Result<(Vec<String>, Vec<LabelledRow>)> {
    let (mut names, mut rows) = (columns.to_vec(), Vec::new());
    for path in paths {
        let input = InputFile::from(path.as_path());
        let file = input.name();
        let Some(mut table) = Table::open(open_text(&input)?, &file)? else { continue };
        let id = table.column(&["id"])?;
        let sequence = table.column(&["seq", "sequence"])?;
        let family = table.optional(&["family"]);
        if names.is_empty() {
            let found = usual.iter().find(|name| table.optional(&[name]).is_some());
            names = vec![found.copied().unwrap_or(usual[0]).to_owned()];
        }
        let lower: Vec<String> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
        let labels = lower.iter().map(|name| table.column(&[name])).collect::<Result<Vec<usize>>>()?;
        let mut number = 1;
        while table.advance()? {
            number += 1;
            let parsed = (|| {
                let row = table.fields()?;
                let letters = normalise(row[sequence].as_bytes())
                    .map_err(|bad| format!("sequence: position {}: {bad}", bad.position))?;
                if letters.is_empty() {
                    return Err("an empty sequence".to_owned());
                }
                Ok(LabelledRow {
                    id: row[id].to_string(),
                    sequence: letters,
                    family: family.map(|column| row[column].to_string()),
                    labels: labels.iter().map(|&column| row[column].trim().to_string()).collect(),
                    place: (file.clone(), format!("row {number} ({})", &row[id])),
                })
            })();
            rows.push(parsed.map_err(|message| table.error(message))?);
        }
    }
    Ok((names, rows))
}

/// The classes or the values of labels. Labels are values where `values` says so; classes are sorted by name.
///
/// # Errors
/// Where there are several columns of classes, and where values are no numbers.
pub fn outputs(names: Vec<String>, rows: &[LabelledRow], part: Part, values: bool) -> Result<Outputs> {
    if !values {
        if names.len() > 1 {
            return Err(Error::Usage("--columns: classes stand in one column; several columns are for values".into()));
        }
        let classes: BTreeSet<&str> =
            rows.iter().flat_map(|row| words(&row.labels[0], part)).filter(|word| !UNKNOWN.contains(word)).collect();
        return Ok(Outputs::Classes { names: classes.into_iter().map(str::to_owned).collect() });
    }
    let (mut means, mut deviations) = (Vec::new(), Vec::new());
    for (column, name) in names.iter().enumerate() {
        let mut all = Vec::new();
        for row in rows {
            for word in words(&row.labels[column], part) {
                all.extend(number(word).map_err(|message| row.error(format!("{name}: {message}")))?);
            }
        }
        let mean = all.iter().sum::<f64>() / all.len().max(1) as f64;
        let variance = all.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / all.len().max(1) as f64;
        means.push(mean);
        // A value that never varies is predicted by its mean.
        deviations.push(if variance > 0.0 { variance.sqrt() } else { 1.0 });
    }
    Ok(Outputs::Values { names, means, deviations })
}

/// Whether all labels are lists of numbers.
pub fn are_numbers(rows: &[LabelledRow]) -> bool {
    let is_list = |text: &String| text.contains(',') && words(text, Part::Nucleotide).all(|word| number(word).is_ok());
    !rows.is_empty() && rows.iter().all(|row| row.labels.iter().all(is_list))
}

/// The labels in a text: the text itself for a sequence; for nucleotides what commas or spaces part, or letters.
fn words(text: &str, part: Part) -> Box<dyn Iterator<Item = &str> + '_> {
    match part {
        Part::Sequence => Box::new(std::iter::once(text)),
        Part::Nucleotide if text.contains(',') => Box::new(text.split(',').map(str::trim)),
        Part::Nucleotide if text.contains(' ') => Box::new(text.split_whitespace()),
        Part::Nucleotide => Box::new(text.split("").filter(|letter| !letter.is_empty())),
    }
}

/// A number, or none where it is not known.
fn number(word: &str) -> std::result::Result<Option<f64>, String> {
    if UNKNOWN.contains(&word) {
        return Ok(None);
    }
    match word.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(Some(number)),
        _ => Err(format!("{word:?} is neither a number nor NA")),
    }
}

/// A sequence with its targets.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelledExample {
    /// The id.
    pub id: String,
    /// Letters ACGUN.
    pub sequence: Vec<u8>,
    /// For the sequence or for each of its nucleotides the number of the class or the values; not a number where it is not
    /// known.
    pub targets: Vec<f32>,
}

impl LabelledExample {
    /// The targets of a row for a head of these outputs. Of values, the last nucleotides may have none.
    ///
    /// # Errors
    /// Where a class is none of the outputs', where there are more labels than nucleotides, or of classes fewer.
    pub fn new(row: &LabelledRow, outputs: &Outputs, part: Part) -> Result<Self> {
        let parts = if part == Part::Sequence { 1 } else { row.sequence.len() };
        let width = outputs.targets();
        let mut targets = vec![f32::NAN; parts * width];
        for (column, text) in row.labels.iter().enumerate() {
            let mut count = 0;
            for (place, word) in words(text, part).enumerate() {
                count += 1;
                let target = match outputs {
                    _ if UNKNOWN.contains(&word) => f32::NAN,
                    Outputs::Values { .. } => {
                        number(word).map_err(|message| row.error(message))?.map_or(f32::NAN, |value| value as f32)
                    }
                    Outputs::Classes { names } => match names.iter().position(|name| name == word) {
                        Some(class) => class as f32,
                        None => {
                            let names = names.join(", ");
                            return Err(row.error(format!("{word:?} is none of the model's classes: {names}")));
                        }
                    },
                };
                if let Some(slot) = targets.get_mut(place * width + column) {
                    *slot = target;
                }
            }
            let classes = matches!(outputs, Outputs::Classes { .. });
            if count > parts || classes && count < parts {
                return Err(row.error(format!("{count} labels for a sequence of {}", row.sequence.len())));
            }
        }
        Ok(Self { id: row.id.clone(), sequence: row.sequence.clone(), targets })
    }

    /// Whether anything is known.
    pub fn is_labelled(&self) -> bool {
        self.targets.iter().any(|target| !target.is_nan())
    }
}

/// The group of each row that it may not be parted from.
///
/// # Errors
/// Where rows have no such groups, and where a family is missing.
pub fn groups(rows: &[LabelledRow], by: SplitBy) -> Result<Vec<Vec<u8>>> {
    let id = |row: &LabelledRow| row.id.clone().into_bytes();
    match by {
        SplitBy::Record => Ok(rows.iter().map(id).collect()),
        SplitBy::Cluster => {
            let sequences: Vec<&[u8]> = rows.iter().map(|row| row.sequence.as_slice()).collect();
            Ok(near_duplicates::clusters(&sequences).into_iter().map(|first| id(&rows[first])).collect())
        }
        SplitBy::Family => rows
            .iter()
            .map(|row| match &row.family {
                Some(family) => Ok(family.clone().into_bytes()),
                None => Err(row.error("--split-by family needs a column family".into())),
            })
            .collect(),
        _ => Err(Error::Usage("--split-by for classify, regress and label is record, cluster or family".into())),
    }
}

impl Records for Vec<LabelledExample> {
    type Example = LabelledExample;

    fn len(&self) -> usize {
        self.as_slice().len()
    }

    fn tokens(&self, index: usize) -> usize {
        self[index].sequence.len()
    }

    fn example(&self, index: usize, _: &mut ChaCha8Rng) -> Result<LabelledExample> {
        Ok(self[index].clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str, columns: &[&str], usual: &[&str]) -> Result<(Vec<String>, Vec<LabelledRow>)> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.tsv");
        std::fs::write(&path, text).unwrap();
        read(&[path], &columns.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>(), usual)
    }

    #[test]
    fn classes_are_numbered_by_name() {
        let text = "id\tseq\tclass\na\tacgt\ttRNA\nb\tGGC\t5S\nc\tA\t?\n";
        let (names, rows) = rows(text, &[], &["label", "class"]).unwrap();
        let outputs = outputs(names, &rows, Part::Sequence, false).unwrap();
        assert_eq!(outputs.names(), ["5S", "tRNA"]);
        let targets =
            |row: &LabelledRow| LabelledExample::new(row, &outputs, Part::Sequence).map(|example| example.targets[0]);
        assert_eq!((targets(&rows[0]).unwrap(), targets(&rows[1]).unwrap()), (1.0, 0.0));
        assert!(targets(&rows[2]).unwrap().is_nan());
        let other = LabelledRow { labels: vec!["rRNA".into()], ..rows[0].clone() };
        let error = targets(&other).unwrap_err().to_string();
        assert!(error.contains("rRNA") && error.contains("5S, tRNA") && error.contains("row 2 (a)"), "{error}");
    }

    #[test]
    fn values_of_nucleotides_stand_in_several_columns() {
        let text = "id\tseq\tA\tb\nx\tACGU\t1,2,NA,5\t0.5,0.5\n";
        let (names, rows) = rows(text, &["A", "b"], &["labels"]).unwrap();
        assert!(are_numbers(&rows));
        let outputs = outputs(names, &rows, Part::Nucleotide, true).unwrap();
        assert_eq!(outputs.names(), ["A", "b"]);
        let targets = LabelledExample::new(&rows[0], &outputs, Part::Nucleotide).unwrap().targets;
        assert_eq!((targets[..4].to_vec(), targets[6]), (vec![1.0, 0.5, 2.0, 0.5], 5.0));
        assert!(targets[4].is_nan() && targets[5].is_nan() && targets[7].is_nan());
        let long = LabelledRow { labels: vec!["1,2,3,4,5".into(), "1".into()], ..rows[0].clone() };
        assert!(LabelledExample::new(&long, &outputs, Part::Nucleotide).unwrap_err().to_string().contains("5 labels"));
    }

    #[test]
    fn letters_and_words_are_classes() {
        for labels in ["((.))", "( ( . ) )", "(,(,.,),)"] {
            let (names, rows) = rows(&format!("id\tseq\tlabels\nx\tGGACC\t{labels}\n"), &[], &["labels"]).unwrap();
            assert!(!are_numbers(&rows));
            let outputs = outputs(names, &rows, Part::Nucleotide, false).unwrap();
            assert_eq!(outputs.names(), ["(", ")", "."]);
            let example = LabelledExample::new(&rows[0], &outputs, Part::Nucleotide).unwrap();
            assert_eq!(example.targets, [0.0, 0.0, 2.0, 1.0, 1.0], "{labels}");
            let short = LabelledRow { labels: vec!["(.".into()], ..rows[0].clone() };
            assert!(LabelledExample::new(&short, &outputs, Part::Nucleotide).is_err());
        }
    }
}
