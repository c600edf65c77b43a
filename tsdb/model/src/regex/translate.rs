//! Go's RE2 syntax in the words of the `regex` crate, construct by construct (Go's `regexp/syntax` documentation).
//!
//! What differs and is translated: `\d \w \s \b` and their negations are ASCII; `\Q…\E` quotes; `\C` is refused; `[[:word:]]`
//! is known; octal escapes; `&&`, `--`, `~~` and `[` in classes are plain characters; `{` that opens no repetition is
//! plain; flags other than `imsU` are refused. What is the same passes through.

use std::fmt::{self, Write as _};
use std::ops::Range;

/// What Go's RE2 refuses a pattern for (`regexp/syntax`, `ErrorCode`).
#[derive(Debug, Clone, Copy)]
enum Code {
    CharRange,
    Escape,
    NamedCapture,
    PerlOp,
    RepeatOp,
    RepeatSize,
    MissingBracket,
    MissingParen,
    RepeatArgument,
    TrailingBackslash,
    UnexpectedParen,
}

impl Code {
    fn as_str(self) -> &'static str {
        match self {
            Self::CharRange => "invalid character class range",
            Self::Escape => "invalid escape sequence",
            Self::NamedCapture => "invalid named capture",
            Self::PerlOp => "invalid or unsupported Perl syntax",
            Self::RepeatOp => "invalid nested repetition operator",
            Self::RepeatSize => "invalid repeat count",
            Self::MissingBracket => "missing closing ]",
            Self::MissingParen => "missing closing )",
            Self::RepeatArgument => "missing argument to repetition operator",
            Self::TrailingBackslash => "trailing backslash at end of expression",
            Self::UnexpectedParen => "unexpected )",
        }
    }
}

/// Why a pattern is refused; displayed in Go's words.
#[derive(Debug)]
pub(super) struct Fault {
    code: Code,
    /// Where, in bytes.
    at: usize,
    /// What Go quotes of the pattern.
    quoted: String,
}

impl Fault {
    /// What is wrong and where.
    pub(super) fn reason(&self) -> String {
        format!("{} at byte {}", self.code.as_str(), self.at)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error parsing regexp: {}: `{}`", self.code.as_str(), self.quoted)
    }
}

/// The most repetitions that Go accepts, nested ones multiplied.
const MAX_REPEAT: u32 = 1000;

