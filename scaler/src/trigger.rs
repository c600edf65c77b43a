//! A trigger's metadata: the keys of KEDA's prometheus trigger, so that migrating changes `type` and adds
//! `scalerAddress`.
//!
//! The rules are those of KEDA's `pkg/scalers/prometheus_scaler.go`; where a rule is ours (the smallest threshold, the
//! letters of a name), it is because KEDA would build an HPA from it that does not work.

use crate::error::TriggerError;
use crate::settings::Settings;
use leadline_model::duration::Duration;
use leadline_standing::OnPartial;
use std::collections::HashMap;

/// KEDA writes targets with three decimals: what is smaller becomes 0, and the HPA invalid.
const SMALLEST_THRESHOLD: f64 = 0.001;

/// The HPA's metric is called `s<index>-<name>`; KEDA's own prometheus trigger calls it `s<index>-prometheus`.
const DEFAULT_NAME: &str = "prometheus";

/// Keeps `s<index>-<name>` a DNS label.
const LONGEST_NAME: usize = 58;

/// Keys of KEDA's prometheus trigger that say how to reach a Prometheus: leadline evaluates in its own store.
const IGNORED: [&str; 11] = [
    "authModes",
    "awsRegion",
    "azureManagedPrometheus",
    "cortexOrgID",
    "customHeaders",
    "identityOwner",
    "queryParameters",
    "scalerAddress",
    "serverAddress",
    "timeout",
    "unsafeSsl",
];

/// What a trigger asks for.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Trigger {
    /// PromQL.
    pub query: String,
    /// The target of the HPA's metric.
    pub threshold: f64,
    /// The trigger is active above it.
    pub activation_threshold: f64,
    /// Whether an empty result, NaN and Inf count as 0; otherwise they are errors.
    pub ignore_null_values: bool,
    /// The metric's name without the `sN-` prefix.
    pub metric_name: String,
    /// Only series with this `namespace` label are read (Thanos' and prom-label-proxy's parameter in KEDA's trigger).
    pub namespace: Option<String>,
    /// The share of targets, 0 to 1, up to which missing ones are tolerated.
    pub partial: f64,
    /// What becomes of a value that lacks more.
    pub on_partial: OnPartial,
    /// The age of a value, by the stalest series that went into it, beyond which it is stale; absent: as
    /// [`AgeLimit`](leadline_standing::staleness::AgeLimit) has it.
    pub max_age: Option<Duration>,
    /// What becomes of a stale value.
    pub on_stale: OnStale,
    /// What becomes of a value whose targets are younger than its window.
    pub on_warming: OnWarming,
}

/// What to do with a value that is older than `maxAge`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OnStale {
    /// Refuse it.
    #[default]
    Error,
    /// Answer it as if it were new.
    Serve,
}

/// What to do with a value that no target feeds which was observed for the query's whole window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OnWarming {
    /// Refuse it, as a cold one.
    #[default]
    Error,
    /// Answer it, too low as it may be.
    Serve,
}

impl Trigger {
    /// Reads metadata. Keys that are not known are tolerated, as KEDA does: it sends all of them to everybody.
    ///
    /// # Errors
    /// [`TriggerError`] names the key, the value and what was expected.
    pub fn parse(metadata: &HashMap<String, String>, settings: &Settings) -> Result<Self, TriggerError> {
        check_size(metadata, settings)?;
        let keys = Keys(metadata);
        let trigger = Self {
            query: keys.query(settings.max_query_bytes)?,
            threshold: keys.threshold()?,
            activation_threshold: keys.number("activationThreshold")?.unwrap_or(0.0),
            ignore_null_values: keys.boolean("ignoreNullValues")?.unwrap_or(true),
            metric_name: keys.metric_name()?,
            namespace: keys.text("namespace").map(str::to_owned),
            partial: keys.share("partial")?.unwrap_or(settings.partial),
            on_partial: keys.on_partial()?.unwrap_or(settings.on_partial),
            max_age: keys.duration("maxAge")?,
            on_stale: keys.on_stale()?.unwrap_or_default(),
            on_warming: keys.on_warming()?.unwrap_or(settings.on_warming),
        };
        #[cfg(feature = "planted")]
        leadline_model::planted::trap(trigger.on_partial == OnPartial::Error && !trigger.ignore_null_values);
        Ok(trigger)
    }
}

/// The keys of `metadata` that have a meaning for KEDA's own trigger but none here, sorted.
#[must_use]
pub fn ignored(metadata: &HashMap<String, String>) -> Vec<&'static str> {
    IGNORED.into_iter().filter(|key| metadata.contains_key(*key)).collect()
}

