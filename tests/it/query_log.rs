//! The query log while the configuration changes, and at the ends of the process.

use crate::world::{Leadline, until};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::path::Path;

/// The lines of a log.
fn lines(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn queries(file: &Path) -> Vec<String> {
    let query = |line: &Value| line["params"]["query"].as_str().unwrap().to_owned();
    lines(file).iter().map(query).collect()
}

#[tokio::test]
async fn what_people_ask_is_logged_and_what_cannot_be_parsed_is_not() {
    let leadline = Leadline::start("global: {query_log_file: q.log}\n").await;
    let file = leadline.folder().join("q.log");
    let range = [("query", "vector(2)"), ("start", "0"), ("end", "10"), ("step", "2.5")];
    assert_eq!(
        leadline
            .get("/api/v1/query", &[("query", "vector(1)"), ("time", "10.5")])
            .await
            .0,
        200
    );
    assert_eq!(leadline.post("/api/v1/query_range", &range).await.0, 200);
    assert_eq!(leadline.get("/api/v1/explain", &[("query", "vector(3)")]).await.0, 200);
    assert_eq!(leadline.get("/api/v1/query", &[("query", "sum(")]).await.0, 400);
    let bad = "label_replace(vector(4), \"a\", \"b\", \"\", \"(\")";
    assert_eq!(leadline.get("/api/v1/query", &[("query", bad)]).await.0, 422);
    let written = async || (lines(&file).len() >= 4).then(|| lines(&file));
    let told = until("four lines", || leadline.log(), written).await;
    assert_eq!(told.len(), 4, "{told:#?}");
    let request = |method: &str, path: &str| json!({"clientIP": "127.0.0.1", "method": method, "path": path});
    let epoch = "1970-01-01T00:00:00.000Z";
    for (line, request, error) in [
        (&told[0], request("GET", "/api/v1/query"), Value::Null),
        (&told[1], request("POST", "/api/v1/query_range"), Value::Null),
        (&told[2], request("GET", "/api/v1/explain"), Value::Null),
        (
            &told[3],
            request("GET", "/api/v1/query"),
            json!("invalid regular expression in label_replace(): ("),
        ),
    ] {
        assert_eq!((&line["httpRequest"], &line["error"]), (&request, &error), "{line}");
        assert_eq!(
            (&line["level"], &line["msg"]),
            (&json!("INFO"), &json!("promql query logged"))
        );
        let fields = [
            "evalTotalTime",
            "resultSortTime",
            "queryPreparationTime",
            "innerEvalTime",
            "execQueueTime",
        ];
        assert!(
            fields.iter().all(|name| line["stats"]["timings"][name].is_number()),
            "{line}"
        );
        assert!(line["stats"]["samples"]["peakSamples"].is_number(), "{line}");
    }
    let at = "1970-01-01T00:00:10.500Z";
    assert_eq!(
        told[0]["params"],
        json!({"query": "vector(1)", "start": at, "end": at, "step": 0})
    );
    let end = "1970-01-01T00:00:10.000Z";
    assert_eq!(
        told[1]["params"],
        json!({"query": "vector(2)", "start": epoch, "end": end, "step": 2})
    );
}

#[tokio::test]
async fn a_reload_opens_it_anew_and_a_file_that_cannot_be_opened_changes_nothing() {
    let leadline = Leadline::start("global: {query_log_file: q.log}\n").await;
    let at = |name: &str| leadline.folder().join(name);
    let ask = async |query: &str| assert_eq!(leadline.get("/api/v1/query", &[("query", query)]).await.0, 200);
    let configure = async |text: &str| {
        std::fs::write(&leadline.file, text).unwrap();
        leadline.post("/-/reload", &[]).await
    };
    let enabled = async || leadline.own("prometheus_engine_query_log_enabled").await;
    assert_eq!(enabled().await, Some(1.0));
    ask("vector(1)").await;
    std::fs::rename(at("q.log"), at("q.1")).unwrap();
    assert_eq!(configure("global: {query_log_file: q.log}\n").await.0, 200);
    ask("vector(2)").await;
    assert_eq!(configure("global: {query_log_file: other.log}\n").await.0, 200);
    ask("vector(3)").await;
    let (status, why) = configure("global: {query_log_file: none/q.log}\n").await;
    assert!(
        status == 500 && why.contains("query_log_file: ") && why.contains("none/q.log: No such file"),
        "{why}"
    );
    ask("vector(4)").await;
    assert_eq!(configure("global: {query_log_file: /dev/full}\n").await.0, 200);
    ask("vector(5)").await;
    let failed = async || (leadline.own("prometheus_engine_query_log_failures_total").await? == 1.0).then_some(());
    until("a failure", || leadline.log(), failed).await;
    leadline.until_logged(&["queries cannot be logged", "/dev/full"]).await;
    assert_eq!(configure("global: {}\n").await.0, 200);
    assert_eq!(enabled().await, Some(0.0));
    ask("vector(6)").await;
    assert_eq!(leadline.end(Signal::TERM).await, Some(0), "{}", leadline.log());
    let told = [queries(&at("q.1")), queries(&at("q.log")), queries(&at("other.log"))];
    assert_eq!(
        told,
        [vec!["vector(1)"], vec!["vector(2)"], vec!["vector(3)", "vector(4)"]]
    );
}

#[tokio::test]
async fn nothing_that_was_answered_is_lost_at_the_end() {
    let leadline = Leadline::start("global: {query_log_file: q.log}\n").await;
    let file = leadline.folder().join("q.log");
    let asked: Vec<String> = (0..200).map(|i| format!("vector({i})")).collect();
    let running = &leadline;
    let asking = asked
        .iter()
        .map(async |query| running.get("/api/v1/query", &[("query", query)]).await.0);
    let answered = futures::future::join_all(asking).await;
    assert!(answered.iter().all(|status| *status == 200), "{answered:?}");
    assert_eq!(leadline.end(Signal::TERM).await, Some(0), "{}", leadline.log());
    let (mut told, mut asked) = (queries(&file), asked);
    told.sort();
    asked.sort();
    assert_eq!(told, asked);
}
