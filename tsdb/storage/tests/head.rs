//! What the head promises through its ports.
#![expect(clippy::unwrap_used, reason = "a helper of a test may stop it")]

use leadline_model::clock::ManualClock;
use leadline_model::labels::Labels;
use leadline_model::matcher::{MatchOp, Matcher};
use leadline_model::port::{
    AppendError, Appender, Attempt, Batch, Commits, Entry, Extras, Outcome, Queryable, Refusal, SelectorId, Slot,
};
use leadline_model::sample::{STALE_NAN, Samples, Timestamp};
use leadline_model::target::OwnerId;
use leadline_storage::{Head, Settings};
use std::sync::Arc;

const NOW: Timestamp = 1_700_000_000_000;
const HOUR: i64 = 3_600_000;

struct Store {
    head: Arc<Head>,
    clock: Arc<ManualClock>,
}

fn store(settings: Settings) -> Store {
    let clock = Arc::new(ManualClock::at(NOW));
    Store {
        head: Head::new(settings, clock.clone()).unwrap(),
        clock,
    }
}

fn labels(text: &str) -> Labels {
    Labels::from_pairs(text.split(',').map(|pair| pair.split_once('=').unwrap()))
}

impl Store {
    /// Commits one sample for each of the label sets.
    fn put(&self, owner: OwnerId, samples: &[(&str, Timestamp, f64)]) -> Outcome {
        self.put_as(owner, Attempt::Good, samples)
    }

    fn put_as(&self, owner: OwnerId, attempt: Attempt, samples: &[(&str, Timestamp, f64)]) -> Outcome {
        self.put_with(owner, attempt, samples, Extras::default())
    }

    fn put_with(
        &self,
        owner: OwnerId,
        attempt: Attempt,
        samples: &[(&str, Timestamp, f64)],
        extras: Extras,
    ) -> Outcome {
        let created = samples.iter().map(|s| labels(s.0)).collect();
        let entry = |(i, s): (usize, &(&str, Timestamp, f64))| Entry {
            series: Slot::New(i as u32),
            t: s.1,
            v: s.2,
        };
        let entries = samples.iter().enumerate().map(entry).collect();
        self.head
            .commit(&Batch {
                owner,
                slot: samples[0].1,
                attempt,
                created,
                entries,
                extras,
            })
            .unwrap()
    }

    fn get(&self, matchers: &[Matcher], mint: Timestamp, maxt: Timestamp) -> Vec<(String, Vec<(Timestamp, u64)>)> {
        let set = self.head.select(matchers, mint, maxt, true).unwrap();
        let mut samples = Samples::default();
        (0..set.len())
            .map(|i| {
                set.read(i, mint, maxt, &mut samples).unwrap();
                let newest = set.newest(i, mint, maxt).unwrap();
                assert_eq!(
                    newest.map(|s| (s.t, s.v.to_bits())),
                    samples.t.last().copied().zip(samples.v.last().map(|v| v.to_bits())),
                    "the newest sample is the last of those in the window"
                );
                let pairs = samples.t.iter().copied().zip(samples.v.iter().map(|v| v.to_bits()));
                (set.labels(i).to_string(), pairs.collect())
            })
            .collect()
    }

    fn names(&self, matchers: &[Matcher]) -> Vec<String> {
        self.get(matchers, i64::MIN, i64::MAX)
            .into_iter()
            .map(|s| s.0)
            .collect()
    }
}

fn matcher(name: &str, op: MatchOp, value: &str) -> Matcher {
    Matcher::new(name, op, value).unwrap()
}

#[test]
fn committed_samples_are_read_back_within_the_window() {
    let s = store(Settings::default());
    let owner = s.head.new_owner();
    for i in 0..500 {
        s.put(
            owner,
            &[
                ("__name__=up,job=a", NOW + i * 1000, i as f64),
                ("__name__=up,job=b", NOW + i * 1000, 1.0),
            ],
        );
    }
    let got = s.get(
        &[Matcher::equal("__name__", "up"), Matcher::equal("job", "a")],
        NOW + 100_000,
        NOW + 102_000,
    );
    let want = (100..=102).map(|i| (NOW + i * 1000, (i as f64).to_bits())).collect();
    assert_eq!(got, [("up{job=\"a\"}".to_owned(), want)]);
    let stats = s.head.stats();
    assert_eq!(
        (stats.series, stats.samples, stats.chunks, stats.commits),
        (2, 1000, 10, 500)
    );
}

