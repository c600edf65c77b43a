//! From the name of a resource to what it is (a RESTMapper): `ingresses.networking.k8s.io`, `pod`, `Deployment`.

use crate::kinds::everywhere;
use crate::watch::describe;
use futures::future::{BoxFuture, Shared};
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use hashbrown::{HashMap, HashSet};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{APIGroup, APIGroupList, APIResource};
use kube::Client;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

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

/// Maps names of resources. Starts with those every cluster has, learns the rest from the API server's discovery
/// ([`Mapper::run`]), and asks again on a miss, at most every [`REFRESH_EVERY`].
pub struct Mapper {
    client: Option<Client>,
    names: watch::Sender<Arc<Names>>,
    asking: Mutex<Asking>,
}

/// Where the asking of the API server is. It is asked once at a time, in a task of its own: what it answers is kept also
/// when whoever asked has gone.
#[derive(Default)]
struct Asking {
    /// When it was last done, and with what outcome.
    last: Option<(Instant, Outcome)>,
    flight: Option<Flight>,
}

type Outcome = Result<(), String>;

/// An asking that any number of questions wait for.
type Flight = Shared<BoxFuture<'static, Outcome>>;

/// How often the API server is asked at most.
const REFRESH_EVERY: Duration = Duration::from_secs(30);

/// How often the API server is asked though nobody misses a name.
const LEARN_EVERY: Duration = Duration::from_secs(300);

/// What these groups list are metrics, ours among them, and no kinds of objects.
const METRICS: [&str; 2] = ["custom.metrics.k8s.io", "external.metrics.k8s.io"];

/// How long a question waits for what the API server answers: less than any request may take, so that its asker hears what
/// is missing and not that time is up.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// Lower-case name (plural, singular or kind; bare or with `.group`) to resource.
type Names = HashMap<String, Arc<MappedResource>>;

/// Tells when a mapper has learned something.
#[derive(Debug)]
pub struct Lessons(watch::Receiver<Arc<Names>>);

impl Lessons {
    /// Resolves after the next lesson; never once the mapper is gone.
    pub async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

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

impl Mapper {
    /// A mapper that asks `client` for what it does not know; without one it knows what every cluster has.
    #[must_use]
    pub fn new(client: Option<Client>) -> Arc<Self> {
        Arc::new(Self {
            client,
            names: watch::Sender::new(Arc::new(names(everywhere()))),
            asking: Mutex::default(),
        })
    }

    /// What is known of `name` without asking: a plural, singular or kind in any case, bare or followed by `.group`.
    #[must_use]
    pub fn known(&self, name: &str) -> Option<Arc<MappedResource>> {
        self.names.borrow().get(&name.to_lowercase()).cloned()
    }

    /// The plurals of what is known, without their groups, sorted.
    #[must_use]
    pub fn plurals(&self) -> Vec<String> {
        let names = self.names.borrow();
        let mut plurals: Vec<String> = names.values().map(|resource| resource.plural.clone()).collect();
        plurals.sort_unstable();
        plurals.dedup();
        plurals
    }

    /// Tells of every answer of the API server from now on.
    #[must_use]
    pub fn lessons(&self) -> Lessons {
        Lessons(self.names.subscribe())
    }

    /// Asks the API server at once and every five minutes, every half minute while it does not answer, until `cancel`: so
    /// that what a configuration names is known before somebody asks for it.
    pub async fn run(self: &Arc<Self>, cancel: CancellationToken) {
        let work = async {
            loop {
                let pause = match self.refresh().await {
                    Ok(()) => LEARN_EVERY,
                    Err(error) => {
                        tracing::warn!(error, "the API server's resources are not known yet");
                        REFRESH_EVERY
                    }
                };
                tokio::time::sleep(pause).await;
            }
        };
        tokio::select! { () = cancel.cancelled() => {}, () = work => {} }
    }

