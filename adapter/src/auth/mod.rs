//! Who asks, and whether they may: delegated authentication and authorization as an aggregated API server does them.
//!
//! Authentication, in this order (`k8s.io/apiserver`, `authenticatorfactory/delegating.go`): the request headers of the
//! front proxy ([`front_proxy`]), a client certificate ([`client_cert`]), a bearer token ([`token_review`]), and
//! anonymous only where no credential was shown. Authorization asks SubjectAccessReviews ([`authorize`]).
//!
//! Nothing here is fail-open: while the data that authentication needs is missing, only health is answered.

pub mod authorize;
pub mod client_cert;
pub mod fixed;
pub mod front_proxy;
pub mod kubernetes;
pub mod peer;
pub mod token_review;
pub mod trust;

use crate::stats::Stats;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use leadline_model::Clock;
use parking_lot::RwLock;
use peer::PeerCertificates;
use std::collections::BTreeMap;
use std::sync::Arc;
use token_review::{TokenError, Tokens};
use trust::Trust;

/// The group of everybody who was authenticated.
pub const AUTHENTICATED: &str = "system:authenticated";
/// The group of everybody who was not.
pub const UNAUTHENTICATED: &str = "system:unauthenticated";
/// The user without credentials.
pub const ANONYMOUS: &str = "system:anonymous";
/// The group that may do everything.
pub const MASTERS: &str = "system:masters";

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Identity {
    /// User name; never empty.
    pub user: String,
    /// Unique id; empty when unknown.
    pub uid: String,
    /// Groups, as given, with [`AUTHENTICATED`] appended.
    pub groups: Vec<String>,
    /// Further attributes, by lower-case key.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl Identity {
    /// The user without credentials.
    #[must_use]
    pub fn anonymous() -> Self {
        Self {
            user: ANONYMOUS.to_owned(),
            groups: vec![UNAUTHENTICATED.to_owned()],
            ..Self::default()
        }
    }

    /// Appends [`AUTHENTICATED`] where neither it nor [`UNAUTHENTICATED`] is among the groups: the aggregator calls
    /// discovery without any group.
    #[must_use]
    fn authenticated(mut self) -> Self {
        let settled = |g: &String| g == AUTHENTICATED || g == UNAUTHENTICATED;
        if self.user != ANONYMOUS && !self.groups.iter().any(settled) {
            self.groups.push(AUTHENTICATED.to_owned());
        }
        self
    }
}

/// Why a request has no identity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthenticateError {
    /// A credential was shown and is not valid; answered 401 without the reason, which is for the log.
    #[error("{0}")]
    Invalid(String),
    /// What authentication needs is not loaded yet; answered 503.
    #[error("{0}")]
    NotReady(String),
}

/// What a connection's certificates say of who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Certified {
    /// This identity: their own, or the one that the front proxy names.
    As(Identity),
    /// Nothing: none was shown, or why those that were are not believed.
    Not(Option<String>),
}

/// Authenticates requests.
pub struct Authenticator {
    trust: RwLock<Option<Arc<Trust>>>,
    tokens: Option<Tokens>,
    chains: peer::VerifiedChains,
    clock: Arc<dyn Clock>,
    anonymous: bool,
}

impl std::fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authenticator").finish_non_exhaustive()
    }
}

