//! Values, selectors, policies and errors of the metric paths.

use crate::world::{NOW, World, pod_row, request, row};
use leadline_adapter::Limits;
use leadline_model::Labels;
use leadline_model::port::EvaluateError;
use leadline_model::target::{Health, OwnerId};
use leadline_standing::{Completeness, Row, Warmth};
use serde_json::json;

const RULES: &str = "
metrics:
  - {name: rps, describes: pods, query: 'rps[1m]'}
  - {name: hits, describes: ingresses.networking.k8s.io, query: hits}
  - {name: temp, describes: nodes, query: temp}
  - {name: load, describes: namespaces, query: load}
  - {name: queue_depth, describes: external, query: queue}
  - {name: shared, describes: external, query: shared, scope: cluster}
";
const CUSTOM: &str = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/demo";
const EXTERNAL: &str = "/apis/external.metrics.k8s.io/v1beta1/namespaces/demo";

fn world() -> World {
    let world = World::new(RULES);
    world.rows(
        "rps[1m]",
        vec![pod_row("p-1", 1.5), pod_row("p-2", 2.0), pod_row("q-1", 3.0)],
    );
    world.rows(
        "hits",
        vec![row(&[("namespace", "demo"), ("ingress", "main")], 300.0, 0)],
    );
    world.rows("temp", vec![row(&[("node", "n1")], 40.25, 0)]);
    world.rows("load", vec![row(&[("namespace", "demo")], 0.5, 0)]);
    world.queues();
    world.rows("shared", vec![row(&[("queue", "s")], 11.0, 0)]);
    world
}

#[tokio::test]
async fn a_list_of_pods_is_written_field_by_field() {
    let world = world();
    let reply = world
        .get(&format!(
            "{CUSTOM}/pods/%2A/rps?labelSelector=app%3Dqueue&metricLabelSelector=pod%21%3Dx"
        ))
        .await;
    assert_eq!(reply.header("content-type"), "application/json");
    assert_eq!(
        reply.text,
        concat!(
            r#"{"kind":"MetricValueList","apiVersion":"custom.metrics.k8s.io/v1beta2","metadata":{},"items":[{"#,
            r#""describedObject":{"kind":"Pod","namespace":"demo","name":"q-1","apiVersion":"v1"},"#,
            r#""metric":{"name":"rps","selector":{"matchExpressions":[{"key":"pod","operator":"NotIn","values":["x"]}]}},"#,
            r#""timestamp":"2026-01-02T03:04:04Z","windowSeconds":60,"value":"3"}]}"#
        )
    );
    let reply = world
        .get("/apis/custom.metrics.k8s.io/v1beta1/namespaces/demo/pods/p-1/rps")
        .await;
    assert_eq!(
        reply.text,
        concat!(
            r#"{"kind":"MetricValueList","apiVersion":"custom.metrics.k8s.io/v1beta1","metadata":{},"items":[{"#,
            r#""describedObject":{"kind":"Pod","namespace":"demo","name":"p-1","apiVersion":"v1"},"#,
            r#""metricName":"rps","timestamp":"2026-01-02T03:04:04Z","window":60,"value":"1500m","selector":null}]}"#
        )
    );
    let reply = world
        .get(&format!("{EXTERNAL}/queue_depth?labelSelector=queue%3Da"))
        .await;
    assert_eq!(
        reply.text,
        concat!(
            r#"{"kind":"ExternalMetricValueList","apiVersion":"external.metrics.k8s.io/v1beta1","metadata":{},"items":[{"#,
            r#""metricName":"queue_depth","metricLabels":{"namespace":"demo","queue":"a"},"#,
            r#""timestamp":"2026-01-02T03:04:05Z","value":"5"}]}"#
        )
    );
}

