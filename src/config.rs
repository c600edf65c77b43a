//! The configuration file: Prometheus' own sections, and ours beside them. Each section is described by its room.

use leadline_adapter::Autoscaling;
use leadline_model::duration::Duration;
use leadline_promql::cost::CostLimits;
use leadline_promql::syntax::Features;
use leadline_tsdb::config::{
    ConfigError, Global, Place, Refused, Resolved, ScrapeConfig, Storage, parse_yaml, resolve,
};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// The most bytes a configuration file may have.
const MOST_BYTES: u64 = 16 << 20;

/// The file as it is written. Prometheus' sections that later work fills are known, and refused by name.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    global: Global,
    scrape_configs: Vec<ScrapeConfig>,
    /// Metric rules of the Kubernetes metrics APIs.
    autoscaling: Autoscaling,
    /// Limits and policies of the KEDA scaler.
    scaler: leadline_scaler::Settings,
    storage: Option<Storage>,
    rule_files: Option<Refused>,
    scrape_config_files: Option<Refused>,
    alerting: Option<Refused>,
    remote_write: Option<Refused>,
    remote_read: Option<Refused>,
    tracing: Option<Refused>,
    otlp: Option<Refused>,
    runtime: Option<Refused>,
}

impl File {
    fn refused(&self) -> impl Iterator<Item = (&'static str, &Refused)> {
        [
            ("rule_files", &self.rule_files),
            ("scrape_config_files", &self.scrape_config_files),
            ("alerting", &self.alerting),
            ("remote_write", &self.remote_write),
            ("remote_read", &self.remote_read),
            ("tracing", &self.tracing),
            ("otlp", &self.otlp),
            ("runtime", &self.runtime),
        ]
        .into_iter()
        .filter_map(|(name, section)| Some((name, section.as_ref()?)))
    }
}

/// A valid configuration, ready to be applied.
#[derive(Debug)]
pub(crate) struct Config {
    /// The file it was read from.
    pub file: String,
    /// The steps of subqueries that name none.
    pub evaluation_interval: Duration,
    /// What queries may cost.
    pub cost: CostLimits,
    /// The jobs with their discoveries, defaults filled in.
    pub scrape: Vec<Resolved>,
    /// The metric rules. A bad one is no error here: it disables itself alone.
    pub autoscaling: Autoscaling,
    /// The scaler's settings.
    pub scaler: leadline_scaler::Settings,
    /// What the file says about the store.
    pub storage: Storage,
    /// Where queries are logged, if they are.
    pub query_log: Option<PathBuf>,
    /// The text as it was read.
    pub text: String,
}

/// Everything that is wrong with a configuration, one error a line.
#[derive(Debug)]
pub(crate) struct Errors(pub Vec<ConfigError>);

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// All that is wrong, each with file, line and column.
    pub(crate) fn load(path: &Path) -> Result<Self, Errors> {
        let file = path.display().to_string();
        let fail = |message: String| Errors(vec![Place::default().error(&file, message)]);
        let size = std::fs::metadata(path).map_err(|e| fail(e.to_string()))?.len();
        if size > MOST_BYTES {
            return Err(fail(format!("it has {size} bytes, at most {MOST_BYTES} were expected")));
        }
        let text = std::fs::read_to_string(path).map_err(|e| fail(e.to_string()))?;
        Self::parse(&text, &file)
    }

    /// Checks the text of a file; `file` is named in errors, and relative paths start from its folder.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub(crate) fn parse(text: &str, file: &str) -> Result<Self, Errors> {
        let parsed: File = parse_yaml(text, file).map_err(|e| Errors(vec![e]))?;
        let mut errors: Vec<ConfigError> = parsed
            .refused()
            .map(|(name, section)| Place::of(section).error(file, format!("not supported yet: {name}")))
            .collect();
        if let Err(wrong) = parsed.scaler.check() {
            errors.push(place_in_scaler(text, wrong.key).error(file, format!("scaler.{wrong}")));
        }
        let storage = parsed.storage.unwrap_or_default();
        errors.extend(storage.check(file));
        match resolve(&parsed.global, &parsed.scrape_configs, file) {
            Ok(scrape) if errors.is_empty() => Ok(Self {
                file: file.to_owned(),
                evaluation_interval: parsed.global.evaluation_interval(),
                cost: parsed.global.cost_limits(),
                scrape,
                autoscaling: parsed.autoscaling,
                scaler: parsed.scaler,
                storage,
                query_log: parsed.global.query_log_file(file),
                text: text.to_owned(),
            }),
            Ok(_) => Err(Errors(errors)),
            Err(more) => {
                errors.extend(more);
                Err(Errors(errors))
            }
        }
    }

    /// The text with every password and token hidden, for `/api/v1/status/config`. Where one cannot be found as it is
    /// written (YAML has many ways), nothing of the text is shown.
    pub(crate) fn shown(&self) -> String {
        let secrets = self.scrape.iter().flat_map(|resolved| resolved.job.http.secrets());
        let mut secrets: Vec<&str> = secrets.map(leadline_httpclient::Secret::expose).collect();
        // One may be a part of another.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        if secrets.iter().any(|secret| !self.text.contains(secret)) {
            return "# not shown: it holds a secret that cannot be told from the rest\n".to_owned();
        }
        secrets
            .iter()
            .fold(self.text.clone(), |text, secret| text.replace(secret, "<secret>"))
    }

    /// What is wrong with metric rules where `features` are on, PromQL included: what `leadline check` prints and a running process shows in its
    /// status.
    pub(crate) fn refused_rules(&self, features: Features) -> Vec<ConfigError> {
        let mapper = leadline_cluster::Mapper::new(None);
        let mut problems = self.autoscaling.check(&mapper);
        for rule in self.autoscaling.metrics.iter().filter(|rule| rule.is_sound()) {
            if let Err(error) = leadline_promql::query::Query::parse_with(&rule.query.value, features) {
                let error = leadline_standing::RegisterError::Invalid(error.into());
                problems.push(rule.query_problem(&error));
            }
        }
        let place = |line, column| Place { line, column };
        problems
            .into_iter()
            .map(|p| place(p.line, p.column).error(&self.file, format!("metric {}: {}: {}", p.rule, p.key, p.message)))
            .collect()
    }
}

