//! The kernels that a query goes through, each alone, for instruction counts that do not depend on the load of the machine.
//!
//! `tests/kernels` runs it below callgrind. `kernels --list` names the kernels; `kernels NAME TIMES` runs one so many times
//! after everything is set up, so that the difference of two runs is the kernel's own.

#![expect(clippy::unwrap_used, reason = "what fails is shown and ends the measurement")]
#![expect(clippy::print_stdout, reason = "the list of kernels is asked for")]

use axum::body::Bytes;
use http_body_util::BodyExt;
use leadline_api::{Api, Origins, StatusSource, router};
use leadline_model::clock::ManualClock;
use leadline_model::labels::Labels;
use leadline_model::port::{Appender, Attempt, Batch, Entry, Evaluate, Extras, Queryable, SeriesRef, Slot};
use leadline_model::sample::Samples;
use leadline_model::target::Board;
use leadline_promql::engine::{Engine, Options};
use leadline_promql::query::Query;
use leadline_promql::settings::Settings;
use leadline_storage::Head;
use leadline_storage::chunk::{XorAppender, decode_xor};
use std::cell::OnceCell;
use std::hint::black_box;
use std::sync::Arc;
use tokio::runtime::Runtime;
use tower::ServiceExt;

/// Between two samples, ms.
const STEP: i64 = 15_000;
/// The time of the newest, ms: the open chunk holds 115 samples.
const NOW: i64 = 114 * STEP;
/// The end of the hour that ranges are asked of, ms: all but the newest 20 of the samples before are in closed chunks.
const HOUR_END: i64 = 260 * STEP;
/// Pods of 20 counters and a histogram of 12 buckets each.
const PODS: u32 = 50;
/// What an HPA asks.
const TYPICAL: &str = r#"sum by (pod) (rate(http_requests_total{namespace="shop",pod=~"web-1|web-2|web-3"}[2m]))"#;

struct NoStatus;

impl StatusSource for NoStatus {
    fn topic(&self, _: &str) -> Option<serde_json::Value> {
        None
    }

    fn dropped_targets(&self) -> Vec<(Arc<str>, Labels)> {
        Vec::new()
    }

    fn tsdb(&self, _: usize) -> Option<serde_json::Value> {
        None
    }
}

/// What kernels work on.
struct Bench {
    runtime: Runtime,
    head: Arc<Head>,
    engine: Arc<Engine>,
    clock: Arc<ManualClock>,
    chunk: Vec<u8>,
    hour: OnceCell<Arc<Head>>,
}

