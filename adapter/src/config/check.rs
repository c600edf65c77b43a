//! What serde cannot know of a rule: whether it makes sense.

use super::rule::{Autoscaling, MetricRule, OnEmpty, OnNegative, Scope};
use crate::resource;
use leadline_cluster::{MappedResource, Mapper};
use leadline_model::labels::is_identifier;
use leadline_standing::RegisterError;
use serde_saphyr::{Location, Spanned};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// What is wrong with a rule and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The rule's name.
    pub rule: String,
    /// The key within the rule.
    pub key: &'static str,
    /// Line in the configuration, from 1; 0 when unknown.
    pub line: u64,
    /// Column, from 1; 0 when unknown.
    pub column: u64,
    /// What is wrong and what was expected.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "{}:{}: ", self.line, self.column)?;
        }
        write!(f, "metric {}: {}: {}", self.rule, self.key, self.message)
    }
}

/// What a rule describes, once checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Describes {
    /// Objects of a resource (`plural.group`). The kind is absent where only the API server knows it and has not told yet;
    /// the resource is then as it is written.
    Objects(String, Option<Arc<MappedResource>>),
    /// Something outside of Kubernetes.
    External,
}

impl Describes {
    /// The resource, as `plural.group`; none of an external metric.
    #[must_use]
    pub fn resource(&self) -> Option<&str> {
        match self {
            Self::Objects(resource, _) => Some(resource),
            Self::External => None,
        }
    }
}

impl fmt::Display for Describes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Objects(resource, _) => write!(f, "{resource}"),
            Self::External => f.write_str("external"),
        }
    }
}

impl MetricRule {
    fn problem(&self, key: &'static str, at: Location, message: impl Into<String>) -> Problem {
        let (line, column) = (at.line(), at.column());
        Problem {
            rule: self.name.value.clone(),
            key,
            line,
            column,
            message: message.into(),
        }
    }

    /// What it describes.
    ///
    /// # Errors
    /// A [`Problem`] when it is no resource.
    pub fn describes(&self, mapper: &Mapper) -> Result<Describes, Problem> {
        let text = self.describes.value.as_str();
        if text == "external" {
            return Ok(Describes::External);
        }
        if let Some(kind) = resource::known(mapper, text) {
            return Ok(Describes::Objects(kind.group_resource(), Some(kind)));
        }
        match resource::is_resource_name(text) {
            true => Ok(Describes::Objects(text.to_owned(), None)),
            false => Err(self.problem(
                "describes",
                self.describes.referenced,
                format!(
                    "{text:?} is no resource; expected pods, services, ingresses.networking.k8s.io, namespaces, nodes, \
                     another resource or resource.group in lower case, or external"
                ),
            )),
        }
    }

    /// The label that names the object.
    #[must_use]
    pub fn name_label(&self, describes: &Describes) -> String {
        match (&self.labels.name, describes) {
            (Some(label), _) => label.value.clone(),
            (None, Describes::Objects(_, Some(kind))) => kind.singular.clone(),
            (None, Describes::Objects(resource, None)) => {
                singular_guess(resource.split('.').next().unwrap_or_default())
            }
            (None, Describes::External) => String::new(),
        }
    }

    /// The label that names the namespace.
    #[must_use]
    pub fn namespace_label(&self) -> &str {
        self.labels.namespace.as_ref().map_or("namespace", |l| l.value.as_str())
    }

    /// Whether it has a name that another rule could have too.
    pub(crate) fn has_name(&self) -> bool {
        !self.name.value.is_empty()
    }

