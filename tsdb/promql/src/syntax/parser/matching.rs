//! What stands between a binary operator and its right operand: `bool on (…) group_left (…) fill (…)`.

use super::super::ast::{BinaryOp, Fill, Group, Matching};
use super::super::token::{Keyword, TokenKind};
use super::operand::may_begin_operand;
use super::{Parsed, Parser};

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
