//! The best alignment of two sequences, end to end, with affine gaps that cost little at the ends (Gotoh, J Mol Biol
//! 162:705, 1982).

use super::known::NOTHING;

/// Score of two equal letters.
pub(super) const MATCH: i32 = 4;
/// Score of two different letters; unknown ones equal nothing.
pub(super) const MISMATCH: i32 = -3;
/// Score of the first letter of a gap …
pub(super) const OPEN: i32 = -10;
/// … and of each further one.
pub(super) const EXTEND: i32 = -2;
/// Score of each letter before the first or after the last letter of the other sequence: a part may be aligned with a
/// whole.
const END: i32 = -1;

/// An alignment of a sequence with another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Alignment {
    /// Sum of the scores of all columns.
    pub score: i32,
    /// For each position of the first sequence the position of the second that it is aligned with, or [`NOTHING`].
    pub places: Vec<u32>,
}

/// What the best path to a cell ends with: a column of two letters, or a gap in the one or the other sequence.
const BOTH: u8 = 0;
const FIRST: u8 = 1;
const SECOND: u8 = 2;

/// The best alignment of `first` with `second`; among equally good ones always the same. Time and memory grow with the
/// product of the lengths, the latter by one byte.
pub(super) fn align(first: &[u8], second: &[u8]) -> Alignment {
    const NEVER: i32 = i32::MIN / 2;
    let (rows, columns) = (first.len(), second.len());
    let width = columns + 1;
    // For each cell and each way for a path to end there, how the path ended one column before: two bits each.
    let mut came_from = vec![0u8; (rows + 1) * width];
    // Best scores of the paths to the cells of a row, by their end.
    let mut both = vec![NEVER; width];
    let mut first_alone = vec![NEVER; width];
    let mut second_alone: Vec<i32> = (0..width).map(|j| if j == 0 { NEVER } else { END * j as i32 }).collect();
    both[0] = 0;
    came_from[1..width].fill(SECOND << 4);
    if width > 1 {
        came_from[1] = BOTH << 4;
    }
    for (i, letter) in first.iter().enumerate() {
        let row = &mut came_from[(i + 1) * width..(i + 2) * width];
        // The cell above and to the left, before it is overwritten.
        let (mut left_both, mut left_first, mut left_second) = (both[0], first_alone[0], second_alone[0]);
        both[0] = NEVER;
        second_alone[0] = NEVER;
        first_alone[0] = END * (i as i32 + 1);
        row[0] = (if i == 0 { BOTH } else { FIRST }) << 2;
        // A gap in the first sequence is at its end in the last row.
        let (open_second, extend_second) = if i + 1 == rows { (END, END) } else { (OPEN, EXTEND) };
        for j in 1..width {
            let (open_first, extend_first) = if j == columns { (END, END) } else { (OPEN, EXTEND) };
            let same = *letter == second[j - 1] && *letter != b'N';
            let (before, from_both) = best(left_both, left_first, left_second);
            (left_both, left_first, left_second) = (both[j], first_alone[j], second_alone[j]);
            // A letter of the first sequence alone: from the row above.
            let (alone, from_first) =
                best(both[j] + open_first, first_alone[j] + extend_first, second_alone[j] + open_first);
            both[j] = before + if same { MATCH } else { MISMATCH };
            first_alone[j] = alone;
            // A letter of the second sequence alone: from the cell to the left, in this row.
            let (alone, from_second) =
                best(both[j - 1] + open_second, first_alone[j - 1] + open_second, second_alone[j - 1] + extend_second);
            second_alone[j] = alone;
            row[j] = from_both | from_first << 2 | from_second << 4;
        }
    }
    let (score, mut end) = best(both[columns], first_alone[columns], second_alone[columns]);
    let mut places = vec![NOTHING; rows];
    let (mut i, mut j) = (rows, columns);
    while i > 0 || j > 0 {
        let from = came_from[i * width + j] >> (2 * end) & 3;
        match end {
            BOTH => {
                (i, j) = (i - 1, j - 1);
                places[i] = j as u32;
            }
            FIRST => i -= 1,
            _ => j -= 1,
        }
        end = from;
    }
    Alignment { score, places }
}

/// The best of three scores, the first one of equals.
fn best(both: i32, first: i32, second: i32) -> (i32, u8) {
    let (score, end) = if first > both { (first, FIRST) } else { (both, BOTH) };
    if second > score { (second, SECOND) } else { (score, end) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(first: &str, second: &str) -> (i32, String) {
        let Alignment { score, places } = align(first.as_bytes(), second.as_bytes());
        let letter = |place: &u32| second.as_bytes().get(*place as usize).map_or('-', |letter| char::from(*letter));
        (score, places.iter().map(letter).collect())
    }

    #[test]
    fn examples() {
        assert_eq!(shown("ACGU", "ACGU"), (16, "ACGU".into()));
        assert_eq!(shown("ACGUACGU", "ACGUUCGU"), (25, "ACGUUCGU".into()));
        // A gap within costs more than one at the end.
        assert_eq!(shown("ACGUACGU", "ACGU").0, 16 - 4);
        assert_eq!(shown("ACGGUCAUCCGAUUGA", "ACGGUCACCGAUUGA"), (60 - 10, "ACGGUCA-CCGAUUGA".into()));
        assert_eq!(shown("ACGGUCAUCGAUUGAC", "ACGGUCAUAAACGAUUGAC"), (64 - 14, "ACGGUCAUCGAUUGAC".into()));
        // Unknown letters equal nothing.
        assert_eq!(shown("N", "N").0, -2);
        assert_eq!(shown("", "ACG"), (-3, String::new()));
        assert_eq!(shown("ACG", ""), (-3, "---".into()));
        assert_eq!(shown("", ""), (0, String::new()));
    }

    /// Score of an alignment, counted column by column.
    fn score(first: &[u8], second: &[u8], places: &[u32]) -> i32 {
        let gap = |length: usize, at_end: bool| match length {
            0 => 0,
            _ if at_end => END * length as i32,
            _ => OPEN + EXTEND * (length as i32 - 1),
        };
        let columns = places.iter().enumerate().filter(|(_, place)| **place != NOTHING);
        let columns: Vec<(usize, usize)> = columns.map(|(i, place)| (i, *place as usize)).collect();
        let ends = (first.len(), second.len());
        let (mut total, mut i, mut j) = (0, 0, 0);
        for &(a, b) in columns.iter().chain(&[ends]) {
            // A gap is at an end where the other sequence has not begun, or is over.
            total += gap(a - i, j == 0 || j == ends.1) + gap(b - j, i == 0 || i == ends.0);
            if (a, b) != ends {
                total += if first[a] == second[b] { MATCH } else { MISMATCH };
            }
            (i, j) = (a + 1, b + 1);
        }
        total
    }

    proptest! {
        /// Columns go forward and give the score that is said or a better one (where both sequences have a gap at an end, in
        /// which order does not show), and swapping the sequences gives the same score.
        #[test]
        fn alignments_are_what_they_say(first in "[ACGU]{1,30}", second in "[ACGU]{1,30}") {
            let (first, second) = (first.as_bytes(), second.as_bytes());
            let found = align(first, second);
            let columns: Vec<u32> = found.places.iter().copied().filter(|place| *place != NOTHING).collect();
            prop_assert!(columns.is_sorted_by(|a, b| a < b));
            prop_assert_eq!(found.score, align(second, first).score);
            prop_assert!(found.score >= -((first.len() + second.len()) as i32));
            if !columns.is_empty() {
                prop_assert_eq!(found.score, score(first, second, &found.places));
            }
        }
    }
}
