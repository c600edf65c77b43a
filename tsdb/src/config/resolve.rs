//! Jobs as they are written to jobs as they run: defaults filled in, everything checked.

use super::global::{Global, given};
use super::http;
use super::scrape::ScrapeConfig;
use super::yaml::{ConfigError, Place, items};
use leadline_discovery::Discoveries;
use leadline_scrape::{Job, Limits};
use std::path::Path;

/// A job that can run.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    /// What is scraped, and how.
    pub job: Job,
    /// Where its targets come from.
    pub discovery: Discoveries,
}

/// Fills in the defaults of `global` and checks everything. `file` is the configuration file as it was named: errors
/// carry it, and relative paths in it are relative to its directory.
///
/// # Errors
/// All that is wrong, in the order of the file's sections.
pub fn resolve(global: &Global, jobs: &[ScrapeConfig], file: &str) -> Result<Vec<Resolved>, Vec<ConfigError>> {
    let directory = Path::new(file).parent().unwrap_or(Path::new(""));
    let mut errors = global.check(file);
    let mut resolved = Vec::with_capacity(jobs.len());
    for (i, config) in jobs.iter().enumerate() {
        let name = &config.job_name;
        #[cfg(feature = "planted")]
        leadline_model::planted::trap(name.value.ends_with(|c: char| c.is_ascii_punctuation()));
        if jobs[..i].iter().any(|other| other.job_name.value == name.value) {
            let message = format!("found multiple scrape configs with job name {:?}", name.value);
            errors.push(Place::of(name).error(file, message));
        }
        errors.extend(config.check(file));
        match job(global, config, file) {
            Ok(mut job) => {
                job.http.set_directory(directory);
                let mut discovery = discoveries(config);
                discovery.set_directory(directory);
                resolved.push(Resolved { job, discovery });
            }
            // The job's own check has a better place for what it found already.
            Err(error) if errors.iter().any(|e| e.message == error.message) => {}
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(resolved) } else { Err(errors) }
}

fn discoveries(config: &ScrapeConfig) -> Discoveries {
    Discoveries {
        fixed: items(config.static_configs.as_ref()),
        file: items(config.file_sd_configs.as_ref()),
        kubernetes: items(config.kubernetes_sd_configs.as_ref()),
    }
}

fn job(global: &Global, config: &ScrapeConfig, file: &str) -> Result<Job, ConfigError> {
    let interval_ms = given(config.scrape_interval.as_ref()).unwrap_or_else(|| global.scrape_interval_ms());
    let timeout_ms =
        given(config.scrape_timeout.as_ref()).unwrap_or_else(|| global.scrape_timeout_ms().min(interval_ms));
    if let Some(timeout) = config.scrape_timeout.as_ref().filter(|_| timeout_ms > interval_ms) {
        let message = format!(
            "scrape timeout greater than scrape interval for scrape config with job name {:?}",
            config.job_name.value
        );
        return Err(Place::of(timeout).error(file, message));
    }
    let defaults = Job::new(config.job_name.value.as_str());
    let job = Job {
        interval_ms,
        timeout_ms,
        metrics_path: config
            .metrics_path
            .clone()
            .filter(|p| !p.is_empty())
            .unwrap_or_else(|| defaults.metrics_path.clone()),
        scheme: config.scheme.unwrap_or_default(),
        params: config.params.clone(),
        honor_labels: config.honor_labels,
        honor_timestamps: config.honor_timestamps,
        track_timestamps_staleness: config.track_timestamps_staleness,
        limits: limits(global, config),
        keep_dropped_targets: or(config.keep_dropped_targets, global.keep_dropped_targets),
        relabel: items(config.relabel_configs.as_ref()),
        metric_relabel: items(config.metric_relabel_configs.as_ref()),
        http: http::settings(file, config)?,
        enable_compression: config.enable_compression,
        fallback_scrape_protocol: config
            .fallback_scrape_protocol
            .as_ref()
            .map(|p| p.value)
            .filter(|p| p.is_text()),
        ..defaults
    };
    let place = Place::of(&config.job_name);
    job.validate()
        .map_err(|error| place.error(file, error.to_string()))
        .map(|()| job)
}

/// 0 means that it was not given.
fn or(own: usize, global: usize) -> usize {
    if own == 0 { global } else { own }
}

fn limits(global: &Global, config: &ScrapeConfig) -> Limits {
    Limits {
        sample_limit: or(config.sample_limit, global.sample_limit),
        label_limit: or(config.label_limit, global.label_limit),
        label_name_length_limit: or(config.label_name_length_limit, global.label_name_length_limit),
        label_value_length_limit: or(config.label_value_length_limit, global.label_value_length_limit),
        body_size_limit: if config.body_size_limit.0 == 0 {
            global.body_size_limit.0
        } else {
            config.body_size_limit.0
        },
        target_limit: or(config.target_limit, global.target_limit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse_yaml;
    use leadline_model::duration::Duration;

    fn load(global: &str, jobs: &str) -> Result<Vec<Resolved>, Vec<String>> {
        let global: Global = parse_yaml(global, "/etc/l.yml").map_err(|e| vec![e.to_string()])?;
        let jobs: Vec<ScrapeConfig> = parse_yaml(jobs, "/etc/l.yml").map_err(|e| vec![e.to_string()])?;
        resolve(&global, &jobs, "/etc/l.yml").map_err(|errors| errors.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn what_a_job_leaves_out_comes_from_global_and_then_from_the_defaults() {
        for (global, own, interval_ms, timeout_ms) in [
            ("{}", "", 60_000, 10_000),
            ("scrape_interval: 5s", "", 5_000, 5_000),
            ("scrape_timeout: 20s", "", 60_000, 20_000),
            ("scrape_timeout: 20s", "scrape_interval: 2s", 2_000, 2_000),
            (
                "scrape_interval: 5s",
                "scrape_interval: 1m\n  scrape_timeout: 30s",
                60_000,
                30_000,
            ),
        ] {
            let resolved = load(global, &format!("- job_name: a\n  {own}\n")).unwrap();
            let job = &resolved[0].job;
            assert_eq!(
                (job.interval_ms, job.timeout_ms),
                (interval_ms, timeout_ms),
                "{global} {own}"
            );
        }
        let resolved = load(
            "sample_limit: 7\nlabel_limit: 3\nbody_size_limit: 1MB\nexternal_labels: {a: b}",
            "- job_name: a\n  label_limit: 9\n  file_sd_configs: [{files: [t/*.json]}]\n  basic_auth: {username: u, \
             password_file: pw}\n",
        )
        .unwrap();
        let Resolved { job, discovery } = &resolved[0];
        assert_eq!(
            (
                job.limits.sample_limit,
                job.limits.label_limit,
                job.limits.body_size_limit
            ),
            (7, 9, 1 << 20)
        );
        assert_eq!(
            (job.metrics_path.as_str(), job.honor_timestamps, job.enable_compression),
            ("/metrics", true, true)
        );
        assert_eq!(discovery.file[0].files, [Path::new("/etc/t/*.json")]);
        assert_eq!(discovery.file[0].refresh_interval, Duration::from_secs(300));
        let password = job.http.basic_auth.as_ref().and_then(|b| b.password_file.as_deref());
        assert_eq!(password, Some(Path::new("/etc/pw")));
    }

    #[test]
    fn what_a_query_may_cost_is_unlimited_where_nothing_or_zero_is_said() {
        for (text, expected) in [
            ("{}", (0, 0, None)),
            (
                "{query_max_series: 0, query_max_samples_read: 0, query_max_duration: 0s}",
                (0, 0, None),
            ),
            (
                "{query_max_series: 7, query_max_samples_read: 8, query_max_duration: 9s}",
                (7, 8, Some(9_000)),
            ),
        ] {
            let global: Global = parse_yaml(text, "/etc/l.yml").unwrap();
            let limits = global.cost_limits();
            let found = (
                limits.series,
                limits.samples_read,
                limits.duration.map(Duration::as_millis),
            );
            assert_eq!(found, expected, "{text}");
        }
        for text in [
            "{query_max_series: -1}",
            "{query_max_samples_read: 1.5}",
            "{query_max_duration: 5}",
        ] {
            assert!(parse_yaml::<Global>(text, "/etc/l.yml").is_err(), "{text}");
        }
    }

    #[test]
    fn the_query_log_is_where_the_file_says_from_its_own_folder_on() {
        for (text, path) in [
            ("{}", None),
            ("query_log_file: ''", None),
            ("query_log_file: logs/q", Some("/etc/logs/q")),
            ("query_log_file: /dev/stdout", Some("/dev/stdout")),
        ] {
            let global: Global = parse_yaml(text, "/etc/l.yml").unwrap();
            assert_eq!(
                global.query_log_file("/etc/l.yml").as_deref(),
                path.map(Path::new),
                "{text}"
            );
        }
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once_each_at_its_place() {
        let errors = load(
            "scrape_interval: 1s\nscrape_timeout: 2s\nscrape_failure_log_file: x\n",
            "- job_name: a\n  scrape_timeout: 2s\n- job_name: a\n  bearer_token: x\n  basic_auth: {username: u}\n\
             - job_name: c\n  dns_sd_configs: []\n  oauth2: {client_id: x}\n- job_name: ''\n",
        )
        .unwrap_err();
        let expected = [
            "/etc/l.yml:3:26: not supported yet: scrape_failure_log_file",
            "/etc/l.yml:2:17: global scrape timeout greater than scrape interval",
            "/etc/l.yml:2:19: scrape timeout greater than scrape interval for scrape config with job name \"a\"",
            "/etc/l.yml:3:13: found multiple scrape configs with job name \"a\"",
            "/etc/l.yml:4:17: bearer_token: basic_auth is set too",
            "/etc/l.yml:7:19: not supported yet: dns_sd_configs",
            "/etc/l.yml:8:11: not supported yet: oauth2",
            "/etc/l.yml:9:13: job_name is empty",
        ];
        for part in expected {
            assert!(errors.iter().any(|e| e.starts_with(part)), "{part}: {errors:#?}");
        }
    }
}
