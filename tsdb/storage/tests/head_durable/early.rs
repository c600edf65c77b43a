//! What is committed before the log was read, out of order among itself or behind what the log has.

use crate::{HOUR, MINUTE, NOW, Series, World, open, settings};
use leadline_model::entropy::SeededEntropy;
use leadline_model::histogram::{AnyHistogram, CUSTOM_BUCKETS, Histogram, HistogramSample, Span};
use leadline_model::labels::Labels;
use leadline_model::matcher::Matcher;
use leadline_model::port::{Appender, Attempt, Batch, Extras, HistogramEntry, Queryable, Slot};
use leadline_model::sample::{STALE_NAN, Timestamp};
use leadline_storage::{Head, ReplayMonitor, Settings, StorageError};
use std::sync::{Arc, Mutex};

/// A world whose log has a sample of `a` and of `b` every ten minutes up to `NOW` and 30 minutes, opened and not read.
fn unread(window: i64) -> World {
    let mut w = World::new(Settings {
        out_of_order_window_ms: window,
        ..settings()
    });
    let owner = w.head.new_owner();
    for minute in [10, 20, 30] {
        w.clock.set(at(minute));
        w.put(
            owner,
            &[
                ("__name__=a", at(minute), minute as f64),
                ("__name__=b", at(minute), 0.0),
            ],
        );
    }
    w.head.close();
    w.head.shut().unwrap();
    w.clock.set(at(41));
    w.head = open(&w.disk, &w.clock, &w.settings);
    w
}

fn at(minute: i64) -> Timestamp {
    NOW + minute * MINUTE
}

/// The minutes of the samples of a series.
fn minutes(series: &Series, name: &str) -> Vec<i64> {
    let of = |(labels, _): &&(String, Vec<_>)| labels == name;
    let found = series.iter().find(of).map(|(_, samples)| samples.as_slice());
    found
        .unwrap_or_default()
        .iter()
        .map(|(t, _)| (t - NOW) / MINUTE)
        .collect()
}

/// Commits samples one by one, before the log is read, and reads it.
fn commit_and_read(w: &World, samples: &[(&str, i64)]) {
    let owner = w.head.new_owner();
    for (name, minute) in samples {
        let outcome = w.put(owner, &[(*name, at(*minute), *minute as f64)]);
        assert_eq!(
            (outcome.appended, outcome.refused),
            (1, vec![]),
            "{name} at minute {minute}"
        );
    }
    w.head.replay(&()).unwrap();
}

#[test]
fn what_came_out_of_order_before_the_log_was_read_is_there_afterwards_and_after_a_crash() {
    let mut w = unread(HOUR);
    // Too late by what only the log knows; behind the log and in order; behind what came before; between what the log has.
    let of_a = [
        ("__name__=a", -31),
        ("__name__=a", 40),
        ("__name__=a", 35),
        ("__name__=a", 15),
    ];
    // In order by itself, and behind what the log has of it.
    let of_others = [
        ("__name__=b", 25),
        ("__name__=b", 39),
        ("__name__=new", 38),
        ("__name__=new", 12),
    ];
    commit_and_read(&w, &[of_a, of_others].concat());
    let all = w.all();
    assert_eq!(minutes(&all, "a"), [10, 15, 20, 30, 35, 40]);
    assert_eq!(minutes(&all, "b"), [10, 20, 25, 30, 39]);
    assert_eq!(minutes(&all, "new"), [12, 38]);
    let stats = w.head.stats();
    assert_eq!((stats.refused.too_old, stats.refused.out_of_order), (1, 0));
    w.head.sync().unwrap();
    for seed in 0..4 {
        w.restart_on(w.disk.crash(&SeededEntropy::new(seed)));
        assert_eq!(w.all(), all, "seed {seed}");
        w.head.sync().unwrap();
    }
}

#[test]
fn without_a_window_what_is_behind_the_log_is_refused_and_counted_when_the_log_was_read() {
    let mut w = unread(0);
    commit_and_read(
        &w,
        &[
            ("__name__=a", 15),
            ("__name__=a", 40),
            ("__name__=b", 30),
            ("__name__=b", 31),
        ],
    );
    let all = w.all();
    assert_eq!(minutes(&all, "a"), [10, 20, 30, 40]);
    assert_eq!(minutes(&all, "b"), [10, 20, 30, 31]);
    let refused = w.head.stats().refused;
    assert_eq!((refused.out_of_order, refused.duplicate), (1, 1));
    w.head.sync().unwrap();
    w.restart_on(w.disk.crash(&SeededEntropy::new(3)));
    assert_eq!(w.all(), all);
}

#[test]
fn a_window_that_is_closed_while_the_log_is_read_takes_nothing_away() {
    let w = unread(HOUR);
    let owner = w.head.new_owner();
    for minute in [40, 15] {
        w.put(owner, &[("__name__=a", at(minute), 0.0)]);
    }
    w.head.adjust(0, 0).unwrap();
    w.head.replay(&()).unwrap();
    assert_eq!(minutes(&w.all(), "a"), [10, 15, 20, 30, 40]);
}

