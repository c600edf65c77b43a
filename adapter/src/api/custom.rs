//! Metrics of Kubernetes objects: `custom.metrics.k8s.io`.

use super::route::{CUSTOM, CustomPath, ParsedQuery};
use super::types::{Common, CustomList};
use super::{Adapter, status};
use crate::config::OnDuplicate;
use crate::error::{About, ApiError, Kind};
use crate::query::{Judge, LeftOut, Pick, Reason, warming_of};
use crate::registry::{Lookup, Rule};
use crate::selection::Check;
use axum::response::Response;
use leadline_cluster::{MappedResource, Selector};
use leadline_model::Timestamp;
use leadline_model::target::TargetState;
use leadline_standing::{Row, Snapshot, freshness};
use std::sync::Arc;

/// The selectors of a request, parsed.
pub(crate) struct Selectors {
    /// Selects objects.
    pub(crate) objects: Selector,
    /// Selects results.
    pub(crate) metrics: Selector,
}

impl Selectors {
    /// # Errors
    /// 400 with the place of the fault.
    pub(crate) fn parse(query: &ParsedQuery) -> Result<Self, ApiError> {
        if let Some(fault) = &query.fault {
            return Err(ApiError::bad_request(format!("invalid query: {fault}")));
        }
        let parse = |key: &str, text: &Option<String>| {
            Selector::parse(text.as_deref().unwrap_or(""))
                .map_err(|e| ApiError::bad_request(format!("unable to parse {key}: {e}")))
        };
        Ok(Self {
            objects: parse("labelSelector", &query.label_selector)?,
            metrics: parse("metricLabelSelector", &query.metric_label_selector)?,
        })
    }
}

/// The rule of a path, or why there is none.
///
/// # Errors
/// 404 without a rule, 503 when it is disabled.
pub(crate) fn rule(adapter: &Adapter, path: &CustomPath) -> Result<Arc<Rule>, ApiError> {
    match adapter.registry.object(&path.resource, &path.metric) {
        Lookup::Rule(rule) => Ok(rule),
        Lookup::Disabled(why) => Err(ApiError::unavailable(format!(
            "metric {} for {} is disabled: {why}",
            path.metric, path.resource
        ))),
        Lookup::Unknown => {
            let what = if path.name == "*" {
                path.resource.clone()
            } else {
                format!("{} {}", path.resource, path.name)
            };
            let message = format!(
                "the server could not find the metric {} for {what}: no rule defines it",
                path.metric
            );
            Err(ApiError::not_found(message).about(about(path)))
        }
    }
}

fn about(path: &CustomPath) -> About {
    About {
        name: path.name.clone(),
        group: CUSTOM.to_owned(),
        kind: path.resource.clone(),
    }
}

/// The namespace in which a path's objects live; `None` for kinds without.
///
/// # Errors
/// 404 when the path has a namespace and the kind has not, or the other way round.
pub(crate) fn namespace<'a>(path: &'a CustomPath, kind: &MappedResource) -> Result<Option<&'a str>, ApiError> {
    let about_namespace = kind.group.is_empty() && kind.plural == "namespaces";
    match (&path.namespace, kind.namespaced) {
        (Some(namespace), true) => Ok(Some(namespace)),
        (None, false) => Ok(None),
        // A metric about the namespace itself.
        (Some(namespace), false) if about_namespace && *namespace == path.name => Ok(None),
        (None, true) => {
            let message = format!(
                "{} live in namespaces: …/namespaces/NAMESPACE/{}/…",
                path.resource, path.resource
            );
            Err(ApiError::not_found(message).about(about(path)))
        }
        (Some(_), false) => {
            let message = format!(
                "{} live in no namespace: …/{}/NAME/METRIC",
                path.resource, path.resource
            );
            Err(ApiError::not_found(message).about(about(path)))
        }
    }
}

pub(crate) async fn answer(adapter: &Adapter, path: &CustomPath, query: &ParsedQuery) -> Result<Response, ApiError> {
    let selectors = Selectors::parse(query)?;
    let rule = adapter.registry.settle(rule(adapter, path)?).await?;
    let kind = rule.kind()?;
    let namespace = namespace(path, &kind)?;
    let snapshot = rule.query.snapshot().await;
    let judge = Judge {
        rule: &rule,
        snapshot: &snapshot,
        board: &adapter.board,
        now: adapter.clock.now(),
        metric_selector: &selectors.metrics,
        reader: path.namespace.as_deref(),
    };
    let common = Common {
        version: path.version,
        kind: &kind,
        namespace,
        metric: rule.name(),
        selector: (!selectors.metrics.is_empty()).then_some(&selectors.metrics),
        window_s: rule.window_s,
    };
    judge.rows()?;
    let request = Request {
        adapter,
        path,
        judge,
        common,
    };
    let body = match path.name.as_str() {
        "*" => request.many(&selectors.objects).await?,
        name => request.one(name)?,
    };
    Ok(status::json_bytes(body))
}

struct Request<'a> {
    adapter: &'a Adapter,
    path: &'a CustomPath,
    judge: Judge<'a>,
    common: Common<'a>,
}

/// The rows of one object.
pub(crate) fn rows_of<'a>(
    judge: &Judge<'_>,
    snapshot: &'a Snapshot,
    namespace: Option<&str>,
    name: &str,
) -> Vec<&'a Row> {
    let mut rows = match namespace {
        Some(namespace) => snapshot.find(&[namespace, name]),
        None => snapshot.find(&[name]),
    };
    rows.retain(|row| judge.selects(row));
    rows
}

