//! Lengths of time: `5m`, `300`, and arithmetic on them and on the query's step and range.

use super::super::ast::{BinaryOp, DurationExpr, DurationKind, Span};
use super::super::literal::LONGEST_SECONDS;
use super::super::token::{Keyword, Token, TokenKind};
use super::{Parsed, Parser};

/// What may stand where a length of time is expected.
pub(super) const DURATION: &str = "number, duration, step(), or range()";
/// The same where a subquery's step may be left out.
pub(super) const DURATION_OR_END: &str = "number, duration, step(), range(), or \"]\"";

const OUT_OF_RANGE: &str = "duration out of range";

/// Where a length of time stands, for errors.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    /// What surrounds it.
    pub(super) context: &'static str,
    /// What may stand there.
    pub(super) expected: &'static str,
}

/// A length of time as it was written.
pub(super) enum Length {
    /// Whole in the text: ms.
    Fixed(i64),
    /// Known once the query's step and range are.
    Computed(Box<DurationExpr>),
}

impl Length {
    /// The ms (0 while unknown), and what computes them.
    pub(super) fn parts(self) -> (i64, Option<Box<DurationExpr>>) {
        match self {
            Self::Fixed(ms) => (ms, None),
            Self::Computed(expr) => (0, Some(expr)),
        }
    }
}

/// A duration expression and its height.
struct Tree {
    expr: Box<DurationExpr>,
    height: u32,
}

