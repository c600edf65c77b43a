//! A store from which series that had ended were evicted: their block reaches into time of which the others are in the log
//! alone.

use crate::answers::Queries;
use crate::folder::metas;
use crate::port::{BEGIN, STEP, open};
use crate::programs::{Release, leadline};
use leadline_model::labels::Labels;
use leadline_model::port::{Appender, Attempt, Batch, Entry, Extras, Slot};
use leadline_model::sample::STALE_NAN;
use leadline_storage::Settings;
use leadline_storage::db::Db;
use std::collections::BTreeSet;
use std::path::Path;

/// Scrapes; so few that the head is never cut.
const SCRAPES: i64 = 300;
/// The one at which two of three series end.
const ENDS: i64 = 150;
/// The one at which one of them is back, long after it was evicted.
const BACK: i64 = 250;

/// What `promtool` has no flag for: nothing is too old.
const FOREVER: [&str; 1] = ["--storage.tsdb.retention.time=100y"];

/// What scrape `i` finds of a series, by its name.
fn value(name: &str, i: i64) -> Option<f64> {
    match name {
        "lives" => Some(i as f64),
        "back" if i >= BACK => Some(i as f64),
        _ if i < ENDS => Some(2.0 * i as f64),
        _ if i == ENDS => Some(STALE_NAN),
        _ => None,
    }
}

fn scrape(db: &Db, owner: leadline_model::target::OwnerId, i: i64) {
    let t = BEGIN + i * STEP;
    let found: Vec<(&str, f64)> = ["lives", "gone", "back"]
        .into_iter()
        .filter_map(|name| Some((name, value(name, i)?)))
        .collect();
    let labels = |(name, _): &(&str, f64)| Labels::from_pairs([("__name__", *name), ("job", "port")]);
    let entry = |(n, (_, v)): (usize, &(&str, f64))| Entry {
        series: Slot::New(n as u32),
        t,
        v: *v,
    };
    let outcome = db.commit(&Batch {
        owner,
        slot: t,
        attempt: Attempt::Good,
        created: found.iter().map(labels).collect(),
        entries: found.iter().enumerate().map(entry).collect(),
        extras: Extras::default(),
    });
    assert!(outcome.unwrap().refused.is_empty(), "scrape {i}");
}

fn write(path: &Path) {
    let settings = Settings {
        retention_ms: 86_400_000,
        stale_min_series: 1,
        ..Settings::default()
    };
    let (db, clock) = open(path, settings, BEGIN);
    let owner = db.new_owner();
    let mut evicted = 0;
    for i in 0..SCRAPES {
        clock.set(BEGIN + i * STEP);
        scrape(&db, owner, i);
        if i % 10 == 0 {
            let done = db.maintain();
            assert!(done.failures.is_empty(), "{done:?}");
            evicted += done.series_evicted;
        }
    }
    assert_eq!(evicted, 2);
    db.close().unwrap();
}

/// The time at the end of a dumped line, ms.
fn time(line: &str) -> i64 {
    line.rsplit(' ').next().and_then(|t| t.parse().ok()).unwrap()
}

#[tokio::test]
async fn evicted_series_cost_prometheus_no_sample_of_those_that_live() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    write(&data);
    let blocks = metas(&data);
    let ends: Vec<_> = blocks.iter().filter_map(|meta| meta["maxTime"].as_i64()).collect();
    assert_eq!(ends.iter().max(), Some(&(BEGIN + ENDS * STEP + 1)), "{blocks:#?}");
    leadline(&["verify"], &data);
    let ours = leadline(&["dump"], &data);
    assert_eq!(ours.lines().count() as i64, SCRAPES + 2 * (ENDS + 1) + SCRAPES - BACK);

    // Between two samples, so that it does not matter to which window an instant belongs that ends one.
    let at = format!("{}.100", (BEGIN + SCRAPES * STEP) / 1000);
    let queries = Queries {
        texts: &[
            "lives[3h]",
            "gone[3h]",
            "{job=\"port\"}[3h]",
            "sum_over_time(back[3h])",
            "sum(last_over_time({job=\"port\"}[3h]))",
        ],
        at: &at,
    };
    let expected = queries.to_leadline(&data, &FOREVER).await;
    for release in Release::all() {
        // The log says of a series that left the head that all of it was deleted. 3.16 knows what that means, but 2.42 hides
        // what the log has of the series once it is back, of a directory of 3.16's own too.
        let known = if release.is_newest() { queries.texts.len() } else { 2 };
        let texts = queries.texts.get(..known).unwrap();
        let at = queries.at;
        Queries { texts, at }
            .compare(&release, &data, &FOREVER, &expected)
            .await;
        // promtool reads no log before the end of the newest block, whatever its hints, of Prometheus' own directories too:
        // it sees of the others what mapped chunks have that reach over that end.
        let theirs = release.promtool(&["dump"], &data);
        let theirs: BTreeSet<&str> = theirs.lines().collect();
        let all: BTreeSet<&str> = ours.lines().collect();
        let unseen = |line: &&str| match ends.iter().all(|&end| time(line) >= end) {
            true => line.contains("\"back\"") && !release.is_newest(),
            false => line.contains("\"lives\""),
        };
        let lacking: Vec<&str> = all.difference(&theirs).copied().collect();
        assert!(theirs.is_subset(&all), "{:#?}", theirs.difference(&all));
        assert!(
            lacking.iter().all(unseen) && !lacking.is_empty(),
            "{}: {lacking:#?}",
            release.name
        );
        println!(
            "Prometheus {}: {known} answers are the same, {} of {} lines are in its dump",
            release.name,
            theirs.len(),
            all.len()
        );
    }
}
