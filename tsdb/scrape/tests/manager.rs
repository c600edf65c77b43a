//! Whole scrapes over real sockets: an exporter on loopback, the manager, a head.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test helper that fails is a test that fails"
)]

use flate2::write::GzEncoder;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use leadline_model::clock::SystemClock;
use leadline_model::matcher::Matcher;
use leadline_model::port::Queryable;
use leadline_model::sample::{Samples, is_stale};
use leadline_model::target::{Board, Health, TargetGroup, TargetState};
use leadline_model::{Clock, Labels};
use leadline_scrape::{DropReason, Job, Manager, Parts, Scheme};
use leadline_storage::{Head, Settings};
use parking_lot::Mutex;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;

/// What the exporter answers, and what it was asked.
#[derive(Default)]
struct Exporter {
    status: Mutex<Option<StatusCode>>,
    body: Mutex<String>,
    headers: Mutex<Vec<(&'static str, String)>>,
    gzip: Mutex<bool>,
    hang: Mutex<bool>,
    requests: Mutex<Vec<(String, HeaderMap)>>,
    connections: Mutex<usize>,
}

impl Exporter {
    fn new(body: &str) -> Arc<Self> {
        let exporter = Self::default();
        *exporter.body.lock() = body.to_owned();
        *exporter.headers.lock() = vec![("content-type", "text/plain; version=0.0.4".to_owned())];
        Arc::new(exporter)
    }

    async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, std::convert::Infallible> {
        self.requests
            .lock()
            .push((request.uri().to_string(), request.headers().clone()));
        if *self.hang.lock() {
            std::future::pending::<()>().await;
        }
        let mut response = Response::builder().status(self.status.lock().unwrap_or(StatusCode::OK));
        for (name, value) in self.headers.lock().iter() {
            response = response.header(*name, value);
        }
        let mut body = self.body.lock().clone().into_bytes();
        if *self.gzip.lock() {
            let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(&body).unwrap();
            body = encoder.finish().unwrap();
            response = response.header("content-encoding", "gzip");
        }
        Ok(response.body(Full::new(Bytes::from(body))).unwrap())
    }

    async fn speak<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(self: Arc<Self>, stream: S) {
        *self.connections.lock() += 1;
        let service = hyper::service::service_fn(move |request| self.clone().answer(request));
        // A client that goes away mid-exchange is part of the tests.
        hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .await
            .ok();
    }

    /// Serves on a free port, with TLS where `tls` is given.
    async fn serve(self: &Arc<Self>, tls: Option<rustls::ServerConfig>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = tls.map(|config| tokio_rustls::TlsAcceptor::from(Arc::new(config)));
        let exporter = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (exporter, acceptor) = (exporter.clone(), acceptor.clone());
                tokio::spawn(async move {
                    match acceptor {
                        None => exporter.speak(stream).await,
                        Some(acceptor) => {
                            if let Ok(stream) = acceptor.accept(stream).await {
                                exporter.speak(stream).await;
                            }
                        }
                    }
                });
            }
        });
        address
    }
}

/// The system's clock and so many ms.
#[derive(Default)]
struct SetClock(AtomicI64);

impl Clock for SetClock {
    fn now(&self) -> i64 {
        SystemClock.now() + self.0.load(Ordering::SeqCst)
    }
}

struct Rig {
    head: Arc<Head>,
    board: Arc<Board>,
    manager: Manager,
}

impl Rig {
    fn new() -> Self {
        Self::over(Settings::default())
    }

    /// With a store of these settings.
    fn over(settings: Settings) -> Self {
        Self::with(settings, Arc::new(SystemClock))
    }

    fn with(settings: Settings, clock: Arc<dyn Clock>) -> Self {
        let head = Head::new(settings, clock.clone()).unwrap();
        let board = Board::new();
        let manager = Manager::new(Parts {
            appender: head.clone(),
            metadata: false,
            label_types: false,
            board: board.clone(),
            clock,
            runtime: Box::new(|_| tokio::runtime::Handle::current()),
            seed: 1,
        });
        Self { head, board, manager }
    }

