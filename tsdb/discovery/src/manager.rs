//! Runs the discoveries of all jobs and publishes what they found.

use crate::config::{Discoveries, FileConfig, KubernetesConfig, StaticConfig};
use crate::file::Files;
use crate::fixed;
use crate::kubernetes::Pods;
use leadline_cluster::{Cluster, PodStore};
use leadline_model::discovery::{GroupJob, JOB, Missing};
use leadline_model::target::TargetGroup;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use tokio_util::sync::CancellationToken;

/// What was discovered for every job.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Whether jobs were put in force at all ([`Manager::apply`]): before that there are none, and nothing is known.
    pub configured: bool,
    /// By job name. A job that did not change since the last snapshot is the same allocation.
    pub jobs: BTreeMap<Arc<str>, Arc<JobTargets>>,
}

impl Snapshot {
    /// Whether jobs are in force and every discovery of each has told its first full list.
    #[must_use]
    pub fn synced(&self) -> bool {
        self.configured && self.jobs.values().all(|job| job.synced())
    }
}

/// What was discovered for one job.
#[derive(Debug, Clone, Default)]
pub struct JobTargets {
    /// The groups; each source once. A group that did not change is the same allocation.
    pub groups: Vec<Arc<TargetGroup>>,
    /// What is not known, until every discovery of the job has told its first full list.
    pub missing: Option<Missing>,
}

impl JobTargets {
    /// Whether every discovery of the job has told its first full list.
    #[must_use]
    pub fn synced(&self) -> bool {
        self.missing.is_none()
    }
}

/// How one discovery goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiscoveryReport {
    /// The job.
    pub job: Arc<str>,
    /// `static`, `file` or `kubernetes`, and its place in the list: `file/0`.
    pub discovery: String,
    /// Whether the first full list was told.
    pub synced: bool,
    /// How many groups there are.
    pub groups: usize,
    /// What went wrong last, while it is wrong.
    pub error: Option<String>,
}

/// Where pods come from.
#[derive(Debug, Clone)]
pub enum PodSource {
    /// There is no API server; `kubernetes_sd_configs` find nothing and say so.
    None,
    /// A cluster; its pods are watched from the first `kubernetes_sd_configs` on.
    Cluster(Arc<Cluster>),
    /// A store that somebody else fills.
    Store {
        /// The pods.
        pods: Arc<PodStore>,
        /// The namespace this process counts itself to.
        namespace: String,
    },
}

/// The configuration of one discovery.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Provider {
    Fixed(Vec<StaticConfig>),
    File(FileConfig),
    Kubernetes(KubernetesConfig),
}

#[derive(Debug)]
struct Found {
    groups: Vec<Arc<TargetGroup>>,
    synced: bool,
    error: Option<String>,
    /// What the groups that are still to come may say in the label `job`.
    says: GroupJob,
}

/// What a discovery tells.
#[derive(Debug)]
pub(crate) struct Told {
    /// All groups there are now, where that may be others than were told last.
    pub(crate) groups: Option<Vec<Arc<TargetGroup>>>,
    /// Whether they are all that there should be. Those are not that are read while a file of others is broken: then the first
    /// full list is still to come.
    pub(crate) whole: bool,
    /// What is wrong now, if anything is.
    pub(crate) error: Option<String>,
    /// What groups that are not told may say in the label `job`.
    pub(crate) says: GroupJob,
}

