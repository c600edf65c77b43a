//! The stand-in for the endpoint controllers, kube-proxy and the cluster's DNS.
//!
//! The API server refuses loopback addresses in IPv4 EndpointSlices, so the endpoint controllers are off and every Service
//! with a selector is given a slice of addressType FQDN here, kept in step with its ready pods; to the API server
//! `127.1.2.3` is a valid DNS name, and the aggregator dials it as it stands. For everybody else each Service has a
//! loopback address whose ports are forwarded to a ready pod, and a line in a hosts file that pods and KEDA see as
//! /etc/hosts.

use crate::address::{Block, random};
use crate::api::{Api, labels_match};
use crate::failure::Context;
use crate::kubelet::{PodState, PodTable};
use crate::{Result, fail};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Where one port of a Service leads now.
type Backends = Arc<Mutex<Vec<(String, u16)>>>;

/// The running stand-in.
#[derive(Debug)]
pub struct Services {
    state: Arc<State>,
    tasks: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct State {
    api: Api,
    block: Arc<Block>,
    pods: Arc<PodTable>,
    hosts_file: PathBuf,
    services: Mutex<BTreeMap<String, Value>>,
    /// Addresses by namespace/name.
    addresses: Mutex<BTreeMap<String, String>>,
    proxies: Mutex<HashMap<String, (Backends, JoinHandle<()>)>>,
    /// The slice as it was last written, by namespace/name.
    written: Mutex<HashMap<String, Value>>,
    changed: tokio::sync::Notify,
    errors: Mutex<Vec<String>>,
}

impl Services {
    /// Starts it. `hosts_file` is written at once.
    ///
    /// # Errors
    /// The hosts file cannot be written.
    pub fn start(api: Api, block: Arc<Block>, pods: Arc<PodTable>, hosts_file: &Path) -> Result<Self> {
        let state = Arc::new(State {
            api,
            block,
            pods,
            hosts_file: hosts_file.to_owned(),
            services: Mutex::default(),
            addresses: Mutex::default(),
            proxies: Mutex::default(),
            written: Mutex::default(),
            changed: tokio::sync::Notify::new(),
            errors: Mutex::default(),
        });
        let tasks = vec![
            tokio::spawn(watch_services(state.clone())),
            tokio::spawn(reconcile_all(state.clone())),
        ];
        Ok(Self { state, tasks })
    }

    /// The loopback address of a Service, once it is known.
    #[must_use]
    pub fn address(&self, namespace: &str, name: &str) -> Option<String> {
        self.state.addresses.lock().get(&format!("{namespace}/{name}")).cloned()
    }

