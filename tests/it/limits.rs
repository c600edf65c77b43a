//! The limits of queries that flags set.

use crate::world::{Exporter, Leadline, config, until};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// Minutes of work in small pieces.
fn long() -> String {
    let piece = |i| format!("sum_over_time(vector(time())[{}s:1s])", 1_000_000 + i);
    (0..200).map(piece).collect::<Vec<_>>().join(" + ")
}

async fn started(flags: &[&str], exporter: Option<&Exporter>) -> Leadline {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("leadline.yaml");
    let jobs: Vec<String> = exporter.map(|exporter| exporter.job("app")).into_iter().collect();
    let text = match jobs.as_slice() {
        [] => "global: {}\n".to_owned(),
        jobs => config(jobs, ""),
    };
    std::fs::write(&file, text).unwrap();
    Leadline::start_with(folder, file, flags).await
}

/// Status, type and text of an error.
fn error(answer: &(u16, Value)) -> (u16, &str, &str) {
    let text = |name: &str| answer.1[name].as_str().unwrap_or("");
    (answer.0, text("errorType"), text("error"))
}

#[tokio::test]
async fn a_sample_is_seen_for_as_long_as_the_lookback_says() {
    let exporter = Exporter::start("m 1\n").await;
    let leadline = started(&["--query.lookback-delta=40s"], Some(&exporter)).await;
    leadline.until_value("m", 1.0).await;
    let at = leadline.value("timestamp(up)").await.unwrap();
    for (after, seen) in [(35.0, true), (100.0, false)] {
        let at = (at + after).to_string();
        let (_, answer) = leadline.json("/api/v1/query", &[("query", "up"), ("time", &at)]).await;
        let found = answer["data"]["result"].as_array().map(Vec::len);
        assert_eq!(found, Some(usize::from(seen)), "{after} s later: {answer}");
    }
    let at = (at + 100.0).to_string();
    let asked = [("query", "up"), ("time", at.as_str()), ("lookback_delta", "5m")];
    let (_, answer) = leadline.json("/api/v1/query", &asked).await;
    assert_eq!(answer["data"]["result"].as_array().map(Vec::len), Some(1), "{answer}");
}

#[tokio::test]
async fn a_query_ends_when_its_time_is_up() {
    let leadline = started(&["--query.timeout=30ms"], None).await;
    let long = long();
    let late = (503, "timeout", "query timed out in expression evaluation");
    for timeout in [None, Some(("timeout", "1h"))] {
        let asked: Vec<_> = [("query", long.as_str())].into_iter().chain(timeout).collect();
        let answer = leadline.json("/api/v1/query", &asked).await;
        assert_eq!(error(&answer), late, "{answer:?}");
    }
}

#[tokio::test]
async fn a_query_holds_no_more_samples_than_it_may() {
    let leadline = started(&["--query.max-samples=100"], None).await;
    let ask = async |steps: &str| {
        let query = format!("sum_over_time(vector(1)[{steps}:1s])");
        leadline.json("/api/v1/query", &[("query", &query)]).await
    };
    let answer = ask("50s").await;
    assert_eq!(answer.0, 200, "{answer:?}");
    let answer = ask("500s").await;
    let (status, kind, text) = error(&answer);
    assert_eq!((status, kind), (422, "execution"), "{answer:?}");
    assert!(text.contains("would load too many samples into memory"), "{text}");
}

#[tokio::test]
async fn a_query_costs_no_more_than_the_configuration_and_the_request_let_it() {
    let exporter = Exporter::start("# TYPE m gauge\nm{i=\"1\"} 1\nm{i=\"2\"} 1\nm{i=\"3\"} 1\n").await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("leadline.yaml");
    let text = |limit: &str| config(&[exporter.job("app")], "").replacen('{', &format!("{{{limit}, "), 1);
    std::fs::write(&file, text("query_max_series: 3")).unwrap();
    let flags = ["--enable-feature=query-cost,type-and-unit-labels"];
    let leadline = Leadline::start_with(folder, file.clone(), &flags).await;
    // The type is a label where that is asked for.
    leadline.until_value("sum(m{__type__=\"gauge\"})", 3.0).await;
    let ask = async |query: &str, more: &[(&str, &str)]| {
        let asked: Vec<_> = [("query", query)].into_iter().chain(more.iter().copied()).collect();
        leadline.json("/api/v1/query", &asked).await
    };
    let series = (
        422,
        "cost_limit",
        "query would load too many series into memory in query execution",
    );
    let samples = (
        422,
        "cost_limit",
        "query would read too many samples in query execution",
    );
    assert_eq!(error(&ask("m + m{i=\"1\"}", &[]).await), series);
    assert_eq!(error(&ask("m", &[("max_series", "2")]).await), series);
    assert_eq!(error(&ask("m", &[("max_samples_read", "2")]).await), samples);
    let above = "requested max_series of 4 exceeds the server limit of 3";
    assert_eq!(error(&ask("m", &[("max_series", "4")]).await), (400, "bad_data", above));
    let above = "requested max_query_duration of 1h0m0s exceeds the server limit of 2m0s";
    assert_eq!(
        error(&ask("m", &[("max_query_duration", "1h")]).await),
        (400, "bad_data", above)
    );
    let late = (503, "timeout", "query timed out in expression evaluation");
    assert_eq!(error(&ask(&long(), &[("max_query_duration", "30ms")]).await), late);
    let (_, page) = leadline.get("/metrics", &[]).await;
    for (reason, count) in [("max_series", 2), ("max_samples_read", 1), ("max_duration", 1)] {
        let line = format!("prometheus_engine_query_rejected_total{{reason=\"{reason}\"}} {count}\n");
        assert!(page.contains(&line), "{line}{page}");
    }
    std::fs::write(&file, text("query_max_series: 2")).unwrap();
    let reloaded = async || (error(&ask("m", &[]).await) == series).then_some(());
    until("the limit of the reload", || leadline.log(), reloaded).await;
}

#[tokio::test]
async fn no_more_run_at_the_same_time_than_may_queries_or_lists() {
    let leadline = started(&["--query.max-concurrency=1"], None).await;
    let mut running = TcpStream::connect(leadline.web).await.unwrap();
    let query = long().replace(" + ", "%2B");
    let head = format!("GET /api/v1/query?query={query} HTTP/1.1\r\nhost: x\r\n\r\n");
    running.write_all(head.as_bytes()).await.unwrap();
    let refused = async || {
        let answer = leadline
            .json("/api/v1/query", &[("query", "1"), ("timeout", "20ms")])
            .await;
        (error(&answer) == (503, "timeout", "query timed out in query queue")).then_some(())
    };
    until("the one place to be taken", || leadline.log(), refused).await;
    drop(running);
    let (status, answer) = leadline.json("/api/v1/labels", &[]).await;
    assert_eq!(
        (status, &answer["status"]),
        (200, &json!("success")),
        "its place is free again"
    );
}
