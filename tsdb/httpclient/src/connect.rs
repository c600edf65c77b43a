//! Kept-alive connections.

use crate::error::{FetchError, chain};
use crate::settings::Settings;
use crate::tls::{Tls, server_name};
use bytes::Bytes;
use http::Uri;
use http_body_util::Empty;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use std::fmt;
use std::pin::Pin;
use std::task::Poll;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// How many connections one caller keeps: to its target and to where that redirects.
const MOST_KEPT: usize = 2;

/// The most bytes read at once, and the most that the headers of an answer may have. A connection keeps this much while it
/// waits for its next request; hyper's own 400 KiB would be more than all series of most targets take.
const READ_BYTES: usize = 64 * 1024;

/// The connections that one caller keeps between requests. Dropping it closes them.
#[derive(Debug, Default)]
pub struct Connections {
    kept: Vec<Open>,
}

/// One connection that is not in use.
#[derive(Debug)]
pub(crate) struct Open {
    origin: Origin,
    /// Number of the TLS configuration it was made with; 0 without TLS.
    generation: u64,
    pub(crate) sender: SendRequest<Empty<Bytes>>,
    pub(crate) driver: Driver,
    pub(crate) reused: bool,
}

/// Who is at the other end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) secure: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Origin {
    pub(crate) fn of(uri: &Uri) -> Result<Self, FetchError> {
        let fail = |reason| FetchError::Url {
            url: uri.to_string(),
            reason,
        };
        let secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(fail("expected the scheme http or https")),
        };
        let host = uri
            .host()
            .filter(|h| !h.is_empty())
            .ok_or_else(|| fail("expected a host"))?;
        Ok(Self {
            secure,
            host: host.to_owned(),
            port: uri.port_u16().unwrap_or(if secure { 443 } else { 80 }),
        })
    }

    pub(crate) fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

impl Connections {
    /// A connection to `origin`: a kept one that still fits the certificates, or a new one.
    pub(crate) async fn open(&mut self, settings: &Settings, tls: &Tls, origin: &Origin) -> Result<Open, FetchError> {
        let secured = if origin.secure {
            Some(tls.config(settings)?)
        } else {
            None
        };
        let generation = secured.as_ref().map_or(0, |(_, generation)| *generation);
        self.kept
            .retain(|o| !o.sender.is_closed() && (o.origin != *origin || o.generation == generation));
        if let Some(at) = self.kept.iter().position(|o| o.origin == *origin) {
            let mut open = self.kept.swap_remove(at);
            open.reused = true;
            return Ok(open);
        }
        let fail = |reason: String| FetchError::Connect {
            address: origin.address(),
            reason,
        };
        let host = origin.host.trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((host, origin.port))
            .await
            .map_err(|e| fail(e.to_string()))?;
        stream.set_nodelay(true).map_err(|e| fail(e.to_string()))?;
        let (sender, driver) = match secured {
            None => speak(stream, origin).await?,
            Some((config, _)) => {
                let name = server_name(settings, host)?;
                let connector = tokio_rustls::TlsConnector::from(config);
                let stream = connector.connect(name, stream).await.map_err(|e| fail(chain(&e)))?;
                speak(stream, origin).await?
            }
        };
        Ok(Open {
            origin: origin.clone(),
            generation,
            sender,
            driver,
            reused: false,
        })
    }

    /// Keeps a connection whose exchange is over.
    pub(crate) fn keep(&mut self, open: Open) {
        if self.kept.len() >= MOST_KEPT {
            self.kept.remove(0);
        }
        self.kept.push(open);
    }

    /// Closes all of them.
    pub fn close(&mut self) {
        self.kept.clear();
    }
}

/// Starts HTTP/1.1 on a stream.
async fn speak<S>(stream: S, origin: &Origin) -> Result<(SendRequest<Empty<Bytes>>, Driver), FetchError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http1::Builder::new()
        .max_buf_size(READ_BYTES)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|e| FetchError::Exchange {
            address: origin.address(),
            reason: chain(&e),
        })?;
    Ok((sender, Driver(Some(Box::pin(connection)))))
}

/// What reads and writes a connection; `None` once it has ended.
///
/// It goes on only while somebody waits for an answer, in the same task: in one of its own, each part of a body would wake
/// two threads, which costs more than to read it. That the server closed a connection that nobody used is thus seen when
/// it is used next.
pub(crate) struct Driver(Option<Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>>);

impl Driver {
    /// Does `work`, which waits for what the connection brings.
    pub(crate) async fn drive<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        std::future::poll_fn(|cx| {
            if let done @ Poll::Ready(_) = work.as_mut().poll(cx) {
                return done;
            }
            if let Some(connection) = &mut self.0
                && let Poll::Ready(ended) = connection.as_mut().poll(cx)
            {
                if let Err(error) = ended {
                    tracing::debug!(error = %chain(&error), "connection ended");
                }
                self.0 = None;
            }
            // It may just have brought what is waited for.
            work.as_mut().poll(cx)
        })
        .await
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Driver").field(&self.0.is_some()).finish()
    }
}
