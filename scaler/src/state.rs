//! The triggers that are known: each with its standing query, by object and metadata.

use crate::error::{TriggerError, Unanswerable};
use crate::evaluate::value_of;
use crate::generated::externalscaler::ScaledObjectRef;
use crate::settings::{Settings, Tenancy};
use crate::trigger::{Trigger, ignored};
use leadline_model::target::{Board, TargetState};
use leadline_model::{Clock, Matcher, Timestamp};
use leadline_standing::staleness::AgeLimit;
use leadline_standing::{Query, Register, RegisterError, Request, Snapshot};
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use tonic::Status;

/// How often (ms) triggers that nobody asks for are looked for.
const SWEEP_MS: i64 = 60_000;

/// What names a trigger: KEDA sends neither its name nor its place in the list, and one object may have many.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Key {
    namespace: String,
    name: String,
    metadata: BTreeMap<String, String>,
}

/// A trigger that KEDA asked for.
pub(crate) struct Known {
    pub(crate) trigger: Trigger,
    pub(crate) query: Arc<dyn Query>,
    /// The namespace whose targets messages name, where they name no others.
    tenant: Option<String>,
    asked: AtomicI64,
    /// What was answered last.
    last: Mutex<Option<Result<f64, Unanswerable>>>,
}

/// A trigger and what it answered last, for status pages and `explain`.
#[derive(Debug, Clone, PartialEq)]
pub struct TriggerStatus {
    /// Namespace of the ScaledObject.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// What it asks for.
    pub trigger: Trigger,
    /// When KEDA asked last, ms.
    pub asked: Timestamp,
    /// What it was answered.
    pub last: Option<Result<f64, Unanswerable>>,
}

/// All known triggers.
pub(crate) struct Triggers {
    settings: RwLock<Arc<Settings>>,
    register: Arc<dyn Register>,
    board: Arc<Board>,
    clock: Arc<dyn Clock>,
    known: Mutex<HashMap<Key, Arc<Known>>>,
    swept: AtomicI64,
}

impl Known {
    /// The value now, from the newest snapshot.
    pub(crate) async fn value(&self, triggers: &Triggers) -> Result<f64, Unanswerable> {
        let snapshot = self.query.snapshot().await;
        let value = self.judge(&snapshot, triggers);
        *self.last.lock() = Some(value.clone());
        value
    }

    /// The value of a snapshot now.
    pub(crate) fn judge(&self, snapshot: &Snapshot, triggers: &Triggers) -> Result<f64, Unanswerable> {
        let age_limit = AgeLimit::new(self.trigger.max_age, self.query.plan());
        value_of(
            &self.trigger,
            age_limit,
            snapshot,
            &triggers.board,
            triggers.clock.now(),
            |target| self.may_name(target),
        )
    }
}

impl Known {
    /// Whether a message may name a target: with tenancy by namespace not one of another.
    fn may_name(&self, target: &TargetState) -> bool {
        let theirs = target.labels.get("namespace");
        self.tenant
            .as_deref()
            .zip(theirs)
            .is_none_or(|(ours, theirs)| ours == theirs)
    }
}

impl Triggers {
    pub(crate) fn new(
        settings: Settings,
        register: Arc<dyn Register>,
        board: Arc<Board>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let swept = AtomicI64::new(clock.now());
        Self {
            settings: RwLock::new(Arc::new(settings)),
            register,
            board,
            clock,
            known: Mutex::default(),
            swept,
        }
    }

