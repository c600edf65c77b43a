//! File name patterns as Go's `filepath.Match` has them: `*`, `?`, `[a-z]`, `[^a]` and `\` before a special character.

use std::path::{Path, PathBuf};

/// One element of a pattern.
enum Element {
    Any,
    One,
    Class { negated: bool, ranges: Vec<(char, char)> },
    Literal(char),
}

fn elements(pattern: &str) -> Result<Vec<Element>, &'static str> {
    let mut out = Vec::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        out.push(match c {
            '*' => Element::Any,
            '?' => Element::One,
            '\\' => Element::Literal(chars.next().ok_or("expected a character after \\")?),
            '[' => class(&mut chars)?,
            c => Element::Literal(c),
        });
    }
    Ok(out)
}

fn class(chars: &mut std::str::Chars<'_>) -> Result<Element, &'static str> {
    const OPEN: &str = "expected ] after [";
    let negated = chars.as_str().starts_with('^');
    if negated {
        chars.next();
    }
    let mut ranges = Vec::new();
    loop {
        let mut one = |end: bool| match chars.next().ok_or(OPEN)? {
            ']' if end => Ok(None),
            '\\' => chars.next().ok_or(OPEN).map(Some),
            c => Ok(Some(c)),
        };
        let Some(low) = one(!ranges.is_empty())? else {
            return Ok(Element::Class { negated, ranges });
        };
        let mut high = low;
        if chars.as_str().starts_with('-') {
            chars.next();
            high = chars
                .next()
                .filter(|c| *c != ']')
                .ok_or("expected a character after -")?;
        }
        ranges.push((low, high));
    }
}

/// Whether `pattern` is well formed.
pub(crate) fn check(pattern: &str) -> Result<(), &'static str> {
    elements(pattern).map(|_| ())
}

fn matches(pattern: &[Element], name: &[char]) -> bool {
    let Some((element, rest)) = pattern.split_first() else {
        return name.is_empty();
    };
    let one = |ok: &dyn Fn(char) -> bool| {
        name.split_first()
            .is_some_and(|(c, tail)| ok(*c) && matches(rest, tail))
    };
    match element {
        Element::Any => (0..=name.len()).any(|skip| matches(rest, &name[skip..])),
        Element::One => one(&|_| true),
        Element::Literal(literal) => one(&|c| c == *literal),
        Element::Class { negated, ranges } => {
            one(&|c| ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated)
        }
    }
}

/// The files that `path` names, sorted; its last part may be a pattern. A directory that cannot be read has none.
pub(crate) fn files(path: &Path) -> Vec<PathBuf> {
    let Some(pattern) = path.file_name().and_then(|name| name.to_str()) else {
        return Vec::new();
    };
    if !pattern.contains(['*', '?', '[', '\\']) {
        return if path.exists() {
            vec![path.to_owned()]
        } else {
            Vec::new()
        };
    }
    let Ok(elements) = elements(pattern) else {
        return Vec::new();
    };
    let directory = path
        .parent()
        .filter(|d| !d.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let Ok(entries) = std::fs::read_dir(directory) else {
        return Vec::new();
    };
    let fits = |name: &std::ffi::OsStr| {
        name.to_str()
            .is_some_and(|name| matches(&elements, &name.chars().collect::<Vec<_>>()))
    };
    let mut found: Vec<PathBuf> = entries
        .flatten()
        .filter(|e| fits(&e.file_name()))
        .map(|e| path.with_file_name(e.file_name()))
        .collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_go() {
        for (pattern, name, expected) in [
            ("a.json", "a.json", true),
            ("*.json", "a.json", true),
            ("*.json", ".json", true),
            ("*.json", "a.yml", false),
            ("t*-?.yml", "targets-1.yml", true),
            ("t*-?.yml", "targets-12.yml", false),
            ("[a-c]x", "bx", true),
            ("[^a-c]x", "bx", false),
            ("[]a]x", "]x", true),
            (r"\*x", "*x", true),
            (r"\*x", "ax", false),
        ] {
            let name: Vec<char> = name.chars().collect();
            assert_eq!(
                matches(&elements(pattern).unwrap(), &name),
                expected,
                "{pattern} {name:?}"
            );
        }
        for broken in ["[", "[a", "[a-]", "x\\"] {
            assert!(check(broken).is_err(), "{broken}");
        }
    }
}
