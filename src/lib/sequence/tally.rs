//! How much was read: records, nucleotides, and records that could not be.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counters that a reader and whoever reports on it share; clones count together.
#[derive(Clone, Debug, Default)]
pub struct Tally(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    records: AtomicU64,
    nucleotides: AtomicU64,
    rejected: AtomicU64,
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