#[tokio::test]
async fn every_form_of_path_leads_to_its_values() {
    let world = world();
    for (path, values) in [
        (format!("{CUSTOM}/pods/*/rps"), "p-1=1500m p-2=2 q-1=3"),
        (
            format!("{CUSTOM}/pods/%2A/rps?labelSelector=app%3Dweb"),
            "p-1=1500m p-2=2",
        ),
        (
            format!("{CUSTOM}/pods/%2A/rps?labelSelector=app+in+%28web%29&metricLabelSelector=pod%3Dp-2"),
            "p-2=2",
        ),
        (
            format!("{CUSTOM}/pods/%2A/rps?metricLabelSelector=pod%21%3Dp-2"),
            "p-1=1500m q-1=3",
        ),
        (format!("{CUSTOM}/pod/p-2/rps"), "p-2=2"),
        (format!("{CUSTOM}/ingresses.networking.k8s.io/main/hits"), "main=300"),
        (format!("{CUSTOM}/ingress/main/hits"), "main=300"),
        ("/apis/custom.metrics.k8s.io/v1beta2/nodes/n1/temp".into(), "n1=40250m"),
        (format!("{CUSTOM}/metrics/load"), "demo=500m"),
        (format!("{CUSTOM}/load"), "demo=500m"),
        (format!("{EXTERNAL}/queue_depth"), "a=5 b=7"),
        (
            format!("{EXTERNAL}/queue_depth?labelSelector=queue+notin+%28a%29"),
            "b=7",
        ),
        (format!("{EXTERNAL}/shared"), "s=11"),
    ] {
        let reply = world.get(&path).await;
        assert_eq!(reply.code(), 200, "{path}: {}", reply.text);
        assert_eq!(reply.values().join(" "), values, "{path}");
    }
}

#[tokio::test]
async fn errors_say_why() {
    let world = world();
    for (method, path, code, part) in [
        (
            "GET",
            format!("{CUSTOM}/pods/*/nope"),
            404,
            "the server could not find the metric nope for pods: no rule defines it",
        ),
        ("GET", format!("{CUSTOM}/pods/gone/rps"), 404, "1 without a result"),
        (
            "GET",
            format!("{CUSTOM}/pods/*/rps?labelSelector=app%3Dnope"),
            404,
            "0 pods selected",
        ),
        (
            "GET",
            format!("{CUSTOM}/pods/*/rps?metricLabelSelector=a%3Db"),
            404,
            "no result matches metric selector a=b",
        ),
        (
            "GET",
            format!("{CUSTOM}/pods/*/rps?labelSelector=a%3D%3D%3Db"),
            400,
            "at byte",
        ),
        (
            "GET",
            format!("{CUSTOM}/pods/*/rps?metricLabelSelector=%21%21"),
            400,
            "metricLabelSelector",
        ),
        (
            "GET",
            format!("{CUSTOM}/pods/*/rps?labelSelector=a&labelSelector=b"),
            400,
            "given twice",
        ),
        (
            "GET",
            "/apis/custom.metrics.k8s.io/v1beta2/pods/*/rps".into(),
            404,
            "pods live in namespaces",
        ),
        (
            "GET",
            format!("{CUSTOM}/nodes/n1/temp"),
            404,
            "nodes live in no namespace",
        ),
        (
            "GET",
            "/apis/custom.metrics.k8s.io/v1beta2/nodes/*/temp".into(),
            503,
            "there is no API server to watch",
        ),
        (
            "GET",
            format!("{EXTERNAL}/nope"),
            404,
            "the server could not find the external metric nope",
        ),
        (
            "GET",
            "/apis/external.metrics.k8s.io/v1beta1/namespaces/empty/queue_depth".into(),
            404,
            "namespace=\"empty\"",
        ),
        (
            "GET",
            format!("{EXTERNAL}/queue_depth?labelSelector=queue%3Dz"),
            404,
            "no result matches metric selector queue=z",
        ),
        (
            "GET",
            format!("{EXTERNAL}/queue_depth?watch=true"),
            405,
            "watch is not supported",
        ),
        ("POST", format!("{EXTERNAL}/queue_depth"), 405, "POST is not supported"),
        ("DELETE", format!("{CUSTOM}/pods/*/rps"), 405, "only GET is"),
        (
            "GET",
            "/apis/custom.metrics.k8s.io/v9/namespaces/demo/pods/*/rps".into(),
            404,
            "could not find the requested",
        ),
        (
            "GET",
            format!("{CUSTOM}/a/b/c/d/e"),
            404,
            "could not find the requested",
        ),
        ("GET", format!("{CUSTOM}//pods/*/rps"), 400, "invalid request path"),
        ("GET", format!("{CUSTOM}/pods%2Fx/*/rps"), 400, "invalid request path"),
    ] {
        let reply = world.send(request(method, Some(&world.user), &path, &[])).await;
        assert_eq!(reply.code(), code, "{path}: {}", reply.text);
        let status = reply.json();
        assert!(reply.message().contains(part), "{path}: {}", reply.text);
        assert_eq!(status["kind"], "Status", "{path}");
        assert_eq!(
            (&status["status"], &status["code"]),
            (&json!("Failure"), &json!(code)),
            "{path}"
        );
    }
    let accept = [("accept", "text/html")];
    let reply = world
        .get_as(Some(&world.user), &format!("{EXTERNAL}/queue_depth"), &accept)
        .await;
    assert_eq!(
        (reply.code(), reply.json()["reason"].clone()),
        (406, json!("NotAcceptable"))
    );
}

