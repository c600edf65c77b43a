//! Go's RE2 syntax on the Rust engine, anchored at both ends, as Prometheus' matchers and relabelling use it.
//!
//! Some patterns need no engine: a literal, a set of alternatives, a literal with `.*` or `.+` around it. Most matchers
//! that dashboards and autoscaling rules send are of such a shape. It is read off the text where that is easy
//! (`regex/plain.rs`); any other pattern is translated (`regex/translate.rs`), parsed, which finds its mistakes, and looked
//! at (`regex/shape.rs`). The engine is built when the first value needs it, or at once where it might be too big.

mod expand;
mod plain;
mod shape;
mod translate;

use crate::quote::replaced;
use plain::Alternatives;
use shape::Shape;
use std::fmt;
use std::sync::{Arc, OnceLock};

/// Longest pattern (bytes) that is accepted.
pub const MAX_PATTERN_BYTES: usize = 64 * 1024;

/// Longest list of plain alternatives (bytes) that [`Regex::to_match`] accepts: what a dashboard writes for "all" of a
/// variable has as many as there are pods.
pub const MAX_LIST_BYTES: usize = 256 * 1024;

/// Memory (bytes) that one compiled pattern may take.
const MAX_PROGRAM_BYTES: usize = 10 * 1024 * 1024;

/// A pattern without a match.
const NOTHING: &str = r"[^\x00-\x{10FFFF}]";

/// Deepest nesting of groups; Go's own limit is 1000.
const MAX_NESTING: u32 = 250;

/// A fully anchored pattern: `^(?s:pattern)$`. Cheap to clone.
#[derive(Clone)]
pub struct Regex(Arc<Inner>);

struct Inner {
    pattern: String,
    shape: Shape,
    prefix: String,
    /// Whether the parser knows that every match has a character.
    never_empty: bool,
    /// See [`Regex::weight`].
    weight: usize,
    engine: OnceLock<regex::Regex>,
}

impl Regex {
    /// Compiles `pattern` (Go RE2 syntax); the whole value must match it, and `.` matches a newline.
    ///
    /// # Errors
    /// [`RegexError`] when the pattern is not valid, or when it exceeds a limit: [`MAX_PATTERN_BYTES`], 1000
    /// repetitions, 250 nested groups, 10 MiB compiled.
    pub fn new(pattern: &str) -> Result<Self, RegexError> {
        let fail = |reason: String| RegexError {
            pattern: abbreviated(pattern),
            reason,
            of_go: None,
        };
        if pattern.len() > MAX_PATTERN_BYTES {
            return Err(fail(format!("it is longer than {MAX_PATTERN_BYTES} bytes")));
        }
        if let Some(shape) = plain::shape(pattern, Alternatives::Few) {
            return Ok(Self::assemble(pattern, shape, String::new(), (false, 0)));
        }
        let translated = translated(pattern).map_err(|fault| RegexError {
            of_go: Some(fault.to_string()),
            ..fail(fault.reason())
        })?;
        let hir = regex_syntax::ParserBuilder::new()
            .nest_limit(MAX_NESTING)
            .build()
            .parse(&translated)
            .map_err(|error| fail(translate::reason(&error)))?;
        let shape = shape::of(&hir);
        let weight = if matches!(shape, Shape::Other) {
            shape::parts(&hir)
        } else {
            0
        };
        let small = weight <= shape::SMALL;
        let never_empty = hir.properties().minimum_len().is_some_and(|len| len > 0);
        let regex = Self::assemble(pattern, shape, shape::prefix(&hir), (never_empty, weight));
        // What is small, or has a shape, is known to be no more than an engine takes. Whatever else is built now: it must
        // not turn out too big when a value is asked.
        if !small {
            let engine = regex.0.build().map_err(|error| fail(error.to_string()))?;
            let _ = regex.0.engine.set(engine);
        }
        Ok(regex)
    }

    /// The same for what is matched and never expanded: alternatives of plain texts may be many, since they need no engine
    /// for that.
    ///
    /// # Errors
    /// As [`Self::new`], but such alternatives may have [`MAX_LIST_BYTES`].
    pub fn to_match(pattern: &str) -> Result<Self, RegexError> {
        let fits = pattern.len() <= MAX_LIST_BYTES;
        match fits.then(|| plain::shape(pattern, Alternatives::Many)).flatten() {
            Some(shape) => Ok(Self::assemble(pattern, shape, String::new(), (false, 0))),
            None => Self::new(pattern),
        }
    }

    /// A pattern that matches no value at all.
    #[must_use]
    pub fn of_nothing() -> Self {
        Self::assemble(NOTHING, Shape::Set(Vec::new()), String::new(), (true, 0))
    }

