//! The functions of PromQL: what they take and what they return (Prometheus 3.16, `promql/parser/functions.go`).

use leadline_model::port::Shape;

/// What a function takes and returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature {
    /// The function's name.
    pub name: &'static str,
    /// Types of the arguments; with [`Signature::variadic`] the last may be left out or repeated.
    pub args: &'static [Shape],
    /// 0: exactly `args`. n > 0: the last argument may stand from 0 to n times. -1: from 0 times to any number.
    pub variadic: i8,
    /// Type of the result.
    pub returns: Shape,
    /// Whether it needs the feature `promql-experimental-functions`.
    pub experimental: bool,
}

impl Signature {
    /// The fewest arguments a call may have.
    #[must_use]
    pub fn min_args(&self) -> usize {
        if self.variadic == 0 {
            self.args.len()
        } else {
            self.args.len().saturating_sub(1)
        }
    }

    /// The most arguments a call may have; `None` is any number.
    #[must_use]
    pub fn max_args(&self) -> Option<usize> {
        match usize::try_from(self.variadic) {
            Ok(0) => Some(self.args.len()),
            Ok(more) => Some(self.min_args() + more),
            Err(_) => None,
        }
    }

    /// The type of the `i`-th argument.
    #[must_use]
    pub fn arg(&self, i: usize) -> Option<Shape> {
        let last = if self.variadic == 0 { None } else { self.args.last() };
        self.args.get(i).or(last).copied()
    }
}

const S: Shape = Shape::Scalar;
const V: Shape = Shape::Vector;
const M: Shape = Shape::Matrix;
const T: Shape = Shape::String;

const fn stable(name: &'static str, args: &'static [Shape], variadic: i8, returns: Shape) -> Signature {
    Signature {
        name,
        args,
        variadic,
        returns,
        experimental: false,
    }
}

const fn experimental(name: &'static str, args: &'static [Shape], variadic: i8, returns: Shape) -> Signature {
    Signature {
        name,
        args,
        variadic,
        returns,
        experimental: true,
    }
}

