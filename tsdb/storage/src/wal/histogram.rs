//! Records of native histograms (`tsdb/record/record.go`).
//!
//! ```text
//! 7 integer, 8 float, and 9, 10 the same with bounds of their own
//!   first ref u64 | first t i64 | of each: ref - first varint, t - first varint, histogram
//! 12 integer, 13 float, with start times; read only
//!   first ref varint | t varint | start varint | histogram
//!   then of each: ref - the one before varint, t - first varint, start, histogram
//!   start: u8 0 none, 1 that of the one before, 2 start - first varint
//! histogram
//!   resets u8 | schema varint | zero threshold f64 | zero count | count | sum f64
//!   spans above zero, spans below zero: count uvarint, then of each offset varint and length uvarint
//!   buckets above zero, buckets below zero: count uvarint, then each
//!   bounds, of schema -53 alone: count uvarint, then each f64
//!   integer: counts are uvarints, buckets varints, each the difference to the one before; float: all are f64
//! ```
//! Versions that know no bounds of a histogram's own pass 9 and 10 over and would misread them in 7 and 8.

use super::record::{RecordType, skip_start_time};
use crate::codec::{Cursor, Got, Malformed, put_f64, put_u64, put_uvarint, put_varint};
use leadline_model::histogram::{AnyHistogram, CUSTOM_BUCKETS, FloatHistogram, Histogram, MAX_SCHEMA, ResetHint, Span};
use leadline_model::sample::Timestamp;
use std::sync::Arc;

/// One histogram of a record.
#[derive(Debug, Clone, PartialEq)]
pub struct HistogramEntry {
    /// The series.
    pub series: u64,
    /// Time, ms.
    pub t: Timestamp,
    /// The distribution. It may be invalid: the log does not look at it.
    pub h: AnyHistogram,
}

/// Builds the up to four records that a commit's histograms make.
#[derive(Debug, Clone, Default)]
pub struct HistogramsEncoder {
    records: [Building; 4],
    /// Which of the records the newest histogram went into.
    newest: usize,
}

/// Its records in their order.
const KINDS: [RecordType; 4] = [
    RecordType::Histograms,
    RecordType::FloatHistograms,
    RecordType::CustomHistograms,
    RecordType::CustomFloatHistograms,
];

#[derive(Debug, Clone, Default)]
struct Building {
    bytes: Vec<u8>,
    first: (u64, Timestamp),
}

impl HistogramsEncoder {
    /// Adds a histogram.
    pub fn push(&mut self, series: u64, t: Timestamp, h: &AnyHistogram) {
        let number = record_of(h);
        self.newest = number;
        let record = &mut self.records[number];
        if record.bytes.is_empty() {
            record.first = (series, t);
            record.bytes.push(KINDS[number] as u8);
            put_u64(&mut record.bytes, series);
            put_u64(&mut record.bytes, t as u64);
        }
        put_varint(&mut record.bytes, series.wrapping_sub(record.first.0) as i64);
        put_varint(&mut record.bytes, t.wrapping_sub(record.first.1));
        put_histogram(&mut record.bytes, h);
    }

    /// Whether the record of this histogram goes before that of the newest: both cannot be of one series then.
    pub fn is_behind(&self, h: &AnyHistogram) -> bool {
        record_of(h) < self.newest
    }

    /// The records, by type.
    pub fn records(&self) -> impl Iterator<Item = &[u8]> {
        self.records
            .iter()
            .map(|r| r.bytes.as_slice())
            .filter(|r| !r.is_empty())
    }

    /// Forgets the histograms and keeps the memory.
    pub fn clear(&mut self) {
        self.records.iter_mut().for_each(|r| r.bytes.clear());
        self.newest = 0;
    }
}

/// Which of the records a histogram goes into.
fn record_of(h: &AnyHistogram) -> usize {
    let (custom, float) = match h {
        AnyHistogram::Int(h) => (h.schema == CUSTOM_BUCKETS, false),
        AnyHistogram::Float(h) => (h.schema == CUSTOM_BUCKETS, true),
    };
    usize::from(custom) * 2 + usize::from(float)
}

