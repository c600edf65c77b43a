//! Writes the data directory of `leadline-bench promql` with leadline's store: `promql-data FOLDER PODS SAMPLES STEP_MS`.
//!
//! A program of its own, so that the benchmark needs nothing of what it measures.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a tool of the benchmark: what fails is shown and ends it"
)]

#[path = "../src/promql/series.rs"]
mod series;

use leadline_model::clock::ManualClock;
use leadline_model::entropy::SeededEntropy;
use leadline_model::labels::Labels;
use leadline_model::port::{Appender, Attempt, Batch, Entry, Extras, SeriesRef, Slot};
use leadline_model::target::OwnerId;
use leadline_storage::Settings;
use leadline_storage::db::{Db, Parts};
use leadline_storage::disk::RealDisk;
use series::{BEGIN, SERIES, Values};
use std::path::Path;
use std::sync::Arc;

/// A pod that is scraped.
struct Pod {
    owner: OwnerId,
    values: Vec<Values>,
    refs: Vec<SeriesRef>,
}

impl Pod {
    fn scrape(&mut self, db: &Db, n: usize, t: i64) {
        let created = if self.refs.is_empty() {
            (0..SERIES).map(|i| Labels::from_pairs(series::labels(n, i))).collect()
        } else {
            Vec::new()
        };
        let entry = |(i, values): (usize, &mut Values)| Entry {
            series: self
                .refs
                .get(i)
                .map_or(Slot::New(i as u32), |known| Slot::Known(*known)),
            t,
            v: values.next(),
        };
        let batch = Batch {
            owner: self.owner,
            slot: t,
            attempt: Attempt::Good,
            entries: self.values.iter_mut().enumerate().map(entry).collect(),
            created,
            extras: Extras::default(),
        };
        let outcome = db.commit(&batch).unwrap();
        assert!(outcome.refused.is_empty(), "{:?}", outcome.refused.first());
        if self.refs.is_empty() {
            self.refs = outcome.refs.into_iter().map(Option::unwrap).collect();
        }
    }
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [folder, pods, samples, step] = args.as_slice() else {
        panic!("FOLDER PODS SAMPLES STEP_MS expected")
    };
    let (pods, samples, step): (usize, i64, i64) =
        (pods.parse().unwrap(), samples.parse().unwrap(), step.parse().unwrap());
    let clock = Arc::new(ManualClock::at(BEGIN));
    let db = Db::open(Parts {
        disk: Arc::new(RealDisk),
        path: Path::new(folder).to_owned(),
        settings: Settings {
            retention_ms: 100 * 365 * 86_400_000,
            max_series: 100_000_000,
            ..Settings::default()
        },
        clock: Arc::clone(&clock) as _,
        entropy: Arc::new(SeededEntropy::new(1)),
    })
    .unwrap();
    db.replay().unwrap();
    let mut all: Vec<Pod> = (0..pods)
        .map(|n| Pod {
            owner: db.new_owner(),
            values: (0..SERIES).map(|i| Values::of(n, i)).collect(),
            refs: Vec::new(),
        })
        .collect();
    for sample in 0..samples {
        let t = BEGIN + sample * step;
        clock.set(t);
        for (n, pod) in all.iter_mut().enumerate() {
            pod.scrape(&db, n, t);
        }
        db.flush().unwrap();
        let done = db.maintain();
        assert!(done.failures.is_empty(), "{done:?}");
    }
    db.close().unwrap();
}
