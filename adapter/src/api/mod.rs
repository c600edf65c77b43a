//! The HTTP surface: one handler, so that the path that is authorized is the path that is answered.
//!
//! Every request goes the same way: path ([`route`]), identity, access, method, media type, answer. The listener puts
//! [`PeerCertificates`] into each request's extensions; where a response carries [`CloseConnection`] it should end the
//! connection after it (HTTP/2 has no header for that), and where it carries [`Authenticated`] it may let the connection stay.

pub mod custom;
pub mod discovery;
pub mod explained;
pub mod external;
pub mod health;
pub mod negotiate;
pub mod openapi;
pub mod route;
pub mod status;
pub mod types;

use crate::auth::authorize::{Attributes, Authorizer, Decision};
use crate::auth::peer::PeerCertificates;
use crate::auth::{AuthenticateError, Authenticator, Certified, Identity};
use crate::error::{ApiError, Kind};
use crate::objects::Objects;
use crate::registry::Registry;
use crate::selection::Selections;
use crate::stats::Stats;
use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use http::{HeaderMap, Method, Version};
use leadline_model::Clock;
use leadline_model::target::Board;
use route::{ParsedQuery, Route};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Bounds on what requests may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// One request; then 504. An HPA waits without limit and has five workers for a whole cluster.
    pub deadline: Duration,
    /// Requests at the same time; then 429. Of those, a quarter at most are of callers who have not proven who they are.
    pub concurrent: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            deadline: Duration::from_millis(2500),
            concurrent: 512,
        }
    }
}

/// Something that has to hold before `/readyz` says so.
pub trait ReadyCheck: Send + Sync {
    /// As in `/readyz?verbose` and `exclude=`.
    fn name(&self) -> &str;

    /// Whether it holds.
    ///
    /// # Errors
    /// Why not, for people.
    fn check(&self) -> Result<(), String>;
}

/// What the adapter is made of.
pub struct Adapter {
    /// The rules.
    pub registry: Arc<Registry>,
    /// The cluster's objects.
    pub objects: Objects,
    /// The targets.
    pub board: Arc<Board>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Who asks.
    pub authenticator: Arc<Authenticator>,
    /// Whether they may.
    pub authorizer: Authorizer,
    /// Counters.
    pub stats: Arc<Stats>,
    /// The selections of external metrics and of merged results that were asked for; [`Selections::default`].
    pub selections: Selections,
    /// What `/readyz` checks beside the adapter's own.
    pub checks: Vec<Arc<dyn ReadyCheck>>,
    /// Bounds.
    pub limits: Limits,
    /// The version of the program, for `/version`.
    pub version: &'static str,
}

/// Ask the listener to end the connection after this response (an extension of it): whoever was refused, or showed no
/// credential, opens a new one, which costs them a handshake (CVE-2023-44487), and keeps no place among connections.
#[derive(Debug, Clone, Copy)]
pub struct CloseConnection;

/// The caller proved who they are (an extension of the response, refusals of what they may not do included): the connection is
/// no stranger's any more. Every pod of a cluster can have that with its own token: it is no reason to keep a place for it.
#[derive(Debug, Clone, Copy)]
pub struct Authenticated;

/// What is known of who sent a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Caller {
    /// Nothing, because nobody looked.
    Unasked,
    /// Nobody vouches for them.
    Stranger,
    /// Who they are.
    Known,
}

struct Shared {
    adapter: Arc<Adapter>,
    permits: Semaphore,
    /// Taken beside a permit by whoever no certificate vouches for: until a token does, else to the end. The rest stays for the
    /// API server, whose certificate is judged at once.
    strangers: Semaphore,
}

/// The API as a router. It must only ever be served over TLS by a listener that fills [`PeerCertificates`].
pub fn router(adapter: Arc<Adapter>) -> Router {
    let most = adapter.limits.concurrent;
    let shared = Arc::new(Shared {
        adapter,
        permits: Semaphore::new(most),
        strangers: Semaphore::new(most.div_ceil(4)),
    });
    Router::new().fallback(serve).with_state(shared)
}

