//! The stretches of a transcript that are read: N says nothing about what stood there, so that no answer may rest on it.
//!
//! A **gap** is where [`GAP_UNKNOWN`] N lie within [`GAP_WINDOW`] letters, from the first of them to the last; gaps that
//! overlap are one. A run of ten N and more is a gap, as NCBI has it for sequences that are submitted to it, since the
//! length of such runs is often made up; and so is a part in which every third letter is an N. The stretches between gaps,
//! and before the first and after the last, are judged each on its own, as if they were transcripts: neither a reading frame
//! nor anything else runs through a gap. N at the ends of stretches are no part of them.
//!
//! A stretch is read where of its triplets in all three frames at most one in [`TRIPLETS_PER_UNKNOWN`] holds an N (with
//! more, stop codons go unseen, and any sequence looks like an open reading frame), and where it has at least
//! [`LEAST_LENGTH`] letters, the shortest fragments that the coding model was trained with.
//!
//! A transcript that is shorter itself is read where it is one stretch, but what the model says of it has no label.

use std::ops::Range;

use crate::sequence::Doubt;

/// Letters within which so many N make a gap.
pub const GAP_WINDOW: usize = 30;

/// N that make a gap where they lie close together.
pub const GAP_UNKNOWN: usize = 10;

/// Letters of the shortest transcript that has a label, and of the shortest stretch of such a one that is read.
pub const LEAST_LENGTH: usize = 200;

/// At most one triplet in so many may hold an N.
pub const TRIPLETS_PER_UNKNOWN: usize = 10;

/// What of a transcript is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The stretches that are read, in order.
    pub stretches: Vec<Range<usize>>,
    /// Why the transcript has no label: [`Doubt::TooShort`] or [`Doubt::TooUnknown`].
    pub doubt: Option<Doubt>,
}

/// What of `sequence` (ACGUN) is read.
pub fn read(sequence: &[u8]) -> Reading {
    let mut stretches = stretches(sequence);
    let is_short = sequence.len() < LEAST_LENGTH;
    if is_short && stretches.len() > 1 {
        stretches.clear();
    }
    stretches.retain(|stretch| {
        let triplets = sequence[stretch.clone()].windows(3);
        let unknown = triplets.clone().filter(|triplet| triplet.contains(&b'N')).count();
        (is_short || stretch.len() >= LEAST_LENGTH) && TRIPLETS_PER_UNKNOWN * unknown <= triplets.len()
    });
    let doubt = match is_short {
        true => Some(Doubt::TooShort),
        false => stretches.is_empty().then_some(Doubt::TooUnknown),
    };
    Reading { stretches, doubt }
}

/// What lies between the gaps of `sequence`, without N at its ends; whatever its length.
fn stretches(sequence: &[u8]) -> Vec<Range<usize>> {
    let mut stretches = Vec::new();
    let mut start = 0;
    for gap in gaps(sequence) {
        stretches.push(start..gap.start);
        start = gap.end;
    }
    stretches.push(start..sequence.len());
    let known = |letter: &u8| *letter != b'N';
    let trimmed = stretches.into_iter().filter_map(|stretch| {
        let letters = &sequence[stretch.clone()];
        let first = letters.iter().position(known)?;
        let last = letters.iter().rposition(known)?;
        Some(stretch.start + first..stretch.start + last + 1)
    });
    trimmed.collect()
}

