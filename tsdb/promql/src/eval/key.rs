//! Keys over chosen labels, straight from the packed label set: no string is built per series.

use leadline_model::Labels;
use leadline_model::labels::is_identifier;
use leadline_model::quote::Quoted;
use rapidhash::RapidHashMap;
use std::fmt::Write;

/// The labels that describe a metric rather than a series; operations that change what a value means drop them
/// (Prometheus 3.16, `schema.IsMetadataLabel`).
pub(crate) const METADATA: [&str; 3] = ["__name__", "__type__", "__unit__"];

/// Whether `name` is one of [`METADATA`].
pub(crate) fn is_metadata(name: &str) -> bool {
    // Most labels are none, and their first bytes tell.
    name.starts_with("__") && METADATA.contains(&name)
}

/// The labels without those that describe the metric.
pub(crate) fn nameless(labels: &Labels) -> Labels {
    labels.without(is_metadata)
}

/// The values of [`METADATA`].
pub(crate) fn metadata_of(labels: &Labels) -> [Option<&str>; 3] {
    let mut found = [None; 3];
    // Labels come in the order of their names.
    for (name, value) in labels.iter().take_while(|(name, _)| *name <= METADATA[2]) {
        if let Some(place) = METADATA.iter().position(|known| *known == name) {
            found[place] = Some(value);
        }
    }
    found
}

/// The (name, value) bytes of a label set.
fn pairs(labels: &Labels) -> impl Iterator<Item = (&[u8], &[u8])> {
    labels.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()))
}

/// The bytes of the value of label `name`.
#[cfg(test)]
pub(crate) fn value_of<'a>(labels: &'a Labels, name: &str) -> Option<&'a [u8]> {
    pairs(labels).find(|(n, _)| *n == name.as_bytes()).map(|(_, v)| v)
}

/// Which labels make two series belong together: `by`/`on`, or `without`/`ignoring`.
#[derive(Debug, Clone)]
pub(crate) struct Selection {
    /// Sorted, unique.
    names: Vec<String>,
    /// Whether `names` are left out rather than chosen.
    without: bool,
}

impl Selection {
    /// Chooses `names`.
    pub(crate) fn by(names: &[String]) -> Self {
        Self::new(names.to_vec(), false)
    }

    /// Leaves out `names` and the labels that describe a metric.
    pub(crate) fn without(names: &[String]) -> Self {
        let mut names = names.to_vec();
        names.extend(METADATA.map(str::to_owned));
        Self::new(names, true)
    }

    /// Chooses or leaves out exactly `names`.
    pub(crate) fn of(names: &[String], without: bool) -> Self {
        Self::new(names.to_vec(), without)
    }

    /// Leaves out exactly `name`.
    pub(crate) fn all_but(name: &str) -> Self {
        Self::new(vec![name.to_owned()], true)
    }

    /// The names, sorted, each once.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// Whether all but the names are chosen.
    pub(crate) fn is_without(&self) -> bool {
        self.without
    }

    fn new(mut names: Vec<String>, without: bool) -> Self {
        names.sort_unstable();
        names.dedup();
        Self { names, without }
    }

    /// Appends a key to `out` that is equal for series that belong together and different for others.
    fn write(&self, labels: &Labels, out: &mut Vec<u8>) {
        let mut next = 0;
        for (name, value) in pairs(labels) {
            while next < self.names.len() && self.names[next].as_bytes() < name {
                next += 1;
            }
            let named = next < self.names.len() && self.names[next].as_bytes() == name;
            if self.without {
                if !named {
                    put(out, name);
                    put(out, value);
                }
            } else if named {
                out.extend_from_slice(&(next as u32).to_le_bytes());
                put(out, value);
            } else if next == self.names.len() {
                break;
            }
        }
    }

    /// The chosen labels of a series.
    pub(crate) fn pick(&self, labels: &Labels) -> Labels {
        if self.without {
            labels.without(|n| self.contains(n))
        } else {
            Labels::from_sorted(labels.iter().filter(|(n, _)| self.contains(n)))
        }
    }

    fn contains(&self, name: &str) -> bool {
        self.names.binary_search_by(|n| n.as_str().cmp(name)).is_ok()
    }
}

fn put(out: &mut Vec<u8>, text: &[u8]) {
    out.extend_from_slice(&(text.len() as u32).to_le_bytes());
    out.extend_from_slice(text);
}

/// Numbers the different keys of label sets in the order in which they come.
#[derive(Debug)]
pub(crate) struct Numbering {
    selection: Selection,
    numbers: RapidHashMap<Box<[u8]>, u32>,
    buffer: Vec<u8>,
    /// The key before, and its number: series of one target stand next to each other as a rule.
    previous: (Vec<u8>, Option<u32>),
}

