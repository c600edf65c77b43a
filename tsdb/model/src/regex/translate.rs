//! Go's RE2 syntax in the words of the `regex` crate, construct by construct (Go's `regexp/syntax` documentation).
//!
//! What differs and is translated: `\d \w \s \b` and their negations are ASCII; `\Q…\E` quotes; `\C` is refused; `[[:word:]]`
//! is known; octal escapes; `&&`, `--`, `~~` and `[` in classes are plain characters; `{` that opens no repetition is
//! plain; flags other than `imsU` are refused. What is the same passes through.

use std::fmt::Write as _;

/// The most repetitions that Go accepts, nested ones multiplied.
const MAX_REPEAT: u32 = 1000;

/// Translates a pattern.
///
/// # Errors
/// What Go's RE2 would refuse, with the offset in bytes.
pub(super) fn translate(pattern: &str) -> Result<String, String> {
    let mut translator = Translator {
        pattern,
        at: 0,
        out: String::with_capacity(pattern.len() + 16),
        repeats: vec![1],
        last: 1,
        repeatable: false,
    };
    translator.run()?;
    Ok(translator.out)
}

/// The engine's parser's words without its multi-line drawing.
pub(super) fn reason(error: &regex_syntax::Error) -> String {
    match error {
        regex_syntax::Error::Parse(error) => format!("{}, near {}", error.kind(), near(error.pattern(), error.span())),
        regex_syntax::Error::Translate(error) => {
            format!("{}, near {}", error.kind(), near(error.pattern(), error.span()))
        }
        other => other.to_string(),
    }
}

fn near(pattern: &str, span: &regex_syntax::ast::Span) -> String {
    format!("{:?}", pattern.get(span.start.offset..span.end.offset).unwrap_or(""))
}

struct Translator<'a> {
    pattern: &'a str,
    at: usize,
    out: String,
    /// Per open group: the greatest product of repetitions inside it so far.
    repeats: Vec<u32>,
    /// The product of repetitions inside the last atom.
    last: u32,
    /// Whether the last thing can be repeated (Go refuses `**` and a leading `*`).
    repeatable: bool,
}

type Step = Result<(), String>;

