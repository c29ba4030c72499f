//! Memory that may run out: what the process may still take, estimates that are held against it before work begins, and
//! work that is cut in halves where it does not fit.
//!
//! An allocation that fails ends a Rust program on the spot: nothing names the record, nothing goes on with the next. So the
//! work on some records is estimated first (each estimate stands beside the computation that it describes), and
//! [`require`] refuses it with [`Error::OutOfMemory`] where it does not fit; [`in_halves`] then tries half of them. The
//! largest arrays are allocated with [`zeros`], which fails with the same error. What is allocated all the same beyond what
//! there is ends the program in the allocator of the tools, with one line and exit status 1 (`cli::Allocator`).

mod halves;
mod limits;

use std::cell::Cell;

pub use halves::{LIMIT, admit, in_halves};

use crate::{Error, Result};

/// Work that needs less than this is not held against the limits: asking takes longer than it is worth.
const SMALL: u64 = 8 << 20;

/// Bytes of the blocks by which [`require`] tries whether there is room in the address space.
const BLOCK: usize = 8 << 20;

thread_local! {
    /// Whether this thread asks for memory that it can do without.
    static CAN_FAIL: Cell<bool> = const { Cell::new(false) };
}

/// Whether the allocation that this thread is asking for is one of [`reserve`]'s, whose failure is an error like any other.
pub fn can_fail() -> bool {
    CAN_FAIL.get()
}

/// Does something whose allocations may fail.
fn fallible<R>(work: impl FnOnce() -> R) -> R {
    CAN_FAIL.set(true);
    let result = work();
    CAN_FAIL.set(false);
    result
}

/// A size in words: `1.5 GB`.
fn size(bytes: u64) -> String {
    match bytes as f64 {
        bytes if bytes >= 1e9 => format!("{:.1} GB", bytes / 1e9),
        bytes => format!("{:.0} MB", bytes / 1e6),
    }
}

/// That about `bytes` more can be had: of the machine's memory, of the limits of the control groups (containers, batch
/// systems), and of the process's own limits (`ulimit -v`, `ulimit -d`).
///
/// # Errors
/// [`Error::OutOfMemory`] says how much is needed and what does not allow it.
pub fn require(bytes: u64) -> Result<()> {
    if bytes < SMALL {
        return Ok(());
    }
    if limits::room().is_some_and(|(room, _)| bytes > room) {
        // What was freed counts as taken until the allocator gives it back.
        limits::give_back_freed();
        if let Some((room, whose)) = limits::room()
            && bytes > room
        {
            let message = format!("about {} are needed, and {whose} leaves {}", size(bytes), size(room));
            return Err(Error::OutOfMemory(message));
        }
    }
    if let Some(limit) = limits::of_process() {
        // Part of what the limit counts may be free in the allocator's hands: only trying tells. Nothing is written there,
        // so that no memory is used.
        let blocks = bytes.div_ceil(BLOCK as u64).min(limit.div_ceil(BLOCK as u64) + 1) as usize;
        let mut held: Vec<Vec<u8>> = Vec::new();
        let fits = fallible(|| {
            held.try_reserve_exact(blocks).is_ok()
                && (0..blocks).all(|_| {
                    let mut block = Vec::new();
                    let found = block.try_reserve_exact(BLOCK).is_ok();
                    held.push(block);
                    found
                })
        });
        if !fits {
            let message = format!(
                "about {} are needed, and the limit of this process of {} (ulimit) does not leave as much",
                size(bytes),
                size(limit)
            );
            return Err(Error::OutOfMemory(message));
        }
    }
    Ok(())
}

/// Room for `count` more entries in `array`, which may be more than there is.
///
/// # Errors
/// [`Error::OutOfMemory`] where it is.
pub fn reserve<T>(array: &mut Vec<T>, count: usize) -> Result<()> {
    fallible(|| array.try_reserve_exact(count)).map_err(|_| {
        let bytes = (count as u64).saturating_mul(size_of::<T>() as u64);
        Error::OutOfMemory(format!("an array of {} is not to be had", size(bytes)))
    })
}

/// `count` zeros: for arrays that may be larger than what there is.
///
/// # Errors
/// [`Error::OutOfMemory`] where they are.
pub fn zeros<T: bytemuck::Zeroable + Clone>(count: usize) -> Result<Vec<T>> {
    // The system gives zeros without writing them, but only where failure ends the program: so it is asked twice.
    reserve(&mut Vec::<T>::new(), count)?;
    Ok(vec![T::zeroed(); count])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_has_is_refused_and_what_is_small_is_not() {
        require(0).unwrap();
        require(SMALL - 1).unwrap();
        require(1 << 24).unwrap();
        #[cfg(target_os = "linux")]
        {
            let error = require(1 << 60).unwrap_err();
            assert!(matches!(&error, Error::OutOfMemory(message) if message.contains("GB are needed")), "{error}");
        }
        assert!(!can_fail());
    }

    #[test]
    fn arrays_are_had_or_refused() {
        assert_eq!(zeros::<u16>(5).unwrap(), [0; 5]);
        assert_eq!(zeros::<f32>(0).unwrap(), [0_f32; 0]);
        let error = zeros::<u64>(1 << 58).unwrap_err();
        assert!(matches!(error, Error::OutOfMemory(_)), "{error}");
        assert!(!can_fail());
    }

    #[test]
    fn sizes_in_words() {
        assert_eq!((size(1_549_000_000), size(12_600_000)), ("1.5 GB".into(), "13 MB".into()));
    }
}