impl Numbering {
    /// No key seen yet.
    pub(crate) fn new(selection: Selection) -> Self {
        Self {
            selection,
            numbers: RapidHashMap::default(),
            buffer: Vec::with_capacity(128),
            previous: (Vec::with_capacity(128), None),
        }
    }

    /// The number of the series' key.
    pub(crate) fn number(&mut self, labels: &Labels) -> usize {
        self.buffer.clear();
        self.selection.write(labels, &mut self.buffer);
        if let (before, Some(number)) = &self.previous
            && *before == self.buffer
        {
            return *number as usize;
        }
        let number = match self.numbers.get(self.buffer.as_slice()) {
            Some(&number) => number,
            None => {
                let next = self.numbers.len() as u32;
                self.numbers.insert(self.buffer.as_slice().into(), next);
                next
            }
        };
        std::mem::swap(&mut self.buffer, &mut self.previous.0);
        self.previous.1 = Some(number);
        number as usize
    }

    /// How many different keys there were.
    pub(crate) fn len(&self) -> usize {
        self.numbers.len()
    }

    /// The selection.
    pub(crate) fn selection(&self) -> &Selection {
        &self.selection
    }
}

/// Labels as error messages of Prometheus show them: all in braces, the metric's name too.
pub(crate) fn braced(labels: &Labels) -> String {
    let mut out = String::from("{");
    for (i, (name, value)) in labels.iter().enumerate() {
        let comma = if i == 0 { "" } else { ", " };
        let value = Quoted(value);
        let written = if is_identifier(name, false) {
            write!(out, "{comma}{name}={value}")
        } else {
            write!(out, "{comma}{}={value}", Quoted(name))
        };
        // Writing to a String cannot fail.
        debug_assert!(written.is_ok());
    }
    out + "}"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(text: &[(&str, &str)]) -> Labels {
        Labels::from_pairs(text.iter().copied())
    }

    #[test]
    fn series_belong_together_when_their_chosen_labels_are_equal() {
        let a = labels(&[("__name__", "m"), ("job", "x"), ("pod", "1")]);
        let b = labels(&[("__name__", "n"), ("job", "x"), ("pod", "2")]);
        let c = labels(&[("job", "1"), ("zone", "x")]);
        for (selection, expected) in [
            (Selection::by(&["job".into()]), [0, 0, 1]),
            (Selection::by(&["pod".into(), "job".into()]), [0, 1, 2]),
            (Selection::by(&[]), [0, 0, 0]),
            (Selection::without(&["pod".into()]), [0, 0, 1]),
            (Selection::without(&[]), [0, 1, 2]),
            (Selection::all_but("pod"), [0, 1, 2]),
        ] {
            let mut n = Numbering::new(selection.clone());
            assert_eq!([n.number(&a), n.number(&b), n.number(&c)], expected, "{selection:?}");
        }
    }

    #[test]
    fn the_values_of_two_labels_are_not_confused() {
        let mut n = Numbering::new(Selection::by(&["a".into(), "b".into()]));
        assert_eq!(
            (n.number(&labels(&[("a", "x")])), n.number(&labels(&[("b", "x")]))),
            (0, 1)
        );
    }

    #[test]
    fn picked_labels_are_those_of_the_group() {
        let a = labels(&[("__name__", "m"), ("__type__", "counter"), ("job", "x"), ("pod", "1")]);
        assert_eq!(
            Selection::by(&["job".into(), "none".into()]).pick(&a).to_string(),
            r#"{job="x"}"#
        );
        assert_eq!(Selection::without(&["job".into()]).pick(&a).to_string(), r#"{pod="1"}"#);
        assert_eq!(value_of(&a, "pod"), Some(&b"1"[..]));
    }

    #[test]
    fn what_describes_a_metric_is_found_among_its_labels() {
        let all = labels(&[("Z", "1"), ("__name__", "m"), ("__unit__", "s"), ("a", "1")]);
        assert_eq!(metadata_of(&all), [Some("m"), None, Some("s")]);
        assert_eq!(nameless(&all), labels(&[("Z", "1"), ("a", "1")]));
        assert_eq!(metadata_of(&Labels::empty()), [None; 3]);
    }

    #[test]
    fn labels_are_shown_in_braces() {
        let labels = Labels::from_pairs([("__name__", "m"), ("a", "x\"y"), ("b.c", "1")]);
        assert_eq!(braced(&labels), r#"{__name__="m", a="x\"y", "b.c"="1"}"#);
        assert_eq!(braced(&Labels::empty()), "{}");
    }
}