#[test]
fn each_sample_is_refused_on_its_own_merits() {
    let s = store(Settings {
        max_series: 2,
        ..Settings::default()
    });
    let owner = s.head.new_owner();
    let first = s.put(owner, &[("a=1", NOW, 1.0), ("a=2", NOW, f64::NAN)]);
    let (one, two) = (first.refs[0].unwrap(), first.refs[1].unwrap());
    let unknown = leadline_model::port::SeriesRef(two.0 + (1 << 20));
    let beyond = leadline_model::port::SeriesRef(u64::MAX);
    let cases = [
        (Slot::Known(one), NOW, 1.0, None),
        (Slot::Known(one), NOW, 2.0, Some(Refusal::Duplicate)),
        (Slot::Known(two), NOW, f64::NAN, None),
        (Slot::Known(two), NOW, STALE_NAN, Some(Refusal::Duplicate)),
        (Slot::Known(one), NOW - 1, 1.0, Some(Refusal::OutOfOrder)),
        (Slot::Known(one), NOW - 2 * HOUR, 1.0, Some(Refusal::OutOfOrder)),
        (Slot::Known(one), NOW - 2 * HOUR - 1, 1.0, Some(Refusal::TooOld)),
        (Slot::Known(one), NOW + 600_001, 1.0, Some(Refusal::TooFarAhead)),
        (Slot::New(0), NOW, 1.0, Some(Refusal::SeriesLimit)),
        (Slot::New(7), NOW, 1.0, Some(Refusal::UnknownSeries)),
        (Slot::Known(unknown), NOW, 1.0, Some(Refusal::UnknownSeries)),
        (Slot::Known(beyond), NOW, 1.0, Some(Refusal::UnknownSeries)),
    ];
    for (series, t, v, want) in cases {
        let created = vec![labels("a=3")];
        let batch = Batch {
            owner,
            slot: NOW,
            attempt: Attempt::Good,
            created,
            entries: vec![Entry { series, t, v }],
            extras: Extras::default(),
        };
        let outcome = s.head.commit(&batch).unwrap();
        assert_eq!(
            outcome.refused,
            want.map(|why| (0, why)).into_iter().collect::<Vec<_>>(),
            "{series:?} {t} {v}"
        );
        assert_eq!((outcome.appended, outcome.new_series), (0, 0), "{series:?} {t} {v}");
        assert_eq!(outcome.refs, [None]);
    }
    let refused = s.head.stats().refused;
    assert_eq!(
        refused.by_reason(),
        [
            ("out_of_order", 2),
            ("duplicate", 2),
            ("too_old", 1),
            ("too_far_ahead", 1),
            ("series_limit", 1),
            ("unknown_series", 3),
            ("invalid", 0),
            ("memory_limit", 0)
        ]
    );
    s.put(owner, &[("a=1", NOW + 600_000, 2.0)]);
    assert_eq!(s.get(&[Matcher::equal("a", "1")], NOW, i64::MAX)[0].1.len(), 2);
}

#[test]
fn of_equal_series_and_time_the_first_wins_and_order_within_a_batch_is_free() {
    let s = store(Settings::default());
    let owner = s.head.new_owner();
    let outcome = s.put(
        owner,
        &[
            ("a=1", NOW + 2, 2.0),
            ("a=1", NOW, 0.0),
            ("a=1", NOW + 2, 9.0),
            ("a=1", NOW + 1, 1.0),
        ],
    );
    assert_eq!(outcome.refused, [(2, Refusal::Duplicate)]);
    assert_eq!((outcome.appended, outcome.new_series), (3, 1));
    let want = (0..3).map(|i| (NOW + i, (i as f64).to_bits())).collect();
    assert_eq!(s.get(&[], NOW, NOW + 9), [("{a=\"1\"}".to_owned(), want)]);
}

