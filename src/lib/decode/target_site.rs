//! miRNA target sites: seed matches in the target, and the stretches of it that the model is asked about.
//!
//! Seed types follow the canon of TargetScan (positions of the miRNA from its 5' end, 1-based; the target reads 5'->3',
//! so that its match is the reverse complement):
//!
//! | type | pairs with | and |
//! | --- | --- | --- |
//! | 8mer | 2-8 | an A opposite position 1 |
//! | 7mer-m8 | 2-8 | |
//! | 7mer-A1 | 2-7 | an A opposite position 1 |
//! | 6mer | 2-7 | |
//! | offset-6mer | 3-8 | |
//!
//! Only Watson-Crick pairs count; N matches nothing.
//!
//! What the models were trained on bounds what is judged: a site of at least [`SITE_LENGTHS`]' least length, a miRNA of
//! [`MIRNA_LENGTHS`], and in neither more than one letter in [`LETTERS_PER_UNKNOWN`] that is N.

use std::num::NonZeroUsize;
use std::ops::{Range, RangeInclusive};

use rustc_hash::FxHashMap;

use crate::sequence::Doubt;

/// Nucleotides of a miRNA: those of miRBase's mature miRNAs, but for a few.
pub const MIRNA_LENGTHS: RangeInclusive<usize> = 15..=30;

/// Nucleotides of a site: shorter ones are not judged, since of the training sites (MirTarRAW) fewer than one in a thousand
/// is shorter; longer ones are judged, but are far from what models were trained on (40 to 53).
pub const SITE_LENGTHS: RangeInclusive<usize> = 15..=100;

/// At most one letter in so many of a site or a miRNA may be N.
pub const LETTERS_PER_UNKNOWN: usize = 10;

/// Why a miRNA or a site is not judged, or only with doubt; `None` where nothing speaks against it. `lengths` are
/// [`MIRNA_LENGTHS`] or [`SITE_LENGTHS`].
pub fn doubt(sequence: &[u8], lengths: RangeInclusive<usize>) -> Option<Doubt> {
    let unknown = sequence.iter().filter(|letter| **letter == b'N').count();
    if sequence.len() < *lengths.start() {
        Some(Doubt::TooShort)
    } else if LETTERS_PER_UNKNOWN * unknown > sequence.len() {
        Some(Doubt::TooUnknown)
    } else {
        (sequence.len() > *lengths.end()).then_some(Doubt::TooLong)
    }
}

/// The seed types from the strongest to none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SeedType {
    /// Positions 2-8 and an A opposite position 1.
    EightMer,
    /// Positions 2-8.
    SevenMerM8,
    /// Positions 2-7 and an A opposite position 1.
    SevenMerA1,
    /// Positions 2-7.
    SixMer,
    /// Positions 3-8.
    OffsetSixMer,
    /// No seed match.
    None,
}

impl SeedType {
    /// `8mer`, `7mer-m8`, `7mer-A1`, `6mer`, `offset-6mer` or `none`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EightMer => "8mer",
            Self::SevenMerM8 => "7mer-m8",
            Self::SevenMerA1 => "7mer-A1",
            Self::SixMer => "6mer",
            Self::OffsetSixMer => "offset-6mer",
            Self::None => "none",
        }
    }
}

impl std::fmt::Display for SeedType {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// A seed match in a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeedMatch {
    /// The strongest type that holds here.
    pub seed_type: SeedType,
    /// 0-based position in the target of the base opposite position 7 of the miRNA: where the match of positions 2-7
    /// starts, whatever the type. The same seed has the same anchor in all its types.
    pub anchor: usize,
}

