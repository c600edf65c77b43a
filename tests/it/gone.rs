//! Clients that do not wait for their answers.

use crate::world::{Exporter, Leadline, config, until};
use leadline_model::clock::{Clock, SystemClock};
use serde_json::Value;
use std::fmt::Write;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// As many as run at the same time by default.
const CLIENTS: usize = 20;

#[tokio::test]
async fn queries_of_clients_that_went_away_stop_and_make_room() {
    let mut page = String::new();
    for i in 0..400 {
        writeln!(page, "m{{i=\"{i}\"}} {i}").unwrap();
    }
    let exporter = Exporter::start(&page).await;
    let text = config(&[exporter.job("app")], "").replace("global: {", "global: {query_log_file: q.log, ");
    let leadline = Leadline::start(&text).await;
    leadline.until_value("count(m)", 400.0).await;
    // Much work in small pieces: a hundred times 400 series at 1,000 steps of 20 samples.
    // The samples are behind the beginning of this second.
    let now = SystemClock.now() / 1000 + 1;
    let long = vec![format!("sum(sum_over_time((m@{now})[20s:1s]))"); 100].join("%2B");
    let path = format!("/api/v1/query_range?query={long}&start=0&end=1000&step=1");
    let mut connections = Vec::new();
    for i in 0..CLIENTS {
        let mut connection = TcpStream::connect(leadline.web).await.unwrap();
        let head = match i % 2 {
            0 => format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n"),
            _ => {
                let (path, form) = path.split_once('?').unwrap();
                let kind = "content-type: application/x-www-form-urlencoded";
                format!(
                    "POST {path} HTTP/1.1\r\nhost: x\r\n{kind}\r\ncontent-length: {}\r\n\r\n{form}",
                    form.len()
                )
            }
        };
        connection.write_all(head.as_bytes()).await.unwrap();
        connections.push(connection);
    }
    let active = leadline.folder().join("data/queries.active");
    let running = || {
        std::fs::read_to_string(&active)
            .unwrap_or_default()
            .matches("\"query\":")
            .count()
    };
    let all = async || (running() == CLIENTS).then_some(());
    until(
        "every query to run",
        || format!("{} run\n{}", running(), leadline.log()),
        all,
    )
    .await;
    let (status, refused) = leadline
        .get("/api/v1/query", &[("query", "1"), ("timeout", "50ms")])
        .await;
    assert!(
        status == 503 && refused.contains("query timed out in query queue"),
        "{status} {refused}"
    );

    drop(connections);
    let file = leadline.folder().join("q.log");
    let given_up = || {
        let log = std::fs::read_to_string(&file).unwrap_or_default();
        let error = |line: &str| serde_json::from_str::<Value>(line).unwrap()["error"].clone();
        let errors = log.lines().map(error).filter(Value::is_string).map(|e| e.to_string());
        errors.filter(|e| !e.contains("timed out")).collect::<Vec<_>>()
    };
    let all = async || (given_up().len() >= CLIENTS).then(given_up);
    let errors = until(
        "every query to be given up",
        || format!("{:?}\n{}", given_up(), leadline.log()),
        all,
    )
    .await;
    assert!(
        errors.iter().all(|e| e.contains("query was canceled in ")),
        "{errors:?}"
    );
    assert_eq!(leadline.value("count(m)").await, Some(400.0));
}
