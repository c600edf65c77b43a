//! Logarithms and what is made of them (FreeBSD's msun: `e_log.c`, `s_log1p.c`, `s_asinh.c`, `e_acosh.c`, `e_atanh.c`).

use super::{BIAS, FRACTION, polynomial, split};
use std::f64::consts::{LN_2, LOG2_E, LOG10_E};

/// The natural logarithm of 2 in two parts.
const LN_2_HI: f64 = 6.931_471_803_691_238_164_90e-01;
const LN_2_LO: f64 = 1.908_214_929_270_587_700_02e-10;
/// Remez' polynomial on 0 to 0.1716, the coefficient of the first power first.
const L: [f64; 7] = [
    6.666_666_666_666_735_130e-01,
    3.999_999_999_940_941_908e-01,
    2.857_142_874_366_239_149e-01,
    2.222_219_843_214_978_396e-01,
    1.818_357_216_161_805_012e-01,
    1.531_383_769_920_937_332e-01,
    1.479_819_860_511_658_591e-01,
];
/// From here on, or below, terms vanish.
const TWO_28: f64 = 268_435_456.0;

/// The natural logarithm. Like Go's on amd64 it takes the fraction of numbers below 2^-1022 as if it had no leading zeros.
#[must_use]
pub fn ln(x: f64) -> f64 {
    if x == 0.0 {
        return f64::NEG_INFINITY;
    }
    if x < 0.0 {
        return f64::NAN;
    }
    if !x.is_finite() {
        return x;
    }
    let bits = x.to_bits();
    let mut fraction = f64::from_bits(bits & 0x000f_ffff_ffff_ffff | 0x3fe0_0000_0000_0000);
    let mut k = f64::from((bits >> FRACTION) as i32 - (BIAS - 1));
    if fraction <= std::f64::consts::FRAC_1_SQRT_2 {
        fraction *= 2.0;
        k -= 1.0;
    }
    let f = fraction - 1.0;
    let s = f / (2.0 + f);
    let s2 = s * s;
    let s4 = s2 * s2;
    let odd = s2 * polynomial(s4, &[L[6], L[4], L[2], L[0]]);
    let even = s4 * polynomial(s4, &[L[5], L[3], L[1]]);
    let r = odd + even;
    let half = 0.5 * f * f;
    k * LN_2_HI - ((half - (s * (half + r) + k * LN_2_LO)) - f)
}

/// The logarithm to base 10.
#[must_use]
pub fn log10(x: f64) -> f64 {
    ln(x) * LOG10_E
}

/// The logarithm to base 2, exact for powers of 2.
#[must_use]
pub fn log2(x: f64) -> f64 {
    let (fraction, exponent) = split(x);
    if fraction == 0.5 {
        return f64::from(exponent - 1);
    }
    ln(fraction) * LOG2_E + f64::from(exponent)
}

/// The natural logarithm of `1 + x`.
fn ln_1p(x: f64) -> f64 {
    if x < -1.0 || x.is_nan() {
        return f64::NAN;
    }
    if x == -1.0 {
        return f64::NEG_INFINITY;
    }
    if x == f64::INFINITY {
        return x;
    }
    let size = x.abs();
    if size < 1.0 / (1_u64 << 29) as f64 {
        let tiny = size < 1.0 / (1_u64 << 54) as f64;
        return if tiny { x } else { x - x * x * 0.5 };
    }
    // Between sqrt(2)/2 - 1 and sqrt(2) - 1 nothing has to be taken off.
    let near = size < 4.142_135_623_730_950_488_017e-01 && x > -2.928_932_188_134_524_755_992e-01;
    let Reduced { f, k, c, is_small } = if near {
        Reduced {
            f: x,
            k: 0.0,
            c: 0.0,
            is_small: false,
        }
    } else {
        Reduced::of(x)
    };
    let half = 0.5 * f * f;
    if is_small {
        return nearly_power_of_two(f, k, c, half);
    }
    let s = f / (2.0 + f);
    let z = s * s;
    let r = z * polynomial(z, &[L[6], L[5], L[4], L[3], L[2], L[1], L[0]]);
    if k == 0.0 {
        return f - (half - s * (half + r));
    }
    k * LN_2_HI - ((half - (s * (half + r) + (k * LN_2_LO + c))) - f)
}

