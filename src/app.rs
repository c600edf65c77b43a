//! Builds the rooms and wires their handles; then runs until it is told to stop.

use crate::config::{Config, Errors};
use crate::ready::{Condition, Ready};
use crate::reload;
use crate::serve::access::{self, Access};
use crate::serve::authority::CertError;
use crate::serve::expiry::Certificates;
use crate::serve::handshakes::TlsCounts;
use crate::serve::identity::{Identity, IdentityError};
use crate::serve::listener::{BindError, Limits, Listener, Strangers, Tls};
use crate::serve::{certs, runtime, web};
use crate::shutdown::Shutdown;
use crate::signals::Stops;
use crate::storage;
use leadline_adapter::objects::Objects;
use leadline_adapter::{Adapter, Registry};
use leadline_api::Origins;
use leadline_cluster::{Cluster, Mapper, PodStore};
use leadline_discovery::PodSource;
use leadline_model::Clock;
use leadline_model::entropy::SystemEntropy;
use leadline_scaler::{HealthReporter, Scaler};
use leadline_standing::Standing;
use leadline_storage::disk::RealDisk;
use leadline_tsdb::{Parts, StorageState, Tsdb};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use tokio::signal::unix::Signal;
use tokio_util::sync::CancellationToken;

/// How long connections go on after the process was told to stop, so that whoever routes to it hears of it first.
const DRAIN: std::time::Duration = std::time::Duration::from_secs(5);
/// How long one part may take to stop.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);
/// The age at which an API server's connection to the adapter is asked to end: it keeps one, to one replica.
const ADAPTER_AGE: std::time::Duration = std::time::Duration::from_secs(300);

/// The connections that one address may have at a time to what a whole cluster can reach. API servers and KEDA's pods have a few
/// each; without a limit, any pod could take all that there are.
const SHARE: usize = 256;

/// What connections have that have not shown who they are. API servers and KEDA do with their handshake and keep their places;
/// the rest is enough for probes and for who comes with a token. Every pod has a token, so that whoever showed only one loses
/// the place where all are taken.
const STRANGERS: Strangers = Strangers {
    most: 512,
    patience: std::time::Duration::from_secs(10),
};

/// What the process is started with.
pub(crate) struct Options {
    /// Every flag and its value, as they are shown; none where there were none.
    pub flags: BTreeMap<String, String>,
    /// `--config.file`
    pub config_file: PathBuf,
    /// `--storage.tsdb.*`
    pub storage: storage::Options,
    /// `--web.enable-admin-api`
    pub admin_api: bool,
    /// `--web.cors.origin`
    pub origins: Origins,
    /// `--query.*` and `--enable-feature`
    pub engine: leadline_promql::settings::Settings,
    /// `--enable-feature=metadata-wal-records`
    pub metadata: bool,
    /// `--web.listen-address`
    pub web: SocketAddr,
    /// `--adapter.listen-address`
    pub adapter: SocketAddr,
    /// `--adapter.tls-cert-file` and `--adapter.tls-private-key-file`
    pub adapter_files: Option<(PathBuf, PathBuf)>,
    /// `--adapter.service-name`
    pub adapter_service: String,
    /// `--scaler.listen-address`
    pub scaler: SocketAddr,
    /// `--scaler.tls-cert-file` and `--scaler.tls-private-key-file`
    pub scaler_files: Option<(PathBuf, PathBuf)>,
    /// `--scaler.tls-client-ca-file`
    pub scaler_client_ca: Option<PathBuf>,
    /// `--scaler.service-name`
    pub scaler_service: String,
    /// `--scaler.client-secret-namespace`
    pub scaler_client_namespace: Option<String>,
    /// `--scaler.insecure`
    pub scaler_insecure: bool,
    /// Where pods and reviews come from.
    pub cluster: ClusterMode,
}

/// Whether there is an API server.
pub(crate) enum ClusterMode {
    /// None: why. The metrics APIs are off, because nobody could be authenticated.
    Off(String),
    /// This one.
    Connected(Arc<Cluster>),
    /// `leadline demo`: pods that it made up, and one identity of its own.
    Demo(Box<access::Demo>),
}

