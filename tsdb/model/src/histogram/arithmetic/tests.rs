//! Arithmetic of histograms, held to what Prometheus answers.

use super::*;
use crate::histogram::{CUSTOM_BUCKETS, Span};

fn spans(of: &[(i32, u32)]) -> Vec<Span> {
    of.iter().map(|&(offset, length)| Span { offset, length }).collect()
}

fn exponential(schema: i32, zero: (f64, f64), of: &[(i32, u32)], buckets: &[f64]) -> FloatHistogram {
    FloatHistogram {
        schema,
        zero_threshold: zero.0,
        zero_count: zero.1,
        count: zero.1 + buckets.iter().sum::<f64>(),
        sum: 10.0,
        positive_spans: spans(of),
        positive_buckets: buckets.to_vec(),
        ..FloatHistogram::default()
    }
}

fn custom(bounds: &[f64], buckets: &[f64]) -> FloatHistogram {
    FloatHistogram {
        schema: CUSTOM_BUCKETS,
        count: buckets.iter().sum(),
        positive_spans: spans(&[(0, buckets.len() as u32)]),
        positive_buckets: buckets.to_vec(),
        custom_values: bounds.into(),
        ..FloatHistogram::default()
    }
}

/// (index, count) of the buckets above zero that are not empty.
fn cells(h: &FloatHistogram) -> Vec<(i32, f64)> {
    h.positive()
        .filter(|b| b.count != 0.0)
        .map(|b| (b.index, b.count))
        .collect()
}

#[test]
fn buckets_of_one_schema_are_added_one_by_one() {
    let a = exponential(0, (0.0, 1.0), &[(-2, 2), (3, 1)], &[1.0, 2.0, 3.0]);
    let b = exponential(0, (0.0, 2.0), &[(-1, 3)], &[10.0, 20.0, 30.0]);
    let (sum, reconciled) = a.add(&b).unwrap();
    assert_eq!(cells(&sum), [(-2, 1.0), (-1, 12.0), (0, 20.0), (1, 30.0), (3, 3.0)]);
    assert_eq!(
        (sum.zero_count, sum.count, sum.sum, reconciled),
        (3.0, 69.0, 20.0, Reconciled::default())
    );
    let (difference, _) = sum.sub(&b).unwrap();
    assert!(difference.compacted().same(&a.clone().compacted()));
}

#[test]
fn the_finer_schema_is_made_coarser() {
    let fine = exponential(1, (0.0, 0.0), &[(1, 4)], &[1.0, 2.0, 3.0, 4.0]);
    let coarse = exponential(0, (0.0, 0.0), &[(1, 1)], &[5.0]);
    for (a, b) in [(&fine, &coarse), (&coarse, &fine)] {
        let (sum, _) = a.add(b).unwrap();
        assert_eq!((sum.schema, cells(&sum)), (0, vec![(1, 8.0), (2, 7.0)]));
    }
}

#[test]
fn the_narrower_zero_bucket_is_widened_over_whole_buckets() {
    // Bucket 0 is (0.5, 1]: a zero bucket up to 0.75 must go on to 1.
    let wide = exponential(0, (0.75, 4.0), &[], &[]);
    let narrow = exponential(0, (0.25, 1.0), &[(0, 2)], &[3.0, 5.0]);
    for (a, b) in [(&wide, &narrow), (&narrow, &wide)] {
        let (sum, _) = a.add(b).unwrap();
        assert_eq!(
            (sum.zero_threshold, sum.zero_count, cells(&sum)),
            (1.0, 8.0, vec![(1, 5.0)])
        );
    }
}

#[test]
fn a_zero_threshold_that_is_no_number_ends() {
    let odd = exponential(0, (f64::NAN, 4.0), &[], &[]);
    let (sum, _) = odd.add(&exponential(0, (0.25, 1.0), &[(0, 1)], &[3.0])).unwrap();
    assert_eq!(sum.zero_count, 5.0);
}

#[test]
fn bounds_of_their_own_are_reduced_to_the_common_ones() {
    let a = custom(&[1.0, 2.0, 5.0], &[1.0, 2.0, 3.0, 4.0]);
    let b = custom(&[2.0, 3.0, 5.0], &[10.0, 20.0, 30.0, 40.0]);
    let (sum, reconciled) = a.add(&b).unwrap();
    assert!(reconciled.bounds_differ);
    assert_eq!(
        (&*sum.custom_values, cells(&sum)),
        (&[2.0, 5.0][..], vec![(0, 13.0), (1, 53.0), (2, 44.0)])
    );
    let (none, _) = a.sub(&custom(&[7.0], &[1.0, 1.0])).unwrap();
    assert_eq!((none.custom_values.len(), cells(&none)), (0, vec![(0, 8.0)]));
}