pub(crate) fn histogram(n: u64, float: bool, bounds: &[f64]) -> AnyHistogram {
    let h = Histogram {
        schema: if bounds.is_empty() { 2 } else { CUSTOM_BUCKETS },
        count: n,
        sum: n as f64,
        positive_spans: vec![Span { offset: 0, length: 1 }],
        positive_buckets: vec![n as i64],
        custom_values: Arc::from(bounds),
        ..Histogram::default()
    };
    match float {
        true => AnyHistogram::Float(Arc::new(h.to_float())),
        false => AnyHistogram::Int(Arc::new(h)),
    }
}

pub(crate) fn put_histograms(w: &World, samples: Vec<(Timestamp, AnyHistogram)>) {
    let entry = |(t, h)| HistogramEntry {
        series: Slot::New(0),
        t,
        h,
    };
    let outcome = w.head.commit(&Batch {
        owner: w.head.new_owner(),
        slot: samples[0].0,
        attempt: Attempt::Good,
        created: vec![Labels::from_pairs([("__name__", "h")])],
        entries: Vec::new(),
        extras: Extras {
            histograms: samples.into_iter().map(entry).collect(),
            ..Extras::default()
        },
    });
    assert_eq!(outcome.unwrap().refused_histograms, []);
}

pub(crate) fn histograms(w: &World) -> Vec<HistogramSample> {
    let (m, mut into) = ([Matcher::equal("__name__", "h")], Vec::new());
    let set = w.head.select(&m, i64::MIN, i64::MAX, true).unwrap();
    set.read_histograms(0, i64::MIN, i64::MAX, &mut into).unwrap();
    into
}

#[test]
fn kinds_that_change_come_back_in_the_order_of_time() {
    for early in [false, true] {
        let mut w = unread(HOUR);
        if !early {
            w.head.replay(&()).unwrap();
        }
        // Each goes into a record of its own kind, and these have an order of their own.
        let mixed = |minute, n| {
            let kinds = [
                (true, &[0.5][..]),
                (false, &[0.5][..]),
                (true, &[][..]),
                (false, &[][..]),
            ];
            let all = (0..)
                .zip(kinds)
                .map(|(i, (float, bounds))| (at(minute) + i, histogram(n + i as u64, float, bounds)));
            all.collect::<Vec<_>>()
        };
        put_histograms(&w, mixed(39, 10));
        let owner = w.head.new_owner();
        w.put(owner, &[("__name__=h", at(40), 1.0)]);
        put_histograms(&w, mixed(38, 5));
        w.put(owner, &[("__name__=h", at(41), STALE_NAN)]);
        w.head.replay(&()).unwrap();
        let (all, found) = (w.all(), histograms(&w));
        assert_eq!(minutes(&all, "h"), [40, 41], "early {early}");
        assert_eq!(found.len(), 8, "early {early}");
        for (sample, (t, h)) in found.iter().zip([mixed(38, 5), mixed(39, 10)].concat()) {
            assert!(
                sample.t == t && sample.h.same(&h),
                "early {early}: {sample:?} is not {h:?}"
            );
        }
        w.head.sync().unwrap();
        w.restart_on(w.disk.crash(&SeededEntropy::new(5)));
        assert_eq!((w.all(), histograms(&w)), (all, found), "early {early}");
    }
}

/// Closes a head when a replay comes to a segment.
struct Closing {
    head: Arc<Head>,
    at: u32,
    seen: Mutex<Vec<u32>>,
}

impl ReplayMonitor for Closing {
    fn segment(&self, _: u32, current: u32, _: u32) {
        self.seen.lock().unwrap().push(current);
        if current == self.at {
            self.head.close();
        }
    }
}

#[test]
fn a_replay_ends_where_the_head_is_closed_and_the_next_start_finds_everything() {
    let mut w = World::new(settings());
    for _ in 0..5 {
        w.fill(3);
        w.restart();
    }
    let before = (w.all(), w.disk.used());
    w.head.close();
    w.head.shut().unwrap();
    w.head = open(&w.disk, &w.clock, &w.settings);
    let closing = Closing {
        head: Arc::clone(&w.head),
        at: 1,
        seen: Mutex::default(),
    };
    let stopped = w.head.replay(&closing);
    assert!(
        matches!(&stopped, Err(StorageError::Refused(why)) if why.contains("being closed")),
        "{stopped:?}"
    );
    assert_eq!(*closing.seen.lock().unwrap(), [0, 1], "what follows is not read");
    assert!(w.head.is_replaying());
    w.head.shut().unwrap();
    assert_eq!(w.disk.used(), before.1, "the directory is as it was");
    w.restart_on(w.disk.clone());
    assert_eq!(w.all(), before.0);
}
