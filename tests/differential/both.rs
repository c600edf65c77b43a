//! leadline and Prometheus, each on a copy of the same directory.

use crate::answer::Answer;
use crate::folder::Copied;
use crate::oracle::Oracle;
use crate::question::Question;
use crate::server::Server;
use crate::tree::Kind;
use crate::world::{Leadline, until};
use rustix::process::Signal;
use std::path::Path;

/// Both keep the blocks as they are.
const STORAGE: [&str; 3] = [
    "--storage.tsdb.retention.time=100y",
    "--storage.tsdb.min-block-duration=20m",
    "--storage.tsdb.max-block-duration=20m",
];

/// The configuration of both. The interval is the step of subqueries that name none.
const GLOBAL: &str = "global: {evaluation_interval: 20s}\n";

/// Both, running.
pub(crate) struct Both {
    leadline: Leadline,
    prometheus: Server,
    /// What they are compared by.
    pub(crate) oracle: Oracle,
    _copy: Copied,
}

impl Both {
    /// Starts both on copies of `data`.
    pub(crate) async fn start(oracle: Oracle, data: &Path) -> Self {
        let copy = Copied::of(data);
        let flags: Vec<&str> = oracle.its_features.into_iter().chain(STORAGE).collect();
        let prometheus = Server::start(&oracle.release, &copy.path(), copy.beside(), GLOBAL, &flags).await;
        let ours = Copied::of(data);
        let folder = tempfile::tempdir().unwrap();
        std::fs::rename(ours.path(), folder.path().join("data")).unwrap();
        let file = folder.path().join("leadline.yaml");
        std::fs::write(&file, GLOBAL).unwrap();
        let flags: Vec<&str> = std::iter::once(oracle.our_features).chain(STORAGE).collect();
        let leadline = Leadline::start_with(folder, file, &flags).await;
        until(
            "leadline to be ready",
            || leadline.log(),
            async || (leadline.get("/-/ready", &[]).await.0 == 200).then_some(()),
        )
        .await;
        Self {
            leadline,
            prometheus,
            oracle,
            _copy: copy,
        }
    }

    /// The answers of leadline and of Prometheus.
    pub(crate) async fn ask(&self, question: &Question) -> (Answer, Answer) {
        let parameters = question.parameters();
        let parameters: Vec<(&str, &str)> = parameters.iter().map(|(n, v)| (*n, v.as_str())).collect();
        // Long expressions come as forms, as clients send them.
        let form = parameters[0].1.len() > 150;
        let path = question.path();
        let ours = async {
            match form {
                true => self.leadline.post(path, &parameters).await,
                false => self.leadline.get(path, &parameters).await,
            }
        };
        let spelled = (self.oracle.spelled)(parameters[0].1);
        let its: Vec<(&str, &str)> = std::iter::once(("query", spelled.as_str()))
            .chain(parameters[1..].iter().copied())
            .collect();
        let (ours, theirs) = tokio::join!(ours, self.prometheus.ask(path, &its, form));
        let ordered = question.step.is_some() || sorted(question);
        let read = |(status, body): (u16, String)| (self.oracle.compared)(Answer::read(status, &body, ordered));
        (read(ours), read(theirs))
    }

    /// Status and body of what leadline and Prometheus answer to a request as it stands.
    pub(crate) async fn plainly(&self, path: &str, parameters: &[(&str, &str)], form: bool) -> [(u16, String); 2] {
        let ours = match form {
            true => self.leadline.post(path, parameters).await,
            false => self.leadline.get(path, parameters).await,
        };
        [ours, self.prometheus.ask(path, parameters, form).await]
    }

    /// Ends both.
    pub(crate) async fn end(self) {
        self.leadline.end(Signal::TERM).await;
        self.prometheus.end(Signal::TERM).await;
    }
}

/// Whether the expression as a whole is one that sorts, and by something that has no ties.
fn sorted(question: &Question) -> bool {
    let text = question.tree.to_string();
    question.tree.kind == Kind::Vector
        && (text.starts_with("sort_by_label(") || text.starts_with("sort_by_label_desc("))
}
