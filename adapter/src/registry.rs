//! The metric rules in force: each a standing query, found by what it describes and its name.

use crate::api::discovery::Documents;
use crate::config::check::{Describes, duplicate};
use crate::config::{Autoscaling, MetricRule, Problem, Scope};
use crate::error::ApiError;
use leadline_cluster::{MappedResource, Mapper};
use leadline_standing::staleness::AgeLimit;
use leadline_standing::{Query, Register, Request};
use parking_lot::RwLock;
use serde_saphyr::{Location, Spanned};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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

    /// The kind of the objects it describes; asks the API server where it is not known.
    ///
    /// # Errors
    /// 503 when the API server cannot tell; 404 when it has no such resource.
    pub async fn kind(&self, mapper: &Arc<Mapper>) -> Result<Arc<MappedResource>, ApiError> {
        match &self.describes {
            Describes::Objects(_, Some(kind)) => Ok(Arc::clone(kind)),
            Describes::Objects(resource, None) => mapper.resolve(resource).await.map_err(|e| match e {
                leadline_cluster::MapError::Unknown(_) => ApiError::not_found(format!("metric {}: {e}", self.name())),
                leadline_cluster::MapError::Unavailable { .. } => {
                    ApiError::unavailable(format!("metric {}: {e}", self.name()))
                }
            }),
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
}

/// The metric rules in force.
pub struct Registry {
    register: Arc<dyn Register>,
    mapper: Arc<Mapper>,
    table: RwLock<Arc<Table>>,
    next_id: AtomicU64,
}

impl Registry {
    /// Without rules. `register` is the standing room's door, `mapper` knows kinds.
    #[must_use]
    pub fn new(register: Arc<dyn Register>, mapper: Arc<Mapper>) -> Arc<Self> {
        let table = Table {
            documents: Arc::new(Documents::of(&[], &mapper)),
            ..Table::default()
        };
        Arc::new(Self {
            register,
            mapper,
            table: RwLock::new(Arc::new(table)),
            next_id: AtomicU64::new(1),
        })
    }

    /// Puts `config` in force. Rules that did not change keep their standing query and what it learned; a rule with a
    /// problem is disabled alone. Returns the problems of all of them.
    pub fn apply(&self, config: &Autoscaling) -> Vec<Problem> {
        let before = Arc::clone(&self.table.read());
        let mut table = Table::default();
        let mut first: HashMap<Key, Location> = HashMap::new();
        let mut all = Vec::new();
        for rule in &config.metrics {
            let key = self.key_of(rule);
            let built = match first.get(&key) {
                Some(first) => Err(vec![duplicate(rule, &rule.describes.value, *first)]),
                None => self.build(rule, &before),
            };
            let problems = built.as_ref().err().cloned().unwrap_or_default();
            table.status.push(status_of(rule, &problems));
            // The second rule of a name takes nothing away from the first.
            if first.contains_key(&key) {
                all.extend(problems);
                continue;
            }
            first.insert(key.clone(), rule.name.referenced);
            let lookup = match built {
                Ok(rule) => {
                    table.rules.push(Arc::clone(&rule));
                    Lookup::Rule(rule)
                }
                Err(problems) => Lookup::Disabled(texts(&problems).join("; ").into()),
            };
            table.by_key.insert(key, lookup);
            all.extend(problems);
        }
        table.documents = Arc::new(Documents::of(&table.rules, &self.mapper));
        *self.table.write() = Arc::new(table);
        all
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
        let resource = crate::resource::canonical(&self.mapper, resource);
        self.look_up(Some(resource), metric)
    }

    /// The rule of an external metric.
    #[must_use]
    pub fn external(&self, metric: &str) -> Lookup {
        self.look_up(None, metric)
    }

    fn look_up(&self, resource: Option<String>, metric: &str) -> Lookup {
        self.table
            .read()
            .by_key
            .get(&(resource, metric.to_owned()))
            .cloned()
            .unwrap_or(Lookup::Unknown)
    }

    /// How every rule fares, in the order of the configuration.
    #[must_use]
    pub fn status(&self) -> Vec<RuleStatus> {
        self.table.read().status.clone()
    }

    /// The discovery documents. A kind that only became known to the mapper since is in them.
    #[must_use]
    pub fn documents(&self) -> Arc<Documents> {
        let table = Arc::clone(&self.table.read());
        if !table.documents.lacks_a_kind_known_to(&self.mapper) {
            return Arc::clone(&table.documents);
        }
        let documents = Arc::new(Documents::of(&table.rules, &self.mapper));
        let mut current = self.table.write();
        if Arc::ptr_eq(&current, &table) {
            let Table {
                by_key, rules, status, ..
            } = &*table;
            *current = Arc::new(Table {
                by_key: by_key.clone(),
                rules: rules.clone(),
                status: status.clone(),
                documents: Arc::clone(&documents),
            });
        }
        documents
    }

    /// What knows kinds.
    #[must_use]
    pub fn mapper(&self) -> &Arc<Mapper> {
        &self.mapper
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

fn status_of(rule: &MetricRule, problems: &[Problem]) -> RuleStatus {
    RuleStatus {
        name: rule.name.value.clone(),
        describes: rule.describes.value.clone(),
        line: rule.name.referenced.line(),
        problems: texts(problems),
        warnings: rule.warnings(),
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
