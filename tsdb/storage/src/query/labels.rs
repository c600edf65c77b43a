//! Names, values and exemplars of several stores.

use leadline_model::exemplar::Exemplar;
use leadline_model::labels::Labels;
use std::collections::BTreeMap;

/// Sorted texts of several stores: sorted, each once.
pub(crate) fn join_sorted(mut lists: Vec<Vec<String>>) -> Vec<String> {
    lists.retain(|list| !list.is_empty());
    if lists.len() <= 1 {
        return lists.pop().unwrap_or_default();
    }
    let mut all: Vec<String> = lists.into_iter().flatten().collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Exemplars of several stores by series, and by time within one.
pub(crate) fn join_exemplars(lists: Vec<Vec<(Labels, Vec<Exemplar>)>>) -> Vec<(Labels, Vec<Exemplar>)> {
    let mut all: BTreeMap<Labels, Vec<Exemplar>> = BTreeMap::new();
    for (labels, exemplars) in lists.into_iter().flatten() {
        all.entry(labels).or_default().extend(exemplars);
    }
    for exemplars in all.values_mut() {
        exemplars.sort_by_key(|exemplar| exemplar.t);
    }
    all.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_several_stores_come_sorted_and_once() {
        let of = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            join_sorted(vec![of(&["b", "d"]), of(&[]), of(&["a", "b"])]),
            ["a", "b", "d"]
        );
        assert_eq!(join_sorted(vec![of(&[]), of(&["a"])]), ["a"]);
        assert!(join_sorted(vec![]).is_empty());
    }
}
