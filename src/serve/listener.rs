//! Sockets: accepts connections, with or without TLS, and serves a router on them until told to stop.
//!
//! A listener stops in two steps: at `drain` open connections are asked to end (GOAWAY) while new ones are still
//! accepted and answered once, because whoever routes here has not heard of it yet; at `stop` nothing is accepted any
//! more.
//!
//! Connections of which nobody knows whose they are have a part of the places, and a short time to show it ([`Strangers`]).
//!
//! One connection's life: TCP accept → TLS handshake (with a time limit) → HTTP/1.1 or HTTP/2 as ALPN says → requests →
//! a graceful end, because the process stops or because the connection reached its greatest age. The age matters for the
//! adapter: an API server keeps one connection to an aggregated server, so without it all traffic would stay on one
//! replica for ever.

use crate::serve::handshakes::{Handshakes, Outcome};
use crate::serve::impatient::Impatient;
use crate::serve::places::{Place, Places};
use axum::Router;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use leadline_adapter::PeerCertificates;
use leadline_adapter::api::{Authenticated, CloseConnection};
use leadline_adapter::auth::Authenticator;
use leadline_scaler::VerifiedPeer;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

/// The limits of one listener.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Connections at a time; one more waits in hand, the others to be accepted.
    pub connections: usize,
    /// Those of one address; more are refused at once.
    pub per_peer: usize,
    /// What those have who have not shown who they are; `None` where nobody is asked to.
    pub strangers: Option<Strangers>,
    /// Whether HTTP/2 is spoken. Its clients can hold an answer for ever, stream by stream: see [`Self::stall`].
    pub http2: bool,
    /// Requests at a time on one HTTP/2 connection.
    pub streams: u32,
    /// How long a TLS handshake may take.
    pub handshake: Duration,
    /// How long the head of a request may take on HTTP/1.1.
    pub head: Duration,
    /// How long a connection may go without its first request: it holds one of [`Self::connections`].
    pub silence: Duration,
    /// How long an answer may wait for its client to take one more byte; then the connection is cut, and what was to be
    /// answered is given up. On HTTP/2 a client that gives a stream no window keeps its answer as long as it answers pings.
    pub stall: Duration,
    /// After this long a connection is asked to end (GOAWAY), give or take a tenth; `None` for never.
    pub age: Option<Duration>,
    /// A ping after so much silence on HTTP/2, and the wait for its answer.
    pub keepalive: (Duration, Duration),
}

/// The limits of connections that nobody is known to have opened: no certificate vouches for them, and no request of theirs
/// was authenticated. Each is one at its beginning. Those for which a certificate vouches keep their places. Those that a request
/// authenticated need no patience any more, but lose their places where all are taken: before strangers where they have more
/// than [`Self::most`], else after them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Strangers {
    /// At a time. One that comes when there are so many ends the oldest of the address that has most of them: whether it is a
    /// stranger's is seen only once it was let in.
    pub most: usize,
    /// How long one may take until the head of its first request is complete, and how long from there until it is known or
    /// gone.
    pub patience: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            per_peer: 1024,
            strangers: None,
            http2: true,
            streams: 250,
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(10),
            silence: Duration::from_secs(60),
            stall: Duration::from_secs(60),
            age: None,
            keepalive: (Duration::from_secs(20), Duration::from_secs(10)),
        }
    }
}

/// A bound socket with what is served on it.
pub(crate) struct Listener {
    /// For the log: `web`, `adapter`, `scaler`.
    pub name: &'static str,
    socket: TcpListener,
    tls: Option<Tls>,
    router: Router,
    limits: Limits,
}

/// TLS of a listener.
#[derive(Debug, Clone)]
pub(crate) struct Tls {
    /// rustls' settings.
    pub config: Arc<rustls::ServerConfig>,
    /// Whether the handshake itself verifies client certificates; then requests carry [`VerifiedPeer`].
    pub verifies: bool,
    /// Judges what a client shows where the handshake does not.
    pub judge: Option<Arc<Authenticator>>,
    /// How handshakes end.
    pub handshakes: Arc<Handshakes>,
}

/// Why a socket could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} ({flag}): {source}")]
pub(crate) struct BindError {
    address: SocketAddr,
    flag: &'static str,
    source: std::io::Error,
}

