//! Pods to target groups, from the store that everybody shares.

mod labels;

use crate::config::KubernetesConfig;
use crate::manager::{Publisher, Told};
use leadline_cluster::{Pod, PodStore};
use leadline_model::discovery::GroupJob;
use leadline_model::target::TargetGroup;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Changes are collected for so long: a rollout changes many pods at once, and an autoscaler wants to know soon.
const THROTTLE: Duration = Duration::from_millis(250);
/// How often the watch is asked why no pods come, until they do: it wakes nobody when it fails.
const ASK: Duration = Duration::from_secs(1);

/// Follows the pods that one configuration selects.
pub(crate) struct Pods {
    config: KubernetesConfig,
    store: Arc<PodStore>,
    /// Namespaces to look in; `None` is all of them.
    namespaces: Option<Vec<String>>,
    prefix: String,
    /// By UID: the pod a group was made of, and the group. A pod that did not change is not built again.
    built: HashMap<Box<str>, (Arc<Pod>, Arc<TargetGroup>)>,
}

impl Pods {
    /// `own_namespace` is where this process runs; `prefix` starts the names of the groups.
    pub(crate) fn new(config: KubernetesConfig, store: Arc<PodStore>, own_namespace: &str, prefix: String) -> Self {
        let mut names = config.namespaces.names.clone();
        if config.namespaces.own_namespace {
            names.push(own_namespace.to_owned());
        }
        names.sort_unstable();
        names.dedup();
        let namespaces = (!names.is_empty()).then_some(names);
        Self {
            config,
            store,
            namespaces,
            prefix,
            built: HashMap::new(),
        }
    }

    fn selected(&self) -> Vec<Arc<Pod>> {
        let select = |namespace: Option<&str>| self.store.select(namespace, &self.config.labels);
        let mut pods = match &self.namespaces {
            None => select(None),
            Some(names) => names.iter().flat_map(|name| select(Some(name))).collect(),
        };
        pods.retain(|pod| self.config.fields.matches(pod));
        pods
    }

    /// The groups of the pods as they are now. Pods without an address have none.
    pub(crate) fn groups(&mut self) -> Vec<Arc<TargetGroup>> {
        let mut built = HashMap::with_capacity(self.built.len());
        let mut groups = Vec::new();
        for pod in self.selected() {
            let known = self.built.remove(&pod.uid).filter(|(from, _)| Arc::ptr_eq(from, &pod));
            let group = match known {
                Some((_, group)) => group,
                None => Arc::new(labels::group(&pod, &self.prefix, self.config.attach_job)),
            };
            if !group.targets.is_empty() {
                groups.push(Arc::clone(&group));
            }
            built.insert(pod.uid.clone(), (pod, group));
        }
        self.built = built;
        groups
    }

    /// Publishes at every change until `cancel`; before the first list, what is wrong with the watch, which logs that itself. How
    /// the watch goes later the manager asks of the store, when it is asked.
    pub(crate) async fn run(mut self, publisher: Publisher, cancel: CancellationToken) {
        let mut changed = self.store.changed();
        loop {
            let synced = self.store.synced();
            if synced {
                changed.mark_unchanged();
            }
            publisher.tell(Told {
                groups: synced.then(|| self.groups()),
                whole: synced,
                error: self.store.stats().last_error.filter(|_| !synced),
                says: GroupJob::Nothing,
            });
            tokio::select! {
                () = cancel.cancelled() => return,
                () = tokio::time::sleep(THROTTLE) => {}
            }
            tokio::select! {
                () = cancel.cancelled() => return,
                woken = changed.changed() => {
                    if woken.is_err() {
                        return;
                    }
                }
                () = tokio::time::sleep(ASK), if !synced => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leadline_cluster::Container;

    fn pod(namespace: &str, name: &str, uid: &str) -> Pod {
        Pod {
            namespace: namespace.into(),
            name: name.into(),
            uid: uid.into(),
            ip: Some("10.0.0.1".into()),
            phase: "Running".into(),
            labels: [("app", name)].into_iter().collect(),
            containers: [Container {
                name: "c".into(),
                ..Container::default()
            }]
            .into(),
            ..Pod::default()
        }
    }

    fn config(namespaces: &[&str], own: bool, label: &str, field: &str) -> KubernetesConfig {
        let names = namespaces.iter().map(|n| (*n).to_owned()).collect();
        KubernetesConfig {
            namespaces: crate::config::Namespaces {
                own_namespace: own,
                names,
            },
            labels: leadline_cluster::Selector::parse(label).unwrap(),
            fields: crate::config::FieldSelector::parse(field).unwrap(),
            attach_job: false,
        }
    }

    #[test]
    fn namespaces_and_selectors_choose_the_pods() {
        let store = PodStore::of([
            pod("a", "x", "1"),
            pod("b", "x", "2"),
            pod("b", "y", "3"),
            pod("me", "z", "4"),
        ]);
        for (config, expected) in [
            (config(&[], false, "", ""), vec!["1", "2", "3", "4"]),
            (config(&["b"], false, "", ""), vec!["2", "3"]),
            (config(&[], true, "", ""), vec!["4"]),
            (config(&["b", "b", "me"], true, "app!=y", ""), vec!["2", "4"]),
            (config(&[], false, "app=x", "metadata.namespace!=a"), vec!["2"]),
        ] {
            let mut pods = Pods::new(config.clone(), Arc::clone(&store), "me", String::new());
            let uids: Vec<String> = pods
                .groups()
                .iter()
                .map(|g| g.labels.get("__meta_kubernetes_pod_uid").unwrap().to_owned())
                .collect();
            assert_eq!(uids, expected, "{config:?}");
        }
    }

    #[test]
    fn only_changed_pods_are_built_again_and_a_pod_created_anew_is_a_new_source() {
        let store = PodStore::of([pod("a", "x", "1"), pod("a", "y", "2")]);
        let mut pods = Pods::new(config(&[], false, "", ""), Arc::clone(&store), "", String::new());
        let before = pods.groups();
        store.apply(Pod {
            phase: "Failed".into(),
            ..pod("a", "y", "2")
        });
        let after = pods.groups();
        assert!(Arc::ptr_eq(&before[0], &after[0]) && !Arc::ptr_eq(&before[1], &after[1]));
        assert_eq!(before[1].source, after[1].source);
        store.remove("a", "y");
        store.apply(pod("a", "y", "9"));
        assert_ne!(pods.groups()[1].source, before[1].source);
        store.apply(Pod {
            ip: None,
            ..pod("a", "y", "9")
        });
        assert_eq!(pods.groups().len(), 1, "without an address there is nothing to scrape");
    }
}