async fn serve(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let adapter = &shared.adapter;
    let started = tokio::time::Instant::now();
    let verb = verb_word(request.method());
    let http1 = request.version() <= Version::HTTP_11;
    let route = route::parse(request.uri().path());
    let kind = route.as_ref().map_or("other", Route::kind);
    let mut caller = Caller::Unasked;
    let answer = match (&route, shared.permits.try_acquire()) {
        // A probe must get its answer when everything else does not.
        (Ok(Route::Health(endpoint)), _) => {
            caller = Caller::Stranger;
            Ok(health::answer(adapter, *endpoint, &request))
        }
        (_, Err(_)) => Err(overloaded(&adapter.stats)),
        (route, Ok(_permit)) => {
            let work = authorized(&shared, route.as_ref().map_err(ApiError::clone), request, &mut caller);
            let timeout = |_| Err(ApiError::new(Kind::Timeout, "the request took longer than its limit"));
            tokio::time::timeout(adapter.limits.deadline, work)
                .await
                .unwrap_or_else(timeout)
        }
    };
    let mut response = answer.unwrap_or_else(|error| status::response(&error));
    if response.status() == http::StatusCode::UNAUTHORIZED {
        adapter.stats.unauthenticated.inc();
    }
    match caller {
        Caller::Stranger => close(&mut response, http1),
        Caller::Known => _ = response.extensions_mut().insert(Authenticated),
        Caller::Unasked => {}
    }
    let code = response.status().as_u16();
    adapter.stats.answered(kind, verb, code);
    if code == 200 && matches!(kind, "custom" | "external") {
        adapter.stats.durations.observe(started.elapsed());
    }
    response
}

fn overloaded(stats: &Stats) -> ApiError {
    stats.overloaded.inc();
    ApiError::new(
        Kind::TooManyRequests,
        "too many requests are in flight, try again in a second",
    )
}

fn close(response: &mut Response, http1: bool) {
    response.extensions_mut().insert(CloseConnection);
    if http1 {
        response
            .headers_mut()
            .insert(http::header::CONNECTION, http::HeaderValue::from_static("close"));
    }
}

/// Everything behind the path: identity, access, method, answer. `caller` says, however it ends, what is known of who asked.
async fn authorized(
    shared: &Shared,
    route: Result<&Route, ApiError>,
    request: Request,
    caller: &mut Caller,
) -> Result<Response, ApiError> {
    let adapter = &shared.adapter;
    let door = Door {
        authenticator: &adapter.authenticator,
        stats: &adapter.stats,
        strangers: &shared.strangers,
    };
    let (identity, _place, request) = door.identified(request, caller).await?;
    // A path that is none is refused only now, so that nobody without a credential learns what exists.
    let route = route?;
    let query = ParsedQuery::parse(request.uri().query().unwrap_or(""));
    let attributes = route.attributes(request.method(), query.watch);
    may(adapter, &identity, &attributes).await?;
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let message = format!("{} is not supported, only GET is", request.method());
        return Err(ApiError::new(Kind::MethodNotAllowed, message));
    }
    if query.watch && route.is_metric() {
        return Err(ApiError::new(
            Kind::MethodNotAllowed,
            "watch is not supported on metrics",
        ));
    }
    answer(adapter, route, &query, request.headers()).await
}

/// Where callers say who they are.
struct Door<'a> {
    authenticator: &'a Authenticator,
    stats: &'a Stats,
    strangers: &'a Semaphore,
}

impl<'a> Door<'a> {
    /// Who asks, the place of one who stays a stranger, and the request without anything that it said of that: what comes
    /// after, logs included, sees no credential and no proxied identity.
    async fn identified(
        &self,
        mut request: Request,
        caller: &mut Caller,
    ) -> Result<(Identity, Option<SemaphorePermit<'a>>, Request), ApiError> {
        let peer = request.extensions().get::<PeerCertificates>();
        let (identity, place) = self.identity(peer, request.headers(), caller).await?;
        self.authenticator.strip(request.headers_mut());
        request.extensions_mut().remove::<PeerCertificates>();
        Ok((identity, place, request))
    }

    async fn identity(
        &self,
        peer: Option<&PeerCertificates>,
        headers: &HeaderMap,
        caller: &mut Caller,
    ) -> Result<(Identity, Option<SemaphorePermit<'a>>), ApiError> {
        let failure = match self.authenticator.certified(peer, headers).map_err(unauthenticated)? {
            Certified::As(identity) => {
                *caller = Caller::Known;
                return Ok((identity, None));
            }
            Certified::Not(failure) => failure,
        };
        *caller = Caller::Stranger;
        let place = self.strangers.try_acquire().map_err(|_| overloaded(self.stats))?;
        let identity = self.authenticator.uncertified(failure, headers, self.stats).await;
        match identity.map_err(unauthenticated)? {
            Some(identity) => {
                *caller = Caller::Known;
                Ok((identity, None))
            }
            None => Ok((Identity::anonymous(), Some(place))),
        }
    }
}

