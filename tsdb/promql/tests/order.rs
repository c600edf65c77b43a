//! The same samples give the same values wherever the store has them, though head, log and blocks give series out in orders
//! of their own.

#![expect(clippy::unwrap_used, clippy::panic, reason = "what fails here fails the test")]

use leadline_model::clock::ManualClock;
use leadline_model::entropy::SeededEntropy;
use leadline_model::histogram::{AnyHistogram, FloatHistogram, Span};
use leadline_model::kahan::Kahan;
use leadline_model::port::{Appender, Attempt, Batch, Entry, Extras, HistogramEntry, Slot};
use leadline_model::{Labels, Timestamp};
use leadline_promql::engine::{Engine, Options};
use leadline_promql::settings::Settings;
use leadline_promql::value::{SampleValue, Value};
use leadline_storage::db::{Db, Parts};
use leadline_storage::disk::memory::MemoryDisk;
use std::path::PathBuf;
use std::sync::Arc;

const MINUTE: i64 = 60_000;
/// The time that is asked about.
const AT: Timestamp = 5 * MINUTE;

/// The values of the groups, in the order of their series' labels. In each another order has another sum, or another least
/// or largest number.
const GROUPS: [(&str, &[f64]); 6] = [
    ("overflow", &[1e308, -1e308, 1e308, 3.0]),
    ("cancels", &[1e16, 1.0, 1e100, -1e100, 0.1, -1e16, 0.3]),
    ("zeros", &[-0.0, 0.0, -0.0]),
    ("usual", &[0.1, 0.2, 0.3, 1e6, 7.25]),
    ("no_number", &[1.0, f64::NAN, 2.0]),
    ("nothing", &[5.5, -5.5]),
];

/// The label sets and values of all series, in the order of labels.
fn series() -> impl Iterator<Item = (Labels, f64)> {
    GROUPS.iter().flat_map(|(group, values)| {
        let labels = |i: usize| Labels::from_pairs([("__name__", "m"), ("group", *group), ("i", &i.to_string())]);
        values.iter().enumerate().map(move |(i, &v)| (labels(i), v))
    })
}

/// A histogram with such a sum, and a bucket as large.
fn histogram(v: f64) -> AnyHistogram {
    let count = if v.is_nan() { 1.0 } else { v.abs() };
    AnyHistogram::Float(Arc::new(FloatHistogram {
        count,
        sum: v,
        positive_spans: vec![Span { offset: 0, length: 1 }],
        positive_buckets: vec![count],
        ..FloatHistogram::default()
    }))
}

/// The series as a target sends them, in an order of their own: every second first.
fn batch(t: Timestamp, db: &Db) -> Batch {
    let mut all: Vec<(usize, (Labels, f64))> = series().enumerate().collect();
    all.sort_by_key(|(i, _)| i % 2);
    let count = all.len();
    let native = all
        .iter()
        .map(|(_, (labels, _))| labels.to_builder().set("__name__", "h").build());
    let created = all
        .iter()
        .map(|(_, (labels, _))| labels.clone())
        .chain(native)
        .collect();
    let entry = |(at, (_, (_, v))): (usize, &(usize, (Labels, f64)))| Entry {
        series: Slot::New(at as u32),
        t,
        v: *v,
    };
    let histograms = all.iter().enumerate().map(|(at, (_, (_, v)))| HistogramEntry {
        series: Slot::New((count + at) as u32),
        t,
        h: histogram(*v),
    });
    Batch {
        owner: db.new_owner(),
        slot: t,
        attempt: Attempt::Good,
        entries: all.iter().enumerate().map(entry).collect(),
        created,
        extras: Extras {
            histograms: histograms.collect(),
            ..Extras::default()
        },
    }
}

