//! Label matchers: the atoms of a selector.

use crate::labels::Labels;
use crate::quote::QuotedBytes;
use crate::regex::{Regex, RegexError};
use std::fmt;

/// How a matcher compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Regex,
    /// `!~`
    NotRegex,
}

impl MatchOp {
    /// The operator as PromQL writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Regex => "=~",
            Self::NotRegex => "!~",
        }
    }
}

/// The name of no label.
const NO_LABEL: &str = "";

/// One condition on one label. An absent label is matched as the empty string.
#[derive(Debug, Clone)]
pub struct Matcher {
    name: String,
    op: MatchOp,
    value: String,
    regex: Option<Regex>,
    /// How it was written, where that is no UTF-8: labels are, so that what stands above means the same of them.
    written: Option<Box<Written>>,
}

/// A condition as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Written {
    name: Vec<u8>,
    op: MatchOp,
    value: Vec<u8>,
}

impl Matcher {
    /// Builds a matcher; only the regular-expression operators can fail.
    ///
    /// # Errors
    /// [`RegexError`] names the pattern, the offending place and what Go's RE2 syntax expects there.
    pub fn new(name: impl Into<String>, op: MatchOp, value: impl Into<String>) -> Result<Self, RegexError> {
        let value = value.into();
        let regex = match op {
            MatchOp::Regex | MatchOp::NotRegex => Some(Regex::to_match(&value)?),
            MatchOp::Equal | MatchOp::NotEqual => None,
        };
        Ok(Self {
            name: name.into(),
            op,
            value,
            regex,
            written: None,
        })
    }

    /// A matcher of a name and a value that need not be UTF-8, as texts of PromQL may be (`"\xff"`). No series has such a
    /// label, so that the name is as one that is absent, and the value, or an alternative of a pattern, equals none
    /// ([`Self::op`] and [`Self::value`] are those of a matcher of UTF-8 that says the same). It is shown and compared as
    /// it was written.
    ///
    /// # Errors
    /// As [`Self::new`]. Of patterns that are not UTF-8 only literals and alternatives of these are taken, as upstream does
    /// (`model/labels/regexp.go`, `optimizeAlternatingLiterals`); Go's parser refuses all others.
    pub fn of_bytes(name: Vec<u8>, op: MatchOp, value: Vec<u8>) -> Result<Self, RegexError> {
        let texts = (std::str::from_utf8(&name), std::str::from_utf8(&value));
        let matcher = match texts {
            (Ok(name), Ok(value)) => return Self::new(name, op, value),
            (name, Ok(value)) => Self::new(name.unwrap_or(NO_LABEL), op, value)?,
            (name, Err(_)) => {
                let (op, regex) = match op {
                    MatchOp::Equal => (MatchOp::Regex, Regex::of_nothing()),
                    MatchOp::NotEqual => (MatchOp::NotRegex, Regex::of_nothing()),
                    MatchOp::Regex | MatchOp::NotRegex => (op, Regex::of_bytes(&value)?),
                };
                Self {
                    name: name.unwrap_or(NO_LABEL).to_owned(),
                    op,
                    value: regex.pattern().to_owned(),
                    regex: Some(regex),
                    written: None,
                }
            }
        };
        Ok(Self {
            written: Some(Box::new(Written { name, op, value })),
            ..matcher
        })
    }

    /// What its pattern's engine takes ([`Regex::weight`]); 0 where it has none.
    #[must_use]
    pub fn pattern_weight(&self) -> usize {
        self.regex.as_ref().map_or(0, Regex::weight)
    }

    /// `name = value`.
    pub fn equal(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            op: MatchOp::Equal,
            value: value.into(),
            regex: None,
            written: None,
        }
    }

    /// `name != value`.
    pub fn not_equal(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            op: MatchOp::NotEqual,
            value: value.into(),
            regex: None,
            written: None,
        }
    }

    /// The label's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The operator.
    #[must_use]
    pub fn op(&self) -> MatchOp {
        self.op
    }

    /// The value or pattern as written.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Name, operator and value as they were written, which need not be UTF-8: to be shown, not to be looked up.
    #[must_use]
    pub fn written(&self) -> (&[u8], MatchOp, &[u8]) {
        match &self.written {
            Some(written) => (&written.name, written.op, &written.value),
            None => (self.name.as_bytes(), self.op, self.value.as_bytes()),
        }
    }

    /// The compiled pattern of `=~` and `!~`.
    #[must_use]
    pub fn regex(&self) -> Option<&Regex> {
        self.regex.as_ref()
    }

    /// Whether a label value (empty: the label is absent) fulfils the condition.
    #[must_use]
    pub fn matches(&self, value: &str) -> bool {
        match (self.op, &self.regex) {
            (MatchOp::Equal, _) => value == self.value,
            (MatchOp::NotEqual, _) => value != self.value,
            (MatchOp::Regex, Some(re)) => re.is_match(value),
            (MatchOp::NotRegex, Some(re)) => !re.is_match(value),
            (MatchOp::Regex | MatchOp::NotRegex, None) => false,
        }
    }

    /// Whether the matcher lets series through that lack the label.
    #[must_use]
    pub fn matches_empty(&self) -> bool {
        match (self.op, &self.regex) {
            (MatchOp::Regex, Some(regex)) => regex.matches_empty(),
            (MatchOp::NotRegex, Some(regex)) => !regex.matches_empty(),
            _ => self.matches(""),
        }
    }
}

