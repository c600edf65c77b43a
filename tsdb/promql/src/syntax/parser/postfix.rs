//! What stands behind an operand: `[5m]`, `[1h:1m]`, `offset 5m`, `@ 123`. These bind tighter than any operator.

use super::super::ast::{At, BinaryOp, Border, ComputedParts, DurationExpr, Expr, ExprKind, Shift, Span, Subquery};
use super::super::token::{Keyword, Token, TokenKind};
use super::duration::{DURATION, DURATION_OR_END, Length, Wanted};
use super::{Parsed, Parser, Tree};

impl Parser<'_> {
    pub(super) fn postfix(&mut self) -> Parsed<Tree> {
        let mut tree = self.operand()?;
        loop {
            let token = self.token();
            match token.kind {
                TokenKind::LeftBracket => tree = self.range(tree)?,
                TokenKind::Keyword(Keyword::Offset) => self.offset(&mut tree.expr)?,
                TokenKind::At => self.at_modifier(&mut tree.expr)?,
                TokenKind::Keyword(Keyword::Anchored) => self.border(&mut tree.expr, Border::Anchored)?,
                TokenKind::Keyword(Keyword::Smoothed) => self.border(&mut tree.expr, Border::Smoothed)?,
                _ => return Ok(tree),
            }
        }
    }

    /// `[5m]` makes a range of a selector; `[1h:1m]` a subquery of anything.
    fn range(&mut self, tree: Tree) -> Parsed<Tree> {
        let open = self.bump();
        let range = self.window_length(Wanted {
            context: "subquery or range selector",
            expected: DURATION,
        })?;
        match self.peek() {
            TokenKind::RightBracket => {
                let close = self.bump();
                let brackets = Span {
                    start: open.span.start,
                    end: close.span.end,
                };
                self.matrix(tree, range, brackets)
            }
            TokenKind::Colon => {
                self.bump();
                self.subquery(tree, range)
            }
            _ => Err(self.unexpected("subquery or range", "\":\" or \"]\"")),
        }
    }

    fn matrix(&self, tree: Tree, range: Length, brackets: Span) -> Parsed<Tree> {
        let span = Span {
            start: tree.expr.span.start,
            end: brackets.end,
        };
        let ExprKind::Selector(selector) = tree.expr.kind else {
            return Err(self.error(brackets, "ranges only allowed for vector selectors"));
        };
        if selector.shift.offset_ms != 0 || selector.computed_offset.is_some() {
            return Err(self.error(brackets, "no offset modifiers allowed before range"));
        }
        if selector.shift.at.is_some() {
            return Err(self.error(brackets, "no @ modifiers allowed before range"));
        }
        let (range_ms, computed) = range.parts();
        let kind = ExprKind::Matrix {
            selector,
            range_ms,
            computed,
        };
        self.node(kind, span, 0)
    }

    fn subquery(&mut self, tree: Tree, range: Length) -> Parsed<Tree> {
        let (step_ms, computed_step) = if self.peek() == TokenKind::RightBracket {
            (None, None)
        } else {
            let step = self.step_length(Wanted {
                context: "subquery selector",
                expected: DURATION_OR_END,
            })?;
            if self.peek() != TokenKind::RightBracket {
                return Err(self.unexpected("subquery selector", "\"]\""));
            }
            match step {
                Length::Fixed(ms) => (Some(ms), None),
                Length::Computed(expr) => (None, Some(expr)),
            }
        };
        let close = self.bump();
        let span = Span {
            start: tree.expr.span.start,
            end: close.span.end,
        };
        let (range_ms, computed_range) = range.parts();
        let subquery = Subquery {
            expr: *tree.expr,
            range_ms,
            step_ms,
            shift: Shift::default(),
            computed: ComputedParts {
                range: computed_range,
                step: computed_step,
                offset: None,
            },
        };
        self.node(ExprKind::Subquery(Box::new(subquery)), span, tree.height)
    }

    fn offset(&mut self, expr: &mut Expr) -> Parsed<()> {
        self.bump();
        let (length, end) = self.offset_length()?;
        let target = expr.span;
        let Some((shift, computed)) = shift_of(expr) else {
            let message = "offset modifier must be preceded by an instant vector selector or range vector selector \
                           or a subquery";
            return Err(self.error(target, message));
        };
        if shift.offset_ms != 0 || computed.is_some() {
            return Err(self.error(target, "offset may not be set multiple times"));
        }
        (shift.offset_ms, *computed) = length.parts();
        expr.span.end = end;
        Ok(())
    }

    /// `anchored` or `smoothed` behind a selector.
    fn border(&mut self, expr: &mut Expr, border: Border) -> Parsed<()> {
        let word = self.bump();
        let name = if border == Border::Anchored {
            "anchored"
        } else {
            "smoothed"
        };
        let problem = match &mut expr.kind {
            ExprKind::Selector(selector) | ExprKind::Matrix { selector, .. } => {
                if selector.border == Border::Open || selector.border == border {
                    selector.border = border;
                    expr.span.end = word.span.end;
                    return Ok(());
                }
                "anchored and smoothed modifiers cannot be used together".to_owned()
            }
            ExprKind::Subquery(_) => format!("{name} modifier is not supported for subqueries"),
            _ => format!("{name} modifier not implemented"),
        };
        Err(self.error(expr.span, problem))
    }

    fn at_modifier(&mut self, expr: &mut Expr) -> Parsed<()> {
        self.bump();
        let (at, end) = self.at_time(expr.span)?;
        let target = expr.span;
        let Some((shift, _)) = shift_of(expr) else {
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

/// Where an expression keeps `offset` and `@`, if it can have them, and what computes the offset.
fn shift_of(expr: &mut Expr) -> Option<(&mut Shift, &mut Option<Box<DurationExpr>>)> {
    match &mut expr.kind {
        ExprKind::Selector(selector) | ExprKind::Matrix { selector, .. } => {
            Some((&mut selector.shift, &mut selector.computed_offset))
        }
        ExprKind::Subquery(subquery) => Some((&mut subquery.shift, &mut subquery.computed.offset)),
        _ => None,
    }
}
