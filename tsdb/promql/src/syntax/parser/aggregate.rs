//! `sum by (x) (…)`, with the grouping before or behind.

use super::super::ast::{Aggregate, AggregateOp, ExprKind, Span};
use super::super::lexer::is_unquoted_name;
use super::super::token::{Keyword, TokenKind};
use super::{Parsed, Parser, Tree};
use crate::diagnostic::ParseError;
use leadline_model::quote::QuotedBytes;

impl Parser<'_> {
    /// Whether the word here opens an aggregation (else it may be a metric's name).
    pub(super) fn opens_aggregation(&self) -> bool {
        matches!(
            self.peek_behind(),
            TokenKind::LeftParen | TokenKind::Keyword(Keyword::By | Keyword::Without)
        )
    }

    pub(super) fn aggregation(&mut self, op: AggregateOp) -> Parsed<Tree> {
        let word = self.bump();
        self.aggregations += 1;
        let before = self.grouping_clause()?;
        if self.peek() != TokenKind::LeftParen {
            return Err(self.unexpected("aggregation", ""));
        }
        let (args, below, mut end) = self.arguments()?;
        let clause = match before {
            Some(clause) => Some(clause),
            // Whether a clause follows is asked before anything is said about the arguments.
            None if self.peek() == TokenKind::Broken => return Err(self.unexpected("", "")),
            None => {
                let behind = self.grouping_clause()?;
                end = behind.as_ref().map_or(end, |clause| clause.end);
                behind
            }
        };
        self.aggregations -= 1;
        let span = Span {
            start: word.span.start,
            end,
        };
        let expected = if op.takes_parameter() { 2 } else { 1 };
        if args.is_empty() {
            return Err(self.error(span, "no arguments for aggregate expression provided"));
        }
        if op.is_experimental() && !self.features.experimental_functions {
            let message = format!(
                "{op}() is experimental and must be enabled with --enable-feature=promql-experimental-functions"
            );
            return Err(self.error(span, message));
        }
        if args.len() != expected {
            let message = format!(
                "wrong number of arguments for aggregate expression provided, expected {expected}, got {}",
                args.len()
            );
            return Err(self.error(span, message));
        }
        let mut args = args.into_iter();
        let param = if op.takes_parameter() { args.next() } else { None };
        let Some(expr) = args.next() else {
            return Err(self.error(span, "no arguments for aggregate expression provided"));
        };
        let (without, labels) = clause.map_or_else(Default::default, |clause| (clause.without, clause.labels));
        let aggregate = Aggregate {
            op,
            without,
            labels,
            param,
            expr,
            unquoted_names: self.features.unquoted_names,
        };
        self.node(ExprKind::Aggregate(Box::new(aggregate)), span, below)
    }

    fn grouping_clause(&mut self) -> Parsed<Option<Clause>> {
        let without = match self.peek() {
            TokenKind::Keyword(Keyword::By) => false,
            TokenKind::Keyword(Keyword::Without) => true,
            _ => return Ok(None),
        };
        self.bump();
        let (labels, end) = self.grouping_labels()?;
        Ok(Some(Clause { without, labels, end }))
    }

    /// `(a, "b", c)`: the labels and where the parenthesis closes.
    pub(super) fn grouping_labels(&mut self) -> Parsed<(Vec<String>, u32)> {
        const CONTEXT: &str = "grouping opts";
        self.expect(TokenKind::LeftParen, CONTEXT, "\"(\"")?;
        let mut labels = Vec::new();
        loop {
            if self.peek() == TokenKind::RightParen && (labels.is_empty() || self.follows_comma()) {
                return Ok((labels, self.bump().span.end));
            }
            labels.push(self.grouping_label()?);
            match self.peek() {
                TokenKind::Comma => {
                    self.bump();
                }
                TokenKind::RightParen => return Ok((labels, self.bump().span.end)),
                _ => return Err(self.unexpected(CONTEXT, "\",\" or \")\"")),
            }
        }
    }

    fn follows_comma(&self) -> bool {
        self.at
            .checked_sub(1)
            .and_then(|i| self.tokens.get(i))
            .is_some_and(|token| token.kind == TokenKind::Comma)
    }

    fn grouping_label(&mut self) -> Parsed<String> {
        let token = self.token();
        let label = match token.kind {
            TokenKind::String => {
                let name = self.unquoted(token.span)?;
                String::from_utf8(name).map_err(|error| self.no_label(token.span, error.as_bytes()))?
            }
            TokenKind::Keyword(Keyword::Without) => return Err(self.unexpected("grouping opts", "label")),
            TokenKind::Identifier | TokenKind::MetricIdentifier | TokenKind::Aggregator(_) | TokenKind::Keyword(_) => {
                self.text_of(token.span).to_owned()
            }
            TokenKind::Operator(op) if op.as_str().starts_with(|c: char| c.is_ascii_alphabetic()) => {
                self.text_of(token.span).to_owned()
            }
            _ => return Err(self.unexpected("grouping opts", "label")),
        };
        let unquoted = token.kind != TokenKind::String && self.features.unquoted_names;
        if label.is_empty() || (unquoted && !is_unquoted_name(&label)) {
            return Err(self.no_label(token.span, label.as_bytes()));
        }
        self.bump();
        Ok(label)
    }

    fn no_label(&self, span: Span, name: &[u8]) -> Box<ParseError> {
        let message = format!("invalid label name for grouping: {}", QuotedBytes(name));
        self.error(span, message)
    }
}

/// `by (…)` or `without (…)`.
struct Clause {
    without: bool,
    labels: Vec<String>,
    /// Where its parenthesis closes.
    end: u32,
}
