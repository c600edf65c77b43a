//! How an answer comes about: rule → PromQL → rows with the age of their samples → value → Quantity → what was left out
//! and why. The same code judges here as in the answers.

use crate::api::external;
use crate::api::{Adapter, custom, types::rfc3339};
use crate::config::check::Describes;
use crate::error::ApiError;
use crate::query::{Judge, LeftOut, Pick, Reason, metric_labels};
use crate::registry::{Lookup, Rule};
use leadline_cluster::Selector;
use leadline_model::duration::Duration;
use leadline_model::target::{Health, OwnerId};
use leadline_standing::{Row, freshness};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The resource that stands for external metrics.
const EXTERNAL: &str = "external";
/// Rows and objects that an explanation lists at most.
const LISTED: usize = 500;

/// What is to be explained.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Absent for kinds without namespaces.
    pub namespace: Option<&'a str>,
    /// `pods`, `ingress`, … or `external`.
    pub resource: &'a str,
    /// The object, or `*`.
    pub name: &'a str,
    /// The metric.
    pub metric: &'a str,
    /// Selects objects; may be empty. An external metric has none, and an HPA names its results by this one: it then selects
    /// results.
    pub label_selector: &'a str,
    /// Selects results; may be empty.
    pub metric_selector: &'a str,
}

impl Subject<'_> {
    /// What selects objects and what selects results.
    ///
    /// # Errors
    /// 400 for one that cannot be parsed, and for two that differ where only one of them can be meant.
    fn selectors(&self) -> Result<(Selector, Selector), ApiError> {
        let parse = |key: &str, text: &str| {
            Selector::parse(text).map_err(|e| ApiError::bad_request(format!("unable to parse {key}: {e}")))
        };
        let objects = parse("labelSelector", self.label_selector)?;
        let metrics = parse("metricLabelSelector", self.metric_selector)?;
        if self.resource != EXTERNAL {
            return Ok((objects, metrics));
        }
        match (objects.is_empty(), metrics.is_empty()) {
            (_, true) => Ok((metrics, objects)),
            (true, false) => Ok((objects, metrics)),
            (false, false) if objects.to_string() == metrics.to_string() => Ok((Selector::everything(), metrics)),
            (false, false) => Err(ApiError::bad_request(format!(
                "an external metric has one selector, and labelSelector {objects} is not metricLabelSelector {metrics}"
            ))),
        }
    }
}

/// How an answer comes about.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// The rule.
    pub rule: RuleView,
    /// RFC 3339; when the query was evaluated.
    pub evaluated_at: String,
    /// The newest commit that it saw.
    pub generation: u64,
    /// Why the whole metric cannot be answered now (warming up, the query failed); empty when it can.
    pub unavailable: String,
    /// Targets of the expression: how many feed it, and which of those are down.
    pub feeders: usize,
    /// See [`Self::feeders`].
    pub down: Vec<OwnerView>,
    /// How many more are down that belong to other namespaces; a rule whose scope is the namespace does not name them.
    pub down_elsewhere: usize,
    /// The query's results for what was asked, at most 500.
    pub rows: Vec<RowView>,
    /// Results that are not listed.
    pub more_rows: usize,
    /// What an HPA is given, object by object.
    pub answer: Vec<ValueView>,
    /// Their sum, which is what an HPA takes of an external metric.
    pub sum: Option<String>,
    /// Objects that the selector selects; absent where none are selected from.
    pub selected: Option<usize>,
    /// What was left out of the answer, by object or labels, and why; at most 500.
    pub left_out: BTreeMap<String, String>,
    /// The error that is answered; empty when there is none.
    pub error: String,
}

/// A rule as it is in force.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleView {
    /// The metric.
    pub name: String,
    /// What it describes.
    pub describes: String,
    /// Line in the configuration.
    pub line: u64,
    /// PromQL as configured.
    pub query: String,
    /// PromQL as evaluated.
    pub evaluated: String,
    /// `windowSeconds` of the answer.
    pub window_seconds: Option<i64>,
    /// The configured limit on age, if one is.
    pub max_age: Option<String>,
    /// The label that names the object.
    pub name_label: String,
    /// The label that names the namespace.
    pub namespace_label: String,
}

