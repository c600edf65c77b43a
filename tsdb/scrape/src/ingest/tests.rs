//! One target's scrapes into a real head: what is stored, what is marked stale, what is refused.

use super::*;
use crate::config::Limits;
use leadline_model::clock::ManualClock;
use leadline_model::entropy::SeededEntropy;
use leadline_model::matcher::Matcher;
use leadline_model::port::Queryable;
use leadline_model::sample::Samples;
use leadline_storage::db::{Db, Parts};
use leadline_storage::disk::memory::MemoryDisk;
use leadline_storage::{Head, Settings};

const T0: Timestamp = 1_700_000_000_000;

struct Rig {
    head: Arc<Head>,
    clock: Arc<ManualClock>,
    stats: Arc<Stats>,
    ingest: Ingest,
    scratch: Scratch,
}

fn rules(job: Job, labels: &[(&str, &str)]) -> Rules {
    Rules {
        job: Arc::new(job),
        labels: Labels::from_pairs(labels.iter().copied()),
    }
}

impl Rig {
    fn new(change: impl FnOnce(&mut Job)) -> Self {
        let mut job = Job::new("j");
        change(&mut job);
        Self::with(rules(job, &[("job", "j")]), Settings::default())
    }

    fn with(rules: Rules, settings: Settings) -> Self {
        let clock = Arc::new(ManualClock::at(T0));
        let head = Head::new(settings, clock.clone()).unwrap();
        let stats = Arc::new(Stats::default());
        let ingest = Ingest::new(head.new_owner(), head.clone(), stats.clone(), 3, rules);
        Self {
            head,
            clock,
            stats,
            ingest,
            scratch: Scratch::default(),
        }
    }

    /// A scrape `s` seconds after the beginning.
    fn scrape(&mut self, s: i64, body: &str) -> Result<Counts, ScrapeError> {
        self.clock.set(T0 + s * 1000);
        self.ingest.good(body.as_bytes(), T0 + s * 1000, 0.5, &mut self.scratch)
    }

    fn timeout(&mut self, s: i64) {
        self.clock.set(T0 + s * 1000);
        self.ingest
            .failed(&ScrapeError::Timeout(1), T0 + s * 1000, 0.5, &mut self.scratch)
            .unwrap();
    }

    /// Every series of this name: `labels: second=value ...`.
    fn of(&self, name: &str) -> Vec<String> {
        let set = self
            .head
            .select(&[Matcher::equal("__name__", name)], 0, i64::MAX, true)
            .unwrap();
        let mut samples = Samples::default();
        (0..set.len())
            .map(|i| {
                set.read(i, 0, i64::MAX, &mut samples).unwrap();
                let shown = |(t, v): (&i64, &f64)| {
                    let v = if is_stale(*v) {
                        "stale".to_owned()
                    } else {
                        v.to_string()
                    };
                    format!(" {}={v}", (t - T0) as f64 / 1000.0)
                };
                let own = set.labels(i).without(|n| n == "job" || n == "__name__");
                format!(
                    "{own}{}",
                    samples.t.iter().zip(&samples.v).map(shown).collect::<String>()
                )
            })
            .collect()
    }

    fn one(&self, name: &str) -> String {
        let all = self.of(name);
        assert_eq!(all.len(), 1, "{name}: {all:?}");
        all[0].trim_start_matches("{} ").to_owned()
    }
}

#[test]
fn a_good_scrape_stores_samples_and_its_report() {
    let mut rig = Rig::new(|_| {});
    let counts = rig.scrape(0, "a 1\nb{x=\"y\"} 2\n").unwrap();
    assert_eq!(
        counts,
        Counts {
            scraped: 2,
            kept: 2,
            added: 2
        }
    );
    rig.scrape(5, "a 3\nb{x=\"y\"} 4\nc 5\n").unwrap();
    assert_eq!(rig.one("a"), "0=1 5=3");
    assert_eq!(rig.of("b"), ["{x=\"y\"} 0=2 5=4"]);
    assert_eq!(rig.one("up"), "0=1 5=1");
    assert_eq!(rig.one("scrape_duration_seconds"), "0=0.5 5=0.5");
    assert_eq!(rig.one("scrape_samples_scraped"), "0=2 5=3");
    assert_eq!(rig.one("scrape_samples_post_metric_relabeling"), "0=2 5=3");
    assert_eq!(rig.one("scrape_series_added"), "0=2 5=1");
}

