//! One scrape to one commit: samples, stale markers and report series land together or not at all.

use crate::cache::{Cache, Hasher, Probe, SeriesHash, State};
use crate::config::Job;
use crate::error::ScrapeError;
use crate::metadata::Follower;
use crate::refusals::Refusals;
use crate::relabel::final_labels;
use crate::report::{Measured, Report};
use crate::stats::{Stats, add};
use crate::told::Comments;
use leadline_exposition::{Event, Kind, Pair, Parser, parse_series};
use leadline_model::labels::Labels;
use leadline_model::port::{Appender, Attempt, Batch, Entry, Extras, MetadataEntry, Outcome, Refusal, SeriesRef, Slot};
use leadline_model::target::{Families, OwnerId};
use leadline_model::{STALE_NAN, Timestamp, is_stale};
use std::borrow::Cow;
use std::sync::Arc;

/// The label that says what a metric is.
const TYPE: &str = "__type__";

/// The rules one target's scrapes follow.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Its job.
    pub job: Arc<Job>,
    /// The labels every series of it carries.
    pub labels: Labels,
}

impl Rules {
    /// Whether the cache, which holds final labels' references, may be kept when these rules replace `before`.
    fn keep_cache(&self, before: &Self) -> bool {
        let (new, old) = (&self.job, &before.job);
        self.labels == before.labels
            && new.honor_labels == old.honor_labels
            && new.metric_relabel == old.metric_relabel
            && new.limits == old.limits
    }
}

/// What one scrape counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Sample lines.
    pub scraped: usize,
    /// Samples left after `metric_relabel_configs`.
    pub kept: usize,
    /// Series the cache did not know.
    pub added: usize,
}

/// What a created label set of a batch belongs to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Created {
    /// The cache's entry.
    Series(u32),
    /// The n-th report series.
    Report(usize),
}

/// Turns scrapes of one target into commits. Knows what the target exposed last.
pub struct Ingest {
    owner: OwnerId,
    appender: Arc<dyn Appender>,
    stats: Arc<Stats>,
    rules: Rules,
    cache: Cache,
    report: Report,
    comments: Comments,
    refusals: Refusals,
    /// What the target says about its families, until somebody takes it.
    news: Option<Families>,
    /// Whether the store is told what the target says about its series.
    tell: bool,
    /// Whether series carry the type that the target says they have.
    label_types: bool,
    /// Series alive under former rules; the first good scrape marks those that did not come back.
    orphans: Vec<SeriesRef>,
}

impl Ingest {
    /// For one target; `seed` is that of its series' hashes.
    #[must_use]
    pub fn new(owner: OwnerId, appender: Arc<dyn Appender>, stats: Arc<Stats>, seed: u64, rules: Rules) -> Self {
        let report = Report::new(&rules.labels);
        Self {
            owner,
            appender,
            stats,
            rules,
            cache: Cache::new(Hasher::new(seed)),
            report,
            comments: Comments::new(seed),
            refusals: Refusals::default(),
            news: None,
            tell: false,
            label_types: false,
            orphans: Vec::new(),
        }
    }

    /// Whether commits bring kind and help of series too: of each once, and again where the target says something else
    /// (`metadata-wal-records`). They do not at first.
    pub fn tell_metadata(&mut self, tell: bool) {
        self.tell = tell;
    }

    /// Whether series carry their type as the label `__type__` (`type-and-unit-labels`; the text format tells no units). They
    /// do not at first; to be set before the first scrape.
    pub fn label_types(&mut self, label: bool) {
        self.label_types = label;
    }

    /// Follows new rules from the next scrape on; series stay, and those that the new rules end get their markers.
    pub fn set_rules(&mut self, rules: Rules) {
        if !rules.keep_cache(&self.rules) {
            self.orphans.extend(self.cache.alive().map(SeriesRef));
            self.cache.clear();
        }
        if rules.labels != self.rules.labels {
            self.report = Report::new(&rules.labels);
        }
        self.rules = rules;
    }

