//! Samples of one series that came out of order.

use super::series::Closed;
use crate::chunk::{Encoding, XorAppender};
use leadline_model::port::Refusal;
use leadline_model::sample::{Samples, Timestamp};

/// Samples that are gathered before they become a chunk (`tsdb/db.go`, `DefaultOutOfOrderCapMax`).
const BUFFER: usize = 32;

/// What came out of order: the newest arrivals in a buffer, sorted by time, the others in chunks, which may overlap.
#[derive(Debug, Default)]
pub(super) struct Late {
    buffer: Vec<(Timestamp, u64)>,
    /// In the order of their arrival.
    pub(super) chunks: Vec<Closed>,
}

impl Late {
    /// Adds a sample. `Ok(false)`: it is there already, bit for bit.
    pub(super) fn append(&mut self, t: Timestamp, v: f64) -> Result<bool, Refusal> {
        match self.buffer.binary_search_by_key(&t, |s| s.0) {
            Ok(at) if self.buffer.get(at).is_some_and(|s| s.1 == v.to_bits()) => Ok(false),
            Ok(_) => Err(Refusal::Duplicate),
            Err(at) => {
                if self.buffer.is_empty() {
                    self.buffer.reserve_exact(BUFFER);
                }
                self.buffer.insert(at, (t, v.to_bits()));
                if self.buffer.len() == BUFFER {
                    self.seal();
                }
                Ok(true)
            }
        }
    }

    /// Makes a chunk of the buffer.
    pub(super) fn seal(&mut self) {
        let Some((mint, maxt)) = self.buffer.first().zip(self.buffer.last()).map(|(a, b)| (a.0, b.0)) else {
            return;
        };
        let mut open = XorAppender::default();
        for (t, v) in self.buffer.drain(..) {
            open.append(t, f64::from_bits(v));
        }
        let data = open.seal(&mut Vec::new());
        self.chunks.push(Closed::in_memory(mint, maxt, Encoding::Xor, data));
        self.buffer = Vec::new();
    }

    /// A chunk on the disk has what is in the buffer.
    pub(super) fn adopt(&mut self, chunk: Closed) {
        self.buffer.clear();
        self.chunks.push(chunk);
    }

    /// The samples of the buffer, by time.
    pub(super) fn buffered(&self) -> &[(Timestamp, u64)] {
        &self.buffer
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
        let buffer = self.buffer.first().zip(self.buffer.last()).map(|(a, b)| (a.0, b.0));
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
    use crate::chunk::decode_xor;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn samples_in_any_order_come_back_sorted_and_the_first_of_a_time_stays(
            all in proptest::collection::vec((0i64..90, 0u32..4), 0..200),
        ) {
            let (mut late, mut model) = (Late::default(), BTreeMap::new());
            for (t, v) in all {
                if late.append(t, f64::from(v)) == Ok(true) {
                    model.entry(t).or_insert(f64::from(v));
                }
            }
            prop_assert!(late.buffered().len() < BUFFER);
            let mut read = Samples::default();
            for chunk in late.copy(i64::MIN, i64::MAX) {
                let mut samples = Samples::default();
                decode_xor(chunk.bytes().unwrap(), i64::MIN, i64::MAX, &mut samples).unwrap();
                merge(&mut read, &samples);
            }
            prop_assert_eq!(read.t.into_iter().zip(read.v).collect::<Vec<_>>(), model.into_iter().collect::<Vec<_>>());
        }
    }
}
