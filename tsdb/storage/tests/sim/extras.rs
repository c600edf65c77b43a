//! What samples bring along: exemplars, of which the newest so many are kept, and metadata, of which the latest is.
//!
//! Both belong to a series of the head and go with it. What leaves the head is seen by looking at it after everything
//! that lets series go; of such a series nothing is required any more, though a crash may bring it back.

use crate::dice::mix;
use leadline_model::exemplar::Exemplar;
use leadline_model::labels::Labels;
use leadline_model::matcher::{Matcher, all_match};
use leadline_model::metadata::{Metadata, MetricKind};
use leadline_model::sample::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// The exemplar that a series has at a time.
pub(crate) fn exemplar(id: u64, t: Timestamp) -> Exemplar {
    let chaos = mix(id ^ (t as u64).rotate_left(7));
    Exemplar {
        labels: Labels::from_pairs([("trace_id", format!("{chaos:x}"))]),
        t,
        v: (chaos >> 50) as f64,
    }
}

/// What is told of a series for the n-th time.
pub(crate) fn metadata(id: u64, n: u64) -> Metadata {
    Metadata {
        kind: MetricKind::from_number((mix(id ^ n) % 8) as u8).unwrap_or_default(),
        unit: ["", "bytes", "seconds"][(n % 3) as usize].into(),
        help: format!("{id} {n}").into(),
    }
}

/// What is known of something that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A sync completed after it was taken.
    Durable,
    /// It is there as long as nothing crashes.
    Taken,
    /// There was a crash: the first look tells.
    Doubted,
}

#[derive(Debug)]
struct Added {
    labels: Labels,
    id: u64,
    t: Timestamp,
    /// How many were added before it, by the most that may be.
    place: u64,
    state: State,
}

/// Exemplars that must be there, and all that may be.
#[derive(Debug)]
pub(crate) struct Exemplars {
    capacity: u64,
    added: Vec<Added>,
    total: u64,
    ever: BTreeSet<(u64, Timestamp)>,
}

impl Exemplars {
    pub(crate) fn new(capacity: u32) -> Self {
        Self {
            capacity: u64::from(capacity),
            added: Vec::new(),
            total: 0,
            ever: BTreeSet::new(),
        }
    }

    /// One was taken. One that came `late` takes a place and may be refused when the log is read with another window.
    pub(crate) fn taken(&mut self, labels: &Labels, id: u64, t: Timestamp, late: bool) {
        self.ever.insert((id, t));
        if !late {
            self.added.push(Added {
                labels: labels.clone(),
                id,
                t,
                place: self.total,
                state: State::Taken,
            });
        }
        self.total += 1;
        self.within(self.capacity);
    }

    /// Nothing is required of those but the last `places`.
    pub(crate) fn within(&mut self, places: u64) {
        let total = self.total;
        self.added.retain(|added| total - added.place <= places);
    }

    /// So many are kept from now on.
    pub(crate) fn resize(&mut self, capacity: u32) {
        self.capacity = u64::from(capacity);
        self.within(self.capacity);
    }

    /// The log has them in another order now, so any of them may go first.
    pub(crate) fn shuffled(&mut self) {
        let first = self.total.saturating_sub(self.capacity);
        self.added.iter_mut().for_each(|added| added.place = first);
    }

    /// What is older than `bound` (ms) may be left out of a checkpoint.
    pub(crate) fn expired(&mut self, bound: Timestamp) {
        self.added.retain(|added| added.t >= bound);
    }

    /// Compares what was found between two times (ms, both included); returns how many that is.
    fn check(
        &self,
        found: &[(Labels, Vec<Exemplar>)],
        ids: impl Fn(&Labels) -> Option<u64>,
        matchers: &[Matcher],
        (mint, maxt): (Timestamp, Timestamp),
    ) -> Result<u64, String> {
        let mut there = BTreeSet::new();
        for (labels, exemplars) in found {
            let id = ids(labels).ok_or_else(|| format!("exemplars of {labels}, which was never written"))?;
            if !all_match(matchers, labels) || !exemplars.is_sorted_by(|a, b| a.t < b.t) {
                return Err(format!("exemplars of {labels} do not match {matchers:?}, or ascend"));
            }
            for found in exemplars {
                let want = exemplar(id, found.t);
                let same = want.labels == found.labels && want.v.to_bits() == found.v.to_bits();
                if !same || !self.ever.contains(&(id, found.t)) || found.t < mint || found.t > maxt {
                    return Err(format!(
                        "{found:?} of series {id} was never taken, or is outside of the window"
                    ));
                }
                there.insert((id, found.t));
            }
        }
        if there.len() as u64 > self.capacity {
            return Err(format!("{} exemplars, and {} are kept", there.len(), self.capacity));
        }
        let lost = self.added.iter().find(|added| {
            let asked = (mint..=maxt).contains(&added.t) && all_match(matchers, &added.labels);
            asked && added.state != State::Doubted && !there.contains(&(added.id, added.t))
        });
        match lost {
            Some(lost) => Err(format!(
                "the exemplar of series {} at {} is missing ({:?}): {} were added before it, {} in all, {} are kept",
                lost.id, lost.t, lost.state, lost.place, self.total, self.capacity
            )),
            None => Ok(there.len() as u64),
        }
    }
}

/// What was told of a series.
#[derive(Debug, Default)]
struct Told {
    id: u64,
    /// How often.
    times: u64,
    /// What is there; `None`: that is not known.
    now: Option<u64>,
    /// What is there whatever happens, or something later.
    durable: Option<u64>,
    /// There was a crash: the first look tells.
    doubted: bool,
    /// Something was told since, before that look.
    early: bool,
}

