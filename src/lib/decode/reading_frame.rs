//! From coding windows to coding sequences: the reading frame that a window stands for, from its start codon to its
//! stop codon, or to an end of the transcript where the transcript is cut.
//!
//! The model says how probable it is that a base codes, but not in which frame. A window is therefore given the open
//! reading frame that overlaps it and holds the largest sum of probabilities, which is the expected number of coding
//! bases; start and stop codons count twice. A reading frame begins at the first AUG of its stop-free stretch, as
//! ribosomes and annotators have it. Where the stretch runs out of the transcript's 5' end, the AUG may be missing from
//! the transcript. That is taken for so only where there is no other AUG, or where the bases before it look coding by
//! a whole window more: the sum of p - 1/2 over them is greater than the number of bases of a window.
//!
//! A reading frame does not run through letters that nobody knows: a run of more than [`LONGEST_UNKNOWN`] N ends it as an
//! end of the transcript does, and where more than one of [`CODONS_PER_UNKNOWN`] codons holds an N it is none.

use std::ops::Range;

use super::coding::CdsWindow;
use super::codon::{amino_acid, codons, is_start, is_stop};

/// The longest run of N that a reading frame may hold: as many as a codon.
pub const LONGEST_UNKNOWN: usize = 3;

/// At most one codon of a reading frame in so many may hold an N.
pub const CODONS_PER_UNKNOWN: usize = 10;

/// A coding sequence within a transcript: 0-based, half-open.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReadingFrame {
    /// First base: the A of the AUG, or where the start is missing the first of the transcript or after a run of N.
    pub start: usize,
    /// One past the last base: past the stop codon, or where the stop is missing the transcript's length or the start of a
    /// run of N.
    pub end: usize,
    /// Bases at the start that belong to a codon which began before it: 0, 1 or 2, and 0 where the start is there.
    pub phase: usize,
    /// Whether it begins with a start codon.
    pub has_start: bool,
    /// Whether it ends with a stop codon.
    pub has_stop: bool,
    /// Mean probability over its bases.
    pub mean_probability: f64,
}

impl ReadingFrame {
    /// `complete`, `5prime_partial`, `3prime_partial` or `internal` (both ends missing).
    pub fn completeness(&self) -> &'static str {
        match (self.has_start, self.has_stop) {
            (true, true) => "complete",
            (false, true) => "5prime_partial",
            (true, false) => "3prime_partial",
            (false, false) => "internal",
        }
    }

    /// The same in a sequence with `bases` more before it.
    fn moved_by(self, bases: usize) -> Self {
        Self { start: self.start + bases, end: self.end + bases, ..self }
    }

    /// The protein in one-letter code. The stop codon is not in it, a codon with an N is X, and the bases of codons that
    /// are cut at either end are left out.
    pub fn protein(&self, sequence: &[u8]) -> Vec<u8> {
        let last = if self.has_stop { self.end - 3 } else { self.end };
        codons(&sequence[..last], self.start + self.phase).map(|(_, codon)| amino_acid(codon)).collect()
    }
}

/// All reading frames of a transcript with at least one codon besides the stop, by frame and position, of one part between
/// runs of N after the other; `window` as in [`refine`].
pub fn reading_frames(sequence: &[u8], probabilities: &[f32], window: usize) -> Vec<ReadingFrame> {
    let of_part = |part: Range<usize>| {
        let letters = &sequence[part.clone()];
        let mut frames = reading_frames_of_part(letters, &probabilities[part.clone()], window);
        frames.retain(|frame| {
            let codons = codons(&letters[..frame.end], frame.start + frame.phase);
            let unknown = codons.clone().filter(|(_, codon)| codon.contains(&b'N')).count();
            CODONS_PER_UNKNOWN * unknown <= codons.count()
        });
        frames.into_iter().map(move |frame| frame.moved_by(part.start))
    };
    readable_parts(sequence).into_iter().flat_map(of_part).collect()
}

/// What lies between runs of more than [`LONGEST_UNKNOWN`] N.
fn readable_parts(sequence: &[u8]) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let (mut start, mut position) = (0, 0);
    for run in sequence.chunk_by(|a, b| (*a == b'N') == (*b == b'N')) {
        if run[0] == b'N' && run.len() > LONGEST_UNKNOWN {
            parts.push(start..position);
            start = position + run.len();
        }
        position += run.len();
    }
    parts.push(start..position);
    parts.retain(|part| !part.is_empty());
    parts
}

/// [`reading_frames`] of a part without long runs of N.
fn reading_frames_of_part(sequence: &[u8], probabilities: &[f32], window: usize) -> Vec<ReadingFrame> {
    let sums = Sums::new(probabilities);
    let mut found = Vec::new();
    for frame in 0..3 {
        let mut first = frame;
        let mut start_codon = None;
        for (position, codon) in codons(sequence, frame) {
            if is_stop(codon) {
                let stretch = Stretch { first, end: position + 3, start_codon, has_stop: true };
                found.extend(stretch.reading_frame(&sums, window));
                first = position + 3;
                start_codon = None;
            } else if is_start(codon) && start_codon.is_none() {
                start_codon = Some(position);
            }
        }
        let stretch = Stretch { first, end: sequence.len(), start_codon, has_stop: false };
        found.extend(stretch.reading_frame(&sums, window));
    }
    found
}

