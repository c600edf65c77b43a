//! The page `/metrics`: what every room counts.

mod storage;

use crate::app::Rooms;
use crate::reload::Reloads;
use crate::serve::expiry::Certificates;
use crate::telemetry::metrics::{Kind, Page, process};
use leadline_model::target::Health;
use std::sync::atomic::{AtomicU64, Ordering};

use Kind::{Counter, Gauge};

/// The page.
pub(crate) fn render(rooms: &Rooms, reloads: &Reloads) -> String {
    let mut page = Page::default();
    let version = env!("CARGO_PKG_VERSION");
    page.family(
        Gauge,
        "leadline_build_info",
        "the program",
        &["version"],
        [([version], 1.0)],
    );
    process(&mut page);
    let state = reloads.state();
    let good = f64::from(u8::from(state.error.is_none()));
    page.one(
        Gauge,
        "leadline_config_last_reload_successful",
        "whether the configuration file is in force",
        good,
    );
    let applied = state.applied as f64 / 1000.0;
    page.one(
        Gauge,
        "leadline_config_applied_timestamp_seconds",
        "when it was put in force",
        applied,
    );
    targets(&mut page, rooms);
    scraping(&mut page, rooms);
    queries(&mut page, rooms);
    storage::render(&mut page, &rooms.tsdb.db().stats());
    standing(&mut page, rooms);
    rules(&mut page, rooms);
    adapter(&mut page, rooms);
    scaler(&mut page, rooms);
    tls(&mut page, rooms);
    page.finish()
}

fn targets(page: &mut Page, rooms: &Rooms) {
    let all = rooms.tsdb.board().all();
    let count = |health| all.iter().filter(|t| t.health == health).count() as f64;
    page.family(
        Gauge,
        "leadline_targets",
        "discovered targets by health",
        &["health"],
        [
            (["up"], count(Health::Up)),
            (["down"], count(Health::Down)),
            (["unknown"], count(Health::Unknown)),
        ],
    );
}

