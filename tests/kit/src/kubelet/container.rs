//! One container: started, probed, started again.

use super::env::{environment, move_listener};
use super::probe::{Probe, Verdict};
use super::sandbox::Root;
use super::status::{ContainerStatus, now};
use super::volume::Volumes;
use super::{Image, Node};
use crate::failure::Context;
use crate::process::{Process, Spec};
use crate::{Result, fail};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The wait before a second start; it doubles up to [`LONGEST_BACKOFF`]. A kubelet starts at 10 s. Long enough that what is
/// gone is missed: the rate of a counter over 10 s loses half in this time.
const FIRST_BACKOFF: Duration = Duration::from_secs(5);
const LONGEST_BACKOFF: Duration = Duration::from_secs(10);
/// A run as long as this makes the next wait the first again.
const GOOD_RUN: Duration = Duration::from_secs(5);

/// A container of a pod, over all its runs.
#[derive(Debug)]
pub(super) struct Container {
    pub(super) name: String,
    spec: Value,
    key: String,
    run: Option<Run>,
    start_at: Instant,
    backoff: Duration,
    pub(super) restarts: u32,
    waiting: String,
}

/// One run.
#[derive(Debug)]
struct Run {
    /// `None` for an image that is not known: there is nothing to run.
    process: Option<Arc<Process>>,
    since: Instant,
    started_at: String,
    startup: Option<Probe>,
    readiness: Option<Probe>,
    liveness: Option<Probe>,
}

/// What a container takes from its pod.
pub(super) struct Surroundings<'a> {
    pub(super) node: &'a Node,
    pub(super) pod: &'a Value,
    pub(super) address: &'a str,
    pub(super) ports: &'a BTreeMap<String, u16>,
    pub(super) volumes: &'a Volumes,
    pub(super) folder: PathBuf,
}

impl Container {
    pub(super) fn new(spec: &Value, pod_key: &str) -> Self {
        let name = spec["name"].as_str().unwrap_or_default().to_owned();
        Self {
            key: format!("{pod_key}/{name}"),
            name,
            spec: spec.clone(),
            run: None,
            start_at: Instant::now(),
            backoff: FIRST_BACKOFF,
            restarts: 0,
            waiting: "ContainerCreating".to_owned(),
        }
    }

    /// Brings the container one step on: notices its end, starts it when it is time, asks its probes.
    pub(super) async fn step(&mut self, around: &Surroundings<'_>) {
        let now = Instant::now();
        self.notice_end(now, around.node);
        if self.run.is_none() && now >= self.start_at {
            match self.start(around).await {
                Ok(run) => {
                    self.waiting.clear();
                    self.run = Some(run);
                }
                Err(error) => {
                    self.waiting = error.to_string();
                    self.start_at = now + Duration::from_millis(500);
                }
            }
        }
        self.probe(around).await;
    }

    fn notice_end(&mut self, now: Instant, node: &Node) {
        let Some(run) = &self.run else { return };
        let Some(status) = run.process.as_ref().and_then(|process| process.exited()) else {
            return;
        };
        self.waiting = format!("ended with {status}");
        self.backoff = if now - run.since >= GOOD_RUN {
            FIRST_BACKOFF
        } else {
            self.backoff.mul_f64(2.0)
        };
        self.backoff = self.backoff.min(LONGEST_BACKOFF);
        self.start_at = now + self.backoff;
        self.restarts += 1;
        self.run = None;
        node.processes.lock().remove(&self.key);
    }

    async fn start(&self, around: &Surroundings<'_>) -> Result<Run> {
        let process = match self.image(around.node) {
            Some(image) => Some(Arc::new(self.start_process(image, around).await?)),
            None => None,
        };
        if let Some(process) = &process {
            around.node.processes.lock().insert(self.key.clone(), process.clone());
        }
        let since = Instant::now();
        Ok(Run {
            startup: Probe::new(&self.spec["startupProbe"], since).filter(|_| process.is_some()),
            readiness: Probe::new(&self.spec["readinessProbe"], since).filter(|_| process.is_some()),
            liveness: Probe::new(&self.spec["livenessProbe"], since).filter(|_| process.is_some()),
            process,
            since,
            started_at: now(),
        })
    }