/// Translates a pattern.
///
/// # Errors
/// What Go's RE2 would refuse.
pub(super) fn translate(pattern: &str) -> Result<String, Fault> {
    let mut translator = Translator {
        pattern,
        at: 0,
        out: String::with_capacity(pattern.len() + 16),
        repeats: vec![1],
        last: 1,
        repeatable: false,
        repetition: None,
        names: Vec::new(),
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
    /// Where the repetition begins that ends here, if one does.
    repetition: Option<usize>,
    /// The names of groups so far.
    names: Vec<String>,
}

type Step = Result<(), Fault>;

impl Translator<'_> {
    fn rest(&self) -> &str {
        self.pattern.get(self.at..).unwrap_or("")
    }

    /// An error at the byte `at`; Go quotes what stands from there to this place.
    fn fault(&self, code: Code, at: usize) -> Fault {
        self.quoting(code, at, at..self.at)
    }

    fn quoting(&self, code: Code, at: usize, quoted: Range<usize>) -> Fault {
        let quoted = self.pattern.get(quoted).unwrap_or("").to_owned();
        Fault { code, at, quoted }
    }

    /// An error at the byte `at` for which Go quotes the whole pattern.
    fn about_all(&self, code: Code, at: usize) -> Fault {
        self.quoting(code, at, 0..self.pattern.len())
    }

    /// An error at the byte `at` for which Go quotes all that follows.
    fn about_rest(&self, code: Code, at: usize) -> Fault {
        self.quoting(code, at, at..self.pattern.len())
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.rest().chars().next()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn run(&mut self) -> Step {
        while let Some(c) = self.rest().chars().next() {
            let last = self.repetition.take();
            match c {
                '\\' => self.escape()?,
                '[' => self.class()?,
                '(' => self.open()?,
                ')' => self.close()?,
                '{' => self.brace(last)?,
                '*' | '+' | '?' => self.repeat(c, last)?,
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
            return Err(self.about_all(Code::MissingParen, self.at));
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
        let start = self.at;
        self.bump();
        self.repeatable = false;
        if !self.rest().starts_with('?') {
            self.out.push('(');
            self.repeats.push(1);
            return Ok(());
        }
        self.bump();
        let opens = |opening: &&&str| self.rest().strip_prefix(**opening).is_some_and(|rest| !rest.is_empty());
        if let Some(opening) = ["P<", "<"].iter().find(opens) {
            self.at += opening.len();
            return self.group_name(start);
        }
        self.flags(start)
    }

    /// `(?P<name>` and `(?<name>`.
    fn group_name(&mut self, start: usize) -> Step {
        let Some(len) = self.rest().find('>') else {
            return Err(self.about_rest(Code::NamedCapture, start));
        };
        let name = self.rest().get(..len).unwrap_or("").to_owned();
        let word = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        self.at += len + 1;
        if !word {
            return Err(self.fault(Code::NamedCapture, start));
        }
        // The engine wants a letter first, Go does not.
        let prefix = if name.as_bytes().first().is_some_and(u8::is_ascii_digit) {
            "_"
        } else {
            ""
        };
        // Nor does Go mind that a name is given twice.
        let before = self.names.iter().filter(|known| **known == name).count();
        let _ = match before {
            0 => write!(self.out, "(?P<{prefix}{name}>"),
            n => write!(self.out, "(?P<{prefix}{name}.{n}>"),
        };
        self.names.push(name);
        self.repeats.push(1);
        Ok(())
    }

    /// `(?i)` and `(?i-s:`.
    fn flags(&mut self, opening: usize) -> Step {
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
        Err(self.fault(Code::PerlOp, opening))
    }

    fn close(&mut self) -> Step {
        if self.repeats.len() < 2 {
            return Err(self.about_all(Code::UnexpectedParen, self.at));
        }
        #[cfg(feature = "planted")]
        crate::planted::trap(self.repeats.len() > 3 && self.last > 9);
        self.bump();
        let repeats = self.repeats.pop().unwrap_or(1);
        self.out.push(')');
        self.atom(repeats);
        Ok(())
    }

    /// `{2,5}`; a brace that opens no repetition is a plain character. `last` is where the repetition in front of it
    /// begins.
    fn brace(&mut self, last: Option<usize>) -> Step {
        let Some((len, min, max)) = counts(self.rest()) else {
            self.bump();
            self.literal('{');
            return Ok(());
        };
        let start = self.at;
        let too_many = min > MAX_REPEAT || max.is_some_and(|max| max > MAX_REPEAT || max < min);
        if too_many {
            return Err(self.quoting(Code::RepeatSize, start, start..start + len));
        }
        let counts = self.rest().get(..len).unwrap_or("").to_owned();
        self.at += len;
        self.repeatable_until_here(start, last, &counts)?;
        let times = max.unwrap_or(min).max(1);
        let product = self.last.saturating_mul(times);
        if product > MAX_REPEAT {
            return Err(self.fault(Code::RepeatSize, start));
        }
        self.note(product);
        Ok(())
    }

    fn repeat(&mut self, sign: char, last: Option<usize>) -> Step {
        let start = self.at;
        self.bump();
        self.repeatable_until_here(start, last, sign.encode_utf8(&mut [0; 4]))
    }

    /// Writes the repetition that began at `start`; a `?` behind it makes it lazy. Go refuses one behind nothing, and one
    /// behind another.
    fn repeatable_until_here(&mut self, start: usize, last: Option<usize>, written: &str) -> Step {
        let lazy = self.rest().starts_with('?');
        if lazy {
            self.bump();
        }
        if let Some(last) = last {
            return Err(self.quoting(Code::RepeatOp, start, last..self.at));
        }
        if !self.repeatable {
            return Err(self.fault(Code::RepeatArgument, start));
        }
        self.out.push_str(written);
        if lazy {
            self.out.push('?');
        }
        self.repeatable = false;
        self.repetition = Some(start);
        Ok(())
    }

    fn escape(&mut self) -> Step {
        let start = self.at;
        self.bump();
        let Some(c) = self.bump() else {
            return Err(self.quoting(Code::TrailingBackslash, start, 0..0));
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
                let class = self.unicode_class(c, start)?;
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

    /// `\pN`, `\p{Greek}`, `\p{^Greek}`, of which `start` is the first byte.
    fn unicode_class(&mut self, c: char, start: usize) -> Result<String, Fault> {
        let name = match self.bump() {
            Some('{') => {
                let Some(len) = self.rest().find('}') else {
                    return Err(self.about_rest(Code::CharRange, start));
                };
                let name = self.rest().get(..len).unwrap_or("").to_owned();
                self.at += len + 1;
                name
            }
            first => first.map(String::from).unwrap_or_default(),
        };
        let (negated, name) = match name.strip_prefix('^') {
            Some(name) => (c == 'p', name),
            None => (c == 'P', name.as_str()),
        };
        if name == "Any" {
            return Ok(if negated {
                "[^\\x00-\\x{10FFFF}]"
            } else {
                "[\\x00-\\x{10FFFF}]"
            }
            .to_owned());
        }
        // The engine knows more than RE2 does (`\p{gc=L}`, `\p{scx:Greek}`); those are errors in Go.
        let word = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let class = format!("\\{}{{{name}}}", if negated { 'P' } else { 'p' });
        if !word || regex_syntax::parse(&class).is_err() {
            return Err(self.fault(Code::CharRange, start));
        }
        Ok(class)
    }

    /// The character behind a backslash: control letters, octal, hexadecimal, escaped punctuation.
    fn escaped_char(&mut self, c: char, start: usize) -> Result<char, Fault> {
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
                    return Err(self.fault(Code::Escape, start));
                };
                first * 8u32.pow(u32::try_from(self.at - before).unwrap_or(0)) + more
            }
            'x' => self.hexadecimal().ok_or_else(|| self.fault(Code::Escape, start))?,
            c if c.is_ascii() && !c.is_ascii_alphanumeric() => u32::from(c),
            _ => return Err(self.fault(Code::Escape, start)),
        };
        char::from_u32(code).ok_or_else(|| self.fault(Code::Escape, start))
    }

    /// What follows `\x`: two digits, or any number of them in braces.
    fn hexadecimal(&mut self) -> Option<u32> {
        let first = self.bump()?;
        if first != '{' {
            let second = self.bump()?;
            return Some(first.to_digit(16)? * 16 + second.to_digit(16)?);
        }
        let mut code: Option<u32> = None;
        loop {
            match self.bump()? {
                '}' => return code,
                c => {
                    let next = code.unwrap_or(0) * 16 + c.to_digit(16)?;
                    if next > u32::from(char::MAX) {
                        return None;
                    }
                    code = Some(next);
                }
            }
        }
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
                None => return Err(self.about_rest(Code::MissingBracket, start)),
                Some(']') if !first => {
                    self.bump();
                    self.out.push(']');
                    self.atom(1);
                    return Ok(());
                }
                Some(_) => self.class_item(start)?,
            }
            first = false;
        }
    }

    /// One item of the class that begins at `class`.
    fn class_item(&mut self, class: usize) -> Step {
        let start = self.at;
        if self.rest().starts_with("[:")
            && let Some(len) = self.rest().find(":]")
        {
            let name = self.rest().get(..len + 2).unwrap_or("").to_owned();
            self.at += name.len();
            if !POSIX.contains(&name.trim_matches(['[', ':', ']', '^'])) {
                return Err(self.fault(Code::CharRange, start));
            }
            self.out.push_str(&name);
            return Ok(());
        }
        if let Some(rest) = self.rest().strip_prefix('\\')
            && let Some(c @ ('d' | 'D' | 's' | 'S' | 'w' | 'W' | 'p' | 'P')) = rest.chars().next()
        {
            self.at += 2;
            let class = if matches!(c, 'p' | 'P') {
                self.unicode_class(c, start)?
            } else {
                perl_class(c).to_owned()
            };
            self.out.push_str(&class);
            return Ok(());
        }
        let low = self.class_char(class)?;
        push_literal(&mut self.out, low);
        let ranges = self.rest().starts_with('-') && !self.rest().starts_with("-]") && self.rest().len() > 1;
        if ranges {
            self.bump();
            let high = self.class_char(class)?;
            if high < low {
                return Err(self.fault(Code::CharRange, start));
            }
            self.out.push('-');
            push_literal(&mut self.out, high);
        }
        Ok(())
    }

    fn class_char(&mut self, class: usize) -> Result<char, Fault> {
        let start = self.at;
        match self.bump() {
            Some('\\') => {
                let Some(c) = self.bump() else {
                    return Err(self.quoting(Code::TrailingBackslash, start, 0..0));
                };
                self.escaped_char(c, start)
            }
            Some(c) => Ok(c),
            None => Err(self.about_rest(Code::MissingBracket, class)),
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
