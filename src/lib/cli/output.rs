//! Output that appears when it is complete.

use super::{signals, statistics};
use crate::{Error, Result};
use noodles::bgzf;
use std::fs::{self, File};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Bytes written at once.
const BUFFER: usize = 256 * 1024;

/// Standard output, a file, or a compressed file (`.gz`: blocks of bgzip, which gunzip reads too).
///
/// A file is written under a hidden temporary name beside its own and renamed by [`Output::finish`]. Dropped before, it
/// is removed, also when a signal ends the process. What is no ordinary file (`/dev/full`, a named pipe) is written as it
/// stands.
pub struct Output {
    name: String,
    writer: Option<Writer>,
    /// (temporary, final) path.
    rename: Option<(PathBuf, PathBuf)>,
    /// Whether somebody watches the output as it comes.
    interactive: bool,
}

enum Writer {
    Plain(BufWriter<File>),
    Bgzip(Box<bgzf::io::Writer<BufWriter<File>>>),
}

impl Output {
    /// Opens an output; no path, `-` and the names of standard output mean that.
    ///
    /// Errors at once where the directory does not exist or may not be written, or another output has the same name.
    pub fn create(path: Option<&Path>) -> Result<Self> {
        let path = match path {
            Some(path) if !is_standard_output(path) => path,
            _ => {
                let fail = |error| Error::write("standard output", error);
                let stdout = io::stdout();
                let interactive = stdout.is_terminal();
                let file = File::from(stdout.as_fd().try_clone_to_owned().map_err(fail)?);
                let writer = Some(Writer::Plain(BufWriter::with_capacity(BUFFER, file)));
                return Ok(Self { name: "standard output".to_owned(), writer, rename: None, interactive });
            }
        };
        let fail = |error: io::Error| Error::write(path, error);
        if statistics::is_table(path) {
            return Err(Error::Usage(format!("two outputs have the name {}", path.display())));
        }
        // A link is written through, as a shell's `>` does.
        let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let (file, rename) = match fs::metadata(path) {
            Ok(data) if data.is_dir() => return Err(fail(io::ErrorKind::IsADirectory.into())),
            Ok(data) if !data.is_file() || path.starts_with("/dev") || path.starts_with("/proc") => {
                (File::options().write(true).open(path).map_err(fail)?, None)
            }
            _ => {
                let temporary = temporary_name(&target).map_err(fail)?;
                if !signals::register(&temporary) {
                    return Err(Error::Usage(format!("two outputs have the name {}", path.display())));
                }
                let file = File::options().write(true).create_new(true).open(&temporary);
                let file = match file {
                    Ok(file) => file,
                    Err(error) => {
                        signals::release(&temporary, || ());
                        return Err(fail(explain(error, &target)));
                    }
                };
                (file, Some((temporary, target)))
            }
        };
        let buffered = BufWriter::with_capacity(BUFFER, file);
        let compressed = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz"));
        let writer = match compressed {
            true => Writer::Bgzip(Box::new(bgzf::io::Writer::new(buffered))),
            false => Writer::Plain(buffered),
        };
        Ok(Self { name: path.display().to_string(), writer: Some(writer), rename, interactive: false })
    }

    /// Writes bytes.
    pub fn put(&mut self, bytes: &[u8]) -> Result<()> {
        let written = self.write_all(bytes);
        let written = if self.interactive { written.and_then(|()| self.flush()) } else { written };
        written.map_err(|error| self.error(error))
    }

    /// Writes everything out and gives the file its name.
    pub fn finish(mut self) -> Result<()> {
        self.close().map_err(|error| self.error(error))
    }

    /// The error of this output for an error of its [`Write`] implementation.
    pub fn error(&self, source: io::Error) -> Error {
        Error::Write { file: self.name.clone(), source }
    }

    fn close(&mut self) -> io::Result<()> {
        match self.writer.take() {
            None => {}
            Some(Writer::Plain(mut writer)) => writer.flush()?,
            Some(Writer::Bgzip(writer)) => writer.finish()?.flush()?,
        }
        match self.rename.take() {
            None => Ok(()),
            Some((temporary, path)) => signals::release(&temporary, || {
                fs::rename(&temporary, path).inspect_err(|_| {
                    let _ = fs::remove_file(&temporary);
                })
            }),
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.writer {
            None => Err(io::ErrorKind::NotConnected.into()),
            Some(Writer::Plain(writer)) => writer.write(bytes),
            Some(Writer::Bgzip(writer)) => writer.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.writer {
            // A block of bgzip is written when it is full: flushing would make the file depend on when it happened.
            None | Some(Writer::Bgzip(_)) => Ok(()),
            Some(Writer::Plain(writer)) => writer.flush(),
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        match self.writer.take() {
            // What standard output got before an error is worth having: every record is whole.
            Some(Writer::Plain(mut writer)) if self.rename.is_none() => {
                let _ = writer.flush();
            }
            Some(Writer::Plain(writer)) => drop(writer.into_parts()),
            Some(Writer::Bgzip(writer)) => drop(writer),
            None => {}
        }
        if let Some((temporary, _)) = self.rename.take() {
            signals::release(&temporary, || {
                let _ = fs::remove_file(&temporary);
            });
        }
    }
}

/// Whether a path names standard output.
pub(super) fn is_standard_output(path: &Path) -> bool {
    ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"].iter().any(|name| path == Path::new(name))
}

/// A hidden name beside `path` that no other process uses.
fn temporary_name(path: &Path) -> io::Result<PathBuf> {
    let Some(name) = path.file_name() else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "this is no name of a file"));
    };
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}.tmp", std::process::id()));
    Ok(path.with_file_name(hidden))
}

/// Says that the directory is what is missing.
pub(super) fn explain(error: io::Error, path: &Path) -> io::Error {
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty());
    match directory {
        Some(directory) if error.kind() == io::ErrorKind::NotFound => {
            let message = format!("the directory {} does not exist", directory.display());
            io::Error::new(io::ErrorKind::NotFound, message)
        }
        _ => error,
    }
}

/// Refuses an output that is also an input, under whatever name.
pub(super) fn refuse_same_file<P: AsRef<Path>>(output: &Path, inputs: &[P]) -> Result<()> {
    let identity = |path: &Path| {
        let data = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
        Some((data.dev(), data.ino()))
    };
    let Some(written) = identity(output) else { return Ok(()) };
    match inputs.iter().find(|input| identity(input.as_ref()) == Some(written)) {
        None => Ok(()),
        Some(_) => Err(Error::Usage(format!("{} is an input too: give the output another name", output.display()))),
    }
}
