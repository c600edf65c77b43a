//! Committing once more what was committed before the log was read. Only now it is known which of it came in order, and
//! where a series goes on that the log has too: so each sample is taken as an ordinary commit would take it.

use super::{Bounds, Logged, Trip};
use crate::head::Head;
use crate::head::durable::Durable;
use crate::head::stripe::Stripe;
use crate::points::{Point, Value};
use crate::stats::Counters;
use leadline_model::labels::Labels;
use leadline_model::port::{Entry, Refusal, SeriesRef, Slot};
use leadline_model::sample::Timestamp;

/// Records of samples are ended when they have this many bytes.
const RECORD_BYTES: usize = 256 * 1024;

/// What is committed once more. All stripes must be held until [`Self::end`].
pub(in crate::head) struct Again<'a> {
    head: &'a Head,
    durable: &'a Durable,
    trip: Trip<'a>,
    /// What is accepted of the samples that came in order among themselves: they have been judged by each other already,
    /// so only what the log has counts.
    in_order: Bounds,
    /// What is accepted of those that came out of order.
    late: Bounds,
    /// Series that the log has to know of before their samples.
    fresh: Vec<(SeriesRef, Labels)>,
    refused: Vec<(u32, Refusal)>,
}

impl<'a> Again<'a> {
    /// Begins behind a log whose newest sample is at `newest` (ms), which the head must have been told already.
    pub(in crate::head) fn begin(head: &'a Head, durable: &'a Durable, newest: Timestamp) -> Self {
        // The clock may have been put back: what was not too far ahead when it came is not so now.
        let open = |bounds| Bounds {
            newest: Timestamp::MAX,
            ..bounds
        };
        let (in_order, mut late) = (open(head.bounds_behind(newest)), open(head.bounds()));
        // They were within the window when they came. Was it closed since, they stay, see [`Head::adjust`].
        late.late = match head.window() {
            0 => Timestamp::MIN,
            _ => in_order.late,
        };
        let mut trip = head.trip();
        trip.logged = (!durable.read_only).then(|| Logged::begin(durable));
        Self {
            head,
            durable,
            trip,
            in_order,
            late,
            fresh: Vec::new(),
            refused: Vec::new(),
        }
    }

    /// A series was created for what follows.
    pub(in crate::head) fn created(&mut self, series: SeriesRef, labels: &Labels) {
        if !self.durable.read_only {
            self.fresh.push((series, labels.clone()));
        }
    }

    /// Writes the samples of a series to its row: by time, and each with whether it came out of order.
    pub(in crate::head) fn append(
        &mut self,
        stripe: &mut Stripe,
        row: usize,
        series: SeriesRef,
        points: &[(Point, bool)],
    ) {
        for (point, late) in points {
            self.trip.bounds = if *late { self.late } else { self.in_order };
            // What was late when it came was judged then; a marker that only the log is ahead of is scraping's.
            self.trip.refuse_late_markers = !*late;
            self.keep_order(&point.v);
            let counted = self.trip.late;
            let written = match &point.v {
                Value::Float(v) => {
                    let entry = Entry {
                        series: Slot::Known(series),
                        t: point.t,
                        v: *v,
                    };
                    self.trip.float(stripe, row, series, &entry)
                }
                Value::Histogram(h) => self.trip.histogram(stripe, row, series, point.t, h),
            };
            if *late {
                // It was counted when it came.
                self.trip.late = counted;
            }
            if let Err(why) = written {
                self.refused.push((0, why));
            }
        }
        if self
            .trip
            .logged
            .as_ref()
            .is_some_and(|l| l.samples.len() > RECORD_BYTES)
        {
            self.hand_over();
        }
    }

    /// Records must tell of one series in the order of time, and those of floats go before those of histograms.
    fn keep_order(&mut self, v: &Value) {
        let logged = self.trip.logged.as_ref();
        if matches!(v, Value::Float(_)) && logged.is_some_and(|logged| logged.extras.has_histograms()) {
            self.hand_over();
        }
    }

    /// Leaves records for the log.
    fn hand_over(&mut self) {
        if let Some(logged) = self.trip.logged.replace(Logged::begin(self.durable)) {
            let fresh: Vec<_> = self.fresh.iter().map(|(series, labels)| (*series, labels)).collect();
            // Nobody waits for a commit: whoever flushes finds it.
            let _ = logged.end(&fresh);
            self.fresh.clear();
        }
    }

    /// Hands over what is left for the log.
    pub(in crate::head) fn end(mut self) {
        if self.trip.logged.is_some() {
            self.hand_over();
        }
        if self.trip.mint <= self.trip.maxt {
            self.head.widen(self.trip.mint, self.trip.maxt);
        }
        Counters::add(&self.head.counters.out_of_order, self.trip.late);
        self.head.counters.refuse(&self.refused);
        if !self.refused.is_empty() {
            tracing::warn!(
                samples = self.refused.len(),
                "samples that came before the log was read are out of order, they are dropped"
            );
        }
    }
}
