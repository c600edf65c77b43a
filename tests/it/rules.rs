//! Metric rules, good and bad, and how they are explained.

use crate::world::{Exporter, Leadline, config, printed, run};
use serde_json::{Value, json};

const PAGE: &str = "# TYPE http_requests_total counter\nhttp_requests_total 5\n# TYPE queue_depth gauge\n\
    queue_depth{queue=\"mail\"} 7\nqueue_depth{queue=\"news\"} 5\n";

const RULES: &str = "autoscaling:\n  metrics:\n\
    \x20 - {name: queue_depth, describes: external, query: 'sum by (namespace, queue) (queue_depth)'}\n\
    \x20 - {name: requests, describes: pods, query: 'sum by (namespace, pod) (http_requests_total)'}\n\
    \x20 - {name: broken, describes: external, query: 'sum('}\n\
    \x20 - {name: odd, describes: Some Thing, query: 'up'}\n\
    \x20 - {name: dropped, describes: external, query: 'up', onStale: drop}\n\
    \x20 - {name: tenth, describes: external, query: 'up', partial: ten}\n\
    \x20 - {name: empty, describes: external}\n\
    \x20 - {describes: external, query: 'up'}\n";

#[tokio::test]
async fn a_bad_rule_disables_itself_alone_and_is_shown_everywhere() {
    let exporter = Exporter::start(PAGE).await;
    let leadline = Leadline::start(&config(&[exporter.job("app")], RULES)).await;
    leadline.until_value("sum(queue_depth)", 12.0).await;
    let (_, status) = leadline.json("/api/v1/status/rules", &[]).await;
    let problems = |name: &str| {
        let rules = status["data"].as_array().unwrap();
        rules
            .iter()
            .find(|rule| rule["name"] == json!(name))
            .map(|rule| rule["problems"].to_string())
            .unwrap()
    };
    assert_eq!(
        (problems("queue_depth"), problems("requests")),
        ("[]".to_owned(), "[]".to_owned()),
        "{status}"
    );
    assert!(
        problems("broken").contains("query") && problems("odd").contains("describes"),
        "{status}"
    );
    for (name, problem) in [
        (
            "dropped",
            "10:64: metric dropped: onStale: omit, error or serve was expected",
        ),
        ("tenth", "11:62: metric tenth: partial: "),
        ("empty", "12:5: metric empty: query: it is missing"),
        ("", "13:5: metric : name: it is missing"),
    ] {
        assert!(problems(name).contains(problem), "{status}");
    }
    for (state, count) in [("working", 2.0), ("disabled", 6.0)] {
        let series = format!("leadline_autoscaling_rules{{state=\"{state}\"}}");
        assert_eq!(leadline.own(&series).await, Some(count), "{series}");
    }
    for name in ["broken", "odd", "dropped", "tenth", "empty"] {
        leadline
            .until_logged(&["a metric rule is disabled", &format!("metric {name}: ")])
            .await;
    }
    for (name, key) in [("broken", "query"), ("dropped", "onStale"), ("empty", "query")] {
        let path = format!("/explain/v1/namespaces/default/external/queue_depth/{name}");
        let (status, explained) = leadline.get(&path, &[]).await;
        assert!(
            status == 503 && explained.contains(name) && explained.contains(key),
            "{status} {explained}"
        );
    }
}

#[tokio::test]
async fn explain_tells_how_a_value_comes_about() {
    let exporter = Exporter::start(PAGE).await;
    let leadline = Leadline::start(&config(&[exporter.job("app")], RULES)).await;
    leadline.until_value("sum(queue_depth)", 12.0).await;
    let url = format!("--url=http://{}", leadline.web);
    let explain = async |resource: &str, name: &str, metric: &str, more: &[&str]| {
        let mut args = vec!["explain", "default", resource, name, metric, &url];
        args.extend(more);
        run(&args).await
    };
    let text = crate::world::until(
        "the value",
        || leadline.log(),
        async || {
            let output = explain("external", "*", "queue_depth", &[]).await;
            assert!(output.status.success(), "{}", printed(&output));
            let text = printed(&output);
            text.contains("sum       12").then_some(text)
        },
    )
    .await;
    for part in [
        "rule      queue_depth describes external",
        "sum by (namespace, queue) (queue_depth)",
        "1 feed it, 0 down",
        "mail",
        "news",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    for (selector, sum) in [
        ("--selector=queue=mail", Some("sum       7")),
        ("-lqueue in (news)", Some("sum       5")),
        ("--metric-selector=queue!=mail", Some("sum       5")),
        ("--selector=queue in", None),
    ] {
        let output = explain("external", "*", "queue_depth", &[selector]).await;
        let text = printed(&output);
        assert_eq!(output.status.success(), sum.is_some(), "{selector}: {text}");
        assert!(
            text.contains(sum.unwrap_or("unable to parse labelSelector")),
            "{selector}: {text}"
        );
    }
    let output = explain("external", "*", "queue_depth", &["--json"]).await;
    let view: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (view["sum"].as_str(), view["rows"].as_array().map(Vec::len)),
        (Some("12"), Some(2)),
        "{view}"
    );

    let text = printed(&explain("pods", "app-0", "requests", &[]).await);
    for part in ["rule      requests describes pods", "answer    app-0 = 5 at "] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    let output = explain("pods", "app-0", "requests", &["--json"]).await;
    let view: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&view["rule"]["name"], &view["answer"][0]["quantity"]),
        (&json!("requests"), &json!("5")),
        "{view}"
    );
    let text = printed(&explain("pods", "*", "requests", &[]).await);
    assert!(
        text.contains("pods cannot be selected: there is no API server to watch"),
        "{text}"
    );

    let output = explain("external", "*", "unknown", &[]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(
        printed(&output).contains("404") && printed(&output).contains("unknown"),
        "{}",
        printed(&output)
    );
}

#[tokio::test]
async fn explain_says_when_nobody_answers() {
    let output = run(&["explain", "default", "pods", "*", "m", "--url=http://127.0.0.1:1"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(
        printed(&output).contains("http://127.0.0.1:1") && printed(&output).contains("--url"),
        "{}",
        printed(&output)
    );
}
