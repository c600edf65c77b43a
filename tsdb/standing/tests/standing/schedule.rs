//! When standing queries are evaluated, counted at the engine.

use crate::world::{START, World, request};
use leadline_model::Clock;
use leadline_model::port::Attempt;
use leadline_standing::freshness::check_warm;
use leadline_standing::{Counts, Register, RegisterError, Request, Settings};

fn counts(world: &World) -> Counts {
    world.standing.stats().total
}

#[tokio::test(start_paused = true)]
async fn nothing_is_evaluated_without_a_commit_or_a_question() {
    let world = World::new().await;
    let query = world.register("still");
    let _subscribed = query.subscribe();
    world.pass(2_000).await;
    assert_eq!(world.evaluations(), 1, "a subscriber is given a first value");
    world.store.commit(1, world.clock.now(), Attempt::Good, false);
    world.pass(10_000).await;
    assert_eq!(
        world.evaluations(),
        1,
        "neither a commit that touches nothing nor time moves it"
    );
}

#[tokio::test(start_paused = true)]
async fn the_first_commit_evaluates_at_once_at_its_slot_time() {
    let world = World::new().await;
    let _query = world.register("still");
    world.pass(370).await;
    world.store.commit(1, START + 333, Attempt::Good, true);
    world.settle().await;
    assert_eq!(*world.engine.asked.lock().unwrap(), [START + 333]);
}

#[tokio::test(start_paused = true)]
async fn five_hundred_targets_of_one_expression_stay_within_the_bound() {
    let world = World::new().await;
    let query = world.register("moves window");
    let _subscribed = query.subscribe();
    for round in 0..1_000 {
        for owner in 0..5 {
            world
                .store
                .commit(owner + (round % 100) * 5, world.clock.now(), Attempt::Good, true);
        }
        world.pass(10).await;
    }
    let counts = counts(&world);
    assert_eq!(counts.commits, 5_000);
    assert!(
        (40..=50).contains(&counts.evaluations),
        "ten seconds of commits: {counts:?}"
    );
    assert_eq!(world.evaluations() as u64, counts.evaluations);
}

#[tokio::test(start_paused = true)]
async fn an_expensive_expression_waits_ten_times_its_own_cost() {
    let world = World::new().await;
    *world.engine.cost.lock().unwrap() = std::time::Duration::from_millis(100);
    let _query = world.register("still");
    for _ in 0..1_000 {
        world.commit(1).await;
        world.pass(10).await;
    }
    assert!(
        (9..=11).contains(&world.evaluations()),
        "{} in ten seconds",
        world.evaluations()
    );
}

#[tokio::test(start_paused = true)]
async fn the_last_commit_of_a_burst_is_seen() {
    let world = World::new().await;
    let query = world.register("still");
    let mut newest = query.subscribe();
    world.commit(1).await;
    world.answer(&[(&[], 77.0, &[1, 2])]);
    world.pass(20).await;
    world.commit(2).await;
    world.pass(300).await;
    let value = newest.borrow_and_update().as_ref().unwrap().rows.as_ref().unwrap()[0].value;
    assert_eq!(value, 77.0);
}

#[tokio::test(start_paused = true)]
async fn what_moves_with_time_is_evaluated_on_aligned_ticks_while_subscribed() {
    let world = World::new().await;
    let query = world.register("moves");
    let subscribed = query.subscribe();
    world.pass(400).await;
    world.pass(5_000).await;
    let asked = world.engine.asked.lock().unwrap().clone();
    assert!((4..=6).contains(&asked.len()), "{asked:?}");
    assert!(asked.iter().all(|at| at % 1000 == 0), "{asked:?}");
    drop(subscribed);
    world.pass(10_000).await;
    let after = world.evaluations();
    world.pass(10_000).await;
    assert_eq!(world.evaluations(), after, "nobody asks, nobody is subscribed");
}

#[tokio::test(start_paused = true)]
async fn questions_are_answered_from_the_index() {
    let world = World::new().await;
    let query = world.register("still");
    for _ in 0..100 {
        query.snapshot().await;
        world.pass(10).await;
    }
    let counts = counts(&world);
    assert_eq!((counts.questions, counts.from_index, counts.evaluations), (100, 99, 1));
}