#[test]
fn a_selection_keeps_what_it_saw() {
    let s = store(Settings {
        chunk_samples: 5,
        ..Settings::default()
    });
    let owner = s.head.new_owner();
    for i in 0..7 {
        s.put(owner, &[("a=1", NOW + i, i as f64)]);
    }
    let before = s.head.select(&[], i64::MIN, i64::MAX, false).unwrap();
    for i in 7..30 {
        s.put(owner, &[("a=1", NOW + i, i as f64), ("a=2", NOW + i, 0.0)]);
    }
    s.clock.advance(3 * HOUR);
    assert_eq!(s.head.maintain().series_removed, 2);
    let mut samples = Samples::default();
    before.read(0, i64::MIN, i64::MAX, &mut samples).unwrap();
    assert_eq!(
        (before.len(), samples.t),
        (1, (0..7).map(|i| NOW + i).collect::<Vec<_>>())
    );
    assert_eq!(
        (before.labels(0).to_string(), before.owner(0)),
        ("{a=\"1\"}".to_owned(), Some(owner))
    );
    assert_eq!(s.names(&[]), [""; 0]);
}

#[test]
fn retention_drops_chunks_first_and_then_series_with_all_that_names_them() {
    let s = store(Settings {
        chunk_samples: 10,
        ..Settings::default()
    });
    let owner = s.head.new_owner();
    let mut refs = Vec::new();
    for minute in 0..60 {
        let t = NOW + minute * 60_000;
        s.clock.set(t);
        let mut samples = vec![("__name__=m,pod=stays", t, 1.0)];
        if minute < 25 {
            samples.push(("__name__=m,pod=ends", t, 1.0));
        }
        refs = s.put(owner, &samples).refs;
        if minute == 24 {
            assert_eq!(s.head.stats().label_pairs, 3);
        }
    }
    let before = s.head.stats();
    assert_eq!((before.samples, before.chunks, before.postings), (85, 9, 4));
    // 2 h after minute 20: the chunks of minutes 0-9 and 10-19 are over, both series still live.
    s.clock.set(NOW + 2 * HOUR + 20 * 60_000);
    assert_eq!(s.head.maintain().series_removed, 0);
    assert_eq!((s.head.stats().samples, s.head.stats().chunks), (45, 5));
    s.clock.set(NOW + 2 * HOUR + 25 * 60_000);
    assert_eq!(s.head.maintain().series_removed, 1);
    let stats = s.head.stats();
    assert_eq!(
        (stats.series, stats.series_removed, stats.label_pairs, stats.postings),
        (1, 1, 2, 2)
    );
    assert_eq!(s.head.label_values("pod", &[], i64::MIN, i64::MAX).unwrap(), ["stays"]);
    s.clock.set(NOW + 10 * HOUR);
    assert_eq!(s.head.maintain().series_removed, 1);
    let stats = s.head.stats();
    assert_eq!(
        (
            stats.samples,
            stats.chunks,
            stats.chunk_bytes,
            stats.postings,
            stats.symbol_bytes
        ),
        (0, 0, 0, 0, 0)
    );
    // The reference is dead for good, also once the labels exist again.
    let again = s.put(owner, &[("__name__=m,pod=stays", NOW + 10 * HOUR, 1.0)]);
    assert_ne!(again.refs[0], refs[0]);
    let entries = vec![Entry {
        series: Slot::Known(refs[0].unwrap()),
        t: NOW + 10 * HOUR,
        v: 1.0,
    }];
    let old = Batch {
        owner,
        slot: NOW,
        attempt: Attempt::Good,
        created: vec![],
        entries,
        extras: Extras::default(),
    };
    assert_eq!(s.head.commit(&old).unwrap().refused, [(0, Refusal::UnknownSeries)]);
}