/// Whether `labels` fulfils all of `matchers`.
#[must_use]
pub fn all_match(matchers: &[Matcher], labels: &Labels) -> bool {
    matchers.iter().all(|m| m.matches(labels.get(m.name()).unwrap_or("")))
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        self.written() == other.written()
    }
}

impl Eq for Matcher {}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, op, value) = self.written();
        match std::str::from_utf8(name) {
            Ok(name) if crate::labels::is_identifier(name, false) => f.write_str(name)?,
            _ => QuotedBytes(name).fmt(f)?,
        }
        write!(f, "{}{}", op.as_str(), QuotedBytes(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_no_label_has_equal_nothing_and_differ_from_everything() {
        use MatchOp::{Equal, NotEqual, NotRegex, Regex};
        let values = ["", "a", "b", "\u{fffd}", "[^\\x00-\\x{10FFFF}]"];
        for (name, op, value, shown, fits) in [
            (
                &b"x"[..],
                Equal,
                &b"\xff"[..],
                r#"x="\xff""#,
                [false, false, false, false, false],
            ),
            (
                b"x",
                NotEqual,
                b"a\xff",
                r#"x!="a\xff""#,
                [true, true, true, true, true],
            ),
            (
                b"x",
                Regex,
                b"\xff",
                r#"x=~"\xff""#,
                [false, false, false, false, false],
            ),
            (
                b"x",
                Regex,
                b"\xff|a",
                r#"x=~"\xff|a""#,
                [false, true, false, false, false],
            ),
            (
                b"x",
                NotRegex,
                b"a|\xff|b",
                r#"x!~"a|\xff|b""#,
                [true, false, false, true, true],
            ),
            (
                b"x",
                Regex,
                b"\xff|",
                r#"x=~"\xff|""#,
                [true, false, false, false, false],
            ),
            (
                b"\xff",
                Equal,
                b"a",
                r#""\xff"="a""#,
                [false, true, false, false, false],
            ),
            (b"x", Equal, b"a", r#"x="a""#, [false, true, false, false, false]),
        ] {
            let matcher = Matcher::of_bytes(name.to_vec(), op, value.to_vec()).unwrap();
            assert_eq!(values.map(|value| matcher.matches(value)), fits, "{matcher}");
            assert_eq!(matcher.matches_empty(), fits[0], "{matcher}");
            assert_eq!(matcher.to_string(), shown);
            assert_eq!(matcher.written(), (name, op, value));
            // Whoever looks at the parts finds a matcher that says the same.
            let again = Matcher::new(matcher.name(), matcher.op(), matcher.value()).unwrap();
            assert_eq!(values.map(|value| again.matches(value)), fits, "{again}");
        }
        let absent = Matcher::of_bytes(b"\xff".to_vec(), Equal, b"a".to_vec()).unwrap();
        let other = Matcher::of_bytes(b"\xfe".to_vec(), Equal, b"a".to_vec()).unwrap();
        assert!(!all_match(
            std::slice::from_ref(&absent),
            &Labels::from_pairs([("a", "a")])
        ));
        assert_ne!(absent, other, "they are told apart");
    }

    #[test]
    fn patterns_that_are_no_utf8_and_no_literals_are_refused_as_go_does() {
        for (pattern, rest) in [
            (&b".*\xff"[..], "\u{fffd}"),
            (b"a|(\xffb)", "\u{fffd}b)"),
            (b"\xff\xfe+", "\u{fffd}\u{fffd}+"),
        ] {
            for op in [MatchOp::Regex, MatchOp::NotRegex] {
                let error = Matcher::of_bytes(b"x".to_vec(), op, pattern.to_vec()).unwrap_err();
                let expected = format!("error parsing regexp: invalid UTF-8: `{rest}`");
                assert_eq!(error.in_words_of_go(), expected);
            }
        }
    }
}
