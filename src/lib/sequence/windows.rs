//! Windows of a long sequence.

use std::ops::Range;

/// Windows of `size` letters that share `overlap` letters with the one before and cover `length` letters: the last is
/// shorter where the length does not fit, and none lies wholly inside the one before. `overlap` must be less than `size`.
pub fn windows(length: usize, size: usize, overlap: usize) -> impl Iterator<Item = Range<usize>> {
    let step = size.saturating_sub(overlap).max(1);
    let starts =
        std::iter::successors((length > 0).then_some(0), move |start| (start + size < length).then_some(start + step));
    starts.map(move |start| start..length.min(start + size))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_last_window_is_shorter() {
        let ends = |length, size, overlap| -> Vec<(usize, usize)> {
            windows(length, size, overlap).map(|window| (window.start, window.end)).collect()
        };
        assert_eq!(ends(10, 4, 0), [(0, 4), (4, 8), (8, 10)]);
        assert_eq!(ends(10, 4, 2), [(0, 4), (2, 6), (4, 8), (6, 10)]);
        assert_eq!(ends(9, 4, 1), [(0, 4), (3, 7), (6, 9)]);
        assert_eq!(ends(4, 4, 3), [(0, 4)]);
        assert_eq!(ends(3, 4, 3), [(0, 3)]);
        assert_eq!(ends(0, 4, 3), []);
    }

    proptest! {
        #[test]
        fn windows_cover_and_none_is_inside_another(length in 1usize..300, size in 1usize..40, overlap in 0usize..39) {
            prop_assume!(overlap < size);
            let windows: Vec<_> = windows(length, size, overlap).collect();
            prop_assert_eq!(windows[0].start, 0);
            prop_assert_eq!(windows[windows.len() - 1].end, length);
            for pair in windows.windows(2) {
                prop_assert_eq!(pair[0].len(), size);
                prop_assert_eq!(pair[1].start, pair[0].end - overlap);
                prop_assert!(pair[1].end > pair[0].end);
            }
        }
    }
}
