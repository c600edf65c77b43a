//! The data that is asked about: two hours of everything that PromQL treats in a way of its own.

use crate::histograms;
use crate::random::Random;
use leadline_model::clock::ManualClock;
use leadline_model::entropy::SeededEntropy;
use leadline_model::histogram::AnyHistogram;
use leadline_model::labels::Labels;
use leadline_model::port::{Appender, Attempt, Batch, Entry, Extras, HistogramEntry, SeriesRef, Slot};
use leadline_model::sample::STALE_NAN;
use leadline_storage::Settings;
use leadline_storage::db::{Db, Parts};
use leadline_storage::disk::RealDisk;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Time of the first sample, ms.
pub(crate) const BEGIN: i64 = 1_795_344_000_000;
/// Time of the last, ms.
pub(crate) const END: i64 = BEGIN + 7_200_000;
/// Time between two samples of a series as a rule, ms.
const STEP: i64 = 15_000;

/// A sample.
#[derive(Debug, Clone)]
pub(crate) enum Point {
    /// A number.
    Float(f64),
    /// A native histogram.
    Histogram(AnyHistogram),
}

/// A series with its samples by time.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) labels: Labels,
    pub(crate) points: BTreeMap<i64, Point>,
}

impl Series {
    /// A series with a sample of `value` at each of `times`.
    pub(crate) fn new(labels: &[(&str, &str)], times: &[i64], mut value: impl FnMut(usize) -> Point) -> Self {
        let labels = Labels::from_pairs(labels.iter().copied());
        let points = times.iter().enumerate().map(|(i, &t)| (t, value(i))).collect();
        Self { labels, points }
    }

    fn floats(labels: &[(&str, &str)], times: &[i64], mut value: impl FnMut(usize) -> f64) -> Self {
        Self::new(labels, times, |i| Point::Float(value(i)))
    }
}

/// What is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    /// Whether native histograms are.
    histograms: bool,
    /// What times that are not regular are multiples of, ms.
    grid: i64,
    /// What every time is moved by, ms.
    shift: i64,
    /// Whether there are infinite, undefined and very large values, and counters near 0.
    extremes: bool,
    /// How much time a block spans, ms.
    pub(crate) block_ms: i64,
}

/// Blocks of which two hours make several.
const SHORT_BLOCKS: i64 = 1_200_000;
/// Blocks of which two hours do not fill one, so that all is in the head.
const LONG_BLOCKS: i64 = 14_400_000;

impl Shape {
    /// Everything.
    pub(crate) const WHOLE: Self = Self {
        histograms: true,
        grid: 1,
        shift: 0,
        extremes: true,
        block_ms: SHORT_BLOCKS,
    };
    /// What is in the head alone, of numbers alone, as where an HPA's queries are asked.
    pub(crate) const HEAD: Self = Self {
        histograms: false,
        block_ms: LONG_BLOCKS,
        ..Self::WHOLE
    };
    /// Ordinary numbers, none of them at a time whose last digit of milliseconds is 0 or 1.
    pub(crate) const OFF_GRID: Self = Self {
        histograms: false,
        grid: 10,
        shift: 5,
        extremes: false,
        block_ms: SHORT_BLOCKS,
    };

    /// Where a counter begins that grows by up to `most` a scrape: so far above 0 that no window reaches back to it.
    fn base(self, most: f64) -> f64 {
        if self.extremes { 0.0 } else { most * 400.0 }
    }
}

/// When the series of one target are scraped: with the target's own offset, every so often not at all, and with a stale
/// marker where the target is gone for a while.
pub(crate) struct Times {
    /// The scrapes.
    pub(crate) good: Vec<i64>,
    /// The scrapes at which the target was found gone.
    gone: Vec<i64>,
}

impl Times {
    /// Of the target with this number.
    fn of(random: &Random, target: usize, grid: i64) -> Self {
        let offset = [0, 0, 4_321, 7_777, 11_003, 14_999][target % 6];
        let all: Vec<i64> = (0..(END - BEGIN) / STEP).map(|i| BEGIN + offset + i * STEP).collect();
        // Down from the 200th scrape to the 230th, with a marker; unseen for six minutes without one.
        let down = |i: usize| target % 3 == 1 && (200..230).contains(&i);
        let unseen = |i: usize| target % 3 == 2 && (300..325).contains(&i);
        let good = all.iter().enumerate();
        let good = good.filter(|&(i, _)| !down(i) && !unseen(i) && !random.chance(2));
        // Scrapes do not come on the millisecond everywhere.
        let late = if target % 6 == 5 { 900 } else { 0 };
        let jitter = |t: i64| {
            if late == 0 {
                t
            } else {
                t + random.below(late) as i64 / grid * grid
            }
        };
        Self {
            good: good.map(|(_, &t)| jitter(t)).collect(),
            gone: if target % 3 == 1 { vec![all[200]] } else { Vec::new() },
        }
    }

    fn mark(&self, mut series: Series) -> Series {
        series
            .points
            .extend(self.gone.iter().map(|&t| (t, Point::Float(STALE_NAN))));
        series
    }
}