#[tokio::test]
async fn pods_without_a_fresh_number_are_left_out_and_never_zero() {
    let world = world();
    let stale = row(&[("namespace", "demo"), ("pod", "p-2")], 9.0, 91_000);
    world.rows(
        "rps[1m]",
        vec![pod_row("p-1", f64::NAN), stale.clone(), pod_row("q-1", 3.0)],
    );
    assert_eq!(world.get(&format!("{CUSTOM}/pods/*/rps")).await.values(), ["q-1=3"]);
    let counters = world.counters();
    assert_eq!(
        (
            counters["left_out_total{reason=nan}"],
            counters["left_out_total{reason=stale}"]
        ),
        (1.0, 1.0)
    );

    world.rows("rps[1m]", vec![pod_row("p-1", f64::INFINITY), stale]);
    let reply = world.get(&format!("{CUSTOM}/pods/*/rps")).await;
    assert_eq!(reply.code(), 404);
    assert_eq!(
        reply.message(),
        "the server could not find the metric rps for pods: 3 pods selected, 0 with a value; 1 without a result; 1 stale; \
         1 infinite; newest sample 1m31s old > max age 1m30s"
    );

    let lost = vec![row(&[("namespace", "demo"), ("instance", "x")], 1.0, 0)];
    world.rows("rps[1m]", lost);
    let reply = world.get(&format!("{CUSTOM}/pods/*/rps")).await;
    assert!(reply.message().contains("none has the label pod"), "{}", reply.text);
}