#[tokio::test(start_paused = true)]
async fn a_question_after_a_commit_sees_it() {
    let world = World::new().await;
    let query = world.register("still");
    query.snapshot().await;
    world.pass(1_000).await;
    world.answer(&[(&[], 5.0, &[1])]);
    world.store.commit(1, world.clock.now(), Attempt::Good, true);
    assert_eq!(query.snapshot().await.rows.as_ref().unwrap()[0].value, 5.0);
}

#[tokio::test(start_paused = true)]
async fn a_question_during_an_evaluation_is_not_answered_with_what_is_long_past() {
    let world = World::new().await;
    let query = world.register("moves");
    query.snapshot().await;
    world.pass(60_000).await;
    world.answer(&[(&[], 5.0, &[1])]);
    *world.engine.cost.lock().unwrap() = std::time::Duration::from_millis(100);
    let (first, second) = futures::join!(query.snapshot(), query.snapshot());
    for snapshot in [first, second] {
        assert_eq!(snapshot.rows.as_ref().unwrap()[0].value, 5.0);
    }
    assert_eq!(
        world.evaluations(),
        2 + 5,
        "the first, five ticks after it, and one for both"
    );
}

#[tokio::test(start_paused = true)]
async fn equal_expressions_share_one_evaluation_with_an_index_each() {
    let world = World::new().await;
    world.answer(&[
        (&[("pod", "a"), ("node", "n")], 1.0, &[1]),
        (&[("pod", "b"), ("node", "n")], 2.0, &[2]),
    ]);
    let by_pod = world.register("still");
    let by_node = world.standing.register(Request {
        index_by: vec!["node".into()],
        ..request(" still ")
    });
    let by_node = by_node.unwrap();
    assert_eq!(by_pod.snapshot().await.find(&["b"])[0].value, 2.0);
    assert_eq!(by_node.snapshot().await.find(&["n"]).len(), 2);
    assert_eq!(world.evaluations(), 1);
    assert_eq!(world.standing.stats().registered, 1);
    assert_eq!(world.standing.stats().expressions[0].registrations, 2);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_last_registration_deregisters_its_selectors() {
    let world = World::new().await;
    let (a, b) = (world.register("still"), world.register("still"));
    drop(a);
    assert_eq!(world.store.registered.lock().unwrap().len(), 1);
    drop(b);
    assert!(world.store.registered.lock().unwrap().is_empty());
    assert_eq!(world.standing.stats().registered, 0);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_asks_for_expires_and_comes_back_with_the_next_question() {
    let world = World::with(
        Settings {
            expire_ms: 3_000,
            ..Settings::default()
        },
        1024,
    )
    .await;
    let query = world.register("still");
    let pinned = world
        .standing
        .register(Request {
            pinned: true,
            ..request("pinned")
        })
        .unwrap();
    query.snapshot().await;
    pinned.snapshot().await;
    world.pass(5_000).await;
    assert_eq!(world.store.registered.lock().unwrap().len(), 1, "the pinned one stays");
    assert_eq!(world.standing.stats().expired, 1);
    let before = world.evaluations();
    world.commit(1).await;
    world.pass(1_000).await;
    assert_eq!(
        world.evaluations(),
        before,
        "nobody asked for a while, so commits evaluate nothing"
    );
    assert!(query.snapshot().await.rows.is_ok());
    assert_eq!(world.store.registered.lock().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn registrations_are_capped_and_bad_expressions_refused() {
    let world = World::with(
        Settings {
            max_queries: 1,
            ..Settings::default()
        },
        1024,
    )
    .await;
    let _query = world.register("still");
    let _again = world.register("still");
    let refusal = |text: &str| world.standing.register(request(text)).err().unwrap();
    assert!(matches!(refusal("other"), RegisterError::Full(1)));
    assert!(matches!(refusal("\"text\""), RegisterError::Shape("string")));
    assert!(refusal("bad(").to_string().starts_with("1:5: "));
}

#[tokio::test(start_paused = true)]
async fn what_others_register_leaves_room_for_what_is_pinned() {
    let settings = Settings {
        max_queries: 1,
        expire_ms: 1_000,
        ..Settings::default()
    };
    let world = World::with(settings, 1024).await;
    let pinned = |text: &str| {
        let request = Request {
            pinned: true,
            ..request(text)
        };
        world.standing.register(request)
    };
    let other = world.register("other");
    let rule = pinned("rule").unwrap();
    assert!(rule.snapshot().await.rows.is_ok());
    assert!(pinned("another rule").is_ok());
    let refused = world.standing.register(request("one more")).err().unwrap();
    assert!(
        matches!(refused, RegisterError::Full(2)),
        "pinned ones count: {refused}"
    );
    // What expired comes back in its room alone.
    world.pass(3_000).await;
    let why = other.snapshot().await.rows.clone().unwrap_err().to_string();
    assert!(why.starts_with("1 standing queries are registered already"), "{why}");
    assert!(rule.snapshot().await.rows.is_ok());
}

#[tokio::test(start_paused = true)]
async fn when_commits_are_missed_everything_counts_as_touched() {
    let world = World::with(Settings::default(), 4).await;
    let query = world.register("still");
    query.snapshot().await;
    world.pass(1_000).await;
    for owner in 0..100 {
        world.store.commit(owner, world.clock.now(), Attempt::Good, false);
    }
    world.pass(500).await;
    assert_eq!(world.evaluations(), 2);
    assert_eq!(world.standing.stats().lagged, 1);
}

#[tokio::test(start_paused = true)]
async fn commits_that_no_expression_waits_for_are_not_missed() {
    let world = World::with(Settings::default(), 4).await;
    for owner in 0..100 {
        world.store.commit(owner, world.clock.now(), Attempt::Good, false);
    }
    world.pass(2_000).await;
    assert_eq!(world.standing.stats().lagged, 0);
    let _query = world.register("still");
    world.store.commit(1, world.clock.now(), Attempt::Good, true);
    world.settle().await;
    assert_eq!(world.evaluations(), 1, "from its registration on");
}

#[tokio::test(start_paused = true)]
async fn a_failed_evaluation_is_tried_again_by_the_next_question() {
    let world = World::new().await;
    let query = world.register("still");
    *world.engine.outcome.lock().unwrap() = Err(leadline_model::port::EvaluateError::Overloaded);
    assert!(query.snapshot().await.rows.is_err());
    world.answer(&[(&[], 1.0, &[1])]);
    world.pass(300).await;
    assert!(query.snapshot().await.rows.is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_room_stops_when_told() {
    let world = World::new().await;
    let _query = world.register("moves");
    world.commit(1).await;
    world.stop.cancel();
    world.run.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_reads_further_back_than_samples_are_kept_is_refused() {
    let settings = |kept_ms| Settings {
        kept_ms,
        ..Settings::default()
    };
    let world = World::with(settings(59_999), 16).await;
    let refused = world
        .standing
        .register(request("moves window"))
        .map(|_| ())
        .unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the expression reads 1m back, and samples are kept for 59s999ms"
    );
    assert!(world.standing.register(request("still")).is_ok());
    let world = World::with(settings(60_000), 16).await;
    assert!(world.standing.register(request("moves window")).is_ok());
}

const HOURS: i64 = 3 * 3_600_000;

#[tokio::test(start_paused = true)]
async fn after_the_clock_was_set_back_nothing_is_answered_until_it_has_passed_the_newest_evaluation() {
    for text in ["moves", "still"] {
        let world = World::new().await;
        let query = world.register(text);
        world.commit(1).await;
        world.pass(300).await;
        let newest = query.snapshot().await;
        assert_eq!(check_warm(&newest, world.clock.now()), Ok(()), "{text}");
        world.clock.advance(-HOURS);
        // What the store has of the time that the clock shows now is not of now, however fresh it looks.
        world.answer(&[(&[], 5.0, &[1, 2])]);
        for _ in 0..3 {
            world.commit(1).await;
            world.pass(2_000).await;
            let snapshot = query.snapshot().await;
            let refused = check_warm(&snapshot, world.clock.now()).unwrap_err();
            assert!(refused.contains("the clock, which was set back"), "{text}: {refused}");
            assert!(snapshot.at >= newest.at, "{text}: {} before {}", snapshot.at, newest.at);
        }
        world.clock.advance(HOURS);
        world.commit(1).await;
        world.pass(2_000).await;
        let (snapshot, now) = (query.snapshot().await, world.clock.now());
        assert_eq!(check_warm(&snapshot, now), Ok(()), "{text}");
        assert_eq!(snapshot.rows.as_ref().unwrap()[0].value, 5.0);
    }
}
