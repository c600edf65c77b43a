//! Chunks of floats as queries want them: decoded, for whoever reads them again.

use super::{Encoding, decode};
use leadline_model::sample::{Samples, Timestamp};
use std::ops::Range;
use std::sync::Arc;

/// The samples of a chunk of floats; a clone shares them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Decoded {
    times: Times,
    values: Arc<[f64]>,
}

/// When samples are, ms, each later than the one before it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Times {
    /// At equal distances, as those of a target are as a rule: the first, and from one to the next. From the first to the last it
    /// is less than [`i64::MAX`].
    Even {
        first: Timestamp,
        gap: i64,
    },
    Each(Arc<[Timestamp]>),
}

impl Decoded {
    /// Appends the floats of a chunk with `mint <= t <= maxt` (ms) to `into`, as [`decode`] does, and returns all that the
    /// chunk has. None, and nothing is appended, where what is kept would not be what [`decode`] reads: of a chunk that is
    /// damaged anywhere, or whose times go back.
    pub(crate) fn read(
        encoding: Encoding,
        chunk: &[u8],
        (mint, maxt): (Timestamp, Timestamp),
        into: &mut Samples,
    ) -> Option<Self> {
        let before = into.len();
        let read = decode(encoding, chunk, Timestamp::MIN, Timestamp::MAX, into);
        let (times, values) = (into.t.get(before..)?, into.v.get(before..)?);
        let decoded = read.ok().and_then(|()| {
            Some(Self {
                times: Times::of(times)?,
                values: values.into(),
            })
        });
        let within = match &decoded {
            Some(decoded) => decoded.within(mint, maxt),
            None => 0..0,
        };
        cut(&mut into.t, before, &within);
        cut(&mut into.v, before, &within);
        decoded
    }

    /// Appends the samples with `mint <= t <= maxt` (ms).
    pub(crate) fn append(&self, (mint, maxt): (Timestamp, Timestamp), into: &mut Samples) {
        let within = self.within(mint, maxt);
        let values = self.values.get(within.clone()).unwrap_or_default();
        if values.is_empty() {
            return;
        }
        into.v.extend_from_slice(values);
        match &self.times {
            Times::Even { first, gap } => {
                let (before, mut time) = (into.t.len(), first + gap * within.start as i64);
                into.t.resize(before + values.len(), 0);
                for to in into.t.iter_mut().skip(before) {
                    *to = time;
                    // Behind the last of all, time may end.
                    time = time.wrapping_add(*gap);
                }
            }
            Times::Each(times) => into.t.extend_from_slice(times.get(within).unwrap_or_default()),
        }
    }

    /// Bytes of memory that its samples take.
    pub(crate) fn bytes(&self) -> usize {
        let times = match &self.times {
            Times::Even { .. } => 0,
            Times::Each(times) => size_of_val(&**times),
        };
        times + size_of_val(&*self.values)
    }

    /// Which samples are in a time, ms, both ends included.
    fn within(&self, mint: Timestamp, maxt: Timestamp) -> Range<usize> {
        let len = self.values.len();
        let (from, to) = match &self.times {
            Times::Even { first, gap } => {
                // How many come before a time that is so far behind the first.
                let before = |behind: i64| usize::try_from((behind - 1) / gap + 1).unwrap_or(len).min(len);
                let from = match mint.saturating_sub(*first) {
                    ..=0 => 0,
                    behind => before(behind),
                };
                let to = match maxt.saturating_sub(*first) {
                    ..0 => 0,
                    behind => before(behind.saturating_add(1)),
                };
                (from, to)
            }
            Times::Each(times) => (
                times.partition_point(|t| *t < mint),
                times.partition_point(|t| *t <= maxt),
            ),
        };
        from..to.max(from)
    }
}

impl Times {
    /// None where they do not ascend.
    fn of(times: &[Timestamp]) -> Option<Self> {
        let [first, rest @ ..] = times else {
            return Some(Self::Each(Arc::default()));
        };
        let gap = rest.first().map_or(Some(1), |second| second.checked_sub(*first))?;
        // All are looked at without a way out on the way, so that several are compared at once.
        let (mut expected, mut off) = (*first, 0);
        for time in times {
            off |= time ^ expected;
            expected = expected.wrapping_add(gap);
        }
        let span = expected.wrapping_sub(gap).checked_sub(*first);
        if off == 0 && gap > 0 && span.is_some_and(|span| (0..i64::MAX).contains(&span)) {
            return Some(Self::Even { first: *first, gap });
        }
        times
            .is_sorted_by(|one, next| one < next)
            .then(|| Self::Each(times.into()))
    }
}

/// Leaves of what is behind `before` only what is within.
fn cut<T>(column: &mut Vec<T>, before: usize, within: &Range<usize>) {
    column.truncate(before + within.end);
    column.drain(before..before + within.start);
}

#[cfg(test)]
mod tests {
    use super::super::XorAppender;
    use super::*;
    use crate::error::ChunkError;
    use proptest::prelude::*;