    /// Commits a scrape that brought `body`, stamped `at`; `duration_s` is how long it took. When the body cannot be
    /// taken, a failed scrape is committed instead and the reason returned.
    ///
    /// # Errors
    /// [`ScrapeError`]; the failure is committed then, unless the store itself refuses. Of a scrape of which the
    /// store has no room for a part ([`ScrapeError::SeriesLimit`]) the rest is committed, and `up` is 1: the target answered.
    /// So is what has times of its own of a scrape that came too late ([`ScrapeError::Outdated`]).
    pub fn good(
        &mut self,
        body: &[u8],
        at: Timestamp,
        duration_s: f64,
        scratch: &mut Scratch,
    ) -> Result<Counts, ScrapeError> {
        match self.try_good(body, at, duration_s, scratch) {
            Ok((counts, None)) => Ok(counts),
            Ok((_, Some(lack))) => {
                self.stats.failed(&lack);
                Err(lack)
            }
            Err((error, counts)) => {
                self.fail(&error, counts, at, duration_s, scratch)?;
                Err(error)
            }
        }
    }

    /// What was counted, and why the store did not take all of it where that makes the scrape a failed one.
    fn try_good(
        &mut self,
        body: &[u8],
        at: Timestamp,
        duration_s: f64,
        scratch: &mut Scratch,
    ) -> Result<(Counts, Option<ScrapeError>), (ScrapeError, Counts)> {
        let mut counts = Counts::default();
        if let Err(error) = self.fill(body, at, scratch, &mut counts) {
            return Err((error, counts));
        }
        let measured = Measured {
            up: true,
            duration_s,
            counts,
        };
        let mut outcome = self.commit_good(at, measured, scratch).map_err(|e| (e, counts))?;
        if lost_series(&outcome, scratch) {
            // The store dropped series that the cache still knew: learn all of them anew from the same body. What the
            // first commit stored is repeated bit for bit, which is no refusal.
            add(&self.stats.cache_resets, 1);
            self.cache.clear();
            self.report.forget();
            let mut again = Counts::default();
            self.fill(body, at, scratch, &mut again).map_err(|e| (e, counts))?;
            outcome = self.commit_good(at, measured, scratch).map_err(|e| (e, counts))?;
        }
        if let Some(news) = self.comments.end(body) {
            self.news = Some(news);
        }
        add(&self.stats.samples, counts.kept);
        add(&self.stats.cache_misses, counts.added);
        let lack = without_room(&outcome).or_else(|| outdated(&outcome, scratch));
        Ok((counts, lack))
    }

    /// What the store refused of the last scrape, where the log was not told of it yet: to be asked once a scrape.
    pub(crate) fn take_refusals(&mut self) -> Option<String> {
        self.refusals.end()
    }

    /// What the target says about its metric families, if that has changed since the last call.
    pub fn take_news(&mut self) -> Option<Families> {
        self.news.take()
    }

    /// Lets what was taken and is kept elsewhere stand for what the target says, so that it is in memory once.
    pub fn share(&mut self, kept: Families) {
        self.comments.share(kept);
    }

    /// Adds markers and report series to what [`Self::fill`] left in the batch, and commits.
    fn commit_good(
        &mut self,
        at: Timestamp,
        measured: Measured,
        scratch: &mut Scratch,
    ) -> Result<Outcome, ScrapeError> {
        self.mark_gone(at, scratch);
        self.report.append(at, measured, self.tell, scratch);
        let outcome = self.commit(at, Attempt::Good, scratch)?;
        self.learn(&outcome, scratch);
        self.cache.commit();
        self.orphans.clear();
        Ok(outcome)
    }

    /// Commits a scrape that failed before there was a body.
    ///
    /// # Errors
    /// [`ScrapeError::Append`] when the store itself refuses.
    pub fn failed(
        &mut self,
        error: &ScrapeError,
        at: Timestamp,
        duration_s: f64,
        scratch: &mut Scratch,
    ) -> Result<(), ScrapeError> {
        self.cache.begin();
        self.fail(error, Counts::default(), at, duration_s, scratch)
    }

