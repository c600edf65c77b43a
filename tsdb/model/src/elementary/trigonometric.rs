//! Trigonometric functions and their inverses (Cephes: `sin.c`, `tan.c`, `atan.c`, `asin.c`).

use super::{BIAS, FRACTION, polynomial};
use std::f64::consts::{FRAC_PI_2, FRAC_PI_4, PI};

/// pi/4 in three parts, of which the first two have no low bits.
const PI_4: [f64; 3] = [
    7.853_981_256_484_985_351_56e-1,
    3.774_894_707_930_798_176_68e-8,
    2.695_151_429_079_059_526_45e-15,
];
const SIN: [f64; 6] = [
    1.589_623_015_765_465_680_60e-10,
    -2.505_074_776_285_780_728_66e-8,
    2.755_731_362_138_572_452_13e-6,
    -1.984_126_982_958_953_859_96e-4,
    8.333_333_333_322_118_588_78e-3,
    -1.666_666_666_666_663_072_95e-1,
];
const COS: [f64; 6] = [
    -1.135_853_652_138_768_173_00e-11,
    2.087_570_084_197_473_167_78e-9,
    -2.755_731_417_929_673_881_12e-7,
    2.480_158_728_885_170_453_48e-5,
    -1.388_888_888_887_305_641_16e-3,
    4.166_666_666_666_659_292_18e-2,
];
/// From here on the three parts of pi/4 are not enough.
const LARGE: f64 = 536_870_912.0;

/// The eighth of the circle that `x` (not negative) is in, a multiple of 2 as seen from the nearest axis, and the angle from
/// there.
fn reduce(x: f64) -> (u64, f64) {
    if x >= LARGE {
        return reduce_large(x);
    }
    let mut eighth = (x * 1.273_239_544_735_162_686_15) as u64;
    let mut y = eighth as f64;
    if eighth & 1 == 1 {
        eighth += 1;
        y += 1.0;
    }
    let z = ((x - y * PI_4[0]) - y * PI_4[1]) - y * PI_4[2];
    (eighth & 7, z)
}

/// The same with as many digits of 4/pi as it takes (Payne and Hanek 1983).
fn reduce_large(x: f64) -> (u64, f64) {
    let bits = x.to_bits();
    let exponent = ((bits >> FRACTION) & 0x7ff) as i32 - BIAS - FRACTION as i32;
    let whole = bits & 0x000f_ffff_ffff_ffff | 1 << FRACTION;
    let place = (exponent + 61) as usize;
    let (digit, shift) = (place / 64, (place % 64) as u32);
    let at = |i: usize| {
        let (high, low) = (FOUR_OVER_PI[digit + i], FOUR_OVER_PI[digit + i + 1]);
        high << shift | low.checked_shr(64 - shift).unwrap_or(0)
    };
    let product = |digits: u64| u128::from(digits) * u128::from(whole);
    let (z1, z2) = (product(at(1)), product(at(2)));
    let (low, carry) = (z1 as u64).overflowing_add((z2 >> 64) as u64);
    let high = at(0)
        .wrapping_mul(whole)
        .wrapping_add((z1 >> 64) as u64)
        .wrapping_add(u64::from(carry));
    let mut eighth = high >> 61;
    let high = high << 3 | low >> 61;
    // The fraction without its leading zeros and first one.
    let zeros = high.leading_zeros();
    let fraction = (high.checked_shl(zeros + 1).unwrap_or(0) | low >> (64 - (zeros + 1))) >> (64 - FRACTION);
    let mut z = f64::from_bits(fraction | ((BIAS as u64) - u64::from(zeros + 1)) << FRACTION);
    if eighth & 1 == 1 {
        eighth = (eighth + 1) & 7;
        z -= 1.0;
    }
    (eighth, z * FRAC_PI_4)
}

fn sin_near(z: f64) -> f64 {
    let square = z * z;
    z + z * square * polynomial(square, &SIN)
}

fn cos_near(z: f64) -> f64 {
    let square = z * z;
    1.0 - 0.5 * square + square * square * polynomial(square, &COS)
}

/// The sine.
#[must_use]
pub fn sin(x: f64) -> f64 {
    if x == 0.0 || x.is_nan() {
        return x;
    }
    if x.is_infinite() {
        return f64::NAN;
    }
    let (eighth, z) = reduce(x.abs());
    let value = if matches!(eighth & 3, 1 | 2) {
        cos_near(z)
    } else {
        sin_near(z)
    };
    if (x < 0.0) != (eighth > 3) { -value } else { value }
}

/// The cosine.
#[must_use]
pub fn cos(x: f64) -> f64 {
    if !x.is_finite() {
        return f64::NAN;
    }
    let (eighth, z) = reduce(x.abs());
    let value = if matches!(eighth & 3, 1 | 2) {
        sin_near(z)
    } else {
        cos_near(z)
    };
    if (eighth > 3) != (eighth & 3 > 1) {
        -value
    } else {
        value
    }
}