/// Appends a histogram as records hold it, without its series and time.
pub fn put_histogram(out: &mut Vec<u8>, h: &AnyHistogram) {
    match h {
        AnyHistogram::Int(h) => {
            put_head(out, h.reset, h.schema, h.zero_threshold);
            put_uvarint(out, h.zero_count);
            put_uvarint(out, h.count);
            put_f64(out, h.sum);
            put_spans(out, &h.positive_spans);
            put_spans(out, &h.negative_spans);
            for buckets in [&h.positive_buckets, &h.negative_buckets] {
                put_uvarint(out, buckets.len() as u64);
                buckets.iter().for_each(|&bucket| put_varint(out, bucket));
            }
            put_bounds(out, h.schema, &h.custom_values);
        }
        AnyHistogram::Float(h) => {
            put_head(out, h.reset, h.schema, h.zero_threshold);
            put_f64(out, h.zero_count);
            put_f64(out, h.count);
            put_f64(out, h.sum);
            put_spans(out, &h.positive_spans);
            put_spans(out, &h.negative_spans);
            put_floats(out, &h.positive_buckets);
            put_floats(out, &h.negative_buckets);
            put_bounds(out, h.schema, &h.custom_values);
        }
    }
}

fn put_head(out: &mut Vec<u8>, reset: ResetHint, schema: i32, zero_threshold: f64) {
    out.push(reset as u8);
    put_varint(out, i64::from(schema));
    put_f64(out, zero_threshold);
}

fn put_spans(out: &mut Vec<u8>, spans: &[Span]) {
    put_uvarint(out, spans.len() as u64);
    for span in spans {
        put_varint(out, i64::from(span.offset));
        put_uvarint(out, u64::from(span.length));
    }
}

fn put_floats(out: &mut Vec<u8>, values: &[f64]) {
    put_uvarint(out, values.len() as u64);
    values.iter().for_each(|&value| put_f64(out, value));
}

fn put_bounds(out: &mut Vec<u8>, schema: i32, bounds: &[f64]) {
    if schema == CUSTOM_BUCKETS {
        put_floats(out, bounds);
    }
}

/// What a record's histograms count in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counts {
    Int,
    Float,
}

/// The histograms of a record of types 7 to 10, 12 and 13. Those of a schema that is not known are passed over, and finer
/// ones than schema 8, which no version writes yet, are brought down to it.
#[derive(Debug, Clone)]
pub struct HistogramIter<'a> {
    cursor: Cursor<'a>,
    counts: Counts,
    with_start: bool,
    first: Option<(u64, Timestamp)>,
    /// The series of the histogram before.
    before: u64,
    /// How many were passed over.
    unknown: usize,
}

impl<'a> HistogramIter<'a> {
    /// A record of types 7 to 10; `cursor` stands behind the type.
    pub(super) fn v1(cursor: Cursor<'a>, counts: Counts) -> Self {
        Self {
            cursor,
            counts,
            with_start: false,
            first: None,
            before: 0,
            unknown: 0,
        }
    }

    /// A record of types 12 and 13; `cursor` stands behind the type.
    pub(super) fn v2(cursor: Cursor<'a>, counts: Counts) -> Self {
        Self {
            with_start: true,
            ..Self::v1(cursor, counts)
        }
    }

    /// How many were passed over so far because their schema is not known.
    #[must_use]
    pub fn unknown(&self) -> usize {
        self.unknown
    }

    fn read(&mut self) -> Result<Option<HistogramEntry>, Malformed> {
        while !self.cursor.is_empty() {
            let (series, t) = self.place()?;
            self.before = series;
            let h = match self.counts {
                Counts::Int => AnyHistogram::Int(Arc::new(histogram(&mut self.cursor)?)),
                Counts::Float => AnyHistogram::Float(Arc::new(float_histogram(&mut self.cursor)?)),
            };
            match known(h) {
                Ok(Some(h)) => return Ok(Some(HistogramEntry { series, t, h })),
                Ok(None) => self.unknown += 1,
                Err(schema) => {
                    let got = Got::Number(schema as u64);
                    return Err(self
                        .cursor
                        .malformed("a histogram whose spans and buckets go together", got));
                }
            }
        }
        Ok(None)
    }

    /// Series and time of the next histogram.
    fn place(&mut self) -> Result<(u64, Timestamp), Malformed> {
        let cursor = &mut self.cursor;
        match (self.first, self.with_start) {
            (None, true) => {
                let first = (cursor.varint()? as u64, cursor.varint()?);
                cursor.varint()?;
                self.first = Some(first);
                Ok(first)
            }
            (Some((_, t)), true) => {
                let series = self.before.wrapping_add(cursor.varint()? as u64);
                let t = t.wrapping_add(cursor.varint()?);
                skip_start_time(cursor)?;
                Ok((series, t))
            }
            (first, false) => {
                let first = match first {
                    Some(first) => first,
                    None => (cursor.be_u64()?, cursor.be_i64()?),
                };
                self.first = Some(first);
                let series = first.0.wrapping_add(cursor.varint()? as u64);
                Ok((series, first.1.wrapping_add(cursor.varint()?)))
            }
        }
    }
}

