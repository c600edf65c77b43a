//! The JSON of a query's result, written piece by piece: a big answer is never held as a whole.

use crate::histogram::push_histogram;
use crate::number::{push_number, push_short_timestamp, push_timestamp};
use crate::respond::{END, SUCCESS, push_labels, push_text};
use crate::times::Times;
use leadline_model::Timestamp;
use leadline_model::number::push_plain;
use leadline_promql::value::{InstantSample, RangeSeries, SampleValue, Value};
use std::ops::Range;
use std::vec::IntoIter;

/// About as many bytes has a piece; a label set or a histogram is never split.
pub(crate) const PIECE: usize = 64 * 1024;

/// The whole body of an answer: an iterator over its pieces, each of which is written when it is asked for.
pub(crate) struct Answer {
    rows: Rows,
    /// Whether a row has been written.
    any: bool,
    /// What stands before the first row.
    head: String,
    /// What stands behind the last row; none once it is written.
    tail: Option<String>,
}

/// What is left to be written.
enum Rows {
    /// All of it stands in the head.
    None,
    /// Samples, and how their value begins.
    Vector(IntoIter<InstantSample>, String),
    /// Series, and the one that is being written.
    Matrix {
        series: IntoIter<RangeSeries>,
        open: Option<Open>,
        times: Times,
    },
}

/// A series of which points are left.
struct Open {
    series: RangeSeries,
    floats: usize,
    histograms: usize,
}

