//! What was observed before the start counts.

use crate::world::{START, World};
use leadline_model::port::QueryError;
use leadline_model::sample::Samples;
use leadline_model::target::Health;
use leadline_model::{Clock, Labels, Timestamp};
use leadline_standing::Query;
use leadline_standing::freshness::check_warm;
use std::sync::Arc;

const INTERVAL: i64 = 15_000;

/// The `up` of a target: its value every 15 s, the last one `last` ms before the start.
fn up(owner: u32, last: i64, values: &[f64]) -> (Labels, Samples) {
    let instance = format!("10.0.0.{owner}:80");
    let labels = Labels::from_pairs([("__name__", "up"), ("job", "web"), ("instance", &instance)]);
    let count = i64::try_from(values.len()).unwrap();
    let t = (0..count).map(|i| START - last - (count - 1 - i) * INTERVAL).collect();
    (labels, Samples { t, v: values.to_vec() })
}

/// A process that has just started over this store, both of whose targets were scraped for the first time now.
async fn started(past: Result<Vec<(Labels, Samples)>, QueryError>) -> (World, Arc<dyn Query>) {
    let world = World::new().await;
    *world.store.past.lock().unwrap() = past;
    world.target(1, Some(START));
    world.target(2, Some(START));
    let query = world.register("moves, with a window of a minute");
    world.commit(1).await;
    world.commit(2).await;
    (world, query)
}

/// Why it is cold, where it is.
async fn cold(world: &World, query: &Arc<dyn Query>) -> Option<String> {
    check_warm(&*query.snapshot().await, world.clock.now()).err()
}

/// How long it takes to be warm, ms, to a second.
async fn warm_after(world: &World, query: &Arc<dyn Query>) -> Timestamp {
    for waited in 0..120 {
        if cold(world, query).await.is_none() {
            return waited * 1000;
        }
        world.pass(1000).await;
    }
    Timestamp::MAX
}

const GOOD: [f64; 8] = [1.0; 8];

#[tokio::test(start_paused = true)]
async fn a_restart_shorter_than_a_quarter_of_the_window_is_warm_with_the_first_scrapes() {
    // From the scrape that was due, so an interval is not part of the gap.
    let (world, query) = started(Ok(vec![up(1, 29_999, &GOOD), up(2, INTERVAL, &GOOD)])).await;
    assert_eq!(cold(&world, &query).await, None);
    let (world, query) = started(Ok(vec![up(1, 30_000, &GOOD), up(2, INTERVAL, &GOOD)])).await;
    let why = cold(&world, &query).await.unwrap();
    assert!(
        why.contains("1 of 2 targets were not observed for the whole window of 1m"),
        "{why}"
    );
    assert_eq!(warm_after(&world, &query).await, 60_000);
}

#[tokio::test(start_paused = true)]
async fn a_target_that_was_down_before_the_restart_is_observed_anew() {
    let down = [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0];
    let (world, query) = started(Ok(vec![up(1, INTERVAL, &GOOD), up(2, INTERVAL, &down)])).await;
    assert_eq!(warm_after(&world, &query).await, 60_000);
}

#[tokio::test(start_paused = true)]
async fn a_window_that_reaches_before_what_is_stored_waits_for_the_rest_alone() {
    let young = [1.0, 1.0, 1.0];
    let (world, query) = started(Ok(vec![up(1, INTERVAL, &GOOD), up(2, INTERVAL, &young)])).await;
    assert_eq!(warm_after(&world, &query).await, 15_000);
}

#[tokio::test(start_paused = true)]
async fn another_series_of_the_same_labels_and_more_is_not_the_targets() {
    let (labels, samples) = up(2, INTERVAL, &GOOD);
    let mut more = labels.to_builder();
    more.set("zone", "a");
    let (world, query) = started(Ok(vec![up(1, INTERVAL, &GOOD), (more.build(), samples)])).await;
    assert_eq!(warm_after(&world, &query).await, 60_000);
}

#[tokio::test(start_paused = true)]
async fn scrapes_of_this_process_that_brought_a_part_of_a_target_are_no_past_of_it() {
    let world = World::new().await;
    // Up since the start, but of its series the store had room for a part until now.
    let (labels, mut samples) = up(1, 0, &GOOD);
    samples.t.iter_mut().for_each(|t| *t += 7 * INTERVAL);
    *world.store.past.lock().unwrap() = Ok(vec![(labels, samples)]);
    world.target(1, None);
    world.health(1, Health::Down);
    world.pass(8 * INTERVAL).await;
    world.target(1, Some(START + 8 * INTERVAL));
    let query = world.register("moves, with a window of a minute");
    world.commit(1).await;
    let why = cold(&world, &query).await.unwrap();
    assert!(
        why.contains("1 of 2 targets were not observed for the whole window of 1m"),
        "{why}"
    );
    assert_eq!(warm_after(&world, &query).await, 60_000);
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_still_being_read_leaves_it_cold_until_it_is_read() {
    let (world, query) = started(Err(QueryError::Unavailable("the log is being replayed".to_owned()))).await;
    let why = cold(&world, &query).await.unwrap();
    assert!(why.contains("2 of 2 targets were not observed"), "{why}");
    world.pass(2_000).await;
    assert!(cold(&world, &query).await.is_some());
    *world.store.past.lock().unwrap() = Ok(vec![up(1, INTERVAL, &GOOD), up(2, INTERVAL, &GOOD)]);
    assert_eq!(warm_after(&world, &query).await, 1_000, "with the next evaluation");
}

#[tokio::test(start_paused = true)]
async fn a_past_that_is_damaged_counts_as_none() {
    let (world, query) = started(Err(QueryError::Corrupt("a chunk".to_owned()))).await;
    assert_eq!(warm_after(&world, &query).await, 60_000);
}
