//! Explanations.

use crate::world::{Mood, World, pod_row, row};
use leadline_model::target::OwnerId;
use leadline_standing::Completeness;

const EXTERNAL: &str = "/apis/external.metrics.k8s.io/v1beta1/namespaces/demo";

const RULES: &str = "
metrics:
  - {name: rps, describes: pods, query: 'rps[1m]'}
  - {name: queue_depth, describes: external, query: queue}
";

#[tokio::test]
async fn an_explanation_goes_from_the_rule_to_what_was_left_out() {
    let world = World::new(RULES);
    world.rows("rps[1m]", vec![pod_row("p-1", 1.5), pod_row("p-2", f64::NAN)]);
    let path = "/explain/apis/custom.metrics.k8s.io/v1beta2/namespaces/demo/pods/*/rps";
    let e = world.get(path).await.json();
    assert_eq!(
        (&e["rule"]["query"], &e["rule"]["line"]),
        (&"rps[1m]".into(), &3.into())
    );
    assert_eq!(e["rows"][0]["quantity"], "1500m");
    assert_eq!(
        (&e["rows"][0]["stalestAgeMs"], &e["rows"][0]["maxAgeMs"]),
        (&1_000.into(), &90_000.into())
    );
    assert_eq!(e["rows"][0]["owners"][0]["instance"], "10.0.0.1:80");
    assert_eq!(e["rows"][1]["verdict"], "left out: nan");
    assert_eq!((&e["selected"], &e["answer"][0]["of"]), (&3.into(), &"p-1".into()));
    assert_eq!(
        (&e["leftOut"]["p-2"], &e["leftOut"]["q-1"]),
        (&"nan".into(), &"no_result".into())
    );
    assert!(!e.to_string().contains("hush"), "a target's URL may hold secrets");
}

#[tokio::test]
async fn an_external_explanation_shows_the_sum_and_only_the_namespace() {
    let world = World::new(RULES);
    world.queues();
    let path = "/explain/apis/external.metrics.k8s.io/v1beta1/namespaces/demo/queue_depth";
    let reply = world.get(path).await;
    assert_eq!(reply.json()["sum"], "12");
    assert!(!reply.text.contains("other"), "{}", reply.text);
    let subject = leadline_adapter::explain::Subject {
        namespace: Some("demo"),
        resource: "external",
        name: "*",
        metric: "queue_depth",
        label_selector: "",
        metric_selector: "queue=a",
    };
    let text = leadline_adapter::explain::explain(&world.adapter, &subject)
        .await
        .unwrap()
        .to_string();
    assert!(
        text.contains("query     queue") && text.contains("sum       5") && text.contains("web/10.0.0.1:80 up"),
        "{text}"
    );
}

#[tokio::test]
async fn an_external_metric_is_explained_for_the_selector_that_an_hpa_asks_with() {
    let world = World::new(RULES);
    let queue = |q: &str, v| row(&[("namespace", "demo"), ("queue", q)], v, 0);
    world.rows("queue", vec![queue("work", 5.0), queue("rest", 7.0)]);
    let answered = world
        .get(&format!("{EXTERNAL}/queue_depth?labelSelector=queue%3Dwork"))
        .await;
    assert_eq!(answered.values(), ["work=5"]);
    for (label_selector, metric_selector, expected) in [
        ("", "", "12"),
        ("queue=work", "", "5"),
        ("", "queue=work", "5"),
        ("queue=work", " queue==work ", "5"),
        ("queue=none", "", "no result for this namespace and selector"),
        (
            "queue=work",
            "queue=rest",
            "an external metric has one selector, and labelSelector queue=work is not metricLabelSelector queue=rest",
        ),
        ("queue==", "queue=a b", "unable to parse metricLabelSelector: "),
        ("queue in", "", "unable to parse labelSelector: "),
    ] {
        let subject = leadline_adapter::explain::Subject {
            namespace: Some("demo"),
            resource: "external",
            name: "*",
            metric: "queue_depth",
            label_selector,
            metric_selector,
        };
        let told = match leadline_adapter::explain::explain(&world.adapter, &subject).await {
            Ok(explanation) => explanation.sum.unwrap_or(explanation.error),
            Err(error) => {
                assert_eq!(error.kind.code(), 400, "{}", error.message);
                error.message
            }
        };
        assert!(told.starts_with(expected), "{label_selector} {metric_selector}: {told}");
    }
    let explained = world
        .get(&format!("/explain{EXTERNAL}/queue_depth?labelSelector=queue%3Dwork"))
        .await;
    assert_eq!(explained.json()["sum"], "5", "{}", explained.text);
}

