//! A Prometheus server on a directory.

use crate::programs::Release;
use crate::world::{http, until};
use leadline_testkit::process::{Process, Spec};
use rustix::process::Signal;
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

/// A running server.
pub(crate) struct Server {
    process: Process,
    address: String,
    client: reqwest::Client,
}

impl Server {
    /// Starts `release` on `data`, with its files in `folder`, and waits until it is ready.
    pub(crate) async fn start(release: &Release, data: &Path, folder: &Path, config: &str, flags: &[&str]) -> Self {
        let file = folder.join("prometheus.yml");
        std::fs::write(&file, config).unwrap();
        // Free at this moment; Prometheus cannot say which port it took.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        let process = Spec::new("prometheus", &release.program("prometheus"), folder)
            .args([
                format!("--config.file={}", file.display()),
                format!("--storage.tsdb.path={}", data.display()),
                format!("--web.listen-address={address}"),
            ])
            .args(flags)
            .start()
            .unwrap();
        let server = Self {
            process,
            address,
            client: http().build().unwrap(),
        };
        let ready = async || {
            let log = server.process.tail(20);
            assert!(
                server.process.exited().is_none(),
                "Prometheus {} ended:\n{log}",
                release.name
            );
            let answer = server
                .client
                .get(format!("http://{}/-/ready", server.address))
                .send()
                .await;
            answer.is_ok_and(|answer| answer.status().is_success()).then_some(())
        };
        until("Prometheus to be ready", || server.process.tail(20), ready).await;
        server
    }

    /// The result of a query of the HTTP API.
    pub(crate) async fn result(&self, path: &str, parameters: &[(&str, &str)]) -> Value {
        let url = format!("http://{}{path}", self.address);
        let answer = self.client.get(url).query(parameters).send().await.unwrap();
        let answer: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        assert_eq!(answer["status"], "success", "{path} {parameters:?}: {answer}");
        answer["data"].clone()
    }

    /// Status and body of what it answers to a GET, or to a POST of a form.
    pub(crate) async fn ask(&self, path: &str, parameters: &[(&str, &str)], form: bool) -> (u16, String) {
        let url = format!("http://{}{path}", self.address);
        let request = match form {
            true => self.client.post(url).form(parameters),
            false => self.client.get(url).query(parameters),
        };
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// Ends it in order, or at once.
    pub(crate) async fn end(self, signal: Signal) {
        self.process.signal(signal);
        let ended = tokio::time::timeout(Duration::from_secs(30), self.process.wait()).await;
        assert!(ended.is_ok(), "Prometheus did not end:\n{}", self.process.tail(20));
    }
}

/// A vector or matrix without the order of its series.
pub(crate) fn unordered(data: &Value) -> Vec<String> {
    let mut series: Vec<String> = data["result"]
        .as_array()
        .unwrap()
        .iter()
        .map(Value::to_string)
        .collect();
    series.sort_unstable();
    series
}
