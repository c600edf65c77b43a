//! Values of targets that are younger than the window that is read.

use crate::world::{World, pod_row, row, warming};
use leadline_standing::Row;

const CUSTOM: &str = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/demo";
const EXTERNAL: &str = "/apis/external.metrics.k8s.io/v1beta1/namespaces/demo";
const WHY: &str = "warming up: observed for 23s of the 1m that is read; ready in about 38 s";

/// Rules with this policy, or with none where it is empty.
fn rules(policy: &str) -> String {
    let policy = if policy.is_empty() {
        String::new()
    } else {
        format!(", onWarming: {policy}")
    };
    format!(
        "
metrics:
  - {{name: rps, describes: pods, query: 'rps[1m]'{policy}}}
  - {{name: summed, describes: pods, query: 'rps[1m]', onDuplicate: sum{policy}}}
  - {{name: hits, describes: ingresses.networking.k8s.io, query: 'hits[1m]'{policy}}}
  - {{name: jobs, describes: external, query: 'jobs[1m]'{policy}}}
  - {{name: all, describes: external, query: 'jobs[1m]', onDuplicate: sum{policy}}}
"
    )
}

fn ingress(value: f64) -> Row {
    row(&[("namespace", "demo"), ("ingress", "main")], value, 0)
}

fn queue(name: &str, value: f64) -> Row {
    row(&[("namespace", "demo"), ("queue", name)], value, 0)
}

/// Pod p-1 and queue a are old, pods p-2 and q-1, queue b and the ingress are warming.
fn world(policy: &str) -> World {
    let world = World::new(&rules(policy));
    let pods = vec![
        pod_row("p-1", 5.0),
        warming(pod_row("p-2", 1.0)),
        warming(pod_row("q-1", 1.0)),
    ];
    world.rows("rps[1m]", pods);
    world.rows("hits[1m]", vec![warming(ingress(1.0))]);
    world.rows("jobs[1m]", vec![queue("a", 5.0), warming(queue("b", 1.0))]);
    world
}

/// The values, or status and message.
async fn answer(world: &World, path: &str) -> Result<String, (u16, String)> {
    let reply = world.get(path).await;
    match reply.code() {
        200 => Ok(reply.values().join(" ")),
        code => Err((code, reply.message())),
    }
}

#[tokio::test]
async fn pods_are_left_out_and_what_remains_is_answered() {
    let world = world("");
    assert_eq!(
        answer(&world, &format!("{CUSTOM}/pods/*/rps")).await,
        Ok("p-1=5".into())
    );
    assert_eq!(world.counters()["left_out_total{reason=warming}"], 2.0);
}

#[tokio::test]
async fn where_all_that_was_asked_for_is_warming_the_answer_is_that_of_a_cold_metric() {
    let world = world("");
    for (path, more) in [
        (
            format!("{CUSTOM}/pods/*/rps?labelSelector=app%3Dqueue"),
            " (1 pods selected, 0 with a value; 1 warming up)",
        ),
        (
            format!("{CUSTOM}/pods/p-2/rps"),
            " (1 pods selected, 0 with a value; 1 warming up)",
        ),
        (format!("{CUSTOM}/ingress/main/hits"), ""),
        (format!("{EXTERNAL}/jobs?labelSelector=queue%3Db"), ""),
    ] {
        let (code, message) = answer(&world, &path).await.unwrap_err();
        let (_, why) = message.split_once(": ").unwrap();
        assert_eq!((code, why), (503, format!("{WHY}{more}").as_str()), "{path}");
    }
}

#[tokio::test]
async fn one_old_result_of_several_is_enough() {
    let world = world("");
    assert_eq!(answer(&world, &format!("{EXTERNAL}/jobs")).await, Ok("a=5 b=1".into()));
    assert_eq!(answer(&world, &format!("{EXTERNAL}/all")).await, Ok("-=6".into()));
    let code = |code: &str, value| row(&[("namespace", "demo"), ("pod", "p-1"), ("code", code)], value, 0);
    world.rows("rps[1m]", vec![code("200", 5.0), warming(code("500", 1.0))]);
    assert_eq!(
        answer(&world, &format!("{CUSTOM}/pods/p-1/summed")).await,
        Ok("p-1=6".into())
    );
    world.rows("rps[1m]", vec![warming(code("200", 5.0)), warming(code("500", 1.0))]);
    let (code, _) = answer(&world, &format!("{CUSTOM}/pods/p-1/summed")).await.unwrap_err();
    assert_eq!(code, 503);
}