/// Sorted by name, so that a name is found by bisection.
static SIGNATURES: [Signature; 91] = [
    stable("abs", &[V], 0, V),
    stable("absent", &[V], 0, V),
    stable("absent_over_time", &[M], 0, V),
    stable("acos", &[V], 0, V),
    stable("acosh", &[V], 0, V),
    stable("asin", &[V], 0, V),
    stable("asinh", &[V], 0, V),
    stable("atan", &[V], 0, V),
    stable("atanh", &[V], 0, V),
    stable("avg_over_time", &[M], 0, V),
    stable("ceil", &[V], 0, V),
    stable("changes", &[M], 0, V),
    stable("clamp", &[V, S, S], 0, V),
    stable("clamp_max", &[V, S], 0, V),
    stable("clamp_min", &[V, S], 0, V),
    stable("cos", &[V], 0, V),
    stable("cosh", &[V], 0, V),
    stable("count_over_time", &[M], 0, V),
    stable("day_of_month", &[V], 1, V),
    stable("day_of_week", &[V], 1, V),
    stable("day_of_year", &[V], 1, V),
    stable("days_in_month", &[V], 1, V),
    stable("deg", &[V], 0, V),
    stable("delta", &[M], 0, V),
    stable("deriv", &[M], 0, V),
    experimental("double_exponential_smoothing", &[M, S, S], 0, V),
    experimental("end", &[], 0, S),
    stable("exp", &[V], 0, V),
    stable("first_over_time", &[M], 0, V),
    stable("floor", &[V], 0, V),
    stable("histogram_avg", &[V], 0, V),
    stable("histogram_count", &[V], 0, V),
    stable("histogram_fraction", &[S, S, V], 0, V),
    stable("histogram_quantile", &[S, V], 0, V),
    experimental("histogram_quantiles", &[V, T, S, S], 9, V),
    stable("histogram_stddev", &[V], 0, V),
    stable("histogram_stdvar", &[V], 0, V),
    stable("histogram_sum", &[V], 0, V),
    stable("hour", &[V], 1, V),
    stable("idelta", &[M], 0, V),
    stable("increase", &[M], 0, V),
    experimental("info", &[V, V], 1, V),
    experimental("integral", &[M, S], 1, V),
    stable("irate", &[M], 0, V),
    stable("label_join", &[V, T, T, T], -1, V),
    stable("label_replace", &[V, T, T, T, T], 0, V),
    stable("last_over_time", &[M], 0, V),
    stable("ln", &[V], 0, V),
    stable("log10", &[V], 0, V),
    stable("log2", &[V], 0, V),
    experimental("mad_over_time", &[M], 0, V),
    experimental("max_of", &[S, S], 0, S),
    stable("max_over_time", &[M], 0, V),
    experimental("min_of", &[S, S], 0, S),
    stable("min_over_time", &[M], 0, V),
    stable("minute", &[V], 1, V),
    stable("month", &[V], 1, V),
    stable("pi", &[], 0, S),
    stable("predict_linear", &[M, S], 0, V),
    stable("present_over_time", &[M], 0, V),
    stable("quantile_over_time", &[S, M], 0, V),
    stable("rad", &[V], 0, V),
    experimental("range", &[], 0, S),
    stable("rate", &[M], 0, V),
    stable("resets", &[M], 0, V),
    stable("round", &[V, S], 1, V),
    stable("scalar", &[V], 0, S),
    stable("sgn", &[V], 0, V),
    stable("sin", &[V], 0, V),
    stable("sinh", &[V], 0, V),
    stable("sort", &[V], 0, V),
    experimental("sort_by_label", &[V, T], -1, V),
    experimental("sort_by_label_desc", &[V, T], -1, V),
    stable("sort_desc", &[V], 0, V),
    stable("sqrt", &[V], 0, V),
    experimental("start", &[], 0, S),
    experimental("start_timestamp", &[V], 0, V),
    stable("stddev_over_time", &[M], 0, V),
    stable("stdvar_over_time", &[M], 0, V),
    experimental("step", &[], 0, S),
    stable("sum_over_time", &[M], 0, V),
    stable("tan", &[V], 0, V),
    stable("tanh", &[V], 0, V),
    stable("time", &[], 0, S),
    stable("timestamp", &[V], 0, V),
    experimental("ts_of_first_over_time", &[M], 0, V),
    experimental("ts_of_last_over_time", &[M], 0, V),
    experimental("ts_of_max_over_time", &[M], 0, V),
    experimental("ts_of_min_over_time", &[M], 0, V),
    stable("vector", &[S], 0, V),
    stable("year", &[V], 1, V),
];

/// The signature of a function, if PromQL has one of that name.
#[must_use]
pub fn signature(name: &str) -> Option<&'static Signature> {
    SIGNATURES
        .binary_search_by(|s| s.name.cmp(name))
        .ok()
        .and_then(|i| SIGNATURES.get(i))
}

/// All functions, sorted by name.
#[must_use]
pub fn signatures() -> &'static [Signature] {
    &SIGNATURES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_so_that_every_function_is_found() {
        assert!(SIGNATURES.is_sorted_by(|a, b| a.name < b.name));
        for s in signatures() {
            assert_eq!(signature(s.name), Some(s));
        }
        assert_eq!(signature("foo"), None);
    }

    #[test]
    fn variadic_functions_bound_their_arguments() {
        for (name, min, max, third) in [
            ("rate", 1, Some(1), None),
            ("round", 1, Some(2), Some(Shape::Scalar)),
            ("label_join", 3, None, Some(Shape::String)),
            ("label_replace", 5, Some(5), Some(Shape::String)),
            ("histogram_quantiles", 3, Some(12), Some(Shape::Scalar)),
            ("time", 0, Some(0), None),
            ("hour", 0, Some(1), Some(Shape::Vector)),
        ] {
            let s = signature(name).unwrap();
            assert_eq!((s.min_args(), s.max_args(), s.arg(2)), (min, max, third), "{name}");
        }
    }
}
