//! Full chunks leave the memory while the store is busy with blocks.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]
#[path = "support/running.rs"]
mod running;

use leadline_model::clock::{Clock, SystemClock};
use leadline_model::labels::Labels;
use leadline_model::port::{Attempt, Batch, Entry, Extras, Slot};
use leadline_model::target::OwnerId;
use leadline_storage::Settings;
use leadline_storage::disk::{Disk, MemoryDisk};
use leadline_tsdb::Tsdb;
use running::Running;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How many series are written, each a second of a block.
const SERIES: usize = 100;

fn settings() -> Settings {
    Settings {
        chunk_samples: 2,
        block_range_ms: 1_000,
        compaction_bytes_per_second: 20,
        ..Settings::default()
    }
}

/// Commits a sample of every series, at this moment.
fn write(tsdb: &Tsdb, owner: OwnerId) {
    let t = SystemClock.now();
    let name = |i: usize| Labels::from_pairs([("__name__", "m".to_owned()), ("i", i.to_string())]);
    let entry = |i: usize| Entry {
        series: Slot::New(i as u32),
        t,
        v: i as f64,
    };
    let written = tsdb.appender().commit(&Batch {
        owner,
        slot: t,
        attempt: Attempt::Good,
        created: (0..SERIES).map(name).collect(),
        entries: (0..SERIES).map(entry).collect(),
        extras: Extras::default(),
    });
    written.unwrap();
}

/// The block that is being written, and the bytes of the files of chunks.
fn look(disk: &MemoryDisk, tsdb: &Tsdb) -> Option<(String, u64)> {
    let mut names = disk
        .list(Path::new("data"))
        .unwrap()
        .into_iter()
        .map(|entry| entry.name);
    let block = names.find(|name| name.ends_with(".tmp-for-creation"))?;
    Some((block, tsdb.db().stats().mapped_bytes))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunks_are_mapped_while_a_block_is_being_written() {
    let disk = MemoryDisk::new();
    let running = Running::start(running::build(settings(), Arc::new(disk.clone())));
    let tsdb = Arc::clone(&running.tsdb);
    let owner = tsdb.appender().new_owner();
    let mut tick = tokio::time::interval(Duration::from_millis(50));
    let mut first: Option<(String, u64)> = None;
    let mapped = async {
        loop {
            tick.tick().await;
            write(&tsdb, owner);
            match (&first, look(&disk, &tsdb)) {
                (Some((block, before)), Some((same, now))) if *block == same => {
                    if now > *before {
                        return;
                    }
                }
                (_, now) => first = now,
            }
        }
    };
    if tokio::time::timeout(Duration::from_secs(30), mapped).await.is_err() {
        panic!(
            "nothing is mapped while a block is written: {first:?}, {:?}",
            look(&disk, &tsdb)
        );
    }
    running.end().await;
}