fn check_size(metadata: &HashMap<String, String>, settings: &Settings) -> Result<(), TriggerError> {
    let bytes: usize = metadata.iter().map(|(key, value)| key.len() + value.len()).sum();
    if bytes <= settings.max_metadata_bytes {
        return Ok(());
    }
    let largest = metadata
        .iter()
        .max_by_key(|(_, value)| value.len())
        .map_or("", |(key, _)| key.as_str());
    Err(refuse(
        largest,
        format!(
            "the trigger has {bytes} bytes of metadata, {} are allowed",
            settings.max_metadata_bytes
        ),
    ))
}

struct Keys<'a>(&'a HashMap<String, String>);

impl<'a> Keys<'a> {
    /// A value without surrounding white space; an empty one is no value.
    fn text(&self, key: &str) -> Option<&'a str> {
        self.0
            .get(key)
            .map(|value| value.trim())
            .filter(|value| !value.is_empty())
    }

    fn query(&self, max_bytes: usize) -> Result<String, TriggerError> {
        let query = self
            .text("query")
            .ok_or_else(|| refuse("query", "it is missing; a PromQL expression is expected"))?;
        if query.len() > max_bytes {
            return Err(refuse(
                "query",
                format!("it has {} bytes, {max_bytes} are allowed", query.len()),
            ));
        }
        Ok(query.to_owned())
    }

    fn threshold(&self) -> Result<f64, TriggerError> {
        let key = "threshold";
        let threshold = self
            .number(key)?
            .ok_or_else(|| refuse(key, "it is missing; a number is expected"))?;
        if threshold < SMALLEST_THRESHOLD {
            let problem =
                format!("{threshold} is below {SMALLEST_THRESHOLD}, the smallest target that an HPA can have");
            return Err(refuse(key, problem));
        }
        Ok(threshold)
    }

    fn number(&self, key: &str) -> Result<Option<f64>, TriggerError> {
        let Some(text) = self.text(key) else { return Ok(None) };
        let number = if is_json_number(text) {
            text.parse::<f64>().ok().filter(|n| n.is_finite())
        } else {
            None
        };
        number
            .map(Some)
            .ok_or_else(|| refuse(key, format!("{text:?} is not a number such as 10, 0.5 or 1e3")))
    }

    fn share(&self, key: &str) -> Result<Option<f64>, TriggerError> {
        match self.number(key)? {
            Some(share) if !(0.0..=1.0).contains(&share) => {
                Err(refuse(key, format!("{share} is not a share between 0 and 1")))
            }
            share => Ok(share),
        }
    }

    /// The words of Go's `strconv.ParseBool`.
    fn boolean(&self, key: &str) -> Result<Option<bool>, TriggerError> {
        match self.text(key) {
            None => Ok(None),
            Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(Some(true)),
            Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(Some(false)),
            Some(other) => Err(refuse(key, format!("{other:?} is neither true nor false"))),
        }
    }

    fn on_partial(&self) -> Result<Option<OnPartial>, TriggerError> {
        match self.text("onPartial") {
            None => Ok(None),
            Some("raise") => Ok(Some(OnPartial::Raise)),
            Some("error") => Ok(Some(OnPartial::Error)),
            Some("serve") => Ok(Some(OnPartial::Serve)),
            Some(other) => Err(refuse("onPartial", format!("{other:?} is none of raise, error, serve"))),
        }
    }

    fn duration(&self, key: &str) -> Result<Option<Duration>, TriggerError> {
        let parse = |text| Duration::parse(text).map_err(|error| refuse(key, error.to_string()));
        self.text(key).map(parse).transpose()
    }

    fn on_stale(&self) -> Result<Option<OnStale>, TriggerError> {
        match self.text("onStale") {
            None => Ok(None),
            Some("error") => Ok(Some(OnStale::Error)),
            Some("serve") => Ok(Some(OnStale::Serve)),
            Some(other) => Err(refuse("onStale", format!("{other:?} is neither error nor serve"))),
        }
    }

    fn on_warming(&self) -> Result<Option<OnWarming>, TriggerError> {
        match self.text("onWarming") {
            None => Ok(None),
            Some("error") => Ok(Some(OnWarming::Error)),
            Some("serve") => Ok(Some(OnWarming::Serve)),
            Some(other) => Err(refuse("onWarming", format!("{other:?} is neither error nor serve"))),
        }
    }

    /// The name, made fit for the HPA: it becomes a segment of a URL that KEDA compares without regard to case, and KEDA
    /// itself writes '-' for `/ . : % ( )` (`pkg/util/normalize_string.go`). Old triggers carry names of Prometheus'
    /// metrics, so every other character that does not fit becomes '-' too.
    fn metric_name(&self) -> Result<String, TriggerError> {
        let written = self.text("metricName").unwrap_or(DEFAULT_NAME);
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let name: String = written
            .chars()
            .map(|c| if fits(c) { c.to_ascii_lowercase() } else { '-' })
            .collect();
        // A DNS label does not end in '-'.
        let name = name.trim_end_matches('-');
        if name.is_empty() {
            let problem = format!("{written:?} is no name of a metric; a letter or a digit was expected");
            return Err(refuse("metricName", problem));
        }
        if name.len() > LONGEST_NAME {
            return Err(refuse(
                "metricName",
                format!("{written:?} is too long; at most {LONGEST_NAME} characters were expected"),
            ));
        }
        Ok(name.to_owned())
    }
}

