//! One expression: its newest evaluation, what touched it since, and when it may be evaluated again.

use crate::feed::{Condition, Memory};
use crate::history::Wanted;
use crate::registry::Inner;
use crate::silent::{self, Part, Parts, Unheard};
use crate::snapshot::{Before, Completeness, Snapshot, Warmth};
use crate::stats::{Counters, ExpressionStats, count};
use crate::subscribe::{Judged, View};
use crate::warming::Observation;
use crate::warmth::{Admission, Moment, admissions, assess, wanted};
use futures::FutureExt;
use leadline_model::discovery::Discovery;
use leadline_model::port::{EvaluateError, Evaluation, Generation, Plan, SelectorId, Value};
use leadline_model::target::{OwnerId, TargetState};
use leadline_model::{Labels, Timestamp};
use parking_lot::{Mutex, RwLock};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;

/// Why an expression has to be evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// It never was, or everything of it was forgotten.
    First,
    /// A commit touched it since.
    Commit,
    /// Time moved on, and its value may have moved with it.
    Tick,
    /// The last evaluation failed, or what the store has of silent targets is not known; a question or a subscriber is
    /// worth another attempt.
    Retry,
}

/// A registered expression, shared by all who registered it.
pub(crate) struct Entry {
    pub(crate) plan: Arc<Plan>,
    admissions: Vec<Admission>,
    /// How far back any of its selectors reads, ms.
    window_ms: i64,
    pub(crate) counters: Counters,
    state: Mutex<State>,
    views: RwLock<Vec<Arc<View>>>,
    /// Held while an evaluation runs: there is one at a time.
    flight: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    /// Empty while nobody asks (the expression expired) and for an expression that reads nothing.
    selectors: Vec<SelectorId>,
    /// Those of them that read back in time.
    ranged: Vec<SelectorId>,
    attached: bool,
    /// How often it was forgotten; what was begun before does not count after.
    epoch: u64,
    touched: Generation,
    /// The newest slot time of the inputs, ms.
    slot: Timestamp,
    newest: Option<Arc<Evaluated>>,
    started: Option<Instant>,
    cost: Duration,
    /// When somebody asked last, ms.
    asked: Timestamp,
    /// A task waits to evaluate it or does so.
    scheduled: bool,
    warm: bool,
    /// What targets are to the expression that never answered this process.
    silent: Parts,
    /// What it gave before the start, when those of them that fed it did.
    before: Option<Arc<Before>>,
    /// Only what the store has of more of them keeps it cold: it has to be asked.
    inquire: bool,
    /// Rows of the last publication that are warming.
    warming: usize,
    /// Whether the last publication was cold or partial, the board's version it saw, and its second.
    doubt: Option<(u64, Timestamp)>,
    memory: Memory,
}

/// A finished evaluation.
#[derive(Debug)]
struct Evaluated {
    begun: Instant,
    generation: Generation,
    at: Timestamp,
    outcome: Result<Vec<Value>, EvaluateError>,
}

/// What a question finds.
pub(crate) enum Answer {
    /// Something that is new enough.
    Index,
    /// An evaluation is needed first.
    Evaluate,
}

/// The whole second that `now` (ms) lies in.
pub(crate) fn aligned(now: Timestamp) -> Timestamp {
    now - now.rem_euclid(1000)
}

impl Entry {
    pub(crate) fn new(plan: Arc<Plan>, now: Timestamp) -> Self {
        Self {
            admissions: admissions(&plan),
            window_ms: plan.selectors.iter().map(|s| s.window_ms).max().unwrap_or(0).max(0),
            plan,
            counters: Counters::default(),
            state: Mutex::new(State {
                asked: now,
                ..State::default()
            }),
            views: RwLock::default(),
            flight: tokio::sync::Mutex::default(),
        }
    }

    // ------------------------------------------------------------------------------------------- registration

