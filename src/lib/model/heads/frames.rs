//! What the reading frames of a transcript tell about each of its bases.
//!
//! Each base is the first, second or third of a codon in one of three frames. For each of the three the features say how
//! long the stop-free stretch around that codon is and whether the codon lies in an open reading frame (AUG to stop),
//! how long that is, and whether the transcript has a longer one. Stops are those of the genetic code.

use crate::decode::genetic_code::GeneticCode;

/// Numbers per base: five for each of the three frames.
pub const FRAME_FEATURES: usize = 15;

/// Features of every base, [length, [`FRAME_FEATURES`]], all within 0 and about 1. `sequence` holds ACGUN.
pub fn frame_features(sequence: &[u8], code: GeneticCode) -> Vec<f32> {
    let length = sequence.len();
    let mut features = vec![0f32; length * FRAME_FEATURES];
    let frames: Vec<Vec<Stretch>> = (0..3).map(|frame| stretches(sequence, frame, code)).collect();
    let longest = frames.iter().flatten().map(Stretch::coding_length).max().unwrap_or(0);
    for stretch in frames.iter().flatten() {
        let open = stretch.coding_length();
        for position in stretch.start..stretch.end {
            // Which base of its codon this is in the stretch's frame.
            let place = (position - stretch.start) % 3;
            let inside = stretch.first_start_codon.is_some_and(|start| position >= start);
            let row = &mut features[position * FRAME_FEATURES + 5 * place..][..5];
            row[0] = logarithm(stretch.end - stretch.start);
            if inside {
                row[1] = 1.0;
                row[2] = logarithm(open);
                row[3] = open as f32 / longest as f32;
                row[4] = f32::from(u8::from(open == longest));
            }
        }
    }
    features
}

/// Numbers per transcript.
pub const TRANSCRIPT_FEATURES: usize = 3;

/// How long a transcript, its longest open reading frame and its longest stop-free stretch are.
pub fn transcript_features(sequence: &[u8], code: GeneticCode) -> [f32; TRANSCRIPT_FEATURES] {
    let frames: Vec<Stretch> = (0..3).flat_map(|frame| stretches(sequence, frame, code)).collect();
    let longest = |length: fn(&Stretch) -> usize| logarithm(frames.iter().map(length).max().unwrap_or(0));
    [logarithm(sequence.len()), longest(Stretch::coding_length), longest(|stretch| stretch.end - stretch.start)]
}

/// ln(1 + codons), 1 at about 3,000 codons.
fn logarithm(bases: usize) -> f32 {
    (1.0 + bases as f32 / 3.0).ln() / 8.0
}

/// Codons of one frame up to and including a stop codon, or to the end of the transcript.
struct Stretch {
    start: usize,
    end: usize,
    first_start_codon: Option<usize>,
}

impl Stretch {
    /// Bases from the first AUG to the end.
    fn coding_length(&self) -> usize {
        self.first_start_codon.map_or(0, |start| self.end - start)
    }
}

fn stretches(sequence: &[u8], frame: usize, code: GeneticCode) -> Vec<Stretch> {
    let mut stretches = Vec::new();
    let mut current: Option<Stretch> = None;
    let mut position = frame;
    while position + 3 <= sequence.len() {
        let codon = &sequence[position..position + 3];
        let stretch = current.get_or_insert(Stretch { start: position, end: position, first_start_codon: None });
        stretch.end = position + 3;
        if codon == b"AUG" && stretch.first_start_codon.is_none() {
            stretch.first_start_codon = Some(position);
        }
        if code.is_stop(codon) {
            stretches.extend(current.take());
        }
        position += 3;
    }
    stretches.extend(current);
    stretches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_reading_frame_is_marked_codon_by_codon() {
        //              0  3   6   9   12  15
        let sequence = b"CCAUGGCUGCUUAACC";
        let features = frame_features(sequence, GeneticCode::default());
        let at = |position: usize, place: usize| &features[position * FRAME_FEATURES + 5 * place..][..5];
        // AUG at 2, stop codon 11..14: bases 2..14 are in the longest reading frame, each at its place in the codon.
        for position in 2..14 {
            let place = (position - 2) % 3;
            assert_eq!(at(position, place)[1], 1.0, "{position}");
            assert_eq!(at(position, place)[4], 1.0, "{position}");
            assert_eq!(at(position, place)[3], 1.0, "{position}");
        }
        assert_eq!(at(1, 2)[1], 0.0);
        assert_eq!(at(15, 0)[1], 0.0);
    }

    #[test]
    fn transcripts_are_known_by_their_longest_frames() {
        // The longest open reading frame has 4 codons with its stop codon, the longest stretch 5.
        let [length, open, stretch] = transcript_features(b"CCAUGGCUGCUUAACC", GeneticCode::default());
        let expected = |codons: f32| (1.0 + codons).ln() / 8.0;
        assert_eq!((open, stretch), (expected(4.0), expected(5.0)));
        assert!((length - expected(16.0 / 3.0)).abs() < 1e-6);
        assert_eq!(transcript_features(b"", GeneticCode::default()), [0.0; TRANSCRIPT_FEATURES]);
    }

    #[test]
    fn short_and_empty_sequences_have_features() {
        assert!(frame_features(b"", GeneticCode::default()).is_empty());
        assert_eq!(frame_features(b"AU", GeneticCode::default()), vec![0.0; 2 * FRAME_FEATURES]);
    }
}
