//! Messages on standard error: `tool: warning: ...`, one line each.

use super::progress;
use crate::sequence::SET_ASIDE;
use log::{Level, LevelFilter, Log, Metadata, Record};
use std::io::Write;

struct Logger {
    tool: String,
    level: LevelFilter,
}

/// What is shown: notes and warnings by default, only errors and records set aside with `-q`.
pub(super) fn level(quiet: bool, verbose: u8) -> LevelFilter {
    match (quiet, verbose) {
        (true, _) => LevelFilter::Error,
        (false, 0) => LevelFilter::Info,
        (false, 1) => LevelFilter::Debug,
        (false, _) => LevelFilter::Trace,
    }
}

/// Sends the messages of this library to standard error from now on.
pub(super) fn start(tool: &str, level: LevelFilter) {
    let logger = Logger { tool: tool.to_owned(), level };
    if log::set_boxed_logger(Box::new(logger)).is_ok() {
        // Records set aside are named even with -q.
        log::set_max_level(level.max(LevelFilter::Warn));
    }
}

/// Text with its control characters as `\u{1b}` or `\r`, and those that turn the direction of writing: an id or the name
/// of a file must not command the terminal that shows it.
pub(super) fn escape_controls(text: &str) -> String {
    let is_harmless = |c: char| !c.is_control() && !matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if is_harmless(c) { c.to_string() } else { c.escape_default().to_string() }).collect()
}

/// Writes one line to standard error. One call, so that lines of parallel jobs do not mix; nobody is left to tell if it
/// fails.
pub(super) fn write_line(tool: &str, kind: &str, message: &str) {
    let message = escape_controls(&message.trim_end().replace('\n', "; "));
    let line = format!("{tool}: {kind}{message}\n");
    progress::suspend(|| {
        let _ = std::io::stderr().write_all(line.as_bytes());
    });
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata) -> bool {
        let ours = metadata.target() == SET_ASIDE || metadata.target().starts_with("rna");
        ours && (metadata.level() <= self.level || metadata.target() == SET_ASIDE)
    }

    fn log(&self, record: &Record) {
        if self.enabled(record.metadata()) {
            let kind = match record.level() {
                Level::Error => "error: ",
                Level::Warn => "warning: ",
                Level::Info => "",
                Level::Debug | Level::Trace => "debug: ",
            };
            write_line(&self.tool, kind, &record.args().to_string());
        }
    }

    fn flush(&self) {}
}
