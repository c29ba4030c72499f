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

use std::{num::NonZeroUsize, ops::Range};

use rustc_hash::FxHashMap;

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

/// How many bases of a window follow the match of positions 2-7 on its 3' side.
///
/// Of the 6,308 seed matches in the 40-nt positive targets of the MirTarRAW training set, 2,983 start at base 29
/// (0-based, 5 bases follow) and 2,711 at base 30; the rest is spread over the whole window. The model has learnt sites
/// with the seed match there.
const BASES_AFTER_SEED: usize = 5;

/// The window of at most `window` bases for a seed match, placed so that the match lies where training sites have it
/// and moved inside the target at its ends. A target shorter than the window is one window.
pub fn seed_window(found: &SeedMatch, target_length: usize, window: usize) -> Range<usize> {
    let window = window.min(target_length);
    let end = (found.anchor + 6 + BASES_AFTER_SEED).clamp(window, target_length.max(window));
    end - window..end
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
