//! Signals that end a run, and the unfinished files that they must not leave behind.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use tempfile::NamedTempFile;

/// What becomes of a run that is told to end (SIGTERM, SIGINT, SIGHUP).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Termination {
    /// Unfinished files are removed and the process ends by the signal, as if nothing had caught it.
    #[default]
    RemoveOutput,
    /// The tool handles these signals itself.
    Own,
}

/// Temporary files that are being written.
static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Makes a temporary file, which is removed if the process is told to end; a signal waits meanwhile.
pub(super) fn begin(make: impl FnOnce() -> io::Result<NamedTempFile>) -> io::Result<NamedTempFile> {
    let mut unfinished = UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner);
    let made = make()?;
    unfinished.push(made.path().to_owned());
    Ok(made)
}

/// Does the last step with `temporary` (renames or removes it) and forgets it; a signal waits meanwhile.
pub(super) fn release<T>(temporary: &Path, last: impl FnOnce() -> T) -> T {
    let mut unfinished = UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner);
    let done = last();
    unfinished.retain(|path| path != temporary);
    done
}

/// Removes the unfinished files, as far as that needs no waiting: for the end of a process that cannot go on, while another
/// thread may hold the list.
pub(super) fn remove_unfinished_now() {
    if let Ok(unfinished) = UNFINISHED.try_lock() {
        for path in unfinished.iter() {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Starts to watch for the signals. A signal that the process was started to ignore (nohup) stays ignored.
pub(super) fn watch() {
    let ignored = ignored_signals();
    let wanted = [SIGTERM, SIGINT, SIGHUP].into_iter().filter(|signal| ignored & (1 << (signal - 1)) == 0);
    let Ok(mut signals) = Signals::new(wanted) else {
        log::debug!("signals cannot be watched: unfinished files will stay if the run is ended by one");
        return;
    };
    let watching = std::thread::Builder::new().spawn(move || {
        if let Some(signal) = signals.forever().next() {
            // Held until the end, so that no file is begun or finished any more.
            let unfinished = UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner);
            for path in unfinished.iter() {
                let _ = std::fs::remove_file(path);
            }
            let _ = super::statistics::finish(128 + signal as u8);
            let _ = signal_hook::low_level::emulate_default_handler(signal);
        }
    });
    if let Err(error) = watching {
        log::debug!("no thread to watch for signals ({error}): unfinished files will stay if the run is ended by one");
    }
}

/// The signals that this process ignores, as a bit mask; 0 where the system does not say.
fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