impl SeedMatch {
    /// The bases of the target that make the match, with the A opposite position 1 where it is part of the type.
    pub fn range(&self) -> Range<usize> {
        match self.seed_type {
            SeedType::EightMer => self.anchor - 1..self.anchor + 7,
            SeedType::SevenMerM8 => self.anchor - 1..self.anchor + 6,
            SeedType::SevenMerA1 => self.anchor..self.anchor + 7,
            SeedType::SixMer => self.anchor..self.anchor + 6,
            SeedType::OffsetSixMer => self.anchor - 1..self.anchor + 5,
            SeedType::None => self.anchor..self.anchor,
        }
    }
}

/// The seed region of one miRNA as it reads in the target.
#[derive(Clone, Copy, Debug)]
struct Seed {
    /// Code of the six target bases opposite positions 7 to 2; `None` where one of them is an N or missing.
    six_mer: Option<u16>,
    /// Code of the six target bases opposite positions 8 to 3.
    offset_six_mer: Option<u16>,
    /// The target base opposite position 8; 0 where there is none.
    opposite_8: u8,
    /// The target base opposite position 2; 0 where there is none.
    opposite_2: u8,
}

impl Seed {
    fn new(mirna: &[u8]) -> Self {
        let opposite = |position: usize| mirna.get(position - 1).map_or(0, |&letter| complement(letter));
        let code = |from: usize, to: usize| {
            (to..=from)
                .rev()
                .try_fold(0_u16, |code, position| Some(code << 2 | u16::from(two_bits(opposite(position))?)))
        };
        Self { six_mer: code(7, 2), offset_six_mer: code(8, 3), opposite_8: opposite(8), opposite_2: opposite(2) }
    }

    /// The strongest type at the six bases `target[anchor..anchor + 6]`, which match positions 2-7.
    fn canonical_type(&self, target: &[u8], anchor: usize) -> SeedType {
        let pairs_8 = self.opposite_8 != 0 && anchor > 0 && target[anchor - 1] == self.opposite_8;
        let adenine_1 = target.get(anchor + 6) == Some(&b'A');
        match (pairs_8, adenine_1) {
            (true, true) => SeedType::EightMer,
            (true, false) => SeedType::SevenMerM8,
            (false, true) => SeedType::SevenMerA1,
            (false, false) => SeedType::SixMer,
        }
    }

    /// Whether an offset 6-mer match at `target[start..start + 6]` is more than that: part of a match of positions 2-8.
    fn reaches_2(&self, target: &[u8], start: usize) -> bool {
        self.opposite_2 != 0 && target.get(start + 6) == Some(&self.opposite_2)
    }
}

/// The Watson-Crick partner of an RNA letter; 0 for any other letter.
fn complement(letter: u8) -> u8 {
    match letter {
        b'A' => b'U',
        b'C' => b'G',
        b'G' => b'C',
        b'U' => b'A',
        _ => 0,
    }
}

fn two_bits(letter: u8) -> Option<u8> {
    match letter {
        b'A' => Some(0),
        b'C' => Some(1),
        b'G' => Some(2),
        b'U' => Some(3),
        _ => None,
    }
}

/// The codes of all six bases in a row that are free of N, with their positions.
fn six_mers(target: &[u8]) -> impl Iterator<Item = (usize, u16)> + '_ {
    let mut code = 0_u16;
    let mut known = 0_usize;
    target.iter().enumerate().filter_map(move |(position, &letter)| {
        match two_bits(letter) {
            Some(bits) => {
                code = (code << 2 | u16::from(bits)) & 0xFFF;
                known += 1;
            }
            None => known = 0,
        }
        (known >= 6).then(|| (position - 5, code))
    })
}

/// The best seed match of a miRNA within `interval` of a target, both 5'->3' in RNA letters: the strongest type, and
/// among equals the one nearest to the target's 3' end, where training sites have it. All bases of the match, an A
/// opposite position 1 included, have to lie within the interval. `None` where there is no match of any type.
pub fn best_seed_match(mirna: &[u8], target: &[u8], interval: Range<usize>) -> Option<SeedMatch> {
    let start = interval.start.min(target.len());
    let stretch = &target[start..interval.end.clamp(start, target.len())];
    let seed = Seed::new(mirna);
    seed_matches(&seed, stretch)
        .min_by_key(|found| (found.seed_type, std::cmp::Reverse(found.anchor)))
        .map(|found| SeedMatch { anchor: found.anchor + start, ..found })
}