impl Answer {
    /// The answer with `value` at the time `at` (ms). `stats` is what follows the result within `data`, `notes` what
    /// follows `data`.
    pub(crate) fn new(value: Value, at: Timestamp, stats: &str, notes: &str) -> Self {
        let mut head = String::with_capacity(capacity(&value));
        head.push_str(SUCCESS);
        head.push_str(r#"{"resultType":""#);
        head.push_str(value.type_name());
        head.push_str(r#"","result":["#);
        let rows = match value {
            Value::Scalar(v) => {
                push_short_timestamp(&mut head, at);
                head.push_str(",\"");
                push_plain(&mut head, v);
                head.push('"');
                Rows::None
            }
            Value::String(text) => {
                push_short_timestamp(&mut head, at);
                head.push(',');
                push_text(&mut head, &text);
                Rows::None
            }
            Value::Vector(samples) => {
                let mut time = String::from("[");
                push_timestamp(&mut time, at);
                time.push(',');
                Rows::Vector(samples.into_iter(), time)
            }
            Value::Matrix(series) => Rows::Matrix {
                series: series.into_iter(),
                open: None,
                times: Times::default(),
            },
        };
        Self {
            rows,
            any: false,
            head,
            tail: Some(["]", stats, "}", notes, END].concat()),
        }
    }

    /// Writes until the piece is full or nothing is left.
    fn fill(&mut self, out: &mut String) {
        match &mut self.rows {
            Rows::None => {}
            Rows::Vector(samples, time) => {
                while out.len() < PIECE
                    && let Some(sample) = samples.next()
                {
                    begin_row(out, &mut self.any);
                    push_sample(out, &sample, time);
                }
                if samples.len() > 0 {
                    return;
                }
            }
            Rows::Matrix { series, open, times } => {
                while out.len() < PIECE {
                    if let Some(one) = open {
                        if one.push_points(out, times) {
                            *open = None;
                        }
                    } else if let Some(next) = series.next() {
                        begin_row(out, &mut self.any);
                        *open = Some(Open::begin(out, next, times));
                    } else {
                        break;
                    }
                }
                if open.is_some() || series.len() > 0 {
                    return;
                }
            }
        }
        out.extend(self.tail.take());
    }
}

impl Iterator for Answer {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        self.tail.as_ref()?;
        let mut piece = std::mem::take(&mut self.head);
        if piece.is_empty() {
            piece.reserve(PIECE + 1024);
        }
        self.fill(&mut piece);
        Some(piece)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match self.tail {
            None => (0, Some(0)),
            Some(_) => (1, None),
        }
    }
}

/// Bytes that the first piece is likely to have.
fn capacity(value: &Value) -> usize {
    let rows = match value {
        Value::Scalar(_) | Value::String(_) => 0,
        Value::Vector(samples) => samples.len() * 256,
        Value::Matrix(series) => series.iter().map(|s| 256 + 32 * s.points.len()).sum(),
    };
    256 + rows.min(PIECE + 1024)
}

fn begin_row(out: &mut String, any: &mut bool) {
    out.push_str(if *any { r#",{"metric":"# } else { r#"{"metric":"# });
    *any = true;
}

fn push_sample(out: &mut String, sample: &InstantSample, time: &str) {
    push_labels(out, &sample.labels);
    match &sample.value {
        SampleValue::Float(value) => {
            out.push_str(r#","value":"#);
            out.push_str(time);
            out.push('"');
            push_number(out, *value);
            out.push_str("\"]}");
        }
        SampleValue::Histogram(histogram) => {
            out.push_str(r#","histogram":"#);
            out.push_str(time);
            push_histogram(out, histogram);
            out.push_str("]}");
        }
    }
}

/// Writes the numbers of one series to one text: where one is that before it, its text is copied.
#[derive(Default)]
struct Repeated {
    bits: u64,
    /// Where it was written last; empty before the first.
    text: Range<usize>,
}

impl Repeated {
    #[inline]
    fn push(&mut self, out: &mut String, v: f64) {
        let (bits, start) = (v.to_bits(), out.len());
        if bits == self.bits && !self.text.is_empty() {
            out.extend_from_within(self.text.clone());
            return;
        }
        push_number(out, v);
        (self.bits, self.text) = (bits, start..out.len());
    }
}

impl Open {
    /// Writes the labels of a series.
    fn begin(out: &mut String, series: RangeSeries, times: &mut Times) -> Self {
        push_labels(out, &series.labels);
        times.rewind();
        Self {
            series,
            floats: 0,
            histograms: 0,
        }
    }

    /// Writes points until the piece is full or none is left, and then the end of the series. Whether that is reached.
    fn push_points(&mut self, out: &mut String, times: &mut Times) -> bool {
        let floats = &self.series.points;
        let mut values = Repeated::default();
        for &(t, v) in &floats[self.floats..] {
            if out.len() >= PIECE {
                return false;
            }
            if self.floats == 0 {
                out.push_str(r#","values":["#);
                times.push_first(out, t);
            } else {
                times.push(out, t);
            }
            values.push(out, v);
            self.floats += 1;
            if self.floats == floats.len() {
                out.push_str("\"]]");
            }
        }
        let histograms = &self.series.histograms;
        for (t, h) in &histograms[self.histograms..] {
            if out.len() >= PIECE {
                return false;
            }
            out.push_str(if self.histograms == 0 {
                r#","histograms":[["#
            } else {
                ",["
            });
            push_timestamp(out, *t);
            out.push(',');
            push_histogram(out, h);
            self.histograms += 1;
            out.push_str(if self.histograms == histograms.len() { "]]" } else { "]" });
        }
        out.push('}');
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leadline_model::Labels;
    use leadline_model::histogram::FloatHistogram;
    use leadline_model::provenance::Provenance;
    use serde_json::json;
    use std::sync::Arc;

    fn pieces(value: Value) -> Vec<String> {
        Answer::new(value, 1_500, r#","stats":{}"#, r#","infos":["i"]"#).collect()
    }

    fn labels(i: usize) -> Labels {
        Labels::from_pairs([("__name__", "m".to_owned()), ("a\"b", format!("<{i}>\n"))])
    }

    /// Series of all kinds: without a float, without a histogram, with both.
    fn series(n: usize, points: i64) -> Vec<RangeSeries> {
        let histogram = Arc::new(FloatHistogram {
            count: 2.0,
            sum: 0.5,
            ..FloatHistogram::default()
        });
        let one = |i: usize| RangeSeries {
            labels: labels(i),
            points: (0..points)
                .filter(|_| i % 3 != 1)
                // Some are repeated; zeros have a sign.
                .map(|t| {
                    (
                        t * 500,
                        [t as f64 / 3.0, (t / 7) as f64 / 3.0, 0.0 * (t / 3 % 2 * 2 - 1) as f64][t as usize / 50 % 3],
                    )
                })
                .collect(),
            histograms: (0..points / 10)
                .filter(|_| i % 3 != 2)
                .map(|t| ((points + t) * 500, Arc::clone(&histogram)))
                .collect(),
        };
        (0..n).map(one).collect()
    }

    fn expected(series: &[RangeSeries]) -> serde_json::Value {
        let time = |t: Timestamp| json!(t as f64 / 1000.0);
        let row = |s: &RangeSeries| {
            let mut row = json!({ "metric": s.labels.iter().collect::<std::collections::BTreeMap<_, _>>() });
            let values: Vec<_> = s.points.iter().map(|(t, v)| json!([time(*t), v.to_string()])).collect();
            let histogram = json!({ "count": "2", "sum": "0.5" });
            let histograms: Vec<_> = s.histograms.iter().map(|(t, _)| json!([time(*t), histogram])).collect();
            for (name, list) in [("values", values), ("histograms", histograms)] {
                if !list.is_empty() {
                    row[name] = json!(list);
                }
            }
            row
        };
        let rows: Vec<_> = series.iter().map(row).collect();
        let data = json!({ "resultType": "matrix", "result": rows, "stats": {} });
        json!({ "status": "success", "data": data, "infos": ["i"] })
    }

    /// Times are numbers with a fixed number of decimals, which read as the same.
    fn read(text: &str) -> serde_json::Value {
        fn settle(value: &mut serde_json::Value) {
            match value {
                serde_json::Value::Number(n) => *value = json!(n.as_f64()),
                serde_json::Value::Array(list) => list.iter_mut().for_each(settle),
                serde_json::Value::Object(map) => map.values_mut().for_each(settle),
                _ => {}
            }
        }
        let mut value = serde_json::from_str(text).unwrap();
        settle(&mut value);
        value
    }

    #[test]
    fn a_small_answer_is_one_piece() {
        let sample = |value| InstantSample {
            labels: labels(7),
            value,
            provenance: Provenance::none(),
        };
        let histogram = SampleValue::Histogram(Arc::default());
        let vector = vec![sample(SampleValue::Float(0.1)), sample(histogram)];
        for (value, result) in [
            (Value::Scalar(f64::INFINITY), r#""scalar","result":[1.5,"+Inf"]"#),
            (Value::String("a\"".to_owned()), r#""string","result":[1.5,"a\""]"#),
            (Value::Vector(Vec::new()), r#""vector","result":[]"#),
            (Value::Matrix(Vec::new()), r#""matrix","result":[]"#),
            (
                Value::Vector(vector),
                concat!(
                    r#""vector","result":[{"metric":{"__name__":"m","a\"b":"<7>\n"},"value":[1.500,"0.1"]},"#,
                    r#"{"metric":{"__name__":"m","a\"b":"<7>\n"},"histogram":[1.500,{"count":"0","sum":"0"}]}]"#
                ),
            ),
        ] {
            let text = format!(r#"{{"status":"success","data":{{"resultType":{result},"stats":{{}}}},"infos":["i"]}}"#);
            assert_eq!(pieces(value), [text]);
        }
    }

    #[test]
    fn big_answers_come_in_pieces_that_make_up_the_whole() {
        for (n, points) in [(3, 20), (1, 30_000), (40, 700), (5_000, 0), (2_000, 3)] {
            let series = series(n, points);
            let pieces = pieces(Value::Matrix(series.clone()));
            let (last, full) = pieces.split_last().unwrap();
            assert!(full.iter().all(|piece| (PIECE..PIECE + 256).contains(&piece.len())));
            assert!(last.len() < PIECE + 256, "{n} {points}");
            assert_eq!(read(&pieces.concat()), expected(&series), "{n} {points}");
        }
    }

    #[test]
    fn samples_of_a_vector_are_not_lost_between_pieces() {
        let sample = |i: usize| InstantSample {
            labels: labels(i),
            value: SampleValue::Float(i as f64),
            provenance: Provenance::none(),
        };
        let pieces = pieces(Value::Vector((0..5_000).map(sample).collect()));
        assert!(pieces.len() > 3);
        let answer = read(&pieces.concat());
        let rows = answer["data"]["result"].as_array().unwrap();
        let values: Vec<_> = rows
            .iter()
            .map(|row| row["value"][1].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(values, (0..5_000).map(|i| i.to_string()).collect::<Vec<_>>());
    }
}
