//! leadline and Prometheus answer the same about the same data.
//!
//! A directory with two hours of data is written and copied. Queries come from a walk of PromQL's grammar that a seed
//! determines; both answer each of them over HTTP, and what they answer is compared as text. What differs is made as small as
//! it can be and still differ. Five comparisons are made:
//!
//! * with 3.16 and all features that both know;
//! * with 3.16 as it is by default, where names of metrics go at once; a quarter as many queries;
//! * the same of numbers alone that are all in the head, where aggregations are answered from groups of the store and small
//!   queries on the thread that asks; a quarter as many;
//! * with Debian's 2.42, about what it has, off the grid of samples; a quarter as many;
//! * with 3.16, of expressions that are wrong: status, type of error and, but for listed ones, its words; 3/8 as many.
//!
//! | variable | default | |
//! |---|---|---|
//! | `LEADLINE_DIFFERENTIAL_QUERIES` | 8000 | how many queries of the first kind |
//! | `LEADLINE_DIFFERENTIAL_SEED` | 316 | the walk |
//! | `LEADLINE_DIFFERENTIAL_SHOWN` | 10 | after so many differences it ends |
//! | `LEADLINE_DIFFERENTIAL_ABOUT` | | only queries about this function, operator or modifier |

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "what a test needs and does not get fails the test; counts are printed"
)]

mod allowed;
mod answer;
mod binary;
mod both;
mod catalogue;
mod data;
mod description;
#[path = "../interop/folder.rs"]
#[expect(
    dead_code,
    reason = "it is shared with the trials of the store, which use more of it"
)]
mod folder;
mod grammar;
mod histograms;
mod malformed;
mod older;
mod openapi;
mod oracle;
#[path = "../interop/programs.rs"]
#[expect(
    dead_code,
    reason = "it is shared with the trials of the store, which use more of it"
)]
mod programs;
mod question;
mod random;
mod refusals;
mod requests;
mod selector;
#[path = "../interop/server.rs"]
#[expect(
    dead_code,
    reason = "it is shared with the trials of the store, which use more of it"
)]
mod server;
mod shrink;
mod tally;
mod textual;
mod tree;
mod wording;
#[path = "../it/world.rs"]
#[expect(
    dead_code,
    reason = "it is shared with the trials of the binary, which use more of it"
)]
mod world;

use answer::Difference;
use both::Both;
use data::Shape;
use futures::StreamExt;
use leadline_testkit::openapi::Document;
use oracle::Oracle;
use question::Question;
use refusals::Refusals;
use tally::Tally;

/// Queries that are asked at the same time.
const AT_ONCE: usize = 4;
/// How many queries a whole run has.
const WHOLE_RUN: u64 = 8000;
/// From so many on, each feature has to occur in the first comparison, in proportion to a whole run.
const ENOUGH: u64 = 6000;

fn setting<T: std::str::FromStr>(name: &str, default: T) -> T {
    let text = std::env::var(format!("LEADLINE_DIFFERENTIAL_{name}"));
    text.map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
}

/// What every comparison is told.
struct Told {
    /// How many queries the first one asks; the others ask a share of it.
    queries: u64,
    seed: u64,
    shown: usize,
    about: String,
}

impl Told {
    fn read() -> Self {
        Self {
            queries: setting("QUERIES", WHOLE_RUN),
            seed: setting("SEED", 316),
            shown: setting("SHOWN", 10),
            about: setting("ABOUT", String::new()),
        }
    }

    /// What is asked about, of what `known` says is there.
    fn features(&self, known: impl Fn(&str) -> bool) -> Vec<&'static str> {
        let wanted = |feature: &&str| known(feature) && (self.about.is_empty() || *feature == self.about);
        let features: Vec<_> = catalogue::all().into_iter().filter(wanted).collect();
        assert!(!features.is_empty(), "nothing is called {}", self.about);
        features
    }

    /// How often each feature has to occur in a share of so many queries, where that of the whole run has `least`.
    fn least(&self, least: usize) -> usize {
        self.least_from(WHOLE_RUN, least)
    }

    /// The same, in proportion, where a run of `enough` queries is held to it; shorter ones are to look at something.
    fn least_from(&self, enough: u64, least: usize) -> usize {
        if self.queries < enough || !self.about.is_empty() {
            0
        } else {
            least * self.queries.min(WHOLE_RUN) as usize / WHOLE_RUN as usize
        }
    }
}

