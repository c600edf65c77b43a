//! Connections that show nothing beside those that do, over TLS and from several addresses.

use super::tests::serving_over;
use super::{Authenticated, Limits, Strangers, Tls};
use crate::serve::authority::{Authority, certificates};
use crate::serve::certs::{Clients, Serving, tls};
use axum::Router;
use axum::response::IntoResponse;
use axum::routing::get;
use leadline_adapter::auth::Authenticator;
use leadline_adapter::auth::trust::{self, RequestHeader, Trust};
use leadline_model::Clock;
use leadline_model::clock::SystemClock;
use leadline_testkit::handshake::Shows;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The longest that anything is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// One authority for the server and for front proxies and another for clients, and a certificate of each.
struct World {
    tls: Tls,
    root: String,
    proxy: Shows,
    client: Shows,
    stray: Shows,
}

impl World {
    fn new() -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let now = clock.now();
        let [proxies, clients, strays] = [(); 3].map(|()| Arc::new(Authority::create(now).unwrap()));
        let shown = |authority: &Authority| {
            let pair = authority.client("front-proxy-client", now).unwrap();
            Shows(pair.certified("test").unwrap())
        };
        let authority = |of: &Authority| trust::Authority::from_pem(of.cert_pem()).unwrap();
        let authenticator = Authenticator::new(Arc::clone(&clock), None);
        authenticator.set_trust(Trust {
            client_ca: Some(authority(&clients)),
            request_header: Some(RequestHeader {
                authority: authority(&proxies),
                allowed_names: vec!["front-proxy-client".to_owned()],
                username_headers: vec!["x-remote-user".to_owned()],
                uid_headers: Vec::new(),
                group_headers: Vec::new(),
                extra_prefixes: Vec::new(),
            }),
        });
        let serving = Serving::own(Arc::clone(&proxies), vec!["leadline".to_owned()], clock).unwrap();
        let judged = Clients::PerRequest(Arc::new(authenticator));
        Self {
            tls: tls(serving, judged, &["http/1.1"], &Arc::default()).unwrap(),
            root: proxies.cert_pem().to_owned(),
            proxy: shown(&proxies),
            client: shown(&clients),
            stray: shown(&strays),
        }
    }

    /// A listener where `/` says nothing of who asks, `/mine` that they are known, and `/never` nothing at all.
    async fn listen(&self, limits: Limits) -> SocketAddr {
        let router = Router::new()
            .route("/", get(async || "hello"))
            .route(
                "/mine",
                get(async || (axum::Extension(Authenticated), "hello").into_response()),
            )
            .route("/never", get(async || std::future::pending::<()>().await));
        serving_over(Some(self.tls.clone()), router, limits).await.address
    }

    /// A connection with TLS from an address, by somebody who shows `shown` or nothing.
    async fn open(&self, to: SocketAddr, from: u8, shown: Option<&Shows>) -> TlsStream<TcpStream> {
        self.try_open(to, from, shown).await.unwrap()
    }

    /// The same; none where the connection ends before the handshake does.
    async fn try_open(&self, to: SocketAddr, from: u8, shown: Option<&Shows>) -> Option<TlsStream<TcpStream>> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(certificates("test", &self.root).unwrap().remove(0)).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match shown {
            Some(Shows(key)) => builder.with_client_cert_resolver(Arc::new(Shows(Arc::clone(key)))),
            None => builder.with_no_client_auth(),
        };
        let connector = TlsConnector::from(Arc::new(config));
        let stream = silent(to, from).await;
        connector.connect("leadline".try_into().unwrap(), stream).await.ok()
    }
}

/// A connection from 127.0.0.`from` on which nothing is said.
async fn silent(to: SocketAddr, from: u8) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, from], 0))).unwrap();
    within(socket.connect(to)).await.unwrap()
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.expect("it takes too long")
}

/// Asks and takes the answer; none where the connection has ended.
async fn ask(connection: &mut TlsStream<TcpStream>, path: &str) -> Option<String> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
    let answered = async {
        connection.write_all(request.as_bytes()).await.ok()?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"hello") {
            if connection.read_buf(&mut answer).await.ok()? == 0 {
                return None;
            }
        }
        Some(String::from_utf8(answer).unwrap())
    };
    within(answered).await
}

/// The end of a connection, in which nothing more is said.
async fn end(mut connection: impl AsyncReadExt + Unpin) {
    let mut rest = Vec::new();
    // It is cut, and TLS without a word of farewell.
    let _ = connection.read_to_end(&mut rest).await;
    assert_eq!(rest, b"");
}

fn is_ok(answer: Option<String>) -> bool {
    answer.is_some_and(|text| text.starts_with("HTTP/1.1 200 OK"))
}

/// Silent connections from four addresses, more than a listener takes; each task ends with its connection.
async fn flood(to: SocketAddr, ended: &mut JoinSet<()>) {
    for _ in 0..4 {
        for from in 2..=5 {
            ended.spawn(end(silent(to, from).await));
        }
    }
}