/// A running discovery.
struct Slot {
    name: String,
    provider: Provider,
    found: Arc<Mutex<Found>>,
    stop: CancellationToken,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Runs the discoveries of all jobs.
pub struct Manager {
    pods: PodSource,
    jobs: Mutex<BTreeMap<Arc<str>, Vec<Slot>>>,
    out: tokio::sync::watch::Sender<Arc<Snapshot>>,
    root: CancellationToken,
}

/// Through which a discovery tells what it found.
#[derive(Clone)]
pub(crate) struct Publisher {
    manager: Weak<Manager>,
    job: Arc<str>,
    name: String,
    found: Arc<Mutex<Found>>,
}

impl Publisher {
    /// Takes in what a discovery tells, and passes it on where it says more than before: what is wrong is of interest to who
    /// waits for the first full list.
    pub(crate) fn tell(&self, told: Told) {
        {
            let mut found = self.found.lock();
            let before = (found.synced, found.error.clone(), found.says);
            let mut changed = false;
            if let Some(groups) = told.groups {
                found.synced |= told.whole;
                changed = !same_groups(&found.groups, &groups);
                found.groups = groups;
            }
            (found.error, found.says) = (told.error, told.says);
            changed |= found.synced != before.0;
            changed |= !found.synced && (&found.error, found.says) != (&before.1, before.2);
            if !changed {
                return;
            }
        }
        if let Some(manager) = self.manager.upgrade() {
            manager.publish(&self.job);
        }
    }

    /// As [`Self::tell`], and logs an error that was not told before.
    pub(crate) fn tell_and_log(&self, told: Told) {
        if let Some(error) = told
            .error
            .as_ref()
            .filter(|e| self.found.lock().error.as_ref() != Some(e))
        {
            tracing::warn!(
                job = &*self.job,
                discovery = self.name,
                error,
                "discovery failed, the last targets stay"
            );
        }
        self.tell(told);
    }
}

fn same_groups(a: &[Arc<TargetGroup>], b: &[Arc<TargetGroup>]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| Arc::ptr_eq(a, b) || a == b)
}

impl Manager {
    /// A manager without jobs.
    #[must_use]
    pub fn new(pods: PodSource) -> Arc<Self> {
        Arc::new(Self {
            pods,
            jobs: Mutex::default(),
            out: tokio::sync::watch::Sender::new(Arc::default()),
            root: CancellationToken::new(),
        })
    }

    /// What was discovered, now and from now on.
    #[must_use]
    pub fn subscribe(&self) -> tokio::sync::watch::Receiver<Arc<Snapshot>> {
        self.out.subscribe()
    }

    /// How every discovery goes.
    #[must_use]
    pub fn status(&self) -> Vec<DiscoveryReport> {
        let report = |job: &Arc<str>, slot: &Slot| {
            let watch = matches!(slot.provider, Provider::Kubernetes(_)).then(|| self.pods_error());
            let found = slot.found.lock();
            DiscoveryReport {
                job: Arc::clone(job),
                discovery: slot.name.clone(),
                synced: found.synced,
                groups: found.groups.len(),
                error: watch.flatten().or(found.error.clone()),
            }
        };
        self.jobs
            .lock()
            .iter()
            .flat_map(|(job, slots)| slots.iter().map(|s| report(job, s)).collect::<Vec<_>>())
            .collect()
    }

    /// Why no pods come, while none do. The watch is asked, because it wakes nobody when it fails or goes on.
    fn pods_error(&self) -> Option<String> {
        match &self.pods {
            PodSource::None => None,
            PodSource::Cluster(cluster) => cluster.pods().stats().last_error,
            PodSource::Store { pods, .. } => pods.stats().last_error,
        }
    }

    /// Puts `jobs` in the place of what ran before. Discoveries that did not change go on; one that changed keeps its
    /// last targets until the new one has told its first, so that a reload drops nothing for a moment.
    ///
    /// Has to be called within a tokio runtime.
    pub fn apply(self: &Arc<Self>, jobs: Vec<(Arc<str>, Discoveries)>) {
        let mut running = self.jobs.lock();
        let mut before = std::mem::take(&mut *running);
        for (job, discoveries) in jobs {
            let mut old = before.remove(&job).unwrap_or_default();
            let slots = providers(discoveries).into_iter().map(|(name, provider)| {
                let same = old
                    .iter()
                    .position(|slot| slot.name == name)
                    .map(|at| old.swap_remove(at));
                match same {
                    Some(slot) if slot.provider == provider => slot,
                    other => self.start(&job, name, provider, other.as_ref()),
                }
            });
            let slots = slots.collect();
            running.insert(job, slots);
        }
        drop(before);
        let jobs = running
            .iter()
            .map(|(job, slots)| (Arc::clone(job), Arc::new(collect(slots))))
            .collect();
        self.out.send_replace(Arc::new(Snapshot { configured: true, jobs }));
    }

