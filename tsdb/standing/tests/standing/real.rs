//! The room with the real store and the real engine.

use crate::world::START;
use leadline_model::clock::ManualClock;
use leadline_model::port::{
    Appender, Attempt, Batch, Entry, Evaluate, EvaluateError, Evaluation, Extras, Plan, PrepareError, Slot,
};
use leadline_model::target::{Board, Health, OwnerId, TargetState};
use leadline_model::{Clock, Labels, Matcher, STALE_NAN, Timestamp};
use leadline_promql::engine::Engine;
use leadline_standing::freshness::{check_warm, judge, judge_empty};
use leadline_standing::{OnPartial, Query, Register, Request, Settings, Standing, Verdict};
use leadline_storage::Head;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const TARGETS: usize = 500;
const INTERVAL_MS: i64 = 5_000;

/// The engine, and how many evaluations it is at: its threads work in real time, so the tests' time waits for them.
struct Watched {
    engine: Arc<Engine>,
    flying: AtomicUsize,
}

#[async_trait::async_trait]
impl Evaluate for Watched {
    fn prepare(&self, text: &str, inject: &[Matcher]) -> Result<Arc<Plan>, PrepareError> {
        self.engine.prepare(text, inject)
    }

    async fn evaluate(&self, plan: &Arc<Plan>, at: Timestamp) -> Result<Evaluation, EvaluateError> {
        self.flying.fetch_add(1, Ordering::SeqCst);
        let result = self.engine.evaluate(plan, at).await;
        self.flying.fetch_sub(1, Ordering::SeqCst);
        result
    }
}

struct House {
    engine: Arc<Watched>,
    clock: Arc<ManualClock>,
    board: Arc<Board>,
    head: Arc<Head>,
    standing: Arc<Standing>,
    owners: Vec<OwnerId>,
    /// The first so many targets fail their scrapes.
    failing: usize,
}

impl House {
    fn new() -> Self {
        Self::with(leadline_storage::Settings::default())
    }

    fn with(settings: leadline_storage::Settings) -> Self {
        let clock = Arc::new(ManualClock::at(START));
        let board = Board::new();
        let head = Head::new(settings, clock.clone()).unwrap();
        let engine = Engine::new(head.clone(), leadline_promql::settings::Settings::default());
        let engine = Arc::new(Watched {
            engine,
            flying: AtomicUsize::new(0),
        });
        let standing = Standing::new(
            Settings::default(),
            engine.clone(),
            head.clone(),
            head.clone(),
            board.clone(),
            clock.clone() as Arc<dyn Clock>,
        );
        let running = standing.clone();
        tokio::spawn(async move { running.run(CancellationToken::new()).await });
        let owners: Vec<OwnerId> = (0..TARGETS).map(|_| head.new_owner()).collect();
        let house = Self {
            engine,
            clock,
            board,
            head,
            standing,
            owners,
            failing: 0,
        };
        (0..TARGETS).for_each(|i| house.discover(i));
        house.board.set_synced(true);
        house
    }

    fn discover(&self, i: usize) {
        self.board.put(TargetState {
            owner: self.owners[i],
            job: "web".into(),
            labels: Labels::from_pairs([("job", "web"), ("instance", &format!("i{i}"))]),
            discovered: Labels::empty(),
            url: format!("http://i{i}/metrics"),
            interval_ms: INTERVAL_MS,
            timeout_ms: INTERVAL_MS,
            health: Health::Unknown,
            first_good: None,
            last_scrape: None,
            last_duration_s: 0.0,
            last_error: None,
        });
    }

    /// One scrape of a target whose counter grows by ten a second; the board is written after the commit.
    fn scrape(&self, i: usize) {
        let (now, fails) = (self.clock.now(), i < self.failing);
        let v = if fails { STALE_NAN } else { (now - START) as f64 / 100.0 };
        let labels = Labels::from_pairs([("__name__", "requests"), ("job", "web"), ("instance", &format!("i{i}"))]);
        let batch = Batch {
            owner: self.owners[i],
            slot: now,
            attempt: if fails { Attempt::Failed } else { Attempt::Good },
            created: vec![labels],
            entries: vec![Entry {
                series: Slot::New(0),
                t: now,
                v,
            }],
            extras: Extras::default(),
        };
        self.head.commit(&batch).unwrap();
        self.board.update(self.owners[i], |target| {
            target.health = if fails { Health::Down } else { Health::Up };
            target.last_scrape = Some(now);
            if !fails {
                target.first_good.get_or_insert(now);
            }
        });
    }