/// The tangent.
#[must_use]
pub fn tan(x: f64) -> f64 {
    const P: [f64; 3] = [
        -1.309_369_391_813_837_776_46e4,
        1.153_516_648_385_874_161_40e6,
        -1.795_652_519_764_848_779_88e7,
    ];
    const Q: [f64; 5] = [
        1.0,
        1.368_129_634_706_929_546_78e4,
        -1.320_892_344_402_109_674_47e6,
        2.500_838_018_233_579_158_39e7,
        -5.386_957_559_294_546_298_81e7,
    ];
    if x == 0.0 || x.is_nan() {
        return x;
    }
    if x.is_infinite() {
        return f64::NAN;
    }
    let (eighth, z) = reduce(x.abs());
    let square = z * z;
    let mut value = if square > 1e-14 {
        z + z * (square * polynomial(square, &P) / polynomial(square, &Q))
    } else {
        z
    };
    if eighth & 2 == 2 {
        value = -1.0 / value;
    }
    if x < 0.0 { -value } else { value }
}

/// The arctangent of 0 to 0.66.
fn atan_near(x: f64) -> f64 {
    const P: [f64; 5] = [
        -8.750_608_600_031_904_122_785e-01,
        -1.615_753_718_733_365_076_637e+01,
        -7.500_855_792_314_704_667_340e+01,
        -1.228_866_684_490_136_173_410e+02,
        -6.485_021_904_942_025_371_773e+01,
    ];
    const Q: [f64; 6] = [
        1.0,
        2.485_846_490_142_306_297_962e+01,
        1.650_270_098_316_988_542_046e+02,
        4.328_810_604_912_902_668_951e+02,
        4.853_903_996_359_136_964_868e+02,
        1.945_506_571_482_613_964_425e+02,
    ];
    let z = x * x;
    let z = z * polynomial(z, &P) / polynomial(z, &Q);
    x * z + x
}

/// The arctangent of what is not negative.
fn atan_positive(x: f64) -> f64 {
    /// What pi/2 has beyond its last bit.
    const MORE: f64 = 6.123_233_995_736_765_886_130e-17;
    if x <= 0.66 {
        return atan_near(x);
    }
    if x > 2.414_213_562_373_095_048_80 {
        return FRAC_PI_2 - atan_near(1.0 / x) + MORE;
    }
    FRAC_PI_4 + atan_near((x - 1.0) / (x + 1.0)) + 0.5 * MORE
}

/// The arctangent.
#[must_use]
pub fn atan(x: f64) -> f64 {
    if x == 0.0 {
        x
    } else if x > 0.0 {
        atan_positive(x)
    } else {
        -atan_positive(-x)
    }
}

/// The arcsine.
#[must_use]
pub fn asin(x: f64) -> f64 {
    if x == 0.0 {
        return x;
    }
    let size = if x < 0.0 { -x } else { x };
    if size > 1.0 {
        return f64::NAN;
    }
    let other = (1.0 - size * size).sqrt();
    let value = if size > 0.7 {
        FRAC_PI_2 - atan_positive(other / size)
    } else {
        atan_positive(size / other)
    };
    if x < 0.0 { -value } else { value }
}

/// The arccosine.
#[must_use]
pub fn acos(x: f64) -> f64 {
    FRAC_PI_2 - asin(x)
}

/// The angle of the point (`x`, `y`).
#[must_use]
pub fn atan2(y: f64, x: f64) -> f64 {
    if y.is_nan() || x.is_nan() {
        return f64::NAN;
    }
    let size = if y == 0.0 {
        if x.is_sign_positive() { 0.0 } else { PI }
    } else if x == 0.0 {
        FRAC_PI_2
    } else if x.is_infinite() {
        match (x > 0.0, y.is_infinite()) {
            (true, true) => FRAC_PI_4,
            (true, false) => 0.0,
            (false, true) => 2.356_194_490_192_344_928_85,
            (false, false) => PI,
        }
    } else if y.is_infinite() {
        FRAC_PI_2
    } else {
        let angle = atan(y / x);
        return if x >= 0.0 {
            angle
        } else if angle <= 0.0 {
            angle + PI
        } else {
            angle - PI
        };
    };
    size.copysign(y)
}

/// The bits of 4/pi, the point behind the first word.
const FOUR_OVER_PI: [u64; 20] = [
    0x0000_0000_0000_0001,
    0x45f3_06dc_9c88_2a53,
    0xf84e_afa3_ea69_bb81,
    0xb6c5_2b32_7887_2083,
    0xfca2_c757_bd77_8ac3,
    0x6e48_dc74_849b_a5c0,
    0x0c92_5dd4_13a3_2439,
    0xfc3b_d639_6253_4e7d,
    0xd104_6bea_5d76_8909,
    0xd338_e04d_68be_fc82,
    0x7323_ac73_06a6_73e9,
    0x3908_bf17_7bf2_5076,
    0x3ff1_2fff_bc0b_301f,
    0xde5e_2316_b414_da3e,
    0xda6c_fd9e_4f96_136e,
    0x9e8c_7ecd_3cbf_d45a,
    0xea4f_758f_d7cb_e2f6,
    0x7a0e_73ef_14a5_25d4,
    0xd7f6_bf62_3f1a_ba10,
    0xac06_608d_f8f6_d757,
];
