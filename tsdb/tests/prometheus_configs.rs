//! Prometheus' own configuration files: what is good loads or is refused by name, what is bad is an error with a place.

use leadline_tsdb::config::{ConfigError, Global, Refused, ScrapeConfig, Storage, parse_yaml, resolve};
use serde::Deserialize;
use std::io::Write as _;
use std::path::PathBuf;

/// The whole file, with the sections that are not this crate's.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    global: Option<Global>,
    scrape_configs: Vec<ScrapeConfig>,
    runtime: Option<Refused>,
    alerting: Option<Refused>,
    rule_files: Option<Refused>,
    scrape_config_files: Option<Refused>,
    storage: Option<Storage>,
    tracing: Option<Refused>,
    remote_write: Option<Refused>,
    remote_read: Option<Refused>,
    otlp: Option<Refused>,
}

impl File {
    fn other_sections(&self) -> bool {
        [
            &self.runtime,
            &self.alerting,
            &self.rule_files,
            &self.scrape_config_files,
            &self.tracing,
            &self.remote_write,
            &self.remote_read,
            &self.otlp,
        ]
        .into_iter()
        .any(Option::is_some)
    }
}

#[derive(Debug)]
enum Outcome {
    Loads,
    Refused(String),
    Wrong(String),
    /// It has sections that are read elsewhere, and nothing else is wrong.
    Elsewhere,
}

fn outcome(text: &str, file: &str) -> Outcome {
    let load = || -> Result<bool, Vec<ConfigError>> {
        let parsed: File = parse_yaml(text, file).map_err(|e| vec![e])?;
        let elsewhere = parsed.other_sections();
        let storage = parsed.storage.unwrap_or_default().check(file);
        if !storage.is_empty() {
            return Err(storage);
        }
        resolve(&parsed.global.unwrap_or_default(), &parsed.scrape_configs, file).map(|_| elsewhere)
    };
    match load() {
        Ok(false) => Outcome::Loads,
        Ok(true) => Outcome::Elsewhere,
        Err(errors) => {
            let wrong = errors.iter().find(|e| !e.message.contains("not supported yet"));
            let placed = errors.iter().all(|e| e.line > 0 && e.column > 0);
            assert!(placed, "an error without a place: {errors:?}");
            wrong.map_or_else(
                || Outcome::Refused(errors[0].to_string()),
                |e| Outcome::Wrong(e.to_string()),
            )
        }
    }
}

fn data() -> Option<PathBuf> {
    let given = std::env::var_os("LEADLINE_CONFORMANCE_DATA").map(PathBuf::from);
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    Some(given.unwrap_or(beside).join("config")).filter(|folder| folder.is_dir())
}

#[test]
fn good_files_load_or_are_refused_by_name_and_bad_files_are_errors() {
    let Some(folder) = data() else {
        // Past the test harness, which would swallow it.
        let _ = writeln!(
            std::io::stderr(),
            "absent: Prometheus' configuration files (set LEADLINE_CONFORMANCE_DATA)"
        );
        return;
    };
    let mut names: Vec<String> = std::fs::read_dir(folder.as_path())
        .unwrap()
        .flatten()
        .filter_map(|e| e.file_name().into_string().ok())
        .collect();
    names.sort();
    let (mut loads, mut refused, mut elsewhere, mut wrong) = ([0; 2], [0; 2], [0; 2], [0; 2]);
    let mut failures = Vec::new();
    for name in names
        .iter()
        .filter(|n| n.contains(".good.yml") || n.contains(".bad.yml"))
    {
        let bad = usize::from(name.contains(".bad."));
        let Ok(text) = std::fs::read_to_string(folder.join(name)) else {
            continue;
        };
        match outcome(&text, name) {
            Outcome::Loads => {
                loads[bad] += 1;
                if bad == 1 {
                    failures.push(format!("{name}: loads"));
                }
            }
            Outcome::Elsewhere => elsewhere[bad] += 1,
            Outcome::Refused(error) => {
                refused[bad] += 1;
                println!("refused: {error}");
            }
            Outcome::Wrong(error) => {
                wrong[bad] += 1;
                println!("wrong: {error}");
                if bad == 0 {
                    failures.push(error);
                }
            }
        }
    }
    let line = |what: &str, n: [usize; 2]| println!("{what}: {} good, {} bad", n[0], n[1]);
    line("loads", loads);
    line("refused as not supported yet", refused);
    line("has sections that are read elsewhere", elsewhere);
    line("an error", wrong);
    assert!(failures.is_empty(), "{failures:#?}");
    assert!(loads[0] > 0 && wrong[1] > 0, "files were read");
}
