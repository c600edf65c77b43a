//! What the tests of this room share.

use crate::snapshot::{Completeness, Row, Snapshot, Warmth};
use leadline_model::Labels;
use leadline_model::port::Generation;
use leadline_model::provenance::Provenance;
use leadline_model::target::{Board, Health, OwnerId, TargetState};

/// Enters a target that is scraped every 15 s.
pub(crate) fn put_target(board: &Board, owner: u32, job: &str, instance: &str, health: Health) {
    board.put(TargetState {
        owner: OwnerId(owner),
        job: job.into(),
        labels: Labels::from_pairs([("job", job), ("instance", instance)]),
        discovered: Labels::empty(),
        url: format!("http://{instance}/metrics"),
        interval_ms: 15_000,
        timeout_ms: 10_000,
        health,
        first_good: None,
        last_scrape: None,
        last_duration_s: 0.0,
        last_error: None,
    });
}

/// A row of `feeders` feeders of which the owners 1..=`down` are down.
pub(crate) fn row(value: f64, feeders: usize, down: u32, last_complete: Option<f64>) -> Row {
    Row {
        labels: Labels::empty(),
        value,
        provenance: Provenance::none(),
        completeness: completeness(feeders, down),
        warming: None,
        last_complete,
    }
}

/// A warm snapshot whose expression has `feeders` feeders of which the owners 1..=`down` are down.
pub(crate) fn snapshot_of(rows: Vec<Row>, feeders: usize, down: u32) -> Snapshot {
    Snapshot::new(
        Generation(1),
        0,
        Warmth::Warm,
        Ok(rows),
        completeness(feeders, down),
        &[],
    )
}

fn completeness(feeders: usize, down: u32) -> Completeness {
    Completeness {
        feeders,
        down: (1..=down).map(OwnerId).collect(),
    }
}
