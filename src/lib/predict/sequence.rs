//! A row for each RNA: its class and the probabilities of all, or its values.

use super::{Predict, PredictionFormat, check_finite};
use crate::format::number;
use crate::model::Features;
use crate::model::heads::general::GeneralHead;
use crate::model::heads::outputs::{Outputs, largest};
use crate::sequence::Record;
use crate::{Error, Result};

/// Writes a row for each RNA.
pub(super) struct Sequences<H> {
    head: H,
}

impl<H: GeneralHead> Sequences<H> {
    /// # Errors
    /// Where the format is for nucleotides.
    pub(super) fn new(head: H, format: PredictionFormat) -> Result<Self> {
        match format {
            PredictionFormat::Tsv | PredictionFormat::Json => Ok(Self { head }),
            PredictionFormat::Bedgraph => {
                Err(Error::Usage("--format bedgraph is for models that label nucleotides".into()))
            }
        }
    }
}

impl<H: GeneralHead> Predict for Sequences<H> {
    fn header(&self) -> String {
        format!("id\t{}\n", answer_columns(self.head.outputs()))
    }

    fn rows(&self, records: &[Record], features: &Features) -> Result<Vec<Vec<u8>>> {
        let answers = self.head.answers(features)?;
        let row = |(record, answers): (&Record, &Vec<Vec<f32>>)| {
            check_finite(&record.id, &answers[0])?;
            let mut text = format!("{}\t", record.id).into_bytes();
            append_answer(self.head.outputs(), &answers[0], &mut text);
            Ok(text)
        };
        records.iter().zip(&answers).map(row).collect()
    }
}

/// The columns of an answer: `label` and `p_NAME` of each class, or the names of the values.
pub(super) fn answer_columns(outputs: &Outputs) -> String {
    match outputs {
        Outputs::Classes { names } => {
            let probabilities: String = names.iter().map(|name| format!("\tp_{name}")).collect();
            format!("label{probabilities}")
        }
        Outputs::Values { names, .. } => names.join("\t"),
    }
}

/// Appends the cells of an answer and a line end.
pub(super) fn append_answer(outputs: &Outputs, answer: &[f32], text: &mut Vec<u8>) {
    if let Outputs::Classes { names } = outputs {
        text.extend_from_slice(names[largest(answer)].as_bytes());
        text.push(b'\t');
    }
    for (place, &number) in answer.iter().enumerate() {
        if place > 0 {
            text.push(b'\t');
        }
        number::append(text, number);
    }
    text.push(b'\n');
}