/// Where a key of the section `scaler` stands: its settings have none, since they are compared and shown.
fn place_in_scaler(text: &str, key: &str) -> Place {
    #[derive(Deserialize)]
    struct Places {
        scaler: BTreeMap<String, Refused>,
    }
    let places = parse_yaml::<Places>(text, "").ok();
    places
        .and_then(|p| p.scaler.get(key).map(Place::of))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(text: &str) -> String {
        Config::parse(text, "leadline.yaml")
            .err()
            .map(|e| e.to_string())
            .unwrap_or_default()
    }

    #[test]
    fn sections_that_come_later_are_refused_by_name_and_place() {
        for section in ["rule_files", "alerting", "remote_write", "remote_read", "tracing"] {
            let text = format!("global: {{}}\n{section}: []\n");
            assert!(errors(&text).starts_with("leadline.yaml:2:"), "{}", errors(&text));
            assert!(
                errors(&text).ends_with(&format!("not supported yet: {section}")),
                "{}",
                errors(&text)
            );
        }
    }

    #[test]
    fn unknown_keys_are_errors_with_line_and_column() {
        let error = errors("global: {}\nscrape_config: []\n");
        assert!(
            error.starts_with("leadline.yaml:2:1: ") && error.contains("scrape_config"),
            "{error}"
        );
    }

    #[test]
    fn a_setting_of_the_scaler_that_is_out_of_range_has_its_place() {
        for (text, expected) in [
            (
                "scaler:\n  tenancy: store\n  partial: 7\n",
                "leadline.yaml:3:12: scaler.partial: 7 is not a share between 0 and 1",
            ),
            (
                "global: {}\nscaler: {max_triggers: 0}\n",
                "leadline.yaml:2:24: scaler.max_triggers: 0 is not above 0",
            ),
        ] {
            assert_eq!(errors(text), expected);
        }
    }

    #[test]
    fn a_bad_rule_does_not_spoil_the_file_but_is_told() {
        let text = "autoscaling:\n  metrics:\n    - name: a\n      describes: external\n      query: sum(\n";
        let config = Config::parse(text, "leadline.yaml").unwrap();
        let told = config.refused_rules(Features::NONE);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].to_string().starts_with("leadline.yaml:5:"), "{}", told[0]);
    }

    #[test]
    fn a_value_of_the_wrong_kind_is_told_of_its_rule_alone() {
        let text = "autoscaling:\n  metrics:\n  - {name: a, describes: external, query: up, onStale: drop}\n  \
                    - {name: b, describes: external, partial: ten}\n  - {name: d, describes: external, query: up, partial: .inf}\n  - {name: c, describes: external, query: up}\n";
        let config = Config::parse(text, "leadline.yaml").unwrap();
        let told: Vec<String> = config
            .refused_rules(Features::NONE)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            told,
            [
                "leadline.yaml:3:56: metric a: onStale: omit, error or serve was expected, not \"drop\"",
                "leadline.yaml:4:5: metric b: query: it is missing",
                "leadline.yaml:4:45: metric b: partial: \"ten\" is no share; a number from 0 to 1 was expected",
                "leadline.yaml:5:56: metric d: partial: inf is no share; a number from 0 to 1 was expected",
            ]
        );
        let unknown = text.replace("onStale", "onStall");
        assert!(
            errors(&unknown).starts_with("leadline.yaml:3:47: "),
            "{}",
            errors(&unknown)
        );
    }

    #[test]
    fn secrets_are_not_shown() {
        let with = |password: &str| {
            let text = format!(
                "scrape_configs:\n- job_name: a\n  basic_auth: {{username: u, password: {password}}}\n\
                 - job_name: b\n  authorization: {{credentials: t0ken}}\n"
            );
            Config::parse(&text, "leadline.yaml").unwrap().shown()
        };
        let shown = with("pa55word");
        assert!(shown.contains("username: u, password: <secret>"), "{shown}");
        assert!(shown.contains("credentials: <secret>"), "{shown}");
        let escaped = with("\"pa\\x35\\x35word\"");
        assert!(!escaped.contains("word") && !escaped.contains("t0ken"), "{escaped}");
    }
}
