//! Callers who show no credential: what they may take of what the HPA needs.

use crate::world::{Mood, World, request};
use async_trait::async_trait;
use leadline_adapter::api::Limits;
use leadline_adapter::auth::Identity;
use leadline_adapter::auth::token_review::{TokenError, TokenReviewer};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// Reviews that never come to an end.
struct Silent;

#[async_trait]
impl TokenReviewer for Silent {
    async fn review(&self, _token: &str, _audiences: &[String]) -> Result<Option<Identity>, TokenError> {
        std::future::pending().await
    }
}

#[tokio::test]
async fn the_connection_of_whoever_proves_nothing_ends_with_the_answer_and_that_of_others_is_known() {
    let nobody = [
        ("x-remote-user", "system:anonymous"),
        ("x-remote-group", "system:unauthenticated"),
    ];
    let (good, bad) = ([("authorization", "Bearer good")], [("authorization", "Bearer bad")]);
    for (what, certificate, headers, allowed, path, code, closes) in [
        ("anonymous", "none", &[][..], true, "/apis", 200, true),
        ("anonymous, denied", "none", &[], false, "/apis", 403, true),
        ("anonymous, no such path", "none", &[], true, "/none", 404, true),
        ("a probe", "none", &[], true, "/livez", 200, true),
        ("a token that is not valid", "none", &bad, true, "/apis", 401, true),
        ("a token", "none", &good, true, "/apis", 200, false),
        ("a certificate", "own", &[], true, "/apis", 200, false),
        ("a certificate, denied", "own", &[], false, "/apis", 403, false),
        // The connection is the API server's, whoever it asks for.
        (
            "the front proxy",
            "proxy",
            &[("x-remote-user", "u")],
            true,
            "/apis",
            200,
            false,
        ),
        (
            "nobody at the front proxy",
            "proxy",
            &nobody,
            false,
            "/apis",
            403,
            false,
        ),
    ] {
        let world = World::new("metrics: []");
        *world.reviewer.mood.lock() = if allowed { Mood::AllowAll } else { Mood::DenyAll };
        let proxy = world.proxies.client("front-proxy-client", &[]);
        let peer = match certificate {
            "own" => Some(&world.user),
            "proxy" => Some(&proxy),
            _ => None,
        };
        let reply = world.get_as(peer, path, headers).await;
        assert_eq!((reply.code(), reply.closes), (code, closes), "{what}: {}", reply.text);
        assert_eq!(reply.header("connection") == "close", closes, "{what}");
        assert_eq!(reply.known, !closes, "{what}");
    }
}

/// Sends a request that is not answered, and waits until it is under way.
async fn under_way(world: &World, headers: &[(&str, &str)]) -> JoinHandle<()> {
    let (router, request) = (world.router.clone(), request("GET", None, "/apis", headers));
    let task = tokio::spawn(async move {
        let _ = tower::ServiceExt::oneshot(router, request).await;
    });
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!task.is_finished());
    task
}

// Time stands still while there is something to do, so that no limit on it ends a request that hangs.
#[tokio::test(start_paused = true)]
async fn strangers_take_a_quarter_of_the_requests_at_most() {
    let limits = Limits {
        concurrent: 8,
        deadline: Duration::from_secs(60),
    };
    for (what, headers) in [
        ("anonymous", &[][..]),
        ("tokens under review", &[("authorization", "Bearer slow")]),
    ] {
        let world = World::untrusting("metrics: []", limits, Some(Arc::new(Silent)));
        world.trust();
        *world.reviewer.mood.lock() = Mood::Hang;
        let first = under_way(&world, headers).await;
        let second = under_way(&world, headers).await;
        for _ in 0..8 {
            let reply = world.get_as(None, "/apis", headers).await;
            assert_eq!((reply.code(), reply.closes), (429, true), "{what}: {}", reply.text);
            assert!(!reply.known, "{what}");
            assert_eq!(world.get("/apis").await.code(), 200, "{what}");
        }
        assert_eq!(world.counters()["overloaded_total{}"], 8.0, "{what}");
        first.abort();
        assert!(first.await.unwrap_err().is_cancelled());
        let third = under_way(&world, headers).await;
        second.abort();
        third.abort();
    }
}