/// Both on a directory of this shape.
async fn started(oracle: Oracle, shape: Shape, told: &Told) -> Both {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    data::write(&data, told.seed, shape);
    Both::start(oracle, &data, shape.block_ms).await
}

/// Asks both, and fails where they differ.
async fn hold(both: Both, questions: impl Iterator<Item = Question>, told: &Told) -> Tally {
    let began = std::time::Instant::now();
    let tally = compare(&both, questions, told.shown).await;
    let seconds = began.elapsed().as_secs();
    both.end().await;
    tally.print();
    println!("passed: asked and compared in {seconds} s");
    assert_eq!(
        tally.differences(),
        0,
        "leadline and Prometheus differ; the queries are above"
    );
    tally
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leadline_and_prometheus_answer_the_same() {
    let Some(oracle) = Oracle::newest() else { return };
    let told = Told::read();
    let features = told.features(|_| true);
    let both = started(oracle, Shape::WHOLE, &told).await;
    let questions = (0..told.queries).map(|n| Question::about(nth(&features, n), told.seed, n));
    let tally = hold(both, questions, &told).await;
    tally.demand(&features, told.least_from(ENOUGH, 50));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leadline_and_prometheus_answer_the_same_where_names_go_at_once() {
    let Some(oracle) = Oracle::newest_by_default() else {
        return;
    };
    let told = Told::read();
    let features = told.features(|_| true);
    let both = started(oracle, Shape::WHOLE, &told).await;
    // Other questions than with the feature.
    let questions = (0..told.queries / 4).map(|n| Question::about(nth(&features, n), told.seed + 1, n));
    let tally = hold(both, questions, &told).await;
    tally.demand(&features, told.least(10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leadline_and_prometheus_answer_the_same_about_numbers_in_the_head() {
    let Some(oracle) = Oracle::newest_in_the_head() else {
        return;
    };
    let told = Told::read();
    let features = told.features(|feature| !NATIVE_ALONE.contains(&feature));
    let both = started(oracle, Shape::HEAD, &told).await;
    let questions = (0..told.queries / 4).map(|n| numeric(nth(&features, n), told.seed + 3, n));
    let tally = compare(&both, questions, told.shown).await;
    let ways = both.ways().await;
    both.end().await;
    tally.print();
    println!("passed: in the head {ways:?}");
    assert_eq!(tally.differences(), 0, "the queries above are answered differently");
    tally.demand(&features, told.least(10));
    assert!(
        ways.inline >= told.least(500) as u64 && ways.streamed >= told.least(100) as u64,
        "this comparison is of queries on the caller's thread and of groups of the store: {ways:?}"
    );
}

/// What is asked of native histograms alone.
const NATIVE_ALONE: &[&str] = &[
    "</",
    ">/",
    "histogram_avg",
    "histogram_count",
    "histogram_stddev",
    "histogram_stdvar",
    "histogram_sum",
];

/// A question about a feature that reads no native histogram.
fn numeric(feature: &'static str, seed: u64, number: u64) -> Question {
    let mut tries = (0..1000).map(|n| Question::about(feature, seed, number + n * 1_000_003));
    tries
        .find(|question| !question.tree.all_features().contains("native histogram"))
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leadline_and_debians_prometheus_answer_the_same_off_the_grid_of_samples() {
    let Some(oracle) = Oracle::older() else { return };
    let told = Told::read();
    let features = told.features(older::has);
    let both = started(oracle, Shape::OFF_GRID, &told).await;
    let questions = (0..told.queries / 4).map(|n| older::question(nth(&features, n), told.seed, n));
    let tally = hold(both, questions, &told).await;
    tally.demand(&features, told.least(10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leadline_and_prometheus_refuse_the_same_mistakes() {
    let Some(oracle) = Oracle::newest() else { return };
    let told = Told::read();
    let features = told.features(|_| true);
    let both = started(oracle, Shape::WHOLE, &told).await;
    let questions = (0..told.queries * 3 / 8).map(|n| {
        let about = Question::about(nth(&features, n), told.seed + 2, n);
        malformed::question(&about, told.seed, n)
    });
    let refusals = Refusals::of(&both, questions, told.shown).await;
    both.end().await;
    refusals.print();
    refusals.demand();
}

/// The features in turn.
fn nth(features: &[&'static str], n: u64) -> &'static str {
    features[n as usize % features.len()]
}

/// How many of these requests are answered differently, and how many answers are not as Prometheus' document says.
async fn letters(both: &Both, document: Option<&Document>, requests: &[&str]) -> (usize, usize) {
    let (mut differences, mut complaints) = (0, 0);
    for request in requests {
        let (path, parameters) = requests::split(request);
        // Some cannot be asked for with a form.
        let forms = !path.contains("/label/") && !path.contains("metadata");
        for form in [false, true].into_iter().filter(|form| !form || forms) {
            let [ours, theirs] = both.plainly(&path, &parameters, form).await;
            let complain = |document: &Document| document.complaint(&path, form, ours.0, &ours.1);
            let spoken_for = is_text(&ours.1) || ours == (204, String::new());
            if let Some(complaint) = document.and_then(complain).filter(|_| !spoken_for) {
                complaints += 1;
                println!("\n{request}\n  {complaint}\n  {ours:?}");
            }
            if ours != theirs {
                differences += 1;
                println!("\n{request}\n  leadline   {ours:?}\n  Prometheus {theirs:?}");
                break;
            }
        }
    }
    (differences, complaints)
}

#[tokio::test]
async fn answers_with_rarer_features_are_the_same_to_the_letter() {
    let Some(oracle) = Oracle::newest_with_rarer_features() else {
        return;
    };
    let both = started(oracle, Shape::WHOLE, &Told::read()).await;
    let found = letters(&both, openapi::load().as_ref(), requests::RARER).await;
    both.end().await;
    assert_eq!(
        found,
        (0, 0),
        "the answers above differ, or are not as the OpenAPI document says"
    );
}

#[tokio::test]
async fn answers_to_these_requests_are_the_same_to_the_letter() {
    let Some(oracle) = Oracle::newest() else { return };
    let both = started(oracle, Shape::WHOLE, &Told::read()).await;
    let document = openapi::load();
    let (mut differences, mut complaints) = letters(&both, document.as_ref(), requests::REQUESTS).await;
    for (path, url, form) in requests::TWOFOLD {
        let [ours, theirs] = both.plainly(&format!("/api/v1/{path}?{url}"), form, true).await;
        if ours != theirs {
            differences += 1;
            println!("\n{path}?{url} {form:?}\n  leadline   {ours:?}\n  Prometheus {theirs:?}");
        }
    }
    let asked = [
        ("query", "rate(http_requests_total[5m])"),
        ("time", "1795348800"),
        ("stats", "all"),
    ];
    let [(status, body), _] = both.plainly("/api/v1/query", &asked, false).await;
    let complain = |document: &Document| document.complaint("/api/v1/query", false, status, &body);
    assert_eq!(document.as_ref().and_then(complain), None, "{body}");
    assert!(
        body.contains("\"samplesRead\":") && !body.contains("\"samplesRead\":0"),
        "{body}"
    );
    for topic in ["buildinfo", "walreplay"] {
        let path = format!("/api/v1/status/{topic}");
        let [(status, body), _] = both.plainly(&path, &[], false).await;
        let complain = |document: &Document| document.complaint(&path, false, status, &body);
        if let Some(complaint) = document.as_ref().and_then(complain) {
            complaints += 1;
            println!("\n{path}\n  {complaint}\n  {body}");
        }
    }
    both.end().await;
    println!(
        "passed: {} requests, {differences} differences",
        requests::REQUESTS.len() + requests::TWOFOLD.len()
    );
    assert_eq!(differences, 0, "the answers above differ");
    assert_eq!(complaints, 0, "the answers above are not as the OpenAPI document says");
}

/// Expressions whose samples are counted, at one time and over a range.
const COUNTED: &[&str] = &[
    "http_requests_total",
    "http.server.duration{service.name=~\"gr.*\"}",
    "sum by (job) (rate(http_requests_total[5m]))",
    "max_over_time(queue_depth[10m]) - queue_depth",
    "avg_over_time(sum(up)[10m:1m])",
    "sum(rate(cpu_seconds_total[5m] @ end())) + sum(up)",
    "sum(up offset 7m)",
    "topk(2, memory_bytes)",
    "vector(1) or absent(nothing)",
];

#[tokio::test]
async fn samples_that_queries_consume_are_counted_the_same_at_each_step() {
    let Some(oracle) = Oracle::newest_in_the_head() else {
        return;
    };
    let both = started(oracle, Shape::HEAD, &Told::read()).await;
    let mut differences = 0;
    for expression in COUNTED {
        let query = [("query", *expression), ("stats", "all")];
        let at = [&query[..], &[("time", "1795348800")]].concat();
        let times = [("start", "1795348800"), ("end", "1795349100"), ("step", "40.5")];
        let over = [&query[..], &times].concat();
        for (path, parameters) in [("/api/v1/query", at), ("/api/v1/query_range", over)] {
            let answers = both.plainly(path, &parameters, false).await;
            let [ours, theirs] = answers.map(|(status, body)| {
                assert_eq!(status, 200, "{expression}: {body}");
                consumed(&body)
            });
            if ours != theirs {
                differences += 1;
                println!("\n{expression} {path}\n  leadline   {ours}\n  Prometheus {theirs}");
            }
        }
    }
    both.end().await;
    assert_eq!(differences, 0, "the counts above differ");
}

/// What an answer tells of samples, without what depends on how an engine works.
fn consumed(body: &str) -> serde_json::Value {
    let answer: serde_json::Value = serde_json::from_str(body).unwrap();
    let mut samples = answer["data"]["stats"]["samples"].clone();
    let all = samples.as_object_mut().unwrap_or_else(|| panic!("{body}"));
    assert!(all.contains_key("totalQueryableSamplesPerStep"), "{body}");
    for other in ["peakSamples", "seriesTouched"] {
        assert!(all.remove(other).is_some(), "{body}");
    }
    samples
}

/// Whether the answer is a text with its time, which the document takes for a text as well.
fn is_text(body: &str) -> bool {
    body.contains("\"resultType\":\"string\"")
}

/// Asks both until `shown` differences were found.
async fn compare(both: &Both, questions: impl Iterator<Item = Question>, shown: usize) -> Tally {
    let answers = futures::stream::iter(questions).map(async |question| {
        let (ours, theirs) = both.ask(&question).await;
        (question, ours, theirs)
    });
    let mut answers = std::pin::pin!(answers.buffered(AT_ONCE));
    let mut tally = both.oracle.tally();
    while let Some((question, ours, theirs)) = answers.next().await {
        tally.add(&question, &theirs);
        if ours == theirs {
            continue;
        }
        if let Some(place) = both.allows(&question, &ours, &theirs).await {
            tally.allow(place);
            continue;
        }
        let (small, ours, theirs) = shrink::shrink(both, question.clone(), ours, theirs).await;
        println!(
            "\ndiffers: {small}\n  found as {question}\n{}",
            Difference(&ours, &theirs)
        );
        tally.differs(&small);
        if tally.differences() >= shown {
            break;
        }
    }
    tally
}
