//! Readers and commits at the same time: nobody sees half a commit.
#![expect(clippy::unwrap_used, reason = "a helper of a test may stop it")]

use leadline_model::clock::{Clock, ManualClock};
use leadline_model::labels::Labels;
use leadline_model::matcher::Matcher;
use leadline_model::port::{Appender, Attempt, Batch, Commits, Entry, Extras, Queryable, SeriesRef, Slot};
use leadline_model::sample::Samples;
use leadline_model::target::OwnerId;
use leadline_storage::{Head, Settings};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const WIDE: u32 = 200;

fn head() -> (Arc<Head>, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(0));
    (
        Head::new(
            Settings {
                chunk_samples: 8,
                ..Settings::default()
            },
            clock.clone(),
        )
        .unwrap(),
        clock,
    )
}

fn series(i: u32) -> Labels {
    Labels::from_pairs([("__name__", "wide"), ("i", i.to_string().as_str())])
}

/// Creates one series in each of many stripes, by owners of their own.
fn spread(head: &Head) -> Vec<SeriesRef> {
    (0..WIDE)
        .map(|i| {
            let entries = vec![Entry {
                series: Slot::New(0),
                t: 0,
                v: 0.0,
            }];
            let created = vec![series(i)];
            let batch = Batch {
                owner: OwnerId(i),
                slot: 0,
                attempt: Attempt::Good,
                created,
                entries,
                extras: Extras::default(),
            };
            head.commit(&batch).unwrap().refs[0].unwrap()
        })
        .collect()
}

/// The newest value of each series that has one at `mint` (ms) or later.
fn newest(head: &Head, mint: i64) -> Vec<f64> {
    let set = head
        .select(&[Matcher::equal("__name__", "wide")], mint, i64::MAX, false)
        .unwrap();
    let mut samples = Samples::default();
    (0..set.len())
        .map(|i| {
            set.read(i, mint, i64::MAX, &mut samples).unwrap();
            *samples.v.last().unwrap()
        })
        .collect()
}

/// Runs `write` until `readers` have each looked `looks` times.
fn race(readers: usize, looks: usize, write: impl Fn(u64) + Sync, look: impl Fn() + Sync) {
    let done = AtomicU64::new(0);
    let (write, look, done) = (&write, &look, &done);
    std::thread::scope(|scope| {
        for _ in 0..readers {
            scope.spawn(move || {
                for _ in 0..looks {
                    look();
                }
                done.fetch_add(1, Ordering::SeqCst);
            });
        }
        scope.spawn(move || {
            let mut i = 1;
            while done.load(Ordering::SeqCst) < readers as u64 {
                write(i);
                i += 1;
            }
        });
    });
}

#[test]
fn a_commit_over_many_stripes_is_seen_whole() {
    let (head, clock) = head();
    let refs = spread(&head);
    let saw_change = AtomicBool::new(false);
    let write = |i: u64| {
        clock.set(i as i64);
        let entries = refs
            .iter()
            .map(|r| Entry {
                series: Slot::Known(*r),
                t: i as i64,
                v: i as f64,
            })
            .collect();
        let batch = Batch {
            owner: OwnerId(1),
            slot: 0,
            attempt: Attempt::Good,
            created: vec![],
            entries,
            extras: Extras::default(),
        };
        assert_eq!(head.commit(&batch).unwrap().appended, WIDE as usize);
    };
    let look = || {
        let generation = head.generation().0;
        let values = newest(&head, clock.now() - 1);
        assert_eq!(values.len(), WIDE as usize);
        assert!(values.iter().all(|v| *v == values[0]), "half a commit: {values:?}");
        // The first commits created the series; each later one is a generation and a value.
        assert!(
            values[0] + f64::from(WIDE) >= generation as f64,
            "generation {generation} was not seen"
        );
        saw_change.fetch_or(values[0] > 3.0, Ordering::SeqCst);
    };
    race(3, 300, write, look);
    assert!(saw_change.load(Ordering::SeqCst));
}

