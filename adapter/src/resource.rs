//! What a metric describes: a resource of a group, and its kind.

use std::fmt;

/// A resource and its group, written `ingresses.networking.k8s.io`; core resources have no group.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupResource {
    /// Plural, lower case.
    pub resource: String,
    /// Empty for the core group.
    pub group: String,
}

impl fmt::Display for GroupResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.group.is_empty() { f.write_str(&self.resource) } else { write!(f, "{}.{}", self.resource, self.group) }
    }
}

/// What is known of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceKind {
    /// The resource itself.
    pub resource: GroupResource,
    /// Singular, lower case.
    pub singular: String,
    /// As in `kind:`.
    pub kind: String,
    /// As in `apiVersion:`.
    pub api_version: String,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
}

/// Plural, group, singular, kind, version, namespaced: what a metric usually describes, known without asking.
const KNOWN: [(&str, &str, &str, &str, &str, bool); 20] = [
    ("pods", "", "pod", "Pod", "v1", true),
    ("services", "", "service", "Service", "v1", true),
    ("namespaces", "", "namespace", "Namespace", "v1", false),
    ("nodes", "", "node", "Node", "v1", false),
    ("persistentvolumes", "", "persistentvolume", "PersistentVolume", "v1", false),
    ("persistentvolumeclaims", "", "persistentvolumeclaim", "PersistentVolumeClaim", "v1", true),
    ("configmaps", "", "configmap", "ConfigMap", "v1", true),
    ("serviceaccounts", "", "serviceaccount", "ServiceAccount", "v1", true),
    ("endpoints", "", "endpoints", "Endpoints", "v1", true),
    ("replicationcontrollers", "", "replicationcontroller", "ReplicationController", "v1", true),
    ("deployments", "apps", "deployment", "Deployment", "v1", true),
    ("replicasets", "apps", "replicaset", "ReplicaSet", "v1", true),
    ("statefulsets", "apps", "statefulset", "StatefulSet", "v1", true),
    ("daemonsets", "apps", "daemonset", "DaemonSet", "v1", true),
    ("jobs", "batch", "job", "Job", "v1", true),
    ("cronjobs", "batch", "cronjob", "CronJob", "v1", true),
    ("ingresses", "networking.k8s.io", "ingress", "Ingress", "v1", true),
    ("gateways", "gateway.networking.k8s.io", "gateway", "Gateway", "v1", true),
    ("httproutes", "gateway.networking.k8s.io", "httproute", "HTTPRoute", "v1", true),
    ("horizontalpodautoscalers", "autoscaling", "horizontalpodautoscaler", "HorizontalPodAutoscaler", "v2", true),
];

/// The known resource that `text` names: plural or singular, with or without its group.
#[must_use]
pub fn known(text: &str) -> Option<ResourceKind> {
    let (name, group) = text.split_once('.').map_or((text, None), |(n, g)| (n, Some(g)));
    let row = KNOWN.iter().find(|r| (r.0 == name || r.2 == name) && group.is_none_or(|g| g == r.1))?;
    let (resource, group, singular, kind, version, namespaced) = *row;
    let api_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    Some(ResourceKind {
        resource: GroupResource { resource: resource.to_owned(), group: group.to_owned() },
        singular: singular.to_owned(),
        kind: kind.to_owned(),
        api_version,
        namespaced,
    })
}

/// Whether `text` can be written as one part of a path and as a resource of Kubernetes: lower-case DNS labels.
#[must_use]
pub fn is_resource_name(text: &str) -> bool {
    let label = |l: &str| {
        !l.is_empty()
            && l.len() <= 63
            && l.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !l.starts_with('-')
            && !l.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plural_singular_and_group_lead_to_the_same_resource() {
        for (text, expected) in [
            ("pods", Some("pods")),
            ("pod", Some("pods")),
            ("ingresses.networking.k8s.io", Some("ingresses.networking.k8s.io")),
            ("ingresses", Some("ingresses.networking.k8s.io")),
            ("ingress", Some("ingresses.networking.k8s.io")),
            ("deployments.apps", Some("deployments.apps")),
            ("deployments.extensions", None),
            ("widgets.example.com", None),
            ("", None),
        ] {
            assert_eq!(known(text).map(|k| k.resource.to_string()).as_deref(), expected, "{text}");
        }
        assert_eq!(known("ingress").map(|k| k.api_version).as_deref(), Some("networking.k8s.io/v1"));
        assert_eq!(known("pods").map(|k| k.api_version).as_deref(), Some("v1"));
    }
}
