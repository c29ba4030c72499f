//! A progress bar on standard error, where that is a terminal.

use crate::sequence::{InputFile, RecordReader};
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};

/// The bar that is shown, so that messages do not run into it.
static SHOWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Shows how far `reader` is: by the bytes read of its files, or by records where an input is a pipe.
pub(super) fn show(reader: &mut RecordReader, files: &[InputFile]) {
    if !std::io::stderr().is_terminal() {
        return;
    }
    let sizes = files.iter().map(|file| match file {
        InputFile::Stdin => None,
        InputFile::Path(path) => std::fs::metadata(path).ok().filter(|data| data.is_file()).map(|data| data.len()),
    });
    let (bar, style) = match sizes.sum::<Option<u64>>() {
        Some(total) => (ProgressBar::new(total), "{elapsed} [{wide_bar}] {percent}% {msg} {eta} left"),
        None => (ProgressBar::new_spinner(), "{elapsed} {spinner} {msg}"),
    };
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style);
    }
    *SHOWN.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar.clone());
    let mut updated = std::time::Instant::now();
    reader.observe(move |progress| {
        // Asking the clock costs less than drawing, but records may come by the million.
        if progress.records % 64 != 0 && progress.nucleotides < 1 << 16 || updated.elapsed().as_millis() < 100 {
            return;
        }
        updated = std::time::Instant::now();
        bar.set_position(progress.bytes);
        let (records, nucleotides) = (HumanCount(progress.records), HumanCount(progress.nucleotides));
        bar.set_message(format!("{records} records, {nucleotides} nt"));
    });
}

/// Does something that writes to the terminal while the bar is away.
pub(super) fn suspend(write: impl FnOnce()) {
    match &*SHOWN.lock().unwrap_or_else(PoisonError::into_inner) {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

/// Takes the bar away for good.
pub(super) fn clear() {
    if let Some(bar) = SHOWN.lock().unwrap_or_else(PoisonError::into_inner).take() {
        bar.finish_and_clear();
    }
}