    /// Begins to listen to the commits of these selectors, each of which reads so far (ms) back.
    pub(crate) fn attach(&self, selectors: Vec<(SelectorId, i64)>, now: Timestamp) {
        let mut state = self.state.lock();
        let ranged = selectors.iter().filter(|(_, window_ms)| *window_ms > 0);
        state.ranged = ranged.map(|(selector, _)| *selector).collect();
        state.selectors = selectors.into_iter().map(|(selector, _)| selector).collect();
        state.attached = true;
        state.asked = now;
    }

    /// Forgets everything and gives the selectors back.
    pub(crate) fn detach(&self) -> Vec<SelectorId> {
        let mut state = self.state.lock();
        let asked = state.asked;
        let old = std::mem::replace(
            &mut *state,
            State {
                asked,
                ..State::default()
            },
        );
        state.scheduled = old.scheduled;
        state.started = old.started;
        state.epoch = old.epoch + 1;
        state.cost = old.cost;
        self.views.read().iter().for_each(|view| view.clear());
        old.selectors
    }

    pub(crate) fn is_attached(&self) -> bool {
        self.state.lock().attached
    }

    /// The view that indexes by these labels with this tolerance.
    pub(crate) fn view(&self, by: &[String], partial: f64) -> Arc<View> {
        let mut views = self.views.write();
        if let Some(view) = views.iter().find(|view| view.is(by, partial)) {
            return Arc::clone(view);
        }
        let view = Arc::new(View::new(by.to_vec(), partial));
        views.push(Arc::clone(&view));
        view
    }

    /// Drops a view that only the list and its last holder know.
    pub(crate) fn drop_view(&self, view: &Arc<View>) {
        let mut views = self.views.write();
        views.retain(|other| !Arc::ptr_eq(other, view) || Arc::strong_count(other) > 2);
    }

    // ---------------------------------------------------------------------------------------------- attention

    pub(crate) fn subscribers(&self) -> usize {
        self.views.read().iter().map(|view| view.subscribers()).sum()
    }

    /// Whether somebody asked since `since` (ms) or is subscribed.
    pub(crate) fn is_wanted(&self, since: Timestamp) -> bool {
        self.state.lock().asked >= since || self.subscribers() > 0
    }

    // --------------------------------------------------------------------------------------------- scheduling

    /// Takes note of a commit. True when a task has to be started that evaluates.
    pub(crate) fn touch(&self, generation: Generation, slot: Timestamp) -> bool {
        let mut state = self.state.lock();
        if state.touched == generation && state.slot >= slot {
            return false;
        }
        count(&self.counters.commits);
        state.touched = state.touched.max(generation);
        state.slot = state.slot.max(slot);
        !std::mem::replace(&mut state.scheduled, true)
    }

    /// Asks for a task that evaluates. True when it has to be started.
    pub(crate) fn schedule(&self) -> bool {
        !std::mem::replace(&mut self.state.lock().scheduled, true)
    }

    /// Ends the task, unless a commit came meanwhile that somebody may want to know of. True when it ended.
    pub(crate) fn rest(&self, wanted: bool) -> bool {
        let mut state = self.state.lock();
        let stale = state.attached && wanted && state.is_behind();
        state.scheduled = stale;
        !stale
    }

    /// When the next evaluation may begin, if commits are why.
    pub(crate) fn due(&self, inner: &Inner) -> Instant {
        self.state.lock().due(Why::Commit, inner).unwrap_or_else(Instant::now)
    }

    pub(crate) fn need(&self, now: Timestamp) -> Option<Why> {
        self.state.lock().need(&self.plan, now)
    }

    /// Takes note of a question, and says what it needs: the newest finished evaluation answers while the next one is not
    /// due, counted from its own begin. So a question that comes while an evaluation runs waits for that one if what is
    /// there is older, however old that would be.
    pub(crate) fn ask(&self, now: Timestamp, inner: &Inner) -> Answer {
        count(&self.counters.questions);
        let mut state = self.state.lock();
        state.asked = now;
        match state.need(&self.plan, now) {
            None => Answer::Index,
            Some(why) => {
                let begun = state.newest.as_ref().map(|newest| newest.begun);
                let fresh = begun.is_some_and(|begun| Instant::now() < begun + state.gap(why, inner));
                if fresh { Answer::Index } else { Answer::Evaluate }
            }
        }
    }