#[tokio::test]
async fn policies_decide_per_rule() {
    let pod = |v| vec![pod_row("p-1", v)];
    let twice = || {
        vec![
            pod_row("p-1", 1.0),
            row(&[("namespace", "demo"), ("pod", "p-1"), ("x", "y")], 4.0, 2_000),
        ]
    };
    let old = || vec![row(&[("namespace", "demo"), ("pod", "p-1")], 5.0, 45_000)];
    let cases: Vec<(&str, Vec<Row>, u16, &str)> = vec![
        ("", pod(f64::NAN), 404, "1 NaN"),
        ("onNaN: zero", pod(f64::NAN), 200, "p-1=0"),
        ("onNaN: error", pod(f64::NAN), 500, "is NaN"),
        ("onInf: zero", pod(f64::INFINITY), 200, "p-1=0"),
        ("onInf: error", pod(f64::NEG_INFINITY), 500, "is infinite"),
        ("", pod(-1.0), 500, "is negative"),
        ("onNegative: clamp", pod(-1.0), 200, "p-1=0"),
        ("onNegative: serve", pod(-1.0), 200, "p-1=-1"),
        ("", twice(), 500, "2 results where one was expected"),
        ("onDuplicate: sum", twice(), 200, "p-1=5"),
        ("onDuplicate: max", twice(), 200, "p-1=4"),
        ("onDuplicate: min", twice(), 200, "p-1=1"),
        ("onDuplicate: avg", twice(), 200, "p-1=2500m"),
        ("", old(), 404, "newest sample 45s old > max age 30s"),
        ("maxAge: 1m", old(), 200, "p-1=5"),
        ("maxAge: 40s", old(), 404, "max age 40s"),
        ("onStale: error", old(), 503, "45s old > max age 30s"),
        ("onStale: serve", old(), 200, "p-1=5"),
        ("", pod(1e300), 200, "p-1=9223372036854775807m"),
    ];
    for (policy, rows, code, expected) in cases {
        let rules = format!("metrics:\n  - name: rps\n    describes: pods\n    query: rps\n    {policy}\n");
        let world = World::new(&rules);
        world.rows("rps", rows);
        for name in ["p-1", "*"] {
            let reply = world.get(&format!("{CUSTOM}/pods/{name}/rps")).await;
            assert_eq!(reply.code(), code, "{policy}: {}", reply.text);
            let found = if code == 200 {
                reply.values().join(" ")
            } else {
                reply.message()
            };
            assert!(found.contains(expected), "{policy}: {found}");
        }
    }
}

#[tokio::test]
async fn timestamps_are_those_of_the_samples() {
    let world = world();
    world.rows(
        "hits",
        vec![row(&[("namespace", "demo"), ("ingress", "main")], 1.0, 25_000)],
    );
    let reply = world.get(&format!("{CUSTOM}/ingress/main/hits")).await;
    assert_eq!(reply.json()["items"][0]["timestamp"], "2026-01-02T03:03:40Z");
}

#[tokio::test]
async fn no_data_is_an_error_unless_the_rule_says_zero_and_nothing_is_down() {
    let rules = "metrics: [{name: queue_depth, describes: external, query: queue, onEmpty: zero}]";
    let world = World::new(rules);
    let path = format!("{EXTERNAL}/queue_depth");
    assert_eq!(world.get(&path).await.values(), ["-=0"]);
    world.content("queue", |c| {
        c.completeness = Completeness {
            feeders: 2,
            down: vec![OwnerId(2)],
        }
    });
    let reply = world.get(&path).await;
    assert_eq!(reply.code(), 503, "{}", reply.text);
    assert!(reply.message().contains("web/10.0.0.2:80"), "{}", reply.text);
}

#[tokio::test]
async fn cold_is_an_error_that_says_until_when() {
    let world = world();
    world.content("queue", |c| {
        c.warmth = Warmth::Cold {
            reason: "warming up: 1 of 2 targets scraped".into(),
            until: Some(NOW + 30_000),
            example: None,
        };
    });
    let reply = world.get(&format!("{EXTERNAL}/queue_depth")).await;
    assert_eq!(reply.code(), 503);
    assert!(
        reply.message().contains("warming up") && reply.message().contains("31 s"),
        "{}",
        reply.text
    );
}

#[tokio::test]
async fn a_failed_evaluation_is_told() {
    let world = world();
    for (error, code) in [
        (EvaluateError::Execution("many-to-many matching".into()), 500),
        (EvaluateError::Timeout("query execution".into()), 504),
        (EvaluateError::Overloaded, 503),
    ] {
        let text = error.to_string();
        world.content("queue", |c| c.rows = Err(error));
        let reply = world.get(&format!("{EXTERNAL}/queue_depth")).await;
        assert_eq!(reply.code(), code);
        assert!(reply.message().contains(&text), "{}", reply.text);
    }
}