    fn start(job: Job, addresses: &[SocketAddr]) -> Self {
        let rig = Self::new();
        rig.manager.apply(vec![job]).unwrap();
        rig.groups(addresses);
        rig
    }

    fn groups(&self, addresses: &[SocketAddr]) {
        let target = |a: &SocketAddr| Labels::from_pairs([("__address__", a.to_string())]);
        let targets = addresses.iter().map(target).collect();
        let group = TargetGroup {
            source: "0".to_owned(),
            labels: Labels::empty(),
            targets,
        };
        assert!(self.manager.set_groups("j", vec![Arc::new(group)]));
    }

    fn values(&self, name: &str) -> Vec<f64> {
        let set = self
            .head
            .select(&[Matcher::equal("__name__", name)], 0, i64::MAX, true)
            .unwrap();
        let mut samples = Samples::default();
        let mut all = Vec::new();
        for i in 0..set.len() {
            set.read(i, 0, i64::MAX, &mut samples).unwrap();
            all.extend_from_slice(&samples.v);
        }
        all
    }

    fn target(&self) -> Arc<TargetState> {
        self.board.all().pop().expect("one target")
    }

    /// Waits until the only target has this health.
    async fn health(&self, health: Health) -> Arc<TargetState> {
        until("the target's health", || self.target().health == health).await;
        self.target()
    }
}

/// Waits for a condition; gives up after a time that no healthy run comes near.
async fn until(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..2_000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what} did not come");
}

fn job(change: impl FnOnce(&mut Job)) -> Job {
    let mut job = Job::new("j");
    job.interval_ms = 100;
    job.timeout_ms = 100;
    change(&mut job);
    job
}

#[tokio::test]
async fn a_target_is_scraped_on_its_slots_over_one_connection() {
    let exporter = Exporter::new("a 1\n");
    let address = exporter.serve(None).await;
    let rig = Rig::start(
        job(|j| j.params = [("m".to_owned(), vec!["x".to_owned()])].into()),
        &[address],
    );
    until("three scrapes", || rig.values("a").len() >= 3).await;
    let state = rig.health(Health::Up).await;
    assert_eq!(state.url, format!("http://{address}/metrics?m=x"));
    assert_eq!(
        state.labels.to_string(),
        format!("{{instance=\"{address}\", job=\"j\"}}")
    );
    assert!(state.first_good.is_some() && state.last_error.is_none());
    let (uri, headers) = exporter.requests.lock()[0].clone();
    assert_eq!(uri, "/metrics?m=x");
    for (name, value) in [
        ("accept", leadline_scrape::ACCEPT),
        ("accept-encoding", "gzip"),
        ("x-prometheus-scrape-timeout-seconds", "0.1"),
        ("host", &address.to_string()),
    ] {
        assert_eq!(headers[name], value, "{name}");
    }
    assert_eq!(*exporter.connections.lock(), 1);
    rig.manager.shutdown().await;
    assert!(
        !rig.values("a").iter().any(|v| is_stale(*v)),
        "a shutdown marks nothing"
    );
}

#[tokio::test]
async fn a_target_whose_series_the_store_had_no_room_for_is_observed_anew_when_it_has() {
    let exporter = Exporter::new("a 1\n");
    let address = exporter.serve(None).await;
    let rig = Rig::over(Settings {
        max_series: 6,
        ..Settings::default()
    });
    rig.manager.apply(vec![job(|_| {})]).unwrap();
    rig.groups(&[address]);
    let before = rig.health(Health::Up).await.first_good.expect("it answered");
    *exporter.body.lock() = "a 1\nb 1\n".to_owned();
    let state = rig.health(Health::Down).await;
    assert_eq!(state.first_good, None, "{:?}", state.last_error);
    assert!(rig.values("up").iter().all(|v| *v == 1.0));
    *exporter.body.lock() = "a 1\n".to_owned();
    let since = rig.health(Health::Up).await.first_good.expect("it answers whole");
    assert!(since > before, "{since} is not after {before}");
    rig.manager.shutdown().await;
}

