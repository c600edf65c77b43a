//! The words of PromQL.

use super::ast::{AggregateOp, BinaryOp, Span};
use leadline_model::quote::Quoted;

/// A word and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token {
    /// What it is.
    pub(crate) kind: TokenKind,
    /// Where it stands.
    pub(crate) span: Span,
}

/// The kinds of word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// Nothing is left.
    End,
    /// Here the lexer gave up; its own message says why.
    Broken,
    /// A name without `:`.
    Identifier,
    /// A name with `:`, which only metrics may have.
    MetricIdentifier,
    /// `1.5`, `0x1f`, `Inf`.
    Number,
    /// `1h30m`.
    Duration,
    /// A quoted text, quotes included.
    String,
    /// `(`
    LeftParen,
    /// `)`
    RightParen,
    /// `{`
    LeftBrace,
    /// `}`
    RightBrace,
    /// `[`
    LeftBracket,
    /// `]`
    RightBracket,
    /// `,`
    Comma,
    /// `:` within brackets.
    Colon,
    /// `=`
    Assign,
    /// `=~`
    RegexEqual,
    /// `!~`
    RegexNotEqual,
    /// `@`
    At,
    /// `+`, `and`, …; also `!=` of matchers.
    Operator(BinaryOp),
    /// `sum`, …
    Aggregator(AggregateOp),
    /// Any other reserved word.
    Keyword(Keyword),
}

/// Words with a meaning of their own. Their case does not matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keyword {
    Offset,
    Anchored,
    Smoothed,
    By,
    Without,
    On,
    Ignoring,
    GroupLeft,
    GroupRight,
    Fill,
    FillLeft,
    FillRight,
    Bool,
    Start,
    End,
    Step,
    Range,
    MaxOf,
    MinOf,
}

impl Keyword {
    /// Whether a metric may be called so.
    pub(crate) fn names_a_metric(self) -> bool {
        !matches!(
            self,
            Self::On | Self::Ignoring | Self::GroupLeft | Self::GroupRight | Self::Bool
        )
    }

    /// Whether it is `fill` or one of its kind.
    pub(crate) fn is_fill(self) -> bool {
        matches!(self, Self::Fill | Self::FillLeft | Self::FillRight)
    }

    /// Whether a function is called so.
    pub(crate) fn names_a_function(self) -> bool {
        matches!(
            self,
            Self::Start | Self::End | Self::Step | Self::Range | Self::MaxOf | Self::MinOf
        )
    }
}

/// What a word outside braces means, when it is reserved. `fill…` only counts before a parenthesis: the lexer's job.
pub(crate) fn reserved(word: &str) -> Option<TokenKind> {
    // The longest reserved word is `count_values`.
    if word.len() > 12 {
        return None;
    }
    let word = word.to_ascii_lowercase();
    let keyword = match word.as_str() {
        "offset" => Keyword::Offset,
        "anchored" => Keyword::Anchored,
        "smoothed" => Keyword::Smoothed,
        "by" => Keyword::By,
        "without" => Keyword::Without,
        "on" => Keyword::On,
        "ignoring" => Keyword::Ignoring,
        "group_left" => Keyword::GroupLeft,
        "group_right" => Keyword::GroupRight,
        "fill" => Keyword::Fill,
        "fill_left" => Keyword::FillLeft,
        "fill_right" => Keyword::FillRight,
        "bool" => Keyword::Bool,
        "start" => Keyword::Start,
        "end" => Keyword::End,
        "step" => Keyword::Step,
        "range" => Keyword::Range,
        "max_of" => Keyword::MaxOf,
        "min_of" => Keyword::MinOf,
        "and" => return Some(TokenKind::Operator(BinaryOp::And)),
        "or" => return Some(TokenKind::Operator(BinaryOp::Or)),
        "unless" => return Some(TokenKind::Operator(BinaryOp::Unless)),
        "atan2" => return Some(TokenKind::Operator(BinaryOp::Atan2)),
        "inf" | "nan" => return Some(TokenKind::Number),
        other => {
            return AggregateOp::ALL
                .into_iter()
                .find(|op| op.as_str() == other)
                .map(TokenKind::Aggregator);
        }
    };
    Some(TokenKind::Keyword(keyword))
}

/// The word as Prometheus' errors call it: `identifier "foo"`, `<op:+>`, `end of input`.
pub(crate) fn describe(kind: TokenKind, text: &str) -> String {
    match kind {
        TokenKind::End => "end of input".to_owned(),
        TokenKind::Identifier => format!("identifier {}", Quoted(text)),
        TokenKind::MetricIdentifier => format!("metric identifier {}", Quoted(text)),
        TokenKind::Number => format!("number {}", shortened(text)),
        TokenKind::Duration => format!("duration {}", shortened(text)),
        TokenKind::String => format!("string {}", shortened(text)),
        TokenKind::Aggregator(_) => format!("<aggr:{text}>"),
        TokenKind::Keyword(word) if word.names_a_function() => shortened(text),
        TokenKind::Keyword(_) => format!("<{text}>"),
        TokenKind::Operator(_) | TokenKind::RegexEqual | TokenKind::RegexNotEqual | TokenKind::At => {
            format!("<op:{text}>")
        }
        TokenKind::Broken
        | TokenKind::LeftParen
        | TokenKind::RightParen
        | TokenKind::LeftBrace
        | TokenKind::RightBrace
        | TokenKind::LeftBracket
        | TokenKind::RightBracket
        | TokenKind::Comma
        | TokenKind::Colon
        | TokenKind::Assign => shortened(text),
    }
}

/// Long words are cut to ten characters.
fn shortened(text: &str) -> String {
    if text.len() <= 10 {
        return Quoted(text).to_string();
    }
    let head: String = text.chars().take(10).collect();
    format!("{}...", Quoted(&head))
}
