//! etcd, kube-apiserver and kube-controller-manager on one loopback address.

use crate::address::Block;
use crate::api::{Api, Patch};
use crate::failure::Context;
use crate::pki::{Authority, Credential, Pair, Usage, write_kubeconfig};
use crate::process::{Process, Spec};
use crate::wait::until_true;
use crate::{Result, programs};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The node that the kubelet's stand-in plays.
pub const NODE: &str = "local";

/// The controllers that a cluster without nodes and network needs, named one by one because the set differs between
/// versions. The endpoint controllers are absent: they write IPv4 endpoints, which the API server refuses on loopback,
/// so `services` stands in for them. Node controllers are absent: nobody renews a lease.
const CONTROLLERS: &str = "clusterrole-aggregation-controller,deployment-controller,disruption-controller,\
garbage-collector-controller,horizontal-pod-autoscaler-controller,namespace-controller,pod-garbage-collector-controller,\
replicaset-controller,root-ca-certificate-publisher-controller,serviceaccount-controller,\
serviceaccount-token-controller,statefulset-controller";

/// How the horizontal pod autoscaler behaves.
#[derive(Debug, Clone, Copy)]
pub struct Hpa {
    /// Time between two reconciliations of one HPA.
    pub sync: Duration,
    /// How long the highest recommendation of the past holds replicas up.
    pub downscale_stabilization: Duration,
}

impl Default for Hpa {
    fn default() -> Self {
        Self {
            sync: Duration::from_secs(2),
            downscale_stabilization: Duration::from_secs(4),
        }
    }
}

/// The running control plane.
#[derive(Debug)]
pub struct ControlPlane {
    /// `https://127.X.0.1:6443`.
    pub server: String,
    /// The cluster's CA.
    pub ca: Authority,
    /// The CA that signs the aggregator's client certificate, and nothing else.
    pub front_proxy_ca: Authority,
    /// The aggregator's client certificate.
    pub front_proxy: Pair,
    /// The administrator (group system:masters).
    pub admin: Api,
    /// The administrator's kubeconfig.
    pub admin_kubeconfig: PathBuf,
    /// The audit log, one JSON event a line.
    pub audit_log: PathBuf,
    folder: PathBuf,
    // Dropped in this order.
    controller_manager: Process,
    api_server: Process,
    etcd: Process,
}

struct Files {
    pki: PathBuf,
    logs: PathBuf,
}

impl ControlPlane {
    /// Starts everything below `folder` and waits until it answers.
    ///
    /// # Errors
    /// A program is not built, ends, or does not become ready in time.
    pub async fn start(folder: &Path, block: &Block, hpa: Hpa) -> Result<Self> {
        let address = block.control_plane().to_string();
        let files = Files {
            pki: folder.join("pki"),
            logs: folder.join("logs"),
        };
        for path in [&files.pki, &files.logs] {
            std::fs::create_dir_all(path).context(path.display())?;
        }
        let etcd = start_etcd(folder, &files, &address)?;
        let ca = Authority::new("cluster-ca")?;
        let front_proxy_ca = Authority::new("front-proxy-ca")?;
        let front_proxy = front_proxy_ca.issue("front-proxy-client", &[], &[], Usage::Client)?;
        let audit_log = files.logs.join("audit.log");
        write_credentials(&files, &address, &ca, &front_proxy_ca, &front_proxy)?;
        write_audit_policy(&folder.join("audit-policy.json"))?;

        let server = format!("https://{address}:6443");
        let admin_pair = ca.issue("admin", &["system:masters"], &[], Usage::Client)?;
        let admin_credential = Credential::Certificate(admin_pair);
        let admin = Api::new(&server, &ca.pair().certificate, &admin_credential)?;
        let admin_kubeconfig = folder.join("admin.kubeconfig");
        write_kubeconfig(&admin_kubeconfig, &server, &ca.pair().certificate, &admin_credential)?;
        let manager_pair = ca.issue("system:kube-controller-manager", &[], &[], Usage::Client)?;
        let manager_kubeconfig = folder.join("controller-manager.kubeconfig");
        let manager_credential = Credential::Certificate(manager_pair);
        write_kubeconfig(
            &manager_kubeconfig,
            &server,
            &ca.pair().certificate,
            &manager_credential,
        )?;

        let api_server = start_api_server(folder, &files, &address, &audit_log)?;
        let limit = Duration::from_secs(120);
        api_server
            .ready("kube-apiserver", limit, || async {
                Ok(admin.get("/readyz").await? == "ok")
            })
            .await?;
        let controller_manager = start_controller_manager(&files, &address, &manager_kubeconfig, hpa)?;
        let account = "/api/v1/namespaces/default/serviceaccounts/default";
        controller_manager
            .ready("the default ServiceAccount", limit, || async {
                Ok(admin.find(account).await?.is_some())
            })
            .await?;
        register_node(&admin, &address).await?;
        let folder = folder.to_owned();
        Ok(Self {
            server,
            ca,
            front_proxy_ca,
            front_proxy,
            admin,
            admin_kubeconfig,
            audit_log,
            folder,
            controller_manager,
            api_server,
            etcd,
        })
    }

