//! Objects of kinds other than pods, by selector: one metadata watch per kind, while somebody asks.

use crate::label_index::{Indexed, LabelIndex};
use crate::mapper::MappedResource;
use crate::pairs::Pairs;
use crate::selector::Selector;
use crate::watch::{self, WatchReport, WatchStatus};
use futures::StreamExt;
use hashbrown::HashMap;
use kube::api::{ApiResource, DynamicObject, PartialObjectMeta};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use parking_lot::{Mutex, RwLock};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// What the API server sends of an object when only its metadata is asked for.
type Metadata = PartialObjectMeta<DynamicObject>;

/// An object, trimmed to what selects it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Empty for kinds without namespaces.
    pub namespace: Box<str>,
    /// `metadata.name`.
    pub name: Box<str>,
    /// `metadata.uid`.
    pub uid: Box<str>,
    /// `metadata.labels`.
    pub labels: Pairs,
}

impl Indexed for Object {
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

impl From<Metadata> for Object {
    fn from(object: Metadata) -> Self {
        let m = object.metadata;
        Self {
            namespace: m.namespace.unwrap_or_default().into(),
            name: m.name.unwrap_or_default().into(),
            uid: m.uid.unwrap_or_default().into(),
            labels: m.labels.map(Pairs::from).unwrap_or_default(),
        }
    }
}

/// Why objects could not be told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// Their first complete list has not arrived.
    #[error("the watch of {resource} has not synced{}", reason.as_ref().map(|r| format!(": {r}")).unwrap_or_default())]
    NotSynced {
        /// Which objects.
        resource: String,
        /// The watch's last failure.
        reason: Option<String>,
    },
    /// Too many kinds are watched already.
    #[error("{resource} cannot be watched: {MAX_KINDS} kinds are watched already")]
    TooManyKinds {
        /// Which objects.
        resource: String,
    },
}

/// How long a question waits for a kind's first list: less than any request may take, so that its asker hears what is
/// missing and not that time is up.
const FIRST_LIST: Duration = Duration::from_millis(1_500);
/// A kind nobody asked about for so long is no longer watched. An HPA asks every 15 s.
const UNUSED: Duration = Duration::from_secs(600);
/// Rules name the kinds, so this many are a mistake.
const MAX_KINDS: usize = 64;

struct KindWatch {
    index: RwLock<LabelIndex<Object>>,
    status: Arc<WatchStatus>,
    synced: tokio::sync::watch::Sender<bool>,
    used: Mutex<Instant>,
    stop: CancellationToken,
}

/// Metadata watches by kind.
pub struct ObjectWatches {
    client: Client,
    kinds: Mutex<HashMap<MappedResource, Arc<KindWatch>>>,
    all: CancellationToken,
}

impl Drop for ObjectWatches {
    fn drop(&mut self) {
        self.all.cancel();
    }
}

impl ObjectWatches {
    pub(crate) fn new(client: Client) -> Arc<Self> {
        Arc::new(Self {
            client,
            kinds: Mutex::default(),
            all: CancellationToken::new(),
        })
    }

    /// The objects of `resource` in `namespace` (`None`: all, or a kind without namespaces) that match `selector`,
    /// sorted by namespace and name. The first question about a kind starts its watch and waits for the list, up to 1.5 s
    /// and no longer than until the watch fails.
    ///
    /// # Errors
    /// [`LookupError`].
    pub async fn select(
        &self,
        resource: &MappedResource,
        namespace: Option<&str>,
        selector: &Selector,
    ) -> Result<Vec<Arc<Object>>, LookupError> {
        let kind = self.kind(resource)?;
        *kind.used.lock() = Instant::now();
        let mut synced = kind.synced.subscribe();
        // The sender lives in `kind`: only the list, a failure or the time limit end the waiting.
        let arrived = tokio::select! {
            biased;
            _ = synced.wait_for(|s| *s) => true,
            () = kind.status.failing() => false,
            () = tokio::time::sleep(FIRST_LIST) => false,
        };
        if !arrived {
            return Err(LookupError::NotSynced {
                resource: resource.group_resource(),
                reason: kind.status.report().last_error,
            });
        }
        Ok(kind.index.read().select(namespace, selector))
    }

