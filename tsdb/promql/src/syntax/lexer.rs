//! Text to words. What a character means depends on whether it stands in braces or brackets.

use super::ast::{BinaryOp, Span};
use super::features::Features;
use super::literal::{self, Scanned};
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
        braces: false,
        brackets: None,
        parens: 0,
        unquoted: features.unquoted_names,
        tokens: Vec::with_capacity(text.len() / 4 + 2),
    };
    loop {
        let start = lexer.skip_blanks();
        match lexer.next() {
            Ok(_) if lexer.parens < 0 => return lexer.give_up("unexpected right parenthesis ')'".to_owned()),
            Ok(kind) => {
                lexer.push(kind, start);
                if kind == TokenKind::End {
                    return Lexed {
                        tokens: lexer.tokens,
                        failure: None,
                    };
                }
            }
            Err(message) => return lexer.give_up(message),
        }
    }
}

/// Open brackets: a length of time is read. As upstream, the first number in them ends what is only read there, and from
/// then on most words are read as outside (`promql/parser/lex.go`, `lexDurationExpr` and `lexStatements`).
#[derive(Clone, Copy)]
struct Brackets {
    /// Whether a number was seen.
    number: bool,
    /// Whether anything with a length was.
    duration: bool,
    colon: bool,
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    /// Whether braces are open: words are names there, never reserved.
    braces: bool,
    brackets: Option<Brackets>,
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

