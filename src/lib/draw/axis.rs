//! Positions along an axis: which of them carry a number.

/// The distance between numbered positions so that about `most` numbers are written: 1, 2 or 5 times a power of ten, and
/// at least 10.
pub(super) fn number_step(length: usize, most: usize) -> usize {
    let mut step = 10;
    for factor in [5, 2].into_iter().cycle() {
        if length / step <= most {
            break;
        }
        step *= factor;
    }
    step
}

/// The 0-based positions that carry a number: the first, and every `step`th of those counted from 1.
pub(super) fn numbered(length: usize, step: usize) -> impl Iterator<Item = usize> {
    let first = (length > 0).then_some(0);
    first.into_iter().chain((1..).map(move |count| count * step - 1).take_while(move |&position| position < length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_do_not_crowd() {
        assert_eq!(number_step(76, 20), 10);
        assert_eq!(number_step(856, 20), 50);
        assert_eq!(number_step(5_000, 20), 500);
        assert_eq!(numbered(35, 10).collect::<Vec<_>>(), [0, 9, 19, 29]);
        assert_eq!(numbered(1, 10).collect::<Vec<_>>(), [0]);
        assert_eq!(numbered(0, 10).count(), 0);
    }
}
