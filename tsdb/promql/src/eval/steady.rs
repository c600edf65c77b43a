//! `rate` and `increase` of counters that never fall in what is read, as most do not: their windows need not be looked
//! through.

use super::regular::Regular;
use super::{Frame, Moved, spanned};
use crate::functions::rate::SteadyRate;
use leadline_model::Timestamp;
use leadline_model::sample::Samples;
use std::ops::Range;

/// Computes all steps of one series over windows of `range_ms` before the times that they are moved to, per second or not; `None` when no step has a value, else the times (ms) of the oldest
/// and the newest sample that were used.
pub(super) fn fill(
    (moved, range_ms): (Moved, i64),
    per_second: bool,
    samples: &Samples,
    frame: Frame,
    (cells, present): (&mut [f64], &mut [bool]),
) -> Option<(Timestamp, Timestamp)> {
    let mut windows = Windows {
        moved,
        range_ms,
        t: &samples.t,
        v: samples.v.get(..samples.t.len())?,
        frame,
        known: SteadyRate::new(per_second),
    };
    let alike = Regular::of(windows.t, frame, moved)
        .and_then(|regular| regular.seen(range_ms).map(|seen| (seen, regular.stride)))
        .filter(|((_, from, to), _)| to > from);
    let Some(((steps, from, to), stride)) = alike else {
        return windows.each(0..frame.steps, (cells, present));
    };
    let before = windows.each(0..steps.start, (cells, present));
    let within = windows.alike(&steps, (from, to), stride, cells);
    present[steps.clone()].fill(true);
    let behind = windows.each(steps.end..frame.steps, (cells, present));
    spanned(spanned(before, within), behind)
}

/// The windows of one series.
struct Windows<'a> {
    moved: Moved,
    /// How long they are, ms.
    range_ms: i64,
    t: &'a [Timestamp],
    v: &'a [f64],
    frame: Frame,
    known: SteadyRate,
}

impl Windows<'_> {
    /// Where the window of a step begins and ends, ms.
    fn borders(&self, step: usize) -> (Timestamp, Timestamp) {
        let end = self.moved.time(self.frame.at(step));
        (end.saturating_sub(self.range_ms), end)
    }

    /// One step after the other.
    fn each(
        &mut self,
        steps: Range<usize>,
        (cells, present): (&mut [f64], &mut [bool]),
    ) -> Option<(Timestamp, Timestamp)> {
        if steps.is_empty() {
            return None;
        }
        let (t, v) = (self.t, self.v);
        let (mut from, mut to) = (0, 0);
        let (mut oldest, mut newest) = (None, None);
        let cells = cells
            .get_mut(steps.clone())?
            .iter_mut()
            .zip(present.get_mut(steps.clone())?);
        for (step, (cell, there)) in steps.zip(cells) {
            let (start, end) = self.borders(step);
            // As `Cutter::cut`, of which the ends alone are needed: both only move forward.
            if t.last().is_some_and(|last| *last <= end) {
                to = t.len();
            }
            while to < t.len() && t[to] <= end {
                to += 1;
            }
            while from < to && t[from] <= start {
                from += 1;
            }
            if to - from < 2 {
                continue;
            }
            let last = to - 1;
            *cell = self
                .known
                .of((t[from], t[last]), (v[from], v[last]), last - from, (start, end));
            *there = true;
            oldest = oldest.or(Some(t[from]));
            newest = Some(t[last]);
        }
        oldest.zip(newest)
    }

    /// Steps at which the window lies alike around as many samples: those of the first are from `from` up to `last`, and each
    /// further step is `stride` samples on.
    fn alike(
        &mut self,
        steps: &Range<usize>,
        (from, last): (usize, usize),
        stride: usize,
        cells: &mut [f64],
    ) -> Option<(Timestamp, Timestamp)> {
        let (start, end) = self.borders(steps.start);
        let (first, second) = (*self.t.get(from)?, *self.t.get(last)?);
        self.known
            .lie((first - start, second - first, end - second), last - from, (start, end));
        let (cells, v) = (cells.get_mut(steps.clone())?, self.v);
        let on = (cells.len() - 1) * stride;
        let (froms, lasts) = (v.get(from..=from + on)?, v.get(last..=last + on)?);
        match stride {
            1 => self.known.row(froms.iter().zip(lasts), cells),
            _ => self
                .known
                .row(froms.iter().step_by(stride).zip(lasts.iter().step_by(stride)), cells),
        }
        Some((first, *self.t.get(last + on)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3_000))]

        #[test]
        fn windows_that_lie_alike_have_the_rates_that_each_alone_has(
            (first, gap) in (0i64..200, 1i64..30),
            // Counters that begin at 0 are carried back no further than to there.
            (begin, grown) in (prop_oneof![Just(0.0), 0.0..50.0f64], prop::collection::vec(0.0..9.0f64, 1..60)),
            (start, stride, steps) in (0i64..400, 1i64..4, 1usize..40),
            (range, offset, per_second) in (1i64..200, -20i64..20, any::<bool>()),
        ) {
            let mut samples = Samples::default();
            let mut value = begin;
            for (i, more) in (0..).zip(grown) {
                value += more;
                samples.push(first + i * gap, value);
            }
            let frame = Frame { start, step: gap * stride, steps, over_time: true };
            let moved = Moved { fixed: None, offset_ms: offset };
            let (mut cells, mut present) = (vec![0.0; steps], vec![false; steps]);
            let used = fill((moved, range), per_second, &samples, frame, (&mut cells, &mut present));
            let (mut alone, mut there) = (vec![0.0; steps], vec![false; steps]);
            let mut windows = Windows {
                moved,
                range_ms: range,
                t: &samples.t,
                v: &samples.v,
                frame,
                known: SteadyRate::new(per_second),
            };
            let expected = windows.each(0..steps, (&mut alone, &mut there));
            let bits = |cells: &[f64]| cells.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!((used, &present, bits(&cells)), (expected, &there, bits(&alone)));
        }
    }
}
