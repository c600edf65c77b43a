//! Joining chunks that were closed early, so that a block has those that it would have if none had been.
//!
//! An open chunk takes memory, one in a file a place of it: so the head closes long ones before they are full
//! ([`super::stripe`]). In a block a chunk costs an entry of the index and its first sample in full. What is encoded anew
//! from the first of such a row on ends where chunks that were never cut end, byte for byte.

use crate::chunk::{Encoding, XorAppender, decode, may_be_full};
use crate::error::ChunkError;
use crate::source::SourceChunk;
use bytes::Bytes;
use leadline_model::sample::{Samples, Timestamp};

/// The chunks of one series, by time and without overlaps, with those of floats that follow each other within a block range
/// (`range` ms) joined up to `most` samples. A full one in its place stays as it is.
///
/// # Errors
/// Which of the chunks cannot be decoded, from 0, and why.
pub(super) fn rejoin(chunks: Vec<SourceChunk>, most: u16, range: i64) -> Result<Vec<SourceChunk>, (usize, ChunkError)> {
    let mut joined = Joined::new(most, chunks.len());
    let mut rest = chunks.into_iter().enumerate().peekable();
    while let Some((at, chunk)) = rest.next() {
        let more = rest.peek().is_some_and(|(_, next)| follows(&chunk, next, range));
        if joined.open.samples() == 0 && (!more || may_be_full(&chunk.data, most)) {
            joined.chunks.push(chunk);
            continue;
        }
        joined.add(&chunk).map_err(|error| (at, error))?;
        if !more || joined.open.is_full(most) {
            joined.close();
        }
    }
    Ok(joined.chunks)
}

/// Whether samples of `next` could have gone to the same chunk as those of `chunk`.
fn follows(chunk: &SourceChunk, next: &SourceChunk, range: i64) -> bool {
    let begin = |t: Timestamp| t.div_euclid(range.max(1));
    chunk.encoding == Encoding::Xor
        && next.encoding == Encoding::Xor
        && chunk.maxt < next.mint
        && begin(chunk.maxt) == begin(next.mint)
}

/// What was joined so far.
struct Joined {
    most: u16,
    chunks: Vec<SourceChunk>,
    open: XorAppender,
    /// Time (ms) of the open chunk's first sample.
    from: Timestamp,
    samples: Samples,
    scratch: Vec<u8>,
}

impl Joined {
    fn new(most: u16, chunks: usize) -> Self {
        Self {
            most,
            chunks: Vec::with_capacity(chunks),
            open: XorAppender::default(),
            from: Timestamp::MIN,
            samples: Samples::default(),
            scratch: Vec::new(),
        }
    }

    /// Adds the samples of a chunk.
    fn add(&mut self, chunk: &SourceChunk) -> Result<(), ChunkError> {
        self.samples.clear();
        decode(
            chunk.encoding,
            &chunk.data,
            Timestamp::MIN,
            Timestamp::MAX,
            &mut self.samples,
        )?;
        for n in 0..self.samples.len() {
            if self.open.is_full(self.most) {
                self.close();
            }
            if self.open.samples() == 0 {
                self.from = self.samples.t[n];
            }
            self.open.append(self.samples.t[n], self.samples.v[n]);
        }
        Ok(())
    }

    /// Ends the chunk that is being filled, if it has samples.
    fn close(&mut self) {
        if self.open.samples() == 0 {
            return;
        }
        let maxt = self.open.last_t();
        let data = self.open.seal(&mut self.scratch);
        self.chunks.push(SourceChunk {
            mint: self.from,
            maxt,
            encoding: Encoding::Xor,
            data: Bytes::from_owner(data),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RANGE: i64 = 1_000_000;
    const MOST: u16 = 20;

    /// The chunks that an appender makes of samples when it ends one where a block ends, when it is full, and behind each
    /// sample that `ends` names.
    fn encode(samples: &[(Timestamp, f64)], most: u16, ends: impl Fn(usize) -> bool) -> Vec<SourceChunk> {
        let mut all = Joined::new(most, 0);
        for (i, &(t, v)) in samples.iter().enumerate() {
            let last = i.checked_sub(1).map(|i| samples[i].0);
            if all.open.is_full(most) || last.is_some_and(|last| ends(i - 1) || last / RANGE != t / RANGE) {
                all.close();
            }
            if all.open.samples() == 0 {
                all.from = t;
            }
            all.open.append(t, v);
        }
        all.close();
        all.chunks
    }

    proptest! {
        #[test]
        fn what_was_closed_early_becomes_what_it_would_have_been(
            steps in proptest::collection::vec((prop_oneof![4 => Just(15_000i64), 1 => 1i64..400_000],
                prop_oneof![Just(0.0f64), (0i32..50).prop_map(f64::from), any::<f64>()], any::<u8>()), 1..300),
            often in 0u8..60,
            // So many hard ones do not fit into a chunk.
            most in prop_oneof![Just(MOST), Just(120)],
        ) {
            let mut t = 0;
            let samples: Vec<_> = steps.iter().map(|step| { t += step.0; (t, step.1) }).collect();
            let parts = encode(&samples, most, |i| steps[i].2 < often);
            prop_assert_eq!(rejoin(parts, most, RANGE).unwrap(), encode(&samples, most, |_| false));
        }
    }

    #[test]
    fn a_chunk_that_ended_just_before_it_was_full_is_joined_with_the_next() {
        // Positive numbers whose bits are noise: some ten bytes each.
        let noise = |i: u64| f64::from_bits(i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 2);
        let samples: Vec<_> = (1..150)
            .map(|i| (i * 1_000 + i * i % 7 * 50, noise(i as u64)))
            .collect();
        let whole = encode(&samples, 120, |_| false);
        let full = samples.iter().filter(|sample| sample.0 <= whole[0].maxt).count();
        assert!((90..115).contains(&full), "{full}");
        for last in full - 12..full - 1 {
            let parts = encode(&samples, 120, |i| i == last);
            assert_eq!(rejoin(parts, 120, RANGE).unwrap(), whole, "{last} of {full}");
        }
    }

    /// A chunk that says it is of another encoding than floats is left alone, and so are its neighbours.
    #[test]
    fn only_floats_that_follow_each_other_are_joined() {
        let samples: Vec<_> = (0..30).map(|i| (i * 1_000, i as f64)).collect();
        let mut parts = encode(&samples, MOST, |i| i % 10 == 9);
        parts[1].encoding = Encoding::Histogram;
        assert_eq!(rejoin(parts.clone(), MOST, RANGE).unwrap(), parts);
        parts[1].encoding = Encoding::Xor;
        parts.swap(0, 2);
        let swapped = rejoin(parts.clone(), MOST, RANGE).unwrap();
        assert_eq!((swapped.len(), &swapped[0]), (3, &parts[0]));
    }

    #[test]
    fn a_damaged_chunk_is_an_error_that_says_which() {
        let samples: Vec<_> = (0..12).map(|i| (i * 1_000, i as f64)).collect();
        let mut parts = encode(&samples, MOST, |i| i == 5);
        parts[1].data.truncate(9);
        let (at, error) = rejoin(parts, MOST, RANGE).unwrap_err();
        assert!(
            at == 1 && error.to_string().contains("ends inside sample"),
            "{at}: {error}"
        );
    }
}
