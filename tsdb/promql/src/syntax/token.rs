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

impl TokenKind {
    /// Whether a metric may be called so (`promql/parser/generated_parser.y`, metric_identifier).
    pub(crate) fn names_a_metric(self) -> bool {
        match self {
            Self::Keyword(word) => word.names_a_metric(),
            Self::Identifier
            | Self::MetricIdentifier
            | Self::Aggregator(_)
            | Self::Operator(BinaryOp::And | BinaryOp::Or | BinaryOp::Unless) => true,
            _ => false,
        }
    }
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
    use TokenKind::{Aggregator, Keyword as Key, Operator};
    // The longest reserved word is `count_values`.
    let mut lower = [0; 12];
    let lower = lower.get_mut(..word.len())?;
    lower.copy_from_slice(word.as_bytes());
    lower.make_ascii_lowercase();
    Some(match &*lower {
        b"offset" => Key(Keyword::Offset),
        b"anchored" => Key(Keyword::Anchored),
        b"smoothed" => Key(Keyword::Smoothed),
        b"by" => Key(Keyword::By),
        b"without" => Key(Keyword::Without),
        b"on" => Key(Keyword::On),
        b"ignoring" => Key(Keyword::Ignoring),
        b"group_left" => Key(Keyword::GroupLeft),
        b"group_right" => Key(Keyword::GroupRight),
        b"fill" => Key(Keyword::Fill),
        b"fill_left" => Key(Keyword::FillLeft),
        b"fill_right" => Key(Keyword::FillRight),
        b"bool" => Key(Keyword::Bool),
        b"start" => Key(Keyword::Start),
        b"end" => Key(Keyword::End),
        b"step" => Key(Keyword::Step),
        b"range" => Key(Keyword::Range),
        b"max_of" => Key(Keyword::MaxOf),
        b"min_of" => Key(Keyword::MinOf),
        b"and" => Operator(BinaryOp::And),
        b"or" => Operator(BinaryOp::Or),
        b"unless" => Operator(BinaryOp::Unless),
        b"atan2" => Operator(BinaryOp::Atan2),
        b"inf" | b"nan" => TokenKind::Number,
        b"sum" => Aggregator(AggregateOp::Sum),
        b"min" => Aggregator(AggregateOp::Min),
        b"max" => Aggregator(AggregateOp::Max),
        b"avg" => Aggregator(AggregateOp::Avg),
        b"count" => Aggregator(AggregateOp::Count),
        b"group" => Aggregator(AggregateOp::Group),
        b"stddev" => Aggregator(AggregateOp::Stddev),
        b"stdvar" => Aggregator(AggregateOp::Stdvar),
        b"topk" => Aggregator(AggregateOp::Topk),
        b"bottomk" => Aggregator(AggregateOp::Bottomk),
        b"count_values" => Aggregator(AggregateOp::CountValues),
        b"quantile" => Aggregator(AggregateOp::Quantile),
        b"limitk" => Aggregator(AggregateOp::Limitk),
        b"limit_ratio" => Aggregator(AggregateOp::LimitRatio),
        _ => return None,
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_aggregation_is_a_reserved_word_in_any_case() {
        for op in AggregateOp::ALL {
            let word = op.as_str();
            assert_eq!(reserved(word), Some(TokenKind::Aggregator(op)), "{word}");
            assert_eq!(
                reserved(&word.to_uppercase()),
                Some(TokenKind::Aggregator(op)),
                "{word}"
            );
        }
        for word in ["", "rate", "count_values_", "sümme", "limit-ratio"] {
            assert_eq!(reserved(word), None, "{word}");
        }
    }
}
