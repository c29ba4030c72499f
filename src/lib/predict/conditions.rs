//! The conditions under which each record folds, from what is given for all of them and in files.

use std::path::Path;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::format::constraints;
use crate::format::reactivity::Reactivities;
use crate::sequence::{InputFile, Record, open_text};
use crate::thermodynamics::{Conditions, Constraints, EnergyModels, PseudoEnergy};
use crate::{Error, Result};

/// Where the conditions of records come from.
#[derive(Clone, Debug)]
pub struct RecordConditions {
    span: usize,
    models: Arc<EnergyModels>,
    constraints: Option<(String, FxHashMap<String, Vec<u8>>)>,
    reactivities: Option<(String, Reactivities, PseudoEnergy)>,
}

impl RecordConditions {
    /// Pairs of at most `span` bases, and what records bring themselves.
    pub fn new(span: usize) -> Self {
        Self { span, models: EnergyModels::at_37(), constraints: None, reactivities: None }
    }

    /// The same at another temperature than 37 degrees Celsius.
    pub fn at(self, celsius: f64) -> Self {
        Self { models: EnergyModels::at(celsius), ..self }
    }

    /// The same with the constraints of a file: see [`constraints::read`].
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn with_constraints(self, path: &Path) -> Result<Self> {
        let input = InputFile::from(path);
        let constraints = constraints::read(open_text(&input)?, &input.name())?;
        Ok(Self { constraints: Some((input.name(), constraints)), ..self })
    }

    /// The same with the reactivities of a file: see [`Reactivities`].
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn with_reactivities(self, path: &Path, energy: PseudoEnergy) -> Result<Self> {
        let input = InputFile::from(path);
        let reactivities = Reactivities::read(open_text(&input)?, &input.name())?;
        Ok(Self { reactivities: Some((input.name(), reactivities, energy)), ..self })
    }

    /// Most bases from the first to the last of a pair.
    pub fn span(&self) -> usize {
        self.span
    }

    /// The conditions of a record. Its own line of constraints counts before that of the file.
    ///
    /// # Errors
    /// Where constraints or reactivities are not those of a sequence of this length.
    pub fn of(&self, record: &Record) -> Result<Conditions> {
        let mut conditions = Conditions { models: self.models.clone(), ..Conditions::of_span(self.span) };
        let place = || format!("record {} ({})", record.ordinal + 1, record.id);
        let length = record.len();
        let in_file = self.constraints.as_ref().and_then(|(file, all)| Some((file.as_str(), all.get(&record.id)?)));
        let own = record.constraints.as_ref().map(|line| ("the input", line));
        if let Some((file, line)) = own.or(in_file) {
            let defect = |message| Error::Input { file: file.to_owned(), place: place(), message };
            if line.len() != length {
                let (characters, bases) = (line.len(), length);
                return Err(defect(format!(
                    "the constraints have {characters} characters and the sequence {bases} bases"
                )));
            }
            let constraints = Constraints::parse(line)
                .map_err(|(position, message)| defect(format!("constraints: position {}: {message}", position + 1)))?;
            conditions.constraints = Some(Arc::new(constraints));
        }
        if let Some((file, reactivities, energy)) = &self.reactivities {
            let defect = |message| Error::Input { file: file.clone(), place: place(), message };
            let found = match reactivities {
                Reactivities::ById(all) => all.get(&record.id),
                Reactivities::OfOne(_) if record.ordinal > 0 => {
                    return Err(defect(
                        "reactivities without ids are for a single record: give a table with the columns id and reactivity"
                            .into(),
                    ));
                }
                Reactivities::OfOne(numbers) => Some(numbers),
            };
            if let Some(numbers) = found {
                if numbers.len() > length {
                    return Err(defect(format!("{} reactivities for a sequence of {length} bases", numbers.len())));
                }
                let mut stacking: Vec<f64> = numbers.iter().map(|&reactivity| energy.of(reactivity)).collect();
                stacking.resize(length, 0.0);
                conditions.stacking = Some(Arc::new(stacking));
            }
        }
        Ok(conditions)
    }
}