    /// Every target is scraped once per interval, ten milliseconds apart.
    async fn pass(&self, seconds: i64) {
        for _ in 0..seconds * 100 {
            let tick = (self.clock.now() - START) / 10;
            let slot = usize::try_from(tick).unwrap() % TARGETS;
            self.scrape(slot);
            self.clock.advance(10);
            tokio::time::advance(Duration::from_millis(10)).await;
            for _ in 0..5 {
                tokio::task::yield_now().await;
            }
            while self.engine.flying.load(Ordering::SeqCst) > 0 {
                tokio::task::yield_now().await;
            }
        }
    }

    fn register(&self, text: &str) -> Arc<dyn Query> {
        let request = Request {
            text: text.into(),
            inject: Vec::new(),
            index_by: Vec::new(),
            pinned: false,
            partial: 0.1,
        };
        self.standing.register(request).unwrap()
    }

    fn evaluations(&self, query: &Arc<dyn Query>) -> u64 {
        let stats = self.standing.stats();
        stats
            .expressions
            .iter()
            .find(|e| e.text == query.plan().text)
            .unwrap()
            .counts
            .evaluations
    }
}

#[tokio::test(start_paused = true)]
async fn five_hundred_targets_feed_one_rate_that_is_cold_then_exact_then_refused_when_many_die() {
    let mut house = House::new();
    let rate = house.register("sum(rate(requests{job=\"web\"}[15s]))");
    let other = house.register("sum(elsewhere{job=\"other\"}) == bool 1");
    let _pushed = rate.subscribe();
    house.pass(10).await;
    let cold = check_warm(&*rate.snapshot().await, house.clock.now()).unwrap_err();
    assert!(
        cold.contains("were not observed for the whole window of 15s yet"),
        "{cold}"
    );
    house.pass(15).await;
    let before = house.evaluations(&rate);
    house.pass(10).await;
    let evaluations = house.evaluations(&rate) - before;
    assert!(
        (20..=50).contains(&evaluations),
        "{evaluations} in ten seconds of a thousand commits"
    );

    let snapshot = rate.snapshot().await;
    assert_eq!(check_warm(&snapshot, house.clock.now()), Ok(()));
    let row = &snapshot.rows.as_ref().unwrap()[0];
    assert!((row.value - 5_000.0).abs() < 1.0, "{row:?}");
    assert_eq!((row.completeness.feeders, row.completeness.down.len()), (TARGETS, 0));

    house.failing = 100;
    house.pass(5).await;
    let snapshot = rate.snapshot().await;
    let row = &snapshot.rows.as_ref().unwrap()[0];
    assert_eq!((row.completeness.feeders, row.completeness.down.len()), (TARGETS, 100));
    house.pass(15).await;
    let snapshot = rate.snapshot().await;
    let row = &snapshot.rows.as_ref().unwrap()[0];
    assert!(row.value < 4_100.0, "a fifth of the rate is gone: {}", row.value);
    assert!(matches!(
        judge(OnPartial::Raise, 0.1, row, &house.board),
        Verdict::Refuse(_)
    ));
    assert_eq!(house.evaluations(&other), 0, "no commit touched it and nobody asked");
}

#[tokio::test(start_paused = true)]
async fn an_empty_result_is_believed_only_while_its_feeders_answer() {
    let mut house = House::new();
    let busy = house.register("sum(requests{job=\"web\"}) > 1e12");
    house.pass(10).await;
    let snapshot = busy.snapshot().await;
    assert!(snapshot.rows.as_ref().unwrap().is_empty());
    assert_eq!(judge_empty(OnPartial::Raise, 0.1, &snapshot, &house.board), Ok(()));
    house.failing = TARGETS;
    house.pass(6).await;
    let why = judge_empty(OnPartial::Raise, 0.1, &*busy.snapshot().await, &house.board).unwrap_err();
    assert!(why.contains("500 of 500 targets that feed it are down: web/i"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn a_sum_of_which_the_stores_cap_refused_a_part_is_refused() {
    let house = House::with(leadline_storage::Settings {
        max_series: 400,
        ..leadline_storage::Settings::default()
    });
    let rate = house.register("sum(rate(requests{job=\"web\"}[15s]))");
    house.pass(25).await;
    let snapshot = rate.snapshot().await;
    assert_eq!(check_warm(&snapshot, house.clock.now()), Ok(()));
    let row = &snapshot.rows.as_ref().unwrap()[0];
    assert!((row.value - 4_000.0).abs() < 1.0, "{row:?}");
    assert_eq!((row.completeness.feeders, row.completeness.down.len()), (TARGETS, 100));
    assert!(matches!(
        judge(OnPartial::Raise, 0.1, row, &house.board),
        Verdict::Refuse(_)
    ));
}
