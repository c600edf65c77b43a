//! Between which numbers the parameter of an aggregation moves over the steps, which upstream looks at before it begins
//! (`promql/value.go`, `newFParams`).

/// Smallest and largest value as Go's `math.Min` and `math.Max` find them: where there is a NaN they are NaN too, unless
/// infinite.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    /// Whether any value is NaN.
    pub(super) has_nan: bool,
    /// The smallest.
    pub(super) min: f64,
    /// The largest.
    pub(super) max: f64,
}

impl Extent {
    /// Of the values at all steps.
    pub(super) fn of(values: &[f64]) -> Self {
        Self {
            has_nan: values.iter().any(|v| v.is_nan()),
            min: -values.iter().fold(f64::NEG_INFINITY, |max, v| larger(max, -v)),
            max: values.iter().copied().fold(f64::NEG_INFINITY, larger),
        }
    }
}

fn larger(a: f64, b: f64) -> f64 {
    if a == f64::INFINITY || b == f64::INFINITY {
        f64::INFINITY
    } else if a.is_nan() || b.is_nan() {
        f64::NAN
    } else {
        a.max(b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extent_is_no_number_where_a_value_is_none_but_for_infinities() {
        let (nan, inf) = (f64::NAN, f64::INFINITY);
        for (values, min, max) in [
            (vec![2.0, -1.0, 0.5], -1.0, 2.0),
            (vec![2.0, nan, 3.0], nan, nan),
            (vec![nan, inf, 3.0], nan, inf),
            (vec![-inf, nan], -inf, nan),
            (vec![7.0], 7.0, 7.0),
        ] {
            let found = Extent::of(&values);
            assert_eq!(
                (found.min.to_string(), found.max.to_string()),
                (min.to_string(), max.to_string()),
                "{values:?}"
            );
            assert_eq!(found.has_nan, values.iter().any(|v| v.is_nan()), "{values:?}");
        }
    }
}