#[tokio::test]
async fn a_failing_target_is_down_with_the_reason_and_comes_back() {
    let exporter = Exporter::new("a 1\n");
    let address = exporter.serve(None).await;
    let rig = Rig::start(job(|_| {}), &[address]);
    rig.health(Health::Up).await;
    *exporter.status.lock() = Some(StatusCode::SERVICE_UNAVAILABLE);
    let state = rig.health(Health::Down).await;
    assert_eq!(
        state.last_error.as_deref(),
        Some("server answered 503 Service Unavailable, expected 200")
    );
    until("the stale marker", || {
        rig.values("a").last().is_some_and(|v| is_stale(*v))
    })
    .await;
    assert_eq!(rig.values("up").last(), Some(&0.0));
    *exporter.status.lock() = None;
    rig.health(Health::Up).await;
    for (body, content_type, expected) in [
        ("a x\n", "text/plain", "line 1, byte 3: expected a number"),
        (
            "a 1\n",
            "application/openmetrics-text; version=1.0.0",
            "not supported yet",
        ),
        ("a 1\n", "", "no Content-Type"),
    ] {
        *exporter.body.lock() = body.to_owned();
        *exporter.headers.lock() = vec![("content-type", content_type.to_owned())];
        until(expected, || {
            rig.target().last_error.as_ref().is_some_and(|e| e.contains(expected))
        })
        .await;
    }
}

#[tokio::test]
async fn a_target_that_does_not_answer_in_time_or_at_all_is_down() {
    let exporter = Exporter::new("a 1\n");
    let address = exporter.serve(None).await;
    *exporter.hang.lock() = true;
    let rig = Rig::start(job(|_| {}), &[address]);
    let state = rig.health(Health::Down).await;
    assert_eq!(state.last_error.as_deref(), Some("no whole answer within 100 ms"));
    *exporter.hang.lock() = false;
    rig.health(Health::Up).await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let rig = Rig::start(job(|_| {}), &[closed]);
    let error = rig.health(Health::Down).await.last_error.clone().unwrap();
    assert!(error.starts_with(&format!("cannot connect to {closed}: ")), "{error}");
}

#[tokio::test]
async fn gzip_is_read_and_the_limit_counts_what_it_unpacks() {
    let exporter = Exporter::new(&format!("# {}\na 1\n", "x".repeat(10_000)));
    *exporter.gzip.lock() = true;
    let address = exporter.serve(None).await;
    let rig = Rig::start(job(|_| {}), &[address]);
    rig.health(Health::Up).await;
    until("a sample", || rig.values("a").contains(&1.0)).await;
    let rig = Rig::start(job(|j| j.limits.body_size_limit = 5_000), &[address]);
    let error = rig.health(Health::Down).await.last_error.clone().unwrap();
    assert_eq!(error, "body_size_limit exceeded: the body reaches 5000 bytes");
}

#[tokio::test]
async fn redirects_are_followed_and_credentials_stay_at_home() {
    let home = Exporter::new("a 1\n");
    let other = Exporter::new("a 2\n");
    let home_address = home.serve(None).await;
    let other_address = other.serve(None).await;
    let yaml = "basic_auth: {username: u, password: p}";
    let http: leadline_httpclient::Settings = serde_saphyr::from_str(yaml).unwrap();
    *home.status.lock() = Some(StatusCode::FOUND);
    // Another name of the same machine is another host.
    let elsewhere = format!("http://localhost:{}/x", other_address.port());
    home.headers.lock().push(("location", elsewhere));
    let rig = Rig::start(job(|j| j.http = http.clone()), &[home_address]);
    until("the other's sample", || rig.values("a").contains(&2.0)).await;
    assert_eq!(home.requests.lock()[0].1["authorization"], "Basic dTpw");
    assert!(!other.requests.lock()[0].1.contains_key("authorization"));
    let stay = leadline_httpclient::Settings {
        follow_redirects: false,
        ..http.clone()
    };
    let rig = Rig::start(job(|j| j.http = stay), &[home_address]);
    let error = rig.health(Health::Down).await.last_error.clone().unwrap();
    assert!(error.contains("302"), "{error}");
    *home.headers.lock() = vec![("location", "/again".to_owned())];
    let rig = Rig::start(job(|j| j.http = http), &[home_address]);
    let error = rig.health(Health::Down).await.last_error.clone().unwrap();
    assert_eq!(error, "stopped after 10 redirects");
}

