//! Connections that are kept between requests.
#![expect(clippy::unwrap_used, reason = "a helper of a test may stop it")]

use http::{HeaderMap, Uri};
use leadline_httpclient::{Client, Connections, FetchError, Get, Settings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Larger than what is read at once.
const BODY: usize = 200_000;

async fn answer(stream: &mut TcpStream) -> bool {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => request.push(byte),
            Err(_) => return false,
        }
    }
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {BODY}\r\n\r\n");
    let answer = [head.into_bytes(), vec![b'#'; BODY]].concat();
    stream.write_all(&answer).await.is_ok()
}

/// A server that closes each connection after so many answers, without saying so before. Ends with the listener.
async fn serve(listener: TcpListener, answers: usize) {
    while let Ok((mut stream, _)) = listener.accept().await {
        for _ in 0..answers {
            if !answer(&mut stream).await {
                break;
            }
        }
    }
}

async fn get(uri: &Uri, connections: &mut Connections, limit: u64) -> Result<usize, FetchError> {
    let (client, headers, mut body) = (Client::new(Settings::default()), HeaderMap::new(), Vec::new());
    let get = Get {
        uri,
        headers: &headers,
        body_limit: limit,
    };
    client.get(connections, get, &mut body).await.map(|_| body.len())
}

/// Starts [`serve`] and returns where.
async fn server(answers: usize) -> Uri {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}/metrics", listener.local_addr().unwrap());
    tokio::spawn(serve(listener, answers));
    uri.parse().unwrap()
}

#[tokio::test]
async fn one_connection_serves_many_requests() {
    // A second connection would never be accepted.
    let (uri, mut connections) = (server(usize::MAX).await, Connections::default());
    for _ in 0..20 {
        assert_eq!(get(&uri, &mut connections, u64::MAX).await.unwrap(), BODY);
    }
}

#[tokio::test]
async fn a_kept_connection_that_the_server_closed_is_replaced() {
    let (uri, mut connections) = (server(1).await, Connections::default());
    for _ in 0..20 {
        assert_eq!(get(&uri, &mut connections, u64::MAX).await.unwrap(), BODY);
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_ends_its_connection_and_the_next_request_has_another() {
    let (uri, mut connections) = (server(usize::MAX).await, Connections::default());
    for _ in 0..3 {
        let refused = get(&uri, &mut connections, 100_000).await;
        assert!(matches!(refused, Err(FetchError::BodyTooLarge(100_000))), "{refused:?}");
        assert_eq!(get(&uri, &mut connections, u64::MAX).await.unwrap(), BODY);
        connections.close();
    }
}