fn unauthenticated(error: AuthenticateError) -> ApiError {
    match error {
        AuthenticateError::Invalid(reason) => {
            tracing::info!(reason, "request refused: unauthorized");
            ApiError::new(Kind::Unauthorized, "Unauthorized")
        }
        AuthenticateError::NotReady(reason) => ApiError::unavailable(reason),
    }
}

/// Whether the identity may; otherwise 403 with Kubernetes' text, or 500 when nobody can tell.
async fn may(adapter: &Adapter, identity: &Identity, attributes: &Attributes) -> Result<(), ApiError> {
    match adapter.authorizer.authorize(identity, attributes, &adapter.stats).await {
        Decision::Allow => Ok(()),
        Decision::Deny(reason) => Err(status::forbidden(&identity.user, attributes, &reason)),
        Decision::Failed(reason) => {
            tracing::warn!(reason, user = identity.user, "access could not be reviewed");
            Err(ApiError::internal(format!(
                "access could not be reviewed and is denied: {reason}"
            )))
        }
    }
}

async fn answer(
    adapter: &Arc<Adapter>,
    route: &Route,
    query: &ParsedQuery,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    match route {
        // Health is answered before authentication.
        Route::Health(_) => Err(ApiError::not_found("not found")),
        Route::Apis => discovery::groups(adapter, headers),
        Route::OpenApi(document) => openapi::answer(adapter, document, headers),
        _ => {
            negotiate::json(headers)?;
            match route {
                Route::Root => Ok(status::json(&discovery::paths(adapter))),
                Route::Version => Ok(status::json(&health::version(adapter.version))),
                Route::Group(group) => discovery::group(group),
                Route::Resources(group, version) => discovery::resources(adapter, group, version),
                Route::Custom(path) => custom::answer(adapter, path, query).await,
                Route::External(path) => external::answer(adapter, path, query).await,
                Route::Explain(inner) => explained::answer(adapter, inner, query).await,
                _ => Err(ApiError::not_found("the server could not find the requested resource")),
            }
        }
    }
}

/// The method as a label value; methods nobody knows share one.
fn verb_word(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "get",
        "HEAD" => "head",
        "POST" => "post",
        "PUT" => "put",
        "PATCH" => "patch",
        "DELETE" => "delete",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::token_review::{TokenError, TokenReviewer, Tokens};
    use crate::auth::trust::Trust;
    use axum::body::Body;
    use leadline_model::clock::ManualClock;

    /// Every token is `u`'s.
    struct Everybody;

    #[async_trait::async_trait]
    impl TokenReviewer for Everybody {
        async fn review(&self, _token: &str, _audiences: &[String]) -> Result<Option<Identity>, TokenError> {
            Ok(Some(Identity {
                user: "u".to_owned(),
                ..Identity::default()
            }))
        }
    }

    #[tokio::test]
    async fn what_comes_after_authentication_sees_no_credential_and_no_proxied_identity() {
        let tokens = Tokens::new(Arc::new(Everybody), Vec::new()).unwrap();
        let authenticator = Authenticator::new(Arc::new(ManualClock::at(0)), Some(tokens));
        authenticator.set_trust(Trust::default());
        let mut request = Request::get("/apis")
            .header("authorization", "Bearer good")
            .header("x-remote-user", "admin")
            .header("X-Remote-Group", "system:masters")
            .header("x_remote_uid", "0")
            .header("x-remote-extra-scopes", "all")
            .header("accept", "application/json")
            .body(Body::empty())
            .unwrap();
        request.extensions_mut().insert(PeerCertificates(Vec::new()));
        let door = Door {
            authenticator: &authenticator,
            stats: &Stats::default(),
            strangers: &Semaphore::new(1),
        };
        let mut caller = Caller::Unasked;
        let (identity, place, request) = door.identified(request, &mut caller).await.unwrap();
        let seen = (identity.user.as_str(), caller, place.is_none());
        assert_eq!(seen, ("u", Caller::Known, true));
        let seen: Vec<&str> = request.headers().keys().map(http::HeaderName::as_str).collect();
        assert_eq!(seen, ["accept"]);
        assert!(request.extensions().get::<PeerCertificates>().is_none());
    }
}