    // --------------------------------------------------------------------------------------------- evaluation

    /// Evaluates, unless somebody else just did or it is not due; publishes the result.
    pub(crate) async fn refresh(&self, inner: &Arc<Inner>) {
        let _flight = self.flight.lock().await;
        let newest_input = if self.need(inner.clock.now()) == Some(Why::First) {
            inner.newest_slot(self)
        } else {
            None
        };
        let Some((at, why, epoch)) = self.begin(inner, newest_input) else {
            return;
        };
        let before = inner.store.generation();
        let begun = Instant::now();
        let outcome = AssertUnwindSafe(inner.evaluate.evaluate(&self.plan, at))
            .catch_unwind()
            .await;
        let outcome = outcome.unwrap_or_else(|_| Err(panicked(&self.plan)));
        let evaluated = conclude(outcome, before, at, begun);
        count(&self.counters.evaluations);
        if why == Why::Tick {
            count(&self.counters.ticks);
        }
        if let Err(error) = &evaluated.outcome {
            count(&self.counters.failures);
            tracing::debug!(expression = self.plan.text, at, %error, "a standing query failed");
        }
        let cost = begun.elapsed();
        // Before it is there to be judged: who asks meanwhile waits, instead of hearing that it is cold.
        self.recall(inner, &evaluated).await;
        self.inquire(inner, evaluated.at).await;
        self.keep(evaluated, cost, epoch);
        self.publish(inner);
    }

    /// Keeps an evaluation, unless everything was forgotten since it began.
    fn keep(&self, evaluated: Evaluated, cost: Duration, epoch: u64) {
        let mut state = self.state.lock();
        state.cost = cost;
        if state.epoch == epoch {
            state.newest = Some(Arc::new(evaluated));
        }
    }

    /// Reads what the store has of the targets that an evaluation waits for, while the expression is cold or rows of it are
    /// warming.
    async fn recall(&self, inner: &Inner, evaluated: &Evaluated) {
        if self.window_ms == 0 {
            return;
        }
        let wanted = self.unknown(inner, evaluated);
        inner.history.recall(wanted, &inner.board).await;
    }

    fn unknown(&self, inner: &Inner, evaluated: &Evaluated) -> Vec<Wanted> {
        let at = evaluated.at;
        let state = self.state.lock();
        let mut unknown = match state.warm {
            true => Vec::new(),
            false => wanted(&self.admissions, &inner.board.all(), &inner.history, at),
        };
        let outages = inner.outages.read();
        let mut condition = Condition::new(&inner.board, &outages, at, self.window_ms);
        let values = evaluated.outcome.as_ref().map_or(&[][..], Vec::as_slice);
        unknown.extend(self.observation(&state, at, inner).wanted(values, &mut condition));
        unknown
    }

