//! `name{a="b", c=~"d"}`.

use super::super::ast::{Border, ExprKind, Selector, Shift, Span};
use super::super::token::TokenKind;
use super::{Parsed, Parser, Tree};
use crate::syntax::ast::BinaryOp;
use leadline_model::labels::NAME;
use leadline_model::regex::Regex;
use leadline_model::{MatchOp, Matcher};

const CONTEXT: &str = "label matching";

impl Parser<'_> {
    /// A selector whose metric name, if any, stands at `name`, in front of this place.
    pub(super) fn selector(&mut self, name: Option<Span>) -> Parsed<Tree> {
        let mut span = name.unwrap_or(self.token().span);
        let name = name.map(|span| self.text_of(span).to_owned());
        let mut matchers: Vec<Matcher> = name.iter().map(|name| Matcher::equal(NAME, name.as_str())).collect();
        if self.peek() == TokenKind::LeftBrace {
            self.bump();
            span.end = self.matchers(&mut matchers)?;
        }
        self.node(
            ExprKind::Selector(Selector {
                matchers,
                name,
                shift: Shift::default(),
                computed_offset: None,
                border: Border::Open,
                unquoted_names: self.features.unquoted_names,
            }),
            span,
            0,
        )
    }

    /// The matchers up to the closing brace; returns where it ends.
    fn matchers(&mut self, matchers: &mut Vec<Matcher>) -> Parsed<u32> {
        if self.peek() == TokenKind::RightBrace {
            return Ok(self.bump().span.end);
        }
        loop {
            matchers.push(self.matcher()?);
            match self.peek() {
                TokenKind::RightBrace => return Ok(self.bump().span.end),
                TokenKind::Comma => {
                    self.bump();
                    if self.peek() == TokenKind::RightBrace {
                        return Ok(self.bump().span.end);
                    }
                }
                _ => return Err(self.unexpected(CONTEXT, "\",\" or \"}\"")),
            }
        }
    }

    /// `name="value"`, `"any name"="value"`, or `"metric"` alone.
    fn matcher(&mut self) -> Parsed<Matcher> {
        let label = self.token();
        let name = match label.kind {
            TokenKind::Identifier => self.text_of(label.span).as_bytes().to_vec(),
            TokenKind::String => self.unquoted(label.span)?,
            _ => return Err(self.unexpected(CONTEXT, "identifier or \"}\"")),
        };
        self.bump();
        let op = match self.peek() {
            TokenKind::Assign => MatchOp::Equal,
            TokenKind::Operator(BinaryOp::Ne) => MatchOp::NotEqual,
            TokenKind::RegexEqual => MatchOp::Regex,
            TokenKind::RegexNotEqual => MatchOp::NotRegex,
            _ if label.kind == TokenKind::String => {
                let named = Matcher::of_bytes(NAME.as_bytes().to_vec(), MatchOp::Equal, name);
                return named.map_err(|error| self.error(label.span, error.in_words_of_go()));
            }
            _ => return Err(self.unexpected(CONTEXT, "label matching operator")),
        };
        self.bump();
        let value = self.expect(TokenKind::String, CONTEXT, "string")?;
        let span = Span {
            start: label.span.start,
            end: value.span.end,
        };
        let value = self.unquoted(value.span)?;
        let matcher = Matcher::of_bytes(name, op, value).map_err(|error| self.error(span, error.in_words_of_go()))?;
        let weight = matcher.regex().map_or(0, Regex::weight);
        match self.patterns.checked_sub(weight) {
            Some(left) => self.patterns = left,
            None => return Err(self.error(span, "the regular expressions of the query are too large together")),
        }
        Ok(matcher)
    }
}
