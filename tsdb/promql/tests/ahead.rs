//! What a companion decodes ahead shows in nothing but how long an answer takes.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

#[path = "support/fronted.rs"]
mod fronted;

use fronted::{Front, Fronted};
use leadline_model::clock::ManualClock;
use leadline_model::histogram::HistogramSample;
use leadline_model::port::{
    Appender, Attempt, Batch, Entry, Extras, GroupedSeries, Grouping, QueryError, Queryable, SeriesSet, Slot,
};
use leadline_model::sample::Samples;
use leadline_model::target::OwnerId;
use leadline_model::{Labels, Matcher, Timestamp};
use leadline_promql::engine::{Engine, Options};
use leadline_promql::error::Error;
use leadline_promql::settings::Settings;
use leadline_promql::value::QueryResult;
use leadline_storage::Head;
use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::thread::{ThreadId, available_parallelism, current};
use tokio::runtime::{Builder, Runtime};

/// Series of the store: enough for a companion.
const SERIES: u32 = 2_500;
/// Between two samples, ms: more than usual, so that a companion is expected to have more to do than it has.
const STEP: i64 = 60_000;
/// The time of the newest sample, ms.
const NOW: i64 = 100 * STEP;

/// A store of which one series may be damaged.
struct Store {
    head: Arc<Head>,
    damaged: Option<usize>,
    /// Who read.
    readers: Arc<Mutex<HashSet<ThreadId>>>,
}

impl Store {
    fn set(&self, set: Box<dyn SeriesSet>) -> Box<dyn SeriesSet> {
        Box::new(Set {
            set,
            damaged: self.damaged,
            readers: Arc::clone(&self.readers),
        })
    }
}

impl Front for Store {
    fn store(&self) -> &dyn Queryable {
        &*self.head
    }

    fn select(
        &self,
        matchers: &[Matcher],
        (mint, maxt): (Timestamp, Timestamp),
        sorted: bool,
    ) -> Result<Box<dyn SeriesSet>, QueryError> {
        self.head.select(matchers, mint, maxt, sorted).map(|set| self.set(set))
    }

    fn select_groups(
        &self,
        matchers: &[Matcher],
        (mint, maxt): (Timestamp, Timestamp),
        grouping: Grouping<'_>,
    ) -> Result<Option<GroupedSeries>, QueryError> {
        let groups = self.head.select_groups(matchers, mint, maxt, grouping)?;
        Ok(groups.map(|groups| GroupedSeries {
            set: self.set(groups.set),
            ..groups
        }))
    }
}

struct Set {
    set: Box<dyn SeriesSet>,
    damaged: Option<usize>,
    readers: Arc<Mutex<HashSet<ThreadId>>>,
}

impl SeriesSet for Set {
    fn len(&self) -> usize {
        self.set.len()
    }

    fn labels(&self, i: usize) -> Labels {
        self.set.labels(i)
    }

    fn owner(&self, i: usize) -> Option<OwnerId> {
        self.set.owner(i)
    }

    fn read(&self, i: usize, mint: Timestamp, maxt: Timestamp, into: &mut Samples) -> Result<(), QueryError> {
        self.set.read(i, mint, maxt, into)
    }

    fn read_all(
        &self,
        i: usize,
        mint: Timestamp,
        maxt: Timestamp,
        floats: &mut Samples,
        histograms: &mut Vec<HistogramSample>,
    ) -> Result<(), QueryError> {
        self.readers.lock().unwrap().insert(current().id());
        if self.damaged == Some(i) {
            return Err(QueryError::Corrupt(format!("series {i}")));
        }
        self.set.read_all(i, mint, maxt, floats, histograms)
    }

    fn newest(&self, i: usize, mint: Timestamp, maxt: Timestamp) -> Result<Option<leadline_model::Sample>, QueryError> {
        self.set.newest(i, mint, maxt)
    }
}

