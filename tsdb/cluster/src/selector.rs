//! Kubernetes' label selectors: `app=web,tier in (a,b),!canary` (`apimachinery/pkg/labels/selector.go`).

use crate::pairs::Pairs;
use std::fmt;

mod parser;

/// What a requirement asks of a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operator {
    /// `k=v` or `k==v`: the label is there with this value.
    Equals,
    /// `k in (a,b)`: the label is there with one of these values.
    In,
    /// `k!=v`: the label is absent or has another value.
    NotEquals,
    /// `k notin (a,b)`: the label is absent or has none of these values.
    NotIn,
    /// `k`: the label is there, with any value.
    Exists,
    /// `!k`: the label is absent.
    DoesNotExist,
    /// `k>5`: the label is there and a larger whole number.
    GreaterThan,
    /// `k<5`: the label is there and a smaller whole number.
    LessThan,
}

/// One requirement of a selector.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Requirement {
    key: String,
    operator: Operator,
    /// Sorted and unique; one for `=`, `!=`, `>`, `<`; none for `k` and `!k`.
    values: Vec<String>,
}

impl Requirement {
    /// The label's name.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What is asked of it.
    #[must_use]
    pub fn operator(&self) -> Operator {
        self.operator
    }

    /// The values, sorted and unique: one for `=`, `!=`, `>` and `<`, at least one for `in` and `notin`, else none.
    #[must_use]
    pub fn values(&self) -> &[String] {
        &self.values
    }

    fn has(&self, value: &str) -> bool {
        self.values.binary_search_by(|v| v.as_str().cmp(value)).is_ok()
    }

    /// Whether a label set in which this label is `value` (`None`: absent) meets the requirement.
    #[must_use]
    pub fn matches_value(&self, value: Option<&str>) -> bool {
        let compare = |ok: fn(i64, i64) -> bool| {
            let (Some(label), Some(bound)) = (value.and_then(integer), self.values.first().and_then(|v| integer(v)))
            else {
                return false;
            };
            ok(label, bound)
        };
        match self.operator {
            Operator::Equals | Operator::In => value.is_some_and(|v| self.has(v)),
            Operator::NotEquals | Operator::NotIn => !value.is_some_and(|v| self.has(v)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::GreaterThan => compare(|label, bound| label > bound),
            Operator::LessThan => compare(|label, bound| label < bound),
        }
    }
}

/// A whole number as Go's `strconv.ParseInt(s, 10, 64)` reads it: an optional sign and digits.
fn integer(text: &str) -> Option<i64> {
    text.parse().ok()
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, operator, values } = self;
        let value = values.first().map_or("", String::as_str);
        match operator {
            Operator::Equals => write!(f, "{key}={value}"),
            Operator::NotEquals => write!(f, "{key}!={value}"),
            Operator::In => write!(f, "{key} in ({})", values.join(",")),
            Operator::NotIn => write!(f, "{key} notin ({})", values.join(",")),
            Operator::Exists => f.write_str(key),
            Operator::DoesNotExist => write!(f, "!{key}"),
            Operator::GreaterThan => write!(f, "{key}>{value}"),
            Operator::LessThan => write!(f, "{key}<{value}"),
        }
    }
}

/// Requirements that all have to be met; the empty selector matches everything.
///
/// Displays in a canonical form that parses to an equal selector: requirements sorted by key, values sorted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selector {
    requirements: Vec<Requirement>,
}

impl Selector {
    /// Matches everything.
    #[must_use]
    pub fn everything() -> Self {
        Self::default()
    }

    /// Parses the full grammar; blanks are free, and so are empty values (`k=`, `k in (,a)`).
    ///
    /// # Errors
    /// [`SelectorError`] says at which byte what was expected.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let mut requirements = parser::parse(text)?;
        requirements.sort();
        Ok(Self { requirements })
    }

    /// The requirements, sorted by key.
    #[must_use]
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// Whether there is no requirement: everything matches.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }

    /// Whether an object with these labels is selected.
    #[must_use]
    pub fn matches(&self, labels: &Pairs) -> bool {
        self.matches_with(|key| labels.get(key))
    }

    /// Whether an object is selected whose label `key` is `label(key)` (`None`: absent).
    pub fn matches_with<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.requirements.iter().all(|r| r.matches_value(label(&r.key)))
    }
}

impl std::str::FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        Self::parse(text)
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, requirement) in self.requirements.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            requirement.fmt(f)?;
        }
        Ok(())
    }
}