/// PEM files of an authority, a server and a client, and the server's configuration that asks for the client's.
fn certificates(folder: &std::path::Path) -> rustls::ServerConfig {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let issue = |name: &str| {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()])
            .unwrap()
            .signed_by(&key, &ca)
            .unwrap();
        (certificate, key)
    };
    let (server, server_key) = issue("exporter.test");
    let (client, client_key) = issue("leadline.test");
    std::fs::write(folder.join("ca.pem"), ca.pem()).unwrap();
    std::fs::write(folder.join("client.pem"), client.pem()).unwrap();
    std::fs::write(folder.join("client.key"), client_key.serialize_pem()).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(ca.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .unwrap();
    let key = rustls_pki_types::PrivateKeyDer::try_from(server_key.serialize_der()).unwrap();
    rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![server.der().clone()], key)
        .unwrap()
}

#[tokio::test]
async fn https_checks_the_server_and_shows_the_clients_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let exporter = Exporter::new("a 1\n");
    let address = exporter.serve(Some(certificates(folder.path()))).await;
    let with = |yaml: &str| {
        let mut http: leadline_httpclient::Settings = serde_saphyr::from_str(yaml).unwrap();
        http.set_directory(folder.path());
        job(|j| {
            j.scheme = Scheme::Https;
            j.http = http;
            // Handshakes of a debug build take their time.
            (j.interval_ms, j.timeout_ms) = (500, 500);
        })
    };
    let client = "cert_file: client.pem, key_file: client.key";
    let rig = Rig::start(
        with(&format!(
            "tls_config: {{ca_file: ca.pem, {client}, server_name: exporter.test}}"
        )),
        &[address],
    );
    until("two scrapes", || rig.values("a").len() >= 2).await;
    assert_eq!(*exporter.connections.lock(), 1);
    // The authority's file is broken, then mended: no reload is needed.
    let ca = std::fs::read(folder.path().join("ca.pem")).unwrap();
    std::fs::write(folder.path().join("ca.pem"), "nothing").unwrap();
    let error = rig.health(Health::Down).await.last_error.clone().unwrap();
    assert!(
        error.starts_with("tls_config.ca_file: ") && error.contains("expected at least one PEM certificate"),
        "{error}"
    );
    std::fs::write(folder.path().join("ca.pem"), ca).unwrap();
    rig.health(Health::Up).await;
    drop(rig);
    for (yaml, expected) in [
        (
            format!("tls_config: {{ca_file: ca.pem, {client}}}"),
            "not valid for name",
        ),
        (
            format!("tls_config: {{{client}, server_name: exporter.test}}"),
            "UnknownIssuer",
        ),
        ("tls_config: {ca_file: missing.pem}".to_owned(), "tls_config.ca_file: "),
        (
            "tls_config: {ca_file: ca.pem, server_name: exporter.test}".to_owned(),
            "",
        ),
    ] {
        let rig = Rig::start(with(&yaml), &[address]);
        let error = rig.health(Health::Down).await.last_error.clone().unwrap();
        // A machine without authorities of its own says so instead.
        assert!(
            error.contains(expected) || error.contains("has no certificate authorities"),
            "{yaml}: {error}"
        );
    }
    let rig = Rig::start(
        with(&format!("tls_config: {{insecure_skip_verify: true, {client}}}")),
        &[address],
    );
    rig.health(Health::Up).await;
}