/// Why the process cannot start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// The configuration is not valid.
    #[error("{0}")]
    Config(Errors),
    /// A part cannot be built.
    #[error("{0}")]
    Build(String),
    /// A socket cannot be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A certificate cannot be used.
    #[error(transparent)]
    Cert(#[from] CertError),
    /// Our own certificate authority is not to be had.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

/// The rooms, for whoever reloads or shows them.
pub(crate) struct Rooms {
    /// Scraping, storage, PromQL.
    pub tsdb: Arc<Tsdb>,
    /// Standing queries.
    pub standing: Arc<Standing>,
    /// The metrics APIs.
    pub adapter: Arc<Adapter>,
    /// The KEDA scaler.
    pub scaler: Arc<Scaler>,
    /// The API server, where there is one.
    pub cluster: Option<Arc<Cluster>>,
    /// Readiness.
    pub ready: Ready,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// When the process started, ms.
    pub started: leadline_model::Timestamp,
    /// Every flag and its value, as they are shown.
    pub flags: BTreeMap<String, String>,
    /// Whether the store may be changed over HTTP.
    pub admin_api: bool,
    /// Whose pages a browser lets read what the API answers.
    pub origins: Origins,
    /// TLS of the adapter's and the scaler's listener.
    pub tls: TlsCounts,
    /// What they serve, once they are bound.
    pub certificates: OnceLock<Certificates>,
}

/// A started process.
pub(crate) struct App {
    rooms: Arc<Rooms>,
    parts: Shutdown,
    drain: CancellationToken,
    drains: bool,
    addresses: Addresses,
    scaler_health: HealthReporter,
}

/// Where the listeners are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Addresses {
    /// The web listener.
    pub web: SocketAddr,
    /// The adapter's, unless it is off.
    pub adapter: Option<SocketAddr>,
    /// The scaler's.
    pub scaler: SocketAddr,
}

impl App {
    /// Reads the configuration, builds the rooms, binds the sockets and starts everything. Each `hangup` reloads, one that
    /// came before too.
    ///
    /// # Errors
    /// [`StartError`]; nothing runs then.
    pub(crate) async fn start(options: Options, clock: Arc<dyn Clock>, hangup: Signal) -> Result<Self, StartError> {
        let config = Config::load(&options.config_file).map_err(StartError::Config)?;
        let drain = CancellationToken::new();
        let rooms = Arc::new(Rooms::build(&options, &config, Arc::clone(&clock), drain.clone())?);
        let (file, storage) = (options.config_file.clone(), options.storage.clone());
        let reloads = reload::Reloads::new(Arc::clone(&rooms), file, config, storage);
        let mut parts = Shutdown::default();
        let (addresses, scaler_health) = listen(&options, &rooms, &reloads, &drain, &mut parts).await?;
        rooms.start(&mut parts);
        parts.start("reload", |stop| reloads.run(hangup, stop));
        rooms.ready.set("listeners", Condition::Met);
        let drains = rooms.cluster.is_some();
        Ok(Self {
            rooms,
            parts,
            drain,
            drains,
            addresses,
            scaler_health,
        })
    }

    /// Where the listeners are.
    pub(crate) fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Runs until it is told to stop, then stops in order.
    pub(crate) async fn run(mut self, mut stops: Stops) -> ExitCode {
        tracing::info!(web = %self.addresses.web, scaler = %self.addresses.scaler, adapter = ?self.addresses.adapter, "listening");
        let code = tokio::select! {
            signal = stops.told() => {
                tracing::info!(signal, "stopping");
                ExitCode::SUCCESS
            }
            part = self.parts.first_to_end() => {
                tracing::error!(part, "a part of the process ended by itself");
                ExitCode::FAILURE
            }
        };
        self.stop().await;
        code
    }

    /// Stops: unready first, then connections, then what they read from.
    pub(crate) async fn stop(self) {
        self.rooms
            .ready
            .set("shutdown", Condition::Waiting("the process is stopping".to_owned()));
        leadline_scaler::stop_serving(&self.scaler_health).await;
        self.drain.cancel();
        if self.drains {
            tokio::time::sleep(DRAIN).await;
        }
        self.parts.stop(PATIENCE).await;
    }
}

