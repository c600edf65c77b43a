//! From what discovery found to what is scraped (`PopulateLabels` and `Target.URL` in `scrape/target.go`).

use crate::config::Job;
use crate::schedule::fnv64a;
use http::Uri;
use leadline_model::duration::Duration;
use leadline_model::{Labels, LabelsBuilder};
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};
use std::collections::BTreeMap;

/// Something to scrape.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// Hash of labels and URL: the target's identity within its job.
    pub key: u64,
    /// What every series of it carries: the labels after relabelling without those that begin with `__`.
    pub labels: Labels,
    /// What discovery found, with what the job adds before relabelling.
    pub discovered: Labels,
    /// What is requested.
    pub uri: Uri,
    /// Scrape interval, ms.
    pub interval_ms: i64,
    /// Scrape timeout, ms.
    pub timeout_ms: i64,
}

/// A target that is not scraped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DroppedTarget {
    /// What discovery found, with what the job adds before relabelling.
    pub discovered: Labels,
    /// Why it is not scraped.
    pub reason: DropReason,
}

/// Why a target is not scraped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DropReason {
    /// The rule with this index in `relabel_configs` (from 0) dropped it.
    Rule(usize),
    /// After relabelling it cannot be scraped; the text says what was expected.
    Invalid(String),
}

const ADDRESS: &str = "__address__";
const SCHEME: &str = "__scheme__";
const PATH: &str = "__metrics_path__";
const PARAM: &str = "__param_";
const INTERVAL: &str = "__scrape_interval__";
const TIMEOUT: &str = "__scrape_timeout__";

/// Builds one target of `job`; its own labels win over those of its group.
///
/// # Errors
/// [`DroppedTarget`] says why it is not scraped.
pub fn build(job: &Job, target: &Labels, group: &Labels) -> Result<Target, DroppedTarget> {
    let mut labels = discovered(job, target, group);
    let discovered = labels.build();
    let dropped = |reason| DroppedTarget { discovered: discovered.clone(), reason };
    if let Some(rule) = job.relabel.iter().position(|rule| !rule.apply(&mut labels)) {
        return Err(dropped(DropReason::Rule(rule)));
    }
    let finished = finish(job, &mut labels, &discovered);
    finished.map_err(|reason| dropped(DropReason::Invalid(reason)))
}

/// The labels before relabelling.
fn discovered(job: &Job, target: &Labels, group: &Labels) -> LabelsBuilder {
    let mut labels = target.to_builder();
    let mut default = |name: &str, value: &str| {
        if labels.get(name).is_none() {
            labels.set(name, value);
        }
    };
    for (name, value) in group {
        default(name, value);
    }
    default("job", &job.name);
    default(INTERVAL, &Duration::from_millis(job.interval_ms).to_string());
    default(TIMEOUT, &Duration::from_millis(job.timeout_ms).to_string());
    default(PATH, &job.metrics_path);
    default(SCHEME, job.scheme.as_str());
    for (name, values) in &job.params {
        if let Some(first) = values.first() {
            default(&format!("{PARAM}{name}"), first);
        }
    }
    labels
}

fn finish(job: &Job, labels: &mut LabelsBuilder, discovered: &Labels) -> Result<Target, String> {
    let address = labels.get(ADDRESS).ok_or("no __address__ is left, expected host:port")?.to_owned();
    if address.contains('/') {
        return Err(format!("__address__ {address:?} is no host:port"));
    }
    let interval_ms = time(labels, INTERVAL)?;
    let timeout_ms = time(labels, TIMEOUT)?;
    if timeout_ms > interval_ms {
        return Err(format!("{TIMEOUT} ({timeout_ms} ms) is more than {INTERVAL} ({interval_ms} ms)"));
    }
    let url = url(job, labels, &address)?;
    let uri: Uri = url.parse().map_err(|e| format!("url {url:?}: {e}"))?;
    if labels.get("instance").is_none() {
        labels.set("instance", &address);
    }
    labels.retain(|name| !name.starts_with("__"));
    let labels = labels.build();
    let key = fnv64a(&[labels.as_bytes(), url.as_bytes()]);
    Ok(Target { key, labels, discovered: discovered.clone(), uri, interval_ms, timeout_ms })
}

fn time(labels: &LabelsBuilder, name: &str) -> Result<i64, String> {
    let text = labels.get(name).unwrap_or("");
    let duration = Duration::parse(text).map_err(|e| format!("{name}: {e}"))?;
    match duration.as_millis() {
        0 => Err(format!("{name} is 0, expected more")),
        ms => Ok(ms),
    }
}

/// What Go's `url.URL` leaves as it is in a path.
const PATH_SET: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'%').add(b'<').add(b'>').add(b'?').add(b'[')
    .add(b'\\').add(b']').add(b'^').add(b'`').add(b'{').add(b'|').add(b'}');

/// What Go's `url.QueryEscape` leaves as it is.
const QUERY_SET: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

fn url(job: &Job, labels: &LabelsBuilder, address: &str) -> Result<String, String> {
    let scheme = labels.get(SCHEME).unwrap_or("");
    if scheme != "http" && scheme != "https" {
        return Err(format!("{SCHEME} is {scheme:?}, expected http or https"));
    }
    let path = labels.get(PATH).unwrap_or("");
    let slash = if path.starts_with('/') { "" } else { "/" };
    let path = utf8_percent_encode(path, PATH_SET);
    let mut params: BTreeMap<&str, Vec<&str>> =
        job.params.iter().map(|(n, v)| (n.as_str(), v.iter().map(String::as_str).collect())).collect();
    for (name, value) in labels.iter() {
        let Some(name) = name.strip_prefix(PARAM) else { continue };
        let values = params.entry(name).or_default();
        match values.first_mut() {
            Some(first) => *first = value,
            None => values.push(value),
        }
    }
    let escaped = |text: &str| utf8_percent_encode(text, QUERY_SET).to_string().replace("%20", "+");
    let query: Vec<String> = params
        .iter()
        .flat_map(|(name, values)| values.iter().map(move |value| (name, value)))
        .map(|(name, value)| format!("{}={}", escaped(name), escaped(value)))
        .collect();
    let mark = if query.is_empty() { "" } else { "?" };
    Ok(format!("{scheme}://{address}{slash}{path}{mark}{}", query.join("&")))
}
