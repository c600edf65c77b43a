//! Patterns whose shape is read off their text: plain characters, escaped punctuation, alternatives, groups, and `.*` or
//! `.+` around a literal. Nearly every pattern of a dashboard or an autoscaling rule is one, and a parser of regular
//! expressions costs ten times what the rest of such a query does.
//!
//! Whatever is not understood is left to that parser: what is told here is what it would have led to.

use super::shape::{MAX_PARTS, MAX_SET, MAX_SET_BYTES, Shape};

/// Deepest nesting of groups that is looked into.
const MAX_GROUPS: u32 = 8;

/// How many alternatives are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alternatives {
    /// [`MAX_SET`] at most.
    Few,
    /// As many as are written, each by itself.
    Many,
}

/// How many times the bytes of a pattern all of its alternatives together may have where these are many.
const MAX_GROWTH: usize = 8;

/// The shape of a pattern that can be told without a parser.
pub(super) fn shape(pattern: &str, kept: Alternatives) -> Option<Shape> {
    let mut reader = Reader {
        rest: pattern,
        kept,
        groups: 0,
        written: pattern.len(),
    };
    let heads = reader.alternatives()?;
    if reader.rest.is_empty() {
        return Some(Shape::of_set(heads));
    }
    let head = single(heads)?;
    let least = reader.wildcard()?;
    let tail = single(reader.alternatives()?)?;
    match reader.rest {
        "" if head.is_empty() && tail.is_empty() => Some(Shape::Any(least)),
        "" => Some(Shape::Ends(head, least, tail)),
        ".*" if head.is_empty() && least == 0 && !tail.is_empty() => Some(Shape::Contains(tail)),
        _ => None,
    }
}

fn single(mut texts: Vec<String>) -> Option<String> {
    let text = texts.pop()?;
    texts.is_empty().then_some(text)
}

struct Reader<'p> {
    rest: &'p str,
    kept: Alternatives,
    /// How many groups are open.
    groups: u32,
    /// The bytes of the pattern.
    written: usize,
}

impl Reader<'_> {
    fn passes(&mut self, sign: &str) -> bool {
        let rest = self.rest.strip_prefix(sign);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// `a|b(c|d)`: all texts that it matches, up to what ends it.
    fn alternatives(&mut self) -> Option<Vec<String>> {
        let (mut all, mut bytes) = (Vec::new(), 0);
        loop {
            let (head, known) = (self.literal()?, all.len());
            if self.rest.starts_with('(') {
                all.append(&mut self.with_groups(head)?);
            } else {
                all.push(head);
            }
            bytes += all.iter().skip(known).map(String::len).sum::<usize>();
            let few = all.len() <= MAX_SET;
            let listed = self.kept == Alternatives::Many && all.len() <= self.written && bytes <= self.most_bytes();
            if !few && !listed {
                return None;
            }
            if !self.passes("|") {
                return Some(all);
            }
        }
    }

    /// See [`MAX_GROWTH`].
    fn most_bytes(&self) -> usize {
        self.written.saturating_mul(MAX_GROWTH)
    }

    /// The groups here and the literals between them, behind `head`.
    fn with_groups(&mut self, head: String) -> Option<Vec<String>> {
        let mut all = vec![head];
        let mut parts = 0;
        while self.passes("(") {
            parts += 1;
            if self.groups == MAX_GROUPS {
                return None;
            }
            self.groups += 1;
            // Any other `(?` is a mark that no literal has.
            let _ = self.passes("?:");
            let inside = self.alternatives()?;
            if !self.passes(")") {
                return None;
            }
            self.groups -= 1;
            let behind = self.literal()?;
            let bytes = |texts: &[String]| texts.iter().map(String::len).sum::<usize>();
            let longest = bytes(&inside).saturating_add(behind.len().saturating_mul(inside.len()));
            let all_bytes = bytes(&all)
                .saturating_mul(inside.len())
                .saturating_add(longest.saturating_mul(all.len()));
            let many = all.len().checked_mul(inside.len())?;
            // Of many each is written once: it stands beside one text, that must not be too long for that.
            let listed = self.kept == Alternatives::Many
                && (all.len() == 1 || inside.len() == 1)
                && all_bytes <= self.most_bytes();
            if parts > MAX_PARTS || (many > MAX_SET && !listed) || (many <= MAX_SET && all_bytes > MAX_SET_BYTES) {
                return None;
            }
            all = all
                .iter()
                .flat_map(|head| inside.iter().map(|text| [head, text.as_str(), &behind].concat()))
                .collect();
        }
        Some(all)
    }

    /// Plain characters and escaped punctuation; `None` where something follows that is neither those nor an end of theirs.
    fn literal(&mut self) -> Option<String> {
        let mut text = String::new();
        loop {
            let marks = |b: &u8| b"\\.+*?()|[{^$".contains(b);
            let len = self.rest.bytes().position(|b| marks(&b)).unwrap_or(self.rest.len());
            let (plain, rest) = self.rest.split_at_checked(len)?;
            text.push_str(plain);
            self.rest = rest;
            match rest.as_bytes() {
                [] | [b'|' | b'(' | b')' | b'.', ..] => return Some(text),
                [b'\\', sign, ..] if sign.is_ascii_punctuation() => {
                    text.push(char::from(*sign));
                    self.rest = rest.get(2..)?;
                }
                _ => return None,
            }
        }
    }

    /// `.*` is 0, `.+` is 1.
    fn wildcard(&mut self) -> Option<usize> {
        if self.passes(".*") {
            Some(0)
        } else {
            self.passes(".+").then_some(1)
        }
    }
}
