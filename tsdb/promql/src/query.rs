//! A parsed and checked query, as an engine runs it.

use crate::check;
use crate::diagnostic::ParseError;
use crate::eval::{QueryRange, constant, invariant, length, remembered};
use crate::syntax::Features;
use crate::syntax::ast::{AggregateOp, Expr, ExprKind, Span};
use leadline_model::matcher::MatchOp;
use leadline_model::port::Shape;
use leadline_model::{Matcher, Timestamp};
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// A parsed and checked expression; cheap to clone, and meant to be kept where it is run again: it remembers what it
/// cost.
#[derive(Debug, Clone)]
pub struct Query(Arc<Prepared>);

/// Says that a query has not run yet.
const NEVER: u64 = u64::MAX;

/// What an evaluation took tells something of those at most so far (ms) from it.
const NEAR_MS: u64 = 10 * 60 * 1_000;

#[derive(Debug)]
pub(crate) struct Prepared {
    expr: Expr,
    /// The tree that is evaluated, where calculations with constants make it another.
    folded: Option<Expr>,
    /// The text that the spans of `expr` point into.
    text: String,
    shape: Shape,
    /// Whether lengths of time in `expr` depend on the query's step or range, or are arithmetic.
    computed: bool,
    /// Whether the order of series shows in the result.
    ordered: bool,
    /// Whether something is read at a fixed time.
    fixes: bool,
    /// The matchers of selectors that stand in it more than once.
    repeated: Vec<Vec<Matcher>>,
    /// How long the last instant evaluation took, microseconds, and at which time (ms) it was.
    last_us: AtomicU64,
    last_at: AtomicI64,
    /// Of each pattern in it about how many instructions its engine has; 0 where it needs none.
    patterns: Vec<usize>,
}

/// Whether the expression has an aggregation that keeps the first of equals, or one whose rounding depends on the order.
/// Sums, and the smaller of 0 and -0, tell themselves where their order shows (`eval/certain_sum.rs`).
fn order_shows(expr: &Expr) -> bool {
    use AggregateOp::{Avg, Bottomk, Limitk, Stddev, Stdvar, Topk};
    let mut shows = false;
    expr.visit(&mut |node| {
        if let ExprKind::Aggregate(aggregate) = &node.kind {
            shows |= matches!(aggregate.op, Avg | Bottomk | Limitk | Stddev | Stdvar | Topk);
        }
    });
    shows
}

/// [`Query::patterns`] of a tree.
fn patterns(expr: &Expr) -> Vec<usize> {
    let mut patterns = Vec::new();
    let mut add = |matchers: &[Matcher]| {
        let with_pattern = |m: &&Matcher| matches!(m.op(), MatchOp::Regex | MatchOp::NotRegex);
        patterns.extend(matchers.iter().filter(with_pattern).map(Matcher::pattern_weight));
    };
    expr.visit(&mut |node| match &node.kind {
        ExprKind::Selector(selector) | ExprKind::Matrix { selector, .. } => add(&selector.matchers),
        ExprKind::Call(call) => add(&call.injected),
        _ => {}
    });
    patterns
}

impl Query {
    /// Parses and checks `text`, whatever parts of the language are enabled elsewhere.
    ///
    /// # Errors
    /// The first mistake and its place.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        Self::parse_with(text, Features::LANGUAGE)
    }

    /// Parses and checks `text`.
    ///
    /// # Errors
    /// The first mistake and its place, or what of the language is not enabled.
    pub fn parse_with(text: &str, features: Features) -> Result<Self, ParseError> {
        let (expr, shape) = check::parse_checked_with(text, features)?;
        Ok(Self::assemble(expr, text, shape))
    }

    /// From a tree that was parsed from `text` and may have been changed since (matchers injected, say).
    ///
    /// # Errors
    /// The first mistake of types and its place.
    pub fn from_expr(expr: Expr, text: &str) -> Result<Self, ParseError> {
        let shape = check::check(text, &expr)?;
        Ok(Self::assemble(expr, text, shape))
    }

    fn assemble(expr: Expr, text: &str, shape: Shape) -> Self {
        let text = text.to_owned();
        Self(Arc::new(Prepared {
            computed: length::is_computed(&expr),
            ordered: order_shows(&expr),
            fixes: invariant::fixes_times(&expr),
            folded: constant::folded(&expr),
            repeated: remembered::repeated(&expr),
            patterns: patterns(&expr),
            expr,
            text,
            shape,
            last_us: AtomicU64::new(NEVER),
            last_at: AtomicI64::new(0),
        }))
    }

    /// The tree.
    #[must_use]
    pub fn expr(&self) -> &Expr {
        &self.0.expr
    }

    /// The tree as it is evaluated at `times`, without computed lengths of time and calculations with constants.
    ///
    /// # Errors
    /// What is wrong with such a length, and its place.
    pub(crate) fn at(&self, times: QueryRange) -> Result<Cow<'_, Expr>, String> {
        let expr = self.0.folded.as_ref().unwrap_or(&self.0.expr);
        if !self.0.computed {
            return Ok(Cow::Borrowed(expr));
        }
        let mut expr = expr.clone();
        length::resolve(&mut expr, times)?;
        Ok(Cow::Owned(expr))
    }

    /// Where calculations with constants stand whose results are in the tree that is evaluated.
    pub(crate) fn folded_spans(&self) -> Vec<Span> {
        self.0
            .folded
            .as_ref()
            .map_or_else(Vec::new, |_| constant::places(&self.0.expr))
    }

    /// Whether the order of series shows in the result: Prometheus reads them in that of their labels.
    pub(crate) fn is_ordered(&self) -> bool {
        self.0.ordered
    }

    /// The matchers of selectors that stand in it more than once.
    pub(crate) fn repeated(&self) -> &[Vec<Matcher>] {
        &self.0.repeated
    }

    /// Whether something is read at a fixed time.
    pub(crate) fn fixes_times(&self) -> bool {
        self.0.fixes
    }

    /// The text as it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// The type of the value.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.0.shape
    }

    /// How long (us) the last instant evaluation took, if there was one, and at a time near `at` (ms): at another there may have
    /// been nothing to read.
    pub(crate) fn last_us(&self, at: Timestamp) -> Option<u64> {
        let us = Some(self.0.last_us.load(Ordering::Relaxed)).filter(|&us| us != NEVER)?;
        (self.0.last_at.load(Ordering::Relaxed).abs_diff(at) <= NEAR_MS).then_some(us)
    }

    /// Notes how long (us) an instant evaluation at a time (ms) took.
    pub(crate) fn took(&self, us: u64, at: Timestamp) {
        self.0.last_at.store(at, Ordering::Relaxed);
        self.0.last_us.store(us.min(NEVER - 1), Ordering::Relaxed);
    }

    /// Of each pattern in it about how many instructions its engine has; 0 where it needs none.
    pub(crate) fn patterns(&self) -> impl Iterator<Item = usize> {
        self.0.patterns.iter().copied()
    }
}