    /// Whether it has all that a rule needs, and each value is of its key's kind. What else may be wrong is not looked at where
    /// it is not: a default stands in such a value's place.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.unusable.is_empty()
    }

    /// Everything that is wrong with the rule, except its query.
    #[must_use]
    pub fn check(&self, mapper: &Mapper) -> Vec<Problem> {
        let unusable = self.unusable.iter();
        let mut problems: Vec<Problem> = unusable.map(|u| self.problem(u.key, u.at, &*u.message)).collect();
        if !self.is_sound() {
            return problems;
        }
        let name = self.name.value.as_str();
        if !is_metric_name(name) {
            let message = "a name of 1 to 253 letters, digits, '_', '-', '.', ':' was expected";
            problems.push(self.problem("name", self.name.referenced, message));
        }
        for (key, label) in [
            ("labels.name", &self.labels.name),
            ("labels.namespace", &self.labels.namespace),
        ] {
            problems.extend(label.as_ref().and_then(|l| self.check_label(key, l)));
        }
        if !(0.0..=1.0).contains(&self.partial.value) {
            let message = format!("{} is no share; a number from 0 to 1 was expected", self.partial.value);
            problems.push(self.problem("partial", self.partial.referenced, message));
        }
        match self.describes(mapper) {
            Err(problem) => problems.push(problem),
            Ok(describes) => problems.extend(self.check_policies(&describes)),
        }
        problems
    }

    fn check_label(&self, key: &'static str, label: &Spanned<String>) -> Option<Problem> {
        let message = || format!("{:?} is no label name ([a-zA-Z_][a-zA-Z0-9_]*)", label.value);
        (!is_identifier(&label.value, false)).then(|| self.problem(key, label.referenced, message()))
    }

    fn check_policies(&self, describes: &Describes) -> Vec<Problem> {
        let mut problems = Vec::new();
        let at = self.name.referenced;
        let is_pods = describes.resource() == Some("pods");
        #[cfg(feature = "planted")]
        leadline_model::planted::trap(
            is_pods && self.name.value.bytes().any(|b| !b.is_ascii_alphabetic() && b != b'_'),
        );
        if self.scope == Scope::Cluster
            && let Describes::Objects(resource, Some(kind)) = describes
            && kind.namespaced
        {
            let message = format!("{resource} live in namespaces; cluster is for external metrics");
            problems.push(self.problem("scope", at, message));
        }
        if *describes == Describes::External && self.labels.name.is_some() {
            problems.push(self.problem("labels.name", at, "an external metric names no object"));
        }
        if is_pods && self.on_empty == OnEmpty::Zero {
            problems.push(self.problem("onEmpty", at, "a pod without a value is left out, never zero"));
        }
        problems
    }

    /// What may be written and is better not, or does not work yet.
    #[must_use]
    pub fn warnings(&self, mapper: &Mapper) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Ok(Describes::Objects(resource, None)) = self.describes(mapper) {
            warnings.push(format!(
                "metric {}: describes: the API server has told of no resource {resource:?} yet; the metric is listed once it has",
                self.name.value
            ));
        }
        if self.on_negative == OnNegative::Serve {
            warnings.push(format!(
                "metric {}: onNegative: serve: the HPA takes negative external values for an overflow and scales to its maximum",
                self.name.value
            ));
        }
        warnings
    }

    /// The problem of a query that could not be registered; points into the query's text where its place in the file is
    /// known to the column, that is, where it is written on one line.
    #[must_use]
    pub fn query_problem(&self, error: &RegisterError) -> Problem {
        let at = self.query.referenced;
        let mut problem = self.problem("query", at, error.to_string());
        if let RegisterError::Invalid(invalid) = error {
            problem.message = format!(
                "{} (line {}, column {} of the query)",
                invalid.message, invalid.line, invalid.column
            );
            if invalid.line == 1 && problem.line > 0 && !self.query.value.contains('\n') {
                problem.column += u64::from(invalid.column.saturating_sub(1));
            }
        }
        problem
    }
}

impl Autoscaling {
    /// Everything that is wrong with the rules, except their queries, and rules that name the same metric.
    #[must_use]
    pub fn check(&self, mapper: &Mapper) -> Vec<Problem> {
        let mut seen: HashMap<(String, &str), Location> = HashMap::new();
        let mut problems = Vec::new();
        for rule in &self.metrics {
            problems.extend(rule.check(mapper));
            if !rule.has_name() {
                continue;
            }
            let Ok(describes) = rule.describes(mapper) else {
                continue;
            };
            let at = rule.name.referenced;
            match seen.get(&(describes.to_string(), rule.name.value.as_str())) {
                Some(first) => problems.push(duplicate(rule, &describes.to_string(), *first)),
                None => {
                    seen.insert((describes.to_string(), rule.name.value.as_str()), at);
                }
            }
        }
        problems
    }
}

/// The problem of a rule whose metric another one defines already.
pub(crate) fn duplicate(rule: &MetricRule, describes: &str, first: Location) -> Problem {
    let message = format!(
        "the metric is defined for {describes} already, in line {}",
        first.line()
    );
    rule.problem("name", rule.name.referenced, message)
}

