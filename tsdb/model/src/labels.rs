//! Label sets: what names a series.
//!
//! A [`Labels`] is one shared allocation: pairs sorted by name, each string behind its length. Cloning is a counter. Lengths
//! are ASCII, so that all of it is a text and its strings need not be checked whenever they are read.

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
pub struct Labels(Arc<str>);

impl Default for Labels {
    fn default() -> Self {
        Self(Arc::from(""))
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
        let mut packed = String::with_capacity(128);
        #[cfg(debug_assertions)]
        let mut previous: Option<&str> = None;
        for (n, v) in pairs {
            #[cfg(debug_assertions)]
            {
                debug_assert!(!v.is_empty(), "empty value of label {n}");
                debug_assert!(previous.is_none_or(|p| p < n), "labels out of order at {n}");
                previous = Some(n);
            }
            put_str(&mut packed, n);
            put_str(&mut packed, v);
        }
        Self(Arc::from(packed))
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
        rapidhash::v3::rapidhash_v3(self.0.as_bytes())
    }

    /// The packed bytes: `len name len value ...`. Equal sets have equal bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
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
        // What stays is copied as it is packed, in as few parts as there are: mostly one, behind the name of the metric.
        let (mut kept, mut from) = (String::new(), 0);
        let (mut iter, mut at) = (self.iter(), 0);
        while let Some((name, _)) = iter.next() {
            let end = self.0.len() - iter.rest.len();
            if drop(name) {
                kept.push_str(self.0.get(from..at).unwrap_or_default());
                from = end;
            }
            at = end;
        }
        let rest = self.0.get(from..).unwrap_or_default();
        match (from, kept.is_empty()) {
            (0, _) => self.clone(),
            (_, true) => Self(Arc::from(rest)),
            (_, false) => Self(Arc::from(kept + rest)),
        }
    }

    /// Appends the packed bytes ([`Self::as_bytes`]) of the labels whose names are among `names`, or of all others where
    /// `without`; `names` must ascend. Equal bytes are of equal labels.
    pub fn write_chosen(&self, names: &[String], without: bool, out: &mut Vec<u8>) {
        let (mut iter, mut names) = (self.iter(), names.iter().peekable());
        // What is to be written begins here and is not broken off yet.
        let mut from = 0;
        let mut at = 0;
        while names.peek().is_some() {
            let Some((name, _)) = iter.next() else { break };
            while names.next_if(|chosen| chosen.as_str() < name).is_some() {}
            let named = names.next_if(|chosen| chosen.as_str() == name).is_some();
            let end = self.0.len() - iter.rest.len();
            if named == without {
                out.extend_from_slice(self.as_bytes().get(from..at).unwrap_or_default());
                from = end;
            }
            at = end;
        }
        // All names that follow are behind those of `names`.
        let end = if without { self.0.len() } else { at };
        out.extend_from_slice(self.as_bytes().get(from..end).unwrap_or_default());
    }
}

/// Set in each byte of a length that another follows.
const MORE: u8 = 1 << LENGTH_BITS;
/// Bits of a length in one byte, the lowest first: with [`MORE`] it is still ASCII.
const LENGTH_BITS: u32 = 6;

/// Appends a string behind its length.
fn put_str(out: &mut String, s: &str) {
    let mut n = s.len();
    while n >= usize::from(MORE) {
        out.push(char::from(n as u8 & (MORE - 1) | MORE));
        n >>= LENGTH_BITS;
    }
    out.push(char::from(n as u8));
    out.push_str(s);
}

/// Iterates over `(name, value)`.
#[derive(Debug, Clone)]
pub struct Iter<'a> {
    rest: &'a str,
}

impl<'a> Iter<'a> {
    #[inline]
    fn take(&mut self) -> Option<&'a str> {
        let (mut len, mut shift, mut at) = (0usize, 0u32, 0usize);
        loop {
            let byte = *self.rest.as_bytes().get(at)?;
            at += 1;
            len |= usize::from(byte & (MORE - 1)) << shift;
            if byte & MORE == 0 {
                break;
            }
            shift += LENGTH_BITS;
        }
        let text = self.rest.get(at..at + len)?;
        self.rest = self.rest.get(at + len..)?;
        Some(text)
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a str, &'a str);