#[tokio::test]
async fn who_shows_a_certificate_that_vouches_is_served_whatever_strangers_hold() {
    let world = World::new();
    let limits = Limits {
        connections: 8,
        per_peer: 4,
        strangers: Some(Strangers {
            most: 4,
            patience: 2 * PATIENCE,
        }),
        handshake: 2 * PATIENCE,
        ..Limits::default()
    };
    let address = world.listen(limits).await;
    let mut ended = JoinSet::new();
    flood(address, &mut ended).await;
    let mut proxy = world.open(address, 9, Some(&world.proxy)).await;
    let mut client = world.open(address, 9, Some(&world.client)).await;
    flood(address, &mut ended).await;
    for connection in [&mut proxy, &mut client] {
        assert!(is_ok(ask(connection, "/").await));
    }
    // Whoever is not believed is a stranger, and so is who says nothing of who they are.
    for shown in [Some(&world.stray), None] {
        let mut stranger = world.open(address, 5, shown).await;
        assert!(is_ok(ask(&mut stranger, "/").await));
        flood(address, &mut ended).await;
        within(end(stranger)).await;
    }
    // Nobody came anew in four of the places.
    for _ in 0..16 * 4 - 4 {
        within(ended.join_next()).await.unwrap().unwrap();
    }
    assert!(ended.try_join_next().is_none(), "the last ones keep their places");
    assert!(is_ok(ask(&mut proxy, "/").await));
}

#[tokio::test]
async fn who_was_authenticated_once_outlasts_strangers() {
    let world = World::new();
    let limits = Limits {
        connections: 4,
        strangers: Some(Strangers {
            most: 2,
            patience: 2 * PATIENCE,
        }),
        ..Limits::default()
    };
    let address = world.listen(limits).await;
    let mut holder = world.open(address, 2, None).await;
    assert!(is_ok(ask(&mut holder, "/mine").await));
    let mut ended = JoinSet::new();
    flood(address, &mut ended).await;
    for _ in 0..16 - 2 {
        within(ended.join_next()).await.unwrap().unwrap();
    }
    assert!(is_ok(ask(&mut holder, "/").await));
}

#[tokio::test]
async fn who_shows_a_certificate_is_served_where_tokens_of_several_addresses_have_all_places() {
    let world = World::new();
    let limits = Limits {
        connections: 8,
        per_peer: 2,
        strangers: Some(Strangers {
            most: 4,
            patience: 2 * PATIENCE,
        }),
        head: 2 * PATIENCE,
        handshake: 2 * PATIENCE,
        ..Limits::default()
    };
    let address = world.listen(limits).await;
    let mut holders = Vec::new();
    for from in [2, 3, 4, 5, 2, 3, 4, 5] {
        let mut holder = world.open(address, from, None).await;
        assert!(is_ok(ask(&mut holder, "/mine").await));
        holders.push(holder);
    }
    // All are there, and nobody loses the last place before another comes.
    for holder in &mut holders {
        assert!(is_ok(ask(holder, "/").await));
    }
    let mut proxy = within(world.open(address, 9, Some(&world.proxy))).await;
    assert!(is_ok(ask(&mut proxy, "/").await));
    let mut answered = 0;
    for holder in &mut holders {
        answered += usize::from(is_ok(ask(holder, "/").await));
    }
    assert_eq!(answered, 7, "one went for the proxy");
    for from in [2, 3, 4, 5] {
        let mut holder = world.open(address, from, None).await;
        assert!(is_ok(ask(&mut holder, "/mine").await));
        holders.push(holder);
    }
    assert!(is_ok(ask(&mut proxy, "/").await));
}

#[tokio::test]
async fn a_stranger_is_cut_after_a_short_time_whether_it_says_nothing_or_takes_no_answer() {
    let world = World::new();
    let limits = Limits {
        strangers: Some(Strangers {
            most: 8,
            patience: Duration::from_secs(2),
        }),
        silence: 2 * PATIENCE,
        handshake: 2 * PATIENCE,
        head: 2 * PATIENCE,
        ..Limits::default()
    };
    let address = world.listen(limits).await;
    // Before the handshake it is a stranger like any: where the machine was too busy, it comes again.
    let mut known = within(async {
        loop {
            if let Some(known) = world.try_open(address, 2, Some(&world.client)).await {
                return known;
            }
        }
    })
    .await;
    let nothing = silent(address, 3).await;
    // A handshake that takes longer than the patience on a busy machine is cut as well, which is what is asked for.
    let says = async |text: &[u8]| {
        if let Some(mut stranger) = world.try_open(address, 3, None).await {
            let _ = stranger.write_all(text).await;
            end(stranger).await;
        }
    };
    let half = says(b"GET / HTTP/1.1\r\nhost: x\r\n");
    let unanswered = says(b"GET /never HTTP/1.1\r\nhost: x\r\n\r\n");
    within(async { tokio::join!(end(nothing), half, unanswered) }).await;
    assert!(is_ok(ask(&mut known, "/").await));
}
