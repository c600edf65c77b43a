//! Text to words. What a character means depends on whether it stands in braces or brackets.

use super::ast::{BinaryOp, Span};
use super::features::Features;
use super::literal;
use super::token::{Keyword, Token, TokenKind, reserved};
use leadline_model::quote::Quoted;

/// The words of a text. The last is [`TokenKind::End`], or [`TokenKind::Broken`] with a message.
#[derive(Debug)]
pub(crate) struct Lexed {
    pub(crate) tokens: Vec<Token>,
    /// Why the lexer gave up at the last token.
    pub(crate) failure: Option<String>,
}

/// Splits `text`, whose length must fit `u32`.
pub(crate) fn lex(text: &str, features: Features) -> Lexed {
    let mut lexer = Lexer {
        text,
        at: 0,
        place: Place::Open,
        parens: 0,
        unquoted: features.unquoted_names,
        tokens: Vec::with_capacity(text.len() / 4 + 2),
    };
    loop {
        let start = lexer.skip_blanks();
        match lexer.next() {
            Ok(_) if lexer.parens < 0 => {
                return lexer.give_up(start, "unexpected right parenthesis ')'".to_owned());
            }
            Ok(kind) => {
                lexer.push(kind, start);
                if kind == TokenKind::End {
                    return Lexed {
                        tokens: lexer.tokens,
                        failure: None,
                    };
                }
            }
            Err(message) => return lexer.give_up(start, message),
        }
    }
}

