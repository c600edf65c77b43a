//! What the room counts. The process renders it.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn inc(&self) {
        self.add(1);
    }

    /// `n` more.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// The number.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Upper bounds of the buckets of durations, seconds.
pub const DURATION_BOUNDS: [f64; 11] = [
    0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0, 2.5,
];

/// How long answers took.
#[derive(Debug, Default)]
pub struct Durations {
    buckets: [Counter; DURATION_BOUNDS.len() + 1],
    sum_ns: Counter,
}

impl Durations {
    /// One answer.
    pub fn observe(&self, duration: std::time::Duration) {
        let seconds = duration.as_secs_f64();
        let bucket = DURATION_BOUNDS.partition_point(|bound| *bound < seconds);
        self.buckets[bucket].inc();
        self.sum_ns.add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Cumulative counts by [`DURATION_BOUNDS`], the last one without bound.
    #[must_use]
    pub fn cumulative(&self) -> Vec<u64> {
        let mut total = 0;
        self.buckets
            .iter()
            .map(|b| {
                total += b.get();
                total
            })
            .collect()
    }

    /// Seconds in all.
    #[must_use]
    pub fn sum(&self) -> f64 {
        self.sum_ns.get() as f64 / 1e9
    }
}

/// What a request was for, in the words of the `resource` label: `custom`, `external`, `discovery`, `explain`, `other`.
pub type RequestKind = &'static str;

/// Counters of the room.
#[derive(Debug, Default)]
pub struct Stats {
    requests: Mutex<BTreeMap<(RequestKind, &'static str, u16), u64>>,
    left_out: Mutex<BTreeMap<&'static str, u64>>,
    /// Durations of metric requests that were answered 200.
    pub durations: Durations,
    /// Values cut to what a quantity can hold.
    pub clamped: Counter,
    /// Requests refused because too many were in flight.
    pub overloaded: Counter,
    /// Access decided from memory.
    pub access_hits: Counter,
    /// Access that had to be reviewed.
    pub access_misses: Counter,
    /// Reviews without an answer.
    pub access_errors: Counter,
    /// Access granted on an answer older than its lifetime, because the API server gave no new one.
    pub access_stale: Counter,
    /// Tokens known from memory.
    pub token_hits: Counter,
    /// Tokens that had to be reviewed.
    pub token_misses: Counter,
    /// Requests without a valid credential.
    pub unauthenticated: Counter,
}

impl Stats {
    /// One answered request.
    pub fn answered(&self, kind: RequestKind, verb: &'static str, code: u16) {
        *self.requests.lock().entry((kind, verb, code)).or_default() += 1;
    }

    /// `n` values that were left out of an answer, by reason.
    pub fn left_out(&self, reason: &'static str, n: u64) {
        if n > 0 {
            *self.left_out.lock().entry(reason).or_default() += n;
        }
    }

    /// Calls `with` for every counter: name without prefix, labels, value. Histograms are given by their series.
    pub fn visit(&self, mut with: impl FnMut(&str, &[(&str, &str)], f64)) {
        for ((kind, verb, code), n) in self.requests.lock().iter() {
            let code = code.to_string();
            with(
                "requests_total",
                &[("resource", kind), ("verb", verb), ("code", &code)],
                *n as f64,
            );
        }
        for (reason, n) in self.left_out.lock().iter() {
            with("left_out_total", &[("reason", reason)], *n as f64);
        }
        for (name, counter) in [
            ("clamped_total", &self.clamped),
            ("overloaded_total", &self.overloaded),
            ("access_hits_total", &self.access_hits),
            ("access_reviews_total", &self.access_misses),
            ("access_review_errors_total", &self.access_errors),
            ("access_stale_total", &self.access_stale),
            ("token_hits_total", &self.token_hits),
            ("token_reviews_total", &self.token_misses),
            ("unauthenticated_total", &self.unauthenticated),
        ] {
            with(name, &[], counter.get() as f64);
        }
        let counts = self.durations.cumulative();
        for (i, count) in counts.iter().enumerate() {
            let bound = DURATION_BOUNDS.get(i).map_or_else(|| "+Inf".to_owned(), f64::to_string);
            with("request_duration_seconds_bucket", &[("le", &bound)], *count as f64);
        }
        with(
            "request_duration_seconds_count",
            &[],
            counts.last().copied().unwrap_or_default() as f64,
        );
        with("request_duration_seconds_sum", &[], self.durations.sum());
    }
}
