//! Readings of the store beside queries: their turn, their time and their end.

#[expect(dead_code, reason = "other tests fill the store")]
mod support;

use leadline_model::duration::Duration;
use leadline_promql::engine::Engine;
use leadline_promql::error::Error;
use leadline_promql::settings::Settings;
use std::sync::Arc;
use std::sync::mpsc::channel;
use support::MemoryStore;

fn engine(timeout_ms: i64) -> Arc<Engine> {
    let settings = Settings {
        timeout: Duration::from_millis(timeout_ms),
        max_concurrency: 1,
        ..Settings::default()
    };
    Engine::new(MemoryStore::new(), settings)
}

#[tokio::test]
async fn a_reading_that_looks_ends_when_time_is_up() {
    let (ends, ended) = channel();
    let work = move |reading: &leadline_promql::reading::Reading| loop {
        if let Err(error) = reading.look() {
            ends.send(error.clone()).unwrap();
            return Err::<(), _>(error);
        }
        std::thread::yield_now();
    };
    let answer = engine(20).read("reading of tests", work).await;
    assert_eq!(answer.unwrap_err().to_string(), "query timed out in reading of tests");
    // Whichever came first: its time or that nobody waited any more.
    assert!(matches!(ended.recv(), Ok(Error::Timeout(_) | Error::Canceled(_))));
}

#[tokio::test]
async fn a_reading_that_does_not_look_is_answered_in_time_and_keeps_its_turn() {
    let engine = engine(20);
    let (release, released) = channel::<()>();
    let stubborn = engine.read("reading of tests", move |_| {
        released.recv().map_err(|_| Error::Overloaded)
    });
    assert!(matches!(stubborn.await, Err(Error::Timeout("reading of tests"))));
    let next = engine.read("reading of tests", |_| Ok(7));
    assert!(
        matches!(next.await, Err(Error::Timeout("query queue"))),
        "its turn is taken"
    );
    release.send(()).unwrap();
}

#[tokio::test]
async fn a_reading_nobody_waits_for_stops_and_makes_room() {
    let engine = engine(3_600_000);
    let (begins, begun) = tokio::sync::oneshot::channel();
    let (ends, ended) = tokio::sync::oneshot::channel();
    let abandoned = {
        let engine = Arc::clone(&engine);
        tokio::spawn(async move {
            let work = move |reading: &leadline_promql::reading::Reading| {
                begins.send(()).unwrap();
                let error = loop {
                    match reading.look() {
                        Ok(()) => std::thread::yield_now(),
                        Err(error) => break error,
                    }
                };
                ends.send(error.to_string()).unwrap();
                Err::<(), _>(error)
            };
            engine.read("reading of tests", work).await
        })
    };
    begun.await.unwrap();
    abandoned.abort();
    assert_eq!(ended.await.unwrap(), "query was canceled in reading of tests");
    assert_eq!(engine.read("reading of tests", |_| Ok(7)).await.unwrap(), 7);
}
