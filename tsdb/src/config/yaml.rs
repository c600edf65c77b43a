//! YAML to settings, with places.

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_saphyr::{Location, NonFiniteFloatPolicy, Options, Spanned};
use std::fmt;

/// What is wrong in a configuration file; displays as `file:line:column: message`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The file as it was named.
    pub file: String,
    /// Line from 1; 0 where it has no place.
    pub line: u64,
    /// Column from 1, in characters; 0 where it has no place.
    pub column: u64,
    /// What is wrong and what was expected.
    pub message: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            line,
            column,
            message,
        } = self;
        if *line == 0 {
            write!(f, "{file}: {message}")
        } else {
            write!(f, "{file}:{line}:{column}: {message}")
        }
    }
}

impl std::error::Error for ConfigError {}

/// Line and column, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    /// Line from 1; 0 for none.
    pub line: u64,
    /// Column from 1, in characters; 0 for none.
    pub column: u64,
}

impl Place {
    /// Where `value` stands.
    #[must_use]
    pub fn of<T>(value: &Spanned<T>) -> Self {
        value.referenced.into()
    }

    /// An error in `file` here.
    #[must_use]
    pub fn error(self, file: &str, message: impl Into<String>) -> ConfigError {
        ConfigError {
            file: file.to_owned(),
            line: self.line,
            column: self.column,
            message: message.into(),
        }
    }
}

impl From<Location> for Place {
    fn from(location: Location) -> Self {
        Self {
            line: location.line(),
            column: location.column(),
        }
    }
}

/// A key that is known and refused, whatever its value is.
pub type Refused = Spanned<IgnoredAny>;

/// Reads settings from the text of a configuration file.
///
/// # Errors
/// [`ConfigError`]: no YAML, an unknown key, a value of a wrong kind; it points at the place.
pub fn parse_yaml<T: DeserializeOwned>(text: &str, file: &str) -> Result<T, ConfigError> {
    let mut options = Options::default();
    // What is wrong with one is for whoever reads the key to say.
    options.non_finite_float_policy = NonFiniteFloatPolicy::PassThrough;
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let place = error.location().map(Place::from).unwrap_or_default();
        place.error(file, message(error.without_snippet(), place))
    })
}

/// The message without the place, which stands in front of it already.
fn message(error: &serde_saphyr::Error, place: Place) -> String {
    let text = error.to_string();
    let Place { line, column } = place;
    let suffixes = [
        format!(" at line {line}, column {column}"),
        format!("line {line} column {column}: "),
    ];
    suffixes.iter().fold(text, |text, place| text.replace(place, ""))
}

/// A list item that must not be null or empty: in Prometheus a dash with nothing behind it is an error.
#[derive(Debug, Clone)]
pub(super) struct Item<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Item<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let item = Option::<T>::deserialize(deserializer)?;
        item.map(Self)
            .ok_or_else(|| serde::de::Error::custom("empty or null section"))
    }
}

/// The items of a list that may be absent or null.
pub(super) fn items<T: Clone>(list: Option<&Vec<Item<T>>>) -> Vec<T> {
    list.map(|items| items.iter().map(|item| item.0.clone()).collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Section {
        #[serde(default)]
        number: u32,
        #[serde(default)]
        list: Vec<Item<Inner>>,
        #[serde(default)]
        later: Option<Refused>,
    }

    #[derive(Debug, Clone, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[serde(default)]
        name: String,
    }

    #[test]
    fn errors_point_at_the_place_and_name_it_once() {
        for (text, place, part) in [
            ("number: x\n", (1, 9), "invalid"),
            ("number: 1\nnumbre: 2\n", (2, 1), "numbre"),
            ("list:\n- name: a\n- nmae: b\n", (3, 3), "nmae"),
            ("list:\n- name: a\n-\n", (3, 2), "empty or null section"),
            ("number: 1\nnumber: 2\n", (2, 1), "duplicate"),
            ("number: 1\nlist: [}\n", (2, 7), "mismatched"),
        ] {
            let error = parse_yaml::<Section>(text, "f.yml").unwrap_err();
            let shown = error.to_string();
            assert_eq!((error.line, error.column), place, "{text:?}: {shown}");
            assert!(
                shown.starts_with(&format!("f.yml:{}:{}: ", place.0, place.1)) && shown.contains(part),
                "{shown}"
            );
            assert!(!error.message.contains("line "), "{shown}");
        }
        let good: Section = parse_yaml("number: 7\nlist: [{name: a}]\nlater: {any: [thing]}\n", "f.yml").unwrap();
        assert_eq!((good.number, good.list[0].0.name.as_str()), (7, "a"));
        assert_eq!(Place::of(&good.later.unwrap()), Place { line: 3, column: 8 });
    }
}
