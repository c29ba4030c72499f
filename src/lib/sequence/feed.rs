//! What a parser reads from: a stream that keeps its failure aside, so that the records before it are still delivered.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A decompressed stream, shared between the parser that reads it and the reader that watches over it.
#[derive(Clone)]
pub(super) struct Feed(Arc<Mutex<State>>);

struct State {
    inner: Box<dyn Read + Send>,
    /// Given to the parser after the last byte, if the stream ends well.
    ending: &'static [u8],
    failure: Option<io::Error>,
    /// Bytes given to the parser, counted from the start of the stream.
    delivered: u64,
    /// Whether bytes stay in `kept` once they are delivered.
    keep: bool,
    kept: Vec<u8>,
    /// How many bytes of the stream come before `kept`.
    kept_from: u64,
    /// What the parser reads next, where that lies in `kept` (after [`Feed::rewind`]).
    next: usize,
}

impl Feed {
    /// A feed from `inner` that gives `ending` after the last byte of a stream that ends well.
    pub(super) fn new(inner: Box<dyn Read + Send>, ending: &'static [u8]) -> Self {
        let state =
            State { inner, ending, failure: None, delivered: 0, keep: false, kept: Vec::new(), kept_from: 0, next: 0 };
        Self(Arc::new(Mutex::new(state)))
    }

    /// A feed that keeps what it delivered until [`Feed::forget`], for parsers that have to start again after an error.
    pub(super) fn keeping(inner: Box<dyn Read + Send>) -> Self {
        let feed = Self::new(inner, b"");
        feed.state().keep = true;
        feed
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes given to the parser so far, if the stream has failed.
    pub(super) fn failed_after(&self) -> Option<u64> {
        let state = self.state();
        state.failure.is_some().then_some(state.delivered)
    }

    /// The failure of the stream, which ended it as far as the parser knows.
    pub(super) fn take_failure(&self) -> Option<io::Error> {
        self.state().failure.take()
    }

    /// Lets go of what lies before byte `position` of the stream; now and then only, since it moves the rest.
    pub(super) fn forget(&self, position: u64) {
        let mut state = self.state();
        let amount = (position.saturating_sub(state.kept_from) as usize).min(state.kept.len());
        if amount > state.kept.len() / 2 && amount > 64 * 1024 {
            state.kept.drain(..amount);
            state.kept_from += amount as u64;
            state.next = state.next.saturating_sub(amount);
        }
    }

    /// The bytes kept from `position` on: at least `length` unless the stream ends before.
    pub(super) fn peek(&self, position: u64, length: usize) -> Vec<u8> {
        let mut state = self.state();
        let start = position.saturating_sub(state.kept_from) as usize;
        while state.kept.len() < start + length && state.pull() {}
        state.kept.get(start..).map(<[u8]>::to_vec).unwrap_or_default()
    }

    /// The next read begins at byte `position`, which must not have been forgotten.
    pub(super) fn rewind(&self, position: u64) {
        let mut state = self.state();
        let next = position.saturating_sub(state.kept_from) as usize;
        state.next = next.min(state.kept.len());
    }
}

impl State {
    /// Reads from the stream and keeps a failure aside; nothing means the end.
    fn pull_into(&mut self, buffer: &mut [u8]) -> usize {
        if self.failure.is_some() {
            return 0;
        }
        loop {
            match self.inner.read(buffer) {
                Ok(length) => return length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.failure = Some(error);
                    return 0;
                }
            }
        }
    }

    /// Keeps some more of the stream; false at its end.
    fn pull(&mut self) -> bool {
        let mut buffer = vec![0; 64 * 1024];
        let length = self.pull_into(&mut buffer);
        self.kept.extend_from_slice(&buffer[..length]);
        length > 0
    }
}

impl Read for Feed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let state = &mut *self.state();
        let ahead = &state.kept[state.next..];
        let length = if !ahead.is_empty() {
            let length = ahead.len().min(buffer.len());
            buffer[..length].copy_from_slice(&ahead[..length]);
            state.next += length;
            length
        } else {
            let length = state.pull_into(buffer);
            if state.keep {
                state.kept.extend_from_slice(&buffer[..length]);
                state.next = state.kept.len();
            }
            length
        };
        state.delivered += length as u64;
        if length > 0 || state.failure.is_some() || buffer.is_empty() {
            return Ok(length);
        }
        let length = state.ending.len().min(buffer.len());
        buffer[..length].copy_from_slice(&state.ending[..length]);
        state.ending = &state.ending[length..];
        Ok(length)
    }
}