impl Iterator for HistogramIter<'_> {
    type Item = Result<HistogramEntry, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let read = self.read();
        if read.is_err() {
            self.cursor.take_rest();
        }
        read.transpose()
    }
}

/// The histogram with a schema that can be used; `None` for one of an unknown schema, and the schema of one that cannot
/// be made coarser because it is invalid.
fn known(h: AnyHistogram) -> Result<Option<AnyHistogram>, i32> {
    let schema = match &h {
        AnyHistogram::Int(h) => h.schema,
        AnyHistogram::Float(h) => h.schema,
    };
    match schema {
        CUSTOM_BUCKETS | -9..=MAX_SCHEMA => Ok(Some(h)),
        9..=52 => h.reduce_resolution(MAX_SCHEMA).map(Some).ok_or(schema),
        _ => Ok(None),
    }
}

/// Reads what [`put_histogram`] wrote of integer counts.
///
/// # Errors
/// [`Malformed`]
pub fn histogram(cursor: &mut Cursor<'_>) -> Result<Histogram, Malformed> {
    let (reset, schema, zero_threshold) = head(cursor)?;
    Ok(Histogram {
        reset,
        schema,
        zero_threshold,
        zero_count: cursor.uvarint()?,
        count: cursor.uvarint()?,
        sum: cursor.f64()?,
        positive_spans: spans(cursor)?,
        negative_spans: spans(cursor)?,
        positive_buckets: integers(cursor)?,
        negative_buckets: integers(cursor)?,
        custom_values: bounds(cursor, schema)?,
    })
}

/// Reads what [`put_histogram`] wrote of float counts.
///
/// # Errors
/// [`Malformed`]
pub fn float_histogram(cursor: &mut Cursor<'_>) -> Result<FloatHistogram, Malformed> {
    let (reset, schema, zero_threshold) = head(cursor)?;
    Ok(FloatHistogram {
        reset,
        schema,
        zero_threshold,
        zero_count: cursor.f64()?,
        count: cursor.f64()?,
        sum: cursor.f64()?,
        positive_spans: spans(cursor)?,
        negative_spans: spans(cursor)?,
        positive_buckets: floats(cursor)?,
        negative_buckets: floats(cursor)?,
        custom_values: bounds(cursor, schema)?,
    })
}

fn head(cursor: &mut Cursor<'_>) -> Result<(ResetHint, i32, f64), Malformed> {
    // A hint that is not known says nothing.
    let reset = ResetHint::from_number(cursor.u8()?).unwrap_or_default();
    Ok((reset, narrow(cursor, "a schema of 32 bits")?, cursor.f64()?))
}

/// A varint that fits into 32 bits.
fn narrow(cursor: &mut Cursor<'_>, expected: &'static str) -> Result<i32, Malformed> {
    let wide = cursor.varint()?;
    i32::try_from(wide).map_err(|_| cursor.malformed(expected, Got::Number(wide as u64)))
}

fn spans(cursor: &mut Cursor<'_>) -> Result<Vec<Span>, Malformed> {
    let count = cursor.count(2)?;
    let span = |_| {
        let offset = narrow(cursor, "a span's offset of 32 bits")?;
        let length = cursor.uvarint()?;
        let length =
            u32::try_from(length).map_err(|_| cursor.malformed("a span's length of 32 bits", Got::Number(length)))?;
        Ok(Span { offset, length })
    };
    (0..count).map(span).collect()
}

fn integers(cursor: &mut Cursor<'_>) -> Result<Vec<i64>, Malformed> {
    (0..cursor.count(1)?).map(|_| cursor.varint()).collect()
}

fn floats(cursor: &mut Cursor<'_>) -> Result<Vec<f64>, Malformed> {
    (0..cursor.count(8)?).map(|_| cursor.f64()).collect()
}

fn bounds(cursor: &mut Cursor<'_>, schema: i32) -> Result<Arc<[f64]>, Malformed> {
    if schema == CUSTOM_BUCKETS {
        floats(cursor).map(Arc::from)
    } else {
        Ok(Arc::default())
    }
}