#[tokio::test]
async fn a_rule_may_say_what_becomes_of_warming_values() {
    // policy, pods, ingress, two queues, the one that is warming; None is an error
    type Case = (&'static str, [Option<&'static str>; 4]);
    let cases: [Case; 3] = [
        ("omit", [Some("p-1=5"), None, Some("a=5"), None]),
        ("error", [None, None, None, None]),
        (
            "serve",
            [Some("p-1=5 p-2=1 q-1=1"), Some("main=1"), Some("a=5 b=1"), Some("b=1")],
        ),
    ];
    for (policy, expected) in cases {
        let world = world(policy);
        let paths = [
            format!("{CUSTOM}/pods/*/rps"),
            format!("{CUSTOM}/ingress/main/hits"),
            format!("{EXTERNAL}/jobs"),
            format!("{EXTERNAL}/jobs?labelSelector=queue%3Db"),
        ];
        for (path, expected) in paths.iter().zip(expected) {
            let answer = answer(&world, path).await;
            match expected {
                Some(values) => assert_eq!(answer, Ok(values.to_owned()), "{policy}: {path}"),
                None => {
                    let (code, message) = answer.unwrap_err();
                    assert_eq!(code, 503, "{policy}: {path}: {message}");
                    assert!(message.contains(WHY), "{policy}: {path}: {message}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_warming_result_lowers_neither_an_average_nor_a_minimum() {
    // onDuplicate, onWarming, what 100 (old) and 12 (warming) make; None is an error
    let cases = [
        ("avg", "", Some("100")),
        ("min", "", Some("100")),
        ("sum", "", Some("112")),
        ("max", "", Some("100")),
        ("avg", "omit", Some("100")),
        ("sum", "omit", Some("100")),
        ("avg", "serve", Some("56")),
        ("min", "serve", Some("12")),
        ("avg", "error", None),
        ("sum", "error", None),
    ];
    for (how, policy, expected) in cases {
        let policy = match policy {
            "" => String::new(),
            policy => format!(", onWarming: {policy}"),
        };
        let world = World::new(&format!(
            "
metrics:
  - {{name: rps, describes: pods, query: 'rps[1m]', onDuplicate: {how}{policy}}}
  - {{name: hits, describes: ingresses.networking.k8s.io, query: 'hits[1m]', onDuplicate: {how}{policy}}}
  - {{name: jobs, describes: external, query: 'jobs[1m]', onDuplicate: {how}{policy}}}
"
        ));
        let code = |code: &str, value| row(&[("namespace", "demo"), ("pod", "p-1"), ("code", code)], value, 0);
        world.rows("rps[1m]", vec![code("200", 100.0), warming(code("500", 12.0))]);
        world.rows("hits[1m]", vec![ingress(100.0), warming(ingress(12.0))]);
        world.rows("jobs[1m]", vec![queue("a", 100.0), warming(queue("b", 12.0))]);
        for (path, of) in [
            (format!("{CUSTOM}/pods/p-1/rps"), "p-1"),
            (format!("{CUSTOM}/ingress/main/hits"), "main"),
            (format!("{EXTERNAL}/jobs"), "-"),
        ] {
            let answer = answer(&world, &path).await;
            match expected {
                // One result keeps its labels.
                Some(value) => assert_eq!(
                    answer.map(|text| text.replace("a=", "-=")),
                    Ok(format!("{of}={value}")),
                    "{how}{policy}: {path}"
                ),
                None => assert_eq!(answer.map_err(|(code, _)| code), Err(503), "{how}{policy}: {path}"),
            }
        }
    }
}

#[tokio::test]
async fn an_unknown_policy_is_refused() {
    let rules: leadline_adapter::config::Autoscaling = serde_saphyr::from_str(&rules("hold")).unwrap();
    let problems = rules.check(&leadline_cluster::Mapper::new(None));
    assert_eq!(problems.len(), rules.metrics.len(), "{problems:?}");
    for problem in problems {
        let expected = "onWarming: omit, error or serve was expected, not \"hold\"";
        assert!(problem.to_string().ends_with(expected), "{problem}");
    }
}

#[tokio::test]
async fn a_zero_for_an_empty_result_never_stands_for_a_warming_one() {
    let world = World::new(
        "metrics: [{name: hits, describes: ingresses.networking.k8s.io, query: 'hits[1m]', onEmpty: zero, onWarming: omit}]",
    );
    world.rows("hits[1m]", vec![warming(ingress(1.0))]);
    let (code, _) = answer(&world, &format!("{CUSTOM}/ingress/main/hits"))
        .await
        .unwrap_err();
    assert_eq!(code, 503);
}

#[tokio::test]
async fn an_explanation_tells_what_is_warming() {
    let world = world("");
    let e = world.get(&format!("/explain{CUSTOM}/pods/*/rps")).await.json();
    assert_eq!(e["rows"][0]["warming"], "");
    assert_eq!(
        (&e["rows"][1]["warming"], &e["rows"][1]["quantity"]),
        (&WHY.into(), &().into())
    );
    assert_eq!(e["rows"][1]["verdict"], format!("left out: {WHY}"));
    assert_eq!(e["leftOut"]["p-2"], WHY);
    let e = world.get(&format!("/explain{EXTERNAL}/jobs")).await.json();
    assert_eq!(
        (&e["rows"][1]["warming"], &e["rows"][1]["quantity"]),
        (&WHY.into(), &"1".into())
    );
    assert_eq!((&e["sum"], &e["error"]), (&"6".into(), &"".into()));
    let e = self::world("omit")
        .get(&format!("/explain{EXTERNAL}/jobs"))
        .await
        .json();
    assert_eq!((&e["sum"], &e["rows"][1]["quantity"]), (&"5".into(), &().into()));
    let left_out = e["leftOut"].as_object().unwrap();
    assert_eq!(left_out.values().collect::<Vec<_>>(), [WHY]);
    let text = |policy| {
        let world = self::world(policy);
        async move {
            let subject = leadline_adapter::explain::Subject {
                namespace: Some("demo"),
                resource: "ingress",
                name: "main",
                metric: "hits",
                label_selector: "",
                metric_selector: "",
            };
            let explained = leadline_adapter::explain::explain(&world.adapter, &subject).await;
            explained.unwrap().to_string()
        }
    };
    let refused = text("").await;
    assert!(refused.contains(&format!("error     metric hits: {WHY}")), "{refused}");
    let served = text("serve").await;
    assert!(
        served.contains("answer    main = 1 at ") && served.contains(&format!("  note    {WHY}")),
        "{served}"
    );
}
