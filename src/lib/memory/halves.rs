//! Half as much at a time where memory runs out; and a record that does not fit alone is named.

use std::ops::Range;
use std::sync::OnceLock;

use crate::{Error, Result};

/// Environment variable: most tokens that one pass through the encoder may hold. More is refused as if memory had run
/// out, so that a device shared with others is never filled up.
pub const LIMIT: &str = "RNARET_MEMORY_TOKENS";

/// That a pass over `tokens` tokens is within [`LIMIT`].
///
/// # Errors
/// [`Error::OutOfMemory`] where it is not.
pub fn admit(tokens: usize) -> Result<()> {
    static MOST: OnceLock<Option<usize>> = OnceLock::new();
    let most = MOST.get_or_init(|| std::env::var(LIMIT).ok().and_then(|text| text.parse().ok()));
    match most {
        Some(most) if tokens > *most => {
            Err(Error::OutOfMemory(format!("{tokens} tokens at a time are more than {LIMIT} allows ({most})")))
        }
        _ => Ok(()),
    }
}

/// `work` on all `items`; where memory runs out, or one of them does not suit the model, on one half and then on the other, and so
/// on down to single items. What comes of each part goes to `take` with its range, in order. An item that cannot be worked on alone
/// goes to `alone` with the error.
///
/// # Errors
/// Those of `work` that have nothing to do with memory or a single item, and those of `alone` and `take`.
pub fn in_halves<T, R>(
    items: &[T],
    work: impl Fn(&[T]) -> Result<R>,
    alone: impl Fn(&T, Error) -> Result<()>,
    mut take: impl FnMut(Range<usize>, R) -> Result<()>,
) -> Result<()> {
    let mut waiting = vec![(0, items.len())];
    while let Some((start, end)) = waiting.pop() {
        match work(&items[start..end]) {
            Ok(result) => take(start..end, result)?,
            Err(error @ (Error::OutOfMemory(_) | Error::Unsuited { .. })) => match end - start {
                0 => return Err(error),
                1 => alone(&items[start], error)?,
                length => {
                    let middle = start + length / 2;
                    log::debug!("{error}; {length} records are computed in two halves");
                    // The first half comes next.
                    waiting.push((middle, end));
                    waiting.push((start, middle));
                }
            },
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::cell::RefCell;

    fn full() -> Error {
        Error::OutOfMemory("full".into())
    }

    proptest! {
        /// Whatever fits, everything is computed once and in order, and only what does not fit alone is named.
        #[test]
        fn nothing_is_lost(sizes in prop::collection::vec(1usize..40, 0..60), room in 1usize..100) {
            let (named, mut done) = (RefCell::new(Vec::new()), Vec::new());
            let work = |part: &[usize]| match part.iter().sum::<usize>() <= room {
                true => Ok(part.to_vec()),
                false => Err(full()),
            };
            let name = |size: &usize, _| { named.borrow_mut().push(*size); Ok(()) };
            in_halves(&sizes, work, name, |range, part| {
                assert_eq!(sizes[range], part);
                done.extend(part);
                Ok(())
            }).unwrap();
            prop_assert_eq!(done, sizes.iter().copied().filter(|size| *size <= room).collect::<Vec<_>>());
            prop_assert_eq!(named.into_inner(), sizes.iter().copied().filter(|size| *size > room).collect::<Vec<_>>());
        }
    }

    #[test]
    fn other_errors_end_it() {
        let work = |part: &[u8]| if part.len() > 1 { Err(full()) } else { Err(Error::Usage("broken".into())) };
        let error = in_halves(&[1, 2], work, |_, _| panic!("memory is not the matter"), |_, _: ()| Ok(()));
        assert_eq!(error.expect_err("it is broken").to_string(), "broken");
    }

    #[test]
    fn what_fits_before_an_item_that_does_not_is_taken() {
        let work = |part: &[u8]| if part.contains(&3) { Err(full()) } else { Ok(part.to_vec()) };
        let mut done = Vec::new();
        let error = in_halves(
            &[1, 2, 3, 4],
            work,
            |_, error| Err(error),
            |_, part| {
                done.extend(part);
                Ok(())
            },
        );
        assert!(matches!(error, Err(Error::OutOfMemory(_))));
        assert_eq!(done, [1, 2]);
    }

    #[test]
    fn the_tensor_library_running_out_of_memory_is_told_apart() {
        let wrap = |text: &str| Error::from(candle_core::Error::Msg(text.into()));
        assert!(matches!(wrap("DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")"), Error::OutOfMemory(_)));
        assert!(matches!(wrap("CublasError(CUBLAS_STATUS_ALLOC_FAILED)"), Error::OutOfMemory(_)));
        assert!(matches!(wrap("shape mismatch"), Error::Tensor(_)));
    }
}
