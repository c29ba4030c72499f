//! Work on many threads, results in order, memory bounded.

use crate::sequence::Record;
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Calls `sink` with `work(item)` for every item of `source`, in the order of the source, working on `threads` items at
/// once.
///
/// What comes out does not depend on `threads`. The first error, in the order of the source, ends everything: whatever
/// came before it has gone through `sink`. At most `4 * threads` items are between source and sink. With one thread
/// everything happens on the caller's; `sink` always runs there.
pub fn ordered_map<T: Send, U: Send>(
    threads: usize,
    source: impl Iterator<Item = Result<T>> + Send,
    work: impl Fn(T) -> Result<U> + Sync,
    mut sink: impl FnMut(U) -> Result<()>,
) -> Result<()> {
    if threads <= 1 {
        for item in source {
            sink(work(item?)?)?;
        }
        return Ok(());
    }
    let line = Line {
        state: Mutex::new(State::default()),
        changed: Condvar::new(),
        limit: 4_u64.saturating_mul(threads as u64),
    };
    let source = Mutex::new(source.fuse());
    std::thread::scope(|scope| {
        // Also where the sink fails or panics: the workers must not wait for it any more.
        let _stop = Stop(&line);
        for _ in 0..threads {
            let worker = std::thread::Builder::new().spawn_scoped(scope, || line.work(&source, &work));
            worker.map_err(|error| no_threads(threads, &error))?;
        }
        let mut number = 0;
        while let Some(result) = line.take(number) {
            sink(result?)?;
            number += 1;
        }
        Ok(())
    })
}

/// The error of threads that the system does not give.
pub(super) fn no_threads(count: usize, error: &dyn std::fmt::Display) -> Error {
    let plural = if count == 1 { "" } else { "s" };
    Error::Failed(format!("cannot start {count} thread{plural} ({error}); use fewer with --threads"))
}

/// Where workers take turns and leave results.
struct Line<U> {
    state: Mutex<State<U>>,
    changed: Condvar,
    limit: u64,
}

struct State<U> {
    /// Items taken from the source.
    taken: u64,
    /// Results given to the sink.
    given: u64,
    /// Results waiting for their turn.
    done: BTreeMap<u64, Result<U>>,
    /// No further item is to be taken: the source is at its end, or something failed.
    ended: bool,
    /// A worker panicked: its result will never come.
    broken: bool,
}

impl<U> Default for State<U> {
    fn default() -> Self {
        Self { taken: 0, given: 0, done: BTreeMap::new(), ended: false, broken: false }
    }
}

impl<U> Line<U> {
    fn state(&self) -> MutexGuard<'_, State<U>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State<U>>) -> MutexGuard<'a, State<U>> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// One worker: takes items and leaves results until there are none.
    fn work<T>(&self, source: &Mutex<impl Iterator<Item = Result<T>>>, work: &impl Fn(T) -> Result<U>) {
        let broken = Broken(self);
        loop {
            // The source is held while its number is drawn, so that numbers follow its order.
            let mut items = source.lock().unwrap_or_else(PoisonError::into_inner);
            let mut state = self.state();
            while !state.ended && state.taken - state.given >= self.limit {
                state = self.wait(state);
            }
            if state.ended {
                break;
            }
            drop(state);
            let item = items.next();
            let mut state = self.state();
            let number = state.taken;
            match &item {
                Some(_) => state.taken += 1,
                None => state.ended = true,
            }
            drop(state);
            drop(items);
            let Some(item) = item else {
                self.changed.notify_all();
                break;
            };
            let result = item.and_then(work);
            let mut state = self.state();
            state.ended |= result.is_err();
            state.done.insert(number, result);
            drop(state);
            self.changed.notify_all();
        }
        std::mem::forget(broken);
    }

    /// The result of this number, once it is there; `None` after the last.
    fn take(&self, number: u64) -> Option<Result<U>> {
        let mut state = self.state();
        loop {
            if let Some(result) = state.done.remove(&number) {
                state.given = number + 1;
                drop(state);
                self.changed.notify_all();
                return Some(result);
            }
            // With a panicked worker there is nothing to wait for; the scope passes the panic on.
            if state.broken || (state.ended && number >= state.taken) {
                return None;
            }
            state = self.wait(state);
        }
    }
}