/// What must be there besides samples.
#[derive(Debug)]
pub(crate) struct Extras {
    pub(crate) exemplars: Exemplars,
    told: BTreeMap<Labels, Told>,
    /// Exemplars and metadata that were compared.
    pub(crate) compared: (u64, u64),
}

impl Extras {
    pub(crate) fn new(capacity: u32) -> Self {
        Self {
            exemplars: Exemplars::new(capacity),
            told: BTreeMap::new(),
            compared: (0, 0),
        }
    }

    /// How often something was told of a series.
    pub(crate) fn times_told(&self, labels: &Labels) -> u64 {
        self.told.get(labels).map_or(0, |told| told.times)
    }

    /// Something was told for the n-th time; `landed`: the store took it.
    pub(crate) fn told(&mut self, labels: &Labels, id: u64, n: u64, landed: bool) {
        let told = self.told.entry(labels.clone()).or_default();
        (told.id, told.times) = (id, n);
        if landed {
            (told.now, told.early) = (Some(n), told.doubted);
        }
    }

    /// A sync completed.
    pub(crate) fn synced(&mut self) {
        for added in &mut self.exemplars.added {
            added.state = State::Durable;
        }
        for told in self.told.values_mut() {
            (told.durable, told.early) = (told.now, false);
        }
    }

    /// The machine lost power, or the store was closed before its log was read.
    pub(crate) fn crashed(&mut self) {
        let taken = self.exemplars.added.iter_mut().filter(|a| a.state == State::Taken);
        taken.for_each(|added| added.state = State::Doubted);
        self.told
            .values_mut()
            .for_each(|told| (told.doubted, told.early) = (true, false));
    }

    /// After a start: what is there stays, what is not is gone.
    pub(crate) fn settle(
        &mut self,
        exemplars: &[(Labels, Vec<Exemplar>)],
        metadata: &[(String, Metadata)],
        ids: impl Fn(&Labels) -> Option<u64>,
    ) -> Result<(), String> {
        self.check(exemplars, metadata, ids)?;
        let there: BTreeSet<(&Labels, Timestamp)> = exemplars
            .iter()
            .flat_map(|(labels, all)| all.iter().map(move |exemplar| (labels, exemplar.t)))
            .collect();
        self.exemplars.added.retain_mut(|added| {
            let found = there.contains(&(&added.labels, added.t));
            if added.state == State::Doubted {
                added.state = State::Durable;
            }
            found
        });
        let found: BTreeMap<u64, u64> = metadata.iter().filter_map(|(_, said)| numbers(said)).collect();
        for told in self.told.values_mut().filter(|told| told.doubted) {
            told.now = found.get(&told.id).copied();
            if !told.early {
                told.durable = told.now;
            }
            (told.doubted, told.early) = (false, false);
        }
        Ok(())
    }

    /// Nothing is required of series that left the head.
    pub(crate) fn left(&mut self, stays: impl Fn(&Labels) -> bool) {
        self.exemplars.added.retain(|added| stays(&added.labels));
        for (_, told) in self.told.iter_mut().filter(|(labels, _)| !stays(labels)) {
            (told.now, told.durable) = (None, None);
        }
    }

    /// Nothing is known of what was told.
    pub(crate) fn untold(&mut self) {
        for told in self.told.values_mut() {
            (told.now, told.durable) = (None, None);
        }
    }

    /// Compares everything.
    pub(crate) fn check(
        &mut self,
        exemplars: &[(Labels, Vec<Exemplar>)],
        metadata: &[(String, Metadata)],
        ids: impl Fn(&Labels) -> Option<u64>,
    ) -> Result<(), String> {
        self.compared.1 += self.check_told(metadata)?;
        self.check_exemplars(exemplars, ids, &[], (Timestamp::MIN, Timestamp::MAX))
    }

    /// Compares exemplars that were found with `matchers` between two times (ms, both included).
    pub(crate) fn check_exemplars(
        &mut self,
        found: &[(Labels, Vec<Exemplar>)],
        ids: impl Fn(&Labels) -> Option<u64>,
        matchers: &[Matcher],
        window: (Timestamp, Timestamp),
    ) -> Result<(), String> {
        self.compared.0 += self.exemplars.check(found, ids, matchers, window)?;
        Ok(())
    }

    fn check_told(&self, found: &[(String, Metadata)]) -> Result<u64, String> {
        let mut there = BTreeMap::new();
        for (name, said) in found {
            let twice =
                numbers(said).is_none_or(|(id, n)| said != &metadata(id, n) || there.insert(id, (n, name)).is_some());
            if twice {
                return Err(format!(
                    "{said:?} of {name} was never told, or of its series there is more"
                ));
            }
        }
        let mut known = 0;
        for (labels, told) in &self.told {
            let found = there.remove(&told.id);
            if let Some((_, name)) = found.filter(|(_, name)| labels.get("__name__") != Some(name)) {
                return Err(format!("{name} is told what {labels} is"));
            }
            let found = found.map(|(n, _)| n);
            known += u64::from(found.is_some());
            let right = match (told.doubted, told.now, told.durable) {
                (false, Some(now), _) => found == Some(now),
                (true, _, Some(durable)) => found.is_some_and(|n| durable <= n && n <= told.times),
                _ => found.is_none_or(|n| 1 <= n && n <= told.times),
            };
            if !right {
                let id = labels.get("pod").unwrap_or_default();
                return Err(format!("of {id} {found:?} is told, and this is known: {told:?}"));
            }
        }
        match there.pop_first() {
            Some((id, _)) => Err(format!("something is told of series {id}, of which nothing was")),
            None => Ok(known),
        }
    }
}

/// The series' number and the how manieth time it was told of.
fn numbers(said: &Metadata) -> Option<(u64, u64)> {
    let (id, n) = said.help.split_once(' ')?;
    Some((id.parse().ok()?, n.parse().ok()?))
}