#[test]
fn a_series_that_is_not_exposed_any_more_goes_stale_once_and_may_come_back() {
    let mut rig = Rig::new(|_| {});
    for (s, body) in [(0, "a 1\nb 1\n"), (1, "b 2\n"), (2, "b 3\n"), (3, "b 4\na 9\n")] {
        rig.scrape(s, body).unwrap();
    }
    assert_eq!(rig.one("a"), "0=1 1=stale 3=9");
    assert_eq!(rig.one("b"), "0=1 1=2 2=3 3=4");
}

#[test]
fn a_failed_scrape_marks_everything_once_and_the_next_good_one_goes_on() {
    let mut rig = Rig::new(|_| {});
    rig.scrape(0, "a 1\nb 1\n").unwrap();
    rig.timeout(1);
    rig.timeout(2);
    rig.scrape(3, "a 2\n").unwrap();
    assert_eq!(rig.one("a"), "0=1 1=stale 3=2");
    assert_eq!(rig.one("b"), "0=1 1=stale");
    assert_eq!(rig.one("up"), "0=1 1=0 2=0 3=1");
    assert_eq!(rig.one("scrape_series_added"), "0=2 1=0 2=0 3=0");
}

#[test]
fn an_error_in_line_500_leaves_nothing_but_up_0_and_markers() {
    let mut rig = Rig::new(|_| {});
    rig.scrape(0, "old 1\n").unwrap();
    let mut body: String = (1..500).map(|i| format!("m{{i=\"{i}\"}} 1\n")).collect();
    body += "old 2\nm{i=\"500\" 1\n";
    let error = rig.scrape(1, &body).unwrap_err();
    assert!(error.to_string().starts_with("line 501, byte"), "{error}");
    assert_eq!(rig.of("m"), Vec::<String>::new());
    assert_eq!(rig.one("old"), "0=1 1=stale");
    assert_eq!(rig.one("up"), "0=1 1=0");
    assert_eq!(rig.one("scrape_samples_scraped"), "0=1 1=500");
    assert_eq!(rig.stats.failures().iter().find(|f| f.0 == "parse").unwrap().1, 1);
    rig.scrape(2, "old 3\n").unwrap();
    assert_eq!(rig.one("old"), "0=1 1=stale 2=3");
}

#[test]
fn exposed_timestamps_are_used_and_not_marked_stale_unless_tracked() {
    for (honor, track, expected) in [
        (true, false, "0.7=1"),
        (true, true, "0.7=1 2=stale"),
        (false, false, "1=1 2=stale"),
    ] {
        let mut rig = Rig::new(|job| {
            job.honor_timestamps = honor;
            job.track_timestamps_staleness = track;
        });
        rig.scrape(1, &format!("a 1 {}\nb 1\n", T0 + 700)).unwrap();
        rig.scrape(2, "b 2\n").unwrap();
        assert_eq!(rig.one("a"), expected, "honor {honor} track {track}");
    }
}

#[test]
fn a_series_exposed_twice_counts_once_unless_its_timestamps_differ() {
    let mut rig = Rig::new(|_| {});
    rig.scrape(0, "a 1\na 2\nb 1\n").unwrap();
    assert_eq!(rig.one("a"), "0=1");
    rig.scrape(1, &format!("a 1 {}\na 2 {}\nb 1\n", T0 + 400, T0 + 500))
        .unwrap();
    assert_eq!(rig.one("a"), "0=1 0.4=1 0.5=2");
    assert_eq!(rig.stats.duplicates.load(std::sync::atomic::Ordering::Relaxed), 1);
}

