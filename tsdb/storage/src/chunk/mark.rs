//! Places within an open chunk at which decoding can begin, so that a query of the newest minutes need not decode what
//! came before them.
//!
//! What a decoder knows behind a sample is what the appender knew when it had written it. Every [`EVERY`] samples the
//! appender notes that at the end of its buffer; a closed chunk has no marks, and its bytes are Prometheus' alone.

use super::bits::BitReader;
use leadline_model::sample::Timestamp;

/// Samples between two marks: two for most chunks, which end at 120 samples, the second of them near the end. Where the
/// store is tested, short chunks have some too.
pub(super) const EVERY: u16 = if cfg!(any(test, feature = "planted")) { 4 } else { 48 };
/// Bytes of a mark in the appender's buffer.
pub(super) const SIZE: usize = 32;

/// What is known behind one sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Time of the sample, ms.
    pub(super) t: Timestamp,
    /// Bits of its value.
    pub(super) v: u64,
    /// Its distance from the sample before it, ms.
    pub(super) delta: u64,
    /// Where the next sample begins, in bits: of the chunk, or of the bytes that were copied of it.
    pub(super) pos: u16,
    /// Significant bits of the window of values, and insignificant ones below it.
    pub(super) window: (u8, u8),
    /// Samples behind it; not noted in the buffer.
    pub(super) left: u16,
}

impl Mark {
    /// As it stands in the buffer.
    pub(super) fn bytes(&self) -> [u8; SIZE] {
        let mut out = [0; SIZE];
        out[..8].copy_from_slice(&self.t.to_le_bytes());
        out[8..16].copy_from_slice(&self.v.to_le_bytes());
        out[16..24].copy_from_slice(&self.delta.to_le_bytes());
        out[24..26].copy_from_slice(&self.pos.to_le_bytes());
        (out[26], out[27]) = self.window;
        out
    }

    /// Back from [`Self::bytes`], with `left` samples behind it.
    pub(super) fn read(bytes: &[u8; SIZE], left: u16) -> Self {
        let word = |at: usize| bytes[at..].first_chunk().map_or(0, |word| u64::from_le_bytes(*word));
        Self {
            t: word(0) as Timestamp,
            v: word(8),
            delta: word(16),
            pos: u16::from_le_bytes([bytes[24], bytes[25]]),
            window: (bytes[26], bytes[27]),
            left,
        }
    }

    /// A reader at the next sample.
    pub(super) fn reader<'a>(&self, bits: &'a [u8]) -> BitReader<'a> {
        let mut reader = BitReader::new(bits);
        reader.skip(u32::from(self.pos));
        reader
    }
}

#[cfg(test)]
mod tests {
    use super::super::{XorAppender, decode_since, decode_xor};
    use super::EVERY;
    use leadline_model::sample::Samples;
    use proptest::prelude::*;

    /// What is read of an open chunk from `from` to `to` is what a decoder of all of it reads.
    fn compare(samples: &[(i64, f64)], from: i64, to: i64) -> Result<(), TestCaseError> {
        let mut open = XorAppender::default();
        for &(t, v) in samples {
            open.append(t, v);
        }
        let (mut whole, mut part) = (Vec::new(), vec![0xff; 3]);
        open.copy_to(&mut whole);
        let mark = open.copy_since(from, &mut part);
        let (mut expected, mut found) = (Samples::default(), Samples::default());
        decode_xor(&whole, from, to, &mut expected).unwrap();
        match &mark {
            Some(mark) => decode_since(mark, &part[3..], from, to, &mut found).unwrap(),
            None => decode_xor(&part[3..], from, to, &mut found).unwrap(),
        }
        let bits = |s: &Samples| (s.t.clone(), s.v.iter().map(|v| v.to_bits()).collect::<Vec<_>>());
        prop_assert_eq!(bits(&expected), bits(&found));
        // A mark is used wherever one is.
        let skipped = samples.iter().take_while(|s| s.0 < from).count();
        prop_assert_eq!(mark.is_some(), skipped >= usize::from(EVERY));
        let mut sealed = Vec::new();
        prop_assert_eq!(&*open.seal(&mut sealed), whole.as_slice());
        Ok(())
    }

    proptest! {
        #[test]
        fn from_a_mark_on_the_same_is_read(
            steps in proptest::collection::vec((prop_oneof![Just(15_000i64), 1i64..40_000, Just(1i64 << 40)],
                prop_oneof![Just(0.0f64), (0i32..50).prop_map(f64::from), any::<f64>()]), 1..200),
            from in 0usize..200,
            length in 0usize..100,
        ) {
            let (mut t, mut v) = (1_700_000_000_000, 0.0);
            let mut open = XorAppender::default();
            let mut samples = Vec::new();
            for (step, x) in steps {
                if open.is_full(u16::MAX) {
                    break;
                }
                (t, v) = (t + step, if x.abs() < 50.0 { v + x } else { x });
                open.append(t, v);
                samples.push((t, v));
            }
            let from = from.min(samples.len() - 1);
            let to = (from + length).min(samples.len() - 1);
            compare(&samples, samples[from].0, samples[to].0)?;
            compare(&samples, samples[from].0 + 1, samples[to].0)?;
        }
    }

    #[test]
    fn samples_whose_bits_still_wait_are_behind_their_mark() {
        let last = i64::from(EVERY);
        let samples: Vec<_> = (0..=last).map(|i| (i * 15_000, 7.0)).collect();
        compare(&samples, last * 15_000, i64::MAX).unwrap();
    }
}