/// A counter that grows by up to `most` a scrape, and begins again now and then.
fn counter(random: &Random, most: f64, whole: bool, base: f64) -> impl FnMut(usize) -> f64 + '_ {
    let mut value = base + random.unit() * 1000.0;
    move |_| {
        if random.chance(1) {
            value = base;
        }
        if !random.chance(20) {
            value += random.unit() * most;
        }
        if whole { value.floor() } else { value }
    }
}

/// Every series.
pub(crate) fn series(seed: u64, shape: Shape) -> Vec<Series> {
    let random = Random::new(seed, u64::MAX);
    let mut all = Vec::new();
    let targets = ["api", "api", "api", "web", "web", "db"];
    for (n, job) in targets.iter().enumerate() {
        let times = Times::of(&random, n, shape.grid);
        let instance = format!("{job}-{n}:9090");
        let target = [("job", *job), ("instance", instance.as_str())];
        let mut own = Vec::new();
        counters(&mut own, &random, &target, &times.good, shape);
        gauges(&mut own, &random, &target, &times.good, shape);
        classic(&mut own, &random, &target, &times.good, shape);
        if shape.histograms {
            histograms::add(&mut own, &random, &target, &times.good, n);
        }
        all.extend(own.into_iter().map(|series| times.mark(series)));
    }
    odd(&mut all, &random, shape);
    // Both systems read series in the order of their labels. Prometheus reads those of its head in the order in which they
    // were created, so they are created in that order.
    all.sort_by(|a, b| a.labels.cmp(&b.labels));
    for series in &mut all {
        let first = series.points.first_key_value().map(|(_, point)| point.clone());
        series.points.extend(first.map(|point| (BEGIN - 1, point)));
        let points = std::mem::take(&mut series.points).into_iter();
        series.points = points.map(|(t, point)| (t + shape.shift, point)).collect();
    }
    all
}

fn named<'a>(name: &'a str, target: &[(&'a str, &'a str)], more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut labels = vec![("__name__", name)];
    labels.extend_from_slice(target);
    labels.extend_from_slice(more);
    labels
}

fn counters(all: &mut Vec<Series>, random: &Random, target: &[(&str, &str)], times: &[i64], shape: Shape) {
    for code in ["200", "404", "500"] {
        for method in ["get", "post"] {
            let labels = named("http_requests_total", target, &[("code", code), ("method", method)]);
            all.push(Series::floats(
                &labels,
                times,
                counter(random, 40.0, true, shape.base(40.0)),
            ));
        }
    }
    for mode in ["user", "system", "idle"] {
        let labels = named("cpu_seconds_total", target, &[("mode", mode)]);
        all.push(Series::floats(
            &labels,
            times,
            counter(random, 15.0, false, shape.base(15.0)),
        ));
    }
}

fn gauges(all: &mut Vec<Series>, random: &Random, target: &[(&str, &str)], times: &[i64], shape: Shape) {
    all.push(Series::floats(&named("up", target, &[]), times, |_| {
        f64::from(u8::from(!random.chance(5)))
    }));
    let mut bytes = 1e9;
    all.push(Series::floats(&named("memory_bytes", target, &[]), times, |_| {
        bytes += (random.unit() - 0.5) * 1e7;
        bytes
    }));
    for sensor in ["a", "b"] {
        let labels = named("temperature_celsius", target, &[("sensor", sensor)]);
        let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, 1e300, 5e-324];
        all.push(Series::floats(&labels, times, |i| match random.below(200) {
            0 if shape.extremes => random.pick(&odd),
            _ => (i as f64 / 20.0).sin() * 30.0 + random.unit(),
        }));
    }
    for queue in ["mail", "jobs"] {
        let labels = named("queue_depth", target, &[("queue", queue)]);
        all.push(Series::floats(&labels, times, |_| random.below(12) as f64));
    }
    let version = if target[0].1 == "web" { "2.1" } else { "1.9" };
    all.push(Series::floats(
        &named("build_info", target, &[("version", version)]),
        times,
        |_| 1.0,
    ));
    let more = [
        ("cluster", "eu-1"),
        ("env", if target[0].1 == "db" { "test" } else { "prod" }),
    ];
    all.push(Series::floats(&named("target_info", target, &more), times, |_| 1.0));
}

fn classic(all: &mut Vec<Series>, random: &Random, target: &[(&str, &str)], times: &[i64], shape: Shape) {
    const BOUNDS: [&str; 6] = ["0.05", "0.1", "0.5", "1", "5", "+Inf"];
    let mut counts = vec![[0.0_f64; 6]; times.len()];
    let mut now = [shape.base(50.0); 6];
    for row in &mut counts {
        if random.chance(1) {
            now = [shape.base(50.0); 6];
        }
        let mut sum = 0.0;
        for bucket in &mut now {
            sum += random.below(9) as f64;
            *bucket += sum;
        }
        *row = now;
    }
    let metric = "request_duration_seconds";
    let bucket = format!("{metric}_bucket");
    for (b, le) in BOUNDS.iter().enumerate() {
        let labels = named(&bucket, target, &[("le", le)]);
        all.push(Series::floats(&labels, times, |i| counts[i][b]));
    }
    let count = format!("{metric}_count");
    all.push(Series::floats(&named(&count, target, &[]), times, |i| counts[i][5]));
    let sum = format!("{metric}_sum");
    all.push(Series::floats(&named(&sum, target, &[]), times, |i| {
        counts[i][5] * 0.37
    }));
}

