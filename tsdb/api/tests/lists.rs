//! Lists of series, labels and metadata: what is answered to the letter, and what a request may cost.

#![expect(clippy::unwrap_used, reason = "what a test needs and does not get fails the test")]

use axum::body::Body;
use axum::response::Response;
use http_body_util::BodyExt;
use leadline_api::{Api, Origins, StatusSource, StorageAdmin, router};
use leadline_model::clock::ManualClock;
use leadline_model::metadata::{Metadata, MetricKind};
use leadline_model::port::{Appender, Attempt, Batch, Entry, Extras, Slot};
use leadline_model::target::{Board, Health, OwnerId, TargetState};
use leadline_model::{Labels, Matcher, Timestamp};
use leadline_promql::engine::Engine;
use leadline_promql::settings::Settings;
use leadline_storage::Head;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tower::ServiceExt;

const FORM: &str = "application/x-www-form-urlencoded";

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

/// Counts what it is asked to delete.
#[derive(Default)]
struct Deletions(AtomicUsize);

impl StorageAdmin for Deletions {
    fn delete_series(&self, _: &[Matcher], _: Timestamp, _: Timestamp) -> Result<(), String> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn clean_tombstones(&self) -> Result<(), String> {
        Ok(())
    }

    fn snapshot(&self, _: bool) -> Result<String, String> {
        Ok(String::new())
    }
}

/// The API on a head with these series, of queries that may hold so many samples.
fn api(series: Vec<Labels>, max_samples: usize) -> (Api, Arc<Deletions>) {
    let clock = Arc::new(ManualClock::at(0));
    let head = Head::new(leadline_storage::Settings::default(), clock.clone()).unwrap();
    let entry = |i: u32| Entry {
        series: Slot::New(i),
        t: 0,
        v: 1.0,
    };
    let batch = Batch {
        owner: head.new_owner(),
        slot: 0,
        attempt: Attempt::Good,
        entries: (0..series.len() as u32).map(entry).collect(),
        created: series,
        extras: Extras::default(),
    };
    assert!(head.commit(&batch).unwrap().refused.is_empty());
    let settings = Settings {
        max_samples,
        ..Settings::default()
    };
    let admin = Arc::new(Deletions::default());
    let api = Api {
        engine: Engine::new(head.clone(), settings),
        queryable: head,
        board: Board::new(),
        clock,
        status: Arc::new(NoStatus),
        admin: Some(admin.clone()),
        origins: Origins::ANY,
    };
    (api, admin)
}

