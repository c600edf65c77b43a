//! `integral(m[r], strategy)`: the area below the samples, in value times seconds.

use super::number::Kahan;
use super::window::Window;

/// The strategy that is meant when none is named, and taken where the one that is named does not exist.
const TRAPEZOIDAL: f64 = 2.0;

/// Whether `strategy` is one: 0 takes the value at the left of each gap, 1 at the right, 2 the mean of both.
pub(crate) fn is_strategy(strategy: f64) -> bool {
    [0.0, 1.0, TRAPEZOIDAL].contains(&strategy)
}

/// `integral(m[r], strategy)`. A NaN counts as 0.
pub(crate) fn integral(w: &Window<'_>) -> Option<f64> {
    let strategy = w
        .args
        .first()
        .copied()
        .filter(|s| is_strategy(*s))
        .unwrap_or(TRAPEZOIDAL);
    let number = |x: f64| if x.is_nan() { 0.0 } else { x };
    let mut sum = Kahan::default();
    for i in 1..w.v.len() {
        let (before, now) = (number(w.v[i - 1]), number(w.v[i]));
        let height = match strategy {
            0.0 => Kahan::at(before),
            1.0 => Kahan::at(now),
            _ => mean(before, now),
        };
        if height.sum != 0.0 || height.lost != 0.0 {
            let seconds = (w.t[i] - w.t[i - 1]) as f64 / 1000.0;
            sum.lost += height.lost * seconds;
            sum.add(height.sum * seconds);
        }
    }
    Some(if sum.sum.is_infinite() { sum.sum } else { sum.total() })
}

/// The mean of two numbers without losing the smaller or overflowing.
fn mean(before: f64, now: f64) -> Kahan {
    let sum_of = |x: f64, y: f64| {
        let mut sum = Kahan::at(y);
        sum.add(x);
        sum
    };
    let sum = sum_of(now, before);
    if sum.sum.is_infinite() && before.is_finite() && now.is_finite() {
        return sum_of(now / 2.0, before / 2.0);
    }
    Kahan {
        sum: sum.sum / 2.0,
        lost: sum.lost / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_area_depends_on_the_strategy() {
        let (t, v) = ([0, 1_000, 3_000, 4_000], [2.0, 4.0, f64::NAN, 6.0]);
        for (args, expected) in [
            (&[][..], 3.0 + 4.0 + 3.0),
            (&[0.0], 2.0 + 8.0),
            (&[1.0], 4.0 + 6.0),
            (&[2.0], 10.0),
            (&[0.5], 10.0),
        ] {
            let w = Window {
                t: &t,
                v: &v,
                args,
                ..Window::default()
            };
            assert_eq!(integral(&w), Some(expected), "{args:?}");
        }
        let huge = Window {
            t: &[0, 1_000],
            v: &[f64::MAX, f64::MAX],
            ..Window::default()
        };
        assert_eq!(integral(&huge), Some(f64::MAX));
    }
}
