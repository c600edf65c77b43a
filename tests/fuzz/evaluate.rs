//! Targets that evaluate: the engine on made-up series, and the API's answers about them.

use super::store::Made;
use axum::body::Body;
use leadline_api::{Api, Origins, StatusSource};
use leadline_model::clock::ManualClock;
use leadline_model::duration::Duration;
use leadline_model::target::Board;
use leadline_model::{Labels, Timestamp};
use leadline_promql::engine::{Engine, Options};
use leadline_promql::error::Error;
use leadline_promql::settings::Settings;
use leadline_promql::syntax::Features;
use leadline_promql::value::QueryResult;
use serde_json::Value;
use std::cell::RefCell;
use std::sync::Arc;
use std::time::Instant;
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt;

/// Samples that a query may hold.
const MOST_SAMPLES: usize = 2_000;
/// How long a query may run.
const TIMEOUT_MS: i64 = 500;
/// After so much more, nobody can say that the limit holds, however busy the machine.
const PATIENCE_S: u64 = 20;
/// When instant queries are asked, ms.
const NOW: Timestamp = 600_000;

/// The longest query that an address takes, bytes.
const LONGEST_ADDRESS: usize = 60_000;

/// Bytes of a label value that [`MOST_SAMPLES`] surely have room for.
const LONGEST_LABEL: usize = 4_096;

thread_local! {
    static RUNTIME: RefCell<Option<Runtime>> = const { RefCell::new(None) };
}

/// Runs async work on this thread's runtime.
pub(super) fn block_on<T>(work: impl Future<Output = T>) -> Option<T> {
    RUNTIME.with_borrow_mut(|runtime| {
        if runtime.is_none() {
            *runtime = Builder::new_current_thread().enable_time().build().ok();
        }
        runtime.as_ref().map(|runtime| runtime.block_on(work))
    })
}

fn settings() -> Settings {
    Settings {
        max_samples: MOST_SAMPLES,
        timeout: Duration::from_millis(TIMEOUT_MS),
        features: Features::LANGUAGE,
        ..Settings::default()
    }
}

/// Evaluates the first line on the series that the rest describes, at once and over a range: a value or an error, the same
/// twice, within the limits on time and samples.
#[expect(clippy::panic, reason = "a panic is how a target tells a finding")]
pub(super) fn engine(bytes: &[u8]) {
    let split = bytes.iter().position(|b| *b == b'\n').unwrap_or(bytes.len());
    let (text, data) = bytes.split_at(split);
    let Ok(text) = std::str::from_utf8(text) else { return };
    let engine = Engine::new(Arc::new(Made::from_bytes(data)), settings());
    let Ok(query) = engine.parse(text) else { return };
    let step = 1 + 1000 * i64::from(data.first().copied().unwrap_or(30));
    let range = (NOW - 200 * step, NOW, step);
    let ask = async || {
        [
            engine.instant(&query, NOW, Options::default()).await,
            engine.range(&query, range, Options::default()).await,
        ]
    };
    let began = Instant::now();
    let answers = block_on(async { [ask().await, ask().await] });
    assert!(
        began.elapsed().as_secs() < PATIENCE_S,
        "{text:?} ran for {:?}",
        began.elapsed()
    );
    for (first, second) in answers
        .into_iter()
        .flat_map(|[first, second]| first.into_iter().zip(second))
    {
        match (&first, &second) {
            (Ok(a), Ok(b)) => assert_eq!(told(a), told(b), "{text:?} twice"),
            // A query near the limit may pass once.
            (Err(Error::Timeout(_)), _) | (_, Err(Error::Timeout(_))) => {}
            (Err(a), Err(b)) => assert_eq!(a.to_string(), b.to_string(), "{text:?} twice"),
            (Ok(_), Err(error)) | (Err(error), Ok(_)) => panic!("{text:?} failed once: {error}"),
        }
        match &first {
            Ok(result) => assert!(
                result.stats.peak_samples <= MOST_SAMPLES as u64,
                "{text:?}: {:?}",
                result.stats
            ),
            Err(error) => assert!(!error.to_string().contains("unexpectedly"), "{text:?} panicked"),
        }
    }
}

fn told(result: &QueryResult) -> String {
    format!("{:?} {:?} {:?}", result.value, result.warnings, result.infos)
}

/// Nothing to tell.
struct Silent;

impl StatusSource for Silent {
    fn topic(&self, _: &str) -> Option<Value> {
        None
    }

    fn tsdb(&self, _: usize) -> Option<Value> {
        None
    }

    fn dropped_targets(&self) -> Vec<(Arc<str>, Labels)> {
        Vec::new()
    }
}

