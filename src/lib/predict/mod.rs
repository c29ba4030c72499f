//! What a tool does with its records, as functions: from records through a model to answers.

pub mod coding;
pub mod target_sites;

use crate::{Error, Result};

/// That all `numbers` which a model gave for `record` are finite. Weights that came out of a diverged training, or that
/// overflow for an unusual input, give others, and a table that holds them says nothing.
///
/// # Errors
/// [`Error::NotFinite`] names the record.
pub fn check_finite(record: &str, numbers: &[f32]) -> Result<()> {
    match numbers.iter().all(|number| number.is_finite()) {
        true => Ok(()),
        false => Err(Error::NotFinite { record: record.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_are_not_finite_name_their_record() {
        check_finite("a", &[0.0, -1.0, f32::MAX]).unwrap();
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let error = check_finite("tRNA-Phe", &[0.5, bad]).unwrap_err().to_string();
            assert!(error.contains("record tRNA-Phe") && error.contains("not finite"), "{error}");
        }
    }
}
