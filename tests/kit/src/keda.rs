//! KEDA's operator and metrics server, the real ones, against the test's control plane.

use crate::address::Block;
use crate::cluster::wait_for_api_service;
use crate::control_plane::ControlPlane;
use crate::failure::Context;
use crate::kubectl::Kubectl;
use crate::kubelet::Sandbox;
use crate::pki::Usage;
use crate::process::{Process, Spec};
use crate::{Result, programs};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long each of the two may take to become ready.
const LIMIT: Duration = Duration::from_secs(60);

/// The running KEDA. It is the cluster's provider of external.metrics.k8s.io.
#[derive(Debug)]
pub struct Keda {
    operator: Process,
    adapter: Process,
}

impl Keda {
    /// Applies the CRDs, starts the two programs and waits until the API server reaches the metrics server. Both see
    /// `hosts_file` as /etc/hosts, so `scalerAddress` is a Service's name as in any cluster.
    ///
    /// # Errors
    /// KEDA is not built, ends, or does not become ready in time.
    pub async fn start(
        control_plane: &ControlPlane,
        kubectl: &Kubectl,
        block: &Block,
        hosts_file: &Path,
        folder: &Path,
    ) -> Result<Self> {
        let crds = programs::folder("keda")?.join("crds");
        let crds = crds.display().to_string();
        kubectl.run(&["apply", "--server-side", "-f", &crds]).await?;
        kubectl.apply(&account().to_string()).await?;
        let established = [
            "wait",
            "--for=condition=Established",
            "crd/scaledobjects.keda.sh",
            "--timeout=60s",
        ];
        kubectl.run(&established).await?;
        let address = block.keda().to_string();
        let certs = write_certificates(control_plane, &address, folder)?;
        let kubeconfig = control_plane.service_account_kubeconfig("keda", "keda").await?;
        let start = Start {
            address: &address,
            certs: &certs,
            kubeconfig: &kubeconfig,
            hosts_file,
            folder,
        };
        let operator = start.operator()?;
        let ready = format!("http://{address}:8081/readyz");
        let http = reqwest::Client::builder()
            .no_proxy()
            .tls_danger_accept_invalid_certs(true)
            .build()?;
        let answers = |url: String| {
            let request = http.get(url);
            async move { Ok(request.send().await?.status().is_success()) }
        };
        operator
            .ready("keda-operator", LIMIT, || answers(ready.clone()))
            .await?;
        let adapter = start.adapter()?;
        let health = format!("https://{address}:6443/healthz");
        adapter.ready("keda-adapter", LIMIT, || answers(health.clone())).await?;
        kubectl
            .apply(&api_service(&address, &control_plane.ca.pair().certificate).to_string())
            .await?;
        wait_for_api_service(&control_plane.admin, "v1beta1.external.metrics.k8s.io", LIMIT).await?;
        Ok(Self { operator, adapter })
    }

    /// Stops both.
    pub async fn stop(&self) {
        self.adapter.stop(Duration::from_secs(1)).await;
        self.operator.stop(Duration::from_secs(1)).await;
    }
}

/// KEDA wants these three names in one folder, for mTLS between its two halves.
fn write_certificates(control_plane: &ControlPlane, address: &str, folder: &Path) -> Result<PathBuf> {
    let certs = folder.join("keda-certs");
    std::fs::create_dir_all(&certs).context(certs.display())?;
    let hosts = [
        address,
        "localhost",
        "keda-operator",
        "keda-operator.keda.svc",
        "keda-metrics-apiserver.keda.svc",
    ];
    let pair = control_plane.ca.issue("keda-operator", &[], &hosts, Usage::Both)?;
    std::fs::write(certs.join("ca.crt"), &control_plane.ca.pair().certificate)?;
    pair.write(&certs, "tls")?;
    Ok(certs)
}

