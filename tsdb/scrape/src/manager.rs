//! Jobs and target groups to running targets.

use crate::config::{DEFAULT_KEEP_DROPPED, Job, JobError};
use crate::runner::{Assignment, Runner, Shared};
use crate::stats::Stats;
use crate::target::{DroppedTarget, Target, build};
use leadline_httpclient::Client;
use leadline_model::clock::Clock;
use leadline_model::port::Appender;
use leadline_model::target::{Board, Health, OwnerId, TargetGroup, TargetState};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What a [`Manager`] is made of.
pub struct Parts {
    /// Where commits go.
    pub appender: Arc<dyn Appender>,
    /// Whether the store is told what targets say about their series ([`crate::Ingest::tell_metadata`]).
    pub metadata: bool,
    /// Whether series carry their type as a label ([`crate::Ingest::label_types`]).
    pub label_types: bool,
    /// Where targets and their health are shown.
    pub board: Arc<Board>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Where a target's task runs.
    pub runtime: Box<dyn Fn(OwnerId) -> Handle + Send + Sync>,
    /// Spreads the targets' slots and seeds the hashes. Replicas should differ, restarts of one should not.
    pub seed: u64,
}

/// Runs the targets of all jobs. Cheap calls from any thread; the work happens in one task per target.
pub struct Manager {
    shared: Arc<Shared>,
    runtime: Box<dyn Fn(OwnerId) -> Handle + Send + Sync>,
    tasks: TaskTracker,
    jobs: Mutex<HashMap<Arc<str>, JobState>>,
}

/// One job.
struct JobState {
    job: Arc<Job>,
    client: Arc<Client>,
    groups: Vec<Group>,
    running: HashMap<u64, Running>,
    dropped: Vec<DroppedTarget>,
    dropped_total: usize,
}

/// A group with what became of its targets, so that an unchanged group costs nothing.
struct Group {
    group: Arc<TargetGroup>,
    built: Arc<[Result<Arc<Target>, DroppedTarget>]>,
}

/// A target that is being scraped.
struct Running {
    owner: OwnerId,
    orders: watch::Sender<Arc<Assignment>>,
    retired: CancellationToken,
}

/// The targets of one job that are not scraped.
#[derive(Debug, Clone)]
pub struct Dropped {
    /// The job.
    pub job: Arc<str>,
    /// How many there are.
    pub total: usize,
    /// Those that are remembered, with the reason.
    pub targets: Vec<DroppedTarget>,
}

impl Manager {
    /// A manager without jobs.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let shared = Shared {
            appender: parts.appender,
            board: parts.board,
            clock: parts.clock,
            stats: Arc::default(),
            metadata: parts.metadata,
            label_types: parts.label_types,
            seed: parts.seed,
            scratch: Mutex::default(),
            told_set_back: Mutex::default(),
            shutdown: CancellationToken::new(),
        };
        Self {
            shared: Arc::new(shared),
            runtime: parts.runtime,
            tasks: TaskTracker::new(),
            jobs: Mutex::default(),
        }
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> Arc<Stats> {
        self.shared.stats.clone()
    }

    /// Replaces the jobs. Equal jobs are left alone; of a changed one, targets that stay keep their series; targets of a
    /// job that is gone end.
    ///
    /// # Errors
    /// [`JobError`] when one is not valid or two have one name; nothing is changed then.
    pub fn apply(&self, jobs: Vec<Job>) -> Result<(), JobError> {
        let mut wanted: HashMap<Arc<str>, Job> = HashMap::new();
        for job in jobs {
            job.validate()?;
            let name = job.name.clone();
            if wanted.insert(name.clone(), job).is_some() {
                let reason = "two jobs have this name".to_owned();
                return Err(JobError {
                    job: name.to_string(),
                    field: "job_name",
                    reason,
                });
            }
        }
        let mut states = self.jobs.lock();
        states.retain(|name, state| {
            let stays = wanted.contains_key(name);
            if !stays {
                state.running.drain().for_each(|(_, running)| self.retire(&running));
            }
            stays
        });
        for (name, job) in wanted {
            match states.get_mut(&name) {
                Some(state) if *state.job == job => {}
                Some(state) => {
                    state.change(job);
                    self.reconcile(state);
                }
                None => {
                    states.insert(name, JobState::new(job));
                }
            }
        }
        Ok(())
    }

    /// Replaces the target groups of a job; `false` when there is no such job.
    pub fn set_groups(&self, job: &str, groups: Vec<Arc<TargetGroup>>) -> bool {
        let mut states = self.jobs.lock();
        let Some(state) = states.get_mut(job) else { return false };
        state.set_groups(groups);
        self.reconcile(state);
        true
    }

    /// Whether there is such a job and [`Job::keeps_job_label`].
    #[must_use]
    pub fn keeps_job_label(&self, job: &str) -> bool {
        let states = self.jobs.lock();
        states.get(job).is_some_and(|state| state.job.keeps_job_label())
    }

    /// The targets that are not scraped, by job.
    #[must_use]
    pub fn dropped(&self) -> Vec<Dropped> {
        let states = self.jobs.lock();
        let of = |s: &JobState| Dropped {
            job: s.job.name.clone(),
            total: s.dropped_total,
            targets: s.dropped.clone(),
        };
        let mut all: Vec<Dropped> = states.values().map(of).collect();
        all.sort_by(|a, b| a.job.cmp(&b.job));
        all
    }

    /// Ends all scraping without stale markers and waits until every task is over.
    pub async fn shutdown(&self) {
        self.shared.shutdown.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Starts, changes and ends targets until what runs is what the groups say.
    fn reconcile(&self, state: &mut JobState) {
        let targets = state.wanted();
        let limit = state.job.limits.target_limit;
        let forced = (limit > 0 && targets.len() > limit).then(|| {
            Arc::from(format!(
                "target_limit exceeded: {} targets, limit {limit}",
                targets.len()
            ))
        });
        state.running.retain(|key, running| {
            let stays = targets.contains_key(key);
            if !stays {
                self.retire(running);
            }
            stays
        });
        for (key, target) in targets {
            let (job, client) = (state.job.clone(), state.client.clone());
            let assignment = Arc::new(Assignment {
                job,
                target,
                client,
                forced: forced.clone(),
            });
            match state.running.get(&key) {
                Some(running) => self.reassign(running, &assignment),
                None => {
                    state.running.insert(key, self.start(&assignment));
                }
            }
        }
    }

    fn start(&self, assignment: &Arc<Assignment>) -> Running {
        let owner = self.shared.appender.new_owner();
        let (orders, receiver) = watch::channel(assignment.clone());
        let retired = CancellationToken::new();
        self.shared.board.put(shown(owner, assignment));
        let runner = Runner::new(self.shared.clone(), owner, receiver, retired.clone());
        self.tasks.spawn_on(runner.run(), &(self.runtime)(owner));
        Running { owner, orders, retired }
    }

    fn reassign(&self, running: &Running, new: &Arc<Assignment>) {
        let old = running.orders.borrow().clone();
        let same = Arc::ptr_eq(&old.job, &new.job) && old.target == new.target && old.forced == new.forced;
        if same {
            return;
        }
        self.shared.board.update(running.owner, |state| {
            state.discovered = new.target.discovered.clone();
            state.interval_ms = new.target.interval_ms;
            state.timeout_ms = new.target.timeout_ms;
        });
        running.orders.send_replace(new.clone());
    }

    fn retire(&self, running: &Running) {
        self.shared.board.remove(running.owner);
        running.retired.cancel();
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        self.shared.shutdown.cancel();
    }
}

