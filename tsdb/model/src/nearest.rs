//! The name that somebody probably meant.

/// The name that takes the fewest edits to reach, when it takes no more than a third of the letters (at least two).
#[must_use]
pub fn nearest<'a>(written: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if written.len() > 64 {
        return None;
    }
    let written = written.to_ascii_lowercase();
    let limit = (written.len() / 3).max(2).min(written.len().saturating_sub(1));
    names
        .map(|name| (edits(written.as_bytes(), name.as_bytes()), name))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Insertions, deletions and replacements of bytes from `a` to `b` (Levenshtein).
#[must_use]
pub fn edits(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_suggested_only_when_it_is_near() {
        let names = ["rate", "irate", "increase", "histogram_quantile"];
        for (written, expected) in [
            ("rates", Some("rate")),
            ("Rate", Some("rate")),
            ("histogram_quantil", Some("histogram_quantile")),
            ("incraese", Some("increase")),
            ("foo", None),
            ("x", None),
        ] {
            assert_eq!(nearest(written, names.into_iter()), expected, "{written}");
        }
    }
}