    /// Keeps the discoveries going until `cancel`, then ends them.
    pub async fn run(&self, cancel: CancellationToken) {
        cancel.cancelled().await;
        self.root.cancel();
    }

    fn start(self: &Arc<Self>, job: &Arc<str>, name: String, provider: Provider, before: Option<&Slot>) -> Slot {
        let groups = before.map(|slot| slot.found.lock().groups.clone()).unwrap_or_default();
        let found = Arc::new(Mutex::new(Found {
            groups: groups.clone(),
            synced: false,
            error: None,
            says: match &provider {
                Provider::Kubernetes(_) => GroupJob::Nothing,
                Provider::Fixed(_) | Provider::File(_) => GroupJob::Anything,
            },
        }));
        let stop = self.root.child_token();
        let publisher = Publisher {
            manager: Arc::downgrade(self),
            job: Arc::clone(job),
            name: name.clone(),
            found: Arc::clone(&found),
        };
        let prefix = format!("{name}/");
        match &provider {
            Provider::Fixed(configs) => {
                let group = |(i, config)| Arc::new(fixed::group(format!("{prefix}{i}"), config, &[]));
                let groups = configs.iter().enumerate().map(group).collect();
                let mut found = found.lock();
                (found.groups, found.synced) = (groups, true);
            }
            Provider::File(config) => {
                tokio::spawn(Files::new(config.clone(), prefix, groups).run(publisher, stop.clone()));
            }
            Provider::Kubernetes(config) => self.start_pods(config, prefix, publisher, &stop),
        }
        Slot {
            name,
            provider,
            found,
            stop,
        }
    }

    fn start_pods(&self, config: &KubernetesConfig, prefix: String, publisher: Publisher, stop: &CancellationToken) {
        let (store, namespace) = match &self.pods {
            // What there can never be is known in full: no pods. Other jobs must not wait for it.
            PodSource::None => {
                let error = "there is no API server: neither a kubeconfig nor a pod's service account";
                tracing::warn!(
                    job = &*publisher.job,
                    discovery = publisher.name,
                    error,
                    "discovery failed"
                );
                let mut found = publisher.found.lock();
                (found.groups, found.synced, found.error) = (Vec::new(), true, Some(error.to_owned()));
                return;
            }
            PodSource::Cluster(cluster) => (cluster.pods(), cluster.namespace().to_owned()),
            PodSource::Store { pods, namespace } => (Arc::clone(pods), namespace.clone()),
        };
        let pods = Pods::new(config.clone(), store, &namespace, prefix);
        tokio::spawn(pods.run(publisher, stop.clone()));
    }

    fn publish(&self, job: &Arc<str>) {
        let running = self.jobs.lock();
        let Some(slots) = running.get(job) else { return };
        let targets = Arc::new(collect(slots));
        // Under the lock, so that an older collection never replaces a newer one.
        self.out.send_modify(|snapshot| {
            Arc::make_mut(snapshot).jobs.insert(Arc::clone(job), targets);
        });
    }
}

fn providers(discoveries: Discoveries) -> Vec<(String, Provider)> {
    let Discoveries {
        fixed,
        file,
        kubernetes,
    } = discoveries;
    let mut providers = Vec::new();
    if !fixed.is_empty() {
        providers.push(("static".to_owned(), Provider::Fixed(fixed)));
    }
    providers.extend(
        file.into_iter()
            .enumerate()
            .map(|(i, c)| (format!("file/{i}"), Provider::File(c))),
    );
    let kubernetes = kubernetes.into_iter().enumerate();
    providers.extend(kubernetes.map(|(i, c)| (format!("kubernetes/{i}"), Provider::Kubernetes(c))));
    providers
}