impl Rooms {
    fn build(
        options: &Options,
        config: &Config,
        clock: Arc<dyn Clock>,
        drain: CancellationToken,
    ) -> Result<Self, StartError> {
        let ready = Ready::default();
        let build = |e: &dyn std::fmt::Display| StartError::Build(e.to_string());
        let (cluster, pods, mapper, source) = reach(options, &ready);
        let storage = options.storage.settings(&config.storage);
        let kept_ms = storage.retention_ms;
        ready.set("storage", storage::condition(&StorageState::Replaying));
        let tsdb = database(options, config, (storage, source), &clock)?;
        let standing = Standing::new(
            leadline_standing::Settings {
                kept_ms,
                ..leadline_standing::Settings::default()
            },
            tsdb.evaluate(),
            tsdb.queryable(),
            tsdb.commits(),
            tsdb.board(),
            Arc::clone(&clock),
        );
        let registry = Registry::new(Arc::clone(&standing) as _, mapper);
        apply_rules(config, &registry);
        let access = Access::of(&options.cluster, &clock).map_err(|e| build(&e))?;
        let objects = Objects {
            pods,
            others: cluster.as_ref().map(|c| c.objects()),
        };
        let adapter = access.adapter(registry, objects, &tsdb, &ready, Arc::clone(&clock));
        let scaler = Scaler::new(
            config.scaler.clone(),
            Arc::clone(&standing) as _,
            tsdb.board(),
            Arc::clone(&clock),
            drain,
        );
        ready.set("config", Condition::Met);
        Ok(Self {
            tsdb,
            standing,
            adapter,
            scaler,
            cluster,
            ready,
            started: clock.now(),
            clock,
            flags: options.flags.clone(),
            admin_api: options.admin_api,
            origins: options.origins.clone(),
            tls: TlsCounts::default(),
            certificates: OnceLock::new(),
        })
    }

    /// Starts the rooms, those first that stop first.
    fn start(self: &Arc<Self>, parts: &mut Shutdown) {
        let rooms = Arc::clone(self);
        parts.start("standing", |stop| async move { rooms.standing.run(stop).await });
        let tsdb = Arc::clone(&self.tsdb);
        let (store, ready) = (Arc::clone(&tsdb), self.ready.clone());
        parts.start("storage state", |stop| storage::follow(store, ready, stop));
        parts.start("tsdb", |stop| async move { tsdb.run(stop).await });
        if let Some(cluster) = self.cluster.clone() {
            let feed = access::feed(Arc::clone(&self.adapter), &cluster, self.ready.clone());
            parts.start("trust", |stop| async move {
                tokio::select! { () = stop.cancelled() => {}, () = feed => {} }
            });
            let rooms = Arc::clone(self);
            parts.start("kinds", |stop| async move { rooms.adapter.registry.follow(stop).await });
            parts.start("cluster", |stop| async move { cluster.run(stop).await });
        }
    }
}

/// Pods, object kinds and what discovery watches, by where the process runs; what is off or awaited is told to `ready`.
fn reach(options: &Options, ready: &Ready) -> (Option<Arc<Cluster>>, Arc<PodStore>, Arc<Mapper>, PodSource) {
    match &options.cluster {
        ClusterMode::Connected(cluster) => {
            let source = PodSource::Cluster(Arc::clone(cluster));
            let waiting = "extension-apiserver-authentication is not loaded yet".to_owned();
            ready.set("authentication", Condition::Waiting(waiting));
            (Some(Arc::clone(cluster)), cluster.pods(), cluster.mapper(), source)
        }
        ClusterMode::Demo(demo) => {
            let source = PodSource::Store {
                pods: Arc::clone(&demo.pods),
                namespace: demo.namespace.clone(),
            };
            (None, Arc::clone(&demo.pods), Mapper::new(None), source)
        }
        ClusterMode::Off(why) => {
            tracing::info!(reason = why, "off: the metrics APIs and kubernetes_sd_configs");
            ready.set("cluster", Condition::Off(why.clone()));
            (None, PodStore::new(), Mapper::new(None), PodSource::None)
        }
    }
}

/// The database with its jobs and its query log, as the configuration has them.
fn database(
    options: &Options,
    config: &Config,
    (storage, pods): (leadline_storage::Settings, PodSource),
    clock: &Arc<dyn Clock>,
) -> Result<Arc<Tsdb>, StartError> {
    let build = |e: &dyn std::fmt::Display| StartError::Build(e.to_string());
    let tsdb = Tsdb::build(Parts {
        settings: leadline_tsdb::Settings {
            storage,
            engine: options.engine.clone(),
            metadata: options.metadata,
            seed: seed(),
        },
        disk: Arc::new(RealDisk),
        path: options.storage.path.clone(),
        pods,
        clock: Arc::clone(clock),
        entropy: Arc::new(SystemEntropy::default()),
    })
    .map_err(|e| build(&e))?;
    tsdb.engine().set_cost_limits(config.cost);
    tsdb.apply(config.evaluation_interval, config.scrape.clone())
        .map_err(|e| build(&e))?;
    let query_log = tsdb.query_log().open(config.query_log.as_deref());
    query_log.map_err(|e| build(&e))?.apply();
    Ok(tsdb)
}

