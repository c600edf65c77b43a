//! A cluster with leadline installed from its manifests, and what the trials ask of it.

use crate::stage::Kind;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use leadline_testkit::api::{Api, Patch, text};
use leadline_testkit::cluster::wait_for_api_service;
use leadline_testkit::failure::Context;
use leadline_testkit::kubelet::PodState;
use leadline_testkit::pki::Credential;
use leadline_testkit::wait::until;
use leadline_testkit::{Cluster, Failure, Result, Settings, fail, manifests};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;
use tokio::sync::OnceCell;

/// The namespace of the manifests.
pub(crate) const NAMESPACE: &str = "leadline";
/// The Secret of leadline's own authority.
pub(crate) const AUTHORITY: &str = "/api/v1/namespaces/leadline/secrets/leadline-ca";
/// The range of the rules' rates.
pub(crate) const WINDOW: Duration = Duration::from_secs(10);
/// The scrape interval.
pub(crate) const SCRAPE: Duration = Duration::from_secs(1);
/// Within this time of a change of load an HPA has seen it and acted on it: the window, some scrapes, some of its syncs and
/// its stabilization, and as much again for a busy machine.
pub(crate) const SETTLE: Duration = Duration::from_secs(60);

/// The configuration of the trials: as the shipped one, with shorter times, so that ten minutes hold all trials.
const CONFIG: &str = r#"
global:
  scrape_interval: 1s
  scrape_timeout: 900ms
scrape_configs:
  - job_name: workloads
    kubernetes_sd_configs:
      - role: pod
    relabel_configs:
      - source_labels: [__meta_kubernetes_pod_annotation_prometheus_io_scrape]
        action: keep
        regex: "true"
      - source_labels: [__meta_kubernetes_pod_phase]
        action: drop
        regex: Pending|Succeeded|Failed|Completed
      - source_labels: [__meta_kubernetes_pod_ip, __meta_kubernetes_pod_annotation_prometheus_io_port]
        separator: ":"
        target_label: __address__
      - source_labels: [__meta_kubernetes_namespace]
        target_label: namespace
      - source_labels: [__meta_kubernetes_pod_name]
        target_label: pod
autoscaling:
  metrics:
    - name: requests_per_second
      describes: pods
      query: sum by (namespace, pod, code) (rate(requests_total[10s]))
    - name: requests_per_second
      describes: ingresses.networking.k8s.io
      query: sum by (namespace, ingress, code) (rate(ingress_requests_total[10s]))
    - name: requests_per_second
      describes: namespaces
      query: sum by (namespace) (rate(requests_total[10s]))
    - name: jobs_per_second
      describes: external
      query: sum by (namespace, queue) (rate(jobs_total[10s]))
"#;

/// A cluster of one kind.
#[derive(Debug)]
pub(crate) struct Lab {
    /// The cluster.
    pub(crate) cluster: Cluster,
    kind: Kind,
    installed: OnceCell<()>,
}

impl Lab {
    /// Starts it, with KEDA where `kind` says so; leadline comes with the first trial that wants it.
    pub(crate) async fn start(kind: Kind) -> Result<Self> {
        let name = if kind == Kind::Keda {
            "cluster-keda"
        } else {
            "cluster-metrics"
        };
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let settings = Settings::new(&folder, Path::new(env!("CARGO_BIN_EXE_leadline")))?;
        let cluster = Cluster::start(&settings).await?;
        if kind == Kind::Keda {
            cluster.start_keda().await?;
        }
        Ok(Self {
            cluster,
            kind,
            installed: OnceCell::new(),
        })
    }

    /// Leadline, installed once: the manifests as they are, then the trials' configuration through the ConfigMap, which
    /// the running replicas load.
    pub(crate) async fn leadline(&self) -> Result<()> {
        self.installed.get_or_try_init(|| self.install()).await.copied()
    }

    async fn install(&self) -> Result<()> {
        let kubectl = &self.cluster.kubectl;
        let folder = manifests::folder();
        let core = folder.join("core.yaml");
        let namespace = manifests::read(&core)?
            .into_iter()
            .find(|object| object["kind"] == "Namespace");
        kubectl
            .apply(
                &namespace
                    .ok_or_else(|| Failure::new("core.yaml has no Namespace"))?
                    .to_string(),
            )
            .await?;
        // The parts first, so that the pods start with the flags that the parts bring.
        let part = if self.kind == Kind::Keda {
            "scaler.yaml"
        } else {
            "external-metrics.yaml"
        };
        kubectl
            .apply_files(&[&folder.join("custom-metrics.yaml"), &folder.join(part), &core])
            .await?;
        self.cluster
            .rolled_out(NAMESPACE, "leadline", Duration::from_secs(60))
            .await?;
        for name in self.api_services() {
            wait_for_api_service(&self.cluster.api, name, Duration::from_secs(60)).await?;
        }
        let path = format!("/api/v1/namespaces/{NAMESPACE}/configmaps/leadline");
        let data = json!({"data": {"leadline.yaml": CONFIG}});
        self.cluster.api.patch(&path, Patch::Merge, &data).await?;
        // The manifest's rule for the shorter window: window + 2 scrapes, and one for the probe's period.
        let ready = json!({"spec": {"minReadySeconds": WINDOW.as_secs() + 3 * SCRAPE.as_secs()}});
        let path = format!("/apis/apps/v1/namespaces/{NAMESPACE}/deployments/leadline");
        self.cluster.api.patch(&path, Patch::Merge, &ready).await?;
        for replica in self.replicas() {
            self.reloaded(&replica).await?;
        }
        Ok(())
    }

