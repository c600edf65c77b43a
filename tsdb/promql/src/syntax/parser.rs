//! Words to tree: precedence climbing (Pratt), one function per production.
//!
//! The grammar is Prometheus 3.16's (`promql/parser/generated_parser.y`), experimental parts included.

mod aggregate;
mod duration;
mod matching;
mod operand;
mod postfix;
mod selector;

use super::ast::{Binary, BinaryOp, Expr, ExprKind, Span};
use super::features::Features;
use super::lexer::lex;
use super::token::{Token, TokenKind, describe};
use crate::diagnostic::ParseError;
use leadline_model::Matcher;

/// Longest text (bytes) that is parsed; dashboards and rules stay far below.
pub const MAX_TEXT_BYTES: usize = 256 * 1024;

/// Greatest height of a tree, so that no walk over one can exhaust a stack. A chain of n equal operators has height n.
pub const MAX_DEPTH: u32 = 250;

/// Parses an expression with all of [`Features::LANGUAGE`]. Types are not checked here: see [`crate::check`].
///
/// # Errors
/// The first mistake, with its place and, where it helps, what was expected.
pub fn parse(text: &str) -> Result<Expr, ParseError> {
    parse_with(text, Features::LANGUAGE)
}

/// The same with other features.
///
/// # Errors
/// As [`parse`], and what of the language is not enabled.
pub fn parse_with(text: &str, features: Features) -> Result<Expr, ParseError> {
    let expr = parse_syntax(text, features)?;
    crate::check::selectors(text, &expr)?;
    Ok(expr)
}

/// Parses the selector of a request for metadata (`match[]`): a metric's name, matchers in braces, or both, and nothing else.
/// Unlike in an expression it may select everything and name its metric twice (`promql/parser/generated_parser.y`,
/// `START_METRIC_SELECTOR`).
///
/// # Errors
/// The first mistake and its place.
pub fn parse_selector(text: &str, features: Features) -> Result<Vec<Matcher>, ParseError> {
    Selectors::new(features).parse(text)
}

/// Parses the selectors of one request, of which there can be thousands: their regular expressions are bounded together, as
/// those of one query are.
#[derive(Debug)]
pub struct Selectors {
    features: Features,
    /// How much the regular expressions of those to come may weigh.
    patterns: usize,
}

impl Selectors {
    /// Of a request that has none yet.
    #[must_use]
    pub fn new(features: Features) -> Self {
        Self {
            features,
            patterns: MAX_PATTERNS,
        }
    }

    /// The matchers of the next one.
    ///
    /// # Errors
    /// As [`parse_selector`]; and where the request's regular expressions have become too large together.
    pub fn parse(&mut self, text: &str) -> Result<Vec<Matcher>, ParseError> {
        let mut parser = Parser::of(text, self.features)?;
        parser.patterns = self.patterns;
        let matchers = whole_selector(&mut parser);
        self.patterns = parser.patterns;
        matchers
    }
}

/// The selector that is all of a parser's text.
fn whole_selector(parser: &mut Parser<'_>) -> Result<Vec<Matcher>, ParseError> {
    let token = parser.token();
    let tree = match token.kind {
        TokenKind::LeftBrace => parser.selector(None),
        kind if kind.names_a_metric() => {
            parser.bump();
            parser.selector(Some(token.span))
        }
        _ => Err(parser.unexpected("", "")),
    };
    match (tree.map_err(|error| *error)?.expr.kind, parser.peek()) {
        (ExprKind::Selector(selector), TokenKind::End) => Ok(selector.matchers),
        _ => Err(*parser.unexpected("", "")),
    }
}

/// The same for those who check the tree: here its selectors may select everything.
pub(crate) fn parse_syntax(text: &str, features: Features) -> Result<Expr, ParseError> {
    let mut parser = Parser::of(text, features)?;
    if parser.peek() == TokenKind::End {
        return Err(ParseError::new(text, Span::default(), "no expression found in input"));
    }
    let tree = parser.expression(0).map_err(|error| *error)?;
    match parser.peek() {
        TokenKind::End => Ok(*tree.expr),
        _ => Err(*parser.unexpected("", "")),
    }
}

