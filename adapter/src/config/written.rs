//! A rule as it is written: every key may hold a value of any kind, so that one of the wrong kind is a problem of its rule and
//! not an error of the file. Unknown keys stay errors of the file.

use super::rule::{Labels, MetricRule};
use leadline_model::duration::Duration;
use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{self, Deserialize, Deserializer, IgnoredAny, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};
use std::fmt;
use std::marker::PhantomData;

/// A key whose value cannot be used.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Unusable {
    /// The key within the rule.
    pub(super) key: &'static str,
    /// Where the value stands, or the rule that lacks the key.
    pub(super) at: Location,
    /// What is wrong and what was expected.
    pub(super) message: String,
}

/// A value of any kind; of a mapping as much as `M` wants to know.
#[derive(Debug)]
enum Given<M = IgnoredAny> {
    Nothing,
    Text(String),
    Number(String),
    Flag(bool),
    List,
    Map(M),
}

impl<M> Given<M> {
    /// The text of what may be written without quotes; numbers and truth values among it, as YAML takes `5` and `on`.
    fn word(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Number(text) => Some(text),
            Self::Flag(true) => Some("true"),
            Self::Flag(false) => Some("false"),
            Self::Nothing | Self::List | Self::Map(_) => None,
        }
    }
}

/// For messages.
impl<M> fmt::Display for Given<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing"),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Number(number) => write!(f, "the number {number}"),
            Self::Flag(flag) => write!(f, "the truth value {flag}"),
            Self::List => f.write_str("a list"),
            Self::Map(_) => f.write_str("a mapping"),
        }
    }
}

impl<'de, M: Deserialize<'de>> Deserialize<'de> for Given<M> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyKind(PhantomData))
    }
}

struct AnyKind<M>(PhantomData<M>);

