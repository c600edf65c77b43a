//! Latency of the custom metrics API: `GET …/pods/*/requests?labelSelector=app=web-N` over one kept-alive TLS connection,
//! with a real API server behind it (pods, TokenReviews, SubjectAccessReviews).

use crate::client::Client;
use crate::error::BenchError;
use crate::peer::free_address;
use crate::process::Process;
use crate::{Cli, print};
use axum::Router;
use axum::routing::get;
use leadline_testkit::address::Block;
use leadline_testkit::control_plane::{ControlPlane, Hpa};
use leadline_testkit::pki::Usage;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

/// Pods per group; each group is selected by a label of its own.
const GROUPS: [usize; 3] = [10, 100, 1000];
/// Requests that are timed per group.
const REQUESTS: usize = 2000;
/// Longest wait for the first answer, seconds.
const PATIENCE: u64 = 90;
/// Name and group of the client certificate.
const USER: &str = "bench";

fn failed(error: impl std::fmt::Display) -> BenchError {
    BenchError::Unexpected(error.to_string())
}

/// Measures and prints the table.
pub(crate) async fn measure(cli: &Cli) -> Result<(), BenchError> {
    let folder = tempfile::tempdir()?;
    let block = Block::claim().map_err(failed)?;
    let control_plane = ControlPlane::start(folder.path(), &block, Hpa::default())
        .await
        .map_err(failed)?;
    let outcome = with_control_plane(cli, folder.path(), &control_plane).await;
    control_plane.stop().await;
    outcome
}

async fn with_control_plane(cli: &Cli, folder: &Path, control_plane: &ControlPlane) -> Result<(), BenchError> {
    populate(control_plane).await?;
    let exporter = exporter().await?;
    let config = folder.join("leadline.yaml");
    std::fs::write(&config, configuration(exporter))?;
    let adapter = free_address()?;
    let args = [
        "serve".to_owned(),
        format!("--config.file={}", config.display()),
        format!("--storage.tsdb.path={}", folder.join("data").display()),
        format!("--kubeconfig={}", control_plane.admin_kubeconfig.display()),
        format!("--adapter.listen-address={adapter}"),
        format!("--web.listen-address={}", free_address()?),
        format!("--scaler.listen-address={}", free_address()?),
    ];
    let process = Process::start(&cli.leadline, &args, &folder.join("leadline.log"))?;
    let tls = client_config(control_plane)?;
    print("");
    print(&format!(
        "adapter: pods/* over one TLS connection, {REQUESTS} requests each, values change every second"
    ));
    print(&format!(
        "{:>6} {:>10} {:>10} {:>10} {:>10}",
        "pods", "bytes", "p50 ms", "p90 ms", "p99 ms"
    ));
    for pods in GROUPS {
        let path = path(pods);
        let (mut client, body) = wait_for_pods(adapter, &tls, &path, pods, &process).await?;
        let latency = client.time(&path, REQUESTS).await?;
        print(&format!(
            "{pods:>6} {body:>10} {:>10.3} {:>10.3} {:>10.3}",
            latency.ms(0.5),
            latency.ms(0.9),
            latency.ms(0.99)
        ));
    }
    Ok(())
}

fn path(pods: usize) -> String {
    format!("/apis/custom.metrics.k8s.io/v1beta2/namespaces/default/pods/%2A/requests?labelSelector=app%3Dweb-{pods}")
}

fn name(group: usize, i: usize) -> String {
    format!("web-{group}-{i:04}")
}

/// The pods, and the right to read their metrics.
async fn populate(control_plane: &ControlPlane) -> Result<(), BenchError> {
    let admin = &control_plane.admin;
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": USER},
        "rules": [{"apiGroups": ["custom.metrics.k8s.io"], "resources": ["*"], "verbs": ["get"]}],
    });
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": USER},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": USER},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": USER}],
    });
    admin
        .create("/apis/rbac.authorization.k8s.io/v1/clusterroles", &role)
        .await
        .map_err(failed)?;
    admin
        .create("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", &binding)
        .await
        .map_err(failed)?;
    for group in GROUPS {
        for i in 0..group {
            let pod = json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": name(group, i), "labels": {"app": format!("web-{group}")}},
                "spec": {"automountServiceAccountToken": false, "containers": [{"name": "web", "image": "web"}]},
            });
            created(admin.create("/api/v1/namespaces/default/pods", &pod).await)?;
        }
    }
    Ok(())
}

