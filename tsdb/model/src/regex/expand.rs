//! Go's `Regexp.Expand`.

use std::collections::BTreeMap;

/// Replaces `$1`, `$name`, `${name}` and `$$` in `template`; anything else behind `$` is left as it stands.
pub(super) fn expand(engine: &regex::Regex, captures: &regex::Captures<'_>, template: &str) -> String {
    let mut groups = Groups::new(engine, captures);
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(at) = rest.find('$') {
        let (before, behind) = rest.split_at(at);
        out.push_str(before);
        let behind = behind.get(1..).unwrap_or("");
        if let Some(next) = behind.strip_prefix('$') {
            out.push('$');
            rest = next;
        } else if let Some((name, next)) = reference(behind) {
            out.push_str(groups.text(name).unwrap_or(""));
            rest = next;
        } else {
            // Go writes a malformed reference as it stands.
            out.push('$');
            rest = behind;
        }
    }
    out.push_str(rest);
    out
}

/// The group's name and what follows it: `1`, `{name}`, or the longest run of letters, digits and `_`.
fn reference(text: &str) -> Option<(&str, &str)> {
    let (braced, text) = match text.strip_prefix('{') {
        Some(inside) => (true, inside),
        None => (false, text),
    };
    let len = text
        .find(|c: char| !(c.is_alphanumeric() || c == '_'))
        .unwrap_or(text.len());
    let (name, rest) = text.split_at_checked(len)?;
    if name.is_empty() {
        return None;
    }
    if braced {
        Some((name, rest.strip_prefix('}')?))
    } else {
        Some((name, rest))
    }
}

/// The groups of one match, by name.
struct Groups<'r, 't> {
    captures: &'r regex::Captures<'t>,
    /// How many groups more there are of names that several have, which the translation numbers from 1.
    more: BTreeMap<&'r str, usize>,
    /// Names that were asked for: with many groups of one name and many references to it each is looked up once.
    known: BTreeMap<String, Option<&'t str>>,
}

impl<'r, 't> Groups<'r, 't> {
    fn new(engine: &'r regex::Regex, captures: &'r regex::Captures<'t>) -> Self {
        let mut more = BTreeMap::new();
        for (name, _) in engine.capture_names().flatten().filter_map(|name| name.split_once('.')) {
            *more.entry(name).or_default() += 1;
        }
        Self {
            captures,
            more,
            known: BTreeMap::new(),
        }
    }

    fn text(&mut self, name: &str) -> Option<&'t str> {
        let digits = name.bytes().all(|b| b.is_ascii_digit());
        if digits {
            // Go reads `01` as a name, not as a number.
            let number = (name == "0" || !name.starts_with('0')).then(|| name.parse().ok())??;
            return self.captures.get(number).map(|m| m.as_str());
        }
        if self.more.is_empty() {
            return self.named(name);
        }
        if let Some(known) = self.known.get(name) {
            return *known;
        }
        // Of several groups with one name, the first that is part of the match.
        let under = format!("_{name}");
        let found = self.named(name).or_else(|| {
            let of = |name: &str| {
                (1..=self.more.get(name).copied().unwrap_or(0)).find_map(|n| self.exact(&format!("{name}.{n}")))
            };
            of(name).or_else(|| of(&under))
        });
        self.known.insert(name.to_owned(), found);
        found
    }

    /// The translation puts `_` before a name that starts with a digit.
    fn named(&self, name: &str) -> Option<&'t str> {
        self.exact(name).or_else(|| self.exact(&format!("_{name}")))
    }

    fn exact(&self, name: &str) -> Option<&'t str> {
        self.captures.name(name).map(|m| m.as_str())
    }
}
