//! What stands between a binary operator and its right operand: `bool on (…) group_left (…) fill (…)`.

use super::super::ast::{Binary, BinaryOp, Fill, Group, Matching};
use super::super::token::{Keyword, TokenKind};
use super::operand::may_begin_operand;
use super::{Parsed, Parser};
use crate::check::shape;
use leadline_model::port::Shape;

impl Parser<'_> {
    /// `bool`, and how the vectors are matched.
    pub(super) fn modifiers(&mut self) -> Parsed<(bool, Matching)> {
        let return_bool = self.keyword(Keyword::Bool);
        let mut matching = Matching {
            unquoted_names: self.features.unquoted_names,
            ..Matching::default()
        };
        if self.keyword(Keyword::On) {
            matching.on = true;
            (matching.labels, _) = self.grouping_labels()?;
            self.group(&mut matching)?;
        } else if self.keyword(Keyword::Ignoring) {
            (matching.labels, _) = self.grouping_labels()?;
            self.group(&mut matching)?;
        }
        self.fill(&mut matching.fill)?;
        Ok((return_bool, matching))
    }

    /// `fill(x)`, or `fill_left(x)` and `fill_right(x)` in either order.
    fn fill(&mut self, fill: &mut Fill) -> Parsed<()> {
        if self.keyword(Keyword::Fill) {
            let value = self.fill_value()?;
            (fill.left, fill.right) = (Some(value), Some(value));
            return Ok(());
        }
        if self.keyword(Keyword::FillLeft) {
            fill.left = Some(self.fill_value()?);
            if self.keyword(Keyword::FillRight) {
                fill.right = Some(self.fill_value()?);
            }
        } else if self.keyword(Keyword::FillRight) {
            fill.right = Some(self.fill_value()?);
            if self.keyword(Keyword::FillLeft) {
                fill.left = Some(self.fill_value()?);
            }
        }
        Ok(())
    }

    /// `(x)`: a number or a duration, with a sign perhaps.
    fn fill_value(&mut self) -> Parsed<f64> {
        self.expect(TokenKind::LeftParen, "", "")?;
        let negate = match self.peek() {
            TokenKind::Operator(op @ (BinaryOp::Add | BinaryOp::Sub)) => {
                self.bump();
                op == BinaryOp::Sub
            }
            _ => false,
        };
        if !matches!(self.peek(), TokenKind::Number | TokenKind::Duration) {
            return Err(self.unexpected("", ""));
        }
        let (value, _) = self.literal_number()?;
        self.expect(TokenKind::RightParen, "", "")?;
        Ok(if negate { -value } else { value })
    }

    fn group(&mut self, matching: &mut Matching) -> Parsed<()> {
        if self.keyword(Keyword::GroupLeft) {
            matching.group = Group::Left;
        } else if self.keyword(Keyword::GroupRight) {
            matching.group = Group::Right;
        } else {
            return Ok(());
        }
        // Labels may be left out where the operand follows.
        if self.peek() == TokenKind::LeftParen || !may_begin_operand(self.peek()) {
            (matching.include, _) = self.grouping_labels()?;
        }
        Ok(())
    }

    /// Takes the word if it stands here.
    fn keyword(&mut self, word: Keyword) -> bool {
        let found = self.peek() == TokenKind::Keyword(word);
        if found {
            self.bump();
        }
        found
    }
}

/// Where an operand is no vector nothing is matched, and `on ()`, `ignoring ()` and their groups mean nothing: they are let go of,
/// as in `promql/parser/parse.go`, checkAST. What names labels or fills is left for the check to refuse.
pub(super) fn forget_beside_scalar(binary: &mut Binary) {
    let matching = &binary.matching;
    let says_nothing = matching.labels.is_empty() && matching.fill == Fill::default();
    if matching.on || matching.group != Group::None {
        let scalar = [&binary.left, &binary.right]
            .iter()
            .any(|side| shape(side) != Shape::Vector);
        if says_nothing && scalar {
            binary.matching = Matching {
                unquoted_names: binary.matching.unquoted_names,
                ..Matching::default()
            };
        }
    }
}
