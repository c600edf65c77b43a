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