type Kernel = (&'static str, fn(&Bench));

const KERNELS: &[Kernel] = &[
    ("parse_x100", |_| {
        for _ in 0..100 {
            black_box(Query::parse(black_box(TYPICAL)).unwrap());
        }
    }),
    ("print_x100", |_| {
        let query = Query::parse(TYPICAL).unwrap();
        for _ in 0..100 {
            black_box(black_box(&query).expr().to_string());
        }
    }),
    ("plan_x100", |b| {
        for _ in 0..100 {
            black_box(b.engine.prepare(black_box(TYPICAL), &[]).unwrap());
        }
    }),
    ("decode_x100", |b| {
        let mut samples = Samples::default();
        for _ in 0..100 {
            samples.clear();
            decode_xor(black_box(&b.chunk), 0, i64::MAX, &mut samples).unwrap();
        }
        assert_eq!(samples.len(), 120);
    }),
    ("select", |b| {
        let query = Query::parse(r#"m{path=~"/api/v1/resource/1.*",pod!="web-1"}"#).unwrap();
        let selectors = leadline_promql::check::plan_selectors(query.expr());
        let matchers = &selectors[0].matchers;
        assert_eq!(b.head.select(matchers, NOW - STEP, NOW, false).unwrap().len(), 49 * 11);
    }),
    ("rate", |b| b.ask("rate(m[2m])", 1_000)),
    ("sum_by", |b| b.ask("sum by (pod) (m)", 50)),
    ("histogram_quantile", |b| {
        b.ask("histogram_quantile(0.99, sum by (le) (rate(b[5m])))", 1);
    }),
    ("join", |b| b.ask("m / on (pod, path) m", 1_000)),
    ("range", |b| {
        let query = b.engine.parse("sum by (pod) (rate(m[2m]))").unwrap();
        let times = (NOW - 900_000, NOW, 30_000);
        black_box(
            b.runtime
                .block_on(b.engine.range(&query, times, Options::default()))
                .unwrap(),
        );
    }),
    ("range_avg", |b| b.over_an_hour("avg by (pod) (g)", 15, 20)),
    ("range_rate", |b| b.over_an_hour("sum by (pod) (rate(c[2m]))", 60, 20)),
    ("range_json", |b| {
        let (start, end) = (HOUR_END / 1_000 - 3_600, HOUR_END / 1_000);
        let path = format!("/api/v1/query_range?query=g&start={start}&end={end}&step=60");
        assert!(
            b.body(b.hour(), &Engine::new(b.hour().clone(), Settings::default()), path)
                .len()
                > 800_000
        );
    }),
    ("json", |b| {
        let path = format!("/api/v1/query_range?query=time()&start=1&end={}&step=1", NOW / 1_000);
        let body = b.body(&b.head, &b.engine, path);
        assert!(body.len() > 20_000, "{}", String::from_utf8_lossy(&body));
    }),
];

impl Bench {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::at(0));
        let head = Head::new(leadline_storage::Settings::default(), clock.clone()).unwrap();
        for pod in 0..PODS {
            fill(&head, &clock, pod);
        }
        let mut open = XorAppender::default();
        for i in 0..120 {
            open.append(i * STEP, value(i, 17));
        }
        let mut chunk = Vec::new();
        open.copy_to(&mut chunk);
        Self {
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap(),
            engine: Engine::new(head.clone(), Settings::default()),
            head,
            clock,
            chunk,
            hour: OnceCell::new(),
        }
    }

    /// 1,000 gauges of two decimals and as many counters, of which most of the last hour is in closed chunks.
    fn hour(&self) -> &Arc<Head> {
        self.hour.get_or_init(hour)
    }

    /// Evaluates a query over the last hour every so many seconds.
    fn over_an_hour(&self, text: &str, step: i64, series: usize) {
        let engine = Engine::new(self.hour().clone(), Settings::default());
        let query = engine.parse(text).unwrap();
        let times = (HOUR_END - 3_600_000, HOUR_END, step * 1_000);
        let result = self
            .runtime
            .block_on(engine.range(&query, times, Options::default()))
            .unwrap();
        let leadline_promql::value::Value::Matrix(matrix) = result.value else {
            unreachable!("{text} is a matrix")
        };
        assert_eq!(matrix.len(), series, "{text}");
    }

    /// What the API answers from a head.
    fn body(&self, head: &Arc<Head>, engine: &Arc<Engine>, path: String) -> Bytes {
        let request = http::Request::get(path).body(axum::body::Body::empty()).unwrap();
        self.runtime.block_on(async {
            let answer = router(self.api(head, engine)).oneshot(request).await.unwrap();
            answer.into_body().collect().await.unwrap().to_bytes()
        })
    }

    fn ask(&self, text: &str, series: usize) {
        let query = self.engine.parse(text).unwrap();
        let result = self
            .runtime
            .block_on(self.engine.instant(&query, NOW, Options::default()))
            .unwrap();
        let leadline_promql::value::Value::Vector(vector) = result.value else {
            unreachable!("{text} is a vector")
        };
        assert_eq!(vector.len(), series, "{text}");
    }

    fn api(&self, head: &Arc<Head>, engine: &Arc<Engine>) -> Api {
        Api {
            engine: engine.clone(),
            queryable: head.clone(),
            board: Board::new(),
            clock: self.clock.clone(),
            status: Arc::new(NoStatus),
            admin: None,
            origins: Origins::ANY,
        }
    }
}

