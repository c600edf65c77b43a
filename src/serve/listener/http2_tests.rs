//! HTTP/2 as a client sees it, frame by frame (RFC 9113): how many requests at a time, and how a connection ends.

use super::tests::serving;
use super::{CloseConnection, Limits};
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
/// Of SETTINGS and PING.
const ACK: u8 = 1;
/// Of HEADERS and DATA.
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

#[derive(Debug)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

/// A client that does what a test says, within its rights or not.
struct Client(TcpStream);

impl Client {
    async fn connect(address: SocketAddr) -> Self {
        let mut client = Self(TcpStream::connect(address).await.unwrap());
        client.0.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        client.send(SETTINGS, 0, 0, &[]).await;
        client
    }

    async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = vec![len[1], len[2], len[3], kind, flags];
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        self.0.write_all(&frame).await.unwrap();
    }

    /// GET of `path` on a stream of its own.
    async fn get(&mut self, stream: u32, path: &str) {
        // :method GET and :scheme http by their index; :path and :authority as literals (RFC 7541, appendix A).
        let mut block = vec![0x82, 0x86, 0x04, u8::try_from(path.len()).unwrap()];
        block.extend(path.as_bytes());
        block.extend([0x01, 1, b'x']);
        self.send(HEADERS, END_STREAM | END_HEADERS, stream, &block).await;
    }

    /// The next frame, with pings answered; `None` once the server has ended the connection.
    async fn next(&mut self) -> Option<Frame> {
        // Over all, because the server pings a connection that is silent.
        tokio::time::timeout(Duration::from_secs(15), self.beside_pings())
            .await
            .expect("a frame or the end of the connection")
    }

    async fn beside_pings(&mut self) -> Option<Frame> {
        loop {
            let frame = self.read().await?;
            if frame.kind != PING {
                return Some(frame);
            }
            if frame.flags & ACK == 0 {
                self.send(PING, ACK, 0, &frame.payload).await;
            }
        }
    }

    async fn read(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).await.ok()?;
        let [a, b, c, kind, flags, stream @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.0.read_exact(&mut payload).await.unwrap();
        let stream = u32::from_be_bytes(stream);
        Some(Frame {
            kind,
            flags,
            stream,
            payload,
        })
    }

    /// Reads until a frame of this kind comes.
    async fn until(&mut self, kind: u8) -> Frame {
        loop {
            let frame = self.next().await.expect("the connection goes on");
            if frame.kind == kind {
                return frame;
            }
        }
    }

    /// The body of a stream's answer, which comes to its end.
    async fn body(&mut self, stream: u32) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let frame = self.next().await.expect("the connection goes on");
            if frame.stream != stream {
                continue;
            }
            if frame.kind == DATA {
                body.extend(&frame.payload);
            }
            if matches!(frame.kind, DATA | HEADERS) && frame.flags & END_STREAM != 0 {
                return body;
            }
        }
    }
}

/// What holds requests back: says that one began, and lets it go on when told to.
#[derive(Clone)]
struct Gate {
    begins: UnboundedSender<()>,
    open: CancellationToken,
}

impl Gate {
    fn new() -> (Self, UnboundedReceiver<()>) {
        let (begins, begun) = unbounded_channel();
        let open = CancellationToken::new();
        (Self { begins, open }, begun)
    }

    /// Answers when it is opened.
    fn router(&self) -> Router {
        let wait = async |State(gate): State<Self>| {
            gate.begins.send(()).unwrap();
            gate.open.cancelled().await;
            "done"
        };
        Router::new().route("/", get(wait)).with_state(self.clone())
    }
}

#[tokio::test]
async fn a_connection_ends_after_an_answer_that_asks_for_it() {
    let refuse = async || -> Response {
        let mut response = (StatusCode::UNAUTHORIZED, "who?").into_response();
        response.extensions_mut().insert(CloseConnection);
        response
    };
    let router = Router::new()
        .route("/", get(async || "hello"))
        .route("/refused", get(refuse));
    let running = serving(router, Limits::default()).await;
    let mut client = Client::connect(running.address).await;
    for (stream, path, body) in [(1, "/", "hello"), (3, "/", "hello"), (5, "/refused", "who?")] {
        client.get(stream, path).await;
        assert_eq!(client.body(stream).await, body.as_bytes());
    }
    client.until(GOAWAY).await;
    while let Some(frame) = client.next().await {
        assert_eq!(frame.kind, GOAWAY, "{frame:?}");
    }
}

#[tokio::test]
async fn a_stream_more_than_the_limit_is_refused_and_the_others_go_on() {
    let (gate, _begun) = Gate::new();
    let running = serving(gate.router(), Limits::default()).await;
    let mut client = Client::connect(running.address).await;
    let settings = client.until(SETTINGS).await.payload;
    let most = settings.chunks(6).find(|setting| setting[..2] == [0, 3]).unwrap();
    assert_eq!(most[2..], 250u32.to_be_bytes());
    for n in 0..251 {
        client.get(2 * n + 1, "/").await;
    }
    let refused = client.until(RST_STREAM).await;
    let refused_stream = 7u32.to_be_bytes();
    assert_eq!((refused.stream, refused.payload.as_slice()), (501, &refused_stream[..]));
    gate.open.cancel();
    let mut ended = 0;
    while ended < 250 {
        let frame = client.next().await.unwrap();
        assert!(frame.stream < 501, "{frame:?}");
        ended += usize::from(matches!(frame.kind, DATA | HEADERS) && frame.flags & END_STREAM != 0);
    }
}

#[tokio::test]
async fn a_stream_more_than_the_limit_waits_where_the_client_keeps_to_it() {
    let (gate, mut begun) = Gate::new();
    let running = serving(gate.router(), Limits::default()).await;
    let io = TokioIo::new(TcpStream::connect(running.address).await.unwrap());
    let (client, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io)
        .await
        .unwrap();
    tokio::spawn(connection);
    let mut answers = JoinSet::new();
    for _ in 0..251 {
        let mut client = client.clone();
        let request = Request::get("http://x/").body(Body::empty()).unwrap();
        answers.spawn(async move { client.send_request(request).await.unwrap().status() });
    }
    for _ in 0..250 {
        begun.recv().await.unwrap();
    }
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert!(begun.try_recv().is_err(), "250 are under way, and one waits");
    gate.open.cancel();
    begun.recv().await.unwrap();
    assert_eq!(answers.join_all().await, [StatusCode::OK; 251]);
}

#[tokio::test]
async fn a_connection_of_full_age_is_asked_to_end_and_answers_what_began() {
    let limits = Limits {
        age: Some(Duration::from_millis(200)),
        ..Limits::default()
    };
    let (gate, mut begun) = Gate::new();
    let running = serving(gate.router(), limits).await;
    let mut client = Client::connect(running.address).await;
    client.get(1, "/").await;
    begun.recv().await.unwrap();
    client.until(GOAWAY).await;
    gate.open.cancel();
    assert_eq!(client.body(1).await, b"done");
    while let Some(frame) = client.next().await {
        assert_eq!(frame.kind, GOAWAY, "{frame:?}");
    }
}