    fn fail(
        &mut self,
        error: &ScrapeError,
        counts: Counts,
        at: Timestamp,
        duration_s: f64,
        scratch: &mut Scratch,
    ) -> Result<(), ScrapeError> {
        self.stats.failed(error);
        scratch.clear();
        self.mark_alive(at, scratch);
        self.cache.fail();
        self.orphans.clear();
        let counts = Counts { added: 0, ..counts };
        let measured = Measured {
            up: false,
            duration_s,
            counts,
        };
        self.report.append(at, measured, self.tell, scratch);
        let outcome = self.commit(at, Attempt::Failed, scratch)?;
        self.learn(&outcome, scratch);
        if lost_series(&outcome, scratch) {
            self.report.forget();
            scratch.clear();
            self.report.append(at, measured, self.tell, scratch);
            let outcome = self.commit(at, Attempt::Failed, scratch)?;
            self.learn(&outcome, scratch);
        }
        Ok(())
    }

    /// Commits the end of the target: markers for whatever is alive, the report series too.
    ///
    /// # Errors
    /// [`ScrapeError::Append`] when the store refuses.
    pub fn gone(&mut self, at: Timestamp, scratch: &mut Scratch) -> Result<(), ScrapeError> {
        scratch.clear();
        self.mark_alive(at, scratch);
        self.report.append_stale(at, scratch);
        self.cache.clear();
        self.commit(at, Attempt::Gone, scratch)?;
        Ok(())
    }

    /// Puts the samples of `body` into the batch.
    fn fill(
        &mut self,
        body: &[u8],
        at: Timestamp,
        scratch: &mut Scratch,
        counts: &mut Counts,
    ) -> Result<(), ScrapeError> {
        scratch.clear();
        self.cache.begin();
        self.comments.begin();
        let (honor, track_stamped) = (
            self.rules.job.honor_timestamps,
            self.rules.job.track_timestamps_staleness,
        );
        let limit = self.rules.job.limits.sample_limit;
        let mut pairs: Vec<Pair<'_>> = Vec::new();
        let mut follower = self.tell.then(Follower::default);
        let mut parser = Parser::new(body);
        while let Some(event) = parser.next_event()? {
            let Event::Sample {
                series,
                value,
                timestamp,
            } = event
            else {
                self.comments.note(&event);
                if let Some(follower) = &mut follower {
                    follower.note(&event);
                }
                continue;
            };
            let timestamp = timestamp.filter(|_| honor);
            let Some(index) = self.place(series, timestamp.is_some(), &parser, &mut pairs, scratch, counts)? else {
                continue;
            };
            counts.kept += 1;
            if limit > 0 && counts.kept > limit {
                // Counting goes on, so that the report says how many there are.
                continue;
            }
            let entry = self.cache.entry(index);
            entry.show(timestamp.is_none() || track_stamped);
            let slot = match entry.state {
                State::Known => Slot::Known(SeriesRef(entry.number)),
                State::New | State::Dropped => Slot::New(entry.number as u32),
            };
            scratch.batch_entries.push(Entry {
                series: slot,
                t: timestamp.unwrap_or(at),
                v: value,
            });
            if let Some(follower) = &mut follower {
                self.tell(follower, series, slot, parser.kind(), &mut pairs, scratch);
            }
        }
        if limit > 0 && counts.kept > limit {
            return Err(ScrapeError::SampleLimit {
                samples: counts.kept,
                limit,
            });
        }
        Ok(())
    }