/// A counter that grows unevenly.
fn value(sample: i64, series: i64) -> f64 {
    (sample * (series % 37 + 1) + (sample * 7 + series) % 5) as f64
}

/// A gauge of two decimals that jumps.
fn gauge(sample: i64, series: i64) -> f64 {
    let mixed = (sample * 1_000 + series).wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as i64);
    ((mixed ^ (mixed >> 29)) & 0xffff).rem_euclid(10_000) as f64 / 100.0
}

/// See [`Bench::hour`].
fn hour() -> Arc<Head> {
    let clock = Arc::new(ManualClock::at(0));
    let head = Head::new(leadline_storage::Settings::default(), clock.clone()).unwrap();
    for pod in 0..20 {
        let labels = |i: u32| {
            let name = if i < 50 { "g" } else { "c" };
            Labels::from_pairs([
                ("__name__", name),
                ("device", &i.to_string()),
                ("pod", &format!("web-{pod}")),
            ])
        };
        let of = |sample, i: u32| {
            let series = i64::from(pod * 100 + i);
            if i < 50 {
                gauge(sample, series)
            } else {
                value(sample, series)
            }
        };
        write(&head, &clock, HOUR_END, (0..100).map(labels).collect(), of);
    }
    head
}

/// Writes all samples of one pod.
fn fill(head: &Head, clock: &ManualClock, pod: u32) {
    let own = |i: u32| match i {
        0..20 => [("__name__", "m".to_owned()), ("path", format!("/api/v1/resource/{i}"))],
        31 => [("__name__", "b".to_owned()), ("le", "+Inf".to_owned())],
        _ => [
            ("__name__", "b".to_owned()),
            ("le", f64::from(1 << (i - 20)).to_string()),
        ],
    };
    let labels = |i| {
        let common = [
            ("instance", format!("10.0.0.{pod}:8080")),
            ("job", "shop".to_owned()),
            ("namespace", "shop".to_owned()),
            ("pod", format!("web-{pod}")),
        ];
        Labels::from_pairs(common.into_iter().chain(own(i)))
    };
    let of = |sample, i| value(sample, i64::from(pod * 32 + i));
    write(head, clock, NOW, (0..32).map(labels).collect(), of);
    clock.set(0);
}

/// Writes samples of the series `created` of one target from 0 to `end` (ms).
fn write(head: &Head, clock: &ManualClock, end: i64, mut created: Vec<Labels>, value: impl Fn(i64, u32) -> f64) {
    let (owner, series) = (head.new_owner(), created.len() as u32);
    let mut known: Vec<SeriesRef> = Vec::new();
    for sample in 0..=end / STEP {
        let t = sample * STEP;
        clock.set(t);
        let entry = |i: u32| Entry {
            series: known.get(i as usize).map_or(Slot::New(i), |known| Slot::Known(*known)),
            t,
            v: value(sample, i),
        };
        let batch = Batch {
            owner,
            slot: t,
            attempt: Attempt::Good,
            entries: (0..series).map(entry).collect(),
            created: std::mem::take(&mut created),
            extras: Extras::default(),
        };
        let outcome = head.commit(&batch).unwrap();
        assert!(outcome.refused.is_empty());
        if known.is_empty() {
            known = outcome.refs.into_iter().map(Option::unwrap).collect();
        }
    }
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let [name, times] = args.as_slice() else {
        for (name, _) in KERNELS {
            println!("{name}");
        }
        return;
    };
    let (_, kernel) = KERNELS.iter().find(|(known, _)| known == name).unwrap();
    let bench = Bench::new();
    bench.clock.set(NOW);
    for _ in 0..times.parse::<usize>().unwrap() {
        kernel(&bench);
    }
}
