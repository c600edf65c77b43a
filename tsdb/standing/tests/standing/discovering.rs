//! Jobs whose targets are not known in full hold what they may feed, for ten minutes.

use crate::world::World;
use leadline_model::Clock;
use leadline_model::discovery::{Discovery, GroupJob, JobDiscovery, Missing};
use leadline_standing::Query;
use leadline_standing::freshness::check_warm;
use std::sync::Arc;

/// Of jobs by name: what their groups that are not known may say, where not all are known.
fn told(world: &World, jobs: &[(&str, Option<GroupJob>)]) {
    let job = |&(job, says): &(&str, Option<GroupJob>)| JobDiscovery {
        job: job.into(),
        named: true,
        missing: says.map(|says| Missing {
            says,
            why: Some(format!("file/0: /sd/{job}.yml: expected a list at line 3")),
        }),
    };
    world.board.set_discovery(Discovery {
        configured: true,
        jobs: jobs.iter().map(job).collect(),
    });
}

/// Why it is cold, where it is.
async fn cold(world: &World, query: &Arc<dyn Query>) -> Option<String> {
    check_warm(&*query.snapshot().await, world.clock.now()).err()
}

#[tokio::test(start_paused = true)]
async fn a_broken_file_of_one_job_leaves_what_reads_another_job_warm() {
    let world = World::new().await;
    told(&world, &[("db", Some(GroupJob::Unseen)), ("web", None)]);
    // Every expression of this engine reads job web.
    let query = world.register("still");
    world.commit(1).await;
    world.commit(2).await;
    assert_eq!(cold(&world, &query).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_broken_file_of_its_own_job_keeps_an_expression_cold_and_is_named_until_it_is_mended() {
    let world = World::new().await;
    told(&world, &[("db", None), ("web", Some(GroupJob::Unseen))]);
    let query = world.register("still");
    world.commit(1).await;
    let why = cold(&world, &query).await.unwrap();
    assert!(
        why.starts_with("warming up: ")
            && why.ends_with(r#"of job "web": file/0: /sd/web.yml: expected a list at line 3"#),
        "{why}"
    );
    told(&world, &[("db", None), ("web", None)]);
    world.pass(1_000).await;
    assert_eq!(cold(&world, &query).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_broken_file_that_may_say_any_job_holds_every_expression_for_ten_minutes() {
    let world = World::new().await;
    told(&world, &[("db", Some(GroupJob::Anything)), ("web", None)]);
    let query = world.register("still");
    world.commit(1).await;
    world.commit(2).await;
    world.pass(590_000).await;
    assert!(cold(&world, &query).await.unwrap().contains(r#"of job "db": "#));
    world.pass(11_000).await;
    assert_eq!(cold(&world, &query).await, None);
}