fn scraping(page: &mut Page, rooms: &Rooms) {
    let stats = rooms.tsdb.scrape_stats();
    for (name, help, counter) in [
        ("leadline_scrapes_total", "scrapes that were tried", &stats.scrapes),
        (
            "leadline_scrape_samples_total",
            "samples of good scrapes",
            &stats.samples,
        ),
        (
            "leadline_scrape_cache_misses_total",
            "lines whose series had to be looked up",
            &stats.cache_misses,
        ),
        (
            "leadline_scrape_duplicates_total",
            "lines that repeat a series of their scrape",
            &stats.duplicates,
        ),
        (
            "leadline_scrape_stale_markers_total",
            "stale markers that were written",
            &stats.stale_markers,
        ),
        (
            "leadline_scrape_body_bytes_total",
            "bytes of bodies, uncompressed",
            &stats.body_bytes,
        ),
        (
            "leadline_scrape_missed_slots_total",
            "slots of the grid without a scrape",
            &stats.missed_slots,
        ),
    ] {
        page.one(Counter, name, help, counter.load(Ordering::Relaxed) as f64);
    }
    let rows = |counts: Vec<(&'static str, u64)>| counts.into_iter().map(|(reason, n)| ([reason], n as f64));
    page.family(
        Counter,
        "leadline_scrape_failures_total",
        "failed scrapes",
        &["reason"],
        rows(stats.failures()),
    );
    page.family(
        Counter,
        "leadline_scrape_refused_total",
        "samples not stored",
        &["reason"],
        rows(stats.refusals()),
    );
}

/// Queries and their log; what Prometheus counts too has its name.
fn queries(page: &mut Page, rooms: &Rooms) {
    let engine = rooms.tsdb.engine();
    let counts = engine.counts();
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64;
    page.family(
        Counter,
        "leadline_queries_total",
        "answered queries by the thread that they ran on: the one that asked, or one of the pool",
        &["thread"],
        [(["caller"], count(&counts.inline)), (["pool"], count(&counts.pooled))],
    );
    page.one(
        Counter,
        "leadline_query_texts_total",
        "texts of queries that were asked",
        count(&counts.asked),
    );
    page.one(
        Counter,
        "leadline_query_texts_kept_total",
        "texts of queries that were neither parsed nor compiled anew",
        count(&counts.kept),
    );
    page.one(
        Counter,
        "leadline_query_streamed_aggregations_total",
        "aggregations that were answered from groups of the store",
        count(&counts.streamed),
    );
    if engine.settings().features.query_cost {
        page.family(
            Counter,
            "prometheus_engine_query_rejected_total",
            "queries that cost more than they may",
            &["reason"],
            [
                (["max_series"], count(&counts.refused_series)),
                (["max_samples_read"], count(&counts.refused_samples)),
                (["max_duration"], count(&counts.refused_duration)),
            ],
        );
    }
    let log = rooms.tsdb.query_log();
    page.one(
        Gauge,
        "prometheus_engine_query_log_enabled",
        "whether queries are logged",
        f64::from(u8::from(log.enabled())),
    );
    page.one(
        Counter,
        "prometheus_engine_query_log_failures_total",
        "queries that could not be logged",
        log.failures() as f64,
    );
}

fn standing(page: &mut Page, rooms: &Rooms) {
    let stats = rooms.standing.stats();
    page.one(
        Gauge,
        "leadline_standing_expressions",
        "registered expressions",
        stats.registered as f64,
    );
    page.one(
        Counter,
        "leadline_standing_lagged_total",
        "times that events were lost",
        stats.lagged as f64,
    );
    let per = |of: fn(&leadline_standing::Counts) -> u64| {
        stats
            .expressions
            .iter()
            .map(|e| ([shown(&e.text)], of(&e.counts) as f64))
            .collect::<Vec<_>>()
    };
    let label = &["expression"];
    let now = |of: fn(&leadline_standing::ExpressionStats) -> f64| {
        let expressions = stats.expressions.iter();
        expressions.map(|e| ([shown(&e.text)], of(e))).collect::<Vec<_>>()
    };
    page.family(
        Gauge,
        "leadline_standing_cold",
        "whether targets were not observed for all that it reads since the start",
        label,
        now(|e| f64::from(u8::from(e.cold))),
    );
    page.family(
        Gauge,
        "leadline_standing_warming_rows",
        "results that no target feeds which was observed for the whole window",
        label,
        now(|e| e.warming as f64),
    );
    page.family(
        Counter,
        "leadline_standing_evaluations_total",
        "evaluations",
        label,
        per(|c| c.evaluations),
    );
    page.family(
        Counter,
        "leadline_standing_failures_total",
        "evaluations that failed",
        label,
        per(|c| c.failures),
    );
    page.family(
        Counter,
        "leadline_standing_commits_total",
        "commits that touched it",
        label,
        per(|c| c.commits),
    );
    page.family(
        Counter,
        "leadline_standing_questions_total",
        "questions",
        label,
        per(|c| c.questions),
    );
    page.family(
        Counter,
        "leadline_standing_index_answers_total",
        "answers from the index",
        label,
        per(|c| c.from_index),
    );
    page.family(
        Counter,
        "leadline_standing_pushed_total",
        "snapshots pushed to subscribers",
        label,
        per(|c| c.pushed),
    );
}

fn rules(page: &mut Page, rooms: &Rooms) {
    let status = rooms.adapter.registry.status();
    let disabled = status.iter().filter(|rule| !rule.problems.is_empty()).count();
    let working = status.len() - disabled;
    page.family(
        Gauge,
        "leadline_autoscaling_rules",
        "metric rules of the configuration by state",
        &["state"],
        [(["working"], working as f64), (["disabled"], disabled as f64)],
    );
}

/// An expression as a label: long ones are cut, and told apart by a hash, so that the page stays bounded.
fn shown(expression: &str) -> String {
    const LONGEST: usize = 200;
    match expression.char_indices().nth(LONGEST) {
        None => expression.to_owned(),
        Some((end, _)) => {
            let hash = expression.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| {
                (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3)
            });
            format!("{}… ({hash:016x})", &expression[..end])
        }
    }
}