/// The type of the best seed match within `interval`: see [`best_seed_match`].
pub fn seed_type(mirna: &[u8], target: &[u8], interval: Range<usize>) -> SeedType {
    best_seed_match(mirna, target, interval).map_or(SeedType::None, |found| found.seed_type)
}

fn seed_matches<'a>(seed: &'a Seed, target: &'a [u8]) -> impl Iterator<Item = SeedMatch> + 'a {
    six_mers(target).flat_map(move |(start, code)| {
        let canonical = (seed.six_mer == Some(code))
            .then(|| SeedMatch { seed_type: seed.canonical_type(target, start), anchor: start });
        let offset = (seed.offset_six_mer == Some(code) && !seed.reaches_2(target, start))
            .then_some(SeedMatch { seed_type: SeedType::OffsetSixMer, anchor: start + 1 });
        [canonical, offset].into_iter().flatten()
    })
}

/// The seeds of many miRNAs, to be found in a target in one pass: each six bases of the target are looked up once,
/// whatever the number of miRNAs, and cost is only paid for matches.
#[derive(Debug)]
pub struct SeedIndex {
    seeds: Vec<Seed>,
    /// By code of six target bases: the miRNAs whose seed (positions 2-7) matches, and those whose offset seed (3-8) does.
    table: FxHashMap<u16, Entry>,
    /// Bit per code: whether the table knows it. 512 bytes that stay in the nearest cache.
    known: Box<[u64; 64]>,
}

#[derive(Debug, Default)]
struct Entry {
    six_mer: Vec<usize>,
    offset_six_mer: Vec<usize>,
}

impl SeedIndex {
    /// The index of the miRNAs (5'->3', RNA letters), which are known by their place in the list from now on. Sites
    /// weaker than `weakest` are not looked for: [`SeedType::SixMer`] leaves out the offset 6-mers.
    pub fn new<'a>(mirnas: impl IntoIterator<Item = &'a [u8]>, weakest: SeedType) -> Self {
        let seeds: Vec<Seed> = mirnas.into_iter().map(Seed::new).collect();
        let mut table: FxHashMap<u16, Entry> = FxHashMap::default();
        for (number, seed) in seeds.iter().enumerate() {
            if let Some(code) = seed.six_mer {
                table.entry(code).or_default().six_mer.push(number);
            }
            if let Some(code) = seed.offset_six_mer.filter(|_| weakest >= SeedType::OffsetSixMer) {
                table.entry(code).or_default().offset_six_mer.push(number);
            }
        }
        let mut known = Box::new([0_u64; 64]);
        for &code in table.keys() {
            known[usize::from(code >> 6)] |= 1 << (code & 63);
        }
        Self { seeds, table, known }
    }

    /// All seed matches in a target (5'->3', RNA letters), each with the number of its miRNA; ordered by the position
    /// of the six bases that match, then by miRNA, canonical before offset. Every match is there once, under its
    /// strongest type.
    pub fn matches<'a>(&'a self, target: &'a [u8]) -> impl Iterator<Item = (usize, SeedMatch)> + 'a {
        let known = move |code: u16| self.known[usize::from(code >> 6)] >> (code & 63) & 1 == 1;
        six_mers(target)
            .filter(move |&(_, code)| known(code))
            .filter_map(move |(start, code)| Some((start, self.table.get(&code)?)))
            .flat_map(move |(start, entry)| {
                let canonical = entry.six_mer.iter().map(move |&mirna| {
                    let seed_type = self.seeds[mirna].canonical_type(target, start);
                    (mirna, SeedMatch { seed_type, anchor: start })
                });
                let offset = entry.offset_six_mer.iter().filter_map(move |&mirna| {
                    let found = SeedMatch { seed_type: SeedType::OffsetSixMer, anchor: start + 1 };
                    (!self.seeds[mirna].reaches_2(target, start)).then_some((mirna, found))
                });
                canonical.chain(offset)
            })
    }
}