#[test]
fn churn_leaves_nothing_behind() {
    let s = store(Settings {
        retention_ms: 60_000,
        ..Settings::default()
    });
    let owners: Vec<_> = (0..5).map(|_| s.head.new_owner()).collect();
    let mut peak = 0;
    for round in 0..40i64 {
        let now = s.clock.advance(30_000);
        for owner in &owners {
            let text: Vec<_> = (0..20)
                .map(|i| format!("__name__=m{i},pod=p{}-{round},job=j", owner.0))
                .collect();
            s.put(*owner, &text.iter().map(|t| (t.as_str(), now, 1.0)).collect::<Vec<_>>());
        }
        s.head.maintain();
        peak = peak.max(s.head.stats().bytes);
        let live: Vec<_> = s.names(&[Matcher::equal("job", "j")]);
        assert_eq!(live.len(), 100 * (round.min(2) + 1) as usize);
        assert_eq!(
            s.names(&[matcher("pod", MatchOp::Regex, &format!("p3-{round}"))]).len(),
            20
        );
    }
    let stats = s.head.stats();
    assert_eq!(
        (stats.series, stats.series_created, stats.postings, stats.label_pairs),
        (300, 4_000, 900, 36)
    );
    assert!(peak < 300_000, "{peak} bytes at the peak");
}

#[test]
fn label_names_that_no_series_has_any_more_leave_nothing_behind() {
    let s = store(Settings {
        retention_ms: 60_000,
        ..Settings::default()
    });
    let owner = s.head.new_owner();
    let mut sizes = Vec::new();
    for round in 10..60i64 {
        let now = s.clock.advance(120_000);
        let (value, found) = [("a", 1), ("c", 0)][(round / 2 % 2) as usize];
        s.put(owner, &[(format!("__name__=m,id_{round}={value}").as_str(), now, 1.0)]);
        s.head.maintain();
        // Both are asked of the same place when it is another name's: what was found for one is not taken for the other.
        for (name, found) in [(round, found), (round - 1, 0)] {
            let pattern = [matcher(&format!("id_{name}"), MatchOp::Regex, ".*[ab]")];
            assert_eq!(s.names(&pattern).len(), found, "id_{name} in round {round}");
        }
        let names = s.head.label_names(&[], i64::MIN, i64::MAX).unwrap();
        assert_eq!(names, ["__name__".to_owned(), format!("id_{round}")]);
        sizes.push(s.head.stats().symbol_bytes);
    }
    assert!(sizes.windows(2).all(|pair| pair[0] == pair[1]), "{sizes:?}");
}

#[test]
fn two_owners_of_one_series_share_it_and_the_last_writer_owns_it() {
    let s = store(Settings::default());
    let (a, b) = (s.head.new_owner(), s.head.new_owner());
    let first = s.put(a, &[("x=1", NOW, 1.0)]);
    let second = s.put(b, &[("x=2", NOW, 1.0), ("x=1", NOW + 1, 2.0)]);
    assert_eq!((second.refs[1], second.new_series), (first.refs[0], 1));
    let set = s.head.select(&[Matcher::equal("x", "1")], NOW, NOW + 1, false).unwrap();
    assert_eq!(set.owner(0), Some(b));
}

#[test]
fn a_closed_head_refuses_and_still_answers() {
    let s = store(Settings::default());
    let owner = s.head.new_owner();
    s.put(owner, &[("x=1", NOW, 1.0)]);
    s.head.close();
    let batch = Batch {
        owner,
        slot: NOW,
        attempt: Attempt::Good,
        created: vec![],
        entries: vec![],
        extras: Extras::default(),
    };
    assert!(matches!(s.head.commit(&batch), Err(AppendError::Closed)));
    assert_eq!((s.names(&[]).len(), s.head.generation().0), (1, 1));
}

