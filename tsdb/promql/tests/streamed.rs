//! Aggregations that a store sorts into groups are answered as if it could not: same values, order, provenance, notes and
//! counters.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

#[path = "support/fronted.rs"]
mod fronted;

use fronted::{Front, Fronted};
use leadline_model::clock::ManualClock;
use leadline_model::histogram::{AnyHistogram, Histogram};
use leadline_model::port::{
    Appender, Attempt, Batch, Entry, Extras, GroupedSeries, Grouping, HistogramEntry, QueryError, Queryable, SeriesSet,
    Slot,
};
use leadline_model::target::OwnerId;
use leadline_model::{Labels, Matcher, STALE_NAN, Timestamp};
use leadline_promql::engine::{Engine, Options};
use leadline_promql::error::Error;
use leadline_promql::settings::Settings;
use leadline_promql::stats::Counting;
use leadline_promql::value::{QueryResult, Value};
use leadline_storage::Head;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Between two samples, ms.
const STEP: i64 = 15_000;
/// Samples of a series that has all: more than a chunk.
const SAMPLES: i64 = 200;
/// The time of the newest, ms.
const NOW: i64 = (SAMPLES - 1) * STEP;

/// A head that counts whether it was asked for groups, and may refuse them.
struct Asked {
    head: Arc<Head>,
    groups: bool,
    answered: AtomicUsize,
    /// How often for series.
    whole: AtomicUsize,
}

impl Asked {
    fn of(head: &Arc<Head>, groups: bool) -> Arc<Self> {
        Arc::new(Self {
            head: head.clone(),
            groups,
            answered: AtomicUsize::new(0),
            whole: AtomicUsize::new(0),
        })
    }
}

impl Front for Arc<Asked> {
    fn store(&self) -> &dyn Queryable {
        &*self.head
    }

    fn select(
        &self,
        matchers: &[Matcher],
        (mint, maxt): (Timestamp, Timestamp),
        sorted: bool,
    ) -> Result<Box<dyn SeriesSet>, QueryError> {
        self.whole.fetch_add(1, Ordering::Relaxed);
        self.head.select(matchers, mint, maxt, sorted)
    }

    fn select_groups(
        &self,
        matchers: &[Matcher],
        (mint, maxt): (Timestamp, Timestamp),
        grouping: Grouping<'_>,
    ) -> Result<Option<GroupedSeries>, QueryError> {
        if !self.groups {
            return Ok(None);
        }
        self.answered.fetch_add(1, Ordering::Relaxed);
        self.head.select_groups(matchers, mint, maxt, grouping)
    }
}

/// What a series is like.
fn value(pod: i64, series: i64, sample: i64) -> Option<f64> {
    let grown = (sample * (pod * 7 + series * 3 + 1) + (sample * 13 + series) % 5) as f64 / 3.0;
    match (pod + series) % 8 {
        // Falls now and then.
        1 => Some(grown % 997.0),
        // Ends, and begins again.
        2 if sample % 60 == 40 => Some(STALE_NAN),
        2 if sample % 60 > 40 => None,
        // Began late.
        3 if sample < SAMPLES - 12 => None,
        // One sample alone.
        4 if sample != SAMPLES - 1 => None,
        // Now and then no number, or no bound.
        5 if sample % 9 == 4 => Some(f64::NAN),
        5 if sample % 50 == 7 => Some(f64::INFINITY),
        // Is gone for good.
        6 if sample == SAMPLES - 30 => Some(STALE_NAN),
        6 if sample > SAMPLES - 30 => None,
        _ => Some(grown),
    }
}

/// Names of metrics, by series.
fn labels(pod: i64, series: i64) -> Labels {
    let name = ["m_total", "m_total", "gauge", "m_total", "b_bucket"][series as usize % 5];
    let mut all = vec![
        ("__name__", name.to_owned()),
        ("pod", format!("web-{}", 11 - pod)),
        ("series", format!("{}", 100 - series)),
    ];
    if pod % 3 > 0 {
        all.push(("zone", format!("z{}", pod % 3)));
    }
    if name == "gauge" && pod == 6 {
        // What is told of a metric goes with its name.
        all.push(("__type__", "gauge".to_owned()));
    }
    if pod % 4 == 0 {
        // A name in front of all others.
        all.push(("Shard", format!("{}", series % 2)));
    }
    Labels::from_pairs(all)
}

