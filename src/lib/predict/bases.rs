//! A row for each nucleotide: its class and the probabilities of all, or its values; or one of these as a bedGraph.

use rayon::prelude::*;

use super::sequence::{answer_columns, append_answer};
use super::{Predict, PredictionFormat, check_finite};
use crate::format::bed;
use crate::model::Features;
use crate::model::heads::bases::BasesHead;
use crate::model::heads::general::GeneralHead;
use crate::sequence::Record;
use crate::{Error, Result};

/// Writes a row for each nucleotide, or the column of this number as a bedGraph.
pub(super) struct Bases {
    head: BasesHead,
    track: Option<usize>,
}

impl Bases {
    /// # Errors
    /// Where there are several columns and `column` names none of them.
    pub(super) fn new(head: BasesHead, format: PredictionFormat, column: Option<&str>) -> Result<Self> {
        let names = head.outputs().names();
        let track = match format {
            PredictionFormat::Tsv | PredictionFormat::Json => None,
            PredictionFormat::Bedgraph => {
                let place = match column {
                    Some(column) => names.iter().position(|name| name == column),
                    None => (names.len() == 1).then_some(0),
                };
                let known = || Error::Usage(format!("--column says which of {} a bedGraph holds", names.join(", ")));
                Some(place.ok_or_else(known)?)
            }
        };
        Ok(Self { head, track })
    }
}

impl Predict for Bases {
    fn header(&self) -> String {
        match self.track {
            None => format!("id\tposition\tnucleotide\t{}\n", answer_columns(self.head.outputs())),
            Some(_) => String::new(),
        }
    }

    fn rows(&self, records: &[Record], features: &Features) -> Result<Vec<Vec<u8>>> {
        let answers = self.head.answers(features)?;
        let rows = |(record, answers): (&Record, &Vec<Vec<f32>>)| {
            answers.iter().try_for_each(|answer| check_finite(&record.id, answer))?;
            let mut text = Vec::new();
            if let Some(column) = self.track {
                let values: Vec<f32> = answers.iter().map(|answer| answer[column]).collect();
                bed::write_track(&mut text, &record.id, 0, &values).map_err(|error| Error::write("bedGraph", error))?;
                return Ok(text);
            }
            for (place, (answer, letter)) in answers.iter().zip(&record.sequence).enumerate() {
                text.extend_from_slice(format!("{}\t{}\t{}\t", record.id, place + 1, char::from(*letter)).as_bytes());
                append_answer(self.head.outputs(), answer, &mut text);
            }
            Ok(text)
        };
        records.par_iter().zip(&answers).map(rows).collect()
    }
}
