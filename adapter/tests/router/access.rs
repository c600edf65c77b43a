//! Whether they may: what is asked, what is remembered, and what happens when nobody answers.

use crate::world::{Mood, NOW, World, request};
use leadline_adapter::auth::Identity;
use leadline_adapter::auth::authorize::{Attributes, Authorizer, Decision, Lifetimes, Reviewer, Target};
use leadline_adapter::auth::fixed::OneIdentity;
use leadline_adapter::stats::Stats;
use std::sync::Arc;

const RULES: &str = "metrics: [{name: q, describes: external, query: q}, {name: rps, describes: pods, query: rps}]";
const PODS: &str = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/demo/pods/*/rps";
const QUEUE: &str = "/apis/external.metrics.k8s.io/v1beta1/namespaces/demo/q";

fn identity(user: &str) -> Identity {
    Identity {
        user: user.into(),
        uid: "1".into(),
        groups: vec!["g".into()],
        ..Identity::default()
    }
}

fn path(path: &str) -> Attributes {
    Attributes {
        verb: "get",
        target: Target::Path(path.into()),
    }
}

/// Asks the world's authorizer.
async fn ask(world: &World, identity: &Identity, attributes: &Attributes) -> Decision {
    world
        .adapter
        .authorizer
        .authorize(identity, attributes, &world.adapter.stats)
        .await
}

fn reviews(world: &World) -> usize {
    world.reviewer.asked.lock().len()
}

#[tokio::test]
async fn a_denial_is_told_in_kubernetes_words() {
    let world = World::new(RULES);
    *world.reviewer.mood.lock() = Mood::DenyAll;
    for (path, message) in [
        (
            PODS,
            "pods.custom.metrics.k8s.io \"*\" is forbidden: User \"user\" cannot get resource \"pods/rps\" in API group \
             \"custom.metrics.k8s.io\" in the namespace \"demo\"",
        ),
        (
            QUEUE,
            "q.external.metrics.k8s.io is forbidden: User \"user\" cannot list resource \"q\" in API group \
             \"external.metrics.k8s.io\" in the namespace \"demo\"",
        ),
        (
            "/apis/custom.metrics.k8s.io/v1beta2/nodes/n1/temp",
            "nodes.custom.metrics.k8s.io \"n1\" is forbidden: User \"user\" cannot get resource \"nodes/temp\" in API group \
             \"custom.metrics.k8s.io\" at the cluster scope",
        ),
        (
            "/apis/custom.metrics.k8s.io/v1beta2/namespaces/demo/metrics/load",
            "metrics.custom.metrics.k8s.io \"load\" is forbidden: User \"user\" cannot get resource \"metrics\" in API group \
             \"custom.metrics.k8s.io\" in the namespace \"demo\"",
        ),
        ("/metrics", "forbidden: User \"user\" cannot get path \"/metrics\""),
    ] {
        let reply = world.get(path).await;
        assert_eq!((reply.code(), reply.message().as_str()), (403, message), "{path}");
    }
    // Without access nothing tells whether a metric exists or a method is supported.
    let reply = world.send(request("DELETE", Some(&world.user), PODS, &[])).await;
    assert_eq!(reply.code(), 403);
    assert!(reply.message().contains("cannot delete resource"), "{}", reply.text);
}

#[tokio::test]
async fn health_is_always_allowed_and_masters_may_everything() {
    let world = World::new(RULES);
    *world.reviewer.mood.lock() = Mood::Fail;
    assert_eq!(world.get_as(None, "/readyz", &[]).await.code(), 200);
    let master = world.clients.client("root", &["system:masters"]);
    assert_eq!(world.get_as(Some(&master), "/apis", &[]).await.code(), 200);
    assert_eq!(reviews(&world), 0);
}

#[tokio::test]
async fn no_answer_is_no_allow() {
    let world = World::new(RULES);
    *world.reviewer.mood.lock() = Mood::Fail;
    let reply = world.get(QUEUE).await;
    assert_eq!(reply.code(), 500);
    assert!(
        reply.message().contains("is denied: connection refused"),
        "{}",
        reply.text
    );
}

#[tokio::test]
async fn an_answer_is_remembered_for_exactly_who_and_what() {
    let world = World::new(RULES);
    let base = identity("u");
    let resource = |verb, namespace: &str, name: &str, sub: &str| Attributes {
        verb,
        target: Target::Resource {
            group: "g".into(),
            version: "v".into(),
            resource: "pods".into(),
            subresource: sub.into(),
            namespace: namespace.into(),
            name: name.into(),
        },
    };
    let what = resource("get", "demo", "*", "rps");
    let others: Vec<(Identity, Attributes)> = vec![
        (identity("v"), what.clone()),
        (
            Identity {
                uid: "2".into(),
                ..base.clone()
            },
            what.clone(),
        ),
        (
            Identity {
                groups: vec!["h".into()],
                ..base.clone()
            },
            what.clone(),
        ),
        (
            Identity {
                extra: [("k".to_owned(), vec!["v".to_owned()])].into(),
                ..base.clone()
            },
            what.clone(),
        ),
        (base.clone(), resource("list", "demo", "*", "rps")),
        (base.clone(), resource("get", "other", "*", "rps")),
        (base.clone(), resource("get", "demo", "x", "rps")),
        (base.clone(), resource("get", "demo", "*", "other")),
        (base.clone(), path("/apis")),
    ];
    for _ in 0..3 {
        assert_eq!(ask(&world, &base, &what).await, Decision::Allow);
    }
    assert_eq!(reviews(&world), 1);
    for (i, (who, what)) in others.iter().enumerate() {
        ask(&world, who, what).await;
        assert_eq!(reviews(&world), i + 2, "{who:?} {what:?}");
    }
    let huge = path(&"x".repeat(10_000));
    ask(&world, &base, &huge).await;
    ask(&world, &base, &huge).await;
    assert_eq!(reviews(&world), others.len() + 3, "large questions are not remembered");
}

#[tokio::test]
async fn an_allow_is_refreshed_ahead_and_outlives_an_outage_for_ten_minutes() {
    let world = World::new(RULES);
    let (who, what) = (identity("u"), path("/apis"));
    assert_eq!(ask(&world, &who, &what).await, Decision::Allow);
    world.clock.set(NOW + 200_000);
    assert_eq!((ask(&world, &who, &what).await, reviews(&world)), (Decision::Allow, 1));
    // In the last minute of its life the answer is looked up again behind the caller's back, once.
    world.clock.set(NOW + 250_000);
    for _ in 0..3 {
        assert_eq!(ask(&world, &who, &what).await, Decision::Allow);
    }
    while world.reviewer.asked.lock().len() < 2 {
        tokio::task::yield_now().await;
    }
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert_eq!(reviews(&world), 2);
    // The API server goes away: the answer of NOW+250 s holds until ten minutes after it was given.
    *world.reviewer.mood.lock() = Mood::Fail;
    world.clock.set(NOW + 250_000 + 599_000);
    assert_eq!(ask(&world, &who, &what).await, Decision::Allow);
    assert!(
        matches!(ask(&world, &who, &path("/other")).await, Decision::Failed(_)),
        "a miss is denied"
    );
    world.clock.set(NOW + 250_000 + 601_000);
    assert!(matches!(ask(&world, &who, &what).await, Decision::Failed(_)));
    // It comes back and says no.
    *world.reviewer.mood.lock() = Mood::DenyAll;
    assert!(matches!(ask(&world, &who, &what).await, Decision::Deny(_)));
}

#[tokio::test]
async fn a_revoked_right_ends_with_its_lifetime() {
    let world = World::new(RULES);
    let (who, what) = (identity("u"), path("/apis"));
    assert_eq!(ask(&world, &who, &what).await, Decision::Allow);
    *world.reviewer.mood.lock() = Mood::DenyAll;
    world.clock.set(NOW + 300_000);
    assert!(matches!(ask(&world, &who, &what).await, Decision::Deny(_)));
}

#[tokio::test]
async fn a_deny_is_remembered_for_ten_seconds() {
    let world = World::new(RULES);
    *world.reviewer.mood.lock() = Mood::DenyAll;
    let (who, what) = (identity("u"), path("/apis"));
    for _ in 0..3 {
        assert!(matches!(ask(&world, &who, &what).await, Decision::Deny(_)));
    }
    assert_eq!(reviews(&world), 1);
    *world.reviewer.mood.lock() = Mood::AllowAll;
    world.clock.set(NOW + 10_000);
    assert_eq!(ask(&world, &who, &what).await, Decision::Allow);
}

#[tokio::test]
async fn equal_questions_at_the_same_time_share_one_review() {
    let world = World::new(RULES);
    let (who, what) = (identity("u"), path("/apis"));
    let asks = (0..50).map(|_| ask(&world, &who, &what));
    for decision in futures::future::join_all(asks).await {
        assert_eq!(decision, Decision::Allow);
    }
    assert_eq!(reviews(&world), 1);
}

#[tokio::test(start_paused = true)]
async fn a_review_that_hangs_is_cut_and_those_who_waited_fail_with_it() {
    struct Hangs;
    #[async_trait::async_trait]
    impl Reviewer for Hangs {
        async fn review(
            &self,
            _: &Identity,
            _: &Attributes,
        ) -> Result<leadline_adapter::auth::authorize::Review, leadline_adapter::auth::authorize::ReviewError> {
            std::future::pending().await
        }
    }
    let world = World::new(RULES);
    let authorizer = Authorizer::new(Arc::new(Hangs), world.clock.clone(), Lifetimes::default());
    let stats = Arc::new(Stats::default());
    let (who, what) = (identity("u"), path("/apis"));
    let started = tokio::time::Instant::now();
    let asks = (0..10).map(|_| authorizer.authorize(&who, &what, &stats));
    for decision in futures::future::join_all(asks).await {
        assert!(matches!(decision, Decision::Failed(_)));
    }
    assert!(
        started.elapsed() < std::time::Duration::from_secs(2),
        "virtual time: one wait, not ten"
    );
}

#[tokio::test]
async fn the_demos_authorizer_lets_one_identity_read() {
    let one = OneIdentity::for_demo("demo");
    let write = Attributes {
        verb: "delete",
        target: Target::Path("/apis".into()),
    };
    for (who, what, allowed) in [
        ("demo", path("/apis"), true),
        ("demo", write, false),
        ("other", path("/apis"), false),
    ] {
        assert_eq!(
            one.review(&identity(who), &what).await.unwrap().allowed,
            allowed,
            "{who} {what:?}"
        );
    }
}

#[tokio::test]
async fn a_user_without_the_right_gets_403_while_another_reads() {
    let world = World::new(RULES);
    *world.reviewer.mood.lock() = Mood::Allow("user".into());
    assert_eq!(world.get("/apis").await.code(), 200);
    let nobody = world.clients.client("nobody", &[]);
    assert_eq!(world.get_as(Some(&nobody), "/apis", &[]).await.code(), 403);
    let spoof = [("x-remote-user", "user"), ("x-remote-group", "system:masters")];
    assert_eq!(world.get_as(Some(&nobody), "/apis", &spoof).await.code(), 403);
    assert_eq!(world.get_as(None, "/apis", &spoof).await.code(), 403);
}
