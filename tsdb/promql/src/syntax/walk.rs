//! Going through a tree: children, every node, every selector.

use super::ast::{Expr, ExprKind, Selector};
use leadline_model::Matcher;
use std::sync::Arc;

impl Expr {
    /// The direct children in the order of the text.
    pub fn children(&self) -> impl Iterator<Item = &Self> {
        let (pair, args): ([Option<&Self>; 2], &[Self]) = match &self.kind {
            ExprKind::Number(_)
            | ExprKind::Duration(_)
            | ExprKind::String(_)
            | ExprKind::Bytes(_)
            | ExprKind::Selector(_)
            | ExprKind::Matrix { .. } => ([None; 2], &[]),
            ExprKind::Subquery(subquery) => ([Some(&subquery.expr), None], &[]),
            ExprKind::Paren(expr) | ExprKind::Unary { expr, .. } => ([Some(expr), None], &[]),
            ExprKind::Binary(binary) => ([Some(&binary.left), Some(&binary.right)], &[]),
            ExprKind::Aggregate(aggregate) => ([aggregate.param.as_ref(), Some(&aggregate.expr)], &[]),
            ExprKind::Call(call) => ([None; 2], &call.args),
        };
        pair.into_iter().flatten().chain(args)
    }

    /// Calls `visit` for this node and everything below it, parents first.
    pub fn visit<'a>(&'a self, visit: &mut impl FnMut(&'a Self)) {
        visit(self);
        for child in self.children() {
            child.visit(visit);
        }
    }

    /// The direct children in the order of the text.
    #[must_use]
    pub fn children_mut(&mut self) -> Vec<&mut Self> {
        match &mut self.kind {
            ExprKind::Number(_)
            | ExprKind::Duration(_)
            | ExprKind::String(_)
            | ExprKind::Bytes(_)
            | ExprKind::Selector(_)
            | ExprKind::Matrix { .. } => Vec::new(),
            ExprKind::Subquery(subquery) => vec![&mut subquery.expr],
            ExprKind::Paren(expr) | ExprKind::Unary { expr, .. } => vec![expr],
            ExprKind::Binary(binary) => vec![&mut binary.left, &mut binary.right],
            ExprKind::Aggregate(aggregate) => aggregate.param.iter_mut().chain([&mut aggregate.expr]).collect(),
            ExprKind::Call(call) => call.args.iter_mut().collect(),
        }
    }

    /// Calls `visit` for the selector of every instant and range selector in the tree.
    pub fn for_each_selector_mut(&mut self, visit: &mut impl FnMut(&mut Selector)) {
        if let ExprKind::Selector(selector) | ExprKind::Matrix { selector, .. } = &mut self.kind {
            visit(selector);
        }
        for child in self.children_mut() {
            child.for_each_selector_mut(visit);
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
///
/// `info()` reads series that no selector of the tree names: they are kept to `matchers` as well. Its second argument
/// chooses labels rather than series and stays as it is.
pub fn inject(expr: &mut Expr, matchers: &[Matcher]) {
    match &mut expr.kind {
        ExprKind::Selector(selector) | ExprKind::Matrix { selector, .. } => {
            selector.matchers.extend_from_slice(matchers);
        }
        ExprKind::Call(call) if call.function == "info" => {
            call.injected.extend_from_slice(matchers);
            if let Some(base) = call.args.first_mut() {
                inject(base, matchers);
            }
        }
        _ => expr
            .children_mut()
            .into_iter()
            .for_each(|child| inject(child, matchers)),
    }
}
