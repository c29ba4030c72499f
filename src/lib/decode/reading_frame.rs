//! From coding windows to coding sequences: the reading frame that a window stands for, from its start codon to its
//! stop codon, or to an end of the transcript where the transcript is cut.
//!
//! The network says how probable it is that a base codes, but not in which frame. Where the model holds a calibration
//! ([`super::coding_calibration`]), that chooses the reading frame of a transcript by all that speaks for it. Without one, a
//! window is given the open
//! reading frame that overlaps it and holds the largest sum of probabilities, which is the expected number of coding
//! bases; start and stop codons count twice. A reading frame begins at the first AUG of its stop-free stretch, as
//! ribosomes and annotators have it. Where the stretch runs out of the transcript's 5' end, the AUG may be missing from
//! the transcript. That is taken for so only where there is no other AUG, or where the bases before it look coding by
//! a whole window more: the sum of p - 1/2 over them is greater than the number of bases of a window.
//!
//! Reading frames are looked for in one stretch of a transcript, without a gap ([`super::stretches`]). The few N that a
//! stretch may hold are read through, as codons that nobody knows, but a frame in which more than one of
//! [`CODONS_PER_UNKNOWN`] codons holds an N is no reading frame.

use super::coding::CdsWindow;
use super::genetic_code::{GeneticCode, codons};

/// At most one codon of a reading frame in so many may hold an N.
pub const CODONS_PER_UNKNOWN: usize = 10;

/// A coding sequence within a transcript: 0-based, half-open.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReadingFrame {
    /// First base: of the start codon, or where the start is missing the first of the stretch.
    pub start: usize,
    /// One past the last base: past the stop codon, or where the stop is missing the end of the stretch.
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
    /// `complete`, `5_prime_cut`, `3_prime_cut` or `both_cut`, as in the summary of transcripts.
    pub fn state(&self) -> &'static str {
        match (self.has_start, self.has_stop) {
            (true, true) => "complete",
            (false, true) => "5_prime_cut",
            (true, false) => "3_prime_cut",
            (false, false) => "both_cut",
        }
    }

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
    pub fn moved_by(self, bases: usize) -> Self {
        Self { start: self.start + bases, end: self.end + bases, ..self }
    }

    /// The protein in one-letter code. The stop codon is not in it, a codon with an N is X, and the bases of codons that
    /// are cut at either end are left out.
    /// An alternative start codon is read as methionine, as ribosomes do.
    pub fn protein(&self, sequence: &[u8], code: GeneticCode) -> Vec<u8> {
        let last = if self.has_stop { self.end - 3 } else { self.end };
        let mut protein: Vec<u8> =
            codons(&sequence[..last], self.start + self.phase).map(|(_, codon)| code.amino_acid(codon)).collect();
        if let (true, Some(first)) = (self.has_start, protein.first_mut()) {
            *first = b'M';
        }
        protein
    }
}

/// An open reading frame as the codons alone show it: what could be a coding sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenFrame {
    /// First base, as in [`ReadingFrame`].
    pub start: usize,
    /// One past the last base, as in [`ReadingFrame`].
    pub end: usize,
    /// Bases at the start that belong to a codon which began before it.
    pub phase: usize,
    /// Whether it begins with a start codon.
    pub has_start: bool,
    /// Whether it ends with a stop codon.
    pub has_stop: bool,
    /// Where it begins before the stretch although its codons hold a start codon: where the first of these is.
    pub later_start: Option<usize>,
}

impl OpenFrame {
    /// Number of whole codons besides the stop.
    pub fn codons(&self) -> usize {
        let coding_end = if self.has_stop { self.end - 3 } else { self.end };
        coding_end.saturating_sub(self.start + self.phase) / 3
    }

    /// Number of bases, the stop codon included.
    pub fn length(&self) -> usize {
        self.end - self.start
    }

    /// Whether enough of its codons are without an N.
    fn is_known(&self, sequence: &[u8]) -> bool {
        let codons = codons(&sequence[..self.end], self.start + self.phase);
        let unknown = codons.clone().filter(|(_, codon)| codon.contains(&b'N')).count();
        CODONS_PER_UNKNOWN * unknown <= codons.count()
    }

    /// The reading frame whose bases have this mean probability.
    pub(super) fn with_probability(self, mean_probability: f64) -> ReadingFrame {
        let Self { start, end, phase, has_start, has_stop, .. } = self;
        ReadingFrame { start, end, phase, has_start, has_stop, mean_probability }
    }
}

/// All open reading frames of a sequence with at least one codon besides the stop, by frame and position. A run of codons
/// without a stop gives the one that begins at its first AUG (with a code that has more start codons, one from each of those
/// before the AUG too), and where it begins with the sequence one that has begun before it.
pub fn open_frames(sequence: &[u8], code: GeneticCode) -> Vec<OpenFrame> {
    let all = stop_free_runs(sequence, code);
    let frames = all.iter().flat_map(|run| run.with_starts().chain(run.without_start()));
    frames.filter(|frame| frame.is_known(sequence)).collect()
}