/// `1 + x` as `(1 + f) * 2^k`, where `f` is small and `c` what rounding `1 + x` lost.
struct Reduced {
    f: f64,
    k: f64,
    c: f64,
    /// Whether `f` has not more than 2^-20.
    is_small: bool,
}

impl Reduced {
    fn of(x: f64) -> Self {
        let (u, bits, mut k, c);
        if x.abs() < 9_007_199_254_740_992.0 {
            u = 1.0 + x;
            bits = u.to_bits();
            k = (bits >> FRACTION) as i32 - BIAS;
            let lost = if k > 0 { 1.0 - (u - x) } else { x - (u - 1.0) };
            c = lost / u;
        } else {
            bits = x.to_bits();
            k = (bits >> FRACTION) as i32 - BIAS;
            c = 0.0;
        }
        let fraction = bits & 0x000f_ffff_ffff_ffff;
        let (scaled, rest) = if fraction < 0x0006_a09e_667f_3bcd {
            (fraction | 0x3ff0_0000_0000_0000, fraction)
        } else {
            k += 1;
            (
                fraction | 0x3fe0_0000_0000_0000,
                (0x0010_0000_0000_0000 - fraction) >> 2,
            )
        };
        Self {
            f: f64::from_bits(scaled) - 1.0,
            k: f64::from(k),
            c,
            is_small: rest == 0,
        }
    }
}

fn nearly_power_of_two(f: f64, k: f64, c: f64, half: f64) -> f64 {
    if f == 0.0 {
        return if k == 0.0 { 0.0 } else { k * LN_2_HI + (c + k * LN_2_LO) };
    }
    let r = half * (1.0 - 0.666_666_666_666_666_66 * f);
    if k == 0.0 {
        return f - r;
    }
    k * LN_2_HI - ((r - (k * LN_2_LO + c)) - f)
}

/// The inverse of the hyperbolic sine.
#[must_use]
pub fn asinh(x: f64) -> f64 {
    if !x.is_finite() {
        return x;
    }
    let size = if x < 0.0 { -x } else { x };
    let value = if size > TWO_28 {
        ln(size) + LN_2
    } else if size > 2.0 {
        ln(2.0 * size + 1.0 / ((size * size + 1.0).sqrt() + size))
    } else if size < 1.0 / TWO_28 {
        size
    } else {
        ln_1p(size + size * size / (1.0 + (1.0 + size * size).sqrt()))
    };
    if x < 0.0 { -value } else { value }
}

/// The inverse of the hyperbolic cosine.
#[must_use]
pub fn acosh(x: f64) -> f64 {
    if x < 1.0 || x.is_nan() {
        return f64::NAN;
    }
    if x == 1.0 {
        return 0.0;
    }
    if x >= TWO_28 {
        return ln(x) + LN_2;
    }
    if x > 2.0 {
        return ln(2.0 * x - 1.0 / (x + (x * x - 1.0).sqrt()));
    }
    let t = x - 1.0;
    ln_1p(t + (2.0 * t + t * t).sqrt())
}

/// The inverse of the hyperbolic tangent.
#[must_use]
pub fn atanh(x: f64) -> f64 {
    if !(-1.0..=1.0).contains(&x) {
        return f64::NAN;
    }
    if x.abs() == 1.0 {
        return f64::INFINITY.copysign(x);
    }
    let size = if x < 0.0 { -x } else { x };
    let value = if size < 1.0 / TWO_28 {
        size
    } else if size < 0.5 {
        let twice = size + size;
        0.5 * ln_1p(twice + twice * size / (1.0 - size))
    } else {
        0.5 * ln_1p((size + size) / (1.0 - size))
    };
    if x < 0.0 { -value } else { value }
}
