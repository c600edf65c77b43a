//! Native histograms in Prometheus' JSON (`util/jsonutil`, MarshalHistogram).

use crate::number::push_float;
use leadline_model::histogram::{Bucket, FloatHistogram};

/// Appends a histogram: its count, its sum and the buckets that are not empty, each as
/// `[which bounds belong to it, lower, upper, count]`.
pub(crate) fn push_histogram(out: &mut String, h: &FloatHistogram) {
    out.push_str(r#"{"count":"#);
    push_float(out, h.count);
    out.push_str(r#","sum":"#);
    push_float(out, h.sum);
    let mut any = false;
    for bucket in h.all().filter(|bucket| bucket.count != 0.0) {
        out.push_str(if any { "," } else { r#","buckets":["# });
        any = true;
        push_bucket(out, &bucket);
    }
    out.push_str(if any { "]}" } else { "}" });
}

fn push_bucket(out: &mut String, bucket: &Bucket<f64>) {
    out.push_str(match (bucket.lower_inclusive, bucket.upper_inclusive) {
        (false, true) => "[0",
        (true, false) => "[1",
        (false, false) => "[2",
        (true, true) => "[3",
    });
    for number in [bucket.lower, bucket.upper, bucket.count] {
        out.push(',');
        push_float(out, number);
    }
    out.push(']');
}

#[cfg(test)]
mod tests {
    use super::*;
    use leadline_model::histogram::{CUSTOM_BUCKETS, Span};

    fn json(h: &FloatHistogram) -> String {
        let mut out = String::new();
        push_histogram(&mut out, h);
        out
    }

    #[test]
    fn buckets_go_up_and_say_which_bounds_belong_to_them() {
        let h = FloatHistogram {
            zero_threshold: 0.25,
            zero_count: 3.0,
            count: 42.5,
            sum: -1e21,
            positive_spans: vec![Span { offset: 0, length: 3 }],
            positive_buckets: vec![12.0, 0.0, 6.0],
            negative_spans: vec![Span { offset: 1, length: 1 }],
            negative_buckets: vec![21.5],
            ..FloatHistogram::default()
        };
        assert_eq!(
            json(&h),
            r#"{"count":"42.5","sum":"-1e+21","buckets":[[1,"-2","-1","21.5"],[3,"-0.25","0.25","3"],[0,"0.5","1","12"],[0,"2","4","6"]]}"#
        );
        assert_eq!(json(&FloatHistogram::default()), r#"{"count":"0","sum":"0"}"#);
    }

    #[test]
    fn the_first_bucket_of_own_bounds_is_closed() {
        let h = FloatHistogram {
            schema: CUSTOM_BUCKETS,
            count: 3.0,
            sum: f64::NAN,
            positive_spans: vec![Span { offset: 0, length: 2 }],
            positive_buckets: vec![1.0, 2.0],
            custom_values: [5.0].into(),
            ..FloatHistogram::default()
        };
        assert_eq!(
            json(&h),
            r#"{"count":"3","sum":"NaN","buckets":[[3,"-Inf","5","1"],[0,"5","+Inf","2"]]}"#
        );
    }
}
