//! The engine behind the port through which everybody else evaluates.

use crate::check::{Motion, describe, motion, plan_selectors};
use crate::engine::{Engine, Options};
use crate::eval::QueryRange;
use crate::query::Query;
use crate::syntax::ast::ExprKind;
use crate::syntax::{Features, inject, parse_with};
use crate::value::Value;
use leadline_model::port::{self, EvaluateError, Evaluation, Plan, PrepareError, Shape};
use leadline_model::provenance::Provenance;
use leadline_model::{Labels, Matcher, Timestamp};
use std::sync::Arc;

/// What is told where an answer has native histograms, which are no number.
const LEFT_OUT: &str = "native histograms were left out: only numbers can be scaled on";

/// The most warnings and infos that come with an answer.
const MOST_WARNINGS: usize = 10;

/// Builds the plan of an expression; `matchers` are added to every selector of its tree.
fn plan(text: &str, features: Features, matchers: &[Matcher]) -> Result<Plan, PrepareError> {
    let mut expr = parse_with(text, features)?;
    inject(&mut expr, matchers);
    let query = Query::from_expr(expr, text)?;
    // Plans are evaluated at single times, at which computed lengths do not depend on the time.
    let times = QueryRange::instant(0);
    let expr = query.at(times).map_err(|message| PrepareError {
        line: 1,
        column: 1,
        message,
    })?;
    Ok(Plan {
        text: named(&query),
        shape: query.shape(),
        selectors: plan_selectors(&expr),
        moves_with_time: motion(&expr) != Motion::Still,
        engine: Arc::new(query),
    })
}

/// The text under which a plan is known. What `info()` is kept to stands in no selector of the tree, so it is told behind it:
/// plans that read different series have different texts.
fn named(query: &Query) -> String {
    let mut text = query.expr().to_string();
    query.expr().visit(&mut |node| {
        if let ExprKind::Call(call) = &node.kind {
            for matcher in &call.injected {
                text.push_str(&format!(" # info() of {matcher}"));
            }
        }
    });
    text
}

#[async_trait::async_trait]
impl port::Evaluate for Engine {
    fn prepare(&self, text: &str, inject: &[Matcher]) -> Result<Arc<Plan>, PrepareError> {
        plan(text, self.settings().features, inject).map(Arc::new)
    }

    async fn evaluate(&self, plan: &Arc<Plan>, at: Timestamp) -> Result<Evaluation, EvaluateError> {
        let Some(query) = plan.engine.downcast_ref::<Query>() else {
            return Err(EvaluateError::Execution(
                "the plan was made by another engine".to_owned(),
            ));
        };
        if matches!(plan.shape, Shape::Matrix | Shape::String) {
            let text = format!("an expression of type {} has no value", describe(plan.shape));
            return Err(EvaluateError::Execution(text));
        }
        // Before anything is selected: what is seen is at least this.
        let generation = self.store.generation();
        let result = self.instant(query, at, Options::default()).await?;
        let mut warnings = result.warnings;
        warnings.extend(result.infos);
        warnings.truncate(MOST_WARNINGS);
        let values = match result.value {
            // Nothing scales on a distribution: histograms are left out, and a warning says so.
            Value::Vector(samples) => {
                let all = samples.len();
                let floats: Vec<_> = samples
                    .into_iter()
                    .filter_map(|sample| {
                        Some(port::Value {
                            value: sample.value.float()?,
                            labels: sample.labels,
                            provenance: sample.provenance,
                        })
                    })
                    .collect();
                (floats.len() < all).then(|| warnings.push(LEFT_OUT.to_owned()));
                floats
            }
            Value::Scalar(value) => {
                let provenance = result.provenance.unwrap_or_else(Provenance::none);
                vec![port::Value {
                    labels: Labels::empty(),
                    value,
                    provenance,
                }]
            }
            Value::Matrix(_) | Value::String(_) => Vec::new(),
        };
        Ok(Evaluation {
            generation,
            at,
            values,
            warnings,
        })
    }
}