#[test]
fn samples_the_store_refuses_do_not_fail_the_scrape() {
    let mut rig = Rig::new(|_| {});
    rig.scrape(10, &format!("a 1 {}\n", T0 + 10_000)).unwrap();
    rig.scrape(11, &format!("a 2 {}\nb 1 {}\n", T0 + 9_000, T0 + 3_600_000))
        .unwrap();
    let refused: Vec<_> = rig.stats.refusals().into_iter().filter(|r| r.1 > 0).collect();
    assert_eq!(refused, [("out_of_order", 1), ("too_far_ahead", 1)]);
    assert_eq!(
        rig.ingest.take_refusals().as_deref(),
        Some("1 out_of_order, 1 too_far_ahead")
    );
    assert_eq!(rig.one("up"), "10=1 11=1");
}

#[test]
fn a_scrape_of_which_the_store_has_newer_ones_fails_and_says_why() {
    let mut rig = Rig::new(|_| {});
    rig.scrape(10_000, "a 1\n").unwrap();
    let error = rig.scrape(5, "a 2\n").unwrap_err();
    assert!(matches!(error, ScrapeError::Outdated(Refusal::OutOfOrder)), "{error:?}");
    assert_eq!(rig.stats.failures().last(), Some(&("store", 1)));
    assert_eq!((rig.one("a"), rig.one("up")), ("10000=1".into(), "10000=1".into()));
    rig.scrape(10_005, "a 3\n").unwrap();
    assert_eq!(rig.one("a"), "10000=1 10005=3");
}