#[test]
fn label_names_and_values_follow_matchers_and_window() {
    let s = store(Settings::default());
    let owner = s.head.new_owner();
    s.put(owner, &[("__name__=old,zone=a", NOW - HOUR, 1.0)]);
    s.put(
        owner,
        &[("__name__=new,pod=b", NOW, 1.0), ("__name__=new,pod=a", NOW, 1.0)],
    );
    let all = (i64::MIN, i64::MAX);
    let late = (NOW - 1000, NOW);
    let only = [Matcher::equal("__name__", "old")];
    for (matchers, (mint, maxt), names, metric_names) in [
        (&[][..], all, &["__name__", "pod", "zone"][..], &["new", "old"][..]),
        (&[][..], late, &["__name__", "pod"][..], &["new"][..]),
        (&only[..], all, &["__name__", "zone"][..], &["old"][..]),
        (&only[..], late, &[][..], &[][..]),
    ] {
        assert_eq!(s.head.label_names(matchers, mint, maxt).unwrap(), names);
        assert_eq!(
            s.head.label_values("__name__", matchers, mint, maxt).unwrap(),
            metric_names
        );
    }
    assert_eq!(s.head.label_values("pod", &[], late.0, late.1).unwrap(), ["a", "b"]);
    assert_eq!(s.head.label_values("none", &[], late.0, late.1).unwrap(), [""; 0]);
}

fn touched(event: &leadline_model::port::CommitEvent) -> Vec<u32> {
    event.touched.iter().map(|id| id.0).collect()
}

#[test]
fn a_commit_tells_which_registered_selectors_it_touched() {
    let s = store(Settings::default());
    let (a, b) = (s.head.new_owner(), s.head.new_owner());
    s.put(a, &[("__name__=m,pod=1", NOW, 1.0)]);
    let before = s.head.register(Arc::from([Matcher::equal("__name__", "m")]));
    let pods = s.head.register(Arc::from([matcher("pod", MatchOp::Regex, "1|2")]));
    let never = s.head.register(Arc::from([Matcher::equal("__name__", "n")]));
    assert_eq!((before, pods, never), (SelectorId(0), SelectorId(1), SelectorId(2)));
    let mut events = s.head.subscribe();
    let mut next = || events.try_recv().unwrap();

    let outcome = s.put(a, &[("__name__=m,pod=1", NOW + 1, 1.0)]);
    let event = next();
    assert_eq!(
        (event.generation, event.owner, event.slot),
        (outcome.generation, a, NOW + 1)
    );
    assert_eq!(touched(&event), [0, 1]);
    s.put(
        b,
        &[("__name__=other,pod=2", NOW, 1.0), ("__name__=other,pod=3", NOW, 1.0)],
    );
    assert_eq!(touched(&next()), [1]);
    s.put(b, &[("__name__=other,pod=3", NOW + 1, 1.0)]);
    assert_eq!(touched(&next()), [0u32; 0]);
    // A refused sample has touched nothing.
    s.put(b, &[("__name__=m,pod=1", NOW, 7.0)]);
    assert_eq!(touched(&next()), [0u32; 0]);
    s.head.deregister(pods);
    s.put(a, &[("__name__=m,pod=1", NOW + 2, 1.0)]);
    assert_eq!(touched(&next()), [0]);
    assert_eq!(s.head.generation().0, 6);
}

#[test]
fn owners_feed_a_selector_until_they_are_gone() {
    let s = store(Settings::default());
    let owners: Vec<_> = (0..4).map(|_| s.head.new_owner()).collect();
    s.put(owners[0], &[("__name__=m,pod=0", NOW, 1.0)]);
    s.put(owners[3], &[("__name__=m,pod=3", NOW, 1.0)]);
    s.put_as(owners[3], Attempt::Gone, &[("__name__=m,pod=3", NOW + 1, STALE_NAN)]);
    let id = s.head.register(Arc::from([Matcher::equal("__name__", "m")]));
    assert_eq!(
        s.head.feeders(id),
        [owners[0]],
        "an owner that was gone before does not count"
    );
    s.put(
        owners[1],
        &[("__name__=m,pod=1", NOW, 1.0), ("__name__=n,pod=1", NOW, 1.0)],
    );
    s.put(owners[2], &[("__name__=n,pod=2", NOW, 1.0)]);
    assert_eq!(s.head.feeders(id), owners[..2]);
    s.put_as(owners[0], Attempt::Failed, &[("__name__=m,pod=0", NOW + 1, STALE_NAN)]);
    assert_eq!(s.head.feeders(id), owners[..2], "a target that is down still feeds");
    s.put(owners[2], &[("__name__=m,pod=1", NOW + 5, 1.0)]);
    assert_eq!(
        s.head.feeders(id),
        owners[..3],
        "who writes to a foreign series feeds too"
    );
    s.clock.advance(3 * HOUR);
    s.head.maintain();
    assert_eq!(
        s.head.feeders(id),
        owners[..3],
        "earlier series count while the owner is there"
    );
    s.put_as(
        owners[0],
        Attempt::Gone,
        &[("__name__=m,pod=0", NOW + 3 * HOUR, STALE_NAN)],
    );
    assert_eq!(s.head.feeders(id), owners[1..3]);
    s.head.deregister(id);
    assert_eq!(s.head.feeders(id), []);
}

