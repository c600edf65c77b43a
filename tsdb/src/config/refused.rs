//! Keys that are known and refused by name.

use super::yaml::{ConfigError, Place, Refused};

/// One error for every key that was given.
pub(super) fn errors<'a>(
    file: &str,
    keys: impl IntoIterator<Item = (&'static str, &'a Option<Refused>)>,
) -> Vec<ConfigError> {
    let given = keys
        .into_iter()
        .filter_map(|(key, value)| value.as_ref().map(|value| (key, value)));
    given.map(|(key, value)| not_yet(file, Place::of(value), key)).collect()
}

/// `not supported yet: key`.
pub(super) fn not_yet(file: &str, place: Place, what: &str) -> ConfigError {
    place.error(file, format!("not supported yet: {what}"))
}
