//! leadline and Prometheus, each on a copy of the same directory.

use crate::answer::{Answer, Order};
use crate::folder::Copied;
use crate::oracle::Oracle;
use crate::question::Question;
use crate::server::Server;
use crate::tree::Kind;
use crate::world::{Leadline, until};
use rustix::process::Signal;
use std::path::Path;

/// Flags by which both keep blocks of a length (ms) as they are.
fn storage(block_ms: i64) -> [String; 3] {
    let length = format!("{}m", block_ms / 60_000);
    [
        "--storage.tsdb.retention.time=100y".to_owned(),
        format!("--storage.tsdb.min-block-duration={length}"),
        format!("--storage.tsdb.max-block-duration={length}"),
    ]
}

/// How often Prometheus is asked for an answer like ours: of many equal values it keeps any.
const MOST_ASKED: usize = 200;

/// How leadline answered so far.
#[derive(Debug)]
pub(crate) struct Ways {
    /// Queries that ran on the caller's thread.
    pub(crate) inline: u64,
    /// Aggregations that were answered from groups of the store.
    pub(crate) streamed: u64,
}

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
    /// Starts both on copies of `data`, whose blocks span `block_ms`.
    pub(crate) async fn start(oracle: Oracle, data: &Path, block_ms: i64) -> Self {
        let storage = storage(block_ms);
        let storage = || storage.iter().map(String::as_str);
        let copy = Copied::of(data);
        let flags: Vec<&str> = oracle.its_features.into_iter().chain(storage()).collect();
        let prometheus = Server::start(&oracle.release, &copy.path(), copy.beside(), GLOBAL, &flags).await;
        let ours = Copied::of(data);
        let folder = tempfile::tempdir().unwrap();
        std::fs::rename(ours.path(), folder.path().join("data")).unwrap();
        let file = folder.path().join("leadline.yaml");
        std::fs::write(&file, GLOBAL).unwrap();
        let flags: Vec<&str> = std::iter::once(oracle.our_features).chain(storage()).collect();
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
        let mut parameters = question.parameters();
        parameters[0].1 = (self.oracle.written)(&parameters[0].1);
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
        let order = order(question);
        let read = |(status, body): (u16, String)| (self.oracle.compared)(Answer::read(status, &body, order));
        (read(ours), read(theirs))
    }

    /// The place among the differences that are meant of the one between these answers.
    pub(crate) async fn allows(&self, question: &Question, ours: &Answer, theirs: &Answer) -> Option<usize> {
        let place = self.oracle.allows(question, ours, theirs)?;
        let varies = self.oracle.allowed[place].varies;
        (!varies || self.could_be_theirs(question, ours, theirs).await).then_some(place)
    }

    /// Whether Prometheus answers otherwise than before, when it is asked often enough for the order of a map to change, and
    /// ours is one of its answers or as near to them as they are to each other. Ours is the same each time.
    async fn could_be_theirs(&self, question: &Question, ours: &Answer, before: &Answer) -> bool {
        let mut seen = vec![before.clone()];
        for _ in 0..MOST_ASKED {
            let (again, theirs) = self.ask(question).await;
            if again != *ours {
                return false;
            }
            if !seen.contains(&theirs) {
                seen.push(theirs);
                if ours.lies_among(&seen) {
                    return true;
                }
            }
        }
        false
    }

    /// Status and body of what leadline and Prometheus answer to a request as it stands.
    pub(crate) async fn plainly(&self, path: &str, parameters: &[(&str, &str)], form: bool) -> [(u16, String); 2] {
        let ours = match form {
            true => self.leadline.post(path, parameters).await,
            false => self.leadline.get(path, parameters).await,
        };
        [ours, self.prometheus.ask(path, parameters, form).await]
    }

    /// How leadline answered so far, as it counts itself.
    pub(crate) async fn ways(&self) -> Ways {
        let (_, page) = self.leadline.get("/metrics", &[]).await;
        let counted = |series: &str| {
            let line = page.lines().find_map(|line| line.strip_prefix(series));
            line.and_then(|value| value.trim().parse().ok())
                .unwrap_or_else(|| panic!("{series} is not counted:\n{page}"))
        };
        Ways {
            inline: counted("leadline_queries_total{thread=\"caller\"}"),
            streamed: counted("leadline_query_streamed_aggregations_total"),
        }
    }

    /// Ends both.
    pub(crate) async fn end(self) {
        self.leadline.end(Signal::TERM).await;
        self.prometheus.end(Signal::TERM).await;
    }
}

/// What the order of the answer to a question means. Ranges are sorted by labels; so is what sorts as a whole by labels, which
/// have no ties.
fn order(question: &Question) -> Order {
    // A text with a mistake has no operands, and nobody knows what it is as a whole.
    let known = question.tree.children().next().is_some();
    let root = |names: &[&str]| known && names.iter().any(|name| question.tree.features.contains(name));
    if question.step.is_some() || sorted_by_label(question) {
        Order::Series
    } else if root(&["sort", "sort_desc"]) || (root(&["topk", "bottomk"]) && !root(&["by", "without"])) {
        // Groups come in the order in which Prometheus found the first of each.
        Order::Values
    } else {
        Order::None
    }
}

/// Whether the expression as a whole is one that sorts by labels.
fn sorted_by_label(question: &Question) -> bool {
    let text = question.tree.to_string();
    question.tree.kind == Kind::Vector
        && (text.starts_with("sort_by_label(") || text.starts_with("sort_by_label_desc("))
}
