//! The one error type of the library: every variant says where, what, and what to do about it.

use std::path::{Path, PathBuf};

use crate::sequence::Damage;

/// The library's result.
pub type Result<T> = std::result::Result<T, Error>;

/// Everything that can go wrong, in the words that the user reads.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Input that is not what it should be.
    #[error("{file}: {place}: {message}")]
    Input {
        /// The file as the user named it; `standard input` for a pipe.
        file: String,
        /// The record and position, as in `record 3 (tRNA-Phe), position 17`.
        place: String,
        /// What is wrong and what to do.
        message: String,
    },
    /// A file that could not be opened or read.
    #[error("{file}: cannot read: {source}")]
    Read {
        /// The file as the user named it.
        file: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Output that could not be written. A closed pipe is told apart by [`Error::is_closed_pipe`].
    #[error("{file}: cannot write: {source}")]
    Write {
        /// The file as the user named it; `standard output` for a pipe.
        file: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Weights that do not make a model: the message names the tensor or the field.
    #[error("{file}: {message}")]
    Weights {
        /// The file, or the name of the embedded model.
        file: String,
        /// Which tensor or field, and what is wrong with it.
        message: String,
    },
    /// Arguments that parse one by one but make no sense together. Exit status 2, which nothing else has.
    #[error("{0}")]
    Usage(String),
    /// A record that the model cannot read: too long for it, or with letters that it does not know.
    #[error("record {record}: {message}")]
    Unsuited {
        /// The record's id.
        record: String,
        /// Why.
        message: String,
    },
    /// Work that cannot be done though the arguments make sense: threads that cannot be had, a loss that diverges.
    #[error("{0}")]
    Failed(String),
    /// A device that cannot be had.
    #[error("device {device}: {message}")]
    Device {
        /// The device as the user named it.
        device: String,
        /// Why it cannot be had, and what can.
        message: String,
    },
    /// A run folder that cannot be used now.
    #[error("{folder}: {message}")]
    RunFolder {
        /// The folder, or the file in it.
        folder: String,
        /// Why, and what to do.
        message: String,
    },
    /// Work that was given up since a signal asked the process to end.
    #[error("interrupted by a signal")]
    Interrupted,
    /// Memory of the device that ran out.
    #[error("{0}")]
    OutOfMemory(String),
    /// A model's answer that is no number.
    #[error(
        "record {record}: the model gives numbers that are not finite; its weights are damaged, or do not fit this input"
    )]
    NotFinite {
        /// The record, or the pair.
        record: String,
    },
    /// A tensor operation that failed: a defect of this program.
    #[error("{0}")]
    Tensor(Box<dyn std::error::Error + Send + Sync>),
}

/// Boxed, so that tools without a model do not link the tensor library for its error messages.
impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        let text = error.to_string();
        // The device's errors come through several libraries, and not all of them keep their type.
        if ["OUT_OF_MEMORY", "ALLOC_FAILED"].iter().any(|code| text.contains(code)) {
            let first = text.lines().next().unwrap_or_default();
            return Error::OutOfMemory(format!("the device's memory is used up ({first})"));
        }
        Error::Tensor(Box::new(error))
    }
}

impl Error {
    /// A read error of `file`.
    pub fn read(file: impl AsRef<Path>, source: std::io::Error) -> Self {
        Error::stream(file, "in its data", source)
    }

    /// An error of reading `file`, met at `place`: [`Error::Input`] where the data are cut off or damaged, otherwise
    /// [`Error::Read`].
    pub fn stream(file: impl AsRef<Path>, place: impl Into<String>, source: std::io::Error) -> Self {
        let file = display(file.as_ref());
        match source.get_ref().and_then(|error| error.downcast_ref::<Damage>()) {
            Some(Damage(message)) => Error::Input { file, place: place.into(), message: message.clone() },
            None => Error::Read { file, source },
        }
    }

    /// A write error of `file`, or of the file that the error itself names.
    pub fn write(file: impl AsRef<Path>, source: std::io::Error) -> Self {
        let unnamed = |source| Error::Write { file: display(file.as_ref()), source };
        source.downcast::<Error>().unwrap_or_else(unnamed)
    }

    /// A defect of the weights in `file`.
    pub fn weights(file: impl AsRef<Path>, message: impl Into<String>) -> Self {
        Error::Weights { file: display(file.as_ref()), message: message.into() }
    }

    /// True where the reader of our output went away (`| head`), which is no failure.
    pub fn is_closed_pipe(&self) -> bool {
        matches!(self, Error::Write { source, .. } if source.kind() == std::io::ErrorKind::BrokenPipe)
    }
}

fn display(path: &Path) -> String {
    PathBuf::from(path).display().to_string()
}
