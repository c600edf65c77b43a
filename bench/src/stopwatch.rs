//! Timed GETs on one kept-alive connection, of a thread that writes a request and waits in the kernel for its answer.
//!
//! What a client does between the two is in every figure and is the same for every system: hyper on tokio adds some 40 µs to an
//! answer that takes a server 30, and so hides by how much systems differ. This one parses the head, with hyper's own parser, and
//! looks for the end of the body.

use crate::error::BenchError;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Room for an answer at first, bytes.
const ROOM: usize = 1 << 20;
/// Longest answer, bytes.
const MOST: usize = 1 << 30;
/// Most header fields of an answer.
const FIELDS: usize = 64;
/// Longest wait for a part of an answer.
const PATIENCE: Duration = Duration::from_secs(120);

/// A connection, made anew where the server closed it.
pub(crate) struct Stopwatch {
    address: SocketAddr,
    /// None when the server has said that it closes it.
    stream: Option<TcpStream>,
    /// The last answer begins here; as long as the longest that was seen.
    buffer: Vec<u8>,
}

/// The head of an answer.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    status: u16,
    /// Bytes of it.
    len: usize,
    body: Body,
    /// Whether the server closes the connection behind the answer.
    closes: bool,
}

/// How the end of a body is found.
#[derive(Debug, PartialEq, Eq)]
enum Body {
    /// It has so many bytes.
    Length(usize),
    /// RFC 9112, 7.1.
    Chunked,
}

fn unexpected(error: impl std::fmt::Display) -> BenchError {
    BenchError::Unexpected(error.to_string())
}

impl Stopwatch {
    /// Connects.
    pub(crate) fn connect(address: SocketAddr) -> Result<Self, BenchError> {
        let mut new = Self {
            address,
            stream: None,
            buffer: vec![0; ROOM],
        };
        new.stream = Some(new.dial()?);
        Ok(new)
    }

    fn dial(&self) -> Result<TcpStream, BenchError> {
        let stream = TcpStream::connect(self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(stream)
    }

    /// How long each of `n` GETs of one path took, one after the other; each must be answered 200. As many as a tenth of them go
    /// before, which warm up and are not counted.
    pub(crate) fn time(&mut self, path: &str, n: usize) -> Result<Vec<Duration>, BenchError> {
        let host = self.address;
        let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\naccept: application/json\r\n\r\n");
        let mut taken = Vec::with_capacity(n);
        for i in 0..n + n / 10 {
            let began = Instant::now();
            let (status, len) = self.get(request.as_bytes())?;
            let took = began.elapsed();
            if status != 200 {
                let text = String::from_utf8_lossy(&self.buffer[..len]);
                return Err(BenchError::Unexpected(format!("{path}: {status}: {text}")));
            }
            if i >= n / 10 {
                taken.push(took);
            }
        }
        Ok(taken)
    }

    /// Sends a request and reads its answer into the buffer: status and bytes.
    fn get(&mut self, request: &[u8]) -> Result<(u16, usize), BenchError> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.dial()?,
        };
        stream.write_all(request)?;
        let (head, filled) = self.read(&mut stream)?;
        self.stream = (!head.closes).then_some(stream);
        Ok((head.status, filled))
    }

    /// Reads an answer into the buffer: its head and all its bytes.
    fn read(&mut self, stream: &mut impl Read) -> Result<(Head, usize), BenchError> {
        let mut filled = 0;
        let head = loop {
            self.more(stream, &mut filled)?;
            if let Some(head) = head(&self.buffer[..filled])? {
                break head;
            }
        };
        // Where what is not known yet begins.
        let mut at = head.len;
        loop {
            let end = match head.body {
                Body::Length(len) => Some(head.len.saturating_add(len)).filter(|end| *end <= filled),
                Body::Chunked => end_of_chunks(&self.buffer[..filled], &mut at)?,
            };
            if let Some(end) = end {
                if end != filled {
                    return Err(unexpected("the server sent more than its answer"));
                }
                break;
            }
            self.more(stream, &mut filled)?;
        }
        Ok((head, filled))
    }

    /// Reads what is there behind `filled` bytes.
    fn more(&mut self, stream: &mut impl Read, filled: &mut usize) -> Result<(), BenchError> {
        if *filled == self.buffer.len() {
            if *filled >= MOST {
                return Err(unexpected(format!("an answer is longer than {MOST} bytes")));
            }
            self.buffer.resize(*filled * 2, 0);
        }
        let n = stream.read(&mut self.buffer[*filled..])?;
        if n == 0 {
            return Err(unexpected("the server closed the connection within an answer"));
        }
        *filled += n;
        Ok(())
    }
}

