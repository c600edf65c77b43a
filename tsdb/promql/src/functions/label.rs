//! Functions that write labels: `label_replace`, `label_join`.

use crate::error::Error;
use crate::eval::{CallSite, Context, Frame, Grid, Out, label_weight};
use leadline_model::labels::NAME;
use leadline_model::quote::replaced;
use leadline_model::regex::Regex;

/// The longest value that is written, and the longest label set that it may be written to, bytes. Written values can be read and written again, so that without a limit a short
/// query could ask for any amount of memory.
const MAX_VALUE: usize = 1024 * 1024;

/// Refuses a value of up to `bytes` bytes, before it is built.
fn check_length(bytes: usize, function: &str) -> Result<(), Error> {
    if bytes > MAX_VALUE {
        return Err(Error::execution(format!(
            "{function}() may write a label value or label set of {bytes} bytes, at most {MAX_VALUE} are allowed"
        )));
    }
    Ok(())
}

/// The i-th argument as a label's name, which has to be one.
fn checked_name<'a>(site: &CallSite<'a>, i: usize, what: &str) -> Result<&'a str, Error> {
    let name = site.bytes(i)?;
    std::str::from_utf8(name)
        .ok()
        .filter(|name| is_label_name(name))
        .ok_or_else(|| {
            let (function, name) = (&site.call.function, replaced(name));
            Error::execution(format!("invalid {what} label name in {function}(): {name}"))
        })
}

/// Prometheus 3: any non-empty UTF-8 text names a label.
pub(crate) fn is_label_name(name: &str) -> bool {
    !name.is_empty()
}

/// Writes a label; a metric name that is written is meant to stay. Long label sets that are written count as samples
/// ([`label_weight`]): few series of the store have as long ones, and no limit on series holds here.
fn set(
    cx: &mut Context<'_>,
    grid: &mut Grid,
    row: usize,
    (name, value): (&str, &str),
    function: &str,
) -> Result<(), Error> {
    let row = &mut grid.rows[row];
    if row.labels.get(name).unwrap_or("") != value {
        let bytes = row.labels.as_bytes().len().saturating_add(value.len());
        check_length(bytes, function)?;
        cx.hold(label_weight::of_bytes(bytes))?;
        row.labels = row.labels.to_builder().set(name, value).build();
    }
    if name == NAME {
        row.drop_name = false;
    }
    Ok(())
}

/// `label_replace(v, dst, replacement, src, regex)`.
pub(crate) fn replace(cx: &mut Context<'_>, site: &CallSite<'_>, frame: Frame) -> Result<Out, Error> {
    let (replacement, from, pattern) = (site.text(2)?, site.label(3)?, site.bytes(4)?);
    // Other than a matcher's, a pattern that is not UTF-8 is always compiled, which Go refuses.
    let regex = std::str::from_utf8(pattern)
        .ok()
        .and_then(|pattern| Regex::new(pattern).ok());
    let regex = regex.ok_or_else(|| {
        let pattern = replaced(pattern);
        Error::execution(format!("invalid regular expression in label_replace(): {pattern}"))
    })?;
    let to = checked_name(site, 1, "destination")?;
    let mut grid = site.vector(cx, 0, frame)?;
    for i in 0..grid.len() {
        cx.tick()?;
        let value = grid.rows[i].labels.get(from).unwrap_or("");
        let longest = longest(&replacement, value);
        check_length(longest, "label_replace")?;
        cx.spend(value.len().saturating_add(longest))?;
        let expanded = regex.expand(value, &replacement);
        if let Some(value) = expanded {
            set(cx, &mut grid, i, (to, &value), "label_replace")?;
        }
    }
    grid.merge_equal().map(Out::Vector)
}

/// The most bytes that a replacement can become for a value: each reference is at most all of it.
fn longest(replacement: &str, value: &str) -> usize {
    let references = replacement.bytes().filter(|&byte| byte == b'$').count();
    replacement.len().saturating_add(references.saturating_mul(value.len()))
}

/// `label_join(v, dst, separator, src...)`.
pub(crate) fn join(cx: &mut Context<'_>, site: &CallSite<'_>, frame: Frame) -> Result<Out, Error> {
    let separator = site.text(2)?;
    let sources = (3..site.count()).map(|i| checked_name(site, i, "source"));
    let sources = sources.collect::<Result<Vec<_>, _>>()?;
    let to = checked_name(site, 1, "destination")?;
    let mut grid = site.vector(cx, 0, frame)?;
    for i in 0..grid.len() {
        cx.tick()?;
        let labels = &grid.rows[i].labels;
        let values: Vec<&str> = sources.iter().map(|s| labels.get(s).unwrap_or("")).collect();
        let bytes: usize = values.iter().map(|value| value.len() + separator.len()).sum();
        check_length(bytes, "label_join")?;
        cx.spend(sources.len().saturating_add(bytes))?;
        let value = values.join(&separator);
        set(cx, &mut grid, i, (to, &value), "label_join")?;
    }
    grid.merge_equal().map(Out::Vector)
}
