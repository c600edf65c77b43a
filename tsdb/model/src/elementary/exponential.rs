//! Powers and hyperbolic functions.

use super::{BIAS, FRACTION, logarithm, polynomial, scale, split};
use std::f64::consts::LOG2_E;

/// The natural logarithm of 2 in two parts, the first without low bits.
const LN_2_UPPER: f64 = 0.693_147_180_559_662_956_511_601_805_686_950_683_593_75;
const LN_2_LOWER: f64 = 0.282_352_905_630_315_771_225_884_481_750_134_360_255_254_120_68e-12;
/// `exp` of more is infinite.
const OVERFLOW: f64 = 7.097_827_128_933_84e+02;

/// e to the power of `x` (Shibata 2010: the series of a sixteenth, squared four times).
#[must_use]
pub fn exp(x: f64) -> f64 {
    if x.is_nan() {
        return x;
    }
    if x > OVERFLOW {
        return f64::INFINITY;
    }
    let whole = (LOG2_E * x).round_ties_even();
    if whole < -2000.0 {
        return 0.0;
    }
    let rest = (-whole).mul_add(LN_2_UPPER, x);
    let rest = (-whole).mul_add(LN_2_LOWER, rest) * 0.0625;
    let series = [
        1.984_126_984_126_984_127e-4,
        1.388_888_888_888_888_888_9e-3,
        8.333_333_333_333_333_333_3e-3,
        4.166_666_666_666_666_666_7e-2,
        1.666_666_666_666_666_666_7e-1,
        0.5,
        1.0,
    ];
    let first = 2.480_158_730_158_730_158_7e-5;
    let sum = series.iter().fold(first, |sum: f64, term| sum.mul_add(rest, *term));
    let mut power = rest * sum;
    for _ in 0..3 {
        power *= power + 2.0;
    }
    let power = (power + 2.0).mul_add(power, 1.0);
    raise(power, whole as i32)
}

/// `fraction * 2^exponent` in one multiplication, or two where the result has leading zeros.
fn raise(fraction: f64, exponent: i32) -> f64 {
    let two = |biased: i32| f64::from_bits((biased as u64) << FRACTION);
    match exponent + BIAS {
        2047.. => f64::INFINITY,
        biased @ 1.. => fraction * two(biased),
        biased @ -52.. => fraction * two(biased + BIAS - 1) * two(1),
        _ => 0.0,
    }
}

/// 2 to the power of `x`.
#[must_use]
pub fn exp2(x: f64) -> f64 {
    const LN_2_HI: f64 = 6.931_471_803_691_238_164_90e-01;
    const LN_2_LO: f64 = 1.908_214_929_270_587_700_02e-10;
    const P: [f64; 5] = [
        4.138_136_797_057_238_460_39e-08,
        -1.653_390_220_546_525_153_90e-06,
        6.613_756_321_437_934_361_17e-05,
        -2.777_777_777_701_559_338_42e-03,
        1.666_666_666_666_666_574_15e-01,
    ];
    if x.is_nan() {
        return x;
    }
    if x > 1.023_999_999_999_999_9e+03 {
        return f64::INFINITY;
    }
    if x < -1.074_0e+03 {
        return 0.0;
    }
    let whole = if x > 0.0 { (x + 0.5).trunc() } else { (x - 0.5).trunc() };
    let whole = if x == 0.0 { 0.0 } else { whole };
    let rest = x - whole;
    let (hi, lo) = (rest * LN_2_HI, -rest * LN_2_LO);
    let r = hi - lo;
    let square = r * r;
    let c = r - square * polynomial(square, &P);
    let power = 1.0 - ((lo - (r * c) / (2.0 - c)) - hi);
    scale(power, whole as i32)
}

/// `x` to the power of `y`: the fraction of `y` through the logarithm, the rest by squaring.
#[must_use]
pub fn pow(x: f64, y: f64) -> f64 {
    if let Some(value) = special_power(x, y) {
        return value;
    }
    let (mut whole, mut rest) = (y.abs().trunc(), y.abs().fract());
    if rest != 0.0 && x < 0.0 {
        return f64::NAN;
    }
    if whole >= 9.223_372_036_854_775_808e18 {
        return if x == -1.0 {
            1.0
        } else if (x.abs() < 1.0) == (y > 0.0) {
            0.0
        } else {
            f64::INFINITY
        };
    }
    let (mut value, mut exponent) = (1.0, 0_i32);
    if rest != 0.0 {
        if rest > 0.5 {
            rest -= 1.0;
            whole += 1.0;
        }
        value = exp(rest * logarithm::ln(x));
    }
    let (mut base, mut base_exponent) = split(x);
    let mut bits = whole as i64;
    while bits != 0 {
        if !(-(1 << 12)..=1 << 12).contains(&base_exponent) {
            // Beyond what any number holds; what is left only takes it further.
            exponent += base_exponent;
            break;
        }
        if bits & 1 == 1 {
            value *= base;
            exponent += base_exponent;
        }
        base *= base;
        base_exponent <<= 1;
        if base < 0.5 {
            base += base;
            base_exponent -= 1;
        }
        bits >>= 1;
    }
    if y < 0.0 {
        value = 1.0 / value;
        exponent = -exponent;
    }
    scale(value, exponent)
}