/// The reading frame of each window, in the order of the windows, each only once: that which overlaps the window and has
/// the largest sum (see above; of equal ones the longest, then the first). `window` is the number of bases of a
/// window before it was merged with others. A window that no reading frame overlaps has none.
pub fn refine(sequence: &[u8], probabilities: &[f32], windows: &[CdsWindow], window: usize) -> Vec<ReadingFrame> {
    if windows.is_empty() {
        return Vec::new();
    }
    let all = reading_frames(sequence, probabilities, window);
    let sum = |frame: &ReadingFrame| {
        let ends = usize::from(frame.has_start) + usize::from(frame.has_stop);
        frame.mean_probability * (frame.end - frame.start + 3 * ends) as f64
    };
    let mut chosen: Vec<ReadingFrame> = Vec::new();
    for window in windows {
        let overlapping = all.iter().filter(|frame| frame.start < window.end && window.start < frame.end);
        let best = overlapping.max_by(|a, b| {
            let longer = || (a.end - a.start).cmp(&(b.end - b.start));
            sum(a).total_cmp(&sum(b)).then_with(longer).then_with(|| b.start.cmp(&a.start))
        });
        if let Some(best) = best.filter(|best| !chosen.contains(best)) {
            chosen.push(*best);
        }
    }
    chosen
}

/// A run of codons without a stop but the last.
struct Stretch {
    /// Its first codon.
    first: usize,
    /// Past its stop codon, or the length of the transcript.
    end: usize,
    /// Its first AUG.
    start_codon: Option<usize>,
    has_stop: bool,
}

impl Stretch {
    /// The reading frame of this stretch, if it has one.
    fn reading_frame(&self, sums: &Sums, window: usize) -> Option<ReadingFrame> {
        // A stretch that begins with the transcript may have begun before it.
        let open = self.first < 3 && self.start_codon != Some(self.first);
        let before = self.start_codon.unwrap_or(self.end);
        let codes_before = sums.of(0, before) - before as f64 / 2.0 > window as f64;
        let (start, phase, has_start) = match self.start_codon {
            Some(position) if !(open && codes_before) => (position, 0, true),
            _ if open => (0, self.first, false),
            _ => return None,
        };
        let coding_end = if self.has_stop { self.end - 3 } else { self.end };
        // At least one whole codon.
        (coding_end >= start + phase + 3).then(|| ReadingFrame {
            start,
            end: self.end,
            phase,
            has_start,
            has_stop: self.has_stop,
            mean_probability: sums.of(start, self.end) / (self.end - start) as f64,
        })
    }
}

/// Sums of probabilities over any range.
struct Sums(Vec<f64>);

impl Sums {
    fn new(probabilities: &[f32]) -> Self {
        let mut sum = 0.0;
        let running = probabilities.iter().map(|&probability| {
            sum += f64::from(probability);
            sum
        });
        Self(std::iter::once(0.0).chain(running).collect())
    }

