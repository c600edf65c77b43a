//! What the log tells of refused credentials, and what it must never hold, however much it is asked to say.

use crate::world::World;
use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use leadline_adapter::Limits;
use leadline_adapter::auth::kubernetes::KubernetesReviews;
use parking_lot::Mutex;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;
use tracing_subscriber::fmt::MakeWriter;

/// A bearer token that nobody else would write.
const TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.c2VjcmV0LW9mLXRoZS10ZXN0.c2lnbmF0dXJl";

/// Everything that is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().clone()).unwrap()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// An API server that answers every TokenReview with this after so many milliseconds; without a status it cannot be reached.
fn api_server(status: Option<u16>, body: &'static str, after: u64) -> kube::Client {
    let service = tower::service_fn(move |_: http::Request<kube::client::Body>| async move {
        tokio::time::sleep(Duration::from_millis(after)).await;
        let Some(status) = status else {
            return Err(std::io::Error::other("connection refused"));
        };
        let answer = Response::builder()
            .status(status)
            .body(Full::new(Bytes::from_static(body.as_bytes())));
        answer.map_err(std::io::Error::other)
    });
    kube::Client::new(service, "default")
}

#[tokio::test(start_paused = true)]
async fn why_a_token_is_refused_is_logged_and_the_token_never_is() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(log.clone())
        .finish();
    // With one dispatcher alone, whichever thread reaches a line first decides for all whether it is wanted, and the threads
    // of other tests want none (`Dispatchers::rebuilder` of tracing-core); with two, every dispatcher is asked.
    let _another = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::default());
    let _logging = tracing::subscriber::set_default(subscriber);
    let review =
        r#"{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "metadata": {}, "spec": {}, "status": "#;
    let no: &'static str = format!("{review}{{\"authenticated\": false, \"error\": \"expired\"}}}}").leak();
    for (status, body, after, reasons) in [
        (Some(201), no, 0, &["the bearer token is not valid"][..]),
        (Some(201), "no JSON", 0, &["token review failed"]),
        (Some(500), "no Status", 0, &["token review failed"]),
        (None, "", 0, &["token review failed", "connection refused"]),
        // Less slow than all attempts together may be.
        (None, "", 950, &["no answer within 2 s", "connection refused"]),
        (None, "", 1_900, &["token review failed", "connection refused"]),
        (Some(201), no, 60_000, &["token review failed: no answer within 2 s"]),
    ] {
        let reviews = KubernetesReviews(api_server(status, body, after));
        let world = World::untrusting("metrics: []", Limits::default(), Some(Arc::new(reviews)));
        world.trust();
        let before = log.text().len();
        for header in [
            format!("Bearer {TOKEN}"),
            format!("Basic {TOKEN}"),
            TOKEN.to_owned(),
            format!("bearer  {TOKEN} {TOKEN}"),
        ] {
            let reply = world.get_as(None, "/apis", &[("authorization", &header)]).await;
            assert_eq!(
                reply.code(),
                401,
                "{status:?} {body:?} {after} {header}: {}",
                reply.text
            );
            assert!(!reply.text.contains(TOKEN), "{}", reply.text);
        }
        let logged = log.text();
        for reason in reasons {
            assert!(
                logged[before..].contains(reason),
                "{reason:?} in\n{}",
                &logged[before..]
            );
        }
    }
    let logged = log.text();
    for part in TOKEN.split('.') {
        assert!(!logged.contains(part), "{part} in\n{logged}");
    }
}
