//! Text to requirements.

use super::{Operator, Requirement, SelectorError, integer};

/// Longest name part of a key, and longest value (`validation.IsQualifiedName`, `IsValidLabelValue`).
const NAME_MAX: usize = 63;
/// Longest prefix of a key (`validation.IsDNS1123Subdomain`).
const PREFIX_MAX: usize = 253;

/// A word or a symbol and where it starts; the empty text is the end.
#[derive(Clone, Copy)]
struct Token<'a> {
    text: &'a str,
    at: usize,
}

impl Token<'_> {
    fn is_end(&self) -> bool {
        self.text.is_empty()
    }

    fn is_word(&self) -> bool {
        self.text.bytes().next().is_some_and(|b| !is_symbol(b))
    }
}

fn is_symbol(b: u8) -> bool {
    matches!(b, b'=' | b'!' | b'(' | b')' | b',' | b'>' | b'<')
}

fn is_blank(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'\r' | b'\n')
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

/// Parses `text` into requirements in the order they are written.
pub(super) fn parse(text: &str) -> Result<Vec<Requirement>, SelectorError> {
    let mut parser = Parser { text, at: 0 };
    let mut requirements = Vec::new();
    let first = parser.peek();
    if first.is_end() {
        return Ok(requirements);
    }
    if !first.is_word() && first.text != "!" {
        return Err(parser.found(first, "'!', a key or the end"));
    }
    loop {
        requirements.push(parser.requirement()?);
        let separator = parser.next();
        if separator.is_end() {
            return Ok(requirements);
        }
        if separator.text != "," {
            return Err(parser.found(separator, "',' or the end"));
        }
        let following = parser.peek();
        if !following.is_word() && following.text != "!" {
            return Err(parser.found(following, "a key after ','"));
        }
    }
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Token<'a> {
        Parser {
            text: self.text,
            at: self.at,
        }
        .next()
    }

    fn next(&mut self) -> Token<'a> {
        let bytes = self.text.as_bytes();
        let at = self.at + bytes[self.at..].iter().take_while(|b| is_blank(**b)).count();
        let rest = &bytes[at..];
        let len = match rest.first() {
            None => 0,
            Some(b) if !is_symbol(*b) => rest.iter().take_while(|b| !is_symbol(**b) && !is_blank(**b)).count(),
            Some(_) if rest.starts_with(b"==") || rest.starts_with(b"!=") => 2,
            Some(_) => 1,
        };
        self.at = at + len;
        // Symbols and blanks are ASCII, so both ends lie between characters.
        Token {
            text: &self.text[at..at + len],
            at,
        }
    }

    fn error(&self, at: usize, message: String) -> SelectorError {
        SelectorError {
            text: self.text.to_owned(),
            offset: at,
            message,
        }
    }

    fn found(&self, token: Token<'_>, expected: &str) -> SelectorError {
        let found = if token.is_end() {
            "the end".to_owned()
        } else {
            format!("'{}'", token.text)
        };
        self.error(token.at, format!("found {found}, expected {expected}"))
    }

    fn requirement(&mut self) -> Result<Requirement, SelectorError> {
        let mut key = self.next();
        let negated = key.text == "!";
        if negated {
            key = self.next();
        }
        if !key.is_word() {
            return Err(self.found(key, "a key"));
        }
        #[cfg(feature = "planted")]
        leadline_model::planted::trap(negated && key.text.contains('/'));
        check_key(key.text).map_err(|message| self.error(key.at, message))?;
        let following = self.peek();
        if negated || following.is_end() || following.text == "," {
            let operator = if negated {
                Operator::DoesNotExist
            } else {
                Operator::Exists
            };
            return Ok(Requirement {
                key: key.text.to_owned(),
                operator,
                values: Vec::new(),
            });
        }
        let operator = self.operator()?;
        let mut values = match operator {
            Operator::In | Operator::NotIn => self.values()?,
            _ => vec![self.value()?],
        };
        for value in &values {
            self.check_value(operator, *value)?;
        }
        values.sort_unstable_by_key(|v| v.text);
        values.dedup_by_key(|v| v.text);
        let values = values.into_iter().map(|v| v.text.to_owned()).collect();
        Ok(Requirement {
            key: key.text.to_owned(),
            operator,
            values,
        })
    }

    fn operator(&mut self) -> Result<Operator, SelectorError> {
        let token = self.next();
        match token.text {
            "=" | "==" => Ok(Operator::Equals),
            "!=" => Ok(Operator::NotEquals),
            "in" => Ok(Operator::In),
            "notin" => Ok(Operator::NotIn),
            ">" => Ok(Operator::GreaterThan),
            "<" => Ok(Operator::LessThan),
            _ => Err(self.found(token, "an operator (=, ==, !=, in, notin, > or <)")),
        }
    }

    /// One value after an operator; nothing before a comma or the end is the empty value.
    fn value(&mut self) -> Result<Token<'a>, SelectorError> {
        let token = self.peek();
        if token.is_end() || token.text == "," {
            return Ok(Token { text: "", at: token.at });
        }
        if !token.is_word() {
            return Err(self.found(token, "a value"));
        }
        Ok(self.next())
    }

    /// `(a,b)`; nothing between two separators is the empty value.
    fn values(&mut self) -> Result<Vec<Token<'a>>, SelectorError> {
        let open = self.next();
        if open.text != "(" {
            return Err(self.found(open, "'('"));
        }
        let mut values = Vec::new();
        loop {
            let value = self.peek();
            match value.text {
                "," | ")" => values.push(Token { text: "", at: value.at }),
                _ if value.is_word() => values.push(self.next()),
                _ => return Err(self.found(value, "',', ')' or a value")),
            }
            let separator = self.next();
            match separator.text {
                "," => {}
                ")" => return Ok(values),
                _ => return Err(self.found(separator, "',' or ')'")),
            }
        }
    }

    fn check_value(&self, operator: Operator, value: Token<'_>) -> Result<(), SelectorError> {
        let Token { text, at } = value;
        if matches!(operator, Operator::GreaterThan | Operator::LessThan) && integer(text).is_none() {
            return Err(self.error(at, format!("a whole number was expected after > and <, found '{text}'")));
        }
        if text.len() > NAME_MAX {
            return Err(self.error(
                at,
                format!(
                    "a label value has at most {NAME_MAX} characters, this has {}",
                    text.len()
                ),
            ));
        }
        if !text.is_empty() && !is_name(text) {
            let rule = "letters, digits, '-', '_' and '.', with a letter or digit first and last";
            return Err(self.error(at, format!("'{text}' is no label value: {rule}")));
        }
        Ok(())
    }
}

/// `([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]`
fn is_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    let outer = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    outer(bytes.first())
        && outer(bytes.last())
        && bytes
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

/// A lower-case DNS name.
fn is_subdomain(text: &str) -> bool {
    let outer = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    text.len() <= PREFIX_MAX
        && text.split('.').map(str::as_bytes).all(|part| {
            outer(part.first())
                && outer(part.last())
                && part
                    .iter()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
        })
}

/// A qualified name: an optional DNS name and `/`, then a name.
fn check_key(key: &str) -> Result<(), String> {
    let (prefix, name) = key
        .split_once('/')
        .map_or((None, key), |(prefix, name)| (Some(prefix), name));
    if prefix.is_some_and(|p| !is_subdomain(p)) {
        return Err(format!(
            "'{key}' is no label key: the part before '/' must be a lower-case DNS name"
        ));
    }
    if name.len() > NAME_MAX || !is_name(name) {
        let rule = "letters, digits, '-', '_' and '.', with a letter or digit first and last";
        return Err(format!("'{key}' is no label key: at most {NAME_MAX} {rule}"));
    }
    Ok(())
}