/// A result of the query.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RowView {
    /// Its labels in PromQL's notation.
    pub labels: String,
    /// The number as evaluated (a text, because JSON has no NaN).
    pub value: String,
    /// As answered.
    pub quantity: Option<String>,
    /// Why it is left out or fails; empty when it is answered.
    pub verdict: String,
    /// For how long its targets were observed, where that is shorter than its window; else empty. Whether it is answered
    /// all the same is the rule's `onWarming`.
    pub warming: String,
    /// Series that were read.
    pub series: u32,
    /// Age (ms) of the newest sample of the stalest series.
    pub stalest_age_ms: Option<i64>,
    /// Age (ms) of the oldest sample that was used.
    pub oldest_age_ms: Option<i64>,
    /// The age (ms) beyond which it is stale.
    pub max_age_ms: i64,
    /// Targets that were read.
    pub owners: Vec<OwnerView>,
    /// How many more were, of namespaces that are none of the reader's business.
    pub owners_elsewhere: usize,
}

/// A target.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OwnerView {
    /// Its job.
    pub job: String,
    /// Its instance.
    pub instance: String,
    /// `up`, `down`, `unknown`, or `gone` when discovery dropped it.
    pub health: &'static str,
    /// Why the last scrape failed.
    pub last_error: Option<String>,
}

/// A value of the answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ValueView {
    /// The object, or the labels of an external value.
    pub of: String,
    /// The number as Kubernetes reads it.
    pub quantity: String,
    /// RFC 3339.
    pub timestamp: String,
}

/// Explains the answer to `subject`. The caller has checked access to the metric.
///
/// # Errors
/// 404 when no rule defines the metric, 503 when its rule is disabled, 400 for a bad selector, or two of an external metric
/// that differ. Whatever else goes wrong is part of the explanation.
pub async fn explain(adapter: &Adapter, subject: &Subject<'_>) -> Result<Explanation, ApiError> {
    let rule = rule_of(adapter, subject)?;
    let (objects, metrics) = subject.selectors()?;
    // Where the API server does not tell the kind, the rest can be explained.
    let (rule, unsettled) = match adapter.registry.settle(Arc::clone(&rule)).await {
        Ok(settled) => (settled, None),
        Err(error) => (rule, Some(error)),
    };
    let snapshot = rule.query.snapshot().await;
    let now = adapter.clock.now();
    let judge = Judge {
        rule: &rule,
        snapshot: &snapshot,
        board: &adapter.board,
        now,
        metric_selector: &metrics,
        reader: subject.namespace,
    };
    let mut explanation = frame(adapter, &judge);
    if let Some(error) = unsettled {
        explanation.error = error.message;
    } else if rule.describes == Describes::External {
        external_answer(adapter, &judge, subject, &mut explanation);
    } else if let Err(error) = object_answer(adapter, &judge, subject, &objects, &mut explanation).await {
        explanation.error = error.message;
    }
    Ok(explanation)
}

fn rule_of(adapter: &Adapter, subject: &Subject<'_>) -> Result<Arc<Rule>, ApiError> {
    let lookup = match subject.resource {
        EXTERNAL => adapter.registry.external(subject.metric),
        resource => adapter.registry.object(resource, subject.metric),
    };
    match lookup {
        Lookup::Rule(rule) => Ok(rule),
        Lookup::Disabled(why) => Err(ApiError::unavailable(format!(
            "metric {} is disabled: {why}",
            subject.metric
        ))),
        Lookup::Unknown => Err(ApiError::not_found(format!(
            "no rule defines metric {} for {}",
            subject.metric, subject.resource
        ))),
    }
}

/// All that does not depend on what was asked for.
fn frame(adapter: &Adapter, judge: &Judge<'_>) -> Explanation {
    let (rule, snapshot) = (judge.rule, judge.snapshot);
    let down = owners(adapter, judge, &snapshot.completeness.down);
    let unavailable = judge.rows().err().map(|e| e.message).unwrap_or_default();
    Explanation {
        rule: RuleView {
            name: rule.name().to_owned(),
            describes: rule.describes.to_string(),
            line: rule.config.name.referenced.line(),
            query: rule.config.query.value.clone(),
            evaluated: rule.query.plan().text.clone(),
            window_seconds: rule.window_s,
            max_age: rule.config.max_age.map(|d| d.to_string()),
            name_label: rule.name_label.clone(),
            namespace_label: rule.config.namespace_label().to_owned(),
        },
        evaluated_at: rfc3339(snapshot.at),
        generation: snapshot.generation.0,
        unavailable,
        feeders: snapshot.completeness.feeders,
        down_elsewhere: snapshot.completeness.down.len() - down.len(),
        down,
        rows: Vec::new(),
        more_rows: 0,
        answer: Vec::new(),
        sum: None,
        selected: None,
        left_out: BTreeMap::new(),
        error: String::new(),
    }
}

