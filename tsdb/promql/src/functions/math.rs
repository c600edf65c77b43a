//! Functions of one number.

use leadline_model::elementary;
use std::f64::consts::PI;

/// A function of one number.
pub(crate) type MathFn = fn(f64) -> f64;

/// The function called `name`, if it maps one number to one number.
pub(crate) fn lookup(name: &str) -> Option<MathFn> {
    Some(match name {
        "abs" => f64::abs,
        "acos" => elementary::acos,
        "acosh" => elementary::acosh,
        "asin" => elementary::asin,
        "asinh" => elementary::asinh,
        "atan" => elementary::atan,
        "atanh" => elementary::atanh,
        "ceil" => f64::ceil,
        "cos" => elementary::cos,
        "cosh" => elementary::cosh,
        // One factor, so that no intermediate product overflows (Prometheus 3.15).
        "deg" => |x| x * (180.0 / PI),
        "exp" => elementary::exp,
        "floor" => f64::floor,
        "ln" => elementary::ln,
        "log10" => elementary::log10,
        "log2" => elementary::log2,
        "rad" => |x| x * (PI / 180.0),
        "sgn" => |x| {
            if x < 0.0 {
                -1.0
            } else if x > 0.0 {
                1.0
            } else {
                x
            }
        },
        "sin" => elementary::sin,
        "sinh" => elementary::sinh,
        "sqrt" => f64::sqrt,
        "tan" => elementary::tan,
        "tanh" => elementary::tanh,
        _ => return None,
    })
}

/// `x` to the nearest multiple of `to`; ties go up.
pub(crate) fn round(x: f64, to: f64) -> f64 {
    // Multiplying by the inverse loses less than dividing by fractions such as 0.1.
    let inverse = 1.0 / to;
    (x * inverse + 0.5).floor() / inverse
}

/// `x` within `min..=max`; NaN when any of them is.
pub(crate) fn clamp(x: f64, min: f64, max: f64) -> f64 {
    go_max(min, go_min(max, x))
}

/// Go's `math.Max`: NaN when one is, unless the other is +Inf.
pub(crate) fn go_max(a: f64, b: f64) -> f64 {
    if a == f64::INFINITY || b == f64::INFINITY {
        f64::INFINITY
    } else if a.is_nan() || b.is_nan() {
        f64::NAN
    } else if a == 0.0 && b == 0.0 {
        // -0 is below 0, which Rust leaves open.
        if a.is_sign_negative() { b } else { a }
    } else {
        a.max(b)
    }
}

/// Go's `math.Min`: NaN when one is, unless the other is -Inf.
pub(crate) fn go_min(a: f64, b: f64) -> f64 {
    if a == f64::NEG_INFINITY || b == f64::NEG_INFINITY {
        f64::NEG_INFINITY
    } else if a.is_nan() || b.is_nan() {
        f64::NAN
    } else if a == 0.0 && b == 0.0 {
        if a.is_sign_negative() { a } else { b }
    } else {
        a.min(b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_goes_to_multiples_with_ties_up() {
        for (x, to, y) in [
            (2.5, 1.0, 3.0),
            (-2.5, 1.0, -2.0),
            (0.005, 0.01, 0.01),
            (7.0, 5.0, 5.0),
            (8.0, 5.0, 10.0),
        ] {
            assert_eq!(round(x, to), y, "round({x}, {to})");
        }
    }

    #[test]
    fn the_sign_of_zero_counts_as_in_go() {
        for (a, b) in [(0.0, -0.0), (-0.0, 0.0)] {
            assert!(
                go_min(a, b).is_sign_negative() && go_max(a, b).is_sign_positive(),
                "{a} {b}"
            );
        }
        assert!(clamp(-0.0, f64::NEG_INFINITY, 0.0).is_sign_negative());
        assert!(clamp(0.0, -0.0, 1.0).is_sign_positive());
    }

    #[test]
    fn clamping_follows_go_on_nan() {
        assert_eq!((clamp(5.0, 0.0, 3.0), clamp(-5.0, 0.0, 3.0)), (3.0, 0.0));
        assert!(clamp(1.0, f64::NAN, 2.0).is_nan() && clamp(f64::NAN, 0.0, 1.0).is_nan());
    }
}
