//! Native histograms as `promtool tsdb dump` prints them: `{count:3, sum:7.5, [-0.001,0.001]:1, (0.5,1]:2}`.

use super::text::Float;
use leadline_model::histogram::{AnyHistogram, CUSTOM_BUCKETS, FloatHistogram, Histogram, Span};
use std::fmt::{self, Display};

/// A histogram with the bounds of its buckets; empty buckets are left out.
pub(super) struct Buckets<'a>(pub(super) &'a AnyHistogram);

impl Display for Buckets<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            AnyHistogram::Int(h) => write_int(f, h),
            AnyHistogram::Float(h) => write_float(f, h),
        }
    }
}

fn write_int(f: &mut fmt::Formatter<'_>, h: &Histogram) -> fmt::Result {
    write!(f, "{{count:{}, sum:{}", h.count, Float(h.sum))?;
    let bounds = Bounds::new(h.schema, &h.custom_values);
    let absolute = |deltas: &[i64]| -> Vec<i64> {
        let mut count = 0i64;
        let add = |delta: &i64| {
            count = count.wrapping_add(*delta);
            count
        };
        deltas.iter().map(add).collect()
    };
    let empty = |count: &i64| *count == 0;
    let negative = buckets(&h.negative_spans, &absolute(&h.negative_buckets), empty);
    let positive = buckets(&h.positive_spans, &absolute(&h.positive_buckets), empty);
    bounds.write_negative(f, &negative)?;
    if h.zero_count != 0 {
        write_zero(f, h.zero_threshold, &h.zero_count)?;
    }
    bounds.write_positive(f, &positive)
}

fn write_float(f: &mut fmt::Formatter<'_>, h: &FloatHistogram) -> fmt::Result {
    write!(f, "{{count:{}, sum:{}", Float(h.count), Float(h.sum))?;
    let bounds = Bounds::new(h.schema, &h.custom_values);
    let counts = |spans: &[Span], counts: &[f64]| -> Vec<(i32, Float)> {
        let found = buckets(spans, counts, |count| *count == 0.0);
        found.into_iter().map(|(index, count)| (index, Float(count))).collect()
    };
    bounds.write_negative(f, &counts(&h.negative_spans, &h.negative_buckets))?;
    if h.zero_count != 0.0 {
        write_zero(f, h.zero_threshold, &Float(h.zero_count))?;
    }
    bounds.write_positive(f, &counts(&h.positive_spans, &h.positive_buckets))
}

fn write_zero(f: &mut fmt::Formatter<'_>, threshold: f64, count: &dyn Display) -> fmt::Result {
    write!(f, ", [{},{}]:{count}", Float(-threshold), Float(threshold))
}

/// The buckets that are not empty, with their indices, ascending.
fn buckets<C: Copy>(spans: &[Span], counts: &[C], empty: impl Fn(&C) -> bool) -> Vec<(i32, C)> {
    let mut next = 0i32;
    let mut indices = Vec::with_capacity(counts.len());
    for span in spans {
        next = next.wrapping_add(span.offset);
        for _ in 0..span.length {
            if indices.len() == counts.len() {
                break;
            }
            indices.push(next);
            next = next.wrapping_add(1);
        }
    }
    let all = indices.into_iter().zip(counts.iter().copied());
    all.filter(|(_, count)| !empty(count)).collect()
}

/// The bounds of a histogram's buckets.
struct Bounds<'a> {
    schema: i32,
    custom: &'a [f64],
}

impl<'a> Bounds<'a> {
    fn new(schema: i32, custom: &'a [f64]) -> Self {
        Self { schema, custom }
    }

    fn write_positive<C: Display>(&self, f: &mut fmt::Formatter<'_>, buckets: &[(i32, C)]) -> fmt::Result {
        for (index, count) in buckets {
            let (lower, upper) = (self.upper(index.wrapping_sub(1)), self.upper(*index));
            let (from, to) = match self.schema {
                CUSTOM_BUCKETS => (if *index == 0 { '[' } else { '(' }, ']'),
                _ => (if lower < 0.0 { '[' } else { '(' }, if upper > 0.0 { ']' } else { ')' }),
            };
            write!(f, ", {from}{},{}{to}:{count}", Float(lower), Float(upper))?;
        }
        f.write_str("}")
    }

    /// From the bucket that is the furthest from zero on.
    fn write_negative<C: Display>(&self, f: &mut fmt::Formatter<'_>, buckets: &[(i32, C)]) -> fmt::Result {
        for (index, count) in buckets.iter().rev() {
            let (lower, upper) = (-self.upper(*index), -self.upper(index.wrapping_sub(1)));
            let (from, to) = (if lower < 0.0 { '[' } else { '(' }, if upper > 0.0 { ']' } else { ')' });
            write!(f, ", {from}{},{}{to}:{count}", Float(lower), Float(upper))?;
        }
        Ok(())
    }