fn head() -> Arc<Head> {
    let clock = Arc::new(ManualClock::at(0));
    let settings = leadline_storage::Settings {
        out_of_order_window_ms: 600_000,
        ..Default::default()
    };
    let head = Head::new(settings, clock.clone()).unwrap();
    let owners: Vec<_> = (0..10).map(|_| head.new_owner()).collect();
    for sample in 0..SAMPLES {
        for (pod, owner) in (0..10).zip(&owners) {
            let created: Vec<Labels> = (0..10).map(|series| labels(pod, series)).collect();
            let entry = |series: i64| {
                let v = value(pod, series, sample)?;
                // Some come a little late.
                let t = sample * STEP
                    - if pod == 9 && sample % 20 == 5 {
                        50_000 + series
                    } else {
                        0
                    };
                Some(Entry {
                    series: Slot::New(series as u32),
                    t,
                    v,
                })
            };
            clock.set(sample * STEP);
            let batch = Batch {
                owner: *owner,
                slot: sample * STEP,
                attempt: Attempt::Good,
                entries: (0..10).filter_map(entry).collect(),
                created,
                extras: Extras {
                    histograms: native(pod, sample),
                    ..Extras::default()
                },
            };
            head.commit(&batch).unwrap();
        }
    }
    head
}

/// Of two pods the gauges of some time are native histograms.
fn native(pod: i64, sample: i64) -> Vec<HistogramEntry> {
    let h = Histogram {
        count: sample as u64,
        sum: sample as f64,
        ..Histogram::default()
    };
    let entry = HistogramEntry {
        series: Slot::New(2),
        t: sample * STEP + 1,
        h: AnyHistogram::Int(Arc::new(h)),
    };
    if pod < 2 && (100..140).contains(&sample) {
        vec![entry]
    } else {
        Vec::new()
    }
}

/// All that an answer tells but how long it took; where series may be read in another order, which moves the peak a little,
/// but that too.
fn told(result: Result<QueryResult, Error>, reordered: bool) -> String {
    match result {
        Ok(r) => format!(
            "{:?} {:?} {:?} {:?} {:?}",
            r.value,
            r.warnings,
            r.infos,
            r.provenance,
            (
                r.stats.series_read,
                r.stats.samples_read,
                r.stats.consumed,
                r.stats.peak_samples * u64::from(!reordered)
            ),
        ),
        Err(e) => format!("error: {e}"),
    }
}

const OPERANDS: [&str; 14] = [
    "m_total",
    "gauge",
    "gauge offset 17m",
    "m_total{pod=~\"web-[1-5]\"}",
    "{__name__=~\"m_total|b_bucket\"}",
    "nothing",
    "rate(m_total[2m])",
    "increase(gauge[10m])",
    "rate(gauge[1m] offset 15m)",
    "rate({__name__=~\"gauge|b_bucket\"}[2m])",
    "max_over_time(m_total{zone!=\"\"}[5m])",
    "last_over_time(m_total[1m])",
    "irate(b_bucket[1m])",
    "delta(m_total[7m] @ 2000)",
];

const AGGREGATIONS: [&str; 9] = [
    "sum by (pod) (X)",
    "count without (series, Shard) (X)",
    "avg(X)",
    "min by (zone, series) (X)",
    "max by (__name__) (X)",
    "stddev by (zone, nowhere) (X)",
    "group by (le) (X)",
    "topk(3, sum by (pod) (X))",
    "bottomk(4, count by (zone, series) (X))",
];

async fn ask(engine: &Engine, text: &str) -> [String; 3] {
    let query = engine.parse(text).unwrap();
    let options = || Options {
        counting: Counting::Steps,
        ..Options::default()
    };
    let reordered = text.contains("k(");
    let range = (NOW - 2_000_000, NOW + 100_000, 47_000);
    [
        told(engine.instant(&query, NOW, options()).await, reordered),
        told(engine.instant(&query, NOW - 1_007_000, options()).await, reordered),
        told(engine.range(&query, range, options()).await, reordered),
    ]
}

#[tokio::test]
async fn groups_of_the_store_and_of_the_engine_give_the_same_answers() {
    let head = head();
    let (with, without) = (Asked::of(&head, true), Asked::of(&head, false));
    for (max_samples, delayed) in [(50_000_000, false), (400, true)] {
        let mut settings = Settings {
            max_samples,
            ..Settings::default()
        };
        settings.features.delayed_name_removal = delayed;
        let streamed = Engine::new(Arc::new(Fronted(with.clone())), settings.clone());
        let whole = Engine::new(Arc::new(Fronted(without.clone())), settings);
        for aggregation in AGGREGATIONS {
            for operand in OPERANDS {
                let text = aggregation.replace('X', operand);
                assert_eq!(
                    ask(&streamed, &text).await,
                    ask(&whole, &text).await,
                    "{text}, {max_samples}"
                );
            }
        }
    }
    // Three times each, but for functions whose notes name a metric that is not known, and where the groups are made by names
    // that go at once.
    let (all, going) = (OPERANDS.len() - 1, 6);
    let expected = 3 * (2 * AGGREGATIONS.len() * all - going);
    assert_eq!(with.answered.load(Ordering::Relaxed), expected);
}

