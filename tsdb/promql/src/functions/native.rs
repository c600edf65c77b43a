//! Functions of one native histogram: `histogram_count`, `histogram_stddev`, ..., and what quantiles and fractions of
//! it are (`promql/functions.go`, `promql/quantile.go`).

use super::number::Kahan;
use crate::error::Error;
use crate::eval::notes::Notes;
use crate::eval::{CallSite, Cell, Context, Frame, Out, weight};
use crate::syntax::ast::Span;
use leadline_model::elementary::{exp2, log2};
use leadline_model::histogram::{Bucket, FloatHistogram};

/// Replaces every histogram by a number and drops numbers.
fn map(
    cx: &mut Context<'_>,
    site: &CallSite<'_>,
    frame: Frame,
    f: impl Fn(&FloatHistogram) -> f64,
) -> Result<Out, Error> {
    let mut grid = site.vector(cx, 0, frame)?;
    grid.present.fill(false);
    for i in 0..grid.len() {
        cx.tick()?;
        for step in 0..frame.steps {
            if let Some(h) = grid.histogram(i, step) {
                cx.spend(weight(h))?;
                let value = f(h);
                grid.set(i, step, Cell::Float(value));
            }
        }
    }
    grid.drop_histogram_cells();
    grid.prune();
    grid.drop_names();
    Ok(Out::Vector(grid))
}

/// `histogram_count(v)`.
pub(crate) fn count(cx: &mut Context<'_>, site: &CallSite<'_>, frame: Frame) -> Result<Out, Error> {
    map(cx, site, frame, |h| h.count)
}

/// `histogram_sum(v)`.
pub(crate) fn sum(cx: &mut Context<'_>, site: &CallSite<'_>, frame: Frame) -> Result<Out, Error> {
    map(cx, site, frame, |h| h.sum)
}

/// `histogram_avg(v)`.
pub(crate) fn avg(cx: &mut Context<'_>, site: &CallSite<'_>, frame: Frame) -> Result<Out, Error> {
    map(cx, site, frame, |h| h.sum / h.count)
}

/// `histogram_stdvar(v)`.
pub(crate) fn stdvar(cx: &mut Context<'_>, site: &CallSite<'_>, frame: Frame) -> Result<Out, Error> {
    map(cx, site, frame, variance)
}

/// `histogram_stddev(v)`.
pub(crate) fn stddev(cx: &mut Context<'_>, site: &CallSite<'_>, frame: Frame) -> Result<Out, Error> {
    map(cx, site, frame, |h| variance(h).sqrt())
}

/// The variance of observations that all stand in the middle of their bucket: the geometric one of exponential buckets.
fn variance(h: &FloatHistogram) -> f64 {
    let mean = h.sum / h.count;
    let mut squares = Kahan::default();
    for b in h.all().filter(|b| b.count != 0.0) {
        let middle = if h.is_custom() {
            (b.upper + b.lower) / 2.0
        } else if b.lower <= 0.0 && b.upper >= 0.0 {
            0.0
        } else {
            let middle = (b.upper * b.lower).sqrt();
            if b.upper < 0.0 { -middle } else { middle }
        };
        let delta = middle - mean;
        squares.add(b.count * delta * delta);
    }
    squares.total() / h.count
}

/// Who asks, for notes.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    /// The vector.
    pub(super) span: Span,
    /// The metric's name.
    pub(super) metric: &'a str,
}

/// The zero bucket of a histogram whose observations are all on one side of zero begins or ends there.
fn halved(h: &FloatHistogram, b: &mut Bucket<f64>) {
    if h.negative_buckets.is_empty() && !h.positive_buckets.is_empty() {
        b.lower = 0.0;
    } else if h.positive_buckets.is_empty() && !h.negative_buckets.is_empty() {
        b.upper = 0.0;
    }
}

