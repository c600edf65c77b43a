//! Commits.

use crate::extras;
use crate::value::{self, Sample, Value};
use crate::world::{Active, Verdict, World};
use leadline_model::port::{
    Appender, Attempt, Batch, Entry, ExemplarEntry, Extras, HistogramEntry, MetadataEntry, Outcome, Refusal, Slot,
};
use leadline_model::sample::Timestamp;

/// One sample of a commit, and what becomes of it.
struct Intent {
    /// Place in the writer's list.
    series: usize,
    t: Timestamp,
    value: Value,
    /// Whether it must be taken: it is newer than anything the series has.
    due: bool,
}

/// A batch and what is meant by its entries.
struct Plan {
    batch: Batch,
    /// Where the references of [`Batch::created`] go.
    created: Vec<usize>,
    floats: Vec<Intent>,
    histograms: Vec<Intent>,
    exemplars: Vec<Observation>,
    /// Of which series something is told for the how manieth time.
    told: Vec<(usize, u64)>,
}

/// An exemplar of a commit.
struct Observation {
    /// Place in the writer's list.
    series: usize,
    t: Timestamp,
    late: bool,
}

impl Plan {
    fn slot(&mut self, active: &Active, series: usize) -> Slot {
        if let Some(reference) = active.reference {
            return Slot::Known(reference);
        }
        let at = self
            .created
            .iter()
            .position(|&there| there == series)
            .unwrap_or_else(|| {
                self.created.push(series);
                self.batch.created.push(active.labels.clone());
                self.created.len() - 1
            });
        Slot::New(at as u32)
    }

    fn add(&mut self, active: &Active, intent: Intent, sample: Sample) {
        let (series, t) = (self.slot(active, intent.series), intent.t);
        match sample {
            Sample::Float(v) => {
                self.batch.entries.push(Entry { series, t, v });
                self.floats.push(intent);
            }
            Sample::Histogram(h) => {
                self.batch.extras.histograms.push(HistogramEntry { series, t, h });
                self.histograms.push(intent);
            }
        }
    }
}

impl World {
    /// One scrape of one writer: its series, some of which end, begin or are late.
    pub(crate) fn commit(&mut self, at: usize) -> Verdict {
        let slot = self.now();
        let mut attempt = Attempt::Good;
        if self.dice.chance(15) {
            let name = self.writers[at].name;
            for _ in 0..self.dice.between(1, 4) {
                let newborn = self.bear(name);
                self.writers[at].series.push(newborn);
            }
        }
        let mut ending = Vec::new();
        match self.dice.below(100) {
            0..3 => {
                attempt = Attempt::Failed;
                ending.extend(0..self.writers[at].series.len());
            }
            3..5 => {
                attempt = Attempt::Gone;
                ending.extend(0..self.writers[at].series.len());
            }
            5..20 if self.writers[at].series.len() > 1 => ending.push(self.dice.index(self.writers[at].series.len())),
            _ => {}
        }
        let plan = self.plan(at, slot, attempt, &ending);
        self.tell(format!(
            "commit of {at} at {slot}: {} floats, {} histograms, {} new, {} end, {attempt:?}",
            plan.floats.len(),
            plan.histograms.len(),
            plan.created.len(),
            ending.len()
        ));
        match self.db.commit(&plan.batch) {
            Ok(outcome) => self.landed(at, &plan, &outcome)?,
            Err(_) if self.troubled => {}
            Err(error) => return Err(format!("commit: {error}")),
        }
        self.end(at, attempt, &ending);
        Ok(())
    }

    /// One scrape of one writer with samples of each of its series from so many seconds ago and half a second.
    pub(crate) fn commit_late(&mut self, at: usize, ago: std::ops::Range<i64>) -> Verdict {
        let slot = self.now();
        let mut plan = self.plan(at, slot, Attempt::Good, &[]);
        for (series, active) in self.writers[at].series.iter().enumerate() {
            for seconds in ago.clone() {
                let t = slot - seconds * 1000 - 500;
                let (sample, value) = Self::value(active, t);
                let due = false;
                plan.add(active, Intent { series, t, value, due }, sample);
            }
        }
        self.tell(format!("commit of {at} at {slot}, late from {ago:?} s ago"));
        let outcome = self
            .db
            .commit(&plan.batch)
            .map_err(|error| format!("commit: {error}"))?;
        self.landed(at, &plan, &outcome)
    }

    fn plan(&mut self, at: usize, slot: Timestamp, attempt: Attempt, ending: &[usize]) -> Plan {
        let mut plan = Plan {
            batch: Batch {
                owner: self.writers[at].owner,
                slot,
                attempt,
                created: Vec::new(),
                entries: Vec::new(),
                extras: Extras::default(),
            },
            created: Vec::new(),
            floats: Vec::new(),
            histograms: Vec::new(),
            exemplars: Vec::new(),
            told: Vec::new(),
        };
        for (series, active) in self.writers[at].series.iter().enumerate() {
            let newest = self
                .model
                .series
                .get(&active.labels)
                .map_or(Timestamp::MIN, |h| h.newest);
            let mut late = Vec::new();
            if self.dice.chance(8) {
                // An explicit timestamp of its own; those of scrapes are whole seconds.
                late.push(slot - self.dice.between(1, 4 * crate::world::RANGE_MS) / 1000 * 1000 - 500);
            }
            if self.dice.chance(6) {
                // What a sender says twice, maybe when blocks have it already.
                let said = self.model.said(&active.labels, |t| Self::value(active, t).1);
                if let Some(&t) = said.get(self.dice.index(said.len().max(1))) {
                    late.push(t);
                }
            }
            for t in late {
                let (sample, value) = Self::value(active, t);
                let intent = Intent {
                    series,
                    t,
                    value,
                    due: false,
                };
                plan.add(active, intent, sample);
            }
            let (sample, value) = if ending.contains(&series) {
                let sample = value::stale(active.kind);
                (sample.clone(), Value::of(&sample))
            } else {
                Self::value(active, slot)
            };
            let due = slot > newest;
            let t = slot;
            plan.add(active, Intent { series, t, value, due }, sample);
        }
        self.add_extras(&mut plan, at);
        plan
    }

