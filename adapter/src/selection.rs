//! Whether the rows that a selection has now are all that it should have.
//!
//! Each row knows whether its own feeders are up. But of two exporters of one external metric, each with a row of its
//! own, the dead one's row is gone, and the HPA would take the rest for the whole sum. So the feeders of every
//! selection that is asked for are remembered, and a selection that lost some of them may raise but never lower, as a
//! single row may.

use crate::config::OnDuplicate;
use crate::query::{Judge, merge};
use leadline_model::Labels;
use leadline_model::provenance::Provenance;
use leadline_model::target::OwnerId;
use leadline_standing::{Before, Completeness, OnPartial, Row, Verdict, freshness};
use moka::sync::Cache;
use parking_lot::Mutex;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

/// What a selection had when it was last complete.
#[derive(Debug, Default)]
struct Remembered {
    owners: Vec<OwnerId>,
    total: Option<f64>,
}

/// The selections that were asked for lately.
pub struct Selections {
    cache: Cache<(u64, Box<str>), Arc<Mutex<Remembered>>>,
}

impl Default for Selections {
    fn default() -> Self {
        let unused = Duration::from_secs(3600);
        Self {
            cache: Cache::builder().max_capacity(65_536).time_to_idle(unused).build(),
        }
    }
}

/// What a selection is checked with.
pub struct Check<'a> {
    /// The rule, its evaluation, the targets and who is answered.
    pub judge: &'a Judge<'a>,
    /// The request's namespace, where the rule's scope is the namespace.
    pub namespace: Option<&'a str>,
    /// The object's name, where the selection is one object's.
    pub object: Option<&'a str>,
    /// The selector as canonical text.
    pub selector: &'a str,
    /// Whether targets that are down may have part in it although nothing says so: of a selection nobody asked for before all of
    /// them, else those that never answered whole.
    pub strangers: bool,
}

impl Selections {
    /// Whether `rows`, whose values add up to `total`, may be answered.
    ///
    /// # Errors
    /// Why they may not.
    pub fn check(&self, check: &Check<'_>, rows: &[&Row], total: f64) -> Result<(), String> {
        let policy = check.judge.rule.config.on_partial;
        if policy == OnPartial::Serve {
            return Ok(());
        }
        let key = (
            check.judge.rule.id,
            format!("{}\u{1f}{}", check.namespace.unwrap_or(""), check.selector).into(),
        );
        let remembered = self.cache.get_with(key, Arc::default);
        let mut remembered = remembered.lock();
        let now = owners(rows);
        let mut expected = check.expected(&remembered.owners, &now);
        if remembered.owners.is_empty() {
            expected.extend_from_slice(check.silent(rows));
            expected.sort_unstable();
            expected.dedup();
        }
        let down: Vec<OwnerId> = check
            .judge
            .snapshot
            .completeness
            .down
            .iter()
            .filter(|o| expected.binary_search(o).is_ok())
            .copied()
            .collect();
        let completeness = Completeness {
            feeders: expected.len(),
            down,
        };
        let partial = check.judge.rule.config.partial.value;
        if !freshness::is_partial(partial, &completeness) {
            *remembered = Remembered {
                owners: now,
                total: Some(total),
            };
            return Ok(());
        }
        let known = remembered.total.or_else(|| check.before(rows, &completeness.down));
        if known.is_none() && check.settled(&completeness.down) {
            remembered.total = Some(total);
        }
        let last_complete = known.or(remembered.total);
        let row = Row {
            labels: Labels::empty(),
            value: total,
            provenance: Provenance::none(),
            completeness,
            warming: None,
            last_complete,
        };
        remembered.owners = expected;
        match freshness::judge_for(policy, partial, &row, check.judge.board, |t| check.judge.may_name(t)) {
            Verdict::Serve(_) => Ok(()),
            Verdict::Refuse(why) => Err(why),
        }
    }
}

impl Check<'_> {
    /// What the selection came to before the start, where only targets are down that never answered since: the measure of
    /// a selection that was not complete in this process yet. Results that are gone count with what they were.
    fn before(&self, rows: &[&Row], down: &[OwnerId]) -> Option<f64> {
        let before = self.judge.snapshot.before.as_deref()?;
        if !down.iter().all(|owner| before.missing.contains(owner)) {
            return None;
        }
        let there: Option<Vec<f64>> = rows.iter().map(|row| row.last_complete).collect();
        let values: Vec<f64> = there?.into_iter().chain(self.gone(before, rows)).collect();
        let how = self.object.and(self.judge.rule.config.on_duplicate);
        (!values.is_empty()).then(|| merge(&values, how.unwrap_or(OnDuplicate::Sum)))
    }

    /// The values of before the start that belong to the selection and of which there is no result any more.
    fn gone<'b>(&'b self, before: &'b Before, rows: &[&'b Row]) -> impl Iterator<Item = f64> + 'b {
        let (rule, there) = (self.judge.rule, rows.iter().map(|row| &row.labels));
        let there: HashSet<&Labels> = there.collect();
        let ours = move |labels: &Labels| {
            self.namespace
                .is_none_or(|ours| labels.get(rule.config.namespace_label()) == Some(ours))
                && self
                    .object
                    .is_none_or(|name| labels.get(&rule.name_label) == Some(name))
                && self.judge.metric_selector.matches_with(|key| labels.get(key))
        };
        let all = before.values.iter();
        let gone = all.filter(move |(labels, value)| value.is_finite() && !there.contains(labels) && ours(labels));
        gone.map(|(_, value)| *value)
    }

    /// Whether targets are down for so long that what is there is the measure, where there is none.
    fn settled(&self, down: &[OwnerId]) -> bool {
        down.iter().all(|owner| self.judge.snapshot.settled.contains(owner))
    }

    /// The targets that never answered and that gave one of several results of this object before the start.
    fn silent(&self, rows: &[&Row]) -> &[OwnerId] {
        let before = self.judge.snapshot.before.as_deref();
        let before = before.filter(|before| self.object.is_some() && self.gone(before, rows).next().is_some());
        before.map_or(&[], |before| &before.missing)
    }

    /// Who should feed the selection: who did and is still discovered, and who does. Of a selection nobody asked for
    /// before, every target of the expression that is down might have fed it, unless it is another namespace's
    /// or one object among many is meant; of any other, those might that never answered whole (of which the store had no room
    /// for a series, say): they may be what came for those that are gone.
    fn expected(&self, before: &[OwnerId], now: &[OwnerId]) -> Vec<OwnerId> {
        let mut expected: Vec<OwnerId> = before
            .iter()
            .filter(|o| self.judge.board.get(**o).is_some())
            .chain(now)
            .copied()
            .collect();
        if self.strangers {
            let may_be_ours = |owner: &&OwnerId| {
                let target = self.judge.board.get(**owner);
                let theirs = target
                    .as_ref()
                    .and_then(|t| t.labels.get(self.judge.rule.config.namespace_label()));
                let answered = target.as_ref().is_none_or(|t| t.first_good.is_some());
                match (theirs, self.namespace) {
                    (Some(theirs), Some(ours)) if theirs != ours => false,
                    _ => before.is_empty() || !answered,
                }
            };
            expected.extend(self.judge.snapshot.completeness.down.iter().filter(may_be_ours));
        }
        expected.sort_unstable();
        expected.dedup();
        expected
    }
}

fn owners(rows: &[&Row]) -> Vec<OwnerId> {
    let mut owners: Vec<OwnerId> = rows.iter().flat_map(|r| r.provenance.owners.iter().copied()).collect();
    owners.sort_unstable();
    owners.dedup();
    owners
}
