//! Discovery, health, version, OpenAPI, and rules that change.

use crate::world::{World, row};
use serde_json::{Value, json};
use std::sync::atomic::Ordering;

const RULES: &str = "
metrics:
  - {name: rps, describes: pods, query: rps}
  - {name: hits, describes: ingresses.networking.k8s.io, query: hits}
  - {name: temp, describes: nodes, query: temp}
  - {name: queue_depth, describes: external, query: queue}
";
const V2: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

fn names(list: &Value) -> Vec<String> {
    let resources = list["resources"].as_array().unwrap();
    resources
        .iter()
        .map(|r| format!("{} {}", r["name"].as_str().unwrap(), r["namespaced"]))
        .collect()
}

#[tokio::test]
async fn versions_list_the_metrics_of_the_rules() {
    let world = World::new(RULES);
    let groups = world.get("/apis").await.json();
    assert_eq!(
        (&groups["kind"], &groups["apiVersion"]),
        (&json!("APIGroupList"), &json!("v1"))
    );
    let group = world.get("/apis/custom.metrics.k8s.io").await.json();
    assert_eq!(group["versions"][0]["version"], "v1beta2");
    assert_eq!(group["versions"][1]["groupVersion"], "custom.metrics.k8s.io/v1beta1");
    assert_eq!(group["preferredVersion"]["version"], "v1beta2");
    for version in ["v1beta1", "v1beta2"] {
        let list = world
            .get(&format!("/apis/custom.metrics.k8s.io/{version}"))
            .await
            .json();
        assert_eq!(list["groupVersion"], format!("custom.metrics.k8s.io/{version}"));
        assert_eq!(
            names(&list),
            [
                "ingresses.networking.k8s.io/hits true",
                "nodes/temp false",
                "pods/rps true"
            ]
        );
        assert_eq!(list["resources"][2]["kind"], "MetricValueList");
        assert_eq!(list["resources"][2]["verbs"], json!(["get"]));
    }
    let list = world.get("/apis/external.metrics.k8s.io/v1beta1").await.json();
    assert_eq!(names(&list), ["queue_depth true"]);
    assert_eq!(list["resources"][0]["kind"], "ExternalMetricValueList");
}

