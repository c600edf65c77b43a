//! Mapped chunks that a query read are kept decoded for the next one, and no answer shows the difference.
#![expect(clippy::unwrap_used, reason = "a helper of a test may stop it")]

use leadline_model::clock::ManualClock;
use leadline_model::labels::Labels;
use leadline_model::port::{Appender, Attempt, Batch, Entry, Extras, Queryable, Slot};
use leadline_model::sample::{STALE_NAN, Samples, Timestamp};
use leadline_model::target::OwnerId;
use leadline_storage::cache::Cache;
use leadline_storage::disk::{Disk, MemoryDisk};
use leadline_storage::{Head, HeadParts, Settings};
use proptest::prelude::*;
use std::path::Path;
use std::sync::Arc;

const NOW: Timestamp = 1_700_006_400_000;
const SECOND: i64 = 1_000;
const SERIES: u32 = 5;

type Answer = Vec<(String, Vec<(Timestamp, u64)>)>;

struct Store {
    head: Arc<Head>,
    cache: Arc<Cache>,
    clock: Arc<ManualClock>,
    disk: MemoryDisk,
    owner: OwnerId,
}

impl Store {
    /// A head whose chunks take ten samples, and which keeps so many bytes of them.
    fn new(kept: u64) -> Self {
        let (disk, clock) = (MemoryDisk::new(), Arc::new(ManualClock::at(NOW)));
        disk.create_dir_all(Path::new("data")).unwrap();
        let cache = Cache::new(kept);
        let head = open(&disk, &clock, &cache);
        Self {
            owner: head.new_owner(),
            head,
            cache,
            clock,
            disk,
        }
    }

    fn restart(&mut self) {
        self.head.close();
        self.head.shut().unwrap();
        self.head = open(&self.disk, &self.clock, &self.cache);
        self.owner = self.head.new_owner();
    }

    /// A sample of each series at a time, all of which may come too late.
    fn put(&self, t: Timestamp) {
        let value = |i: u32| match (t / SECOND + i64::from(i)) % 13 {
            0 => STALE_NAN,
            n => n as f64 * 0.37 + f64::from(i),
        };
        let labels = |i: u32| Labels::from_pairs([("__name__", "m".to_owned()), ("i", i.to_string())]);
        let entry = |i| Entry {
            series: Slot::New(i),
            t,
            v: value(i),
        };
        self.head
            .commit(&Batch {
                owner: self.owner,
                slot: t,
                attempt: Attempt::Good,
                created: (0..SERIES).map(labels).collect(),
                entries: (0..SERIES).map(entry).collect(),
                extras: Extras::default(),
            })
            .unwrap();
    }

    fn map(&self) {
        self.head.flush().unwrap();
        self.head.map_chunks().unwrap();
    }

    fn ask(&self, mint: Timestamp, maxt: Timestamp) -> Answer {
        let set = self.head.select(&[], mint, maxt, true).unwrap();
        let mut samples = Samples::default();
        let read = |i| {
            set.read(i, mint, maxt, &mut samples).unwrap();
            let values = samples.v.iter().map(|v| v.to_bits());
            (
                set.labels(i).to_string(),
                samples.t.iter().copied().zip(values).collect(),
            )
        };
        (0..set.len()).map(read).collect()
    }
}

fn open(disk: &MemoryDisk, clock: &Arc<ManualClock>, cache: &Arc<Cache>) -> Arc<Head> {
    let head = Head::durable(HeadParts {
        settings: Settings {
            chunk_samples: 10,
            out_of_order_window_ms: 300 * SECOND,
            ..Settings::default()
        },
        clock: clock.clone(),
        disk: Arc::new(disk.clone()),
        dir: "data".into(),
        read_only: false,
        cache: Arc::clone(cache),
    })
    .unwrap();
    head.replay(&()).unwrap();
    head
}

#[derive(Debug, Clone)]
enum Step {
    /// So many samples at equal distances of so many seconds.
    Even(u8, i64),
    /// One this far behind.
    Late(i64),
    Map,
    /// What lies so many seconds and that many more back.
    Ask(i64, i64),
    Restart,
    /// What ended before so many seconds goes.
    Truncate(i64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1u8..25, 1i64..20).prop_map(|(n, gap)| Step::Even(n, gap)),
        1 => (1i64..280).prop_map(Step::Late),
        4 => Just(Step::Map),
        8 => (0i64..400, 0i64..400).prop_map(|(back, more)| Step::Ask(back, more)),
        1 => Just(Step::Restart),
        1 => (100i64..400).prop_map(Step::Truncate),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn answers_are_what_they_are_without_anything_kept(steps in proptest::collection::vec(step(), 1..40)) {
        let mut plain = Store::new(0);
        // Room for all, and for so little that most is worth nothing or goes soon.
        let mut keeping = [Store::new(1 << 20), Store::new(6 << 10)];
        for step in &steps {
            let stores = || std::iter::once(&plain).chain(&keeping);
            match *step {
                Step::Even(n, gap) => for _ in 0..n {
                    for store in stores() {
                        let now = store.clock.advance(gap * SECOND);
                        store.put(now);
                    }
                },
                Step::Late(behind) => for store in stores() {
                    let now = store.clock.advance(0);
                    store.put(now - behind * SECOND);
                },
                Step::Map => stores().for_each(Store::map),
                Step::Ask(back, more) => {
                    let to = plain.clock.advance(0) - back * SECOND;
                    let expected = plain.ask(to - more * SECOND, to);
                    for store in &keeping {
                        prop_assert_eq!(&store.ask(to - more * SECOND, to), &expected);
                    }
                }
                Step::Restart => {
                    plain.restart();
                    keeping.iter_mut().for_each(Store::restart);
                }
                Step::Truncate(back) => for store in stores() {
                    let mint = store.clock.advance(0) - back * SECOND;
                    store.head.truncate(mint).unwrap();
                },
            }
        }
        prop_assert_eq!(plain.cache.stats().entries, 0);
    }
}

/// Forty samples of each series, of which three chunks are mapped.
fn filled(kept: u64) -> Store {
    let store = Store::new(kept);
    for _ in 0..40 {
        let now = store.clock.advance(15 * SECOND);
        store.put(now);
    }
    store.map();
    store
}

#[test]
fn what_was_read_is_there_for_who_asks_next_and_what_was_not_is_not() {
    let store = filled(1 << 20);
    let told = || {
        let stats = store.cache.stats();
        (stats.entries, stats.hits, stats.misses)
    };
    assert_eq!(told(), (0, 0, 0));
    let all = store.ask(NOW, i64::MAX);
    assert_eq!(told(), (15, 0, 15));
    assert_eq!(store.ask(NOW, i64::MAX), all);
    assert_eq!(told(), (15, 15, 15));
    // The first chunk of each, in part.
    assert_eq!(store.ask(NOW, NOW + 60 * SECOND)[0].1, all[0].1[..4]);
    assert_eq!(told(), (15, 20, 15));
    let bytes = store.cache.stats().bytes;
    assert!((150 * 8..15 * 320).contains(&bytes), "{bytes}");
}

#[test]
fn who_reads_more_than_half_of_the_room_pushes_nothing_out() {
    // Fifteen chunks are reckoned with 1,120 bytes each.
    for (kept, entries) in [(2 * 15 * 1_120, 15), (2 * 15 * 1_120 - 1, 0)] {
        let store = filled(kept);
        store.ask(NOW, i64::MAX);
        assert_eq!(store.cache.stats().entries, entries, "{kept}");
    }
}