impl Listener {
    /// Binds `address`, which the flag `flag` named.
    ///
    /// # Errors
    /// [`BindError`] with the address and the flag.
    pub(crate) async fn bind(
        name: &'static str,
        flag: &'static str,
        address: SocketAddr,
        tls: Option<Tls>,
        router: Router,
        limits: Limits,
    ) -> Result<Self, BindError> {
        let socket = TcpListener::bind(address)
            .await
            .map_err(|source| BindError { address, flag, source })?;
        Ok(Self {
            name,
            socket,
            tls,
            router,
            limits,
        })
    }

    /// The bound address (with the port the system chose, where 0 was asked for).
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.socket.local_addr().ok()
    }

    /// Serves until `stop`; from `drain` on, connections are asked to end as soon as they have answered.
    pub(crate) async fn run(self, drain: CancellationToken, stop: CancellationToken) {
        let connections = TaskTracker::new();
        let slots = Arc::new(Semaphore::new(self.limits.connections));
        let strangers = self.limits.strangers.map(|strangers| strangers.most);
        let places = Places::new(self.name, self.limits.per_peer, strangers);
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = self.socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    // Whose certificate vouches is seen only once it was let in: another goes for it where all are there.
                    let Some(place) = places.take(peer.ip(), slots.available_permits() == 0) else {
                        continue;
                    };
                    let slot = tokio::select! {
                        () = stop.cancelled() => break,
                        slot = Arc::clone(&slots).acquire_owned() => slot,
                    };
                    let Ok(slot) = slot else { break };
                    let connection = Connection {
                        name: self.name,
                        tls: self.tls.clone(),
                        router: self.router.clone(),
                        limits: self.limits,
                        place,
                        drain: drain.clone(),
                        stop: stop.clone(),
                    };
                    connections.spawn(async move {
                        connection.serve(stream, peer).await;
                        drop(slot);
                    });
                }
                // Out of file descriptors, say: trying again at once would spin.
                Err(error) => {
                    tracing::warn!(listener = self.name, %error, "accepting a connection failed");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        // Whoever is not accepted yet is refused now, instead of waiting for the others.
        drop(self.socket);
        connections.close();
        connections.wait().await;
    }
}

/// How far a connection has come.
#[derive(Debug, Default)]
struct Life {
    /// Its first request was read.
    began: CancellationToken,
    /// Who opened it is known.
    known: CancellationToken,
    /// Its first answer was given.
    answered: CancellationToken,
    /// An answer asked for its end.
    refused: CancellationToken,
}

/// What one connection needs.
struct Connection {
    name: &'static str,
    tls: Option<Tls>,
    router: Router,
    limits: Limits,
    place: Place,
    drain: CancellationToken,
    stop: CancellationToken,
}

impl Connection {
    async fn serve(self, stream: TcpStream, peer: SocketAddr) {
        let life = Life::default();
        let why = tokio::select! {
            // In this order, so that who becomes known keeps the place at once.
            biased;
            () = self.answers(stream, peer, &life) => return,
            () = self.stays_strange(&life) => "it did not show who it is in time",
            () = self.place.lost() => "its place went to another",
        };
        tracing::debug!(listener = self.name, %peer, why, "a connection that no certificate vouches for was cut");
    }

    /// Resolves when the time is up in which whoever opened the connection had to become known.
    async fn stays_strange(&self, life: &Life) {
        let late = async {
            let Some(Strangers { patience, .. }) = self.limits.strangers else {
                return std::future::pending().await;
            };
            if tokio::time::timeout(patience, life.began.cancelled()).await.is_ok() {
                tokio::time::sleep(patience).await;
            }
        };
        tokio::select! {
            biased;
            () = life.known.cancelled() => {
                self.place.answered();
                std::future::pending::<()>().await;
            }
            () = late => {}
        }
    }

