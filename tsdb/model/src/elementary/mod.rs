//! Elementary functions that round as Go's `math` package does on amd64, where Prometheus computes its values.
//!
//! No two libraries agree on the last bit of `sin` or `exp`, and the C library that Rust calls differs from machine to
//! machine. These are the published methods that Go uses, evaluated in the same order: Moshier's Cephes for the trigonometric
//! functions and `tanh`, FreeBSD's msun for logarithms and their kin, Hart and Cheney for `sinh`, Shibata's for `exp` (with
//! fused steps, as on every machine of the last ten years). `values.txt` holds what Go 1.26 answers.

mod exponential;
mod logarithm;
#[cfg(test)]
mod tests;
mod trigonometric;

pub use exponential::{cosh, exp, exp2, pow, sinh, tanh};
pub use logarithm::{acosh, asinh, atanh, ln, log2, log10};
pub use trigonometric::{acos, asin, atan, atan2, cos, sin, tan};

/// Bits of a number's fraction.
const FRACTION: u32 = 52;
/// What is added to an exponent.
const BIAS: i32 = 1023;

/// `c[0] * x^n + c[1] * x^(n-1) + ... + c[n]` by Horner's rule.
#[inline]
fn polynomial(x: f64, c: &[f64]) -> f64 {
    let mut terms = c.iter();
    let first = terms.next().copied().unwrap_or(0.0);
    terms.fold(first, |sum, term| sum * x + term)
}

/// Fraction from 1/2 to below 1 and exponent of a number; 0, infinities and NaN are their own fraction.
fn split(x: f64) -> (f64, i32) {
    if x == 0.0 || !x.is_finite() {
        return (x, 0);
    }
    let (x, shift) = normal(x);
    let bits = x.to_bits();
    let exponent = exponent_of(bits) + 1 + shift;
    let fraction = f64::from_bits(bits & !(0x7ff << FRACTION) | ((BIAS - 1) as u64) << FRACTION);
    (fraction, exponent)
}

/// `fraction * 2^exponent`.
fn scale(fraction: f64, exponent: i32) -> f64 {
    if fraction == 0.0 || !fraction.is_finite() {
        return fraction;
    }
    let (x, shift) = normal(fraction);
    let bits = x.to_bits();
    let mut exponent = exponent.saturating_add(shift).saturating_add(exponent_of(bits));
    if exponent < -1075 {
        return 0.0_f64.copysign(fraction);
    }
    if exponent > 1023 {
        return f64::INFINITY.copysign(fraction);
    }
    let mut last = 1.0;
    if exponent < -1022 {
        exponent += 53;
        last = 1.0 / 9_007_199_254_740_992.0;
    }
    last * f64::from_bits(bits & !(0x7ff << FRACTION) | ((exponent + BIAS) as u64) << FRACTION)
}

/// A number without leading zeros in its fraction, and the exponent that it lost for that.
fn normal(x: f64) -> (f64, i32) {
    if x.abs() < f64::MIN_POSITIVE {
        (x * 4_503_599_627_370_496.0, -52)
    } else {
        (x, 0)
    }
}

fn exponent_of(bits: u64) -> i32 {
    ((bits >> FRACTION) & 0x7ff) as i32 - BIAS
}
