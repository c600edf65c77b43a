//! What each action does to a label set (`relabel` in `model/relabel/relabel.go`).

use super::{Action, DEFAULT_REGEX, RelabelConfig};
use crate::labels::LabelsBuilder;
use md5::{Digest, Md5};

pub(super) fn run(rule: &RelabelConfig, labels: &mut LabelsBuilder) -> bool {
    match rule.action {
        Action::LabelMap => map_names(rule, labels),
        Action::LabelDrop => drop(labels.retain(|name| !rule.regex.is_match(name))),
        Action::LabelKeep => drop(labels.retain(|name| rule.regex.is_match(name))),
        _ => return run_on_value(rule, &joined(rule, labels), labels),
    }
    true
}

fn run_on_value(rule: &RelabelConfig, value: &str, labels: &mut LabelsBuilder) -> bool {
    let target = rule.target_label.as_str();
    match rule.action {
        Action::Keep => return rule.regex.is_match(value),
        Action::Drop => return !rule.regex.is_match(value),
        Action::KeepEqual => return labels.get(target).unwrap_or("") == value,
        Action::DropEqual => return labels.get(target).unwrap_or("") != value,
        Action::Replace => replace(rule, value, labels),
        Action::HashMod => drop(labels.set(target, &hash_mod(value, rule.modulus).to_string())),
        Action::Lowercase => drop(labels.set(target, &value.chars().map(lower).collect::<String>())),
        Action::Uppercase => drop(labels.set(target, &value.chars().map(upper).collect::<String>())),
        Action::LabelMap | Action::LabelDrop | Action::LabelKeep => {}
    }
    true
}

/// The values of the source labels with the separator between them; an absent label counts as empty.
fn joined(rule: &RelabelConfig, labels: &LabelsBuilder) -> String {
    #[cfg(feature = "planted")]
    crate::planted::trap(rule.separator.len() > 1);
    let mut out = String::new();
    for (i, name) in rule.source_labels.iter().enumerate() {
        if i > 0 {
            out.push_str(&rule.separator);
        }
        out.push_str(labels.get(name).unwrap_or(""));
    }
    out
}

fn replace(rule: &RelabelConfig, value: &str, labels: &mut LabelsBuilder) {
    if !rule.templates {
        // Most rules of this kind set a constant; the pattern need not run when it matches everything.
        if rule.regex.pattern() == DEFAULT_REGEX || rule.regex.is_match(value) {
            labels.set(&rule.target_label, &rule.replacement);
        }
        return;
    }
    let Some(target) = rule.regex.expand(value, &rule.target_label) else {
        return;
    };
    if target.is_empty() {
        return;
    }
    // Setting an empty value removes the label, which is what Prometheus does with an empty result.
    labels.set(
        &target,
        &rule.regex.expand(value, &rule.replacement).unwrap_or_default(),
    );
}

/// The last eight bytes of the md5, big-endian, modulo `modulus`; the split of a fleet among shards depends on it.
fn hash_mod(value: &str, modulus: u64) -> u64 {
    let digest = Md5::digest(value.as_bytes());
    let number = digest[8..].iter().fold(0u64, |n, byte| n << 8 | u64::from(*byte));
    number.checked_rem(modulus).unwrap_or(0)
}

fn map_names(rule: &RelabelConfig, labels: &mut LabelsBuilder) {
    let renamed: Vec<(String, String)> = labels
        .iter()
        .filter_map(|(name, value)| Some((rule.regex.expand(name, &rule.replacement)?, value.to_owned())))
        .filter(|(name, _)| !name.is_empty())
        .collect();
    for (name, value) in renamed {
        labels.set(&name, &value);
    }
}

/// Go maps character by character (`unicode.ToLower`); Rust's full mapping may give several characters.
fn lower(c: char) -> char {
    let mut mapped = c.to_lowercase();
    match (mapped.next(), mapped.next()) {
        (Some(one), None) => one,
        _ if c == '\u{130}' => 'i',
        _ => c,
    }
}

fn upper(c: char) -> char {
    let mut mapped = c.to_uppercase();
    match (mapped.next(), mapped.next()) {
        (Some(one), None) => one,
        _ => c,
    }
}