/// The singular by the rule that custom resources follow nearly always; `labels.name` says it where they do not.
fn singular_guess(plural: &str) -> String {
    for (end, instead) in [("ies", "y"), ("sses", "ss"), ("xes", "x"), ("s", "")] {
        if let Some(stem) = plural.strip_suffix(end) {
            return format!("{stem}{instead}").replace('-', "_");
        }
    }
    plural.replace('-', "_")
}

/// Whether an HPA can ask for it as one part of a path.
fn is_metric_name(name: &str) -> bool {
    (1..=253).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.:".contains(&b))
        && name != "."
        && name != ".."
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(yaml: &str) -> Autoscaling {
        serde_saphyr::from_str(yaml).unwrap()
    }

    #[test]
    fn problems_name_the_rule_the_key_and_the_place() {
        let rule = |extra: &str| format!("metrics:\n  - name: rps\n    describes: pods\n    query: up\n{extra}");
        for (yaml, expected) in [
            (rule(""), ""),
            (
                rule("    partial: 1.5\n"),
                "5:14: metric rps: partial: 1.5 is no share; a number from 0 to 1 was expected",
            ),
            (
                rule("    scope: cluster\n"),
                "2:11: metric rps: scope: pods live in namespaces; cluster is for external metrics",
            ),
            (
                rule("    onEmpty: zero\n"),
                "2:11: metric rps: onEmpty: a pod without a value is left out, never zero",
            ),
            (
                rule("    labels: {name: 'a b'}\n"),
                "5:20: metric rps: labels.name: \"a b\" is no label name ([a-zA-Z_][a-zA-Z0-9_]*)",
            ),
            (
                rule("  - name: rps\n    describes: pod\n    query: up\n"),
                "5:11: metric rps: name: the metric is defined for pods already, in line 2",
            ),
            (
                "metrics: [{name: a, describes: Pod, query: up}]".into(),
                "1:32: metric a: describes: \"Pod\" is no resource; expected pods, services, ingresses.networking.k8s.io, \
                 namespaces, nodes, another resource or resource.group in lower case, or external",
            ),
            (
                "metrics: [{name: a, describes: persistentvolumes, query: up}]".into(),
                "",
            ),
            ("metrics: [{name: a, describes: gizmos, query: up}]".into(), ""),
            (
                "metrics: [{name: a/b, describes: pods, query: up}]".into(),
                "1:18: metric a/b: name: a name of 1 to 253 letters, digits, '_', '-', '.', ':' was expected",
            ),
        ] {
            let problems = parse(&yaml).check(&Mapper::new(None));
            let text = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
            assert_eq!(text, expected, "{yaml}");
        }
    }

    #[test]
    fn unknown_keys_are_errors_of_the_file_with_line_and_column() {
        for (yaml, part) in [
            (
                "metrics:\n  - {name: a, describes: pods, query: up, onNan: omit}",
                "onNan",
            ),
            (
                "metrics:\n  - {name: a, describes: pods, query: up, labels: {pod: a}}",
                "pod",
            ),
            ("metric: []", "metric"),
        ] {
            let error = serde_saphyr::from_str::<Autoscaling>(yaml).unwrap_err();
            assert!(error.to_string().contains(part), "{yaml}: {error}");
            assert!(error.location().is_some(), "{yaml}: {error}");
        }
    }

    #[test]
    fn an_error_in_promql_points_into_the_file() {
        let config = parse("metrics:\n  - name: rps\n    describes: pods\n    query: sum(up))\n");
        let error = leadline_model::port::PrepareError {
            line: 1,
            column: 8,
            message: "unexpected ')'".into(),
        };
        let problem = config.metrics[0].query_problem(&RegisterError::Invalid(error));
        assert_eq!(
            problem.to_string(),
            "4:19: metric rps: query: unexpected ')' (line 1, column 8 of the query)"
        );
    }

    #[test]
    fn labels_default_to_the_singular() {
        for (describes, label) in [
            ("pods", "pod"),
            ("ingresses.networking.k8s.io", "ingress"),
            ("widgets.example.com", "widget"),
            ("policies.example.com", "policy"),
        ] {
            let config = parse(&format!("metrics: [{{name: a, describes: {describes}, query: up}}]"));
            let rule = &config.metrics[0];
            assert_eq!(rule.name_label(&rule.describes(&Mapper::new(None)).unwrap()), label);
        }
    }
}
