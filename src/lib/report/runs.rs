//! The runs that made the results, as `--stats` tells them, with the cards of their models.

use serde::Serialize;

use super::results::Text;
use crate::Result;
use crate::format::named_columns::Table;
use crate::format::table::MISSING;
use crate::model::cards;

/// A row of the table that `--stats` writes.
pub(super) struct Run {
    name: String,
    tool: String,
    version: String,
    command: String,
    records: u64,
    rejected: u64,
    seconds: f64,
    device: String,
    model: String,
    checksum: String,
    status: String,
    warnings: String,
}

/// Reads the rows.
pub(super) fn read(text: Text, file: &str) -> Result<Vec<Run>> {
    let Some(mut table) = Table::open(text, file)? else { return Ok(Vec::new()) };
    let names = [
        "run",
        "tool",
        "version",
        "command",
        "records",
        "rejected",
        "seconds",
        "device",
        "model",
        "model_sha256",
        "status",
        "warnings",
    ];
    let columns = names.map(|name| table.optional(&[name]));
    let mut runs = Vec::new();
    while table.advance()? {
        let row = table.row();
        let text = |place: usize| columns[place].and_then(|column| row.get(column)).unwrap_or(MISSING).to_owned();
        runs.push(Run {
            name: text(0),
            tool: text(1),
            version: text(2),
            command: text(3),
            records: text(4).parse().unwrap_or_default(),
            rejected: text(5).parse().unwrap_or_default(),
            seconds: text(6).parse().unwrap_or_default(),
            device: text(7),
            model: text(8),
            checksum: text(9),
            status: text(10),
            warnings: text(11),
        });
    }
    Ok(runs)
}

/// Runs of one tool with one model, which the tasks of an array share.
#[derive(Serialize)]
pub(super) struct Work {
    tool: String,
    version: String,
    /// Of the first of them.
    command: String,
    tasks: usize,
    records: u64,
    rejected: u64,
    seconds: f64,
    device: String,
    model: String,
    checksum: String,
    /// What the card of the model says: heading and sentence.
    card: Vec<(&'static str, String)>,
}

/// The runs, those of one tool and model together.
pub(super) fn work(runs: &[Run]) -> Vec<Work> {
    let mut works: Vec<Work> = Vec::new();
    for run in runs {
        let same = |work: &&mut Work| {
            (&work.tool, &work.version, &work.checksum, &work.device)
                == (&run.tool, &run.version, &run.checksum, &run.device)
        };
        if let Some(work) = works.iter_mut().find(same) {
            work.tasks += 1;
            work.records += run.records;
            work.rejected += run.rejected;
            work.seconds += run.seconds;
            continue;
        }
        let card = cards::of_model(&run.model).map(cards::in_brief).unwrap_or_default();
        works.push(Work {
            tool: run.tool.clone(),
            version: run.version.clone(),
            command: run.command.clone(),
            tasks: 1,
            records: run.records,
            rejected: run.rejected,
            seconds: run.seconds,
            device: run.device.clone(),
            model: run.model.clone(),
            checksum: run.checksum.clone(),
            card,
        });
    }
    works
}

/// What deserves attention: runs that failed, records that were set aside, and what the tools warned of.
pub(super) fn warnings(runs: &[Run]) -> Vec<String> {
    let mut warnings = Vec::new();
    for run in runs {
        if run.status != "0" {
            warnings
                .push(format!("{} ({}): exit status {}: its results are not complete", run.tool, run.name, run.status));
        }
        if run.rejected > 0 {
            warnings.push(format!("{} ({}): {} records were set aside", run.tool, run.name, run.rejected));
        }
        if run.warnings != MISSING {
            warnings.push(format!("{} ({}): {}", run.tool, run.name, run.warnings));
        }
    }
    warnings
}