    /// Asks the store about targets that are no longer waited for, while the expression is cold.
    async fn inquire(&self, inner: &Inner, at: Timestamp) {
        let unheard = {
            let state = self.state.lock();
            match state.warm {
                true => return,
                false => self.unheard(&state, &inner.board.all(), at, inner),
            }
        };
        if unheard.is_empty() {
            return;
        }
        let (store, plan, started) = (Arc::clone(&inner.store), Arc::clone(&self.plan), inner.roster.started());
        let unheard = Arc::new(unheard);
        let asked = Arc::clone(&unheard);
        let work = move || silent::inquire(store.as_ref(), &plan, &asked, started);
        let why = match tokio::task::spawn_blocking(work).await {
            Ok(Ok(told)) => return self.learn(inner, told).await,
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        let unknown = silent::unknown(&unheard, inner.clock.now(), inner.settings.warm_give_up_ms);
        if unknown.is_empty() {
            tracing::debug!(why, "what silent targets gave before the start is not known yet");
            return;
        }
        tracing::warn!(
            expression = self.plan.text,
            targets = unknown.len(),
            why,
            "what silent targets gave before the start cannot be read, and nobody waits for it any longer"
        );
        self.state.lock().silent.extend(unknown);
    }

    /// Takes in what the store told of silent targets, and what the expression gave when they were there.
    async fn learn(&self, inner: &Inner, told: silent::Told) {
        let values = match told.whole {
            Some(at) => self.values_at(inner, at).await,
            None => None,
        };
        let mut state = self.state.lock();
        if let Some(values) = values {
            let mut before = state.before.as_deref().cloned().unwrap_or_default();
            for (labels, value) in values {
                before.values.entry(labels).or_insert(value);
            }
            before.missing.extend(silent::owners(&told.parts, Part::Feeder));
            state.before = Some(Arc::new(before));
        }
        state.silent.extend(told.parts);
    }

    /// The values at a time (ms) before the start that are numbers; none where they cannot be had.
    async fn values_at(&self, inner: &Inner, at: Timestamp) -> Option<Vec<(Labels, f64)>> {
        let outcome = AssertUnwindSafe(inner.evaluate.evaluate(&self.plan, at))
            .catch_unwind()
            .await;
        match outcome.unwrap_or_else(|_| Err(panicked(&self.plan))) {
            Ok(evaluation) => {
                let numbers = evaluation.values.into_iter().filter(|v| !v.value.is_nan());
                Some(numbers.map(|v| (v.labels, v.value)).collect())
            }
            Err(error) => {
                tracing::info!(expression = self.plan.text, at, %error, "what it gave before the start is not known");
                None
            }
        }
    }

    /// The targets that are no longer waited for and that the store was not asked about.
    fn unheard(&self, state: &State, targets: &[Arc<TargetState>], at: Timestamp, inner: &Inner) -> Vec<Unheard> {
        let now = inner.clock.now();
        inner.roster.observe(&inner.board, now);
        let moment = self.moment(state, at, inner);
        silent::unheard(
            &self.plan,
            &self.admissions,
            targets,
            &inner.roster,
            &state.silent,
            moment,
        )
    }

    fn moment(&self, state: &State, at: Timestamp, inner: &Inner) -> Moment {
        Moment {
            at,
            now: inner.clock.now(),
            give_up_ms: inner.settings.warm_give_up_ms,
            behind: state.is_behind(),
        }
    }

    /// The time to evaluate at and why, if it is needed and due.
    fn begin(&self, inner: &Inner, newest_input: Option<Timestamp>) -> Option<(Timestamp, Why, u64)> {
        let now = inner.clock.now();
        let mut state = self.state.lock();
        let why = state.need(&self.plan, now)?;
        if state.due(why, inner).is_some_and(|due| due > Instant::now()) {
            return None;
        }
        state.slot = state.slot.max(newest_input.unwrap_or(Timestamp::MIN));
        let inputs = Some(state.slot).filter(|&slot| slot > 0);
        let at = if self.plan.moves_with_time {
            inputs.max(Some(aligned(now)))
        } else {
            inputs
        };
        let earlier = state.newest.as_ref().map(|newest| newest.at);
        state.started = Some(Instant::now());
        let at = at
            .unwrap_or_else(|| aligned(now))
            .max(earlier.unwrap_or(Timestamp::MIN));
        Some((at, why, state.epoch))
    }

    // -------------------------------------------------------------------------------------------- publication

    /// Publishes again when the last publication was cold or partial and that may have changed without a commit.
    pub(crate) fn reconsider(&self, inner: &Arc<Inner>) {
        let second = aligned(inner.clock.now());
        let doubt = self.state.lock().doubt;
        if doubt.is_some_and(|doubt| doubt != (inner.board.version(), second)) {
            self.publish(inner);
        }
    }

    /// Publishes the newest evaluation to every view, with the state that targets are in now.
    pub(crate) fn publish(&self, inner: &Arc<Inner>) {
        let now = inner.clock.now();
        let version = inner.board.version();
        // In this order: the targets that discovery has told of are among these, and a commit that made one of them good is
        // known before the evaluation is judged.
        let discovery = inner.board.discovery();
        let targets = if self.state.lock().warm {
            Vec::new()
        } else {
            inner.board.all()
        };
        inner.take_in();
        let mut state = self.state.lock();
        let Some(newest) = state.newest.clone() else { return };
        let warmth = self.warmth(&mut state, (&discovery, &targets), newest.at, inner);
        let outages = inner.outages.read();
        let mut condition = Condition::new(&inner.board, &outages, newest.at, self.window_ms);
        let values = newest.outcome.as_ref().map_or(&[][..], Vec::as_slice);
        let forget = now - inner.settings.remember_ms;
        let whole = condition.completeness(state.feeders(inner));
        let down = [
            &whole.down[..],
            &condition.unanswered(silent::owners(&state.silent, Part::Stranger)),
        ]
        .concat();
        state.memory.learn(values, &mut condition, now, forget);
        let rows = state.memory.judge(values, &down, &mut condition);
        let warming = self.observation(&state, newest.at, inner).judge(values, &mut condition);
        let settled = settled(&state, &rows, inner, now);
        let silent = settled_of(&state, &whole, inner, now);
        state.warming = warming.iter().flatten().count();
        let doubtful = warmth != Warmth::Warm || !whole.down.is_empty() || rows.iter().any(|row| !row.down.is_empty());
        state.doubt = doubtful.then(|| (version, aligned(now)));
        let outcome = newest.outcome.as_ref().map(Vec::as_slice);
        let judged = Judged {
            generation: newest.generation,
            at: newest.at,
            outcome,
            warmth: &warmth,
            rows: &rows,
            warming: &warming,
            whole: &whole,
            before: state.before.as_ref(),
            settled: &settled,
            silent: &silent,
        };
        for view in self.views.read().iter() {
            view.publish(&judged, now, forget);
            if view.subscribers() > 0 {
                count(&self.counters.pushed);
            }
        }
    }

    fn warmth(
        &self,
        state: &mut State,
        (discovery, targets): (&Discovery, &[Arc<TargetState>]),
        at: Timestamp,
        inner: &Inner,
    ) -> Warmth {
        if state.warm {
            return Warmth::Warm;
        }
        inner.roster.observe(&inner.board, inner.clock.now());
        let moment = self.moment(state, at, inner);
        let warmth = assess(
            &self.admissions,
            &inner.roster,
            &inner.history,
            (discovery, targets),
            moment,
        );
        if warmth != Warmth::Warm {
            return warmth;
        }
        state.inquire = !self.unheard(state, targets, at, inner).is_empty();
        state.warm = !state.inquire;
        match state.warm {
            true => Warmth::Warm,
            false => silent::not_known(),
        }
    }

    /// What is known at `at` (ms) of the observation of targets. A row's warming ends with an evaluation, never between two:
    /// what reads back in time moves with it, so the next tick or question evaluates.
    fn observation<'a>(&self, state: &State, at: Timestamp, inner: &'a Inner) -> Observation<'a> {
        let all = state.ranged.len() == state.selectors.len();
        Observation {
            roster: &inner.roster,
            history: &inner.history,
            at,
            window_ms: self.window_ms,
            ranged: (!all && self.window_ms > 0).then(|| inner.feeders(&state.ranged)),
        }
    }

    /// The owners that feed any selector, sorted.
    pub(crate) fn feeders(&self, inner: &Inner) -> Vec<OwnerId> {
        let selectors = self.state.lock().selectors.clone();
        inner.feeders(&selectors)
    }

    pub(crate) fn stats(&self) -> ExpressionStats {
        let (cost, at, cold, warming) = {
            let state = self.state.lock();
            let at = state.newest.as_ref().map(|newest| newest.at);
            (state.cost, at, at.is_some() && !state.warm, state.warming)
        };
        let views = self.views.read();
        ExpressionStats {
            text: self.plan.text.clone(),
            counts: self.counters.read(),
            cost_seconds: cost.as_secs_f64(),
            registrations: views.iter().map(|view| Arc::strong_count(view) - 1).sum(),
            subscribers: views.iter().map(|view| view.subscribers()).sum(),
            cold,
            warming,
            evaluated_at: at,
        }
    }

    /// What is answered when there is no evaluation, which only an aborted runtime or a full registry causes.
    pub(crate) fn nothing(inner: &Inner, why: String) -> Arc<Snapshot> {
        let rows = Err(EvaluateError::Execution(why));
        let now = inner.clock.now();
        let generation = inner.store.generation();
        Arc::new(Snapshot::new(
            generation,
            now,
            Warmth::Warm,
            rows,
            Completeness::default(),
            &[],
        ))
    }

    pub(crate) fn note_index(&self) {
        self.counters.from_index.fetch_add(1, Ordering::Relaxed);
    }
}