fn external_answer(adapter: &Adapter, judge: &Judge<'_>, subject: &Subject<'_>, into: &mut Explanation) {
    let namespace = subject.namespace.unwrap_or_default();
    let rows = external::rows_of(judge, judge.snapshot, namespace);
    for row in &rows {
        add_row(adapter, judge, row, into);
        if let Pick::LeftOut(reason) = external::pick(judge, row) {
            note(into, row.labels.to_string(), &noted(judge, Some(row), reason));
        }
    }
    match external::items(adapter, judge, namespace, &mut LeftOut::default()) {
        Err(error) => into.error = error.message,
        Ok(items) if items.is_empty() => into.error = "no result for this namespace and selector".to_owned(),
        Ok(items) => {
            let sum = items
                .iter()
                .fold(crate::quantity::Milli(0), |sum, i| sum.saturating_add(i.answer.milli));
            into.sum = Some(sum.to_string());
            into.answer = items
                .iter()
                .map(|i| ValueView {
                    of: metric_labels(&i.labels).to_string(),
                    quantity: i.answer.milli.to_string(),
                    timestamp: rfc3339(i.answer.timestamp),
                })
                .collect();
        }
    }
}

async fn object_answer(
    adapter: &Adapter,
    judge: &Judge<'_>,
    subject: &Subject<'_>,
    selector: &Selector,
    into: &mut Explanation,
) -> Result<(), ApiError> {
    let kind = judge.rule.kind()?;
    let namespace = if kind.namespaced { subject.namespace } else { None };
    if kind.namespaced && namespace.is_none() {
        return Err(ApiError::bad_request(format!(
            "{} live in namespaces, and none was given",
            kind.plural
        )));
    }
    let names: Vec<String> = if subject.name == "*" {
        let selected = adapter.objects.select(&kind, namespace, selector).await?;
        into.selected = Some(selected.len());
        (0..selected.len()).map(|i| selected.name(i).to_owned()).collect()
    } else {
        vec![subject.name.to_owned()]
    };
    let mut left_out = LeftOut::default();
    let mut failed = None;
    for name in &names {
        let rows = custom::rows_of(judge, judge.snapshot, namespace, name);
        for row in &rows {
            add_row(adapter, judge, row, into);
        }
        match custom::pick(adapter, judge, namespace, name) {
            Pick::Value(answer) => into.answer.push(ValueView {
                of: name.clone(),
                quantity: answer.milli.to_string(),
                timestamp: rfc3339(answer.timestamp),
            }),
            Pick::LeftOut(reason) => {
                left_out.add(reason);
                note(into, name.clone(), &noted(judge, rows.first().copied(), reason));
            }
            Pick::Failed(error) => failed = Some(error.message),
        }
    }
    if let Some(error) = judge.rows().err().map(|e| e.message).or(failed) {
        into.answer.clear();
        into.error = error;
    } else if into.answer.is_empty() {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        into.error = custom::why_nothing(judge, namespace, (&names, subject.resource), &left_out).message;
    }
    Ok(())
}

fn note(into: &mut Explanation, of: String, why: &str) {
    if into.left_out.len() < LISTED {
        into.left_out.insert(of, why.to_owned());
    }
}

fn add_row(adapter: &Adapter, judge: &Judge<'_>, row: &Row, into: &mut Explanation) {
    if into.rows.len() >= LISTED {
        into.more_rows += 1;
        return;
    }
    let pick = match judge.rule.describes {
        Describes::External => external::pick(judge, row),
        Describes::Objects(..) => judge.object(&[row]),
    };
    let (quantity, verdict) = match pick {
        Pick::Value(answer) => (Some(answer.milli.to_string()), String::new()),
        Pick::LeftOut(reason) => (None, left_out_because(judge, row, reason)),
        Pick::Failed(error) => (None, error.message),
    };
    let provenance = &row.provenance;
    let owners = owners(adapter, judge, &provenance.owners);
    let age = |t| provenance.has_data().then(|| judge.now.saturating_sub(t));
    into.rows.push(RowView {
        labels: row.labels.to_string(),
        value: row.value.to_string(),
        quantity,
        verdict,
        warming: warming_text(judge, row).unwrap_or_default(),
        series: provenance.series,
        stalest_age_ms: age(provenance.stalest),
        oldest_age_ms: age(provenance.oldest),
        max_age_ms: judge.max_age_ms(row),
        owners_elsewhere: provenance.owners.len() - owners.len(),
        owners,
    });
}

/// Why something is left out, in a word; of what is warming also how long it takes.
fn noted(judge: &Judge<'_>, row: Option<&Row>, reason: Reason) -> String {
    let warming = row.filter(|_| reason == Reason::Warming);
    let text = warming.and_then(|row| warming_text(judge, row));
    text.unwrap_or_else(|| reason.as_str().to_owned())
}

