//! Field selectors on pods: `status.phase=Running,spec.nodeName!=n1` (`apimachinery/pkg/fields`).

use leadline_cluster::Pod;
use std::fmt;

/// A field of a pod that can be selected by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Name,
    Namespace,
    NodeName,
    Phase,
    PodIp,
}

/// The fields a pod's stored form has. (The API server also selects by restartPolicy, schedulerName,
/// serviceAccountName, hostNetwork and nominatedNodeName.)
const FIELDS: [(&str, Field); 5] = [
    ("metadata.name", Field::Name),
    ("metadata.namespace", Field::Namespace),
    ("spec.nodeName", Field::NodeName),
    ("status.phase", Field::Phase),
    ("status.podIP", Field::PodIp),
];

#[derive(Debug, Clone, PartialEq, Eq)]
struct Term {
    field: Field,
    equal: bool,
    value: String,
}

/// Terms that all have to hold; none selects every pod.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FieldSelector(Vec<Term>);

impl FieldSelector {
    /// Checks the syntax alone.
    pub(super) fn check(text: &str) -> Result<(), String> {
        terms(text).map(|_| ())
    }

    /// Parses terms on the fields metadata.name, metadata.namespace, spec.nodeName, status.phase and status.podIP.
    ///
    /// # Errors
    /// Says which term is wrong and what was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let term = |(key, equal, value): (&str, bool, String)| {
            let field = FIELDS.iter().find(|(name, _)| *name == key).map(|(_, field)| *field);
            let field = field.ok_or_else(|| {
                let known: Vec<&str> = FIELDS.iter().map(|(name, _)| *name).collect();
                format!(
                    "not supported yet: field selector on {key:?}, expected one of {}",
                    known.join(", ")
                )
            })?;
            Ok(Term { field, equal, value })
        };
        terms(text)?
            .into_iter()
            .map(term)
            .collect::<Result<_, String>>()
            .map(Self)
    }

    /// Whether `pod` is selected.
    #[must_use]
    pub fn matches(&self, pod: &Pod) -> bool {
        self.0
            .iter()
            .all(|term| (term.field.of(pod) == term.value) == term.equal)
    }
}

impl Field {
    fn of(self, pod: &Pod) -> &str {
        match self {
            Self::Name => &pod.name,
            Self::Namespace => &pod.namespace,
            Self::NodeName => pod.node_name.as_deref().unwrap_or(""),
            Self::Phase => &pod.phase,
            Self::PodIp => pod.ip.as_deref().unwrap_or(""),
        }
    }
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, term) in self.0.iter().enumerate() {
            let name = FIELDS
                .iter()
                .find(|(_, field)| *field == term.field)
                .map_or("", |(name, _)| name);
            let separator = if i > 0 { "," } else { "" };
            let operator = if term.equal { "=" } else { "!=" };
            write!(
                f,
                "{separator}{name}{operator}{}",
                term.value.replace('\\', r"\\").replace(',', r"\,").replace('=', r"\=")
            )?;
        }
        Ok(())
    }
}

/// Splits at commas that no backslash precedes.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut escaped) = (Vec::new(), 0, false);
    for (at, b) in text.bytes().enumerate() {
        match b {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b',' => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// `key=value`, `key==value` and `key!=value`; empty terms are left out.
fn terms(text: &str) -> Result<Vec<(&str, bool, String)>, String> {
    let mut terms = Vec::new();
    for part in split(text).into_iter().filter(|part| !part.is_empty()) {
        let fail =
            || format!("invalid field selector {text:?}: can't understand {part:?}, expected key=value or key!=value");
        let at = part.find(['=', '!']).ok_or_else(fail)?;
        let (key, rest) = part.split_at(at);
        let (equal, value) = match rest.strip_prefix("!=") {
            Some(value) => (false, value),
            None => (
                true,
                rest.strip_prefix("==")
                    .or_else(|| rest.strip_prefix('='))
                    .ok_or_else(fail)?,
            ),
        };
        terms.push((key, equal, unescape(value).ok_or_else(fail)?));
    }
    Ok(terms)
}

/// Takes the backslash from `\\`, `\,` and `\=`; other escapes, and bare `=`, are errors.
fn unescape(value: &str) -> Option<String> {
    let mut out = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(c @ ('\\' | ',' | '=')) => out.push(c),
                _ => return None,
            },
            '=' => return None,
            c => out.push(c),
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_select_by_the_fields_of_a_pod() {
        let pod = Pod {
            namespace: "a".into(),
            name: "p".into(),
            phase: "Running".into(),
            ..Pod::default()
        };
        for (text, expected) in [
            ("", true),
            ("metadata.name=p", true),
            ("metadata.name==p,metadata.namespace=a", true),
            ("metadata.name!=p", false),
            ("spec.nodeName=", true),
            ("spec.nodeName!=", false),
            ("status.phase!=Failed,status.phase!=Succeeded", true),
            (r"status.podIP=\=", false),
        ] {
            let selector = FieldSelector::parse(text).unwrap();
            assert_eq!(selector.matches(&pod), expected, "{text}");
            assert_eq!(FieldSelector::parse(&selector.to_string()).unwrap(), selector, "{text}");
        }
    }

    #[test]
    fn errors_name_the_term() {
        for (text, part) in [
            ("metadata.name", "can't understand \"metadata.name\""),
            ("metadata.name=a=b", "can't understand"),
            (r"metadata.name=\n", "can't understand"),
            (
                "spec.restartPolicy=Always",
                "not supported yet: field selector on \"spec.restartPolicy\"",
            ),
        ] {
            let error = FieldSelector::parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
