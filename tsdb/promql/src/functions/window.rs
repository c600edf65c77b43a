//! The samples of one series in one window, and the table of functions over them.

use super::{integral, over_time, rate, trend};
use crate::error::Error;
use crate::syntax::ast::Border;
use leadline_model::Timestamp;

/// The samples of one series within `start < t <= end`; functions are only called when there is one at least.
/// With a border, also the samples before it (and behind it, when smoothed) within the lookback.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Window<'a> {
    /// Times, ms, increasing.
    pub(crate) t: &'a [Timestamp],
    /// Values.
    pub(crate) v: &'a [f64],
    /// Left border (excluded), ms.
    pub(crate) start: Timestamp,
    /// Right border (included), ms.
    pub(crate) end: Timestamp,
    /// The evaluation time, ms; differs from `end` by the offset.
    pub(crate) at: Timestamp,
    /// The values of the function's other arguments.
    pub(crate) args: &'a [f64],
    /// The start times of the samples, ms, 0 where unknown; empty when none is known.
    pub(crate) st: &'a [Timestamp],
    /// What stands at the borders.
    pub(crate) border: Border,
    /// How far (ms) beyond the borders samples are seen.
    pub(crate) lookback_ms: i64,
}

impl Window<'_> {
    /// The start time of sample i, ms, 0 when it is unknown.
    #[inline]
    pub(crate) fn start_of(&self, i: usize) -> Timestamp {
        self.st.get(i).copied().unwrap_or(0)
    }
}

/// A function from a window to a number, or to nothing.
pub(crate) type WindowFn = fn(&Window<'_>) -> Option<f64>;

/// The function called `name`, if it works on windows.
pub(crate) fn lookup(name: &str) -> Option<WindowFn> {
    Some(match name {
        // absent_over_time is turned round by the evaluation once it knows which steps have a value.
        "absent_over_time" | "present_over_time" => |_| Some(1.0),
        "avg_over_time" => over_time::avg,
        "changes" => rate::changes,
        "count_over_time" => |w| Some(w.v.len() as f64),
        "delta" => rate::delta,
        "deriv" => trend::deriv,
        "double_exponential_smoothing" => trend::double_exponential_smoothing,
        "first_over_time" => |w| w.v.first().copied(),
        "idelta" => rate::idelta,
        "increase" => rate::increase,
        "integral" => integral::integral,
        "irate" => rate::irate,
        "last_over_time" => |w| w.v.last().copied(),
        "mad_over_time" => over_time::mad,
        "max_over_time" => over_time::max,
        "min_over_time" => over_time::min,
        "predict_linear" => trend::predict_linear,
        "quantile_over_time" => over_time::quantile,
        "rate" => rate::rate,
        "resets" => rate::resets,
        "stddev_over_time" => over_time::stddev,
        "stdvar_over_time" => over_time::stdvar,
        "sum_over_time" => over_time::sum,
        "ts_of_first_over_time" => |w| w.t.first().map(|t| *t as f64 / 1000.0),
        "ts_of_last_over_time" => |w| w.t.last().map(|t| *t as f64 / 1000.0),
        "ts_of_max_over_time" => over_time::ts_of_max,
        "ts_of_min_over_time" => over_time::ts_of_min,
        _ => return None,
    })
}

/// Refuses functions that cannot work with the samples around a window (`AnchoredSafeFunctions` and
/// `SmoothedSafeFunctions` of `promql/functions.go`).
///
/// # Errors
/// [`Error::Execution`] in Prometheus' words.
pub(crate) fn check_border(name: &str, border: Border) -> Result<(), Error> {
    let (word, allowed): (_, &[&str]) = match border {
        Border::Open => return Ok(()),
        Border::Anchored => ("anchored", &["changes", "delta", "increase", "rate", "resets"]),
        Border::Smoothed => ("smoothed", &["delta", "increase", "rate"]),
    };
    if allowed.contains(&name) {
        return Ok(());
    }
    let allowed = allowed.join(", ");
    Err(Error::execution(format!(
        "{word} modifier can only be used with: {allowed} - not with {name}"
    )))
}

/// Refuses arguments with which the function cannot work.
///
/// # Errors
/// [`Error::Execution`] in Prometheus' words.
pub(crate) fn check_args(name: &str, args: &[f64]) -> Result<(), Error> {
    if name == "double_exponential_smoothing" {
        for (what, x) in [("smoothing", args[0]), ("trend", args[1])] {
            if x <= 0.0 || x >= 1.0 {
                let letter = &what[..1];
                return Err(Error::execution(format!(
                    "invalid {what} factor. Expected: 0 < {letter}f < 1, got: {x:.6}"
                )));
            }
        }
    }
    Ok(())
}