/// The q-quantile of a histogram: linear within the zero bucket and buckets with bounds of their own, else exponential.
pub(super) fn quantile(q: f64, h: &FloatHistogram, notes: &mut Notes, asked: Asked<'_>) -> f64 {
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    if h.count == 0.0 || q.is_nan() {
        return f64::NAN;
    }
    // Observations of NaN are in no bucket, and the sum is NaN then: they count as the highest.
    let nans = h.sum.is_nan();
    let upwards = nans || q < 0.5;
    let rank = if upwards { q * h.count } else { (1.0 - q) * h.count };
    let mut buckets: Vec<Bucket<f64>> = h.all().collect();
    if !upwards {
        buckets.reverse();
    }
    let (mut found, mut count) = (EMPTY, 0.0);
    let mut rest = buckets.iter();
    for b in rest.by_ref().filter(|b| b.count != 0.0) {
        found = *b;
        count += b.count;
        if count >= rank {
            break;
        }
    }
    if !h.is_custom() {
        if found.lower < 0.0 && found.upper > 0.0 {
            halved(h, &mut found);
        }
    } else if found.lower == f64::NEG_INFINITY {
        if found.upper <= 0.0 {
            return found.upper;
        }
        found.lower = 0.0;
    } else if found.upper == f64::INFINITY {
        return found.lower;
    }
    // Counts of buckets may add up to more than the count, by rounding.
    let count = count.min(h.count);
    if count < rank {
        if nans {
            notes.quantile_is_nan(asked.span, asked.metric);
            return f64::NAN;
        }
        return found.upper;
    }
    let within = if upwards {
        rank - (count - found.count)
    } else {
        count - rank
    };
    if nans && rest.fold(count, |sum, b| sum + b.count) < h.count {
        notes.quantile_is_skewed(asked.span, asked.metric);
    }
    interpolate(&found, within / found.count, h.is_custom())
}

const EMPTY: Bucket<f64> = Bucket {
    lower: 0.0,
    upper: 0.0,
    lower_inclusive: false,
    upper_inclusive: false,
    count: 0.0,
    index: 0,
};

fn interpolate(b: &Bucket<f64>, fraction: f64, custom: bool) -> f64 {
    if custom || (b.lower <= 0.0 && b.upper >= 0.0) {
        return b.lower + (b.upper - b.lower) * fraction;
    }
    let (lower, upper) = (log2(b.lower.abs()), log2(b.upper.abs()));
    if b.lower > 0.0 {
        exp2(lower + (upper - lower) * fraction)
    } else {
        -exp2(upper + (lower - upper) * (1.0 - fraction))
    }
}

/// The share of observations between `lower` and `upper`.
pub(super) fn fraction((lower, upper): (f64, f64), h: &FloatHistogram, notes: &mut Notes, asked: Asked<'_>) -> f64 {
    if h.count == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    let (mut count, mut rank) = (0.0, 0.0);
    let (mut below_lower, mut below_upper) = (None, None);
    let mut buckets = h.all();
    for mut b in buckets.by_ref() {
        count += b.count;
        let mut linear = h.is_custom();
        if h.is_custom() {
            if b.lower == f64::NEG_INFINITY && b.upper > 0.0 {
                b.lower = 0.0;
            }
        } else if b.lower <= 0.0 && b.upper >= 0.0 {
            linear = true;
            halved(h, &mut b);
        }
        below_lower = below_lower.or_else(|| rank_within(&b, lower, rank, linear));
        below_upper = below_upper.or_else(|| rank_within(&b, upper, rank, linear));
        if below_lower.is_some() && below_upper.is_some() {
            break;
        }
        rank += b.count;
    }
    if h.sum.is_nan() {
        count = buckets.fold(count, |sum, b| sum + b.count);
        if count < h.count {
            notes.fraction_excludes_nan(asked.span, asked.metric);
        }
    } else {
        count = h.count;
    }
    let clip = |rank: Option<f64>| rank.filter(|rank| *rank <= count || rank.is_nan()).unwrap_or(count);
    (clip(below_upper) - clip(below_lower)) / h.count
}

/// How many observations are at most `value`, where it is below or within the bucket; `rank` of them are below the bucket.
fn rank_within(b: &Bucket<f64>, value: f64, rank: f64, linear: bool) -> Option<f64> {
    if b.lower >= value {
        return Some(rank);
    }
    if !(b.lower < value && b.upper > value) {
        return None;
    }
    // Within a bucket without a lower border nothing can be told: all of it counts.
    if linear && b.lower == f64::NEG_INFINITY {
        return Some(b.count);
    }
    Some(rank + b.count * b.fraction_below(value, linear))
}