/// A fresh API server may refuse pods until it has made the namespace's ServiceAccount.
fn created(result: leadline_testkit::Result<Value>) -> Result<(), BenchError> {
    result.map(|_| ()).map_err(failed)
}

/// One exporter that speaks for all pods.
async fn exporter() -> Result<SocketAddr, BenchError> {
    let socket = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = socket.local_addr()?;
    let began = Instant::now();
    let page = move || async move {
        let mut body = String::new();
        for group in GROUPS {
            for i in 0..group {
                let value = began.elapsed().as_millis() as usize * (i % 7 + 1);
                let written = writeln!(
                    body,
                    "requests_total{{namespace=\"default\",pod=\"{}\"}} {value}",
                    name(group, i)
                );
                debug_assert!(written.is_ok(), "writing to a String cannot fail");
            }
        }
        ([(http::header::CONTENT_TYPE, "text/plain; version=0.0.4")], body)
    };
    tokio::spawn(async move { axum::serve(socket, Router::new().route("/metrics", get(page))).await });
    Ok(address)
}

fn configuration(exporter: SocketAddr) -> String {
    format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n\
         scrape_configs: [{{job_name: bench, static_configs: [{{targets: [\"{exporter}\"]}}]}}]\n\
         autoscaling:\n  metrics:\n    - name: requests\n      describes: pods\n      \
         query: sum by (namespace, pod) (rate(requests_total[5s]))\n"
    )
}

/// Shows the bench's certificate, signed by the cluster's authority.
fn client_config(control_plane: &ControlPlane) -> Result<Arc<rustls::ClientConfig>, BenchError> {
    let pair = control_plane.ca.issue(USER, &[], &[], Usage::Client).map_err(failed)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pair.certificate.as_bytes()).collect();
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).map_err(failed)?;
    // The serving certificate comes from an authority in the measured process' memory, so it cannot be known here.
    let config = rustls::ClientConfig::builder()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyServer))
        .with_client_auth_cert(chain.map_err(failed)?, key)
        .map_err(failed)?;
    Ok(Arc::new(config))
}

/// Waits until every pod of the group has a value: the connection on which it was seen, and the size of the answer.
async fn wait_for_pods(
    adapter: SocketAddr,
    tls: &Arc<rustls::ClientConfig>,
    path: &str,
    pods: usize,
    process: &Process,
) -> Result<(Client, usize), BenchError> {
    let began = Instant::now();
    loop {
        let seen = match Client::connect(adapter, Some((Arc::clone(tls), "localhost"))).await {
            Ok(mut client) => client.get(path).await.map(|answer| (client, answer)),
            Err(error) => Err(error),
        };
        let why = match seen {
            Ok((client, (status, body))) => {
                let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
                let found = answer["items"].as_array().map_or(0, Vec::len);
                if status == 200 && found == pods {
                    return Ok((client, body.len()));
                }
                format!("{found} with status {status}: {}", answer["message"])
            }
            Err(error) => error.to_string(),
        };
        if began.elapsed().as_secs() > PATIENCE {
            let what = format!("{pods} pods in the answer (now {why})");
            return Err(BenchError::Late {
                what,
                seconds: PATIENCE,
                log: process.log_tail(),
            });
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Believes any server: what is measured is on loopback and was started by this process.
#[derive(Debug)]
struct AnyServer;

impl rustls::client::danger::ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &rustls_pki_types::ServerName<'_>,
        _: &[u8],
        _: rustls_pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        rustls::crypto::aws_lc_rs::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