/// What no target of the usual kind has: names beyond ASCII, sparse and irregular times, extreme values, few samples.
fn odd(all: &mut Vec<Series>, random: &Random, shape: Shape) {
    let mut t = BEGIN + 1;
    let mut irregular = Vec::new();
    while t < END {
        irregular.push(t);
        t += 5_000 + random.below(55_000) as i64 / shape.grid * shape.grid;
    }
    let labels = [("__name__", "irregular_total"), ("job", "odd"), ("instance", "x:1")];
    all.push(Series::floats(
        &labels,
        &irregular,
        counter(random, 5.0, true, shape.base(5.0)),
    ));
    let labels = [
        ("__name__", "http.server.duration"),
        ("job", "odd"),
        ("instance", "x:1"),
        ("service.name", "größe"),
    ];
    all.push(Series::floats(&labels, &irregular, |i| i as f64 * 0.1));
    let labels = [("__name__", "sparse"), ("job", "odd"), ("instance", "x:2")];
    let sparse: Vec<i64> = (0..12).map(|i| BEGIN + 600_000 * i + 123).collect();
    all.push(Series::floats(&labels, &sparse, |i| 1.0 / (i as f64 + 1.0)));
    let labels = [("__name__", "once"), ("job", "odd"), ("instance", "x:3")];
    all.push(Series::floats(&labels, &[BEGIN + 3_600_000], |_| 42.0));
    let labels = [("__name__", "huge"), ("job", "odd"), ("instance", "x:4")];
    all.push(Series::floats(&labels, &irregular, |i| {
        [f64::MAX, -f64::MAX, 1e308, 3e307][i % 4]
    }));
}

#[test]
fn no_sample_off_the_grid_is_at_a_time_that_is_asked_about() {
    let all = series(316, Shape::OFF_GRID);
    let times = || all.iter().flat_map(|series| series.points.keys());
    assert!(
        times().all(|t| ![0, 1].contains(&(t % 10))),
        "{:?}",
        times().find(|t| *t % 10 < 2)
    );
    assert!(times().count() > 10_000);
}

/// Writes the series into a new directory as their times demand, part of it into blocks, and closes it.
pub(crate) fn write(path: &Path, seed: u64, shape: Shape) {
    let clock = Arc::new(ManualClock::at(BEGIN));
    let db = Db::open(Parts {
        disk: Arc::new(RealDisk),
        path: path.to_owned(),
        settings: Settings {
            block_range_ms: shape.block_ms,
            max_block_range_ms: shape.block_ms,
            retention_ms: 86_400_000,
            ..Settings::default()
        },
        clock: Arc::clone(&clock) as _,
        entropy: Arc::new(SeededEntropy::new(seed)),
    })
    .unwrap();
    db.replay().unwrap();
    let all = series(seed, shape);
    let mut by_time: BTreeMap<i64, Vec<(usize, &Point)>> = BTreeMap::new();
    for (i, series) in all.iter().enumerate() {
        for (&t, point) in &series.points {
            by_time.entry(t).or_default().push((i, point));
        }
    }
    let owner = db.new_owner();
    // With the time of the last use: what is not written for long, the head forgets.
    let mut refs: Vec<Option<(SeriesRef, i64)>> = vec![None; all.len()];
    for (n, (t, points)) in by_time.into_iter().enumerate() {
        clock.set(t);
        let mut batch = Batch {
            owner,
            slot: t,
            attempt: Attempt::Good,
            created: Vec::new(),
            entries: Vec::new(),
            extras: Extras::default(),
        };
        let mut fresh = Vec::new();
        for (i, point) in points {
            let series = match &mut refs[i] {
                Some((series, used)) if t - *used < 500_000 => {
                    *used = t;
                    Slot::Known(*series)
                }
                _ => {
                    fresh.push(i);
                    batch.created.push(all[i].labels.clone());
                    Slot::New(batch.created.len() as u32 - 1)
                }
            };
            match point {
                Point::Float(v) => batch.entries.push(Entry { series, t, v: *v }),
                Point::Histogram(h) => batch.extras.histograms.push(HistogramEntry {
                    series,
                    t,
                    h: h.clone(),
                }),
            }
        }
        let outcome = db.commit(&batch).unwrap();
        assert!(
            outcome.refused.is_empty() && outcome.refused_histograms.is_empty(),
            "{outcome:?}"
        );
        for (i, series) in fresh.into_iter().zip(outcome.refs) {
            refs[i] = series.map(|series| (series, t));
        }
        if n.is_multiple_of(200) {
            let done = db.maintain();
            assert!(done.failures.is_empty(), "{done:?}");
        }
    }
    db.close().unwrap();
}