    #[inline]
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
        let Some(at) = first_difference(self.0.as_bytes(), other.0.as_bytes()) else {
            // What a set begins with in whole pairs is before it.
            return self.0.len().cmp(&other.0.len());
        };
        // Up to the string in which that is, both are equal: only that is compared.
        let mut mine = self.iter();
        let mut same = 0;
        while let Some(text) = Iter::take(&mut mine) {
            let end = self.0.len() - mine.rest.len();
            if at < end {
                let mut theirs = Iter {
                    rest: other.0.get(same..).unwrap_or_default(),
                };
                return text.cmp(Iter::take(&mut theirs).unwrap_or_default());
            }
            same = end;
        }
        Ordering::Equal
    }
}

/// The first byte in which two texts differ; none where one begins with the other.
fn first_difference(a: &[u8], b: &[u8]) -> Option<usize> {
    const CHUNK: usize = 16;
    let chunks = a.chunks_exact(CHUNK).zip(b.chunks_exact(CHUNK));
    let same = CHUNK * chunks.take_while(|(a, b)| a == b).count();
    let rest = a.iter().zip(b).skip(same);
    rest.take_while(|(a, b)| a == b)
        .count()
        .checked_add(same)
        .filter(|&at| at < a.len().min(b.len()))
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
    use proptest::prelude::*;

    #[test]
    fn building_sorts_by_name_and_drops_empty_values() {
        let l = Labels::from_pairs([("z", "1"), ("a", "2"), ("m", ""), (NAME, "up")]);
        assert_eq!(l.iter().collect::<Vec<_>>(), [(NAME, "up"), ("a", "2"), ("z", "1")]);
        assert_eq!((l.get("m"), l.get("z"), l.name()), (None, Some("1"), "up"));
    }

    #[test]
    fn what_is_left_of_a_set_is_what_was_not_dropped_wherever_that_stood() {
        let names = ["a", "b", "c", "d", "e"];
        let all = Labels::from_pairs(names.map(|name| (name, name.repeat(70))));
        for dropped in 0u32..1 << names.len() {
            let drops = |name: &str| {
                names
                    .iter()
                    .position(|n| *n == name)
                    .is_some_and(|i| dropped >> i & 1 == 1)
            };
            let expected = Labels::from_pairs(all.iter().filter(|(name, _)| !drops(name)));
            assert_eq!(all.without(drops), expected, "{dropped:b}");
            let chosen = |dropped: bool| {
                let chosen = names.iter().filter(|name| drops(name) == dropped);
                chosen.map(|name| (*name).to_owned()).collect::<Vec<_>>()
            };
            for (names, without) in [(chosen(true), true), (chosen(false), false)] {
                for others in [vec![], vec!["0"], vec!["bb"], vec!["f"], vec!["0", "bb", "cc", "f"]] {
                    let mut names = [names.clone(), others.iter().map(|name| (*name).to_owned()).collect()].concat();
                    names.sort();
                    let mut written = b"-".to_vec();
                    all.write_chosen(&names, without, &mut written);
                    assert_eq!(written, [b"-", expected.as_bytes()].concat(), "{names:?} {without}");
                }
            }
        }
    }

    #[test]
    fn names_and_values_of_any_length_survive_packing() {
        for len in [1, 62, 63, 64, 65, 127, 128, 4_095, 4_096, 4_097, 70_000, 300_000] {
            let (name, value) = ("n".repeat(len), "\u{e9}".repeat(len));
            let l = Labels::from_pairs([("a", value.as_str()), (&name, "x"), ("z", "c")]);
            let read: Vec<_> = l.iter().collect();
            assert_eq!(read, [("a", value.as_str()), (&name, "x"), ("z", "c")], "{len}");
        }
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

    proptest! {
        #[test]
        fn the_order_is_that_of_the_pairs(
            common in prop::collection::vec(("[a-c]{1,3}", "[a-cé]{1,70}"), 0..5),
            a in prop::collection::vec(("[b-d]{1,2}", "[a-cé]{1,3}"), 0..3),
            b in prop::collection::vec(("[b-d]{1,2}", "[a-cé]{1,3}"), 0..3),
        ) {
            let of = |own: &[(String, String)]| Labels::from_pairs(common.iter().chain(own).cloned());
            let (a, b) = (of(&a), of(&b));
            prop_assert_eq!(a.cmp(&b), a.iter().cmp(b.iter()), "{:?} {:?}", a, b);
            prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
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
