//! What a task's training minimises, and how well a model does at it: one file per task.

pub mod coding;
pub mod fold;
pub mod general;
pub mod losses;
pub mod mirtarget;
pub mod pretrain;

use candle_core::Tensor;

use super::data::Records;
use super::signals::Interrupt;
use crate::format::number;
use crate::model::ops::dropout::Dropout;
use crate::model::{Input, ModelConfig, Parameters};
use crate::{Error, Result};

/// The loss of one micro-batch.
pub struct Loss {
    /// A number whose gradient is that of the loss.
    pub surrogate: Tensor,
    /// The loss: a sum, not a mean.
    pub loss: f64,
    /// What the loss is a sum over.
    pub weight: f64,
    /// Nucleotides that went through the model.
    pub tokens: u64,
}

/// How well a model does: named figures, and a table with a row per record.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Name and value of each figure.
    pub figures: Vec<(&'static str, f64)>,
    /// Header row of the table.
    pub header: &'static str,
    /// The table's rows.
    pub rows: Vec<String>,
    /// The same figures for parts of the records by name, as for each species; perhaps none.
    pub groups: Vec<(String, Vec<(&'static str, f64)>)>,
}

impl Report {
    /// The figures as a table, a row each, beside those of simple rules, which have names.
    pub fn table(&self, rules: &[(&str, Self)]) -> String {
        let names: String = rules.iter().map(|(name, _)| format!("\t{name}")).collect();
        let mut text = format!("figure\tmodel{names}\n");
        let mut add = |figures: &[(&str, f64)], of: &str, rules: &[&[(&str, f64)]]| {
            for &(name, value) in figures {
                text.push_str(&format!("{name}{of}\t{}", number::format(value)));
                for rule in rules {
                    let other = rule.iter().find(|(other, _)| *other == name);
                    let other = other.map_or("NA".into(), |&(_, value)| number::format(value));
                    text.push_str(&format!("\t{other}"));
                }
                text.push('\n');
            }
        };
        let overall: Vec<&[(&str, f64)]> = rules.iter().map(|(_, rule)| rule.figures.as_slice()).collect();
        add(&self.figures, "", &overall);
        for (group, figures) in &self.groups {
            let same = |report: &'_ Self| report.groups.iter().position(|(other, _)| other == group);
            let of_group: Vec<&[(&str, f64)]> =
                rules.iter().map(|(_, rule)| same(rule).map_or(&[][..], |at| rule.groups[at].1.as_slice())).collect();
            add(figures, &format!(":{group}"), &of_group);
        }
        text.push_str(&format!("records\t{}{}\n", self.rows.len(), "\tNA".repeat(rules.len())));
        text
    }

    /// The table with a row per record.
    pub fn record_table(&self) -> String {
        std::iter::once(self.header).chain(self.rows.iter().map(String::as_str)).map(|row| format!("{row}\n")).collect()
    }
}

/// A task.
pub trait Objective: Sync {
    /// What one record gives in one step.
    type Example: Send + Sync;
    /// The records of the task.
    type Data: Records<Example = Self::Example>;

    /// The loss of `examples` under `parameters`, whose tensors are tracked.
    ///
    /// # Errors
    /// Where a tensor operation fails.
    fn loss(
        &self,
        config: &ModelConfig,
        parameters: &Parameters,
        examples: &[&Self::Example],
        dropout: &mut Dropout,
    ) -> Result<Loss>;

    /// Figures of a model on `examples`, computed by all threads of the current rayon pool.
    ///
    /// # Errors
    /// Where a tensor operation fails, and [`Error::Interrupted`] soon after `interrupt` was raised.
    fn evaluate(
        &self,
        config: &ModelConfig,
        parameters: &Parameters,
        examples: &[Self::Example],
        interrupt: &Interrupt,
    ) -> Result<Report>;

    /// Names of the figures of [`Objective::evaluate`], in order; the first decides which weights are best.
    fn figures(&self) -> &'static [&'static str];

    /// Whether the first figure is better when it is smaller.
    fn smaller_is_better(&self) -> bool {
        false
    }
}

/// Nucleotides of all inputs together.
fn nucleotides(inputs: &[Input]) -> u64 {
    inputs.iter().map(|input| input.nucleotides() as u64).sum()
}

/// A number whose gradient with respect to `logits` is `gradient`, given in the logits' order.
fn surrogate(logits: &Tensor, gradient: Vec<f32>) -> Result<Tensor> {
    let gradient = Tensor::from_vec(gradient, logits.shape(), logits.device())?;
    Ok((logits * gradient)?.sum_all()?)
}

/// The result for the record `id`, which is named where it does not fit in memory.
fn named<R>(id: &str, result: Result<R>) -> Result<R> {
    result.map_err(|error| match error {
        Error::OutOfMemory(message) => {
            Error::OutOfMemory(format!("record {id} does not fit in memory alone: {message}"))
        }
        other => other,
    })
}
