//! Shards: contiguous blocks of the records, balanced by nucleotides.

/// One of several equal parts of the input, for array jobs.
///
/// A record that begins after `c` of `total` nucleotides belongs to the part floor(c * count / total), counted from 0.
/// So the parts are contiguous and in order, every record is in exactly one, and which one depends on the input alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// 0-based number of this part.
    index: u64,
    /// Number of parts.
    count: u64,
}

impl Shard {
    /// Part `number` (from 1) of `count`; `None` where there is no such part.
    pub fn new(number: u64, count: u64) -> Option<Self> {
        (1..=count).contains(&number).then(|| Self { index: number - 1, count })
    }

    /// True for the part that carries the header row.
    pub fn is_first(&self) -> bool {
        self.index == 0
    }

    /// How the part that holds what begins after `before` of `total` units compares with this one:
    /// `Less` for an earlier part, `Equal` for this, `Greater` for a later one.
    pub fn compare(&self, before: u64, total: u64) -> std::cmp::Ordering {
        let part = before as u128 * self.count as u128 / (total as u128).max(1);
        // What has no length may follow the last nucleotide; it goes with the last part.
        (part as u64).min(self.count - 1).cmp(&self.index)
    }
}

impl std::fmt::Display for Shard {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}/{}", self.index + 1, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_record_is_in_one_part_and_parts_are_contiguous(
            lengths in prop::collection::vec(1u64..500, 0..60), count in 1u64..12,
        ) {
            let total: u64 = lengths.iter().sum();
            let mut before = 0;
            let mut previous = 0;
            for length in &lengths {
                let owners: Vec<u64> = (1..=count)
                    .filter(|number| Shard::new(*number, count).unwrap().compare(before, total).is_eq())
                    .collect();
                prop_assert_eq!(owners.len(), 1);
                prop_assert!(owners[0] >= previous);
                previous = owners[0];
                // Balanced: the part of a record is where its first nucleotide lies.
                prop_assert_eq!(owners[0] - 1, before * count / total);
                before += length;
            }
        }
    }

    #[test]
    fn there_is_no_part_zero_nor_one_beyond_the_last() {
        assert_eq!(Shard::new(0, 3), None);
        assert_eq!(Shard::new(4, 3), None);
        assert_eq!(Shard::new(1, 0), None);
        assert!(Shard::new(1, 3).unwrap().is_first() && !Shard::new(2, 3).unwrap().is_first());
        assert_eq!(Shard::new(2, 3).unwrap().to_string(), "2/3");
    }

    #[test]
    fn what_has_no_length_at_the_end_goes_with_the_last_part() {
        assert!(Shard::new(3, 3).unwrap().compare(10, 10).is_eq());
        assert!(Shard::new(1, 3).unwrap().compare(0, 0).is_eq());
    }
}