fn head() -> Arc<Head> {
    let clock = Arc::new(ManualClock::at(0));
    let head = Head::new(leadline_storage::Settings::default(), clock.clone()).unwrap();
    let owner = head.new_owner();
    for step in 1..=100 {
        clock.set(step * STEP);
        let labels = |i: u32| {
            let (pod, series) = (format!("{}", i % 30), format!("{i}"));
            Labels::from_pairs([("__name__", "m_total"), ("pod", &pod), ("series", &series)])
        };
        let entry = |i: u32| Entry {
            series: Slot::New(i),
            t: step * STEP,
            v: (step * i64::from(i % 40) + i64::from(i)) as f64 / 3.0,
        };
        let batch = Batch {
            owner,
            slot: step * STEP,
            attempt: Attempt::Good,
            created: (0..SERIES).map(labels).collect(),
            // Some begin late.
            entries: (0..SERIES).filter(|i| i % 9 > 0 || step > 60).map(entry).collect(),
            extras: Extras::default(),
        };
        head.commit(&batch).unwrap();
    }
    head
}

/// All that an answer tells but how long it took.
fn told(result: Result<QueryResult, Error>) -> String {
    match result {
        Ok(r) => {
            let counted = (r.stats.series_read, r.stats.samples_read, r.stats.peak_samples);
            format!(
                "{:?} {:?} {:?} {:?} {counted:?}",
                r.value, r.warnings, r.infos, r.provenance
            )
        }
        Err(e) => format!("error: {e}"),
    }
}

/// What a store answers, and how many threads read of it for one query at most.
async fn answers(head: &Arc<Head>, damaged: Option<usize>, max_samples: usize) -> (String, usize) {
    let readers = Arc::default();
    let store = Store {
        head: Arc::clone(head),
        damaged,
        readers: Arc::clone(&readers),
    };
    let settings = Settings {
        max_samples,
        ..Settings::default()
    };
    let engine = Engine::new(Arc::new(Fronted(store)), settings);
    let (mut all, mut most) = (String::new(), 0);
    for text in [
        "sum by (pod) (rate(m_total[10m]))",
        "avg by (pod) (m_total)",
        "m_total",
        "rate(m_total[5m])",
        "topk(7, max_over_time(m_total[10m]))",
        "stddev(delta(m_total[10m]))",
    ] {
        let query = engine.parse(text).unwrap();
        all += &told(engine.instant(&query, NOW, Options::default()).await);
        readers.lock().unwrap().clear();
        let range = (NOW - 40 * STEP, NOW, STEP);
        all += &told(engine.range(&query, range, Options::default()).await);
        most = most.max(readers.lock().unwrap().len());
    }
    (all, most)
}

/// A runtime where so many threads may block: of one, a query leaves none for a companion.
fn runtime(blocking: usize) -> Runtime {
    Builder::new_current_thread()
        .max_blocking_threads(blocking)
        .enable_all()
        .build()
        .unwrap()
}

#[test]
fn answers_limits_and_errors_are_what_they_are_without_a_companion() {
    let head = head();
    let (one, more) = (runtime(1), runtime(8));
    for damaged in [None, Some(0), Some(1_200), Some(SERIES as usize - 1)] {
        for max_samples in [50_000_000, 30_000, 50] {
            let (alone, readers) = one.block_on(answers(&head, damaged, max_samples));
            assert!(readers <= 1, "{readers} threads read where there is one");
            for _ in 0..3 {
                let (together, _) = more.block_on(answers(&head, damaged, max_samples));
                assert!(together == alone, "{damaged:?}, {max_samples}");
            }
        }
    }
}

#[test]
fn a_second_core_reads_too() {
    if available_parallelism().unwrap().get() < 2 {
        return;
    }
    let (head, runtime) = (head(), runtime(8));
    // A companion that comes to run too late finds nothing left to do.
    for _ in 0..200 {
        if runtime.block_on(answers(&head, None, 50_000_000)).1 > 1 {
            return;
        }
    }
    panic!("one thread read all");
}
