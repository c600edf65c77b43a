//! `/api/v1/query_exemplars`.

use crate::listed::Listed;
use crate::number::{push_float, push_timestamp};
use crate::params::Params;
use crate::respond::{ApiError, parse_error, push_labels, streamed};
use crate::smallest::Weight;
use crate::{Api, selectors};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use leadline_model::exemplar::Exemplar;
use leadline_model::{Labels, Matcher};
use leadline_promql::check::parse_checked_with;
use leadline_promql::syntax::ast::{Expr, ExprKind};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// The exemplars of every series that the selectors of an expression match (`web/api/v1/api.go`, `queryExemplars`).
pub(crate) async fn find(State(api): State<Api>, params: Params) -> Result<Response, ApiError> {
    let (start, end) = selectors::times(&params)?;
    if end < start {
        return Err(ApiError::bad_data("end timestamp must not be before start timestamp"));
    }
    let text = params.query();
    let (expr, _) = parse_checked_with(text, api.engine.settings().features)
        .map_err(|e| ApiError::bad_data(parse_error(text, &e)))?;
    if matchers(&expr).is_empty() {
        // Prometheus has no data for an expression without selectors, and says so with a status.
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let store = api.queryable;
    let read = api.engine.read("reading of exemplars", move |reading| {
        // By labels, so that a series which several selectors match is there once.
        let (mut found, mut bytes) = (BTreeMap::<Labels, Vec<Exemplar>>::new(), 0);
        for matchers in matchers(&expr) {
            reading.look()?;
            for (labels, exemplars) in store.exemplars(matchers, start, end)? {
                if let Entry::Vacant(place) = found.entry(labels) {
                    bytes += place.key().bytes() + exemplars.iter().map(Weight::bytes).sum::<usize>();
                    place.insert(exemplars);
                }
            }
            reading.holds(bytes)?;
        }
        Ok(found)
    });
    let found = read.await?;
    let write = |out: &mut String, (labels, exemplars): (Labels, Vec<Exemplar>)| push_series(out, &labels, &exemplars);
    Ok(streamed(Listed::array(found.into_iter(), write, &[])))
}

impl Weight for Exemplar {
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.labels.as_bytes().len()
    }
}

fn matchers(expr: &Expr) -> Vec<&[Matcher]> {
    let mut found = Vec::new();
    expr.visit(&mut |node| match &node.kind {
        ExprKind::Selector(selector) | ExprKind::Matrix { selector, .. } => found.push(selector.matchers.as_slice()),
        _ => {}
    });
    found
}

fn push_series(out: &mut String, labels: &Labels, exemplars: &[Exemplar]) {
    out.push_str(r#"{"seriesLabels":"#);
    push_labels(out, labels);
    out.push_str(r#","exemplars":["#);
    for (i, exemplar) in exemplars.iter().enumerate() {
        out.push_str(if i > 0 { r#",{"labels":"# } else { r#"{"labels":"# });
        push_labels(out, &exemplar.labels);
        out.push_str(r#","value":"#);
        push_float(out, exemplar.v);
        out.push_str(r#","timestamp":"#);
        push_timestamp(out, exemplar.t);
        out.push('}');
    }
    out.push_str("]}");
}
