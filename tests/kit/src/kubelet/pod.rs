//! One pod, from Pending to gone.

use super::container::{Container, Surroundings};
use super::status::{ContainerStatus, now, patch};
use super::volume::Volumes;
use super::{Node, PodState};
use crate::Result;
use crate::api::Patch;
use crate::control_plane::NODE;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// How often a pod's containers are looked at.
const STEP: Duration = Duration::from_millis(50);
/// How often a changed ConfigMap or Secret reaches the volumes. A kubelet takes up to a minute.
const REFRESH: Duration = Duration::from_secs(1);

/// A pod's worker.
#[derive(Debug)]
pub(super) struct Pod {
    node: Arc<Node>,
    namespace: String,
    name: String,
    uid: String,
    address: String,
    ports: BTreeMap<String, u16>,
    containers: Vec<Container>,
    volumes: Volumes,
    reported: Option<(Vec<ContainerStatus>, bool)>,
    ready_since: String,
}

impl Pod {
    pub(super) fn new(node: Arc<Node>, pod: &Value) -> Self {
        let text = |key: &str| pod["metadata"][key].as_str().unwrap_or_default().to_owned();
        let (namespace, name, uid) = (text("namespace"), text("name"), text("uid"));
        let specs = || pod["spec"]["containers"].as_array().into_iter().flatten();
        let key = format!("{namespace}/{name}");
        let ports = specs()
            .flat_map(|container| container["ports"].as_array().into_iter().flatten())
            .filter_map(|port| {
                let number = u16::try_from(port["containerPort"].as_u64()?).ok()?;
                Some((port["name"].as_str().unwrap_or_default().to_owned(), number))
            });
        Self {
            address: node.block.pod().to_string(),
            ports: ports.collect(),
            containers: specs().map(|container| Container::new(container, &key)).collect(),
            volumes: Volumes::new(node.folder.join("pods").join(&uid).join("volumes")),
            node,
            namespace,
            name,
            uid,
            reported: None,
            ready_since: now(),
        }
    }

    fn path(&self) -> String {
        format!("/api/v1/namespaces/{}/pods/{}", self.namespace, self.name)
    }

    /// Runs the pod until it is deleted.
    pub(super) async fn run(mut self, updates: watch::Receiver<Arc<Value>>) {
        let mut refreshed: Option<Instant> = None;
        loop {
            let pod = updates.borrow().clone();
            if pod["metadata"].get("deletionTimestamp").is_some() {
                return self.terminate(&pod).await;
            }
            if let Err(error) = self.advance(&pod, &mut refreshed).await {
                self.log(&error.to_string());
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
            tokio::time::sleep(STEP).await;
        }
    }

    async fn advance(&mut self, pod: &Value, refreshed: &mut Option<Instant>) -> Result<()> {
        if pod["spec"]["nodeName"].as_str().is_none_or(str::is_empty) && refreshed.is_none() {
            self.bind().await?;
        }
        if refreshed.is_none_or(|at| at.elapsed() >= REFRESH) {
            self.volumes.write(&self.node.api, pod).await?;
            *refreshed = Some(Instant::now());
        }
        let around = Surroundings {
            node: &self.node,
            pod,
            address: &self.address,
            ports: &self.ports,
            volumes: &self.volumes,
            folder: self.node.folder.join("pods").join(&self.uid),
        };
        for container in &mut self.containers {
            container.step(&around).await;
        }
        self.report(pod, false).await
    }

    async fn bind(&self) -> Result<()> {
        let binding = json!({
            "apiVersion": "v1", "kind": "Binding", "metadata": {"name": self.name, "namespace": self.namespace},
            "target": {"apiVersion": "v1", "kind": "Node", "name": NODE},
        });
        let path = format!("{}/binding", self.path());
        let (status, answer) = self
            .node
            .api
            .raw(reqwest::Method::POST, &path, &[], Some(("application/json", &binding)))
            .await?;
        if !status.is_success() && status != reqwest::StatusCode::CONFLICT {
            crate::fail!("bind {}/{}: {status}: {}", self.namespace, self.name, answer["message"]);
        }
        Ok(())
    }

    /// Tells the other components, and the API server when something changed.
    async fn report(&mut self, pod: &Value, terminating: bool) -> Result<()> {
        let statuses: Vec<ContainerStatus> = self.containers.iter().map(Container::status).collect();
        let ready = !terminating && self.containers.iter().all(Container::ready);
        let next = (statuses, ready);
        if self.reported.as_ref() == Some(&next) {
            return Ok(());
        }
        if self.reported.as_ref().is_none_or(|(_, was)| *was != ready) {
            self.ready_since = now();
        }
        self.publish(pod, ready);
        let host = self.node.api_host.split(':').next().unwrap_or_default();
        let change = patch(&self.address, host, &next.0, ready, &self.ready_since);
        self.node
            .api
            .patch(&format!("{}/status", self.path()), Patch::Strategic, &change)
            .await?;
        self.reported = Some(next);
        Ok(())
    }

    fn publish(&self, pod: &Value, ready: bool) {
        let processes = self.containers.iter().filter_map(|container| {
            let process = container.process()?;
            Some((container.name.clone(), process.id()))
        });
        let state = PodState {
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            labels: pod["metadata"]["labels"].clone(),
            ports: self.ports.clone(),
            address: self.address.clone(),
            ready,
            restarts: self.containers.iter().map(|container| container.restarts).sum(),
            processes: processes.collect(),
        };
        self.node.table.put(&self.uid, state);
    }

    /// Endpoints first, then the processes, then the object, as in a cluster.
    async fn terminate(mut self, pod: &Value) {
        if let Err(error) = self.report(pod, true).await {
            self.log(&error.to_string());
        }
        let grace = pod["metadata"]["deletionGracePeriodSeconds"].as_u64().unwrap_or(30);
        for container in &mut self.containers {
            container.terminate(&self.node, Duration::from_secs(grace)).await;
        }
        for _ in 0..20 {
            match self.node.api.delete(&self.path(), Some(0), Some(&self.uid)).await {
                Ok(()) => break,
                Err(error) => self.log(&error.to_string()),
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        self.node.table.remove(&self.uid);
    }

    /// Trouble goes to a file beside the pods' logs: the test's output is the report's.
    fn log(&self, message: &str) {
        use std::io::Write as _;
        let path = self.node.folder.join("logs/kubelet.log");
        if let Ok(mut file) = std::fs::OpenOptions::new().create(true).append(true).open(path) {
            let _ = writeln!(file, "{} {}/{}: {message}", now(), self.namespace, self.name);
        }
    }
}