#[test]
fn labels_of_target_and_series_meet_as_prometheus_has_it() {
    for (honor, exposed, target, expected) in [
        (false, "m 1", vec![("n", "t")], r#"m{n="t"}"#),
        (false, r#"m{n="e"} 1"#, vec![("n", "t")], r#"m{exported_n="e", n="t"}"#),
        (false, r#"m{n=""} 1"#, vec![("n", "t")], r#"m{n="t"}"#),
        (
            false,
            r#"m{n="e",exported_n="x"} 1"#,
            vec![("n", "t")],
            r#"m{exported_exported_n="e", exported_n="x", n="t"}"#,
        ),
        (
            false,
            r#"m{n="e",exported_n="x"} 1"#,
            vec![("n", "t"), ("exported_n", "u")],
            r#"m{exported_exported_exported_n="x", exported_exported_n="e", exported_n="u", n="t"}"#,
        ),
        (
            true,
            r#"m{n="e"} 1"#,
            vec![("n", "t"), ("o", "t")],
            r#"m{n="e", o="t"}"#,
        ),
        (true, r#"m{n=""} 1"#, vec![("n", "t")], r#"m{n="t"}"#),
        (
            false,
            r#"{"m.x","a b"="e"} 1"#,
            vec![("n", "t")],
            r#"{"m.x", "a b"="e", n="t"}"#,
        ),
    ] {
        let mut job = Job::new("j");
        job.honor_labels = honor;
        let mut rig = Rig::with(rules(job, &target), Settings::default());
        rig.scrape(0, exposed).unwrap();
        let set = rig.head.select(&[], 0, i64::MAX, true).unwrap();
        let found: Vec<String> = (0..set.len())
            .map(|i| set.labels(i).to_string())
            .filter(|l| l.contains('m') && !l.starts_with("scrape_"))
            .collect();
        assert_eq!(found, [expected], "{exposed} honor {honor}");
    }
}

#[test]
fn metric_relabelling_drops_and_renames_and_must_leave_a_name() {
    let relabel = |yaml: &str| serde_saphyr::from_str(yaml).unwrap();
    let mut rig = Rig::new(|job| {
        job.metric_relabel =
            relabel("[{source_labels: [__name__], regex: go_.*, action: drop}, {regex: secret, action: labeldrop}]");
    });
    for s in 0..2 {
        let counts = rig.scrape(s, "go_x 1\na{secret=\"s\"} 2\n").unwrap();
        assert_eq!((counts.scraped, counts.kept), (2, 1));
    }
    assert_eq!(rig.one("a"), "0=2 1=2");
    assert_eq!(rig.of("go_x"), Vec::<String>::new());
    let mut rig = Rig::new(|job| job.metric_relabel = relabel("[{regex: __name__, action: labeldrop}]"));
    let error = rig.scrape(0, "a 1\n").unwrap_err();
    assert!(error.to_string().contains("no metric name"), "{error}");
}

#[test]
fn whoever_exceeds_a_limit_fails_whole() {
    let limits = |set: fn(&mut Limits)| {
        let mut limits = Limits::default();
        set(&mut limits);
        limits
    };
    for (limits, expected) in [
        (limits(|l| l.sample_limit = 2), "sample_limit exceeded: 3 samples"),
        (limits(|l| l.label_limit = 2), "label_limit exceeded: 3 labels, limit 2"),
        (
            limits(|l| l.label_name_length_limit = 9),
            "label_name_length_limit exceeded: \"long_label\" has 10 bytes",
        ),
        (
            limits(|l| l.label_value_length_limit = 3),
            "label_value_length_limit exceeded",
        ),
    ] {
        let mut rig = Rig::new(|job| job.limits = limits);
        let error = rig
            .scrape(0, "a 1\nb{long_label=\"long\"} 1\nc 1\n")
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{error}");
        assert_eq!((rig.one("up"), rig.of("a").len()), ("0=0".to_owned(), 0));
    }
    let mut rig = Rig::new(|job| job.limits.sample_limit = 2);
    rig.scrape(0, "a 1\nb 1\n").unwrap();
    rig.scrape(1, "a 1\nb 1\nc 1\nd 1\n").unwrap_err();
    assert_eq!(rig.one("scrape_samples_post_metric_relabeling"), "0=2 1=4");
    assert_eq!(rig.one("a"), "0=1 1=stale");
}

#[test]
fn the_end_of_a_target_marks_its_series_and_its_report() {
    let mut rig = Rig::new(|_| {});
    rig.scrape(0, "a 1\n").unwrap();
    rig.ingest.gone(T0 + 1000, &mut rig.scratch).unwrap();
    for name in ["a", "up", "scrape_duration_seconds", "scrape_series_added"] {
        assert!(rig.one(name).ends_with("1=stale"), "{name}: {}", rig.one(name));
    }
}

#[test]
fn the_late_end_of_a_target_leaves_no_marker_among_the_samples_of_its_successor() {
    let clock = Arc::new(ManualClock::at(T0));
    let store = Db::open(Parts {
        disk: Arc::new(MemoryDisk::new()),
        path: "data".into(),
        settings: Settings {
            out_of_order_window_ms: 1_800_000,
            ..Settings::default()
        },
        clock: clock.clone(),
        entropy: Arc::new(SeededEntropy::new(1)),
    })
    .unwrap();
    store.replay().unwrap();
    let mut scratch = Scratch::default();
    let [(old, mut ending), (new, mut going)] = [(); 2].map(|()| {
        let owner = store.new_owner();
        let rules = rules(Job::new("j"), &[("job", "j")]);
        (owner, Ingest::new(owner, store.clone(), Arc::default(), 3, rules))
    });
    ending.good(b"a 1\n", T0, 0.5, &mut scratch).unwrap();
    for s in [5, 10, 15] {
        clock.set(T0 + s * 1000);
        going.good(b"a 2\n", T0 + s * 1000, 0.5, &mut scratch).unwrap();
    }
    ending.gone(T0 + 7_000, &mut scratch).unwrap();
    let late = format!("a 3 {}\n", T0 + 12_000);
    clock.set(T0 + 20_000);
    going.good(late.as_bytes(), T0 + 20_000, 0.5, &mut scratch).unwrap();
    for (name, times) in [("a", &[0, 5, 10, 12, 15][..]), ("up", &[0, 5, 10, 15, 20])] {
        let set = store
            .select(&[Matcher::equal("__name__", name)], 0, i64::MAX, true)
            .unwrap();
        let mut samples = Samples::default();
        set.read(0, 0, i64::MAX, &mut samples).unwrap();
        let seconds: Vec<i64> = samples.t.iter().map(|t| (t - T0) / 1000).collect();
        assert_eq!(seconds, times, "{name}");
        assert!(!samples.v.iter().any(|v| is_stale(*v)), "{name}");
        assert_eq!(set.owner(0), Some(new), "{name}, once of {old:?}");
    }
}

#[test]
fn new_rules_keep_what_stays_and_end_what_they_drop() {
    let mut rig = Rig::new(|_| {});
    rig.scrape(0, "a 1\nb 1\n").unwrap();
    let mut job = Job::new("j");
    job.metric_relabel = serde_saphyr::from_str("[{source_labels: [__name__], regex: b, action: drop}]").unwrap();
    rig.ingest.set_rules(rules(job, &[("job", "j")]));
    rig.scrape(1, "a 2\nb 2\n").unwrap();
    rig.scrape(2, "a 3\nb 3\n").unwrap();
    assert_eq!(
        (rig.one("a"), rig.one("b")),
        ("0=1 1=2 2=3".to_owned(), "0=1 1=stale".to_owned())
    );
    assert_eq!(rig.one("up"), "0=1 1=1 2=1");
}

#[test]
fn series_that_the_store_has_dropped_are_learned_anew() {
    let settings = Settings {
        retention_ms: 60_000,
        ..Settings::default()
    };
    let mut rig = Rig::with(rules(Job::new("j"), &[("job", "j")]), settings);
    rig.scrape(0, "a 1\nb 1\n").unwrap();
    rig.clock.set(T0 + 600_000);
    assert!(rig.head.maintain().series_removed > 0);
    rig.scrape(600, "a 2\nb 2\n").unwrap();
    rig.scrape(601, "a 3\nb 3\n").unwrap();
    assert_eq!(
        (rig.one("a"), rig.one("b")),
        ("600=2 601=3".to_owned(), "600=2 601=3".to_owned())
    );
    assert_eq!(rig.one("up"), "600=1 601=1");
    assert_eq!(rig.stats.cache_resets.load(std::sync::atomic::Ordering::Relaxed), 1);
    // The same when the first scrape after the gap fails.
    rig.clock.set(T0 + 1_200_000);
    rig.head.maintain();
    rig.timeout(1200);
    assert_eq!(rig.one("up"), "1200=0");
}

fn at_cap(max_series: u32) -> Rig {
    let settings = Settings {
        max_series,
        ..Settings::default()
    };
    Rig::with(rules(Job::new("j"), &[]), settings)
}

#[test]
fn a_scrape_beyond_the_stores_cap_says_so_and_what_has_room_is_stored_with_the_report() {
    let mut rig = at_cap(6);
    rig.scrape(0, "a 1\n").unwrap();
    let error = rig.scrape(1, "a 2\nb 2\nc 2\n").unwrap_err();
    assert_eq!(
        (error.reason(), error.to_string().as_str()),
        (
            "series_limit",
            "the store has no room for more series: 2 new ones were refused (--storage.tsdb.max-series, or no number is left)"
        )
    );
    rig.scrape(2, "a 3\nb 3\n").unwrap_err();
    rig.scrape(3, "a 4\n").unwrap();
    let of = |all: Vec<(&str, u64)>| all.into_iter().find(|r| r.0 == "series_limit").unwrap().1;
    assert_eq!((of(rig.stats.failures()), of(rig.stats.refusals())), (2, 3));
    assert_eq!(rig.one("a"), "0=1 1=2 2=3 3=4");
    assert_eq!(rig.of("b"), [""; 0]);
    assert_eq!(rig.one("up"), "0=1 1=1 2=1 3=1", "it answered");
}

#[test]
fn a_target_that_comes_when_the_store_is_full_has_its_report() {
    let mut rig = at_cap(1);
    let error = rig.scrape(0, "a 1\nb 1\nc 1\n").unwrap_err();
    assert_eq!(error.reason(), "series_limit");
    assert_eq!((rig.one("a"), rig.one("up")), ("0=1".to_owned(), "0=1".to_owned()));
    assert_eq!(rig.one("scrape_samples_scraped"), "0=3");
    rig.timeout(1);
    assert_eq!(rig.one("up"), "0=1 1=0");
}

#[test]
fn series_beyond_the_stores_cap_are_tried_again() {
    let settings = Settings {
        max_series: 6,
        retention_ms: 60_000,
        ..Settings::default()
    };
    let mut rig = Rig::with(rules(Job::new("j"), &[]), settings);
    rig.scrape(0, "a 1\n").unwrap();
    rig.scrape(50, "b 1\n").unwrap_err();
    rig.scrape(90, "b 1\n").unwrap_err();
    rig.clock.set(T0 + 115_000);
    assert_eq!(rig.head.maintain().series_removed, 1);
    rig.scrape(115, "b 2\n").unwrap();
    assert_eq!(rig.one("b"), "115=2");
}

#[test]
fn a_closed_store_is_an_error_and_not_a_panic() {
    let mut rig = Rig::new(|_| {});
    rig.scrape(0, "a 1\n").unwrap();
    rig.head.close();
    let error = rig.scrape(1, "a 2\n").unwrap_err();
    assert_eq!(error.reason(), "store");
}

/// What the store was told of series, by name, sorted.
fn told(rig: &Rig) -> Vec<String> {
    let line =
        |(name, m): &(String, leadline_model::metadata::Metadata)| format!("{name} {} {}", m.kind.as_str(), m.help);
    let all = rig.head.metadata();
    let own = all
        .iter()
        .filter(|(name, _)| name != "up" && !name.starts_with("scrape_"));
    own.map(line).collect()
}

#[test]
fn the_store_is_told_of_families_once_and_again_where_they_say_something_else() {
    let mut rig = Rig::new(|_| {});
    rig.ingest.tell_metadata(true);
    let page = "# TYPE a counter\n# HELP a First.\na_total 1\n# TYPE w histogram\nw_sum 1\nw_count 1\nbare 1\n";
    rig.scrape(0, page).unwrap();
    let first = ["a_total counter First.", "w_count histogram ", "w_sum histogram "];
    assert_eq!(told(&rig), first);
    assert_eq!(rig.scratch.metadata.len(), 3 + 5, "the report's series too");

    rig.scrape(1, page).unwrap();
    assert_eq!(rig.scratch.metadata.len(), 0, "nothing is new");
    rig.scrape(2, &format!("{page}# TYPE g gauge\ng 1\n")).unwrap();
    assert_eq!(rig.scratch.metadata.len(), 1, "one series is new");
    rig.timeout(3);
    rig.scrape(4, &page.replace("First", "Second")).unwrap();
    assert_eq!(rig.scratch.metadata.len(), 1, "one family says something else");
    assert_eq!(told(&rig)[..2], ["a_total counter Second.", "g gauge "]);
    rig.scrape(5, "a_total 2\n").unwrap();
    assert_eq!(rig.scratch.metadata.len(), 0, "nothing is said");
    assert_eq!(told(&rig)[0], "a_total counter Second.");
}

const TYPED: &str = "# TYPE c_total counter\nc_total 1\n# TYPE g gauge\ng{__type__=\"mine\",z=\"1\"} 1\n\
                     # TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_sum 1\nh_count 1\n\
                     # TYPE s summary\ns{quantile=\"0.5\"} 1\ns_sum 1\n# TYPE u untyped\nu{__type__=\"mine\"} 1\n";

#[test]
fn series_carry_the_type_of_their_family_where_that_is_asked_for() {
    let mut rig = Rig::new(|_| {});
    rig.ingest.label_types(true);
    rig.scrape(0, &format!("bare 1\n{TYPED}")).unwrap();
    rig.scrape(1, &format!("bare 2\n{TYPED}")).unwrap();
    for (name, expected) in [
        ("bare", "0=1 1=2"),
        ("c_total", "{__type__=\"counter\"} 0=1 1=1"),
        ("g", "{__type__=\"gauge\", z=\"1\"} 0=1 1=1"),
        ("h_bucket", "{__type__=\"histogram\", le=\"1.0\"} 0=1 1=1"),
        ("h_sum", "{__type__=\"histogram\"} 0=1 1=1"),
        ("h_count", "{__type__=\"histogram\"} 0=1 1=1"),
        ("s", "{__type__=\"summary\", quantile=\"0.5\"} 0=1 1=1"),
        ("s_sum", "{__type__=\"summary\"} 0=1 1=1"),
        ("u", "{__type__=\"mine\"} 0=1 1=1"),
        ("up", "0=1 1=1"),
    ] {
        assert_eq!(rig.one(name), expected, "{name}");
    }
}

#[test]
fn types_are_no_labels_unless_that_is_asked_for() {
    let mut rig = Rig::new(|_| {});
    rig.scrape(0, TYPED).unwrap();
    assert_eq!(rig.one("c_total"), "0=1");
    assert_eq!(rig.one("g"), "{__type__=\"mine\", z=\"1\"} 0=1");
    rig.scrape(1, &TYPED.replace("c_total counter", "c_total gauge"))
        .unwrap();
    assert_eq!(rig.one("c_total"), "0=1 1=1");
}

#[test]
fn a_family_of_another_type_has_other_series_and_the_former_end() {
    let mut rig = Rig::new(|_| {});
    rig.ingest.label_types(true);
    rig.ingest.tell_metadata(true);
    let page = "# TYPE a counter\n# HELP a It.\na 1\n";
    rig.scrape(0, page).unwrap();
    rig.scrape(1, &page.replace("counter", "gauge")).unwrap();
    rig.scrape(2, "a 1\n").unwrap();
    rig.scrape(3, page).unwrap();
    let mut all = rig.of("a");
    all.sort_unstable();
    let expected = [
        "{__type__=\"counter\"} 0=1 1=stale 3=1",
        "{__type__=\"gauge\"} 1=1 2=stale",
        "{} 2=1 3=stale",
    ];
    assert_eq!(all, expected);
    assert_eq!(told(&rig), ["a counter It.", "a gauge It."], "each is told what it is");
}

#[test]
fn rules_see_the_type_and_may_take_it() {
    let rules = "[{action: labeldrop, regex: __type__}, {source_labels: [__type__], regex: gauge, action: drop}]";
    let mut rig = Rig::new(|job| {
        let mut rules: Vec<_> = serde_saphyr::from_str(rules).unwrap();
        rules.reverse();
        job.metric_relabel = rules;
    });
    rig.ingest.label_types(true);
    rig.scrape(0, TYPED).unwrap();
    assert_eq!(rig.one("c_total"), "0=1");
    assert_eq!(rig.of("g"), Vec::<String>::new());
}

#[test]
fn metadata_follow_the_names_that_relabelling_leaves() {
    let rules = "[{source_labels: [__name__], regex: a, target_label: __name__, replacement: renamed}]";
    let mut rig = Rig::new(|job| job.metric_relabel = serde_saphyr::from_str(rules).unwrap());
    rig.ingest.tell_metadata(true);
    let page = "# TYPE a gauge\na 1\n# TYPE b_total counter\nb_total 1\n# TYPE c gauge\nc 1\n";
    rig.scrape(0, page).unwrap();
    assert_eq!(told(&rig), ["b_total counter ", "c gauge "]);
    rig.scrape(1, &page.replace("gauge", "counter")).unwrap();
    assert_eq!(told(&rig), ["b_total counter ", "c counter "]);
}

#[test]
fn a_store_that_is_not_to_be_told_of_families_is_not() {
    let mut rig = Rig::new(|_| {});
    rig.scrape(0, "# TYPE a counter\na 1\n").unwrap();
    assert_eq!(rig.head.metadata(), []);
}