impl State {
    /// Whether and why the newest evaluation is not good enough at `now` (ms).
    fn need(&self, plan: &Plan, now: Timestamp) -> Option<Why> {
        match &self.newest {
            None => Some(Why::First),
            Some(_) if self.is_behind() => Some(Why::Commit),
            Some(newest) if plan.moves_with_time && aligned(now) > newest.at => Some(Why::Tick),
            Some(newest) => (newest.outcome.is_err() || self.inquire).then_some(Why::Retry),
        }
    }

    /// The owners that feed the expression, now or earlier while they are discovered. Sorted.
    fn feeders(&self, inner: &Inner) -> Vec<OwnerId> {
        let mut feeders = inner.feeders(&self.selectors);
        let silent = silent::owners(&self.silent, Part::Feeder);
        feeders.extend(silent);
        feeders.sort_unstable();
        feeders.dedup();
        feeders
    }

    /// Whether a commit came that the newest evaluation did not see.
    fn is_behind(&self) -> bool {
        self.newest
            .as_ref()
            .is_some_and(|newest| self.touched > newest.generation || self.slot > newest.at)
    }

    /// When an evaluation for this reason may begin; `None`: at once.
    fn due(&self, why: Why, inner: &Inner) -> Option<Instant> {
        self.started
            .filter(|_| why != Why::First)
            .map(|started| started + self.gap(why, inner))
    }

