//! Histograms of one series, as range vectors and selectors read them.

use super::start_times::StartTimes;
use super::{Context, statistics};
use crate::error::Error;
use leadline_model::Timestamp;
use leadline_model::histogram::{FloatHistogram, HistogramSample};
use leadline_model::port::SeriesSet;
use leadline_model::sample::Samples;
use std::sync::Arc;

/// A histogram at a time.
#[derive(Debug, Clone)]
pub(crate) struct HistogramPoint {
    /// Milliseconds since the epoch.
    pub(crate) t: Timestamp,
    /// The distribution.
    pub(crate) h: Arc<FloatHistogram>,
    /// When (ms) its counter began, 0 when that is unknown.
    pub(crate) st: Timestamp,
}

/// The histograms of one series, and room for reading them.
#[derive(Debug, Default)]
pub(crate) struct HistogramPoints {
    /// In the order of time.
    pub(crate) points: Vec<HistogramPoint>,
    read: Vec<HistogramSample>,
}

impl HistogramPoints {
    /// Forgets the points and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.points.clear();
    }

    /// Replaces the points by the histograms of series i of `set` with `mint <= t <= maxt` (ms), stale markers included.
    /// They must fit beside what is held, but are not held.
    ///
    /// # Errors
    /// [`Error`].
    pub(crate) fn read(
        &mut self,
        cx: &mut Context<'_>,
        (set, i): (&dyn SeriesSet, usize),
        (mint, maxt): (Timestamp, Timestamp),
    ) -> Result<(), Error> {
        set.read_histograms(i, mint, maxt, &mut self.read)?;
        self.take(cx)
    }

    /// As [`Self::read`], and replaces `samples` by the numbers of the series.
    ///
    /// # Errors
    /// [`Error`].
    pub(crate) fn read_with(
        &mut self,
        cx: &mut Context<'_>,
        (set, i): (&dyn SeriesSet, usize),
        (mint, maxt): (Timestamp, Timestamp),
        samples: &mut Samples,
    ) -> Result<(), Error> {
        set.read_all(i, mint, maxt, samples, &mut self.read)?;
        self.take(cx)
    }

    /// Makes points of what was read.
    fn take(&mut self, cx: &mut Context<'_>) -> Result<(), Error> {
        self.points.clear();
        if self.read.is_empty() {
            return Ok(());
        }
        let points = self.read.drain(..).map(|sample| HistogramPoint {
            t: sample.t,
            h: sample.h.to_float(),
            st: 0,
        });
        self.points.extend(points);
        if cx.statistics.enough() {
            statistics::strip(&mut self.points);
        }
        cx.stats.samples_read += self.points.len() as u64;
        let weight = self.points.iter().map(|point| weight(&point.h)).sum();
        cx.hold(weight)?;
        cx.release(weight);
        Ok(())
    }

    /// Notes when the counters of the points began.
    pub(crate) fn set_starts(&mut self, starts: &StartTimes) {
        for point in &mut self.points {
            point.st = starts.of(point.t);
        }
    }

    /// Removes stale markers: ranges do not see them.
    pub(crate) fn drop_stale(&mut self) {
        self.points.retain(|point| !point.h.is_stale());
    }
}

/// How many float samples a histogram counts for where samples are limited (`promql/value.go`, `HPoint.size`).
pub(crate) fn weight(h: &FloatHistogram) -> usize {
    let spans = h.positive_spans.len() + h.negative_spans.len();
    let floats = h.positive_buckets.len() + h.negative_buckets.len() + h.custom_values.len();
    (168 + 8 + 8 * (spans + floats)) / 16
}