/// A subtree and its height. Boxed, as is the error beside it, because the parser's stack grows with the nesting.
struct Tree {
    expr: Box<Expr>,
    height: u32,
}

/// The most that the regular expressions of a query may weigh together ([`leadline_model::regex::Regex::weight`]): each is
/// bounded by itself, but a text has room for thousands.
const MAX_PATTERNS: usize = 1 << 20;

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    /// The lexer's own error, which stands at the last token.
    failure: Option<String>,
    at: usize,
    /// How many productions are open around this place.
    nesting: u32,
    /// How many aggregations are open: errors name the context.
    aggregations: u32,
    /// How much the engines of regular expressions may weigh that are still to come.
    patterns: usize,
    features: Features,
}

type Parsed<T> = Result<T, Box<ParseError>>;

impl<'a> Parser<'a> {
    /// At the first word of a text.
    fn of(text: &'a str, features: Features) -> Result<Self, ParseError> {
        if text.len() > MAX_TEXT_BYTES {
            let message = format!("expression is longer than {MAX_TEXT_BYTES} bytes");
            return Err(ParseError::new("", Span::default(), message));
        }
        let lexed = lex(text, features);
        Ok(Self {
            text,
            tokens: lexed.tokens,
            failure: lexed.failure,
            at: 0,
            nesting: 0,
            aggregations: 0,
            patterns: MAX_PATTERNS,
            features,
        })
    }
}