/// The reading frames of a sequence by the probabilities of its bases alone, one for each run of codons without a stop, in
/// the order of [`open_frames`]; `window` as in [`refine`].
pub fn reading_frames(sequence: &[u8], probabilities: &[f32], window: usize, code: GeneticCode) -> Vec<ReadingFrame> {
    let sums = Sums::new(probabilities);
    let choose = |run: &StopFreeRun| {
        let codes_before = |start: usize| sums.of(0, start) - start as f64 / 2.0 > window as f64;
        let first = run.starts.first().copied();
        let cut = run.without_start().filter(|_| first.is_none_or(codes_before));
        cut.or_else(|| run.with_starts().next())
    };
    let chosen = stop_free_runs(sequence, code).into_iter().filter_map(|run| choose(&run));
    let known = chosen.filter(|frame| frame.is_known(sequence));
    known.map(|frame| frame.with_probability(sums.of(frame.start, frame.end) / frame.length() as f64)).collect()
}

/// The runs of codons without a stop but the last, by frame and position.
fn stop_free_runs(sequence: &[u8], code: GeneticCode) -> Vec<StopFreeRun> {
    let mut found = Vec::new();
    for frame in 0..3.min(sequence.len()) {
        let mut current = StopFreeRun::new(frame);
        let mut has_aug = false;
        for (position, codon) in codons(sequence, frame) {
            if code.is_stop(codon) {
                found.push(StopFreeRun { end: position + 3, has_stop: true, ..current });
                current = StopFreeRun::new(position + 3);
                has_aug = false;
            } else if !has_aug && code.is_start(codon) {
                current.starts.push(position);
                has_aug = codon == b"AUG";
            }
        }
        found.push(StopFreeRun { end: sequence.len(), ..current });
    }
    found
}

/// A run of codons without a stop but the last.
struct StopFreeRun {
    /// Its first codon.
    first: usize,
    /// Past its stop codon, or the end of the sequence.
    end: usize,
    /// Its start codons, up to the first AUG.
    starts: Vec<usize>,
    has_stop: bool,
}

impl StopFreeRun {
    fn new(first: usize) -> Self {
        Self { first, end: first, starts: Vec::new(), has_stop: false }
    }

    /// The open reading frames that begin with its start codons.
    fn with_starts(&self) -> impl Iterator<Item = OpenFrame> + '_ {
        let Self { end, has_stop, .. } = *self;
        let frame =
            move |&start: &usize| OpenFrame { start, end, phase: 0, has_start: true, has_stop, later_start: None };
        self.starts.iter().map(frame).filter(|frame| frame.codons() > 0)
    }

    /// The open reading frame that has begun before the sequence, where the run begins with it.
    fn without_start(&self) -> Option<OpenFrame> {
        let Self { first, end, has_stop, .. } = *self;
        let open = first < 3 && self.starts.first() != Some(&first);
        let later_start = self.starts.first().copied();
        let frame = OpenFrame { start: 0, end, phase: first, has_start: false, has_stop, later_start };
        Some(frame).filter(|frame| open && frame.codons() > 0)
    }
}

