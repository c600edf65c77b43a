//! Windows of series that have native histograms.

use super::Context;
use super::grid::{Cell, Frame, Grid};
use super::histogram_points::{HistogramPoint, weight};
use super::notes::Notes;
use super::ranges::{Cutter, Ranges};
use super::window::{WindowCall, spanned};
use crate::error::Error;
use crate::functions::histogram_window::{self, MixedWindow};
use crate::functions::window::Window;
use leadline_model::Timestamp;
use leadline_model::sample::Samples;
use smallvec::SmallVec;

/// What is known of the series whose windows are cut.
#[derive(Clone, Copy)]
pub(super) struct MixedColumns<'a> {
    /// Its numbers.
    pub(super) samples: &'a Samples,
    /// Their start times, ms; empty when none is known.
    pub(super) st: &'a [Timestamp],
    /// Its histograms.
    pub(super) histograms: &'a [HistogramPoint],
    /// Its number in the range vector.
    pub(super) series: usize,
}

impl WindowCall<'_> {
    /// Computes all steps of one series into the opened row; `None` when no step has a value, else the times of the
    /// oldest and the newest sample that were used.
    pub(super) fn fill_mixed(
        &self,
        cx: &mut Context<'_>,
        grid: &mut Grid,
        ranges: &Ranges,
        columns: MixedColumns<'_>,
        frame: Frame,
    ) -> Result<Option<(Timestamp, Timestamp)>, Error> {
        let row = grid.len();
        let labels = ranges.labels(columns.series);
        let (before, behind) = ranges.margins;
        let (mut of_floats, mut of_histograms) = (Cutter::default(), Cutter::default());
        let mut used: Option<(Timestamp, Timestamp)> = None;
        for step in 0..frame.steps {
            let at = frame.at(step);
            let end = ranges.moved.time(at);
            let start = end.saturating_sub(ranges.range_ms);
            let (from, to) = (start.saturating_sub(before), end.saturating_add(behind));
            let floats = of_floats.cut(&columns.samples.t, |t| *t, from, to);
            let histograms = &columns.histograms[of_histograms.cut(columns.histograms, |p| p.t, from, to)];
            // A function sees the whole window at each step.
            let weights: usize = histograms.iter().map(|p| weight(&p.h)).sum();
            cx.spend(1 + floats.len() + weights)?;
            if floats.is_empty() && histograms.is_empty() {
                continue;
            }
            let args: SmallVec<[f64; 4]> = self.others.iter().map(|scalar| scalar.values[step]).collect();
            // Where there are no numbers, these do not look at what is asked of them.
            let ignored = floats.is_empty() && matches!(self.name, "integral" | "quantile_over_time");
            if !args.is_empty() && !ignored {
                self.check(&mut cx.notes, &args)?;
            }
            let window = MixedWindow {
                floats: Window {
                    t: &columns.samples.t[floats.clone()],
                    v: &columns.samples.v[floats.clone()],
                    start,
                    end,
                    at,
                    args: &args,
                    st: columns.st.get(floats).unwrap_or_default(),
                    border: ranges.border,
                    lookback_ms: self.lookback_ms,
                },
                histograms,
                metric: labels.name(),
                span: self.span,
            };
            if let Some(value) = self.value(&window, &mut cx.notes)? {
                grid.set(row, step, value);
                used = spanned(used, window.seen());
            }
        }
        Ok(used)
    }

    fn value(&self, window: &MixedWindow<'_>, notes: &mut Notes) -> Result<Option<Cell>, Error> {
        if window.histograms.is_empty() {
            return Ok((self.f)(&window.floats).map(Cell::Float));
        }
        match histogram_window::lookup(self.name) {
            Some(f) => f(window, notes),
            None => Ok(histogram_window::numbers_only(self.f, window, notes)),
        }
    }
}