/// Why a selector was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid label selector {text:?} at byte {offset}: {message}")]
pub struct SelectorError {
    /// The selector as written.
    pub text: String,
    /// Where in it, in bytes from 0.
    pub offset: usize,
    /// What is wrong and what was expected.
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The facts of `selector_test.go`: what parses, and its canonical form.
    #[test]
    fn the_grammar_is_read_in_full_and_written_canonically() {
        for (text, canonical) in [
            ("", ""),
            (" ", ""),
            ("x=a,y=b,z=c", "x=a,y=b,z=c"),
            ("z=c,x=a", "x=a,z=c"),
            ("x!=a,y=b", "x!=a,y=b"),
            ("x==a", "x=a"),
            ("x=", "x="),
            ("x= ", "x="),
            ("x=,z= ", "x=,z="),
            ("!x", "!x"),
            ("! x", "!x"),
            ("x", "x"),
            ("x,!y", "x,!y"),
            ("x>1", "x>1"),
            ("x>1,z<5", "x>1,z<5"),
            ("x < 7", "x<7"),
            ("x in (a)", "x in (a)"),
            ("x in(b,a,a)", "x in (a,b)"),
            ("x notin (a, b)", "x notin (a,b)"),
            ("x in (,a)", "x in (,a)"),
            ("x in (a,)", "x in (,a)"),
            ("x in (a,,b)", "x in (,a,b)"),
            ("x in ()", "x in ()"),
            ("x in (,)", "x in ()"),
            ("\tx\n=\ra", "x=a"),
            ("in", "in"),
            ("in in (in,notin)", "in in (in,notin)"),
            ("notin=in", "notin=in"),
            ("example.com/x in (a)", "example.com/x in (a)"),
            ("x=a.b_c-d", "x=a.b_c-d"),
        ] {
            let selector = Selector::parse(text).unwrap_or_else(|e| panic!("{text:?}: {e}"));
            assert_eq!(selector.to_string(), canonical, "{text:?}");
            assert_eq!(Selector::parse(canonical).unwrap(), selector, "{text:?} once more");
        }
    }

    #[test]
    fn errors_say_where_and_what_was_expected() {
        let long = "a".repeat(64);
        for (text, offset, message) in [
            ("x=a||y=b", 2, "label value"),
            ("x==a==b", 4, "expected ',' or the end"),
            ("!x=a", 2, "expected ',' or the end"),
            ("x<a", 2, "whole number"),
            ("x>1.5", 2, "whole number"),
            ("x>-7", 2, "label value"),
            (",", 0, "expected '!', a key or the end"),
            ("x,", 2, "expected a key after ','"),
            ("x,,y", 2, "expected a key after ','"),
            ("!", 1, "expected a key"),
            ("x in", 4, "expected '('"),
            ("x in a", 5, "expected '('"),
            ("x in (a", 7, "expected ',' or ')'"),
            ("x in (a b)", 8, "expected ',' or ')'"),
            ("x in (a=b)", 7, "expected ',' or ')'"),
            ("x in (=)", 6, "expected ',', ')' or a value"),
            ("x in (a,=)", 8, "expected ',', ')' or a value"),
            ("x y", 2, "expected an operator"),
            ("x=(", 2, "expected a value"),
            ("x=>", 2, "expected a value"),
            ("x!y", 1, "expected an operator"),
            ("x=-a", 2, "label value"),
            ("-x=a", 0, "label key"),
            ("a/b/c", 0, "label key"),
            ("/b", 0, "label key"),
            ("UPPER.com/b", 0, "label key"),
            ("äx=a", 0, "label key"),
            (&format!("x={long}"), 2, "at most 63"),
            (&format!("{long}=x"), 0, "label key"),
        ] {
            let error = Selector::parse(text).map(|s| s.to_string()).expect_err(text);
            assert_eq!(error.offset, offset, "{text:?}: {error}");
            assert!(error.message.contains(message), "{text:?}: {error}");
        }
    }

    #[test]
    fn an_absent_label_meets_what_is_negative_and_nothing_else() {
        let labels: Pairs = [("app", "web"), ("n", "7"), ("empty", "")].into_iter().collect();
        for (selector, expected) in [
            ("", true),
            ("app", true),
            ("app=web", true),
            ("app==web", true),
            ("app=api", false),
            ("app!=web", false),
            ("app!=api", true),
            ("app in (web,api)", true),
            ("app notin (web,api)", false),
            ("!app", false),
            ("empty", true),
            ("empty=", true),
            ("empty in ()", true),
            ("absent", false),
            ("absent=", false),
            ("absent in (,a)", false),
            ("absent!=a", true),
            ("absent!=", true),
            ("absent notin (a,b)", true),
            ("!absent", true),
            ("n>6", true),
            ("n>7", false),
            ("n<8", true),
            ("n<7", false),
            ("app>1", false),
            ("absent>1", false),
            ("absent<1", false),
            ("app=web,n>6,!absent", true),
            ("app=web,n>7", false),
        ] {
            assert_eq!(
                Selector::parse(selector).unwrap().matches(&labels),
                expected,
                "{selector}"
            );
        }
    }
}