#[tokio::test]
async fn a_partial_value_may_raise_but_never_lower() {
    let world = world();
    let partial = |value: f64, last: f64| Row {
        completeness: Completeness {
            feeders: 2,
            down: vec![OwnerId(2)],
        },
        last_complete: Some(last),
        ..row(&[("namespace", "demo"), ("ingress", "main"), ("pod", "p-1")], value, 0)
    };
    for (value, code) in [(10.0, 200), (12.0, 200), (9.0, 503)] {
        world.rows("hits", vec![partial(value, 10.0)]);
        let reply = world.get(&format!("{CUSTOM}/ingress/main/hits")).await;
        assert_eq!(reply.code(), code, "{value}: {}", reply.text);
    }
    world.rows("rps[1m]", vec![partial(9.0, 10.0), pod_row("p-2", 2.0)]);
    assert_eq!(world.get(&format!("{CUSTOM}/pods/*/rps")).await.values(), ["p-2=2"]);
}

/// The depth of a queue that this exporter told.
fn of(queue: &str, owner: u32, value: f64) -> Row {
    let mut row = row(&[("namespace", "demo"), ("queue", queue)], value, 0);
    row.provenance.owners = vec![OwnerId(owner)];
    row
}

#[tokio::test]
async fn a_sum_that_lost_one_of_its_exporters_may_not_lower() {
    let world = world();
    let path = format!("{EXTERNAL}/queue_depth");
    world.rows("queue", vec![of("a", 1, 5.0), of("b", 2, 7.0)]);
    assert_eq!(world.get(&path).await.code(), 200);
    // The second exporter dies: its row is gone, and the rest is less than the whole was.
    world.content("queue", |c| {
        c.rows = Ok(vec![of("a", 1, 5.0)]);
        c.completeness = Completeness {
            feeders: 2,
            down: vec![OwnerId(2)],
        };
    });
    for _ in 0..2 {
        let reply = world.get(&path).await;
        assert_eq!(reply.code(), 503, "{}", reply.text);
    }
    world.rows("queue", vec![of("a", 1, 13.0)]);
    assert_eq!(world.get(&path).await.values(), ["a=13"]);
    // A target of another namespace has no say in a selection that it never fed.
    world.content("queue", |c| {
        c.rows = Ok(vec![of("a", 1, 5.0)]);
        c.completeness = Completeness {
            feeders: 2,
            down: vec![OwnerId(3)],
        };
    });
    assert_eq!(world.get(&format!("{path}?labelSelector=queue%3Da")).await.code(), 200);
    // Nobody asked for this selection before: what is down in the namespace might have fed it.
    world.content("queue", |c| {
        c.completeness = Completeness {
            feeders: 2,
            down: vec![OwnerId(2)],
        }
    });
    assert_eq!(world.get(&format!("{path}?labelSelector=queue")).await.code(), 503);
}

/// As in a rollout at the store's cap on series: the new pods' are refused, and the old ones go.
#[tokio::test]
async fn a_sum_whose_exporters_were_replaced_by_one_that_never_answered_whole_may_not_lower() {
    let world = world();
    let path = format!("{EXTERNAL}/queue_depth");
    world.adapter.board.update(OwnerId(3), |t| t.health = Health::Up);
    world.rows("queue", vec![of("a", 1, 5.0), of("b", 3, 7.0)]);
    assert_eq!(world.get(&path).await.code(), 200);
    world.adapter.board.remove(OwnerId(3));
    for (first_good, code) in [(Some(0), 200), (None, 503)] {
        world.rows("queue", vec![of("a", 1, 5.0), of("b", 3, 7.0)]);
        assert_eq!(world.get(&path).await.code(), 200);
        world.adapter.board.update(OwnerId(2), |t| t.first_good = first_good);
        world.content("queue", |c| {
            c.rows = Ok(vec![of("a", 1, 5.0)]);
            c.completeness = Completeness {
                feeders: 2,
                down: vec![OwnerId(2)],
            };
        });
        let reply = world.get(&path).await;
        assert_eq!(reply.code(), code, "{first_good:?}: {}", reply.text);
    }
}

