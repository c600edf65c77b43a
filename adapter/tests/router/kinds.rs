//! Rules that describe kinds which only the API server knows.

use crate::world::{World, row};
use std::sync::atomic::Ordering;
use tokio_util::sync::CancellationToken;

/// `gadgets` live in no namespace and their singular follows no rule; `gizmos` is written without its group.
const RULES: &str = "
metrics:
  - {name: heat, describes: gadgets.example.com, query: heat}
  - {name: spin, describes: gizmos, query: spin}
  - {name: odd, describes: whatsits, query: odd}
";
const GADGET: &str = "/apis/custom.metrics.k8s.io/v1beta2/gadgets.example.com/g-1/heat";
const LIST: &str = "/apis/custom.metrics.k8s.io/v1beta2";

fn api_server(path: &str) -> &'static str {
    match path {
        "/api/v1" => r#"{"kind":"APIResourceList","groupVersion":"v1","resources":[]}"#,
        "/apis" => {
            r#"{"kind":"APIGroupList","groups":[
                {"name":"example.com","versions":[{"groupVersion":"example.com/v1","version":"v1"}]}]}"#
        }
        _ => {
            r#"{"kind":"APIResourceList","groupVersion":"example.com/v1","resources":[
                {"name":"gadgets","singularName":"doodad","kind":"Gadget","namespaced":false,"verbs":["get"]},
                {"name":"gizmos","singularName":"gizmo","kind":"Gizmo","namespaced":true,"verbs":["get"]}]}"#
        }
    }
}

fn rows(world: &World) {
    world.rows("heat", vec![row(&[("doodad", "g-1")], 2.0, 1000)]);
    world.rows("spin", vec![row(&[("namespace", "demo"), ("gizmo", "z")], 3.0, 1000)]);
}

async fn listed(world: &World) -> Vec<String> {
    let list = world.get(LIST).await.json();
    let resources = list["resources"].as_array().unwrap();
    let entry = |r: &serde_json::Value| format!("{} {}", r["name"].as_str().unwrap(), r["namespaced"]);
    resources.iter().map(entry).collect()
}

#[tokio::test(start_paused = true)]
async fn the_first_request_for_a_kind_nobody_knew_finds_results_by_its_scope_and_singular() {
    let (world, _) = World::in_cluster(RULES, api_server);
    rows(&world);
    assert_eq!(listed(&world).await, ["metrics/unconfigured true"]);
    let status = world.adapter.registry.status();
    assert!(status[0].problems.is_empty(), "{status:?}");
    assert!(status[0].warnings[0].contains("gadgets.example.com"), "{status:?}");
    let reply = world.get(GADGET).await;
    assert_eq!(
        (reply.code(), reply.values()),
        (200, vec!["g-1=2".to_owned()]),
        "{}",
        reply.text
    );
    let gizmo = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/demo/gizmos.example.com/z/spin";
    let reply = world.get(gizmo).await;
    assert_eq!(
        (reply.code(), reply.values()),
        (200, vec!["z=3".to_owned()]),
        "{}",
        reply.text
    );
    assert_eq!(
        listed(&world).await,
        ["gadgets.example.com/heat false", "gizmos.example.com/spin true"]
    );
    let status = world.adapter.registry.status();
    assert!(
        status[0].warnings.is_empty() && status[1].warnings.is_empty(),
        "{status:?}"
    );
    assert_eq!(status[2].warnings.len(), 1, "{status:?}");
    let reply = world.get("/apis/custom.metrics.k8s.io/v1beta2/whatsits/w/odd").await;
    assert_eq!(reply.code(), 404);
    assert!(
        reply.message().contains("the server has no resource \"whatsits\""),
        "{}",
        reply.message()
    );
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_becomes_known_in_the_background_is_registered_and_listed_before_anybody_asks() {
    let (world, mapper) = World::in_cluster(RULES, api_server);
    let registered = || world.standing.registered.load(Ordering::SeqCst);
    assert_eq!(registered(), 3);
    let cancel = CancellationToken::new();
    let mut lessons = mapper.lessons();
    let wait = async {
        while mapper.known("gadgets").is_none() {
            lessons.next().await;
        }
        // The follower hears of the same lesson.
        tokio::task::yield_now().await;
        cancel.cancel();
    };
    let registry = &world.adapter.registry;
    tokio::join!(mapper.run(cancel.clone()), registry.follow(cancel.clone()), wait);
    assert_eq!(registered(), 5, "both kinds that became known, and no other rule");
    assert_eq!(
        listed(&world).await,
        ["gadgets.example.com/heat false", "gizmos.example.com/spin true"]
    );
}

#[tokio::test(start_paused = true)]
async fn two_names_of_one_kind_that_turn_out_to_be_the_same_disable_the_second_rule() {
    let rules = "
metrics:
  - {name: spin, describes: gizmos, query: spin}
  - {name: spin, describes: gizmos.example.com, query: other}
";
    let (world, mapper) = World::in_cluster(rules, api_server);
    rows(&world);
    assert!(
        world
            .adapter
            .registry
            .status()
            .iter()
            .all(|rule| rule.problems.is_empty())
    );
    mapper.resolve("gizmos").await.unwrap();
    let status = world.adapter.registry.status();
    assert!(status[0].problems.is_empty(), "{status:?}");
    assert!(
        status[1].problems[0].contains("defined for gizmos.example.com already"),
        "{status:?}"
    );
    let gizmo = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/demo/gizmos.example.com/z/spin";
    assert_eq!(world.get(gizmo).await.code(), 200);
}
