//! Label sets: what names a series.
//!
//! A [`Labels`] is one shared allocation: pairs sorted by name, each string behind its length. Cloning is a counter.

use crate::quote::Quoted;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// The label that holds the metric's name.
pub const NAME: &str = "__name__";

/// An immutable set of label pairs, sorted by name (bytewise), without empty values.
///
/// A label with an empty value is the same as no label (Prometheus' data model), so building drops it.
#[derive(Clone)]
pub struct Labels(Arc<[u8]>);

impl Default for Labels {
    fn default() -> Self {
        Self(Arc::from([]))
    }
}

impl Labels {
    /// The empty set.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// Builds from pairs in any order; for equal names the last pair wins, empty values are dropped.
    pub fn from_pairs<N: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut builder = LabelsBuilder::new();
        for (n, v) in pairs {
            builder.set(n.as_ref(), v.as_ref());
        }
        builder.build()
    }

    /// Packs pairs that are already sorted by name, unique and without empty values (checked in debug builds).
    #[must_use]
    pub fn from_sorted<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut bytes = Vec::with_capacity(128);
        #[cfg(debug_assertions)]
        let mut previous: Option<&str> = None;
        for (n, v) in pairs {
            #[cfg(debug_assertions)]
            {
                debug_assert!(!v.is_empty(), "empty value of label {n}");
                debug_assert!(previous.is_none_or(|p| p < n), "labels out of order at {n}");
                previous = Some(n);
            }
            put_str(&mut bytes, n);
            put_str(&mut bytes, v);
        }
        Self(Arc::from(bytes))
    }

    /// The pairs in order of their names.
    #[must_use]
    pub fn iter(&self) -> Iter<'_> {
        Iter { rest: &self.0 }
    }

    /// The value of label `name`, if it is there.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        for (n, v) in self {
            match n.cmp(name) {
                Ordering::Equal => return Some(v),
                Ordering::Greater => return None,
                Ordering::Less => {}
            }
        }
        None
    }

    /// The metric's name, or the empty string.
    #[must_use]
    pub fn name(&self) -> &str {
        self.get(NAME).unwrap_or("")
    }

    /// Number of labels.
    #[must_use]
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there is no label.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A hash of the whole set, stable within one process only.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        rapidhash::v3::rapidhash_v3(&self.0)
    }

    /// The packed bytes: `len name len value ...` with LEB128 lengths. Equal sets have equal bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// A builder that starts from this set.
    #[must_use]
    pub fn to_builder(&self) -> LabelsBuilder {
        LabelsBuilder {
            pairs: self.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect(),
        }
    }

    /// This set without the labels for which `drop` says so; the same allocation when nothing is dropped.
    #[must_use]
    pub fn without(&self, mut drop: impl FnMut(&str) -> bool) -> Self {
        let mut rest = self.iter();
        let mut kept = Vec::with_capacity(self.0.len());
        loop {
            let pair = rest.rest;
            let Some(name) = Iter::take(&mut rest) else { break };
            // The pair is taken over as it is packed: its value need not be looked at.
            rest.packed();
            if !drop(name) {
                kept.extend_from_slice(&pair[..pair.len() - rest.rest.len()]);
            }
        }
        if kept.len() == self.0.len() {
            self.clone()
        } else {
            Self(Arc::from(kept))
        }
    }
}

