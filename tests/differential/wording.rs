//! The words of refusals: which differ from Prometheus' and why.

use crate::allowed::TINY_STEP;
use crate::answer::Answer;

/// A refusal in other words.
pub(crate) struct Wording {
    /// Why.
    pub(crate) reason: &'static str,
    /// Whether it is one, by leadline's text and Prometheus'.
    applies: fn(&str, &str) -> bool,
}

/// All that are known.
pub(crate) const LISTED: &[Wording] = &[Wording {
    reason: "a subquery's step below 1 ms is refused where it stands; Prometheus takes it and tells the next mistake",
    applies: |ours, _| ours.contains(TINY_STEP),
}];

/// The place of a pair of texts in [`LISTED`].
pub(crate) fn listed(ours: &str, theirs: &str) -> Option<usize> {
    LISTED.iter().position(|wording| (wording.applies)(ours, theirs))
}

/// The text of an error.
pub(crate) fn of(answer: &Answer) -> String {
    let quoted = answer.error.as_ref().map_or("", |(_, text)| text.as_str());
    serde_json::from_str(quoted).unwrap_or_else(|_| quoted.to_owned())
}

/// A text without what is quoted in it and without numbers.
pub(crate) fn class(text: &str) -> String {
    let mut out = String::new();
    for (i, part) in text.replace("\\\"", "").split('"').enumerate() {
        let kept = if i % 2 == 0 { part } else { "…" };
        out.extend(kept.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }));
    }
    while out.contains("00") {
        out = out.replace("00", "0");
    }
    out
}

#[test]
fn texts_of_one_class_differ_in_numbers_and_quoted_parts_alone() {
    let text = "invalid parameter \"query\": 1:12: parse error: unexpected identifier \"b\\\"c\"";
    assert_eq!(
        class(text),
        "invalid parameter …: 0:0: parse error: unexpected identifier …"
    );
}
