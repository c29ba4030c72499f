//! Random numbers that depend on the seed and on what they are for, and on nothing that happened before.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

/// What a random draw is for: draws for different purposes never share a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The order of the records in an epoch.
    Order,
    /// Cropping, fragments and masks of one record.
    Record,
    /// Dropout in one micro-batch.
    Dropout,
    /// Which groups of records are held out for validation.
    Split,
    /// The fixed augmentation of the validation records.
    Validation,
}

impl Purpose {
    fn name(self) -> &'static [u8] {
        match self {
            Purpose::Order => b"order",
            Purpose::Record => b"record",
            Purpose::Dropout => b"dropout",
            Purpose::Split => b"split",
            Purpose::Validation => b"validation",
        }
    }
}

/// The generator of `seed` for a purpose at a position (an epoch, a step, a record: whatever tells two draws apart).
pub fn generator(seed: u64, purpose: Purpose, position: &[u64]) -> ChaCha8Rng {
    let mut hash = start(seed, purpose);
    for number in position {
        hash.update(number.to_le_bytes());
    }
    ChaCha8Rng::from_seed(hash.finalize().into())
}

/// A number in [0, 1) that depends on the seed, the purpose and a name alone.
pub fn fraction_of_name(seed: u64, purpose: Purpose, name: &[u8]) -> f64 {
    let digest = start(seed, purpose).chain_update(name).finalize();
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    (u64::from_le_bytes(first) >> 11) as f64 / (1u64 << 53) as f64
}

fn start(seed: u64, purpose: Purpose) -> Sha256 {
    // The zero byte ends the purpose, so that no purpose is the beginning of another.
    Sha256::new().chain_update(seed.to_le_bytes()).chain_update(purpose.name()).chain_update([0])
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;

    #[test]
    fn the_same_place_gives_the_same_numbers_and_another_place_others() {
        let draw = |seed, purpose, position: &[u64]| generator(seed, purpose, position).random::<u64>();
        assert_eq!(draw(1, Purpose::Order, &[2, 3]), draw(1, Purpose::Order, &[2, 3]));
        assert_ne!(draw(1, Purpose::Order, &[2, 3]), draw(1, Purpose::Order, &[3, 2]));
        assert_ne!(draw(1, Purpose::Order, &[2, 3]), draw(1, Purpose::Record, &[2, 3]));
        assert_ne!(draw(1, Purpose::Order, &[2, 3]), draw(2, Purpose::Order, &[2, 3]));
    }

    #[test]
    fn names_spread_evenly() {
        let held_out =
            (0..10_000).filter(|i| fraction_of_name(7, Purpose::Split, format!("gene{i}").as_bytes()) < 0.1).count();
        assert!((900..1100).contains(&held_out), "{held_out} of 10,000 names lie below 0.1");
    }
}
