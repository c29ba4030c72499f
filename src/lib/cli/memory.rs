//! Batches of records where memory may run out: that of this machine, or of a device.

use super::{InputArgs, progress};
use crate::memory::{in_halves, require, reserve};
use crate::sequence::{OnError, Record, SET_ASIDE};
use crate::{Error, Result};

/// `work` on a batch, or where memory runs out on its halves one after the other; `take` gets what comes of each part of
/// the batch, in order. `needed` says beforehand about how many bytes the work on some records takes. A record that does
/// not fit alone is named: it ends the run, or is left out where the arguments say `--on-error skip`.
pub fn in_memory<R>(
    input: &InputArgs,
    batch: &[Record],
    needed: impl Fn(&[Record]) -> u64,
    work: impl Fn(&[Record]) -> Result<R>,
    mut take: impl FnMut(&[Record], R) -> Result<()>,
) -> Result<()> {
    let alone = |record: &Record, error| {
        set_aside_or_fail(input.on_error, format!("record {} ({} nt)", record.id, record.len()), &error)
    };
    let work = |part: &[Record]| require(needed(part)).and_then(|()| work(part));
    progress::counts_work();
    in_halves(batch, work, alone, |part, result| {
        let part = &batch[part];
        take(part, result)?;
        progress::done(part.len(), part.iter().map(Record::len).sum());
        Ok(())
    })
}

/// The rows that `write` appends for each record of a batch, in one piece where they fit in memory and in several where they
/// do not, as [`in_memory`] cuts them. `most_bytes` says how many bytes a record's rows take at most: they are reserved
/// before the rows are written, so that nothing grows.
///
/// # Errors
/// Those of [`in_memory`].
pub fn rows_in_memory(
    input: &InputArgs,
    batch: &[Record],
    most_bytes: impl Fn(&Record) -> usize,
    write: impl Fn(&Record, &mut Vec<u8>),
) -> Result<Vec<Vec<u8>>> {
    let mut all = Vec::new();
    let work = |part: &[Record]| {
        let mut rows = Vec::new();
        reserve(&mut rows, part.iter().map(&most_bytes).sum())?;
        part.iter().for_each(|record| write(record, &mut rows));
        Ok(rows)
    };
    let keep = |_: &[Record], rows| {
        all.push(rows);
        Ok(())
    };
    in_memory(input, batch, |_| 0, work, keep)?;
    Ok(all)
}

/// What becomes of a record that does not fit in memory alone, or that the model cannot read. Either way it counts as rejected.
pub fn set_aside_or_fail(on_error: OnError, name: String, error: &Error) -> Result<()> {
    super::tally().reject();
    let error = match error {
        Error::Unsuited { record, message } => Error::Unsuited { record: record.clone(), message: message.clone() },
        other => Error::OutOfMemory(format!("{name} does not fit in memory alone: {other}")),
    };
    if on_error == OnError::Fail {
        return Err(error);
    }
    log::warn!(target: SET_ASIDE, "set aside: {error}");
    Ok(())
}