    fn image<'a>(&self, node: &'a Node) -> Option<&'a Image> {
        let image = self.spec["image"].as_str().unwrap_or_default();
        let last = image.rsplit('/').next().unwrap_or(image);
        node.images.get(last.split(['@', ':']).next().unwrap_or(last))
    }

    async fn start_process(&self, image: &Image, around: &Surroundings<'_>) -> Result<Process> {
        if self.spec.get("command").is_some() {
            fail!(
                "container {} has a command: only the image's own program can run here",
                self.name
            );
        }
        let mut pod = around.pod.clone();
        pod["status"]["podIP"] = around.address.into();
        let mut env = environment(&around.node.api, &pod, &self.spec).await?;
        let (host, port) = around
            .node
            .api_host
            .rsplit_once(':')
            .unwrap_or((&around.node.api_host, "443"));
        env.set("KUBERNETES_SERVICE_HOST", host.to_owned());
        env.set("KUBERNETES_SERVICE_PORT", port.to_owned());
        env.set(
            "HOSTNAME",
            pod["metadata"]["name"].as_str().unwrap_or_default().to_owned(),
        );

        let own = self.spec["args"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str);
        let args: Vec<String> = image
            .args
            .iter()
            .cloned()
            .chain(own.map(|arg| move_listener(&env.expand(arg), around.address)))
            .collect();
        let folder = around.folder.join(format!("root-{}", self.name));
        std::fs::create_dir_all(&folder).context(folder.display())?;
        let root = Root {
            folder: &folder,
            binary: &image.program,
            hosts: &around.node.hosts_file,
            read_only: self.security(around.pod, "readOnlyRootFilesystem") == Some(&Value::Bool(true)),
            user: self.security(around.pod, "runAsUser").and_then(Value::as_u64),
            mounts: self.mounts(around.volumes),
        };
        let logs = around.node.folder.join("logs");
        let mut spec = Spec::new(&self.key.replace('/', "_"), &PathBuf::from("/usr/bin/unshare"), &logs);
        spec.clear_env = true;
        spec = spec
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .args(around.node.sandbox.command(&root, &args));
        for (name, value) in env.iter() {
            spec = spec.env(name, value);
        }
        spec.start()
    }

    /// A field of the container's or else the pod's security context.
    fn security<'a>(&'a self, pod: &'a Value, field: &str) -> Option<&'a Value> {
        let own = self.spec["securityContext"].get(field);
        own.or_else(|| pod["spec"]["securityContext"].get(field))
    }

    fn mounts(&self, volumes: &Volumes) -> Vec<(PathBuf, String)> {
        let text = |mount: &Value, key: &str| mount[key].as_str().unwrap_or_default().to_owned();
        let mounts = self.spec["volumeMounts"].as_array().into_iter().flatten();
        let mut mounts: Vec<_> = mounts
            .map(|mount| {
                let volume = volumes.path(&text(mount, "name"));
                let source = mount["subPath"]
                    .as_str()
                    .map_or_else(|| volume.clone(), |sub| volume.join(sub));
                (source, text(mount, "mountPath"))
            })
            .collect();
        // Outer paths first, so that an inner one is not hidden.
        mounts.sort_by_key(|(_, target)| target.len());
        mounts
    }

    async fn probe(&mut self, around: &Surroundings<'_>) {
        let Some(run) = &mut self.run else { return };
        if run.process.as_ref().is_some_and(|process| process.exited().is_some()) {
            return;
        }
        let now = Instant::now();
        if let Some(startup) = run.startup.as_mut().filter(|probe| probe.verdict != Verdict::Success) {
            startup.poll(around.address, around.ports, now).await;
            return;
        }
        for probe in [&mut run.readiness, &mut run.liveness].into_iter().flatten() {
            probe.poll(around.address, around.ports, now).await;
        }
        let dead = run
            .liveness
            .as_ref()
            .is_some_and(|probe| probe.verdict == Verdict::Failure);
        if let Some(process) = run.process.as_ref().filter(|_| dead) {
            process.signal(rustix::process::Signal::KILL);
        }
    }

    /// Running, started and ready.
    pub(super) fn ready(&self) -> bool {
        let passed = |probe: &Option<Probe>| probe.as_ref().is_none_or(|probe| probe.verdict == Verdict::Success);
        self.run
            .as_ref()
            .is_some_and(|run| passed(&run.startup) && passed(&run.readiness))
    }

    pub(super) fn process(&self) -> Option<&Arc<Process>> {
        self.run.as_ref()?.process.as_ref()
    }

    pub(super) fn status(&self) -> ContainerStatus {
        ContainerStatus {
            name: self.name.clone(),
            image: self.spec["image"].as_str().unwrap_or_default().to_owned(),
            waiting: self.waiting.clone(),
            ready: self.ready(),
            restarts: self.restarts,
            started_at: self.run.as_ref().map(|run| run.started_at.clone()).unwrap_or_default(),
        }
    }

    /// `preStop` sleep, SIGTERM, and SIGKILL when `grace` is over.
    pub(super) async fn terminate(&mut self, node: &Node, grace: Duration) {
        let Some(process) = self.process().cloned() else { return };
        let end = Instant::now() + grace;
        if let Some(seconds) = self.spec["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64() {
            tokio::time::sleep(Duration::from_secs(seconds).min(grace)).await;
        }
        process.stop(end.saturating_duration_since(Instant::now())).await;
        node.processes.lock().remove(&self.key);
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if let Some(process) = self.process() {
            process.signal(rustix::process::Signal::KILL);
        }
    }
}