    /// Exemplars of this scrape, some from before it, and what is told of series.
    fn add_extras(&self, plan: &mut Plan, at: usize) {
        for (series, active) in self.writers[at].series.iter().enumerate() {
            let mut times = Vec::new();
            if self.apart.chance(4) {
                times.push((plan.batch.slot - self.apart.between(1, 120) * 1000 - 250, true));
            }
            if self.apart.chance(20) {
                times.push((plan.batch.slot, false));
            }
            for (t, late) in times {
                let entry = ExemplarEntry {
                    series: plan.slot(active, series),
                    exemplar: extras::exemplar(active.id, t),
                };
                plan.batch.extras.exemplars.push(entry);
                plan.exemplars.push(Observation { series, t, late });
            }
            if self.apart.chance(8) {
                let n = self.extras.times_told(&active.labels) + 1;
                let entry = MetadataEntry {
                    series: plan.slot(active, series),
                    metadata: extras::metadata(active.id, n),
                };
                plan.batch.extras.metadata.push(entry);
                plan.told.push((series, n));
            }
        }
    }

    /// Believes what the store says became of a batch, as far as it may.
    fn landed(&mut self, at: usize, plan: &Plan, outcome: &Outcome) -> Verdict {
        for (&series, reference) in plan.created.iter().zip(&outcome.refs) {
            self.writers[at].series[series].reference = *reference;
        }
        let kinds = [
            (&plan.floats, &outcome.refused),
            (&plan.histograms, &outcome.refused_histograms),
        ];
        for (intents, refused) in kinds {
            for (i, intent) in intents.iter().enumerate() {
                let refusal = refused
                    .iter()
                    .find(|(index, _)| *index as usize == i)
                    .map(|(_, why)| *why);
                self.believe(at, intent, refusal)?;
            }
        }
        self.believe_extras(at, plan, outcome)
    }

    /// A series that is not known gets nothing; of others, what comes in order must be taken.
    fn believe_extras(&mut self, at: usize, plan: &Plan, outcome: &Outcome) -> Verdict {
        self.note_rebuild();
        for (i, observed) in plan.exemplars.iter().enumerate() {
            let active = &self.writers[at].series[observed.series];
            let refused = outcome.refused_exemplars.iter().find(|(index, _)| *index as usize == i);
            match refused {
                None => self
                    .extras
                    .exemplars
                    .taken(&active.labels, active.id, observed.t, observed.late),
                Some((_, Refusal::UnknownSeries)) => {}
                Some(_) if observed.late => {}
                Some((_, why)) => return Err(format!("the exemplar of {} is refused as {}", active.id, why.as_str())),
            }
        }
        for &(series, n) in &plan.told {
            // Each series has a sample too, and where that finds no series the reference is given up.
            let active = &self.writers[at].series[series];
            self.extras
                .told(&active.labels, active.id, n, active.reference.is_some());
        }
        Ok(())
    }

    fn believe(&mut self, at: usize, intent: &Intent, refusal: Option<Refusal>) -> Verdict {
        let active = &mut self.writers[at].series[intent.series];
        match refusal {
            None => {
                self.counts.samples += 1;
                let of = (active.id, active.kind);
                // That it comes too late is only known when the log has been read.
                let late = self.replaying.is_some_and(|newest| {
                    let window = self.settings.out_of_order_window_ms;
                    !intent.due && (window == 0 || intent.t < newest.saturating_sub(window))
                });
                let free = late && !self.model.requires(&active.labels, intent.t);
                self.model.taken(&active.labels, of, intent.t, intent.value.clone())?;
                if free {
                    self.model.free(&active.labels, intent.t);
                }
                Ok(())
            }
            Some(Refusal::UnknownSeries) => {
                active.reference = None;
                Ok(())
            }
            Some(why) if intent.due => Err(format!(
                "{} at {}: refused as {}, and it is the newest",
                active.labels,
                intent.t,
                why.as_str()
            )),
            Some(_) => Ok(()),
        }
    }

    /// Forgets the series that ended; one whose scrape only failed goes on.
    fn end(&mut self, at: usize, attempt: Attempt, ending: &[usize]) {
        match attempt {
            Attempt::Failed => {}
            Attempt::Gone => {
                let owner = self.db.new_owner();
                let newborn = self.bear(self.writers[at].name);
                self.writers[at].owner = owner;
                self.writers[at].series = vec![newborn];
            }
            Attempt::Good => {
                let mut place = 0;
                self.writers[at].series.retain(|_| {
                    place += 1;
                    !ending.contains(&(place - 1))
                });
            }
        }
    }
}