/// The head that `bytes` begin with; none where it is not all there.
fn head(bytes: &[u8]) -> Result<Option<Head>, BenchError> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut answer = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(len) = answer.parse(bytes).map_err(unexpected)? else {
        return Ok(None);
    };
    let field = |name: &str| {
        let named = answer.headers.iter().find(|f| f.name.eq_ignore_ascii_case(name));
        named.and_then(|f| std::str::from_utf8(f.value).ok())
    };
    let body = match (field("content-length"), field("transfer-encoding")) {
        (Some(length), None) => Body::Length(length.parse().map_err(unexpected)?),
        (None, Some("chunked")) => Body::Chunked,
        other => {
            return Err(unexpected(format!(
                "an answer says neither its length nor chunks: {other:?}"
            )));
        }
    };
    Ok(Some(Head {
        status: answer.code.unwrap_or_default(),
        len,
        body,
        closes: field("connection").is_some_and(|said| said.eq_ignore_ascii_case("close")),
    }))
}

/// Where a chunked body ends in `bytes`; none where its end is not there. `at`: where a chunk begins, moved on to the last that does.
fn end_of_chunks(bytes: &[u8], at: &mut usize) -> Result<Option<usize>, BenchError> {
    while let Some(rest) = bytes.get(*at..) {
        let size = httparse::parse_chunk_size(rest).map_err(|_| unexpected("a chunk does not begin with its size"))?;
        let httparse::Status::Complete((head, size)) = size else {
            break;
        };
        if size == 0 {
            // Nobody sends fields behind a body unasked.
            let end = *at + head + 2;
            return Ok((end <= bytes.len()).then_some(end));
        }
        let size = usize::try_from(size).ok().filter(|size| *size <= MOST);
        *at += head + size.ok_or_else(|| unexpected("a chunk is too long"))? + 2;
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::thread;

    /// Answers every request of every connection, and closes behind an answer that says so.
    fn serve(answer: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut request = [0; 4096];
                while stream.read(&mut request).is_ok_and(|n| n > 0) {
                    stream.write_all(answer.as_bytes()).unwrap();
                    if answer.contains("close") {
                        break;
                    }
                }
            }
        });
        address
    }

    /// Gives one piece at each read.
    struct Pieces(Vec<&'static str>);

    impl Read for Pieces {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            if self.0.is_empty() {
                return Ok(0);
            }
            self.0.remove(0).as_bytes().read(into)
        }
    }

    const PLAIN: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
    const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n";

    #[test]
    fn an_answer_is_read_to_its_end_wherever_it_is_cut() {
        let mut watch = Stopwatch::connect(serve(PLAIN)).unwrap();
        for answer in [PLAIN, CHUNKED] {
            for first in 1..answer.len() {
                for second in first + 1..=answer.len() {
                    let mut pieces = Pieces(vec![&answer[..first], &answer[first..second], &answer[second..]]);
                    pieces.0.retain(|piece| !piece.is_empty());
                    let (head, read) = watch.read(&mut pieces).unwrap();
                    assert_eq!((head.status, read), (200, answer.len()), "{first} {second}");
                    assert!(pieces.0.is_empty());
                }
            }
        }
    }

    #[test]
    fn a_connection_that_the_server_closes_is_made_anew() {
        let closing = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
        for answer in [PLAIN, CHUNKED, closing] {
            let mut watch = Stopwatch::connect(serve(answer)).unwrap();
            assert_eq!(watch.time("/", 3).unwrap().len(), 3, "{answer}");
        }
    }

    #[test]
    fn what_is_no_whole_answer_is_an_error() {
        for (answer, expected) in [
            (
                "HTTP/1.1 503 Away\r\ncontent-length: 4\r\n\r\nwait",
                "503: HTTP/1.1 503 Away",
            ),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 9\r\nx: close\r\n\r\nhello",
                "within an answer",
            ),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nhello",
                "more than its answer",
            ),
            ("HTTP/1.1 200 OK\r\n\r\nhello", "neither its length nor chunks"),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
                "does not begin with its size",
            ),
        ] {
            let mut watch = Stopwatch::connect(serve(answer)).unwrap();
            let error = watch.time("/", 1).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