    /// Resolves `name` as [`Self::known`] does, asking the API server's discovery where it is not known. Waits no longer
    /// than until the name is known or 1.5 s went by.
    ///
    /// # Errors
    /// [`MapError`].
    pub async fn resolve(self: &Arc<Self>, name: &str) -> Result<Arc<MappedResource>, MapError> {
        if let Some(known) = self.known(name) {
            return Ok(known);
        }
        let (mut names, lower) = (self.names.subscribe(), name.to_lowercase());
        let outcome = tokio::select! {
            biased;
            // The sender lives in `self`.
            _ = names.wait_for(|names| names.contains_key(&lower)) => Ok(()),
            outcome = self.refresh() => outcome,
            () = tokio::time::sleep(PATIENCE) => Err("its discovery takes long and goes on".to_owned()),
        };
        match (self.known(name), outcome) {
            (Some(known), _) => Ok(known),
            (None, Ok(())) => Err(MapError::Unknown(name.to_owned())),
            (None, Err(reason)) => Err(MapError::Unavailable {
                name: name.to_owned(),
                reason,
            }),
        }
    }

    async fn refresh(self: &Arc<Self>) -> Outcome {
        let Some(client) = self.client.clone() else {
            return Err("there is no API server".to_owned());
        };
        let flight = {
            let mut asking = self.asking.lock();
            if let Some((when, outcome)) = &asking.last
                && when.elapsed() < REFRESH_EVERY
            {
                return outcome.clone();
            }
            asking.flight.get_or_insert_with(|| self.take_off(client)).clone()
        };
        flight.await
    }

    fn take_off(self: &Arc<Self>, client: Client) -> Flight {
        let mapper = Arc::clone(self);
        let task = tokio::spawn(async move {
            let outcome = mapper.discover(&client).await.map_err(|error| describe(&*error));
            let mut asking = mapper.asking.lock();
            asking.last = Some((Instant::now(), outcome.clone()));
            asking.flight = None;
            outcome
        });
        task.map(|done| done.unwrap_or_else(|error| Err(error.to_string())))
            .boxed()
            .shared()
    }

    /// Learns every resource in its group's preferred version. The groups are asked all at once, and each is known as soon
    /// as it answers.
    async fn discover(&self, client: &Client) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let lists = async { tokio::try_join!(client.list_core_api_resources("v1"), client.list_api_groups()) };
        let (core, mut groups) = tokio::time::timeout(GROUP_TIMEOUT, lists).await??;
        groups.groups.retain(|group| !METRICS.contains(&group.name.as_str()));
        let mut found = Found::new(Arc::clone(&self.names.borrow()), &groups);
        found.add(0, mapped("", "v1", core.resources).collect());
        self.names.send_replace(found.names());
        let mut answers: FuturesUnordered<_> = (1..)
            .zip(groups.groups)
            .map(|(place, group)| async move { (place, ask_group(client, group).await) })
            .collect();
        while let Some((place, resources)) = answers.next().await {
            found.add(place, resources);
            self.names.send_replace(found.names());
        }
        Ok(())
    }
}

/// What the API server has told so far.
struct Found {
    /// In the server's order, core first; absent what has not answered, empty what failed.
    groups: Vec<(String, Option<Vec<MappedResource>>)>,
    /// What was known before: it stands for groups that the server has and that do not answer, and for the bare names of
    /// those behind them.
    before: Arc<Names>,
}

impl Found {
    fn new(before: Arc<Names>, list: &APIGroupList) -> Self {
        let core = std::iter::once(String::new());
        let groups = core.chain(list.groups.iter().map(|group| group.name.clone()));
        Self {
            groups: groups.map(|group| (group, None)).collect(),
            before,
        }
    }

    fn add(&mut self, place: usize, resources: Vec<MappedResource>) {
        if let Some((_, told)) = self.groups.get_mut(place) {
            *told = Some(resources);
        }
    }

    /// A bare name belongs to the first group that has it, so those of a group are told once all before it have answered.
    fn names(&self) -> Arc<Names> {
        let settled = self.groups.iter().map_while(|(_, told)| told.as_ref()).flatten();
        let mut names = names(settled.cloned().chain(everywhere()));
        let told = self.groups.iter().filter_map(|(_, told)| told.as_ref()).flatten();
        for resource in told {
            let resource = Arc::new(resource.clone());
            for name in with_group(&resource) {
                names.entry(name).or_insert_with(|| Arc::clone(&resource));
            }
        }
        let mut settled = true;
        let mut stands: HashSet<&str> = HashSet::new();
        for (group, told) in &self.groups {
            settled &= told.is_some();
            if !settled || told.as_ref().is_none_or(Vec::is_empty) {
                stands.insert(group);
            }
        }
        for (name, resource) in self.before.iter().filter(|(_, r)| stands.contains(r.group.as_str())) {
            names.entry(name.clone()).or_insert_with(|| Arc::clone(resource));
        }
        Arc::new(names)
    }
}