/// A number and a text in each kind of answer: what is read back is what was there.
pub(super) fn json(bytes: &[u8]) {
    let (number, text) = bytes.split_at(bytes.len().min(8));
    let mut eight = [0; 8];
    for (to, from) in eight.iter_mut().zip(number) {
        *to = *from;
    }
    let number = f64::from_le_bytes(eight);
    let text = String::from_utf8_lossy(text).into_owned();
    let made = Arc::new(Made::one(&text, NOW, number));
    let api = api(made);
    for (path, pointer) in [
        ("/api/v1/query?query=m", "/data/result/0/value/1"),
        (
            "/api/v1/query_range?query=m&start=599&end=601&step=1",
            "/data/result/0/values/0/1",
        ),
        ("/api/v1/query?query=m[1m]", "/data/result/0/values/0/1"),
        ("/api/v1/query?query=h", "/data/result/0/histogram/1/count"),
        ("/api/v1/query?query=h", "/data/result/0/histogram/1/sum"),
        ("/api/v1/query?query=h[1m]", "/data/result/0/histograms/0/1/sum"),
        (
            "/api/v1/query_range?query=h&start=599&end=601&step=1",
            "/data/result/0/histograms/0/1/buckets/0/3",
        ),
    ] {
        let Some(answer) = block_on(answer(&api, path)) else {
            return;
        };
        // A label of so many bytes counts for more samples than are allowed.
        if text.len() > LONGEST_LABEL && answer["errorType"] == "execution" {
            return;
        }
        // Where there is nothing, and a bucket of nothing, nothing is written.
        if leadline_model::is_stale(number) || (number == 0.0 && pointer.contains("buckets")) {
            continue;
        }
        let read = answer.pointer(pointer).and_then(Value::as_str).map(str::parse::<f64>);
        let same =
            matches!(read, Some(Ok(read)) if read.to_bits() == number.to_bits() || read.is_nan() && number.is_nan());
        assert!(
            same,
            "{number:?} was written as {:?} in {path}",
            answer.pointer(pointer)
        );
        let label = answer.pointer("/data/result/0/metric/text").and_then(Value::as_str);
        assert_eq!(label.unwrap_or(""), text, "{path}");
    }
    told_back(&api, &text);
    for (path, there) in [
        ("/api/v1/labels", !text.is_empty()),
        ("/api/v1/label/text/values", !text.is_empty()),
    ] {
        let Some(answer) = block_on(answer(&api, path)) else {
            return;
        };
        let values = answer["data"].as_array().map_or(0, Vec::len);
        assert_eq!(
            values,
            if path.ends_with("labels") { 1 } else { 0 } + usize::from(there),
            "{answer}"
        );
    }
}

/// A text in an error and in warnings: what is wrong is an answer with the text in it.
fn told_back(api: &axum::Router, text: &str) {
    let quoted = leadline_model::quote::Quoted(text).to_string();
    for (query, kind) in [
        (quoted.clone(), "/data/resultType"),
        (
            format!("label_replace(m, \"a\", {quoted}, \"text\", \"(\")"),
            "/errorType",
        ),
        (format!("m{{text={quoted}"), "/errorType"),
        (format!("quantile(2, {{__name__=\"m\",text={quoted}}})"), "/warnings/0"),
        (format!("rate({{__name__=\"m\",text={quoted}}}[1m])"), "/infos/0"),
        (format!("count_values({quoted}, m)"), "/status"),
    ] {
        // No literal has it unless it is escaped: it stands for bytes that are no UTF-8.
        let kind = match text.contains('\u{fffd}') && kind != "/status" {
            true => "/errorType",
            false => kind,
        };
        let encoded: String = query.bytes().map(|byte| format!("%{byte:02x}")).collect();
        if encoded.len() > LONGEST_ADDRESS {
            return;
        }
        let Some(answer) = block_on(answer(api, &format!("/api/v1/query?query={encoded}"))) else {
            return;
        };
        let refused = kind == "/warnings/0" || kind == "/infos/0";
        assert!(
            answer.pointer(kind).is_some_and(Value::is_string)
                || refused && answer["data"]["result"] == Value::Array(Vec::new()),
            "{query:?} was answered {answer}"
        );
        if kind == "/data/resultType" {
            assert_eq!(
                answer.pointer("/data/result/1").and_then(Value::as_str),
                Some(text),
                "{query:?}"
            );
        }
    }
}

/// The API about made-up series.
pub(super) fn api(made: Arc<Made>) -> axum::Router {
    leadline_api::router(Api {
        engine: Engine::new(made.clone(), settings()),
        queryable: made,
        board: Board::new(),
        clock: Arc::new(ManualClock::at(NOW)),
        status: Arc::new(Silent),
        admin: None,
        origins: Origins::ANY,
    })
}

/// An answer: status and body.
pub(super) struct Answered {
    pub(super) status: u16,
    pub(super) json: Value,
}

/// The answer to a GET, which has to be JSON.
async fn answer(api: &axum::Router, path: &str) -> Value {
    asked(api, path, http::Request::get(path).body(Body::empty()))
        .await
        .json
}

/// The answer to a POST of a form, which has to be JSON.
pub(super) async fn posted(api: &axum::Router, path: &str, form: &[u8]) -> Answered {
    let request = http::Request::post(path).header("content-type", "application/x-www-form-urlencoded");
    asked(api, path, request.body(Body::from(form.to_vec()))).await
}

#[expect(clippy::panic, reason = "a panic is how a target tells a finding")]
async fn asked(api: &axum::Router, path: &str, request: http::Result<http::Request<Body>>) -> Answered {
    let request = request.unwrap_or_else(|error| panic!("{path}: {error}"));
    let Ok(response) = api.clone().oneshot(request).await;
    let status = response.status().as_u16();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await;
    let body = body.unwrap_or_else(|error| panic!("{path}: {error}"));
    let no_content = status == 204 && body.is_empty();
    let json = if no_content {
        Ok(Value::Null)
    } else {
        serde_json::from_slice(&body)
    };
    let json = json.unwrap_or_else(|error| panic!("{path}: {error}: {}", String::from_utf8_lossy(&body)));
    Answered { status, json }
}
