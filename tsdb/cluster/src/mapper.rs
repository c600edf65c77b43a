//! From the name of a resource to what it is (a RESTMapper): `ingresses.networking.k8s.io`, `pod`, `Deployment`.

use crate::watch::describe;
use hashbrown::HashMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResource;
use kube::Client;
use parking_lot::RwLock;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A resource the API server has.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MappedResource {
    /// API group; empty for the core group.
    pub group: String,
    /// The group's preferred version that has it.
    pub version: String,
    /// `ingresses`.
    pub plural: String,
    /// `ingress`.
    pub singular: String,
    /// `Ingress`.
    pub kind: String,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
}

impl MappedResource {
    /// `ingresses.networking.k8s.io`, or `pods` in the core group.
    #[must_use]
    pub fn group_resource(&self) -> String {
        if self.group.is_empty() {
            self.plural.clone()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }

    /// `networking.k8s.io/v1`, or `v1` in the core group.
    #[must_use]
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }
}

/// Why a name could not be resolved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MapError {
    /// The API server has no such resource.
    #[error("the server has no resource {0:?}")]
    Unknown(String),
    /// The name is not among the known ones and the API server could not be asked.
    #[error("resource {name:?} is not known and the API server could not be asked: {reason}")]
    Unavailable {
        /// The name as asked for.
        name: String,
        /// Why it could not be asked.
        reason: String,
    },
}

/// Maps names of resources. Starts with those every cluster has, learns the rest from the API server's discovery, and asks
/// again on a miss, at most every [`REFRESH_EVERY`].
pub struct Mapper {
    client: Option<Client>,
    names: RwLock<Arc<Names>>,
    /// When the API server was last asked, and with what outcome; held across the asking, so that it is asked once.
    asked: tokio::sync::Mutex<Option<(Instant, Result<(), String>)>>,
}

/// How often the API server is asked at most.
const REFRESH_EVERY: Duration = Duration::from_secs(30);

/// Lower-case name (plural, singular or kind; bare or with `.group`) to resource.
type Names = HashMap<String, Arc<MappedResource>>;

/// Group, version, plural, singular, kind, namespaced: what people scale on in every cluster.
const EVERYWHERE: [(&str, &str, &str, &str, &str, bool); 15] = [
    ("", "v1", "pods", "pod", "Pod", true),
    ("", "v1", "services", "service", "Service", true),
    ("", "v1", "namespaces", "namespace", "Namespace", false),
    ("", "v1", "nodes", "node", "Node", false),
    (
        "",
        "v1",
        "persistentvolumeclaims",
        "persistentvolumeclaim",
        "PersistentVolumeClaim",
        true,
    ),
    ("", "v1", "configmaps", "configmap", "ConfigMap", true),
    (
        "",
        "v1",
        "replicationcontrollers",
        "replicationcontroller",
        "ReplicationController",
        true,
    ),
    ("apps", "v1", "deployments", "deployment", "Deployment", true),
    ("apps", "v1", "statefulsets", "statefulset", "StatefulSet", true),
    ("apps", "v1", "daemonsets", "daemonset", "DaemonSet", true),
    ("apps", "v1", "replicasets", "replicaset", "ReplicaSet", true),
    ("batch", "v1", "jobs", "job", "Job", true),
    ("batch", "v1", "cronjobs", "cronjob", "CronJob", true),
    ("networking.k8s.io", "v1", "ingresses", "ingress", "Ingress", true),
    (
        "autoscaling",
        "v2",
        "horizontalpodautoscalers",
        "horizontalpodautoscaler",
        "HorizontalPodAutoscaler",
        true,
    ),
];

fn names(resources: impl IntoIterator<Item = MappedResource>) -> Names {
    let mut names = Names::new();
    for resource in resources {
        let resource = Arc::new(resource);
        for name in [&resource.plural, &resource.singular, &resource.kind] {
            let name = name.to_lowercase();
            // Bare names belong to the group that comes first: core, then in the server's order.
            names
                .entry(format!("{name}.{}", resource.group))
                .or_insert_with(|| Arc::clone(&resource));
            names.entry(name).or_insert_with(|| Arc::clone(&resource));
        }
    }
    names
}

fn everywhere() -> impl Iterator<Item = MappedResource> {
    EVERYWHERE
        .iter()
        .map(|&(group, version, plural, singular, kind, namespaced)| MappedResource {
            group: group.to_owned(),
            version: version.to_owned(),
            plural: plural.to_owned(),
            singular: singular.to_owned(),
            kind: kind.to_owned(),
            namespaced,
        })
}

impl Mapper {
    /// A mapper that asks `client` for what it does not know; without one it knows what every cluster has.
    #[must_use]
    pub fn new(client: Option<Client>) -> Arc<Self> {
        let names = RwLock::new(Arc::new(names(everywhere())));
        Arc::new(Self {
            client,
            names,
            asked: tokio::sync::Mutex::default(),
        })
    }