#[tokio::test]
async fn aggregated_discovery_lists_them_under_parents_without_a_kind_and_is_cached_by_etag() {
    let world = World::new(RULES);
    let accept = format!("{V2},application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList");
    let reply = world.get_as(Some(&world.user), "/apis", &[("accept", &accept)]).await;
    assert_eq!(reply.header("content-type"), V2);
    assert_eq!(
        (reply.header("vary"), reply.header("cache-control")),
        ("Accept", "public")
    );
    let document = reply.json();
    assert_eq!(document["apiVersion"], "apidiscovery.k8s.io/v2");
    let custom = &document["items"][0];
    assert_eq!(custom["metadata"]["name"], "custom.metrics.k8s.io");
    let versions: Vec<&Value> = custom["versions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| &v["version"])
        .collect();
    assert_eq!(versions, [&json!("v1beta2"), &json!("v1beta1")]);
    let pods = &custom["versions"][0]["resources"][2];
    assert_eq!(
        (&pods["resource"], &pods["scope"]),
        (&json!("pods"), &json!("Namespaced"))
    );
    assert!(pods.get("responseKind").is_none());
    assert_eq!(pods["subresources"][0]["subresource"], "rps");
    assert_eq!(pods["subresources"][0]["responseKind"]["kind"], "MetricValueList");
    assert_eq!(custom["versions"][0]["resources"][1]["scope"], "Cluster");
    let external = &document["items"][1]["versions"][0]["resources"][0];
    assert_eq!(
        (&external["resource"], &external["responseKind"]["kind"]),
        (&json!("queue_depth"), &json!("ExternalMetricValueList"))
    );

    let etag = reply.header("etag").to_owned();
    assert!(etag.starts_with('"') && etag.ends_with('"'));
    let again = world
        .get_as(
            Some(&world.user),
            "/apis",
            &[("accept", &accept), ("if-none-match", &etag)],
        )
        .await;
    assert_eq!(
        (again.code(), again.text.as_str(), again.header("etag")),
        (304, "", etag.as_str())
    );

    world
        .adapter
        .registry
        .apply(&serde_saphyr::from_str("metrics: [{name: x, describes: pods, query: x}]").unwrap());
    let changed = world
        .get_as(
            Some(&world.user),
            "/apis",
            &[("accept", &accept), ("if-none-match", &etag)],
        )
        .await;
    assert_eq!(changed.code(), 200);
}

#[tokio::test]
async fn a_group_without_rules_lists_one_entry_without_verbs() {
    let world = World::new("metrics: []");
    for version in ["custom.metrics.k8s.io/v1beta2", "external.metrics.k8s.io/v1beta1"] {
        let list = world.get(&format!("/apis/{version}")).await.json();
        assert_eq!(list["resources"].as_array().unwrap().len(), 1);
        assert_eq!(list["resources"][0]["verbs"], json!([]));
    }
    let document = world.get_as(Some(&world.user), "/apis", &[("accept", V2)]).await.json();
    for item in document["items"].as_array().unwrap() {
        assert!(!item["versions"][0]["resources"].as_array().unwrap().is_empty());
    }
}

#[tokio::test]
async fn unchanged_rules_stay_and_a_bad_one_disables_itself_alone() {
    let world = World::new(RULES);
    world.rows("queue", vec![row(&[("namespace", "demo")], 4.0, 0)]);
    let registered = || world.standing.registered.load(Ordering::SeqCst);
    assert_eq!(registered(), 4);
    // Moved by comments, one rule changed, one broken, one doubled.
    let changed = "
# a comment
metrics:
  - {name: rps, describes: pods, query: rps, partial: 0.2}
  - {name: hits, describes: ingresses.networking.k8s.io, query: 'a))'}
  - {name: temp, describes: nodes, query: temp}
  - {name: queue_depth, describes: external, query: queue}
  - {name: queue_depth, describes: external, query: other}
";
    let problems = world.adapter.registry.apply(&serde_saphyr::from_str(changed).unwrap());
    assert_eq!(registered(), 5);
    let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), 2, "{texts:?}");
    assert!(
        texts[0].starts_with("5:") && texts[0].contains("query: unexpected ')'"),
        "{texts:?}"
    );
    assert!(
        texts[1].starts_with("8:") && texts[1].contains("in line 7"),
        "{texts:?}"
    );
    let path = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/demo/ingresses.networking.k8s.io/main/hits";
    let reply = world.get(path).await;
    assert_eq!(reply.code(), 503);
    assert!(
        reply.message().contains("is disabled") && reply.message().contains("unexpected ')'"),
        "{}",
        reply.text
    );
    assert_eq!(
        world
            .get("/apis/external.metrics.k8s.io/v1beta1/namespaces/demo/queue_depth")
            .await
            .code(),
        200
    );
    let status = world.adapter.registry.status();
    let disabled: Vec<bool> = status.iter().map(|s| !s.problems.is_empty()).collect();
    assert_eq!(disabled, [false, true, false, false, true]);
}

#[tokio::test]
async fn health_version_root_and_openapi_answer() {
    let world = World::new(RULES);
    for path in ["/healthz", "/livez", "/readyz"] {
        let reply = world.get_as(None, path, &[]).await;
        assert_eq!((reply.code(), reply.text.as_str()), (200, "ok"), "{path}");
    }
    let verbose = world.get_as(None, "/readyz?verbose&exclude=configuration", &[]).await;
    assert_eq!(
        verbose.text,
        "[+]ping ok\n[+]authentication ok\n[+]configuration excluded: ok\nreadyz check passed\n"
    );
    assert_eq!(world.get("/version").await.json()["gitVersion"], "v1.2.3");
    let paths = world.get("/").await.json();
    assert!(
        paths["paths"]
            .as_array()
            .unwrap()
            .contains(&json!("/apis/external.metrics.k8s.io/v1beta1"))
    );
    let v2 = world.get("/openapi/v2").await;
    assert_eq!(v2.json()["swagger"], "2.0");
    let etag = v2.header("etag").to_owned();
    let again = world
        .get_as(Some(&world.user), "/openapi/v2", &[("if-none-match", &etag)])
        .await;
    assert_eq!(again.code(), 304);
    let index = world.get("/openapi/v3").await.json();
    for (_, entry) in index["paths"].as_object().unwrap() {
        let url = entry["serverRelativeURL"].as_str().unwrap();
        assert_eq!(world.get(url).await.json()["openapi"], "3.0.0", "{url}");
    }
}