/// The values that an engine on the store answers, by labels; numbers to the last bit.
async fn answers(db: &Arc<Db>, text: &str) -> Vec<String> {
    let engine = Engine::new(Arc::clone(db) as _, Settings::default());
    let query = engine.parse(text).unwrap();
    let found = engine.instant(&query, AT, Options::default()).await.unwrap();
    let Value::Vector(samples) = found.value else {
        panic!("{text}: {:?}", found.value);
    };
    let shown = samples.iter().map(|sample| match &sample.value {
        SampleValue::Float(v) => format!("{} {v:?}", sample.labels),
        SampleValue::Histogram(h) => format!("{} {h:?}", sample.labels),
    });
    let mut shown: Vec<String> = shown.collect();
    shown.sort();
    shown
}

/// What `fold` makes of the values of each group in the order of labels.
fn expected(fold: impl Fn(&[f64]) -> f64) -> Vec<String> {
    let groups = GROUPS.iter().map(|(group, values)| {
        let labels = Labels::from_pairs([("group", *group)]);
        format!("{labels} {:?}", fold(values))
    });
    let mut shown: Vec<String> = groups.collect();
    shown.sort();
    shown
}

fn sum(values: &[f64]) -> f64 {
    let mut sum = Kahan::at(values[0]);
    values[1..].iter().for_each(|&v| sum.add(v));
    sum.total()
}

fn least(values: &[f64]) -> f64 {
    let better = |n: f64, v: f64| if n > v || n.is_nan() { v } else { n };
    values.iter().copied().reduce(better).unwrap()
}

#[tokio::test]
async fn head_log_and_blocks_give_the_sums_of_the_order_of_labels() {
    let (disk, clock) = (Arc::new(MemoryDisk::new()), Arc::new(ManualClock::at(0)));
    let entropy = Arc::new(SeededEntropy::new(1));
    let open = || {
        let db = Db::open(Parts {
            disk: disk.clone(),
            path: PathBuf::from("data"),
            settings: leadline_storage::Settings {
                block_range_ms: 20 * MINUTE,
                max_block_range_ms: 180 * MINUTE,
                ..leadline_storage::Settings::default()
            },
            clock: clock.clone(),
            entropy: entropy.clone(),
        });
        let db = db.unwrap();
        db.replay().unwrap();
        db
    };
    let head = open();
    for t in [3 * MINUTE, 4 * MINUTE] {
        clock.set(t);
        head.commit(&batch(t, &head)).unwrap();
    }
    let questions = [
        ("sum by (group) (m)", Some(expected(sum))),
        ("sum by (group) (last_over_time(m[2m]))", Some(expected(sum))),
        ("sum by (group) (m * 1)", Some(expected(sum))),
        ("topk(9, sum by (group) (m))", Some(expected(sum))),
        ("min by (group) (m)", Some(expected(least))),
        ("max by (group) (-m)", Some(expected(|values| -least(values)))),
        ("avg by (group) (m)", None),
        ("stddev(m{group!=\"no_number\"})", None),
        ("sum by (group) (h)", None),
        ("sum by (group) (histogram_sum(h))", Some(expected(sum))),
    ];
    let mut of_head = Vec::new();
    for (text, expected) in &questions {
        let found = answers(&head, text).await;
        if let Some(expected) = expected {
            assert_eq!(found, *expected, "{text}");
        }
        of_head.push(found);
    }
    head.close().unwrap();
    drop(head);
    let replayed = open();
    for ((text, _), expected) in questions.iter().zip(&of_head) {
        assert_eq!(answers(&replayed, text).await, *expected, "read back: {text}");
    }
    // A head that did not grow for half a block's time is cut.
    replayed.maintain();
    clock.set(60 * MINUTE);
    let done = replayed.maintain();
    assert_eq!(
        (replayed.stats().head.series, done.failures),
        (0, vec![]),
        "all is in blocks"
    );
    for ((text, _), expected) in questions.iter().zip(&of_head) {
        assert_eq!(answers(&replayed, text).await, *expected, "blocks: {text}");
    }
}
