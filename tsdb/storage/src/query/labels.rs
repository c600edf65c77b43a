//! Names and values of several stores.

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
