//! Headers of requests, to the listeners' real routes: who asks, which form of an answer is accepted, what the caller has
//! already.

use super::evaluate::{api, block_on};
use super::remote::NOW;
use super::store::Made;
use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, Bytes};
use http::header::{AUTHORIZATION, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode};
use leadline_adapter::api::negotiate;
use leadline_adapter::auth::authorize::{Attributes, Authorizer, Lifetimes, Review, ReviewError, Reviewer};
use leadline_adapter::auth::token_review::{TokenError, TokenReviewer, Tokens};
use leadline_adapter::auth::trust::{Authority, RequestHeader, Trust};
use leadline_adapter::auth::{AUTHENTICATED, Authenticator, Identity};
use leadline_adapter::objects::Objects;
use leadline_adapter::selection::Selections;
use leadline_adapter::stats::Stats;
use leadline_adapter::{Adapter, Limits, PeerCertificates, Registry, router};
use leadline_cluster::{Mapper, PodStore};
use leadline_model::clock::ManualClock;
use leadline_model::target::Board;
use leadline_standing::{Query, Register, RegisterError};
use std::sync::{Arc, LazyLock};
use tower::ServiceExt;

/// Lines that are read: more headers than servers take.
const MOST: usize = 100;
/// What the user of a token is called, before the token.
const BY_TOKEN: &str = "token:";
/// The front proxy's certificate, and its authority.
const PROXY: &[u8] = include_bytes!("corpus/certificate/leaf.der");

/// Everybody may do everything, and every token names its bearer.
struct Everybody;

#[async_trait]
impl Reviewer for Everybody {
    async fn review(&self, _: &Identity, _: &Attributes) -> Result<Review, ReviewError> {
        Ok(Review {
            allowed: true,
            reason: String::new(),
        })
    }
}

#[async_trait]
impl TokenReviewer for Everybody {
    async fn review(&self, token: &str, _: &[String]) -> Result<Option<Identity>, TokenError> {
        Ok(Some(Identity {
            user: format!("{BY_TOKEN}{token}"),
            ..Identity::default()
        }))
    }
}

/// There are no rules, so nothing is registered.
struct Nobody;

impl Register for Nobody {
    fn register(&self, _: leadline_standing::Request) -> Result<Arc<dyn Query>, RegisterError> {
        Err(RegisterError::Full(0))
    }
}

/// The listeners' routes, and who lets them in.
struct World {
    authenticator: Arc<Authenticator>,
    metrics: Router,
    web: Router,
}

/// Made once: it does not change, whoever asks.
static WORLD: LazyLock<World> = LazyLock::new(World::new);

impl World {
    #[expect(clippy::panic, reason = "without it there is no target")]
    fn new() -> Self {
        let clock = Arc::new(ManualClock::at(NOW));
        let made = || -> Result<(Tokens, Trust), String> {
            let tokens = Tokens::new(Arc::new(Everybody), Vec::new()).map_err(|error| error.to_string())?;
            Ok((tokens, trust()?))
        };
        let (tokens, trust) = made().unwrap_or_else(|error| panic!("{error}"));
        let authenticator = Arc::new(Authenticator::new(clock.clone(), Some(tokens)));
        authenticator.set_trust(trust);
        let adapter = Adapter {
            registry: Registry::new(Arc::new(Nobody), Mapper::new(None)),
            objects: Objects {
                pods: PodStore::of([]),
                others: None,
            },
            board: Board::new(),
            clock: clock.clone(),
            authenticator: Arc::clone(&authenticator),
            authorizer: Authorizer::new(Arc::new(Everybody), clock, Lifetimes::default()),
            stats: Arc::new(Stats::default()),
            selections: Selections::default(),
            checks: Vec::new(),
            limits: Limits::default(),
            version: "1.2.3",
        };
        Self {
            authenticator,
            metrics: router(Arc::new(adapter)),
            web: api(Arc::new(Made::one("text", 600_000, 1.0))),
        }
    }
}

/// Kubernetes' names of the headers, believed behind one certificate.
fn trust() -> Result<Trust, String> {
    let named = |name: &str| vec![name.to_owned()];
    Ok(Trust {
        client_ca: None,
        request_header: Some(RequestHeader {
            authority: Authority::from_der(vec![PROXY.to_vec().into()])?,
            allowed_names: Vec::new(),
            username_headers: named("x-remote-user"),
            uid_headers: named("x-remote-uid"),
            group_headers: named("x-remote-group"),
            extra_prefixes: named("x-remote-extra-"),
        }),
    })
}

fn peer() -> PeerCertificates {
    PeerCertificates(vec![PROXY.to_vec().into()])
}

/// A header a line, through all that reads headers.
pub(super) fn headers(bytes: &[u8]) {
    let headers = read(bytes);
    negotiated(&headers);
    proxied(&headers);
    direct(&headers);
    stripped(&headers);
    answered(&headers);
}

/// What a connection would take of it.
fn read(bytes: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n').take(MOST) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    headers
}

/// Whoever gets a form of JSON accepts JSON.
fn negotiated(headers: &HeaderMap) {
    let json = negotiate::json(headers).is_ok();
    assert!(json || negotiate::discovery(headers).is_err(), "{headers:?}");
    assert!(json || !negotiate::prefers_json(headers), "{headers:?}");
}