#[test]
fn an_attempt_whose_report_is_refused_for_its_time_has_failed() {
    let s = store(Settings::default());
    let owner = s.head.new_owner();
    let mut events = s.head.subscribe();
    // Times of a sample and of the two of a report.
    for (times, attempt) in [
        ([10, 10, 10], Attempt::Good),
        ([9, 11, 11], Attempt::Good),
        ([12, 5, 12], Attempt::Failed),
        ([13, 13, 5], Attempt::Failed),
        ([14, 14, 14], Attempt::Good),
    ] {
        let names = ["__name__=m", "__name__=up", "__name__=scrape_series_added"];
        let samples: Vec<_> = names.iter().zip(times).map(|(name, t)| (*name, NOW + t, 1.0)).collect();
        let extras = Extras {
            report: 2,
            ..Extras::default()
        };
        s.put_with(owner, Attempt::Good, &samples, extras);
        assert_eq!(events.try_recv().unwrap().attempt, attempt, "{times:?}");
    }
}

#[test]
fn whoever_has_a_series_refused_feeds_its_selectors_and_has_failed() {
    let s = store(Settings {
        max_series: 2,
        ..Settings::default()
    });
    let (old, new) = (s.head.new_owner(), s.head.new_owner());
    s.put(old, &[("__name__=m,pod=1", NOW, 1.0), ("__name__=n,pod=1", NOW, 1.0)]);
    let register = |name: &str| s.head.register(Arc::from([Matcher::equal("__name__", name)]));
    let (m, n, other) = (register("m"), register("n"), register("other"));
    let mut events = s.head.subscribe();
    let mut next = || events.try_recv().unwrap();

    // A series that is there and one that has no room; then only such as have none.
    let outcome = s.put(
        new,
        &[("__name__=m,pod=1", NOW + 1, 1.0), ("__name__=n,pod=2", NOW + 1, 1.0)],
    );
    assert_eq!(outcome.refused, [(1, Refusal::SeriesLimit)]);
    let event = next();
    assert_eq!((event.attempt, touched(&event)), (Attempt::Failed, vec![m.0, n.0]));
    assert_eq!(s.head.feeders(n), [old, new]);
    s.put(new, &[("__name__=other,pod=2", NOW + 2, 1.0)]);
    let event = next();
    assert_eq!((event.attempt, touched(&event)), (Attempt::Failed, vec![other.0]));
    assert_eq!(s.head.feeders(other), [new]);
    // What is refused for another reason has its own commit alone to blame.
    s.put(old, &[("__name__=m,pod=1", NOW, 7.0)]);
    assert_eq!(next().attempt, Attempt::Good);
    s.put_as(new, Attempt::Gone, &[("__name__=m,pod=1", NOW + 3, STALE_NAN)]);
    assert_eq!((next().attempt, s.head.feeders(other)), (Attempt::Gone, vec![]));
}