/// The reading frame of each window, in the order of the windows, each only once: that which overlaps the window and has
/// the largest sum (see above; of equal ones the longest, then the first). `window` is the number of bases of a
/// window before it was merged with others. A window that no reading frame overlaps has none.
pub fn refine(
    sequence: &[u8],
    probabilities: &[f32],
    windows: &[CdsWindow],
    window: usize,
    code: GeneticCode,
) -> Vec<ReadingFrame> {
    if windows.is_empty() {
        return Vec::new();
    }
    let all = reading_frames(sequence, probabilities, window, code);
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

/// Sums of probabilities over any range.
pub(super) struct Sums(Vec<f64>);

impl Sums {
    pub(super) fn new(probabilities: &[f32]) -> Self {
        let mut sum = 0.0;
        let running = probabilities.iter().map(|&probability| {
            sum += f64::from(probability);
            sum
        });
        Self(std::iter::once(0.0).chain(running).collect())
    }

    pub(super) fn of(&self, start: usize, end: usize) -> f64 {
        self.0[end] - self.0[start]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn code() -> GeneticCode {
        GeneticCode::default()
    }

    fn window(start: usize, end: usize) -> CdsWindow {
        CdsWindow { start, end, mean_probability: 1.0 }
    }

    /// The refined frames of a transcript whose bases all have one probability.
    fn even(sequence: &str, probability: f32, windows: &[CdsWindow]) -> Vec<ReadingFrame> {
        refine(sequence.as_bytes(), &vec![probability; sequence.len()], windows, 6, code())
    }

    #[test]
    fn a_window_becomes_start_to_stop() {
        // The other frames have stops all along.
        let sequence = "CCCAUGCUAACUGACUAACCC";
        let found = even(sequence, 0.25, &[window(4, 9)]);
        let expected =
            ReadingFrame { start: 3, end: 18, phase: 0, has_start: true, has_stop: true, mean_probability: 0.25 };
        assert_eq!(found, [expected]);
        assert_eq!(found[0].protein(sequence.as_bytes(), code()), b"MLTD");
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
        assert_eq!(frame.protein(sequence.as_bytes(), code()), b"AEAQLK");
    }

    #[test]
    fn a_start_before_the_transcript_needs_evidence() {
        // In frame 1 from the first base: coding bases, then AUG and stop. The other frames have stops all along.
        let sequence = format!("C{}AUGGCUUAAC", "CUAACUGAC".repeat(3));
        let coding = vec![1.0; sequence.len()];
        let found = refine(sequence.as_bytes(), &coding, &[window(0, 37)], 10, code());
        assert_eq!((found[0].start, found[0].end, found[0].phase), (0, 37, 1));
        assert_eq!(found[0].completeness(), "5prime_partial");
        assert_eq!(found[0].protein(sequence.as_bytes(), code()), b"LTDLTDLTDMA");
        // The same bases without evidence before the AUG.
        let mut unsure = coding;
        unsure[..28].fill(0.5);
        let found = refine(sequence.as_bytes(), &unsure, &[window(0, 37)], 10, code());
        assert_eq!((found[0].start, found[0].end, found[0].completeness()), (28, 37, "complete"));
    }

    #[test]
    fn a_few_unknown_letters_are_read_through() {
        // The other frames have stops all along.
        let coding = "CUAACUGAC".repeat(7);
        let with = |run: usize| {
            let sequence = format!("AUG{coding}{}{coding}UAACCC", "N".repeat(run));
            let found = even(&sequence, 1.0, &[window(0, sequence.len())]);
            (found[0].start, found[0].end, found[0].completeness(), found[0].protein(sequence.as_bytes(), code()))
        };
        let protein = "LTD".repeat(7);
        for codons in [1, 3] {
            let unknown = "X".repeat(codons);
            let expected = format!("M{protein}{unknown}{protein}").into_bytes();
            assert_eq!(with(3 * codons), (0, 132 + 3 * codons, "complete", expected));
        }
        // N in every fifth codon.
        let sequence = format!("AUG{}UAA", "GCUGCUGCUGCUGNU".repeat(8));
        assert!(even(&sequence, 1.0, &[window(0, 12)]).iter().all(|frame| frame.start != 0));
        assert!(even(&"N".repeat(200), 1.0, &[window(0, 200)]).is_empty());
    }

    #[test]
    fn start_codons_of_the_table_and_what_they_mean() {
        // GUG, then AUG in the same frame; the other frames have stops all along.
        let sequence = b"CCUAGUGCUAACUGACAUGCUAACUGACUAACCC";
        let bacterial = GeneticCode::ncbi(11, true).expect("a table of NCBI's");
        let starts = |code| -> Vec<usize> {
            open_frames(sequence, code).iter().filter(|frame| frame.has_start).map(|frame| frame.start).collect()
        };
        assert!(starts(bacterial).contains(&4) && !starts(code()).contains(&4));
        let all = open_frames(sequence, bacterial);
        let found = all.iter().find(|frame| frame.start == 4).expect("the frame from GUG");
        assert_eq!(found.with_probability(1.0).protein(sequence, bacterial)[0], b'M');
    }

    #[test]
    fn too_little_is_no_reading_frame() {
        for sequence in ["", "A", "AU", "UAA", "AUGUAA"] {
            let found = even(sequence, 1.0, &[window(0, sequence.len())]);
            assert!(
                found.iter().all(|frame| !frame.protein(sequence.as_bytes(), code()).is_empty()),
                "{sequence}: {found:?}"
            );
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
            for frame in reading_frames(&letters, probabilities, width, code()) {
                let first = frame.start + frame.phase;
                prop_assert!(frame.end <= letters.len() && first + 3 <= frame.end);
                let inside: Vec<_> = codons(&letters[..frame.end], first).collect();
                prop_assert_eq!(frame.has_start, code().is_start(inside[0].1));
                prop_assert_eq!(frame.has_stop, code().is_stop(inside[inside.len() - 1].1) && (frame.end - first) % 3 == 0);
                prop_assert_eq!(inside.iter().filter(|(_, codon)| code().is_stop(codon)).count(), usize::from(frame.has_stop));
                prop_assert!(frame.has_start || (frame.start == 0 && frame.phase < 3));
                prop_assert!(frame.has_stop || frame.end == letters.len());
                let unknown = inside.iter().filter(|(_, codon)| codon.contains(&b'N')).count();
                prop_assert!(CODONS_PER_UNKNOWN * unknown <= inside.len());
                prop_assert!(frame.phase == 0 || !frame.has_start);
                let mean = probabilities[frame.start..frame.end].iter().map(|&p| f64::from(p)).sum::<f64>()
                    / (frame.end - frame.start) as f64;
                prop_assert!((frame.mean_probability - mean).abs() < 1e-9);
                prop_assert!(!frame.protein(&letters, code()).contains(&b'*'));
            }
        }
    }
}