    fn of(&self, start: usize, end: usize) -> f64 {
        self.0[end] - self.0[start]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn window(start: usize, end: usize) -> CdsWindow {
        CdsWindow { start, end, mean_probability: 1.0 }
    }

    /// The refined frames of a transcript whose bases all have one probability.
    fn even(sequence: &str, probability: f32, windows: &[CdsWindow]) -> Vec<ReadingFrame> {
        refine(sequence.as_bytes(), &vec![probability; sequence.len()], windows, 6)
    }

    #[test]
    fn a_window_becomes_start_to_stop() {
        // The other frames have stops all along.
        let sequence = "CCCAUGCUAACUGACUAACCC";
        let found = even(sequence, 0.25, &[window(4, 9)]);
        let expected =
            ReadingFrame { start: 3, end: 18, phase: 0, has_start: true, has_stop: true, mean_probability: 0.25 };
        assert_eq!(found, [expected]);
        assert_eq!(found[0].protein(sequence.as_bytes()), b"MLTD");
        assert_eq!(found[0].completeness(), "complete");
    }

    #[test]
    fn two_windows_of_one_frame_are_one_coding_sequence() {
        let sequence = "CCCAUGCUAACUGACCUAACUGACUAACCC";
        assert_eq!(even(sequence, 0.25, &[window(3, 6), window(18, 21)]).len(), 1);
    }

    #[test]
    fn missing_ends_are_said() {
        // Without AUG; a stop in each frame but the first.
        let sequence = "GCUGAAGCUCAGCUGAAGC";
        let frame = even(sequence, 1.0, &[window(0, 19)])[0];
        assert_eq!((frame.start, frame.end, frame.phase), (0, 19, 0));
        assert_eq!((frame.has_start, frame.has_stop, frame.completeness()), (false, false, "internal"));
        // The last codon is cut, so that it is no part of the protein.
        assert_eq!(frame.protein(sequence.as_bytes()), b"AEAQLK");
    }

    #[test]
    fn a_start_before_the_transcript_needs_evidence() {
        // In frame 1 from the first base: coding bases, then AUG and stop. The other frames have stops all along.
        let sequence = format!("C{}AUGGCUUAAC", "CUAACUGAC".repeat(3));
        let coding = vec![1.0; sequence.len()];
        let found = refine(sequence.as_bytes(), &coding, &[window(0, 37)], 10);
        assert_eq!((found[0].start, found[0].end, found[0].phase), (0, 37, 1));
        assert_eq!(found[0].completeness(), "5prime_partial");
        assert_eq!(found[0].protein(sequence.as_bytes()), b"LTDLTDLTDMA");
        // The same bases without evidence before the AUG.
        let mut unsure = coding;
        unsure[..28].fill(0.5);
        let found = refine(sequence.as_bytes(), &unsure, &[window(0, 37)], 10);
        assert_eq!((found[0].start, found[0].end, found[0].completeness()), (28, 37, "complete"));
    }

    #[test]
    fn a_reading_frame_does_not_run_through_unknown_letters() {
        let coding = "GCUGCU".repeat(10);
        let with = |run: usize| {
            let sequence = format!("AUG{coding}{}{coding}UAACCC", "N".repeat(run));
            let found = even(&sequence, 1.0, &[window(0, sequence.len())]);
            (found[0].start, found[0].end, found[0].completeness(), found[0].protein(sequence.as_bytes()))
        };
        let protein = |before: &str, unknown: &str| format!("{before}{}{unknown}{}", "A".repeat(20), "A".repeat(20));
        assert_eq!(with(3), (0, 129, "complete", protein("M", "X").into_bytes()));
        assert_eq!(with(4), (0, 63, "3prime_partial", format!("M{}", "A".repeat(20)).into_bytes()));
        // Behind the run a reading frame begins without an AUG.
        let sequence = format!("{}{coding}UAACCC", "N".repeat(300));
        let found = even(&sequence, 1.0, &[window(300, 360)]);
        assert_eq!((found[0].start, found[0].end, found[0].completeness()), (300, 363, "5prime_partial"));
        // N in every fifth codon.
        let sequence = format!("AUG{}UAA", "GCUGCUGCUGCUGNU".repeat(8));
        assert!(even(&sequence, 1.0, &[window(0, 12)]).iter().all(|frame| frame.start != 0));
        assert!(even(&"N".repeat(200), 1.0, &[window(0, 200)]).is_empty());
    }

    #[test]
    fn too_little_is_no_reading_frame() {
        for sequence in ["", "A", "AU", "UAA", "AUGUAA"] {
            let found = even(sequence, 1.0, &[window(0, sequence.len())]);
            assert!(found.iter().all(|frame| !frame.protein(sequence.as_bytes()).is_empty()), "{sequence}: {found:?}");
        }
        assert!(even("A", 1.0, &[window(0, 1)]).is_empty());
        assert!(even("AUGGCUUAA", 1.0, &[]).is_empty());
    }

    proptest! {
        #[test]
        fn reading_frames_are_what_they_say(
            letters in proptest::collection::vec(proptest::sample::select(b"AACCGGUUUAGN".to_vec()), 0..120),
            seed in proptest::collection::vec(0.0_f32..=1.0, 120),
            width in 1_usize..40,
        ) {
            let probabilities = &seed[..letters.len()];
            for frame in reading_frames(&letters, probabilities, width) {
                let first = frame.start + frame.phase;
                prop_assert!(frame.end <= letters.len() && first + 3 <= frame.end);
                let inside: Vec<_> = codons(&letters[..frame.end], first).collect();
                prop_assert_eq!(frame.has_start, is_start(inside[0].1));
                prop_assert_eq!(frame.has_stop, is_stop(inside[inside.len() - 1].1) && (frame.end - first) % 3 == 0);
                prop_assert_eq!(inside.iter().filter(|(_, codon)| is_stop(codon)).count(), usize::from(frame.has_stop));
                let begins = readable_parts(&letters).iter().any(|part| part.start == frame.start);
                let ends = readable_parts(&letters).iter().any(|part| part.end == frame.end);
                prop_assert!(frame.has_start || (begins && frame.phase < 3));
                prop_assert!(frame.has_stop || ends);
                let unknown = inside.iter().filter(|(_, codon)| codon.contains(&b'N')).count();
                prop_assert!(CODONS_PER_UNKNOWN * unknown <= inside.len());
                prop_assert!(!letters[frame.start..frame.end].windows(LONGEST_UNKNOWN + 1).any(|run| run == b"NNNN"));
                prop_assert!(frame.phase == 0 || !frame.has_start);
                let mean = probabilities[frame.start..frame.end].iter().map(|&p| f64::from(p)).sum::<f64>()
                    / (frame.end - frame.start) as f64;
                prop_assert!((frame.mean_probability - mean).abs() < 1e-9);
                prop_assert!(!frame.protein(&letters).contains(&b'*'));
            }
        }
    }
}