#[test]
fn a_commit_that_creates_series_beside_known_ones_is_seen_whole() {
    let (head, clock) = head();
    let refs = spread(&head);
    let write = |i: u64| {
        clock.set(i as i64);
        let created: Vec<_> = (0..2).map(|n| series(WIDE + i as u32 * 2 + n)).collect();
        let known = refs.iter().map(|r| Slot::Known(*r));
        let slots = known.take(20).chain([Slot::New(0), Slot::New(1)]);
        let entries = slots
            .map(|series| Entry {
                series,
                t: i as i64,
                v: i as f64,
            })
            .collect();
        let batch = Batch {
            owner: OwnerId(3),
            slot: 0,
            attempt: Attempt::Good,
            created,
            entries,
            extras: Extras::default(),
        };
        assert_eq!(head.commit(&batch).unwrap().new_series, 2);
        if i.is_multiple_of(64) {
            head.maintain();
        }
    };
    let look = || {
        let values = newest(&head, clock.now() - 1);
        let last = values.iter().copied().fold(0.0, f64::max);
        // The newest commit wrote to 20 old series and to the two that it created.
        let with_last = values.iter().filter(|v| **v == last).count();
        assert!(
            last == 0.0 || with_last == 22,
            "half a commit: {with_last} of 22 series have {last}"
        );
    };
    race(2, 200, write, look);
}

#[test]
fn owners_that_create_the_same_series_at_once_share_it() {
    let (head, _) = head();
    let all: Vec<Vec<SeriesRef>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|n| {
                let head = &head;
                scope.spawn(move || {
                    let mut refs = Vec::new();
                    for round in 0..200u32 {
                        let created: Vec<_> = (0..5).map(|i| series(round * 5 + i)).collect();
                        let entries = (0..5)
                            .map(|i| Entry {
                                series: Slot::New(i),
                                t: i64::from(n),
                                v: 0.0,
                            })
                            .collect();
                        let batch = Batch {
                            owner: OwnerId(n),
                            slot: 0,
                            attempt: Attempt::Good,
                            created,
                            entries,
                            extras: Extras::default(),
                        };
                        refs.extend(head.commit(&batch).unwrap().refs.into_iter().map(Option::unwrap));
                    }
                    refs
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert!(all.iter().all(|refs| *refs == all[0]));
    assert_eq!((head.stats().series, head.stats().series_created), (1_000, 1_000));
    assert_eq!(head.generation().0, 800);
}

#[test]
fn registering_while_series_are_created_misses_none() {
    let (head, _) = head();
    let (ids, refs) = std::thread::scope(|scope| {
        let writer = scope.spawn(|| (0..400).map(|i| commit_one(&head, i)).collect::<Vec<_>>());
        let ids: Vec<_> = (0..20)
            .map(|_| head.register(Arc::from([Matcher::equal("__name__", "wide")])))
            .collect();
        (ids, writer.join().unwrap())
    });
    let mut events = head.subscribe();
    for (i, series) in refs.into_iter().enumerate() {
        let entries = vec![Entry {
            series: Slot::Known(series),
            t: 1,
            v: 0.0,
        }];
        let batch = Batch {
            owner: OwnerId(0),
            slot: 0,
            attempt: Attempt::Good,
            created: vec![],
            entries,
            extras: Extras::default(),
        };
        head.commit(&batch).unwrap();
        assert_eq!(events.try_recv().unwrap().touched[..], ids[..], "series {i}");
    }
}

fn commit_one(head: &Head, i: u32) -> SeriesRef {
    let entries = vec![Entry {
        series: Slot::New(0),
        t: 0,
        v: 0.0,
    }];
    let batch = Batch {
        owner: OwnerId(i % 7),
        slot: 0,
        attempt: Attempt::Good,
        created: vec![series(i)],
        entries,
        extras: Extras::default(),
    };
    head.commit(&batch).unwrap().refs[0].unwrap()
}
