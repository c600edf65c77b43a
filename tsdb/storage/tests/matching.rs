//! Finding series by matchers, against a model that looks at each series.
#![expect(clippy::unwrap_used, reason = "a helper of a test may stop it")]

use leadline_model::clock::ManualClock;
use leadline_model::labels::Labels;
use leadline_model::matcher::{MatchOp, Matcher, all_match};
use leadline_model::port::{Appender, Attempt, Batch, Entry, Extras, Queryable, Slot};
use leadline_storage::{Head, Settings};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::Arc;

const NAMES: [&str; 4] = ["__name__", "a", "b", "c"];
const VALUES: [&str; 6] = ["", "x", "y", "z", "xy", "1"];
const PATTERNS: [&str; 9] = ["", ".*", ".+", "x|y", "x.*", "[xz]", "x?", "(x|y|nope)?", "nope"];
/// Texts that are not UTF-8, which no label has.
const BROKEN: [&[u8]; 3] = [b"\xff", b"x|\xffy|1", b"\xff|"];

fn label_set() -> impl Strategy<Value = Labels> {
    prop::collection::vec(0..VALUES.len(), NAMES.len())
        .prop_map(|v| Labels::from_pairs(NAMES.iter().zip(v.into_iter().map(|i| VALUES[i]))))
}

fn matcher() -> impl Strategy<Value = Matcher> {
    let name = prop::sample::select(vec!["__name__", "a", "b", "c", "absent"]);
    let op = prop::sample::select(vec![
        MatchOp::Equal,
        MatchOp::NotEqual,
        MatchOp::Regex,
        MatchOp::NotRegex,
    ]);
    (name, op, 0..12usize).prop_map(|(name, op, i)| match op {
        _ if i >= PATTERNS.len() => Matcher::of_bytes(name.into(), op, BROKEN[i - PATTERNS.len()].to_vec()).unwrap(),
        MatchOp::Equal | MatchOp::NotEqual => Matcher::new(name, op, VALUES[i % VALUES.len()]).unwrap(),
        MatchOp::Regex | MatchOp::NotRegex => Matcher::new(name, op, PATTERNS[i]).unwrap(),
    })
}

fn commit(head: &Head, sets: &[Labels], t: i64) {
    for (i, chunk) in sets.chunks(7).enumerate() {
        let owner = leadline_model::target::OwnerId(i as u32 % 5);
        let entries = (0..chunk.len())
            .map(|n| Entry {
                series: Slot::New(n as u32),
                t,
                v: 1.0,
            })
            .collect();
        let batch = Batch {
            owner,
            slot: t,
            attempt: Attempt::Good,
            created: chunk.to_vec(),
            entries,
            extras: Extras::default(),
        };
        head.commit(&batch).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn selection_equals_looking_at_each_series(
        early in prop::collection::vec(label_set(), 0..120),
        late in prop::collection::vec(label_set(), 0..60),
        selectors in prop::collection::vec(prop::collection::vec(matcher(), 0..4), 1..8),
    ) {
        let clock = Arc::new(ManualClock::at(0));
        let head = Head::new(Settings { retention_ms: 1_000, ..Settings::default() }, clock.clone()).unwrap();
        let mut expected: BTreeSet<Labels> = early.iter().chain(&late).cloned().collect();
        commit(&head, &early, 0);
        commit(&head, &late, 1_000);
        // Once with all series and once after the early ones were dropped, which leaves holes or renumbers.
        for now in [1_000, 2_000] {
            clock.set(now);
            head.maintain();
            if now == 2_000 {
                expected = late.iter().cloned().collect();
            }
            for matchers in &selectors {
                let set = head.select(matchers, i64::MIN, i64::MAX, true).unwrap();
                let got: Vec<Labels> = (0..set.len()).map(|i| set.labels(i)).collect();
                let want: Vec<Labels> = expected.iter().filter(|l| all_match(matchers, l)).cloned().collect();
                let bound = head.at_most(matchers, i64::MIN);
                prop_assert!(bound.is_some_and(|most| most >= got.len()), "{:?}: {:?}", matchers, bound);
                prop_assert_eq!(got, want, "{:?} at {}", matchers, now);
            }
            prop_assert_eq!(head.stats().series, expected.len() as u64);
            prop_assert_eq!(head.stats().postings, expected.iter().map(|l| l.len() as u64).sum::<u64>());
        }
    }
}