    /// Ends the words at this place: upstream points behind what it took before it saw the mistake.
    fn give_up(mut self, message: String) -> Lexed {
        let start = std::mem::replace(&mut self.at, self.text.len());
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
                Some(b'#') if self.braces || self.brackets.is_none_or(|brackets| brackets.number) => {
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
        match self.brackets {
            _ if self.braces => self.in_braces(c),
            Some(brackets) if !brackets.number => self.in_brackets(c, brackets),
            _ => self.open(c),
        }
    }

    fn end(&self) -> Result<TokenKind, String> {
        match self.brackets {
            _ if self.braces => Err("unexpected end of input inside braces".to_owned()),
            Some(Brackets { number: false, .. }) => Err("unexpected end of input in duration expression".to_owned()),
            _ if self.parens > 0 => Err("unclosed left parenthesis".to_owned()),
            Some(_) => Err("unclosed left bracket".to_owned()),
            None => Ok(TokenKind::End),
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
                self.braces = true;
                self.take(1, TokenKind::LeftBrace)
            }
            '[' if self.brackets.is_some() => Err("unexpected left bracket '['".to_owned()),
            '[' => {
                self.brackets = Some(Brackets {
                    number: false,
                    duration: false,
                    colon: false,
                });
                self.take(1, TokenKind::LeftBracket)
            }
            ']' if self.brackets.is_none() => Err("unexpected right bracket ']'".to_owned()),
            ']' => {
                self.brackets = None;
                self.take(1, TokenKind::RightBracket)
            }
            '@' => self.take(1, TokenKind::At),
            '=' if following == Some(b'=') => self.take(2, TokenKind::Operator(BinaryOp::Eq)),
            '=' if following == Some(b'~') => Err("unexpected character after '=': '~'".to_owned()),
            '=' => self.take(1, TokenKind::Assign),
            '!' if following == Some(b'=') => self.take(2, TokenKind::Operator(BinaryOp::Ne)),
            '!' => Err(self.odd_follower("")),
            '<' if following == Some(b'=') => self.take(2, TokenKind::Operator(BinaryOp::Le)),
            '<' if following == Some(b'/') => self.take(2, TokenKind::Operator(BinaryOp::TrimUpper)),
            '<' => self.take(1, TokenKind::Operator(BinaryOp::Lt)),
            '>' if following == Some(b'=') => self.take(2, TokenKind::Operator(BinaryOp::Ge)),
            '>' if following == Some(b'/') => self.take(2, TokenKind::Operator(BinaryOp::TrimLower)),
            '>' => self.take(1, TokenKind::Operator(BinaryOp::Gt)),
            '"' | '\'' | '`' => self.string(),
            c if self.starts_name(c) || c == ':' => match self.brackets {
                Some(brackets) => self.behind_number(c, brackets),
                None => self.word(),
            },
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
                self.braces = false;
                self.take(1, TokenKind::RightBrace)
            }
            '{' => Err("unexpected left brace '{'".to_owned()),
            ',' => self.take(1, TokenKind::Comma),
            '=' if following == Some(b'~') => self.take(2, TokenKind::RegexEqual),
            '=' => self.take(1, TokenKind::Assign),
            '!' if following == Some(b'~') => self.take(2, TokenKind::RegexNotEqual),
            '!' if following == Some(b'=') => self.take(2, TokenKind::Operator(BinaryOp::Ne)),
            '!' => Err(self.odd_follower(" inside braces")),
            '"' | '\'' | '`' => self.string(),
            c if self.starts_name(c) => {
                let len = self.name_len(false);
                self.take(len, TokenKind::Identifier)
            }
            c => Err(format!("unexpected character inside braces: {}", shown(c))),
        }
    }

    /// In brackets, before the first number.
    fn in_brackets(&mut self, c: char, brackets: Brackets) -> Result<TokenKind, String> {
        let following = self.text.as_bytes().get(self.at + 1).copied();
        let odd = || Err(format!("unexpected character in duration expression: {}", shown(c)));
        match c {
            ']' => {
                self.brackets = None;
                self.take(1, TokenKind::RightBracket)
            }
            ':' if !brackets.duration || brackets.colon => {
                self.at += 1;
                let which = if brackets.duration {
                    "repeated colon"
                } else {
                    "colon before duration"
                };
                Err(format!("unexpected {which} in duration expression"))
            }
            ':' => self.colon(brackets),
            c if c.is_ascii_alphabetic() => self.length_word(brackets).unwrap_or_else(odd),
            c => self.shared(c, following).unwrap_or_else(odd),
        }
    }

    /// A name or a colon in brackets, behind a number.
    fn behind_number(&mut self, c: char, brackets: Brackets) -> Result<TokenKind, String> {
        match c {
            ':' if brackets.colon => Err("unexpected colon ':'".to_owned()),
            ':' => self.colon(brackets),
            c => {
                let odd = || Err(format!("unexpected character: {}, expected ':'", shown(c)));
                self.length_word(brackets).unwrap_or_else(odd)
            }
        }
    }

    fn colon(&mut self, brackets: Brackets) -> Result<TokenKind, String> {
        self.brackets = Some(Brackets {
            colon: true,
            ..brackets
        });
        self.take(1, TokenKind::Colon)
    }

    /// `step`, `range`, `max_of` and `min_of` are the only words in brackets.
    fn length_word(&mut self, brackets: Brackets) -> Option<Result<TokenKind, String>> {
        let letters = |b: &u8| b.is_ascii_alphabetic() || *b == b'_';
        let len = self.rest().bytes().take_while(letters).count();
        match self.rest().get(..len).and_then(reserved) {
            Some(TokenKind::Keyword(word))
                if matches!(word, Keyword::Step | Keyword::Range | Keyword::MaxOf | Keyword::MinOf) =>
            {
                self.brackets = Some(Brackets {
                    duration: true,
                    ..brackets
                });
                Some(self.take(len, TokenKind::Keyword(word)))
            }
            _ => None,
        }
    }

    fn odd_follower(&self, place: &str) -> String {
        // Go shows the end of the text so.
        let follower = self.rest().chars().nth(1).unwrap_or('\u{fffd}');
        format!("unexpected character after '!'{place}: {}", shown(follower))
    }

    fn string(&mut self) -> Result<TokenKind, String> {
        let len = literal::quoted_len(self.rest())?;
        self.take(len, TokenKind::String)
    }

    /// Whether a name may start so.
    fn starts_name(&self, c: char) -> bool {
        starts_ascii_name(c) || (self.unquoted && !c.is_ascii() && is_letter(c))
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
        let ends = |c: char| !(continues_unquoted_name(c) || (colon && c == ':'));
        rest.find(ends).unwrap_or(rest.len())
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
        if let Some(brackets) = &mut self.brackets {
            (brackets.number, brackets.duration) = (true, true);
        }
        match literal::scan(self.rest()) {
            Scanned::Number(len) => self.take(len, TokenKind::Number),
            Scanned::Duration(len) => self.take(len, TokenKind::Duration),
            Scanned::Neither(len) => {
                let word = Quoted(self.rest().get(..len).unwrap_or(""));
                Err(format!("bad number or duration syntax: {word}"))
            }
        }
    }
}

/// Go's `%q` of a character.
fn shown(c: char) -> String {
    match c {
        '\'' => r"'\''".to_owned(),
        '"' => "'\"'".to_owned(),
        c => {
            let quoted = Quoted(c.encode_utf8(&mut [0; 4])).to_string();
            format!("'{}'", quoted.trim_matches('"'))
        }
    }
}

/// Whether the name of a label is read without quotes where `promql-unquoted-utf8-names` is on
/// (`promql/parser/printer.go`, `labelNameRequiresQuoting`).
pub(super) fn is_unquoted_name(name: &str) -> bool {
    let starts = |c: char| starts_ascii_name(c) || (!c.is_ascii() && is_letter(c));
    name.starts_with(starts) && name.chars().all(continues_unquoted_name)
}

fn starts_ascii_name(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_'
}

fn continues_unquoted_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.') || (!c.is_ascii() && is_letter(c))
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