fn refuse(key: &str, problem: impl Into<String>) -> TriggerError {
    TriggerError {
        key: key.to_owned(),
        problem: problem.into(),
    }
}

/// The grammar of RFC 8259, section 6, which KEDA parses numbers with.
fn is_json_number(text: &str) -> bool {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let whole = digits(unsigned);
    if whole == 0 || (whole > 1 && unsigned.starts_with('0')) {
        return false;
    }
    let mut rest = &unsigned[whole..];
    if let Some(fraction) = rest.strip_prefix('.') {
        let n = digits(fraction);
        if n == 0 {
            return false;
        }
        rest = &fraction[n..];
    }
    if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        let n = digits(exponent);
        if n == 0 {
            return false;
        }
        rest = &exponent[n..];
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> Result<Trigger, TriggerError> {
        let metadata = pairs.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect();
        Trigger::parse(&metadata, &Settings::default())
    }

    /// A good trigger with some keys changed; an empty value removes the key.
    fn with(changes: &[(&str, &str)]) -> Result<Trigger, TriggerError> {
        let mut pairs = vec![
            ("serverAddress", "http://localhost:9090"),
            ("query", "up"),
            ("threshold", "100"),
        ];
        pairs.retain(|(key, _)| changes.iter().all(|(changed, _)| changed != key));
        pairs.extend(changes.iter().filter(|(_, value)| !value.is_empty()));
        parse(&pairs)
    }

    #[test]
    fn the_smallest_trigger_has_kedas_defaults() {
        let trigger = parse(&[("query", " sum(rate(x[1m])) "), ("threshold", "10")]).unwrap();
        assert_eq!(
            trigger,
            Trigger {
                query: "sum(rate(x[1m]))".into(),
                threshold: 10.0,
                activation_threshold: 0.0,
                ignore_null_values: true,
                metric_name: "prometheus".into(),
                namespace: None,
                partial: 0.1,
                on_partial: OnPartial::Raise,
                max_age: None,
                on_stale: OnStale::Error,
                on_warming: OnWarming::Error,
            }
        );
    }

    #[test]
    fn metadata_that_kedas_prometheus_trigger_takes_is_taken() {
        let cases: &[&[(&str, &str)]] = &[
            &[("metricName", "http-requests"), ("disableScaleToZero", "true")],
            &[("activationThreshold", "50")],
            &[("activationThreshold", "-1.5e2")],
            &[("threshold", "100.5")],
            &[("threshold", "0.001")],
            &[("threshold", "1E+2")],
            &[("threshold", " 7 ")],
            &[("ignoreNullValues", "false")],
            &[("ignoreNullValues", "T")],
            &[("unsafeSsl", "true"), ("timeout", "30s")],
            &[("customHeaders", "X-Client-Id=cid,X-Tenant-Id=tid")],
            &[("queryParameters", "key1=value1,key2=value2")],
            &[("cortexOrgID", "my-org")],
            &[
                ("authModes", "bearer,basic"),
                ("awsRegion", "eu-west-1"),
                ("identityOwner", "operator"),
            ],
            &[("serverAddress", "")],
            &[
                ("scalerAddress", "leadline.monitoring:6000"),
                ("queryFromEnv", "QUERY"),
                ("anything", "else"),
            ],
            &[("partial", "0.5"), ("onPartial", "error")],
            &[("maxAge", "1m30s"), ("onStale", "serve")],
            &[("maxAge", "0"), ("onStale", " error ")],
            &[("onWarming", "serve")],
            &[("onWarming", " error ")],
        ];
        for case in cases {
            assert!(with(case).is_ok(), "{case:?}: {:?}", with(case));
        }
    }

    #[test]
    fn bad_metadata_is_refused_with_the_key_the_value_and_what_was_expected() {
        let cases: &[(&str, &str, &str)] = &[
            (
                "query",
                "",
                "metadata query: it is missing; a PromQL expression is expected",
            ),
            (
                "query",
                "  ",
                "metadata query: it is missing; a PromQL expression is expected",
            ),
            (
                "threshold",
                "",
                "metadata threshold: it is missing; a number is expected",
            ),
            (
                "threshold",
                "one",
                "metadata threshold: \"one\" is not a number such as 10, 0.5 or 1e3",
            ),
            (
                "threshold",
                "0x10",
                "metadata threshold: \"0x10\" is not a number such as 10, 0.5 or 1e3",
            ),
            (
                "threshold",
                "01",
                "metadata threshold: \"01\" is not a number such as 10, 0.5 or 1e3",
            ),
            (
                "threshold",
                ".5",
                "metadata threshold: \".5\" is not a number such as 10, 0.5 or 1e3",
            ),
            (
                "threshold",
                "5.",
                "metadata threshold: \"5.\" is not a number such as 10, 0.5 or 1e3",
            ),
            (
                "threshold",
                "1e",
                "metadata threshold: \"1e\" is not a number such as 10, 0.5 or 1e3",
            ),
            (
                "threshold",
                "+1",
                "metadata threshold: \"+1\" is not a number such as 10, 0.5 or 1e3",
            ),
            (
                "threshold",
                "NaN",
                "metadata threshold: \"NaN\" is not a number such as 10, 0.5 or 1e3",
            ),
            (
                "threshold",
                "inf",
                "metadata threshold: \"inf\" is not a number such as 10, 0.5 or 1e3",
            ),
            (
                "threshold",
                "1e999",
                "metadata threshold: \"1e999\" is not a number such as 10, 0.5 or 1e3",
            ),
            (
                "threshold",
                "0",
                "metadata threshold: 0 is below 0.001, the smallest target that an HPA can have",
            ),
            (
                "threshold",
                "-5",
                "metadata threshold: -5 is below 0.001, the smallest target that an HPA can have",
            ),
            (
                "activationThreshold",
                "x",
                "metadata activationThreshold: \"x\" is not a number such as 10, 0.5 or 1e3",
            ),
            (
                "ignoreNullValues",
                "xxxx",
                "metadata ignoreNullValues: \"xxxx\" is neither true nor false",
            ),
            (
                "ignoreNullValues",
                "tRUE",
                "metadata ignoreNullValues: \"tRUE\" is neither true nor false",
            ),
            ("partial", "1.5", "metadata partial: 1.5 is not a share between 0 and 1"),
            (
                "onPartial",
                "hold",
                "metadata onPartial: \"hold\" is none of raise, error, serve",
            ),
            (
                "onStale",
                "omit",
                "metadata onStale: \"omit\" is neither error nor serve",
            ),
            (
                "maxAge",
                "5",
                "metadata maxAge: invalid duration \"5\": a unit (y, w, d, h, m, s or ms; each once, from long to short) was \
                 expected, as in 15s or 1h30m",
            ),
            (
                "maxAge",
                "-5s",
                "metadata maxAge: invalid duration \"-5s\": a whole number was expected, as in 15s or 1h30m",
            ),
            (
                "onWarming",
                "omit",
                "metadata onWarming: \"omit\" is neither error nor serve",
            ),
        ];
        for (key, value, message) in cases {
            assert_eq!(
                with(&[(key, value)]).unwrap_err().to_string(),
                *message,
                "{key}={value:?}"
            );
        }
    }

    #[test]
    fn a_metric_name_becomes_one_that_survives_a_url_and_a_comparison_without_case() {
        let longest = "x".repeat(LONGEST_NAME);
        for (written, name) in [
            ("http-requests", "http-requests"),
            ("http_requests_total", "http-requests-total"),
            ("Requests", "requests"),
            ("job:errors.rate5m", "job-errors-rate5m"),
            ("a/b%(c)", "a-b--c"),
            ("caf\u{e9}s", "caf-s"),
            ("a-", "a"),
            (longest.as_str(), longest.as_str()),
        ] {
            assert_eq!(with(&[("metricName", written)]).unwrap().metric_name, name, "{written}");
        }
        for name in ["_", "\u{e9}", &"x".repeat(LONGEST_NAME + 1)] {
            let error = with(&[("metricName", name)]).unwrap_err().to_string();
            assert!(
                error.starts_with("metadata metricName: ") && error.contains("expected"),
                "{error}"
            );
        }
    }

    #[test]
    fn oversized_metadata_is_refused() {
        let settings = Settings {
            max_metadata_bytes: 100,
            max_query_bytes: 20,
            ..Settings::default()
        };
        let of = |query: &str| {
            let pairs = [("query", query), ("threshold", "1")];
            let metadata = pairs.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect();
            Trigger::parse(&metadata, &settings).unwrap_err().to_string()
        };
        assert_eq!(of(&"x".repeat(30)), "metadata query: it has 30 bytes, 20 are allowed");
        assert_eq!(
            of(&"x".repeat(200)),
            "metadata query: the trigger has 215 bytes of metadata, 100 are allowed"
        );
    }

    #[test]
    fn keys_about_reaching_a_prometheus_are_listed_as_ignored() {
        let metadata = [("timeout", "1"), ("query", "up"), ("serverAddress", "x")];
        let metadata = metadata.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect();
        assert_eq!(ignored(&metadata), ["serverAddress", "timeout"]);
    }
}
