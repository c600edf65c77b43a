//! Patterns that need no engine.

use regex_syntax::hir::{Class, Hir, HirKind, Look};

/// The most alternatives that are kept as a set (Prometheus' own limit), unless each of them is written by itself.
pub(super) const MAX_SET: usize = 256;
/// The most bytes of all of them together.
pub(super) const MAX_SET_BYTES: usize = 256 * 1024;
/// The most parts that are put together to alternatives: each copies all that are in front of it.
pub(super) const MAX_PARTS: usize = 64;

/// What an anchored pattern amounts to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shape {
    /// `a|b|c`, sorted and unique; one alternative is a literal.
    Set(Vec<String>),
    /// `.*` and `.+`: anything of at least that many characters (0 or 1).
    Any(usize),
    /// `prefix` + `.*` or `.+` + `suffix`. Either may be empty; the number is how much must stand between.
    Ends(String, usize, String),
    /// `.*literal.*`: the literals must stand in that order.
    Contains(String),
    /// The engine decides.
    Other,
}

impl Shape {
    /// Of the texts that match, in any order.
    pub(super) fn of_set(mut set: Vec<String>) -> Self {
        set.sort_unstable();
        set.dedup();
        Self::Set(set)
    }

    /// A literal that every match starts with, as far as the shape tells it.
    pub(super) fn prefix(&self) -> Option<String> {
        match self {
            Self::Set(set) => Some(common_prefix(set)),
            Self::Ends(prefix, ..) => Some(prefix.clone()),
            Self::Any(_) | Self::Contains(_) => Some(String::new()),
            Self::Other => None,
        }
    }

    /// Whether the value matches; `None` when the engine must decide.
    pub(super) fn is_match(&self, value: &str) -> Option<bool> {
        Some(match self {
            Self::Set(set) => match set.as_slice() {
                [one] => one == value,
                few @ ([_, _] | [_, _, _] | [_, _, _, _]) => few.iter().any(|v| v == value),
                many => many.binary_search_by(|v| v.as_str().cmp(value)).is_ok(),
            },
            Self::Any(least) => value.len() >= *least,
            Self::Ends(prefix, least, suffix) => {
                value.len() >= prefix.len() + suffix.len() + least
                    && value.starts_with(prefix.as_str())
                    && value.ends_with(suffix.as_str())
            }
            Self::Contains(literal) => memchr::memmem::find(value.as_bytes(), literal.as_bytes()).is_some(),
            Self::Other => return None,
        })
    }
}

/// The shape of a whole pattern, anchors included.
pub(super) fn of(hir: &Hir) -> Shape {
    let Some(parts) = unanchored(hir) else {
        return Shape::Other;
    };
    let mut all: Option<Vec<String>> = (parts.len() <= MAX_PARTS).then(|| vec![String::new()]);
    for part in &parts {
        all = all.and_then(|heads| product(&heads, &alternatives(part)?));
    }
    match all {
        Some(set) if set.is_empty() => return Shape::Other,
        Some(set) => return Shape::of_set(set),
        None => {}
    }
    around_wildcards(&parts)
}

/// A literal that every match of a pattern without a shape starts with.
pub(super) fn prefix(hir: &Hir) -> String {
    let mut prefix = String::new();
    for part in unanchored(hir).unwrap_or_default() {
        let HirKind::Literal(literal) = strip_groups(part).kind() else {
            break;
        };
        let Ok(text) = std::str::from_utf8(&literal.0) else {
            break;
        };
        prefix.push_str(text);
    }
    prefix
}

/// The most parts of a program that surely fit an engine.
pub(super) const SMALL: usize = 4_096;

/// An upper bound of the parts that an engine makes of a pattern: instructions for bytes, of which a range of characters
/// needs thirty at most.
pub(super) fn parts(hir: &Hir) -> usize {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => 1,
        HirKind::Literal(literal) => literal.0.len(),
        HirKind::Class(Class::Unicode(class)) => class.ranges().len().saturating_mul(30),
        HirKind::Class(Class::Bytes(class)) => class.ranges().len(),
        HirKind::Capture(capture) => parts(&capture.sub).saturating_add(2),
        HirKind::Repetition(repetition) => {
            let times = repetition.max.unwrap_or(repetition.min).max(repetition.min).max(1);
            parts(&repetition.sub).saturating_add(2).saturating_mul(times as usize)
        }
        HirKind::Concat(subs) | HirKind::Alternation(subs) => subs
            .iter()
            .fold(1, |sum: usize, sub| sum.saturating_add(parts(sub)).saturating_add(1)),
    }
}

fn common_prefix(set: &[String]) -> String {
    // Sorted: what the first and the last share, all share.
    let (Some(first), Some(last)) = (set.first(), set.last()) else {
        return String::new();
    };
    first
        .chars()
        .zip(last.chars())
        .take_while(|(a, b)| a == b)
        .map(|(a, _)| a)
        .collect()
}

/// The parts between `^` and `$`, groups opened where they only group.
fn unanchored(hir: &Hir) -> Option<Vec<&Hir>> {
    let HirKind::Concat(parts) = hir.kind() else {
        // `^$` of the empty pattern is a concatenation of two looks; anything else is no whole pattern.
        return None;
    };
    let (first, rest) = parts.split_first()?;
    let (last, middle) = rest.split_last()?;
    let anchored =
        matches!(first.kind(), HirKind::Look(Look::Start)) && matches!(last.kind(), HirKind::Look(Look::End));
    if !anchored {
        return None;
    }
    let mut flat = Vec::new();
    middle.iter().for_each(|part| flatten(part, &mut flat));
    Some(flat)
}

