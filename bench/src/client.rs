//! One kept-alive connection, plain or TLS, and timed GETs on it: the same client for every system. The connection is driven
//! by whoever waits for an answer: a task of its own would add a wake-up to each request and answer, which is as much as the
//! smallest of them take.

use crate::error::BenchError;
use crate::latency::Latency;
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use std::fmt::Write;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;
use tokio::net::TcpStream;

/// A connection's two ends: requests go into one, the other carries them.
type Connected = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;
type Spoken = (SendRequest<Full<Bytes>>, Connected);

/// How a server is spoken to over TLS, and the name that it must have.
type Tls = (Arc<rustls::ClientConfig>, &'static str);

/// A connection, made anew where the server closed it: some close theirs after two minutes, in the middle of a long measurement.
pub(crate) struct Client {
    address: SocketAddr,
    tls: Option<Tls>,
    /// None when the server has closed it.
    spoken: Option<Spoken>,
    host: String,
}

fn unexpected(error: impl std::fmt::Display) -> BenchError {
    BenchError::Unexpected(error.to_string())
}

impl Client {
    /// Connects; over TLS when `tls` is given, which the server must name so.
    pub(crate) async fn connect(address: SocketAddr, tls: Option<Tls>) -> Result<Self, BenchError> {
        Ok(Self {
            address,
            spoken: Some(Self::dial(address, tls.as_ref()).await?),
            tls,
            host: address.to_string(),
        })
    }

    async fn dial(address: SocketAddr, tls: Option<&Tls>) -> Result<Spoken, BenchError> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        match tls {
            None => Self::speak(TokioIo::new(stream)).await,
            Some((config, name)) => {
                let name = rustls_pki_types::ServerName::try_from(*name).map_err(unexpected)?;
                let connector = tokio_rustls::TlsConnector::from(Arc::clone(config));
                Self::speak(TokioIo::new(connector.connect(name, stream).await?)).await
            }
        }
    }

    async fn speak<I>(io: I) -> Result<Spoken, BenchError>
    where
        I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    {
        let (sender, connection) = hyper::client::conn::http1::handshake(io).await.map_err(unexpected)?;
        Ok((sender, Box::pin(connection)))
    }

    /// One GET; status and body.
    pub(crate) async fn get(&mut self, path: &str) -> Result<(u16, Bytes), BenchError> {
        self.send(Request::get(path), Bytes::new()).await
    }

    /// One POST without a body; status and body of the answer.
    pub(crate) async fn post(&mut self, path: &str) -> Result<(u16, Bytes), BenchError> {
        self.send(Request::post(path), Bytes::new()).await
    }

    /// One POST of `body`; status and body of the answer.
    pub(crate) async fn post_body(&mut self, path: &str, body: String) -> Result<(u16, Bytes), BenchError> {
        self.send(Request::post(path), body.into()).await
    }

    async fn send(&mut self, request: http::request::Builder, body: Bytes) -> Result<(u16, Bytes), BenchError> {
        let request = request
            .header("host", &self.host)
            .header("accept", "application/json")
            .body(Full::new(body))
            .map_err(unexpected)?;
        let spoken = match self.spoken.take() {
            Some(spoken) => spoken,
            None => Self::dial(self.address, self.tls.as_ref()).await?,
        };
        let (answer, spoken) = exchange(spoken, request).await?;
        self.spoken = spoken;
        Ok(answer)
    }

    /// `n` GETs of one path, one after the other; each must be answered 200. The first tenth warms up and is not
    /// counted.
    pub(crate) async fn time(&mut self, path: &str, n: usize) -> Result<Latency, BenchError> {
        let mut taken = Vec::with_capacity(n);
        for i in 0..n + n / 10 {
            let began = Instant::now();
            let (status, body) = self.get(path).await?;
            if status != 200 {
                return Err(BenchError::Unexpected(format!(
                    "{path}: {status}: {}",
                    String::from_utf8_lossy(&body)
                )));
            }
            if i >= n / 10 {
                taken.push(began.elapsed());
            }
        }
        Ok(Latency::of(taken))
    }
}

/// One request and its answer, and the connection where it is still there.
async fn exchange(
    (mut sender, mut connection): Spoken,
    request: Request<Full<Bytes>>,
) -> Result<((u16, Bytes), Option<Spoken>), BenchError> {
    let sent = async {
        sender.ready().await.map_err(unexpected)?;
        let answer = sender.send_request(request).await.map_err(unexpected)?;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.map_err(unexpected)?.to_bytes();
        Ok::<_, BenchError>((status, body))
    };
    tokio::pin!(sent);
    let answer = tokio::select! {
        biased;
        answer = &mut sent => answer?,
        _ = &mut connection => {
            // It may have ended with the answer, which is then there; else the request fails once its other end is gone.
            drop(connection);
            return Ok((sent.await?, None));
        }
    };
    // That the server closes it with this answer is seen by one more look.
    let closed = std::future::poll_fn(|cx| Poll::Ready(connection.as_mut().poll(cx).is_ready())).await;
    Ok((answer, (!closed).then_some((sender, connection))))
}

/// A text as a part of a URL.
pub(crate) fn escaped(query: &str) -> String {
    let mut out = String::new();
    for byte in query.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte as char);
        } else {
            let written = write!(out, "%{byte:02X}");
            debug_assert!(written.is_ok(), "writing to a String cannot fail");
        }
    }
    out
}
