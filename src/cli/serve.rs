//! `leadline serve`.

use crate::app::{App, ClusterMode, Options};
use crate::cli::query::Queries;
use crate::cli::storage::Storage;
use crate::cli::{Cli, Ended, fail, on_runtime};
use crate::signals;
use crate::telemetry::log::{Format, Level, install};
use clap::builder::NonEmptyStringValueParser;
use clap::{ArgMatches, Args, Command, CommandFactory};
use leadline_api::Origins;
use leadline_cluster::Cluster;
use leadline_model::clock::SystemClock;
use leadline_promql::syntax::Features;
use std::collections::BTreeMap;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::signal::unix::Signal;

/// Runs leadline: scrapes targets and serves queries, the metrics APIs and the KEDA scaler.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// The configuration, in Prometheus' format with the section `autoscaling`; reloaded on SIGHUP, POST /-/reload and when
    /// it changes.
    #[arg(long = "config.file", default_value = "leadline.yaml", value_name = "FILE")]
    config_file: PathBuf,
    #[command(flatten)]
    storage: Storage,
    #[command(flatten)]
    queries: Queries,
    /// Where Prometheus' HTTP API, explain and /metrics are served, without authentication.
    #[arg(
        long = "web.listen-address",
        default_value = "127.0.0.1:9090",
        value_name = "HOST:PORT", value_parser = address
    )]
    web: SocketAddr,
    /// Serves what changes the store: POST /api/v1/admin/tsdb/delete_series, clean_tombstones and snapshot.
    #[arg(long = "web.enable-admin-api")]
    admin_api: bool,
    /// The origins whose pages a browser lets read what the API answers: a regular expression that matches them as a whole.
    /// Whoever can reach the API is answered anyway.
    #[arg(
        long = "web.cors.origin",
        default_value = ".*",
        value_name = "REGEX", value_parser = Origins::new
    )]
    origins: Origins,
    /// Prometheus' names of what is off by default. metadata-wal-records: the log keeps what targets say about their series.
    /// Experimental parts of PromQL: promql-experimental-functions, promql-binop-fill-modifiers,
    /// promql-unquoted-utf8-names, promql-delayed-name-removal, use-start-timestamps, promql-per-step-stats,
    /// type-and-unit-labels. query-cost limits what queries may cost. Several between commas. Other names are warned of.
    #[arg(long = "enable-feature", value_name = "NAMES", value_delimiter = ',')]
    features: Vec<String>,
    /// Where the Kubernetes metrics APIs are served, over TLS.
    #[arg(
        long = "adapter.listen-address",
        default_value = "0.0.0.0:6443",
        value_name = "HOST:PORT", value_parser = address
    )]
    adapter: SocketAddr,
    /// Certificate of the adapter's listener, PEM. Absent: issued by a CA of our own.
    #[arg(long = "adapter.tls-cert-file", value_name = "FILE", requires = "adapter_key")]
    adapter_cert: Option<PathBuf>,
    /// Its key.
    #[arg(
        id = "adapter_key",
        long = "adapter.tls-private-key-file",
        value_name = "FILE",
        requires = "adapter_cert"
    )]
    adapter_key: Option<PathBuf>,
    /// The Service that the APIServices name, for the certificate of our own CA.
    #[arg(long = "adapter.service-name", default_value = "leadline", value_name = "NAME")]
    adapter_service: String,
    /// Where KEDA's external scaler is served over gRPC. Anything but loopback needs TLS with a client CA (in a pod: of our
    /// own), or --scaler.insecure.
    #[arg(
        long = "scaler.listen-address",
        default_value = "127.0.0.1:6000",
        value_name = "HOST:PORT", value_parser = address
    )]
    scaler: SocketAddr,
    /// Certificate of the scaler's listener, PEM.
    #[arg(long = "scaler.tls-cert-file", value_name = "FILE", requires = "scaler_key")]
    scaler_cert: Option<PathBuf>,
    /// Its key.
    #[arg(
        id = "scaler_key",
        long = "scaler.tls-private-key-file",
        value_name = "FILE",
        requires = "scaler_cert"
    )]
    scaler_key: Option<PathBuf>,
    /// Who may call the scaler: CA of client certificates, PEM.
    #[arg(long = "scaler.tls-client-ca-file", value_name = "FILE", requires = "scaler_cert")]
    scaler_client_ca: Option<PathBuf>,
    /// The Service of the scaler, for the certificate of our own CA.
    #[arg(long = "scaler.service-name", default_value = "leadline-scaler", value_name = "NAME")]
    scaler_service: String,
    /// In a pod: serves the scaler with mutual TLS of our own CA, on loopback too, and creates the Secret with KEDA's client
    /// certificate in this namespace: KEDA reads a ClusterTriggerAuthentication's Secrets from its own. Absent: mutual TLS
    /// beyond loopback alone, and the Secret in this pod's namespace.
    #[arg(
        long = "scaler.client-secret-namespace",
        value_name = "NAMESPACE",
        env = "LEADLINE_SCALER_CLIENT_NAMESPACE",
        value_parser = NonEmptyStringValueParser::new(),
        conflicts_with_all = ["scaler_cert", "scaler_insecure"]
    )]
    scaler_client_namespace: Option<String>,
    /// Lets the scaler listen beyond loopback without TLS.
    #[arg(long = "scaler.insecure")]
    scaler_insecure: bool,
    /// How to reach the API server. Absent: the pod's service account; outside a pod, what needs no API server.
    #[arg(long = "kubeconfig", value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// What is logged.
    #[arg(long = "log.level", value_enum, default_value = "info")]
    log_level: Level,
    /// How it is logged.
    #[arg(long = "log.format", value_enum, default_value = "logfmt")]
    log_format: Format,
}