/// Ends the line when the caller leaves.
struct Stop<'a, U>(&'a Line<U>);

impl<U> Drop for Stop<'_, U> {
    fn drop(&mut self) {
        self.0.state().ended = true;
        self.0.changed.notify_all();
    }
}

/// Ends the line when a worker panics.
struct Broken<'a, U>(&'a Line<U>);

impl<U> Drop for Broken<'_, U> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.ended = true;
        state.broken = true;
        drop(state);
        self.0.changed.notify_all();
    }
}

/// Groups records until a batch holds `tokens` nucleotides or more; a long record is a batch of its own. Batches are for
/// speed alone: no result may depend on them.
pub fn batches<I: Iterator<Item = Result<Record>>>(records: I, tokens: usize) -> Batches<I> {
    Batches { records, tokens, next: None, ended: false }
}

/// What [`batches`] returns.
pub struct Batches<I> {
    records: I,
    tokens: usize,
    /// The record that did not fit in the batch before, or the error that came after it.
    next: Option<Result<Record>>,
    ended: bool,
}

impl<I: Iterator<Item = Result<Record>>> Iterator for Batches<I> {
    type Item = Result<Vec<Record>>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut batch = Vec::new();
        let mut tokens = 0;
        while !self.ended {
            match self.next.take().or_else(|| self.records.next()) {
                None => self.ended = true,
                Some(Err(error)) => {
                    if batch.is_empty() {
                        self.ended = true;
                        return Some(Err(error));
                    }
                    // First what came before it.
                    self.next = Some(Err(error));
                    break;
                }
                Some(Ok(record)) if !batch.is_empty() && tokens + record.len() > self.tokens => {
                    self.next = Some(Ok(record));
                    break;
                }
                Some(Ok(record)) => {
                    tokens += record.len();
                    batch.push(record);
                }
            }
        }
        (!batch.is_empty()).then_some(Ok(batch))
    }
}