    /// The settings in force.
    pub(crate) fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.read())
    }

    /// Puts other settings in force; whether they differ. Triggers are read anew under them, while the old ones still hold
    /// their queries, so that an expression that stays is not evaluated from the beginning. One that is refused now is
    /// forgotten: whoever asks for it again is told why.
    pub(crate) fn apply(&self, settings: Settings) -> bool {
        if **self.settings.read() == settings {
            return false;
        }
        *self.settings.write() = Arc::new(settings);
        let before = std::mem::take(&mut *self.known.lock());
        for (key, old) in &before {
            if let Ok(known) = self.open(key, old.asked.load(Ordering::Relaxed)) {
                self.known.lock().entry(key.clone()).or_insert(Arc::new(known));
            }
        }
        true
    }

    pub(crate) fn parse(&self, object: &ScaledObjectRef) -> Result<Trigger, TriggerError> {
        Trigger::parse(&object.scaler_metadata, &self.settings())
    }

    /// The trigger that is meant; registers its query when it is new.
    pub(crate) fn find(&self, object: ScaledObjectRef) -> Result<Arc<Known>, Status> {
        let now = self.clock.now();
        self.sweep(now);
        let ScaledObjectRef {
            name,
            namespace,
            scaler_metadata,
        } = object;
        let key = Key {
            namespace,
            name,
            metadata: scaler_metadata.into_iter().collect(),
        };
        if let Some(known) = self.known.lock().get(&key) {
            known.asked.store(now, Ordering::Relaxed);
            return Ok(Arc::clone(known));
        }
        let known = Arc::new(self.open(&key, now)?);
        let mut all = self.known.lock();
        if all.len() >= self.settings().max_triggers && !all.contains_key(&key) {
            let problem = format!("{} triggers are known already, the most that are allowed", all.len());
            return Err(Status::resource_exhausted(problem));
        }
        Ok(Arc::clone(all.entry(key).or_insert(known)))
    }

    fn open(&self, key: &Key, now: Timestamp) -> Result<Known, Status> {
        let metadata: HashMap<String, String> = key.metadata.clone().into_iter().collect();
        let settings = self.settings();
        let trigger = Trigger::parse(&metadata, &settings)?;
        let ignored = ignored(&metadata);
        tracing::debug!(namespace = key.namespace, name = key.name, ?ignored, "a trigger is new");
        let query = self
            .register
            .register(request(&trigger, &key.namespace, settings.tenancy))
            .map_err(|error| refusal(&error))?;
        Ok(Known {
            trigger,
            query,
            tenant: (settings.tenancy == Tenancy::Namespace).then(|| key.namespace.clone()),
            asked: AtomicI64::new(now),
            last: Mutex::default(),
        })
    }

    /// Forgets triggers that nobody asked for and that no stream holds.
    fn sweep(&self, now: Timestamp) {
        let swept = self.swept.load(Ordering::Relaxed);
        let due = now - swept >= SWEEP_MS;
        if !due
            || self
                .swept
                .compare_exchange(swept, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_err()
        {
            return;
        }
        let since = now - self.settings().expire_ms;
        let mut unwanted = Vec::new();
        self.known.lock().retain(|_, known| {
            let wanted = known.asked.load(Ordering::Relaxed) >= since || Arc::strong_count(known) > 1;
            if !wanted {
                unwanted.push(Arc::clone(known));
            }
            wanted
        });
        drop(unwanted);
    }

    pub(crate) fn len(&self) -> usize {
        self.known.lock().len()
    }

    pub(crate) fn status(&self) -> Vec<TriggerStatus> {
        let mut all: Vec<(Key, Arc<Known>)> = self
            .known
            .lock()
            .iter()
            .map(|(key, known)| (key.clone(), Arc::clone(known)))
            .collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        let of = |(key, known): (Key, Arc<Known>)| TriggerStatus {
            namespace: key.namespace,
            name: key.name,
            trigger: known.trigger.clone(),
            asked: known.asked.load(Ordering::Relaxed),
            last: known.last.lock().clone(),
        };
        all.into_iter().map(of).collect()
    }
}

fn request(trigger: &Trigger, namespace: &str, tenancy: Tenancy) -> Request {
    let mut inject: Vec<Matcher> = Vec::new();
    if tenancy == Tenancy::Namespace {
        inject.push(Matcher::equal("namespace", namespace));
    }
    if let Some(narrower) = &trigger.namespace {
        let matcher = Matcher::equal("namespace", narrower.as_str());
        if !inject.contains(&matcher) {
            inject.push(matcher);
        }
    }
    let text = trigger.query.clone();
    Request {
        text,
        inject,
        index_by: Vec::new(),
        pinned: false,
        partial: trigger.partial,
    }
}

fn refusal(error: &RegisterError) -> Status {
    match error {
        RegisterError::Invalid(_) | RegisterError::Shape(_) | RegisterError::Window { .. } => {
            Status::invalid_argument(format!("metadata query: {error}"))
        }
        RegisterError::Full(_) => Status::resource_exhausted(error.to_string()),
    }
}