/// The value of one object. Where it is made of several results, a result that is gone because its exporter is down
/// makes the value partial: each of the others is complete.
pub(crate) fn pick(adapter: &Adapter, judge: &Judge<'_>, namespace: Option<&str>, name: &str) -> Pick {
    let rows = rows_of(judge, judge.snapshot, namespace, name);
    let pick = judge.object(&rows);
    let merges = judge
        .rule
        .config
        .on_duplicate
        .is_some_and(|how| how != OnDuplicate::Error);
    let (Pick::Value(answer), true) = (&pick, merges) else {
        return pick;
    };
    let check = Check {
        judge,
        namespace,
        object: Some(name),
        selector: &format!("{name}\u{1f}{}", judge.metric_selector),
        strangers: false,
    };
    match adapter.selections.check(&check, &rows, answer.milli.0 as f64 / 1000.0) {
        Ok(()) => pick,
        Err(_) if judge.rule.is_pods() => Pick::LeftOut(Reason::Partial),
        Err(why) => Pick::Failed(ApiError::unavailable(format!("metric {}: {why}", judge.rule.name()))),
    }
}

impl Request<'_> {
    fn pick(&self, name: &str) -> Pick {
        pick(self.adapter, &self.judge, self.common.namespace, name)
    }

    /// One object: exactly one item, for the HPA demands one.
    fn one(&self, name: &str) -> Result<String, ApiError> {
        let mut list = CustomList::new(&self.common, 1);
        match self.pick(name) {
            Pick::Value(answer) => {
                self.adapter.stats.clamped.add(u64::from(answer.clamped));
                list.push(name, &answer);
            }
            Pick::Failed(error) => return Err(error),
            Pick::LeftOut(reason) => {
                let mut left_out = LeftOut::default();
                left_out.add(reason);
                self.count(&left_out);
                match self.zero_for(reason)? {
                    Some(answer) => list.push(name, &answer),
                    None => return Err(self.nothing(&format!("{} {name}", self.path.resource), &[name], &left_out)),
                }
            }
        }
        Ok(list.finish())
    }

    /// An explicit zero for an object without a result, where the rule says so and nothing that could be missing is.
    fn zero_for(&self, reason: Reason) -> Result<Option<crate::query::Answer>, ApiError> {
        zero_for_empty(&self.judge, reason)
    }

    /// Every object that the selector selects and that has a value. The others are left out: the HPA takes a missing pod
    /// for one at its target when it scales down and for an idle one when it scales up.
    async fn many(&self, selector: &Selector) -> Result<String, ApiError> {
        let selected = self
            .adapter
            .objects
            .select(self.common.kind, self.common.namespace, selector)
            .await?;
        let mut list = CustomList::new(&self.common, selected.len());
        let (mut left_out, mut clamped) = (LeftOut::default(), 0);
        for i in 0..selected.len() {
            let name = selected.name(i);
            match self.pick(name) {
                Pick::Value(answer) => {
                    clamped += u64::from(answer.clamped);
                    list.push(name, &answer);
                }
                Pick::LeftOut(reason) => left_out.add(reason),
                Pick::Failed(error) => return Err(error),
            }
        }
        self.adapter.stats.clamped.add(clamped);
        self.count(&left_out);
        if list.is_empty() {
            let names: Vec<&str> = (0..selected.len()).map(|i| selected.name(i)).collect();
            return Err(self.nothing(&self.path.resource, &names, &left_out));
        }
        Ok(list.finish())
    }

    fn count(&self, left_out: &LeftOut) {
        for (reason, n) in left_out.counts() {
            self.adapter.stats.left_out(reason.as_str(), n);
        }
    }

    fn nothing(&self, what: &str, selected: &[&str], left_out: &LeftOut) -> ApiError {
        let asked = (selected, self.path.resource.as_str());
        let mut error = why_nothing(&self.judge, self.common.namespace, asked, left_out);
        if error.kind == Kind::NotFound {
            error.message = format!(
                "the server could not find the metric {} for {what}: {}",
                self.path.metric, error.message
            );
        }
        error.about(about(self.path))
    }
}

/// Why the objects that were asked for (names and their resource) have no value: 404, or where those that have results are
/// all warming up, the 503 of a cold metric.
pub(crate) fn why_nothing(
    judge: &Judge<'_>,
    namespace: Option<&str>,
    (names, resource): (&[&str], &str),
    left_out: &LeftOut,
) -> ApiError {
    let why = judge.why_empty(names.len(), resource, left_out);
    let of = |name: &&str| rows_of(judge, judge.snapshot, namespace, name);
    let rows: Vec<&Row> = names.iter().flat_map(of).collect();
    match warming_of(&rows).filter(|_| left_out.of(Reason::Warming) > 0) {
        Some(warming) => {
            let mut error = judge.warming_error(&warming);
            error.message = format!("{} ({why})", error.message);
            error
        }
        None => ApiError::not_found(why),
    }
}

/// The zero that `onEmpty: zero` answers where there is no result.
///
/// # Errors
/// 503 when the result may be empty only because targets are down.
pub(crate) fn zero_for_empty(judge: &Judge<'_>, reason: Reason) -> Result<Option<crate::query::Answer>, ApiError> {
    let config = &judge.rule.config;
    if reason != Reason::NoResult || config.on_empty != crate::config::OnEmpty::Zero {
        return Ok(None);
    }
    let shown = |target: &TargetState| judge.may_name(target);
    let (policy, partial) = (config.on_partial, config.partial.value);
    freshness::judge_empty_for(policy, partial, judge.snapshot, judge.board, shown)
        .map_err(|why| ApiError::unavailable(format!("metric {}: {why}", judge.rule.name())))?;
    let timestamp: Timestamp = judge.snapshot.at;
    Ok(Some(crate::query::Answer {
        milli: crate::quantity::Milli(0),
        timestamp,
        clamped: false,
    }))
}
