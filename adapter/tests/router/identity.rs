//! Who asks: every way to be taken for somebody else.

use crate::world::{Ca, World, trust};
use http::HeaderMap;
use leadline_adapter::PeerCertificates;
use leadline_adapter::auth::authorize::Target;
use leadline_adapter::auth::trust::Trust;
use leadline_adapter::auth::{Authenticator, Identity};
use leadline_adapter::stats::Stats;
use leadline_cluster::ExtensionAuth;
use leadline_model::clock::ManualClock;
use rcgen::ExtendedKeyUsagePurpose;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const PATH: &str = "/apis";

/// Who the world took the caller of a request for; `None` when it was refused with 401.
async fn who(world: &World, peer: Option<&PeerCertificates>, headers: &[(&str, &str)]) -> Option<Identity> {
    // A path that nobody asked for yet, so that access is reviewed afresh.
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let path = format!("/who/{}", NEXT.fetch_add(1, Ordering::SeqCst));
    world.reviewer.asked.lock().clear();
    let reply = world.get_as(peer, &path, headers).await;
    match reply.code() {
        401 => {
            assert_eq!(reply.message(), "Unauthorized", "the reason is for the log");
            assert!(reply.closes && reply.header("connection") == "close");
            None
        }
        404 => Some(world.reviewer.asked.lock().first().cloned().unwrap().0),
        code => panic!("{code}: {}", reply.text),
    }
}

fn user(identity: Option<&Identity>) -> &str {
    identity.map_or("401", |i| i.user.as_str())
}

#[tokio::test]
async fn request_headers_count_only_behind_the_front_proxys_certificate() {
    let world = World::new("metrics: []");
    let proxy = world.proxies.client("front-proxy-client", &[]);
    let impostor = world.proxies.client("somebody-else", &[]);
    let from_client_ca = world.clients.client("front-proxy-client", &[]);
    let stranger = Ca::new("proxies").client("front-proxy-client", &[]);
    let server_only = world.proxies.issue("front-proxy-client", &[], |p| {
        p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    });
    let expired = world.proxies.issue("front-proxy-client", &[], |p| {
        p.not_after = rcgen::date_time_ymd(2026, 1, 1);
    });
    let spoof = [("x-remote-user", "admin"), ("x-remote-group", "system:masters-no")];
    for (what, peer, expected) in [
        ("no certificate", None, "system:anonymous"),
        ("the front proxy", Some(&proxy), "admin"),
        ("a name that is not allowed", Some(&impostor), "401"),
        (
            "a client certificate of the same name",
            Some(&from_client_ca),
            "front-proxy-client",
        ),
        ("another authority of the same name", Some(&stranger), "401"),
        ("a server certificate", Some(&server_only), "401"),
        ("an expired one", Some(&expired), "401"),
    ] {
        assert_eq!(user(who(&world, peer, &spoof).await.as_ref()), expected, "{what}");
    }
    assert_eq!(
        user(who(&world, Some(&proxy), &[]).await.as_ref()),
        "401",
        "the front proxy names nobody"
    );
    assert_eq!(
        user(who(&world, Some(&proxy), &[("x-remote-user", "")]).await.as_ref()),
        "401",
        "an empty name"
    );
    assert_eq!(
        user(who(&world, Some(&proxy), &[("x-remote-user", " ")]).await.as_ref()),
        "401",
        "a blank name"
    );
    assert_eq!(
        user(who(&world, Some(&proxy), &[("x_remote_user", "admin")]).await.as_ref()),
        "401",
        "underscores"
    );
    let twice = [("x-remote-user", "a"), ("X-Remote-User", "b")];
    assert_eq!(
        user(who(&world, Some(&proxy), &twice).await.as_ref()),
        "401",
        "two names"
    );
}

#[tokio::test]
async fn the_front_proxy_gives_groups_uid_and_attributes() {
    let world = World::new("metrics: []");
    let proxy = world.proxies.client("front-proxy-client", &[]);
    let headers = [
        ("X-Remote-User", "system:serviceaccount:kube-system:hpa"),
        ("X-Remote-Uid", "5f09"),
        ("X-Remote-Group", "a"),
        ("X-Remote-Group", "b"),
        ("X-Remote-Extra-Authentication.kubernetes.io%2fcredential-Id", "JTI=1"),
    ];
    let identity = who(&world, Some(&proxy), &headers).await.unwrap();
    assert_eq!(
        (identity.user.as_str(), identity.uid.as_str()),
        ("system:serviceaccount:kube-system:hpa", "5f09")
    );
    assert_eq!(identity.groups, ["a", "b", "system:authenticated"]);
    assert_eq!(identity.extra["authentication.kubernetes.io/credential-id"], ["JTI=1"]);
    // The aggregator asks for discovery without any group.
    let identity = who(&world, Some(&proxy), &[("x-remote-user", "system:kube-aggregator")])
        .await
        .unwrap();
    assert_eq!(identity.groups, ["system:authenticated"]);
}

