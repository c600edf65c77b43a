//! What stands between operators: literals, parentheses, calls.

use super::super::ast::{AggregateOp, BinaryOp, Call, Expr, ExprKind, Span};
use super::super::literal;
use super::super::token::TokenKind;
use super::{Parsed, Parser, Tree, words};
use crate::check;

impl Parser<'_> {
    pub(super) fn operand(&mut self) -> Parsed<Tree> {
        let token = self.token();
        match token.kind {
            TokenKind::Number | TokenKind::Duration => {
                let (value, span) = self.literal_number()?;
                let kind = if token.kind == TokenKind::Duration {
                    ExprKind::Duration(value)
                } else {
                    ExprKind::Number(value)
                };
                self.node(kind, span, 0)
            }
            TokenKind::String => {
                self.bump();
                let kind = String::from_utf8(self.unquoted(token.span)?)
                    .map_or_else(|error| ExprKind::Bytes(error.into_bytes()), ExprKind::String);
                self.node(kind, token.span, 0)
            }
            TokenKind::LeftParen => self.paren(),
            TokenKind::LeftBrace => self.selector(None),
            TokenKind::Aggregator(op) if self.opens_aggregation() => self.aggregation(op),
            TokenKind::Aggregator(_) if !self.may_end_operand(self.peek_behind()) => {
                self.bump();
                Err(self.unexpected("", ""))
            }
            TokenKind::Identifier if self.peek_behind() == TokenKind::LeftParen => self.call(),
            TokenKind::Keyword(word) if word.names_a_function() && self.peek_behind() == TokenKind::LeftParen => {
                self.call()
            }
            kind if kind.names_a_metric() => {
                self.bump();
                self.selector(Some(token.span))
            }
            _ => Err(self.unexpected("", "")),
        }
    }

    /// Whether an operand may end in front of such a token: then an aggregation's word was a metric's name.
    fn may_end_operand(&self, kind: TokenKind) -> bool {
        use super::super::token::Keyword;
        matches!(
            kind,
            TokenKind::End
                | TokenKind::Operator(_)
                | TokenKind::RightParen
                | TokenKind::Comma
                | TokenKind::LeftBracket
                | TokenKind::LeftBrace
                | TokenKind::At
                | TokenKind::Keyword(Keyword::Offset | Keyword::Anchored | Keyword::Smoothed)
        )
    }

    /// A number or a duration; a duration counts seconds.
    pub(super) fn literal_number(&mut self) -> Parsed<(f64, Span)> {
        let token = self.bump();
        let text = self.text_of(token.span);
        let value = match token.kind {
            TokenKind::Duration => literal::duration_seconds(text),
            _ => literal::number(text),
        };
        Ok((value.map_err(|message| self.error(token.span, message))?, token.span))
    }

    /// The value of the quoted text at `span`.
    pub(super) fn unquoted(&self, span: Span) -> Parsed<Vec<u8>> {
        literal::quoted(self.text_of(span))
            .map(|(_, value)| value)
            .map_err(|message| self.error(span, message))
    }

    fn paren(&mut self) -> Parsed<Tree> {
        let open = self.bump();
        let inner = self.deeper(|p| p.expression(0))?;
        let close = self.expect(TokenKind::RightParen, "", "")?;
        let span = Span {
            start: open.span.start,
            end: close.span.end,
        };
        self.node(ExprKind::Paren(inner.expr), span, inner.height)
    }

    fn call(&mut self) -> Parsed<Tree> {
        let name = self.bump();
        let function = self.text_of(name.span).to_owned();
        let (args, below, end) = self.arguments()?;
        // What is wrong with the arguments' syntax is told first.
        let signature = check::signature(&function);
        if signature.is_some_and(|s| s.experimental) && !self.features.experimental_functions {
            return Err(self.error(name.span, format!("function {function:?} is not enabled")));
        }
        if signature.is_none() {
            let known = check::signatures().iter().map(|s| s.name);
            let known = known
                .chain(AggregateOp::ALL.iter().map(|op| op.as_str()))
                .chain(words());
            let message = format!("unknown function with name {function:?}");
            return Err(Box::new(self.error(name.span, message).suggesting(&function, known)));
        }
        let span = Span {
            start: name.span.start,
            end,
        };
        let call = Call {
            function,
            name_span: name.span,
            args,
            injected: Vec::new(),
        };
        self.node(ExprKind::Call(call), span, below)
    }

    /// `(a, b)`: the arguments, the height of the highest, and where the parenthesis closes.
    pub(super) fn arguments(&mut self) -> Parsed<(Vec<Expr>, u32, u32)> {
        self.expect(TokenKind::LeftParen, "", "")?;
        if self.peek() == TokenKind::RightParen {
            return Ok((Vec::new(), 0, self.bump().span.end));
        }
        self.argument_list()
    }

    fn argument_list(&mut self) -> Parsed<(Vec<Expr>, u32, u32)> {
        let (mut args, mut below): (Vec<Expr>, u32) = (Vec::new(), 0);
        loop {
            let arg = self.deeper(|p| p.expression(0))?;
            below = below.max(arg.height);
            args.push(*arg.expr);
            let token = self.token();
            match token.kind {
                TokenKind::RightParen => return Ok((args, below, self.bump().span.end)),
                TokenKind::Comma if !may_begin_operand(self.peek_behind()) => {
                    return Err(self.error(token.span, "trailing commas not allowed in function call args"));
                }
                TokenKind::Comma => {
                    self.bump();
                }
                _ => return Err(self.unexpected("", "")),
            }
        }
    }
}

/// Whether an operand may begin so. What the lexer could not read speaks for itself, so it counts as one.
pub(super) fn may_begin_operand(kind: TokenKind) -> bool {
    match kind {
        TokenKind::Keyword(word) => word.names_a_metric(),
        TokenKind::Operator(op) => matches!(
            op,
            BinaryOp::Add | BinaryOp::Sub | BinaryOp::And | BinaryOp::Or | BinaryOp::Unless
        ),
        TokenKind::Broken
        | TokenKind::Identifier
        | TokenKind::MetricIdentifier
        | TokenKind::Number
        | TokenKind::Duration
        | TokenKind::String
        | TokenKind::LeftParen
        | TokenKind::LeftBrace
        | TokenKind::Aggregator(_) => true,
        TokenKind::End
        | TokenKind::RightParen
        | TokenKind::RightBrace
        | TokenKind::LeftBracket
        | TokenKind::RightBracket
        | TokenKind::Comma
        | TokenKind::Colon
        | TokenKind::Assign
        | TokenKind::RegexEqual
        | TokenKind::RegexNotEqual
        | TokenKind::At => false,
    }
}
