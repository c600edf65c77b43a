//! The samples of one series in one window, and the table of functions over them.

use super::{over_time, rate, trend};
use crate::error::Error;
use leadline_model::Timestamp;

/// The samples of one series within `start < t <= end`; functions are only called when there is one at least.
#[derive(Debug, Clone, Copy)]
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
