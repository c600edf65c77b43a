//! Compressed answers for clients that take them, as Prometheus gives them (`util/httputil/compression.go`): gzip and
//! deflate. A body is compressed piece by piece, so that a big answer is never whole here either.

use axum::BoxError;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use futures::{Stream, StreamExt, TryStreamExt};
use std::io::{self, Write};

/// Bodies of fewer bytes fit into one packet as they are.
const SMALL: u64 = 1_400;

/// The most bytes that are compressed at once.
const PIECE: usize = 64 << 10;

/// What a client takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Gzip,
    /// zlib's format, as HTTP means it.
    Deflate,
}

/// Compresses what `next` answers, where the client takes that and it is worth it.
pub(crate) async fn answers(request: Request, next: Next) -> Response {
    let encoding = Encoding::accepted(request.headers());
    let mut response = next.run(request).await;
    let varies = HeaderValue::from_static("Accept-Encoding");
    response.headers_mut().append(header::VARY, varies);
    let small = response.body().size_hint().upper().is_some_and(|bytes| bytes < SMALL);
    match encoding {
        Some(encoding) if !small => encoding.compress(response),
        _ => response,
    }
}

impl Encoding {
    /// The first one that the client names and we have.
    fn accepted(headers: &HeaderMap) -> Option<Self> {
        let lists = headers.get_all(header::ACCEPT_ENCODING).iter();
        let mut named = lists
            .filter_map(|list| list.to_str().ok())
            .flat_map(|list| list.split(','));
        named.find_map(Self::named)
    }

    /// One entry of the list: a name with parameters, of which a weight of 0 refuses.
    fn named(entry: &str) -> Option<Self> {
        let mut words = entry.split(';').map(str::trim);
        let encoding = match words.next()?.to_ascii_lowercase().as_str() {
            "gzip" => Self::Gzip,
            "deflate" => Self::Deflate,
            _ => return None,
        };
        let weight = |word: &str| word.strip_prefix("q=")?.parse::<f32>().ok();
        let refused = words.filter_map(weight).any(|weight| weight <= 0.0);
        (!refused).then_some(encoding)
    }

    fn name(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
        })
    }

    fn compress(self, response: Response) -> Response {
        let (mut head, body) = response.into_parts();
        head.headers.insert(header::CONTENT_ENCODING, self.name());
        head.headers.remove(header::CONTENT_LENGTH);
        let pieces = body.into_data_stream().map_ok(cut).try_flatten();
        let begin = (Box::pin(pieces), Some(Encoder::new(self)));
        let pieces = futures::stream::try_unfold(begin, |(mut pieces, encoder)| async move {
            let Some(mut encoder) = encoder else {
                return Ok::<_, BoxError>(None);
            };
            while let Some(piece) = pieces.next().await {
                let compressed = encoder.add(&piece?)?;
                // To a client that reads fast all of it could be written in one go.
                tokio::task::yield_now().await;
                if !compressed.is_empty() {
                    return Ok(Some((Bytes::from(compressed), (pieces, Some(encoder)))));
                }
            }
            Ok(Some((Bytes::from(encoder.finish()?), (pieces, None))))
        });
        Response::from_parts(head, Body::from_stream(pieces))
    }
}

/// A piece in smaller ones: a list is a body of one piece, and to compress one takes a thread for as long as it is.
fn cut(mut piece: Bytes) -> impl Stream<Item = Result<Bytes, axum::Error>> {
    futures::stream::iter(std::iter::from_fn(move || {
        let size = piece.len().min(PIECE);
        (size > 0).then(|| Ok(piece.split_to(size)))
    }))
}

/// Takes pieces and gives compressed ones.
enum Encoder {
    Gzip(GzEncoder<Vec<u8>>),
    Deflate(ZlibEncoder<Vec<u8>>),
}

impl Encoder {
    /// Fast: labels and times repeat so much that more effort hardly makes answers smaller, and the client waits.
    fn new(encoding: Encoding) -> Self {
        match encoding {
            Encoding::Gzip => Self::Gzip(GzEncoder::new(Vec::new(), Compression::fast())),
            Encoding::Deflate => Self::Deflate(ZlibEncoder::new(Vec::new(), Compression::fast())),
        }
    }