fn shown(owner: OwnerId, assignment: &Assignment) -> TargetState {
    let target = &assignment.target;
    TargetState {
        owner,
        job: assignment.job.name.clone(),
        labels: target.labels.clone(),
        discovered: target.discovered.clone(),
        url: target.uri.to_string(),
        interval_ms: target.interval_ms,
        timeout_ms: target.timeout_ms,
        health: Health::Unknown,
        first_good: None,
        last_scrape: None,
        last_duration_s: 0.0,
        last_error: None,
    }
}

impl JobState {
    fn new(job: Job) -> Self {
        let client = Arc::new(Client::new(job.http.clone()));
        let (groups, running, dropped) = (Vec::new(), HashMap::new(), Vec::new());
        Self {
            job: Arc::new(job),
            client,
            groups,
            running,
            dropped,
            dropped_total: 0,
        }
    }

    fn change(&mut self, job: Job) {
        if job.http != self.job.http {
            self.client = Arc::new(Client::new(job.http.clone()));
        }
        self.job = Arc::new(job);
        for group in &mut self.groups {
            group.built = built(&self.job, &group.group);
        }
    }

    fn set_groups(&mut self, groups: Vec<Arc<TargetGroup>>) {
        let mut before: HashMap<String, Group> = self.groups.drain(..).map(|g| (g.group.source.clone(), g)).collect();
        self.groups = groups
            .into_iter()
            .map(|group| match before.remove(&group.source) {
                Some(old) if Arc::ptr_eq(&old.group, &group) || old.group == group => old,
                _ => Group {
                    built: built(&self.job, &group),
                    group,
                },
            })
            .collect();
    }

    /// The targets to scrape by their keys; of equal ones the first. Those that are not scraped are noted.
    fn wanted(&mut self) -> HashMap<u64, Arc<Target>> {
        let keep = match self.job.keep_dropped_targets {
            0 => DEFAULT_KEEP_DROPPED,
            most => most,
        };
        self.dropped.clear();
        self.dropped_total = 0;
        let mut wanted = HashMap::new();
        for result in self.groups.iter().flat_map(|g| g.built.iter()) {
            match result {
                Ok(target) => {
                    wanted.entry(target.key).or_insert_with(|| target.clone());
                }
                Err(dropped) => {
                    self.dropped_total += 1;
                    if self.dropped.len() < keep {
                        self.dropped.push(dropped.clone());
                    }
                }
            }
        }
        wanted
    }
}

fn built(job: &Job, group: &TargetGroup) -> Arc<[Result<Arc<Target>, DroppedTarget>]> {
    group
        .targets
        .iter()
        .map(|labels| build(job, labels, &group.labels).map(Arc::new))
        .collect()
}