    /// As [`Self::to_match`], of bytes that need not be UTF-8: alternatives, of which those that are not equal no value.
    ///
    /// # Errors
    /// As there, and [`RegexError`] where it has to be parsed: neither Go's parser nor this one's takes such bytes.
    pub fn of_bytes(pattern: &[u8]) -> Result<Self, RegexError> {
        if let Ok(pattern) = std::str::from_utf8(pattern) {
            return Self::to_match(pattern);
        }
        if pattern.iter().any(|byte| b"\\.+*?()[]{}^$".contains(byte)) {
            let broken = pattern.utf8_chunks().next().map_or(0, |chunk| chunk.valid().len());
            let rest = replaced(pattern.get(broken..).unwrap_or_default());
            return Err(RegexError {
                pattern: abbreviated(&replaced(pattern)),
                reason: "it is not UTF-8".to_owned(),
                of_go: Some(format!("error parsing regexp: invalid UTF-8: `{rest}`")),
            });
        }
        let alternatives = pattern.split(|byte| *byte == b'|');
        let possible: Vec<&str> = alternatives.filter_map(|text| std::str::from_utf8(text).ok()).collect();
        match possible.is_empty() {
            true => Ok(Self::of_nothing()),
            false => Self::to_match(&possible.join("|")),
        }
    }

    /// `prefix` counts where the shape tells none.
    fn assemble(pattern: &str, shape: Shape, prefix: String, (never_empty, weight): (bool, usize)) -> Self {
        Self(Arc::new(Inner {
            pattern: pattern.to_owned(),
            prefix: shape.prefix().unwrap_or(prefix),
            shape,
            never_empty,
            weight,
            engine: OnceLock::new(),
        }))
    }

    /// About how many instructions its engine has, ten bytes each; 0 where it needs none. Whoever takes many patterns at once
    /// bounds their sum.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.0.weight
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn pattern(&self) -> &str {
        &self.0.pattern
    }

    /// Whether all of `value` matches.
    #[must_use]
    pub fn is_match(&self, value: &str) -> bool {
        match self.0.shape.is_match(value) {
            Some(verdict) => verdict,
            None => self.0.engine().is_some_and(|engine| engine.is_match(value)),
        }
    }

    /// Whether the empty value matches; as [`Self::is_match`], but mostly without an engine.
    #[must_use]
    pub fn matches_empty(&self) -> bool {
        !self.0.never_empty && self.is_match("")
    }

    /// The alternatives when the pattern is a plain set such as `a|b|c` or `a(b|c)` (then they can be looked up, not
    /// scanned), sorted, each once: at most 256, or of [`Self::to_match`] as many as are written.
    #[must_use]
    pub fn set(&self) -> Option<&[String]> {
        match &self.0.shape {
            Shape::Set(set) => Some(set),
            _ => None,
        }
    }

    /// A literal that every match starts with; empty when there is none.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.0.prefix
    }

    /// Expands `template` with the groups of the match of `value` by the rules of Go's `Regexp.Expand`: `$1`, `$name`
    /// (the longest run of letters, digits and `_`), `${name}`, `$$`; an unknown group is empty. `None` when `value`
    /// does not match.
    #[must_use]
    pub fn expand(&self, value: &str, template: &str) -> Option<String> {
        if self.0.shape.is_match(value) == Some(false) {
            return None;
        }
        let engine = self.0.engine()?;
        let captures = engine.captures(value)?;
        Some(expand::expand(engine, &captures, template))
    }
}

impl Inner {
    fn build(&self) -> Result<regex::Regex, regex::Error> {
        let translated = translated(&self.pattern).map_err(|fault| regex::Error::Syntax(fault.reason()))?;
        regex::RegexBuilder::new(&translated)
            .size_limit(MAX_PROGRAM_BYTES)
            .nest_limit(MAX_NESTING)
            .build()
    }

    /// The engine, built at its first use.
    fn engine(&self) -> Option<&regex::Regex> {
        if let Some(engine) = self.engine.get() {
            return Some(engine);
        }
        let engine = self.build().ok()?;
        Some(self.engine.get_or_init(|| engine))
    }
}

/// The anchored pattern in the words of the Rust engine.
fn translated(pattern: &str) -> Result<String, translate::Fault> {
    Ok(format!("^(?s:{})$", translate::translate(pattern)?))
}

/// Errors show the head of a very long pattern only.
fn abbreviated(pattern: &str) -> String {
    if pattern.len() <= 256 {
        return pattern.to_owned();
    }
    pattern.chars().take(200).chain("…".chars()).collect()
}

impl fmt::Debug for Regex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Regex({:?})", self.0.pattern)
    }
}

/// Why a pattern was refused.
#[derive(Debug, Clone, thiserror::Error)]
#[error("invalid regular expression {pattern:?}: {reason}")]
pub struct RegexError {
    /// The pattern as written, cut when it is very long.
    pub pattern: String,
    /// What is wrong and where.
    pub reason: String,
    /// What Go's `regexp/syntax` says, where it refuses the pattern too.
    of_go: Option<String>,
}

impl RegexError {
    /// The error in the words of Go's `regexp/syntax`, which are those of Prometheus' one-line errors; where Go has no limit
    /// that this one has, in its own.
    #[must_use]
    pub fn in_words_of_go(&self) -> String {
        self.of_go.clone().unwrap_or_else(|| self.to_string())
    }
}

#[cfg(test)]
mod tests;
