//! Numbers on the command line: one parser for all of them, which says in words what it takes.

use std::fmt;

/// The numbers that an option takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    least: f64,
    most: f64,
    /// Whether `most` itself is out of the range.
    below: bool,
}

impl Range {
    /// Probabilities and shares: from 0 to 1.
    pub const FROM_0_TO_1: Self = Self { least: 0.0, most: 1.0, below: false };
    /// Shares of which something is left: from 0, and below 1.
    pub const BELOW_1: Self = Self { least: 0.0, most: 1.0, below: true };
    /// Weights, rates and counts: at least 0.
    pub const AT_LEAST_0: Self = Self { least: 0.0, most: f64::MAX, below: false };
    /// Temperatures at which RNA may be, degrees Celsius.
    pub const CELSIUS: Self = Self { least: -50.0, most: 150.0, below: false };
    /// Energies of a loop or a base, kcal/mol.
    pub const ENERGY: Self = Self { least: -100.0, most: 100.0, below: false };
    /// Sizes: at least 1.
    pub const AT_LEAST_1: Self = Self { least: 1.0, most: f64::MAX, below: false };

    /// Whether a number is in the range: nothing that is not finite is.
    pub fn contains(self, number: f64) -> bool {
        number >= self.least && if self.below { number < self.most } else { number <= self.most }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self { least, most: f64::MAX, .. } => write!(out, "of at least {least}"),
            Self { least, most, below: true } => write!(out, "of at least {least} and below {most}"),
            Self { least, most, below: false } => write!(out, "from {least} to {most}"),
        }
    }
}

/// A kind of number that options take.
pub trait Number: std::str::FromStr + Clone + Send + Sync + 'static {
    /// What it is called.
    const NAME: &'static str;

    /// The number, to be compared with a range.
    fn value(&self) -> f64;
}

macro_rules! numbers {
    ($($type:ty: $name:literal,)*) => {
        $(impl Number for $type {
            const NAME: &'static str = $name;

            fn value(&self) -> f64 {
                *self as f64
            }
        })*
    };
}

numbers! {
    u32: "a whole number",
    u64: "a whole number",
    usize: "a whole number",
    f32: "a number",
    f64: "a number",
}

impl Number for std::num::NonZeroUsize {
    const NAME: &'static str = "a whole number";

    fn value(&self) -> f64 {
        self.get() as f64
    }
}

/// The number that a text says.
///
/// # Errors
/// What to give instead, where it is no number or not in the range.
pub fn parse<T: Number>(text: &str, range: Range) -> Result<T, String> {
    let number = text.parse().ok().filter(|number: &T| range.contains(number.value()));
    number.ok_or_else(|| format!("give {} {range}", T::NAME))
}

/// The parser of an option.
pub fn parser<T: Number>(range: Range) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static {
    move |text| parse(text, range)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroUsize;

    #[test]
    fn ranges_are_told_in_words() {
        assert_eq!(parse::<f32>("50", Range::FROM_0_TO_1).unwrap_err(), "give a number from 0 to 1");
        assert_eq!(parse::<usize>("0", Range::AT_LEAST_1).unwrap_err(), "give a whole number of at least 1");
        assert_eq!(parse::<f64>("1", Range::BELOW_1).unwrap_err(), "give a number of at least 0 and below 1");
        assert_eq!(parse::<u64>("-1", Range::AT_LEAST_0).unwrap_err(), "give a whole number of at least 0");
        assert_eq!(parse::<NonZeroUsize>("0", Range::AT_LEAST_1).unwrap_err(), "give a whole number of at least 1");
    }

    #[test]
    fn numbers_in_their_range() {
        assert_eq!(parse("0.25", Range::FROM_0_TO_1), Ok(0.25_f32));
        assert_eq!(parse("1", Range::FROM_0_TO_1), Ok(1.0_f64));
        assert_eq!(parse("1e-3", Range::BELOW_1), Ok(0.001_f64));
        assert_eq!(parse("18446744073709551615", Range::AT_LEAST_0), Ok(u64::MAX));
        assert_eq!(parse("7", Range::AT_LEAST_1), Ok(7_u32));
    }

    #[test]
    fn what_is_no_number_is_refused_by_all() {
        for text in ["", " ", "nan", "NaN", "-nan", "inf", "-inf", "infinity", "-1", "-0.5", "1e400", "x", "0,5", "1 "]
        {
            for range in [Range::FROM_0_TO_1, Range::BELOW_1, Range::AT_LEAST_0, Range::AT_LEAST_1] {
                assert!(parse::<f64>(text, range).is_err() && parse::<f32>(text, range).is_err(), "{text} {range}");
                assert!(parse::<usize>(text, range).is_err() && parse::<u32>(text, range).is_err(), "{text} {range}");
            }
        }
        for text in ["1.0", "1e2", "99999999999999999999"] {
            assert!(parse::<usize>(text, Range::AT_LEAST_0).is_err(), "{text}");
        }
    }
}