#[tokio::test]
async fn an_empty_list_of_allowed_names_allows_every_name_of_that_authority_alone() {
    let world = World::new("metrics: []");
    world
        .adapter
        .authenticator
        .set_trust(trust(&world.clients, &world.proxies, &[]));
    let any = world.proxies.client("whoever", &[]);
    assert_eq!(
        user(who(&world, Some(&any), &[("x-remote-user", "u")]).await.as_ref()),
        "u"
    );
    let client = world.clients.client("c", &[]);
    assert_eq!(
        user(who(&world, Some(&client), &[("x-remote-user", "u")]).await.as_ref()),
        "c"
    );
    assert!(trust(&world.clients, &world.proxies, &[]).warnings().is_empty());
    assert_eq!(trust(&world.clients, &world.clients, &[]).warnings().len(), 1);
    assert!(trust(&world.clients, &world.clients, &["x"]).warnings().is_empty());
}

#[tokio::test]
async fn a_certificate_is_judged_on_every_request() {
    let world = World::new("metrics: []");
    assert_eq!(user(who(&world, Some(&world.user), &[]).await.as_ref()), "user");
    // It expires while the connection stays open, although it verified a moment ago.
    world.clock.set(1_798_761_600_000 + 1_000);
    assert_eq!(user(who(&world, Some(&world.user), &[]).await.as_ref()), "401");
    world.clock.set(crate::world::NOW);
    assert_eq!(user(who(&world, Some(&world.user), &[]).await.as_ref()), "user");
    // The authority is replaced.
    let others = Ca::new("clients");
    world
        .adapter
        .authenticator
        .set_trust(trust(&others, &world.proxies, &[]));
    assert_eq!(user(who(&world, Some(&world.user), &[]).await.as_ref()), "401");
}

#[tokio::test]
async fn a_client_certificate_gives_user_and_groups() {
    let world = World::new("metrics: []");
    let identity = who(&world, Some(&world.clients.client("jane", &["dev"])), &[])
        .await
        .unwrap();
    assert_eq!((identity.user.as_str(), identity.uid.as_str()), ("jane", ""));
    assert_eq!(identity.groups, ["dev", "system:authenticated"]);
    let nameless = world.clients.client("", &["dev"]);
    assert_eq!(
        user(who(&world, Some(&nameless), &[]).await.as_ref()),
        "401",
        "a certificate without a name"
    );
}

#[tokio::test]
async fn tokens_are_reviewed_once_and_a_bad_one_is_never_anonymous() {
    let world = World::new("metrics: []");
    let bearer = |token: &str| format!("Bearer {token}");
    for (authorization, expected) in [
        (bearer("good"), "tokenuser"),
        (bearer("bad"), "401"),
        (bearer("nobody"), "401"),
        (bearer(""), "401"),
        ("Basic dTpw".to_owned(), "401"),
        ("bearer good".to_owned(), "tokenuser"),
    ] {
        let identity = who(&world, None, &[("authorization", &authorization)]).await;
        assert_eq!(user(identity.as_ref()), expected, "{authorization}");
    }
    let two = [("authorization", "Bearer bad"), ("authorization", "Bearer good")];
    assert_eq!(user(who(&world, None, &two).await.as_ref()), "401", "two credentials");
    // good, bad and nobody, each once.
    assert_eq!(world.tokens.asked.load(Ordering::SeqCst), 3);
    // A token counts beside a certificate of somebody else's authority.
    let foreign = Ca::new("foreign").client("x", &[]);
    assert_eq!(
        user(
            who(&world, Some(&foreign), &[("authorization", "Bearer good")])
                .await
                .as_ref()
        ),
        "tokenuser"
    );
    let identity = who(&world, None, &[("authorization", "Bearer good")]).await.unwrap();
    assert_eq!(identity.groups, ["system:authenticated"]);
}

#[tokio::test(start_paused = true)]
async fn a_review_that_fails_is_tried_again_and_then_refused() {
    let world = World::new("metrics: []");
    let headers: HeaderMap = [(http::header::AUTHORIZATION, "Bearer broken".parse().unwrap())]
        .into_iter()
        .collect();
    let refused = world
        .adapter
        .authenticator
        .authenticate(None, &headers, &world.adapter.stats)
        .await;
    assert!(refused.is_err());
    assert_eq!(world.tokens.asked.load(Ordering::SeqCst), 5);
}

