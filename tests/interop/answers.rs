//! The same queries to a leadline and to a Prometheus, each on a copy of a directory.

use crate::folder::Copied;
use crate::programs::Release;
use crate::server::{Server, unordered};
use crate::world::{Leadline, until};
use rustix::process::Signal;
use serde_json::Value;
use std::path::Path;

/// Instant queries at one time.
pub(crate) struct Queries<'a> {
    /// The expressions.
    pub(crate) texts: &'a [&'a str],
    /// Seconds since the Unix epoch.
    pub(crate) at: &'a str,
}

impl Queries<'_> {
    /// What leadline, started with `flags`, answers; each answer has series.
    pub(crate) async fn to_leadline(&self, data: &Path, flags: &[&str]) -> Vec<Vec<String>> {
        let copy = Copied::of(data);
        let folder = tempfile::tempdir().unwrap();
        std::fs::rename(copy.path(), folder.path().join("data")).unwrap();
        let file = folder.path().join("leadline.yaml");
        std::fs::write(&file, "global: {}\n").unwrap();
        let leadline = Leadline::start_with(folder, file, flags).await;
        let mut answers = Vec::new();
        for query in self.texts {
            let answer = async || {
                let parameters = [("query", *query), ("time", self.at)];
                let (status, answer): (u16, Value) = leadline.json("/api/v1/query", &parameters).await;
                // Until its log is read, it says that it is not ready to answer.
                assert!(matches!(status, 200 | 503), "{query}: {status} {answer}");
                (status == 200).then(|| unordered(&answer["data"]))
            };
            let found = until(query, || leadline.log(), answer).await;
            assert!(!found.is_empty(), "{query} finds nothing");
            answers.push(found);
        }
        leadline.end(Signal::TERM).await;
        answers
    }

    /// Holds the answers of a Prometheus, started with `flags`, to those that are expected.
    pub(crate) async fn compare(&self, release: &Release, data: &Path, flags: &[&str], expected: &[Vec<String>]) {
        let copy = Copied::of(data);
        let server = Server::start(release, &copy.path(), copy.beside(), "global: {}\n", flags).await;
        for (query, expected) in self.texts.iter().zip(expected) {
            let parameters = [("query", *query), ("time", self.at)];
            let found = server.result("/api/v1/query", &parameters).await;
            assert_eq!(&unordered(&found), expected, "Prometheus {}: {query}", release.name);
        }
        server.end(Signal::TERM).await;
    }
}

/// Holds a Prometheus 3.16 to have known, when it read its log, every series that a record names.
pub(crate) async fn no_unknown_series(server: &Server) {
    let (status, page) = server.ask("/metrics", &[], false).await;
    assert!(
        status == 200 && page.contains("prometheus_tsdb_data_replay_duration_seconds"),
        "{page}"
    );
    let unknown: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with("prometheus_tsdb_w") && line.contains("_replay_unknown_refs_total{"))
        .collect();
    assert!(unknown.is_empty(), "{unknown:#?}");
}