#[test]
fn the_same_series_refused_again_are_missing_from_the_same_selectors_and_from_new_ones() {
    let s = store(Settings {
        max_series: 1,
        ..Settings::default()
    });
    s.put(s.head.new_owner(), &[("__name__=there", NOW, 1.0)]);
    let owner = s.head.new_owner();
    let register = |name: &str| s.head.register(Arc::from([Matcher::equal("__name__", name)]));
    let (m, n) = (register("m"), register("n"));
    let mut events = s.head.subscribe();
    let mut put = |t: i64, names: &[&str]| {
        let samples: Vec<_> = names.iter().map(|name| (*name, NOW + t, 1.0)).collect();
        s.put(owner, &samples);
        touched(&events.try_recv().unwrap())
    };
    let (first, second) = (&["__name__=m", "__name__=o"], &["__name__=n", "__name__=o"]);
    assert_eq!((put(1, first), put(2, first)), (vec![m.0], vec![m.0]));
    assert_eq!((put(3, second), put(4, second)), (vec![n.0], vec![n.0]));
    // Registered while the answer is known.
    let o = register("o");
    assert_eq!((put(5, second), s.head.feeders(o)), (vec![n.0, o.0], vec![owner]));
    s.head.deregister(n);
    assert_eq!((put(6, second), put(7, first)), (vec![o.0], vec![m.0, o.0]));
    // Gone, and there again.
    s.put_as(owner, Attempt::Gone, &[("__name__=there", NOW + 8, STALE_NAN)]);
    assert_eq!(s.head.feeders(o), []);
    s.put(owner, &[("__name__=m", NOW + 9, 1.0), ("__name__=o", NOW + 9, 1.0)]);
    assert_eq!((s.head.feeders(m), s.head.feeders(o)), (vec![owner], vec![owner]));
}

#[test]
fn what_a_batch_calls_vital_has_a_little_room_beyond_the_cap() {
    let s = store(Settings {
        max_series: 2,
        ..Settings::default()
    });
    let owner = s.head.new_owner();
    let commit = |names: std::ops::Range<u32>, vital| {
        let created: Vec<Labels> = names.map(|n| labels(&format!("a={n}"))).collect();
        let entry = |n| Entry {
            series: Slot::New(n),
            t: NOW,
            v: 1.0,
        };
        let batch = Batch {
            owner,
            slot: NOW,
            attempt: Attempt::Good,
            entries: (0..created.len() as u32).map(entry).collect(),
            created,
            extras: Extras {
                vital,
                ..Extras::default()
            },
        };
        let outcome = s.head.commit(&batch).unwrap();
        outcome.refs.iter().map(|r| u8::from(r.is_some())).collect::<Vec<_>>()
    };
    assert_eq!(commit(0..5, 2), [1, 1, 0, 1, 1]);
    let rest = commit(10..40, 99);
    assert_eq!(
        rest.iter().filter(|made| **made == 1).count(),
        14,
        "a sixteenth, and 16"
    );
    assert_eq!(commit(50..51, 0), [0]);
}

#[test]
fn selectors_that_come_and_go_leave_no_sets_behind() {
    let s = store(Settings::default());
    let owner = s.head.new_owner();
    let text: Vec<_> = (0..50).map(|i| format!("__name__=m,pod={i}")).collect();
    let samples: Vec<_> = text.iter().map(|t| (t.as_str(), NOW, 1.0)).collect();
    s.put(owner, &samples);
    let kept = s.head.register(Arc::from([Matcher::equal("pod", "7")]));
    let mut bytes = Vec::new();
    for round in 0..6_000 {
        let pattern = format!("{}.*", round % 10);
        let id = s.head.register(Arc::from([matcher("pod", MatchOp::Regex, &pattern)]));
        s.head.deregister(id);
        if round % 1_000 == 999 {
            s.head.maintain();
            bytes.push(s.head.stats().bytes);
        }
    }
    assert!(bytes[5] < bytes[1] * 2, "{bytes:?}");
    let mut events = s.head.subscribe();
    s.put(owner, &[("__name__=m,pod=7", NOW + 1, 1.0)]);
    assert_eq!(events.try_recv().unwrap().touched[..], [kept]);
    assert_eq!(s.head.stats().selectors, 1);
}
