//! `leadline serve`.

use crate::app::{App, ClusterMode, Options};
use crate::cli::storage::Storage;
use crate::cli::{fail, on_runtime};
use crate::telemetry::log::{Format, Level, install};
use clap::Args;
use leadline_cluster::Cluster;
use leadline_model::clock::SystemClock;
use leadline_promql::syntax::{Features, UnknownFeature};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// Runs leadline: scrapes targets and serves queries, the metrics APIs and the KEDA scaler.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// The configuration, in Prometheus' format with the section `autoscaling`; reloaded on SIGHUP, POST /-/reload and when
    /// it changes.
    #[arg(long = "config.file", default_value = "leadline.yaml", value_name = "FILE")]
    config_file: PathBuf,
    #[command(flatten)]
    storage: Storage,
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
    /// Prometheus' names of what is off by default. metadata-wal-records: the log keeps what targets say about their series.
    /// Experimental parts of PromQL: promql-experimental-functions, promql-binop-fill-modifiers,
    /// promql-unquoted-utf8-names, promql-delayed-name-removal, use-start-timestamps, promql-per-step-stats. Several between
    /// commas.
    #[arg(long = "enable-feature", value_name = "NAMES", value_delimiter = ',', value_parser = feature)]
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
    /// Where the Secret with KEDA's client certificate is created, when the certificates are of our own CA: KEDA reads a
    /// ClusterTriggerAuthentication's Secrets from its own namespace. Default: this pod's.
    #[arg(
        long = "scaler.client-secret-namespace",
        value_name = "NAMESPACE",
        env = "LEADLINE_SCALER_CLIENT_NAMESPACE"
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

/// The name of a feature that there is.
fn feature(name: &str) -> Result<String, UnknownFeature> {
    if name == METADATA {
        return Ok(name.to_owned());
    }
    name.parse::<Features>().map(|_| name.to_owned())
}

impl Serve {
    /// Runs until SIGTERM or SIGINT.
    pub(crate) fn run(self) -> ExitCode {
        install(self.log_level, self.log_format);
        on_runtime(async move {
            let cluster = match self.cluster().await {
                Ok(cluster) => cluster,
                Err(error) => return fail(&error),
            };
            match App::start(self.options(cluster), Arc::new(SystemClock)).await {
                Ok(app) => app.run().await,
                Err(error) => fail(&error),
            }
        })
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

    fn options(mut self, cluster: ClusterMode) -> Options {
        let features = self.features.len();
        self.features.retain(|name| name != METADATA);
        Options {
            config_file: self.config_file,
            storage: self.storage.options(crate::memory::allowed()),
            admin_api: self.admin_api,
            // Their names were checked when they were read.
            metadata: self.features.len() < features,
            features: Features::try_from(self.features).unwrap_or_default(),
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
    use super::address;

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