    /// The APIServices that leadline serves here.
    pub(crate) fn api_services(&self) -> Vec<&'static str> {
        let mut names = vec!["v1beta2.custom.metrics.k8s.io", "v1beta1.custom.metrics.k8s.io"];
        if self.kind == Kind::Metrics {
            names.push("v1beta1.external.metrics.k8s.io");
        }
        names
    }

    /// Leadline's pods.
    pub(crate) fn replicas(&self) -> Vec<PodState> {
        self.cluster
            .kubelet
            .pods(NAMESPACE, "app.kubernetes.io/name", "leadline")
    }

    /// One of leadline's own metrics, added up over the replicas.
    pub(crate) async fn own(&self, series: &str) -> Result<f64> {
        let mut sum = 0.0;
        for replica in self.replicas() {
            let page = get(&replica.address, "/metrics").await?;
            let line = page
                .lines()
                .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
            match line.and_then(|value| value.parse::<f64>().ok()) {
                Some(value) => sum += value,
                None => fail!("{} has no {series}:\n{page}", replica.name),
            }
        }
        Ok(sum)
    }

    /// Waits until a replica has the trials' configuration.
    async fn reloaded(&self, replica: &PodState) -> Result<()> {
        let what = format!("{} to load the changed ConfigMap", replica.name);
        until(&what, Duration::from_secs(90), || async {
            let targets = get(&replica.address, "/api/v1/targets").await?;
            Ok(targets.contains("workloads").then_some(()))
        })
        .await
    }

    /// A client of one replica's adapter, past the API server, that verifies it by the caBundle of its APIService.
    pub(crate) async fn direct(&self, replica: &PodState, credential: &Credential) -> Result<Api> {
        let ca = self.ca_bundle().await?;
        let address = format!("{}:6443", replica.address);
        let address = address
            .parse()
            .map_err(|_| Failure::new(format!("{address} is no socket address")))?;
        Api::direct("leadline.leadline.svc", address, &ca, credential)
    }

    /// By which authorities the API server verifies leadline, PEM.
    pub(crate) async fn ca_bundle(&self) -> Result<String> {
        let path = "/apis/apiregistration.k8s.io/v1/apiservices/v1beta2.custom.metrics.k8s.io";
        let service = self.cluster.api.get(path).await?;
        decoded(text(&service, "/spec/caBundle")?).context("caBundle")
    }

    /// A value of the Secret at `path`; an error while there is none.
    pub(crate) async fn secret(&self, path: &str, key: &str) -> Result<String> {
        let found = self.cluster.api.get(path).await?;
        decoded(text(&found["data"], &format!("/{key}"))?).context(key)
    }

    /// The identity with which the HPA controller asks.
    pub(crate) async fn hpa_credential(&self) -> Result<Credential> {
        let token = self
            .cluster
            .control_plane
            .token("kube-system", "horizontal-pod-autoscaler")
            .await?;
        Ok(Credential::Token(token))
    }

    /// Waits until a Deployment has `wanted` replicas.
    pub(crate) async fn scaled(&self, namespace: &str, deployment: &str, wanted: u64) -> Result<()> {
        let what = format!("{namespace}/{deployment} to be scaled to {wanted}");
        until(&what, SETTLE, || async {
            match self.cluster.replicas(namespace, deployment).await? {
                now if now == wanted => Ok(Some(())),
                now => Err(Failure::new(format!("it has {now} replicas"))),
            }
        })
        .await
    }

    /// Waits until every replica answers `path` with a body that `holds`: they scrape at times of their own, and a read goes
    /// to any of them.
    pub(crate) async fn answers_everywhere(&self, path: &str, holds: impl Fn(&Value) -> bool) -> Result<()> {
        let credential = self.hpa_credential().await?;
        for replica in self.replicas() {
            let api = self.direct(&replica, &credential).await?;
            until(&format!("{} to answer {path}", replica.name), SETTLE, || async {
                let body = api.get(path).await?;
                if holds(&body) {
                    Ok(Some(()))
                } else {
                    Err(Failure::new(body.to_string()))
                }
            })
            .await?;
        }
        Ok(())
    }

    /// Waits until the API answers `path` with a body that `holds`.
    pub(crate) async fn answers(&self, path: &str, holds: impl Fn(&Value) -> bool) -> Result<Value> {
        until(&format!("{path} to hold"), SETTLE, || async {
            let body = self.cluster.api.get(path).await?;
            if holds(&body) {
                Ok(Some(body))
            } else {
                Err(Failure::new(body.to_string()))
            }
        })
        .await
    }
}

fn decoded(base64: &str) -> Result<String> {
    let bytes = STANDARD.decode(base64);
    let bytes = bytes.map_err(|error| Failure::new(error.to_string()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A page of a replica's web listener.
pub(crate) async fn get(address: &str, path: &str) -> Result<String> {
    let url = format!("http://{address}:9090{path}");
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(5))
        .build()?;
    let response = client.get(&url).send().await.context(&url)?;
    if !response.status().is_success() {
        fail!("GET {url}: {}", response.status());
    }
    Ok(response.text().await?)
}
