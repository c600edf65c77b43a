//! Who asked a query: what the query log says of a request.

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::Method;
use axum::http::request::Parts;
use leadline_promql::log::Origin;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};

/// A client and its method. The address is the connection's, where whoever serves tells it ([`ConnectInfo`]).
pub(crate) struct Asker {
    client: Option<IpAddr>,
    method: &'static str,
}

impl Asker {
    /// The origin of a query that was asked at `path`.
    pub(crate) fn of(&self, path: &'static str) -> Origin {
        Origin::Http {
            client: self.client,
            method: self.method,
            path,
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Asker {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        Ok(Self {
            client: peer.map(|ConnectInfo(peer)| peer.ip()),
            method: match parts.method {
                Method::POST => "POST",
                Method::HEAD => "HEAD",
                _ => "GET",
            },
        })
    }
}
