//! What stands behind an operand: `[5m]`, `[1h:1m]`, `offset 5m`, `@ 123`. These bind tighter than any operator.

use super::super::ast::{At, BinaryOp, Expr, ExprKind, Shift, Span, Subquery};
use super::super::literal::LONGEST_SECONDS;
use super::super::token::{Keyword, Token, TokenKind};
use super::{Parsed, Parser, Tree};

const DURATION: &str = "number, duration, step(), or range()";
const DURATION_EXPRESSION: &str = "duration expressions: write the duration as one number such as 5m or 300";

impl Parser<'_> {
    pub(super) fn postfix(&mut self) -> Parsed<Tree> {
        let mut tree = self.operand()?;
        loop {
            let token = self.token();
            match token.kind {
                TokenKind::LeftBracket => tree = self.range(tree)?,
                TokenKind::Keyword(Keyword::Offset) => self.offset(&mut tree.expr)?,
                TokenKind::At => self.at_modifier(&mut tree.expr)?,
                TokenKind::Keyword(Keyword::Anchored | Keyword::Smoothed) => {
                    return Err(self.unsupported(token.span, "anchored and smoothed selectors"));
                }
                _ => return Ok(tree),
            }
        }
    }

    /// `[5m]` makes a range of a selector; `[1h:1m]` a subquery of anything.
    fn range(&mut self, tree: Tree) -> Parsed<Tree> {
        let open = self.bump();
        let range_ms = self.positive_duration("subquery or range selector", DURATION)?;
        match self.peek() {
            TokenKind::RightBracket => {
                let close = self.bump();
                self.matrix(
                    tree,
                    range_ms,
                    Span {
                        start: open.span.start,
                        end: close.span.end,
                    },
                )
            }
            TokenKind::Colon => {
                self.bump();
                self.subquery(tree, range_ms)
            }
            _ => Err(self.unexpected("subquery or range", "\":\" or \"]\"")),
        }
    }

    fn matrix(&self, tree: Tree, range_ms: i64, brackets: Span) -> Parsed<Tree> {
        let span = Span {
            start: tree.expr.span.start,
            end: brackets.end,
        };
        let ExprKind::Selector(selector) = tree.expr.kind else {
            return Err(self.error(brackets, "ranges only allowed for vector selectors"));
        };
        if selector.shift.offset_ms != 0 {
            return Err(self.error(brackets, "no offset modifiers allowed before range"));
        }
        if selector.shift.at.is_some() {
            return Err(self.error(brackets, "no @ modifiers allowed before range"));
        }
        self.node(ExprKind::Matrix { selector, range_ms }, span, 0)
    }

    fn subquery(&mut self, tree: Tree, range_ms: i64) -> Parsed<Tree> {
        let step_ms = if self.peek() == TokenKind::RightBracket {
            None
        } else {
            let expected = "number, duration, step(), range(), or \"]\"";
            let step_ms = self.positive_duration("subquery selector", expected)?;
            match self.peek() {
                TokenKind::RightBracket => {}
                _ => return Err(self.unexpected("subquery selector", "\"]\"")),
            }
            Some(step_ms)
        };
        let close = self.bump();
        let span = Span {
            start: tree.expr.span.start,
            end: close.span.end,
        };
        let subquery = Subquery {
            expr: *tree.expr,
            range_ms,
            step_ms,
            shift: Shift::default(),
        };
        self.node(ExprKind::Subquery(Box::new(subquery)), span, tree.height)
    }

    /// A duration in ms, at least one.
    fn positive_duration(&mut self, context: &str, expected: &str) -> Parsed<i64> {
        let start = self.token().span.start;
        let (seconds, span) = self.duration(context, expected)?;
        if let TokenKind::Operator(_) = self.peek() {
            return Err(self.unsupported(self.token().span, DURATION_EXPRESSION));
        }
        let span = Span { start, end: span.end };
        let ms = milliseconds(seconds);
        if seconds <= 0.0 || seconds.is_nan() {
            return Err(self.error(span, "duration must be greater than 0"));
        }
        if ms == 0 {
            return Err(self.error(span, "duration must be at least 1ms"));
        }
        Ok(ms)
    }

    /// A literal number of seconds or a duration, with a sign perhaps.
    fn duration(&mut self, context: &str, expected: &str) -> Parsed<(f64, Span)> {
        let first = self.token();
        let negate = first.kind == TokenKind::Operator(BinaryOp::Sub);
        if negate || first.kind == TokenKind::Operator(BinaryOp::Add) {
            self.bump();
        }
        match self.peek() {
            TokenKind::Number | TokenKind::Duration => {}
            TokenKind::LeftParen | TokenKind::Operator(BinaryOp::Add | BinaryOp::Sub) => {
                return Err(self.unsupported(self.token().span, DURATION_EXPRESSION));
            }
            TokenKind::Keyword(word) if word.names_a_function() && self.peek_behind() == TokenKind::LeftParen => {
                return Err(self.unsupported(self.token().span, DURATION_EXPRESSION));
            }
            _ => return Err(self.unexpected(context, expected)),
        }
        let (value, span) = self.literal_number()?;
        if value.abs() > LONGEST_SECONDS || !value.is_finite() {
            return Err(self.error(span, "duration out of range"));
        }
        Ok((if negate { -value } else { value }, span))
    }

    fn offset(&mut self, expr: &mut Expr) -> Parsed<()> {
        self.bump();
        let (seconds, span) = self.duration("offset", DURATION)?;
        let target = expr.span;
        let Some(shift) = shift_of(expr) else {
            let message = "offset modifier must be preceded by an instant vector selector or range vector selector \
                           or a subquery";
            return Err(self.error(target, message));
        };
        if shift.offset_ms != 0 {
            return Err(self.error(target, "offset may not be set multiple times"));
        }
        shift.offset_ms = milliseconds(seconds);
        expr.span.end = span.end;
        Ok(())
    }

    fn at_modifier(&mut self, expr: &mut Expr) -> Parsed<()> {
        self.bump();
        let (at, end) = self.at_time(expr.span)?;
        let target = expr.span;
        let Some(shift) = shift_of(expr) else {
            let message = "@ modifier must be preceded by an instant vector selector or range vector selector \
                           or a subquery";
            return Err(self.error(target, message));
        };
        if shift.at.is_some() {
            return Err(self.error(target, "@ <timestamp> may not be set multiple times"));
        }
        shift.at = Some(at);
        expr.span.end = end;
        Ok(())
    }

    /// What `@` names, and where it ends.
    fn at_time(&mut self, target: Span) -> Parsed<(At, u32)> {
        let Token { kind, .. } = self.token();
        if let TokenKind::Keyword(word @ (Keyword::Start | Keyword::End)) = kind {
            self.bump();
            self.expect(TokenKind::LeftParen, "@", "timestamp")?;
            let close = self.expect(TokenKind::RightParen, "@", "timestamp")?;
            return Ok((if word == Keyword::Start { At::Start } else { At::End }, close.span.end));
        }
        let negate = kind == TokenKind::Operator(BinaryOp::Sub);
        if negate || kind == TokenKind::Operator(BinaryOp::Add) {
            self.bump();
        }
        if !matches!(self.peek(), TokenKind::Number | TokenKind::Duration) {
            return Err(self.unexpected("@", "timestamp"));
        }
        let (value, span) = self.literal_number()?;
        let seconds = if negate { -value } else { value };
        // Prometheus' bound is on the seconds; in milliseconds the time must fit as well.
        let ms = (seconds * 1000.0).round();
        if !seconds.is_finite() || ms.abs() >= 9_223_372_036_854_775_807.0 {
            let shown = if seconds.is_infinite() {
                format!("{seconds:+}")
            } else {
                format!("{seconds:.6}")
            };
            let message = format!(
                "timestamp out of bounds for @ modifier: {}",
                shown.replace("inf", "Inf")
            );
            return Err(self.error(target, message));
        }
        Ok((At::Time(ms as i64), span.end))
    }
}

/// Where an expression keeps `offset` and `@`, if it can have them.
fn shift_of(expr: &mut Expr) -> Option<&mut Shift> {
    match &mut expr.kind {
        ExprKind::Selector(selector) | ExprKind::Matrix { selector, .. } => Some(&mut selector.shift),
        ExprKind::Subquery(subquery) => Some(&mut subquery.shift),
        _ => None,
    }
}

/// Seconds to ms as Prometheus does it: to nanoseconds, rounding, then down to ms.
fn milliseconds(seconds: f64) -> i64 {
    // Bounded by LONGEST_SECONDS, so the nanoseconds fit.
    ((seconds * 1e9).round() / 1e6).trunc() as i64
}
