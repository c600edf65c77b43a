//! Targets that are down since before the start, after the time for which they are waited for.

use crate::world::{START, World};
use leadline_model::port::{EvaluateError, QueryError};
use leadline_model::sample::Samples;
use leadline_model::target::{Health, OwnerId};
use leadline_model::{Clock, Labels, Timestamp};
use leadline_standing::freshness::{check_warm, judge, judge_empty};
use leadline_standing::{OnPartial, Query, Settings, Snapshot, Verdict};
use std::sync::Arc;

const GIVE_UP: i64 = 2_000;

type Past = Result<Vec<(Labels, Samples)>, QueryError>;

/// A series of target 2 from before the start.
fn of_two(name: &str) -> (Labels, Samples) {
    let labels = Labels::from_pairs([("__name__", name), ("job", "web"), ("instance", "10.0.0.2:80")]);
    let samples = Samples {
        t: vec![START - 60_000],
        v: vec![if name == "up" { 1.0 } else { 5.0 }],
    };
    (labels, samples)
}

/// A process that started over this store, in which target 1 answers and target 2 does not.
async fn started(past: Past) -> (World, Arc<dyn Query>) {
    let settings = Settings {
        warm_give_up_ms: GIVE_UP,
        ..Settings::default()
    };
    let world = World::with(settings, 16_384).await;
    *world.store.past.lock().unwrap() = past;
    world.target(1, Some(START));
    world.target(2, None);
    world.health(2, Health::Down);
    world.store.owners.lock().unwrap().retain(|owner| *owner == OwnerId(1));
    world.answer(&[(&[], 5.0, &[1])]);
    *world.engine.before.lock().unwrap() = Some(Ok(vec![(Labels::empty(), 10.0, vec![1, 2])]));
    let query = world.register("still");
    world.commit(1).await;
    assert!(cold(&world, &query).await.is_some(), "target 2 is waited for");
    world.pass(GIVE_UP).await;
    (world, query)
}

async fn cold(world: &World, query: &Arc<dyn Query>) -> Option<String> {
    check_warm(&*query.snapshot().await, world.clock.now()).err()
}

/// The snapshot once it is warm, which takes no commit.
async fn warm(world: &World, query: &Arc<dyn Query>) -> Arc<Snapshot> {
    let mut snapshot = query.snapshot().await;
    for _ in 0..10 {
        if check_warm(&snapshot, world.clock.now()).is_err() {
            world.pass(1_000).await;
            snapshot = query.snapshot().await;
        }
    }
    assert_eq!(check_warm(&snapshot, world.clock.now()), Ok(()));
    snapshot
}

/// How many feed the value, and how many of those are down; whether it is served.
async fn judged(world: &World, query: &Arc<dyn Query>) -> (usize, usize, bool) {
    let snapshot = warm(world, query).await;
    let row = &snapshot.rows.as_ref().unwrap()[0];
    let served = matches!(judge(OnPartial::Raise, 0.1, row, &world.board), Verdict::Serve(_));
    (row.completeness.feeders, row.completeness.down.len(), served)
}

#[tokio::test(start_paused = true)]
async fn a_target_that_fed_before_the_start_and_is_down_since_is_missing_until_discovery_drops_it() {
    let (world, query) = started(Ok(vec![of_two("up"), of_two("m")])).await;
    assert_eq!(judged(&world, &query).await, (2, 1, false));
    assert!(world.evaluations() <= 3, "{} evaluations", world.evaluations());
    world.pass(5_000).await;
    assert_eq!(judged(&world, &query).await, (2, 1, false), "however long it lasts");
    world.board.remove(OwnerId(2));
    world.pass(1_000).await;
    assert_eq!(judged(&world, &query).await, (1, 0, true));
}

/// Whether a value is served that is answered from now on.
async fn served(world: &World, query: &Arc<dyn Query>, value: f64) -> bool {
    world.answer(&[(&[], value, &[1])]);
    world.commit(1).await;
    world.pass(500).await;
    judged(world, query).await.2
}

#[tokio::test(start_paused = true)]
async fn what_the_others_give_may_raise_above_the_value_of_before_the_start_and_never_lower() {
    let (world, query) = started(Ok(vec![of_two("up"), of_two("m")])).await;
    warm(&world, &query).await;
    let before: Vec<Timestamp> = world.engine.asked.lock().unwrap().clone();
    let before: Vec<Timestamp> = before.into_iter().filter(|at| *at < START).collect();
    assert_eq!(before, [START - 60_000], "once, when it was up last");
    for value in [5.0, 12.0, 9.9, 10.0] {
        assert_eq!(served(&world, &query, value).await, value >= 10.0, "{value}");
    }
    let snapshot = query.snapshot().await;
    let before = snapshot.before.as_deref().unwrap();
    assert_eq!(before.values.get(&Labels::empty()), Some(&10.0));
    assert_eq!(before.missing, [OwnerId(2)]);
}