fn warming_text(judge: &Judge<'_>, row: &Row) -> Option<String> {
    let warming = row.warming.as_ref()?;
    Some(freshness::describe_warming(warming, judge.now))
}

fn left_out_because(judge: &Judge<'_>, row: &Row, reason: Reason) -> String {
    match reason {
        Reason::Partial => format!(
            "left out: {}",
            freshness::describe_missing(&row.completeness, judge.board, |t| judge.may_name(t))
        ),
        Reason::Stale => format!("left out: older than {}", Duration::from_millis(judge.max_age_ms(row))),
        Reason::Warming => format!("left out: {}", warming_text(judge, row).unwrap_or_default()),
        Reason::Nan | Reason::Inf | Reason::NoResult => format!("left out: {}", reason.as_str()),
    }
}

/// Those of the targets that the reader may hear of.
fn owners(adapter: &Adapter, judge: &Judge<'_>, owners: &[OwnerId]) -> Vec<OwnerView> {
    let known = |owner: &&OwnerId| adapter.board.get(**owner).is_none_or(|t| judge.may_name(&t));
    owners.iter().filter(known).map(|o| owner(adapter, *o)).collect()
}

fn owner(adapter: &Adapter, id: OwnerId) -> OwnerView {
    let Some(target) = adapter.board.get(id) else {
        let unknown = || String::new();
        return OwnerView {
            job: unknown(),
            instance: unknown(),
            health: "gone",
            last_error: None,
        };
    };
    let label = |name: &str| target.labels.get(name).unwrap_or_default().to_owned();
    let health = match target.health {
        Health::Up => "up",
        Health::Down => "down",
        Health::Unknown => "unknown",
    };
    // The URL is not told: its parameters may hold secrets.
    OwnerView {
        job: label("job"),
        instance: label("instance"),
        health,
        last_error: target.last_error.clone(),
    }
}

/// For people.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rule = &self.rule;
        writeln!(
            f,
            "rule      {} describes {} (line {})",
            rule.name, rule.describes, rule.line
        )?;
        writeln!(f, "query     {}", rule.query)?;
        if rule.evaluated != rule.query {
            writeln!(f, "evaluated {}", rule.evaluated)?;
        }
        writeln!(f, "at        {} (commit {})", self.evaluated_at, self.generation)?;
        writeln!(
            f,
            "targets   {} feed it, {} down",
            self.feeders,
            self.down.len() + self.down_elsewhere
        )?;
        for target in &self.down {
            writeln!(f, "  down    {target}")?;
        }
        if self.down_elsewhere > 0 {
            writeln!(f, "          and {} of other namespaces", self.down_elsewhere)?;
        }
        if !self.unavailable.is_empty() {
            writeln!(f, "now       {}", self.unavailable)?;
        }
        for row in &self.rows {
            write_row(f, row)?;
        }
        if self.more_rows > 0 {
            writeln!(f, "          and {} results more", self.more_rows)?;
        }
        if let Some(selected) = self.selected {
            writeln!(f, "selected  {selected} objects")?;
        }
        for value in &self.answer {
            writeln!(f, "answer    {} = {} at {}", value.of, value.quantity, value.timestamp)?;
        }
        if let Some(sum) = &self.sum {
            writeln!(f, "sum       {sum}")?;
        }
        for (of, why) in &self.left_out {
            writeln!(f, "left out  {of}: {why}")?;
        }
        if !self.error.is_empty() {
            writeln!(f, "error     {}", self.error)?;
        }
        Ok(())
    }
}

fn write_row(f: &mut fmt::Formatter<'_>, row: &RowView) -> fmt::Result {
    let quantity = row.quantity.as_deref().unwrap_or("nothing");
    write!(f, "result    {} = {} -> {quantity}", row.labels, row.value)?;
    if let Some(age) = row.stalest_age_ms {
        let (age, max) = (Duration::from_millis(age.max(0)), Duration::from_millis(row.max_age_ms));
        write!(f, ", {} series, {age} old (max {max})", row.series)?;
    }
    writeln!(f, "{}{}", if row.verdict.is_empty() { "" } else { ": " }, row.verdict)?;
    if !row.warming.is_empty() && !row.verdict.contains(&row.warming) {
        writeln!(f, "  note    {}", row.warming)?;
    }
    for target in &row.owners {
        writeln!(f, "  from    {target}")?;
    }
    if row.owners_elsewhere > 0 {
        writeln!(f, "          and {} of other namespaces", row.owners_elsewhere)?;
    }
    Ok(())
}

impl fmt::Display for OwnerView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} {}", self.job, self.instance, self.health)?;
        self.last_error.as_ref().map_or(Ok(()), |error| write!(f, ": {error}"))
    }
}
