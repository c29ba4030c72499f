//! Output that appears when it is complete.

use super::atomic_file::AtomicFile;
use super::files::{self, Taken};
use super::logging::escape_controls;
use super::target::Target;
use crate::{Error, Result};
use noodles::bgzf;
use std::fs::{self, File};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::Path;

/// Bytes written at once.
const BUFFER: usize = 256 * 1024;

/// Standard output, a file, or a compressed file (`.gz`: blocks of bgzip, which gunzip reads too).
///
/// An ordinary file is written under a hidden temporary name beside its own and appears with [`Output::finish`]
/// ([`AtomicFile`]). What is none (`/dev/full`, a named pipe, a descriptor such as `/dev/fd/3`) is written as it stands.
/// What a terminal shows has its control characters escaped.
pub struct Output {
    name: String,
    writer: Option<Writer>,
    /// What gives the file its name.
    appears: Option<AtomicFile>,
    /// No other output may have the file meanwhile.
    _taken: Taken,
}

enum Writer {
    Plain(BufWriter<File>),
    /// Somebody watches the output as it comes.
    Terminal(File),
    Bgzip(Box<bgzf::io::Writer<BufWriter<File>>>),
}

impl Output {
    /// Opens an output; no path, `-` and the names of standard output mean that.
    ///
    /// # Errors
    /// Where the directory does not exist or may not be written, where the file may not be, and where it is an input of
    /// the run or another output.
    pub fn create(path: Option<&Path>) -> Result<Self> {
        let path = path.unwrap_or(Path::new("-"));
        let mut taken = files::take(path)?;
        let name = match taken.target {
            Target::STDOUT => "standard output".to_owned(),
            _ => path.display().to_string(),
        };
        let fail = |source: io::Error| Error::Write { file: name.clone(), source };
        let (file, appears) = match &taken.target {
            Target::Descriptor(number) => match taken.descriptor.take() {
                Some(descriptor) => (descriptor, None),
                None => {
                    let message = format!("the run was started without a descriptor {number}");
                    return Err(fail(io::Error::new(io::ErrorKind::NotFound, message)));
                }
            },
            Target::File(target) => match fs::metadata(target) {
                Ok(data) if data.is_dir() => return Err(fail(io::ErrorKind::IsADirectory.into())),
                Ok(data) if !data.is_file() => (File::options().write(true).open(target).map_err(fail)?, None),
                _ => {
                    let (file, appears) = AtomicFile::create(target).map_err(fail)?;
                    (file, Some(appears))
                }
            },
        };
        let compressed = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz"));
        let writer = if compressed {
            Writer::Bgzip(Box::new(bgzf::io::Writer::new(BufWriter::with_capacity(BUFFER, file))))
        } else if file.is_terminal() {
            Writer::Terminal(file)
        } else {
            Writer::Plain(BufWriter::with_capacity(BUFFER, file))
        };
        Ok(Self { name, writer: Some(writer), appears, _taken: taken })
    }

    /// As [`Output::create`], where the user names such an output.
    ///
    /// # Errors
    /// As [`Output::create`].
    pub fn create_if_named(path: Option<&Path>) -> Result<Option<Self>> {
        path.map(|path| Self::create(Some(path))).transpose()
    }

    /// An error that says which output it is of, for those who hold several and write to them as to any writer.
    fn named(&self, error: io::Error) -> io::Error {
        io::Error::new(error.kind(), self.error(error))
    }

    /// Writes bytes.
    pub fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.write_all(bytes).map_err(|error| self.error(error))
    }

    /// Writes everything out, to the disk where it is a file, and gives the file its name.
    pub fn finish(mut self) -> Result<()> {
        self.close().map_err(|error| self.error(error))
    }

    /// The error of this output for an error of its [`Write`] implementation.
    pub fn error(&self, source: io::Error) -> Error {
        Error::Write { file: self.name.clone(), source }
    }

    fn close(&mut self) -> io::Result<()> {
        let whole = |writer: BufWriter<File>| writer.into_inner().map_err(io::IntoInnerError::into_error);
        let file = match self.writer.take() {
            None => return Ok(()),
            Some(Writer::Plain(writer)) => whole(writer)?,
            Some(Writer::Terminal(file)) => file,
            Some(Writer::Bgzip(writer)) => whole(writer.finish()?)?,
        };
        self.appears.take().map_or(Ok(()), |appears| appears.finish(&file))
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = match &mut self.writer {
            None => Err(io::ErrorKind::NotConnected.into()),
            Some(Writer::Plain(writer)) => writer.write(bytes),
            Some(Writer::Terminal(file)) => file.write_all(&shown(bytes)).map(|()| bytes.len()),
            Some(Writer::Bgzip(writer)) => writer.write(bytes),
        };
        written.map_err(|error| self.named(error))
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = match &mut self.writer {
            // A block of bgzip is written when it is full: flushing would make the file depend on when it happened.
            None | Some(Writer::Bgzip(_) | Writer::Terminal(_)) => Ok(()),
            Some(Writer::Plain(writer)) => writer.flush(),
        };
        flushed.map_err(|error| self.named(error))
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        match self.writer.take() {
            // What standard output got before an error is worth having: every record is whole.
            Some(Writer::Plain(mut writer)) if self.appears.is_none() => {
                let _ = writer.flush();
            }
            Some(Writer::Plain(writer)) => drop(writer.into_parts()),
            Some(Writer::Bgzip(writer)) => drop(writer),
            Some(Writer::Terminal(_)) | None => {}
        }
    }
}

/// Text as a terminal gets it: its lines and columns as they are, and nothing that would move the cursor or worse.
fn shown(bytes: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(bytes);
    let lines = text.split('\n').map(|line| line.split('\t').map(escape_controls).collect::<Vec<_>>().join("\t"));
    lines.collect::<Vec<_>>().join("\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_get_no_control_characters() {
        let row = "id\u{1b}[31m\t1\r\n\u{7}b\u{9b}\u{202e}\tµ\n";
        let expected = "id\\u{1b}[31m\t1\\r\n\\u{7}b\\u{9b}\\u{202e}\tµ\n";
        assert_eq!(String::from_utf8(shown(row.as_bytes())).unwrap(), expected);
    }
}