    fn kind(&self, resource: &MappedResource) -> Result<Arc<KindWatch>, LookupError> {
        let mut kinds = self.kinds.lock();
        if let Some(kind) = kinds.get(resource) {
            return Ok(Arc::clone(kind));
        }
        if kinds.len() >= MAX_KINDS {
            return Err(LookupError::TooManyKinds {
                resource: resource.group_resource(),
            });
        }
        let kind = Arc::new(KindWatch {
            index: RwLock::default(),
            status: WatchStatus::new(resource.group_resource()),
            synced: tokio::sync::watch::Sender::new(false),
            used: Mutex::new(Instant::now()),
            stop: self.all.child_token(),
        });
        kinds.insert(resource.clone(), Arc::clone(&kind));
        tokio::spawn(follow(self.client.clone(), resource.clone(), Arc::clone(&kind)));
        Ok(kind)
    }

    pub(crate) fn stats(&self) -> Vec<WatchReport> {
        let mut reports: Vec<_> = self.kinds.lock().values().map(|k| k.status.report()).collect();
        reports.sort_by(|a, b| a.name.cmp(&b.name));
        reports
    }

    /// Ends watches that nobody uses, until `cancel` ends them all.
    pub(crate) async fn run(&self, cancel: CancellationToken) {
        loop {
            tokio::select! {
                () = cancel.cancelled() => return self.all.cancel(),
                () = tokio::time::sleep(UNUSED / 10) => self.expire(),
            }
        }
    }

    fn expire(&self) {
        self.kinds.lock().retain(|resource, kind| {
            let keep = kind.used.lock().elapsed() < UNUSED;
            if !keep {
                tracing::info!(
                    resource = resource.group_resource(),
                    "nobody asks any more, the watch ends"
                );
                kind.stop.cancel();
            }
            keep
        });
    }
}

async fn follow(client: Client, resource: MappedResource, kind: Arc<KindWatch>) {
    let description = ApiResource {
        group: resource.group.clone(),
        version: resource.version.clone(),
        api_version: resource.api_version(),
        kind: resource.kind.clone(),
        plural: resource.plural.clone(),
    };
    let start = |config| watcher(Api::<Metadata>::all_with(client.clone(), &description), config).boxed();
    let mut listing: Option<LabelIndex<Object>> = None;
    let sink = |event: Event<Metadata>| match event {
        Event::Init => listing = Some(LabelIndex::default()),
        Event::InitApply(object) => {
            listing.get_or_insert_default().put(&Arc::new(object.into()));
        }
        Event::InitDone => {
            *kind.index.write() = listing.take().unwrap_or_default();
            kind.status.complete();
            kind.synced.send_replace(true);
        }
        Event::Apply(object) => {
            kind.index.write().put(&Arc::new(object.into()));
        }
        Event::Delete(object) => {
            let object = Object::from(object);
            kind.index.write().remove(&object.namespace, &object.name);
        }
    };
    watch::drive(&kind.status, watcher::Config::default(), start, sink, kind.stop.clone()).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Answer, api_server};
    use crate::mapper::Mapper;

    /// What the first question about ingresses gets from an API server that answers like this, and how long it took.
    async fn first(answer: Answer) -> (Result<usize, String>, Duration) {
        let watches = ObjectWatches::new(api_server(move |_| answer));
        let ingresses = Mapper::new(None).known("ingress").unwrap();
        let begun = Instant::now();
        let selected = watches.select(&ingresses, None, &Selector::default()).await;
        let result = selected.map(|objects| objects.len()).map_err(|e| e.to_string());
        (result, begun.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_is_forbidden_is_told_at_once_with_the_reason() {
        let body = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","message":"ingresses is forbidden: no","reason":"Forbidden","code":403}"#;
        let (result, took) = first(Answer::Status(403, body)).await;
        let why = result.unwrap_err();
        assert!(
            why.starts_with("the watch of ingresses.networking.k8s.io has not synced: ")
                && why.contains("is forbidden: no"),
            "{why}"
        );
        assert_eq!(took, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_that_does_not_come_is_waited_for_less_than_a_request_may_take() {
        let (result, took) = first(Answer::Never).await;
        assert_eq!(
            result,
            Err("the watch of ingresses.networking.k8s.io has not synced".to_owned())
        );
        assert_eq!(took, Duration::from_millis(1_500));
    }
}
