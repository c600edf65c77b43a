//! Every pod of the cluster, watched once.

use crate::label_index::LabelIndex;
use crate::pod::Pod;
use crate::selector::Selector;
use crate::watch::{self, WatchReport, WatchStatus};
use crate::watched_pod::WatchedPod;
use futures::StreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use parking_lot::RwLock;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The pods of the whole cluster, as the one watch of them last told.
///
/// Reading takes a shared lock for as long as it takes to copy the answer's pointers.
pub struct PodStore {
    index: RwLock<LabelIndex<Pod>>,
    version: tokio::sync::watch::Sender<u64>,
    status: Arc<WatchStatus>,
}

impl std::fmt::Debug for PodStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PodStore")
            .field("pods", &self.len())
            .field("status", &self.stats())
            .finish()
    }
}

impl PodStore {
    /// A store that waits for its watch.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            index: RwLock::default(),
            version: tokio::sync::watch::Sender::new(0),
            status: WatchStatus::new("pods"),
        })
    }

    /// A synced store of given pods, for where there is no API server (a demonstration, a simulation).
    #[must_use]
    pub fn of(pods: impl IntoIterator<Item = Pod>) -> Arc<Self> {
        let store = Self::new();
        store.replace(pods);
        store
    }

    /// The pods of `namespace` (or of all namespaces) that match `selector`, sorted by namespace and name.
    #[must_use]
    pub fn select(&self, namespace: Option<&str>, selector: &Selector) -> Vec<Arc<Pod>> {
        self.index.read().select(namespace, selector)
    }

    /// One pod.
    #[must_use]
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<Pod>> {
        self.index.read().get(namespace, name).cloned()
    }

    /// Number of pods.
    #[must_use]
    pub fn len(&self) -> usize {
        self.index.read().len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a complete list was received. It stays so while the API server is away: the pods are then as last known.
    #[must_use]
    pub fn synced(&self) -> bool {
        self.status.synced()
    }

    /// Tells of every change of the pods, and of the first complete list, by a growing version.
    #[must_use]
    pub fn changed(&self) -> tokio::sync::watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// How the watch goes.
    #[must_use]
    pub fn stats(&self) -> WatchReport {
        self.status.report()
    }

    /// Enters or replaces a pod.
    pub fn apply(&self, pod: Pod) {
        // A separate statement, so that the lock is released before the readers that wake take it.
        let changed = self.index.write().put(&Arc::new(pod));
        if changed {
            self.bump();
        }
    }

    /// Removes a pod.
    pub fn remove(&self, namespace: &str, name: &str) {
        let removed = self.index.write().remove(namespace, name);
        if removed.is_some() {
            self.bump();
        }
    }

    /// Replaces everything by a complete list; the store is synced from then on. Pods that did not change keep their
    /// allocation, so that whoever derived something from them can see that by the pointer.
    pub fn replace(&self, pods: impl IntoIterator<Item = Pod>) {
        let mut next = LabelIndex::default();
        {
            let current = self.index.read();
            for pod in pods {
                let known = current
                    .get(&pod.namespace, &pod.name)
                    .filter(|old| ***old == pod)
                    .cloned();
                next.put(&known.unwrap_or_else(|| Arc::new(pod)));
            }
        }
        *self.index.write() = next;
        self.status.received();
        self.status.complete();
        self.bump();
    }

    /// Whoever fills the store cannot go on: why, until a complete list comes. The pods stay as last known.
    pub fn fail(&self, error: &str) {
        self.status.failed(error);
    }

    fn bump(&self) {
        self.version.send_modify(|v| *v += 1);
    }

    /// Watches until `cancel`; never gives up.
    pub(crate) async fn run(&self, client: Client, cancel: CancellationToken) {
        let start = |config: watcher::Config| watcher(Api::<WatchedPod>::all(client.clone()), config).boxed();
        let mut listing: Option<Vec<Pod>> = None;
        let sink = |event: Event<WatchedPod>| match event {
            Event::Init => listing = Some(Vec::new()),
            Event::InitApply(pod) => listing.get_or_insert_default().push(pod.into()),
            Event::InitDone => self.replace(listing.take().unwrap_or_default()),
            Event::Apply(pod) => self.apply(pod.into()),
            Event::Delete(pod) => {
                let (namespace, name) = pod.key();
                self.remove(namespace, name);
            }
        };
        watch::drive(&self.status, watcher::Config::default(), start, sink, cancel).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, phase: &str) -> Pod {
        Pod {
            namespace: "a".into(),
            name: name.into(),
            phase: phase.into(),
            ..Pod::default()
        }
    }

    #[test]
    fn only_what_changes_a_pod_wakes_and_a_new_list_keeps_what_is_equal() {
        let store = PodStore::new();
        let mut changed = store.changed();
        assert!(!store.synced());
        store.replace([pod("x", "Running"), pod("y", "Running")]);
        assert!(store.synced() && changed.has_changed().unwrap());
        changed.mark_unchanged();
        store.apply(pod("x", "Running"));
        store.remove("a", "none");
        assert!(!changed.has_changed().unwrap(), "nothing changed");
        let (x, y) = (store.get("a", "x").unwrap(), store.get("a", "y").unwrap());
        store.replace([pod("x", "Running"), pod("y", "Failed"), pod("z", "Running")]);
        assert!(changed.has_changed().unwrap());
        assert!(Arc::ptr_eq(&x, &store.get("a", "x").unwrap()));
        assert!(!Arc::ptr_eq(&y, &store.get("a", "y").unwrap()));
        assert_eq!((store.len(), store.stats().relists), (3, 2));
    }
}