impl Translator<'_> {
    fn rest(&self) -> &str {
        self.pattern.get(self.at..).unwrap_or("")
    }

    fn error(&self, what: &str) -> String {
        format!("{what} at byte {}", self.at)
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.rest().chars().next()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn run(&mut self) -> Step {
        while let Some(c) = self.rest().chars().next() {
            match c {
                '\\' => self.escape()?,
                '[' => self.class()?,
                '(' => self.open()?,
                ')' => self.close()?,
                '{' => self.brace()?,
                '*' | '+' | '?' => self.repetition(c)?,
                '|' => {
                    self.bump();
                    self.out.push('|');
                    self.repeatable = false;
                }
                '^' | '$' | '.' => {
                    self.bump();
                    self.out.push(c);
                    self.atom(1);
                }
                c => {
                    self.bump();
                    self.literal(c);
                }
            }
        }
        if self.repeats.len() > 1 {
            return Err(self.error("missing closing )"));
        }
        Ok(())
    }

    /// A thing that can be repeated was written; inside it repetitions multiply to `repeats`.
    fn atom(&mut self, repeats: u32) {
        self.last = repeats;
        self.repeatable = true;
        self.note(repeats);
    }

    fn note(&mut self, repeats: u32) {
        if let Some(top) = self.repeats.last_mut() {
            *top = (*top).max(repeats);
        }
    }

    fn literal(&mut self, c: char) {
        push_literal(&mut self.out, c);
        self.atom(1);
    }

    fn open(&mut self) -> Step {
        self.bump();
        self.repeatable = false;
        if !self.rest().starts_with('?') {
            self.out.push('(');
            self.repeats.push(1);
            return Ok(());
        }
        self.bump();
        let named = ["P<", "<"].into_iter().find(|opening| self.rest().starts_with(opening));
        if let Some(opening) = named {
            self.at += opening.len();
            return self.group_name();
        }
        self.flags()
    }

    /// `(?P<name>` and `(?<name>`.
    fn group_name(&mut self) -> Step {
        let Some(len) = self.rest().find('>') else {
            return Err(self.error("invalid named capture"));
        };
        let name = self.rest().get(..len).unwrap_or("").to_owned();
        let word = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !word {
            return Err(self.error("invalid named capture"));
        }
        self.at += len + 1;
        // The engine wants a letter first, Go does not.
        let prefix = if name.as_bytes().first().is_some_and(u8::is_ascii_digit) {
            "_"
        } else {
            ""
        };
        let _ = write!(self.out, "(?P<{prefix}{name}>");
        self.repeats.push(1);
        Ok(())
    }

    /// `(?i)` and `(?i-s:`.
    fn flags(&mut self) -> Step {
        let start = self.at;
        let mut negated = false;
        while let Some(c) = self.bump() {
            match c {
                'i' | 'm' | 's' | 'U' => {}
                '-' if !negated => negated = true,
                ':' | ')' => {
                    let flags = self.pattern.get(start..self.at - 1).unwrap_or("");
                    if flags.ends_with('-') {
                        break;
                    }
                    if flags.is_empty() && c == ')' {
                        return Ok(());
                    }
                    let _ = write!(self.out, "(?{flags}{c}");
                    if c == ':' {
                        self.repeats.push(1);
                    }
                    return Ok(());
                }
                _ => break,
            }
        }
        self.at = start;
        Err(self.error("invalid or unsupported Perl syntax in a group's flags"))
    }

    fn close(&mut self) -> Step {
        if self.repeats.len() < 2 {
            return Err(self.error("unexpected )"));
        }
        #[cfg(feature = "planted")]
        crate::planted::trap(self.repeats.len() > 3 && self.last > 9);
        self.bump();
        let repeats = self.repeats.pop().unwrap_or(1);
        self.out.push(')');
        self.atom(repeats);
        Ok(())
    }

    /// `{2,5}`; a brace that opens no repetition is a plain character.
    fn brace(&mut self) -> Step {
        let Some((len, min, max)) = counts(self.rest()) else {
            self.bump();
            self.literal('{');
            return Ok(());
        };
        let too_many = min > MAX_REPEAT || max.is_some_and(|max| max > MAX_REPEAT || max < min);
        if too_many {
            return Err(self.error("invalid repeat count"));
        }
        if !self.repeatable {
            return Err(self.error("missing argument to repetition operator"));
        }
        let times = max.unwrap_or(min).max(1);
        let product = self.last.saturating_mul(times);
        if product > MAX_REPEAT {
            return Err(self.error("invalid repeat count"));
        }
        let counts = self.rest().get(..len).unwrap_or("").to_owned();
        self.at += len;
        self.out.push_str(&counts);
        self.note(product);
        self.lazy();
        Ok(())
    }

    fn repetition(&mut self, sign: char) -> Step {
        if !self.repeatable {
            return Err(self.error(&format!("missing argument to repetition operator {sign}")));
        }
        self.bump();
        self.out.push(sign);
        self.lazy();
        Ok(())
    }

    /// A `?` behind a repetition makes it lazy; anything more is an error in Go.
    fn lazy(&mut self) {
        if self.rest().starts_with('?') {
            self.bump();
            self.out.push('?');
        }
        self.repeatable = false;
    }

    fn escape(&mut self) -> Step {
        let start = self.at;
        self.bump();
        let Some(c) = self.bump() else {
            self.at = start;
            return Err(self.error("trailing backslash"));
        };
        match c {
            'Q' => {
                let quoted = self.rest().split("\\E").next().unwrap_or("").to_owned();
                self.at = (self.at + quoted.len() + 2).min(self.pattern.len());
                quoted.chars().for_each(|c| self.literal(c));
                return Ok(());
            }
            'A' | 'z' => {
                let _ = write!(self.out, "\\{c}");
            }
            'b' => self.out.push_str("(?-u:\\b)"),
            'B' => self.out.push_str("(?-u:\\B)"),
            'd' | 'D' | 's' | 'S' | 'w' | 'W' => self.out.push_str(perl_class(c)),
            'p' | 'P' => {
                let class = self.unicode_class(c)?;
                self.out.push_str(&class);
            }
            c => {
                let c = self.escaped_char(c, start)?;
                push_literal(&mut self.out, c);
            }
        }
        self.atom(1);
        Ok(())
    }

    /// `\pN`, `\p{Greek}`, `\p{^Greek}`.
    fn unicode_class(&mut self, c: char) -> Result<String, String> {
        let Some(first) = self.bump() else {
            return Err(self.error("invalid character class range"));
        };
        if first != '{' {
            return Ok(format!("\\{c}{{{first}}}"));
        }
        let Some(len) = self.rest().find('}') else {
            return Err(self.error("invalid character class range"));
        };
        let name = self.rest().get(..len).unwrap_or("").to_owned();
        self.at += len + 1;
        let (negated, name) = match name.strip_prefix('^') {
            Some(name) => (c == 'p', name),
            None => (c == 'P', name.as_str()),
        };
        // The engine knows more than RE2 does (`\p{gc=L}`, `\p{scx:Greek}`); those are errors in Go.
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err(self.error("invalid character class range"));
        }
        if name == "Any" {
            return Ok(if negated {
                "[^\\x00-\\x{10FFFF}]"
            } else {
                "[\\x00-\\x{10FFFF}]"
            }
            .to_owned());
        }
        Ok(format!("\\{}{{{name}}}", if negated { 'P' } else { 'p' }))
    }

    /// The character behind a backslash: control letters, octal, hexadecimal, escaped punctuation.
    fn escaped_char(&mut self, c: char, start: usize) -> Result<char, String> {
        let invalid = |translator: &mut Self| {
            translator.at = start;
            translator.error("invalid escape sequence")
        };
        let code = match c {
            'a' => 7,
            'f' => 12,
            'n' => 10,
            'r' => 13,
            't' => 9,
            'v' => 11,
            '0' => self.digits(8, 2).unwrap_or(0),
            // A back reference in other engines; octal only when more octal digits follow.
            '1'..='7' => {
                let first = c.to_digit(8).unwrap_or(0);
                let before = self.at;
                let Some(more) = self.digits(8, 2) else {
                    return Err(invalid(self));
                };
                first * 8u32.pow(u32::try_from(self.at - before).unwrap_or(0)) + more
            }
            'x' if self.rest().starts_with('{') => {
                self.bump();
                let code = self.digits(16, 8);
                let closed = self.bump() == Some('}');
                match code {
                    Some(code) if closed => code,
                    _ => return Err(invalid(self)),
                }
            }
            'x' => {
                let before = self.at;
                match self.digits(16, 2) {
                    Some(code) if self.at == before + 2 => code,
                    _ => return Err(invalid(self)),
                }
            }
            c if c.is_ascii() && !c.is_ascii_alphanumeric() => u32::from(c),
            _ => return Err(invalid(self)),
        };
        char::from_u32(code).ok_or_else(|| invalid(self))
    }

    /// Up to `most` digits; `None` when there is none.
    fn digits(&mut self, radix: u32, most: usize) -> Option<u32> {
        let mut value: Option<u32> = None;
        for _ in 0..most {
            let Some(digit) = self.rest().chars().next().and_then(|c| c.to_digit(radix)) else {
                break;
            };
            self.bump();
            value = Some(value.unwrap_or(0).saturating_mul(radix).saturating_add(digit));
        }
        value
    }

    /// `[^a-z\d[:alpha:]]`.
    fn class(&mut self) -> Step {
        let start = self.at;
        self.bump();
        self.out.push('[');
        if self.rest().starts_with('^') {
            self.bump();
            self.out.push('^');
        }
        let mut first = true;
        loop {
            match self.rest().chars().next() {
                None => {
                    self.at = start;
                    return Err(self.error("missing closing ]"));
                }
                Some(']') if !first => {
                    self.bump();
                    self.out.push(']');
                    self.atom(1);
                    return Ok(());
                }
                Some(_) => self.class_item()?,
            }
            first = false;
        }
    }

    fn class_item(&mut self) -> Step {
        if self.rest().starts_with("[:")
            && let Some(len) = self.rest().find(":]")
        {
            let name = self.rest().get(..len + 2).unwrap_or("").to_owned();
            if !POSIX.contains(&name.trim_matches(['[', ':', ']', '^'])) {
                return Err(self.error("invalid character class range"));
            }
            self.at += name.len();
            self.out.push_str(&name);
            return Ok(());
        }
        if let Some(rest) = self.rest().strip_prefix('\\')
            && let Some(c @ ('d' | 'D' | 's' | 'S' | 'w' | 'W' | 'p' | 'P')) = rest.chars().next()
        {
            self.at += 2;
            let class = if matches!(c, 'p' | 'P') {
                self.unicode_class(c)?
            } else {
                perl_class(c).to_owned()
            };
            self.out.push_str(&class);
            return Ok(());
        }
        let low = self.class_char()?;
        push_literal(&mut self.out, low);
        let ranges = self.rest().starts_with('-') && !self.rest().starts_with("-]") && self.rest().len() > 1;
        if ranges {
            self.bump();
            let high = self.class_char()?;
            if high < low {
                return Err(self.error("invalid character class range"));
            }
            self.out.push('-');
            push_literal(&mut self.out, high);
        }
        Ok(())
    }

    fn class_char(&mut self) -> Result<char, String> {
        let start = self.at;
        match self.bump() {
            Some('\\') => {
                let Some(c) = self.bump() else {
                    return Err(self.error("trailing backslash"));
                };
                self.escaped_char(c, start)
            }
            Some(c) => Ok(c),
            None => Err(self.error("missing closing ]")),
        }
    }
}

