//! A store that counts commits and has what it is given of the past, an engine that only records, and a clock that tests move.

use leadline_model::port::{
    Attempt, CommitEvent, Commits, Evaluate, EvaluateError, Evaluation, Generation, Plan, PlanSelector, PrepareError,
    QueryError, Queryable, SelectorId, SeriesSet, Shape, Value,
};
use leadline_model::provenance::Provenance;
use leadline_model::sample::Samples;
use leadline_model::target::{Board, Health, OwnerId, TargetState};
use leadline_model::{Clock, Labels, Matcher, Timestamp, clock::ManualClock};
use leadline_standing::{Query, Register, Request, Settings, Standing};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

pub(crate) const START: Timestamp = 1_000_000_000_000;

/// Series with their samples.
pub(crate) struct Series(pub(crate) Vec<(Labels, Samples)>);

impl SeriesSet for Series {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn labels(&self, i: usize) -> Labels {
        self.0[i].0.clone()
    }

    fn owner(&self, _: usize) -> Option<OwnerId> {
        None
    }

    fn read(&self, i: usize, mint: Timestamp, maxt: Timestamp, into: &mut Samples) -> Result<(), QueryError> {
        let samples = &self.0[i].1;
        let within = samples
            .t
            .iter()
            .zip(&samples.v)
            .filter(|(t, _)| (mint..=maxt).contains(*t));
        (into.t, into.v) = within.unzip();
        Ok(())
    }
}

/// A store without samples of its own: whoever commits feeds every selector.
pub(crate) struct Store {
    generation: AtomicU64,
    selectors: AtomicU32,
    pub(crate) registered: Mutex<BTreeMap<SelectorId, Vec<String>>>,
    pub(crate) owners: Mutex<Vec<OwnerId>>,
    /// The series of an earlier process.
    pub(crate) past: Mutex<Result<Vec<(Labels, Samples)>, QueryError>>,
    sender: broadcast::Sender<Arc<CommitEvent>>,
}

impl Store {
    fn new(capacity: usize) -> Self {
        Self {
            generation: AtomicU64::new(0),
            selectors: AtomicU32::new(0),
            registered: Mutex::default(),
            owners: Mutex::default(),
            past: Mutex::new(Ok(Vec::new())),
            sender: broadcast::Sender::new(capacity),
        }
    }

    /// Commits; with `touch` everything that is registered is touched.
    pub(crate) fn commit(&self, owner: u32, slot: Timestamp, attempt: Attempt, touch: bool) {
        let generation = Generation(self.generation.fetch_add(1, Ordering::SeqCst) + 1);
        let touched: Vec<SelectorId> = self
            .registered
            .lock()
            .unwrap()
            .keys()
            .copied()
            .filter(|_| touch)
            .collect();
        let event = CommitEvent {
            generation,
            slot,
            owner: OwnerId(owner),
            attempt,
            touched: touched.into(),
        };
        let _ = self.sender.send(Arc::new(event));
    }
}

impl Commits for Store {
    fn register(&self, matchers: Arc<[Matcher]>) -> SelectorId {
        let id = SelectorId(self.selectors.fetch_add(1, Ordering::SeqCst));
        self.registered
            .lock()
            .unwrap()
            .insert(id, matchers.iter().map(ToString::to_string).collect());
        id
    }

    fn deregister(&self, selector: SelectorId) {
        self.registered.lock().unwrap().remove(&selector);
    }

    fn feeders(&self, _: SelectorId) -> Vec<OwnerId> {
        self.owners.lock().unwrap().clone()
    }

    fn subscribe(&self) -> broadcast::Receiver<Arc<CommitEvent>> {
        self.sender.subscribe()
    }
}

impl Queryable for Store {
    fn select(
        &self,
        matchers: &[Matcher],
        _: Timestamp,
        _: Timestamp,
        _: bool,
    ) -> Result<Box<dyn SeriesSet>, QueryError> {
        let mut found = self.past.lock().unwrap().clone()?;
        found.retain(|(labels, _)| matchers.iter().all(|m| m.matches(labels.get(m.name()).unwrap_or(""))));
        Ok(Box::new(Series(found)))
    }

    fn label_names(&self, _: &[Matcher], _: Timestamp, _: Timestamp) -> Result<Vec<String>, QueryError> {
        unreachable!()
    }

    fn label_values(&self, _: &str, _: &[Matcher], _: Timestamp, _: Timestamp) -> Result<Vec<String>, QueryError> {
        unreachable!()
    }

    fn generation(&self) -> Generation {
        Generation(self.generation.load(Ordering::SeqCst))
    }
}

/// Labels, value and owners of a row.
type Told<'a> = (&'a [(&'a str, &'a str)], f64, &'a [u32]);

type Outcome = Result<Vec<(Labels, f64, Vec<u32>)>, EvaluateError>;

/// Records at which times it was asked, and answers what it was told.
pub(crate) struct Engine {
    store: Arc<Store>,
    pub(crate) asked: Mutex<Vec<Timestamp>>,
    pub(crate) outcome: Mutex<Outcome>,
    /// What it answers for times before the start, where that is something else.
    pub(crate) before: Mutex<Option<Outcome>>,
    /// How long an evaluation takes.
    pub(crate) cost: Mutex<Duration>,
}