#[test]
fn histograms_that_do_not_go_together_are_refused() {
    let a = exponential(0, (0.0, 0.0), &[(0, 1)], &[1.0]);
    assert_eq!(a.add(&custom(&[1.0], &[1.0])).unwrap_err(), CombineError::Schemas);
    let odd = FloatHistogram {
        positive_buckets: vec![],
        ..a.clone()
    };
    assert!(matches!(a.sub(&odd), Err(CombineError::Layout(_))));
}

#[test]
fn hints_are_joined() {
    use ResetHint::{Gauge, NotReset, Reset, Unknown};
    for (a, b, hint, collide) in [
        (Reset, Reset, Reset, false),
        (Gauge, Reset, Gauge, false),
        (NotReset, Gauge, Gauge, false),
        (Unknown, Reset, Unknown, false),
        (NotReset, Reset, Unknown, true),
    ] {
        assert_eq!(joined_hint(a, b), (hint, collide), "{a:?} {b:?}");
    }
}

#[test]
fn a_sum_of_many_keeps_what_rounding_would_lose() {
    let of = |x: f64| exponential(0, (0.0, x), &[(0, 1)], &[x]);
    let mut sum = HistogramSum::of(&of(1.0)).unwrap();
    for x in [1e100, 1.0, -1e100] {
        sum.add(&of(x)).unwrap();
    }
    let total = sum.total();
    assert_eq!((total.zero_count, cells(&total)), (2.0, vec![(0, 2.0)]));
    sum.divide(2.0);
    assert_eq!(sum.total().zero_count, 1.0);
}

#[test]
fn division_by_zero_leaves_no_bucket() {
    let h = exponential(0, (0.0, 1.0), &[(0, 1)], &[1.0]).divided(0.0);
    assert_eq!(
        (h.count, h.zero_count, h.positive_buckets.len()),
        (f64::INFINITY, f64::INFINITY, 0)
    );
    assert_eq!(
        exponential(0, (0.0, 1.0), &[], &[]).scaled(-2.0).reset,
        ResetHint::Gauge
    );
}

#[test]
fn a_counter_began_again_where_anything_fell() {
    let before = exponential(0, (0.25, 2.0), &[(0, 3)], &[1.0, 0.0, 3.0]);
    let with = |zero: (f64, f64), of: &[(i32, u32)], buckets: &[f64]| {
        let mut h = exponential(0, zero, of, buckets);
        h.count = 100.0;
        h
    };
    for (now, again) in [
        (with((0.25, 2.0), &[(0, 3)], &[1.0, 0.0, 3.0]), false),
        (with((0.25, 2.0), &[(0, 1), (1, 1)], &[1.0, 3.0]), false),
        (with((0.25, 1.0), &[(0, 3)], &[1.0, 0.0, 3.0]), true),
        (with((0.25, 2.0), &[(0, 3)], &[1.0, 0.0, 2.0]), true),
        (with((0.25, 2.0), &[(0, 1)], &[1.0]), true),
        (with((0.125, 2.0), &[(0, 3)], &[1.0, 0.0, 3.0]), true),
        (with((1.0, 3.0), &[(1, 2)], &[0.0, 3.0]), false),
        (with((1.0, 2.0), &[(1, 2)], &[0.0, 3.0]), true),
        (before.reduce_resolution(-1).unwrap(), false),
    ] {
        assert_eq!(now.began_again(&before), again, "{now:?}");
    }
    let hinted = |reset| FloatHistogram {
        reset,
        ..before.clone()
    };
    assert!(hinted(ResetHint::Reset).began_again(&before));
    assert!(
        !FloatHistogram {
            count: 0.0,
            ..hinted(ResetHint::NotReset)
        }
        .began_again(&before)
    );
    let a = custom(&[1.0, 2.0], &[3.0, 0.0, 1.0]);
    assert!(custom(&[2.0, 3.0], &[2.0, 1.0, 1.0]).began_again(&a));
    assert!(!custom(&[2.0, 3.0], &[3.0, 0.5, 0.5]).began_again(&a));
}
