//! What is held out for validation: whole groups, chosen by a hash of their name.

use crate::train::random::{Purpose, fraction_of_name};

/// Whether the group of this name is held out. It depends on the seed and the name alone, so a group is held out or
/// not whatever else is in the file, and in whatever order.
pub fn held_out(seed: u64, group: &[u8], fraction: f64) -> bool {
    fraction_of_name(seed, Purpose::Split, group) < fraction
}

/// Parts `records` into those to train on and those held out.
pub fn split<R>(records: Vec<R>, seed: u64, fraction: f64, mut group: impl FnMut(&R) -> Vec<u8>) -> (Vec<R>, Vec<R>) {
    records.into_iter().partition(|record| !held_out(seed, &group(record), fraction))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_stay_together_and_about_the_fraction_is_held_out() {
        let records: Vec<(u32, u32)> = (0..4000).map(|record| (record / 4, record)).collect();
        let (train, validation) = split(records, 11, 0.1, |record| record.0.to_le_bytes().to_vec());
        assert!((300..500).contains(&validation.len()), "{}", validation.len());
        assert!(train.iter().all(|(group, _)| validation.iter().all(|(other, _)| group != other)));
    }
}
