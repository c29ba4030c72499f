//! How far a run is: a bar where standard error is a terminal, and a line a minute where it is none.
//!
//! What counts is the work done ([`done`]), not what was read, which runs ahead of it; tools that do their work while they
//! read have no other. How much there is to do is known by the bytes of the files: the part that is done is taken to be the
//! part of their nucleotides that is.

use crate::sequence::{InputFile, RecordReader};
use indicatif::{HumanCount, HumanDuration, ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Time between two lines where there is no terminal, and between two pictures of the bar.
const LINES_EVERY: Duration = Duration::from_secs(60);
const DRAWN_EVERY: Duration = Duration::from_millis(100);

/// The run of this process.
static STATE: Mutex<Option<State>> = Mutex::new(None);

struct State {
    /// Only on a terminal, so that messages do not run into it.
    bar: Option<ProgressBar>,
    started: Instant,
    shown: Instant,
    /// Bytes of all files; `None` where one is a pipe.
    total: Option<u64>,
    read: Counts,
    /// What is done, from the first call of [`done`] on.
    done: Option<Counts>,
    /// Windows that were judged, by tools that count them.
    windows: u64,
}

#[derive(Clone, Copy, Default)]
struct Counts {
    bytes: u64,
    records: u64,
    nucleotides: u64,
}

fn state() -> MutexGuard<'static, Option<State>> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Shows how far the run on these files is, which `reader` reads.
pub(super) fn show(reader: &mut RecordReader, files: &[InputFile]) {
    let sizes = files.iter().map(|file| match file {
        InputFile::Stdin => None,
        InputFile::Path(path) => std::fs::metadata(path).ok().filter(|data| data.is_file()).map(|data| data.len()),
    });
    let total = sizes.sum::<Option<u64>>();
    let bar = std::io::stderr().is_terminal().then(|| {
        let (bar, style) = match total {
            Some(total) => (ProgressBar::new(total), "{elapsed} [{wide_bar}] {percent}% {msg}"),
            None => (ProgressBar::new_spinner(), "{elapsed} {spinner} {msg}"),
        };
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        bar
    });
    let now = Instant::now();
    *state() = Some(State { bar, started: now, shown: now, total, read: Counts::default(), done: None, windows: 0 });
    let mut updated = now;
    reader.observe(move |progress| {
        // Asking the clock costs less than drawing, but records may come by the million.
        if progress.records % 64 != 0 && progress.nucleotides < 1 << 16 || updated.elapsed() < DRAWN_EVERY {
            return;
        }
        updated = Instant::now();
        if let Some(state) = state().as_mut() {
            let (bytes, records, nucleotides) = (progress.bytes, progress.records, progress.nucleotides);
            state.read = Counts { bytes, records, nucleotides };
            state.update();
        }
    });
}

/// The run does work besides reading: from now on [`done`] tells how far it is.
pub(super) fn counts_work() {
    if let Some(state) = state().as_mut() {
        state.done.get_or_insert_default();
    }
}

/// So many windows more are judged: one record can hold millions.
pub fn count_windows(windows: u64) {
    if let Some(state) = state().as_mut() {
        state.windows += windows;
        state.update();
    }
}

/// So many records and nucleotides more are done.
pub(super) fn done(records: usize, nucleotides: usize) {
    if let Some(state) = state().as_mut() {
        let done = state.done.get_or_insert_default();
        done.records += records as u64;
        done.nucleotides += nucleotides as u64;
        state.update();
    }
}

impl State {
    fn update(&mut self) {
        let wait = if self.bar.is_some() { DRAWN_EVERY } else { LINES_EVERY };
        if self.shown.elapsed() < wait {
            return;
        }
        self.shown = Instant::now();
        let counts = self.done.unwrap_or(self.read);
        let part = self.total.and_then(|total| part_done(total, self.read, self.done));
        let seconds = self.started.elapsed().as_secs_f64();
        let rate = counts.nucleotides as f64 / seconds.max(1e-3);
        let mut message = format!(
            "{} records, {} nt, {} nt/s",
            HumanCount(counts.records),
            HumanCount(counts.nucleotides),
            HumanCount(rate as u64)
        );
        if self.windows > 0 {
            message.push_str(&format!(", {} windows", HumanCount(self.windows)));
        }
        if let Some(part) = part.filter(|part| *part > 0.0) {
            let left = Duration::from_secs_f64((seconds * (1.0 - part) / part).min(1e9));
            message.push_str(&format!(", about {} left", HumanDuration(left)));
        }
        match &self.bar {
            Some(bar) => {
                if let (Some(part), Some(total)) = (part, self.total) {
                    bar.set_position((part * total as f64) as u64);
                }
                bar.set_message(message);
            }
            None => log::info!("{message}"),
        }
    }
}

/// The part of `total` bytes that is done, 0 to 1: of what was read, the part whose nucleotides are done.
fn part_done(total: u64, read: Counts, done: Option<Counts>) -> Option<f64> {
    if total == 0 {
        return None;
    }
    let of_read = match done {
        Some(done) if read.nucleotides > 0 => (done.nucleotides as f64 / read.nucleotides as f64).min(1.0),
        Some(_) => 0.0,
        None => 1.0,
    };
    Some((read.bytes as f64 / total as f64 * of_read).clamp(0.0, 1.0))
}

/// Does something that writes to the terminal while the bar is away.
pub(super) fn suspend(write: impl FnOnce()) {
    // Not held while writing: a message may come from within an update.
    let bar = STATE.try_lock().ok().and_then(|state| state.as_ref().and_then(|state| state.bar.clone()));
    match bar {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

/// Takes the bar away for good.
pub(super) fn clear() {
    if let Some(State { bar: Some(bar), .. }) = state().take() {
        bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_counts_and_reading_does_not() {
        let counts = |bytes, nucleotides| Counts { bytes, records: 1, nucleotides };
        // All is read, and a quarter of it done.
        assert_eq!(part_done(100, counts(100, 80), Some(counts(0, 20))), Some(0.25));
        assert_eq!(part_done(100, counts(50, 80), Some(counts(0, 80))), Some(0.5));
        assert_eq!(part_done(100, counts(50, 80), None), Some(0.5));
        assert_eq!(part_done(100, counts(50, 0), Some(counts(0, 0))), Some(0.0));
        assert_eq!(part_done(0, counts(0, 0), None), None);
    }
}