/// The namespace, and an account that may do everything: KEDA's own manifests grant it nearly that.
fn account() -> serde_json::Value {
    let subjects = json!([{"kind": "ServiceAccount", "name": "keda", "namespace": "keda"}]);
    let binding = |role: &str| {
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": {"name": format!("keda-{}", role.replace(':', "-"))}, "subjects": subjects,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        })
    };
    json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "keda"}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "keda", "namespace": "keda"}},
        binding("cluster-admin"),
        binding("system:auth-delegator"),
        {
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": "keda-auth-reader", "namespace": "kube-system"}, "subjects": subjects,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role",
                        "name": "extension-apiserver-authentication-reader"},
        },
    ]})
}

/// A Service without a selector, its FQDN slice and the APIService.
fn api_service(address: &str, ca: &str) -> serde_json::Value {
    let name = "keda-metrics-apiserver";
    let port = json!({"name": "https", "port": 443, "protocol": "TCP"});
    json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "keda"},
         "spec": {"ports": [port]}},
        {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "FQDN",
         "metadata": {"name": name, "namespace": "keda", "labels": {"kubernetes.io/service-name": name}},
         "ports": [{"name": "https", "port": 6443, "protocol": "TCP"}],
         "endpoints": [{"addresses": [address], "conditions": {"ready": true}}]},
        {"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
         "metadata": {"name": "v1beta1.external.metrics.k8s.io"},
         "spec": {"group": "external.metrics.k8s.io", "version": "v1beta1", "groupPriorityMinimum": 100,
                  "versionPriority": 100, "caBundle": STANDARD.encode(ca),
                  "service": {"name": name, "namespace": "keda", "port": 443}}},
    ]})
}

struct Start<'a> {
    address: &'a str,
    certs: &'a Path,
    kubeconfig: &'a Path,
    hosts_file: &'a Path,
    folder: &'a Path,
}

impl Start<'_> {
    fn spec(&self, name: &str) -> Result<Spec> {
        let line = Sandbox::detect()?.with_hosts(self.hosts_file, &programs::binary("keda", name)?);
        let spec = Spec::new(name, Path::new("/usr/bin/unshare"), &self.folder.join("logs")).args(line);
        Ok(spec
            .env("POD_NAMESPACE", "keda")
            .env("WATCH_NAMESPACE", "")
            .env("KEDA_CLUSTER_OBJECT_NAMESPACE", "keda")
            .env("KEDA_HTTP_DEFAULT_TIMEOUT", "3000")
            .env("KUBECONFIG", self.kubeconfig)
            .args([
                "--zap-log-level=info",
                "--zap-encoder=console",
                "--zap-time-encoding=rfc3339nano",
            ]))
    }

    fn operator(&self) -> Result<Process> {
        let (address, certs) = (self.address, self.certs.display());
        self.spec("keda-operator")?
            .args([
                "--leader-elect=false",
                "--enable-cert-rotation=false",
                "--enable-webhook-patching=false",
            ])
            .args([
                format!("--kubeconfig={}", self.kubeconfig.display()),
                format!("--metrics-bind-address={address}:8080"),
                format!("--health-probe-bind-address={address}:8081"),
                format!("--metrics-service-bind-address={address}:9666"),
                format!("--cert-dir={certs}"),
                format!("--ca-dir={certs}"),
            ])
            .start()
    }

    fn adapter(&self) -> Result<Process> {
        let (address, certs) = (self.address, self.certs.display());
        let kubeconfig = self.kubeconfig.display();
        // Its own metrics listen on all addresses, so the port is one that is free on all of them.
        let free = std::net::TcpListener::bind("0.0.0.0:0")?.local_addr()?.port();
        self.spec("keda-adapter")?
            .args([
                format!("--bind-address={address}"),
                "--secure-port=6443".to_owned(),
                format!("--port={free}"),
                format!("--metrics-service-address={address}:9666"),
                format!("--kubeconfig={kubeconfig}"),
                format!("--lister-kubeconfig={kubeconfig}"),
                format!("--authentication-kubeconfig={kubeconfig}"),
                format!("--authorization-kubeconfig={kubeconfig}"),
                format!("--cert-dir={certs}"),
                format!("--tls-cert-file={certs}/tls.crt"),
                format!("--tls-private-key-file={certs}/tls.key"),
                format!("--client-ca-file={certs}/ca.crt"),
            ])
            .start()
    }
}
