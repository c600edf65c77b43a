//! Samples at equal distances, as those of a target are as a rule: which of them a step sees is arithmetic then, and need not
//! be looked for.

use super::{Frame, Moved};
use leadline_model::Timestamp;
use std::ops::Range;

/// Times at equal distances that divide the distance of the steps that look at them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Regular {
    /// The first, ms.
    first: Timestamp,
    /// From one to the next, ms.
    gap: i64,
    len: usize,
    /// How many of them a step is further than the one before it.
    pub(super) stride: usize,
    /// Where the first step looks, ms.
    start: Timestamp,
    steps: usize,
}

impl Regular {
    /// `times` (ms, ascending) as the steps of `frame` look at them; none where the distances differ, or where each step sees
    /// something else.
    pub(super) fn of(times: &[Timestamp], frame: Frame, moved: Moved) -> Option<Self> {
        let [first, second, ..] = times else { return None };
        let gap = second.checked_sub(*first).filter(|gap| *gap > 0)?;
        let stride = frame
            .step
            .checked_rem(gap)
            .filter(|rest| *rest == 0)
            .map(|_| frame.step / gap)?;
        let (start, last) = (moved.time(frame.start), moved.time(frame.last()));
        let (back, steps) = (frame.last().checked_sub(frame.start)?, frame.steps);
        if moved.fixed.is_some() || last.checked_sub(start) != Some(back) || steps < 2 {
            return None;
        }
        // All are looked at without a way out on the way, so that several are compared at once.
        let (mut expected, mut off) = (*first, 0);
        for time in times {
            off |= time ^ expected;
            expected = expected.wrapping_add(gap);
        }
        (off == 0).then_some(Self {
            first: *first,
            gap,
            len: times.len(),
            stride: usize::try_from(stride).ok()?,
            start,
            steps,
        })
    }

    /// The steps that see such samples in the windows of `range_ms` before them, or if that is 0 the newest one. For the
    /// first of these steps: the numbers of the first and of the last sample in its window, which are as many at all of them.
    /// None where no step does.
    pub(super) fn seen(&self, range_ms: i64) -> Option<(Range<usize>, usize, usize)> {
        let place = |t: Timestamp| t.checked_sub(self.first)?.checked_div_euclid(self.gap);
        let newest = place(self.start)?;
        let oldest = match range_ms {
            0 => newest,
            range_ms => place(self.start.checked_sub(range_ms)?)?.checked_add(1)?,
        };
        let (stride, last) = (i64::try_from(self.stride).ok()?, i64::try_from(self.len).ok()? - 1);
        // From the step on whose oldest is there, up to that whose newest is.
        let skipped = oldest.min(0).checked_neg()?.checked_add(stride - 1)? / stride;
        let most = last.checked_sub(newest).filter(|left| *left >= 0)? / stride + 1;
        let steps = usize::try_from(skipped).ok()?..usize::try_from(most).ok()?.min(self.steps);
        let at = |place: i64| usize::try_from(place.checked_add(skipped.checked_mul(stride)?)?).ok();
        let (from, to) = (at(oldest)?, at(newest)?);
        (!steps.is_empty() && from <= to).then_some((steps, from, to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(start: i64, step: i64, steps: usize) -> Frame {
        Frame {
            start,
            step,
            steps,
            over_time: true,
        }
    }

    fn behind(offset_ms: i64) -> Moved {
        Moved { fixed: None, offset_ms }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5_000))]

        #[test]
        fn what_is_calculated_is_what_is_found_by_looking(
            (first, gap, len) in (-50i64..50, 1i64..20, 2usize..40),
            (start, stride, steps) in (-300i64..300, 1i64..5, 2usize..40),
            (range, offset) in (0i64..100, -30i64..30),
        ) {
            let times: Vec<i64> = (0..len as i64).map(|i| first + i * gap).collect();
            let (frame, moved) = (frame(start, gap * stride, steps), behind(offset));
            let regular = Regular::of(&times, frame, moved).unwrap();
            prop_assert_eq!(regular.stride as i64, stride);
            let seen = regular.seen(range);
            for step in 0..steps {
                let end = moved.time(frame.at(step));
                let until = |t: i64| times.partition_point(|time| *time <= t);
                let to = until(end);
                let from = if range == 0 { to.saturating_sub(1) } else { until(end - range) };
                match &seen {
                    Some((within, one, other)) if within.contains(&step) => {
                        let on = (step - within.start) * regular.stride;
                        prop_assert_eq!((one + on, other + on + 1), (from, to), "{}", step);
                        prop_assert!(from < to);
                    }
                    // Before the first or behind the last, or nothing lies within.
                    _ => prop_assert!(from == to || from == 0 || to == len, "{} {}..{}", step, from, to),
                }
            }
        }
    }

    #[test]
    fn what_is_uneven_or_seen_otherwise_is_left_to_who_looks() {
        let (even, steps) = ([0, 10, 20, 30], frame(0, 10, 3));
        assert!(Regular::of(&even, steps, behind(0)).is_some());
        for times in [
            &[0, 10, 20, 31][..],
            &[0, 10, 30],
            &[0],
            &[],
            &[10, 0],
            &[i64::MIN, i64::MAX],
        ] {
            assert!(Regular::of(times, steps, behind(0)).is_none(), "{times:?}");
        }
        let fixed = Moved {
            fixed: Some(20),
            offset_ms: 0,
        };
        assert!(Regular::of(&even, steps, fixed).is_none());
        for (start, step, steps, offset) in [
            (0, 15, 3, 0),
            (0, 5, 3, 0),
            (0, 10, 1, 0),
            (0, 10, 0, 0),
            (i64::MIN, 10, 3, i64::MAX),
            (i64::MIN, i64::MAX, 2, 0),
        ] {
            let regular = Regular::of(&even, frame(start, step, steps), behind(offset));
            assert!(regular.is_none(), "{start} {step} {steps} {offset}");
        }
        let far = Regular::of(&even, frame(i64::MAX - 20, 10, 3), behind(0)).unwrap();
        assert_eq!((far.seen(0), far.seen(i64::MAX)), (None, None));
    }
}
