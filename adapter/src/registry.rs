//! The metric rules in force: each a standing query, found by what it describes and its name.

use crate::api::discovery::Documents;
use crate::config::check::{Describes, duplicate};
use crate::config::{Autoscaling, MetricRule, Problem, Scope};
use crate::error::ApiError;
use crate::resource;
use leadline_cluster::{MapError, MappedResource, Mapper};
use leadline_standing::staleness::AgeLimit;
use leadline_standing::{Query, Register, Request};
use parking_lot::{Mutex, RwLock};
use serde_saphyr::{Location, Spanned};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio_util::sync::CancellationToken;

/// A rule that works.
pub struct Rule {
    /// Never used twice in a process.
    pub id: u64,
    /// As configured.
    pub config: MetricRule,
    /// What it describes.
    pub describes: Describes,
    /// The result label that names the object; empty for external metrics.
    pub name_label: String,
    /// What is answered as `windowSeconds`, seconds.
    pub window_s: Option<i64>,
    /// How old its values may be.
    pub age_limit: AgeLimit,
    /// Its standing query.
    pub query: Arc<dyn Query>,
}

impl Rule {
    /// The metric's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.config.name.value
    }

    /// Whether it describes pods, of which single ones are left out where others answer an error.
    #[must_use]
    pub fn is_pods(&self) -> bool {
        self.describes.resource() == Some("pods")
    }

    /// The kind of the objects it describes. [`Registry::settle`] gives a rule that has it.
    ///
    /// # Errors
    /// 503 while it is not known; 500 of an external metric.
    pub fn kind(&self) -> Result<Arc<MappedResource>, ApiError> {
        match &self.describes {
            Describes::Objects(_, Some(kind)) => Ok(Arc::clone(kind)),
            Describes::Objects(resource, None) => Err(ApiError::unavailable(format!(
                "metric {}: the kind of {resource} is not known yet",
                self.name()
            ))),
            Describes::External => Err(ApiError::internal("an external metric describes no object")),
        }
    }
}

impl std::fmt::Debug for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rule")
            .field("name", &self.name())
            .field("describes", &self.describes)
            .finish_non_exhaustive()
    }
}

/// How a rule fares, for the status API and for metrics.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct RuleStatus {
    /// The metric.
    pub name: String,
    /// What it describes, as configured.
    pub describes: String,
    /// Line of the rule in the configuration, from 1; 0 when unknown.
    pub line: u64,
    /// Why it is disabled; empty when it works.
    pub problems: Vec<String>,
    /// What is allowed but dangerous.
    pub warnings: Vec<String>,
}

/// What is known under a name.
#[derive(Debug, Clone)]
pub enum Lookup {
    /// A rule that works.
    Rule(Arc<Rule>),
    /// A rule that is disabled: why.
    Disabled(Arc<str>),
    /// Nothing.
    Unknown,
}

/// (resource or `None` for external, metric).
type Key = (Option<String>, String);

#[derive(Default)]
struct Table {
    by_key: HashMap<Key, Lookup>,
    rules: Vec<Arc<Rule>>,
    status: Vec<RuleStatus>,
    documents: Arc<Documents>,
    /// What they were made of, to be made again when a kind becomes known.
    config: Arc<Autoscaling>,
    /// Resources whose kind nobody knew then.
    unknown: BTreeSet<String>,
}

/// The metric rules in force. A kind says by which labels results are found, so the rules that describe one that only the
/// API server knows are made again once it has told.
pub struct Registry {
    register: Arc<dyn Register>,
    mapper: Arc<Mapper>,
    table: RwLock<Arc<Table>>,
    /// Held while the table is made.
    making: Mutex<()>,
    next_id: AtomicU64,
}

impl Registry {
    /// Without rules. `register` is the standing room's door, `mapper` knows kinds.
    #[must_use]
    pub fn new(register: Arc<dyn Register>, mapper: Arc<Mapper>) -> Arc<Self> {
        let table = Table {
            documents: Arc::new(Documents::of(&[])),
            ..Table::default()
        };
        Arc::new(Self {
            register,
            mapper,
            table: RwLock::new(Arc::new(table)),
            making: Mutex::new(()),
            next_id: AtomicU64::new(1),
        })
    }