async fn read(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

async fn get(api: &Api, path: &str) -> (u16, String) {
    let request = http::Request::get(path).body(Body::empty()).unwrap();
    read(router(api.clone()).oneshot(request).await.unwrap()).await
}

async fn post(api: &Api, path: &str, form: String) -> (u16, String) {
    let request = http::Request::post(path)
        .header("content-type", FORM)
        .body(Body::from(form));
    read(router(api.clone()).oneshot(request.unwrap()).await.unwrap()).await
}

fn series(n: usize) -> Vec<Labels> {
    let one = |i: usize| {
        Labels::from_pairs([
            ("__name__", "m".to_owned()),
            ("i", format!("{i:05}")),
            ("text", "<\"\u{2028}".to_owned()),
        ])
    };
    (0..n).map(one).collect()
}

#[tokio::test]
async fn lists_are_whole_and_to_the_letter_whatever_their_length() {
    for n in [0, 1, 2, 5_000] {
        let (api, _) = api(series(n), usize::MAX);
        let list = |one: &dyn Fn(usize) -> String| (0..n).map(one).collect::<Vec<_>>().join(",");
        let sets = list(&|i| format!("{{\"__name__\":\"m\",\"i\":\"{i:05}\",\"text\":\"<\\\"\u{2028}\"}}"));
        let values = list(&|i| format!("\"{i:05}\""));
        let text = if n > 0 { r#""\u003c\"\u2028""# } else { "" };
        for (path, data) in [
            ("/api/v1/series?match[]=m", sets.as_str()),
            ("/api/v1/series?match[]=m&match[]=m", &sets),
            ("/api/v1/label/i/values", &values),
            ("/api/v1/label/i/values?match[]=m&match[]=m", &values),
            ("/api/v1/label/text/values", text),
        ] {
            let whole = format!(r#"{{"status":"success","data":[{data}]}}"#);
            assert!(get(&api, path).await == (200, whole), "{n} {path}");
        }
    }
    let (api, _) = api(series(3), usize::MAX);
    let cut = r#"{"status":"success","data":["00000"],"warnings":["results truncated due to limit"]}"#;
    assert_eq!(get(&api, "/api/v1/label/i/values?limit=1").await, (200, cut.to_owned()));
}

#[tokio::test]
async fn the_regular_expressions_of_a_request_are_bounded_together() {
    let (api, deletions) = api(series(1), usize::MAX);
    let form = |times| vec![r"match[]={a%3D~%22\\pL{5}%22}"; times].join("&");
    let named = "invalid parameter \\\"match[]\\\": ";
    for (path, before) in [
        ("/api/v1/series", named),
        ("/api/v1/labels", ""),
        ("/api/v1/admin/tsdb/delete_series", named),
    ] {
        let (status, body) = post(&api, path, form(2)).await;
        assert!(matches!(status, 200 | 204), "{path}: {status} {body}");
        let (status, body) = post(&api, path, form(5_000)).await;
        let reason = "1:2: parse error: the regular expressions of the query are too large together";
        let refusal = format!("{{\"status\":\"error\",\"errorType\":\"bad_data\",\"error\":\"{before}{reason}\"}}");
        assert_eq!((status, body), (400, refusal), "{path}");
    }
    // Of what was refused nothing was deleted.
    assert_eq!(deletions.0.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_list_holds_no_more_than_a_query_may() {
    let (api, _) = api(series(1_000), 500);
    for path in [
        "/api/v1/series?match[]=m",
        "/api/v1/label/i/values",
        "/api/v1/label/i/values?match[]=m&match[]=m",
    ] {
        let (status, body) = get(&api, path).await;
        assert_eq!(status, 422, "{path}: {body}");
        assert!(body.contains(r#""errorType":"execution""#), "{path}: {body}");
        assert!(
            body.contains("would load too many samples into memory in reading of "),
            "{body}"
        );
        // What a limit leaves has room.
        let few = format!("{path}{}limit=20", if path.contains('?') { '&' } else { '?' });
        assert_eq!(get(&api, &few).await.0, 200, "{few}");
    }
}

/// A target, and what it says of two families.
fn tell(board: &Board, owner: u32, instance: &str) {
    let owner = OwnerId(owner);
    board.put(TargetState {
        owner,
        job: Arc::from("app"),
        labels: Labels::from_pairs([("instance", instance), ("job", "app")]),
        discovered: Labels::default(),
        url: String::new(),
        interval_ms: 15_000,
        timeout_ms: 10_000,
        health: Health::Up,
        first_good: None,
        last_scrape: None,
        last_duration_s: 0.0,
        last_error: None,
    });
    let family = |name: &str, help: &str| {
        let metadata = Metadata {
            kind: MetricKind::Gauge,
            unit: Arc::from(""),
            help: Arc::from(help),
        };
        (Arc::from(name), metadata)
    };
    board.tell(owner, Arc::new([family("a", "<A>"), family("b", "B")].into()));
}

/// The order of the fields is that of Prometheus' `metricMetadata`.
#[tokio::test]
async fn metadata_is_told_by_family_and_by_target() {
    let (api, _) = api(Vec::new(), usize::MAX);
    tell(&api.board, 1, "x<");
    tell(&api.board, 2, "y");
    let entry = |instance: &str, family: &str| {
        let of = match family {
            "a" => r#""type":"gauge","help":"\u003cA\u003e","unit":"""#,
            _ => r#""type":"gauge","help":"B","unit":"""#,
        };
        format!(r#"{{"target":{{"instance":"{instance}","job":"app"}},"metric":"{family}",{of}}}"#)
    };
    let all = [entry("x<", "a"), entry("x<", "b"), entry("y", "a"), entry("y", "b")];
    let without = all[2].replace(r#""metric":"a","#, "");
    let by_family = concat!(
        r#"{"a":[{"type":"gauge","help":"\u003cA\u003e","unit":""}],"#,
        r#""b":[{"type":"gauge","help":"B","unit":""}]}"#
    );
    for (path, data) in [
        ("targets/metadata", format!("[{}]", all.join(","))),
        ("targets/metadata?limit=1", format!("[{},{}]", all[0], all[1])),
        (
            "targets/metadata?match_target={instance=\"y\"}&metric=a",
            format!("[{without}]"),
        ),
        ("targets/metadata?metric=none", "[]".to_owned()),
        ("metadata", by_family.to_owned()),
        ("metadata?metric=none", "{}".to_owned()),
    ] {
        let path = path.replace('{', "%7B").replace('}', "%7D").replace('"', "%22");
        let whole = format!(r#"{{"status":"success","data":{data}}}"#);
        assert_eq!(get(&api, &format!("/api/v1/{path}")).await, (200, whole), "{path}");
    }
}

#[tokio::test]
async fn a_query_that_is_sent_again_is_not_parsed_again_and_one_with_a_mistake_is_told_each_time() {
    let (api, _) = api(vec![Labels::from_pairs([("__name__", "m")])], 100);
    let paths = [
        "query?time=0&query=sum(m)",
        "query_range?start=0&end=1&step=1&query=sum(m)",
    ];
    for path in paths.iter().chain(&paths) {
        let (status, body) = get(&api, &format!("/api/v1/{path}")).await;
        assert!(status == 200 && body.contains("\"1\""), "{body}");
    }
    for _ in 0..2 {
        let (status, body) = get(&api, "/api/v1/query?query=sum(").await;
        assert!(status == 400 && body.contains("parse error"), "{body}");
    }
    let counts = api.engine.counts();
    assert_eq!(counts.asked.load(Ordering::Relaxed), 6);
    assert_eq!(counts.kept.load(Ordering::Relaxed), 3);
}
