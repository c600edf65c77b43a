//! The parts of the language that Prometheus keeps behind `--enable-feature`, under the same names.

use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// Which experimental parts are on. None by default, as in Prometheus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Features {
    /// `promql-experimental-functions`: `info()`, `limitk`, `sort_by_label()`, … ([`crate::check::Signature::experimental`]).
    pub experimental_functions: bool,
    /// `promql-binop-fill-modifiers`: `fill`, `fill_left` and `fill_right`.
    pub fill_modifiers: bool,
    /// `promql-unquoted-utf8-names`: letters of any script, and dots behind the first, in names without quotes.
    pub unquoted_names: bool,
    /// `use-start-timestamps`: `rate` and its like see resets in the start times of samples.
    pub start_timestamps: bool,
    /// `promql-per-step-stats`: with `stats=all` samples are told for each step.
    pub per_step_stats: bool,
    /// `promql-delayed-name-removal`: the name that `rate` and its like take from a metric goes once the whole expression
    /// has its value, so that what stands around them still sees it.
    pub delayed_name_removal: bool,
    /// `type-and-unit-labels`: `rate` and `increase` ask the label `__type__`, not the name, whether a metric is a counter.
    pub type_and_unit_labels: bool,
    /// `query-cost`: what a query may cost is limited ([`crate::cost::CostLimits`]).
    pub query_cost: bool,
}

/// A name that is no feature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown feature {0:?}; known are {known}", known = NAMES.join(", "))]
pub struct UnknownFeature(pub String);

const NAMES: [&str; 8] = [
    "promql-experimental-functions",
    "promql-binop-fill-modifiers",
    "promql-unquoted-utf8-names",
    "use-start-timestamps",
    "promql-per-step-stats",
    "promql-delayed-name-removal",
    "type-and-unit-labels",
    "query-cost",
];

/// Prometheus' other names whose effect is always there.
const ALWAYS: [&str; 5] = [
    "auto-reload-config",
    "exemplar-storage",
    "ooo-native-histograms",
    "promql-duration-expr",
    "promql-extended-range-selectors",
];

/// Prometheus' other names: parts that leadline does not have, and `native-histograms`, which does nothing there either.
const ABSENT: [&str; 18] = [
    "concurrent-rule-eval",
    "created-timestamp-zero-ingestion",
    "delayed-compaction",
    "extra-scrape-metrics",
    "fast-startup",
    "histograms-st-encoding",
    "memory-snapshot-on-shutdown",
    "native-histograms",
    "old-ui",
    "openmetrics2",
    "otlp-deltatocumulative",
    "otlp-native-delta-ingestion",
    "search-api",
    "st-storage",
    "st-synthesis",
    "use-uncached-io",
    "xor2-encoding",
    "zstd-scrape",
];

/// Prometheus' other names that other rooms look for.
const ELSEWHERE: [&str; 1] = ["metadata-wal-records"];

/// Why a name turned nothing on; the process goes on as Prometheus does (`cmd/prometheus/main.go`, `setFeatureListOptions`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Idle {
    /// It needs nothing.
    #[error("This option for --enable-feature is a no-op: what it turns on is always on")]
    Always,
    /// There is no such part here.
    #[error("This option for --enable-feature is a no-op: leadline has no such feature")]
    Absent,
    /// It is none of Prometheus' names.
    #[error("Unknown option for --enable-feature")]
    Unknown,
}

impl Features {
    /// None.
    pub const NONE: Self = Self {
        experimental_functions: false,
        fill_modifiers: false,
        unquoted_names: false,
        start_timestamps: false,
        per_step_stats: false,
        delayed_name_removal: false,
        type_and_unit_labels: false,
        query_cost: false,
    };

    /// All that add to the language and change no text's meaning.
    pub const LANGUAGE: Self = Self {
        experimental_functions: true,
        fill_modifiers: true,
        ..Self::NONE
    };

