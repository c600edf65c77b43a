//! The store as a whole on a disk that fails.
#![expect(clippy::unwrap_used, reason = "a helper of a test may stop it")]

#[expect(dead_code, reason = "other tests use the rest")]
mod stores;

use leadline_model::entropy::SeededEntropy;
use leadline_model::matcher::Matcher;
use leadline_storage::db::{Db, Parts};
use leadline_storage::disk::FaultyDisk;
use leadline_storage::disk::faulty::Fault;
use std::sync::Arc;
use stores::Store;

/// A store whose disk fails when told to.
fn failing() -> (Store, FaultyDisk) {
    let mut store = Store::new(stores::small());
    store.db.close().unwrap();
    let faulty = FaultyDisk::new(store.disk.clone(), Arc::new(SeededEntropy::new(1)));
    store.db = Db::open(Parts {
        disk: Arc::new(faulty.clone()),
        ..store.parts()
    })
    .unwrap();
    store.db.replay().unwrap();
    (store, faulty)
}

#[test]
fn a_block_that_could_neither_be_finished_nor_removed_does_not_bring_back_what_is_deleted() {
    let (mut tried, mut deleted) = (0, 0);
    loop {
        let (mut store, faulty) = failing();
        store.write("a", 0..35);
        store.write("b", 34..35);
        // What cannot be made durable cannot be removed either.
        for sound in [tried, tried + 1] {
            faulty.arm(Fault::Failure, sound);
        }
        let done = store.db.maintain();
        let fired = faulty.fired().len();
        faulty.lift();
        let a = [Matcher::equal("__name__", "a")];
        store.db.delete_series(&a, i64::MIN, i64::MAX).unwrap();
        deleted += usize::from(!done.failures.is_empty());
        store.crash(tried);
        assert_eq!(store.read("a"), [], "{tried}: {done:?}, {:?}", faulty.fired());
        assert_eq!(store.read("b"), Store::samples(34..35), "{tried}");
        if fired == 0 {
            break;
        }
        tried += 1;
    }
    assert!(tried > 30 && deleted > 10, "{tried}, {deleted}");
}

#[test]
fn nothing_is_deleted_as_long_as_a_block_cannot_be_removed() {
    let mut refused = 0;
    for sound in 0..200 {
        let (store, faulty) = failing();
        store.write("a", 0..35);
        for sound in [sound, sound + 1] {
            faulty.arm(Fault::Failure, sound);
        }
        store.db.maintain();
        faulty.lift();
        faulty.arm(Fault::Failure, 0);
        let outcome = store.db.delete_series(&[], i64::MIN, i64::MAX);
        faulty.lift();
        refused += usize::from(outcome.is_err_and(|error| error.to_string().contains("given up")));
        store.db.delete_series(&[], i64::MIN, i64::MAX).unwrap();
        assert_eq!(store.read("a"), []);
    }
    assert!(refused > 0);
}