/// The adapter's counters come one by one; a family's lines have to stand together.
fn adapter(page: &mut Page, rooms: &Rooms) {
    type Row = (Vec<(String, String)>, f64);
    let mut families: Vec<(String, Vec<Row>)> = Vec::new();
    rooms.adapter.stats.visit(|name, labels, value| {
        let labels = labels.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        match families.iter_mut().find(|(family, _)| family == name) {
            Some((_, rows)) => rows.push((labels, value)),
            None => families.push((name.to_owned(), vec![(labels, value)])),
        }
    });
    for (name, rows) in families {
        page.labelled(
            Counter,
            &format!("leadline_adapter_{name}"),
            "what the metrics APIs did",
            rows,
        );
    }
}

fn tls(page: &mut Page, rooms: &Rooms) {
    let listeners = rooms.tls.all();
    let rows = listeners.iter().flat_map(|(listener, handshakes)| {
        let all = handshakes.all();
        all.map(|(result, count)| ([*listener, result], count as f64))
    });
    page.family(
        Counter,
        "leadline_tls_handshakes_total",
        "TLS handshakes by how they ended; verified: with a client certificate that is trusted",
        &["listener", "result"],
        rows,
    );
    let ends = rooms.certificates.get().map(Certificates::ends).unwrap_or_default();
    page.family(
        Gauge,
        "leadline_certificate_expiry_timestamp_seconds",
        "when a listener's certificate, or the authority that issues them, ends",
        &["certificate"],
        ends.into_iter().map(|(name, until)| ([name], until as f64 / 1000.0)),
    );
}

fn scaler(page: &mut Page, rooms: &Rooms) {
    let stats = rooms.scaler.stats();
    page.one(
        Gauge,
        "leadline_scaler_triggers",
        "triggers that KEDA asked for",
        stats.triggers as f64,
    );
    page.one(
        Gauge,
        "leadline_scaler_streams",
        "streams that KEDA holds open",
        stats.streams as f64,
    );
    for (name, help, count) in [
        (
            "leadline_scaler_edges_total",
            "states of activity that were pushed: the first of a stream, and each change",
            stats.edges,
        ),
        (
            "leadline_scaler_repeats_total",
            "times that activity was pushed again",
            stats.repeats,
        ),
    ] {
        page.one(Counter, name, help, count as f64);
    }
    let rows = |of: fn(&leadline_scaler::Calls) -> u64| {
        leadline_scaler::Method::ALL
            .iter()
            .zip(&stats.calls)
            .map(move |(m, c)| ([m.as_str()], of(c) as f64))
    };
    let label = &["method"];
    page.family(
        Counter,
        "leadline_scaler_calls_total",
        "calls",
        label,
        rows(|c| c.total),
    );
    page.family(
        Counter,
        "leadline_scaler_invalid_total",
        "calls refused for what was asked",
        label,
        rows(|c| c.invalid),
    );
    page.family(
        Counter,
        "leadline_scaler_unavailable_total",
        "calls without a value",
        label,
        rows(|c| c.unavailable),
    );
    page.family(
        Counter,
        "leadline_scaler_late_total",
        "calls that took too long",
        label,
        rows(|c| c.late),
    );
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn long_expressions_are_cut_and_still_told_apart() {
        let long = |end: &str| format!("{}{end}", "é".repeat(500));
        assert_eq!(shown("up"), "up");
        assert!(shown(&long("a")).chars().count() < 230);
        assert_ne!(shown(&long("a")), shown(&long("b")));
    }
}