    /// Turns the feature of this name on.
    ///
    /// # Errors
    /// [`UnknownFeature`].
    pub fn enable(&mut self, name: &str) -> Result<(), UnknownFeature> {
        let place = NAMES.iter().position(|known| *known == name);
        match place.ok_or_else(|| UnknownFeature(name.to_owned()))? {
            0 => self.experimental_functions = true,
            1 => self.fill_modifiers = true,
            2 => self.unquoted_names = true,
            3 => self.start_timestamps = true,
            4 => self.per_step_stats = true,
            5 => self.delayed_name_removal = true,
            6 => self.type_and_unit_labels = true,
            _ => self.query_cost = true,
        }
        Ok(())
    }
}

impl Features {
    /// The features of these names, each of which may be several between commas, and the names that turned nothing on.
    pub fn named<'a>(names: impl IntoIterator<Item = &'a str>) -> (Self, Vec<(&'a str, Idle)>) {
        let (mut features, mut idle) = (Self::NONE, Vec::new());
        let names = names.into_iter().flat_map(|names| names.split(',')).map(str::trim);
        for name in names.filter(|name| !name.is_empty() && !ELSEWHERE.contains(name)) {
            if features.enable(name).is_err() {
                idle.push((name, Idle::of(name)));
            }
        }
        (features, idle)
    }
}

impl Idle {
    fn of(name: &str) -> Self {
        if ALWAYS.contains(&name) {
            Self::Always
        } else if ABSENT.contains(&name) {
            Self::Absent
        } else {
            Self::Unknown
        }
    }
}

impl FromStr for Features {
    type Err = UnknownFeature;

    /// Names between commas.
    fn from_str(text: &str) -> Result<Self, UnknownFeature> {
        let mut features = Self::NONE;
        let mut names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        names.try_for_each(|name| features.enable(name))?;
        Ok(features)
    }
}

impl TryFrom<Vec<String>> for Features {
    type Error = UnknownFeature;

    fn try_from(names: Vec<String>) -> Result<Self, UnknownFeature> {
        let mut features = Self::NONE;
        names.iter().try_for_each(|name| features.enable(name))?;
        Ok(features)
    }
}

impl From<Features> for Vec<String> {
    fn from(features: Features) -> Self {
        let on = [
            features.experimental_functions,
            features.fill_modifiers,
            features.unquoted_names,
            features.start_timestamps,
            features.per_step_stats,
            features.delayed_name_removal,
            features.type_and_unit_labels,
            features.query_cost,
        ];
        let names = NAMES.iter().zip(on).filter(|(_, on)| *on);
        names.map(|(name, _)| (*name).to_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_have_prometheus_names() {
        for name in &NAMES {
            let features: Features = name.parse().unwrap();
            assert_eq!(Vec::<String>::from(features), [*name]);
        }
        let two: Features = "promql-binop-fill-modifiers, promql-delayed-name-removal"
            .parse()
            .unwrap();
        assert!(two.fill_modifiers && two.delayed_name_removal && !two.experimental_functions);
        let error = "promql".parse::<Features>().unwrap_err().to_string();
        assert!(
            error.starts_with("unknown feature \"promql\"; known are promql-exp"),
            "{error}"
        );
    }

    #[test]
    fn a_name_that_turns_nothing_on_is_told_and_the_others_count() {
        let (features, idle) = Features::named([
            "native-histograms,promql-delayed-name-removal",
            " use-start-timestamps , ,exemplar-storage,Exemplar-Storage",
        ]);
        assert!(features.delayed_name_removal && features.start_timestamps && !features.fill_modifiers);
        let told = [
            ("native-histograms", Idle::Absent),
            ("exemplar-storage", Idle::Always),
            ("Exemplar-Storage", Idle::Unknown),
        ];
        assert_eq!(idle, told);
        let all = NAMES.into_iter().chain(ALWAYS).chain(ABSENT).chain(ELSEWHERE);
        let all: Vec<&str> = all.collect();
        let (features, idle) = Features::named(all.iter().copied());
        assert_eq!(Vec::<String>::from(features), NAMES);
        assert_eq!(idle.len(), ALWAYS.len() + ABSENT.len());
        assert!(idle.iter().all(|(_, why)| *why != Idle::Unknown), "{idle:?}");
    }
}
