//! Latencies of repeated requests.

use std::time::Duration;

/// Durations, sorted.
pub(crate) struct Latency(Vec<Duration>);

impl Latency {
    /// From measurements in any order.
    pub(crate) fn of(mut taken: Vec<Duration>) -> Self {
        taken.sort_unstable();
        Self(taken)
    }

    /// The quantile `q` (0 to 1) in milliseconds.
    pub(crate) fn ms(&self, q: f64) -> f64 {
        let last = self.0.len().saturating_sub(1);
        let place = (last as f64 * q).round() as usize;
        self.0
            .get(place.min(last))
            .map_or(f64::NAN, |d| d.as_secs_f64() * 1000.0)
    }
}