    /// A client that is `credential`.
    ///
    /// # Errors
    /// The credential is no valid PEM.
    pub fn client(&self, credential: &Credential) -> Result<Api> {
        Api::new(&self.server, &self.ca.pair().certificate, credential)
    }

    /// A client and a kubeconfig of user `name`, known by a client certificate and bound to nothing.
    ///
    /// # Errors
    /// The kubeconfig cannot be written.
    pub fn user(&self, name: &str) -> Result<(Api, PathBuf)> {
        let credential = Credential::Certificate(self.ca.issue(name, &[], &[], Usage::Client)?);
        let path = self.folder.join(format!("user-{name}.kubeconfig"));
        write_kubeconfig(&path, &self.server, &self.ca.pair().certificate, &credential)?;
        Ok((self.client(&credential)?, path))
    }

    /// A token of a ServiceAccount, good for a day.
    ///
    /// # Errors
    /// The account is absent.
    pub async fn token(&self, namespace: &str, account: &str) -> Result<String> {
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token");
        let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": {"expirationSeconds": 86400}});
        let answer = self.admin.create(&path, &request).await?;
        Ok(crate::api::text(&answer, "/status/token")?.to_owned())
    }

    /// A kubeconfig of a ServiceAccount.
    ///
    /// # Errors
    /// The account is absent or the file cannot be written.
    pub async fn service_account_kubeconfig(&self, namespace: &str, account: &str) -> Result<PathBuf> {
        let token = Credential::Token(self.token(namespace, account).await?);
        let path = self.folder.join(format!("sa-{namespace}-{account}.kubeconfig"));
        write_kubeconfig(&path, &self.server, &self.ca.pair().certificate, &token)?;
        Ok(path)
    }

    /// Stops the three in order.
    pub async fn stop(&self) {
        self.controller_manager.stop(Duration::from_secs(2)).await;
        self.api_server.stop(Duration::from_secs(1)).await;
        self.etcd.stop(Duration::from_secs(2)).await;
    }
}

fn start_etcd(folder: &Path, files: &Files, address: &str) -> Result<Process> {
    let ca = Authority::new("etcd-ca")?;
    let (ca_file, _) = ca.pair().write(&files.pki, "etcd-ca")?;
    let (certificate, key) = ca
        .issue("etcd", &[], &[address], Usage::Both)?
        .write(&files.pki, "etcd")?;
    let peer = format!("http://{address}:2380");
    let client = format!("https://{address}:2379");
    Spec::new("etcd", &programs::binary("etcd", "etcd")?, &files.logs)
        .args([
            "--name=e",
            "--client-cert-auth=true",
            "--unsafe-no-fsync",
            "--log-level=warn",
        ])
        .args([
            format!("--data-dir={}", folder.join("etcd").display()),
            format!("--listen-client-urls={client}"),
            format!("--advertise-client-urls={client}"),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster=e={peer}"),
            format!("--cert-file={}", certificate.display()),
            format!("--key-file={}", key.display()),
            format!("--trusted-ca-file={}", ca_file.display()),
        ])
        .start()
}

fn write_credentials(
    files: &Files,
    address: &str,
    ca: &Authority,
    front_proxy_ca: &Authority,
    front_proxy: &Pair,
) -> Result<()> {
    ca.pair().write(&files.pki, "ca")?;
    front_proxy_ca.pair().write(&files.pki, "front-proxy-ca")?;
    front_proxy.write(&files.pki, "front-proxy-client")?;
    let names = [
        address,
        "localhost",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
    ];
    ca.issue("kube-apiserver", &[], &names, Usage::Both)?
        .write(&files.pki, "apiserver")?;
    let signer = rcgen::KeyPair::generate()?;
    let pair = Pair {
        certificate: signer.public_key_pem(),
        key: signer.serialize_pem(),
    };
    pair.write(&files.pki, "service-account")?;
    Ok(())
}

/// What the tests ask the audit log for: every request on metrics, every write to a scale, every request on pods, and
/// everything that a pod's ServiceAccount did.
fn write_audit_policy(path: &Path) -> Result<()> {
    let metrics = ["custom.metrics.k8s.io", "external.metrics.k8s.io", "metrics.k8s.io"];
    let policy = json!({
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [
            {"level": "Metadata", "resources": metrics.map(|group| json!({"group": group}))},
            {"level": "RequestResponse", "verbs": ["create", "update", "patch", "delete"],
             "resources": [{"group": "", "resources": ["*/scale"]}, {"group": "apps", "resources": ["*/scale"]}]},
            {"level": "Metadata", "resources": [{"group": "", "resources": ["pods"]}]},
            {"level": "Metadata", "userGroups": ["system:serviceaccounts:leadline"]},
            {"level": "None"},
        ],
    });
    std::fs::write(path, serde_json::to_string_pretty(&policy)?).context(path.display())
}

