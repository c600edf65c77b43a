//! Relabelling: rules that rewrite, keep or drop label sets (`model/relabel` of Prometheus).
//!
//! The same rules serve targets (`relabel_configs`) and series (`metric_relabel_configs`).

use crate::labels::LabelsBuilder;
use crate::regex::Regex;
use serde::{Deserialize, Serialize};

mod action;
#[cfg(test)]
mod tests;

/// What a rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Sets `target_label` to `replacement` when `regex` matches; an empty result deletes the label.
    #[default]
    Replace,
    /// Drops the set unless `regex` matches.
    Keep,
    /// Drops the set when `regex` matches.
    Drop,
    /// Drops the set unless the joined source labels equal `target_label`'s value.
    KeepEqual,
    /// Drops the set when the joined source labels equal `target_label`'s value.
    DropEqual,
    /// Sets `target_label` to the md5 of the joined source labels modulo `modulus`.
    HashMod,
    /// Copies every label whose name matches `regex` to the name that `replacement` makes of it.
    LabelMap,
    /// Removes the labels whose names match `regex`.
    LabelDrop,
    /// Removes the labels whose names do not match `regex`.
    LabelKeep,
    /// Sets `target_label` to the joined source labels in lower case.
    Lowercase,
    /// Sets `target_label` to the joined source labels in upper case.
    Uppercase,
}

impl Action {
    /// The word used in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Replace => "replace",
            Self::Keep => "keep",
            Self::Drop => "drop",
            Self::KeepEqual => "keepequal",
            Self::DropEqual => "dropequal",
            Self::HashMod => "hashmod",
            Self::LabelMap => "labelmap",
            Self::LabelDrop => "labeldrop",
            Self::LabelKeep => "labelkeep",
            Self::Lowercase => "lowercase",
            Self::Uppercase => "uppercase",
        }
    }

    /// Reads the word; Prometheus takes it in any case.
    fn parse(text: &str) -> Option<Self> {
        const ALL: [Action; 11] = [
            Action::Replace,
            Action::Keep,
            Action::Drop,
            Action::KeepEqual,
            Action::DropEqual,
            Action::HashMod,
            Action::LabelMap,
            Action::LabelDrop,
            Action::LabelKeep,
            Action::Lowercase,
            Action::Uppercase,
        ];
        ALL.into_iter().find(|a| a.as_str().eq_ignore_ascii_case(text))
    }
}

const DEFAULT_SEPARATOR: &str = ";";
const DEFAULT_REGEX: &str = "(.*)";
const DEFAULT_REPLACEMENT: &str = "$1";

/// One checked rule.
///
/// In YAML it has Prometheus' field names and defaults; deserializing checks it with Prometheus' rules
/// (`relabel.Config.Validate`, UTF-8 names allowed).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct RelabelConfig {
    source_labels: Vec<String>,
    separator: String,
    regex: Regex,
    modulus: u64,
    target_label: String,
    replacement: String,
    action: Action,
    /// Whether `target_label` and `replacement` refer to groups of the match.
    templates: bool,
}

/// A rule as it is written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Written {
    /// Labels whose values are joined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_labels: Option<Vec<String>>,
    /// What stands between the joined values; `;` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub separator: Option<String>,
    /// RE2 pattern, anchored; `(.*)` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regex: Option<String>,
    /// Divisor of `hashmod`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modulus: Option<u64>,
    /// The label that is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_label: Option<String>,
    /// Template of the new value or name; `$1` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replacement: Option<String>,
    /// What to do; `replace` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
}

/// Why a rule was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct RelabelError {
    /// The field that is wrong.
    pub field: &'static str,
    /// What is wrong and what was expected.
    pub reason: String,
}

fn refuse<T>(field: &'static str, reason: String) -> Result<T, RelabelError> {
    Err(RelabelError { field, reason })
}

impl TryFrom<Written> for RelabelConfig {
    type Error = RelabelError;

    fn try_from(w: Written) -> Result<Self, RelabelError> {
        let action = match &w.action {
            None => Action::default(),
            Some(text) => Action::parse(text).ok_or_else(|| RelabelError {
                field: "action",
                reason: format!(
                    "unknown action {text:?}, expected replace, keep, drop, keepequal, dropequal, hashmod, labelmap, \
                     labeldrop, labelkeep, lowercase or uppercase"
                ),
            })?,
        };
        check(action, &w)?;
        let regex = Regex::new(w.regex.as_deref().unwrap_or(DEFAULT_REGEX)).map_err(|e| RelabelError {
            field: "regex",
            reason: e.to_string(),
        })?;
        let target_label = w.target_label.unwrap_or_default();
        let replacement = w.replacement.unwrap_or_else(|| DEFAULT_REPLACEMENT.to_owned());
        Ok(Self {
            source_labels: w.source_labels.unwrap_or_default(),
            separator: w.separator.unwrap_or_else(|| DEFAULT_SEPARATOR.to_owned()),
            regex,
            modulus: w.modulus.unwrap_or(0),
            templates: target_label.contains('$') || replacement.contains('$'),
            target_label,
            replacement,
            action,
        })
    }
}

