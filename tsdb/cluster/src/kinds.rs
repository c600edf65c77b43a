//! The kinds that every cluster has, known before the API server was asked.

use crate::mapper::MappedResource;

/// A group, its preferred version, and its kinds: those that live in namespaces, and those that do not.
struct Group(
    &'static str,
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
);

/// What Kubernetes 1.37 serves in a stable version and keeps (`k8s.io/api`, the types with a client; `apiextensions` and
/// `kube-aggregator` for the last two groups), in the order of its groups. What an API server does not have answers nothing
/// when it is asked for.
#[rustfmt::skip]
const GROUPS: &[Group] = &[
    Group("", "v1",
        &["Pod", "Service", "PersistentVolumeClaim", "ConfigMap", "ReplicationController", "Endpoints", "Event",
          "LimitRange", "PodTemplate", "ResourceQuota", "Secret", "ServiceAccount"],
        &["Namespace", "Node", "PersistentVolume"]),
    Group("apps", "v1", &["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ControllerRevision"], &[]),
    Group("events.k8s.io", "v1", &["Event"], &[]),
    Group("autoscaling", "v2", &["HorizontalPodAutoscaler"], &[]),
    Group("batch", "v1", &["Job", "CronJob"], &[]),
    Group("certificates.k8s.io", "v1",
        &["PodCertificateRequest"],
        &["CertificateSigningRequest", "ClusterTrustBundle"]),
    Group("networking.k8s.io", "v1", &["Ingress", "NetworkPolicy"], &["IngressClass", "IPAddress", "ServiceCIDR"]),
    Group("policy", "v1", &["PodDisruptionBudget"], &[]),
    Group("rbac.authorization.k8s.io", "v1", &["Role", "RoleBinding"], &["ClusterRole", "ClusterRoleBinding"]),
    Group("storage.k8s.io", "v1",
        &["CSIStorageCapacity"],
        &["StorageClass", "VolumeAttachment", "VolumeAttributesClass", "CSIDriver", "CSINode"]),
    Group("admissionregistration.k8s.io", "v1", &[],
        &["MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding", "MutatingWebhookConfiguration",
          "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "ValidatingWebhookConfiguration"]),
    Group("scheduling.k8s.io", "v1", &[], &["PriorityClass"]),
    Group("coordination.k8s.io", "v1", &["Lease"], &[]),
    Group("node.k8s.io", "v1", &[], &["RuntimeClass"]),
    Group("discovery.k8s.io", "v1", &["EndpointSlice"], &[]),
    Group("resource.k8s.io", "v1",
        &["ResourceClaim", "ResourceClaimTemplate"],
        &["DeviceClass", "DeviceTaintRule", "ResourceSlice"]),
    Group("flowcontrol.apiserver.k8s.io", "v1", &[], &["FlowSchema", "PriorityLevelConfiguration"]),
    Group("storagemigration.k8s.io", "v1", &[], &["StorageVersionMigration"]),
    Group("apiextensions.k8s.io", "v1", &[], &["CustomResourceDefinition"]),
    Group("apiregistration.k8s.io", "v1", &[], &["APIService"]),
];

/// What every cluster has; bare names belong to the group that comes first.
pub(crate) fn everywhere() -> impl Iterator<Item = MappedResource> {
    GROUPS.iter().flat_map(|&Group(group, version, namespaced, cluster)| {
        let of = move |namespaced| move |kind: &&str| resource(group, version, kind, namespaced);
        namespaced.iter().map(of(true)).chain(cluster.iter().map(of(false)))
    })
}

fn resource(group: &str, version: &str, kind: &str, namespaced: bool) -> MappedResource {
    let singular = kind.to_lowercase();
    MappedResource {
        group: group.to_owned(),
        version: version.to_owned(),
        plural: plural(&singular),
        singular,
        kind: kind.to_owned(),
        namespaced,
    }
}

/// The plural by the rule that all kinds of Kubernetes itself follow (`UnsafeGuessKindToResource` of `apimachinery`).
fn plural(singular: &str) -> String {
    match singular {
        "endpoints" => singular.to_owned(),
        _ if singular.ends_with('s') => format!("{singular}es"),
        _ => match singular.strip_suffix('y') {
            Some(stem) => format!("{stem}ies"),
            None => format!("{singular}s"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_the_plural_and_the_scope_that_kubernetes_gives_it() {
        for (name, namespaced) in [
            ("pods", true),
            ("endpoints", true),
            ("namespaces", false),
            ("persistentvolumes", false),
            ("persistentvolumeclaims", true),
            ("ingresses.networking.k8s.io", true),
            ("networkpolicies.networking.k8s.io", true),
            ("ingressclasses.networking.k8s.io", false),
            ("ipaddresses.networking.k8s.io", false),
            ("storageclasses.storage.k8s.io", false),
            ("csistoragecapacities.storage.k8s.io", true),
            ("priorityclasses.scheduling.k8s.io", false),
            ("leases.coordination.k8s.io", true),
            ("resourceclaims.resource.k8s.io", true),
        ] {
            let found: Vec<_> = everywhere().filter(|kind| kind.group_resource() == name).collect();
            assert_eq!(found.len(), 1, "{name}");
            assert_eq!(found[0].namespaced, namespaced, "{name}");
        }
    }
}