/// `127.0.0.1:9090`, `localhost:9090`, or `:9090` for every address, as Prometheus takes them.
fn address(text: &str) -> Result<SocketAddr, String> {
    let all = text.strip_prefix(':').map(|port| format!("0.0.0.0:{port}"));
    let mut found = all
        .as_deref()
        .unwrap_or(text)
        .to_socket_addrs()
        .map_err(|e| format!("{e}: host:port or :port was expected"))?;
    found.next().ok_or_else(|| "the name has no address".to_owned())
}

/// The one feature that is not the language's.
const METADATA: &str = "metadata-wal-records";

/// Every flag with its value, given or by default, as `/api/v1/status/flags` tells them: from the same words that were
/// parsed before.
fn flags() -> BTreeMap<String, String> {
    let command = Cli::command();
    let matches = command.clone().try_get_matches().ok();
    let of_serve = matches.as_ref().and_then(|matches| matches.subcommand_matches("serve"));
    let both = command.find_subcommand("serve").zip(of_serve);
    both.map(|(serve, matches)| told(serve, matches)).unwrap_or_default()
}

fn told(command: &Command, matches: &ArgMatches) -> BTreeMap<String, String> {
    let value = |id: &str| {
        let given = matches.try_get_raw(id).ok().flatten().into_iter().flatten();
        given.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(",")
    };
    let named = command
        .get_arguments()
        .filter_map(|arg| Some((arg.get_long()?, arg.get_id().as_str())));
    named.map(|(name, id)| (name.to_owned(), value(id))).collect()
}

impl Serve {
    /// Runs until SIGTERM or SIGINT, which end the start too: it may wait for an API server, or for a program that the
    /// kubeconfig gets its credentials from.
    pub(crate) fn run(self) -> ExitCode {
        install(self.log_level, self.log_format);
        on_runtime(async move {
            let (mut stops, hangup) = match signals::catch() {
                Ok(caught) => caught,
                Err(error) => return fail(&format_args!("signals cannot be caught: {error}")).into(),
            };
            tokio::select! {
                started = self.start(hangup) => match started {
                    Ok(app) => app.run(stops).await.into(),
                    Err(error) => fail(&error).into(),
                },
                signal = stops.told() => {
                    tracing::info!(signal, "stopping before everything was started");
                    Ended::Early(ExitCode::SUCCESS)
                }
            }
        })
    }

    async fn start(self, hangup: Signal) -> Result<App, Box<dyn std::error::Error>> {
        let cluster = self.cluster().await?;
        Ok(App::start(self.options(cluster), Arc::new(SystemClock), hangup).await?)
    }

    async fn cluster(&self) -> Result<ClusterMode, leadline_cluster::ConnectError> {
        if self.kubeconfig.is_none() && !Cluster::in_pod() {
            return Ok(ClusterMode::Off(
                "no --kubeconfig was given and this is no pod".to_owned(),
            ));
        }
        Cluster::connect(self.kubeconfig.as_deref())
            .await
            .map(ClusterMode::Connected)
    }

    fn features(&self) -> Features {
        let (features, idle) = Features::named(self.features.iter().map(String::as_str));
        for (option, why) in idle {
            tracing::warn!(option, "{why}");
        }
        features
    }

    fn options(self, cluster: ClusterMode) -> Options {
        let features = self.features();
        let metadata = self.features.iter().any(|name| name.trim() == METADATA);
        Options {
            flags: flags(),
            config_file: self.config_file,
            storage: self.storage.options(crate::memory::allowed()),
            admin_api: self.admin_api,
            origins: self.origins,
            metadata,
            engine: self.queries.settings(features),
            web: self.web,
            adapter: self.adapter,
            adapter_files: self.adapter_cert.zip(self.adapter_key),
            adapter_service: self.adapter_service,
            scaler: self.scaler,
            scaler_files: self.scaler_cert.zip(self.scaler_key),
            scaler_client_ca: self.scaler_client_ca,
            scaler_service: self.scaler_service,
            scaler_client_namespace: self.scaler_client_namespace,
            scaler_insecure: self.scaler_insecure,
            cluster,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        serve: Serve,
    }

    #[test]
    fn flags_are_told_with_their_values_given_or_by_default() {
        let matches = Line::command().get_matches_from([
            "x",
            "--web.enable-admin-api",
            "--query.timeout=7s",
            "--enable-feature=a,b",
            "--enable-feature=c",
        ]);
        let told = told(&Line::command(), &matches);
        for (name, value) in [
            ("web.enable-admin-api", "true"),
            ("scaler.insecure", "false"),
            ("query.timeout", "7s"),
            ("query.lookback-delta", "5m"),
            ("web.cors.origin", ".*"),
            ("query.max-concurrency", "20"),
            ("web.listen-address", "127.0.0.1:9090"),
            ("enable-feature", "a,b,c"),
            ("kubeconfig", ""),
            ("log.level", "info"),
        ] {
            assert_eq!(told.get(name).map(String::as_str), Some(value), "{name}: {told:?}");
        }
    }

    #[test]
    fn addresses_are_taken_as_prometheus_takes_them() {
        for (text, socket) in [
            (":9090", "0.0.0.0:9090"),
            ("127.0.0.1:1", "127.0.0.1:1"),
            ("[::1]:2", "[::1]:2"),
        ] {
            assert_eq!(address(text).map(|a| a.to_string()), Ok(socket.to_owned()), "{text}");
        }
        assert!(address("localhost:3").is_ok_and(|a| a.ip().is_loopback()));
        for text in ["", "9090", "127.0.0.1", "127.0.0.1:x"] {
            assert!(address(text).is_err(), "{text}");
        }
    }
}
