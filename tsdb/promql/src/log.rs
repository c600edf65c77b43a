//! Tells a log of every query that has an origin, once it has ended, however it ended (`promql/engine.go`, exec).

use crate::error::Error;
use crate::eval::QueryRange;
use crate::query::Query;
use crate::stats::QueryStats;
use leadline_model::Timestamp;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

/// Where a query came from. One without an origin (what autoscalers ask for with every scrape) is not told to the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// A request of the HTTP API.
    Http {
        /// Who asked, where that is known.
        client: Option<IpAddr>,
        /// `GET` or `POST`.
        method: &'static str,
        /// The route.
        path: &'static str,
    },
}

/// A query that has ended.
#[derive(Debug)]
pub struct Ended<'a> {
    /// Its text.
    pub query: &'a str,
    /// The first time it was evaluated at, ms.
    pub start: Timestamp,
    /// The end that was asked for, ms.
    pub end: Timestamp,
    /// The distance of its steps, ms; 0 of an instant query.
    pub step_ms: i64,
    /// Why it failed, where it did.
    pub error: Option<&'a Error>,
    /// What it cost.
    pub stats: &'a QueryStats,
    /// Where it came from.
    pub origin: Origin,
}

/// Takes what is told of queries. It is called where queries run: it must not wait for anything.
pub trait QueryLog: Send + Sync {
    /// Whether it wants to be told; asked before each query.
    fn is_on(&self) -> bool;

    /// A query has ended.
    fn ended(&self, ended: &Ended<'_>);
}

/// A query whose end is to be told. Dropped before, it was given up by whoever asked.
pub(crate) struct Pending {
    log: Arc<dyn QueryLog>,
    query: Query,
    times: QueryRange,
    over_time: bool,
    origin: Origin,
    asked: Instant,
    told: bool,
}

impl Pending {
    /// A query that begins now.
    pub(crate) fn new(
        log: &Arc<dyn QueryLog>,
        query: &Query,
        (times, over_time): (QueryRange, bool),
        origin: Origin,
    ) -> Self {
        Self {
            log: Arc::clone(log),
            query: query.clone(),
            times,
            over_time,
            origin,
            asked: Instant::now(),
            told: false,
        }
    }

    /// Tells how it ended after it had its turn.
    pub(crate) fn ended(mut self, error: Option<&Error>, stats: &QueryStats) {
        self.tell(error, stats);
    }

    /// Tells that it had no turn.
    pub(crate) fn refused(mut self, error: &Error) {
        self.tell(Some(error), &self.waited());
    }

    fn waited(&self) -> QueryStats {
        QueryStats {
            queued_us: u64::try_from(self.asked.elapsed().as_micros()).unwrap_or(u64::MAX),
            ..QueryStats::default()
        }
    }

    fn tell(&mut self, error: Option<&Error>, stats: &QueryStats) {
        self.told = true;
        self.log.ended(&Ended {
            query: self.query.text(),
            start: self.times.start,
            end: self.times.end,
            step_ms: if self.over_time { self.times.step } else { 0 },
            error,
            stats,
            origin: self.origin,
        });
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.told {
            self.tell(Some(&Error::Canceled("query queue")), &self.waited());
        }
    }
}
