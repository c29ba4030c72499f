//! Reactivities of bases from chemical probing (SHAPE, DMS).
//!
//! A table with the columns `id` and `reactivity`, one row for each record with a number for each base between commas, or with
//! `position` (from 1) too, one row for each base; or, for a single record, the file that RNAfold's option --shape reads: position
//! and reactivity, perhaps with the letter between, without a header. `NA`, a word that is no number, and a base that is not
//! there are bases that nothing is known of.

use std::io::{BufRead, Read};

use rustc_hash::FxHashMap;

use super::named_columns::Table;
use crate::{Error, Result};

/// The reactivities of records by id; not a number where none is known.
#[derive(Clone, Debug, PartialEq)]
pub enum Reactivities {
    /// Of records that are told by their ids.
    ById(FxHashMap<String, Vec<f64>>),
    /// Of the only record.
    OfOne(Vec<f64>),
}

impl Reactivities {
    /// Reads a file, which errors call `file`.
    ///
    /// # Errors
    /// Where it cannot be read, a position is none, or an id or position comes twice.
    pub fn read(mut input: impl BufRead, file: &str) -> Result<Self> {
        let start = input.fill_buf().map_err(|error| Error::stream(file, "at its start", error))?;
        let first = start.iter().find(|byte| !byte.is_ascii_whitespace());
        if first.is_some_and(|byte| byte.is_ascii_digit() || *byte == b'#') {
            return Self::of_one(input, file);
        }
        let Some(mut table) = Table::open(input, file)? else { return Ok(Self::ById(FxHashMap::default())) };
        let (id, reactivity) = (table.column(&["id"])?, table.column(&["reactivity", "reactivities"])?);
        let position = table.optional(&["position"]);
        let mut all: FxHashMap<String, Vec<f64>> = FxHashMap::default();
        while table.advance()? {
            let row = table.fields().map(|row| row.iter().map(|field| field.to_string()).collect::<Vec<_>>());
            let added = row.and_then(|row| match position {
                None => {
                    let numbers = row[reactivity].split(',').map(number).collect();
                    match all.insert(row[id].clone(), numbers) {
                        None => Ok(()),
                        Some(_) => Err(format!("{} a second time", row[id])),
                    }
                }
                Some(position) => {
                    put(all.entry(row[id].clone()).or_default(), &row[position], number(&row[reactivity]))
                }
            });
            if let Err(message) = added {
                return Err(table.error(message));
            }
        }
        Ok(Self::ById(all))
    }

    fn of_one(mut input: impl Read, file: &str) -> Result<Self> {
        let mut text = String::new();
        input.read_to_string(&mut text).map_err(|error| Error::stream(file, "after its start", error))?;
        let mut numbers = Vec::new();
        for (line, content) in text.lines().enumerate() {
            let words: Vec<&str> = content.split('#').next().unwrap_or_default().split_whitespace().collect();
            let added = match words[..] {
                [] | [_] => Ok(()),
                [position, .., value] => put(&mut numbers, position, number(value)),
            };
            added.map_err(|message| Error::Input {
                file: file.to_owned(),
                place: format!("line {}", line + 1),
                message,
            })?;
        }
        Ok(Self::OfOne(numbers))
    }
}

fn number(word: &str) -> f64 {
    word.trim().parse().unwrap_or(f64::NAN)
}

/// Most bases of a record.
const MOST: usize = 1 << 28;

fn put(numbers: &mut Vec<f64>, position: &str, value: f64) -> std::result::Result<(), String> {
    let place =
        position.trim().parse::<usize>().ok().and_then(|place| place.checked_sub(1)).filter(|place| *place < MOST);
    let place = place.ok_or_else(|| format!("`{position}` is no position: they count from 1"))?;
    if numbers.len() <= place {
        numbers.resize(place + 1, f64::NAN);
    }
    match numbers[place].is_nan() {
        true => {
            numbers[place] = value;
            Ok(())
        }
        false => Err(format!("position {position} a second time")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms_say_the_same() {
        let read = |text: &str| Reactivities::read(text.as_bytes(), "file");
        let shown = |numbers: &[f64]| numbers.iter().map(|number| format!("{number} ")).collect::<String>();
        let expected = "0.5 NaN 2 ";
        for text in ["id\treactivity\na\t0.5,NA,2\n", "id\tposition\treactivity\na\t3\t2\na\t1\t0.5\na\t2\tNA\n"] {
            let Ok(Reactivities::ById(all)) = read(text) else { panic!("{text}") };
            assert_eq!(shown(&all["a"]), expected, "{text}");
        }
        for text in ["1 0.5\n3 2\n", "1\tG\t0.5\n2\tA\tNA\n\n3\tC\t2 # the last\n"] {
            let Ok(Reactivities::OfOne(numbers)) = read(text) else { panic!("{text}") };
            assert_eq!(shown(&numbers), expected, "{text}");
        }
        for (text, message) in [
            ("1 0.5\n1 2\n", "a second time"),
            ("0 0.5\n", "no position"),
            ("id\treactivity\na\t1\na\t2\n", "a second time"),
            ("id\tvalue\na\t1\n", "reactivity"),
        ] {
            let error = read(text).expect_err("a defect").to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}