    /// The shortest time from the begin of one evaluation to the begin of the next.
    fn gap(&self, why: Why, inner: &Inner) -> Duration {
        let cost = self.cost.saturating_mul(inner.settings.cost_factor);
        match why {
            Why::First => Duration::ZERO,
            Why::Commit | Why::Retry => cost.max(Duration::from_millis(inner.settings.min_gap_ms)),
            Why::Tick => cost,
        }
    }
}

/// Of each row, in order, whether only targets that were silent for long are missing from it.
fn settled(state: &State, rows: &[Completeness], inner: &Inner, now: Timestamp) -> Vec<bool> {
    let when = (now, inner.settings.warm_give_up_ms);
    let settled = |row: &Completeness| silent::settled(&state.silent, &row.down, &inner.roster, when);
    rows.iter().map(settled).collect()
}

/// Those of the whole's targets that are down that were silent for long.
fn settled_of(state: &State, whole: &Completeness, inner: &Inner, now: Timestamp) -> Vec<OwnerId> {
    let when = (now, inner.settings.warm_give_up_ms);
    let long = |owner: &OwnerId| silent::settled(&state.silent, &[*owner], &inner.roster, when);
    whole.down.iter().copied().filter(long).collect()
}

fn conclude(
    outcome: Result<Evaluation, EvaluateError>,
    before: Generation,
    at: Timestamp,
    begun: Instant,
) -> Evaluated {
    match outcome {
        Ok(evaluation) => Evaluated {
            begun,
            generation: evaluation.generation.max(before),
            at: evaluation.at.max(at),
            outcome: Ok(evaluation.values),
        },
        Err(error) => Evaluated {
            begun,
            generation: before,
            at,
            outcome: Err(error),
        },
    }
}

fn panicked(plan: &Plan) -> EvaluateError {
    tracing::error!(expression = plan.text, "the engine panicked on a standing query");
    EvaluateError::Execution("the engine failed on this expression; the log says more".to_owned())
}