#[tokio::test]
async fn a_sum_whose_exporter_is_silent_since_the_start_may_not_be_below_that_of_before() {
    let of = |namespace: &str, queue: &str| Labels::from_pairs([("namespace", namespace), ("queue", queue)]);
    // who is down, the value of the one that is left, the answer; the other one's was 7
    for (down, value, expected) in [(2, 4.0, 503), (2, 5.0, 503), (2, 13.0, 200), (1, 13.0, 503)] {
        let world = world();
        let before = leadline_standing::Before {
            values: [(of("demo", "a"), 5.0), (of("demo", "b"), 7.0), (of("other", "c"), 90.0)].into(),
            missing: vec![OwnerId(2)],
        };
        let mut a = row(&[("namespace", "demo"), ("queue", "a")], value, 0);
        a.last_complete = Some(5.0);
        world.content("queue", |c| {
            c.rows = Ok(vec![a]);
            c.completeness = Completeness {
                feeders: 2,
                down: vec![OwnerId(down)],
            };
            c.before = Some(before.into());
        });
        let reply = world.get(&format!("{EXTERNAL}/queue_depth")).await;
        assert_eq!(reply.code(), expected, "{down} {value}: {}", reply.text);
    }
}

#[tokio::test]
async fn what_a_sum_is_without_an_exporter_that_is_silent_for_long_becomes_the_measure_where_there_is_none() {
    let world = world();
    let code_of = async |value: f64, settled: &[u32]| {
        let mut a = row(&[("namespace", "demo"), ("queue", "a")], value, 0);
        a.last_complete = Some(value);
        world.content("queue", |c| {
            c.rows = Ok(vec![a]);
            c.completeness = Completeness {
                feeders: 2,
                down: vec![OwnerId(2)],
            };
            c.settled = settled.iter().copied().map(OwnerId).collect();
        });
        world.get(&format!("{EXTERNAL}/queue_depth")).await.code()
    };
    for (value, settled, code) in [
        (50.0, &[][..], 503),
        (50.0, &[3], 503),
        (5.0, &[2], 200),
        (4.0, &[2], 503),
        (6.0, &[2], 200),
        (5.0, &[2], 200),
    ] {
        assert_eq!(code_of(value, settled).await, code, "{value} {settled:?}");
    }
}

#[tokio::test]
async fn an_object_of_several_results_lacks_those_of_an_exporter_that_is_silent_since_the_start() {
    let labels =
        |name: &str, zone: &str| Labels::from_pairs([("namespace", "demo"), ("ingress", name), ("zone", zone)]);
    // how results merge, whose the silent exporter's were, the value of what is left, the answer; before it was 5 and 9
    for (how, silent, value, code) in [
        ("sum", "main", 5.0, 503),
        ("sum", "main", 13.9, 503),
        ("sum", "main", 14.0, 200),
        ("max", "main", 8.9, 503),
        ("max", "main", 9.0, 200),
        ("min", "main", 5.0, 200),
        ("avg", "main", 6.9, 503),
        ("avg", "main", 7.0, 200),
        ("sum", "other", 1.0, 200),
    ] {
        let rule = "name: hits, describes: ingresses.networking.k8s.io, query: hits";
        let world = World::new(&format!("metrics:\n  - {{{rule}, onDuplicate: {how}}}\n"));
        let mut left = row(&[("namespace", "demo"), ("ingress", "main"), ("zone", "a")], value, 0);
        left.last_complete = Some(5.0);
        let before = leadline_standing::Before {
            values: [(labels("main", "a"), 5.0), (labels(silent, "b"), 9.0)].into(),
            missing: vec![OwnerId(2)],
        };
        world.content("hits", |c| {
            c.rows = Ok(vec![left]);
            c.completeness = Completeness {
                feeders: 2,
                down: vec![OwnerId(2)],
            };
            c.before = Some(before.into());
        });
        let reply = world
            .get(&format!("{CUSTOM}/ingresses.networking.k8s.io/main/hits"))
            .await;
        assert_eq!(reply.code(), code, "{how} {silent} {value}: {}", reply.text);
    }
}

