//! What matchers select.

use super::support::{ALL, DIR, Data, SEGMENT, disk, naive, open, points, rewrite, select, write};
use leadline_model::labels::Labels;
use leadline_model::matcher::{MatchOp, Matcher};
use leadline_storage::block::Block;
use leadline_storage::cache::Cache;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// Thousands of series, so that lists of postings differ in length and values fill several pages.
pub(crate) fn large() -> &'static (Data, Arc<Block>) {
    static LARGE: OnceLock<(Data, Arc<Block>)> = OnceLock::new();
    LARGE.get_or_init(|| {
        let mut data = Data::new();
        for i in 0..1_200_i64 {
            let labels = Labels::from_pairs([
                ("__name__", format!("metric_{}", i % 7)),
                ("pod", format!("pod-{i:04}")),
                ("zone", ["a", "b", "c", ""][(i % 4) as usize].to_owned()),
                ("rare", if i % 1000 == 0 { format!("r{i}") } else { String::new() }),
                ("shard", format!("{:02}", i % 70)),
            ]);
            data.insert(labels, points(3, i * 10, 10));
        }
        let disk = disk();
        let dir = write(&disk, Path::new(DIR), &data, 2, SEGMENT);
        let block = open(&disk, &dir, 1 << 20).unwrap();
        (data, block)
    })
}

/// Series without a sample in the window may be selected where a chunk reaches over it.
fn with_samples(mut data: Data) -> Data {
    data.retain(|_, points| !points.is_empty());
    data
}

