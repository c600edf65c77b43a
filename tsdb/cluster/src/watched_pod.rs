//! A pod as it comes off the wire: only the fields that are kept are decoded.

use crate::pairs::Pairs;
use crate::pod::{Container, Controller, Pod, Port, Readiness};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};
use kube::core::NamespaceResourceScope;
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The wire form of [`Pod`]. Decoding skips the rest of the object (volumes, managed fields …), which is most of it.
#[derive(Debug, Clone, Deserialize)]
pub struct WatchedPod {
    #[serde(default, deserialize_with = "trimmed")]
    metadata: ObjectMeta,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
    owner_references: Option<Vec<OwnerReference>>,
    deletion_timestamp: Option<Time>,
}

fn trimmed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    let m = Metadata::deserialize(deserializer)?;
    Ok(ObjectMeta {
        name: m.name,
        namespace: m.namespace,
        uid: m.uid,
        resource_version: m.resource_version,
        labels: m.labels,
        annotations: m.annotations,
        owner_references: m.owner_references,
        deletion_timestamp: m.deletion_timestamp,
        ..ObjectMeta::default()
    })
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    node_name: Option<Box<str>>,
    containers: Option<Vec<SpecContainer>>,
    init_containers: Option<Vec<SpecContainer>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SpecContainer {
    name: Box<str>,
    image: Option<Box<str>>,
    ports: Option<Vec<SpecPort>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SpecPort {
    name: Option<Box<str>>,
    container_port: u16,
    protocol: Option<Box<str>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    phase: Option<Box<str>>,
    #[serde(rename = "podIP")]
    pod_ip: Option<Box<str>>,
    #[serde(rename = "hostIP")]
    host_ip: Option<Box<str>>,
    conditions: Option<Vec<Condition>>,
    container_statuses: Option<Vec<ContainerStatus>>,
    init_container_statuses: Option<Vec<ContainerStatus>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Condition {
    #[serde(rename = "type")]
    kind: Box<str>,
    status: Box<str>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct ContainerStatus {
    name: Box<str>,
    #[serde(rename = "containerID")]
    container_id: Option<Box<str>>,
}

impl kube::Resource for WatchedPod {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        "Pod".into()
    }

    fn group((): &()) -> Cow<'_, str> {
        "".into()
    }

    fn version((): &()) -> Cow<'_, str> {
        "v1".into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        "pods".into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl WatchedPod {
    /// Namespace and name.
    #[must_use]
    pub fn key(&self) -> (&str, &str) {
        (
            self.metadata.namespace.as_deref().unwrap_or(""),
            self.metadata.name.as_deref().unwrap_or(""),
        )
    }
}

/// Empty texts count as absent, as in Go where they are the zero value.
fn given(text: Option<Box<str>>) -> Option<Box<str>> {
    text.filter(|t| !t.is_empty())
}

impl From<WatchedPod> for Pod {
    fn from(
        WatchedPod {
            metadata: m,
            spec,
            status,
        }: WatchedPod,
    ) -> Self {
        let (started, initialised) = (
            status.container_statuses.unwrap_or_default(),
            status.init_container_statuses.unwrap_or_default(),
        );
        let containers = spec
            .containers
            .unwrap_or_default()
            .into_iter()
            .map(|c| container(c, &started, false));
        let init = spec
            .init_containers
            .unwrap_or_default()
            .into_iter()
            .map(|c| container(c, &initialised, true));
        Self {
            namespace: m.namespace.unwrap_or_default().into(),
            name: m.name.unwrap_or_default().into(),
            uid: m.uid.unwrap_or_default().into(),
            labels: m.labels.map(Pairs::from).unwrap_or_default(),
            annotations: m.annotations.map(Pairs::from).unwrap_or_default(),
            controller: controller(m.owner_references.unwrap_or_default()),
            deleting: m.deletion_timestamp.is_some(),
            ip: given(status.pod_ip),
            host_ip: given(status.host_ip),
            node_name: given(spec.node_name),
            phase: status.phase.unwrap_or_default(),
            ready: readiness(status.conditions.as_deref().unwrap_or_default()),
            containers: containers.chain(init).collect(),
        }
    }
}

fn controller(owners: Vec<OwnerReference>) -> Option<Controller> {
    let owner = owners.into_iter().find(|o| o.controller == Some(true))?;
    Some(Controller {
        kind: owner.kind.into(),
        name: owner.name.into(),
    })
}

fn readiness(conditions: &[Condition]) -> Readiness {
    match conditions.iter().find(|c| &*c.kind == "Ready").map(|c| &*c.status) {
        Some("True") => Readiness::True,
        Some("False") => Readiness::False,
        _ => Readiness::Unknown,
    }
}

fn container(spec: SpecContainer, statuses: &[ContainerStatus], init: bool) -> Container {
    let id = statuses
        .iter()
        .find(|s| s.name == spec.name)
        .and_then(|s| s.container_id.clone());
    let ports = spec.ports.unwrap_or_default().into_iter().map(|p| Port {
        name: p.name.unwrap_or_default(),
        number: p.container_port,
        protocol: p.protocol.unwrap_or_else(|| "TCP".into()),
    });
    Container {
        name: spec.name,
        image: spec.image.unwrap_or_default(),
        id: given(id),
        init,
        ports: ports.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_trimmed_to_what_is_read() {
        let watched: WatchedPod = serde_json::from_value(serde_json::json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": "web-0", "namespace": "shop", "uid": "u1", "resourceVersion": "7",
                "labels": {"b": "2", "a": "1"}, "annotations": {"n": "v"},
                "managedFields": [{"manager": "kubelet", "operation": "Update", "fieldsV1": {"f:status": {}}}],
                "ownerReferences": [
                    {"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "x"},
                    {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web", "uid": "y", "controller": true}],
            },
            "spec": {
                "nodeName": "n1", "volumes": [{"name": "v"}],
                "initContainers": [{"name": "init", "image": "i:1"}],
                "containers": [{"name": "web", "image": "w:1", "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}]}],
            },
            "status": {
                "phase": "Running", "podIP": "10.0.0.1", "hostIP": "",
                "conditions": [{"type": "Initialized", "status": "True"}, {"type": "Ready", "status": "True"}],
                "containerStatuses": [{"name": "web", "containerID": "containerd://1"}],
                "initContainerStatuses": [{"name": "init", "containerID": ""}],
            },
        }))
        .unwrap();
        let pod = Pod::from(watched);
        assert_eq!((&*pod.namespace, &*pod.name, &*pod.uid), ("shop", "web-0", "u1"));
        assert_eq!(pod.labels.iter().collect::<Vec<_>>(), [("a", "1"), ("b", "2")]);
        assert_eq!(
            pod.controller,
            Some(Controller {
                kind: "StatefulSet".into(),
                name: "web".into()
            })
        );
        assert_eq!(
            (pod.ip.as_deref(), pod.host_ip.as_deref(), pod.node_name.as_deref()),
            (Some("10.0.0.1"), None, Some("n1"))
        );
        assert!(pod.is_active());
        let [web, init] = &*pod.containers else {
            panic!("two containers: {:?}", pod.containers)
        };
        assert_eq!(
            (web.id.as_deref(), web.init, web.ports[0].number),
            (Some("containerd://1"), false, 8080)
        );
        assert_eq!((init.id.as_deref(), init.init, init.ports.len()), (None, true, 0));
    }
}
