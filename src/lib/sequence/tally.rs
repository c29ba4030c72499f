//! How much was read: records, nucleotides, records that could not be, and those whose results deserve doubt.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Why the result for a record deserves doubt, or is not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// Every letter is an N.
    NoKnownLetter,
    /// More than a third of the letters are IUPAC codes for several bases, as in a protein whose letters all happen to be
    /// such codes.
    LikeProtein,
    /// Shorter than what the model was trained for.
    TooShort,
    /// Longer than what the model was trained for.
    TooLong,
    /// Too many letters are unknown: not judged.
    TooUnknown,
    /// No known structure is significantly alike.
    NoHomolog,
}

impl Doubt {
    /// All of them, in the order in which they are reported.
    pub const ALL: [Self; 6] =
        [Self::NoKnownLetter, Self::LikeProtein, Self::TooShort, Self::TooLong, Self::TooUnknown, Self::NoHomolog];

    /// What holds of one record, and of several.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::NoKnownLetter => ("has no letter but N", "have no letter but N"),
            Self::LikeProtein => (
                "looks like a protein (over a third of its letters are IUPAC codes for several bases)",
                "look like proteins (over a third of their letters are IUPAC codes for several bases)",
            ),
            Self::TooShort => {
                ("is shorter than what the model was trained for", "are shorter than what the model was trained for")
            }
            Self::TooLong => {
                ("is longer than what the model was trained for", "are longer than what the model was trained for")
            }
            Self::TooUnknown => ("has too many N to be judged", "have too many N to be judged"),
            Self::NoHomolog => {
                ("has no significant homolog of known structure", "have no significant homolog of known structure")
            }
        }
    }

    /// What holds of `count` records, as a part of a sentence.
    pub fn describe(self, count: u64) -> String {
        let (one, many) = self.words();
        if count == 1 { format!("1 {one}") } else { format!("{count} {many}") }
    }
}

/// Counters that a reader and whoever reports on it share; clones count together.
#[derive(Clone, Debug, Default)]
pub struct Tally(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    records: AtomicU64,
    nucleotides: AtomicU64,
    rejected: AtomicU64,
    doubts: [AtomicU64; Doubt::ALL.len()],
}

impl Tally {
    /// Counts `records` records that hold so many nucleotides together.
    pub fn add(&self, records: u64, nucleotides: u64) {
        self.0.records.fetch_add(records, Ordering::Relaxed);
        self.0.nucleotides.fetch_add(nucleotides, Ordering::Relaxed);
    }

    /// Counts a record that could not be used.
    pub fn reject(&self) {
        self.0.rejected.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a doubt about the record or site that `name` tells, and names it where the user wants details.
    pub fn doubt(&self, doubt: Doubt, name: impl std::fmt::Display) {
        self.0.doubts[doubt as usize].fetch_add(1, Ordering::Relaxed);
        log::debug!("{name} {}", doubt.words().0);
    }

    /// How many records or sites there is each doubt about; only those that there are.
    pub fn doubts(&self) -> Vec<(Doubt, u64)> {
        let counts = Doubt::ALL.map(|doubt| (doubt, self.0.doubts[doubt as usize].load(Ordering::Relaxed)));
        counts.into_iter().filter(|(_, count)| *count > 0).collect()
    }

    /// What deserves doubt, as one sentence; `None` where nothing does.
    pub fn doubts_in_words(&self) -> Option<String> {
        let found: Vec<String> = self.doubts().into_iter().map(|(doubt, count)| doubt.describe(count)).collect();
        (!found.is_empty()).then(|| format!("of {} records, {}", self.records(), found.join(", ")))
    }

    /// Records delivered.
    pub fn records(&self) -> u64 {
        self.0.records.load(Ordering::Relaxed)
    }

    /// Nucleotides of the records delivered.
    pub fn nucleotides(&self) -> u64 {
        self.0.nucleotides.load(Ordering::Relaxed)
    }

    /// Records that were set aside, or that ended the run.
    pub fn rejected(&self) -> u64 {
        self.0.rejected.load(Ordering::Relaxed)
    }
}
