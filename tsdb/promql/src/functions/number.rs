//! Arithmetic and number formats that have to agree with Go's to the last bit or letter.

pub(crate) use leadline_model::kahan::Kahan;
use std::cmp::Ordering;

/// A mean that divides the sum while the sum is finite and goes on incrementally from where it would overflow.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mean {
    sum: Kahan,
    count: f64,
    incremental: bool,
}

impl Mean {
    /// Of one value.
    pub(crate) fn of(x: f64) -> Self {
        Self {
            sum: Kahan::at(x),
            count: 1.0,
            incremental: false,
        }
    }

    /// Of so many values that were added up to `sum`, which was finite or no number all the time.
    pub(crate) fn made(sum: Kahan, values: u32) -> Self {
        Self {
            sum,
            count: f64::from(values),
            incremental: false,
        }
    }

    /// Of values, added one after the other; none of none.
    pub(crate) fn of_all(values: &[f64]) -> Option<Self> {
        let (first, rest) = values.split_first()?;
        let mut sum = Kahan::at(*first);
        for &x in rest {
            sum.add(x);
        }
        if sum.sum.is_finite() {
            // Then it was finite all the time: what is infinite or no number stays so.
            return Some(Self {
                sum,
                count: values.len() as f64,
                incremental: false,
            });
        }
        let mut mean = Self::of(*first);
        rest.iter().for_each(|x| mean.add(*x));
        Some(mean)
    }

    /// Adds a value.
    #[inline]
    pub(crate) fn add(&mut self, x: f64) {
        self.count += 1.0;
        if !self.incremental {
            let mut next = self.sum;
            next.add(x);
            if !next.sum.is_infinite() {
                self.sum = next;
                return;
            }
            self.incremental = true;
            self.sum.sum /= self.count - 1.0;
            self.sum.lost /= self.count - 1.0;
        }
        let share = (self.count - 1.0) / self.count;
        let mut next = Kahan {
            sum: share * self.sum.sum,
            lost: share * self.sum.lost,
        };
        next.add(x / self.count);
        self.sum = next;
    }

    /// The mean.
    pub(crate) fn total(self) -> f64 {
        if self.incremental {
            self.sum.total()
        } else {
            self.sum.sum / self.count + self.sum.lost / self.count
        }
    }
}

/// The q-quantile of `values`, which change places, as `quantile` of `promql/quantile.go`: NaN comes before all numbers.
pub(crate) fn quantile(q: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    let last = values.len() - 1;
    let rank = q * last as f64;
    let lower = (rank.floor().max(0.0) as usize).min(last);
    // Of all values only two are looked at, which need not be sorted for that.
    let (_, &mut low, above) = values.select_nth_unstable_by(lower, nan_first);
    let weight = rank - rank.floor();
    if weight == 0.0 {
        return low;
    }
    let high = above.iter().copied().min_by(nan_first).unwrap_or(low);
    low * (1.0 - weight) + high * weight
}

fn nan_first(a: &f64, b: &f64) -> Ordering {
    match (a.is_nan(), b.is_nan()) {
        (false, false) => a.total_cmp(b),
        (a_nan, b_nan) => b_nan.cmp(&a_nan),
    }
}

/// Whether `a` and `b` differ by less than `epsilon` of their sum (`util/almost`).
pub(crate) fn almost_equal(a: f64, b: f64, epsilon: f64) -> bool {
    if (a.is_nan() && b.is_nan()) || a == b {
        return true;
    }
    let sum = a.abs() + b.abs();
    let difference = (a - b).abs();
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < epsilon * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < epsilon
}

/// Go's `%g`: the fewest digits that name the number, an exponent from 1e+06 on and below 1e-04.
pub(crate) fn format_g(x: f64) -> String {
    leadline_model::number::general(x).to_string()
}

/// Go's `%.2g`: two significant digits.
pub(crate) fn format_g2(x: f64) -> String {
    general(x, &format!("{x:.1e}"), 2)
}

/// Go's `'f'` format with the fewest digits: never an exponent.
pub(crate) fn format_f(x: f64) -> String {
    let mut text = String::new();
    leadline_model::number::push_plain(&mut text, x);
    text
}

