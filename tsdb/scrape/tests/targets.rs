//! From discovered labels to a target, and why some are dropped.

use leadline_model::Labels;
use leadline_scrape::target::build;
use leadline_scrape::{DropReason, Job, Scheme};

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied())
}

fn job(change: impl FnOnce(&mut Job)) -> Job {
    let mut job = Job::new("web");
    change(&mut job);
    job
}

#[test]
fn a_target_takes_its_url_and_times_from_job_and_labels() {
    let plain = job(|_| {});
    let https = job(|j| {
        j.scheme = Scheme::Https;
        j.metrics_path = "/a b?c".to_owned();
        j.params = [
            ("m".to_owned(), vec!["x y".to_owned(), "2".to_owned()]),
            ("a".to_owned(), vec!["&".to_owned()]),
        ]
        .into();
    });
    for (job, own, url, interval_ms) in [
        (&plain, vec![("__address__", "h:1")], "http://h:1/metrics", 60_000),
        (&plain, vec![("__address__", "h")], "http://h/metrics", 60_000),
        (
            &plain,
            vec![("__address__", "[::1]:9")],
            "http://[::1]:9/metrics",
            60_000,
        ),
        (
            &plain,
            vec![
                ("__address__", "h:1"),
                ("__scheme__", "https"),
                ("__metrics_path__", "x"),
            ],
            "https://h:1/x",
            60_000,
        ),
        (
            &plain,
            vec![
                ("__address__", "h:1"),
                ("__param_t", "v"),
                ("__scrape_interval__", "20s"),
            ],
            "http://h:1/metrics?t=v",
            20_000,
        ),
        (
            &https,
            vec![("__address__", "h:1")],
            "https://h:1/a%20b%3Fc?a=%26&m=x+y&m=2",
            60_000,
        ),
        (
            &https,
            vec![("__address__", "h:1"), ("__param_m", "z")],
            "https://h:1/a%20b%3Fc?a=%26&m=z&m=2",
            60_000,
        ),
    ] {
        let target = build(job, &labels(&own), &Labels::empty()).unwrap();
        assert_eq!(
            (target.uri.to_string().as_str(), target.interval_ms),
            (url, interval_ms)
        );
    }
}

#[test]
fn the_targets_labels_are_what_relabelling_leaves_without_internal_ones() {
    let job = job(|j| {
        j.relabel = serde_saphyr::from_str(
            "[{source_labels: [__meta_pod], target_label: pod}, {source_labels: [__address__], target_label: __tmp_x}]",
        )
        .unwrap();
    });
    let group = labels(&[("zone", "z"), ("own", "group"), ("__meta_pod", "p1")]);
    let target = build(&job, &labels(&[("__address__", "h:1"), ("own", "target")]), &group).unwrap();
    assert_eq!(
        target.labels.to_string(),
        r#"{instance="h:1", job="web", own="target", pod="p1", zone="z"}"#
    );
    assert_eq!(target.discovered.get("__meta_pod"), Some("p1"));
    assert_eq!(target.discovered.get("__scrape_timeout__"), Some("10s"));
    let named = build(
        &job,
        &labels(&[("__address__", "h:1"), ("instance", "i"), ("job", "k")]),
        &Labels::empty(),
    )
    .unwrap();
    assert_eq!(
        (named.labels.get("instance"), named.labels.get("job")),
        (Some("i"), Some("k"))
    );
}

#[test]
fn a_dropped_target_says_why() {
    let keep = job(|j| {
        j.relabel =
            serde_saphyr::from_str("[{target_label: a, replacement: b}, {source_labels: [x], regex: y, action: keep}]")
                .unwrap();
    });
    let plain = job(|_| {});
    let dropped = build(&keep, &labels(&[("__address__", "h:1")]), &Labels::empty()).unwrap_err();
    assert_eq!(
        (dropped.reason, dropped.discovered.get("a")),
        (DropReason::Rule(1), None)
    );
    for (own, expected) in [
        (vec![("a", "b")], "no __address__ is left"),
        (vec![("__address__", "http://h:1")], "is no host:port"),
        (
            vec![("__address__", "h:1"), ("__scheme__", "ftp")],
            "expected http or https",
        ),
        (vec![("__address__", "h h:1")], "url"),
        (
            vec![("__address__", "h:1"), ("__scrape_interval__", "5x")],
            "__scrape_interval__: invalid duration",
        ),
        (
            vec![("__address__", "h:1"), ("__scrape_interval__", "0")],
            "__scrape_interval__ is 0",
        ),
        (
            vec![("__address__", "h:1"), ("__scrape_timeout__", "2m")],
            "__scrape_timeout__ (120000 ms) is more than",
        ),
    ] {
        match build(&plain, &labels(&own), &Labels::empty()).unwrap_err().reason {
            DropReason::Invalid(reason) => assert!(reason.contains(expected), "{own:?}: {reason}"),
            DropReason::Rule(n) => panic!("{own:?}: dropped by rule {n}"),
        }
    }
}

#[test]
fn equal_labels_and_url_are_one_target() {
    let job = job(|_| {});
    let of = |pairs: &[(&str, &str)]| build(&job, &labels(pairs), &Labels::empty()).unwrap().key;
    let one = of(&[("__address__", "h:1")]);
    assert_eq!(one, of(&[("__address__", "h:1"), ("__meta_x", "other")]));
    assert_ne!(one, of(&[("__address__", "h:2")]));
    assert_ne!(one, of(&[("__address__", "h:1"), ("a", "b")]));
    assert_ne!(one, of(&[("__address__", "h:1"), ("__metrics_path__", "/x")]));
}

#[test]
fn a_job_tells_whether_its_series_carry_its_name_unless_a_group_says_another() {
    let rules = |yaml: &str| serde_saphyr::from_str::<Vec<leadline_model::relabel::RelabelConfig>>(yaml).unwrap();
    let other = || rules("[{source_labels: [job], target_label: team}, {action: labeldrop, regex: tmp_.*}]");
    let written = || rules("[{source_labels: [team], target_label: job}]");
    for (job, keeps) in [
        (job(|_| {}), true),
        (job(|j| (j.relabel, j.metric_relabel) = (other(), other())), true),
        (job(|j| j.relabel = written()), false),
        (job(|j| j.metric_relabel = written()), false),
        (job(|j| j.honor_labels = true), false),
    ] {
        assert_eq!(job.keeps_job_label(), keeps, "{job:?}");
    }
}