#[tokio::test]
async fn equal_tokens_at_the_same_time_share_one_review() {
    let world = World::new("metrics: []");
    let header = [("authorization", "Bearer good")];
    let asks = (0..20).map(|_| world.get_as(None, PATH, &header));
    for reply in futures::future::join_all(asks).await {
        assert_eq!(reply.code(), 200);
    }
    assert_eq!(world.tokens.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn without_credentials_one_is_anonymous_unless_that_is_refused() {
    let world = World::new("metrics: []");
    let identity = who(&world, None, &[]).await.unwrap();
    assert_eq!(
        (identity.user.as_str(), identity.groups),
        ("system:anonymous", vec!["system:unauthenticated".to_owned()])
    );
    let strict = Authenticator::new(Arc::new(ManualClock::at(0)), None).without_anonymous();
    strict.set_trust(trust(&world.clients, &world.proxies, &[]));
    assert!(
        strict
            .authenticate(None, &HeaderMap::new(), &Stats::default())
            .await
            .is_err()
    );
}

#[test]
fn credentials_and_identities_are_stripped() {
    let authenticator = Authenticator::new(Arc::new(ManualClock::at(0)), None);
    let mut headers = HeaderMap::new();
    for name in [
        "authorization",
        "x-remote-user",
        "x_remote_user",
        "x-remote-group",
        "x-remote-uid",
        "x-remote-extra-a",
        "accept",
    ] {
        headers.insert(
            http::HeaderName::from_bytes(name.as_bytes()).unwrap(),
            "v".parse().unwrap(),
        );
    }
    authenticator.strip(&mut headers);
    let left: Vec<&str> = headers.keys().map(http::HeaderName::as_str).collect();
    assert_eq!(left, ["accept"]);
}

#[tokio::test]
async fn until_its_trust_is_loaded_only_health_answers() {
    let world = World::untrusting("metrics: []", leadline_adapter::Limits::default(), None);
    let token = [("authorization", "Bearer good")];
    let proxied = [("x-remote-user", "admin")];
    let proxy = world.proxies.client("front-proxy-client", &[]);
    for (peer, headers) in [
        (None, &[][..]),
        (None, &token[..]),
        (Some(&world.user), &[][..]),
        (Some(&proxy), &proxied[..]),
    ] {
        for path in [PATH, "/nowhere", "/explain/nowhere", "//"] {
            let reply = world.get_as(peer, path, headers).await;
            assert_eq!(
                (reply.code(), reply.message().as_str()),
                (503, "authentication data is not loaded yet"),
                "{path}"
            );
            assert!(!reply.known, "{path}");
        }
    }
    assert_eq!(
        world.tokens.asked.load(Ordering::SeqCst),
        0,
        "nobody's token is reviewed"
    );
    assert!(world.reviewer.asked.lock().is_empty(), "nobody's access is reviewed");
    for (path, code, part) in [
        ("/healthz", 200, "ok"),
        ("/livez", 200, "ok"),
        ("/readyz", 500, "[-]authentication failed: "),
    ] {
        let reply = world.get_as(None, path, &[]).await;
        assert_eq!(reply.code(), code, "{path}");
        assert!(reply.text.contains(part), "{path}: {}", reply.text);
    }
    world.trust();
    for (peer, path) in [(None, "/readyz"), (Some(&world.user), PATH)] {
        assert_eq!(world.get_as(peer, path, &[]).await.code(), 200, "{path}");
    }
}

#[tokio::test]
async fn a_refused_connection_is_to_end_and_http2_needs_no_header_for_that() {
    let world = World::new("metrics: []");
    for (version, header) in [(http::Version::HTTP_11, "close"), (http::Version::HTTP_2, "")] {
        let mut request = crate::world::request("GET", None, PATH, &[("authorization", "Bearer bad")]);
        *request.version_mut() = version;
        let reply = world.send(request).await;
        assert_eq!((reply.code(), reply.header("connection")), (401, header), "{version:?}");
        assert!(reply.closes, "{version:?}");
    }
}

#[test]
fn trust_comes_from_the_clusters_configmap_and_says_what_is_wrong_with_it() {
    let pem = |ca: &Ca| ca.pem();
    let (clients, proxies) = (Ca::new("c"), Ca::new("p"));
    let good = ExtensionAuth {
        client_ca: pem(&clients),
        request_header_ca: pem(&proxies),
        username_headers: vec!["X-Remote-User".into()],
        uid_headers: vec!["X-Remote-Uid".into()],
        group_headers: vec!["X-Remote-Group".into()],
        extra_prefixes: vec!["X-Remote-Extra-".into()],
        allowed_names: vec!["front-proxy-client".into()],
    };
    let read = Trust::from_cluster(&good).unwrap();
    assert_eq!(read.request_header.unwrap().username_headers, ["x-remote-user"]);
    for (broken, part) in [
        (
            ExtensionAuth {
                client_ca: "no pem".into(),
                ..good.clone()
            },
            "key client-ca-file: the bundle holds no certificate",
        ),
        (
            ExtensionAuth {
                username_headers: Vec::new(),
                ..good.clone()
            },
            "key requestheader-username-headers",
        ),
        (
            ExtensionAuth {
                extra_prefixes: vec![String::new()],
                ..good.clone()
            },
            "key requestheader-extra-headers-prefix",
        ),
    ] {
        let error = Trust::from_cluster(&broken).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

/// What access was asked for: verb, namespace, resource, subresource and name, or the path.
fn asked(world: &World) -> Vec<String> {
    let told = |target: &Target| match target {
        Target::Path(path) => path.clone(),
        Target::Resource {
            namespace,
            resource,
            subresource,
            name,
            ..
        } => format!("{namespace}|{resource}|{subresource}|{name}"),
    };
    let asked = world.reviewer.asked.lock();
    asked
        .iter()
        .map(|(_, what)| format!("{} {}", what.verb, told(&what.target)))
        .collect()
}

fn paths_world() -> World {
    World::new("metrics: [{name: q, describes: external, query: q}, {name: rps, describes: pods, query: rps}]")
}

const CUSTOM: &str = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/demo";
const EXTERNAL: &str = "/apis/external.metrics.k8s.io/v1beta1/namespaces/demo";

#[tokio::test]
async fn no_path_that_is_authorized_is_answered_as_another() {
    use crate::world::{pod_row, row};
    for (path, access, values) in [
        (
            format!("{CUSTOM}/pods/p-1/rps"),
            "get demo|pods|rps|p-1",
            &["p-1=1"][..],
        ),
        (
            format!("{CUSTOM}/pods/%70-1/r%70s"),
            "get demo|pods|rps|p-1",
            &["p-1=1"],
        ),
        (
            format!("{CUSTOM}/pods/%2A/rps"),
            "get demo|pods|rps|*",
            &["p-1=1", "p-2=2"],
        ),
        (format!("{EXTERNAL}/q"), "list demo|q||", &["-=3"]),
        (format!("{EXTERNAL}/%71"), "list demo|q||", &["-=3"]),
    ] {
        let world = paths_world();
        world.rows("rps", vec![pod_row("p-1", 1.0), pod_row("p-2", 2.0)]);
        world.rows("q", vec![row(&[("namespace", "demo")], 3.0, 1_000)]);
        let reply = world.get(&path).await;
        assert_eq!((reply.code(), asked(&world)), (200, vec![access.to_owned()]), "{path}");
        assert_eq!(reply.values(), values, "{path}");
    }
}

#[tokio::test]
async fn a_path_that_two_readers_could_read_differently_is_neither_authorized_nor_answered() {
    for path in [
        format!("{CUSTOM}/pods/p-1%2Frps/rps"),
        format!("{CUSTOM}/pods%2Fp-1/rps"),
        format!("{CUSTOM}/pods%2fp-1%2frps"),
        format!("{CUSTOM}/pods/p-1%252Frps/rps"),
        format!("{CUSTOM}//pods/p-1/rps"),
        format!("/{CUSTOM}/pods/p-1/rps"),
        format!("{CUSTOM}/pods/p-1/rps/"),
        format!("{CUSTOM}/../demo/pods/p-1/rps"),
        format!("{CUSTOM}/%2e%2e/demo/pods/p-1/rps"),
        format!("{CUSTOM}/pods/./p-1/rps"),
        format!("/healthz/..{CUSTOM}/pods/p-1/rps"),
        format!("{CUSTOM}/pods;x/p-1/rps"),
        format!("{CUSTOM}/pods/p-1;x=1/rps"),
        format!("{CUSTOM}/pods/p-1/rps%3Bx"),
        format!("{CUSTOM}/pods/p-1%5Crps/rps"),
        format!("{CUSTOM}/pods/p-1%00/rps"),
        format!("{EXTERNAL}/q;x"),
        format!("{EXTERNAL}//q"),
        format!("{EXTERNAL}/..%2Fq"),
        "/readyz;x/../apis".to_owned(),
        "/readyz/".to_owned(),
        "/%2Fapis".to_owned(),
    ] {
        let world = paths_world();
        let reply = world.get(&path).await;
        assert_eq!(reply.code(), 400, "{path}: {}", reply.text);
        let told = reply.message();
        assert!(told.starts_with("invalid request path: "), "{path}: {told}");
        assert_eq!(asked(&world), Vec::<String>::new(), "{path}");
        // Without a credential nothing is told, not even that the path is none.
        let reply = world.get_as(None, &path, &[("authorization", "Bearer bad")]).await;
        assert_eq!(reply.code(), 401, "{path}");
    }
}