/// Where the order of groups shows, which some series begin that have no value, and where other parts of a range are fixed.
#[tokio::test]
async fn groups_are_read_once_whichever_of_their_series_have_values() {
    let head = head();
    let (with, without) = (Asked::of(&head, true), Asked::of(&head, false));
    let streamed = Engine::new(Arc::new(Fronted(with.clone())), Settings::default());
    let whole = Engine::new(Arc::new(Fronted(without)), Settings::default());
    for (text, selections) in [
        ("topk(9, count by (zone, Shard) (m_total))", 3),
        ("bottomk(3, sum by (pod) (rate(m_total[2m])))", 3),
        ("topk(4, max by (series) (m_total) * 0)", 3),
        ("sum by (pod) (m_total) - on (pod) sum by (pod) (b_bucket @ 2000)", 6),
        ("max(rate(m_total[5m])) + scalar(sum(m_total @ end()))", 6),
    ] {
        let before = with.answered.load(Ordering::Relaxed);
        assert_eq!(ask(&streamed, text).await, ask(&whole, text).await, "{text}");
        let asked = with.answered.load(Ordering::Relaxed) - before;
        assert_eq!((asked, with.whole.load(Ordering::Relaxed)), (selections, 0), "{text}");
    }
}

/// A head into which a sample comes in whenever something is selected.
struct Growing {
    head: Arc<Head>,
    owner: OwnerId,
    selections: AtomicUsize,
}

impl Growing {
    fn grow(&self) {
        let n = self.selections.fetch_add(1, Ordering::Relaxed) as i64 + 1;
        let created = vec![Labels::from_pairs([("__name__", "m")])];
        let entry = Entry {
            series: Slot::New(0),
            t: n,
            v: n as f64,
        };
        let batch = Batch {
            owner: self.owner,
            slot: n,
            attempt: Attempt::Good,
            created,
            entries: vec![entry],
            extras: Extras::default(),
        };
        self.head.commit(&batch).unwrap();
    }
}

impl Front for Arc<Growing> {
    fn store(&self) -> &dyn Queryable {
        &*self.head
    }

    fn select(
        &self,
        matchers: &[Matcher],
        (mint, maxt): (Timestamp, Timestamp),
        sorted: bool,
    ) -> Result<Box<dyn SeriesSet>, QueryError> {
        self.grow();
        self.head.select(matchers, mint, maxt, sorted)
    }

    fn select_groups(
        &self,
        matchers: &[Matcher],
        (mint, maxt): (Timestamp, Timestamp),
        grouping: Grouping<'_>,
    ) -> Result<Option<GroupedSeries>, QueryError> {
        self.grow();
        self.head.select_groups(matchers, mint, maxt, grouping)
    }
}

#[tokio::test]
async fn series_and_groups_of_one_selector_are_of_one_moment() {
    for (text, selections, expected) in [
        ("m - on () avg(m) + on () max(m)", 1, 1.0),
        ("max(m) - min(m)", 1, 0.0),
        ("sum(m) - on () topk(1, m)", 1, 0.0),
        ("sum(max_over_time(m[1m])) - on () group by (__name__) (m) * 1", 2, 0.0),
        ("avg(last_over_time(m[1m])) - max(last_over_time(m[1m]))", 1, 0.0),
        ("stddev(m) + count(m) + min without (a) (m offset 1ms)", 2, 3.0),
        // Each is made once.
        ("max(m) - max(m @ 1)", 2, -1.0),
    ] {
        let head = Head::new(leadline_storage::Settings::default(), Arc::new(ManualClock::at(0))).unwrap();
        let growing = Arc::new(Growing {
            owner: head.new_owner(),
            head,
            selections: AtomicUsize::new(0),
        });
        let engine = Engine::new(Arc::new(Fronted(Arc::clone(&growing))), Settings::default());
        let query = engine.parse(text).unwrap();
        let found = engine.instant(&query, 1_000, Options::default()).await.unwrap();
        let Value::Vector(samples) = found.value else {
            panic!("{text}: {:?}", found.value);
        };
        let values: Vec<_> = samples.iter().map(|sample| sample.value.float()).collect();
        let seen = growing.selections.load(Ordering::Relaxed);
        assert_eq!((seen, values), (selections, vec![Some(expected)]), "{text}");
    }
}