fn collect(slots: &[Slot]) -> JobTargets {
    let mut targets = JobTargets::default();
    for slot in slots {
        let found = slot.found.lock();
        targets.groups.extend(found.groups.iter().cloned());
        if found.synced {
            continue;
        }
        let why = found.error.as_ref().map(|error| format!("{}: {error}", slot.name));
        let before = targets.missing.take();
        targets.missing = Some(Missing {
            says: before.as_ref().map_or(found.says, |before| before.says.max(found.says)),
            why: before.and_then(|before| before.why).or(why),
        });
    }
    if let Some(missing) = targets.missing.as_mut().filter(|m| m.says == GroupJob::Unseen)
        && targets.groups.iter().any(|group| says_job(group))
    {
        missing.says = GroupJob::Anything;
    }
    targets
}

/// Whether a group says whose job its targets are: its neighbours may then, too.
fn says_job(group: &TargetGroup) -> bool {
    group.labels.get(JOB).is_some() || group.targets.iter().any(|target| target.get(JOB).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use leadline_cluster::{Container, Pod};

    fn fixed(target: &str) -> Discoveries {
        let config = StaticConfig {
            targets: vec![target.to_owned()],
            labels: BTreeMap::new(),
        };
        Discoveries {
            fixed: vec![config],
            ..Discoveries::default()
        }
    }

    fn kubernetes(label: &str) -> Discoveries {
        let config = KubernetesConfig {
            namespaces: crate::config::Namespaces::default(),
            labels: leadline_cluster::Selector::parse(label).unwrap(),
            fields: crate::config::FieldSelector::default(),
            attach_job: false,
        };
        Discoveries {
            kubernetes: vec![config],
            ..Discoveries::default()
        }
    }

    fn pod(name: &str) -> Pod {
        Pod {
            namespace: "a".into(),
            name: name.into(),
            uid: name.into(),
            ip: Some(name.into()),
            containers: [Container::default()].into(),
            ..Pod::default()
        }
    }

    fn addresses(snapshot: &Snapshot, job: &str) -> Vec<String> {
        let groups = snapshot.jobs.get(job).map(|j| j.groups.clone()).unwrap_or_default();
        groups
            .iter()
            .flat_map(|g| g.targets.iter().map(|t| t.get(fixed::ADDRESS).unwrap_or("").to_owned()))
            .collect()
    }

    fn of_pods(store: &Arc<PodStore>) -> Arc<Manager> {
        Manager::new(PodSource::Store {
            pods: Arc::clone(store),
            namespace: "a".into(),
        })
    }

    #[tokio::test(start_paused = true)]
    async fn pods_that_come_and_go_are_published_once_the_store_is_synced() {
        let store = PodStore::new();
        let manager = of_pods(&store);
        manager.apply(vec![("k".into(), kubernetes("")), ("s".into(), fixed("x:1"))]);
        let mut out = manager.subscribe();
        assert!(!out.borrow().synced());
        assert_eq!(addresses(&out.borrow(), "s"), ["x:1"]);
        store.replace([pod("p1")]);
        let seen = out.wait_for(|s| s.synced()).await.unwrap().clone();
        assert_eq!(addresses(&seen, "k"), ["p1"]);
        store.apply(pod("p2"));
        out.wait_for(|s| addresses(s, "k") == ["p1", "p2"]).await.unwrap();
        store.remove("a", "p1");
        let after = out.wait_for(|s| addresses(s, "k") == ["p2"]).await.unwrap().clone();
        assert!(
            Arc::ptr_eq(&after.jobs["s"], &seen.jobs["s"]),
            "the other job was left alone"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_reload_leaves_what_is_equal_and_keeps_targets_until_the_new_discovery_has_told() {
        let store = PodStore::of([pod("p1")]);
        let manager = of_pods(&store);
        manager.apply(vec![
            ("k".into(), kubernetes("")),
            ("s".into(), fixed("x:1")),
            ("gone".into(), fixed("y:1")),
        ]);
        let mut out = manager.subscribe();
        let before = out.wait_for(|s| s.synced()).await.unwrap().clone();
        manager.apply(vec![("k".into(), kubernetes("!none")), ("s".into(), fixed("x:1"))]);
        let during = out.borrow_and_update().clone();
        assert!(!during.jobs.contains_key("gone") && !during.jobs["k"].synced());
        assert_eq!(addresses(&during, "k"), ["p1"]);
        assert!(Arc::ptr_eq(&during.jobs["s"].groups[0], &before.jobs["s"].groups[0]));
        out.wait_for(|s| s.synced() && addresses(s, "k") == ["p1"])
            .await
            .unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn the_status_of_pods_tells_why_the_watch_fails_while_it_does() {
        let store = PodStore::new();
        let manager = of_pods(&store);
        manager.apply(vec![("k".into(), kubernetes("")), ("s".into(), fixed("x:1"))]);
        let mut out = manager.subscribe();
        let status = || {
            let all = manager.status();
            assert_eq!(all[1].error, None, "the other discovery has nothing to do with it");
            (all[0].synced, all[0].groups, all[0].error.clone())
        };
        tokio::time::sleep(std::time::Duration::from_secs(10)).await;
        assert_eq!(status(), (false, 0, None));
        store.fail("pods is forbidden");
        assert_eq!(status(), (false, 0, Some("pods is forbidden".into())));
        store.replace([pod("p1")]);
        out.wait_for(|s| s.synced()).await.unwrap();
        assert_eq!(status(), (true, 1, None));
        store.fail("connection refused");
        assert_eq!(status(), (true, 1, Some("connection refused".into())));
    }

    #[tokio::test]
    async fn a_file_that_is_broken_at_the_start_is_no_full_list_and_the_others_count_meanwhile() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("good.json"), r#"[{"targets": ["x:1"]}]"#).unwrap();
        std::fs::write(dir.path().join("broken.json"), r#"[{"targets": ["y:1"]"#).unwrap();
        let config = FileConfig {
            files: vec![dir.path().join("*.json")],
            refresh_interval: leadline_model::duration::Duration::from_secs(300),
        };
        let manager = Manager::new(PodSource::None);
        let discoveries = Discoveries {
            file: vec![config],
            ..Discoveries::default()
        };
        manager.apply(vec![("f".into(), discoveries)]);
        let mut out = manager.subscribe();
        let first = out.wait_for(|s| addresses(s, "f") == ["x:1"]).await.unwrap().clone();
        let status = manager.status();
        assert!(!first.synced() && !status[0].synced, "{status:?}");
        assert!(
            status[0].error.as_ref().unwrap().contains("broken.json: "),
            "{status:?}"
        );
        std::fs::write(dir.path().join("broken.json"), r#"[{"targets": ["y:1"]}]"#).unwrap();
        let mended = out.wait_for(|s| s.synced()).await.unwrap().clone();
        assert_eq!(addresses(&mended, "f"), ["y:1", "x:1"]);
        // What breaks later leaves what was known in full.
        std::fs::write(dir.path().join("broken.json"), "[").unwrap();
        std::fs::write(dir.path().join("good.json"), r#"[{"targets": ["x:2"]}]"#).unwrap();
        let after = out.wait_for(|s| addresses(s, "f") == ["y:1", "x:2"]).await.unwrap();
        assert!(after.synced());
    }

    #[tokio::test]
    async fn what_is_wrong_with_a_job_is_published_until_it_is_known_in_full() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        write("good.json", r#"[{"targets": ["x:1"]}]"#);
        write("broken.json", r#"[{"targets": ["y:1",]}]"#);
        let config = |name: &str| FileConfig {
            files: vec![dir.path().join(name)],
            refresh_interval: leadline_model::duration::Duration::from_secs(300),
        };
        let store = PodStore::new();
        let manager = of_pods(&store);
        let both = Discoveries {
            file: vec![config("good.json"), config("broken.json")],
            ..Discoveries::default()
        };
        manager.apply(vec![
            ("f".into(), both),
            ("k".into(), kubernetes("")),
            ("s".into(), fixed("z:1")),
        ]);
        let mut out = manager.subscribe();
        let missing = |s: &Snapshot, job: &str| s.jobs[job].missing.as_ref().map(|m| (m.says, m.why.clone()));
        let first = out.borrow_and_update().clone();
        // Before a look nothing is known of files; pods never say a job.
        assert_eq!(missing(&first, "f"), Some((GroupJob::Anything, None)));
        assert_eq!(missing(&first, "k"), Some((GroupJob::Nothing, None)));
        assert_eq!(missing(&first, "s"), None);
        let told = |part: &'static str, says| {
            move |s: &Arc<Snapshot>| {
                let why = |m: &Missing| {
                    m.why
                        .as_ref()
                        .is_some_and(|w| w.starts_with("file/1: ") && w.contains(part))
                };
                let missing = s.jobs["f"].missing.as_ref();
                missing.is_some_and(|m| m.says == says && why(m))
            }
        };
        let seen = out
            .wait_for(told("broken.json: ", GroupJob::Unseen))
            .await
            .unwrap()
            .clone();
        assert_eq!(addresses(&seen, "f"), ["x:1"]);
        // A neighbour that says its job: then the broken one may, too.
        write("good.json", r#"[{"targets": ["x:1"], "labels": {"job": "other"}}]"#);
        out.wait_for(told("broken.json: ", GroupJob::Anything)).await.unwrap();
        store.fail("pods is forbidden");
        let forbidden = Some((GroupJob::Nothing, Some("kubernetes/0: pods is forbidden".to_owned())));
        out.wait_for(|s| missing(s, "k") == forbidden).await.unwrap();
        write("broken.json", r#"[{"targets": ["y:1"]}]"#);
        store.replace([pod("p1")]);
        let whole = out.wait_for(|s| s.synced()).await.unwrap();
        assert_eq!(addresses(&whole, "f"), ["x:1", "y:1"]);
    }

    #[tokio::test]
    async fn nothing_is_known_before_jobs_are_in_force_and_all_is_where_there_are_none() {
        let manager = Manager::new(PodSource::None);
        let out = manager.subscribe();
        assert!(!out.borrow().synced());
        manager.apply(Vec::new());
        assert!(out.borrow().synced());
    }

    #[tokio::test]
    async fn a_reload_while_a_file_is_broken_keeps_its_last_good_targets_until_it_is_mended() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        for (name, target) in [("a.json", "a:1"), ("b.json", "b:1"), ("c.json", "c:1")] {
            write(name, &format!(r#"[{{"targets": ["{target}"]}}]"#));
        }
        let jobs = |refresh| {
            let config = FileConfig {
                files: vec![dir.path().join("*.json")],
                refresh_interval: leadline_model::duration::Duration::from_secs(refresh),
            };
            let discoveries = Discoveries {
                file: vec![config],
                ..Discoveries::default()
            };
            vec![("f".into(), discoveries)]
        };
        let manager = Manager::new(PodSource::None);
        manager.apply(jobs(300));
        let mut out = manager.subscribe();
        out.wait_for(|s| s.synced()).await.unwrap();
        write("a.json", r#"[{"targets": ["a:2"]}]"#);
        write("b.json", r#"[{"targets": ["b:1""#);
        std::fs::remove_file(dir.path().join("c.json")).unwrap();
        // Twice: what was carried over once is carried over again.
        for refresh in [200, 100] {
            manager.apply(jobs(refresh));
            while manager.status()[0].error.is_none() {
                tokio::task::yield_now().await;
            }
            let seen = out.wait_for(|s| addresses(s, "f").contains(&"a:2".to_owned())).await;
            assert_eq!(addresses(&seen.unwrap(), "f"), ["a:2", "b:1"], "{refresh}");
        }
        write("b.json", r#"[{"targets": ["b:2"]}]"#);
        let mended = out.wait_for(|s| s.synced()).await.unwrap();
        assert_eq!(addresses(&mended, "f"), ["a:2", "b:2"]);
    }

    #[tokio::test]
    async fn without_an_api_server_kubernetes_finds_nothing_and_says_so() {
        let manager = Manager::new(PodSource::None);
        manager.apply(vec![("k".into(), kubernetes(""))]);
        assert!(manager.subscribe().borrow().synced());
        let status = manager.status();
        assert!(
            status[0].error.as_ref().unwrap().contains("there is no API server"),
            "{status:?}"
        );
    }
}