impl<'de, M: Deserialize<'de>> Visitor<'de> for AnyKind<M> {
    type Value = Given<M>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Given::Nothing)
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Given::Text(text.to_owned()))
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Self::Value, E> {
        Ok(Given::Flag(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Given::Number(number.to_string()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Given::Number(number.to_string()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Given::Number(number.to_string()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Given::List)
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Self::Value, A::Error> {
        M::deserialize(MapAccessDeserializer::new(entries)).map(Given::Map)
    }
}

/// A key that may be absent or empty.
type Key<M = IgnoredAny> = Option<Spanned<Given<M>>>;

#[derive(Debug, Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Written {
    name: Key,
    describes: Key,
    query: Key,
    labels: Key<WrittenLabels>,
    window: Key,
    max_age: Key,
    scope: Key,
    partial: Key,
    on_partial: Key,
    #[serde(rename = "onNaN")]
    on_nan: Key,
    on_inf: Key,
    on_negative: Key,
    on_duplicate: Key,
    on_stale: Key,
    on_warming: Key,
    on_empty: Key,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct WrittenLabels {
    name: Key,
    namespace: Key,
}

impl<'de> Deserialize<'de> for MetricRule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let rule = Spanned::<Given<Written>>::deserialize(deserializer)?;
        let at = rule.referenced;
        let reader = Reader {
            rule: at,
            unusable: Vec::new(),
        };
        match rule.value {
            Given::Map(written) => Ok(reader.rule_of(written)),
            other => {
                let message = format!("a mapping with name, describes and query was expected, not {other}");
                let key = "rule";
                let unusable = vec![Unusable { key, at, message }];
                let rule = reader.rule_of(Written::default());
                Ok(Self { unusable, ..rule })
            }
        }
    }
}

/// Reads values, and keeps those that are none.
struct Reader {
    rule: Location,
    unusable: Vec<Unusable>,
}

impl Reader {
    fn rule_of(mut self, written: Written) -> MetricRule {
        MetricRule {
            name: self.needed("name", written.name),
            describes: self.needed("describes", written.describes),
            query: self.needed("query", written.query),
            labels: self.labels(written.labels),
            window: self.duration("window", written.window),
            max_age: self.duration("maxAge", written.max_age),
            scope: self.choice("scope", written.scope).unwrap_or_default(),
            partial: self.share("partial", written.partial),
            on_partial: self.choice("onPartial", written.on_partial).unwrap_or_default(),
            on_nan: self.choice("onNaN", written.on_nan).unwrap_or_default(),
            on_inf: self.choice("onInf", written.on_inf).unwrap_or_default(),
            on_negative: self.choice("onNegative", written.on_negative).unwrap_or_default(),
            on_duplicate: self.choice("onDuplicate", written.on_duplicate),
            on_stale: self.choice("onStale", written.on_stale),
            on_warming: self.choice("onWarming", written.on_warming),
            on_empty: self.choice("onEmpty", written.on_empty).unwrap_or_default(),
            unusable: self.unusable,
        }
    }

    fn refuse(&mut self, key: &'static str, at: Location, message: String) {
        self.unusable.push(Unusable { key, at, message });
    }

    /// A text that the rule cannot do without.
    fn needed(&mut self, key: &'static str, given: Key) -> Spanned<String> {
        let missing = given.is_none();
        let text = self.text(key, given, key == "query");
        if missing {
            self.refuse(key, self.rule, "it is missing".to_owned());
        }
        text.unwrap_or_else(|| Spanned::new(String::new(), self.rule, self.rule))
    }

    /// A text. What YAML takes for a number or a truth value has lost how it was written, so it is none; but a number means
    /// the same in PromQL.
    fn text(&mut self, key: &'static str, given: Key, numbers: bool) -> Option<Spanned<String>> {
        let given = given?;
        let (at, defined) = (given.referenced, given.defined);
        match given.value {
            Given::Text(text) => Some(Spanned::new(text, at, defined)),
            Given::Number(text) if numbers => Some(Spanned::new(text, at, defined)),
            other => {
                let hint = match other.word() {
                    Some(_) => "; put it in quotes",
                    None => "",
                };
                self.refuse(key, at, format!("a text was expected, not {other}{hint}"));
                None
            }
        }
    }

    fn labels(&mut self, given: Key<WrittenLabels>) -> Labels {
        let Some(given) = given else { return Labels::default() };
        match given.value {
            Given::Map(written) => Labels {
                name: self.text("labels.name", written.name, false),
                namespace: self.text("labels.namespace", written.namespace, false),
            },
            other => {
                let message = format!("a mapping with name and namespace was expected, not {other}");
                self.refuse("labels", given.referenced, message);
                Labels::default()
            }
        }
    }

    fn duration(&mut self, key: &'static str, given: Key) -> Option<Duration> {
        let given = given?;
        let read = match given.value.word() {
            Some(word) => Duration::parse(word).map_err(|e| e.to_string()),
            None => Err(format!("a duration as 15s or 1h30m was expected, not {}", given.value)),
        };
        read.map_err(|message| self.refuse(key, given.referenced, message)).ok()
    }

    /// One of the words of `T`.
    fn choice<T: de::DeserializeOwned>(&mut self, key: &'static str, given: Key) -> Option<T> {
        let given = given?;
        let word: StrDeserializer<'_, Words> = given.value.word().unwrap_or_default().into_deserializer();
        let read = T::deserialize(word);
        read.map_err(|Words(words)| {
            let message = format!("{words} was expected, not {}", given.value);
            self.refuse(key, given.referenced, message);
        })
        .ok()
    }

    /// A number; whether it is a share is checked with all else.
    fn share(&mut self, key: &'static str, given: Key) -> Spanned<f64> {
        let default = Spanned::new(MetricRule::PARTIAL, Location::UNKNOWN, Location::UNKNOWN);
        let Some(given) = given else { return default };
        let number = match &given.value {
            Given::Text(text) | Given::Number(text) => text.parse().ok(),
            _ => None,
        };
        match number {
            Some(number) => Spanned::new(number, given.referenced, given.defined),
            None => {
                let message = format!("{} is no share; a number from 0 to 1 was expected", given.value);
                self.refuse(key, given.referenced, message);
                default
            }
        }
    }
}

/// The words that were expected, out of serde's error.
#[derive(Debug)]
struct Words(String);

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Words {}

impl de::Error for Words {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }

    fn unknown_variant(_variant: &str, expected: &'static [&'static str]) -> Self {
        match expected {
            [words @ .., last] if !words.is_empty() => Self(format!("{} or {last}", words.join(", "))),
            words => Self(words.concat()),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Autoscaling;
    use leadline_cluster::Mapper;

    #[test]
    fn a_value_of_the_wrong_kind_is_a_problem_of_its_rule_at_its_place() {
        let rule = |more: &str| format!("metrics:\n- {{name: rps, describes: pods, query: up, {more}}}\n");
        for (yaml, expected) in [
            (
                rule("onStale: drop"),
                "2:52: metric rps: onStale: omit, error or serve was expected, not \"drop\"",
            ),
            (
                rule("onStale: [omit]"),
                "2:52: metric rps: onStale: omit, error or serve was expected, not a list",
            ),
            (
                rule("onNaN: off"),
                "2:50: metric rps: onNaN: omit, error or zero was expected, not the truth value false",
            ),
            (
                rule("onPartial: 5"),
                "2:54: metric rps: onPartial: raise, error or serve was expected, not the number 5",
            ),
            (
                rule("onEmpty: nil"),
                "2:52: metric rps: onEmpty: error or zero was expected, not \"nil\"",
            ),
            (
                rule("onDuplicate: {}"),
                "2:56: metric rps: onDuplicate: error, sum, max, min or avg was expected, not a mapping",
            ),
            (
                rule("scope: all"),
                "2:50: metric rps: scope: namespace or cluster was expected, not \"all\"",
            ),
            (
                rule("partial: ten"),
                "2:52: metric rps: partial: \"ten\" is no share; a number from 0 to 1 was expected",
            ),
            (
                rule("partial: yes"),
                "2:52: metric rps: partial: the truth value true is no share; a number from 0 to 1 was expected",
            ),
            (
                rule("maxAge: 5"),
                "2:51: metric rps: maxAge: invalid duration \"5\": a unit (y, w, d, h, m, s or ms; each once, from long to \
                 short) was expected, as in 15s or 1h30m",
            ),
            (
                rule("window: {s: 5}"),
                "2:51: metric rps: window: a duration as 15s or 1h30m was expected, not a mapping",
            ),
            (
                rule("labels: pod"),
                "2:51: metric rps: labels: a mapping with name and namespace was expected, not \"pod\"",
            ),
            (
                rule("labels: {name: n}"),
                "2:58: metric rps: labels.name: a text was expected, not the truth value false; put it in quotes",
            ),
            (
                "metrics:\n- name: rps\n  describes: pods\n".into(),
                "2:3: metric rps: query: it is missing",
            ),
            (
                "metrics:\n- name: rps\n  describes: pods\n  query: {job=\"x\"}\n".into(),
                "4:10: metric rps: query: a text was expected, not a mapping",
            ),
            (
                "metrics:\n- describes: [pods]\n  query: up\n".into(),
                "2:3: metric : name: it is missing\n2:14: metric : describes: a text was expected, not a list",
            ),
            (
                "metrics:\n- {name: 1.50, describes: pods, query: up}\n".into(),
                "2:10: metric : name: a text was expected, not the number 1.5; put it in quotes",
            ),
            (
                "metrics:\n- up\n".into(),
                "2:3: metric : rule: a mapping with name, describes and query was expected, not \"up\"",
            ),
            (
                "metrics:\n- [up]\n".into(),
                "2:3: metric : rule: a mapping with name, describes and query was expected, not a list",
            ),
        ] {
            let rules: Autoscaling = serde_saphyr::from_str(&yaml).unwrap_or_else(|e| panic!("{yaml}: {e}"));
            let problems = rules.check(&Mapper::new(None));
            let told = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
            assert_eq!(told, expected, "{yaml}");
        }
    }

    #[test]
    fn what_may_be_written_in_several_ways_is_read_alike() {
        let rule = |more: &str| format!("metrics: [{{name: a, describes: pods, query: up{more}}}]");
        for (one, other) in [
            (rule(", maxAge: 0"), rule(", maxAge: '0'")),
            (rule(", partial: 0.5"), rule(", partial: '0.5'")),
            (rule(", partial: 1"), rule(", partial: 1.0")),
            (rule(", onStale: , scope: null"), rule("")),
            (rule(", labels: {name: 'n'}"), rule(", labels: {name: \"n\"}")),
            (rule("").replace("up", "1"), rule("").replace("up", "'1'")),
        ] {
            let read = |yaml: &str| {
                let rules: Autoscaling = serde_saphyr::from_str(yaml).unwrap();
                assert_eq!(rules.check(&Mapper::new(None)), [], "{yaml}");
                let rule = rules.metrics[0].clone();
                (
                    rule.query.value,
                    rule.max_age,
                    rule.partial.value,
                    rule.labels.name.map(|n| n.value),
                    rule.on_stale,
                )
            };
            assert_eq!(read(&one), read(&other), "{one}");
        }
    }
}
