//! Deployments of exporters.

use leadline_testkit::failure::Context;
use leadline_testkit::{Cluster, Result, fail};
use serde_json::{Value, json};
use std::time::Duration;

/// A Deployment of exporters whose pods are scraped by their annotations.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Workload<'a> {
    /// Its namespace, which [`Workload::apply`] makes.
    pub(crate) namespace: &'a str,
    /// Its name, and the value of its pods' label `app`.
    pub(crate) name: &'a str,
    /// Its replicas at first.
    pub(crate) replicas: u32,
    /// Arguments of the exporter, besides the listen address.
    pub(crate) series: &'a [&'a str],
}

impl Workload<'_> {
    fn objects(&self) -> Value {
        let mut args = vec!["--web.listen-address=0.0.0.0:8080", "--state=/state/series.json"];
        args.extend(self.series);
        let labels = json!({"app": self.name});
        let annotations = json!({"prometheus.io/scrape": "true", "prometheus.io/port": "8080"});
        json!({"apiVersion": "v1", "kind": "List", "items": [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}},
            {
                "apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {"name": self.name, "namespace": self.namespace},
                "spec": {
                    "replicas": self.replicas,
                    "selector": {"matchLabels": labels},
                    "template": {
                        "metadata": {"labels": labels, "annotations": annotations},
                        "spec": {
                            "terminationGracePeriodSeconds": 2,
                            "containers": [{
                                "name": "exporter", "image": "leadline.test/exporter:1", "args": args,
                                "ports": [{"name": "http", "containerPort": 8080}],
                                "readinessProbe": {"httpGet": {"path": "/healthz", "port": "http"}},
                                "volumeMounts": [{"name": "state", "mountPath": "/state"}],
                            }],
                            "volumes": [{"name": "state", "emptyDir": {}}],
                        },
                    },
                },
            },
        ]})
    }

    /// Applies it and waits until its pods are ready.
    pub(crate) async fn apply(&self, cluster: &Cluster) -> Result<()> {
        cluster.kubectl.apply(&self.objects().to_string()).await?;
        cluster
            .rolled_out(self.namespace, self.name, Duration::from_secs(30))
            .await
    }

    /// Sets a series of all its pods: `rate=5` of a counter or `value=3` of a gauge.
    pub(crate) async fn set(&self, cluster: &Cluster, metric: &str, change: &str) -> Result<()> {
        let pods = cluster.kubelet.pods(self.namespace, "app", self.name);
        if pods.is_empty() {
            fail!("{} has no pods", self.name);
        }
        for pod in pods {
            set(&pod.address, metric, change).await?;
        }
        Ok(())
    }

    /// Deletes the Deployment; its pods go in the background.
    pub(crate) async fn delete(&self, cluster: &Cluster) -> Result<()> {
        let path = format!("/apis/apps/v1/namespaces/{}/deployments/{}", self.namespace, self.name);
        cluster.api.delete(&path, None, None).await
    }
}

/// Sets a series of the exporter at `address`.
pub(crate) async fn set(address: &str, metric: &str, change: &str) -> Result<()> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let url = format!("http://{address}:8080/set");
    let (key, value) = change.split_once('=').unwrap_or(("rate", change));
    let response = client
        .post(&url)
        .query(&[("metric", metric), (key, value)])
        .send()
        .await
        .context(&url)?;
    if !response.status().is_success() {
        fail!("POST {url}: {}: {}", response.status(), response.text().await?);
    }
    Ok(())
}

/// The value of a series of the exporter at `address`.
pub(crate) async fn read(address: &str, series: &str) -> Result<f64> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let url = format!("http://{address}:8080/metrics");
    let body = client.get(&url).send().await.context(&url)?.text().await?;
    let line = body
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    match line.and_then(|value| value.parse().ok()) {
        Some(value) => Ok(value),
        None => fail!("no {series} at {url}:\n{body}"),
    }
}
