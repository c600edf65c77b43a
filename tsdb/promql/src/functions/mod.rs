//! PromQL's functions: the table from name to implementation.

pub(crate) mod border;
pub(crate) mod calendar;
mod classic;
mod histogram;
pub(crate) mod histogram_border;
pub(crate) mod histogram_mean;
mod histogram_rate;
pub(crate) mod histogram_window;
pub(crate) mod info;
pub(crate) mod integral;
pub(crate) mod label;
pub(crate) mod math;
mod native;
pub(crate) mod number;
mod over_time;
pub(crate) mod rate;
mod sort;
mod time;
mod trend;
pub(crate) mod vector;
pub(crate) mod window;

use crate::error::Error;
use crate::eval::{CallSite, Context, Frame, Out};

/// A function that sees its arguments as expressions.
pub(crate) type WholeFn = fn(&mut Context<'_>, &CallSite<'_>, Frame) -> Result<Out, Error>;

/// How a function is evaluated.
#[derive(Clone, Copy)]
pub(crate) enum Function {
    /// Each value of a vector by itself.
    Math(math::MathFn),
    /// Each window of a range vector by itself.
    Window(window::WindowFn),
    /// A part of the date that each value, or the evaluation time, names.
    Date(calendar::DatePart),
    /// Everything else.
    Whole(WholeFn),
}

/// The implementation of the function called `name`.
///
/// # Errors
/// [`Error::Execution`] for functions that the grammar knows and this engine does not evaluate.
pub(crate) fn lookup(name: &str) -> Result<Function, Error> {
    math::lookup(name)
        .map(Function::Math)
        .or_else(|| window::lookup(name).map(Function::Window))
        .or_else(|| calendar::lookup(name).map(Function::Date))
        .or_else(|| whole(name).map(Function::Whole))
        .ok_or_else(|| Error::execution(format!("function {name}() is not supported yet")))
}

fn whole(name: &str) -> Option<WholeFn> {
    Some(match name {
        "absent" => vector::absent,
        "clamp" => vector::clamp,
        "clamp_max" => vector::clamp_max,
        "clamp_min" => vector::clamp_min,
        "end" => time::end,
        "histogram_avg" => native::avg,
        "histogram_count" => native::count,
        "histogram_stddev" => native::stddev,
        "histogram_stdvar" => native::stdvar,
        "histogram_sum" => native::sum,
        "histogram_fraction" => histogram::fraction,
        "histogram_quantile" => histogram::quantile,
        "histogram_quantiles" => histogram::quantiles,
        "info" => info::info,
        "label_join" => label::join,
        "label_replace" => label::replace,
        "max_of" => vector::max_of,
        "min_of" => vector::min_of,
        "pi" => time::pi,
        "range" => time::range,
        "round" => vector::round,
        "scalar" => vector::scalar,
        "sort" => sort::ascending,
        "sort_by_label" => sort::by_label,
        "sort_by_label_desc" => sort::by_label_descending,
        "sort_desc" => sort::descending,
        "start" => time::start,
        "start_timestamp" => time::start_timestamp,
        "step" => time::step,
        "time" => time::time,
        "timestamp" => time::timestamp,
        "vector" => vector::vector,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_evaluated_is_named() {
        let error = lookup("foo").err().unwrap();
        assert_eq!(error.to_string(), "function foo() is not supported yet");
        assert!(lookup("rate").is_ok() && lookup("abs").is_ok() && lookup("hour").is_ok() && lookup("scalar").is_ok());
    }
}
