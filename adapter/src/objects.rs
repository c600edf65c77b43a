//! Which objects a label selector selects, from the cluster's watches; never from a LIST per request.

use crate::error::ApiError;
use leadline_cluster::{MappedResource, Object, ObjectWatches, Pod, PodStore, Selector};
use std::sync::Arc;

/// The objects of the cluster.
#[derive(Clone)]
pub struct Objects {
    /// Every pod.
    pub pods: Arc<PodStore>,
    /// All else, watched while somebody asks; absent without an API server.
    pub others: Option<Arc<ObjectWatches>>,
}

/// Objects that were selected, sorted by name.
pub enum Selected {
    /// Pods.
    Pods(Vec<Arc<Pod>>),
    /// Objects of another kind.
    Others(Vec<Arc<Object>>),
}

impl Selected {
    /// Their number.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Pods(pods) => pods.len(),
            Self::Others(objects) => objects.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The name of the i-th, `i < len()`.
    #[must_use]
    pub fn name(&self, i: usize) -> &str {
        match self {
            Self::Pods(pods) => &pods[i].name,
            Self::Others(objects) => &objects[i].name,
        }
    }
}

impl Objects {
    /// The objects of `kind` in `namespace` (`None` for kinds without namespaces) that `selector` selects.
    ///
    /// # Errors
    /// 503 while the watch of the kind has not delivered its first list.
    pub async fn select(
        &self,
        kind: &MappedResource,
        namespace: Option<&str>,
        selector: &Selector,
    ) -> Result<Selected, ApiError> {
        if kind.group.is_empty() && kind.plural == "pods" {
            if !self.pods.synced() {
                return Err(ApiError::unavailable(match self.others {
                    Some(_) => "the watch of pods has not delivered its first list yet",
                    None => "pods cannot be selected: there is no API server to watch",
                }));
            }
            return Ok(Selected::Pods(self.pods.select(namespace, selector)));
        }
        let Some(others) = &self.others else {
            let resource = kind.group_resource();
            return Err(ApiError::unavailable(format!(
                "{resource} cannot be selected: there is no API server to watch"
            )));
        };
        let found = others.select(kind, namespace, selector).await;
        found
            .map(Selected::Others)
            .map_err(|e| ApiError::unavailable(e.to_string()))
    }
}
