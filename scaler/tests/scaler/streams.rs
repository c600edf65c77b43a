//! The streams, with time that tests move.

use crate::world::{World, object};
use leadline_scaler::externalscaler::IsActiveResponse;
use std::time::Duration;
use tokio::time::{Instant, timeout};
use tonic::Streaming;

/// What arrives within so many seconds: (second, state).
async fn arrivals(stream: &mut Streaming<IsActiveResponse>, since: Instant, seconds: u64) -> Vec<(u64, bool)> {
    let mut seen = Vec::new();
    let end = Instant::now() + Duration::from_secs(seconds);
    while let Ok(message) = tokio::time::timeout_at(end, stream.message()).await {
        let Some(message) = message.unwrap() else { break };
        seen.push((since.elapsed().as_secs(), message.result));
    }
    seen
}

#[tokio::test(start_paused = true)]
async fn the_state_is_said_at_open_each_edge_at_once_and_true_three_times_again() {
    let world = World::new().await;
    world.answer(&[0.0]);
    let mut stream = world.client().stream_is_active(object(&[])).await.unwrap().into_inner();
    let start = Instant::now();
    assert_eq!(arrivals(&mut stream, start, 100).await, [(0, false)]);
    world.answer(&[1.0]);
    assert_eq!(
        arrivals(&mut stream, start, 100).await,
        [(100, true), (105, true), (115, true), (145, true)]
    );
    world.answer(&[2.0]);
    assert_eq!(arrivals(&mut stream, start, 100).await, [], "still active is no edge");
    world.answer(&[0.0]);
    assert_eq!(arrivals(&mut stream, start, 100).await, [(300, false)]);
    let stats = world.scaler.stats();
    assert_eq!((stats.streams, stats.edges, stats.repeats), (1, 3, 3));
}

#[tokio::test(start_paused = true)]
async fn cold_warming_and_partial_values_are_no_edges_and_end_nothing() {
    let world = World::new().await;
    world.cold();
    let mut stream = world.client().stream_is_active(object(&[])).await.unwrap().into_inner();
    let start = Instant::now();
    assert_eq!(arrivals(&mut stream, start, 60).await, []);
    world.warming(3.0);
    assert_eq!(arrivals(&mut stream, start, 60).await, []);
    world.answer(&[3.0]);
    assert_eq!(arrivals(&mut stream, start, 1).await, [(120, true)]);
    world.warming(0.0);
    assert_eq!(
        arrivals(&mut stream, start, 2).await,
        [],
        "a warming 0 does not end activity"
    );
    world.partial(0.0, 3.0);
    assert_eq!(
        arrivals(&mut stream, start, 60).await,
        [],
        "a partial 0 does not end activity"
    );
    world.answer(&[0.0]);
    assert_eq!(arrivals(&mut stream, start, 1).await, [(183, false)]);
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_is_told_the_newest_state_alone() {
    let world = World::new().await;
    world.answer(&[0.0]);
    let mut stream = world.client().stream_is_active(object(&[])).await.unwrap().into_inner();
    stream.message().await.unwrap();
    for round in 0..1_000 {
        world.answer(&[f64::from(round % 2)]);
    }
    world.answer(&[0.0]);
    assert_eq!(
        arrivals(&mut stream, Instant::now(), 60).await,
        [],
        "it ended as it began"
    );
}

#[tokio::test(start_paused = true)]
async fn streams_end_well_when_the_scaler_stops() {
    let world = World::new().await;
    let mut activity = world.client().stream_is_active(object(&[])).await.unwrap().into_inner();
    let mut spec = world
        .client()
        .stream_metric_spec(object(&[]))
        .await
        .unwrap()
        .into_inner();
    assert!(activity.message().await.unwrap().unwrap().result);
    assert_eq!(spec.message().await.unwrap().unwrap().metric_specs.len(), 1);
    assert!(
        timeout(Duration::from_secs(600), spec.message()).await.is_err(),
        "it stays open and says no more"
    );
    assert_eq!(world.scaler.stats().streams, 2);
    world.stop.cancel();
    assert_eq!(arrivals(&mut activity, Instant::now(), 1).await, []);
    assert_eq!(activity.message().await.unwrap(), None, "an end without an error");
    assert_eq!(spec.message().await.unwrap(), None);
    drop((activity, spec));
    assert_eq!(world.scaler.stats().streams, 0);
}