fn start_api_server(folder: &Path, files: &Files, address: &str, audit_log: &Path) -> Result<Process> {
    let pki = |name: &str| files.pki.join(name).display().to_string();
    Spec::new(
        "kube-apiserver",
        &programs::binary("kubernetes", "kube-apiserver")?,
        &files.logs,
    )
    .args([
        // The advertised address must not be loopback; with the reconciler off nobody is told of it.
        "--advertise-address=192.0.2.10",
        "--endpoint-reconciler-type=none",
        "--secure-port=6443",
        "--authorization-mode=Node,RBAC",
        "--anonymous-auth=true",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-uid-headers=X-Remote-Uid",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        "--enable-aggregator-routing=true",
        "--profiling=false",
        "--v=1",
    ])
    .args([
        format!("--bind-address={address}"),
        format!("--etcd-servers=https://{address}:2379"),
        format!("--etcd-cafile={}", pki("etcd-ca.crt")),
        format!("--etcd-certfile={}", pki("etcd.crt")),
        format!("--etcd-keyfile={}", pki("etcd.key")),
        format!("--tls-cert-file={}", pki("apiserver.crt")),
        format!("--tls-private-key-file={}", pki("apiserver.key")),
        format!("--client-ca-file={}", pki("ca.crt")),
        format!("--service-account-key-file={}", pki("service-account.crt")),
        format!("--service-account-signing-key-file={}", pki("service-account.key")),
        format!("--requestheader-client-ca-file={}", pki("front-proxy-ca.crt")),
        format!("--proxy-client-cert-file={}", pki("front-proxy-client.crt")),
        format!("--proxy-client-key-file={}", pki("front-proxy-client.key")),
        format!("--audit-policy-file={}", folder.join("audit-policy.json").display()),
        format!("--audit-log-path={}", audit_log.display()),
        "--audit-log-mode=blocking".to_owned(),
    ])
    .start()
}

fn start_controller_manager(files: &Files, address: &str, kubeconfig: &Path, hpa: Hpa) -> Result<Process> {
    let pki = |name: &str| files.pki.join(name).display().to_string();
    let kubeconfig = kubeconfig.display();
    Spec::new(
        "kube-controller-manager",
        &programs::binary("kubernetes", "kube-controller-manager")?,
        &files.logs,
    )
    .args([
        "--secure-port=10257",
        "--leader-elect=false",
        "--use-service-account-credentials=true",
        "--horizontal-pod-autoscaler-initial-readiness-delay=1s",
        "--horizontal-pod-autoscaler-cpu-initialization-period=1s",
        "--kube-api-qps=200",
        "--kube-api-burst=400",
        "--v=2",
    ])
    .args([
        format!("--bind-address={address}"),
        format!("--kubeconfig={kubeconfig}"),
        format!("--authentication-kubeconfig={kubeconfig}"),
        format!("--authorization-kubeconfig={kubeconfig}"),
        format!("--service-account-private-key-file={}", pki("service-account.key")),
        format!("--root-ca-file={}", pki("ca.crt")),
        format!("--requestheader-client-ca-file={}", pki("front-proxy-ca.crt")),
        format!("--controllers={CONTROLLERS}"),
        format!("--horizontal-pod-autoscaler-sync-period={}ms", hpa.sync.as_millis()),
        format!(
            "--horizontal-pod-autoscaler-downscale-stabilization={}ms",
            hpa.downscale_stabilization.as_millis()
        ),
    ])
    .start()
}

/// The node's object: Ready, with room for everything. Its status is a subresource, hence two steps.
async fn register_node(admin: &Api, address: &str) -> Result<()> {
    let labels = json!({"kubernetes.io/os": "linux", "kubernetes.io/hostname": NODE});
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE, "labels": labels}});
    admin.create("/api/v1/nodes", &node).await?;
    let room = json!({"cpu": "1000", "memory": "4Ti", "pods": "100000"});
    let status = json!({"status": {
        "capacity": room, "allocatable": room,
        "addresses": [{"type": "InternalIP", "address": address}],
        "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "stand-in"}],
    }});
    let path = format!("/api/v1/nodes/{NODE}/status");
    admin.patch(&path, Patch::Merge, &status).await?;
    // The node is tainted at admission until something says it is ready; the stand-in binds pods itself.
    let limit = Duration::from_secs(10);
    until_true("the node", limit, || async {
        Ok(admin.find(&format!("/api/v1/nodes/{NODE}")).await?.is_some())
    })
    .await
}
