//! Objects of one kind, found by namespace, name and labels.

use crate::pairs::Pairs;
use crate::selector::{Operator, Requirement, Selector};
use hashbrown::HashMap;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the index needs to know of an object.
pub(crate) trait Indexed {
    /// Its namespace; empty for kinds without one.
    fn namespace(&self) -> &str;
    /// Its name.
    fn name(&self) -> &str;
    /// Its labels.
    fn labels(&self) -> &Pairs;
}

/// Objects sorted by name; a list is one array, so that copying it is what an answer costs.
type List<T> = Vec<Arc<T>>;

fn find<T: Indexed>(list: &List<T>, name: &str) -> Result<usize, usize> {
    list.binary_search_by(|o| o.name().cmp(name))
}

fn put<T: Indexed>(list: &mut List<T>, object: Arc<T>) {
    match find(list, object.name()) {
        Ok(at) => list[at] = object,
        Err(at) => list.insert(at, object),
    }
}

fn cut<T: Indexed>(list: &mut List<T>, name: &str) -> Option<Arc<T>> {
    find(list, name).ok().map(|at| list.remove(at))
}

struct Namespace<T> {
    all: List<T>,
    /// label key → value → objects that carry the pair.
    by_label: HashMap<String, HashMap<String, List<T>>>,
}

/// An index over objects of one kind.
pub(crate) struct LabelIndex<T> {
    namespaces: BTreeMap<Box<str>, Namespace<T>>,
    len: usize,
}

impl<T> Default for LabelIndex<T> {
    fn default() -> Self {
        Self {
            namespaces: BTreeMap::new(),
            len: 0,
        }
    }
}

impl<T: Indexed> Namespace<T> {
    fn new() -> Self {
        Self {
            all: Vec::new(),
            by_label: HashMap::new(),
        }
    }

    fn drop_label(&mut self, key: &str, value: &str, name: &str) {
        let Some(values) = self.by_label.get_mut(key) else {
            return;
        };
        if let Some(list) = values.get_mut(value) {
            cut(list, name);
            if list.is_empty() {
                values.remove(value);
            }
        }
        if values.is_empty() {
            self.by_label.remove(key);
        }
    }

    /// The objects that can satisfy `requirement`, where the index knows them without looking at every object; lists of
    /// different values of one key never share an object.
    fn candidates(&self, requirement: &Requirement) -> Option<Vec<&List<T>>> {
        match requirement.operator() {
            Operator::In | Operator::Equals => {
                let values = self.by_label.get(requirement.key());
                Some(
                    requirement
                        .values()
                        .iter()
                        .filter_map(|v| values?.get(v.as_str()))
                        .collect(),
                )
            }
            Operator::Exists | Operator::GreaterThan | Operator::LessThan => Some(
                self.by_label
                    .get(requirement.key())
                    .map(|values| values.values().collect())
                    .unwrap_or_default(),
            ),
            Operator::NotIn | Operator::NotEquals | Operator::DoesNotExist => None,
        }
    }

    fn select(&self, selector: &Selector, out: &mut Vec<Arc<T>>) {
        let size = |lists: &Vec<&List<T>>| lists.iter().map(|l| l.len()).sum::<usize>();
        let smallest = selector
            .requirements()
            .iter()
            .filter_map(|r| self.candidates(r))
            .min_by_key(size);
        match smallest {
            None if selector.is_empty() => out.extend(self.all.iter().cloned()),
            None => out.extend(self.all.iter().filter(|o| selector.matches(o.labels())).cloned()),
            Some(lists) => {
                let first = out.len();
                // One positive requirement alone is what its lists hold; nothing is left to check.
                let settled = selector.requirements().len() == 1
                    && matches!(
                        selector.requirements()[0].operator(),
                        Operator::In | Operator::Equals | Operator::Exists
                    );
                for list in &lists {
                    out.extend(list.iter().filter(|o| settled || selector.matches(o.labels())).cloned());
                }
                if lists.len() > 1 {
                    out[first..].sort_unstable_by(|a, b| a.name().cmp(b.name()));
                }
            }
        }
    }
}

impl<T: Indexed + PartialEq> LabelIndex<T> {
    /// Enters or replaces an object; `false` where an equal one is there already.
    pub(crate) fn put(&mut self, object: &Arc<T>) -> bool {
        if !self.namespaces.contains_key(object.namespace()) {
            self.namespaces.insert(object.namespace().into(), Namespace::new());
        }
        let Some(namespace) = self.namespaces.get_mut(object.namespace()) else {
            return false;
        };
        match find(&namespace.all, object.name()) {
            Ok(at) if namespace.all[at] == *object => return false,
            Ok(at) => {
                let old = std::mem::replace(&mut namespace.all[at], Arc::clone(object));
                for (key, value) in old.labels().iter().filter(|(k, v)| object.labels().get(k) != Some(v)) {
                    namespace.drop_label(key, value, old.name());
                }
            }
            Err(at) => {
                namespace.all.insert(at, Arc::clone(object));
                self.len += 1;
            }
        }
        for (key, value) in object.labels().iter() {
            let list = namespace
                .by_label
                .entry_ref(key)
                .or_default()
                .entry_ref(value)
                .or_default();
            put(list, Arc::clone(object));
        }
        true
    }

