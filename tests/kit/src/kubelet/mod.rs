//! The stand-in for scheduler and kubelet: binds every pod to the one node, gives it a loopback address of its own and
//! runs its containers as local processes.
//!
//! A container whose image is known ([`Images`]) runs as a process in a mount namespace of its own (see [`sandbox`]), so
//! its volumes are at their mount paths, its ServiceAccount's token where clients look for it, and the manifest's args,
//! env, probes, security context and grace period hold as they are. One thing is changed: processes share the machine's
//! network, so the host part of every `--*listen-address=HOST:PORT` argument becomes the pod's address. What a pod
//! serves on loopback or on all addresses in a cluster, it serves on 127.x.y.z here.
//!
//! A container of another image has no process and counts as running and ready.

mod container;
mod env;
mod pod;
mod probe;
mod sandbox;
mod status;
mod volume;

use crate::address::Block;
use crate::api::Api;
use crate::{Result, fail};
use parking_lot::Mutex;
use rustix::process::Signal;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

pub use sandbox::Sandbox;

/// The program of an image.
#[derive(Debug, Clone)]
pub struct Image {
    /// The local binary.
    pub program: PathBuf,
    /// Arguments that come before the container's own, as an image's entry point may have.
    pub args: Vec<String>,
}

/// Images by name, without registry, tag and digest: `leadline` for `ghcr.io/x/leadline:0.1.0`.
pub type Images = HashMap<String, Image>;

/// What other components see of a pod.
#[derive(Debug, Clone)]
pub struct PodState {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: Value,
    /// Its containers' ports by name.
    pub ports: BTreeMap<String, u16>,
    /// Its address.
    pub address: String,
    /// Whether it is Ready, which a pod being deleted is not.
    pub ready: bool,
    /// How often its containers were started again.
    pub restarts: u32,
    /// Its running processes by container.
    pub processes: BTreeMap<String, i32>,
}

/// The pods of the node by uid, and the news that one changed.
#[derive(Debug, Default)]
pub struct PodTable {
    pods: Mutex<BTreeMap<String, PodState>>,
    changed: Notify,
}

impl PodTable {
    /// All pods now.
    #[must_use]
    pub fn all(&self) -> Vec<PodState> {
        self.pods.lock().values().cloned().collect()
    }

    /// Waits until a pod changed since the last call.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    fn put(&self, uid: &str, state: PodState) {
        self.pods.lock().insert(uid.to_owned(), state);
        self.changed.notify_one();
    }

    fn remove(&self, uid: &str) {
        self.pods.lock().remove(uid);
        self.changed.notify_one();
    }
}

/// What the pods' workers share.
#[derive(Debug)]
struct Node {
    api: Api,
    /// Host and port of the API server, as pods are told.
    api_host: String,
    block: Arc<Block>,
    images: Images,
    sandbox: Sandbox,
    hosts_file: PathBuf,
    folder: PathBuf,
    table: Arc<PodTable>,
    /// Processes that [`Kubelet::kill`] may reach, by namespace/pod/container.
    processes: Mutex<HashMap<String, Arc<crate::process::Process>>>,
}

/// The running stand-in; dropping it kills the pods' processes.
#[derive(Debug)]
pub struct Kubelet {
    node: Arc<Node>,
    watcher: JoinHandle<()>,
}

impl Kubelet {
    /// Starts it: `api` must be allowed everything; pods live below `folder`; `hosts_file` is their /etc/hosts.
    ///
    /// # Errors
    /// No mount namespace can be made here.
    pub fn start(
        api: Api,
        api_host: &str,
        block: Arc<Block>,
        images: Images,
        hosts_file: &Path,
        folder: &Path,
    ) -> Result<Self> {
        let node = Arc::new(Node {
            api,
            api_host: api_host.to_owned(),
            block,
            images,
            sandbox: Sandbox::detect()?,
            hosts_file: hosts_file.to_owned(),
            folder: folder.to_owned(),
            table: Arc::new(PodTable::default()),
            processes: Mutex::new(HashMap::new()),
        });
        let watcher = tokio::spawn(watch_pods(node.clone()));
        Ok(Self { node, watcher })
    }

    /// The pods.
    #[must_use]
    pub fn table(&self) -> Arc<PodTable> {
        self.node.table.clone()
    }

    /// The pods of `namespace` that carry label `name`=`value`, by name.
    #[must_use]
    pub fn pods(&self, namespace: &str, name: &str, value: &str) -> Vec<PodState> {
        let mut pods = self.node.table.all();
        pods.retain(|pod| pod.namespace == namespace && pod.labels[name] == value);
        pods.sort_by(|a, b| a.name.cmp(&b.name));
        pods
    }

    /// Kills a pod's only or first container with SIGKILL, as the kernel would for want of memory. The stand-in starts it
    /// again, as a kubelet does.
    ///
    /// # Errors
    /// The pod has no process now.
    pub fn kill(&self, pod: &PodState) -> Result<()> {
        let prefix = format!("{}/{}/", pod.namespace, pod.name);
        let processes = self.node.processes.lock();
        match processes
            .iter()
            .find(|(key, process)| key.starts_with(&prefix) && process.exited().is_none())
        {
            Some((_, process)) => process.signal(Signal::KILL),
            None => fail!("pod {prefix} has no process to kill"),
        }
        Ok(())
    }

    /// The folder with the pods' logs, NAMESPACE_POD_CONTAINER.log.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.node.folder.join("logs")
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.watcher.abort();
        for process in self.node.processes.lock().values() {
            process.signal(Signal::KILL);
        }
    }
}

/// One worker per pod, fed by one watch. The workers end with their pods; the watch starts again when it ends.
async fn watch_pods(node: Arc<Node>) {
    let mut workers: HashMap<String, (watch::Sender<Arc<Value>>, tokio::task::AbortHandle)> = HashMap::new();
    let mut tasks = tokio::task::JoinSet::new();
    loop {
        let each = |kind: &str, pod: Value| {
            let uid = pod["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
            match kind {
                "ADDED" | "MODIFIED" => {
                    let pod = Arc::new(pod);
                    if let Some((sender, _)) = workers.get(&uid) {
                        sender.send_replace(pod);
                    } else {
                        let (sender, receiver) = watch::channel(pod.clone());
                        let task = tasks.spawn(pod::Pod::new(node.clone(), &pod).run(receiver));
                        workers.insert(uid, (sender, task));
                    }
                }
                "DELETED" => {
                    if let Some((_, task)) = workers.remove(&uid) {
                        task.abort();
                        node.table.remove(&uid);
                    }
                }
                _ => {}
            }
        };
        if node.api.list_and_watch("/api/v1/pods", each).await.is_err() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}
