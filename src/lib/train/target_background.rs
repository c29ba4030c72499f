//! Makes the background of a mirtarget model ([`crate::decode::target_background`]).

use std::collections::BTreeSet;

use rand::Rng;
use rayon::prelude::*;

use super::data::mirtarget::MirtargetRecord;
use super::random::{Purpose, generator};
use crate::decode::target_background::TargetBackground;
use crate::predict::mirtarget::MirtargetModel;
use crate::sequence::shuffle::shuffle_dinucleotides;
use crate::{Error, Result};

/// Bases of a window: those of the sites that models are trained on.
const WINDOW: usize = 50;

/// Number of windows.
const WINDOWS: usize = 500;

/// The part of the windows that is taken for sites, over all miRNAs.
const TAKEN_FOR_SITES: f64 = 0.035;

/// Windows of shuffled targets: each of a target drawn at random, with its dinucleotides in another order.
///
/// # Errors
/// Where no target is as long as a window and without N.
pub fn windows(targets: &[Vec<u8>], seed: u64) -> Result<Vec<String>> {
    let usable = |target: &&Vec<u8>| target.len() >= WINDOW && !target.contains(&b'N');
    let targets: Vec<&Vec<u8>> = targets.iter().filter(usable).collect();
    if targets.is_empty() {
        return Err(Error::Usage(format!("--background needs targets of at least {WINDOW} nt without N")));
    }
    let mut random = generator(seed, Purpose::Validation, &[]);
    let window = |_| {
        let target = shuffle_dinucleotides(targets[random.random_range(0..targets.len())], &mut random);
        let start = random.random_range(0..=target.len() - WINDOW);
        String::from_utf8_lossy(&target[start..start + WINDOW]).into_owned()
    };
    Ok((0..WINDOWS).map(window).collect())
}

/// The background of these windows for the network that `model` makes a model of, with the level at which
/// `TAKEN_FOR_SITES` of the windows get a probability over 0.5, on average over the miRNAs of `records`.
///
/// # Errors
/// Where there are no records; where the network fails.
pub fn calibrate(
    windows: Vec<String>,
    model: impl FnOnce(TargetBackground) -> Result<MirtargetModel>,
    records: &[MirtargetRecord],
) -> Result<TargetBackground> {
    let mirnas: BTreeSet<&[u8]> = records.iter().map(|record| record.mirna.as_slice()).collect();
    let mirnas: Vec<&[u8]> = mirnas.into_iter().collect();
    let background = TargetBackground { windows, level: 0.0 };
    let model = model(background.clone())?;
    let above = mirnas
        .par_iter()
        .map(|mirna| {
            let of_mirna = model.background_of(mirna)?;
            Ok(of_mirna.scores().iter().map(|&score| of_mirna.above(score)).collect::<Vec<f64>>())
        })
        .collect::<Result<Vec<Vec<f64>>>>()?;
    let mut above = above.concat();
    above.sort_by(f64::total_cmp);
    let place = ((1.0 - TAKEN_FOR_SITES) * above.len() as f64) as usize;
    let threshold = above.get(place).ok_or_else(|| Error::Usage("calibration needs pairs with their miRNAs".into()))?;
    log::info!("calibrated on {WINDOWS} windows of background with {} miRNAs", mirnas.len());
    Ok(TargetBackground { level: -threshold, ..background })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_those_of_the_targets_in_another_order() {
        let targets = [b"ACGU".repeat(30), b"N".repeat(100), b"GGGG".to_vec()];
        let found = windows(&targets, 3).unwrap();
        assert_eq!((found.len(), &found), (WINDOWS, &windows(&targets, 3).unwrap()));
        assert!(found.iter().all(|window| window.len() == WINDOW && !window.contains('N')));
        assert!(windows(&targets[1..], 3).is_err());
    }
}
