//! Rows of workloads that came later than those that keep their expression warm.

use crate::world::{START, World};
use leadline_model::port::QueryError;
use leadline_model::sample::Samples;
use leadline_model::target::OwnerId;
use leadline_model::{Clock, Labels, Timestamp};
use leadline_standing::freshness::{check_warm, describe_warming};
use leadline_standing::{Query, Row, Snapshot};
use std::sync::Arc;
use tokio::sync::watch::Receiver;

const WINDOW: &str = "moves, with a window of a minute";

/// Pod a is fed by target 1, which is old, pod b by target 3, whose first scrape is at the start, and c by both. A second
/// has passed since.
async fn joined() -> (World, Arc<dyn Query>) {
    let world = World::new().await;
    let query = world.register(WINDOW);
    check_warm(&*query.snapshot().await, world.clock.now()).unwrap();
    world.target(3, Some(world.clock.now()));
    world.answer(&[
        (&[("pod", "a")], 10.0, &[1]),
        (&[("pod", "b")], 1.0, &[3]),
        (&[("pod", "c")], 11.0, &[1, 3]),
    ]);
    world.commit(3).await;
    world.pass(1_000).await;
    // The store is read on a thread of its own; whoever asks waits for it.
    query.snapshot().await;
    (world, query)
}

async fn of(query: &Arc<dyn Query>, pod: &str) -> Row {
    query.snapshot().await.find(&[pod])[0].clone()
}

#[tokio::test(start_paused = true)]
async fn a_row_of_young_targets_is_warming_for_a_window_and_the_others_are_not() {
    let (world, query) = joined().await;
    for second in 1..60 {
        let warming = of(&query, "b").await.warming;
        assert_eq!(warming.map(|w| w.until()), Some(START + 60_000), "after {second} s");
        for pod in ["a", "c"] {
            assert_eq!(of(&query, pod).await.warming, None, "{pod} after {second} s");
        }
        world.pass(1_000).await;
    }
    let b = of(&query, "b").await;
    assert_eq!((b.warming, b.last_complete), (None, Some(1.0)));
}

#[tokio::test(start_paused = true)]
async fn the_expression_of_a_warming_row_is_warm_and_counts_it() {
    let (world, query) = joined().await;
    let snapshot = query.snapshot().await;
    assert_eq!(check_warm(&snapshot, world.clock.now()), Ok(()));
    let shown = || {
        let expression = world.standing.stats().expressions.remove(0);
        (expression.cold, expression.warming)
    };
    assert_eq!(shown(), (false, 1));
    world.pass(21_700).await;
    let row = of(&query, "b").await;
    assert_eq!(
        describe_warming(&row.warming.unwrap(), world.clock.now()),
        "warming up: observed for 22s of the 1m that is read; ready in about 38 s"
    );
    world.pass(37_300).await;
    query.snapshot().await;
    assert_eq!(shown(), (false, 0));
}

#[tokio::test(start_paused = true)]
async fn what_a_warming_row_shows_is_no_measure_for_a_partial_one() {
    let (_world, query) = joined().await;
    assert_eq!(of(&query, "a").await.last_complete, Some(10.0));
    assert_eq!(of(&query, "b").await.last_complete, None);
}

#[tokio::test(start_paused = true)]
async fn what_reads_one_sample_is_never_warming() {
    let world = World::new().await;
    let query = world.register("still");
    query.snapshot().await;
    world.target(3, Some(world.clock.now()));
    world.answer(&[(&[("pod", "b")], 1.0, &[3])]);
    world.pass(1_000).await;
    world.commit(3).await;
    let row = of(&query, "b").await;
    assert_eq!((row.value, row.warming), (1.0, None));
}

#[tokio::test(start_paused = true)]
async fn subscribers_are_woken_when_time_alone_ends_it_and_nothing_is_evaluated_for_that() {
    let (world, query) = joined().await;
    let mut snapshots = query.subscribe();
    let state = |snapshots: &mut Receiver<Option<Arc<Snapshot>>>| {
        let newest = snapshots.borrow_and_update().clone();
        newest.is_some_and(|snapshot| snapshot.find(&["b"])[0].warming.is_some())
    };
    assert!(state(&mut snapshots));
    world.pass(58_990).await;
    assert!(state(&mut snapshots));
    let before = world.evaluations();
    world.pass(20).await;
    assert!(snapshots.has_changed().unwrap());
    assert!(!state(&mut snapshots), "no commit came since");
    world.pass(10_000).await;
    // One aligned tick a second, as for everything that moves with time.
    assert!(world.evaluations() - before <= 11, "{}", world.evaluations() - before);
}

/// The `up` of target 3 every 15 s until `last` ms before the start.
fn up(last: i64) -> (Labels, Samples) {
    let labels = Labels::from_pairs([("__name__", "up"), ("job", "web"), ("instance", "10.0.0.3:80")]);
    let t: Vec<Timestamp> = (0..8).rev().map(|i| START - last - i * 15_000).collect();
    let v = vec![1.0; t.len()];
    (labels, Samples { t, v })
}

#[tokio::test(start_paused = true)]
async fn a_target_that_discovery_found_anew_is_as_old_as_the_store_says() {
    type Past = Result<Vec<(Labels, Samples)>, QueryError>;
    let cases: [(Past, bool); 4] = [
        (Ok(vec![up(15_000)]), false),
        (Ok(vec![up(29_999)]), false),
        (Ok(vec![up(30_000)]), true),
        (
            Err(QueryError::Unavailable("the log is being replayed".to_owned())),
            true,
        ),
    ];
    for (past, warming) in cases {
        let world = World::new().await;
        let query = world.register(WINDOW);
        query.snapshot().await;
        let told = format!("{past:?}");
        *world.store.past.lock().unwrap() = past;
        world.target(3, Some(world.clock.now()));
        world.answer(&[(&[("pod", "b")], 1.0, &[3])]);
        world.pass(1_000).await;
        world.commit(3).await;
        assert_eq!(of(&query, "b").await.warming.is_some(), warming, "{told}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_rollout_without_a_gap_leaves_a_sum_warm() {
    let (world, query) = joined().await;
    let now = world.clock.now();
    world.target(4, Some(now - 600_000));
    world.board.update(OwnerId(4), |target| target.last_scrape = Some(now));
    world.pass(1_000).await;
    world.board.remove(OwnerId(4));
    world.answer(&[(&[("pod", "b")], 9.0, &[3, 4])]);
    world.pass(1_000).await;
    assert_eq!(of(&query, "b").await.warming, None);
    world.answer(&[(&[("pod", "b")], 9.0, &[3])]);
    world.pass(1_000).await;
    assert!(
        of(&query, "b").await.warming.is_some(),
        "the old pod's samples have left the window"
    );
}
