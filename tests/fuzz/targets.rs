//! What is fuzzed: one function per parser. Any bytes get a value or an error; a panic is a finding.

use leadline_cluster::Selector;
use leadline_exposition::{Event, Parser};
use leadline_model::duration::Duration;
use leadline_model::regex::Regex;
use leadline_model::sample::Samples;

/// A target's name (its corpus' folder), and what it does with bytes.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Target] = &[
    ("exposition", exposition),
    ("promql", promql),
    ("regex", regex),
    ("selector", selector),
    ("duration", duration),
    ("chunk", chunk),
];

/// The text format: events of the fast lane, labels of the strict one.
pub fn exposition(bytes: &[u8]) {
    let mut parser = Parser::new(bytes);
    let mut pairs = Vec::new();
    while let Ok(Some(event)) = parser.next_event() {
        if let Event::Sample { series, .. } = event {
            // A refusal is an answer.
            let _ = leadline_exposition::parse_series(series, parser.kind(), &mut pairs);
        }
    }
}

/// PromQL: what is accepted prints, and what is printed is accepted and prints the same.
pub fn promql(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok((expr, _)) = leadline_promql::check::parse_checked(text) else {
        return;
    };
    let printed = expr.to_string();
    match leadline_promql::check::parse_checked(&printed) {
        Ok((again, _)) => assert_eq!(again.to_string(), printed, "printed twice"),
        Err(error) => panic!("{printed:?} was printed and is refused: {error}"),
    }
}

/// Regular expressions: the first line is the pattern, the rest a value.
pub fn regex(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (pattern, value) = text.split_once('\n').unwrap_or((text, ""));
    if let Ok(regex) = Regex::new(pattern) {
        let matched = regex.is_match(value);
        assert_eq!(regex.expand(value, "$0").is_some(), matched, "{pattern:?} on {value:?}");
    }
}

/// Kubernetes label selectors.
pub fn selector(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(selector) = Selector::parse(text) {
        let printed = selector.to_string();
        assert!(
            Selector::parse(&printed).is_ok(),
            "{printed:?} was printed and is refused"
        );
    }
}

/// Prometheus' durations.
pub fn duration(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(duration) = Duration::parse(text) {
        assert_eq!(Duration::parse(&duration.to_string()), Ok(duration), "{text:?}");
    }
}

/// Stored chunks.
pub fn chunk(bytes: &[u8]) {
    let mut samples = Samples::default();
    // Damage is an error, never a panic.
    let _ = leadline_storage::chunk::xor::decode(bytes, i64::MIN, i64::MAX, &mut samples);
}