    /// Adds what the comments say of a series that is new, or whose family they say something else of than before.
    fn tell<'b>(
        &self,
        follower: &mut Follower<'b>,
        series: &'b [u8],
        slot: Slot,
        kind: Kind,
        pairs: &mut Vec<Pair<'b>>,
        scratch: &mut Scratch,
    ) {
        let Some(family) = follower.family(&self.comments) else {
            return;
        };
        let belongs = match slot {
            Slot::New(n) => scratch
                .created
                .get(n as usize)
                .is_some_and(|labels| family.has(labels.name())),
            Slot::Known(_) if !family.is_news => false,
            Slot::Known(_) => {
                let read = parse_series(series, kind, pairs).ok();
                self.set_type(kind, pairs);
                let labels = read.and_then(|()| final_labels(&self.rules.job, &self.rules.labels, pairs).ok()?);
                labels.is_some_and(|labels| family.has(labels.name()))
            }
        };
        if belongs {
            scratch.metadata.push(MetadataEntry {
                series: slot,
                metadata: family.metadata.clone(),
            });
        }
    }

    /// The cache's entry of a sample's series, which is created if need be; `None` when the sample is not to be kept, or is
    /// there already.
    #[inline]
    fn place<'b>(
        &mut self,
        series: &'b [u8],
        stamped: bool,
        parser: &Parser<'b>,
        pairs: &mut Vec<Pair<'b>>,
        scratch: &mut Scratch,
        counts: &mut Counts,
    ) -> Result<Option<u32>, ScrapeError> {
        // A family of another type has other series.
        let mark = if self.label_types { parser.kind() as u64 } else { 0 };
        match self.cache.probe(series, mark) {
            Probe::Hit(index, again) => {
                counts.scraped += 1;
                if self.cache.entry(index).state == State::Dropped {
                    return Ok(None);
                }
                if again && !stamped {
                    add(&self.stats.duplicates, 1);
                    counts.kept += 1;
                    return Ok(None);
                }
                Ok(Some(index))
            }
            Probe::Miss(hash) => {
                parse_series(series, parser.kind(), pairs).map_err(|e| parser.error_in_series(e.offset, e.message))?;
                self.set_type(parser.kind(), pairs);
                counts.scraped += 1;
                let created = self.create(hash, pairs, scratch)?;
                counts.added += usize::from(created.is_some());
                Ok(created)
            }
        }
    }

    /// Gives what a series exposes its type, where series carry one: instead of what it exposes of that name itself. An
    /// unknown type is none (`model/textparse/promparse.go`, `Labels`).
    fn set_type(&self, kind: Kind, exposed: &mut Vec<Pair<'_>>) {
        if !self.label_types || kind == Kind::Untyped {
            return;
        }
        let value = Cow::Borrowed(kind.as_str());
        match exposed.binary_search_by(|(name, _)| (**name).cmp(TYPE)) {
            Ok(at) => exposed[at].1 = value,
            Err(at) => exposed.insert(at, (Cow::Borrowed(TYPE), value)),
        }
    }

    /// Enters a series that the cache does not know; `None` when the rules drop it.
    fn create(
        &mut self,
        hash: SeriesHash,
        exposed: &[Pair<'_>],
        scratch: &mut Scratch,
    ) -> Result<Option<u32>, ScrapeError> {
        let Some(labels) = final_labels(&self.rules.job, &self.rules.labels, exposed)? else {
            self.cache.insert(hash, State::Dropped, 0);
            return Ok(None);
        };
        let number = scratch.created.len() as u64;
        let index = self.cache.insert(hash, State::New, number);
        scratch.created.push(labels);
        scratch.created_for.push(Created::Series(index));
        Ok(Some(index))
    }

    /// Markers for what was alive and is not exposed any more.
    fn mark_gone(&mut self, at: Timestamp, scratch: &mut Scratch) {
        let before = scratch.batch_entries.len();
        scratch
            .batch_entries
            .extend(self.cache.gone().map(|number| marker(SeriesRef(number), at)));
        // An orphan that came back has its sample earlier in the batch; of equal series and time the first wins.
        scratch
            .batch_entries
            .extend(self.orphans.iter().map(|series| marker(*series, at)));
        add(&self.stats.stale_markers, scratch.batch_entries.len() - before);
    }

    /// Markers for everything that is alive.
    fn mark_alive(&mut self, at: Timestamp, scratch: &mut Scratch) {
        let orphans = self.orphans.iter().copied();
        scratch.batch_entries.extend(
            self.cache
                .alive()
                .map(SeriesRef)
                .chain(orphans)
                .map(|series| marker(series, at)),
        );
        add(&self.stats.stale_markers, scratch.batch_entries.len());
    }

    fn commit(&mut self, slot: Timestamp, attempt: Attempt, scratch: &mut Scratch) -> Result<Outcome, ScrapeError> {
        // The report is what was added last.
        let report = scratch.created_for.iter().rev();
        let report = report
            .take_while(|created| matches!(created, Created::Report(_)))
            .count();
        let batch = Batch {
            owner: self.owner,
            slot,
            attempt,
            created: std::mem::take(&mut scratch.created),
            entries: std::mem::take(&mut scratch.batch_entries),
            extras: Extras {
                metadata: std::mem::take(&mut scratch.metadata),
                vital: report as u32,
                report: if attempt == Attempt::Good {
                    Report::LEN as u32
                } else {
                    0
                },
                refuse_late_markers: true,
                ..Extras::default()
            },
        };
        let outcome = self.appender.commit(&batch);
        (scratch.created, scratch.batch_entries) = (batch.created, batch.entries);
        scratch.metadata = batch.extras.metadata;
        let outcome = outcome?;
        let marks = |index: u32| scratch.batch_entries.get(index as usize).is_some_and(|e| is_stale(e.v));
        // A marker that comes too late is expected: the series lives on through somebody else.
        for (_, refusal) in outcome.refused.iter().filter(|(index, _)| !marks(*index)) {
            self.stats.refused(*refusal);
            self.refusals.note(*refusal);
        }
        Ok(outcome)
    }

    /// Takes over the references of what a commit created.
    fn learn(&mut self, outcome: &Outcome, scratch: &Scratch) {
        for (created, series) in scratch.created_for.iter().zip(&outcome.refs) {
            match (*created, *series) {
                (Created::Series(index), Some(SeriesRef(number))) => {
                    let entry = self.cache.entry(index);
                    entry.state = State::Known;
                    entry.number = number;
                }
                // It stays New, which the cache forgets: the next scrape tries again.
                (Created::Series(_), None) => {}
                (Created::Report(n), series) => self.report.learn(n, series),
            }
        }
    }
}