    /// What is known of `name` without asking: a plural, singular or kind in any case, bare or followed by `.group`.
    #[must_use]
    pub fn known(&self, name: &str) -> Option<Arc<MappedResource>> {
        self.names.read().get(&name.to_lowercase()).cloned()
    }

    /// Resolves `name` as [`Self::known`] does, asking the API server's discovery where it is not known.
    ///
    /// # Errors
    /// [`MapError`].
    pub async fn resolve(&self, name: &str) -> Result<Arc<MappedResource>, MapError> {
        if let Some(known) = self.known(name) {
            return Ok(known);
        }
        let outcome = self.refresh().await;
        match (self.known(name), outcome) {
            (Some(known), _) => Ok(known),
            (None, Ok(())) => Err(MapError::Unknown(name.to_owned())),
            (None, Err(reason)) => Err(MapError::Unavailable {
                name: name.to_owned(),
                reason,
            }),
        }
    }

    async fn refresh(&self) -> Result<(), String> {
        let Some(client) = &self.client else {
            return Err("there is no API server".to_owned());
        };
        let mut asked = self.asked.lock().await;
        if let Some((when, outcome)) = &*asked
            && when.elapsed() < REFRESH_EVERY
        {
            return outcome.clone();
        }
        let outcome = match discover(client).await {
            Ok(found) => {
                *self.names.write() = Arc::new(names(found.into_iter().chain(everywhere())));
                Ok(())
            }
            Err(error) => Err(describe(&error)),
        };
        *asked = Some((Instant::now(), outcome.clone()));
        outcome
    }
}

/// How long one group's answer is waited for. The API server asks an aggregated API itself, and one that hangs must not
/// keep the others from being known.
const GROUP_TIMEOUT: Duration = Duration::from_secs(5);

/// Every resource in its group's preferred version, core first. The groups are asked all at once.
async fn discover(client: &Client) -> Result<Vec<MappedResource>, kube::Error> {
    let (core, groups) = tokio::try_join!(client.list_core_api_resources("v1"), client.list_api_groups())?;
    let mut found: Vec<MappedResource> = mapped("", "v1", core.resources).collect();
    let preferred = groups.groups.into_iter().filter_map(|group| {
        let version = group.preferred_version.or_else(|| group.versions.first().cloned())?;
        Some((group.name, version))
    });
    let asked = preferred.map(|(group, version)| async move {
        let answer = tokio::time::timeout(GROUP_TIMEOUT, client.list_api_group_resources(&version.group_version)).await;
        (group, version.version, answer)
    });
    for (group, version, answer) in futures::future::join_all(asked).await {
        let error = match answer {
            Ok(Ok(list)) => {
                found.extend(mapped(&group, &version, list.resources));
                continue;
            }
            Ok(Err(error)) => describe(&error),
            Err(_) => "no answer in time".to_owned(),
        };
        tracing::warn!(group, error, "discovery of an API group failed");
    }
    Ok(found)
}

fn mapped(group: &str, version: &str, resources: Vec<APIResource>) -> impl Iterator<Item = MappedResource> {
    let of = |r: APIResource| MappedResource {
        group: group.to_owned(),
        version: version.to_owned(),
        singular: if r.singular_name.is_empty() {
            r.kind.to_lowercase()
        } else {
            r.singular_name
        },
        plural: r.name,
        kind: r.kind,
        namespaced: r.namespaced,
    };
    // A name with a slash is a subresource.
    resources
        .into_iter()
        .filter(|r| !r.name.contains('/'))
        .map(of)
        .collect::<Vec<_>>()
        .into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn names_resolve_by_plural_singular_and_kind_with_or_without_their_group() {
        let mapper = Mapper::new(None);
        for (name, group_resource, namespaced) in [
            ("pods", "pods", true),
            ("pod", "pods", true),
            ("Pod", "pods", true),
            ("namespaces", "namespaces", false),
            ("ingresses.networking.k8s.io", "ingresses.networking.k8s.io", true),
            ("Ingress", "ingresses.networking.k8s.io", true),
            ("deployment.apps", "deployments.apps", true),
        ] {
            let found = mapper.resolve(name).await.unwrap();
            assert_eq!(
                (found.group_resource().as_str(), found.namespaced),
                (group_resource, namespaced),
                "{name}"
            );
        }
        assert!(matches!(
            mapper.resolve("widgets").await,
            Err(MapError::Unavailable { .. })
        ));
        assert_eq!(mapper.known("ingresses").unwrap().api_version(), "networking.k8s.io/v1");
    }

    #[test]
    fn a_bare_name_belongs_to_the_first_group_that_has_it() {
        let other = MappedResource {
            group: "metrics.k8s.io".into(),
            version: "v1beta1".into(),
            plural: "pods".into(),
            singular: String::new(),
            kind: "PodMetrics".into(),
            namespaced: true,
        };
        let names = names(everywhere().chain([other]));
        assert_eq!(names["pods"].group, "");
        assert_eq!(names["pods.metrics.k8s.io"].kind, "PodMetrics");
    }
}