/// What stands around the next character.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Nothing special.
    Open,
    /// `{…}`: words are names, never reserved.
    Braces,
    /// `[…]`: durations only. Whether one was seen already, and a colon.
    Brackets { duration: bool, colon: bool },
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    place: Place,
    parens: i32,
    /// Whether names may have letters of any script, and dots.
    unquoted: bool,
    tokens: Vec<Token>,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn push(&mut self, kind: TokenKind, start: usize) {
        let span = Span {
            start: offset(start),
            end: offset(self.at),
        };
        self.tokens.push(Token { kind, span });
    }

    fn give_up(mut self, start: usize, message: String) -> Lexed {
        self.at = self.text.len();
        self.push(TokenKind::Broken, start);
        Lexed {
            tokens: self.tokens,
            failure: Some(message),
        }
    }

    /// Passes blanks and comments; returns where the next word starts.
    fn skip_blanks(&mut self) -> usize {
        loop {
            match self.peek() {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.at += 1,
                Some(b'#') if !matches!(self.place, Place::Brackets { .. }) => {
                    let rest = self.rest();
                    self.at += rest.find(['\n', '\r']).unwrap_or(rest.len());
                }
                _ => return self.at,
            }
        }
    }

    fn next(&mut self) -> Result<TokenKind, String> {
        let Some(c) = self.rest().chars().next() else {
            return self.end();
        };
        match self.place {
            Place::Open => self.open(c),
            Place::Braces => self.in_braces(c),
            Place::Brackets { .. } => self.in_brackets(c),
        }
    }

    fn end(&self) -> Result<TokenKind, String> {
        match self.place {
            Place::Braces => Err("unexpected end of input inside braces".to_owned()),
            Place::Brackets { duration: false, .. } => Err("unexpected end of input in duration expression".to_owned()),
            _ if self.parens > 0 => Err("unclosed left parenthesis".to_owned()),
            Place::Brackets { .. } => Err("unclosed left bracket".to_owned()),
            Place::Open => Ok(TokenKind::End),
        }
    }

    /// Takes `len` bytes as one word.
    fn take(&mut self, len: usize, kind: TokenKind) -> Result<TokenKind, String> {
        self.at += len;
        Ok(kind)
    }

    fn open(&mut self, c: char) -> Result<TokenKind, String> {
        let following = self.text.as_bytes().get(self.at + 1).copied();
        match c {
            '{' => {
                self.place = Place::Braces;
                self.take(1, TokenKind::LeftBrace)
            }
            '[' => {
                self.place = Place::Brackets {
                    duration: false,
                    colon: false,
                };
                self.take(1, TokenKind::LeftBracket)
            }
            ']' => Err("unexpected right bracket ']'".to_owned()),
            '@' => self.take(1, TokenKind::At),
            '=' if following == Some(b'=') => self.take(2, TokenKind::Operator(BinaryOp::Eq)),
            '=' if following == Some(b'~') => Err("unexpected character after '=': '~'".to_owned()),
            '=' => self.take(1, TokenKind::Assign),
            '!' if following == Some(b'=') => self.take(2, TokenKind::Operator(BinaryOp::Ne)),
            '!' => Err(self.odd_follower()),
            '<' if following == Some(b'=') => self.take(2, TokenKind::Operator(BinaryOp::Le)),
            '<' if following == Some(b'/') => self.take(2, TokenKind::Operator(BinaryOp::TrimUpper)),
            '<' => self.take(1, TokenKind::Operator(BinaryOp::Lt)),
            '>' if following == Some(b'=') => self.take(2, TokenKind::Operator(BinaryOp::Ge)),
            '>' if following == Some(b'/') => self.take(2, TokenKind::Operator(BinaryOp::TrimLower)),
            '>' => self.take(1, TokenKind::Operator(BinaryOp::Gt)),
            '"' | '\'' | '`' => self.string(),
            c if self.starts_name(c) || c == ':' => self.word(),
            c => self
                .shared(c, following)
                .unwrap_or_else(|| Err(format!("unexpected character: {}", shown(c)))),
        }
    }

    /// What means the same outside and inside brackets.
    fn shared(&mut self, c: char, following: Option<u8>) -> Option<Result<TokenKind, String>> {
        let kind = match c {
            ',' => TokenKind::Comma,
            '+' => TokenKind::Operator(BinaryOp::Add),
            '-' => TokenKind::Operator(BinaryOp::Sub),
            '*' => TokenKind::Operator(BinaryOp::Mul),
            '/' => TokenKind::Operator(BinaryOp::Div),
            '%' => TokenKind::Operator(BinaryOp::Mod),
            '^' => TokenKind::Operator(BinaryOp::Pow),
            '(' => {
                self.parens += 1;
                TokenKind::LeftParen
            }
            ')' => {
                self.parens -= 1;
                TokenKind::RightParen
            }
            '0'..='9' => return Some(self.number_or_duration()),
            '.' if following.is_some_and(|b| b.is_ascii_digit()) => return Some(self.number_or_duration()),
            _ => return None,
        };
        Some(self.take(1, kind))
    }

    fn in_braces(&mut self, c: char) -> Result<TokenKind, String> {
        let following = self.text.as_bytes().get(self.at + 1).copied();
        match c {
            '}' => {
                self.place = Place::Open;
                self.take(1, TokenKind::RightBrace)
            }
            '{' => Err("unexpected left brace '{'".to_owned()),
            ',' => self.take(1, TokenKind::Comma),
            '=' if following == Some(b'~') => self.take(2, TokenKind::RegexEqual),
            '=' => self.take(1, TokenKind::Assign),
            '!' if following == Some(b'~') => self.take(2, TokenKind::RegexNotEqual),
            '!' if following == Some(b'=') => self.take(2, TokenKind::Operator(BinaryOp::Ne)),
            '!' => Err(self.odd_follower()),
            '"' | '\'' | '`' => self.string(),
            c if self.starts_name(c) => {
                let len = self.name_len(false);
                self.take(len, TokenKind::Identifier)
            }
            c => Err(format!("unexpected character inside braces: {}", shown(c))),
        }
    }

    fn in_brackets(&mut self, c: char) -> Result<TokenKind, String> {
        let Place::Brackets { duration, colon } = self.place else {
            return self.open(c);
        };
        let following = self.text.as_bytes().get(self.at + 1).copied();
        match c {
            ']' => {
                self.place = Place::Open;
                self.take(1, TokenKind::RightBracket)
            }
            '[' => Err("unexpected left bracket '['".to_owned()),
            ':' if !duration => Err("unexpected colon before duration in duration expression".to_owned()),
            ':' if colon => Err("unexpected repeated colon in duration expression".to_owned()),
            ':' => {
                self.place = Place::Brackets { duration, colon: true };
                self.take(1, TokenKind::Colon)
            }
            '0'..='9' | '.' => {
                self.place = Place::Brackets { duration: true, colon };
                self.shared(c, following)
                    .unwrap_or_else(|| Err(format!("unexpected character: {}", shown(c))))
            }
            c if c.is_ascii_alphabetic() => self.duration_function(duration, colon, c),
            c => self
                .shared(c, following)
                .unwrap_or_else(|| Err(unexpected_in_brackets(duration, c))),
        }
    }

    /// `step`, `range`, `max_of` and `min_of` are the only words in brackets.
    fn duration_function(&mut self, duration: bool, colon: bool, c: char) -> Result<TokenKind, String> {
        let len = self
            .rest()
            .bytes()
            .take_while(|b| b.is_ascii_alphabetic() || *b == b'_')
            .count();
        match self.rest().get(..len).and_then(reserved) {
            Some(TokenKind::Keyword(word))
                if matches!(word, Keyword::Step | Keyword::Range | Keyword::MaxOf | Keyword::MinOf) =>
            {
                self.place = Place::Brackets { duration: true, colon };
                self.take(len, TokenKind::Keyword(word))
            }
            _ => Err(unexpected_in_brackets(duration, c)),
        }
    }

    fn odd_follower(&self) -> String {
        let follower = self
            .rest()
            .chars()
            .nth(1)
            .map_or_else(|| "end of input".to_owned(), shown);
        format!("unexpected character after '!': {follower}")
    }

    fn string(&mut self) -> Result<TokenKind, String> {
        let len = literal::quoted_len(self.rest())?;
        self.take(len, TokenKind::String)
    }

    /// Whether a name may start so.
    fn starts_name(&self, c: char) -> bool {
        c.is_ascii_alphabetic() || c == '_' || (self.unquoted && !c.is_ascii() && is_letter(c))
    }

    /// Length in bytes of the name here; those of metrics may have colons.
    fn name_len(&self, colon: bool) -> usize {
        let rest = self.rest();
        let ascii = rest
            .bytes()
            .take_while(|b| b.is_ascii_alphanumeric() || *b == b'_' || (colon && *b == b':'))
            .count();
        if !self.unquoted {
            return ascii;
        }
        let goes_on = |c: char| {
            c.is_ascii_alphanumeric()
                || matches!(c, '_' | '.')
                || (colon && c == ':')
                || (!c.is_ascii() && is_letter(c))
        };
        rest.find(|c| !goes_on(c)).unwrap_or(rest.len())
    }

    fn word(&mut self) -> Result<TokenKind, String> {
        let len = self.name_len(true);
        let rest = self.rest();
        let (word, behind) = rest.split_at_checked(len).unwrap_or((rest, ""));
        let kind = match reserved(word) {
            // Metrics may be called so: it is a modifier only before its parenthesis.
            Some(TokenKind::Keyword(fill)) if fill.is_fill() && !opens_parenthesis(behind) => TokenKind::Identifier,
            Some(kind) => kind,
            None if word.contains(':') => TokenKind::MetricIdentifier,
            None => TokenKind::Identifier,
        };
        self.take(len, kind)
    }

    fn number_or_duration(&mut self) -> Result<TokenKind, String> {
        let rest = self.rest();
        if let Some(len) = literal::number_len(rest) {
            return self.take(len, TokenKind::Number);
        }
        let len = rest
            .bytes()
            .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.'))
            .count();
        let word = rest.get(..len).unwrap_or("");
        if literal::resembles_duration(word) {
            return self.take(len, TokenKind::Duration);
        }
        Err(format!("bad number or duration syntax: {}", Quoted(word)))
    }
}

fn unexpected_in_brackets(duration: bool, c: char) -> String {
    if duration {
        format!("unexpected character: {}, expected ':'", shown(c))
    } else {
        format!("unexpected character in duration expression: {}", shown(c))
    }
}

/// Go's `%q` of a character.
fn shown(c: char) -> String {
    match c {
        '\'' => r"'\''".to_owned(),
        '"' => "'\"'".to_owned(),
        c => format!("'{}'", c.escape_debug()),
    }
}

/// Whether Go's `unicode.IsLetter` holds, as far as the standard library tells letters from marks.
fn is_letter(c: char) -> bool {
    c.is_alphabetic()
}

/// Whether the next word is a left parenthesis.
fn opens_parenthesis(behind: &str) -> bool {
    behind.trim_start_matches([' ', '\t', '\n', '\r']).starts_with('(')
}

fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