/// Prometheus' rules on which fields an action needs and which it refuses.
fn check(action: Action, w: &Written) -> Result<(), RelabelError> {
    use Action::{DropEqual, HashMod, KeepEqual, LabelDrop, LabelKeep, LabelMap, Lowercase, Replace, Uppercase};
    let word = action.as_str();
    if w.source_labels.iter().flatten().any(String::is_empty) {
        return refuse(
            "source_labels",
            "an empty label name, expected at least one character".to_owned(),
        );
    }
    let no_target = w.target_label.as_deref().is_none_or(str::is_empty);
    if matches!(
        action,
        Replace | KeepEqual | DropEqual | HashMod | Lowercase | Uppercase
    ) && no_target
    {
        return refuse("target_label", format!("action {word} needs it"));
    }
    if action == HashMod && w.modulus.is_none_or(|m| m == 0) {
        return refuse("modulus", "action hashmod needs it, and above 0".to_owned());
    }
    if action == LabelMap && w.replacement.as_deref() == Some("") {
        return refuse(
            "replacement",
            "action labelmap makes label names of it, expected at least one character".to_owned(),
        );
    }
    let other = |field: &Option<String>, default: &str| field.as_deref().is_some_and(|written| written != default);
    let separator = other(&w.separator, DEFAULT_SEPARATOR);
    let replacement = other(&w.replacement, DEFAULT_REPLACEMENT);
    let regex = other(&w.regex, DEFAULT_REGEX);
    let modulus = w.modulus.is_some_and(|m| m != 0);
    if matches!(action, Lowercase | Uppercase) && replacement {
        return refuse("replacement", format!("action {word} does not take it"));
    }
    let extra: &[(&'static str, bool)] = match action {
        KeepEqual | DropEqual => &[
            ("regex", regex),
            ("modulus", modulus),
            ("separator", separator),
            ("replacement", replacement),
        ],
        LabelDrop | LabelKeep => &[
            ("source_labels", w.source_labels.is_some()),
            ("target_label", !no_target),
            ("modulus", modulus),
            ("separator", separator),
            ("replacement", replacement),
        ],
        _ => &[],
    };
    let takes = if matches!(action, KeepEqual | DropEqual) {
        "source_labels and target_label"
    } else {
        "regex"
    };
    match extra.iter().find(|(_, set)| *set) {
        Some((field, _)) => refuse(field, format!("action {word} takes only {takes}")),
        None => Ok(()),
    }
}

impl From<RelabelConfig> for Written {
    fn from(c: RelabelConfig) -> Self {
        let unless = |value: String, default: &str| (value != default).then_some(value);
        Self {
            source_labels: (!c.source_labels.is_empty()).then_some(c.source_labels),
            separator: unless(c.separator, DEFAULT_SEPARATOR),
            regex: unless(c.regex.pattern().to_owned(), DEFAULT_REGEX),
            modulus: (c.modulus != 0).then_some(c.modulus),
            target_label: unless(c.target_label, ""),
            replacement: unless(c.replacement, DEFAULT_REPLACEMENT),
            action: Some(c.action.as_str().to_owned()),
        }
    }
}

impl PartialEq for RelabelConfig {
    fn eq(&self, other: &Self) -> bool {
        self.action == other.action
            && self.source_labels == other.source_labels
            && self.separator == other.separator
            && self.regex.pattern() == other.regex.pattern()
            && self.modulus == other.modulus
            && self.target_label == other.target_label
            && self.replacement == other.replacement
    }
}

impl RelabelConfig {
    /// What the rule does.
    #[must_use]
    pub fn action(&self) -> Action {
        self.action
    }

    /// Whether the rule may set or remove the label `name` of some set. Where a name is made of groups of the match, it may
    /// be every name that begins as the template does.
    #[must_use]
    pub fn may_write(&self, name: &str) -> bool {
        let makes = |template: &str| match template.split_once('$') {
            Some((literal, _)) => name.starts_with(literal),
            None => template == name,
        };
        match self.action {
            Action::Keep | Action::Drop | Action::KeepEqual | Action::DropEqual => false,
            Action::Replace | Action::HashMod | Action::Lowercase | Action::Uppercase => makes(&self.target_label),
            Action::LabelMap => makes(&self.replacement),
            Action::LabelDrop => self.regex.is_match(name),
            Action::LabelKeep => !self.regex.is_match(name),
        }
    }

    /// Runs this one rule on `labels`; `false` means the set is dropped.
    pub fn apply(&self, labels: &mut LabelsBuilder) -> bool {
        action::run(self, labels)
    }
}

/// Runs `rules` in order on `labels`; `false` as soon as one drops the set (the labels are then unspecified).
pub fn apply(rules: &[RelabelConfig], labels: &mut LabelsBuilder) -> bool {
    rules.iter().all(|rule| rule.apply(labels))
}
