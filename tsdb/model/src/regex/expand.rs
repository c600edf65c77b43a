//! Go's `Regexp.Expand`.

/// Replaces `$1`, `$name`, `${name}` and `$$` in `template`; anything else behind `$` is left as it stands.
pub(super) fn expand(captures: &regex::Captures<'_>, template: &str) -> String {
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
            out.push_str(group(captures, name).unwrap_or(""));
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

fn group<'t>(captures: &regex::Captures<'t>, name: &str) -> Option<&'t str> {
    let digits = name.bytes().all(|b| b.is_ascii_digit());
    // Go reads `01` as a name, not as a number.
    let found = if digits && (name == "0" || !name.starts_with('0')) {
        captures.get(name.parse().ok()?)
    } else if digits {
        None
    } else {
        // The translation puts `_` before a name that starts with a digit.
        let named = |name: &str| captures.name(name).or_else(|| captures.name(&format!("_{name}")));
        // Of several groups with one name, the first that is part of the match.
        let others = (1..captures.len()).map(|n| format!("{name}.{n}"));
        named(name).or_else(|| others.into_iter().find_map(|name| named(&name)))
    };
    found.map(|m| m.as_str())
}