#[tokio::test(start_paused = true)]
async fn without_a_value_of_before_the_start_the_first_after_twice_the_waiting_is_the_measure() {
    // Nothing is known of the target; it fed the expression and was never up.
    for past in [Vec::new(), vec![of_two("m")]] {
        let (world, query) = started(Ok(past)).await;
        assert!(!served(&world, &query, 50.0).await);
        world.pass(START + 2 * GIVE_UP - world.clock.now() - 600).await;
        assert!(!served(&world, &query, 5.0).await, "it is not over");
        assert_eq!(query.snapshot().await.settled, []);
        world.pass(1_000).await;
        let settled = query.snapshot().await;
        assert_eq!(
            settled.settled, settled.completeness.down,
            "what else may be the measure"
        );
        for (value, expected) in [(5.0, true), (4.0, false), (6.0, true), (5.0, true)] {
            assert_eq!(served(&world, &query, value).await, expected, "{value}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_evaluation_of_the_time_before_the_start_that_fails_leaves_no_measure() {
    let (world, query) = started(Ok(vec![of_two("up"), of_two("m")])).await;
    *world.engine.before.lock().unwrap() = Some(Err(EvaluateError::Overloaded));
    assert!(!served(&world, &query, 50.0).await);
    world.pass(GIVE_UP).await;
    assert!(served(&world, &query, 5.0).await);
}

#[tokio::test(start_paused = true)]
async fn a_log_that_cannot_be_read_is_waited_for_as_long_again_as_a_target() {
    let (world, query) = started(Err(QueryError::Unavailable("the log cannot be read".to_owned()))).await;
    world.pass(GIVE_UP - 1_000).await;
    let why = cold(&world, &query).await.unwrap();
    assert!(why.contains("is not known yet"), "{why}");
    world.pass(1_000).await;
    assert_eq!(
        judged(&world, &query).await,
        (2, 1, true),
        "as of a target that nothing is known of"
    );
}

#[tokio::test(start_paused = true)]
async fn it_is_part_of_the_value_again_once_it_answers() {
    let (world, query) = started(Ok(vec![of_two("m")])).await;
    assert_eq!(judged(&world, &query).await, (2, 1, false));
    world.target(2, Some(world.clock.now()));
    world.answer(&[(&[], 10.0, &[1, 2])]);
    world.commit(2).await;
    world.pass(1_000).await;
    assert_eq!(judged(&world, &query).await, (2, 0, true));
}

#[tokio::test(start_paused = true)]
async fn a_target_that_was_there_before_and_fed_nothing_is_missed_by_nobody() {
    let (world, query) = started(Ok(vec![of_two("up"), of_two("other")])).await;
    assert_eq!(judged(&world, &query).await, (1, 0, true));
}

#[tokio::test(start_paused = true)]
async fn a_target_that_nothing_is_known_of_is_missing_from_a_value_of_its_job_but_not_from_an_empty_result() {
    let (world, query) = started(Ok(Vec::new())).await;
    assert_eq!(judged(&world, &query).await, (2, 1, false));
    world.answer(&[]);
    world.commit(1).await;
    world.pass(1_000).await;
    let snapshot = warm(&world, &query).await;
    assert!(snapshot.rows.as_ref().unwrap().is_empty());
    assert_eq!(judge_empty(OnPartial::Raise, 0.1, &snapshot, &world.board), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn an_empty_result_is_not_believed_while_what_fed_it_before_the_start_is_down() {
    let (world, query) = started(Ok(vec![of_two("m")])).await;
    world.answer(&[]);
    world.commit(1).await;
    world.pass(1_000).await;
    let why = judge_empty(OnPartial::Raise, 0.1, &*warm(&world, &query).await, &world.board).unwrap_err();
    assert!(
        why.ends_with("1 of 2 targets that feed it are down: web/10.0.0.2:80"),
        "{why}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_still_being_read_keeps_it_cold_and_a_subscriber_is_told_when_it_is_read() {
    let (world, query) = started(Err(QueryError::Unavailable("the log is being replayed".to_owned()))).await;
    let mut pushed = query.subscribe();
    world.pass(1_500).await;
    let why = cold(&world, &query).await.unwrap();
    assert!(why.contains("is not known yet"), "{why}");
    *world.store.past.lock().unwrap() = Ok(vec![of_two("m")]);
    pushed.borrow_and_update();
    world.pass(2_000).await;
    let snapshot = pushed.borrow_and_update().clone().unwrap();
    assert_eq!(check_warm(&snapshot, world.clock.now()), Ok(()));
    assert_eq!(snapshot.completeness.down, [OwnerId(2)]);
}

#[tokio::test(start_paused = true)]
async fn an_expression_that_is_registered_later_knows_it_with_its_first_answer() {
    let (world, _) = started(Ok(vec![of_two("m")])).await;
    world.pass(1_000).await;
    let later: Timestamp = world.clock.now();
    let query = world.register("moves");
    let snapshot = query.snapshot().await;
    assert_eq!(check_warm(&snapshot, later), Ok(()));
    assert_eq!(snapshot.completeness.down, [OwnerId(2)]);
}
