//! A pod, trimmed to what discovery and the adapter read.

use crate::label_index::Indexed;
use crate::pairs::Pairs;

/// A pod as the API server last told it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pod {
    /// `metadata.namespace`.
    pub namespace: Box<str>,
    /// `metadata.name`.
    pub name: Box<str>,
    /// `metadata.uid`: a pod that was deleted and created again under its name has another one.
    pub uid: Box<str>,
    /// `metadata.labels`.
    pub labels: Pairs,
    /// `metadata.annotations`.
    pub annotations: Pairs,
    /// The owner that manages the pod (`ownerReferences` with `controller: true`).
    pub controller: Option<Controller>,
    /// Whether `metadata.deletionTimestamp` is set.
    pub deleting: bool,
    /// `status.podIP`; absent while the pod starts and after an eviction.
    pub ip: Option<Box<str>>,
    /// `status.hostIP`.
    pub host_ip: Option<Box<str>>,
    /// `spec.nodeName`; absent until the pod is scheduled.
    pub node_name: Option<Box<str>>,
    /// `status.phase`: Pending, Running, Succeeded, Failed or Unknown.
    pub phase: Box<str>,
    /// The condition Ready.
    pub ready: Readiness,
    /// Containers in the order of the specification, then the init containers.
    pub containers: Box<[Container]>,
}

impl Pod {
    /// Whether the pod runs, is ready and is not being deleted: the pods an HPA counts.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.ready == Readiness::True && !self.deleting && !matches!(&*self.phase, "Failed" | "Succeeded")
    }
}

impl Indexed for Pod {
    fn namespace(&self) -> &str {
        &self.namespace
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn labels(&self) -> &Pairs {
        &self.labels
    }
}

/// The status of the condition Ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Readiness {
    /// Ready.
    True,
    /// Not ready.
    False,
    /// The condition is absent, or the node does not report.
    #[default]
    Unknown,
}

impl Readiness {
    /// `true`, `false` or `unknown`, as `__meta_kubernetes_pod_ready` has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "true",
            Self::False => "false",
            Self::Unknown => "unknown",
        }
    }
}

/// What manages a pod.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Controller {
    /// ReplicaSet, StatefulSet, DaemonSet, Job …
    pub kind: Box<str>,
    /// Its name, in the pod's namespace.
    pub name: Box<str>,
}

/// A container of a pod.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Container {
    /// Its name, unique in the pod.
    pub name: Box<str>,
    /// `image` as specified.
    pub image: Box<str>,
    /// `containerID` of its status; absent until it was started once.
    pub id: Option<Box<str>>,
    /// Whether it is an init container.
    pub init: bool,
    /// The ports it declares.
    pub ports: Box<[Port]>,
}

/// A declared container port.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Port {
    /// Its name, or the empty string.
    pub name: Box<str>,
    /// `containerPort`.
    pub number: u16,
    /// TCP, UDP or SCTP.
    pub protocol: Box<str>,
}
