//! Samples of one series that came out of order.

use super::series::Closed;
use crate::points::{Point, Value, encode};
use leadline_model::port::Refusal;
use leadline_model::sample::{Samples, Timestamp};

/// Samples that are gathered before they become a chunk (`tsdb/db.go`, `DefaultOutOfOrderCapMax`); fewer where the
/// store is tested.
const BUFFER: usize = if cfg!(feature = "planted") { 4 } else { 32 };

/// What came out of order: the newest arrivals in a buffer, sorted by time, the others in chunks, which may overlap.
#[derive(Debug, Default)]
pub(super) struct Late {
    buffer: Vec<Point>,
    /// In the order of their arrival.
    pub(super) chunks: Vec<Closed>,
}

impl Late {
    /// Adds a float or a valid histogram. `Ok(false)`: it is there already.
    pub(super) fn append(&mut self, t: Timestamp, v: Value) -> Result<bool, Refusal> {
        match self.buffer.binary_search_by_key(&t, |s| s.t) {
            Ok(at) if self.buffer.get(at).is_some_and(|s| s.v.same(&v)) => Ok(false),
            Ok(_) => Err(Refusal::Duplicate),
            Err(at) => {
                self.buffer.insert(at, Point { t, v });
                if self.buffer.len() == BUFFER {
                    self.seal();
                }
                Ok(true)
            }
        }
    }

    /// Makes chunks of the buffer: one, or more where floats and histograms change or a counter of histograms began again
    /// (`tsdb/ooo_head.go`, `ToEncodedChunks`).
    pub(super) fn seal(&mut self) {
        let points = std::mem::take(&mut self.buffer);
        self.chunks.extend(encode(&points).iter().map(Closed::encoded));
    }

    /// A chunk on the disk has what is in the buffer of its time.
    pub(super) fn adopt(&mut self, chunk: Closed) {
        self.buffer.retain(|s| s.t < chunk.mint || s.t > chunk.maxt());
        self.chunks.push(chunk);
    }

    /// The samples that are in memory alone, chunk by chunk, and those of the buffer behind them.
    pub(super) fn in_memory(&self) -> impl Iterator<Item = Vec<Point>> {
        let chunks = self.chunks.iter().filter_map(Closed::points);
        chunks.chain([self.buffer.clone()])
    }

    /// About how many bytes of memory it takes.
    pub(super) fn memory(&self) -> u64 {
        let chunks: u64 = self.chunks.iter().map(Closed::memory).sum();
        let entries = self.chunks.len() * 2 * size_of::<Closed>() + self.buffer.len() * size_of::<Point>();
        chunks + (entries + 2 * size_of::<Self>()) as u64
    }

    /// Whether there is nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.buffer.is_empty() && self.chunks.is_empty()
    }

    /// Whether there may be samples with `mint <= t <= maxt` (ms).
    pub(super) fn overlaps(&self, mint: Timestamp, maxt: Timestamp) -> bool {
        self.ends().is_some_and(|ends| ends.1 >= mint && ends.0 <= maxt)
    }

    /// The oldest and the newest time (ms).
    pub(super) fn ends(&self) -> Option<(Timestamp, Timestamp)> {
        let chunks = self.chunks.iter().map(|c| (c.mint, c.maxt()));
        let buffer = self.buffer.first().zip(self.buffer.last()).map(|(a, b)| (a.t, b.t));
        chunks
            .chain(buffer)
            .reduce(|all, ends| (all.0.min(ends.0), all.1.max(ends.1)))
    }

    /// The oldest file that a chunk is in.
    pub(super) fn oldest_file(&self) -> Option<u32> {
        self.chunks
            .iter()
            .filter_map(Closed::place)
            .map(|place| (place >> 32) as u32)
            .min()
    }

    /// What is there between `mint` and `maxt` (ms), to be read later: the buffer becomes a chunk of its own.
    pub(super) fn copy(&self, mint: Timestamp, maxt: Timestamp) -> Vec<Closed> {
        let mut chunks = self.chunks.clone();
        if !self.buffer.is_empty() {
            let mut whole = Self {
                buffer: self.buffer.clone(),
                chunks: Vec::new(),
            };
            whole.seal();
            chunks.append(&mut whole.chunks);
        }
        chunks.retain(|chunk| chunk.overlaps(mint, maxt));
        chunks
    }
}

/// Adds samples that are sorted by time to others that are; where both have one of the same time, that of `into` stays.
pub(super) fn merge(into: &mut Samples, late: &Samples) {
    if late.is_empty() {
        return;
    }
    let (old, mut i, mut j) = (std::mem::take(into), 0, 0);
    while let Some(&t) = old.t.get(i) {
        while let Some(&before) = late.t.get(j).filter(|&&l| l <= t) {
            if before < t {
                into.push(before, late.v[j]);
            }
            j += 1;
        }
        into.push(t, old.v[i]);
        i += 1;
    }
    for j in j..late.t.len() {
        into.push(late.t[j], late.v[j]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::points::{self, decode};
    use leadline_model::histogram::{AnyHistogram, Histogram};
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::sync::Arc;

    fn value(kind: u8, n: u32) -> Value {
        let histogram = Histogram {
            count: u64::from(n),
            zero_count: u64::from(n),
            ..Histogram::default()
        };
        match kind {
            0 => Value::Float(f64::from(n)),
            1 => Value::Histogram(AnyHistogram::Float(Arc::new(histogram.to_float()))),
            _ => Value::Histogram(AnyHistogram::Int(Arc::new(histogram))),
        }
    }

    proptest! {
        #[test]
        fn samples_in_any_order_come_back_sorted_and_the_first_of_a_time_stays(
            all in proptest::collection::vec((0i64..90, 0u8..3, 0u32..4), 0..200),
        ) {
            let (mut late, mut model) = (Late::default(), BTreeMap::new());
            for (t, kind, n) in all {
                if late.append(t, value(kind, n)) == Ok(true) {
                    model.entry(t).or_insert(value(kind, n));
                }
            }
            prop_assert!(late.buffer.len() < BUFFER);
            let mut read = Vec::new();
            for (rank, chunk) in late.copy(i64::MIN, i64::MAX).iter().enumerate() {
                let mut decoded = Vec::new();
                decode(chunk.encoding, chunk.bytes().unwrap(), i64::MIN, i64::MAX, &mut decoded).unwrap();
                prop_assert_eq!((decoded[0].t, decoded[decoded.len() - 1].t), (chunk.mint, chunk.maxt()));
                read.extend(decoded.into_iter().map(|point| (point, rank)));
            }
            points::join(&mut read);
            prop_assert_eq!(read.len(), model.len());
            for ((read, _), (t, v)) in read.iter().zip(&model) {
                prop_assert!(read.t == *t && read.v.same(v), "{:?} at {}", read, t);
            }
        }
    }

    #[test]
    fn a_chunk_on_the_disk_takes_what_it_has_out_of_the_buffer_and_nothing_else() {
        let mut late = Late::default();
        for (t, kind) in [(10, 0), (20, 0), (30, 2), (40, 2)] {
            late.append(t, value(kind, 1)).unwrap();
        }
        let mut chunks = late.copy(i64::MIN, i64::MAX);
        assert_eq!(chunks.len(), 2);
        late.adopt(chunks.remove(0));
        assert_eq!(late.buffer.iter().map(|s| s.t).collect::<Vec<_>>(), [30, 40]);
    }
}
