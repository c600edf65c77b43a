//! The final labels of a series: what is exposed, what the target adds, what the rules make of it
//! (`mutateSampleLabels`, `verifyLabelLimits` in `scrape/scrape.go`).

use crate::config::{Job, Limits};
use crate::error::ScrapeError;
use leadline_exposition::Pair;
use leadline_model::labels::NAME;
use leadline_model::{Labels, LabelsBuilder, relabel};

/// The final labels of a series that exposes `exposed` (sorted, no empty values); `None` when a rule drops it.
pub(crate) fn final_labels(job: &Job, target: &Labels, exposed: &[Pair<'_>]) -> Result<Option<Labels>, ScrapeError> {
    let clash = target.iter().any(|(name, _)| exposed.iter().any(|(n, _)| n == name));
    let labels = if clash || !job.metric_relabel.is_empty() {
        let mut builder = merged(job.honor_labels, target, exposed);
        if !relabel::apply(&job.metric_relabel, &mut builder) {
            return Ok(None);
        }
        builder.build()
    } else {
        zipped(target, exposed)
    };
    if labels.is_empty() {
        return Ok(None);
    }
    if labels.name().is_empty() {
        return Err(ScrapeError::NameMissing(labels.to_string()));
    }
    check_limits(&job.limits, &labels)?;
    Ok(Some(labels))
}

/// Two sorted lists without a common name to one.
fn zipped(target: &Labels, exposed: &[Pair<'_>]) -> Labels {
    let mut pairs: Vec<(&str, &str)> = Vec::with_capacity(exposed.len() + 8);
    let mut own = exposed.iter().map(|(n, v)| (n.as_ref(), v.as_ref())).peekable();
    for (name, value) in target {
        while let Some(pair) = own.next_if(|(n, _)| *n < name) {
            pairs.push(pair);
        }
        pairs.push((name, value));
    }
    pairs.extend(own);
    Labels::from_sorted(pairs)
}

/// The target's labels over the exposed ones, or under them where `honor` says so. An exposed label that has to give way
/// is kept as `exported_<name>`, with the prefix repeated until the name is free; shorter names choose first.
fn merged(honor: bool, target: &Labels, exposed: &[Pair<'_>]) -> LabelsBuilder {
    let mut builder = LabelsBuilder::new();
    for (name, value) in exposed {
        builder.set(name, value);
    }
    let mut moved: Vec<(&str, String)> = Vec::new();
    for (name, value) in target {
        match builder.get(name) {
            Some(_) if honor => continue,
            Some(exposed) => moved.push((name, exposed.to_owned())),
            None => {}
        }
        builder.set(name, value);
    }
    moved.sort_by_key(|(name, _)| name.len());
    for (name, value) in moved {
        let mut free = format!("exported_{name}");
        while builder.get(&free).is_some() {
            free.insert_str(0, "exported_");
        }
        builder.set(&free, &value);
    }
    builder
}

fn check_limits(limits: &Limits, labels: &Labels) -> Result<(), ScrapeError> {
    let over = |limit: usize, length: usize| limit > 0 && length > limit;
    let fail = |text: String| Err(ScrapeError::LabelLimit(format!("{text} (metric {})", cut(labels.name()))));
    if limits.label_limit > 0 && over(limits.label_limit, labels.len()) {
        return fail(format!("label_limit exceeded: {} labels, limit {}", labels.len(), limits.label_limit));
    }
    if limits.label_name_length_limit == 0 && limits.label_value_length_limit == 0 {
        return Ok(());
    }
    for (name, value) in labels {
        if over(limits.label_name_length_limit, name.len()) {
            let (length, limit) = (name.len(), limits.label_name_length_limit);
            return fail(format!("label_name_length_limit exceeded: {} has {length} bytes, limit {limit}", cut(name)));
        }
        if over(limits.label_value_length_limit, value.len()) {
            let (length, limit) = (value.len(), limits.label_value_length_limit);
            return fail(format!("label_value_length_limit exceeded: {} has {length} bytes, limit {limit}", cut(name)));
        }
    }
    Ok(())
}

/// The first 50 characters, quoted.
fn cut(text: &str) -> String {
    format!("{:?}", text.chars().take(50).collect::<String>())
}

/// The labels of a report series of a target.
pub(crate) fn report_labels(name: &str, target: &Labels) -> Labels {
    let mut builder = target.to_builder();
    builder.set(NAME, name);
    builder.build()
}
