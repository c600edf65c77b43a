//! Going through a tree: children, every node, every selector.

use super::ast::{Expr, ExprKind, Selector};
use leadline_model::Matcher;
use std::sync::Arc;

impl Expr {
    /// The direct children in the order of the text.
    #[must_use]
    pub fn children(&self) -> Vec<&Self> {
        match &self.kind {
            ExprKind::Number(_) | ExprKind::String(_) | ExprKind::Selector(_) | ExprKind::Matrix { .. } => Vec::new(),
            ExprKind::Subquery(subquery) => vec![&subquery.expr],
            ExprKind::Paren(expr) | ExprKind::Unary { expr, .. } => vec![expr],
            ExprKind::Binary(binary) => vec![&binary.left, &binary.right],
            ExprKind::Aggregate(aggregate) => aggregate.param.iter().chain([&aggregate.expr]).collect(),
            ExprKind::Call(call) => call.args.iter().collect(),
        }
    }

    /// Calls `visit` for this node and everything below it, parents first.
    pub fn visit<'a>(&'a self, visit: &mut impl FnMut(&'a Self)) {
        visit(self);
        for child in self.children() {
            child.visit(visit);
        }
    }

    /// Calls `visit` for the selector of every instant and range selector in the tree.
    pub fn for_each_selector_mut(&mut self, visit: &mut impl FnMut(&mut Selector)) {
        match &mut self.kind {
            ExprKind::Number(_) | ExprKind::String(_) => {}
            ExprKind::Selector(selector) | ExprKind::Matrix { selector, .. } => visit(selector),
            ExprKind::Subquery(subquery) => subquery.expr.for_each_selector_mut(visit),
            ExprKind::Paren(expr) | ExprKind::Unary { expr, .. } => expr.for_each_selector_mut(visit),
            ExprKind::Binary(binary) => {
                binary.left.for_each_selector_mut(visit);
                binary.right.for_each_selector_mut(visit);
            }
            ExprKind::Aggregate(aggregate) => {
                if let Some(param) = &mut aggregate.param {
                    param.for_each_selector_mut(visit);
                }
                aggregate.expr.for_each_selector_mut(visit);
            }
            ExprKind::Call(call) => call.args.iter_mut().for_each(|arg| arg.for_each_selector_mut(visit)),
        }
    }

    /// This expression without the parentheses around it.
    #[must_use]
    pub fn unwrapped(&self) -> &Self {
        match &self.kind {
            ExprKind::Paren(inner) => inner.unwrapped(),
            _ => self,
        }
    }
}

impl Selector {
    /// The matchers behind a counter, as plans and registrations share them.
    #[must_use]
    pub fn shared_matchers(&self) -> Arc<[Matcher]> {
        Arc::from(self.matchers.as_slice())
    }
}

/// Adds `matchers` to every selector of the tree and replaces nothing: a selector that contradicts them finds nothing.
/// This is how a namespace's own expressions are kept to its own series; text is never spliced.
pub fn inject(expr: &mut Expr, matchers: &[Matcher]) {
    expr.for_each_selector_mut(&mut |selector| selector.matchers.extend_from_slice(matchers));
}