#[tokio::test]
async fn a_reload_keeps_targets_and_series_and_a_removed_target_goes_stale() {
    let exporter = Exporter::new("a 1\nb 1\n");
    let address = exporter.serve(None).await;
    let rig = Rig::start(job(|_| {}), &[address]);
    rig.health(Health::Up).await;
    let owner = rig.target().owner;
    // The same again, then a changed job: nothing restarts.
    rig.manager.apply(vec![job(|_| {})]).unwrap();
    rig.groups(&[address]);
    rig.manager.apply(vec![job(|j| j.limits.sample_limit = 1)]).unwrap();
    let state = rig.health(Health::Down).await;
    assert_eq!((state.owner, state.first_good.is_some()), (owner, true));
    assert!(state.last_error.as_ref().unwrap().starts_with("sample_limit exceeded"));
    rig.manager.apply(vec![job(|_| {})]).unwrap();
    rig.health(Health::Up).await;
    assert_eq!(rig.target().owner, owner);
    // A bad list changes nothing.
    let error = rig.manager.apply(vec![job(|j| j.timeout_ms = 101)]).unwrap_err();
    assert_eq!(error.field, "scrape_timeout");
    assert_eq!(
        rig.manager.apply(vec![job(|_| {}), job(|_| {})]).unwrap_err().field,
        "job_name"
    );
    assert_eq!(rig.board.all().len(), 1);
    rig.groups(&[]);
    assert!(rig.board.all().is_empty());
    for name in ["a", "up"] {
        until("the last marker", || {
            rig.values(name).last().is_some_and(|v| is_stale(*v))
        })
        .await;
    }
}

#[tokio::test]
async fn too_many_targets_fail_all_and_dropped_ones_are_remembered() {
    let exporter = Exporter::new("a 1\n");
    let addresses = [exporter.serve(None).await, exporter.serve(None).await];
    let rig = Rig::start(job(|j| j.limits.target_limit = 1), &addresses);
    until("both down", || rig.board.all().iter().all(|t| t.health == Health::Down)).await;
    let error = rig.target().last_error.clone();
    assert_eq!(error.as_deref(), Some("target_limit exceeded: 2 targets, limit 1"));
    assert!(exporter.requests.lock().is_empty());
    rig.groups(&addresses[..1]);
    rig.health(Health::Up).await;
    let keep = "[{source_labels: [__address__], regex: no, action: keep}]";
    rig.manager
        .apply(vec![job(|j| j.relabel = serde_saphyr::from_str(keep).unwrap())])
        .unwrap();
    let dropped = rig.manager.dropped();
    assert_eq!(
        (dropped[0].total, &dropped[0].targets[0].reason),
        (1, &DropReason::Rule(0))
    );
    assert!(rig.board.all().is_empty());
}

#[tokio::test]
async fn samples_carry_the_time_of_their_slot() {
    let exporter = Exporter::new("a 1\n");
    let address = exporter.serve(None).await;
    let rig = Rig::start(job(|_| {}), &[address]);
    until("five scrapes", || rig.values("a").len() >= 5).await;
    let set = rig
        .head
        .select(&[Matcher::equal("__name__", "a")], 0, i64::MAX, true)
        .unwrap();
    let mut samples = Samples::default();
    set.read(0, 0, i64::MAX, &mut samples).unwrap();
    let now = SystemClock.now();
    assert!(samples.t.iter().all(|t| (now - t).abs() < 60_000));
    assert!(samples.t.windows(2).all(|w| w[0] < w[1]));
}

#[tokio::test]
async fn a_clock_set_back_does_not_end_scraping_and_the_target_says_why_nothing_is_stored() {
    let exporter = Exporter::new("a 1\n");
    let address = exporter.serve(None).await;
    let clock = Arc::new(SetClock::default());
    let rig = Rig::with(Settings::default(), clock.clone());
    rig.manager.apply(vec![job(|_| {})]).unwrap();
    rig.groups(&[address]);
    rig.health(Health::Up).await;
    clock.0.store(-3 * 3_600_000, Ordering::SeqCst);
    let state = rig.health(Health::Down).await;
    let why = state.last_error.as_deref().unwrap();
    assert!(
        why.contains("out_of_order") && why.contains("was the clock set back?"),
        "{why}"
    );
    assert!(
        state.first_good.is_some(),
        "what its windows lack is as long as the step"
    );
    assert!(state.last_scrape.unwrap() <= clock.now());
    let requests = exporter.requests.lock().len();
    until("more scrapes", || exporter.requests.lock().len() >= requests + 3).await;
    clock.0.store(0, Ordering::SeqCst);
    rig.health(Health::Up).await;
}