/// Calls `work` with every item of `source`, in order, while a thread of its own fetches the next ones: parsing goes on
/// while a device computes. The first error, of either, ends everything.
pub fn prefetch<T: Send + 'static>(
    source: impl Iterator<Item = Result<T>> + Send + 'static,
    mut work: impl FnMut(T) -> Result<()>,
) -> Result<()> {
    /// Items fetched before they are asked for.
    const LEAD: usize = 1;
    let (sender, receiver) = std::sync::mpsc::sync_channel(LEAD);
    let fetching = std::thread::Builder::new().spawn(move || {
        for item in source {
            // A receiver that is gone wants no more.
            if sender.send(item).is_err() {
                break;
            }
        }
    });
    let fetching = fetching.map_err(|error| no_threads(1, &error))?;
    // Where this ends early, the thread is left to itself: it may be waiting for a pipe that says nothing more.
    for item in &receiver {
        work(item?)?;
    }
    fetching.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn failure(text: impl ToString) -> Error {
        Error::Usage(text.to_string())
    }

    proptest! {
        #[test]
        fn results_come_in_order_and_stop_before_the_first_error(
            threads in 1usize..6, count in 0usize..200, bad in prop::option::of(0usize..200), in_source in any::<bool>(),
        ) {
            let mut seen = Vec::new();
            let outcome = ordered_map(
                threads,
                (0..count).map(|item| if in_source && bad == Some(item) { Err(failure(item)) } else { Ok(item) }),
                |item| {
                    // Early items take longest, so that order does not come by itself.
                    std::thread::sleep(std::time::Duration::from_micros((37 * item % 11) as u64 * 10));
                    if !in_source && bad == Some(item) { Err(failure(item)) } else { Ok(item) }
                },
                |item| { seen.push(item); Ok(()) },
            );
            let bad = bad.filter(|bad| *bad < count);
            prop_assert_eq!(seen, (0..bad.unwrap_or(count)).collect::<Vec<_>>());
            prop_assert_eq!(outcome.map_err(|error| error.to_string()), bad.map_or(Ok(()), |bad| Err(bad.to_string())));
        }

        #[test]
        fn batches_hold_everything_in_order(lengths in prop::collection::vec(1usize..50, 0..40), tokens in 1usize..100) {
            let record = |(index, length): (usize, &usize)| Record {
                ordinal: index as u64,
                sequence: vec![b'A'; *length],
                ..Record::default()
            };
            let records: Vec<Record> = lengths.iter().enumerate().map(record).collect();
            let made: Vec<Vec<Record>> = batches(records.iter().cloned().map(Ok), tokens).map(|batch| batch.unwrap()).collect();
            for batch in &made {
                let size: usize = batch.iter().map(Record::len).sum();
                prop_assert!(batch.len() == 1 || size <= tokens);
            }
            prop_assert_eq!(made.concat(), records);
        }
    }

    #[test]
    fn a_slow_sink_holds_the_source_back() {
        let taken = AtomicUsize::new(0);
        let mut given = 0;
        let source = (0..500).map(|item| {
            taken.fetch_add(1, Ordering::SeqCst);
            Ok(item)
        });
        ordered_map(3, source, Ok, |_| {
            std::thread::sleep(std::time::Duration::from_micros(200));
            given += 1;
            assert!(taken.load(Ordering::SeqCst) - given <= 12);
            Ok(())
        })
        .unwrap();
        assert_eq!(given, 500);
    }

    #[test]
    fn an_error_of_the_sink_ends_everything() {
        let outcome = ordered_map(4, (0..).map(Ok), Ok, |item| if item == 7 { Err(failure("full")) } else { Ok(()) });
        assert_eq!(outcome.unwrap_err().to_string(), "full");
    }

    #[test]
    #[should_panic]
    fn a_panic_of_a_worker_does_not_hang() {
        let work = |item| if item == 50 { panic!("worker") } else { Ok(item) };
        let _ = ordered_map(3, (0..100).map(Ok), work, |_: i32| Ok(()));
    }

    #[test]
    fn items_fetched_ahead_come_in_order_and_errors_end_it() {
        let mut seen = Vec::new();
        prefetch((0..100).map(Ok), |item| {
            seen.push(item);
            Ok(())
        })
        .unwrap();
        assert_eq!(seen, (0..100).collect::<Vec<_>>());
        let fetched = std::sync::Arc::new(AtomicUsize::new(0));
        let counter = fetched.clone();
        let source = (0..).map(move |item| {
            counter.fetch_add(1, Ordering::SeqCst);
            Ok(item)
        });
        let outcome = prefetch(source, |item| if item == 7 { Err(failure("full")) } else { Ok(()) });
        assert_eq!(outcome.unwrap_err().to_string(), "full");
        assert!(fetched.load(Ordering::SeqCst) <= 12, "an endless source is not read for ever");
        // A source that says nothing more does not hold an error back.
        let silent = (0..).map(|item| {
            if item > 0 {
                std::thread::sleep(std::time::Duration::from_secs(3600));
            }
            Ok(item)
        });
        assert!(prefetch(silent, |_| Err(failure("closed"))).is_err());
        let broken = (0..5).map(|item| if item == 3 { Err(failure("bad")) } else { Ok(item) });
        let mut seen = 0;
        let outcome = prefetch(broken, |_| {
            seen += 1;
            Ok(())
        });
        assert_eq!((outcome.unwrap_err().to_string(), seen), ("bad".to_owned(), 3));
    }

    #[test]
    #[should_panic]
    fn a_panic_of_the_source_is_no_end_of_it() {
        let _ = prefetch((0..5).map(|item| if item == 3 { panic!("source") } else { Ok(item) }), |_: i32| Ok(()));
    }

    #[test]
    fn an_error_between_records_comes_after_their_batch() {
        let record = || Record { sequence: b"ACGU".to_vec(), ..Record::default() };
        let records = vec![Ok(record()), Ok(record()), Err(failure("bad")), Ok(record())];
        let mut made = batches(records.into_iter(), 100);
        assert_eq!(made.next().unwrap().unwrap().len(), 2);
        assert!(made.next().unwrap().is_err());
        assert!(made.next().is_none());
    }
}