fn put_str(out: &mut Vec<u8>, s: &str) {
    let mut n = s.len();
    while n >= 0x80 {
        out.push((n & 0x7f) as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
    out.extend_from_slice(s.as_bytes());
}

/// Iterates over `(name, value)`.
#[derive(Debug, Clone)]
pub struct Iter<'a> {
    rest: &'a [u8],
}

impl<'a> Iter<'a> {
    fn take(&mut self) -> Option<&'a str> {
        // The bytes came from a &str in put_str; from_utf8 is the safe way back.
        std::str::from_utf8(self.packed()?).ok()
    }

    #[inline]
    fn packed(&mut self) -> Option<&'a [u8]> {
        let (mut len, mut shift) = (0usize, 0u32);
        loop {
            let (&byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            len |= usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
            shift += 7;
        }
        let (text, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(text)
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        Some((self.take()?, self.take()?))
    }
}

impl<'a> IntoIterator for &'a Labels {
    type Item = (&'a str, &'a str);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl PartialEq for Labels {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Labels {}

impl Hash for Labels {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Prometheus' order (`labels.Compare`): pair by pair, name before value, a prefix before what it starts.
impl Ord for Labels {
    fn cmp(&self, other: &Self) -> Ordering {
        self.iter().cmp(other.iter())
    }
}

/// PromQL's notation: `name{a="b"}`; names that are no identifiers are quoted as in Prometheus 3.
impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name();
        let plain = !name.is_empty() && is_identifier(name, true);
        if plain {
            f.write_str(name)?;
            if self.len() == 1 {
                return Ok(());
            }
        }
        f.write_str("{")?;
        let mut first = true;
        for (n, v) in self {
            if n == NAME && plain {
                continue;
            }
            if !first {
                f.write_str(", ")?;
            }
            first = false;
            if n == NAME {
                write!(f, "{}", Quoted(v))?;
            } else if is_identifier(n, false) {
                write!(f, "{n}={}", Quoted(v))?;
            } else {
                write!(f, "{}={}", Quoted(n), Quoted(v))?;
            }
        }
        f.write_str("}")
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Whether `name` matches `[a-zA-Z_][a-zA-Z0-9_]*`, with `:` allowed too where `colon` says so (metric names).
#[must_use]
pub fn is_identifier(name: &str, colon: bool) -> bool {
    let ok = |b: u8, first: bool| {
        b.is_ascii_alphabetic() || b == b'_' || (colon && b == b':') || (!first && b.is_ascii_digit())
    };
    !name.is_empty() && name.bytes().enumerate().all(|(i, b)| ok(b, i == 0))
}

/// Collects label pairs.
#[derive(Debug, Clone, Default)]
pub struct LabelsBuilder {
    /// Sorted by name; unique.
    pairs: Vec<(String, String)>,
}

impl LabelsBuilder {
    /// No labels yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets `name` to `value`; an empty value removes the label.
    pub fn set(&mut self, name: &str, value: &str) -> &mut Self {
        match self.pairs.binary_search_by(|(n, _)| n.as_str().cmp(name)) {
            Ok(i) if value.is_empty() => {
                self.pairs.remove(i);
            }
            Ok(i) => value.clone_into(&mut self.pairs[i].1),
            Err(_) if value.is_empty() => {}
            Err(i) => self.pairs.insert(i, (name.to_owned(), value.to_owned())),
        }
        self
    }

    /// Removes `name`.
    pub fn remove(&mut self, name: &str) -> &mut Self {
        self.set(name, "")
    }

    /// Keeps the labels for which `keep` says so.
    pub fn retain(&mut self, mut keep: impl FnMut(&str) -> bool) -> &mut Self {
        self.pairs.retain(|(n, _)| keep(n));
        self
    }

    /// The value of `name`, if it is set.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs
            .binary_search_by(|(n, _)| n.as_str().cmp(name))
            .ok()
            .map(|i| self.pairs[i].1.as_str())
    }

    /// The pairs in order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }

    /// The finished set.
    #[must_use]
    pub fn build(&self) -> Labels {
        Labels::from_sorted(self.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn building_sorts_by_name_and_drops_empty_values() {
        let l = Labels::from_pairs([("z", "1"), ("a", "2"), ("m", ""), (NAME, "up")]);
        assert_eq!(l.iter().collect::<Vec<_>>(), [(NAME, "up"), ("a", "2"), ("z", "1")]);
        assert_eq!((l.get("m"), l.get("z"), l.name()), (None, Some("1"), "up"));
    }

    #[test]
    fn long_values_survive_packing() {
        let long = "x".repeat(70_000);
        let l = Labels::from_pairs([("a", long.as_str()), ("b", "c")]);
        assert_eq!((l.get("a"), l.get("b"), l.len()), (Some(long.as_str()), Some("c"), 2));
    }

    #[test]
    fn display_is_promql() {
        for (pairs, text) in [
            (vec![(NAME, "up")], "up"),
            (vec![(NAME, "up"), ("a", "b\"c")], r#"up{a="b\"c"}"#),
            (vec![("a", "b")], r#"{a="b"}"#),
            (vec![(NAME, "my.metric"), ("a.b", "c")], r#"{"my.metric", "a.b"="c"}"#),
            (vec![], "{}"),
        ] {
            assert_eq!(Labels::from_pairs(pairs).to_string(), text);
        }
    }

    #[test]
    fn order_is_pair_by_pair() {
        let of = |p: &[(&str, &str)]| Labels::from_pairs(p.iter().copied());
        assert!(of(&[("a", "1")]) < of(&[("a", "1"), ("b", "1")]));
        assert!(of(&[("a", "2")]) > of(&[("a", "1"), ("b", "1")]));
        assert!(of(&[("a", "9")]) < of(&[("b", "1")]));
    }
}
