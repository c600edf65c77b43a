//! What each part of an expression cost is told of the way that it is answered on, not of another one.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use leadline_model::clock::ManualClock;
use leadline_model::port::{Appender, Attempt, Batch, Entry, Extras, Slot};
use leadline_model::{Labels, Timestamp};
use leadline_promql::cost::CostLimits;
use leadline_promql::engine::{Engine, Options};
use leadline_promql::settings::Settings;
use leadline_promql::value::{QueryResult, Value};
use leadline_storage::Head;
use std::sync::Arc;

/// Between two samples, ms.
const STEP: i64 = 15_000;
/// The time of the newest, ms.
const NOW: Timestamp = 40 * STEP;

/// Four series with a sample every 15 s.
fn engine() -> Arc<Engine> {
    let clock = Arc::new(ManualClock::at(0));
    let head = Head::new(leadline_storage::Settings::default(), clock.clone()).unwrap();
    let owner = head.new_owner();
    let series = |i: u32| {
        let (x, y) = ((i / 2).to_string(), (i % 2).to_string());
        Labels::from_pairs([("__name__", "m_total"), ("x", x.as_str()), ("y", y.as_str())])
    };
    for t in (0..=NOW).step_by(STEP as usize) {
        clock.set(t);
        let entry = |i: u32| Entry {
            series: Slot::New(i),
            t,
            v: t as f64,
        };
        let batch = Batch {
            owner,
            slot: t,
            attempt: Attempt::Good,
            created: (0..4).map(series).collect(),
            entries: (0..4).map(entry).collect(),
            extras: Extras::default(),
        };
        head.commit(&batch).unwrap();
    }
    Engine::new(head, Settings::default())
}

const EXPLAINED: Options = Options {
    lookback_ms: None,
    start_timestamps: None,
    timeout: None,
    cost: CostLimits::NONE,
    explain: true,
    untraced: false,
    counting: leadline_promql::stats::Counting::Off,
    origin: None,
};

/// The nodes: depth, text, series, values, series read, samples read, ways.
fn told(text: &str, result: &QueryResult) -> Vec<String> {
    let nodes = result.nodes.iter().map(|node| {
        let part = &text[node.span.start as usize..node.span.end as usize];
        let how: Vec<_> = node.how.names().collect();
        let read = (node.series_read, node.samples_read);
        format!(
            "{} {part} {}/{} {}/{} {}",
            node.depth,
            node.series,
            node.values,
            read.0,
            read.1,
            how.join(",")
        )
        .trim_end()
        .to_owned()
    });
    nodes.collect()
}

#[tokio::test]
async fn nodes_are_those_of_the_evaluation_at_one_time() {
    let engine = engine();
    for (text, expected) in [
        ("m_total[1m]", &["0 m_total[1m] 4/16 4/16"][..]),
        (
            "rate(m_total[1m])",
            &["0 rate(m_total[1m]) 4/4 4/16", "1 m_total[1m] 4/16 4/16"],
        ),
        // The aggregation with all that stands in it.
        (
            "sum by (x) (rate(m_total[1m]))",
            &["0 sum by (x) (rate(m_total[1m])) 2/2 4/16 streamed"],
        ),
        ("sum by (x) (m_total)", &["0 sum by (x) (m_total) 2/2 4/4 streamed"]),
        // What is no selector or function of one is made first.
        (
            "sum(rate(m_total[1m]) + 1)",
            &[
                "0 sum(rate(m_total[1m]) + 1) 1/1 4/16",
                "1 rate(m_total[1m]) + 1 4/4 4/16",
                "2 rate(m_total[1m]) 4/4 4/16",
                "3 m_total[1m] 4/16 4/16",
                "2 1 1/1 0/0",
            ],
        ),
        (
            "max_over_time(sum(rate(m_total[1m]))[1m:30s])",
            &[
                "0 max_over_time(sum(rate(m_total[1m]))[1m:30s]) 1/1 4/24",
                "1 sum(rate(m_total[1m]))[1m:30s] 1/2 4/24",
                "2 sum(rate(m_total[1m])) 1/2 4/24 streamed",
            ],
        ),
        (
            "m_total * (2 * 8)",
            &[
                "0 m_total * (2 * 8) 4/4 4/4",
                "1 m_total 4/4 4/4",
                "1 (2 * 8) 1/1 0/0",
                "2 2 * 8 1/1 0/0 folded",
            ],
        ),
        (
            "m_total - m_total",
            &[
                "0 m_total - m_total 4/4 8/8",
                "1 m_total 4/4 4/4",
                "1 m_total 4/4 4/4 shared",
            ],
        ),
        (
            "timestamp(m_total)",
            &["0 timestamp(m_total) 4/4 4/4", "1 m_total 4/4 4/4"],
        ),
    ] {
        let query = engine.parse(text).unwrap();
        let result = engine.instant(&query, NOW, EXPLAINED).await.unwrap();
        assert_eq!(told(text, &result), expected, "{text}");
        let plain = engine.instant(&query, NOW, Options::default()).await.unwrap();
        let answered = |r: &QueryResult| format!("{:?} {} {:?}", r.value, r.stats.streamed, r.stats.samples_read);
        assert_eq!(
            answered(&result),
            answered(&plain),
            "{text} is answered as if nobody asked"
        );
        assert!(plain.nodes.is_empty());
    }
}

#[tokio::test]
async fn what_is_evaluated_once_for_all_steps_is_told_so() {
    let engine = engine();
    for (text, expected) in [
        (
            "m_total - on () group_left () sum(rate(m_total[1m] @ 300))",
            &[
                "0 m_total - on () group_left () sum(rate(m_total[1m] @ 300)) 4/12 8/112",
                "1 m_total 4/12 4/96",
                "1 sum(rate(m_total[1m] @ 300)) 1/1 4/16 streamed,once",
            ][..],
        ),
        (
            "rate(m_total[1m])",
            &["0 rate(m_total[1m]) 4/12 4/32", "1 m_total[1m] 4/32 4/32"],
        ),
    ] {
        let query = engine.parse(text).unwrap();
        let range = (NOW - 2 * 30_000, NOW, 30_000);
        let result = engine.range(&query, range, EXPLAINED).await.unwrap();
        assert_eq!(told(text, &result), expected, "{text}");
    }
}

#[tokio::test]
async fn values_tell_where_they_come_from_unless_nobody_reads_it() {
    let engine = engine();
    for text in ["m_total", "rate(m_total[1m])", "sum by (x) (m_total)"] {
        let query = engine.parse(text).unwrap();
        for untraced in [false, true] {
            let options = Options {
                untraced,
                ..Options::default()
            };
            let result = engine.instant(&query, NOW, options).await.unwrap();
            let Value::Vector(samples) = result.value else {
                unreachable!("{text} is a vector")
            };
            assert!(
                samples.len() >= 2 && samples.iter().all(|s| s.provenance.has_data() != untraced),
                "{text}"
            );
        }
    }
}
