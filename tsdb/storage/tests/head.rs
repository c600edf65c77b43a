//! What the head promises through its ports.

use leadline_model::clock::ManualClock;
use leadline_model::labels::Labels;
use leadline_model::matcher::{MatchOp, Matcher};
use leadline_model::port::{
    AppendError, Appender, Attempt, Batch, Commits, Entry, Outcome, Queryable, Refusal, SelectorId, Slot,
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
            })
            .unwrap()
    }

    fn get(&self, matchers: &[Matcher], mint: Timestamp, maxt: Timestamp) -> Vec<(String, Vec<(Timestamp, u64)>)> {
        let set = self.head.select(matchers, mint, maxt, true).unwrap();
        let mut samples = Samples::default();
        (0..set.len())
            .map(|i| {
                set.read(i, mint, maxt, &mut samples).unwrap();
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
            ("unknown_series", 3)
        ]
    );
    s.put(owner, &[("a=1", NOW + 600_000, 2.0)]);
    assert_eq!(s.get(&[Matcher::equal("a", "1")], NOW, i64::MAX)[0].1.len(), 2);
}
