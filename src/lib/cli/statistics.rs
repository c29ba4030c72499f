//! `--stats FILE`: one row about the run, appended to a table that the tasks of an array job can share.
//!
//! The row is written when the run ends, whether it succeeded, failed or was told to end by a signal. There is one run in
//! a process, so what is known of it so far is kept in one place, and the parts that learn something note it there.

use super::logging::escape_controls;
use crate::format::number;
use crate::sequence::{Shard, Tally};
use crate::{Error, Result};
use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

/// What is written where something is not known or does not apply: R and pandas read it as missing.
const MISSING: &str = "NA";

/// The run of this process.
static RUN: Mutex<Option<Run>> = Mutex::new(None);

/// What is known of the run so far.
#[derive(Clone, Default)]
struct Run {
    name: Option<String>,
    shard: Option<Shard>,
    tally: Tally,
    device: Option<String>,
    model: Option<String>,
    checksum: Option<String>,
    table: Option<Table>,
}

/// Where the row goes, and what was known of it at the start.
#[derive(Clone)]
struct Table {
    path: PathBuf,
    tool: String,
    threads: usize,
    started: SystemTime,
    clock: Instant,
}

/// The columns, in their order.
#[derive(Serialize)]
struct Row {
    /// The output's name, or the first input's: what tells the rows apart (MultiQC: the sample).
    run: String,
    tool: String,
    version: &'static str,
    /// As a shell takes it.
    command: String,
    /// RFC 3339, UTC.
    started: String,
    records: u64,
    nucleotides: u64,
    rejected: u64,
    seconds: String,
    /// Largest resident set, in bytes.
    peak_memory: String,
    device: String,
    model: String,
    model_sha256: String,
    threads: usize,
    /// Exit status; 128 and the signal's number where a signal ended the run.
    status: u8,
    /// What deserves doubt, in words.
    warnings: String,
}

fn run() -> MutexGuard<'static, Option<Run>> {
    RUN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn note(change: impl FnOnce(&mut Run)) {
    change(run().get_or_insert_default());
}

/// The counters of this run, for those who read its input.
pub fn tally() -> Tally {
    run().get_or_insert_default().tally.clone()
}

/// Notes what the run is about: the name of its output or first input. The first note counts.
pub fn note_run(path: &Path) {
    let name = path.file_name().map_or(path.display().to_string(), |name| name.to_string_lossy().into_owned());
    note(|run| {
        run.name.get_or_insert(name);
    });
}

/// Notes which part of the input this run works on.
pub(super) fn note_shard(shard: Option<Shard>) {
    note(|run| run.shard = shard);
}

/// Notes which weights are used.
pub fn note_model(source: &Path, checksum: &str) {
    let source = source.display().to_string();
    note(|run| (run.model, run.checksum) = (Some(source), Some(checksum.to_owned())));
}

/// The weights that were noted.
pub(super) fn model() -> Option<String> {
    run().as_ref().and_then(|run| run.model.clone())
}

/// Notes where the model runs: `cpu` or `cuda:N`.
pub fn note_device(device: impl ToString) {
    note(|run| run.device = Some(device.to_string()));
}

/// Refuses what is no name of a file.
pub(super) fn check_name(path: Option<&Path>) -> Result<()> {
    match path {
        Some(path) if path == Path::new("-") => Err(Error::Usage("--stats is added to a file: give it a name".into())),
        _ => Ok(()),
    }
}

/// Takes note of the table, before the run does anything: a table that cannot be written ends it here.
pub(super) fn start(tool: &str, threads: usize, path: Option<&Path>) -> Result<()> {
    let Some(path) = path else { return Ok(()) };
    // From now on no other output may have it.
    drop(super::files::take(path)?);
    let mut file = open(path)?;
    check_header(&mut file, path)?;
    let (started, clock) = (SystemTime::now(), Instant::now());
    note(|run| run.table = Some(Table { path: path.to_owned(), tool: tool.to_owned(), threads, started, clock }));
    Ok(())
}

/// Adds the row, once: called again, it does nothing.
pub(super) fn finish(status: u8) -> Result<()> {
    // A signal may come while a part of the program holds this, so that the lock is not held while writing.
    let known = match run().as_mut() {
        Some(run) => {
            let known = run.clone();
            run.table = None;
            known
        }
        None => return Ok(()),
    };
    let Some(table) = known.table.clone() else { return Ok(()) };
    let fail = |error| Error::write(&table.path, error);
    let (header, row) = text(&row(known, &table, status)).map_err(fail)?;
    let mut file = open(&table.path)?;
    if file.metadata().is_ok_and(|data| data.is_file()) {
        // Two tasks that both find the file empty would both write the header. Not all file systems have locks: there
        // the row is still added in one piece.
        let locked = file.lock().is_ok();
        let is_empty = file.metadata().map_err(fail)?.len() == 0;
        let text = if is_empty { header + &row } else { row };
        file.write_all(text.as_bytes()).map_err(fail)?;
        if locked {
            file.unlock().map_err(fail)?;
        }
        return Ok(());
    }
    file.write_all((header + &row).as_bytes()).map_err(fail)
}