    /// Shakes hands where that is asked for, and answers requests.
    async fn answers(&self, stream: TcpStream, peer: SocketAddr, life: &Life) {
        // Answers are small and waited for; Nagle's algorithm would only delay them.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(listener = self.name, %peer, %error, "TCP_NODELAY could not be set");
        }
        let stream = Impatient::new(stream, self.limits.stall);
        let Some(tls) = &self.tls else {
            self.requests(TokioIo::new(stream), PeerCertificates(Vec::new()), peer, life)
                .await;
            return;
        };
        let handshake = TlsAcceptor::from(Arc::clone(&tls.config)).accept(stream);
        let shaken = tokio::select! {
            () = self.stop.cancelled() => return,
            shaken = tokio::time::timeout(self.limits.handshake, handshake) => shaken,
        };
        match shaken {
            Ok(Ok(stream)) => {
                let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
                let chain = PeerCertificates(chain.iter().map(|c| c.clone().into_owned()).collect());
                let verified = tls.verifies && !chain.0.is_empty();
                tls.handshakes.count(if verified {
                    Outcome::Verified
                } else {
                    Outcome::Unverified
                });
                if verified || tls.judge.as_ref().is_some_and(|judge| judge.vouches_for(&chain)) {
                    self.place.keep();
                    life.known.cancel();
                }
                self.requests(TokioIo::new(stream), chain, peer, life).await;
            }
            Ok(Err(error)) => {
                tls.handshakes.count(Outcome::Failed);
                tracing::debug!(listener = self.name, %peer, %error, "TLS handshake failed");
            }
            Err(_) => {
                tls.handshakes.count(Outcome::Late);
                tracing::debug!(listener = self.name, %peer, "TLS handshake took too long");
            }
        }
    }

    /// Serves the requests of one connection; each carries the certificates that the client showed.
    async fn requests<I>(&self, io: I, certificates: PeerCertificates, peer: SocketAddr, life: &Life)
    where
        I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    {
        let mut builder = Builder::new(TokioExecutor::new());
        if !self.limits.http2 {
            builder = builder.http1_only();
        }
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.head);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(self.limits.streams)
            .keep_alive_interval(self.limits.keepalive.0)
            .keep_alive_timeout(self.limits.keepalive.1);
        let verified = self.tls.as_ref().is_some_and(|tls| tls.verifies) && !certificates.0.is_empty();
        let (began, known) = (life.began.clone(), life.known.clone());
        let (answered, refused) = (life.answered.clone(), life.refused.clone());
        let service = self
            .router
            .clone()
            .map_request(move |mut request: http::Request<Incoming>| {
                began.cancel();
                request.extensions_mut().insert(certificates.clone());
                request.extensions_mut().insert(ConnectInfo(peer));
                if verified {
                    request.extensions_mut().insert(VerifiedPeer);
                }
                request
            })
            .map_response(move |response: axum::response::Response| {
                if response.extensions().get::<CloseConnection>().is_some() {
                    refused.cancel();
                }
                if response.extensions().get::<Authenticated>().is_some() {
                    known.cancel();
                }
                answered.cancel();
                response
            });
        let connection = builder.serve_connection(io, TowerToHyperService::new(service));
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.end_of_life(peer, life) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(listener = self.name, %peer, %error, "connection ended");
        }
    }

    /// Resolves when the connection should be asked to end.
    async fn end_of_life(&self, peer: SocketAddr, life: &Life) {
        // hyper-util cuts a connection whose first bytes it did not read yet, and whoever opens one during the drain has
        // not heard of it: it is answered first.
        let drained = async {
            self.drain.cancelled().await;
            life.answered.cancelled().await;
        };
        let silent = async {
            tokio::time::sleep(self.limits.silence).await;
            if life.began.is_cancelled() {
                std::future::pending::<()>().await;
            }
        };
        let age = async {
            match self.limits.age {
                // The port spreads connections that began together, so that they do not all move at once.
                Some(age) => tokio::time::sleep(age.mul_f64(0.9 + f64::from(peer.port() % 200) / 1000.0)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = drained => {}
            () = self.stop.cancelled() => {}
            () = life.refused.cancelled() => {}
            () = silent => {}
            () = age => {}
        }
    }
}

#[cfg(test)]
mod http2_tests;
#[cfg(test)]
mod strangers_tests;

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    pub(super) struct Running {
        pub(super) address: SocketAddr,
        drain: CancellationToken,
        stop: CancellationToken,
        task: tokio::task::JoinHandle<()>,
    }

    async fn running(limits: Limits) -> Running {
        serving(Router::new().route("/", axum::routing::get(async || "hello")), limits).await
    }

    pub(super) async fn serving(router: Router, limits: Limits) -> Running {
        serving_over(None, router, limits).await
    }

    pub(super) async fn serving_over(tls: Option<Tls>, router: Router, limits: Limits) -> Running {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = Listener::bind("test", "--flag", address, tls, router, limits)
            .await
            .unwrap();
        let address = listener.address().unwrap();
        let (drain, stop) = (CancellationToken::new(), CancellationToken::new());
        let task = tokio::spawn(listener.run(drain.clone(), stop.clone()));
        Running {
            address,
            drain,
            stop,
            task,
        }
    }

    #[tokio::test]
    async fn whoever_comes_during_the_drain_is_answered_once() {
        let running = running(Limits::default()).await;
        running.drain.cancel();
        for attempt in 0..20 {
            let mut connection = TcpStream::connect(running.address).await.unwrap();
            for _ in 0..attempt {
                tokio::task::yield_now().await;
            }
            connection
                .write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
                .await
                .unwrap();
            let mut answer = String::new();
            connection.read_to_string(&mut answer).await.unwrap();
            assert!(
                answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("hello"),
                "{answer:?}"
            );
        }
        running.stop.cancel();
        running.task.await.unwrap();
    }

    #[tokio::test]
    async fn a_connection_without_a_request_does_not_keep_its_place() {
        let limits = Limits {
            connections: 1,
            silence: Duration::from_millis(20),
            ..Limits::default()
        };
        let running = running(limits).await;
        let mut silent = TcpStream::connect(running.address).await.unwrap();
        let mut end = Vec::new();
        silent.read_to_end(&mut end).await.unwrap();
        let mut next = TcpStream::connect(running.address).await.unwrap();
        next.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        next.read_to_string(&mut answer).await.unwrap();
        assert!(answer.contains("200 OK"), "{answer:?}");
    }

    #[tokio::test]
    async fn an_address_keeps_no_more_than_its_share_and_others_are_answered() {
        let limits = Limits {
            connections: 8,
            per_peer: 2,
            ..Limits::default()
        };
        let running = running(limits).await;
        let ask = async |from: [u8; 4]| {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind(SocketAddr::from((from, 0))).unwrap();
            let mut connection = socket.connect(running.address).await.unwrap();
            // A refused one may be gone before anything is written or read.
            let _ = connection.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
            let mut answer = [0; 15];
            let answered = connection.read_exact(&mut answer).await.is_ok();
            answered.then_some((connection, answer))
        };
        let (greedy, other) = ([127, 0, 0, 1], [127, 0, 0, 2]);
        let first = ask(greedy).await.unwrap();
        let _second = ask(greedy).await.unwrap();
        for _ in 0..8 {
            assert!(ask(greedy).await.is_none(), "it has its two");
        }
        let (_connection, answer) = ask(other).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200 OK");
        drop(first);
        // The end of the first is heard of a moment later.
        let again = async {
            while ask(greedy).await.is_none() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), again).await.unwrap();
    }

    #[tokio::test]
    async fn a_request_whose_client_goes_away_is_given_up() {
        let (begins, mut begun) = tokio::sync::mpsc::unbounded_channel();
        // What a request holds is dropped with it, which closes the channel's one sender.
        let answer = move |_body: String| {
            let (held, given_up) = tokio::sync::oneshot::channel::<()>();
            begins.send(given_up).unwrap();
            async move {
                std::future::pending::<()>().await;
                drop(held);
            }
        };
        let router = Router::new().route("/", axum::routing::get(answer.clone()).post(answer));
        let running = serving(router, Limits::default()).await;
        for request in [
            "GET / HTTP/1.1\r\nhost: x\r\n\r\n",
            "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\na=b",
        ] {
            let mut connection = TcpStream::connect(running.address).await.unwrap();
            connection.write_all(request.as_bytes()).await.unwrap();
            let given_up = begun.recv().await.unwrap();
            drop(connection);
            let given_up = tokio::time::timeout(Duration::from_secs(30), given_up).await;
            assert!(matches!(given_up, Ok(Err(_))), "{request}");
        }
    }

    #[tokio::test]
    async fn an_answer_that_its_client_does_not_take_is_given_up() {
        let (begins, mut begun) = tokio::sync::mpsc::unbounded_channel();
        let endless = async move || {
            let (held, given_up) = tokio::sync::oneshot::channel::<()>();
            begins.send(given_up).unwrap();
            let piece = bytes::Bytes::from(vec![0; 1 << 16]);
            axum::body::Body::from_stream(futures::stream::repeat_with(move || {
                let _ = &held;
                Ok::<_, std::convert::Infallible>(piece.clone())
            }))
        };
        let limits = Limits {
            stall: Duration::from_millis(20),
            ..Limits::default()
        };
        let router = Router::new().route("/", axum::routing::get(endless));
        let running = serving(router, limits).await;
        let mut connection = TcpStream::connect(running.address).await.unwrap();
        connection
            .write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .unwrap();
        let given_up = begun.recv().await.unwrap();
        let given_up = tokio::time::timeout(Duration::from_secs(30), given_up).await;
        assert!(matches!(given_up, Ok(Err(_))), "it is still held");
        drop(connection);
    }
}
