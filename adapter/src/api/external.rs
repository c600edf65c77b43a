//! Metrics of all else: `external.metrics.k8s.io`. The HPA sums the items.

use super::custom::zero_for_empty;
use super::route::{EXTERNAL, ExternalPath, ParsedQuery};
use super::types::{ExternalItem, external_list};
use super::{Adapter, status};
use crate::config::Scope;
use crate::error::{About, ApiError};
use crate::query::{Judge, LeftOut, Pick, Reason, metric_labels};
use crate::registry::{Lookup, Rule};
use crate::selection::Check;
use axum::response::Response;
use leadline_cluster::Selector;
use leadline_model::Labels;
use leadline_standing::{Row, Snapshot};
use std::sync::Arc;

/// The rule of a path, or why there is none.
///
/// # Errors
/// 404 without a rule, 503 when it is disabled.
pub(crate) fn rule(adapter: &Adapter, path: &ExternalPath) -> Result<Arc<Rule>, ApiError> {
    match adapter.registry.external(&path.metric) {
        Lookup::Rule(rule) => Ok(rule),
        Lookup::Disabled(why) => Err(ApiError::unavailable(format!(
            "external metric {} is disabled: {why}",
            path.metric
        ))),
        Lookup::Unknown => {
            let message = format!(
                "the server could not find the external metric {}: no rule defines it",
                path.metric
            );
            Err(ApiError::not_found(message).about(about(path)))
        }
    }
}

fn about(path: &ExternalPath) -> About {
    About {
        name: String::new(),
        group: EXTERNAL.to_owned(),
        kind: path.metric.clone(),
    }
}

/// The metric-label selector of an external request.
pub(crate) fn selector(query: &ParsedQuery) -> Result<Selector, ApiError> {
    if let Some(fault) = &query.fault {
        return Err(ApiError::bad_request(format!("invalid query: {fault}")));
    }
    Selector::parse(query.label_selector.as_deref().unwrap_or(""))
        .map_err(|e| ApiError::bad_request(format!("unable to parse labelSelector: {e}")))
}

/// The rows that count for a namespace and match the selector.
pub(crate) fn rows_of<'a>(judge: &Judge<'_>, snapshot: &'a Snapshot, namespace: &str) -> Vec<&'a Row> {
    let mut rows = match judge.rule.config.scope {
        Scope::Namespace => snapshot.find(&[namespace]),
        Scope::Cluster => snapshot.rows.as_deref().unwrap_or_default().iter().collect(),
    };
    rows.retain(|row| judge.selects(row));
    rows
}

/// The items of an answer, and what was left out.
///
/// # Errors
/// Whatever makes the whole answer wrong: a sum that lacks a part is no sum.
pub(crate) fn items(
    adapter: &Adapter,
    judge: &Judge<'_>,
    namespace: &str,
    left_out: &mut LeftOut,
) -> Result<Vec<ExternalItem>, ApiError> {
    judge.rows()?;
    let mut rows = rows_of(judge, judge.snapshot, namespace);
    if let Some(warming) = judge.too_young(&rows) {
        return Err(judge.warming_error(&warming));
    }
    let all = rows.len();
    rows.retain(|row| !judge.leaves_out(row));
    (rows.len()..all).for_each(|_| left_out.add(Reason::Warming));
    let mut items = Vec::with_capacity(rows.len());
    let mut take = |pick: Pick, labels: Labels| match pick {
        Pick::Value(answer) => {
            items.push(ExternalItem { labels, answer });
            Ok(())
        }
        Pick::LeftOut(reason) => {
            left_out.add(reason);
            Ok(())
        }
        Pick::Failed(error) => Err(error),
    };
    match judge.rule.config.on_duplicate {
        Some(how) if rows.len() > 1 => take(judge.several(&rows, how), Labels::empty())?,
        _ => rows
            .iter()
            .try_for_each(|row| take(judge.row(row), metric_labels(&row.labels)))?,
    }
    if rows.is_empty()
        && let Some(answer) = zero_for_empty(judge, Reason::NoResult)?
    {
        return Ok(vec![ExternalItem {
            labels: Labels::empty(),
            answer,
        }]);
    }
    if !rows.is_empty() {
        let check = Check {
            judge,
            namespace: (judge.rule.config.scope == Scope::Namespace).then_some(namespace),
            object: None,
            selector: &judge.metric_selector.to_string(),
            strangers: true,
        };
        let total = rows.iter().map(|r| r.value).filter(|v| v.is_finite()).sum();
        let checked = adapter.selections.check(&check, &rows, total);
        checked.map_err(|why| ApiError::unavailable(format!("metric {}: {why}", judge.rule.name())))?;
    }
    Ok(items)
}

/// What becomes of one result among several.
pub(crate) fn pick(judge: &Judge<'_>, row: &Row) -> Pick {
    match judge.leaves_out(row) {
        true => Pick::LeftOut(Reason::Warming),
        false => judge.row(row),
    }
}

pub(crate) async fn answer(adapter: &Adapter, path: &ExternalPath, query: &ParsedQuery) -> Result<Response, ApiError> {
    let selector = selector(query)?;
    let rule = rule(adapter, path)?;
    let snapshot = rule.query.snapshot().await;
    let now = adapter.clock.now();
    let judge = Judge {
        rule: &rule,
        snapshot: &snapshot,
        board: &adapter.board,
        now,
        metric_selector: &selector,
        reader: Some(&path.namespace),
    };
    let mut left_out = LeftOut::default();
    let items = items(adapter, &judge, &path.namespace, &mut left_out)?;
    for (reason, n) in left_out.counts() {
        adapter.stats.left_out(reason.as_str(), n);
    }
    if items.is_empty() {
        let why = why_empty(&judge, path, &left_out);
        let message = format!("the server could not find the external metric {}: {why}", path.metric);
        return Err(ApiError::not_found(message).about(about(path)));
    }
    adapter
        .stats
        .clamped
        .add(items.iter().filter(|i| i.answer.clamped).count() as u64);
    Ok(status::json_bytes(external_list(rule.name(), rule.window_s, &items)))
}

fn why_empty(judge: &Judge<'_>, path: &ExternalPath, left_out: &LeftOut) -> String {
    let rows = judge.snapshot.rows.as_deref().unwrap_or_default();
    let label = judge.rule.config.namespace_label();
    let scoped = judge.rule.config.scope == Scope::Namespace;
    if scoped && !rows.is_empty() && rows.iter().all(|r| r.labels.get(label).is_none()) {
        return format!(
            "the query has results, but none has the label {label}; a metric without one needs scope: cluster"
        );
    }
    let here = if scoped {
        judge.snapshot.find(&[path.namespace.as_str()]).len()
    } else {
        rows.len()
    };
    if here == 0 && scoped {
        return format!("the query has no result with {label}={:?}", path.namespace);
    }
    judge.why_empty(here, "results", left_out)
}