    /// The last errors, for a dump.
    #[must_use]
    pub fn errors(&self) -> Vec<String> {
        self.state.errors.lock().clone()
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        for (_, proxy) in self.state.proxies.lock().values() {
            proxy.abort();
        }
    }
}

/// The hosts file without any Service.
///
/// # Errors
/// It cannot be written.
pub fn write_empty_hosts(path: &Path) -> Result<()> {
    std::fs::write(path, "127.0.0.1 localhost\n").context(path.display())
}

async fn watch_services(state: Arc<State>) {
    loop {
        let each = |kind: &str, service: Value| {
            let meta = &service["metadata"];
            let key = format!(
                "{}/{}",
                meta["namespace"].as_str().unwrap_or(""),
                meta["name"].as_str().unwrap_or("")
            );
            match kind {
                "ADDED" | "MODIFIED" if service["spec"]["selector"].is_object() => {
                    state.services.lock().insert(key, service);
                }
                "DELETED" => {
                    state.services.lock().remove(&key);
                    state.written.lock().remove(&key);
                }
                _ => {}
            }
            state.changed.notify_one();
        };
        if state.api.list_and_watch("/api/v1/services", each).await.is_err() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

async fn reconcile_all(state: Arc<State>) {
    loop {
        let mut failed = false;
        let services: Vec<_> = state.services.lock().clone().into_iter().collect();
        for (key, service) in &services {
            if let Err(error) = state.reconcile(key, service).await {
                failed = true;
                let mut errors = state.errors.lock();
                errors.push(format!("{key}: {error}"));
                let excess = errors.len().saturating_sub(20);
                errors.drain(..excess);
            }
        }
        let retry = if failed {
            Duration::from_millis(300)
        } else {
            Duration::from_secs(3600)
        };
        tokio::select! {
            () = state.changed.notified() => {}
            () = state.pods.changed() => {}
            () = tokio::time::sleep(retry) => {}
        }
    }
}

impl State {
    async fn reconcile(&self, key: &str, service: &Value) -> Result<()> {
        let namespace = service["metadata"]["namespace"].as_str().unwrap_or_default();
        let name = service["metadata"]["name"].as_str().unwrap_or_default();
        let selector = &service["spec"]["selector"];
        let mut pods = self.pods.all();
        pods.retain(|pod| pod.ready && pod.namespace == namespace && labels_match(selector, &pod.labels));
        let address = self.address_of(key)?;
        for port in service["spec"]["ports"].as_array().into_iter().flatten() {
            let backends = pods
                .iter()
                .filter_map(|pod| Some((pod.address.clone(), target_port(port, pod)?)))
                .collect();
            self.forward(key, &address, port, backends).await?;
        }
        let slice = slice(namespace, name, service, &pods);
        if self.written.lock().get(key) == Some(&slice) {
            return Ok(());
        }
        let path = format!("/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices/{name}-stand-in");
        self.api.apply(&path, &slice).await?;
        self.written.lock().insert(key.to_owned(), slice);
        Ok(())
    }

    /// The Service's address; a new one is written to the hosts file in place, because mounts hold the file itself.
    fn address_of(&self, key: &str) -> Result<String> {
        let mut addresses = self.addresses.lock();
        if let Some(address) = addresses.get(key) {
            return Ok(address.clone());
        }
        let address = self.block.service().to_string();
        addresses.insert(key.to_owned(), address.clone());
        let mut hosts = String::from("127.0.0.1 localhost\n");
        for (key, address) in addresses.iter() {
            let (namespace, name) = key.split_once('/').unwrap_or_default();
            let host = format!("{name}.{namespace}");
            let _ = writeln!(hosts, "{address} {host}.svc {host}.svc.cluster.local {host}");
        }
        std::fs::write(&self.hosts_file, hosts).context(self.hosts_file.display())?;
        Ok(address)
    }

    async fn forward(&self, key: &str, address: &str, port: &Value, now: Vec<(String, u16)>) -> Result<()> {
        let Some(number) = port["port"].as_u64() else {
            fail!("{key}: a port without a number")
        };
        let proxy = format!("{key}:{number}");
        if let Some((backends, _)) = self.proxies.lock().get(&proxy) {
            *backends.lock() = now;
            return Ok(());
        }
        let listen = format!("{address}:{number}");
        let listener = TcpListener::bind(&listen).await.context(&listen)?;
        let backends: Backends = Arc::new(Mutex::new(now));
        let task = tokio::spawn(accept(listener, backends.clone()));
        self.proxies.lock().insert(proxy, (backends, task));
        Ok(())
    }
}

/// Forwards each connection to one of the backends of the moment; without any it is closed, as kube-proxy rejects it.
async fn accept(listener: TcpListener, backends: Backends) {
    while let Ok((mut client, _)) = listener.accept().await {
        let chosen = {
            let backends = backends.lock();
            let count = u64::try_from(backends.len()).unwrap_or(1).max(1);
            usize::try_from(random() % count)
                .ok()
                .and_then(|index| backends.get(index).cloned())
        };
        tokio::spawn(async move {
            if let Some((host, port)) = chosen
                && let Ok(mut server) = TcpStream::connect((host.as_str(), port)).await
            {
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            }
        });
    }
}

/// The port of `pod` that `port` of a Service leads to.
fn target_port(port: &Value, pod: &PodState) -> Option<u16> {
    match &port["targetPort"] {
        Value::String(name) => pod.ports.get(name).copied(),
        Value::Null => u16::try_from(port["port"].as_u64()?).ok(),
        number => u16::try_from(number.as_u64()?).ok(),
    }
}

fn slice(namespace: &str, name: &str, service: &Value, pods: &[PodState]) -> Value {
    let ports: Vec<Value> = service["spec"]["ports"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|port| {
            let number = pods.iter().find_map(|pod| target_port(port, pod));
            let number = number.map_or_else(|| port["port"].clone(), Value::from);
            json!({"name": port["name"].as_str().unwrap_or_default(), "port": number, "protocol": "TCP"})
        })
        .collect();
    let endpoint = |pod: &PodState| {
        json!({
            "addresses": [pod.address],
            "conditions": {"ready": true, "serving": true, "terminating": false},
            "targetRef": {"kind": "Pod", "namespace": pod.namespace, "name": pod.name},
        })
    };
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "FQDN",
        "metadata": {
            "name": format!("{name}-stand-in"), "namespace": namespace,
            "labels": {
                "kubernetes.io/service-name": name,
                "endpointslice.kubernetes.io/managed-by": "stand-in.leadline.test",
            },
        },
        "ports": ports,
        "endpoints": pods.iter().map(endpoint).collect::<Vec<_>>(),
    })
}