    fn chunk(samples: &[(Timestamp, f64)]) -> Vec<u8> {
        let (mut open, mut bytes) = (XorAppender::default(), Vec::new());
        for &(t, v) in samples {
            open.append(t, v);
        }
        open.copy_to(&mut bytes);
        bytes
    }

    fn bits(samples: &Samples) -> Vec<(Timestamp, u64)> {
        let values = samples.v.iter().map(|v| v.to_bits());
        samples.t.iter().copied().zip(values).collect()
    }

    fn some() -> Samples {
        let mut samples = Samples::default();
        samples.push(-1_000, 0.5);
        samples
    }

    fn with_decoder(chunk: &[u8], (mint, maxt): (Timestamp, Timestamp)) -> Result<Vec<(Timestamp, u64)>, ChunkError> {
        let mut samples = some();
        decode(Encoding::Xor, chunk, mint, maxt, &mut samples)?;
        Ok(bits(&samples))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn what_is_kept_gives_what_decoding_would(
            (start, gap) in (-50i64..50, 1i64..20),
            uneven in proptest::collection::vec(1i64..20, 1..40),
            even in any::<bool>(),
            stale in any::<bool>(),
            (from, to) in (-200i64..600, -200i64..600),
        ) {
            let mut t = start;
            let samples: Vec<_> = uneven.iter().map(|other| {
                t += if even { gap } else { *other };
                (t, if stale && t % 3 == 0 { leadline_model::sample::STALE_NAN } else { t as f64 * 0.1 })
            }).collect();
            let chunk = chunk(&samples);
            for window in [(from, to), (from, i64::MAX), (i64::MIN, to), (i64::MIN, i64::MAX), (i64::MAX, i64::MIN)] {
                let expected = with_decoder(&chunk, window).unwrap();
                let mut read = some();
                let decoded = Decoded::read(Encoding::Xor, &chunk, window, &mut read).unwrap();
                prop_assert_eq!(&bits(&read), &expected, "read {:?}", window);
                let mut appended = some();
                decoded.append(window, &mut appended);
                prop_assert_eq!(bits(&appended), expected, "appended {:?}", window);
                let each = if even || samples.len() < 3 { 8 } else { 16 };
                prop_assert!(decoded.bytes() <= samples.len() * each);
            }
        }
    }

    #[test]
    fn the_ends_of_time_are_times_as_any() {
        for samples in [
            vec![(i64::MIN, 1.0), (i64::MIN + 10, 2.0), (i64::MIN + 20, 3.0)],
            vec![(i64::MAX - 20, 1.0), (i64::MAX - 10, 2.0), (i64::MAX, 3.0)],
            vec![(i64::MIN, 1.0)],
            vec![(i64::MAX, 1.0)],
            vec![(i64::MAX - 23, 1.0), (i64::MAX - 13, 2.0), (i64::MAX - 3, 3.0)],
            vec![(i64::MIN, 1.0), (i64::MIN / 2, 2.0), (0, 3.0), (1 << 62, 4.0)],
            vec![(-1, 1.0), (i64::MAX - 1, 2.0)],
            vec![(0, 1.0), (i64::MAX, 2.0)],
        ] {
            let chunk = chunk(&samples);
            let ends = samples
                .iter()
                .flat_map(|(t, _)| [t.saturating_sub(1), *t, t.saturating_add(1)]);
            let ends: Vec<i64> = ends.chain([0, i64::MIN, i64::MAX]).collect();
            for window in ends.iter().flat_map(|from| ends.iter().map(|to| (*from, *to))) {
                let mut read = some();
                let decoded = Decoded::read(Encoding::Xor, &chunk, window, &mut read).unwrap();
                let mut appended = some();
                decoded.append(window, &mut appended);
                let expected = with_decoder(&chunk, window).unwrap();
                assert_eq!(
                    (bits(&read), bits(&appended)),
                    (expected.clone(), expected),
                    "{window:?}"
                );
            }
        }
    }

    #[test]
    fn what_is_damaged_or_goes_back_is_not_kept_and_leaves_nothing_behind() {
        let samples: Vec<_> = (0..50).map(|i| (i * 10, i as f64 * 1.1)).collect();
        let sound = chunk(&samples);
        let cut_off = &sound[..sound.len() - 4];
        let back = chunk(&[(0, 1.0), (10, 2.0), (5, 3.0)]);
        let evenly_back = chunk(&[(0, 1.0), (-10, 2.0), (-20, 3.0)]);
        let round = chunk(&[(i64::MAX - 10, 1.0), (i64::MAX - 4, 2.0), (i64::MIN + 1, 3.0)]);
        let at_once = chunk(&[(0, 1.0), (0, 2.0), (0, 3.0)]);
        for bytes in [cut_off, &back, &evenly_back, &round, &at_once, &[1]] {
            let mut into = some();
            let read = Decoded::read(Encoding::Xor, bytes, (0, 100), &mut into);
            assert_eq!((read, bits(&into)), (None, bits(&some())), "{bytes:?}");
        }
        // What comes before the damage is read all the same, by who does not keep it.
        assert_eq!(with_decoder(cut_off, (0, 100)).unwrap().len(), 12);
    }
}