/// The number as a label value of OpenMetrics: `0.5`, `1.0`, `+Inf` (`labels.FormatOpenMetricsFloat`).
pub(crate) fn format_openmetrics(x: f64) -> String {
    let text = format_g(x);
    if x.is_finite() && !text.contains(['.', 'e']) {
        text + ".0"
    } else {
        text
    }
}

fn special(x: f64) -> Option<&'static str> {
    if x.is_nan() {
        Some("NaN")
    } else if x == f64::INFINITY {
        Some("+Inf")
    } else if x == f64::NEG_INFINITY {
        Some("-Inf")
    } else {
        None
    }
}

/// `scientific` (`-1.25e3`) in the shorter of the two notations, `%e` from 10^`limit` on.
fn general(x: f64, scientific: &str, limit: i32) -> String {
    if let Some(text) = special(x) {
        return text.to_owned();
    }
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let mantissa = if mantissa.contains('.') {
        mantissa.trim_end_matches('0').trim_end_matches('.')
    } else {
        mantissa
    };
    if exponent < -4 || exponent >= limit {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:02}", exponent.abs());
    }
    // The digits are short already, so that reading them back and writing them plainly changes nothing.
    format!("{mantissa}e{exponent}")
        .parse::<f64>()
        .map_or_else(|_| mantissa.to_owned(), |v| format!("{v}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_written_as_go_writes_them() {
        for (x, g, g2) in [
            (1.1, "1.1", "1.1"),
            (-1.0, "-1", "-1"),
            (0.0, "0", "0"),
            (123_456.0, "123456", "1.2e+05"),
            (1e6, "1e+06", "1e+06"),
            (1.5e-5, "1.5e-05", "1.5e-05"),
            (0.0001, "0.0001", "0.0001"),
            (12.345, "12.345", "12"),
            (f64::NAN, "NaN", "NaN"),
            (f64::INFINITY, "+Inf", "+Inf"),
        ] {
            assert_eq!((format_g(x).as_str(), format_g2(x).as_str()), (g, g2));
        }
        assert_eq!(format_f(1e21), "1000000000000000000000");
        assert_eq!(
            (format_openmetrics(1.0).as_str(), format_openmetrics(0.5).as_str()),
            ("1.0", "0.5")
        );
    }

    #[test]
    fn a_mean_survives_a_sum_that_overflows() {
        let mut mean = Mean::of(f64::MAX);
        for _ in 0..3 {
            mean.add(f64::MAX);
        }
        assert!((mean.total() / f64::MAX - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_quantile_interpolates_and_keeps_exact_ranks() {
        assert_eq!(quantile(0.5, &mut [3.0, 1.0]), 2.0);
        assert_eq!(quantile(0.5, &mut [f64::INFINITY, 1.0, 0.0]), 1.0);
        assert_eq!(quantile(1.0, &mut [f64::INFINITY, 1.0]), f64::INFINITY);
        assert_eq!(
            (quantile(-0.1, &mut [1.0]), quantile(1.1, &mut [1.0])),
            (f64::NEG_INFINITY, f64::INFINITY)
        );
        assert!(quantile(0.0, &mut [1.0, f64::NAN]).is_nan());
    }

    proptest! {
        #[test]
        fn a_quantile_is_that_of_the_sorted_values(
            values in proptest::collection::vec(
                prop_oneof![Just(f64::NAN), Just(f64::NEG_INFINITY), Just(0.0), Just(-0.0), -9.0..9.0f64],
                1..60,
            ),
            q in prop_oneof![Just(0.0), Just(0.25), Just(0.5), Just(1.0), 0.0..1.0f64],
        ) {
            let mut sorted = values.clone();
            sorted.sort_by(nan_first);
            let rank = q * (values.len() - 1) as f64;
            let (low, high) = (sorted[rank.floor() as usize], sorted[rank.ceil() as usize]);
            let weight = rank - rank.floor();
            let expected = if weight == 0.0 { low } else { low * (1.0 - weight) + high * weight };
            let got = quantile(q, &mut values.clone());
            prop_assert!(got.to_bits() == expected.to_bits() || got.is_nan() && expected.is_nan(), "{got} {expected}");
        }
    }
}