#[tokio::test]
async fn targets_of_other_namespaces_are_counted_and_not_named() {
    let rules = "
metrics:
  - {name: queue_depth, describes: external, query: queue, onEmpty: zero}
  - {name: shared_depth, describes: external, query: queue, onEmpty: zero, scope: cluster}
";
    let world = World::new(rules);
    world.content("queue", |c| {
        c.completeness = Completeness {
            feeders: 4,
            down: vec![OwnerId(2), OwnerId(3)],
        }
    });
    let path = "/explain/apis/external.metrics.k8s.io/v1beta1/namespaces/demo";
    let own = world.get(&format!("{path}/queue_depth")).await;
    let e = own.json();
    assert_eq!(e["down"].as_array().unwrap().len(), 1, "{}", own.text);
    assert_eq!(
        (&e["feeders"], &e["down"][0]["instance"], &e["downElsewhere"]),
        (&4.into(), &"10.0.0.2:80".into(), &1.into())
    );
    let error = "2 of 4 targets that feed it are down: web/10.0.0.2:80 and 1 more";
    assert!(e["error"].as_str().unwrap().ends_with(error), "{}", own.text);
    assert!(!own.text.contains("10.0.0.3"), "{}", own.text);
    let answered = world.get(&format!("{EXTERNAL}/queue_depth")).await;
    assert!(answered.message().ends_with(error), "{}", answered.text);

    // A row that both feed, one whose sum lacks what is down, and a query that waits for the other namespace's target.
    let partial = {
        let mut row = row(&[("namespace", "demo")], 5.0, 0);
        row.provenance.owners = vec![OwnerId(2), OwnerId(3)];
        row.completeness.feeders = 2;
        row.completeness.down = vec![OwnerId(2), OwnerId(3)];
        row.last_complete = Some(9.0);
        row
    };
    world.content("queue", |c| c.rows = Ok(vec![partial]));
    let own = world.get(&format!("{path}/queue_depth")).await;
    let e = own.json();
    assert_eq!(
        (&e["rows"][0]["owners"][0]["instance"], &e["rows"][0]["ownersElsewhere"]),
        (&"10.0.0.2:80".into(), &1.into())
    );
    let answered = world.get(&format!("{EXTERNAL}/queue_depth")).await;
    let error = "2 of 2 targets that feed it are down: web/10.0.0.2:80 and 1 more";
    assert!(answered.message().ends_with(error), "{}", answered.text);
    assert!(!own.text.contains("10.0.0.3"), "{}", own.text);
    let complete = row(&[("namespace", "demo")], 5.0, 0);
    world.content("queue", |c| c.rows = Ok(vec![complete]));
    let answered = world.get(&format!("{EXTERNAL}/queue_depth")).await;
    assert_eq!(answered.code(), 503, "what is down might have fed it");
    assert!(!answered.text.contains("10.0.0.3"), "{}", answered.text);
    for (example, named) in [(3, false), (2, true)] {
        world.content("queue", |c| {
            c.warmth = leadline_standing::Warmth::Cold {
                reason: "warming up: x".into(),
                until: None,
                example: Some(OwnerId(example)),
            };
        });
        for path in [format!("{EXTERNAL}/queue_depth"), format!("{path}/queue_depth")] {
            let text = world.get(&path).await.text;
            assert!(text.contains("warming up: x"), "{text}");
            assert_eq!(text.contains(&format!("(web/10.0.0.{example}:80)")), named, "{text}");
        }
    }

    world.content("queue", |c| c.warmth = leadline_standing::Warmth::Warm);
    let shared = world.get(&format!("{path}/shared_depth")).await;
    assert_eq!(shared.json()["down"].as_array().unwrap().len(), 2, "{}", shared.text);
}

#[tokio::test]
async fn an_explanation_needs_access_to_the_metric() {
    let world = World::new(RULES);
    *world.reviewer.mood.lock() = Mood::DenyAll;
    let path = "/explain/apis/external.metrics.k8s.io/v1beta1/namespaces/demo/queue_depth";
    let reply = world.get(path).await;
    assert_eq!(reply.code(), 403);
    assert!(
        reply.message().contains("cannot list resource \"queue_depth\""),
        "{}",
        reply.text
    );
}
