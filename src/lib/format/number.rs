//! Numbers in text: 6 significant digits, as C's `%.6g` writes them, whatever the locale.

/// 10^0 to 10^22, which are exact in f64.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];

/// Appends a number with 6 significant digits as `%.6g`: trailing zeros dropped, an exponent of at least two digits
/// where the first digit stands below 1e-4 or at 1e6 and above, ties of the exact binary value to even. Values that are
/// not finite are `nan`, `inf` and `-inf`.
pub fn append(text: &mut Vec<u8>, value: impl Into<f64>) {
    let value = value.into();
    if value.is_nan() {
        return text.extend_from_slice(b"nan");
    }
    if value.is_sign_negative() {
        text.push(b'-');
    }
    let magnitude = value.abs();
    if magnitude == 0.0 {
        return text.push(b'0');
    }
    if magnitude.is_infinite() {
        return text.extend_from_slice(b"inf");
    }
    let (digits, exponent) = six_digits(magnitude).unwrap_or_else(|| six_digits_exactly(magnitude));
    append_digits(text, digits, exponent);
}

/// The number as text: see [`append`].
pub fn format(value: impl Into<f64>) -> String {
    let mut text = Vec::with_capacity(13);
    append(&mut text, value);
    text.into_iter().map(char::from).collect()
}

/// The six digits (100000 to 999999) and the power of ten of the first; `None` where one multiplication cannot tell.
fn six_digits(magnitude: f64) -> Option<(u32, i32)> {
    if !(1e-12..1e6).contains(&magnitude) {
        return None;
    }
    // The power of ten of the first digit, found among the powers (exact) above 1; below 1 by products, where a first
    // digit that comes out on the wrong side is put right below.
    let mut exponent = if magnitude >= 1.0 {
        POWERS[1..7].partition_point(|&power| power <= magnitude) as i32
    } else {
        -1 - (POWERS[1..13].partition_point(|&power| magnitude * power < 1.0) as i32)
    };
    let scaled = magnitude * POWERS[(5 - exponent) as usize];
    let mut digits = scaled.round_ties_even();
    // The power is exact and the product rounded correctly, so that it never comes out beyond a tie or beyond the first
    // digit's change, only on it: there it cannot decide.
    if (scaled - digits).abs() == 0.5 || scaled < 1e5 {
        return None;
    }
    if digits >= 1e6 {
        digits = 1e5;
        exponent += 1;
    }
    Some((digits as u32, exponent))
}

/// The same by the standard library's exact conversion.
fn six_digits_exactly(magnitude: f64) -> (u32, i32) {
    let text = format!("{magnitude:.5e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let digits =
        mantissa.bytes().filter(u8::is_ascii_digit).fold(0, |value, digit| value * 10 + u32::from(digit - b'0'));
    (digits, exponent.parse().unwrap_or(0))
}

fn append_digits(text: &mut Vec<u8>, digits: u32, exponent: i32) {
    let mut buffer = [0_u8; 6];
    let mut rest = digits;
    for place in buffer.iter_mut().rev() {
        *place = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    let used = buffer.iter().rposition(|&digit| digit != b'0').map_or(1, |last| last + 1);
    let significant = &buffer[..used];
    match exponent {
        0..=5 => {
            let whole = exponent as usize + 1;
            text.extend_from_slice(&buffer[..whole]);
            if used > whole {
                text.push(b'.');
                text.extend_from_slice(&significant[whole..]);
            }
        }
        -4..=-1 => {
            text.extend_from_slice(&b"0.000"[..(1 - exponent) as usize]);
            text.extend_from_slice(significant);
        }
        _ => {
            text.push(significant[0]);
            if used > 1 {
                text.push(b'.');
                text.extend_from_slice(&significant[1..]);
            }
            text.push(b'e');
            text.push(if exponent < 0 { b'-' } else { b'+' });
            let power = exponent.unsigned_abs();
            if power >= 100 {
                text.push(b'0' + (power / 100) as u8);
            }
            text.push(b'0' + (power / 10 % 10) as u8);
            text.push(b'0' + (power % 10) as u8);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;

    use proptest::prelude::*;

    use super::*;

    /// What the C library says.
    fn c_format(value: f64) -> String {
        let pattern = CString::new("%.6g").unwrap();
        let mut buffer = [0_u8; 64];
        // SAFETY: the buffer is longer than any %.6g, its length is given, and the pattern takes one double.
        let length = unsafe { libc::snprintf(buffer.as_mut_ptr().cast(), buffer.len(), pattern.as_ptr(), value) };
        String::from_utf8(buffer[..length as usize].to_vec()).unwrap()
    }

    #[test]
    fn known_numbers() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-2.5, "-2.5"),
            (0.1, "0.1"),
            (1.0 / 3.0, "0.333333"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (123_456.0, "123456"),
            (1_234_565.0, "1.23456e+06"),
            (1_234_575.0, "1.23458e+06"),
            (999_999.5, "1e+06"),
            (999_999.4, "999999"),
            (0.999_999_95, "1"),
            (9.999_994_9e-5, "9.99999e-05"),
            (0.000_099_999_99, "0.0001"),
            (1e100, "1e+100"),
            (f64::MIN_POSITIVE, "2.22507e-308"),
            (5e-324, "4.94066e-324"),
            (f64::MAX, "1.79769e+308"),
            (0.5, "0.5"),
            (100_000.5, "100000"),
            (100_001.5, "100002"),
            (f64::NAN, "nan"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(format(value), text, "{value:e}");
        }
    }

    #[test]
    fn every_power_of_ten_and_its_neighbours() {
        for exponent in -45..40 {
            let power = 10_f64.powi(exponent);
            for value in [power, power.next_up(), power.next_down(), f64::from(power as f32)] {
                assert_eq!(format(value), c_format(value), "{value:e}");
            }
        }
    }

    #[test]
    fn ties_and_their_neighbours() {
        for digits in (100_000..1_000_000).step_by(997) {
            for exponent in -10..3 {
                let tie = (f64::from(digits) + 0.5) * 10_f64.powi(exponent);
                for value in [tie, tie.next_up(), tie.next_down()] {
                    assert_eq!(format(value), c_format(value), "{value:e}");
                }
            }
        }
    }

    #[test]
    fn a_million_probabilities() {
        let mut state = 1_u64;
        for _ in 0..1_000_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let value = (state >> 40) as f32 / (1 << 24) as f32;
            assert_eq!(format(value), c_format(f64::from(value)), "{value:e}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100_000))]
        #[test]
        fn any_f64(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            prop_assume!(!value.is_nan());
            prop_assert_eq!(format(value), c_format(value));
        }

        #[test]
        fn any_f32(bits in any::<u32>()) {
            let value = f32::from_bits(bits);
            prop_assume!(!value.is_nan());
            prop_assert_eq!(format(value), c_format(f64::from(value)));
        }

        #[test]
        fn ordinary_sizes(value in -1e7_f64..1e7, shift in 0_i32..12) {
            let value = value * 10_f64.powi(-shift);
            prop_assert_eq!(format(value), c_format(value));
        }
    }
}