/// Behind the front proxy's certificate an identity is what its headers say, and nothing that they do not.
fn proxied(headers: &HeaderMap) {
    let stats = Stats::default();
    let asked = block_on(WORLD.authenticator.authenticate(Some(&peer()), headers, &stats));
    let Some(Ok(identity)) = asked else { return };
    let sent = |name: &str, text: &str| headers.get_all(name).iter().any(|v| v.as_bytes() == text.as_bytes());
    if !sent("x-remote-user", &identity.user) {
        return by_token(headers, &identity);
    }
    assert!(!identity.user.trim().is_empty(), "nobody is nameless");
    assert!(
        identity.uid.is_empty() || sent("x-remote-uid", &identity.uid),
        "{identity:?}"
    );
    for group in &identity.groups {
        assert!(group == AUTHENTICATED || sent("x-remote-group", group), "{identity:?}");
    }
    let extra: usize = identity.extra.values().map(Vec::len).sum();
    let named = |name: &&HeaderName| name.as_str().starts_with("x-remote-extra-");
    let told: usize = headers
        .keys()
        .filter(named)
        .map(|name| headers.get_all(name).iter().count())
        .sum();
    assert_eq!(extra, told, "{identity:?}");
}

/// Without a certificate nothing but a token says who asks.
fn direct(headers: &HeaderMap) {
    let asked = block_on(WORLD.authenticator.authenticate(None, headers, &Stats::default()));
    match asked {
        Some(Ok(identity)) if headers.contains_key(AUTHORIZATION) => by_token(headers, &identity),
        Some(Ok(identity)) => assert_eq!(identity, Identity::anonymous()),
        _ => assert!(
            headers.contains_key(AUTHORIZATION),
            "without a credential nobody is refused"
        ),
    }
}

/// Of the one token that was shown.
fn by_token(headers: &HeaderMap, identity: &Identity) {
    let shown: Vec<&[u8]> = headers
        .get_all(AUTHORIZATION)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    let token = identity.user.strip_prefix(BY_TOKEN).unwrap_or_default();
    assert!(
        shown.len() == 1 && !token.is_empty() && shown[0].trim_ascii().ends_with(token.as_bytes()),
        "{identity:?} of {headers:?}"
    );
    assert_eq!(identity.groups, [AUTHENTICATED], "{identity:?}");
    assert!(identity.uid.is_empty() && identity.extra.is_empty(), "{identity:?}");
}

/// What comes after authentication sees no credential, and all the rest.
fn stripped(headers: &HeaderMap) {
    let mut left = headers.clone();
    WORLD.authenticator.strip(&mut left);
    for name in headers.keys() {
        let dashed = name.as_str().replace('_', "-");
        let doomed = name == AUTHORIZATION
            || ["x-remote-user", "x-remote-uid", "x-remote-group"].contains(&dashed.as_str())
            || dashed.starts_with("x-remote-extra-");
        assert_eq!(left.contains_key(name), !doomed, "{name}");
    }
}

/// Each route answers in JSON or says that it cannot; who has an answer already is told so.
fn answered(headers: &HeaderMap) {
    for path in ["/apis", "/openapi/v2", "/apis/custom.metrics.k8s.io/v1beta2"] {
        let Some((status, answer, body)) = get(&WORLD.metrics, path, headers) else {
            return;
        };
        match status {
            StatusCode::OK | StatusCode::UNAUTHORIZED | StatusCode::NOT_ACCEPTABLE => is_json(path, &body),
            StatusCode::NOT_MODIFIED => {
                assert!(
                    headers.contains_key(IF_NONE_MATCH) && body.is_empty(),
                    "{path}: {headers:?}"
                );
            }
            _ => assert!(status.is_success(), "{path}: {status} to {headers:?}"),
        }
        if let Some(etag) = answer.get(ETAG) {
            let mut again = headers.clone();
            again.insert(IF_NONE_MATCH, etag.clone());
            let known = get(&WORLD.metrics, path, &again).map(|(status, ..)| status);
            assert_eq!(known, Some(StatusCode::NOT_MODIFIED), "{path}: {again:?}");
        }
    }
    let Some((status, _, body)) = get(&WORLD.web, "/api/v1/labels", headers) else {
        return;
    };
    assert_eq!(status, StatusCode::OK, "{headers:?}");
    is_json("/api/v1/labels", &body);
}

fn is_json(path: &str, body: &Bytes) {
    let read = serde_json::from_slice::<serde_json::Value>(body);
    assert!(read.is_ok(), "{path}: {read:?}");
}

fn get(routes: &Router, path: &str, headers: &HeaderMap) -> Option<(StatusCode, HeaderMap, Bytes)> {
    let mut request = Request::get(path).body(Body::empty()).ok()?;
    request.headers_mut().clone_from(headers);
    request.extensions_mut().insert(peer());
    block_on(async {
        let Ok(response) = routes.clone().oneshot(request).await;
        let (head, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.ok()?;
        Some((head.status, head.headers, body))
    })?
}