    /// Puts `config` in force. Rules that did not change keep their standing query and what it learned; a rule with a
    /// problem is disabled alone. Returns the problems of all of them.
    pub fn apply(&self, config: &Autoscaling) -> Vec<Problem> {
        let _making = self.making.lock();
        self.make(Arc::new(config.clone()))
    }

    fn make(&self, config: Arc<Autoscaling>) -> Vec<Problem> {
        let before = Arc::clone(&self.table.read());
        let mut table = Table::default();
        let mut first: HashMap<Key, Location> = HashMap::new();
        let mut all = Vec::new();
        for rule in &config.metrics {
            // Nobody can ask for it.
            if !rule.has_name() {
                let problems = rule.check(&self.mapper);
                table.status.push(status_of(rule, &problems, &self.mapper));
                all.extend(problems);
                continue;
            }
            let key = self.key_of(rule);
            let built = match first.get(&key) {
                Some(first) => Err(vec![duplicate(rule, &rule.describes.value, *first)]),
                None => self.build(rule, &before),
            };
            let problems = built.as_ref().err().cloned().unwrap_or_default();
            table.status.push(status_of(rule, &problems, &self.mapper));
            // The second rule of a name takes nothing away from the first.
            if first.contains_key(&key) {
                all.extend(problems);
                continue;
            }
            first.insert(key.clone(), rule.name.referenced);
            let lookup = match built {
                Ok(rule) => {
                    if let Describes::Objects(resource, None) = &rule.describes {
                        table.unknown.insert(resource.clone());
                    }
                    table.rules.push(Arc::clone(&rule));
                    Lookup::Rule(rule)
                }
                Err(problems) => Lookup::Disabled(texts(&problems).join("; ").into()),
            };
            table.by_key.insert(key, lookup);
            all.extend(problems);
        }
        table.documents = Arc::new(Documents::of(&table.rules));
        table.config = config;
        *self.table.write() = Arc::new(table);
        all
    }

    /// Makes the rules again as soon as a kind that they describe becomes known, until `cancel`; their results are there
    /// before somebody asks for them.
    pub async fn follow(&self, cancel: CancellationToken) {
        let mut lessons = self.mapper.lessons();
        let work = async {
            loop {
                self.current();
                lessons.next().await;
            }
        };
        tokio::select! { () = cancel.cancelled() => {}, () = work => {} }
    }

    /// The table, made again where the mapper has learned of a kind that was unknown.
    fn current(&self) -> Arc<Table> {
        let stale = |table: &Table| {
            table
                .unknown
                .iter()
                .any(|name| resource::known(&self.mapper, name).is_some())
        };
        let table = Arc::clone(&self.table.read());
        if !stale(&table) {
            return table;
        }
        let _making = self.making.lock();
        let config = {
            let table = self.table.read();
            stale(&table).then(|| Arc::clone(&table.config))
        };
        for problem in config.map(|config| self.make(config)).into_iter().flatten() {
            tracing::warn!(%problem, "a kind became known");
        }
        Arc::clone(&self.table.read())
    }

    /// The rule that stands for `rule` once the kind of its objects is known; asks the API server where it is not.
    ///
    /// # Errors
    /// 503 when the API server cannot tell, or the rule is disabled by what it tells; 404 when it has no such resource.
    pub async fn settle(&self, rule: Arc<Rule>) -> Result<Arc<Rule>, ApiError> {
        let Describes::Objects(resource, None) = &rule.describes else {
            return Ok(rule);
        };
        let failed = |why: &dyn std::fmt::Display| format!("metric {}: {why}", rule.name());
        match self.mapper.resolve(resource).await {
            Err(e @ MapError::Unknown(_)) => return Err(ApiError::not_found(failed(&e))),
            Err(e @ MapError::Unavailable { .. }) => return Err(ApiError::unavailable(failed(&e))),
            Ok(_) => {}
        }
        match self.object(resource, rule.name()) {
            Lookup::Rule(rule) => Ok(rule),
            Lookup::Disabled(why) => Err(ApiError::unavailable(failed(&why))),
            Lookup::Unknown => Err(ApiError::unavailable(failed(&"its rule is gone by now"))),
        }
    }

    fn key_of(&self, rule: &MetricRule) -> Key {
        let resource = match rule.describes(&self.mapper) {
            Ok(Describes::External) => None,
            Ok(Describes::Objects(resource, _)) => Some(resource),
            Err(_) => Some(rule.describes.value.clone()),
        };
        (resource, rule.name.value.clone())
    }