/// The gaps of `sequence`, in order.
fn gaps(sequence: &[u8]) -> Vec<Range<usize>> {
    let unknown: Vec<usize> = (0..sequence.len()).filter(|&position| sequence[position] == b'N').collect();
    let mut gaps: Vec<Range<usize>> = Vec::new();
    for together in unknown.windows(GAP_UNKNOWN) {
        let (first, end) = (together[0], together[GAP_UNKNOWN - 1] + 1);
        if end - first > GAP_WINDOW {
            continue;
        }
        match gaps.last_mut() {
            Some(gap) if first <= gap.end => gap.end = end,
            _ => gaps.push(first..end),
        }
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Letters without N, `length` of them.
    fn letters(length: usize) -> String {
        "ACGUUGCAGCAUCGGAUUACG".chars().cycle().take(length).collect()
    }

    fn known(sequence: &str) -> Vec<Range<usize>> {
        let reading = read(sequence.as_bytes());
        assert_eq!(reading.doubt, None);
        reading.stretches
    }

    fn doubtful(sequence: &str) -> (Vec<Range<usize>>, Doubt) {
        let reading = read(sequence.as_bytes());
        (reading.stretches, reading.doubt.unwrap())
    }

    #[test]
    fn runs_of_ten_are_gaps() {
        let with = |run: usize| format!("{}{}{}", letters(300), "N".repeat(run), letters(250));
        assert_eq!(known(&with(0)), vec![0..550; 1]);
        assert_eq!(known(&with(9)), vec![0..559; 1]);
        assert_eq!(known(&with(10)), [0..300, 310..560]);
        assert_eq!(known(&with(5000)), [0..300, 5300..5550]);
        // What is known between two gaps stays known, however near they are.
        let two = format!("{}{}{}{}{}", letters(300), "N".repeat(30), letters(50), "N".repeat(30), letters(250));
        assert_eq!(known(&two), [0..300, 410..660]);
        assert_eq!(stretches(two.as_bytes()), [0..300, 330..380, 410..660]);
    }

    #[test]
    fn scattered_unknown_letters_make_a_gap_too() {
        let alternating = format!("{}{}{}", letters(300), "NA".repeat(100), letters(300));
        assert_eq!(known(&alternating), [0..300, 499..800]);
        // One in ten leaves seven triplets in ten, which is not enough to see stop codons.
        let one_in = |distance: usize| -> String {
            letters(400).chars().enumerate().map(|(i, c)| if i % distance == 5 { 'N' } else { c }).collect()
        };
        assert_eq!(doubtful(&one_in(10)), (vec![], Doubt::TooUnknown));
        assert_eq!(known(&one_in(50)), vec![0..400; 1]);
    }

    #[test]
    fn short_and_unknown_transcripts_have_no_label() {
        assert_eq!(doubtful(""), (vec![], Doubt::TooShort));
        assert_eq!(doubtful("C"), (vec![0..1; 1], Doubt::TooShort));
        assert_eq!(doubtful("N"), (vec![], Doubt::TooShort));
        assert_eq!(doubtful(&letters(199)), (vec![0..199; 1], Doubt::TooShort));
        assert_eq!(doubtful(&format!("{}{}{}", letters(50), "N".repeat(30), letters(50))), (vec![], Doubt::TooShort));
        assert_eq!(known(&letters(200)), vec![0..200; 1]);
        assert_eq!(doubtful(&"N".repeat(1000)), (vec![], Doubt::TooUnknown));
        // Enough letters, but in no stretch of their own.
        let halves = format!("{}{}{}", letters(150), "N".repeat(100), letters(150));
        assert_eq!(doubtful(&halves), (vec![], Doubt::TooUnknown));
    }

    proptest! {
        #[test]
        fn stretches_are_known_at_their_ends_and_unknown_ends_change_nothing(
            parts in prop::collection::vec((0usize..300, 0usize..60), 1..8), before in 0usize..90, after in 0usize..90,
        ) {
            let sequence: String = parts.iter().map(|(known, run)| letters(*known) + &"N".repeat(*run)).collect();
            let found = stretches(sequence.as_bytes());
            for stretch in &found {
                let inner = &sequence[stretch.clone()];
                prop_assert!(!inner.starts_with('N') && !inner.ends_with('N'));
                prop_assert!(!inner.contains(&"N".repeat(GAP_UNKNOWN)));
            }
            prop_assert!(found.windows(2).all(|pair| pair[0].end < pair[1].start));
            let padded = "N".repeat(before + GAP_UNKNOWN) + &sequence + &"N".repeat(after + GAP_UNKNOWN);
            let moved: Vec<_> =
                found.iter().map(|s| s.start + before + GAP_UNKNOWN..s.end + before + GAP_UNKNOWN).collect();
            // Where there are N within reach of an end, the gap there may take in more of them.
            if !sequence.as_bytes()[..sequence.len().min(GAP_WINDOW)].contains(&b'N')
                && !sequence.as_bytes()[sequence.len().saturating_sub(GAP_WINDOW)..].contains(&b'N')
            {
                prop_assert_eq!(stretches(padded.as_bytes()), moved);
            }
        }
    }
}