#[tokio::test]
async fn an_object_of_several_results_that_lost_one_may_not_lower() {
    for (describes, label, name, lost) in [
        ("ingresses.networking.k8s.io", "ingress", "main", 503),
        ("pods", "pod", "p-1", 404),
    ] {
        let rules = format!("metrics:\n  - {{name: hits, describes: {describes}, query: hits, onDuplicate: sum}}\n");
        let world = World::new(&rules);
        let path = format!("{CUSTOM}/{describes}/{name}/hits");
        let of = |zone: &str, owner: u32, value: f64| {
            let mut row = row(&[("namespace", "demo"), (label, name), ("zone", zone)], value, 0);
            row.provenance.owners = vec![OwnerId(owner)];
            row
        };
        let one_is_down = |world: &World, value: f64| {
            world.content("hits", |c| {
                c.rows = Ok(vec![of("a", 1, value)]);
                c.completeness = Completeness {
                    feeders: 2,
                    down: vec![OwnerId(2)],
                };
            });
        };
        // Before this object was asked for, another one's target is no reason to refuse it.
        one_is_down(&world, 5.0);
        assert_eq!(world.get(&path).await.code(), 200);
        world.content("hits", |c| {
            c.rows = Ok(vec![of("a", 1, 5.0), of("b", 2, 7.0)]);
            c.completeness = Completeness {
                feeders: 2,
                down: Vec::new(),
            };
        });
        assert_eq!(world.get(&path).await.values(), [format!("{name}=12")]);
        one_is_down(&world, 5.0);
        for _ in 0..2 {
            let reply = world.get(&path).await;
            assert_eq!(reply.code(), lost, "{}", reply.text);
        }
        one_is_down(&world, 13.0);
        assert_eq!(world.get(&path).await.values(), [format!("{name}=13")]);
    }
}

#[tokio::test]
async fn a_namespace_reads_only_its_own_results() {
    let world = world();
    let reply = world
        .get("/apis/external.metrics.k8s.io/v1beta1/namespaces/other/queue_depth")
        .await;
    assert_eq!(reply.values(), ["c=9"]);
    let other = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/other/pods/*/rps";
    assert_eq!(world.get(other).await.code(), 404);
    // A selector is matched, never spliced into a query.
    let reply = world
        .get(&format!(
            "{EXTERNAL}/queue_depth?labelSelector=queue%3D%22%7D+or+vector%281%29"
        ))
        .await;
    assert_eq!(reply.code(), 400);
}

#[tokio::test]
async fn too_many_requests_are_refused_but_health_answers() {
    let limits = Limits {
        concurrent: 0,
        ..Limits::default()
    };
    let world = World::with_limits(RULES, limits);
    let reply = world.get(&format!("{EXTERNAL}/queue_depth")).await;
    assert_eq!((reply.code(), reply.header("retry-after")), (429, "1"));
    assert_eq!(world.get_as(None, "/healthz", &[]).await.text, "ok");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_takes_too_long_is_cut() {
    let world = World::new("metrics: [{name: slow, describes: external, query: hangs}]");
    let reply = world.get(&format!("{EXTERNAL}/slow")).await;
    assert_eq!((reply.code(), reply.json()["reason"].clone()), (504, json!("Timeout")));
}