impl Authenticator {
    /// An authenticator that waits for its trust data ([`Self::set_trust`]); `tokens` is absent where no API server
    /// can review any.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, tokens: Option<Tokens>) -> Self {
        let chains = peer::VerifiedChains::new();
        Self {
            trust: RwLock::new(None),
            tokens,
            chains,
            clock,
            anonymous: true,
        }
    }

    /// Refuses requests without credentials with 401, instead of calling them `system:anonymous`.
    #[must_use]
    pub fn without_anonymous(mut self) -> Self {
        self.anonymous = false;
        self
    }

    /// Replaces the certificate authorities and header names; every later request is judged by them, on connections
    /// that are open already too.
    pub fn set_trust(&self, trust: Trust) {
        for warning in trust.warnings() {
            tracing::warn!(warning, "authentication data");
        }
        *self.trust.write() = Some(Arc::new(trust));
        self.chains.forget();
    }

    /// The trust data in force.
    #[must_use]
    pub fn trust(&self) -> Option<Arc<Trust>> {
        self.trust.read().clone()
    }

    /// Who asks. `peer` is the certificate chain of the connection, unverified as the handshake left it.
    ///
    /// # Errors
    /// [`AuthenticateError`].
    pub async fn authenticate(
        &self,
        peer: Option<&PeerCertificates>,
        headers: &HeaderMap,
        stats: &Stats,
    ) -> Result<Identity, AuthenticateError> {
        match self.certified(peer, headers)? {
            Certified::As(identity) => Ok(identity),
            Certified::Not(failure) => {
                let identity = self.uncertified(failure, headers, stats).await?;
                Ok(identity.unwrap_or_else(Identity::anonymous))
            }
        }
    }

    /// What the certificate chain of the connection says, at once and without asking anybody.
    ///
    /// # Errors
    /// [`AuthenticateError::NotReady`].
    pub fn certified(
        &self,
        peer: Option<&PeerCertificates>,
        headers: &HeaderMap,
    ) -> Result<Certified, AuthenticateError> {
        let Some(trust) = self.trust() else {
            return Err(AuthenticateError::NotReady(
                "authentication data is not loaded yet".into(),
            ));
        };
        let Some(peer) = peer.filter(|p| !p.0.is_empty()) else {
            return Ok(Certified::Not(None));
        };
        Ok(match self.by_certificate(&trust, peer, headers) {
            Ok(identity) => Certified::As(identity.authenticated()),
            Err(reason) => Certified::Not(Some(reason)),
        })
    }

    /// Whether the certificate chain of a connection vouches for whoever opened it, before any request: it is the front
    /// proxy's, or leads to the clients' authority. Never while the trust data is missing.
    #[must_use]
    pub fn vouches_for(&self, peer: &PeerCertificates) -> bool {
        let (Some(trust), now) = (self.trust(), self.clock.now()) else {
            return false;
        };
        let proxy = trust.request_header.as_ref();
        let client = trust.client_ca.as_ref();
        proxy.is_some_and(|proxy| front_proxy::shown(proxy, peer, now, &self.chains).is_ok())
            || client.is_some_and(|authority| client_cert::identify(authority, peer, now, &self.chains).is_ok())
    }

    /// Who asks where [`Self::certified`] gave `failure`: whoever a token is of, which the API server may have to tell; `None`
    /// for somebody who showed no credential at all.
    ///
    /// # Errors
    /// [`AuthenticateError`].
    pub async fn uncertified(
        &self,
        failure: Option<String>,
        headers: &HeaderMap,
        stats: &Stats,
    ) -> Result<Option<Identity>, AuthenticateError> {
        if let Some(token) = bearer(headers)? {
            let Some(tokens) = &self.tokens else {
                return Err(AuthenticateError::Invalid(
                    "bearer tokens cannot be reviewed without an API server".into(),
                ));
            };
            return match tokens.review(token, stats).await {
                Ok(Some(identity)) => Ok(Some(Identity::clone(&identity).authenticated())),
                Ok(None) => Err(AuthenticateError::Invalid("the bearer token is not valid".into())),
                Err(TokenError(reason)) => Err(AuthenticateError::Invalid(format!("token review failed: {reason}"))),
            };
        }
        match failure {
            Some(reason) => Err(AuthenticateError::Invalid(reason)),
            None if self.anonymous => Ok(None),
            None => Err(AuthenticateError::Invalid("no credentials".into())),
        }
    }

    /// The front proxy's word first, then the certificate's own subject; each against its own authority only.
    fn by_certificate(&self, trust: &Trust, peer: &PeerCertificates, headers: &HeaderMap) -> Result<Identity, String> {
        let now = self.clock.now();
        let mut reasons = Vec::new();
        if let Some(proxy) = &trust.request_header {
            match front_proxy::identify(proxy, peer, headers, now, &self.chains) {
                Ok(Some(identity)) => return Ok(identity),
                Ok(None) => reasons.push("front proxy: no user name header".to_owned()),
                Err(reason) => reasons.push(format!("front proxy: {reason}")),
            }
        }
        if let Some(authority) = &trust.client_ca {
            match client_cert::identify(authority, peer, now, &self.chains) {
                Ok(identity) => return Ok(identity),
                Err(reason) => reasons.push(format!("client certificate: {reason}")),
            }
        }
        if reasons.is_empty() {
            reasons.push("no authority to verify the client certificate against".into());
        }
        Err(reasons.join("; "))
    }

    /// Removes every header that carries a credential or a proxied identity, so that nothing behind authentication
    /// can see, log or believe one. Underscores count as dashes.
    pub fn strip(&self, headers: &mut HeaderMap) {
        let trust = self.trust();
        let proxy = trust.as_ref().and_then(|t| t.request_header.as_ref());
        let doomed: Vec<_> = headers
            .keys()
            .filter(|name| **name == AUTHORIZATION || front_proxy::is_identity_header(proxy, name.as_str()))
            .cloned()
            .collect();
        for name in doomed {
            headers.remove(name);
        }
    }
}

/// The bearer token of a request, if it shows one. Two `Authorization` headers are refused: whoever forwards them may
/// have checked the other.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, AuthenticateError> {
    let invalid = |why: &str| Err(AuthenticateError::Invalid(why.to_owned()));
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return invalid("more than one authorization header");
    }
    let Ok(value) = value.to_str() else {
        return invalid("the authorization header is no text");
    };
    let (scheme, token) = value.trim().split_once(' ').unwrap_or((value.trim(), ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return invalid("only bearer tokens are accepted in the authorization header");
    }
    let token = token.trim();
    if token.is_empty() {
        return invalid("the bearer token is empty");
    }
    Ok(Some(token))
}