impl Parser<'_> {
    fn token(&self) -> Token {
        // The last token is End or Broken and never passed.
        let last = Token {
            kind: TokenKind::End,
            span: Span::default(),
        };
        self.tokens.get(self.at).or(self.tokens.last()).copied().unwrap_or(last)
    }

    fn peek(&self) -> TokenKind {
        self.token().kind
    }

    fn peek_behind(&self) -> TokenKind {
        self.tokens.get(self.at + 1).map_or(TokenKind::End, |token| token.kind)
    }

    fn bump(&mut self) -> Token {
        let token = self.token();
        if self.at + 1 < self.tokens.len() {
            self.at += 1;
        }
        token
    }

    fn text_of(&self, span: Span) -> &str {
        self.text.get(span.start as usize..span.end as usize).unwrap_or("")
    }

    #[cold]
    fn error(&self, span: Span, message: impl Into<String>) -> Box<ParseError> {
        Box::new(ParseError::new(self.text, span, message))
    }

    /// The next token must not stand here. A lexer's error speaks for itself.
    #[cold]
    fn unexpected(&self, context: &str, expected: &str) -> Box<ParseError> {
        let token = self.token();
        if let (TokenKind::Broken, Some(failure)) = (token.kind, &self.failure) {
            return self.error(token.span, failure.clone());
        }
        let mut message = format!("unexpected {}", describe(token.kind, self.text_of(token.span)));
        let context = if context.is_empty() && self.aggregations > 0 {
            "aggregation"
        } else {
            context
        };
        if !context.is_empty() {
            message.push_str(" in ");
            message.push_str(context);
        }
        if !expected.is_empty() {
            message.push_str(", expected ");
            message.push_str(expected);
        }
        let error = self.error(token.span, message).expecting(expected);
        Box::new(match token.kind {
            TokenKind::Identifier => error.suggesting_word(self.text_of(token.span), words()),
            _ => error,
        })
    }

    fn expect(&mut self, kind: TokenKind, context: &str, expected: &str) -> Parsed<Token> {
        if self.peek() == kind {
            Ok(self.bump())
        } else {
            Err(self.unexpected(context, expected))
        }
    }

    /// A node above subtrees of at most `below` in height.
    fn node(&self, kind: ExprKind, span: Span, below: u32) -> Parsed<Tree> {
        let height = self.height_above(below, span)?;
        Ok(Tree {
            expr: Box::new(Expr { kind, span }),
            height,
        })
    }

    /// The height of a node above subtrees of at most `below`, where that is allowed.
    fn height_above(&self, below: u32, span: Span) -> Parsed<u32> {
        if below < MAX_DEPTH {
            Ok(below + 1)
        } else {
            Err(self.too_deep(span))
        }
    }

    fn too_deep(&self, span: Span) -> Box<ParseError> {
        self.error(span, format!("expression is nested deeper than {MAX_DEPTH} levels"))
    }

    /// Runs a production one level deeper, so that the parser's own recursion is bounded too.
    fn deeper<T>(&mut self, production: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.nesting >= MAX_DEPTH {
            return Err(self.too_deep(self.token().span));
        }
        self.nesting += 1;
        let result = production(self);
        self.nesting -= 1;
        result
    }

    /// Operands and operators that bind at least as tightly as `min`.
    fn expression(&mut self, min: u8) -> Parsed<Tree> {
        let mut left = self.unary()?;
        loop {
            let token = self.token();
            let op = match token.kind {
                TokenKind::Operator(op) if op.precedence() >= min => op,
                _ => return Ok(left),
            };
            self.bump();
            left = self.binary(left, op, token.span)?;
        }
    }

    fn binary(&mut self, left: Tree, op: BinaryOp, op_span: Span) -> Parsed<Tree> {
        let (return_bool, matching) = self.modifiers()?;
        let tighter = if op == BinaryOp::Pow {
            op.precedence()
        } else {
            op.precedence() + 1
        };
        let right = self.deeper(|p| p.expression(tighter))?;
        #[cfg(feature = "planted")]
        leadline_model::planted::trap(op == BinaryOp::Pow && matches!(right.expr.kind, ExprKind::Unary { .. }));
        let span = Span {
            start: left.expr.span.start,
            end: right.expr.span.end,
        };
        let fill = matching.fill;
        if !self.features.fill_modifiers && (fill.left.is_some() || fill.right.is_some()) {
            return Err(self.error(span, "binop fill modifiers are experimental and not enabled"));
        }
        let below = left.height.max(right.height);
        let mut binary = Binary {
            op,
            op_span,
            left: *left.expr,
            right: *right.expr,
            return_bool,
            matching,
        };
        matching::forget_beside_scalar(&mut binary);
        self.node(ExprKind::Binary(Box::new(binary)), span, below)
    }

    /// A sign binds like `*`: looser than `^`, tighter than everything else.
    fn unary(&mut self) -> Parsed<Tree> {
        let token = self.token();
        let negate = match token.kind {
            TokenKind::Operator(BinaryOp::Add) => false,
            TokenKind::Operator(BinaryOp::Sub) => true,
            _ => return self.postfix(),
        };
        self.bump();
        let mut operand = self.deeper(|p| p.expression(BinaryOp::TIGHTEST))?;
        let span = Span {
            start: token.span.start,
            end: operand.expr.span.end,
        };
        if let ExprKind::Number(value) | ExprKind::Duration(value) = &mut operand.expr.kind {
            if negate {
                *value = -*value;
            }
            operand.expr.span = span;
            return Ok(operand);
        }
        let kind = ExprKind::Unary {
            negate,
            expr: operand.expr,
        };
        self.node(kind, span, operand.height)
    }
}

/// The words that may stand between operands, for suggestions.
fn words() -> impl Iterator<Item = &'static str> {
    let keywords = [
        "by",
        "without",
        "on",
        "ignoring",
        "group_left",
        "group_right",
        "bool",
        "offset",
        "and",
        "or",
        "unless",
        "atan2",
        "fill",
        "fill_left",
        "fill_right",
        "anchored",
        "smoothed",
    ];
    keywords.into_iter()
}

#[cfg(test)]
mod tests;
