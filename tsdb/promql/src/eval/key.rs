//! Keys over chosen labels, straight from the packed label set: no string is built per series.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use leadline_model::Labels;
use leadline_model::labels::is_identifier;
use leadline_model::quote::Quoted;
use rapidhash::fast::RandomState;
use std::fmt::Write;
use std::hash::BuildHasher;

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
        labels.write_chosen(&self.names, self.without, out);
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

/// Numbers the different keys of label sets in the order in which they come.
#[derive(Debug)]
pub(crate) struct Numbering {
    selection: Selection,
    /// The numbers, by their keys.
    table: HashTable<u32>,
    keys: Keys,
    hasher: RandomState,
    /// The number of the key before: series of one target stand next to each other as a rule.
    previous: u32,
}

/// Keys behind each other.
#[derive(Debug, Default)]
struct Keys {
    bytes: Vec<u8>,
    /// Where each ends.
    ends: Vec<usize>,
}

impl Keys {
    fn get(&self, number: u32) -> Option<&[u8]> {
        let number = number as usize;
        let from = number
            .checked_sub(1)
            .map_or(Some(0), |before| self.ends.get(before).copied())?;
        self.bytes.get(from..*self.ends.get(number)?)
    }

    /// What comes behind the last.
    fn next(&self) -> &[u8] {
        let from = self.ends.last().copied().unwrap_or(0);
        self.bytes.get(from..).unwrap_or_default()
    }
}

impl Numbering {
    /// No key seen yet.
    pub(crate) fn new(selection: Selection) -> Self {
        Self::with_room(selection, 0)
    }

    /// No key seen yet, room for so many.
    pub(crate) fn with_room(selection: Selection, keys: usize) -> Self {
        Self {
            selection,
            table: HashTable::with_capacity(keys),
            keys: Keys::default(),
            hasher: RandomState::default(),
            previous: 0,
        }
    }

    /// The number of the series' key.
    pub(crate) fn number(&mut self, labels: &Labels) -> usize {
        let keys = &mut self.keys;
        let from = keys.bytes.len();
        self.selection.write(labels, &mut keys.bytes);
        let key = keys.next();
        if keys.get(self.previous) != Some(key) {
            let hash = |key: &[u8]| self.hasher.hash_one(key);
            let place = self.table.entry(
                hash(key),
                |number| keys.get(*number) == Some(key),
                |number| hash(keys.get(*number).unwrap_or_default()),
            );
            match place {
                Entry::Occupied(found) => self.previous = *found.get(),
                Entry::Vacant(free) => {
                    self.previous = keys.ends.len() as u32;
                    free.insert(self.previous);
                    keys.ends.push(keys.bytes.len());
                    return self.previous as usize;
                }
            }
        }
        keys.bytes.truncate(from);
        self.previous as usize
    }

    /// How many different keys there were.
    pub(crate) fn len(&self) -> usize {
        self.keys.ends.len()
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
    fn label_sets_have_one_number_where_their_chosen_labels_are_the_same() {
        let names = ["a", "b", "c", "d"];
        // Each label is missing or has one of two values.
        let sets: Vec<Labels> = (0..81usize)
            .map(|set| {
                let value = |i: usize| ["", "x", "yy"][set / 3usize.pow(i as u32) % 3];
                Labels::from_pairs(names.iter().enumerate().map(|(i, name)| (name, value(i))))
            })
            .collect();
        for chosen in 0u32..1 << names.len() {
            let chosen = names.iter().enumerate().filter(|(i, _)| chosen >> i & 1 == 1);
            let chosen: Vec<String> = chosen.map(|(_, name)| (*name).to_owned()).collect();
            for selection in [Selection::by(&chosen), Selection::without(&chosen)] {
                let (mut numbers, mut seen) = (Numbering::new(selection.clone()), Vec::<Labels>::new());
                for labels in sets.iter().chain(sets.iter().rev()) {
                    let picked = selection.pick(labels);
                    let expected = seen.iter().position(|s| *s == picked).unwrap_or(seen.len());
                    if expected == seen.len() {
                        seen.push(picked);
                    }
                    assert_eq!(numbers.number(labels), expected, "{labels} {selection:?}");
                }
                assert_eq!(numbers.len(), seen.len());
            }
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