    /// Removes an object.
    pub(crate) fn remove(&mut self, namespace: &str, name: &str) -> Option<Arc<T>> {
        let entry = self.namespaces.get_mut(namespace)?;
        let old = cut(&mut entry.all, name)?;
        for (key, value) in old.labels().iter() {
            entry.drop_label(key, value, name);
        }
        if entry.all.is_empty() {
            self.namespaces.remove(namespace);
        }
        self.len -= 1;
        Some(old)
    }

    /// One object.
    pub(crate) fn get(&self, namespace: &str, name: &str) -> Option<&Arc<T>> {
        let list = &self.namespaces.get(namespace)?.all;
        find(list, name).ok().map(|at| &list[at])
    }

    /// The objects of `namespace` (or of all) that match, by namespace and name.
    pub(crate) fn select(&self, namespace: Option<&str>, selector: &Selector) -> Vec<Arc<T>> {
        let mut out = Vec::new();
        match namespace {
            Some(name) => {
                if let Some(entry) = self.namespaces.get(name) {
                    entry.select(selector, &mut out);
                }
            }
            None => self
                .namespaces
                .values()
                .for_each(|entry| entry.select(selector, &mut out)),
        }
        out
    }

    /// Number of objects.
    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(PartialEq)]
    struct Thing(&'static str, String, Pairs);

    impl Indexed for Thing {
        fn namespace(&self) -> &str {
            self.0
        }
        fn name(&self) -> &str {
            &self.1
        }
        fn labels(&self) -> &Pairs {
            &self.2
        }
    }

    fn thing(namespace: &'static str, name: &str, labels: &[(&str, &str)]) -> Arc<Thing> {
        Arc::new(Thing(namespace, name.to_owned(), labels.iter().copied().collect()))
    }

    fn names(index: &LabelIndex<Thing>, namespace: Option<&str>, selector: &str) -> Vec<String> {
        index
            .select(namespace, &Selector::parse(selector).unwrap())
            .iter()
            .map(|t| t.1.clone())
            .collect()
    }

    fn filled() -> LabelIndex<Thing> {
        let mut index = LabelIndex::default();
        index.put(&thing("b", "z", &[("app", "web")]));
        index.put(&thing("a", "n2", &[("app", "web"), ("tier", "1")]));
        index.put(&thing("a", "n1", &[("app", "api"), ("tier", "9")]));
        index.put(&thing("a", "n3", &[]));
        index
    }

    #[test]
    fn the_index_agrees_with_asking_every_object_and_keeps_the_order_of_names() {
        let index = filled();
        for (namespace, selector, expected) in [
            (None, "", vec!["n1", "n2", "n3", "z"]),
            (Some("a"), "", vec!["n1", "n2", "n3"]),
            (Some("a"), "app=web", vec!["n2"]),
            (Some("a"), "app in (web,api)", vec!["n1", "n2"]),
            (None, "app in (web,api,none)", vec!["n1", "n2", "z"]),
            (Some("a"), "app", vec!["n1", "n2"]),
            (Some("a"), "!app", vec!["n3"]),
            (Some("a"), "app!=web", vec!["n1", "n3"]),
            (Some("a"), "app,tier>5", vec!["n1"]),
            (Some("a"), "tier<5", vec!["n2"]),
            (Some("a"), "app=web,app=api", vec![]),
            (Some("none"), "", vec![]),
        ] {
            assert_eq!(names(&index, namespace, selector), expected, "{namespace:?} {selector}");
        }
    }

    #[test]
    fn changed_labels_move_an_object_and_removal_leaves_nothing_behind() {
        let mut index = filled();
        assert!(index.put(&thing("a", "n2", &[("app", "api")])));
        assert!(
            !index.put(&thing("a", "n2", &[("app", "api")])),
            "an equal object is no change"
        );
        assert_eq!(names(&index, Some("a"), "app=web"), Vec::<String>::new());
        assert_eq!(names(&index, Some("a"), "app=api"), ["n1", "n2"]);
        for (namespace, name) in [("a", "n1"), ("a", "n2"), ("a", "n3"), ("b", "z")] {
            assert!(index.remove(namespace, name).is_some());
        }
        assert!(index.remove("b", "z").is_none());
        assert!(index.namespaces.is_empty() && index.len() == 0);
    }
}