    /// What is ready once `piece` was taken in.
    fn add(&mut self, piece: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Self::Gzip(encoder) => {
                encoder.write_all(piece)?;
                Ok(std::mem::take(encoder.get_mut()))
            }
            Self::Deflate(encoder) => {
                encoder.write_all(piece)?;
                Ok(std::mem::take(encoder.get_mut()))
            }
        }
    }

    /// What is left.
    fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Self::Gzip(encoder) => encoder.finish(),
            Self::Deflate(encoder) => encoder.finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::http::StatusCode;
    use axum::routing::get;
    use http_body_util::BodyExt;
    use std::convert::Infallible;
    use std::io::Read;
    use tower::ServiceExt;

    /// Bytes that are not all the same.
    fn bytes(len: usize) -> Vec<u8> {
        (0..len)
            .map(|i| (i.wrapping_mul(2_654_435_761) >> 7) as u8 % 64 + b'0')
            .collect()
    }

    /// What `/LEN` and, in pieces, `/pieces` answer.
    fn router() -> Router {
        let plain = async |axum::extract::Path(len): axum::extract::Path<usize>| bytes(len);
        let pieces = async || {
            let whole = bytes(1 << 20);
            let pieces = whole
                .chunks(1 << 16)
                .map(|piece| Ok::<_, Infallible>(Bytes::copy_from_slice(piece)));
            Body::from_stream(futures::stream::iter(pieces.collect::<Vec<_>>()))
        };
        Router::new()
            .route("/{len}", get(plain))
            .route("/pieces", get(pieces))
            .layer(axum::middleware::from_fn(answers))
    }

    /// The encoding of an answer, its pieces, and the whole of it as it was before.
    async fn ask(path: &str, accept: &str) -> (Option<String>, Vec<Bytes>, Vec<u8>) {
        let request = Request::get(path)
            .header(header::ACCEPT_ENCODING, accept)
            .body(Body::empty());
        let response = router().oneshot(request.unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()[header::VARY], "Accept-Encoding");
        let encoding = response.headers().get(header::CONTENT_ENCODING);
        let encoding = encoding.map(|name| name.to_str().unwrap().to_owned());
        let mut body = response.into_body();
        let mut pieces = Vec::new();
        while let Some(frame) = body.frame().await {
            pieces.push(frame.unwrap().into_data().unwrap());
        }
        let (sent, mut whole) = (pieces.concat(), Vec::new());
        match encoding.as_deref() {
            Some("gzip") => flate2::read::GzDecoder::new(sent.as_slice())
                .read_to_end(&mut whole)
                .unwrap(),
            Some("deflate") => flate2::read::ZlibDecoder::new(sent.as_slice())
                .read_to_end(&mut whole)
                .unwrap(),
            _ => sent.as_slice().read_to_end(&mut whole).unwrap(),
        };
        (encoding, pieces, whole)
    }

    #[tokio::test]
    async fn a_client_gets_the_first_encoding_that_it_names_and_the_same_bytes() {
        for (accept, wanted) in [
            ("gzip", Some("gzip")),
            ("GZIP", Some("gzip")),
            ("deflate", Some("deflate")),
            ("br, deflate;q=0.5 , gzip", Some("deflate")),
            ("gzip;q=0, deflate", Some("deflate")),
            ("gzip; q=0.0", None),
            ("gzipped", None),
            ("identity", None),
            ("", None),
        ] {
            let (encoding, pieces, whole) = ask("/100000", accept).await;
            assert_eq!(encoding.as_deref(), wanted, "{accept}");
            assert!(whole == bytes(100_000), "{accept}");
            let sent: usize = pieces.iter().map(Bytes::len).sum();
            assert_eq!(sent < 90_000, wanted.is_some(), "{accept}: {sent}");
        }
    }

    #[tokio::test]
    async fn a_small_answer_stays_as_it_is() {
        for (path, wanted) in [("/1399", None), ("/1400", Some("gzip")), ("/0", None)] {
            assert_eq!(ask(path, "gzip").await.0.as_deref(), wanted, "{path}");
        }
    }

    #[tokio::test]
    async fn an_answer_in_pieces_stays_in_pieces_and_one_without_is_cut() {
        for (path, accept) in [("/pieces", "gzip"), ("/pieces", "deflate"), ("/1048576", "gzip")] {
            let (_, pieces, whole) = ask(path, accept).await;
            assert!(whole == bytes(1 << 20), "{path} {accept}");
            let longest = pieces.iter().map(Bytes::len).max();
            assert!(
                pieces.len() > 8 && longest < Some(1 << 18),
                "{path} {accept}: {} {longest:?}",
                pieces.len()
            );
        }
    }
}
