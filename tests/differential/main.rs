//! leadline and Prometheus 3.16 answer the same about the same data.
//!
//! A directory with two hours of data is written and copied. Queries come from a walk of PromQL's grammar that a seed
//! determines; both answer each of them over HTTP, and what they answer is compared as text. What differs is made as small as
//! it can be and still differ.
//!
//! | variable | default | |
//! |---|---|---|
//! | `LEADLINE_DIFFERENTIAL_QUERIES` | 8000 | how many queries |
//! | `LEADLINE_DIFFERENTIAL_SEED` | 316 | the walk |
//! | `LEADLINE_DIFFERENTIAL_SHOWN` | 10 | after so many differences it ends |
//! | `LEADLINE_DIFFERENTIAL_ABOUT` | | only queries about this function, operator or modifier |

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "what a test needs and does not get fails the test; counts are printed"
)]

mod allowed;
mod answer;
mod binary;
mod both;
mod catalogue;
mod data;
#[path = "../interop/folder.rs"]
#[expect(
    dead_code,
    reason = "it is shared with the trials of the store, which use more of it"
)]
mod folder;
mod grammar;
mod histograms;
mod openapi;
#[path = "../interop/programs.rs"]
#[expect(
    dead_code,
    reason = "it is shared with the trials of the store, which use more of it"
)]
mod programs;
mod question;
mod random;
mod requests;
mod selector;
#[path = "../interop/server.rs"]
#[expect(
    dead_code,
    reason = "it is shared with the trials of the store, which use more of it"
)]
mod server;
mod shrink;
mod tally;
mod textual;
mod tree;
#[path = "../it/world.rs"]
#[expect(
    dead_code,
    reason = "it is shared with the trials of the binary, which use more of it"
)]
mod world;

use answer::Difference;
use both::Both;
use futures::StreamExt;
use leadline_testkit::openapi::Document;
use programs::Release;
use question::Question;
use tally::Tally;

/// Queries that are asked at the same time.
const AT_ONCE: usize = 4;

fn setting<T: std::str::FromStr>(name: &str, default: T) -> T {
    let text = std::env::var(format!("LEADLINE_DIFFERENTIAL_{name}"));
    text.map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leadline_and_prometheus_answer_the_same() {
    let Some(release) = Release::newest() else { return };
    let (queries, seed) = (setting("QUERIES", 8000_u64), setting("SEED", 316_u64));
    let shown = setting("SHOWN", 10_usize);
    let only = setting("ABOUT", String::new());
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    data::write(&data, seed);
    let both = Both::start(&release, &data).await;
    let features = catalogue::all();
    let features: Vec<_> = features.into_iter().filter(|f| only.is_empty() || *f == only).collect();
    let questions = (0..queries).map(|n| Question::about(features[n as usize % features.len()], seed, n));
    let tally = compare(&both, questions, shown).await;
    both.end().await;
    tally.print();
    assert_eq!(
        tally.differences(),
        0,
        "leadline and Prometheus differ; the queries are above"
    );
    if only.is_empty() {
        tally.demand(queries, &features);
    }
}

#[tokio::test]
async fn answers_to_these_requests_are_the_same_to_the_letter() {
    let Some(release) = Release::newest() else { return };
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    data::write(&data, setting("SEED", 316));
    let both = Both::start(&release, &data).await;
    let document = openapi::load();
    let (mut differences, mut complaints) = (0, 0);
    for request in requests::REQUESTS {
        let (path, parameters) = requests::split(request);
        // Some cannot be asked for with a form.
        let forms = !path.contains("/label/") && !path.contains("metadata");
        for form in [false, true].into_iter().filter(|form| !form || forms) {
            let [ours, theirs] = both.plainly(&path, &parameters, form).await;
            let complain = |document: &Document| document.complaint(&path, form, ours.0, &ours.1);
            if let Some(complaint) = document.as_ref().and_then(complain).filter(|_| !is_text(&ours.1)) {
                complaints += 1;
                println!("\n{request}\n  {complaint}\n  {ours:?}");
            }
            if ours != theirs {
                differences += 1;
                println!("\n{request}\n  leadline   {ours:?}\n  Prometheus {theirs:?}");
                break;
            }
        }
    }
    let asked = [
        ("query", "rate(http_requests_total[5m])"),
        ("time", "1795348800"),
        ("stats", "all"),
    ];
    let [(status, body), _] = both.plainly("/api/v1/query", &asked, false).await;
    let complain = |document: &Document| document.complaint("/api/v1/query", false, status, &body);
    assert_eq!(document.as_ref().and_then(complain), None, "{body}");
    assert!(
        body.contains("\"samplesRead\":") && !body.contains("\"samplesRead\":0"),
        "{body}"
    );
    for topic in ["buildinfo", "walreplay"] {
        let path = format!("/api/v1/status/{topic}");
        let [(status, body), _] = both.plainly(&path, &[], false).await;
        let complain = |document: &Document| document.complaint(&path, false, status, &body);
        if let Some(complaint) = document.as_ref().and_then(complain) {
            complaints += 1;
            println!("\n{path}\n  {complaint}\n  {body}");
        }
    }
    both.end().await;
    println!(
        "passed: {} requests, {differences} differences",
        requests::REQUESTS.len()
    );
    assert_eq!(differences, 0, "the answers above differ");
    assert_eq!(complaints, 0, "the answers above are not as the OpenAPI document says");
}

/// Whether the answer is a text with its time, which the document takes for a text as well.
fn is_text(body: &str) -> bool {
    body.contains("\"resultType\":\"string\"")
}

/// Asks both until `shown` differences were found.
async fn compare(both: &Both, questions: impl Iterator<Item = Question>, shown: usize) -> Tally {
    let answers = futures::stream::iter(questions).map(async |question| {
        let (ours, theirs) = both.ask(&question).await;
        (question, ours, theirs)
    });
    let mut answers = std::pin::pin!(answers.buffered(AT_ONCE));
    let mut tally = Tally::default();
    while let Some((question, ours, theirs)) = answers.next().await {
        tally.add(&question, &theirs);
        if ours == theirs {
            continue;
        }
        if let Some(place) = allowed::find(&question, &ours, &theirs) {
            tally.allow(place);
            continue;
        }
        let (small, ours, theirs) = shrink::shrink(both, question.clone(), ours, theirs).await;
        println!(
            "\ndiffers: {small}\n  found as {question}\n{}",
            Difference(&ours, &theirs)
        );
        tally.differs(&small);
        if tally.differences() >= shown {
            break;
        }
    }
    tally
}