#[async_trait::async_trait]
impl Evaluate for Engine {
    /// `moves` in the text: the value moves with time; `window` in the text: it reads a minute back.
    fn prepare(&self, text: &str, inject: &[Matcher]) -> Result<Arc<Plan>, PrepareError> {
        if text == "bad(" {
            return Err(PrepareError {
                line: 1,
                column: 5,
                message: "unexpected end of input".into(),
            });
        }
        let mut matchers = vec![Matcher::equal("__name__", "m"), Matcher::equal("job", "web")];
        matchers.extend_from_slice(inject);
        let window_ms = if text.contains("window") { 60_000 } else { 0 };
        Ok(Arc::new(Plan {
            text: text.trim().to_owned(),
            shape: if text == "\"text\"" {
                Shape::String
            } else {
                Shape::Vector
            },
            selectors: vec![PlanSelector {
                matchers: matchers.into(),
                window_ms,
            }],
            moves_with_time: text.contains("moves"),
            engine: Arc::new(()),
        }))
    }

    async fn evaluate(&self, _: &Arc<Plan>, at: Timestamp) -> Result<Evaluation, EvaluateError> {
        self.asked.lock().unwrap().push(at);
        let generation = self.store.generation();
        let cost = *self.cost.lock().unwrap();
        if !cost.is_zero() {
            tokio::time::sleep(cost).await;
        }
        let before = self.before.lock().unwrap().clone().filter(|_| at < START);
        let values = before.unwrap_or_else(|| self.outcome.lock().unwrap().clone())?;
        let values = values.into_iter().map(|(labels, value, owners)| {
            let owners = owners.into_iter().map(OwnerId).collect();
            Value {
                labels,
                value,
                provenance: Provenance {
                    oldest: at,
                    stalest: at,
                    series: 1,
                    owners,
                },
            }
        });
        Ok(Evaluation {
            generation,
            at,
            values: values.collect(),
            warnings: Vec::new(),
        })
    }
}

pub(crate) struct World {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) board: Arc<Board>,
    pub(crate) store: Arc<Store>,
    pub(crate) engine: Arc<Engine>,
    pub(crate) standing: Arc<Standing>,
    pub(crate) stop: CancellationToken,
    pub(crate) run: tokio::task::JoinHandle<()>,
}

impl World {
    /// Targets 1 and 2 of job web feed everything and were observed for ten minutes.
    pub(crate) async fn new() -> Self {
        Self::with(Settings::default(), 16_384).await
    }

    pub(crate) async fn with(settings: Settings, capacity: usize) -> Self {
        let clock = Arc::new(ManualClock::at(START));
        let board = Board::new();
        let store = Arc::new(Store::new(capacity));
        let engine = Arc::new(Engine {
            store: store.clone(),
            asked: Mutex::default(),
            outcome: Mutex::new(Ok(vec![(Labels::empty(), 10.0, vec![1, 2])])),
            before: Mutex::default(),
            cost: Mutex::default(),
        });
        let standing = Standing::new(
            settings,
            engine.clone(),
            store.clone(),
            store.clone(),
            board.clone(),
            clock.clone() as Arc<dyn Clock>,
        );
        let stop = CancellationToken::new();
        let run = tokio::spawn({
            let (standing, stop) = (standing.clone(), stop.clone());
            async move { standing.run(stop).await }
        });
        let world = Self {
            clock,
            board,
            store,
            engine,
            standing,
            stop,
            run,
        };
        world.target(1, Some(START - 600_000));
        world.target(2, Some(START - 600_000));
        world.board.set_synced(true);
        world.store.owners.lock().unwrap().extend([OwnerId(1), OwnerId(2)]);
        world.settle().await;
        world
    }

    pub(crate) fn target(&self, owner: u32, first_good: Option<Timestamp>) {
        let instance = format!("10.0.0.{owner}:80");
        self.board.put(TargetState {
            owner: OwnerId(owner),
            job: "web".into(),
            labels: Labels::from_pairs([("job", "web"), ("instance", &instance)]),
            discovered: Labels::empty(),
            url: format!("http://{instance}/metrics"),
            interval_ms: 15_000,
            timeout_ms: 10_000,
            health: if first_good.is_some() {
                Health::Up
            } else {
                Health::Unknown
            },
            first_good,
            last_scrape: first_good,
            last_duration_s: 0.0,
            last_error: None,
        });
    }

    pub(crate) fn health(&self, owner: u32, health: Health) {
        self.board.update(OwnerId(owner), |target| target.health = health);
    }

    pub(crate) fn answer(&self, values: &[Told<'_>]) {
        let values = values
            .iter()
            .map(|(labels, value, owners)| (Labels::from_pairs(labels.iter().copied()), *value, owners.to_vec()));
        *self.engine.outcome.lock().unwrap() = Ok(values.collect());
    }

    pub(crate) fn register(&self, text: &str) -> Arc<dyn Query> {
        self.standing.register(request(text)).unwrap()
    }

    /// Lets everything that is ready run.
    pub(crate) async fn settle(&self) {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }

    /// Moves both clocks, in steps of 10 ms.
    pub(crate) async fn pass(&self, ms: i64) {
        for _ in 0..ms / 10 {
            self.clock.advance(10);
            tokio::time::advance(Duration::from_millis(10)).await;
            self.settle().await;
        }
    }

    /// A good commit of an owner now, which touches everything.
    pub(crate) async fn commit(&self, owner: u32) {
        self.store.commit(owner, self.clock.now(), Attempt::Good, true);
        self.settle().await;
    }

    pub(crate) fn evaluations(&self) -> usize {
        self.engine.asked.lock().unwrap().len()
    }
}

pub(crate) fn request(text: &str) -> Request {
    Request {
        text: text.to_owned(),
        inject: Vec::new(),
        index_by: vec!["pod".into()],
        pinned: false,
        partial: 0.1,
    }
}
