//! Functions that fit a trend to a window: `deriv`, `predict_linear`, `double_exponential_smoothing`.

use super::number::Kahan;
use super::window::Window;
use leadline_model::Timestamp;

/// (slope per second, value at `origin`) of the least-squares line through the samples.
fn linear_regression(w: &Window<'_>, origin: Timestamp) -> (f64, f64) {
    let first = w.v[0];
    if w.v.iter().all(|&y| y == first) {
        // Exactly 0 rather than what rounding leaves.
        return if first.is_infinite() {
            (f64::NAN, f64::NAN)
        } else {
            (0.0, first)
        };
    }
    let n = w.v.len() as f64;
    let [mut sum_x, mut sum_y, mut sum_xy, mut sum_xx] = [Kahan::default(); 4];
    for (&t, &y) in w.t.iter().zip(w.v) {
        let x = (t - origin) as f64 / 1000.0;
        sum_x.add(x);
        sum_y.add(y);
        sum_xy.add(x * y);
        sum_xx.add(x * x);
    }
    let (sum_x, sum_y) = (sum_x.total(), sum_y.total());
    let covariance = sum_xy.total() - sum_x * sum_y / n;
    let variance = sum_xx.total() - sum_x * sum_x / n;
    let slope = covariance / variance;
    (slope, sum_y / n - slope * sum_x / n)
}

/// `deriv(m[r])`: slope per second.
pub(crate) fn deriv(w: &Window<'_>) -> Option<f64> {
    // Times near the origin keep their digits.
    (w.v.len() >= 2).then(|| linear_regression(w, w.t[0]).0)
}

/// `predict_linear(m[r], seconds)`: where the line is that long after the evaluation time.
pub(crate) fn predict_linear(w: &Window<'_>) -> Option<f64> {
    if w.v.len() < 2 {
        return None;
    }
    let (slope, now) = linear_regression(w, w.at);
    Some(slope * w.args.first()? + now)
}

/// `double_exponential_smoothing(m[r], sf, tf)`: Holt's linear method.
pub(crate) fn double_exponential_smoothing(w: &Window<'_>) -> Option<f64> {
    let (&[smoothing, trend_factor], [first, second, ..]) = (w.args, w.v) else {
        return None;
    };
    let (mut before, mut level, mut trend) = (0.0, *first, second - first);
    for (i, &x) in w.v.iter().enumerate().skip(1) {
        if i > 1 {
            trend = trend_factor * (level - before) + (1.0 - trend_factor) * trend;
        }
        let next = smoothing * x + (1.0 - smoothing) * (level + trend);
        before = level;
        level = next;
    }
    Some(level)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_and_continued() {
        let w = Window {
            t: &[0, 1_000, 2_000],
            v: &[1.0, 3.0, 5.0],
            start: -1,
            end: 2_000,
            at: 3_000,
            args: &[10.0],
            ..Window::default()
        };
        assert_eq!((deriv(&w), predict_linear(&w)), (Some(2.0), Some(27.0)));
        let flat = Window {
            v: &[7.0, 7.0, 7.0],
            ..w
        };
        assert_eq!((deriv(&flat), predict_linear(&flat)), (Some(0.0), Some(7.0)));
        let smooth = Window { args: &[0.5, 0.5], ..w };
        assert_eq!(double_exponential_smoothing(&smooth), Some(5.0));
    }
}