/// The part of a window that lies before the match of positions 2-7.
///
/// In the 50-nt sites of the CLASH pairs that the model has learnt from, matches start all over the site, most often at
/// bases 8 to 20.
const BEFORE_SEED: f64 = 0.3;

/// The window of at most `window` bases for a seed match, placed so that the match lies where training sites have it
/// and moved inside the target at its ends. A target shorter than the window is one window.
pub fn seed_window(found: &SeedMatch, target_length: usize, window: usize) -> Range<usize> {
    let window = window.min(target_length);
    let before = (BEFORE_SEED * window as f64) as usize;
    let start = found.anchor.saturating_sub(before).min(target_length - window);
    start..start + window
}

/// The windows of `window` bases every `stride` bases, with a last one flush with the target's end where the stride
/// leaves bases over. A target shorter than the window is one window; an empty target has none.
pub fn sliding_windows(
    target_length: usize,
    window: usize,
    stride: NonZeroUsize,
) -> impl Iterator<Item = Range<usize>> {
    let window = window.clamp(1, target_length.max(1));
    let last = target_length.checked_sub(window);
    let starts = last.into_iter().flat_map(move |last| {
        let rest = (last % stride != 0).then_some(last);
        (0..=last).step_by(stride.get()).chain(rest)
    });
    starts.map(move |start| start..start + window)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// let-7a; its seed match reads CUACCUC (positions 8 to 2) in a target.
    const LET_7A: &[u8] = b"UGAGGUAGUAGGUUGUAUAGUU";

    #[test]
    fn the_canon_on_let_7() {
        for (target, seed_type, range) in [
            (&b"GGGCUACCUCAGGG"[..], SeedType::EightMer, 3..11),
            (b"GGGCUACCUCGGGG", SeedType::SevenMerM8, 3..10),
            (b"GGGGUACCUCAGGG", SeedType::SevenMerA1, 4..11),
            (b"GGGGUACCUCGGGG", SeedType::SixMer, 4..10),
            (b"GGGCUACCUGGGGG", SeedType::OffsetSixMer, 3..9),
            // At the very ends.
            (b"UACCUC", SeedType::SixMer, 0..6),
            (b"UACCUCA", SeedType::SevenMerA1, 0..7),
            (b"CUACCUC", SeedType::SevenMerM8, 0..7),
            (b"CUACCU", SeedType::OffsetSixMer, 0..6),
        ] {
            let found = best_seed_match(LET_7A, target, 0..target.len()).unwrap();
            assert_eq!(found.seed_type, seed_type, "{}", String::from_utf8_lossy(target));
            assert_eq!(found.range(), range, "{}", String::from_utf8_lossy(target));
            assert_eq!(super::seed_type(LET_7A, target, 0..target.len()), seed_type);
        }
        assert_eq!(super::seed_type(LET_7A, b"GGGGUACNUCGGGG", 0..14), SeedType::None);
        // Wobble pairs do not count: a U opposite the G of position 2.
        assert_eq!(super::seed_type(LET_7A, b"GGGGUACCUUGGGG", 0..14), SeedType::None);
    }

    #[test]
    fn names_are_those_of_the_canon() {
        use SeedType::*;
        let names =
            [EightMer, SevenMerM8, SevenMerA1, SixMer, OffsetSixMer, None].map(|seed_type| seed_type.to_string());
        assert_eq!(names, ["8mer", "7mer-m8", "7mer-A1", "6mer", "offset-6mer", "none"]);
    }

    #[test]
    fn a_match_has_to_lie_within_the_interval() {
        let target = b"GGGCUACCUCAGGG";
        assert_eq!(seed_type(LET_7A, target, 3..11), SeedType::EightMer);
        assert_eq!(seed_type(LET_7A, target, 3..10), SeedType::SevenMerM8);
        assert_eq!(seed_type(LET_7A, target, 4..11), SeedType::SevenMerA1);
        assert_eq!(seed_type(LET_7A, target, 4..10), SeedType::SixMer);
        assert_eq!(seed_type(LET_7A, target, 3..9), SeedType::OffsetSixMer);
        assert_eq!(seed_type(LET_7A, target, 5..14), SeedType::None);
        assert_eq!(best_seed_match(LET_7A, target, 4..10).unwrap().anchor, 4);
        // Intervals that reach beyond the target end with it.
        assert_eq!(seed_type(LET_7A, target, 3..100), SeedType::EightMer);
        assert_eq!(seed_type(LET_7A, target, 90..100), SeedType::None);
    }

    #[test]
    fn short_mirnas_match_what_they_can() {
        assert_eq!(seed_type(b"UGAGGU", b"GGGCUACCUCAGGG", 0..14), SeedType::None);
        assert_eq!(seed_type(b"UGAGGUA", b"GGGCUACCUCAGGG", 0..14), SeedType::SevenMerA1);
        assert_eq!(seed_type(b"", b"GGGCUACCUCAGGG", 0..14), SeedType::None);
    }

    #[test]
    fn what_was_not_learnt_is_doubted() {
        let of_site = |letters: &str| doubt(letters.as_bytes(), SITE_LENGTHS);
        assert_eq!(of_site(""), Some(Doubt::TooShort));
        assert_eq!(of_site("N"), Some(Doubt::TooShort));
        assert_eq!(of_site(&"A".repeat(14)), Some(Doubt::TooShort));
        assert_eq!(of_site(&"A".repeat(15)), None);
        assert_eq!(of_site(&("A".repeat(36) + "NNNN")), None);
        assert_eq!(of_site(&("A".repeat(35) + "NNNNN")), Some(Doubt::TooUnknown));
        assert_eq!(of_site(&"A".repeat(100)), None);
        assert_eq!(of_site(&"A".repeat(101)), Some(Doubt::TooLong));
        assert_eq!(doubt(LET_7A, MIRNA_LENGTHS), None);
        assert_eq!(doubt(&LET_7A.repeat(2), MIRNA_LENGTHS), Some(Doubt::TooLong));
        assert_eq!(doubt(b"NNNAGGUAGUAGGUUGUAUAGUU", MIRNA_LENGTHS), Some(Doubt::TooUnknown));
    }

    #[test]
    fn windows_stay_inside_the_target() {
        let at = |anchor| SeedMatch { seed_type: SeedType::SixMer, anchor };
        // The match of positions 2-7 starts at base 15 of its window of 50.
        assert_eq!(seed_window(&at(115), 1000, 50), 100..150);
        assert_eq!(seed_window(&at(112), 1000, 40), 100..140);
        assert_eq!(seed_window(&at(3), 1000, 40), 0..40);
        assert_eq!(seed_window(&at(994), 1000, 40), 960..1000);
        assert_eq!(seed_window(&at(10), 22, 40), 0..22);
    }

    #[test]
    fn sliding_windows_reach_both_ends() {
        let windows =
            |length, stride| -> Vec<_> { sliding_windows(length, 40, NonZeroUsize::new(stride).unwrap()).collect() };
        assert_eq!(windows(100, 30), [0..40, 30..70, 60..100]);
        assert_eq!(windows(105, 30), [0..40, 30..70, 60..100, 65..105]);
        assert_eq!(windows(40, 30), vec![0..40; 1]);
        assert_eq!(windows(22, 30), vec![0..22; 1]);
        assert!(windows(0, 30).is_empty());
        assert_eq!(windows(50, 100), [0..40, 10..50]);
    }

    /// The canon spelt out on text, one place after another.
    fn spelt_out(mirna: &[u8], target: &[u8]) -> Vec<SeedMatch> {
        let reverse_complement = |from: usize, to: usize| -> Option<String> {
            let letters = mirna.get(from - 1..to)?;
            letters.iter().rev().map(|letter| "UGCA".chars().nth("ACGU".find(char::from(*letter))?)).collect()
        };
        let text = String::from_utf8(target.to_vec()).unwrap();
        let mut matches = Vec::new();
        for start in 0..text.len() {
            let here = |word: Option<String>| word.is_some_and(|word| text[start..].starts_with(&word));
            let before =
                |word: Option<String>| start > 0 && word.is_some_and(|word| text[start - 1..].starts_with(&word));
            if here(reverse_complement(2, 7)) {
                let to_8 = before(reverse_complement(2, 8));
                let a1 = text[start + 6..].starts_with('A');
                let seed_type = match (to_8, a1) {
                    (true, true) => SeedType::EightMer,
                    (true, false) => SeedType::SevenMerM8,
                    (false, true) => SeedType::SevenMerA1,
                    (false, false) => SeedType::SixMer,
                };
                matches.push((start, 0, SeedMatch { seed_type, anchor: start }));
            }
            if here(reverse_complement(3, 8)) && !here(reverse_complement(2, 8)) {
                matches.push((start, 1, SeedMatch { seed_type: SeedType::OffsetSixMer, anchor: start + 1 }));
            }
        }
        matches.into_iter().map(|(_, _, found)| found).collect()
    }

    fn rna(alphabet: &'static [u8], length: std::ops::Range<usize>) -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(proptest::sample::select(alphabet), length)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn the_index_finds_what_the_canon_says(
            // Two letters, so that matches of every type are frequent; now and then an N.
            mirnas in proptest::collection::vec(
                prop_oneof![rna(b"AU", 0..24), rna(b"AUAUAUAUAUAUAUAUN", 6..10)],
                0..8,
            ),
            target in prop_oneof![rna(b"AUAUAUAUAUAUAUAUN", 0..80), rna(b"AU", 0..12)],
        ) {
            let index = SeedIndex::new(mirnas.iter().map(Vec::as_slice), SeedType::OffsetSixMer);
            let found: Vec<_> = index.matches(&target).collect();
            for (number, mirna) in mirnas.iter().enumerate() {
                let of_this: Vec<_> = found.iter().filter(|(mirna, _)| *mirna == number).map(|(_, found)| *found).collect();
                let expected = spelt_out(mirna, &target);
                prop_assert_eq!(&of_this, &expected);
                let best = expected.iter().map(|found| found.seed_type).min().unwrap_or(SeedType::None);
                prop_assert_eq!(seed_type(mirna, &target, 0..target.len()), best);
                for found in expected {
                    let window = seed_window(&found, target.len(), 40);
                    prop_assert!(window.start <= found.range().start && found.range().end <= window.end);
                    prop_assert_eq!(window.len(), target.len().min(40));
                }
            }
            let canonical = SeedIndex::new(mirnas.iter().map(Vec::as_slice), SeedType::SixMer);
            let without_offset = found.into_iter().filter(|(_, found)| found.seed_type <= SeedType::SixMer);
            prop_assert!(canonical.matches(&target).eq(without_offset));
        }

        #[test]
        fn sliding_windows_cover_the_target(length in 0_usize..300, window in 1_usize..60, stride in 1_usize..80) {
            let windows: Vec<_> = sliding_windows(length, window, NonZeroUsize::new(stride).unwrap()).collect();
            prop_assert!(windows.iter().all(|found| found.len() == window.min(length)));
            prop_assert!(windows.windows(2).all(|pair| pair[0].start < pair[1].start));
            prop_assert_eq!(windows.last().map_or(0, |last| last.end), length);
            if stride <= window {
                prop_assert!((0..length).all(|base| windows.iter().any(|found| found.contains(&base))));
            }
        }
    }
}