    fn build(&self, rule: &MetricRule, before: &Table) -> Result<Arc<Rule>, Vec<Problem>> {
        let problems = rule.check(&self.mapper);
        if !problems.is_empty() {
            return Err(problems);
        }
        let describes = rule.describes(&self.mapper).map_err(|p| vec![p])?;
        if let Some(Lookup::Rule(old)) = before.by_key.get(&self.key_of(rule))
            && same(&old.config, rule)
            && old.describes == describes
        {
            return Ok(Arc::clone(old));
        }
        let name_label = rule.name_label(&describes);
        let request = Request {
            text: rule.query.value.clone(),
            inject: Vec::new(),
            index_by: index_by(rule, &describes, &name_label),
            pinned: true,
            partial: rule.partial.value,
        };
        let query = self
            .register
            .register(request)
            .map_err(|e| vec![rule.query_problem(&e)])?;
        let range_ms = query.plan().selectors.iter().map(|s| s.window_ms).max().unwrap_or(0);
        let window_ms = rule
            .window
            .map_or(range_ms, leadline_model::duration::Duration::as_millis);
        Ok(Arc::new(Rule {
            id: self.next_id.fetch_add(1, Ordering::Relaxed),
            config: rule.clone(),
            describes,
            name_label,
            // Whole seconds, rounded up: a window is never called shorter than it is.
            window_s: (window_ms > 0).then(|| (window_ms + 999) / 1000),
            age_limit: AgeLimit::new(rule.max_age, query.plan()),
            query,
        }))
    }

    /// The rule of a metric of objects; `resource` is written in any way the mapper knows.
    #[must_use]
    pub fn object(&self, resource: &str, metric: &str) -> Lookup {
        let table = self.current();
        let resource = resource::canonical(&self.mapper, resource);
        table.look_up(Some(resource), metric)
    }

    /// The rule of an external metric.
    #[must_use]
    pub fn external(&self, metric: &str) -> Lookup {
        self.table.read().look_up(None, metric)
    }

    /// How every rule fares, in the order of the configuration.
    #[must_use]
    pub fn status(&self) -> Vec<RuleStatus> {
        self.current().status.clone()
    }

    /// The discovery documents.
    #[must_use]
    pub fn documents(&self) -> Arc<Documents> {
        Arc::clone(&self.current().documents)
    }
}

impl Table {
    fn look_up(&self, resource: Option<String>, metric: &str) -> Lookup {
        let found = self.by_key.get(&(resource, metric.to_owned()));
        found.cloned().unwrap_or(Lookup::Unknown)
    }
}

/// The labels by which results are found: as much of namespace and name as the rule has.
fn index_by(rule: &MetricRule, describes: &Describes, name_label: &str) -> Vec<String> {
    let mut labels = Vec::new();
    let namespaced = match describes {
        Describes::External => rule.scope == Scope::Namespace,
        Describes::Objects(_, Some(kind)) => kind.namespaced,
        Describes::Objects(_, None) => rule.scope == Scope::Namespace,
    };
    if namespaced {
        labels.push(rule.namespace_label().to_owned());
    }
    if *describes != Describes::External {
        labels.push(name_label.to_owned());
    }
    labels
}

fn status_of(rule: &MetricRule, problems: &[Problem], mapper: &Mapper) -> RuleStatus {
    RuleStatus {
        name: rule.name.value.clone(),
        describes: rule.describes.value.clone(),
        line: rule.name.referenced.line(),
        problems: texts(problems),
        warnings: rule.warnings(mapper),
    }
}

fn texts(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}

/// Whether two rules are the same wherever they stand in the file.
fn same(a: &MetricRule, b: &MetricRule) -> bool {
    let still = |s: &Spanned<String>| Spanned::new(s.value.clone(), Location::UNKNOWN, Location::UNKNOWN);
    let placeless = |r: &MetricRule| {
        let mut r = r.clone();
        (r.name, r.describes, r.query) = (still(&r.name), still(&r.describes), still(&r.query));
        r.labels.name = r.labels.name.as_ref().map(still);
        r.labels.namespace = r.labels.namespace.as_ref().map(still);
        r.partial = Spanned::new(r.partial.value, Location::UNKNOWN, Location::UNKNOWN);
        r
    };
    placeless(a) == placeless(b)
}
