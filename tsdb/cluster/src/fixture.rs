//! An API server without a socket, for tests.

use kube::Client;
use kube::client::Body;

/// What it answers a request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Answer {
    /// This status with this JSON.
    Status(u16, &'static str),
    /// Nothing, ever.
    Never,
}

/// A client of an API server that answers each request by its path.
pub(crate) fn api_server(answer: impl Fn(&str) -> Answer + Clone + Send + Sync + 'static) -> Client {
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let answer = answer(request.uri().path());
        async move {
            match answer {
                Answer::Never => std::future::pending().await,
                Answer::Status(status, json) => http::Response::builder()
                    .status(status)
                    .body(Body::from(json.as_bytes().to_vec()))
                    .map_err(std::io::Error::other),
            }
        }
    });
    Client::new(service, "default")
}
