//! What stands between a binary operator and its right operand: `bool on (…) group_left (…)`.

use super::super::ast::{Group, Matching};
use super::super::token::{Keyword, TokenKind};
use super::{Parsed, Parser};

impl Parser<'_> {
    /// `bool`, and how the vectors are matched.
    pub(super) fn modifiers(&mut self) -> Parsed<(bool, Matching)> {
        let return_bool = self.keyword(Keyword::Bool);
        let mut matching = Matching::default();
        if self.keyword(Keyword::On) {
            matching.on = true;
            (matching.labels, _) = self.grouping_labels()?;
            self.group(&mut matching)?;
        } else if self.keyword(Keyword::Ignoring) {
            (matching.labels, _) = self.grouping_labels()?;
            self.group(&mut matching)?;
        }
        let token = self.token();
        if token.kind == TokenKind::Keyword(Keyword::Fill) {
            return Err(self.unsupported(token.span, "filling in missing series with fill, fill_left, fill_right"));
        }
        Ok((return_bool, matching))
    }

    fn group(&mut self, matching: &mut Matching) -> Parsed<()> {
        if self.keyword(Keyword::GroupLeft) {
            matching.group = Group::Left;
        } else if self.keyword(Keyword::GroupRight) {
            matching.group = Group::Right;
        } else {
            return Ok(());
        }
        if self.peek() == TokenKind::LeftParen {
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