    /// The upper bound of the bucket `index` above zero (`model/histogram/generic.go`, `getBound`).
    fn upper(&self, index: i32) -> f64 {
        if self.schema == CUSTOM_BUCKETS {
            return match usize::try_from(index) {
                Ok(i) => self.custom.get(i).copied().unwrap_or(f64::INFINITY),
                Err(_) => f64::NEG_INFINITY,
            };
        }
        // The bound behind the largest float counts as that float, so that infinite observations have a bucket of their own.
        let bound = match u32::try_from(self.schema) {
            Ok(schema) => {
                let schema = schema.min(8);
                let fraction = index.rem_euclid(1 << schema).unsigned_abs();
                (
                    1025,
                    index.div_euclid(1 << schema).saturating_add(1),
                    half_power(schema, fraction),
                )
            }
            Err(_) => (1025, shifted(index, self.schema.unsigned_abs()).saturating_add(1), 0.5),
        };
        match bound {
            (last, exponent, fraction) if exponent == last && fraction == 0.5 => f64::MAX,
            (_, exponent, fraction) => {
                fraction * 2f64.powi(exponent.clamp(-1100, 1100) / 2) * 2f64.powi(rest(exponent))
            }
        }
    }
}

/// What [`Bounds::upper`] has to multiply by besides half of the exponent: one factor of 2^1024 would overflow too early.
fn rest(exponent: i32) -> i32 {
    let exponent = exponent.clamp(-1100, 1100);
    exponent - exponent / 2
}

fn shifted(index: i32, by: u32) -> i32 {
    let wide = i64::from(index) << by.min(31);
    i32::try_from(wide).unwrap_or(if index < 0 { i32::MIN } else { i32::MAX })
}

/// 2^(fraction / 2^schema) / 2, rounded as upstream's table of bounds is: each finer schema takes every other bound from the
/// coarser one and multiplies it by its root of two in between.
fn half_power(schema: u32, fraction: u32) -> f64 {
    if schema == 0 {
        return 0.5;
    }
    if fraction % 2 == 0 {
        return half_power(schema - 1, fraction / 2);
    }
    let root = (0..schema).fold(2.0, |root: f64, _| root.sqrt());
    match schema {
        1 => 1.0 / root,
        _ => half_power(schema - 1, fraction / 2) * root,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn bounds_are_those_of_upstream() {
        for (schema, index, bound) in [
            (0, 0, 1.0),
            (0, 1, 2.0),
            (0, -3, 0.125),
            (0, 1024, f64::MAX),
            (0, 1025, f64::INFINITY),
            (1, 1, 1.414_213_562_373_095),
            (2, -1, 0.840_896_415_253_714_4),
            (3, 3, 1.296_839_554_651_009_6),
            (8, -1, 0.997_296_056_085_470_1),
            (-1, 2, 16.0),
            (-4, 64, f64::MAX),
            (-4, 65, f64::INFINITY),
            (-4, -67, 2f64.powi(-1072)),
        ] {
            assert_eq!(
                Bounds::new(schema, &[]).upper(index),
                bound,
                "schema {schema}, bucket {index}"
            );
        }
    }

    #[test]
    fn histograms_look_as_promtool_prints_them() {
        let span = |offset, length| Span { offset, length };
        let int = Histogram {
            schema: 0,
            zero_threshold: 0.001,
            zero_count: 2,
            count: 9,
            sum: -3.25,
            positive_spans: vec![span(0, 2), span(1, 1)],
            positive_buckets: vec![1, 1, -1],
            negative_spans: vec![span(1, 2)],
            negative_buckets: vec![3, -3],
            ..Histogram::default()
        };
        let shown = Buckets(&AnyHistogram::Int(Arc::new(int))).to_string();
        assert_eq!(
            shown,
            "{count:9, sum:-3.25, [-2,-1):3, [-0.001,0.001]:2, (0.5,1]:1, (1,2]:2, (4,8]:1}"
        );
        let custom = FloatHistogram {
            schema: CUSTOM_BUCKETS,
            count: 3.5,
            sum: 1e7,
            positive_spans: vec![span(0, 3)],
            positive_buckets: vec![1.0, 0.5, 2.0],
            custom_values: Arc::from([0.1, 0.5].as_slice()),
            ..FloatHistogram::default()
        };
        let shown = Buckets(&AnyHistogram::Float(Arc::new(custom))).to_string();
        assert_eq!(
            shown,
            "{count:3.5, sum:1e+07, [-Inf,0.1]:1, (0.1,0.5]:0.5, (0.5,+Inf]:2}"
        );
    }
}