fn row(run: Run, table: &Table, status: u8) -> Row {
    let name = run.name.unwrap_or_else(|| "standard input".into());
    let name = run.shard.map_or_else(|| name.clone(), |shard| format!("{name} {shard}"));
    let arguments: Vec<String> = std::env::args_os()
        .enumerate()
        .map(|(place, argument)| if place == 0 { table.tool.clone() } else { argument.to_string_lossy().into_owned() })
        .collect();
    let arguments = arguments.iter().map(String::as_str);
    let missing = || MISSING.to_owned();
    Row {
        run: cell(&name),
        tool: table.tool.clone(),
        version: env!("CARGO_PKG_VERSION"),
        // Only a zero byte cannot be quoted, which no argument holds.
        command: cell(&shlex::try_join(arguments).unwrap_or_default()),
        started: humantime::format_rfc3339_seconds(table.started).to_string(),
        records: run.tally.records(),
        nucleotides: run.tally.nucleotides(),
        rejected: run.tally.rejected(),
        seconds: number::format(table.clock.elapsed().as_secs_f64()),
        peak_memory: peak_memory().map_or_else(missing, |bytes| bytes.to_string()),
        device: run.device.unwrap_or_else(|| "cpu".into()),
        model: run.model.map_or_else(missing, |model| cell(&model)),
        model_sha256: run.checksum.unwrap_or_else(missing),
        threads: table.threads,
        status,
        warnings: run.tally.doubts_in_words().unwrap_or_else(missing),
    }
}

/// A table has no quotes, so that tabs and line ends within a cell are written as `\t` and `\n`.
fn cell(text: &str) -> String {
    escape_controls(text)
}

/// The header row and the row, each with its line end.
fn text(row: &Row) -> io::Result<(String, String)> {
    let mut writer = csv::WriterBuilder::new()
        .delimiter(b'\t')
        .quote_style(csv::QuoteStyle::Never)
        .terminator(csv::Terminator::Any(b'\n'))
        .from_writer(Vec::new());
    writer.serialize(row).map_err(io::Error::other)?;
    let bytes = writer.into_inner().map_err(|error| io::Error::other(error.to_string()))?;
    let text = String::from_utf8(bytes).map_err(io::Error::other)?;
    let (header, row) = text.split_once('\n').unwrap_or_default();
    Ok((format!("{header}\n"), row.to_owned()))
}

fn open(path: &Path) -> Result<File> {
    let reads = std::fs::metadata(path).is_ok_and(|data| data.is_file());
    let file = OpenOptions::new().append(true).create(true).read(reads).open(path);
    // Of a file that is there, the system's own words are about the file.
    let explain = |error| if path.exists() { error } else { super::atomic_file::explain(error, path) };
    file.map_err(|error| Error::write(path, explain(error)))
}

/// That a file which is there already is such a table.
fn check_header(file: &mut File, path: &Path) -> Result<()> {
    let data = file.metadata().map_err(|error| Error::read(path, error))?;
    if !data.is_file() || data.len() == 0 {
        return Ok(());
    }
    let any = Table {
        path: path.to_owned(),
        tool: String::new(),
        threads: 0,
        started: SystemTime::UNIX_EPOCH,
        clock: Instant::now(),
    };
    let (header, _) = text(&row(Run::default(), &any, 0)).map_err(|error| Error::write(path, error))?;
    let mut found = Vec::new();
    file.take(header.len() as u64).read_to_end(&mut found).map_err(|error| Error::read(path, error))?;
    if found == header.as_bytes() {
        return Ok(());
    }
    Err(Error::Input {
        file: path.display().to_string(),
        place: "header row".into(),
        message: "this is not a table of --stats of this version: give another name".into(),
    })
}

/// The most memory that this process has held, in bytes.
#[cfg(target_os = "linux")]
fn peak_memory() -> Option<u64> {
    // Not getrusage: it begins with what the process held that started this one.
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

/// The most memory that this process has held, in bytes.
#[cfg(not(target_os = "linux"))]
fn peak_memory() -> Option<u64> {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the address is that of a structure of this type, which any bits make a valid value of.
    let usage = unsafe {
        if libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()) != 0 {
            return None;
        }
        usage.assume_init()
    };
    // Bytes on macOS, kilobytes elsewhere.
    let unit = if cfg!(target_os = "macos") { 1 } else { 1024 };
    u64::try_from(usage.ru_maxrss).ok().map(|size| size * unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_hold_no_tabs_and_no_line_ends() {
        assert_eq!(cell("a\tb\nc\r\u{7f} µ"), "a\\tb\\nc\\r\\u{7f} µ");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn peak_memory_grows_with_what_is_held() {
        let held = std::hint::black_box(vec![1_u8; 64 << 20]);
        assert!(peak_memory().unwrap() >= held.len() as u64);
    }
}
