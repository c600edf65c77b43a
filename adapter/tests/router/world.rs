//! A small world: standing queries whose rows a test sets, pods, certificate authorities and reviewers that count.

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use leadline_adapter::api::{ReadyCheck, router};
use leadline_adapter::auth::authorize::{Attributes, Authorizer, Lifetimes, Review, ReviewError, Reviewer};
use leadline_adapter::auth::token_review::{TokenError, TokenReviewer, Tokens};
use leadline_adapter::auth::trust::{Authority, RequestHeader, Trust};
use leadline_adapter::auth::{Authenticator, Identity};
use leadline_adapter::objects::Objects;
use leadline_adapter::selection::Selections;
use leadline_adapter::stats::Stats;
use leadline_adapter::{Adapter, Limits, PeerCertificates, Registry};
use leadline_cluster::{Mapper, Pod, PodStore};
use leadline_model::clock::ManualClock;
use leadline_model::port::{EvaluateError, Generation, Plan, PlanSelector, PrepareError, Shape};
use leadline_model::provenance::Provenance;
use leadline_model::target::{Board, Health, OwnerId, TargetState};
use leadline_model::{Labels, Timestamp};
use leadline_standing::{Before, Completeness, Query, Register, RegisterError, Row, Snapshot, Warming, Warmth};
use parking_lot::Mutex;
use rcgen::{CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tower::ServiceExt;

/// 2026-01-02T03:04:05Z.
pub(crate) const NOW: Timestamp = 1_767_323_045_000;

// ------------------------------------------------------------------------------------------------ standing queries

/// What a query answers.
#[derive(Clone)]
pub(crate) struct Content {
    pub(crate) warmth: Warmth,
    pub(crate) rows: Result<Vec<Row>, EvaluateError>,
    pub(crate) completeness: Completeness,
    pub(crate) before: Option<Arc<Before>>,
    /// Targets that were silent for long.
    pub(crate) settled: Vec<OwnerId>,
}

/// Queries by their text.
/// Snapshots are kept until the content changes, as the real room keeps them.
#[derive(Default)]
pub(crate) struct FakeStanding {
    kept: Mutex<HashMap<String, Arc<Snapshot>>>,
    content: Mutex<HashMap<String, Content>>,
    pub(crate) registered: AtomicUsize,
}

struct FakeQuery {
    plan: Arc<Plan>,
    index_by: Vec<String>,
    standing: Arc<FakeStanding>,
}

#[async_trait]
impl Query for FakeQuery {
    fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    async fn snapshot(&self) -> Arc<Snapshot> {
        if self.plan.text == "hangs" {
            std::future::pending::<()>().await;
        }
        if let Some(kept) = self.standing.kept.lock().get(&self.plan.text) {
            return Arc::clone(kept);
        }
        let empty = Content {
            warmth: Warmth::Warm,
            rows: Ok(Vec::new()),
            completeness: Completeness::default(),
            before: None,
            settled: Vec::new(),
        };
        let Content {
            warmth,
            rows,
            completeness,
            before,
            settled,
        } = self
            .standing
            .content
            .lock()
            .get(&self.plan.text)
            .cloned()
            .unwrap_or(empty);
        let mut snapshot = Snapshot::new(Generation(7), NOW, warmth, rows, completeness, &self.index_by);
        snapshot.before = before;
        snapshot.settled = settled;
        let snapshot = Arc::new(snapshot);
        self.standing
            .kept
            .lock()
            .insert(self.plan.text.clone(), Arc::clone(&snapshot));
        snapshot
    }

    fn subscribe(&self) -> tokio::sync::watch::Receiver<Option<Arc<Snapshot>>> {
        tokio::sync::watch::channel(None).1
    }
}

/// The door of [`FakeStanding`].
pub(crate) struct Door(pub(crate) Arc<FakeStanding>);

impl Register for Door {
    fn register(&self, request: leadline_standing::Request) -> Result<Arc<dyn Query>, RegisterError> {
        if request.text.contains("))") {
            let message = "unexpected ')'".to_owned();
            return Err(PrepareError {
                line: 1,
                column: 4,
                message,
            }
            .into());
        }
        self.0.registered.fetch_add(1, Ordering::SeqCst);
        let window_ms = if request.text.contains("[1m]") { 60_000 } else { 0 };
        let plan = Plan {
            text: request.text,
            shape: Shape::Vector,
            selectors: vec![PlanSelector {
                matchers: Arc::from([]),
                window_ms,
            }],
            moves_with_time: false,
            engine: Arc::new(()),
        };
        let standing = Arc::clone(&self.0);
        Ok(Arc::new(FakeQuery {
            plan: Arc::new(plan),
            index_by: request.index_by,
            standing,
        }))
    }
}

/// A row whose newest sample is `age_ms` old and comes from target 1.
pub(crate) fn row(labels: &[(&str, &str)], value: f64, age_ms: i64) -> Row {
    Row {
        labels: Labels::from_pairs(labels.iter().copied()),
        value,
        provenance: Provenance::of_series(NOW - age_ms - 1_000, NOW - age_ms, Some(OwnerId(1))),
        completeness: Completeness {
            feeders: 1,
            down: Vec::new(),
        },
        warming: None,
        last_complete: Some(value),
    }
}

/// A row of a pod in namespace demo, one second old.
pub(crate) fn pod_row(pod: &str, value: f64) -> Row {
    row(&[("namespace", "demo"), ("pod", pod)], value, 1_000)
}

/// The row as it is while its targets are observed for 23 s of a minute.
pub(crate) fn warming(row: Row) -> Row {
    let warming = Warming {
        since: NOW - 23_000,
        need_ms: 60_000,
    };
    Row {
        warming: Some(warming),
        ..row
    }
}

// ---------------------------------------------------------------------------------------------------- certificates

/// A certificate authority.
pub(crate) struct Ca(CertifiedIssuer<'static, KeyPair>);

impl Ca {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = params(name, &[]);
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn authority(&self) -> Authority {
        Authority::from_pem(&self.0.pem()).unwrap()
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for client authentication, valid from 2025 to 2027.
    pub(crate) fn client(&self, name: &str, organizations: &[&str]) -> PeerCertificates {
        self.issue(name, organizations, |_| {})
    }

    pub(crate) fn issue(
        &self,
        name: &str,
        organizations: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> PeerCertificates {
        self.issue_with_key(name, organizations, change).0
    }

    /// As [`Self::issue`], with the key that the certificate is for.
    pub(crate) fn issue_with_key(
        &self,
        name: &str,
        organizations: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> (PeerCertificates, KeyPair) {
        let mut params = params(name, organizations);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (PeerCertificates(vec![certificate.der().clone()]), key)
    }
}

fn params(name: &str, organizations: &[&str]) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    if !name.is_empty() {
        params.distinguished_name.push(DnType::CommonName, name);
    }
    for organization in organizations {
        params.distinguished_name.push(DnType::OrganizationName, *organization);
    }
    params.not_before = rcgen::date_time_ymd(2025, 1, 1);
    params.not_after = rcgen::date_time_ymd(2027, 1, 1);
    params
}

/// Trust in two authorities, with Kubernetes' header names.
pub(crate) fn trust(clients: &Ca, proxies: &Ca, allowed: &[&str]) -> Trust {
    let texts = |t: &[&str]| t.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
    Trust {
        client_ca: Some(clients.authority()),
        request_header: Some(RequestHeader {
            authority: proxies.authority(),
            allowed_names: texts(allowed),
            username_headers: texts(&["x-remote-user"]),
            uid_headers: texts(&["x-remote-uid"]),
            group_headers: texts(&["x-remote-group"]),
            extra_prefixes: texts(&["x-remote-extra-"]),
        }),
    }
}

// -------------------------------------------------------------------------------------------------------- reviewers

/// What a reviewer does.
#[derive(Clone)]
pub(crate) enum Mood {
    AllowAll,
    DenyAll,
    Allow(String),
    Fail,
    /// Never answers about anonymous callers, and allows all others.
    Hang,
}

/// Answers reviews and remembers them.
pub(crate) struct FakeReviewer {
    pub(crate) mood: Mutex<Mood>,
    pub(crate) asked: Mutex<Vec<(Identity, Attributes)>>,
}

#[async_trait]
impl Reviewer for FakeReviewer {
    async fn review(&self, identity: &Identity, attributes: &Attributes) -> Result<Review, ReviewError> {
        self.asked.lock().push((identity.clone(), attributes.clone()));
        // Others that ask the same get their turn while this one is under way.
        tokio::task::yield_now().await;
        let mood = self.mood.lock().clone();
        let allowed = match mood {
            Mood::AllowAll => true,
            Mood::DenyAll => false,
            Mood::Allow(user) => identity.user == user,
            Mood::Hang if identity.user == "system:anonymous" => std::future::pending().await,
            Mood::Hang => true,
            Mood::Fail => return Err(ReviewError("connection refused".into())),
        };
        Ok(Review {
            allowed,
            reason: String::new(),
        })
    }
}

/// Knows the token `good`, fails on `broken`.
#[derive(Default)]
pub(crate) struct FakeTokens {
    pub(crate) asked: AtomicUsize,
}

#[async_trait]
impl TokenReviewer for FakeTokens {
    async fn review(&self, token: &str, _audiences: &[String]) -> Result<Option<Identity>, TokenError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        match token {
            "good" => Ok(Some(Identity {
                user: "tokenuser".into(),
                ..Identity::default()
            })),
            "nobody" => Ok(Some(Identity::default())),
            "broken" => Err(TokenError("connection refused".into())),
            _ => Ok(None),
        }
    }
}

// ------------------------------------------------------------------------------------------------------------ world

/// Everything a test needs.
pub(crate) struct World {
    pub(crate) standing: Arc<FakeStanding>,
    pub(crate) adapter: Arc<Adapter>,
    pub(crate) router: Router,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) reviewer: Arc<FakeReviewer>,
    pub(crate) tokens: Arc<FakeTokens>,
    pub(crate) clients: Ca,
    pub(crate) proxies: Ca,
    /// A client that access is granted to.
    pub(crate) user: PeerCertificates,
}

struct NamedCheck;

impl ReadyCheck for NamedCheck {
    fn name(&self) -> &str {
        "configuration"
    }

    fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

impl World {
    /// With these rules (YAML under `metrics:`), pods p-1, p-2 (app=web) and q-1 in demo, everybody allowed.
    pub(crate) fn new(rules: &str) -> Self {
        Self::with_limits(rules, Limits::default())
    }

    pub(crate) fn with_limits(rules: &str, limits: Limits) -> Self {
        let world = Self::untrusting(rules, limits, None);
        world.trust();
        world
    }

    /// As [`Self::new`], but nobody is believed before [`Self::trust`]. Tokens are reviewed by `reviewer`, or by
    /// [`Self::tokens`].
    pub(crate) fn untrusting(rules: &str, limits: Limits, reviewer: Option<Arc<dyn TokenReviewer>>) -> Self {
        Self::build(rules, limits, reviewer, Mapper::new(None))
    }

    /// As [`Self::new`], with an API server that answers GETs of discovery by their path.
    pub(crate) fn in_cluster(rules: &str, answer: fn(&str) -> &'static str) -> (Self, Arc<Mapper>) {
        let service = tower::service_fn(move |request: Request<kube::client::Body>| {
            let answer = answer(request.uri().path());
            std::future::ready(Ok::<_, std::io::Error>(http::Response::new(kube::client::Body::from(
                answer.as_bytes().to_vec(),
            ))))
        });
        let mapper = Mapper::new(Some(kube::Client::new(service, "default")));
        let world = Self::build(rules, Limits::default(), None, Arc::clone(&mapper));
        world.trust();
        (world, mapper)
    }

    fn build(rules: &str, limits: Limits, reviewer: Option<Arc<dyn TokenReviewer>>, mapper: Arc<Mapper>) -> Self {
        let clock = Arc::new(ManualClock::at(NOW));
        let standing = Arc::new(FakeStanding::default());
        let registry = Registry::new(Arc::new(Door(Arc::clone(&standing))), mapper);
        registry.apply(&serde_saphyr::from_str(rules).unwrap());
        let (clients, proxies) = (Ca::new("clients"), Ca::new("proxies"));
        let tokens = Arc::new(FakeTokens::default());
        let kept = Tokens::new(reviewer.unwrap_or_else(|| tokens.clone()), Vec::new()).unwrap();
        let authenticator = Arc::new(Authenticator::new(clock.clone(), Some(kept)));
        let reviewer = Arc::new(FakeReviewer {
            mood: Mutex::new(Mood::AllowAll),
            asked: Mutex::default(),
        });
        let adapter = Arc::new(Adapter {
            registry,
            objects: Objects {
                pods: PodStore::of(pods()),
                others: None,
            },
            board: board(),
            clock: clock.clone(),
            authenticator,
            authorizer: Authorizer::new(
                Arc::clone(&reviewer) as Arc<dyn Reviewer>,
                clock.clone(),
                Lifetimes::default(),
            ),
            stats: Arc::new(Stats::default()),
            selections: Selections::default(),
            checks: vec![Arc::new(NamedCheck)],
            limits,
            version: "1.2.3",
        });
        let user = clients.client("user", &["staff"]);
        let router = router(Arc::clone(&adapter));
        Self {
            standing,
            adapter,
            router,
            clock,
            reviewer,
            tokens,
            clients,
            proxies,
            user,
        }
    }

    /// Loads the data that authentication needs.
    pub(crate) fn trust(&self) {
        let data = trust(&self.clients, &self.proxies, &["front-proxy-client"]);
        self.adapter.authenticator.set_trust(data);
    }

    /// Sets the rows of a query.
    pub(crate) fn rows(&self, query: &str, rows: Vec<Row>) {
        self.content(query, |c| c.rows = Ok(rows));
    }

    /// Two queues of the namespace, and one of another.
    pub(crate) fn queues(&self) {
        let queue = |q: &str, ns: &str, v| row(&[("namespace", ns), ("queue", q)], v, 0);
        let rows = [("a", "demo", 5.0), ("b", "demo", 7.0), ("c", "other", 9.0)];
        self.rows("queue", rows.map(|(q, ns, v)| queue(q, ns, v)).to_vec());
    }

    /// Changes what a query answers.
    pub(crate) fn content(&self, query: &str, change: impl FnOnce(&mut Content)) {
        self.standing.kept.lock().clear();
        let mut content = self.standing.content.lock();
        let empty = Content {
            warmth: Warmth::Warm,
            rows: Ok(Vec::new()),
            completeness: Completeness::default(),
            before: None,
            settled: Vec::new(),
        };
        change(content.entry(query.to_owned()).or_insert(empty));
    }

    /// Sends a request as it is.
    pub(crate) async fn send(&self, request: Request<Body>) -> Reply {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Reply {
            status: parts.status,
            headers: parts.headers,
            closes: parts
                .extensions
                .get::<leadline_adapter::api::CloseConnection>()
                .is_some(),
            known: parts.extensions.get::<leadline_adapter::api::Authenticated>().is_some(),
            text: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    /// GET as the allowed user.
    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.get_as(Some(&self.user), path, &[]).await
    }

    /// GET with headers, behind a certificate or without one.
    pub(crate) async fn get_as(&self, peer: Option<&PeerCertificates>, path: &str, headers: &[(&str, &str)]) -> Reply {
        self.send(request("GET", peer, path, headers)).await
    }

    /// Counters by name and labels.
    pub(crate) fn counters(&self) -> BTreeMap<String, f64> {
        let mut counters = BTreeMap::new();
        self.adapter.stats.visit(|name, labels, value| {
            let labels: Vec<String> = labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
            counters.insert(format!("{name}{{{}}}", labels.join(",")), value);
        });
        counters
    }
}

pub(crate) fn request(
    method: &str,
    peer: Option<&PeerCertificates>,
    path: &str,
    headers: &[(&str, &str)],
) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(Body::empty()).unwrap();
    if let Some(peer) = peer {
        request.extensions_mut().insert(peer.clone());
    }
    request
}

/// A response, read.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) closes: bool,
    pub(crate) known: bool,
    pub(crate) text: String,
}

impl Reply {
    pub(crate) fn code(&self) -> u16 {
        self.status.as_u16()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {}", self.text))
    }

    pub(crate) fn message(&self) -> String {
        self.json()["message"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }

    /// `object=quantity` of every item.
    pub(crate) fn values(&self) -> Vec<String> {
        let document = self.json();
        let Some(items) = document["items"].as_array() else {
            panic!("no items: {}", self.text)
        };
        let name = |i: &Value| match i["describedObject"]["name"].as_str() {
            Some(name) => name.to_owned(),
            None => i["metricLabels"]["queue"].as_str().unwrap_or("-").to_owned(),
        };
        items
            .iter()
            .map(|i| format!("{}={}", name(i), i["value"].as_str().unwrap()))
            .collect()
    }
}

fn pods() -> Vec<Pod> {
    [
        ("demo", "p-1", "web"),
        ("demo", "p-2", "web"),
        ("demo", "q-1", "queue"),
        ("other", "p-1", "web"),
    ]
    .map(|(namespace, name, app)| Pod {
        namespace: namespace.into(),
        name: name.into(),
        labels: BTreeMap::from([("app".to_owned(), app.to_owned())]).into(),
        ..Pod::default()
    })
    .into()
}

/// Targets 1 (up), 2 (down, demo) and 3 (down, other), scraped every 10 s.
fn board() -> Arc<Board> {
    let board = Board::new();
    for (id, namespace, health) in [
        (1, "demo", Health::Up),
        (2, "demo", Health::Down),
        (3, "other", Health::Down),
    ] {
        let instance = format!("10.0.0.{id}:80");
        board.put(TargetState {
            owner: OwnerId(id),
            job: "web".into(),
            labels: Labels::from_pairs([("job", "web"), ("instance", &instance), ("namespace", namespace)]),
            discovered: Labels::empty(),
            url: format!("http://{instance}/metrics?secret=hush"),
            interval_ms: 10_000,
            timeout_ms: 5_000,
            health,
            first_good: Some(0),
            last_scrape: Some(NOW),
            last_duration_s: 0.1,
            last_error: (health == Health::Down).then(|| "connection refused".to_owned()),
        });
    }
    board
}