/// Whether the store did not know a series any more that a sample was meant for.
fn lost_series(outcome: &Outcome, scratch: &Scratch) -> bool {
    outcome.refused.iter().any(|(index, refusal)| {
        let entry = scratch.batch_entries.get(*index as usize);
        *refusal == Refusal::UnknownSeries && entry.is_some_and(|e| !is_stale(e.v))
    })
}

/// That the store had no room for series of a commit: it holds as many as it may, or no number is left for more.
fn without_room(outcome: &Outcome) -> Option<ScrapeError> {
    let refused = outcome.refs.iter().filter(|series| series.is_none()).count();
    (refused > 0).then_some(ScrapeError::SeriesLimit(refused))
}

/// That the store refused `up` for its time: it has newer samples of the target.
fn outdated(outcome: &Outcome, scratch: &Scratch) -> Option<ScrapeError> {
    let up = Report::up_of(&scratch.batch_entries)?;
    let (_, why) = outcome.refused.iter().find(|(index, _)| *index as usize == up)?;
    matches!(why, Refusal::OutOfOrder | Refusal::TooOld).then_some(ScrapeError::Outdated(*why))
}

fn marker(series: SeriesRef, t: Timestamp) -> Entry {
    Entry {
        series: Slot::Known(series),
        t,
        v: STALE_NAN,
    }
}

/// Memory that scrapes hand on to one another.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(crate) body: Vec<u8>,
    pub(crate) compressed: Vec<u8>,
    pub(crate) created: Vec<Labels>,
    pub(crate) created_for: Vec<Created>,
    pub(crate) batch_entries: Vec<Entry>,
    pub(crate) metadata: Vec<MetadataEntry>,
}

impl Scratch {
    fn clear(&mut self) {
        self.created.clear();
        self.created_for.clear();
        self.batch_entries.clear();
        self.metadata.clear();
    }

    /// Bytes it holds, roughly.
    pub(crate) fn capacity(&self) -> usize {
        self.body.capacity()
            + self.compressed.capacity()
            + self.batch_entries.capacity() * size_of::<Entry>()
            + self.metadata.capacity() * size_of::<MetadataEntry>()
            + self.created.capacity() * size_of::<Labels>()
    }
}

#[cfg(test)]
mod tests;
