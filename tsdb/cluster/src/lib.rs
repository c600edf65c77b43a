//! The Kubernetes side that rooms share: one trimmed watch per kind.
//!
//! [`Cluster`] is the connection. Pods are watched once for the whole cluster ([`PodStore`]), for discovery and for the
//! adapter's selectors alike; other kinds are watched by metadata only, from the first question on until nobody asks
//! any more ([`ObjectWatches`]). Nothing here lists per request, and nothing is watched that nobody asked for.

mod api_service;
mod backoff;
mod client;
mod extension_auth;
#[cfg(test)]
mod fixture;
mod kinds;
mod kubeconfig;
mod label_index;
mod mapper;
mod objects;
mod pairs;
mod pod;
mod pod_store;
mod secret;
mod selector;
mod watch;
mod watched_pod;

pub use api_service::{CaBundle, Others, ServiceName, ensure_ca_bundle, keep_ca_bundles};
pub use client::{Cluster, ConnectError};
pub use extension_auth::{ExtensionAuth, ExtensionAuthError};
pub use kube::Client;
pub use kubeconfig::{Access, KubeconfigError, ReadFile};
pub use mapper::{Lessons, MapError, MappedResource, Mapper};
pub use objects::{LookupError, Object, ObjectWatches};
pub use pairs::Pairs;
pub use pod::{Container, Controller, Pod, Port, Readiness};
pub use pod_store::PodStore;
pub use secret::{Kept, SecretData, SecretError, create_once, keep_fitting};
pub use selector::{Operator, Requirement, Selector, SelectorError};
pub use watch::WatchReport;
pub use watched_pod::WatchedPod;
