//! Completeness and warmth of what standing queries answer.

use crate::world::{START, World};
use leadline_model::Clock;
use leadline_model::port::Attempt;
use leadline_model::target::{Health, OwnerId};
use leadline_standing::freshness::{check_warm, judge, judge_empty};
use leadline_standing::{OnPartial, Query, Row, Verdict};
use std::sync::Arc;

async fn row(query: &Arc<dyn Query>) -> Row {
    query.snapshot().await.rows.as_ref().unwrap()[0].clone()
}

fn served(world: &World, row: &Row) -> bool {
    matches!(judge(OnPartial::Raise, 0.1, row, &world.board), Verdict::Serve(_))
}

/// One of the two targets fails its scrape: half of the sum is gone.
async fn half_dies(world: &World, left: f64) {
    world.pass(1_000).await;
    world.answer(&[(&[], left, &[1])]);
    world.health(2, Health::Down);
    world.store.commit(2, world.clock.now(), Attempt::Failed, true);
    world.settle().await;
}

#[tokio::test(start_paused = true)]
async fn from_the_commit_of_a_failed_scrape_on_a_lower_value_is_refused() {
    let world = World::new().await;
    let query = world.register("still");
    assert!(served(&world, &row(&query).await));
    half_dies(&world, 5.0).await;
    let half = row(&query).await;
    assert_eq!(
        (half.completeness.feeders, &half.completeness.down[..]),
        (2, &[OwnerId(2)][..])
    );
    assert_eq!((half.value, half.last_complete), (5.0, Some(10.0)));
    assert!(!served(&world, &half));
}

#[tokio::test(start_paused = true)]
async fn a_partial_value_may_still_raise() {
    let world = World::new().await;
    let query = world.register("still");
    row(&query).await;
    half_dies(&world, 25.0).await;
    let more = row(&query).await;
    assert!(served(&world, &more));
    assert_eq!(more.last_complete, Some(10.0), "a partial value is not the new measure");
}

#[tokio::test(start_paused = true)]
async fn a_target_that_discovery_dropped_no_longer_counts() {
    let world = World::new().await;
    let query = world.register("still");
    row(&query).await;
    half_dies(&world, 5.0).await;
    world.board.remove(OwnerId(2));
    world.pass(1_000).await;
    let rest = row(&query).await;
    assert_eq!(rest.completeness.feeders, 1);
    assert!(served(&world, &rest));
}

#[tokio::test(start_paused = true)]
async fn a_target_that_recovers_makes_the_value_complete_again() {
    let world = World::new().await;
    let query = world.register("still");
    row(&query).await;
    half_dies(&world, 5.0).await;
    assert!(!served(&world, &row(&query).await));
    world.pass(1_000).await;
    world.answer(&[(&[], 8.0, &[1, 2])]);
    world.store.commit(2, world.clock.now(), Attempt::Good, true);
    world.settle().await;
    world.health(2, Health::Up);
    world.pass(1_000).await;
    let whole = row(&query).await;
    assert!(
        served(&world, &whole),
        "the board was written after the commit, and no commit followed: {whole:?}"
    );
    assert_eq!(whole.last_complete, Some(8.0));
}

#[tokio::test(start_paused = true)]
async fn without_an_earlier_complete_value_a_partial_one_is_refused() {
    let world = World::new().await;
    world.answer(&[(&[], 500.0, &[1])]);
    world.health(2, Health::Down);
    let query = world.register("still");
    let row = row(&query).await;
    assert_eq!(row.last_complete, None);
    assert!(
        !served(&world, &row),
        "target 2 fed the selector, so the sum lacks it: {row:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_empty_result_is_not_believed_while_feeders_are_down() {
    let world = World::new().await;
    world.answer(&[]);
    let query = world.register("still");
    let snapshot = query.snapshot().await;
    assert!(judge_empty(OnPartial::Raise, 0.1, &snapshot, &world.board).is_ok());
    world.pass(1_000).await;
    world.health(1, Health::Down);
    world.store.commit(1, world.clock.now(), Attempt::Failed, true);
    world.settle().await;
    let why = judge_empty(OnPartial::Raise, 0.1, &*query.snapshot().await, &world.board).unwrap_err();
    assert_eq!(
        why,
        "the result is empty and partial: 1 of 2 targets that feed it are down: web/10.0.0.1:80"
    );
}

#[tokio::test(start_paused = true)]
async fn after_a_start_a_window_is_cold_until_it_is_covered_and_warm_from_then_on() {
    let world = World::new().await;
    world.target(1, Some(START));
    world.target(2, Some(START + 5_000));
    let query = world.register("moves window");
    assert!(
        check_warm(&*query.snapshot().await, world.clock.now())
            .unwrap_err()
            .starts_with("warming up: ")
    );
    world.pass(64_000).await;
    assert!(check_warm(&*query.snapshot().await, world.clock.now()).is_err());
    world.pass(1_000).await;
    assert_eq!(check_warm(&*query.snapshot().await, world.clock.now()), Ok(()));
    world.target(3, None);
    world.pass(1_000).await;
    assert_eq!(
        check_warm(&*query.snapshot().await, world.clock.now()),
        Ok(()),
        "a pod that came later"
    );
}

#[tokio::test(start_paused = true)]
async fn an_instant_expression_warms_without_a_commit_that_touches_it() {
    let world = World::new().await;
    world.target(2, None);
    let query = world.register("still");
    assert!(check_warm(&*query.snapshot().await, world.clock.now()).is_err());
    world.target(2, Some(world.clock.now()));
    assert_eq!(check_warm(&*query.snapshot().await, world.clock.now()), Ok(()));
    assert_eq!(world.evaluations(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_a_cold_window_shows_is_no_measure_for_a_partial_value() {
    let world = World::new().await;
    world.target(1, Some(START));
    world.target(2, Some(START));
    world.answer(&[(&[], 1.0, &[1, 2])]);
    let query = world.register("moves window");
    query.snapshot().await;
    half_dies(&world, 3.0).await;
    assert_eq!(row(&query).await.last_complete, None);
}

#[tokio::test(start_paused = true)]
async fn a_window_lacks_a_target_that_came_back_until_it_lies_behind_the_outage() {
    let world = World::new().await;
    let query = world.register("moves window");
    assert!(served(&world, &row(&query).await));
    half_dies(&world, 5.0).await;
    world.pass(90_000).await;
    world.health(2, Health::Up);
    world.commit(2).await;
    let back = row(&query).await;
    assert!(
        !served(&world, &back),
        "a rate has no value for the target before its second scrape: {back:?}"
    );
    world.pass(59_000).await;
    assert!(!served(&world, &row(&query).await));
    world.answer(&[(&[], 8.0, &[1, 2])]);
    world.pass(1_000).await;
    assert!(served(&world, &row(&query).await));
}

#[tokio::test(start_paused = true)]
async fn a_gap_of_less_than_a_quarter_of_the_window_is_bridged() {
    let world = World::new().await;
    let query = world.register("moves window");
    row(&query).await;
    half_dies(&world, 5.0).await;
    world.pass(15_000).await;
    world.health(2, Health::Up);
    world.commit(2).await;
    assert!(served(&world, &row(&query).await));
}