fn matchers() -> impl Strategy<Value = Vec<Matcher>> {
    let names = prop::sample::select(vec!["__name__", "pod", "zone", "rare", "shard", "absent"]);
    let values = prop::sample::select(vec![
        "", "a", "b", "metric_1", "pod-0042", "pod-1000", "r0", "r1000", "05", "nothing",
    ]);
    let patterns = prop::sample::select(vec![
        "",
        ".*",
        ".+",
        "a|b",
        "a|",
        "metric_(1|2)",
        "pod-00.*",
        "pod-.*7",
        ".*1.*",
        "r.+",
        "0[0-5]",
        "x?",
        "pod-0042|pod-9999",
    ]);
    let equal = (names.clone(), values, any::<bool>()).prop_map(|(name, value, not)| {
        if not {
            Matcher::not_equal(name, value)
        } else {
            Matcher::equal(name, value)
        }
    });
    let regex = (names, patterns, any::<bool>()).prop_map(|(name, pattern, not)| {
        Matcher::new(name, if not { MatchOp::NotRegex } else { MatchOp::Regex }, pattern).unwrap()
    });
    let names = prop::sample::select(vec![&b"pod"[..], b"zone", b"\xff"]);
    let values = prop::sample::select(vec![&b"\xff"[..], b"a|\xff|pod-0042", b"\xff|"]);
    let ops = prop::sample::select(vec![
        MatchOp::Equal,
        MatchOp::NotEqual,
        MatchOp::Regex,
        MatchOp::NotRegex,
    ]);
    let broken = (names, ops, values)
        .prop_map(|(name, op, value)| Matcher::of_bytes(name.to_vec(), op, value.to_vec()).unwrap());
    prop::collection::vec(prop_oneof![3 => equal, 3 => regex, 1 => broken], 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn matchers_select_what_asking_every_series_selects(matchers in matchers(), mint in -10i64..12_100, len in 0i64..12_000) {
        let (data, block) = large();
        let maxt = mint + len;
        let found = select(block, &matchers, mint, maxt).unwrap();
        let expected = naive(data, &matchers, mint, maxt);
        prop_assert_eq!(with_samples(found.clone()), expected.clone(), "{:?}", matchers);

        let set = block.select(&matchers, mint, maxt, true).unwrap();
        let labels: Vec<Labels> = (0..set.len()).map(|i| set.labels(i)).collect();
        prop_assert!(labels.is_sorted());
        for i in 0..set.len() {
            let last = found[&labels[i]].last().copied();
            let newest = set.newest(i, mint, maxt).unwrap();
            prop_assert_eq!(newest.map(|s| (s.t, s.v.to_bits())), last);
        }
        if !matchers.is_empty() {
            let names: BTreeSet<&str> = found.keys().flatten().map(|(n, _)| n).collect();
            prop_assert_eq!(block.label_names(&matchers, mint, maxt).unwrap(), Vec::from_iter(names));
            let pods: BTreeSet<&str> = found.keys().filter_map(|l| l.get("pod")).collect();
            prop_assert_eq!(block.label_values("pod", &matchers, mint, maxt).unwrap(), Vec::from_iter(pods));
        }
    }
}

/// One for each way in which a matcher is applied.
#[test]
fn every_kind_of_matcher_selects_what_asking_every_series_selects() {
    let (data, block) = large();
    let regex = |name: &str, op, pattern: &str| Matcher::new(name, op, pattern).unwrap();
    let (is, not) = (MatchOp::Regex, MatchOp::NotRegex);
    for matchers in [
        // One series is found, and asked the rest.
        vec![
            Matcher::equal("pod", "pod-0042"),
            Matcher::equal("__name__", "metric_0"),
        ],
        vec![
            Matcher::equal("pod", "pod-0042"),
            Matcher::equal("__name__", "metric_1"),
        ],
        // Few are found, and asked; each value once.
        vec![Matcher::equal("shard", "05"), regex("pod", is, "pod-.*7.*")],
        vec![Matcher::equal("shard", "05"), regex("pod", not, "pod-.*7.*")],
        vec![Matcher::equal("shard", "05"), regex("zone", is, "a?")],
        vec![Matcher::equal("shard", "05"), regex("zone", is, "[ab]")],
        // Many are found: values are judged, and lists joined or looked up.
        vec![regex("pod", is, "pod-0.*7")],
        vec![regex("zone", is, "a|c|nothing")],
        vec![regex("zone", is, ".+"), regex("shard", is, "0.|1[0-5]")],
        vec![regex("zone", is, "a?"), regex("shard", not, "0.|1[0-5]")],
        vec![regex("zone", not, "a|b"), regex("zone", not, "c")],
        vec![
            Matcher::not_equal("zone", ""),
            Matcher::not_equal("zone", "a"),
            Matcher::equal("rare", ""),
        ],
        vec![Matcher::not_equal("zone", "nothing"), regex("rare", is, "")],
        vec![
            Matcher::equal("zone", ""),
            regex("absent", is, ".*"),
            regex("absent", is, "x?"),
        ],
        vec![Matcher::equal("zone", "a"), Matcher::equal("absent", "x")],
        vec![Matcher::equal("zone", "nothing")],
    ] {
        let found = select(block, &matchers, ALL.0, ALL.1).unwrap();
        assert_eq!(found, naive(data, &matchers, ALL.0, ALL.1), "{matchers:?}");
    }
}

#[test]
fn names_and_values_without_matchers_are_those_of_the_index() {
    let (data, block) = large();
    assert_eq!(
        block.label_names(&[], ALL.0, ALL.1).unwrap(),
        ["__name__", "pod", "rare", "shard", "zone"]
    );
    for name in ["pod", "zone", "rare", "shard", "absent"] {
        let expected: BTreeSet<&str> = data.keys().filter_map(|l| l.get(name)).collect();
        assert_eq!(
            block.label_values(name, &[], ALL.0, ALL.1).unwrap(),
            Vec::from_iter(expected),
            "{name}"
        );
    }
    assert_eq!(block.label_pairs(), 7 + 1_200 + 2 + 70 + 3);
}

#[test]
fn the_cache_stays_within_its_bytes_and_is_hit() {
    let (_, block) = large();
    let disk = disk();
    let dir = rewrite(block, &disk, Path::new(DIR)).unwrap();
    let cache = Cache::new(64 << 10);
    let block = Block::open(Arc::clone(&disk), &dir, Arc::clone(&cache)).unwrap();
    for _ in 0..2 {
        assert_eq!(
            select(&block, &[Matcher::equal("zone", "a")], ALL.0, ALL.1)
                .unwrap()
                .len(),
            300
        );
    }
    let stats = cache.stats();
    assert!(stats.bytes <= stats.capacity, "{stats:?}");
    assert!(stats.entries > 0 && stats.misses > 300, "{stats:?}");
    let few = [Matcher::equal("pod", "pod-0042")];
    select(&block, &few, ALL.0, ALL.1).unwrap();
    let before = cache.stats();
    select(&block, &few, ALL.0, ALL.1).unwrap();
    let after = cache.stats();
    assert!(after.hits > before.hits);
    assert_eq!(after.misses, before.misses);
}

#[test]
fn blocks_that_share_a_cache_do_not_see_what_it_keeps_of_each_other() {
    let (disk, cache) = (disk(), Cache::new(1 << 20));
    let blocks: Vec<(Data, Arc<Block>)> = (0..2)
        .map(|i| {
            let labels = Labels::from_pairs([("__name__", ["m", "n"][i])]);
            let data = Data::from([(labels, points(3, i as i64 * 5, 10))]);
            let dir = write(&disk, Path::new(&format!("{DIR}{i}")), &data, 2, SEGMENT);
            (data, Block::open(Arc::clone(&disk), &dir, Arc::clone(&cache)).unwrap())
        })
        .collect();
    for _ in 0..2 {
        for (data, block) in &blocks {
            assert_eq!(&select(block, &[], ALL.0, ALL.1).unwrap(), data);
        }
    }
    assert!(cache.stats().hits > 0);
}

#[test]
fn what_an_open_block_holds_in_memory_grows_with_its_values_and_is_a_small_part_of_them() {
    let resident = |values: usize, len: usize| {
        let (disk, mut data) = (disk(), Data::new());
        for i in 0..values {
            let labels = Labels::from_pairs([("__name__", "m".to_owned()), ("pod", format!("{i:0len$}"))]);
            data.insert(labels, vec![(0, 0)]);
        }
        let dir = write(&disk, Path::new(DIR), &data, 4, SEGMENT);
        open(&disk, &dir, 0).unwrap().resident_bytes()
    };
    let (few, many, long) = (resident(32, 100), resident(3_200, 100), resident(3_200, 1_100));
    // Every 32nd value is held, once more for the 99 pages.
    assert!(long - many >= 99 * 1_000 && long - many <= 101 * 1_000, "{many} {long}");
    assert!(many > few + 99 * 100 && many < few + 3_200 * 100 / 8, "{few} {many}");
}
