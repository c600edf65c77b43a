//! GET requests.

use crate::auth;
use crate::connect::{Connections, Open, Origin};
use crate::error::{FetchError, chain};
use crate::redirect;
use crate::settings::Settings;
use crate::tls::Tls;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::SendRequest;

/// How many redirects are followed.
pub const MAX_REDIRECTS: usize = 10;

/// The most memory (bytes) that an announced length makes reserve ahead of the bytes themselves.
const MOST_RESERVED: u64 = 8 << 20;

/// Does requests with one section of settings. Share it among the targets of a job.
#[derive(Debug)]
pub struct Client {
    settings: Settings,
    tls: Tls,
}

/// A request.
#[derive(Debug, Clone, Copy)]
pub struct Get<'a> {
    /// Absolute, http or https.
    pub uri: &'a Uri,
    /// Sent as they are; Host and Authorization are added.
    pub headers: &'a HeaderMap,
    /// A body that reaches so many bytes (as transferred) is refused.
    pub body_limit: u64,
}

/// What a server answered, without the body.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
}

impl Client {
    /// A client with checked `settings`; no file is read yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            tls: Tls::default(),
        }
    }

    /// Requests `get.uri` and replaces `body` by the answer's body; redirects are followed where the settings say so.
    ///
    /// There is no time limit here: wrap the call. Dropping it half-way closes the connection in use. A connection that
    /// the server closed while it was kept is replaced once without an error.
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn get(
        &self,
        connections: &mut Connections,
        get: Get<'_>,
        body: &mut Vec<u8>,
    ) -> Result<Answer, FetchError> {
        let first = Origin::of(get.uri)?;
        let mut credentials = auth::header(&self.settings)?;
        let mut uri = get.uri.clone();
        for _ in 0..=MAX_REDIRECTS {
            let origin = Origin::of(&uri)?;
            if !redirect::keeps_credentials(&first, &origin) {
                credentials = None;
            }
            let this = Get { uri: &uri, ..get };
            let answer = self
                .exchange(connections, &origin, this, credentials.as_ref(), body)
                .await?;
            if !self.settings.follow_redirects {
                return Ok(answer);
            }
            match redirect::target(&uri, answer.status, &answer.headers)? {
                Some(next) => uri = next,
                None => return Ok(answer),
            }
        }
        Err(FetchError::TooManyRedirects(MAX_REDIRECTS))
    }

    async fn exchange(
        &self,
        connections: &mut Connections,
        origin: &Origin,
        get: Get<'_>,
        credentials: Option<&HeaderValue>,
        body: &mut Vec<u8>,
    ) -> Result<Answer, FetchError> {
        loop {
            let mut open = connections.open(&self.settings, &self.tls, origin).await?;
            let request = request(get, credentials)?;
            let Open { sender, driver, .. } = &mut open;
            match driver.drive(send(sender, request, origin)).await {
                Ok(response) => {
                    let answer = driver.drive(read(response, get.body_limit, origin, body)).await?;
                    connections.keep(open);
                    return Ok(answer);
                }
                // The server may have closed it while nobody looked; a GET can be repeated.
                Err(_) if open.reused => {}
                Err(error) => return Err(error),
            }
        }
    }
}

fn request(get: Get<'_>, credentials: Option<&HeaderValue>) -> Result<Request<Empty<Bytes>>, FetchError> {
    let fail = |reason| FetchError::Url {
        url: get.uri.to_string(),
        reason,
    };
    let authority = get.uri.authority().ok_or_else(|| fail("expected a host"))?.as_str();
    let host = authority.rsplit('@').next().unwrap_or(authority);
    let path = get.uri.path_and_query().map_or("/", |p| p.as_str());
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = path.parse().map_err(|_| fail("expected a path"))?;
    *request.headers_mut() = get.headers.clone();
    let host = HeaderValue::from_str(host).map_err(|_| fail("expected a host"))?;
    request.headers_mut().insert(header::HOST, host);
    if let Some(credentials) = credentials {
        request.headers_mut().insert(header::AUTHORIZATION, credentials.clone());
    }
    Ok(request)
}

async fn send(
    sender: &mut SendRequest<Empty<Bytes>>,
    request: Request<Empty<Bytes>>,
    origin: &Origin,
) -> Result<Response<Incoming>, FetchError> {
    let fail = |e: hyper::Error| FetchError::Exchange {
        address: origin.address(),
        reason: chain(&e),
    };
    sender.ready().await.map_err(fail)?;
    sender.send_request(request).await.map_err(fail)
}

async fn read(
    response: Response<Incoming>,
    limit: u64,
    origin: &Origin,
    into: &mut Vec<u8>,
) -> Result<Answer, FetchError> {
    let (head, mut body) = response.into_parts();
    into.clear();
    if body.size_hint().lower() >= limit {
        return Err(FetchError::BodyTooLarge(limit));
    }
    into.reserve(usize::try_from(body.size_hint().lower().min(MOST_RESERVED)).unwrap_or(0));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| FetchError::Exchange {
            address: origin.address(),
            reason: chain(&e),
        })?;
        let Some(data) = frame.data_ref() else { continue };
        if into.len() as u64 + data.len() as u64 >= limit {
            return Err(FetchError::BodyTooLarge(limit));
        }
        into.extend_from_slice(data);
    }
    Ok(Answer {
        status: head.status,
        headers: head.headers,
    })
}