const POSIX: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "word",
    "xdigit",
];

/// Go's ASCII classes; its `\s` lacks the vertical tab.
fn perl_class(c: char) -> &'static str {
    match c {
        'd' => "[0-9]",
        'D' => "[^0-9]",
        's' => "[\\t\\n\\x0C\\r ]",
        'S' => "[^\\t\\n\\x0C\\r ]",
        'w' => "[0-9A-Za-z_]",
        _ => "[^0-9A-Za-z_]",
    }
}

fn push_literal(out: &mut String, c: char) {
    if c.is_ascii_alphanumeric() || !c.is_ascii() || c == '_' {
        out.push(c);
    } else {
        let _ = write!(out, "\\x{:02X}", c as u32);
    }
}

/// `{n}`, `{n,}`, `{n,m}` at the start of `text`: its length and the counts.
fn counts(text: &str) -> Option<(usize, u32, Option<u32>)> {
    let len = text.find('}')?;
    let inside = text.get(1..len)?;
    let number = |digits: &str| {
        let leading_zero = digits.len() > 1 && digits.starts_with('0');
        let number = !digits.is_empty() && !leading_zero && digits.bytes().all(|b| b.is_ascii_digit());
        // Too long for the type is too many all the same.
        number.then(|| digits.parse().unwrap_or(u32::MAX))
    };
    let (min, max) = match inside.split_once(',') {
        None => (number(inside)?, Some(number(inside)?)),
        Some((min, "")) => (number(min)?, None),
        Some((min, max)) => (number(min)?, Some(number(max)?)),
    };
    Some((len + 1, min, max))
}
