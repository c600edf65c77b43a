//! A head that keeps selections answers as one that makes each anew, whatever comes and goes in between.
#![expect(clippy::unwrap_used, reason = "a helper of a test may stop it")]

use leadline_model::clock::ManualClock;
use leadline_model::labels::Labels;
use leadline_model::matcher::{MatchOp, Matcher};
use leadline_model::port::{Appender, Attempt, Batch, Entry, Extras, GroupOrder, Grouping, Queryable, SeriesSet, Slot};
use leadline_model::sample::{Samples, Timestamp};
use leadline_model::target::OwnerId;
use leadline_storage::{Head, Settings};
use proptest::prelude::*;
use std::sync::Arc;

const MINUTE: i64 = 60_000;
/// Series of a pod.
const PATHS: u32 = 12;

#[derive(Debug, Clone)]
enum Step {
    /// So many series of a pod get a sample.
    Put { pod: u8, paths: u32 },
    /// Time goes on, and what is too old goes.
    Wait { minutes: i64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0u8..6, 1..=PATHS).prop_map(|(pod, paths)| Step::Put { pod, paths }),
        1 => (1i64..40).prop_map(|minutes| Step::Wait { minutes }),
    ]
}

struct Store {
    head: Arc<Head>,
    clock: Arc<ManualClock>,
}

impl Store {
    fn new(selection_cache: u64) -> Self {
        let clock = Arc::new(ManualClock::at(1_700_000_000_000));
        let settings = Settings {
            selection_cache,
            retention_ms: 60 * MINUTE,
            ..Settings::default()
        };
        Self {
            head: Head::new(settings, clock.clone()).unwrap(),
            clock,
        }
    }

    fn now(&self) -> Timestamp {
        use leadline_model::Clock;
        self.clock.now()
    }

    fn take(&self, step: &Step) {
        match *step {
            Step::Wait { minutes } => {
                self.clock.advance(minutes * MINUTE);
                self.head.maintain();
            }
            Step::Put { pod, paths } => {
                // No two samples at one time.
                self.clock.advance(1);
                let now = self.now();
                // In the order of numbers, which is not that of texts.
                let set = |path: u32| {
                    let (path, pod) = (format!("/{path}"), format!("p{pod}"));
                    Labels::from_pairs([("__name__", "m"), ("path", &*path), ("pod", &*pod)])
                };
                let entry = |i: u32| Entry {
                    series: Slot::New(i),
                    t: now,
                    v: f64::from(i),
                };
                let batch = Batch {
                    owner: OwnerId(u32::from(pod)),
                    slot: now,
                    attempt: Attempt::Good,
                    created: (0..paths).map(set).collect(),
                    entries: (0..paths).map(entry).collect(),
                    extras: Extras::default(),
                };
                self.head.commit(&batch).unwrap();
            }
        }
    }

    /// Everything that is asked, in an order that does not depend on that in which series are given out where it may not.
    fn asked(&self) -> Vec<String> {
        let now = self.now();
        let name = || Matcher::equal("__name__", "m");
        let selectors = [
            vec![name()],
            vec![name(), Matcher::new("pod", MatchOp::Regex, "p[0-3]").unwrap()],
            vec![name(), Matcher::new("path", MatchOp::NotRegex, "/1.*").unwrap()],
        ];
        let mut told = Vec::new();
        for matchers in &selectors {
            for mint in [now - 60 * MINUTE, now - 15 * MINUTE] {
                for sorted in [true, false] {
                    let set = self.head.select(matchers, mint, now, sorted).unwrap();
                    let mut rows = rows(&*set, (mint, now), |i| set.labels(i));
                    if sorted {
                        assert!((1..set.len()).all(|i| set.labels(i - 1) < set.labels(i)));
                    } else {
                        rows.sort();
                    }
                    told.extend(rows);
                }
                for order in [GroupOrder::Any, GroupOrder::Groups, GroupOrder::Series] {
                    for (without, alike) in [(false, &["__name__"][..]), (true, &[]), (false, &["path"])] {
                        told.extend(self.groups(matchers, (mint, now), (order, without, alike)));
                    }
                }
            }
        }
        told
    }

    fn groups(
        &self,
        matchers: &[Matcher],
        (mint, maxt): (Timestamp, Timestamp),
        (order, without, alike): (GroupOrder, bool, &[&str]),
    ) -> Vec<String> {
        let names = ["pod".to_owned()];
        let grouping = Grouping {
            names: &names,
            without,
            order,
            alike,
            newest: false,
        };
        let Some(found) = self.head.select_groups(matchers, mint, maxt, grouping).unwrap() else {
            return vec!["unlike".to_owned()];
        };
        assert_eq!(found.group_of.len(), found.set.len());
        let group = |i: usize| found.labels[found.group_of[i] as usize].clone();
        let rows = rows(&*found.set, (mint, maxt), |i| {
            assert_eq!(found.set.labels(i), group(i));
            group(i)
        });
        let mut order_of: Vec<usize> = (0..rows.len()).collect();
        match order {
            GroupOrder::Any => order_of.sort_by_key(|&i| rows[i].clone()),
            GroupOrder::Groups => order_of.sort_by_key(|&i| found.places[i]),
            GroupOrder::Series => {}
        }
        if order != GroupOrder::Any {
            let set = self.head.select(matchers, mint, maxt, true).unwrap();
            let in_order = self::rows(&*set, (mint, maxt), |_| Labels::default());
            let found = order_of.iter().map(|&i| rows[i].split_once('}').unwrap().1);
            assert!(found.eq(in_order.iter().map(|row| row.split_once('}').unwrap().1)));
        }
        order_of.into_iter().map(|i| rows[i].clone()).collect()
    }
}

/// Each series as a text: what it is called, who wrote it and its samples.
fn rows(set: &dyn SeriesSet, (mint, maxt): (Timestamp, Timestamp), labels: impl Fn(usize) -> Labels) -> Vec<String> {
    let mut samples = Samples::default();
    let row = |i: usize| {
        set.read(i, mint, maxt, &mut samples).unwrap();
        format!("{} {:?} {:?} {:?}", labels(i), set.owner(i), samples.t, samples.v)
    };
    (0..set.len()).map(row).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn kept_selections_answer_as_new_ones_do(steps in prop::collection::vec(step(), 1..12)) {
        let (keeping, plain) = (Store::new(1 << 20), Store::new(0));
        for step in &steps {
            keeping.take(step);
            plain.take(step);
            let expected = plain.asked();
            prop_assert_eq!(&keeping.asked(), &expected);
            // From what was kept, where it was worth it.
            prop_assert_eq!(&keeping.asked(), &expected);
        }
        prop_assert_eq!(plain.head.stats().selects_kept, 0);
        let many = keeping.head.stats().series >= 16;
        prop_assert!(!many || keeping.head.stats().selects_kept > 0);
    }
}