fn flatten<'h>(hir: &'h Hir, flat: &mut Vec<&'h Hir>) {
    let hir = strip_groups(hir);
    match hir.kind() {
        HirKind::Concat(parts) => parts.iter().for_each(|part| flatten(part, flat)),
        HirKind::Empty => {}
        _ => flat.push(hir),
    }
}

/// Capturing changes nothing about whether a value matches.
fn strip_groups(hir: &Hir) -> &Hir {
    match hir.kind() {
        HirKind::Capture(capture) => strip_groups(&capture.sub),
        _ => hir,
    }
}

/// All texts that the part matches, when they are few.
fn alternatives(hir: &Hir) -> Option<Vec<String>> {
    match hir.kind() {
        HirKind::Empty => Some(vec![String::new()]),
        HirKind::Literal(literal) => Some(vec![std::str::from_utf8(&literal.0).ok()?.to_owned()]),
        HirKind::Class(Class::Unicode(class)) => {
            let many = class
                .iter()
                .map(|range| range.end() as u64 - range.start() as u64 + 1)
                .sum::<u64>();
            if many > MAX_SET as u64 {
                return None;
            }
            Some(
                class
                    .iter()
                    .flat_map(|r| (r.start()..=r.end()).map(String::from))
                    .collect(),
            )
        }
        HirKind::Class(Class::Bytes(class)) => {
            let ascii = class.iter().all(|range| range.end() < 0x80);
            let bytes = class.iter().flat_map(|r| r.start()..=r.end());
            ascii.then(|| bytes.map(|b| char::from(b).to_string()).collect())
        }
        HirKind::Capture(capture) => alternatives(&capture.sub),
        HirKind::Concat(parts) => {
            if parts.len() > MAX_PARTS {
                return None;
            }
            let mut all = vec![String::new()];
            for part in parts {
                all = product(&all, &alternatives(part)?)?;
            }
            Some(all)
        }
        HirKind::Alternation(parts) => {
            let mut all = Vec::new();
            for part in parts {
                all.extend(alternatives(part)?);
                if all.len() > MAX_SET {
                    return None;
                }
            }
            Some(all)
        }
        HirKind::Repetition(repetition) if repetition.min == 0 && repetition.max == Some(1) => {
            let mut all = alternatives(&repetition.sub)?;
            all.push(String::new());
            Some(all)
        }
        HirKind::Repetition(_) | HirKind::Look(_) => None,
    }
}

fn product(heads: &[String], tails: &[String]) -> Option<Vec<String>> {
    let (many, more) = (heads.len(), tails.len());
    let bytes = |texts: &[String]| texts.iter().map(String::len).sum::<usize>();
    let all = bytes(heads)
        .saturating_mul(more)
        .saturating_add(bytes(tails).saturating_mul(many));
    if many.checked_mul(more)? > MAX_SET || all > MAX_SET_BYTES {
        return None;
    }
    Some(
        heads
            .iter()
            .flat_map(|head| tails.iter().map(move |tail| format!("{head}{tail}")))
            .collect(),
    )
}

/// `a.*b`, `.*a.*`, `.*`, `.+`.
fn around_wildcards(parts: &[&Hir]) -> Shape {
    use Piece::{Text, Wild};
    let mut pieces = Vec::new();
    for part in parts {
        match (wildcard(part), pieces.last_mut()) {
            (Some(least), _) => pieces.push(Wild(least)),
            (None, last) => {
                let HirKind::Literal(literal) = part.kind() else {
                    return Shape::Other;
                };
                let Ok(text) = std::str::from_utf8(&literal.0) else {
                    return Shape::Other;
                };
                match last {
                    Some(Text(head)) => head.push_str(text),
                    _ => pieces.push(Text(text.to_owned())),
                }
            }
        }
    }
    match pieces.as_slice() {
        [Wild(least)] => Shape::Any(*least),
        [Text(prefix), Wild(least)] => Shape::Ends(prefix.clone(), *least, String::new()),
        [Wild(least), Text(suffix)] => Shape::Ends(String::new(), *least, suffix.clone()),
        [Text(prefix), Wild(least), Text(suffix)] => Shape::Ends(prefix.clone(), *least, suffix.clone()),
        [Wild(0), Text(middle), Wild(0)] => Shape::Contains(middle.clone()),
        _ => Shape::Other,
    }
}

enum Piece {
    Text(String),
    Wild(usize),
}

/// `.*` is 0, `.+` is 1, where `.` is any character at all.
fn wildcard(hir: &Hir) -> Option<usize> {
    let HirKind::Repetition(repetition) = hir.kind() else {
        return None;
    };
    let HirKind::Class(Class::Unicode(class)) = strip_groups(&repetition.sub).kind() else {
        return None;
    };
    let all = match class.ranges() {
        [range] => range.start() == '\0' && range.end() == char::MAX,
        _ => false,
    };
    (all && repetition.max.is_none() && repetition.min <= 1).then_some(repetition.min as usize)
}