/// Powers that are not computed.
fn special_power(x: f64, y: f64) -> Option<f64> {
    let is_odd = |y: f64| y.abs() < 9_007_199_254_740_992.0 && y.fract() == 0.0 && y as i64 & 1 == 1;
    let value = if y == 0.0 || x == 1.0 {
        1.0
    } else if y == 1.0 {
        x
    } else if x.is_nan() || y.is_nan() {
        f64::NAN
    } else if x == 0.0 {
        match (y < 0.0, is_odd(y)) {
            (true, true) => f64::INFINITY.copysign(x),
            (true, false) => f64::INFINITY,
            (false, true) => x,
            (false, false) => 0.0,
        }
    } else if y.is_infinite() {
        if x == -1.0 {
            1.0
        } else if (x.abs() < 1.0) == (y > 0.0) {
            0.0
        } else {
            f64::INFINITY
        }
    } else if x == f64::NEG_INFINITY {
        // The power of -0, turned round.
        return Some(pow(1.0 / x, -y));
    } else if x == f64::INFINITY {
        if y < 0.0 { 0.0 } else { f64::INFINITY }
    } else if y == 0.5 {
        x.sqrt()
    } else if y == -0.5 {
        1.0 / x.sqrt()
    } else {
        return None;
    };
    Some(value)
}

/// The hyperbolic sine (Hart and Cheney, 2029, for small arguments).
#[must_use]
pub fn sinh(x: f64) -> f64 {
    const P: [f64; 4] = [
        -0.263_056_321_339_749_706_281_948_9e+2,
        -0.289_421_135_598_956_380_728_466_036_6e+4,
        -0.899_127_202_203_950_935_539_801_351_1e+5,
        -0.630_767_364_049_771_699_118_478_725_1e+6,
    ];
    const Q: [f64; 3] = [
        -0.173_678_953_558_233_699_533_450_911e+3,
        0.152_151_737_879_001_907_069_648_517_6e+5,
        -0.630_767_364_049_771_699_121_207_727_7e+6,
    ];
    let size = if x < 0.0 { -x } else { x };
    let value = if size > 21.0 {
        exp(size) * 0.5
    } else if size > 0.5 {
        let e = exp(size);
        (e - 1.0 / e) * 0.5
    } else {
        let square = size * size;
        let upper = polynomial(square, &P) * size;
        upper / polynomial(square, &[1.0, Q[0], Q[1], Q[2]])
    };
    if x < 0.0 { -value } else { value }
}

/// The hyperbolic cosine.
#[must_use]
pub fn cosh(x: f64) -> f64 {
    let size = x.abs();
    if size > 21.0 {
        return exp(size) * 0.5;
    }
    let e = exp(size);
    (e + 1.0 / e) * 0.5
}

/// The hyperbolic tangent (Cephes, `tanh.c`).
#[must_use]
pub fn tanh(x: f64) -> f64 {
    const P: [f64; 3] = [
        -9.643_991_794_250_522_386_28e-1,
        -9.928_772_310_019_185_865_64e1,
        -1.614_687_684_417_084_479_52e3,
    ];
    const Q: [f64; 3] = [
        1.128_116_784_916_329_314_02e2,
        2.235_488_390_601_004_485_83e3,
        4.844_063_053_251_254_860_48e3,
    ];
    let size = x.abs();
    if size > 0.5 * 8.802_969_193_111_305_429_598_8e+01 {
        return 1.0_f64.copysign(x);
    }
    if size >= 0.625 {
        let s = exp(2.0 * size);
        let value = 1.0 - 2.0 / (s + 1.0);
        return if x < 0.0 { -value } else { value };
    }
    if x == 0.0 {
        return x;
    }
    let s = x * x;
    x + x * s * polynomial(s, &P) / polynomial(s, &[1.0, Q[0], Q[1], Q[2]])
}