/// Puts the metric rules in force; a rule that is disabled by that, or doubtful, is told in a line of the log.
pub(crate) fn apply_rules(config: &Config, registry: &Registry) {
    let file = &config.file;
    for problem in registry.apply(&config.autoscaling) {
        tracing::error!(file, %problem, "a metric rule is disabled");
    }
    for warning in registry.warnings() {
        tracing::warn!("{file}:{warning}");
    }
}

/// Spreads scrapes: replicas differ by their host's name, a restart keeps it.
fn seed() -> u64 {
    // FNV-1a, as the seed of Prometheus' scrape offsets (scrape/manager.go).
    runtime::hostname().bytes().fold(0xcbf2_9ce4_8422_2325, |h, b| {
        (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3)
    })
}

/// The limits of the scaler's listener; who its callers are is seen where TLS asks them.
fn scaler_limits(tls: Option<&Tls>) -> Limits {
    Limits {
        per_peer: SHARE,
        strangers: tls.filter(|tls| tls.verifies).map(|_| STRANGERS),
        streams: leadline_scaler::MAX_CONCURRENT_STREAMS,
        keepalive: (leadline_scaler::KEEPALIVE_INTERVAL, leadline_scaler::KEEPALIVE_TIMEOUT),
        ..Limits::default()
    }
}

/// Binds the three listeners and starts them; the scaler's health is told when that ends.
async fn listen(
    options: &Options,
    rooms: &Arc<Rooms>,
    reloads: &Arc<reload::Reloads>,
    drain: &CancellationToken,
    parts: &mut Shutdown,
) -> Result<(Addresses, HealthReporter), StartError> {
    let identity = Identity::establish(options, Arc::clone(&rooms.clock)).await?;
    let bind = |name, flag, address, tls, router, limits| Listener::bind(name, flag, address, tls, router, limits);

    let scaler_tls = identity.scaler_tls(&rooms.tls.scaler)?;
    let (routes, health) = leadline_scaler::routes(&rooms.scaler)
        .await
        .map_err(|e| StartError::Build(e.to_string()))?;
    let limits = scaler_limits(scaler_tls.as_ref());
    let router = routes.into_axum_router();
    let scaler = bind(
        "scaler",
        "--scaler.listen-address",
        options.scaler,
        scaler_tls,
        router,
        limits,
    )
    .await?;

    let adapter = if matches!(options.cluster, ClusterMode::Off(_)) {
        None
    } else {
        let tls = certs::tls(
            identity.adapter(),
            certs::Clients::PerRequest(Arc::clone(&rooms.adapter.authenticator)),
            &["h2", "http/1.1"],
            &rooms.tls.adapter,
        )?;
        let limits = Limits {
            per_peer: SHARE,
            strangers: Some(STRANGERS),
            age: Some(ADAPTER_AGE),
            ..Limits::default()
        };
        let router = leadline_adapter::router(Arc::clone(&rooms.adapter));
        Some(
            bind(
                "adapter",
                "--adapter.listen-address",
                options.adapter,
                Some(tls),
                router,
                limits,
            )
            .await?,
        )
    };

    let router = web::router(rooms, reloads);
    let web = bind(
        "web",
        "--web.listen-address",
        options.web,
        None,
        router,
        Limits {
            http2: false,
            ..Limits::default()
        },
    )
    .await?;

    let unnamed = || StartError::Build("a bound socket has no address".to_owned());
    let addresses = Addresses {
        web: web.address().ok_or_else(unnamed)?,
        adapter: adapter.as_ref().and_then(Listener::address),
        scaler: scaler.address().ok_or_else(unnamed)?,
    };
    let certificates = rooms.certificates.set(identity.certificates());
    debug_assert!(certificates.is_ok(), "listeners are bound once");
    identity.start(rooms, parts);
    for listener in [Some(scaler), adapter, Some(web)].into_iter().flatten() {
        let drain = drain.clone();
        parts.start(listener.name, |stop| listener.run(drain, stop));
    }
    Ok((addresses, health))
}