/// The names of a resource with its group.
fn with_group(resource: &MappedResource) -> [String; 3] {
    [&resource.plural, &resource.singular, &resource.kind]
        .map(|name| format!("{}.{}", name.to_lowercase(), resource.group))
}

/// How long one answer is waited for. The API server asks an aggregated API itself, and one that hangs must not keep the
/// others from being known.
const GROUP_TIMEOUT: Duration = Duration::from_secs(5);

/// The resources of a group in its preferred version; none when it fails.
async fn ask_group(client: &Client, group: APIGroup) -> Vec<MappedResource> {
    let Some(version) = group.preferred_version.or_else(|| group.versions.first().cloned()) else {
        return Vec::new();
    };
    let answer = tokio::time::timeout(GROUP_TIMEOUT, client.list_api_group_resources(&version.group_version)).await;
    let error = match answer {
        Ok(Ok(list)) => return mapped(&group.name, &version.version, list.resources).collect(),
        Ok(Err(error)) => describe(&error),
        Err(_) => "no answer in time".to_owned(),
    };
    tracing::warn!(group = group.name, error, "discovery of an API group failed");
    Vec::new()
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
    use crate::fixture::{Answer, api_server};
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    const NO_CORE: &str = r#"{"kind":"APIResourceList","groupVersion":"v1","resources":[]}"#;
    const GROUPS: &str = r#"{"kind":"APIGroupList","groups":[
        {"name":"hangs.example","versions":[{"groupVersion":"hangs.example/v1","version":"v1"}]},
        {"name":"widgets.example","versions":[{"groupVersion":"widgets.example/v1","version":"v1"}]}]}"#;
    const WIDGETS: &str = r#"{"kind":"APIResourceList","groupVersion":"widgets.example/v1","resources":[
        {"name":"widgets","singularName":"widget","kind":"Widget","namespaced":true,"verbs":["list"]}]}"#;

    fn hanging(path: &str) -> Answer {
        match path {
            "/api/v1" => Answer::Status(200, NO_CORE),
            "/apis" => Answer::Status(200, GROUPS),
            "/apis/widgets.example/v1" => Answer::Status(200, WIDGETS),
            _ => Answer::Never,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_group_that_hangs_keeps_no_other_from_being_known() {
        let mapper = Mapper::new(Some(api_server(hanging)));
        let begun = Instant::now();
        let found = mapper.resolve("widget.widgets.example").await.unwrap();
        assert_eq!(found.group_resource(), "widgets.widgets.example");
        assert_eq!(begun.elapsed(), Duration::ZERO);
        let unknown = mapper.resolve("widget").await.unwrap_err();
        assert!(matches!(unknown, MapError::Unavailable { .. }), "{unknown}");
        assert_eq!(begun.elapsed(), PATIENCE, "it is told before a request is cut");
        tokio::time::sleep(GROUP_TIMEOUT).await;
        assert_eq!(mapper.resolve("widget").await, Ok(found), "no group before has it");
        let unknown = mapper.resolve("gadget").await.unwrap_err();
        assert_eq!(unknown, MapError::Unknown("gadget".to_owned()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_bare_name_that_was_known_stays_known_while_a_group_before_hangs() {
        let hangs = Arc::new(AtomicUsize::new(0));
        let phase = Arc::clone(&hangs);
        let mapper = Mapper::new(Some(api_server(move |path| match hanging(path) {
            Answer::Never if phase.load(Relaxed) == 0 => Answer::Status(503, "{}"),
            answer => answer,
        })));
        let found = mapper.resolve("widget").await.unwrap();
        hangs.store(1, Relaxed);
        tokio::time::sleep(REFRESH_EVERY).await;
        let unknown = mapper.resolve("gadget").await.unwrap_err();
        assert!(matches!(unknown, MapError::Unavailable { .. }), "{unknown}");
        assert_eq!(mapper.known("widget"), Some(found));
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_server_answers_is_kept_when_whoever_asked_has_gone_and_it_is_asked_once() {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        let mapper = Mapper::new(Some(api_server(move |path| {
            log.lock().push(path.to_owned());
            hanging(path)
        })));
        for _ in 0..2 {
            let question = tokio::time::timeout(Duration::ZERO, mapper.resolve("widget.widgets.example"));
            assert!(question.await.is_err(), "its asker has gone");
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert!(mapper.known("widget.widgets.example").is_some());
        assert_eq!(asked.lock().iter().filter(|path| *path == "/apis").count(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_asked_for_is_learned_at_the_start_and_a_new_kind_soon_after_it_is_there() {
        let there = Arc::new(AtomicUsize::new(0));
        let installed = Arc::clone(&there);
        let mapper = Mapper::new(Some(api_server(move |path| match installed.load(Relaxed) {
            0 => Answer::Status(503, "{}"),
            1 if path == "/apis" => Answer::Status(200, r#"{"kind":"APIGroupList","groups":[]}"#),
            _ => hanging(path),
        })));
        let cancel = CancellationToken::new();
        let (running, stop) = (Arc::clone(&mapper), cancel.clone());
        let run = tokio::spawn(async move { running.run(stop).await });
        let mut lessons = mapper.lessons();
        let begun = Instant::now();
        tokio::time::sleep(Duration::from_secs(1)).await;
        there.store(1, Relaxed);
        lessons.next().await;
        assert_eq!(begun.elapsed(), REFRESH_EVERY, "it did not answer at first");
        assert!(mapper.known("widgets.widgets.example").is_none());
        there.store(2, Relaxed);
        while mapper.known("widgets.widgets.example").is_none() {
            lessons.next().await;
        }
        assert_eq!(begun.elapsed(), REFRESH_EVERY + LEARN_EVERY);
        cancel.cancel();
        run.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn metrics_are_no_kinds() {
        let mapper = Mapper::new(Some(api_server(|path| match path {
            "/api/v1" => Answer::Status(200, NO_CORE),
            "/apis" => Answer::Status(
                200,
                r#"{"kind":"APIGroupList","groups":[{"name":"external.metrics.k8s.io",
                    "versions":[{"groupVersion":"external.metrics.k8s.io/v1beta1","version":"v1beta1"}]}]}"#,
            ),
            _ => Answer::Status(
                200,
                r#"{"kind":"APIResourceList","groupVersion":"external.metrics.k8s.io/v1beta1","resources":[
                    {"name":"queue","singularName":"","kind":"ExternalMetricValueList","namespaced":true,"verbs":["get"]}]}"#,
            ),
        })));
        let unknown = mapper.resolve("queue").await.unwrap_err();
        assert_eq!(unknown, MapError::Unknown("queue".to_owned()));
    }

    #[test]
    fn a_group_that_does_not_answer_stays_as_it_was_known() {
        let widget = |version: &str| MappedResource {
            group: "widgets.example".into(),
            version: version.into(),
            plural: "widgets".into(),
            singular: "widget".into(),
            kind: "Widget".into(),
            namespaced: true,
        };
        let list = |names: &[&str]| APIGroupList {
            groups: names
                .iter()
                .map(|name| APIGroup {
                    name: (*name).to_owned(),
                    ..APIGroup::default()
                })
                .collect(),
        };
        let before = Arc::new(names([widget("v1")]));
        let version = |found: &Found| found.names().get("widget").map(|w| w.version.clone());
        let mut found = Found::new(Arc::clone(&before), &list(&["widgets.example"]));
        assert_eq!(version(&found).as_deref(), Some("v1"));
        found.add(1, Vec::new());
        assert_eq!(version(&found).as_deref(), Some("v1"), "it failed");
        found.add(0, Vec::new());
        found.add(1, vec![widget("v2")]);
        assert_eq!(version(&found).as_deref(), Some("v2"));
        let gone = Found::new(before, &list(&["others.example"]));
        assert_eq!(version(&gone), None, "the server has the group no more");
    }

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