impl Parser<'_> {
    /// The length of a window, which is greater than 0, as far as that is known yet. One below 1 ms holds nothing.
    pub(super) fn window_length(&mut self, wanted: Wanted) -> Parsed<Length> {
        let expr = self.duration_expression(0, wanted)?.expr;
        match literal(&expr) {
            // The text keeps what the milliseconds would lose.
            Some(seconds) if seconds > 0.0 && milliseconds(seconds) == 0 => Ok(Length::Computed(expr)),
            _ => self.positive(expr),
        }
    }

    /// The step of a subquery, which is greater than 0, as far as that is known yet.
    pub(super) fn step_length(&mut self, wanted: Wanted) -> Parsed<Length> {
        let expr = self.duration_expression(0, wanted)?.expr;
        self.positive(expr)
    }

    fn positive(&self, expr: Box<DurationExpr>) -> Parsed<Length> {
        let Some(seconds) = literal(&expr) else {
            return Ok(Length::Computed(expr));
        };
        if seconds <= 0.0 || seconds.is_nan() {
            return Err(self.error(expr.span, "duration must be greater than 0"));
        }
        match milliseconds(seconds) {
            0 => Err(self.error(expr.span, "duration must be at least 1ms")),
            ms => Ok(Length::Fixed(ms)),
        }
    }

    /// What stands behind `offset`, and where it ends. A literal, a call and a group behind a sign end it: operators
    /// that follow belong to the expression around it. Behind a group without a sign they go on computing the offset.
    pub(super) fn offset_length(&mut self) -> Parsed<(Length, u32)> {
        let wanted = Wanted {
            context: "offset",
            expected: DURATION,
        };
        let first = self.token();
        let signed = sign_of(first.kind).is_some();
        let operand = if signed { self.peek_behind() } else { first.kind };
        let ends_it = match operand {
            TokenKind::Number | TokenKind::Duration => true,
            TokenKind::Keyword(word) => is_duration_function(word),
            TokenKind::LeftParen => signed,
            _ => false,
        };
        let expr = if ends_it {
            self.signed_operand(wanted)?.expr
        } else {
            let tree = self.duration_expression(0, wanted)?;
            // Two signs may become one or none, behind which an operator would not belong to the offset any more.
            if signed && matches!(tree.expr.kind, DurationKind::Binary(..)) {
                let span = tree.expr.span;
                self.duration_node(DurationKind::Group(tree.expr), span, tree.height)?
                    .expr
            } else {
                tree.expr
            }
        };
        let end = self.end_of_last();
        Ok(match literal(&expr) {
            Some(seconds) => (Length::Fixed(milliseconds(seconds)), end),
            None => (Length::Computed(expr), end),
        })
    }

    /// Where the word before this place ends.
    fn end_of_last(&self) -> u32 {
        let last = self.at.checked_sub(1).and_then(|i| self.tokens.get(i));
        last.map_or(0, |token| token.span.end)
    }

    /// Operands and operators that bind at least as tightly as `min`.
    fn duration_expression(&mut self, min: u8, wanted: Wanted) -> Parsed<Tree> {
        let mut left = self.duration_unary(wanted)?;
        loop {
            let token = self.token();
            let op = match token.kind {
                TokenKind::Operator(op) if is_arithmetic(op) && op.precedence() >= min => op,
                _ => return Ok(left),
            };
            self.bump();
            let tighter = op.precedence() + u8::from(op != BinaryOp::Pow);
            let right = self.deeper(|p| p.duration_expression(tighter, wanted))?;
            if literal(&right.expr) == Some(0.0) {
                match op {
                    BinaryOp::Div => return Err(self.error(token.span, "division by zero")),
                    BinaryOp::Mod => return Err(self.error(token.span, "modulo by zero")),
                    _ => {}
                }
            }
            let span = Span {
                start: left.expr.span.start,
                end: right.expr.span.end,
            };
            let height = left.height.max(right.height);
            left = self.duration_node(DurationKind::Binary(op, left.expr, right.expr), span, height)?;
        }
    }

    /// A sign binds like `*`: looser than `^`.
    fn duration_unary(&mut self, wanted: Wanted) -> Parsed<Tree> {
        let token = self.token();
        let Some(negate) = sign_of(token.kind) else {
            return self.duration_operand(wanted);
        };
        self.bump();
        let operand = self.deeper(|p| p.duration_expression(BinaryOp::TIGHTEST, wanted))?;
        self.with_sign(negate, token, operand)
    }

    /// One operand with at most one sign, and no operator behind it.
    fn signed_operand(&mut self, wanted: Wanted) -> Parsed<Tree> {
        let token = self.token();
        let Some(negate) = sign_of(token.kind) else {
            return self.duration_operand(wanted);
        };
        self.bump();
        let literal = self.token();
        let operand = self
            .duration_operand(wanted)
            .map_err(|error| match error.span == literal.span {
                // Upstream points at the sign.
                true if error.message == OUT_OF_RANGE => self.error(token.span, OUT_OF_RANGE),
                _ => error,
            })?;
        self.with_sign(negate, token, operand)
    }

    fn with_sign(&self, negate: bool, sign: Token, mut operand: Tree) -> Parsed<Tree> {
        let span = Span {
            start: sign.span.start,
            end: operand.expr.span.end,
        };
        match &mut operand.expr.kind {
            DurationKind::Number(seconds) | DurationKind::Duration(seconds) => {
                if negate {
                    *seconds = -*seconds;
                }
                operand.expr.span = span;
                Ok(operand)
            }
            _ if negate => self.duration_node(DurationKind::Negate(operand.expr), span, operand.height),
            _ => Ok(operand),
        }
    }

    fn duration_operand(&mut self, wanted: Wanted) -> Parsed<Tree> {
        let token = self.token();
        match token.kind {
            TokenKind::Number | TokenKind::Duration => {
                let (value, span) = self.literal_number()?;
                if value.abs() > LONGEST_SECONDS || !value.is_finite() {
                    return Err(self.error(span, OUT_OF_RANGE));
                }
                let kind = if token.kind == TokenKind::Duration {
                    DurationKind::Duration(value)
                } else {
                    DurationKind::Number(value)
                };
                self.duration_node(kind, span, 0)
            }
            TokenKind::LeftParen => {
                self.bump();
                let inner = self.deeper(|p| p.duration_expression(0, wanted))?;
                let close = self.expect(TokenKind::RightParen, wanted.context, wanted.expected)?;
                let span = Span {
                    start: token.span.start,
                    end: close.span.end,
                };
                self.duration_node(DurationKind::Group(inner.expr), span, inner.height)
            }
            TokenKind::Keyword(word) if is_duration_function(word) => self.duration_call(word, wanted),
            _ => Err(self.unexpected(wanted.context, wanted.expected)),
        }
    }

    /// `step()`, `range()`, `min_of(a, b)`, `max_of(a, b)`.
    fn duration_call(&mut self, word: Keyword, wanted: Wanted) -> Parsed<Tree> {
        let Wanted { context, expected } = wanted;
        let name = self.bump();
        self.expect(TokenKind::LeftParen, context, expected)?;
        let (kind, below) = match word {
            Keyword::Step => (DurationKind::Step, 0),
            Keyword::Range => (DurationKind::Range, 0),
            _ => {
                let first = self.deeper(|p| p.duration_expression(0, wanted))?;
                self.expect(TokenKind::Comma, context, expected)?;
                let second = self.deeper(|p| p.duration_expression(0, wanted))?;
                let below = first.height.max(second.height);
                let kind = if word == Keyword::MinOf {
                    DurationKind::MinOf(first.expr, second.expr)
                } else {
                    DurationKind::MaxOf(first.expr, second.expr)
                };
                (kind, below)
            }
        };
        let close = self.expect(TokenKind::RightParen, context, expected)?;
        let span = Span {
            start: name.span.start,
            end: close.span.end,
        };
        self.duration_node(kind, span, below)
    }

    fn duration_node(&self, kind: DurationKind, span: Span, below: u32) -> Parsed<Tree> {
        let height = self.height_above(below, span)?;
        Ok(Tree {
            expr: Box::new(DurationExpr { kind, span }),
            height,
        })
    }
}

/// Whether the token is a sign, and a minus.
fn sign_of(kind: TokenKind) -> Option<bool> {
    match kind {
        TokenKind::Operator(BinaryOp::Add) => Some(false),
        TokenKind::Operator(BinaryOp::Sub) => Some(true),
        _ => None,
    }
}

fn is_duration_function(word: Keyword) -> bool {
    matches!(word, Keyword::Step | Keyword::Range | Keyword::MinOf | Keyword::MaxOf)
}

fn is_arithmetic(op: BinaryOp) -> bool {
    matches!(
        op,
        BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul | BinaryOp::Div | BinaryOp::Mod | BinaryOp::Pow
    )
}

/// The seconds that are written down, if nothing is computed.
fn literal(expr: &DurationExpr) -> Option<f64> {
    match expr.kind {
        DurationKind::Number(seconds) | DurationKind::Duration(seconds) => Some(seconds),
        _ => None,
    }
}

/// Seconds to ms as Prometheus does it: to nanoseconds, rounding, then down to ms.
fn milliseconds(seconds: f64) -> i64 {
    // Bounded by LONGEST_SECONDS, so the nanoseconds fit.
    ((seconds * 1e9).round() / 1e6).trunc() as i64
}
